"""Many trainings of one small network, of which only the course of the loss is kept, for trainability maps."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from fast import placement, threads
from fast.kernels import trainability as kernels
from fast.tensors import Tensor
from micro import checks
from micro.functional.trainability import LAST, LIMIT

_ACTIVATIONS = {"tanh": kernels.TANH, "relu": kernels.RELU, "identity": kernels.IDENTITY}


def train_two_layers(
    x: Tensor,
    y: Tensor,
    weight0: Tensor,
    weight1: Tensor,
    rates: Tensor,
    *,
    steps: int,
    activation: str = "tanh",
    offsets: Tensor | None = None,
    batches: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Train a network with one hidden layer R times, by gradient descent, and tell how its loss developed.

    The network is prediction[n] = mean over j of weight1[j] * activation(sum over i of weight0[j][i] * x[n][i]), the
    loss the mean of (prediction - y)^2 over all samples. For every step v is the loss before the update, divided by
    that of the first step; 1e6 where it is above that, infinite, or not a number.

    x (N, in), y (N,): the samples and their targets.
    weight0 (H, in), weight1 (H,): where every run begins.
    rates (R, 2): of each run, the learning rates of weight0 and of weight1.
    steps: how many.
    activation: "tanh" unless given, "relu" or "identity".
    offsets (R,): of each run, what is added to every weight of weight0 before it begins; 0 unless given.
    batches (steps, B): for each step the numbers of the samples whose gradient is taken; all samples unless given. The
        loss is that of all samples in any case.

    The CPU computes in float64. On a GPU, where all tensors have to be then, each run has a thread; the type is that of
    weight0, which must be (16, 16), and all samples have to fit into the memory of a block: 361 of float64, 722 of
    float32.

    Returns, each (R,): the sum of v over the steps, the sum of 1 / v, and the mean of the last 20 v (or of all).
    """
    checks.two_layers(x, y, weight0, weight1, rates, offsets, batches, steps, activation, tuple(_ACTIVATIONS))
    tensors = x, y, weight0, weight1, rates, offsets, batches
    if placement.used and placement.on_gpu("train_two_layers", *tensors):
        results: tuple[Tensor, Tensor, Tensor] = import_module("fast.cuda.trainability").train_two_layers(
            *tensors, steps, _ACTIVATIONS[activation]
        )
        return results
    inputs, targets, first, second, pairs = [_numbers(tensor) for tensor in (x, y, weight0, weight1, rates)]
    shifts = np.zeros(len(pairs)) if offsets is None else _numbers(offsets)
    chosen = np.empty((0, 0), np.int64) if batches is None else np.ascontiguousarray(batches.data)
    columns, sums = np.ascontiguousarray(inputs.T), np.empty((len(pairs), 3))
    arguments = inputs, columns, targets, first, second, pairs, shifts, chosen, steps, _ACTIVATIONS[activation]
    work = len(pairs) * steps * inputs.size * len(first)
    threads.run_product((kernels.train, kernels.train_parallel), work, *arguments, LIMIT, LAST, sums)
    return Tensor(sums[:, 0].copy()), Tensor(sums[:, 1].copy()), Tensor(sums[:, 2].copy())


def _numbers(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.data, np.float64)
