"""What surrounds the loop: early stopping, metrics, penalties, accumulated batches, sample weights, Ctrl-C."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fast
import nn

X = np.random.default_rng(0).normal(size=(46, 3))
Y = np.tanh(X[:, :1] - X[:, 1:2])


def small(engine=fast, outputs=1):
    return nn.MLP([3, 4, outputs], "tanh", engine=engine, seed=0, dtype="float64")


def train(epochs, *, engine=fast, data=(X, Y), loss=nn.mse_loss, optimizer=nn.SGD, model=None, **settings):
    model = model or small(engine)
    history = nn.fit(model, data, loss, optimizer(model.parameters(), lr=0.05), epochs, **settings)
    return history, model.state_dict()


def assert_alike(first, second, rtol=1e-11):
    """Two results of `train` with equal losses and weights, up to rounding."""
    np.testing.assert_allclose(first[0].step_loss, second[0].step_loss, rtol=rtol)
    for name, array in first[1].items():
        np.testing.assert_allclose(array, second[1][name], rtol=rtol, atol=1e-13)


# ----------------------------------------------------------------------------------------------------------------------
# Metrics, and early stopping by them.


def test_metrics_after_every_epoch(engine):
    held_out, seen = (X[:7], Y[:7]), []

    def largest_error(y_true, y_pred):
        seen.append((y_true.shape, y_pred.shape, type(y_true), type(y_pred)))
        return np.abs(y_true - y_pred).max()

    model = small(engine)
    metrics = {"largest error": largest_error, "mse": lambda t, p: ((t - p) ** 2).mean()}
    history, _ = train(3, model=model, validation=held_out, metrics=metrics, batch_size=3)
    assert seen == [((7,), (7,), np.ndarray, np.ndarray)] * 3
    assert history.metrics["mse"] == pytest.approx(history.validation_loss, rel=1e-12)
    assert history.metrics["largest error"][-1] == pytest.approx(np.abs(nn.predict(model, held_out[0]) - Y[:7]).max())
    assert all(type(number) is float for curve in history.metrics.values() for number in curve)


class Weights(nn.Callback):
    def __init__(self):
        self.of_epochs = []

    def on_epoch_end(self, run):
        self.of_epochs.append(run.model.state_dict())


def stop_by(numbers, *, epochs=None, **settings):
    """Train while a metric takes these values; the history, and the epoch whose weights the model has at the end."""
    told, weights = iter(numbers), Weights()
    stopping = nn.EarlyStopping("score", **{"mode": "min", **settings})
    history, end = train(
        epochs or len(numbers),
        validation=(X, Y),
        metrics={"score": lambda t, p: next(told)},
        callbacks=[weights, stopping],
    )
    same = [np.array_equal(end["0.weight"], state["0.weight"]) for state in weights.of_epochs]
    return history, same.index(True) + 1


@pytest.mark.parametrize(
    ("numbers", "settings", "stopped", "best", "ends_with"),
    [
        (
            [3, 2, 1, 2, 2, 2],
            {"patience": 2},
            "score has not improved for 2 epochs; the best, 1, came in epoch 3, ",
            3,
            3,
        ),
        ([3, 1, 3, 3], {"patience": 1, "restore_best": False}, "for 1 epoch; the best, 1, came in epoch 2", 2, 3),
        ([1, 2, 3, 2, 2], {"patience": 2, "mode": "max"}, "for 2 epochs; the best, 3, came in epoch 3, ", 3, 3),
        (
            [3, 2.5, 2.4, 1],
            {"patience": 2, "min_delta": 1},
            "by more than 1 for 2 epochs; the best, 3, came in epoch 1",
            1,
            1,
        ),
        ([3, 2.5, 1.9, 1.8], {"patience": 2, "min_delta": 1}, "", 3, 3),  # slow steps add up
        ([3, 2, 1, 2], {"patience": 2}, "", 3, 3),  # the best weights, although it was not stopped
        ([1, math.nan, math.nan, 0], {"patience": 2}, "the best, 1, came in epoch 1", 1, 1),
        ([math.nan, math.nan, 0], {"patience": 2}, "for 2 epochs, nor ever before", None, 2),
        ([1, 1, 1, 1], {"patience": 3}, "for 3 epochs; the best, 1, came in epoch 1", 1, 1),  # equal is no better
    ],
)
def test_early_stopping(numbers, settings, stopped, best, ends_with):
    history, end = stop_by(numbers, **settings)
    assert stopped in history.stopped
    assert (history.best_epoch, end) == (best, ends_with)
    assert ("whose weights were restored" in history.stopped) == (
        bool(history.stopped) and best is not None and settings.get("restore_best", True)
    )
    assert bool(history.stopped) == bool(stopped)


def test_early_stopping_watches_losses_by_itself(engine):
    history, _ = train(60, engine=engine, validation=(X[:5], -Y[:5]), callbacks=[nn.EarlyStopping(patience=3)])
    assert history.best_epoch == int(np.argmin(history.validation_loss)) + 1 == len(history.loss) - 3
    assert history.stopped.startswith("validation loss has not improved for 3 epochs; the best, ")


def test_an_early_stopping_can_be_used_again():
    stopping = nn.EarlyStopping("loss", patience=3)
    for _ in range(2):
        history, _ = train(5, callbacks=[stopping])
        assert (history.best_epoch, history.stopped) == (5, "")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.EarlyStopping("score"), ValueError, r"EarlyStopping: mode=None for monitor='score'; give mode="),
        (lambda: nn.EarlyStopping("loss", mode="up"), ValueError, r"EarlyStopping: mode='up'"),
        (lambda: nn.EarlyStopping(patience=0), ValueError, r"EarlyStopping: patience=0; give a whole number"),
        (lambda: nn.EarlyStopping(min_delta=-1), ValueError, r"EarlyStopping: min_delta=-1"),
        (
            lambda: train(1, callbacks=[nn.EarlyStopping()]),
            ValueError,
            r"monitor='validation_loss' is not measured, only",
        ),
        (lambda: train(1, metrics={"a": max}), ValueError, r"metrics=\['a'\] are computed on the validation data"),
        (
            lambda: train(1, metrics="acuracy"),
            ValueError,
            r"fit: the metric 'acuracy' is unknown; give a function, or one",
        ),
        (lambda: train(1, penalty=1e-4), TypeError, r"penalty=0\.0001; give a function of the parameters"),
        (lambda: train(1, accumulate=0), ValueError, r"accumulate=0; give a whole number"),
        (lambda: train(1, sample_weight=[1.0]), ValueError, r"sample_weight has shape \(1,\); give \(46,\)"),
        (
            lambda: train(1, sample_weight=-np.ones(46)),
            ValueError,
            r"sample_weight holds -1\.0 in row 0; give 0 or more",
        ),
        (lambda: train(1, sample_weight=[math.nan] * 46), ValueError, r"sample_weight has nan in row 0"),
        (
            lambda: train(1, loss=lambda p, t: nn.mse_loss(p, t), sample_weight=[1] * 46),
            TypeError,
            "takes no sample_weight",
        ),
    ],
)
def test_settings_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ----------------------------------------------------------------------------------------------------------------------
# What is made small: penalties, weights, several batches at once.


def test_an_l2_penalty_is_a_weight_decay(engine):
    penalised = train(4, engine=engine, batch_size=20, penalty=lambda parameters: 0.05 * nn.l2_penalty(parameters))
    assert_alike(penalised, train(4, engine=engine, batch_size=20, optimizer=partial(nn.SGD, weight_decay=0.1)))


def test_an_l1_penalty_pulls_by_the_sign(engine):
    before = small(engine).state_dict()
    plain, penalised = [
        train(1, engine=engine, penalty=penalty)
        for penalty in (None, lambda parameters: 0.3 * nn.l1_penalty(parameters))
    ]
    for name, array in penalised[1].items():
        np.testing.assert_allclose(array, plain[1][name] - 0.05 * 0.3 * np.sign(before[name]), rtol=1e-12)
    assert penalised[0].step_loss == plain[0].step_loss  # told without the penalty


def test_a_penalty_that_is_no_number_is_divergence():
    with pytest.warns(nn.DivergenceWarning, match="diverged at step 0: the loss became inf"):
        train(2, penalty=lambda parameters: nn.l2_penalty(parameters) * math.inf)


@pytest.mark.parametrize("size", [4, 5, 46])
def test_accumulated_batches_are_one(engine, size):
    """46 rows: the last group is incomplete, and so is its last batch."""
    settings = {"engine": engine, "seed": 5, "optimizer": partial(nn.Adam)}
    settings["penalty"] = lambda parameters: 0.01 * nn.l2_penalty(parameters)
    parts, whole = train(3, batch_size=size, accumulate=3, **settings), train(3, batch_size=3 * size, **settings)
    assert len(parts[0].step_loss) == 3 * math.ceil(46 / (3 * size))
    assert_alike(parts, whole)
    np.testing.assert_allclose(parts[0].loss, whole[0].loss, rtol=1e-12)


def test_callbacks_see_the_gradient_of_all_accumulated_batches():
    norms = [nn.ClipGradNorm(math.inf) for _ in range(2)]
    train(1, batch_size=10, accumulate=2, callbacks=norms[:1])
    train(1, batch_size=20, callbacks=norms[1:])
    assert norms[0].norms == pytest.approx(norms[1].norms, rel=1e-12)
    assert len(norms[0].norms) == 3


@pytest.mark.parametrize("loss", [nn.mse_loss, nn.huber_loss, nn.cross_entropy])
def test_samples_weigh_as_if_they_came_several_times(engine, loss):
    often = np.arange(46) % 3
    y = np.arange(46) % 2 if loss is nn.cross_entropy else np.hstack([Y, -Y])
    weighted = train(
        5, data=(X, y), loss=loss, model=small(engine, 2), sample_weight=often / often.mean(), shuffle=False
    )
    repeated = (X.repeat(often, 0), y.repeat(often, 0))
    assert_alike(weighted, train(5, data=repeated, loss=loss, model=small(engine, 2), shuffle=False))


def test_weights_stay_with_their_samples(engine):
    """Samples that weigh nothing are as good as not there, in whichever batch they come."""
    wrong = np.where(np.arange(46)[:, None] < 10, 1e3, Y)
    weights = (np.arange(46) >= 10) * 1.0
    runs = [
        train(3, engine=engine, data=(X, y), sample_weight=weights, batch_size=7, accumulate=2, validation=(X, Y))
        for y in (Y, wrong)
    ]
    assert_alike(*runs)
    assert runs[0][0].validation_loss == pytest.approx(runs[1][0].validation_loss)


def test_class_weights_find_the_rare_class():
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3)) + np.where(np.arange(300) < 20, 1.0, 0.0)[:, None]
    y = (np.arange(300) < 20) * 1
    found = []
    for weight in (None, [1, 14]):
        model = small(outputs=2)
        train(60, model=model, data=(x, y), loss=partial(nn.cross_entropy, weight=weight), batch_size=50)
        found.append((nn.predict(model, x).argmax(1)[:20] == 1).mean())
    assert found[0] < 0.5 < 0.75 < found[1]


# ----------------------------------------------------------------------------------------------------------------------
# Ctrl-C.


class Raising(nn.Callback):
    """Does something in one step, counted from 1, or at the end."""

    def __init__(self, what, step=None, at_end=None):
        self.what, self.step, self.at_end, self.ended = what, step, at_end, False

    def on_backward_end(self, run):
        if len(run.history.step_loss) + 1 == self.step:
            self.what()

    def on_train_end(self, run):
        self.ended = True
        if self.at_end:
            self.at_end()


def interrupt():
    raise KeyboardInterrupt


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("how", "done"), [(interrupt, 7), (ctrl_c, 8)])
def test_an_interrupt_ends_training_cleanly(engine, how, done):
    """A signal waits for the end of the step; an error in a callback cannot."""
    callback, before = Raising(how, step=8), signal.getsignal(signal.SIGINT)
    history, weights = train(9, engine=engine, batch_size=16, callbacks=[callback])
    assert history.stopped == f"interrupted by hand in epoch 3, after {done} steps"
    assert (len(history.step_loss), len(history.loss), callback.ended) == (done, 2, True)
    assert signal.getsignal(signal.SIGINT) is before

    class Enough(nn.Callback):
        def on_step_end(self, run):
            if len(run.history.step_loss) == done:
                run.history.stopped = "enough"

    uninterrupted, expected = train(9, engine=engine, batch_size=16, callbacks=[Enough()])
    assert history.step_loss == uninterrupted.step_loss
    assert all(np.array_equal(weights[name], array) for name, array in expected.items())  # no step is half done


def test_an_interrupt_after_an_epoch_ends_training_too():
    class AtTheEnd(nn.Callback):
        def on_epoch_end(self, run):
            if len(run.history.loss) == 2:
                ctrl_c()

    history, _ = train(2, callbacks=[AtTheEnd()])
    assert history.stopped == "interrupted by hand in epoch 2, after 2 steps"
    assert len(history.loss) == len(history.seconds) == 2


def test_the_second_interrupt_works_as_usual():
    def twice():
        ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()

    assert train(3, callbacks=[Raising(twice, step=2)])[0].stopped.startswith("interrupted by hand in epoch 2")
    for step in (2, None):
        with pytest.raises(KeyboardInterrupt):
            train(3, callbacks=[Raising(ctrl_c, step, at_end=ctrl_c)])


def test_handlers_of_others_stay_at_work():
    heard, before = [], signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        assert train(3, callbacks=[Raising(ctrl_c, step=2)])[0].stopped == ""
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1]


def test_training_in_another_thread():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(train(2)[0]))
    thread.start()
    thread.join()
    assert len(histories[0].loss) == 2


SCRIPT = """
import sys
from test_fit import *

class Tell(nn.Callback):
    def on_step_end(self, run):
        if len(run.history.step_loss) == 20:
            print("training", flush=True)

model = small()
history = train(10**9, model=model, batch_size=16, callbacks=[Tell()])[0]
steps = len(history.step_loss)
class Enough(nn.Callback):
    def on_step_end(self, run):
        if len(run.history.step_loss) == steps:
            run.history.stopped = "enough"
same = small()
train(10**9, model=same, batch_size=16, callbacks=[Enough()])
equal = all(np.array_equal(a, b) for a, b in zip(model.state_dict().values(), same.state_dict().values()))
print(history.stopped, equal, steps > 20, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a single process")
def test_ctrl_c_in_a_process_of_its_own():
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here.parent}{os.pathsep}{here}"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "training\n"
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert told.startswith("interrupted by hand in epoch ")
    assert told.endswith("True True\n")
