"""Tapes on a GPU: a `Tape` whose samples have a thread each, by the kernels in `fast/cuda/kernels/tape.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fast.cuda.instructions.reductions import add_up
from fast.cuda.memory import Arrays, DeviceArray, upload
from fast.cuda.updates import update
from fast.optimizers import Settings
from fast.tape import Tape, TapeRun

#: Numbers of all samples together up to which they are computed at once: a gigabyte of float64.
MOST = 2**27


class GpuTape(Tape):
    """A tape on a GPU; see there.

    A thread computes all that its sample needs, also what the samples share: threads that wait would gain nothing.
    """

    device = "cuda"

    def _run(self, samples: Sequence[Any], parameters: Any, weight: float) -> TapeRun:
        """Parts of the samples after each other, where there are too many for the memory."""
        x, numbers = self._columns("run", samples), self._numbers(parameters)
        values, gradients, grad_x = np.empty(len(x), x.dtype), np.zeros_like(numbers), np.zeros_like(x)
        size = max(1, MOST // (self._whole.rows + self._whole.grad_rows))
        shared = upload(numbers)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            lanes = _Lanes(self, x[part])
            lanes.forward(shared)
            values[part] = lanes.values.host()
            if weight:
                gradients += lanes.backward(weight).host()
                grad_x[part] = lanes.input_gradients.host().T
        return TapeRun(values, gradients, grad_x)

    def _train(
        self, x: np.ndarray, numbers: np.ndarray, settings: Settings, state: np.ndarray, losses: np.ndarray
    ) -> int:
        """All samples in memory at once. Each step waits for its loss, for it may be the last one."""
        lanes, parameters, remembered = _Lanes(self, x), upload(numbers), [upload(row) for row in state]
        done = 0
        for step in range(len(losses)):
            lanes.forward(parameters)
            losses[step] = lanes.loss()
            if not math.isfinite(losses[step]):
                break
            gradients, done = lanes.backward(1 / len(x)), step + 1
            p, g, *kept = (array.view(array.size) for array in (parameters, gradients, *remembered))
            options = settings.settings.tolist()
            update(lanes.gpu, settings.kind, options, p, g, kept, settings.done + done, settings.lr)
        numbers[:] = parameters.host()
        state[:] = [row.host() for row in remembered]
        return done

    @cached_property
    def uploaded(self) -> tuple[DeviceArray, DeviceArray, DeviceArray, DeviceArray]:
        """On the GPU: code, pairs and fresh of the program, and the constants."""
        program = self._whole
        arrays = program.code, program.pairs, program.fresh, self._constants.astype(self.dtype)
        code, pairs, fresh, constants = map(upload, arrays)
        return code, pairs, fresh, constants


class _Lanes:
    """Samples beside each other: a row for each value and each gradient, and in it a number for each sample.

    x (N, inputs): the samples.
    """

    def __init__(self, tape: GpuTape, x: np.ndarray) -> None:
        self.program, self.count, self.parameters = tape._whole, len(x), len(tape.parameters)
        self.code, self.pairs, self.fresh, constants = (array.view(*array.shape) for array in tape.uploaded)
        self.gpu = Arrays(x.dtype)
        self._v = DeviceArray((self.program.rows, self.count), x.dtype)
        self._d = DeviceArray((self.program.grad_rows, self.count), x.dtype)
        self._gradients, self._loss = DeviceArray((self.parameters,), x.dtype), DeviceArray((1,), x.dtype)
        self._inputs = slice(self.parameters, self.parameters + x.shape[1])
        self._v[self._inputs].write(x.T)
        self._fill_rows(self.program.leaves, constants)

    def forward(self, parameters: DeviceArray) -> None:
        """Compute all values for these parameters (P,)."""
        self._fill_rows(0, parameters.view(self.parameters))
        self.gpu.launch("tape.forward", self.code, self.pairs, self._v.view(*self._v.shape))

    @property
    def values(self) -> DeviceArray:
        """The results of all samples (N,)."""
        return self._v[self.program.root]

    def loss(self) -> float:
        """The mean of the results; waits until they are computed."""
        add_up(self.gpu, self.values.view(1, self.count, 1), 1 / self.count, self._loss.view(1, 1))
        return float(self._loss.item())

    def backward(self, weight: float) -> DeviceArray:
        """The gradients of the parameters (P,), summed over all samples. weight: the gradient of each result."""
        leaves, root = self._d[: self.program.leaves], self._d[self.program.grad_root]
        self.gpu.launch("moving.fill", 0, leaves.view(leaves.size))
        self.gpu.launch("moving.fill", weight, root.view(self.count))
        whole = self._v.view(*self._v.shape), self._d.view(*self._d.shape)
        self.gpu.launch("tape.backward", self.code, self.pairs, self.fresh, self.program.leaves, *whole)
        rows = self._d[: self.parameters].view(self.parameters, self.count, 1)
        add_up(self.gpu, rows, 1, self._gradients.view(self.parameters, 1))
        self.gpu.done()
        return self._gradients

    @property
    def input_gradients(self) -> DeviceArray:
        """Those of each sample (inputs, N), once there are gradients."""
        return self._d[self._inputs]

    def _fill_rows(self, first: int, numbers: Any) -> None:
        """Rows from a first one on, each full of one of the numbers (K,)."""
        count = numbers.size
        if not count:
            return
        rows = self._v[first : first + count].view(count, self.count, 1)
        self.gpu.launch("moving.spread", numbers.reshape((count, 1)), 1, rows)
