"""What lies over a plane, with Matplotlib: the answers of a classifier, the loss over two weights.

Every function draws into `ax` (a new figure's, if left out), returns the axes, and neither shows nor saves anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from viz.canvas import axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def decision_boundary(
    predict: Callable[[np.ndarray], Any], x: Any, y: Any, ax: Axes | None = None, resolution: int = 200
) -> Axes:
    """The scores of a classifier over the plane, the line where they change sign, and the samples.

    predict: scores, shape (N,) or (N, 1), for points (N, 2); positive means the second class (of probabilities,
        subtract 0.5).
    x, y: samples (N, 2) and their two classes, in any numbers: the larger one is the second class.
    resolution: points along each axis at which the classifier is asked.
    """
    x, y = np.asarray(x), np.asarray(y).reshape(-1)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) != len(y):
        raise ValueError(f"decision_boundary: x has shape {x.shape}, y {y.shape}; needed are (N, 2) and (N,)")
    if len(np.unique(y)) != 2:
        raise ValueError(f"decision_boundary: y has the classes {np.unique(y)[:5]}; there must be two")
    if not isinstance(resolution, int) or resolution < 2:
        raise ValueError(f"decision_boundary: resolution={resolution!r}; give a whole number of at least 2")
    margin = 0.15 * np.ptp(x, axis=0)
    low, high = x.min(axis=0) - margin, x.max(axis=0) + margin
    across, up = np.meshgrid(*[np.linspace(a, b, resolution) for a, b in zip(low, high, strict=True)])
    points = np.column_stack([across.ravel(), up.ravel()])
    scores = np.asarray(predict(points))
    if scores.size != len(points):
        raise ValueError(
            f"decision_boundary: predict gave shape {scores.shape} for {len(points)} points; one score each"
        )
    if not np.isfinite(scores).all():
        raise ValueError("decision_boundary: predict gave nan or infinity; has the model diverged?")
    scores = scores.reshape(across.shape)
    ax = axes_of(ax)
    limit = max(float(np.abs(scores).max()), 1e-12)
    ax.contourf(across, up, scores, levels=np.linspace(-limit, limit, 21), cmap="RdBu_r", alpha=0.6)
    if scores.min() < 0 < scores.max():
        ax.contour(across, up, scores, levels=[0.0], colors="black", linewidths=1.5)
    for value, colour, marker in zip(np.unique(y), ("#1d4ed8", "#b91c1c"), ("o", "s"), strict=True):
        chosen = x[y == value]
        ax.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=22,
            c=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.6,
            label=f"class {str(value).removesuffix('.0')}",
        )
    ax.set(xlabel="first feature", ylabel="second feature", aspect="equal")
    ax.legend(frameon=True, loc="upper right")
    return ax
