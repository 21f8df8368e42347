"""The memory of the GPU: arrays that tensors hold, and blocks that serve one array after another.

To ask the driver for memory takes longer than most kernels run, and giving it back may wait until all of them are done.
So a block that no array needs any more is kept for the next array of that size and type: a training loop, which needs
the same sizes in every step, asks for nothing after the first one. A block may be handed on while a kernel still reads
it, for whatever writes to it comes behind that kernel: there is one stream, in which all is done in its order.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from fast.cuda.gpu import Gpu, empty, nothing
from fast.cuda.package import cuda
from fast.cuda.registry import Launch
from fast.placement import moved

#: The stream of all kernels and copies: the default one.
STREAM = 0
#: So many lists of whole numbers stay on the GPU.
_MOST_LISTS = 256

#: Blocks that nobody needs, by their type and length.
_free: dict[tuple[str, int], list[Any]] = defaultdict(list)


class Block:
    """Room for so many numbers of a type; it goes back to where it came from when no array refers to it any more."""

    __slots__ = ("array", "key")

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self.key = dtype.char, size
        kept = _free[self.key]
        self.array: Any = kept.pop() if kept else _ask(size, dtype)

    def __del__(self, free: dict[tuple[str, int], list[Any]] = _free) -> None:
        free[self.key].append(self.array)


def _ask(size: int, dtype: np.dtype) -> Any:
    """New room, if need be after all that is not in use has been given back."""
    try:
        return cuda.device_array(size, dtype)
    except Exception:  # the driver's errors have types that differ between Numba's packages
        if not any(_free.values()):
            raise
        release()
        return cuda.device_array(size, dtype)


def release() -> None:
    """Give all memory that is not in use back to the driver."""
    _free.clear()


class Part:
    """Some of the room of a block, or of a part of one, which so is in use."""

    __slots__ = ("array", "whole")

    def __init__(self, room: Block | Part, start: int, stop: int) -> None:
        self.array: Any = room.array[start:stop]
        self.whole = _whole(room)


class DeviceArray:
    """An array on the GPU, its elements in reading order without gaps; for tensors what a NumPy array is on the CPU.

    It knows as much as tensors ask of it. To look at the numbers, `host` copies them.
    """

    __slots__ = ("_block", "_view", "dtype", "shape", "size")
    __array_ufunc__ = None  # NumPy's arrays and numbers leave `array + this` to us

    def __init__(self, shape: tuple[int, ...], dtype: Any, block: Block | Part | None = None) -> None:
        self.shape, self.dtype, self.size = shape, np.dtype(dtype), int(math.prod(shape))
        self._block = Block(self.size, self.dtype) if block is None else block
        self._view: Any = None

    def __repr__(self) -> str:
        return f"DeviceArray{self.shape} of {self.dtype}"

    def __reduce__(self) -> Any:
        """Copies, and what is sent to other processes, go by way of the CPU."""
        return moved, (self.host(), "cuda")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.shape)

    def view(self, *shape: int) -> Any:
        """Its first elements, all as a rule, as an array of Numba's in this shape, which kernels take.

        The last one is kept, for it takes time to make.
        """
        if self._view is None or self._view[0] != shape:
            count, array = math.prod(shape), self._block.array
            part = array if count == self.size else array[:count]
            self._view = shape, part.reshape(shape) if count else empty(shape, self.dtype)
        return self._view[1]

    def as_short(self, *shape: int) -> Any:
        """The memory of whole numbers of int64 as room for as many of int32."""
        return self._block.array.view(np.int32)[: math.prod(shape)].reshape(shape)

    def reshape(self, *shape: Any) -> DeviceArray:
        """The same memory in another shape."""
        new = shape[0] if shape and isinstance(shape[0], tuple) else shape
        return DeviceArray(new, self.dtype, self._block)

    def shares_memory(self, other: Any) -> bool:
        """Whether writing to one changes the other."""
        return isinstance(other, DeviceArray) and _whole(self._block) is _whole(other._block)

    def host(self) -> np.ndarray:
        """The numbers as an array on the CPU; waits until they are computed."""
        return self._block.array.copy_to_host().reshape(self.shape)

    def write(self, numbers: np.ndarray) -> None:
        """Overwrite all numbers with those of an array of the same shape, of the CPU."""
        if self.size:
            self._block.array.copy_to_device(np.ascontiguousarray(numbers, self.dtype).ravel())

    def copy(self) -> DeviceArray:
        """The same numbers in memory of their own."""
        new = DeviceArray(self.shape, self.dtype)
        new._block.array.copy_to_device(self._block.array)
        return new

    def astype(self, dtype: Any) -> DeviceArray:
        """The same numbers as another type; it is the CPU that converts them."""
        return upload(self.host().astype(dtype))

    def item(self) -> Any:
        """The number, where there is only one."""
        return self.host().item()

    def tolist(self) -> Any:
        """The numbers as nested lists."""
        return self.host().tolist()

    def ravel(self) -> DeviceArray:
        """The same memory as one row."""
        return self.reshape((self.size,))

    def __getitem__(self, index: int | slice) -> DeviceArray:
        """A row, or neighbouring ones, in the same memory."""
        start, stop, _ = index.indices(len(self)) if isinstance(index, slice) else (index, index + 1, 1)
        if stop > len(self):
            raise IndexError(f"there is no row {index} in an array of shape {self.shape}")
        width = math.prod(self.shape[1:])
        block = Part(self._block, start * width, stop * width)
        return DeviceArray(((stop - start,) if isinstance(index, slice) else ()) + self.shape[1:], self.dtype, block)

    def __setitem__(self, index: Any, numbers: Any) -> None:
        """Overwrite some of the numbers; those that come from the CPU, by way of it."""
        if isinstance(index, slice):
            self[index][...] = numbers
            return
        if index is ... and isinstance(numbers, DeviceArray) and numbers.dtype == self.dtype:
            self._block.array.copy_to_device(numbers._block.array)
            return
        changed = self.host() if index is not ... else np.empty(self.shape, self.dtype)
        changed[index] = numbers.host() if isinstance(numbers, DeviceArray) else numbers
        self.write(changed)

    def __add__(self, other: DeviceArray) -> DeviceArray:
        result = DeviceArray(self.shape, self.dtype)
        Arrays(self.dtype).launch("elementwise.add", *[array.view(self.size) for array in (self, other, result)])
        return result

    def __array__(self, *arguments: Any, **settings: Any) -> np.ndarray:
        raise TypeError(
            f"the numbers of a tensor of shape {self.shape} lie on the GPU, and NumPy's arrays on the CPU; copy them "
            "with x.cpu() first, as in x.cpu().numpy()"
        )

    __dlpack__ = __dlpack_device__ = __array__


def _whole(block: Block | Part) -> Block:
    return block.whole if isinstance(block, Part) else block


def upload(array: np.ndarray) -> DeviceArray:
    """The numbers of an array, on the GPU."""
    new = DeviceArray(array.shape, array.dtype)
    new.write(array)
    return new


class Whole:
    """Whole numbers that instructions read: the CPU knows them, and they lie on the GPU once they are asked for there.

    Lists such as the places of a `permute` are the same in every step, so the last ones stay there.
    """

    _known: ClassVar[OrderedDict[bytes, DeviceArray]] = OrderedDict()

    def __init__(self, numbers: Sequence[Any] | np.ndarray) -> None:
        self.numbers = np.ascontiguousarray(numbers, np.int64).ravel()

    def there(self) -> DeviceArray:
        """The numbers on the GPU."""
        key = self.numbers.tobytes()
        if key not in self._known:
            if len(self._known) >= _MOST_LISTS:
                self._known.popitem(last=False)
            self._known[key] = upload(self.numbers)
        self._known.move_to_end(key)
        return self._known[key]


class Arrays(Gpu):
    """What instructions are carried out on, where each place is an array of its own, or `Whole`."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype, self.stream = np.dtype(dtype), STREAM
        self.refuses = False  # whether an instruction has asked where to count numbers that it does not take
        self._scratch: list[DeviceArray] = []

    @property
    def flaws(self) -> Any:
        self.refuses = True
        return _flaws().view(1)

    def array(self, place: Any, *shape: int) -> Any:
        if not isinstance(place, DeviceArray):
            return _none(self.dtype, shape)
        return place.view(*shape)

    def whole(self, place: Any, *shape: int) -> Any:
        return (place.there() if isinstance(place, Whole) else place).view(*shape)

    def short(self, place: DeviceArray, *shape: int) -> Any:
        return place.as_short(*shape)

    def known(self, place: Whole, count: int) -> tuple[int, ...]:
        return tuple(place.numbers[:count].tolist())

    def now(self, place: Whole) -> int:
        return int(place.numbers[0])

    def listed(self, table: Sequence[DeviceArray], count: int) -> list[Any]:
        return [place.view(place.size) for place in table]

    def new(self, *shape: int, dtype: Any = None) -> Any:
        self._scratch.append(DeviceArray(shape, dtype or self.dtype))
        return self._scratch[-1].view(*shape)

    def start(self, kernel: Any, launch: Launch, arguments: Sequence[Any]) -> None:
        kernel[launch.grid, launch.block, self.stream, launch.shared](*arguments)

    def done(self) -> None:
        """Give back what an instruction has needed."""
        self._scratch.clear()

    def refused(self) -> bool:
        """Whether numbers were refused; waits for the GPU."""
        if self.refuses and _flaws().host()[0]:
            _flaws().write(np.zeros(1, np.int32))
            return True
        return False


@cache
def _flaws() -> DeviceArray:
    return upload(np.zeros(1, np.int32))


@cache
def _none(dtype: Any, shape: tuple[int, ...]) -> Any:
    return nothing(shape or (0,), dtype)
