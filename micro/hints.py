"""What to say where somebody asks for a name of PyTorch that is called something else here, or is not needed.

Python asks `__getattr__` only for names that are not there, so the hints cost nothing where nothing is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_DEVICE = "give device='cuda' to what makes tensors, or use x.to('cuda'); fast.devices() lists what there is"
_IN_PLACE = "write x = x.{0}(...), which gradients can follow"

#: Names that PyTorch's tensors have.
TENSOR: dict[str, str] = {
    "size": "use .shape, or .shape[dim]",
    "dim": "use .ndim",
    "ndimension": "use .ndim",
    "nelement": "use .numel()",
    **dict.fromkeys(("float", "half", "bfloat16"), "use .to('float32')"),
    "double": "use .to('float64')",
    **dict.fromkeys(("long", "int", "short"), "use .to('int64')"),
    "bool": "use .to('bool')",
    "type": "use .dtype, or .to('float32')",
    "astype": "use .to('float32')",
    **dict.fromkeys(("is_cuda", "get_device"), "use .device, which is 'cpu' or 'cuda'"),
    "clamp": "use .clip(min, max)",
    "clamp_min": "use .clip(min)",
    "clamp_max": "use .clip(max=...)",
    "masked_fill": "use engine.where(mask, value, x)",
    "masked_select": "use x[mask]",
    "index_select": "use x[:, indices]",
    "where": "use engine.where(condition, a, b)",
    **dict.fromkeys(("mm", "bmm", "dot", "mv"), "use a @ b"),
    "t": "use .T",
    "mT": "use .transpose(-2, -1)",
    "swapaxes": "use .transpose(dim0, dim1)",
    "expand_as": "use .expand(other.shape)",
    "view_as": "use .view(other.shape)",
    "reshape_as": "use .reshape(other.shape)",
    "contiguous": "not needed; .reshape(...) works for every tensor",
    "clone": "use engine.tensor(x) for a copy without history, or x + 0 for one that gradients pass through",
    "data_ptr": "use np.asarray(x)",
    "norm": "use (x * x).sum().sqrt()",
    "absolute": "use abs(x)",
    "multiply": "use a * b",
    "divide": "use a / b",
    "subtract": "use a - b",
    "is_leaf": "a leaf has no .parents",
    "grad_fn": "use .op, the operation that made it, and .parents",
    "requires_grad_": "set x.requires_grad",
    "detach_": "use x = x.detach()",
    "zero_": "within engine.no_grad() use x[...] = 0",
    "fill_": "within engine.no_grad() use x[...] = number",
    "uniform_": "use low + (high - low) * engine.rand(shape, seed=...)",
    "normal_": "use mean + std * engine.randn(shape, seed=...)",
    **{f"{name}_": _IN_PLACE.format(name) for name in ("relu", "exp", "tanh", "sigmoid", "add", "sub", "mul", "div")},
    "clamp_": _IN_PLACE.format("clip"),
    "masked_fill_": "use x = engine.where(mask, value, x)",
}

#: Names that the module `torch` has, apart from those that are methods here.
ENGINE: dict[str, str] = {
    "clamp": "it is a method of tensors: x.clip(min, max)",
    **dict.fromkeys(("mm", "bmm", "dot", "mv"), "use a @ b"),
    **dict.fromkeys(("concat", "concatenate"), "use cat"),
    "nn": "layers and losses are in the package nn: import nn",
    "optim": "optimizers are in the package nn: nn.SGD, nn.Adam",
    **dict.fromkeys(("manual_seed", "seed"), "there is no global state: give seed= to what draws random numbers"),
    "Generator": "give seed=, a whole number",
    **dict.fromkeys(("from_numpy", "FloatTensor", "DoubleTensor", "LongTensor"), "use tensor(array), or as_tensor"),
    **dict.fromkeys(("cuda", "device", "backends", "set_default_device"), _DEVICE),
    "set_default_dtype": "give dtype= to what makes tensors",
    "float": "use float32",
    "double": "use float64",
    **dict.fromkeys(("long", "int", "int32"), "use int64"),
    **dict.fromkeys(("float16", "half", "bfloat16"), "use float32"),
    **dict.fromkeys(("inference_mode", "set_grad_enabled"), "use no_grad()"),
    "autograd": "use loss.backward(), and then .grad of the inputs",
    "save": "use nn.save_weights(model, path)",
    "load": "use nn.load_weights(model, path)",
    "normal": "use mean + std * randn(shape, seed=...)",
    "empty": "use zeros",
}


def of_tensor(tensor: Any, name: str) -> AttributeError:
    """The error for an attribute that a tensor does not have."""
    kind = type(tensor).__name__
    if name in TENSOR:
        return AttributeError(f"{kind} has no attribute {name!r}; {TENSOR[name]}")
    return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=tensor)


def of_engine(engine: str, kind: type) -> Callable[[str], Any]:
    """The function `__getattr__` of an engine's module, whose tensors are of `kind`."""

    def missing(name: str) -> Any:
        if name in ENGINE:
            raise AttributeError(f"{engine} has no {name!r}; {ENGINE[name]}")
        if not name.startswith("_") and callable(getattr(kind, name, None)):
            raise AttributeError(f"{engine} has no {name!r}; it is a method of tensors: x.{name}(...)")
        raise AttributeError(f"module {engine!r} has no attribute {name!r}", name=name, obj=sys.modules[engine])

    return missing
