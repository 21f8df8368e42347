"""Tensors from nothing: zeros, ranges, random numbers. Names, arguments and defaults are PyTorch's, but for `seed`.

`dtype` is float32 unless given or the numbers are whole. Random numbers are those of `micro` for the same seed, on
whichever `device` they shall be: the CPU draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fast.kernels import randomness
from fast.tensors import Tensor, as_tensor, tensor
from micro import checks
from micro.vocabulary import float32, int64


def zeros(*shape: Any, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """A tensor of zeros."""
    return _filled(checks.new_lengths("zeros", shape), 0, dtype or float32, requires_grad, device)


def ones(*shape: Any, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """A tensor of ones."""
    return _filled(checks.new_lengths("ones", shape), 1, dtype or float32, requires_grad, device)


def full(
    shape: Any,
    fill_value: float,
    *,
    dtype: str | None = None,
    requires_grad: bool = False,
    device: str = "cpu",
) -> Tensor:
    """A tensor whose elements are all `fill_value`, and of the type of that number unless `dtype` is given."""
    kind = tensor(fill_value).dtype
    return _filled(checks.new_lengths("full", (shape,)), fill_value, dtype or kind, requires_grad, device)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: str | None = None, device: str = "cpu"
) -> Tensor:
    """start, start + step, ... up to, but without, `end`; with one argument from 0 up to it. Integers stay integers."""
    start, step, steps, whole = checks.arange(start, end, step)
    return _made(start + np.arange(steps) * step, dtype or (int64 if whole else float32), device=device)


def linspace(start: float, end: float, steps: int, *, dtype: str | None = None, device: str = "cpu") -> Tensor:
    """`steps` numbers at equal distances, from `start` to `end`, both included; each counted from the nearer end."""
    last = checks.positive("linspace", "steps", steps) - 1
    step = (end - start) / max(1, last)
    i = np.arange(last + 1)
    return _made(np.where(2 * i < max(1, last), start + i * step, end - (last - i) * step), dtype, device=device)


def eye(n: int, m: int | None = None, *, dtype: str | None = None, device: str = "cpu") -> Tensor:
    """A matrix (n, m) with ones where row and column are equal, else zeros; m is n unless given."""
    rows, columns = checks.new_lengths("eye", (n, n if m is None else m))
    return _made(np.eye(rows, columns), dtype, device=device)


def rand(*shape: Any, seed: int, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """Random numbers, uniform between 0 (included) and 1."""
    return _made(_drawn("rand", randomness.uniform, shape, seed), dtype, requires_grad, device)


def randn(*shape: Any, seed: int, dtype: str | None = None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """Random numbers from the standard normal distribution."""
    return _made(_drawn("randn", randomness.normal, shape, seed), dtype, requires_grad, device)


def randint(low: int, high: Any, shape: Any = None, *, seed: int, device: str = "cpu") -> Tensor:
    """Random whole numbers from `low` to, but without, `high`; `randint(high, shape, seed=...)` starts from 0."""
    low, high, shape = checks.interval(low, high, shape)
    numbers = _drawn("randint", randomness.uniform, (shape,), seed)
    return _made(low + np.floor(numbers * (high - low)).astype(int64), int64, device=device)


def from_dlpack(array: Any) -> Tensor:
    """An array of another library as a Tensor that shares its memory, through DLPack."""
    if not hasattr(array, "__dlpack__"):
        raise TypeError(f"from_dlpack: {array!r:.80} of type {type(array).__name__} does not speak DLPack; use tensor")
    return as_tensor(np.from_dlpack(array))


def _drawn(name: str, kernel: Callable[..., None], shape: Any, seed: int) -> np.ndarray:
    numbers = np.empty(checks.new_lengths(name, shape))
    kernel(np.uint64(checks.seed(name, seed)), numbers.ravel())
    return numbers


def _filled(shape: checks.Shape, number: float, dtype: str, requires_grad: bool, device: str) -> Tensor:
    checks.element_type(dtype)
    return _made(np.full(shape, number, dtype), dtype, requires_grad, device)


def _made(array: np.ndarray, dtype: str | None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    made = Tensor(array).to(dtype or float32)
    if device != "cpu":
        made.move_(device)
    if requires_grad:
        checks.may_require_grad(made.dtype)
        made.requires_grad = True
    return made
