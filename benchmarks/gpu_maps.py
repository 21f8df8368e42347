"""Trainability maps (see nn/trainability.py): a training for each pixel, as many at a time as a map of 512 has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from gpu_timing import prepared

import fast
from fast.cuda import package, registry
from fast.cuda.kernels import lanes
from fast.cuda.package import cuda
from micro.functional.trainability import LAST, LIMIT
from nn.trainability import CONDITIONS, WINDOW, draw

SIDES, STEPS = (512, 2048), 500
#: Trainings of a launch, by which all maps can be divided: their weights and errors take two gigabytes in float64.
AT_ONCE = 512 * 512
#: Pixels that the CPU computes, too.
COMPARED = 256
#: Seconds beyond which a map is left out, judged by the smaller one before it.
LONGEST = 40


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each size and type of numbers."""
    steps = 2 if tiny else STEPS
    condition = CONDITIONS["tanh"]._replace(samples=5) if tiny else CONDITIONS["tanh"]
    problem, a_pixel = draw(condition, seed=0), dict.fromkeys(("float32", "float64"), 0.0)
    for side in (2,) if tiny else SIDES:
        rates = _rates(side)
        some = np.random.default_rng(0).choice(side * side, min(COMPARED, side * side), replace=False)
        by_cpu = _by_cpu(problem, rates[:, some], steps)
        for dtype in ("float32",) if package.SIMULATED else ("float32", "float64"):
            expected = a_pixel[dtype] * side * side
            if expected > LONGEST:
                yield {"map": f"{side} x {side}", "numbers": dtype, "note": f"left out: it would take {expected:.0f} s"}
                continue
            registry.compiled("lanes.train", dtype)
            started = time.perf_counter()
            lasts = _map(dtype, problem, rates, steps)
            taken = time.perf_counter() - started
            a_pixel[dtype] = taken / (side * side)
            flipped = np.mean((lasts[some] < 1) != (by_cpu < 1))
            if flipped > 0.1:
                raise ValueError(f"{dtype}: {flipped:.0%} of the pixels are not as the CPU has them")
            yield {
                "map": f"{side} x {side}",
                "numbers": dtype,
                "steps": steps,
                "seconds": taken,
                "net-steps a second": side * side * steps / taken,
                "pixels that learn": float(np.mean(lasts < 1)),
                "pixels unlike the CPU's": float(flipped),
            }


def _rates(side: int) -> np.ndarray:
    """The learning rates of all pixels, (2, side * side)."""
    (left, right), (low, high) = np.log(WINDOW)
    share = (np.arange(side) + 0.5) / side
    across, up = np.meshgrid(np.exp(left + share * (right - left)), np.exp(low + share * (high - low)))
    return np.stack([across.ravel(), up.ravel()])


def _map(dtype: str, problem: list[np.ndarray], rates: np.ndarray, steps: int) -> np.ndarray:
    """The mean of the last v of each training, from arrays on the CPU to the result there."""
    x, y, weight0, weight1 = (array.astype(dtype) for array in problem)
    samples = cuda.to_device(x), cuda.to_device(y)
    batches, limit = cuda.to_device(np.empty((steps, 0), np.int64)), x.dtype.type(LIMIT)
    runs = min(AT_ONCE, rates.shape[1])
    start = cuda.to_device(np.repeat(np.concatenate([weight0.ravel(), weight1])[:, None], runs, axis=1))
    weights = cuda.device_array_like(start)
    errors, sums = (cuda.device_array((rows, runs), x.dtype) for rows in (len(x), 3))
    lasts = []
    for first in range(0, rates.shape[1], runs):
        part = cuda.to_device(np.ascontiguousarray(rates[:, first : first + runs].astype(dtype)))
        weights.copy_to_device(start)
        settings = part, batches, steps, lanes.TANH, limit, LAST
        prepared("lanes.train", dtype, *samples, *settings, weights, errors, sums)()
        lasts.append(sums.copy_to_host()[2])
    return np.concatenate(lasts)


def _by_cpu(problem: list[np.ndarray], rates: np.ndarray, steps: int) -> np.ndarray:
    """The same, by the CPU engine."""
    tensors = [fast.as_tensor(array, "float64") for array in (*problem, rates.T)]
    return np.asarray(fast.functional.train_two_layers(*tensors, steps=steps, activation="tanh")[2])
