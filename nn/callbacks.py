"""What happens around the training loop, apart from training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from nn.data import check_count
from nn.history import History, Run
from nn.metrics import LARGE_IS_GOOD
from nn.optim import check_limit, check_not_negative, clip_grad_norm_, clip_grad_value_
from nn.schedules import LRScheduler


class Callback:
    """Called around the loop; a subclass says what it does at which moment. See `nn.Run` for what it sees."""

    def on_train_begin(self, run: Run) -> None:
        """Before the first step."""

    def on_backward_end(self, run: Run) -> None:
        """Between backward and update, when the gradients are there: to look at them, or to clip them."""

    def on_step_end(self, run: Run) -> None:
        """After each update."""

    def on_epoch_end(self, run: Run) -> None:
        """After each epoch and its validation."""

    def on_train_end(self, run: Run) -> None:
        """After the last step, also when an error ended the training."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers from step to step, for a checkpoint: numbers, words and arrays, also in lists and dicts."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; before `on_train_begin`."""


def check_moment(name: str, moment: str) -> str:
    """`moment` itself, "epoch" or "step"."""
    if moment not in ("epoch", "step"):
        raise ValueError(f'{name}={moment!r}; use "epoch" or "step"')
    return moment


class Progress(Callback):
    """A progress bar over the epochs, with the loss beside it.

    description: what stands before the bar.
    leave: whether the bar stays when training is over.
    """

    def __init__(self, description: str = "training", leave: bool = True) -> None:
        self.description = description
        self.leave = leave

    def on_train_begin(self, run: Run) -> None:
        done = len(run.history.loss)
        self.bar = tqdm(total=run.epochs, initial=done, desc=self.description, unit="epoch", leave=self.leave)

    def on_epoch_end(self, run: Run) -> None:
        self.bar.set_postfix(loss=f"{run.history.loss[-1]:.4g}", refresh=False)
        self.bar.update()

    def on_train_end(self, run: Run) -> None:
        self.bar.close()


class ClipGradNorm(Callback):
    """`nn.clip_grad_norm_` before every update: all gradients together are `max_norm` long at most.

    norms: the norm in every step, before it was cut; with max_norm=math.inf nothing is cut, only recorded.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = check_limit("ClipGradNorm", max_norm=max_norm)
        self.norms: list[float] = []

    def on_backward_end(self, run: Run) -> None:
        self.norms.append(clip_grad_norm_(run.optimizer.parameters, self.max_norm))

    def state_dict(self) -> dict[str, Any]:
        return {"norms": np.array(self.norms)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.norms = state["norms"].tolist()


class ClipGradValue(Callback):
    """`nn.clip_grad_value_` before every update: no element of a gradient is beyond `clip_value`."""

    def __init__(self, clip_value: float) -> None:
        self.clip_value = check_limit("ClipGradValue", clip_value=clip_value)

    def on_backward_end(self, run: Run) -> None:
        clip_grad_value_(run.optimizer.parameters, self.clip_value)


class Schedule(Callback):
    """Steps a schedule of the learning rate, such as `nn.CosineAnnealingLR`, while `fit` trains.

    every: "epoch" unless given, or "step", after each update.

    A schedule that watches the loss (`ReduceLROnPlateau`) is given the last one: after an epoch the validation loss
    if there is one, else the training loss; after a step the loss of that step.
    """

    def __init__(self, schedule: LRScheduler, every: str = "epoch") -> None:
        if not isinstance(schedule, LRScheduler):
            raise TypeError(f"Schedule: {schedule!r:.80} is no schedule; give one, such as nn.StepLR(optimizer, 10)")
        self.schedule, self.every = schedule, check_moment("Schedule: every", every)

    def state_dict(self) -> dict[str, Any]:
        return {"kind": type(self.schedule).__name__, **self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.schedule.load_state_dict({name: kept for name, kept in state.items() if name != "kind"})

    def on_train_begin(self, run: Run) -> None:
        if self.schedule.optimizer is not run.optimizer:
            raise ValueError("Schedule: the schedule sets the rate of another optimizer; make it with the one of fit")

    def on_step_end(self, run: Run) -> None:
        if self.every == "step":
            self.schedule.step(run.history.step_loss[-1])

    def on_epoch_end(self, run: Run) -> None:
        history = run.history
        if self.every == "epoch" and history.diverged_at is None:
            self.schedule.step((history.validation_loss or history.loss)[-1])


#: Of the metrics that are known by name: whether they shall become large.
MODES = {
    **dict.fromkeys(("loss", "validation_loss", "mae", "mse", "rmse", "brier", "log_loss"), "min"),
    **dict.fromkeys((*LARGE_IS_GOOD, "balanced_accuracy", "auc"), "max"),
}


class EarlyStopping(Callback):
    """Ends the training when it no longer helps, and says so in `history.stopped`.

    monitor: what is watched after each epoch: "validation_loss" unless given, "loss", or the name of a metric of `fit`.
    patience: after so many epochs without an improvement training ends, 10 unless given.
    min_delta: an improvement is more than that below (in mode "max": above) the best so far, 0 unless given.
    restore_best: whether the model ends with the weights of its best epoch, however training ended. True unless given.
    mode: "min" or "max", whether the number shall become small or large; known for losses and for the metrics in
        `nn.callbacks.MODES`.
    best: the best number so far; `history.best_epoch` says when it came.
    waited: the epochs since then.
    Source: Prechelt 1998, "Early stopping - but when?".
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        *,
        mode: str | None = None,
    ) -> None:
        mode = MODES.get(monitor) if mode is None else mode
        if mode not in ("min", "max"):
            raise ValueError(
                f'EarlyStopping: {mode=} for {monitor=}; give mode="min" where small is good, mode="max" where large is'
            )
        check_not_negative("EarlyStopping", min_delta=min_delta)
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.patience = check_count("EarlyStopping: patience", patience)
        self.restore_best = restore_best
        self._begin()

    def _begin(self) -> None:
        self.best, self.waited = math.inf if self.mode == "min" else -math.inf, 0
        self._weights: dict[str, np.ndarray] = {}

    def on_train_begin(self, run: Run) -> None:
        if not run.history.loss:
            self._begin()

    def on_epoch_end(self, run: Run) -> None:
        history, number = run.history, self._number(run.history)
        if number - self.best < -self.min_delta if self.mode == "min" else number - self.best > self.min_delta:
            self.best, self.waited, history.best_epoch = number, 0, len(history.loss)
            if self.restore_best:
                self._weights = run.model.state_dict()
        else:
            self.waited += 1
        if self.waited >= self.patience and not history.stopped:
            history.stopped = self._reason(history)

    def _number(self, history: History) -> float:
        """What is watched, after the last epoch."""
        curves = {**history.metrics, "loss": history.loss, "validation_loss": history.validation_loss}
        if not curves.get(self.monitor):
            known = [name for name, curve in curves.items() if curve]
            raise ValueError(
                f"EarlyStopping: monitor={self.monitor!r} is not measured, only {known}; "
                'give fit validation=(X, y), or metrics={"accuracy": ...}, or watch "loss"'
            )
        return curves[self.monitor][-1]

    def _reason(self, history: History) -> str:
        watched, epochs = self.monitor.replace("_", " "), "epoch" if self.patience == 1 else "epochs"
        amount = f" by more than {self.min_delta:g}" if self.min_delta else ""
        reason = f"{watched} has not improved{amount} for {self.patience} {epochs}"
        if history.best_epoch is None:
            return f"{reason}, nor ever before"
        restored = ", whose weights were restored" if self.restore_best else ""
        return f"{reason}; the best, {self.best:.4g}, came in epoch {history.best_epoch}{restored}"

    def on_train_end(self, run: Run) -> None:
        if self._weights:
            run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited, self._weights = state["best"], state["waited"], state["weights"]
