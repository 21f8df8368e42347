"""Backpropagation, step by step: a page that plays it, numbered frames, and an animated GIF."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz.graphs import check_direction
from viz.pages import write_page
from viz.player.frames import write_animation, write_frames
from viz.player.page import player
from viz.player.records import Recording, Step, record


@dataclass(frozen=True)
class Steps:
    """A recorded step of training; `viz.steps` makes it. A notebook shows it as the page that plays it.

    recording: the graph and what happens in it, as plain data.
    direction, title: see `viz.steps`.
    """

    recording: Recording
    direction: str
    title: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """What happens, in order."""
        return self.recording.steps

    def page(self) -> str:
        """The text of the page."""
        return player(self.recording, self.direction, self.title)

    def frames(self, folder: str | Path, kind: str = "svg") -> list[Path]:
        """Write a picture of each step into a folder: step_01.svg, step_02.svg, ...; returns their paths.

        All have one size, and nothing moves from one to the next. kind: "svg" or "png"; a PNG has 144 dots an inch.
        Raises ValueError for another kind.
        """
        return write_frames(self.recording, self.direction, folder, kind)

    def gif(self, path: str | Path, seconds: float = 1.5, width: int = 900) -> Path:
        """Write the frames as an animated GIF; returns its path.

        seconds: how long each step is shown. width: in pixels, at most.
        Raises ValueError for a path that does not end in .gif, and for a width or seconds that cannot be.
        """
        return write_animation(self.recording, self.direction, path, seconds, width)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, which cannot reach the notebook around it."""
        return (
            f'<iframe title="{html.escape(self.title)}" sandbox="allow-scripts" srcdoc="{html.escape(self.page())}" '
            'style="width: 100%; height: 720px; border: 0"></iframe>'
        )


def steps(
    loss: Any,
    path: str | Path | None = "steps.html",
    lr: float = 0.1,
    parameters: Iterable[Any] | None = None,
    direction: str = "LR",
    title: str = "Backpropagation, step by step",
) -> Steps:
    """Record one step of training and write a page that plays it: forward, loss, backward, update.

        viz.steps(loss, "steps.html")
        viz.steps(loss, None).gif("steps.gif")

    The page is one file that fetches nothing. What it shows was computed by the engine: the numbers of the graph, and
    those of its own `backward_steps`. They start with gradients of zero, whether or not `backward` has been called; the
    graph's numbers and gradients stay what they were.

    loss: the result, a single `micro.Value`. It need not be a loss.
    path: where the page goes, ending in .html; None writes nothing.
    lr: the learning rate of the update, w - lr × gradient.
    parameters: what is updated: Values, tensors (`model.parameters()`) or labels; everything in them that is an input
        of the graph. All inputs of the graph, if left out; () leaves out the update.
    direction: "LR" draws from left to right, "TB" from top to bottom.
    title: the heading of the page.

    Raises TypeError for what has no `backward_steps`, such as a `fast.Tensor`, and for parameters that are neither
    tensors nor labels; ValueError for more than 150 nodes (`records.LIMIT`), for a learning rate that is no finite
    number, for parameters that are no inputs, for a graph in which numbers were changed since it was computed, for
    another direction, and for a path with another ending; RuntimeError where there is no Graphviz.
    """
    check_direction("steps", direction)
    recorded = Steps(record(loss, lr, parameters), direction, title)
    if path is not None:
        write_page("steps", recorded.page(), path)
    return recorded
