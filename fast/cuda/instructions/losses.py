"""Losses, each with its gradient from the same pass over the data, and penalties for large parameters.

A loss is put together in two launches: a kernel writes the sums of its blocks, or rows, and `add_all` adds them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu
from fast.cuda.instructions.reductions import add_all, new_parts
from fast.cuda.registry import by_element

# ----------------------------------------------------------------------------------------------------------------------
# Of numbers: prediction, target, grad (size,), weight (size,) or none; y, the loss, is a single number.


def mse_loss(
    gpu: Gpu, size: int, prediction: Any, target: Any, grad: Any, weight: Any, y: Any, numbers: Any = ()
) -> None:
    _loss(gpu, "mse_loss", size, (prediction, target, weight), (), grad, y)


def l1_loss(
    gpu: Gpu, size: int, prediction: Any, target: Any, grad: Any, weight: Any, y: Any, numbers: Any = ()
) -> None:
    _loss(gpu, "l1_loss", size, (prediction, target, weight), (), grad, y)


def huber_loss(
    gpu: Gpu, size: int, prediction: Any, target: Any, grad: Any, weight: Any, y: Any, numbers: Sequence[float] = ()
) -> None:
    _loss(gpu, "huber_loss", size, (prediction, target, weight), numbers, grad, y)


def hinge_loss(
    gpu: Gpu, size: int, prediction: Any, target: Any, grad: Any, weight: Any, y: Any, numbers: Any = ()
) -> None:
    _loss(gpu, "hinge_loss", size, (prediction, target, weight), (), grad, y, gpu.flaws)


def binary_cross_entropy(
    gpu: Gpu, size: int, prediction: Any, target: Any, grad: Any, weight: Any, y: Any, numbers: Any = ()
) -> None:
    _loss(gpu, "binary_cross_entropy", size, (prediction, target, weight), (), grad, y, gpu.flaws)


def binary_cross_entropy_with_logits(
    gpu: Gpu,
    size: int,
    prediction: Any,
    target: Any,
    grad: Any,
    weight: Any,
    y: Any,
    counts: Any = None,
    numbers: Any = (),
) -> None:
    """counts (size,): how much positive targets count; 1 unless given."""
    given = prediction, target, weight, counts
    _loss(gpu, "binary_cross_entropy_with_logits", size, given, (), grad, y, gpu.flaws)


def _loss(
    gpu: Gpu, name: str, size: int, given: Sequence[Any], settings: Sequence[float], grad: Any, y: Any, *flaws: Any
) -> None:
    """A kernel that takes arrays, the share of each element, settings, and the places for what it makes."""
    arrays, parts = [gpu.array(place, size) for place in given], new_parts(gpu, size)
    gpu.launch(f"losses.{name}", *arrays, 1 / max(size, 1), *settings, gpu.array(grad, size), parts, *flaws)
    add_all(gpu, parts, gpu.array(y, 1))


# ----------------------------------------------------------------------------------------------------------------------
# Of classes: scores, grad (n, c), labels (n,), which are whole numbers, weight (n,) or none, classes, weights of the
# classes, (c,) or none.


def nll_loss(
    gpu: Gpu,
    n: int,
    c: int,
    scores: Any,
    labels: Any,
    grad: Any,
    weight: Any,
    classes: Any,
    y: Any,
    numbers: Sequence[float] = (),
) -> None:
    _class_loss(gpu, "nll_loss", n, c, scores, labels, grad, weight, classes, y, numbers)


def cross_entropy(
    gpu: Gpu,
    n: int,
    c: int,
    scores: Any,
    labels: Any,
    grad: Any,
    weight: Any,
    classes: Any,
    y: Any,
    numbers: Sequence[float] = (),
) -> None:
    """numbers[0]: the share of the label that goes to all classes."""
    _class_loss(gpu, "cross_entropy", n, c, scores, labels, grad, weight, classes, y, numbers)


def _class_loss(
    gpu: Gpu,
    name: str,
    n: int,
    c: int,
    scores: Any,
    labels: Any,
    grad: Any,
    weight: Any,
    classes: Any,
    y: Any,
    settings: Sequence[float],
) -> None:
    """First the sum of the weights of all labels, by which the mean is divided; then the share of each row in it."""
    known, class_weight, slopes = gpu.whole(labels, n), gpu.array(classes, c), gpu.array(grad, n, c)
    parts, mass, shares = new_parts(gpu, n), gpu.new(1), gpu.new(n)
    gpu.launch("losses.label_mass", known, class_weight, slopes, parts, gpu.flaws)
    add_all(gpu, parts, mass)
    given = gpu.array(scores, n, c), known, gpu.array(weight, n), class_weight
    gpu.launch(f"losses.{name}", *given, *settings, mass, slopes, shares)
    add_all(gpu, shares, gpu.array(y, 1))


# ----------------------------------------------------------------------------------------------------------------------
# Penalties: table, a list of so many parameters; y a single number.


def l1_penalty(gpu: Gpu, count: int, table: Any, y: Any, numbers: Any = ()) -> None:
    """y = the sum of |p| of all parameters."""
    _penalty(gpu, "losses.sizes", gpu.listed(table, count), gpu.array(y, 1))


def l2_penalty(gpu: Gpu, count: int, table: Any, y: Any, numbers: Any = ()) -> None:
    """y = the sum of p^2 of all parameters."""
    _penalty(gpu, "updates.squares", gpu.listed(table, count), gpu.array(y, 1))


def _penalty(gpu: Gpu, name: str, parameters: Sequence[Any], y: Any) -> None:
    """A kernel that writes a sum for each of its blocks, for one parameter after the other."""
    blocks = [by_element(p.size).grid[0] for p in parameters]
    parts, start = gpu.new(sum(blocks)), 0
    for p, some in zip(parameters, blocks, strict=True):
        gpu.launch(name, p, parts[start : start + some])
        start += some
    add_all(gpu, parts, y)


def l1_penalty_grad(gpu: Gpu, size: int, p: Any, grad: Any, y: Any, numbers: Any = ()) -> None:
    """y = sign(p) * grad, a single number."""
    gpu.launch("losses.sizes_grad", gpu.array(p, size), gpu.array(grad, 1), gpu.array(y, size))


def l2_penalty_grad(gpu: Gpu, size: int, p: Any, grad: Any, y: Any, numbers: Any = ()) -> None:
    """y = 2 grad * p."""
    gpu.launch("moving.scale", gpu.array(p, size), gpu.array(grad, 1), 2, gpu.array(y, size))
