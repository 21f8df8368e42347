"""Trainability maps (see nn/trainability.py) as a user asks for them: a training for each pixel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import fast
import nn
from fast.cuda import package
from nn.trainability import CONDITIONS, draw

SIDES, STEPS = (512, 2048), 500
#: Pixels that the CPU computes, too.
COMPARED = 256
#: Seconds beyond which a map is left out, judged by the smaller one before it.
LONGEST = 40


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each size and type of numbers."""
    condition, steps = ("identity", 2) if tiny else ("tanh", STEPS)
    a_pixel = dict.fromkeys(("float32",) if package.SIMULATED else ("float32", "float64"), 0.0)
    for dtype in a_pixel:
        _map(condition, 2, 1, dtype)  # which compiles all kernels
    for side in (2,) if tiny else SIDES:
        for dtype in a_pixel:
            expected = a_pixel[dtype] * side * side
            if expected > LONGEST:
                yield {"map": f"{side} x {side}", "numbers": dtype, "note": f"left out: it would take {expected:.0f} s"}
                continue
            started = time.perf_counter()
            found = _map(condition, side, steps, dtype)
            taken = time.perf_counter() - started
            a_pixel[dtype] = taken / (side * side)
            flipped = _flipped(found)
            if flipped > 0.1:
                raise ValueError(f"{dtype}: {flipped:.0%} of the pixels are not as the CPU has them")
            yield {
                "map": f"{side} x {side}",
                "numbers": dtype,
                "steps": steps,
                "seconds": taken,
                "net-steps a second": side * side * steps / taken,
                "pixels that learn": float(np.mean(found.converged)),
                "pixels unlike the CPU's": flipped,
            }


def _map(condition: str, side: int, steps: int, dtype: str) -> nn.TrainabilityMap:
    return nn.trainability_map(condition, side, steps=steps, engine=fast, device="cuda", dtype=dtype)


def _flipped(found: nn.TrainabilityMap) -> float:
    """Of some pixels, the share of those about which the CPU decides otherwise."""
    condition, side = CONDITIONS[found.condition], len(found.xs)
    some = np.random.default_rng(0).choice(side * side, min(COMPARED, side * side), replace=False)
    rows, columns = np.divmod(some, side)
    arrays = *draw(condition, found.seed), np.stack([found.xs[columns], found.ys[rows]], axis=1)
    lasts = fast.functional.train_two_layers(
        *(fast.as_tensor(array, "float64") for array in arrays), steps=found.steps, activation=condition.activation
    )[2]
    return float(np.mean((np.asarray(lasts) < 1) != found.converged[rows, columns]))
