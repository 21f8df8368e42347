"""Trainability maps: many trainings against the definition, tile by tile, and what is read off them."""

import numpy as np
import pytest

import fast
import micro
from fast.kernels import trainability as kernels

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=7)
W0, W1 = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=5)
#: From far too small to far too large, the second and the fourth for one layer each.
RATES = np.array([[1e-3, 1e-3], [3.0, 0.1], [1.0, 1.0], [0.1, 30.0], [1e3, 1e3], [1e200, 1e200]])
OFFSETS = np.array([0.0, 0.5, -0.3, 1.0, 10.0, 0.0])


def train(engine, steps, rates=RATES, **settings):
    """The three results, as a matrix with a row for each run."""
    tensors = [engine.tensor(array, "float64") for array in (X, Y, W0, W1, rates)]
    return np.stack(
        [np.asarray(part) for part in engine.functional.train_two_layers(*tensors, steps=steps, **settings)]
    ).T


def extras(engine, names, steps):
    batches = np.random.default_rng(1).integers(0, len(X), (steps, 4))
    given = {"offsets": engine.tensor(OFFSETS, "float64"), "batches": engine.tensor(batches)}
    return {name: given[name] for name in names}


# ----------------------------------------------------------------------------------------------------------------------
# The runs.


@pytest.mark.parametrize("names", [(), ("offsets",), ("batches",)], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
def test_both_engines_train_the_same_runs(activation, names):
    mine, theirs = [train(engine, 8, activation=activation, **extras(engine, names, 8)) for engine in (fast, micro)]
    np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    assert theirs[0, 2] < 1 < theirs[4, 2]  # some learn, and some diverge


def test_the_first_loss_is_the_unit_and_the_last_twenty_make_the_mean():
    one = train(micro, 1)
    np.testing.assert_array_equal(one, np.ones((len(RATES), 3)))
    sums = np.stack([train(fast, steps)[:3, 0] for steps in range(1, 25)])
    v = np.vstack([np.ones(3), np.diff(sums, axis=0)])
    np.testing.assert_allclose(train(fast, 24)[:3, 2], v[-20:].mean(axis=0))
    np.testing.assert_allclose(train(fast, 24)[:3, 1], (1 / v).sum(axis=0))


def test_ending_a_lost_run_early_is_running_on():
    """`micro` runs on with infinities and nan."""
    lost = RATES[3:]
    mine, theirs = train(fast, 60, lost), train(micro, 60, lost)
    np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    assert (theirs[1:, 2] == 1e6).all()


def test_a_run_depends_on_nothing_but_its_settings(monkeypatch):
    rates = np.geomspace(1e-3, 1e3, 74).reshape(37, 2)
    together = train(fast, 30, rates)
    for run in (0, 17, 36):
        np.testing.assert_array_equal(train(fast, 30, rates[run : run + 1])[0], together[run])
    tensors = [np.ascontiguousarray(array) for array in (X, X.T, Y, W0, W1, rates, np.zeros(37))]
    for threads in (1, 2, 5, 50):
        sums = np.empty((37, 3))
        batches = np.empty((0, 0), np.int64)
        kernels.train_parallel(threads, *tensors, batches, 30, kernels.TANH, 1e6, 20, sums)
        np.testing.assert_array_equal(sums, together)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"steps": 0}, ValueError, "steps=0"),
        ({"activation": "step"}, ValueError, "activation='step'"),
        ({"rates": np.ones(3)}, ValueError, r"rates has shape \(3,\); it must be \(R, 2\)"),
        ({"offsets": np.ones(2)}, ValueError, r"offsets has shape \(2,\); it must be \(R,\), here \(6,\)"),
        ({"batches": np.zeros((2, 4), int)}, ValueError, r"\(steps, B\), here \(3, B\)"),
        ({"batches": np.full((3, 1), 7)}, IndexError, "hold 7, but the samples are 0 to 6"),
        ({"batches": np.ones((3, 1))}, TypeError, "float"),
    ],
)
def test_wrong_arguments_are_named(engine, change, error, words):
    settings = {"steps": 3, "rates": RATES} | change
    settings = {
        name: engine.tensor(value) if name in ("offsets", "batches") else value for name, value in settings.items()
    }
    with pytest.raises(error, match=f"train_two_layers: .*{words}"):
        train(engine, **settings)


def test_shapes_that_do_not_fit_are_named(engine):
    good = {"x": X, "y": Y, "weight0": W0, "weight1": W1, "rates": RATES}
    for name, wrong in {"y": Y[:3], "weight0": W0[:, :2], "weight1": W1[:2], "x": X[:0]}.items():
        tensors = [engine.tensor(array) for array in (good | {name: wrong}).values()]
        with pytest.raises(ValueError, match=f"train_two_layers: .*{name}"):
            engine.functional.train_two_layers(*tensors, steps=3)


# ----------------------------------------------------------------------------------------------------------------------
# tanh.


def tanh64(x):
    return np.array([kernels.tanh64(number) for number in x])


def test_tanh64_is_right_over_the_whole_range():
    random = np.random.default_rng(2)
    x = np.concatenate([random.uniform(-25, 25, 20_000), random.uniform(-0.5, 0.5, 20_000), random.normal(size=20_000)])
    x = np.concatenate([x, np.ldexp(random.uniform(1, 2, 20_000), random.integers(-1074, 5, 20_000))])
    exact = np.tanh(x.astype(np.longdouble))
    errors = np.abs(tanh64(x) - exact) / np.spacing(np.abs(exact).astype(float))
    assert errors.max() <= 2.6, x[errors.argmax()]


def test_tanh64_of_infinities_nan_and_zeros():
    assert str(tanh64([np.inf, -np.inf, np.nan, 0.0, -0.0, 400.0, 5e-324]).tolist()) == (
        "[1.0, -1.0, nan, 0.0, -0.0, 1.0, 5e-324]"
    )
