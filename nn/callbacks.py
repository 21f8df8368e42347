"""What happens around the training loop, apart from training."""

from __future__ import annotations

from tqdm.auto import tqdm

from nn.history import Run
from nn.optim import check_limit, clip_grad_norm_, clip_grad_value_
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


class Progress(Callback):
    """A progress bar over the epochs, with the loss beside it.

    description: what stands before the bar.
    leave: whether the bar stays when training is over.
    """

    def __init__(self, description: str = "training", leave: bool = True) -> None:
        self.description = description
        self.leave = leave

    def on_train_begin(self, run: Run) -> None:
        self.bar = tqdm(total=run.epochs, desc=self.description, unit="epoch", leave=self.leave)

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
        if every not in ("epoch", "step"):
            raise ValueError(f'Schedule: {every=}; use "epoch" or "step"')
        self.schedule, self.every = schedule, every

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
