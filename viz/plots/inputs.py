"""What is given to plots, checked once: numbers and curves as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from nn import History

#: A number for every step or epoch, or what `nn.fit` returns.
Curve = Sequence[float] | np.ndarray | History


def array_of(name: str, numbers: Any) -> np.ndarray:
    """Numbers of any shape as an array of float64; TypeError for all else."""
    try:
        return np.asarray(numbers, "float64")
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {numbers!r:.80} is no array of numbers, in rows of one length") from None


def numbers_of(name: str, curve: Any) -> np.ndarray:
    """The losses of every step of a history, or the numbers themselves, as an array (N,) of float64."""
    numbers = array_of(name, curve.step_loss if isinstance(curve, History) else curve)
    if numbers.ndim != 1 or len(numbers) == 0:
        raise ValueError(f"{name}: a curve has shape {numbers.shape}; give at least one number, in one dimension")
    return numbers


def curves_by_name(name: str, curves: Any) -> dict[str, np.ndarray]:
    """`curves` as a dictionary of arrays."""
    if not isinstance(curves, Mapping) or not curves or not all(isinstance(key, str) for key in curves):
        raise ValueError(f'{name}: {curves!r:.80} holds no curves by name; give {{"a name": [0.1, 0.05, ...], ...}}')
    return {key: numbers_of(f"{name}: {key}", curve) for key, curve in curves.items()}


def is_rate(rate: Any) -> bool:
    """Whether it is a number above 0."""
    return isinstance(rate, Real) and 0 < float(rate) < np.inf
