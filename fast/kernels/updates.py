"""Updates of one parameter, in one pass. Arrays are one-dimensional and of one type; `g` is the gradient.

The settings arrive as float64 and are turned into the arrays' type once, outside the loop. What is only added when it
is asked for stands behind a condition that no element changes, which the compiler takes out of the loop; so each loop
reads and writes every array once, as fast as memory delivers them.

Each `name_parallel` is `name` on all cores, in blocks of `BLOCK` elements.
"""

import math

import numpy as np
from numba import njit, prange

#: Large enough that starting a block is nothing beside computing it, small enough that all cores get one.
BLOCK = 1 << 13


@njit(cache=True, nogil=True, error_model="numpy")
def sgd(p, g, lr, weight_decay):
    """p -= lr (g + wd p)."""
    number = p.dtype.type
    lr, weight_decay = number(lr), number(weight_decay)
    for i in range(p.size):
        p[i] -= lr * (g[i] + weight_decay * p[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sgd_parallel(p, g, lr, weight_decay):
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        sgd(p[part], g[part], lr, weight_decay)


@njit(cache=True, nogil=True, error_model="numpy")
def momentum(p, g, buffer, lr, keep, add, weight_decay, ahead):
    """g += wd p; buffer = keep buffer + add g; p -= lr buffer, or lr (g + ahead buffer) where `ahead` is not 0."""
    number = p.dtype.type
    lr, keep, add = number(lr), number(keep), number(add)
    weight_decay, ahead = number(weight_decay), number(ahead)
    for i in range(p.size):
        grad = g[i] + weight_decay * p[i]
        buffer[i] = keep * buffer[i] + add * grad
        p[i] -= lr * (grad + ahead * buffer[i] if ahead != 0 else buffer[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def momentum_parallel(p, g, buffer, lr, keep, add, weight_decay, ahead):
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        momentum(p[part], g[part], buffer[part], lr, keep, add, weight_decay, ahead)


@njit(cache=True, nogil=True, error_model="numpy")
def adam(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay, shrink):
    """m, v: running means of g + wd p and of its square;
    p = shrink p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).

    The fraction is expanded by sqrt(1 - beta2^t): what is left to do is one division, the slowest of all instructions.
    """
    number = p.dtype.type
    root = math.sqrt(1 - beta2**t)
    rate, eps = number(lr / (1 - beta1**t) * root), number(eps * root)
    keep_m, add_m = number(beta1), number(1 - beta1)
    keep_v, add_v = number(beta2), number(1 - beta2)
    weight_decay, shrink = number(weight_decay), number(shrink)
    for i in range(p.size):
        grad = g[i] + weight_decay * p[i]
        m[i] = keep_m * m[i] + add_m * grad
        v[i] = keep_v * v[i] + add_v * grad * grad
        p[i] = shrink * p[i] - rate * m[i] / (math.sqrt(v[i]) + eps)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def adam_parallel(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay, shrink):
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        adam(p[part], g[part], m[part], v[part], t, lr, beta1, beta2, eps, weight_decay, shrink)


@njit(cache=True, nogil=True, error_model="numpy")
def rmsprop(p, g, s, mean, buffer, lr, alpha, eps, weight_decay, momentum, centered):
    """g += wd p; s: the running mean of g^2; buffer = mu buffer + g / (sqrt(s) + eps); p -= lr buffer.

    centered: sqrt(s - mean^2) in the place of sqrt(s), with `mean` the running mean of g; else `mean` is left alone.
    Without a momentum `buffer` is left alone.
    """
    number = p.dtype.type
    lr, keep, add, eps = number(lr), number(alpha), number(1 - alpha), number(eps)
    weight_decay, momentum = number(weight_decay), number(momentum)
    for i in range(p.size):
        grad = g[i] + weight_decay * p[i]
        s[i] = keep * s[i] + add * grad * grad
        spread = s[i]
        if centered:
            mean[i] = keep * mean[i] + add * grad
            spread -= mean[i] * mean[i]
            spread = number(0) if spread < number(0) else spread
        step = grad / (math.sqrt(spread) + eps)
        if momentum != 0:
            buffer[i] = momentum * buffer[i] + step
            step = buffer[i]
        p[i] -= lr * step


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def rmsprop_parallel(p, g, s, mean, buffer, lr, alpha, eps, weight_decay, momentum, centered):
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        rmsprop(p[part], g[part], s[part], mean[part], buffer[part], lr, alpha, eps, weight_decay, momentum, centered)


@njit(cache=True, nogil=True, error_model="numpy")
def adagrad(p, g, total, lr, weight_decay, eps):
    """g += wd p; total += g^2; p -= lr g / (sqrt(total) + eps)."""
    number = p.dtype.type
    lr, weight_decay, eps = number(lr), number(weight_decay), number(eps)
    for i in range(p.size):
        grad = g[i] + weight_decay * p[i]
        total[i] += grad * grad
        p[i] -= lr * grad / (math.sqrt(total[i]) + eps)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def adagrad_parallel(p, g, total, lr, weight_decay, eps):
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        adagrad(p[part], g[part], total[part], lr, weight_decay, eps)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def squares(g):
    """The sum of g^2, in float64, in which the square of a float32 neither overflows nor loses digits.

    `reassoc` lets the compiler add up several partial sums beside each other; nan and infinity stay what they are.
    """
    total = 0.0
    for i in range(g.size):
        number = np.float64(g[i])
        total += number * number
    return total
