"""Large graphs in few boxes: which nodes of a graph a drawing shows as one.

Here a graph is plain data: nodes are numbers, and what is known of them stands in lists. What the boxes show is read
from the engine's nodes afterwards, in `viz.tracing`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from textwrap import shorten
from typing import Any

#: The ways to fold a graph.
WAYS = ("layer", "neuron")
#: What belongs to no module is drawn node by node if it has no more nodes than this.
SMALL = 8

Parents = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Outline:
    """A graph as plain data, node by node; every node comes after its parents, the result last.

    parents: the numbers of the nodes that each was made from; () for an input.
    makers: the module that made it, and the maker of the call around that, as the engines record it; or None.
    leaves: of each node without parents, whether it is a "parameter", a "constant" (a plain number) or "data".
    operations: the name of the operation; "" for an input.
    labels: names, which may be empty.
    """

    parents: Parents
    makers: Sequence[Any]
    leaves: dict[int, str]
    operations: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True)
class Box:
    """Nodes that are drawn as one.

    kind: "layer" or "neuron" of a module; "inputs"; "outside" for operations outside of any module; "operation" for
        nodes of the same operation; "node" for a node that stands for itself; where a part of a graph is drawn by
        itself, "inlet" and "outlet" for what comes before and after it.
    title: what it is called: `0 Linear(2, 16)`, `0 neuron 3`, `loss`; empty for a node that stands for itself.
    subtitle: the module of a neuron, the operations of what has no better name; may be empty.
    members: the numbers of its nodes, parents first.
    neurons: into how many neurons a layer falls; 1 for all else.
    """

    kind: str
    title: str
    subtitle: str
    members: list[int]
    neurons: int = 1


def folded(outline: Outline, way: str) -> list[Box]:
    """The boxes of a folded graph, each after those from which it is computed. Every node is in exactly one of them.

    way: "layer" puts together what the same module computed, in all its calls, for all samples. Only where boxes would
        wait for each other (a cell whose output comes back to it through another layer) is one cut into parts that do
        not. "neuron" cuts layers further, see `_neurons`.

    Parameters and constants stand in the first box that uses them. Inputs make boxes of their own, by label.
    Raises ValueError for another way.
    """
    if way not in WAYS:
        raise ValueError(f"graph: fold={way!r}; use 'layer' or 'neuron'")
    boxes = _computed(outline, way)
    layers = {number for number, box in enumerate(boxes) if box.kind != "outside"}
    if layers and boxes[-1].kind == "outside" and len(outline.parents) - 1 in boxes[-1].members:
        boxes[-1] = replace(boxes[-1], title=outline.labels[-1] or "loss")
    users = _users(outline, boxes)
    inputs = {leaf: its_users for leaf, its_users in users.items() if outline.leaves[leaf] == "data" or not its_users}
    _add_to_first(boxes, {leaf: its_users for leaf, its_users in users.items() if leaf not in inputs})
    folds = {number for number, box in enumerate(boxes) if number in layers or len(box.members) > SMALL}
    first = [_unfolded(box, folds & its_users) for box, its_users in _by_label(outline, inputs, layers)]
    return [*chain(*first, *[_unfolded(box, folds & {number}) for number, box in enumerate(boxes)])]


def fold_by_operation(outline: Outline, members: Sequence[int]) -> list[Box]:
    """The boxes of a part of a graph, one for each operation, or several where these wait for each other."""
    places = {node: place for place, node in enumerate(members)}
    parents = [tuple([places[parent] for parent in outline.parents[node] if parent in places]) for node in members]
    leaves = {places[node] for node in members if node in outline.leaves}
    turns = in_turns(parents, [outline.operations[node] for node in members], leaves)
    boxes = []
    for turn in turns:
        nodes = [members[place] for place in turn]
        boxes.append(Box("operation", most(outline, nodes), "", nodes))
    _add_to_first(boxes, {leaf: users for leaf, users in _users(outline, boxes).items() if leaf in places})
    return boxes


def _computed(outline: Outline, way: str) -> list[Box]:
    """The boxes of all nodes that were computed, each after those from which it is."""
    modules = [None if maker is None else id(maker[0]) for maker in outline.makers]
    runs = in_turns(outline.parents, modules, outline.leaves)
    titles = _titles([outline.makers[run[0]] for run in runs])
    return [
        box
        for title, run, neurons in zip(titles, runs, _neurons(outline, runs), strict=True)
        for box in _boxes_of_run(outline, title, run, neurons, way)
    ]


def _boxes_of_run(
    outline: Outline, title: tuple[str, str], run: list[int], neurons: list[tuple[str, list[int]]], way: str
) -> Iterator[Box]:
    """One box, or one for each neuron; without parameters and constants."""
    path, words = title
    maker = outline.makers[run[0]]
    if maker is None:
        yield Box("outside", "", most(outline, run), run)
    elif way == "neuron" and len(neurons) > 1:
        for number, nodes in neurons:
            yield Box("neuron", f"{path} neuron {number}".strip(), words, nodes)
    else:
        own = most(outline, run) if maker[0]._modules else ""  # what it does between the modules inside it
        yield Box("layer", f"{path} {words}".strip(), own, run, len(neurons))


def most(outline: Outline, nodes: Iterable[int]) -> str:
    """The operations among some nodes, the most frequent first: `add × 436, mul × 100 and 2 more`."""
    counts = Counter(outline.operations[node] for node in nodes).most_common()
    words = [name if count == 1 else f"{name} × {count:,}" for name, count in counts]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def _users(outline: Outline, boxes: list[Box]) -> dict[int, set[int]]:
    """Of each node without parents, the boxes that use it."""
    users: dict[int, set[int]] = {leaf: set() for leaf in outline.leaves}
    for number, box in enumerate(boxes):
        for node in box.members:
            for parent in outline.parents[node]:
                if parent in users:
                    users[parent].add(number)
    return users


def _add_to_first(boxes: list[Box], users: dict[int, set[int]]) -> None:
    """Put each of these leaves into the first box that uses it."""
    for leaf, its_users in users.items():
        boxes[min(its_users)].members.append(leaf)
    for box in boxes:
        box.members.sort()


def _by_label(outline: Outline, inputs: dict[int, set[int]], layers: set[int]) -> Iterator[tuple[Box, set[int]]]:
    """A box for each name of inputs, and the boxes that use it. inputs: the users of each. layers: which those are."""
    named: dict[str, tuple[list[int], set[int]]] = {}
    for leaf, users in inputs.items():
        unnamed = "inputs of the loss" if layers and not layers & users else "inputs"
        nodes, all_users = named.setdefault(outline.labels[leaf].partition("[")[0] or unnamed, ([], set()))
        nodes.append(leaf)
        all_users |= users
    for name, (nodes, all_users) in named.items():
        yield Box("inputs", name, "", nodes), all_users


def _unfolded(box: Box, folds: set[int]) -> list[Box]:
    """A box as single nodes, if it is small and nothing folds that is or uses it; a single input keeps its name."""
    if folds or len(box.members) > SMALL or (box.kind == "inputs" and len(box.members) == 1):
        return [box]
    return [Box("node", "", "", [node]) for node in box.members]


# ----------------------------------------------------------------------------------------------------------------------
# In which order, and in how many parts.


def in_turns(parents: Parents, keys: Sequence[Hashable], leaves: Container[int]) -> list[list[int]]:
    """Lists of all nodes but the leaves, each of one key, so that no list needs a node of a later one.

    Keys take turns. One whose nodes need nothing any more from other keys comes first, and is done in one turn; where
    there is none, the first that can compute anything at all computes what it can, modules before what is outside of
    any (None), and comes again later. So a graph in which keys do not wait for each other has one list for each key.
    """
    children: dict[int, list[int]] = {}
    waiting = [0] * len(parents)  # for how many parents
    foreign: Counter[Hashable] = Counter()  # of each key, how many edges come from other keys' nodes, still to compute
    ready: dict[Hashable, list[int]] = {}  # of each key, the nodes whose parents are computed
    for node, mine in enumerate(parents):
        key = keys[node]
        for parent in mine:
            if parent not in leaves:
                children.setdefault(parent, []).append(node)
                waiting[node] += 1
                foreign[key] += keys[parent] != key
        if node not in leaves and not waiting[node]:
            ready.setdefault(key, []).append(node)
    turns = []
    while ready:
        key = min(ready, key=lambda key: (bool(foreign[key]), key is None))  # the first of the best
        nodes = ready.pop(key)
        for node in nodes:  # which grows meanwhile
            for child in children.get(node, ()):
                waiting[child] -= 1
                foreign[keys[child]] -= keys[child] != key
                if not waiting[child]:
                    (nodes if keys[child] == key else ready.setdefault(keys[child], [])).append(child)
        turns.append(sorted(nodes))
    return turns


# ----------------------------------------------------------------------------------------------------------------------
# Neurons.


class _Sets:
    """Disjoint sets that can be united (union-find with path halving)."""

    def __init__(self) -> None:
        self.leader: dict[int, int] = {}

    def find(self, item: int) -> int:
        leader = self.leader
        above = leader.setdefault(item, item)
        while above != item:
            leader[item] = leader[above]
            item, above = leader[item], leader[leader[item]]
        return item

    def unite(self, one: int, other: int) -> None:
        self.leader[self.find(one)] = self.find(other)


def _neurons(outline: Outline, runs: list[list[int]]) -> Iterator[list[tuple[str, list[int]]]]:
    """Of each run, its neurons: their numbers and their nodes.

    Nodes of one module that depend on each other, or on the same parameter, belong to the same neuron: in a dense
    layer, that is one row of the weight, for all samples; in a convolution, one channel. Where a module has no
    parameters, it is what is computed from the same neurons before it. A layer whose nodes all hang together, such as
    an LSTM or a softmax, is a single neuron in this sense, and stays whole, and so does an embedding.
    """
    neuron_of: dict[int, int] = {}  # of each node; neurons are counted through the whole graph
    numbers: list[str] = []
    for run in runs:
        sets, anchors = _connected(outline, run, neuron_of)
        marks: dict[int | None, set[str]] = {}
        for anchor in anchors:
            mark = numbers[-1 - anchor] if anchor < 0 else _row(outline.labels[anchor])
            marks.setdefault(sets.find(anchor), set()).add(mark)
        groups: dict[int | None, list[int]] = {}
        for node in run:
            leader = sets.find(node)
            groups.setdefault(leader if leader in marks else None, []).append(node)
        names = ["".join(marks[group]) if len(marks.get(group, ())) == 1 else "" for group in groups]
        if "" in names or len(set(names)) < len(names):
            names = [str(number) for number in range(len(groups))]
        for name, nodes in zip(names, groups.values(), strict=True):
            neuron_of.update(dict.fromkeys(nodes, len(numbers)))
            numbers.append(name)
        yield list(zip(names, groups.values(), strict=True))


def _connected(outline: Outline, run: list[int], neuron_of: dict[int, int]) -> tuple[_Sets, set[int]]:
    """The nodes of a run as sets of those that hang together, and what holds them together: parameters, or where there
    are none, neurons of earlier runs, as numbers below zero; nothing where nothing flows in, as into an embedding."""
    sets, inside, parameters, sources = _Sets(), set(run), set[int](), set[int]()
    for node in run:
        for parent in outline.parents[node]:
            if parent in inside:
                sets.unite(parent, node)
            elif outline.leaves.get(parent) == "parameter":
                sets.unite(parent, node)
                parameters.add(parent)
            elif outline.leaves.get(parent) != "constant":
                sources.add(parent)
    if not sources or parameters:
        return sets, parameters if sources else set()
    for node in run:
        for parent in outline.parents[node]:
            if parent in neuron_of:
                sets.unite(-1 - neuron_of[parent], node)
    return sets, {-1 - neuron_of[source] for source in sources if source in neuron_of}


def _row(label: str) -> str:
    """The first index of an element: `3` of `0.weight[3, 0]`."""
    index = re.search(r"\[(\d+)", label)
    return index[1] if index else ""


# ----------------------------------------------------------------------------------------------------------------------
# Names.


def _titles(makers: Sequence[Any]) -> list[tuple[str, str]]:
    """For the maker of each run, the path of its module in the model, and the module: `0` and `Linear(2, 16)`.

    Modules that would be called alike are counted, and so are the parts of one that computes in several runs.
    """
    tops = {id(_calls(maker)[0]) for maker in makers if maker}
    parts = Counter(id(maker[0]) for maker in makers if maker)
    begun: Counter[int] = Counter()
    named: dict[tuple[str, str], list[int]] = {}  # the modules that are called so
    titles = []
    for maker in makers:
        if maker is None:
            titles.append(("", ""))
            continue
        module, path = maker[0], _path(maker)
        if len(tops) > 1 and path:
            path = f"{type(_calls(maker)[0]).__name__}.{path}"
        title = (path, f"{type(module).__name__}({shorten(module.extra_repr(), 34, placeholder=' …')})")
        alike = named.setdefault(title, [])
        if id(module) not in alike:
            alike.append(id(module))
        begun[id(module)] += 1
        count = f" ({alike.index(id(module)) + 1})" if alike.index(id(module)) else ""
        part = f", part {begun[id(module)]} of {parts[id(module)]}" if parts[id(module)] > 1 else ""
        titles.append((title[0], title[1] + count + part))
    return titles


def _calls(maker: Any) -> list[Any]:
    """The modules within whose calls a node was made, the outermost first."""
    modules: list[Any] = []
    while maker is not None:
        module, maker = maker
        modules.insert(0, module)
    return modules


def _path(maker: Any) -> str:
    """The names under which the outermost module that has this one inside knows it; "" for an outermost one."""
    *around, module = _calls(maker)
    for outer in around:
        paths = [path for path, inner in _inside(outer) if inner is module]
        if paths:
            return ", ".join(paths)
    return ""


def _inside(module: Any) -> Iterator[tuple[str, Any]]:
    for name, inner in module._modules.items():
        yield name, inner
        for path, deeper in _inside(inner):
            yield f"{name}.{path}", deeper
