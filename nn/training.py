"""The training loop: forward, loss, backward, update, until the epochs are over or the loss is no longer a number."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nn.callbacks import Callback
from nn.data import Data, batches, check_batch_size, check_data, check_numbers
from nn.engine import Tensor
from nn.modules import Module, first_parameter
from nn.optim import Optimizer

#: Prediction and target in, a single number out.
Loss = Callable[[Tensor, Tensor], Tensor]


class DivergenceWarning(RuntimeWarning):
    """The loss has become infinite or not a number, and training has stopped."""


@dataclass
class History:
    """What happened during training, as plain lists.

    step_loss: the loss of every step (one batch), before its update.
    loss: for every epoch the mean over its samples of those losses.
    validation_loss: the loss on the validation data after every epoch; empty without such data.
    seconds: the duration of every epoch, validation included.
    diverged_at: the step, counted from 0, whose loss was infinite or not a number; None if there was none. It is the
        last one in `step_loss`, and the parameters are those that led to it.
    stopped: why training ended before its last epoch, in words; empty if it did not.
    """

    step_loss: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged_at: int | None = None
    stopped: str = ""


@dataclass
class Run:
    """A training run as callbacks see it. A callback ends it by setting `history.stopped` to its reason."""

    model: Module
    optimizer: Optimizer
    epochs: int
    history: History = field(default_factory=History)


def fit(
    model: Module,
    data: Data,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | None = None,
    *,
    validation: Data | None = None,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    seed: int = 0,
) -> History:
    """Train `model` and tell what happened.

    data: samples X (N, ...) and targets y (N, ...), arrays or nested lists. Integer targets stay integers (class
        labels); all else takes the type of the model's parameters.
    loss: a function of prediction and target, such as `nn.mse_loss`.
    epochs: how often all samples are gone through.
    batch_size: samples in a step; None, the default, takes all at once. The last batch of an epoch may be smaller.
    validation: samples and targets on which the loss is measured after each epoch.
    callbacks: called around the loop, see `nn.Callback`.
    shuffle, seed: whether the samples are shuffled for each epoch, and the seed of that.

    A loss that is infinite or not a number ends the training: the history says at which step, and a DivergenceWarning
    says so too. Bad data raise ValueError or TypeError before anything is trained.
    """
    samples = _prepare("data", data, model)
    held_out = None if validation is None else _prepare("validation", validation, model)
    batch_size = check_batch_size(batch_size, len(samples[0]))
    if epochs < 1:
        raise ValueError(f"epochs={epochs}; give at least 1")
    random = np.random.default_rng(seed) if shuffle else None
    run = Run(model, optimizer, epochs)
    history = run.history
    try:
        _call(callbacks, "on_train_begin", run)
        while len(history.loss) < epochs and not history.stopped:
            started = time.perf_counter()
            history.loss.append(_train_epoch(run, samples, loss, batch_size, random, callbacks))
            if held_out is not None:
                history.validation_loss.append(_mean_loss(model, held_out, loss, batch_size))
            history.seconds.append(time.perf_counter() - started)
            _call(callbacks, "on_epoch_end", run)
    finally:
        _call(callbacks, "on_train_end", run)
    if history.diverged_at is not None:
        warnings.warn(f"{history.stopped}; try a learning rate below {optimizer.lr:g}", DivergenceWarning, stacklevel=2)
    return history


@np.errstate(over="ignore", invalid="ignore")  # an overflow on the way to divergence is reported as divergence
def _train_epoch(
    run: Run,
    samples: tuple[np.ndarray, np.ndarray],
    loss: Loss,
    batch_size: int,
    random: np.random.Generator | None,
    callbacks: Sequence[Callback],
) -> float:
    """One pass over all samples; the mean of their losses."""
    model, optimizer, history = run.model.train(), run.optimizer, run.history
    as_tensor = first_parameter(model).engine.as_tensor
    total, seen = 0.0, 0
    for rows in batches(len(samples[0]), batch_size, random):
        inputs, targets = [as_tensor(array[rows]) for array in samples]
        prediction = model(inputs)  # forward
        error = loss(prediction, targets)  # loss
        history.step_loss.append(error.item())
        total, seen = total + error.item() * len(rows), seen + len(rows)
        if not math.isfinite(error.item()):
            history.diverged_at = len(history.step_loss) - 1
            history.stopped = f"diverged at step {history.diverged_at}: the loss became {error.item()}"
            break
        optimizer.zero_grad()
        error.backward()  # backward
        optimizer.step()  # update
        _call(callbacks, "on_step_end", run)
    return total / seen


@np.errstate(over="ignore", invalid="ignore")
def _mean_loss(model: Module, samples: tuple[np.ndarray, np.ndarray], loss: Loss, batch_size: int) -> float:
    """The loss on samples that are not trained on."""
    model.eval()
    engine = first_parameter(model).engine
    total, count = 0.0, len(samples[0])
    with engine.no_grad():
        for rows in batches(count, batch_size):
            inputs, targets = [engine.as_tensor(array[rows]) for array in samples]
            total += loss(model(inputs), targets).item() * len(rows)
    return total / count


@np.errstate(over="ignore", invalid="ignore")
def predict(model: Module, x: Any, batch_size: int | None = None) -> np.ndarray:
    """What `model` answers for samples x (N, ...), as an array (N, ...); nothing is recorded or trained.

    batch_size: samples at a time; None, the default, takes all at once.
    """
    samples = check_numbers("x", x).astype(first_parameter(model).dtype)
    model.eval()
    engine = first_parameter(model).engine
    with engine.no_grad():
        answers = [
            np.asarray(model(engine.as_tensor(samples[rows])).tolist())
            for rows in batches(len(samples), check_batch_size(batch_size, len(samples)))
        ]
    return np.concatenate(answers)


def _call(callbacks: Sequence[Callback], event: str, run: Run) -> None:
    for callback in callbacks:
        getattr(callback, event)(run)


def _prepare(name: str, data: Data, model: Module) -> tuple[np.ndarray, np.ndarray]:
    """Checked samples and targets in the types in which the model computes; integer targets stay integers."""
    x, y = check_data(name, data)
    dtype = first_parameter(model).dtype
    return x.astype(dtype), y.astype("int64" if y.dtype.kind in "iu" else dtype)
