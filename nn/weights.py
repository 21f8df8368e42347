"""Parameters in files. The format is safetensors: numbers and names, nothing that could run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nn.files import full_path, written_whole
from nn.modules import Module


def save_weights(model: Module, path: str | Path) -> Path:
    """Write the parameters of `model` to `path`, under the names of `state_dict`; returns the path.

    A crash leaves the old file or the new one, never half of one.
    """
    _check("save_weights", model, path)
    with written_whole(path) as beside:
        save_file(model.state_dict(), beside)
    return full_path(path)


def load_weights(model: Module, path: str | Path) -> None:
    """Read parameters from `path` into `model`, whichever engine wrote them.

    Raises ValueError, and changes nothing, where the file is not a safetensors file or does not fit the model.
    """
    _check("load_weights", model, path)
    try:
        state = load_file(full_path(path))
    except SafetensorError as error:
        raise ValueError(
            f"load_weights: {path} is not a whole safetensors file ({error}); nothing was loaded"
        ) from None
    model.load_state_dict(state)


def _check(name: str, model: Any, path: Any) -> None:
    """A model, and the path of a file."""
    if not isinstance(model, Module) or not isinstance(path, str | Path):
        raise TypeError(f'{name}: model={model!r:.80}, path={path!r:.80}; give {name}(model, "model.safetensors")')
    if full_path(path).is_dir():
        raise ValueError(f"{name}: {str(path)!r} is a folder; give the path of a file in it, such as model.safetensors")
