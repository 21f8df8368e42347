"""The interpreters of a tape, in many lanes. Generated from micro/ops.py by `make generate`; do not edit.

An instruction is a row of `code`; `kernels/planning.py` says what stands where. `v` holds values and `d` gradients,
in each row a number for every lane.
"""

import math

import numpy as np
from numba import njit

from fast import approximations
from fast.intrinsics import LANES, add, choose, load, store

# Numba does not see that a function of another file has changed. These lines do change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"
INTRINSICS = "17fbae5c3d37e27c"

_abs = abs


@njit(cache=True, nogil=True, error_model="numpy")
def forward(code, pairs, v):
    """Compute the results of all instructions, the first one first."""
    number = v.dtype.type
    for i in range(len(code)):
        op, y = code[i, 0], code[i, 1]
        if op == 0:  # a sum of products
            total = load(v, code[i, 2])
            for k in range(code[i, 3], code[i, 4]):
                total = total + load(v, pairs[k, 0]) * load(v, pairs[k, 1])
            store(v, y, total)
        elif op == 1:  # add
            a, b = code[i, 2], code[i, 3]
            store(v, y, load(v, a) + load(v, b))
        elif op == 2:  # sub
            a, b = code[i, 2], code[i, 3]
            store(v, y, load(v, a) - load(v, b))
        elif op == 3:  # mul
            a, b = code[i, 2], code[i, 3]
            store(v, y, load(v, a) * load(v, b))
        elif op == 4:  # div
            a, b = code[i, 2], code[i, 3]
            store(v, y, load(v, a) / load(v, b))
        elif op == 5:  # pow
            a, b = code[i, 2], code[i, 3]
            for lane in range(LANES):
                v[y, lane] = v[a, lane] ** v[b, lane]
        elif op == 6:  # maximum
            a, b = code[i, 2], code[i, 3]
            store(v, y, choose((load(v, a) > load(v, b)) | (load(v, a) != load(v, a)), load(v, a), load(v, b)))
        elif op == 7:  # minimum
            a, b = code[i, 2], code[i, 3]
            store(v, y, choose((load(v, a) < load(v, b)) | (load(v, a) != load(v, a)), load(v, a), load(v, b)))
        elif op == 8:  # neg
            x = code[i, 2]
            store(v, y, -load(v, x))
        elif op == 9:  # abs
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = _abs(v[x, lane])
        elif op == 10:  # sign
            x = code[i, 2]
            store(v, y, choose(load(v, x) > number(0), number(1), choose(load(v, x) < number(0), -number(1), load(v, x))))
        elif op == 11:  # exp
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = approximations.exp(v[x, lane])
        elif op == 12:  # expm1
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.expm1(v[x, lane])
        elif op == 13:  # log
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.log(v[x, lane])
        elif op == 14:  # log1p
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.log1p(v[x, lane])
        elif op == 15:  # sqrt
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.sqrt(v[x, lane])
        elif op == 16:  # sin
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.sin(v[x, lane])
        elif op == 17:  # cos
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.cos(v[x, lane])
        elif op == 18:  # erf
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = math.erf(v[x, lane])
        elif op == 19:  # round
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = np.rint(v[x, lane])
        elif op == 20:  # floor
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = np.floor(v[x, lane])
        elif op == 21:  # ceil
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = np.ceil(v[x, lane])
        elif op == 22:  # tanh
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = approximations.tanh(v[x, lane])
        elif op == 23:  # sigmoid
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = approximations.sigmoid(v[x, lane])
        elif op == 24:  # relu
            x = code[i, 2]
            store(v, y, choose(load(v, x) <= number(0), number(0), load(v, x)))
        elif op == 25:  # leaky_relu
            x = code[i, 2]
            store(v, y, choose(load(v, x) > number(0), load(v, x), number(0.01) * load(v, x)))
        elif op == 26:  # silu
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = approximations.silu(v[x, lane])
        elif op == 27:  # softplus
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = (number(0) if v[x, lane] <= number(0) else v[x, lane]) + math.log1p(approximations.exp(-_abs(v[x, lane])))
        elif op == 28:  # gelu
            x = code[i, 2]
            for lane in range(LANES):
                v[y, lane] = approximations.gelu(v[x, lane])
        elif op == 29:  # clip
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            store(v, y, choose((load(v, x) > load(v, b)) | (load(v, a) > load(v, b)) | (load(v, b) != load(v, b)), load(v, b), choose((load(v, x) < load(v, a)) | (load(v, a) != load(v, a)), load(v, a), load(v, x))))
        elif op == 30:  # where
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            store(v, y, choose(load(v, x) != number(0), load(v, a), load(v, b)))
        elif op == 31:  # copy
            x = code[i, 2]
            store(v, y, load(v, x))
        elif op == 32:  # larger
            a, b = code[i, 2], code[i, 3]
            store(v, y, choose((load(v, a) > load(v, b)) | (load(v, a) != load(v, a)), load(v, a), load(v, b)))


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
            store(d, fresh[k], number(0))
        if op == 0:  # a sum of products
            above, first = load(d, grad), np.int64(code[i, 3])
            for k in range(np.int64(code[i, 4]) - 1, first, -1):
                add(d, pairs[k, 2], load(v, pairs[k, 1]) * above)
                add(d, pairs[k, 3], load(v, pairs[k, 0]) * above)
            add(d, code[i, 6], above)
            add(d, pairs[first, 2], load(v, pairs[first, 1]) * above)
            add(d, pairs[first, 3], load(v, pairs[first, 0]) * above)
        elif op == 1:  # add
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (number(1)) * load(d, grad))
            add(d, code[i, 7], (number(1)) * load(d, grad))
        elif op == 2:  # sub
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (number(1)) * load(d, grad))
            add(d, code[i, 7], (-number(1)) * load(d, grad))
        elif op == 3:  # mul
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (load(v, b)) * load(d, grad))
            add(d, code[i, 7], (load(v, a)) * load(d, grad))
        elif op == 4:  # div
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (number(1) / load(v, b)) * load(d, grad))
            add(d, code[i, 7], (-load(v, y) / load(v, b)) * load(d, grad))
        elif op == 5:  # pow
            a, b = code[i, 2], code[i, 3]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (v[b, lane] * v[a, lane] ** (v[b, lane] - number(1)) if v[b, lane] != number(0) else number(0)) * d[grad, lane]
            if code[i, 7] != trash:
                for lane in range(LANES):
                    d[code[i, 7], lane] += (number(0) if v[a, lane] == number(0) and v[b, lane] >= number(0) else v[y, lane] * math.log(v[a, lane])) * d[grad, lane]
        elif op == 6:  # maximum
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (choose(load(v, a) > load(v, b), number(1), choose(load(v, a) == load(v, b), number(0.5), number(0)))) * load(d, grad))
            add(d, code[i, 7], (choose(load(v, b) > load(v, a), number(1), choose(load(v, a) == load(v, b), number(0.5), number(0)))) * load(d, grad))
        elif op == 7:  # minimum
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (choose(load(v, a) < load(v, b), number(1), choose(load(v, a) == load(v, b), number(0.5), number(0)))) * load(d, grad))
            add(d, code[i, 7], (choose(load(v, b) < load(v, a), number(1), choose(load(v, a) == load(v, b), number(0.5), number(0)))) * load(d, grad))
        elif op == 8:  # neg
            x = code[i, 2]
            add(d, code[i, 6], (-number(1)) * load(d, grad))
        elif op == 9:  # abs
            x = code[i, 2]
            add(d, code[i, 6], (choose(load(v, x) > number(0), number(1), choose(load(v, x) < number(0), -number(1), number(0)))) * load(d, grad))
        elif op == 10:  # sign
            x = code[i, 2]
            add(d, code[i, 6], (number(0)) * load(d, grad))
        elif op == 11:  # exp
            x = code[i, 2]
            add(d, code[i, 6], (load(v, y)) * load(d, grad))
        elif op == 12:  # expm1
            x = code[i, 2]
            add(d, code[i, 6], (load(v, y) + number(1)) * load(d, grad))
        elif op == 13:  # log
            x = code[i, 2]
            add(d, code[i, 6], (number(1) / load(v, x)) * load(d, grad))
        elif op == 14:  # log1p
            x = code[i, 2]
            add(d, code[i, 6], (number(1) / (number(1) + load(v, x))) * load(d, grad))
        elif op == 15:  # sqrt
            x = code[i, 2]
            add(d, code[i, 6], (number(0.5) / load(v, y)) * load(d, grad))
        elif op == 16:  # sin
            x = code[i, 2]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (math.cos(v[x, lane])) * d[grad, lane]
        elif op == 17:  # cos
            x = code[i, 2]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (-math.sin(v[x, lane])) * d[grad, lane]
        elif op == 18:  # erf
            x = code[i, 2]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (number(2) / math.sqrt(number(math.pi)) * approximations.exp(-v[x, lane] * v[x, lane])) * d[grad, lane]
        elif op == 19:  # round
            x = code[i, 2]
            add(d, code[i, 6], (number(0)) * load(d, grad))
        elif op == 20:  # floor
            x = code[i, 2]
            add(d, code[i, 6], (number(0)) * load(d, grad))
        elif op == 21:  # ceil
            x = code[i, 2]
            add(d, code[i, 6], (number(0)) * load(d, grad))
        elif op == 22:  # tanh
            x = code[i, 2]
            add(d, code[i, 6], (number(1) - load(v, y) * load(v, y)) * load(d, grad))
        elif op == 23:  # sigmoid
            x = code[i, 2]
            add(d, code[i, 6], (load(v, y) * (number(1) - load(v, y))) * load(d, grad))
        elif op == 24:  # relu
            x = code[i, 2]
            add(d, code[i, 6], (choose(load(v, x) > number(0), number(1), number(0))) * load(d, grad))
        elif op == 25:  # leaky_relu
            x = code[i, 2]
            add(d, code[i, 6], (choose(load(v, x) > number(0), number(1), number(0.01))) * load(d, grad))
        elif op == 26:  # silu
            x = code[i, 2]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (approximations.sigmoid(v[x, lane]) + v[y, lane] * (number(1) - approximations.sigmoid(v[x, lane]))) * d[grad, lane]
        elif op == 27:  # softplus
            x = code[i, 2]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (approximations.sigmoid(v[x, lane])) * d[grad, lane]
        elif op == 28:  # gelu
            x = code[i, 2]
            if code[i, 6] != trash:
                for lane in range(LANES):
                    d[code[i, 6], lane] += (approximations.gelu_slope(v[x, lane])) * d[grad, lane]
        elif op == 29:  # clip
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            add(d, code[i, 6], (choose((load(v, a) <= load(v, x)) & (load(v, x) <= load(v, b)), number(1), number(0))) * load(d, grad))
            add(d, code[i, 7], (choose((load(v, x) < load(v, a)) & (load(v, a) <= load(v, b)), number(1), number(0))) * load(d, grad))
            add(d, code[i, 8], (choose((load(v, x) > load(v, b)) | (load(v, a) > load(v, b)), number(1), number(0))) * load(d, grad))
        elif op == 30:  # where
            x, a, b = code[i, 2], code[i, 3], code[i, 4]
            add(d, code[i, 6], (number(0)) * load(d, grad))
            add(d, code[i, 7], (choose(load(v, x) != number(0), number(1), number(0))) * load(d, grad))
            add(d, code[i, 8], (choose(load(v, x) != number(0), number(0), number(1))) * load(d, grad))
        elif op == 31:  # copy
            x = code[i, 2]
            add(d, code[i, 6], (number(1)) * load(d, grad))
        elif op == 32:  # larger
            a, b = code[i, 2], code[i, 3]
            add(d, code[i, 6], (number(0)) * load(d, grad))
            add(d, code[i, 7], (number(0)) * load(d, grad))
