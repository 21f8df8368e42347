"""What rules write their instructions with (`Rule.lower`), whether they are recorded or carried out at once.

Places are where numbers lie: in the memory of a program (`Recorder`), or in arrays on a GPU (`fast.cuda.eager`). What
takes several instructions, whatever becomes of them, is written here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fast.elementwise import Plan, differences
from fast.tensors import Tensor


class Lowering:
    """Places for tensors, and instructions between them.

    dtype: of all numbers but whole ones.
    """

    dtype: np.dtype

    def value(self, tensor: Tensor | None) -> Any:
        """Where the numbers of a tensor lie; -1 where there is no tensor."""
        raise NotImplementedError

    def new(self, size: int) -> Any:
        """A place for a result."""
        raise NotImplementedError

    def filled(self, number: Tensor, shape: tuple[int, ...]) -> Any:
        """A place full of a number, which never changes."""
        raise NotImplementedError

    def whole(self, numbers: Sequence[int] | np.ndarray) -> Any:
        """A place for whole numbers, which no instruction changes."""
        raise NotImplementedError

    def wants(self, tensor: Tensor) -> bool:
        """Whether the gradient of a tensor is needed."""
        raise NotImplementedError

    def gradient(self, tensor: Tensor) -> Any:
        """A place for a share of the gradient of a tensor; None if nobody wants it."""
        raise NotImplementedError

    def emit(
        self,
        name: str,
        *arguments: Any,
        flops: int = 0,
        shape: tuple[int, ...] = (),
        numbers: Sequence[float] = (),
        listed: Sequence[Any] = (),
    ) -> None:
        """An instruction: the kernel of that name, None for a place that there is not.

        flops, shape, listed: see `fast.recording.Instruction`; numbers: settings that are no whole numbers.
        """
        raise NotImplementedError

    def emit_product(self, name: str, *arguments: Any, work: int, **about: Any) -> None:
        """`emit` for kernels that multiply matrices. work: how many multiplications there are."""
        self.emit(name, *arguments, **{"flops": 2 * work, **about})

    def emit_multiplying(self, name: str, *arguments: Any, work: int, **about: Any) -> None:
        """`emit` for kernels that are handed what multiplies matrices."""
        self.emit(name, *arguments, **about)

    def emit_loop(self, name: str, *arguments: Any, work: int, threshold: int, **about: Any) -> None:
        """`emit` for kernels that have a parallel version, which takes over from `threshold` of `work` on."""
        self.emit(name, *arguments, **{"flops": work, **about})

    def emit_elementwise(self, plan: Plan, shape: tuple[int, ...], *places: Any) -> None:
        """`emit` for a kernel that goes through one-dimensional arrays of one length, the elements of `shape`."""
        raise NotImplementedError

    def stretched(self, tensor: Tensor, shape: tuple[int, ...]) -> Any:
        """The numbers of a tensor, broadcast to a shape."""
        if tensor.shape == shape:
            return self.value(tensor)
        if self.is_number(tensor):
            return self.filled(tensor, shape)
        place, before = self.value(tensor), (1,) * (len(shape) - tensor.ndim) + tensor.shape
        for first, last in reversed(differences(before, shape)):
            after = before[:first] + shape[first:last] + before[last:]
            place = self.spread(place, after, first, last, 1)
            before = after
        return place

    def is_number(self, tensor: Tensor) -> bool:
        """Whether a tensor is a plain number in an expression."""
        return not tensor.shape and not tensor.requires_grad

    def spread(self, place: Any, shape: tuple[int, ...], first: int, last: int, count: int) -> Any:
        """Numbers that are repeated along the dimensions from `first` to `last`, divided by a count."""
        new = self.new(math.prod(shape))
        parts = [math.prod(part) for part in (shape[:first], shape[first:last], shape[last:])]
        self.emit("spread", *parts, place, new, flops=new.size, shape=shape, numbers=[count])
        return new

    def total(self, place: Any, shape: tuple[int, ...], first: int, last: int, count: int) -> Any:
        """Sums over the dimensions from `first` to `last`, divided by a count."""
        parts = [math.prod(part) for part in (shape[:first], shape[first:last], shape[last:])]
        new = self.new(parts[0] * parts[2])
        self.emit("total", *parts, place, new, flops=place.size, shape=(*shape[:first], *shape[last:]), numbers=[count])
        return new

    def picked(self, place: Any, numbers: np.ndarray, target: Any = None) -> Any:
        """The elements of a place with these numbers, in their order; the place itself, if it holds just those.

        target: where they shall be, wherever they are now; a new place unless given.
        """
        chosen = numbers.ravel()
        if target is None and chosen.size == place.size and (chosen == np.arange(chosen.size)).all():
            return place
        new = self.new(chosen.size) if target is None else target
        self.emit("select", chosen.size, self.whole(chosen), place, new, shape=numbers.shape, numbers=[0])
        return new

    def rearranged(self, x: Tensor, shape: tuple[int, ...], places: np.ndarray, filling: float = 0.0) -> tuple:
        """The elements of x at these places, in another shape, -1 for `filling`; returned as a rule's `lower` does."""
        table, size, y = self.whole(places.ravel()), places.size, self.new(places.size)
        self.emit("select", size, table, self.value(x), y, shape=shape, numbers=[filling])

        def backward(grad: Any) -> list[Any]:
            target = self.gradient(x)
            if target is not None:
                self.emit("put_sums", size, table, grad, target, x.data.size, flops=size, shape=x.shape)
            return [target]

        return y, backward

    def unstretched(self, place: Any, shape: tuple[int, ...], to: tuple[int, ...]) -> Any:
        """Sums over the dimensions in which `to` was stretched to become `shape`."""
        before = (1,) * (len(shape) - len(to)) + to
        for first, last in reversed(differences(before, shape)):
            place = self.total(place, shape, first, last, 1)
            shape = shape[:first] + before[first:last] + shape[last:]
        return place
