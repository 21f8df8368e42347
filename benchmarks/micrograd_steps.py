"""The demo of micrograd on micrograd itself."""

from __future__ import annotations

from collections.abc import Callable

from micro_step import micrograd_step
from turns import timed
from workloads import Problem

Run = Callable[[int], tuple[list[float], list[float]]]


class Micrograd:
    def moons(self, problem: Problem) -> Run:
        layers = [(problem[f"{layer}.weight"], problem[f"{layer}.bias"]) for layer in (0, 2, 4)]
        neurons = [
            [*row, bias]
            for weight, biases in layers
            for row, bias in zip(weight.tolist(), biases.tolist(), strict=True)
        ]
        step = micrograd_step({"x": problem["x"].tolist(), "y": problem["y"].ravel().tolist(), "neurons": neurons})
        return lambda count: timed(step, count)
