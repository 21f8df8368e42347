"""Convolutions and pooling: windows that move over images.

A convolution is a product of matrices: `unfold` copies what each window sees into a column of a matrix, (C * kernel_h *
kernel_w, windows), and the weights, (O, C * kernel_h * kernel_w), times that matrix are the result, (O, windows), the
order in which images lie in memory. With G groups every sample is G such products.

`rows` and `columns` of a window are tuples (positions, kernel, stride, padding, dilation): window i sees the places
i * stride + a * dilation - padding for each a below `kernel`.

A GPU can let many threads add to one number, but only one after the other, and in an order that is never the same. So
gradients are gathered instead: a thread takes a number of the image, and looks for the windows that have seen it.

The y of a block says which image or row it works on, the x which piece of it: so a thread divides by sizes, which
takes as long as a dozen multiplications, as rarely as may be.
"""

from __future__ import annotations

import math

import numpy as np

from fast.cuda.arguments import Bounds, Images, PlacesOfStack, Stack, Vector, Window
from fast.cuda.package import cuda, device

# ----------------------------------------------------------------------------------------------------------------------
# Convolutions.


def unfold(x: Images, rows: Window, columns: Window, y: Stack):
    """y[n, (c, a, b), (i, j)] = x[n, c, h, w], what window i, j sees at a, b; 0 where that is outside of the image.

    x (N, C, H, W), y (N, C * kernel_h * kernel_w, positions_h * positions_w). Neighbouring threads write neighbours.
    """
    for line in range(cuda.blockIdx.y, y.shape[0] * y.shape[1], cuda.gridDim.y):
        n, element = line // y.shape[1], line % y.shape[1]
        c, a, b = element // (rows[1] * columns[1]), element // columns[1] % rows[1], element % columns[1]
        for place in range(cuda.grid(1), y.shape[2], cuda.gridsize(1)):
            h = _seen(rows, place // columns[0], a)
            w = _seen(columns, place % columns[0], b)
            inside = 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
            y[n, element, place] = x[n, c, h, w] if inside else x.dtype.type(0)


def fold(y: Stack, rows: Window, columns: Window, x: Images):
    """x[n, c, h, w] = sum of y[n, (c, a, b), (i, j)] over all windows i, j, and a, b with which they see h, w."""
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    for image in range(cuda.blockIdx.y, x.shape[0] * channels, cuda.gridDim.y):
        n, c = image // channels, image % channels
        for place in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            h, w = place // width, place % width
            total = x.dtype.type(0)
            for a in range(rows[1]):
                i = _window(rows, h, a)
                if i >= 0:
                    for b in range(columns[1]):
                        j = _window(columns, w, b)
                        if j >= 0:
                            total += y[n, (c * rows[1] + a) * columns[1] + b, i * columns[0] + j]
            x[n, c, h, w] = total


def add_to_channels(y: Stack, bias: Vector):
    """y[n, o, i] += bias[o]; y (N, O, positions)."""
    for image in range(cuda.blockIdx.y, y.shape[0] * y.shape[1], cuda.gridDim.y):
        n, o = image // y.shape[1], image % y.shape[1]
        for i in range(cuda.grid(1), y.shape[2], cuda.gridsize(1)):
            y[n, o, i] += bias[o]


@device
def _seen(windows, i, a):
    """The place that window i sees at a."""
    return i * windows[2] + a * windows[4] - windows[3]


@device
def _window(windows, place, a):
    """The window that sees a place at a; -1 where there is none."""
    first = place + windows[3] - a * windows[4]
    i = first // windows[2]
    return i if first >= 0 and i * windows[2] == first and i < windows[0] else -1


# ----------------------------------------------------------------------------------------------------------------------
# Pooling. Images are (P, H, W): it makes no difference which sample and channel they are of. A thread takes a number.


def max_pool(x: Stack, rows: Window, columns: Window, y: Stack, places: PlacesOfStack):
    """y[p, i, j] = the largest x[p, h, w] in a window, places[p, i, j] = h * W + w; -inf and -1 for empty windows.

    The first of equal numbers is taken, and nan before all of them.
    """
    for p in range(cuda.blockIdx.y, x.shape[0], cuda.gridDim.y):
        for window in range(cuda.grid(1), rows[0] * columns[0], cuda.gridsize(1)):
            i, j = window // columns[0], window % columns[0]
            largest, place = x.dtype.type(-math.inf), -1
            for a in range(rows[1]):
                for b in range(columns[1]):
                    h, w = _seen(rows, i, a), _seen(columns, j, b)
                    if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                        number = x[p, h, w]
                        if number > largest or number != number or place < 0:
                            largest, place = number, h * x.shape[2] + w
            y[p, i, j], places[p, i, j] = largest, np.int32(place)


def max_pool_grad(grad: Stack, places: PlacesOfStack, rows: Window, columns: Window, grad_x: Stack):
    """grad_x[p, h, w] = sum of grad[p, i, j] over the windows whose places[p, i, j] is h * W + w."""
    height, width = grad_x.shape[1], grad_x.shape[2]
    for p in range(cuda.blockIdx.y, grad_x.shape[0], cuda.gridDim.y):
        for place in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            total = grad.dtype.type(0)
            for a in range(rows[1]):
                i = _window(rows, place // width, a)
                if i >= 0:
                    for b in range(columns[1]):
                        j = _window(columns, place % width, b)
                        if j >= 0 and places[p, i, j] == place:
                            total += grad[p, i, j]
            grad_x[p, place // width, place % width] = total


def avg_pool(x: Stack, rows: Bounds, columns: Bounds, y: Stack):
    """y[p, i, j] = sum of x[p, h, w] / (rows[2, i] * columns[2, j]), rows[0, i] <= h < rows[1, i], columns likewise."""
    number = x.dtype.type
    for p in range(cuda.blockIdx.y, x.shape[0], cuda.gridDim.y):
        for window in range(cuda.grid(1), rows.shape[1] * columns.shape[1], cuda.gridsize(1)):
            i, j = window // columns.shape[1], window % columns.shape[1]
            total = number(0)
            for h in range(rows[0, i], rows[1, i]):
                for w in range(columns[0, j], columns[1, j]):
                    total += x[p, h, w]
            y[p, i, j] = total / number(rows[2, i] * columns[2, j])


def avg_pool_grad(grad: Stack, rows: Bounds, columns: Bounds, grad_x: Stack):
    """grad_x[p, h, w] = sum of grad[p, i, j] / (rows[2, i] * columns[2, j]) over the windows that hold h, w."""
    number, height, width = grad.dtype.type, grad_x.shape[1], grad_x.shape[2]
    for p in range(cuda.blockIdx.y, grad_x.shape[0], cuda.gridDim.y):
        for place in range(cuda.grid(1), height * width, cuda.gridsize(1)):
            h, w = place // width, place % width
            total = number(0)
            for i in range(rows.shape[1]):
                if rows[0, i] <= h < rows[1, i]:
                    for j in range(columns.shape[1]):
                        if columns[0, j] <= w < columns[1, j]:
                            total += grad[p, i, j] / number(rows[2, i] * columns[2, j])
            grad_x[p, h, w] = total
