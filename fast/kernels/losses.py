"""Losses, each with its gradient from the same pass over the data.

The loss kernels take one-dimensional arrays of one floating-point type, write the gradient of the mean to `grad`, and
return the mean, and whether all numbers were of the kind that the loss takes (the caller finds out which were not, and
says so). The sum is kept in float64: in float32 it would lose digits with every million of samples.
"""

import math

import numpy as np
from numba import njit

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "84975580e8bf5fb0"


@njit(cache=True, nogil=True, error_model="numpy")
def mse_loss(prediction, target, grad):
    """mean of (p - t)^2; grad = 2 (p - t) / N."""
    number = grad.dtype.type
    scale = number(2 / grad.size)
    total = 0.0
    for i in range(grad.size):
        difference = prediction[i] - target[i]
        grad[i] = scale * difference
        total += difference * difference
    return total / grad.size, True


@njit(cache=True, nogil=True, error_model="numpy")
def l1_loss(prediction, target, grad):
    """mean of |p - t|; grad = sign(p - t) / N, 0 where they are equal."""
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total = 0.0
    for i in range(grad.size):
        difference = prediction[i] - target[i]
        grad[i] = scale * np.sign(difference)
        total += abs(difference)
    return total / grad.size, True


@njit(cache=True, nogil=True, error_model="numpy")
def huber_loss(prediction, target, grad, delta):
    """mean of b (|e| - b / 2) for e = p - t and b = |e| bent to delta; grad = sign(e) b / N."""
    number = grad.dtype.type
    scale, half, limit = number(1 / grad.size), number(0.5), number(delta)
    total = 0.0
    for i in range(grad.size):
        difference = prediction[i] - target[i]
        size = abs(difference)
        bent = limit if size > limit else size
        grad[i] = scale * np.sign(difference) * bent
        total += bent * (size - half * bent)
    return total / grad.size, True


@njit(cache=True, nogil=True, error_model="numpy")
def hinge_loss(prediction, target, grad):
    """mean of relu(1 - t p), t = -1 or +1; grad = -t / N where 1 - t p > 0, else 0."""
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total, known = 0.0, True
    for i in range(grad.size):
        known &= abs(target[i]) == number(1)
        margin = number(1) - target[i] * prediction[i]
        grad[i] = number(0) if margin <= number(0) else -target[i] * scale
        total += number(0) if margin <= number(0) else margin
    return total / grad.size, known


@njit(cache=True, nogil=True, error_model="numpy")
def binary_cross_entropy(prediction, target, grad):
    """mean of -(t log p + (1 - t) log(1 - p)), p, t in [0, 1]; logarithms, and with them gradients, stop at -100."""
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total, known = 0.0, True
    for i in range(grad.size):
        p, t = prediction[i], target[i]
        known &= not (p < 0 or p > 1 or t < 0 or t > 1)
        yes, no = math.log(p), math.log1p(-p)
        slope = number(0)
        if yes < number(-100):
            yes = number(-100)
        else:
            slope -= t / p
        if no < number(-100):
            no = number(-100)
        else:
            slope += (number(1) - t) / (number(1) - p)
        grad[i] = scale * slope
        total -= t * yes + (number(1) - t) * no
    return total / grad.size, known


@njit(cache=True, nogil=True, error_model="numpy")
def binary_cross_entropy_with_logits(prediction, target, grad):
    """mean of softplus(x) - t x, t in [0, 1]; grad = (sigmoid(x) - t) / N. exp is taken of negative numbers only."""
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total, known = 0.0, True
    for i in range(grad.size):
        x, t = prediction[i], target[i]
        known &= not (t < 0 or t > 1)
        power = math.exp(-abs(x))
        sigmoid = (power if x < number(0) else number(1)) / (number(1) + power)
        grad[i] = scale * (sigmoid - t)
        total += (number(0) if x <= number(0) else x) + math.log1p(power) - t * x
    return total / grad.size, known


@njit(cache=True, nogil=True, error_model="numpy")
def nll_loss(log_probabilities, labels, grad):
    """mean over rows of -log_probabilities[label]; grad = -one_hot(label) / N. Shapes as for `cross_entropy`."""
    number = grad.dtype.type
    rows, classes = log_probabilities.shape
    scale = number(1 / rows)
    total = 0.0
    grad[:] = number(0)
    for n in range(rows):
        label = labels[n]
        if label < 0 or label >= classes:
            return total, False
        total -= log_probabilities[n, label]
        grad[n, label] = -scale
    return total / rows, True


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(logits, labels, grad, smoothing):
    """mean over rows of log(sum of exp(x)) - sum of q x; grad = (softmax(x) - q) / N.

    q is the wanted distribution: smoothing / C for each class, and 1 - smoothing more for the label. logits and grad
    (N, C); labels (N,), int64, each from 0 to C-1.
    """
    number = grad.dtype.type
    rows, classes = logits.shape
    scale = number(1 / rows)
    sure, shared = number((1 - smoothing) / rows), number(smoothing / (classes * rows))
    total = 0.0
    for n in range(rows):
        label = labels[n]
        if label < 0 or label >= classes:
            return total, False
        largest = logits[n].max()
        powers = 0.0
        for c in range(classes):
            grad[n, c] = approximations.exp(logits[n, c] - largest)
        for c in range(classes):
            powers += grad[n, c]
        # the small differences first: beside a large logit the logarithm would lose its digits
        total += math.log(powers) + (1 - smoothing) * (largest - logits[n, label])
        if smoothing != 0:
            for c in range(classes):
                total += smoothing / classes * (largest - logits[n, c])
        factor = number(scale / powers)
        for c in range(classes):
            grad[n, c] = grad[n, c] * factor - shared
        grad[n, label] -= sure
    return total / rows, True
