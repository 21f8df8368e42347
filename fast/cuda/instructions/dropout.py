"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu


def dropout(gpu: Gpu, size: int, seed: Any, limit: Any, x: Any, y: Any, numbers: Sequence[float] = ()) -> None:
    """y[i] = x[i] * (0 or numbers[0]); seed: the place of a number that changes from step to step."""
    below = gpu.known(limit, 1)[0]
    gpu.launch("randomness.dropout", gpu.array(x, size), gpu.now(seed), below, numbers[0], gpu.array(y, size))
