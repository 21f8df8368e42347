"""The edge of stability, with Matplotlib: when the curvature of the loss says that training must diverge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nn.data import check_count
from nn.diagnosis import diverged_at
from viz.plots.canvas import COLOURS, legend_beside, pair_of, plain
from viz.plots.inputs import Curve, is_rate, numbers_of
from viz.plots.scales import draw_curve, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def edge_of_stability(
    losses: Curve, sharpness: Curve, lr: float, *, every: int = 1, axes: tuple[Axes, Axes] | None = None
) -> tuple[Axes, Axes]:
    """The loss of full-batch gradient descent, and below it the largest eigenvalue of its Hessian with the line 2 / lr.

    On a quadratic loss gradient descent diverges where the eigenvalue is above that line; on networks it rises to the
    line and hovers there (Cohen et al. 2021, arXiv:2103.00065). A dotted line through both axes marks the step at which
    the eigenvalue is first above, where instability is predicted; a dashed one the step at which the loss first rises,
    where it is seen. A cross marks the step at which the loss diverged; what comes after it is left out.

    losses: the loss of every step, or a history.
    sharpness: the largest eigenvalue at every step, or at every `every` steps, as `nn.RecordSharpness` records it.
    lr: the learning rate, the same at every step.
    axes: one for the loss and one for the eigenvalue; new ones above each other, if left out. Both are returned.
    """
    loss = numbers_of("edge_of_stability: losses", losses)
    values = numbers_of("edge_of_stability: sharpness", sharpness)
    if not is_rate(lr):
        raise ValueError(f"edge_of_stability: lr={lr!r}; give a positive number, such as 0.1")
    measured = check_count("edge_of_stability: every", every) * np.arange(len(values))
    if measured[-1] > len(loss):
        raise ValueError(
            f"edge_of_stability: {len(loss)} losses, but the last sharpness is that of step {measured[-1]}"
        )
    end = diverged_at(loss)
    if end is not None:
        loss, values = loss[: end + 1], values[measured <= end]
    measured, steps = measured[: len(values)], np.arange(len(loss))
    above, below = pair_of("edge_of_stability", axes)
    frame(above, loss)
    draw_curve(above, steps, loss, color=COLOURS[0], label="loss" if end is None else f"loss, diverged at step {end}")
    frame(below, [*values, 2 / lr, 3 / lr])
    below.plot(measured, values, color=COLOURS[0], label="largest eigenvalue")
    below.axhline(2 / lr, color=COLOURS[4], linewidth=1.5, label=f"2 / lr = {2 / lr:.3g}")
    _mark(above, below, measured[values > 2 / lr][:1], ":", "instability predicted", COLOURS[4])
    _mark(above, below, steps[1:][np.diff(loss) > 0][:1], "--", "loss first rises", "0.4")
    above.set(ylabel="loss")
    below.set(xlabel="step", ylabel="largest eigenvalue")
    legend_beside(above)
    legend_beside(below)
    return plain(above), plain(below)


def _mark(above: Axes, below: Axes, steps: np.ndarray, style: str, what: str, colour: str) -> None:
    """A line through both axes at the one step in `steps`, if there is one."""
    for step in steps:
        for ax, label in ((above, f"step {step}: {what}"), (below, None)):
            ax.axvline(step, linestyle=style, color=colour, linewidth=1.2, label=label, zorder=1)
