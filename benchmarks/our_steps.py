"""The workloads on this project's fast engine."""

from __future__ import annotations

from collections.abc import Callable

from turns import timed
from workloads import BATCH, DIGITS, LEARNING_RATE, MLP, MOONS, PENALTY, Problem

import fast
import nn

Run = Callable[[int], tuple[list[float], list[float]]]


class Twograd:
    """A method for each kind of workload; it returns what runs so many steps, and says their losses and seconds."""

    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        model = nn.MLP(MOONS, engine=fast)
        parameters = model.parameters()

        def loss(scores: fast.Tensor, y: fast.Tensor) -> fast.Tensor:
            mean = nn.hinge_loss(scores, y)
            return mean + PENALTY * nn.l2_penalty(parameters) if penalty else mean

        return self._train(model, problem, nn.SGD, loss)

    def mlp(self, problem: Problem) -> Run:
        return self._train(nn.MLP(MLP, engine=fast), problem, nn.Adam)

    def lenet(self, problem: Problem) -> Run:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding="same", engine=fast, seed=0),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding="same", engine=fast, seed=0),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(784, 10, engine=fast, seed=0),
        )
        return self._train(model, problem, nn.SGD)

    def lstm(self, problem: Problem) -> Run:
        model = nn.Sequential(
            nn.LSTM(28, 64, engine=fast, seed=0), nn.LastStep(), nn.Linear(64, 10, engine=fast, seed=0)
        )
        return self._train(model, problem, nn.Adam)

    def digits(self, problem: Problem) -> Run:
        model, data = nn.MLP(DIGITS, engine=fast), (problem.pop("x"), problem.pop("y"))
        model.load_state_dict(problem)
        optimizer = nn.Adam(model.parameters(), lr=LEARNING_RATE["Adam"])

        def run(count: int) -> tuple[list[float], list[float]]:
            history = nn.fit(model, data, nn.cross_entropy, optimizer, epochs=count, batch_size=BATCH)
            return history.loss, history.seconds

        return run

    def elementwise(self, problem: Problem, name: str) -> Run:
        x = fast.tensor(problem["x"])
        function = getattr(fast.Tensor, name)

        def run(count: int) -> tuple[list[float], list[float]]:
            with fast.no_grad():
                return function(x).data[:count].tolist(), timed(lambda: function(x) is None, count)[1]

        return run

    def _train(self, model: nn.Module, problem: Problem, kind: type, loss: Callable = nn.cross_entropy) -> Run:
        x, y = fast.tensor(problem.pop("x")), fast.tensor(problem.pop("y"))
        model.load_state_dict(problem)
        optimizer = kind(model.parameters(), lr=LEARNING_RATE[kind.__name__])

        def step() -> float:
            error = loss(model(x), y)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            return error.item()

        return lambda count: timed(step, count)
