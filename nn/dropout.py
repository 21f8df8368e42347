"""Dropout: a layer that forgets at random while it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from nn.data import generator
from nn.engine import Tensor, engine_of
from nn.modules import Module, Seed


class Dropout(Module):
    """In training, each element is 0 with probability p, else multiplied by 1 / (1 - p); in evaluation, x itself.

    What is dropped differs from call to call, and yet is the same for the same seed and the same number of calls
    before, on both engines (Srivastava et al. 2014; see `dropout` in `micro.functional` for how).

    p: the probability of being dropped, 0.5 unless given.
    seed: give each layer its own, or one `numpy.random.default_rng(seed)` to all layers of a model.
    calls: how often the layer was called in training; set it back to see the same masks again.
    """

    def __init__(self, p: float = 0.5, *, seed: Seed) -> None:
        super().__init__()
        if not isinstance(p, Real) or isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"Dropout: p={p!r}; give a probability from 0 to 1")
        self.p: float = p
        self.calls: int = 0
        self._first: int = int(generator(seed).integers(2**63))

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def get_extra_state(self) -> dict[str, Any]:
        return {"seed": self._first, "calls": self.calls}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        self._first, self.calls = state["seed"], state["calls"]

    def forward(self, x: Tensor) -> Tensor:
        functional = engine_of("Dropout", x).functional
        seed = self._first + self.calls
        self.calls += self.training
        return functional.dropout(x, self.p, self.training, seed=seed)
