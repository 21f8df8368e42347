"""Products of matrices, and the dense layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fast import elementwise, placement, threads
from fast.addresses import product
from fast.arrays import rows
from fast.kernels import products as kernels
from fast.tensors import Gradients, Rule, Tensor, one_dtype, record
from micro import checks


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """y[n, m] = sum over k of a[n, k] * b[k, m], for a (..., N, K) and b (..., K, M).

    The dimensions in front count the matrices of a stack, and stretch to each other. A vector (K,) as a is a single
    row, as b a single column, and has no dimension in the result.
    """
    shape = checks.matmul_shapes(a, b)
    a, b = one_dtype("matmul", a, b)
    if placement.used and placement.on_gpu("matmul", a, b):
        return placement.eager().launched(_MATMUL, shape, (a, b))
    left = a.data if a.ndim > 1 else a.data[None, :]
    right = b.data if b.ndim > 1 else b.data[:, None]
    return record(_MATMUL, _stacked(left, right).reshape(shape), (a, b))


def _matmul_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    """grad @ b^T and a^T @ grad, summed over the matrices for which one matrix stood."""
    a, b = node.parents
    left = a.data if a.ndim > 1 else a.data[None, :]
    right = b.data if b.ndim > 1 else b.data[:, None]
    grad = grad.reshape(*_stack(left, right), left.shape[-2], right.shape[-1])
    grad_a = grad_b = None
    if a.requires_grad:
        whole = _stacked(grad, right.swapaxes(-1, -2))
        grad_a = elementwise.unbroadcast(whole, left.shape).reshape(a.shape)
    if b.requires_grad:
        whole = _stacked(left.swapaxes(-1, -2), grad)
        grad_b = elementwise.unbroadcast(whole, right.shape).reshape(b.shape)
    return grad_a, grad_b


def _lower_matmul(recorder: Any, node: Any) -> Any:
    """A matrix that stands for several is written out for each, and so are the transposed ones of the way back."""
    a, b = node.parents
    rows, columns = [np.arange(x.data.size).reshape(x.shape) for x in (a, b)]
    left, right = rows if a.ndim > 1 else rows[None, :], columns if b.ndim > 1 else columns[:, None]
    stack, (n, k), m = _stack(left, right), left.shape[-2:], right.shape[-1]
    count, work = math.prod(stack), math.prod(stack) * n * k * m

    def stretched(x: Tensor, numbers: np.ndarray) -> Any:
        return recorder.picked(recorder.value(x), np.broadcast_to(numbers, (*stack, *numbers.shape[-2:])))

    y, places = recorder.new(node.data.size), (stretched(a, left), stretched(b, right))
    recorder.emit_product("stacked", count, n, k, m, *places, y, work=work, shape=node.shape)

    def write(x: Tensor, numbers: np.ndarray, *arguments: Any) -> Any:
        """The gradient of x, the sum over the matrices for which one stood."""
        shape = *stack, *numbers.shape[-2:]
        target = recorder.gradient(x) if numbers.shape == shape else recorder.new(math.prod(shape))
        recorder.emit_product("stacked", count, *arguments, target, work=work, shape=shape)
        return recorder.unstretched(target, shape, numbers.shape)

    def backward(grad: Any) -> Any:
        grad_a = grad_b = None
        if recorder.wants(a):
            grad_a = write(a, left, n, m, k, grad, stretched(b, right.swapaxes(-1, -2)))
        if recorder.wants(b):
            grad_b = write(b, right, k, n, m, stretched(a, left.swapaxes(-1, -2)), grad)
        return [grad_a, grad_b]

    return y, backward


_MATMUL = Rule("@", _matmul_grad, reads=(0, 1), lower=_lower_matmul)


def _stacked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The products of two stacks of matrices (..., N, K) and (..., K, M)."""
    stack = _stack(a, b)
    y = np.empty((*stack, a.shape[-2], b.shape[-1]), a.dtype)
    if y.size == 0 or a.shape[-1] == 0:
        y[...] = 0
        return y
    matrices = _matrices(a, stack), _matrices(b, stack), _matrices(y, stack)
    threads.run_product((kernels.stacked, kernels.stacked_parallel), y.size * a.shape[-1], *matrices)
    return y


def _stack(a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """The dimensions in front of the matrices, stretched to each other."""
    one, other = a.shape[:-2], b.shape[:-2]
    return one if one == other else np.broadcast_shapes(one, other)


def _matrices(array: np.ndarray, stack: tuple[int, ...]) -> np.ndarray:
    """The matrices (..., N, K) stretched to the stack, and one behind the other, (S, N, K)."""
    if array.shape[:-2] != stack:
        array = np.broadcast_to(array, (*stack, *array.shape[-2:]))
    return np.ascontiguousarray(array).reshape(-1, *array.shape[-2:])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i], for x (N, in) and weight (out, in).

    x may have more dimensions, or only one, (..., in); the result then is (..., out).
    """
    checks.linear_shapes(x, weight, bias)
    parents = one_dtype("linear", x, weight, *([] if bias is None else [bias]))
    if placement.used and placement.on_gpu("linear", *parents):
        return placement.eager().launched(_LINEAR, (*x.shape[:-1], weight.shape[0]), parents)
    return record(_LINEAR, _product(*[parent.data for parent in parents]), parents)


def _linear_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    x, weight, *bias = node.parents
    needed = x.requires_grad, weight.requires_grad, bool(bias) and bias[0].requires_grad
    return _product_grad(grad, x.data, weight.data, needed)[: len(node.parents)]


def _lower_linear(recorder: Any, node: Any) -> Any:
    x, weight, bias = (*node.parents, None)[:3]
    sizes, work = (node.data.size // len(weight.data), *weight.shape[::-1]), node.data.size * x.shape[-1]
    place, factors, y = recorder.value(x), recorder.value(weight), recorder.new(node.data.size)
    arguments = *sizes, place, factors, recorder.value(bias), y
    recorder.emit_multiplying("linear", *arguments, work=work, flops=2 * work, shape=node.shape)

    def backward(grad: Any) -> Any:
        targets = [None if parent is None else recorder.gradient(parent) for parent in (x, weight, bias)]
        flops = 2 * work * sum(target is not None for target in targets[:2])
        arguments = *sizes, grad, place, factors, *targets
        recorder.emit_multiplying("linear_grad", *arguments, work=work, flops=flops, shape=weight.shape)
        return targets[: len(node.parents)]

    return y, backward


_LINEAR = Rule("linear", _linear_grad, reads=(0, 1), lower=_lower_linear)


def _product(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """x (..., in) times weight (out, in), transposed, plus bias (out,)."""
    offset = _NOTHING[weight.dtype.char] if bias is None else np.ascontiguousarray(bias)
    y = np.empty((*x.shape[:-1], weight.shape[0]), weight.dtype)
    threads.run_product(_LINEAR_KERNELS, y.size * x.shape[-1], rows(x), np.ascontiguousarray(weight), offset, rows(y))
    return y


def _product_grad(
    grad: np.ndarray, x: np.ndarray, weight: np.ndarray, needed: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, ...]:
    """The gradients of x, weight and bias, where `needed`; arrays of length 0 tell the kernel what is not."""
    nothing, dtype = _NOTHING[grad.dtype.char], grad.dtype
    grad_x = np.empty(x.shape, dtype) if needed[0] else None
    grad_weight = np.empty(weight.shape, dtype) if needed[1] else None
    grad_bias = np.empty(weight.shape[:1], dtype) if needed[2] else None
    threads.run_product(
        _GRAD_KERNELS,
        grad.size * x.shape[-1],
        rows(grad),
        rows(x),
        np.ascontiguousarray(weight),
        nothing[None] if grad_x is None else rows(grad_x),
        nothing[None] if grad_weight is None else grad_weight,
        nothing if grad_bias is None else grad_bias,
    )
    return grad_x, grad_weight, grad_bias


def _multiplying(kernel: Callable[..., None]) -> threads.Kernels:
    """A kernel that multiplies matrices, on one core and on all of them."""

    def serial(*arrays: np.ndarray) -> None:
        kernel(product(arrays[0].dtype, False), 1, *arrays)

    def parallel(blocks: int, *arrays: np.ndarray) -> None:
        kernel(product(arrays[0].dtype, True), blocks, *arrays)

    return serial, parallel


_LINEAR_KERNELS, _GRAD_KERNELS = _multiplying(kernels.linear), _multiplying(kernels.linear_grad)
#: What tells a kernel that an array is not there, or not wanted.
_NOTHING: dict[str, np.ndarray] = {"f": np.empty(0, np.float32), "d": np.empty(0, np.float64)}
