"""The page that plays a recording: the graph, laid out once, into which a script writes the texts of each step.

Its style and its script lie beside this file, in page.css and page.js; the page carries copies of them. Its light
colours are those of the frames, its dark ones stand in page.css.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from viz.pages import page
from viz.player.frames import BOXES, COMING, GRADIENT_INK, MARKS, QUIET, SVG, VALUE_INK, layout, svg_text, width_of
from viz.player.records import Recording
from viz.rendering import draw
from viz.tracing import Node

#: What the parts of training are called in the page, by the kind of step.
_PARTS = {"forward": "Forward", "loss": "Loss", "backward": "Backward", "update": "Update"}

#: Name and drawing (a path in a square of 24) of each button.
_BUTTONS = {
    "first": ("First step (Home)", "M6 5h2v14H6zM19 5v14L9 12z"),
    "previous": ("Previous step (left arrow)", "M16 5v14L6 12z"),
    "play": ("Play (space)", "M7 4v16l13-8z"),
    "next": ("Next step (right arrow)", "M8 5v14l10-7z"),
    "last": ("Last step (End)", "M16 5h2v14h-2zM5 5v14l10-7z"),
}

_BODY = """<header><h1>{title}</h1>
<div class="parts" role="group" aria-label="Parts of a training step">{parts}</div></header>
<main>
<figure>{svg}</figure>
<section id="says" role="status" aria-live="polite" aria-atomic="true">
<p id="title"></p><div id="formulas"></div><p id="words"></p></section>
<div class="player" role="group" aria-label="Player">
{buttons}
<input id="slider" type="range" min="1" max="{count}" value="1" aria-label="Step">
<span id="count" aria-hidden="true"></span>
<label>Speed <select id="speed"><option value="0.5">½ ×</option><option value="1" selected>1 ×</option>
<option value="2">2 ×</option><option value="4">4 ×</option></select></label>
</div>
<p class="keys">Keys: left and right arrow step, Home and End jump, space plays. Numbers are rounded to four significant
digits; in a box, x, a and b are what goes in, y is what comes out.</p>
<details><summary>All steps as text</summary><ol>{transcript}</ol></details>
</main>
<script type="application/json" id="steps">{steps}</script>"""


def player(recording: Recording, direction: str, title: str) -> str:
    """The text of the page."""
    steps = recording.steps
    kinds = list(dict.fromkeys(step.kind for step in steps))
    body = _BODY.format(
        title=html.escape(title),
        parts="".join(f'<button type="button" data-kind="{kind}">{_PARTS[kind]}</button>' for kind in kinds),
        svg=_picture(recording, direction),
        buttons="\n".join(_button(*item) for item in _BUTTONS.items()),
        count=len(steps),
        transcript="".join(
            f"<li><b>{html.escape('; '.join(step.formulas))}</b><br>{html.escape(step.words)}</li>" for step in steps
        ),
        steps=_embedded([{key: value for key, value in asdict(step).items() if key != "numbers"} for step in steps]),
    )
    style, script = (Path(__file__).with_suffix(kind).read_text(encoding="utf-8") for kind in (".css", ".js"))
    return page(title, body, _colours() + style, script)


def _colours() -> str:
    """The colours of the frames as variables of the style."""
    inks = {"value": VALUE_INK, "gradient": GRADIENT_INK, "quiet": QUIET, "coming": COMING}
    colours = inks | {kind: fill for kind, (fill, _) in BOXES.items()} | MARKS
    return ":root { " + " ".join(f"--{name}: {colour};" for name, colour in colours.items()) + " }\n"


def _button(name: str, label_and_path: tuple[str, str]) -> str:
    label, path = label_and_path
    icon = f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{path}"/></svg>'
    return f'<button type="button" id="{name}" aria-label="{label}" title="{label}">{icon}</button>'


def _embedded(data: object) -> str:
    """JSON for a script element: no character of it can end the element or begin a comment."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# ----------------------------------------------------------------------------------------------------------------------
# The picture: Graphviz's SVG, with names for whatever changes, and classes in place of colours.


def _picture(recording: Recording, direction: str) -> str:
    svg = draw(layout(recording, direction).source, "svg")
    root = ElementTree.fromstring(svg)
    del root.attrib["width"], root.attrib["height"]
    root.set("style", f"--points: {width_of(svg):.0f}")
    root.set("role", "img")
    root.set("aria-label", "The computation as a graph. The text below says what each step does in it.")
    (graph,) = root.findall(f"{SVG}g")
    for shape in graph.findall(f"{SVG}polygon"):
        graph.remove(shape)  # the paper
    for group in graph:
        for title in group.findall(f"{SVG}title"):
            group.remove(title)  # which would say "n0" to whoever points at it
    for node in recording.nodes:
        (group,) = graph.findall(f"{SVG}g[@id='{node.name}']")
        _name_parts(group, node)
    return svg_text(root)


def _name_parts(group: ElementTree.Element, node: Node) -> None:
    """Give the parts of a box their classes, and a place that does not depend on the width of letters."""
    group.set("class", f"node {node.kind}")
    box, outline = group.findall(f"{SVG}path")
    box.set("class", "box")
    outline.set("class", "outline")
    across = [float(x) for x in re.findall(r"(-?[\d.]+),", outline.get("d", ""))]
    left, right = min(across), max(across)
    for text in group.findall(f"{SVG}text"):
        colour = text.get("fill")
        if colour == QUIET:
            text.set("class", f"word {text.text}-word")
        elif colour in (VALUE_INK, GRADIENT_INK):
            row = "value" if colour == VALUE_INK else "grad"
            text.attrib |= {"id": f"{node.name}-{row}", "class": row, "x": f"{right - 5:.2f}", "text-anchor": "end"}
        else:
            text.attrib |= {"x": f"{(left + right) / 2:.2f}", "text-anchor": "middle"}
