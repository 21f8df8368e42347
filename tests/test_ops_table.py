"""A wrong slope or a bad domain: one body over every row of the table.

The engines share the rows, so comparing them would prove nothing. Slopes are compared with finite differences and
with HIPS autograd applied to formulas written here; the compiled kernels with Python's own arithmetic.
"""

import math
import random
from itertools import product

import autograd
import autograd.numpy as anp
import autograd.scipy.special as special
import numpy as np
import pytest

import fast
from micro import Value
from micro.ops import CONSTANTS, FUNCTIONS, OPS, divide, power

ORACLES = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: anp.exp(b * anp.log(a)),
    "maximum": anp.maximum,
    "minimum": anp.minimum,
    "neg": lambda x: -x,
    "abs": anp.abs,
    "exp": anp.exp,
    "log": anp.log,
    "sqrt": anp.sqrt,
    "sign": lambda x: x * 0 + (x > 0) - (x < 0),
    "expm1": anp.expm1,
    "log1p": anp.log1p,
    "round": lambda x: x * 0 + round(float(getattr(x, "_value", x))),
    "floor": lambda x: x * 0 + math.floor(getattr(x, "_value", x)),
    "ceil": lambda x: x * 0 + math.ceil(getattr(x, "_value", x)),
    "erf": special.erf,
    "clip": lambda x, a, b: anp.minimum(anp.maximum(x, a), b),
    "where": lambda x, a, b: anp.where(x != 0, a, b) + 0 * x,
    "sin": anp.sin,
    "cos": anp.cos,
    "tanh": anp.tanh,
    "sigmoid": lambda x: 0.5 * (1 + anp.tanh(x / 2)),
    "relu": lambda x: x * (x > 0),
    "leaky_relu": lambda x: anp.where(x > 0, x, 0.01 * x),
    "silu": lambda x: x * 0.5 * (1 + anp.tanh(x / 2)),
    "softplus": lambda x: anp.logaddexp(0, x),
    "gelu": lambda x: x * 0.5 * special.erfc(-x / 2**0.5),
}

EVERY_OP = pytest.mark.parametrize("op", OPS.values(), ids=OPS)


def samples(op, count=50, distance=1e-3):
    """Points of the domain that keep their distance from the kink."""
    draw = random.Random(op.name)
    formula = compile(op.kink or "1", "kink", "eval")
    found = []
    while len(found) < count:
        point = [draw.uniform(low, high) for low, high in op.domain]
        if abs(eval(formula, {**FUNCTIONS, **dict(zip(op.arguments, point, strict=True))})) > distance:
            found.append(point)
    return found


def test_every_row_has_an_oracle():
    assert set(ORACLES) == set(OPS)


@EVERY_OP
def test_row_is_well_formed(op):
    assert len(op.domain) == len(op.slopes) == len(op.arguments)
    known = {*op.arguments, "y", *FUNCTIONS, *CONSTANTS}
    for formula in (op.forward, *op.slopes):
        assert set(compile(formula, "formula", "eval").co_names) <= known


@EVERY_OP
def test_slopes_against_finite_differences(op):
    step = 1e-6
    for point in samples(op):
        _, slopes = op.evaluate(*point)
        for place, slope in enumerate(slopes):
            up, down = list(point), list(point)
            up[place] += step
            down[place] -= step
            numeric = (op.evaluate(*up)[0] - op.evaluate(*down)[0]) / (2 * step)
            assert abs(slope - numeric) <= 1e-7 * max(abs(slope), abs(numeric), 1), (point, place)


@EVERY_OP
def test_value_and_slopes_against_an_independent_autodiff(op):
    for point in samples(op):
        y, slopes = op.evaluate(*point)
        assert y == pytest.approx(ORACLES[op.name](*point), rel=1e-13, abs=1e-15)
        for place, slope in enumerate(slopes):
            expected = autograd.grad(ORACLES[op.name], place)(*point)
            assert slope == pytest.approx(expected, rel=1e-12, abs=1e-14)


@EVERY_OP
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 4e-16), ("float32", 4e-7)])
@pytest.mark.parametrize("count", [1, 7, 1 << 17], ids=["one", "few", "parallel"])
def test_kernels_against_the_row(op, dtype, tolerance, count):
    points = np.array((samples(op) * (count // 50 + 1))[:count], dtype)
    arguments = [fast.tensor(column, dtype, requires_grad=True) for column in points.T]
    y = arguments[0]._apply(op, *arguments)
    y.backward(np.ones(count))
    assert y.dtype == dtype
    expected = [op.evaluate(*map(float, point)) for point in points[:50]]
    scale = [max(1.0, abs(value)) for value, _ in expected]
    for i, (value, slopes) in enumerate(expected):
        assert abs(y.data[i] - value) <= tolerance * scale[i]
        for argument, slope in zip(arguments, slopes, strict=True):
            assert argument.grad.dtype == dtype
            assert abs(argument.grad.data[i] - slope) <= 8 * tolerance * max(1.0, abs(slope), scale[i])
    for array in (y.data, *[argument.grad.data for argument in arguments]):  # all elements, not only the first
        assert np.array_equal(array, np.tile(array[:50], -(-count // len(expected)))[:count])


@pytest.mark.parametrize(
    ("name", "point", "slopes"),
    [
        ("relu", [0.0], (0.0,)),
        ("abs", [0.0], (0.0,)),
        ("leaky_relu", [0.0], (0.01,)),
        ("sqrt", [0.0], (math.inf,)),
        ("maximum", [2.0, 2.0], (0.5, 0.5)),
        ("minimum", [2.0, 2.0], (0.5, 0.5)),
        ("pow", [0.0, 2.0], (0.0, 0.0)),
        ("pow", [0.0, 0.0], (0.0, 0.0)),
        ("sign", [0.0], (0.0,)),
        ("round", [0.5], (0.0,)),
        ("floor", [1.0], (0.0,)),
    ],
)
def test_slopes_at_kinks(name, point, slopes):
    assert OPS[name].evaluate(*point)[1] == slopes
    arguments = [fast.tensor([number], "float64", requires_grad=True) for number in point]
    getattr(arguments[0], name)(*arguments[1:]).backward()
    assert tuple(argument.grad.item() for argument in arguments) == slopes


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.name != "where"], ids=lambda op: op.name)
def test_nan_is_never_hidden(op):
    for place in range(len(op.arguments)):
        numbers = [2.0] * len(op.arguments)
        numbers[place] = math.nan
        slow, quick = [Value(n) for n in numbers], [fast.tensor([n]) for n in numbers]
        assert math.isnan(slow[0]._apply(op, *slow).data)
        assert math.isnan(quick[0]._apply(op, *quick).item())


@EVERY_OP
def test_extremes_are_ieee_and_the_same_on_both_engines(op):
    extremes = [0.0, -0.0, 1.0, -1.0, 800.0, -800.0, 1e308, math.inf, -math.inf]
    for point in product(extremes, repeat=len(op.arguments)):
        slow, slopes = op.evaluate(*point)
        arguments = [fast.tensor([number], "float64", requires_grad=True) for number in point]
        quick = arguments[0]._apply(op, *arguments)
        quick.backward()
        assert slow == pytest.approx(quick.item(), rel=1e-14, nan_ok=True), point
        quick_slopes = [argument.grad.item() for argument in arguments]
        assert list(slopes) == pytest.approx(quick_slopes, rel=1e-14, abs=1e-300, nan_ok=True), point


def test_division_and_power_follow_ieee():
    assert divide(1.0, 0.0) == math.inf
    assert divide(1.0, -0.0) == -math.inf
    assert math.isnan(divide(0.0, 0.0))
    assert power(0.0, -1.0) == math.inf
    assert power(-0.0, -1.0) == -math.inf
    assert power(-10.0, 999.0) == -math.inf
    assert power(10.0, 999.0) == math.inf
    assert math.isnan(power(-8.0, 1 / 3))
