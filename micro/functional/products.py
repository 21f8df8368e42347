"""Products of matrices, and the dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from micro import checks
from micro.array import Array, along, at, build
from micro.functional.reductions import add_up, total


def matmul(a: Array, b: Array) -> Any:
    """y[n][m] = sum over k of a[n][k] * b[k][m], for a (..., N, K) and b (..., K, M).

    The dimensions in front count the matrices of a stack, and stretch to each other. A vector (K,) as a is a single
    row, as b a single column, and has no dimension in the result.
    """
    shape = checks.matmul_shapes(a, b)
    row, column = a.ndim > 1, b.ndim > 1  # whether the result's place says which row of a, which column of b
    stack = len(shape) - row - column

    def matrix(x: Array, place: tuple[int, ...]) -> Any:
        """The matrix of the stack x that belongs to a place of the result; a stack of one serves all places."""
        lengths = x.shape[:-2]
        return at(x.values, [0 if n == 1 else place[stack - len(lengths) + i] for i, n in enumerate(lengths)])

    def element(*place: int) -> Any:
        left, right = matrix(a, place), matrix(b, place)
        left = left[place[stack]] if row else left
        return dot(left, [line[place[-1]] for line in right] if column else right)

    return build(shape, element)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y[n][o] = bias[o] + sum over i of weight[o][i] * x[n][i], for x (N, in) and weight (out, in).

    x may have more dimensions, or only one, (..., in); the result then is (..., out).
    """
    checks.linear_shapes(x, weight, bias)
    starts = bias.values if bias is not None else [None] * weight.shape[0]

    def layer(line: list[Any]) -> list[Any]:
        return [dot(row, line, start) for row, start in zip(weight.values, starts, strict=True)]

    return Array(along(layer, x.values, x.shape, x.ndim - 1), (*x.shape[:-1], weight.shape[0]), weight.dtype)


def dot(a: Sequence[Any], b: Sequence[Any], start: Any = None) -> Any:
    """start + a[0] * b[0] + a[1] * b[1] + ..., from left to right."""
    products = [left * right for left, right in zip(a, b, strict=True)]
    return add_up(products) if start is None else total([start, *products])
