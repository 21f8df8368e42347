"""Losses: the mean over all elements, a single Value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from micro import checks
from micro.array import Array, elements, flatten
from micro.functional.reductions import add_up, log_softmax, mean
from micro.functional.shapes import to
from micro.value import Value
from micro.vocabulary import float64


def mse_loss(prediction: Array, target: Array) -> Value:
    """The mean squared error: the mean of (prediction - target)^2."""
    checks.same_shape("mse_loss", prediction, target)
    return mean((prediction - target) ** 2)


def hinge_loss(prediction: Array, target: Array) -> Value:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1."""
    checks.same_shape("hinge_loss", prediction, target)
    checks.loss_arguments("hinge_loss", (), flatten(target.tolist()))
    return mean((1 - target * prediction).relu())


def binary_cross_entropy(prediction: Array, target: Array) -> Value:
    """The mean of -(t * log(p) + (1 - t) * log(1 - p)), for probabilities p and targets t between 0 and 1.

    As in PyTorch the logarithms stop at -100, so a prediction of exactly 0 or 1 costs 100 at most. Where they have
    stopped the loss is flat and its gradient 0. (PyTorch's loss is flat there too; its gradient is -1e12.)
    """
    checks.same_shape("binary_cross_entropy", prediction, target)
    checks.loss_arguments("binary_cross_entropy", flatten(prediction.tolist()), flatten(target.tolist()))
    smallest = math.exp(-100)
    target = to(target, float64)
    yes, no = prediction.maximum(smallest).log(), (1 - prediction).maximum(smallest).log()
    return -mean(target * yes + (1 - target) * no)


def binary_cross_entropy_with_logits(prediction: Array, target: Array) -> Value:
    """`binary_cross_entropy` of sigmoid(prediction), without overflow: the mean of softplus(x) - t * x."""
    checks.same_shape("binary_cross_entropy_with_logits", prediction, target)
    checks.loss_arguments("binary_cross_entropy_with_logits", (), flatten(target.tolist()))
    return mean(prediction.softplus() - target * prediction)


def cross_entropy(logits: Array, labels: Array) -> Value:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,)."""
    checks.class_labels(logits, labels, labels.values if isinstance(labels, Array) else ())
    likelihoods = log_softmax(logits).values
    return -add_up([row[label] for row, label in zip(likelihoods, labels.values, strict=True)]) / len(likelihoods)


def l2_penalty(parameters: Sequence[Array]) -> Value:
    """The sum of the squares of all elements of all parameters."""
    return add_up([value * value for value in elements(parameters)])
