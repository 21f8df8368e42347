"""Computation graphs as pictures, in three steps: plain nodes and edges, then DOT text, then a picture.

`trace` reads any graph whose nodes offer the graph protocol; `micro.Value` and `fast.Tensor` do:

    topological_order()   every node, after its parents
    parents, slopes       what it was made from, and the slope towards each (a Tensor has no slopes)
    op                    the operation, its `symbol`; where there are slopes, also its `name`, `arguments`, and the
                          formulas `forward` and `slopes`; None for an input
    data, grad, shape     numbers
    label, constant       a name; whether it is a plain number that nobody wants a gradient for
    dtype, engine         the type of its numbers, and whose default type it is compared with
    maker                 the module that computed it, for folding (see `viz.folding`)

Only the third step, in `render`, needs Graphviz.
"""

from __future__ import annotations

import ast
import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import graphviz
import numpy as np

from viz.folding import Box, Outline, folded
from viz.rendering import draw

#: Nodes from which a drawing is refused: beyond, nobody could read it, and Graphviz would take minutes.
LIMIT = 1000
#: Edges up to which a folded drawing says on each what it carries.
LABELLED_EDGES = 100


@dataclass(frozen=True)
class Node:
    """A box.

    name: `n0`, `n1`, ...: parents before children, and from left to right.
    kind: "input", "constant", "inner" or "result"; "layer" for what a module computed, in a folded graph.
    label, formula: what it is called and how it was computed; may be empty.
    rows: pairs of a word and a number.
    count: for how many nodes of the graph it stands.
    """

    name: str
    kind: str
    label: str
    formula: str
    rows: tuple[tuple[str, str], ...]
    count: int = 1


@dataclass(frozen=True)
class Edge:
    """From a parent to what was made of it.

    argument: as which argument of the child's formula the parent went in: x, a or b.
    formula, slope: the partial derivative with respect to it, in symbols and in numbers.
    The three are empty where nobody asks for a slope: tensors, edges from constants, and edges to folded boxes.
    carries: what a box hands on, how many values or of which shape, where the parent stands for several nodes.
    """

    parent: str
    child: str
    argument: str = ""
    formula: str = ""
    slope: str = ""
    carries: str = ""


def trace(root: Any, fold: str | None = None, constants: bool = True) -> tuple[list[Node], list[Edge]]:
    """The plain nodes and edges of everything that `root` was made from.

    fold, constants: see `graph`.
    Raises TypeError for what is no graph, ValueError for more than `LIMIT` nodes.
    """
    order = order_of(root, constants)
    if fold is None:
        check_size(len(order), "; draw one sample or one neuron, or fold the graph: fold='layer' or fold='neuron'")
        boxes = [Box("node", "", "", [number]) for number in range(len(order))]
    else:
        boxes = folded(outline(order), fold)
        check_size(len(boxes), "; use fold='layer'" if fold == "neuron" else ", even folded; draw a smaller model")
    return summary(order, boxes, results(order))


def order_of(root: Any, constants: bool) -> list[Any]:
    """The nodes of a graph, each after its parents, with or without plain numbers; TypeError for what is no graph."""
    if not hasattr(root, "topological_order"):
        raise TypeError(f"graph: {type(root).__name__} has no graph; give a micro.Value or a fast.Tensor")
    order: list[Any] = root.topological_order()
    return order if constants else [node for node in order if not _is_plain_number(node)]


def _is_plain_number(node: Any) -> bool:
    return node.op is None and node.constant and not node.label and not node.shape


def check_size(count: int, advice: str) -> None:
    """ValueError for more nodes than a drawing may have."""
    if count > LIMIT:
        raise ValueError(f"graph: {count} nodes are too many to read ({LIMIT} at most){advice}")


def outline(order: Sequence[Any]) -> Outline:
    """What folding needs to know of a graph whose nodes stand in topological order."""
    numbers = {id(node): number for number, node in enumerate(order)}
    makers = [node.maker if node.op else None for node in order]
    parameters = {
        id(element)
        for top in {id(top): top for top in map(_outermost, makers) if top}.values()
        for _, parameter in top.named_parameters()
        for element in parameter.topological_order()
    }
    leaves = {
        number: "parameter" if id(node) in parameters else "constant" if _is_plain_number(node) else "data"
        for number, node in enumerate(order)
        if node.op is None
    }
    return Outline(
        parents=[tuple([numbers[id(parent)] for parent in node.parents if id(parent) in numbers]) for node in order],
        makers=makers,
        leaves=leaves,
        operations=["" if node.op is None else getattr(node.op, "name", node.op.symbol) for node in order],
        labels=[node.label for node in order],
    )


def _outermost(maker: Any) -> Any:
    """The module whose call was around all others; None for what was made outside of any."""
    module = None
    while maker:
        module, maker = maker
    return module


def results(order: Sequence[Any]) -> set[int]:
    """The `id` of each node from which nothing is made."""
    return {id(node) for node in order} - {id(parent) for node in order for parent in node.parents}


def summary(order: Sequence[Any], boxes: Sequence[Box], results: set[int]) -> tuple[list[Node], list[Edge]]:
    """The plain nodes and edges of a graph whose nodes, in topological order, were put into boxes.

    Nodes that are in no box are left out, and so are their edges. results: see `results`.
    """
    homes = {id(order[number]): place for place, box in enumerate(boxes) for number in box.members}
    handed_on: list[dict[int, Any]] = [{} for _ in boxes]  # of each box, the nodes that others use
    edges: list[Edge] = []
    for place, box in enumerate(boxes):
        members = [order[number] for number in box.members]
        entering: dict[int, dict[int, Any]] = {}  # by the box from which they come
        for node in members:
            for parent in node.parents:
                origin = homes.get(id(parent), place)
                if origin != place:
                    entering.setdefault(origin, {})[id(parent)] = parent
        for origin, nodes in entering.items():
            handed_on[origin].update(nodes)
        if len(members) == 1 and box.kind != "outlet":
            edges += _edges(members[0], homes, boxes)
        else:
            for origin in sorted(entering):
                carries = _carried(entering[origin].values(), boxes[origin].kind in ("inputs", "node"))
                edges.append(Edge(f"n{origin}", f"n{place}", carries=carries))
    boxed = []
    for place, box in enumerate(boxes):
        members = [order[number] for number in box.members]
        last = {id(node): node for node in members if id(node) in results}
        boxed.append(_box(f"n{place}", box, members, [*(handed_on[place] | last).values()], bool(last)))
    return boxed, edges


#: What the boxes of `viz.folding` are drawn as; all others are "inner".
_KINDS = {"layer": "layer", "neuron": "layer", "inputs": "input", "inlet": "input", "outlet": "constant"}


def _box(name: str, box: Box, members: list[Any], handed_on: list[Any], is_result: bool) -> Node:
    """The node of a box; one that holds a single node shows what that would show."""
    kind = _KINDS.get(box.kind, "inner")
    if box.kind == "outlet":
        return Node(name, kind, box.title, "", (), len(members))
    if len(members) == 1:
        node = _node(members[0], name, not is_result)
        kind = kind if box.title and not is_result else node.kind
        return replace(node, kind=kind, label=box.title if kind == "layer" else node.label or box.title)
    parameters = [node for node in members if node.op is None and not _is_plain_number(node)]
    rows = _extent(members if box.kind in ("inputs", "inlet") else [node for node in handed_on if node.op], box.neurons)
    if box.kind in ("layer", "neuron", "outside") and parameters:
        rows += _of_parameters(parameters)
    rows.append(("nodes", f"{len(members):,}"))
    return Node(name, "result" if is_result else kind, box.title, box.subtitle, tuple(rows), len(members))


def _extent(nodes: list[Any], neurons: int) -> list[tuple[str, str]]:
    """How many numbers there are, and from where to where they reach."""
    arrays = [np.asarray(node.data) for node in nodes]
    numbers = np.concatenate([array.reshape(-1) for array in arrays])
    if numbers.size == 1:
        return [("value", number(numbers[0]))]
    each, rest = divmod(len(nodes), neurons)
    if any(array.shape for array in arrays):
        rows = [("shape", _shapes(nodes))]
    else:
        rows = [("values", f"{each} × {neurons}" if neurons > 1 and each > 1 and not rest else f"{len(nodes):,}")]
    if numbers.size:
        ends = dict.fromkeys([number(numbers.min()), number(numbers.max())])  # which may be the same
        rows.append(("range", " to ".join(ends)))
    return rows


def _of_parameters(parameters: list[Any]) -> list[tuple[str, str]]:
    rows = [("parameters", f"{sum(math.prod(node.shape) for node in parameters):,}")]
    gradients = [np.asarray(node.grad).reshape(-1) for node in parameters if node.grad is not None]
    return rows + ([("grad norm", number(np.linalg.norm(np.concatenate(gradients))))] if gradients else [])


def _carried(nodes: Iterable[Any], from_inputs: bool) -> str:
    """What passes along an edge: `1,600 values`, `100 × 16`, `48 parameters`."""
    parameters, values, tensors = 0, 0, []
    for node in nodes:
        if node.op is None and not from_inputs and not _is_plain_number(node):
            parameters += math.prod(node.shape)
        elif node.shape:
            tensors.append(node)
        else:
            values += 1
    counts = (("value", values), ("parameter", parameters))
    words = [f"{count:,} {word}{'s' if count > 1 else ''}" for word, count in counts if count]
    return ", ".join([_shapes(tensors), *words] if tensors else words)


def _shapes(nodes: list[Any]) -> str:
    """`4 × 3`; with how many there are of it where there are several."""
    counts = Counter(" × ".join(map(str, node.shape)) for node in nodes)
    return ", ".join(shape if count == 1 else f"{count} of {shape}" for shape, count in counts.items())


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
    dtype = [("dtype", node.dtype)] if node.dtype != node.engine.default_dtype else []
    if kind == "constant" or node.grad is None:
        return [value, *dtype]
    if node.shape:
        return [value, *dtype, ("grad norm", number(np.linalg.norm(np.asarray(node.grad))))]
    return [value, *dtype, ("grad", number(node.grad))]


def _edges(node: Any, homes: dict[int, int], boxes: Sequence[Box]) -> list[Edge]:
    """The edges towards a single node: one for each argument, but only one from each box of several tensors."""
    edges = []
    together: dict[int, list[Any]] = {}
    for place, parent in enumerate(node.parents):
        if id(parent) not in homes:
            continue
        origin = homes[id(parent)]
        edge = Edge(f"n{origin}", f"n{homes[id(node)]}")
        if node.slopes and not parent.constant:
            formula, slope = _branch(node.op.slopes[place], node.slopes[place], node), number(node.slopes[place])
            edge = replace(edge, argument=node.op.arguments[place], formula=formula, slope=slope)
        elif len(boxes[origin].members) > 1:
            together.setdefault(origin, []).append(parent)
            continue
        edges.append(edge)
    for origin, parents in together.items():
        carries = _carried(parents, boxes[origin].kind == "inputs")
        edges.append(Edge(f"n{origin}", f"n{homes[id(node)]}", carries=carries))
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
    Raises ValueError for more than `LIMIT` nodes or boxes.
    """
    check_direction(direction)
    return drawing(*trace(root, fold, constants), direction)


def check_direction(direction: str) -> None:
    """ValueError for another direction than "LR" and "TB"."""
    if direction not in ("LR", "TB"):
        raise ValueError(f"direction={direction!r}; use 'LR' (left to right) or 'TB' (top to bottom)")


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

    titles: of the two frames; left out, the names of the engines. direction: "TB" puts the graphs beside each other,
    "LR" one above the other. fold, constants: see `graph`.
    """
    check_direction(direction)
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
    style = f'BORDER="{width}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" STYLE="ROUNDED" COLOR="{border}"'
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
