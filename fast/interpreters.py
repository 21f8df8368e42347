"""The interpreters of a tape, as functions that kernels are handed when they are called.

Numba compiles what a kernel calls by name into that kernel, once more for every kernel that does. For a loop of a few
lines that is right. The interpreters have a branch for each operation and take seconds, so they are compiled once, and
kernels get their addresses.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core.types import WrapperAddressProtocol
from numba.np.numpy_support import from_dtype

from fast.kernels import tape_lanes, tape_one

_INTEGERS = types.uint32[:, ::1]


class Interpreter(WrapperAddressProtocol):
    """A compiled function by its address, which Numba takes as an argument of a kernel."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        function.compile(arguments)
        self.compiled = function.overloads[arguments]

    def __wrapper_address__(self) -> int:
        name = self.compiled.fndesc.llvm_cfunc_wrapper_name
        return self.compiled.library.get_pointer_to_function(name)

    def signature(self) -> Any:
        return self.compiled.signature


class Interpreters(NamedTuple):
    """Forward and backward, for one number in each row and for a row of lanes."""

    forward: Interpreter
    backward: Interpreter
    forward_lanes: Interpreter
    backward_lanes: Interpreter


@cache
def interpreters(dtype: str) -> Interpreters:
    """Those for values and gradients of a type, "float64" or "float32"."""
    number = from_dtype(np.dtype(dtype))
    found = []
    for module, rows in ((tape_one, number[::1]), (tape_lanes, number[:, ::1])):
        found.append(Interpreter(module.forward, _INTEGERS, _INTEGERS, rows))
        found.append(Interpreter(module.backward, _INTEGERS, _INTEGERS, types.uint32[::1], types.int64, rows, rows))
    return Interpreters(*found)
