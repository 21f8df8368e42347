"""The interpreters of a tape, in one lane. Generated from micro/ops.py by `make generate`; do not edit.

An instruction is a row of `code`; `kernels/planning.py` says what stands where. `v` holds values and `d` gradients,
a number in each row.
"""

import math

import numpy as np
from numba import njit

from fast import approximations

# Numba does not see that a function of another file has changed. These lines do change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"

_abs = abs


@njit(cache=True, nogil=True, error_model="numpy")
def forward(code, pairs, v):
    """Compute the results of all instructions, the first one first."""
    number = v.dtype.type
    for i in range(len(code)):
        op, y = code[i, 0], code[i, 1]
        if op == 0:  # a sum of products
            total = v[code[i, 2]]
            for k in range(code[i, 3], code[i, 4]):
                total = total + v[pairs[k, 0]] * v[pairs[k, 1]]
            v[y] = total
        elif op == 1:  # add
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] + v[b]
        elif op == 2:  # sub
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] - v[b]
        elif op == 3:  # mul
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] * v[b]
        elif op == 4:  # div
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] / v[b]
        elif op == 5:  # pow
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] ** v[b]
        elif op == 6:  # maximum
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] if v[a] > v[b] or v[a] != v[a] else v[b]
        elif op == 7:  # minimum
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] if v[a] < v[b] or v[a] != v[a] else v[b]
        elif op == 8:  # neg
            x = code[i, 2]
            v[y] = -v[x]
        elif op == 9:  # abs
            x = code[i, 2]
            v[y] = _abs(v[x])
        elif op == 10:  # sign
            x = code[i, 2]
            v[y] = number(1) if v[x] > number(0) else -number(1) if v[x] < number(0) else v[x]
        elif op == 11:  # exp
            x = code[i, 2]
            v[y] = approximations.exp(v[x])
        elif op == 12:  # expm1
            x = code[i, 2]
            v[y] = math.expm1(v[x])
        elif op == 13:  # log
            x = code[i, 2]
            v[y] = math.log(v[x])
        elif op == 14:  # log1p
            x = code[i, 2]
            v[y] = math.log1p(v[x])
        elif op == 15:  # sqrt
            x = code[i, 2]
            v[y] = math.sqrt(v[x])
        elif op == 16:  # sin
            x = code[i, 2]
            v[y] = math.sin(v[x])
        elif op == 17:  # cos
            x = code[i, 2]
            v[y] = math.cos(v[x])
        elif op == 18:  # erf
            x = code[i, 2]
            v[y] = math.erf(v[x])
        elif op == 19:  # round
            x = code[i, 2]
            v[y] = np.rint(v[x])
        elif op == 20:  # floor
            x = code[i, 2]
            v[y] = np.floor(v[x])
        elif op == 21:  # ceil
            x = code[i, 2]
            v[y] = np.ceil(v[x])
        elif op == 22:  # tanh
            x = code[i, 2]
            v[y] = approximations.tanh(v[x])
        elif op == 23:  # sigmoid
            x = code[i, 2]
            v[y] = approximations.sigmoid(v[x])
        elif op == 24:  # relu
            x = code[i, 2]
            v[y] = number(0) if v[x] <= number(0) else v[x]
        elif op == 25:  # leaky_relu
            x = code[i, 2]
            v[y] = v[x] if v[x] > number(0) else number(0.01) * v[x]
        elif op == 26:  # silu
            x = code[i, 2]
            v[y] = approximations.silu(v[x])
        elif op == 27:  # softplus
            x = code[i, 2]
            v[y] = (number(0) if v[x] <= number(0) else v[x]) + math.log1p(approximations.exp(-_abs(v[x])))
        elif op == 28:  # gelu
            x = code[i, 2]
            v[y] = approximations.gelu(v[x])
        elif op == 29:  # clip
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            v[y] = v[b] if v[x] > v[b] or v[a] > v[b] or v[b] != v[b] else v[a] if v[x] < v[a] or v[a] != v[a] else v[x]
        elif op == 30:  # where
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            v[y] = v[a] if v[x] != number(0) else v[b]
        elif op == 31:  # copy
            x = code[i, 2]
            v[y] = v[x]
        elif op == 32:  # larger
            a, b = code[i, 2], code[i, 3]
            v[y] = v[a] if v[a] > v[b] or v[a] != v[a] else v[b]


@njit(cache=True, nogil=True, error_model="numpy")
def backward(code, pairs, fresh, trash, v, d):
    """Hand the gradients of all results on to their arguments, the last instruction first.

    Where rounding counts, the order is that of `micro`: one argument after the other, and a chain of sums step by step,
    so that its base has its turn before the factors of the first step. What is handed to the row `trash` nobody wants.
    """
    number = v.dtype.type
    for i in range(len(code) - 1, -1, -1):
        op, y, grad = code[i, 0], code[i, 1], code[i, 5]
        for k in range(code[i, 9], code[i, 10]):
            d[fresh[k]] = number(0)
        if op == 0:  # a sum of products
            above, first = d[grad], np.int64(code[i, 3])
            for k in range(np.int64(code[i, 4]) - 1, first, -1):
                d[pairs[k, 2]] += v[pairs[k, 1]] * above
                d[pairs[k, 3]] += v[pairs[k, 0]] * above
            d[code[i, 6]] += above
            d[pairs[first, 2]] += v[pairs[first, 1]] * above
            d[pairs[first, 3]] += v[pairs[first, 0]] * above
        elif op == 1:  # add
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (number(1)) * d[grad]
            d[code[i, 7]] += (number(1)) * d[grad]
        elif op == 2:  # sub
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (number(1)) * d[grad]
            d[code[i, 7]] += (-number(1)) * d[grad]
        elif op == 3:  # mul
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (v[b]) * d[grad]
            d[code[i, 7]] += (v[a]) * d[grad]
        elif op == 4:  # div
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (number(1) / v[b]) * d[grad]
            d[code[i, 7]] += (-v[y] / v[b]) * d[grad]
        elif op == 5:  # pow
            a, b = code[i, 2], code[i, 3]
            if code[i, 6] != trash:
                d[code[i, 6]] += (v[b] * v[a] ** (v[b] - number(1)) if v[b] != number(0) else number(0)) * d[grad]
            if code[i, 7] != trash:
                d[code[i, 7]] += (number(0) if v[a] == number(0) and v[b] >= number(0) else v[y] * math.log(v[a])) * d[grad]
        elif op == 6:  # maximum
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (number(1) if v[a] > v[b] else number(0.5) if v[a] == v[b] else number(0)) * d[grad]
            d[code[i, 7]] += (number(1) if v[b] > v[a] else number(0.5) if v[a] == v[b] else number(0)) * d[grad]
        elif op == 7:  # minimum
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (number(1) if v[a] < v[b] else number(0.5) if v[a] == v[b] else number(0)) * d[grad]
            d[code[i, 7]] += (number(1) if v[b] < v[a] else number(0.5) if v[a] == v[b] else number(0)) * d[grad]
        elif op == 8:  # neg
            x = code[i, 2]
            d[code[i, 6]] += (-number(1)) * d[grad]
        elif op == 9:  # abs
            x = code[i, 2]
            d[code[i, 6]] += (number(1) if v[x] > number(0) else -number(1) if v[x] < number(0) else number(0)) * d[grad]
        elif op == 10:  # sign
            x = code[i, 2]
            d[code[i, 6]] += (number(0)) * d[grad]
        elif op == 11:  # exp
            x = code[i, 2]
            d[code[i, 6]] += (v[y]) * d[grad]
        elif op == 12:  # expm1
            x = code[i, 2]
            d[code[i, 6]] += (v[y] + number(1)) * d[grad]
        elif op == 13:  # log
            x = code[i, 2]
            d[code[i, 6]] += (number(1) / v[x]) * d[grad]
        elif op == 14:  # log1p
            x = code[i, 2]
            d[code[i, 6]] += (number(1) / (number(1) + v[x])) * d[grad]
        elif op == 15:  # sqrt
            x = code[i, 2]
            d[code[i, 6]] += (number(0.5) / v[y]) * d[grad]
        elif op == 16:  # sin
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6]] += (math.cos(v[x])) * d[grad]
        elif op == 17:  # cos
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6]] += (-math.sin(v[x])) * d[grad]
        elif op == 18:  # erf
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6]] += (number(2) / math.sqrt(number(math.pi)) * approximations.exp(-v[x] * v[x])) * d[grad]
        elif op == 19:  # round
            x = code[i, 2]
            d[code[i, 6]] += (number(0)) * d[grad]
        elif op == 20:  # floor
            x = code[i, 2]
            d[code[i, 6]] += (number(0)) * d[grad]
        elif op == 21:  # ceil
            x = code[i, 2]
            d[code[i, 6]] += (number(0)) * d[grad]
        elif op == 22:  # tanh
            x = code[i, 2]
            d[code[i, 6]] += (number(1) - v[y] * v[y]) * d[grad]
        elif op == 23:  # sigmoid
            x = code[i, 2]
            d[code[i, 6]] += (v[y] * (number(1) - v[y])) * d[grad]
        elif op == 24:  # relu
            x = code[i, 2]
            d[code[i, 6]] += (number(1) if v[x] > number(0) else number(0)) * d[grad]
        elif op == 25:  # leaky_relu
            x = code[i, 2]
            d[code[i, 6]] += (number(1) if v[x] > number(0) else number(0.01)) * d[grad]
        elif op == 26:  # silu
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6]] += (approximations.sigmoid(v[x]) + v[y] * (number(1) - approximations.sigmoid(v[x]))) * d[grad]
        elif op == 27:  # softplus
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6]] += (approximations.sigmoid(v[x])) * d[grad]
        elif op == 28:  # gelu
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6]] += (approximations.gelu_slope(v[x])) * d[grad]
        elif op == 29:  # clip
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            d[code[i, 6]] += (number(1) if v[a] <= v[x] <= v[b] else number(0)) * d[grad]
            d[code[i, 7]] += (number(1) if v[x] < v[a] <= v[b] else number(0)) * d[grad]
            d[code[i, 8]] += (number(1) if v[x] > v[b] or v[a] > v[b] else number(0)) * d[grad]
        elif op == 30:  # where
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            d[code[i, 6]] += (number(0)) * d[grad]
            d[code[i, 7]] += (number(1) if v[x] != number(0) else number(0)) * d[grad]
            d[code[i, 8]] += (number(0) if v[x] != number(0) else number(1)) * d[grad]
        elif op == 31:  # copy
            x = code[i, 2]
            d[code[i, 6]] += (number(1)) * d[grad]
        elif op == 32:  # larger
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6]] += (number(0)) * d[grad]
            d[code[i, 7]] += (number(0)) * d[grad]
