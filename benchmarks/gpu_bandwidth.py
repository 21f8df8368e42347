"""How many bytes a second kernels move that have little to compute, beside a copy from memory to memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gpu_timing import check, prepared, seconds

from fast.cuda import registry
from fast.cuda.package import cuda

#: Elements of a vector; rows and columns of a matrix: 256 MB, or as much as the simulator can do.
VECTOR, MATRIX = 2**26, (2**16, 1000)
TINY_VECTOR, TINY_MATRIX = 300, (3, 40)
#: How many of the last elements, or rows, are compared with NumPy's, in float64.
LAST = 100


@dataclass
class Work:
    """A kernel on arguments, some of them arrays in the GPU's memory.

    moved: how often an array of the size of the first is read or written, at least.
    place: of the argument that is written. wanted: makes its last elements, or rows, from those of all arguments.
    """

    name: str
    arguments: list[Any]
    moved: float
    place: int
    wanted: Callable[..., Any]


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for the copy, and one for each kernel."""
    count, shape = (TINY_VECTOR, TINY_MATRIX) if tiny else (VECTOR, MATRIX)
    best = _copy(count)
    yield {"kernel": "copy", "array": f"{count:,}", "GB/s": best / 1e9, "of the copy": 1.0}
    for work in _works(count, shape):
        before = [_end(argument) for argument in work.arguments]
        launch = prepared(work.name, "float32", *work.arguments)
        launch()
        check(work.name, _end(work.arguments[work.place]), work.wanted(*before), 2e-5)
        rate = work.moved * _bytes(work.arguments[0]) / seconds(launch)
        size = _shape(work.arguments[0])
        yield {"kernel": work.name, "array": size, "GB/s": rate / 1e9, "of the copy": rate / best}


def _copy(count: int) -> float:
    """Bytes a second that a copy of so many numbers reads and writes."""
    source = cuda.to_device(np.random.default_rng(0).standard_normal(count, np.float32))
    target = cuda.device_array_like(source)
    time = seconds(lambda: target.copy_to_device(source))
    check("copy", _end(target), _end(source), 0)
    return 2 * _bytes(source) / time


def _works(count: int, shape: tuple[int, int]) -> Iterator[Work]:
    """All that is measured, each made when its turn comes, so that the arrays of one are there at a time."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, count), np.float32)
    nothing = cuda.to_device(np.empty(0, np.float32))

    def vectors(*arrays: np.ndarray) -> list[Any]:
        return [*map(cuda.to_device, arrays), cuda.device_array(count, np.float32)]

    yield Work("elementwise.add", vectors(x, y), 3, 2, lambda a, b, y: a + b)
    yield Work("elementwise.tanh", vectors(x), 2, 1, lambda x, y: np.tanh(x))
    yield Work("elementwise.gelu_grad_x", vectors(y, x, x), 3, 3, lambda grad, x, y, _: grad * _gelu_slope(x))
    (blocks,) = registry.by_element(count).grid
    parts, sums = cuda.device_array((1, blocks), np.float32), _sums_of_parts(x[:, None], blocks).T
    yield Work("reductions.sum_rows", [cuda.to_device(x[None]), np.float32(1), parts], 1, 2, lambda *_: sums)
    moments = [cuda.to_device(np.zeros(count, np.float32)) for _ in range(2)]
    settings = [np.float32(number) for number in (0.01, 0.0316, 0.9, 0.1, 0.999, 0.001, 1e-8, 0, 1)]
    yield Work("updates.adam", [*map(cuda.to_device, (x, y)), *moments, *settings], 7, 0, _adam)
    del moments

    logits = cuda.to_device(random.standard_normal(shape, np.float32))
    room = cuda.device_array(shape, np.float32)
    yield Work("reductions.softmax", [logits, room], 2, 1, lambda x, y: _softmax(x))
    labels = cuda.to_device(random.integers(shape[1], size=shape[0]))
    losses, mass = cuda.device_array(shape[0], np.float32), cuda.to_device(np.array([shape[0]], np.float32))
    arguments = [logits, labels, nothing, nothing, np.float32(0), mass, room, losses]
    yield Work("losses.cross_entropy", arguments, 2, 7, _cross_entropy)
    x, lines = random.standard_normal(shape, np.float32), -(-shape[0] // 256)
    columns, sums = cuda.device_array((1, lines, shape[1]), np.float32), _sums_of_parts(x, lines)[None]
    arguments = [cuda.to_device(x[None]), np.float32(1), columns]
    yield Work("reductions.sum_columns", arguments, 1, 2, lambda *_: sums)


def _sums_of_parts(x: np.ndarray, parts: int) -> np.ndarray:
    """The sums over so many parts of the rows of x (R, C), as large as `reductions.part_of` makes them; (parts, C)."""
    size = -(-len(x) // parts)
    sums = np.add.reduceat(x.astype(float), range(0, len(x), size))
    return np.pad(sums, ((0, parts - len(sums)), (0, 0)))


def _bytes(array: Any) -> int:
    return array.size * array.dtype.itemsize


def _shape(array: Any) -> str:
    return " x ".join(f"{size:,}" for size in array.shape)


def _end(argument: Any) -> Any:
    """The last elements, or rows, in float64; numbers as they are."""
    if not hasattr(argument, "copy_to_host"):
        return float(argument)
    array = argument.copy_to_host()
    return array[-LAST:].astype(float) if array.dtype.kind == "f" else array[-LAST:]


def _gelu_slope(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return (1 + erf(x * 0.5**0.5)) / 2 + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _cross_entropy(
    logits: np.ndarray, labels: np.ndarray, weight: Any, classes: Any, smoothing: float, mass: Any, *_: Any
) -> np.ndarray:
    return -np.log(_softmax(logits)[np.arange(len(labels)), labels]) / mass


def _adam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    rate: float,
    root: float,
    keep_m: float,
    add_m: float,
    keep_v: float,
    add_v: float,
    eps: float,
    decay: float,
    shrink: float,
) -> Any:
    return shrink * p - rate * (keep_m * m + add_m * g) / (np.sqrt(keep_v * v + add_v * g * g) / root + eps)
