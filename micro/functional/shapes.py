"""Other types, shapes and selections of the same numbers.

No arithmetic happens here: the result holds the very Values of the argument, in other places, so that gradients reach
them by themselves, and so does what is written to them. Where PyTorch makes a copy, so does this: a Value for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

from micro import checks
from micro.array import Array, at, build, copied, places, regroup, stretch, tensor, wrap
from micro.value import Constant, Value
from micro.vocabulary import DEVICES, Vocabulary, bool_, float32, float64, int64


def to(x: Any, dtype: str) -> Any:
    """The numbers as elements of type `dtype`; x itself, if it is that already. Fractions are cut off towards zero.

    `"float32"` is accepted for float64, the only precision that Python has, and `"cpu"` for where x is.
    """
    if x.dtype == dtype or (x.dtype == float64 and dtype == float32):
        return x
    if dtype in DEVICES:
        checks.only_cpu(dtype)
        return x
    return tensor(x, dtype)


def reshape(x: Any, *shape: int) -> Any:
    """The same elements, in reading order, in another shape; one length may be -1.

    Elements that stand in several places, as `broadcast_to` leaves them, are copied: one Value for each place.
    """
    shape = checks.new_shape(x.shape, shape)
    elements = list(x.flat())
    if len(set(map(id, elements))) < len(elements):
        elements = list(map(copied, elements))
    return wrap(regroup(iter(elements), shape), shape, x.dtype)


def shares_memory(x: Any, y: Any) -> bool:
    """Whether writing to x changes y: whether all elements of y are of x."""
    return set(map(id, y.flat())) <= set(map(id, x.flat()))


def permute(x: Array, *dims: int) -> Array:
    """Dimension i of the result is dimension dims[i] of x."""
    dims = checks.permutation(x.shape, dims)

    def element(*place: int) -> Any:
        return at(x.values, [place[dims.index(dim)] for dim in range(len(dims))])

    return build(tuple(x.shape[dim] for dim in dims), element, x.dtype)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Array:
    """x repeated along dimensions of length 1, and along new ones in front; the Values are shared, not copied."""
    shape = checks.stretched(x.shape, shape)
    return wrap(stretch(x.values, x.shape, shape), shape, x.dtype)


def flip(x: Array, *dims: int) -> Array:
    """The elements in the opposite order along `dims`."""
    turned = checks.dimensions("flip", checks.lengths("flip", dims), x.shape)

    def element(*place: int) -> Any:
        turn = [n - 1 - i if d in turned else i for d, (i, n) in enumerate(zip(place, x.shape, strict=True))]
        return copied(at(x.values, turn))

    return build(x.shape, element, x.dtype)


def pad(x: Array, pad: Sequence[int], value: float = 0.0) -> Array:
    """x with `value` around it: pad = (before, after) for the last dimension, then for the one before it, and so on."""
    pairs = checks.padding(x.shape, pad)
    border: Callable[[float], Any] = {float64: Constant, int64: int, bool_: bool}[x.dtype]

    def element(*place: int) -> Any:
        inner = [i - before for i, (before, _) in zip(place, pairs, strict=True)]
        if all(0 <= i < n for i, n in zip(inner, x.shape, strict=True)):
            return copied(at(x.values, inner))
        return border(value)

    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True))
    return build(shape, element, x.dtype)


def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """Tensors one behind the other along `dim`."""
    dim = checks.cat_shapes(tensors, dim)
    dtype = float64 if any(x.dtype == float64 for x in tensors) else max(x.dtype for x in tensors)
    sources = [(to(x, dtype).values, i) for x in tensors for i in range(x.shape[dim])]

    def element(*place: int) -> Any:
        values, i = sources[place[dim]]
        return copied(at(values, (*place[:dim], i, *place[dim + 1 :])))

    first = tensors[0].shape
    return build((*first[:dim], len(sources), *first[dim + 1 :]), element, dtype)


def gather(x: Array, dim: int, index: Array) -> Array:
    """y[i][j] = x[i][index[i][j]] for dim = 1, and likewise for other dimensions."""
    dim = checks.gather_index(x, dim, index)
    checks.inside("gather", index.flat(), x.shape[dim])

    def element(*place: int) -> Any:
        return copied(at(x.values, (*place[:dim], at(index.values, place), *place[dim + 1 :])))

    return build(index.shape, element, x.dtype)


def getitem(x: Array, index: Any) -> Any:
    """x[index], with NumPy's meaning of integers, slices, None, dots, and lists of integers or of truth values.

    Integers, slices, None and dots alone give a view; where there is a list, the elements are copied.
    """
    shape, selected, listed = _selection(index, x.shape)
    elements = (at(x.values, place) for place in selected)
    return wrap(regroup(map(copied, elements) if listed else elements, shape), shape, x.dtype)


def setitem(x: Array, index: Any, numbers: Any) -> None:
    """x[index] = numbers: new numbers in the selected places."""
    shape, selected, _ = _selection(index, x.shape)
    new = tensor(numbers, x.dtype)
    checks.assigned("x[...] = numbers", new.shape, shape)
    for place, number in zip(selected, broadcast_to(new, shape).flat(), strict=True):
        if isinstance(number, Value):
            at(x.values, place).data = number.data
        else:
            at(x.values, place[:-1])[place[-1]] = number


# ----------------------------------------------------------------------------------------------------------------------
# What an index selects.


def _selection(index: Any, shape: checks.Shape) -> tuple[checks.Shape, list[tuple[int, ...]], bool]:
    """The shape of x[index], for each of its elements the place in x, and whether the index has a list in it.

    Each part of the index offers, for one dimension of x, the places along it. Slices offer a range, and make a
    dimension of the result. Lists are walked through together (the first element of each, then the second, ...), and
    all of them make one group of dimensions, in the place of the first list if they stand side by side, else in front.
    A single integer beside a list counts as a list of one.
    """
    parts = _spread_out(index, shape)
    lists = [i for i, part in enumerate(parts) if isinstance(part, Array)]
    group = checks.broadcast_shape("x[...]", *[parts[i].shape for i in lists], ())
    together = [broadcast_to(parts[i], group) for i in lists]
    side_by_side = lists == list(range(lists[0], lists[-1] + 1)) if lists else True
    front = lists[0] if group and side_by_side else 0
    ranges = [range(1) if part is None else part for part in parts if not isinstance(part, Array)]
    lengths = [len(r) for r in ranges]
    result = (*lengths[:front], *group, *lengths[front:])

    def source(place: tuple[int, ...]) -> tuple[int, ...]:
        walked = [at(x.values, place[front : front + len(group)]) for x in together]
        straight = iter([r[i] for r, i in zip(ranges, place[:front] + place[front + len(group) :], strict=True)])
        chosen = iter(walked)
        found = [next(chosen) if isinstance(part, Array) else next(straight) for part in parts]
        return tuple(i for i, part in zip(found, parts, strict=True) if part is not None)

    return result, [source(place) for place in places(result)], bool(group)


def _spread_out(index: Any, shape: checks.Shape) -> list[Any]:
    """One part for each dimension: a range, an integer Array of places, or None where the result gets a new one."""
    parts = [_as_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"index {index}: more than one ...")
    needed = sum(map(_dimensions_of, parts))
    if needed > len(shape):
        raise IndexError(f"index {index}: {needed} indices for the {len(shape)} dimensions of shape {shape}")
    where = dots[0] if dots else len(parts)
    parts[where : where + 1] = [slice(None)] * (len(shape) - needed)
    spread: list[Any] = []
    for part in parts:
        first = sum(found is not None for found in spread)
        spread += _places_along(part, shape[first : first + _dimensions_of(part)])
    return spread


def _as_part(part: Any) -> Any:
    """An integer, or a list of integers or of truth values, as an Array; the rest as it is."""
    if isinstance(part, Vocabulary) and not isinstance(part, Array | Value):
        raise checks.mixed_engines("x[...]", (Array([]), part))
    if isinstance(part, list | Array) or hasattr(part, "tolist"):
        empty = isinstance(part, list) and not part
        array = part if isinstance(part, Array) else tensor(part, int64 if empty else None)
        if array.dtype == int64 or (array.dtype == bool_ and array.shape):
            return array
    checks.index_part(part)
    return Array(int(part), (), int64) if isinstance(part, Integral) else part


def _dimensions_of(part: Any) -> int:
    """How many dimensions of x a part speaks of."""
    if isinstance(part, Array) and part.dtype == bool_:
        return len(part.shape)
    return 0 if part is None or part is Ellipsis else 1


def _places_along(part: Any, lengths: checks.Shape) -> list[Any]:
    """The places that a part selects, for each of its dimensions: a slice as a range, and no negative numbers.

    A mask is the same as lists of the places where it holds, one list for each of its dimensions.
    """
    if part is None:
        return [None]
    if isinstance(part, slice):
        return [range(lengths[0])[part]]
    if part.dtype == bool_:
        checks.mask_fits(part.shape, lengths)
        chosen = [place for place in places(lengths) if at(part.values, place)]
        return [Array([place[d] for place in chosen], (len(chosen),), int64) for d in range(len(lengths))]
    checks.inside("x[...]", part.flat(), lengths[0])
    return [wrap(regroup((i % lengths[0] for i in part.flat()), part.shape), part.shape, int64)]
