"""What every function asks of its data: numbers, finite, as many targets as samples."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

#: Samples and targets, arrays or nested lists of equal length.
Data = tuple[Any, Any]


def check_data(name: str, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The samples X (N, ...) and targets y (N, ...) as arrays of finite numbers.

    Raises TypeError or ValueError that names the argument, and for nan and infinity the row and the column.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{name}: give a pair (X, y) of samples and targets, not {data!r:.80}")
    x, y = check_numbers(f"{name}: X", data[0]), check_numbers(f"{name}: y", data[1])
    if len(x) != len(y):
        raise ValueError(f"{name}: X has {len(x)} rows, y {len(y)}; each sample needs one target")
    return x, y


def check_numbers(name: str, numbers: Any) -> np.ndarray:
    """Numbers as an array with one row for each sample; no row may hold nan or infinity."""
    try:
        array = np.asarray(numbers)
    except ValueError as error:
        raise ValueError(f"{name} has rows of different lengths; NumPy says: {error}") from None
    if array.dtype == object and all(isinstance(item, Real) for item in array.flat):
        array = array.astype(float)  # as a table with columns of several types gives it
    if array.dtype.kind not in "biuf":
        first = next((item for item in array.flat if not isinstance(item, Real)), array.dtype)
        raise TypeError(
            f"{name} holds {first!r:.80}, which is not a number; encode it first (scikit-learn has encoders)"
        )
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}); give at least one sample")
    if array.ndim == 0:
        raise ValueError(f"{name} is the single number {array}; give one row for each sample")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row, *column = bad[0].tolist()
        where = f"row {row}" + (f", column {', '.join(map(str, column))}" if column else "")
        raise ValueError(
            f"{name} has {array[tuple(bad[0])]} in {where} ({len(bad)} such numbers in all); "
            "fill the gaps or drop the rows (scikit-learn's SimpleImputer fills)"
        )
    return array


def check_batch_size(batch_size: int | None, rows: int) -> int:
    """The number of rows in a batch: `batch_size`, or all where it is None."""
    if batch_size is None:
        return rows
    return min(check_count("batch_size", batch_size, ", or None for all rows at once"), rows)


def check_count(name: str, count: Any, otherwise: str = "") -> int:
    """`count` itself, if it is a whole number of at least 1."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"{name}={count!r}; give a whole number of at least 1{otherwise}")
    return int(count)


def generator(seed: Any) -> np.random.Generator:
    """A generator of random numbers from a seed, or the one given."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ValueError(f"seed={seed!r:.80}; give a whole number of 0 or more, or a generator ({error})") from None
