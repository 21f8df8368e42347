"""Layers and models. Names, shapes, initial distributions and `state_dict` keys are PyTorch's.

A layer holds its parameters as plain attributes, made by the engine it was handed, and says in `forward` what it does
with its input. It computes through the tensors' own vocabulary, so the same layer runs on both engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import FunctionType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nn.data import check_count, generator
from nn.engine import Engine, Tensor, check_engine, check_tensor, is_tensor, on_cpu
from nn.hints import MODULE, missing
from nn.loading import LoadReport, compare

#: A seed, or a generator that goes on where the layer before has stopped.
Seed = int | np.random.Generator


class Module:
    """A layer or a model: parameters, buffers, modules inside it, and `forward`.

    A module that is set as an attribute is inside from then on, and a tensor with requires_grad=True is a parameter,
    unless it was computed from others.

    training: whether the module is being trained; `train()` and `eval()` set it, here and in all modules inside.
    frozen: whether it stays in evaluation, whatever `train()` says; `freeze()` and `unfreeze()` set it.
    """

    training: bool
    frozen: bool
    _parameters: list[str]
    _buffers: list[str]
    _modules: dict[str, Module]

    def __init_subclass__(cls, **settings: Any) -> None:
        """A class that inherits `__init__` gets it under its own name, so that Python's errors show it."""
        super().__init_subclass__(**settings)
        inherited: Any = cls.__init__
        if "__init__" not in vars(cls) and isinstance(inherited, FunctionType):
            mine = FunctionType(*[getattr(inherited, f"__{part}__") for part in _PARTS])
            mine.__kwdefaults__, mine.__annotations__ = inherited.__kwdefaults__, inherited.__annotations__
            mine.__qualname__ = f"{cls.__qualname__}.__init__"
            cls.__init__ = mine  # type: ignore[method-assign]

    def __init__(self) -> None:
        vars(self).update(training=True, frozen=False, _parameters=[], _buffers=[], _modules={})

    def __setattr__(self, name: str, value: Any) -> None:
        known = [*self._parameters, *self._buffers]
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        if any(isinstance(item, Module) for item in items):
            raise TypeError(
                f"{type(self).__name__}: {name} is a {type(value).__name__} of modules, whose parameters would not be "
                "found; make it an nn.ModuleList(...), or an nn.Sequential(...) if they come one after another"
            )
        if name in known and value is not None and not is_tensor(value):
            raise TypeError(f"{type(self).__name__}: {name}={value!r:.80} replaces a parameter; give a tensor, or None")
        if isinstance(value, Module):
            self._modules[name] = value
            for full_name, parameter in self.named_parameters():
                parameter.label = full_name
        else:
            self._modules.pop(name, None)  # another thing takes the name of a module
            if name not in known and is_tensor(value) and value.requires_grad and not getattr(value, "parents", ()):
                self._parameters.append(name)
                value.label = value.label or name
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._modules.pop(name, None)
        for names in (self._parameters, self._buffers):
            if name in names:
                names.remove(name)

    if not TYPE_CHECKING:  # which is to find names that do not exist

        def __getattr__(self, name: str) -> Any:
            if name in Module.__annotations__:
                raise AttributeError(f"{type(self).__name__}: call super().__init__() first in its __init__")
            raise missing(self, name, MODULE)

    def __call__(self, *inputs: Any, **settings: Any) -> Tensor:
        """`forward`; what the engine records meanwhile names this module as its maker."""
        first = inputs[0] if inputs else None
        if isinstance(first, tuple) and first:  # what a recurrent layer gives: outputs and state
            first = first[0]
        engine = getattr(first, "engine", None)
        if engine is None:  # forward will refuse it
            return self.forward(*inputs, **settings)
        mode = engine.grad_mode
        outer = mode.maker
        mode.maker = self, outer
        try:
            return self.forward(*inputs, **settings)
        finally:
            mode.maker = outer

    def __repr__(self) -> str:
        inside = [f"\n({name}): {module!r}".replace("\n", "\n  ") for name, module in self._modules.items()]
        return f"{type(self).__name__}({self.extra_repr()}{''.join(inside)}" + ("\n)" if inside else ")")

    def extra_repr(self) -> str:
        """What stands between the brackets when the module is printed."""
        return ""

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """The output for an input."""
        raise NotImplementedError(f"{type(self).__name__} does not say what forward() is")

    def register_parameter(self, name: str, parameter: Tensor | None) -> None:
        """Make `parameter` the attribute `name` and count it among the parameters; None is one that is left out."""
        self._register(self._parameters, name, parameter)

    def _begin(self, name: str, numbers: np.ndarray, engine: Engine, dtype: str | None) -> None:
        """Make `name` a parameter of `engine` that begins as `numbers`; dtype is the engine's default where None."""
        dtype = dtype or engine.default_dtype
        self.register_parameter(name, engine.tensor(numbers, dtype, requires_grad=True))

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Make `tensor` the attribute `name` and count it among the buffers: saved with the module, but not trained."""
        self._register(self._buffers, name, tensor)

    def _register(self, names: list[str], name: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            check_tensor(f"{type(self).__name__}.{name}", tensor).label = name
        if name not in names:
            names.append(name)
        setattr(self, name, tensor)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every parameter with its name, such as `0.weight`: own ones first, then those of the modules inside.

        A parameter that is shared by several modules comes once, under its first name.
        """
        return _each_once(self._all("_parameters", prefix))

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its name, such as `1.running_mean`, in the order of `named_parameters`."""
        return _each_once(self._all("_buffers", prefix))

    def _all(self, kind: str, prefix: str) -> Iterator[tuple[str, Tensor | None]]:
        for name in getattr(self, kind):
            yield prefix + name, getattr(self, name)
        for name, module in self._modules.items():
            yield from module._all(kind, f"{prefix}{name}.")

    def parameters(self) -> list[Tensor]:
        """Every parameter, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def modules(self) -> Iterator[Module]:
        """This module, and all modules inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, whose name is `""`, and all modules inside it, such as `0.norm`, each once."""
        return _each_once(self._all_modules(""))

    def _all_modules(self, name: str) -> Iterator[tuple[str, Module]]:
        yield name, self
        for child, module in self._modules.items():
            yield from module._all_modules(f"{name}.{child}" if name else child)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one, with their names."""
        return _each_once(self._modules.items())

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self, mode: bool = True) -> Module:
        """Switch to training (or, with False, to evaluation), apart from what is frozen; returns the module."""
        self.training = mode and not self.frozen
        for module in self._modules.values():
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Switch to evaluation; returns the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Say of all parameters whether they are trained; returns the module.

        Those that are not keep their numbers bit for bit, whatever the optimizer's momentum and weight decay: it skips
        them. `fast` does not compute their gradients, nor pass through layers below which nothing is trained; in
        `micro`, where every Value takes part in `backward`, the gradients are there to be looked at. A batch norm's
        running means are no parameters and go on changing in training: see `freeze`.
        """
        for parameter in self.parameters():
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad = requires_grad
                parameter.zero_grad()  # an optimizer would still follow the last one
        return self

    def freeze(self) -> Module:
        """Leave the module as it is from here on, as what another task has taught it; returns the module.

        Its parameters are not trained (see `requires_grad_`), and it stays in evaluation, also while the model that it
        is part of is trained: batch norm uses and keeps its running means, and dropout drops nothing.
        """
        for module in self.modules():
            module.frozen = True
        return self.requires_grad_(False).eval()

    def unfreeze(self) -> Module:
        """Undo `freeze`: all parameters are trained, and the next `train()`, as `fit` calls it, reaches the module."""
        for module in self.modules():
            module.frozen = False
        return self.requires_grad_(True)

    def to(self, device: str) -> Module:
        """Move all parameters and buffers to a device, `"cpu"` or `"cuda"`, the first GPU; returns the module.

        They stay the same tensors, so an optimizer may be made before or after; but what it remembers of steps that
        were made before stays where it is. RuntimeError where there is no GPU, which says what is missing. The type of
        the numbers is that with which the layers were made.
        """
        for tensor in self._state().values():
            tensor.move_(device)
        return self

    def cpu(self) -> Module:
        """Move to the CPU; returns the module."""
        return self.to("cpu")

    def cuda(self) -> Module:
        """Move to the first GPU; returns the module."""
        return self.to("cuda")

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every parameter and every buffer as an array, by name; on the CPU, wherever the module is."""
        return {name: np.array(tensor.cpu()) for name, tensor in self._state().items()}

    def get_extra_state(self) -> dict[str, Any]:
        """What changes from call to call beside the parameters and buffers of this module itself, as plain numbers.

        Checkpoints keep it. Unlike PyTorch's, it is no part of `state_dict`, whose names so stay the same for all.
        """
        return {}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `get_extra_state` gave."""

    def _state(self) -> dict[str, Tensor]:
        return dict([*self.named_parameters(), *self.named_buffers()])

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadReport:
        """Take over the parameters and buffers in `state`, arrays or tensors by name, from whichever engine.

        strict: True unless given: ValueError, and nothing is changed, where names or shapes differ from the module's,
            or where a number is not whole that must be. False takes over what fits and leaves the rest as it is, such
            as a new last layer; ValueError only where nothing fits.

        Returns what was loaded and what was not; print it. (PyTorch's `strict=False` refuses other shapes.)
        """
        mine = self._state()
        arrays = {name: np.asarray(on_cpu(array)) for name, array in state.items()}
        report = compare(mine, arrays)
        if report.problems and (strict or not report.loaded):
            raise ValueError(f"load_state_dict: {'; '.join(report.problems)}; nothing was loaded")
        for name in report.loaded:
            mine[name].copy_(arrays[name])
        return report


#: What a function is made of: the arguments of `FunctionType`.
_PARTS = ("code", "globals", "name", "defaults", "closure")


def _each_once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Those that exist, each under its first name."""
    seen: set[int] = set()
    for name, thing in named:
        if thing is not None and id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


def first_parameter(model: Module) -> Tensor:
    """A parameter, to ask for its engine and its type; ValueError for a model without any."""
    for _, parameter in model.named_parameters():
        return parameter
    raise ValueError(f"{type(model).__name__} has no parameters, so there is nothing to train and no engine to ask")


class Affine(Module):
    """A layer with a weight and, if `bias` says so, a bias, which begin uniform in +-1/sqrt(fan_in), as in PyTorch.

    shape: of the weight; its first length is the number of outputs, and the length of the bias.
    fan_in: the number of inputs that each output adds up.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, shape: tuple[int, ...], fan_in: int, bias: bool, engine: Engine, seed: Seed, dtype: str | None
    ) -> None:
        super().__init__()
        check_engine(engine)
        random = generator(seed)
        bound = 1 / math.sqrt(fan_in)
        self._begin("weight", random.uniform(-bound, bound, shape), engine, dtype)
        self.bias = None
        if bias:
            self._begin("bias", random.uniform(-bound, bound, shape[0]), engine, dtype)


class Linear(Affine):
    """y = x W^T + b, for x (..., in_features) and y (..., out_features).

    weight (out_features, in_features) and bias (out_features,) begin uniform in +-1/sqrt(in_features), as in PyTorch.

    bias: whether there is one.
    engine: `micro` or `fast`.
    seed: of the initial numbers, which are drawn in float64, the same for both engines. Layers of one model must not
        begin alike: give each its own seed, or one `numpy.random.default_rng(seed)` to all.
    dtype: `"float32"` or `"float64"`; left out, float32 on `fast`, and float64, the only one, on `micro`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        engine: Engine,
        seed: Seed,
        dtype: str | None = None,
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            check_count(f"Linear: {name}", size)
        super().__init__((out_features, in_features), in_features, bias, engine, seed, dtype)
        self.in_features, self.out_features = in_features, out_features

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'}"

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.engine.functional.linear(x, self.weight, self.bias)


class Tanh(Module):
    """tanh(x), for each element."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("Tanh", x).tanh()


class Sigmoid(Module):
    """1 / (1 + exp(-x)), for each element."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("Sigmoid", x).sigmoid()


class ReLU(Module):
    """x where it is positive, else 0."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("ReLU", x).relu()


class LeakyReLU(Module):
    """x where it is positive, else 0.01 x."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("LeakyReLU", x).leaky_relu()


class GELU(Module):
    """x times the probability that a standard normal number is below x (Hendrycks and Gimpel 2016), exact."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("GELU", x).gelu()


class SiLU(Module):
    """x * sigmoid(x), also called swish."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("SiLU", x).silu()


class Softplus(Module):
    """log(1 + exp(x)), a smooth ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("Softplus", x).softplus()


class Softmax(Module):
    """Probabilities exp(x) / sum of exp(x) along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return check_tensor("Softmax", x).softmax(self.dim)


class Identity(Module):
    """x itself: a place in a model where nothing happens."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class _Numbered(Module):
    """Modules whose names are their numbers, from `0`."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> list[Module]: ...

    def __getitem__(self, index: int | slice) -> Module | list[Module]:
        return list(self)[index]

    def __setitem__(self, index: int | slice, new: Any) -> None:
        """Replace a module by another, or several by others, which need not be as many; the rest is numbered anew."""
        modules: list[Any] = list(self)
        try:
            modules[index] = list(new) if isinstance(index, slice) else new
        except IndexError:
            raise self._no_such(index) from None
        self._become(modules)

    def __delitem__(self, index: int | slice) -> None:
        """Take a module out, or several; those behind move up."""
        modules = list(self)
        try:
            del modules[index]
        except IndexError:
            raise self._no_such(index) from None
        self._become(modules)

    def append(self, module: Module) -> None:
        """Put `module` at the end."""
        self._check(len(self), module)
        setattr(self, str(len(self)), module)

    def _become(self, modules: list[Any]) -> None:
        """Hold these modules, whose names are their numbers."""
        for number, module in enumerate(modules):
            self._check(number, module)
        for name in list(self._modules):
            delattr(self, name)
        for module in modules:
            self.append(module)

    def _no_such(self, index: Any) -> IndexError:
        return IndexError(f"{type(self).__name__}: there is no module {index}; there are {len(self)}, from 0")

    def _check(self, number: int, module: Any) -> None:
        """What is to be module `number` is a Module."""
        if not isinstance(module, Module):
            advice = ""
            if isinstance(module, type) and issubclass(module, Module):
                advice = f"; make one: {module.__name__}(...)"
            elif isinstance(module, list | tuple):
                advice = "; give the modules one by one: Sequential(*modules)"
            raise TypeError(f"{type(self).__name__}: argument {number} is {module!r:.80}, not a Module{advice}")


class Sequential(_Numbered):
    """Modules one after another; their names are their numbers, from `0`.

    `model[0]` is the first of them, `model[:2]` a Sequential of the first two; `len` and `for` know them too.
    `model[-1] = nn.Linear(...)` replaces the last one, and `del model[-1]` takes it out. An optimizer that was made
    before does not know the new parameters: make another.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if not isinstance(found, list):
            return found
        part = Sequential()
        for number, module in enumerate(found):  # not by setattr: the parameters keep their labels, those of the whole
            part._modules[str(number)] = vars(part)[str(number)] = module
        return part

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x


def last_layer(model: Module) -> Module:
    """The module whose output is the model's, as far as `Sequential` tells."""
    return last_layer(model[-1]) if isinstance(model, Sequential) and len(model) else model


class ModuleList(_Numbered):
    """A list of modules, whose parameters are found: `forward` of the module that has it says what they do.

    Indices, slices, also to assign to or to delete, `len`, `for` and `append` are those of a list.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)


#: The activations that `MLP` knows by name.
ACTIVATIONS: dict[str, type[Module]] = {
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
}


class MLP(Sequential):
    """A multi-layer perceptron: Linear layers with an activation between them; the last layer has none.

    sizes: the widths, from the input features to the outputs: [2, 16, 16, 1].
    activation: a name in `ACTIVATIONS`.
    engine, seed, dtype: see `Linear`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        engine: Engine,
        seed: Seed = 0,
        dtype: str | None = None,
    ) -> None:
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is unknown; known are {', '.join(ACTIVATIONS)}")
        if not isinstance(sizes, Sequence) or len(sizes) < 2:
            raise ValueError(f"MLP: sizes={sizes!r}; give a list, from the input to the output width, as in [2, 16, 1]")
        random = generator(seed)
        modules: list[Module] = []
        for inputs, outputs in pairwise(sizes):
            modules += [Linear(inputs, outputs, engine=engine, seed=random, dtype=dtype), ACTIVATIONS[activation]()]
        super().__init__(*modules[:-1])
