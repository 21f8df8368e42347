"""The words that `Value`, `Array` and `fast.Tensor` share: operators, methods and their names, written once.

A class that offers `_apply(op, *arguments)`, which runs one row of the table of operations, inherits every operator
and every elementwise method. Reductions, products and shapes are functions of the engine's `functional` module, so
each engine says there what they mean. Names, arguments and defaults are PyTorch's.
"""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from micro import checks, hints
from micro.ops import COMPARISONS, OPS, Op

#: The names of the element types, accepted wherever a `dtype` is. (`bool` is Python's own word for the fourth.)
float32, float64, int64, bool_ = "float32", "float64", "int64", "bool"
#: The devices on which numbers may lie, accepted wherever a `device` is: the cores of the machine, and its first GPU.
DEVICES = "cpu", "cuda"

#: Dimensions to work along: one, several, or None for all.
Dim = int | tuple[int, ...] | None


class Extreme(NamedTuple):
    """What `max` and `min` along a dimension give: the chosen elements, and where they stand."""

    values: Any
    indices: Any


# ----------------------------------------------------------------------------------------------------------------------
# Recording the graph, or not.


#: Who made a node of a graph: a module, and the maker of the call within which it was called.
Maker = tuple[Any, "Maker | None"]


class _GradMode(threading.local):
    recording = True
    maker: Maker | None = None


#: Of this thread: whether operations record the graph that `backward` needs, and whom they name as its maker.
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

    `+ - * / **`, unary `-` and comparisons work with Python numbers on either side, as does `abs`. Every other row of
    the table is a method of its name: `x.tanh()`, `a.maximum(b)`. Whole numbers stay whole where they can and become
    floating-point numbers where they meet one; truth values count as 0 and 1.
    """

    __slots__ = ()
    __array_ufunc__ = None  # NumPy's scalars and arrays leave `array * value` to us, so that we can say what is wrong

    #: The engine's own module, `micro` or `fast`: where functions for this kind of number are to be found.
    engine: ClassVar[ModuleType]
    #: The lengths of the dimensions; () for a single number.
    shape: tuple[int, ...]
    #: The type of the elements: `"float32"`, `"float64"`, `"int64"` or `"bool"`.
    dtype: str
    #: Where the numbers lie, `"cpu"` or, for a `fast.Tensor`, `"cuda"`.
    device: str = "cpu"
    #: Whether it is a parameter, or else a number whose gradient is wanted.
    requires_grad: bool

    def __getattr__(self, name: str) -> Any:
        """What is not there, for Python has looked: an error with a hint. (Type checkers: the table adds methods.)"""
        raise hints.of_tensor(self, name)

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Any:
        """Run one row of the table; an argument may be a Python number."""
        raise NotImplementedError

    @staticmethod
    def _compare(name: str, function: Callable[[Any, Any], Any], *arguments: Any) -> Any:
        """Ask a question of two numbers, element by element; the answers are a tensor of truth values."""
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

    def __eq__(self, other: Any) -> Any:
        return self._compare("==", COMPARISONS["eq"], self, other)

    def __ne__(self, other: Any) -> Any:
        return self._compare("!=", COMPARISONS["ne"], self, other)

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", COMPARISONS["lt"], self, other)

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", COMPARISONS["le"], self, other)

    def __gt__(self, other: Any) -> Any:
        return self._compare(">", COMPARISONS["gt"], self, other)

    def __ge__(self, other: Any) -> Any:
        return self._compare(">=", COMPARISONS["ge"], self, other)

    #: A tensor is a node of a graph, and in sets and dictionaries it is itself, whatever its numbers.
    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Any:
        return self._compare("&", operator.and_, self, other)

    def __or__(self, other: Any) -> Any:
        return self._compare("|", operator.or_, self, other)

    def __xor__(self, other: Any) -> Any:
        return self._compare("^", operator.xor, self, other)

    def __invert__(self) -> Any:
        return self._compare("^", operator.xor, self, -1 if self.dtype == int64 else True)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype != int64:
            raise TypeError(f"only a single whole number can be an index, not a tensor of {self.dtype}")
        return self.item()

    def __bool__(self) -> bool:
        checks.scalar("bool", self.shape)
        return bool(self.item())

    def __format__(self, how: str) -> str:
        return format(self.item(), how) if how else str(self)

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.shape)

    def numel(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions; use .item() for its number")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __getitem__(self, index: Any) -> Any:
        """`x[1]`, `x[:, 2:5]`, `x[..., None]`, `x[[0, 2]]`, `x[x > 0]`: NumPy's indexing, with NumPy's meaning."""
        return self.engine.functional.getitem(self, index)

    def __setitem__(self, index: Any, numbers: Any) -> None:
        """Overwrite elements with a number, or with numbers that stretch to their shape.

        No graph records it: ValueError where that would lose a gradient, but within `no_grad`.
        """
        if grad_mode.recording:
            checks.no_gradient_lost(_in_graph(self), _in_graph(numbers))
        self.engine.functional.setitem(self, index, numbers)

    def _in_graph(self) -> bool:
        """Whether gradients are to reach it, or to pass through it."""
        return self.requires_grad or any(node.parents for node in self._nodes())

    def _nodes(self) -> Iterable[Any]:
        """The Values that it is made of; none, where it is a node itself."""
        return ()

    def to(self, dtype: str) -> Any:
        """The same numbers as elements of type `dtype`; this very tensor, if it has that type already.

        dtype: or a device, `"cpu"` or `"cuda"`, for the same numbers there.
        """
        return self.engine.functional.to(self, dtype)

    def cpu(self) -> Any:
        """The same numbers on the CPU; this very tensor, if they are there already."""
        return self.to("cpu")

    def cuda(self) -> Any:
        """The same numbers on the first GPU; this very tensor, if they are there already."""
        return self.to("cuda")

    def move_(self, device: str) -> Any:
        """Move the numbers of this very tensor to a device, for parameters, which others hold; returns itself."""
        self.to(checks.known_device(device))  # which says where it cannot
        return self

    # ------------------------------------------------------------------------------------------------------------------
    # Shapes.

    @property
    def T(self) -> Any:
        """The transpose of a matrix."""
        checks.matrix("T", self.shape)
        return self.permute(1, 0)

    def reshape(self, *shape: int) -> Any:
        """The same elements, in reading order, in another shape; one length may be -1 and is then computed."""
        return self.engine.functional.reshape(self, *shape)

    def view(self, *shape: int) -> Any:
        """`reshape` that promises to share the memory; ValueError where that is not possible."""
        result = self.reshape(*checks.new_shape(self.shape, shape, "view"))
        if not self.engine.functional.shares_memory(self, result):
            raise ValueError(f"view: the elements of shape {self.shape} do not lie in reading order; use reshape")
        return result

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Any:
        """The dimensions from `start_dim` to `end_dim` as one."""
        shape = self.shape or (1,)
        start, end = [checks.dimension("flatten", dim, shape) for dim in (start_dim, end_dim)]
        if start > end:
            raise ValueError(f"flatten: start_dim={start_dim} lies behind end_dim={end_dim} in shape {shape}")
        return self.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    def permute(self, *dims: int) -> Any:
        """The dimensions in another order: dimension i of the result is dimension dims[i] of this. Shares memory."""
        return self.engine.functional.permute(self, *dims)

    def transpose(self, dim0: int, dim1: int) -> Any:
        """Two dimensions change places. Shares memory."""
        dims = list(range(self.ndim))
        dim0, dim1 = [checks.dimension("transpose", dim, self.shape) for dim in (dim0, dim1)]
        dims[dim0], dims[dim1] = dim1, dim0
        return self.permute(*dims)

    def squeeze(self, dim: Dim = None) -> Any:
        """Without the dimensions of length 1: all of them, or those in `dim` that have this length."""
        dims = checks.dimensions("squeeze", dim, self.shape)
        return self.reshape(*[n for i, n in enumerate(self.shape) if i not in dims or n != 1])

    def unsqueeze(self, dim: int) -> Any:
        """With a new dimension of length 1 at `dim`."""
        dim = checks.new_dimension("unsqueeze", dim, self.shape)
        return self.reshape(*self.shape[:dim], 1, *self.shape[dim:])

    def broadcast_to(self, shape: tuple[int, ...]) -> Any:
        """The elements repeated where a length of 1, or a new dimension in front, becomes longer. Shares memory."""
        return self.engine.functional.broadcast_to(self, shape)

    def expand(self, *sizes: int) -> Any:
        """`broadcast_to`, where -1 keeps a length."""
        sizes = checks.lengths("expand", sizes)
        old = (-1,) * (len(sizes) - self.ndim) + self.shape
        sizes = tuple(o if n == -1 else n for o, n in zip(old, sizes, strict=False))
        return self.broadcast_to(checks.stretched(self.shape, sizes, "expand"))

    def repeat(self, *sizes: int) -> Any:
        """The whole, sizes[i] times along dimension i; new dimensions may come in front."""
        sizes = checks.repetitions(self.shape, sizes)
        old = (1,) * (len(sizes) - self.ndim) + self.shape
        apart = self.reshape(*[length for n in old for length in (1, n)])
        repeated = apart.broadcast_to(tuple(length for pair in zip(sizes, old, strict=True) for length in pair))
        whole = repeated.reshape(*[size * n for size, n in zip(sizes, old, strict=True)])
        return cat([whole]) if sizes else whole  # with memory of its own, also where nothing was repeated

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
        """Parts of length `split_size` along `dim`, the last one shorter if need be; or parts of the given lengths."""
        dim = checks.dimension("split", dim, self.shape)
        ends = list(accumulate(checks.parts(split_size, self.shape, dim)))
        before = (slice(None),) * dim
        return tuple(self[(*before, slice(start, end))] for start, end in pairwise([0, *ends]))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Any, ...]:
        """At most `chunks` parts of equal length along `dim`; the last one may be shorter."""
        dim = checks.dimension("chunk", dim, self.shape)
        return self.split(max(1, -(-self.shape[dim] // checks.positive("chunk", "chunks", chunks))), dim)

    def flip(self, *dims: int) -> Any:
        """The elements in the opposite order along `dims`."""
        return self.engine.functional.flip(self, *dims)

    def pad(self, pad: Sequence[int], value: float = 0.0) -> Any:
        """With `value` around it: pad = (before, after) for the last dimension, then for the one before it, and so on.

        (In PyTorch this is a function of `torch.nn.functional`.)
        """
        return self.engine.functional.pad(self, pad, value)

    def gather(self, dim: int, index: Any) -> Any:
        """The elements that stand at `index` along `dim`: y[i][j] = x[i][index[i][j]] for dim = 1."""
        return self.engine.functional.gather(self, dim, index)

    # ------------------------------------------------------------------------------------------------------------------
    # Many numbers into few.

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """The sum over `dim`, or over everything."""
        return self.engine.functional.sum(self, dim, keepdim)

    def prod(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """The product over `dim`, or over everything."""
        return self.engine.functional.prod(self, dim, keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """The mean over `dim`, or over everything."""
        return self.engine.functional.mean(self, dim, keepdim)

    def var(self, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> Any:
        """The variance: squared distances from the mean, summed and divided by their number less `correction`."""
        dims = checks.dimensions("var", dim, self.shape)
        count = math.prod(self.shape[i] for i in dims)
        if count <= correction:
            raise ValueError(
                f"var: {count} numbers of shape {self.shape} have no variance with correction={correction}"
            )
        checks.not_empty("var", self.shape)
        distance = self - self.mean(dims, keepdim=True)
        return (distance * distance).sum(dims, keepdim) / (count - correction)

    def std(self, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> Any:
        """The standard deviation, the root of `var`."""
        return self.var(dim, correction, keepdim).sqrt()

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The largest element; with `dim`, a pair: the largest along it, and where they stand (the first, in a tie).

        Over everything, equal largest elements share the gradient; along `dim`, the first gets all of it.
        """
        return self.engine.functional.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The smallest element; with `dim`, a pair: the smallest along it, and where they stand. See `max`."""
        return self.engine.functional.min(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """Where the largest element stands: its place in reading order, or with `dim` along it; the first, in a tie."""
        return self.engine.functional.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """Where the smallest element stands; see `argmax`."""
        return self.engine.functional.argmin(self, dim, keepdim)

    def any(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """Whether any element is not 0."""
        return (self != 0).sum(dim, keepdim) != 0

    def all(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """Whether no element is 0."""
        return (self == 0).sum(dim, keepdim) == 0

    def cumsum(self, dim: int) -> Any:
        """Sums that grow along `dim`: y[i] = x[0] + ... + x[i]."""
        return self.engine.functional.cumsum(self, dim)

    def logsumexp(self, dim: Dim = None, keepdim: bool = False) -> Any:
        """log(sum of exp(x)) over `dim`, or over everything, computed without overflow."""
        return self.engine.functional.logsumexp(self, dim, keepdim)

    def softmax(self, dim: int = -1) -> Any:
        """exp(x) divided by its sum over `dim`."""
        return self.engine.functional.softmax(self, dim)

    def log_softmax(self, dim: int = -1) -> Any:
        """The logarithm of `softmax`, computed without overflow."""
        return self.engine.functional.log_softmax(self, dim)

    # ------------------------------------------------------------------------------------------------------------------
    # Products and choices.

    def __matmul__(self, other: Any) -> Any:
        return self.engine.functional.matmul(self, other)

    def matmul(self, other: Any) -> Any:
        """`self @ other`: products of matrices, of vectors, and of stacks of matrices, as in NumPy."""
        return self.engine.functional.matmul(self, other)

    def outer(self, other: Any) -> Any:
        """y[i][j] = a[i] * b[j], for two vectors."""
        checks.vectors("outer", self, other)
        return self.unsqueeze(1) * other.unsqueeze(0)

    def clip(self, min: Any = None, max: Any = None) -> Any:
        """No element below `min` or above `max`, numbers or tensors; None is no limit."""
        checks.limits(min, max)
        low, high = _LIMITS[self.dtype]
        return self._apply(OPS["clip"], self, low if min is None else min, high if max is None else max)

    def isnan(self) -> Any:
        """Where an element is not a number."""
        return self != self

    def isfinite(self) -> Any:
        """Where an element is neither infinite nor nan."""
        return abs(self) < math.inf


#: The smallest and the largest number that `clip` can give, by type.
_LIMITS: dict[str, tuple[float, float]] = {
    bool_: (-(2**63), 2**63 - 1),  # they are counted, as in all arithmetic
    int64: (-(2**63), 2**63 - 1),
    float32: (-math.inf, math.inf),
    float64: (-math.inf, math.inf),
}


def _in_graph(numbers: Any) -> bool:
    """Whether numbers, a tensor or lists of them or plain ones, belong to a graph."""
    if isinstance(numbers, list | tuple):
        return any(map(_in_graph, numbers))
    return isinstance(numbers, Vocabulary) and numbers._in_graph()


# ----------------------------------------------------------------------------------------------------------------------
# Words that are not methods.


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where `condition` holds, else b, element by element; the condition is a tensor, a and b tensors or numbers."""
    if not isinstance(condition, Vocabulary):
        raise TypeError(f"where: the condition is {condition!r:.80}; give a tensor of truth values, such as x > 0")
    return condition._apply(OPS["where"], condition, a, b)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors one behind the other along `dim`; their other lengths must be equal."""
    return checks.tensor_list("cat", tensors)[0].engine.functional.cat(tensors, dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape beside each other, along a new dimension at `dim`."""
    shape = checks.equal_shapes("stack", checks.tensor_list("stack", tensors))
    dim = checks.new_dimension("stack", dim, shape)
    return cat([tensor.unsqueeze(dim) for tensor in tensors], dim)


def one_hot(labels: Any, num_classes: int = -1) -> Any:
    """For each label a row of zeros with a 1 at the label's place, int64; shape (..., num_classes).

    num_classes: the length of a row; -1, the default, takes the largest label plus 1.
    """
    num_classes = checks.classes(labels, num_classes)
    return (labels.unsqueeze(-1) == labels.engine.arange(num_classes, device=labels.device)).to(int64)


def zeros_like(x: Any, *, dtype: str | None = None, requires_grad: bool = False) -> Any:
    """Zeros in the shape and, unless given, the type of x, and where that lies."""
    engine = checks.engine_of("zeros_like", x)
    return engine.zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=x.device)


def ones_like(x: Any, *, dtype: str | None = None, requires_grad: bool = False) -> Any:
    """Ones in the shape and, unless given, the type of x, and where that lies."""
    engine = checks.engine_of("ones_like", x)
    return engine.ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=x.device)


def full_like(x: Any, fill_value: float, *, dtype: str | None = None, requires_grad: bool = False) -> Any:
    """`fill_value` in the shape and, unless given, the type of x, and where that lies."""
    engine = checks.engine_of("full_like", x)
    return engine.full(x.shape, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad, device=x.device)


def rand_like(x: Any, *, seed: int, dtype: str | None = None, requires_grad: bool = False) -> Any:
    """Uniform random numbers in the shape and, unless given, the type of x, and where that lies."""
    engine = checks.engine_of("rand_like", x)
    return engine.rand(x.shape, seed=seed, dtype=dtype or x.dtype, requires_grad=requires_grad, device=x.device)


def randn_like(x: Any, *, seed: int, dtype: str | None = None, requires_grad: bool = False) -> Any:
    """Normal random numbers in the shape and, unless given, the type of x, and where that lies."""
    engine = checks.engine_of("randn_like", x)
    return engine.randn(x.shape, seed=seed, dtype=dtype or x.dtype, requires_grad=requires_grad, device=x.device)


# ----------------------------------------------------------------------------------------------------------------------
# Words from the table.


def _method(op: Op) -> Callable[..., Any]:
    def unary(self: Vocabulary) -> Any:
        return self._apply(op, self)

    def binary(self: Vocabulary, other: Any) -> Any:
        return self._apply(op, self, other)

    method = unary if len(op.arguments) == 1 else binary
    method.__name__ = method.__qualname__ = op.name
    method.__doc__ = f"{op.forward}, for each element" + (" x." if method is unary else "; a is this, b the argument.")
    return method


def _comparison(name: str) -> Callable[..., Any]:
    def method(self: Vocabulary, other: Any) -> Any:
        return COMPARISONS[name](self, other)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The operator of this name as a method, for each element: see `operator.{name}`."
    return method


for _op in OPS.values():
    if len(_op.arguments) < 3:  # those with three are written above
        setattr(Vocabulary, _op.name, _method(_op))
for _name in COMPARISONS:
    setattr(Vocabulary, _name, _comparison(_name))
