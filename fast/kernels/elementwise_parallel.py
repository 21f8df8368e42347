"""The elementwise kernels, each on all cores. Generated from micro/ops.py by `make generate`; do not edit.

`name(arguments, y)` writes the result; `name_grad_x(grad, arguments, y, grad_x)` writes grad times the slope in x.
All arrays are one-dimensional, contiguous, and of one length and one type.
"""

import math

import numpy as np
from numba import njit, prange

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = "7557fb9a3fab463a"

_abs = abs  # the kernel of that name hides Python's


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def add(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] + b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def add_grad_a(grad, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * number(1)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def add_grad_b(grad, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * number(1)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sub(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] - b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sub_grad_a(grad, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * number(1)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sub_grad_b(grad, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * -number(1)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def mul(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] * b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def mul_grad_a(grad, a, b, y, grad_a):
    for i in prange(y.size):
        grad_a[i] = grad[i] * b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def mul_grad_b(grad, a, b, y, grad_b):
    for i in prange(y.size):
        grad_b[i] = grad[i] * a[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def div(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] / b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def div_grad_a(grad, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * (number(1) / b[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def div_grad_b(grad, a, b, y, grad_b):
    for i in prange(y.size):
        grad_b[i] = grad[i] * (-y[i] / b[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def pow(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] ** b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def pow_grad_a(grad, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * (b[i] * a[i] ** (b[i] - number(1)) if b[i] != number(0) else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def pow_grad_b(grad, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * (number(0) if a[i] == number(0) and b[i] >= number(0) else y[i] * math.log(a[i]))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def maximum(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] if a[i] > b[i] or a[i] != a[i] else b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def maximum_grad_a(grad, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * (number(1) if a[i] > b[i] else number(0.5) if a[i] == b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def maximum_grad_b(grad, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * (number(1) if b[i] > a[i] else number(0.5) if a[i] == b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def minimum(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] if a[i] < b[i] or a[i] != a[i] else b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def minimum_grad_a(grad, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * (number(1) if a[i] < b[i] else number(0.5) if a[i] == b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def minimum_grad_b(grad, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * (number(1) if b[i] < a[i] else number(0.5) if a[i] == b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def neg(x, y):
    for i in prange(y.size):
        y[i] = -x[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def neg_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * -number(1)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def abs(x, y):
    for i in prange(y.size):
        y[i] = _abs(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def abs_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) if x[i] > number(0) else -number(1) if x[i] < number(0) else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sign(x, y):
    number = y.dtype.type
    for i in prange(y.size):
        y[i] = number(1) if x[i] > number(0) else -number(1) if x[i] < number(0) else x[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sign_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * number(0)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def exp(x, y):
    for i in prange(y.size):
        y[i] = approximations.exp(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def exp_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * y[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def expm1(x, y):
    for i in prange(y.size):
        y[i] = math.expm1(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def expm1_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (y[i] + number(1))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def log(x, y):
    for i in prange(y.size):
        y[i] = math.log(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def log_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) / x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def log1p(x, y):
    for i in prange(y.size):
        y[i] = math.log1p(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def log1p_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) / (number(1) + x[i]))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sqrt(x, y):
    for i in prange(y.size):
        y[i] = math.sqrt(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sqrt_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(0.5) / y[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sin(x, y):
    for i in prange(y.size):
        y[i] = math.sin(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sin_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * math.cos(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def cos(x, y):
    for i in prange(y.size):
        y[i] = math.cos(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def cos_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * -math.sin(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def erf(x, y):
    for i in prange(y.size):
        y[i] = math.erf(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def erf_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(2) / math.sqrt(number(math.pi)) * approximations.exp(-x[i] * x[i]))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def round(x, y):
    for i in prange(y.size):
        y[i] = np.rint(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def round_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * number(0)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def floor(x, y):
    for i in prange(y.size):
        y[i] = np.floor(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def floor_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * number(0)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def ceil(x, y):
    for i in prange(y.size):
        y[i] = np.ceil(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def ceil_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * number(0)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def tanh(x, y):
    for i in prange(y.size):
        y[i] = approximations.tanh(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def tanh_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) - y[i] * y[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sigmoid(x, y):
    for i in prange(y.size):
        y[i] = approximations.sigmoid(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sigmoid_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (y[i] * (number(1) - y[i]))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def relu(x, y):
    number = y.dtype.type
    for i in prange(y.size):
        y[i] = number(0) if x[i] <= number(0) else x[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def relu_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) if x[i] > number(0) else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def leaky_relu(x, y):
    number = y.dtype.type
    for i in prange(y.size):
        y[i] = x[i] if x[i] > number(0) else number(0.01) * x[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def leaky_relu_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) if x[i] > number(0) else number(0.01))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def silu(x, y):
    for i in prange(y.size):
        y[i] = approximations.silu(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def silu_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (approximations.sigmoid(x[i]) + y[i] * (number(1) - approximations.sigmoid(x[i])))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def softplus(x, y):
    number = y.dtype.type
    for i in prange(y.size):
        y[i] = (number(0) if x[i] <= number(0) else x[i]) + math.log1p(approximations.exp(-_abs(x[i])))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def softplus_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * approximations.sigmoid(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def gelu(x, y):
    for i in prange(y.size):
        y[i] = approximations.gelu(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def gelu_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * approximations.gelu_slope(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def clip(x, a, b, y):
    for i in prange(y.size):
        y[i] = b[i] if x[i] > b[i] or a[i] > b[i] or b[i] != b[i] else a[i] if x[i] < a[i] or a[i] != a[i] else x[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def clip_grad_x(grad, x, a, b, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) if a[i] <= x[i] <= b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def clip_grad_a(grad, x, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * (number(1) if x[i] < a[i] <= b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def clip_grad_b(grad, x, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * (number(1) if x[i] > b[i] or a[i] > b[i] else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def where(x, a, b, y):
    number = y.dtype.type
    for i in prange(y.size):
        y[i] = a[i] if x[i] != number(0) else b[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def where_grad_x(grad, x, a, b, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * number(0)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def where_grad_a(grad, x, a, b, y, grad_a):
    number = y.dtype.type
    for i in prange(y.size):
        grad_a[i] = grad[i] * (number(1) if x[i] != number(0) else number(0))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def where_grad_b(grad, x, a, b, y, grad_b):
    number = y.dtype.type
    for i in prange(y.size):
        grad_b[i] = grad[i] * (number(0) if x[i] != number(0) else number(1))
