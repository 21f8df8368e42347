"""What a loss curve says about the learning rate, by rules that are computed and stated.

A learning rate is too low where the loss is still on its way down when training ends, too high where the loss swings
or comes to rest far above what another rate reaches, and has diverged where the loss has left all bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

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
    """

    name: str
    reason: str


def diagnose(losses: Sequence[float]) -> Verdict:
    """Judge the learning rate from one loss curve, a loss for every step or every epoch; at least 4 are needed,
    unless the loss has diverged. Of an `nn.History` give `step_loss` or `loss`.
    """
    if not isinstance(losses, Sequence):
        raise TypeError(f"diagnose: losses are a {type(losses).__name__}; give a list, such as history.step_loss")
    diverged_at = _diverged_at(losses)
    if diverged_at is not None:
        return Verdict(DIVERGED, f"diverged at step {diverged_at}: the loss became {losses[diverged_at]:.3g}")
    if len(losses) < 4:
        raise ValueError(f"diagnose: {len(losses)} losses say too little; give at least 4")
    first, fall = losses[0], _fall(losses)
    steps = [after - before for before, after in pairwise(losses)]
    upward = sum(step > 0 for step in steps) / len(steps)
    if fall <= 0 and upward > 0:
        return Verdict(TOO_HIGH, f"the loss did not come down: it began at {first:.3g} and ended at {losses[-1]:.3g}")
    swing = fmean(abs(step) for step in steps[len(steps) // 2 :])
    if upward >= UPWARD and swing >= SWING * fall and _undoes_itself(steps):
        return Verdict(TOO_HIGH, f"the loss swings: {upward:.0%} of the steps go up, by {swing:.3g} on average")
    before = losses[: -max(1, len(losses) // 4)]
    late = fall - _fall(before)
    if late > STILL_FALLING * fall or fall == 0:
        share = late / fall if fall else 1.0
        return Verdict(TOO_LOW, f"the loss is still falling: {share:.0%} of its fall came in the last quarter")
    share = max(late / fall, 0)
    return Verdict(JUST_RIGHT, f"the loss fell from {first:.3g} to {losses[-1]:.3g}, only {share:.0%} of that late")


def diagnose_sweep(curves: Mapping[float, Sequence[float]]) -> dict[float, Verdict]:
    """Judge several learning rates by their curves, given as rate to losses.

    With others to compare, a rate that did not get as far as the best is too low if it is smaller than the best one,
    and too high if it is larger. The others are judged each by its own curve.
    """
    verdicts = {}
    for rate, losses in curves.items():
        try:
            verdicts[rate] = diagnose(losses)
        except (TypeError, ValueError) as error:
            raise type(error)(f"learning rate {rate}: {error}") from None
    falls = {rate: _fall(losses) for rate, losses in curves.items() if verdicts[rate].name != DIVERGED}
    best = max(falls, key=lambda rate: falls[rate], default=math.nan)
    for rate, fall in falls.items():
        if falls[best] > 0 and fall < NEARLY_BEST * falls[best]:
            share = f"the loss fell {max(fall / falls[best], 0):.0%} as far as with a rate of {best:g}"
            verdicts[rate] = Verdict(TOO_LOW if rate < best else TOO_HIGH, share)
    return verdicts


def _diverged_at(losses: Sequence[float]) -> int | None:
    """The first step whose loss is no finite number; where there is none, the first at which it had blown up."""
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            return step
    bound = BLOWN_UP * abs(losses[0]) if len(losses) and losses[0] else math.inf
    return next((step for step, loss in enumerate(losses) if abs(loss) > bound), None)


def _fall(losses: Sequence[float]) -> float:
    """How far the loss came down, from the first to the last (the median of the last tenth, for steps are noisy)."""
    return losses[0] - median(losses[-max(1, len(losses) // 10) :])


def _undoes_itself(steps: Sequence[float]) -> bool:
    """Whether a step tends to be followed by one the other way: the sign of the lag-1 autocorrelation."""
    centre = fmean(steps)
    return sum((a - centre) * (b - centre) for a, b in pairwise(steps)) < 0
