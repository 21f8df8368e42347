"""What a learning rate leads to from several seeds, with Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viz.plots.canvas import MARKERS, axes_of, colour_of, legend_beside, plain
from viz.plots.inputs import is_rate, numbers_of
from viz.plots.scales import frame, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The final losses of all seeds by learning rate, smallest first; infinity where a run diverged.
Finals = dict[float, np.ndarray]

_ROW = 0.065  # the height of a row in the strip for what diverged, as a share of the axes


def learning_rate_spread(
    results: Mapping[float, Sequence[float]] | Mapping[str, Mapping[float, Sequence[float]]], ax: Axes | None = None
) -> Axes:
    """The final loss against the learning rate, over several seeds: a line through the medians, a band from the
    smallest to the largest, a star at the best median. Runs that diverged count as infinitely bad, and a strip along
    the upper edge says how many they are.

    results: learning rate to the final losses of its seeds; or several such by the name of the optimizer. nan and
        infinity stand for divergence; `nn.final_loss` gives such numbers.
    """
    several = isinstance(results, Mapping) and all(isinstance(name, str) for name in results)
    named: Any = results if several else {"": results}
    finals: dict[str, Finals] = {name: _finals(name, rates) for name, rates in named.items()}
    if not finals:
        raise ValueError("learning_rate_spread: there are no results; give {0.1: [loss of each seed], ...}")
    ax = axes_of("learning_rate_spread", ax)
    scale(ax, "x", [rate for rates in finals.values() for rate in rates])
    frame(ax, [loss for rates in finals.values() for losses in rates.values() for loss in losses])
    diverged = [name for name, rates in finals.items() if any(np.isinf(losses).any() for losses in rates.values())]
    ceiling = _add_strip(ax, len(diverged))
    for place, (name, rates) in enumerate(finals.items()):
        _draw_spread(ax, name, rates, ceiling, place)
        if name in diverged:
            _count_diverged(ax, rates, place, 1 - _ROW * (diverged.index(name) + 0.5))
    ax.set(xlabel="learning rate", ylabel="final loss")
    if ax.get_legend_handles_labels()[0]:
        legend_beside(ax, 0.98 - _ROW * len(diverged), title=_seeds(finals))
    return plain(ax)


def _finals(name: str, rates: Any) -> Finals:
    where = f"learning_rate_spread: {name}".removesuffix(": ")
    if not isinstance(rates, Mapping) or not rates or not all(is_rate(rate) for rate in rates):
        raise ValueError(f"{where}: {rates!r:.80} holds no rates; give {{0.1: [loss of each seed], ...}}")
    found = {rate: numbers_of(f"{where}: {rate}", losses) for rate, losses in sorted(rates.items())}
    return {rate: np.where(np.isfinite(losses), losses, np.inf) for rate, losses in found.items()}


def _seeds(finals: dict[str, Finals]) -> str:
    counts = sorted({len(losses) for rates in finals.values() for losses in rates.values()})
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"median and range of {number} seeds" if counts[-1] > 1 else "one seed"


def _add_strip(ax: Axes, rows: int) -> float:
    """Make room for `rows` along the upper edge; returns the height at which it begins."""
    from matplotlib.patches import Rectangle

    transform = ax.yaxis.get_transform()
    bottom, top = ax.get_ylim()
    low, high = transform.transform(np.array([bottom, top]))
    share = rows * _ROW
    ax.set_ylim(bottom, float(transform.inverted().transform(np.array([high + (high - low) * share / (1 - share)]))[0]))
    if rows:
        strip = Rectangle((0, 1 - share), 1, share, facecolor="0.92", transform=ax.transAxes, zorder=2.5)
        ax.add_patch(strip)
        ax.text(1.01, 1 - share / 2, "diverged", transform=ax.transAxes, va="center", color="0.35")
    return top


def _draw_spread(ax: Axes, name: str, rates: Finals, ceiling: float, place: int) -> None:
    """The line ends where half of the runs diverged; the band reaches up to the strip where any did."""
    x, colour, runs = list(rates), colour_of(place), list(rates.values())
    middle, low, high = ([float(function(losses)) for losses in runs] for function in (np.median, np.min, np.max))
    ax.fill_between(x, np.minimum(low, ceiling), np.minimum(high, ceiling), color=colour, alpha=0.18, linewidth=0)
    best = int(np.argmin(middle))
    survived = np.isfinite(middle[best])
    label = f"{name}: best {x[best]:.3g}".removeprefix(": ") if survived else name
    middle = np.where(np.isfinite(middle), middle, np.nan).tolist()
    ax.plot(x, middle, marker=MARKERS[place % len(MARKERS)], markersize=5, color=colour, label=label)
    if survived:
        ax.plot(x[best], middle[best], "*", color=colour, markersize=17, markeredgecolor="white", zorder=4)


def _count_diverged(ax: Axes, rates: Finals, place: int, height: float) -> None:
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small", "weight": "bold", "zorder": 3}
    for rate, losses in rates.items():
        if np.isinf(losses).any():
            text = f"{np.isinf(losses).sum()}/{len(losses)}"
            ax.text(rate, height, text, color=colour_of(place), transform=ax.get_xaxis_transform(), **style)
