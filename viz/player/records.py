"""What happens in one step of training, as plain records: each thing in words and in numbers.

`record` reads a graph that offers the graph protocol (see `viz.tracing`), and besides:

    backward_steps()   the backward pass one node at a time, as `micro.Value` has it: records with `node`, `gradient`
                       and `edges`, which have `parent`, `slope`, `contribution`, `before` and `after`
    op.evaluate        the operation as a function: numbers in, `(result, slopes)` out

The page (`page`), the frames and the GIF (`frames`) show these records, and compute nothing themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from numbers import Real
from typing import Any

from nn.engine import is_tensor
from viz.tracing import Edge, Node, number, trace

#: Nodes from which step by step is refused: it would be hundreds of steps, in a picture larger than any screen.
LIMIT = 150


@dataclass(frozen=True)
class Step:
    """One thing that happens.

    kind: what it belongs to: "forward", "loss", "backward" or "update".
    title: a few words.
    formulas: lines, first in symbols, then in numbers of four significant digits.
    words: one or two sentences that say the same without the picture.
    numbers: those that this step is about, exact, by name.
    nodes, edges: names of what is in focus. An edge is called after the node that it leads to and its place there:
        n2-0 leads to n2 as its first argument.
    shows: what the picture says from this step on, as place to text. Places are a node's value, n2-value, its
        gradient, n2-grad, and edges; the text "" stands for nothing any more.
    """

    kind: str
    title: str
    formulas: tuple[str, ...]
    words: str
    numbers: dict[str, float]
    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    shows: dict[str, str]


@dataclass(frozen=True)
class Recording:
    """A graph, and what happens in it.

    nodes: as `viz.trace` gives them, but all with a label (v1, v2, ... where they had none, the result "loss"; none for
        constants), and without numbers, which are in the steps.
    edges: by name; those from constants too, at which nothing happens.
    steps: what happens, in order.
    """

    nodes: tuple[Node, ...]
    edges: dict[str, Edge]
    steps: tuple[Step, ...]


def record(loss: Any, lr: float = 0.1, parameters: Iterable[Any] | None = None) -> Recording:
    """One step of training: forward, loss, backward, update, and what the loss is then.

    The backward pass begins with gradients of zero, whether or not `backward` was called before. The graph stays as it
    was: its numbers are not updated, and it gets back the gradients that it had.

    loss: the result, a `micro.Value`.
    lr: the learning rate: each parameter moves by -lr times its gradient.
    parameters: what is updated: Values, tensors of which some elements stand in the graph, or labels. All inputs, if
        left out; () leaves out the update.

    Raises TypeError for what has no `backward_steps`, and for parameters that are neither tensors nor labels;
    ValueError for more than `LIMIT` nodes, for parameters that are no inputs of the graph, and where a number was
    changed after the result was computed from it, as an optimizer does: the formulas would be untrue.
    """
    if not hasattr(loss, "backward_steps"):
        raise TypeError(
            f"steps: {type(loss).__name__} has no backward_steps, so its backward cannot be watched; give a single "
            "micro.Value. A fast.Tensor works on whole arrays: build the same with engine=micro, for one sample"
        )
    if not isinstance(lr, Real) or not math.isfinite(lr):
        raise ValueError(f"steps: lr={lr!r} is not a learning rate; give a finite number, such as 0.1")
    order = loss.topological_order()
    if len(order) > LIMIT:
        raise ValueError(
            f"steps: {len(order)} nodes are too many to walk through ({LIMIT} at most); take one sample and a smaller "
            "network, or one neuron. viz.graph(loss, fold='layer') draws larger ones"
        )
    return _Recorder(loss, order, float(lr)).recording(parameters)


class _Recorder:
    """What `record` needs to know of a graph at every step."""

    def __init__(self, loss: Any, order: Sequence[Any], lr: float) -> None:
        self.loss, self.order, self.lr = loss, order, lr
        nodes, edges = trace(loss)
        self.nodes = _labelled(nodes)
        self.node = {id(value): node for value, node in zip(order, self.nodes, strict=True)}
        self.edges: dict[str, Edge] = {}
        for edge in edges:
            self.edges[next(name for place in count() if (name := f"{edge.child}-{place}") not in self.edges)] = edge

    def recording(self, parameters: Iterable[Any] | None) -> Recording:
        self._check_that_nothing_changed()
        moved = self._inputs() if parameters is None else self._chosen(parameters)
        walked = self._walked()
        steps = [self._given(), *self._forward(), self._arrived(), self._seed()]
        steps += [step for handled in walked for step in self._backward(handled)]
        if moved:
            gradients = {id(handled.node): handled.gradient for handled in walked}
            new = {id(value): value.data - self.lr * gradients[id(value)] for value in moved}
            steps += [self._update(value, gradients[id(value)], new[id(value)]) for value in moved]
            steps += [self._again(new)]
        return Recording(tuple(self.nodes), self.edges, tuple(steps))

    def _check_that_nothing_changed(self) -> None:
        for value in self.order:
            if value.parents:
                now = value.op.evaluate(*[parent.data for parent in value.parents])
                if repr(now) != repr((value.data, value.slopes)):  # repr, for which nan is nan
                    raise ValueError(
                        f"steps: {self._name(value)} is {number(value.data)}, but from the numbers that stand in the "
                        f"graph now it would be {number(now[0])}: they were changed since; compute the loss again"
                    )

    def _inputs(self) -> list[Any]:
        return [value for value in self.order if self.node[id(value)].kind == "input"]

    def _chosen(self, parameters: Iterable[Any]) -> list[Any]:
        """The inputs that `parameters` means, in the order of the graph."""
        if isinstance(parameters, str) or is_tensor(parameters):
            raise TypeError(f"steps: parameters={parameters!r:.80} is a single one; give a list")
        inputs, chosen = self._inputs(), set()
        for parameter in parameters:
            if isinstance(parameter, str):
                meant = {id(value) for value in inputs if value.label == parameter}
            elif is_tensor(parameter):
                meant = {id(element) for element in parameter.flat()} & {id(value) for value in inputs}
            else:
                raise TypeError(f"steps: the parameter {parameter!r:.80} is neither a tensor nor a label")
            if not meant:
                raise ValueError(f"steps: the parameter {parameter!r:.80} is no input of this graph")
            chosen |= meant
        return [value for value in inputs if id(value) in chosen]

    def _walked(self) -> list[Any]:
        """The records of a backward pass from gradients of zero; the graph gets back those that it has."""
        kept = [value.grad for value in self.order]
        try:
            for value in self.order:
                value.grad = 0.0
            return list(self.loss.backward_steps())
        finally:
            for value, gradient in zip(self.order, kept, strict=True):
                value.grad = gradient

    # ------------------------------------------------------------------------------------------------------------------
    # The steps.

    def _given(self) -> Step:
        given = [value for value in self.order if not value.parents]
        inputs = [value for value in given if self.node[id(value)].kind != "constant"]
        said = [f"{self._name(value)} = {number(value.data)}" for value in inputs]
        return Step(
            kind="forward",
            title="The numbers that are given",
            formulas=(", ".join(said) if len(said) <= 8 else f"{', '.join(said[:7])} and {len(said) - 7} more",),
            words="The forward pass begins. These numbers are given; everything else is computed from them.",
            numbers={self._name(value): value.data for value in inputs},
            nodes=tuple(self.node[id(value)].name for value in given),
            edges=(),
            shows={self._place(value, "value"): number(value.data) for value in given},
        )

    def _forward(self) -> Iterator[Step]:
        for value in self.order:
            if value.parents:
                node, name, result = self.node[id(value)], self._name(value), number(value.data)
                formula = node.formula.removeprefix("y = ")
                symbols = _filled(formula, dict(zip(value.op.arguments, map(self._name, value.parents), strict=True)))
                yield Step(
                    kind="forward",
                    title=f"Compute {name}",
                    formulas=(
                        _equal(
                            f"{name} = {symbols}",
                            _filled(formula, self._numbers(value)),
                            result,
                            shown=_computed(formula, self._numbers(value)),
                        ),
                    ),
                    words=f"Forward: {_listed([self._name(p) for p in value.parents])} {_go(value)} into "
                    f"“{value.op.symbol}”; out comes {name} = {result}.",
                    numbers={"value": value.data},
                    nodes=(node.name,),
                    edges=tuple(name for name, edge in self.edges.items() if edge.child == node.name),
                    shows={self._place(value, "value"): result},
                )

    def _arrived(self) -> Step:
        name, result = self._name(self.loss), number(self.loss.data)
        return Step(
            kind="loss",
            title="The result",
            formulas=(f"{name} = {result}",),
            words=f"The forward pass has arrived: {name} is {result}. How would it change if a number before it were a "
            "little larger? The backward pass finds that out for all of them.",
            numbers={"value": self.loss.data},
            nodes=(self.nodes[-1].name,),
            edges=(),
            shows={},
        )

    def _seed(self) -> Step:
        name = self._name(self.loss)
        with_gradient = [value for value in self.order if self.node[id(value)].kind != "constant"]
        return Step(
            kind="backward",
            title=f"Begin at {name}",
            formulas=(f"d {name} / d {name} = 1",),
            words=f"The backward pass begins where the forward pass ended. When {name} changes, {name} changes by just "
            "as much: its gradient is 1. All other gradients begin at 0.",
            numbers={"gradient": 1.0},
            nodes=(self.nodes[-1].name,),
            edges=(),
            shows={self._place(value, "grad"): number(value is self.loss) for value in with_gradient},
        )

    def _backward(self, handled: Any) -> Iterator[Step]:
        """A step for each edge through which the gradient of a node flows on; none towards constants."""
        child, gradient = handled.node, number(handled.gradient)
        for place, part in enumerate(handled.edges):
            parent, edge_name = self.node[id(part.parent)], f"{self.node[id(child)].name}-{place}"
            edge = self.edges[edge_name]
            if parent.kind == "constant":
                continue
            slope, contribution, before, after = map(number, (part.slope, part.contribution, part.before, part.after))
            symbols = f"d/d{edge.argument} = {edge.formula}"
            product = _equal(f"{slope} × {_bracketed(gradient)}", contribution, shown=float(slope) * float(gradient))
            total = _equal(_plus(before, contribution), after, shown=float(before) + float(contribution))
            formula = edge.formula if " if " in edge.formula else _filled(edge.formula, self._numbers(child))
            yield Step(
                kind="backward",
                title=f"From {self._name(child)} back to {parent.label}",
                formulas=(
                    _equal(symbols, formula, slope, shown=_computed(edge.formula, self._numbers(child))),
                    product,
                    f"grad of {parent.label}: {total}",
                ),
                words=f"Backward: the slope {slope} times the gradient of {self._name(child)}, {gradient}, is "
                f"{contribution}. It is added to the gradient of {parent.label}: {before} before, {after} after.",
                numbers={
                    "slope": part.slope,
                    "gradient": handled.gradient,
                    "contribution": part.contribution,
                    "before": part.before,
                    "after": part.after,
                },
                nodes=(self.node[id(child)].name, parent.name),
                edges=(edge_name,),
                shows={
                    edge_name: f"{_equal(symbols, slope)}\n{product}",
                    self._place(part.parent, "grad"): after,
                },
            )

    def _update(self, value: Any, gradient: float, new: float) -> Step:
        name, old, lr, slope, moved = self._name(value), *map(number, (value.data, self.lr, gradient, new))
        return Step(
            kind="update",
            title=f"Update {name}",
            formulas=(
                _equal(
                    f"{name} - lr × grad = {old} - {lr} × {_bracketed(slope)}",
                    moved,
                    shown=float(old) - float(lr) * float(slope),
                ),
            ),
            words=f"Update: {name} moves against its gradient, by the learning rate {lr} times {slope}: "
            f"from {old} to {moved}.",
            numbers={"before": value.data, "lr": self.lr, "gradient": gradient, "after": new},
            nodes=(self.node[id(value)].name,),
            edges=(),
            shows={self._place(value, "value"): moved},
        )

    def _again(self, new: dict[int, float]) -> Step:
        """The forward pass with the updated numbers."""
        data = {id(value): new.get(id(value), value.data) for value in self.order}
        for value in self.order:
            if value.parents:
                data[id(value)] = value.op.evaluate(*[data[id(parent)] for parent in value.parents])[0]
        name, before, after = self._name(self.loss), self.loss.data, data[id(self.loss)]
        verb = "falls" if after < before else "rises" if after > before else "goes"
        return Step(
            kind="update",
            title="Forward again",
            formulas=(f"{name} = {number(after)}, it was {number(before)}",),
            words=f"Forward again, with the new numbers: {name} {verb} from {number(before)} to {number(after)}. "
            "The next step of training begins, with gradients of zero.",
            numbers={"before": before, "after": after},
            nodes=(self.nodes[-1].name,),
            edges=(),
            shows={self._place(value, "value"): number(data[id(value)]) for value in self.order}
            | {self._place(value, "grad"): "" for value in self.order if self.node[id(value)].kind != "constant"}
            | {name: "" for name, edge in self.edges.items() if edge.slope},
        )

    # ------------------------------------------------------------------------------------------------------------------
    # Words.

    def _name(self, value: Any) -> str:
        return self.node[id(value)].label or number(value.data)

    def _place(self, value: Any, row: str) -> str:
        return f"{self.node[id(value)].name}-{row}"

    def _numbers(self, value: Any) -> dict[str, str]:
        """What the letters of the formulas of `value` stand for."""
        numbers = {name: number(parent.data) for name, parent in zip(value.op.arguments, value.parents, strict=True)}
        return numbers | {"y": number(value.data)}


def _labelled(nodes: Iterable[Node]) -> list[Node]:
    """The nodes with labels on one line; those that have none, but constants, are called v1, v2, ..., or "loss"."""
    nodes = [replace(node, label=_short(node.label), rows=()) for node in nodes]
    taken = {node.label for node in nodes}
    free = (name for number in count(1) if (name := f"v{number}") not in taken)
    last = nodes[-1]
    if not last.label and last.kind == "result" and "loss" not in taken:
        nodes[-1] = replace(last, label="loss")
    return [node if node.label or node.kind == "constant" else replace(node, label=next(free)) for node in nodes]


def _short(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= 30 else line[:29] + "…"


def _filled(formula: str, meanings: dict[str, str]) -> str:
    """A formula with something else in the place of its letters, in brackets where they are needed."""

    def filled(match: re.Match) -> str:
        meaning = meanings[match[0]]
        alone = formula[: match.start()].endswith("(") and formula[match.end() :].startswith(")")
        return meaning if alone or formula == match[0] else _bracketed(meaning)

    return re.sub(rf"\b({'|'.join(map(re.escape, meanings))})\b", filled, formula)


def _computed(formula: str, meanings: dict[str, str]) -> float | None:
    """What a formula gives for numbers as they are shown; None where Python cannot say."""
    try:
        return float(eval(formula, vars(math) | {name: float(meaning) for name, meaning in meanings.items()}))
    except (ArithmeticError, ValueError, NameError, TypeError):  # TypeError: a root of a negative number is complex
        return None


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def _plus(before: str, contribution: str) -> str:
    return f"{before} - {contribution[1:]}" if contribution.startswith("-") else f"{before} + {contribution}"


def _equal(*sides: str, shown: float | None = None) -> str:
    """The sides of an equation; one that repeats the end of what stands before it is left out.

    shown: what the numbers before the last sign give as they are shown, rounded. Where that is not the last side, the
        sign is ≈: a reader who computes it again should not doubt the arithmetic.
    """
    text = sides[0]
    for place, side in enumerate(sides[1:], start=2):
        exact = place < len(sides) or shown is None or number(shown) == side
        if not text.endswith(f"= {side}"):
            text += f" {'=' if exact else '≈'} {side}"
    return text


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _go(value: Any) -> str:
    return "goes" if len(value.parents) == 1 else "go"
