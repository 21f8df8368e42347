"""Sums, largest and smallest numbers, and probabilities along rows and columns.

Along rows a warp takes a row: its 32 threads read 32 neighbours at a time, which is one access to memory, and put
their results together by `warp_sum`. Along columns neighbouring threads take neighbouring columns, for the same reason.

Sums are added up in the type of the numbers, for float64 is 2 to 64 times slower on a GPU; but 32 threads and several
parts make short sums of long ones, in an order that does not depend on the time, so results can be repeated to the bit.
"""

from __future__ import annotations

import math

import numpy as np

from fast.cuda.arguments import Matrix, Number, PlacesOfRows, Stack
from fast.cuda.package import cuda, device
from fast.cuda.warps import ALL, WARP, warp_max, warp_of_grid, warp_sum

#: The columns of a block of `sum_columns`, and its threads for each of them.
COLUMNS, ROWS = 32, 8
#: The place of a number that is not there.
NOWHERE = np.int32(2**31 - 1)


def sum_rows(x: Matrix, scale: Number, y: Matrix):
    """y[a, s] = scale * sum of x[a, r] over all r in part s of the row; x (A, R), y (A, S).

    A warp for each y. With a single part that is the sum of a row. A long row, such as all numbers of a tensor, keeps
    the whole GPU busy in a thousand parts; the sum of those is the second launch.
    """
    warp, lane = warp_of_grid()
    if warp < y.size:
        a, s = warp // y.shape[1], warp % y.shape[1]
        start, stop = part_of(s, y.shape[1], x.shape[1])
        total = x.dtype.type(0)
        for r in range(start + lane, stop, WARP):
            total += x[a, r]
        total = warp_sum(total)
        if lane == 0:
            y[a, s] = scale * total


def sum_columns(x: Stack, scale: Number, y: Stack):
    """y[a, s, b] = scale * sum of x[a, r, b] over all r in part s; x (A, R, B), y (A, S, B).

    A block for each 32 columns of a part: 8 threads share the rows of a column, and put their 8 sums together in
    shared memory, where each row of 32 numbers lies in 32 banks. Parts as in `sum_rows`.
    """
    sums = cuda.shared.array((ROWS, COLUMNS), x.dtype)
    s, b = cuda.blockIdx.y, cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x
    start, stop = part_of(s, y.shape[1], x.shape[1])
    for a in range(cuda.blockIdx.z, x.shape[0], cuda.gridDim.z):
        total = x.dtype.type(0)
        if b < x.shape[2]:
            for r in range(start + cuda.threadIdx.y, stop, ROWS):
                total += x[a, r, b]
        total = sum_of_column(total, sums)
        if cuda.threadIdx.y == 0 and b < x.shape[2]:
            y[a, s, b] = scale * total


@device
def sum_of_column(total, sums):
    """The sum of the totals of a column's threads, for the first of them; sums: shared, (ROWS, COLUMNS)."""
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    sums[row, column] = total
    cuda.syncthreads()
    if row == 0:
        for other in range(1, ROWS):
            total += sums[other, column]
    cuda.syncthreads()
    return total


@device
def part_of(s, parts, count):
    """The first of `count` things that belongs to part s, and the one after its last; the last part may be shorter."""
    size = (count + parts - 1) // parts
    return s * size, min((s + 1) * size, count)


def max_rows(x: Matrix, y: Matrix, places: PlacesOfRows):
    """y[a, s] = the largest x[a, r] in part s of the row, places[a, s] = its r; x (A, R), R < 2^31, y, places (A, S).

    The first of equal numbers is taken, and nan before all of them. A warp for each y.
    """
    _extreme_of_rows(x.dtype.type(1), x, y, places)


def min_rows(x: Matrix, y: Matrix, places: PlacesOfRows):
    """The smallest numbers, and their places, as `max_rows`."""
    _extreme_of_rows(x.dtype.type(-1), x, y, places)


@device
def _extreme_of_rows(sign, x, y, places):
    """The largest numbers, or, where `sign` is -1 and not 1, the smallest, whose negatives are the largest."""
    warp, lane = warp_of_grid()
    if warp < y.size:
        a, s = warp // y.shape[1], warp % y.shape[1]
        start, stop = part_of(s, y.shape[1], x.shape[1])
        largest, place = x.dtype.type(-math.inf), NOWHERE
        for r in range(start + lane, stop, WARP):
            largest, place = _better(sign * x[a, r], np.int32(r), largest, place)
        for bit in (16, 8, 4, 2, 1):
            other, its_place = cuda.shfl_xor_sync(ALL, largest, bit), cuda.shfl_xor_sync(ALL, place, bit)
            largest, place = _better(other, its_place, largest, place)
        if lane == 0:
            y[a, s], places[a, s] = sign * largest, place


def max_columns(x: Stack, y: Matrix, places: PlacesOfRows):
    """y[a, b] = the largest x[a, r, b], places[a, b] = its r; x (A, R, B), y, places (A, B); ties as in `max_rows`.

    A thread for each y. Neighbouring threads read neighbouring columns.
    """
    _extreme_of_columns(x.dtype.type(1), x, y, places)


def min_columns(x: Stack, y: Matrix, places: PlacesOfRows):
    """The smallest numbers, and their places, as `max_columns`."""
    _extreme_of_columns(x.dtype.type(-1), x, y, places)


@device
def _extreme_of_columns(sign, x, y, places):
    """As `_extreme_of_rows`."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        a, b = i // y.shape[1], i % y.shape[1]
        largest, place = x.dtype.type(-math.inf), NOWHERE
        for r in range(x.shape[1]):
            largest, place = _better(sign * x[a, r, b], np.int32(r), largest, place)
        y[a, b], places[a, b] = sign * largest, place


@device
def _better(a, i, b, j):
    """Which of the numbers a at place i and b at j is taken; only nan differs from itself.

    Without branches: threads of a warp that took different ones would wait for each other.
    """
    equal = (a == b) | ((a != a) & (b != b))
    first = (a > b) | ((a != a) & (b == b)) | (equal & (i < j))
    return (a if first else b), (i if first else j)


# ----------------------------------------------------------------------------------------------------------------------
# Probabilities along rows; x, y and gradients (N, C). A warp for each row. A row is read two or three times, but only
# the first time from memory: it stays in the nearest cache, where a row of 1,000 numbers takes 4 KB.


def softmax(x: Matrix, y: Matrix):
    """y[n, c] = exp(x[n, c] - m) / sum over c of exp(x[n, c] - m), with m the largest of the row."""
    number = x.dtype.type
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        largest = largest_of_row(x, n, lane)
        total = number(0)
        for c in range(lane, x.shape[1], WARP):
            y[n, c] = math.exp(x[n, c] - largest)
            total += y[n, c]
        share = number(1) / warp_sum(total)
        for c in range(lane, x.shape[1], WARP):
            y[n, c] *= share


def softmax_grad(grad: Matrix, y: Matrix, grad_x: Matrix):
    """grad_x[n, c] = y[n, c] * (grad[n, c] - sum over c of grad[n, c] y[n, c])."""
    n, lane = warp_of_grid()
    if n < y.shape[0]:
        total = y.dtype.type(0)
        for c in range(lane, y.shape[1], WARP):
            total += grad[n, c] * y[n, c]
        mean = warp_sum(total)
        for c in range(lane, y.shape[1], WARP):
            grad_x[n, c] = y[n, c] * (grad[n, c] - mean)


def log_softmax(x: Matrix, y: Matrix):
    """y[n, c] = x[n, c] - m - log(sum over c of exp(x[n, c] - m)), with m the largest of the row."""
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        largest = largest_of_row(x, n, lane)
        total = x.dtype.type(0)
        for c in range(lane, x.shape[1], WARP):
            total += math.exp(x[n, c] - largest)
        log_total = math.log(warp_sum(total))
        for c in range(lane, x.shape[1], WARP):
            y[n, c] = x[n, c] - largest - log_total


def log_softmax_grad(grad: Matrix, y: Matrix, grad_x: Matrix):
    """grad_x[n, c] = grad[n, c] - exp(y[n, c]) * sum over c of grad[n, c]."""
    n, lane = warp_of_grid()
    if n < y.shape[0]:
        total = y.dtype.type(0)
        for c in range(lane, y.shape[1], WARP):
            total += grad[n, c]
        total = warp_sum(total)
        for c in range(lane, y.shape[1], WARP):
            grad_x[n, c] = grad[n, c] - math.exp(y[n, c]) * total


@device
def largest_of_row(x, n, lane):
    """The largest number of row n, in every lane of a warp; nan where there is one."""
    found = x.dtype.type(-math.inf)
    for c in range(lane, x.shape[1], WARP):
        found = x[n, c] if x[n, c] > found or x[n, c] != x[n, c] else found
    return warp_max(found)
