"""Attention as a layer: several heads that each look for something else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nn.data import check_count, generator
from nn.engine import Engine, Tensor, check_engine
from nn.modules import Linear, Module, Seed


class MultiheadAttention(Module):
    """Each position of `query` gathers from all positions of `value` what it wants to know (Vaswani et al. 2017).

    Query, key and value pass through a dense layer each and are cut into heads of embed_dim / num_heads numbers; each
    head computes softmax(query @ key^T / sqrt(its width)) @ value; the heads' answers, side by side again, pass
    through a last dense layer.

    in_proj_weight (3 * embed_dim, embed_dim): the first three layers' weights, one below the other in the order query,
        key, value; it begins uniform in +-sqrt(6 / (4 * embed_dim)) (Xavier). in_proj_bias (3 * embed_dim,): zeros.
    out_proj: the last layer, which begins as any `Linear`, but with a bias of zeros.

    embed_dim: the length of each position's row. num_heads: the number of heads, which divides it.
    bias: whether the dense layers have biases.
    engine, seed, dtype: see `Linear`.

    Three things differ from PyTorch's module of this name: samples come first, as with its batch_first=True; the
    result is the output alone, without the weights beside it; and True in a mask means that a position takes part, as
    in `scaled_dot_product_attention`, where PyTorch's module means that it does not.
    """

    in_proj_weight: Tensor
    in_proj_bias: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        super().__init__()
        check_engine(engine)
        self.embed_dim = check_count("MultiheadAttention: embed_dim", embed_dim)
        self.num_heads = check_count("MultiheadAttention: num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: embed_dim={embed_dim} does not divide into num_heads={num_heads}")
        self.bias = bias
        random = generator(seed)
        bound = math.sqrt(6 / (4 * embed_dim))
        self._begin("in_proj_weight", random.uniform(-bound, bound, (3 * embed_dim, embed_dim)), engine, dtype)
        self.in_proj_bias = None
        self.out_proj = Linear(embed_dim, embed_dim, bias, engine=engine, seed=random, dtype=dtype)
        if bias:
            self._begin("in_proj_bias", np.zeros(3 * embed_dim), engine, dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.copy_(np.zeros(embed_dim))

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}{'' if self.bias else ', bias=False'}"

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        attn_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """What each position of `query` has gathered, (N, L, embed_dim).

        query: (N, L, embed_dim).
        key, value: (N, S, embed_dim); left out, key is query and value is key: positions look at each other.
        attn_mask: what position l may look at, (L, S) or any shape that stretches to (N, num_heads, L, S); see
            `scaled_dot_product_attention`.
        is_causal: whether position l looks at positions 0 to l only.
        """
        key = query if key is None else key
        value = key if value is None else value
        functional = self.in_proj_weight.engine.functional
        heads = [self._heads(number, x) for number, x in enumerate((query, key, value))]
        answers = functional.scaled_dot_product_attention(*heads, attn_mask, is_causal=is_causal)
        return self.out_proj(answers.permute(0, 2, 1, 3).reshape(*query.shape))

    def _heads(self, number: int, x: Tensor) -> Tensor:
        """x (N, L, embed_dim) through its dense layer, as (N, num_heads, L, width of a head)."""
        if len(x.shape) != 3:
            raise ValueError(f"MultiheadAttention: an input has shape {x.shape}; give (N, L, {self.embed_dim})")
        mine = slice(number * self.embed_dim, (number + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[mine]
        y = self.in_proj_weight.engine.functional.linear(x, self.in_proj_weight[mine], bias)
        return y.reshape(*x.shape[:2], self.num_heads, -1).permute(0, 2, 1, 3)
