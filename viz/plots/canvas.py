"""Where plots are drawn, the axes that were given or a new figure's; and what all of them look like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's colours (2008) without the yellow, which differ for colour-blind eyes and mostly in lightness too.
COLOURS = ("#0072b2", "#e69f00", "#000000", "#009e73", "#d55e00", "#56b4e9", "#cc79a7")
#: The same for areas and what stands on them: black comes last, for a pale one is the grey of what is missing.
AREA_COLOURS = (*COLOURS[:2], *COLOURS[3:], COLOURS[2])
MARKERS = ("o", "s", "^", "D", "v", "P", "*")


def colour_of(place: int) -> str:
    """The colour of the curve at `place`, counted from 0."""
    return COLOURS[place % len(COLOURS)]


def shades(count: int, lightest: float = 0.85) -> np.ndarray:
    """Colours from dark to light for what has an order, (count, 4). lightest: 1 is a yellow too pale for lines."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, lightest, count))


def axes_of(name: str, ax: Any, kind: str = "rectilinear") -> Any:
    """`ax` itself, or the axes of a new figure; TypeError, by the name of the function, for axes of another kind.

    kind: Matplotlib's name of the projection: flat ones are "rectilinear", or else "3d".
    """
    import matplotlib.pyplot as plt  # takes a second, so only for those who plot; picks a backend that needs no display

    if ax is None:
        return plt.subplots(subplot_kw={"projection": kind}, layout="constrained")[1]
    return _check_axes(f"{name}: ax", ax, kind)


def pair_of(name: str, axes: Any) -> tuple[Axes, Axes]:
    """Two axes above each other: those in `axes`, or those of a new figure, with one axis of steps."""
    import matplotlib.pyplot as plt

    if axes is None:
        axes = plt.subplots(2, sharex=True, layout="constrained", figsize=(6.4, 5.6))[1]
    if np.shape(axes) != (2,):
        raise TypeError(f"{name}: axes={axes!r:.80}; give two, such as plt.subplots(2)[1]")
    return _check_axes(f"{name}: axes[0]", axes[0]), _check_axes(f"{name}: axes[1]", axes[1])


#: What to give where axes of a kind are needed.
_ADVICE = {
    "rectilinear": "flat axes, such as plt.subplots()[1]",
    "3d": 'axes in three dimensions, such as plt.subplots(subplot_kw={"projection": "3d"})[1]',
}


def _check_axes(name: str, ax: Any, kind: str = "rectilinear") -> Any:
    given = getattr(ax, "name", None)
    if given != kind:
        what = f"of the kind {given!r}" if isinstance(given, str) else f"a {type(ax).__name__}"
        raise TypeError(f"{name} is {what}; give {_ADVICE[kind]}")
    return ax


def plain(ax: Axes) -> Axes:
    """The axes without a frame and with a pale grid; returns them."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    return ax


def leave_room(ax: Axes) -> Any:
    """Make a figure without a layout leave room for what stands beside its axes; returns the figure."""
    root: Any = ax.figure.figure  # that of a part of a figure is the whole
    if root.get_layout_engine() is None:
        root.set_layout_engine("constrained")
    return root


def legend_beside(ax: Axes, height: float = 1.0, **settings: Any) -> None:
    """A legend to the right of the axes, in small print and several columns where it would be higher than the axes.

    height: at which it begins, as a share of the axes.
    """
    settings = {"handles": ax.get_legend_handles_labels()[0], **settings}
    root = leave_room(ax)
    rows, inches = len(settings["handles"]), ax.get_window_extent().height / root.dpi
    size: dict[str, Any] = {}
    if rows > inches / 0.25:  # inches that a row needs; the title needs one too
        size = {"fontsize": "x-small", "labelspacing": 0.15, "ncols": math.ceil(rows / max(inches / 0.13 - 2, 1))}
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, height), "borderaxespad": 0.0}
    ax.legend(frameon=False, **place, **size, **settings)
