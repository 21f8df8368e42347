"""Loss functions: prediction and target in, one number out, the mean over all elements.

They belong to the engine of the prediction; these are their names without the engine, to hand to `fit`.
"""

from __future__ import annotations

from collections.abc import Iterable

from nn.engine import Tensor, check_parameters, engine_of


def mse_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error, without a factor of 1/2; both of one shape."""
    return engine_of("mse_loss", prediction).functional.mse_loss(prediction, target)


def l1_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of |prediction - target|, with a slope of 0 where they are equal; both of one shape."""
    return engine_of("l1_loss", prediction).functional.l1_loss(prediction, target)


def huber_loss(prediction: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """The mean of e^2 / 2 where |e| < delta, else delta * (|e| - delta / 2), e = prediction - target (Huber 1964)."""
    return engine_of("huber_loss", prediction).functional.huber_loss(prediction, target, delta=delta)


def hinge_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1; both of one shape."""
    return engine_of("hinge_loss", prediction).functional.hinge_loss(prediction, target)


def binary_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of -(t log p + (1 - t) log(1 - p)), for probabilities p and targets t in [0, 1]; both of one shape."""
    return engine_of("binary_cross_entropy", prediction).functional.binary_cross_entropy(prediction, target)


def binary_cross_entropy_with_logits(prediction: Tensor, target: Tensor) -> Tensor:
    """`binary_cross_entropy` of sigmoid(prediction), computed without overflow; both of one shape."""
    return engine_of("binary_cross_entropy_with_logits", prediction).functional.binary_cross_entropy_with_logits(
        prediction, target
    )


def nll_loss(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """The mean of -log_probabilities[label], for log_probabilities (N, C) and integer labels (N,) from 0 to C-1."""
    return engine_of("nll_loss", log_probabilities).functional.nll_loss(log_probabilities, labels)


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """The mean of -log(softmax(logits)[label]), for logits (N, C) and integer labels (N,) from 0 to C-1.

    label_smoothing: the share of each row's weight that is spread over all classes evenly (Szegedy et al. 2016).
    """
    functional = engine_of("cross_entropy", logits).functional
    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the squares of all parameters; times a small factor, it is added to a loss to keep weights small."""
    found = check_parameters("l2_penalty", parameters)
    return found[0].engine.functional.l2_penalty(found)
