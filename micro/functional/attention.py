"""Attention: every position gathers from others what fits its question (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

from micro import checks
from micro.array import Array, at, flatten, regroup, tensor
from micro.functional.products import dot
from micro.functional.reductions import softmax
from micro.value import Value


def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Any = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Array:
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
    mask = _as_added(attn_mask, is_causal, shape)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale

    def answer(*place: int) -> list[Any]:
        keys, values = at(key.values, place[:-1]), at(value.values, place[:-1])
        scores = [dot(at(query.values, place), row) * scale for row in keys]
        weights = _weights(scores, [mask(*place, s) for s in range(len(keys))])
        return [dot(weights, column) for column in zip(*values, strict=True)]

    places = product(*map(range, shape[:-1]))
    return Array(regroup((answer(*place) for place in places), shape[:-1]), (*shape[:-1], value.shape[-1]))


def _weights(scores: list[Any], mask: list[float]) -> list[Any]:
    """The softmax of scores + mask, where -inf leaves out; all zeros where nothing is left."""
    left = [score + added for score, added in zip(scores, mask, strict=True) if added != -math.inf]
    shares = iter(softmax(Array(left)).values if left else [])
    return [Value(0.0) if added == -math.inf else next(shares) for added in mask]


def _as_added(attn_mask: Any, is_causal: bool, shape: checks.Shape) -> Callable[..., float]:
    """What is added to the score at a place (..., l, s), as a function of the place."""
    checks.one_mask(attn_mask, is_causal)
    if attn_mask is None:
        return lambda *place: -math.inf if is_causal and place[-1] > place[-2] else 0.0
    numbers = attn_mask.tolist() if hasattr(attn_mask, "tolist") else attn_mask
    whole = checks.mask_numbers(flatten(numbers))
    lengths = tensor(numbers).shape
    checks.mask_shape(lengths, shape)

    def added(*place: int) -> float:
        aligned = zip(lengths, place[len(place) - len(lengths) :], strict=True)
        number = at(numbers, [0 if length == 1 else i for length, i in aligned])
        return number if not whole else 0.0 if number else -math.inf

    return added
