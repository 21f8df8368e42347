"""What a classifier says of each point of a plane, with Matplotlib: once, or as it changes while it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.files import full_path, written_whole
from nn.landscape import check_resolution
from viz.animation import write_gif
from viz.plots.canvas import AREA_COLOURS, MARKERS, axes_of, legend_beside
from viz.plots.inputs import array_of
from viz.plots.planes import hatch_where_not_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

#: Scores for points (N, 2), see `decision_boundary`.
Predict = Callable[[np.ndarray], Any]


def decision_boundary(predict: Predict, x: Any, y: Any, ax: Axes | None = None, resolution: int = 200) -> Axes:
    """The answers of a classifier over the plane, the line where they change, and the samples.

    predict: scores for points (N, 2): of two classes, shape (N,) or (N, 1), where positive means the second class (of
        probabilities, subtract 0.5); of C classes, 2 or more, shape (N, C), where the largest wins.
    x, y: samples (N, 2) and their classes, in any numbers, which in rising order are those of the scores.
    resolution: points along each axis at which the classifier is asked.

    Of two classes, the colour says how far the score is from 0. Where a score is nan or infinite, the plane is hatched.
    """
    samples = _Samples("decision_boundary", x, y, resolution)
    scores, classes = samples.scores(predict)
    ax = axes_of("decision_boundary", ax)
    _draw(ax, samples, scores, classes, _largest(scores))
    return ax


def boundary_frames(
    predictors: Mapping[Any, Predict], x: Any, y: Any, folder: str | Path, resolution: int = 150
) -> list[Path]:
    """`decision_boundary` of several classifiers as numbered pictures, `frame_000.png` and so on; returns their paths.

    predictors: functions as `predict` above, by what stands above the picture; a whole number k becomes "epoch k". From
        the snapshots of a training, `nn.predictors` makes them.
    folder: where the pictures go; it is made where needed.

    A colour means the same score in all frames.
    """
    folder = full_path(folder)
    paths = []
    for number, picture in enumerate(_pictures("boundary_frames", predictors, x, y, resolution)):
        paths.append(folder / f"frame_{number:03d}.png")
        with written_whole(paths[-1]) as beside:
            picture.save(beside, "PNG")
    return paths


def boundary_gif(
    predictors: Mapping[Any, Predict],
    x: Any,
    y: Any,
    path: str | Path,
    seconds: float = 0.5,
    resolution: int = 150,
) -> Path:
    """`boundary_frames` as an animated GIF; returns its path.

    path, seconds: as for `viz.animation.write_gif`.
    """
    return write_gif(_pictures("boundary_gif", predictors, x, y, resolution), path, seconds)


class _Samples:
    """Checked samples, and the grid of points around them: across (H, W) and up (H, W)."""

    def __init__(self, name: str, x: Any, y: Any, resolution: Any) -> None:
        x, y = array_of(f"{name}: x", x), np.asarray(y).reshape(-1)
        if x.ndim != 2 or x.shape[1] != 2 or len(x) != len(y):
            raise ValueError(f"{name}: x has shape {x.shape}, y {y.shape}; needed are (N, 2) and (N,)")
        if len(np.unique(y)) < 2:
            raise ValueError(f"{name}: y has the classes {np.unique(y)}; there must be two at least")
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: x holds nan or infinity; leave out those samples")
        check_resolution(name, resolution)
        self.name, self.x, self.y = name, x, y
        margin = 0.15 * np.ptp(x, axis=0)
        low, high = x.min(axis=0) - margin, x.max(axis=0) + margin
        self.across, self.up = np.meshgrid(*[np.linspace(a, b, resolution) for a, b in zip(low, high, strict=True)])

    def scores(self, predict: Predict) -> tuple[np.ndarray, np.ndarray]:
        """The scores over the grid, (H, W) of two classes and (H, W, C) of more, and the classes."""
        points = np.column_stack([self.across.ravel(), self.up.ravel()])
        if not callable(predict):
            raise TypeError(f"{self.name}: {predict!r:.80} is no function; give one of points (N, 2) to scores")
        scores, classes = array_of(f"{self.name}: what predict gave", predict(points)), np.unique(self.y)
        columns = scores.size // len(points)
        if scores.shape[:1] != points.shape[:1] or scores.shape not in ((len(points),), (len(points), columns)):
            raise ValueError(
                f"{self.name}: predict gave shape {scores.shape} for {len(points)} points; one row for each"
            )
        if columns > len(classes) and set(classes) <= set(range(columns)):
            classes = np.arange(columns)  # of some there is no sample
        if max(columns, 2) != len(classes):
            raise ValueError(
                f"{self.name}: predict gave shape {scores.shape}, for the classes {classes}; one score each"
            )
        scores = scores.reshape(*self.across.shape, columns)
        if columns > 2:
            return scores, classes
        return (scores[..., 0] if columns == 1 else scores[..., 1] - scores[..., 0]), classes


def _largest(scores: np.ndarray) -> float:
    return float(np.max(np.abs(scores), where=np.isfinite(scores), initial=1e-12))


def _draw(ax: Axes, samples: _Samples, scores: np.ndarray, classes: np.ndarray, limit: float) -> None:
    """The scores, their boundaries and the samples. limit: from which score on a colour does not get darker."""
    if scores.ndim == 2:
        _draw_two(ax, samples, scores, limit)
        colours: tuple[str, ...] = ("#1d4ed8", "#b91c1c")
    else:
        colours = AREA_COLOURS
        _draw_many(ax, samples, scores)
    worst = scores if scores.ndim == 2 else scores.sum(axis=-1)  # nan or infinite where one of them is
    patches = hatch_where_not_finite(ax, samples.across, samples.up, worst, "no finite score")
    for kind, colour, marker in zip(classes, cycle(colours), cycle(MARKERS), strict=False):
        chosen = samples.x[samples.y == kind]
        look: dict[str, Any] = {"s": 22, "c": colour, "marker": marker, "edgecolors": "white", "linewidths": 0.6}
        ax.scatter(chosen[:, 0], chosen[:, 1], label=f"class {str(kind).removesuffix('.0')}", **look)
    ax.set(xlabel="first feature", ylabel="second feature", aspect="equal")
    ax.grid(visible=False)
    legend_beside(ax, handles=[*ax.get_legend_handles_labels()[0], *patches])


def _draw_two(ax: Axes, samples: _Samples, scores: np.ndarray, limit: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    scores = np.ma.masked_invalid(scores)
    if not scores.count():
        return
    extend = "both" if np.abs(scores).max() > limit else "neither"
    levels = np.linspace(-limit, limit, 21)
    colours = ListedColormap(0.4 + 0.6 * colormaps["RdBu_r"](np.linspace(0, 1, 256)))  # alpha would show the seams
    ax.contourf(samples.across, samples.up, scores, levels=levels, cmap=colours, extend=extend)
    if scores.min() < 0 < scores.max():
        ax.contour(samples.across, samples.up, scores, levels=[0.0], colors="black", linewidths=1.5)


def _draw_many(ax: Axes, samples: _Samples, scores: np.ndarray) -> None:
    """Each class where its score is above that of all others."""
    for kind, colour in zip(range(scores.shape[-1]), cycle(AREA_COLOURS), strict=False):
        with np.errstate(invalid="ignore"):
            lead = np.ma.masked_invalid(scores[..., kind] - np.delete(scores, kind, axis=-1).max(axis=-1))
        if lead.count() and lead.max() > 0:
            ax.contourf(samples.across, samples.up, lead, levels=[0.0, lead.max()], colors=[colour], alpha=0.3)
            if lead.min() < 0:
                ax.contour(samples.across, samples.up, lead, levels=[0.0], colors="black", linewidths=1.5)


def _pictures(name: str, predictors: Any, x: Any, y: Any, resolution: int) -> list[Image]:
    """A picture for each classifier, all of one size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image  # Matplotlib brings it along

    if not isinstance(predictors, Mapping) or not predictors:
        raise ValueError(f"{name}: predictors={predictors!r:.80}; give {{epoch: function}}, of one at least")
    samples = _Samples(name, x, y, resolution)
    answers = {key: samples.scores(predict) for key, predict in predictors.items()}
    limit = float(np.median([_largest(scores) for scores, _ in answers.values()]))  # which one that diverged leaves be
    height = np.clip(1.1 + 4.0 * np.ptp(samples.up) / np.ptp(samples.across), 2.5, 9.0)  # so that little stays empty
    pictures = []
    for key, (scores, classes) in answers.items():
        figure = Figure(figsize=(6, height), dpi=100, layout="constrained")  # a new one, for its layout remembers
        canvas, ax = FigureCanvasAgg(figure), figure.subplots()
        _draw(ax, samples, scores, classes, limit)
        ax.set_title(f"epoch {key}" if isinstance(key, int) else str(key))
        canvas.draw()
        pictures.append(Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB"))
    return pictures
