"""What happens inside a network while it trains, as plain arrays by name: outputs and gradients of layers, the size of
updates, snapshots of the weights. `viz` draws them.

>>> import fast, nn
>>> model = nn.MLP([2, 3, 1], "tanh", engine=fast, seed=0)
>>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[-1], [1], [1], [-1]]
>>> recorder = nn.RecordActivations(x, stride=10)
>>> history = nn.fit(model, (x, y), nn.mse_loss, nn.Adam(model.parameters()), epochs=20, callbacks=[recorder])
>>> {epoch: record.outputs["1 Tanh"].shape for epoch, record in recorder.records.items()}
{0: (4, 3), 10: (4, 3), 20: (4, 3)}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nn.arguments import check_error, check_model, for_model
from nn.callbacks import Callback, check_moment
from nn.data import check_count, check_numbers
from nn.engine import Tensor, is_tensor, tensor_beside
from nn.history import Run
from nn.modules import Module, Sequential, first_parameter
from nn.restoring import restored
from nn.training import Loss, predict

Arrays = dict[str, np.ndarray]


class LayerRecord(NamedTuple):
    """What one pass through a network left behind, as arrays by name.

    outputs: of each layer, in the order of the calls: `"0 Linear"`, `"1 Tanh"`. A layer that is called again within
        the pass has a second entry, `"1 Tanh (2)"`; of a recurrent layer it is the outputs, without the state.
    gradients: of the loss with respect to those outputs, by the same names.
    parameter_gradients: of the loss with respect to the parameters, by their names: `"0.weight"`.

    What the loss does not depend on has no gradient on `fast`, and on `micro` one of zeros.
    """

    outputs: Arrays
    gradients: Arrays
    parameter_gradients: Arrays


def record_activations(model: Module, x: Any, y: Any = None, loss: Loss | None = None) -> LayerRecord:
    """The output of every layer for samples x, and with targets y and a loss, their gradients too.

    The model computes in training or in evaluation, as it is, which decides what dropout and batch normalisation do.
    Afterwards it is what it was before, to the last bit: gradients, running means and all.

    x: samples (N, ...).
    y, loss: targets (N, ...) and a function of prediction and target, such as `nn.mse_loss`; both or neither. Without
        them there are no gradients.

    A Sequential is no layer of its own: its output is that of its last one.
    """
    check_model("record_activations", model)
    _check_both("record_activations", y, loss)
    first, called = first_parameter(model), dict[str, Tensor]()
    numbers = for_model(check_numbers("record_activations: x", x), model)
    inputs = tensor_beside(first, numbers.copy())
    inputs.requires_grad = numbers.dtype.kind == "f"  # so that all layers have a gradient
    gradients: Arrays = {}
    parameter_gradients: Arrays = {}
    with restored(model), np.errstate(over="ignore", invalid="ignore"):
        model.zero_grad()
        for name, module in _layers(model):
            vars(module)["forward"] = partial(_remembering, called, name, module.forward)
        prediction = model(inputs)
        if loss is not None:
            error = loss(prediction, tensor_beside(first, for_model(check_numbers("record_activations: y", y), model)))
            check_error("record_activations", error)
            error.backward()
            gradients = _arrays({name: output.grad for name, output in called.items()})
            parameter_gradients = _arrays({name: p.grad for name, p in model.named_parameters()})
    return LayerRecord(_arrays(called), gradients, parameter_gradients)


def _arrays(tensors: Mapping[str, Tensor | None]) -> Arrays:
    """Copies of those that there are."""
    return {name: np.array(tensor.cpu()) for name, tensor in tensors.items() if tensor is not None}


def _check_both(name: str, y: Any, loss: Any) -> None:
    """Targets and a loss, or neither of them."""
    if (y is None) != (loss is None):
        raise ValueError(f"{name}: gradients need targets and a loss; give both y and loss, or neither")
    if loss is not None and not callable(loss):
        raise TypeError(f"{name}: loss={loss!r:.80} is not a function; give one, such as nn.mse_loss")


def _remembering(called: dict[str, Tensor], name: str, forward: Callable[..., Any], *inputs: Any, **more: Any) -> Any:
    """`forward`, whose output is kept under `name`."""
    result = forward(*inputs, **more)
    output = result[0] if isinstance(result, tuple) else result
    if is_tensor(output):
        output.retain_grad()
        times = sum(key.partition(" (")[0] == name for key in called) + 1
        called[name if times == 1 else f"{name} ({times})"] = output
    return result


def _layers(model: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Every module inside that computes something of its own, with its name, the innermost first."""
    for name, module in model._modules.items():
        yield from _layers(module, f"{prefix}{name}.")
    if not isinstance(model, Sequential):
        yield f"{prefix[:-1]} {type(model).__name__}".strip(), model


class RecordActivations(Callback):
    """`nn.record_activations` of the same samples again and again while a model trains, which goes on as if nobody
    had looked.

    x: samples (N, ...). Each record keeps every number that the layers give for them, so let them be few.
    y, loss: targets (N, ...) and a function of prediction and target, for gradients; both or neither.
    every: "epoch" unless given, or "step", which makes the numbers those of steps.
    stride: 1 records each time, 10 after every tenth.
    records: the `LayerRecord` before training under 0, and then under the number of the epoch after which it was made.

    The model computes as in training, so dropout drops, and batch normalisation takes the mean and spread of x.
    `viz.layer_quantiles` draws what became of a layer; `nn.Snapshots` keeps the weights.
    """

    def __init__(
        self, x: Any, y: Any = None, loss: Loss | None = None, *, every: str = "epoch", stride: int = 1
    ) -> None:
        _check_both("RecordActivations", y, loss)
        self.x, self.y, self.loss = check_numbers("RecordActivations: x", x), y, loss
        self.every = check_moment("RecordActivations: every", every)
        self.stride = check_count("RecordActivations: stride", stride)
        self.records: dict[int, LayerRecord] = {}

    def on_train_begin(self, run: Run) -> None:
        if not run.history.step_loss:  # a run that is resumed goes on
            self.records = {}
            self._record(run, 0)

    def on_step_end(self, run: Run) -> None:
        if self.every == "step":
            self._record(run, len(run.history.step_loss))

    def on_epoch_end(self, run: Run) -> None:
        if self.every == "epoch":
            self._record(run, len(run.history.loss))

    def _record(self, run: Run, number: int) -> None:
        if number % self.stride == 0:
            with restored(run.model):
                self.records[number] = record_activations(run.model.train(), self.x, self.y, self.loss)


class UpdateRatios(Callback):
    """How large each update is, compared with the weights: std(update) / std(weights), in every step.

    ratios: for each parameter with two dimensions or more, by name, a list with a ratio for each step; nan where all
        weights are alike. Biases, and the weights of normalisations, begin constant, so nothing can be compared.

    About 1e-3 is a usual size: far less, and the layer hardly learns; far more, and the learning rate may be too high.
    Source: Karpathy, "Neural networks: zero to hero", part 4 of makemore; CS231n, "Ratio of weights:updates".
    """

    def __init__(self) -> None:
        self.ratios: dict[str, list[float]] = {}
        self._before: Arrays = {}

    def on_backward_end(self, run: Run) -> None:
        self._before = self._matrices(run.model)

    @np.errstate(over="ignore", invalid="ignore")
    def on_step_end(self, run: Run) -> None:
        for name, after in self._matrices(run.model).items():
            before = self._before[name]
            spread = float(before.std())
            ratio = float((after - before).std()) / spread if spread else float("nan")
            self.ratios.setdefault(name, []).append(ratio)

    def _matrices(self, model: Module) -> Arrays:
        return {name: np.array(p.cpu(), dtype=float) for name, p in model.named_parameters() if len(p.shape) > 1}


class Snapshots(Callback):
    """Copies of a model's parameters and buffers while it trains.

    states: the `state_dict` before training under 0, and then under the number of the epoch after which it was taken.
    every: "epoch" unless given, or "step", which makes the numbers those of steps.
    stride: 1 takes one each time, 10 after every tenth.
    """

    def __init__(self, every: str = "epoch", stride: int = 1) -> None:
        self.every = check_moment("Snapshots: every", every)
        self.stride = check_count("Snapshots: stride", stride)
        self.states: dict[int, Arrays] = {}

    def on_train_begin(self, run: Run) -> None:
        self.states = {0: run.model.state_dict()}

    def on_step_end(self, run: Run) -> None:
        if self.every == "step":
            self._take(run, len(run.history.step_loss))

    def on_epoch_end(self, run: Run) -> None:
        if self.every == "epoch":
            self._take(run, len(run.history.loss))

    def _take(self, run: Run, number: int) -> None:
        if number % self.stride == 0:
            self.states[number] = run.model.state_dict()


def predictors(model: Module, states: Mapping[Any, Mapping[str, Any]]) -> dict[Any, Callable[[Any], np.ndarray]]:
    """For each snapshot, by the same key, `nn.predict` of a copy of `model` with its weights.

    states: what `Snapshots` recorded, or any `state_dict`s by name. The model itself stays as it is.
    """
    check_model("predictors", model)
    found: dict[Any, Callable[[Any], np.ndarray]] = {}
    for key, state in states.items():
        copy = deepcopy(model)
        copy.load_state_dict(state)
        found[key] = partial(predict, copy)
    return found
