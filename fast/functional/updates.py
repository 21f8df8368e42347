"""Updates: how parameters move against their gradients, and how gradients that are too long are cut.

`state` belongs to the optimizer and begins as an empty dictionary. `state[i]` is what is remembered of parameter `i`
from step to step: tensors of its shape, and `step`, the number of steps. The keys are PyTorch's.

Parameters without a gradient stay where they are, and so does what is remembered of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fast import threads
from fast.kernels import updates as kernels
from fast.tensors import Tensor, mark_written

State = dict[int, dict[str, Any]]
#: Elements from which the update of a parameter is worth starting on all cores: from here on it is for most kernels,
#: and is never much slower. (A little lower than `threads.CHEAP`, for roots and quotients take longer than sums.)
LARGE = 1 << 15


def sgd_step(
    parameters: Sequence[Tensor],
    state: State,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: p -= lr * g; with momentum g is replaced by `buffer`, in which older gradients fade."""
    for i, p in enumerate(parameters):
        if p._grad is None:
            continue
        if momentum == 0:
            threads.run(_SGD, p.data.size, LARGE, _numbers(p), p._grad.ravel(), lr, weight_decay)
            continue
        keep, add, ahead = momentum, 1.0 - dampening, momentum if nesterov else 0.0
        if i not in state:
            keep, add = 0.0, 1.0  # the first gradient is taken over as it is
        kept = state.get(i) or _begin(state, i, p, "momentum_buffer")
        arrays = _numbers(p), p._grad.ravel(), kept["momentum_buffer"].data.ravel()
        threads.run(_MOMENTUM, p.data.size, LARGE, *arrays, lr, keep, add, weight_decay, ahead)


def adam_step(
    parameters: Sequence[Tensor],
    state: State,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Kingma and Ba 2015, algorithm 1: steps of about lr, whatever the size of the gradient.

    decoupled_weight_decay: the decay shrinks the parameter instead of adding to its gradient.
    """
    beta1, beta2 = betas
    decay, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled_weight_decay else (weight_decay, 1.0)
    for i, p in enumerate(parameters):
        if p._grad is not None:
            kept = state.get(i) or _begin(state, i, p, "exp_avg", "exp_avg_sq", step=0)
            t = kept["step"] = kept["step"] + 1
            arrays = _numbers(p), p._grad.ravel(), kept["exp_avg"].data.ravel(), kept["exp_avg_sq"].data.ravel()
            threads.run(_ADAM, p.data.size, LARGE, *arrays, t, lr, beta1, beta2, eps, decay, shrink)


def rmsprop_step(
    parameters: Sequence[Tensor],
    state: State,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> None:
    """Tieleman and Hinton 2012: the gradient divided by the root of the running mean of its square."""
    for i, p in enumerate(parameters):
        if p._grad is not None:
            kept = state.get(i) or _begin(state, i, p, "square_avg", "grad_avg", "momentum_buffer")
            means = [kept[name].data.ravel() for name in ("square_avg", "grad_avg", "momentum_buffer")]
            settings = lr, alpha, eps, weight_decay, momentum, centered
            threads.run(_RMSPROP, p.data.size, LARGE, _numbers(p), p._grad.ravel(), *means, *settings)


def adagrad_step(
    parameters: Sequence[Tensor],
    state: State,
    *,
    lr: float,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> None:
    """Duchi, Hazan and Singer 2011: the gradient divided by the root of the sum of all its squares so far."""
    for i, p in enumerate(parameters):
        if p._grad is not None:
            kept = state.get(i) or _begin(state, i, p, "sum", step=0, start=initial_accumulator_value)
            t = kept["step"] = kept["step"] + 1
            rate = lr / (1.0 + (t - 1) * lr_decay)
            arrays = _numbers(p), p._grad.ravel(), kept["sum"].data.ravel()
            threads.run(_ADAGRAD, p.data.size, LARGE, *arrays, rate, weight_decay, eps)


def _begin(state: State, i: int, parameter: Tensor, *names: str, start: float = 0.0, **counts: int) -> dict[str, Any]:
    """What is remembered of a parameter in the beginning: tensors of its shape, filled with `start`, and counts."""
    shape, dtype = parameter.shape, parameter.data.dtype
    state[i] = {**counts, **{name: Tensor(np.full(shape, start, dtype)) for name in names}}
    return state[i]


def _numbers(parameter: Tensor) -> np.ndarray:
    """The numbers of a parameter as one contiguous array that shares their memory, to be changed by a kernel."""
    if not parameter.data.flags.c_contiguous:
        parameter.data = np.ascontiguousarray(parameter.data)
    mark_written(parameter)
    return parameter.data.ravel()


_SGD = kernels.sgd, kernels.sgd_parallel
_MOMENTUM = kernels.momentum, kernels.momentum_parallel
_ADAM = kernels.adam, kernels.adam_parallel
_RMSPROP = kernels.rmsprop, kernels.rmsprop_parallel
_ADAGRAD = kernels.adagrad, kernels.adagrad_parallel


# ----------------------------------------------------------------------------------------------------------------------
# Gradients that are too long.


def clip_grad_norm_(parameters: Sequence[Tensor], max_norm: float) -> float:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)); returns the norm, sqrt(sum of g^2), before that."""
    gradients = [(p, p._grad) for p in parameters if p._grad is not None]
    norm = math.sqrt(sum([kernels.squares(grad.ravel()) for _, grad in gradients]))
    factor = min(max_norm / (norm + 1e-6), 1.0)  # in this order nan stays nan
    if factor != 1.0:
        for p, grad in gradients:
            with np.errstate(invalid="ignore"):  # infinity times 0
                p._grad = np.asarray(grad * grad.dtype.type(factor))
    return norm


def clip_grad_value_(parameters: Sequence[Tensor], clip_value: float) -> None:
    """Cut every element of every gradient to the range from -clip_value to clip_value; nan stays nan."""
    for p in parameters:
        if p._grad is not None:
            p._grad = np.asarray(np.clip(p._grad, -clip_value, clip_value))
