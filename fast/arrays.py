"""Arrays as kernels take them: contiguous, copied where they are not."""

from __future__ import annotations

import numpy as np


def flat(array: np.ndarray) -> np.ndarray:
    return array.ravel()


def rows(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1])
