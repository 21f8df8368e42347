"""Updates of parameters, in one pass over a flat buffer that holds them all; `g` is the gradient.

The formulas are those of `fast/kernels/updates.py`. What depends on settings alone is computed once, in float64, by
whoever launches; kernels are told the results. A thread takes an element, and goes on by as many as there are threads:
each array is read and written once, at the speed of memory, so one launch for all parameters takes as long as memory
needs for their bytes, and many small ones would take longer to start than to run.
"""

from __future__ import annotations

import math

from fast.cuda.arguments import Count, Number, Places, Vector
from fast.cuda.package import cuda
from fast.cuda.warps import WARP, block_sum


def sgd(p: Vector, g: Vector, lr: Number, weight_decay: Number):
    """p -= lr (g + wd p)."""
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        p[i] -= lr * (g[i] + weight_decay * p[i])


def momentum(
    p: Vector, g: Vector, buffer: Vector, lr: Number, keep: Number, add: Number, weight_decay: Number, ahead: Number
):
    """g += wd p; buffer = keep buffer + add g; p -= lr buffer, or lr (g + ahead buffer) where `ahead` is not 0."""
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        grad = g[i] + weight_decay * p[i]
        moved = keep * buffer[i] + add * grad
        buffer[i] = moved
        p[i] -= lr * (grad + ahead * moved if ahead != p.dtype.type(0) else moved)


def adam(
    p: Vector,
    g: Vector,
    m: Vector,
    v: Vector,
    rate: Number,
    root: Number,
    keep_m: Number,
    add_m: Number,
    keep_v: Number,
    add_v: Number,
    eps: Number,
    weight_decay: Number,
    shrink: Number,
):
    """g += wd p; m, v: running means of g and of g^2; p = shrink p - rate m / (sqrt(v) / root + eps).

    With the t-th step's corrections in rate = lr / (1 - beta1^t) and root = sqrt(1 - beta2^t); keep_m = beta1, add_m =
    1 - beta1, likewise for v. AdamW is shrink = 1 - lr wd, with no weight_decay.
    """
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        grad = g[i] + weight_decay * p[i]
        mean = keep_m * m[i] + add_m * grad
        square = keep_v * v[i] + add_v * grad * grad
        m[i], v[i] = mean, square
        p[i] = shrink * p[i] - rate * mean / (math.sqrt(square) / root + eps)


def rmsprop(
    p: Vector,
    g: Vector,
    s: Vector,
    mean: Vector,
    buffer: Vector,
    lr: Number,
    keep: Number,
    add: Number,
    eps: Number,
    weight_decay: Number,
    momentum: Number,
    centered: Count,
):
    """g += wd p; s = keep s + add g^2; buffer = mu buffer + g / (sqrt(s) + eps); p -= lr buffer.

    centered, where it is not 0: sqrt(s - mean^2) in the place of sqrt(s), with `mean` the running mean of g; else
    `mean` is left alone. Without a momentum mu `buffer` is left alone.
    """
    zero = p.dtype.type(0)
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        grad = g[i] + weight_decay * p[i]
        s[i] = keep * s[i] + add * grad * grad
        spread = s[i]
        if centered:
            mean[i] = keep * mean[i] + add * grad
            spread -= mean[i] * mean[i]
            spread = zero if spread < zero else spread
        step = grad / (math.sqrt(spread) + eps)
        if momentum != zero:
            buffer[i] = momentum * buffer[i] + step
            step = buffer[i]
        p[i] -= lr * step


def adagrad(p: Vector, g: Vector, total: Vector, lr: Number, weight_decay: Number, eps: Number):
    """g += wd p; total += g^2; p -= lr g / (sqrt(total) + eps)."""
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        grad = g[i] + weight_decay * p[i]
        total[i] += grad * grad
        p[i] -= lr * grad / (math.sqrt(total[i]) + eps)


def squares(g: Vector, parts: Vector):
    """parts[b] = the sum of g^2 over the elements of block b; `reductions.sum_rows` adds up the parts (blocks,)."""
    room = cuda.shared.array(WARP, g.dtype)
    total = g.dtype.type(0)
    for i in range(cuda.grid(1), g.size, cuda.gridsize(1)):
        total += g[i] * g[i]
    total = block_sum(total, room)
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = total


def clip_norm(g: Vector, square: Vector, max_norm: Number):
    """g *= min(1, max_norm / (norm + 1e-6)), with norm = sqrt(square[0]), which never has to leave the GPU."""
    number = g.dtype.type
    factor = max_norm / (math.sqrt(square[0]) + number(1e-6))
    for i in range(cuda.grid(1), g.size, cuda.gridsize(1)):
        g[i] *= number(1) if factor > number(1) else factor


def clip_value(g: Vector, limit: Number):
    """g, cut off below -limit and above limit."""
    for i in range(cuda.grid(1), g.size, cuda.gridsize(1)):
        g[i] = -limit if g[i] < -limit else limit if g[i] > limit else g[i]


def note(
    loss: Vector, goal: Vector, flaws: Places, share: Number, step: Count, batch: Count, losses: Vector, goals: Vector
):
    """losses[step] += share * loss; goals[batch] = goal, or nan where flaws have been found so far.

    One thread does it. So the course of a training stays on the GPU until somebody asks for it.
    """
    if cuda.grid(1) == 0:
        losses[step] += share * loss[0]
        goals[batch] = goal[0] if flaws[0] == 0 else goal.dtype.type(math.nan)
