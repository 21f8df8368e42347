"""What a model is made of, as plain data: enough to make it again, and nothing that could run.

A layer is described by the arguments of its constructor. Each of them is an attribute of the same name, as in
scikit-learn's estimators, so a layer need not be asked what it was made with. What is inside a `Sequential` or a
`ModuleList` may have changed since, so these are described by what they hold.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from nn.arguments import check_model
from nn.engine import Engine, is_tensor
from nn.modules import Module, _Numbered

#: Arguments that say how to begin, and are chosen anew when a layer is made again.
ANEW = ("self", "engine", "seed", "dtype")


def layers() -> dict[str, type[Module]]:
    """The layers that `nn` offers, by name: all that a description can be of."""
    import nn  # here, because it imports this module

    offered = {name: getattr(nn, name) for name in nn.__all__}
    kinds = {name: kind for name, kind in offered.items() if isinstance(kind, type) and issubclass(kind, Module)}
    return {name: kind for name, kind in kinds.items() if kind is not Module}


def check_layers(name: str, model: Any, advice: str) -> None:
    """Raise TypeError unless `model` is made of layers of `nn` alone; what to do otherwise is the advice."""
    check_model(name, model)
    known = layers()
    for module in model.modules():
        if known.get(type(module).__name__) is not type(module):
            raise TypeError(f"{name}: {type(module).__name__} is a module of your own; {advice}")


def describe(module: Module) -> dict[str, Any]:
    """The kind of a module and its settings, for JSON."""
    if isinstance(module, _Numbered):
        inside = {name: describe(one) for name, one in module._modules.items()}
        return {"kind": type(module).__name__, "modules": inside}
    arguments = [name for name in inspect.signature(type(module)).parameters if name not in ANEW]
    settings = {name: _plain(name, getattr(module, name)) for name in arguments}
    kinds = [tensor.dtype for tensor in module._state().values() if tensor.dtype != "int64"]
    if kinds and "dtype" in inspect.signature(type(module)).parameters:
        settings["dtype"] = kinds[0]
    return {"kind": type(module).__name__, "settings": settings}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Module):
        return describe(value)
    if name == "bias" and not isinstance(value, bool):
        return is_tensor(value)  # the argument says whether there is one
    return value.item() if isinstance(value, np.generic) else value


def rebuild(description: Any, engine: Engine, random: np.random.Generator) -> Module:
    """The module that was described, with new parameters; ValueError where the description fits no layer of `nn`."""
    if not isinstance(description, dict) or description.get("kind") not in layers():
        raise ValueError(f"{description!r:.80} describes no layer of nn")
    kind = layers()[description["kind"]]
    if issubclass(kind, _Numbered):
        module = kind.__new__(kind)  # an MLP would make layers of its own, and these may have been replaced
        Module.__init__(module)
        for name, inside in _dictionary(description, "modules").items():
            if not name.isdecimal():
                raise ValueError(
                    f"{description['kind']} holds a module called {name!r:.80}, where numbers are the names"
                )
            setattr(module, name, rebuild(inside, engine, random))
        return module
    settings = _dictionary(description, "settings")
    arguments = {
        name: rebuild(value, engine, random) if isinstance(value, dict) else _tuples(value)
        for name, value in settings.items()
    }
    begin = {"engine": engine, "seed": random}
    arguments |= {name: begin[name] for name in inspect.signature(kind).parameters if name in begin}
    try:
        return kind(**arguments)
    except (TypeError, ValueError, MemoryError) as error:
        raise ValueError(f"{description['kind']} cannot be made with {settings!r:.200}: {error}") from None


def _dictionary(description: dict[str, Any], part: str) -> dict[str, Any]:
    if not isinstance(description.get(part), dict):
        raise ValueError(f"{description!r:.80} has no {part}")
    return description[part]


def _tuples(value: Any) -> Any:
    """What JSON made lists of."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
