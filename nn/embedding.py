"""Embedding: a learned row of numbers for each of a set of things, such as words or letters."""

from __future__ import annotations

from nn.data import check_count, generator
from nn.engine import Engine, Tensor, check_engine
from nn.modules import Module, Seed


class Embedding(Module):
    """The row weight[i] for each integer i of x, in any shape: x (...) gives y (..., embedding_dim).

    weight (num_embeddings, embedding_dim) begins as normal numbers of mean 0 and variance 1, as in PyTorch.

    num_embeddings: how many rows there are; x holds integers from 0 to num_embeddings - 1, anything else is refused.
    embedding_dim: the length of a row.
    engine, seed, dtype: see `Linear`.
    """

    weight: Tensor

    def __init__(
        self, num_embeddings: int, embedding_dim: int, *, engine: Engine, seed: Seed, dtype: str | None = None
    ) -> None:
        super().__init__()
        check_engine(engine)
        self.num_embeddings = check_count("Embedding: num_embeddings", num_embeddings)
        self.embedding_dim = check_count("Embedding: embedding_dim", embedding_dim)
        numbers = generator(seed).normal(size=(num_embeddings, embedding_dim))
        self._begin("weight", numbers, engine, dtype)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.engine.functional.embedding(x, self.weight)
