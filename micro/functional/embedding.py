"""Embedding: rows of a table, looked up by number."""

from __future__ import annotations

from typing import Any

from micro import checks
from micro.array import Array, at, build, copied


def embedding(indices: Array, weight: Array) -> Array:
    """y[..., d] = weight[indices[...]][d], for integer indices of any shape and weight (num_embeddings, D).

    The result has the shape (*indices.shape, D). A row that was looked up several times receives the sum of the
    gradients.
    """
    checks.embedding_arguments(indices, weight)
    checks.row_numbers("embedding", indices.flat(), indices.shape, weight.shape[0])

    def element(*place: int) -> Any:
        *n, d = place
        return copied(weight.values[at(indices.values, n)][d])

    return build((*indices.shape, weight.shape[1]), element)
