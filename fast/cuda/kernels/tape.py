"""The interpreters of a tape, on a GPU. Generated from micro/ops.py by `make generate`: do not edit.

An instruction is a row of `code`; `kernels/planning.py` says what stands where. `v` holds values and `d` gradients, in
each row a number for every lane.

A thread takes a lane, a sample or a training, through all instructions. All threads do the same at the same time, so
branches cost nothing, and neighbouring lanes are neighbours in memory. But every number goes to memory and back, which
takes 40 bytes for an operation forward and backward: what the GPU waits for.
"""

from __future__ import annotations

import math

import numpy as np

from fast.cuda import formulas
from fast.cuda.arguments import Count, Instructions, Matrix, RowNumbers
from fast.cuda.package import cuda

_abs = abs


def forward(code: Instructions, pairs: Instructions, v: Matrix):
    """Compute the results of all instructions, the first one first."""
    number, lane = v.dtype.type, cuda.grid(1)
    if lane >= v.shape[1]:
        return
    for i in range(len(code)):
        op, y = code[i, 0], code[i, 1]
        if op == 0:  # a sum of products
            total = v[code[i, 2], lane]
            for k in range(code[i, 3], code[i, 4]):
                total = total + v[pairs[k, 0], lane] * v[pairs[k, 1], lane]
            v[y, lane] = total
        elif op == 1:  # add
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] + v[b, lane]
        elif op == 2:  # sub
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] - v[b, lane]
        elif op == 3:  # mul
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] * v[b, lane]
        elif op == 4:  # div
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] / v[b, lane]
        elif op == 5:  # pow
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] ** v[b, lane]
        elif op == 6:  # maximum
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] if v[a, lane] > v[b, lane] or v[a, lane] != v[a, lane] else v[b, lane]
        elif op == 7:  # minimum
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] if v[a, lane] < v[b, lane] or v[a, lane] != v[a, lane] else v[b, lane]
        elif op == 8:  # neg
            x = code[i, 2]
            v[y, lane] = -v[x, lane]
        elif op == 9:  # abs
            x = code[i, 2]
            v[y, lane] = _abs(v[x, lane])
        elif op == 10:  # sign
            x = code[i, 2]
            v[y, lane] = number(1) if v[x, lane] > number(0) else -number(1) if v[x, lane] < number(0) else v[x, lane]
        elif op == 11:  # exp
            x = code[i, 2]
            v[y, lane] = math.exp(v[x, lane])
        elif op == 12:  # expm1
            x = code[i, 2]
            v[y, lane] = math.expm1(v[x, lane])
        elif op == 13:  # log
            x = code[i, 2]
            v[y, lane] = math.log(v[x, lane])
        elif op == 14:  # log1p
            x = code[i, 2]
            v[y, lane] = math.log1p(v[x, lane])
        elif op == 15:  # sqrt
            x = code[i, 2]
            v[y, lane] = math.sqrt(v[x, lane])
        elif op == 16:  # sin
            x = code[i, 2]
            v[y, lane] = math.sin(v[x, lane])
        elif op == 17:  # cos
            x = code[i, 2]
            v[y, lane] = math.cos(v[x, lane])
        elif op == 18:  # erf
            x = code[i, 2]
            v[y, lane] = math.erf(v[x, lane])
        elif op == 19:  # round
            x = code[i, 2]
            v[y, lane] = formulas.rint(v[x, lane])
        elif op == 20:  # floor
            x = code[i, 2]
            v[y, lane] = math.floor(v[x, lane])
        elif op == 21:  # ceil
            x = code[i, 2]
            v[y, lane] = math.ceil(v[x, lane])
        elif op == 22:  # tanh
            x = code[i, 2]
            v[y, lane] = math.tanh(v[x, lane])
        elif op == 23:  # sigmoid
            x = code[i, 2]
            v[y, lane] = formulas.sigmoid(v[x, lane])
        elif op == 24:  # relu
            x = code[i, 2]
            v[y, lane] = number(0) if v[x, lane] <= number(0) else v[x, lane]
        elif op == 25:  # leaky_relu
            x = code[i, 2]
            v[y, lane] = v[x, lane] if v[x, lane] > number(0) else number(0.01) * v[x, lane]
        elif op == 26:  # silu
            x = code[i, 2]
            v[y, lane] = formulas.silu(v[x, lane])
        elif op == 27:  # softplus
            x = code[i, 2]
            v[y, lane] = (number(0) if v[x, lane] <= number(0) else v[x, lane]) + math.log1p(math.exp(-_abs(v[x, lane])))
        elif op == 28:  # gelu
            x = code[i, 2]
            v[y, lane] = formulas.gelu(v[x, lane])
        elif op == 29:  # clip
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            v[y, lane] = v[b, lane] if v[x, lane] > v[b, lane] or v[a, lane] > v[b, lane] or v[b, lane] != v[b, lane] else v[a, lane] if v[x, lane] < v[a, lane] or v[a, lane] != v[a, lane] else v[x, lane]
        elif op == 30:  # where
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            v[y, lane] = v[a, lane] if v[x, lane] != number(0) else v[b, lane]
        elif op == 31:  # copy
            x = code[i, 2]
            v[y, lane] = v[x, lane]
        elif op == 32:  # larger
            a, b = code[i, 2], code[i, 3]
            v[y, lane] = v[a, lane] if v[a, lane] > v[b, lane] or v[a, lane] != v[a, lane] else v[b, lane]


def backward(code: Instructions, pairs: Instructions, fresh: RowNumbers, trash: Count, v: Matrix, d: Matrix):
    """Hand the gradients of all results on to their arguments, the last instruction first.

    Where rounding counts, the order is that of `micro`: one argument after the other, and a chain of sums step by step,
    so that its base has its turn before the factors of the first step. What is handed to the row `trash` nobody wants.
    """
    number, lane = v.dtype.type, cuda.grid(1)
    if lane >= v.shape[1]:
        return
    for i in range(len(code) - 1, -1, -1):
        op, y, grad = code[i, 0], code[i, 1], code[i, 5]
        for k in range(code[i, 9], code[i, 10]):
            d[fresh[k], lane] = number(0)
        if op == 0:  # a sum of products
            above, first = d[grad, lane], np.int64(code[i, 3])
            for k in range(np.int64(code[i, 4]) - 1, first, -1):
                d[pairs[k, 2], lane] += v[pairs[k, 1], lane] * above
                d[pairs[k, 3], lane] += v[pairs[k, 0], lane] * above
            d[code[i, 6], lane] += above
            d[pairs[first, 2], lane] += v[pairs[first, 1], lane] * above
            d[pairs[first, 3], lane] += v[pairs[first, 0], lane] * above
        elif op == 1:  # add
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (number(1)) * d[grad, lane]
            d[code[i, 7], lane] += (number(1)) * d[grad, lane]
        elif op == 2:  # sub
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (number(1)) * d[grad, lane]
            d[code[i, 7], lane] += (-number(1)) * d[grad, lane]
        elif op == 3:  # mul
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (v[b, lane]) * d[grad, lane]
            d[code[i, 7], lane] += (v[a, lane]) * d[grad, lane]
        elif op == 4:  # div
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (number(1) / v[b, lane]) * d[grad, lane]
            d[code[i, 7], lane] += (-v[y, lane] / v[b, lane]) * d[grad, lane]
        elif op == 5:  # pow
            a, b = code[i, 2], code[i, 3]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (v[b, lane] * v[a, lane] ** (v[b, lane] - number(1)) if v[b, lane] != number(0) else number(0)) * d[grad, lane]
            if code[i, 7] != trash:
                d[code[i, 7], lane] += (number(0) if v[a, lane] == number(0) and v[b, lane] >= number(0) else v[y, lane] * math.log(v[a, lane])) * d[grad, lane]
        elif op == 6:  # maximum
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (number(1) if v[a, lane] > v[b, lane] else number(0.5) if v[a, lane] == v[b, lane] else number(0)) * d[grad, lane]
            d[code[i, 7], lane] += (number(1) if v[b, lane] > v[a, lane] else number(0.5) if v[a, lane] == v[b, lane] else number(0)) * d[grad, lane]
        elif op == 7:  # minimum
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (number(1) if v[a, lane] < v[b, lane] else number(0.5) if v[a, lane] == v[b, lane] else number(0)) * d[grad, lane]
            d[code[i, 7], lane] += (number(1) if v[b, lane] < v[a, lane] else number(0.5) if v[a, lane] == v[b, lane] else number(0)) * d[grad, lane]
        elif op == 8:  # neg
            x = code[i, 2]
            d[code[i, 6], lane] += (-number(1)) * d[grad, lane]
        elif op == 9:  # abs
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1) if v[x, lane] > number(0) else -number(1) if v[x, lane] < number(0) else number(0)) * d[grad, lane]
        elif op == 10:  # sign
            x = code[i, 2]
            d[code[i, 6], lane] += (number(0)) * d[grad, lane]
        elif op == 11:  # exp
            x = code[i, 2]
            d[code[i, 6], lane] += (v[y, lane]) * d[grad, lane]
        elif op == 12:  # expm1
            x = code[i, 2]
            d[code[i, 6], lane] += (v[y, lane] + number(1)) * d[grad, lane]
        elif op == 13:  # log
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1) / v[x, lane]) * d[grad, lane]
        elif op == 14:  # log1p
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1) / (number(1) + v[x, lane])) * d[grad, lane]
        elif op == 15:  # sqrt
            x = code[i, 2]
            d[code[i, 6], lane] += (number(0.5) / v[y, lane]) * d[grad, lane]
        elif op == 16:  # sin
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (math.cos(v[x, lane])) * d[grad, lane]
        elif op == 17:  # cos
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (-math.sin(v[x, lane])) * d[grad, lane]
        elif op == 18:  # erf
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (number(2) / math.sqrt(number(math.pi)) * math.exp(-v[x, lane] * v[x, lane])) * d[grad, lane]
        elif op == 19:  # round
            x = code[i, 2]
            d[code[i, 6], lane] += (number(0)) * d[grad, lane]
        elif op == 20:  # floor
            x = code[i, 2]
            d[code[i, 6], lane] += (number(0)) * d[grad, lane]
        elif op == 21:  # ceil
            x = code[i, 2]
            d[code[i, 6], lane] += (number(0)) * d[grad, lane]
        elif op == 22:  # tanh
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1) - v[y, lane] * v[y, lane]) * d[grad, lane]
        elif op == 23:  # sigmoid
            x = code[i, 2]
            d[code[i, 6], lane] += (v[y, lane] * (number(1) - v[y, lane])) * d[grad, lane]
        elif op == 24:  # relu
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1) if v[x, lane] > number(0) else number(0)) * d[grad, lane]
        elif op == 25:  # leaky_relu
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1) if v[x, lane] > number(0) else number(0.01)) * d[grad, lane]
        elif op == 26:  # silu
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (formulas.sigmoid(v[x, lane]) + v[y, lane] * (number(1) - formulas.sigmoid(v[x, lane]))) * d[grad, lane]
        elif op == 27:  # softplus
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (formulas.sigmoid(v[x, lane])) * d[grad, lane]
        elif op == 28:  # gelu
            x = code[i, 2]
            if code[i, 6] != trash:
                d[code[i, 6], lane] += (formulas.gelu_slope(v[x, lane])) * d[grad, lane]
        elif op == 29:  # clip
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            d[code[i, 6], lane] += (number(1) if v[a, lane] <= v[x, lane] <= v[b, lane] else number(0)) * d[grad, lane]
            d[code[i, 7], lane] += (number(1) if v[x, lane] < v[a, lane] <= v[b, lane] else number(0)) * d[grad, lane]
            d[code[i, 8], lane] += (number(1) if v[x, lane] > v[b, lane] or v[a, lane] > v[b, lane] else number(0)) * d[grad, lane]
        elif op == 30:  # where
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            d[code[i, 6], lane] += (number(0)) * d[grad, lane]
            d[code[i, 7], lane] += (number(1) if v[x, lane] != number(0) else number(0)) * d[grad, lane]
            d[code[i, 8], lane] += (number(0) if v[x, lane] != number(0) else number(1)) * d[grad, lane]
        elif op == 31:  # copy
            x = code[i, 2]
            d[code[i, 6], lane] += (number(1)) * d[grad, lane]
        elif op == 32:  # larger
            a, b = code[i, 2], code[i, 3]
            d[code[i, 6], lane] += (number(0)) * d[grad, lane]
            d[code[i, 7], lane] += (number(0)) * d[grad, lane]
