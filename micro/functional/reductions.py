"""Many numbers into few: sums, means, and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from micro import checks
from micro.array import Array, along, flatten, regroup, wrap
from micro.value import Value


def add_up(values: Sequence[Any]) -> Any:
    """values[0] + values[1] + ..., from left to right; a Value of 0 if there are none."""
    if not values:
        return Value(0.0)
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def sum(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The sum over one dimension, or over all elements."""
    return _reduce("sum", add_up, x, dim, keepdim)


def mean(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The sum divided by the number of elements."""
    checks.not_empty("mean", x.shape)
    return _reduce("mean", lambda line: add_up(line) / len(line), x, dim, keepdim)


def _reduce(name: str, function: Callable[[list[Any]], Any], x: Array, dim: int | None, keepdim: bool) -> Any:
    """Replace each line of elements along `dim`, or all elements, with one number."""
    checks.quantities(name, x)
    if dim is None:
        result, shape = [function(list(x.flat()))], [1] * len(x.shape) if keepdim else []
    else:
        dim = checks.dimension(name, dim, x.shape)
        result = along(lambda line: [function(line)], x.values, x.shape, dim)
        shape = [*x.shape[:dim], *([1] if keepdim else []), *x.shape[dim + 1 :]]
    return wrap(regroup(iter(flatten(result)), tuple(shape)))


def softmax(x: Array, dim: int = -1) -> Array:
    """exp(x[i]) / sum over j of exp(x[j]), along one dimension."""
    checks.quantities("softmax", x)
    return Array(along(_softmax, x.values, x.shape, checks.dimension("softmax", dim, x.shape)))


def log_softmax(x: Array, dim: int = -1) -> Array:
    """log(softmax(x)), without a detour through numbers too small for the logarithm."""
    checks.quantities("log_softmax", x)
    return Array(along(_log_softmax, x.values, x.shape, checks.dimension("log_softmax", dim, x.shape)))


def _softmax(line: list[Any]) -> list[Any]:
    shifted = _shift(line)
    powers = [value.exp() for value in shifted]
    total = add_up(powers)
    return [power / total for power in powers]


def _log_softmax(line: list[Any]) -> list[Any]:
    shifted = _shift(line)
    log_total = add_up([value.exp() for value in shifted]).log()
    return [value - log_total for value in shifted]


def _shift(line: list[Any]) -> list[Any]:
    """Subtract the largest number, which keeps `exp` from overflowing.

    Any number may be subtracted from all, for it cancels in exp(x[i]) / sum(exp(x[j])); so it is a constant, and no
    gradient needs to flow through the choice of the largest.
    """
    largest = max(value.data for value in line)
    return [value - largest for value in line]
