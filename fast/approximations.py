"""placeholder"""

import math

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid(x):
    power = math.exp(-math.fabs(x))
    one = power * 0 + 1
    return (one if x >= 0 else power) / (one + power)


@njit(cache=True, nogil=True, error_model="numpy")
def _cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
