"""Probabilities along rows, and their gradients. Arrays are two-dimensional, (N, C), and of one type.

Sums are loops of their own: a loop that only computes powers vectorises.
"""

import math

from numba import njit

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "5322c91f89a170d8"


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(x, y):
    """y[n, c] = exp(x[n, c]) / sum over c of exp(x[n, c]); x, y (N, C)."""
    one = y.dtype.type(1)
    for n in range(x.shape[0]):
        largest = x[n].max()
        for c in range(x.shape[1]):
            y[n, c] = approximations.exp(x[n, c] - largest)
        share = one / y[n].sum()
        for c in range(x.shape[1]):
            y[n, c] *= share


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(grad, y, grad_x):
    """grad_x[n, c] = y[n, c] * (grad[n, c] - sum over c of grad[n, c] y[n, c])."""
    number = y.dtype.type
    for n in range(y.shape[0]):
        total = number(0)
        for c in range(y.shape[1]):
            total += grad[n, c] * y[n, c]
        for c in range(y.shape[1]):
            grad_x[n, c] = y[n, c] * (grad[n, c] - total)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(x, y):
    """y[n, c] = x[n, c] - log(sum over c of exp(x[n, c]))."""
    for n in range(x.shape[0]):
        largest = x[n].max()
        for c in range(x.shape[1]):
            y[n, c] = approximations.exp(x[n, c] - largest)
        shift = largest + math.log(y[n].sum())
        for c in range(x.shape[1]):
            y[n, c] = x[n, c] - shift


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(grad, y, grad_x):
    """grad_x[n, c] = grad[n, c] - exp(y[n, c]) * sum over c of grad[n, c]."""
    for n in range(y.shape[0]):
        total = grad[n].sum()
        for c in range(y.shape[1]):
            grad_x[n, c] = grad[n, c] - approximations.exp(y[n, c]) * total
