"""Random numbers without a hidden state: `micro/randomness.py`, for whole arrays.

Number i depends on the seed and on i alone, so the loops may run in any order, and both engines draw the same.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def _uniform(seed, i):
    """Number i of `seed`: SplitMix64, in numbers of 64 bits that overflow as they should."""
    z = seed + (i + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True, error_model="numpy")
def uniform(seed, y):
    """y[i] = number i of `seed`, uniform in [0, 1); seed uint64, y float64 (N,)."""
    for i in range(y.size):
        y[i] = _uniform(seed, np.uint64(i))


@njit(cache=True, nogil=True, error_model="numpy")
def normal(seed, y):
    """y[i] = number i of `seed`, standard normal: Box and Muller, from the uniform numbers 2i and 2i + 1."""
    for i in range(y.size):
        radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(seed, np.uint64(2 * i))))
        y[i] = radius * math.cos(2.0 * math.pi * _uniform(seed, np.uint64(2 * i + 1)))
