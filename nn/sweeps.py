"""Sweeps: the same network trained with each of several optimizers, learning rates and seeds.

>>> import fast, nn
>>> model = nn.MLP([2, 8, 1], "tanh", engine=fast, seed=0)
>>> xor = [[0, 0], [0, 1], [1, 0], [1, 1]], [[-1], [1], [1], [-1]]
>>> result = nn.sweep(model, xor, nn.mse_loss, learning_rates=[0.01, 0.1, 1e9], seeds=range(3), epochs=50)
>>> result.losses.shape
(1, 3, 3, 50)
>>> (result.diverged_at >= 0).sum(axis=-1).tolist()  # how many seeds diverged
[[0, 0, 3]]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from nn.architecture import check_layers, describe, rebuild
from nn.arguments import check_training, prepare
from nn.callbacks import Callback
from nn.data import Data, check_batch_size, check_count, generator
from nn.diagnosis import final_loss
from nn.engine import Engine, Tensor
from nn.executors import check_pickles, compute
from nn.history import Run
from nn.lanes import Lanes, find_lanes, move_alike, step_order
from nn.modules import Module, first_parameter
from nn.optim import SGD, Optimizer, check_positive
from nn.training import Loss, fit

#: A seed in, a new model out.
MakeModel = Callable[[int], Module]
#: Parameters and a learning rate in, an optimizer out: a class such as `nn.SGD`, or a `functools.partial` of one.
MakeOptimizer = Callable[[list[Tensor], float], Optimizer]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What `nn.sweep` has measured, as plain arrays; O optimizers, R learning rates, S seeds.

    losses (O, R, S, steps): the loss of every step, before its update. In a run that diverged, the last number is the
        first that is infinite or not a number, and nan fills the steps after it.
    diverged_at (O, R, S): that step, counted from 0; -1 where there is none.
    final_losses (O, R, S): where each run came to rest, as `nn.final_loss` says; infinity if it diverged, or if its
        loss grew a million times.
    optimizers (O,), learning_rates (R,), seeds (S,): the settings along the axes, in the order in which they were
        given; optimizers by name.
    """

    losses: np.ndarray
    diverged_at: np.ndarray
    final_losses: np.ndarray
    optimizers: tuple[str, ...]
    learning_rates: np.ndarray
    seeds: np.ndarray

    def curves(self, optimizer: str | None = None, seed: int | None = None) -> dict[float, np.ndarray]:
        """Learning rate to losses, for `nn.diagnose_sweep` and `viz.learning_rate_curves`.

        optimizer, seed: of which runs; the first ones unless given.
        """
        row = _place("optimizer", optimizer, self.optimizers)
        column = _place("seed", seed, self.seeds.tolist())
        return dict(zip(self.learning_rates.tolist(), self.losses[row, :, column], strict=True))

    def finals(self) -> dict[str, dict[float, np.ndarray]]:
        """Optimizer to learning rate to the final losses of all seeds, for `viz.learning_rate_spread`."""
        rates = self.learning_rates.tolist()
        return {
            name: dict(zip(rates, losses, strict=True))
            for name, losses in zip(self.optimizers, self.final_losses, strict=True)
        }


def _place(name: str, setting: Any, settings: Sequence[Any]) -> int:
    if setting is None:
        return 0
    if setting not in settings:
        raise ValueError(f"curves: {name}={setting!r:.80} is not in this sweep, only {list(settings)!r:.200}")
    return settings.index(setting)


def sweep(
    model: Module | MakeModel,
    data: Data,
    loss: Loss,
    *,
    learning_rates: Iterable[float],
    seeds: Iterable[int] = (0,),
    optimizers: Mapping[str, MakeOptimizer] | Iterable[type[Optimizer]] = (SGD,),
    epochs: int,
    batch_size: int | None = None,
    shuffle: bool = True,
    lanes: bool = True,
    executor: Executor | None = None,
    progress: bool = False,
) -> Sweep:
    """Train a network with each combination of optimizer, learning rate and seed, and tell all losses.

    A run equals `nn.fit` with the same seed, and to the bit it is the same whatever else is in the sweep. Divergence is
    a result here, and nobody is warned of it.

    Small networks of the fast engine are trained beside each other, 16 runs at once, where the loss is the mean over
    the losses of its samples (see `nn.lanes`). They equal `fit` up to rounding, which may grow from step to step where
    training is at the edge of stability. Models on a GPU are trained there by `fit`, one after the other, for such
    lanes are the CPU's.

    model: what is made anew for each run, from the seed: a model of layers of `nn`, of which only the structure and the
        device count; or, where you have modules of your own or weights to begin with, a function of the seed that
        returns a model.
    data, loss, epochs, batch_size, shuffle: as in `nn.fit`.
    learning_rates: numbers above 0, each once.
    seeds: whole numbers, each once; a seed sets the first weights and the shuffling. (0,) unless given.
    optimizers: classes such as `[nn.SGD, nn.Adam]`; or functions of parameters and learning rate by names of your own,
        such as {"momentum": functools.partial(nn.SGD, momentum=0.9)}. `nn.SGD` unless given.
    lanes: False trains every run by `fit`, which it then equals bit for bit. True unless given.
    executor: whose workers train, such as `concurrent.futures.ProcessPoolExecutor()`, or Dask's `client.get_executor()`
        for several machines; see `nn.executors.compute` for what happens when one dies. Each worker keeps to one
        thread; with networks so large that all cores work on one step, that may change the last digits. The data travel
        with every run. Without an executor the runs are trained here, one after the other.
    progress: whether a bar shows how many runs are done.

    Ctrl-C ends the sweep with KeyboardInterrupt.
    """
    rates, numbers = _check_rates(learning_rates), _check_seeds(seeds)
    makers, make = _check_optimizers(optimizers), _maker(model)
    first = _check_first(make, numbers[0], loss, makers, rates[0])
    x, y = prepare("data", data, first)
    size, count = check_batch_size(batch_size, len(x)), check_count("epochs", epochs)
    if executor is not None:
        check_pickles("sweep", executor, {"model": make, "loss": loss, **makers})
    training = _Training(make, (x, y), loss, count, size, shuffle)
    tried = [[maker(first.parameters(), rate) for rate in rates] for maker in makers.values()]
    alike = lanes and all(move_alike(made, first) for made in tried)
    beside = find_lanes(first, x, y, loss, size) if alike else None
    runs = [_Settings(maker, rate, seed) for maker, seed, rate in product(makers.values(), numbers, rates)]
    groups = _groups(training, runs, beside is not None, _TOGETHER if executor is None else 16)
    # Graphs do not travel well: the workers of an executor make their own.
    train = partial(_train_runs, lanes=beside if executor is None else None)
    trained = _train_all(train, groups, executor, first_parameter(first).engine, progress)
    losses = trained.reshape(len(makers), len(numbers), len(rates), training.steps).swapaxes(1, 2)
    bad = ~np.isfinite(losses)
    diverged_at = np.where(bad.any(axis=-1), bad.argmax(axis=-1), -1)
    final_losses = np.apply_along_axis(final_loss, -1, losses)
    return Sweep(losses, diverged_at, final_losses, tuple(makers), np.array(rates), np.array(numbers))


# ----------------------------------------------------------------------------------------------------------------------
# Training.


#: So many runs are trained in one call: enough for all cores, few enough for a bar to move.
_TOGETHER = 256


class _Settings(NamedTuple):
    """What distinguishes a run from the others."""

    optimizer: MakeOptimizer
    lr: float
    seed: int


@dataclass(frozen=True)
class _Training:
    """What all runs share."""

    model: MakeModel
    data: Data
    loss: Loss
    epochs: int
    batch_size: int
    shuffle: bool

    @property
    def by_seed(self) -> bool:
        """Whether the seed decides which samples make a batch."""
        return self.shuffle and self.batch_size < len(self.data[0])

    def alike(self, a: _Settings, b: _Settings) -> bool:
        """Whether two runs can be trained beside each other."""
        return a.optimizer is b.optimizer and (a.seed == b.seed or not self.by_seed)

    @property
    def steps(self) -> int:
        return self.epochs * math.ceil(len(self.data[0]) / self.batch_size)


class _Group(NamedTuple):
    """Runs that are trained together: the task of a worker."""

    training: _Training
    runs: list[_Settings]
    beside: bool


def _groups(training: _Training, runs: Sequence[_Settings], beside: bool, largest: int) -> list[_Group]:
    """Which runs are trained together, in their order: each by itself, or `largest` at most beside each other.

    Runs beside each other have one optimizer, its learning rate aside, and see the same samples at the same time: all
    samples, or batches in the order of one seed.
    """
    if not beside:
        return [_Group(training, [run], False) for run in runs]
    found = [_Group(training, [], True)]
    for run in runs:
        before = found[-1].runs
        if before and (len(before) == largest or not training.alike(before[0], run)):
            found.append(_Group(training, [], True))
        found[-1].runs.append(run)
    return found


def _train_all(
    train: Callable[[_Group], np.ndarray],
    groups: Sequence[_Group],
    executor: Executor | None,
    engine: Engine,
    progress: bool,
) -> np.ndarray:
    """The losses (runs, steps) of all groups, one group after the other."""
    losses: dict[int, np.ndarray] = {}
    runs = sum(len(group.runs) for group in groups)
    with (
        closing(compute(train, groups, executor, engine)) as results,
        tqdm(total=runs, desc="sweep", unit="run", disable=not progress) as bar,
    ):
        for number, trained in results:
            losses[number] = trained
            bar.update(len(trained))
    return np.concatenate([losses[number] for number in range(len(groups))])


def _train_runs(group: _Group, lanes: Lanes | None) -> np.ndarray:
    """The losses (runs, steps) of a group, nan after a divergence: in lanes, or by `fit`, one run after the other.

    lanes: those of the first run of all, if somebody has them already.
    """
    if group.beside:
        models = {seed: group.training.model(seed) for seed in {run.seed for run in group.runs}}
        some = models[group.runs[0].seed]
        if lanes is None or not lanes.suits([some]):
            lanes = Lanes(some, *group.training.data, group.training.loss)
        if lanes.suits(models.values()):
            return _train_beside(group, models, lanes)
    losses = np.full((len(group.runs), group.training.steps), math.nan)
    for row, run in zip(losses, group.runs, strict=True):
        curve = _train(group.training, run)
        row[: len(curve)] = curve
    return losses


def _train_beside(group: _Group, models: Mapping[int, Module], lanes: Lanes) -> np.ndarray:
    """In lanes, each run with the model of its seed."""
    training, first = group.training, group.runs[0]
    seed = first.seed if training.by_seed else None
    order = step_order(len(training.data[0]), training.batch_size, training.epochs, seed)
    parameters = models[first.seed].parameters()
    optimizers = {lr: first.optimizer(parameters, lr) for lr in {run.lr for run in group.runs}}
    return lanes.train([models[run.seed] for run in group.runs], [optimizers[run.lr] for run in group.runs], order)


def _train(training: _Training, run: _Settings) -> list[float]:
    model, silence = training.model(run.seed), _Silence()
    history = fit(
        *(model, training.data, training.loss, run.optimizer(model.parameters(), run.lr)),
        *(training.epochs, training.batch_size),
        callbacks=[silence],
        shuffle=training.shuffle,
        seed=run.seed,
    )
    if len(history.loss) < training.epochs and not silence.diverged:  # Ctrl-C ends `fit` without an error
        raise KeyboardInterrupt(history.stopped)
    return history.step_loss


class _Silence(Callback):
    """Keeps a divergence from `fit`, which would warn of it; no filter of warnings holds for one thread alone."""

    diverged = False

    def on_train_end(self, run: Run) -> None:
        self.diverged, run.history.diverged_at = run.history.diverged_at is not None, None


# ----------------------------------------------------------------------------------------------------------------------
# Checks.


def _maker(model: Any) -> MakeModel:
    """The function that makes a model from a seed, for a model or for such a function."""
    if not isinstance(model, Module):
        if callable(model) and not (isinstance(model, type) and issubclass(model, Module)):
            return model
        raise TypeError(f"sweep: model={model!r:.80}; give a model such as nn.MLP(...), or a function seed -> model")
    advice = "give a function that makes the model from a seed: sweep(lambda seed: ..., data, ...)"
    check_layers("sweep", model, advice)
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    if frozen:
        raise ValueError(f"sweep: {frozen[0]} is frozen, which models that are made anew would not be; {advice}")
    parameter = first_parameter(model)
    return partial(_made_anew, describe(model), parameter.engine.__name__, parameter.device)


def _made_anew(description: dict[str, Any], engine: str, device: str, seed: int) -> Module:
    return rebuild(description, import_module(engine), generator(seed)).to(device)


def _check_first(make: MakeModel, seed: int, loss: Any, makers: Mapping[str, MakeOptimizer], lr: float) -> Module:
    """The model of a first run, once it is sure that it can be trained with every optimizer."""
    model = make(seed)
    if not isinstance(model, Module):
        raise TypeError(f"sweep: model({seed}) gave {model!r:.80}; give a function that returns an nn.Module")
    for name, maker in makers.items():
        check_training(f"sweep: {name}", model, loss, maker(model.parameters(), lr), [])
    return model


def _check_rates(rates: Any) -> list[float]:
    for rate in (found := _listed("learning_rates", rates)):
        check_positive("sweep: learning_rates", lr=rate)
    return _check_unique("learning_rates", [float(rate) for rate in found])


def _check_seeds(seeds: Any) -> list[int]:
    for seed in (found := _listed("seeds", seeds)):
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"sweep: seeds hold {seed!r:.80}; give whole numbers of 0 or more, such as range(5)")
    return _check_unique("seeds", [int(seed) for seed in found])


def _check_optimizers(optimizers: Any) -> dict[str, MakeOptimizer]:
    found = _listed("optimizers", optimizers)
    named = isinstance(optimizers, Mapping)
    makers = list(optimizers.values()) if named else found
    names = found if named else [getattr(maker, "__name__", None) for maker in makers]
    for name, maker in zip(names, makers, strict=True):
        if not isinstance(name, str) or not callable(maker):
            raise TypeError(
                f"sweep: optimizers hold {maker!r:.80}, which has no name or is no function; give classes, as in "
                '[nn.SGD, nn.Adam], or functions by name, as in {"momentum": functools.partial(nn.SGD, momentum=0.9)}'
            )
    return dict(zip(_check_unique("optimizers", names), makers, strict=True))


def _listed(name: str, settings: Any) -> list[Any]:
    """The settings along an axis, of which there is at least one."""
    if isinstance(settings, str) or not isinstance(settings, Iterable):
        raise TypeError(f"sweep: {name}={settings!r:.80} is no list; give one, such as [{settings!r:.80}]")
    found = list(settings)
    if not found:
        raise ValueError(f"sweep: {name}={settings!r:.80} is empty; give at least one")
    return found


def _check_unique(name: str, settings: list[Any]) -> list[Any]:
    if len(set(settings)) < len(settings):
        raise ValueError(f"sweep: {name}={settings!r:.80} holds one of them twice; give each once")
    return settings
