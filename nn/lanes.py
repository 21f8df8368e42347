"""Runs beside each other: the graph of one sample's loss, compiled, with a whole training in each lane.

What a sweep gains by it: a small network costs `fit` mostly Python's work for every operation of every step, while a
tape has no Python in it, and computes 16 runs at once. What it needs: the loss of a batch is the mean over the losses
of its samples, each of which is one and the same graph. That is tried out here, not believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nn import losses
from nn.architecture import check_layers, describe, rebuild
from nn.data import batches, generator
from nn.dropout import Dropout
from nn.engine import Tensor
from nn.modules import Module, first_parameter
from nn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

#: Operations of all samples of a batch up to which a run in a lane takes less time than its share of a step of `fit`.
SMALL = 1 << 17

#: Means over samples.
_PER_SAMPLE: tuple[Callable[..., Tensor], ...] = (
    losses.mse_loss,
    losses.l1_loss,
    losses.huber_loss,
    losses.hinge_loss,
    losses.binary_cross_entropy,
)
_PER_SAMPLE += (losses.binary_cross_entropy_with_logits, losses.cross_entropy, losses.nll_loss)


class Lanes:
    """The tapes of a network's loss, one for each kind of samples: for each class, where targets are classes.

    kinds (N,): which tape each sample has; x (N, inputs): its numbers.
    """

    def __init__(self, model: Module, x: np.ndarray, y: np.ndarray, loss: Callable[..., Tensor]) -> None:
        self.engine, self._layers = first_parameter(model).engine, str(describe(model))
        self.classes = y.dtype.kind in "iu"
        labels, kinds = np.unique(y, return_inverse=True) if self.classes else (np.zeros(1), np.zeros(len(x), np.int64))
        self.kinds: np.ndarray = kinds
        rows = x.reshape(len(x), -1)
        self.x = rows if self.classes else np.concatenate([rows, y.reshape(len(y), -1)], axis=1)
        dtype = first_parameter(model).dtype
        self.tapes = []
        for kind in range(len(labels)):
            samples = np.flatnonzero(self.kinds == kind)
            graphs = [self._graph(model, x[[s]], y[[s]], loss, seed) for seed, s in enumerate(samples[[0, -1]])]
            self.tapes.append(self.engine.compile(*graphs[0], dtype=dtype))
            self.tapes[-1].check(*graphs[1])  # the graph is another one where it depends on numbers

    def _graph(
        self, model: Module, x: np.ndarray, y: np.ndarray, loss: Callable[..., Tensor], seed: int
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The loss of one sample as a graph of scalars, with its inputs and its parameters."""
        scalars = self.engine.scalars
        copy = rebuild(describe(model), scalars, generator(seed))
        sample, target = scalars.tensor(x), scalars.as_tensor(y)
        inputs = [sample] if self.classes else [sample, target]
        return loss(copy(sample), target), inputs, copy.parameters()

    def suits(self, models: Iterable[Module]) -> bool:
        """Whether all these models have the layers of the one whose loss this is."""
        return {str(describe(model)) for model in models} == {self._layers}

    @property
    def work(self) -> int:
        """The operations of all samples together."""
        each = np.array([tape.work for tape in self.tapes])
        return int(each[self.kinds].sum())

    def loss(self, model: Module) -> float:
        """The mean over all samples of the loss of a model."""
        numbers = flat_parameters(model)
        values = [tape.forward(self.x[self.kinds == kind], parameters=numbers) for kind, tape in enumerate(self.tapes)]
        return float(np.concatenate(values).mean(dtype=np.float64))

    def train(self, models: Sequence[Module], optimizers: Sequence[Optimizer], order: np.ndarray) -> np.ndarray:
        """The losses (runs, steps) of models, each with an optimizer, which `move_alike`; order: see `step_order`."""
        flat = {model: flat_parameters(model) for model in set(models)}
        numbers = np.stack([flat[model] for model in models])
        rates = np.array([optimizer.lr for optimizer in optimizers])
        return self.engine.train_runs(self.tapes, self.kinds, self.x, order, numbers, rates, optimizers[0])[0]


def move_alike(optimizers: Sequence[Optimizer], model: Module) -> bool:
    """Whether optimizers are those of `nn` for all parameters of a model, and differ in the learning rate alone."""
    first, places = optimizers[0], [id(parameter) for parameter in model.parameters()]
    return type(first) in (SGD, Adam, AdamW, RMSprop, Adagrad) and all(
        type(one) is type(first) and one.settings == first.settings and [id(p) for p in one.parameters] == places
        for one in optimizers
    )


def find_lanes(model: Module, x: np.ndarray, y: np.ndarray, loss: Callable[..., Tensor], batch: int) -> Lanes | None:
    """The lanes of `model`'s loss, if trainings can be lanes and had better be; if None, they are `fit`'s.

    They cannot, where the engine has no tapes, where the model is on a GPU, where samples are not numbers or a batch
    counts as a whole (dropout, batch norm, a loss of one's own), where parameters are frozen, and where the graph
    depends on numbers (`MaxPool2d`).
    """
    engine, tensors = first_parameter(model).engine, list(model.state_dict())
    random = any(isinstance(module, Dropout) for module in model.modules())
    trained = all(parameter.requires_grad for parameter in model.parameters())
    plain = len(tensors) == len(model.parameters()) and trained and not random and loss in _PER_SAMPLE
    products = sum(math.prod(parameter.shape) for parameter in model.parameters())
    here = first_parameter(model).device == "cpu"
    if not (hasattr(engine, "scalars") and here and plain and x.dtype.kind == "f" and batch * products <= SMALL):
        return None
    try:
        check_layers("sweep", model, "")
        found = Lanes(model, x, y, loss)
    except (TypeError, ValueError):
        return None
    with engine.no_grad():
        whole = loss(model(engine.as_tensor(x)), engine.as_tensor(y)).item()
    small = found.work * batch <= SMALL * len(x)
    return found if small and math.isclose(found.loss(model), whole, rel_tol=1e-4) else None


def flat_parameters(model: Module) -> np.ndarray:
    """All parameters of a model, one after the other (parameters,)."""
    return np.concatenate([np.asarray(parameter).ravel() for parameter in model.parameters()])


def step_order(samples: int, batch: int, epochs: int, seed: int | None) -> np.ndarray:
    """The samples of each step as `fit` takes them (steps, batch), with -1 where a batch is smaller.

    seed: of the shuffling; None leaves the samples in their order.
    """
    random = None if seed is None else generator(seed)
    rows = [row for _ in range(epochs) for row in batches(samples, batch, random)]
    order = np.full((len(rows), batch), -1)
    for line, row in zip(order, rows, strict=True):
        line[: len(row)] = row
    return order
