"""Trainings of micrograd's demo: 100 moons, 2-16-16-1, relu, hinge loss; from other weights, with other rates each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gpu_timing import check, prepared, seconds
from sweep_runs import LARGEST, LOWEST
from workloads import MOONS, Problem, layers, moons

import fast
import nn
from fast.cuda import package
from fast.cuda.kernels import lanes
from fast.cuda.package import cuda

RUNS, STEPS, SAMPLES = 1_000_000, 100, 100
#: As many different first weights; the runs share them.
SEEDS = 1000
#: Runs that are compared with the CPU's, over the first steps: later ones hang on the last digit of these.
COMPARED, FIRST = 3, 10


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each type of numbers: trainings a second, and steps of a sample."""
    runs, steps, samples = (2, 2, 3) if tiny else (RUNS, STEPS, SAMPLES)
    problem = moons()
    x, y = problem["x"][:samples], problem["y"][:samples, 0]
    starts = np.stack([np.concatenate([*map(np.ravel, _start(seed).values())]) for seed in range(min(runs, SEEDS))])
    rates = np.geomspace(LOWEST, LARGEST, runs)
    for dtype in ("float32",) if package.SIMULATED else ("float32", "float64"):
        losses, time = _train(dtype, x, y, rates, starts[np.arange(runs) % len(starts)], steps)
        some = np.linspace(0, runs - 1, COMPARED).astype(int)
        wanted = np.stack([_by_cpu(x, y, rates[run], run % len(starts), min(steps, FIRST)) for run in some], axis=1)
        check(f"losses in {dtype}", losses[:FIRST, some], wanted, 1e-3 if dtype == "float32" else 1e-10)
        yield {
            "numbers": dtype,
            "trainings": runs,
            "steps": steps,
            "seconds": time,
            "trainings a second": runs / time,
            "sample-steps a second": runs * steps * samples / time,
        }


def _train(
    dtype: str, x: np.ndarray, y: np.ndarray, rates: np.ndarray, starts: np.ndarray, steps: int
) -> tuple[np.ndarray, float]:
    """The losses of all runs, (steps, runs), and the seconds of a launch that trains them."""
    given = [cuda.to_device(array.astype(dtype)) for array in (x, y, rates)]
    batches, weights = cuda.to_device(np.empty((steps, 0), np.int64)), cuda.to_device(starts.astype(dtype))
    losses = cuda.device_array((steps, len(rates)), np.dtype(dtype))
    launch = prepared("perceptrons.train", dtype, *given, batches, steps, lanes.RELU, weights, losses)
    launch()
    found = losses.copy_to_host()
    return found, seconds(launch, repeats=1, warm_up=False)  # which goes on from where the first has ended


def _start(seed: int) -> Problem:
    """The first weights of a seed."""
    return layers(MOONS, np.random.default_rng(seed))


def _by_cpu(x: np.ndarray, y: np.ndarray, rate: float, seed: int, steps: int) -> list[float]:
    """The losses of one run, by the CPU engine in float64."""
    model = nn.MLP(MOONS, engine=fast, dtype="float64")
    model.load_state_dict({name: array.astype(float) for name, array in _start(seed).items()})
    optimizer, data = nn.SGD(model.parameters(), lr=float(rate)), (x.astype(float), y[:, None].astype(float))
    history = nn.fit(model, data, nn.hinge_loss, optimizer, epochs=steps, batch_size=len(x), shuffle=False)
    return history.loss
