"""What `compare.py` measures: for each workload the data and the first weights, which every engine is handed as arrays.

Weights have PyTorch's names and shapes, and begin uniform in +-1/sqrt(fan_in); all numbers are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Problem = dict[str, np.ndarray]

LEARNING_RATE = {"SGD": 0.1, "Adam": 1e-3}
PENALTY = 1e-4
BATCH = 32  # of the digits
#: So many steps are one call, of engines that can; each is then said to have taken its share.
AT_ONCE = 50
#: The widths of layers and the sizes of batches over which costs are drawn.
WIDTHS, BATCHES = (16, 32, 64, 128, 256, 512, 1024, 2048), (1, 4, 16, 64, 256, 1024, 4096)
MLP, DIGITS, MOONS = [784, 256, 128, 10], [64, 64, 10], [2, 16, 16, 1]


@dataclass(frozen=True)
class Workload:
    """Work that all engines do, and how often.

    title: what it is, in words.
    kind: the method of the engines that does it.
    problem: makes the arrays.
    count: the steps that are measured in a turn, after `warm_up` more.
    options: further arguments of the method.
    tolerance: by how much the results of engines may differ, relatively.
    """

    title: str
    kind: str
    problem: Callable[[], Problem]
    count: int
    warm_up: int = AT_ONCE
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-4


def weights(shapes: Mapping[str, tuple[int, ...]], fan_in: int, random: np.random.Generator) -> Problem:
    bound = fan_in**-0.5
    return {name: random.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}


def layers(sizes: Iterable[int], random: np.random.Generator) -> Problem:
    """The weights of dense layers with an activation between them, numbered as in `Sequential`."""
    found: Problem = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes = {f"{2 * number}.weight": (outputs, inputs), f"{2 * number}.bias": (outputs,)}
        found |= weights(shapes, inputs, random)
    return found


def moons() -> Problem:
    from sklearn.datasets import make_moons

    x, y = make_moons(n_samples=100, noise=0.1, random_state=1337)
    signs = (2 * y - 1).astype(np.float32).reshape(-1, 1)
    return {"x": x.astype(np.float32), "y": signs, **layers(MOONS, np.random.default_rng(1337))}


def mlp(batch: int) -> Problem:
    random = np.random.default_rng(0)
    x = random.standard_normal((batch, MLP[0]), np.float32)
    return {"x": x, "y": random.integers(MLP[-1], size=batch), **layers(MLP, random)}


def lenet() -> Problem:
    random = np.random.default_rng(0)
    x = random.standard_normal((32, 1, 28, 28), np.float32)
    problem = {"x": x, "y": random.integers(10, size=32)}
    problem |= weights({"0.weight": (8, 1, 3, 3), "0.bias": (8,)}, 9, random)
    problem |= weights({"3.weight": (16, 8, 3, 3), "3.bias": (16,)}, 72, random)
    return problem | weights({"7.weight": (10, 784), "7.bias": (10,)}, 784, random)


def lstm() -> Problem:
    random = np.random.default_rng(0)
    x = random.standard_normal((32, 28, 28), np.float32)
    shapes = {"weight_ih_l0": (256, 28), "weight_hh_l0": (256, 64), "bias_ih_l0": (256,), "bias_hh_l0": (256,)}
    problem = weights({f"0.{name}": shape for name, shape in shapes.items()}, 64, random)
    problem |= weights({"2.weight": (10, 64), "2.bias": (10,)}, 64, random)
    return {"x": x, "y": random.integers(10, size=32), **problem}


def digits() -> Problem:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))[:1437]
    return {"x": (x[rows] / 16).astype(np.float32), "y": y[rows], **layers(DIGITS, np.random.default_rng(0))}


def gpt() -> Problem:
    """Eight names as the letters before each task and the letter that comes, behind which -1 fills the rows."""
    import micro
    from tutorials import microgpt

    words = (Path(microgpt.__file__).parent / "data" / "names.txt").read_text().split()
    chosen = np.random.default_rng(0).choice(list(dict.fromkeys(words)), 8, replace=False)
    found = {name: np.full((8, microgpt.WINDOW), -1) for name in ("given", "wanted")}
    for row, name in enumerate(chosen):
        for array, numbers in zip(found.values(), microgpt.tasks(str(name)), strict=True):
            array[row, : len(numbers)] = numbers
    return found | {name: array.astype(np.float32) for name, array in microgpt.GPT(micro).state_dict().items()}


def documents(problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """The names of `gpt`, each as the numbers of its letters and of those that come."""
    pairs = zip(problem.pop("given"), problem.pop("wanted"), strict=True)
    return [(given[given >= 0], wanted[wanted >= 0]) for given, wanted in pairs]


def square(width: int, batch: int) -> Problem:
    """A network of two square layers and one of 10 outputs."""
    random = np.random.default_rng(0)
    x = random.standard_normal((batch, width), np.float32)
    return {"x": x, "y": random.integers(10, size=batch), **layers([width, width, width, 10], random)}


def numbers() -> Problem:
    return {"x": np.random.default_rng(0).standard_normal(1_000_000, np.float32)}


WORKLOADS = {
    "moons": Workload("micrograd's demo: 2-16-16-1, hinge loss and L2 penalty, SGD", "moons", moons, 1000),
    "moons-plain": Workload("the same without the penalty", "moons", moons, 1000, options={"penalty": False}),
    "mlp64": Workload("784-256-128-10, cross entropy, Adam, batch 64", "mlp", partial(mlp, 64), 300),
    "mlp256": Workload("784-256-128-10, cross entropy, Adam, batch 256", "mlp", partial(mlp, 256), 100),
    "lenet": Workload("two convolutions, pooled, SGD, batch 32 of 28x28", "lenet", lenet, 100),
    "lstm": Workload("LSTM of 28 steps, 28 -> 64, Adam, batch 32", "lstm", lstm, 100),
    "microgpt": Workload("a GPT of 4,064 numbers, one name a step, Adam", "gpt", gpt, 400),
    "digits": Workload("an epoch of scikit-learn's digits, 64-64-10, Adam, batch 32", "digits", digits, 20, 5),
    **{
        f"elementwise-{name}": Workload(
            f"{name} of 1,000,000 numbers", "elementwise", numbers, 100, options={"name": name}, tolerance=1e-5
        )
        for name in ("exp", "tanh", "sigmoid", "gelu")
    },
}

#: How the cost grows: two square layers and one of 10 outputs, SGD, over their width, and over the batch.
SCALING = {
    **{f"width {w}": Workload(f"width {w}, batch 64", "mlp_sgd", partial(square, w, 64), 0) for w in WIDTHS},
    **{f"batch {b}": Workload(f"width 128, batch {b}", "mlp_sgd", partial(square, 128, b), 0) for b in BATCHES},
}
