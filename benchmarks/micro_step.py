"""One training step of micrograd's README demo, on micrograd, on `micro` and on `fast`.

The demo: two moons of 100 samples, a network 2-16-16-1 with ReLU, hinge loss plus an L2 penalty, all samples in one
step of gradient descent. All three begin with the same weights, and their losses are checked to be the same before
any time is believed. Each engine runs in a process of its own, and they take turns: see `turns.py`. Ratios are those
of the medians.

    python benchmarks/micro_step.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable
from itertools import chain, pairwise

from turns import first_difference, print_table, take_turns, timed

STEPS = {"micrograd": 5, "micro": 12, "fast": 2000}  # measured in a round, after WARM_UP more
WARM_UP = 2
SIZES = [2, 16, 16, 1]
ALPHA = 1e-4
LEARNING_RATE = 0.1


def make_demo() -> dict:
    """The data, and the first weights as micrograd orders them: each neuron's weights, then its bias."""
    from sklearn.datasets import make_moons

    x, y = make_moons(n_samples=100, noise=0.1, random_state=1337)
    draw = random.Random(1337)
    neurons = [[draw.uniform(-1, 1) for _ in range(n)] + [0.0] for n, m in pairwise(SIZES) for _ in range(m)]
    return {"x": x.tolist(), "y": (2 * y - 1).tolist(), "neurons": neurons}


def micrograd_step(demo: dict) -> Callable[[], float]:
    from micrograd.engine import Value
    from micrograd.nn import MLP

    model = MLP(SIZES[0], SIZES[1:])
    for parameter, number in zip(model.parameters(), chain.from_iterable(demo["neurons"]), strict=True):
        parameter.data = number

    def step() -> float:
        inputs = [list(map(Value, row)) for row in demo["x"]]
        scores = list(map(model, inputs))
        losses = [(1 + -y * score).relu() for y, score in zip(demo["y"], scores, strict=True)]
        total = sum(losses) * (1.0 / len(losses)) + ALPHA * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= LEARNING_RATE * p.grad
        return total.data

    return step


def our_step(engine_name: str, demo: dict) -> Callable[[], float]:
    import importlib

    import numpy as np

    import nn

    engine = importlib.import_module(engine_name)
    model = nn.MLP(SIZES, activation="relu", engine=engine)
    neurons = iter(demo["neurons"])
    for weight, bias in zip(*[iter(model.parameters())] * 2, strict=True):
        rows = [next(neurons) for _ in range(bias.shape[0])]
        weight.copy_([row[:-1] for row in rows])
        bias.copy_([row[-1] for row in rows])
    parameters = model.parameters()
    optimizer = nn.SGD(parameters, lr=LEARNING_RATE)
    x = np.array(demo["x"], parameters[0].dtype)
    y = np.array(demo["y"], x.dtype).reshape(-1, 1)

    def step() -> float:
        inputs, targets = engine.as_tensor(x), engine.as_tensor(y)
        total = nn.hinge_loss(model(inputs), targets) + ALPHA * nn.l2_penalty(parameters)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return total.item()

    return step


def measure(engine: str, demo: dict) -> dict:
    """The losses of the first steps, and the seconds that each step after the warm-up takes."""
    step = micrograd_step(demo) if engine == "micrograd" else our_step(engine, demo)
    losses, seconds = timed(step, WARM_UP + STEPS[engine])
    return {"losses": losses[: WARM_UP + min(STEPS.values())], "seconds": seconds[WARM_UP:]}


def check_losses(results: dict) -> None:
    for engine, tolerance in (("micro", 1e-12), ("fast", 1e-5)):  # float64 as micrograd; float32
        difference = first_difference(results["micrograd"]["losses"], results[engine]["losses"], tolerance)
        if difference:
            sys.exit(f"{engine} does not compute what micrograd does: {difference}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns (default: 3)")
    parser.add_argument("--engine", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(arguments.engine, json.load(sys.stdin))))
        return

    commands = {engine: ["--engine", engine] for engine in STEPS}
    results = take_turns(__file__, commands, arguments.rounds, json.dumps(make_demo()), check_losses)
    seconds = {engine: [s for turn in turns for s in turn["seconds"]] for engine, turns in results.items()}
    peer = statistics.median(seconds["micrograd"])
    print_table(seconds, "micrograd / it", lambda median: f"{peer / median:,.1f}")


if __name__ == "__main__":
    main()
