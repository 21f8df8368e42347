"""Many trainings of one small network, of which only the course of the loss is kept, for trainability maps.

Plain numbers, no graph: gradients of gradients are not asked for, and the two gradients are short enough to write out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from micro import checks
from micro.array import Array, build
from micro.functional.products import dot
from micro.functional.reductions import add_up

#: A loss above so many times the first one, or one that is infinite or not a number, counts as so many times the first.
LIMIT = 1e6
#: The mean over so many losses at the end says whether a run has converged.
LAST = 20

Matrix = list[list[float]]

#: The activations, and the slope of each, given its result.
ACTIVATIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "tanh": (math.tanh, lambda h: 1 - h * h),
    "relu": (lambda z: 0.0 if z < 0 else z, lambda h: 1.0 if h > 0 else 0.0),
    "identity": (lambda z: z, lambda h: 1.0),
}


def train_two_layers(
    x: Array,
    y: Array,
    weight0: Array,
    weight1: Array,
    rates: Array,
    *,
    steps: int,
    activation: str = "tanh",
    offsets: Array | None = None,
    batches: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Train a network with one hidden layer R times, by gradient descent in float64, and tell how its loss developed.

    The network is prediction[n] = mean over j of weight1[j] * activation(sum over i of weight0[j][i] * x[n][i]), the
    loss the mean of (prediction - y)^2 over all samples. For every step v is the loss before the update, divided by
    that of the first step; 1e6 where it is above that, infinite, or not a number.

    x (N, in), y (N,): the samples and their targets.
    weight0 (H, in), weight1 (H,): where every run begins.
    rates (R, 2): of each run, the learning rates of weight0 and of weight1.
    steps: how many.
    activation: "tanh" unless given, "relu" or "identity".
    offsets (R,): of each run, what is added to every weight of weight0 before it begins; 0 unless given.
    batches (steps, B): for each step the numbers of the samples whose gradient is taken; all samples unless given. The
        loss is that of all samples in any case.

    Returns, each (R,): the sum of v over the steps, the sum of 1 / v, and the mean of the last 20 v (or of all).
    """
    checks.two_layers(x, y, weight0, weight1, rates, offsets, batches, steps, activation, tuple(ACTIVATIONS))
    data, start = (x.tolist(), y.tolist()), (weight0.tolist(), weight1.tolist())
    everything = [list(range(x.shape[0]))] * steps
    courses = []
    for run, (rate0, rate1) in enumerate(rates.tolist()):
        offset = offsets.tolist()[run] if offsets is not None else 0.0
        begin = [[weight + offset for weight in row] for row in start[0]], start[1]
        samples = batches.tolist() if batches is not None else everything
        losses = _losses(data, begin, (rate0, rate1), samples, ACTIVATIONS[activation])
        courses.append([_ratio(loss, losses[0]) for loss in losses])

    def of_each(summary: Callable[[list[float]], float]) -> Any:
        return build((len(courses),), lambda run: summary(courses[run]))

    return (
        of_each(add_up),
        of_each(lambda v: add_up([1 / ratio if ratio else math.inf for ratio in v])),
        of_each(lambda v: add_up(v[-LAST:]) / len(v[-LAST:])),
    )


def _ratio(loss: float, first: float) -> float:
    """v, as in `train_two_layers`."""
    ratio = loss / first if first else math.inf
    return ratio if ratio <= LIMIT else LIMIT  # a nan is not below anything


def _losses(
    data: tuple[Matrix, list[float]],
    weights: tuple[Matrix, list[float]],
    rates: tuple[float, float],
    batches: Sequence[Sequence[int]],
    activation: tuple[Callable[[float], float], Callable[[float], float]],
) -> list[float]:
    """The loss before each update of one run."""
    (x, y), (weight0, weight1), (function, slope) = data, weights, activation
    losses = []
    for batch in batches:
        hidden = [[function(dot(row, sample)) for row in weight0] for sample in x]
        errors = [dot(weight1, h) / len(weight1) - target for h, target in zip(hidden, y, strict=True)]
        losses.append(dot(errors, errors) / len(errors))
        scale = 2 / (len(batch) * len(weight1))  # of the mean over the batch, and of that over the units
        grads = [  # of the sums in front of the activation: for each unit a number for each sample of the batch
            [scale * w * errors[n] * slope(hidden[n][j]) for n in batch] for j, w in enumerate(weight1)
        ]
        weight1 = [
            w - rates[1] * scale * dot([hidden[n][j] for n in batch], [errors[n] for n in batch])
            for j, w in enumerate(weight1)
        ]
        weight0 = [
            [w - rates[0] * dot(grad, [x[n][i] for n in batch]) for i, w in enumerate(row)]
            for row, grad in zip(weight0, grads, strict=True)
        ]
    return losses
