"""Checkpoints: what is killed at any moment goes on to the same end, bit for bit; what does not fit is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from test_twins import OPTIMIZERS

import fast
import micro
import nn

HERE = Path(__file__).parent
X = np.linspace(-1, 1, 12).reshape(-1, 1)
Y = np.tanh(2 * X)


def small(engine=fast, activation="tanh", width=4):
    return nn.MLP([1, width, 1], activation, engine=engine, seed=0)


def train(epochs, *, model=None, optimizer=nn.Adam, callbacks=lambda optimizer: [], **settings):
    """Weights and losses after training from the start, or from `resume`."""
    model = model or small()
    made = optimizer(model.parameters())
    settings = {"batch_size": 5, "seed": 3, **settings}
    history = nn.fit(model, (X, Y), nn.mse_loss, made, epochs, callbacks=callbacks(made), **settings)
    weights = b"".join(array.tobytes() for array in model.state_dict().values())
    return weights, history.step_loss, history.loss, history.validation_loss


@pytest.fixture
def path(tmp_path):
    train(2, callbacks=lambda _: [nn.Checkpoint(tmp_path / "run.safetensors")])
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize("engine", [micro, fast])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the lives of the run are forked")
def test_killed_at_random_moments_it_ends_with_the_same_bits(engine, tmp_path):
    script, name = HERE / "killed_training.py", engine.__name__
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    told = subprocess.run(
        [sys.executable, script, name, tmp_path, "25"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 0, told.stderr
    alone, killed, begun = json.loads(told.stdout)
    assert killed == alone
    assert begun == sorted(begun)
    assert len(begun) > 5
    assert len(set(begun)) > 2  # several lives began where one before had been killed


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on(name, tmp_path):
    path = tmp_path / "run.safetensors"
    settings = {"optimizer": OPTIMIZERS[name], "validation": (X, Y)}
    train(2, callbacks=lambda _: [nn.Checkpoint(path)], **settings)
    assert train(5, resume=path, **settings) == train(5, **settings)


SCHEDULES = {
    "OneCycleLR": lambda o: nn.OneCycleLR(o, 0.05, 15),
    "SequentialLR": lambda o: nn.SequentialLR(o, [nn.LinearLR(o), nn.CosineAnnealingLR(o, 10)], milestones=[4]),
    "ReduceLROnPlateau": lambda o: nn.ReduceLROnPlateau(o, patience=1, threshold=0.5, cooldown=1),
}


@pytest.mark.parametrize("every", ["step", "epoch"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_on(name, every, tmp_path):
    path = tmp_path / "run.safetensors"

    def scheduled(o):
        return [nn.Schedule(SCHEDULES[name](o), every)]

    train(2, callbacks=lambda o: [nn.Checkpoint(path), *scheduled(o)])
    assert train(5, callbacks=scheduled, resume=path) == train(5, callbacks=scheduled)


def test_every_moment_is_one_to_go_on_from(engine, tmp_path):
    class Kept(nn.Checkpoint):
        def on_step_end(self, run):
            super().on_step_end(run)
            path.replace(tmp_path / str(len(run.history.step_loss)))

    path = tmp_path / "run.safetensors"
    model = small(engine)
    end = train(3, model=model, callbacks=lambda _: [Kept(path, unit="step")], shuffle=True)
    for steps in range(1, 10):
        assert train(3, model=small(engine), resume=tmp_path / str(steps)) == end


def test_early_stopping_remembers_its_best_weights(tmp_path):
    def run(epochs, *more, resume=None):
        model = small()
        stopping = nn.EarlyStopping("loss", patience=2, min_delta=0.01)
        sgd = nn.SGD(model.parameters(), lr=0.1)
        history = nn.fit(model, (X, Y), nn.mse_loss, sgd, epochs, callbacks=[*more, stopping], resume=resume)
        return [array.tolist() for array in model.state_dict().values()], history.stopped, history.best_epoch

    path = tmp_path / "run.safetensors"
    end = run(50)
    assert "whose weights were restored" in end[1]
    length = int(end[2]) + 1
    run(length, nn.Checkpoint(path))  # one epoch after the best
    assert run(50, resume=path) == end
    run(50, nn.Checkpoint(path, every=1000))  # the last epoch is kept in any case
    assert run(50, resume=path) == end


def test_without_shuffling_and_with_another_generator(tmp_path):
    path = tmp_path / "run.safetensors"
    for settings in ({"shuffle": False}, {"seed": lambda: np.random.Generator(np.random.MT19937(5))}):
        made = {name: value() if callable(value) else value for name, value in settings.items()}
        train(1, callbacks=lambda _: [nn.Checkpoint(path)], **made)
        made = {name: value() if callable(value) else value for name, value in settings.items()}
        again = {name: value() if callable(value) else value for name, value in settings.items()}
        assert train(3, resume=path, **made) == train(3, **again)


def test_a_file_every_so_often(tmp_path):
    class Moments(nn.Checkpoint):
        def _write(self, run):
            moments.append((len(run.history.loss), len(run.history.step_loss)))
            super()._write(run)

    moments = []
    train(5, callbacks=lambda _: [Moments(tmp_path / "a", every=2)])
    assert moments == [(2, 6), (4, 12), (5, 15)]
    moments.clear()
    train(2, callbacks=lambda _: [Moments(tmp_path / "a", every=4, unit="step")])
    assert moments == [(1, 4), (2, 6)]
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_file_that_could_not_be_written_leaves_the_one_before(path, monkeypatch):
    def full_disk(arrays, path, metadata):
        Path(path).write_bytes(b"half of a fi")
        raise OSError("no space left")

    before = path.read_bytes()
    monkeypatch.setattr(nn.checkpoints, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        train(1, callbacks=lambda _: [nn.Checkpoint(path)])
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_divergence_leaves_the_last_good_file(tmp_path):
    path = tmp_path / "run.safetensors"
    model = small()
    sgd = nn.SGD(model.parameters(), lr=1e4)
    with pytest.warns(nn.DivergenceWarning):
        history = nn.fit(model, (X, Y), nn.mse_loss, sgd, 50, callbacks=[nn.Checkpoint(path)])
    kept = load_file(path)
    assert len(kept["history.loss"]) == len(history.loss) - 1
    assert all(np.isfinite(array).all() for array in kept.values())
    good = small()
    with pytest.warns(nn.DivergenceWarning):
        again = nn.fit(good, (X, Y), nn.mse_loss, nn.SGD(good.parameters(), lr=1e4), 50, resume=path)
    np.testing.assert_array_equal(again.step_loss, history.step_loss)


# ----------------------------------------------------------------------------------------------------------------------
# Files that are refused.


def refused(path, message, *, error=ValueError, model=None, optimizer=nn.Adam, **settings):
    model = model or small()
    before, made = model.state_dict(), optimizer(model.parameters())
    with pytest.raises(error, match=message):
        nn.fit(model, (X, Y), nn.mse_loss, made, 3, **{"batch_size": 5, "seed": 3, "resume": path, **settings})
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    assert made.state == {}


def test_truncated_and_damaged_files(path):
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "is not a whole safetensors file")
    random = np.random.default_rng(0)
    for place in [*range(8), *random.integers(8, len(whole), 200), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        refused(path, r"is not a whole safetensors file|is damaged|needed is 'twograd checkpoint 1'")
    path.write_bytes(whole)
    train(3, resume=path)


def test_foreign_files(path, tmp_path):
    refused(tmp_path / "nothing", "is no file; leave resume out", error=FileNotFoundError)
    refused(3, "resume=3; give the file", error=TypeError)
    (tmp_path / "text").write_text("a text")
    refused(tmp_path / "text", "is not a whole safetensors file")
    refused(nn.save_weights(small(), tmp_path / "weights"), "without a training run, such as nn.save_weights")
    save_file({"a": np.zeros(3)}, tmp_path / "later", {"format": "twograd checkpoint 2"})
    refused(tmp_path / "later", "twograd checkpoint 2; needed is 'twograd checkpoint 1'")


def test_checkpoints_of_another_run(path):
    refused(path, r"model: 0\.weight is float32 \(4, 1\) there, float32 \(5, 1\) here", model=small(width=5))
    refused(path, "model: layers is .*Tanh.* there, .*ReLU.* here", model=small(activation="relu"))
    deeper = nn.MLP([1, 4, 4, 1], "tanh", engine=fast, seed=0)
    refused(path, r"4\.weight is None there, float32 \(1, 4\) here", model=deeper)
    refused(path, "optimizer: kind is Adam there, SGD here", optimizer=nn.SGD)
    refused(path, "fit: batch_size is 5 there, 4 here", batch_size=4)
    refused(path, "fit: accumulate is 1 there, 2 here", accumulate=2)
    refused(path, "fit: random is PCG64 there, None here", shuffle=False)
    stopping = [nn.EarlyStopping("loss")]
    refused(path, "callbacks: 0 is None there, EarlyStopping here", callbacks=stopping)


def test_micro_goes_on_where_fast_stopped_in_float64(tmp_path):
    def build(engine):
        return nn.MLP([1, 4, 1], "tanh", engine=engine, seed=0, dtype="float64")

    path = tmp_path / "run.safetensors"
    train(2, model=build(fast), callbacks=lambda _: [nn.Checkpoint(path)])
    here = train(4, model=build(micro), resume=path)
    np.testing.assert_allclose(here[1], train(4, model=build(fast))[1], rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": 3}, TypeError, "Checkpoint: path=3; give the name of a file"),
        ({"path": HERE}, ValueError, "is a folder; give a file in it"),
        ({"path": "a", "every": 0}, ValueError, "Checkpoint: every=0; give a whole number"),
        ({"path": "a", "unit": "batch"}, ValueError, 'Checkpoint: unit=\'batch\'; use "epoch" or "step"'),
    ],
)
def test_settings_that_cannot_be(settings, error, message):
    with pytest.raises(error, match=message):
        nn.Checkpoint(**settings)
