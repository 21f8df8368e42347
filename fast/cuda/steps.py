"""Compiled steps on a GPU: a `Step` whose memory lies there, and whose programs are launched by `Training`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fast.cuda.memory import STREAM, DeviceArray, upload
from fast.cuda.package import cuda, recording_stream
from fast.cuda.programs import GpuRecorder, Program, new_flaws
from fast.cuda.training import Course, Training
from fast.optimizers import Settings
from fast.steps import Loss, Step, timed
from fast.tensors import Tensor


class GpuStep(Step):
    """A compiled training step on a GPU; see there.

    Losses stay on the GPU until a call ends, and nobody waits for them meanwhile. What a step does that a loss which is
    no finite number has ended is taken back.
    """

    _recorder = GpuRecorder

    def __init__(
        self,
        loss: Loss,
        optimizer: Any,
        penalty: Callable[[], Tensor] | None,
        max_norm: float,
        clip_value: float,
        graphs: bool,
    ) -> None:
        super().__init__(loss, optimizer, penalty, max_norm, clip_value)
        self.stream = recording_stream() if graphs else STREAM

    def _zeros(self, *shape: int) -> DeviceArray:
        return upload(np.zeros(shape, self.dtype))

    def _enlarge(self, size: int) -> None:
        before, self._memory = self._memory, self._zeros(size)
        self._memory[: len(before)] = before

    def _there(self, tables: tuple[np.ndarray, np.ndarray]) -> tuple[Any, Any]:
        return cuda.to_device(np.ascontiguousarray(tables[0])), cuda.to_device(np.ascontiguousarray(tables[1]))

    def _join(self) -> Any:
        """A program for each recorder, in the memory that they share, and what trains with them."""
        memory, flaws = self._memory.view(self._memory.size), new_flaws()
        programs = [Program(recorder, memory, flaws, self._count, self.stream) for recorder in self._recorders]
        state = [row.view(row.size) for row in self._state]
        self._training = Training(programs, state, list(self._buffers.values()))
        return programs

    def _read_counts(self) -> None:
        for program in self._programs:
            program.recorder.read_counts(program.integers)

    def _train(
        self,
        floats: Any,
        whole: Any,
        order: np.ndarray,
        which: np.ndarray,
        rates: np.ndarray,
        steps: np.ndarray,
        shares: np.ndarray,
        updates: bool = True,
    ) -> np.ndarray:
        settings = self._begin()
        course = Course(floats, whole, order, which, steps, shares, rates)
        done = self._training.run(course, settings, self.limits.tolist(), updates)
        ended = len(rates) if done.batches == len(order) else int(steps[done.batches])
        self._count += done.batches
        self._end(settings, ended if updates else 0)
        self._grow(which[: done.batches + 1])
        if done.refused:
            program = self._programs[which[done.batches]]
            integers = program.whole(0, program.integers.size).copy_to_host()
            self._complain(program.recorder, self._memory.host(), integers, ended)
        return done.losses[: ended + 1]

    def _seconds(self, number: int, k: int) -> float:
        """How long instruction k of a program takes, launches included."""
        return _timed(lambda: self._programs[number].replay(k, k + 1))

    def _seconds_of_update(self, settings: Settings) -> float:
        return _timed(self._training.update_of_copies(settings, self.limits.tolist()))


def _timed(work: Callable[[], None]) -> float:
    def ten_times() -> None:
        for _ in range(10):
            work()
        cuda.synchronize()

    return timed(ten_times, 10)
