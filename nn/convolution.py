"""Layers for lines and images: convolutions, pooling, and what networks made of them need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nn.data import check_count
from nn.engine import Engine, Tensor, check_tensor, engine_of
from nn.modules import Affine, Module, Seed

#: One number for both dimensions of an image, or a pair: for the rows, for the columns.
Lengths = int | Sequence[int]


class _Convolution(Affine):
    """What `Conv1d` and `Conv2d` share: their arguments, and their parameters."""

    dims: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths | str = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        name = type(self).__name__
        for argument, count in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            check_count(f"{name}: {argument}", count)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups={groups} does not divide in_channels={in_channels} and out_channels={out_channels}"
            )
        kernel = self._lengths("kernel_size", kernel_size)
        shape = (out_channels, in_channels // groups, *kernel)
        super().__init__(shape, math.prod(shape[1:]), bias, engine, seed, dtype)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel
        self.stride, self.dilation = self._lengths("stride", stride), self._lengths("dilation", dilation)
        self.padding = padding if isinstance(padding, str) else self._lengths("padding", padding, 0)
        self.groups = groups
        if padding == "same" and self.stride != (1,) * self.dims:
            raise ValueError(
                f"{name}: padding='same' needs a stride of 1, not {stride!r}; give the padding as a number"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding={padding!r} is unknown; use 'same', 'valid', or a number")

    def _lengths(self, argument: str, value: Any, least: int = 1) -> tuple[int, ...]:
        numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * self.dims
        whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        if len(numbers) != self.dims or not whole or min(numbers) < least:
            pair = "" if self.dims == 1 else ", or a pair of them"
            raise ValueError(
                f"{type(self).__name__}: {argument}={value!r}; give a whole number of at least {least}{pair}"
            )
        return numbers

    def extra_repr(self) -> str:
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * self.dims:
            shown.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dims:
            shown.append(f"dilation={self.dilation}")
        if self.groups != 1:
            shown.append(f"groups={self.groups}")
        if self.bias is None:
            shown.append("bias=False")
        return ", ".join(shown)

    def forward(self, x: Tensor) -> Tensor:
        functional = self.weight.engine.functional
        convolve = functional.conv1d if self.dims == 1 else functional.conv2d
        return convolve(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Convolution):
    """A window of kernel_size slides over a line: x (N, in_channels, L), y (N, out_channels, positions); see `conv1d`.

    weight (out_channels, in_channels / groups, kernel_size) and bias (out_channels,) begin uniform in
    +-1/sqrt(in_channels / groups * kernel_size), as in PyTorch.

    stride, padding, dilation: how far the window moves; how many zeros are put before and behind x, or `"same"`, or
        `"valid"` for none; how far apart the numbers are that it sees.
    groups: into how many parts the channels are split; each part of the outputs sees its part of the inputs only.
    bias: whether there is one.
    engine, seed, dtype: see `Linear`.
    """

    dims = 1


class Conv2d(_Convolution):
    """A window slides over an image: x (N, in_channels, H, W), y (N, out_channels, positions, positions); see `conv2d`.

    weight (out_channels, in_channels / groups, kernel_h, kernel_w) and bias (out_channels,) begin uniform in
    +-1/sqrt(in_channels / groups * kernel_h * kernel_w), as in PyTorch. The arguments are those of `Conv1d`; a pair is
    (for the rows, for the columns).
    """

    dims = 2


class MaxPool2d(Module):
    """The largest number in each window: see `max_pool2d`. The stride is the window's size, unless given."""

    def __init__(
        self, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0, dilation: Lengths = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation

    def extra_repr(self) -> str:
        sizes = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return f"{sizes}, padding={self.padding}, dilation={self.dilation}"

    def forward(self, x: Tensor) -> Tensor:
        functional = engine_of("MaxPool2d", x).functional
        return functional.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)


class AvgPool2d(Module):
    """The mean of each window: see `avg_pool2d`. The stride is the window's size, unless given."""

    def __init__(self, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"

    def forward(self, x: Tensor) -> Tensor:
        return engine_of("AvgPool2d", x).functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class AdaptiveAvgPool2d(Module):
    """The means of output_size nearly equal parts of the image: see `adaptive_avg_pool2d`; 1 gives the whole's mean."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"

    def forward(self, x: Tensor) -> Tensor:
        return engine_of("AdaptiveAvgPool2d", x).functional.adaptive_avg_pool2d(x, self.output_size)


class Flatten(Module):
    """The dimensions from start_dim to end_dim as a single one: (N, C, H, W) becomes (N, C * H * W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("Flatten", x).flatten(self.start_dim, self.end_dim)


class Residual(Module):
    """y = shortcut(x) + body(x): the body learns what is to be added to x (He et al. 2016).

    shortcut: a module that gives x the shape of body(x), such as a 1x1 convolution; left out, x itself.
    """

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        for name, module in (("body", body), ("shortcut", shortcut)):
            if not isinstance(module, Module) and not (name == "shortcut" and module is None):
                raise TypeError(f"Residual: {name} is {module!r:.80}, not a Module")
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        kept = x if self.shortcut is None else self.shortcut(x)
        if kept.shape != y.shape:
            raise ValueError(
                f"Residual: the shortcut gives shape {kept.shape}, the body {y.shape}; they must be equal: "
                "give a shortcut with the same channels and stride"
            )
        return kept + y
