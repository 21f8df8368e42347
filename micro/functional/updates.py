"""Updates: how parameters move against their gradients.

`state` belongs to the optimizer and begins as an empty dictionary; the keys are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from micro.array import Array, elements
from micro.ops import divide


def sgd_step(
    parameters: Sequence[Array],
    state: dict[str, Any],
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: p -= lr * g; with momentum g is replaced by `buffer`, in which older gradients fade.

    Every parameter moves; one that took no part in the loss has a gradient of 0.
    """
    values = elements(parameters)
    first = "momentum_buffer" not in state
    buffers = state.setdefault("momentum_buffer", [0.0] * len(values))
    for i, p in enumerate(values):
        g = p.grad + weight_decay * p.data
        if momentum:
            buffers[i] = g if first else momentum * buffers[i] + (1 - dampening) * g
            g = g + momentum * buffers[i] if nesterov else buffers[i]
        p.data -= lr * g


def adam_step(
    parameters: Sequence[Array],
    state: dict[str, Any],
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Kingma and Ba 2015, algorithm 1: steps of about lr, whatever the size of the gradient.

    m and v are running means of the gradient and of its square; dividing by 1 - beta^t makes up for their start at
    zero. `eps` is added outside the root.
    """
    values = elements(parameters)
    beta1, beta2 = betas
    t = state["step"] = state.get("step", 0) + 1
    m = state.setdefault("exp_avg", [0.0] * len(values))
    v = state.setdefault("exp_avg_sq", [0.0] * len(values))
    for i, p in enumerate(values):
        g = p.grad + weight_decay * p.data
        m[i] = beta1 * m[i] + (1 - beta1) * g
        v[i] = beta2 * v[i] + (1 - beta2) * g * g
        m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
        p.data -= lr * divide(m_hat, math.sqrt(v_hat) + eps)
