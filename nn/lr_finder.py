"""The learning-rate range test: one short training whose rate grows from far too low to far too high."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nn.arguments import check_training
from nn.callbacks import Callback
from nn.data import Data, check_count
from nn.history import Run
from nn.modules import Module
from nn.optim import Optimizer, check_limit, check_positive
from nn.restoring import restored
from nn.training import DivergenceWarning, Loss, fit


@dataclass(frozen=True)
class RangeTest:
    """What a range test measured, as plain lists of equal length.

    rates: the learning rate of every step, growing.
    losses: the loss of every step, before its update.
    smoothed: those losses with the noise of the batches taken out, see `smooth`.
    stopped: why the test ended before its last rate, in words; empty if it did not.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    stopped: str = ""

    def suggestions(self) -> dict[str, float]:
        """Learning rates to try, by name; none if the loss never fell.

        "steepest": where the smoothed loss falls fastest, on a logarithmic axis of rates, before its minimum (Smith
            2015; Gugger, "How do you find a good learning rate", 2018).
        "valley": the middle of the longest run of ever smaller losses, not necessarily one after the other (fastai).
        "minimum / 10": a tenth of the rate with the smallest smoothed loss (Gugger 2018; fastai).
        """
        lowest = int(np.argmin(self.smoothed)) if self.smoothed else 0
        if lowest == 0:
            return {}
        steepest = int(np.argmin(np.gradient(self.smoothed)[: lowest + 1]))
        places = {"steepest": self.rates[steepest], "valley": self.rates[_valley(self.smoothed)]}
        return {**places, "minimum / 10": self.rates[lowest] / 10}


def lr_find(
    model: Module,
    data: Data,
    loss: Loss,
    optimizer: Optimizer,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    *,
    smoothing: float = 0.05,
    stop: float = 4.0,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    seed: int = 0,
) -> RangeTest:
    """Train for some steps with a learning rate that grows from step to step by the same factor, and tell the losses.

    Where the loss falls fast, a rate is worth trying; where it rises again, rates are too high. Model and optimizer are
    afterwards what they were before, to the last bit, whatever happens: parameters, buffers, gradients, the mode of
    every module, the learning rate and what the optimizer remembers.

    start, end, steps: the first rate, the last, and how many; from 1e-7 to 10 in 100 steps unless given.
    smoothing: the share of the newest loss in the smoothed one, 0.05 unless given; 1 leaves the losses as they are.
    stop: the test ends when the smoothed loss is above `stop` times its smallest so far, 4 unless given; math.inf, or
        a smallest loss of 0 or below, ends nothing. It always ends at the first loss that is infinite or not a number,
        which is left out.
    data, loss, batch_size, callbacks, shuffle, seed: as in `nn.fit`.

    Source: Smith 2015, "Cyclical learning rates for training neural networks", arXiv:1506.01186, section 3.3.
    """
    check_training("lr_find", model, loss, optimizer, callbacks)
    check_positive("lr_find", start=start, end=end, smoothing=smoothing)
    check_limit("lr_find", stop=stop)
    if check_count("lr_find: steps", steps) < 2 or not start < end:
        raise ValueError(f"lr_find: {start=}, {end=}, {steps=}; give a start below the end, and at least 2 steps")
    if smoothing > 1 or stop <= 1:
        raise ValueError(f"lr_find: {smoothing=}, {stop=}; smoothing is a share of at most 1, stop a factor above 1")
    growth = _Growth(np.geomspace(start, end, steps).tolist(), smoothing, stop)
    with restored(model, optimizer), warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)  # here divergence is what we came to see
        history = fit(
            *(model, data, loss, optimizer, steps, batch_size),
            callbacks=[*callbacks, growth],
            shuffle=shuffle,
            seed=seed,
        )
    losses = history.step_loss[: history.diverged_at]
    reason = "" if len(losses) == steps else history.stopped
    return RangeTest(growth.rates[: len(losses)], losses, smooth(losses, smoothing), reason)


class _Growth(Callback):
    """Raises the learning rate after every step, and ends the training where that has gone far enough."""

    def __init__(self, rates: list[float], smoothing: float, stop: float) -> None:
        self.rates, self.smoothing, self.stop = rates, smoothing, stop

    def on_train_begin(self, run: Run) -> None:
        run.optimizer.lr = self.rates[0]

    def on_step_end(self, run: Run) -> None:
        done, smoothed = len(run.history.step_loss), smooth(run.history.step_loss, self.smoothing)
        best = min(smoothed)
        if 0 < self.stop * best < smoothed[-1]:
            run.history.stopped = f"the loss rose to {self.stop:g} times its smallest at a rate of {run.optimizer.lr:g}"
        elif done == len(self.rates):
            run.history.stopped = "all rates were tried"
        else:
            run.optimizer.lr = self.rates[done]


def smooth(losses: Sequence[float], share: float = 0.05) -> list[float]:
    """Running means, in which every loss counts `share` and what was before the rest.

    The mean begins at 0; dividing by 1 - (1 - share)^t after t losses corrects for that, as Adam does (Kingma and Ba
    2015, section 3), so that the first is the first loss itself.
    """
    mean, smoothed = 0.0, []
    for t, loss in enumerate(losses, start=1):
        mean = (1 - share) * mean + share * loss
        smoothed.append(mean / (1 - (1 - share) ** t))
    return smoothed


def _valley(losses: Sequence[float]) -> int:
    """The place of fastai's `valley`: about half of the way through the longest decreasing subsequence of the losses,
    counted in its steps back from its last element.
    """
    lengths: list[int] = []  # of the longest one that ends at each loss
    for i, loss in enumerate(losses):
        lengths.append(1 + max((lengths[j] for j in range(i) if losses[j] > loss), default=0))
    longest = max(lengths)
    return lengths.index(longest) - longest + longest // 3 + longest // 6
