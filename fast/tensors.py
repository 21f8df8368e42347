"""`Tensor`: an array that remembers how it was computed.

The graph is the same as that of `micro.Value`, with arrays for numbers: each result keeps its `parents` and the `op`
that made it. An edge would have to carry a matrix of slopes; instead, the op has a rule that multiplies a gradient by
that matrix without writing it down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from fast import elementwise, placement
from micro import checks
from micro.ops import OPS, Op
from micro.value import topological_order
from micro.vocabulary import Maker, Vocabulary, bool_, float32, float64, grad_mode, int64

Gradients = Sequence[np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Rule:
    """How gradients pass backwards through one operation.

    symbol: what a drawing shows.
    backward: given the result of the operation and the gradient of that result, the gradients of its parents, each of
        the parent's shape, or None where the parent needs none. No two of the arrays may share memory.
    reads: the parents, by position, whose numbers `backward` reads, with -1 for the result itself; None for all of
        these. They must not be overwritten before `backward`, which refuses to compute with other numbers.
    lower: writes the instructions that compute the result in a compiled step, given a `Recorder` (see
        `fast/recording.py`); returns where the result lies, and the function that writes the way back, None for no
        way back. None, where there is no compiled form.
    """

    symbol: str
    backward: Callable[[Tensor, np.ndarray], Gradients]
    reads: tuple[int, ...] | None = None
    lower: Callable[[Any, Tensor], tuple[Any, Callable[[Any], Sequence[Any]] | None]] | None = None


class Tensor(Vocabulary):
    """A NumPy array in a graph; or an array on a GPU.

    data: the array, of float32, float64, int64 or bool: NumPy's, or a `fast.cuda.memory.DeviceArray`.
    requires_grad: whether `backward` computes its gradient: set for parameters, inherited by what is made of them.
    op: the rule of the operation that made it; None for an input.
    parents: the Tensors that `op` was applied to.
    saved: what `op` keeps for the way back.
    label: a name for drawings.
    maker: which module's call it was computed in, for drawings that show a layer as one box; None outside of any.
    """

    # What most tensors never change stands here once, and not in each of them: making a tensor must be quick.
    requires_grad: bool = False
    label: str = ""
    maker: Maker | None = None
    op: Rule | None = None
    parents: tuple[Tensor, ...] = ()
    saved: Any = None
    #: A Tensor stores no slopes; see the module's text.
    slopes: tuple[float, ...] = ()

    _grad: np.ndarray | None = None
    _retains_grad: bool = False
    #: What is known of its memory, once it is shared or written to; and when the operation was recorded.
    _memory: Memory | None = None
    _recorded: int = 0
    #: Of a result on a GPU, what computes the gradients of its parents, in the place of `op.backward`.
    _way_back: Callable[[Any], Sequence[Any]] | None = None

    def __init__(self, data: np.ndarray, requires_grad: bool = False) -> None:
        if not (isinstance(data, np.ndarray) or placement.is_device_array(data)) or data.dtype not in _NAMES:
            raise TypeError(f"Tensor wraps an array of a type it knows, got {data!r:.80}; use fast.tensor(...)")
        self.data = data
        if requires_grad:
            self.requires_grad = True

    def __repr__(self) -> str:
        numbers = np.array2string(placement.host(self.data), separator=", ", prefix="tensor(")
        default = self.dtype != float64
        return f"tensor({numbers}{'' if default else f', dtype={self.dtype}'}{self._how()})"

    def _how(self) -> str:
        return ("" if self.device == "cpu" else f", device={self.device!r}") + self._origin()

    def _origin(self) -> str:
        if self.op:
            return f", op={self.op.symbol}"
        return ", requires_grad=True" if self.requires_grad else ""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.data.shape

    @property
    def dtype(self) -> str:  # type: ignore[override]
        return _NAMES[self.data.dtype]

    @property
    def device(self) -> str:  # type: ignore[override]
        """Where the numbers lie: `"cpu"`, or `"cuda"` for the first GPU."""
        return placement.device_of(self.data)

    @property
    def constant(self) -> bool:
        """Whether nobody wants its gradient."""
        return not self.requires_grad

    @property
    def grad(self) -> Tensor | None:
        """The gradient, where `backward` has put one: an input that requires it. May be set, also to None."""
        return None if self._grad is None else Tensor(self._grad)

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is not None:
            checks.gradient_shape(grad.shape, self.shape)
        self._grad = None if grad is None else self._beside(grad).copy()

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def retain_grad(self) -> None:
        """Let `backward` keep the gradient of this intermediate result, as it does for inputs."""
        self._retains_grad = True

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Tensor:
        tensors = _operands(op, arguments)
        if placement.used and placement.on_gpu(op.symbol, *[t for t in tensors if not _is_number(t)]):
            return placement.eager().apply(op, _ELEMENTWISE[op.name], tensors)
        y = elementwise.forward(op, [tensor.data for tensor in tensors])
        return record(_ELEMENTWISE[op.name], y, tensors)

    @staticmethod
    def _compare(name: str, function: Callable[[Any, Any], Any], *arguments: Any) -> Tensor:
        arrays = [a.data if type(a) is Tensor else _scalar(name, a, arguments) for a in arguments]
        checks.broadcast_shape(name, *[np.shape(array) for array in arrays])
        if name in "&|^":
            checks.truth_values(name, [getattr(array, "dtype", np.dtype(type(array))).name for array in arrays])
        if placement.used and placement.on_gpu(name, *[a for a in arguments if type(a) is Tensor]):
            answers = np.asarray(function(*[placement.host(a) if placement.is_device_array(a) else a for a in arrays]))
            return note(_COMPARISONS[name], placement.moved(answers, "cuda"), arguments)
        return note(_COMPARISONS[name], np.asarray(function(*arrays)), arguments)

    def item(self) -> float:
        """The number, where there is only one."""
        checks.scalar("item", self.shape)
        return self.data.item()

    def tolist(self) -> Any:
        """The numbers, as nested lists."""
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy; TypeError for a tensor on a GPU, see `cpu`."""
        return np.asarray(self.data)

    def __dlpack__(self, **arguments: Any) -> Any:
        """The memory in the form in which array libraries exchange it (DLPack), not a copy."""
        return self.data.__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy) if copy else np.asarray(self.data, dtype=dtype)

    def copy_(self, numbers: Any) -> Tensor:
        """Overwrite the numbers with those of a list, an array or a tensor of the same shape; returns itself."""
        source = self._beside(numbers)
        checks.copy_shape(self.shape, source.shape)
        overwrite(self, source)
        return self

    def _beside(self, numbers: Any) -> Any:
        """Numbers, a list, an array or a tensor, as an array of this tensor's type, and where this tensor lies."""
        if isinstance(numbers, Tensor):
            numbers = placement.host(numbers.data) if numbers.device != self.device else numbers.data
        if placement.is_device_array(numbers):
            return numbers if numbers.dtype == self.data.dtype else numbers.astype(self.data.dtype)
        return placement.moved(_as_array(numbers, self.dtype), self.device)

    def move_(self, device: str) -> Tensor:
        """Move the numbers of this very tensor, and of its gradient, to "cpu" or "cuda"; returns itself.

        So parameters move, which modules and optimizers hold. RuntimeError where there is no GPU.
        """
        device = checks.known_device(device)
        if self.parents:
            raise ValueError(f"move_: this tensor of shape {self.shape} was computed from others; use x.to({device!r})")
        self.data = placement.moved(self.data, device)
        self._grad = None if self._grad is None else placement.moved(self._grad, device)
        return self

    def detach(self) -> Tensor:
        """The same memory, without its history."""
        return share_memory(Tensor(self.data), self)

    def topological_order(self) -> list[Tensor]:
        """This Tensor and all that it was made from, each after its parents."""
        return topological_order([self])

    def backward(self, gradient: Any = None) -> None:
        """Compute the gradient of this Tensor with respect to every input that requires one.

        gradient: the weight of each element, in this Tensor's shape; may be left out for a single element.
        Gradients add up over several calls, until `zero_grad`. Intermediate results keep theirs after `retain_grad`.
        Raises ValueError where a number that is needed has been overwritten since.
        """
        if not self.requires_grad:
            raise ValueError(
                "backward: this tensor was not computed from any tensor with requires_grad=True (or within no_grad)"
            )
        gradients = {self: self._seed(gradient)}
        if self.op is None:
            self._keep(gradients[self])
        for node in latest_first(self):
            rule, grad = node.op, gradients.pop(node, None)
            if rule is None or grad is None:
                continue
            if _last_written > node._recorded:
                _check_not_overwritten(node, rule)
            if node._retains_grad:
                node._keep(grad.copy())  # the rule may hand `grad` on to a parent
            parts = rule.backward(node, grad) if node._way_back is None else node._way_back(grad)
            for parent, part in zip(node.parents, parts, strict=True):
                if part is None or not parent.requires_grad:
                    continue
                if parent.op is None:
                    parent._keep(part)
                else:
                    gradients[parent] = _added(gradients[parent], part) if parent in gradients else part

    def _keep(self, grad: np.ndarray) -> None:
        """Add `grad` to the gradient that belongs to this tensor."""
        self._grad = grad if self._grad is None else _added(self._grad, grad)

    def _seed(self, gradient: Any) -> np.ndarray:
        if gradient is None:
            checks.scalar("backward", self.shape)
            return placement.moved(np.ones(self.shape, self.data.dtype), self.device)
        if isinstance(gradient, Tensor):
            gradient = gradient.cpu().data
        gradient = np.array(gradient, dtype=self.data.dtype)
        checks.gradient_shape(gradient.shape, self.shape)
        return placement.moved(gradient, self.device)


def _added(one: Any, other: Any) -> Any:
    """The sum of two arrays, which lie on the same device; NumPy's of arrays without dimensions would be a number."""
    total = one + other
    return total if placement.is_device_array(total) else np.asarray(total)


def record(rule: Rule, data: np.ndarray, parents: tuple[Tensor, ...], saved: Any = None) -> Tensor:
    """The result of an operation as a Tensor; it joins the graph if a parent requires a gradient."""
    result = Tensor(data)
    if grad_mode.recording:
        for parent in parents:
            if parent.requires_grad:
                result.requires_grad = True
                result.op, result.parents, result.saved, result.maker = rule, parents, saved, grad_mode.maker
                result._recorded = next(_clock)
                break
    return result


def note(rule: Rule, data: np.ndarray, arguments: tuple[Any, ...]) -> Tensor:
    """The result of an operation without slopes: it joins the graph only of a step that is recorded to be compiled."""
    if _undo.before is None:
        return Tensor(data)
    return record(rule, data, tuple([a if isinstance(a, Tensor) else Tensor(np.array(a)) for a in arguments]))


# ----------------------------------------------------------------------------------------------------------------------
# Memory: who shares it, and whether it has been overwritten while a gradient was still to be computed from it.

#: The time, as far as it matters: it goes on with every operation that is recorded and every writing.
_clock = count(1)
#: When any tensor was last written to: mostly before all that `backward` meets, which then need not be looked at.
_last_written = 0


@dataclass
class Memory:
    """Memory that tensors share. written: when any of them was last written to."""

    written: int = 0


def share_memory(view: Tensor, x: Tensor) -> Tensor:
    """Note that `view` shares the memory of x; returns it."""
    if x._memory is None:
        x._memory = Memory()
    view._memory = x._memory
    return view


def mark_written(x: Tensor) -> None:
    """Note that the memory of x has been written to."""
    global _last_written
    if x._memory is None:
        x._memory = Memory()
    x._memory.written = _last_written = next(_clock)


def overwrite(x: Tensor, numbers: Any, index: Any = ...) -> None:
    """Write numbers into x, at an index."""
    keep_for_undo(x)
    x.data[index] = numbers
    mark_written(x)


def keep_for_undo(x: Tensor) -> None:
    """Keep the numbers of x, which are about to be overwritten, if they are to be taken back."""
    if _undo.before is not None:
        _undo.before.setdefault(x, x.data.copy())


class _Undo(threading.local):
    """Of a Python thread: the tensors that were overwritten, and what stood in them before; None for nobody asks."""

    before: dict[Tensor, np.ndarray] | None = None


_undo = _Undo()


@contextmanager
def taken_back() -> Iterator[dict[Tensor, np.ndarray]]:
    """What is overwritten inside has its old numbers again at the end; till then they are in the dictionary."""
    outer, _undo.before = _undo.before, {}
    try:
        yield _undo.before
    finally:
        for x, numbers in reversed(_undo.before.items()):
            x.data[...] = numbers
        _undo.before = outer


_time_of_recording = attrgetter("_recorded")


def latest_first(last: Tensor) -> list[Tensor]:
    """`last` and all results that it was computed from, the latest first, so that each comes before its parents."""
    found = [last]
    seen = {last}
    for node in found:  # which grows meanwhile
        for parent in node.parents:
            if parent.op is not None and parent not in seen:
                seen.add(parent)
                found.append(parent)
    found.sort(key=_time_of_recording, reverse=True)
    return found


def _check_not_overwritten(node: Tensor, rule: Rule) -> None:
    read = range(-1, len(node.parents)) if rule.reads is None else rule.reads
    for place in read:
        tensor = node if place < 0 else node.parents[place]
        if tensor._memory is not None and tensor._memory.written > node._recorded:
            whose = "the result" if place < 0 else f"argument {place}"
            raise ValueError(
                f"backward: {whose} of {rule.symbol}, of shape {tensor.shape}, was overwritten after the operation, "
                "whose gradient needs the old numbers; call backward first, or write into a copy"
            )


# ----------------------------------------------------------------------------------------------------------------------
# Making tensors.


def tensor(data: Any, dtype: str | None = None, requires_grad: bool = False, *, device: str = "cpu") -> Tensor:
    """Make a Tensor from numbers, nested lists, or an array, which is copied.

    dtype: `"float32"`, `"float64"`, `"int64"` or `"bool"`. Left out, arrays of these types keep theirs, Python's
        integers become int64, its truth values bool, and everything else float32, as in PyTorch.
    requires_grad: whether `backward` shall compute its gradient; for floating-point types only.
    device: `"cpu"`, or `"cuda"` for the first GPU; a tensor that is given as data stays where it is.
    Raises ValueError where rows differ in length, TypeError for what is not a number, RuntimeError without a GPU.
    """
    if isinstance(data, Tensor) and data.device != "cpu":
        data, device = data.cpu(), data.device
    array = np.array(_as_array(data, dtype), order="C")
    if requires_grad:
        checks.may_require_grad(array.dtype.name)
    return Tensor(array if device == "cpu" else placement.moved(array, checks.known_device(device)), requires_grad)


def as_tensor(data: Any, dtype: str | None = None) -> Tensor:
    """`tensor(data, dtype)`, sharing the memory of an array or a tensor that has the type already."""
    if isinstance(data, Tensor) and data.device != "cpu":
        return data.detach() if dtype in (None, data.dtype) else data.detach().to(dtype)
    made = Tensor(_as_array(data, dtype))
    return share_memory(made, data) if isinstance(data, Tensor) and made.data is data.data else made


#: The types that a Tensor can have, and their names; to look a name up is much quicker than to ask NumPy for it.
_NAMES = {np.dtype(name): name for name in (bool_, int64, float32, float64)}


def _as_array(data: Any, dtype: str | None) -> np.ndarray:
    if dtype is None and type(data) is np.ndarray and data.dtype in _NAMES:
        return data  # what a training loop passes, step after step
    if dtype is not None:
        checks.element_type(dtype)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"tensor: all rows must have the same length; NumPy says: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"tensor needs numbers, got {data!r:.80} of type {type(data).__name__} ({array.dtype})")
    if dtype is None:
        known = isinstance(data, np.ndarray | np.generic | Tensor) and array.dtype.name in (float32, float64)
        dtype = array.dtype.name if known else {"b": bool_, "i": int64, "u": int64}.get(array.dtype.kind, float32)
    if dtype == int64 and array.dtype.kind in "fu":
        outside = ~(np.abs(array) < 2.0**63)
        if outside.any():
            raise checks.no_integer(array[outside].flat[0])
    return array.astype(dtype, copy=False)


# ----------------------------------------------------------------------------------------------------------------------
# Elementwise operations.


def _elementwise_rule(op: Op) -> Rule:
    def backward(node: Tensor, grad: np.ndarray) -> Gradients:
        arguments = [parent.data for parent in node.parents]
        needed = [parent.requires_grad for parent in node.parents]
        return elementwise.backward(op, grad, arguments, node.data, needed)

    slopes = elementwise.SLOPES[op.name]
    names = {**{name: place for place, name in enumerate(op.arguments)}, "y": -1}

    def lower(recorder: Any, node: Tensor) -> Any:
        shape, y = node.shape, recorder.new(node.data.size)
        arguments = [recorder.stretched(parent, shape) for parent in node.parents]
        recorder.emit_elementwise(elementwise.FORWARD[op.name], shape, *arguments, y)

        def write_slope(grad: Any, parent: Tensor, plan: elementwise.Plan) -> Any:
            if not recorder.wants(parent):
                return None
            # What a slope does not read need not be there any more; any other array of that length will do.
            read = [place if name in op.reads else grad for name, place in zip(names, [*arguments, y], strict=True)]
            part = recorder.gradient(parent) if parent.shape == shape else recorder.new(y.size)
            recorder.emit_elementwise(plan, shape, grad, *read, part)
            return recorder.unstretched(part, shape, parent.shape)

        return y, lambda grad: [write_slope(grad, *both) for both in zip(node.parents, slopes, strict=True)]

    return Rule(op.symbol, backward, tuple(place for name, place in names.items() if name in op.reads), lower)


_ELEMENTWISE = {op.name: _elementwise_rule(op) for op in OPS.values()}


def _lower_comparison(recorder: Any, node: Any) -> Any:
    """1 where it holds, else 0, which no gradient passes."""
    size, y = node.data.size, recorder.new(node.data.size)
    places = [recorder.stretched(parent, node.shape) for parent in node.parents]
    relation = list(_COMPARISONS).index(node.op.symbol)
    recorder.emit("compare", size, relation, *places, y, flops=size, shape=node.shape)
    return y, None


#: In the order of the kernel, `holds` in `kernels/steps.py`.
_COMPARISONS = {
    name: Rule(name, lambda node, grad: [None] * len(node.parents), reads=(), lower=_lower_comparison)
    for name in ("==", "!=", "<", "<=", ">", ">=", "&", "|", "^")
}


def _is_number(tensor: Tensor) -> bool:
    """Whether it may stand for a plain number beside tensors on a GPU."""
    return not tensor.shape and not tensor.requires_grad and tensor.device == "cpu"


def _operands(op: Op, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The arguments as Tensors of one type, in which `op` can compute; plain numbers take the type of the others."""
    dtype = None
    for argument in arguments:
        if type(argument) is not Tensor:
            break
        if dtype is None and argument.data.dtype.char in "fd":  # float32 and float64
            dtype = argument.data.dtype
        elif argument.data.dtype is not dtype:
            break
    else:
        return arguments
    name = _common_type(op, arguments)
    return tuple([a.to(name) if type(a) is Tensor else Tensor(np.array(a, name)) for a in arguments])


def _common_type(op: Op, arguments: tuple[Any, ...]) -> str:
    """The widest type of the tensors; a plain number counts only if its kind is higher than theirs."""
    widest = max([_RANKS[a.data.dtype] for a in arguments if type(a) is Tensor])
    for argument in arguments:
        if type(argument) is not Tensor:
            kind = _scalar(op.symbol, argument, arguments)
            widest = max(widest, 1 if isinstance(kind, int | np.integer | np.bool) else 2)
    if op.name == "pow" and widest == 1:
        exponents = arguments[1].tolist() if type(arguments[1]) is Tensor else arguments[1]
        checks.exponents(np.ravel(exponents).tolist())
    return _TYPES[max(widest, 1 if op.whole else 2)]


def _scalar(name: str, number: Any, arguments: tuple[Any, ...]) -> Any:
    """`number` itself, a plain number beside the tensors of an expression."""
    if isinstance(number, int | float | np.integer | np.floating | np.bool):
        return number
    if isinstance(number, Vocabulary):
        raise checks.mixed_engines(name, arguments)
    raise checks.no_operand(name, number, "fast")


def one_dtype(name: str, *tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the widest of their floating-point types; integers adapt, unless there is nothing else."""
    kinds = {tensor.data.dtype.char for tensor in tensors}
    if kinds == {"f"} or kinds == {"d"}:
        return tensors
    widest = max(_RANKS[tensor.data.dtype] for tensor in tensors)
    if widest < 2:
        checks.quantities(name, *tensors)
    return tuple([tensor.to(_TYPES[widest]) for tensor in tensors])


#: The types from the narrowest to the widest. To look one up is much quicker than to compare names.
_TYPES = list(_NAMES.values())
_RANKS = {dtype: rank for rank, dtype in enumerate(_NAMES)}
