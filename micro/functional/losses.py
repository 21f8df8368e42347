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


def mse_loss(prediction: Array, target: Array, *, sample_weight: Array | None = None) -> Value:
    """The mean squared error: the mean of (prediction - target)^2."""
    checks.same_shape("mse_loss", prediction, target)
    return _mean("mse_loss", (prediction - target) ** 2, sample_weight)


def l1_loss(prediction: Array, target: Array, *, sample_weight: Array | None = None) -> Value:
    """The mean of |prediction - target|. Where they are equal, the slope is 0."""
    checks.same_shape("l1_loss", prediction, target)
    return _mean("l1_loss", abs(prediction - target), sample_weight)


def huber_loss(prediction: Array, target: Array, *, delta: float = 1.0, sample_weight: Array | None = None) -> Value:
    """The mean of e^2 / 2 where |e| < delta, else of delta * (|e| - delta / 2), for e = prediction - target.

    A parabola near 0 that goes on as a straight line, so that outliers pull no harder than delta (Huber 1964).
    """
    checks.same_shape("huber_loss", prediction, target)
    checks.positive_number("huber_loss", "delta", delta)
    error = abs(prediction - target)
    bent = error.minimum(delta)
    return _mean("huber_loss", bent * (error - bent / 2), sample_weight)


def hinge_loss(prediction: Array, target: Array, *, sample_weight: Array | None = None) -> Value:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1."""
    checks.same_shape("hinge_loss", prediction, target)
    checks.loss_arguments("hinge_loss", (), flatten(target.tolist()))
    return _mean("hinge_loss", (1 - target * prediction).relu(), sample_weight)


def binary_cross_entropy(prediction: Array, target: Array, *, sample_weight: Array | None = None) -> Value:
    """The mean of -(t * log(p) + (1 - t) * log(1 - p)), for probabilities p and targets t between 0 and 1.

    As in PyTorch the logarithms stop at -100, so a prediction of exactly 0 or 1 costs 100 at most. Where they have
    stopped the loss is flat and its gradient 0. (PyTorch's loss is flat there too; its gradient is -1e12.)
    """
    checks.same_shape("binary_cross_entropy", prediction, target)
    checks.loss_arguments("binary_cross_entropy", flatten(prediction.tolist()), flatten(target.tolist()))
    smallest = math.exp(-100)
    target = to(target, float64)
    yes, no = prediction.maximum(smallest).log(), (1 - prediction).maximum(smallest).log()
    return -_mean("binary_cross_entropy", target * yes + (1 - target) * no, sample_weight)


def binary_cross_entropy_with_logits(
    prediction: Array, target: Array, *, pos_weight: Array | None = None, sample_weight: Array | None = None
) -> Value:
    """`binary_cross_entropy` of sigmoid(prediction), without overflow: the mean of softplus(x) - t * x.

    pos_weight: how much the part of positive targets counts, of a shape that stretches to the prediction's, such as
        (C,) or (); 1 unless given. Then it is the mean of (1 - t) * x + (1 + (pos_weight - 1) * t) * softplus(-x).
    """
    name = "binary_cross_entropy_with_logits"
    checks.same_shape(name, prediction, target)
    checks.loss_arguments(name, (), flatten(target.tolist()))
    if pos_weight is None:
        return _mean(name, prediction.softplus() - target * prediction, sample_weight)
    checks.positive_weights(name, prediction, pos_weight)
    target = to(target, float64)
    each = (1 - target) * prediction + (1 + (pos_weight - 1) * target) * (-prediction).softplus()
    return _mean(name, each, sample_weight)


def _mean(name: str, each: Array, sample_weight: Array | None) -> Value:
    """The mean over all elements, those of sample n, row n, multiplied by its weight."""
    checks.loss_weights(name, each, None, sample_weight)
    if sample_weight is None:
        return mean(each)
    return mean(each * sample_weight.reshape(*each.shape[:1], *[1 for _ in each.shape[1:]]))


def nll_loss(
    log_probabilities: Array, labels: Array, *, weight: Array | None = None, sample_weight: Array | None = None
) -> Value:
    """The mean of -log_probabilities[n][label], for log_probabilities (N, C) and integer labels (N,).

    weight, sample_weight: see `cross_entropy`.
    """
    checks.class_labels("nll_loss", log_probabilities, labels, labels.values if isinstance(labels, Array) else ())
    checks.loss_weights("nll_loss", log_probabilities, weight, sample_weight)
    return -_mean_at(log_probabilities, labels, weight, sample_weight)


def cross_entropy(
    logits: Array,
    labels: Array,
    *,
    weight: Array | None = None,
    label_smoothing: float = 0.0,
    sample_weight: Array | None = None,
) -> Value:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,).

    weight: how much each class counts, (C,): the mean is weighted by that of each row's label, so the sum is divided by
        the sum of these weights.
    label_smoothing: this share of the weight moves from the label to all C classes, in equal parts (Szegedy et al.
        2016), so that the network need not be surer than that. Each class has its part multiplied by its weight.
    sample_weight: what the loss of each row is multiplied by, (N,); nothing is divided by it.
    """
    checks.class_labels("cross_entropy", logits, labels, labels.values if isinstance(labels, Array) else ())
    checks.probability("cross_entropy", "label_smoothing", label_smoothing)
    checks.loss_weights("cross_entropy", logits, weight, sample_weight)
    likelihoods = log_softmax(logits)
    sure = _mean_at(likelihoods, labels, weight, sample_weight)
    if label_smoothing == 0:
        return -sure
    rows = likelihoods if weight is None else likelihoods * weight
    shared = _mean_of_rows(mean(rows, -1).values, labels, weight, sample_weight)
    return -((1 - label_smoothing) * sure + label_smoothing * shared)


def _mean_at(scores: Array, labels: Array, weight: Array | None, sample_weight: Array | None) -> Value:
    """The weighted mean, over the rows, of the score of each row's label."""
    rows = scores if weight is None else scores * weight
    picked = [row[label] for row, label in zip(rows.values, labels.values, strict=True)]
    return _mean_of_rows(picked, labels, weight, sample_weight)


def _mean_of_rows(rows: Sequence[Value], labels: Array, weight: Array | None, sample_weight: Array | None) -> Value:
    """The sum of the rows, each multiplied by its own weight, divided by the sum of the weights of their labels."""
    if sample_weight is not None:
        rows = [row * own for row, own in zip(rows, sample_weight.tolist(), strict=True)]
    classes = None if weight is None else weight.tolist()
    return add_up(rows) / (len(rows) if classes is None else sum([classes[label] for label in labels.values]))


def l1_penalty(parameters: Sequence[Array]) -> Value:
    """The sum of the sizes |p| of all elements of all parameters, with a slope of 0 at 0."""
    return add_up([abs(value) for value in elements(parameters)])


def l2_penalty(parameters: Sequence[Array]) -> Value:
    """The sum of the squares of all elements of all parameters."""
    return add_up([value * value for value in elements(parameters)])
