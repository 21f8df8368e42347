"""`compile`: the very graph that was drawn, run without Python: for one sample, for a batch, for a whole training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

import micro
from fast import optimizers, placement, programs, threads
from fast.arrays import aligned
from fast.interpreters import interpreters
from fast.intrinsics import LANES
from fast.kernels import tape as kernels
from fast.programs import Graph, Program
from micro import checks
from micro.value import Value
from micro.vocabulary import Vocabulary

#: Operations of all lanes together from which a batch is worth sharing out among the cores: some 100 us of work.
#: Sharing costs 2 us where the cores are free, and milliseconds where somebody else uses one.
LARGE = 1 << 17


class TapeRun(NamedTuple):
    """What a tape answers for N samples.

    values (N,): the result of each sample.
    gradients (parameters,): the gradient of the sum of all results with respect to each parameter.
    input_gradients (N, inputs): the gradient of each sample's result with respect to its inputs.
    """

    values: np.ndarray
    gradients: np.ndarray
    input_gradients: np.ndarray


class Tape:
    """A compiled graph; `fast.compile` makes it.

    inputs, parameters: the Values that it was told are such, in order.
    dtype: "float64" or "float32", the type in which it computes.
    device: "cpu", or "cuda" where `to` has moved it to the first GPU.

    A single sample is computed as `micro` computes it: in float64 its value and all its gradients are equal to the last
    bit. Of several samples each value, and each gradient of an input, is; the gradients of parameters are sums over
    samples, added in an order of their own: lane by lane over blocks of 16 samples, then over the lanes, then over the
    groups of blocks, which are 4, or 16 from 65 blocks on. It does not depend on the number of threads. A GPU computes
    all that up to rounding.
    """

    device = "cpu"

    def __init__(self, graph: Graph, inputs: list[Value], parameters: list[Value], dtype: str) -> None:
        self.graph, self.inputs, self.parameters, self.dtype = graph, inputs, parameters, dtype

    def __repr__(self) -> str:
        counts = f"{len(self.inputs)} inputs, {len(self.parameters)} parameters"
        where = "" if self.device == "cpu" else f", {self.device}"
        return f"Tape({len(self.graph.op):,} nodes in {self.work:,} operations, {counts}, {self.dtype}{where})"

    def to(self, device: str) -> Tape:
        """A tape of the same graph on a device, "cpu" or "cuda", the first GPU; itself, if it is there.

        On a GPU each sample has a thread, so it takes some ten thousand of them to keep it busy. Arrays go there with a
        call and come back with its end, and the Values of `micro` stay where they are. RuntimeError where there is no
        GPU, which says what is missing.
        """
        device = checks.known_device(device)
        if device == self.device:
            return self
        kind = Tape
        if device == "cuda":
            placement.require()
            kind = import_module("fast.cuda.tape").GpuTape
        return kind(self.graph, self.inputs, self.parameters, self.dtype)

    @property
    def work(self) -> int:
        """How many operations a sample takes, a product with its sum counted as one."""
        return self._whole.work

    def forward(self, *samples: Any, parameters: Any = None) -> np.ndarray:
        """The results (N,) for N samples, without gradients. Arguments as in `run`."""
        return self._run(samples, parameters, weight=0.0).values

    def run(self, *samples: Any, parameters: Any = None) -> TapeRun:
        """The results for N samples, and their gradients; no Value is changed.

        samples: arrays (N,) or (N, columns) which side by side have a column for each input, in order.
        parameters: the numbers of the parameters (parameters,); those that the Values have now unless given.
        """
        return self._run(samples, parameters, weight=1.0)

    def train(self, *samples: Any, optimizer: Any, steps: int) -> np.ndarray:
        """Train on all samples at once, for a number of steps; returns the losses (steps,).

        A loss is the mean of the results of all samples, before the update of its step. One that is infinite or not a
        number ends the training: the losses end with it, and that step changes nothing. Afterwards the Values have the
        numbers that were learned, and the optimizer remembers what it would after training `micro`.

        optimizer: one of `nn`, such as `nn.Adam(model.parameters())`, for exactly the tape's parameters.
        """
        x = self._columns("train", samples)
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
            raise ValueError(f"train: steps={steps!r}; give a whole number of 1 or more")
        settings = optimizers.settings(optimizer, self.parameters)
        numbers, losses = self._numbers(None), np.empty(steps)
        state = optimizers.memory(optimizer, numbers.dtype)
        done = self._train(x, numbers, settings, state, losses)
        for value, number in zip(self.parameters, numbers.tolist(), strict=True):
            if not value.constant:
                value.data = number
        optimizers.remember(optimizer, state, settings.done + done)
        return losses[: done + 1]

    def check(self, result: Value, inputs: Any, parameters: Any) -> None:
        """Raise ValueError unless another graph, as told to `compile`, is the one of this tape.

        So can be found out whether the tape still stands for a function in Python: call it again, with other numbers.
        What a graph does not hold, a tape cannot: an `if` that asks for a number, `max` along a dimension, the word
        that an embedding looks up. Where such a choice falls differently, the graph is another one.
        """
        other = _read(result, _leaves("inputs", inputs), _leaves("parameters", parameters))
        if other.structure != self.graph.structure:
            raise ValueError(f"check: {_difference(self.graph, other)}; compile it anew")

    def _run(self, samples: Sequence[Any], parameters: Any, weight: float) -> TapeRun:
        x, numbers = self._columns("run", samples), self._numbers(parameters)
        if len(x) == 1:
            return self._run_one(x[0], numbers, weight)
        return self._batch(x, weight, numbers, optimizers.NONE, np.empty((3, 0), self.dtype), np.empty(0))[1]

    def _batch(
        self,
        x: np.ndarray,
        weight: float,
        numbers: np.ndarray,
        optimizer: optimizers.Settings,
        state: np.ndarray,
        losses: np.ndarray,
    ) -> tuple[int, TapeRun]:
        """All samples beside each other, once or in a training: see the kernel."""
        once, lanes = self._split
        values, grad_x, memory = np.empty(len(x), x.dtype), np.empty_like(x), self._memory(len(x))
        done = threads.run(
            *((kernels.batch, kernels.batch_parallel), lanes.work * len(x), LARGE, interpreters(self.dtype)),
            *(once, lanes, x, weight, numbers, memory, values, grad_x, optimizer, state, losses),
        )
        return done, TapeRun(values, memory.one_d[: len(numbers)].copy(), grad_x)

    def _train(
        self, x: np.ndarray, numbers: np.ndarray, settings: optimizers.Settings, state: np.ndarray, losses: np.ndarray
    ) -> int:
        """How many updates there were, which numbers and state then have; the losses are written into their array."""
        return self._batch(x, 1 / len(x), numbers, settings, state, losses)[0]

    def _run_one(self, x: np.ndarray, numbers: np.ndarray, weight: float) -> TapeRun:
        program, count = self._whole, len(numbers)
        v, d = self._values(program), np.empty(program.grad_rows, self.dtype)
        v[:count], v[count : program.leaves] = numbers, x
        value = kernels.one(interpreters(self.dtype), program, weight, v, d)
        return TapeRun(np.array([value], self.dtype), d[:count].copy(), d[count : program.leaves].copy()[None])

    @cached_property
    def _constants(self) -> np.ndarray:
        return programs.constants([self.graph])

    @cached_property
    def _whole(self) -> Program:
        return programs.whole(self.graph, self._constants)

    @cached_property
    def _split(self) -> tuple[Program, Program]:
        return programs.split(self.graph, self._constants)

    def _values(self, program: Program, *lanes: int) -> np.ndarray:
        """Rows for the values of a program, in which the constants stand already."""
        v = aligned((program.rows, *lanes), self.dtype)
        v[program.leaves : program.leaves + len(self._constants)].T[...] = self._constants
        return v

    def _memory(self, samples: int) -> Memory:
        """Room for a batch."""
        once, lanes = self._split
        blocks = -(-samples // LANES)
        groups = min(blocks, 4 if blocks <= 64 else 16)
        v = aligned((groups, lanes.rows, LANES), self.dtype)
        v[:] = self._values(lanes, LANES)
        return Memory(
            self._values(once),
            np.empty(once.grad_rows, self.dtype),
            v,
            aligned((groups, lanes.grad_rows, LANES), self.dtype),
            np.empty((groups, lanes.leaves), self.dtype),
        )

    def _numbers(self, parameters: Any) -> np.ndarray:
        """The numbers of the parameters, as an array of one's own."""
        if parameters is None:
            return np.array([value.data for value in self.parameters], self.dtype)
        numbers = np.array(parameters, self.dtype)
        if numbers.shape != (len(self.parameters),):
            raise ValueError(f"run: parameters has shape {numbers.shape}, needed is ({len(self.parameters)},)")
        return numbers

    def _columns(self, name: str, samples: Sequence[Any]) -> np.ndarray:
        """All arrays side by side, (N, inputs)."""
        arrays = [np.asarray(array, self.dtype) for array in samples] or [np.empty((1, 0))]
        shapes = ", ".join(str(array.shape) for array in arrays)
        if any(array.ndim not in (1, 2) for array in arrays) or len({len(array) for array in arrays}) > 1:
            raise ValueError(
                f"{name}: samples of shapes {shapes}; give arrays (N,) or (N, columns), all with the same N"
            )
        x = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1, dtype=self.dtype)
        if x.shape[1] != len(self.inputs) or not len(x):
            wanted = ", ".join(value.label or "?" for value in self.inputs[:8]) + ", ..." * (len(self.inputs) > 8)
            raise ValueError(
                f"{name}: samples of shapes {shapes} make {x.shape[1]} columns; give one row or more, with a column "
                f"for each of the {len(self.inputs)} inputs ({wanted})"
            )
        return x


class Memory(NamedTuple):
    """Room for a batch: what is computed once (one_v, one_d), and rows of lanes for each group (v, d, their sums)."""

    one_v: np.ndarray
    one_d: np.ndarray
    v: np.ndarray
    d: np.ndarray
    sums: np.ndarray


def compile(loss: Value, inputs: Any = (), parameters: Any = (), dtype: str = "float64") -> Tape:
    """Turn a graph of `micro` into a tape, which computes the same without Python and forgets the Values in between.

        >>> import fast, micro
        >>> x, w = micro.Value(2.0, label="x"), micro.Value(-0.5, label="w")
        >>> tape = fast.compile((w * x).tanh(), inputs=[x], parameters=[w])
        >>> values, gradients, _ = tape.run([1.0, 2.0, 3.0])
        >>> values.round(4).tolist(), gradients.round(4).tolist()
        ([-0.4621, -0.7616, -0.9051], [2.1685])

    loss: the Value whose graph it is; it need not be a loss.
    inputs: Values that every sample gives numbers for: a list of Values and tensors, whose elements are taken in order.
    parameters: Values, or tensors of them, that all samples share: `model.parameters()`.
    dtype: "float64", the default, whose numbers are those of `micro`, or "float32".

    All other leaves are constants: they keep the number that they have now. A leaf with a label is probably meant to be
    more, and an error says so; `requires_grad=False` makes it a constant. So are parameters that need no gradient:
    theirs is 0, and `train` leaves them alone.

    Nothing is compiled for a graph: it becomes a list of instructions for an interpreter that is compiled once. Chains
    of products and sums, which networks are mostly made of, become one instruction each.
    """
    if not isinstance(loss, Value):
        raise TypeError(f"compile: loss={loss!r:.80} is no Value; give a single result of micro, such as a loss")
    if dtype not in ("float64", "float32"):
        raise ValueError(f'compile: {dtype=}; use "float64" or "float32"')
    found = _leaves("inputs", inputs), _leaves("parameters", parameters)
    return Tape(_read(loss, *found), *found, dtype)


def _leaves(name: str, tensors: Any) -> list[Value]:
    """The Values of a list of Values and tensors, in order."""
    if isinstance(tensors, Vocabulary) or not isinstance(tensors, Iterable):
        raise TypeError(f"compile: {name}={tensors!r:.80} is no list; give [x], or model.parameters()")
    found: list[Value] = []
    for tensor in tensors:
        if isinstance(tensor, Vocabulary) and tensor.engine is not micro:
            raise TypeError(f"compile: {name} has {tensor!r:.80}, which is no tensor of micro")
        values = list(tensor.flat()) if isinstance(tensor, Vocabulary) else _leaves(name, tensor)
        for value in values:
            if not isinstance(value, Value):
                raise TypeError(f"compile: {name} has {value!r:.80}, which is no Value of micro")
            if value.op is not None:
                raise ValueError(
                    f"compile: {name} has {value!r:.80}, a result of {value.op.symbol!r}; give leaves alone"
                )
        found += values
    return found


def _read(result: Value, inputs: list[Value], parameters: list[Value]) -> Graph:
    """The graph of a result, if a tape can be made of it."""
    given = [*inputs, *parameters]
    if len({*given}) < len(given):
        twice = next(value for value in given if given.count(value) > 1)
        raise ValueError(f"compile: {twice!r:.80} is given twice among inputs and parameters; name each once")
    nodes = result.topological_order()
    graph = programs.read_graph(nodes, inputs, parameters)
    known = {*given}
    forgotten = [
        node.label for node in nodes if not node.parents and node.label and not node.constant and node not in known
    ]
    if forgotten:
        names = ", ".join(forgotten[:5]) + ", ..." * (len(forgotten) > 5)
        raise ValueError(
            f"compile: the graph has the leaves {names}, which are neither inputs nor parameters; add them, or say "
            "value.requires_grad = False where they shall stay the number that they are"
        )
    if not graph.varying[-1]:
        raise ValueError("compile: the result depends on no input and no parameter; name those that it is made of")
    return graph


def _difference(mine: Graph, other: Graph) -> str:
    """In which respect two graphs differ, in words."""
    if len(mine.op) != len(other.op):
        return f"the graph has {len(other.op):,} nodes, that of the tape {len(mine.op):,}"
    for i in range(len(mine.op)):
        if mine.op[i] != other.op[i] or (mine.parents[i] != other.parents[i]).any():
            made, before = programs.name(other.op[i]), programs.name(mine.op[i])
            return f"node {i} of {len(mine.op):,} is made by {made}, in the tape by {before}, or of other nodes"
    return "other numbers are constants, or other Values are inputs or parameters"
