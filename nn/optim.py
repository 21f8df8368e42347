"""Optimizers: how parameters move against their gradients. Formulas and defaults are PyTorch's.

optimizer.zero_grad()
loss.backward()
optimizer.step()

Gradients that are too long are cut between `backward` and `step`, by `clip_grad_norm_` or `clip_grad_value_`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nn.engine import Tensor, check_parameters, on_cpu
from nn.hints import OPTIMIZER, missing


class Optimizer:
    """Parameters, the numbers that say how they move, and what `step` remembers about them.

    A kind of optimizer is a subclass that names the engine's function for its update, and in `__init__` checks the
    settings and hands them over.

    lr: the learning rate; may be changed between steps, as schedules do.
    settings: the other arguments of the update by name, such as `momentum`; may be changed as well.
    state: what the engine keeps of each parameter from step to step, under PyTorch's names: `state[0]["exp_avg"]`.
    initial_lr: the learning rate with which the first schedule began, from which all schedules count.
    """

    #: The function of `engine.functional` that moves the parameters, and the names of what it remembers of each.
    update: ClassVar[str]
    remembers: ClassVar[tuple[str, ...]]

    def __init__(self, parameters: Iterable[Tensor], lr: float, **settings: Any) -> None:
        name = type(self).__name__
        self.parameters = check_parameters(name, parameters)
        check_positive(name, lr=lr)
        self.lr = lr
        self.settings = settings
        self.state: dict[int, dict[str, Any]] = {}
        self.initial_lr: float | None = None

    @property
    def lr(self) -> float:
        """The learning rate; ValueError for what can be none."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        check_not_negative(type(self).__name__, lr=lr)
        self._lr = float(lr)

    if not TYPE_CHECKING:  # which is to find names that do not exist

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, OPTIMIZER)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        update = getattr(self.parameters[0].engine.functional, self.update)
        update(self.parameters, self.state, lr=self.lr, **self.settings)

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of what changes from step to step, as arrays by name: `lr`, and such as `0.step` and `0.exp_avg` for
        parameter 0. With it, the parameters and the same settings, training goes on bit for bit.
        """
        kept = {f"{i}.{name}": kept for i, memory in self.state.items() for name, kept in memory.items()}
        arrays = {name: np.array(on_cpu(numbers)) for name, numbers in kept.items()}
        return {"lr": np.array(self.lr), **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, from an optimizer of the same kind on whichever engine.

        Raises ValueError, and changes nothing, where names or shapes are not those of this optimizer.
        """
        arrays = {name: np.asarray(on_cpu(array)) for name, array in state.items()}
        shapes: dict[str, tuple[int, ...]] = {"lr": ()}
        for i, p in enumerate(self.parameters):
            mine = {f"{i}.{name}": () if name == "step" else p.shape for name in self.remembers}
            if mine.keys() & arrays.keys():  # there is nothing of a parameter that has not had a gradient yet
                shapes |= mine
        problems = [f"{name} is missing" for name in shapes if name not in arrays]
        problems += [f"{name} is unknown" for name in arrays if name not in shapes]
        problems += [
            f"{name} has shape {arrays[name].shape}, needed is {shape}"
            for name, shape in shapes.items()
            if name in arrays and arrays[name].shape != shape
        ]
        if problems:
            raise ValueError(f"{type(self).__name__}.load_state_dict: {'; '.join(problems)}; nothing was loaded")
        self.lr, self.state = arrays.pop("lr").item(), {}
        for full_name, array in arrays.items():
            number, name = full_name.split(".")
            p = self.parameters[int(number)]
            kept = int(array) if name == "step" else p.engine.tensor(array, p.dtype, device=p.device)
            self.state.setdefault(int(number), {})[name] = kept


class SGD(Optimizer):
    """Gradient descent, p -= lr * g, with momentum on request.

    lr: 1e-3 unless given.
    momentum: the share of the last step that is repeated, 0 unless given: buffer = momentum * buffer
        + (1 - dampening) * g, which on the first step is g itself; then p -= lr * buffer.
    weight_decay: adds weight_decay * p to g, 0 unless given.
    nesterov: steps along g + momentum * buffer instead.
    Source: Sutskever et al. 2013, in PyTorch's form.
    """

    update = "sgd_step"
    remembers = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        check_not_negative("SGD", momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(f"SGD: nesterov needs a momentum, and no dampening; got {momentum=}, {dampening=}")
        settings = {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(parameters, lr, **settings)


class Adam(Optimizer):
    """Steps of about lr in each direction, whatever the size of the gradient.

    lr: 1e-3 unless given.
    betas: how much of the running means of the gradient and of its square is kept, (0.9, 0.999) unless given.
    eps: added to the root of the second mean, outside it and after the correction of its start at 0; 1e-8 unless given.
    weight_decay: adds weight_decay * p to the gradient, 0 unless given.
    decoupled_weight_decay: multiplies p by 1 - lr * weight_decay before the step instead, which is `AdamW`.
    Source: Kingma and Ba 2015, algorithm 1.
    """

    update = "adam_step"
    remembers = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        check_not_negative(name, eps=eps, weight_decay=weight_decay)
        numbers = isinstance(betas, Sequence) and all(isinstance(beta, Real) for beta in betas)
        if not numbers or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{name}: betas={betas!r}; give two numbers, each at least 0 and below 1")
        decay = {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(parameters, lr, betas=betas, eps=eps, **decay)


class AdamW(Adam):
    """Adam whose weight decay does not pass through the running means: p *= 1 - lr * weight_decay, then Adam's step.

    weight_decay: 0.01 unless given. All else is Adam's.
    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization", in PyTorch's form.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, decoupled_weight_decay=True)


class RMSprop(Optimizer):
    """Steps along the gradient divided by its recent size: p -= lr * g / (sqrt(s) + eps).

    lr: 0.01 unless given. The first step is lr / sqrt(1 - alpha) long, ten times lr, because s starts at 0.
    alpha: how much of s is kept, 0.99 unless given: s = alpha * s + (1 - alpha) * g^2.
    eps: 1e-8 unless given.
    weight_decay: adds weight_decay * p to g, 0 unless given.
    momentum: the share of the last step that is repeated, 0 unless given: buffer = momentum * buffer
        + g / (sqrt(s) + eps), and p -= lr * buffer.
    centered: divides by the standard deviation of the recent gradients instead, the root of s minus the square of their
        running mean. (Where rounding makes that negative it counts as 0; in PyTorch it becomes nan.)
    Source: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, "Generating sequences with recurrent neural
    networks".
    """

    update = "rmsprop_step"
    remembers = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        settings = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        check_not_negative("RMSprop", **settings)
        if alpha > 1:
            raise ValueError(f"RMSprop: alpha={alpha!r}; the share that is kept is at most 1, such as 0.99")
        super().__init__(parameters, lr, **settings, centered=centered)


class Adagrad(Optimizer):
    """Steps that shrink with all gradients so far: p -= lr * g / (sqrt(sum of g^2) + eps).

    lr: 0.01 unless given.
    lr_decay: in step t, from 1, lr is divided by 1 + (t - 1) * lr_decay, 0 unless given.
    weight_decay: adds weight_decay * p to g, 0 unless given.
    initial_accumulator_value: what the sum begins with, 0 unless given.
    eps: 1e-10 unless given.
    Source: Duchi, Hazan and Singer 2011.
    """

    update = "adagrad_step"
    remembers = ("step", "sum")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        settings = {"lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps}
        settings["initial_accumulator_value"] = initial_accumulator_value
        check_not_negative("Adagrad", **settings)
        super().__init__(parameters, lr, **settings)


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Shorten the gradients of all parameters together, so that their norm is `max_norm` at most.

    The norm is that of all gradients as one long vector. They are multiplied by max_norm / (norm + 1e-6) where that is
    below 1. Returns the norm before that, as a float. As in PyTorch a norm that is infinite or nan is no error: an
    infinite one turns the finite gradients into 0 and the others into nan, nan turns all of them into nan.
    Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks".
    """
    found = check_parameters("clip_grad_norm_", parameters)
    return found[0].engine.functional.clip_grad_norm_(found, check_limit("clip_grad_norm_", max_norm=max_norm))


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Cut every element of the gradients to the range from -clip_value to clip_value; nan stays nan."""
    found = check_parameters("clip_grad_value_", parameters)
    found[0].engine.functional.clip_grad_value_(found, check_limit("clip_grad_value_", clip_value=clip_value))


def check_positive(name: str, **settings: float) -> None:
    """Every setting is a finite number above 0."""
    for setting, value in settings.items():
        if not (isinstance(value, Real) and 0 < value < math.inf):
            raise ValueError(f"{name}: {setting}={value!r}; it must be a positive number, such as 0.1")


def check_not_negative(name: str, **settings: float) -> None:
    """Every setting is a finite number, of 0 or more."""
    for setting, value in settings.items():
        if not (isinstance(value, Real) and 0 <= value < math.inf):
            raise ValueError(f"{name}: {setting}={value!r}; it must be a number of 0 or more")


def check_limit(name: str, **limit: float) -> float:
    """The one limit given: a number above 0, which may be infinite."""
    ((setting, value),) = limit.items()
    if not (isinstance(value, Real) and value > 0):
        raise ValueError(f"{name}: {setting}={value!r}; give a positive number, such as 1.0 (or math.inf for no limit)")
    return float(value)
