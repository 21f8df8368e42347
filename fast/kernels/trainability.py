"""Many small networks trained beside each other: one hidden layer, gradient descent, only their losses are kept.

    weight0 (H, in), weight1 (H,), x (N, in), y (N,): prediction = mean over H of weight1 * activation(weight0 @ x)

A run is trained from beginning to end by one thread, in 100 KB that stay in its cache. Numbers of one hidden unit lie
next to each other, (H, N), so that every loop over the samples vectorises; the two large products are left to BLAS.
"""

import math

import numpy as np
from numba import njit, prange

#: The activations.
TANH, RELU, IDENTITY = 0, 1, 2


# ----------------------------------------------------------------------------------------------------------------------
# tanh of float64, computed as in `fast/approximations.py`, which explains the steps. math.tanh takes 13 ns.

# What rounds to a whole number, above 2^52, with the bias of the exponent
_ROUND = 1.5 * 2.0**52 + 1023
_LOG2_E = 1 / math.log(2)
# log(2) in two pieces; the first has 32 bits, so that its products with whole numbers are exact
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
# exp(r) = 1 + r + r^2 (E2 + E3 r + ...), |r| < 0.3469: 2e-17 of exp(r) - 1 (exchange algorithm of Remez)
_E2, _E3, _E4, _E5, _E6 = (
    0.5000000000000005,
    0.16666666666666588,
    0.04166666666657611,
    0.008333333333389962,
    0.0013888888931794866,
)
_E7, _E8, _E9, _E10, _E11 = (
    0.0001984126971833549,
    2.48015049790008e-05,
    2.7557407870745199e-06,
    2.7626161385112903e-07,
    2.5053774685272922e-08,
)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def tanh64(x):
    """tanh(x) = q / (q + 2) with the sign of x, where q = exp(2 |x|) - 1; off by 2.5 ulp at most.

    From 22 on it is 1. With 2 |x| = n log(2) + r, q is 2^n (1 + p) - 1, where p = exp(r) - 1: no digits are lost near
    zero, where n is 0 and q is p.
    """
    a = abs(x)
    a = 22.0 if a > 22.0 else a
    a = a + a
    z = a * _LOG2_E + _ROUND
    n = z - _ROUND
    s = np.int64(np.float64(z).view(np.int64) << 52).view(np.float64)
    high, low = a - n * _LN2_HIGH, n * _LN2_LOW
    r = high - low
    q = (((_E11 * r + _E10) * r + _E9) * r + _E8) * r + _E7
    q = ((((q * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    p = high + (r * r * q - low)
    q = (s - 1.0) + s * p
    return math.copysign(q / (q + 2.0), x)


# ----------------------------------------------------------------------------------------------------------------------
# The runs.


@njit(cache=True, nogil=True, error_model="numpy")
def train(x, columns, y, weight0, weight1, rates, offsets, batches, steps, activation, limit, last, sums):
    """sums (R, 3): of each run the sum of v, the sum of 1 / v, and the mean of the `last` v.

    v = loss / first loss in each step; `limit` where it is above that, or no number.

    columns (in, N) is the transpose of x; rates (R, 2), offsets (R,), batches (steps, B) or (0, 0) are as in
    `micro.functional.train_two_layers`. x, y and the weights are float64.
    """
    for run in range(len(rates)):
        _train_one(run, x, columns, y, weight0, weight1, rates, offsets, batches, steps, activation, limit, last, sums)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def train_parallel(
    threads, x, columns, y, weight0, weight1, rates, offsets, batches, steps, activation, limit, last, sums
):
    """`train`, with every `threads`th run for each thread: neighbours take about as long as each other."""
    for thread in prange(threads):
        for run in range(np.int64(thread), len(rates), threads):
            _train_one(
                run, x, columns, y, weight0, weight1, rates, offsets, batches, steps, activation, limit, last, sums
            )


@njit(cache=True, nogil=True, error_model="numpy")
def _train_one(run, x, columns, y, weight0, weight1, rates, offsets, batches, steps, activation, limit, last, sums):
    """`train` for one run.

    When an output weight is infinite or nan, all predictions are from then on, for it is part of each; and with them
    all output weights. So every later v is `limit`, and nothing more need be computed.
    """
    weight0, weight1 = weight0.copy(), weight1.copy()
    for j in range(len(weight0)):
        for k in range(weight0.shape[1]):
            weight0[j, k] += offsets[run]
    hidden, errors = np.empty((len(weight0), len(y))), np.empty(len(y))
    few, few_errors = np.empty((len(weight0), batches.shape[1])), np.empty(batches.shape[1])
    few_x = np.empty((batches.shape[1], x.shape[1]))
    first, lost = 0.0, False
    total = inverse = at_last = 0.0
    for step in range(steps):
        ratio = limit
        if not lost:
            loss = _forward(columns, y, weight0, weight1, activation, hidden, errors)
            first = loss if step == 0 else first
            ratio = loss / first
            ratio = ratio if ratio <= limit else limit  # for nan, too
            if len(batches) == 0:
                _update(x, hidden, errors, weight0, weight1, rates[run, 0], rates[run, 1], activation)
            else:
                _gather(batches[step], x, hidden, errors, few_x, few, few_errors)
                _update(few_x, few, few_errors, weight0, weight1, rates[run, 0], rates[run, 1], activation)
            for number in weight1:
                lost = lost or not math.isfinite(number)
        total += ratio
        inverse += 1.0 / ratio
        at_last += ratio if step >= steps - last else 0.0
    sums[run, 0], sums[run, 1], sums[run, 2] = total, inverse, at_last / min(steps, last)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _forward(columns, y, weight0, weight1, activation, hidden, errors):
    """hidden = activation(weight0 @ columns); errors = prediction - y; returns the mean of their squares."""
    np.dot(weight0, columns, hidden)
    _activate(activation, hidden.reshape(hidden.size))
    for i in range(len(errors)):
        errors[i] = -y[i]
    for j in range(len(weight1)):
        row, w = hidden[j], weight1[j] / len(weight1)
        for i in range(len(errors)):
            errors[i] += w * row[i]
    squares = 0.0
    for i in range(len(errors)):
        squares += errors[i] * errors[i]
    return squares / len(errors)


@njit(cache=True, nogil=True, error_model="numpy")
def _activate(activation, z):
    """z = activation(z)."""
    if activation == TANH:
        for i in range(z.size):
            z[i] = tanh64(z[i])
    elif activation == RELU:
        for i in range(z.size):
            z[i] = z[i] if not z[i] < 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _update(x, hidden, errors, weight0, weight1, rate0, rate1, activation):
    """One step of gradient descent. The activations in `hidden` become the gradients of what they were made of."""
    scale = 2.0 / (len(errors) * len(weight1))
    grad1 = np.dot(hidden, errors)
    for j in range(len(weight1)):
        row, w = hidden[j], weight1[j] * scale
        if activation == TANH:
            for i in range(len(errors)):
                row[i] = w * errors[i] * (1.0 - row[i] * row[i])
        elif activation == RELU:
            for i in range(len(errors)):
                row[i] = w * errors[i] * (1.0 if row[i] > 0.0 else 0.0)
        else:
            for i in range(len(errors)):
                row[i] = w * errors[i]
        weight1[j] -= rate1 * scale * grad1[j]
    grad0 = np.dot(hidden, x)
    for j in range(len(weight0)):
        for k in range(weight0.shape[1]):
            weight0[j, k] -= rate0 * grad0[j, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(batch, x, hidden, errors, few_x, few, few_errors):
    """What belongs to the samples of a batch."""
    for i in range(len(batch)):
        sample = batch[i]
        few_errors[i] = errors[sample]
        for k in range(x.shape[1]):
            few_x[i, k] = x[sample, k]
        for j in range(len(hidden)):
            few[j, i] = hidden[j, sample]
