"""Tensors from nothing: zeros, ranges, random numbers. Names, arguments and defaults are PyTorch's, but for `seed`.

`dtype` is float64 unless given or the numbers are whole; `device` is "cpu", for Python has no other. For the random
numbers see `randomness.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from math import floor
from typing import Any

from micro import checks
from micro.array import made_of, regroup, tensor
from micro.randomness import normal, uniform
from micro.vocabulary import float64, int64


def zeros(*shape: Any, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Any:
    """A tensor of zeros."""
    return _made(checks.new_lengths("zeros", shape), lambda i: 0.0, dtype, requires_grad, device)


def ones(*shape: Any, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Any:
    """A tensor of ones."""
    return _made(checks.new_lengths("ones", shape), lambda i: 1.0, dtype, requires_grad, device)


def full(
    shape: Any,
    fill_value: float,
    *,
    dtype: str | None = None,
    requires_grad: bool = False,
    device: str = "cpu",
) -> Any:
    """A tensor whose elements are all `fill_value`, and of the type of that number unless `dtype` is given."""
    kind = tensor(fill_value).dtype
    return _made(checks.new_lengths("full", (shape,)), lambda i: fill_value, dtype or kind, requires_grad, device)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: str | None = None, device: str = "cpu"
) -> Any:
    """start, start + step, ... up to, but without, `end`; with one argument from 0 up to it. Integers stay integers."""
    start, step, steps, whole = checks.arange(start, end, step)
    return _made((steps,), lambda i: start + i * step, dtype or (int64 if whole else float64), device=device)


def linspace(start: float, end: float, steps: int, *, dtype: str | None = None, device: str = "cpu") -> Any:
    """`steps` numbers at equal distances, from `start` to `end`, both included; each counted from the nearer end."""
    last = checks.positive("linspace", "steps", steps) - 1
    step = (end - start) / max(1, last)

    def number(i: int) -> float:
        return start + i * step if 2 * i < max(1, last) else end - (last - i) * step

    return _made((last + 1,), number, dtype, device=device)


def eye(n: int, m: int | None = None, *, dtype: str | None = None, device: str = "cpu") -> Any:
    """A matrix (n, m) with ones where row and column are equal, else zeros; m is n unless given."""
    rows, columns = checks.new_lengths("eye", (n, n if m is None else m))
    return _made((rows, columns), lambda i: float(i // columns == i % columns), dtype, device=device)


def rand(*shape: Any, seed: int, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Any:
    """Random numbers, uniform between 0 (included) and 1."""
    seed = checks.seed("rand", seed)
    return _made(checks.new_lengths("rand", shape), lambda i: uniform(seed, i), dtype, requires_grad, device)


def randn(*shape: Any, seed: int, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Any:
    """Random numbers from the standard normal distribution."""
    seed = checks.seed("randn", seed)
    return _made(checks.new_lengths("randn", shape), lambda i: normal(seed, i), dtype, requires_grad, device)


def randint(low: int, high: Any, shape: Any = None, *, seed: int, device: str = "cpu") -> Any:
    """Random whole numbers from `low` to, but without, `high`; `randint(high, shape, seed=...)` starts from 0."""
    low, high, shape = checks.interval(low, high, shape)
    seed = checks.seed("randint", seed)
    return _made(shape, lambda i: low + floor(uniform(seed, i) * (high - low)), int64, device=device)


def _made(
    shape: checks.Shape,
    number: Callable[[int], float],
    dtype: str | None,
    requires_grad: bool = False,
    device: str = "cpu",
) -> Any:
    """A tensor whose element number i, in reading order, is `number(i)`."""
    checks.only_cpu(device)
    checks.element_type(dtype or float64)
    return made_of(regroup(map(number, count()), shape), shape, dtype or float64, requires_grad)
