"""Normalisation over a batch, and within rows; the formulas are those of `fast/kernels/normalization.py`.

Variances are sums of squared distances from the mean, in a pass of their own: the difference of two large sums, which
one pass could give, would have no digits left in float32 where the mean is far from 0.
"""

from __future__ import annotations

import math

from fast.cuda.arguments import Count, Matrix, Number, Stack, Vector
from fast.cuda.kernels.reductions import COLUMNS, ROWS, part_of, sum_of_column
from fast.cuda.package import cuda
from fast.cuda.warps import WARP, warp_of_grid, warp_sum

# ----------------------------------------------------------------------------------------------------------------------
# Over a batch: x (N, C, L), L numbers of each of the C channels; all else (C,). A thread takes a column, one of the C L
# numbers of a sample, and goes from sample to sample. Sums over samples are written in parts (S, C * L), for S parts of
# the batch; `sum_columns` adds up the parts, and `sum_rows` the columns of a channel.


def batch_squares(x: Stack, mean: Vector, parts: Matrix):
    """parts[s, (c, l)] = sum of (x[n, c, l] - mean[c])^2 over the n in part s of the batch."""
    sums = cuda.shared.array((ROWS, COLUMNS), x.dtype)
    column, row = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x, cuda.threadIdx.y
    start, stop = part_of(cuda.blockIdx.y, parts.shape[0], x.shape[0])
    total = x.dtype.type(0)
    if column < parts.shape[1]:
        c, place = column // x.shape[2], column % x.shape[2]
        for n in range(start + row, stop, ROWS):
            distance = x[n, c, place] - mean[c]
            total += distance * distance
    total = sum_of_column(total, sums)
    if row == 0 and column < parts.shape[1]:
        parts[cuda.blockIdx.y, column] = total


def batch_norm(x: Stack, weight: Vector, bias: Vector, eps: Number, mean: Vector, variance: Vector, y: Stack):
    """y = (x - mean[c]) / sqrt(variance[c] + eps) * weight[c] + bias[c]."""
    column = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x
    if column < x.shape[1] * x.shape[2]:
        c, place = column // x.shape[2], column % x.shape[2]
        centre, offset = mean[c], bias[c]
        slope = weight[c] / math.sqrt(variance[c] + eps)
        for n in range(cuda.blockIdx.y * ROWS + cuda.threadIdx.y, x.shape[0], cuda.gridDim.y * ROWS):
            y[n, c, place] = (x[n, c, place] - centre) * slope + offset


def batch_norm_sums(grad: Stack, x: Stack, mean: Vector, totals: Matrix, products: Matrix):
    """The sums over parts of the batch of grad, in totals, and of grad * (x - mean[c]), in products (S, C * L)."""
    sums = cuda.shared.array((ROWS, COLUMNS), x.dtype)
    column, row = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x, cuda.threadIdx.y
    start, stop = part_of(cuda.blockIdx.y, totals.shape[0], x.shape[0])
    total, product = x.dtype.type(0), x.dtype.type(0)
    if column < totals.shape[1]:
        c, place = column // x.shape[2], column % x.shape[2]
        for n in range(start + row, stop, ROWS):
            total += grad[n, c, place]
            product += grad[n, c, place] * (x[n, c, place] - mean[c])
    total = sum_of_column(total, sums)
    product = sum_of_column(product, sums)
    if row == 0 and column < totals.shape[1]:
        totals[cuda.blockIdx.y, column], products[cuda.blockIdx.y, column] = total, product


def batch_norm_grad(
    grad: Stack,
    x: Stack,
    weight: Vector,
    mean: Vector,
    factor: Vector,
    totals: Vector,
    products: Vector,
    share: Number,
    grad_x: Stack,
):
    """grad_x = factor * weight * (grad - share * (totals + (x - mean) * factor^2 * products)), all of channel c.

    factor = 1 / sqrt(variance + eps); totals and products: the sums of `batch_norm_sums` over the whole channel; share:
    1 / (N L) in training, where mean and variance move along with x, else 0.
    """
    column = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x
    if column < x.shape[1] * x.shape[2]:
        c, place = column // x.shape[2], column % x.shape[2]
        centre, slope = mean[c], factor[c] * weight[c]
        drift, pull = share * totals[c], share * products[c] * factor[c] * factor[c]
        for n in range(cuda.blockIdx.y * ROWS + cuda.threadIdx.y, x.shape[0], cuda.gridDim.y * ROWS):
            grad_x[n, c, place] = slope * (grad[n, c, place] - drift - (x[n, c, place] - centre) * pull)


def inverse_roots(variance: Vector, eps: Number, factor: Vector):
    """factor[c] = 1 / sqrt(variance[c] + eps)."""
    one = factor.dtype.type(1)
    for c in range(cuda.grid(1), factor.size, cuda.gridsize(1)):
        factor[c] = one / math.sqrt(variance[c] + eps)


def move_towards(new: Vector, times: Number, keep: Number, add: Number, running: Vector):
    """running[c] = keep running[c] + add (times new[c])."""
    for c in range(cuda.grid(1), running.size, cuda.gridsize(1)):
        running[c] = keep * running[c] + add * (times * new[c])


# ----------------------------------------------------------------------------------------------------------------------
# Within rows: x (N, K), weight and bias (K,), mean and factor (N,). A warp takes a row.


def layer_norm(
    x: Matrix, weight: Vector, bias: Vector, centred: Count, eps: Number, mean: Vector, factor: Vector, y: Matrix
):
    """y = (x - mean[n]) * factor[n] * weight[k] + bias[k], factor = 1 / sqrt(mean of (x - mean)^2 + eps).

    Where not `centred`, mean is 0: that is `rms_norm`.
    """
    number = x.dtype.type
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        count = number(x.shape[1])
        centre = number(0)
        if centred:
            for k in range(lane, x.shape[1], WARP):
                centre += x[n, k]
            centre = warp_sum(centre) / count
        squares = number(0)
        for k in range(lane, x.shape[1], WARP):
            distance = x[n, k] - centre
            squares += distance * distance
        slope = number(1) / math.sqrt(warp_sum(squares) / count + eps)
        if lane == 0:
            mean[n], factor[n] = centre, slope
        for k in range(lane, x.shape[1], WARP):
            y[n, k] = (x[n, k] - centre) * slope * weight[k] + bias[k]


def layer_norm_grad(
    grad: Matrix, x: Matrix, weight: Vector, centred: Count, mean: Vector, factor: Vector, grad_x: Matrix
):
    """grad_x = factor * (h - mean of h - v * mean of h v), v = (x - mean) * factor, h = grad * weight.

    The means are over the row, that of h only where `centred`.
    """
    number = x.dtype.type
    n, lane = warp_of_grid()
    if n < x.shape[0]:
        count, centre, slope = number(x.shape[1]), mean[n], factor[n]
        drift, pull = number(0), number(0)
        for k in range(lane, x.shape[1], WARP):
            h = grad[n, k] * weight[k]
            drift += h
            pull += h * (x[n, k] - centre) * slope
        drift = warp_sum(drift) / count if centred else number(0)
        pull = warp_sum(pull) / count
        for k in range(lane, x.shape[1], WARP):
            grad_x[n, k] = slope * (grad[n, k] * weight[k] - drift - (x[n, k] - centre) * slope * pull)


def layer_norm_sums(grad: Matrix, x: Matrix, mean: Vector, factor: Vector, products: Matrix, totals: Matrix):
    """The sums of grad * (x - mean[n]) * factor[n], in products, and of grad, in totals (S, K), over parts of the rows.

    They are the gradients of weight and bias, once `sum_columns` has added up the S parts.
    """
    sums = cuda.shared.array((ROWS, COLUMNS), x.dtype)
    column, row = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x, cuda.threadIdx.y
    start, stop = part_of(cuda.blockIdx.y, totals.shape[0], x.shape[0])
    total, product = x.dtype.type(0), x.dtype.type(0)
    if column < totals.shape[1]:
        for n in range(start + row, stop, ROWS):
            total += grad[n, column]
            product += grad[n, column] * (x[n, column] - mean[n]) * factor[n]
    total = sum_of_column(total, sums)
    product = sum_of_column(product, sums)
    if row == 0 and column < totals.shape[1]:
        totals[cuda.blockIdx.y, column], products[cuda.blockIdx.y, column] = total, product
