"""How good a trained network is, with Matplotlib: which classes it takes for which, and when it had learned enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nn import History
from viz.plots.canvas import COLOURS, axes_of, legend_beside, plain
from viz.plots.inputs import array_of
from viz.plots.scales import count_in_whole_numbers, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_matrix(matrix: Any, labels: Sequence[Any] | None = None, ax: Axes | None = None) -> Axes:
    """How often each class was taken for which: the count, and its share of the row.

    matrix (C, C): matrix[i, j] samples of class i were taken for class j, as `sklearn.metrics.confusion_matrix`
        counts them; on the diagonal are those that are right.
    labels: the names of the C classes, their numbers unless given.

    The colour is the share of the row, so that a rare class is seen as well as a frequent one; the row of a class
    without samples stays white. A count of 0 stands alone, for its share is 0 too. From 13 classes on the shares are
    not written, and from 31 on the counts neither.
    """
    counts = array_of("confusion_matrix: the matrix", matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"confusion_matrix: the matrix has shape {counts.shape}; it must be (C, C)")
    if not (np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))).all():
        raise ValueError("confusion_matrix: the matrix holds other than counts; make it with normalize=None")
    names = [str(label) for label in (range(len(counts)) if labels is None else labels)]
    if len(names) != len(counts):
        raise ValueError(f"confusion_matrix: there are {len(names)} labels, for {len(counts)} classes")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    ax = axes_of("confusion_matrix", ax)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.grid(visible=False)
    _write_counts(ax, counts, shares)
    places = range(len(names))
    ax.set(xlabel="predicted class", ylabel="true class", xticks=places, yticks=places, yticklabels=names)
    slanted = max(map(len, names)) > 4
    ax.set_xticklabels(
        names, rotation=45 if slanted else 0, ha="right" if slanted else "center", rotation_mode="anchor"
    )
    if ax.figure is not None:
        ax.figure.colorbar(image, ax=ax, label="share of the true class", format="{x:.0%}")
    return ax


def _write_counts(ax: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    if len(counts) > 30:
        return
    with_shares = len(counts) <= 12
    size = min(10.0, (100 if with_shares else 160) / len(counts))
    for (i, j), count in np.ndenumerate(counts):
        share = shares[i, j]
        text = f"{count:.0f}\n{share:.0%}" if with_shares and count else f"{count:.0f}"
        colour = "white" if share > 0.715 else "black"  # where both have the same contrast, 4.5
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)


def early_stopping_curve(
    training: History | Sequence[float],
    validation: Sequence[float] | None = None,
    best_epoch: int | None = None,
    stopped_epoch: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Training against validation loss, the epoch with the best one, and what came of the epochs after it.

    training: a history that holds both losses, or the training loss of every epoch.
    validation: the validation loss of every epoch, of the same length; left out where a history is given.
    best_epoch: the epoch whose weights are kept, counted from 1; left out, the one with the lowest validation loss.
    stopped_epoch: the epoch after which training was stopped, marked by a line; left out, there is none.

    The epochs after the best are shaded, and called overfitting where the last of them has a lower training loss and a
    higher validation loss. The axis is logarithmic where the losses span a factor of 10 or more. A cross at the top
    marks a loss that is infinite or not a number.
    """
    if isinstance(training, History):
        if validation is not None:
            raise TypeError("early_stopping_curve: the history holds the validation loss; leave `validation` out")
        validation, training = training.validation_loss, training.loss
    fit, held_out = _losses("training", training), _losses("validation", validation)
    if len(fit) != len(held_out):
        raise ValueError(f"early_stopping_curve: {len(fit)} training and {len(held_out)} validation losses; give both")
    best = _best(held_out) if best_epoch is None else _epoch("best_epoch", best_epoch, len(fit))
    if stopped_epoch is not None:
        _epoch("stopped_epoch", stopped_epoch, len(fit))
    ax = axes_of("early_stopping_curve", ax)
    frame(ax, [*fit, *held_out])
    _draw_losses(ax, fit, "training", COLOURS[0], "-", 1.0)
    _draw_losses(ax, held_out, "validation", COLOURS[4], "--", 0.95)
    if best is not None:
        _mark_best(ax, fit, held_out, best)
    if stopped_epoch is not None:
        ax.axvline(stopped_epoch, color="black", linestyle=":", label=f"stopped after epoch {stopped_epoch}")
    count_in_whole_numbers(ax)
    ax.set(xlabel="epoch", ylabel="loss")
    legend_beside(ax)
    return plain(ax)


def _losses(name: str, losses: Any) -> np.ndarray:
    array = array_of(f"early_stopping_curve: the {name} loss", [] if losses is None else losses)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"early_stopping_curve: the {name} loss has shape {array.shape}; give a number for each epoch")
    return array


def _epoch(name: str, epoch: Any, epochs: int) -> int:
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or not 1 <= epoch <= epochs:
        raise ValueError(f"early_stopping_curve: {name}={epoch!r}; give a number from 1 to {epochs}")
    return int(epoch)


def _best(losses: np.ndarray) -> int | None:
    """The epoch of the lowest loss; None where none is a finite number."""
    finite = np.isfinite(losses)
    return int(np.argmin(np.where(finite, losses, np.inf))) + 1 if finite.any() else None


def _draw_losses(ax: Axes, losses: np.ndarray, name: str, colour: str, style: str, top: float) -> None:
    """A curve; and crosses at the height `top`, a share of the axes, where a loss is infinite or not a number."""
    epochs, finite = np.arange(1, len(losses) + 1), np.isfinite(losses)
    marker = "." if len(losses) < 2 else ""
    ax.plot(epochs, np.where(finite, losses, np.nan), style, marker=marker, color=colour, linewidth=1.8, label=name)
    if not finite.all():
        lost = epochs[~finite]
        label = f"{name}: not finite in epoch {lost[0]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
        look: dict[str, Any] = {"color": colour, "markersize": 10, "linestyle": "", "clip_on": False, "label": label}
        ax.plot(lost, np.full(len(lost), top), "X", transform=ax.get_xaxis_transform(), **look)


def _mark_best(ax: Axes, training: np.ndarray, validation: np.ndarray, best: int) -> None:
    lowest = "lowest validation loss" if best == _best(validation) else "weights kept"
    label = f"{lowest}, epoch {best}: {validation[best - 1]:.3g}"
    ax.plot(
        best, validation[best - 1], "*", color="white", markeredgecolor="black", markersize=15, label=label, zorder=4
    )
    if best < len(validation):
        overfitting = training[-1] < training[best - 1] and validation[-1] > validation[best - 1]
        label = "overfitting: training falls, validation rises" if overfitting else "after the best epoch"
        ax.axvspan(best, len(validation), color="0.5", alpha=0.15, linewidth=0, label=label)
