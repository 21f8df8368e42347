"""Layers that shift and scale their input to mean 0 and variance 1. Names, defaults and keys are PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nn.data import check_count
from nn.engine import Engine, Tensor, check_engine, engine_of
from nn.modules import Module


class _Norm(Module):
    """A module with a weight that begins as ones and a bias that begins as zeros, or without."""

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self, shape: tuple[int, ...], weight: bool, bias: bool, *, engine: Engine, dtype: str | None = None
    ) -> None:
        super().__init__()
        check_engine(engine)
        self.weight = self.bias = None
        if weight:
            self._begin("weight", np.ones(shape), engine, dtype)
        if bias:
            self._begin("bias", np.zeros(shape), engine, dtype)


class BatchNorm(_Norm):
    dimensions: ClassVar[dict[int, str]]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        engine: Engine,
        dtype: str | None = None,
    ) -> None:
        features = check_count(f"{type(self).__name__}: num_features", num_features)
        super().__init__((features,), affine, affine, engine=engine, dtype=dtype)
        self.num_features, self.eps, self.momentum = features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            dtype = dtype or engine.default_dtype
            self.register_buffer("running_mean", engine.tensor(np.zeros(features), dtype))
            self.register_buffer("running_var", engine.tensor(np.ones(features), dtype))
            self.register_buffer("num_batches_tracked", engine.tensor(0))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def forward(self, x: Tensor) -> Tensor:
        name = type(self).__name__
        functional = engine_of(name, x).functional
        if len(x.shape) not in self.dimensions:
            raise ValueError(f"{name}: the input has shape {x.shape}; give {' or '.join(self.dimensions.values())}")
        running, batches = (self.running_mean, self.running_var), self.num_batches_tracked
        training = self.training or batches is None
        momentum = 0.0 if batches is None else self.momentum  # with nothing to move
        return functional.batch_norm(x, *running, self.weight, self.bias, training, momentum, self.eps, batches)


class BatchNorm1d(BatchNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias for each channel of x (N, C) or (N, C, L).

    In training, mean and variance are those of the batch; in evaluation, running means of those that training saw
    (Ioffe and Szegedy 2015). A batch in training needs more than one value for each channel. After `freeze()` it stays
    in evaluation; `requires_grad_(False)` alone does not stop the running means.

    num_features: C, the number of channels.
    eps: added to the variance, 1e-5 unless given.
    momentum: the share of the NEW batch in the running means, 0.1 unless given; None takes the plain mean of all
        batches so far. (Keras's momentum, 0.99, is the share of the old.)
    affine: whether there are weight (C,), which begins as ones, and bias (C,), which begins as zeros.
    track_running_stats: whether there are running means, the buffers running_mean (C,), running_var (C,), which is
        the unbiased variance, and num_batches_tracked; without, evaluation uses its own batch's as training does.
    engine: `micro` or `fast`.
    dtype: `"float32"` or `"float64"`; left out, float32 on `fast`, and float64, the only one, on `micro`.
    """

    dimensions: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """`BatchNorm1d` for images x (N, C, H, W): mean and variance of a channel are over samples, rows and columns."""

    dimensions: ClassVar = {4: "(N, C, H, W)"}


class LayerNorm(_Norm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the last dimensions of each sample.

    It is the same in training and in evaluation, and a sample does not depend on its batch (Ba, Kiros and Hinton 2016).

    normalized_shape: the length of x's last dimension, or the lengths of several.
    eps: added to the (biased) variance, 1e-5 unless given.
    elementwise_affine: whether there are weight, which begins as ones, and bias, which begins as zeros, both of
        normalized_shape; bias=False leaves out the bias alone.
    engine, dtype: see `BatchNorm1d`.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        engine: Engine,
        dtype: str | None = None,
    ) -> None:
        shape = _lengths("LayerNorm", normalized_shape)
        super().__init__(shape, elementwise_affine, elementwise_affine and bias, engine=engine, dtype=dtype)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"

    def forward(self, x: Tensor) -> Tensor:
        functional = engine_of("LayerNorm", x).functional
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_Norm):
    """x / sqrt(mean of x^2 + eps) * weight, over the last dimensions of each sample (Zhang and Sennrich 2019).

    normalized_shape: the length of x's last dimension, or the lengths of several.
    eps: left out, the distance from 1 to the next number of x's type.
    elementwise_affine: whether there is a weight of normalized_shape, which begins as ones.
    engine, dtype: see `BatchNorm1d`.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        engine: Engine,
        dtype: str | None = None,
    ) -> None:
        shape = _lengths("RMSNorm", normalized_shape)
        super().__init__(shape, elementwise_affine, False, engine=engine, dtype=dtype)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"

    def forward(self, x: Tensor) -> Tensor:
        functional = engine_of("RMSNorm", x).functional
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)


def _lengths(name: str, normalized_shape: Any) -> tuple[int, ...]:
    several = normalized_shape if isinstance(normalized_shape, tuple | list) else [normalized_shape]
    return tuple(check_count(f"{name}: normalized_shape", length) for length in several)
