"""What `fit`, `predict` and their kin are given, checked before anything is trained.

name: the function that was called, for the message.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nn.callbacks import Callback
from nn.data import Data, check_count, check_data, check_numbers
from nn.modules import Module, first_parameter
from nn.optim import Optimizer
from nn.schedules import LRScheduler


def check_model(name: str, model: Any) -> None:
    """A model."""
    if not isinstance(model, Module):
        raise TypeError(f"{name}: model={model!r:.80} is not a model; give an nn.Module, such as nn.MLP(...)")


def check_fit(
    model: Any, loss: Any, optimizer: Any, callbacks: Any, penalty: Any, metrics: Any, validation: Any
) -> None:
    """What `fit` is given, apart from the data."""
    check_training("fit", model, loss, optimizer, callbacks)
    check_penalty(penalty)
    check_metrics(metrics, validation)


def check_training(name: str, model: Any, loss: Any, optimizer: Any, callbacks: Any) -> None:
    """What every training needs, apart from the data."""
    check_model(name, model)
    check_loss_function(name, loss)
    check_optimizer(name, optimizer, model)
    check_callbacks(name, callbacks)


def check_loss_function(name: str, loss: Any) -> None:
    """A function, and not the targets."""
    if not callable(loss):
        apart = hasattr(loss, "shape") or isinstance(loss, list)
        pair = "samples and targets as one pair, (X, y), and " if apart else ""
        raise TypeError(f"{name}: loss={loss!r:.80} is not a function; give {pair}a function, such as nn.mse_loss")


def check_optimizer(name: str, optimizer: Any, model: Module) -> None:
    """An optimizer that moves parameters of `model` as it is now, and may move them."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{name}: optimizer={optimizer!r:.80}; give one that was made, as in nn.SGD(model.parameters())"
        )
    mine, held = [{id(parameter) for parameter in owner} for owner in (model.parameters(), optimizer.parameters)]
    if mine and not mine & held:
        raise ValueError(f"{name}: the optimizer holds parameters of another model; make it with model.parameters()")
    left_out = [word for word, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if left_out and held - mine:
        raise ValueError(
            f"{name}: the optimizer does not hold {left_out[0]}, but parameters that the model does not have; "
            "where a layer was replaced, make the optimizer afterwards, with model.parameters()"
        )
    if mine and not any(parameter.requires_grad for parameter in optimizer.parameters):
        raise ValueError(f"{name}: all parameters are frozen, so there is nothing to train; see unfreeze()")


def check_callbacks(name: str, callbacks: Any) -> None:
    """A list of callbacks."""
    if isinstance(callbacks, Sequence) and any(isinstance(callback, LRScheduler) for callback in callbacks):
        raise TypeError(f"{name}: callbacks={callbacks!r:.80} holds a schedule; wrap it: nn.Schedule(nn.StepLR(...))")
    if not isinstance(callbacks, Sequence) or not all(isinstance(callback, Callback) for callback in callbacks):
        raise TypeError(f"{name}: callbacks={callbacks!r:.80}; give a list of nn.Callback, such as [nn.Progress()]")


def check_metrics(metrics: Mapping[str, Any], validation: Any) -> None:
    """Data on which they can be computed."""
    if metrics and validation is None:
        raise ValueError(f"fit: metrics={list(metrics)} are computed on the validation data; give validation=(X, y)")


def check_number(name: str, number: Any) -> float:
    """What a metric gave, a single number."""
    if isinstance(number, float):
        return number
    raise TypeError(f"fit: the metric {name} gave an array; give one of a single number, and ask nn.evaluate for this")


def check_penalty(penalty: Any) -> None:
    """A function, or None."""
    if penalty is not None and not callable(penalty):
        raise TypeError(
            f"fit: penalty={penalty!r:.80}; give a function of the parameters, "
            "such as lambda parameters: 1e-4 * nn.l2_penalty(parameters)"
        )


def check_sample_weight(sample_weight: Any, rows: int, loss: Any) -> np.ndarray:
    """A weight of 0 or more for each sample, which the loss takes."""
    weights = check_numbers("sample_weight", sample_weight)
    if weights.shape != (rows,):
        raise ValueError(f"fit: sample_weight has shape {weights.shape}; give ({rows},), one number for each sample")
    if weights.min() < 0:
        raise ValueError(f"fit: sample_weight holds {weights.min()} in row {weights.argmin()}; give 0 or more")
    try:
        inspect.signature(loss).bind(None, None, sample_weight=None)
    except TypeError:
        raise TypeError(
            f"fit: {loss!r:.80} takes no sample_weight=...; give one that does, such as nn.mse_loss"
        ) from None
    return weights.astype(float)


def check_error(name: str, error: Any) -> None:
    """What a loss function has given: a single number that depends on the parameters."""
    if getattr(error, "shape", None) != ():
        raise TypeError(f"{name}: the loss function gave {error!r:.80}; it must give a single number, as a tensor")
    if not error.parents:
        raise ValueError(
            f"{name}: the loss does not depend on the model's parameters; was it computed within no_grad, or detached?"
        )


def prepare(name: str, data: Data, model: Module) -> tuple[np.ndarray, ...]:
    """Checked samples and targets in the types in which the model computes."""
    x, y = check_data(name, data)
    return for_model(x, model), for_model(y, model)


def for_model(numbers: np.ndarray, model: Module) -> np.ndarray:
    """Whole numbers, such as class labels or the numbers of words, as int64; all else in the type of the parameters."""
    return numbers.astype("int64" if numbers.dtype.kind in "iu" else first_parameter(model).dtype)


def check_feeding(augment: Any, prefetch: Any) -> None:
    """A transform, or None, and a whole number."""
    if augment is not None and not callable(augment):
        raise TypeError(f"fit: augment={augment!r:.80}; give a transform, or several: nn.data.Compose([...])")
    if prefetch != 0:
        check_count("fit: prefetch", prefetch, ", or 0 for none")
