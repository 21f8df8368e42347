"""Updates of parameters, and what limits gradients, on flat arrays of the GPU: see `fast/cuda/kernels/updates.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu
from fast.cuda.instructions.reductions import add_all, new_parts
from fast.kernels.tape import ADAM, MOMENTUM, RMSPROP, SGD


def update(
    gpu: Gpu, kind: int, settings: Sequence[float], p: Any, g: Any, state: Sequence[Any], t: int, lr: float
) -> None:
    """One update of the parameters p against their gradients g; t counts the updates from 1.

    kind, settings: see `fast/optimizers.py`; state: three arrays, what is remembered of each parameter.
    """
    s, (first, second, third) = settings, state
    if kind == SGD:
        gpu.launch("updates.sgd", p, g, lr, s[0])
    elif kind == MOMENTUM:
        keep, add = (0, 1) if t == 1 else (s[1], s[2])  # the first gradient is taken over as it is
        gpu.launch("updates.momentum", p, g, first, lr, keep, add, s[0], s[3])
    elif kind == ADAM:
        corrected = lr / (1 - s[1] ** t), math.sqrt(1 - s[2] ** t)
        means = s[1], 1 - s[1], s[2], 1 - s[2]
        gpu.launch("updates.adam", p, g, first, second, *corrected, *means, s[3], s[0], 1 - lr * s[4])
    elif kind == RMSPROP:
        numbers = lr, s[1], 1 - s[1], s[2], s[0], s[3], s[4] != 0
        gpu.launch("updates.rmsprop", p, g, first, second, third, *numbers)
    else:
        gpu.launch("updates.adagrad", p, g, first, lr / (1 + (t - 1) * s[1]), s[0], s[2])


def clip(gpu: Gpu, max_norm: float, clip_value: float, g: Any) -> None:
    """What `clip_grad_norm_` and `clip_grad_value_` do to the gradients g, where the limits are finite."""
    if max_norm < math.inf:
        parts, square = new_parts(gpu, g.size), gpu.new(1)
        gpu.launch("updates.squares", g, parts)
        add_all(gpu, parts, square)
        gpu.launch("updates.clip_norm", g, square, max_norm)
    if clip_value < math.inf:
        gpu.launch("updates.clip_value", g, clip_value)
