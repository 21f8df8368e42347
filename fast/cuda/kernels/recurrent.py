"""A step of a recurrent layer, behind the product that makes the sums of all gates: x @ W_ih.T + h @ W_hh.T + biases.

The formulas are those of `fast/kernels/recurrent.py`. Here samples are rows: sums (N, 4 H), gate by gate, all else
(N, H). A thread takes a feature of a sample: all its gates are at hand, so one launch does what sigmoid, tanh, products
and sums would do in ten, each of which would have to read and write memory. (`rnn_cell` is tanh or relu of its sums.)

A layer goes through the steps t of x (N, L, in); its outputs are (N, L, H), or longer. What a step multiplies stands in
rows, as on the CPU in columns: [x[n, t], h[n, t - 1], 1], so that one product with [W_ih | W_hh | bias] makes all sums.
`begin_step` writes such rows, `end_step` takes apart what comes back to them.
"""

from __future__ import annotations

import math

from fast.cuda.arguments import Count, Matrix, Stack
from fast.cuda.formulas import sigmoid
from fast.cuda.package import cuda


def lstm_cell(sums: Matrix, cell: Matrix, gates: Matrix, cell_after: Matrix, tanh_cell: Matrix, hidden_after: Matrix):
    """c' = f * c + i * g, h' = o * tanh(c'), where i, f, o = sigmoid and g = tanh of their sums.

    gates (N, 4 H), i, f, g, o, and tanh_cell = tanh(c') are kept for the way back.
    """
    width = cell.shape[1]
    for place in range(cuda.grid(1), cell.size, cuda.gridsize(1)):
        n, h = place // width, place % width
        i, f = sigmoid(sums[n, h]), sigmoid(sums[n, width + h])
        g, o = math.tanh(sums[n, 2 * width + h]), sigmoid(sums[n, 3 * width + h])
        c = f * cell[n, h] + i * g
        tanh_c = math.tanh(c)
        gates[n, h], gates[n, width + h], gates[n, 2 * width + h], gates[n, 3 * width + h] = i, f, g, o
        cell_after[n, h], tanh_cell[n, h], hidden_after[n, h] = c, tanh_c, o * tanh_c


def lstm_cell_grad(
    gates: Matrix, cell: Matrix, tanh_cell: Matrix, grad_hidden: Matrix, grad_cell: Matrix, grad_sums: Matrix
):
    """dc += dh * o * (1 - tanh(c')^2); then di = dc * g, df = dc * c, dg = dc * i, do = dh * tanh(c'), and dc *= f.

    cell: c, before the step; grad_cell: dc, which comes from the step after and goes on to the step before; grad_sums
    (N, 4 H): what di, df, dg and do are behind sigmoid and tanh.
    """
    one, width = cell.dtype.type(1), cell.shape[1]
    for place in range(cuda.grid(1), cell.size, cuda.gridsize(1)):
        n, h = place // width, place % width
        i, f, g, o = gates[n, h], gates[n, width + h], gates[n, 2 * width + h], gates[n, 3 * width + h]
        tanh_c, above = tanh_cell[n, h], grad_hidden[n, h]
        along = grad_cell[n, h] + above * o * (one - tanh_c * tanh_c)
        grad_sums[n, h] = along * g * i * (one - i)
        grad_sums[n, width + h] = along * cell[n, h] * f * (one - f)
        grad_sums[n, 2 * width + h] = along * i * (one - g * g)
        grad_sums[n, 3 * width + h] = above * tanh_c * o * (one - o)
        grad_cell[n, h] = along * f


def gru_cell(sums: Matrix, hidden: Matrix, kept: Matrix, hidden_after: Matrix):
    """n = tanh(a + r * b), h' = (1 - z) * n + z * h, where r, z = sigmoid of their sums, a and b the other two sums.

    sums (N, 4 H): r, z, a = W_in x + b_in, b = W_hn h + b_hn. kept (N, 4 H): r, z, n, b, for the way back.
    """
    one, width = hidden.dtype.type(1), hidden.shape[1]
    for place in range(cuda.grid(1), hidden.size, cuda.gridsize(1)):
        i, h = place // width, place % width
        r, z, b = sigmoid(sums[i, h]), sigmoid(sums[i, width + h]), sums[i, 3 * width + h]
        n = math.tanh(sums[i, 2 * width + h] + r * b)
        kept[i, h], kept[i, width + h], kept[i, 2 * width + h], kept[i, 3 * width + h] = r, z, n, b
        hidden_after[i, h] = (one - z) * n + z * hidden[i, h]


def gru_cell_grad(kept: Matrix, hidden: Matrix, grad_hidden: Matrix, grad_sums: Matrix):
    """dn = dh * (1 - z), dz = dh * (h - n), and, through n, da = dn * (1 - n^2), db = da * r, dr = da * b.

    hidden: h, before the step; grad_hidden: dh, which becomes dh * z, what goes to h past the sums.
    """
    one, width = hidden.dtype.type(1), hidden.shape[1]
    for place in range(cuda.grid(1), hidden.size, cuda.gridsize(1)):
        i, h = place // width, place % width
        r, z, n, b = kept[i, h], kept[i, width + h], kept[i, 2 * width + h], kept[i, 3 * width + h]
        above = grad_hidden[i, h]
        grad_a = above * (one - z) * (one - n * n)
        grad_sums[i, h] = grad_a * b * r * (one - r)
        grad_sums[i, width + h] = above * (hidden[i, h] - n) * z * (one - z)
        grad_sums[i, 2 * width + h] = grad_a
        grad_sums[i, 3 * width + h] = grad_a * r
        grad_hidden[i, h] = above * z


# ----------------------------------------------------------------------------------------------------------------------
# Between the steps of a layer.


def begin_step(x: Stack, hidden: Stack, outputs: Stack, first: Count, rows: Stack):
    """rows[i, n] = [x[n, t], h[n, t - 1], 1] for step t = first + i; rows (steps, N, in + H + 1).

    h[n, t - 1] is in outputs (N, L, H), and hidden (N, 1, H) before the first step.
    """
    samples, width, inputs = rows.shape[1], rows.shape[2], x.shape[2]
    for place in range(cuda.grid(1), rows.size, cuda.gridsize(1)):
        line, k = place // width, place % width
        i, n = line // samples, line % samples
        t, h = first + i, k - inputs
        if k < inputs:
            rows[i, n, k] = x[n, t, k]
        elif k == width - 1:
            rows[i, n, k] = rows.dtype.type(1)
        else:
            rows[i, n, k] = outputs[n, t - 1, h] if t > 0 else hidden[n, 0, h]


def end_step(rows: Matrix, grad: Stack, t: Count, keeps: Count, grad_x: Stack, grad_hidden: Matrix):
    """From the gradient of the rows of step t, those of x[n, t] and of the state h[n, t - 1] before it.

    grad_hidden (N, H) becomes the second of these, with what comes from the outputs, grad[n, t - 1], and, where it
    `keeps`, what it was; grad_x (N, L, in), or none.
    """
    width, features, inputs = rows.shape[1], grad_hidden.shape[1], rows.shape[1] - grad_hidden.shape[1] - 1
    for place in range(cuda.grid(1), rows.size, cuda.gridsize(1)):
        n, k = place // width, place % width
        h = k - inputs
        if k < inputs:
            if grad_x.shape[0]:
                grad_x[n, t, k] = rows[n, k]
        elif h < features:
            total = rows[n, k]
            if t > 0:
                total += grad[n, t - 1, h]
            grad_hidden[n, h] = total + grad_hidden[n, h] if keeps else total


def get_step(x: Stack, t: Count, y: Matrix):
    """y[n, h] = x[n, t, h]."""
    for place in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, h = place // y.shape[1], place % y.shape[1]
        y[n, h] = x[n, t, h]


def put_step(x: Matrix, t: Count, y: Stack):
    """y[n, t, h] = x[n, h]."""
    for place in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        n, h = place // x.shape[1], place % x.shape[1]
        y[n, t, h] = x[n, h]
