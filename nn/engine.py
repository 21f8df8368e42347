"""What `nn` asks of an engine: the modules `micro` and `fast` both offer it.

Layers, losses, optimizers and `fit` are written once, against this list, and are handed an engine or find it in the
tensors that they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

#: A `micro.Array` (or, without dimensions, a `micro.Value`), or a `fast.Tensor`.
Tensor = Any


class Engine(Protocol):
    """A module of tensors: makes them, computes with them, and can leave gradients out.

    functional: the structured operations, from `linear` to `adam_step`. Each is defined in `micro.functional`, in plain
        loops; a test compares the names and the arguments that the engines offer.
    default_dtype: the type of a model's numbers unless another is asked for.
    """

    functional: Any
    default_dtype: str

    def tensor(self, data: Any, dtype: str | None = None, requires_grad: bool = False) -> Tensor: ...

    def as_tensor(self, data: Any, dtype: str | None = None) -> Tensor: ...

    def zeros(self, *shape: Any, dtype: str | None = None) -> Tensor: ...

    def stack(self, tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...

    def no_grad(self) -> AbstractContextManager[None]: ...


def check_parameters(name: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list of tensors of one engine, none of them twice."""
    found = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for parameter in found:
        if getattr(parameter, "engine", None) is None or parameter.dtype == "int64":
            raise TypeError(f"{name}: {parameter!r:.80} is not a parameter; give model.parameters()")
        if parameter.engine is not found[0].engine:
            raise TypeError(f"{name}: the parameters belong to different engines; give those of one model")
    if len({id(parameter) for parameter in found}) < len(found):
        raise ValueError(f"{name}: a parameter is given twice and would count twice; give model.parameters()")
    if not found:
        raise ValueError(f"{name}: there are no parameters; give model.parameters()")
    return found


def check_engine(engine: Any) -> Engine:
    """`engine` itself; TypeError where it is none."""
    if all(hasattr(engine, name) for name in ("functional", "default_dtype", "tensor", "as_tensor", "no_grad")):
        return engine
    raise TypeError(f"engine={engine!r:.80} is not an engine; give the module, as in `import fast` and engine=fast")


def engine_of(name: str, x: Any) -> Engine:
    """The engine of the tensor `x`, for a layer without parameters; TypeError where it is no tensor."""
    engine = getattr(x, "engine", None)
    if engine is None:
        raise TypeError(f"{name}: the input is a {type(x).__name__}, {x!r:.80}; make it a tensor first")
    return engine
