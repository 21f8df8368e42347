"""Heights over a plane, with Matplotlib: the loss as contour and as surface, and paths of optimizers across it.

Heights are plain arrays, such as `nn.loss_plane` gives: xs (W,), ys (H,) and heights (H, W), where heights[i, j]
belongs to (xs[j], ys[i]). Where a height is nan or infinite, contours are hatched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from viz.plots.canvas import AREA_COLOURS, axes_of, shades
from viz.plots.inputs import array_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.patches import Patch

#: What is farther from 0 counts as infinite, so that the sum of two heights is not.
_INFINITE = 1e300


def loss_contour(
    xs: Any, ys: Any, heights: Any, ax: Axes | None = None, *, log: bool | None = None, bar: bool = True
) -> Axes:
    """Heights over a plane as filled contours: darker is lower.

    log: whether each level is a multiple of the one below; None, the default, does so where no height is negative and
        the highest is more than ten times the middle one, as in Rosenbrock's valley.
    bar: whether a bar beside the axes says which colour is which height.
    """
    plane = _check_plane("loss_contour", xs, ys, heights, log)
    ax = axes_of("loss_contour", ax)
    patches = _draw_contours(ax, plane, "viridis", bar)
    if patches:
        ax.legend(handles=patches, loc="upper right")
    return ax


def loss_surface(xs: Any, ys: Any, heights: Any, ax: Axes | None = None, *, log: bool | None = None) -> Axes:
    """Heights over a plane as a surface in three dimensions, above its own contours.

    ax: with projection="3d", as in plt.subplots(subplot_kw={"projection": "3d"}).
    log: as for `loss_contour`; the powers of ten then stand at the axis.

    The surface has a hole where a height is nan or infinite, and says so.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    plane = _check_plane("loss_surface", xs, ys, heights, log)
    axes = axes_of("loss_surface", ax, "3d")
    finite = np.isfinite(plane.heights)
    heights = np.where(finite, plane.heights, np.nan)
    low, high = plane.levels[0], plane.levels[-1]
    if plane.log:
        heights, low, high = np.log10(np.maximum(heights, low)), np.log10(low), np.log10(high)
        axes.zaxis.set_major_locator(MaxNLocator(integer=True))
        axes.zaxis.set_major_formatter(FuncFormatter(lambda power, _: f"$10^{{{power:g}}}$"))
    across, up = np.meshgrid(plane.xs, plane.ys)
    floor = low - 0.3 * (high - low)
    if finite.any():
        look = {"cmap": "viridis", "vmin": low, "vmax": high}
        axes.plot_surface(across, up, heights, rcount=len(plane.ys), ccount=len(plane.xs), antialiased=False, **look)
        if np.ptp(heights[finite]) > 0:
            axes.contour(across, up, np.ma.masked_invalid(heights), levels=12, zdir="z", offset=floor, **look)
    axes.set(xlabel="x", ylabel="y", zlabel="height", zlim=(floor, high))
    axes.set_zticks([tick for tick in axes.get_zticks() if low <= tick <= high])  # below, there are only contours
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=5)
    if not finite.all():
        axes.text2D(0.02, 0.95, f"left out: {np.sum(~finite)} heights, not finite", transform=axes.transAxes)
    return axes


def descent_paths(
    xs: Any,
    ys: Any,
    heights: Any,
    paths: Mapping[Any, Any],
    ax: Axes | None = None,
    *,
    minimum: Sequence[float] | None = None,
    log: bool | None = None,
    bar: bool = False,
) -> Axes:
    """The paths of optimizers across the contours of a function: a dot for each step, a square at the end.

    paths: by name an array (K, 2) of points, the start first, such as `nn.descend` gives. Names that are numbers, such
        as learning rates, get colours from dark to light.
    minimum: where the function is lowest; left out, the lowest of the given heights is marked, under that name.
    log, bar: as for `loss_contour`, but paler is lower, so that the paths stand out.

    A path that leaves the frame for good has a cross at the edge, and the legend says in which step (the start is step
    0) that was, and from which step on its points are infinite or not a number.
    """
    from matplotlib.colors import LinearSegmentedColormap

    plane = _check_plane("descent_paths", xs, ys, heights, log)
    points = _check_paths(paths)
    lowest = None if minimum is None else array_of("descent_paths: minimum", minimum)
    if lowest is not None and (lowest.shape != (2,) or not np.isfinite(lowest).all()):
        raise ValueError(f"descent_paths: minimum={minimum!r:.80}; give a point (x, y), or None")
    ax = axes_of("descent_paths", ax)
    patches = _draw_contours(ax, plane, LinearSegmentedColormap.from_list("paper", ["#ffffff", "#a6abb3"]), bar)
    ax.set(xlim=plane.xs[[0, -1]], ylim=plane.ys[[0, -1]], autoscale_on=False)
    for (name, path), colour in zip(points.items(), _colours(list(points)), strict=True):
        _draw_path(ax, path, plane, f"{name:g}" if isinstance(name, Real) else str(name), colour)
    ax.plot([], [], "o", color="white", markeredgecolor="black", label="start")
    ax.plot([], [], "s", color="0.4", markeredgecolor="white", markersize=8, label="end")
    _mark_lowest(ax, plane, lowest)
    handles = [*ax.get_legend_handles_labels()[0], *patches]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
    return ax


# ----------------------------------------------------------------------------------------------------------------------
# Contours.


class _Plane(NamedTuple):
    xs: np.ndarray
    ys: np.ndarray
    heights: np.ndarray
    levels: np.ndarray
    log: bool


def _check_plane(name: str, xs: Any, ys: Any, heights: Any, log: bool | None) -> _Plane:
    xs, ys, heights = array_of(f"{name}: xs", xs), array_of(f"{name}: ys", ys), array_of(f"{name}: heights", heights)
    for axis, coordinates in (("xs", xs), ("ys", ys)):
        rising = coordinates.ndim == 1 and len(coordinates) > 1 and (np.diff(coordinates) > 0).all()
        if not rising or not np.isfinite(coordinates).all():
            raise ValueError(f"{name}: {axis}={coordinates.tolist()!r:.80}; give 2 or more rising numbers")
    if heights.shape != (len(ys), len(xs)):
        raise ValueError(
            f"{name}: heights has shape {heights.shape}, needed is (len(ys), len(xs)) = {len(ys), len(xs)}"
        )
    heights = np.where(np.abs(heights) > _INFINITE, np.inf, heights)
    finite = heights[np.isfinite(heights)]
    if log and (finite < 0).any():
        raise ValueError(f"{name}: log=True needs heights of 0 or more; the lowest is {finite.min():g}")
    if log is None:
        log = bool(finite.size and finite.min() >= 0 and finite.max() / 10 > np.median(finite))
    log = log and bool((finite > 0).any())
    return _Plane(xs, ys, heights, _levels(finite, log), log)


def _levels(finite: np.ndarray, log: bool) -> np.ndarray:
    """The heights of the contour lines, round numbers where `log` is not set, from the lowest of `finite` or below."""
    from matplotlib.ticker import MaxNLocator

    if not finite.size:
        return np.array([0.0, 1.0])
    low, high = float(finite.min()), float(finite.max())
    if log:  # 0 has no place on the scale; and of a narrow valley's floor, a grid meets a few chance points alone
        low = float(np.quantile(finite[finite > 0], 0.005))
    if not low < high:
        around = 0.5 * abs(low) or 0.5
        low, high = low - around, high + around
    return np.geomspace(low, high, 15) if log else np.array(MaxNLocator(15).tick_values(low, high))


def _draw_contours(ax: Axes, plane: _Plane, colours: str | Colormap, bar: bool) -> list[Patch]:
    """Filled contours, and what a legend is to show of them."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    heights, levels = np.ma.masked_invalid(plane.heights), plane.levels
    if heights.count():
        extend = "min" if heights.min() < levels[0] else "neither"
        look: dict[str, Any] = {"levels": levels}
        if plane.log:
            look["norm"] = LogNorm(levels[0], levels[-1])
            heights = np.ma.maximum(heights, 0.99 * levels[0])  # one of 0 could not be drawn
        filled = ax.contourf(plane.xs, plane.ys, heights, cmap=colours, extend=extend, **look)
        if np.ptp(heights.compressed()) > 0:
            ax.contour(plane.xs, plane.ys, heights, colors="0.35", linewidths=0.5, alpha=0.5, **look)
        if bar and ax.figure is not None:
            scale: dict[str, Any] = {"ticks": LogLocator(numticks=8), "format": "%g"} if plane.log else {}
            ax.figure.colorbar(filled, ax=ax, label="height", **scale)
    ax.set(xlabel="x", ylabel="y")
    ax.grid(visible=False)
    return hatch_where_not_finite(ax, plane.xs, plane.ys, plane.heights, "not finite")


def hatch_where_not_finite(ax: Axes, xs: np.ndarray, ys: np.ndarray, heights: np.ndarray, label: str) -> list[Patch]:
    """Hatch the part of a plane where heights (H, W) are nan or infinite; returns what a legend is to show of it."""
    from matplotlib.patches import Patch

    missing = ~np.isfinite(heights)
    if not missing.any():
        return []
    ax.contourf(xs, ys, missing.astype(float), levels=[0.5, 1.5], colors=["0.8"], hatches=["////"])
    return [Patch(facecolor="0.8", hatch="////", label=label)]


# ----------------------------------------------------------------------------------------------------------------------
# Paths.


def _check_paths(paths: Any) -> dict[Any, np.ndarray]:
    if not isinstance(paths, Mapping) or not paths:
        raise ValueError(f"descent_paths: paths={paths!r:.80}; give {{name: points}}, of one path at least")
    points = {name: array_of(f"descent_paths: the path of {name!r}", path) for name, path in paths.items()}
    for name, path in points.items():
        if path.ndim != 2 or path.shape[1] != 2 or not len(path):
            raise ValueError(f"descent_paths: the path of {name!r} has shape {path.shape}; it must be (K, 2)")
    return dict(sorted(points.items())) if _all_numbers(points) else points


def _all_numbers(names: Any) -> bool:
    return all(isinstance(name, Real) for name in names)


def _colours(names: Sequence[Any]) -> list[Any]:
    if _all_numbers(names) or len(names) > len(AREA_COLOURS):
        return list(shades(len(names), lightest=0.8))
    return list(AREA_COLOURS[: len(names)])


def _draw_path(ax: Axes, path: np.ndarray, plane: _Plane, name: str, colour: Any) -> None:
    """The path as far as it lies in the frame, with its start, and its end or the place where it leaves for good."""
    low, high = np.array([plane.xs[[0, -1]], plane.ys[[0, -1]]]).T
    inside = np.flatnonzero(((path >= low) & (path <= high)).all(axis=1))  # nan is not
    label = name + _fate(path, inside)
    kept = _nearer(path[: inside[-1] + 1] if len(inside) else path[:0], low, high)
    look: dict[str, Any] = {"color": colour, "zorder": 3}
    if 0 < len(kept) < len(path):
        kept = np.vstack([kept, _edge(kept[-1], path[len(kept)], low, high)])
        ax.plot(*kept[-1], "X", markersize=11, markeredgecolor="white", clip_on=False, **look | {"zorder": 5})
    elif len(kept):
        ax.plot(*kept[-1], "s", markersize=8, markeredgecolor="white", **look | {"zorder": 4})
    ax.plot(*kept.T, ".-", markersize=5 if len(path) <= 100 else 3, linewidth=1.3, label=label, **look)
    if len(kept):
        ax.plot(*kept[0], "o", color="white", markeredgecolor="black", zorder=6)


def _fate(path: np.ndarray, inside: np.ndarray) -> str:
    """What the legend adds to the name of a path that does not end in the frame."""
    if len(inside) and inside[-1] == len(path) - 1:
        return ""
    missing = np.flatnonzero(~np.isfinite(path).all(axis=1))
    where = f": leaves at step {inside[-1] + 1}" if len(inside) else ": outside the frame"
    if not len(missing):
        return where
    lost = f"not finite from step {missing[0]}"
    return f": {lost}" if len(inside) and missing[0] == inside[-1] + 1 else f"{where},\n{lost}"


def _edge(inside: np.ndarray, outside: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where the line from a point inside to one outside crosses the frame; the point inside, if the other is lost."""
    if not np.isfinite(outside).all():
        return inside
    step = outside - inside
    bound = np.where(step > 0, high, low)
    share = np.min((bound - inside)[step != 0] / step[step != 0])
    return inside + share * step


def _nearer(path: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points more than 1000 frames away come that near, in the same direction: Matplotlib cannot draw to any place."""
    centre, size = (low + high) / 2, high - low
    away = (np.clip(path, -1e150, 1e150) - centre) / size
    distance = np.abs(away).max(axis=1, keepdims=True, initial=0.0)
    return np.where(distance > 1000, centre + 1000 * size * away / np.maximum(distance, 1000), path)


def _mark_lowest(ax: Axes, plane: _Plane, minimum: np.ndarray | None) -> None:
    finite = np.isfinite(plane.heights)
    if minimum is None and not finite.any():
        return
    if minimum is None:
        i, j = np.unravel_index(np.argmin(np.where(finite, plane.heights, np.inf)), plane.heights.shape)
        minimum = np.array([plane.xs[j], plane.ys[i]])
        label = "lowest height"
    else:
        label = "minimum"
    ax.plot(
        *minimum, "*", color="white", markeredgecolor="black", markersize=18, zorder=2.5, clip_on=False, label=label
    )
