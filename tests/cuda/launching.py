"""A kernel's case, launched as the engine launches it: on the GPU, or, where Numba simulates one, in the simulator."""

from __future__ import annotations

import numpy as np
from cases import CASES, Case

from fast.cuda import registry
from fast.cuda.package import cuda


def launched(name: str, dtype: str) -> Case:
    """The case, its results as the kernel has left them."""
    case = CASES[name](dtype)
    arguments = [cuda.to_device(one) if isinstance(one, np.ndarray) else one for one in case.arguments]
    launch = case.launch
    registry.compiled(name, dtype)[launch.grid, launch.block, 0, launch.shared](*arguments)
    for place in case.expected:
        arguments[place].copy_to_host(case.arguments[place])
    return case
