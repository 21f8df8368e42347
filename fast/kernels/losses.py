"""Losses, each with its gradient from the same pass over the data.

The loss kernels take one-dimensional arrays of one floating-point type, write the gradient of the mean to `grad`, and
return the mean, and whether all numbers were of the kind that the loss takes (the caller finds out which were not, and
says so). `weight` is what the loss of each element, or row, is multiplied by; without elements it stands for ones. The
sum is kept in float64: in float32 it would lose digits with every million of samples.
"""

import math

import numpy as np
from numba import njit

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"


@njit(cache=True, nogil=True, error_model="numpy")
def mse_loss(prediction, target, grad, weight):
    """mean of (p - t)^2; grad = 2 (p - t) / N."""
    number = grad.dtype.type
    scale = number(2 / grad.size)
    total = 0.0
    for i in range(grad.size):
        difference = prediction[i] - target[i]
        w = weight[i] if weight.size else number(1)
        grad[i] = scale * difference * w
        total += difference * difference * w
    return total / grad.size, True


@njit(cache=True, nogil=True, error_model="numpy")
def l1_loss(prediction, target, grad, weight):
    """mean of |p - t|; grad = sign(p - t) / N, 0 where they are equal."""
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total = 0.0
    for i in range(grad.size):
        difference = prediction[i] - target[i]
        w = weight[i] if weight.size else number(1)
        grad[i] = scale * np.sign(difference) * w
        total += abs(difference) * w
    return total / grad.size, True


@njit(cache=True, nogil=True, error_model="numpy")
def huber_loss(prediction, target, grad, weight, delta):
    """mean of b (|e| - b / 2) for e = p - t and b = |e| bent to delta; grad = sign(e) b / N."""
    number = grad.dtype.type
    scale, half, limit = number(1 / grad.size), number(0.5), number(delta)
    total = 0.0
    for i in range(grad.size):
        difference = prediction[i] - target[i]
        size = abs(difference)
        bent = limit if size > limit else size
        w = weight[i] if weight.size else number(1)
        grad[i] = scale * np.sign(difference) * bent * w
        total += bent * (size - half * bent) * w
    return total / grad.size, True


@njit(cache=True, nogil=True, error_model="numpy")
def hinge_loss(prediction, target, grad, weight):
    """mean of relu(1 - t p), t = -1 or +1; grad = -t / N where 1 - t p > 0, else 0."""
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total, known = 0.0, True
    for i in range(grad.size):
        known &= abs(target[i]) == number(1)
        margin = number(1) - target[i] * prediction[i]
        w = weight[i] if weight.size else number(1)
        grad[i] = number(0) if margin <= number(0) else -target[i] * scale * w
        total += number(0) if margin <= number(0) else margin * w
    return total / grad.size, known


@njit(cache=True, nogil=True, error_model="numpy")
def binary_cross_entropy(prediction, target, grad, weight):
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
        w = weight[i] if weight.size else number(1)
        grad[i] = scale * slope * w
        total -= (t * yes + (number(1) - t) * no) * w
    return total / grad.size, known


@njit(cache=True, nogil=True, error_model="numpy")
def binary_cross_entropy_with_logits(prediction, target, grad, weight, pos_weight):
    """mean of softplus(x) - t x, t in [0, 1]; grad = (sigmoid(x) - t) / N. exp is taken of negative numbers only.

    With pos_weight, of as many elements, mean of (1 - t) x + c softplus(-x) for c = 1 + (pos_weight - 1) t; grad =
    (1 - t - c sigmoid(-x)) / N.
    """
    number = grad.dtype.type
    scale = number(1 / grad.size)
    total, known = 0.0, True
    for i in range(grad.size):
        x, t = prediction[i], target[i]
        known &= not (t < 0 or t > 1)
        power = math.exp(-abs(x))
        w = weight[i] if weight.size else number(1)
        if pos_weight.size:
            counts = number(1) + (pos_weight[i] - number(1)) * t
            below = (number(1) if x < number(0) else power) / (number(1) + power)
            grad[i] = scale * (number(1) - t - counts * below) * w
            softplus = (number(0) if x >= number(0) else -x) + math.log1p(power)
            total += ((number(1) - t) * x + counts * softplus) * w
        else:
            sigmoid = (power if x < number(0) else number(1)) / (number(1) + power)
            grad[i] = scale * (sigmoid - t) * w
            total += ((number(0) if x <= number(0) else x) + math.log1p(power) - t * x) * w
    return total / grad.size, known


@njit(cache=True, nogil=True, error_model="numpy")
def nll_loss(log_probabilities, labels, grad, weight, class_weight):
    """mean over rows of -log_probabilities[label]; grad = -one_hot(label) / N. Shapes as for `cross_entropy`."""
    number = grad.dtype.type
    mass, known = _mass(labels, log_probabilities.shape[1], class_weight)
    total = 0.0
    grad[:] = number(0)
    if not known:
        return total, False
    for n in range(labels.size):
        label = labels[n]
        counts = _weight(weight, n) * _weight(class_weight, label)
        total -= log_probabilities[n, label] * counts
        grad[n, label] = -number(counts / mass)
    return total / mass, True


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(logits, labels, grad, weight, class_weight, smoothing):
    """mean over rows of (sum of q) log(sum of exp(x)) - sum of q x; grad = ((sum of q) softmax(x) - q) / N.

    q is the wanted distribution: smoothing / C for each class, and 1 - smoothing more for the label; each multiplied by
    the weight of its class, in which case N is the sum of the weights of the labels. logits and grad (N, C); labels
    (N,), int64, each from 0 to C-1; weight (N,) or (0,); class_weight (C,) or (0,).
    """
    number = grad.dtype.type
    rows, classes = logits.shape
    mass, known = _mass(labels, classes, class_weight)
    if not known:
        return 0.0, False
    shared = smoothing / classes
    spread = shared * class_weight.sum() if class_weight.size else smoothing
    total = 0.0
    for n in range(rows):
        label, own = labels[n], _weight(weight, n)
        sure = (1 - smoothing) * _weight(class_weight, label)
        largest = logits[n].max()
        powers = 0.0
        for c in range(classes):
            grad[n, c] = approximations.exp(logits[n, c] - largest)
        for c in range(classes):
            powers += grad[n, c]
        # the small differences first: beside a large logit the logarithm would lose its digits
        loss = (sure + spread) * math.log(powers) + sure * (largest - logits[n, label])
        if smoothing != 0:
            for c in range(classes):
                loss += shared * _weight(class_weight, c) * (largest - logits[n, c])
        total += own * loss
        factor = number(number(own * (sure + spread) / mass) / powers)
        for c in range(classes):
            grad[n, c] *= factor
        if smoothing != 0:
            for c in range(classes):
                grad[n, c] -= number(own * shared * _weight(class_weight, c) / mass)
        grad[n, label] -= number(own * sure / mass)
    return total / mass, True


@njit(cache=True, nogil=True, error_model="numpy")
def _weight(weight, i):
    """Weight number i, as float64; 1 where there are none."""
    return np.float64(weight[i]) if weight.size else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _mass(labels, classes, class_weight):
    """The sum of the weights of the labels, and whether each is one of the classes."""
    mass = 0.0
    for label in labels:
        if label < 0 or label >= classes:
            return mass, False
        mass += _weight(class_weight, label)
    return mass, True


@njit(cache=True, nogil=True, error_model="numpy")
def sizes(p):
    """The sum of |p|, in float64."""
    total = 0.0
    for i in range(p.size):
        total += abs(p[i])
    return total
