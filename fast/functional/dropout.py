"""Dropout: elements set to zero at random, by numbers that depend on nothing but a seed and a place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fast import placement, threads
from fast.kernels import randomness as kernels
from fast.tensors import Gradients, Rule, Tensor, record
from micro import checks


def dropout(x: Tensor, p: float = 0.5, training: bool = True, *, seed: int) -> Tensor:
    """Each element of x is 0 with probability p, else multiplied by 1 / (1 - p), which keeps the mean.

    Outside training, x itself (Srivastava et al. 2014, in the inverted form of PyTorch).

    seed: a whole number. Whether element i, counted in reading order, is dropped depends on (seed, i) alone, see
        `micro/randomness.py`; so the mask need not be stored for the way back.
    """
    checks.dropout_arguments(x, p, seed)
    if not training or p == 0:
        return x
    saved = np.uint64(int(seed) % 2**64), float(p)
    if placement.used and placement.on_gpu("dropout", x):
        return placement.eager().launched(_DROPOUT, x.shape, (x,), saved)
    return record(_DROPOUT, _drop(x.data, *saved), (x,), saved)


def _dropout_grad(node: Tensor, grad: np.ndarray) -> Gradients:
    return (_drop(grad, *node.saved),)


def _lower_dropout(recorder: Any, node: Tensor) -> Any:
    (x,), (seed, p), size = node.parents, node.saved, node.data.size
    limit, scale = _settings(p)
    places, y = (recorder.seed(int(seed)), recorder.whole([int(limit)])), recorder.new(size)
    about = {"work": size, "threshold": threads.CHEAP, "shape": x.shape, "numbers": [scale]}
    recorder.emit_loop("dropout", size, *places, recorder.value(x), y, **about)

    def backward(grad: Any) -> Any:
        target = recorder.gradient(x)
        if target is not None:
            recorder.emit_loop("dropout", size, *places, grad, target, **about)
        return [target]

    return y, backward


_DROPOUT = Rule("dropout", _dropout_grad, reads=(), lower=_lower_dropout)


def _settings(p: float) -> tuple[np.uint64, float]:
    """Below which random number of 53 bits an element is dropped, and by what the others are multiplied."""
    return np.uint64(math.ceil(p * 2**53)), 0.0 if p == 1 else 1 / (1 - p)


def _drop(x: np.ndarray, seed: np.uint64, p: float) -> np.ndarray:
    y = np.empty(x.shape, x.dtype)
    limit, scale = _settings(p)
    both = kernels.dropout, kernels.dropout_parallel
    threads.run(both, x.size, threads.CHEAP, x.ravel(), seed, limit, scale, y.ravel())
    return y
