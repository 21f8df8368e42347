"""The structured operations of `micro.functional` as kernels, with gradients derived by hand.

Each function stands above the rule that takes its gradient back. Names, arguments, defaults and errors are those of
`micro.functional`, whose loops are the definition; here only speed is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fast import elementwise, threads
from fast.kernels import linear as linear_kernels
from fast.kernels import losses, optimizers
from fast.tensors import Gradients, Rule, Tensor, one_dtype, record
from micro import checks
from micro.vocabulary import grad_mode, int64

# ----------------------------------------------------------------------------------------------------------------------
# Shapes and sums.


def to(x: Tensor, dtype: str) -> Tensor:
    """x with elements of type `dtype`; x itself, if it has that type already."""
    if x.data.dtype.name == dtype:
        return x
    checks.element_type(dtype)
    data = x.data.astype(dtype)
    return Tensor(data) if dtype == int64 else record(_TO, data, (x,))


def _to_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.astype(node.parents[0].data.dtype),)


_TO = Rule("to", _to_grad)


def reshape(x: Tensor, *shape: int) -> Tensor:
    """The same elements, in reading order, in another shape; one length may be -1. Shares memory where it can."""
    return record(_RESHAPE, x.data.reshape(checks.new_shape(x.shape, shape)), (x,))


def _reshape_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.reshape(node.parents[0].shape),)


_RESHAPE = Rule("reshape", _reshape_grad)


def transpose(x: Tensor) -> Tensor:
    """y[j, i] = x[i, j], for a matrix. Shares memory."""
    checks.matrix("transpose", x.shape)
    return record(_TRANSPOSE, x.data.T, (x,))


def _transpose_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (grad.T,)


_TRANSPOSE = Rule("transpose", _transpose_grad)


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index] for integers and slices. Shares memory."""
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        if not isinstance(part, int | np.integer | slice) or isinstance(part, bool):
            raise TypeError(f"index {part!r:.80} of type {type(part).__name__}; use integers and slices")
    try:
        data = x.data[(*parts, ...)]  # the dots keep a single element a view of the memory
    except IndexError as error:
        raise IndexError(f"index {index} does not fit the shape {x.shape}: {error}") from None
    return record(_GETITEM, data, (x,), saved=index)


def _getitem_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    result = np.zeros(node.parents[0].shape, grad.dtype)
    result[node.saved] = grad
    return (result,)


_GETITEM = Rule("[ ]", _getitem_grad)


def sum(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The sum over one dimension, or over all elements."""
    return _total(_SUM, x, dim, keepdim, 1)


def mean(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The sum divided by the number of elements."""
    checks.not_empty("mean", x.shape)
    dim = None if dim is None else checks.dimension("mean", dim, x.shape)
    return _total(_MEAN, x, dim, keepdim, x.data.size if dim is None else x.shape[dim])


def _total(rule: Rule, x: Tensor, dim: int | None, keepdim: bool, count: int) -> Tensor:
    checks.quantities(rule.symbol, x)
    dim = None if dim is None else checks.dimension(rule.symbol, dim, x.shape)
    kept = elementwise.total(x.data, None if dim is None else (dim,))
    if count != 1:
        kept /= count
    shape = kept.shape if keepdim else () if dim is None else x.shape[:dim] + x.shape[dim + 1 :]
    return record(rule, kept.reshape(shape), (x,), saved=(kept.shape, count))


def _total_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    shape, count = node.saved
    return (np.broadcast_to((grad / count).reshape(shape), node.parents[0].shape).copy(),)


_SUM, _MEAN = Rule("sum", _total_grad), Rule("mean", _total_grad)


# ----------------------------------------------------------------------------------------------------------------------
# Products.


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """y[n, m] = sum over k of a[n, k] * b[k, m], for a (N, K) and b (K, M)."""
    checks.matmul_shapes(a, b)
    a, b = one_dtype("matmul", a, b)
    return record(_MATMUL, _product(a.data, b.data.T), (a, b))


def _matmul_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    a, b = node.parents
    grad_a, grad_b, _ = _product_grad(grad, a.data, b.data.T, (a.requires_grad, b.requires_grad, False))
    return grad_a, None if grad_b is None else grad_b.T


_MATMUL = Rule("@", _matmul_grad)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i], for x (N, in) and weight (out, in).

    x may have more dimensions, or only one, (..., in); the result then is (..., out).
    """
    checks.linear_shapes(x, weight, bias)
    parents = one_dtype("linear", x, weight, *([] if bias is None else [bias]))
    return record(_LINEAR, _product(*[parent.data for parent in parents]), parents)


def _linear_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    x, weight, *bias = node.parents
    needed = x.requires_grad, weight.requires_grad, bool(bias) and bias[0].requires_grad
    return _product_grad(grad, x.data, weight.data, needed)[: len(node.parents)]


_LINEAR = Rule("linear", _linear_grad)


def _product(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """x (..., in) times weight (out, in), transposed, plus bias (out,)."""
    offset = np.empty(0, weight.dtype) if bias is None else np.ascontiguousarray(bias)
    y = np.empty((*x.shape[:-1], weight.shape[0]), weight.dtype)
    kernels = linear_kernels.linear, linear_kernels.linear_parallel
    _run_product(kernels, y.size * x.shape[-1], _rows(x), np.ascontiguousarray(weight), offset, _rows(y))
    return y


def _product_grad(
    grad: np.ndarray, x: np.ndarray, weight: np.ndarray, needed: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, ...]:
    """The gradients of x, weight and bias, where `needed`; arrays of length 0 tell the kernel what is not."""
    dtype = grad.dtype
    grad_x = np.empty(x.shape if needed[0] else (0, x.shape[-1]), dtype)
    grad_weight = np.empty(weight.shape if needed[1] else (0, 0), dtype)
    grad_bias = np.empty(weight.shape[:1] if needed[2] else (0,), dtype)
    kernels = linear_kernels.linear_grad, linear_kernels.linear_grad_parallel
    arrays = _rows(grad), _rows(x), np.ascontiguousarray(weight), _rows(grad_x), grad_weight, grad_bias
    _run_product(kernels, grad.size * x.shape[-1], *arrays)
    return grad_x if needed[0] else None, grad_weight if needed[1] else None, grad_bias if needed[2] else None


def _run_product(kernels: tuple[Callable, Callable], work: int, *arrays: np.ndarray) -> None:
    serial, parallel = kernels
    if work <= threads.PRODUCT:
        serial(*arrays)
    else:
        threads.launch_product(serial, parallel, *arrays)


# ----------------------------------------------------------------------------------------------------------------------
# Probabilities.


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x[i]) / sum over j of exp(x[j]), along one dimension."""
    return _along(_SOFTMAX, losses.softmax, x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(x)), without a detour through numbers too small for the logarithm."""
    return _along(_LOG_SOFTMAX, losses.log_softmax, x, dim)


def _along(rule: Rule, kernel: Callable[..., None], x: Tensor, dim: int) -> Tensor:
    checks.quantities(rule.symbol, x)
    dim = checks.dimension(rule.symbol, dim, x.shape)
    return record(rule, _run_along(kernel, dim, x.data), (x,), saved=dim)


def _run_along(kernel: Callable[..., None], dim: int, *arrays: np.ndarray) -> np.ndarray:
    """Run a kernel that works along rows, along the dimension `dim`."""
    moved = [np.ascontiguousarray(np.moveaxis(array, dim, -1)) for array in arrays]
    result = np.empty_like(moved[0])
    if result.size:
        kernel(*map(_rows, moved), _rows(result))
    return np.moveaxis(result, -1, dim)


def _softmax_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (_run_along(losses.softmax_grad, node.saved, grad, node.data),)


def _log_softmax_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (_run_along(losses.log_softmax_grad, node.saved, grad, node.data),)


_SOFTMAX, _LOG_SOFTMAX = Rule("softmax", _softmax_grad), Rule("log_softmax", _log_softmax_grad)


# ----------------------------------------------------------------------------------------------------------------------
# Losses: the mean over all elements, a tensor without dimensions. The kernels compute the gradient on the way.


def mse_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error: the mean of (prediction - target)^2."""
    return _loss(_MSE, losses.mse_loss, prediction, target)


def hinge_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of relu(1 - target * prediction), for targets of -1 and +1."""
    return _loss(_HINGE, losses.hinge_loss, prediction, target)


def binary_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of -(t * log(p) + (1 - t) * log(1 - p)), for probabilities p and targets t between 0 and 1.

    As in PyTorch the logarithms stop at -100, so a prediction of exactly 0 or 1 costs 100 at most. Where they have
    stopped the loss is flat and its gradient 0. (PyTorch's loss is flat there too; its gradient is -1e12.)
    """
    return _loss(_BCE, losses.binary_cross_entropy, prediction, target)


def binary_cross_entropy_with_logits(prediction: Tensor, target: Tensor) -> Tensor:
    """`binary_cross_entropy` of sigmoid(prediction), without overflow: the mean of softplus(x) - t * x."""
    return _loss(_BCE_LOGITS, losses.binary_cross_entropy_with_logits, prediction, target)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean of -log_softmax(logits)[label], for logits (N, C) and integer labels (N,)."""
    checks.class_labels(logits, labels, ())
    grad = np.empty(logits.shape, logits.data.dtype)
    loss, known = losses.cross_entropy(np.ascontiguousarray(logits.data), np.ascontiguousarray(labels.data), grad)
    if not known:
        checks.class_labels(logits, labels, labels.tolist())
    return record(_CROSS_ENTROPY, np.array(loss, grad.dtype), (logits,), saved=grad)


def l2_penalty(parameters: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all elements of all parameters."""
    total = 0.0
    for parameter in parameters:
        numbers = _flat(parameter.data)
        total += float(np.dot(numbers, numbers))
    return record(_L2, np.array(total, parameters[0].data.dtype), tuple(parameters))


def _l2_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    twice = 2 * grad.item()
    return [np.asarray(p.data * p.data.dtype.type(twice)) if p.requires_grad else None for p in node.parents]


_L2 = Rule("l2_penalty", _l2_grad)


def _loss(rule: Rule, kernel: Callable[..., tuple[float, bool]], prediction: Tensor, target: Tensor) -> Tensor:
    checks.same_shape(rule.symbol, prediction, target)
    if target.requires_grad and grad_mode.recording:
        raise ValueError(f"{rule.symbol}: the target requires a gradient; give target.detach()")
    numbers = prediction.data
    grad = np.empty(numbers.shape, numbers.dtype)
    loss, known = kernel(_flat(numbers), _flat(target.data.astype(numbers.dtype, copy=False)), _flat(grad))
    if not known:
        checks.loss_arguments(rule.symbol, _flat(numbers).tolist(), _flat(target.data).tolist())
    return record(rule, np.array(loss, numbers.dtype), (prediction,), saved=grad)


def _loss_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (np.asarray(node.saved * grad),)


_MSE, _HINGE = Rule("mse_loss", _loss_grad), Rule("hinge_loss", _loss_grad)
_BCE, _BCE_LOGITS = Rule("binary_cross_entropy", _loss_grad), Rule("binary_cross_entropy_with_logits", _loss_grad)
_CROSS_ENTROPY = Rule("cross_entropy", _loss_grad)


# ----------------------------------------------------------------------------------------------------------------------
# Updates. `state` belongs to the optimizer and begins as an empty dictionary; the keys are PyTorch's.


def sgd_step(
    parameters: Sequence[Tensor],
    state: dict[str, Any],
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: p -= lr * g; with momentum g is replaced by `buffer`, in which older gradients fade.

    Parameters without a gradient stay where they are.
    """
    buffers = state.setdefault("momentum_buffer", [None] * len(parameters))
    for i, p in enumerate(parameters):
        if p._grad is not None:
            numbers, grad = _numbers(p), _flat(p._grad)
            first = buffers[i] is None
            if momentum and first:
                buffers[i] = np.zeros_like(numbers)
            buffer = buffers[i] if momentum else grad  # which the kernel then leaves alone
            optimizers.sgd(numbers, grad, buffer, first, lr, momentum, dampening, weight_decay, nesterov)


def adam_step(
    parameters: Sequence[Tensor],
    state: dict[str, Any],
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Kingma and Ba 2015, algorithm 1: steps of about lr, whatever the size of the gradient."""
    if not state:
        state.update({name: [None] * len(parameters) for name in ("step", "exp_avg", "exp_avg_sq")})
    steps, means, squares = state["step"], state["exp_avg"], state["exp_avg_sq"]
    for i, p in enumerate(parameters):
        if p._grad is not None:
            numbers, grad = _numbers(p), _flat(p._grad)
            if steps[i] is None:
                steps[i], means[i], squares[i] = 0, np.zeros_like(numbers), np.zeros_like(numbers)
            steps[i] += 1
            optimizers.adam(numbers, grad, means[i], squares[i], steps[i], lr, *betas, eps, weight_decay)


def _numbers(parameter: Tensor) -> np.ndarray:
    """The numbers of a parameter as one contiguous array that shares their memory, so that kernels can change them."""
    if not parameter.data.flags.c_contiguous:
        parameter.data = np.ascontiguousarray(parameter.data)
    return parameter.data.reshape(-1)


# ----------------------------------------------------------------------------------------------------------------------
# Arrays as kernels take them: contiguous, copied where they are not.


def _flat(array: np.ndarray) -> np.ndarray:
    return array.ravel()


def _rows(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1])
