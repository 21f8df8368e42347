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
    gelu32        1.94
    gelu_slope32  2.6 (of the larger of cdf(x) and x pdf(x), as their sum can be zero)

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
    """tanh(x): its odd polynomial where |x| is small, 1 - 2 / (1 + exp(2 |x|)) elsewhere, with the sign of x."""
    a = abs(x)
    a = _10 if a > _10 else a
    s, p = _exp_parts(a + a, _ROUND)
    large = _1 - _2 / (_1 + s + s * p)
    u = a * a
    t = (((_T11 * u + _T9) * u + _T7) * u + _T5) * u + _T3
    return math.copysign(a + a * (u * t) if a < _SMALL else large, x)


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


# ----------------------------------------------------------------------------------------------------------------------
# The normal distribution. Far out on the left its probabilities are exp(-x^2 / 2) times something smooth.

_PEAK = 1 / math.sqrt(2 * math.pi)
_UPPER_BITS = np.int32(-(1 << 12))
_HALF_LOG2_E = np.float32(0.5 / math.log(2))
_TWICE_LN2_HIGH, _TWICE_LN2_LOW = np.float32(2 * _LN2_HIGH), np.float32(2 * _LN2_LOW)

# 2 exp(r / 2) - 2 = r + r^2 (G2 + G3 r + ...): the polynomial of exp above, in r / 2
_G2, _G3, _G4, _G5, _G6 = (np.float32(c) for c in (_E2 / 2, _E3 / 4, _E4 / 8, _E5 / 16, _E6 / 32))


@register_jitable(**_OPTIONS)
def _bell_parts(x):
    """(a, u, s, p): a = |x|, cut at 15; u = a^2; exp(-a^2 / 2) = s * (1 + p / 2) * 2^-64.

    a^2 has twice the digits of a. The square of a's upper twelve digits is exact; what is missing joins `low`. All is
    done for -a^2, twice what is wanted, to save the halving. Where the processor works on 16 numbers at once, a long
    chain of steps that wait for each other takes longer than a few steps more side by side: hence polynomials in pairs,
    (c0 + c1 r) + (c2 + c3 r) r^2.
    """
    a = abs(x)
    a = _15 if a > _15 else a
    u = a * a
    upper = np.int32(np.float32(a).view(np.int32) & _UPPER_BITS).view(np.float32)
    z = _ROUND_UP - u * _HALF_LOG2_E
    n = _ROUND_UP - z
    low = n * _TWICE_LN2_LOW - (a - upper) * (a + upper)
    high = n * _TWICE_LN2_HIGH - upper * upper
    r = high + low
    v = r * r
    q = (_G6 * v + (_G5 * r + _G4)) * v + (_G3 * r + _G2)
    return a, u, _power_of_two(z), high + (v * q + low)


# a cdf(-a) / exp(-a^2 / 2) = 0.33 + (N0 + N1 a + ...) / (1 + D1 a + ...), 0.8 <= a <= 13.25: 8e-9. Beyond 13.25 the
# results are subnormal. As the fraction is small beside 0.33, so are its rounding errors. 2^-65 prepares two steps.
_LEVEL = np.float32(np.float32(0.33) * 2.0**-64)
_HALF_LEVEL = np.float32(_LEVEL / 2)
_N0, _N1, _N2, _N3, _N4 = (
    np.float32(c * 2.0**-65) for c in (-0.329925388, -0.0162880998, 0.0472887121, 0.0232254155, 0.00378626143)
)
_D1, _D2, _D3, _D4, _D5 = (np.float32(c) for c in (1.56304276, 1.02038455, 0.335679919, 0.0549694337, -9.08163258e-07))
# cdf(x) = 0.5 + x (C0 + C1 x^2 + ...), |x| < 0.8: 3e-9
_C0, _C1, _C2, _C3, _C4 = (
    np.float32(c) for c in (0.398942262, -0.0664899051, 0.00996994041, -0.00117572153, 9.86404484e-05)
)
_NEAR = np.float32(0.8)


@register_jitable(**_OPTIONS)
def gelu32(x):
    """x cdf(x): x / 2 and a polynomial of x^2 where x is small, max(x, 0) - |x| cdf(-|x|) elsewhere."""
    a, u, s, p = _bell_parts(x)
    q = ((_N4 * u + (_N3 * a + _N2)) * u + (_N1 * a + _N0)) / (
        ((_D5 * a + _D4) * u + (_D3 * a + _D2)) * u + (_D1 * a + _1)
    )
    large = (_0 if x < _0 else x) - s * (_LEVEL + ((q + q) + p * (_HALF_LEVEL + q)))
    small = _HALF * x + u * ((((_C4 * u + _C3) * u + _C2) * u + _C1) * u + _C0)
    return small if a < _NEAR else large


# cdf(-a) / exp(-a^2 / 2) = 0.25 + (K0 + K1 a + ...) / (1 + H1 a + ...), 0 <= a <= 13.25: 2e-8 of it or of a pdf(0)
_K0, _K1, _K2, _K3, _K4 = (
    np.float32(c * 2.0**-65) for c in (0.25, -0.0412786193, -0.112635769, -0.0478328802, -0.00737105077)
)
_H1, _H2, _H3, _H4 = (np.float32(c) for c in (1.43065369, 0.832464159, 0.238284141, 0.0294868406))
_LEFT, _FALL = np.float32(0.25 * 2.0**-64), np.float32(_PEAK * 2.0**-64)


@register_jitable(**_OPTIONS)
def gelu_slope32(x):
    """cdf(x) + x pdf(x)."""
    a, u, s, p = _bell_parts(x)
    q = ((_K4 * u + (_K3 * a + _K2)) * u + (_K1 * a + _K0)) / ((_H4 * u + (_H3 * a + _H2)) * u + (_H1 * a + _1))
    line = _LEFT - _FALL * a
    t = s * (line + ((q + q) + p * (_HALF * line + q)))
    return _1 - t if x >= _0 else t


# ----------------------------------------------------------------------------------------------------------------------
# One name for all types.


def _by_type(single, double):
    """A function for kernels: `single` where its argument is a float32, `double` where it is anything else.

    The option "contract" stays with `single`: in float64 every step is rounded, as in the engine of scalars.
    """

    def function(x):
        raise NotImplementedError("only for compiled code")

    overload(function, jit_options={"error_model": "numpy"})(
        lambda x: (lambda x: single(x)) if x == types.float32 else double
    )
    return function


exp = _by_type(exp32, lambda x: math.exp(x))
tanh = _by_type(tanh32, lambda x: math.tanh(x))
sigmoid = _by_type(sigmoid32, lambda x: (1.0 if x >= 0.0 else math.exp(x)) / (1.0 + math.exp(-abs(x))))
silu = _by_type(silu32, lambda x: x * ((1.0 if x >= 0.0 else math.exp(x)) / (1.0 + math.exp(-abs(x)))))
gelu = _by_type(gelu32, lambda x: x * (0.5 * math.erfc(-x / math.sqrt(2.0))))
gelu_slope = _by_type(
    gelu_slope32,
    lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)) + x * (math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)),
)
