"""What this machine can do at best, measured: operations a second, and bytes a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fast.functional.products import linear
from fast.tensors import Tensor
from micro.vocabulary import float32, grad_mode


class Peaks(NamedTuple):
    """flops: additions and multiplications a second; bandwidth: bytes a second, read and written."""

    flops: float
    bandwidth: float


def measure_peaks(dtype: str = float32, seconds: float = 0.5) -> Peaks:
    """The peaks that `fast` can reach with all threads that it uses; takes `seconds`, 0.5 unless given.

    Operations are those of a product of matrices of 1,024 x 1,024, as BLAS computes it, which no other operation beats
    by much. Bytes are those of a sum of two arrays that no cache holds.
    """
    matrix, before = Tensor(np.ones((1024, 1024), dtype)), grad_mode.recording
    long = Tensor(np.ones(1 << 24, dtype))
    grad_mode.recording = False
    try:
        return Peaks(
            2 * 1024**3 / _fastest(lambda: linear(matrix, matrix), seconds / 2),
            3 * long.data.nbytes / _fastest(lambda: long + long, seconds / 2),
        )
    finally:
        grad_mode.recording = before


def _fastest(work: Callable[[], object], budget: float) -> float:
    """Seconds of the fastest of several calls, after one to warm up."""
    work()
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
