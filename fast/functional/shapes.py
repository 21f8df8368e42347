"""Other types and shapes for the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks
from micro.vocabulary import int64


def to(x: Tensor, dtype: str) -> Tensor:
    """x with elements of type `dtype`; x itself, if it has that type already."""
    if x.data.dtype.name == dtype:
        return x
    checks.element_type(dtype)
    data = x.data.astype(dtype)
    return Tensor(data) if dtype == int64 else record(_TO, data, (x,))


def _to_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.astype(node.parents[0].data.dtype),)


_TO = Rule("to", _to_grad)


def reshape(x: Tensor, *shape: int) -> Tensor:
    """The same elements, in reading order, in another shape; one length may be -1. Shares memory where it can."""
    return record(_RESHAPE, x.data.reshape(checks.new_shape(x.shape, shape)), (x,))


def _reshape_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.reshape(node.parents[0].shape),)


_RESHAPE = Rule("reshape", _reshape_grad)


def transpose(x: Tensor) -> Tensor:
    """y[j, i] = x[i, j], for a matrix. Shares memory."""
    checks.matrix("transpose", x.shape)
    return record(_TRANSPOSE, x.data.T, (x,))


def _transpose_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.T,)


_TRANSPOSE = Rule("transpose", _transpose_grad)


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index] for integers and slices. Shares memory."""
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        if not isinstance(part, int | np.integer | slice) or isinstance(part, bool):
            raise TypeError(f"index {part!r:.80} of type {type(part).__name__}; use integers and slices")
    try:
        data = x.data[(*parts, ...)]  # the dots keep a single element a view of the memory
    except IndexError as error:
        raise IndexError(f"index {index} does not fit the shape {x.shape}: {error}") from None
    return record(_GETITEM, data, (x,), saved=index)


def _getitem_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    result = np.zeros(node.parents[0].shape, grad.dtype)
    result[node.saved] = grad
    return (result,)


_GETITEM = Rule("[ ]", _getitem_grad)
