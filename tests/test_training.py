"""`fit` and what surrounds it: batches, histories, divergence, callbacks, optimizers step by step, weights in files."""

import math
import warnings

import numpy as np
import pytest

import fast
import micro
import nn
from nn.data import batches

X = np.linspace(-1, 1, 16).reshape(-1, 1)
Y = np.tanh(2 * X)


def small(engine=fast, **settings):
    return nn.MLP([1, 4, 1], "tanh", engine=engine, seed=0, **settings)


def test_ten_thousand_rows_in_batches_of_32_are_313():
    sizes = [len(rows) for rows in batches(10_000, 32)]
    assert (len(sizes), sizes[0], sizes[-1]) == (313, 32, 16)


def test_an_epoch_visits_every_row_once_in_an_order_that_the_seed_fixes():
    first, again, other = [
        np.concatenate(list(batches(10, 3, np.random.default_rng(seed)))).tolist() for seed in (1, 1, 2)
    ]
    assert sorted(first) == list(range(10))
    assert first == again != other


def test_a_run_can_be_repeated(engine):
    def losses(seed):
        model = small(engine)
        return nn.fit(
            model, (X, Y), nn.mse_loss, nn.SGD(model.parameters(), lr=0.1), 3, batch_size=5, seed=seed
        ).step_loss

    assert losses(1) == losses(1) != losses(2)


def test_history_of_a_run():
    model = small()
    history = nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters(), lr=0.1), 3, batch_size=5, validation=(X, Y))
    assert len(history.step_loss) == 3 * 4
    assert len(history.loss) == len(history.validation_loss) == len(history.seconds) == 3
    sizes = np.array([5, 5, 5, 1])
    assert history.loss[0] == pytest.approx((history.step_loss[:4] * sizes).sum() / 16)
    answer = nn.predict(model, X)
    assert history.validation_loss[-1] == pytest.approx(((answer - Y) ** 2).mean(), rel=1e-6)
    assert (history.diverged_at, history.stopped) == (None, "")


def test_divergence_is_a_result(engine):
    model = small(engine)
    with pytest.warns(nn.DivergenceWarning, match=r"diverged at step \d+.*below 1e\+06"):
        history = nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters(), lr=1e6), epochs=200)
    assert history.stopped.startswith(f"diverged at step {history.diverged_at}:")
    assert len(history.step_loss) == len(history.loss) == history.diverged_at + 1
    assert all(map(math.isfinite, history.step_loss[:-1]))
    assert not math.isfinite(history.step_loss[-1])


class Recorder(nn.Callback):
    def __init__(self, stop_after=None):
        self.events, self.stop_after = [], stop_after

    def on_train_begin(self, run):
        self.events.append("begin")

    def on_step_end(self, run):
        self.events.append("step")

    def on_epoch_end(self, run):
        self.events.append("epoch")
        if len(run.history.loss) == self.stop_after:
            run.history.stopped = "enough"

    def on_train_end(self, run):
        self.events.append("end")


def test_callbacks_are_called_around_the_loop():
    recorder, model = Recorder(), small()
    nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 2, batch_size=8, callbacks=[recorder])
    assert recorder.events == ["begin", *["step", "step", "epoch"] * 2, "end"]


def test_a_callback_can_stop_the_training():
    model = small()
    history = nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 9, callbacks=[Recorder(stop_after=2)])
    assert (len(history.loss), history.stopped) == (2, "enough")


def test_a_callback_can_stop_in_the_middle_of_an_epoch():
    class Impatient(nn.Callback):
        def on_step_end(self, run):
            run.history.stopped = "one is enough"

    model = small()
    history = nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 9, batch_size=4, callbacks=[Impatient()])
    assert len(history.step_loss) == 1


def test_an_error_in_a_callback_is_not_hidden_by_another():
    class Faulty(nn.Callback):
        def on_train_begin(self, run):
            raise KeyError("mine")

    model = small()
    with pytest.raises(KeyError, match="mine"):
        nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 1, callbacks=[Faulty(), nn.Progress()])


def test_callbacks_hear_of_the_end_after_an_error():
    recorder, model = Recorder(), small()
    with pytest.raises(ValueError, match=r"prediction has shape \(16, 1\), the target \(16,\)"):
        nn.fit(model, (X, Y.reshape(-1)), nn.mse_loss, nn.SGD(model.parameters()), 1, callbacks=[recorder])
    assert recorder.events == ["begin", "end"]


def test_progress_shows_the_loss(capsys):
    model = small()
    nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 2, callbacks=[nn.Progress("learning")])
    shown = capsys.readouterr().err
    assert "learning" in shown
    assert "2/2" in shown
    assert "loss=" in shown


# ----------------------------------------------------------------------------------------------------------------------
# Optimizers, by the formulas written out here once more.


def steps(engine, make, gradients):
    """The path of a single parameter that starts at 1, pushed by the given gradients."""
    p = engine.tensor([1.0], "float64", requires_grad=True)
    optimizer = make([p])
    path = []
    for g in gradients:
        optimizer.zero_grad()
        (p * g).sum().backward()
        optimizer.step()
        path.append(p[0].item())
    return path


GRADIENTS = [0.5, -0.2, 0.7, 0.1]


def test_sgd(engine):
    assert steps(engine, lambda p: nn.SGD(p, lr=0.1), GRADIENTS) == pytest.approx(1 - 0.1 * np.cumsum(GRADIENTS))


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum(engine, nesterov):
    mu, damp, decay = 0.9, 0.0 if nesterov else 0.2, 0.01
    p, buffer, expected = 1.0, None, []
    for gradient in GRADIENTS:
        g = gradient + decay * p
        buffer = g if buffer is None else mu * buffer + (1 - damp) * g  # no dampening on the first step
        p -= 0.1 * (g + mu * buffer if nesterov else buffer)
        expected.append(p)
    path = steps(engine, lambda q: nn.SGD(q, 0.1, mu, damp, decay, nesterov), GRADIENTS)
    assert path == pytest.approx(expected, rel=1e-13)


def test_adam(engine):
    p, m, v, expected = 1.0, 0.0, 0.0, []
    for t, gradient in enumerate(GRADIENTS, start=1):
        g = gradient + 0.01 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(p)
    assert steps(engine, lambda q: nn.Adam(q, lr=0.1, weight_decay=0.01), GRADIENTS) == pytest.approx(
        expected, rel=1e-12
    )


def test_the_update_can_be_written_by_hand(engine):
    """As in PyTorch: within no_grad, `-=` writes into the parameter."""
    model, same = small(engine, dtype="float64"), small(engine, dtype="float64")
    x, y = engine.tensor(X), engine.tensor(Y)
    for network in (model, same):
        nn.mse_loss(network(x), y).backward()
    nn.SGD(same.parameters(), lr=0.1).step()
    with engine.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
    for mine, theirs in zip(model.state_dict().values(), same.state_dict().values(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_outside_no_grad_a_new_tensor_takes_the_name(engine):
    x = total = engine.tensor([1.0, 2.0], requires_grad=True)
    total += x
    assert total is not x
    total.sum().backward()
    assert np.asarray(x.grad).tolist() == [2.0, 2.0]


def test_parameters_need_not_be_contiguous():
    p = fast.tensor([[1.0, 2.0], [3.0, 4.0]]).T
    p.requires_grad = True
    for make in (nn.SGD, nn.Adam):
        before = p.data.copy()
        p.zero_grad()
        p.sum().backward()
        make([p], lr=0.5).step()
        np.testing.assert_allclose(p.data, before - 0.5, atol=1e-6)


def test_state_begins_with_the_first_gradient_of_each_parameter():
    p, late = [fast.tensor([1.0], requires_grad=True) for _ in range(2)]
    optimizer = nn.Adam([p, late], lr=1.0)
    for step in range(10):
        optimizer.zero_grad()
        ((p + late) if step == 9 else p * 1.0).sum().backward()
        optimizer.step()
    assert late.item() == pytest.approx(0.0, abs=1e-6)  # a first step of Adam is lr long


def test_adam_without_eps_divides_as_ieee_says(engine):
    p = engine.tensor([1.0], requires_grad=True)
    optimizer = nn.Adam([p], eps=0.0)
    (p * 0.0).sum().backward()
    optimizer.step()
    assert math.isnan(p[0].item())


def test_a_shared_layer_is_one_set_of_parameters(engine):
    layer = nn.Linear(2, 2, engine=engine, seed=0)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]


def test_a_module_can_be_replaced_or_removed():
    model = nn.Sequential(nn.Linear(2, 2, engine=fast, seed=0), nn.ReLU())
    setattr(model, "1", nn.Linear(2, 1, engine=fast, seed=1))
    assert len(model.parameters()) == 4
    setattr(model, "1", None)
    assert len(model.parameters()) == 2


def test_a_model_prints_its_layers():
    assert repr(nn.MLP([2, 3, 1], "tanh", engine=fast)) == (
        "MLP(\n  (0): Linear(2, 3)\n  (1): Tanh()\n  (2): Linear(3, 1)\n)"
    )


def test_a_single_number_can_be_used_as_one(engine):
    loss = engine.tensor([1.0, 2.5]).mean()
    assert (float(loss), f"{loss:.3f}", bool(loss)) == (1.75, "1.750", True)


# ----------------------------------------------------------------------------------------------------------------------
# Losses with numbers from the texts on training.


@pytest.mark.parametrize(("p", "loss"), [(0.95, 0.0513), (0.50, 0.6931), (0.10, 2.3026), (0.40, 0.916), (0.01, 4.605)])
def test_cross_entropy_of_a_positive(engine, p, loss):
    assert nn.binary_cross_entropy(engine.tensor([p]), engine.tensor([1.0])).item() == pytest.approx(loss, abs=6e-4)


def test_binary_cross_entropy_stops_at_100(engine):
    assert nn.binary_cross_entropy(engine.tensor([0.0]), engine.tensor([1.0])).item() == pytest.approx(100.0)


def test_squared_errors_of_houses(engine):
    errors = [nn.mse_loss(engine.tensor([price]), engine.tensor([300.0])).item() for price in (250.0, 290.0)]
    assert errors == [2500.0, 100.0]  # five times the error, twenty-five times the loss


# ----------------------------------------------------------------------------------------------------------------------
# Verdicts.


def test_the_two_curves_of_the_texts():
    assert nn.diagnose([3.2, 2.1, 1.4, 0.9, 0.5, 0.3]).name == "just right"
    swinging = nn.diagnose([3.2, 0.1, 3.8, 0.2, 4.1, 0.15])
    assert swinging.name == "too high"
    assert "swings" in swinging.reason


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([1.0, 0.99, 0.98, 0.97, 0.96], "too low"),
        ([1.0, 1.0, 1.0, 1.0], "too low"),
        ([1.0, 5.0, 4.0, 6.0, 5.0], "too high"),
        ([1.0, 30.0, 1e9, 1e30], "diverged"),
        ([1.0, 0.5, math.nan, math.nan], "diverged"),
        ([1.0, 0.5, math.inf, 0.1], "diverged"),
        ([1.0, math.inf], "diverged"),
        ([1e-3, 1.0, 1e2, 1e5, 1e5], "diverged"),
        ([1.0, 0.3, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05], "just right"),
        ([1.0, 0.5, 0.52, 0.5, 0.52, 0.5, 0.52, 0.5], "just right"),  # it swings, but only a little
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.0, 0.4], "too low"),  # one large step back is no swinging
        ([1.0, 0.1, 0.1, 0.6, 1.1, 1.6, 1.1, 0.6, 0.1, 0.1, 0.1, 0.1], "just right"),  # a slow wave undoes no step
    ],
)
def test_verdicts_on_single_curves(losses, verdict):
    assert nn.diagnose(losses).name == verdict


def test_verdicts_in_a_sweep_compare_with_the_best():
    flat = [1.0, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    best = [1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    verdicts = nn.diagnose_sweep({0.01: flat, 0.1: best, 1.0: flat, 10.0: [1.0, 1e9, math.inf, math.nan]})
    assert [verdict.name for verdict in verdicts.values()] == ["too low", "just right", "too high", "diverged"]


# ----------------------------------------------------------------------------------------------------------------------
# Weights.


@pytest.mark.parametrize(("source", "destination"), [(micro, fast), (fast, micro), (fast, fast)])
def test_weights_move_between_engines(tmp_path, source, destination):
    original = small(source, dtype="float64")
    copy = nn.MLP([1, 4, 1], "tanh", engine=destination, seed=99, dtype="float64")
    path = nn.save_weights(original, tmp_path / "new folder" / "weights.safetensors")
    nn.load_weights(copy, path)
    np.testing.assert_allclose(nn.predict(copy, X), nn.predict(original, X), rtol=1e-14)
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    model = small()
    before = model.state_dict()
    state = {**before, "0.weight": np.zeros((2, 2)), "extra": np.zeros(1)}
    del state["2.bias"]
    with pytest.raises(ValueError, match=r"2\.bias is missing; extra is unknown; 0\.weight has shape \(2, 2\)"):
        model.load_state_dict(state)
    (tmp_path / "broken").write_bytes(b"not a safetensors file")
    refused = {**before, "2.bias": np.array(["text"])}
    with pytest.raises(ValueError, match="bias holds <U4"):
        model.load_state_dict(refused)
    with pytest.raises(ValueError, match="broken is not a whole safetensors file"):
        nn.load_weights(model, tmp_path / "broken")
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(small(), nn.ReLU())
    assert not any(module.training for module in (model.eval(), *model._modules.values()))
    assert all(module.training for module in (model.train(), *model._modules.values()))


def test_answers_and_validation_are_computed_in_evaluation_mode_and_without_a_graph():
    seen = []

    class Witness(nn.Module):
        def forward(self, x):
            seen.append((self.training, (x * 1.0).parents == (), np.geterr()["over"]))
            return x

    model = nn.Sequential(Witness(), small())
    nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters()), 1, validation=(X, Y))
    nn.predict(model, X)
    assert seen == [(True, True, "ignore"), (False, True, "ignore"), (False, True, "ignore")]


def test_predict_leaves_the_mode_as_it_was():
    model = small()
    nn.predict(model.train(), X)
    assert model.training
    nn.predict(model.eval(), X)
    assert not model.training


def test_predict_in_batches_equals_predict_at_once(engine):
    model = small(engine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at_once, in_batches = nn.predict(model, X), nn.predict(model, X, batch_size=5)
    np.testing.assert_allclose(in_batches, at_once, rtol=1e-6)  # BLAS adds in an order that depends on the shapes
    assert nn.predict(model, X).shape == (16, 1)
