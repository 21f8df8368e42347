"""The graph of micrograd's demo for one sample, of `micro`, as a tape that is run for many samples at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gpu_timing import check, prepared, seconds
from workloads import MOONS

import fast
import micro
import nn
from fast import programs
from fast.cuda import package
from fast.cuda.package import cuda
from fast.kernels import tape_one

LANES = 2**18


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each direction and type of numbers."""
    sizes = [2, 2, 1] if tiny else MOONS
    program, table, nodes = _program(sizes)
    lanes = 5 if tiny else LANES
    for dtype in ("float32",) if package.SIMULATED else ("float32", "float64"):
        before, begun = _rows(program, table, lanes)
        v, d = cuda.to_device(before.astype(dtype)), cuda.to_device(begun.astype(dtype))
        code, pairs, fresh = map(cuda.to_device, (program.code, program.pairs, program.fresh))
        forward = prepared("tape.forward", dtype, code, pairs, v)
        backward = prepared("tape.backward", dtype, code, pairs, fresh, program.leaves, v, d)
        forward()
        backward()
        after, gradients = _by_cpu(program, before[:, -1].astype(dtype), begun[:, -1])
        tolerance = 1e-4 if dtype == "float32" else 1e-11
        check("values", _lane(v), after, tolerance)
        check("gradients", _lane(d)[: program.leaves], gradients[: program.leaves], tolerance)
        for way, launch in (("forward", forward), ("backward", backward)):
            rate = nodes * lanes / seconds(launch)
            yield {"tape": way, "numbers": dtype, "nodes": nodes, "lanes": lanes, "node-lanes a second": rate}


def _program(sizes: list[int]) -> tuple[Any, np.ndarray, int]:
    """The program of value and gradients, its constants, and how many nodes the graph has."""
    model = nn.MLP(sizes, engine=micro, activation="tanh")
    point, target = micro.zeros(1, 2), micro.ones(1, 1)
    loss = nn.hinge_loss(model(point), target)
    graph = fast.compile(loss, [point, target], model.parameters()).graph
    table = programs.constants([graph])
    return programs.whole(graph, table), table, len(loss.topological_order())


def _rows(program: Any, table: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradients as they begin, a number in each row for every lane."""
    values, gradients = np.zeros((program.rows, lanes)), np.zeros((program.grad_rows, lanes))
    values[: program.leaves] = np.random.default_rng(0).normal(0, 0.3, (program.leaves, lanes))
    values[program.leaves : program.leaves + len(table)] = table[:, None]
    gradients[program.grad_root] = 1
    return values, gradients


def _by_cpu(program: Any, values: np.ndarray, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as they end, of one lane, in float64."""
    v, d = values.astype(float), gradients.astype(float)
    tape_one.forward(program.code, program.pairs, v)
    tape_one.backward(program.code, program.pairs, program.fresh, program.leaves, v, d)
    return v, d


def _lane(array: Any) -> np.ndarray:
    """The last one."""
    return array.copy_to_host()[:, -1]
