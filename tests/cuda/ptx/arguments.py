"""A kernel's arguments as the words that Numba passes, with arrays in the global memory of the executor."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .faults import PtxError
from .formats import DTYPES, UNSIGNED, is_float, width
from .memory import GLOBAL, MARGIN, Memory
from .parse import Kernel


@dataclass(frozen=True)
class Pointer:
    """An array that is passed as its address alone, for a parameter of the type `types.CPointer`."""

    array: np.ndarray


@dataclass
class _Buffer:
    """Neighbouring bytes of the host that arguments refer to, and where they lie in global memory."""

    low: int
    high: int
    writeable: bool
    offset: int = 0

    def bytes(self) -> np.ndarray:
        """The host's bytes themselves, not a copy."""
        return np.ctypeslib.as_array((ctypes.c_uint8 * (self.high - self.low)).from_address(self.low))


class Arguments:
    """What a kernel is launched with.

    An array is passed as Numba passes it: two words that device code does not use, the number of elements, the bytes
    of one, the address, then shape and strides in bytes: 5 + 2 * ndim words. Arrays that share memory share it here
    too, and keep their distance from the beginning of the array that owns the memory, and so their alignment.

    words: the value of each parameter of the kernel. memory: global memory, with the tables of the text behind them.
    """

    def __init__(self, kernel: Kernel, arguments: Sequence, unit: int, clock):
        self.buffers = _buffers([_array(argument) for argument in _flat(arguments) if _array(argument) is not None])
        size = MARGIN
        for buffer in self.buffers:
            buffer.offset = size + buffer.offset % MARGIN
            size = -(-(buffer.offset + buffer.high - buffer.low) // MARGIN) * MARGIN + MARGIN
        self.constants = size
        self.memory = Memory("global", size + kernel.constants.size + MARGIN, unit, clock, across=True)
        for buffer in self.buffers:
            self.memory.allocate(buffer.offset, buffer.high - buffer.low, buffer.bytes())
        for i, argument in enumerate(_flat(arguments)):
            if (array := _array(argument)) is not None:
                low, high = _bounds(array)
                self.memory.name_part(self._address(array, low) - GLOBAL, high - low, f"argument {i}")
        for name, place in kernel.constants.places.items():
            value = np.frombuffer(kernel.constants.values.get(name, b""), np.uint8)
            self.memory.allocate(size + place, len(value), value)
            self.memory.name_part(size + place, len(value), f"the table {name}")
        self.words = self._words(kernel, list(_flat(arguments)))

    def _words(self, kernel: Kernel, arguments: list) -> list[np.ndarray]:
        """One array of one element for each parameter, of its type."""
        as_structures = [word for argument in arguments for word in self._structure(argument)]
        as_pointers = [word for argument in arguments for word in self._pointer(argument)]
        expected = len(kernel.parameters)
        words = as_structures if len(as_structures) == expected else as_pointers
        if len(words) != expected:
            raise PtxError(
                f"the kernel takes {expected} words, and these arguments make {len(as_structures)} with arrays as "
                f"Numba's structures, {len(as_pointers)} with arrays as pointers; where both occur, use Pointer(array)"
            )
        return [_word(value, kind) for value, (kind, _) in zip(words, kernel.parameters, strict=True)]

    def _structure(self, argument) -> list:
        if not isinstance(argument, np.ndarray):
            return self._pointer(argument)
        address = self._address(argument)
        return [0, 0, argument.size, argument.itemsize, address, *argument.shape, *argument.strides]

    def _pointer(self, argument) -> list:
        array = _array(argument)
        return [argument] if array is None else [self._address(array)]

    def _address(self, array: np.ndarray, at: int | None = None) -> int:
        """The address of an array's first element; or of the host's byte `at`, which is one of the array's."""
        at = array.ctypes.data if at is None else at
        buffer = next(b for b in self.buffers if b.low <= at < b.high or (array.size == 0 and b.low == at))
        return GLOBAL + buffer.offset + at - buffer.low

    def give_back(self) -> None:
        """Write what the kernel wrote into the caller's arrays."""
        for buffer in self.buffers:
            after = self.memory.bytes[buffer.offset : buffer.offset + buffer.high - buffer.low]
            if buffer.writeable:
                buffer.bytes()[:] = after
            elif not np.array_equal(after, buffer.bytes()):
                raise PtxError("the kernel has written to an array that is read-only")


def _flat(arguments):
    """Tuples are passed element by element."""
    for argument in arguments:
        if isinstance(argument, tuple):
            yield from _flat(argument)
        else:
            yield argument


def _array(argument) -> np.ndarray | None:
    return argument.array if isinstance(argument, Pointer) else argument if isinstance(argument, np.ndarray) else None


def _bounds(array: np.ndarray) -> tuple[int, int]:
    """The addresses of its lowest byte and of the one behind its highest."""
    return byte_bounds(array) if array.size else (array.ctypes.data, array.ctypes.data)


def _buffers(arrays: list[np.ndarray]) -> list[_Buffer]:
    """One buffer for all arrays that belong to one owner; its offset is the distance from the owner's beginning."""
    owners: dict[int, _Buffer] = {}
    for array in arrays:
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        low, high = _bounds(array)
        start = owner.ctypes.data
        known = owners.setdefault(start, _Buffer(low, high, array.flags.writeable))
        known.low, known.high = min(known.low, low), max(known.high, high)
        known.offset = known.low - start
        known.writeable |= array.flags.writeable
    return list(owners.values())


def _word(value, kind: str) -> np.ndarray:
    """A Python or NumPy number in the bits of a parameter; whole numbers keep their low bits."""
    if is_float(kind):
        return np.array([value], DTYPES[kind])
    if isinstance(value, (np.floating, float)):
        raise PtxError(f"a parameter of the type {kind} is given {value!r}")
    return np.array([int(value) % 2 ** (8 * width(kind))], UNSIGNED[width(kind)])
