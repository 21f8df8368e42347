"""What `nn` asks of an engine: the modules `micro` and `fast` both offer it.

Layers, losses, optimizers and `fit` are written once, against this list, and are handed an engine or find it in the
tensors that they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

#: A `micro.Array` (or, without dimensions, a `micro.Value`), or a `fast.Tensor`.
Tensor = Any


@runtime_checkable
class Engine(Protocol):
    """A module of tensors: makes them, computes with them, and can leave gradients out.

    __name__: by which the processes of other workers import it.
    functional: the structured operations, from `linear` to `adam_step`. Each is defined in `micro.functional`, in plain
        loops; a test compares the names and the arguments that the engines offer.
    default_dtype: the type of a model's numbers unless another is asked for.
    grad_mode: of this thread, its `maker`: the module within whose call the nodes of a graph are made.
    one_thread: within it this Python thread computes on one core, as workers do that share the cores.
    """

    __name__: str
    functional: Any
    grad_mode: Any
    default_dtype: str

    def tensor(
        self, data: Any, dtype: str | None = None, requires_grad: bool = False, *, device: str = "cpu"
    ) -> Tensor: ...

    def as_tensor(self, data: Any, dtype: str | None = None) -> Tensor: ...

    def zeros(self, *shape: Any, dtype: str | None = None, device: str = "cpu") -> Tensor: ...

    def stack(self, tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...

    def no_grad(self) -> AbstractContextManager[None]: ...

    def one_thread(self) -> AbstractContextManager[None]: ...


def check_parameters(name: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list of tensors of one engine, none of them twice."""
    if is_tensor(parameters) or hasattr(parameters, "parameters"):  # whose rows, or layers, are no parameters
        raise TypeError(f"{name}: {parameters!r:.80} is no list; give model.parameters(), or [tensor]")
    found = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for parameter in found:
        if not is_tensor(parameter) or parameter.dtype in ("int64", "bool"):
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
    if isinstance(engine, Engine):
        return engine
    raise TypeError(f"engine={engine!r:.80} is not an engine; give the module, as in `import fast` and engine=fast")


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of an engine."""
    return hasattr(x, "engine") and hasattr(x, "shape")


def tensor_beside(parameter: Tensor, array: Any) -> Tensor:
    """An array as a tensor of the engine of a parameter, and on its device."""
    return parameter.engine.as_tensor(array).to(parameter.device)


def on_cpu(x: Any) -> Any:
    """x, which is copied there if it is a tensor on another device."""
    return x.cpu() if is_tensor(x) else x


def check_tensor(name: str, x: Any) -> Tensor:
    """The tensor x itself; TypeError where it is none."""
    if is_tensor(x):
        return x
    advice = "make it a tensor first, with engine.tensor(...)"
    if isinstance(x, tuple):
        advice = "a recurrent layer gives the pair (outputs, state): put nn.LastStep() behind it, or take the outputs"
    raise TypeError(f"{name}: got a {type(x).__name__}, {x!r:.80}; {advice}")


def engine_of(name: str, x: Any) -> Engine:
    """The engine of the tensor `x`, for a layer without parameters; TypeError where it is no tensor."""
    return check_tensor(name, x).engine
