"""Where parameters begin. Each function overwrites a tensor and returns it; the same seed gives both engines the same.

The numbers should be large enough that signals do not die out from layer to layer, small enough that they do not
explode, and differ from neuron to neuron: neurons that begin alike stay alike. Names and formulas are those of
`torch.nn.init`; the weight of a layer is (out, in), or (out, in / groups, kernel...) for a convolution.

>>> import fast, nn
>>> layer = nn.Linear(784, 256, engine=fast, seed=0)
>>> weight = nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", seed=1)
>>> round(float(weight.numpy().std()), 4)  # sqrt(2 / 784) = 0.0505
0.0504
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from nn.data import generator
from nn.engine import Tensor, check_tensor
from nn.modules import Seed


def zeros_(tensor: Tensor) -> Tensor:
    """All 0. Right for a bias; as weights it leaves all neurons of a layer alike for ever."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """All 1."""
    return constant_(tensor, 1.0)


def constant_(tensor: Tensor, value: float) -> Tensor:
    """All `value`."""
    _check_numbers("constant_", value=value)
    return check_tensor("constant_", tensor).copy_(np.full(tensor.shape, float(value)))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, *, seed: Seed) -> Tensor:
    """Evenly spread between a and b."""
    _check_numbers("uniform_", a=a, b=b)
    if a > b:
        raise ValueError(f"uniform_: {a=} is above {b=}; exchange them")
    return check_tensor("uniform_", tensor).copy_(generator(seed).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, seed: Seed) -> Tensor:
    """From a normal distribution with this mean and standard deviation."""
    _check_numbers("normal_", mean=mean, std=std)
    if std < 0:
        raise ValueError(f"normal_: {std=}; give a standard deviation of 0 or more")
    return check_tensor("normal_", tensor).copy_(generator(seed).normal(mean, std, tensor.shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, seed: Seed) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)): for tanh and sigmoid (Glorot and Bengio 2010)."""
    _check_numbers("xavier_uniform_", gain=gain)
    bound = gain * math.sqrt(6 / sum(fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -abs(bound), abs(bound), seed=seed)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, seed: Seed) -> Tensor:
    """Normal with a standard deviation of gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    _check_numbers("xavier_normal_", gain=gain)
    return normal_(tensor, std=abs(gain) * math.sqrt(2 / sum(fans("xavier_normal_", tensor))), seed=seed)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, seed: Seed
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan): for ReLU and its kin (He et al. 2015).

    a: the slope of a leaky ReLU below 0; 0, the default, is that of a ReLU.
    mode: "fan_in" keeps the size of the signals on the way forward, "fan_out" that of the gradients on the way back.
    nonlinearity: what follows the layer, see `calculate_gain`.
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, seed=seed)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, seed: Seed
) -> Tensor:
    """Normal with a standard deviation of gain / sqrt(fan) (He et al. 2015); arguments as in `kaiming_uniform_`."""
    return normal_(tensor, std=_kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), seed=seed)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much the weights before an activation should be larger, to make up for what it takes from the signal.

    nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
    param: the slope of a leaky ReLU below 0, 0.01 unless given.
    """
    slope = 0.01 if param is None else param
    _check_numbers("calculate_gain", param=slope)
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: {nonlinearity=}; use one of {', '.join(map(repr, gains))}")
    return gains[nonlinearity]


def fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output of a layer with this weight has, and to how many outputs an input goes."""
    shape = check_tensor(name, tensor).shape
    if len(shape) < 2:
        raise ValueError(f"{name}: the tensor has shape {shape}; it needs (out, in), as weights have and biases do not")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = fans(name, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'{name}: {mode=}; use "fan_in" or "fan_out"')
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _check_numbers(name: str, **numbers: float) -> None:
    for word, number in numbers.items():
        if not isinstance(number, Real) or not math.isfinite(number):
            raise ValueError(f"{name}: {word}={number!r}; give a finite number")
