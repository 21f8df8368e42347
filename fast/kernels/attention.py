"""Attention, one place of the leading dimensions (a sample and a head) after another. The products are BLAS's.

query (B, L, E), key (B, S, E), value (B, S, Ev), weights (B, L, S), y (B, L, Ev), all of one type. The parallel
kernels cut the places into `blocks`, one for each thread, and expect BLAS to use one thread itself.
"""

import math

import numpy as np
from numba import njit, prange

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"


@njit(cache=True, nogil=True, error_model="numpy")
def attention(query, key, value, mask, causal, scale, weights, y):
    """weights[b] = softmax(scale * query[b] @ key[b].T + mask[b]); y[b] = weights[b] @ value[b].

    mask (B, L, S), (1, L, S) for all places alike, or of length 0 for none; where `causal`, s > l counts as -inf.
    """
    for b in range(len(query)):
        np.dot(query[b], key[b].T, weights[b])
        for line in range(query.shape[1]):
            length = min(line + 1, weights.shape[2]) if causal else weights.shape[2]
            added = mask[b % len(mask), line] if len(mask) else mask.ravel()
            _softmax(weights[b, line], added, scale, length)
        np.dot(weights[b], value[b], y[b])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def attention_parallel(blocks, query, key, value, mask, causal, scale, weights, y):
    """`attention`, each thread with its places."""
    places = len(query)
    for block in prange(blocks):
        start, stop = places * block // blocks, places * (block + 1) // blocks
        own = mask[start:stop] if len(mask) == places else mask
        attention(
            query[start:stop],
            key[start:stop],
            value[start:stop],
            own,
            causal,
            scale,
            weights[start:stop],
            y[start:stop],
        )


@njit(cache=True, nogil=True, error_model="numpy")
def _softmax(row, mask, scale, length):
    """The softmax of the first `length` numbers times scale plus mask, in place, and 0 for the others.

    A mask of length 0 is none. Where all numbers are -inf, all become 0.
    """
    number = row.dtype.type
    for s in range(row.size):
        row[s] *= scale
    for s in range(mask.size):
        row[s] += mask[s]
    largest = number(-math.inf)
    for s in range(length):
        if not row[s] <= largest:  # so that a nan is not passed over
            largest = row[s]
    if largest == number(-math.inf):
        length = 0
    total = 0.0
    for s in range(length):
        row[s] = approximations.exp(row[s] - largest)
    for s in range(length):
        total += row[s]
    share = number(1 / total)
    for s in range(length):
        row[s] *= share
    for s in range(length, row.size):
        row[s] = number(0)


@njit(cache=True, nogil=True, error_model="numpy")
def attention_grad(grad, query, key, value, scale, weights, grad_query, grad_key, grad_value):
    """What `attention` passes back, each where its array is not empty.

    grad_value = weights.T @ grad. The gradient of the weights is h = grad @ value.T, that of the scores
    d = scale * weights * (h - the sum of h * weights over s); grad_query = d @ key, grad_key = d.T @ query.
    """
    scores = np.empty(weights.shape[1:], weights.dtype)
    for b in range(len(query)):
        if len(grad_value):
            np.dot(weights[b].T, grad[b], grad_value[b])
        if len(grad_query) or len(grad_key):
            np.dot(grad[b], value[b].T, scores)
            for line in range(len(scores)):
                _softmax_grad(scores[line], weights[b, line], scale)
        if len(grad_query):
            np.dot(scores, key[b], grad_query[b])
        if len(grad_key):
            np.dot(scores.T, query[b], grad_key[b])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def attention_grad_parallel(blocks, grad, query, key, value, scale, weights, grad_query, grad_key, grad_value):
    """`attention_grad`, each thread with its places."""
    places = len(query)
    for block in prange(blocks):
        start, stop = places * block // blocks, places * (block + 1) // blocks
        attention_grad(
            grad[start:stop],
            query[start:stop],
            key[start:stop],
            value[start:stop],
            scale,
            weights[start:stop],
            grad_query[start:stop],
            grad_key[start:stop],
            grad_value[start:stop],
        )


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _softmax_grad(row, weights, scale):
    total = 0.0
    for s in range(row.size):
        total += row[s] * weights[s]
    mean = row.dtype.type(total)
    for s in range(row.size):
        row[s] = scale * weights[s] * (row[s] - mean)
