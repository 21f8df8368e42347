"""The interpreters of a tape, by their addresses, which kernels are handed (see `call` in `fast/intrinsics.py`)."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from fast.addresses import address
from fast.kernels import tape_lanes, tape_one

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
