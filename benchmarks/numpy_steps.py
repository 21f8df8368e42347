"""The workloads whose gradients are a few lines of NumPy: those with dense layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from turns import timed
from workloads import BATCH, LEARNING_RATE, PENALTY, Problem

Run = Callable[[int], tuple[list[float], list[float]]]
#: Scores and targets in, the loss and its gradient out.
Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def hinge(scores: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    margins = 1 - y * scores
    return float(np.maximum(margins, 0).mean()), np.where(margins > 0, -y, 0) / np.float32(y.size)


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    rows = np.arange(len(y))
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(axis=1, keepdims=True)
    grad = powers / sums
    grad[rows, y] -= 1
    return float((np.log(sums[:, 0]) - shifted[rows, y]).mean()), grad / np.float32(len(y))


def gradients(p: Problem, x: np.ndarray, y: np.ndarray, loss: Loss) -> tuple[float, Problem]:
    """The loss of dense layers with ReLU between them, and the gradients of their weights, by name."""
    inputs, last = [x], len(p) - 2
    for layer in range(0, last, 2):
        inputs.append(np.maximum(inputs[-1] @ p[f"{layer}.weight"].T + p[f"{layer}.bias"], 0))
    error, grad = loss(inputs[-1] @ p[f"{last}.weight"].T + p[f"{last}.bias"], y)
    found: Problem = {}
    for layer in range(last, -1, -2):
        x = inputs[layer // 2]
        found[f"{layer}.weight"], found[f"{layer}.bias"] = grad.T @ x, grad.sum(axis=0)
        if layer:
            grad = (grad @ p[f"{layer}.weight"]) * (x > 0)
    return error, found


class Adam:
    def __init__(self, p: Problem) -> None:
        self.p, self.t = p, 0
        self.m, self.v = [{name: np.zeros_like(array) for name, array in p.items()} for _ in range(2)]

    def step(self, grads: Problem) -> None:
        self.t += 1
        size, root = LEARNING_RATE["Adam"] / (1 - 0.9**self.t), (1 - 0.999**self.t) ** 0.5
        for name, g in grads.items():
            m, v = self.m[name], self.v[name]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            self.p[name] -= size * m / (np.sqrt(v) / root + 1e-8)


class NumPy:
    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        x, y = problem.pop("x"), problem.pop("y")

        def step() -> float:
            error, grads = gradients(problem, x, y, hinge)
            for name, g in grads.items():
                p = problem[name]
                if penalty:
                    error += PENALTY * float(np.vdot(p, p))
                    g += 2 * PENALTY * p
                p -= LEARNING_RATE["SGD"] * g
            return error

        return lambda count: timed(step, count)

    def mlp(self, problem: Problem) -> Run:
        x, y = problem.pop("x"), problem.pop("y")
        optimizer = Adam(problem)

        def step() -> float:
            error, grads = gradients(problem, x, y, cross_entropy)
            optimizer.step(grads)
            return error

        return lambda count: timed(step, count)

    def digits(self, problem: Problem) -> Run:
        x, y = problem.pop("x"), problem.pop("y")
        optimizer, random = Adam(problem), np.random.default_rng(0)

        def epoch() -> float:
            total, losses = 0.0, []
            order = random.permutation(len(x))
            for start in range(0, len(x), BATCH):
                rows = order[start : start + BATCH]
                error, grads = gradients(problem, x[rows], y[rows], cross_entropy)
                optimizer.step(grads)
                losses.append(error)
                total += error * len(rows)
            return total / len(x)

        return lambda count: timed(epoch, count)
