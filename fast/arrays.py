"""Arrays as kernels take them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def rows(array: np.ndarray) -> np.ndarray:
    """The lines along the last dimension as the rows of a matrix, contiguous; mostly that is the array itself."""
    if array.ndim == 2 and array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1])


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Room that begins where a line of the cache does. Where half of all vectors lie across two lines, the batch of
    a tape takes a third longer.
    """
    size, line = math.prod(shape) * np.dtype(dtype).itemsize, 64
    room = np.empty(size + line, np.uint8)
    begin = -room.ctypes.data % line
    return room[begin : begin + size].view(dtype).reshape(shape)
