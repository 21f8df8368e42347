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


def l1_loss(prediction: Array, target: Array) -> Value:
    """The mean of |prediction - target|. Where they are equal, the slope is 0."""
    checks.same_shape("l1_loss", prediction, target)
    return mean(abs(prediction - target))


def huber_loss(prediction: Array, target: Array, *, delta: float = 1.0) -> Value:
    """The mean of e^2 / 2 where |e| < delta, else of delta * (|e| - delta / 2), for e = prediction - target.

    A parabola near 0 that goes on as a straight line, so that outliers pull no harder than delta (Huber 1964).
    """
    checks.same_shape("huber_loss", prediction, target)
    checks.positive_number("huber_loss", "delta", delta)
    error = abs(prediction - target)
    bent = error.minimum(delta)
    return mean(bent * (error - bent / 2))


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


def nll_loss(log_probabilities: Array, labels: Array) -> Value:
    """The mean of -log_probabilities[n][label], for log_probabilities (N, C) and integer labels (N,)."""
    checks.class_labels("nll_loss", log_probabilities, labels, labels.values if isinstance(labels, Array) else ())
    return -_mean_at(log_probabilities, labels)


def cross_entropy(logits: Array, labels: Array, *, label_smoothing: float = 0.0) -> Value:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,).

    label_smoothing: this share of the weight moves from the label to all C classes, in equal parts (Szegedy et al.
        2016), so that the network need not be surer than that.
    """
    checks.class_labels("cross_entropy", logits, labels, labels.values if isinstance(labels, Array) else ())
    checks.probability("cross_entropy", "label_smoothing", label_smoothing)
    likelihoods = log_softmax(logits)
    if label_smoothing == 0:
        return -_mean_at(likelihoods, labels)
    return -((1 - label_smoothing) * _mean_at(likelihoods, labels) + label_smoothing * mean(likelihoods))


def _mean_at(scores: Array, labels: Array) -> Value:
    """The mean, over the rows, of the score of each row's label."""
    return add_up([row[label] for row, label in zip(scores.values, labels.values, strict=True)]) / len(labels)


def l2_penalty(parameters: Sequence[Array]) -> Value:
    """The sum of the squares of all elements of all parameters."""
    return add_up([value * value for value in elements(parameters)])
