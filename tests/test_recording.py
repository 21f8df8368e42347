"""What is recorded inside a network: against a pass by hand, finite differences, and hand-written updates."""

import warnings

import numpy as np
import pytest

import fast
import micro
import nn

X = np.random.default_rng(0).normal(size=(7, 2))
Y = np.sin(X[:, :1])


def mlp(engine):
    return nn.MLP([2, 3, 1], "tanh", engine=engine, seed=0, dtype="float64")


def test_outputs_are_those_of_each_layer(engine):
    network = mlp(engine)
    record = nn.record_activations(network, X)
    state = network.state_dict()
    first = X @ state["0.weight"].T + state["0.bias"]
    last = np.tanh(first) @ state["2.weight"].T + state["2.bias"]
    assert list(record.outputs) == ["0 Linear", "1 Tanh", "2 Linear"]
    for name, expected in zip(record.outputs, (first, np.tanh(first), last), strict=True):
        np.testing.assert_allclose(record.outputs[name], expected, rtol=1e-12)
    assert record.gradients == record.parameter_gradients == {}


def test_gradients_are_those_of_the_loss(engine):
    network = mlp(engine)
    record = nn.record_activations(network, X, Y, nn.mse_loss)
    state = network.state_dict()
    hidden = np.tanh(record.outputs["0 Linear"])
    last = 2 * (record.outputs["2 Linear"] - Y) / len(X)
    expected = {"2 Linear": last, "1 Tanh": last @ state["2.weight"]}
    expected["0 Linear"] = expected["1 Tanh"] * (1 - hidden**2)
    assert list(record.gradients) == list(record.outputs)
    for name, gradient in expected.items():
        np.testing.assert_allclose(record.gradients[name], gradient, rtol=1e-10)
    np.testing.assert_allclose(record.parameter_gradients["0.weight"], expected["0 Linear"].T @ X, rtol=1e-10)
    np.testing.assert_allclose(record.parameter_gradients["2.bias"], last.sum(axis=0), rtol=1e-10)


def test_the_recorded_model_stays_as_it_is(engine):
    network = nn.Sequential(
        nn.Linear(2, 3, engine=engine, seed=0), nn.BatchNorm1d(3, engine=engine), nn.Dropout(0.5, seed=0)
    )

    def everything():
        gradients = [None if p.grad is None else np.array(p.grad).tobytes() for p in network.parameters()]
        state = {name: array.tobytes() for name, array in network.state_dict().items()}
        forwards = ["forward" in vars(module) for module in network.modules()]
        return state, gradients, network[2].calls, forwards, [module.training for module in network.modules()]

    before = everything()
    for _ in range(2):
        nn.record_activations(network, X, np.zeros((7, 3)), nn.mse_loss)
        assert everything() == before
    nn.mse_loss(network(engine.tensor(X, network[0].weight.dtype)), engine.zeros(7, 3)).backward()
    before = everything()
    record = nn.record_activations(network, X, np.zeros((7, 3)), nn.mse_loss)
    assert everything() == before
    network.zero_grad()  # whose gradients must not have been added to
    fresh = nn.record_activations(network, X, np.zeros((7, 3)), nn.mse_loss).parameter_gradients
    assert all((record.parameter_gradients[name] == fresh[name]).all() for name in fresh)
    training = record.outputs["2 Dropout"]
    assert 0 < np.mean(training == 0) < 1
    assert nn.record_activations(network.eval(), X).outputs["2 Dropout"].all()


class Twice(nn.Module):
    """A module whose parts are called again, and one of them not at all."""

    def __init__(self, engine):
        super().__init__()
        self.linear = nn.Linear(2, 2, engine=engine, seed=0, dtype="float64")
        self.unused = nn.Linear(2, 2, engine=engine, seed=1, dtype="float64")
        self.inner = nn.Sequential(nn.Tanh())

    def forward(self, x):
        return self.inner(self.linear(self.inner(self.linear(x)))) * 2


def test_a_layer_that_is_called_again_has_a_second_entry(engine):
    record = nn.record_activations(Twice(engine), X, X, nn.mse_loss)
    names = ["linear Linear", "inner.0 Tanh", "linear Linear (2)", "inner.0 Tanh (2)", "Twice"]
    assert list(record.outputs) == list(record.gradients) == names
    np.testing.assert_allclose(record.outputs["Twice"], 2 * record.outputs["inner.0 Tanh (2)"])
    np.testing.assert_allclose(record.gradients["inner.0 Tanh (2)"], 2 * record.gradients["Twice"])


def test_a_recurrent_layer_is_recorded_without_its_state(engine):
    network = nn.Sequential(nn.LSTM(2, 3, engine=engine, seed=0), nn.LastStep())
    outputs = nn.record_activations(network, X[None]).outputs
    assert {name: array.shape for name, array in outputs.items()} == {"0 LSTM": (1, 7, 3), "1 LastStep": (1, 3)}


def test_a_layer_before_all_parameters_has_a_gradient_too(engine):
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, engine=engine, seed=0, dtype="float64"))
    record = nn.record_activations(network, X[:, :, None], Y, nn.mse_loss)
    expected = record.gradients["1 Linear"] @ network.state_dict()["1.weight"]
    np.testing.assert_allclose(record.gradients["0 Flatten"], expected)
    words = nn.Sequential(nn.Embedding(5, 2, engine=engine, seed=0), nn.Flatten())
    assert list(nn.record_activations(words, [[1], [4]], np.eye(2), nn.mse_loss).gradients) == [
        "0 Embedding",
        "1 Flatten",
    ]


def test_engines_record_the_same():
    records = [nn.record_activations(mlp(engine), X, Y, nn.mse_loss) for engine in (micro, fast)]
    for mine, other in zip(*records, strict=True):
        assert list(mine) == list(other)
        for name in mine:
            np.testing.assert_allclose(mine[name], other[name], rtol=1e-9, atol=1e-15)


def test_recordings_that_cannot_be():
    with pytest.raises(ValueError, match="give both y and loss"):
        nn.record_activations(mlp(fast), X, Y)
    with pytest.raises(ValueError, match="record_activations: x has nan"):
        nn.record_activations(mlp(fast), X * np.nan)
    with pytest.raises(TypeError, match="is not a model"):
        nn.record_activations(X, X)


# ----------------------------------------------------------------------------------------------------------------------
# Callbacks.


def noisy(engine):
    """A network with everything in it that a look could disturb."""
    shared = {"engine": engine, "seed": 0}
    return nn.Sequential(
        nn.Linear(2, 3, **shared), nn.BatchNorm1d(3, engine=engine), nn.Dropout(0.5, seed=0), nn.Linear(3, 1, **shared)
    )


def fitted(model, *callbacks, epochs=4, **settings):
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return nn.fit(model, (X, Y), nn.mse_loss, optimizer, epochs, 3, drop_last=True, callbacks=callbacks, **settings)


def same(one, other):
    """Whether two records, or two states, are equal bit for bit."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_activations_are_those_before_training_and_after_epochs(engine):
    model, recorder, snapshots = noisy(engine), nn.RecordActivations(X, Y, nn.mse_loss, stride=2), nn.Snapshots()
    fitted(model, recorder, snapshots)
    assert list(recorder.records) == [0, 2, 4]
    for epoch, record in recorder.records.items():
        model.load_state_dict(snapshots.states[epoch])
        model[2].calls = 2 * epoch  # two batches each
        for recorded, now in zip(record, nn.record_activations(model, X, Y, nn.mse_loss), strict=True):
            assert recorded
            assert same(recorded, now)


def test_activations_after_steps_and_without_gradients(engine):
    recorder = nn.RecordActivations(X, every="step")
    fitted(noisy(engine), recorder, epochs=2)
    assert list(recorder.records) == list(range(5))
    assert all(record.gradients == record.parameter_gradients == {} for record in recorder.records.values())


@pytest.mark.parametrize("every", ["epoch", "step"])
def test_training_goes_on_as_if_nobody_had_looked(engine, every):
    watched, alone, gradients = noisy(engine), noisy(engine), {}

    class Gradients(nn.Callback):
        def on_epoch_end(self, run):
            gradients[run.model] = [np.array(p.grad) for p in run.model.parameters()]

    histories = [
        fitted(watched, nn.RecordActivations(X, Y, nn.mse_loss, every=every), Gradients()),
        fitted(alone, Gradients()),
    ]
    assert histories[0].step_loss == histories[1].step_loss
    assert same(watched.state_dict(), alone.state_dict())  # the running means of batch normalisation too
    assert watched[2].calls == alone[2].calls
    assert all(np.array_equal(p, q) for p, q in zip(*gradients.values(), strict=True))


def test_activations_are_those_of_training_whatever_the_mode_before(engine):
    recorder = nn.RecordActivations(X)
    fitted(noisy(engine).eval(), recorder, epochs=1)
    assert 0 < np.mean(recorder.records[0].outputs["2 Dropout"] == 0) < 1


def test_a_resumed_training_is_recorded_further(engine, tmp_path):
    whole, recorder = nn.RecordActivations(X), nn.RecordActivations(X)
    fitted(noisy(engine), whole)
    path = tmp_path / "run.safetensors"
    fitted(noisy(engine), nn.Checkpoint(path), recorder, epochs=2)
    fitted(noisy(engine), recorder, resume=path)
    assert list(recorder.records) == [0, 1, 2, 3, 4]
    assert all(same(record.outputs, whole.records[epoch].outputs) for epoch, record in recorder.records.items())
    fitted(noisy(engine), recorder, epochs=1)
    assert list(recorder.records) == [0, 1]  # another training begins anew


def test_activations_of_a_training_that_diverges(engine):
    model, recorder = mlp(engine), nn.RecordActivations(X, Y, nn.mse_loss)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)
        nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters(), lr=1e200), 5, callbacks=[recorder])
    assert not all(np.isfinite(array).all() for array in recorder.records[max(recorder.records)].gradients.values())


def test_activations_that_cannot_be():
    with pytest.raises(ValueError, match=r"RecordActivations: gradients need .* give both y and loss"):
        nn.RecordActivations(X, Y)
    with pytest.raises(ValueError, match=r"RecordActivations: gradients need .* give both y and loss"):
        nn.RecordActivations(X, loss=nn.mse_loss)
    with pytest.raises(TypeError, match="RecordActivations: loss='mse' is not a function"):
        nn.RecordActivations(X, Y, "mse")
    with pytest.raises(ValueError, match="RecordActivations: x has nan"):
        nn.RecordActivations(X * np.nan)
    with pytest.raises(ValueError, match="RecordActivations: every='batch'"):
        nn.RecordActivations(X, every="batch")
    with pytest.raises(ValueError, match="RecordActivations: stride=0"):
        nn.RecordActivations(X, stride=0)
    model = mlp(fast)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"linear: x has shape \(2, 3\)"):  # before anything is trained
        fitted(model, nn.RecordActivations(np.ones((2, 3))))
    assert same(model.state_dict(), before)


def test_update_ratios_of_gradient_descent(engine):
    network, watched = mlp(engine), mlp(engine)
    ratios = nn.UpdateRatios()
    nn.fit(watched, (X, Y), nn.mse_loss, nn.SGD(watched.parameters(), lr=0.3), 3, shuffle=False, callbacks=[ratios])
    assert list(ratios.ratios) == ["0.weight", "2.weight"]
    for step in range(3):
        gradients = nn.record_activations(network, X, Y, nn.mse_loss).parameter_gradients
        state = network.state_dict()
        for name, recorded in ratios.ratios.items():
            expected = 0.3 * gradients[name].std() / state[name].std()
            assert recorded[step] == pytest.approx(expected, rel=1e-9)
        network.load_state_dict({name: array - 0.3 * gradients[name] for name, array in state.items()})


def test_update_ratios_where_nothing_can_be_compared(engine):
    network, ratios = mlp(engine), nn.UpdateRatios()
    network[0].weight.copy_(np.ones((3, 2)))
    optimizer = nn.SGD([network[0].weight], lr=0.1)
    nn.fit(network, (X, Y), nn.mse_loss, optimizer, 1, callbacks=[ratios])
    assert np.isnan(ratios.ratios["0.weight"]).all()
    assert ratios.ratios["2.weight"] == [0.0]  # which this optimizer does not move


def test_update_ratios_of_a_training_that_diverges():
    network, ratios = mlp(fast), nn.UpdateRatios()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)
        history = nn.fit(network, (X, Y), nn.mse_loss, nn.SGD(network.parameters(), lr=1e30), 50, callbacks=[ratios])
    assert len(ratios.ratios["0.weight"]) == history.diverged_at


def test_snapshots_before_training_and_after_epochs(engine):
    network, snapshots, begin = mlp(engine), nn.Snapshots(stride=2), mlp(engine).state_dict()
    nn.fit(network, (X, Y), nn.mse_loss, nn.SGD(network.parameters(), lr=0.1), 5, 3, callbacks=[snapshots])
    assert list(snapshots.states) == [0, 2, 4]
    assert all((snapshots.states[0][name] == begin[name]).all() for name in begin)
    again = mlp(engine)
    nn.fit(again, (X, Y), nn.mse_loss, nn.SGD(again.parameters(), lr=0.1), 4, 3)
    assert all((snapshots.states[4][name] == array).all() for name, array in again.state_dict().items())
    steps = nn.Snapshots("step")
    nn.fit(network, (X, Y), nn.mse_loss, nn.SGD(network.parameters(), lr=0.1), 2, 3, callbacks=[steps])
    assert list(steps.states) == list(range(7))
    assert not np.array_equal(steps.states[5]["0.weight"], steps.states[6]["0.weight"])


def test_predictors_answer_as_the_model_did(engine):
    network, snapshots, answers = mlp(engine), nn.Snapshots(), []

    class Ask(nn.Callback):
        def on_epoch_end(self, run):
            answers.append(nn.predict(run.model, X))

    optimizer = nn.SGD(network.parameters(), lr=0.1)
    nn.fit(network, (X, Y), nn.mse_loss, optimizer, 3, callbacks=[snapshots, Ask()])
    final = network.state_dict()
    found = nn.predictors(network, snapshots.states)
    assert list(found) == [0, 1, 2, 3]
    for epoch in (1, 2, 3):
        np.testing.assert_array_equal(found[epoch](X), answers[epoch - 1])
    assert all((network.state_dict()[name] == array).all() for name, array in final.items())


def test_snapshots_that_cannot_be():
    with pytest.raises(ValueError, match="every='batch'"):
        nn.Snapshots("batch")
    with pytest.raises(ValueError, match="stride=0"):
        nn.Snapshots(stride=0)
