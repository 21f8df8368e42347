"""Many steps of a training on a GPU: what `kernels.steps.train` does on the CPU.

The data are on the GPU before it begins. For each batch Python launches what puts its rows in their places, the
instructions of its program, and, behind the last batch of a step, the update; losses are noted on the GPU. Nobody waits
before the end. Then it may turn out that a loss is no finite number, with which a training ends: parameters and all
that they depend on are set back to the beginning, and the steps before that one are done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fast.cuda import package
from fast.cuda.gpu import empty
from fast.cuda.programs import Program
from fast.cuda.updates import clip, update
from fast.optimizers import Settings
from fast.recording import Place


class Course(NamedTuple):
    """The batches of a training, one after the other.

    floats (N, F), whole (N, W): what each row gives, be it a sample or a whole batch; on the GPU, float as the
        parameters are, and int64. order (batches, B): the rows of each batch, -1 behind the last of a smaller one.
    which, steps, shares (batches,): the program of each, to which step it belongs, and what part of its step it is.
    rates (steps,): the learning rates.
    """

    floats: Any
    whole: Any
    order: np.ndarray
    which: np.ndarray
    steps: np.ndarray
    shares: np.ndarray
    rates: np.ndarray


class Done(NamedTuple):
    """batches: how many have been carried out; losses (steps,), float64; refused: whether the next batch has numbers
    that a loss does not take. Without that, if a batch is left, its loss is no finite number.
    """

    batches: int
    losses: np.ndarray
    refused: bool


class Training:
    """Parameters, their gradients and what an optimizer remembers of them, on the GPU, and programs that train them.

    programs: for all shapes of batches, with one memory and one `flaws`. The memory begins with the parameters, (P,),
        and their gradients.
    state: three arrays (P,). buffers: places of tensors that steps themselves change, such as running means.
    """

    def __init__(self, programs: Sequence[Program], state: Sequence[Any], buffers: Sequence[Place] = ()) -> None:
        self.programs, self.state = programs, state
        memory, size = programs[0].memory, state[0].size
        self.parameters, self.gradients = memory[:size], memory[size : 2 * size]
        self._kept = [self.parameters, *state, *[programs[0].array(place, place.size) for place in buffers]]
        self._before = [empty(array.shape, array.dtype) for array in self._kept]

    def run(self, course: Course, settings: Settings, limits: Sequence[float], updates: bool = True) -> Done:
        """All batches of a course, with a step of the optimizer behind the last of each step, if there are `updates`.

        settings: the optimizer's; limits: of the norm of all gradients, and of each of their elements.
        """
        integers = [program.integers.copy() for program in self.programs]
        self._copy(self._kept, self._before)
        losses, goals = self._carry_out(course, len(course.order), settings, limits, updates)
        wrong = np.flatnonzero(~np.isfinite(goals))
        if not wrong.size:
            return Done(len(course.order), losses, False)
        last = int(wrong[0])
        self._copy(self._before, self._kept)
        for program, numbers in zip(self.programs, integers, strict=True):
            program.integers[:] = numbers
        self._set_flaws()
        losses, _ = self._carry_out(course, last, settings, limits, updates)
        program = self._forward(_Batches(course), last)
        refused = bool(self._fetch(program.flaws)[0])
        self._set_flaws()
        if not refused:
            losses[course.steps[last]] = self._fetch(program.results[1])[0]
        return Done(last, losses, refused)

    def _carry_out(
        self, course: Course, count: int, settings: Settings, limits: Sequence[float], updates: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first so many batches; returns the losses of all steps, and what was to become small in each batch."""
        batches, gpu = _Batches(course), self.programs[0]
        losses, goals = empty(course.rates.shape, gpu.dtype), empty(course.order.shape[:1], gpu.dtype)
        for array in (losses, goals):
            gpu.launch("moving.fill", 0, array)
        for k in range(count):
            step, program = int(course.steps[k]), self._forward(batches, k)
            loss, goal, _ = program.results
            program.launch("updates.note", loss, goal, program.flaws, course.shares[k], step, k, losses, goals)
            self._backward(program, course.shares[k], first=k == 0 or course.steps[k - 1] < step)
            if k + 1 == len(course.order) or course.steps[k + 1] > step:
                self._step(gpu, settings, limits, settings.done + step + 1, course.rates[step], updates)
        return self._fetch(losses).astype(np.float64), self._fetch(goals)

    def _forward(self, batches: _Batches, k: int) -> Program:
        """The way forward of batch k; returns its program."""
        program = self.programs[batches.course.which[k]]
        batches.put(program, k)
        program.replay(0, program.recorder.forward)
        return program

    def _backward(self, program: Program, share: float, first: bool) -> None:
        """The way back; first: of its step, which so far has no gradients to add others to."""
        if program.recorder.adds and first:
            program.launch("moving.fill", 0, self.gradients)
        program.launch("moving.fill", share, program.results[2])
        program.replay(program.recorder.forward)
        for other in self.programs:  # for a layer goes on where it was
            other.grow()

    def _step(
        self, gpu: Program, settings: Settings, limits: Sequence[float], t: int, lr: float, updates: bool
    ) -> None:
        """Limit the gradients, and let the optimizer make its step number t."""
        clip(gpu, limits[0], limits[1], self.gradients)
        if updates:
            kind, numbers = settings.kind, settings.settings.tolist()
            update(gpu, kind, numbers, self.parameters, self.gradients, self.state, t, float(lr))
        gpu.end()

    def _copy(self, sources: Sequence[Any], targets: Sequence[Any]) -> None:
        for x, y in zip(sources, targets, strict=True):
            self.programs[0].launch("moving.copy", x, y)

    def _set_flaws(self) -> None:
        self.programs[0].flaws.copy_to_device(np.zeros(1, np.int32))

    def _fetch(self, array: Any) -> np.ndarray:
        """An array of the GPU, once everything that was launched is done."""
        package.cuda.synchronize()
        return array.copy_to_host()


class _Batches:
    """The batches of a course, as their programs find them."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self._sizes = (course.order >= 0).sum(axis=1)
        self._order = package.cuda.to_device(np.ascontiguousarray(course.order, np.int64))
        self._targets: dict[tuple[int, int], list[tuple[str, Any, int, Any]]] = {}

    def put(self, program: Program, k: int) -> None:
        """Put the rows of batch k where its program expects them: each row gives its share of every input."""
        key = int(self.course.which[k]), int(self._sizes[k])
        if key not in self._targets:
            self._targets[key] = self._find(program, key[1])
        for name, table, first, target in self._targets[key]:
            program.launch(name, self._order, k, table, first, target)

    def _find(self, program: Program, given: int) -> list[tuple[str, Any, int, Any]]:
        """For each input of a batch of so many rows: what puts it there, from which columns of a table, and where."""
        found = []
        for whole, before, count, start in program.inputs:
            name, table = ("take_whole", self.course.whole) if whole else ("take_rows", self.course.floats)
            shape = given, count // given
            target = program.whole(start, *shape) if whole else program.array(Place(count, start), *shape)
            found.append((f"moving.{name}", table, before // given, target))
        return found
