"""Dropout: elements set to zero at random, by numbers that depend on nothing but a seed and a place."""

from __future__ import annotations

from micro import checks
from micro.array import Array, regroup, wrap
from micro.randomness import uniform


def dropout(x: Array, p: float = 0.5, training: bool = True, *, seed: int) -> Array:
    """Each element of x is 0 with probability p, else multiplied by 1 / (1 - p), which keeps the mean.

    Outside training, x itself (Srivastava et al. 2014, in the inverted form of PyTorch).

    seed: a whole number. Whether element i, counted in reading order, is dropped depends on (seed, i) alone, see
        `micro/randomness.py`; so the mask need not be stored for the way back.
    """
    checks.dropout_arguments(x, p, seed)
    if not training or p == 0:
        return x
    scale = 0 if p == 1 else 1 / (1 - p)
    return wrap(
        regroup((value * (0 if uniform(seed, i) < p else scale) for i, value in enumerate(x.flat())), x.shape), x.shape
    )
