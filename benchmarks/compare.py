"""This project's engines beside their peers: micrograd, NumPy by hand, PyTorch eager and compiled, JAX, tinygrad.

    python benchmarks/compare.py [--only mlp64 lstm] [--rounds 3] [--output out/compare.json]

All engines compute the same, in float32, from the same data and first weights, which are handed to them as arrays; a
run stops where their first losses do not agree. PyTorch runs with one thread and with as many as there are cores; its
faster one is shown, and all are in the JSON file. Each engine runs in a process of its own, they take turns, and no
variable that tunes BLAS or threads reaches them: see `turns.py`. The ratio is the median step of a peer divided by
that of our compiled one: above 1, ours is faster. Peers that are not installed are named and left out (`make bench`
installs them). Compiled steps, tapes and `JAX scan` make 50 steps, or an epoch, in one call; all others one.

Besides the workloads of `workloads.py` there are
- scaling: how the time of a step grows with the width of its layers and with the batch, also drawn (out/growth.svg);
- memory: the most that a training step (mlp256) needs beyond what the process had after its imports, and by how much
  the process grows over 1,000 further steps (Linux only);
- first-step: the time from the start of the process to the end of the first training step (mlp64), imports included;
  for us also with an empty cache of compiled kernels.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from turns import first_difference, print_table, take_turns
from workloads import AT_ONCE, SCALING, WORKLOADS

LOSSES = 5  # at the beginning, that are compared
MEMORY_STEPS = 1000
PACKAGES = ["numpy", "numba", "scipy", "micrograd", "torch", "jax", "jaxlib", "tinygrad"]
OURS = "compiled"  # the engine to which the others are compared


@dataclass(frozen=True)
class Engine:
    """An engine that takes part, where what it needs is installed.

    package, program: what that is; module, name and options: the class that knows the workloads, and how to make it.
    kinds: of workloads, all of them if empty; without: the workloads of these kinds that it can't do.
    family: under which the fastest of several is shown; slow: at how many of its steps we look, where a step takes most
    of a second.
    """

    package: str
    module: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    family: str = ""
    slow: int = 0
    program: str = ""

    @property
    def missing(self) -> str:
        """What it needs and this machine lacks; nothing, as a rule."""
        if not util.find_spec(self.package):
            return f"{self.package} is not installed and left out; make bench installs it"
        if self.program and not shutil.which(self.program):
            return f"{self.package} is left out, for it needs the program {self.program}; install that"
        return ""


def make_engines() -> dict[str, Engine]:
    trained = ("moons", "mlp", "mlp_sgd", "lenet", "lstm", "gpt", "digits")
    found = {OURS: Engine("fast", "our_steps", "Twograd", {"compiled": True}, trained)}
    found["fast"] = Engine("fast", "our_steps", "Twograd")
    found["tape"] = Engine("fast", "our_steps", "Micro", {"tape": True}, ("moons",))
    found["micro"] = Engine("micro", "our_steps", "Micro", {"tape": False}, ("moons",), slow=8)
    found["micrograd"] = Engine("micrograd", "micrograd_steps", "Micrograd", {}, ("moons",), ("moons-plain",), slow=4)
    cores = os.cpu_count() or 1
    for family, fused in (("PyTorch", False), ("PyTorch fused", True)):
        for threads in sorted({1, cores}):
            title = f"{family}, {threads} thread{'s' if threads > 1 else ''}"
            options = {"threads": threads, "fused": fused}
            found[title] = Engine("torch", "torch_steps", "PyTorch", options, trained if fused else (), family=family)
    compiled = {"threads": cores, "fused": True, "compiled": True}
    found["torch.compile"] = Engine("torch", "torch_steps", "PyTorch", compiled, ("moons", "mlp", "lenet", "lstm"))
    found["JAX"] = Engine("jax", "jax_steps", "Jax")
    found["JAX scan"] = Engine("jax", "jax_steps", "Jax", {"scan": True}, trained)
    kinds = ("moons", "mlp", "lenet")
    found["tinygrad"] = Engine("tinygrad", "tinygrad_steps", "TinyGrad", kinds=kinds, program="clang")
    found["NumPy"] = Engine("numpy", "numpy_steps", "NumPy", kinds=("moons", "mlp", "digits"))
    return found


ENGINES = make_engines()
EVERY = WORKLOADS | SCALING
SHARE = 0.3  # seconds that a size of the scaling series is measured in a turn, or longer


# ----------------------------------------------------------------------------------------------------------------------
# In the process of an engine.


def take_turn(workload_name: str, engine_name: str, arrays: str, measured: str) -> dict[str, Any]:
    """Do a workload on an engine, and return what is measured of it."""
    engine, workload = ENGINES[engine_name], EVERY[workload_name]
    with np.load(arrays) as file:
        problem = dict(file)
    made = getattr(import_module(engine.module), engine.name)(**engine.options)
    work = getattr(made, workload.kind)
    if measured == "memory":
        return measure_memory(lambda: work(problem, **workload.options))
    run = work(problem, **workload.options)
    if measured == "first-step":
        run(1)
        return {"finished": time.time()}
    losses, _ = run(1 if engine.slow else workload.warm_up)
    more, seconds = run(engine.slow or workload.count or steps_in(SHARE, run))
    return {"losses": [*losses, *more][:LOSSES], "seconds": seconds}


def steps_in(seconds: float, run: Callable[[int], tuple[list[float], list[float]]]) -> int:
    """How many steps take so long, in whole calls of `AT_ONCE`; those that are measured for that are forgotten."""
    calls = seconds / statistics.median(run(AT_ONCE)[1]) / AT_ONCE
    return AT_ONCE * int(min(20, max(1, calls)))


def measure_memory(begin: Callable[[], Callable[[int], Any]]) -> dict[str, int]:
    """Bytes: the peak of the first 20 steps beyond the memory before them, and the growth over `MEMORY_STEPS` more.

    The peak is the kernel's VmHWM, set back before; getrusage's ru_maxrss also counts what the process was forked from.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    run = begin()
    run(20)
    peak, settled = memory("VmHWM"), memory("VmRSS")
    run(MEMORY_STEPS)
    return {"before": before, "peak": peak - before, "growth": memory("VmRSS") - settled}


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


# ----------------------------------------------------------------------------------------------------------------------
# In the process that starts them.


def measure(names: Iterable[str], rounds: int, folder: Path) -> dict[str, Any]:
    """Print a table for each workload, and return what was measured, by workload and engine."""
    found: dict[str, Any] = {}
    for name in names:
        print(f"\n{name}: {TITLES[name]}")
        if name == "memory":
            found[name] = compare_memory(rounds, folder)
        elif name == "first-step":
            found[name] = compare_first_steps(rounds, folder)
        elif name == "scaling":
            found[name] = compare_scaling(rounds, folder)
        else:
            found[name] = compare_steps(name, rounds, folder)
    return found


def compare_steps(name: str, rounds: int, folder: Path) -> dict[str, Any]:
    workload, commands = WORKLOADS[name], turns(name, folder)
    ours = next(iter(commands))

    def check(first: dict[str, Any]) -> None:
        for engine, result in first.items():
            difference = first_difference(first[ours]["losses"], result["losses"], workload.tolerance)
            if difference:
                sys.exit(f"{name}: {engine} does not compute what {ours} does: {difference}")

    results = take_turns(__file__, commands, rounds, check=check)
    seconds = {engine: [s for turn in found for s in turn["seconds"]] for engine, found in results.items()}
    medians = {engine: statistics.median(times) for engine, times in seconds.items()}
    shown = best_of_families(medians)
    print_table({e: seconds[e] for e in shown}, f"it / {ours}", lambda median: f"{median / medians[ours]:.2f}")
    return {
        engine: {
            "median": medians[engine],
            "fastest": min(times),
            "slowest": max(times),
            "medians": [statistics.median(turn["seconds"]) for turn in results[engine]],
            "ratio": medians[engine] / medians[ours],
        }
        for engine, times in seconds.items()
    }


def compare_scaling(rounds: int, folder: Path) -> dict[str, Any]:
    """Medians in seconds for each series, engine and size."""
    found: dict[str, Any] = {}
    for name in SCALING:
        series, size = name.split()
        commands = turns(name, folder)
        seconds = {
            engine: [s for turn in got for s in turn["seconds"]]
            for engine, got in take_turns(__file__, commands, rounds).items()
        }
        medians = {engine: statistics.median(times) for engine, times in seconds.items()}
        shown = {ENGINES[engine].family or engine: medians[engine] for engine in best_of_families(medians)}
        if series not in found:
            print(f"{'':<12}" + "".join(f"{engine:>16}" for engine in shown))
        print(f"{name:<12}" + "".join(f"{median * 1e6:>13,.0f} us" for median in shown.values()))
        for engine, median in shown.items():
            found.setdefault(series, {}).setdefault(engine, {})[size] = median
    return found


def compare_memory(rounds: int, folder: Path) -> dict[str, Any]:
    if not Path("/proc/self/clear_refs").exists():
        print("left out: the memory of a process is measured on Linux only")
        return {}
    commands = turns("mlp256", folder, "memory")
    take_turns(__file__, {engine: commands[engine] for engine in list(commands)[:1]}, 1)  # fills our cache of kernels
    results = take_turns(__file__, commands, rounds)
    medians = {
        engine: {key: statistics.median(turn[key] for turn in found) for key in ("before", "peak", "growth")}
        for engine, found in results.items()
    }
    print(f"{'engine':<24} {'after imports':>14} {'peak of a step':>15} {'growth':>10}")
    for engine, figures in medians.items():
        before, peak, growth = [figures[key] / 2**20 for key in ("before", "peak", "growth")]
        print(f"{engine:<24} {before:>11.1f} MB {peak:>12.1f} MB {growth:>7.1f} MB")
    return medians


def compare_first_steps(rounds: int, folder: Path) -> dict[str, Any]:
    commands = turns("mlp64", folder, "first-step")
    ours = "fast"
    take_turns(__file__, {ours: commands[ours]}, 1)
    commands[f"{ours}, no cache"] = [*commands[ours], "--no-cache"]
    results = take_turns(__file__, commands, rounds)
    seconds = {engine: [turn["finished"] - turn["spawned"] for turn in found] for engine, found in results.items()}
    print(f"{'engine':<24} {'first step':>12} {'fastest':>12} {'slowest':>12}")
    for engine, times in seconds.items():
        figures = "".join(f"{second:>11.2f} s" for second in (statistics.median(times), min(times), max(times)))
        print(f"{engine:<24}{figures}")
    return seconds


def turns(name: str, folder: Path, measured: str = "steps") -> dict[str, list[str]]:
    """The arguments with which this script does a workload, for each engine that is there and takes part."""
    workload, arrays = EVERY[name], folder / f"{name}.npz"
    if not arrays.exists():
        np.savez(arrays, **workload.problem())
    return {
        engine: ["--turn", name, engine, str(arrays), measured]
        for engine, about in ENGINES.items()
        if not about.missing and (not about.kinds or workload.kind in about.kinds) and name not in about.without
    }


def best_of_families(medians: dict[str, float]) -> list[str]:
    """The engines, but of those that differ in their threads only the fastest."""
    best: dict[str, str] = {}
    for engine, median in medians.items():
        family = ENGINES[engine].family or engine
        if family not in best or median < medians[best[family]]:
            best[family] = engine
    return list(best.values())


def describe_machine() -> dict[str, Any]:
    model, cpuinfo = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    installed = [package for package in PACKAGES if util.find_spec(package)]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: metadata.version(package) for package in installed},
    }


TITLES = {
    **{name: workload.title for name, workload in WORKLOADS.items()},
    "scaling": "two square layers and one of 10 outputs, over their width (batch 64) and the batch (width 128)",
    "memory": f"of a training step of mlp256, and its growth over {MEMORY_STEPS:,} steps",
    "first-step": "from the start of the process to the end of the first training step of mlp64",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=TITLES, default=list(TITLES), help="these workloads", metavar="")
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns (default: 3)")
    parser.add_argument("--output", type=Path, default=Path("out/compare.json"), help="default: out/compare.json")
    parser.add_argument("--turn", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--no-cache", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.no_cache:
            os.environ["NUMBA_CACHE_DIR"] = folder
        if arguments.turn:
            print(json.dumps(take_turn(*arguments.turn)))
            return

        machine = describe_machine()
        versions = ", ".join(f"{package} {version}" for package, version in machine["packages"].items())
        print(f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {versions}")
        for missing in sorted({engine.missing for engine in ENGINES.values()} - {""}):
            print(missing)
        measured = measure(arguments.only, arguments.rounds, Path(folder))
    if hasattr(os, "getloadavg"):  # not on Windows
        machine["load"] = os.getloadavg()[0]
        print(f"\nprocesses that wanted a core in the last minute: {machine['load']:.1f}; our own are about 1.5")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    everything = {"machine": machine, "workloads": measured}
    arguments.output.write_text(json.dumps(everything, indent=1) + "\n")
    print(f"\nsaved {arguments.output}")
    if "scaling" in measured:
        import growth  # and with it Matplotlib, which is no part of what is measured

        picture = arguments.output.with_name("growth.svg")
        growth.draw(everything, picture)
        print(f"saved {picture}")


if __name__ == "__main__":
    main()
