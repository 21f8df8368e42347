"""Functions by their addresses, which kernels are handed (see `call` in `fast/intrinsics.py`): the interpreters of a
tape, and the product of two matrices.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from fast.kernels import products, tape_lanes, tape_one

_INTEGERS = types.uint32[:, ::1]


class Interpreters(NamedTuple):
    """The addresses of forward and backward, for one number in each row and for a row of lanes."""

    forward: int
    backward: int
    forward_lanes: int
    backward_lanes: int


@cache
def interpreters(dtype: str) -> Interpreters:
    """Those for values and gradients of a type, "float64" or "float32"."""
    number = from_dtype(np.dtype(dtype))
    addresses = []
    for module, rows in ((tape_one, number[::1]), (tape_lanes, number[:, ::1])):
        addresses.append(address(module.forward, _INTEGERS, _INTEGERS, rows))
        last = types.uint32[::1], types.int64, rows, rows
        addresses.append(address(module.backward, _INTEGERS, _INTEGERS, *last))
    return Interpreters(*addresses)


@cache
def product(dtype: str, parallel: bool) -> int:
    """That of `multiply`, or of `multiply_parallel`, for matrices of a type, "float64" or "float32"."""
    matrix = types.Array(from_dtype(np.dtype(dtype)), 2, "A")
    return address(products.multiply_parallel if parallel else products.multiply, types.int64, matrix, matrix, matrix)


def address(function: Any, *arguments: Any) -> int:
    """Where a function of Numba's lies, compiled for these types of arguments."""
    function.compile(arguments)
    compiled = function.overloads[arguments]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
