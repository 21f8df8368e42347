"""Other types, shapes and selections of the same numbers.

No arithmetic happens here: the result holds the very Values of the argument, in other places, so that gradients reach
them by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from micro import checks
from micro.array import Array, at, build, flatten, places, regroup, stretch, tensor, wrap
from micro.value import Constant, Value
from micro.vocabulary import bool_, float32, float64, int64


def to(x: Any, dtype: str) -> Any:
    """The numbers as elements of type `dtype`; x itself, if it is that already. Fractions are cut off towards zero.

    `"float32"` is accepted for float64, the only precision that Python has.
    """
    if x.dtype == dtype or (x.dtype == float64 and dtype == float32):
        return x
    return tensor(x.tolist(), dtype)


def reshape(x: Any, *shape: int) -> Any:
    """The same elements, in reading order, in another shape; one length may be -1."""
    shape = checks.new_shape(x.shape, shape)
    return wrap(regroup(x.flat(), shape), shape, x.dtype)


def shares_memory(x: Any, y: Any) -> bool:
    """Whether writing to x changes y. (Here results hold the Values of their argument: it always does.)"""
    return True


def permute(x: Array, *dims: int) -> Array:
    """Dimension i of the result is dimension dims[i] of x."""
    dims = checks.permutation(x.shape, dims)

    def element(*place: int) -> Any:
        return at(x.values, [place[dims.index(dim)] for dim in range(len(dims))])

    return build(tuple(x.shape[dim] for dim in dims), element)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Array:
    """x repeated along dimensions of length 1, and along new ones in front; the Values are shared, not copied."""
    shape = checks.stretched(x.shape, shape)
    return wrap(stretch(x.values, x.shape, shape), shape, x.dtype)


def flip(x: Array, *dims: int) -> Array:
    """The elements in the opposite order along `dims`."""
    turned = checks.dimensions("flip", checks.lengths("flip", dims), x.shape)

    def element(*place: int) -> Any:
        turn = [n - 1 - i if d in turned else i for d, (i, n) in enumerate(zip(place, x.shape, strict=True))]
        return at(x.values, turn)

    return build(x.shape, element)


def pad(x: Array, pad: Sequence[int], value: float = 0.0) -> Array:
    """x with `value` around it: pad = (before, after) for the last dimension, then for the one before it, and so on."""
    pairs = checks.padding(x.shape, pad)

    def element(*place: int) -> Any:
        inner = [i - before for i, (before, _) in zip(place, pairs, strict=True)]
        if all(0 <= i < n for i, n in zip(inner, x.shape, strict=True)):
            return at(x.values, inner)
        return Constant(value) if x.dtype == float64 else int(value)

    return build(tuple(n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True)), element)


def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """Tensors one behind the other along `dim`."""
    dim = checks.cat_shapes(tensors, dim)
    dtype = float64 if any(x.dtype == float64 for x in tensors) else max(x.dtype for x in tensors)
    sources = [(to(x, dtype).values, i) for x in tensors for i in range(x.shape[dim])]

    def element(*place: int) -> Any:
        values, i = sources[place[dim]]
        return at(values, (*place[:dim], i, *place[dim + 1 :]))

    first = tensors[0].shape
    return build((*first[:dim], len(sources), *first[dim + 1 :]), element)


def gather(x: Array, dim: int, index: Array) -> Array:
    """y[i][j] = x[i][index[i][j]] for dim = 1, and likewise for other dimensions."""
    dim = checks.gather_index(x, dim, index)
    checks.inside("gather", index.flat(), x.shape[dim])

    def element(*place: int) -> Any:
        return at(x.values, (*place[:dim], at(index.values, place), *place[dim + 1 :]))

    return build(index.shape, element)


def getitem(x: Array, index: Any) -> Any:
    """x[index], with NumPy's meaning of integers, slices, None, dots, and lists of integers or of truth values."""
    shape, selected = _selection(index, x.shape)
    return wrap(regroup((at(x.values, place) for place in selected), shape), shape, x.dtype)


def setitem(x: Array, index: Any, numbers: Any) -> None:
    """x[index] = numbers: new numbers in the selected places."""
    shape, selected = _selection(index, x.shape)
    new = tensor(numbers, x.dtype)
    checks.assigned("x[...] = numbers", new.shape, shape)
    for place, number in zip(selected, broadcast_to(new, shape).flat(), strict=True):
        if isinstance(number, Value):
            at(x.values, place).data = number.data
        else:
            at(x.values, place[:-1])[place[-1]] = number


# ----------------------------------------------------------------------------------------------------------------------
# What an index selects.


def _selection(index: Any, shape: checks.Shape) -> tuple[checks.Shape, list[tuple[int, ...]]]:
    """The shape of x[index], and for each of its elements the place in x.

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

    return result, [source(place) for place in places(result)]


def _spread_out(index: Any, shape: checks.Shape) -> list[Any]:
    """One part for each dimension: a range, an integer Array of places, or None where the result gets a new one."""
    parts: list[Any] = []
    for part in index if isinstance(index, tuple) else (index,):
        parts += _as_parts(part)
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexError(f"index {index}: more than one ...")
    needed = sum(part is not None and part is not Ellipsis for part in parts)
    if needed > len(shape):
        raise IndexError(f"index {index}: {needed} indices for the {len(shape)} dimensions of shape {shape}")
    rest = [slice(None)] * (len(shape) - needed)
    where = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts = parts[:where] + rest + parts[where + 1 :]
    lengths = iter(shape)
    return [None if part is None else _in_range(part, next(lengths)) for part in parts]


def _as_parts(part: Any) -> list[Any]:
    """An integer, or a list of them, as an Array; a mask as the places where it holds, one Array for each dimension."""
    if isinstance(part, list | Array) or hasattr(part, "tolist"):
        array = (
            part if isinstance(part, Array) else tensor(part, int64 if isinstance(part, list) and not part else None)
        )
        if array.dtype == bool_:
            chosen = [place for place in places(array.shape) if at(array.values, place)]
            return [Array([place[d] for place in chosen], (len(chosen),), int64) for d in range(len(array.shape))]
        if array.dtype == int64:
            return [array]
    checks.index_part(part)
    return [Array(int(part), (), int64)] if isinstance(part, Integral) else [part]


def _in_range(part: Any, length: int) -> Any:
    """`part` for a dimension of this length: a slice as a range, and no negative numbers."""
    if isinstance(part, slice):
        return range(length)[part]
    checks.inside("x[...]", part.flat(), length)
    return wrap(regroup((i % length for i in flatten(part.values)), part.shape), part.shape, int64)
