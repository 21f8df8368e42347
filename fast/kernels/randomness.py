"""Random numbers without a hidden state, and what is done with them: `micro/randomness.py` for whole arrays.

Number i depends on the seed and on i alone, so the loops may run in any order, and both engines draw the same.
"""

import math

import numpy as np
from numba import njit, prange

# Typed, for Numba makes a float of an unsigned number and a plain one.
_ONE, _STEP = np.uint64(1), np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@njit(cache=True, nogil=True, error_model="numpy")
def _random(seed, i):
    """Number i of `seed`, of 53 bits: SplitMix64, in numbers of 64 bits that overflow as they should."""
    z = seed + (np.uint64(i) + _ONE) * _STEP
    z = (z ^ (z >> _SHIFTS[0])) * _FIRST
    z = (z ^ (z >> _SHIFTS[1])) * _SECOND
    return (z ^ (z >> _SHIFTS[2])) >> _SHIFTS[3]


@njit(cache=True, nogil=True, error_model="numpy")
def uniform(seed, y):
    """y[i] = number i of `seed`, uniform in [0, 1); seed uint64, y float64 (N,)."""
    for i in range(y.size):
        y[i] = _random(seed, i) * 2.0**-53


@njit(cache=True, nogil=True, error_model="numpy")
def normal(seed, y):
    """y[i] = number i of `seed`, standard normal: Box and Muller, from the uniform numbers 2i and 2i + 1."""
    for i in range(y.size):
        radius = math.sqrt(-2.0 * math.log(1.0 - _random(seed, 2 * i) * 2.0**-53))
        y[i] = radius * math.cos(2.0 * math.pi * (_random(seed, 2 * i + 1) * 2.0**-53))


@njit(cache=True, nogil=True, error_model="numpy")
def dropout(x, seed, limit, scale, y):
    """y[i] = x[i] * (0 if z[i] < limit else scale), z[i] the i-th random number of `seed`.

    The kernel is its own gradient, for the numbers come out again as they were; no mask is stored. No element waits
    for another, and there are no branches, so the loop works on many numbers at once. x, y one-dimensional, of one
    type; seed and limit uint64.
    """
    number = y.dtype.type
    for i in range(x.size):
        y[i] = x[i] * (number(0) if _random(seed, i) < limit else number(scale))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def dropout_parallel(x, seed, limit, scale, y):
    """`dropout`, each thread with its elements."""
    number = y.dtype.type
    for i in prange(x.size):
        y[i] = x[i] * (number(0) if _random(seed, i) < limit else number(scale))
