"""Recurrent cells, which read one step of a sequence and remember, and layers, which read all of it.

x (N, in) is one step of N sequences, or x (N, L, in) all L steps; the states are (N, H). The weights are PyTorch's:
weight_ih for the input and weight_hh for the state, the rows of all gates one below another.
"""

from __future__ import annotations

from micro import checks
from micro.array import Array
from micro.functional.products import linear
from micro.vocabulary import stack


def rnn_cell(
    x: Array,
    hidden: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    nonlinearity: str = "tanh",
) -> Array:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it (Elman 1990): the hidden state after a step, (N, H)."""
    checks.recurrent("rnn_cell", 1, x, [hidden], [weight_ih, weight_hh], [bias_ih, bias_hh])
    checks.nonlinearity("rnn_cell", nonlinearity)
    total = linear(x, weight_ih, bias_ih) + linear(hidden, weight_hh, bias_hh)
    return total.tanh() if nonlinearity == "tanh" else total.relu()


def lstm_cell(
    x: Array,
    hidden: Array,
    cell: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> tuple[Array, Array]:
    """The hidden and the cell state after a step, (N, H) each (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    Four gates, from W_ih x + b_ih + W_hh h + b_hh: i lets new things in, f forgets old ones, g is what is new, o what
    is told of it.

        c' = f * c + i * g    h' = o * tanh(c')    where i, f, o = sigmoid(...), g = tanh(...)
    """
    checks.recurrent("lstm_cell", 4, x, [hidden, cell], [weight_ih, weight_hh], [bias_ih, bias_hh])
    i, f, g, o = (linear(x, weight_ih, bias_ih) + linear(hidden, weight_hh, bias_hh)).chunk(4, dim=1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def gru_cell(
    x: Array,
    hidden: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> Array:
    """The hidden state after a step, (N, H) (Cho et al. 2014).

    r resets, z keeps, n is what is new. As in PyTorch, r acts behind the product with W_hn, not before it.

        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))    h' = (1 - z) * n + z * h    where r, z = sigmoid(...)
    """
    checks.recurrent("gru_cell", 3, x, [hidden], [weight_ih, weight_hh], [bias_ih, bias_hh])
    r_x, z_x, n_x = linear(x, weight_ih, bias_ih).chunk(3, dim=1)
    r_h, z_h, n_h = linear(hidden, weight_hh, bias_hh).chunk(3, dim=1)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return (1 - z) * n + z * hidden


def rnn(
    x: Array,
    hidden: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    nonlinearity: str = "tanh",
) -> Array:
    """`rnn_cell` for each step of x (N, L, in), from the state `hidden` on; the states after every step, (N, L, H)."""
    checks.recurrent("rnn", 1, x, [hidden], [weight_ih, weight_hh], [bias_ih, bias_hh])
    checks.nonlinearity("rnn", nonlinearity)
    states = []
    for t in range(x.shape[1]):
        hidden = rnn_cell(x[:, t], hidden, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity)
        states.append(hidden)
    return stack(states, dim=1)


def lstm(
    x: Array,
    hidden: Array,
    cell: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> tuple[Array, Array]:
    """`lstm_cell` for each step of x (N, L, in), from the states `hidden` and `cell` on.

    Returns the hidden states after every step, (N, L, H), and the cell state after the last, (N, H).
    """
    checks.recurrent("lstm", 4, x, [hidden, cell], [weight_ih, weight_hh], [bias_ih, bias_hh])
    states = []
    for t in range(x.shape[1]):
        hidden, cell = lstm_cell(x[:, t], hidden, cell, weight_ih, weight_hh, bias_ih, bias_hh)
        states.append(hidden)
    return stack(states, dim=1), cell


def gru(
    x: Array,
    hidden: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> Array:
    """`gru_cell` for each step of x (N, L, in), from the state `hidden` on; the states after every step, (N, L, H)."""
    checks.recurrent("gru", 3, x, [hidden], [weight_ih, weight_hh], [bias_ih, bias_hh])
    states = []
    for t in range(x.shape[1]):
        hidden = gru_cell(x[:, t], hidden, weight_ih, weight_hh, bias_ih, bias_hh)
        states.append(hidden)
    return stack(states, dim=1)
