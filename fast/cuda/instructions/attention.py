"""Attention: b places of queries (long, e), keys (short, e), values (short, v), and weights (long, short)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fast.cuda.gpu import Gpu
from fast.cuda.instructions.products import multiply


def attend(
    gpu: Gpu,
    b: int,
    long: int,
    short: int,
    e: int,
    v: int,
    causal: int,
    masks: int,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    weights: Any,
    y: Any,
    numbers: Sequence[float] = (),
) -> None:
    """weights = softmax(numbers[0] * query @ key.T + mask), y = weights @ value; mask (masks, long, short) or none."""
    shares = gpu.array(weights, b, long, short)
    multiply(gpu, gpu.array(query, b, long, e), gpu.array(key, b, short, e), shares, turned_b=True)
    added = gpu.array(mask, masks, long, short)
    gpu.launch("attention.attention_weights", shares, added, causal, numbers[0], shares)
    multiply(gpu, shares, gpu.array(value, b, short, v), gpu.array(y, b, long, v))


def attend_grad(
    gpu: Gpu,
    b: int,
    long: int,
    short: int,
    e: int,
    v: int,
    causal: int,
    masks: int,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    weights: Any,
    grad: Any,
    grad_query: Any,
    grad_key: Any,
    grad_value: Any,
    numbers: Sequence[float] = (),
) -> None:
    """What `attend` passes back, each where there is a place for it."""
    shares, above = gpu.array(weights, b, long, short), gpu.array(grad, b, long, v)
    multiply(gpu, shares, above, gpu.array(grad_value, b, short, v), turned_a=True)
    scores = gpu.new(b, long, short)
    multiply(gpu, above, gpu.array(value, b, short, v), scores, turned_b=True)
    gpu.launch("attention.attention_scores_grad", scores, shares, numbers[0])
    multiply(gpu, scores, gpu.array(key, b, short, e), gpu.array(grad_query, b, long, e))
    multiply(gpu, scores, gpu.array(query, b, long, e), gpu.array(grad_key, b, short, e), turned_a=True)
