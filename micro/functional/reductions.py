"""Many numbers into few: sums, the largest and the smallest, and probabilities."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

from micro import checks
from micro.array import Array, along, at, build, number_of
from micro.value import Value
from micro.vocabulary import Dim, Extreme, float64, int64

Line = list[Any]


def add_up(values: Sequence[Any]) -> Any:
    """values[0] + values[1] + ..., from left to right; a Value of 0 if there are none."""
    if not values:
        return Value(0.0)
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def sum(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The sum over one or several dimensions, or over all elements; truth values are counted."""
    return _reduce(add_up if x.dtype == float64 else builtins.sum, x, checks.dimensions("sum", dim, x.shape), keepdim)


def prod(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The product over one or several dimensions, or over all elements."""
    return _reduce(partial(_multiply, x.dtype), x, checks.dimensions("prod", dim, x.shape), keepdim)


def _multiply(dtype: str, line: Line) -> Any:
    if not line:
        return Value(1.0) if dtype == float64 else 1
    total = line[0]
    for value in line[1:]:
        total = total * value
    return total


def mean(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The sum divided by the number of elements."""
    checks.quantities("mean", x)
    checks.not_empty("mean", x.shape)
    return _reduce(lambda line: add_up(line) / len(line), x, checks.dimensions("mean", dim, x.shape), keepdim)


def max(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element; along `dim`, the largest of each line and where it stands. A nan counts as largest."""
    return _extreme("max", builtins.max, x, dim, keepdim)


def min(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest element; along `dim`, the smallest of each line and where it stands. A nan counts as smallest."""
    return _extreme("min", builtins.min, x, dim, keepdim)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the largest element stands, in reading order or along `dim`; the first one where several are equal."""
    return _where_extreme("argmax", builtins.max, x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the smallest element stands, in reading order or along `dim`; the first one where several are equal."""
    return _where_extreme("argmin", builtins.min, x, dim, keepdim)


def _extreme(name: str, choose: Callable[[Line], Any], x: Any, dim: int | None, keepdim: bool) -> Any:
    checks.some_elements(name, x.shape, dim)
    if dim is None:
        return _reduce(partial(_shared, choose), x, checks.dimensions(name, None, x.shape), keepdim)
    dims = (checks.dimension(name, dim, x.shape),)
    first = _reduce(lambda line: line[_first(choose, line)], x, dims, keepdim)
    return Extreme(first, _where_extreme(name, choose, x, dim, keepdim))


def _where_extreme(name: str, choose: Callable[[Line], Any], x: Any, dim: int | None, keepdim: bool) -> Array:
    checks.some_elements(name, x.shape, dim)
    dims = checks.dimensions(name, dim if dim is None else (dim,), x.shape)
    return _reduce(partial(_first, choose), x, dims, keepdim).to(int64)


def _first(choose: Callable[[Line], Any], line: Line) -> int:
    """The place of the first element that `choose` would choose, or of the first nan."""
    numbers = [number_of(element) for element in line]
    missing = [place for place, number in enumerate(numbers) if number != number]
    return missing[0] if missing else numbers.index(choose(numbers))


def _shared(choose: Callable[[Line], Any], line: Line) -> Any:
    """The chosen number; where several elements are equal to it their mean, so that they share its gradient."""
    chosen = line[_first(choose, line)]
    if not isinstance(chosen, Value):
        return chosen
    winners = [value for value in line if value.data == chosen.data]
    return add_up(winners) / len(winners) if len(winners) > 1 else chosen


def _reduce(function: Callable[[Line], Any], x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """Replace the elements along the dimensions `dims` with one number, `function` of them in reading order."""

    def element(*place: int) -> Any:
        sources = [range(n) if d in dims else (i,) for d, (i, n) in enumerate(zip(place, x.shape, strict=True))]
        return function([at(x.values, source) for source in product(*sources)])

    result = build(checks.kept(x.shape, dims), element)
    return result.reshape(*checks.reduced(x.shape, dims, keepdim))


def cumsum(x: Any, dim: int) -> Array:
    """Sums that grow along `dim`: y[i] = x[0] + ... + x[i]."""
    dim = checks.dimension("cumsum", dim, x.shape)
    return Array(along(_growing_sums, x.values, x.shape, dim), x.shape, float64 if x.dtype == float64 else int64)


def _growing_sums(line: Line) -> Line:
    sums: Line = []
    for value in line:
        sums.append(sums[-1] + value if sums else value + 0)
    return sums


# ----------------------------------------------------------------------------------------------------------------------
# Probabilities.


def logsumexp(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """log(sum of exp(x)), computed as largest + log(sum of exp(x - largest)), which cannot overflow."""
    checks.quantities("logsumexp", x)
    return _reduce(_logsumexp, x, checks.dimensions("logsumexp", dim, x.shape), keepdim)


def softmax(x: Array, dim: int = -1) -> Array:
    """exp(x[i]) / sum over j of exp(x[j]), along one dimension."""
    checks.quantities("softmax", x)
    return Array(along(_softmax, x.values, x.shape, checks.dimension("softmax", dim, x.shape)), x.shape)


def log_softmax(x: Array, dim: int = -1) -> Array:
    """log(softmax(x)), without a detour through numbers too small for the logarithm."""
    checks.quantities("log_softmax", x)
    return Array(along(_log_softmax, x.values, x.shape, checks.dimension("log_softmax", dim, x.shape)), x.shape)


def _logsumexp(line: Line) -> Any:
    largest = _largest(line)
    shift = largest if math.isfinite(largest) else 0.0
    return add_up([(value - shift).exp() for value in line]).log() + shift


def _softmax(line: Line) -> Line:
    shifted = _shift(line)
    powers = [value.exp() for value in shifted]
    total = add_up(powers)
    return [power / total for power in powers]


def _log_softmax(line: Line) -> Line:
    shifted = _shift(line)
    log_total = add_up([value.exp() for value in shifted]).log()
    return [value - log_total for value in shifted]


def _shift(line: Line) -> Line:
    """Subtract the largest number, which keeps `exp` from overflowing.

    Any number may be subtracted from all, for it cancels in exp(x[i]) / sum(exp(x[j])); so it is a constant, and no
    gradient needs to flow through the choice of the largest.
    """
    largest = _largest(line)
    return [value - largest for value in line]


def _largest(line: Line) -> float:
    return builtins.max((value.data for value in line), default=0.0)
