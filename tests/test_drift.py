"""Data drift, against numbers computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats

import nn


def one(training, new, **settings):
    (drift,) = nn.monitor(training, new, **settings)
    return drift


def test_the_index_by_hand():
    """Shares 0.4, 0.3, 0.2, 0.1 become 0.2, 0.2, 0.2, 0.4."""
    training = np.repeat([1.0, 2.0, 3.0, 4.0], [400, 300, 200, 100])
    new = np.repeat([1.0, 2.0, 3.0, 4.0], [20, 20, 20, 40])
    by_hand = -0.2 * math.log(0.5) - 0.1 * math.log(2 / 3) + 0 + 0.3 * math.log(4)
    assert by_hand == pytest.approx(0.595065, abs=1e-6)
    drift = one(training, new)
    assert drift.psi == pytest.approx(by_hand)
    assert drift.ks == pytest.approx(0.3)  # at 3: 0.9 against 0.6
    assert drift.chance == pytest.approx(7.8147 * (1 / 1000 + 1 / 100), rel=1e-4)  # chi-square, 3 degrees of freedom
    assert (drift.name, drift.verdict, drift.missing) == ("0", "has drifted", (0.0, 0.0))


def test_quantiles_make_the_bins_of_many_values():
    """Training fills four bins alike; of the new data 0.1, 0.2, 0.3, 0.4 lie in them."""
    training = np.arange(1000.0)
    new = np.concatenate([np.full(100, 5.0), np.full(200, 300.0), np.full(300, 700.0), np.full(400, 1e9)])
    by_hand = sum((q - 0.25) * math.log(q / 0.25) for q in (0.1, 0.2, 0.3, 0.4))
    assert one(training, new, bins=4).psi == pytest.approx(by_hand)


def test_a_number_on_an_edge_belongs_to_the_bin_above():
    """The edges are 2, 4 and 6, so 2, 2, 2 and 3 of the nine lie in the bins."""
    by_hand = sum((q - p) * math.log(q / p) for p, q in zip((2 / 9, 2 / 9, 3 / 9), (0.05,) * 3, strict=True))
    drift = one(np.arange(9.0), np.full(10, 2.0), bins=4)
    assert drift.psi == pytest.approx(by_hand + (1 - 2 / 9) * math.log(9 / 2))


def test_kolmogorov_smirnov_by_hand_and_by_scipy():
    assert one([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]).ks == 0.5
    random = np.random.default_rng(0)
    old, new = random.normal(size=300), random.normal(0.2, 1, size=200)
    drift = one(old, new)
    assert (drift.ks, drift.p_value) == pytest.approx(tuple(stats.ks_2samp(old, new)))


def test_an_empty_bin_counts_as_half_a_sample():
    by_hand = 2 * (0.5 - 0.5 / 10) * math.log(0.5 / 0.05)
    drift = one([0.0] * 5 + [1.0] * 5, [2.0] * 10)
    assert drift.psi == pytest.approx(by_hand + (1 - 0.05) * math.log(1 / 0.05))


def test_the_one_that_has_drifted_furthest_comes_first():
    random = np.random.default_rng(0)
    old = random.normal(size=(2000, 4))
    new = random.normal(size=(1000, 4)) + [0.0, 2.0, 0.4, 0.0]
    new[:, 3] *= 2
    drifts = nn.monitor(old, new, names=["same", "far", "near", "wide"])
    assert [drift.name for drift in drifts] == ["far", "wide", "near", "same"]
    assert [drift.verdict for drift in drifts] == ["has drifted", "has drifted", "drifts", "stable"]
    assert [drift.p_value < 0.01 for drift in drifts] == [True, True, True, False]


def test_constant_features():
    assert one(np.full(100, 3.0), np.full(100, 3.0)).psi == 0
    for moved in (3.001, 2.999):
        drift = one(np.full(100, 3.0), np.full(100, moved))
        assert drift.verdict == "has drifted"
        assert drift.ks == 1
    assert one(np.full(100, 3.0), [3.0] * 97 + [4.0] * 3).verdict == "stable"


def test_a_new_value_of_a_category_is_noticed():
    drift = one([0.0, 1.0] * 100, [0.0, 0.5] * 100)
    assert drift.verdict == "has drifted"


def test_missing_numbers_are_a_bin_of_their_own():
    random = np.random.default_rng(0)
    old, new = random.normal(size=1000), random.normal(size=1000)
    old[:100], new[:400] = np.nan, np.inf
    drift = one(old, new)
    assert drift.missing == (0.1, 0.4)
    assert drift.psi > 0.3 * math.log(4)  # what this bin alone adds
    assert drift.p_value > 0.01  # those that are there have not changed
    assert one(np.full(9, np.nan), np.full(9, np.nan)).psi == 0
    lost = one(np.arange(100.0), np.full(100, np.nan))
    assert lost.verdict == "has drifted"
    assert math.isnan(lost.ks)
    assert math.isnan(lost.p_value)
    found = one(np.full(100, np.nan), np.arange(100.0))
    assert found.verdict == "has drifted"


def test_few_samples_prove_nothing():
    random = np.random.default_rng(0)
    drifts = nn.monitor(random.normal(size=(500, 50)), random.normal(size=(12, 50)))
    assert min(drift.psi for drift in drifts) > 0.1
    assert {drift.verdict for drift in drifts} == {"too few samples"}
    assert one(np.arange(500.0), [250.0]).verdict == "too few samples"


def test_without_drift_chance_is_exceeded_once_in_twenty():
    random = np.random.default_rng(0)
    drifts = nn.monitor(random.normal(size=(1000, 400)), random.normal(size=(300, 400)))
    assert 0.02 < np.mean([drift.psi > drift.chance for drift in drifts]) < 0.09


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.ones((3, 2)), np.ones((3, 3))), ValueError, "2 features, new 3"),
        ((np.ones((3, 2)), np.ones((0, 2))), ValueError, r"new has shape \(0, 2\)"),
        ((np.ones((3, 2, 2)), np.ones(3)), ValueError, r"training has shape \(3, 2, 2\)"),
        (([["a"]], [["b"]]), TypeError, "training.*encode"),
        (([1.0], [1.0], ["a", "b"]), ValueError, "2 names for 1 features"),
        (([1.0], [1.0], None, 1), ValueError, "bins=1"),
    ],
)
def test_data_that_cannot_be_compared(arguments, error, words):
    with pytest.raises(error, match=words):
        nn.monitor(*arguments)
