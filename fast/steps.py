"""`compile_step`: a training step that is recorded once, and then runs without Python, many steps in one call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from fast import optimizers, placement, threads
from fast.addresses import address
from fast.arrays import aligned
from fast.functional.updates import LARGE
from fast.kernels import steps as kernels
from fast.placement import host
from fast.recording import Place, Programs, Recorder, differences_between, rounded
from fast.tensors import Tensor, mark_written, overwrite, taken_back
from micro.vocabulary import grad_mode

#: Tensors in, the loss out.
Loss = Callable[..., Tensor]


class Measured(NamedTuple):
    """An instruction of a step, measured.

    way: "forward", "backward" or "update"; kernel: what computes it; shape: of its result.
    flops: additions and multiplications, an operation on an element counted as one; bytes: of the tensors that it reads
        and writes.
    seconds: how long it takes by itself, over and over: what it needs is then in a cache, if that can hold it.
    """

    way: str
    kernel: str
    shape: tuple[int, ...]
    flops: int
    bytes: int
    seconds: float


class Tables(NamedTuple):
    """Data of a step, prepared by `Step.prepare`.

    arrays: with a row for each sample. floats (N, F), whole (N, W): the same side by side, where the step computes.
    """

    arrays: list[np.ndarray]
    floats: Any
    whole: Any


class Step:
    """A compiled training step: forward, loss, backward, clipping, update. `fast.compile_step` makes it.

    The numbers of the parameters, their gradients and what the optimizer remembers move into memory of the step, which
    the tensors share from then on: what changes here changes there. For each shape of a batch the step is recorded
    anew, which takes as long as a few ordinary steps.
    """

    _recorder: Callable[..., Recorder] = Recorder
    _programs: Any

    def __init__(
        self, loss: Loss, optimizer: Any, penalty: Callable[[], Tensor] | None, max_norm: float, clip_value: float
    ) -> None:
        self.loss, self.optimizer, self.penalty = loss, optimizer, penalty
        self.limits = np.array([max_norm, clip_value], np.float64)
        learning = [(i, p) for i, p in enumerate(optimizer.parameters) if p.requires_grad]
        if not learning:
            raise ValueError(
                "compile_step: no parameter of the optimizer requires a gradient; there is nothing to learn"
            )
        self._numbers = [i for i, _ in learning]  # of the parameters that learn, in the optimizer
        self.parameters: list[Tensor] = [parameter for _, parameter in learning]
        self.dtype: np.dtype = self.parameters[0].data.dtype
        if any(parameter.data.dtype != self.dtype for parameter in self.parameters):
            raise TypeError("compile_step: the parameters are of different types; make all of them float32 or float64")
        self.ends = np.cumsum([parameter.data.size for parameter in self.parameters])
        self._recorders: list[Recorder] = []
        self._known: dict[Any, int] = {}  # which of the recorders knows batches of a shape
        self._buffers: dict[Tensor, Place] = {}
        self._leaves: dict[tuple[Tensor, Place], int] = {}  # when those were written to whose numbers are in the memory
        self._integers = np.empty(0, np.int64)
        self._count = 0  # of the steps so far
        self._memory = self._zeros(2 * self.ends[-1])  # parameters, gradients, and the rest
        self._state = self._zeros(3, self.ends[-1])
        self._views, self._seen = self._make_views(), self._memory  # which they show
        rows = zip(*map(self._split, self._state), strict=True)
        names = optimizers.REMEMBERS[self._settings().kind]
        self._kept = [dict(zip(names, map(Tensor, row), strict=False)) for row in rows]

    def __call__(self, *batch: Any) -> float:
        """One step on a batch, arrays or tensors with a row for each sample; returns its loss before the update."""
        return self._one(batch, updates=True)

    def run(self, data: Sequence[Any], order: Any, learning_rates: Any = None) -> np.ndarray:
        """Many steps in one call; returns their losses, each before its update.

        data: arrays with a row for each sample, as the loss takes them; or what `prepare` has made of them.
        order (steps, batch): the rows of each step's batch; -1 fills up a batch that is smaller. Or (steps, batches,
            batch): the gradients of several batches are added up for one update, as if they were one, in the memory of
            one; -1 fills up a step that has fewer.
        learning_rates (steps,): that of each step; the optimizer's for all unless given.

        A loss that is infinite or not a number is the last one: that step changes nothing.
        """
        tables, order = self.prepare(data), np.atleast_2d(np.asarray(order, np.int64))
        arrays = tables.arrays
        _check_order(order, len(arrays[0]))
        rates = np.full(len(order), self.optimizer.lr) if learning_rates is None else np.asarray(learning_rates, float)
        if rates.shape != order.shape[:1]:
            raise ValueError(
                f"run: learning_rates has shape {rates.shape}, needed is ({len(order)},), one for each step"
            )
        sizes = (order.reshape(len(order), -1, order.shape[-1]) >= 0).sum(axis=2)
        steps, rows = np.nonzero(sizes)[0], order.reshape(-1, order.shape[-1])[sizes.ravel() > 0]
        sizes, which = sizes[sizes > 0], np.empty(len(rows), np.int64)
        several = np.bincount(steps)[steps] > 1
        for size, adds in {*zip(sizes.tolist(), several.tolist(), strict=True)}:
            alike = (sizes == size) & (several == adds)
            which[alike] = self._program([array[rows[alike.argmax(), :size]] for array in arrays], adds)
        shares = sizes / np.bincount(steps, sizes)[steps]
        return self._train(tables.floats, tables.whole, rows, which, rates, steps, shares)

    def prepare(self, data: Sequence[Any] | Tables) -> Tables:
        """Data as `run` takes them; for many calls with the same data it is quicker to do this once.

        On a GPU it copies them there. Arrays that are changed afterwards are not looked at again.
        """
        if isinstance(data, Tables):
            return data
        arrays = self._arrays(data)
        return Tables(arrays, *self._there(_tables(arrays, self.dtype)))

    def run_batches(self, batches: Sequence[Sequence[Any]]) -> np.ndarray:
        """A step on each of these batches in turn, which may be of different shapes; returns their losses, as `run`.

        batches: tuples of arrays, as the loss takes them.
        """
        found = [self._arrays(batch) for batch in batches]
        if not found:
            raise ValueError("run_batches: there are no batches; give at least one")
        which, steps = np.array([self._program(arrays) for arrays in found]), np.arange(len(found))
        rates, tables = np.full(len(found), self.optimizer.lr), self._there(_tables_of_batches(found, self.dtype))
        return self._train(*tables, steps[:, None], which, rates, steps, np.ones(len(found)))

    def gradients(self, *batch: Any, batch_size: int | None = None) -> float:
        """The loss of a batch, and in `grad` of each parameter its gradient; `optimizer.step()` then updates.

        batch_size: of the parts in which it is computed, in less memory; their gradients are added up.
        """
        return self._one(batch, False, batch_size)

    def measure(self, *batch: Any) -> list[Measured]:
        """The recorded instructions for such a batch and the update, each measured by itself; for `viz.roofline`."""
        if not batch:
            raise TypeError("measure, explain: no batch was given; its shape decides what is done: step.explain(x, y)")
        number = self._program(self._arrays(batch))
        recorder, size, settings = self._recorders[number], self.dtype.itemsize, self._settings()
        count, (flops, numbers) = int(self.ends[-1]), optimizers.work(settings)
        update = (
            self.optimizer.update,
            (count,),
            count * flops,
            count * numbers * size,
            self._seconds_of_update(settings),
        )
        return [
            Measured(
                "forward" if k < recorder.forward else "backward",
                *(instruction.kernel, instruction.shape, instruction.flops),
                *(size * sum(p.size for p in instruction.places if p.start >= 0), self._seconds(number, k)),
            )
            for k, instruction in enumerate(recorder.instructions)
        ] + [Measured("update", *update)]

    def explain(self, *batch: Any) -> str:
        """`measure` as a table: what a step on such a batch does, in which order, and how long each part takes."""
        steps = self.measure(*batch)
        lines = [
            f"{len(steps) - 1} instructions and the update for batches of {len(batch[0])}, {self.dtype}, "
            f"{self._memory.nbytes / 2**20:.2f} MB of memory, {self.ends[-1]:,} parameters",
            f"{'':<9}{'kernel':<26}{'result':<20}{'FLOPs':>12}{'bytes':>12}{'time':>13}",
        ]
        for step in steps:
            shape = " x ".join(map(str, step.shape)) or "1"
            figures = f"{step.flops:>12,}{step.bytes:>12,}{step.seconds * 1e6:>10,.1f} us"
            lines.append(f"{step.way:<9}{step.kernel:<26}{shape:<20}{figures}")
        total = sum(step.seconds for step in steps)
        flops, moved = sum(step.flops for step in steps), sum(step.bytes for step in steps)
        lines.append(f"{'':<9}{'together':<46}{flops:>12,}{moved:>12,}{total * 1e6:>10,.1f} us")
        return "\n".join(lines)

    # ------------------------------------------------------------------------------------------------------------------
    # Where the numbers lie.

    def _zeros(self, *shape: int) -> Any:
        """Memory for so many numbers, which begin as 0."""
        return np.zeros(shape, self.dtype)

    def _enlarge(self, size: int) -> None:
        """Make the memory larger, by zeros behind what is there."""
        before, self._memory = self._memory, aligned((size,), self.dtype)
        self._memory[: len(before)], self._memory[len(before) :] = before, 0

    def _there(self, tables: tuple[np.ndarray, np.ndarray]) -> tuple[Any, Any]:
        """Tables of samples where the step computes."""
        return tables

    # ------------------------------------------------------------------------------------------------------------------
    # Running.

    def _one(self, batch: Sequence[Any], updates: bool, batch_size: int | None = None) -> float:
        """One step, with an update or without."""
        arrays = self._arrays(batch)
        count, size = len(arrays[0]), batch_size or len(arrays[0])
        parts = [[array[start : start + size] for array in arrays] for start in range(0, count, size)]
        which = np.array([self._program(part, len(parts) > 1) for part in parts])
        rates, shares = np.array([self.optimizer.lr]), np.array([len(part[0]) / count for part in parts])
        order, steps = np.arange(len(parts))[:, None], np.zeros(len(parts), np.int64)
        tables = self._there(_tables_of_batches(parts, self.dtype))
        return float(self._train(*tables, order, which, rates, steps, shares, updates)[0])

    def _train(
        self,
        floats: np.ndarray,
        whole: np.ndarray,
        order: np.ndarray,
        which: np.ndarray,
        rates: np.ndarray,
        steps: np.ndarray,
        shares: np.ndarray,
        updates: bool = True,
    ) -> np.ndarray:
        """Steps, of a batch each or of several; returns their losses.

        See the kernel for the other arguments.
        """
        settings, found = self._begin(), np.zeros(len(rates))
        programs: Programs = self._programs
        with threads.parallel_products() if programs.parts[which, 8].any() else nullcontext():
            done = kernels.train(
                *(*programs, which, steps, shares, self.limits, self.ends),
                *(settings.kind, settings.settings, settings.done, rates),
                *(self._parallel_update(settings), updates, floats, whole, order),
                *(self._memory, self._integers, self._state, found),
            )
        ended = len(rates) if done == len(order) else int(steps[done])
        self._count += done
        self._end(settings, ended if updates else 0)
        self._grow(which[: done + 1])
        self._check_refused(which, steps, done)
        return found[: ended + 1]

    def _check_refused(self, which: np.ndarray, steps: np.ndarray, done: int) -> None:
        """Raise the error of the loss that did not take its numbers, if one did not."""
        if done == len(which):
            return
        recorder, start = self._recorders[which[done]], self._programs.parts[which[done], 9]
        if self._integers[start + kernels.REFUSED]:
            self._integers[start + kernels.REFUSED] = 0
            self._complain(recorder, self._memory, self._integers[start:], steps[done])

    def _complain(self, recorder: Recorder, memory: np.ndarray, integers: np.ndarray, step: int) -> None:
        """Raise the error of the loss that does not take the numbers of its batch."""
        with taken_back():
            self._losses([self._beside(tensor) for tensor in recorder.read_inputs(memory, integers)])
        raise ValueError(f"run: the loss does not take the numbers of step {step}")

    def _beside(self, tensor: Tensor) -> Tensor:
        """A tensor of a batch, moved to where the parameters lie."""
        return tensor.move_(self.parameters[0].device)

    def _begin(self) -> optimizers.Settings:
        """Let parameters, gradients and what the optimizer remembers lie in the memory of this step."""
        settings = self._settings()
        if self._seen is not self._memory:
            self._views, self._seen = self._make_views(), self._memory
        everything = zip(self._numbers, self.parameters, self._views, self._kept, strict=True)
        for i, parameter, (data, grad), kept in everything:
            if parameter.data is not data:
                data[...] = parameter.data
                parameter.data = data
            parameter._grad = grad
            before = self.optimizer.state.get(i, {})
            for name in optimizers.REMEMBERS[settings.kind]:
                if name not in before:
                    kept[name].data[...] = settings.start
                elif before[name] is not kept[name]:
                    kept[name].data[...] = before[name].data
        for tensor, place in self._buffers.items():
            self._memory[place.start : place.start + place.size] = tensor.data.ravel()
        for recorder in self._recorders:
            for tensor, place in recorder.leaves:
                if tensor._memory is not None and tensor._memory.written != self._leaves.get((tensor, place)):
                    self._memory[place.start : place.start + place.size] = tensor.data.ravel()
                    self._leaves[tensor, place] = tensor._memory.written
        self._read_counts()
        return settings

    def _read_counts(self) -> None:
        for recorder, start in zip(self._recorders, self._programs.parts[:, 9], strict=True):
            recorder.read_counts(self._integers[start:])

    def _end(self, settings: optimizers.Settings, updates: int) -> None:
        """Tell the tensors that they were written to, and the optimizer what it remembers after so many updates."""
        done = settings.done + updates
        for i, parameter, kept in zip(self._numbers, self.parameters, self._kept, strict=True):
            mark_written(parameter)
            if kept and done:
                self.optimizer.state[i] = kept | ({"step": done} if settings.kind in optimizers.COUNTS else {})
        for tensor, place in self._buffers.items():
            tensor.data[...] = self._memory[place.start : place.start + place.size].reshape(tensor.shape)
            mark_written(tensor)

    def _grow(self, which: np.ndarray) -> None:
        """Let whole numbers grow that count batches. which: the programs of the batches."""
        for number, recorder in enumerate(self._recorders):
            for tensor, growth in recorder.growth.items():
                overwrite(tensor, host(tensor.data) + (which == number).sum() * growth)

    def _make_views(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each parameter, where its numbers and those of its gradient lie."""
        size = self.ends[-1]
        numbers, gradients = self._memory[:size], self._memory[size : 2 * size]
        return list(zip(self._split(numbers), self._split(gradients), strict=True))

    def _split(self, numbers: np.ndarray) -> list[np.ndarray]:
        """An array (P,) as arrays of the shapes of the parameters, which share its memory."""
        ends = zip([0, *self.ends.tolist()], self.ends.tolist(), self.parameters, strict=False)
        return [numbers[start:end].reshape(parameter.shape) for start, end, parameter in ends]

    def _settings(self) -> optimizers.Settings:
        settings = optimizers.encode(self.optimizer.update, self.optimizer.lr, self.optimizer.settings)
        return settings._replace(done=optimizers.steps_done("compile_step", self.optimizer))

    def _parallel_update(self, settings: optimizers.Settings) -> int:
        """The address of the update on all cores; 0 where one is enough."""
        if self.ends[-1] < LARGE or threads.alone():
            return 0
        numbers, rows = numba.typeof(self._memory), numba.typeof(self._state)
        arrays = types.float64[::1], numbers, numbers, rows
        return address(kernels.update_parallel, types.int64, *arrays, types.int64, types.float64)

    # ------------------------------------------------------------------------------------------------------------------
    # Recording.

    def _program(self, batch: Sequence[np.ndarray], adds: bool = False) -> int:
        """The number of the program for batches of this shape; recorded, if there is none yet.

        adds: whether it adds its gradients to those of other batches.
        """
        key = (*[(array.shape, array.dtype.char) for array in batch], threads.alone(), adds)
        if key not in self._known:
            self._record(batch, adds)
            self._known[key] = len(self._recorders) - 1
            self._programs = self._join()
        return self._known[key]

    def _record(self, batch: Sequence[np.ndarray], adds: bool) -> None:
        if not grad_mode.recording:
            raise ValueError("compile_step: within no_grad nothing is recorded; train outside of it")
        recorder = self._write(batch, adds)
        turned = [np.flip(array) for array in batch]  # the same numbers in other places
        alike = [np.repeat(array[-1:], len(array), axis=0) for array in batch]  # the last sample for all: other counts
        for others in (turned, alike):
            other = self._write(others, adds)
            for difference in differences_between(recorder, other):
                raise ValueError(
                    f"compile_step: for another batch of the same shape {difference}; what a step does must not depend "
                    "on its numbers, as with an `if`, or with targets that are altered on the way to the loss"
                )
        self._enlarge(recorder.arrange(rounded(len(self._memory))))
        for array, place in recorder.constants:
            self._memory[place.start : place.start + place.size] = array
        self._recorders.append(recorder)

    def _write(self, batch: Sequence[np.ndarray], adds: bool) -> Recorder:
        tensors = [self._beside(Tensor(np.ascontiguousarray(array))) for array in batch]
        tensors[0].requires_grad = True  # so that what is done with it is recorded
        recorder = self._recorder(self.parameters, tensors, self.dtype, self._buffers, adds)
        with taken_back() as before:
            recorder.write(*self._losses(tensors))
            counting = {x: numbers for x, numbers in before.items() if numbers.dtype.kind == "i"}
            recorder.growth = {x: host(x.data) - host(numbers) for x, numbers in counting.items()}
        return recorder

    def _join(self) -> Programs:
        """All programs one behind the other, and their whole numbers likewise.

        Seeds are those of the first step of all, from which their number is counted.
        """
        made = [recorder.code() for recorder in self._recorders]
        inputs = [recorder.input_table() for recorder in self._recorders]
        parts, strides = np.zeros((len(made), 11), np.int64), []
        integers: list[np.ndarray] = []
        for number, (part, recorder) in enumerate(zip(parts, self._recorders, strict=True)):
            start, before = sum(len(code) for code, _ in made[:number]), sum(len(table) for table in inputs[:number])
            base = sum(len(whole) for whole in integers)
            part[:3] = start, start + recorder.forward, start + len(recorder.instructions)
            part[3:5] = before, before + len(inputs[number])
            part[5:8] = [place.start for place in recorder.results]
            part[8:] = any(i.kernel.endswith("_parallel") for i in recorder.instructions), base, recorder.adds
            integers.append(recorder.whole_numbers(self._count))
            strides += [(base + place, stride) for place, stride in recorder.growing()]
        self._integers = np.concatenate(integers)
        codes, numbers = zip(*made, strict=True)
        table = np.array(strides, np.int64).reshape(-1, 2)
        return Programs(np.concatenate(codes), np.concatenate(numbers), np.concatenate(inputs), table, parts)

    def _losses(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The loss, and what shall become small: its sum with the penalty."""
        loss = self.loss(*tensors)
        if not isinstance(loss, Tensor) or loss.shape:
            raise TypeError(f"compile_step: the loss is {loss!r:.80}; let it be a single number, a tensor of shape ()")
        return loss, loss if self.penalty is None else loss + self.penalty()

    def _seconds(self, number: int, k: int) -> float:
        """How long instruction k of a program takes."""
        programs, (row, base) = self._programs, (self._programs.parts[number, 0] + k, self._programs.parts[number, 9])
        code, numbers = (np.repeat(rows[row : row + 1], 10, axis=0) for rows in programs[:2])
        with threads.parallel_products():
            return timed(lambda: kernels.replay(code, numbers, self._memory, self._integers[base:]), len(code))

    def _seconds_of_update(self, settings: optimizers.Settings) -> float:
        """How long clipping and updating take, on copies, in steps in which nothing else is done."""
        memory, state, steps = self._memory.copy(), self._state.copy(), np.arange(10)
        nothing, parts = np.zeros((len(steps), 0), np.int64), np.zeros((1, 11), np.int64)
        parts[0, 5:8] = len(memory) - 1  # where the loss would lie
        programs: Programs = self._programs._replace(parts=parts)
        memory[-1] = 0
        arguments = (
            *(*programs, 0 * steps, steps, np.ones(len(steps)), self.limits, self.ends),
            *(settings.kind, settings.settings, settings.done, np.zeros(len(steps))),
            *(self._parallel_update(settings), True, nothing.astype(self.dtype), nothing, steps[:, None]),
            *(memory, self._integers.copy(), state, np.zeros(len(steps))),
        )
        return timed(lambda: kernels.train(*arguments), len(steps))

    def _arrays(self, data: Sequence[Any]) -> list[np.ndarray]:
        """Numbers as arrays with a row for each sample: fractions of the parameters' type, or whole ones."""
        arrays = [host(given.data) if isinstance(given, Tensor) else np.asarray(given) for given in data]
        if any(array.dtype.kind not in "biuf" or array.ndim == 0 for array in arrays):
            raise TypeError(f"run: data hold {data!r:.200}; give arrays of numbers with a row for each sample")
        if not arrays or not len(arrays[0]) or any(len(array) != len(arrays[0]) for array in arrays):
            rows = [len(array) for array in arrays]
            raise ValueError(f"run: data have {rows} rows; give all arrays the same number of rows, 1 or more")
        return [array.astype(self.dtype if array.dtype.kind == "f" else np.int64, copy=False) for array in arrays]


def timed(work: Callable[[], Any], count: int) -> float:
    """Seconds that one of the `count` things takes that `work` does: the median of some, after one to warm up."""
    found = []
    for _ in range(6):
        started = time.perf_counter()
        work()
        found.append((time.perf_counter() - started) / count)
    return median(found[1:])


def _check_order(order: np.ndarray, rows: int) -> None:
    known = order >= 0
    begun = known[..., 0] if order.ndim == 3 else known[:, :1]  # for each step, which of its batches there are
    gaps = [(there[..., 1:] > there[..., :-1]).any() for there in (known, begun)]
    if order.ndim not in (2, 3) or not order.size or any(gaps) or not begun[:, 0].all() or order.max() >= rows:
        raise ValueError(
            f"run: order of shape {order.shape} holds numbers from {order.min(initial=0)} to {order.max(initial=0)}; "
            f"give (steps, batch) or (steps, batches, batch), rows of the data from 0 to {rows - 1}, with -1 behind "
            "the last of a smaller batch"
        )


def compile_step(
    loss: Loss,
    optimizer: Any,
    *,
    penalty: Callable[[], Tensor] | None = None,
    max_norm: float = math.inf,
    clip_value: float = math.inf,
    graphs: bool = False,
) -> Step:
    """A training step that is recorded once, and then runs without Python.

        >>> import fast, nn
        >>> model = nn.MLP([2, 8, 1], "tanh", engine=fast, seed=0)
        >>> optimizer = nn.Adam(model.parameters(), lr=0.05)
        >>> step = fast.compile_step(lambda x, y: nn.mse_loss(model(x), y), optimizer)
        >>> x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [[0.0], [1.0], [1.0], [0.0]]
        >>> losses = step.run((x, y), [[0, 1, 2, 3]] * 500)
        >>> losses.shape, bool(losses[-1] < 0.01 < losses[0])
        ((500,), True)

    loss: a function of the tensors of a batch, such as x and y, that returns a single number.
    optimizer: one of `nn`; it says which parameters learn.
    penalty: a function without arguments whose result is added to the loss; the losses that are told are without it.
    max_norm, clip_value: limits of the gradients, as in `nn.clip_grad_norm_` and `nn.clip_grad_value_`; none unless
        given.
    graphs: on a GPU, start the launches of a step together, as CUDA graphs, where Numba's package for GPUs can record
        them. It changes no number, and on the CPU nothing.

    The numbers are those of the same steps without compiling. What is recorded is what was computed from parameters,
    and from the first tensor of the batch; all operations have a compiled form, in the type of the parameters. Whatever
    else happens in `loss` happens once, and tensors that it overwrites get their old numbers back: a step that depends
    on the numbers of its batch in another way raises ValueError, and one that needs another type NotImplementedError.
    """
    if not callable(loss):
        raise TypeError(f"compile_step: loss={loss!r:.80} is no function; give lambda x, y: nn.mse_loss(model(x), y)")
    if not all(hasattr(optimizer, name) for name in ("update", "settings", "state", "parameters")):
        raise TypeError(
            f"compile_step: optimizer={optimizer!r:.80} is none; give one of nn, such as nn.SGD(model.parameters())"
        )
    for name, limit in (("max_norm", max_norm), ("clip_value", clip_value)):
        if not limit > 0:
            raise ValueError(f"compile_step: {name}={limit!r}; give a positive number, or leave it out for no limit")
    on_a_gpu = placement.used and any(parameter.device == "cuda" for parameter in optimizer.parameters)
    if on_a_gpu:
        return import_module("fast.cuda.steps").GpuStep(loss, optimizer, penalty, max_norm, clip_value, graphs)
    return Step(loss, optimizer, penalty, max_norm, clip_value)


def _tables(arrays: Sequence[np.ndarray], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Arrays with a row for each sample, side by side: the fractions (N, F) and the whole numbers (N, W)."""
    flat, rows = [np.ascontiguousarray(array).reshape(len(array), -1) for array in arrays], len(arrays[0])
    floats, whole = ([array for array in flat if array.dtype.kind == kind] for kind in "fi")
    return _joined([np.empty((rows, 0), dtype), *floats]), _joined([np.empty((rows, 0), np.int64), *whole])


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[1] if len(arrays) == 2 else np.concatenate(arrays, axis=1)


def _tables_of_batches(batches: Sequence[Sequence[np.ndarray]], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same with a row for each batch, the longest of which says how long the rows are."""
    lines = [_tables([array.reshape(1, -1) for array in batch], dtype) for batch in batches]
    if len(lines) == 1:
        return lines[0]
    widths = [max(table.shape[1] for table in tables) for tables in zip(*lines, strict=True)]
    floats, whole = np.zeros((len(lines), widths[0]), dtype), np.zeros((len(lines), widths[1]), np.int64)
    for row, (some, others) in enumerate(lines):
        floats[row, : some.shape[1]], whole[row, : others.shape[1]] = some[0], others[0]
    return floats, whole
