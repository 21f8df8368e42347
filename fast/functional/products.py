"""Products of matrices, and the dense layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fast import threads
from fast.arrays import rows
from fast.kernels import products as kernels
from fast.tensors import Gradients, Rule, Tensor, one_dtype, record
from micro import checks


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
    both = kernels.linear, kernels.linear_parallel
    _run_product(both, y.size * x.shape[-1], rows(x), np.ascontiguousarray(weight), offset, rows(y))
    return y


def _product_grad(
    grad: np.ndarray, x: np.ndarray, weight: np.ndarray, needed: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, ...]:
    """The gradients of x, weight and bias, where `needed`; arrays of length 0 tell the kernel what is not."""
    dtype = grad.dtype
    grad_x = np.empty(x.shape if needed[0] else (0, x.shape[-1]), dtype)
    grad_weight = np.empty(weight.shape if needed[1] else (0, 0), dtype)
    grad_bias = np.empty(weight.shape[:1] if needed[2] else (0,), dtype)
    both = kernels.linear_grad, kernels.linear_grad_parallel
    arrays = rows(grad), rows(x), np.ascontiguousarray(weight), rows(grad_x), grad_weight, grad_bias
    _run_product(both, grad.size * x.shape[-1], *arrays)
    return grad_x if needed[0] else None, grad_weight if needed[1] else None, grad_bias if needed[2] else None


def _run_product(kernels: tuple[Callable, Callable], work: int, *arrays: np.ndarray) -> None:
    serial, parallel = kernels
    if work <= threads.PRODUCT:
        serial(*arrays)
    else:
        threads.launch_product(serial, parallel, *arrays)
