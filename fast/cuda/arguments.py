"""What a kernel takes, in the words of its annotations; `signature` turns them into types for the compiler.

A kernel is compiled for float32 and for float64, so `Number` stands for either, and so do the numbers in arrays. All
arrays are contiguous. A 1-D array of length 0 stands for one that is not given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

# To a reader, and to the type checker, they are words; `_TYPES` says what each of them means to the compiler.
Number: TypeAlias = Any
Vector: TypeAlias = Any
Matrix: TypeAlias = Any
Stack: TypeAlias = Any
Images: TypeAlias = Any
Count: TypeAlias = Any
Seed: TypeAlias = Any
Window: TypeAlias = Any
Labels: TypeAlias = Any
LabelRows: TypeAlias = Any
Bounds: TypeAlias = Any
Batches: TypeAlias = Any
Instructions: TypeAlias = Any
RowNumbers: TypeAlias = Any
Places: TypeAlias = Any
PlacesOfRows: TypeAlias = Any
PlacesOfStack: TypeAlias = Any

#: What a word stands for, given the package's `types` and the type of numbers.
_TYPES: dict[str, Callable[[Any, Any], Any]] = {
    "Number": lambda types, number: number,
    "Vector": lambda types, number: number[::1],
    "Matrix": lambda types, number: number[:, ::1],
    "Stack": lambda types, number: number[:, :, ::1],  # of matrices
    "Images": lambda types, number: number[:, :, :, ::1],  # (N, C, H, W)
    "Count": lambda types, number: types.int32,
    "Seed": lambda types, number: types.uint64,
    "Window": lambda types, number: types.UniTuple(types.int32, 5),
    "Labels": lambda types, number: types.int64[::1],
    "LabelRows": lambda types, number: types.int64[:, ::1],
    "Bounds": lambda types, number: types.int64[:, ::1],
    "Batches": lambda types, number: types.int64[:, ::1],
    "Instructions": lambda types, number: types.uint32[:, ::1],
    "RowNumbers": lambda types, number: types.uint32[::1],
    "Places": lambda types, number: types.int32[::1],
    "PlacesOfRows": lambda types, number: types.int32[:, ::1],
    "PlacesOfStack": lambda types, number: types.int32[:, :, ::1],
}


def signature(function: Callable[..., Any], types: Any, dtype: str) -> tuple[Any, ...]:
    """The types of a kernel's arguments, for numbers of a type, "float32" or "float64"."""
    words = [word for name, word in function.__annotations__.items() if name != "return"]
    return tuple(_TYPES[word](types, getattr(types, dtype)) for word in words)
