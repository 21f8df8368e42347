"""Convolutions and pooling. `rows` and `columns` are the `Windows` along the two dimensions of an image.

A convolution becomes a product of matrices, which is BLAS's: what each window sees is copied into a column, and the
weights are multiplied with all columns. Two things make it fast:

- A padded copy of the image is dealt out into `sheets` (C, stride_h, stride_w, height, width): the row h of the image
  goes to the sheet h % stride_h, and is its row h // stride_h there; columns likewise. So windows that are a stride
  apart see neighbours, and the numbers under one element of the kernel, for all windows, are one run of memory. Runs
  go over the ends of rows; the few columns that no window has are left out of the result, or hold zeros.
- A block of columns at a time is made, multiplied and forgotten, small enough for a core's cache. So memory does not
  grow with the batch either.

The parallel kernels give each thread its block of samples, and expect BLAS to use one thread itself.
"""

import numpy as np
from numba import njit, prange

#: Elements in a block of columns: 128 KB in float32.
BLOCK = 1 << 15


@njit(cache=True, nogil=True, error_model="numpy")
def conv2d(x, weight, bias, rows, columns, y):
    """y[n, (g, o), i, j] = bias[g, o] + sum over c, a, b of weight[g, o, (c, a, b)] * x[n, (g, c), h, w].

    h = i * stride + a * dilation - padding of the rows, w likewise; outside of the image x is 0.
    x (N, C, H, W), weight (G, O / G, C / G * kernel_h * kernel_w), bias (O,), y (N, O, rows and columns .positions).
    """
    groups, outputs, inner = weight.shape
    sheets = new_sheets(x.shape[1], rows, columns, y.dtype)
    flat, starts, width = sheets.reshape(groups, -1), run_starts(x.shape[1] // groups, rows, columns), sheets.shape[4]
    step = min(rows.positions, max(1, BLOCK // (inner * width)))
    memory, product_memory = np.empty(inner * step * width, y.dtype), np.empty(outputs * step * width, y.dtype)
    for n in range(x.shape[0]):
        deal(x[n], rows, columns, sheets)
        for first in range(0, rows.positions, step):
            height = min(step, rows.positions - first)
            length = (height - 1) * width + columns.positions
            block = memory[: inner * length].reshape(inner, length)
            product = product_memory[: outputs * length].reshape(outputs, length)
            for g in range(groups):
                unfold(flat[g], starts, first * width, block)
                np.dot(weight[g], block, product)
                for o in range(outputs):
                    offset = bias[g * outputs + o]
                    for i in range(height):
                        source = product[o, i * width :]
                        target = y[n, g * outputs + o, first + i]
                        for j in range(target.size):
                            target[j] = source[j] + offset


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def conv2d_parallel(blocks, x, weight, bias, rows, columns, y):
    """`conv2d`, each thread with its block of samples."""
    samples = x.shape[0]
    for block in prange(blocks):
        start, stop = samples * block // blocks, samples * (block + 1) // blocks
        conv2d(x[start:stop], weight, bias, rows, columns, y[start:stop])


@njit(cache=True, nogil=True, error_model="numpy")
def conv2d_grad(grad, x, weight, rows, columns, grad_x, grad_weight, grad_bias):
    """What `conv2d` passes back, each where its array is not empty.

    grad_weight[g, (c, a, b), o] += sum over n, i, j of grad[n, (g, o), i, j] * x[n, (g, c), h, w]; its last two
    dimensions are exchanged, in which order BLAS is faster. grad_bias[o] += sum over n, i, j of grad[n, o, i, j].
    grad_x[n, (g, c), h, w] = sum over o, a, b of weight[g, o, (c, a, b)] * grad[n, (g, o), i, j], over those i, j whose
    windows see h, w. The sums over all samples are kept in float64.
    """
    groups, outputs, inner = weight.shape
    sheets = new_sheets(x.shape[1], rows, columns, grad.dtype)
    flat, starts, width = sheets.reshape(groups, -1), run_starts(x.shape[1] // groups, rows, columns), sheets.shape[4]
    step = min(rows.positions, max(1, BLOCK // (inner * width)))
    memory, grad_memory = np.empty(inner * step * width, grad.dtype), np.empty(outputs * step * width, grad.dtype)
    part, sums = np.empty((inner, outputs), grad.dtype), np.empty(columns.positions)
    grad_sheets = np.zeros_like(sheets)
    flat_grad = grad_sheets.reshape(groups, -1)
    for n in range(x.shape[0]):
        if grad_weight.size:
            deal(x[n], rows, columns, sheets)
        for first in range(0, rows.positions, step):
            height = min(step, rows.positions - first)
            length = (height - 1) * width + columns.positions
            block = memory[: inner * length].reshape(inner, length)
            grad_block = grad_memory[: outputs * length].reshape(outputs, length)
            for g in range(groups):
                spread(grad[n, g * outputs : (g + 1) * outputs, first : first + height], width, grad_block)
                if grad_bias.size:
                    for o in range(outputs):
                        grad_bias[g * outputs + o] += total(grad[n, g * outputs + o, first : first + height], sums)
                if grad_weight.size:
                    unfold(flat[g], starts, first * width, block)
                    np.dot(block, grad_block.T, part)
                    add(part, grad_weight[g])
                if grad_x.size:
                    np.dot(weight[g].T, grad_block, block)
                    fold(block, starts, first * width, flat_grad[g])
        if grad_x.size:
            collect(grad_sheets, rows, columns, grad_x[n])
            grad_sheets[:] = 0


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def conv2d_grad_parallel(blocks, grad, x, weight, rows, columns, grad_x, grad_weight, grad_bias):
    """`conv2d_grad`, each thread with its block of samples and sums of its own."""
    samples = x.shape[0]
    groups, inner, outputs = grad_weight.shape
    weights, biases = zeros((blocks, groups, inner, outputs)), zeros((blocks, grad_bias.size))
    for block in prange(blocks):
        start, stop = samples * block // blocks, samples * (block + 1) // blocks
        mine = grad_x[start:stop], weights[block], biases[block]
        conv2d_grad(grad[start:stop], x[start:stop], weight, rows, columns, *mine)
    for block in range(blocks):
        add(weights[block].reshape(-1, outputs), grad_weight.reshape(-1, outputs))
        add(biases[block].reshape(-1, 1), grad_bias.reshape(-1, 1))


@njit(cache=True, nogil=True, error_model="numpy")
def zeros(shape):
    """Zeros of float64. (Within a parallel function, `np.zeros` would become a parallel loop of its own.)"""
    return np.zeros(shape)


@njit(cache=True, nogil=True, error_model="numpy")
def total(matrix, sums):
    """The sum of all elements: of each column first, in `sums`, for these additions need not wait for each other."""
    sums[:] = 0
    for i in range(matrix.shape[0]):
        for j in range(sums.size):
            sums[j] += matrix[i, j]
    return sums.sum()


@njit(cache=True, nogil=True, error_model="numpy")
def add(part, total):
    """total[i, j] += part[i, j]."""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            total[i, j] += part[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def new_sheets(channels, rows, columns, dtype):
    """Sheets of zeros (C, stride_h, stride_w, height, width), large enough for the image and for all windows."""
    height, width = sheet_length(rows), sheet_length(columns)
    return np.zeros((channels, rows.stride, columns.stride, height, width), dtype)


@njit(cache=True, nogil=True, error_model="numpy")
def sheet_length(windows):
    """The length of each of the sheets into which the padded image is dealt along one dimension."""
    seen = (windows.positions - 1) * windows.stride + (windows.kernel - 1) * windows.dilation + 1
    return (max(windows.padding + windows.length, seen) - 1) // windows.stride + 1


@njit(cache=True, nogil=True, error_model="numpy")
def run_starts(channels, rows, columns):
    """Where, for each (c, a, b), the first window's number lies in the sheets of `channels` channels."""
    height, width = sheet_length(rows), sheet_length(columns)
    starts = np.empty((channels, rows.kernel, columns.kernel), np.int64)
    for c in range(channels):
        for a in range(rows.kernel):
            for b in range(columns.kernel):
                h, w = a * rows.dilation, b * columns.dilation
                sheet = (c * rows.stride + h % rows.stride) * columns.stride + w % columns.stride
                starts[c, a, b] = (sheet * height + h // rows.stride) * width + w // columns.stride
    return starts.ravel()


@njit(cache=True, nogil=True, error_model="numpy")
def deal(image, rows, columns, sheets):
    """Copy an image (C, H, W) into the sheets. The padding between stays as it is."""
    for phase_h in range(rows.stride):
        h, sheet_h = first_of_phase(rows, phase_h)
        for phase_w in range(columns.stride):
            w, sheet_w = first_of_phase(columns, phase_w)
            for c in range(image.shape[0]):
                source = image[c, h :: rows.stride, w :: columns.stride]
                target = sheets[c, phase_h, phase_w, sheet_h:, sheet_w:]
                for i in range(source.shape[0]):
                    for j in range(source.shape[1]):
                        target[i, j] = source[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def collect(sheets, rows, columns, image):
    """The way back of `deal`."""
    for phase_h in range(rows.stride):
        h, sheet_h = first_of_phase(rows, phase_h)
        for phase_w in range(columns.stride):
            w, sheet_w = first_of_phase(columns, phase_w)
            for c in range(image.shape[0]):
                source = sheets[c, phase_h, phase_w, sheet_h:, sheet_w:]
                target = image[c, h :: rows.stride, w :: columns.stride]
                for i in range(target.shape[0]):
                    for j in range(target.shape[1]):
                        target[i, j] = source[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def first_of_phase(windows, phase):
    """The first place of the image that goes to sheet `phase`, and which place it has there."""
    first = (phase - windows.padding) % windows.stride
    return first, (first + windows.padding) // windows.stride


@njit(cache=True, nogil=True, error_model="numpy")
def unfold(flat, starts, shift, block):
    """block[k, p] = flat[starts[k] + shift + p]."""
    for k in range(starts.size):
        source = flat[starts[k] + shift :]
        target = block[k]
        for p in range(target.size):
            target[p] = source[p]


@njit(cache=True, nogil=True, error_model="numpy")
def fold(block, starts, shift, flat):
    """flat[starts[k] + shift + p] += block[k, p]."""
    for k in range(starts.size):
        source = block[k]
        target = flat[starts[k] + shift :]
        for p in range(source.size):
            target[p] += source[p]


@njit(cache=True, nogil=True, error_model="numpy")
def spread(grad, width, block):
    """block[o, i * width + j] = grad[o, i, j], with zeros from the end of each row to the next."""
    for o in range(grad.shape[0]):
        for i in range(grad.shape[1]):
            source = grad[o, i]
            target = block[o, i * width : (i + 1) * width]
            for j in range(source.size):
                target[j] = source[j]
            for j in range(source.size, target.size):
                target[j] = 0


# ----------------------------------------------------------------------------------------------------------------------
# Pooling. Images are (P, H, W): it makes no difference which sample and channel they are of.


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool(x, rows, columns, y, places):
    """y[p, i, j] = the largest x[p, h, w] in a window, places[p, i, j] = h * W + w; -inf and -1 for empty windows.

    The first of equal numbers is taken, and nan before all of them. The commonest window is passed as constants, with
    which the compiler unrolls the loops over the window: four times as fast.
    """
    usual = rows[2:] == (2, 2, 0, 1) and columns[2:] == (2, 2, 0, 1)  # kernel, stride, padding and dilation
    for p in range(x.shape[0]):
        if usual:
            choose(x[p], (2, 2, 0, 1), (2, 2, 0, 1), y[p], places[p])
        else:
            choose(x[p], rows[2:], columns[2:], y[p], places[p])


@njit(cache=True, nogil=True, error_model="numpy")
def choose(x, rows, columns, y, places):
    """`max_pool` of one image (H, W), without branches on the numbers, for they cannot be foretold."""
    height, width = x.shape
    kernel_h, stride_h, top, dilation_h = rows
    kernel_w, stride_w, left, dilation_w = columns
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            largest, place = y.dtype.type(-np.inf), np.int32(-1)
            for a in range(kernel_h):
                h = i * stride_h + a * dilation_h - top
                for b in range(kernel_w):
                    w = j * stride_w + b * dilation_w - left
                    if top + left == 0 or (0 <= h < height and 0 <= w < width):
                        number = x[h, w]
                        better = (number > largest) | (number != number) | (place < 0)
                        largest = number if better else largest
                        place = np.int32(h * width + w) if better else place
            y[i, j] = largest
            places[i, j] = place


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def max_pool_parallel(x, rows, columns, y, places):
    """`max_pool`, spread over the images."""
    for p in prange(x.shape[0]):
        max_pool(x[p : p + 1], rows, columns, y[p : p + 1], places[p : p + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool_grad(grad, places, grad_x):
    """grad_x[p, places[p, i, j]] += grad[p, i, j]; grad and places (P, I * J), grad_x (P, H * W), which begins as 0."""
    for p in range(grad.shape[0]):
        for i in range(grad.shape[1]):
            if places[p, i] >= 0:
                grad_x[p, places[p, i]] += grad[p, i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def max_pool_grad_parallel(grad, places, grad_x):
    """`max_pool_grad`, spread over the images."""
    for p in prange(grad.shape[0]):
        max_pool_grad(grad[p : p + 1], places[p : p + 1], grad_x[p : p + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool(x, rows, columns, y):
    """y[p, i, j] = sum of x[p, h, w] / (rows[2, i] * columns[2, j]), rows[0, i] <= h < rows[1, i], columns likewise.

    The sum is kept in float64.
    """
    for p in range(x.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                total = 0.0
                for h in range(rows[0, i], rows[1, i]):
                    for w in range(columns[0, j], columns[1, j]):
                        total += x[p, h, w]
                y[p, i, j] = total / (rows[2, i] * columns[2, j])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def avg_pool_parallel(x, rows, columns, y):
    """`avg_pool`, spread over the images."""
    for p in prange(x.shape[0]):
        avg_pool(x[p : p + 1], rows, columns, y[p : p + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool_grad(grad, rows, columns, grad_x):
    """grad_x[p, h, w] += grad[p, i, j] / (rows[2, i] * columns[2, j]) for all h, w of `avg_pool`; begins as 0."""
    number = grad.dtype.type
    for p in range(grad.shape[0]):
        for i in range(grad.shape[1]):
            for j in range(grad.shape[2]):
                part = grad[p, i, j] / number(rows[2, i] * columns[2, j])
                for h in range(rows[0, i], rows[1, i]):
                    for w in range(columns[0, j], columns[1, j]):
                        grad_x[p, h, w] += part


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def avg_pool_grad_parallel(grad, rows, columns, grad_x):
    """`avg_pool_grad`, spread over the images."""
    for p in prange(grad.shape[0]):
        avg_pool_grad(grad[p : p + 1], rows, columns, grad_x[p : p + 1])
