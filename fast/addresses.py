"""Functions by their addresses, which kernels are handed (see `call` in `fast/intrinsics.py`)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from fast.kernels import products


def address(function: Any, *arguments: Any) -> int:
    """Where a function of Numba's lies, compiled for these types of arguments."""
    function.compile(arguments)
    compiled = function.overloads[arguments]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)


@cache
def product(dtype: str, parallel: bool) -> int:
    """The address of `multiply`, or of `multiply_parallel`, for matrices of a type, "float64" or "float32"."""
    matrix = types.Array(from_dtype(np.dtype(dtype)), 2, "A")
    return address(products.multiply_parallel if parallel else products.multiply, types.int64, matrix, matrix, matrix)
