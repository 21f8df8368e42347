"""One matrix product on four rungs, from the obvious kernel to one that keeps a GPU busy, to be read and timed.

Each computes c = a @ b, for a (N, K), b (K, M) and c (N, M). `naive` is the meaning, and the judge of all others. The
engine's own products, in `products.py`, are the fourth rung with larger tiles, two of them in turn, and transposes.

What is counted below are reads from memory for a multiplication and an addition: a GPU does some ten of those in the
time that one number takes to arrive, so everything is about reading less.
"""

from __future__ import annotations

from fast.cuda.arguments import Matrix
from fast.cuda.intrinsics import load4, store, store4
from fast.cuda.package import cuda

#: The side of a tile of `tiled`, which has a thread for each number of it.
TILE = 16
#: The side of a tile of `blocked` and `vectorised`, how many k they take at a time, and the side of a thread's square.
SIDE, DEPTH, OWN = 64, 16, 4
#: From one k to the next in a tile of `vectorised`: 4 more, so that columns that are written lie in different banks.
STRIDE = SIDE + 4
_ROOM, _ALL = DEPTH * STRIDE, OWN * OWN


def naive(a: Matrix, b: Matrix, c: Matrix):
    """c[i, j] = sum over k of a[i, k] * b[k, j]; a thread for each number of c.

    Two reads for each multiplication. Neighbouring threads have neighbouring j, so what a warp reads of b is one
    access, and what it reads of a is the same number for all. With i and j exchanged it would be ten times slower.
    """
    j, i = cuda.grid(2)
    if i < c.shape[0] and j < c.shape[1]:
        total = a.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[i, k] * b[k, j]
        c[i, j] = total


def tiled(a: Matrix, b: Matrix, c: Matrix):
    """The same in tiles of 16 x 16: a block copies a tile of a and one of b into shared memory, and multiplies them.

    Every number that is copied is used 16 times, so an eighth of a read for each multiplication is left. But each
    multiplication now reads two numbers from shared memory, which is the next thing to be short of.
    """
    tile_a = cuda.shared.array((TILE, TILE), a.dtype)
    tile_b = cuda.shared.array((TILE, TILE), a.dtype)
    zero = a.dtype.type(0)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    j, i = cuda.grid(2)
    total = zero
    for first in range(0, a.shape[1], TILE):
        tile_a[row, column] = a[i, first + column] if i < a.shape[0] and first + column < a.shape[1] else zero
        tile_b[row, column] = b[first + row, j] if first + row < b.shape[0] and j < b.shape[1] else zero
        cuda.syncthreads()  # all have copied before anybody multiplies
        for k in range(TILE):
            total += tile_a[row, k] * tile_b[k, column]
        cuda.syncthreads()  # all have multiplied before anybody copies
    if i < c.shape[0] and j < c.shape[1]:
        c[i, j] = total


def blocked(a: Matrix, b: Matrix, c: Matrix):
    """The same in tiles of 64 x 64, of which each of 256 threads computes 4 x 4 numbers, in registers.

    8 numbers from shared memory make 16 multiplications, where `tiled` reads 32. A thread's rows, and its columns, are
    16 apart, so that neighbouring threads read neighbours. But a tile of a is written by columns, and all numbers of a
    column are in one bank: 16 threads wait for each other, for a tenth of the time.
    """
    tile_a = cuda.shared.array((DEPTH, SIDE), a.dtype)
    tile_b = cuda.shared.array((DEPTH, SIDE), a.dtype)
    sums = cuda.local.array(_ALL, a.dtype)
    left, right = cuda.local.array(OWN, a.dtype), cuda.local.array(OWN, a.dtype)
    zero = a.dtype.type(0)
    for own in range(_ALL):
        sums[own] = zero
    t = cuda.threadIdx.x
    row, column = cuda.blockIdx.y * SIDE, cuda.blockIdx.x * SIDE
    for first in range(0, a.shape[1], DEPTH):
        for part in range(OWN):
            i, k = t // DEPTH + part * 16, t % DEPTH
            inside = row + i < a.shape[0] and first + k < a.shape[1]
            tile_a[k, i] = a[row + i, first + k] if inside else zero
            k, j = t // SIDE + part * 4, t % SIDE
            inside = first + k < b.shape[0] and column + j < b.shape[1]
            tile_b[k, j] = b[first + k, column + j] if inside else zero
        cuda.syncthreads()
        for k in range(DEPTH):
            for own in range(OWN):
                left[own], right[own] = tile_a[k, t // 16 + 16 * own], tile_b[k, t % 16 + 16 * own]
            for i in range(OWN):
                for j in range(OWN):
                    sums[i * OWN + j] += left[i] * right[j]
        cuda.syncthreads()
    for i in range(OWN):
        for j in range(OWN):
            m, n = row + t // 16 + 16 * i, column + t % 16 + 16 * j
            if m < c.shape[0] and n < c.shape[1]:
                c[m, n] = sums[i * OWN + j]


def vectorised(a: Matrix, b: Matrix, c: Matrix):
    """The same with four numbers at a time, from memory and from shared memory; N any, K and M multiples of 4.

    2 reads of 16 bytes make 16 multiplications, where `blocked` has 8 reads of 4: the instructions that are not
    multiplications are as scarce as memory is. A thread's numbers are neighbours now. The tile of a is turned on its
    way into shared memory, where each k has 4 numbers more than a side, or a column's numbers would share a bank.
    """
    tile_a = cuda.shared.array(_ROOM, a.dtype, alignment=16)
    tile_b = cuda.shared.array(_ROOM, a.dtype, alignment=16)
    sums = cuda.local.array(_ALL, a.dtype)
    left, right = cuda.local.array(OWN, a.dtype), cuda.local.array(OWN, a.dtype)
    zero = a.dtype.type(0)
    for own in range(_ALL):
        sums[own] = zero
    t, length, width = cuda.threadIdx.x, a.shape[1], b.shape[1]
    row, column = cuda.blockIdx.y * SIDE, cuda.blockIdx.x * SIDE
    for first in range(0, length, DEPTH):
        i, k = t // 2 % SIDE, (t % 2 + t // 128 * 2) * 4
        x0, x1, x2, x3 = zero, zero, zero, zero
        if row + i < a.shape[0] and first + k < length:
            x0, x1, x2, x3 = load4(a, (row + i) * length + first + k)
        store(tile_a, k * STRIDE + i, x0)
        store(tile_a, (k + 1) * STRIDE + i, x1)
        store(tile_a, (k + 2) * STRIDE + i, x2)
        store(tile_a, (k + 3) * STRIDE + i, x3)
        k, j = t // 16, t % 16 * 4
        x0, x1, x2, x3 = zero, zero, zero, zero
        if first + k < length and column + j < width:
            x0, x1, x2, x3 = load4(b, (first + k) * width + column + j)
        store4(tile_b, k * STRIDE + j, x0, x1, x2, x3)
        cuda.syncthreads()
        for k in range(DEPTH):
            left[0], left[1], left[2], left[3] = load4(tile_a, k * STRIDE + t // 16 * 4)
            right[0], right[1], right[2], right[3] = load4(tile_b, k * STRIDE + t % 16 * 4)
            for i in range(OWN):
                for j in range(OWN):
                    sums[i * OWN + j] += left[i] * right[j]
        cuda.syncthreads()
    for i in range(OWN):
        m, n = row + t // 16 * 4 + i, column + t % 16 * 4
        if m < c.shape[0] and n < width:
            store4(c, m * width + n, sums[i * 4], sums[i * 4 + 1], sums[i * 4 + 2], sums[i * 4 + 3])
