"""Functions of one float32 that a compiled loop applies to many numbers at once.

Why not the C library's `expf`, `tanhf`, `erff`? A processor has instructions that add or multiply 8 or 16 float32 at
once, and the compiler turns a plain loop into them. It cannot do so where the loop calls a function that it does not
see into, and the library's functions are such calls; inside they also branch (is x small? is it huge?), and the 16
numbers of one instruction can't take different branches. So here is what those functions compute, written out in
additions, multiplications, divisions, and choices between two numbers that are both computed. A branch costs nothing
then: `a if x < 0 else b` is one instruction for 16 numbers.

How exp is computed, in three steps:

1. Reduction. Let n be the whole number next to x / log(2), and r = x - n log(2). Then exp(x) = 2^n exp(r), and r lies
   within 0.35 of zero. Rounding to a whole number needs no instruction of its own: above 2^23 a float32 has no
   digits left behind the point, so adding 1.5 * 2^23 and taking it away again leaves the nearest whole number. As r is
   the small difference of two large numbers, log(2) is kept in two pieces: a short one, whose product with n is exact,
   and the rest (W. Cody and W. Waite, Software Manual for the Elementary Functions, 1980).
2. Polynomial. exp(r) = 1 + r + r^2 q(r). On so short an interval, a q of degree four is off by less than rounding.
3. Scaling. A float32 stores its exponent in bits 23 to 30, increased by 127. Where 127 is part of the number added
   in step 1, the last bits of the sum are n + 127; moved up by 23 places they *are* the float32 2^n. Near the ends of
   the range 2^n is no float32 although exp(x) is one (2^128 times 0.9; numbers below 2^-126, which are stored with
   fewer digits and are called subnormal). There the exponent is made to fit and the rest is multiplied on at the end,
   so that the result is rounded once.

Infinities and nan need no care: x is first moved to the nearest end of the range where the result is known to be 0 or
infinite, by comparisons which are false for a nan, so that a nan stays itself and spoils what is computed from it.

An ulp (unit in the last place) is the distance between neighbouring float32 numbers at the true result. The best
possible function is off by at most half an ulp. The largest errors found, trying every float32 between 2^-12 and 160 of
either sign and every 17th of all others, against float64:

    exp32         0.92 ulp
    tanh32        1.35
    sigmoid32     2.00
    silu32        2.5
    softplus32    2.5
    gelu32        3.5 (on average 0.5)
    cdf32         a relative error of 2e-10; x * cdf32(x), rounded to float32, is off by 0.51 ulp

The compiler may use the instruction that multiplies and adds at once where the processor has it (the option "contract"
below, which is on for nothing but these functions and lets nan and infinity be). So the last digit of a result can
differ between processors; the largest errors hold with and without it.

The numbers in the polynomials and fractions are minimax fits made for this file (exchange algorithm of Remez;
reweighted least squares for the fractions); the relative error left by the fit stands beside them.

The second half of the file offers each function under one name for all types: `exp(x)` in a kernel is `exp32(x)` where
x is a float32, and `math.exp(x)` elsewhere. Which one is decided while the kernel is compiled.
"""

# mypy: allow-untyped-defs

import math

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

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


exp = _by_type(exp32, lambda x: math.exp(x))
tanh = _by_type(tanh32, lambda x: math.tanh(x))
sigmoid = _by_type(sigmoid32, lambda x: (1.0 if x >= 0.0 else math.exp(x)) / (1.0 + math.exp(-math.fabs(x))))
silu = _by_type(silu32, lambda x: x * ((1.0 if x >= 0.0 else math.exp(x)) / (1.0 + math.exp(-math.fabs(x)))))
softplus = _by_type(softplus32, lambda x: (0.0 if x <= 0.0 else x) + math.log1p(math.exp(-math.fabs(x))))
cdf = _by_type(cdf32, lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)))
pdf = _by_type(pdf32, lambda x: math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))
gelu = _by_type(gelu32, lambda x: x * (0.5 * math.erfc(-x / math.sqrt(2.0))))
gelu_slope = _by_type(
    gelu_slope32,
    lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)) + x * (math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)),
)
