"""Normalisation: numbers shifted and scaled to mean 0 and variance 1, over a batch or within each sample."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from micro import checks
from micro.array import Array, at, build, flatten, regroup
from micro.functional.reductions import add_up


def batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    num_batches_tracked: Array | None = None,
) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, each of the C channels by itself (Ioffe and Szegedy 2015).

    x is (N, C), (N, C, L) or (N, C, H, W); running_mean, running_var, weight and bias are (C,), or None.
    In training, mean and variance (biased: divided by the count) are those of the batch, and the running ones move
    towards them in place: running = (1 - momentum) * running + momentum * batch, with the unbiased variance (divided
    by the count minus 1). Else the running ones are used, as constants.

    momentum: 0.1 unless given; None for 1 / num_batches_tracked, which makes the running ones plain means.
    num_batches_tracked: a tensor of one whole number, which training increases by 1; None counts nothing.
    """
    count = checks.batch_norm_arguments(x, running_mean, running_var, weight, bias, training)
    means, deviations = [], []
    share = batch_share(momentum, num_batches_tracked) if training else 0.0
    for c in range(x.shape[1]):
        if training:
            mean, variance = _moments([value for sample in x.values for value in flatten(sample[c])])
            _move(running_mean, c, share, mean.data)
            _move(running_var, c, share, variance.data * count / (count - 1))
        else:
            mean, variance = [running.values[c].detach() for running in (running_mean, running_var)]  # type: ignore[union-attr]
        means.append(mean)
        deviations.append((variance + eps).sqrt())

    def element(n: int, c: int, *place: int) -> Any:
        normal = (at(x.values, (n, c, *place)) - means[c]) / deviations[c]
        return _affine(normal, weight, bias, (c,))

    return build(x.shape, element)


def batch_share(momentum: float | None, num_batches_tracked: Any) -> float:
    """Count a batch of training; returns its share of the running mean and variance."""
    checks.counted(momentum, num_batches_tracked)
    if num_batches_tracked is not None:
        num_batches_tracked.copy_(num_batches_tracked.item() + 1)
    return 1 / num_batches_tracked.item() if momentum is None else momentum


def _move(running: Array | None, c: int, share: float, new: float) -> None:
    if running is not None:
        running.values[c].data = (1 - share) * running.values[c].data + share * new


def layer_norm(
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, each sample by itself (Ba, Kiros and Hinton 2016).

    normalized_shape: the last dimensions of x, over which mean and (biased) variance are taken; weight and bias have
        this shape.
    """
    shape = checks.normalized_shape("layer_norm", x, normalized_shape, weight, bias)

    def normalize(line: list[Any]) -> list[Any]:
        mean, variance = _moments(line)
        deviation = (variance + eps).sqrt()
        return [(value - mean) / deviation for value in line]

    return _within(x, shape, normalize, weight, bias)


def rms_norm(
    x: Array, normalized_shape: int | Sequence[int], weight: Array | None = None, eps: float | None = None
) -> Array:
    """x / sqrt(mean of x^2 + eps) * weight, each sample by itself (Zhang and Sennrich 2019): no mean is subtracted.

    normalized_shape: the last dimensions of x, over which the mean is taken; weight has this shape.
    eps: left out, the distance from 1 to the next number of x's type, as in PyTorch.
    """
    shape = checks.normalized_shape("rms_norm", x, normalized_shape, weight, None)
    added = sys.float_info.epsilon if eps is None else eps

    def normalize(line: list[Any]) -> list[Any]:
        size = (add_up([value * value for value in line]) / len(line) + added).sqrt()
        return [value / size for value in line]

    return _within(x, shape, normalize, weight, None)


def _moments(values: Sequence[Any]) -> tuple[Any, Any]:
    """The mean, and the mean of the squared distances from it."""
    mean = add_up(values) / len(values)
    return mean, add_up([(value - mean) ** 2 for value in values]) / len(values)


def _within(
    x: Array,
    shape: checks.Shape,
    normalize: Callable[[list[Any]], list[Any]],
    weight: Array | None,
    bias: Array | None,
) -> Array:
    """Replace each part of x that has this shape, as a line of elements, with `normalize(line) * weight + bias`."""
    numbers, size = list(x.flat()), math.prod(shape)
    lines = [normalize(numbers[start : start + size]) for start in range(0, len(numbers), size)]
    normal = regroup((value for line in lines for value in line), x.shape)
    return build(x.shape, lambda *place: _affine(at(normal, place), weight, bias, place[-len(shape) :]))


def _affine(normal: Any, weight: Array | None, bias: Array | None, place: tuple[int, ...]) -> Any:
    """normal * weight + bias, with the weight and the bias at this place, where there are any."""
    scaled = normal if weight is None else normal * at(weight.values, place)
    return scaled if bias is None else scaled + at(bias.values, place)
