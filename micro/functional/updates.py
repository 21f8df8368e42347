"""Updates: how parameters move against their gradients, and how gradients that are too long are cut.

`state` belongs to the optimizer and begins as an empty dictionary. `state[i]` is what is remembered of parameter `i`
from step to step: tensors of its shape, and `step`, the number of steps. The keys are PyTorch's.

Parameters whose `requires_grad` is False stay where they are, and so does what is remembered of them. All others move:
one that took no part in the loss has a gradient of 0. (In `fast`, as in PyTorch, it has none and stays where it is.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from micro.array import Array, build, elements
from micro.ops import divide
from micro.value import Value

State = dict[int, dict[str, Any]]


def sgd_step(
    parameters: Sequence[Array],
    state: State,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: p -= lr * g; with momentum g is replaced by `buffer`, in which older gradients fade."""
    if momentum == 0:
        for x in elements(p for p in parameters if p.requires_grad):
            x.data -= lr * (x.grad + weight_decay * x.data)
        return
    for i, p in _trained(parameters):
        first = i not in state
        kept = state.get(i) or _begin(state, i, p, "momentum_buffer")
        for x, buffer in zip(p.flat(), kept["momentum_buffer"].flat(), strict=True):
            g = x.grad + weight_decay * x.data
            buffer.data = g if first else momentum * buffer.data + (1 - dampening) * g
            x.data -= lr * (g + momentum * buffer.data if nesterov else buffer.data)


def adam_step(
    parameters: Sequence[Array],
    state: State,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Kingma and Ba 2015, algorithm 1: steps of about lr, whatever the size of the gradient.

    m and v are running means of the gradient and of its square; dividing by 1 - beta^t makes up for their start at
    zero. `eps` is added outside the root. Weight decay is added to the gradient or, decoupled, shrinks the parameter
    itself by the factor 1 - lr * weight_decay, before the step (Loshchilov and Hutter 2019).
    """
    beta1, beta2 = betas
    for i, p in _trained(parameters):
        kept = state.get(i) or _begin(state, i, p, "exp_avg", "exp_avg_sq", step=0)
        t = kept["step"] = kept["step"] + 1
        for x, m, v in zip(p.flat(), kept["exp_avg"].flat(), kept["exp_avg_sq"].flat(), strict=True):
            g = x.grad
            if decoupled_weight_decay:
                x.data *= 1 - lr * weight_decay
            else:
                g += weight_decay * x.data
            m.data = beta1 * m.data + (1 - beta1) * g
            v.data = beta2 * v.data + (1 - beta2) * g * g
            m_hat, v_hat = m.data / (1 - beta1**t), v.data / (1 - beta2**t)
            x.data -= lr * divide(m_hat, math.sqrt(v_hat) + eps)


def rmsprop_step(
    parameters: Sequence[Array],
    state: State,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> None:
    """Tieleman and Hinton 2012: the gradient divided by the root of the running mean of its square.

    The mean s starts at 0, and nothing makes up for that: the first step is lr / sqrt(1 - alpha) long. `centered`
    divides by the standard deviation instead, the root of s - mean^2 (Graves 2013), where rounding below 0 counts as 0.
    """
    for i, p in _trained(parameters):
        kept = state.get(i) or _begin(state, i, p, "square_avg", "grad_avg", "momentum_buffer")
        squares, means, buffers = [kept[name].flat() for name in ("square_avg", "grad_avg", "momentum_buffer")]
        for x, s, mean, buffer in zip(p.flat(), squares, means, buffers, strict=True):
            g = x.grad + weight_decay * x.data
            s.data = alpha * s.data + (1 - alpha) * g * g
            spread = s.data
            if centered:
                mean.data = alpha * mean.data + (1 - alpha) * g
                spread = max(s.data - mean.data * mean.data, 0.0)  # in this order nan stays nan
            step = divide(g, math.sqrt(spread) + eps)
            if momentum:
                step = buffer.data = momentum * buffer.data + step
            x.data -= lr * step


def adagrad_step(
    parameters: Sequence[Array],
    state: State,
    *,
    lr: float,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> None:
    """Duchi, Hazan and Singer 2011: the gradient divided by the root of the sum of all its squares so far."""
    for i, p in _trained(parameters):
        kept = state.get(i) or _begin(state, i, p, "sum", step=0, start=initial_accumulator_value)
        t = kept["step"] = kept["step"] + 1
        rate = lr / (1 + (t - 1) * lr_decay)
        for x, total in zip(p.flat(), kept["sum"].flat(), strict=True):
            g = x.grad + weight_decay * x.data
            total.data += g * g
            x.data -= rate * divide(g, math.sqrt(total.data) + eps)


def _trained(parameters: Sequence[Array]) -> list[tuple[int, Array]]:
    """The parameters that are to move, with their numbers."""
    return [(i, p) for i, p in enumerate(parameters) if p.requires_grad]


def _begin(state: State, i: int, parameter: Array, *names: str, start: float = 0.0, **counts: int) -> dict[str, Any]:
    """What is remembered of a parameter in the beginning: tensors of its shape, filled with `start`, and counts."""
    state[i] = {**counts, **{name: build(parameter.shape, lambda *place: Value(start)) for name in names}}
    return state[i]


# ----------------------------------------------------------------------------------------------------------------------
# Gradients that are too long.


def clip_grad_norm_(parameters: Sequence[Array], max_norm: float) -> float:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)); returns the norm, sqrt(sum of g^2), before that."""
    values = elements(p for p in parameters if p.requires_grad)
    norm = math.sqrt(sum(x.grad * x.grad for x in values))
    scale = min(max_norm / (norm + 1e-6), 1.0)  # in this order nan stays nan
    for x in values:
        x.grad *= scale
    return norm


def clip_grad_value_(parameters: Sequence[Array], clip_value: float) -> None:
    """Cut every element of every gradient to the range from -clip_value to clip_value."""
    for x in elements(p for p in parameters if p.requires_grad):
        x.grad = max(min(x.grad, clip_value), -clip_value)  # in this order nan stays nan
