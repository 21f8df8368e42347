"""The steps of backpropagation as single pictures: Graphviz draws all of them on the same canvas.

Every text has its place in the layout from the first frame on, invisible as long as it is not its turn, so nothing
moves from one frame to the next. The page (`page`) shows this drawing too, and lets its script do the changes.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import graphviz

from nn.data import check_count
from nn.files import full_path, written_whole
from viz.animation import gif_path, write_gif
from viz.graphs import FONT, escape
from viz.player.records import Recording, Step
from viz.rendering import draw
from viz.tracing import Node

#: The namespace of the elements of an SVG.
SVG = "{http://www.w3.org/2000/svg}"

#: What each kind of step is marked with: blue, orange, vermillion and green of Okabe and Ito's colours for all kinds
#: of eyes (https://jfly.uni-koeln.de/color), a little darker where they would be too pale for lines on white. What is
#: in focus has thick lines too, so that nothing depends on colour.
MARKS = {"forward": "#0072b2", "loss": "#b87a00", "backward": "#d55e00", "update": "#00805e"}
#: Fill and border of what has a number already, and of what is still to come.
BOXES = {
    "input": ("#e6f1fa", "#4b5563"),
    "constant": ("#f3f4f6", "#9ca3af"),
    "inner": ("#ffffff", "#4b5563"),
    "result": ("#fdf0cf", "#4b5563"),
}
_INK, QUIET, COMING = "#1f2937", "#4b5563", "#b6bcc6"
VALUE_INK, GRADIENT_INK = "#005a8c", "#a84600"


def layout(recording: Recording, direction: str) -> graphviz.Digraph:
    """The graph with every text that is ever shown, the longest one for each place."""
    return _drawing(recording, direction, _longest(recording), None)


def frames(recording: Recording, direction: str, kind: str, pixels: float | None = None) -> Iterator[bytes]:
    """All frames as SVG or PNG. pixels: how wide a PNG is at most; twice as many as there are points, if left out."""
    drawings = list(_frames(recording, direction))
    dpi = 72.0
    if kind == "png":
        points = width_of(draw(drawings[0].source, "svg"))
        dpi = min(144.0, 72 * pixels / points) if pixels else 144.0
    for drawing in drawings:
        drawing.attr("graph", dpi=f"{dpi:g}")
        picture = draw(drawing.source, kind)
        yield _without_invisible(picture) if kind == "svg" else picture


def _frames(recording: Recording, direction: str) -> Iterator[graphviz.Digraph]:
    """The picture after each step, the step below it in words and formulas; all captions have the room of the longest.

    They are as wide as the graph, but no narrower than 520 points.
    """
    width = max(520.0, width_of(draw(layout(recording, direction).source, "svg")))
    captions = [_lines(step, place, recording, width) for place, step in enumerate(recording.steps)]
    written: dict[str, str] = {}
    for step, caption in zip(recording.steps, captions, strict=True):
        written |= step.shows
        drawing = _drawing(recording, direction, written, step)
        drawing.attr("graph", label=_caption(caption, max(map(len, captions)), width), labelloc="b")
        yield drawing


def _without_invisible(svg: bytes) -> bytes:
    """An SVG without the texts that are still to come, which nobody should meet by searching or listening either."""
    root = ElementTree.fromstring(svg)
    for group in root.iter(f"{SVG}g"):
        for text in group.findall(f"{SVG}text[@fill='transparent']"):
            group.remove(text)
    return svg_text(root).encode()


def svg_text(root: ElementTree.Element) -> str:
    """A parsed SVG as text again."""
    ElementTree.register_namespace("", SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode")


def write_frames(recording: Recording, direction: str, folder: str | Path, kind: str) -> list[Path]:
    """Write step_01.svg (or .png), step_02.svg, ... into a folder; returns their paths."""
    if kind not in ("svg", "png"):
        raise ValueError(f"frames: kind={kind!r}; use 'svg' or 'png'")
    digits = max(2, len(str(len(recording.steps))))
    paths = []
    for number, picture in enumerate(frames(recording, direction, kind), start=1):
        path = full_path(folder) / f"step_{number:0{digits}}.{kind}"
        with written_whole(path) as beside:
            beside.write_bytes(picture)
        paths.append(path)
    return paths


def write_animation(recording: Recording, direction: str, path: str | Path, seconds: float, pixels: int) -> Path:
    """Write the frames as an animated GIF, `pixels` wide at most."""
    check_count("gif: width", pixels)
    path = gif_path("gif", path)  # before the work, not after it
    from PIL import Image  # Matplotlib brings it along

    pictures = [Image.open(io.BytesIO(picture)) for picture in frames(recording, direction, "png", pixels)]
    return write_gif(pictures, path, seconds, _colours())


def _colours() -> list[str]:
    """All colours of the frames, and what lies between the letters and their paper."""
    papers = ["#ffffff", *sorted({fill for fill, _ in BOXES.values()} - {"#ffffff"})]
    inks = [*MARKS.values(), _INK, QUIET, COMING, VALUE_INK, GRADIENT_INK]
    on_white = [_between(ink, "#ffffff", share) for ink in inks for share in (1.0, 0.75, 0.5, 0.25)]
    on_boxes = [_between(ink, paper, share) for ink in inks for paper in papers[1:] for share in (0.67, 0.33)]
    return papers + on_white + on_boxes


def _between(ink: str, paper: str, share: float) -> str:
    """A mixture of two colours."""
    parts = [[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in (ink, paper)]
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in zip(*parts, strict=True))


def width_of(svg: bytes) -> float:
    """The width of an SVG of Graphviz, in points."""
    found = re.search(rb'<svg width="([\d.]+)pt"', svg)
    assert found is not None
    return float(found[1])


# ----------------------------------------------------------------------------------------------------------------------
# DOT text.


def _longest(recording: Recording) -> dict[str, str]:
    longest: dict[str, str] = {}
    for step in recording.steps:
        for place, text in step.shows.items():
            longest[place] = max(longest.get(place, ""), text, key=len)
    return longest


def _drawing(recording: Recording, direction: str, written: dict[str, str], step: Step | None) -> graphviz.Digraph:
    """The graph with the texts of `written`; without a step, as it is when everything has been done."""
    longest = _longest(recording)
    drawing = graphviz.Digraph(
        graph_attr={"rankdir": direction, "bgcolor": "white", "ranksep": "0.1", "nodesep": "0.25", "pad": "0.1"},
        node_attr={"shape": "plain", "fontname": FONT, "fontsize": "12"},
        edge_attr={"fontname": FONT, "fontsize": "11", "arrowsize": "0.7"},
    )
    for node in recording.nodes:
        mark = MARKS[step.kind] if step and node.name in step.nodes else ""
        drawing.node(node.name, label=_box(node, written, longest, mark), id=node.name)
    for name, edge in recording.edges.items():
        mark = MARKS[step.kind] if step and name in step.edges else ""
        line = mark or (QUIET if written.get(f"{edge.child}-value") else COMING)
        label = _edge_label(written.get(name, ""), longest[name]) if name in longest else ""
        drawing.edge(edge.parent, edge.child, label=label, id=name, color=line, penwidth="3" if mark else "1")
    return drawing


def _box(node: Node, written: dict[str, str], longest: dict[str, str], mark: str) -> str:
    has_value = bool(written.get(f"{node.name}-value"))
    fill, border = BOXES[node.kind] if has_value else ("#ffffff", COMING)
    ink, quiet = (_INK, QUIET) if has_value else (COMING, COMING)
    lines = [f"<B>{escape(node.label)}</B>"] if node.label else []
    lines += [escape(node.formula)] if node.formula else []
    heading = "".join(f'<TR><TD COLSPAN="2"><FONT COLOR="{ink}">{line}</FONT></TD></TR>' for line in lines)
    rows = ""
    for row, colour in (("value", VALUE_INK), ("grad", GRADIENT_INK)):
        place = f"{node.name}-{row}"
        if place in longest:
            width = 8 * len(longest[place]) + 4  # no digit of a font of 12 points is wider than 8
            word = quiet if row == "value" or written.get(place) else COMING
            rows += (
                f'<TR><TD ALIGN="LEFT"><FONT COLOR="{word}">{row}</FONT></TD>'
                f'<TD ALIGN="RIGHT" WIDTH="{width}">{_text(written.get(place, ""), longest[place], colour)}</TD></TR>'
            )
    style = f'BORDER="{3 if mark else 1}" COLOR="{mark or border}" BGCOLOR="{fill}" STYLE="ROUNDED"'
    box = f'<TABLE {style} CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">{heading}{rows}</TABLE>'
    # A thick border grows outwards into room that a thin one leaves free.
    room = 1 if mark else 3
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="{room}"><TR><TD>{box}</TD></TR></TABLE>>'


def _edge_label(text: str, longest: str) -> str:
    lines = [
        _text(line, room, _INK) for line, room in zip((text or "\n").split("\n"), longest.split("\n"), strict=True)
    ]
    cells = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4"><TR><TD>{table}</TD></TR></TABLE>>'


def _text(text: str, longest: str, colour: str) -> str:
    """A text, or the room that it will take."""
    return f'<FONT COLOR="{colour if text else "transparent"}">{escape(text or longest)}</FONT>'


def _lines(step: Step, place: int, recording: Recording, width: float) -> list[str]:
    """The caption, line by line, in DOT's kind of HTML."""
    letters = int(width / 6.8)  # so wide are they on average in DejaVu Sans, which is wider than most
    head = f"{step.kind.upper()}  {place + 1}/{len(recording.steps)}   {step.title}"
    lines = [f'<FONT COLOR="{MARKS[step.kind]}"><B>{escape(head)}</B></FONT>']
    for formula in step.formulas:
        lines += [f"<B>{escape(line)}</B>" for line in textwrap.wrap(formula, int(0.9 * letters))]
    return lines + [f'<FONT COLOR="{QUIET}">{escape(line)}</FONT>' for line in textwrap.wrap(step.words, letters)]


def _caption(lines: list[str], count: int, width: float) -> str:
    rows = "".join(
        f'<TR><TD ALIGN="LEFT" WIDTH="{width:.0f}">{line}</TD></TR>' for line in lines + [" "] * (count - len(lines))
    )
    table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{rows}</TABLE>'
    return f'<<FONT FACE="{FONT}" POINT-SIZE="12" COLOR="{_INK}">{table}</FONT>>'
