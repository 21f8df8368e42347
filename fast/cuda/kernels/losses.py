"""Losses, each with its gradient from the same pass over the data; the formulas are those of `fast/kernels/losses.py`.

The mean of a loss is put together in two launches: every block writes the sum of its elements to `parts`, and
`reductions.sum_rows` adds those up. So no thread waits for another, and the sum is the same every time. `scale` is 1
over the number of elements. `weight` is what the loss of each element, or row, is multiplied by; of length 0 it stands
for ones. `flaws` (1,) counts elements that are not of the kind that the loss takes; it begins as 0.
"""

from __future__ import annotations

import math

from fast.cuda.arguments import Labels, Matrix, Number, Places, Vector
from fast.cuda.kernels.reductions import largest_of_row
from fast.cuda.package import cuda, device
from fast.cuda.warps import WARP, block_sum, warp_of_grid, warp_sum

# ----------------------------------------------------------------------------------------------------------------------
# Of one element after the other: prediction, target, weight and grad (N,), parts (blocks,). A thread takes an element,
# and goes on by as many as there are threads.


def mse_loss(prediction: Vector, target: Vector, weight: Vector, scale: Number, grad: Vector, parts: Vector):
    """mean of (p - t)^2; grad = 2 (p - t) / N."""
    number = grad.dtype.type
    total = number(0)
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        difference, share = prediction[i] - target[i], scale * _weight(weight, i)
        grad[i] = number(2) * difference * share
        total += difference * difference * share
    _write_part(total, parts)


def l1_loss(prediction: Vector, target: Vector, weight: Vector, scale: Number, grad: Vector, parts: Vector):
    """mean of |p - t|; grad = sign(p - t) / N, 0 where they are equal."""
    total = grad.dtype.type(0)
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        difference, share = prediction[i] - target[i], scale * _weight(weight, i)
        grad[i] = _sign(difference) * share
        total += abs(difference) * share
    _write_part(total, parts)


def huber_loss(
    prediction: Vector, target: Vector, weight: Vector, scale: Number, delta: Number, grad: Vector, parts: Vector
):
    """mean of b (|e| - b / 2) for e = p - t and b = |e| bent to delta; grad = sign(e) b / N."""
    number = grad.dtype.type
    total = number(0)
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        difference, share = prediction[i] - target[i], scale * _weight(weight, i)
        size = abs(difference)
        bent = delta if size > delta else size
        grad[i] = _sign(difference) * bent * share
        total += bent * (size - number(0.5) * bent) * share
    _write_part(total, parts)


def hinge_loss(
    prediction: Vector, target: Vector, weight: Vector, scale: Number, grad: Vector, parts: Vector, flaws: Places
):
    """mean of relu(1 - t p), t = -1 or +1; grad = -t / N where 1 - t p > 0, else 0."""
    number = grad.dtype.type
    total = number(0)
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        if abs(target[i]) != number(1):
            cuda.atomic.add(flaws, 0, 1)
        margin, share = number(1) - target[i] * prediction[i], scale * _weight(weight, i)
        inside = margin <= number(0)
        grad[i] = number(0) if inside else -target[i] * share
        total += number(0) if inside else margin * share
    _write_part(total, parts)


def binary_cross_entropy(
    prediction: Vector, target: Vector, weight: Vector, scale: Number, grad: Vector, parts: Vector, flaws: Places
):
    """mean of -(t log p + (1 - t) log(1 - p)), p, t in [0, 1]; logarithms, and with them gradients, stop at -100."""
    number = grad.dtype.type
    least, total = number(-100), number(0)
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        p, t, share = prediction[i], target[i], scale * _weight(weight, i)
        if p < number(0) or p > number(1) or t < number(0) or t > number(1):
            cuda.atomic.add(flaws, 0, 1)
        yes, no = math.log(p), math.log1p(-p)
        slope = number(0) if yes < least else -t / p
        slope += number(0) if no < least else (number(1) - t) / (number(1) - p)
        yes, no = (least if yes < least else yes), (least if no < least else no)
        grad[i] = slope * share
        total -= (t * yes + (number(1) - t) * no) * share
    _write_part(total, parts)


def binary_cross_entropy_with_logits(
    prediction: Vector,
    target: Vector,
    weight: Vector,
    pos_weight: Vector,
    scale: Number,
    grad: Vector,
    parts: Vector,
    flaws: Places,
):
    """mean of (1 - t) x + c softplus(-x), c = 1 + (pos_weight - 1) t; grad = (1 - t - c sigmoid(-x)) / N; t in [0, 1].

    pos_weight has an element for each x; of length 0 it stands for ones. exp is taken of negative numbers only.
    """
    number = grad.dtype.type
    one, zero, total = number(1), number(0), number(0)
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        x, t, share = prediction[i], target[i], scale * _weight(weight, i)
        if t < zero or t > one:
            cuda.atomic.add(flaws, 0, 1)
        power = math.exp(-abs(x))
        counts = one + (_weight(pos_weight, i) - one) * t
        below = (one if x < zero else power) / (one + power)
        grad[i] = (one - t - counts * below) * share
        softplus = (zero if x >= zero else -x) + math.log1p(power)
        total += ((one - t) * x + counts * softplus) * share
    _write_part(total, parts)


@device
def _sign(x):
    number = type(x)
    return number(1) if x > number(0) else number(-1) if x < number(0) else x


@device
def _weight(weight, i):
    """Weight number i; 1 where there are none."""
    return weight[i] if weight.size else weight.dtype.type(1)


@device
def _write_part(total, parts):
    """parts[b] = the sum of the totals of all threads of block b."""
    room = cuda.shared.array(WARP, parts.dtype)
    total = block_sum(total, room)
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = total


# ----------------------------------------------------------------------------------------------------------------------
# Of rows: logits, log_probabilities and grad (N, C), labels (N,), weight (N,) or (0,), class_weight (C,) or (0,), and
# mass (1,), the sum of the weights of the labels, that is N where classes have none. losses (N,): the share of each row
# in the mean. A warp takes a row.


def label_mass(labels: Labels, class_weight: Vector, grad: Matrix, parts: Vector, flaws: Places):
    """The sum over n of class_weight[labels[n]], in parts; of labels that are no column of grad (N, C), the number."""
    total = grad.dtype.type(0)
    for n in range(cuda.grid(1), labels.size, cuda.gridsize(1)):
        if _known(labels[n], grad):
            total += _weight(class_weight, labels[n])
        else:
            cuda.atomic.add(flaws, 0, 1)
    _write_part(total, parts)


def nll_loss(
    log_probabilities: Matrix,
    labels: Labels,
    weight: Vector,
    class_weight: Vector,
    mass: Vector,
    grad: Matrix,
    losses: Vector,
):
    """mean over rows of -log_probabilities[label]; grad = -one_hot(label) / N; nan for unknown labels."""
    number = grad.dtype.type
    n, lane = warp_of_grid()
    if n < labels.size:
        label, share = labels[n], number(math.nan)
        if _known(label, grad):
            share = _weight(weight, n) * _weight(class_weight, label) / mass[0]
        for c in range(lane, grad.shape[1], WARP):
            grad[n, c] = -share if c == label else number(0)
        if lane == 0:
            losses[n] = -log_probabilities[n, label] * share if _known(label, grad) else share


def cross_entropy(
    logits: Matrix,
    labels: Labels,
    weight: Vector,
    class_weight: Vector,
    smoothing: Number,
    mass: Vector,
    grad: Matrix,
    losses: Vector,
):
    """mean over rows of (sum of q) log(sum of exp(x)) - sum of q x; grad = ((sum of q) softmax(x) - q) / N.

    q is the wanted distribution: smoothing / C for each class, and 1 - smoothing more for the label; each multiplied by
    the weight of its class. Rows with an unknown label become nan.

    The row is read three times, for its largest number, for the sums and for the gradient, but only the first time from
    memory; softmax, logarithm and gradient as launches of their own would read and write it seven times.
    """
    number = grad.dtype.type
    n, lane = warp_of_grid()
    if n < labels.size:
        largest = largest_of_row(logits, n, lane)
        powers, counts, below = number(0), number(0), number(0)
        for c in range(lane, grad.shape[1], WARP):
            x, w = logits[n, c], _weight(class_weight, c)
            powers += math.exp(x - largest)
            counts += w
            below += w * (largest - x)
        powers, counts, below = warp_sum(powers), warp_sum(counts), warp_sum(below)

        label, own = labels[n], _weight(weight, n) / mass[0]
        sure = largest_less = number(math.nan)
        if _known(label, grad):
            sure, largest_less = (number(1) - smoothing) * _weight(class_weight, label), largest - logits[n, label]
        shared = smoothing / number(grad.shape[1])
        mean_power = own * (sure + shared * counts) / powers
        for c in range(lane, grad.shape[1], WARP):
            wanted = shared * _weight(class_weight, c) + (sure if c == label else number(0))
            grad[n, c] = mean_power * math.exp(logits[n, c] - largest) - own * wanted
        if lane == 0:
            smooth = shared * below if smoothing != number(0) else number(0)  # 0 times infinity is nothing here
            losses[n] = own * ((sure + shared * counts) * math.log(powers) + sure * largest_less + smooth)


@device
def _known(label, matrix):
    """Whether a label is the number of a column."""
    return 0 <= label < matrix.shape[1]


# ----------------------------------------------------------------------------------------------------------------------
# The penalty for the sizes of parameters. (That for their squares is `updates.squares`, and its gradient a multiple.)


def sizes(p: Vector, parts: Vector):
    """parts[b] = the sum of |p| over the elements of block b."""
    total = p.dtype.type(0)
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        total += abs(p[i])
    _write_part(total, parts)


def sizes_grad(p: Vector, grad: Vector, y: Vector):
    """y[i] = sign(p[i]) * grad[0]."""
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        y[i] = _sign(p[i]) * grad[0]
