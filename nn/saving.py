"""A trained model in one file: weights, architecture, and what its user needs, to predict in another process.

The file is in the format safetensors: arrays, and text beside them. The text says of which layers of `nn` the model is
made, how its inputs were scaled and what they and the classes are called. Nothing in it is run, and nothing else than
layers of `nn` is made from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from nn.architecture import check_layers, describe, rebuild
from nn.data import check_numbers, generator
from nn.engine import Engine, check_engine
from nn.files import checksum, full_path, read_safetensors, written_whole
from nn.modules import Module, Sigmoid, Softmax, first_parameter, last_layer
from nn.training import predict

#: What the format is called in the file, and its version: to be raised when older programs would misread it.
NAME, VERSION = "twograd", 1


@dataclass(frozen=True, eq=False)
class Scaler:
    """(x - mean) / scale, for each feature, the last dimension of x.

    mean, scale: (F,), finite, and scale is nowhere 0.
    """

    mean: np.ndarray
    scale: np.ndarray

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise ValueError(f"Scaler: mean has shape {self.mean.shape}, scale {self.scale.shape}; give (F,) twice")
        if not np.isfinite([self.mean, self.scale]).all() or not self.scale.all():
            raise ValueError("Scaler: mean and scale must be finite, and scale must not be 0")

    def transform(self, x: np.ndarray) -> np.ndarray:
        """x (N, ..., F), scaled."""
        if x.shape[-1:] != self.mean.shape:
            raise ValueError(f"the data have shape {x.shape}; the scaler knows {len(self.mean)} features, (N, F)")
        return (x - self.mean) / self.scale


@dataclass(frozen=True, eq=False)
class Saved:
    """What was saved, ready to predict.

    model: in evaluation mode.
    scaler: what the inputs pass first, or None.
    names: of the features, or None.
    classes: of a classifier in the order of its outputs, or None.
    """

    model: Module
    scaler: Scaler | None = None
    names: list[str] | None = None
    classes: list[Any] | None = None

    def predict(self, x: Any, batch_size: int | None = None) -> np.ndarray:
        """What the model answers for x (N, ...), as it was measured: scaling is done here."""
        x = check_numbers("x", x)
        return predict(self.model, x if self.scaler is None else self.scaler.transform(x), batch_size)

    def probabilities(self, x: Any, batch_size: int | None = None) -> np.ndarray:
        """The probability of each class (N, C) for x (N, ...).

        One output for each class counts as logits, as `cross_entropy` takes them; a single output for two classes as
        the logit of the second, as `binary_cross_entropy_with_logits` takes it; unless the model's last layer is a
        Softmax or a Sigmoid already.
        """
        if self.classes is None:
            raise ValueError("there are no classes; name them when the model is saved: nn.save(..., classes=[...])")
        from scipy.special import softmax  # here, because not everybody asks for probabilities

        outputs, last = self.predict(x, batch_size), last_layer(self.model)
        if outputs.size == len(outputs) and len(self.classes) == 2:
            column = outputs.reshape(-1, 1).astype(float)
            if isinstance(last, Sigmoid):
                return np.hstack([1 - column, column])
            return softmax(np.hstack([np.zeros_like(column), column]), axis=1)
        if outputs.shape[1:] != (len(self.classes),):
            raise ValueError(f"the model's answers have shape {outputs.shape}; there are {len(self.classes)} classes")
        return outputs if isinstance(last, Softmax) else softmax(outputs.astype(float), axis=1)


def save(
    model: Module,
    path: str | Path,
    *,
    scaler: Any = None,
    names: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
) -> Path:
    """Write `model` to `path`, with all that is needed to predict; `load` reads it. Returns the path.

    model: made of layers of `nn`. With modules of your own, use `save_weights`: only your code can make them again.
    scaler: what X went through before training: a fitted StandardScaler, MinMaxScaler or RobustScaler of scikit-learn,
        or an `nn.Scaler`.
    names: of the features, in the order of the columns of X.
    classes: what the outputs of a classifier stand for, such as LabelEncoder's classes_: texts or numbers.

    A crash leaves the old file or the new one, never half of one. `load_weights` reads the weights alone.
    """
    advice = "nn.load could not make it again; use nn.save_weights, and make the model by your code to load them"
    check_layers("save", model, advice)
    if not isinstance(path, str | Path) or full_path(path).is_dir():
        raise ValueError(f'save: path={path!r:.80}; give the path of a file: nn.save(model, "model.safetensors")')
    state, kept = model.state_dict(), None if scaler is None else _scaler(scaler)
    content = {
        "version": VERSION,
        "model": describe(model),
        "shared": _shared(model),
        "scaler": None if kept is None else {"mean": kept.mean.tolist(), "scale": kept.scale.tolist()},
        "names": _names("save", names, kept),
        "classes": _classes("save", classes),
    }
    content = json.loads(json.dumps(content))  # as it will be read
    _make(content, state, first_parameter(model).engine)  # what could not be loaded is not saved
    content["sha256"] = checksum(json.dumps(content), state)
    with written_whole(path) as beside:
        save_file(state, beside, metadata={NAME: json.dumps(content)})
    return full_path(path)


def load(path: str | Path, *, engine: Engine) -> Saved:
    """Read what `save` wrote; the model is made anew on `engine`, whichever it was trained on, in evaluation mode.

    Raises ValueError where the file is damaged, of another kind, or written by a newer version.
    """
    check_engine(engine)
    if not isinstance(path, str | Path) or full_path(path).is_dir():
        raise ValueError(f'load: path={path!r:.80}; give the path of a file: nn.load("model.safetensors", engine=...)')
    path = full_path(path)
    text, state = _read(path)
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            version = content.get("version") if isinstance(content, dict) else content
            raise ValueError(f"its version is {version!r:.80}, known is {VERSION}")
        if content.pop("sha256", None) != checksum(json.dumps(content), state):
            raise ValueError("it is damaged, for its content does not have its checksum; copy or save it again")
        model, numbers = _make(content, state, engine), content["scaler"]
        scaler = None if numbers is None else Scaler(np.array(numbers["mean"]), np.array(numbers["scale"]))
        names, classes = _names("load", content["names"], scaler), _classes("load", content["classes"])
        return Saved(model.eval(), scaler, names, classes)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"load: {path} cannot be read: {error}") from None


def _read(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The text and the arrays in a file."""
    try:
        metadata, state = read_safetensors(path)
    except SafetensorError as error:
        raise ValueError(f"load: {path} is not a whole safetensors file ({error})") from None
    if NAME not in metadata:
        raise ValueError(f"load: {path} holds no architecture; make the model by your code, and use nn.load_weights")
    return metadata[NAME], state


def _make(content: Mapping[str, Any], state: Mapping[str, np.ndarray], engine: Engine) -> Module:
    """The model with its weights."""
    model = rebuild(content["model"], engine, generator(0))
    for name, first in content["shared"].items():
        _set(model, name, _get(model, first))
    model.load_state_dict(state)
    return model


def _shared(model: Module) -> dict[str, str]:
    """Parameters and buffers that have a second name, as layers that are used twice have, and their first names."""
    first: dict[int, str] = {}
    shared = {}
    for name, tensor in [*model._all("_parameters", ""), *model._all("_buffers", "")]:
        if tensor is not None and first.setdefault(id(tensor), name) != name:
            shared[name] = first[id(tensor)]
    return shared


def _get(model: Module, name: str) -> Any:
    """The parameter or buffer of this name."""
    found = dict([*model._all("_parameters", ""), *model._all("_buffers", "")])
    if name not in found:
        raise ValueError(f"there is no parameter {name!r:.80}")
    return found[name]


def _set(model: Module, name: str, tensor: Any) -> None:
    """Put another tensor in the place of a parameter or buffer."""
    _get(model, name)
    *path, last = name.split(".")
    for part in path:
        model = model._modules[part]
    setattr(model, last, tensor)


def _scaler(scaler: Any) -> Scaler:
    """A scaler of scikit-learn as means and scales."""
    if isinstance(scaler, Scaler):
        return scaler
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler  # which take longer than all of nn

    if type(scaler) not in (StandardScaler, RobustScaler, MinMaxScaler) or getattr(scaler, "clip", False):
        raise TypeError(
            f"save: scaler={scaler!r:.80}; give a StandardScaler, RobustScaler or MinMaxScaler (without clip) of "
            "scikit-learn, or nn.Scaler(mean, scale)"
        )
    if not hasattr(scaler, "n_features_in_"):
        raise ValueError(f"save: scaler={scaler!r:.80} is not fitted; call its fit(X) first")
    if isinstance(scaler, MinMaxScaler):  # which computes x * scale_ + min_
        return Scaler(-scaler.min_ / scaler.scale_, 1 / scaler.scale_)
    mean = scaler.center_ if isinstance(scaler, RobustScaler) else scaler.mean_ if scaler.with_mean else None
    nothing = np.zeros(scaler.n_features_in_)
    return Scaler(nothing if mean is None else mean, nothing + 1 if scaler.scale_ is None else scaler.scale_)


def _names(function: str, names: Any, scaler: Scaler | None) -> list[str] | None:
    if names is None:
        return None
    found = [] if isinstance(names, str) else [str(name) for name in names]
    if len(set(found)) != len(found) or not found:
        raise ValueError(f"{function}: names={names!r:.80}; give a list of names of features, none of them twice")
    if scaler is not None and len(scaler.mean) != len(found):
        raise ValueError(f"{function}: there are {len(found)} names, the scaler knows {len(scaler.mean)} features")
    return found


def _classes(function: str, classes: Any) -> list[Any] | None:
    if classes is None:
        return None
    array = np.asarray(classes)
    if array.ndim != 1 or array.dtype.kind not in "biufUO" or len(set(array.tolist())) < max(2, len(array)):
        raise ValueError(
            f"{function}: classes={classes!r:.80}; give a list of texts or numbers, two at least, none twice"
        )
    return array.tolist()
