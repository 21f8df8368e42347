"""What a training run leaves behind, and what it is while it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field

from nn.modules import Module
from nn.optim import Optimizer


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
