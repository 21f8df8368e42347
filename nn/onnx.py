"""Models in the format ONNX, which other programs run: onnxruntime in C++, C#, Java, in browsers and on telephones.

A model becomes a graph of ONNX's operators. For each kind of layer a function here says which; a layer that is not
among them is refused by its name.
"""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from nn.architecture import check_layers
from nn.attention import MultiheadAttention
from nn.convolution import AdaptiveAvgPool2d, AvgPool2d, Conv1d, Conv2d, Flatten, MaxPool2d, Residual
from nn.data import check_numbers
from nn.dropout import Dropout
from nn.embedding import Embedding
from nn.engine import Tensor
from nn.files import full_path, written_whole
from nn.modules import (
    GELU,
    Identity,
    LeakyReLU,
    Linear,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    last_layer,
)
from nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm
from nn.recurrent import GRU, LSTM, RNN, LastStep
from nn.training import predict

#: The version of the operators, and that of the file which came with it: old enough for programs of 2022.
OPERATORS, FILE = 17, 8


def export_onnx(model: Module, path: str | Path, example_input: Any) -> Path:
    """Write what `model` computes in evaluation to `path`; returns the path.

    example_input: a batch as the model takes it, (N, ...). The file takes the same shape, for any N; integers stay
        int64, all else becomes float32, as do the weights.

    The file's input is called "input", its output "output". Attention is exported as `Sequential` calls it: positions
    look at each other, without a mask.

    Raises ImportError without the package onnx, TypeError for modules of your own and for layers that cannot be
    exported.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError("export_onnx needs the package onnx: pip install 'twograd[onnx]'") from None
    check_layers("export_onnx", model, "it cannot be exported; a model made of layers of nn can")
    x = check_numbers("export_onnx: example_input", example_input)
    x = x.astype("int64" if x.dtype.kind in "iu" else "float32")
    if isinstance(last_layer(model), RNN | LSTM | GRU):
        raise TypeError("export_onnx: the model gives (outputs, state), not a tensor; put nn.LastStep() at its end")
    answer = predict(model, x).astype("float32")
    graph = Graph(onnx.helper, onnx.numpy_helper)
    graph.add("Identity", export(model, graph, "input"), name="output")
    content = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            type(model).__name__,
            [_described(onnx, "input", x)],
            [_described(onnx, "output", answer)],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPERATORS)],
        ir_version=FILE,
        producer_name="twograd",
    )
    onnx.checker.check_model(content, full_check=True)
    with written_whole(path) as beside:
        beside.write_bytes(content.SerializeToString())
    return full_path(path)


def _described(onnx: Any, name: str, array: np.ndarray) -> Any:
    """A tensor with its type and shape, whose first length is left open."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, ["N", *array.shape[1:]])


class Graph:
    """Nodes and constants of an ONNX graph that is being made. Every value has a name; nodes are added in order."""

    def __init__(self, helper: Any, arrays: Any) -> None:
        self.helper, self.arrays = helper, arrays
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its (last) output."""
        number = len(self.nodes)
        names = [""] * (outputs - 1) + [name or f"{operator.lower()}_{number}"]
        self.nodes.append(self.helper.make_node(operator, inputs, names, f"node_{number}", **attributes))
        return names[-1]

    def constant(self, numbers: Any, dtype: str = "float32") -> str:
        """Put an array, or a tensor, into the file; its name."""
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(np.asarray(numbers, dtype)).reshape(np.shape(numbers))
        self.constants.append(self.arrays.from_array(array, name))
        return name

    def whole(self, *numbers: int) -> str:
        """A list of whole numbers as a constant; its name."""
        return self.constant(numbers, "int64")


@singledispatch
def export(module: Module, graph: Graph, x: str) -> str:
    """Add what `module` computes from the value `x` to the graph; the name of the result."""
    raise TypeError(f"export_onnx: {type(module).__name__} cannot be exported")


@export.register
def _(module: Sequential, graph: Graph, x: str) -> str:
    for inside in module:
        x = export(inside, graph, x)
    return x


@export.register
def _(module: Residual, graph: Graph, x: str) -> str:
    kept = x if module.shortcut is None else export(module.shortcut, graph, x)
    return graph.add("Add", kept, export(module.body, graph, x))


@export.register(Dropout)
@export.register(Identity)
def _nothing(module: Module, graph: Graph, x: str) -> str:
    return x


def _dense(graph: Graph, x: str, weight: Any, bias: Any) -> str:
    y = graph.add("MatMul", x, graph.constant(np.asarray(weight).T))
    return y if bias is None else graph.add("Add", y, graph.constant(bias))


@export.register
def _(module: Linear, graph: Graph, x: str) -> str:
    return _dense(graph, x, module.weight, module.bias)


@export.register
def _(module: Embedding, graph: Graph, x: str) -> str:
    return graph.add("Gather", graph.constant(module.weight), x)


@export.register
def _(module: Flatten, graph: Graph, x: str) -> str:
    if module.end_dim != -1 or module.start_dim < 1:
        raise TypeError(f"export_onnx: {module!r} cannot be exported; start_dim >= 1 with end_dim=-1 can")
    return graph.add("Reshape", x, graph.whole(*[0] * module.start_dim, -1))  # 0 keeps a length


# ----------------------------------------------------------------------------------------------------------------------
# Activations.


@export.register(Tanh)
@export.register(Sigmoid)
@export.register(Softplus)
def _same_name(module: Module, graph: Graph, x: str) -> str:
    return graph.add(type(module).__name__, x)


@export.register
def _(module: ReLU, graph: Graph, x: str) -> str:
    return graph.add("Relu", x)


@export.register
def _(module: LeakyReLU, graph: Graph, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=0.01)


@export.register
def _(module: SiLU, graph: Graph, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


@export.register
def _(module: GELU, graph: Graph, x: str) -> str:
    part = graph.add("Erf", graph.add("Mul", x, graph.constant(np.sqrt(0.5))))
    share = graph.add("Mul", graph.add("Add", part, graph.constant(1.0)), graph.constant(0.5))
    return graph.add("Mul", x, share)


@export.register
def _(module: Softmax, graph: Graph, x: str) -> str:
    return graph.add("Softmax", x, axis=module.dim)


# ----------------------------------------------------------------------------------------------------------------------
# Convolutions and pooling.


def _pair(lengths: Any) -> list[int]:
    return list(lengths) if isinstance(lengths, tuple | list) else [lengths, lengths]


@export.register(Conv1d)
@export.register(Conv2d)
def _convolution(module: Any, graph: Graph, x: str) -> str:
    if module.padding == "same":  # where it is odd, the end has one more
        reach = [step * (size - 1) for step, size in zip(module.dilation, module.kernel_size, strict=True)]
        pads = [total // 2 for total in reach] + [total - total // 2 for total in reach]
    else:
        pads = [0] * 2 * module.dims if module.padding == "valid" else [*module.padding, *module.padding]
    bias = [] if module.bias is None else [graph.constant(module.bias)]
    return graph.add(
        "Conv",
        x,
        graph.constant(module.weight),
        *bias,
        kernel_shape=module.kernel_size,
        strides=module.stride,
        pads=pads,
        dilations=module.dilation,
        group=module.groups,
    )


def _pool_shape(module: Any) -> dict[str, Any]:
    sizes = {"kernel_shape": _pair(module.kernel_size), "pads": _pair(module.padding) * 2}
    return sizes | {"strides": _pair(module.kernel_size if module.stride is None else module.stride)}


@export.register
def _(module: MaxPool2d, graph: Graph, x: str) -> str:
    return graph.add("MaxPool", x, **_pool_shape(module), dilations=_pair(module.dilation))


@export.register
def _(module: AvgPool2d, graph: Graph, x: str) -> str:
    return graph.add("AveragePool", x, **_pool_shape(module), count_include_pad=1)


@export.register
def _(module: AdaptiveAvgPool2d, graph: Graph, x: str) -> str:
    if module.output_size not in (1, (1, 1), [1, 1]):
        raise TypeError(f"export_onnx: {module!r} cannot be exported; output_size=1 can, and AvgPool2d")
    return graph.add("GlobalAveragePool", x)


# ----------------------------------------------------------------------------------------------------------------------
# Normalisation.


@export.register(BatchNorm1d)
@export.register(BatchNorm2d)
def _batch_norm(module: Any, graph: Graph, x: str) -> str:
    if module.running_mean is None:
        raise TypeError("export_onnx: batch norm cannot be exported without running means (track_running_stats)")
    weight = np.ones(module.num_features) if module.weight is None else module.weight
    bias = np.zeros(module.num_features) if module.bias is None else module.bias
    numbers = [graph.constant(tensor) for tensor in (weight, bias, module.running_mean, module.running_var)]
    return graph.add("BatchNormalization", x, *numbers, epsilon=module.eps)


@export.register
def _(module: LayerNorm, graph: Graph, x: str) -> str:
    weight = graph.constant(np.ones(module.normalized_shape) if module.weight is None else module.weight)
    bias = [] if module.bias is None else [graph.constant(module.bias)]
    return graph.add("LayerNormalization", x, weight, *bias, axis=-len(module.normalized_shape), epsilon=module.eps)


@export.register
def _(module: RMSNorm, graph: Graph, x: str) -> str:
    axes = list(range(-len(module.normalized_shape), 0))
    eps = np.finfo(np.float32).eps if module.eps is None else module.eps
    mean = graph.add("ReduceMean", graph.add("Mul", x, x), axes=axes, keepdims=1)
    y = graph.add("Div", x, graph.add("Sqrt", graph.add("Add", mean, graph.constant(eps))))
    return y if module.weight is None else graph.add("Mul", y, graph.constant(module.weight))


# ----------------------------------------------------------------------------------------------------------------------
# Sequences.

#: For each kind of recurrent layer the order in which ONNX wants the gates that are ours: i, f, g, o and r, z, n.
GATES: dict[type[Module], list[int]] = {RNN: [0], LSTM: [0, 3, 1, 2], GRU: [1, 0, 2]}


@export.register(RNN)
@export.register(LSTM)
@export.register(GRU)
def _recurrent(module: Any, graph: Graph, x: str) -> str:
    """The outputs alone, without the state: what `LastStep` reads."""
    settings: dict[str, Any] = {"hidden_size": module.hidden_size}
    if isinstance(module, RNN):
        settings["activations"] = [module.nonlinearity.capitalize()]
    if isinstance(module, GRU):
        settings["linear_before_reset"] = 1  # the reset gate acts behind the product, as in PyTorch
    x = graph.add("Transpose", x, perm=[1, 0, 2]) if module.batch_first else x  # ONNX: steps first
    for layer in module.layers:
        weights = {name: _gates(tensor, GATES[type(module)]) for name, tensor in module.weights(layer).items()}
        inputs = [graph.constant(weights[name][None]) for name in ("weight_ih", "weight_hh")]
        if module.bias:
            inputs.append(graph.constant(np.concatenate([weights["bias_ih"], weights["bias_hh"]])[None]))
        outputs = graph.add(type(module).__name__, x, *inputs, **settings)
        x = graph.add("Squeeze", outputs, graph.whole(1))  # the dimension of directions
    return graph.add("Transpose", x, perm=[1, 0, 2]) if module.batch_first else x


def _gates(tensor: Tensor, order: list[int]) -> np.ndarray:
    """A weight or bias with its gates, which lie one below another, in another order."""
    gates = np.split(np.asarray(tensor), len(order))
    return np.concatenate([gates[number] for number in order])


@export.register
def _(module: LastStep, graph: Graph, x: str) -> str:
    return graph.add("Gather", x, graph.constant(-1, "int64"), axis=1)


@export.register
def _(module: MultiheadAttention, graph: Graph, x: str) -> str:
    width = module.embed_dim // module.num_heads
    weights = np.split(np.asarray(module.in_proj_weight), 3)
    biases = [None] * 3 if module.in_proj_bias is None else np.split(np.asarray(module.in_proj_bias), 3)
    heads = []
    for weight, bias, order in zip(weights, biases, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True):
        y = graph.add("Reshape", _dense(graph, x, weight, bias), graph.whole(0, 0, module.num_heads, width))
        heads.append(graph.add("Transpose", y, perm=order))  # the key comes as its transpose
    scores = graph.add("Mul", graph.add("MatMul", heads[0], heads[1]), graph.constant(width**-0.5))
    gathered = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), heads[2])
    side_by_side = graph.add("Transpose", gathered, perm=[0, 2, 1, 3])
    answers = graph.add("Reshape", side_by_side, graph.whole(0, 0, module.embed_dim))
    return export(module.out_proj, graph, answers)
