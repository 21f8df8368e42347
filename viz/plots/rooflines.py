"""The steps of a program below the roofs of a machine (Williams, Waterman and Patterson 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viz.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def roofline(steps: Sequence[Any], peaks: tuple[float, float], ax: Axes | None = None) -> Axes:
    """How fast each step of a program is, over how many operations it makes for each byte.

    steps: with `kernel`, `flops`, `bytes` and `seconds`, as `fast.Step.measure` gives them. Those that compute nothing
        are left out. The larger a dot, the longer its step takes; those that take most are named.
    peaks: operations and bytes a second that the machine can do at best, as from `fast.measure_peaks()`. The most that
        can be had is the lower one of two roofs: bandwidth times operations for each byte, and the peak. Small steps
        may lie above the slope, where their numbers come from a cache.
    """
    from matplotlib.collections import PathCollection

    shown = [step for step in steps if step.flops > 0 and step.seconds > 0]
    if not shown:
        raise ValueError("roofline: no step computes anything; give those of Step.measure(...)")
    if len(peaks) != 2 or not all(np.isfinite(peak) and peak > 0 for peak in peaks):
        raise ValueError(f"roofline: {peaks=}; give operations and bytes a second, such as fast.measure_peaks()")
    ax = canvas.plain(canvas.axes_of("roofline", ax))
    intensity = np.array([step.flops / step.bytes for step in shown])
    speed = np.array([step.flops / step.seconds for step in shown]) / 1e9
    share = np.array([step.seconds for step in shown]) / sum(step.seconds for step in steps)
    grid = np.geomspace(min(intensity.min(), 0.1) / 2, max(intensity.max(), peaks[0] / peaks[1]) * 4, 200)
    ax.plot(grid, np.minimum(peaks[0], peaks[1] * grid) / 1e9, color="black", label="roofs: memory, then arithmetic")
    kernels = np.array([step.kernel for step in shown])
    shares = {name: share[kernels == name].sum() for name in {*kernels.tolist()}}
    names = sorted((name for name in shares if shares[name] >= _WORTH_A_NAME), key=lambda name: -shares[name])
    groups = [(f"{name}, {shares[name]:.0%}", kernels == name) for name in names[:_NAMED]]
    groups.append(("others", ~np.isin(kernels, names[:_NAMED])))
    for place, (label, mine) in enumerate(groups):
        colour, sizes = canvas.colour_of(place) if mine is not groups[-1][1] else "#999999", 30 + 600 * share[mine]
        if mine.any():
            ax.scatter(intensity[mine], speed[mine], sizes, color=colour, alpha=0.8, label=label, linewidths=0)
    ax.set(xscale="log", yscale="log", xlabel="operations for each byte", ylabel="GFLOP/s")
    legend = ax.legend(loc="upper left", title="share of the time", fontsize="small", title_fontsize="small")
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):  # a dot, as large as those that are no large part of the time
            handle.set_sizes([40])
    ax.set_ylim(top=40 * max(speed.max(), peaks[0] / 1e9))
    return ax


#: So many kernels have a colour and a name at most: those that take most of the time, and this share of it at least.
_NAMED, _WORTH_A_NAME = 6, 0.01
