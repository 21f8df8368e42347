"""Many numbers into few: sums, the largest and the smallest, and probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fast import elementwise
from fast.arrays import rows
from fast.kernels import reductions as kernels
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks
from micro.vocabulary import Dim, Extreme, bool_, int64


def sum(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum over one or several dimensions, or over all elements; truth values are counted."""
    dims = checks.dimensions("sum", dim, x.shape)
    if x.dtype in (int64, bool_):
        return Tensor(np.asarray(x.data.sum(axis=dims, keepdims=keepdim, dtype=np.int64)))
    return _total(_SUM, x, dims, keepdim, 1)


def mean(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum divided by the number of elements."""
    checks.quantities("mean", x)
    checks.not_empty("mean", x.shape)
    dims = checks.dimensions("mean", dim, x.shape)
    return _total(_MEAN, x, dims, keepdim, math.prod([x.shape[i] for i in dims]))


def _total(rule: Rule, x: Tensor, dims: tuple[int, ...], keepdim: bool, count: int) -> Tensor:
    kept = elementwise.total(x.data, dims)
    if count != 1:
        kept /= count
    return record(rule, kept.reshape(checks.reduced(x.shape, dims, keepdim)), (x,), saved=(kept.shape, count))


def _total_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    shape, count = node.saved
    return (np.broadcast_to((grad / count).reshape(shape), node.parents[0].shape).copy(),)


def _lower_total(recorder: Any, node: Tensor) -> Any:
    (x,), (kept, count) = node.parents, node.saved
    place, dims, shape = recorder.value(x), elementwise.differences(kept, x.shape), x.shape
    for first, last in reversed(dims):
        divisor = count if first == dims[0][0] else 1
        place = recorder.total(place, shape, first, last, divisor)
        shape = shape[:first] + kept[first:last] + shape[last:]

    def backward(grad: Any) -> Any:
        shape, divisor = kept, count
        for first, last in dims:
            shape = shape[:first] + x.shape[first:last] + shape[last:]
            grad, divisor = recorder.spread(grad, shape, first, last, divisor), 1
        return [grad]

    return place, backward


_SUM = Rule("sum", _total_grad, reads=(), lower=_lower_total)
_MEAN = Rule("mean", _total_grad, reads=(), lower=_lower_total)


def prod(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The product over one or several dimensions, or over all elements."""
    dims = checks.dimensions("prod", dim, x.shape)
    y = np.asarray(x.data.prod(axis=dims, keepdims=keepdim, dtype=np.int64 if x.dtype == bool_ else None))
    return record(_PROD, y, (x,), saved=dims)


def _prod_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    """For each element the product of all others, which no division can give where one of them is 0."""
    (x,) = node.parents
    kept = checks.kept(x.shape, node.saved)
    lines = _lines(x.data, node.saved)
    before, after = np.ones_like(lines), np.ones_like(lines)
    before[:, 1:] = lines[:, :-1].cumprod(axis=1)
    after[:, :-1] = lines[:, :0:-1].cumprod(axis=1)[:, ::-1]
    return (np.asarray(_unlines(before * after, x.shape, node.saved) * grad.reshape(kept)),)


_PROD = Rule("prod", _prod_grad, reads=(0,))


def _lines(array: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """The elements along `dims` as the rows of a matrix, (the other dimensions, those)."""
    others = [i for i in range(array.ndim) if i not in dims]
    count = math.prod([array.shape[i] for i in dims])
    return np.ascontiguousarray(array.transpose(*others, *dims)).reshape(-1 if count else 0, count)


def _unlines(lines: np.ndarray, shape: tuple[int, ...], dims: tuple[int, ...]) -> np.ndarray:
    """The inverse of `_lines`."""
    order = [*[i for i in range(len(shape)) if i not in dims], *dims]
    return lines.reshape([shape[i] for i in order]).transpose(np.argsort(order))


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element; along `dim`, the largest of each line and where it stands. A nan counts as largest."""
    return _extreme("max", np.max, np.argmax, x, dim, keepdim)


def min(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest element; along `dim`, the smallest of each line and where it stands. A nan counts as smallest."""
    return _extreme("min", np.min, np.argmin, x, dim, keepdim)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element stands, in reading order or along `dim`; the first one where several are equal."""
    return _where_extreme("argmax", np.argmax, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element stands, in reading order or along `dim`; the first one where several are equal."""
    return _where_extreme("argmin", np.argmin, x, dim, keepdim)


def _extreme(
    name: str, value: Callable[..., Any], where: Callable[..., Any], x: Tensor, dim: int | None, keepdim: bool
) -> Any:
    if dim is None:
        checks.some_elements(name, x.shape, dim)
        return record(_EXTREME, np.asarray(value(x.data, keepdims=keepdim)), (x,))
    places = _where_extreme(name, where, x, dim, keepdim=True)
    chosen = x.gather(dim, places)
    if keepdim:
        return Extreme(chosen, places)
    return Extreme(chosen.squeeze(dim), places.squeeze(dim))


def _extreme_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    """The equal largest elements share the gradient."""
    (x,) = node.parents
    winners = (x.data == node.data) | (np.isnan(x.data) & np.isnan(node.data))
    return (np.asarray(winners * (grad / winners.sum()), grad.dtype),)


_EXTREME = Rule("max", _extreme_grad, reads=(0, -1))


def _where_extreme(name: str, where: Callable[..., Any], x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else checks.dimension(name, dim, x.shape)
    checks.some_elements(name, x.shape, axis)
    return Tensor(np.asarray(where(x.data, axis=axis, keepdims=keepdim), np.int64))


def cumsum(x: Tensor, dim: int) -> Tensor:
    """Sums that grow along `dim`: y[i] = x[0] + ... + x[i]."""
    dim = checks.dimension("cumsum", dim, x.shape)
    dtype = np.float64 if x.data.dtype.kind == "f" else np.int64  # in float32 long sums would lose digits
    sums = x.data.cumsum(axis=dim, dtype=dtype)
    return record(_CUMSUM, sums.astype(x.data.dtype) if dtype == np.float64 else sums, (x,), saved=dim)


def _cumsum_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    """x[i] is part of y[i] and of all that follow."""
    backwards = np.flip(np.flip(grad, node.saved).cumsum(axis=node.saved, dtype=np.float64), node.saved)
    return (backwards.astype(grad.dtype),)


_CUMSUM = Rule("cumsum", _cumsum_grad, reads=())


# ----------------------------------------------------------------------------------------------------------------------
# Probabilities.


def logsumexp(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """log(sum of exp(x)), computed as largest + log(sum of exp(x - largest)), which cannot overflow."""
    checks.quantities("logsumexp", x)
    dims = checks.dimensions("logsumexp", dim, x.shape)
    largest = x.data.max(axis=dims, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, x.data.dtype.type(0))
    with np.errstate(divide="ignore", over="ignore"):  # infinities, and the logarithm of 0
        kept = np.asarray(np.log(elementwise.total(np.exp(x.data - shift), dims)) + shift)
    return record(_LOGSUMEXP, kept.reshape(checks.reduced(x.shape, dims, keepdim)), (x,), saved=kept.shape)


def _logsumexp_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    (x,) = node.parents
    return (np.asarray(np.exp(x.data - node.data.reshape(node.saved)) * grad.reshape(node.saved)),)


_LOGSUMEXP = Rule("logsumexp", _logsumexp_grad, reads=(0, -1))


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


def _lower_along(recorder: Any, node: Any) -> Any:
    """The kernel of the rule's name, along the last dimension."""
    (x,), name, size = node.parents, node.op.symbol, node.data.size
    if node.saved != x.ndim - 1:
        raise NotImplementedError(f"compile_step: {name} along any dimension but the last has no compiled form yet")
    sizes, y = (size // x.shape[-1], x.shape[-1]), recorder.new(size)
    recorder.emit(name, *sizes, recorder.value(x), y, flops=size, shape=x.shape)

    def backward(grad: Any) -> Any:
        target = recorder.gradient(x)
        if target is not None:
            recorder.emit(f"{name}_grad", *sizes, grad, y, target, flops=size, shape=x.shape)
        return [target]

    return y, backward


_SOFTMAX = Rule("softmax", _softmax_grad, reads=(-1,), lower=_lower_along)
_LOG_SOFTMAX = Rule("log_softmax", _log_softmax_grad, reads=(-1,), lower=_lower_along)
