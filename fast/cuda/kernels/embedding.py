"""Rows looked up by number, and gradients added up for them. indices (N,), weight (rows, D), y and grad (N, D)."""

from __future__ import annotations

import math

from fast.cuda.arguments import Labels, Matrix, Places
from fast.cuda.package import cuda
from fast.cuda.warps import WARP, warp_of_grid


def embedding(indices: Labels, weight: Matrix, y: Matrix, flaws: Places):
    """y[n] = weight[indices[n]]; flaws (1,), at first 0, counts the indices that are no row, which give nan.

    A warp for each n: it reads a row and writes one, 32 neighbours at a time.
    """
    n, lane = warp_of_grid()
    if n < indices.size:
        row = indices[n]
        known = 0 <= row < weight.shape[0]
        if lane == 0 and not known:
            cuda.atomic.add(flaws, 0, 1)
        for d in range(lane, y.shape[1], WARP):
            y[n, d] = weight[row, d] if known else weight.dtype.type(math.nan)


def embedding_grad(grad: Matrix, indices: Labels, grad_weight: Matrix):
    """grad_weight[indices[n]] += grad[n] for each n that is a row; grad_weight (rows, D) begins as 0.

    Several n may have the same row, so the additions are atomic: done by memory itself, one after the other, in an
    order that differs from run to run, and with it the last digit of the sums. A warp for each n.
    """
    n, lane = warp_of_grid()
    if n < indices.size and 0 <= indices[n] < grad_weight.shape[0]:
        for d in range(lane, grad.shape[1], WARP):
            cuda.atomic.add(grad_weight, (indices[n], d), grad[n, d])
