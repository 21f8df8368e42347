"""The words that `Value`, `Array` and `fast.Tensor` share: operators, methods and their names, written once.

A class that offers `_apply(op, *arguments)`, which runs one row of the table of operations, inherits every operator
and every elementwise method. Reductions, products and shapes are functions of the engine's `functional` module, so
each engine says there what they mean. Names, arguments and defaults are PyTorch's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from micro.ops import OPS, Op

#: The names of the element types, accepted wherever a `dtype` is.
float32, float64, int64 = "float32", "float64", "int64"


# ----------------------------------------------------------------------------------------------------------------------
# Recording the graph, or not.


class _GradMode(threading.local):
    recording = True


#: Whether this thread's operations record the graph that `backward` needs.
grad_mode = _GradMode()


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside `with no_grad():` results are computed but not recorded: they have no parents and cost no memory."""
    before, grad_mode.recording = grad_mode.recording, False
    try:
        yield
    finally:
        grad_mode.recording = before


# ----------------------------------------------------------------------------------------------------------------------
# The words.


class Vocabulary:
    """Operators and methods, for scalars and for anything made of them.

    `+ - * / **` and unary `-` work with Python numbers on either side, as does `abs`. Every other row of the table is
    a method of its name: `x.tanh()`, `a.maximum(b)`.
    """

    __slots__ = ()
    __array_ufunc__ = None  # NumPy's scalars and arrays leave `array * value` to us, so that we can say what is wrong

    #: The engine's own module, `micro` or `fast`: where functions for this kind of number are to be found.
    engine: ClassVar[ModuleType]
    #: The lengths of the dimensions; () for a single number.
    shape: tuple[int, ...]

    if TYPE_CHECKING:  # the methods that the table adds below

        def __getattr__(self, name: str) -> Any: ...

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Any:
        """Run one row of the table; an argument may be a Python number."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._apply(OPS["add"], self, other)

    def __radd__(self, other: Any) -> Any:
        return self._apply(OPS["add"], other, self)

    def __sub__(self, other: Any) -> Any:
        return self._apply(OPS["sub"], self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply(OPS["sub"], other, self)

    def __mul__(self, other: Any) -> Any:
        return self._apply(OPS["mul"], self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply(OPS["mul"], other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._apply(OPS["div"], self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply(OPS["div"], other, self)

    def __iadd__(self, other: Any) -> Any:
        return self._update(self + other)

    def __isub__(self, other: Any) -> Any:
        return self._update(self - other)

    def __imul__(self, other: Any) -> Any:
        return self._update(self * other)

    def __itruediv__(self, other: Any) -> Any:
        return self._update(self / other)

    def __ipow__(self, other: Any) -> Any:
        return self._update(self**other)

    def _update(self, result: Any) -> Any:
        """What `x += 1` means: within `no_grad` x gets new numbers, else the name x gets a new tensor in the graph."""
        return result if grad_mode.recording else self.copy_(result)

    def __pow__(self, other: Any) -> Any:
        return self._apply(OPS["pow"], self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._apply(OPS["pow"], other, self)

    def __neg__(self) -> Any:
        return self._apply(OPS["neg"], self)

    def __abs__(self) -> Any:
        return self._apply(OPS["abs"], self)

    def __float__(self) -> float:
        return self.item()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, how: str) -> str:
        return format(self.item(), how) if how else str(self)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def T(self) -> Any:
        """The transpose of a matrix."""
        return self.engine.functional.transpose(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions; use .item() for its number")
        return self.shape[0]

    def __matmul__(self, other: Any) -> Any:
        return self.engine.functional.matmul(self, other)

    def to(self, dtype: str) -> Any:
        """The same numbers as elements of type `dtype`; this very tensor, if it has that type already."""
        return self.engine.functional.to(self, dtype)

    def sum(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The sum over `dim`, or over everything."""
        return self.engine.functional.sum(self, dim, keepdim)

    def mean(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The mean over `dim`, or over everything."""
        return self.engine.functional.mean(self, dim, keepdim)

    def softmax(self, dim: int = -1) -> Any:
        """exp(x) divided by its sum over `dim`."""
        return self.engine.functional.softmax(self, dim)

    def log_softmax(self, dim: int = -1) -> Any:
        """The logarithm of `softmax`, computed without overflow."""
        return self.engine.functional.log_softmax(self, dim)

    def reshape(self, *shape: int) -> Any:
        """The same elements in another shape; one length may be -1 and is then computed."""
        return self.engine.functional.reshape(self, *shape)


def _method(op: Op) -> Callable[..., Any]:
    def unary(self: Vocabulary) -> Any:
        return self._apply(op, self)

    def binary(self: Vocabulary, other: Any) -> Any:
        return self._apply(op, self, other)

    method = unary if len(op.arguments) == 1 else binary
    method.__name__ = method.__qualname__ = op.name
    method.__doc__ = f"{op.forward}, for each element" + (" x." if method is unary else "; a is this, b the argument.")
    return method


for _op in OPS.values():
    setattr(Vocabulary, _op.name, _method(_op))
