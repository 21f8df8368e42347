"""What happens inside a network, layer by layer, with Matplotlib: the spread of numbers, and the size of updates.

Numbers are plain arrays by the names of layers or parameters, the first layer first, as `nn.record_activations` and
`nn.UpdateRatios` give them; or, of a single layer, by epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.data import check_count
from viz.plots.canvas import axes_of, colour_of, legend_beside, plain, shades
from viz.plots.inputs import array_of
from viz.plots.scales import count_in_whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What `layer_quantiles` draws around the median, the widest first: from which quantile to which, and in what blue.
_BANDS = {
    "all numbers": (0.0, 1.0, "#d5e6f1"),
    "90 % of them": (0.05, 0.95, "#94c2de"),
    "half of them": (0.25, 0.75, "#4b9bcb"),
}


def layer_histograms(
    arrays: Mapping[str, Any], ax: Axes | None = None, *, bins: int = 80, magnitude: bool = False
) -> Axes:
    """How the numbers of each layer are spread: a histogram for each, one below the other, over the same axis.

    arrays: numbers of any shape by name, such as outputs, gradients or weights.
    bins: how many there are over the whole axis.
    magnitude: whether to sort the numbers by their size on a logarithmic axis, whatever their sign, which shows
        gradients that shrink from layer to layer; zeros have no place there.

    Each histogram is as high as its row, so heights say nothing across layers. Beside it stand the standard deviation
    and, where there are some, the share that is exactly 0 and how many are nan or infinite, which are drawn nowhere.
    """
    numbers = _check_arrays("layer_histograms", arrays)
    check_count("layer_histograms: bins", bins)
    shown = {name: _shown(array, magnitude) for name, array in numbers.items()}
    edges = _edges(np.concatenate(list(shown.values())), bins, magnitude)
    ax = axes_of("layer_histograms", ax)
    rows = range(len(numbers))
    for row, finite, colour in zip(rows, shown.values(), shades(len(numbers)), strict=True):
        counts = np.histogram(finite, edges)[0]
        heights = row - 0.85 * counts / max(counts.max(), 1)
        ax.stairs(heights, edges, baseline=row, fill=True, facecolor=colour, edgecolor=colour, alpha=0.85)
        ax.axhline(row, color="0.7", linewidth=0.8, zorder=0)
    ax.set(ylim=(len(numbers) - 0.85, -1.0), yticks=rows, yticklabels=list(numbers), xlim=edges[[0, -1]])
    ax.set_xlabel("magnitude" if magnitude else "value")
    for row, array in zip(rows, numbers.values(), strict=True):
        ax.annotate(_summary(array), (1.01, row - 0.1), xycoords=("axes fraction", "data"), fontsize="small")
    plain(ax).spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    if magnitude:
        ax.set_xscale("log")
    return ax


def layer_quantiles(arrays: Mapping[float, Any], ax: Axes | None = None, *, magnitude: bool = False) -> Axes:
    """How the numbers of one layer are spread, epoch after epoch: a line through the medians, and around it bands that
    hold half of the numbers, 90 % and all.

    arrays: numbers of any shape by epoch, or step: `{epoch: record.outputs["1 Tanh"] for epoch, record in
        recorder.records.items()}` of an `nn.RecordActivations`, its gradients, or the weights of an `nn.Snapshots`.
    magnitude: whether to go by the size of the numbers on a logarithmic axis, whatever their sign, which shows
        gradients that shrink while a network learns; zeros have no place there.

    Numbers that are nan or infinite have no part. A triangle at the upper end marks where there are some.
    """
    numbers = _check_arrays("layer_quantiles", arrays, "epoch")
    if not all(isinstance(epoch, Real) for epoch in arrays):
        raise TypeError(
            f"layer_quantiles: {list(arrays)!r:.80} are no epochs; give {{epoch: numbers}} of a single layer, "
            'such as {epoch: record.outputs["1 Tanh"] for epoch, record in recorder.records.items()}'
        )
    epochs, shown = np.array(list(arrays), float), [_shown(array, magnitude) for array in numbers.values()]
    ax = axes_of("layer_quantiles", ax)
    for label, (low, high, colour) in _BANDS.items():
        ax.fill_between(epochs, _quantiles(shown, low), _quantiles(shown, high), color=colour, linewidth=0, label=label)
    marker = "." if len(epochs) <= 60 else None
    ax.plot(epochs, _quantiles(shown, 0.5), color=colour_of(2), marker=marker, label="median")
    holes = epochs[[not np.isfinite(array).all() for array in numbers.values()]]
    ax.plot(
        holes, np.full(len(holes), 0.99), "^", color=colour_of(4), transform=ax.get_xaxis_transform(), clip_on=False
    )
    count_in_whole_numbers(ax)
    ax.set(xlabel="epoch", ylabel="magnitude" if magnitude else "value")
    if magnitude and any(array.size for array in shown):
        ax.set_yscale("log")
    legend_beside(ax)
    return plain(ax)


def update_ratios(ratios: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """How large the updates of each parameter are, compared with its weights, in every step, on a logarithmic axis.

    ratios: for each parameter std(update) / std(weights) for every step, by name, as `nn.UpdateRatios` records them.
        Steps are counted from 0.

    The line at 1e-3 is a rule of thumb of Karpathy's (CS231n, and "Neural networks: zero to hero"): far below it a
    layer hardly learns, far above the learning rate may be too high. Triangles mark what has no place on the axis: at
    the bottom ratios of 0, at the top infinite ones and those that are not a number.
    """
    curves = _check_arrays("update_ratios", ratios)
    ax = axes_of("update_ratios", ax)
    ax.axhline(1e-3, color="black", linestyle="--", linewidth=1.2, label="1e-3: rule of thumb (Karpathy)", zorder=1)
    for (name, curve), colour in zip(curves.items(), shades(len(curves)), strict=True):
        steps = np.arange(len(curve))
        fits = np.isfinite(curve) & (curve > 0)
        look: dict[str, Any] = {"linewidth": 1.0, "marker": "." if len(curve) <= 60 else None}
        ax.plot(steps, np.where(fits, curve, np.nan), **look, color=colour, label=name)
        for marker, height, chosen in (("v", 0.01, curve == 0), ("^", 0.99, ~np.isfinite(curve))):
            place = ax.get_xaxis_transform()  # the height as a share of the axes
            ax.plot(steps[chosen], np.full(chosen.sum(), height), marker, color=colour, transform=place, clip_on=False)
    count_in_whole_numbers(ax)
    ax.set(xlabel="step", ylabel="std of update / std of weights", yscale="log")
    legend_beside(ax)
    return plain(ax)


def _check_arrays(name: str, arrays: Any, kind: str = "layer") -> dict[str, np.ndarray]:
    """Each array flattened, as float64. kind: of what their names are."""
    if not isinstance(arrays, Mapping) or not arrays:
        raise ValueError(f"{name}: {arrays!r:.80} holds no arrays; give {{{kind}: numbers}}, of one {kind} at least")
    flat = {str(key): array_of(f"{name}: {key!r}", array).ravel() for key, array in arrays.items()}
    for key, array in flat.items():
        if not array.size:
            raise ValueError(f"{name}: {key!r} holds no numbers; leave it out")
    return flat


def _shown(array: np.ndarray, magnitude: bool) -> np.ndarray:
    """What has a place in a picture: finite numbers, or the sizes of those that are not 0."""
    finite = array[np.isfinite(array)]
    return np.abs(finite[finite != 0]) if magnitude else finite


@np.errstate(over="ignore", invalid="ignore")
def _quantiles(arrays: list[np.ndarray], share: float) -> np.ndarray:
    """A quantile of each array; nan where it is empty."""
    return np.array([np.quantile(array, share) if array.size else np.nan for array in arrays])


def _edges(shown: np.ndarray, bins: int, magnitude: bool) -> np.ndarray:
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (1.0, 1.0)
    if magnitude:
        return np.geomspace(low, high, bins + 1) if low < high else np.geomspace(low / 3, 3 * high, bins + 1)
    around = 0.0 if low < high else 0.5 * abs(low) or 0.5
    return np.linspace(low - around, high + around, bins + 1)


def _summary(array: np.ndarray) -> str:
    """What stands beside a histogram."""
    finite = array[np.isfinite(array)]
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [f"std {finite.std():.2g}"] if finite.size else []
    if (array == 0).any():
        parts.append(f"zeros {np.mean(array == 0):.0%}")
    if finite.size < array.size:
        parts.append(f"not finite: {array.size - finite.size}")
    return ", ".join(parts)
