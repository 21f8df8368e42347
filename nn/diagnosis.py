"""What a loss curve says about the learning rate, by rules that are computed and stated.

A learning rate is too low where the loss is still on its way down when training ends, too high where the loss swings
or comes to rest far above what another rate reaches, and has diverged where the loss has left all bounds.

Curves are sequences or one-dimensional arrays of losses; steps are counted from 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

import numpy as np

#: A loss for every step, or for every epoch.
Losses = Sequence[float] | np.ndarray

TOO_LOW, JUST_RIGHT, TOO_HIGH, DIVERGED = "too low", "just right", "too high", "diverged"

#: A loss that has grown by this factor counts as diverged, as it does in maps of trainability.
BLOWN_UP = 1e6
#: Share of the whole fall that still happened in the last quarter, from which a rate counts as too low.
STILL_FALLING = 0.15
#: Mean step in the second half, as a share of the whole fall, from which a curve swings ...
SWING = 0.25
#: ... if at least this share of all steps went up, and a step tends to undo the one before.
UPWARD = 0.25
#: Share of the best fall in a sweep, from which a rate is as good as the best.
NEARLY_BEST = 0.9


@dataclass(frozen=True)
class Verdict:
    """What a learning rate was, and why.

    name: "too low", "just right", "too high" or "diverged".
    reason: a sentence with the numbers that decided.
    how: what the name leaves open: "(oscillating)" where the rate was too high because the loss swings, "at step 7"
        where the loss diverged there; else empty.
    label: name and how, for legends: "too high (oscillating)", "diverged at step 7".
    """

    name: str
    reason: str
    how: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} {self.how}".strip()


def diagnose(losses: Losses) -> Verdict:
    """Judge the learning rate from one loss curve, a loss for every step or every epoch; at least 4 are needed,
    unless the loss has diverged. Of an `nn.History` give `step_loss` or `loss`.
    """
    losses = _as_list("diagnose", losses)
    step = diverged_at(losses)
    if step is not None:
        reason = f"diverged at step {step}: the loss became {losses[step]:.3g}"
        return Verdict(DIVERGED, reason, f"at step {step}")
    if len(losses) < 4:
        raise ValueError(f"diagnose: {len(losses)} losses say too little; give at least 4")
    first, fall = losses[0], _fall(losses)
    steps = [after - before for before, after in pairwise(losses)]
    upward = sum(step > 0 for step in steps) / len(steps)
    if fall <= 0 and upward > 0:
        return Verdict(TOO_HIGH, f"the loss did not come down: it began at {first:.3g} and ended at {losses[-1]:.3g}")
    swing = fmean(abs(step) for step in steps[len(steps) // 2 :])
    if upward >= UPWARD and swing >= SWING * fall and _undoes_itself(steps):
        reason = f"the loss swings: {upward:.0%} of the steps go up, and a step is {swing:.3g} long on average"
        return Verdict(TOO_HIGH, reason, "(oscillating)")
    before = losses[: -max(1, len(losses) // 4)]
    late = fall - _fall(before)
    if late > STILL_FALLING * fall or fall == 0:
        share = late / fall if fall else 1.0
        return Verdict(TOO_LOW, f"the loss is still falling: {share:.0%} of its fall came in the last quarter")
    share = max(late / fall, 0)
    return Verdict(JUST_RIGHT, f"the loss fell from {first:.3g} to {losses[-1]:.3g}, only {share:.0%} of that late")


def diagnose_sweep(curves: Mapping[float, Losses]) -> dict[float, Verdict]:
    """Judge several learning rates by their curves, given as rate to losses.

    With others to compare, a rate that did not get as far as the best is too low if it is smaller than the best one,
    and too high if it is larger. The others are judged each by its own curve, and so are those whose loss swings or
    diverged: where they happen to end says little.
    """
    if not isinstance(curves, Mapping):
        raise TypeError(f"diagnose_sweep: {curves!r:.80} has no learning rates; give {{0.1: losses, 0.2: losses}}")
    verdicts = {}
    for rate, losses in curves.items():
        try:
            verdicts[rate] = diagnose(losses)
        except (TypeError, ValueError) as error:
            raise type(error)(f"learning rate {rate}: {error}") from None
    falls = {rate: _fall(losses) for rate, losses in curves.items() if not verdicts[rate].how}
    best = max(falls, key=lambda rate: falls[rate], default=math.nan)
    for rate, fall in falls.items():
        if falls[best] > 0 and fall < NEARLY_BEST * falls[best]:
            share = f"the loss fell {max(fall / falls[best], 0):.0%} as far as with a rate of {best:g}"
            verdicts[rate] = Verdict(TOO_LOW if rate < best else TOO_HIGH, share)
    return verdicts


def diverged_at(losses: Losses) -> int | None:
    """The first step whose loss is no finite number or has grown a million times; None if there is none.

    (How much longer it takes until the numbers overflow, which `History.diverged_at` tells, depends on their type.)
    """
    bound = BLOWN_UP * abs(losses[0]) if len(losses) and losses[0] else math.inf
    numbers = np.asarray(losses, np.float64)
    bad = ~np.isfinite(numbers) | (abs(numbers) > bound)
    return int(bad.argmax()) if bad.any() else None


def final_loss(losses: Losses) -> float:
    """Where a loss curve came to rest: the median of its last tenth, for steps are noisy; infinity if it diverged.

    It is what `viz.learning_rate_spread` and `viz.loss_map` draw of each run.
    """
    losses = _as_list("final_loss", losses)
    if not losses:
        raise ValueError("final_loss: there are no losses; give at least one")
    return math.inf if diverged_at(losses) is not None else _last(losses)


def _as_list(name: str, losses: Losses) -> list[float]:
    if not isinstance(losses, Sequence | np.ndarray) or np.ndim(losses) != 1:
        shape = f" of shape {np.shape(losses)}" if isinstance(losses, np.ndarray) else ""
        raise TypeError(f"{name}: losses are a {type(losses).__name__}{shape}; give a list, such as history.step_loss")
    return np.asarray(losses, np.float64).tolist()


def _fall(losses: Losses) -> float:
    """How far the loss came down, from the first to the last."""
    return float(losses[0]) - _last(losses)


def _last(losses: Losses) -> float:
    return median(float(loss) for loss in losses[-max(1, len(losses) // 10) :])


def _undoes_itself(steps: Sequence[float]) -> bool:
    """Whether a step tends to be followed by one the other way: the sign of the lag-1 autocorrelation."""
    centre = fmean(steps)
    return sum((a - centre) * (b - centre) for a, b in pairwise(steps)) < 0
