"""What is made of lines of numbers besides sums, largest numbers and probabilities: see `reductions.py`."""

from __future__ import annotations

import math

from fast.cuda.arguments import Count, Matrix, PlacesOfRows, Stack, Vector
from fast.cuda.kernels.reductions import largest_of_row
from fast.cuda.package import cuda, device
from fast.cuda.warps import ALL, WARP, block_sum, warp_of_grid, warp_sum

# ----------------------------------------------------------------------------------------------------------------------
# Rows: x (N, C), y and the gradient of y (N,). Where the rows are read in any order, a warp takes a row.


def logsumexp(x: Matrix, y: Vector):
    """y[n] = log(sum over c of exp(x[n, c] - m)) + m, m the largest of the row, or 0 where that is no finite number."""
    number = x.dtype.type
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        largest = largest_of_row(x, n, lane)
        shift = largest if largest - largest == number(0) else number(0)
        total = number(0)
        for c in range(lane, x.shape[1], WARP):
            total += math.exp(x[n, c] - shift)
        total = warp_sum(total)
        if lane == 0:
            y[n] = math.log(total) + shift if total != number(0) else number(-math.inf)


def logsumexp_grad(grad: Vector, x: Matrix, y: Vector, grad_x: Matrix):
    """grad_x[n, c] = grad[n] * exp(x[n, c] - y[n])."""
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        for c in range(lane, x.shape[1], WARP):
            grad_x[n, c] = math.exp(x[n, c] - y[n]) * grad[n]


def prod(x: Matrix, y: Vector):
    """y[n] = the product over c of x[n, c]."""
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        found = x.dtype.type(1)
        for c in range(lane, x.shape[1], WARP):
            found *= x[n, c]
        for bit in (16, 8, 4, 2, 1):
            found *= cuda.shfl_xor_sync(ALL, found, bit)
        if lane == 0:
            y[n] = found


def prod_grad(grad: Vector, x: Matrix, grad_x: Matrix):
    """grad_x[n, c] = grad[n] times the product of all others of the row, which no division gives where one is 0.

    A thread takes a row: it writes the products of all before each number, and multiplies them by those of all after.
    """
    for n in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        before, after = x.dtype.type(1), grad[n]
        for c in range(x.shape[1]):
            grad_x[n, c] = before
            before *= x[n, c]
        for c in range(x.shape[1] - 1, -1, -1):
            grad_x[n, c] *= after
            after *= x[n, c]


# ----------------------------------------------------------------------------------------------------------------------
# Lines along the middle dimension of (A, R, B). Neighbouring threads take neighbouring b, and read neighbours.


def cumsum(x: Stack, backwards: Count, y: Stack):
    """y[a, r, b] = x[a, 0, b] + ... + x[a, r, b], or, `backwards`, x[a, r, b] + ... + x[a, R - 1, b].

    A thread takes a line. What an addition rounds off is kept, and added to the next number (Kahan 1965): in float32
    the sum of a long line would lose its digits otherwise.
    """
    zero, width = x.dtype.type(0), x.shape[2]
    for line in range(cuda.grid(1), x.shape[0] * width, cuda.gridsize(1)):
        a, b = line // width, line % width
        total, lost = zero, zero
        for step in range(x.shape[1]):
            r = x.shape[1] - 1 - step if backwards else step
            number = x[a, r, b] + lost
            after = total + number
            lost = number - (after - total)
            lost = lost if lost == lost else zero  # infinity less itself
            total = after
            y[a, r, b] = total


def pick_places(some: PlacesOfRows, chosen: PlacesOfRows, places: PlacesOfRows):
    """places[a, 0] = some[a, chosen[a, 0]]: where the largest stands of which `max_rows` has found one in each part."""
    for a in range(cuda.grid(1), places.shape[0], cuda.gridsize(1)):
        places[a, 0] = some[a, chosen[a, 0]]


def extreme_grad(grad: Matrix, places: PlacesOfRows, grad_x: Stack):
    """grad_x[a, r, b] = grad[a, b] where places[a, b] is r, else 0; grad, places (A, B). A thread for each number."""
    zero, width = grad.dtype.type(0), grad_x.shape[2]
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):
        line, b = i // width, i % width
        a, r = line // grad_x.shape[1], line % grad_x.shape[1]
        grad_x[a, r, b] = grad[a, b] if places[a, b] == r else zero


# ----------------------------------------------------------------------------------------------------------------------
# The gradient of the largest or smallest of all numbers: x, grad_x (N,), y and its gradient (1,).


def ties(x: Vector, y: Vector, parts: Vector):
    """parts[b] = how many x of block b are y; `reductions.sum_rows` adds up the parts (blocks,)."""
    room, number = cuda.shared.array(WARP, x.dtype), x.dtype.type
    total = number(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        total += number(1) if _same(x[i], y[0]) else number(0)
    total = block_sum(total, room)
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = total


def share_ties(grad: Vector, x: Vector, y: Vector, count: Vector, grad_x: Vector):
    """grad_x[i] = grad / count where x[i] is y, else 0; count (1,): how many of them there are."""
    share, zero = grad[0] / count[0], x.dtype.type(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        grad_x[i] = share if _same(x[i], y[0]) else zero


@device
def _same(x, y):
    """Whether two numbers are equal, or both nan."""
    return x == y or (x != x and y != y)
