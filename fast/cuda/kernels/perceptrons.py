"""Many networks with two hidden layers trained beside each other, 16 threads for each: sweeps of micrograd's demo.

    score = weight3 @ act(weight2 @ act(weight1 @ x + bias1) + bias2) + bias3; 2 inputs, 16 and 16 units, one score

A thread takes a unit of each hidden layer, and holds its weights and their gradients in registers: memory is asked for
samples alone, which are the same for all networks. What units tell each other goes through shared memory: 16 threads
write a number each, and each of them reads all 16, four at a time. As the threads of a network belong to one warp, they
need not wait for the rest of their block.

On the way forward a unit of the second layer needs its row of weight2, on the way back a unit of the first layer needs
its column. A thread holds both; rows are what is learned, and become columns after each step.
"""

from __future__ import annotations

from fast.cuda.arguments import Batches, Count, Matrix, Vector
from fast.cuda.intrinsics import load, store
from fast.cuda.kernels.lanes import SIZE, activate, add, dot, slope
from fast.cuda.package import cuda, device
from fast.cuda.warps import ALL

#: The inputs of a network, and the units of each hidden layer, which are half a warp.
INPUTS, UNITS = 2, SIZE
#: The networks of a block, and its threads.
RUNS = 8
THREADS = RUNS * UNITS
#: Where the six arrays of a network begin, one behind the other, in the order of its layers.
_BIAS1 = UNITS * INPUTS
_WEIGHT2 = _BIAS1 + UNITS
_BIAS2 = _WEIGHT2 + UNITS * UNITS
_WEIGHT3 = _BIAS2 + UNITS
_BIAS3 = _WEIGHT3 + UNITS
#: All of them together.
WEIGHTS = _BIAS3 + 1
#: What a thread holds besides a row of weight2: two of weight1, bias1, bias2, one of weight3, and bias3 as all do.
_OWN = 6
#: From one row of weight2 to the next in shared memory: 1 more than a row, so that columns lie in different banks.
_STRIDE = UNITS + 1
_TOLD, _TURNED = 2 * THREADS, THREADS * _STRIDE


def train(
    x: Matrix,
    y: Vector,
    rates: Vector,
    batches: Batches,
    steps: Count,
    activation: Count,
    weights: Matrix,
    losses: Matrix,
):
    """losses (steps, R): the mean of relu(1 - y * score), of each run in each step, before its update.

    x (N, 2), y (N,), -1 or +1: the samples. rates (R,): the learning rates. batches (steps, B): the samples of each
    step; (steps, 0) for all.
    activation: as in `lanes`.
    weights (R, 337): weight1 (16, 2), bias1, weight2 (16, 16), bias2, weight3 and bias3 of each run, row by row; as
    they begin, and then as they end.
    """
    number = x.dtype.type
    told = cuda.shared.array(_TOLD, x.dtype, alignment=16)
    turned = cuda.shared.array(_TURNED, x.dtype)
    own, slopes = cuda.local.array(_OWN, x.dtype), cuda.local.array(_OWN, x.dtype)
    row, row_slopes = cuda.local.array(UNITS, x.dtype), cuda.local.array(UNITS, x.dtype)
    column = cuda.local.array(UNITS, x.dtype)
    run = cuda.blockIdx.x * RUNS + cuda.threadIdx.x // UNITS
    mine = run < rates.size
    for k in range(_OWN):
        own[k] = number(0)
    for i in range(UNITS):
        row[i] = number(0)
    if mine:  # threads without a run train one of zeros, for their warp waits for all of its threads
        _read(weights, run, own, row)
    rate = rates[run] if mine else number(0)
    _turn(row, turned, column)
    chosen = batches.shape[1]
    count = chosen if chosen else x.shape[0]
    share = number(1) / number(count)
    for step in range(steps):
        for k in range(_OWN):
            slopes[k] = number(0)
        for i in range(UNITS):
            row_slopes[i] = number(0)
        loss = number(0)
        for k in range(count):
            n = batches[step, k] if chosen else k
            loss += _learn(x[n, 0], x[n, 1], y[n], activation, told, own, row, column, slopes, row_slopes)
        for k in range(_OWN):
            own[k] -= rate * share * slopes[k]
        for i in range(UNITS):
            row[i] -= rate * share * row_slopes[i]
        _turn(row, turned, column)
        if mine and cuda.threadIdx.x % UNITS == 0:
            losses[step, run] = loss * share
    if mine:
        _write(weights, run, own, row)


@device
def _learn(x0, x1, target, activation, told, own, row, column, slopes, row_slopes):
    """Add the gradients of a sample to `slopes` and `row_slopes`; returns its loss.

    told: shared, what the units of the first layer tell those of the second, and behind it what these tell back. Each
    half is read by all before anybody has passed the next `syncwarp`, behind which it is written again.
    """
    number, unit = type(x0), cuda.threadIdx.x % UNITS
    first = cuda.threadIdx.x - unit
    h1 = activate(activation, own[0] * x0 + own[1] * x1 + own[2])
    store(told, first + unit, h1)
    cuda.syncwarp()
    h2 = activate(activation, own[3] + dot(row, told, first))
    score = own[5] + _sum(own[4] * h2)

    margin = number(1) - target * score
    above = number(0) if margin <= number(0) else -target
    slopes[5] += above
    slopes[4] += above * h2
    back = above * own[4] * slope(activation, h2)
    slopes[3] += back
    add(row_slopes, back, told, first)

    store(told, THREADS + first + unit, back)
    cuda.syncwarp()
    back = dot(column, told, THREADS + first) * slope(activation, h1)
    slopes[2] += back
    slopes[1] += back * x1
    slopes[0] += back * x0
    return number(0) if margin <= number(0) else margin


@device
def _sum(x):
    """The sum of the x of a network's 16 threads, in each of them."""
    for bit in (8, 4, 2, 1):
        x += cuda.shfl_xor_sync(ALL, x, bit)
    return x


@device
def _turn(row, turned, column):
    """column[j] = row[i] of the thread of unit j, where i is the unit of this one; turned: shared."""
    unit = cuda.threadIdx.x % UNITS
    first = (cuda.threadIdx.x - unit) * _STRIDE
    for i in range(UNITS):
        store(turned, first + unit * _STRIDE + i, row[i])
    cuda.syncwarp()
    for j in range(UNITS):
        column[j] = load(turned, first + j * _STRIDE + unit)
    cuda.syncwarp()


@device
def _read(weights, run, own, row):
    """What belongs to this thread's units."""
    unit = cuda.threadIdx.x % UNITS
    own[0], own[1] = weights[run, unit * INPUTS], weights[run, unit * INPUTS + 1]
    own[2], own[3] = weights[run, _BIAS1 + unit], weights[run, _BIAS2 + unit]
    own[4], own[5] = weights[run, _WEIGHT3 + unit], weights[run, _BIAS3]
    for i in range(UNITS):
        row[i] = weights[run, _WEIGHT2 + unit * UNITS + i]


@device
def _write(weights, run, own, row):
    """And back."""
    unit = cuda.threadIdx.x % UNITS
    weights[run, unit * INPUTS], weights[run, unit * INPUTS + 1] = own[0], own[1]
    weights[run, _BIAS1 + unit], weights[run, _BIAS2 + unit] = own[2], own[3]
    weights[run, _WEIGHT3 + unit] = own[4]
    if unit == 0:
        weights[run, _BIAS3] = own[5]
    for i in range(UNITS):
        weights[run, _WEIGHT2 + unit * UNITS + i] = row[i]
