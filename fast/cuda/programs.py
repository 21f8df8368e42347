"""Compiled steps on a GPU: instructions that were recorded once, and are launched step after step.

    recorder = GpuRecorder(parameters, inputs, dtype, buffers)
    recorder.write(loss, loss)
    memory = cuda.device_array(recorder.arrange(first), dtype)    the numbers of all tensors, parameters first
    program = Program(recorder, memory, new_flaws())
    program.replay()

Python tells the GPU which kernels to launch, and does not wait for any of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fast import threads
from fast.cuda import package
from fast.cuda.gpu import Gpu, empty, nothing
from fast.cuda.instructions import INSTRUCTIONS, elementwise
from fast.cuda.registry import Launch
from fast.functional import shares_memory
from fast.lowering import Lowering
from fast.recording import Instruction, Place, Recorder, wrapped
from fast.tensors import Tensor

#: What the names of instructions begin with that are kernels of the table of operations.
_ELEMENTWISE = "elementwise."


class GpuRecorder(Recorder):
    """Writes a program for a GPU: instructions by name, with nothing that only the CPU needs."""

    def _source(self, tensor: Tensor) -> Tensor:
        alike = (given for given in self.inputs if given.data.size == tensor.data.size)
        return next((given for given in alike if shares_memory(given, tensor)), tensor)

    emit_product, emit_multiplying, emit_loop = Lowering.emit_product, Lowering.emit_multiplying, Lowering.emit_loop

    def _address(self, name: str) -> int:
        return 0  # kernels are found by their names

    def emit_elementwise(self, plan: tuple[threads.Kernels, int], shape: tuple[int, ...], *places: Place | int) -> None:
        self.emit(_ELEMENTWISE + plan[0][0].__name__, *places, flops=math.prod(shape), shape=shape)


class Bound(NamedTuple):
    """A launch that is ready: a compiled kernel, on which threads, and its arguments."""

    kernel: Any
    launch: Launch
    arguments: Sequence[Any]


class Program(Gpu):
    """The instructions of a recorder, which has given every place its start in a memory of the GPU.

    What has to be launched is found out once. Only instructions with numbers that change from step to step, such as
    the seed of dropout, are gone through in every step.

    recorder: see there; with every place it has its start in the memory.
    memory: an array (M,) on the GPU, which must be as large as that; flaws, stream: see `Gpu`; with a stream of
        `package.recording_stream` a step takes a launch for each way in the place of dozens.
    steps: how many there were before, from which the seeds of random numbers go on.
    integers: the whole numbers of the program, as Python knows them: lists for kernels, which never change, and numbers
        that `grow`. The same on the GPU, and there those that come with the batch.
    inputs: where those and all other numbers of a batch go, see `kernels.steps.gather`.
    results: the loss, what shall become small, and the gradient of that, each an array (1,) on the GPU.
    """

    def __init__(self, recorder: Recorder, memory: Any, flaws: Any, steps: int = 0, stream: Any = 0) -> None:
        self.recorder, self.memory, self.dtype = recorder, memory, recorder.dtype
        self.flaws, self.stream = flaws, stream
        self.integers = recorder.whole_numbers(steps)
        self._strides = recorder.growing()
        recorder.read_counts(self.integers)
        self.inputs = recorder.input_table().tolist()
        self._whole = package.cuda.to_device(self.integers)
        self._short: dict[int, Any] = {}
        self._free: list[Any] = []
        self._taken: list[Any] = []
        self._bound: list[Bound] | None = None
        self._graphs: dict[tuple[int, int], Any] = {}
        self._varies = False
        self.results = [self.array(place, 1) for place in recorder.results]
        self._launches = [self._bind(instruction) for instruction in recorder.instructions]

    # ------------------------------------------------------------------------------------------------------------------
    # For instructions.

    def array(self, place: Any, *shape: int) -> Any:
        if isinstance(place, int) or place is None:
            return nothing(shape, self.dtype)
        return _part(self.memory, place.start, shape)

    def whole(self, place: Any, *shape: int) -> Any:
        return _part(self._whole, place, shape)

    def short(self, place: Any, *shape: int) -> Any:
        if place not in self._short:
            self._short[place] = empty((math.prod(shape),), np.int32)
        return self._short[place].reshape(shape)

    def known(self, place: Any, count: int) -> tuple[int, ...]:
        return tuple(self.integers[place : place + count].tolist())

    def now(self, place: Any) -> int:
        self._varies = True
        return int(self.integers[place])

    def listed(self, table: Any, count: int) -> list[Any]:
        numbers = iter(self.known(table, 2 * count))
        return [_part(self.memory, start, (size,)) for start, size in zip(numbers, numbers, strict=True)]

    def new(self, *shape: int, dtype: Any = None) -> Any:
        """Where an instruction has ended, the next one may have its room: they are carried out one after the other."""
        kind, size = np.dtype(dtype or self.dtype), math.prod(shape)
        fitting = [k for k, room in enumerate(self._free) if room.dtype == kind and room.size >= size]
        found = min(fitting, key=lambda k: self._free[k].size) if fitting else None
        self._taken.append(empty((max(size, 1),), kind) if found is None else self._free.pop(found))
        return _part(self._taken[-1], 0, shape)

    def start(self, kernel: Any, launch: Launch, arguments: Sequence[Any]) -> None:
        bound = Bound(kernel, launch, arguments)
        if self._bound is None:
            self._start(bound, self.stream)
        else:
            self._bound.append(bound)

    # ------------------------------------------------------------------------------------------------------------------
    # For whoever runs it.

    def replay(self, start: int = 0, stop: int | None = None) -> None:
        """Carry out the instructions from number `start` on, to the last one or that before `stop`.

        On a stream that records, the same ones again are started all at once, as a CUDA graph, unless some of them
        change from step to step. (The first time their kernels are loaded, which a graph has no place for.)
        """
        span = slice(start, len(self._launches) if stop is None else stop)
        graph = self._graphs.get((span.start, span.stop))
        if graph is not None:
            graph.launch(self.stream)
            return
        launches = self._launches[span]
        for instruction, bound in zip(self.recorder.instructions[span], launches, strict=True):
            if bound is None:
                self._carry_out(instruction)
            for one in bound or ():
                self._start(one, self.stream)
        if self.stream and any(launches) and None not in launches:
            self._graphs[span.start, span.stop] = self._recorded([one for some in launches for one in some or ()])

    def _recorded(self, launches: Sequence[Bound]) -> Any:
        """The launches as a graph."""

        def start(stream: Any) -> None:
            for one in launches:
                self._start(one, stream)

        return package.recorded(self.stream, start)

    def end(self) -> None:
        """Let others have the room of `new`: nothing that is launched from now on needs what is in it."""
        self._free, self._taken = self._free + self._taken, []

    def grow(self) -> None:
        """Let the whole numbers grow that change from step to step: seeds, and numbers of batches."""
        for place, stride in self._strides:
            self.integers[place] = wrapped(int(self.integers[place]) + stride)

    def _start(self, bound: Bound, stream: Any) -> None:
        kernel, launch, arguments = bound
        kernel[launch.grid, launch.block, stream, launch.shared](*arguments)

    def _bind(self, instruction: Instruction) -> list[Bound] | None:
        """What an instruction launches; None where that differs from step to step."""
        self._bound, self._varies = [], False
        self._carry_out(instruction)
        found, self._bound = self._bound, None
        return None if self._varies else found

    def _carry_out(self, instruction: Instruction) -> None:
        name, arguments = instruction.kernel, instruction.arguments
        if name.startswith(_ELEMENTWISE):
            elementwise(self, name.removeprefix(_ELEMENTWISE), *arguments)
        else:
            INSTRUCTIONS[name](self, *arguments, numbers=instruction.numbers)
        self.end()


def new_flaws() -> Any:
    """What programs count flaws in: see `Gpu`."""
    return package.cuda.to_device(np.zeros(1, np.int32))


def _part(memory: Any, start: int, shape: Sequence[int]) -> Any:
    """Some numbers of a one-dimensional array, in another shape, in the same memory."""
    size = math.prod(shape)
    return memory[start : start + size].reshape(tuple(shape)) if size else empty(shape, memory.dtype)
