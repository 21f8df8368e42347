"""Normalisation: numbers shifted and scaled to mean 0 and variance 1, over a batch or within each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fast import placement, threads
from fast.kernels import normalization as kernels
from fast.tensors import Gradients, Rule, Tensor, one_dtype, overwrite, record
from micro import checks
from micro.functional.normalization import batch_share


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    num_batches_tracked: Tensor | None = None,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, each of the C channels by itself (Ioffe and Szegedy 2015).

    x is (N, C), (N, C, L) or (N, C, H, W); running_mean, running_var, weight and bias are (C,), or None.
    In training, mean and variance (biased: divided by the count) are those of the batch, and the running ones move
    towards them in place: running = (1 - momentum) * running + momentum * batch, with the unbiased variance (divided
    by the count minus 1). Else the running ones are used, as constants.

    momentum: 0.1 unless given; None for 1 / num_batches_tracked, which makes the running ones plain means.
    num_batches_tracked: a tensor of one whole number, which training increases by 1; None counts nothing.
    """
    count = checks.batch_norm_arguments(x, running_mean, running_var, weight, bias, training)
    parents = _parents("batch_norm", x, weight, bias)
    unbiased = count / (count - 1) if training else 1.0
    counter, fixed = (num_batches_tracked, 0.0) if momentum is None else (None, momentum)
    settings = running_mean, running_var, counter, (eps, fixed, unbiased)
    if placement.used and placement.on_gpu("batch_norm", *parents, running_mean, running_var, num_batches_tracked):
        if training:
            batch_share(momentum, num_batches_tracked)  # the instruction moves the running means
        given = None, weight is not None, training, None, None, settings
        return placement.eager().launched(_BATCH_NORM, x.shape, parents, given)
    numbers, factors, offsets = _with_defaults(parents, weight, bias, x.shape[1:2])
    mean, variance = np.empty(x.shape[1]), np.empty(x.shape[1])
    if not training:
        mean[:], variance[:] = running_mean.data, running_var.data  # type: ignore[union-attr]
    y = np.empty(x.shape, numbers.dtype)
    both = kernels.batch_norm, kernels.batch_norm_parallel
    threads.run(
        both,
        x.data.size,
        threads.CHEAP,
        _samples(numbers),
        factors,
        offsets,
        float(eps),
        training,
        mean,
        variance,
        _samples(y),
    )
    if training:
        share = batch_share(momentum, num_batches_tracked)
        for running, new in ((running_mean, mean), (running_var, variance * unbiased)):
            if running is not None:
                overwrite(running, (1 - share) * running.data + share * new)
    saved = factors, weight is not None, training, mean, 1 / np.sqrt(variance + eps), settings
    return record(_BATCH_NORM, y, parents, saved)


def _batch_norm_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    factors, has_weight, training, mean, factor, _ = node.saved
    x = node.parents[0]
    grad_x, (grad_weight, grad_bias) = np.empty(x.shape, grad.dtype), np.empty((2, mean.size), grad.dtype)
    both = kernels.batch_norm_grad, kernels.batch_norm_grad_parallel
    arrays = _samples(grad), _samples(x.data), factors, training, mean, factor
    threads.run(both, grad.size, threads.CHEAP, *arrays, _samples(grad_x), grad_weight, grad_bias)
    return _gradients(node, grad_x, grad_weight, grad_bias, has_weight)


def _lower_batch_norm(recorder: Any, node: Tensor) -> Any:
    x, (_, has_weight, training, _, _, settings) = node.parents[0], node.saved
    running_mean, running_var, counter, numbers = settings
    sizes = len(x), x.data.size // len(x), x.shape[1], int(training)
    places, y = _places(recorder, node, has_weight, x.shape[1:2]), recorder.new(x.data.size)
    kept, about = recorder.wide(2 * x.shape[1]), {"work": x.data.size, "threshold": threads.CHEAP, "shape": x.shape}
    running = [*map(recorder.buffer, (running_mean, running_var)), recorder.count(counter)]
    recorder.emit_loop("batch_norm", *sizes, *places, y, kept, *running, **about, numbers=numbers)

    def backward(grad: Any) -> Any:
        targets, found = _targets(recorder, node, has_weight)
        recorder.emit_loop("batch_norm_grad", *sizes, *places[:2], grad, kept, *targets, **about, numbers=numbers[:1])
        return found

    return y, backward


_BATCH_NORM = Rule("batch_norm", _batch_norm_grad, reads=(0,), lower=_lower_batch_norm)


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, each sample by itself (Ba, Kiros and Hinton 2016).

    normalized_shape: the last dimensions of x, over which mean and (biased) variance are taken; weight and bias have
        this shape.
    """
    shape = checks.normalized_shape("layer_norm", x, normalized_shape, weight, bias)
    return _within(_LAYER_NORM, x, shape, weight, bias, eps)


def rms_norm(
    x: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean of x^2 + eps) * weight, each sample by itself (Zhang and Sennrich 2019): no mean is subtracted.

    normalized_shape: the last dimensions of x, over which the mean is taken; weight has this shape.
    eps: left out, the distance from 1 to the next number of x's type, as in PyTorch.
    """
    shape = checks.normalized_shape("rms_norm", x, normalized_shape, weight, None)
    return _within(_RMS_NORM, x, shape, weight, None, float(np.finfo(x.dtype).eps) if eps is None else eps)


def _within(
    rule: Rule, x: Tensor, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise each part of x that has this shape, as a row."""
    parents = _parents(rule.symbol, x, weight, bias)
    if placement.used and placement.on_gpu(rule.symbol, *parents):
        factors = placement.shape_only((math.prod(shape),), parents[0].data.dtype)
        return placement.eager().launched(rule, x.shape, parents, (factors, weight is not None, None, None, float(eps)))
    numbers, factors, offsets = _with_defaults(parents, weight, bias, shape)
    table = np.ascontiguousarray(numbers).reshape(-1, math.prod(shape))
    mean, factor = np.empty((2, len(table)))
    y = np.empty(x.shape, numbers.dtype)
    both = kernels.layer_norm, kernels.layer_norm_parallel
    threads.run(
        both,
        table.size,
        threads.CHEAP,
        table,
        factors,
        offsets,
        rule is _LAYER_NORM,
        float(eps),
        mean,
        factor,
        y.reshape(table.shape),
    )
    return record(rule, y, parents, (factors, weight is not None, mean, factor, float(eps)))


def _within_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    factors, has_weight, mean, factor, _ = node.saved
    x = node.parents[0]
    table = np.ascontiguousarray(x.data).reshape(-1, factors.size)
    grad_x = np.empty(x.shape, grad.dtype)
    sums = np.zeros((_blocks(len(table)), 2, factors.size))
    both = kernels.layer_norm_grad, kernels.layer_norm_grad_parallel
    g = np.ascontiguousarray(grad).reshape(table.shape)
    threads.run(
        both,
        g.size,
        threads.CHEAP,
        g,
        table,
        factors,
        node.op is _LAYER_NORM,
        mean,
        factor,
        grad_x.reshape(-1, factors.size),
        sums,
    )
    grad_weight, grad_bias = sums.sum(0).astype(grad.dtype)
    return _gradients(node, grad_x, grad_weight, grad_bias, has_weight)


#: Blocks of rows at most, and rows in a block at least. The number of cores has no say, so that it changes no result.
_BLOCKS = 64


def _blocks(rows: int) -> int:
    return min(1 + rows // _BLOCKS, _BLOCKS)


def _lower_within(recorder: Any, node: Any) -> Any:
    x, (factors, has_weight, _, _, eps) = node.parents[0], node.saved
    sizes = x.data.size // factors.size, factors.size, int(node.op is _LAYER_NORM)
    places, y = _places(recorder, node, has_weight, factors.shape), recorder.new(x.data.size)
    kept, about = recorder.wide(2 * sizes[0]), {"work": x.data.size, "threshold": threads.CHEAP, "shape": x.shape}
    recorder.emit_loop("layer_norm", *sizes, *places, y, kept, **about, numbers=[eps])

    def backward(grad: Any) -> Any:
        targets, found = _targets(recorder, node, has_weight)
        arguments = *sizes, *places[:2], grad, kept, *targets, _blocks(sizes[0])
        recorder.emit_loop("layer_norm_grad", *arguments, **about)
        return found

    return y, backward


def _places(recorder: Any, node: Tensor, has_weight: bool, shape: tuple[int, ...]) -> list[Any]:
    """Those of x, weight and bias; ones and zeros where there are none."""
    x, *others = node.parents
    weight = recorder.value(others.pop(0)) if has_weight else recorder.constant(np.ones(shape))
    return [recorder.value(x), weight, recorder.value(others[0]) if others else recorder.constant(np.zeros(shape))]


def _targets(recorder: Any, node: Tensor, has_weight: bool) -> tuple[list[Any], list[Any]]:
    """The places for the gradients of x, weight and bias, None where there are none; and those of the parents alone.

    The kernels always write the gradient of x.
    """
    found = [recorder.gradient(parent) for parent in node.parents]
    padded = found if has_weight else [found[0], None, *found[1:]]
    return [found[0] or recorder.new(node.data.size), *[*padded[1:], None, None][:2]], found


_LAYER_NORM, _RMS_NORM = [
    Rule(name, _within_grad, reads=(0,), lower=_lower_within) for name in ("layer_norm", "rms_norm")
]


def _parents(name: str, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, ...]:
    return one_dtype(name, x, *[tensor for tensor in (weight, bias) if tensor is not None])


def _with_defaults(
    parents: tuple[Tensor, ...], weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, and weight and bias as the one-dimensional arrays that kernels take: ones and zeros where there are none.

    The weight is copied, for the way back reads it, and an optimizer may have moved it by then.
    """
    x = parents[0].data
    factors = np.ones(shape, x.dtype) if weight is None else parents[1].data.copy()
    offsets = np.zeros(shape, x.dtype) if bias is None else parents[-1].data
    return x, factors.ravel(), offsets.ravel()


def _gradients(
    node: Tensor, grad_x: np.ndarray, grad_weight: np.ndarray, grad_bias: np.ndarray, has_weight: bool
) -> Gradients:
    """Those of the parents: x, then the weight and the bias, where there are any."""
    found = [grad_x, *([grad_weight] if has_weight else []), grad_bias][: len(node.parents)]
    return [g.reshape(p.shape) if p.requires_grad else None for g, p in zip(found, node.parents, strict=True)]


def _samples(x: np.ndarray) -> np.ndarray:
    """(N, C, ...) as the table (N, C * ...)."""
    return np.ascontiguousarray(x).reshape(len(x), -1)
