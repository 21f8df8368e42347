"""Normalisation over a batch, and within rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu
from fast.cuda.instructions.reductions import add_up, parts_of_columns

# ----------------------------------------------------------------------------------------------------------------------
# Over a batch: x (n, c, m / c), whose n rows have m columns; all else (c,).


def batch_norm(
    gpu: Gpu,
    n: int,
    m: int,
    c: int,
    training: int,
    x: Any,
    weight: Any,
    bias: Any,
    y: Any,
    kept: Any,
    running_mean: Any,
    running_variance: Any,
    count: Any,
    numbers: Sequence[float] = (),
) -> None:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, by mean and variance of the batch, or the running ones.

    Both are kept for the way back. In training the running ones, where there are any, move towards them: by a share of
    one in so many, which is the number at `count`, or, where that is -1, by numbers[1]. numbers[0] is eps, numbers[2]
    what makes the variance unbiased.
    """
    samples, statistics = gpu.array(x, n, c, m // c), gpu.wide(kept, 2, c)
    running = gpu.array(running_mean, c), gpu.array(running_variance, c)
    if training:
        _moments(gpu, samples, *statistics)
        share = numbers[1] if isinstance(count, int) and count == -1 else 1 / gpu.now(count)
        for new, times, old in zip(statistics, (1, numbers[2]), running, strict=True):
            gpu.launch("normalization.move_towards", new, times, 1 - share, share, old)
    else:
        for new, old in zip(statistics, running, strict=True):
            gpu.launch("moving.copy", old, new)
    arrays = samples, gpu.array(weight, c), gpu.array(bias, c)
    gpu.launch("normalization.batch_norm", *arrays, numbers[0], *statistics, gpu.array(y, n, c, m // c))


def batch_norm_grad(
    gpu: Gpu,
    n: int,
    m: int,
    c: int,
    training: int,
    x: Any,
    weight: Any,
    grad: Any,
    kept: Any,
    grad_x: Any,
    grad_weight: Any,
    grad_bias: Any,
    numbers: Sequence[float] = (),
) -> None:
    """What `batch_norm` passes back; the gradients of weight and bias where there are places for them."""
    samples, above = gpu.array(x, n, c, m // c), gpu.array(grad, n, c, m // c)
    (mean, variance), factor = gpu.wide(kept, 2, c), gpu.new(c)
    gpu.launch("normalization.inverse_roots", variance, numbers[0], factor)
    parts, products, totals = parts_of_columns(n, m), gpu.new(c), gpu.new(c)
    sums = gpu.new(parts, m), gpu.new(parts, m)
    gpu.launch("normalization.batch_norm_sums", above, samples, mean, *sums)
    _of_channels(gpu, sums[0], 1, totals)
    _of_channels(gpu, sums[1], 1, products)
    share = 1 / (n * m // c) if training else 0
    statistics = gpu.array(weight, c), mean, factor, totals, products
    gpu.launch("normalization.batch_norm_grad", above, samples, *statistics, share, gpu.array(grad_x, n, c, m // c))
    for target, arrays in ((gpu.array(grad_weight, c), (products, factor)), (gpu.array(grad_bias, c), (totals,))):
        if target.size:
            gpu.launch("elementwise.mul" if len(arrays) == 2 else "moving.copy", *arrays, target)


def _moments(gpu: Gpu, x: Any, mean: Any, variance: Any) -> None:
    """The mean and the (biased) variance of each channel of x (n, c, length)."""
    n, c, length = x.shape
    share = 1 / (n * length)
    _of_channels(gpu, x.reshape((n, c * length)), share, mean)
    squares = gpu.new(parts_of_columns(n, c * length), c * length)
    gpu.launch("normalization.batch_squares", x, mean, squares)
    _of_channels(gpu, squares, share, variance)


def _of_channels(gpu: Gpu, x: Any, scale: float, y: Any) -> None:
    """y[c] = scale * the sum of all rows of x (n, m), of the columns that belong to channel c; y (c,)."""
    (n, m), c = x.shape, y.size
    if m == c:
        add_up(gpu, x.reshape((1, n, m)), scale, y.reshape((1, c)))
    else:
        columns = gpu.new(1, m)
        add_up(gpu, x.reshape((1, n, m)), 1, columns)
        add_up(gpu, columns.reshape((c, m // c, 1)), scale, y.reshape((c, 1)))


# ----------------------------------------------------------------------------------------------------------------------
# Within n rows of c numbers: weight and bias (c,); the mean and the factor of each row are kept for the way back.


def layer_norm(
    gpu: Gpu,
    n: int,
    c: int,
    centred: int,
    x: Any,
    weight: Any,
    bias: Any,
    y: Any,
    kept: Any,
    numbers: Sequence[float] = (),
) -> None:
    """y = (x - mean) * factor * weight + bias; numbers[0] is eps."""
    arrays = gpu.array(x, n, c), gpu.array(weight, c), gpu.array(bias, c)
    mean, factor = gpu.wide(kept, 2, n)
    gpu.launch("normalization.layer_norm", *arrays, centred, numbers[0], mean, factor, gpu.array(y, n, c))


def layer_norm_grad(
    gpu: Gpu,
    n: int,
    c: int,
    centred: int,
    x: Any,
    weight: Any,
    grad: Any,
    kept: Any,
    grad_x: Any,
    grad_weight: Any,
    grad_bias: Any,
    blocks: int,
    numbers: Any = (),
) -> None:
    """What `layer_norm` passes back. blocks: in how many parts the CPU adds up the rows; a GPU has its own mind."""
    above, rows, (mean, factor) = gpu.array(grad, n, c), gpu.array(x, n, c), gpu.wide(kept, 2, n)
    arrays = above, rows, gpu.array(weight, c), centred, mean, factor
    gpu.launch("normalization.layer_norm_grad", *arrays, gpu.array(grad_x, n, c))
    targets = gpu.array(grad_weight, 1, c), gpu.array(grad_bias, 1, c)
    if any(target.size for target in targets):
        parts = parts_of_columns(n, c)
        sums = gpu.new(1, parts, c), gpu.new(1, parts, c)
        matrices = [some.reshape((parts, c)) for some in sums]
        gpu.launch("normalization.layer_norm_sums", above, rows, mean, factor, *matrices)
        for some, target in zip(sums, targets, strict=True):
            add_up(gpu, some, 1, target)
