"""The microseconds that a launch takes in Python, by what the kernel takes, and whether a graph of launches helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fast.cuda import arguments, package
from fast.cuda.arguments import Count, Matrix, Number, Stack, Vector, Window
from fast.cuda.package import cuda

#: Launches of a kernel that are timed together, and those in a graph.
COUNT, IN_GRAPH = 2000, 50


def nothing():
    pass


def vector(a: Vector):
    pass


def four_vectors(a: Vector, b: Vector, c: Vector, d: Vector):
    pass


def matrix(a: Matrix):
    pass


def stack(a: Stack):
    pass


def four_numbers(a: Number, b: Number, c: Count, d: Count):
    pass


def window(a: Window):
    pass


def increase(a: Vector):
    """For a graph, which should do something."""
    i = cuda.grid(1)
    if i < a.size:
        a[i] += a.dtype.type(1)


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each kind of kernel; then launches one by one and in a graph."""
    array, number = cuda.to_device(np.zeros((1, 1, 64), np.float32)), np.float32(1)
    flat, rows = array.reshape(64), array.reshape(1, 64)
    kinds: dict[Callable[..., None], tuple[Any, ...]] = {
        nothing: (),
        vector: (flat,),
        four_vectors: (flat,) * 4,
        matrix: (rows,),
        stack: (array,),
        four_numbers: (number, number, 1, 1),
        window: ((1, 1, 1, 1, 1),),
    }
    count = 2 if tiny else COUNT
    for kernel, given in kinds.items():
        configured = _compiled(kernel)[1, 32]
        yield _row(kernel.__name__.replace("_", " "), lambda c=configured, g=given: c(*g), count)
    kernel, several = _compiled(increase), max(1, count // IN_GRAPH)
    configured = kernel[2, 32]
    yield _row(f"{IN_GRAPH} launches", lambda: [configured(flat) for _ in range(IN_GRAPH)], several)
    try:
        replay = _graph(kernel, flat)
    except Exception as error:  # the package has no graphs, or others than this
        yield {"launch": f"{IN_GRAPH} launches as a graph", "note": f"not offered: {type(error).__name__}: {error}"}
        return
    yield _row(f"{IN_GRAPH} launches as a graph", replay, several)


def _compiled(kernel: Callable[..., None]) -> Any:
    options = {} if package.SIMULATED else {"launch_bounds": 32}
    return cuda.jit(arguments.signature(kernel, package.types, "float32"), **options)(kernel)


def _row(what: str, launch: Callable[[], Any], count: int) -> dict[str, Any]:
    """The microseconds of a launch until all of them were asked for, and until all were done."""
    launch()
    cuda.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        launch()
    asked = time.perf_counter()
    cuda.synchronize()
    done = time.perf_counter()
    return {
        "launch": what,
        "us to ask for it": (asked - started) / count * 1e6,
        "us until it is done": (done - started) / count * 1e6,
    }


def _graph(kernel: Any, array: Any) -> Callable[[], None]:
    """What replays the launches, recorded by NVIDIA's package cuda-core, whose recorder launches take as a stream."""
    stream = package.recording_stream()
    if not stream:
        raise NotImplementedError(f"{package.NAME} has no graphs")

    def start(recording: Any) -> None:
        for _ in range(IN_GRAPH):
            kernel[2, 32, recording](array)

    graph = package.recorded(stream, start)
    before = array.copy_to_host()[0]
    graph.launch(stream)
    stream.sync()
    if array.copy_to_host()[0] != before + IN_GRAPH:
        raise ValueError(f"a graph of {IN_GRAPH} additions of 1 made {array.copy_to_host()[0] - before:g} of 0")
    return lambda: graph.launch(stream)
