"""Recurrent layers: they read a sequence step by step, and carry a state from each step to the next.

Names, weights, gates and `state_dict` keys are PyTorch's. One default is not: a batch of sequences is (N, L, features),
N samples of L steps, which PyTorch calls `batch_first=True` and has as False.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nn.data import check_count, generator
from nn.engine import Engine, Tensor, check_engine
from nn.modules import Module, Seed


class _Recurrent(Module):
    """What all of them have: a set of weights for each layer, and a state that begins as zeros.

    gates: how many rows of the weights there are for each hidden feature.
    states: of how many tensors the state is made.
    layers: what is added to the names of each layer's weights.
    """

    gates = 1
    states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        layers: Sequence[str],
        engine: Engine,
        seed: Seed,
        dtype: str | None,
    ) -> None:
        super().__init__()
        check_engine(engine)
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            check_count(f"{type(self).__name__}: {name}", size)
        self.input_size, self.hidden_size, self.bias, self.layers = input_size, hidden_size, bias, layers
        random = generator(seed)
        bound, rows = 1 / math.sqrt(hidden_size), self.gates * hidden_size
        for number, layer in enumerate(layers):
            inputs = hidden_size if number else input_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden_size)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                self._begin(name + layer, random.uniform(-bound, bound, shape), engine, dtype)

    @property
    def engine(self) -> Engine:
        """The engine of the weights."""
        return getattr(self, self._parameters[0]).engine

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"

    def weights(self, layer: str) -> dict[str, Any]:
        """The weights and biases of one layer, as the engine's functions take them."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return {name: getattr(self, name + layer) for name in names}

    def begin(self, x: Tensor, state: Any, *lengths: str) -> list[Tensor]:
        """The tensors of the state before the first step, once it is sure that x is (*lengths, input_size)."""
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != len(lengths) + 1 or shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: the input has shape {shape}; it must be a tensor "
                f"({', '.join(lengths)}, {self.input_size}), of N samples, even if there is only one"
            )
        wanted = (shape[0], self.hidden_size) if len(lengths) == 1 else (len(self.layers), shape[0], self.hidden_size)
        if state is None:
            first = getattr(self, self._parameters[0])
            return [self.engine.zeros(wanted, dtype=first.dtype, device=first.device)] * self.states
        tensors = [state] if self.states == 1 else list(state)
        shapes = [getattr(tensor, "shape", None) for tensor in tensors]
        if shapes != [wanted] * self.states:
            parts = "a tensor" if self.states == 1 else "a pair (hidden, cell) of tensors"
            raise ValueError(f"{type(self).__name__}: the state has shape {shapes}; it must be {parts} {wanted}")
        return tensors


def _check_nonlinearity(name: str, nonlinearity: Any) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity={nonlinearity!r} is unknown; use 'tanh' or 'relu'")


# ----------------------------------------------------------------------------------------------------------------------
# Cells: one step.


class RNNCell(_Recurrent):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), for x (N, input_size) and states h (N, hidden_size) (Elman 1990).

    weight_ih (hidden_size, input_size), weight_hh (hidden_size, hidden_size), bias_ih and bias_hh (hidden_size,) begin
    uniform in +-1/sqrt(hidden_size). `cell(x, h)` is the next state; h may be left out and is zero then.

    bias: whether there are the two biases.
    nonlinearity: `"tanh"`, or `"relu"` in its place.
    engine, seed, dtype: see `Linear`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, [""], engine, seed, dtype)
        _check_nonlinearity("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        (hidden,) = self.begin(x, hidden, "N")
        return self.engine.functional.rnn_cell(x, hidden, **self.weights(""), nonlinearity=self.nonlinearity)


class LSTMCell(_Recurrent):
    """A step of long short-term memory (Hochreiter and Schmidhuber 1997); the equations are at `functional.lstm_cell`.

    weight_ih (4 hidden_size, input_size), weight_hh (4 hidden_size, hidden_size), bias_ih and bias_hh (4 hidden_size,)
    hold the gates i, f, g, o one below another, and begin uniform in +-1/sqrt(hidden_size). `cell(x, (h, c))` is the
    pair of the next states, (N, hidden_size) each; without (h, c) these are zero.

    bias: whether there are the two biases.
    engine, seed, dtype: see `Linear`.
    """

    gates = 4
    states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, [""], engine, seed, dtype)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        hidden, cell = self.begin(x, state, "N")
        return self.engine.functional.lstm_cell(x, hidden, cell, **self.weights(""))


class GRUCell(_Recurrent):
    """A step of a gated recurrent unit (Cho et al. 2014); the equations are at `functional.gru_cell`.

    weight_ih (3 hidden_size, input_size), weight_hh (3 hidden_size, hidden_size), bias_ih and bias_hh (3 hidden_size,)
    hold the gates r, z, n one below another, and begin uniform in +-1/sqrt(hidden_size). `cell(x, h)` is the next
    state, (N, hidden_size); h may be left out and is zero then.

    bias: whether there are the two biases.
    engine, seed, dtype: see `Linear`.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, [""], engine, seed, dtype)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        (hidden,) = self.begin(x, hidden, "N")
        return self.engine.functional.gru_cell(x, hidden, **self.weights(""))


# ----------------------------------------------------------------------------------------------------------------------
# Layers: all steps.


class _Layers(_Recurrent):
    """Recurrent layers on top of each other: each reads the hidden states of the one below."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        check_count(f"{type(self).__name__}: num_layers", num_layers)
        layers = [f"_l{number}" for number in range(num_layers)]
        super().__init__(input_size, hidden_size, bias, layers, engine, seed, dtype)
        self.num_layers, self.batch_first = num_layers, batch_first

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", num_layers={self.num_layers}" if self.num_layers > 1 else "")

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if not self.batch_first and x.ndim == 3:
            x = x.transpose(0, 1)
        starts = self.begin(x, state, "N", "L")
        ends = []
        for number, layer in enumerate(self.layers):
            x, *end = self.run(x, [start[number] for start in starts], self.weights(layer))
            ends.append(end)
        last = [self.engine.stack(tensors) for tensors in zip(*ends, strict=True)]
        outputs = x if self.batch_first else x.transpose(0, 1)
        return outputs, last[0] if self.states == 1 else tuple(last)

    def run(self, x: Tensor, state: Sequence[Tensor], weights: dict[str, Any]) -> tuple[Tensor, ...]:
        """One layer: its hidden states (N, L, H) after every step, and the tensors of its state after the last."""
        raise NotImplementedError


class RNN(_Layers):
    """`RNNCell` for every step of a sequence, in `num_layers` layers on top of each other.

    `outputs, h_n = rnn(x)` or `rnn(x, h_0)`: x (N, L, input_size); outputs (N, L, hidden_size), the states of the last
    layer after every step; h_n and h_0 (num_layers, N, hidden_size), the states of all layers after the last step and
    before the first, which are zero if left out.

    The weights of layer k are called weight_ih_lk, weight_hh_lk, bias_ih_lk, bias_hh_lk; see `RNNCell`.

    num_layers: how many layers.
    nonlinearity: `"tanh"` or `"relu"`.
    bias: whether there are biases.
    batch_first: True, unlike PyTorch's default: x and outputs are (N, L, ...). With False they are (L, N, ...).
    engine, seed, dtype: see `Linear`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, engine=engine, seed=seed, dtype=dtype)
        _check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity

    def run(self, x: Tensor, state: Sequence[Tensor], weights: dict[str, Any]) -> tuple[Tensor, ...]:
        outputs = self.engine.functional.rnn(x, state[0], **weights, nonlinearity=self.nonlinearity)
        return outputs, outputs[:, -1]


class LSTM(_Layers):
    """`LSTMCell` for every step of a sequence, in `num_layers` layers on top of each other.

    `outputs, (h_n, c_n) = lstm(x)` or `lstm(x, (h_0, c_0))`: x (N, L, input_size); outputs (N, L, hidden_size), the
    hidden states of the last layer after every step; h_n, c_n, h_0 and c_0 (num_layers, N, hidden_size), the states of
    all layers after the last step and before the first, which are zero if left out.

    The weights of layer k are called weight_ih_lk, weight_hh_lk, bias_ih_lk, bias_hh_lk; see `LSTMCell`.

    num_layers: how many layers.
    bias: whether there are biases.
    batch_first: True, unlike PyTorch's default: x and outputs are (N, L, ...). With False they are (L, N, ...).
    engine, seed, dtype: see `Linear`.
    """

    gates = 4
    states = 2

    def run(self, x: Tensor, state: Sequence[Tensor], weights: dict[str, Any]) -> tuple[Tensor, ...]:
        outputs, cell = self.engine.functional.lstm(x, *state, **weights)
        return outputs, outputs[:, -1], cell


class GRU(_Layers):
    """`GRUCell` for every step of a sequence, in `num_layers` layers on top of each other.

    `outputs, h_n = gru(x)` or `gru(x, h_0)`: x (N, L, input_size); outputs (N, L, hidden_size), the states of the last
    layer after every step; h_n and h_0 (num_layers, N, hidden_size), the states of all layers after the last step and
    before the first, which are zero if left out.

    The weights of layer k are called weight_ih_lk, weight_hh_lk, bias_ih_lk, bias_hh_lk; see `GRUCell`.

    num_layers: how many layers.
    bias: whether there are biases.
    batch_first: True, unlike PyTorch's default: x and outputs are (N, L, ...). With False they are (L, N, ...).
    engine, seed, dtype: see `Linear`.
    """

    gates = 3

    def run(self, x: Tensor, state: Sequence[Tensor], weights: dict[str, Any]) -> tuple[Tensor, ...]:
        outputs = self.engine.functional.gru(x, *state, **weights)
        return outputs, outputs[:, -1]


class LastStep(Module):
    """(outputs, state), as recurrent layers return it, to outputs[:, -1]: what is known after the last step, (N, H).

    For `Sequential`: `Sequential(LSTM(...), LastStep(), Linear(...))` classifies sequences.
    """

    def forward(self, outputs: tuple[Tensor, Any]) -> Tensor:
        return outputs[0][:, -1]
