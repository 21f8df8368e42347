"""The picture of how the time of a training step grows, from what `compare.py` has measured.

python benchmarks/growth.py out/compare.json docs/growth.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from viz.plots.canvas import MARKERS, colour_of, plain

SERIES = {"width": "width of the layers (64 samples)", "batch": "samples in a batch (width 128)"}


def draw(measured: dict[str, Any], path: Path) -> None:
    """Save a panel for each series: microseconds a step for every engine, over the size.

    measured: the file of `compare.py`, with "machine" and the workload "scaling".
    """
    machine, found = measured["machine"], measured["workloads"]["scaling"]
    figure, axes = plt.subplots(1, len(found), figsize=(10, 4.6), sharey=True, layout="constrained", squeeze=False)
    names = list(dict.fromkeys(engine for series in found.values() for engine in series))
    for ax, (series, engines) in zip(axes[0], found.items(), strict=True):
        for engine, medians in engines.items():
            place, sizes = names.index(engine), [int(size) for size in medians]
            style = {"color": colour_of(place), "marker": MARKERS[place % len(MARKERS)], "markersize": 4}
            ax.plot(sizes, [1e6 * median for median in medians.values()], label=engine, **style)
        ax.set(xlabel=SERIES[series], yscale="log")
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        plain(ax)
    axes[0, 0].set_ylabel("microseconds a step")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small")
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    draw(json.loads(source.read_text()), target)
    print(f"saved {target}")
