"""Losses: the mean over all elements, a tensor without dimensions. The kernels compute the gradient on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fast.kernels import losses as kernels
from fast.kernels import updates
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks
from micro.vocabulary import grad_mode


def mse_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error: the mean of (prediction - target)^2."""
    return _loss(_MSE, kernels.mse_loss, prediction, target)


def l1_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of |prediction - target|. Where they are equal, the slope is 0."""
    return _loss(_L1, kernels.l1_loss, prediction, target)


def huber_loss(prediction: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """The mean of e^2 / 2 where |e| < delta, else of delta * (|e| - delta / 2), for e = prediction - target.

    A parabola near 0 that goes on as a straight line, so that outliers pull no harder than delta (Huber 1964).
    """
    checks.positive_number("huber_loss", "delta", delta)
    return _loss(_HUBER, kernels.huber_loss, prediction, target, float(delta))


def hinge_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1."""
    return _loss(_HINGE, kernels.hinge_loss, prediction, target)


def binary_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of -(t * log(p) + (1 - t) * log(1 - p)), for probabilities p and targets t between 0 and 1.

    As in PyTorch the logarithms stop at -100, so a prediction of exactly 0 or 1 costs 100 at most. Where they have
    stopped the loss is flat and its gradient 0. (PyTorch's loss is flat there too; its gradient is -1e12.)
    """
    return _loss(_BCE, kernels.binary_cross_entropy, prediction, target)


def binary_cross_entropy_with_logits(prediction: Tensor, target: Tensor) -> Tensor:
    """`binary_cross_entropy` of sigmoid(prediction), without overflow: the mean of softplus(x) - t * x."""
    return _loss(_BCE_LOGITS, kernels.binary_cross_entropy_with_logits, prediction, target)


def nll_loss(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """The mean of -log_probabilities[n, label], for log_probabilities (N, C) and integer labels (N,)."""
    return _class_loss(_NLL, kernels.nll_loss, log_probabilities, labels)


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,).

    label_smoothing: this share of the weight moves from the label to all C classes, in equal parts (Szegedy et al.
        2016), so that the network need not be surer than that.
    """
    checks.probability("cross_entropy", "label_smoothing", label_smoothing)
    return _class_loss(_CROSS_ENTROPY, kernels.cross_entropy, logits, labels, float(label_smoothing))


def _class_loss(
    rule: Rule, kernel: Callable[..., tuple[float, bool]], scores: Tensor, labels: Tensor, *settings: float
) -> Tensor:
    """Run a kernel that takes scores (N, C) and the number of each row's class."""
    checks.class_labels(rule.symbol, scores, labels, ())
    grad = np.empty(scores.shape, scores.data.dtype)
    loss, known = kernel(np.ascontiguousarray(scores.data), np.ascontiguousarray(labels.data), grad, *settings)
    if not known:
        checks.class_labels(rule.symbol, scores, labels, labels.tolist())
    return record(rule, np.array(loss, grad.dtype), (scores,), saved=grad)


def l2_penalty(parameters: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all elements of all parameters."""
    total = sum([updates.squares(parameter.data.ravel()) for parameter in parameters])
    return record(_L2, np.array(total, parameters[0].data.dtype), tuple(parameters))


def _l2_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    twice = 2 * grad.item()
    return [p.data * p.data.dtype.type(twice) if p.requires_grad else None for p in node.parents]


_L2 = Rule("l2_penalty", _l2_grad)


def _loss(
    rule: Rule, kernel: Callable[..., tuple[float, bool]], prediction: Tensor, target: Tensor, *settings: float
) -> Tensor:
    """Run a kernel that takes a number and a target for each element."""
    checks.same_shape(rule.symbol, prediction, target)
    if target.requires_grad and grad_mode.recording:
        raise ValueError(f"{rule.symbol}: the target requires a gradient; give target.detach()")
    numbers = prediction.data
    grad = np.empty(numbers.shape, numbers.dtype)
    loss, known = kernel(
        numbers.ravel(), target.data.astype(numbers.dtype, copy=False).ravel(), grad.ravel(), *settings
    )
    if not known:
        checks.loss_arguments(rule.symbol, numbers.ravel().tolist(), target.data.ravel().tolist())
    return record(rule, np.array(loss, numbers.dtype), (prediction,), saved=grad)


def _loss_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (np.asarray(node.saved * grad),)


_MSE, _HINGE = Rule("mse_loss", _loss_grad, reads=()), Rule("hinge_loss", _loss_grad, reads=())
_L1, _HUBER = Rule("l1_loss", _loss_grad, reads=()), Rule("huber_loss", _loss_grad, reads=())
_BCE = Rule("binary_cross_entropy", _loss_grad, reads=())
_BCE_LOGITS = Rule("binary_cross_entropy_with_logits", _loss_grad, reads=())
_CROSS_ENTROPY, _NLL = Rule("cross_entropy", _loss_grad, reads=()), Rule("nll_loss", _loss_grad, reads=())
