"""Computation graphs as pictures, in three steps: plain nodes and edges, then DOT text, then a picture.

`trace` reads any graph whose nodes offer the graph protocol; `micro.Value` and `fast.Tensor` do:

    topological_order()   every node, after its parents
    parents, slopes       what it was made from, and the slope towards each (a Tensor has no slopes)
    op                    the operation, its `symbol`; where there are slopes, also its `name`, `arguments`, and the
                          formulas `forward` and `slopes`; None for an input
    data, grad, shape     numbers
    label, constant       a name; whether it is a plain number that nobody wants a gradient for

Only the third step, in `render`, needs Graphviz.
"""

from __future__ import annotations

import ast
import html
import math
import re
from dataclasses import dataclass, replace
from typing import Any

import graphviz
import numpy as np

from viz.rendering import draw

#: Nodes from which a drawing is refused: beyond, nobody could read it, and Graphviz would take minutes.
LIMIT = 1000


@dataclass(frozen=True)
class Node:
    """A box.

    name: `n0`, `n1`, ...: parents before children, and from left to right.
    kind: "input", "constant", "inner" or "result".
    label, formula: what it is called and how it was computed; may be empty.
    rows: pairs of a word and a number.
    """

    name: str
    kind: str
    label: str
    formula: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Edge:
    """From a parent to what was made of it.

    argument: as which argument of the child's formula the parent went in: x, a or b.
    formula, slope: the partial derivative with respect to it, in symbols and in numbers.
    The three are empty where nobody asks for a slope: tensors, and edges from constants.
    """

    parent: str
    child: str
    argument: str = ""
    formula: str = ""
    slope: str = ""


def trace(root: Any) -> tuple[list[Node], list[Edge]]:
    """The plain nodes and edges of everything that `root` was made from.

    Raises TypeError for what is no graph, ValueError for more than `LIMIT` nodes.
    """
    if not hasattr(root, "topological_order"):
        raise TypeError(f"graph: {type(root).__name__} has no graph; give a micro.Value or a fast.Tensor")
    order = root.topological_order()
    if len(order) > LIMIT:
        raise ValueError(
            f"graph: {len(order)} nodes are too many to read ({LIMIT} at most); draw one sample or one neuron"
        )
    names = {id(node): f"n{number}" for number, node in enumerate(order)}
    used = {id(parent) for node in order for parent in node.parents}
    nodes = [_node(node, names[id(node)], id(node) in used) for node in order]
    edges = [edge for node in order for edge in _edges(node, names)]
    return nodes, edges


def _node(node: Any, name: str, is_used: bool) -> Node:
    if node.op is None:
        kind = "constant" if node.constant and not node.label else "input"
    else:
        kind = "inner" if is_used else "result"
    return Node(name, kind, node.label, _formula(node), tuple(_rows(node, kind)))


def _formula(node: Any) -> str:
    """What the operation computes, or just its name where that has branches or would make a wide box."""
    op = node.op
    if op is None:
        return ""
    if not node.slopes:
        return op.symbol
    short = len(op.forward) <= 20 and " if " not in op.forward
    return "y = " + (op.forward if short else f"{op.name}({', '.join(op.arguments)})")


def _rows(node: Any, kind: str) -> list[tuple[str, str]]:
    value = ("shape", " × ".join(map(str, node.shape))) if node.shape else ("value", number(node.data))
    if kind == "constant" or node.grad is None:
        return [value]
    if node.shape:
        return [value, ("grad norm", number(np.linalg.norm(np.asarray(node.grad))))]
    return [value, ("grad", number(node.grad))]


def _edges(node: Any, names: dict[int, str]) -> list[Edge]:
    edges = []
    for place, parent in enumerate(node.parents):
        edge = Edge(names[id(parent)], names[id(node)])
        if node.slopes and not parent.constant:
            formula, slope = _branch(node.op.slopes[place], node.slopes[place], node), number(node.slopes[place])
            edge = replace(edge, argument=node.op.arguments[place], formula=formula, slope=slope)
        edges.append(edge)
    return edges


def _branch(formula: str, slope: float, node: Any) -> str:
    """`formula`, or where it is `... if ... else ...`, the branch that applied here.

    Numbers may have changed since the slope was computed; a branch is shown only if it still gives that slope.
    """
    if " if " not in formula:
        return formula
    tree = ast.parse(formula, mode="eval").body
    numbers = {name: parent.data for name, parent in zip(node.op.arguments, node.parents, strict=True)}

    def evaluate(part: ast.expr) -> Any:
        return eval(compile(ast.Expression(part), "formula", "eval"), vars(math) | numbers | {"y": node.data})

    try:
        while isinstance(tree, ast.IfExp):
            tree = tree.body if evaluate(tree.test) else tree.orelse
        return ast.unparse(tree) if evaluate(tree) == slope else formula
    except (ArithmeticError, ValueError):  # where Python stops and `micro` goes on, as at the logarithm of -1
        return formula


def number(value: Any) -> str:
    """A number as drawings show it: four significant digits."""
    return f"{float(np.asarray(value)):.4g}"


# ----------------------------------------------------------------------------------------------------------------------
# DOT text.

#: Fill and border of each kind of node; they differ in lightness too, so that they survive print and colour blindness.
COLOURS = {
    "input": ("#dbeafe", "#1d4ed8"),
    "constant": ("#f3f4f6", "#9ca3af"),
    "inner": ("#ffffff", "#4b5563"),
    "result": ("#fde68a", "#b45309"),
}
_FONT = "Helvetica,Arial,sans-serif"


class Graph(graphviz.Digraph):
    """A `graphviz.Digraph` that can be drawn without the `dot` program too, and shows itself in a notebook."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return {"image/svg+xml": draw(self.source, "svg").decode()}


def graph(root: Any, direction: str = "LR") -> Graph:
    """The graph of everything that `root`, a `micro.Value` or a `fast.Tensor`, was made from.

    A box is a number (or a tensor) with its value and, after `backward`, its gradient; an edge says how steeply the
    result changes with what goes in, as a formula and as a number. `viz.render` makes a file of it.

    direction: "LR" draws from left to right, "TB" from top to bottom.
    """
    if direction not in ("LR", "TB"):
        raise ValueError(f"direction={direction!r}; use 'LR' (left to right) or 'TB' (top to bottom)")
    nodes, edges = trace(root)
    drawing = Graph(
        graph_attr={"rankdir": direction, "bgcolor": "white", "ranksep": "0.5", "nodesep": "0.3"},
        node_attr={"shape": "plain", "fontname": _FONT, "fontsize": "12"},
        edge_attr={"fontname": _FONT, "fontsize": "10", "color": "#6b7280", "arrowsize": "0.7"},
    )
    for node in nodes:
        drawing.node(node.name, label=_table(node))
    for edge in edges:
        drawing.edge(edge.parent, edge.child, label=_edge_label(edge) if edge.slope else "")
    return drawing


def _table(node: Node) -> str:
    fill, border = COLOURS[node.kind]
    lines = [f"<B>{escape(node.label)}</B>"] if node.label else []
    lines += [escape(node.formula)] if node.formula else []
    heading = "".join(f'<TR><TD COLSPAN="2">{line}</TD></TR>' for line in lines)
    rows = "".join(
        f'<TR><TD ALIGN="LEFT"><FONT COLOR="#4b5563">{word}</FONT></TD><TD ALIGN="RIGHT">{escape(text)}</TD></TR>'
        for word, text in node.rows
    )
    style = f'BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" STYLE="ROUNDED" COLOR="{border}"'
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
