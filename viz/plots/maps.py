"""Two-dimensional maps, with Matplotlib: what two settings do to a training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nn import TrainabilityMap
from viz.plots.canvas import axes_of, leave_room
from viz.plots.inputs import array_of
from viz.plots.scales import label_plainly, wide

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_MANY = 10  # settings of an axis, from which not each of them is written


def loss_map(
    final: Any, x: Any, y: Any, *, xlabel: str = "learning rate", ylabel: str = "", ax: Axes | None = None
) -> Axes:
    """The final loss as colour over two settings, such as learning rate and batch size, momentum or initial scale.

    Hatched cells diverged; a star marks the smallest loss. Axes and colours are logarithmic where their numbers span a
    factor of 10 or more and all are above 0. A cell reaches half-way to its neighbours, on the axis as it is drawn;
    settings that are far from even steps on either kind of axis, such as momenta of 0, 0.9 and 0.99, get equal cells.

    final: losses (len(y), len(x)), as `nn.final_loss` gives them: a row for each y. nan and infinity: diverged.
    x, y: the settings, growing.
    """
    losses, x, y = array_of("loss_map: final", final), _settings("x", x), _settings("y", y)
    if losses.shape != (len(y), len(x)):
        raise ValueError(f"loss_map: final has shape {losses.shape}, needed is (len(y), len(x)) = {(len(y), len(x))}")
    ax = axes_of("loss_map", ax)
    ax.grid(visible=False)
    leave_room(ax)
    across, up = _place(ax, "x", x), _place(ax, "y", y)
    good = np.ma.masked_invalid(losses)
    ax.patch.set(facecolor="0.92", hatch="////", edgecolor="0.6")  # seen through the cells that are masked
    if good.count():
        _colour(ax, good, _edges(ax.xaxis, across), _edges(ax.yaxis, up))
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=_edges(ax.xaxis, across)[[0, -1]], ylim=_edges(ax.yaxis, up)[[0, -1]])
    _legend(ax, good, across, up)
    return ax


def _settings(name: str, numbers: Any) -> np.ndarray:
    array = array_of(f"loss_map: {name}", numbers)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all() or not (np.diff(array) > 0).all():
        raise ValueError(f"loss_map: {name}={numbers!r:.80}; give growing numbers, in one dimension")
    return array


def _place(ax: Axes, axis: str, settings: np.ndarray) -> np.ndarray:
    """Where the settings lie on the axis "x" or "y", which is scaled and labelled for them."""
    logarithmic, steps = wide(settings) and settings[0] > 0, np.diff(settings)
    equal = not logarithmic and len(steps) > 0 and steps.max() > 2.5 * steps.min()
    places = np.arange(len(settings), dtype=float) if equal else settings
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log" if logarithmic else "linear")
    if equal or len(settings) <= _MANY:
        chosen = slice(None, None, -(-len(settings) // _MANY))
        labels = [f"{setting:g}" for setting in settings[chosen]]
        (ax.xaxis if axis == "x" else ax.yaxis).set_ticks(places[chosen], labels=labels)
        (ax.xaxis if axis == "x" else ax.yaxis).set_ticks([], minor=True)
    return places


def _edges(axis: Axis, places: np.ndarray) -> np.ndarray:
    """Where cells end: half-way between neighbours as the axis shows them, and as far outside at both ends."""
    transform = axis.get_transform()
    centres = transform.transform(places)
    if len(centres) == 1:
        return transform.inverted().transform(centres[0] + np.array([-0.5, 0.5]))
    between = (centres[1:] + centres[:-1]) / 2
    ends = 2 * centres[0] - between[0], 2 * centres[-1] - between[-1]
    return transform.inverted().transform(np.array([ends[0], *between, ends[1]]))


def _colour(ax: Axes, losses: np.ma.MaskedArray, across: np.ndarray, up: np.ndarray) -> None:
    """The cells, and the bar that says what their colours mean."""
    from matplotlib.colors import LogNorm, Normalize

    logarithmic = wide(losses.compressed()) and losses.min() > 0
    norm = (LogNorm if logarithmic else Normalize)(losses.min(), losses.max())
    mesh = ax.pcolormesh(across, up, losses, norm=norm, cmap="viridis", rasterized=True)
    bar = ax.figure.colorbar(mesh, ax=ax, label="final loss")
    if logarithmic:
        label_plainly(bar.ax.yaxis, losses.compressed())


def _legend(ax: Axes, good: np.ma.MaskedArray, across: np.ndarray, up: np.ndarray) -> None:
    """The star at the smallest loss, and under the axes what star and hatching mean."""
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if good.count():
        row, column = np.unravel_index(int(good.argmin()), good.shape)
        label = f"best: {good[row, column]:.3g}"
        handles += ax.plot(
            across[column], up[row], "*", color="white", markeredgecolor="black", markersize=15, label=label
        )
    if np.ma.getmaskarray(good).any():
        handles.append(Patch(facecolor="0.92", hatch="////", edgecolor="0.6", label="diverged"))
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 4.0}
    ax.legend(handles=handles, ncols=2, frameon=False, **below)


# ----------------------------------------------------------------------------------------------------------------------
# Trainability.


def trainability_map(found: TrainabilityMap, *, zoom: Any = None, ax: Axes | None = None) -> Axes:
    """Which learning rates train a network: blue where it learns, red where it does not, the darker the slower.

    The colours of either kind are shared out evenly among its pixels, so that structure shows wherever there is some;
    they do not compare between two maps. Both axes are logarithmic. Drawn as in the paper, see `nn.trainability`.

    found: what `nn.trainability_map` has computed.
    zoom: a window within, ((x from, x to), (y from, y to)), that is marked by a frame; none unless given.
    """
    if not isinstance(found, TrainabilityMap):
        raise TypeError(f"trainability_map: {found!r:.80} is no map; give what nn.trainability_map returns")
    if zoom is not None and np.shape(zoom) != (2, 2):
        raise ValueError(f"trainability_map: zoom={zoom!r:.80}; give ((x from, x to), (y from, y to))")
    ax = axes_of("trainability_map", ax)
    leave_room(ax)
    ax.grid(visible=False)
    (left, right), (low, high) = found.window
    ax.set(xscale="log", yscale="log", xlabel=found.labels[0], ylabel=found.labels[1])
    across, up = np.geomspace(left, right, len(found.xs) + 1), np.geomspace(low, high, len(found.ys) + 1)
    ax.pcolormesh(across, up, found.equalised(), cmap="Spectral", vmin=-1, vmax=1, rasterized=True)
    ax.set(xlim=(left, right), ylim=(low, high))
    _label_ends(ax.xaxis, left, right)
    _label_ends(ax.yaxis, low, high)
    if zoom is not None:
        (x, x_end), (y, y_end) = zoom
        ax.plot([x, x_end, x_end, x, x], [y, y, y_end, y_end, y], color="black", linewidth=1.5)
    return ax


def _label_ends(axis: Axis, low: float, high: float) -> None:
    """Where an axis spans less than a factor of 100, write its two ends alone, with the digits that tell them apart."""
    if high < 100 * low:
        digits = max(3, 2 + math.ceil(-math.log10(high / low - 1)))
        axis.set_ticks([low, high], labels=[f"{end:.{digits}g}" for end in (low, high)])
        axis.set_ticks([], minor=True)
