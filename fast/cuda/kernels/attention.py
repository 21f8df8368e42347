"""Attention between its two products: scores (B, L, S) = query @ key.T become weights, and weights @ value is the rest.

The formulas are those of `fast/kernels/attention.py`; the products are those of `products.py`. A warp takes a row.
"""

from __future__ import annotations

import math

from fast.cuda.arguments import Count, Number, Stack
from fast.cuda.warps import WARP, larger, warp_max, warp_of_grid, warp_sum


def attention_weights(scores: Stack, mask: Stack, causal: Count, scale: Number, weights: Stack):
    """weights[b, l] = softmax over s of scale * scores[b, l, s] + mask[b, l, s]; 0 everywhere where all are -inf.

    mask (B, L, S), (1, L, S) for all b alike, or (0, L, S) for none; where `causal`, s > l counts as -inf, and is not
    even read. weights may be the same array as scores: each thread reads again what it has written, and nothing else.
    """
    number = scores.dtype.type
    lines, width = scores.shape[1], scores.shape[2]
    row, lane = warp_of_grid()
    if row < scores.shape[0] * lines:
        b, line = row // lines, row % lines
        length = min(line + 1, width) if causal else width
        largest = number(-math.inf)
        for s in range(lane, length, WARP):
            score = scale * scores[b, line, s]
            if mask.shape[0]:
                score += mask[b % mask.shape[0], line, s]
            weights[b, line, s] = score
            largest = larger(score, largest)
        largest = warp_max(largest)
        total = number(0)
        for s in range(lane, length, WARP):
            power = math.exp(weights[b, line, s] - largest)
            weights[b, line, s] = power
            total += power
        share = number(1) / warp_sum(total)
        nothing = largest == number(-math.inf)
        for s in range(lane, width, WARP):
            weights[b, line, s] = number(0) if nothing or s >= length else weights[b, line, s] * share


def attention_scores_grad(grad: Stack, weights: Stack, scale: Number):
    """grad[b, l, s] becomes scale * weights[b, l, s] * (grad[b, l, s] - sum over s of grad[b, l, s] weights[b, l, s]).

    What comes in is the gradient of the weights, what goes out that of the scores. Both (B, L, S).
    """
    lines, width = grad.shape[1], grad.shape[2]
    row, lane = warp_of_grid()
    if row < grad.shape[0] * lines:
        b, line = row // lines, row % lines
        total = grad.dtype.type(0)
        for s in range(lane, width, WARP):
            total += grad[b, line, s] * weights[b, line, s]
        total = warp_sum(total)
        for s in range(lane, width, WARP):
            grad[b, line, s] = scale * weights[b, line, s] * (grad[b, line, s] - total)
