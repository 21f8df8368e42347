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

from fast import placement, threads
from fast.kernels import updates as kernels
from fast.tensors import Tensor, mark_written
from micro.vocabulary import no_grad

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
            _run(_SGD, p, [], lr, weight_decay)
            continue
        keep, add, ahead = momentum, 1.0 - dampening, momentum if nesterov else 0.0
        if i not in state:
            keep, add = 0.0, 1.0  # the first gradient is taken over as it is
        kept = state.get(i) or _begin(state, i, p, "momentum_buffer")
        _run(_MOMENTUM, p, [kept["momentum_buffer"]], lr, keep, add, weight_decay, ahead)


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
            means = [kept["exp_avg"], kept["exp_avg_sq"]]
            _run(_ADAM, p, means, t, lr, beta1, beta2, eps, decay, shrink)


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
            means = [kept[name] for name in ("square_avg", "grad_avg", "momentum_buffer")]
            _run(_RMSPROP, p, means, lr, alpha, eps, weight_decay, momentum, centered)


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
            _run(_ADAGRAD, p, [kept["sum"]], rate, weight_decay, eps)


def _begin(state: State, i: int, parameter: Tensor, *names: str, start: float = 0.0, **counts: int) -> dict[str, Any]:
    """What is remembered of a parameter in the beginning: tensors of its shape, filled with `start`, and counts."""
    shape, dtype, device = parameter.shape, parameter.data.dtype, parameter.device
    state[i] = {**counts, **{name: Tensor(placement.moved(np.full(shape, start, dtype), device)) for name in names}}
    return state[i]


def _run(kernels: threads.Kernels, p: Tensor, kept: Sequence[Tensor], *settings: float) -> None:
    """Move a parameter, and what is kept of it. settings: as the kernel for the CPU takes them."""
    name = kernels[0].__name__
    if placement.used and placement.on_gpu(f"{name}: a parameter and what the optimizer remembers", p, *kept):
        mark_written(p)
        placement.eager().update(name, [p.data, p._grad, *[tensor.data for tensor in kept]], settings)
        return
    arrays = [tensor.data.ravel() for tensor in kept]
    threads.run(kernels, p.data.size, LARGE, _numbers(p), p._grad.ravel(), *arrays, *settings)  # type: ignore[union-attr]


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
    if placement.used and placement.on_gpu("clip_grad_norm_", *parameters):
        return placement.eager().clip_norm([grad for _, grad in gradients], max_norm)
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
            p._grad = _clipped(p._grad, clip_value)


def _clipped(grad: Any, limit: float) -> Any:
    if isinstance(grad, np.ndarray):
        return np.asarray(np.clip(grad, -limit, limit))
    with no_grad():
        return Tensor(grad).clip(-limit, limit).data
