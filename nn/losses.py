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
    functional = engine_of("mse_loss", prediction).functional
    return functional.mse_loss(prediction, target, sample_weight=_tensor(sample_weight, prediction))


def l1_loss(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean of |prediction - target|, with a slope of 0 where they are equal; both of one shape."""
    functional = engine_of("l1_loss", prediction).functional
    return functional.l1_loss(prediction, target, sample_weight=_tensor(sample_weight, prediction))


def huber_loss(prediction: Tensor, target: Tensor, *, delta: float = 1.0, sample_weight: Any = None) -> Tensor:
    """The mean of e^2 / 2 where |e| < delta, else delta * (|e| - delta / 2), e = prediction - target (Huber 1964)."""
    functional = engine_of("huber_loss", prediction).functional
    return functional.huber_loss(prediction, target, delta=delta, sample_weight=_tensor(sample_weight, prediction))


def hinge_loss(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1; both of one shape."""
    functional = engine_of("hinge_loss", prediction).functional
    return functional.hinge_loss(prediction, target, sample_weight=_tensor(sample_weight, prediction))


def binary_cross_entropy(prediction: Tensor, target: Tensor, *, sample_weight: Any = None) -> Tensor:
    """The mean of -(t log p + (1 - t) log(1 - p)), for probabilities p and targets t in [0, 1]; both of one shape."""
    functional = engine_of("binary_cross_entropy", prediction).functional
    return functional.binary_cross_entropy(prediction, target, sample_weight=_tensor(sample_weight, prediction))


def binary_cross_entropy_with_logits(
    prediction: Tensor, target: Tensor, *, pos_weight: Any = None, sample_weight: Any = None
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(prediction), computed without overflow; both of one shape.

    pos_weight: how much positive targets count beside negative ones, a number or one for each column; 1 unless given.
    """
    functional = engine_of("binary_cross_entropy_with_logits", prediction).functional
    pos_weight, sample_weight = _tensor(pos_weight, prediction), _tensor(sample_weight, prediction)
    return functional.binary_cross_entropy_with_logits(
        prediction, target, pos_weight=pos_weight, sample_weight=sample_weight
    )


def nll_loss(log_probabilities: Tensor, labels: Tensor, *, weight: Any = None, sample_weight: Any = None) -> Tensor:
    """The mean of -log_probabilities[label], for log_probabilities (N, C) and integer labels (N,) from 0 to C-1.

    weight: how much each class counts, (C,); see `cross_entropy`.
    """
    functional = engine_of("nll_loss", log_probabilities).functional
    weight, sample_weight = _tensor(weight, log_probabilities), _tensor(sample_weight, log_probabilities)
    return functional.nll_loss(log_probabilities, labels, weight=weight, sample_weight=sample_weight)


def cross_entropy(
    logits: Tensor, labels: Tensor, *, weight: Any = None, label_smoothing: float = 0.0, sample_weight: Any = None
) -> Tensor:
    """The mean of -log(softmax(logits)[label]), for logits (N, C) and integer labels (N,) from 0 to C-1.

    weight: how much each class counts, (C,), so that rare classes are not overlooked; the mean is the one weighted by
        the labels' weights, which divides by their sum. All count alike unless given.
    label_smoothing: the share of each row's weight that is spread over all classes evenly (Szegedy et al. 2016).
    """
    functional = engine_of("cross_entropy", logits).functional
    weight, sample_weight = _tensor(weight, logits), _tensor(sample_weight, logits)
    return functional.cross_entropy(
        logits, labels, weight=weight, label_smoothing=label_smoothing, sample_weight=sample_weight
    )


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the sizes |p| of all parameters; times a small factor, it is added to a loss to bring many to 0."""
    found = check_parameters("l1_penalty", parameters)
    return found[0].engine.functional.l1_penalty(found)


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the squares of all parameters; times a small factor, it is added to a loss to keep weights small."""
    found = check_parameters("l2_penalty", parameters)
    return found[0].engine.functional.l2_penalty(found)


def _tensor(weights: Any, prediction: Tensor) -> Tensor | None:
    """Weights as a tensor of the engine and the type of the prediction; None stays None."""
    if weights is None or is_tensor(weights):
        return weights
    return prediction.engine.as_tensor(weights, prediction.dtype).to(prediction.device)
