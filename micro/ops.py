"""The table of scalar operations: one row each, and everything else hangs from the rows.

A row says what the operation computes and how steep it is in each argument, as text:

    Op("tanh", "tanh", "tanh(x)", ("1 - y * y",), ...)

`x` is the argument (`a` and `b` where there are two; `x`, `a`, `b` where there are three) and `y` is the result. From
this text come the number that a `Value` stores on each edge, the formula that is drawn on that edge, and the compiled
kernels of the tensor engine. Because the two engines share a row, comparing them cannot reveal a wrong slope; the tests
therefore check every slope against finite differences inside the row's `domain`, away from its `kink`.

The table comes first. Below it stands how a text becomes a function, and arithmetic that never stops.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar


@dataclass(frozen=True)
class Op:
    """One scalar operation.

    name: the method's name, PyTorch's where it has one.
    symbol: what a drawing shows.
    forward: the formula of the result, in terms of its `arguments`.
    slopes: for each argument the partial derivative of the result, a formula that may also use the result `y`.
    domain: for each argument the interval in which tests sample it.
    kink: a formula that is zero where the operation has a corner or a jump; the slope there is a convention.
    whole: whether whole numbers give a whole number; other operations turn them into floating-point numbers first.
    """

    name: str
    symbol: str
    forward: str
    slopes: tuple[str, ...]
    domain: tuple[tuple[float, float], ...]
    kink: str = ""
    whole: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        return _ARGUMENTS[len(self.slopes)]

    @cached_property
    def reads(self) -> frozenset[str]:
        """Which of the arguments and of `y` the slopes ask for."""
        words = {node.id for slope in self.slopes for node in ast.walk(ast.parse(slope)) if isinstance(node, ast.Name)}
        return frozenset(words & {*self.arguments, "y"})

    @cached_property
    def evaluate(self) -> Callable[..., tuple[float, tuple[float, ...]]]:
        """The formulas as a function: arguments in, `(y, slopes)` out."""
        source = (
            f"def evaluate({', '.join(self.arguments)}):\n  y = {self.forward}\n  return y, ({', '.join(self.slopes)},)"
        )
        return _compile(self.name, _InFloats().visit(ast.parse(source)))

    @cached_property
    def of_integers(self) -> Callable[..., int]:
        """The formula of the result for Python's integers, which it gives again; for `whole` operations."""
        return _compile(
            self.name, ast.parse(f"def evaluate({', '.join(self.arguments)}):\n  return int({self.forward})")
        )


_ARGUMENTS: dict[int, tuple[str, ...]] = {1: ("x",), 2: ("a", "b"), 3: ("x", "a", "b")}
_ANY = (-3.0, 3.0)
_POSITIVE = (0.1, 3.0)

_ROWS = (
    # two arguments
    Op("add", "+", "a + b", ("1", "1"), (_ANY, _ANY), whole=True),
    Op("sub", "-", "a - b", ("1", "-1"), (_ANY, _ANY), whole=True),
    Op("mul", "*", "a * b", ("b", "a"), (_ANY, _ANY), whole=True),
    Op("div", "/", "a / b", ("1 / b", "-y / b"), (_ANY, _POSITIVE)),
    Op(
        "pow",
        "**",
        "a ** b",
        ("b * a ** (b - 1) if b != 0 else 0", "0 if a == 0 and b >= 0 else y * log(a)"),
        (_POSITIVE, _ANY),
        whole=True,
    ),
    # A tie splits the gradient in half; a nan wins over any number, so that divergence is not hidden.
    Op(
        "maximum",
        "max",
        "a if a > b or a != a else b",
        ("1 if a > b else 0.5 if a == b else 0", "1 if b > a else 0.5 if a == b else 0"),
        (_ANY, _ANY),
        kink="a - b",
        whole=True,
    ),
    Op(
        "minimum",
        "min",
        "a if a < b or a != a else b",
        ("1 if a < b else 0.5 if a == b else 0", "1 if b < a else 0.5 if a == b else 0"),
        (_ANY, _ANY),
        kink="a - b",
        whole=True,
    ),
    # one argument
    Op("neg", "neg", "-x", ("-1",), (_ANY,), whole=True),
    Op("abs", "abs", "abs(x)", ("1 if x > 0 else -1 if x < 0 else 0",), (_ANY,), kink="x", whole=True),
    Op("sign", "sign", "1 if x > 0 else -1 if x < 0 else x", ("0",), (_ANY,), kink="x", whole=True),
    Op("exp", "exp", "exp(x)", ("y",), (_ANY,)),
    Op("expm1", "expm1", "expm1(x)", ("y + 1",), (_ANY,)),
    Op("log", "log", "log(x)", ("1 / x",), (_POSITIVE,)),
    Op("log1p", "log1p", "log1p(x)", ("1 / (1 + x)",), (_POSITIVE,)),
    Op("sqrt", "sqrt", "sqrt(x)", ("0.5 / y",), (_POSITIVE,)),
    Op("sin", "sin", "sin(x)", ("cos(x)",), (_ANY,)),
    Op("cos", "cos", "cos(x)", ("-sin(x)",), (_ANY,)),
    Op("erf", "erf", "erf(x)", ("2 / sqrt(pi) * exp(-x * x)",), (_ANY,)),
    # Steps: flat wherever they have a slope at all. Halves are rounded to the even number, as everywhere in Python.
    Op("round", "round", "round(x)", ("0",), (_ANY,), kink="x - floor(x) - 0.5", whole=True),
    Op("floor", "floor", "floor(x)", ("0",), (_ANY,), kink="x - round(x)", whole=True),
    Op("ceil", "ceil", "ceil(x)", ("0",), (_ANY,), kink="x - round(x)", whole=True),
    # activations; written so that a nan stays a nan
    Op("tanh", "tanh", "tanh(x)", ("1 - y * y",), (_ANY,)),
    Op("sigmoid", "sigmoid", "sigmoid(x)", ("y * (1 - y)",), (_ANY,)),
    Op("relu", "relu", "0 if x <= 0 else x", ("1 if x > 0 else 0",), (_ANY,), kink="x", whole=True),
    Op("leaky_relu", "leaky_relu", "x if x > 0 else 0.01 * x", ("1 if x > 0 else 0.01",), (_ANY,), kink="x"),
    Op("silu", "silu", "x * sigmoid(x)", ("sigmoid(x) + y * (1 - sigmoid(x))",), (_ANY,)),
    Op("softplus", "softplus", "(0 if x <= 0 else x) + log1p(exp(-abs(x)))", ("sigmoid(x)",), (_ANY,)),
    Op("gelu", "gelu", "x * cdf(x)", ("cdf(x) + x * pdf(x)",), (_ANY,)),
    # three arguments: x decides
    Op(
        "clip",
        "clip",
        "b if x > b or a > b or b != b else a if x < a or a != a else x",
        ("1 if a <= x <= b else 0", "1 if x < a <= b else 0", "1 if x > b or a > b else 0"),
        (_ANY, (-2.0, -1.0), (1.0, 2.0)),
        kink="(x - a) * (x - b)",
        whole=True,
    ),
    Op(
        "where",
        "where",
        "a if x != 0 else b",
        ("0", "1 if x != 0 else 0", "0 if x != 0 else 1"),
        (_ANY, _ANY, _ANY),
        kink="x",
        whole=True,
    ),
)

#: What gives a number a place of its own: an element that stands twice, or that somebody may overwrite. No row of the
#: table, for there is nothing to compute.
COPY = Op("copy", "copy", "x", ("1",), (_ANY,))

#: The larger one of two numbers, of which nobody wants to know how steep it is: softmax subtracts the largest.
LARGER = Op("larger", "max", "a if a > b or a != a else b", ("0", "0"), (_ANY, _ANY), kink="a - b")

#: The table: name to row.
OPS: dict[str, Op] = {op.name: op for op in _ROWS}

#: All that a graph may hold.
OPERATIONS: tuple[Op, ...] = (*_ROWS, COPY, LARGER)

#: Questions with the answer yes or no. They have no slopes, so they are not rows, and no graph records them.
COMPARISONS: dict[str, Callable] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


# ----------------------------------------------------------------------------------------------------------------------
# From text to functions.


class _InFloats(ast.NodeTransformer):
    """Turn a formula into one over floats that never stops: `1` into `1.0`, `a / b` into `divide(a, b)`."""

    calls: ClassVar = {ast.Div: "divide", ast.Pow: "power"}

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        assert isinstance(node.value, int | float)
        return ast.copy_location(ast.Constant(float(node.value)), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        name = self.calls.get(type(node.op))
        if name is None:
            return node
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], []), node)


def _compile(name: str, tree: ast.Module) -> Callable:
    namespace: dict[str, Any] = {**FUNCTIONS, **CONSTANTS, "divide": divide, "power": power}
    exec(compile(ast.fix_missing_locations(tree), f"<the row {name!r} of micro.ops>", "exec"), namespace)
    return namespace["evaluate"]


# ----------------------------------------------------------------------------------------------------------------------
# Arithmetic that never stops. Python raises an error for 1/0, log(0) and exp(1000); a network that diverges needs the
# answers of IEEE 754 (infinity, or "not a number") so that the divergence can be seen and plotted.

inf, nan = math.inf, math.nan


def divide(a: float, b: float) -> float:
    try:
        return a / b
    except ZeroDivisionError:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)


def power(a: float, b: float) -> float:
    odd = abs(b) % 2 == 1
    try:
        return math.pow(a, b)
    except OverflowError:
        return -inf if a < 0 and odd else inf
    except ValueError:  # zero to a negative power, or a root of a negative number
        return nan if a != 0 else math.copysign(inf, a) if odd else inf


def _never_stops(
    function: Callable[[float], float], poles: dict[float, float] | None = None
) -> Callable[[float], float]:
    """`function`, answering infinity where it overflows, the pole's value at a pole, and nan where it is undefined."""

    def call(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return inf
        except ValueError:
            return (poles or {}).get(x, nan)

    return call


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)); the exponential is taken of negative numbers only, so that it is never too large."""
    power = math.exp(-abs(x))
    return (1.0 if x >= 0 else power) / (1.0 + power)


def cdf(x: float) -> float:
    """The probability that a standard normal number is below x: (1 + erf(x / sqrt(2))) / 2, to the last digit."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def pdf(x: float) -> float:
    """How densely standard normal numbers lie around x."""
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _to_whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """`function`, which rounds, leaving integers, nan and infinity as they are and a float a float."""

    def call(x: float) -> float:
        if isinstance(x, int) or not abs(x) < inf:
            return x
        return math.copysign(float(function(x)), x)

    return call


#: The words that a formula may use besides `+ - * / **`, comparisons and `... if ... else ...`.
FUNCTIONS: dict[str, Callable] = {
    "exp": _never_stops(math.exp),
    "log": _never_stops(math.log, {0.0: -inf}),
    "log1p": _never_stops(math.log1p, {-1.0: -inf}),
    "expm1": _never_stops(math.expm1),
    "sqrt": _never_stops(math.sqrt),
    "sin": _never_stops(math.sin),
    "cos": _never_stops(math.cos),
    "tanh": math.tanh,
    "sigmoid": sigmoid,
    "erf": math.erf,
    "cdf": cdf,
    "pdf": pdf,
    "abs": abs,
    "round": _to_whole(round),
    "floor": _to_whole(math.floor),
    "ceil": _to_whole(math.ceil),
}
CONSTANTS = {"pi": math.pi}
