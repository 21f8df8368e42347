"""The loss over a plane, and the path of an optimizer across it: plain numbers, for `viz` to draw.

Two coordinates are all that a picture can show. A function of two numbers, such as `rosenbrock`, is seen whole; of a
network's loss a plane through its parameters is seen, along two directions that are random or that its training took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nn.arguments import check_model, prepare
from nn.data import Data, check_count, generator
from nn.engine import Engine, Tensor, check_engine, tensor_beside
from nn.modules import Module, Seed, first_parameter
from nn.optim import Optimizer
from nn.restoring import restored
from nn.training import Loss

#: Arrays by the names of a model's parameters, such as `0.weight`.
Weights = Mapping[str, Any]
#: The lowest and the highest x, the lowest and the highest y.
Box = tuple[tuple[float, float], tuple[float, float]]


class Plane(NamedTuple):
    """Heights over a grid: `viz.loss_contour(*plane)`.

    xs (W,), ys (H,): the coordinates.
    heights (H, W): heights[i, j] is the height at (xs[j], ys[i]); nan or infinite where there is none.
    """

    xs: np.ndarray
    ys: np.ndarray
    heights: np.ndarray


class PathPlane(NamedTuple):
    """The plane in which most of a path lies.

    directions: two arrays for each parameter, by name. As long vectors both have length 1, at right angles.
    coordinates (K, 2): where each snapshot lies in the plane; the model is at (0, 0).
    shares (2,): how much of the variance of the path lies along each direction; what is missing to 1 is not seen.
    """

    directions: tuple[Weights, Weights]
    coordinates: np.ndarray
    shares: np.ndarray

    def box(self, margin: float = 0.25) -> Box:
        """The smallest box that holds the path and the model, with a margin, a share of its longer side, around it."""
        points = np.vstack([self.coordinates, np.zeros(2)])
        low, high = points.min(axis=0), points.max(axis=0)
        around = margin * float(np.max(high - low)) or 1.0
        return (float(low[0] - around), float(high[0] + around)), (float(low[1] - around), float(high[1] + around))


# ----------------------------------------------------------------------------------------------------------------------
# Functions of two numbers.


def bowl(point: Any, curvatures: tuple[float, float] = (1.0, 10.0)) -> Any:
    """(a x^2 + b y^2) / 2, lowest at (0, 0), for a point (x, y).

    curvatures: a and b, 1 and 10 unless given. Gradient descent multiplies x by 1 - lr * a in each step, and y by
        1 - lr * b, so it converges for learning rates below 2 / b, here 0.2, and swings along y from 1 / b on.

    The coordinates may be a tensor's elements, numbers, or whole grids: `bowl(np.meshgrid(xs, ys))` gives heights.
    """
    x, y = point[0], point[1]
    return (curvatures[0] * x * x + curvatures[1] * y * y) / 2


def rosenbrock(point: Any) -> Any:
    """(1 - x)^2 + 100 (y - x^2)^2, lowest at (1, 1), at the end of a bent and nearly level valley.

    point: as for `bowl`.
    Source: Rosenbrock 1960, "An automatic method for finding the greatest or least value of a function".
    """
    x, y = point[0], point[1]
    along, across = 1 - x, y - x * x
    return along * along + 100 * (across * across)


def descend(
    function: Callable[[Tensor], Tensor],
    start: Sequence[float],
    make_optimizer: Callable[[list[Tensor]], Optimizer],
    steps: int,
    *,
    engine: Engine,
) -> np.ndarray:
    """The path of an optimizer on a function of n numbers, in float64: an array (steps + 1, n), the start first.

    function: of a tensor (n,), a single number as a tensor, such as `bowl`.
    start: the n numbers to begin with.
    make_optimizer: given the list of parameters, an optimizer: `lambda p: nn.SGD(p, lr=0.1)`.
    engine: `micro` or `fast`.

    A path ends where the function is infinite or not a number; the rows after that are nan.
    """
    check_engine(engine)
    check_count("descend: steps", steps)
    numbers = np.array(start, dtype=float)
    if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(f"descend: start={start!r:.80}; give a list of finite numbers, such as [-1.5, 2.0]")
    point = engine.tensor(numbers, "float64", requires_grad=True)
    optimizer = make_optimizer([point])
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"descend: make_optimizer gave {optimizer!r:.80}; give a function, as in lambda p: nn.SGD(p)")
    path = np.full((steps + 1, numbers.size), np.nan)
    path[0] = numbers
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(1, steps + 1):
            height = function(point)
            if getattr(height, "shape", None) != ():
                raise TypeError(f"descend: the function gave {height!r:.80}; it must give a single number, as a tensor")
            if not math.isfinite(height.item()):
                break
            optimizer.zero_grad()
            height.backward()
            optimizer.step()
            path[step] = np.asarray(point)
    return path


# ----------------------------------------------------------------------------------------------------------------------
# Planes through the parameters of a network.


def random_directions(model: Module, seed: Seed) -> tuple[Weights, Weights]:
    """Two random directions whose filters are as long as the model's, for `loss_plane`.

    Each direction is drawn from N(0, 1); then each row of a matrix, and each filter of a convolution, is scaled to the
    length of that of the model. So a step of 1 means as much for every layer, and networks that differ only in the
    scale of their weights look the same. Biases and the weights of normalisations, which have one dimension, do not
    move.

    seed: of the random numbers.
    Source: Li et al. 2018, "Visualizing the loss landscape of neural nets", section 4 (arXiv:1712.09913); that
    one-dimensional parameters stay as they are is from its code.
    """
    check_model("random_directions", model)
    random = generator(seed)
    weights = _weights(model)
    return _filter_normalised(weights, random), _filter_normalised(weights, random)


def _filter_normalised(weights: Weights, random: np.random.Generator) -> Weights:
    direction = {}
    for name, weight in weights.items():
        numbers = random.normal(size=weight.shape)
        filters = tuple(range(1, weight.ndim))
        lengths = [np.sqrt((array**2).sum(axis=filters, keepdims=True)) for array in (weight, numbers)]
        direction[name] = numbers * (lengths[0] / lengths[1]) if filters else np.zeros(weight.shape)
    return direction


def path_directions(model: Module, snapshots: Sequence[Weights]) -> PathPlane:
    """The two main directions of a path through the parameters, and where its snapshots lie in their plane.

    model: as it is at the end of the path, say; it is the point (0, 0) of the plane.
    snapshots: K parameters of this model by name, K at least 3: the `state_dict` of each epoch, say (`nn.Snapshots`
        records them); what is no parameter is left aside.

    The directions are the first two principal components of the differences between the snapshots and the model; each
    points to where the path came from. Mind what a plane hides: the loss of a snapshot is not the height of the plane
    where its shadow falls, unless `shares` add up to nearly 1. And random walks in many dimensions look like regular
    curves in such a plane (Antognini and Sohl-Dickstein 2018, arXiv:1806.08805).
    Source: Li et al. 2018, section 7.
    """
    check_model("path_directions", model)
    weights = _weights(model)
    if len(snapshots) < 3 or sum(weight.size for weight in weights.values()) < 2:
        raise ValueError(f"path_directions: {len(snapshots)} snapshots span no plane; give 3 or more, of 2 parameters")
    for number, snapshot in enumerate(snapshots):
        _check_weights(f"path_directions: snapshot {number}", snapshot, weights)
    origin = _as_vector(weights, weights)
    differences = np.array([_as_vector(snapshot, weights) for snapshot in snapshots]) - origin
    if not np.ptp(differences, axis=0).any():
        raise ValueError("path_directions: all snapshots are alike, so there is no path; did the model train?")
    _, lengths, components = np.linalg.svd(differences - differences.mean(axis=0), full_matrices=False)
    coordinates = differences @ components[:2].T
    signs = np.where(coordinates[0] < 0, -1.0, 1.0)
    first, second = [_as_weights(sign * vector, weights) for sign, vector in zip(signs, components[:2], strict=True)]
    return PathPlane((first, second), coordinates * signs, lengths[:2] ** 2 / (lengths**2).sum())


def loss_plane(
    model: Module,
    data: Data,
    loss: Loss,
    directions: tuple[Weights, Weights],
    span: float | Box = 1.0,
    resolution: int = 25,
) -> Plane:
    """The loss of a network where its parameters are moved along two directions: parameters + x * first + y * second.

    The model computes in evaluation: dropout is off, and batch normalisation uses the running means that it has.
    Afterwards it is what it was before, to the last bit.

    data: samples X (N, ...) and targets y (N, ...), as for `fit`; all are used for every height.
    loss: a function of prediction and target, such as `nn.mse_loss`.
    directions: two arrays for each parameter, by name, from `random_directions` or `path_directions`.
    span: how far to go from (0, 0) along both, 1 unless given; or ((x from, x to), (y from, y to)).
    resolution: heights along each direction, 25 unless given; an odd number puts one at (0, 0) where `span` is one
        number.
    """
    check_model("loss_plane", model)
    weights = _weights(model)
    if not isinstance(directions, tuple | list) or len(directions) != 2:
        raise TypeError("loss_plane: directions are no pair; give those of random_directions or path_directions")
    first, second = [_check_weights("loss_plane: a direction", direction, weights) for direction in directions]
    xs, ys = [np.linspace(low, high, check_resolution("loss_plane", resolution)) for low, high in _check_span(span)]
    parameters, there = dict(model.named_parameters()), first_parameter(model)
    inputs, targets = [tensor_beside(there, array) for array in prepare("data", data, model)]
    heights = np.empty((len(ys), len(xs)))
    with restored(model), there.engine.no_grad(), np.errstate(over="ignore", invalid="ignore"):
        model.eval()
        for (i, j), _ in np.ndenumerate(heights):
            for name, parameter in parameters.items():
                parameter.copy_(weights[name] + xs[j] * first[name] + ys[i] * second[name])
            heights[i, j] = loss(model(inputs), targets).item()
    return Plane(xs, ys, heights)


def check_resolution(name: str, resolution: Any) -> int:
    """The number of points along each direction of a plane, if it is a whole number of at least 2."""
    if isinstance(resolution, bool) or not isinstance(resolution, int | np.integer) or resolution < 2:
        raise ValueError(f"{name}: resolution={resolution!r}; give a whole number of at least 2")
    return int(resolution)


def _check_span(span: Any) -> Box:
    box = np.array(((-span, span), (-span, span)) if np.ndim(span) == 0 else span, dtype=float)
    if box.shape != (2, 2) or not np.isfinite(box).all() or not (box[:, 0] < box[:, 1]).all():
        raise ValueError(f"loss_plane: span={span!r:.80}; give a number above 0, or ((x from, x to), (y from, y to))")
    (left, right), (low, high) = box.tolist()
    return (left, right), (low, high)


def _weights(model: Module) -> dict[str, np.ndarray]:
    """A copy of every parameter, in float64."""
    return {name: np.array(parameter.cpu(), dtype=float) for name, parameter in model.named_parameters()}


def _check_weights(name: str, given: Any, weights: Weights) -> dict[str, np.ndarray]:
    """Those of `given` that belong to parameters, as float64, once names, shapes and numbers are sure."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} is {given!r:.80}; give arrays by the names of the parameters, as state_dict does")
    arrays = {key: np.asarray(given[key], dtype=float) for key in weights if key in given}
    for key, weight in weights.items():
        if key not in arrays or arrays[key].shape != weight.shape:
            shape = arrays[key].shape if key in arrays else "none"
            raise ValueError(f"{name}: {key} has shape {shape}, needed is {weight.shape}; is it of another model?")
        if not np.isfinite(arrays[key]).all():
            raise ValueError(f"{name}: {key} holds nan or infinity; give only what came before the divergence")
    return arrays


def _as_vector(given: Weights, weights: Weights) -> np.ndarray:
    return np.concatenate([np.asarray(given[name], dtype=float).ravel() for name in weights])


def _as_weights(vector: np.ndarray, weights: Weights) -> Weights:
    ends = np.cumsum([weight.size for weight in weights.values()])
    parts = np.split(vector, ends[:-1])
    return {name: part.reshape(weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)}
