"""The range test: what it measures, what it suggests, and that it leaves no trace."""

import math
from itertools import pairwise

import numpy as np
import pytest

import fast
import micro
import nn
from nn.lr_finder import smooth

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 3))
Y = RANDOM.normal(size=(12, 1))


def trained(engine):
    """A model with everything that can change, and its optimizer, in the middle of training."""
    model = nn.Sequential(
        nn.Linear(3, 4, engine=engine, seed=1, dtype="float64"),
        nn.BatchNorm1d(4, engine=engine, dtype="float64"),
        nn.Dropout(0.3, seed=2),
        nn.Linear(4, 1, engine=engine, seed=3, dtype="float64"),
    )
    optimizer = nn.Adam(model.parameters(), lr=0.02)
    nn.fit(model, (X, Y), nn.mse_loss, optimizer, 2, batch_size=5)
    model[1].eval()
    return model, optimizer


def everything(model, optimizer):
    """All that `lr_find` could have changed."""
    gradients = {f"gradient of {name}": np.array(p.grad) for name, p in model.named_parameters()}
    modes = {f"mode of {i}": module.training for i, module in enumerate(model.modules())}
    state = {**model.state_dict(), **optimizer.state_dict(), **gradients, **modes}
    return {"calls": model[2].calls, "settings": str(optimizer.settings), **state}


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


class Trouble(nn.Callback):
    def __init__(self, error):
        self.error = error

    def on_step_end(self, run):
        if len(run.history.step_loss) == 5:
            raise self.error


def test_model_and_optimizer_are_what_they_were(engine):
    model, optimizer = trained(engine)
    before = everything(model, optimizer)
    assert before["calls"] == 6
    result = nn.lr_find(model, (X, Y), nn.mse_loss, optimizer, steps=8, batch_size=5)
    assert len(result.losses) == 8
    assert_same(before, everything(model, optimizer))
    trouble = Trouble(OSError("no more disk"))
    with pytest.raises(OSError, match="no more disk"):
        nn.lr_find(model, (X, Y), nn.mse_loss, optimizer, steps=8, batch_size=5, callbacks=[trouble])
    assert_same(before, everything(model, optimizer))
    trouble = Trouble(KeyboardInterrupt())
    result = nn.lr_find(model, (X, Y), nn.mse_loss, optimizer, steps=8, batch_size=5, callbacks=[trouble])
    assert len(result.losses) == 5
    assert "interrupted by hand" in result.stopped
    assert_same(before, everything(model, optimizer))


def test_an_optimizer_without_memory_has_none_afterwards(engine):
    model = nn.Linear(3, 1, engine=engine, seed=1)
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    nn.lr_find(model, (X, Y), nn.mse_loss, optimizer, steps=5)
    assert optimizer.state == {}
    assert optimizer.lr == 0.1
    assert all(p.grad is None or not np.asarray(p.grad).any() for p in model.parameters())


def test_parameters_that_only_the_optimizer_holds_are_restored():
    model, other = (nn.Linear(3, 1, engine=fast, seed=seed) for seed in (1, 2))
    optimizer = nn.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    before = other.state_dict()

    def loss(prediction, target):
        return nn.mse_loss(prediction, target) + 0.1 * nn.l2_penalty(other.parameters())

    nn.lr_find(model, (X, Y), loss, optimizer, steps=20)
    assert_same(before, other.state_dict())


def test_training_goes_on_as_if_nothing_had_been():
    losses = []
    for look in (False, True):
        model, optimizer = trained(fast)
        if look:
            nn.lr_find(model, (X, Y), nn.mse_loss, optimizer, batch_size=5)
        losses.append(nn.fit(model, (X, Y), nn.mse_loss, optimizer, 3, batch_size=5).step_loss)
    assert losses[0] == losses[1]


def test_losses_are_those_of_gradient_descent_with_growing_rates():
    model = nn.Linear(3, 1, bias=False, engine=fast, seed=1, dtype="float64")
    w = np.array(model.weight).ravel()
    result = nn.lr_find(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 1e-3, 1e2, 30, shuffle=False)
    growth = 1e5 ** (1 / 29)
    for step, (rate, loss) in enumerate(zip(result.rates, result.losses, strict=True)):
        assert rate == pytest.approx(1e-3 * growth**step)
        residual = X @ w - Y.ravel()
        assert loss == pytest.approx(float(np.mean(residual**2)))
        w = w - rate * 2 * X.T @ residual / len(X)
    assert 5 < len(result.losses) < 30
    assert "rose to 4 times its smallest" in result.stopped
    assert f"rate of {result.rates[-1]:g}" in result.stopped
    assert result.smoothed[-1] > 4 * min(result.smoothed)
    assert max(result.smoothed[:-1]) <= 4 * min(result.smoothed)


def test_defaults():
    model = nn.Linear(3, 1, engine=fast, seed=1)
    result = nn.lr_find(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), stop=math.inf, end=0.01)
    assert len(result.rates) == 100
    assert result.rates[0] == pytest.approx(1e-7)
    assert result.rates[-1] == pytest.approx(0.01)
    assert result.stopped == ""
    assert result.smoothed == smooth(result.losses, 0.05)


def test_a_loss_that_is_no_number_is_left_out():
    model = nn.Linear(3, 1, engine=fast, seed=1)
    result = nn.lr_find(
        model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), start=1.0, end=1e30, steps=40, stop=math.inf
    )
    assert 0 < len(result.losses) < 40
    assert len(result.losses) == len(result.rates) == len(result.smoothed)
    assert np.isfinite(result.losses).all()
    assert "diverged at step" in result.stopped


def test_smoothing_is_a_weighted_mean():
    losses = [3.0, 1.0, 4.0, 1.0, 5.0]
    for t, smoothed in enumerate(smooth(losses, 0.05), start=1):
        assert smoothed == pytest.approx(np.average(losses[:t], weights=[0.95 ** (t - i) for i in range(t)]))
    assert smooth(losses, 1.0) == losses


def decreasing(losses):
    """The place of the end, and the length, of the longest decreasing subsequence, by trying all of them."""
    best = (0, 0)
    for chosen in range(1, 2 ** len(losses)):
        places = [i for i in range(len(losses)) if chosen >> i & 1]
        falls = all(losses[a] > losses[b] for a, b in pairwise(places))
        if falls and (len(places), -places[-1]) > (best[1], -best[0]):
            best = (places[-1], len(places))
    return best


def test_the_valley_is_that_of_fastai():
    random = np.random.default_rng(1)
    for _ in range(20):
        losses = random.normal(size=9).tolist()
        end, length = decreasing(losses)
        place = end - length + int(length / 3) + int(length / 3 / 2)
        result = nn.RangeTest([10.0**i for i in range(9)], losses, losses)
        if np.argmin(losses) > 0:
            assert result.suggestions()["valley"] == 10.0**place


def test_suggestions_on_a_curve_that_can_be_read():
    losses = [5.0, 5.0, 5.0, 4.9, 4.0, 2.0, 1.5, 1.4, 3.0, 50.0, 20.0]
    rates = [10.0 ** (i - 7) for i in range(len(losses))]
    suggested = nn.RangeTest(rates, losses, losses).suggestions()
    assert suggested["steepest"] == pytest.approx(1e-3)  # between the losses 4.9 and 2.0; not the fall after 50
    assert suggested["minimum / 10"] == pytest.approx(1e-1)
    assert 1e-7 < suggested["valley"] < 1
    assert nn.RangeTest(rates, losses[::-1], sorted(losses)).suggestions() == {}
    assert nn.RangeTest().suggestions() == {}


def test_both_engines_measure_the_same():
    results = []
    for engine in (micro, fast):
        model = nn.MLP([3, 4, 1], "tanh", engine=engine, seed=1, dtype="float64")
        results.append(nn.lr_find(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 1e-4, 0.3, 20, batch_size=5))
    np.testing.assert_allclose(results[0].losses, results[1].losses, rtol=1e-10)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"start": 0.0}, "start=0.0"),
        ({"start": 1.0, "end": 0.1}, "end=0.1"),
        ({"steps": 1}, "steps=1"),
        ({"steps": 2.5}, "steps=2.5"),
        ({"smoothing": 0.0}, "smoothing=0.0"),
        ({"smoothing": 2.0}, "smoothing=2.0"),
        ({"stop": 1.0}, "stop=1.0"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_what_cannot_be_tested_is_refused(settings, words):
    model = nn.Linear(3, 1, engine=fast, seed=1)
    with pytest.raises(ValueError, match=words):
        nn.lr_find(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), **settings)
    with pytest.raises(TypeError, match="lr_find: optimizer"):
        nn.lr_find(model, (X, Y), nn.mse_loss, nn.SGD)
