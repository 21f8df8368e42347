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
from micro.ops import Op
from micro.value import Constant, Value, array_interface, as_operand, backpropagate, topological_order
from micro.vocabulary import Vocabulary, float64, int64


class Array(Vocabulary):
    """A tensor of Values, or of plain integers where it holds class labels.

    values: nested lists, one level for each dimension; a single element where there are no dimensions.
    shape: the lengths of the dimensions.
    requires_grad: marks a parameter of a model. (Every Value takes part in `backward`, marked or not.)
    label: a name for drawings; its Values are labelled `label[i, j]`.

    Made by `micro.tensor`, which turns numbers into Values.
    """

    __slots__ = ("_label", "requires_grad", "shape", "values")

    def __init__(self, values: Any, requires_grad: bool = False) -> None:
        self.values = values
        self.shape = _shape(values)
        self.requires_grad = requires_grad
        self._label = ""

    @property
    def label(self) -> str:
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = label
        places = product(*map(range, self.shape))
        for place, value in zip(places, self._nodes(), strict=False):
            value.label = f"{label}[{', '.join(map(str, place))}]"

    def __repr__(self) -> str:
        return f"tensor({self.tolist()})"

    def __iter__(self) -> Iterator[Any]:
        return iter([wrap(row) for row in self.values])

    def __getitem__(self, index: int | slice | tuple[int | slice, ...]) -> Any:
        """`x[i]`, `x[i, j]`, `x[:, j]`: integers and slices."""
        return wrap(_index(self.values, index if isinstance(index, tuple) else (index,), self.shape))

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Any:
        operands = [as_operand(op, argument) for argument in arguments]
        if not all(isinstance(operand, Array | Value) for operand in operands):
            raise checks.mixed_engines(op.symbol, arguments)
        if all(operand.dtype == int64 for operand in operands if not isinstance(operand, Constant)):
            raise checks.integers(op.symbol)
        shape = checks.broadcast_shape(op.symbol, *[operand.shape for operand in operands])
        nested = [operand.values if isinstance(operand, Array) else operand for operand in operands]
        stretched = [_stretch(x, operand.shape, shape) for x, operand in zip(nested, operands, strict=True)]
        return wrap(_zip(partial(Value._apply, op), shape, *stretched))

    @property
    def dtype(self) -> str:
        """`"float64"`, or `"int64"` where the elements are integers."""
        return int64 if isinstance(next(self.flat(), None), int) else float64

    def flat(self) -> Iterator[Any]:
        """The elements in reading order."""
        return iter(flatten(self.values))

    def _nodes(self) -> Iterator[Value]:
        """The elements that are Values; integers are not part of any graph."""
        return (element for element in self.flat() if isinstance(element, Value))

    def tolist(self) -> Any:
        """The numbers, as nested lists."""
        return _map(lambda element: element.data if isinstance(element, Value) else element, self.values)

    def item(self) -> float:
        """The number, where there is only one."""
        checks.scalar("item", self.shape)
        return flatten(self.tolist())[0]

    def copy_(self, numbers: Any) -> Array:
        """Overwrite the numbers with those of a list, an array or a tensor of the same shape; returns itself."""
        source = tensor(numbers, dtype=self.dtype)
        checks.copy_shape(self.shape, source.shape)
        if self.dtype == int64:
            self.values = source.values
        for value, new in zip(self._nodes(), source.flat(), strict=False):
            value.data = new.data
        return self

    def detach(self) -> Array:
        """The same numbers, without their history."""
        return tensor(self.tolist())

    @property
    def grad(self) -> Array | None:
        """The gradients, in an array of the same shape; None for integers."""
        if self.dtype == int64:
            return None
        return Array(_map(lambda value: Value(value.grad), self.values))

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


def tensor(data: Any, dtype: str | None = None, requires_grad: bool = False) -> Any:
    """Make an Array from nested lists, or a Value from a number; NumPy arrays and Arrays are read as well.

    dtype: `"float64"` or `"int64"`; left out, it is `"int64"` where every number is an integer, as in PyTorch.
        `"float32"` is accepted and computed in float64, the only precision that Python has.
    requires_grad: marks a parameter of a model.
    Raises ValueError where rows differ in length, TypeError for what is not a number.
    """
    if dtype is not None:
        checks.element_type(dtype)
    data = data.tolist() if hasattr(data, "tolist") else data
    nested = _map(lambda number: number.data if isinstance(number, Value) else number, data)
    _shape(nested)
    if dtype is None and flatten(nested) and all(map(_is_integer, flatten(nested))):
        dtype = int64
    if dtype == int64:
        if requires_grad:
            raise checks.no_gradient()
        return Array(_map(_as_integer, nested))
    values = _map(Value, nested)
    return Array(values, requires_grad) if isinstance(values, list) else values


def _is_integer(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _as_integer(number: Any) -> int:
    if not isinstance(number, Real):
        raise TypeError(f"tensor needs numbers, got {number!r:.80} of type {type(number).__name__}")
    if not abs(float(number)) < 2**63:
        raise checks.no_integer(number)
    return int(number if isinstance(number, Integral) else float(number))


def as_tensor(data: Any, dtype: str | None = None) -> Any:
    """`tensor(data, dtype)`. (`fast.as_tensor` avoids the copy where it can; there is nothing to avoid here.)"""
    return tensor(data, dtype)


def wrap(values: Any) -> Any:
    """Nested lists as an Array; a single element as itself."""
    return Array(values) if isinstance(values, list) else values


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


def _stretch(nested: Any, old: checks.Shape, new: checks.Shape) -> Any:
    """Repeat rows until `old` has become `new`; the elements are shared, not copied, so their gradients add up."""
    if len(old) < len(new):
        return [_stretch(nested, old, new[1:])] * new[0]
    if not new:
        return nested
    if old[0] != new[0]:
        return [_stretch(nested[0], old[1:], new[1:])] * new[0]
    return [_stretch(row, old[1:], new[1:]) for row in nested]


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


def build(shape: checks.Shape, element: Callable[..., Any]) -> Any:
    """The Array of this shape whose element at each place is `element(*place)`; without dimensions, that element."""
    return wrap(regroup((element(*place) for place in product(*map(range, shape))), shape))


def _index(nested: Any, index: tuple[int | slice, ...], shape: checks.Shape) -> Any:
    if len(index) > len(shape):
        raise IndexError(f"{len(index)} indices {index} for {len(shape)} dimensions of shape {shape}")
    if not index:
        return nested
    first, rest = index[0], index[1:]
    if isinstance(first, slice):
        return [_index(row, rest, shape[1:]) for row in nested[first]]
    if not _is_integer(first):
        raise TypeError(f"index {first!r} of type {type(first).__name__}; use integers and slices")
    if not -shape[0] <= first < shape[0]:
        raise IndexError(f"index {first} is outside a dimension of length {shape[0]}")
    return _index(nested[first], rest, shape[1:])


def along(function: Callable[[list[Any]], list[Any]], nested: list[Any], shape: checks.Shape, dim: int) -> list[Any]:
    """Replace each line of elements along `dim` with `function(line)`.

    With the function `lambda line: [sum(line)]`, [[1, 2, 3], [4, 5, 6]] of shape (2, 3) becomes [[5, 7, 9]] along
    dimension 0 (the lines are its columns) and [[6], [15]] along dimension 1 (the lines are its rows).
    """
    if dim > 0:
        return [along(function, row, shape[1:], dim - 1) for row in nested]
    if len(shape) == 1:
        return function(nested)
    columns = [along(function, [row[i] for row in nested], (shape[0], *shape[2:]), 0) for i in range(shape[1])]
    return [list(rows) for rows in zip(*columns, strict=True)]


def elements(arrays: Iterable[Any]) -> list[Any]:
    """The elements of all arrays, one after another."""
    return [element for array in arrays for element in array.flat()]
