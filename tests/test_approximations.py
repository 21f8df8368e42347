"""Functions of float32 that are written out here: right over the whole range, and the same wherever a number stands."""

import math

import numpy as np
import pytest
from agreement import on_all_cores
from scipy.special import erfc

import fast
from micro import ops

NAMES = ["exp", "tanh", "sigmoid", "gelu", "silu", "softplus"]


def truth(name, x):
    """The function in float64, of float64 numbers; off by far less than a float32 can show."""
    small = np.exp(-np.abs(x))
    sigmoid = np.where(x >= 0, 1.0, small) / (1 + small)
    return {
        "exp": lambda: np.exp(x),
        "tanh": lambda: np.tanh(x),
        "sigmoid": lambda: sigmoid,
        "gelu": lambda: x * (0.5 * erfc(-x / math.sqrt(2))),
        "silu": lambda: x * sigmoid,
        "softplus": lambda: np.maximum(x, 0) + np.log1p(small),
    }[name]()


def around(number, count=3000):
    """The float32 numbers next to `number`, `count` on either side."""
    place = int(np.float32(number).view(np.int32))
    return np.arange(max(place, count) - count, place + count, dtype=np.int32).view(np.float32)


def everywhere():
    """Finite float32 numbers of all sizes, and all of them next to where something changes."""
    spread = np.arange(0, 1 << 32, 4099, dtype=np.uint32).view(np.float32)
    places = [0, 2.0**-126, 2.0**-24, 0.3466, 0.55, 1, 9, 10, 13.5, 15, 16.6, 37.66, 40, 87.34, 88.7229, 104, 110]
    dense = np.concatenate([around(place) for place in places])
    steps = np.arange(-120, 120, 1 / 512, dtype=np.float32)
    x = np.concatenate([spread, dense, -dense, steps])
    return x[np.isfinite(x)]


def errors_in_ulp(result, exact):
    """By how many of the steps between neighbouring float32 numbers `result` misses; infinity is the step after all."""
    most = float(np.finfo(np.float32).max)
    step = np.spacing(np.abs(np.clip(exact, -most, most)).astype(np.float32)).astype(float)
    result, exact = [np.clip(numbers.astype(float), -(2.0**128), 2.0**128) for numbers in (result, exact)]
    return np.abs(result - exact) / step


@np.errstate(over="ignore")
@pytest.mark.parametrize(
    ("name", "most"), [("exp", 1), ("tanh", 1.5), ("sigmoid", 2), ("gelu", 2), ("silu", 2.5), ("softplus", 2)]
)
def test_the_whole_range(name, most):
    x = everywhere()
    assert x.size > 1_000_000
    y = getattr(fast.tensor(x), name)()
    assert y.dtype == "float32"
    errors = errors_in_ulp(y.numpy(), truth(name, x.astype(float)))
    worst = errors.argmax()
    assert errors[worst] <= most, f"{name}({x[worst]!r}) = {y.numpy()[worst]!r}"


def test_infinities_and_nan():
    x = fast.tensor([math.inf, -math.inf, math.nan, 0.0, -0.0])
    assert str(x.exp().tolist()) == "[inf, 0.0, nan, 1.0, 1.0]"
    assert str(x.tanh().tolist()) == "[1.0, -1.0, nan, 0.0, -0.0]"
    assert str(x.sigmoid().tolist()) == "[1.0, 0.0, nan, 0.5, 0.5]"


@pytest.mark.parametrize("name", NAMES)
def test_infinity_stays_or_is_its_limit(name):
    assert getattr(fast.tensor([math.inf]), name)().item() == (1 if name in ("tanh", "sigmoid") else math.inf)
    assert math.isnan(getattr(fast.tensor([math.nan]), name)().item())
    assert getattr(fast.tensor([-200.0]), name)().item() == (-1 if name == "tanh" else 0)


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_computed_by_the_c_library(name):
    x = np.concatenate([np.linspace(-800, 800, 10_001), np.linspace(-9, 9, 10_001), [0.0, -0.0, 1e-300, 5e-324]])
    expected = [ops.OPS[name].evaluate(number)[0] for number in x.tolist()]
    np.testing.assert_array_equal(getattr(fast.tensor(x), name)().numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_result_depends_on_nothing_but_its_number(name, dtype, monkeypatch):
    """Neither on the place in the array, nor on the length of the array, nor on how many cores compute it."""
    x = np.concatenate([np.linspace(-110, 110, 997), np.linspace(-1, 1, 498), [np.nan, np.inf, -np.inf]]).astype(dtype)

    def bits(numbers):
        return getattr(fast.as_tensor(numbers), name)().numpy().tobytes()

    on_all_cores(monkeypatch, False)
    whole = bits(x)
    size = x.itemsize
    assert whole == b"".join(bits(x[i : i + 1]) for i in range(x.size))
    for start in range(1, 20):
        assert bits(x[start:]) == whole[start * size :], start
        assert bits(x[:-start]) == whole[: -start * size], start
    on_all_cores(monkeypatch)
    assert bits(x) == whole
    for start in range(1, 20):
        assert bits(x[start:]) == whole[start * size :], start
