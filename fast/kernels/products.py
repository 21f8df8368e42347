"""Products of matrices, and the dense layer.

`multiply` is our own, for products of which one side is short, as those of a batch are: BLAS first packs both matrices
into an order of its own, which takes as long as it does for a large product, and a training step changes the weights
before they are used again. `multiply` packs one of the two. Large products are BLAS's, whose kernels fit every
processor.

Inside, matrices are `loose`: their rows or their columns are contiguous, and one function does for both. Numbers are
moved by the line of the cache, of which a vector register holds a half or all.

The dense layer is handed the address of `multiply`, or of `multiply_parallel`: what a kernel calls by name is compiled
once more with it. The latter cuts its work into `blocks`, one for each thread, and expects BLAS to use one thread. (It
is told how many: a kernel that asks Numba for the number of threads is not kept on disk.)
"""

import numpy as np
from numba import carray, njit, prange

from fast.intrinsics import LINE, ROWS, blas_product, call, loose, move, pointer, stay_apart, tile, turn

# Numba does not see that a function of another file has changed. These lines do change with it (`make generate`).
INTRINSICS = "17fbae5c3d37e27c"

#: `multiply` uses tiles where the shorter side of the result has at least, and fewer than so many elements.
SHORT, LONG = 4, 512
#: Of a panel so many rows are used at a time, and of panels so many bytes: half of what the first cache of most
#: processors holds, and half of the second.
DEEP, TOGETHER = 256, 1 << 18


@njit(cache=True, nogil=True, error_model="numpy")
def suits(rows, columns):
    """Whether our own tiles are faster than BLAS for a result of this shape."""
    return SHORT <= min(rows, columns) < LONG


@njit(cache=True, nogil=True, error_model="numpy")
def line_of(x):
    """How many numbers fill a line of the cache."""
    return LINE // x.itemsize


@njit(cache=True, nogil=True, error_model="numpy")
def transpose(x, y):
    """y = x.T; x (M, N) and y (N, M), `loose`, whose rows are contiguous."""
    stay_apart()
    rows, columns, line = x.shape[0], x.shape[1], line_of(x)
    step, other = x.strides[0] // x.itemsize, y.strides[0] // y.itemsize
    for i in range(0, rows - line + 1, line):
        for j in range(0, columns - line + 1, line):
            turn(pointer(x, i * step + j), step, pointer(y, j * other + i), other)
    down, right = rows - rows % line, columns - columns % line
    for i in range(rows):
        for j in range(right if i < down else 0, columns):
            y[j, i] = x[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def pack(b, panels):
    """Panels (P, K, line): panels[p, k, j] = b[k, p * line + j], and 0 beyond the last column. b (K, N)."""
    stay_apart()
    count, depth, line = panels.shape
    step = b.strides[0] // b.itemsize
    full = b.shape[1] // line
    if b.strides[1] == b.itemsize:
        for above in range(0, full, 4):  # beside each other in a row of b, of which the next may be on another page
            for k in range(depth):
                for p in range(above, min(above + 4, full)):
                    move(pointer(b, k * step + p * line), pointer(panels, (p * depth + k) * line))
    else:
        for p in range(full):
            first = p * line
            transpose(loose(b.T[first : first + line]), loose(panels[p]))
    for p in range(full, count):
        first = p * line
        panels[p] = 0
        for k in range(depth):
            for j in range(b.shape[1] - first):
                panels[p, k, j] = b[k, first + j]


@njit(cache=True, nogil=True, error_model="numpy")
def _turned(a, row, columns):
    """columns (K, lines): the first ROWS of them are rows of a, from `row` on; where a ends, its last one.

    The columns of a (M, K) are contiguous.
    """
    (depth, width), line, step = columns.shape, line_of(a), a.strides[1] // a.itemsize
    if row + width <= a.shape[0]:
        for k in range(depth):
            for first in range(0, width, line):
                move(pointer(a, k * step + row + first), pointer(columns, k * width + first))
    else:
        for k in range(depth):
            for r in range(ROWS):
                columns[k, r] = a[min(row + r, a.shape[0] - 1), k]


@njit(cache=True, nogil=True, error_model="numpy")
def multiply_packed(a, panels, y):
    """y = a @ b, by tiles. a (M, K), panels (P, K, line): b as `pack` leaves it; y (M, N), whose rows are contiguous.

    Each number of y is the sum of its products in their order, however the work is cut: the same on any number of
    threads. Panels are taken in parts, and some panels at a time, so that they are in the cache for the next rows of a.
    """
    stay_apart()
    count, depth, _ = panels.shape
    pieces = max(1, (depth + DEEP - 1) // DEEP)
    together = max(1, TOGETHER // (((depth + pieces - 1) // pieces + 1) * LINE))
    for piece in range(pieces):
        first, last = depth * piece // pieces, depth * (piece + 1) // pieces
        for start in range(0, count, together):
            _multiply_piece(a[:, first:last], first, panels, start, min(start + together, count), y)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply_piece(a, first, panels, start, stop, y):
    """y = a @ b, or y += a @ b unless `first` is 0, for some columns of a, the panels from `start` to `stop`, and their
    rows from `first` on.
    """
    stay_apart()
    (rows, columns), (_, depth, line) = y.shape, panels.shape
    step, beside = y.strides[0] // y.itemsize, a.strides[1] != a.itemsize
    room = np.empty((ROWS, line), y.dtype)
    turned = np.empty((a.shape[1] if beside else 0, (ROWS + line - 1) // line * line), y.dtype)
    for row in range(0, rows, ROWS):
        if beside:
            _turned(a, row, turned)
        left, top, here = loose(turned.T) if beside else a, 0 if beside else row, min(ROWS, rows - row)
        for p in range(start, stop):
            panel, column = pointer(panels, (p * depth + first) * line), p * line
            if column + line <= columns:
                tile(left, top, panel, pointer(y, row * step + column), step, here, first)
                continue
            for r in range(here if first else 0):
                for j in range(columns - column):
                    room[r, j] = y[row + r, column + j]
            tile(left, top, panel, pointer(room, 0), line, here, first)
            for r in range(here):
                for j in range(columns - column):
                    y[row + r, column + j] = room[r, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _panels(b):
    """Room for the panels of b."""
    line = line_of(b)
    return np.empty(((b.shape[1] + line - 1) // line, b.shape[0], line), b.dtype)


@njit(cache=True, nogil=True, error_model="numpy")
def _lines(x):
    """Whether not the rows but the columns of a matrix are contiguous, and how far apart they begin."""
    turned = x.strides[1] != x.itemsize
    return turned, max(x.strides[1 if turned else 0] // x.itemsize, x.shape[0 if turned else 1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _dot(a, b):
    """The sum of a * b; `reassoc` lets the compiler add up several partial sums beside each other."""
    total = a.dtype.type(0)
    for k in range(a.size):
        total += a[k] * b[k]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _times_vector(a, b, y):
    """y = a @ b; a (M, K), b (K,), y (M,)."""
    turned, step = _lines(a)
    if turned:
        y[:] = 0
        for k in range(b.size):
            column = carray(pointer(a, k * step), y.size)
            for i in range(y.size):
                y[i] += column[i] * b[k]
    else:
        for i in range(y.size):
            y[i] = _dot(carray(pointer(a, i * step), b.size), b)


@njit(cache=True, nogil=True, error_model="numpy")
def multiply_otherwise(a, b, y):
    """y = a @ b for vectors, and by BLAS; a (M, K), b (K, N), y (M, N), whose rows are contiguous."""
    stay_apart()
    (turn_a, step_a), (turn_b, step_b), (_, step) = _lines(a), _lines(b), _lines(y)
    (rows, columns), depth, number = y.shape, len(b), y.itemsize
    left, right, result = pointer(a, 0), pointer(b, 0), pointer(y, 0)
    if y.size == 0 or depth == 0:
        y[:] = 0
    elif columns == 1 and b.strides[0] == number and y.strides[0] == number:
        _times_vector(a, carray(right, depth), carray(result, rows))
    elif rows == 1 and a.strides[1] == number:
        _times_vector(loose(b.T), carray(left, depth), carray(result, columns))
    else:
        blas_product(turn_a, turn_b, rows, columns, depth, left, step_a, right, step_b, result, step)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply_part(a, b, y, tiled):
    """A part of the result; tiled: whether the whole suits tiles."""
    stay_apart()
    if tiled:
        panels = _panels(b)
        pack(b, panels)
        multiply_packed(a, panels, y)
    else:
        multiply_otherwise(a, b, y)


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(blocks, a, b, y):
    """y = a @ b; a (M, K), b (K, N), y (M, N), whose rows are contiguous. blocks: 1."""
    _multiply_part(a, b, y, suits(y.shape[0], y.shape[1]))


@njit(cache=True, nogil=True, error_model="numpy")
def _share(count, unit, block, blocks):
    """Where the share of a block begins and ends, in whole units."""
    units = (count + unit - 1) // unit
    return units * block // blocks * unit, min(units * (block + 1) // blocks * unit, count)


@njit(cache=True, nogil=True, error_model="numpy")
def _by_columns(blocks, y):
    """Whether threads shall share the columns of y, so that each packs only its own panels, or else the rows."""
    rows, columns = y.shape
    if suits(rows, columns):
        panels = (columns + line_of(y) - 1) // line_of(y)
        return panels % blocks == 0 or panels >= 8 * blocks
    return columns > rows


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def multiply_parallel(blocks, a, b, y):
    """`multiply`, each thread with its share of y. The threads meet only once: there may be others that want a core."""
    by_columns, (rows, columns) = _by_columns(blocks, y), y.shape
    for block in prange(blocks):
        if by_columns:
            start, stop = _share(columns, line_of(y), block, blocks)
            _multiply_part(a, b[:, start:stop], y[:, start:stop], suits(rows, columns))
        else:
            start, stop = _share(rows, ROWS, block, blocks)
            _multiply_part(a[start:stop], b, y[start:stop], suits(rows, columns))


@njit(cache=True, nogil=True, error_model="numpy")
def _swapped(x, weight):
    """Whether there is less to do when x is packed, and the result transposed, than when the weight is packed."""
    (rows, inputs), outputs = x.shape, weight.shape[0]
    return suits(rows, outputs) and rows * (inputs + outputs) < outputs * inputs


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(other, bias, y):
    """y = other.T, where there is one; y[n, o] += bias[o], where there is a bias."""
    if other.size:
        transpose(loose(other), loose(y))
    for n in range(y.shape[0] if bias.size else 0):
        for o in range(y.shape[1]):
            y[n, o] += bias[o]


@njit(cache=True, nogil=True, error_model="numpy")
def linear(product, blocks, x, weight, bias, y):
    """y[n, o] = bias[o] + sum over i of x[n, i] * weight[o, i]; a bias of length 0 is none.

    x (N, in), weight (out, in), bias (out,), y (N, out); product: the address of `multiply` or its like.
    """
    swapped = _swapped(x, weight)
    other = np.empty((weight.shape[0] if swapped else 0, x.shape[0]), y.dtype)
    if swapped:
        call(product, (blocks, loose(weight), loose(x.T), loose(other)))
    else:
        call(product, (blocks, loose(x), loose(weight.T), loose(y)))
    _finish(other, bias, y)


@njit(cache=True, nogil=True, error_model="numpy")
def _bias_grad(grad, grad_bias):
    """grad summed over n, in float64: in float32 sums would lose digits with every million of rows."""
    if grad_bias.size:
        totals = np.zeros(grad_bias.size)
        for n in range(grad.shape[0]):
            for o in range(grad.shape[1]):
                totals[o] += grad[n, o]
        for o in range(grad_bias.size):
            grad_bias[o] = totals[o]


@njit(cache=True, nogil=True, error_model="numpy")
def linear_grad(product, blocks, grad, x, weight, grad_x, grad_weight, grad_bias):
    """What `linear` passes back, each where its array is not empty.

    grad_x = grad @ weight, grad_weight = grad.T @ x, grad_bias = grad summed over n. grad (N, out).
    """
    if grad_x.size:
        call(product, (blocks, loose(grad), loose(weight), loose(grad_x)))
    if grad_weight.size:
        call(product, (blocks, loose(grad.T), loose(x), loose(grad_weight)))
    _bias_grad(grad, grad_bias)


@njit(cache=True, nogil=True, error_model="numpy")
def stacked(a, b, y):
    """y[s] = a[s] @ b[s] for each matrix s of the stacks; a (S, N, K), b (S, K, M), y (S, N, M)."""
    for s in range(y.shape[0]):
        multiply(1, loose(a[s]), loose(b[s]), loose(y[s]))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def stacked_parallel(blocks, a, b, y):
    """`stacked`, each thread with its share of the matrices, or of the only one."""
    count = y.shape[0]
    if count == 1:
        multiply_parallel(blocks, loose(a[0]), loose(b[0]), loose(y[0]))
    else:
        for block in prange(blocks):
            start, stop = count * block // blocks, count * (block + 1) // blocks
            stacked(a[start:stop], b[start:stop], y[start:stop])
