"""Checkpoints: a training run in a file, from which it goes on bit for bit.

The format is safetensors, arrays and names, nothing that could run. The arrays are those of the model, the optimizer,
the callbacks and the history; all else is JSON in the file's metadata, with a checksum over everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from nn.callbacks import Callback, check_moment
from nn.data import check_count
from nn.files import checksum, full_path, read_safetensors, written_whole
from nn.history import History, Position, Run

FORMAT = "twograd checkpoint 1"


class Checkpoint(Callback):
    """Keeps the run in the file `path`, to go on from with `fit(..., resume=path)`, whatever ended it.

    every: after so many epochs, or steps, it is written; 1 unless given.
    unit: "epoch" unless given, or "step".

    The last epoch is kept in any case. A new file takes the place of the one before when it is whole, so that there is
    a good one at any moment. A run that has diverged writes none: the last one is from before.

    The file holds the learning rate and the other settings of the optimizer too, and the rate from which schedules
    count: in a run that is resumed they take the place of those given.
    """

    def __init__(self, path: str | Path, every: int = 1, unit: str = "epoch") -> None:
        if not isinstance(path, str | Path):
            raise TypeError(f'Checkpoint: path={path!r:.80}; give the name of a file, such as "run.safetensors"')
        if full_path(path).is_dir():
            raise ValueError(f"Checkpoint: {str(path)!r} is a folder; give a file in it, such as run.safetensors")
        self.path, self.every = full_path(path), check_count("Checkpoint: every", every)
        self.unit = check_moment("Checkpoint: unit", unit)

    def on_step_end(self, run: Run) -> None:
        if self.unit == "step" and len(run.history.step_loss) % self.every == 0:
            self._write(run)

    def on_epoch_end(self, run: Run) -> None:
        epoch, history = len(run.history.loss), run.history
        due = epoch == run.epochs or history.stopped or (self.unit == "epoch" and epoch % self.every == 0)
        if due and history.diverged_at is None:
            self._write(run)

    def _write(self, run: Run) -> None:
        arrays: dict[str, np.ndarray] = {}
        words = json.dumps(_without_arrays(_state(run), "", arrays))
        with written_whole(self.path) as beside:
            metadata = {"format": FORMAT, "state": words, "checksum": checksum(words, arrays)}
            save_file(arrays, beside, metadata)


def resume_run(run: Run, path: str | Path) -> None:
    """Bring `run` to where it was when `path` was written.

    Raises FileNotFoundError where there is no file; ValueError, and changes nothing, where it is damaged, is no
    checkpoint, or is one of a run that is made otherwise.
    """
    state = _read(path)
    differences = list(_differences(state["made of"], _made_of(run)))
    if differences:
        raise ValueError(f"fit: resume={str(path)!r} is a checkpoint of another run: {'; '.join(differences)}")
    run.model.load_state_dict(state["model"])
    for module, extra in zip(run.model.modules(), state["modules"], strict=True):
        module.set_extra_state(extra)
    run.optimizer.load_state_dict(state["optimizer"])
    run.optimizer.settings.update(
        {name: tuple(kept) if isinstance(kept, list) else kept for name, kept in state["settings"].items()}
    )
    for callback, kept in zip(_with_memory(run), state["callbacks"], strict=True):
        callback.load_state_dict(kept)
    run.history = History(**_lists(state["history"]))
    run.position = Position(**state["position"])
    if run.random is not None:
        run.random.bit_generator.state = run.position.random


# ----------------------------------------------------------------------------------------------------------------------
# What a run is.


def _state(run: Run) -> dict[str, Any]:
    """All that changes from step to step, and what it is made of."""
    return {
        "made of": _made_of(run),
        "model": run.model.state_dict(),
        "modules": [module.get_extra_state() for module in run.model.modules()],
        "optimizer": run.optimizer.state_dict(),
        "settings": run.optimizer.settings,
        "callbacks": [callback.state_dict() for callback in _with_memory(run)],
        "history": _arrays(asdict(run.history)),
        "position": asdict(run.position),
    }


def _made_of(run: Run) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    model = run.model.state_dict()
    return {
        "model": {
            **{name: f"{array.dtype} {array.shape}" for name, array in model.items()},
            "layers": " ".join(repr(run.model).split()),
        },
        "optimizer": {
            "kind": type(run.optimizer).__name__,
            "parameters": str([parameter.shape for parameter in run.optimizer.parameters]),
        },
        "callbacks": {str(i): _kind(callback) for i, callback in enumerate(_with_memory(run))},
        "fit": {**run.settings, "random": run.random and type(run.random.bit_generator).__name__},
    }


def _with_memory(run: Run) -> list[Callback]:
    """The callbacks that say what they remember."""
    return [callback for callback in run.callbacks if type(callback).state_dict is not Callback.state_dict]


def _kind(callback: Callback) -> str:
    return f"{type(callback).__name__} {callback.state_dict().get('kind', '')}".strip()


def _differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[str]:
    """In words, what a checkpoint and a run do not have in common."""
    for part, names in mine.items():
        for name in {**theirs[part], **names}:
            there, here = theirs[part].get(name), names.get(name)
            if there != here:
                yield f"{part}: {name} is {there} there, {here} here"


# ----------------------------------------------------------------------------------------------------------------------
# Between states and files.


def _read(path: str | Path) -> dict[str, Any]:
    """The state in a file; ValueError with what is wrong with it."""
    if not isinstance(path, str | Path):
        raise TypeError(f'fit: resume={path!r:.80}; give the file of an nn.Checkpoint, such as "run.safetensors"')
    if not full_path(path).is_file():
        raise FileNotFoundError(
            f"fit: resume={str(path)!r} is no file; leave resume out where there is none yet: "
            "resume=path if path.exists() else None"
        )
    try:
        metadata, arrays = read_safetensors(full_path(path))
    except SafetensorError as error:
        raise ValueError(f"fit: resume={str(path)!r} is not a whole safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "a safetensors file without a training run, such as nn.save_weights writes")
        raise ValueError(f"fit: resume={str(path)!r} is {found}; needed is {FORMAT!r}, from nn.Checkpoint")
    words = metadata.get("state", "")
    if metadata.get("checksum") != checksum(words, arrays):
        raise ValueError(f"fit: resume={str(path)!r} is damaged: its checksum is not that of its content")
    return _with_arrays(json.loads(words), arrays)


def _without_arrays(thing: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """`thing` as JSON can say it: each array in it goes to `arrays`, under the name of its place."""
    if isinstance(thing, Mapping):
        return {key: _without_arrays(part, f"{name}.{key}".lstrip("."), arrays) for key, part in thing.items()}
    if isinstance(thing, list | tuple):
        return [_without_arrays(part, f"{name}.{i}", arrays) for i, part in enumerate(thing)]
    if isinstance(thing, np.ndarray):
        arrays[name] = np.ascontiguousarray(thing).reshape(thing.shape)
        return {"array": name}
    return thing.item() if isinstance(thing, np.generic) else thing


def _with_arrays(thing: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `_without_arrays` was given."""
    if isinstance(thing, dict):
        if thing.keys() == {"array"}:
            return arrays[thing["array"]]
        return {key: _with_arrays(part, arrays) for key, part in thing.items()}
    return [_with_arrays(part, arrays) for part in thing] if isinstance(thing, list) else thing


def _arrays(history: dict[str, Any]) -> dict[str, Any]:
    """Lists of numbers as arrays, which a file holds better."""
    return {
        name: _arrays(part) if isinstance(part, dict) else np.array(part, float) if isinstance(part, list) else part
        for name, part in history.items()
    }


def _lists(history: dict[str, Any]) -> dict[str, Any]:
    """What `_arrays` was given."""
    return {
        name: _lists(part) if isinstance(part, dict) else part.tolist() if isinstance(part, np.ndarray) else part
        for name, part in history.items()
    }
