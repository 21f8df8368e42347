"""Computation graphs as plain nodes and edges, for `viz.graphs` to draw.

`trace` reads any graph whose nodes offer the graph protocol; `micro.Value` and `fast.Tensor` do:

    topological_order()   every node, after its parents
    parents, slopes       what it was made from, and the slope towards each (a Tensor has no slopes)
    op                    the operation, its `symbol`; where there are slopes, also its `name`, `arguments`, and the
                          formulas `forward` and `slopes`; None for an input
    data, grad, shape     numbers
    label, constant       a name; whether it is a plain number that nobody wants a gradient for
    dtype, engine         the type of its numbers, and whose default type it is compared with
    maker                 the module that computed it, for folding (see `viz.folding`)
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from viz.folding import Box, Outline, folded

#: Nodes from which a drawing is refused: beyond, nobody could read it, and Graphviz would take minutes.
LIMIT = 1000


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
