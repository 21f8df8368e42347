"""Optimizers of `nn` as a compiled training takes them: numbers and arrays in place of objects.

The settings of each kind stand in the order in which `kernels/tape.py` reads them; 0 is the weight decay of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fast.kernels.tape import ADAGRAD, ADAM, MOMENTUM, RMSPROP, SGD
from micro.array import elements
from micro.value import Value

#: What each kind remembers of every parameter, under PyTorch's names.
REMEMBERS = {
    SGD: (),
    MOMENTUM: ("momentum_buffer",),
    ADAM: ("exp_avg", "exp_avg_sq"),
    RMSPROP: ("square_avg", "grad_avg", "momentum_buffer"),
    ADAGRAD: ("sum",),
}
#: The kinds that count their steps.
COUNTS = (ADAM, ADAGRAD)


class Settings(NamedTuple):
    """kind, settings: which update, and its numbers; lr: the learning rate.

    done: how many steps there were before; start: the number with which the memory of a parameter begins.
    """

    kind: int
    settings: np.ndarray
    lr: float
    done: int = 0
    start: float = 0.0


#: For those who do not train.
NONE = Settings(SGD, np.zeros(1), 0.0)


def encode(update: str, lr: float, options: Mapping[str, Any]) -> Settings:
    """The settings of an update that has the engine's function `update`, such as "sgd_step", with these arguments."""
    o, decay, start = options, options["weight_decay"], 0.0
    if update == "sgd_step":
        kind = MOMENTUM if o["momentum"] else SGD
        numbers = [decay, o["momentum"], 1 - o["dampening"], o["momentum"] if o["nesterov"] else 0.0]
    elif update == "adam_step":
        kind, apart = ADAM, o["decoupled_weight_decay"]
        numbers = [0.0 if apart else decay, *o["betas"], o["eps"], decay if apart else 0.0]
    elif update == "rmsprop_step":
        kind, numbers = RMSPROP, [decay, o["alpha"], o["eps"], o["momentum"], o["centered"]]
    elif update == "adagrad_step":
        kind, numbers, start = ADAGRAD, [decay, o["lr_decay"], o["eps"]], o["initial_accumulator_value"]
    else:
        raise ValueError(f"optimizer: {update!r} has no compiled form; use SGD, Adam, AdamW, RMSprop or Adagrad")
    return Settings(kind, np.array(numbers, np.float64), float(lr), start=float(start))


def work(settings: Settings) -> tuple[int, int]:
    """Of one update of one parameter: additions, multiplications and the like; and the numbers that it reads or writes,
    which are the parameter, its gradient, and what is remembered of it.
    """
    centered, buffered = (bool(settings.settings[k]) for k in (4, 3)) if settings.kind == RMSPROP else (False, False)
    flops = {SGD: 4, MOMENTUM: 7, ADAM: 15, RMSPROP: 11 + 5 * centered + 2 * buffered, ADAGRAD: 9}
    kept = 1 + centered + buffered if settings.kind == RMSPROP else len(REMEMBERS[settings.kind])
    return flops[settings.kind], 2 + kept


def settings(optimizer: Any, parameters: Sequence[Value]) -> Settings:
    """The settings of an optimizer for exactly these parameters."""
    if not all(hasattr(optimizer, name) for name in ("update", "settings", "state", "parameters")):
        raise TypeError(
            f"train: optimizer={optimizer!r:.80} is no optimizer; give one of nn, such as nn.SGD(parameters)"
        )
    mine = elements(optimizer.parameters)
    if len(mine) != len(parameters) or any(a is not b for a, b in zip(mine, parameters, strict=True)):
        raise ValueError(
            f"train: the optimizer moves {len(mine)} Values, not the {len(parameters)} parameters of the tape, or in "
            "another order; make both of the same list"
        )
    found = encode(optimizer.update, optimizer.lr, optimizer.settings)
    return found._replace(done=steps_done("train", optimizer))


def steps_done(name: str, optimizer: Any) -> int:
    """How many steps an optimizer remembers; 1 where it remembers something but does not count."""
    steps = {memory.get("step", 1) for memory in optimizer.state.values()}
    if len(steps) > 1:
        raise ValueError(
            f"{name}: the parameters have been moved a different number of times; train with a new optimizer"
        )
    return steps.pop() if steps else 0


def memory(optimizer: Any, dtype: np.dtype) -> np.ndarray:
    """What an optimizer remembers, (3, elements of its parameters)."""
    found, count = encode(optimizer.update, optimizer.lr, optimizer.settings), len(elements(optimizer.parameters))
    state = np.full((3, count), found.start, dtype)
    for row, name in enumerate(REMEMBERS[found.kind]):
        if optimizer.state:
            kept = [np.asarray(optimizer.state[i][name]).ravel() for i in range(len(optimizer.parameters))]
            state[row] = np.concatenate(kept)
    return state


def remember(optimizer: Any, state: np.ndarray, steps: int) -> None:
    """Let an optimizer remember a state after so many steps."""
    kind, end = encode(optimizer.update, optimizer.lr, optimizer.settings).kind, 0
    for i, parameter in enumerate(optimizer.parameters):
        start, end = end, end + len(elements([parameter]))
        kept = {
            name: parameter.engine.tensor(state[row, start:end].reshape(parameter.shape).tolist())
            for row, name in enumerate(REMEMBERS[kind])
        }
        if kind in COUNTS:
            kept["step"] = steps
        if kept and steps:
            optimizer.state[i] = kept
