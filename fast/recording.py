"""From a loss that was computed once to a program: instructions that compute it, its gradients and nothing else.

`Recorder` walks through the graph of the loss and lets each operation's rule write its instructions (`Rule.lower`):
those of the way forward in the order in which `fast` computed them, those of the way back in the order in which
`Tensor.backward` would. Then every tensor gets its place in one memory; two that are never needed at the same time may
have the same one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from fast import threads
from fast.addresses import address, product
from fast.elementwise import FORWARD
from fast.kernels import steps as kernels
from fast.lowering import Lowering
from fast.placement import host
from fast.tensors import Tensor, latest_first

#: The columns of an instruction: the address of its kernel and up to this many arguments less one.
COLUMNS = 24
#: The settings of an instruction that are no whole numbers.
NUMBERS = 4

#: What a rule's `lower` returns: given the place of the result's gradient, it writes the way back and tells the places
#: of the parents' gradients, None for those that nobody wants.
Backward = Callable[["Place"], "Sequence[Place | None]"]


@dataclass(eq=False)
class Place:
    """Where the numbers of a tensor lie. start: their first in the memory, once it is known.

    Those that are needed within one chain only lie in its slot 0, 1, ...: then start is -2, -3, ...
    """

    size: int
    start: int = -1


class Link(NamedTuple):
    """An elementwise kernel: its name, its address, its arrays, and its share of the work from which threads pay."""

    name: str
    address: int
    places: tuple[Place, ...]
    work: float


class Instruction(NamedTuple):
    """kernel: its name; address: where it lies; arguments: places and whole numbers; numbers: other settings.

    flops: how many additions and multiplications there are, an operation on an element counted as one; shape: of the
    result. listed: the places of which an argument is a list. links: the kernels of a chain.
    """

    kernel: str
    address: int
    arguments: tuple[Place | int, ...]
    numbers: tuple[float, ...]
    flops: int
    shape: tuple[int, ...]
    listed: tuple[Place, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def places(self) -> list[Place]:
        """Those of its arguments that are tensors, each once."""
        given = [argument for argument in self.arguments if isinstance(argument, Place)]
        return list(dict.fromkeys([*given, *self.listed]))


class Programs(NamedTuple):
    """What `kernels.steps.train` runs: the instructions of all shapes of batches, one program behind the other.

    code (instructions, 24), numbers (instructions, 4): see there.
    inputs (inputs, 4): see `kernels.steps.gather`.
    strides (seeds, 2): the places of seeds, and by how much each grows from step to step.
    parts (programs, 11): for each program the first instructions of the way forward, of the way back, and of the next
        program; its first input, and that of the next; where the loss lies, the number whose gradients are computed,
        and that number's own gradient; whether it uses all cores; where its whole numbers begin; and whether it adds
        its gradients to those that are there.
    """

    code: np.ndarray
    numbers: np.ndarray
    inputs: np.ndarray
    strides: np.ndarray
    parts: np.ndarray


@dataclass
class Recorder(Lowering):
    """Writes the program of a graph.

    parameters: leaves that learn, whose numbers and gradients lie one behind the other at the beginning of the memory.
    inputs: leaves that every batch gives numbers for. All other leaves are constants.
    dtype: of all tensors but those of whole numbers.
    buffers: tensors that steps themselves change, such as running means, and their places, which all programs share.
    adds: whether gradients of parameters are added to those that are there, of other batches.
    """

    parameters: Sequence[Tensor]
    inputs: Sequence[Tensor]
    dtype: np.dtype
    buffers: dict[Tensor, Place]
    adds: bool = False
    instructions: list[Instruction] = field(default_factory=list)
    #: Numbers that never change, and where they lie; and leaves that neither learn nor come with the batch.
    constants: list[tuple[np.ndarray, Place]] = field(default_factory=list)
    leaves: list[tuple[Tensor, Place]] = field(default_factory=list)
    #: The whole numbers of the program: those of the inputs, and lists for kernels.
    integers: list[int] = field(default_factory=lambda: [0] * kernels.HEAD)
    #: Seeds of random numbers, as they were, with their places in `integers`.
    seeds: list[tuple[int, int]] = field(default_factory=list)
    #: Whole numbers that tensors count, with their places in `integers`; and by how much a step increases tensors.
    counts: list[tuple[Tensor, int]] = field(default_factory=list)
    growth: dict[Tensor, np.ndarray] = field(default_factory=dict)
    #: The places in `integers` at which the starts of others stand.
    lists: list[tuple[int, Place]] = field(default_factory=list)

    def __post_init__(self) -> None:
        sizes = [parameter.data.size for parameter in self.parameters]
        ends = np.cumsum([0, *sizes, *sizes]).tolist()
        places = [Place(size, start) for size, start in zip(sizes * 2, ends, strict=False)]
        self._own = dict(zip(self.parameters, places[len(sizes) :], strict=True))
        self._values: dict[Tensor, Place] = dict(zip(self.parameters, places, strict=False))
        self._gradients: dict[Tensor, Place] = {}
        self._labels: dict[Tensor, int] = {}
        self._wanted, self._handed_out = {*self.parameters}, set[Tensor]()
        self._fixed: list[Place] = []
        for tensor in self.inputs:
            if tensor.data.dtype.kind == "f":
                self._fixed.append(self._values.setdefault(tensor, Place(tensor.data.size)))
            else:
                self._labels[tensor] = self.room(tensor.data.size)

    # ------------------------------------------------------------------------------------------------------------------
    # For rules.

    def value(self, tensor: Tensor | None) -> Place | int:
        """Where the numbers of a tensor lie; -1 where there is no tensor."""
        if tensor is None:
            return -1
        if tensor not in self._values:
            source = self._source(tensor)
            if source in self._values:
                self._values[tensor] = self._values[source]
            elif source in self._labels:
                self._values[tensor] = place = self.new(tensor.data.size)
                self.emit("floats", place.size, self._labels[source], place, flops=place.size, shape=tensor.shape)
            else:
                self._values[tensor] = self.constant(tensor.data)
                self.leaves.append((tensor, self.constants[-1][1]))
        return self._values[tensor]

    def new(self, size: int) -> Place:
        """A place for a result."""
        return Place(size)

    def wide(self, size: int) -> Place:
        """A place for numbers of float64, whatever the type of all others."""
        return Place(size * np.dtype(np.float64).itemsize // self.dtype.itemsize)

    def constant(self, array: Any) -> Place:
        """A place for numbers that never change."""
        place = Place(array.size)
        self.constants.append((np.ascontiguousarray(host(array), self.dtype).ravel(), place))
        return place

    def labels(self, tensor: Tensor) -> int:
        """Where the whole numbers of a tensor lie."""
        if tensor not in self._labels:
            known = self._labels.get(self._source(tensor))
            self._labels[tensor] = self.whole(host(tensor.data).ravel()) if known is None else known
        return self._labels[tensor]

    def _source(self, tensor: Tensor) -> Tensor:
        """The input whose elements a tensor shows in another shape; the tensor itself, if it is not one of them."""
        start, size = tensor.data.__array_interface__["data"][0], tensor.data.size
        for given in self.inputs:
            same = given.data.size == size and given.data.__array_interface__["data"][0] == start
            if same and given.data.flags.c_contiguous and tensor.data.flags.c_contiguous:
                return given
        return tensor

    def whole(self, numbers: Sequence[int] | np.ndarray) -> int:
        """A place for whole numbers."""
        self.integers += numbers.tolist() if isinstance(numbers, np.ndarray) else numbers
        return len(self.integers) - len(numbers)

    def room(self, count: int) -> int:
        """A place for so many whole numbers, which instructions write."""
        return self.whole([0] * count)

    def listed(self, places: Sequence[Place]) -> int:
        """A place for a list of places, each with its start and its size."""
        table = self.whole([number for place in places for number in (-1, place.size)])
        self.lists += [(table + 2 * k, place) for k, place in enumerate(places)]
        return table

    def wants(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on a parameter, so that its gradient is needed."""
        return tensor in self._wanted

    def gradient(self, tensor: Tensor) -> Place | None:
        """A place for a share of the gradient of a tensor; None if nobody wants it."""
        if not self.wants(tensor):
            return None
        if self.adds or tensor not in self._own or tensor in self._handed_out:
            return self.new(tensor.data.size)
        self._handed_out.add(tensor)
        return self._own[tensor]

    def emit(
        self,
        name: str,
        *arguments: Place | int | None,
        flops: int = 0,
        shape: tuple[int, ...] = (),
        numbers: Sequence[float] = (),
        listed: Sequence[Place] = (),
    ) -> None:
        """Add an instruction: the kernel of that name, None for a place that there is not."""
        given, about = tuple(-1 if argument is None else argument for argument in arguments), (flops, shape)
        self.instructions.append(
            Instruction(name, self._address(name), given, tuple(numbers), *about, listed=tuple(listed))
        )

    def emit_product(self, name: str, *arguments: Place | int | None, work: int, **about: Any) -> None:
        """`emit` for kernels that call BLAS, which are shared out among the cores when there is much to do.

        work: how many multiplications there are.
        """
        if work > threads.PRODUCT and not threads.alone():
            name, arguments = f"{name}_parallel", (*arguments, numba.get_num_threads())
        self.emit(name, *arguments, **{"flops": 2 * work, **about})

    def emit_multiplying(self, name: str, *arguments: Place | int | None, work: int, **about: Any) -> None:
        """`emit` for kernels that are handed what multiplies matrices, and in how many blocks it shall cut its work."""
        parallel = work > threads.PRODUCT and not threads.alone()
        how = product(self.dtype, parallel), numba.get_num_threads() if parallel else 1
        self.emit(name, *arguments, *how, **about)
        if parallel:
            self.instructions[-1] = self.instructions[-1]._replace(kernel=f"{name}_parallel")

    def emit_loop(self, name: str, *arguments: Place | int | None, work: int, threshold: int, **about: Any) -> None:
        """`emit` for kernels that have a parallel version, which takes over from `threshold` of `work` on."""
        if work >= threshold and not threads.alone():
            name = f"{name}_parallel"
        self.emit(name, *arguments, **{"flops": work, **about})

    def emit_elementwise(self, plan: tuple[threads.Kernels, int], shape: tuple[int, ...], *places: Place) -> None:
        """Let a kernel loop over one-dimensional arrays of one length; neighbours become a chain."""
        (kernel, _), threshold = plan
        size, where = math.prod(shape), address(kernel, *[from_dtype(self.dtype)[::1]] * len(places))
        link = Link(kernel.__name__, where, places, size / threshold)
        self.instructions.append(Instruction(link.name, 0, (), (), size, shape, places, (link,)))

    def is_number(self, tensor: Tensor) -> bool:
        """Whether a tensor is a plain number in an expression, and no input."""
        return super().is_number(tensor) and tensor not in self._values

    def filled(self, number: Tensor, shape: tuple[int, ...]) -> Place:
        """A place full of a number, which never changes."""
        return self.constant(np.broadcast_to(host(number.data), shape))

    def seed(self, number: int) -> int:
        """A place for the seed of random numbers, which will be another one in every step."""
        self.seeds.append((number, self.whole([0])))
        return self.seeds[-1][1]

    def buffer(self, tensor: Tensor | None) -> Place | int:
        """A place for numbers that the step itself changes, such as running means; -1 where there is no tensor."""
        if tensor is None:
            return -1
        place = self.buffers.setdefault(tensor, self.new(tensor.data.size))
        self._fixed.append(place)
        return place

    def count(self, tensor: Tensor | None) -> int:
        """A place for the whole number that a tensor holds, which this call has increased by 1; -1 for no tensor."""
        if tensor is None:
            return -1
        self.counts.append((tensor, self.whole([0])))
        return self.counts[-1][1]

    # ------------------------------------------------------------------------------------------------------------------
    # The whole graph.

    def write(self, loss: Tensor, goal: Tensor) -> None:
        """All instructions of a loss, and of the number whose gradients are wanted."""
        nodes = latest_first(goal)
        backwards: dict[Tensor, Backward] = {}
        for node in reversed(nodes):
            lower = self._form(node)
            if node.data.dtype.kind == "i":  # of an input in another shape, which whoever reads it will find
                continue
            self._values[node], way_back = lower(self, node)
            if way_back is not None:
                backwards[node] = way_back
                if any(parent in self._wanted for parent in node.parents):
                    self._wanted.add(node)
        self.instructions = list(self._chained(self.instructions))
        self.forward = len(self.instructions)
        seed = self._gradients[goal] = self.new(1)
        for node in nodes:
            grad = self._gradients.get(node)
            if grad is None or not self.wants(node):
                continue
            for parent, part in zip(node.parents, backwards[node](grad), strict=True):
                if part is not None:
                    self._collect(parent, part)
        for parameter, place in self._own.items():
            if parameter not in self._gradients:
                raise ValueError(
                    f"compile_step: the loss does not depend on the parameter {parameter.label or '?'} of shape "
                    f"{parameter.shape}; leave it out of the optimizer"
                )
            assert self._gradients[parameter] is place
        self.instructions[self.forward :] = self._chained(self.instructions[self.forward :])
        self.results = self._values[loss], self._values[goal], seed
        self._fixed += self.results
        self._keep_in_chains()

    def _form(self, node: Tensor) -> Callable[[Any, Tensor], tuple[Any, Backward | None]]:
        """What writes the instructions of an operation."""
        if node.op is None:
            raise ValueError("compile_step: the loss was computed from no parameter; there is nothing to train")
        if node.op.lower is None:
            raise NotImplementedError(
                f"compile_step: {node.op.symbol!r} has no compiled form; give its rule one (`lower`), or train "
                "without compiling"
            )
        if node.data.dtype not in (self.dtype, np.bool_) and self._source(node) not in self._labels:
            raise NotImplementedError(
                f"compile_step: {node.op.symbol!r} gives {node.dtype}, and a step computes in {self.dtype} alone, the "
                "type of its parameters; convert before it, leave the conversion out, or make a model of that type"
            )
        return node.op.lower

    def _chained(self, instructions: Sequence[Instruction]) -> Iterator[Instruction]:
        """The instructions, with neighbours that are elementwise and of one length as one: `kernels.steps.chain`."""
        for length, group in groupby(instructions, lambda i: i.links and i.links[0].places[0].size):
            found = list(group)
            if not length:
                yield from found
                continue
            links = tuple(link for instruction in found for link in instruction.links)
            table = self.whole([0, *[-1] * len(links) * kernels.LINK])
            for k, link in enumerate(links):
                start = table + 1 + k * kernels.LINK
                self.integers[start : start + 2] = link.address, len(link.places)
                self.lists += [(start + 2 + i, place) for i, place in enumerate(link.places)]
            name = links[0].name if len(links) == 1 else f"{links[0].name}..{links[-1].name}"
            kind = "_parallel" if sum(link.work for link in links) >= 1 and not threads.alone() else ""
            arguments, listed = (length, len(links), table), tuple(place for link in links for place in link.places)
            about = sum(instruction.flops for instruction in found), found[-1].shape, listed, links
            yield Instruction(name + kind, self._address("chain" + kind), arguments, (), *about)

    def _keep_in_chains(self) -> None:
        """Give numbers that only one chain has to do with a slot there, which needs no memory; see `Place`."""
        uses = Counter(place for instruction in self.instructions for place in instruction.places)
        kept = {*self._fixed, *[place for _, place in self.constants]}
        for instruction in self.instructions:
            own = {p for p in instruction.places if uses[p] == 1 and p.start == -1 and p not in kept}
            last = {place: k for k, link in enumerate(instruction.links) for place in link.places if place in own}
            free: list[int] = []
            slots = 0
            for k, link in enumerate(instruction.links):
                for place in link.places:
                    if place in own and place.start == -1:
                        slots += not free
                        place.start = free.pop() if free else -1 - slots
                free += [place.start for place in dict.fromkeys(link.places) if last.get(place) == k]
            if slots:
                *_, table = instruction.arguments
                assert isinstance(table, int)
                self.integers[table] = slots

    def _collect(self, tensor: Tensor, part: Place) -> None:
        """Add a share to the gradient of a tensor."""
        own = self._own.get(tensor)
        before = self._gradients.get(tensor, own if self.adds else None)
        if before is not None:
            self.emit_elementwise(FORWARD["add"], tensor.shape, before, part, before)
            self._gradients[tensor] = before
        elif own is not None and part is not own:
            self.emit("copy", part.size, part, own, flops=part.size, shape=tensor.shape)
            self._gradients[tensor] = own
        else:
            self._gradients[tensor] = part

    def arrange(self, end: int) -> int:
        """Give every place its start, from `end` on; returns the size of the memory.

        Inputs, constants and results keep their place for ever, all others from the first instruction that has to do
        with them to the last.
        """
        for place in [*self._fixed, *[place for _, place in self.constants]]:
            if place.start < 0:
                place.start, end = end, end + rounded(place.size)
        life: dict[Place, list[int]] = {}
        for moment, instruction in enumerate(self.instructions):
            for place in instruction.places:
                if place.start == -1:
                    life.setdefault(place, [moment, moment])[1] = moment
        taken: list[tuple[int, int, int]] = []  # (start, end, last moment) of the places at work, in their order
        size = end
        for place, (first, last) in life.items():
            taken = [span for span in taken if span[2] >= first]
            place.start = _gap(taken, end, rounded(place.size))
            taken = sorted([*taken, (place.start, place.start + rounded(place.size), last)])
            size = max(size, place.start + rounded(place.size))
        for index, place in self.lists:
            self.integers[index] = place.start
        return size

    def code(self) -> tuple[np.ndarray, np.ndarray]:
        """The instructions as arrays, once every place has its start."""
        code = np.full((len(self.instructions), COLUMNS), -1, np.int64)
        numbers = np.zeros((len(self.instructions), NUMBERS))
        for row, line, instruction in zip(code, numbers, self.instructions, strict=True):
            arguments = [a.start if isinstance(a, Place) else a for a in instruction.arguments]
            row[: len(arguments) + 1] = instruction.address, *arguments
            line[: len(instruction.numbers)] = instruction.numbers
        return code, numbers

    def input_table(self) -> np.ndarray:
        """For each input what `kernels.steps.gather` needs to know, once every place has its start."""
        rows, before = [], {True: 0, False: 0}
        for tensor in self.inputs:
            whole, count = tensor.data.dtype.kind != "f", tensor.data.size
            place = self._labels[tensor] if whole else self._values[tensor].start
            rows.append((whole, before[whole], count, place))
            before[whole] += count
        return np.array(rows, np.int64)

    def read_inputs(self, memory: np.ndarray, integers: np.ndarray) -> list[Tensor]:
        """The batch that lies in a memory."""
        arrays = []
        for tensor in self.inputs:
            numbers, start = (
                (integers, self._labels[tensor]) if tensor in self._labels else (memory, self._values[tensor].start)
            )
            arrays.append(numbers[start : start + tensor.data.size].reshape(tensor.shape))
        return [Tensor(array.copy()) for array in arrays]

    def whole_numbers(self, steps: int) -> np.ndarray:
        """The whole numbers of the program as they are after so many steps; but those of a batch, and counts."""
        integers = np.array(self.integers, np.int64)
        for (seed, place), stride in zip(self.seeds, self._strides(), strict=True):
            integers[place] = wrapped(seed + steps * stride)
        return integers

    def growing(self) -> list[tuple[int, int]]:
        """The places of whole numbers that grow with every step, seeds and counts, and by how much."""
        seeds = [(place, stride) for (_, place), stride in zip(self.seeds, self._strides(), strict=True)]
        return [*seeds, *[(place, int(self.growth[tensor])) for tensor, place in self.counts]]

    def read_counts(self, integers: np.ndarray) -> None:
        """Take over the whole numbers that tensors count: in a step, each call finds one more than the call before."""
        for k, (tensor, place) in enumerate(self.counts):
            integers[place] = tensor.item() + sum(other is tensor for other, _ in self.counts[: k + 1])

    def _strides(self) -> list[int]:
        """By how much each seed grows from step to step.

        A layer that is called several times in a step has taken one seed after the other; the next step goes on there.
        """
        numbers, found = {number for number, _ in self.seeds}, []
        for number, _ in self.seeds:
            first = last = number
            while first - 1 in numbers:
                first -= 1
            while last + 1 in numbers:
                last += 1
            found.append(last - first + 1)
        return found

    def _address(self, name: str) -> int:
        number = from_dtype(self.dtype)[::1]
        return address(getattr(kernels, name), number, types.int64[::1], types.int64[::1], types.float64[::1])


def wrapped(number: int) -> np.int64:
    """A seed, of which 64 bits count, as the whole number of 64 bits that has the same ones."""
    return np.uint64(number % 2**64).astype(np.int64)


def rounded(size: int) -> int:
    """Up to whole lines of the cache, so that two threads never write to the same one."""
    return -(-size // 16) * 16


def _gap(taken: Sequence[tuple[int, int, int]], start: int, size: int) -> int:
    """The first place behind `start` where there is room."""
    for begin, end, _ in taken:
        if begin - start >= size:
            break
        start = max(start, end)
    return start


def differences_between(one: Recorder, other: Recorder) -> Iterator[str]:
    """In which respects the programs of two batches differ, in words: what no program can follow."""
    if [i.kernel for i in one.instructions] != [i.kernel for i in other.instructions]:
        yield "other operations are computed"
    elif any(a.numbers != b.numbers for a, b in zip(one.instructions, other.instructions, strict=True)):
        yield "operations have other settings"
    pairs = zip(one.constants, other.constants, strict=False)
    if any(not np.array_equal(a, b, equal_nan=True) for (a, _), (b, _) in pairs) or one.integers != other.integers:
        yield "numbers are others that were computed without the model"
