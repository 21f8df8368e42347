"""What is done to one element after another, with numbers in a row or with a single one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu


def elementwise(gpu: Gpu, name: str, *places: Any) -> None:
    """A kernel of the table of operations, such as "tanh" or "tanh_grad_x"; all arrays are as long as the result.

    What the kernel does not read may be any place of that length.
    """
    size = places[-1].size
    gpu.launch(f"elementwise.{name}", *[gpu.array(place, size) for place in places])


def compare(gpu: Gpu, size: int, relation: int, a: Any, b: Any, y: Any, numbers: Any = ()) -> None:
    """y = 1 where a relation holds between a and b, else 0; the relations in the order of `fast/tensors.py`."""
    gpu.launch("moving.compare", gpu.array(a, size), gpu.array(b, size), relation, gpu.array(y, size))


def spread(gpu: Gpu, a: int, r: int, b: int, x: Any, y: Any, numbers: Sequence[float] = ()) -> None:
    """y[a, r, b] = x[a, b] / numbers[0]; x (a, b), y (a, r, b)."""
    gpu.launch("moving.spread", gpu.array(x, a, b), numbers[0], gpu.array(y, a, r, b))


def floats(gpu: Gpu, size: int, x: Any, y: Any, numbers: Any = ()) -> None:
    """y = x, which are whole numbers."""
    gpu.launch("moving.floats", gpu.whole(x, size), gpu.array(y, size))


def copy(gpu: Gpu, size: int, x: Any, y: Any, numbers: Any = ()) -> None:
    """y = x."""
    gpu.launch("moving.copy", gpu.array(x, size), gpu.array(y, size))


def fill(gpu: Gpu, size: int, y: Any, numbers: Sequence[float] = ()) -> None:
    """y = numbers[0]."""
    gpu.launch("moving.fill", numbers[0], gpu.array(y, size))


def scale(gpu: Gpu, size: int, x: Any, factor: Any, y: Any, numbers: Any = ()) -> None:
    """y = x * factor, a single number."""
    gpu.launch("moving.scale", gpu.array(x, size), gpu.array(factor, 1), 1, gpu.array(y, size))
