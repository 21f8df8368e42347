"""Data drift: whether new data still look like those that a model was trained on, feature by feature."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Below the first index of population stability a feature is "stable", from the second on it "has drifted", between
#: them it "drifts": the usual thresholds of credit scoring (Siddiqi 2006, Credit Risk Scorecards), a rule of thumb.
STABLE, DRIFTED = 0.1, 0.25
#: How many samples an empty bin counts as, for the logarithm of 0 is infinite.
EMPTY = 0.5


@dataclass(frozen=True)
class Drift:
    """How far the new data of a feature are from those of training.

    name: of the feature.
    psi: the population stability index, 0 for equal shares in all bins.
    chance: what the psi stays below in 95 of 100 cases where nothing has changed, by the number of samples alone.
    ks: the Kolmogorov-Smirnov statistic, the largest distance between the two distribution functions, 0 to 1; nan where
        one side has no numbers.
    p_value: the probability of such a distance, or a larger one, where nothing has changed.
    missing: the shares of nan and infinity, in training and in the new data.
    verdict: "stable", "drifts", "has drifted", or "too few samples" where the psi is large, but may be so by chance.
    """

    name: str
    psi: float
    chance: float
    ks: float
    p_value: float
    missing: tuple[float, float]
    verdict: str


def monitor(training: Any, new: Any, names: Sequence[str] | None = None, bins: int = 10) -> list[Drift]:
    """Compare each feature of new data with the same one in training; the one that has drifted furthest comes first.

    training, new: (N, F) and (M, F), or (N,) and (M,) for a single feature, such as the losses of a model. Nan and
        infinity count as missing: they have a bin of their own.
    names: of the features; their numbers if left out.
    bins: into how many parts of equal size the training data are cut; a feature with no more than `bins` different
        values has a bin for each of them, and one for all others.

    The population stability index is the sum over the bins of (q - p) ln(q / p), for the shares p in training and q in
    the new data. With nothing changed, its distribution is about (1/N + 1/M) times chi-square with bins - 1 degrees of
    freedom (Yurdakul 2018, Statistical Properties of Population Stability Index), so few samples seem to drift by
    chance. An empty bin counts as half a sample.
    """
    old, recent = _columns("training", training), _columns("new", new)
    if old.shape[1] != recent.shape[1]:
        raise ValueError(f"monitor: training has {old.shape[1]} features, new {recent.shape[1]}; give the same ones")
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 2:
        raise ValueError(f"monitor: bins={bins!r}; give a whole number of at least 2")
    names = [str(number) for number in range(old.shape[1])] if names is None else list(map(str, names))
    if len(names) != old.shape[1]:
        raise ValueError(f"monitor: there are {len(names)} names for {old.shape[1]} features")
    drifts = [_drift(*feature, bins) for feature in zip(names, old.T, recent.T, strict=True)]
    return sorted(drifts, key=lambda drift: drift.psi, reverse=True)


def _drift(name: str, old: np.ndarray, new: np.ndarray, bins: int) -> Drift:
    from scipy import stats  # here, because it takes longer to import than all of nn

    p, q = _shares(old, new, bins)
    psi = float(((q - p) * np.log(q / p)).sum())
    chance = float(stats.chi2.ppf(0.95, max(1, len(p) - 1)) * (1 / len(old) + 1 / len(new)))
    numbers = [side[np.isfinite(side)] for side in (old, new)]
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # SciPy tells when it has to approximate
        ks, p_value = stats.ks_2samp(*numbers) if all(map(len, numbers)) else (math.nan, math.nan)
    missing = np.mean(~np.isfinite(old)).item(), np.mean(~np.isfinite(new)).item()
    return Drift(name, psi, chance, float(ks), float(p_value), missing, _verdict(psi, chance))


def _verdict(psi: float, chance: float) -> str:
    if psi < STABLE:
        return "stable"
    if psi <= chance:
        return "too few samples"
    return "drifts" if psi < DRIFTED else "has drifted"


def _shares(old: np.ndarray, new: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The shares of both sides in the bins that the old one makes, without those that are empty on both."""
    known = old[np.isfinite(old)]
    values = np.unique(known)
    if len(values) > bins:
        edges = np.unique(np.quantile(known, np.arange(1, bins) / bins))
        counts = [_count_between(side, edges) for side in (old, new)]
    else:
        counts = [_count_values(side, values) for side in (old, new)]
    used = counts[0] + counts[1] > 0
    p, q = [np.maximum(side[used], EMPTY) / side.sum() for side in counts]
    return p, q


def _count_between(side: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many lie below the first edge, from each edge to the next, from the last on; and how many are missing."""
    finite = side[np.isfinite(side)]
    counts = np.bincount(np.searchsorted(edges, finite, side="right"), minlength=len(edges) + 1)
    return np.append(counts, len(side) - len(finite))


def _count_values(side: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How often each value comes; how many others there are; and how many are missing."""
    finite = side[np.isfinite(side)]
    counts = [np.count_nonzero(finite == value) for value in values]
    return np.array([*counts, len(finite) - sum(counts), len(side) - len(finite)])


def _columns(name: str, data: Any) -> np.ndarray:
    try:
        array = np.asarray(data, float)
    except (TypeError, ValueError):
        raise TypeError(
            f"monitor: {name} holds more than numbers; encode it first (scikit-learn has encoders)"
        ) from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"monitor: {name} has shape {array.shape}; give (N, F), at least one sample of one feature")
    return array
