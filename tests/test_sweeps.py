"""Sweeps: every run is the one that `fit` would train, and divergence is a result."""

import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fast
import micro
import nn
import viz
from nn.lanes import find_lanes

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 2))
Y = np.sin(X[:, :1])
RATES, SEEDS = [0.05, 0.3, 1e4], [3, 0]
OPTIMIZERS = {"Adam": nn.Adam, "momentum": partial(nn.SGD, momentum=0.9)}


def network(engine, seed=0):
    return nn.MLP([2, 3, 1], "tanh", engine=engine, seed=seed, dtype="float64")


def swept(engine, model=None, **changes):
    settings = {"learning_rates": RATES, "seeds": SEEDS, "optimizers": OPTIMIZERS, "epochs": 4, "batch_size": 3}
    return nn.sweep(model or network(engine), (X, Y), nn.mse_loss, **{**settings, **changes})


@pytest.mark.filterwarnings("ignore::nn.DivergenceWarning")
def test_every_run_is_the_one_of_fit(engine):
    result = swept(engine, lanes=False)
    assert result.losses.shape == (2, 3, 2, 12)
    for (i, j, k), diverged_at in np.ndenumerate(result.diverged_at):
        model = network(engine, SEEDS[k])
        optimizer = list(OPTIMIZERS.values())[i](model.parameters(), RATES[j])
        history = nn.fit(model, (X, Y), nn.mse_loss, optimizer, 4, 3, seed=SEEDS[k])
        done = len(history.step_loss)
        np.testing.assert_array_equal(result.losses[i, j, k, :done], history.step_loss)
        assert np.isnan(result.losses[i, j, k, done:]).all()
        assert diverged_at == (-1 if history.diverged_at is None else history.diverged_at)
        assert result.final_losses[i, j, k] == nn.final_loss(history.step_loss)
    assert result.optimizers == ("Adam", "momentum")
    assert result.learning_rates.tolist() == RATES
    assert result.seeds.tolist() == SEEDS


@pytest.mark.parametrize(
    "changes", [{}, {"batch_size": None}, {"batch_size": None, "lanes": False}, {"shuffle": False}], ids=str
)
def test_a_run_does_not_depend_on_the_others(engine, changes):
    everything = swept(engine, **changes).losses
    alone = swept(engine, learning_rates=[0.3], seeds=[0], optimizers={"mine": nn.Adam}, **changes)
    np.testing.assert_array_equal(alone.losses, everything[:1, 1:2, 1:])


KINDS = {
    "regression": (lambda: network(fast), Y, nn.mse_loss),
    "hinge": (lambda: network(fast), np.sign(Y), nn.hinge_loss),
    "classes": (
        lambda: nn.Sequential(nn.MLP([2, 4, 3], "relu", engine=fast, seed=0, dtype="float64")),
        np.arange(7) % 3,
        nn.cross_entropy,
    ),
    "probabilities": (
        lambda: nn.Sequential(network(fast), nn.Sigmoid()),
        (Y > 0).astype(float),
        nn.binary_cross_entropy,
    ),
}
ALL_OPTIMIZERS = {
    **{kind.__name__: kind for kind in (nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop, nn.Adagrad)},
    "nesterov": partial(nn.SGD, momentum=0.9, nesterov=True, weight_decay=0.01),
}


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_lanes_train_what_fit_trains(kind, batch_size, monkeypatch):
    """Up to rounding, with every optimizer, in batches of which the last is smaller, and for more runs than lanes."""
    make, y, loss = KINDS[kind]
    settings = {
        "learning_rates": np.geomspace(1e-3, 0.1, 9),
        "seeds": [0, 1],
        "optimizers": ALL_OPTIMIZERS,
        "epochs": 4,
        "batch_size": batch_size,
    }
    reference = nn.sweep(make(), (X, y), loss, lanes=False, **settings)
    monkeypatch.setattr("nn.sweeps.fit", None)  # whoever called it would fail
    np.testing.assert_allclose(nn.sweep(make(), (X, y), loss, **settings).losses, reference.losses, rtol=1e-9)


def of_own(prediction, target):
    return ((prediction - target) ** 2).sum()


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (nn.Sequential(network(fast), nn.Dropout(0.5, seed=0)), nn.mse_loss),
        (nn.Sequential(nn.BatchNorm1d(2, engine=fast, dtype="float64"), network(fast)), nn.mse_loss),
        (network(fast), of_own),
        (nn.MLP([2, 300, 300, 1], "tanh", engine=fast, seed=0), nn.mse_loss),
    ],
    ids=["dropout", "batch norm", "a loss of one's own", "large"],
)
def test_what_cannot_be_lanes_is_trained_by_fit(model, loss):
    settings = {"learning_rates": [0.01], "epochs": 2, "batch_size": 4}
    results = [nn.sweep(model, (X, Y), loss, lanes=lanes, **settings).losses for lanes in (True, False)]
    np.testing.assert_array_equal(*results)


def test_models_that_lanes_would_not_train_alike_are_trained_by_fit():
    """A frozen layer, an optimizer of some parameters alone, a network that is another one for each seed."""

    def frozen(seed):
        model = network(fast, seed)
        model[0].requires_grad_(False)
        return model

    def grown(seed):
        return nn.MLP([2, 3 + seed, 1], "tanh", engine=fast, seed=seed, dtype="float64")

    def some(parameters, lr):
        return nn.SGD(parameters[:1], lr)

    settings = {"optimizers": [nn.SGD], "batch_size": None}
    for model, changes in ((frozen, {}), (grown, {}), (network(fast), {"optimizers": {"some": some}})):
        results = [swept(fast, model, lanes=lanes, **{**settings, **changes}).losses for lanes in (True, False)]
        np.testing.assert_array_equal(*results)


def test_graphs_that_depend_on_numbers_are_no_lanes():
    """A pool takes the largest number, and which one that is a graph of scalars does not say."""
    pool = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1, engine=fast, seed=0, dtype="float64"))
    images = np.random.default_rng(0).normal(size=(6, 1, 2, 2))
    assert find_lanes(pool, images, images[:, 0, 0, :1], nn.mse_loss, 6) is None
    mean = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(1, 1, engine=fast, seed=0, dtype="float64"))
    assert find_lanes(mean, images, images[:, 0, 0, :1], nn.mse_loss, 6) is not None


def test_a_model_counts_as_its_structure_and_a_function_makes_its_own(engine):
    model = network(engine, seed=5)
    before = model.state_dict()
    expected = swept(engine).losses
    np.testing.assert_array_equal(swept(engine, model).losses, expected)
    np.testing.assert_array_equal(swept(engine, lambda seed: network(engine, seed)).losses, expected)
    for name, weights in model.state_dict().items():
        np.testing.assert_array_equal(weights, before[name])


@pytest.mark.parametrize("lanes", [True, False])
def test_divergence_is_a_result(lanes):
    linear = nn.Linear(2, 1, engine=fast, seed=0, dtype="float64")
    result = nn.sweep(linear, (X, Y), nn.mse_loss, learning_rates=[1e-3, 1e100], epochs=6, lanes=lanes)
    assert result.diverged_at.ravel().tolist() == [-1, 2]
    assert result.losses[0, 1, 0, 2] == math.inf
    assert np.isnan(result.losses[0, 1, 0, 3:]).all()
    assert np.isfinite(result.losses[0, 0]).all()
    assert np.isfinite(result.final_losses).ravel().tolist() == [True, False]


def test_a_list_of_classes_is_called_by_their_names(engine):
    result = swept(engine, optimizers=[nn.SGD, nn.AdamW], seeds=range(2))
    assert result.optimizers == ("SGD", "AdamW")
    assert list(result.finals()) == ["SGD", "AdamW"]
    np.testing.assert_array_equal(result.finals()["AdamW"][0.3], result.final_losses[1, 1])


def test_curves_are_those_of_one_optimizer_and_seed():
    result = swept(fast)
    assert list(result.curves()) == RATES
    np.testing.assert_array_equal(result.curves()[0.3], result.losses[0, 1, 0])
    np.testing.assert_array_equal(result.curves("momentum", 0)[0.05], result.losses[1, 0, 1])
    with pytest.raises(ValueError, match=r"curves: optimizer='SGD' is not in this sweep, only \['Adam', 'momentum'\]"):
        result.curves("SGD")
    with pytest.raises(ValueError, match=r"curves: seed=7 is not in this sweep, only \[3, 0\]"):
        result.curves(seed=7)


@pytest.mark.usefixtures("closed_figures")
def test_viz_draws_what_a_sweep_gives():
    result = swept(fast, optimizers=[nn.SGD], epochs=20)
    assert nn.diagnose_sweep(result.curves())[1e4].name == "diverged"
    viz.learning_rate_curves(result.curves())
    viz.learning_rate_spread(result.finals(), ax=plt.figure().subplots())
    viz.loss_map(result.final_losses[0].T[::-1], result.learning_rates, [0, 3], ax=plt.figure().subplots())


def test_a_bar_shows_how_many_runs_are_done(capsys):
    swept(fast)
    assert capsys.readouterr().err == ""
    swept(fast, progress=True)
    assert "12/12" in capsys.readouterr().err


def test_ctrl_c_ends_the_whole_sweep():
    made = []

    class Interrupted(nn.SGD):
        def step(self):
            if len(made) > 3:
                raise KeyboardInterrupt
            super().step()

    def noted(parameters, lr):
        made.append(lr)
        return Interrupted(parameters, lr)

    with pytest.raises(KeyboardInterrupt, match="interrupted by hand in epoch 1"):
        swept(fast, optimizers={"noted": noted})
    assert len(made) == 5  # four of them to see what can be trained, and how


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = network(fast)

    def forward(self, x):
        return self.inner(x)


def frozen():
    model = network(fast)
    model[0].freeze()
    return model


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": Mine()}, TypeError, r"sweep: Mine is a module of your own; give a function that makes the model"),
        ({"model": frozen()}, ValueError, r"sweep: 0\.weight is frozen, which models that are made anew would not be"),
        ({"model": nn.MLP}, TypeError, r"sweep: model=<class .*MLP'>; give a model such as nn.MLP\(...\), or a func"),
        ({"model": lambda seed: seed}, TypeError, r"sweep: model\(3\) gave 3; give a function that returns an nn.Mod"),
        ({"learning_rates": 0.1}, TypeError, r"sweep: learning_rates=0.1 is no list; give one, such as \[0.1\]"),
        ({"learning_rates": []}, ValueError, r"sweep: learning_rates=\[\] is empty; give at least one"),
        ({"learning_rates": [0.1, -1]}, ValueError, r"sweep: learning_rates: lr=-1; it must be a positive number"),
        ({"learning_rates": [0.1, math.nan]}, ValueError, r"sweep: learning_rates: lr=nan"),
        ({"learning_rates": [1, 1.0]}, ValueError, r"sweep: learning_rates=\[1.0, 1.0\] holds one of them twice"),
        ({"seeds": [0.5]}, ValueError, r"sweep: seeds hold 0.5; give whole numbers of 0 or more, such as range\(5\)"),
        ({"seeds": [0, -1]}, ValueError, r"sweep: seeds hold -1"),
        ({"optimizers": nn.SGD}, TypeError, r"sweep: optimizers=<class .*SGD'> is no list"),
        ({"optimizers": ["SGD"]}, TypeError, r"sweep: optimizers hold 'SGD', which has no name or is no function"),
        ({"optimizers": [partial(nn.SGD)]}, TypeError, r"give classes, as in \[nn.SGD, nn.Adam\], or functions by na"),
        ({"optimizers": [nn.SGD, nn.SGD]}, ValueError, r"sweep: optimizers=\['SGD', 'SGD'\] holds one of them twice"),
        ({"optimizers": {"a": lambda parameters, lr: 3}}, TypeError, r"sweep: a: optimizer=3; give one that was made"),
        ({"epochs": 0}, ValueError, r"epochs=0; give a whole number of at least 1"),
        ({"batch_size": 0}, ValueError, r"batch_size=0; give a whole number of at least 1, or None"),
        ({"executor": 4}, TypeError, r"executor=4 is none; give a concurrent.futures.Executor, such as ProcessPool"),
    ],
)
def test_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        swept(fast, **changes)


def test_bad_data_and_loss():
    with pytest.raises(TypeError, match=r"sweep: SGD: loss=3 is not a function"):
        nn.sweep(network(micro), (X, Y), 3, learning_rates=[0.1], epochs=1)
    with pytest.raises(ValueError, match=r"data: X has 7 rows, y 6"):
        nn.sweep(network(micro), (X, Y[:6]), nn.mse_loss, learning_rates=[0.1], epochs=1)
    with pytest.raises(ValueError, match=r"mse_loss") as caught:
        nn.sweep(network(micro), (X, X), nn.mse_loss, learning_rates=[0.1], epochs=1)
    assert caught.value.__notes__ == ["in task 0"]
