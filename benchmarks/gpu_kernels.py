"""All kernels on the GPU, as tests/cuda/test_on_gpu.py tries them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gpu_tests

from fast.cuda import package
from fast.cuda.registry import KERNELS

#: One kernel of each kind, for the simulator is slow.
FEW = ("elementwise.tanh", "reductions.softmax", "updates.adam")


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each module of kernels; then RuntimeError if any of them is wrong."""
    tests = [
        f"test_a_launch_computes_what_the_cpu_does[{name}-{dtype}]"
        for name in (FEW if tiny else KERNELS)
        for dtype in KERNELS[name].dtypes[: 1 if package.SIMULATED else None]
    ]

    def module(test: str) -> str:
        return test.partition("[")[2].partition(".")[0]

    yield from gpu_tests.measure("test_on_gpu.py", tests, "kernels of", module, tiny)
