"""Many numbers into few: sums, the largest and the smallest, and probabilities."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product as combinations
from typing import Any

from micro import checks
from micro.array import Array, along, at, build, copied, number_of
from micro.ops import LARGER
from micro.value import Value
from micro.vocabulary import Dim, Extreme, float64, int64

Line = list[Any]


def add_up(values: Sequence[Any]) -> Any:
    """values[0] + values[1] + ..., from left to right; a Value of 0 if there are none."""
    if not values:
        return Value(0.0)
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def total(values: Sequence[Any]) -> Any:
    """`add_up` of Values that belong to somebody: never one of them, but a copy where there is only one."""
    return copied(values[0]) if len(values) == 1 else add_up(values)


def sum(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The sum over one or several dimensions, or over all elements; truth values are counted."""
    dims = checks.dimensions("sum", dim, x.shape)
    return _reduce(total, x, dims, keepdim) if x.dtype == float64 else _reduce(builtins.sum, x, dims, keepdim, int64)


def prod(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The product over one or several dimensions, or over all elements."""
    dims = checks.dimensions("prod", dim, x.shape)
    return _reduce(_multiply, x, dims, keepdim) if x.dtype == float64 else _reduce(math.prod, x, dims, keepdim, int64)


def _multiply(line: Line) -> Any:
    if not line:
        return Value(1.0)
    product = copied(line[0]) if len(line) == 1 else line[0]
    for value in line[1:]:
        product = product * value
    return product


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
        return _reduce(partial(_shared, choose), x, checks.dimensions(name, None, x.shape), keepdim, x.dtype)
    dims = (checks.dimension(name, dim, x.shape),)
    first = _reduce(lambda line: copied(line[_first(choose, line)]), x, dims, keepdim, x.dtype)
    return Extreme(first, _where_extreme(name, choose, x, dim, keepdim))


def _where_extreme(name: str, choose: Callable[[Line], Any], x: Any, dim: int | None, keepdim: bool) -> Array:
    checks.some_elements(name, x.shape, dim)
    dims = checks.dimensions(name, dim if dim is None else (dim,), x.shape)
    return _reduce(partial(_first, choose), x, dims, keepdim, int64)


def _first(choose: Callable[[Line], Any], line: Line) -> int:
    """The place of the first element that `choose` would choose, or of the first nan."""
    numbers = [number_of(element) for element in line]
    missing = [place for place, number in enumerate(numbers) if number != number]
    return missing[0] if missing else numbers.index(choose(numbers))


def _shared(choose: Callable[[Line], Any], line: Line) -> Any:
    """The chosen number; where several elements are equal to it their mean, so that they share its gradient.

    The mean is taken of their distances from that number, which are 0, for rounding would move that of the numbers.
    """
    chosen = number_of(line[_first(choose, line)])
    winners = [element for element in line if _same(number_of(element), chosen)]
    if len(winners) == 1 or not isinstance(winners[0], Value):
        return copied(winners[0])
    shift = chosen if math.isfinite(chosen) else 0.0
    return add_up([value - shift for value in winners]) / len(winners) + shift


def _same(a: float, b: float) -> bool:
    """Whether two numbers are equal, or both nan."""
    return a == b or (a != a and b != b)


def _reduce(function: Callable[[Line], Any], x: Any, dims: tuple[int, ...], keepdim: bool, dtype: str = float64) -> Any:
    """Replace the elements along the dimensions `dims` with one number, `function` of them in reading order."""

    def element(*place: int) -> Any:
        sources = [range(n) if d in dims else (i,) for d, (i, n) in enumerate(zip(place, x.shape, strict=True))]
        return function([at(x.values, source) for source in combinations(*sources)])

    result = build(checks.kept(x.shape, dims), element, dtype)
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

    Any number may be subtracted from all, for it cancels in exp(x[i]) / sum(exp(x[j])); so no gradient needs to flow
    through the choice of the largest.
    """
    if not line:
        return line
    largest = line[0]
    for value in line[1:]:
        largest = Value._apply(LARGER, largest, value)
    return [value - largest for value in line]


def _largest(line: Line) -> float:
    return builtins.max((value.data for value in line), default=0.0)
