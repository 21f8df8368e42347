"""Many numbers into few: sums, means, and probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fast import elementwise
from fast.arrays import rows
from fast.kernels import reductions as kernels
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks


def sum(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The sum over one dimension, or over all elements."""
    return _total(_SUM, x, dim, keepdim, 1)


def mean(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The sum divided by the number of elements."""
    checks.not_empty("mean", x.shape)
    dim = None if dim is None else checks.dimension("mean", dim, x.shape)
    return _total(_MEAN, x, dim, keepdim, x.data.size if dim is None else x.shape[dim])


def _total(rule: Rule, x: Tensor, dim: int | None, keepdim: bool, count: int) -> Tensor:
    checks.quantities(rule.symbol, x)
    dim = None if dim is None else checks.dimension(rule.symbol, dim, x.shape)
    kept = elementwise.total(x.data, None if dim is None else (dim,))
    if count != 1:
        kept /= count
    shape = kept.shape if keepdim else () if dim is None else x.shape[:dim] + x.shape[dim + 1 :]
    return record(rule, kept.reshape(shape), (x,), saved=(kept.shape, count))


def _total_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    shape, count = node.saved
    return (np.broadcast_to((grad / count).reshape(shape), node.parents[0].shape).copy(),)


_SUM, _MEAN = Rule("sum", _total_grad), Rule("mean", _total_grad)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x[i]) / sum over j of exp(x[j]), along one dimension."""
    return _along(_SOFTMAX, kernels.softmax, x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(x)), without a detour through numbers too small for the logarithm."""
    return _along(_LOG_SOFTMAX, kernels.log_softmax, x, dim)


def _along(rule: Rule, kernel: Callable[..., None], x: Tensor, dim: int) -> Tensor:
    checks.quantities(rule.symbol, x)
    dim = checks.dimension(rule.symbol, dim, x.shape)
    return record(rule, _run_along(kernel, dim, x.data), (x,), saved=dim)


def _run_along(kernel: Callable[..., None], dim: int, *arrays: np.ndarray) -> np.ndarray:
    """Run a kernel that works along rows, along the dimension `dim`."""
    moved = [np.ascontiguousarray(np.moveaxis(array, dim, -1)) for array in arrays]
    result = np.empty_like(moved[0])
    if result.size:
        kernel(*map(rows, moved), rows(result))
    return np.moveaxis(result, -1, dim)


def _softmax_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (_run_along(kernels.softmax_grad, node.saved, grad, node.data),)


def _log_softmax_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (_run_along(kernels.log_softmax_grad, node.saved, grad, node.data),)


_SOFTMAX, _LOG_SOFTMAX = Rule("softmax", _softmax_grad), Rule("log_softmax", _log_softmax_grad)
