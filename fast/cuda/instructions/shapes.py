"""Rearrangements, by lists of places: a table of `size` whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu


def select(gpu: Gpu, size: int, table: Any, x: Any, y: Any, numbers: Sequence[float] = ()) -> None:
    """y[i] = x[table[i]], or numbers[0] where that place is -1."""
    gpu.launch("moving.select", gpu.whole(table, size), gpu.array(x, x.size), numbers[0], gpu.array(y, size))


def put(gpu: Gpu, size: int, table: Any, x: Any, y: Any, numbers: Any = ()) -> None:
    """y[table[i]] = x[i]."""
    gpu.launch("moving.put", gpu.whole(table, size), gpu.array(x, size), gpu.array(y, y.size))


def put_more(gpu: Gpu, size: int, table: Any, x: Any, y: Any, numbers: Any = ()) -> None:
    """y[table[i]] += x[i]."""
    gpu.launch("moving.put_more", gpu.whole(table, size), gpu.array(x, size), gpu.array(y, y.size))


def put_sums(gpu: Gpu, size: int, table: Any, x: Any, y: Any, count: int, numbers: Any = ()) -> None:
    """y[table[i]] += x[i], for y (count,) that begins with zeros; -1 is no place."""
    sums = gpu.array(y, count)
    gpu.launch("moving.fill", 0, sums)
    gpu.launch("moving.put_sums", gpu.whole(table, size), gpu.array(x, size), sums)
