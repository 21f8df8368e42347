"""What a training run leaves behind, and what it is while it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.modules import Module
from nn.optim import Optimizer

if TYPE_CHECKING:
    from nn.callbacks import Callback


@dataclass
class History:
    """What happened during training, as plain lists.

    step_loss: the loss of every step (one batch, or several that are accumulated), before its update, and without the
        penalty.
    loss: for every epoch the mean over its samples of those losses.
    validation_loss: the loss on the validation data after every epoch; empty without such data.
    metrics: by name, what each of the metrics said of the validation data after every epoch.
    seconds: the duration of every epoch, validation included.
    best_epoch: the epoch, counted from 1, that `nn.EarlyStopping` found best; None without it.
    diverged_at: the step, counted from 0, whose loss was infinite or not a number; None if there was none. It is the
        last one in `step_loss`, and the parameters are those that led to it, unless `nn.EarlyStopping` restored others.
    stopped: why training ended before its last epoch, in words; empty if it did not.
    """

    step_loss: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    diverged_at: int | None = None
    stopped: str = ""


@dataclass
class Position:
    """Where in an epoch a run is.

    steps, samples: how many of them are done.
    loss: the sum of the losses of these samples.
    random: the state in which the generator that shuffles began the epoch; None where nothing is shuffled.
    """

    steps: int = 0
    samples: int = 0
    loss: float = 0.0
    random: Any = None

    def advance(self, samples: int, loss: float) -> None:
        """One step further, with the mean loss of its samples."""
        self.steps += 1
        self.samples += samples
        self.loss += loss * samples


@dataclass
class Run:
    """A training run as callbacks see it. A callback ends it by setting `history.stopped` to its reason.

    callbacks: all that are called, in their order.
    random: what shuffles the samples; None where nothing does.
    settings: what else says which step follows which, such as the size of the batches, as plain numbers.
    position: where in the present epoch the run is.
    """

    model: Module
    optimizer: Optimizer
    epochs: int
    history: History = field(default_factory=History)
    callbacks: Sequence[Callback] = ()
    random: np.random.Generator | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    position: Position = field(init=False)

    def __post_init__(self) -> None:
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Stand before the first step of an epoch."""
        self.position = Position(random=self.random and self.random.bit_generator.state)
