"""Probabilities along rows, and their gradients. Arrays are two-dimensional, (N, C), and of one type."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(x, y):
    """y[n, c] = exp(x[n, c]) / sum over c of exp(x[n, c]); x, y (N, C)."""
    for n in range(x.shape[0]):
        largest = x[n].max()
        y[n] = np.exp(x[n] - largest)
        y[n] /= y[n].sum()


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(grad, y, grad_x):
    """grad_x[n, c] = y[n, c] * (grad[n, c] - sum over c of grad[n, c] y[n, c])."""
    for n in range(y.shape[0]):
        grad_x[n] = y[n] * (grad[n] - (grad[n] * y[n]).sum())


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(x, y):
    """y[n, c] = x[n, c] - log(sum over c of exp(x[n, c]))."""
    for n in range(x.shape[0]):
        y[n] = x[n] - x[n].max()
        y[n] -= math.log(np.exp(y[n]).sum())


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(grad, y, grad_x):
    """grad_x[n, c] = grad[n, c] - exp(y[n, c]) * sum over c of grad[n, c]."""
    for n in range(y.shape[0]):
        grad_x[n] = grad[n] - np.exp(y[n]) * grad[n].sum()
