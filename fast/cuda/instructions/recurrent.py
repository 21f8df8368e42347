"""Recurrent layers, step by step: a product makes the sums of all gates, and a kernel does all else with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu
from fast.cuda.instructions.products import multiply
from fast.kernels.recurrent import GRU, LSTM, TANH

#: What is kept of a step, in matrices with so many numbers for each feature: see `fast/kernels/recurrent.py`.
_KEPT = {LSTM: (4, 1, 1), GRU: (4, 1)}


def sequence(
    gpu: Gpu,
    kind: int,
    samples: int,
    steps: int,
    inputs: int,
    features: int,
    gates: int,
    rows: int,
    outputs: int,
    x: Any,
    hidden: Any,
    cell: Any,
    weight: Any,
    y: Any,
    kept: Any,
    numbers: Any = (),
) -> None:
    """y = the states after every step, and behind them, for an LSTM, the last cell state.

    x (samples, steps, inputs), hidden and cell (samples, features), weight (gates * features, inputs + features + 1);
    y (samples, outputs, features); of a step so many rows of features are kept for each sample.
    """
    size, sums = samples * features, gpu.new(1, samples, gates * features)
    given, results = gpu.array(x, samples, steps, inputs), gpu.array(y, samples, outputs, features)
    first, factors = gpu.array(hidden, samples, 1, features), gpu.array(weight, 1, *_matrix(gates, inputs, features))
    columns, memories = gpu.new(1, samples, inputs + features + 1), gpu.array(kept, steps, rows * size)
    state, memory = gpu.array(hidden, samples, features), gpu.array(cell, samples, features)
    after = gpu.new(samples, features)
    for t in range(steps):
        gpu.launch("recurrent.begin_step", given, first, results, t, columns)
        multiply(gpu, columns, factors, sums, turned_b=True)
        kept_now = _kept(kind, memories[t], samples, features)
        state, memory = _cell(gpu, kind, sums.reshape(sums.shape[1:]), state, memory, kept_now, after)
        gpu.launch("recurrent.put_step", state, t, results)
    if kind == LSTM:
        gpu.launch("recurrent.put_step", memory, steps, results)


def sequence_grad(
    gpu: Gpu,
    kind: int,
    samples: int,
    steps: int,
    inputs: int,
    features: int,
    gates: int,
    rows: int,
    outputs: int,
    x: Any,
    hidden: Any,
    cell: Any,
    weight: Any,
    y: Any,
    kept: Any,
    grad: Any,
    columns: Any,
    sums: Any,
    grad_x: Any,
    grad_hidden: Any,
    grad_cell: Any,
    grad_weight: Any,
    numbers: Any = (),
) -> None:
    """What `sequence` passes back; the gradients of x and weight where there are places for them.

    columns, sums: room for what the weight was multiplied by in all steps, and for the gradients of what came out.
    """
    width, above = inputs + features + 1, gpu.array(grad, samples, outputs, features)
    factors = gpu.array(weight, 1, gates * features, width)
    memories, all_sums = (
        gpu.array(kept, steps, rows * samples * features),
        gpu.array(sums, steps, samples * gates * features),
    )
    state, memory = gpu.array(grad_hidden, samples, features), gpu.array(grad_cell, samples, features)
    back, passed = gpu.array(grad_x, samples, steps, inputs), gpu.new(1, samples, width)
    gpu.launch("recurrent.get_step", above, steps - 1, state)
    if kind == LSTM:
        gpu.launch("recurrent.get_step", above, steps, memory)
    kept_now = _kept(kind, memories[steps - 1], samples, features)
    for t in range(steps - 1, -1, -1):
        kept_before = _kept(kind, memories[t - 1], samples, features) if t else []
        before = (
            kept_before[1] if t and kind in _KEPT else gpu.array(cell if kind == LSTM else hidden, samples, features)
        )
        part = all_sums[t].reshape((1, samples, gates * features))
        _cell_grad(gpu, kind, kept_now, before, state, memory, part.reshape(part.shape[1:]))
        multiply(gpu, part, factors, passed)
        gpu.launch("recurrent.end_step", passed.reshape((samples, width)), above, t, kind == GRU, back, state)
        kept_now = kept_before
    slopes = gpu.array(grad_weight, 1, gates * features, width)
    if slopes.size:
        multiplied = gpu.array(columns, steps, samples, width)
        states = gpu.array(hidden, samples, 1, features), gpu.array(y, samples, outputs, features)
        gpu.launch("recurrent.begin_step", gpu.array(x, samples, steps, inputs), *states, 0, multiplied)
        flat = all_sums.reshape((1, steps * samples, gates * features)), multiplied.reshape((1, steps * samples, width))
        multiply(gpu, *flat, slopes, turned_a=True)


def _matrix(gates: int, inputs: int, features: int) -> tuple[int, int]:
    return gates * features, inputs + features + 1


def _kept(kind: int, line: Any, samples: int, features: int) -> list[Any]:
    """The matrices (samples, k * features) that are kept of a step, one behind the other in a line."""
    found, start = [], 0
    for k in _KEPT.get(kind, (1,)):
        size = samples * k * features
        found.append(line[start : start + size].reshape((samples, k * features)))
        start += size
    return found


def _cell(gpu: Gpu, kind: int, sums: Any, state: Any, memory: Any, kept: Sequence[Any], after: Any) -> tuple[Any, Any]:
    """The state and the memory after a step. after: room for a state that is not kept."""
    if kind == LSTM:
        gates, memory_after, tanh_memory = kept
        gpu.launch("recurrent.lstm_cell", sums, memory, gates, memory_after, tanh_memory, after)
        return after, memory_after
    if kind == GRU:
        gpu.launch("recurrent.gru_cell", sums, state, *kept)
    else:
        name = "elementwise.tanh" if kind == TANH else "elementwise.relu"
        gpu.launch(name, sums.reshape(sums.size), kept[0].reshape(sums.size))
    return kept[-1], memory


def _cell_grad(
    gpu: Gpu, kind: int, kept: Sequence[Any], before: Any, grad_state: Any, grad_memory: Any, grad_sums: Any
) -> None:
    """The gradient of the sums of a step; before: the memory (LSTM) or the state (GRU) before it."""
    if kind == LSTM:
        gpu.launch("recurrent.lstm_cell_grad", kept[0], before, kept[2], grad_state, grad_memory, grad_sums)
    elif kind == GRU:
        gpu.launch("recurrent.gru_cell_grad", kept[0], before, grad_state, grad_sums)
    else:
        name = "elementwise.tanh_grad_x" if kind == TANH else "elementwise.relu_grad_x"
        y = kept[0].reshape(kept[0].size)  # for relu as good as its argument: the one is above 0 when the other is
        gpu.launch(name, grad_state.reshape(y.size), y, y, grad_sums.reshape(y.size))
