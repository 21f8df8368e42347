"""Losses: the mean over all elements, a tensor without dimensions. The kernels compute the gradient on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fast import placement
from fast.kernels import losses as kernels
from fast.kernels import updates
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks
from micro.vocabulary import float32, float64, grad_mode


@dataclass
class _Loss:
    """What a loss keeps: the gradient of its scores (but on a GPU), and what else it was computed from."""

    grad: np.ndarray | None
    target: Tensor
    weight: Tensor | None
    class_weight: Tensor | None
    settings: tuple[float | np.ndarray, ...]


def mse_loss(prediction: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """The mean squared error: the mean of (prediction - target)^2."""
    return _loss(_MSE, kernels.mse_loss, prediction, target, sample_weight)


def l1_loss(prediction: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """The mean of |prediction - target|. Where they are equal, the slope is 0."""
    return _loss(_L1, kernels.l1_loss, prediction, target, sample_weight)


def huber_loss(
    prediction: Tensor, target: Tensor, *, delta: float = 1.0, sample_weight: Tensor | None = None
) -> Tensor:
    """The mean of e^2 / 2 where |e| < delta, else of delta * (|e| - delta / 2), for e = prediction - target.

    A parabola near 0 that goes on as a straight line, so that outliers pull no harder than delta (Huber 1964).
    """
    checks.positive_number("huber_loss", "delta", delta)
    return _loss(_HUBER, kernels.huber_loss, prediction, target, sample_weight, float(delta))


def hinge_loss(prediction: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1."""
    return _loss(_HINGE, kernels.hinge_loss, prediction, target, sample_weight)


def binary_cross_entropy(prediction: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """The mean of -(t * log(p) + (1 - t) * log(1 - p)), for probabilities p and targets t between 0 and 1.

    As in PyTorch the logarithms stop at -100, so a prediction of exactly 0 or 1 costs 100 at most. Where they have
    stopped the loss is flat and its gradient 0. (PyTorch's loss is flat there too; its gradient is -1e12.)
    """
    return _loss(_BCE, kernels.binary_cross_entropy, prediction, target, sample_weight)


def binary_cross_entropy_with_logits(
    prediction: Tensor, target: Tensor, *, pos_weight: Tensor | None = None, sample_weight: Tensor | None = None
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(prediction), without overflow: the mean of softplus(x) - t * x.

    pos_weight: how much the part of positive targets counts, of a shape that stretches to the prediction's, such as
        (C,) or (); 1 unless given. Then it is the mean of (1 - t) * x + (1 + (pos_weight - 1) * t) * softplus(-x).
    """
    counts = np.empty(0, prediction.data.dtype)
    if pos_weight is not None:
        checks.positive_weights(_BCE_LOGITS.symbol, prediction, pos_weight)
        given = placement.host(pos_weight.data).astype(prediction.dtype)
        counts = np.broadcast_to(given, prediction.shape).ravel()
    kernel = kernels.binary_cross_entropy_with_logits
    return _loss(_BCE_LOGITS, kernel, prediction, target, sample_weight, counts)


def nll_loss(
    log_probabilities: Tensor, labels: Tensor, *, weight: Tensor | None = None, sample_weight: Tensor | None = None
) -> Tensor:
    """The mean of -log_probabilities[n, label], for log_probabilities (N, C) and integer labels (N,).

    weight, sample_weight: see `cross_entropy`.
    """
    return _class_loss(_NLL, kernels.nll_loss, log_probabilities, labels, weight, sample_weight)


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,).

    weight: how much each class counts, (C,): the mean is weighted by that of each row's label, so the sum is divided by
        the sum of these weights.
    label_smoothing: this share of the weight moves from the label to all C classes, in equal parts (Szegedy et al.
        2016), so that the network need not be surer than that. Each class has its part multiplied by its weight.
    sample_weight: what the loss of each row is multiplied by, (N,); nothing is divided by it.
    """
    checks.probability("cross_entropy", "label_smoothing", label_smoothing)
    kernel, smoothing = kernels.cross_entropy, float(label_smoothing)
    return _class_loss(_CROSS_ENTROPY, kernel, logits, labels, weight, sample_weight, smoothing)


def _class_loss(
    rule: Rule,
    kernel: Callable[..., tuple[float, bool]],
    scores: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    *settings: float,
) -> Tensor:
    """Run a kernel that takes scores (N, C) and the number of each row's class."""
    checks.class_labels(rule.symbol, scores, labels, ())
    checks.loss_weights(rule.symbol, scores, weight, sample_weight)
    if placement.used and placement.on_gpu(rule.symbol, scores, labels, weight, sample_weight):
        saved = _Loss(None, labels, sample_weight, weight, settings)
        return placement.eager().launched(rule, (), (scores,), saved, lambda: _complain_of_labels(rule, scores, labels))
    numbers, classes = np.ascontiguousarray(scores.data), np.ascontiguousarray(labels.data)
    grad = np.empty(numbers.shape, numbers.dtype)
    weights = _array(sample_weight, numbers.dtype), _array(weight, numbers.dtype)
    loss, known = kernel(numbers, classes, grad, *weights, *settings)
    if not known:
        _complain_of_labels(rule, scores, labels)
    saved = _Loss(grad, labels, sample_weight, weight, settings)
    return record(rule, np.array(loss, grad.dtype), (scores,), saved)


def _complain_of_labels(rule: Rule, scores: Tensor, labels: Tensor) -> None:
    """Say which label is no class."""
    checks.class_labels(rule.symbol, scores, labels, labels.tolist())


#: What stands for weights that are all 1.
_EVEN = {np.dtype(name): np.empty(0, name) for name in (float32, float64)}


def _array(weight: Tensor | None, dtype: np.dtype) -> np.ndarray:
    """Weights as kernels take them."""
    return _EVEN[dtype] if weight is None else np.ascontiguousarray(weight.data, dtype)


def l1_penalty(parameters: Sequence[Tensor]) -> Tensor:
    """The sum of the sizes |p| of all elements of all parameters, with a slope of 0 at 0."""
    if placement.used and placement.on_gpu("l1_penalty", *parameters):
        return placement.eager().launched(_L1_PENALTY, (), tuple(parameters))
    total = sum([kernels.sizes(parameter.data.ravel()) for parameter in parameters])
    return record(_L1_PENALTY, np.array(total, parameters[0].data.dtype), tuple(parameters))


def _l1_penalty_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return [np.sign(p.data) * grad if p.requires_grad else None for p in node.parents]


def _lower_penalty(recorder: Any, node: Any) -> Any:
    """A kernel that goes through the list of all parameters, and on the way back one for each."""
    places, name, y = [recorder.value(p) for p in node.parents], node.op.symbol, recorder.new(1)
    table, flops = recorder.listed(places), sum(place.size for place in places)
    recorder.emit(name, len(places), table, y, flops=flops, listed=places)

    def backward(grad: Any) -> Sequence[Any]:
        targets = [recorder.gradient(p) for p in node.parents]
        for place, target, p in zip(places, targets, node.parents, strict=True):
            if target is not None:
                recorder.emit(f"{name}_grad", place.size, place, grad, target, flops=place.size, shape=p.shape)
        return targets

    return y, backward


_L1_PENALTY = Rule("l1_penalty", _l1_penalty_grad, lower=_lower_penalty)


def l2_penalty(parameters: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all elements of all parameters."""
    if placement.used and placement.on_gpu("l2_penalty", *parameters):
        return placement.eager().launched(_L2, (), tuple(parameters))
    total = sum([updates.squares(parameter.data.ravel()) for parameter in parameters])
    return record(_L2, np.array(total, parameters[0].data.dtype), tuple(parameters))


def _l2_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    twice = 2 * grad.item()
    return [p.data * p.data.dtype.type(twice) if p.requires_grad else None for p in node.parents]


_L2 = Rule("l2_penalty", _l2_grad, lower=_lower_penalty)


def _loss(
    rule: Rule,
    kernel: Callable[..., tuple[float, bool]],
    prediction: Tensor,
    target: Tensor,
    sample_weight: Tensor | None,
    *settings: float | np.ndarray,
) -> Tensor:
    """Run a kernel that takes a number, a target and a weight for each element."""
    checks.same_shape(rule.symbol, prediction, target)
    if target.requires_grad and grad_mode.recording:
        raise ValueError(f"{rule.symbol}: the target requires a gradient; give target.detach()")
    checks.loss_weights(rule.symbol, prediction, None, sample_weight)
    if placement.used and placement.on_gpu(rule.symbol, prediction, target, sample_weight):
        saved = _Loss(None, target, sample_weight, None, settings)
        return placement.eager().launched(rule, (), (prediction,), saved, lambda: _complain(rule, prediction, target))
    numbers = prediction.data
    grad = np.empty(numbers.shape, numbers.dtype)
    weights = _array(sample_weight, numbers.dtype)
    if weights.size not in (0, numbers.size):
        weights = np.repeat(weights, numbers.size // weights.size)
    wanted = target.data.astype(numbers.dtype, copy=False).ravel()
    loss, known = kernel(numbers.ravel(), wanted, grad.ravel(), weights, *settings)
    if not known:
        _complain(rule, prediction, target)
    saved = _Loss(grad, target, sample_weight, None, settings)
    return record(rule, np.array(loss, numbers.dtype), (prediction,), saved)


def _complain(rule: Rule, prediction: Tensor, target: Tensor) -> None:
    """Say which numbers are none that the loss takes."""
    numbers = [placement.host(tensor.data).ravel().tolist() for tensor in (prediction, target)]
    checks.loss_arguments(rule.symbol, *numbers)


def _loss_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (np.asarray(node.saved.grad * grad),)


def _lower_loss(recorder: Any, node: Any) -> Any:
    """A loss of numbers: the kernel of its name, and its gradient times that of the result."""
    saved, (prediction,) = node.saved, node.parents
    size, slopes, y = prediction.data.size, recorder.new(prediction.data.size), recorder.new(1)
    weight = recorder.value(saved.weight)
    if saved.weight is not None:
        rows = saved.weight.data.size
        weight = recorder.picked(weight, np.repeat(np.arange(rows), size // rows))
    arrays = [array for array in saved.settings if isinstance(array, np.ndarray) and array.size]
    numbers = [number for number in saved.settings if not isinstance(number, np.ndarray)]
    recorder.emit(
        node.op.symbol,
        *(size, recorder.value(prediction), recorder.value(saved.target), slopes, weight, y),
        *map(recorder.constant, arrays),
        flops=size,
        shape=prediction.shape,
        numbers=numbers,
    )
    return y, _scaled(recorder, prediction, slopes)


def _lower_class_loss(recorder: Any, node: Any) -> Any:
    """A loss of classes, likewise."""
    saved, (scores,) = node.saved, node.parents
    slopes, y = recorder.new(scores.data.size), recorder.new(1)
    recorder.emit(
        node.op.symbol,
        *(*scores.shape, recorder.value(scores), recorder.labels(saved.target), slopes),
        *(recorder.value(saved.weight), recorder.value(saved.class_weight), y),
        flops=scores.data.size,
        shape=scores.shape,
        numbers=saved.settings,
    )
    return y, _scaled(recorder, scores, slopes)


def _scaled(recorder: Any, x: Tensor, slopes: Any) -> Callable[[Any], Sequence[Any]]:
    """Writes the gradient of x: the slopes times the gradient of the loss."""

    def backward(grad: Any) -> Sequence[Any]:
        target = recorder.gradient(x)
        if target is not None:
            recorder.emit("scale", slopes.size, slopes, grad, target, flops=slopes.size, shape=x.shape)
        return [target]

    return backward


_MSE, _L1, _HUBER, _HINGE, _BCE, _BCE_LOGITS = [
    Rule(name, _loss_grad, reads=(), lower=_lower_loss)
    for name in (
        *("mse_loss", "l1_loss", "huber_loss", "hinge_loss"),
        *("binary_cross_entropy", "binary_cross_entropy_with_logits"),
    )
]
_CROSS_ENTROPY, _NLL = [
    Rule(name, _loss_grad, reads=(), lower=_lower_class_loss) for name in ("cross_entropy", "nll_loss")
]
