"""What the structured operations mean, as the obvious loops over scalars.

Nothing here is fast and nothing needs a derivative of its own: every number is a Value, so the gradients follow from
the scalar operations. `fast.functional` offers the same functions with the same arguments, written as kernels with
gradients derived by hand, and is tested against these loops element by element.

Shapes are written (N, C): N samples, C features or classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from micro import checks
from micro.array import Array, flatten, regroup, tensor, wrap
from micro.ops import divide
from micro.value import Value
from micro.vocabulary import float32, float64

# ----------------------------------------------------------------------------------------------------------------------
# Shapes and sums.


def to(x: Array, dtype: str) -> Array:
    """The numbers as `"float64"` or `"int64"` (cut off towards zero); x itself, if it is that already.

    `"float32"` is accepted for float64, the only precision that Python has.
    """
    if x.dtype == dtype or (x.dtype == float64 and dtype == float32):
        return x
    return tensor(x.tolist(), dtype)


def reshape(x: Array, *shape: int) -> Array:
    """The same elements, in reading order, in another shape; one length may be -1."""
    return wrap(regroup(x.flat(), checks.new_shape(x.shape, shape)))


def transpose(x: Array) -> Array:
    """y[j][i] = x[i][j], for a matrix."""
    checks.matrix("transpose", x.shape)
    rows, columns = x.shape
    return Array([[x.values[i][j] for i in range(rows)] for j in range(columns)])


def add_up(values: Sequence[Any]) -> Any:
    """values[0] + values[1] + ..., from left to right; a Value of 0 if there are none."""
    if not values:
        return Value(0.0)
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def sum(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The sum over one dimension, or over all elements."""
    return _reduce("sum", add_up, x, dim, keepdim)


def mean(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The sum divided by the number of elements."""
    checks.not_empty("mean", x.shape)
    return _reduce("mean", lambda line: add_up(line) / len(line), x, dim, keepdim)


def _reduce(name: str, function: Callable[[list[Any]], Any], x: Array, dim: int | None, keepdim: bool) -> Any:
    """Replace each line of elements along `dim`, or all elements, with one number."""
    checks.quantities(name, x)
    if dim is None:
        result, shape = [function(list(x.flat()))], [1] * len(x.shape) if keepdim else []
    else:
        dim = checks.dimension(name, dim, x.shape)
        result = _along(lambda line: [function(line)], x.values, x.shape, dim)
        shape = [*x.shape[:dim], *([1] if keepdim else []), *x.shape[dim + 1 :]]
    return wrap(regroup(iter(flatten(result)), tuple(shape)))


def _along(function: Callable[[list[Any]], list[Any]], nested: list[Any], shape: checks.Shape, dim: int) -> list[Any]:
    """Replace each line of elements along `dim` with `function(line)`.

    With the function `lambda line: [sum(line)]`, [[1, 2, 3], [4, 5, 6]] of shape (2, 3) becomes [[5, 7, 9]] along
    dimension 0 (the lines are its columns) and [[6], [15]] along dimension 1 (the lines are its rows).
    """
    if dim > 0:
        return [_along(function, row, shape[1:], dim - 1) for row in nested]
    if len(shape) == 1:
        return function(nested)
    columns = [_along(function, [row[i] for row in nested], (shape[0], *shape[2:]), 0) for i in range(shape[1])]
    return [list(rows) for rows in zip(*columns, strict=True)]


# ----------------------------------------------------------------------------------------------------------------------
# Products.


def matmul(a: Array, b: Array) -> Array:
    """y[n][m] = sum over k of a[n][k] * b[k][m], for a (N, K) and b (K, M)."""
    checks.matmul_shapes(a, b)
    columns = transpose(b).values
    return Array([[dot(row, column) for column in columns] for row in a.values])


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y[n][o] = bias[o] + sum over i of weight[o][i] * x[n][i], for x (N, in) and weight (out, in).

    x may have more dimensions, or only one, (..., in); the result then is (..., out).
    """
    checks.linear_shapes(x, weight, bias)
    starts = bias.values if bias is not None else [None] * weight.shape[0]

    def layer(line: list[Any]) -> list[Any]:
        return [dot(row, line, start) for row, start in zip(weight.values, starts, strict=True)]

    return Array(_along(layer, x.values, x.shape, len(x.shape) - 1))


def dot(a: Sequence[Any], b: Sequence[Any], start: Any = None) -> Any:
    """start + a[0] * b[0] + a[1] * b[1] + ..., from left to right."""
    products = [left * right for left, right in zip(a, b, strict=True)]
    return add_up(products if start is None else [start, *products])


# ----------------------------------------------------------------------------------------------------------------------
# Probabilities.


def softmax(x: Array, dim: int = -1) -> Array:
    """exp(x[i]) / sum over j of exp(x[j]), along one dimension."""
    checks.quantities("softmax", x)
    return Array(_along(_softmax, x.values, x.shape, checks.dimension("softmax", dim, x.shape)))


def log_softmax(x: Array, dim: int = -1) -> Array:
    """log(softmax(x)), without a detour through numbers too small for the logarithm."""
    checks.quantities("log_softmax", x)
    return Array(_along(_log_softmax, x.values, x.shape, checks.dimension("log_softmax", dim, x.shape)))


def _softmax(line: list[Any]) -> list[Any]:
    shifted = _shift(line)
    powers = [value.exp() for value in shifted]
    total = add_up(powers)
    return [power / total for power in powers]


def _log_softmax(line: list[Any]) -> list[Any]:
    shifted = _shift(line)
    log_total = add_up([value.exp() for value in shifted]).log()
    return [value - log_total for value in shifted]


def _shift(line: list[Any]) -> list[Any]:
    """Subtract the largest number, which keeps `exp` from overflowing.

    Any number may be subtracted from all, for it cancels in exp(x[i]) / sum(exp(x[j])); so it is a constant, and no
    gradient needs to flow through the choice of the largest.
    """
    largest = max(value.data for value in line)
    return [value - largest for value in line]


# ----------------------------------------------------------------------------------------------------------------------
# Losses: the mean over all elements, a single Value.


def mse_loss(prediction: Array, target: Array) -> Value:
    """The mean squared error: the mean of (prediction - target)^2."""
    checks.same_shape("mse_loss", prediction, target)
    return mean((prediction - target) ** 2)


def hinge_loss(prediction: Array, target: Array) -> Value:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1."""
    checks.same_shape("hinge_loss", prediction, target)
    checks.loss_arguments("hinge_loss", (), flatten(target.tolist()))
    return mean((1 - target * prediction).relu())


def binary_cross_entropy(prediction: Array, target: Array) -> Value:
    """The mean of -(t * log(p) + (1 - t) * log(1 - p)), for probabilities p and targets t between 0 and 1.

    As in PyTorch the logarithms stop at -100, so a prediction of exactly 0 or 1 costs 100 at most. Where they have
    stopped the loss is flat and its gradient 0. (PyTorch's loss is flat there too; its gradient is -1e12.)
    """
    checks.same_shape("binary_cross_entropy", prediction, target)
    checks.loss_arguments("binary_cross_entropy", flatten(prediction.tolist()), flatten(target.tolist()))
    smallest = math.exp(-100)
    target = to(target, float64)
    yes, no = prediction.maximum(smallest).log(), (1 - prediction).maximum(smallest).log()
    return -mean(target * yes + (1 - target) * no)


def binary_cross_entropy_with_logits(prediction: Array, target: Array) -> Value:
    """`binary_cross_entropy` of sigmoid(prediction), without overflow: the mean of softplus(x) - t * x."""
    checks.same_shape("binary_cross_entropy_with_logits", prediction, target)
    checks.loss_arguments("binary_cross_entropy_with_logits", (), flatten(target.tolist()))
    return mean(prediction.softplus() - target * prediction)


def cross_entropy(logits: Array, labels: Array) -> Value:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,)."""
    checks.class_labels(logits, labels, labels.values if isinstance(labels, Array) else ())
    likelihoods = log_softmax(logits).values
    return -add_up([row[label] for row, label in zip(likelihoods, labels.values, strict=True)]) / len(likelihoods)


def l2_penalty(parameters: Sequence[Array]) -> Value:
    """The sum of the squares of all elements of all parameters."""
    return add_up([value * value for value in _values(parameters)])


# ----------------------------------------------------------------------------------------------------------------------
# Updates. `state` belongs to the optimizer and begins as an empty dictionary; the keys are PyTorch's.


def sgd_step(
    parameters: Sequence[Array],
    state: dict[str, Any],
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: p -= lr * g; with momentum g is replaced by `buffer`, in which older gradients fade.

    Every parameter moves; one that took no part in the loss has a gradient of 0.
    """
    values = _values(parameters)
    first = "momentum_buffer" not in state
    buffers = state.setdefault("momentum_buffer", [0.0] * len(values))
    for i, p in enumerate(values):
        g = p.grad + weight_decay * p.data
        if momentum:
            buffers[i] = g if first else momentum * buffers[i] + (1 - dampening) * g
            g = g + momentum * buffers[i] if nesterov else buffers[i]
        p.data -= lr * g


def adam_step(
    parameters: Sequence[Array],
    state: dict[str, Any],
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Kingma and Ba 2015, algorithm 1: steps of about lr, whatever the size of the gradient.

    m and v are running means of the gradient and of its square; dividing by 1 - beta^t makes up for their start at
    zero. `eps` is added outside the root.
    """
    values = _values(parameters)
    beta1, beta2 = betas
    t = state["step"] = state.get("step", 0) + 1
    m = state.setdefault("exp_avg", [0.0] * len(values))
    v = state.setdefault("exp_avg_sq", [0.0] * len(values))
    for i, p in enumerate(values):
        g = p.grad + weight_decay * p.data
        m[i] = beta1 * m[i] + (1 - beta1) * g
        v[i] = beta2 * v[i] + (1 - beta2) * g * g
        m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
        p.data -= lr * divide(m_hat, math.sqrt(v_hat) + eps)


def _values(parameters: Sequence[Array]) -> list[Value]:
    return [value for parameter in parameters for value in parameter.flat()]
