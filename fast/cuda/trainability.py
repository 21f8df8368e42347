"""Many trainings of one small network on a GPU, a thread for each: see `fast/functional/trainability.py`.

While a kernel runs, a GPU that drives a display draws nothing there, systems end kernels that take some seconds, and
Python does not hear Ctrl-C. So a launch makes a few steps of all runs, as many as take a moment on the GPU at hand.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fast.creation import zeros
from fast.cuda.gpu import empty
from fast.cuda.kernels import lanes
from fast.cuda.memory import Arrays, DeviceArray
from fast.cuda.package import cuda
from fast.functional.shapes import cat
from fast.tensors import Tensor
from micro import no_grad
from micro.functional.trainability import LAST, LIMIT

#: Seconds that a launch takes at most, unless a single step of all runs takes longer.
MOMENT = 0.2
#: Bytes of shared memory that a block has on every GPU.
_SHARED = 48 * 1024


def train_two_layers(
    x: Tensor,
    y: Tensor,
    weight0: Tensor,
    weight1: Tensor,
    rates: Tensor,
    offsets: Tensor | None,
    batches: Tensor | None,
    steps: int,
    activation: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each run the sum of v, the sum of 1 / v, and the mean of the last v, each (R,), in the type of weight0.

    All tensors lie on the GPU; activation: its number in the kernels.
    """
    dtype = weight0.dtype
    _check_sizes(x, weight0, np.dtype(dtype).itemsize)
    gpu, runs = Arrays(np.dtype(dtype)), rates.shape[0]
    with no_grad():
        nothing = zeros(runs, dtype=dtype, device="cuda")
        shifts = nothing if offsets is None else offsets.to(dtype)
        begin = cat([weight0.reshape(-1, 1) + shifts, weight1.to(dtype).reshape(-1, 1) + nothing])
        given = [_numbers(tensor.to(dtype)) for tensor in (x, y, rates.T)]
    chosen = empty((0, 0), np.int64) if batches is None else _numbers(batches)
    sums: Any = DeviceArray((4, runs), dtype)
    room = _numbers(begin), gpu.new(x.shape[0], runs), sums.view(4, runs)
    done, count = 0, 1
    while done < steps:
        started, end = time.perf_counter(), min(done + count, steps)
        gpu.launch("lanes.train", *given, chosen, done, end, steps - LAST, activation, LIMIT, *room)
        cuda.synchronize()
        done = end
        if time.perf_counter() - started < MOMENT / 2:
            count *= 2
    return Tensor(sums[0]), Tensor(sums[1]), Tensor(sums[2]) / min(steps, LAST)


def _numbers(tensor: Tensor) -> Any:
    return tensor.data.view(*tensor.shape)


def _check_sizes(x: Tensor, weight0: Tensor, itemsize: int) -> None:
    """The kernel is written for one size, and holds all samples in shared memory."""
    if weight0.shape != (lanes.SIZE, lanes.SIZE):
        raise ValueError(
            f"train_two_layers: weight0 has shape {weight0.shape}; on a GPU it must be (16, 16); compute others on the "
            "CPU, with tensor.cpu()"
        )
    most = _SHARED // (itemsize * (lanes.SIZE + 1))
    if x.shape[0] > most:
        raise ValueError(
            f"train_two_layers: x has {x.shape[0]} samples; on a GPU there may be {most} of {8 * itemsize} bits; give "
            "fewer, or compute on the CPU, with tensor.cpu()"
        )
