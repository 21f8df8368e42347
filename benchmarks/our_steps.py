"""The workloads on this project's engines: on `fast`, step by step or compiled, on `micro`, and as a tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from turns import timed, timed_together
from workloads import AT_ONCE, BATCH, DIGITS, LEARNING_RATE, MLP, MOONS, PENALTY, Problem, documents

import fast
import micro
import nn
from tutorials import microgpt

Run = Callable[[int], tuple[list[float], list[float]]]


class Twograd:
    """A method for each kind of workload; it returns what runs so many steps, and says their losses and seconds.

    compiled: whether steps are. device: where networks are trained, "cpu" or "cuda"; graphs: there as CUDA graphs.
    """

    def __init__(self, compiled: bool = False, device: str = "cpu", graphs: bool = False) -> None:
        self.compiled, self.device, self.graphs = compiled, device, graphs

    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        model = nn.MLP(MOONS, engine=fast)
        parameters = model.parameters()

        def loss(scores: fast.Tensor, y: fast.Tensor) -> fast.Tensor:
            mean = nn.hinge_loss(scores, y)
            return mean + PENALTY * nn.l2_penalty(parameters) if penalty else mean

        return self._train(model, problem, nn.SGD, loss)

    def mlp(self, problem: Problem) -> Run:
        return self._train(nn.MLP(MLP, engine=fast), problem, nn.Adam)

    def mlp_sgd(self, problem: Problem) -> Run:
        width = problem["x"].shape[1]
        return self._train(nn.MLP([width, width, width, 10], engine=fast), problem, nn.SGD)

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

    def gpt(self, problem: Problem) -> Run:
        batches, model = [(given[None], wanted) for given, wanted in documents(problem)], microgpt.GPT(fast)
        model.load_state_dict(problem)
        model = self._moved(model)
        optimizer = nn.Adam(model.parameters(), **microgpt.ADAM)

        def loss(given: fast.Tensor, wanted: fast.Tensor) -> fast.Tensor:
            return nn.cross_entropy(model(given).reshape(-1, len(microgpt.ALPHABET)), wanted.reshape(-1))

        if self.compiled:
            step, following = fast.compile_step(loss, optimizer, graphs=self.graphs), cycle(batches)

            def steps(count: int) -> Sequence[float]:
                return step.run_batches([(x, y[None]) for x, y in islice(following, count)])

            return lambda count: timed_together(steps, count, AT_ONCE)

        tensors = cycle([tuple(map(self._tensor, pair)) for pair in batches])

        def one() -> float:
            return _step(lambda: loss(*next(tensors)), optimizer)

        return lambda count: timed(one, count)

    def digits(self, problem: Problem) -> Run:
        model, data = nn.MLP(DIGITS, engine=fast), (problem.pop("x"), problem.pop("y"))
        model.load_state_dict(problem)
        optimizer = nn.Adam(model.parameters(), lr=LEARNING_RATE["Adam"])

        def run(count: int) -> tuple[list[float], list[float]]:
            compiled = self.compiled
            history = nn.fit(model, data, nn.cross_entropy, optimizer, count, BATCH, compile=compiled)
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
        arrays = problem.pop("x"), problem.pop("y")
        model.load_state_dict(problem)
        model = self._moved(model)
        optimizer = kind(model.parameters(), lr=LEARNING_RATE[kind.__name__])
        if self.compiled:
            step = fast.compile_step(lambda x, y: loss(model(x), y), optimizer, graphs=self.graphs)
            rows = np.arange(len(arrays[0]))
            return lambda count: timed_together(lambda n: step.run(arrays, np.tile(rows, (n, 1))), count, AT_ONCE)
        x, y = map(self._tensor, arrays)
        return lambda count: timed(lambda: _step(lambda: loss(model(x), y), optimizer), count)

    def _tensor(self, array: np.ndarray) -> fast.Tensor:
        return self._moved(fast.tensor(array))

    def _moved(self, thing: Any) -> Any:
        """A network or a tensor, on the device."""
        return thing if self.device == "cpu" else thing.to(self.device)


class Micro:
    """`micro`, and a tape of its graph: the demo alone."""

    def __init__(self, tape: bool) -> None:
        self.tape = tape

    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        x, y, model = problem.pop("x"), problem.pop("y"), nn.MLP(MOONS, engine=micro)
        model.load_state_dict(problem)
        optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE["SGD"])

        def loss(x: Any, y: Any) -> Any:
            mean = nn.hinge_loss(model(x), y)
            return mean + PENALTY * nn.l2_penalty(model.parameters()) if penalty else mean

        if self.tape:
            sample, sign = micro.tensor(x[:1]), micro.tensor(y[:1])
            tape = fast.compile(
                loss(sample, sign), inputs=[sample, sign], parameters=model.parameters(), dtype="float32"
            )
            return lambda count: timed_together(
                lambda n: tape.train(x, y, optimizer=optimizer, steps=n), count, AT_ONCE
            )
        inputs, signs = micro.tensor(x), micro.tensor(y)
        return lambda count: timed(lambda: _step(lambda: loss(inputs, signs), optimizer), count)


def _step(loss: Callable[[], Any], optimizer: nn.Optimizer) -> float:
    error = loss()
    optimizer.zero_grad()
    error.backward()
    optimizer.step()
    return error.item()
