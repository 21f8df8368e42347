"""Axes that suit their numbers, and curves that leave them: logarithmic where needed, divergence marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.diagnosis import diverged_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.lines import Line2D


def wide(numbers: Any) -> bool:
    """Whether numbers need a logarithmic axis: none below 0, and those above 0 span a factor of 10 or more."""
    numbers = np.asarray(numbers, "float64")
    above = numbers[np.isfinite(numbers) & (numbers > 0)]
    return not (numbers < 0).any() and len(above) > 0 and bool(above.max() / 10 >= above.min())


def scale(ax: Axes, axis: str, numbers: Any) -> None:
    """Make axis "x" or "y" logarithmic where `numbers` are `wide`, with a place for 0 where 0 is among them."""
    numbers = np.asarray(numbers, "float64").ravel()
    chosen: dict[str, Any] = {"value": "linear"}
    if wide(numbers) and (numbers == 0).any():
        chosen = {"value": "symlog", "linthresh": numbers[numbers > 0].min(), "linscale": 0.5}
    elif wide(numbers):
        chosen = {"value": "log"}
    (ax.set_xscale if axis == "x" else ax.set_yscale)(**chosen)
    if axis == "y" and chosen["value"] == "log":
        label_plainly(ax.yaxis, numbers)


def label_plainly(axis: Axis, numbers: np.ndarray) -> None:
    """Write 0.2 at a logarithmic axis, where Matplotlib writes 2 x 10^-1; and 2 and 5 only within two decades.

    Numbers below 0.001 and above 10,000 are left as powers of 10.
    """
    from matplotlib.ticker import LogLocator

    shown = numbers[np.isfinite(numbers)]
    if shown.min() >= 1e-3 and shown.max() <= 1e4:
        axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}" if shown.max() < 100 * shown.min() else "")
    axis.set_minor_locator(LogLocator(subs=(2, 5)))


def scale_steps(ax: Axes, length: int) -> None:
    """The horizontal axis for steps 0 to length - 1: logarithmic where they are many, with plain numbers."""
    scale(ax, "x", np.arange(length))
    if ax.get_xscale() == "linear":
        count_in_whole_numbers(ax)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.margins(x=0.02)


def count_in_whole_numbers(ax: Axes) -> None:
    """Number the horizontal axis of steps or epochs in whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def frame(ax: Axes, numbers: Iterable[float]) -> None:
    """Scale the vertical axis for `numbers`, and let it end a little beyond them; what is not finite has no part."""
    shown = np.array([number for number in numbers if np.isfinite(number)] or [1.0])
    scale(ax, "y", shown)
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(np.array([shown.min(), shown.max()]))
    room = 0.06 * (high - low) if high > low else 0.5 * abs(high) or 1.0
    ax.set_ylim(*transform.inverted().transform(np.array([low - room, high + room])))


def frame_losses(ax: Axes, curves: Iterable[np.ndarray]) -> None:
    """`frame` for loss curves: of those that diverged, only what is not above where they began counts."""
    numbers: list[float] = []
    for curve in curves:
        bound = np.inf if diverged_at(curve) is None else curve[0]
        numbers += curve[curve <= bound].tolist()
    frame(ax, numbers)


def draw_curve(ax: Axes, steps: Any, losses: np.ndarray, **style: Any) -> Line2D:
    """Draw a loss curve into axes that have their scales and limits; a cross marks where it leaves them for good.

    That is where a curve that diverged crosses the upper end, or, if it has jumped to what is no number, that step at
    the upper end.
    """
    steps, (bottom, top) = np.asarray(steps, "float64"), ax.get_ylim()
    heights = np.minimum(losses, top + 1e6 * (top - bottom))  # far above the frame, where infinity has a place too
    alone = "o" if np.isfinite(losses).sum() == 1 else ""
    (line,) = ax.plot(steps, heights, **{"marker": alone, **style})
    step = diverged_at(losses)
    if step is not None:
        where = _crossing(ax, steps[: step + 1], heights[: step + 1], top)
        ax.plot(
            where, top, "X", color=line.get_color(), markeredgecolor="white", markersize=10, clip_on=False, zorder=4
        )
    return line


def _crossing(ax: Axes, steps: np.ndarray, heights: np.ndarray, top: float) -> float:
    """The step, in fractions, at which the drawn line crosses `top` for the last time; the last step if it does not."""
    below = np.flatnonzero(heights <= top)
    if len(below) == 0:
        return float(steps[0])
    pair = slice(below[-1], below[-1] + 2)
    if len(heights[pair]) < 2 or np.isnan(heights[pair]).any():
        return float(steps[-1])
    across, up = ax.xaxis.get_transform(), ax.yaxis.get_transform()
    place = np.interp(up.transform(np.array([top])), up.transform(heights[pair]), across.transform(steps[pair]))
    return float(across.inverted().transform(place)[0])
