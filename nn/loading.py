"""What of a saved state fits a model, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nn.engine import Tensor


@dataclass(frozen=True)
class LoadReport:
    """What `load_state_dict` did with each name; printed, it says so line by line.

    loaded: the parameters and buffers that have new numbers.
    missing: those that the state says nothing about; they are as they were.
    unexpected: names in the state that the model does not have; they were ignored.
    mismatched: names that both have, but with another shape or type, and in words what differs; they are as they were.
    """

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: dict[str, str]

    @property
    def problems(self) -> list[str]:
        """What does not fit, in words: empty if everything does."""
        return [
            *[f"{name} is missing" for name in self.missing],
            *[f"{name} is unknown" for name in self.unexpected],
            *[f"{name} {difference}" for name, difference in self.mismatched.items()],
        ]

    def __str__(self) -> str:
        size = len(self.loaded) + len(self.missing) + len(self.mismatched)
        return "\n".join(
            [
                f"loaded {len(self.loaded)} of {size}: {', '.join(self.loaded) or 'nothing'}",
                *[f"not loaded: {name} is missing" for name in self.missing],
                *[f"not loaded: {name} {difference}" for name, difference in self.mismatched.items()],
                *[f"ignored: {name} is unknown" for name in self.unexpected],
            ]
        )


def compare(mine: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]) -> LoadReport:
    """What loading `arrays` into the tensors `mine` would do."""
    differences = {name: _difference(tensor, arrays[name]) for name, tensor in mine.items() if name in arrays}
    return LoadReport(
        loaded=[name for name, difference in differences.items() if not difference],
        missing=[name for name in mine if name not in arrays],
        unexpected=[name for name in arrays if name not in mine],
        mismatched={name: difference for name, difference in differences.items() if difference},
    )


def _difference(tensor: Tensor, array: np.ndarray) -> str:
    """Why `array` cannot become the numbers of `tensor`; empty if it can."""
    found = []
    if array.shape != tensor.shape:
        found.append(f"has shape {array.shape}, needed is {tensor.shape}")
    whole = tensor.dtype == "int64"
    if array.dtype.kind not in ("iu" if whole else "iuf"):
        found.append(f"holds {array.dtype}{', needed is int64' if whole else ''}")
    return " and ".join(found)
