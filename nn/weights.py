"""Parameters in files. The format is safetensors: numbers and names, nothing that could run."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nn.files import full_path, written_whole
from nn.modules import Module


def save_weights(model: Module, path: str | Path) -> Path:
    """Write the parameters of `model` to `path`, under the names of `state_dict`; returns the path.

    A crash leaves the old file or the new one, never half of one.
    """
    with written_whole(path) as beside:
        save_file(model.state_dict(), beside)
    return full_path(path)


def load_weights(model: Module, path: str | Path) -> None:
    """Read parameters from `path` into `model`, whichever engine wrote them.

    Raises ValueError, and changes nothing, where the file is not a safetensors file or does not fit the model.
    """
    try:
        state = load_file(full_path(path))
    except SafetensorError as error:
        raise ValueError(
            f"load_weights: {path} is not a whole safetensors file ({error}); nothing was loaded"
        ) from None
    model.load_state_dict(state)
