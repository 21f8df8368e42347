"""`Tensor`: an array that remembers how it was computed.

The graph is the same as that of `micro.Value`, with arrays for numbers: each result keeps its `parents` and the `op`
that made it. An edge would have to carry a matrix of slopes; instead, the op has a rule that multiplies a gradient by
that matrix without writing it down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fast import elementwise
from micro import checks
from micro.ops import OPS, Op
from micro.value import topological_order
from micro.vocabulary import Vocabulary, float32, float64, grad_mode, int64

Gradients = Sequence[np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Rule:
    """How gradients pass backwards through one operation.

    symbol: what a drawing shows.
    backward: given the result of the operation and the gradient of that result, the gradients of its parents, each of
        the parent's shape, or None where the parent needs none. The arrays must belong to nobody else.
    reads: the parents, by position, whose numbers `backward` reads, with -1 for the result itself; None for all of
        these. They must not be overwritten before `backward`, which refuses to compute with other numbers.
    """

    symbol: str
    backward: Callable[[Tensor, np.ndarray], Gradients]
    reads: tuple[int, ...] | None = None


class Tensor(Vocabulary):
    """A NumPy array in a graph.

    data: the array, of float32, float64 or (for class labels) int64.
    requires_grad: whether `backward` computes its gradient: set for parameters, inherited by what is made of them.
    op: the rule of the operation that made it; None for an input.
    parents: the Tensors that `op` was applied to.
    saved: what `op` keeps for the way back.
    label: a name for drawings.
    """

    __slots__ = ("_grad", "data", "label", "op", "parents", "requires_grad", "saved")

    #: A Tensor stores no slopes; see the module's text.
    slopes: tuple[float, ...] = ()

    def __init__(self, data: np.ndarray, requires_grad: bool = False, label: str = "") -> None:
        if not isinstance(data, np.ndarray):
            raise TypeError(f"Tensor wraps an array, got {data!r:.80}; make it with fast.tensor(...)")
        self.data = data
        self.requires_grad = requires_grad
        self.label = label
        self.op: Rule | None = None
        self.parents: tuple[Tensor, ...] = ()
        self.saved: Any = None
        self._grad: np.ndarray | None = None

    def __repr__(self) -> str:
        numbers = np.array2string(self.data, separator=", ", prefix="tensor(")
        default = self.data.dtype in (float32, int64)
        return f"tensor({numbers}{'' if default else f', dtype={self.dtype}'}{self._how()})"

    def _how(self) -> str:
        if self.op:
            return f", op={self.op.symbol}"
        return ", requires_grad=True" if self.requires_grad else ""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.data.shape

    @property
    def dtype(self) -> str:
        """`"float32"`, `"float64"` or `"int64"`."""
        return _NAMES[self.data.dtype]

    @property
    def constant(self) -> bool:
        """Whether nobody wants its gradient."""
        return not self.requires_grad

    @property
    def grad(self) -> Tensor | None:
        """The gradient, where `backward` has put one: an input that requires it."""
        return None if self._grad is None else Tensor(self._grad)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice | tuple[int | slice, ...]) -> Tensor:
        """`x[i]`, `x[i, j]`, `x[:, j]`: integers and slices. The result shares the memory."""
        return self.engine.functional.getitem(self, index)

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Tensor:
        tensors = _operands(op, arguments)
        y = elementwise.forward(op, [tensor.data for tensor in tensors])
        return record(_ELEMENTWISE[op.name], y, tensors)

    def item(self) -> float:
        """The number, where there is only one."""
        checks.scalar("item", self.shape)
        return self.data.item()

    def tolist(self) -> Any:
        """The numbers, as nested lists."""
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy."""
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy) if copy else np.asarray(self.data, dtype=dtype)

    def copy_(self, numbers: Any) -> Tensor:
        """Overwrite the numbers with those of a list, an array or a tensor of the same shape; returns itself."""
        source = np.asarray(numbers)
        checks.copy_shape(self.shape, source.shape)
        self.data[...] = source
        return self

    def detach(self) -> Tensor:
        """The same memory, without its history."""
        return Tensor(self.data)

    def topological_order(self) -> list[Tensor]:
        """This Tensor and all that it was made from, each after its parents."""
        return topological_order([self])

    def backward(self, gradient: Any = None) -> None:
        """Compute the gradient of this Tensor with respect to every input that requires one.

        gradient: the weight of each element, in this Tensor's shape; may be left out for a single element.
        Gradients add up over several calls, until `zero_grad`.
        """
        if not self.requires_grad:
            raise ValueError(
                "backward: this tensor was not computed from any tensor with requires_grad=True (or within no_grad)"
            )
        gradients = {self: self._seed(gradient)}
        for node in reversed(self.topological_order()):
            grad = gradients.pop(node, None)
            if grad is None:
                continue
            if node.op is None:
                node._grad = grad if node._grad is None else np.asarray(node._grad + grad)
                continue
            for parent, part in zip(node.parents, node.op.backward(node, grad), strict=True):
                if part is not None:
                    gradients[parent] = np.asarray(gradients[parent] + part) if parent in gradients else part

    def _seed(self, gradient: Any) -> np.ndarray:
        if gradient is None:
            checks.scalar("backward", self.shape)
            return np.ones(self.shape, self.data.dtype)
        gradient = np.array(gradient, dtype=self.data.dtype)
        checks.gradient_shape(gradient.shape, self.shape)
        return gradient


def record(rule: Rule, data: np.ndarray, parents: tuple[Tensor, ...], saved: Any = None) -> Tensor:
    """The result of an operation as a Tensor; it joins the graph if a parent requires a gradient."""
    result = Tensor(data)
    if grad_mode.recording:
        for parent in parents:
            if parent.requires_grad:
                result.requires_grad = True
                result.op, result.parents, result.saved = rule, parents, saved
                break
    return result


# ----------------------------------------------------------------------------------------------------------------------
# Making tensors.


def tensor(data: Any, dtype: str | None = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor from numbers, nested lists, or an array, which is copied.

    dtype: `"float32"`, `"float64"` or `"int64"`. Left out, arrays of these types keep theirs, Python integers become
        int64, and everything else float32, as in PyTorch.
    requires_grad: whether `backward` shall compute its gradient; for floating-point types only.
    Raises ValueError where rows differ in length, TypeError for what is not a number.
    """
    array = np.array(_as_array(data, dtype), order="C")
    if requires_grad and array.dtype == _INT64:
        raise checks.no_gradient()
    return Tensor(array, requires_grad)


def as_tensor(data: Any, dtype: str | None = None) -> Tensor:
    """`tensor(data, dtype)`, sharing the memory of an array that has the type already."""
    return Tensor(_as_array(data, dtype))


#: The types that a Tensor can have, and their names; to look a name up is much quicker than to ask NumPy for it.
_NAMES = {np.dtype(name): name for name in (float32, float64, int64)}


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
        dtype = array.dtype.name if known else int64 if array.dtype.kind in "iu" else float32
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

    return Rule(op.symbol, backward)


_ELEMENTWISE = {op.name: _elementwise_rule(op) for op in OPS.values()}


def _operands(op: Op, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The arguments as Tensors of one floating-point type; plain numbers take the type of the others."""
    tensors = [argument for argument in arguments if type(argument) is Tensor]
    if len(tensors) == len(arguments):
        return one_dtype(op.symbol, *tensors)
    for argument in arguments:
        if type(argument) is not Tensor and not isinstance(argument, int | float | np.number):
            if isinstance(argument, Vocabulary):
                raise checks.mixed_engines(op.symbol, arguments)
            raise checks.no_operand(op.symbol, argument, "fast")
    checks.quantities(op.symbol, *tensors)
    dtype = tensors[0].data.dtype
    return tuple([a if type(a) is Tensor else Tensor(np.array(a, dtype)) for a in arguments])


def one_dtype(name: str, *tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the widest of their floating-point types; integers adapt, unless there is nothing else."""
    dtypes = {tensor.data.dtype for tensor in tensors}
    if len(dtypes) == 1 and _INT64 not in dtypes:
        return tensors
    floating = dtypes - {_INT64}
    if not floating:
        raise checks.integers(name)
    dtype = np.result_type(*floating).name
    return tuple([tensor.to(dtype) for tensor in tensors])


#: Comparing types is much quicker than comparing their names.
_INT64 = np.dtype(int64)
