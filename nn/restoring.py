"""Trying something out with a model, and leaving no trace of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nn.engine import Tensor
from nn.modules import Module
from nn.optim import Optimizer


@contextmanager
def restored(model: Module, optimizer: Optimizer | None = None) -> Iterator[None]:
    """Put everything back at the end, bit for bit, also after an error.

    Of the model: parameters, buffers, gradients, and what its modules say about themselves, such as whether they are
    being trained, and how often a `Dropout` was called. Of the optimizer: the learning rate, what it remembers of each
    parameter, and its parameters.
    """
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    trained = [] if optimizer is None else optimizer.parameters
    tensors = [tensor for kind in (model.named_parameters, model.named_buffers) for _, tensor in kind()] + trained
    numbers = [(tensor, np.array(tensor.cpu())) for tensor in tensors]
    gradients = [(tensor, _gradient(tensor)) for tensor in tensors if tensor.requires_grad]
    memory = {} if optimizer is None else optimizer.state_dict()
    try:
        yield
    finally:
        for module, named in attributes:
            vars(module).clear()
            vars(module).update(named)
        for tensor, before in numbers:
            tensor.copy_(before)
        for tensor, gradient in gradients:
            tensor.zero_grad()
            if gradient is not None:
                tensor.backward(gradient)  # of a parameter, that adds to its gradient
        if optimizer is not None:
            optimizer.load_state_dict(memory)


def _gradient(parameter: Tensor) -> Any:
    """The gradient as plain numbers in nested lists; None where there is none."""
    return None if parameter.grad is None else parameter.grad.tolist()
