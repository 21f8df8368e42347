"""Many small networks trained beside each other, a thread for each: for maps of what learning rates do.

The network and the formulas are those of `fast/kernels/trainability.py`, of the published size, 16 inputs and 16 hidden
units:

    prediction = mean over j of weight1[j] * activation(sum over i of weight0[j, i] * x[i])

What a thread cannot hold in its registers costs it a trip to memory, and 256 weights, as many gradients and 16
activations of hundreds of samples are too much by far. So it goes unit by unit, with the 16 weights of one unit in
registers, and computes an activation again when it needs it a second time: arithmetic is what a GPU has most of.

Weights lie in memory as (weights, runs). Neighbouring threads train neighbouring runs, so a warp reads 32 of them at
once. The samples are the same for all, and lie in shared memory, where a warp reads a number once for all its threads.
"""

from __future__ import annotations

import math

import numpy as np

from fast.cuda.arguments import Batches, Count, Matrix, Number, Vector
from fast.cuda.intrinsics import fence, load, load4, store
from fast.cuda.package import cuda, device

#: The inputs of the network and its hidden units, and the weights between them.
SIZE = 16
WEIGHTS = SIZE * SIZE
#: Samples whose predictions are summed up side by side, in registers.
CHUNK = 16
#: The activations, numbered as in the CPU's kernels; any other number is the identity.
TANH, RELU = 0, 1


def train(
    x: Matrix,
    y: Vector,
    rates: Matrix,
    batches: Batches,
    begin: Count,
    end: Count,
    final: Count,
    activation: Count,
    limit: Number,
    weights: Matrix,
    errors: Matrix,
    sums: Matrix,
):
    """The steps from `begin` up to, but without, `end` of each of R runs, for a launch should not take long.

    sums (4, R): of each run the sum of v, the sum of 1 / v, the sum of the v from step `final` on, and the first loss,
    which is infinite from where the run is lost. Where `begin` is 0 nothing need be in it; later launches go on.
    v = loss / first loss in each step; `limit` where it is above that, or no number.

    x (N, 16), y (N,): the samples. rates (2, R): of weight0 and of weight1. batches (steps, B): the samples of each
    step's gradient; (0, 0) for all.
    weights (272, R): weight0 as 256 rows, then weight1; they begin as every run begins, and end as it ends.
    errors (N, R): room for prediction - y.
    Shared memory: 17 N numbers, for x and y.
    """
    number = x.dtype.type
    samples = np.int32(x.shape[0])
    shared_x = cuda.shared.array(0, x.dtype, alignment=16)
    _share(x, y, shared_x)
    run = cuda.grid(1)
    if run >= rates.shape[1]:
        return
    if begin == 0:
        for row in range(4):
            sums[row, run] = number(0)
    for step in range(begin, end):
        ratio = limit
        if math.isfinite(sums[3, run]):
            loss = _forward(shared_x, samples, weights, run, activation, errors)
            first = loss if step == 0 else sums[3, run]
            ratio = loss / first
            ratio = ratio if ratio <= limit else limit  # for nan, too
            lost = _update(shared_x, samples, batches, step, weights, run, activation, errors, rates)
            sums[3, run] = number(math.inf) if lost else first
        sums[0, run] += ratio
        sums[1, run] += number(1) / ratio
        sums[2, run] += ratio if step >= final else number(0)


@device
def _share(x, y, shared_x):
    """Copy the samples into shared memory: x, and behind it y."""
    for i in range(cuda.threadIdx.x, x.size, cuda.blockDim.x):
        shared_x[i] = load(x, i)
    for n in range(cuda.threadIdx.x, y.size, cuda.blockDim.x):
        shared_x[x.size + n] = y[n]
    cuda.syncthreads()


@device
def _forward(shared_x, samples, weights, run, activation, errors):
    """errors[n, run] = prediction - y of each sample; returns the mean of their squares."""
    number = weights.dtype.type
    runs, share = weights.shape[1], number(1.0 / SIZE)
    unit, outputs = cuda.local.array(SIZE, weights.dtype), cuda.local.array(CHUNK, weights.dtype)
    squares = number(0)
    for start in range(0, samples, CHUNK):
        for e in range(CHUNK):
            outputs[e] = number(0)
        for j in range(SIZE):
            for i in range(SIZE):
                unit[i] = load(weights, (j * SIZE + i) * runs + run)
            output_weight = load(weights, (WEIGHTS + j) * runs + run) * share
            for e in range(CHUNK):
                fence()
                n = min(start + e, samples - 1)  # the last chunk may be shorter; its last sample is repeated
                outputs[e] += output_weight * activate(activation, dot(unit, shared_x, n * SIZE))
        for e in range(CHUNK):
            n = start + e
            if n < samples:
                error = outputs[e] - load(shared_x, samples * SIZE + n)
                store(errors, n * runs + run, error)
                squares += error * error
    return squares / number(samples)


@device
def _update(shared_x, samples, batches, step, weights, run, activation, errors, rates):
    """A step of gradient descent, unit by unit; returns whether an output weight is now infinite or nan.

    Then all predictions are from then on, for it is part of each, and every later v is the limit.
    """
    number = weights.dtype.type
    runs, chosen = weights.shape[1], batches.shape[1]
    count = chosen if chosen else np.int64(samples)
    scale = number(2) / (number(count) * number(SIZE))
    unit, slopes = cuda.local.array(SIZE, weights.dtype), cuda.local.array(SIZE, weights.dtype)
    lost = False
    for j in range(SIZE):
        for i in range(SIZE):
            unit[i] = load(weights, (j * SIZE + i) * runs + run)
            slopes[i] = number(0)
        output_weight = load(weights, (WEIGHTS + j) * runs + run)
        output_slope = number(0)
        for place in range(count):
            fence()
            n = batches[step, place] if chosen else place
            error = load(errors, n * runs + run)
            h = activate(activation, dot(unit, shared_x, n * SIZE))
            output_slope += error * h
            add(slopes, error * output_weight * slope(activation, h), shared_x, n * SIZE)
        for i in range(SIZE):
            store(weights, (j * SIZE + i) * runs + run, unit[i] - rates[0, run] * scale * slopes[i])
        output_weight -= rates[1, run] * scale * output_slope
        store(weights, (WEIGHTS + j) * runs + run, output_weight)
        lost = lost or not math.isfinite(output_weight)
    return lost


@device
def dot(numbers, others, first):
    """The sum of numbers[i] * others[first + i], 16 of them."""
    total = numbers.dtype.type(0)
    for i in range(0, SIZE, 4):
        x0, x1, x2, x3 = load4(others, first + i)
        total += numbers[i] * x0
        total += numbers[i + 1] * x1
        total += numbers[i + 2] * x2
        total += numbers[i + 3] * x3
    return total


@device
def add(numbers, factor, others, first):
    """numbers[i] += factor * others[first + i], for all 16."""
    for i in range(0, SIZE, 4):
        x0, x1, x2, x3 = load4(others, first + i)
        numbers[i] += factor * x0
        numbers[i + 1] += factor * x1
        numbers[i + 2] += factor * x2
        numbers[i + 3] += factor * x3


@device
def activate(activation, z):
    """The activation of that number, of z."""
    if activation == TANH:
        return type(z)(math.tanh(z))
    if activation == RELU:
        return z if not z < type(z)(0) else type(z)(0)
    return z


@device
def slope(activation, h):
    """The slope of the activation, given its result."""
    number = type(h)
    if activation == TANH:
        return number(1) - h * h
    if activation == RELU:
        return number(1) if h > number(0) else number(0)
    return number(1)
