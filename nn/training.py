"""The training loop: forward, loss, backward, update, until the epochs are over or the loss is no longer a number."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nn import arguments
from nn.callbacks import Callback
from nn.checkpoints import Checkpoint, resume_run
from nn.compiled import CompiledSteps, Done, Feed
from nn.data import Data, Transform, batches, check_batch_size, check_count, check_numbers, feed, generator
from nn.engine import Tensor, tensor_beside
from nn.history import History, Run
from nn.interrupts import between_steps
from nn.metrics import Metric, by_name, measure
from nn.modules import Module, first_parameter
from nn.optim import Optimizer

#: Prediction and target in, a single number out.
Loss = Callable[..., Tensor]
#: Parameters in, a single number out.
Penalty = Callable[[list[Tensor]], Tensor]
#: Batches of row numbers and what prepares them in; each with the loss of its step out, and whether Ctrl-C may end it.
Steps = Callable[[Iterable[np.ndarray], Feed], Generator[Done, None, None]]


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
    metrics: Metric | Sequence[Metric] | Mapping[str, Metric] = (),
    penalty: Penalty | None = None,
    sample_weight: Any = None,
    accumulate: int = 1,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    drop_last: bool = False,
    augment: Transform | None = None,
    prefetch: int = 0,
    compile: bool = False,
    seed: int = 0,
    resume: str | Path | None = None,
) -> History:
    """Train `model` and tell what happened.

    data: samples X (N, ...) and targets y (N, ...), arrays or nested lists. Integers stay integers (class labels, or
        the numbers of words); all else takes the type of the model's parameters.
    loss: a function of prediction and target, such as `nn.mse_loss`, or with class weights
        `functools.partial(nn.cross_entropy, weight=[1, 5])`.
    epochs: how often all samples are gone through.
    batch_size: samples in a batch; None, the default, takes all at once. The last batch of an epoch may be smaller.
    validation: samples and targets on which the loss is measured after each epoch.
    metrics: what else is measured on the validation data after each epoch, as in `nn.evaluate`: "accuracy", a list of
        such names, functions (y_true, y_pred), or either by a name of your own; each a single number.
    penalty: a function of the model's parameters whose result is added to the loss, to keep weights small:
        `lambda parameters: 1e-4 * nn.l2_penalty(parameters)`. The losses in the history are without it, so that those
        of training and validation compare.
    sample_weight: numbers (N,) by which the losses of the samples are multiplied, 1 on average as a rule; the loss
        gets those of its batch as `sample_weight=`, which those of `nn` take.
    accumulate: batches whose gradients are added up for one update, 1 unless given: as if they were one batch, in the
        memory of one. (Equal up to rounding, where the loss is a mean over samples. Batch norm still sees each batch by
        itself, and so does the division by the class weights in `nn.cross_entropy`.)
    callbacks: called around the loop, see `nn.Callback`: `nn.EarlyStopping` ends it, `nn.Checkpoint` keeps its state in
        a file, `nn.Schedule` changes the learning rate, `nn.ClipGradNorm` and `nn.ClipGradValue` cut the gradients
        between backward and update, `nn.Progress` shows how far it is. Checkpoints are called after all others.
    shuffle: whether the samples are shuffled for each epoch.
    drop_last: whether a last batch that is smaller than the others is left out (batch norm refuses a batch of one).
    augment: alters the samples of each batch before they are trained on, differently in each epoch: a transform such as
        `nn.data.Shift(2)`, or several in an `nn.data.Compose`.
    prefetch: how many batches a background thread prepares while one is trained on; worth it where `augment` waits, as
        for files; where it computes, it takes its time from the same cores (two of them gained nothing).
    compile: whether steps are recorded once and then run without Python (see `fast.compile_step`, which says what can
        be recorded): the same numbers in less time, above all for small networks. Many steps are one call, unless a
        callback does something between them, or `augment` does. False unless given; only the engine `fast` can.
    seed: of the shuffling and of `augment`; the same seed repeats the run.
    resume: the file of an `nn.Checkpoint`: all goes on from there, bit for bit as if it had never ended, and the
        history begins with what was before. Give everything else as it was; `epochs` may be larger, to train on.

    A loss that is infinite or not a number ends the training: the history says at which step, and a DivergenceWarning
    says so too. So does Ctrl-C, after the step at work, without an error (the second Ctrl-C is one, as usual). Data
    that are no finite numbers raise ValueError or TypeError before anything is trained; targets that the loss does not
    take, when their batch comes; files that do not fit raise ValueError before anything is changed.
    """
    named = by_name("fit", metrics)
    arguments.check_fit(model, loss, optimizer, callbacks, penalty, named, validation)
    samples = arguments.prepare("data", data, model)
    held_out = None if validation is None else arguments.prepare("validation", validation, model)
    batch_size = check_batch_size(batch_size, len(samples[0]))
    check_count("accumulate", accumulate)
    arguments.check_feeding(augment, prefetch)
    check_count("epochs", epochs)
    goal = _Goal(loss, None if penalty is None else partial(penalty, model.parameters()))
    if sample_weight is not None:
        weights = arguments.check_sample_weight(sample_weight, len(samples[0]), loss)
        samples += (arguments.for_model(weights, model),)
        goal.loss = lambda prediction, target, weight: loss(prediction, target, sample_weight=weight)
    run = Run(
        model,
        optimizer,
        epochs,
        callbacks=sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint)),  # keeps what others did
        random=generator(seed) if shuffle else None,
        settings={
            "samples": len(samples[0]),
            "batch_size": batch_size,
            "accumulate": accumulate,
            "shuffle": shuffle,
            "drop_last": drop_last,
            "augment": None if augment is None else _child(seed),
        },
    )
    if resume is not None:
        resume_run(run, resume)
    fed = partial(feed, samples[0], augment=augment, ahead=prefetch)
    steps = CompiledSteps(run, samples, goal) if compile else partial(_steps, run, samples, goal)
    _train(run, steps, fed, None if held_out is None else partial(_validate, run, held_out, loss, named))
    if run.history.diverged_at is not None:
        warnings.warn(f"{run.history.stopped}; {_advice(run)}", DivergenceWarning, stacklevel=2)
    return run.history


def _child(seed: int) -> int:
    """A seed of its own that follows from `seed`; the numbers that `seed` itself gives stay as they are."""
    return int(generator(seed).spawn(1)[0].integers(2**63))


def _train(run: Run, steps: Steps, fed: Feed, validate: Callable[[], None] | None) -> None:
    """Epoch after epoch, until all are over, or divergence, a callback or Ctrl-C ends it."""
    history, epoch = run.history, len(run.history.loss) + 1
    with ExitStack() as stack, between_steps() as check_interrupt:
        try:
            for callback in run.callbacks:
                callback.on_train_begin(run)
                stack.callback(callback.on_train_end, run)  # whatever happens, it is told of the end
            while len(history.loss) < run.epochs and not history.stopped:
                started, epoch = time.perf_counter(), len(history.loss) + 1
                history.loss.append(_train_epoch(run, steps, fed, check_interrupt))
                if validate is not None:
                    validate()
                history.seconds.append(time.perf_counter() - started)
                run.begin_epoch()
                for callback in run.callbacks:
                    callback.on_epoch_end(run)
                check_interrupt()
        except KeyboardInterrupt:
            history.stopped = f"interrupted by hand in epoch {epoch}, after {len(history.step_loss)} steps"


def _advice(run: Run) -> str:
    if run.history.diverged_at == 0:
        return "nothing was learned yet, so look at the loss function and at the size of the numbers in the data"
    return f"try a learning rate below {run.optimizer.lr:g}"


@dataclass
class _Goal:
    """What shall become small: the loss, and the penalty where there is one."""

    loss: Loss
    penalty: Callable[[], Tensor] | None


def _train_step(run: Run, parts: Iterable[tuple[list[Tensor], float]], goal: _Goal) -> float:
    """What training is: four steps, repeated. A loss that is not a finite number changes nothing.

    parts: batches, one as a rule, each with its share of the samples; their gradients add up to that of all.
    """
    run.optimizer.zero_grad()
    step_loss = 0.0
    for (inputs, *wanted), share in parts:
        prediction = run.model(inputs)  # forward
        error = goal.loss(prediction, *wanted)  # loss
        arguments.check_error("fit", error)
        number = error.item()
        step_loss += share * number
        if goal.penalty is not None:
            error = error + goal.penalty()
            number = error.item()
        if not math.isfinite(number):
            return number
        error.backward(share)  # backward
    for callback in run.callbacks:
        callback.on_backward_end(run)
    run.optimizer.step()  # update
    return step_loss


@np.errstate(over="ignore", invalid="ignore")  # an overflow on the way to divergence is reported as divergence
def _train_epoch(run: Run, steps: Steps, fed: Feed, check_interrupt: Callable[[], None]) -> float:
    """One pass over all samples, or what is left of it in a run that is resumed; the mean of their losses."""
    history, position, settings = run.history, run.position, run.settings
    run.model.train()
    count, size = settings["samples"], settings["batch_size"] * settings["accumulate"]
    order = islice(batches(count, min(count, size), run.random, settings["drop_last"]), position.steps, None)
    seeded = partial(fed, seed=[settings["augment"] or 0, len(history.loss)], first=position.steps)
    with closing(steps(order, seeded)) as losses:
        for rows, error, interruptible in losses:
            history.step_loss.append(error)
            position.advance(len(rows), error)
            if not math.isfinite(error):
                history.diverged_at = len(history.step_loss) - 1
                history.stopped = f"diverged at step {history.diverged_at}: the loss became {error}"
            else:
                for callback in run.callbacks:
                    callback.on_step_end(run)
            if history.stopped:
                break
            if interruptible:
                check_interrupt()
    return position.loss / position.samples


def _steps(
    run: Run, samples: tuple[np.ndarray, ...], goal: _Goal, order: Iterable[np.ndarray], fed: Feed
) -> Generator[Done, None, None]:
    """The steps of these batches, one after the other."""
    parts = partial(_parts, run.settings["batch_size"], first_parameter(run.model))
    with closing(fed(order)) as prepared:
        for rows, x in prepared:
            yield rows, _train_step(run, parts([x, *[array[rows] for array in samples[1:]]]), goal), True


def _parts(size: int, parameter: Tensor, step: Sequence[np.ndarray]) -> Iterator[tuple[list[Tensor], float]]:
    """The batches of a step, of `size` rows each, each with its share of them, where the parameter lies."""
    count = len(step[0])
    for start in range(0, count, size):
        part = [array[start : start + size] for array in step]
        yield [tensor_beside(parameter, array) for array in part], len(part[0]) / count


def _validate(run: Run, samples: tuple[np.ndarray, ...], loss: Loss, metrics: Mapping[str, Metric]) -> None:
    """Note the loss on samples that are not trained on, and the metrics."""
    total, answers, (x, y) = 0.0, [], samples
    with _evaluating(run.model) as there:
        for rows in batches(len(x), run.settings["batch_size"]):
            prediction = run.model(there(x[rows]))
            total += loss(prediction, there(y[rows])).item() * len(rows)
            if metrics:
                answers.append(np.asarray(prediction.cpu()))
    run.history.validation_loss.append(total / len(x))
    if metrics:
        for name, number in measure("fit", run.model, y, np.concatenate(answers), metrics).items():
            run.history.metrics.setdefault(name, []).append(arguments.check_number(name, number))


def predict(model: Module, x: Any, batch_size: int | None = None) -> np.ndarray:
    """What `model` answers for samples x (N, ...), as an array (N, ...); nothing is recorded or trained.

    batch_size: samples at a time; None, the default, takes all at once.
    """
    arguments.check_model("predict", model)
    samples = arguments.for_model(check_numbers("x", x), model)
    batch_size = check_batch_size(batch_size, len(samples))
    with _evaluating(model) as there:
        answers = [np.asarray(model(there(samples[rows])).cpu()) for rows in batches(len(samples), batch_size)]
    return np.concatenate(answers)


@contextmanager
def _evaluating(model: Module) -> Iterator[Callable[[np.ndarray], Tensor]]:
    """Evaluation, without gradients; afterwards each module is in training again, if it was.

    Gives what makes tensors of arrays, of the engine and on the device of the model.
    """
    parameter, before = first_parameter(model), [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with parameter.engine.no_grad(), np.errstate(over="ignore", invalid="ignore"):
            yield partial(tensor_beside, parameter)
    finally:
        for module, training in before:
            module.training = training
