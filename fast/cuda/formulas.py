"""What the formulas of kernels are written with, besides `math`, in the type of their arguments.

`math.exp`, `tanh`, `erfc` and so on are NVIDIA's libdevice here: within 1 or 2 units in the last place in float32, and
a handful of instructions, so that the approximations which the CPU needs are not needed.
"""

from __future__ import annotations

import math

from fast.cuda.package import device

# A bare 2 is an int64, which would turn float32 arithmetic into float64: every number takes the type of x.
_ROOT_HALF = math.sqrt(0.5)
_PEAK = 1 / math.sqrt(2 * math.pi)


@device
def sigmoid(x):
    """1 / (1 + exp(-x)); the exponential is taken of negative numbers only, so that it is never too large."""
    number = type(x)
    power = number(math.exp(-abs(x)))
    return (number(1) if x >= number(0) else power) / (number(1) + power)


@device
def silu(x):
    """x sigmoid(x)."""
    return x * sigmoid(x)


@device
def cdf(x):
    """The probability that a standard normal number is below x."""
    number = type(x)
    return number(0.5) * number(math.erfc(-x * number(_ROOT_HALF)))


@device
def gelu(x):
    """x cdf(x)."""
    return x * cdf(x)


@device
def gelu_slope(x):
    """cdf(x) + x pdf(x), pdf being the density of standard normal numbers."""
    number = type(x)
    pdf = number(_PEAK) * number(math.exp(number(-0.5) * x * x))
    return cdf(x) + x * pdf


@device
def rint(x):
    """x rounded to a whole number, halves to the even one."""
    number = type(x)
    low = number(math.floor(x))
    rest, half = x - low, number(0.5)
    odd = low * half != number(math.floor(low * half))
    up = rest > half or (rest == half and odd)
    return number(math.copysign(low + number(1) if up else low, x))
