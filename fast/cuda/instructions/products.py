"""Products of matrices, and the dense layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fast.cuda.gpu import Gpu, address
from fast.cuda.instructions.reductions import add_up
from fast.cuda.kernels.products import LARGE, SMALL, Tile

#: Blocks that keep a large GPU busy; so many large tiles are faster than four times as many small ones.
_BUSY = 128


def linear(gpu: Gpu, n: int, i: int, o: int, x: Any, weight: Any, bias: Any, y: Any, numbers: Any = ()) -> None:
    """y = x @ weight.T + bias; x (n, i), weight (o, i), bias (o,) or none, y (n, o)."""
    arrays = gpu.array(x, 1, n, i), gpu.array(weight, 1, o, i), gpu.array(y, 1, n, o)
    multiply(gpu, *arrays, bias=gpu.array(bias, o), turned_b=True)


def linear_grad(
    gpu: Gpu,
    n: int,
    i: int,
    o: int,
    grad: Any,
    x: Any,
    weight: Any,
    grad_x: Any,
    grad_weight: Any,
    grad_bias: Any,
    numbers: Any = (),
) -> None:
    """What `linear` passes back, each where there is a place for it."""
    rows = gpu.array(grad, 1, n, o)
    multiply(gpu, rows, gpu.array(weight, 1, o, i), gpu.array(grad_x, 1, n, i))
    _multiply_deep(gpu, rows, gpu.array(x, 1, n, i), gpu.array(grad_weight, 1, o, i))
    add_up(gpu, rows, 1, gpu.array(grad_bias, 1, o))


def _multiply_deep(gpu: Gpu, a: Any, b: Any, c: Any) -> None:
    """c[0] = a[0].T @ b[0]; a (1, K, M), b (1, K, N), c (1, M, N).

    Many samples and a small weight would keep few blocks busy for long: K is cut into parts, whose products are added.
    """
    length, parts = a.shape[1], 1
    while c.size and length % (2 * parts) == 0 and length >= 512 * parts and 2 * parts * _tiles(SMALL, c) <= _BUSY:
        parts *= 2
    if parts == 1:
        multiply(gpu, a, b, c, turned_a=True)
        return
    products = gpu.new(parts, *c.shape[1:])
    some, others = [x.reshape((parts, length // parts, x.shape[2])) for x in (a, b)]
    multiply(gpu, some, others, products, turned_a=True)
    add_up(gpu, products.reshape((1, parts, c.size)), 1, c.reshape((1, c.size)))


def stacked(gpu: Gpu, s: int, n: int, k: int, m: int, a: Any, b: Any, y: Any, numbers: Any = ()) -> None:
    """y[s] = a[s] @ b[s]; a (s, n, k), b (s, k, m), y (s, n, m)."""
    multiply(gpu, gpu.array(a, s, n, k), gpu.array(b, s, k, m), gpu.array(y, s, n, m))


def multiply(
    gpu: Gpu, a: Any, b: Any, c: Any, *, bias: Any = None, turned_a: bool = False, turned_b: bool = False
) -> None:
    """c[s] = a[s] @ b[s] + bias, by the kernel that suits the matrices; nothing where c is none.

    a (S, M, K) or, turned, (S, K, M); b (S, K, N) or, turned, (S, N, K); c (S, M, N). A stack of one matrix serves for
    all of c. bias (N,); none unless given.
    """
    if not c.size:
        return
    offset = gpu.array(None, c.shape[2]) if bias is None else bias
    by_four = _by_four(gpu, a, b, c, offset)
    tile = LARGE if gpu.dtype == np.float32 and _tiles(LARGE, c) >= _BUSY else SMALL
    turns = f"{'nt'[turned_a]}{'nt'[turned_b]}"
    gpu.launch(f"products.product_{turns}_{tile.side}{'_by_four' if by_four else ''}", a, b, offset, c)


def _by_four(gpu: Gpu, a: Any, b: Any, c: Any, bias: Any) -> bool:
    """Whether four numbers at a time can be fetched: they have to be side by side, from a multiple of 16 bytes on."""
    if gpu.dtype != np.float32 or any(x.shape[2] % 4 for x in (a, b, c)):
        return False
    return all(address(x) % 16 == 0 for x in (a, b, c, bias) if x.size)


def _tiles(tile: Tile, c: Any) -> int:
    stacks, rows, columns = c.shape
    return stacks * -(-rows // tile.side) * -(-columns // tile.side)
