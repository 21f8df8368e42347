"""The training loop: forward, loss, backward, update, until the epochs are over or the loss is no longer a number."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from nn.callbacks import Callback
from nn.data import Data, batches, check_batch_size, check_count, check_data, check_numbers, generator
from nn.engine import Engine, Tensor
from nn.history import History, Run
from nn.modules import Module, first_parameter
from nn.optim import Optimizer
from nn.schedules import LRScheduler

#: Prediction and target in, a single number out.
Loss = Callable[[Tensor, Tensor], Tensor]


class DivergenceWarning(RuntimeWarning):
    """The loss has become infinite or not a number, and training has stopped."""


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

    data: samples X (N, ...) and targets y (N, ...), arrays or nested lists. Integers stay integers (class labels, or
        the numbers of words); all else takes the type of the model's parameters.
    loss: a function of prediction and target, such as `nn.mse_loss`.
    epochs: how often all samples are gone through.
    batch_size: samples in a step; None, the default, takes all at once. The last batch of an epoch may be smaller.
    validation: samples and targets on which the loss is measured after each epoch.
    callbacks: called around the loop, see `nn.Callback`: `nn.Schedule` changes the learning rate, `nn.ClipGradNorm`
        and `nn.ClipGradValue` cut the gradients between backward and update, `nn.Progress` shows how far it is.
    shuffle, seed: whether the samples are shuffled for each epoch, and the seed of that.

    A loss that is infinite or not a number ends the training: the history says at which step, and a DivergenceWarning
    says so too. Data that are no finite numbers raise ValueError or TypeError before anything is trained; targets that
    the loss does not take, when their batch comes.
    """
    check_arguments("fit", model, loss, optimizer, callbacks)
    samples = prepare("data", data, model)
    held_out = None if validation is None else prepare("validation", validation, model)
    batch_size = check_batch_size(batch_size, len(samples[0]))
    check_count("epochs", epochs)
    random = generator(seed) if shuffle else None
    run = Run(model, optimizer, epochs)
    history = run.history
    with ExitStack() as stack:  # whatever happens, a callback that has begun is told of the end
        for callback in callbacks:
            callback.on_train_begin(run)
            stack.callback(callback.on_train_end, run)
        while len(history.loss) < epochs and not history.stopped:
            started = time.perf_counter()
            history.loss.append(_train_epoch(run, samples, loss, batch_size, random, callbacks))
            if held_out is not None:
                history.validation_loss.append(_mean_loss(model, held_out, loss, batch_size))
            history.seconds.append(time.perf_counter() - started)
            for callback in callbacks:
                callback.on_epoch_end(run)
    if history.diverged_at is not None:
        warnings.warn(f"{history.stopped}; {_advice(history, optimizer)}", DivergenceWarning, stacklevel=2)
    return history


def _advice(history: History, optimizer: Optimizer) -> str:
    if history.diverged_at == 0:
        return "nothing was learned yet, so look at the loss function and at the size of the numbers in the data"
    return f"try a learning rate below {optimizer.lr:g}"


def _train_step(run: Run, inputs: Tensor, targets: Tensor, loss: Loss, callbacks: Sequence[Callback]) -> float:
    """What training is: four steps, repeated. A loss that is not a finite number changes nothing."""
    prediction = run.model(inputs)  # forward
    error = loss(prediction, targets)  # loss
    check_loss("fit", error)
    if math.isfinite(error.item()):
        run.optimizer.zero_grad()
        error.backward()  # backward
        for callback in callbacks:
            callback.on_backward_end(run)
        run.optimizer.step()  # update
    return error.item()


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
    model, history = run.model.train(), run.history
    as_tensor = first_parameter(model).engine.as_tensor
    total, seen = 0.0, 0
    for rows in batches(len(samples[0]), batch_size, random):
        inputs, targets = [as_tensor(array[rows]) for array in samples]
        error = _train_step(run, inputs, targets, loss, callbacks)
        history.step_loss.append(error)
        total, seen = total + error * len(rows), seen + len(rows)
        if not math.isfinite(error):
            history.diverged_at = len(history.step_loss) - 1
            history.stopped = f"diverged at step {history.diverged_at}: the loss became {error}"
        else:
            for callback in callbacks:
                callback.on_step_end(run)
        if history.stopped:
            break
    return total / seen


def _mean_loss(model: Module, samples: tuple[np.ndarray, np.ndarray], loss: Loss, batch_size: int) -> float:
    """The loss on samples that are not trained on."""
    total, count = 0.0, len(samples[0])
    with _evaluating(model) as engine:
        for rows in batches(count, batch_size):
            inputs, targets = [engine.as_tensor(array[rows]) for array in samples]
            total += loss(model(inputs), targets).item() * len(rows)
    return total / count


def predict(model: Module, x: Any, batch_size: int | None = None) -> np.ndarray:
    """What `model` answers for samples x (N, ...), as an array (N, ...); nothing is recorded or trained.

    batch_size: samples at a time; None, the default, takes all at once.
    """
    check_model("predict", model)
    samples = for_model(check_numbers("x", x), model)
    batch_size = check_batch_size(batch_size, len(samples))
    with _evaluating(model) as engine:
        answers = [np.asarray(model(engine.as_tensor(samples[rows]))) for rows in batches(len(samples), batch_size)]
    return np.concatenate(answers)


@contextmanager
def _evaluating(model: Module) -> Iterator[Engine]:
    """Evaluation, without gradients; afterwards each module is in training again, if it was."""
    engine, before = first_parameter(model).engine, [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with engine.no_grad(), np.errstate(over="ignore", invalid="ignore"):
            yield engine
    finally:
        for module, training in before:
            module.training = training


def check_arguments(name: str, model: Any, loss: Any, optimizer: Any, callbacks: Any) -> None:
    """What trains, belongs together."""
    check_model(name, model)
    if not callable(loss):
        apart = hasattr(loss, "shape") or isinstance(loss, list)
        pair = "samples and targets as one pair, (X, y), and " if apart else ""
        raise TypeError(f"{name}: loss={loss!r:.80} is not a function; give {pair}a function, such as nn.mse_loss")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{name}: optimizer={optimizer!r:.80}; give one that was made, as in nn.SGD(model.parameters())"
        )
    mine = {id(parameter) for parameter in model.parameters()}
    if mine and not any(id(parameter) in mine for parameter in optimizer.parameters):
        raise ValueError(f"{name}: the optimizer holds parameters of another model; make it with model.parameters()")
    if isinstance(callbacks, Sequence) and any(isinstance(callback, LRScheduler) for callback in callbacks):
        raise TypeError(f"{name}: callbacks={callbacks!r:.80} holds a schedule; wrap it: nn.Schedule(nn.StepLR(...))")
    if not isinstance(callbacks, Sequence) or not all(isinstance(callback, Callback) for callback in callbacks):
        raise TypeError(f"{name}: callbacks={callbacks!r:.80}; give a list of nn.Callback, such as [nn.Progress()]")


def check_model(name: str, model: Any) -> None:
    """`model` is a Module; TypeError where it is none."""
    if not isinstance(model, Module):
        raise TypeError(f"{name}: model={model!r:.80} is not a model; give an nn.Module, such as nn.MLP(...)")


def check_loss(name: str, error: Any) -> None:
    """`error` is what a loss gives: one number, which depends on parameters."""
    if getattr(error, "shape", None) != ():
        raise TypeError(f"{name}: the loss function gave {error!r:.80}; it must give a single number, as a tensor")
    if not error.parents:
        raise ValueError(
            f"{name}: the loss does not depend on the model's parameters; was it computed within no_grad, or detached?"
        )


def prepare(name: str, data: Data, model: Module) -> tuple[np.ndarray, np.ndarray]:
    """Checked samples and targets in the types in which the model computes."""
    x, y = check_data(name, data)
    return for_model(x, model), for_model(y, model)


def for_model(numbers: np.ndarray, model: Module) -> np.ndarray:
    """Whole numbers, such as class labels or the numbers of words, as int64; all else in the type of the parameters."""
    return numbers.astype("int64" if numbers.dtype.kind in "iu" else first_parameter(model).dtype)
