"""Rows looked up by number, and gradients added up for them. indices (N,), weight (rows, D)."""

import numpy as np
from numba import njit, prange


@njit(cache=True, nogil=True, error_model="numpy")
def embedding(indices, weight, y):
    """y[n] = weight[indices[n]]; returns whether all indices are numbers of rows. y (N, D)."""
    for n in range(indices.size):
        if indices[n] < 0 or indices[n] >= weight.shape[0]:
            return False
        row, result = weight[indices[n]], y[n]
        for d in range(row.size):
            result[d] = row[d]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def embedding_grad(grad, indices, grad_weight):
    """grad_weight[r] = sum of grad[n] over all n with indices[n] = r; grad (N, D).

    The places of each row are listed first. So each row is written once, from a sum in float64, and rows can be
    shared out to threads, which is why nothing depends on their number.
    """
    starts, places = _places_by_row(indices, grad_weight.shape[0])
    for r in range(grad_weight.shape[0]):
        _add_up(grad, places[starts[r] : starts[r + 1]], grad_weight[r])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def embedding_grad_parallel(grad, indices, grad_weight):
    """`embedding_grad`, each thread with its rows of the weight."""
    starts, places = _places_by_row(indices, grad_weight.shape[0])
    for r in prange(grad_weight.shape[0]):
        _add_up(grad, places[starts[r] : starts[r + 1]], grad_weight[r])


@njit(cache=True, nogil=True, error_model="numpy")
def _places_by_row(indices, rows):
    """places[starts[r] : starts[r + 1]] are all n with indices[n] = r, in order (a counting sort)."""
    starts = np.zeros(rows + 1, np.int64)
    for n in range(indices.size):
        starts[indices[n] + 1] += 1
    for r in range(rows):
        starts[r + 1] += starts[r]
    places, taken = np.empty(indices.size, np.int64), np.zeros(rows, np.int64)
    for n in range(indices.size):
        r = indices[n]
        places[starts[r] + taken[r]] = n
        taken[r] += 1
    return starts, places


@njit(cache=True, nogil=True, error_model="numpy")
def _add_up(grad, places, total):
    if not places.size:  # in a large table most rows have none
        total[:] = 0
        return
    sums = np.zeros(total.size)
    for n in places:
        row = grad[n]
        for d in range(row.size):
            sums[d] += row[d]
    for d in range(total.size):
        total[d] = sums[d]
