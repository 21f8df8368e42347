"""What `nn` asks of an engine: the modules `micro` and `fast` both offer it.

Layers, losses, optimizers and `fit` are written once, against this list, and are handed an engine or find it in the
tensors that they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

#: A `micro.Array` (or, without dimensions, a `micro.Value`), or a `fast.Tensor`.
Tensor = Any


class Functional(Protocol):
    """The structured operations. Their meaning is written down in `micro/functional.py`."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor: ...

    def batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor: ...

    def layer_norm(
        self,
        x: Tensor,
        normalized_shape: int | Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor: ...

    def rms_norm(
        self,
        x: Tensor,
        normalized_shape: int | Sequence[int],
        weight: Tensor | None = None,
        eps: float | None = None,
    ) -> Tensor: ...

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, *, seed: int) -> Tensor: ...

    def embedding(self, indices: Tensor, weight: Tensor) -> Tensor: ...

    def scaled_dot_product_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Any = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor: ...
    def conv1d(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor: ...

    def conv2d(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor: ...

    def max_pool2d(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
    ) -> Tensor: ...

    def avg_pool2d(self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor: ...

    def adaptive_avg_pool2d(self, x: Tensor, output_size: Any) -> Tensor: ...

    def rnn_cell(
        self,
        x: Tensor,
        hidden: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
        nonlinearity: str = "tanh",
    ) -> Tensor: ...

    def lstm_cell(
        self,
        x: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]: ...

    def gru_cell(
        self,
        x: Tensor,
        hidden: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
    ) -> Tensor: ...

    def rnn(
        self,
        x: Tensor,
        hidden: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
        nonlinearity: str = "tanh",
    ) -> Tensor: ...

    def lstm(
        self,
        x: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]: ...

    def gru(
        self,
        x: Tensor,
        hidden: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None = None,
        bias_hh: Tensor | None = None,
    ) -> Tensor: ...

    def mse_loss(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def l1_loss(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def huber_loss(self, prediction: Tensor, target: Tensor, delta: float = 1.0) -> Tensor: ...

    def hinge_loss(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def binary_cross_entropy(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def binary_cross_entropy_with_logits(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def nll_loss(self, log_probabilities: Tensor, labels: Tensor) -> Tensor: ...

    def cross_entropy(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor: ...

    def l2_penalty(self, parameters: Sequence[Tensor]) -> Tensor: ...

    def sgd_step(
        self,
        parameters: Sequence[Tensor],
        state: dict[int, dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
    ) -> None: ...

    def adam_step(
        self,
        parameters: Sequence[Tensor],
        state: dict[int, dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled_weight_decay: bool,
    ) -> None: ...

    def rmsprop_step(
        self,
        parameters: Sequence[Tensor],
        state: dict[int, dict[str, Any]],
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> None: ...

    def adagrad_step(
        self,
        parameters: Sequence[Tensor],
        state: dict[int, dict[str, Any]],
        *,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        initial_accumulator_value: float,
        eps: float,
    ) -> None: ...

    def clip_grad_norm_(self, parameters: Sequence[Tensor], max_norm: float) -> float: ...

    def clip_grad_value_(self, parameters: Sequence[Tensor], clip_value: float) -> None: ...


class Engine(Protocol):
    """A module of tensors: makes them, computes with them, and can leave gradients out."""

    functional: Functional
    default_dtype: str

    def tensor(self, data: Any, dtype: str | None = None, requires_grad: bool = False) -> Tensor: ...

    def as_tensor(self, data: Any, dtype: str | None = None) -> Tensor: ...

    def zeros(self, *shape: Any, dtype: str | None = None) -> Tensor: ...

    def stack(self, tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...

    def no_grad(self) -> AbstractContextManager[None]: ...


def check_parameters(name: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list of tensors of one engine, none of them twice."""
    found = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for parameter in found:
        if getattr(parameter, "engine", None) is None or parameter.dtype == "int64":
            raise TypeError(f"{name}: {parameter!r:.80} is not a parameter; give model.parameters()")
        if parameter.engine is not found[0].engine:
            raise TypeError(f"{name}: the parameters belong to different engines; give those of one model")
    if len({id(parameter) for parameter in found}) < len(found):
        raise ValueError(f"{name}: a parameter is given twice and would count twice; give model.parameters()")
    if not found:
        raise ValueError(f"{name}: there are no parameters; give model.parameters()")
    return found


def check_engine(engine: Any) -> Engine:
    """`engine` itself; TypeError where it is none."""
    if all(hasattr(engine, name) for name in ("functional", "default_dtype", "tensor", "as_tensor", "no_grad")):
        return engine
    raise TypeError(f"engine={engine!r:.80} is not an engine; give the module, as in `import fast` and engine=fast")


def engine_of(name: str, x: Any) -> Engine:
    """The engine of the tensor `x`, for a layer without parameters; TypeError where it is no tensor."""
    engine = getattr(x, "engine", None)
    if engine is None:
        raise TypeError(f"{name}: the input is a {type(x).__name__}, {x!r:.80}; make it a tensor first")
    return engine
