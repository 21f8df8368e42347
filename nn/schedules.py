"""Schedules: how the learning rate changes while training goes on. Names, arguments and numbers are PyTorch's.

A schedule is a formula: `lr_at(t)` is the learning rate after t steps of the schedule, counted from 0. What a step is,
an epoch or an update, is for the caller to say:

for epoch in range(epochs):
    ...                  # optimizer.zero_grad(); loss.backward(); optimizer.step(), for each batch
    schedule.step()      # after the optimizer

`fit` does so with the callback `nn.Schedule(schedule, every="epoch")` or `every="step"`. `preview(n)` is the curve of
the next n learning rates, to look at before anything is trained.

In the formulas lr is the rate that the optimizer was made with. Several schedules of one optimizer, as `SequentialLR`
joins them, all count from that.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

from nn.data import check_count
from nn.hints import SCHEDULE, missing
from nn.optim import Optimizer, check_not_negative, check_positive


class LRScheduler:
    """Sets the learning rate of an optimizer, now and with every `step`. A subclass says in `lr_at` what it is.

    optimizer: whose `lr` is set.
    base_lr: the rate from which the formula counts.
    steps: how many steps were taken.
    last_lr: the rate that was set last.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name}: optimizer={optimizer!r:.80}; give one, such as nn.SGD(model.parameters())")
        if optimizer.initial_lr is None:
            optimizer.initial_lr = optimizer.lr
        self.optimizer = optimizer
        self.base_lr: float = optimizer.initial_lr
        self.steps = 0
        self.apply(0)

    if not TYPE_CHECKING:  # which is to find names that do not exist

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, SCHEDULE)

    @property
    def last_lr(self) -> float:
        """The learning rate that was set last."""
        return self.lr_at(self.steps)

    def lr_at(self, t: int) -> float:
        """The learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} does not say what lr_at() is")

    def apply(self, t: int) -> None:
        """Give the optimizer what belongs to step t."""
        self.optimizer.lr = self.lr_at(t)

    def step(self, metrics: float | None = None) -> None:
        """Go one step further.

        metrics: the loss, or what else is watched; formulas pay no attention to it, `ReduceLROnPlateau` does.
        """
        self.apply(self.steps + 1)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step, as plain numbers. With it and the same settings the schedule goes on."""
        return {"base_lr": self.base_lr, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, from a schedule of the same kind, and set the rate that belongs to it.

        (`ReduceLROnPlateau` sets none: its rate is in the `state_dict` of the optimizer.)
        """
        vars(self).update(state)
        self.apply(self.steps)

    def preview(self, steps: int) -> list[float]:
        """The learning rates of the next `steps` steps, from the present one on; nothing is changed."""
        check_count(f"{type(self).__name__}.preview: steps", steps)
        return [self.lr_at(t) for t in range(self.steps, self.steps + steps)]


class StepLR(LRScheduler):
    """lr(t) = lr * gamma^floor(t / step_size): a cut every `step_size` steps.

    gamma: 0.1 unless given.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = check_count("StepLR: step_size", step_size)
        check_positive("StepLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, t: int) -> float:
        return self.base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """lr(t) = lr * gamma^(number of milestones up to t): a cut at each milestone.

    milestones: numbers of steps; one that stands there twice counts twice.
    gamma: 0.1 unless given.
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(check_count("MultiStepLR: a milestone", milestone) for milestone in milestones)
        check_positive("MultiStepLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, t: int) -> float:
        return self.base_lr * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """lr(t) = lr * gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        check_positive("ExponentialLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, t: int) -> float:
        return self.base_lr * self.gamma**t


class CosineAnnealingLR(LRScheduler):
    """lr(t) = eta_min + (lr - eta_min) * (1 + cos(pi * t / T_max)) / 2: half a wave, down to `eta_min` at T_max.

    T_max: the number of steps to the bottom; afterwards the rate would rise again.
    eta_min: 0 unless given.
    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803
        self.T_max = check_count("CosineAnnealingLR: T_max", T_max)
        check_not_negative("CosineAnnealingLR", eta_min=eta_min)
        self.eta_min = eta_min
        super().__init__(optimizer)

    def lr_at(self, t: int) -> float:
        return _anneal_cos(self.base_lr, self.eta_min, t / self.T_max)


class LinearLR(LRScheduler):
    """lr(t) = lr * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters): a warm-up.

    start_factor, end_factor: from 1/3 to 1 unless given.
    total_iters: the number of steps from one to the other, 5 unless given.
    Source: Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        check_positive("LinearLR", start_factor=start_factor)
        check_not_negative("LinearLR", end_factor=end_factor)
        if max(start_factor, end_factor) > 1:
            raise ValueError(
                f"LinearLR: {start_factor=}, {end_factor=}; they are shares of the optimizer's lr, so 1 is the most"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = check_count("LinearLR: total_iters", total_iters)
        super().__init__(optimizer)

    def lr_at(self, t: int) -> float:
        return self.base_lr * _anneal_linear(self.start_factor, self.end_factor, min(t / self.total_iters, 1.0))


class SequentialLR(LRScheduler):
    """One schedule after another: from each milestone on the next one, which then begins at its own step 0.

    schedulers: schedules of the same optimizer, each with a formula.
    milestones: the steps at which the second, the third, ... begin; one less than there are schedules.

    Warm-up, then cosine:

    >>> import fast, nn
    >>> optimizer = nn.SGD(nn.MLP([2, 1], engine=fast).parameters(), lr=1.0)
    >>> parts = nn.LinearLR(optimizer, start_factor=0.25, total_iters=3), nn.CosineAnnealingLR(optimizer, T_max=4)
    >>> [round(lr, 4) for lr in nn.SequentialLR(optimizer, parts, milestones=[3]).preview(8)]
    [0.25, 0.5, 0.75, 1.0, 0.8536, 0.5, 0.1464, 0.0]
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        self.schedulers = list(schedulers)
        for part in self.schedulers:
            if not isinstance(part, LRScheduler) or isinstance(part, ReduceLROnPlateau):
                raise TypeError(f"SequentialLR: {part!r:.80} has no formula in t; join schedules such as nn.LinearLR")
            if part.optimizer is not optimizer:
                raise ValueError("SequentialLR: the schedules belong to different optimizers; make all with this one")
        self.milestones = [check_count("SequentialLR: a milestone", milestone) for milestone in milestones]
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(self.schedulers)} schedulers and {milestones=}; give one milestone less than "
                "there are schedulers, the steps at which the others take over"
            )
        if any(later <= earlier for earlier, later in pairwise(self.milestones)):
            raise ValueError(f"SequentialLR: {milestones=}; each must be larger than the one before")
        super().__init__(optimizer)

    def _part(self, t: int) -> tuple[LRScheduler, int]:
        """The schedule to which step t belongs, and the number that the step has there."""
        number = bisect_right(self.milestones, t)
        return self.schedulers[number], t - ([0] + self.milestones)[number]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [part.state_dict() for part in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for part, kept in zip(self.schedulers, state["schedulers"], strict=True):
            part.load_state_dict(kept)
        super().load_state_dict({name: kept for name, kept in state.items() if name != "schedulers"})

    def lr_at(self, t: int) -> float:
        part, own_t = self._part(t)
        return part.lr_at(own_t)

    def apply(self, t: int) -> None:
        part, own_t = self._part(t)
        part.apply(own_t)


class OneCycleLR(LRScheduler):
    """Up to `max_lr`, then down to almost nothing, once; the momentum does the opposite.

    The rate begins at max_lr / div_factor, reaches max_lr at step pct_start * total_steps - 1, and ends at
    max_lr / div_factor / final_div_factor at step total_steps - 1. Both ways are half a cosine wave, as in
    `CosineAnnealingLR`, or straight.

    total_steps: how many steps there will be in all; one more is refused.
    pct_start: the share of them that goes up, 0.3 unless given.
    anneal_strategy: "cos" unless given, or "linear".
    cycle_momentum: whether the optimizer's momentum (for Adam: the first of its betas) goes from `max_momentum`, 0.95,
        down to `base_momentum`, 0.85, and back. True unless given.
    div_factor, final_div_factor: 25 and 1e4 unless given.
    Source: Smith and Topin 2018, "Super-convergence", in PyTorch's two-phase form.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        *,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        check_positive("OneCycleLR", max_lr=max_lr, div_factor=div_factor, final_div_factor=final_div_factor)
        check_not_negative("OneCycleLR", pct_start=pct_start, base_momentum=base_momentum, max_momentum=max_momentum)
        if max(base_momentum, max_momentum) >= 1:
            raise ValueError(f"OneCycleLR: {base_momentum=}, {max_momentum=}; both must be below 1")
        self.total_steps = check_count("OneCycleLR: total_steps", total_steps)
        if pct_start > 1:
            raise ValueError(f"OneCycleLR: {pct_start=}; give the share of the steps that goes up, from 0 to 1")
        self.pct_start = pct_start
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f'OneCycleLR: {anneal_strategy=}; use "cos" or "linear"')
        self._anneal = _anneal_cos if anneal_strategy == "cos" else _anneal_linear
        self.initial_lr, self.max_lr = max_lr / div_factor, max_lr
        self.min_lr = self.initial_lr / final_div_factor
        self.cycle_momentum = cycle_momentum
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        super().__init__(optimizer)

    def lr_at(self, t: int) -> float:
        return self._between(t, self.initial_lr, self.max_lr, self.min_lr)

    def momentum_at(self, t: int) -> float:
        """The momentum after t steps."""
        return self._between(t, self.max_momentum, self.base_momentum, self.max_momentum)

    def _between(self, t: int, start: float, peak: float, end: float) -> float:
        """Where the way from `start` over `peak` to `end` is at step t."""
        if t > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {t} of total_steps={self.total_steps}; count the steps again: as many as there are "
                'batches in all epochs with every="step", as many as epochs with every="epoch"'
            )
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if t <= top or top >= last:
            return self._anneal(start, peak, min(t / top, 1.0) if top > 0 else 1.0)
        return self._anneal(peak, end, min((t - top) / (last - top), 1.0))

    def apply(self, t: int) -> None:
        if self.cycle_momentum:
            settings, momentum = self.optimizer.settings, self.momentum_at(t)
            if "betas" in settings:
                settings["betas"] = (momentum, settings["betas"][1])
            elif "momentum" in settings:
                settings["momentum"] = momentum
            else:
                name = type(self.optimizer).__name__
                raise ValueError(f"OneCycleLR: {name} has no momentum to cycle; give cycle_momentum=False")
        super().apply(t)


class ReduceLROnPlateau(LRScheduler):
    """A cut when the loss no longer falls: lr = max(factor * lr, min_lr).

    A step with a loss below (1 - threshold) * the best one so far is an improvement. After more than `patience` steps
    without any the rate is cut; then `cooldown` steps are not counted.

    mode: "min" unless given; "max" for what shall grow, such as an accuracy, which improves above
        (1 + threshold) * the best.
    factor, patience, threshold: 0.1, 10 and 1e-4 unless given.
    cooldown, min_lr: 0 unless given.
    eps: a cut that would change the rate by no more than this is not made, 1e-8 unless given.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        *,
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f'ReduceLROnPlateau: {mode=}; use "min" for a loss, "max" for an accuracy')
        check_positive("ReduceLROnPlateau", factor=factor)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: {factor=}; the rate is multiplied by it, so it must be below 1")
        check_not_negative("ReduceLROnPlateau", patience=patience, threshold=threshold)
        check_not_negative("ReduceLROnPlateau", cooldown=cooldown, min_lr=min_lr, eps=eps)
        self.mode, self.factor, self.patience, self.threshold = mode, factor, patience, threshold
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_steps = self.cooling = 0
        super().__init__(optimizer)

    def apply(self, t: int) -> None:
        """Nothing: the rate depends on the losses, not on t."""

    @property
    def last_lr(self) -> float:
        return self.optimizer.lr

    def step(self, metrics: float | None = None) -> None:
        """Look at the loss, and cut the rate if it is time to."""
        if not isinstance(metrics, Real):
            raise TypeError(f"ReduceLROnPlateau.step: {metrics=}; give the loss that is watched, a number")
        self.steps += 1
        self.bad_steps += 1
        if self._improves(float(metrics)):
            self.best, self.bad_steps = float(metrics), 0
        if self.cooling > 0:
            self.cooling, self.bad_steps = self.cooling - 1, 0
        if self.bad_steps > self.patience:
            self.cooling, self.bad_steps = self.cooldown, 0
            lower = max(self.optimizer.lr * self.factor, self.min_lr)
            if self.optimizer.lr - lower > self.eps:
                self.optimizer.lr = lower

    def state_dict(self) -> dict[str, Any]:
        counted = {"best": self.best, "bad_steps": self.bad_steps, "cooling": self.cooling}
        return {**super().state_dict(), **counted}

    def _improves(self, metric: float) -> bool:
        if self.mode == "min":
            return metric < self.best * (1 - self.threshold)
        return metric > self.best * (1 + self.threshold)

    def preview(self, steps: int) -> list[float]:
        """The learning rates of the next `steps` steps if nothing improves any more; nothing is changed."""
        check_count("ReduceLROnPlateau.preview: steps", steps)
        twin = copy(self)
        twin.optimizer = copy(self.optimizer)
        rates = []
        for _ in range(steps):
            rates.append(twin.last_lr)
            twin.step(math.nan)
        return rates


def _anneal_cos(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine wave, slow at both ends; `share` of the way is done."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _anneal_linear(start: float, end: float, share: float) -> float:
    """From start to end in a straight line; `share` of the way is done."""
    return start + (end - start) * share
