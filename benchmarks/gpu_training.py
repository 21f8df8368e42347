"""Training steps on the GPU, beside PyTorch's on the same one: eager, with a fused optimizer, and as a CUDA graph.

Each engine runs in a process of its own, from the same data and first weights; where its first losses are not those of
our steps, it is said, and so is what an engine cannot do. Compiled steps and graphs make 50 steps in a call.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
from compare import LOSSES, Engine, steps_in
from turns import first_difference
from workloads import AT_ONCE, WORKLOADS, Workload, square

#: Seconds that an engine is measured for.
SHARE = 1.0
WORK = {
    "MLP 784-256-128-10, batch 64, Adam": WORKLOADS["mlp64"],
    "MLP of two layers 4096 wide, batch 256, SGD": Workload(
        "", "mlp_sgd", partial(square, 4096, 256), 0, tolerance=1e-3
    ),
    "two convolutions, batch 32, SGD": WORKLOADS["lenet"],
    "microgpt, one name a step, Adam": WORKLOADS["microgpt"],
}
TINY = {
    "MLP of two layers 8 wide, batch 4, SGD": replace(
        WORK["MLP of two layers 4096 wide, batch 256, SGD"], problem=partial(square, 8, 4)
    ),
    "microgpt, one name a step, Adam": WORKLOADS["microgpt"],
}
OURS = "compiled"
ENGINES = {
    OURS: Engine("fast", "our_steps", "Twograd", {"compiled": True}),
    "compiled, graph": Engine("fast", "our_steps", "Twograd", {"compiled": True, "graphs": True}),
    "step by step": Engine("fast", "our_steps", "Twograd"),
    "PyTorch": Engine("torch", "torch_steps", "PyTorch", {"threads": 1, "fused": False}),
    "PyTorch, fused": Engine("torch", "torch_steps", "PyTorch", {"threads": 1, "fused": True}),
    "PyTorch, graph": Engine("torch", "torch_steps", "PyTorch", {"threads": 1, "fused": True, "graph": True}),
}


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each workload and engine; tiny ones on the CPU, where there are no graphs."""
    device, problems = ("cpu" if tiny else "cuda"), []
    there = [name for name, engine in ENGINES.items() if util.find_spec(engine.package)]
    if tiny:
        there = [name for name in there if not {"graph", "graphs"} & ENGINES[name].options.keys()]
    for title, workload in (TINY if tiny else WORK).items():
        losses, median = [], 0.0
        with tempfile.TemporaryDirectory() as folder:
            arrays = Path(folder, "problem.npz")
            np.savez(arrays, **workload.problem())
            for name in there:
                found = _turn(title, name, arrays, device)
                said = found.get("error") or _unlike(losses, found["losses"], workload.tolerance)
                if said:
                    problems.append(f"{title}, {name}: {said}")
                    yield {"step": title, "engine": name, "note": said}
                    continue
                losses, median = losses or found["losses"], median or found["median"]
                ratio = found["median"] / median
                yield {"step": title, "engine": name, "us": found["median"] * 1e6, "of the first": ratio}
    if not util.find_spec("torch"):
        yield {"engine": "PyTorch", "note": "left out, for it is not installed: pip install torch"}
    if problems:
        raise RuntimeError("; ".join(problems))


def _unlike(first: list[float], losses: list[float], tolerance: float) -> str:
    """How losses differ from those of the first engine that has any, in words; nothing where they do not."""
    return first_difference(first, losses, tolerance) if first else ""


def _turn(title: str, name: str, arrays: Path, device: str) -> dict[str, Any]:
    """What `take_turn` finds in a process of its own; {"error": ...} where that fails."""
    command = [sys.executable, __file__, title, name, str(arrays), device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return {"error": done.stderr.strip().rpartition("\n")[2] or f"ended with status {done.returncode}"}
    return json.loads(done.stdout)


def take_turn(title: str, name: str, arrays: str, device: str) -> dict[str, Any]:
    """The first losses, and the seconds of the median step."""
    engine, workload = ENGINES[name], (WORK | TINY)[title]
    with np.load(arrays) as file:
        problem = dict(file)
    made = getattr(import_module(engine.module), engine.name)(**engine.options, device=device)
    run = getattr(made, workload.kind)(problem, **workload.options)
    losses, _ = run(AT_ONCE)
    _, seconds = run(AT_ONCE if device == "cpu" else steps_in(SHARE, run))
    return {"losses": losses[:LOSSES], "median": statistics.median(seconds)}


if __name__ == "__main__":
    print(json.dumps(take_turn(*sys.argv[1:])))
