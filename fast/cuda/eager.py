"""Operations on the GPU, each carried out at once.

A rule of the engine says with `lower` which instructions compute an operation and its gradients. For a compiled step
they are recorded; here each is carried out when the rule gives it, by the function of its name in
`fast.cuda.instructions`, and a place is an array on the GPU. So an operation is described once, for all of these.

Whole numbers and truth values lie on the GPU like all others, but what is computed of them, be it `labels + 1` or
`x > 0`, is computed by the CPU, and moved there and back: no kernels are worth it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fast import elementwise, placement
from fast.cuda.instructions import INSTRUCTIONS
from fast.cuda.instructions import elementwise as carry_out_elementwise
from fast.cuda.memory import Arrays, DeviceArray, Whole, upload
from fast.cuda.registry import by_element
from fast.lowering import Lowering
from fast.tensors import Rule, Tensor, keep_for_undo, mark_written, record
from micro import checks
from micro.ops import Op


class Eager(Lowering):
    """Carries out instructions at once, for numbers of a type. What is not explained here is in `Recorder`."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype, self.gpu = dtype, Arrays(dtype)

    def value(self, tensor: Tensor | None) -> Any:
        """The array of a tensor, in the type of all numbers."""
        if tensor is None:
            return -1
        array: Any = placement.moved(tensor.data, "cuda")
        return array if array.dtype == self.dtype else array.astype(self.dtype)

    def new(self, size: int) -> DeviceArray:
        return DeviceArray((size,), self.dtype)

    def wide(self, size: int) -> DeviceArray:
        return self.new(size)  # see `Gpu.wide`

    def constant(self, array: np.ndarray) -> DeviceArray:
        return upload(np.asarray(array, self.dtype))

    def is_number(self, tensor: Tensor) -> bool:
        """A number that lies on the GPU is spread there like any other."""
        return isinstance(tensor.data, np.ndarray) and super().is_number(tensor)

    def filled(self, number: Tensor, shape: tuple[int, ...]) -> DeviceArray:
        place = DeviceArray(shape, self.dtype)
        self.emit("fill", place.size, place, numbers=[number.data.item()])
        return place

    def labels(self, tensor: Tensor) -> Any:
        return tensor.data if tensor.data.dtype == np.int64 else tensor.data.astype(np.int64)

    def whole(self, numbers: Sequence[int] | np.ndarray) -> Whole:
        return Whole(numbers)

    def seed(self, number: int) -> Whole:
        return Whole([np.uint64(number % 2**64).astype(np.int64)])

    def count(self, tensor: Tensor | None) -> Any:
        return -1 if tensor is None else Whole([tensor.item()])

    def room(self, count: int) -> DeviceArray:
        return DeviceArray((count,), np.int64)

    def listed(self, places: Sequence[DeviceArray]) -> Sequence[DeviceArray]:
        return places

    def wants(self, tensor: Tensor) -> bool:
        return tensor.requires_grad

    def gradient(self, tensor: Tensor) -> DeviceArray | None:
        return self.new(tensor.data.size) if tensor.requires_grad else None

    def buffer(self, tensor: Tensor | None) -> Any:
        if tensor is not None:
            keep_for_undo(tensor)
            mark_written(tensor)
        return self.value(tensor)

    def emit(self, name: str, *arguments: Any, numbers: Sequence[float] = (), **about: Any) -> None:
        INSTRUCTIONS[name](self.gpu, *arguments, numbers=numbers)
        self.gpu.done()

    def emit_elementwise(self, plan: elementwise.Plan, shape: tuple[int, ...], *places: DeviceArray) -> None:
        carry_out_elementwise(self.gpu, plan[0][0].__name__, *places)


def launched(
    rule: Rule,
    shape: tuple[int, ...],
    parents: tuple[Tensor, ...],
    saved: Any = None,
    complain: Callable[[], None] | None = None,
) -> Tensor:
    """The result of an operation on the GPU, as `record` gives it.

    saved: what the rule's `lower` reads. complain: says what is wrong, where the instructions refuse numbers; to know
    that, the CPU has to wait for them.

    A result remembers the way back, and that must not remember the result, which nothing would set free then. So the
    rule is shown a tensor that has everything but the numbers.
    """
    dtype = next(parent.data.dtype for parent in parents if parent.data.dtype.kind == "f")
    node = Tensor(placement.shape_only(shape, dtype))
    node.op, node.parents, node.saved = rule, parents, saved
    assert rule.lower is not None
    recorder = Eager(dtype)
    place, way_back = rule.lower(recorder, node)
    if complain is not None and recorder.gpu.refused():
        complain()
    array = place.reshape(shape)
    if any(array.shares_memory(parent.data) for parent in parents):
        array = array.copy()
    result = record(rule, array, parents, saved)
    if result.op is not None:
        result._way_back = _shaped(way_back, parents)
    return result


def _shaped(way_back: Callable[[Any], Sequence[Any]] | None, parents: tuple[Tensor, ...]) -> Callable[[Any], Any]:
    """The way back with gradients in the shapes of the parents."""

    def backward(grad: DeviceArray) -> list[DeviceArray | None]:
        parts = [None] * len(parents) if way_back is None else way_back(grad)
        pairs = zip(parts, parents, strict=True)
        return [None if part is None else part.reshape(parent.shape) for part, parent in pairs]

    return backward


def apply(op: Op, rule: Rule, tensors: tuple[Tensor, ...]) -> Tensor:
    """A row of the table of operations, for tensors of one type; plain numbers among them may lie on the CPU."""
    shape = checks.broadcast_shape(op.symbol, *[tensor.shape for tensor in tensors])
    if tensors[0].data.dtype.kind == "f":
        return launched(rule, shape, tensors)
    found = elementwise.forward(op, [placement.host(tensor.data) for tensor in tensors])
    return Tensor(placement.moved(found, "cuda"))


def largest(x: Tensor, sign: int, parts: tuple[int, int, int], shape: tuple[int, ...]) -> Tensor:
    """Where the largest (sign 1) or smallest (-1) stands along the middle one of `parts`, the first in a tie."""
    recorder = Eager(x.data.dtype)
    y, winners = recorder.new(parts[0] * parts[2]), recorder.room(parts[0] * parts[2])
    recorder.emit("extreme", *parts, x.data, y, winners, numbers=[sign])
    places = recorder.gpu.short(winners, parts[0] * parts[2]).copy_to_host()
    return Tensor(placement.moved(places.astype(np.int64).reshape(shape), "cuda"))


# ----------------------------------------------------------------------------------------------------------------------
# Updates.


def update(name: str, arrays: Sequence[DeviceArray], settings: Sequence[float]) -> None:
    """One step of an optimizer for a parameter, its gradient, and what is kept of it.

    settings: as the CPU's kernel of that name takes them. What Adam's step makes of them is computed here, in float64.
    """
    if name == "adam":
        t, lr, beta1, beta2, eps, decay, shrink = settings
        corrections = lr / (1 - beta1**t), math.sqrt(1 - beta2**t)
        settings = *corrections, beta1, 1 - beta1, beta2, 1 - beta2, eps, decay, shrink
    elif name == "rmsprop":
        lr, alpha, eps, decay, momentum, centered = settings
        settings = lr, alpha, 1 - alpha, eps, decay, momentum, int(centered)
    Arrays(arrays[0].dtype).launch(f"updates.{name}", *[array.view(array.size) for array in arrays], *settings)


def clip_norm(gradients: Sequence[DeviceArray], max_norm: float) -> float:
    """Shorten gradients that are longer than `max_norm` together; returns how long they were."""
    gpu = Arrays(gradients[0].dtype)
    norm = math.sqrt(sum([_squares(gpu, gradient) for gradient in gradients]))
    square = upload(np.array([norm * norm], gpu.dtype))
    for gradient in gradients:
        gpu.launch("updates.clip_norm", gradient.view(gradient.size), square.view(1), max_norm)
    return norm


def _squares(gpu: Arrays, gradient: DeviceArray) -> float:
    """The sum of the squares of all elements, of which the GPU adds up those of each block."""
    parts = DeviceArray((by_element(gradient.size).grid[0],), gpu.dtype)
    gpu.launch("updates.squares", gradient.view(gradient.size), parts.view(parts.size))
    return float(parts.host().astype(np.float64).sum())
