"""Tensors, layers, optimizers, compiled steps, tapes and maps on the GPU, as tests/cuda/on_gpu.py tries them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gpu_tests

FILE = "on_gpu.py"
#: A few of the quick ones, for the simulator is slow.
FEW = [f"test_an_operation_gives_the_same_numbers_and_gradients[{name}]" for name in ("sum", "linear", "cat")]


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each kind of test; then RuntimeError if anything is not as on the CPU."""

    def kind(test: str) -> str:
        return test.partition("[")[0].removeprefix("test_").replace("_", " ")

    yield from gpu_tests.measure(FILE, FEW if tiny else gpu_tests.names_in(FILE), "what is tried", kind, tiny)
