"""One matrix product on six rungs, from plain Python to BLAS: the kernels of lesson 90.

Each computes c = a @ b, for a (N, K), b (K, M) and c (N, M), none of them empty. They are here to be read and timed;
the engine's own product is in `fast/kernels/products.py`. They live in a file because Numba keeps on disk only what it
finds in one.
"""

import math

import numpy as np
from numba import njit, prange

#: A tile of b, in rows and columns: 128 KB of float32, to stay in a core's second cache while all of a passes by.
TILE_ROWS, TILE_COLUMNS = 64, 512


# The ladder


def in_python(a, b, c):
    """c[i][j] = sum over k of a[i][k] * b[k][j], on lists of lists: the definition, and the judge of all that follow.

    The sum starts with the first product, and not with 0.0, which would make a float64 of it once it is compiled.
    """
    for i in range(len(a)):
        for j in range(len(b[0])):
            total = a[i][0] * b[0][j]
            for k in range(1, len(b)):
                total += a[i][k] * b[k][j]
            c[i][j] = total


#: `in_python`, the very same lines, as machine code for arrays.
compiled = njit(cache=True, nogil=True, error_model="numpy")(in_python)


@njit(cache=True, nogil=True, error_model="numpy")
def by_rows(a, b, c):
    """c[i] = sum over k of a[i, k] * b[k]: the loops in the order i, k, j.

    The inner loop walks along a row of b and a row of c, numbers that lie side by side, and no step of it waits for
    the one before. So one instruction does many of them at once.
    """
    c[:] = 0
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            factor = a[i, k]
            for j in range(b.shape[1]):
                c[i, j] += factor * b[k, j]


@njit(cache=True, nogil=True, error_model="numpy")
def tiled(a, b, c):
    """c = a @ b, one tile of b at a time: c[:, J] += a[:, K] @ b[K, J], for blocks K of rows and J of columns of b.

    A tile is used for all rows of a before the next one is fetched, so b comes from memory once, not N times.
    """
    c[:] = 0
    for k in range(0, b.shape[0], TILE_ROWS):
        for j in range(0, b.shape[1], TILE_COLUMNS):
            _add_tile(a, b, c, k, min(k + TILE_ROWS, b.shape[0]), j, min(j + TILE_COLUMNS, b.shape[1]))


@njit(cache=True, nogil=True, error_model="numpy")
def _add_tile(a, b, c, top, bottom, left, right):
    """c[i, j] += sum over k from top to bottom of a[i, k] * b[k, j], for j from left to right and every i.

    Register blocking: 16 numbers of a, from four rows and four columns, stay in registers while the inner loop runs
    along four rows of b and four of c. For 16 multiply-adds it loads eight numbers and stores four; `by_rows` loads
    two and stores one for every single multiply-add. What makes no full block of four is left to the loop of `by_rows`.
    """
    rows, depth = a.shape[0] - a.shape[0] % 4, bottom - (bottom - top) % 4
    for i in range(0, rows, 4):
        c0, c1, c2, c3 = c[i, left:right], c[i + 1, left:right], c[i + 2, left:right], c[i + 3, left:right]
        for k in range(top, depth, 4):
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            b0, b1, b2, b3 = b[k, left:right], b[k + 1, left:right], b[k + 2, left:right], b[k + 3, left:right]
            for j in range(right - left):
                c0[j] += a00 * b0[j] + a01 * b1[j] + a02 * b2[j] + a03 * b3[j]
                c1[j] += a10 * b0[j] + a11 * b1[j] + a12 * b2[j] + a13 * b3[j]
                c2[j] += a20 * b0[j] + a21 * b1[j] + a22 * b2[j] + a23 * b3[j]
                c3[j] += a30 * b0[j] + a31 * b1[j] + a32 * b2[j] + a33 * b3[j]
    for i in range(a.shape[0]):
        for k in range(depth if i < rows else top, bottom):
            factor = a[i, k]
            for j in range(left, right):
                c[i, j] += factor * b[k, j]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def tiled_parallel(blocks, a, b, c):
    """`tiled` on all cores: the rows of a and c are cut into `blocks`, and each thread takes the next one."""
    rows = a.shape[0]
    for block in prange(blocks):
        start, stop = rows * block // blocks, rows * (block + 1) // blocks
        tiled(a[start:stop], b, c[start:stop])


@njit(cache=True, nogil=True, error_model="numpy")
def blas(a, b, c):
    """c = a @ b by BLAS, the library of products that SciPy brings, tuned by hand for each kind of processor."""
    np.dot(a, b, c)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def blas_parallel(blocks, a, b, c):
    """`blas`, each thread with its block of rows; BLAS itself should use one thread (`fast.threads.run_product`)."""
    rows = a.shape[0]
    for block in prange(blocks):
        start, stop = rows * block // blocks, rows * (block + 1) // blocks
        np.dot(a[start:stop], b, c[start:stop])


# What the ladder is measured against


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def multiply_adds(x, factor, term, y, times):
    """y[n] += the sum of x[0, n] to x[7, n], each after going 16 times through v * factor + term; and all that `times`.

    For 128 multiply-adds it loads nine numbers and stores one: the rest happens in registers. The eight chains do
    not wait for each other, so the next multiply-add can start while others are under way. "contract" lets the
    multiplication and the addition be one instruction. x (8, N), y (N,), small enough for the first cache.
    """
    x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
    for _ in range(times):
        for n in range(y.size):
            v0, v1, v2, v3, v4, v5, v6, v7 = x0[n], x1[n], x2[n], x3[n], x4[n], x5[n], x6[n], x7[n]
            for _ in range(16):
                v0, v1, v2, v3 = v0 * factor + term, v1 * factor + term, v2 * factor + term, v3 * factor + term
                v4, v5, v6, v7 = v4 * factor + term, v5 * factor + term, v6 * factor + term, v7 * factor + term
            y[n] += v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def multiply_adds_parallel(x, factor, term, y, times):
    """`multiply_adds` in several threads at once, each with a row of y (threads, N)."""
    for thread in prange(y.shape[0]):
        multiply_adds(x, factor, term, y[thread], times)


# One function over an array, in two ways: what SIMD and `prange` do for a loop. x and y (N,)


@njit(cache=True, nogil=True, error_model="numpy")
def arithmetic_tanh(x, y):
    """y[n] = tanh(x[n]) for x between -1 and 1, as a quotient of two polynomials (Lambert's continued fraction).

    Arithmetic alone, without a branch: the compiler does it on a register full of numbers at a time. The constants
    are given the type of y; as they stand they would turn float32 into float64, and half the numbers fit.
    """
    number = y.dtype.type
    for n in range(x.size):
        s = x[n] * x[n]
        above = number(135135) + s * (number(17325) + s * (number(378) + s))
        below = number(135135) + s * (number(62370) + s * (number(3150) + s * number(28)))
        y[n] = x[n] * above / below


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def arithmetic_tanh_parallel(blocks, x, y):
    """`arithmetic_tanh`, each thread with its block."""
    for block in prange(blocks):
        start, stop = x.size * block // blocks, x.size * (block + 1) // blocks
        arithmetic_tanh(x[start:stop], y[start:stop])


@njit(cache=True, nogil=True, error_model="numpy")
def library_tanh(x, y):
    """y[n] = tanh(x[n]), each by a call of the C library, which takes one number at a time."""
    for n in range(x.size):
        y[n] = math.tanh(x[n])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def library_tanh_parallel(blocks, x, y):
    """`library_tanh`, each thread with its block."""
    for block in prange(blocks):
        start, stop = x.size * block // blocks, x.size * (block + 1) // blocks
        library_tanh(x[start:stop], y[start:stop])
