"""From a graph of `micro` to programs: arrays that the interpreters of a tape run.

A graph is read once. What depends on neither an input nor a parameter is a constant; what is left becomes a program, or
two: one for what depends on no input and is therefore computed once for all samples, one for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fast.kernels import planning
from micro.ops import OPERATIONS
from micro.value import Value

#: The number of each operation in a program; 0 is a sum of products.
_NUMBERS = {op.name: number for number, op in enumerate(OPERATIONS, start=1)}
#: For each operation by its number: whether its slopes need the result, and the first, second and third argument.
_NEEDS = np.zeros((len(OPERATIONS) + 1, 4), np.bool_)
for _op in OPERATIONS:
    _NEEDS[_NUMBERS[_op.name]] = [name in _op.reads for name in ("y", *_op.arguments, "", "")[:4]]


class Program(NamedTuple):
    """What the kernels of a tape run; `kernels/planning.py` says how it is written.

    code (instructions, 11), pairs (factors, 4), fresh: the instructions.
    leaves: the rows of parameters, inputs, and what is shared, which come first in that order; constants follow.
    rows, grad_rows: how many rows of values and of gradients there are.
    root, grad_root: those of the result.
    """

    code: np.ndarray
    pairs: np.ndarray
    fresh: np.ndarray
    leaves: int
    rows: int
    grad_rows: int
    root: int
    grad_root: int

    @property
    def work(self) -> int:
        """How many operations there are, a product with its sum counted as one."""
        return len(self.code) + len(self.pairs)


@dataclass(frozen=True)
class Graph:
    """A graph as arrays over its n nodes, in the order in which they were computed; the last one is the result.

    op (n,), parents (n, 3): see `kernels/planning.py`.
    leaf (n,): the number of each parameter, and behind those of each input; -1 for all other nodes, and for parameters
        that need no gradient.
    data (n,): the numbers that the nodes had when the graph was read.
    parameters, inputs: how many there are, in the graph or not.
    """

    op: np.ndarray
    parents: np.ndarray
    leaf: np.ndarray
    data: np.ndarray
    parameters: int
    inputs: int

    @cached_property
    def varying(self) -> np.ndarray:
        """Which nodes depend on a parameter or an input (n,)."""
        return planning.reach(self.parents, self.leaf >= 0)

    @cached_property
    def constant(self) -> np.ndarray:
        """Which nodes are numbers that others are computed with (n,)."""
        return ~self.varying & planning.feeds(self.parents, self.varying & (self.op > 0))

    @cached_property
    def structure(self) -> bytes:
        """All that a tape is made of, constants included: equal for two graphs that can share a tape."""
        arrays = self.op, self.parents, self.leaf, self.data[self.constant]
        return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def read_graph(nodes: Sequence[Value], inputs: Sequence[Value], parameters: Sequence[Value]) -> Graph:
    """The graph of the last of these nodes, which are in topological order; which of the leaves are what is told."""
    number = {node: i for i, node in enumerate(nodes)}
    op = np.array([_NUMBERS[node.op.name] if node.op is not None else 0 for node in nodes], np.uint32)
    parents = np.full((len(nodes), 3), -1)
    counts = np.array([len(node.parents) for node in nodes])
    parents[np.arange(3) < counts[:, None]] = [number[parent] for node in nodes for parent in node.parents]
    leaf = np.full(len(nodes), -1)
    for place, value in enumerate([*parameters, *inputs]):
        if value in number and not (value.constant and place < len(parameters)):
            leaf[number[value]] = place
    data = np.array([node.data for node in nodes])
    return Graph(op, parents, leaf, data, len(parameters), len(inputs))


def name(number: int) -> str:
    """What the operation with a number is called, in words."""
    return f"the operation {OPERATIONS[number - 1].name!r}" if number else "nobody"


def constants(graphs: Sequence[Graph]) -> np.ndarray:
    """The constants of all graphs, each once, in the order of `_bits`: their rows, counted from the first of them."""
    return np.unique(np.concatenate([_bits(graph.data[graph.constant]) for graph in graphs])).view(np.float64)


def _bits(numbers: np.ndarray) -> np.ndarray:
    """Numbers as integers, by which 0 and -0 differ and nan is equal to itself."""
    return np.ascontiguousarray(numbers, np.float64).view(np.int64)


def whole(graph: Graph, table: np.ndarray) -> Program:
    """All that varies, as one program. table: the `constants`."""
    return _program(graph, graph.varying & (graph.op > 0), graph.leaf, graph.parameters + graph.inputs, table)


def split(graph: Graph, table: np.ndarray) -> tuple[Program, Program]:
    """What depends on no input, and the rest, which finds the results of the first behind its inputs."""
    by_input = planning.reach(graph.parents, graph.leaf >= graph.parameters)
    once, rest = (graph.op > 0) & graph.varying & ~by_input, (graph.op > 0) & by_input
    handed = once & planning.feeds(graph.parents, rest)
    handed[-1] = once[-1]
    first, leaf = graph.parameters + graph.inputs, graph.leaf.copy()
    leaf[handed] = np.arange(first, first + handed.sum())
    leaves = first + int(handed.sum())
    return _program(graph, once, leaf, leaves, table), _program(graph, rest, leaf, leaves, table)


def _program(graph: Graph, member: np.ndarray, leaf: np.ndarray, leaves: int, table: np.ndarray) -> Program:
    """The members of a graph as a program. leaf: the rows of what is no member, or must lie in a certain row."""
    fixed = leaf.copy()
    fixed[graph.constant] = leaves + np.searchsorted(_bits(table), _bits(graph.data[graph.constant]))
    add, mul = _NUMBERS["add"], _NUMBERS["mul"]
    start, absorbed = planning.chains(graph.op, graph.parents, member, fixed, add, mul)
    nodes = np.flatnonzero(member & ~absorbed)
    begin, found = planning.arguments(nodes, graph.parents, start)
    code, pairs, fresh, *counts = planning.instructions(
        graph.op, member, fixed, start, nodes, begin, found, leaves, _NEEDS, leaves + len(table)
    )
    rows, grad_rows, root, grad_root = map(int, counts)
    return Program(code, pairs, fresh, leaves, rows, grad_rows, root, grad_root)
