"""`fit(..., compile=True)`: steps that the engine has recorded once, and runs without Python, many in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from nn.callbacks import Callback
from nn.dropout import Dropout
from nn.engine import Tensor
from nn.history import Run
from nn.modules import first_parameter

#: So long may a call take, in seconds: Ctrl-C waits for its end.
PATIENCE = 0.1
#: So many steps a call has at most, for their losses and rows need memory.
MOST = 4096

#: The rows of a step's batch, its loss, and whether it is the last step of a call.
Done = tuple[np.ndarray, float, bool]
#: Batches of row numbers in; the same, each with its samples, out. See `nn.data.feed`.
Feed = Callable[..., Generator[tuple[np.ndarray, np.ndarray], None, None]]


class CompiledSteps:
    """The steps of a training run, compiled.

    samples: arrays with a row for each sample; goal: of which `loss` and `penalty` are what becomes small.
    """

    def __init__(self, run: Run, samples: Sequence[np.ndarray], goal: Any) -> None:
        engine = first_parameter(run.model).engine
        if not hasattr(engine, "compile_step"):
            raise ValueError(
                f"fit: compile=True needs the engine `fast`, and the model is one of {engine.__name__}; leave it "
                "out, or make the model with engine=fast"
            )
        self.run, self.samples, self.loss = run, samples, goal.loss
        self._dropouts = {module: module.calls for module in run.model.modules() if isinstance(module, Dropout)}
        self._growth: dict[Dropout, int] = {}  # of these calls, in a batch
        self._step = engine.compile_step(self._recorded_loss, run.optimizer, penalty=goal.penalty)
        self._pace = PATIENCE  # seconds a step, as far as is known
        self._tables = self._step.prepare(samples)

    def __call__(self, row_batches: Iterable[np.ndarray], fed: Feed) -> Generator[Done, None, None]:
        """The steps of these batches, until a loss is no finite number."""
        if self.run.settings["augment"] is not None:
            with closing(fed(row_batches)) as prepared:
                for rows, x in prepared:
                    yield rows, self._one([x, *[array[rows] for array in self.samples[1:]]]), True
        elif any(_looks_on(callback) for callback in self.run.callbacks):
            for rows in row_batches:
                yield rows, self._one([array[rows] for array in self.samples]), True
        else:
            yield from self._many(row_batches)

    def _one(self, batch: Sequence[np.ndarray]) -> float:
        """A step with callbacks between backward and update."""
        size = self.run.settings["batch_size"]
        error = self._step.gradients(*batch, batch_size=size)
        self._count(-(-len(batch[0]) // size))
        if np.isfinite(error):
            for callback in self.run.callbacks:
                callback.on_backward_end(self.run)
            self.run.optimizer.step()
        return error

    def _many(self, row_batches: Iterable[np.ndarray]) -> Iterator[Done]:
        remaining, size = iter(row_batches), min(len(self.samples[0]), self.run.settings["batch_size"])
        batches = min(-(-len(self.samples[0]) // size), self.run.settings["accumulate"])
        while part := list(islice(remaining, int(np.clip(PATIENCE / self._pace, 1, MOST)))):
            order = np.full((len(part), batches * size), -1)
            for line, rows in zip(order, part, strict=True):
                line[: len(rows)] = rows
            started = time.perf_counter()
            losses = self._step.run(self._tables, order.reshape(len(part), batches, size)).tolist()
            self._count(sum(-(-len(rows) // size) for rows in part[: len(losses)]))
            self._pace = (time.perf_counter() - started) / len(losses)
            for number, (rows, error) in enumerate(zip(part, losses, strict=False), start=1):
                yield rows, error, number == len(losses)

    def _recorded_loss(self, x: Tensor, *wanted: Tensor) -> Tensor:
        """The loss, computed to be recorded, which is no call of a dropout: the numbers of its calls are taken back.

        It begins anew from the calls of the beginning, from which the engine counts its steps.
        """
        before = {module: module.calls for module in self._dropouts}
        for module, calls in self._dropouts.items():
            module.calls = calls
        try:
            return self.loss(self.run.model(x), *wanted)
        finally:
            for module, calls in self._dropouts.items():
                self._growth[module] = module.calls - calls
                module.calls = before[module]

    def _count(self, batches: int) -> None:
        """Let dropouts know of batches that they took no part in."""
        for module, growth in self._growth.items():
            module.calls += batches * growth


def _looks_on(callback: Callback) -> bool:
    """Whether a callback does something between the steps of an epoch."""
    kind = type(callback)
    return kind.on_backward_end is not Callback.on_backward_end or kind.on_step_end is not Callback.on_step_end
