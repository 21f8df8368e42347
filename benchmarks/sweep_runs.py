"""Sweeps and maps: many trainings of one small network, per run and per step.

    python benchmarks/sweep_runs.py [--only float64 float32 map] [--rounds 3]

- float64, float32: runs of micrograd's demo (100 samples, 2-16-16-1, hinge loss, SGD, 100 steps of all samples), in a
  sweep of 64 learning rates, and of 1,000 runs: 100 rates, 10 seeds. `lanes` is `nn.sweep`, whole as a user calls it;
  `fit` the same with `lanes=False`; JAX is `vmap` over weights and rates of a `scan` over the steps, one compiled
  function, whose compilation is not measured.
- map: what `nn.trainability_map` computes with, `fast.functional.train_two_layers`: tanh, 272 samples, float64, the
  learning rates of a map of 32 x 32 pixels. A net-step is one step of one network.

Each engine runs in a process of its own, on as many threads as it takes by default, and they take turns; all losses
must agree with those of the lanes: see `turns.py`. Ratios are those of the medians. JAX is named and left out where it
is not installed (`make bench-tape` installs it).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util

import numba
import numpy as np
from turns import first_difference, take_turns, timed
from workloads import MOONS, Problem, layers, moons

import fast
import nn

STEPS = 100
#: The lowest and the largest learning rate.
LOWEST, LARGEST = 1e-3, 0.1
#: By how much losses of engines may differ, relatively.
TOLERANCE = {"float64": 1e-12, "float32": 1e-3}
MAP_SIDE, MAP_STEPS = 32, 100

#: Trains all runs, and says their losses (seeds, rates, steps).
Train = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Engine:
    """package: what must be installed; make: makes what trains so many rates with so many seeds; count: the sweeps
    measured in a turn, after one more.
    """

    package: str
    make: Callable[[int, int, str], Train]
    rates: int
    seeds: int
    count: int


# ----------------------------------------------------------------------------------------------------------------------
# Sweeps.


def samples(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    problem = moons()
    return problem["x"].astype(dtype), problem["y"].astype(dtype)


def first_weights(seed: int, dtype: str) -> Problem:
    return {name: array.astype(dtype) for name, array in layers(MOONS, np.random.default_rng(seed)).items()}


def learning_rates(count: int) -> np.ndarray:
    return np.geomspace(LOWEST, LARGEST, count)


def by_sweep(lanes: bool) -> Callable[[int, int, str], Train]:
    def make(rates: int, seeds: int, dtype: str) -> Train:
        data, settings = samples(dtype), {"learning_rates": learning_rates(rates), "seeds": range(seeds)}

        def model(seed: int) -> nn.Module:
            made = nn.MLP(MOONS, engine=fast, dtype=dtype)
            made.load_state_dict(first_weights(seed, dtype))
            return made

        def train() -> np.ndarray:
            found = nn.sweep(model, data, nn.hinge_loss, **settings, epochs=STEPS, shuffle=False, lanes=lanes)
            return found.losses[0].swapaxes(0, 1)

        return train

    return make


def by_jax(rates: int, seeds: int, dtype: str) -> Train:
    import jax
    from jax import lax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", dtype == "float64")
    from jax_steps import Tree, mlp

    x, y = map(jnp.asarray, samples(dtype))

    def loss(p: Tree) -> jax.Array:
        return jax.nn.relu(1 - y * mlp(p, x)).mean()

    def train(p: Tree, rate: jax.Array) -> jax.Array:
        def step(p: Tree, _: None) -> tuple[Tree, jax.Array]:
            error, grads = jax.value_and_grad(loss)(p)
            return jax.tree.map(lambda p, g: p - rate * g, p, grads), error

        return lax.scan(step, p, None, length=STEPS)[1]

    train_all = jax.jit(jax.vmap(jax.vmap(train, (None, 0)), (0, None)))
    p = jax.tree.map(lambda *arrays: jnp.stack(arrays), *[first_weights(seed, dtype) for seed in range(seeds)])
    numbers = jnp.asarray(learning_rates(rates), dtype)
    return lambda: np.asarray(train_all(p, numbers))


ENGINES = {
    "lanes": Engine("fast", by_sweep(lanes=True), 64, 1, 10),
    "JAX": Engine("jax", by_jax, 64, 1, 10),
    "fit": Engine("fast", by_sweep(lanes=False), 64, 1, 1),
    "lanes, 1,000 runs": Engine("fast", by_sweep(lanes=True), 100, 10, 2),
    "JAX, 1,000 runs": Engine("jax", by_jax, 100, 10, 2),
}


def take_turn(name: str, dtype: str) -> dict:
    """What is measured in the process of an engine: all losses, and the seconds of each sweep."""
    if name == "map":
        return map_seconds()
    engine = ENGINES[name]
    found, seconds = timed(engine.make(engine.rates, engine.seeds, dtype), engine.count + 1)
    return {"losses": found[0].ravel().tolist(), "seconds": seconds[1:]}


def compare_sweeps(dtype: str, rounds: int) -> None:
    there = {name: engine for name, engine in ENGINES.items() if util.find_spec(engine.package)}
    if len(there) < len(ENGINES):
        print("jax is not installed and left out; make bench-tape installs it")

    def check(first: dict) -> None:
        for name, result in first.items():
            same = next(other for other in there if there[other].rates == there[name].rates)  # the lanes
            difference = first_difference(first[same]["losses"], result["losses"], TOLERANCE[dtype])
            if difference:
                sys.exit(f"{dtype}: {name} does not compute what the lanes do: {difference} of all runs in a row")

    results = take_turns(__file__, {name: ["--turn", name, dtype] for name in there}, rounds, check=check)
    seconds = {
        name: statistics.median([s for turn in turns for s in turn["seconds"]]) for name, turns in results.items()
    }
    runs = {name: engine.rates * engine.seeds for name, engine in there.items()}
    print(f"{'engine':<20} {'runs':>6} {'median':>12} {'runs a second':>15} {'run / lanes':>12}")
    for name, median in seconds.items():
        ratio = (median / runs[name]) / (seconds["lanes"] / runs["lanes"])
        print(f"{name:<20} {runs[name]:>6,} {median * 1e3:>9,.1f} ms {runs[name] / median:>15,.0f} {ratio:>12.2f}")


# ----------------------------------------------------------------------------------------------------------------------
# Maps.


def map_seconds() -> dict:
    """How many networks are trained at once, by how many threads, and the seconds that it takes."""
    rates = np.geomspace(*nn.trainability.WINDOW[0], MAP_SIDE)
    pairs = np.stack(np.meshgrid(rates, rates), axis=-1).reshape(-1, 2)
    arrays = *nn.trainability.draw(nn.trainability.CONDITIONS["tanh"], seed=0), pairs
    tensors = [fast.as_tensor(array, "float64") for array in arrays]

    def train() -> None:
        fast.functional.train_two_layers(*tensors, steps=MAP_STEPS, activation="tanh")

    return {"networks": len(pairs), "threads": numba.get_num_threads(), "seconds": timed(train, 4)[1][1:]}


def measure_map(rounds: int) -> None:
    turns = take_turns(__file__, {"fast": ["--turn", "map", "float64"]}, rounds)["fast"]
    median = statistics.median([second for turn in turns for second in turn["seconds"]])
    networks, threads = turns[0]["networks"], turns[0]["threads"]
    steps_a_second = networks * MAP_STEPS / median
    print(f"{networks:,} networks, {MAP_STEPS} steps, {threads} threads: {median * 1e3:,.0f} ms")
    print(f"{steps_a_second:,.0f} net-steps a second")


TITLES = {
    "float64": "a sweep of micrograd's demo, 100 steps a run, in float64",
    "float32": "the same in float32",
    "map": "a trainability map, tanh, 272 samples, in float64",
}


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
        if work == "map":
            measure_map(arguments.rounds)
        else:
            compare_sweeps(work, arguments.rounds)


if __name__ == "__main__":
    main()
