"""Compiled training steps: the kernels that a program calls, and the loop that calls them, step after step.

A program is a list of instructions. Each is a row of `code`, whose first number is the address of a kernel of this
module; the others are its arguments. All kernels are called in the same way, kernel(memory, integers, row, numbers):

memory (M,): the numbers of all tensors, one behind the other; integers (I,): those that are whole.
row: where in the memory the arguments begin, and their lengths; -1 stands for an argument that is not there.
numbers (4,): settings that are no whole numbers.

What is computed is computed by the kernels that the engine uses without a program, so the results are the same.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import carray, njit, prange

from fast.intrinsics import call, pointer
from fast.kernels import (
    attention,
    convolution,
    embedding,
    losses,
    normalization,
    products,
    randomness,
    recurrent,
    reductions,
)
from fast.kernels.tape import update
from fast.kernels.updates import BLOCK, squares
from micro.functional.convolution import Windows

# Numba does not see that a function of another file has changed. These lines do change with it (`make generate`).
ATTENTION = "cf68f1e392c6687e"
CONVOLUTION = "c5de51990ac616b6"
EMBEDDING = "fdf1bcb54dc626a8"
INTRINSICS = "17fbae5c3d37e27c"
LOSSES = "b8aaf548186a0917"
NORMALIZATION = "c87a94af45a83879"
PRODUCTS = "0759804932c1badd"
RANDOMNESS = "98510520541a539a"
RECURRENT = "9bbcfab3eabdb887"
REDUCTIONS = "702890d0de2ace32"
TAPE = "07a17a91dcaef4e8"
UPDATES = "6c2b2636192db985"

#: The places of `integers` before those of the program: whether an instruction has met numbers that it does not take.
REFUSED = 0
HEAD = 1


@njit(cache=True, nogil=True, error_model="numpy")
def vector(memory, place, size):
    """A tensor as a one-dimensional array; of length 0, if it is not there."""
    return carray(pointer(memory, max(place, 0)), (size if place >= 0 else 0,))


@njit(cache=True, nogil=True, error_model="numpy")
def matrix(memory, place, rows, columns):
    """A tensor as a matrix; without rows, if it is not there."""
    return carray(pointer(memory, max(place, 0)), (rows if place >= 0 else 0, columns))


# ----------------------------------------------------------------------------------------------------------------------
# Chains of kernels that take one-dimensional arrays of one length: row = size, how many kernels, the place of a table
# of whole numbers. It begins with the number of slots, for numbers that are needed within the chain only; for each
# kernel follow its address, the number of its arrays, and their places, or -2 for slot 0, -3 for slot 1, ...

#: The numbers of a kernel in that table.
LINK = 8
#: Elements that go through the whole chain before the next ones do, so that they are still in the cache.
STRETCH = 2048
#: So many stretches share a thread's slots, for to make them costs something.
SEVERAL = 4


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(memory, slots, links, first, size):
    """Let some elements go through a chain."""
    for link in links:
        a, b = _part(memory, slots, link[2], first, size), _part(memory, slots, link[3], first, size)
        if link[1] == 2:
            call(link[0], (a, b))
            continue
        c = _part(memory, slots, link[4], first, size)
        if link[1] == 3:
            call(link[0], (a, b, c))
            continue
        d = _part(memory, slots, link[5], first, size)
        if link[1] == 4:
            call(link[0], (a, b, c, d))
            continue
        e = _part(memory, slots, link[6], first, size)
        if link[1] == 5:
            call(link[0], (a, b, c, d, e))
            continue
        call(link[0], (a, b, c, d, e, _part(memory, slots, link[7], first, size)))


@njit(cache=True, nogil=True, error_model="numpy")
def _part(memory, slots, place, first, size):
    if place < 0:
        return carray(pointer(slots, (-2 - place) * STRETCH), (size,))
    return carray(pointer(memory, place + first), (size,))


@njit(cache=True, nogil=True, error_model="numpy")
def chain(memory, integers, row, numbers):
    table = integers[row[3] :]
    slots, links = np.empty(table[0] * STRETCH, memory.dtype), table[1 : 1 + row[2] * LINK].reshape((row[2], LINK))
    for first in range(0, row[1], STRETCH):
        _follow(memory, slots, links, first, min(STRETCH, row[1] - first))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def chain_parallel(memory, integers, row, numbers):
    table = integers[row[3] :]
    links, stretches = table[1 : 1 + row[2] * LINK].reshape((row[2], LINK)), (row[1] + STRETCH - 1) // STRETCH
    for block in prange((stretches + SEVERAL - 1) // SEVERAL):
        slots = np.empty(table[0] * STRETCH, memory.dtype)
        for k in range(block * SEVERAL, min((block + 1) * SEVERAL, stretches)):
            _follow(memory, slots, links, k * STRETCH, min(STRETCH, row[1] - k * STRETCH))


@njit(cache=True, nogil=True, error_model="numpy")
def holds(relation, a, b):
    """Whether it does, for the relations in the order of `fast/tensors.py`; the last three are between truth values."""
    if relation < 2:
        return (a == b) == (relation == 0)
    if relation < 4:
        return a < b or (relation == 3 and a == b)
    if relation < 6:
        return a > b or (relation == 5 and a == b)
    one, other = a != 0, b != 0
    return (one and other) if relation == 6 else (one or other) if relation == 7 else one != other


@njit(cache=True, nogil=True, error_model="numpy")
def compare(memory, integers, row, numbers):
    """y = 1 where a relation holds, else 0; row = size, relation, two arrays, y."""
    a, b, y = vector(memory, row[3], row[1]), vector(memory, row[4], row[1]), vector(memory, row[5], row[1])
    for i in range(y.size):
        y[i] = holds(row[2], a[i], b[i])


# ----------------------------------------------------------------------------------------------------------------------
# Sums, and what takes them back. Tensors (A, R, B), of which the middle dimension is summed or repeated.


@njit(cache=True, nogil=True, error_model="numpy")
def total(memory, integers, row, numbers):
    """y[a, b] = sum over r of x[a, r, b], divided by numbers[0]; row = A, R, B, x, y."""
    a, r, b = row[1], row[2], row[3]
    y = vector(memory, row[5], a * b)
    reductions.total(carray(pointer(memory, row[4]), (a, r, b)), carray(pointer(memory, row[5]), (a, b)))
    if numbers[0] != 1:
        count = y.dtype.type(numbers[0])
        for i in range(y.size):
            y[i] /= count


@njit(cache=True, nogil=True, error_model="numpy")
def spread(memory, integers, row, numbers):
    """y[a, r, b] = x[a, b] / numbers[0]; row = A, R, B, x, y."""
    a, r, b = row[1], row[2], row[3]
    x, y = matrix(memory, row[4], a, b), carray(pointer(memory, row[5]), (a, r, b))
    count = y.dtype.type(numbers[0])
    for i in range(a):
        for j in range(r):
            for k in range(b):
                y[i, j, k] = x[i, k] / count


@njit(cache=True, nogil=True, error_model="numpy")
def floats(memory, integers, row, numbers):
    """y = x, which are whole numbers; row = size, x (in `integers`), y."""
    x, y = vector(integers, row[2], row[1]), vector(memory, row[3], row[1])
    for i in range(x.size):  # an assignment of a whole array takes Numba seconds to compile
        y[i] = x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def copy(memory, integers, row, numbers):
    """y = x; row = size, x, y."""
    x, y = vector(memory, row[2], row[1]), vector(memory, row[3], row[1])
    for i in range(x.size):
        y[i] = x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def scale(memory, integers, row, numbers):
    """y = x * factor, a single number; row = size, x, factor, y."""
    x, factor, y = vector(memory, row[2], row[1]), memory[row[3]], vector(memory, row[4], row[1])
    for i in range(x.size):
        y[i] = x[i] * factor


# ----------------------------------------------------------------------------------------------------------------------
# The dense layer: row = rows, inputs, outputs, the places of the arguments of the kernel of the same name; behind them,
# the address of what multiplies matrices, and in how many blocks it cuts its work.


@njit(cache=True, nogil=True, error_model="numpy")
def linear(memory, integers, row, numbers):
    n, i, o = row[1], row[2], row[3]
    x, weight = matrix(memory, row[4], n, i), matrix(memory, row[5], o, i)
    products.linear(row[8], row[9], x, weight, vector(memory, row[6], o), matrix(memory, row[7], n, o))


@njit(cache=True, nogil=True, error_model="numpy")
def linear_grad(memory, integers, row, numbers):
    n, i, o = row[1], row[2], row[3]
    grad, x, weight = matrix(memory, row[4], n, o), matrix(memory, row[5], n, i), matrix(memory, row[6], o, i)
    grad_x, grad_weight = matrix(memory, row[7], n, i), matrix(memory, row[8], o, i)
    products.linear_grad(row[10], row[11], grad, x, weight, grad_x, grad_weight, vector(memory, row[9], o))


# ----------------------------------------------------------------------------------------------------------------------
# Losses of numbers: row = size, prediction, target, gradient, weight, loss; numbers = further settings.


@njit(cache=True, nogil=True, error_model="numpy")
def _note(found, memory, integers, place):
    """Keep the loss, and whether its numbers were refused."""
    memory[place] = found[0]
    if not found[1]:
        integers[REFUSED] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def _elements(memory, row):
    """prediction, target, gradient, weight."""
    n = row[1]
    prediction, target = vector(memory, row[2], n), vector(memory, row[3], n)
    return prediction, target, vector(memory, row[4], n), vector(memory, row[5], n)


@njit(cache=True, nogil=True, error_model="numpy")
def mse_loss(memory, integers, row, numbers):
    prediction, target, grad, weight = _elements(memory, row)
    _note(losses.mse_loss(prediction, target, grad, weight), memory, integers, row[6])


@njit(cache=True, nogil=True, error_model="numpy")
def l1_loss(memory, integers, row, numbers):
    prediction, target, grad, weight = _elements(memory, row)
    _note(losses.l1_loss(prediction, target, grad, weight), memory, integers, row[6])


@njit(cache=True, nogil=True, error_model="numpy")
def huber_loss(memory, integers, row, numbers):
    prediction, target, grad, weight = _elements(memory, row)
    found = losses.huber_loss(prediction, target, grad, weight, numbers[0])
    _note(found, memory, integers, row[6])


@njit(cache=True, nogil=True, error_model="numpy")
def hinge_loss(memory, integers, row, numbers):
    prediction, target, grad, weight = _elements(memory, row)
    _note(losses.hinge_loss(prediction, target, grad, weight), memory, integers, row[6])


@njit(cache=True, nogil=True, error_model="numpy")
def binary_cross_entropy(memory, integers, row, numbers):
    prediction, target, grad, weight = _elements(memory, row)
    _note(losses.binary_cross_entropy(prediction, target, grad, weight), memory, integers, row[6])


@njit(cache=True, nogil=True, error_model="numpy")
def binary_cross_entropy_with_logits(memory, integers, row, numbers):
    prediction, target, grad, weight = _elements(memory, row)
    counts = vector(memory, row[7], row[1])
    found = losses.binary_cross_entropy_with_logits(prediction, target, grad, weight, counts)
    _note(found, memory, integers, row[6])


# Losses of classes: row = rows, classes, scores, labels (in `integers`), gradient, weight, weights of classes, loss.


@njit(cache=True, nogil=True, error_model="numpy")
def _classes(memory, integers, row):
    """scores, labels, gradient, weight, weights of classes."""
    n, c = row[1], row[2]
    scores, labels, grad = matrix(memory, row[3], n, c), vector(integers, row[4], n), matrix(memory, row[5], n, c)
    return scores, labels, grad, vector(memory, row[6], n), vector(memory, row[7], c)


@njit(cache=True, nogil=True, error_model="numpy")
def nll_loss(memory, integers, row, numbers):
    scores, labels, grad, weight, classes = _classes(memory, integers, row)
    _note(losses.nll_loss(scores, labels, grad, weight, classes), memory, integers, row[8])


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(memory, integers, row, numbers):
    scores, labels, grad, weight, classes = _classes(memory, integers, row)
    _note(losses.cross_entropy(scores, labels, grad, weight, classes, numbers[0]), memory, integers, row[8])


# Penalties: row = how many parameters, where their list (place, size) begins in `integers`, result.


@njit(cache=True, nogil=True, error_model="numpy")
def l1_penalty(memory, integers, row, numbers):
    found = 0.0
    for k in range(row[1]):
        found += losses.sizes(vector(memory, integers[row[2] + 2 * k], integers[row[2] + 2 * k + 1]))
    memory[row[3]] = found


@njit(cache=True, nogil=True, error_model="numpy")
def l2_penalty(memory, integers, row, numbers):
    found = 0.0
    for k in range(row[1]):
        found += squares(vector(memory, integers[row[2] + 2 * k], integers[row[2] + 2 * k + 1]))
    memory[row[3]] = found


@njit(cache=True, nogil=True, error_model="numpy")
def l1_penalty_grad(memory, integers, row, numbers):
    """y = sign(p) * grad; row = size, p, grad, y."""
    p, grad, y = vector(memory, row[2], row[1]), memory[row[3]], vector(memory, row[4], row[1])
    for i in range(p.size):
        y[i] = np.sign(p[i]) * grad


@njit(cache=True, nogil=True, error_model="numpy")
def l2_penalty_grad(memory, integers, row, numbers):
    """y = 2 grad * p; row = size, p, grad, y."""
    p, twice, y = vector(memory, row[2], row[1]), memory.dtype.type(2) * memory[row[3]], vector(memory, row[4], row[1])
    for i in range(p.size):
        y[i] = p[i] * twice


# ----------------------------------------------------------------------------------------------------------------------
# Rearrangements, by lists of places: row = how many places, where their list begins in `integers`, x, y.


@njit(cache=True, nogil=True, error_model="numpy")
def select(memory, integers, row, numbers):
    """y[i] = x[places[i]], or numbers[0] where the place is -1."""
    places, y = vector(integers, row[2], row[1]), vector(memory, row[4], row[1])
    filling = y.dtype.type(numbers[0])
    for i in range(places.size):
        y[i] = memory[row[3] + places[i]] if places[i] >= 0 else filling


@njit(cache=True, nogil=True, error_model="numpy")
def put(memory, integers, row, numbers):
    """y[places[i]] = x[i]."""
    places, x = vector(integers, row[2], row[1]), vector(memory, row[3], row[1])
    for i in range(places.size):
        memory[row[4] + places[i]] = x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def put_more(memory, integers, row, numbers):
    """y[places[i]] += x[i]."""
    places, x = vector(integers, row[2], row[1]), vector(memory, row[3], row[1])
    for i in range(places.size):
        memory[row[4] + places[i]] += x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def put_sums(memory, integers, row, numbers):
    """y[places[i]] += x[i], for y of size row[5] that begins with zeros and sums that are kept in float64."""
    places, x, y = vector(integers, row[2], row[1]), vector(memory, row[3], row[1]), vector(memory, row[4], row[5])
    sums = np.zeros(y.size)
    for i in range(places.size):
        if places[i] >= 0:
            sums[places[i]] += x[i]
    for i in range(y.size):
        y[i] = sums[i]


@njit(cache=True, nogil=True, error_model="numpy")
def fill(memory, integers, row, numbers):
    """y = numbers[0]; row = size, y."""
    vector(memory, row[2], row[1])[:] = numbers[0]


# ----------------------------------------------------------------------------------------------------------------------
# Rows of probabilities: row = rows, columns, then the arguments of the kernel of the same name.


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(memory, integers, row, numbers):
    n, c = row[1], row[2]
    reductions.softmax(matrix(memory, row[3], n, c), matrix(memory, row[4], n, c))


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(memory, integers, row, numbers):
    n, c = row[1], row[2]
    reductions.log_softmax(matrix(memory, row[3], n, c), matrix(memory, row[4], n, c))


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(memory, integers, row, numbers):
    n, c = row[1], row[2]
    reductions.softmax_grad(matrix(memory, row[3], n, c), matrix(memory, row[4], n, c), matrix(memory, row[5], n, c))


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(memory, integers, row, numbers):
    n, c = row[1], row[2]
    reductions.log_softmax_grad(
        matrix(memory, row[3], n, c), matrix(memory, row[4], n, c), matrix(memory, row[5], n, c)
    )


# What is computed from each row; or, for sums that grow, along the middle dimension of (A, R, B): row = the sizes, then
# the arguments of the kernel of the same name.


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp(memory, integers, row, numbers):
    reductions.logsumexp(matrix(memory, row[3], row[1], row[2]), vector(memory, row[4], row[1]))


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp_grad(memory, integers, row, numbers):
    n, c = row[1], row[2]
    grad, x, y = vector(memory, row[3], n), matrix(memory, row[4], n, c), vector(memory, row[5], n)
    reductions.logsumexp_grad(grad, x, y, matrix(memory, row[6], n, c))


@njit(cache=True, nogil=True, error_model="numpy")
def prod(memory, integers, row, numbers):
    reductions.prod(matrix(memory, row[3], row[1], row[2]), vector(memory, row[4], row[1]))


@njit(cache=True, nogil=True, error_model="numpy")
def prod_grad(memory, integers, row, numbers):
    n, c = row[1], row[2]
    reductions.prod_grad(vector(memory, row[3], n), matrix(memory, row[4], n, c), matrix(memory, row[5], n, c))


@njit(cache=True, nogil=True, error_model="numpy")
def cumsum(memory, integers, row, numbers):
    a, r, b = row[1], row[2], row[3]
    reductions.cumsum(cube(memory, row[4], a, r, b), cube(memory, row[5], a, r, b))


@njit(cache=True, nogil=True, error_model="numpy")
def cumsum_grad(memory, integers, row, numbers):
    a, r, b = row[1], row[2], row[3]
    reductions.cumsum_grad(cube(memory, row[4], a, r, b), cube(memory, row[5], a, r, b))


# ----------------------------------------------------------------------------------------------------------------------
# The largest or smallest along the middle dimension of (A, R, B); nan goes before both.


@njit(cache=True, nogil=True, error_model="numpy")
def extreme(memory, integers, row, numbers):
    """row = A, R, B, x, y, and in `integers` which of the R it is, the first in a tie; numbers[0] = 1, or -1."""
    a, r, b = row[1], row[2], row[3]
    x, y, places = cube(memory, row[4], a, r, b), matrix(memory, row[5], a, b), matrix(integers, row[6], a, b)
    sign = y.dtype.type(numbers[0])
    for i in range(a):
        for k in range(b):
            found, place = x[i, 0, k], 0
            for j in range(1, r):
                number = x[i, j, k]
                if sign * number > sign * found or (number != number and found == found):
                    found, place = number, j
            y[i, k], places[i, k] = found, place


@njit(cache=True, nogil=True, error_model="numpy")
def extreme_grad(memory, integers, row, numbers):
    """grad_x = grad where the extreme stands, else 0; row = A, R, B, grad, which of the R it is, grad_x."""
    a, r, b = row[1], row[2], row[3]
    grad, places, grad_x = matrix(memory, row[4], a, b), matrix(integers, row[5], a, b), cube(memory, row[6], a, r, b)
    grad_x[:] = 0
    for i in range(a):
        for k in range(b):
            grad_x[i, places[i, k], k] = grad[i, k]


@njit(cache=True, nogil=True, error_model="numpy")
def extreme_of_all_grad(memory, integers, row, numbers):
    """grad_x = an equal share of grad for all x that are y; row = size, grad, x, y, grad_x."""
    x, y, grad_x = vector(memory, row[3], row[1]), memory[row[4]], vector(memory, row[5], row[1])
    winners = 0
    for i in range(x.size):
        winners += x[i] == y or (x[i] != x[i] and y != y)
    share = grad_x.dtype.type(memory[row[2]] / np.float64(winners))
    for i in range(x.size):
        grad_x[i] = share if x[i] == y or (x[i] != x[i] and y != y) else 0


# ----------------------------------------------------------------------------------------------------------------------
# Stacks of matrices (S, N, K) and (S, K, M): row = S, N, K, M, a, b, y, and in how many blocks they are cut.


@njit(cache=True, nogil=True, error_model="numpy")
def cube(memory, place, a, b, c):
    """A tensor as a stack of matrices; without any, if it is not there."""
    return carray(pointer(memory, max(place, 0)), (a if place >= 0 else 0, b, c))


@njit(cache=True, nogil=True, error_model="numpy")
def _stacks(memory, row):
    """a, b, y."""
    s, n, k, m = row[1], row[2], row[3], row[4]
    return cube(memory, row[5], s, n, k), cube(memory, row[6], s, k, m), cube(memory, row[7], s, n, m)


@njit(cache=True, nogil=True, error_model="numpy")
def stacked(memory, integers, row, numbers):
    a, b, y = _stacks(memory, row)
    products.stacked(a, b, y)


@njit(cache=True, nogil=True, error_model="numpy")
def stacked_parallel(memory, integers, row, numbers):
    a, b, y = _stacks(memory, row)
    products.stacked_parallel(row[8], a, b, y)


# ----------------------------------------------------------------------------------------------------------------------
# Windows over images: `integers` has a list of samples, channels, groups, outputs, and the two `Windows`.


@njit(cache=True, nogil=True, error_model="numpy")
def windows(integers, place):
    """The windows in the rows and in the columns of an image."""
    i, p = integers, place
    rows = Windows(i[p], i[p + 1], i[p + 2], i[p + 3], i[p + 4], i[p + 5])
    return rows, Windows(i[p + 6], i[p + 7], i[p + 8], i[p + 9], i[p + 10], i[p + 11])


@njit(cache=True, nogil=True, error_model="numpy")
def images(memory, place, n, c, h, w):
    """A tensor as images (N, C, H, W); without any, if it is not there."""
    return carray(pointer(memory, max(place, 0)), (n if place >= 0 else 0, c, h, w))


@njit(cache=True, nogil=True, error_model="numpy")
def _convolution(memory, integers, row):
    """x, weight, bias, the windows in rows and columns, and y."""
    n, c, g, o = integers[row[1]], integers[row[1] + 1], integers[row[1] + 2], integers[row[1] + 3]
    rows, columns = windows(integers, row[1] + 4)
    x = images(memory, row[2], n, c, rows.length, columns.length)
    weight = cube(memory, row[3], g, o // g, c // g * rows.kernel * columns.kernel)
    y = images(memory, row[5], n, o, rows.positions, columns.positions)
    return x, weight, vector(memory, row[4], o), rows, columns, y


@njit(cache=True, nogil=True, error_model="numpy")
def conv2d(memory, integers, row, numbers):
    """row = list, x, weight, bias, y."""
    x, weight, bias, rows, columns, y = _convolution(memory, integers, row)
    convolution.conv2d(x, weight, bias, rows, columns, y)


@njit(cache=True, nogil=True, error_model="numpy")
def conv2d_parallel(memory, integers, row, numbers):
    x, weight, bias, rows, columns, y = _convolution(memory, integers, row)
    convolution.conv2d_parallel(row[6], x, weight, bias, rows, columns, y)


@njit(cache=True, nogil=True, error_model="numpy")
def _convolution_room(memory, row, x, weight, bias):
    """Places for the gradients: that of x, and sums for those of weight and bias."""
    grad_x = images(memory, row[6], x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    sums = np.zeros((weight.shape[0], weight.shape[2] if row[7] >= 0 else 0, weight.shape[1]))
    return grad_x, sums, np.zeros(bias.size if row[8] >= 0 else 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _convolution_end(memory, row, sums, bias_sums):
    """Round the sums for weight (groups, inner, outputs) and bias."""
    groups, inner, outputs = sums.shape
    for g in range(groups):
        for o in range(outputs):
            for k in range(inner):
                memory[row[7] + (g * outputs + o) * inner + k] = sums[g, k, o]
    for o in range(bias_sums.size):
        memory[row[8] + o] = bias_sums[o]


@njit(cache=True, nogil=True, error_model="numpy")
def conv2d_grad(memory, integers, row, numbers):
    """row = list, x, weight, bias, gradient, and the places for the gradients of x, weight and bias."""
    x, weight, bias, rows, columns, grad = _convolution(memory, integers, row)
    grad_x, sums, bias_sums = _convolution_room(memory, row, x, weight, bias)
    convolution.conv2d_grad(grad, x, weight, rows, columns, grad_x, sums, bias_sums)
    _convolution_end(memory, row, sums, bias_sums)


@njit(cache=True, nogil=True, error_model="numpy")
def conv2d_grad_parallel(memory, integers, row, numbers):
    x, weight, bias, rows, columns, grad = _convolution(memory, integers, row)
    grad_x, sums, bias_sums = _convolution_room(memory, row, x, weight, bias)
    convolution.conv2d_grad_parallel(row[9], grad, x, weight, rows, columns, grad_x, sums, bias_sums)
    _convolution_end(memory, row, sums, bias_sums)


@njit(cache=True, nogil=True, error_model="numpy")
def _max_pool(memory, integers, row):
    """x, the windows in rows and columns, y, and where the largest stand."""
    p, (rows, columns) = row[1], windows(integers, row[2])
    h, w = rows.positions, columns.positions
    x, y = cube(memory, row[3], p, rows.length, columns.length), cube(memory, row[4], p, h, w)
    return x, rows, columns, y, cube(integers, row[5], p, h, w)


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool(memory, integers, row, numbers):
    """row = planes, list of windows, x, y, and in `integers` where the largest stand."""
    x, rows, columns, y, places = _max_pool(memory, integers, row)
    convolution.max_pool(x, rows, columns, y, places)


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool_parallel(memory, integers, row, numbers):
    x, rows, columns, y, places = _max_pool(memory, integers, row)
    convolution.max_pool_parallel(x, rows, columns, y, places)


@njit(cache=True, nogil=True, error_model="numpy")
def _max_pool_grad(memory, integers, row):
    """The gradient, where the largest stood, and zeros for the gradient of x."""
    p, small, large = row[1], row[2], row[3]
    grad_x = matrix(memory, row[6], p, large)
    grad_x[:] = 0
    return matrix(memory, row[4], p, small), matrix(integers, row[5], p, small), grad_x


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool_grad(memory, integers, row, numbers):
    """row = planes, sizes of those of y and of x, gradient, places of the largest, that of the gradient of x; and,
    for a GPU, the list of windows.
    """
    grad, places, grad_x = _max_pool_grad(memory, integers, row)
    convolution.max_pool_grad(grad, places, grad_x)


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool_grad_parallel(memory, integers, row, numbers):
    grad, places, grad_x = _max_pool_grad(memory, integers, row)
    convolution.max_pool_grad_parallel(grad, places, grad_x)


@njit(cache=True, nogil=True, error_model="numpy")
def _avg_pool(memory, integers, row):
    """The bounds in rows and columns, x or its gradient, y or its gradient."""
    p, rows, columns = row[1], matrix(integers, row[6], 3, row[4]), matrix(integers, row[7], 3, row[5])
    return rows, columns, cube(memory, row[8], p, row[2], row[3]), cube(memory, row[9], p, row[4], row[5])


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool(memory, integers, row, numbers):
    """row = planes, height and width of x and of y, lists of the bounds in rows and columns, x, y."""
    rows, columns, x, y = _avg_pool(memory, integers, row)
    convolution.avg_pool(x, rows, columns, y)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool_parallel(memory, integers, row, numbers):
    rows, columns, x, y = _avg_pool(memory, integers, row)
    convolution.avg_pool_parallel(x, rows, columns, y)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool_grad(memory, integers, row, numbers):
    """The same with the gradient of x for x, and that of y for y."""
    rows, columns, grad_x, grad = _avg_pool(memory, integers, row)
    grad_x[:] = 0
    convolution.avg_pool_grad(grad, rows, columns, grad_x)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool_grad_parallel(memory, integers, row, numbers):
    rows, columns, grad_x, grad = _avg_pool(memory, integers, row)
    grad_x[:] = 0
    convolution.avg_pool_grad_parallel(grad, rows, columns, grad_x)


# ----------------------------------------------------------------------------------------------------------------------
# Normalisation within rows: row = rows, columns, whether means are subtracted, and the places. Mean and factor of each
# row, which the way back needs, are kept in float64.


@njit(cache=True, nogil=True, error_model="numpy")
def wide(memory, place, a, b):
    """A matrix of float64, whatever the memory holds."""
    return vector(memory, place, a * b * 8 // memory.itemsize).view(np.float64).reshape(a, b)


@njit(cache=True, nogil=True, error_model="numpy")
def _layer_norm(memory, row):
    """x, weight, bias, y, means and factors."""
    n, c = row[1], row[2]
    x, y = matrix(memory, row[4], n, c), matrix(memory, row[7], n, c)
    return x, vector(memory, row[5], c), vector(memory, row[6], c), y, wide(memory, row[8], 2, n)


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm(memory, integers, row, numbers):
    """x, weight, bias, y, means and factors; numbers = eps."""
    x, weight, bias, y, kept = _layer_norm(memory, row)
    normalization.layer_norm(x, weight, bias, row[3] != 0, numbers[0], kept[0], kept[1], y)


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_parallel(memory, integers, row, numbers):
    x, weight, bias, y, kept = _layer_norm(memory, row)
    normalization.layer_norm_parallel(x, weight, bias, row[3] != 0, numbers[0], kept[0], kept[1], y)


@njit(cache=True, nogil=True, error_model="numpy")
def _layer_norm_grad(memory, row):
    """The gradient, x, weight, means and factors, the place for the gradient of x, and sums for the others."""
    n, c = row[1], row[2]
    grad, x, grad_x = matrix(memory, row[6], n, c), matrix(memory, row[4], n, c), matrix(memory, row[8], n, c)
    return grad, x, vector(memory, row[5], c), wide(memory, row[7], 2, n), grad_x, np.zeros((row[11], 2, c))


@njit(cache=True, nogil=True, error_model="numpy")
def _layer_norm_end(memory, row, sums):
    """Add up the sums of all blocks for weight and bias."""
    for k in range(2):
        if row[9 + k] >= 0:
            for j in range(row[2]):
                total = 0.0
                for block in range(len(sums)):
                    total += sums[block, k, j]
                memory[row[9 + k] + j] = total


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_grad(memory, integers, row, numbers):
    """x, weight, gradient, means and factors, the gradients of x, weight and bias; and how many blocks of rows."""
    grad, x, weight, kept, grad_x, sums = _layer_norm_grad(memory, row)
    normalization.layer_norm_grad(grad, x, weight, row[3] != 0, kept[0], kept[1], grad_x, sums)
    _layer_norm_end(memory, row, sums)


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_grad_parallel(memory, integers, row, numbers):
    grad, x, weight, kept, grad_x, sums = _layer_norm_grad(memory, row)
    normalization.layer_norm_grad_parallel(grad, x, weight, row[3] != 0, kept[0], kept[1], grad_x, sums)
    _layer_norm_end(memory, row, sums)


# ----------------------------------------------------------------------------------------------------------------------
# Normalisation over a batch: row = samples, columns, channels, whether in training, and the places.


@njit(cache=True, nogil=True, error_model="numpy")
def _batch_norm(memory, row):
    """x, weight, bias, y, means and variances; in evaluation these are the running ones."""
    n, m, c = row[1], row[2], row[3]
    x, y, kept = matrix(memory, row[5], n, m), matrix(memory, row[8], n, m), wide(memory, row[9], 2, c)
    if not row[4]:
        kept[0], kept[1] = vector(memory, row[10], c), vector(memory, row[11], c)
    return x, vector(memory, row[6], c), vector(memory, row[7], c), y, kept


@njit(cache=True, nogil=True, error_model="numpy")
def _batch_norm_end(memory, integers, row, numbers, kept):
    """Move the running means and variances, where there are any, towards those of the batch."""
    if not row[4]:
        return
    momentum = 1 / integers[row[12]] if row[12] >= 0 else numbers[1]
    keep = memory.dtype.type(1 - momentum)
    for k in range(2):
        running, share = vector(memory, row[10 + k], row[3]), numbers[2] if k else 1.0
        for j in range(running.size):
            running[j] = keep * running[j] + momentum * (kept[k, j] * share)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm(memory, integers, row, numbers):
    """x, weight, bias, y, means and variances in float64, running mean and variance (-1 for none), and in `integers`
    which batch it is, whose share of the running ones is one in so many, or -1; numbers = eps, else that share, and the
    factor that makes the variance unbiased.
    """
    x, weight, bias, y, kept = _batch_norm(memory, row)
    normalization.batch_norm(x, weight, bias, numbers[0], row[4] != 0, kept[0], kept[1], y)
    _batch_norm_end(memory, integers, row, numbers, kept)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_parallel(memory, integers, row, numbers):
    x, weight, bias, y, kept = _batch_norm(memory, row)
    normalization.batch_norm_parallel(x, weight, bias, numbers[0], row[4] != 0, kept[0], kept[1], y)
    _batch_norm_end(memory, integers, row, numbers, kept)


@njit(cache=True, nogil=True, error_model="numpy")
def _batch_norm_grad(memory, row, eps):
    """The gradient, x, weight, means, factors, and the places for the gradients of x, and of weight and bias."""
    n, m, c = row[1], row[2], row[3]
    x, grad, grad_x = matrix(memory, row[5], n, m), matrix(memory, row[7], n, m), matrix(memory, row[9], n, m)
    kept = wide(memory, row[8], 2, c)
    return grad, x, vector(memory, row[6], c), kept[0], 1 / np.sqrt(kept[1] + eps), grad_x, np.empty((2, c), x.dtype)


@njit(cache=True, nogil=True, error_model="numpy")
def _batch_norm_grad_end(memory, row, sums):
    for k in range(2):
        if row[10 + k] >= 0:
            for i in range(row[3]):
                memory[row[10 + k] + i] = sums[k, i]


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad(memory, integers, row, numbers):
    """x, weight, gradient, means and variances, and the gradients of x, weight and bias; numbers = eps."""
    grad, x, weight, mean, factor, grad_x, sums = _batch_norm_grad(memory, row, numbers[0])
    normalization.batch_norm_grad(grad, x, weight, row[4] != 0, mean, factor, grad_x, sums[0], sums[1])
    _batch_norm_grad_end(memory, row, sums)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad_parallel(memory, integers, row, numbers):
    grad, x, weight, mean, factor, grad_x, sums = _batch_norm_grad(memory, row, numbers[0])
    normalization.batch_norm_grad_parallel(grad, x, weight, row[4] != 0, mean, factor, grad_x, sums[0], sums[1])
    _batch_norm_grad_end(memory, row, sums)


# ----------------------------------------------------------------------------------------------------------------------
# Recurrent layers: row = kind, samples, steps, inputs, features, sums of a step, rows kept of it, steps of the outputs;
# then the places.


@njit(cache=True, nogil=True, error_model="numpy")
def _sequence(memory, row):
    """x, hidden, cell, weight, outputs, kept."""
    n, steps, i, h = row[2], row[3], row[4], row[5]
    x, hidden, cell = cube(memory, row[9], n, steps, i), cube(memory, row[10], n, 1, h), cube(memory, row[11], n, 1, h)
    weight, outputs = matrix(memory, row[12], row[6] * h, i + h + 1), cube(memory, row[13], n, row[8], h)
    return x, hidden, cell, weight, outputs, vector(memory, row[14], n * steps * row[7] * h)


@njit(cache=True, nogil=True, error_model="numpy")
def sequence(memory, integers, row, numbers):
    x, hidden, cell, weight, outputs, kept = _sequence(memory, row)
    recurrent.forward(row[1], x, hidden, cell, weight, outputs, kept)


@njit(cache=True, nogil=True, error_model="numpy")
def sequence_parallel(memory, integers, row, numbers):
    x, hidden, cell, weight, outputs, kept = _sequence(memory, row)
    recurrent.forward_parallel(row[15], row[1], x, hidden, cell, weight, outputs, kept)


@njit(cache=True, nogil=True, error_model="numpy")
def _sequence_room(memory, row):
    """The gradient of the outputs, room for columns and sums, places for the gradients of x, states and weight."""
    n, steps, i, h, sums = row[2], row[3], row[4], row[5], row[6]
    grad, columns = cube(memory, row[15], n, row[8], h), matrix(memory, row[16], n * steps, i + h + 1)
    grad_x = cube(memory, row[18], n, steps if row[18] >= 0 else 0, i if row[18] >= 0 else 0)
    states = cube(memory, row[19], n, 1, h), cube(memory, row[20], n, 1, h)
    grad_weight = matrix(memory, row[21], sums * h, i + h + 1)
    return grad, columns, matrix(memory, row[17], sums * h, n * steps), grad_x, states, grad_weight


@njit(cache=True, nogil=True, error_model="numpy")
def sequence_grad(memory, integers, row, numbers):
    x, hidden, cell, weight, outputs, kept = _sequence(memory, row)
    grad, columns, sums, grad_x, states, grad_weight = _sequence_room(memory, row)
    back = np.ascontiguousarray(weight.T)
    recurrent.backward(
        row[1], grad, x, hidden, cell, back, outputs, kept, columns, sums, grad_x, states[0], states[1], grad_weight
    )


@njit(cache=True, nogil=True, error_model="numpy")
def sequence_grad_parallel(memory, integers, row, numbers):
    x, hidden, cell, weight, outputs, kept = _sequence(memory, row)
    grad, columns, sums, grad_x, states, grad_weight = _sequence_room(memory, row)
    back, kind = np.ascontiguousarray(weight.T), row[1]
    recurrent.backward_parallel(
        row[22],
        kind,
        grad,
        x,
        hidden,
        cell,
        back,
        outputs,
        kept,
        columns,
        sums,
        grad_x,
        states[0],
        states[1],
        grad_weight,
    )


# ----------------------------------------------------------------------------------------------------------------------
# Embedding and attention.


@njit(cache=True, nogil=True, error_model="numpy")
def look_up(memory, integers, row, numbers):
    """row = how many, rows of the table, columns, numbers (in `integers`), table, y."""
    n, r, c = row[1], row[2], row[3]
    if not embedding.embedding(vector(integers, row[4], n), matrix(memory, row[5], r, c), matrix(memory, row[6], n, c)):
        integers[REFUSED] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def _look_up_grad(memory, integers, row):
    """The gradient, the numbers, and the gradient of the table."""
    n, r, c = row[1], row[2], row[3]
    return matrix(memory, row[5], n, c), vector(integers, row[4], n), matrix(memory, row[6], r, c)


@njit(cache=True, nogil=True, error_model="numpy")
def look_up_grad(memory, integers, row, numbers):
    """row = how many, rows of the table, columns, numbers, gradient, that of the table."""
    grad, indices, grad_weight = _look_up_grad(memory, integers, row)
    embedding.embedding_grad(grad, indices, grad_weight)


@njit(cache=True, nogil=True, error_model="numpy")
def look_up_grad_parallel(memory, integers, row, numbers):
    grad, indices, grad_weight = _look_up_grad(memory, integers, row)
    embedding.embedding_grad_parallel(grad, indices, grad_weight)


@njit(cache=True, nogil=True, error_model="numpy")
def _attention(memory, row):
    """query, key, value, mask, weights."""
    b, long, s, e, v = row[1], row[2], row[3], row[4], row[5]
    query, key, value = cube(memory, row[8], b, long, e), cube(memory, row[9], b, s, e), cube(memory, row[10], b, s, v)
    return query, key, value, cube(memory, row[11], row[7], long, s), cube(memory, row[12], b, long, s)


@njit(cache=True, nogil=True, error_model="numpy")
def attend(memory, integers, row, numbers):
    """row = places, L, S, E, Ev, causal, masks; query, key, value, mask, weights, y; numbers = scale."""
    query, key, value, mask, weights = _attention(memory, row)
    y = cube(memory, row[13], row[1], row[2], row[5])
    attention.attention(query, key, value, mask, row[6] != 0, y.dtype.type(numbers[0]), weights, y)


@njit(cache=True, nogil=True, error_model="numpy")
def attend_parallel(memory, integers, row, numbers):
    query, key, value, mask, weights = _attention(memory, row)
    y = cube(memory, row[13], row[1], row[2], row[5])
    scale = y.dtype.type(numbers[0])
    attention.attention_parallel(row[14], query, key, value, mask, row[6] != 0, scale, weights, y)


@njit(cache=True, nogil=True, error_model="numpy")
def _attention_room(memory, row):
    """The gradient, and places for those of query, key and value."""
    b, long, s, e, v = row[1], row[2], row[3], row[4], row[5]
    grads = cube(memory, row[14], b, long, e), cube(memory, row[15], b, s, e)
    return cube(memory, row[13], b, long, v), grads[0], grads[1], cube(memory, row[16], b, s, v)


@njit(cache=True, nogil=True, error_model="numpy")
def attend_grad(memory, integers, row, numbers):
    """row = the same with the gradient for y, and the places for the gradients of query, key and value."""
    query, key, value, _, weights = _attention(memory, row)
    grad, grad_query, grad_key, grad_value = _attention_room(memory, row)
    scale = memory.dtype.type(numbers[0])
    attention.attention_grad(grad, query, key, value, scale, weights, grad_query, grad_key, grad_value)


@njit(cache=True, nogil=True, error_model="numpy")
def attend_grad_parallel(memory, integers, row, numbers):
    query, key, value, _, weights = _attention(memory, row)
    grad, grad_query, grad_key, grad_value = _attention_room(memory, row)
    scale = memory.dtype.type(numbers[0])
    attention.attention_grad_parallel(
        row[17], grad, query, key, value, scale, weights, grad_query, grad_key, grad_value
    )


@njit(cache=True, nogil=True, error_model="numpy")
def dropout(memory, integers, row, numbers):
    """row = size, the places of the seed and of the limit (both in `integers`), x, y; numbers = scale."""
    x, y = vector(memory, row[4], row[1]), vector(memory, row[5], row[1])
    randomness.dropout(x, np.uint64(integers[row[2]]), np.uint64(integers[row[3]]), numbers[0], y)


@njit(cache=True, nogil=True, error_model="numpy")
def dropout_parallel(memory, integers, row, numbers):
    x, y = vector(memory, row[4], row[1]), vector(memory, row[5], row[1])
    randomness.dropout_parallel(x, np.uint64(integers[row[2]]), np.uint64(integers[row[3]]), numbers[0], y)


# ----------------------------------------------------------------------------------------------------------------------
# Whole steps.


@njit(cache=True, nogil=True, error_model="numpy")
def replay(code, numbers, memory, integers):
    """Carry out instructions, one after the other."""
    for k in range(len(code)):
        call(code[k, 0], (memory, integers, code[k], numbers[k]))


@njit(cache=True, nogil=True, error_model="numpy")
def _copy(start, y):
    x = carray(start, y.size)
    for i in range(y.size):
        y[i] = x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def gather(rows, floats, whole, inputs, memory, integers):
    """Put the samples of a batch where its program expects them. rows: of the samples; -1 ends them.

    floats (N, F), whole (N, W): what each row gives, be it a sample or a whole batch.
    inputs: for each input whether its numbers are whole ones, how many numbers of a batch come before it, how many it
    has, and its place; each row gives its share of them.
    """
    given = (rows >= 0).sum()
    for k in range(len(inputs)):
        first, count, place = inputs[k, 1] // given, inputs[k, 2] // given, inputs[k, 3]
        for row in rows:
            if row < 0:
                break
            if inputs[k, 0]:
                _copy(pointer(whole, row * whole.shape[1] + first), vector(integers, place, count))
            else:
                _copy(pointer(floats, row * floats.shape[1] + first), vector(memory, place, count))
            place += count


@njit(cache=True, nogil=True, error_model="numpy")
def clip(limits, ends, g):
    """What `clip_grad_norm_` and `clip_grad_value_` do, where the limits (norm, value) are finite."""
    if limits[0] < math.inf:
        found, start = 0.0, 0
        for end in ends:
            found += squares(g[start:end])
            start = end
        factor = min(limits[0] / (math.sqrt(found) + 1e-6), 1.0)
        if factor != 1.0:
            number = g.dtype.type(factor)
            for i in range(g.size):
                g[i] *= number
    if limits[1] < math.inf:
        largest = g.dtype.type(limits[1])
        for i in range(g.size):
            g[i] = -largest if g[i] < -largest else largest if g[i] > largest else g[i]


class Optimizer(NamedTuple):
    """kind, settings: which update, and its numbers, as `update` takes them."""

    kind: int
    settings: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def update_parallel(kind, settings, p, g, state, t, lr):
    """`update`, each thread with its blocks."""
    optimizer = Optimizer(kind, settings)
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        update(optimizer, p[part], g[part], state[0][part], state[1][part], state[2][part], t, lr)


@njit(cache=True, nogil=True, error_model="numpy")
def train(
    code,
    numbers,
    inputs,
    strides,
    parts,
    which,
    steps,
    shares,
    limits,
    ends,
    optimizer_kind,
    settings,
    done,
    rates,
    parallel,
    updates,
    floats,
    whole,
    order,
    memory,
    integers,
    state,
    found,
):
    """Steps, with a batch in each row of `order` (batches, size); returns how many batches there were.

    code to parts: see `Programs` in `fast/recording.py`. (Arrays by themselves are handed over ten times as fast as in
    a named tuple.) which (batches,): the program of each batch.
    steps (batches,): to which step each belongs; behind the last batch of a step there is an update.
    shares (batches,): what part of its step a batch is, 1 as a rule: its loss and gradients are multiplied by that.
    limits (2,): of the norm of all gradients, and of each of their elements; ends: where each parameter ends.
        Parameters and, behind them, their gradients lie at the beginning of the memory.
    optimizer_kind, settings, done: the optimizer's, and how many steps it has made; rates (steps,): the learning rates.
    parallel: the address of `update_parallel`, 0 to do without; updates: whether there are updates at all.
    state (3, P): what the optimizer remembers; found (steps,): receives the losses, and begins with zeros.

    A loss or a sum of loss and penalty that is no finite number is noted, and ends it before anything changes. So do
    numbers that a loss does not take, which stand in the program's integers[REFUSED].
    """
    size, optimizer = state.shape[1], Optimizer(optimizer_kind, settings)
    p, g = memory[:size], memory[size : 2 * size]
    for k in range(len(order)):
        step, part = steps[k], parts[which[k]]
        first, backward, after = part[0], part[1], part[2]
        mine = integers[part[9] :]
        gather(order[k], floats, whole, inputs[part[3] : part[4]], memory, mine)
        replay(code[first:backward], numbers[first:backward], memory, mine)
        if mine[REFUSED]:
            return k
        goal = memory[part[6]]
        if not math.isfinite(goal):
            found[step] = goal
            return k
        found[step] += shares[k] * memory[part[5]]
        if part[10] and (k == 0 or steps[k - 1] < step):
            g[:] = 0
        memory[part[7]] = shares[k]
        replay(code[backward:after], numbers[backward:after], memory, mine)
        for i in range(len(strides)):  # of all programs, for a layer goes on where it was
            integers[strides[i, 0]] += strides[i, 1]
        if k + 1 < len(order) and steps[k + 1] == step:
            continue
        clip(limits, ends, g)
        t = done + step + 1
        if not updates:
            continue
        if parallel:
            call(parallel, (optimizer_kind, settings, p, g, state, t, rates[step]))
        else:
            update(optimizer, p, g, state[0], state[1], state[2], t, rates[step])
    return len(order)
