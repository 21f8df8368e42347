"""Products of matrices: c[s] = a[s] @ b[s] + bias for each matrix s of the stacks, either argument transposed or not.

A stack of one matrix serves for all of c. A matrix has fewer than 2^31 numbers; c has up to 65,535 tiles side by side,
which are 4 million columns, and any number of rows and of matrices.

A product of N x N matrices has N^3 multiplications on N^2 numbers, so the art is to fetch each number rarely:

- A block of 256 threads computes a square tile of c, 128 or 64 numbers wide. It goes along k in steps of `depth`, and
  at each step copies what its tile needs of a and b into shared memory: each number read from there 128 or 64 times.
- A thread computes 8 x 8 or 4 x 4 numbers of the tile, in registers: 16 numbers read from shared memory make 64
  multiplications. Its numbers lie in squares of 4 x 4, so that four are read at once (`load4`), and the squares 16 rows
  and 32 columns apart, so that the threads of a warp read from different banks, or the same word.
- While one step is computed, the numbers of the next are on their way from memory to registers, and are then put into
  the second half of shared memory: so there is one barrier a step, and nobody waits for memory.

Both tiles lie in shared memory as (depth, side), k by k. An argument whose memory runs along k instead is turned on its
way: `_places` says who carries which number so that no two threads of a warp use the same bank.

Whole numbers are turned into int32 wherever Python would make them 64 bits wide: those take two registers each, and a
thread with 64 sums has none to spare.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from fast.cuda.arguments import Stack, Vector
from fast.cuda.intrinsics import load, load4, store, store4
from fast.cuda.package import cuda, device
from fast.cuda.warps import WARP

#: Threads of a block: 8 warps, in 4 rows of 2, each of 4 rows of 8 threads.
THREADS = 256


class Tile(NamedTuple):
    """side: the rows and columns of c that a block computes. depth: how many k it takes at a time, a multiple of 8.
    own: the rows and columns of a thread. Each thread fetches four numbers of each argument at a time.
    """

    side: int
    depth: int
    own: int

    @property
    def stride(self) -> int:
        """From one k to the next in shared memory: 4 more than a side, to spread columns over the banks."""
        return self.side + 4


LARGE, SMALL = Tile(128, 8, 8), Tile(64, 16, 4)


def product(name: str, tile: Tile, turned_a: bool, turned_b: bool, by_four: bool):
    """The kernel for one kind of tile and of arguments, which are `turned` where they are to be transposed.

    by_four: whether numbers are fetched and written four at a time. For that the rows of all three matrices, as they
    lie in memory, have a multiple of 4 numbers. Otherwise they are fetched one by one, neighbours by neighbours.
    """
    side, own, depth = tile.side, tile.own, tile.depth
    half, room, count = depth * tile.stride, 2 * depth * tile.stride, own * own
    fetch_a, put_a = _carriers(tile, not turned_a, by_four)
    fetch_b, put_b = _carriers(tile, turned_b, by_four)
    multiply, write = _multiply(tile), _write(tile, by_four)

    def kernel(a: Stack, b: Stack, bias: Vector, c: Stack):
        tile_a = cuda.shared.array(room, a.dtype, alignment=16)
        tile_b = cuda.shared.array(room, a.dtype, alignment=16)
        sums = cuda.local.array(count, a.dtype)
        for i in range(count):
            sums[i] = a.dtype.type(0)
        tiles = (c.shape[1] + side - 1) // side
        s = cuda.blockIdx.x // tiles
        left, right, result = a[s if a.shape[0] > 1 else 0], b[s if b.shape[0] > 1 else 0], c[s]
        rows, columns = np.int32(c.shape[1]), np.int32(c.shape[2])
        length = np.int32(a.shape[1] if turned_a else a.shape[2])
        row, column = np.int32(cuda.blockIdx.x % tiles * side), np.int32(cuda.blockIdx.y * side)
        warp, lane = cuda.threadIdx.x // WARP, cuda.threadIdx.x % WARP
        own_row = np.int32(warp // 2 * 4 * own + lane // 8 * 4)
        own_column = np.int32(warp % 2 * 8 * own + lane % 8 * 4)

        here, k = np.int32(0), np.int32(0)
        put_a(tile_a, here, fetch_a(left, row, rows, k, length))
        put_b(tile_b, here, fetch_b(right, column, columns, k, length))
        cuda.syncthreads()
        while k < length:
            k = np.int32(k + depth)
            next_a = fetch_a(left, row, rows, k, length)
            next_b = fetch_b(right, column, columns, k, length)
            multiply(tile_a, tile_b, here + own_row, here + own_column, sums)
            here = np.int32(half - here)
            put_a(tile_a, here, next_a)
            put_b(tile_b, here, next_b)
            cuda.syncthreads()
        write(sums, np.int32(row + own_row), np.int32(column + own_column), bias, result)

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = (
        f"c[s, m, n] = bias[n] + sum over k of a[s, {'k, m' if turned_a else 'm, k'}] * "
        f"b[s, {'n, k' if turned_b else 'k, n'}]; a bias of length 0 is none.\n\n"
        f"In tiles of {side} x {side}, fetched {'four numbers at a time' if by_four else 'number by number'}."
    )
    return kernel


def _carriers(tile: Tile, along_k: bool, by_four: bool):
    """How a thread fetches its four numbers of an argument, and puts them into a tile.

    along_k: the argument lies in memory as (x, k), x being its row or column of c; otherwise as (k, x).
    """
    stride, place = tile.stride, _places(tile, along_k, by_four)

    @device
    def inside(matrix, x, end, k, length):
        """A number, or 0 from outside of the matrix."""
        if x < end and k < length:
            return load(matrix, np.int32(x * length + k if along_k else k * end + x))
        return matrix.dtype.type(0)

    @device
    def fetch(matrix, x, end, k, length):
        x0, k0 = np.int32(x + place(0)[0]), np.int32(k + place(0)[1])
        if by_four:  # of four such numbers, all are inside or none
            if x0 < end and k0 < length:
                return load4(matrix, np.int32(x0 * length + k0 if along_k else k0 * end + x0))
            zero = matrix.dtype.type(0)
            return zero, zero, zero, zero
        x1, k1 = np.int32(x + place(1)[0]), np.int32(k + place(1)[1])
        x2, k2 = np.int32(x + place(2)[0]), np.int32(k + place(2)[1])
        x3, k3 = np.int32(x + place(3)[0]), np.int32(k + place(3)[1])
        return (
            inside(matrix, x0, end, k0, length),
            inside(matrix, x1, end, k1, length),
            inside(matrix, x2, end, k2, length),
            inside(matrix, x3, end, k3, length),
        )

    @device
    def put(tile, here, numbers):
        if by_four and not along_k:
            store4(tile, here + place(0)[1] * stride + place(0)[0], *numbers)
        else:
            for j in range(4):
                store(tile, here + place(j)[1] * stride + place(j)[0], numbers[j])

    return fetch, put


def _places(tile: Tile, along_k: bool, by_four: bool):
    """Which four numbers of a tile a thread carries: number j has place(j) = (x, k).

    Neighbouring threads fetch neighbours in memory, in runs of 32 bytes at least. And when the numbers of a warp are
    put into the tile, at k * stride + x, they go to different banks: a stride is 4 more than a multiple of 32, so 8
    neighbours along k and 4 along x fill 32 banks, and so do 16 along x, for two k that are 4 apart.
    """
    side, blocks = tile.side, tile.depth // 8

    @device
    def place(j):
        t = np.int32(cuda.threadIdx.x)
        if by_four and along_k:
            x, k = t // 2 % side, (t % 2 + t // (2 * side) * 2) * 4 + j
        elif by_four:
            x, k = t % (side // 4) * 4 + j, t // (side // 4)
        elif along_k:
            x, k = t // 8 + j // blocks * (THREADS // 8), t % 8 + j % blocks * 8
        else:
            x, k = t % side, t // side + j * (THREADS // side)
        return np.int32(x), np.int32(k)

    return place


def _multiply(tile: Tile):
    """sums[i, j] += a[k, i] * b[k, j] for all k of a tile, and all i and j of a thread."""
    own, depth, stride = tile.own, tile.depth, tile.stride

    @device
    def add(tile_a, tile_b, row, column, sums):
        """The products of one k."""
        left, right = cuda.local.array(own, sums.dtype), cuda.local.array(own, sums.dtype)
        for q in range(0, own, 4):  # squares are 16 rows and 32 columns apart
            left[q], left[q + 1], left[q + 2], left[q + 3] = load4(tile_a, row + 4 * q)
            right[q], right[q + 1], right[q + 2], right[q + 3] = load4(tile_b, column + 8 * q)
        for i in range(own):
            for j in range(own):
                sums[i * own + j] += left[i] * right[j]

    @device
    def add_four(tile_a, tile_b, row, column, sums):
        """The products of four k. Not a loop, which would take a fifth of the time and multiply nothing."""
        add(tile_a, tile_b, row, column, sums)
        add(tile_a, tile_b, row + stride, column + stride, sums)
        add(tile_a, tile_b, row + 2 * stride, column + 2 * stride, sums)
        add(tile_a, tile_b, row + 3 * stride, column + 3 * stride, sums)

    @device
    def multiply(tile_a, tile_b, row, column, sums):
        for k in range(0, depth * stride, 8 * stride):
            add_four(tile_a, tile_b, row + k, column + k, sums)
            add_four(tile_a, tile_b, row + k + 4 * stride, column + k + 4 * stride, sums)

    return multiply


def _write(tile: Tile, by_four: bool):
    """Write the numbers of a thread to c, with the bias; they begin at a row and a column."""
    own = tile.own

    @device
    def write_square(sums, first, row, column, bias, c):
        """Four rows of four numbers, of which `sums` has the first at `first`."""
        rows, columns = np.int32(c.shape[0]), np.int32(c.shape[1])
        for i in range(4):
            m, at = np.int32(row + i), first + i * own
            if by_four:
                if m < rows and column < columns:
                    x0, x1, x2, x3 = sums[at], sums[at + 1], sums[at + 2], sums[at + 3]
                    if bias.size:
                        b0, b1, b2, b3 = load4(bias, column)
                        x0, x1, x2, x3 = x0 + b0, x1 + b1, x2 + b2, x3 + b3
                    store4(c, np.int32(m * columns + column), x0, x1, x2, x3)
            else:
                for j in range(4):
                    n = np.int32(column + j)
                    if m < rows and n < columns:
                        offset = load(bias, n) if bias.size else c.dtype.type(0)
                        store(c, np.int32(m * columns + n), sums[at + j] + offset)

    @device
    def write(sums, row, column, bias, c):
        # Not a loop: numbers stay in registers only where the compiler knows which of them is meant.
        write_square(sums, 0, row, column, bias, c)
        if own == 8:
            write_square(sums, 4, row, np.int32(column + 32), bias, c)
            write_square(sums, 4 * own, np.int32(row + 16), column, bias, c)
            write_square(sums, 4 * own + 4, np.int32(row + 16), np.int32(column + 32), bias, c)

    return write


def _name(tile: Tile, turned_a: bool, turned_b: bool, by_four: bool) -> str:
    """ "product_nt_128_by_four": not transposed and transposed, in tiles of 128."""
    return f"product_{'nt'[turned_a]}{'nt'[turned_b]}_{tile.side}{'_by_four' if by_four else ''}"


def _kinds():
    """The kinds of kernels that there are."""
    return itertools.product((LARGE, SMALL), (False, True), (False, True), (True, False))


#: The kernels by their names, with the tile of each, and whether it fetches by four.
PRODUCTS = {_name(*kind): (product(_name(*kind), *kind), kind[0], kind[3]) for kind in _kinds()}
