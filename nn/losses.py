"""Loss functions: prediction and target in, one number out, the mean over all elements.

They belong to the engine of the prediction; these are their names without the engine, to hand to `fit`.

sample_weight: of all of them, numbers (N,) by which the losses of the N samples are multiplied before the mean is
    taken; nothing is divided by them. None, the default, weighs all alike. Weights may be tensors, lists or arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nn.engine import Tensor, check_parameters, engine_of, is_tensor


def mse_loss(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean squared error, without a factor of 1/2; both of one shape."""
    return _loss("mse_loss", prediction, target, sample_weight)


def l1_loss(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean of |prediction - target|, with a slope of 0 where they are equal; both of one shape."""
    return _loss("l1_loss", prediction, target, sample_weight)


def huber_loss(prediction: Tensor, target: Tensor, *, delta: float = 1.0, sample_weight: Any = None) -> Tensor:
    """The mean of e^2 / 2 where |e| < delta, else delta * (|e| - delta / 2), e = prediction - target (Huber 1964)."""
    return _loss("huber_loss", prediction, target, sample_weight, delta=delta)


def hinge_loss(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1; both of one shape."""
    return _loss("hinge_loss", prediction, target, sample_weight)


def binary_cross_entropy(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean of -(t log p + (1 - t) log(1 - p)), for probabilities p and targets t in [0, 1]; both of one shape."""
    return _loss("binary_cross_entropy", prediction, target, sample_weight)


def binary_cross_entropy_with_logits(
    prediction: Tensor, target: Tensor, *, pos_weight: Any = None, sample_weight: Any = None
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(prediction), computed without overflow; both of one shape.

    pos_weight: how much positive targets count beside negative ones, a number or one for each column; 1 unless given.
    """
    name = "binary_cross_entropy_with_logits"
    return _loss(name, prediction, target, sample_weight, pos_weight=_weights(name, prediction, pos_weight))


def nll_loss(log_probabilities: Tensor, labels: Tensor, *, weight: Any = None, sample_weight: Any = None) -> Tensor:
    """The mean of -log_probabilities[label], for log_probabilities (N, C) and integer labels (N,) from 0 to C-1.

    weight: how much each class counts, (C,); see `cross_entropy`.
    """
    weight = _weights("nll_loss", log_probabilities, weight)
    return _loss("nll_loss", log_probabilities, labels, sample_weight, weight=weight)


def cross_entropy(
    logits: Tensor, labels: Tensor, *, weight: Any = None, label_smoothing: float = 0.0, sample_weight: Any = None
) -> Tensor:
    """The mean of -log(softmax(logits)[label]), for logits (N, C) and integer labels (N,) from 0 to C-1.

    weight: how much each class counts, (C,), so that rare classes are not overlooked; the mean is the one weighted by
        the labels' weights, which divides by their sum. All count alike unless given.
    label_smoothing: the share of each row's weight that is spread over all classes evenly (Szegedy et al. 2016).
    """
    weight = _weights("cross_entropy", logits, weight)
    return _loss("cross_entropy", logits, labels, sample_weight, weight=weight, label_smoothing=label_smoothing)


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the sizes |p| of all parameters; times a small factor, it is added to a loss to bring many to 0."""
    found = check_parameters("l1_penalty", parameters)
    return found[0].engine.functional.l1_penalty(found)


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the squares of all parameters; times a small factor, it is added to a loss to keep weights small."""
    found = check_parameters("l2_penalty", parameters)
    return found[0].engine.functional.l2_penalty(found)


def _loss(name: str, prediction: Tensor, target: Tensor, sample_weight: Any, **settings: Any) -> Tensor:
    """The loss of this name, of the engine of the prediction."""
    function = getattr(engine_of(name, prediction).functional, name)
    return function(prediction, target, sample_weight=_weights(name, prediction, sample_weight), **settings)


def _weights(name: str, prediction: Tensor, weights: Any) -> Tensor | None:
    """Weights as a tensor of the engine and the type of the prediction."""
    if weights is None or is_tensor(weights):
        return weights
    return engine_of(name, prediction).as_tensor(weights, prediction.dtype)
