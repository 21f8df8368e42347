"""A number that remembers how it was computed, and can therefore say what it depends on and how strongly.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> c = a * b + a
    >>> c
    Value(data=-4.0, grad=0.0)
    >>> c.backward()
    >>> a.grad, b.grad
    (-2.0, 2.0)

Raising `a` by a little lowers `c` by twice as much; raising `b` by a little raises `c` by twice as much. That is all
that training a network needs to know.

How it works. Each operation on Values makes a new Value. It keeps its `parents`, the Values that it was made from, and
for each parent a `slope`, the number that says how much the result changes when that parent changes a little. So the
expression is a graph: Values are its nodes, and each edge carries a slope. `backward` walks the graph from the result
to the inputs and uses one rule, the chain rule:

    a parent's gradient grows by  slope * gradient of the result

Nothing here knows calculus: the slopes come from the table in `ops.py`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from micro import checks
from micro.ops import Op
from micro.vocabulary import Maker, Vocabulary, bool_, float64, grad_mode, int64


class Value(Vocabulary):
    """A scalar in a graph.

    data: the number, a Python float.
    grad: how much the number on which `backward` was called changes with this one; 0.0 until then.
    op: the row of the table that made it; None for an input.
    parents: the Values that `op` was applied to, in order; a Value that was used twice stands here twice.
    slopes: for each parent, the partial derivative of this Value with respect to it.
    label: a name for drawings.
    maker: which module's call it was computed in, for drawings that show a layer as one box; None outside of any.
    """

    # Slots, and tuples instead of closures, make a node small and free of reference cycles: a graph disappears as
    # soon as its result does, and the garbage collector has nothing to find.
    __slots__ = ("data", "grad", "label", "maker", "op", "parents", "slopes")
    data: float
    grad: float
    label: str
    maker: Maker | None
    op: Op | None
    parents: tuple[Value, ...]
    slopes: tuple[float, ...]

    #: Whether it is a plain number that stood in an expression (see `Constant`).
    constant = False
    #: A Value is a tensor without dimensions.
    shape: tuple[int, ...] = ()
    dtype = float64

    def __init__(self, data: float, label: str = "") -> None:
        if not isinstance(data, Real):
            raise TypeError(f"Value needs a number, got {data!r:.80} of type {type(data).__name__}")
        if not isinstance(label, str):
            raise TypeError(f"Value: label={label!r} is not a text; a Value is made of one number")
        self.data = float(data)
        self.grad = 0.0
        self.label = label
        self.op = self.maker = None
        self.parents = self.slopes = ()

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self.data}, grad={self.grad}{label})"

    @staticmethod
    def _apply(op: Op, *arguments: Any) -> Any:
        for argument in arguments:
            if type(argument) is not Value and type(argument) is not Constant:
                return _apply_mixed(op, arguments)
        data, slopes = op.evaluate(*[argument.data for argument in arguments])
        result: Value = object.__new__(Value)  # without __init__, whose checks would take an eighth of the time
        result.data, result.grad, result.label = data, 0.0, ""
        if grad_mode.recording:
            result.op, result.parents, result.slopes, result.maker = op, arguments, slopes, grad_mode.maker
        else:
            result.op, result.parents, result.slopes, result.maker = None, (), (), None
        return result

    @staticmethod
    def _compare(name: str, function: Callable[[Any, Any], Any], *arguments: Any) -> Any:
        return Value.engine.Array._compare(name, function, *arguments)

    def backward(self, gradient: float = 1.0) -> None:
        """Compute the gradient of this Value with respect to every Value that it was made from.

        Gradients of inputs add up over several calls, as they do in PyTorch, until `zero_grad`; those of
        intermediate results are of the last call. A Value without parents (an input, or a result computed within
        `no_grad`) has only its own gradient. `gradient` is the weight of this Value, if it is not 1.
        """
        backpropagate([self], [gradient])

    def backward_steps(self, gradient: float = 1.0) -> Iterator[BackwardStep]:
        """`backward` one node at a time, from this Value to the inputs: yields a record of each when it is done.

            >>> x = Value(3.0, label="x")
            >>> for step in (x * x).backward_steps():
            ...     for edge in step.edges:
            ...         print(f"{edge.slope} * {step.gradient} = {edge.contribution}; {edge.before} -> {edge.after}")
            3.0 * 1.0 = 3.0; 0.0 -> 3.0
            3.0 * 1.0 = 3.0; 3.0 -> 6.0

        Walking through all the steps is what calling `backward` is: it leaves the same gradients, bit for bit.
        Nothing happens before the first step is asked for, and whoever stops halfway leaves half a backward behind.
        """
        order = _begun([self], [gradient])
        for node in reversed(order):
            yield BackwardStep(node, node.grad, tuple(_edge_steps(node)))

    def topological_order(self) -> list[Value]:
        """This Value and all that it was made from, each after its parents."""
        return topological_order([self])

    def retain_grad(self) -> None:
        """Ask for the gradient of an intermediate result. (Every Value keeps its gradient anyway.)"""

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = 0.0

    @property
    def requires_grad(self) -> bool:
        """Whether its gradient is wanted. Set to False, as for a parameter that is not trained, it is a `Constant`."""
        return not self.constant

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.__class__ = Value if wanted else Constant

    @property
    def values(self) -> Value:
        """The element of a tensor without dimensions: this one."""
        return self

    def item(self) -> float:
        """The number."""
        return self.data

    def tolist(self) -> float:
        """The number: what `tolist` of a tensor without dimensions is."""
        return self.data

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """How `numpy.asarray` reads the number, without this package importing NumPy."""
        return array_interface(self.shape, self.dtype, [self.data])

    def _in_graph(self) -> bool:
        return bool(self.parents)  # what is no result is as good as a plain number

    def copy_(self, number: float) -> Value:
        """Overwrite the number; returns itself."""
        self.data = float(number)
        return self

    def flat(self) -> Iterator[Value]:
        """The elements: this one."""
        return iter([self])

    def detach(self) -> Value:
        """The same number, without its history."""
        return Value(self.data, self.label)


class Constant(Value):
    """A plain number that stood in an expression, as 2 in `2 * x`. Drawings show it, but nobody wants its gradient.

    (It takes part in `backward` all the same: to leave it out would cost every edge a question.)
    """

    __slots__ = ()
    constant = True


def topological_order(roots: Iterable[Any]) -> list[Any]:
    """All nodes that `roots` were computed from, every node after its `parents`; the roots come last.

    A node waits on the stack, under a `None`, until its parents have been listed. The function does not call itself,
    so a graph may be millions of nodes deep.
    """
    order: list[Any] = []
    seen: set[Any] = set()
    stack: list[Any] = list(roots)[::-1]
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            stack += node.parents[::-1]
    return order


def backpropagate(roots: Sequence[Value], gradients: Iterable[float]) -> None:
    """`backward` from several results at once, each with a gradient to begin with."""
    order = _begun(roots, gradients)
    for node in reversed(order):
        gradient = node.grad
        for parent, slope in zip(node.parents, node.slopes):  # noqa: B905, to check the lengths costs a tenth of the time
            parent.grad += slope * gradient


def _begun(roots: Sequence[Value], gradients: Iterable[float]) -> list[Value]:
    """How `backward` begins: intermediate results forget their gradients, roots get theirs. Returns the order."""
    order = topological_order(roots)
    for node in order:
        if node.parents:
            node.grad = 0.0
    for root, gradient in zip(roots, gradients, strict=True):
        root.grad += gradient
    return order


@dataclass(frozen=True, slots=True)
class EdgeStep:
    """What `backward` did at one edge.

    parent: the Value at its lower end.
    slope: the partial derivative of the node with respect to this parent.
    contribution: slope * gradient of the node.
    before, after: the parent's gradient without and with the contribution.
    """

    parent: Value
    slope: float
    contribution: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class BackwardStep:
    """What `backward` did at one node.

    node: the Value whose turn it was; everything made from it had its turn before.
    gradient: its gradient, which is final by now.
    edges: what became of it, for each parent in order; none for an input.
    """

    node: Value
    gradient: float
    edges: tuple[EdgeStep, ...]


def _edge_steps(node: Value) -> Iterator[EdgeStep]:
    """The loop of `backpropagate` for one node, with a record of each edge."""
    for parent, slope in zip(node.parents, node.slopes, strict=True):
        contribution, before = slope * node.grad, parent.grad
        parent.grad = before + contribution
        yield EdgeStep(parent, slope, contribution, before, parent.grad)


def _apply_mixed(op: Op, arguments: tuple[Any, ...]) -> Any:
    """Where not all arguments are Values: an Array spreads the operation over its elements, a number is a Constant."""
    for argument in arguments:
        if isinstance(argument, Vocabulary) and not isinstance(argument, Value):
            return argument._apply(op, *arguments)
    return Value._apply(op, *[as_operand(op, argument) for argument in arguments])


def as_operand(op: Op, operand: Any) -> Any:
    """`operand` as something that has a place in the graph: a plain number becomes a Constant."""
    if isinstance(operand, Vocabulary):
        return operand
    if isinstance(operand, Real):
        return Constant(float(operand))
    raise checks.no_operand(op.symbol, operand, "micro")


def array_interface(shape: tuple[int, ...], dtype: str, numbers: list[Any]) -> dict[str, Any]:
    """The numbers of a tensor in NumPy's array interface, version 3, in reading order."""
    code, typestr = {float64: ("d", "<f8"), int64: ("q", "<i8"), bool_: ("b", "|b1")}[dtype]
    memory = array(code, numbers)
    return {"shape": shape, "typestr": typestr, "data": memory, "version": 3}
