"""Losses: the mean over all elements, a tensor without dimensions. The kernels compute the gradient on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fast.arrays import flat
from fast.kernels import losses as kernels
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks
from micro.vocabulary import grad_mode


def mse_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error: the mean of (prediction - target)^2."""
    return _loss(_MSE, kernels.mse_loss, prediction, target)


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


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,)."""
    checks.class_labels(logits, labels, ())
    grad = np.empty(logits.shape, logits.data.dtype)
    loss, known = kernels.cross_entropy(np.ascontiguousarray(logits.data), np.ascontiguousarray(labels.data), grad)
    if not known:
        checks.class_labels(logits, labels, labels.tolist())
    return record(_CROSS_ENTROPY, np.array(loss, grad.dtype), (logits,), saved=grad)


def l2_penalty(parameters: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all elements of all parameters."""
    total = 0.0
    for parameter in parameters:
        numbers = flat(parameter.data)
        total += float(np.dot(numbers, numbers))
    return record(_L2, np.array(total, parameters[0].data.dtype), tuple(parameters))


def _l2_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    twice = 2 * grad.item()
    return [np.asarray(p.data * p.data.dtype.type(twice)) if p.requires_grad else None for p in node.parents]


_L2 = Rule("l2_penalty", _l2_grad)


def _loss(rule: Rule, kernel: Callable[..., tuple[float, bool]], prediction: Tensor, target: Tensor) -> Tensor:
    checks.same_shape(rule.symbol, prediction, target)
    if target.requires_grad and grad_mode.recording:
        raise ValueError(f"{rule.symbol}: the target requires a gradient; give target.detach()")
    numbers = prediction.data
    grad = np.empty(numbers.shape, numbers.dtype)
    loss, known = kernel(flat(numbers), flat(target.data.astype(numbers.dtype, copy=False)), flat(grad))
    if not known:
        checks.loss_arguments(rule.symbol, flat(numbers).tolist(), flat(target.data).tolist())
    return record(rule, np.array(loss, numbers.dtype), (prediction,), saved=grad)


def _loss_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (np.asarray(node.saved * grad),)


_MSE, _HINGE = Rule("mse_loss", _loss_grad, reads=()), Rule("hinge_loss", _loss_grad, reads=())
_BCE, _BCE_LOGITS = (
    Rule("binary_cross_entropy", _loss_grad, reads=()),
    Rule("binary_cross_entropy_with_logits", _loss_grad, reads=()),
)
_CROSS_ENTROPY = Rule("cross_entropy", _loss_grad, reads=())
