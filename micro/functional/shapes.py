"""Other types and shapes for the same numbers."""

from __future__ import annotations

from micro import checks
from micro.array import Array, regroup, tensor, wrap
from micro.vocabulary import float32, float64


def to(x: Array, dtype: str) -> Array:
    """The numbers as `"float64"` or `"int64"` (cut off towards zero); x itself, if it is that already.

    `"float32"` is accepted for float64, the only precision that Python has.
    """
    if x.dtype == dtype or (x.dtype == float64 and dtype == float32):
        return x
    return tensor(x.tolist(), dtype)


def reshape(x: Array, *shape: int) -> Array:
    """The same elements, in reading order, in another shape; one length may be -1."""
    return wrap(regroup(x.flat(), checks.new_shape(x.shape, shape)))


def transpose(x: Array) -> Array:
    """y[j][i] = x[i][j], for a matrix."""
    checks.matrix("transpose", x.shape)
    rows, columns = x.shape
    return Array([[x.values[i][j] for i in range(rows)] for j in range(columns)])
