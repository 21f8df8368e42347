"""Convolutions and pooling: one small window, moved over a line or an image.

x is (N, C, L) for lines and (N, C, H, W) for images, C channels each; N may be missing. What is given as one number
for an image counts for both of its dimensions, a pair is (for the rows, for the columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fast import placement, threads
from fast.kernels import convolution as kernels
from fast.tensors import Gradients, Rule, Tensor, one_dtype, record
from micro import checks
from micro.functional.convolution import Lengths, Windows, parts, pooling_windows, windows


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, i] = bias[o] + sum over c, a of weight[o, c, a] * x[n, c, i * stride + a * dilation - padding].

    x (N, C, L), weight (O, C / groups, kernel), bias (O,); what lies outside of x counts as 0.

    padding: how far the first window begins before x, and the last may end behind it; `"valid"` is 0, `"same"` as
        much as gives y the length of x, which needs a stride of 1.
    groups: into how many equal parts the channels are split; a part of the outputs sees its part of the inputs only.
    """
    checks.convolution("conv1d", x, weight, bias, groups)
    found = windows("conv1d", x.shape[-1:], weight.shape[-1:], stride, padding, dilation)
    return _convolution(_CONV1D, x, weight, bias, found, groups)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] * x[n, c, h, w].

    Here h = i * stride + a * dilation - padding, and w the same of j and b: what `conv1d` does, in two dimensions.
    x (N, C, H, W), weight (O, C / groups, kernel_h, kernel_w), bias (O,).
    """
    checks.convolution("conv2d", x, weight, bias, groups)
    found = windows("conv2d", x.shape[-2:], weight.shape[-2:], stride, padding, dilation)
    return _convolution(_CONV2D, x, weight, bias, found, groups)


def _convolution(
    rule: Rule, x: Tensor, weight: Tensor, bias: Tensor | None, found: Sequence[Windows], groups: int
) -> Tensor:
    parents = one_dtype(rule.symbol, x, weight, *([] if bias is None else [bias]))
    x, weight = parents[:2]
    outputs = weight.shape[0]
    rows, columns = found if len(found) == 2 else (_ONE_ROW, *found)
    shape = (*x.shape[: -1 - len(found)], outputs, *[one.positions for one in found])
    if placement.used and placement.on_gpu(rule.symbol, *parents):
        return placement.eager().launched(rule, shape, parents, (rows, columns, groups))
    images = _images(x.data, rows, columns)
    y = np.empty((images.shape[0], outputs, rows.positions, columns.positions), weight.data.dtype)
    offset = np.ascontiguousarray(parents[2].data) if bias is not None else np.zeros(outputs, y.dtype)
    both = kernels.conv2d, kernels.conv2d_parallel
    work = y.size * weight.data[0].size
    threads.run_product(both, work, images, _matrices(weight.data, groups), offset, rows, columns, y)
    return record(rule, y.reshape(shape), parents, saved=(rows, columns, groups))


def _convolution_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    x, weight, *bias = node.parents
    rows, columns, groups = node.saved
    images, matrices = _images(x.data, rows, columns), _matrices(weight.data, groups)
    outputs, inner = matrices.shape[1:]
    grad_x = np.empty(images.shape if x.requires_grad else (0, *images.shape[1:]), grad.dtype)
    grad_weight = np.zeros((groups, inner if weight.requires_grad else 0, outputs))
    grad_bias = np.zeros(weight.shape[0] if bias and bias[0].requires_grad else 0)
    both = kernels.conv2d_grad, kernels.conv2d_grad_parallel
    grads = np.ascontiguousarray(grad).reshape(-1, weight.shape[0], rows.positions, columns.positions)
    work = grad.size * inner
    threads.run_product(both, work, grads, images, matrices, rows, columns, grad_x, grad_weight, grad_bias)
    return (
        grad_x.reshape(x.shape) if x.requires_grad else None,
        grad_weight.transpose(0, 2, 1).astype(grad.dtype).reshape(weight.shape) if weight.requires_grad else None,
        grad_bias.astype(grad.dtype) if grad_bias.size else None,
    )[: len(node.parents)]


def _lower_convolution(recorder: Any, node: Any) -> Any:
    x, weight, bias = (*node.parents, None)[:3]
    rows, columns, groups = node.saved
    channels, outputs = weight.shape[1] * groups, weight.shape[0]
    samples = x.data.size // (channels * rows.length * columns.length)
    table = recorder.whole([samples, channels, groups, outputs, *rows, *columns])
    offset = recorder.constant(np.zeros(outputs)) if bias is None else recorder.value(bias)
    places, y = (table, recorder.value(x), recorder.value(weight), offset), recorder.new(node.data.size)
    work = node.data.size * (weight.data.size // outputs)
    recorder.emit_product("conv2d", *places, y, work=work, shape=node.shape)

    def backward(grad: Any) -> Any:
        targets = [None if parent is None else recorder.gradient(parent) for parent in (x, weight, bias)]
        flops = 2 * work * sum(target is not None for target in targets[:2])
        recorder.emit_product("conv2d_grad", *places, grad, *targets, work=work, flops=flops, shape=weight.shape)
        return targets[: len(node.parents)]

    return y, backward


_CONV1D, _CONV2D = [
    Rule(name, _convolution_grad, reads=(0, 1), lower=_lower_convolution) for name in ("conv1d", "conv2d")
]

#: A line is an image with one row.
_ONE_ROW = Windows(length=1, positions=1, kernel=1, stride=1, padding=0, dilation=1)


def _images(x: np.ndarray, rows: Windows, columns: Windows) -> np.ndarray:
    """x (N, C, H, W), where a line has H = 1, and a single image N = 1."""
    channels = x.shape[-3] if rows is not _ONE_ROW else x.shape[-2]
    return np.ascontiguousarray(x).reshape(-1, channels, rows.length, columns.length)


def _matrices(weight: np.ndarray, groups: int) -> np.ndarray:
    """The weight as a matrix (outputs, numbers in a window) for each group."""
    return np.ascontiguousarray(weight).reshape(groups, weight.shape[0] // groups, -1)


def max_pool2d(
    x: Tensor, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0, dilation: Lengths = 1
) -> Tensor:
    """y[n, c, i, j] = the largest of the x[n, c] in a window; the stride is the size of the window, unless given.

    Of equal numbers the first in reading order is taken, and alone has the gradient; nan is taken before all numbers.
    """
    checks.image("max_pool2d", x)
    rows, columns = pooling_windows("max_pool2d", x.shape[-2:], kernel_size, stride, padding, dilation)
    shape = (*x.shape[:-2], rows.positions, columns.positions)
    if placement.used and placement.on_gpu("max_pool2d", x):
        return placement.eager().launched(_MAX_POOL, shape, (x,), (None, rows, columns))
    y = np.empty(shape, x.data.dtype)
    places = np.empty(y.shape, np.int32)
    both = kernels.max_pool, kernels.max_pool_parallel
    threads.run(both, x.data.size, threads.COSTLY, _planes(x.data), rows, columns, _planes(y), _planes(places))
    return record(_MAX_POOL, y, (x,), saved=(places, rows, columns))


def _max_pool_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    grad_x, places = np.zeros(node.parents[0].shape, grad.dtype), node.saved[0]
    arrays = [np.ascontiguousarray(a).reshape(-1, a.shape[-2] * a.shape[-1]) for a in (grad, places, grad_x)]
    threads.run((kernels.max_pool_grad, kernels.max_pool_grad_parallel), grad_x.size, threads.COSTLY, *arrays)
    return (grad_x,)


def _lower_max_pool(recorder: Any, node: Tensor) -> Any:
    (x,), (_, rows, columns), size = node.parents, node.saved, node.data.size
    planes = x.data.size // (rows.length * columns.length)
    table, winners = recorder.whole([*rows, *columns]), recorder.room(size)
    y = recorder.new(size)
    work = {"work": x.data.size, "threshold": threads.COSTLY}
    recorder.emit_loop("max_pool", planes, table, recorder.value(x), y, winners, **work, shape=node.shape)

    def backward(grad: Any) -> Any:
        target = recorder.gradient(x)
        if target is not None:
            sizes = planes, size // planes, x.data.size // planes
            recorder.emit_loop("max_pool_grad", *sizes, grad, winners, target, table, **work, shape=x.shape)
        return [target]

    return y, backward


_MAX_POOL = Rule("max_pool2d", _max_pool_grad, reads=(), lower=_lower_max_pool)


def avg_pool2d(x: Tensor, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0) -> Tensor:
    """y[n, c, i, j] = the mean of the x[n, c] in a window; the padding counts as numbers that are 0."""
    checks.image("avg_pool2d", x)
    found = pooling_windows("avg_pool2d", x.shape[-2:], kernel_size, stride, padding)
    return _average(_AVG_POOL, x, *map(_bounds, found))


def _bounds(found: Windows) -> np.ndarray:
    """The begin, the end, and the size with the padding, of each window, (3, count)."""
    begins = np.arange(found.positions) * found.stride - found.padding
    ends = np.minimum(begins + found.kernel, found.length)
    return np.stack([np.maximum(begins, 0), ends, np.full(found.positions, found.kernel)])


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """y[n, c, i, j] = the mean of a part of x[n, c], which is cut into output_size nearly equal parts.

    Part i of a dimension is from floor(i * length / parts) to ceil((i + 1) * length / parts), so parts overlap where
    their number does not divide the length. A pair (rows, columns) may have None for the length that x has.
    """
    checks.image("adaptive_avg_pool2d", x)
    sizes = checks.output_size("adaptive_avg_pool2d", output_size, x.shape[-2:])
    found = [parts(length, count) for length, count in zip(x.shape[-2:], sizes, strict=True)]
    return _average(_ADAPTIVE, x, *[np.array([[p.start, p.stop, len(p)] for p in ps]).T.copy() for ps in found])


def _average(rule: Rule, x: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    shape = (*x.shape[:-2], rows.shape[1], columns.shape[1])
    if placement.used and placement.on_gpu(rule.symbol, x):
        return placement.eager().launched(rule, shape, (x,), (rows, columns))
    y = np.empty(shape, x.data.dtype)
    threads.run(
        (kernels.avg_pool, kernels.avg_pool_parallel),
        x.data.size,
        threads.COSTLY,
        _planes(x.data),
        rows,
        columns,
        _planes(y),
    )
    return record(rule, y, (x,), saved=(rows, columns))


def _average_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    grad_x = np.zeros(node.parents[0].shape, grad.dtype)
    both = kernels.avg_pool_grad, kernels.avg_pool_grad_parallel
    threads.run(both, grad_x.size, threads.COSTLY, _planes(grad), *node.saved, _planes(grad_x))
    return (grad_x,)


def _lower_average(recorder: Any, node: Tensor) -> Any:
    (x,), y = node.parents, recorder.new(node.data.size)
    sizes = x.data.size // (x.shape[-2] * x.shape[-1]), *x.shape[-2:], *node.shape[-2:]
    tables = [recorder.whole(bounds.ravel().tolist()) for bounds in node.saved]
    work = {"work": x.data.size, "threshold": threads.COSTLY}
    recorder.emit_loop("avg_pool", *sizes, *tables, recorder.value(x), y, **work, shape=node.shape)

    def backward(grad: Any) -> Any:
        target = recorder.gradient(x)
        if target is not None:
            recorder.emit_loop("avg_pool_grad", *sizes, *tables, target, grad, **work, shape=x.shape)
        return [target]

    return y, backward


_AVG_POOL, _ADAPTIVE = [
    Rule(name, _average_grad, reads=(), lower=_lower_average) for name in ("avg_pool2d", "adaptive_avg_pool2d")
]


def _planes(x: np.ndarray) -> np.ndarray:
    """The images of all samples and channels, one after another, (P, H, W)."""
    return np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])
