"""Optimizers: how parameters move against their gradients. Formulas and defaults are PyTorch's.

optimizer.zero_grad()
loss.backward()
optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

from nn.engine import Tensor, check_parameters


class Optimizer:
    """Parameters, and what `step` remembers about them.

    lr: the learning rate; may be changed between steps.
    state: what the engine keeps from step to step, under PyTorch's names.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        name = type(self).__name__
        self.parameters = check_parameters(name, parameters)
        if not (isinstance(lr, Real) and 0 < lr < math.inf):
            raise ValueError(f"{name}: lr={lr!r}; the learning rate must be a positive number, such as 0.01")
        self.lr: float = float(lr)
        self.state: dict[str, Any] = {}

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent, p -= lr * g, with momentum on request.

    lr: 1e-3 unless given.
    momentum: the share of the last step that is repeated, 0 unless given: buffer = momentum * buffer
        + (1 - dampening) * g, which on the first step is g itself; then p -= lr * buffer.
    weight_decay: adds weight_decay * p to g, 0 unless given.
    nesterov: steps along g + momentum * buffer instead.
    Source: Sutskever et al. 2013, in PyTorch's form.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        _not_negative("SGD", momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(f"SGD: nesterov needs a momentum, and no dampening; got {momentum=}, {dampening=}")
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = nesterov

    def step(self) -> None:
        self.parameters[0].engine.functional.sgd_step(
            self.parameters,
            self.state,
            lr=self.lr,
            momentum=self.momentum,
            dampening=self.dampening,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )


class Adam(Optimizer):
    """Steps of about lr in each direction, whatever the size of the gradient.

    lr: 1e-3 unless given.
    betas: how much of the running means of the gradient and of its square is kept, (0.9, 0.999) unless given.
    eps: added to the root of the second mean, outside it and after the correction of its start at 0; 1e-8 unless given.
    weight_decay: adds weight_decay * p to the gradient, 0 unless given.
    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        _not_negative("Adam", eps=eps, weight_decay=weight_decay)
        numbers = isinstance(betas, Sequence) and all(isinstance(beta, Real) for beta in betas)
        if not numbers or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam: betas={betas!r}; give two numbers, each at least 0 and below 1")
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def step(self) -> None:
        self.parameters[0].engine.functional.adam_step(
            self.parameters, self.state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay
        )


def _not_negative(name: str, **settings: float) -> None:
    for setting, value in settings.items():
        if not (isinstance(value, Real) and 0 <= value < math.inf):
            raise ValueError(f"{name}: {setting}={value!r}; it must be a number of 0 or more")
