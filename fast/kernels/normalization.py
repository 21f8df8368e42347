"""Normalisation over a batch, and within rows. The statistics are kept in float64, the loops over elements in x's type.

Each loop runs along memory and without branches, so that it works on many numbers at once. Sums along a row may be
added up in another order for that (`reassoc`, the only liberty taken: nan and infinity stay what they are).
"""

import math

import numpy as np
from numba import njit, prange

#: Columns that one thread takes at a time: their sums stay in the nearest cache.
COLUMNS = 256


# ----------------------------------------------------------------------------------------------------------------------
# Over a batch: x (N, C * L), L columns for each of the C channels; all else (C,), mean and factor in float64.


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm(x, weight, bias, eps, training, mean, variance, y):
    """y = (x - mean[c]) / sqrt(variance[c] + eps) * weight[c] + bias[c]; in training, mean and variance of the batch.

    Blocks of channels are finished one by one, so that x comes from memory once.
    """
    width = _channels_in_block(x, mean)
    for block in range(-(-mean.size // width)):
        _normalize_block(x, weight, bias, eps, training, mean, variance, y, block * width, width)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def batch_norm_parallel(x, weight, bias, eps, training, mean, variance, y):
    """`batch_norm`, each thread with its blocks of channels."""
    width = _channels_in_block(x, mean)
    for block in prange(-(-mean.size // width)):
        _normalize_block(x, weight, bias, eps, training, mean, variance, y, block * width, width)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad(grad, x, weight, training, mean, factor, grad_x, grad_weight, grad_bias):
    """What `batch_norm` passes back; factor[c] = 1 / sqrt(variance[c] + eps).

    With n = (x - mean) * factor: grad_weight = sum of grad * n, grad_bias = sum of grad, both over the channel, and
    grad_x = factor * weight * grad, from which training takes away its mean and n times the mean of grad * n, for
    mean and variance move along with x.
    """
    width = _channels_in_block(x, mean)
    for block in range(-(-mean.size // width)):
        _grad_block(grad, x, weight, training, mean, factor, grad_x, grad_weight, grad_bias, block * width, width)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def batch_norm_grad_parallel(grad, x, weight, training, mean, factor, grad_x, grad_weight, grad_bias):
    """`batch_norm_grad`, each thread with its blocks of channels."""
    width = _channels_in_block(x, mean)
    for block in prange(-(-mean.size // width)):
        _grad_block(grad, x, weight, training, mean, factor, grad_x, grad_weight, grad_bias, block * width, width)


@njit(cache=True, nogil=True, error_model="numpy")
def _channels_in_block(x, mean):
    return max(1, COLUMNS * mean.size // x.shape[1])


@njit(cache=True, nogil=True, error_model="numpy")
def _normalize_block(x, weight, bias, eps, training, mean, variance, y, start, width):
    """Channels from `start`. Their numbers are spread over their columns, so that rows need no loop over channels."""
    stop, length = min(start + width, mean.size), x.shape[1] // mean.size
    first, after = start * length, stop * length
    if training:
        _moments(x, first, after, mean[start:stop], variance[start:stop])
    spread = np.empty((3, after - first), y.dtype)
    centre, slope, offset = spread[0], spread[1], spread[2]
    for j in range(centre.size):
        c = start + j // length
        centre[j] = mean[c]
        slope[j] = weight[c] / math.sqrt(variance[c] + eps)
        offset[j] = bias[c]
    for n in range(x.shape[0]):
        row, result = x[n, first:after], y[n, first:after]
        for j in range(row.size):
            result[j] = (row[j] - centre[j]) * slope[j] + offset[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(x, first, after, mean, variance):
    """Means and variances of columns, put together for each channel: its variance is the mean variance of its columns
    plus the variance of their means. x (N, columns), of which `first` to `after` count; mean and variance (channels,).
    """
    rows, length = x.shape[0], (after - first) // mean.size
    means, squares = np.zeros(after - first), np.zeros(after - first)
    for n in range(rows):
        row = x[n, first:after]
        for j in range(row.size):
            means[j] += row[j]
    for j in range(means.size):
        means[j] /= rows
    for n in range(rows):
        row = x[n, first:after]
        for j in range(row.size):
            distance = row[j] - means[j]
            squares[j] += distance * distance
    for c in range(mean.size):
        mean[c] = means[c * length : (c + 1) * length].sum() / length
        total = 0.0
        for j in range(c * length, (c + 1) * length):
            total += squares[j] / rows + (means[j] - mean[c]) ** 2
        variance[c] = total / length


@njit(cache=True, nogil=True, error_model="numpy")
def _grad_block(grad, x, weight, training, mean, factor, grad_x, grad_weight, grad_bias, start, width):
    rows, stop, length = x.shape[0], min(start + width, mean.size), x.shape[1] // mean.size
    first, after = start * length, stop * length
    spread = np.empty((4, after - first), grad.dtype)
    centre, slope, drift, pull = spread[0], spread[1], spread[2], spread[3]
    for j in range(centre.size):
        centre[j] = mean[start + j // length]
    sums, products = np.zeros(after - first), np.zeros(after - first)
    for n in range(rows):
        g, row = grad[n, first:after], x[n, first:after]
        for j in range(row.size):
            sums[j] += g[j]
            products[j] += g[j] * (row[j] - centre[j])
    count = rows * length if training else math.inf  # constants do not move along with x
    for c in range(start, stop):
        low, high = (c - start) * length, (c - start + 1) * length
        total, product = sums[low:high].sum(), products[low:high].sum()
        grad_bias[c], grad_weight[c] = total, product * factor[c]
        for j in range(low, high):
            slope[j] = factor[c] * weight[c]
            drift[j] = total / count
            pull[j] = product * factor[c] ** 2 / count
    for n in range(rows):
        g, row, result = grad[n, first:after], x[n, first:after], grad_x[n, first:after]
        for j in range(row.size):
            result[j] = slope[j] * (g[j] - drift[j] - (row[j] - centre[j]) * pull[j])


# ----------------------------------------------------------------------------------------------------------------------
# Within rows: x (N, K), weight and bias (K,), mean and factor (N,) in float64.


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm(x, weight, bias, centred, eps, mean, factor, y):
    """y = (x - mean[n]) * factor[n] * weight[k] + bias[k], factor = 1 / sqrt(mean of (x - mean)^2 + eps).

    Where not `centred`, mean is 0: that is `rms_norm`.
    """
    for n in range(x.shape[0]):
        _normalize_row(x, weight, bias, centred, eps, mean, factor, y, n)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def layer_norm_parallel(x, weight, bias, centred, eps, mean, factor, y):
    """`layer_norm`, each thread with its rows."""
    for n in prange(x.shape[0]):
        _normalize_row(x, weight, bias, centred, eps, mean, factor, y, n)


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_grad(grad, x, weight, centred, mean, factor, grad_x, sums):
    """What `layer_norm` passes back.

    With v = (x - mean) * factor and h = grad * weight: grad_x = factor * (h - mean of h - v * mean of h v), the means
    over the row, that of h only where `centred`. sums (blocks, 2, K), in float64 and 0 at first, receives for each
    block of rows the sums over its rows of grad * v and of grad, which are the gradients of weight and bias.
    """
    for block in range(len(sums)):
        _grad_rows(grad, x, weight, centred, mean, factor, grad_x, sums, block)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def layer_norm_grad_parallel(grad, x, weight, centred, mean, factor, grad_x, sums):
    """`layer_norm_grad`, each thread with its blocks of rows."""
    for block in prange(len(sums)):
        _grad_rows(grad, x, weight, centred, mean, factor, grad_x, sums, block)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _normalize_row(x, weight, bias, centred, eps, mean, factor, y, n):
    number = y.dtype.type
    row, result = x[n], y[n]
    centre = 0.0
    if centred:
        for k in range(row.size):
            centre += row[k]
        centre /= row.size
    squares = 0.0
    for k in range(row.size):
        distance = row[k] - centre
        squares += distance * distance
    mean[n], factor[n] = centre, 1 / math.sqrt(squares / row.size + eps)
    middle, slope = number(mean[n]), number(factor[n])
    for k in range(row.size):
        result[k] = (row[k] - middle) * slope * weight[k] + bias[k]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _grad_rows(grad, x, weight, centred, mean, factor, grad_x, sums, block):
    number = grad.dtype.type
    rows, width = x.shape
    products, totals = sums[block, 0], sums[block, 1]
    for n in range(rows * block // len(sums), rows * (block + 1) // len(sums)):
        g, row = grad[n], x[n]
        middle, slope = number(mean[n]), number(factor[n])
        drift = pull = 0.0
        for k in range(width):
            v = (row[k] - middle) * slope
            h = g[k] * weight[k]
            products[k] += g[k] * v
            totals[k] += g[k]
            drift += h
            pull += h * v
        less, along = number(drift / width if centred else 0.0), number(pull / width)
        result = grad_x[n]
        for k in range(width):
            result[k] = slope * (g[k] * weight[k] - less - (row[k] - middle) * slope * along)
