"""Curves of training, with Matplotlib.

Every function draws into `ax` (a new figure's, if left out), returns the axes, and neither shows nor saves anything.
Curves are plain lists of numbers, or a history as `nn.fit` returns it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from nn import History, diagnose_sweep
from nn.diagnosis import DIVERGED, JUST_RIGHT, TOO_HIGH, TOO_LOW
from viz.canvas import axes_of, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Sequence[float] | History

_STYLES = {TOO_LOW: "--", JUST_RIGHT: "-", TOO_HIGH: ":", DIVERGED: "-."}


def loss_curves(curves: Curve | Mapping[str, Curve], ax: Axes | None = None) -> Axes:
    """The loss of every epoch; with validation data, that loss too, dashed.

    curves: one curve, or several by name.
    """
    named = curves if isinstance(curves, Mapping) else {"training": curves}
    if not named or not all(isinstance(curve, History | Sequence) for curve in named.values()):
        raise ValueError(f"loss_curves: {curves!r:.80} holds no curves; give a history, or several by name")
    ax = axes_of(ax)
    for name, curve in named.items():
        losses = curve.loss if isinstance(curve, History) else curve
        (line,) = ax.plot(range(1, len(losses) + 1), losses, label=name)
        if isinstance(curve, History) and curve.validation_loss:
            epochs = range(1, len(curve.validation_loss) + 1)
            label = "validation" if name == "training" else f"{name}, validation"
            ax.plot(epochs, curve.validation_loss, "--", color=line.get_color(), label=label)
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend(frameon=False)
    return plain(ax)


def learning_rate_curves(curves: Mapping[float, Curve], ax: Axes | None = None) -> Axes:
    """The loss of every step for several learning rates, each labelled with its verdict (see `nn.diagnose_sweep`).

    Colours go from dark to light with the rate, line styles with the verdict. Both axes are logarithmic, for what
    diverges does so within a few steps. The frame ends a little above the first losses; a cross marks where a curve
    that diverged leaves it.

    curves: learning rate to losses, or to a history.
    """
    from matplotlib import colormaps

    if not curves or not isinstance(curves, Mapping) or not all(isinstance(rate, Real) for rate in curves):
        raise ValueError("learning_rate_curves: there are no curves by learning rate; give {0.1: losses, ...}")
    losses = {rate: c.step_loss if isinstance(c, History) else list(c) for rate, c in sorted(curves.items())}
    verdicts = diagnose_sweep(losses)
    ax = axes_of(ax)
    top = 3 * max((curve[0] for curve in losses.values() if 0 < curve[0] < np.inf), default=1.0)
    bottom = min((loss for curve in losses.values() for loss in curve if 0 < loss <= top), default=top / 10) / 1.5
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(losses)))
    for (rate, curve), colour in zip(losses.items(), colours, strict=True):
        verdict, steps = verdicts[rate].name, np.arange(1, len(curve) + 1)
        heights = np.minimum(curve, 1e9 * top)  # far above the frame, where infinity has a place too
        width = 2.5 if verdict == JUST_RIGHT else 1.5
        ax.plot(steps, heights, _STYLES[verdict], color=colour, linewidth=width, label=f"{rate:g}: {verdict}")
        if verdict == DIVERGED:
            ax.plot(_crossing(steps, heights, top), top, "X", color=colour, markersize=10, clip_on=False, zorder=3)
    ax.set(xlabel="step (the first is 1)", ylabel="loss", xscale="log", yscale="log", ylim=(bottom, top))
    ax.legend(title="learning rate", frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return plain(ax)


def _crossing(steps: np.ndarray, heights: np.ndarray, top: float) -> float:
    """The step, in fractions, at which a curve on logarithmic axes first crosses `top`."""
    above = np.flatnonzero(heights > top)
    if len(above) == 0 or above[0] == 0:
        return float(steps[-1] if len(above) == 0 else steps[0])
    pair = slice(above[0] - 1, above[0] + 1)
    return float(np.exp(np.interp(np.log(top), np.log(heights[pair]), np.log(steps[pair]))))
