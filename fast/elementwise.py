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
from micro import checks
from micro.ops import OPS, Op

#: A kernel for one core and one for all, and the number of elements from which it pays to use all.
Plan = tuple[threads.Kernels, int]


def _plan(name: str, formula: str) -> Plan:
    costly = any(word in formula for word in _COSTLY_WORDS)
    return (getattr(serial, name), getattr(parallel, name)), threads.COSTLY if costly else threads.CHEAP


#: What does not vectorise, and costs as much as a dozen additions or more. (See `approximations` for what does.)
_COSTLY_WORDS = ("**", *(f"{word}(" for word in ("log", "log1p", "expm1", "sin", "cos", "erf")))
_FORWARD = {op.name: _plan(op.name, op.forward) for op in OPS.values()}
_SLOPES = {
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
    kernels, threshold = _FORWARD[op.name]
    threads.run(kernels, y.size, threshold, *[_stretch(argument, shape) for argument in arguments], y.ravel())
    return y


def backward(
    op: Op, grad: np.ndarray, arguments: Sequence[np.ndarray], y: np.ndarray, needed: Sequence[bool]
) -> list[np.ndarray | None]:
    """For each argument, where `needed`, the gradient `grad` times the slope, in the argument's own shape."""
    flat = [_stretch(array, y.shape) for array in (grad, *arguments, y)]
    gradients: list[np.ndarray | None] = []
    for argument, (kernels, threshold), wanted in zip(arguments, _SLOPES[op.name], needed, strict=True):
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

    It is kept in float64: along any axis but the last NumPy adds one by one, and float32 would lose digits with every
    million of elements.
    """
    return np.asarray(array.sum(axis=axes, keepdims=True, dtype=np.float64), array.dtype)


def _stretch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`array` stretched to `shape`, as the one-dimensional contiguous array that kernels take."""
    if array.shape == shape:
        return array.ravel()
    if array.size == 1:  # a plain number, usually; quicker than the general case
        return np.full(math.prod(shape), array.item(), array.dtype)
    return np.broadcast_to(array, shape).ravel()
