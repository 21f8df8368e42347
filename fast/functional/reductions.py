"""Many numbers into few: sums, the largest and the smallest, and probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fast import elementwise, placement
from fast.arrays import rows
from fast.kernels import reductions as kernels
from fast.tensors import Gradients, Rule, Tensor, note, record
from micro import checks
from micro.vocabulary import Dim, Extreme, bool_, int64


def sum(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum over one or several dimensions, or over all elements; truth values are counted."""
    dims = checks.dimensions("sum", dim, x.shape)
    if x.dtype in (int64, bool_):
        return _of_whole(_SUM, np.sum, x, axis=dims, keepdims=keepdim)
    return _total(_SUM, x, dims, keepdim, 1)


def mean(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum divided by the number of elements."""
    checks.quantities("mean", x)
    checks.not_empty("mean", x.shape)
    dims = checks.dimensions("mean", dim, x.shape)
    return _total(_MEAN, x, dims, keepdim, math.prod([x.shape[i] for i in dims]))


def _total(rule: Rule, x: Tensor, dims: tuple[int, ...], keepdim: bool, count: int) -> Tensor:
    if placement.used and placement.on_gpu(rule.symbol, x):
        return placement.eager().launched(
            rule, checks.reduced(x.shape, dims, keepdim), (x,), (checks.kept(x.shape, dims), count)
        )
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
    if x.dtype in (int64, bool_):
        return _of_whole(_PROD, np.prod, x, axis=dims, keepdims=keepdim)
    if placement.used and placement.on_gpu("prod", x):
        return placement.eager().launched(_PROD, checks.reduced(x.shape, dims, keepdim), (x,), dims)
    return record(_PROD, _of_lines(kernels.prod, x, dims, keepdim), (x,), saved=dims)


def _prod_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    (x,) = node.parents
    lines = _lines(x.data, node.saved)
    grad_lines = np.empty_like(lines)
    kernels.prod_grad(grad.ravel(), lines, grad_lines)
    return (_unlines(grad_lines, x.shape, node.saved),)


def _lower_prod(recorder: Any, node: Tensor) -> Any:
    (x,), lines, y = node.parents, _Lines(recorder, node.parents[0], node.saved), recorder.new(node.data.size)
    place, about = lines.taken(recorder.value(x)), {"flops": x.data.size, "shape": node.shape}
    recorder.emit("prod", *lines.sizes, place, y, **about)

    def backward(grad: Any) -> Any:
        return [lines.gradient(lambda target: recorder.emit("prod_grad", *lines.sizes, grad, place, target, **about))]

    return y, backward


_PROD = Rule("prod", _prod_grad, reads=(0,), lower=_lower_prod)


def _of_whole(rule: Rule, function: Callable[..., Any], x: Tensor, **settings: Any) -> Tensor:
    """What NumPy's function makes of whole numbers or truth values; the CPU computes it, wherever they lie."""
    found = np.asarray(function(placement.host(x.data), dtype=np.int64, **settings))
    return note(rule, placement.moved(found, x.device), (x,))


def _of_lines(kernel: Callable[..., None], x: Tensor, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """What a kernel makes of each line along `dims`: one number."""
    lines = _lines(x.data, dims)
    y = np.empty(len(lines), lines.dtype)
    kernel(lines, y)
    return y.reshape(checks.reduced(x.shape, dims, keepdim))


def _lines(array: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """The elements along `dims` as the rows of a matrix, (the other dimensions, those)."""
    others = [i for i in range(array.ndim) if i not in dims]
    sizes = [math.prod([array.shape[i] for i in some]) for some in (others, dims)]
    return np.ascontiguousarray(array.transpose(*others, *dims)).reshape(sizes)


def _unlines(lines: np.ndarray, shape: tuple[int, ...], dims: tuple[int, ...]) -> np.ndarray:
    """The inverse of `_lines`."""
    order = [*[i for i in range(len(shape)) if i not in dims], *dims]
    return lines.reshape([shape[i] for i in order]).transpose(np.argsort(order))


class _Lines:
    """`_lines` in a program: how many there are and how long, and instructions that turn numbers, where it needs any.

    x: the tensor whose elements along `dims` they are.
    """

    def __init__(self, recorder: Any, x: Tensor, dims: tuple[int, ...]) -> None:
        self._recorder, self._x = recorder, x
        self._places = _lines(np.arange(x.data.size).reshape(x.shape), dims)
        self.sizes = self._places.shape

    def taken(self, place: Any) -> Any:
        """The numbers of a tensor of x's shape, line after line."""
        return self._recorder.picked(place, self._places)

    def turned_back(self, place: Any, target: Any = None) -> Any:
        """The inverse of `taken`."""
        return self._recorder.picked(place, self._places.ravel().argsort(), target)

    def gradient(self, write: Callable[[Any], None]) -> Any:
        """The place for the gradient of x, which `write` writes line after line to the place that it is given."""
        target = self._recorder.gradient(self._x)
        straight = (self._places.ravel() == np.arange(target.size)).all()
        lines = target if straight else self._recorder.new(target.size)
        write(lines)
        return target if straight else self.turned_back(lines, target)


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element; along `dim`, the largest of each line and where it stands. A nan counts as largest."""
    return _extreme("max", np.argmax, x, dim, keepdim)


def min(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest element; along `dim`, the smallest of each line and where it stands. A nan counts as smallest."""
    return _extreme("min", np.argmin, x, dim, keepdim)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element stands, in reading order or along `dim`; the first one where several are equal."""
    return _where_extreme("argmax", np.argmax, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element stands, in reading order or along `dim`; the first one where several are equal."""
    return _where_extreme("argmin", np.argmin, x, dim, keepdim)


def _extreme(name: str, where: Callable[..., Any], x: Tensor, dim: int | None, keepdim: bool) -> Any:
    if placement.used and placement.on_gpu(name, x):
        return _extreme_on_gpu(name, where, x, dim, keepdim)
    places = _where_extreme(name, where, x, dim, keepdim=True)
    if dim is None:
        y = np.array(x.data.ravel()[int(places.item())], x.data.dtype).reshape(places.shape if keepdim else ())
        return record(_OF_ALL[name], y, (x,))
    dim = checks.dimension(name, dim, x.shape)
    shape = checks.reduced(x.shape, (dim,), keepdim)
    y = np.take_along_axis(x.data, places.data, dim).reshape(shape)
    chosen = record(_OF_LINES[name], y, (x,), saved=(dim, places.data.copy()))
    return Extreme(chosen, places if keepdim else places.squeeze(dim))


def _extreme_on_gpu(name: str, where: Callable[..., Any], x: Tensor, dim: int | None, keepdim: bool) -> Any:
    """The same there; whoever asks for all elements need not know where they stand. Whole numbers by the CPU."""
    if x.data.dtype.kind != "f":
        found = _extreme(name, where, x.cpu(), dim, keepdim)
        return found.cuda() if dim is None else Extreme(*[part.cuda() for part in found])
    if dim is None:
        checks.some_elements(name, x.shape, None)
        return placement.eager().launched(_OF_ALL[name], checks.reduced(x.shape, range(x.ndim), keepdim), (x,))
    places = _where_extreme(name, where, x, dim, keepdim)
    dim = checks.dimension(name, dim, x.shape)
    return Extreme(placement.eager().launched(_OF_LINES[name], places.shape, (x,), (dim, None)), places)


def _of_all_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    """The equal largest elements share the gradient."""
    (x,) = node.parents
    winners = (x.data == node.data) | (np.isnan(x.data) & np.isnan(node.data))
    return (np.asarray(winners * (grad / winners.sum()).astype(grad.dtype)),)


def _of_lines_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    """The first of them has it alone."""
    dim, places = node.saved
    grad_x = np.zeros(node.parents[0].shape, grad.dtype)
    np.put_along_axis(grad_x, places, grad.reshape(places.shape), dim)
    return (grad_x,)


def _lower_extreme(recorder: Any, node: Any) -> Any:
    """The same over all elements, as a single line, and along a dimension; where they stand is noted in `integers`."""
    (x,), size = node.parents, node.data.size
    parts = (1, x.data.size, 1) if node.saved is None else _around(x.shape, node.saved[0])
    place, y, winners = recorder.value(x), recorder.new(size), recorder.room(size)
    sign, about = {"max": 1, "min": -1}[node.op.symbol], {"flops": x.data.size, "shape": x.shape}
    recorder.emit("extreme", *parts, place, y, winners, **about, numbers=[sign])

    def backward(grad: Any) -> Any:
        target = recorder.gradient(x)
        if node.saved is None:
            recorder.emit("extreme_of_all_grad", x.data.size, grad, place, y, target, **about)
        else:
            recorder.emit("extreme_grad", *parts, grad, winners, target, **about)
        return [target]

    return y, backward


def _around(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    """How many elements there are along a dimension, with those before and behind it multiplied."""
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


_OF_ALL, _OF_LINES = [
    {name: Rule(name, backward, reads, lower=_lower_extreme) for name in ("max", "min")}
    for backward, reads in ((_of_all_grad, (0, -1)), (_of_lines_grad, ()))
]


def _where_extreme(name: str, where: Callable[..., Any], x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else checks.dimension(name, dim, x.shape)
    checks.some_elements(name, x.shape, axis)
    if placement.used and x.data.dtype.kind == "f" and placement.on_gpu(name, x):
        parts = (1, x.data.size, 1) if axis is None else _around(x.shape, axis)
        dims = tuple(range(x.ndim)) if axis is None else (axis,)
        sign = 1 if name.endswith("max") else -1
        return placement.eager().largest(x, sign, parts, checks.reduced(x.shape, dims, keepdim))
    found = np.asarray(where(placement.host(x.data), axis=axis, keepdims=keepdim), np.int64)
    return Tensor(placement.moved(found, x.device))


def cumsum(x: Tensor, dim: int) -> Tensor:
    """Sums that grow along `dim`: y[i] = x[0] + ... + x[i]."""
    dim = checks.dimension("cumsum", dim, x.shape)
    if x.data.dtype.kind != "f":
        return _of_whole(_CUMSUM, np.cumsum, x, axis=dim)
    if placement.used and placement.on_gpu("cumsum", x):
        return placement.eager().launched(_CUMSUM, x.shape, (x,), dim)
    return record(_CUMSUM, _run_around(kernels.cumsum, dim, x.data), (x,), saved=dim)


def _run_around(kernel: Callable[..., None], dim: int, array: np.ndarray) -> np.ndarray:
    """Run a kernel that takes an array (before, along, behind) the dimension `dim`, and one for its result."""
    parts, y = _around(array.shape, dim), np.empty(array.shape, array.dtype)
    kernel(np.ascontiguousarray(array).reshape(parts), y.reshape(parts))
    return y


def _cumsum_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (_run_around(kernels.cumsum_grad, node.saved, grad),)


def _lower_cumsum(recorder: Any, node: Tensor) -> Any:
    (x,), y, about = node.parents, recorder.new(node.data.size), {"flops": node.data.size, "shape": node.shape}
    parts = _around(x.shape, node.saved)
    recorder.emit("cumsum", *parts, recorder.value(x), y, **about)

    def backward(grad: Any) -> Any:
        target = recorder.gradient(x)
        recorder.emit("cumsum_grad", *parts, grad, target, **about)
        return [target]

    return y, backward


_CUMSUM = Rule("cumsum", _cumsum_grad, reads=(), lower=_lower_cumsum)


# ----------------------------------------------------------------------------------------------------------------------
# Probabilities.


def logsumexp(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """log(sum of exp(x)), computed as largest + log(sum of exp(x - largest)), which cannot overflow."""
    checks.quantities("logsumexp", x)
    dims = checks.dimensions("logsumexp", dim, x.shape)
    if placement.used and placement.on_gpu("logsumexp", x):
        return placement.eager().launched(_LOGSUMEXP, checks.reduced(x.shape, dims, keepdim), (x,), dims)
    return record(_LOGSUMEXP, _of_lines(kernels.logsumexp, x, dims, keepdim), (x,), saved=dims)


def _logsumexp_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    (x,) = node.parents
    lines = _lines(x.data, node.saved)
    grad_lines = np.empty_like(lines)
    kernels.logsumexp_grad(grad.ravel(), lines, node.data.ravel(), grad_lines)
    return (_unlines(grad_lines, x.shape, node.saved),)


def _lower_logsumexp(recorder: Any, node: Tensor) -> Any:
    (x,), lines, y = node.parents, _Lines(recorder, node.parents[0], node.saved), recorder.new(node.data.size)
    place, about = lines.taken(recorder.value(x)), {"flops": x.data.size, "shape": x.shape}
    recorder.emit("logsumexp", *lines.sizes, place, y, **about)

    def backward(grad: Any) -> Any:
        arguments = *lines.sizes, grad, place, y
        return [lines.gradient(lambda target: recorder.emit("logsumexp_grad", *arguments, target, **about))]

    return y, backward


_LOGSUMEXP = Rule("logsumexp", _logsumexp_grad, reads=(0, -1), lower=_lower_logsumexp)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x[i]) / sum over j of exp(x[j]), along one dimension."""
    return _along(_SOFTMAX, kernels.softmax, x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(x)), without a detour through numbers too small for the logarithm."""
    return _along(_LOG_SOFTMAX, kernels.log_softmax, x, dim)


def _along(rule: Rule, kernel: Callable[..., None], x: Tensor, dim: int) -> Tensor:
    checks.quantities(rule.symbol, x)
    dim = checks.dimension(rule.symbol, dim, x.shape)
    if placement.used and placement.on_gpu(rule.symbol, x):
        return placement.eager().launched(rule, x.shape, (x,), dim)
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
    """The kernel of the rule's name, and that of its gradient."""
    (x,), name, about = node.parents, node.op.symbol, {"flops": node.data.size, "shape": node.shape}
    lines, y = _Lines(recorder, x, (node.saved,)), recorder.new(node.data.size)
    recorder.emit(name, *lines.sizes, lines.taken(recorder.value(x)), y, **about)

    def backward(grad: Any) -> Any:
        arguments = *lines.sizes, lines.taken(grad), y
        return [lines.gradient(lambda target: recorder.emit(f"{name}_grad", *arguments, target, **about))]

    return lines.turned_back(y), backward


_SOFTMAX = Rule("softmax", _softmax_grad, reads=(-1,), lower=_lower_along)
_LOG_SOFTMAX = Rule("log_softmax", _log_softmax_grad, reads=(-1,), lower=_lower_along)
