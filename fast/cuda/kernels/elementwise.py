"""The elementwise kernels, on a GPU. Generated from micro/ops.py by `make generate`; do not edit.

`name(arguments, y)` writes the result; `name_grad_x(grad, arguments, y, grad_x)` writes grad times the slope in x.
All arrays are one-dimensional, contiguous, and of one length and one type.

A thread takes an element, and goes on by as many as there are threads. Neighbouring threads take neighbouring elements,
so that a warp's 32 numbers are one access to memory, which is what all of them wait for.
"""

from __future__ import annotations

import math

from fast.cuda import formulas
from fast.cuda.arguments import Vector
from fast.cuda.package import cuda

_abs = abs  # the kernel of that name hides Python's


def add(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] + b[i]


def add_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * number(1)


def add_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * number(1)


def sub(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] - b[i]


def sub_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * number(1)


def sub_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * -number(1)


def mul(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] * b[i]


def mul_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * b[i]


def mul_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * a[i]


def div(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] / b[i]


def div_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * (number(1) / b[i])


def div_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * (-y[i] / b[i])


def pow(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] ** b[i]


def pow_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * (b[i] * a[i] ** (b[i] - number(1)) if b[i] != number(0) else number(0))


def pow_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * (number(0) if a[i] == number(0) and b[i] >= number(0) else y[i] * math.log(a[i]))


def maximum(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] if a[i] > b[i] or a[i] != a[i] else b[i]


def maximum_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * (number(1) if a[i] > b[i] else number(0.5) if a[i] == b[i] else number(0))


def maximum_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * (number(1) if b[i] > a[i] else number(0.5) if a[i] == b[i] else number(0))


def minimum(a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] if a[i] < b[i] or a[i] != a[i] else b[i]


def minimum_grad_a(grad: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * (number(1) if a[i] < b[i] else number(0.5) if a[i] == b[i] else number(0))


def minimum_grad_b(grad: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * (number(1) if b[i] < a[i] else number(0.5) if a[i] == b[i] else number(0))


def neg(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = -x[i]


def neg_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * -number(1)


def abs(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = _abs(x[i])


def abs_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) if x[i] > number(0) else -number(1) if x[i] < number(0) else number(0))


def sign(x: Vector, y: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = number(1) if x[i] > number(0) else -number(1) if x[i] < number(0) else x[i]


def sign_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * number(0)


def exp(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.exp(x[i])


def exp_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * y[i]


def expm1(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.expm1(x[i])


def expm1_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (y[i] + number(1))


def log(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.log(x[i])


def log_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) / x[i])


def log1p(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.log1p(x[i])


def log1p_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) / (number(1) + x[i]))


def sqrt(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.sqrt(x[i])


def sqrt_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(0.5) / y[i])


def sin(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.sin(x[i])


def sin_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * math.cos(x[i])


def cos(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.cos(x[i])


def cos_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * -math.sin(x[i])


def erf(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.erf(x[i])


def erf_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(2) / math.sqrt(number(math.pi)) * math.exp(-x[i] * x[i]))


def round(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = formulas.rint(x[i])


def round_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * number(0)


def floor(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.floor(x[i])


def floor_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * number(0)


def ceil(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.ceil(x[i])


def ceil_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * number(0)


def tanh(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = math.tanh(x[i])


def tanh_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) - y[i] * y[i])


def sigmoid(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = formulas.sigmoid(x[i])


def sigmoid_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (y[i] * (number(1) - y[i]))


def relu(x: Vector, y: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = number(0) if x[i] <= number(0) else x[i]


def relu_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) if x[i] > number(0) else number(0))


def leaky_relu(x: Vector, y: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = x[i] if x[i] > number(0) else number(0.01) * x[i]


def leaky_relu_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) if x[i] > number(0) else number(0.01))


def silu(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = formulas.silu(x[i])


def silu_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (formulas.sigmoid(x[i]) + y[i] * (number(1) - formulas.sigmoid(x[i])))


def softplus(x: Vector, y: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = (number(0) if x[i] <= number(0) else x[i]) + math.log1p(math.exp(-_abs(x[i])))


def softplus_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * formulas.sigmoid(x[i])


def gelu(x: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = formulas.gelu(x[i])


def gelu_grad_x(grad: Vector, x: Vector, y: Vector, grad_x: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * formulas.gelu_slope(x[i])


def clip(x: Vector, a: Vector, b: Vector, y: Vector):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = b[i] if x[i] > b[i] or a[i] > b[i] or b[i] != b[i] else a[i] if x[i] < a[i] or a[i] != a[i] else x[i]


def clip_grad_x(grad: Vector, x: Vector, a: Vector, b: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * (number(1) if a[i] <= x[i] <= b[i] else number(0))


def clip_grad_a(grad: Vector, x: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * (number(1) if x[i] < a[i] <= b[i] else number(0))


def clip_grad_b(grad: Vector, x: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * (number(1) if x[i] > b[i] or a[i] > b[i] else number(0))


def where(x: Vector, a: Vector, b: Vector, y: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] if x[i] != number(0) else b[i]


def where_grad_x(grad: Vector, x: Vector, a: Vector, b: Vector, y: Vector, grad_x: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_x[i] = grad[i] * number(0)


def where_grad_a(grad: Vector, x: Vector, a: Vector, b: Vector, y: Vector, grad_a: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_a[i] = grad[i] * (number(1) if x[i] != number(0) else number(0))


def where_grad_b(grad: Vector, x: Vector, a: Vector, b: Vector, y: Vector, grad_b: Vector):
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        grad_b[i] = grad[i] * (number(0) if x[i] != number(0) else number(1))
