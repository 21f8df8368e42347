"""Other types, shapes and selections of the same numbers. What can share memory does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from fast import elementwise, placement
from fast.tensors import Gradients, Rule, Tensor, one_dtype, overwrite, record, share_memory
from micro import checks
from micro.vocabulary import DEVICES, float32, float64, int64


def to(x: Tensor, dtype: str) -> Tensor:
    """x with elements of type `dtype`; x itself, if it has that type already. Fractions are cut off towards zero.

    dtype: or a device, "cpu" or "cuda", for x with its numbers there. Gradients pass through both.
    """
    if x.dtype == dtype:
        return x
    if dtype in DEVICES:
        return x if x.device == dtype else record(_MOVE, placement.moved(x.data, dtype), (x,))
    checks.element_type(dtype)
    data = x.data.astype(dtype)
    return record(_TO, data, (x,)) if dtype in (float32, float64) else Tensor(data)


def _to_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.astype(node.parents[0].data.dtype),)


def _move_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (placement.moved(grad, node.parents[0].device),)


def _lower_same(recorder: Any, node: Tensor) -> Any:
    """The numbers stay where they are; of another type than all others they would be refused."""
    (x,) = node.parents
    return recorder.value(x), lambda grad: [grad if recorder.wants(x) else None]


_TO = Rule("to", _to_grad, reads=(), lower=_lower_same)
_MOVE = Rule("to", _move_grad, reads=())


def reshape(x: Tensor, *shape: int) -> Tensor:
    """The same elements, in reading order, in another shape; one length may be -1."""
    result = record(_RESHAPE, x.data.reshape(checks.new_shape(x.shape, shape)), (x,))
    return share_memory(result, x) if shares_memory(x, result) else result  # where it cannot, NumPy makes a copy


def _reshape_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.reshape(node.parents[0].shape),)


_RESHAPE = Rule("reshape", _reshape_grad, reads=(), lower=_lower_same)


def shares_memory(x: Tensor, y: Tensor) -> bool:
    """Whether writing to x changes y."""
    if placement.used and placement.on_gpu("view", x):
        there: Any = x.data
        return there.shares_memory(y.data) or there.size == 0
    return np.may_share_memory(x.data, y.data) or x.data.size == 0


def permute(x: Tensor, *dims: int) -> Tensor:
    """Dimension i of the result is dimension dims[i] of x."""
    order = checks.permutation(x.shape, dims)
    if placement.used and placement.on_gpu("permute", x):
        return _rearranged(_PERMUTE, x, lambda array: array.transpose(order), order)
    return share_memory(record(_PERMUTE, x.data.transpose(order), (x,), saved=order), x)


def _rearranged(rule: Rule, x: Tensor, how: Callable[[np.ndarray], np.ndarray], saved: Any = None) -> Tensor:
    """On a GPU: a copy of the elements, in the shape and the order that NumPy gives them; whole numbers by the CPU."""
    if x.data.dtype.kind != "f":
        return Tensor(placement.moved(how(placement.host(x.data)).copy(), x.device))
    shape = how(placement.shape_only(x.shape, x.data.dtype)).shape
    return placement.eager().launched(rule, shape, (x,), saved)


def _permute_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.transpose(np.argsort(node.saved)),)


def _lower_permute(recorder: Any, node: Tensor) -> Any:
    (x,) = node.parents
    return recorder.rearranged(x, node.shape, _numbered(x).transpose(node.saved))


def _numbered(x: Tensor) -> np.ndarray:
    """The number of each element of x, in reading order."""
    return np.arange(x.data.size).reshape(x.shape)


_PERMUTE = Rule("permute", _permute_grad, reads=(), lower=_lower_permute)


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x repeated along dimensions of length 1, and along new ones in front."""
    shape = checks.stretched(x.shape, shape)
    if placement.used and placement.on_gpu("broadcast_to", x):
        return _rearranged(_BROADCAST, x, lambda array: np.broadcast_to(array, shape))
    data = np.broadcast_to(x.data, shape)
    return share_memory(record(_BROADCAST, data, (x,)), x)


def _broadcast_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (elementwise.unbroadcast(grad, node.parents[0].shape),)


def _lower_broadcast(recorder: Any, node: Tensor) -> Any:
    (x,) = node.parents
    return recorder.rearranged(x, node.shape, np.broadcast_to(_numbered(x), node.shape))


_BROADCAST = Rule("broadcast_to", _broadcast_grad, reads=(), lower=_lower_broadcast)


def flip(x: Tensor, *dims: int) -> Tensor:
    """The elements in the opposite order along `dims`; a copy, as in PyTorch."""
    turned = checks.dimensions("flip", checks.lengths("flip", dims), x.shape)
    if placement.used and placement.on_gpu("flip", x):
        return _rearranged(_FLIP, x, lambda array: np.flip(array, turned), turned)
    return record(_FLIP, np.flip(x.data, turned).copy(), (x,), saved=turned)


def _flip_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (np.flip(grad, node.saved),)


def _lower_flip(recorder: Any, node: Tensor) -> Any:
    (x,) = node.parents
    return recorder.rearranged(x, node.shape, np.flip(_numbered(x), node.saved))


_FLIP = Rule("flip", _flip_grad, reads=(), lower=_lower_flip)


def pad(x: Tensor, pad: Sequence[int], value: float = 0.0) -> Tensor:
    """x with `value` around it: pad = (before, after) for the last dimension, then for the one before it, and so on."""
    pairs = checks.padding(x.shape, pad)
    inner = tuple(slice(before, before + n) for (before, _), n in zip(pairs, x.shape, strict=True))
    if placement.used and placement.on_gpu("pad", x):
        saved = inner, float(value)
        return _rearranged(_PAD, x, lambda array: np.pad(array, pairs, constant_values=value), saved)
    return record(_PAD, np.pad(x.data, pairs, constant_values=value), (x,), saved=(inner, float(value)))


def _pad_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad[node.saved[0]].copy(),)


def _lower_pad(recorder: Any, node: Tensor) -> Any:
    (x,), (inner, value), places = node.parents, node.saved, np.full(node.shape, -1)
    places[inner] = _numbered(x)
    return recorder.rearranged(x, node.shape, places, value)


_PAD = Rule("pad", _pad_grad, reads=(), lower=_lower_pad)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one behind the other along `dim`."""
    dim = checks.cat_shapes(tensors, dim)
    tensors = one_dtype("cat", *tensors) if any(x.dtype in (float32, float64) for x in tensors) else tuple(tensors)
    if placement.used and placement.on_gpu("cat", *tensors):
        joined = [placement.shape_only(x.shape, x.data.dtype) for x in tensors]
        if tensors[0].data.dtype.kind != "f":
            return Tensor(placement.moved(np.concatenate([placement.host(x.data) for x in tensors], dim), "cuda"))
        return placement.eager().launched(_CAT, np.concatenate(joined, dim).shape, tensors, dim)
    return record(_CAT, np.concatenate([x.data for x in tensors], dim), tensors, saved=dim)


def _cat_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    ends = np.cumsum([parent.shape[node.saved] for parent in node.parents])[:-1]
    return [part.copy() for part in np.split(grad, ends, node.saved)]


def _lower_cat(recorder: Any, node: Tensor) -> Any:
    """Each tensor is put at its places in the result, and finds its gradient there."""
    y, numbered, ends = recorder.new(node.data.size), _numbered(node), 0
    tables = []
    for x in node.parents:
        begin, ends = ends, ends + x.shape[node.saved]
        places = np.take(numbered, range(begin, ends), node.saved)
        tables.append(recorder.whole(places.ravel().tolist()))
        recorder.emit("put", x.data.size, tables[-1], recorder.value(x), y, shape=node.shape)

    def backward(grad: Any) -> Any:
        targets = [recorder.gradient(x) for x in node.parents]
        for x, table, target in zip(node.parents, tables, targets, strict=True):
            if target is not None:
                size = x.data.size
                recorder.emit("select", size, table, grad, target, shape=x.shape, numbers=[0])
        return targets

    return y, backward


_CAT = Rule("cat", _cat_grad, reads=(), lower=_lower_cat)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i][j] = x[i][index[i][j]] for dim = 1, and likewise for other dimensions."""
    dim = checks.gather_index(x, dim, index)
    chosen = placement.host(index.data)
    _check_inside("gather", chosen, x.shape[dim])
    places = np.indices(index.shape, sparse=True)
    return _selected(_GATHER, x, (*places[:dim], chosen, *places[dim + 1 :]))


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index], with NumPy's meaning of integers, slices, None, dots, and lists of integers or of truth values."""
    return _selected(_GETITEM, x, _index(index))


def _selected(rule: Rule, x: Tensor, parts: tuple[Any, ...]) -> Tensor:
    if placement.used and placement.on_gpu(rule.symbol, x):
        return _rearranged(rule, x, lambda array: _at(array, parts), parts)
    result = record(rule, _at(x.data, parts), (x,))
    if not any(isinstance(part, np.ndarray) for part in parts):
        result = share_memory(result, x)
    if result.requires_grad:  # the places as they are now, whatever becomes of the tensor that held them
        result.saved = tuple([part.copy() if isinstance(part, np.ndarray) else part for part in parts])
    return result


def _selected_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    shape = node.parents[0].shape
    if any(isinstance(part, np.ndarray) and part.dtype != bool for part in node.saved):
        sums = np.zeros(shape)  # in float64: an element may have been chosen a million times
        np.add.at(sums, node.saved, grad)
        return (sums.astype(grad.dtype, copy=False),)
    result = np.zeros(shape, grad.dtype)
    result[node.saved] = grad
    return (result,)


def _lower_selected(recorder: Any, node: Tensor) -> Any:
    (x,) = node.parents
    return recorder.rearranged(x, node.shape, np.asarray(_numbered(x)[node.saved]))


_GETITEM, _GATHER = [Rule(name, _selected_grad, reads=(), lower=_lower_selected) for name in ("[ ]", "gather")]


def setitem(x: Tensor, index: Any, numbers: Any) -> None:
    """x[index] = numbers: new numbers in the selected places."""
    parts = _index(index)
    new = placement.host(x.engine.as_tensor(numbers, x.dtype).data)
    checks.assigned("x[...] = numbers", new.shape, _at(placement.shape_only(x.shape, x.data.dtype), parts).shape)
    overwrite(x, new, parts)


def _at(array: np.ndarray, parts: tuple[Any, ...]) -> np.ndarray:
    try:
        return np.asarray(array[parts])
    except IndexError as error:
        shown = ", ".join(map(str, parts[:-1] if parts[-1:] == (...,) else parts))
        raise IndexError(f"index ({shown}) does not fit the shape {array.shape}: {error}") from None


def _index(index: Any) -> tuple[Any, ...]:
    """The parts of an index as NumPy takes them: lists and tensors as arrays."""
    parts = [_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    if not any(part is Ellipsis for part in parts if not isinstance(part, np.ndarray)):
        parts.append(...)  # the dots keep a single element a view of the memory
    return tuple(parts)


def _part(part: Any) -> Any:
    if isinstance(part, Tensor):
        part = placement.host(part.data)
    if isinstance(part, list | np.ndarray):
        array = np.asarray(part if part != [] else np.empty(0, int64)) if isinstance(part, list) else np.asarray(part)
        if array.dtype.kind in "bi":
            return array
    checks.index_part(part)
    return int(part) if isinstance(part, Integral) else part


def _check_inside(name: str, places: np.ndarray, length: int) -> None:
    if places.size and (places.min() < -length or places.max() >= length):
        checks.inside(name, places.ravel().tolist(), length)
