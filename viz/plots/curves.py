"""Curves of training, with Matplotlib: losses, learning rates, and what the one does to the other.

Curves are plain sequences or arrays of numbers, or a history as `nn.fit` returns it. An axis is logarithmic where its
numbers span a factor of 10 or more and none is negative. Steps are counted from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nn import History, RangeTest, diagnose_sweep
from nn.diagnosis import DIVERGED, JUST_RIGHT, TOO_HIGH, TOO_LOW
from viz.plots.canvas import COLOURS, MARKERS, axes_of, colour_of, legend_beside, pair_of, plain, shades
from viz.plots.inputs import Curve, array_of, curves_by_name, is_rate, numbers_of
from viz.plots.scales import count_in_whole_numbers, draw_curve, frame, frame_losses, scale, scale_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = {TOO_LOW: "--", JUST_RIGHT: "-", TOO_HIGH: ":", DIVERGED: "-."}


def loss_curves(curves: Curve | Mapping[str, Curve], ax: Axes | None = None) -> Axes:
    """The loss of every epoch; with validation data, that loss too, dashed. A cross marks where a loss diverged.

    curves: one curve, or several by name.
    """
    named = curves if isinstance(curves, Mapping) else {"training": curves}
    if not named or not all(isinstance(curve, History | Sequence | np.ndarray) for curve in named.values()):
        raise ValueError(f"loss_curves: {curves!r:.80} holds no curves; give a history, or several by name")
    drawn = []
    for place, (name, curve) in enumerate(named.items()):
        losses, held_out = (curve.loss, curve.validation_loss) if isinstance(curve, History) else (curve, [])
        drawn.append((numbers_of(f"loss_curves: {name}", losses), name, {"color": colour_of(place)}))
        if held_out:
            label = "validation" if name == "training" else f"{name}, validation"
            style = {"color": colour_of(place), "linestyle": "--"}
            drawn.append((numbers_of(f"loss_curves: {label}", held_out), label, style))
    ax = axes_of("loss_curves", ax)
    frame_losses(ax, [losses for losses, _, _ in drawn])
    for losses, label, style in drawn:
        draw_curve(ax, np.arange(1, len(losses) + 1), losses, label=label, **style)
    count_in_whole_numbers(ax)
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend(frameon=False)
    return plain(ax)


def learning_rate_curves(curves: Mapping[float, Curve], ax: Axes | None = None) -> Axes:
    """The loss of every step for several learning rates, each labelled with its verdict (see `nn.diagnose_sweep`).

    Colours go from dark to light with the rate, line styles with the verdict. The frame ends a little above the highest
    loss of the curves that did not diverge; a cross marks where a curve that diverged leaves it.

    curves: learning rate to losses, or to a history.
    """
    if not curves or not isinstance(curves, Mapping) or not all(is_rate(rate) for rate in curves):
        raise ValueError("learning_rate_curves: there are no curves by learning rate; give {0.1: losses, ...}")
    losses = {rate: numbers_of(f"learning_rate_curves: {rate}", curve) for rate, curve in sorted(curves.items())}
    verdicts = diagnose_sweep(losses)
    ax = axes_of("learning_rate_curves", ax)
    scale_steps(ax, max(len(curve) for curve in losses.values()))
    frame_losses(ax, losses.values())
    for (rate, curve), colour in zip(losses.items(), shades(len(losses)), strict=True):
        verdict = verdicts[rate]
        width = {JUST_RIGHT: 2.5, TOO_HIGH: 2.0}.get(verdict.name, 1.5)
        style = {"linestyle": _STYLES[verdict.name], "linewidth": width, "color": colour}
        draw_curve(ax, np.arange(len(curve)), curve, label=f"{rate:.3g}: {verdict.label}", **style)
    ax.set(xlabel="step", ylabel="loss")
    legend_beside(ax, title="learning rate")
    return plain(ax)


def range_test(result: RangeTest, ax: Axes | None = None) -> Axes:
    """The losses of a range test against the growing learning rate, raw and smoothed, with the suggestions marked.

    result: what `nn.lr_find` returns, or an `nn.RangeTest` made from the rates and losses of other software.
    """
    if not isinstance(result, RangeTest) or not len(result.rates) == len(result.losses) == len(result.smoothed) > 0:
        raise ValueError(f"range_test: {result!r:.80} holds no rates and losses of equal number; give nn.lr_find(...)")
    rates, smoothed = array_of("range_test: rates", result.rates), array_of("range_test: smoothed", result.smoothed)
    losses = array_of("range_test: losses", result.losses)
    if not all(is_rate(rate) for rate in rates) or not (np.diff(rates) > 0).all():
        raise ValueError(f"range_test: rates={result.rates!r:.80}; give growing numbers above 0")
    ax = axes_of("range_test", ax)
    scale(ax, "x", rates)
    lowest = int(np.argmin(smoothed))
    before = smoothed[: lowest + 1]
    frame(ax, [*before, *losses[: lowest + 1], before.max() + 0.3 * np.ptp(before)])
    ax.plot(rates, losses, color="0.7", linewidth=1, label="loss")
    ax.plot(rates, smoothed, color=COLOURS[0], linewidth=2, label="smoothed")
    for place, (name, rate) in enumerate(result.suggestions().items(), start=1):
        height = np.interp(np.log(rate), np.log(rates), smoothed)
        ax.axvline(rate, color=colour_of(place), linewidth=1, linestyle=":")
        look: dict[str, Any] = {"color": colour_of(place), "markersize": 9, "markeredgecolor": "white", "zorder": 4}
        ax.plot(rate, height, MARKERS[place], label=f"{name}: {rate:.2g}", **look)
    ax.set(xlabel="learning rate", ylabel="loss")
    legend_beside(ax)
    return plain(ax)


def schedule_curves(schedules: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """The learning rate of every step under several schedules.

    schedules: name to learning rates, as `schedule.preview(steps)` gives them.
    """
    rates = curves_by_name("schedule_curves", schedules)
    ax = axes_of("schedule_curves", ax)
    _draw_rates(ax, rates)
    ax.set_xlabel("step")
    legend_beside(ax)
    return plain(ax)


def schedule_effects(
    schedules: Mapping[str, Sequence[float]],
    losses: Mapping[str, Curve],
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """The learning rate of every step under several schedules, and below it the loss to which it led.

    schedules: name to learning rates, as in `schedule_curves`; one for each loss (of a schedule that goes on with the
        epochs, repeat each rate for the steps of its epoch).
    losses: under the same names the loss of every step, or a history. A cross marks where a loss diverged.
    axes: one for the rates and one for the losses; new ones above each other, if left out. Both are returned.
    """
    rates = curves_by_name("schedule_effects", schedules)
    curves = curves_by_name("schedule_effects", losses)
    if rates.keys() != curves.keys():
        raise ValueError(
            f"schedule_effects: the schedules are {list(rates)}, the losses {list(curves)}; name them alike"
        )
    for name, curve in curves.items():
        if len(curve) > len(rates[name]):
            raise ValueError(
                f"schedule_effects: {name} has {len(curve)} losses and {len(rates[name])} rates; one for each"
            )
    above, below = pair_of("schedule_effects", axes)
    _draw_rates(above, rates)
    frame_losses(below, curves.values())
    for place, (name, curve) in enumerate(curves.items()):
        draw_curve(below, np.arange(len(curve)), curve, color=colour_of(place), label=name, linewidth=1.2)
    below.set(xlabel="step", ylabel="loss")
    legend_beside(above)
    return plain(above), plain(below)


def _draw_rates(ax: Axes, rates: dict[str, np.ndarray]) -> None:
    for place, (name, curve) in enumerate(rates.items()):
        ax.plot(np.arange(len(curve)), curve, color=colour_of(place), label=name, drawstyle="steps-post")
    ax.set(ylabel="learning rate", ylim=(0, None))
