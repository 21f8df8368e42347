"""Tapes beside the engines that do the same: a batch as lanes, one lane, and a language model one name a step.

    python benchmarks/tape_steps.py [--only moons microgpt] [--rounds 3]

- moons: a training step of micrograd's demo (100 samples, 2-16-16-1, hinge loss and L2 penalty, SGD) in float64. The
  tape is the graph of one sample; `Tape.train` runs it for all of them.
- one-lane: the loss of all samples as a single graph, run for one sample: nanoseconds a node for value and gradients
  together, and the seconds from a graph of 100,000 nodes to its first gradients.
- microgpt: a training step on one name (tutorials/microgpt.py: 4,064 parameters, Adam), in float64. All engines go
  through the same eight names over and over.

Each engine runs in a process of its own, they take turns, and a run stops where first losses do not agree: see
`turns.py`. Ratios are those of the medians. Peers that are not installed are named and left out (`make bench-tape`
installs them). PyTorch runs on one thread, which is its best for networks as small as this one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from itertools import chain, cycle

import numpy as np
from turns import first_difference, print_table, take_turns, timed
from workloads import LEARNING_RATE, MOONS, PENALTY, Problem, documents, gpt, moons

import fast
import micro
import nn
from tutorials import microgpt

#: Trains so many steps, and says the losses before them and the seconds that they took.
Run = Callable[[int], tuple[list[float], list[float]]]
AT_ONCE = 50  # steps that a tape trains in one call; each is then said to have taken a 50th of it


@dataclass(frozen=True)
class Engine:
    """package: what must be installed; make: makes what trains; count: the steps measured in a turn, after `warm_up`
    more.
    """

    package: str
    make: Callable[[], Run]
    warm_up: int
    count: int


# ----------------------------------------------------------------------------------------------------------------------
# Moons.


def moons_in_float64() -> Problem:
    return {name: array.astype(np.float64) for name, array in moons().items()}


def moons_model(engine_name: str) -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """The network on an engine, the points, and their targets."""
    problem = moons_in_float64()
    x, y = problem.pop("x"), problem.pop("y")
    model = nn.MLP(MOONS, engine=importlib.import_module(engine_name), dtype="float64")
    model.load_state_dict(problem)
    return model, x, y


def moons_loss(model: nn.Module, x: nn.engine.Tensor, y: nn.engine.Tensor) -> nn.engine.Tensor:
    return nn.hinge_loss(model(x), y) + PENALTY * nn.l2_penalty(model.parameters())


def moons_by_micrograd() -> Run:
    from micrograd_steps import Micrograd

    return Micrograd().moons(moons_in_float64())


def moons_by(engine_name: str) -> Run:
    model, *data = moons_model(engine_name)
    engine = importlib.import_module(engine_name)
    x, y = map(engine.tensor, data)
    optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE["SGD"])

    def step() -> float:
        loss = moons_loss(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return lambda count: timed(step, count)


def moons_by_tape() -> Run:
    model, x, y = moons_model("micro")
    point, target = micro.zeros(1, 2), micro.ones(1, 1)
    tape = fast.compile(moons_loss(model, point, target), [point, target], model.parameters())
    optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE["SGD"])

    def run(count: int) -> tuple[list[float], list[float]]:
        losses, seconds = timed(lambda: tape.train(x, y, optimizer=optimizer, steps=AT_ONCE).tolist(), count // AT_ONCE)
        return list(chain(*losses)), [second / AT_ONCE for second in seconds for _ in range(AT_ONCE)]

    return run


def moons_by_jax() -> Run:
    import jax

    jax.config.update("jax_enable_x64", True)
    from jax_steps import Jax

    return Jax().moons(moons_in_float64())


# ----------------------------------------------------------------------------------------------------------------------
# A language model.


def names() -> list[str]:
    """Those of the workload, which begin with their own first letter and end where the next one would."""
    letters = [given[1:].tolist() + wanted[-1:].tolist() for given, wanted in documents(gpt())]
    return ["".join(microgpt.ALPHABET[letter] for letter in word).strip(".") for word in letters]


def through_names(step: Callable[[str], float]) -> Run:
    following = cycle(names())
    return lambda count: timed(lambda: step(next(following)), count)


def gpt_by(engine_name: str) -> Run:
    model = microgpt.GPT(importlib.import_module(engine_name), dtype="float64")
    return through_names(microgpt.stepper(model))


def gpt_by_tape() -> Run:
    return through_names(microgpt.CompiledGPT(microgpt.GPT(micro, dtype="float64")).step)


def gpt_by_torch(fused: bool) -> Run:
    from torch_steps import PyTorch

    arrays = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in gpt().items()}
    return PyTorch(threads=1, fused=fused).gpt(arrays)


# ----------------------------------------------------------------------------------------------------------------------
# One lane.


def one_lane() -> dict[str, float]:
    """Nodes, and nanoseconds for each of them; nodes of another graph, and seconds to its first gradients."""
    loss, parameters = whole_graph(samples=100)
    tape = fast.compile(loss, parameters=parameters)
    _, seconds = timed(lambda: tape.run().values[0], 500)
    nodes = len(loss.topological_order())
    larger, parameters = whole_graph(samples=155)
    started = time.perf_counter()
    fast.compile(larger, parameters=parameters).run()
    ready = time.perf_counter() - started
    return {
        "nodes": nodes,
        "nanoseconds": 1e9 * statistics.median(seconds[10:]) / nodes,
        "fastest": 1e9 * min(seconds) / nodes,
        "larger": len(larger.topological_order()),
        "ready": ready,
    }


def whole_graph(samples: int) -> tuple[micro.Value, list[micro.Array]]:
    """The loss of so many samples as one graph, those of the problem over and over, and its parameters."""
    model, x, y = moons_model("micro")
    rows = np.arange(samples) % len(x)
    return moons_loss(model, micro.tensor(x[rows]), micro.tensor(y[rows])), model.parameters()


ENGINES = {
    "moons": {
        "tape": Engine("fast", moons_by_tape, 200, 4000),
        "fast": Engine("fast", lambda: moons_by("fast"), 200, 2000),
        "micro": Engine("micro", lambda: moons_by("micro"), 2, 10),
        "micrograd": Engine("micrograd", moons_by_micrograd, 2, 5),
        "JAX": Engine("jax", moons_by_jax, 200, 2000),
    },
    "microgpt": {
        "tape": Engine("fast", gpt_by_tape, 16, 2000),
        "fast": Engine("fast", lambda: gpt_by("fast"), 16, 800),
        "micro": Engine("micro", lambda: gpt_by("micro"), 0, 8),
        "PyTorch": Engine("torch", lambda: gpt_by_torch(fused=False), 16, 800),
        "PyTorch fused": Engine("torch", lambda: gpt_by_torch(fused=True), 16, 800),
    },
}
TITLES = {
    "moons": "micrograd's demo, 100 samples, a training step in float64",
    "microgpt": "4,064 parameters, a training step on one name in float64",
    "one-lane": "the demo's loss as one graph, value and gradients",
}


def take_turn(work: str, name: str) -> dict:
    """What is measured in the process of an engine: the first losses, and the seconds of each step."""
    if work == "one-lane":
        return one_lane()
    engine = ENGINES[work][name]
    losses, seconds = engine.make()(engine.warm_up + engine.count)
    return {"losses": losses[:5], "seconds": seconds[engine.warm_up :]}


def compare_steps(work: str, rounds: int) -> None:
    there = {name: engine for name, engine in ENGINES[work].items() if util.find_spec(engine.package)}
    for package in sorted({engine.package for engine in ENGINES[work].values()} - {e.package for e in there.values()}):
        print(f"{package} is not installed and left out; make bench-tape installs it")

    def check(first: dict) -> None:
        for name, result in first.items():
            difference = first_difference(first["tape"]["losses"], result["losses"], 1e-12)
            if difference:
                sys.exit(f"{work}: {name} does not compute what the tape does: {difference}")

    results = take_turns(__file__, {name: ["--turn", work, name] for name in there}, rounds, check=check)
    seconds = {name: [s for turn in turns for s in turn["seconds"]] for name, turns in results.items()}
    tape = statistics.median(seconds["tape"])
    print_table(seconds, "it / tape", lambda median: f"{median / tape:,.1f}")


def compare_lane(rounds: int) -> None:
    turns = take_turns(__file__, {"tape": ["--turn", "one-lane", "tape"]}, rounds)["tape"]
    median = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
    print(f"{median['nodes']:,.0f} nodes: {median['nanoseconds']:.1f} ns a node, {median['fastest']:.1f} at best")
    print(f"{median['larger']:,.0f} nodes: {median['ready']:.2f} s from the graph to its first gradients")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=TITLES, default=list(TITLES), help="these", metavar="")
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns (default: 3)")
    parser.add_argument("--turn", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        print(json.dumps(take_turn(*arguments.turn)))
        return
    for work in arguments.only:
        print(f"\n{work}: {TITLES[work]}")
        if work == "one-lane":
            compare_lane(arguments.rounds)
        else:
            compare_steps(work, arguments.rounds)


if __name__ == "__main__":
    main()
