"""Probabilities and products along rows, sums, and their gradients. Arrays are of one type; matrices are (N, C).

Sums are loops of their own, for a loop that only computes powers vectorises; they are kept in float64.
"""

import math

import numpy as np
from numba import njit

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"


@njit(cache=True, nogil=True, error_model="numpy")
def _sum(row):
    total = 0.0
    for c in range(row.size):
        total += row[c]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(x, y):
    """y[n, c] = exp(x[n, c]) / sum over c of exp(x[n, c]); x, y (N, C)."""
    number = y.dtype.type
    for n in range(x.shape[0]):
        largest = x[n].max()
        for c in range(x.shape[1]):
            y[n, c] = approximations.exp(x[n, c] - largest)
        share = number(1 / _sum(y[n]))
        for c in range(x.shape[1]):
            y[n, c] *= share


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(grad, y, grad_x):
    """grad_x[n, c] = y[n, c] * (grad[n, c] - sum over c of grad[n, c] y[n, c])."""
    number = y.dtype.type
    for n in range(y.shape[0]):
        total = 0.0
        for c in range(y.shape[1]):
            total += grad[n, c] * y[n, c]
        mean = number(total)
        for c in range(y.shape[1]):
            grad_x[n, c] = y[n, c] * (grad[n, c] - mean)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(x, y):
    """y[n, c] = x[n, c] - log(sum over c of exp(x[n, c]))."""
    number = y.dtype.type
    for n in range(x.shape[0]):
        largest = x[n].max()
        for c in range(x.shape[1]):
            y[n, c] = approximations.exp(x[n, c] - largest)
        log_total = number(math.log(_sum(y[n])))
        for c in range(x.shape[1]):
            y[n, c] = x[n, c] - largest - log_total


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(grad, y, grad_x):
    """grad_x[n, c] = grad[n, c] - exp(y[n, c]) * sum over c of grad[n, c]."""
    number = y.dtype.type
    for n in range(y.shape[0]):
        total = number(_sum(grad[n]))
        for c in range(y.shape[1]):
            grad_x[n, c] = grad[n, c] - approximations.exp(y[n, c]) * total


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp(x, y):
    """y[n] = log(sum over c of exp(x[n, c])), which is -inf for a row without numbers.

    The largest number of a row is taken away from the others and added again, unless it is infinite or nan.
    """
    number, powers = y.dtype.type, np.empty(x.shape[1], x.dtype)
    for n in range(x.shape[0]):
        largest = x[n].max() if x.shape[1] else number(-math.inf)
        shift = largest if math.isfinite(largest) else number(0)
        for c in range(x.shape[1]):
            powers[c] = approximations.exp(x[n, c] - shift)
        y[n] = math.log(_sum(powers)) + shift


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp_grad(grad, x, y, grad_x):
    """grad_x[n, c] = grad[n] * exp(x[n, c] - y[n])."""
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            grad_x[n, c] = approximations.exp(x[n, c] - y[n]) * grad[n]


@njit(cache=True, nogil=True, error_model="numpy")
def prod(x, y):
    """y[n] = product over c of x[n, c], kept in float64."""
    for n in range(x.shape[0]):
        found = 1.0
        for c in range(x.shape[1]):
            found *= x[n, c]
        y[n] = found


@njit(cache=True, nogil=True, error_model="numpy")
def prod_grad(grad, x, grad_x):
    """grad_x[n, c] = grad[n] times the product of all others of the row, which no division gives where one is 0."""
    before = np.empty(x.shape[1])
    for n in range(x.shape[0]):
        found = 1.0
        for c in range(x.shape[1]):
            before[c] = found
            found *= x[n, c]
        after = 1.0
        for c in range(x.shape[1] - 1, -1, -1):
            grad_x[n, c] = before[c] * after * grad[n]
            after *= x[n, c]


#: So many numbers are added up one by one; then the sums are.
_PART = 1024


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def total(x, y):
    """y[a, b] = sum over r of x[a, r, b], kept in float64.

    In float32 a sum would lose digits with every million of elements; and even in float64 with every billion, hence the
    sums of parts. `reassoc` lets the compiler add up several numbers beside each other; nan and infinity stay.
    """
    for a in range(x.shape[0]):
        if x.shape[2] == 1:
            found = 0.0
            for start in range(0, x.shape[1], _PART):
                part = 0.0
                for r in range(start, min(start + _PART, x.shape[1])):
                    part += x[a, r, 0]
                found += part
            y[a, 0] = found
        else:
            sums = np.zeros(x.shape[2])
            for r in range(x.shape[1]):
                for b in range(x.shape[2]):
                    sums[b] += x[a, r, b]
            for b in range(x.shape[2]):
                y[a, b] = sums[b]


@njit(cache=True, nogil=True, error_model="numpy")
def cumsum(x, y):
    """y[a, r, b] = x[a, 0, b] + ... + x[a, r, b], kept in float64."""
    for a in range(x.shape[0]):
        sums = np.zeros(x.shape[2])
        for r in range(x.shape[1]):
            for b in range(x.shape[2]):
                sums[b] += x[a, r, b]
                y[a, r, b] = sums[b]


@njit(cache=True, nogil=True, error_model="numpy")
def cumsum_grad(grad, grad_x):
    """grad_x[a, r, b] = grad[a, r, b] + ... + grad[a, R - 1, b]: x is part of its sum and of all that follow."""
    for a in range(grad.shape[0]):
        sums = np.zeros(grad.shape[2])
        for r in range(grad.shape[1] - 1, -1, -1):
            for b in range(grad.shape[2]):
                sums[b] += grad[a, r, b]
                grad_x[a, r, b] = sums[b]
