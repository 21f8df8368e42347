"""The words of `fast.cuda.instructions`: where the tensors of an instruction lie on a GPU, and how a kernel is started.

An instruction is told places, and knows shapes. What a place is differs: in a compiled step a part of one memory (see
`programs`), in a computation that is carried out at once an array of its own. So there is a class for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from fast.cuda import package, registry


class Gpu(ABC):
    """What instructions are carried out on.

    dtype: of all numbers but whole ones; stream: where kernels are launched, 0 for CUDA's default.
    flaws: an int32 array (1,) on the GPU, in which losses and tables count the numbers that they do not take. Whoever
        reads it sets it back to 0.
    """

    dtype: np.dtype
    flaws: Any
    stream: Any = 0

    @abstractmethod
    def array(self, place: Any, *shape: int) -> Any:
        """The numbers at a place, as a contiguous array of this shape on the GPU.

        None and -1 stand for a tensor that there is not: an array of as many dimensions, the first of length 0.
        A place may have room for more numbers than that.
        """

    @abstractmethod
    def whole(self, place: Any, *shape: int) -> Any:
        """The whole numbers at a place, int64, on the GPU."""

    @abstractmethod
    def short(self, place: Any, *shape: int) -> Any:
        """Room for as many whole numbers of int32, on the GPU, which belongs to a place for whole numbers.

        What one instruction writes there the next ones find: which of several numbers was the largest, say.
        """

    @abstractmethod
    def known(self, place: Any, count: int) -> tuple[int, ...]:
        """The whole numbers at a place, which are the same in every step, as Python's."""

    @abstractmethod
    def now(self, place: Any) -> int:
        """The whole number at a place that grows from step to step, as it is in this one."""

    @abstractmethod
    def listed(self, table: Any, count: int) -> list[Any]:
        """The tensors of a list of places, each as a one-dimensional array."""

    @abstractmethod
    def new(self, *shape: int, dtype: Any = None) -> Any:
        """Room for intermediate results, of `dtype` unless given, until the instruction ends."""

    @abstractmethod
    def start(self, kernel: Any, launch: registry.Launch, arguments: Sequence[Any]) -> None:
        """Start a compiled kernel."""

    def wide(self, place: Any, *shape: int) -> Any:
        """The statistics at a place that `Recorder.wide` has made.

        The CPU keeps them in float64. A GPU computes them in `dtype`, and keeps them so: it has room to spare.
        """
        return self.array(place, *shape)

    def launch(self, name: str, *arguments: Any) -> None:
        """Launch a kernel of the registry on as many threads as it says; single numbers may be of any type."""
        launch = registry.KERNELS[name].launch(*arguments)
        if 0 in launch.grid:  # there is nothing to compute
            return
        given = list(arguments)
        for place, word in _singles(name):
            given[place] = _TYPED[word](given[place], self.dtype.type)
        self.start(registry.compiled(name, self.dtype.name), launch, given)


#: Single numbers as a launch takes them: Python's, of which the simulator, where nothing is compiled, makes others.
_TYPED: dict[str, Callable[[Any, Any], Any]] = {
    "Number": lambda x, number: number(x),
    "Count": lambda x, number: int(x),
    "Seed": lambda x, number: np.uint64(x % 2**64) if package.SIMULATED else int(x) % 2**64,
}


@cache
def _singles(name: str) -> tuple[tuple[int, str], ...]:
    """Which of the arguments of a kernel are single numbers, and of which kind."""
    words = registry.KERNELS[name].function.__annotations__.values()
    return tuple((place, word) for place, word in enumerate(words) if word in _TYPED)


def empty(shape: Sequence[int], dtype: Any) -> Any:
    """An array on the GPU, of whatever numbers."""
    return package.cuda.device_array(tuple(shape), dtype)


def nothing(shape: Sequence[int], dtype: Any) -> Any:
    """What stands for an array of this shape that there is not: it has no elements."""
    return empty((0, *shape[1:]), dtype)


def address(array: Any) -> int:
    """Where an array begins in the memory of the GPU, in bytes."""
    return array.ctypes.data if package.SIMULATED else array.__cuda_array_interface__["data"][0]
