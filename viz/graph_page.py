"""A folded graph as a page whose boxes open: each shows, in a drawing of its own, what is inside it.

Its style and its script lie beside this file, in graph_page.css and graph_page.js; the page carries copies of them.
"""

from __future__ import annotations

import base64
import html
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from viz.folding import Box, fold_by_operation, folded, most
from viz.graphs import check_direction, drawing
from viz.pages import page, write_page
from viz.rendering import draw
from viz.tracing import check_size, order_of, outline, results, summary

#: Nodes, neurons or operations up to which the inside of a box is drawn; and nodes, up to which all of them are.
DETAIL, ALL = 120, 60
#: Nodes up to which it is drawn how one result of an operation is computed; sums are long, and all alike.
CHAIN = 20


def graph_page(
    root: Any,
    path: str | Path = "graph.html",
    fold: str = "layer",
    direction: str = "LR",
    constants: bool = True,
    title: str = "Computation graph",
) -> Path:
    """Write one page with the folded graph of `root`, whose boxes open by a click or the Enter key; returns its path.

    What opens is the inside of a box, between what comes in and where its results go (its parameters may go elsewhere
    too). Up to `ALL` nodes are drawn one by one. Of more, a layer shows its neurons, a neuron how the first of its
    values is computed, and what is neither shows its operations; the text above the drawing says which. All drawings
    are laid out beforehand, and the page fetches nothing.

    path: ends in .html. fold, direction, constants: see `graph`. title: the page's heading.
    Raises TypeError for what is no graph; ValueError for more than 1000 boxes (`tracing.LIMIT`), for another direction
    or fold, and for a path with another ending; RuntimeError where there is no Graphviz.
    """
    check_direction("graph_page", direction)
    graph = _Graph(root, fold, constants)
    views = list(graph.views("view", title))
    style, script = (Path(__file__).with_suffix(kind).read_text(encoding="utf-8") for kind in (".css", ".js"))
    return write_page("graph_page", page(title, _body(graph, views, direction), style, script), path)


# ----------------------------------------------------------------------------------------------------------------------
# What is inside a box.


@dataclass(frozen=True)
class _View:
    """A drawing of the page.

    name: of its element. title: what it shows; note: how much of it. boxes: what it draws.
    opens: of the places of boxes that open, the names of the views that show their insides.
    """

    name: str
    title: str
    note: str
    boxes: Sequence[Box]
    opens: dict[int, str]


class _Graph:
    """A folded graph, and where each of its nodes is."""

    def __init__(self, root: Any, way: str, constants: bool) -> None:
        self.order = order_of(root, constants)
        self.outline = outline(self.order)
        self.results = results(self.order)
        self.boxes = folded(self.outline, way)
        check_size(len(self.boxes), "; use fold='layer'")
        neurons = self.boxes if way == "neuron" else folded(self.outline, "neuron")
        self.home = {node: box for box in self.boxes for node in box.members}
        self.neuron = {node: box for box in neurons for node in box.members}
        self.children: list[list[int]] = [[] for _ in self.order]
        for node, parents in enumerate(self.outline.parents):
            for parent in parents:
                self.children[parent].append(node)

    def views(self, name: str, title: str) -> Iterator[_View]:
        """The overview, and the insides of its boxes, and of theirs."""
        note = f"{len(self.order):,} nodes in {len(self.boxes):,} boxes. Those marked with {_MARK} open."
        yield from self._views(_View(name, title, note, self.boxes, {}))

    def _views(self, view: _View) -> Iterator[_View]:
        insides, closed = {}, []
        for place, box in enumerate(view.boxes):
            if len(box.members) == 1 or box.kind not in ("layer", "neuron", "outside", "operation"):
                continue
            shown = self.inside(box)
            if shown:
                insides[place] = _View(f"{view.name}-{place}", self.title(box), *shown, {})
            else:
                closed.append(self.title(box))
        opens = {place: inside.name for place, inside in insides.items()}
        note = f" More than can be drawn is inside {', '.join(closed)}." if closed else ""
        yield replace(view, note=view.note + note, opens=opens)
        for inside in insides.values():
            yield from self._views(inside)

    def title(self, box: Box) -> str:
        node = box.members[-1]
        return box.title or box.subtitle or self.outline.labels[node] or self.outline.operations[node]

    def inside(self, box: Box) -> tuple[str, list[Box]] | None:
        """What to say of the inside of a box, and what to draw of it; None where that is too much."""
        for limit, note, boxes in self._ways_to_show(box):
            if len(boxes) <= limit:
                return note, self._with_surroundings(box, boxes)
        return None

    def _ways_to_show(self, box: Box) -> Iterator[tuple[int, str, list[Box]]]:
        """From the best on: every node, the neurons, how one value is computed, the operations; each with its limit."""
        count = f"{len(box.members):,}"
        yield ALL, f"All of its {count} nodes.", _one_by_one(box.members)
        if box.neurons > 1:
            neurons = list({id(neuron): neuron for neuron in map(self.neuron.__getitem__, box.members)}.values())
            yield DETAIL, f"Its {count} nodes, put together in {len(neurons)} neurons.", neurons
        members = set(box.members)
        values = [node for node in box.members if self._is_handed_on(node, members)]
        if len(values) > 1:
            drawn = self._ancestors(values[0], members)
            note = f"{len(drawn):,} of its {count} nodes: those for the first of its {len(values):,} values."
            yield CHAIN if box.kind == "operation" else DETAIL, note, _one_by_one(drawn)
        if box.kind != "operation":
            yield DETAIL, f"Its {count} nodes, put together by operation.", fold_by_operation(self.outline, box.members)

    def _is_handed_on(self, node: int, members: set[int]) -> bool:
        """Whether a result of the members is used elsewhere, or nowhere."""
        children = self.children[node]
        return node not in self.outline.leaves and (not children or not members.issuperset(children))

    def _ancestors(self, node: int, members: set[int]) -> list[int]:
        """The node, and the members from which it is computed."""
        found = {node: None}
        stack = [node]
        while stack:
            for parent in self.outline.parents[stack.pop()]:
                if parent in members and parent not in found:
                    found[parent] = None
                    stack.append(parent)
        return sorted(found)

    def _with_surroundings(self, box: Box, inner: list[Box]) -> list[Box]:
        """The boxes between those from which they come and those to which their results go."""
        drawn = {node for part in inner for node in part.members}
        members = drawn.union(box.members)
        single = inner[0].kind == "node"
        before: dict[Any, list[int]] = {}
        after: dict[int, list[int]] = {}
        for node in sorted(drawn):
            for parent in self.outline.parents[node]:
                if parent not in drawn:
                    before.setdefault(parent if single else id(self.home[parent]), []).append(parent)
            for child in self.children[node]:
                if child not in members and node not in self.outline.leaves:
                    after.setdefault(id(self.home[child]), []).append(child)
        inlets = [self._around(box, sorted(set(nodes)), "inlet", "") for nodes in before.values()]
        outlets = [self._around(box, sorted(set(nodes)), "outlet", "to ") for nodes in after.values()]
        return inlets + inner + outlets

    def _around(self, box: Box, nodes: list[int], kind: str, word: str) -> Box:
        """Some nodes outside of the box, which are in one box of the overview."""
        home = self.home[nodes[0]]
        neurons = {id(self.neuron[node]): self.neuron[node] for node in nodes}
        if home is self.home[box.members[0]]:
            name = most(self.outline, nodes)
        else:
            name = self.title(home if len(neurons) > 1 else next(iter(neurons.values())))
        if kind == "inlet" and home.kind == "inputs":
            kind = "inputs"
        return Box(kind, word + name, "", nodes)


def _one_by_one(nodes: Iterable[int]) -> list[Box]:
    return [Box("node", "", "", [node]) for node in nodes]


# ----------------------------------------------------------------------------------------------------------------------
# The page.

_MARK = "▸"


def _body(graph: _Graph, views: Sequence[_View], direction: str) -> str:
    overview, *insides = [_view(graph, view, direction) for view in views]
    templates = "".join(
        f'<template data-name="{view.name}" data-title="{html.escape(view.title)}">{inside}</template>'
        for view, inside in zip(views[1:], insides, strict=True)
    )
    return (
        f"<h1>{html.escape(views[0].title)}</h1>\n"
        "<p>Click a box, or move to it with the Tab key and press Enter, to open or close it; Escape closes the last "
        'that was opened. <label><input type="checkbox" id="fit" checked> Fit drawings to the window</label></p>\n'
        f'<main><section>{overview}</section></main>\n<p id="said" role="status"></p>\n'
        f'<script type="text/plain" id="insides">{packed(templates)}</script>'
    )


def packed(text: str) -> str:
    """Drawings that resemble each other, as a tenth of their text: deflated (RFC 1950), in base64."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _view(graph: _Graph, view: _View, direction: str) -> str:
    nodes, edges = summary(graph.order, view.boxes, graph.results)
    marked = [
        replace(node, label=f"{graph.title(view.boxes[place])} {_MARK}") if place in view.opens else node
        for place, node in enumerate(nodes)
    ]
    drawn = drawing(marked, edges, direction)
    drawn.attr(outputorder="edgesfirst")  # so that the Tab key meets the boxes in their order
    picture = draw(drawn.source, "svg")
    names = {nodes[place].name: (graph.title(view.boxes[place]), inside) for place, inside in view.opens.items()}
    return f"<p>{html.escape(view.note)}</p><figure>{_svg(picture, view.title, names)}</figure>"


#: What the page does not need, or has in its style.
_SUPERFLUOUS = ("id", "font-family", "{http://www.w3.org/XML/1998/namespace}space")


def _svg(picture: bytes, title: str, opens: dict[str, tuple[str, str]]) -> str:
    """A picture by Graphviz as a part of a page: without what only a file needs, and with boxes that are buttons."""
    svg = ElementTree.fromstring(picture)
    svg.attrib |= {"role": "group", "aria-label": title}
    for element in svg.iter():
        element.tag = element.tag.partition("}")[2]
        for attribute in _SUPERFLUOUS:
            element.attrib.pop(attribute, None)
        if element.get("text-anchor") == "start":  # the default
            del element.attrib["text-anchor"]
        name = element.find("{*}title")
        if name is None:
            continue
        element.remove(name)  # Graphviz's own name of a node, which browsers would show
        if name.text in opens:
            label, inside = opens[name.text]
            element.attrib |= {"role": "button", "tabindex": "0", "aria-expanded": "false", "aria-label": label}
            element.attrib |= {"aria-controls": f"{inside}-open", "data-opens": inside}
    return ElementTree.tostring(svg, encoding="unicode")
