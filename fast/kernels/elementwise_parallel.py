"""The elementwise kernels, each on all cores. Generated from micro/ops.py by `make generate`; do not edit.

`name(arguments, y)` writes the result; `name_grad_x(grad, arguments, y, grad_x)` writes grad times the slope in x.
All arrays are one-dimensional, contiguous, and of one length and one type.
"""

import math

import numpy as np
from numba import njit, prange, types
from numba.extending import overload, register_jitable

_abs = abs  # the kernel of that name hides Python's


_OPTIONS: dict = {"error_model": "numpy", "fastmath": {"contract"}}

# A bare 1 would turn float32 arithmetic into float64, hence numbers with a type, and names for them.
_0, _HALF, _1, _2, _10, _15, _40, _89, _104, _110 = (np.float32(c) for c in (0, 0.5, 1, 2, 10, 15, 40, 89, 104, 110))
_2_TO_MINUS_64 = np.float32(2.0**-64)

# What rounds to a whole number, with the bias of the exponent: for 2^n, 2^(n-1), 2^(n+64) and 2^(n-64).
_ROUND = np.float32(1.5 * 2**23 + 127)
_ROUND_HALVED, _ROUND_UP, _ROUND_DOWN = (np.float32(_ROUND + c) for c in (-1, 64, -64))

_LOG2_E = np.float32(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = np.float32(355 / 512), np.float32(math.log(2) - 355 / 512)

# exp(r) = 1 + r + r^2 (E2 + E3 r + ...), |r| < 0.3467: 6e-10; of exp(r) - 1: 5e-9
_E2, _E3, _E4, _E5, _E6 = (
    np.float32(c) for c in (0.50000000619, 0.166665429248, 0.0416662818397, 0.0083665980328, 0.00139464735931)
)


@register_jitable(**_OPTIONS)
def _power_of_two(z):
    """2^n, where `z` is n + `_ROUND`."""
    return np.int32(np.float32(z).view(np.int32) << 23).view(np.float32)


@register_jitable(**_OPTIONS)
def _exp_of_rest(high, low):
    """exp(r) - 1 for the small r = high - low, where `low` is what the last digits of `high` have no room for."""
    r = high - low
    q = (((_E6 * r + _E5) * r + _E4) * r + _E3) * r + _E2
    return high + (r * r * q - low)


@register_jitable(**_OPTIONS)
def _exp_parts(x, to_round):
    """(s, p) such that exp(x) is s * (1 + p); s is a power of two, off by the factor that `to_round` stands for."""
    z = x * _LOG2_E + to_round
    n = z - to_round
    return _power_of_two(z), _exp_of_rest(x - n * _LN2_HIGH, n * _LN2_LOW)


@register_jitable(**_OPTIONS)
def exp32(x):
    """exp(x)."""
    x = _89 if x > _89 else x
    x = -_104 if x < -_104 else x
    s, p = _exp_parts(x, _ROUND_UP if x < _0 else _ROUND_HALVED)
    return (s + s * p) * (_2_TO_MINUS_64 if x < _0 else _2)


# tanh(x) = x + x^3 (T3 + T5 x^2 + ...), |x| < 0.55: 1e-9
_T3, _T5, _T7, _T9, _T11 = (
    np.float32(c) for c in (-0.33333318505, 0.13332613999, -0.0538549534493, 0.0210817356668, -0.00628755622022)
)
_SMALL = np.float32(0.55)


@register_jitable(**_OPTIONS)
def tanh32(x):
    """tanh(x): its odd polynomial where x is small, 1 - 2 / (1 + exp(2 |x|)) with the sign of x elsewhere."""
    a = math.fabs(x)
    a = _10 if a > _10 else a
    s, p = _exp_parts(a + a, _ROUND)
    large = math.copysign(_1 - _2 / (_1 + s + s * p), x)
    u = x * x
    t = (((_T11 * u + _T9) * u + _T7) * u + _T5) * u + _T3
    return x + x * (u * t) if a < _SMALL else large


@register_jitable(**_OPTIONS)
def _sigmoid_parts(x):
    """(t, y): -x brought between -40 and 110, and 2^64 / (1 + exp(t)), all of whose digits fit at either end."""
    t = -x
    t = _110 if t > _110 else t
    t = -_40 if t < -_40 else t
    s, p = _exp_parts(t, _ROUND_DOWN)
    return t, _1 / (s + (s * p + _2_TO_MINUS_64))


@register_jitable(**_OPTIONS)
def sigmoid32(x):
    """1 / (1 + exp(-x))."""
    return _sigmoid_parts(x)[1] * _2_TO_MINUS_64


@register_jitable(**_OPTIONS)
def silu32(x):
    """x sigmoid(x), multiplied in the order that keeps all digits until the end; -0 for minus infinity, its limit."""
    t, y = _sigmoid_parts(x)
    return y * (-t if x < _0 else _2_TO_MINUS_64) * (_2_TO_MINUS_64 if x < _0 else x)


# log(1 + e) = e + e^2 (L2 + L3 e + ...), 0 <= e <= 1: 5e-9
_L2, _L3, _L4, _L5, _L6 = (
    np.float32(c) for c in (-0.499999577367, 0.333312242144, -0.249658786481, 0.197323614571, -0.154605728833)
)
_L7, _L8, _L9, _L10 = (np.float32(c) for c in (0.108566093258, -0.0593848905057, 0.0211126593284, -0.00351845045072))


@register_jitable(**_OPTIONS)
def softplus32(x):
    """log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|))."""
    t = -math.fabs(x)
    t = -_104 if t < -_104 else t
    s, p = _exp_parts(t, _ROUND_UP)
    e = (s + s * p) * _2_TO_MINUS_64
    q = (((((((_L10 * e + _L9) * e + _L8) * e + _L7) * e + _L6) * e + _L5) * e + _L4) * e + _L3) * e + _L2
    return (_0 if x < _0 else x) + (e + e * (e * q))


# ----------------------------------------------------------------------------------------------------------------------
# The normal distribution. Far out on the left its probabilities are exp(-x^2 / 2) times something smooth. The float64
# functions are accurate to nine digits; the float32 ones take half their time.

_LOG2_E64, _LN2_64 = 1 / math.log(2), math.log(2)
_ROUND64 = 1.5 * 2**52 + 1023

# exp(r) = 1 + r + r^2 (F2 + F3 r + ...), |r| < 0.3467: 5e-11
_F2, _F3, _F4 = 0.500000007789213254, 0.166666668609812251, 0.0416662697801102394
_F5, _F6, _F7 = 0.008333264277630447, 0.00139460928021925106, 0.000199184321676607222

# cdf(-a) = exp(-a^2 / 2) * (P0 + P1 a + ...) / (1 + Q1 a + ...), 0 <= a <= 15: 9e-11
_P0, _P1, _P2 = 0.49999999995539823, 0.5083735413623386, 0.25131810061639953
_P3, _P4, _P5 = 0.07162538467129793, 0.01171487188638548, 0.0008970185376512245
_Q1, _Q2, _Q3 = 1.814631635011048, 1.450502896975642, 0.6592295560134475
_Q4, _Q5, _Q6 = 0.18179206369841366, 0.02936465229195731, 0.0022484946226256556

_END = 37.66  # where exp(-a^2 / 2) is computed as exactly 0: n is -1023 there
_PEAK = 1 / math.sqrt(2 * math.pi)


@register_jitable(**_OPTIONS)
def _bell(x):
    """a = |x|, cut at `_END`, and exp(-a^2 / 2), both as float64."""
    a = math.fabs(np.float64(x))
    a = _END if a > _END else a
    v = -0.5 * a * a
    z = v * _LOG2_E64 + _ROUND64
    r = v - (z - _ROUND64) * _LN2_64
    q = ((((_F7 * r + _F6) * r + _F5) * r + _F4) * r + _F3) * r + _F2
    return a, (1.0 + (r + r * r * q)) * np.int64(np.float64(z).view(np.int64) << 52).view(np.float64)


@register_jitable(**_OPTIONS)
def cdf32(x):
    """The probability that a standard normal number is below x, as float64."""
    a, bell = _bell(x)
    p = ((((_P5 * a + _P4) * a + _P3) * a + _P2) * a + _P1) * a + _P0
    q = (((((_Q6 * a + _Q5) * a + _Q4) * a + _Q3) * a + _Q2) * a + _Q1) * a + 1.0
    tail = bell * p / q
    return tail if x < _0 else 1.0 - tail


@register_jitable(**_OPTIONS)
def pdf32(x):
    """The density of the standard normal distribution at x, as float64."""
    return _bell(x)[1] * _PEAK


# exp(-a^2 / 2) / cdf(-a) = 2 + a (sqrt(2 pi) - (R0 + R1 a + ...) / (1 + S1 a + ...)), 0 <= a <= 15: 2e-8
_R0, _R1, _R2, _R3 = (
    np.float32(c) for c in (0.910857629435536, 0.5598708610700759, 0.15777370002240607, 0.01939494065052758)
)
_S1, _S2, _S3, _S4 = (
    np.float32(c) for c in (0.9146223060536003, 0.3950208259840713, 0.09098843708265954, 0.009698638953559878)
)
_PEAK32, _SQRT_2_PI = np.float32(_PEAK), np.float32(1 / _PEAK)
_UPPER_BITS = np.int32(-(1 << 12))


@register_jitable(**_OPTIONS)
def _tail_parts(x):
    """(a, s, p, w): a = |x|, cut at 15; exp(-a^2 / 2) = s * (1 + p) * 2^-64; and cdf(-a) is that divided by w.

    a^2 has twice the digits of a. The square of a's upper twelve digits is exact; what is missing joins `low`.
    """
    a = math.fabs(x)
    a = _15 if a > _15 else a
    upper = np.int32(np.float32(a).view(np.int32) & _UPPER_BITS).view(np.float32)
    half = _HALF * upper * upper
    z = _ROUND_UP - half * _LOG2_E
    n = z - _ROUND_UP
    p = _exp_of_rest(-half - n * _LN2_HIGH, n * _LN2_LOW + _HALF * (a - upper) * (a + upper))
    ratio = (((_R3 * a + _R2) * a + _R1) * a + _R0) / ((((_S4 * a + _S3) * a + _S2) * a + _S1) * a + _1)
    return a, _power_of_two(z), p, (_2 - a * ratio) + a * _SQRT_2_PI


@register_jitable(**_OPTIONS)
def gelu32(x):
    """x cdf(x), as max(x, 0) - |x| cdf(-|x|)."""
    a, s, p, w = _tail_parts(x)
    s = s * a
    return (_0 if x < _0 else x) - (s + s * p) / w * _2_TO_MINUS_64


@register_jitable(**_OPTIONS)
def gelu_slope32(x):
    """cdf(x) + x pdf(x)."""
    a, s, p, w = _tail_parts(x)
    t = _PEAK32 * a - _1 / w
    t = (t + t * p) * s * _2_TO_MINUS_64
    return _1 + t if x >= _0 else -t


# ----------------------------------------------------------------------------------------------------------------------
# One name for all types.


def _by_type(single, double):
    """A function for kernels: `single` where its argument is a float32, `double` where it is anything else."""

    def function(x):
        raise NotImplementedError("only for compiled code")

    overload(function, jit_options=_OPTIONS)(lambda x: single if x == types.float32 else double)
    return function


_exp = _by_type(exp32, lambda x: math.exp(x))
_tanh = _by_type(tanh32, lambda x: math.tanh(x))
_sigmoid = _by_type(sigmoid32, lambda x: (1.0 if x >= 0.0 else math.exp(x)) / (1.0 + math.exp(-math.fabs(x))))
_silu = _by_type(silu32, lambda x: x * ((1.0 if x >= 0.0 else math.exp(x)) / (1.0 + math.exp(-math.fabs(x)))))
_softplus = _by_type(softplus32, lambda x: (0.0 if x <= 0.0 else x) + math.log1p(math.exp(-math.fabs(x))))
_cdf = _by_type(cdf32, lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)))
_pdf = _by_type(pdf32, lambda x: math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))
_gelu = _by_type(gelu32, lambda x: x * (0.5 * math.erfc(-x / math.sqrt(2.0))))
_gelu_slope = _by_type(
    gelu_slope32,
    lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)) + x * (math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)),
)


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
        y[i] = _exp(x[i])


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
        grad_x[i] = grad[i] * (number(2) / math.sqrt(number(math.pi)) * _exp(-x[i] * x[i]))


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
        y[i] = _tanh(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def tanh_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (number(1) - y[i] * y[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def sigmoid(x, y):
    for i in prange(y.size):
        y[i] = _sigmoid(x[i])


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
        y[i] = x[i] * _sigmoid(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def silu_grad_x(grad, x, y, grad_x):
    number = y.dtype.type
    for i in prange(y.size):
        grad_x[i] = grad[i] * (_sigmoid(x[i]) + y[i] * (number(1) - _sigmoid(x[i])))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def softplus(x, y):
    number = y.dtype.type
    for i in prange(y.size):
        y[i] = (number(0) if x[i] <= number(0) else x[i]) + math.log1p(_exp(-_abs(x[i])))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def softplus_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * _sigmoid(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def gelu(x, y):
    for i in prange(y.size):
        y[i] = x[i] * _cdf(x[i])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def gelu_grad_x(grad, x, y, grad_x):
    for i in prange(y.size):
        grad_x[i] = grad[i] * (_cdf(x[i]) + x[i] * _pdf(x[i]))


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
