"""Parameters in files. The format is safetensors: numbers and names, nothing that could run."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nn.modules import Module


def save_weights(model: Module, path: str | Path) -> Path:
    """Write the parameters of `model` to `path`, under the names of `state_dict`; returns the path.

    The file is written beside the target and renamed, so that a crash leaves the old file or the new one, never half.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    save_file(model.state_dict(), beside)
    os.replace(beside, path)
    return path


def load_weights(model: Module, path: str | Path) -> None:
    """Read parameters from `path` into `model`, whichever engine wrote them.

    Raises ValueError, and changes nothing, where the file is not a safetensors file or does not fit the model.
    """
    try:
        state = load_file(Path(path))
    except SafetensorError as error:
        raise ValueError(
            f"load_weights: {path} is not a whole safetensors file ({error}); nothing was loaded"
        ) from None
    model.load_state_dict(state)
