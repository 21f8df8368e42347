"""Random numbers without a hidden state: a seed and a count say which number comes.

The usual generators remember where they are, so the numbers depend on who asked before. Here number i of a seed is a
function of the two, the same on both engines, in any order, on any number of threads.
"""

from __future__ import annotations

import math

_64_BITS = 2**64 - 1


def uniform(seed: int, i: int) -> float:
    """Number i of `seed`, uniform between 0 (included) and 1 (not), in steps of 2^-53.

    SplitMix64 (Steele, Lea and Flood 2014): multiplications and shifts that mix the bits of seed + (i + 1) * golden
    ratio until none of them can be told from the others.
    """
    z = (seed + (i + 1) * 0x9E3779B97F4A7C15) & _64_BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def normal(seed: int, i: int) -> float:
    """Number i of `seed`, from the standard normal distribution: Box and Muller 1958, from two uniform numbers."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(seed, 2 * i)))
    return radius * math.cos(2.0 * math.pi * uniform(seed, 2 * i + 1))
