"""Recurrent layers: a whole sequence in one call, forward and back.

What a step multiplies stands in one column for each sample: the input x[t], the state h[t-1] before it, and a 1, below
one another. So a single weight matrix, W = [W_ih | W_hh | bias], makes all sums of a step in one product, and the
gradients of both weights and of the bias are one product over all samples and steps at the end.

    cell        gates, the sums W @ column              kept of each step, in rows of H
    TANH, RELU  h                                       h'
    LSTM        i, f, g, o                              i, f, g, o, c', tanh(c')
    GRU         r, z, W_in x + b_in, W_hn h + b_hn      r, z, n, W_hn h + b_hn, h'

The samples are cut into blocks of `LANES`, each of which goes through the whole sequence by itself, on its own core.
Samples lie next to each other in memory, (features, samples), not (samples, features): so every gate of a block is one
piece of memory, along which the loops vectorise.

    W (G H, in + H + 1), with G rows of gates; x (N, L, in); hidden, cell (N, 1, H), the states before the first step;
    outputs (N, L, H), or (N, L + 1, H) for an LSTM, with the last cell state at the end; kept: see `_kept_of`.
"""

import numpy as np
from numba import njit, prange

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"

#: The kinds of cells.
TANH, RELU, LSTM, GRU = 0, 1, 2, 3
#: The samples of a block: as many float32 as a register of AVX-512 holds.
LANES = 16


# ----------------------------------------------------------------------------------------------------------------------
# A sequence, there and back.


@njit(cache=True, nogil=True, error_model="numpy")
def forward(kind, x, hidden, cell, weight, outputs, kept):
    """For each t: column = [x[t], h, 1]; h, c = cell of `kind` (W @ column, h, c); outputs[t] = h."""
    for block in range(-(-x.shape[0] // LANES)):
        _forward_block(block, kind, x, hidden, cell, weight, outputs, kept)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def forward_parallel(blocks, kind, x, hidden, cell, weight, outputs, kept):
    """`forward`, the blocks of samples shared out among the threads."""
    for block in prange(-(-x.shape[0] // LANES)):
        _forward_block(np.int64(block), kind, x, hidden, cell, weight, outputs, kept)


@njit(cache=True, nogil=True, error_model="numpy")
def backward(
    kind, grad, x, hidden, cell, back, outputs, kept, columns, grad_sums, grad_x, grad_hidden, grad_cell, grad_weight
):
    """The gradients of x and W (where those arrays are not empty), hidden and cell, for that of outputs; `back` is W.T.

    columns (N L, in + H + 1) and grad_sums (G H, N L) are room for what W was multiplied by at every sample and step,
    and for the gradient of what came out: grad_weight = grad_sums @ columns.
    """
    for block in range(-(-x.shape[0] // LANES)):
        _backward_block(
            block, kind, grad, x, hidden, cell, back, outputs, kept, columns, grad_sums, grad_x, grad_hidden, grad_cell
        )
    if grad_weight.size:
        np.dot(grad_sums, columns, grad_weight)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def backward_parallel(
    blocks,
    kind,
    grad,
    x,
    hidden,
    cell,
    back,
    outputs,
    kept,
    columns,
    grad_sums,
    grad_x,
    grad_hidden,
    grad_cell,
    grad_weight,
):
    """`backward`, blocks of samples shared out among the threads, and after them `blocks` of rows of grad_weight."""
    for block in prange(-(-x.shape[0] // LANES)):
        _backward_block(
            np.int64(block),
            kind,
            grad,
            x,
            hidden,
            cell,
            back,
            outputs,
            kept,
            columns,
            grad_sums,
            grad_x,
            grad_hidden,
            grad_cell,
        )
    rows = grad_weight.shape[0]
    for block in prange(blocks):
        start, stop = rows * block // blocks, rows * (block + 1) // blocks
        if start < stop:
            np.dot(grad_sums[start:stop], columns, grad_weight[start:stop])


@njit(cache=True, nogil=True, error_model="numpy")
def _forward_block(block, kind, x, hidden, cell, weight, outputs, kept):
    start, stop = block * LANES, min((block + 1) * LANES, x.shape[0])
    steps, inputs = x.shape[1:]
    features, gates = hidden.shape[2], weight.shape[0]
    rows = _kept_of(block, kept, x)
    column = np.ones((weight.shape[1], stop - start), x.dtype)
    state = column[inputs : inputs + features]
    memory = np.empty((features, stop - start), x.dtype)
    _read(hidden, start, 0, column, inputs)
    _read(cell, start, 0, memory, 0)
    for t in range(steps):
        _read(x, start, t, column, 0)
        np.dot(weight, column, rows[t, :gates])
        _step(kind, _lines(rows[t], features), memory.reshape(-1), state.reshape(-1))
        _write(state, outputs, start, t)
    if kind == LSTM:
        _write(memory, outputs, start, steps)


@njit(cache=True, nogil=True, error_model="numpy")
def _backward_block(
    block, kind, grad, x, hidden, cell, back, outputs, kept, columns, grad_sums, grad_x, grad_hidden, grad_cell
):
    start, stop = block * LANES, min((block + 1) * LANES, x.shape[0])
    samples, steps, inputs = stop - start, x.shape[1], x.shape[2]
    features, gates = hidden.shape[2], back.shape[1]
    rows = _kept_of(block, kept, x)
    first = np.empty((features, samples), x.dtype)
    _read(cell if kind == LSTM else hidden, start, 0, first, 0)
    above = 0 if grad_x.size else inputs  # the gradient of x is left out where nobody wants it
    grad_column = np.empty((inputs + features - above, samples), x.dtype)
    grad_state = np.zeros((features, samples), x.dtype)
    grad_memory = np.zeros((features, samples), x.dtype)
    if kind == LSTM:
        _read(grad, start, steps, grad_memory, 0)
    part = np.empty((gates, samples), x.dtype)
    for t in range(steps - 1, -1, -1):
        for j in range(features):
            for i in range(samples):
                grad_state[j, i] += grad[start + i, t, j]
        before = rows[t - 1, 4 * features : 5 * features] if t else first
        _step_grad(
            kind,
            _lines(rows[t], features),
            before.reshape(-1),
            grad_state.reshape(-1),
            grad_memory.reshape(-1),
            _lines(part, features),
        )
        np.dot(back[above : inputs + features], part, grad_column)
        for j in range(features):
            for i in range(samples):
                grad_state[j, i] += grad_column[inputs - above + j, i]
        if grad_x.size:
            _write(grad_column[:inputs], grad_x, start, t)
        place = start * steps + t * samples
        for k in range(gates):
            for i in range(samples):
                grad_sums[k, place + i] = part[k, i]
        for i in range(samples):
            for j in range(inputs):
                columns[place + i, j] = x[start + i, t, j]
            for j in range(features):
                columns[place + i, inputs + j] = outputs[start + i, t - 1, j] if t else hidden[start + i, 0, j]
            columns[place + i, inputs + features] = 1
    _write(grad_state, grad_hidden, start, 0)
    if kind == LSTM:
        _write(grad_memory, grad_cell, start, 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _kept_of(block, kept, x):
    """The part of `kept` (N * L * rows * H numbers in a line) that belongs to a block: (L, rows * H, samples)."""
    samples, steps = x.shape[:2]
    each = kept.size // max(samples, 1)
    start, stop = block * LANES, min((block + 1) * LANES, samples)
    return kept[start * each : stop * each].reshape((steps, each // steps, stop - start))


@njit(cache=True, nogil=True, error_model="numpy")
def _read(source, start, t, target, first):
    """Samples into columns: target[first + j, i] = source[start + i, t, j]. (Slices would take long to compile.)"""
    for j in range(source.shape[2]):
        for i in range(target.shape[1]):
            target[first + j, i] = source[start + i, t, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _write(source, target, start, t):
    """And back: target[start + i, t, j] = source[j, i]."""
    for i in range(source.shape[1]):
        for j in range(source.shape[0]):
            target[start + i, t, j] = source[j, i]


# ----------------------------------------------------------------------------------------------------------------------
# One step. A line holds a number for each feature and sample: `row` has the lines that are kept of the step, the first
# of which hold the sums that the product has made. Several short loops vectorise where a long one over many lines would
# not: the compiler would have to make sure that no two of them overlap.


@njit(cache=True, nogil=True, error_model="numpy")
def _lines(rows, features):
    """(k H, samples) as (k, H samples)."""
    return rows.reshape((rows.shape[0] // features, features * rows.shape[1]))


@njit(cache=True, nogil=True, error_model="numpy")
def _step(kind, row, memory, state):
    """Make the sums in `row` what is kept of a step, and the state and the memory before it those after it."""
    number = row.dtype.type
    if kind == LSTM:
        _lstm_step(row, memory, state)
    elif kind == GRU:
        _gru_step(row, state)
    elif kind == TANH:
        _tanh_all(row[0])
        for k in range(state.size):
            state[k] = row[0, k]
    else:
        for k in range(state.size):
            row[0, k] = state[k] = number(0) if row[0, k] <= number(0) else row[0, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _step_grad(kind, row, before, grad_state, grad_memory, grad_sums):
    """The gradient of the sums, for those of the state and of the memory after the step.

    before: the memory (LSTM) or the state (GRU) before the step. grad_memory becomes the gradient of the memory before
    the step, and grad_state that of the state, as far as it does not come through the sums.
    """
    number = row.dtype.type
    if kind == LSTM:
        _lstm_step_grad(row, before, grad_state, grad_memory, grad_sums)
    elif kind == GRU:
        _gru_step_grad(row, before, grad_state, grad_sums)
    elif kind == TANH:
        for k in range(grad_state.size):
            grad_sums[0, k] = grad_state[k] * (number(1) - row[0, k] * row[0, k])
    else:
        for k in range(grad_state.size):
            grad_sums[0, k] = grad_state[k] if row[0, k] > number(0) else number(0)
    if kind != GRU:
        for k in range(grad_state.size):
            grad_state[k] = number(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _lstm_step(row, memory, state):
    """c' = f * c + i * g, h' = o * tanh(c'), where i, f, o = sigmoid and g = tanh of their sums."""
    i, f, g, o, c, tanh_c = row[0], row[1], row[2], row[3], row[4], row[5]
    _sigmoid_all(i)
    _sigmoid_all(f)
    _tanh_all(g)
    _sigmoid_all(o)
    for k in range(c.size):
        c[k] = tanh_c[k] = f[k] * memory[k] + i[k] * g[k]
    _tanh_all(tanh_c)
    for k in range(c.size):
        memory[k], state[k] = c[k], o[k] * tanh_c[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _lstm_step_grad(row, before, grad_state, grad_memory, grad_sums):
    """dc += dh * o * (1 - tanh(c')^2); then di = dc * g, df = dc * c, dg = dc * i, do = dh * tanh(c'), and dc *= f."""
    number = row.dtype.type
    i, f, g, o, tanh_c = row[0], row[1], row[2], row[3], row[5]
    for k in range(o.size):
        grad_memory[k] += grad_state[k] * o[k] * (number(1) - tanh_c[k] * tanh_c[k])
    _sigmoid_grad(grad_memory, g, i, grad_sums[0])
    _sigmoid_grad(grad_memory, before, f, grad_sums[1])
    _tanh_grad(grad_memory, i, g, grad_sums[2])
    _sigmoid_grad(grad_state, tanh_c, o, grad_sums[3])
    for k in range(f.size):
        grad_memory[k] *= f[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _gru_step(row, state):
    """n = tanh(a + r * b), h' = (1 - z) * n + z * h, where r, z = sigmoid of their sums, a and b the other two sums."""
    number = row.dtype.type
    r, z, n, b = row[0], row[1], row[2], row[3]
    _sigmoid_all(r)
    _sigmoid_all(z)
    for k in range(n.size):
        n[k] += r[k] * b[k]
    _tanh_all(n)
    for k in range(n.size):
        row[4, k] = state[k] = (number(1) - z[k]) * n[k] + z[k] * state[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _gru_step_grad(row, before, grad_state, grad_sums):
    """dn = dh * (1 - z), dz = dh * (h - n), and, through n, da = dn * (1 - n^2), db = da * r, dr = da * b."""
    number = row.dtype.type
    r, z, n, b = row[0], row[1], row[2], row[3]
    grad_z, grad_a, grad_b = grad_sums[1], grad_sums[2], grad_sums[3]
    for k in range(n.size):
        grad_a[k] = grad_state[k] * (number(1) - z[k]) * (number(1) - n[k] * n[k])
    for k in range(n.size):
        grad_z[k] = grad_state[k] * (before[k] - n[k]) * z[k] * (number(1) - z[k])
    _sigmoid_grad(grad_a, b, r, grad_sums[0])
    for k in range(n.size):
        grad_b[k] = grad_a[k] * r[k]
    for k in range(n.size):
        grad_state[k] *= z[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid_grad(grad, factor, y, result):
    """result = grad * factor * y * (1 - y), the gradient of the sum under y = sigmoid(sum), for that of factor * y."""
    one = y.dtype.type(1)
    for k in range(y.size):
        result[k] = grad[k] * factor[k] * y[k] * (one - y[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _tanh_grad(grad, factor, y, result):
    """result = grad * factor * (1 - y^2), the gradient of the sum under y = tanh(sum), for that of factor * y."""
    one = y.dtype.type(1)
    for k in range(y.size):
        result[k] = grad[k] * factor[k] * (one - y[k] * y[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid_all(y):
    """y[k] = sigmoid(y[k])."""
    for k in range(y.size):
        y[k] = approximations.sigmoid(y[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _tanh_all(y):
    """y[k] = tanh(y[k])."""
    for k in range(y.size):
        y[k] = approximations.tanh(y[k])
