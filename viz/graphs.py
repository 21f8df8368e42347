"""Computation graphs as pictures, in three steps: plain nodes and edges, then DOT text, then a picture.

The first is `viz.tracing`; this is the second; only the third, `viz.rendering`, needs Graphviz.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import graphviz

from viz.rendering import draw
from viz.tracing import Edge, Node, trace

#: Edges up to which a folded drawing says on each what it carries.
LABELLED_EDGES = 100
#: Fill and border of each kind of node; they differ in lightness too, so that they survive print and colour blindness.
COLOURS = {
    "input": ("#dbeafe", "#1d4ed8"),
    "constant": ("#f3f4f6", "#9ca3af"),
    "inner": ("#ffffff", "#4b5563"),
    "result": ("#fde68a", "#b45309"),
    "layer": ("#ccfbf1", "#0f766e"),
}
FONT = "Helvetica,Arial,sans-serif"


class Graph(graphviz.Digraph):
    """A `graphviz.Digraph` that can be drawn without the `dot` program too, and shows itself in a notebook."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return {"image/svg+xml": draw(self.source, "svg").decode()}


def graph(root: Any, direction: str = "LR", fold: str | None = None, constants: bool = True) -> Graph:
    """The graph of everything that `root`, a `micro.Value` or a `fast.Tensor`, was made from.

    A box is a number (or a tensor) with its value and, after `backward`, its gradient; an edge says how steeply the
    result changes with what goes in, as a formula and as a number. `viz.render` makes a file of it.

    direction: "LR" draws from left to right, "TB" from top to bottom.
    fold: None draws every node. "layer" draws one box for each module, with all that it computed, for all samples, and
        the parameters that it used: how many values it hands on (`100 × 16`: 100 for each of 16 neurons) and from
        where to where they reach, how many parameters it has, and the norm of their gradient. "neuron" draws one box
        for each row of a layer's weights. What no module made is a box of its own, or stays as it is where it is
        small. See `viz.graph_page` for a drawing whose boxes open.
    constants: whether plain numbers, those that stood in an expression, are drawn.
    Raises TypeError for what is no graph; ValueError for more than 1000 nodes or boxes (`tracing.LIMIT`), and for
    another direction or fold.
    """
    check_direction("graph", direction)
    return drawing(*trace(root, fold, constants), direction)


def check_direction(name: str, direction: str) -> None:
    """ValueError for another direction than "LR" and "TB"."""
    if direction not in ("LR", "TB"):
        raise ValueError(f"{name}: direction={direction!r}; use 'LR' (left to right) or 'TB' (top to bottom)")


def drawing(nodes: Iterable[Node], edges: Sequence[Edge], direction: str = "LR") -> Graph:
    """Plain nodes and edges as DOT text."""
    drawn = Graph(
        graph_attr={"rankdir": direction, "bgcolor": "white", "ranksep": "0.5", "nodesep": "0.3"},
        node_attr={"shape": "plain", "fontname": FONT, "fontsize": "12"},
        edge_attr={"fontname": FONT, "fontsize": "10", "color": "#6b7280", "arrowsize": "0.7"},
    )
    add(drawn, nodes, edges)
    return drawn


def add(drawn: Graph, nodes: Iterable[Node], edges: Sequence[Edge]) -> None:
    """Put plain nodes and edges into a drawing; edges say what they carry as long as these can be told apart."""
    for node in nodes:
        drawn.node(node.name, label=_table(node))
    for edge in edges:
        carries = escape(edge.carries) if len(edges) <= LABELLED_EDGES else ""
        drawn.edge(edge.parent, edge.child, label=_edge_label(edge) if edge.slope else carries)


def side_by_side(
    left: Any,
    right: Any,
    titles: Sequence[str] | None = None,
    direction: str = "TB",
    fold: str | None = "layer",
    constants: bool = True,
) -> Graph:
    """Two graphs in one drawing, each in a frame: those of one model on `micro` and on `fast`, for example.

    Boxes that are called alike, such as the layers of folded graphs, stand beside each other.

    titles: of the two frames; left out, the names of the engines.
    direction: "TB" puts the graphs beside each other, "LR" one above the other.
    fold, constants: see `graph`.
    Raises as `graph` does, and ValueError for other than two titles.
    """
    check_direction("side_by_side", direction)
    if titles is None:
        titles = [getattr(getattr(root, "engine", None), "__name__", "") for root in (left, right)]
    if len(titles) != 2:
        raise ValueError(f"side_by_side: titles={titles!r}; give two, one for each graph")
    drawn = drawing((), (), direction)
    drawn.attr(newrank="true")
    levels: dict[str, list[str]] = {}
    for side, root, title in zip(("left", "right"), (left, right), titles, strict=True):
        nodes, edges = trace(root, fold, constants)
        with drawn.subgraph(name=f"cluster_{side}") as frame:
            frame.attr(label=f"<<B>{escape(title)}</B>>", fontname=FONT, color="#9ca3af", style="rounded", margin="16")
            names = {node.name: f"{side}_{node.name}" for node in nodes}
            add(frame, [replace(node, name=names[node.name]) for node in nodes], [
                replace(edge, parent=names[edge.parent], child=names[edge.child]) for edge in edges
            ])  # fmt: skip
        for node in nodes:
            if node.label:
                levels.setdefault(node.label, []).append(names[node.name])
    for names_of_level in levels.values():
        if len(names_of_level) == 2:
            drawn.body.append("\t{ rank=same; " + "; ".join(names_of_level) + " }\n")
    return drawn


def _table(node: Node) -> str:
    fill, border = COLOURS[node.kind]
    lines = [f"<B>{escape(node.label)}</B>"] if node.label else []
    lines += [escape(node.formula)] if node.formula else []
    heading = "".join(f'<TR><TD COLSPAN="2">{line}</TD></TR>' for line in lines)
    rows = "".join(
        f'<TR><TD ALIGN="LEFT"><FONT COLOR="#4b5563">{word}</FONT></TD><TD ALIGN="RIGHT">{escape(text)}</TD></TR>'
        for word, text in node.rows
    )
    width = 1 if node.count == 1 else 2
    style = f'BORDER="{width}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4" STYLE="ROUNDED" COLOR="{border}"'
    return f'<<TABLE {style} BGCOLOR="{fill}">{heading}{rows}</TABLE>>'


def _edge_label(edge: Edge) -> str:
    formula = "" if edge.formula == edge.slope else f"{escape(edge.formula)} = "
    text = f"d/d{edge.argument} = {formula}<B>{escape(edge.slope)}</B>"
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="4"><TR><TD>{text}</TD></TR></TABLE>>'


#: Everything but the characters of XML 1.0, section 2.2.
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Any text as part of an HTML-like label, to be shown letter by letter.

    Graphviz gives a backslash a meaning of its own (`\\N` is the node's name), so it is doubled; a new line becomes a
    line break, and characters that SVG forbids become `\\ufffd`.
    """
    return html.escape(_FORBIDDEN.sub("\ufffd", text)).replace("\\", "\\\\").replace("\n", "<BR/>")
