"""The workloads on tinygrad: a step, update included, that `TinyJit` records and replays. It needs clang on the CPU."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn.optim import SGD, Adam, Optimizer
from turns import timed
from workloads import LEARNING_RATE, PENALTY, Problem

Run = Callable[[int], tuple[list[float], list[float]]]
Parameters = dict[str, Tensor]


def mlp(p: Parameters, x: Tensor) -> Tensor:
    last = len(p) - 2
    for layer in range(0, last, 2):
        x = x.linear(p[f"{layer}.weight"].T, p[f"{layer}.bias"]).relu()
    return x.linear(p[f"{last}.weight"].T, p[f"{last}.bias"])


def lenet(p: Parameters, x: Tensor) -> Tensor:
    for layer in (0, 3):
        x = x.conv2d(p[f"{layer}.weight"], p[f"{layer}.bias"], padding=1).relu().max_pool2d((2, 2))
    return x.flatten(1).linear(p["7.weight"].T, p["7.bias"])


class TinyGrad:
    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        def loss(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
            mean = (1 - y * mlp(p, x)).relu().mean()
            return mean + PENALTY * sum((t * t).sum() for t in p.values()) if penalty else mean

        return self._train(problem, loss, SGD)

    def mlp(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: mlp(p, x).sparse_categorical_crossentropy(y), Adam)

    def lenet(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: lenet(p, x).sparse_categorical_crossentropy(y), SGD)

    def _train(self, problem: Problem, loss: Callable[..., Tensor], update: Callable[..., Optimizer]) -> Run:
        x, y = Tensor(problem.pop("x")).realize(), Tensor(problem.pop("y")).realize()
        p = {name: Tensor(array).realize() for name, array in problem.items()}
        optimizer = update([*p.values()], lr=LEARNING_RATE[update.__name__])

        @TinyJit
        def step() -> Tensor:
            optimizer.zero_grad()
            error = loss(p, x, y).backward()
            return error.realize(*optimizer.schedule_step())

        def run() -> float:
            with Context(TRAINING=1):
                return float(step().item())

        return lambda count: timed(run, count)
