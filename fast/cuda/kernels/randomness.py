"""Random numbers without a hidden state: number i of a seed is the one that the CPU draws, whoever computes it.

So a mask of dropout is the same on all devices, is never stored, and comes out again on the way back.
"""

from __future__ import annotations

import math

import numpy as np

from fast.cuda.arguments import Number, Seed, Vector
from fast.cuda.package import cuda, device

# Typed, for Numba makes a float of an unsigned number and a plain one.
_ONE, _STEP = np.uint64(1), np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@device
def _random(seed, i):
    """Number i of `seed`, of 53 bits: SplitMix64, see `micro/randomness.py`."""
    z = seed + (np.uint64(i) + _ONE) * _STEP
    z = (z ^ (z >> _SHIFTS[0])) * _FIRST
    z = (z ^ (z >> _SHIFTS[1])) * _SECOND
    return (z ^ (z >> _SHIFTS[2])) >> _SHIFTS[3]


def uniform(seed: Seed, y: Vector):
    """y[i] = number i of `seed`, uniform in [0, 1).

    It is drawn in float64 and rounded to the type of y, which may make a 1 of it in float32, as on the CPU.
    """
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = number(_uniform(seed, i))


def normal(seed: Seed, y: Vector):
    """y[i] = number i of `seed`, standard normal: Box and Muller, from the uniform numbers 2i and 2i + 1.

    It is computed in float64, as `uniform`.
    """
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(seed, 2 * i)))
        y[i] = number(radius * math.cos(2.0 * math.pi * _uniform(seed, 2 * i + 1)))


@device
def _uniform(seed, i):
    """In float64."""
    return np.float64(_random(seed, i)) * 2.0**-53


def dropout(x: Vector, seed: Seed, limit: Seed, scale: Number, y: Vector):
    """y[i] = x[i] * (0 if z[i] < limit else scale), z[i] the i-th random number of `seed`, of 53 bits.

    A thread takes an element, and goes on by as many as there are threads. A dozen instructions on 64 bits an element
    are less than a store and a load of a mask would take.
    """
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = x[i] * (number(0) if _random(seed, i) < limit else scale)
