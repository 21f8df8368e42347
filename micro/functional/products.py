"""Products of matrices, and the dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micro import checks
from micro.array import Array, along
from micro.functional.reductions import add_up
from micro.functional.shapes import transpose


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

    return Array(along(layer, x.values, x.shape, len(x.shape) - 1))


def dot(a: Sequence[Any], b: Sequence[Any], start: Any = None) -> Any:
    """start + a[0] * b[0] + a[1] * b[1] + ..., from left to right."""
    products = [left * right for left, right in zip(a, b, strict=True)]
    return add_up(products if start is None else [start, *products])
