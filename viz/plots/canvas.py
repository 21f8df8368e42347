"""Where plots are drawn: the axes that were given, or a new figure's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes_of(ax: Axes | None) -> Axes:
    """`ax` itself, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # takes a second, so only for those who plot; picks a backend that needs no display

    return plt.subplots(layout="constrained")[1]


def plain(ax: Axes) -> Axes:
    """The axes without a frame and with a pale grid; returns them."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    return ax
