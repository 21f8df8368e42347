"""Recurrent cells, which read one step of a sequence and remember, and layers, which read all of it.

x (N, in) is one step of N sequences, or x (N, L, in) all L steps; the states are (N, H). The weights are PyTorch's:
weight_ih for the input and weight_hh for the state, the rows of all gates one below another. A layer is a single node
of the graph, and a cell is a layer with a single step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fast import placement, threads
from fast.kernels import recurrent as kernels
from fast.tensors import Gradients, Rule, Tensor, one_dtype, record
from micro import checks


def rnn_cell(
    x: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
) -> Tensor:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it (Elman 1990): the hidden state after a step, (N, H)."""
    return _rnn("rnn_cell", x, hidden, [weight_ih, weight_hh], [bias_ih, bias_hh], nonlinearity)[:, 0]


def lstm_cell(
    x: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The hidden and the cell state after a step, (N, H) each (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    Four gates, from W_ih x + b_ih + W_hh h + b_hh: i lets new things in, f forgets old ones, g is what is new, o what
    is told of it.

        c' = f * c + i * g    h' = o * tanh(c')    where i, f, o = sigmoid(...), g = tanh(...)
    """
    states = _sequence("lstm_cell", kernels.LSTM, x, [hidden, cell], [weight_ih, weight_hh], [bias_ih, bias_hh])
    return states[:, 0], states[:, 1]


def gru_cell(
    x: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> Tensor:
    """The hidden state after a step, (N, H) (Cho et al. 2014).

    r resets, z keeps, n is what is new. As in PyTorch, r acts behind the product with W_hn, not before it.

        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))    h' = (1 - z) * n + z * h    where r, z = sigmoid(...)
    """
    return _sequence("gru_cell", kernels.GRU, x, [hidden], [weight_ih, weight_hh], [bias_ih, bias_hh])[:, 0]


def rnn(
    x: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
) -> Tensor:
    """`rnn_cell` for each step of x (N, L, in), from the state `hidden` on; the states after every step, (N, L, H)."""
    return _rnn("rnn", x, hidden, [weight_ih, weight_hh], [bias_ih, bias_hh], nonlinearity)


def lstm(
    x: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`lstm_cell` for each step of x (N, L, in), from the states `hidden` and `cell` on.

    Returns the hidden states after every step, (N, L, H), and the cell state after the last, (N, H). Both are parts of
    one tensor (N, L + 1, H), the node of the graph.
    """
    states = _sequence("lstm", kernels.LSTM, x, [hidden, cell], [weight_ih, weight_hh], [bias_ih, bias_hh])
    return states[:, :-1], states[:, -1]


def gru(
    x: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> Tensor:
    """`gru_cell` for each step of x (N, L, in), from the state `hidden` on; the states after every step, (N, L, H)."""
    return _sequence("gru", kernels.GRU, x, [hidden], [weight_ih, weight_hh], [bias_ih, bias_hh])


def _rnn(
    name: str, x: Tensor, hidden: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], nonlinearity: str
) -> Tensor:
    checks.nonlinearity(name, nonlinearity)
    return _sequence(name, kernels.TANH if nonlinearity == "tanh" else kernels.RELU, x, [hidden], weights, biases)


#: For each kind of cell: PyTorch's gates, the sums that the kernels make of them, and the rows that these keep.
_SIZES = {kernels.TANH: (1, 1, 1), kernels.RELU: (1, 1, 1), kernels.LSTM: (4, 4, 6), kernels.GRU: (3, 4, 5)}


def _sequence(
    name: str,
    kind: int,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
) -> Tensor:
    """The hidden states after every step, and behind them, for an LSTM, the last cell state."""
    gates, _, kept_rows = _SIZES[kind]
    checks.recurrent(name, gates, x, states, weights, biases)
    given = dict(zip(_NAMES[len(states)], (x, *states, *weights, *biases), strict=True))
    used = {argument: tensor for argument, tensor in given.items() if tensor is not None}
    names, parents = tuple(used), one_dtype(name, *used.values())
    if placement.used and placement.on_gpu(name, *parents):
        return _launched(name, kind, names, parents)
    arrays = {argument: parent.data for argument, parent in zip(names, parents, strict=True)}
    weight = _join(kind, arrays)
    inputs, hidden, cell = _begin(arrays)
    samples, steps, features = *inputs.shape[:2], hidden.shape[2]
    outputs = np.empty((samples, steps + len(states) - 1, features), weight.dtype)
    kept = np.empty(samples * steps * kept_rows * features, weight.dtype)
    both = kernels.forward, kernels.forward_parallel
    threads.run_product(both, samples * steps * weight.size, kind, inputs, hidden, cell, weight, outputs, kept)
    return record(_RULES[name], outputs, parents, saved=(kind, names, weight, kept))


def _launched(name: str, kind: int, names: tuple[str, ...], parents: tuple[Tensor, ...]) -> Tensor:
    """The same on a GPU, of which the rule needs to know how large the joined weights and what is kept are."""
    given = dict(zip(names, parents, strict=True))
    x, (samples, features), dtype = given["x"], given["hidden"].shape, parents[0].data.dtype
    steps = x.data.size // (samples * x.shape[-1])
    weight = placement.shape_only((_SIZES[kind][1] * features, x.shape[-1] + features + 1), dtype)
    kept = placement.shape_only((samples * steps * _SIZES[kind][2] * features,), dtype)
    shape = samples, steps + ("cell" in given), features
    return placement.eager().launched(_RULES[name], shape, parents, (kind, names, weight, kept))


def _sequence_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    kind, names, weight, kept = node.saved
    parents = dict(zip(names, node.parents, strict=True))
    inputs, hidden, cell = _begin({argument: parent.data for argument, parent in parents.items()})
    samples, steps, width = inputs.shape
    columns = np.empty((samples * steps, weight.shape[1]), weight.dtype)
    grad_sums = np.empty((weight.shape[0], samples * steps), weight.dtype)
    grad_x = np.empty(inputs.shape if parents["x"].requires_grad else (0, 0, 0), weight.dtype)
    grad_hidden, grad_cell = np.empty_like(hidden), np.empty_like(cell)
    learns = any(parents[argument].requires_grad for argument in names if argument in _WEIGHTS)
    grad_weight = np.zeros(weight.shape if learns else (0, 0), weight.dtype)
    given = np.ascontiguousarray(grad), inputs, hidden, cell, np.ascontiguousarray(weight.T), node.data, kept
    wanted = columns, grad_sums, grad_x, grad_hidden, grad_cell, grad_weight
    both = kernels.backward, kernels.backward_parallel
    threads.run_product(both, samples * steps * weight.size, kind, *given, *wanted)
    gradients = {"x": grad_x, "hidden": grad_hidden, "cell": grad_cell}
    if learns:
        gradients |= _split(kind, grad_weight, width)
    return [
        gradients[argument].reshape(parent.shape) if parent.requires_grad else None
        for argument, parent in parents.items()
    ]


def _lower_sequence(recorder: Any, node: Tensor) -> Any:
    kind, names, weight, kept = node.saved
    parents = dict(zip(names, node.parents, strict=True))
    x, hidden = parents["x"], parents["hidden"]
    inputs, features = x.shape[-1], hidden.shape[-1]
    samples, steps = len(hidden.data), x.data.size // (len(hidden.data) * inputs)
    outputs = node.data.size // (samples * features)
    sizes = kind, samples, steps, inputs, features, _SIZES[kind][1], _SIZES[kind][2], outputs
    tables = {name: recorder.whole(places.ravel().tolist()) for name, places in _numbered(kind, weight, inputs).items()}
    joined, work = recorder.new(weight.size), samples * steps * weight.size
    recorder.emit("fill", weight.size, joined, shape=weight.shape, numbers=[0])
    for name in [name for name in _WEIGHTS if name in parents]:
        p, put = parents[name], "put_more" if name == "bias_hh" else "put"
        recorder.emit(put, p.data.size, tables[name], recorder.value(p), joined, shape=p.shape)
    states = recorder.value(hidden), recorder.value(parents.get("cell", hidden))
    y, memory = recorder.new(node.data.size), recorder.new(kept.size)
    arguments = *sizes, recorder.value(x), *states, joined, y, memory
    recorder.emit_product("sequence", *arguments, work=work, shape=node.shape)

    def backward(grad: Any) -> Any:
        targets = {name: recorder.gradient(p) for name, p in parents.items()}
        room = [recorder.new(samples * steps * width) for width in weight.shape[::-1]]
        grad_states = [targets.get(name) or recorder.new(samples * features) for name in ("hidden", "cell")]
        learned = [name for name in _WEIGHTS if targets.get(name) is not None]
        together = recorder.new(weight.size) if learned else None
        wanted = *room, targets["x"], *grad_states, together
        arguments_back = *arguments, grad, *wanted
        recorder.emit_product("sequence_grad", *arguments_back, work=work, flops=4 * work, shape=x.shape)
        for name in learned:
            size, target = parents[name].data.size, targets[name]
            recorder.emit("select", size, tables[name], together, target, shape=parents[name].shape, numbers=[0])
        return [targets[name] for name in names]

    return y, backward


def _numbered(kind: int, weight: np.ndarray, inputs: int) -> dict[str, np.ndarray]:
    """Where the numbers of PyTorch's weights and biases stand in the joined matrix."""
    return _split(kind, np.arange(weight.size).reshape(weight.shape), inputs)


_WEIGHTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
#: The arguments, by how many states the cell has.
_NAMES = {1: ("x", "hidden", *_WEIGHTS), 2: ("x", "hidden", "cell", *_WEIGHTS)}
_RULES = {
    name: Rule(name, _sequence_grad, reads=(0, *range(1, 1 + states), -1), lower=_lower_sequence)
    for states, names in ((1, ("rnn_cell", "gru_cell", "rnn", "gru")), (2, ("lstm_cell", "lstm")))
    for name in names
}


def _begin(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """x (N, L, in) and the states (N, 1, H), as kernels take them; a cell that there is not is never looked at."""
    x, hidden = arrays["x"], arrays["hidden"]
    states = [np.ascontiguousarray(state)[:, np.newaxis] for state in (hidden, arrays.get("cell", hidden))]
    return np.ascontiguousarray(x[:, np.newaxis] if x.ndim == 2 else x), *states


def _join(kind: int, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """[W_ih | W_hh | b_ih + b_hh], what the kernels multiply [x, h, 1] by."""
    weight_ih, weight_hh = arrays["weight_ih"], arrays["weight_hh"]
    inputs, features = weight_ih.shape[1], weight_hh.shape[1]
    from_x, from_h = _rows(kind, features)
    weight = np.zeros((_SIZES[kind][1] * features, inputs + features + 1), weight_ih.dtype)
    weight[from_x, :inputs] = weight_ih
    weight[from_h, inputs:-1] = weight_hh
    weight[from_x, -1] += arrays.get("bias_ih", 0)
    weight[from_h, -1] += arrays.get("bias_hh", 0)
    return weight


def _split(kind: int, grad: np.ndarray, inputs: int) -> dict[str, np.ndarray]:
    """The parts of the gradient of `_join`."""
    from_x, from_h = _rows(kind, grad.shape[1] - inputs - 1)
    parts = grad[from_x, :inputs], grad[from_h, inputs:-1], grad[from_x, -1], grad[from_h, -1]
    return {argument: part.copy() for argument, part in zip(_WEIGHTS, parts, strict=True)}


def _rows(kind: int, features: int) -> tuple[Any, Any]:
    """The rows of the joined matrix to which PyTorch's for x and for h belong: a GRU keeps the two parts of n apart."""
    if kind != kernels.GRU:
        return slice(None), slice(None)
    return slice(3 * features), np.r_[: 2 * features, 3 * features : 4 * features]
