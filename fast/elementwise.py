"""Rows of the table of operations on NumPy arrays: broadcasting, and which kernel to run.

Broadcasting is done and undone here and nowhere else: arguments are stretched to one shape before a kernel runs, and
gradients are summed back (`unbroadcast`) after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fast import threads
from fast.kernels import elementwise as serial
from fast.kernels import elementwise_parallel as parallel
from fast.kernels import reductions
from micro import checks
from micro.ops import OPS, Op

#: A kernel for one core and one for all, and the number of elements from which it pays to use all.
Plan = tuple[threads.Kernels, int]


def _plan(name: str, formula: str) -> Plan:
    costly = any(word in formula for word in _COSTLY_WORDS)
    return (getattr(serial, name), getattr(parallel, name)), threads.COSTLY if costly else threads.CHEAP


#: What does not vectorise, and costs as much as a dozen additions or more. (See `approximations` for what does.)
_COSTLY_WORDS = ("**", *(f"{word}(" for word in ("log", "log1p", "expm1", "sin", "cos", "erf")))
FORWARD = {op.name: _plan(op.name, op.forward) for op in OPS.values()}
SLOPES = {
    op.name: [_plan(f"{op.name}_grad_{name}", slope) for name, slope in zip(op.arguments, op.slopes, strict=True)]
    for op in OPS.values()
}


def forward(op: Op, arguments: Sequence[np.ndarray]) -> np.ndarray:
    """The result of `op` for arrays of one type, broadcast to one shape."""
    shape = arguments[0].shape
    for argument in arguments[1:]:
        if argument.shape != shape:
            shape = checks.broadcast_shape(op.symbol, *[argument.shape for argument in arguments])
            break
    y = np.empty(shape, arguments[0].dtype)
    kernels, threshold = FORWARD[op.name]
    threads.run(kernels, y.size, threshold, *[_stretch(argument, shape) for argument in arguments], y.ravel())
    return y


def backward(
    op: Op, grad: np.ndarray, arguments: Sequence[np.ndarray], y: np.ndarray, needed: Sequence[bool]
) -> list[np.ndarray | None]:
    """For each argument, where `needed`, the gradient `grad` times the slope, in the argument's own shape."""
    flat = [_stretch(array, y.shape) for array in (grad, *arguments, y)]
    gradients: list[np.ndarray | None] = []
    for argument, (kernels, threshold), wanted in zip(arguments, SLOPES[op.name], needed, strict=True):
        result = None
        if wanted:
            result = np.empty(y.shape, y.dtype)
            threads.run(kernels, y.size, threshold, *flat, result.ravel())
            result = unbroadcast(result, argument.shape)
        gradients.append(result)
    return gradients


def unbroadcast(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `grad` over the dimensions in which `shape` was stretched to become `grad.shape`."""
    if grad.shape == shape:
        return grad
    aligned = (1,) * (grad.ndim - len(shape)) + shape
    stretched = tuple(i for i, length in enumerate(aligned) if length != grad.shape[i])
    return total(grad, stretched).reshape(shape)


def total(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """The sum over `axes`, which keep a length of 1.

    Axes that are not neighbours are summed one after the other.
    """
    if array.dtype.kind != "f":
        return np.asarray(array.sum(axis=axes, keepdims=True, dtype=np.float64), array.dtype)
    found, shape = array, array.shape
    wanted = tuple(1 if axes is None or i in axes else length for i, length in enumerate(shape))
    for first, last in reversed(differences(wanted, shape)):
        parts = math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])
        sums = np.empty((parts[0], parts[2]), array.dtype)
        reductions.total(np.ascontiguousarray(found).reshape(parts), sums)
        shape = shape[:first] + wanted[first:last] + shape[last:]
        found = sums.reshape(shape)
    return found.copy() if found is array else found


def differences(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """The dimensions in which two shapes differ, as ranges (first, last + 1) of neighbours."""
    found: list[tuple[int, int]] = []
    for i in range(len(one)):
        if one[i] != other[i]:
            if found and found[-1][1] == i:
                found[-1] = found[-1][0], i + 1
            else:
                found.append((i, i + 1))
    return found


def _stretch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`array` stretched to `shape`, as the one-dimensional contiguous array that kernels take."""
    if array.shape == shape:
        return array.ravel()
    if array.size == 1:  # a plain number, usually; quicker than the general case
        return np.full(math.prod(shape), array.item(), array.dtype)
    return np.broadcast_to(array, shape).ravel()
