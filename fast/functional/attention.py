"""Attention: every position gathers from others what fits its question (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fast import placement, threads
from fast.kernels import attention as kernels
from fast.tensors import Gradients, Rule, Tensor, one_dtype, record
from micro import checks


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale * query @ key^T + mask) @ value: means of the values, weighted by how well keys fit the query.

    query (..., L, E), key (..., S, E) and value (..., S, Ev) give (..., L, Ev). The leading dimensions are the same
    for all; each of their places is computed by itself.

    attn_mask: what position l may look at, in any shape that stretches to (..., L, S); a tensor, an array or nested
        lists. True (or the integer 1) lets it take part in the softmax, False (0) leaves it out; floating-point
        numbers are added to the scores, and -inf leaves out. No gradient flows to the mask.
    is_causal: whether position l looks at positions 0 to l only; then there is no `attn_mask`.
    scale: 1 / sqrt(E) unless given.

    A position that may look at nothing receives zeros, as in PyTorch.
    """
    shape = checks.attention_shapes(query, key, value)
    parents = one_dtype("scaled_dot_product_attention", query, key, value)
    number = parents[0].data.dtype.type
    mask = _as_added(attn_mask, is_causal, shape).astype(number, copy=False)
    factor = number(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if placement.used and placement.on_gpu("scaled_dot_product_attention", *parents):
        weights = placement.shape_only((math.prod(shape[:-2]), *shape[-2:]), number)
        return placement.eager().launched(
            _ATTENTION, (*shape[:-1], value.shape[-1]), parents, (factor, weights, mask, is_causal)
        )
    arrays = [_places(parent.data) for parent in parents]
    weights = np.empty((len(arrays[0]), *shape[-2:]), number)
    y = np.empty((*shape[:-1], value.shape[-1]), number)
    both = kernels.attention, kernels.attention_parallel
    threads.run_product(both, _work(weights, y.shape[-1]), *arrays, mask, is_causal, factor, weights, _places(y))
    return record(_ATTENTION, y, parents, saved=(factor, weights, mask, is_causal))


def _attention_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    factor, weights = node.saved[:2]
    arrays = [_places(parent.data) for parent in node.parents]
    wanted = [parent.requires_grad for parent in node.parents]
    gradients = [np.empty_like(array if want else array[:0]) for array, want in zip(arrays, wanted, strict=True)]
    both = kernels.attention_grad, kernels.attention_grad_parallel
    threads.run_product(both, _work(weights, grad.shape[-1]), _places(grad), *arrays, factor, weights, *gradients)
    return [g.reshape(p.shape) if p.requires_grad else None for g, p in zip(gradients, node.parents, strict=True)]


def _lower_attention(recorder: Any, node: Tensor) -> Any:
    query, _, value = node.parents
    factor, weights, mask, causal = node.saved
    sizes = *weights.shape, query.shape[-1], value.shape[-1], int(causal), len(mask)
    places = [*map(recorder.value, node.parents), recorder.constant(mask) if len(mask) else -1]
    kept, y, work = recorder.new(weights.size), recorder.new(node.data.size), _work(weights, node.shape[-1])
    products = weights.size * value.shape[-1]  # of the weights with the values; those of queries with keys are as many
    arguments = *sizes, *places, kept, y
    recorder.emit_product("attend", *arguments, work=work, flops=4 * products, shape=node.shape, numbers=[factor])

    def backward(grad: Any) -> Any:
        targets = [recorder.gradient(parent) for parent in node.parents]
        arguments = *sizes, *places, kept, grad, *targets
        recorder.emit_product(
            "attend_grad", *arguments, work=work, flops=8 * products, shape=node.shape, numbers=[factor]
        )
        return targets

    return y, backward


_ATTENTION = Rule("attention", _attention_grad, reads=(0, 1, 2), lower=_lower_attention)


def _as_added(attn_mask: Any, is_causal: bool, shape: tuple[int, ...]) -> np.ndarray:
    """What is added to the scores: (places, L, S), (1, L, S) for all places alike, or of length 0 for nothing."""
    checks.one_mask(attn_mask, is_causal)
    if attn_mask is None:
        return np.empty((0, *shape[-2:]))
    mask = placement.host(attn_mask.data) if isinstance(attn_mask, Tensor) else np.asarray(attn_mask)
    if mask.dtype.kind not in "f":
        checks.mask_numbers(mask.ravel().tolist())
        mask = np.where(mask, 0.0, -math.inf)
    checks.mask_shape(mask.shape, shape)
    alike = all(length == 1 for length in mask.shape[:-2])
    stretched = np.broadcast_to(mask.reshape(mask.shape[-2:]), shape[-2:]) if alike else np.broadcast_to(mask, shape)
    return _places(stretched)


def _places(array: np.ndarray) -> np.ndarray:
    """(..., A, B) as (places, A, B), contiguous."""
    return np.ascontiguousarray(array).reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


def _work(weights: np.ndarray, features: int) -> int:
    """How many multiplications to share out; none for a single place, which is left to BLAS's own threads."""
    return weights.size * features if len(weights) > 1 else 0
