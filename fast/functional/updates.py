"""Updates: how parameters move against their gradients.

`state` belongs to the optimizer and begins as an empty dictionary; the keys are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fast.arrays import flat
from fast.kernels import updates as kernels
from fast.tensors import Tensor, mark_written


def sgd_step(
    parameters: Sequence[Tensor],
    state: dict[str, Any],
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: p -= lr * g; with momentum g is replaced by `buffer`, in which older gradients fade.

    Parameters without a gradient stay where they are.
    """
    buffers = state.setdefault("momentum_buffer", [None] * len(parameters))
    for i, p in enumerate(parameters):
        if p._grad is not None:
            numbers, grad = _numbers(p), flat(p._grad)
            first = buffers[i] is None
            if momentum and first:
                buffers[i] = np.zeros_like(numbers)
            buffer = buffers[i] if momentum else grad  # which the kernel then leaves alone
            kernels.sgd(numbers, grad, buffer, first, lr, momentum, dampening, weight_decay, nesterov)


def adam_step(
    parameters: Sequence[Tensor],
    state: dict[str, Any],
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Kingma and Ba 2015, algorithm 1: steps of about lr, whatever the size of the gradient."""
    if not state:
        state.update({name: [None] * len(parameters) for name in ("step", "exp_avg", "exp_avg_sq")})
    steps, means, squares = state["step"], state["exp_avg"], state["exp_avg_sq"]
    for i, p in enumerate(parameters):
        if p._grad is not None:
            numbers, grad = _numbers(p), flat(p._grad)
            if steps[i] is None:
                steps[i], means[i], squares[i] = 0, np.zeros_like(numbers), np.zeros_like(numbers)
            steps[i] += 1
            kernels.adam(numbers, grad, means[i], squares[i], steps[i], lr, *betas, eps, weight_decay)


def _numbers(parameter: Tensor) -> np.ndarray:
    """The numbers of a parameter as one contiguous array that shares their memory, to be changed by a kernel."""
    if not parameter.data.flags.c_contiguous:
        parameter.data = np.ascontiguousarray(parameter.data)
    mark_written(parameter)
    return parameter.data.reshape(-1)
