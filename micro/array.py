"""Vectors, matrices and anything with more dimensions, as nested lists of Values.

An `Array` adds nothing to what a Value can do; it saves writing loops. `a + b` adds element by element, `a @ b`
multiplies matrices, `a.sum()` adds up, and each of the many Values that come out remembers its own parents. So a
network written with Arrays is still a graph of numbers, every one of which can be looked at.

The names, the shapes and the rules are those of `fast.Tensor` and of PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from numbers import Integral, Real
from typing import Any

from micro import checks
from micro.ops import COPY, Op
from micro.value import Constant, Value, array_interface, backpropagate, topological_order
from micro.vocabulary import Vocabulary, bool_, float64, int64


class Array(Vocabulary):
    """A tensor of Values; or of plain integers or truth values, which are part of no graph.

    values: nested lists, one level for each dimension; a single element where there are no dimensions.
    shape: the lengths of the dimensions.
    dtype: `"float64"` where the elements are Values, else `"int64"` or `"bool"`.
    requires_grad: marks a parameter of a model. (Every Value takes part in `backward`, marked or not.)
    label: a name for drawings; its Values are labelled `label[i, j]`.

    Made by `micro.tensor`, which turns numbers into Values.
    """

    __slots__ = ("_label", "dtype", "requires_grad", "shape", "values")

    def __init__(
        self, values: Any, shape: checks.Shape | None = None, dtype: str | None = None, requires_grad: bool = False
    ) -> None:
        self.values = values
        self.shape = _shape(values) if shape is None else shape
        self.dtype = _DTYPES[type(next(self.flat(), None))] if dtype is None else dtype
        self.requires_grad = requires_grad
        self._label = ""

    @property
    def label(self) -> str:
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = label
        for place, value in zip(places(self.shape), self._nodes(), strict=False):
            value.label = f"{label}[{', '.join(map(str, place))}]"

    def __repr__(self) -> str:
        return f"tensor({self.tolist()})"

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Any:
        operands, shape = _operands(op.symbol, arguments)
        whole = op.whole and all(_kind_of(argument) != float64 for argument in arguments)
        if whole and op.name == "pow":
            checks.exponents(flatten(operands[1]))
        function = op.of_integers if whole else partial(Value._apply, op)
        return wrap(_zip(function, shape, *operands), shape, int64 if whole else float64)

    @staticmethod
    def _compare(name: str, function: Callable[[Any, Any], Any], *arguments: Any) -> Array:
        operands, shape = _operands(name, arguments)
        kinds = {_kind_of(argument) for argument in arguments}
        if name in "&|^":
            checks.truth_values(name, kinds)
        dtype = int64 if name in "&|^" and int64 in kinds else bool_
        return Array(_zip(lambda a, b: function(number_of(a), number_of(b)), shape, *operands), shape, dtype)

    def flat(self) -> Iterator[Any]:
        """The elements in reading order."""
        return iter(flatten(self.values))

    def _nodes(self) -> Iterator[Value]:
        """The elements that are Values; integers are not part of any graph."""
        return (element for element in self.flat() if isinstance(element, Value))

    def tolist(self) -> Any:
        """The numbers, as nested lists."""
        return _map(number_of, self.values)

    def item(self) -> float:
        """The number, where there is only one."""
        checks.scalar("item", self.shape)
        return flatten(self.tolist())[0]

    def copy_(self, numbers: Any) -> Array:
        """Overwrite the numbers with those of a list, an array or a tensor of the same shape; returns itself."""
        source = tensor(numbers, dtype=self.dtype)
        checks.copy_shape(self.shape, source.shape)
        if self.dtype != float64:
            self.values = source.values
        for value, new in zip(self._nodes(), source.flat(), strict=False):
            value.data = new.data
        return self

    def detach(self) -> Array:
        """The same numbers, without their history."""
        return tensor(self, self.dtype)

    def retain_grad(self) -> None:
        """Ask for the gradient of an intermediate result. (Every Value keeps its gradient anyway.)"""

    @property
    def grad(self) -> Array | None:
        """The gradients, in an array of the same shape; None for integers."""
        if self.dtype != float64:
            return None
        return Array(_map(lambda value: Value(value.grad), self.values), self.shape, self.dtype)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for value in self._nodes():
            value.zero_grad()

    def topological_order(self) -> list[Value]:
        """All Values and all that they were made from, each after its parents."""
        return topological_order(self._nodes())

    def backward(self, gradient: Any = None) -> None:
        """Backpropagate from all elements; `gradient` has the same shape, and may be left out for a single element."""
        checks.quantities("backward", self)
        roots = list(self.flat())
        if gradient is None:
            checks.scalar("backward", self.shape)
            gradient = _map(lambda _: 1.0, self.values)
        gradient = tensor(gradient, dtype=float64)
        checks.gradient_shape(gradient.shape, self.shape)
        backpropagate(roots, flatten(gradient.tolist()))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """How `numpy.asarray` reads the numbers, without this package importing NumPy."""
        return array_interface(self.shape, self.dtype, flatten(self.tolist()))


def tensor(data: Any, dtype: str | None = None, requires_grad: bool = False, *, device: str = "cpu") -> Any:
    """Make an Array from nested lists, or a Value from a number; NumPy arrays and Arrays are read as well.

    dtype: `"float64"`, `"int64"` or `"bool"`; left out, truth values stay such, and so do integers, as in PyTorch.
        `"float32"` is accepted and computed in float64, the only precision that Python has.
    requires_grad: marks a parameter of a model.
    device: "cpu", for Python has no other.
    Raises ValueError where rows differ in length, TypeError for what is not a number.
    """
    checks.only_cpu(device)
    if dtype is not None:
        checks.element_type(dtype)
    shape = getattr(data, "shape", None)  # which nested lists cannot tell where it has a length of 0
    nested = _map(number_of, data.tolist() if hasattr(data, "tolist") else data)
    shape = _shape(nested) if shape is None else tuple(shape)
    if dtype is None:
        kinds = {_kind(number) for number in flatten(nested)} or {_kind_of_none(data)}
        dtype = kinds.pop() if len(kinds) == 1 else int64 if kinds == {int64, bool_} else float64
    return made_of(nested, shape, dtype, requires_grad)


def made_of(numbers: Any, shape: checks.Shape, dtype: str, requires_grad: bool = False) -> Any:
    """A tensor of this type from nested lists of plain numbers."""
    if dtype in (int64, bool_):
        if requires_grad:
            checks.may_require_grad(dtype)
        return Array(_map(_as_integer if dtype == int64 else _as_bool, numbers), shape, dtype)
    values = _map(Value, numbers)
    return Array(values, shape, float64, requires_grad) if isinstance(values, list) else values


def copied(element: Any) -> Any:
    """A Value of its own, made from `element`, so that writing to one leaves the other as it is; integers as they are.

    Where PyTorch's result has memory of its own the elements are copied, where it is a view they are shared.
    """
    return Value._apply(COPY, element) if isinstance(element, Value) else element


def number_of(element: Any) -> Any:
    """The plain number of an element."""
    return element.data if isinstance(element, Value) else element


def _kind(number: Any) -> str:
    return bool_ if isinstance(number, bool) else int64 if isinstance(number, Integral) else float64


def _kind_of_none(data: Any) -> str:
    """The type of data without any numbers: that of an array is known all the same."""
    dtype = str(getattr(data, "dtype", float64))
    return bool_ if dtype == bool_ else int64 if "int" in dtype else float64


def _kind_of(argument: Any) -> str:
    """The type of an operand, a tensor or a number."""
    return argument.dtype if isinstance(argument, Vocabulary) else _kind(argument)


def _as_integer(number: Any) -> int:
    if not isinstance(number, Real):
        raise TypeError(f"tensor needs numbers, got {number!r:.80} of type {type(number).__name__}")
    exact = int(number) if isinstance(number, Integral) else float(number)
    if not -(2**63) <= exact < 2**63:
        raise checks.no_integer(number)
    return int(exact)


def _as_bool(number: Any) -> bool:
    if not isinstance(number, Real):
        raise TypeError(f"tensor needs numbers, got {number!r:.80} of type {type(number).__name__}")
    return number != 0


def _operands(name: str, arguments: tuple[Any, ...]) -> tuple[list[Any], checks.Shape]:
    """The arguments' elements, stretched to one shape."""
    for argument in arguments:
        if isinstance(argument, Vocabulary) and not isinstance(argument, Array | Value):
            raise checks.mixed_engines(name, arguments)
        if not isinstance(argument, Array | Value | Real):
            raise checks.no_operand(name, argument, "micro")
    shapes = [getattr(argument, "shape", ()) for argument in arguments]
    shape = checks.broadcast_shape(name, *shapes)
    nested = [argument.values if isinstance(argument, Vocabulary) else argument for argument in arguments]
    return [stretch(x, old, shape) for x, old in zip(nested, shapes, strict=True)], shape


#: The type of an Array by that of its first element.
_DTYPES: dict[type, str] = {Value: float64, Constant: float64, int: int64, bool: bool_, type(None): float64}


def as_tensor(data: Any, dtype: str | None = None) -> Any:
    """`tensor(data, dtype)`. (`fast.as_tensor` avoids the copy where it can; there is nothing to avoid here.)"""
    return tensor(data, dtype)


def wrap(values: Any, shape: checks.Shape | None = None, dtype: str | None = None) -> Any:
    """Nested lists, or a single element, as an Array; a Value as itself."""
    return values if isinstance(values, Value) else Array(values, shape, dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Nested lists.


def flatten(nested: Any) -> list[Any]:
    """All elements in reading order."""
    if not isinstance(nested, list):
        return [nested]
    if nested and not isinstance(nested[0], list):
        return nested
    return [element for row in nested for element in flatten(row)]


def _map(function: Callable[[Any], Any], nested: Any) -> Any:
    if isinstance(nested, list | tuple):
        return [_map(function, row) for row in nested]
    return function(nested)


def _zip(function: Callable[..., Any], shape: checks.Shape, *nested: Any) -> Any:
    """Combine the elements that stand at the same place of several nested lists of one shape."""
    if not shape:
        return function(*nested)
    return [_zip(function, shape[1:], *rows) for rows in zip(*nested, strict=True)]


def stretch(nested: Any, old: checks.Shape, new: checks.Shape) -> Any:
    """Repeat rows until `old` has become `new`; the elements are shared, not copied, so their gradients add up."""
    if len(old) < len(new):
        return [stretch(nested, old, new[1:])] * new[0]
    if not new:
        return nested
    if old[0] != new[0]:
        return [stretch(nested[0], old[1:], new[1:])] * new[0]
    return [stretch(row, old[1:], new[1:]) for row in nested]


def _shape(nested: Any) -> checks.Shape:
    if not isinstance(nested, list):
        return ()
    shapes = [_shape(row) for row in nested]
    for row, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(f"tensor: row {row} has shape {shape}, row 0 {shapes[0]}; all rows must have the same")
    return (len(nested), *(shapes[0] if shapes else ()))


def regroup(elements: Iterator[Any], shape: checks.Shape) -> Any:
    """The inverse of `flatten`."""
    if not shape:
        return next(elements)
    return [regroup(elements, shape[1:]) for _ in range(shape[0])]


def at(nested: Any, place: Iterable[int]) -> Any:
    """The element, or the part, at a place: `at(x, (1, 2))` is x[1][2]."""
    for i in place:
        nested = nested[i]
    return nested


def build(shape: checks.Shape, element: Callable[..., Any], dtype: str = float64) -> Any:
    """The Array of this shape whose element at each place is `element(*place)`; without dimensions, that element."""
    return wrap(regroup((element(*place) for place in places(shape)), shape), shape, dtype)


def places(shape: checks.Shape) -> Iterator[tuple[int, ...]]:
    """All places of a shape, in reading order: (0, 0), (0, 1), ..."""
    return product(*map(range, shape))


def along(function: Callable[[list[Any]], list[Any]], nested: list[Any], shape: checks.Shape, dim: int) -> list[Any]:
    """Replace each line of elements along `dim` with `function(line)`.

    With the function `lambda line: [sum(line)]`, [[1, 2, 3], [4, 5, 6]] of shape (2, 3) becomes [[5, 7, 9]] along
    dimension 0 (the lines are its columns) and [[6], [15]] along dimension 1 (the lines are its rows).
    """
    if dim > 0:
        return [along(function, row, shape[1:], dim - 1) for row in nested]
    if len(shape) == 1:
        return function(nested)
    if shape[1] == 0:
        return nested  # rows without elements: there are no lines
    columns = [along(function, [row[i] for row in nested], (shape[0], *shape[2:]), 0) for i in range(shape[1])]
    return [list(rows) for rows in zip(*columns, strict=True)]


def elements(arrays: Iterable[Any]) -> list[Any]:
    """The elements of all arrays, one after another."""
    return [element for array in arrays for element in array.flat()]
