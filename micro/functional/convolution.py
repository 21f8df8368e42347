"""Convolutions and pooling: one small window, moved over a line or an image.

x is (N, C, L) for lines and (N, C, H, W) for images, C channels each; N may be missing. What is given as one number
for an image counts for both of its dimensions, a pair is (for the rows, for the columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from micro import checks
from micro.array import Array, at, build, copied
from micro.functional.reductions import add_up, total
from micro.value import Value

#: One number for every dimension of the image, or one for each.
Lengths = int | Sequence[int]


def conv1d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Array:
    """y[n][o][i] = bias[o] + sum over c, a of weight[o][c][a] * x[n][c][i * stride + a * dilation - padding].

    x (N, C, L), weight (O, C / groups, kernel), bias (O,); what lies outside of x counts as 0.

    padding: how far the first window begins before x, and the last may end behind it; `"valid"` is 0, `"same"` as
        much as gives y the length of x, which needs a stride of 1.
    groups: into how many equal parts the channels are split; a part of the outputs sees its part of the inputs only.
    """
    checks.convolution("conv1d", x, weight, bias, groups)
    (line,) = windows("conv1d", x.shape[-1:], weight.shape[-1:], stride, padding, dilation)
    outputs, channels, _ = weight.shape

    def element(*place: int) -> Any:
        *n, o, i = place
        first = o // (outputs // groups) * channels
        products = [
            at(weight.values, (o, c, a)) * at(x.values, (*n, first + c, k))
            for c in range(channels)
            for a, k in line.places(i)
        ]
        return add_up(products) if bias is None else total([bias.values[o], *products])

    return build((*x.shape[:-2], outputs, line.positions), element)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Array:
    """y[n][o][i][j] = bias[o] + sum over c, a, b of weight[o][c][a][b] * x[n][c][h][w].

    Here h = i * stride + a * dilation - padding, and w the same of j and b: what `conv1d` does, in two dimensions.
    x (N, C, H, W), weight (O, C / groups, kernel_h, kernel_w), bias (O,).
    """
    checks.convolution("conv2d", x, weight, bias, groups)
    rows, columns = windows("conv2d", x.shape[-2:], weight.shape[-2:], stride, padding, dilation)
    outputs, channels, _, _ = weight.shape

    def element(*place: int) -> Any:
        *n, o, i, j = place
        first = o // (outputs // groups) * channels
        products = [
            at(weight.values, (o, c, a, b)) * at(x.values, (*n, first + c, h, w))
            for c in range(channels)
            for a, h in rows.places(i)
            for b, w in columns.places(j)
        ]
        return add_up(products) if bias is None else total([bias.values[o], *products])

    return build((*x.shape[:-3], outputs, rows.positions, columns.positions), element)


def max_pool2d(
    x: Array, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0, dilation: Lengths = 1
) -> Array:
    """y[n][c][i][j] = the largest of the x[n][c] in a window; the stride is the size of the window, unless given.

    Of equal numbers the first in reading order is taken, and alone has the gradient; nan is taken before all numbers.
    """
    checks.image("max_pool2d", x)
    rows, columns = pooling_windows("max_pool2d", x.shape[-2:], kernel_size, stride, padding, dilation)

    def element(*place: int) -> Any:
        *image, i, j = place
        inside = [at(x.values, (*image, h, w)) for _, h in rows.places(i) for _, w in columns.places(j)]
        return largest(inside)

    return build((*x.shape[:-2], rows.positions, columns.positions), element)


def largest(values: Sequence[Any]) -> Any:
    """The first of the largest values, or the last nan; -inf if there are none."""
    found = None
    for value in values:
        if found is None or value.data > found.data or value.data != value.data:
            found = value
    return Value(float("-inf")) if found is None else copied(found)


def avg_pool2d(x: Array, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0) -> Array:
    """y[n][c][i][j] = the mean of the x[n][c] in a window; the padding counts as numbers that are 0."""
    checks.image("avg_pool2d", x)
    rows, columns = pooling_windows("avg_pool2d", x.shape[-2:], kernel_size, stride, padding)

    def element(*place: int) -> Any:
        *image, i, j = place
        inside = [at(x.values, (*image, h, w)) for _, h in rows.places(i) for _, w in columns.places(j)]
        return add_up(inside) / (rows.kernel * columns.kernel)

    return build((*x.shape[:-2], rows.positions, columns.positions), element)


def adaptive_avg_pool2d(x: Array, output_size: int | Sequence[int | None] | None) -> Array:
    """y[n][c][i][j] = the mean of a part of x[n][c], which is cut into output_size nearly equal parts.

    Part i of a dimension is from floor(i * length / parts) to ceil((i + 1) * length / parts), so parts overlap where
    their number does not divide the length. A pair (rows, columns) may have None for the length that x has.
    """
    checks.image("adaptive_avg_pool2d", x)
    sizes = checks.output_size("adaptive_avg_pool2d", output_size, x.shape[-2:])
    rows, columns = [parts(length, count) for length, count in zip(x.shape[-2:], sizes, strict=True)]

    def element(*place: int) -> Any:
        *image, i, j = place
        inside = [at(x.values, (*image, h, w)) for h in rows[i] for w in columns[j]]
        return add_up(inside) / len(inside)

    return build((*x.shape[:-2], len(rows), len(columns)), element)


# ----------------------------------------------------------------------------------------------------------------------
# Where windows lie, for both engines.


class Windows(NamedTuple):
    """Windows along one dimension: number i sees the places i * stride + a * dilation - padding, for a < kernel."""

    length: int
    positions: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    def places(self, i: int) -> list[tuple[int, int]]:
        """The pairs of a and its place, for the places of window i that are inside."""
        places = [(a, i * self.stride + a * self.dilation - self.padding) for a in range(self.kernel)]
        return [(a, place) for a, place in places if 0 <= place < self.length]


def windows(
    name: str, lengths: Sequence[int], kernel: Lengths, stride: Lengths, padding: Lengths | str, dilation: Lengths
) -> list[Windows]:
    """The windows along each dimension, as many as fit; where `"same"` needs an odd padding, the end has one more."""
    dims = len(lengths)
    kernels = checks.window_lengths(name, "kernel_size", kernel, dims, 1)
    strides = checks.window_lengths(name, "stride", stride, dims, 1)
    dilations = checks.window_lengths(name, "dilation", dilation, dims, 1)
    reaches = [(kernel - 1) * dilation for kernel, dilation in zip(kernels, dilations, strict=True)]
    if isinstance(padding, str):
        checks.named_padding(name, padding, strides)
        totals = reaches if padding == "same" else [0] * dims
    else:
        totals = [2 * length for length in checks.window_lengths(name, "padding", padding, dims, 0)]
    checks.windows_fit(name, lengths, reaches, totals)
    counts = [
        (length + total - reach - 1) // stride + 1
        for length, total, reach, stride in zip(lengths, totals, reaches, strides, strict=True)
    ]
    befores = [total // 2 for total in totals]
    return [Windows(*one) for one in zip(lengths, counts, kernels, strides, befores, dilations, strict=True)]


def pooling_windows(
    name: str,
    lengths: Sequence[int],
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
) -> list[Windows]:
    """`windows` side by side, unless a stride is given, with no more padding than half a window."""
    paddings = checks.window_lengths(name, "padding", padding, len(lengths), 0)
    found = windows(name, lengths, kernel_size, kernel_size if stride is None else stride, paddings, dilation)
    checks.half_padding(name, paddings, [(one.kernel - 1) * one.dilation + 1 for one in found])
    return found


def parts(length: int, count: int) -> list[range]:
    """`count` ranges that cover `length` places, as equal as can be."""
    return [range(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
