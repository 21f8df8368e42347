"""Many numbers into few: sums, the largest and the smallest, and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fast.cuda.gpu import Gpu
from fast.cuda.registry import by_element

# ----------------------------------------------------------------------------------------------------------------------
# Sums, as long ones are made in two launches: the first writes those of parts, enough of them to keep a GPU busy.


def total(gpu: Gpu, a: int, r: int, b: int, x: Any, y: Any, numbers: Sequence[float] = ()) -> None:
    """y[a, b] = sum over r of x[a, r, b], divided by numbers[0]; x (a, r, b), y (a, b)."""
    add_up(gpu, gpu.array(x, a, r, b), 1 / numbers[0], gpu.array(y, a, b))


def add_up(gpu: Gpu, x: Any, scale: float, y: Any) -> None:
    """y[a, b] = scale * sum over r of x[a, r, b]; x (A, R, B), y (A, B); nothing where y is none."""
    if not y.size:
        return
    count, length, width = x.shape
    if width == 1:
        name, shape, parts = "reductions.sum_rows", (count, length), _parts(length, 1024, count, 4096)
    else:
        name, shape, parts = "reductions.sum_columns", x.shape, parts_of_columns(length, width, count)
    x = x.reshape(shape)
    if parts > 1:
        sums = gpu.new(count, parts, *shape[2:])
        gpu.launch(name, x, 1, sums)
        x = sums
    gpu.launch(name, x, scale, y.reshape((count, 1, *shape[2:])))


def add_all(gpu: Gpu, x: Any, y: Any) -> None:
    """y[0] = the sum of x[i]; x (N,), y (1,)."""
    add_up(gpu, x.reshape((1, x.size, 1)), 1, y.reshape((1, 1)))


def parts_of_columns(rows: int, columns: int, stacks: int = 1) -> int:
    """In how many parts to sum up columns: 64 rows each at least, where there are few blocks of 32 columns."""
    return _parts(rows, 64, stacks * -(-columns // 32), 512)


def _parts(length: int, least: int, workers: int, busy: int) -> int:
    """How many parts, of so many numbers at least, to make for each of the workers, until there are enough of them."""
    return max(1, min(length // least, busy // max(workers, 1)))


def new_parts(gpu: Gpu, size: int) -> Any:
    """Room for the sums of the blocks of a kernel that takes so many elements."""
    return gpu.new(by_element(size).grid[0])


def cumsum(gpu: Gpu, a: int, r: int, b: int, x: Any, y: Any, numbers: Any = ()) -> None:
    """y[a, r, b] = x[a, 0, b] + ... + x[a, r, b]."""
    gpu.launch("lines.cumsum", gpu.array(x, a, r, b), 0, gpu.array(y, a, r, b))


def cumsum_grad(gpu: Gpu, a: int, r: int, b: int, grad: Any, grad_x: Any, numbers: Any = ()) -> None:
    """grad_x[a, r, b] = grad[a, r, b] + ... + grad[a, R - 1, b]."""
    gpu.launch("lines.cumsum", gpu.array(grad, a, r, b), 1, gpu.array(grad_x, a, r, b))


# ----------------------------------------------------------------------------------------------------------------------
# Rows (n, c), each of which gives a number, or a row of probabilities.


def softmax(gpu: Gpu, n: int, c: int, x: Any, y: Any, numbers: Any = ()) -> None:
    gpu.launch("reductions.softmax", gpu.array(x, n, c), gpu.array(y, n, c))


def softmax_grad(gpu: Gpu, n: int, c: int, grad: Any, y: Any, grad_x: Any, numbers: Any = ()) -> None:
    gpu.launch("reductions.softmax_grad", gpu.array(grad, n, c), gpu.array(y, n, c), gpu.array(grad_x, n, c))


def log_softmax(gpu: Gpu, n: int, c: int, x: Any, y: Any, numbers: Any = ()) -> None:
    gpu.launch("reductions.log_softmax", gpu.array(x, n, c), gpu.array(y, n, c))


def log_softmax_grad(gpu: Gpu, n: int, c: int, grad: Any, y: Any, grad_x: Any, numbers: Any = ()) -> None:
    gpu.launch("reductions.log_softmax_grad", gpu.array(grad, n, c), gpu.array(y, n, c), gpu.array(grad_x, n, c))


def logsumexp(gpu: Gpu, n: int, c: int, x: Any, y: Any, numbers: Any = ()) -> None:
    gpu.launch("lines.logsumexp", gpu.array(x, n, c), gpu.array(y, n))


def logsumexp_grad(gpu: Gpu, n: int, c: int, grad: Any, x: Any, y: Any, grad_x: Any, numbers: Any = ()) -> None:
    gpu.launch("lines.logsumexp_grad", gpu.array(grad, n), gpu.array(x, n, c), gpu.array(y, n), gpu.array(grad_x, n, c))


def prod(gpu: Gpu, n: int, c: int, x: Any, y: Any, numbers: Any = ()) -> None:
    gpu.launch("lines.prod", gpu.array(x, n, c), gpu.array(y, n))


def prod_grad(gpu: Gpu, n: int, c: int, grad: Any, x: Any, grad_x: Any, numbers: Any = ()) -> None:
    gpu.launch("lines.prod_grad", gpu.array(grad, n), gpu.array(x, n, c), gpu.array(grad_x, n, c))


# ----------------------------------------------------------------------------------------------------------------------
# The largest or smallest along the middle dimension of (a, r, b).


def extreme(gpu: Gpu, a: int, r: int, b: int, x: Any, y: Any, places: Any, numbers: Sequence[float] = ()) -> None:
    """The largest, or, for numbers[0] = -1, the smallest, and which of the r it is, the first in a tie."""
    given, found, winners = gpu.array(x, a, r, b), gpu.array(y, a, b), gpu.short(places, a, b)
    kind = "min" if numbers[0] < 0 else "max"
    if b == 1:
        _extreme_of_rows(gpu, f"reductions.{kind}_rows", given.reshape((a, r)), found, winners)
    else:
        gpu.launch(f"reductions.{kind}_columns", given, found, winners)


def _extreme_of_rows(gpu: Gpu, kernel: str, x: Any, y: Any, places: Any) -> None:
    """The extreme of each row, and its place; of long rows first those of parts, as with sums."""
    count, length = x.shape
    parts = _parts(length, 1024, count, 4096)
    if parts == 1:
        gpu.launch(kernel, x, y, places)
        return
    found, some = gpu.new(count, parts), gpu.new(count, parts, dtype=np.int32)
    chosen = gpu.new(count, 1, dtype=np.int32)
    gpu.launch(kernel, x, found, some)
    gpu.launch(kernel, found, y, chosen)
    gpu.launch("lines.pick_places", some, chosen, places)


def extreme_grad(gpu: Gpu, a: int, r: int, b: int, grad: Any, places: Any, grad_x: Any, numbers: Any = ()) -> None:
    """grad_x = grad where the extreme stands, else 0."""
    gpu.launch("lines.extreme_grad", gpu.array(grad, a, b), gpu.short(places, a, b), gpu.array(grad_x, a, r, b))


def extreme_of_all_grad(gpu: Gpu, size: int, grad: Any, x: Any, y: Any, grad_x: Any, numbers: Any = ()) -> None:
    """grad_x = an equal share of grad for all x that are y, else 0."""
    given, found, parts, count = gpu.array(x, size), gpu.array(y, 1), new_parts(gpu, size), gpu.new(1)
    gpu.launch("lines.ties", given, found, parts)
    add_all(gpu, parts, count)
    gpu.launch("lines.share_ties", gpu.array(grad, 1), given, found, count, gpu.array(grad_x, size))
