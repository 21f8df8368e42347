"""Embedding: rows of a table, looked up by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from fast import placement, threads
from fast.arrays import rows
from fast.kernels import embedding as kernels
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    """y[..., d] = weight[indices[...], d], for integer indices of any shape and weight (num_embeddings, D).

    The result has the shape (*indices.shape, D). A row that was looked up several times receives the sum of the
    gradients.
    """
    checks.embedding_arguments(indices, weight)
    if placement.used and placement.on_gpu("embedding", indices, weight):
        shape, saved = (*indices.shape, weight.shape[1]), (None, indices)
        return placement.eager().launched(_EMBEDDING, shape, (weight,), saved, lambda: _complain(indices, weight))
    numbers, table = indices.data.flatten(), np.ascontiguousarray(weight.data)
    y = np.empty((numbers.size, table.shape[1]), table.dtype)
    if not kernels.embedding(numbers, table, y):
        _complain(indices, weight)
    return record(_EMBEDDING, y.reshape(*indices.shape, table.shape[1]), (weight,), saved=(numbers, indices))


def _complain(indices: Tensor, weight: Tensor) -> None:
    """Say which number is no row of the table."""
    checks.row_numbers("embedding", placement.host(indices.data).ravel().tolist(), indices.shape, len(weight))


def _embedding_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    grad_weight = np.empty(node.parents[0].shape, grad.dtype)
    both = kernels.embedding_grad, kernels.embedding_grad_parallel
    threads.run(both, grad.size, threads.CHEAP, rows(grad), node.saved[0], grad_weight)
    return (grad_weight,)


def _lower_embedding(recorder: Any, node: Tensor) -> Any:
    (weight,), (_, indices), y = node.parents, node.saved, recorder.new(node.data.size)
    sizes, numbers = (indices.data.size, *weight.shape), recorder.labels(indices)
    recorder.emit("look_up", *sizes, numbers, recorder.value(weight), y, shape=node.shape)

    def backward(grad: Any) -> Any:
        target = recorder.gradient(weight)
        if target is not None:
            work = {"work": node.data.size, "threshold": threads.CHEAP}
            recorder.emit_loop("look_up_grad", *sizes, numbers, grad, target, **work, shape=weight.shape)
        return [target]

    return y, backward


_EMBEDDING = Rule("embedding", _embedding_grad, reads=(), lower=_lower_embedding)
