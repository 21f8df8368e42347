"""Updates of one parameter, in one pass. Arrays are one-dimensional and of one type; `g` is the gradient.

The settings arrive as float64 and are turned into the arrays' type once, outside the loop.
"""

import math

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def sgd(p, g, buffer, first, lr, momentum, dampening, weight_decay, nesterov):
    """g += wd p; buffer = g on the first step, then mu buffer + (1 - d) g; p -= lr buffer (nesterov: g + mu buffer)."""
    number = p.dtype.type
    lr, momentum, weight_decay = number(lr), number(momentum), number(weight_decay)
    keep, add = (number(0), number(1)) if first else (momentum, number(1 - dampening))
    for i in range(p.size):
        step = g[i] + weight_decay * p[i]
        if momentum != 0:
            buffer[i] = keep * buffer[i] + add * step
            step = step + momentum * buffer[i] if nesterov else buffer[i]
        p[i] -= lr * step


@njit(cache=True, nogil=True, error_model="numpy")
def adam(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    """m, v: running means of g and g^2; p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)."""
    number = p.dtype.type
    rate = number(lr / (1 - beta1**t))
    root = number(math.sqrt(1 - beta2**t))
    keep_m, add_m = number(beta1), number(1 - beta1)
    keep_v, add_v = number(beta2), number(1 - beta2)
    eps, weight_decay = number(eps), number(weight_decay)
    for i in range(p.size):
        grad = g[i] + weight_decay * p[i]
        m[i] = keep_m * m[i] + add_m * grad
        v[i] = keep_v * v[i] + add_v * grad * grad
        p[i] -= rate * m[i] / (math.sqrt(v[i]) / root + eps)
