"""Products of matrices, and the dense layer. The products are BLAS's, whose kernels fit every processor.

The parallel kernels cut the work into `blocks`, one for each thread, and expect BLAS to use one thread itself.
(They are told how many: a kernel that asks Numba for the number of threads is not kept on disk.)
"""

import numpy as np
from numba import njit, prange


@njit(cache=True, nogil=True, error_model="numpy")
def linear(x, weight, bias, y):
    """y[n, o] = bias[o] + sum over i of x[n, i] * weight[o, i]; a bias of length 0 is none.

    x (N, in), weight (out, in), bias (out,), y (N, out).
    """
    np.dot(x, weight.T, y)
    if bias.size:
        for n in range(y.shape[0]):
            for o in range(y.shape[1]):
                y[n, o] += bias[o]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def linear_parallel(blocks, x, weight, bias, y):
    """`linear`, each thread with its block of the longer side of y.

    BLAS packs both of its arguments before it multiplies. With few rows the weight is most of that work, so it is the
    weight that is shared out: a tenth of a training step of 784-256-128-10 with a batch of 64. (A loop over the product
    alone does not show it, for there the weight has been in the cache of both cores since the last time.)
    """
    rows, outputs = y.shape
    for block in prange(blocks):
        if rows >= outputs:
            start, stop = rows * block // blocks, rows * (block + 1) // blocks
            linear(x[start:stop], weight, bias, y[start:stop])
        else:
            start, stop = outputs * block // blocks, outputs * (block + 1) // blocks
            part = np.dot(x, weight[start:stop].T)
            for n in range(rows):
                for o in range(start, stop):
                    y[n, o] = part[n, o - start] + bias[o] if bias.size else part[n, o - start]


@njit(cache=True, nogil=True, error_model="numpy")
def linear_grad(grad, x, weight, grad_x, grad_weight, grad_bias):
    """What `linear` passes back, each where its array is not empty.

    grad_x = grad @ weight, grad_weight = grad.T @ x, grad_bias = grad summed over n. grad (N, out). The sums for the
    bias are kept in float64: in float32 they would lose digits with every million of rows.
    """
    if grad_x.size:
        np.dot(grad, weight, grad_x)
    if grad_weight.size:
        np.dot(grad.T, x, grad_weight)
    if grad_bias.size:
        totals = np.zeros(grad_bias.size)
        for n in range(grad.shape[0]):
            for o in range(grad.shape[1]):
                totals[o] += grad[n, o]
        grad_bias[:] = totals


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def linear_grad_parallel(blocks, grad, x, weight, grad_x, grad_weight, grad_bias):
    """`linear_grad`, each thread with its block of rows for x and its block of outputs for weight and bias."""
    rows, outputs = grad.shape
    for block in prange(blocks):
        start, stop = rows * block // blocks, rows * (block + 1) // blocks
        if grad_x.size:
            np.dot(grad[start:stop], weight, grad_x[start:stop])
        if grad_weight.size or grad_bias.size:
            start, stop = outputs * block // blocks, outputs * (block + 1) // blocks
            transposed = np.ascontiguousarray(grad[:, start:stop].T)
            if grad_weight.size:
                np.dot(transposed, x, grad_weight[start:stop])
            if grad_bias.size:
                for o in range(start, stop):
                    total = 0.0
                    for n in range(rows):
                        total += transposed[o - start, n]
                    grad_bias[o] = total


@njit(cache=True, nogil=True, error_model="numpy")
def stacked(a, b, y):
    """y[s] = a[s] @ b[s] for each matrix s of the stacks; a (S, N, K), b (S, K, M), y (S, N, M)."""
    for s in range(y.shape[0]):
        np.dot(a[s], b[s], y[s])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def stacked_parallel(blocks, a, b, y):
    """`stacked`, each thread with its share of the matrices, or of the rows of the only one."""
    only = y.shape[0] == 1
    count = y.shape[1] if only else y.shape[0]
    for block in prange(blocks):
        start, stop = count * block // blocks, count * (block + 1) // blocks
        if only:
            np.dot(a[0][start:stop], b[0], y[0][start:stop])
        else:
            stacked(a[start:stop], b[start:stop], y[start:stop])
