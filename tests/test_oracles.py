"""Against PyTorch: the same words give the same numbers, types and gradients, and models move from one to the other.

Needs PyTorch, which `make test-oracles` installs; skipped where it is missing.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import test_functional
import test_vocabulary
from agreement import layers_of, numbers

import fast
import nn

torch = pytest.importorskip("torch")

f = torch.nn.functional


# ----------------------------------------------------------------------------------------------------------------------
# The cases of test_functional.


def like(x, array):
    return torch.tensor(array, dtype=x.dtype if array.dtype.kind == "f" else None)


#: What PyTorch calls the functions of an engine.
FUNCTIONAL = SimpleNamespace(
    reshape=lambda x, *shape: x.reshape(*shape),
    sum=torch.sum,
    mean=torch.mean,
    matmul=torch.matmul,
    linear=f.linear,
    softmax=lambda x, dim=-1: f.softmax(x, dim),
    log_softmax=lambda x, dim=-1: f.log_softmax(x, dim),
    l2_penalty=lambda parameters: sum((p * p).sum() for p in parameters),
)
POSITIVE, SIGNS, NORMAL = test_functional.positive, test_functional.signs, test_functional.numbers


def hinge(x, target):
    return (1 - like(x, target) * x).relu().mean()


#: The cases that PyTorch says in other words; all others are run as they stand there.
IN_OTHER_WORDS = {
    "pad": lambda x: f.pad(x, (1, 2, 0, 1), value=3.0),
    "cat": lambda a, b: torch.cat([a, b, a], 1),
    "stack": lambda a, b: torch.stack([a, b], -1),
    "gather": lambda x: x.gather(1, torch.tensor([[0, 0, 4], [3, 4, 0]])),  # PyTorch does not count from the end
    "where": lambda a, b: torch.where(a > b, a, b * 2),
    "maximum with a number": lambda x: x.maximum(torch.tensor(0.1, dtype=x.dtype)),
    "prod with zeros": lambda x: (x * (x > -0.5)).prod(2).prod(0),
    "logsumexp of all": lambda x: x.logsumexp((0, 1), keepdim=True),
    "sum all, keepdim": lambda x: x.sum((0, 1), keepdim=True),
    "mse_loss": lambda x: f.mse_loss(x, like(x, NORMAL(7, 3, seed=1))),
    "hinge_loss": lambda x: hinge(x, SIGNS(7, 1)),
    "hinge_loss, integers": lambda x: hinge(x, SIGNS(7, 1).astype(int)),
    "binary_cross_entropy": lambda x: f.binary_cross_entropy(x, like(x, POSITIVE(7, 2))),
    "binary_cross_entropy, integers": lambda x: f.binary_cross_entropy(x, like(x, np.array([[0.0], [1], [1]]))),
    "sum of a sum": lambda x: x.sum() + f.mse_loss(x, like(x, NORMAL(3, 2))),
    "a single number": lambda x: f.mse_loss(x, like(x, np.array(2.0))) + x * x,
    "binary_cross_entropy_with_logits": lambda x: f.binary_cross_entropy_with_logits(x * 100, like(x, POSITIVE(7, 2))),
    "cross_entropy": lambda x: f.cross_entropy(x, like(x, np.arange(7) % 3)),
    "cross_entropy, one class": lambda x: f.cross_entropy(x, like(x, np.zeros(2, int))),
    "cross_entropy of large numbers": lambda x: f.cross_entropy(x * 999, like(x, np.arange(4))),
    "to": lambda x: x.to(torch.float64),
}

#: Where the gradient is not PyTorch's: at a probability of exactly 0 or 1, ours is the slope of the loss as it is there
#: (1 where the prediction is right; 0 where the logarithm has stopped, and PyTorch has 1e12).
DEPARTURES = {"binary_cross_entropy, sure"}


@pytest.mark.parametrize("name", [name for name in test_functional.CASES if name not in DEPARTURES])
def test_functions_and_gradients(name):
    function, arrays = test_functional.CASES[name]
    shape, result, gradients = test_functional.run(fast, function, arrays, "float64")
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = IN_OTHER_WORDS[name](*tensors) if name in IN_OTHER_WORDS else function(FUNCTIONAL, *tensors)
    expected.backward(torch.tensor(numbers(*shape, seed=2)))
    assert shape == tuple(expected.shape)
    np.testing.assert_allclose(result, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    for mine, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(mine, tensor.grad.numpy(), rtol=1e-10, atol=1e-10)


def test_the_other_words_belong_to_cases():
    assert set(IN_OTHER_WORDS) | DEPARTURES < set(test_functional.CASES)


# ----------------------------------------------------------------------------------------------------------------------
# The cases of test_vocabulary.


def typed(function):
    """A function of PyTorch that takes our names of types."""

    def call(*arguments, dtype=None, **settings):
        return function(*arguments, **settings, **({} if dtype is None else {"dtype": getattr(torch, dtype)}))

    return call


#: What stands for our engine where the words of its module are PyTorch's.
ENGINE = SimpleNamespace(
    **{name: typed(getattr(torch, name)) for name in fast.__all__ if hasattr(torch, name) and name != "Tensor"},
    one_hot=f.one_hot,
)


#: What PyTorch does not say so, and why.
MISSING_WORDS = {
    "whole extremes": "maximum and minimum take no plain number",
    "clip": "clip takes two numbers or two tensors",
    "prod": "prod takes one dimension",
    "pad": "pad is no method",
    "index": "slices take no negative step",
    "index with a list and an integer": "the new dimension comes last, in NumPy first",
}


@pytest.mark.parametrize("name", [name for name in test_vocabulary.CASES if name not in MISSING_WORDS])
def test_words(name):
    ours = test_vocabulary.CASES[name][0]
    arrays = test_vocabulary.A, test_vocabulary.B, test_vocabulary.WHOLE, test_vocabulary.TIES
    mine = ours(fast, *[fast.tensor(array) for array in arrays])
    theirs = ours(ENGINE, *[torch.tensor(array) for array in arrays])
    for part, expected in zip(parts(mine), parts(theirs), strict=True):
        assert part.shape == tuple(expected.shape)
        assert part.dtype == name_of(expected.dtype)
        tolerance = 1e-6 if part.dtype == "float32" else 1e-10
        np.testing.assert_allclose(part.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance)


def test_words_that_pytorch_says_otherwise():
    a, b, w, _ = [fast.tensor(array) for array in (test_vocabulary.A, test_vocabulary.B, test_vocabulary.WHOLE, [1.0])]
    x, y, whole = [torch.tensor(array) for array in (test_vocabulary.A, test_vocabulary.B, test_vocabulary.WHOLE)]
    for mine, theirs in [
        (w.maximum(2), whole.maximum(torch.tensor(2))),
        (w.minimum(-w), whole.minimum(-whole)),
        (w.clip(min=0), whole.clip(min=0)),
        (a.clip(-1, b), x.clip(torch.tensor(-1.0), y)),
        (a.prod((0, 1)), x.prod(0).prod(0)),
        (w.pad((1, 0, 2, 1), -7), f.pad(whole, (1, 0, 2, 1), value=-7)),
        (a[1, ::-2, None, -1], x[1].flip(0)[::2, None, -1]),
        (a[0, :, [1, 0, 1]], x[0, :, [1, 0, 1]].T),
    ]:
        assert mine.dtype == name_of(theirs.dtype)
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def parts(result):
    return result if isinstance(result, list | tuple) else [result]


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


# ----------------------------------------------------------------------------------------------------------------------
# Types.

TYPES = ["bool", "int64", "float32", "float64"]
NUMBERS = [True, 3, 2.5]

#: Operations on two operands, a tensor x and another tensor or a plain number.
BINARY = {
    "+": lambda e, x, y: x + y,
    "-": lambda e, x, y: x - y,
    "*": lambda e, x, y: x * y,
    "/": lambda e, x, y: x / y,
    "**": lambda e, x, y: x**y,
    "number first +": lambda e, x, y: y + x,
    "number first -": lambda e, x, y: y - x,
    "number first *": lambda e, x, y: y * x,
    "number first /": lambda e, x, y: y / x,
    "number first **": lambda e, x, y: y**x,
    "<": lambda e, x, y: x < y,
    "==": lambda e, x, y: x == y,
    "where": lambda e, x, y: e.where(e.tensor([True, False]), x, y),
    "clip": lambda e, x, y: x.clip(min=y),
    "maximum": lambda e, x, y: x.maximum(y),
    "minimum": lambda e, x, y: x.minimum(y),
    "cat": lambda e, x, y: e.cat([x, y]),
    "&": lambda e, x, y: x & y,
    "@": lambda e, x, y: x @ y,
}
UNARY = {
    name: (lambda x, name=name: getattr(x, name)())
    for name in [
        *("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "erf", "tanh", "sigmoid", "relu", "round", "floor"),
        *(
            "ceil",
            "sign",
            "sum",
            "prod",
            "mean",
            "var",
            "std",
            "max",
            "min",
            "argmax",
            "any",
            "all",
            "isnan",
            "isfinite",
        ),
    ]
} | {
    "-x": lambda x: -x,
    "abs": abs,
    "~": lambda x: ~x,
    "cumsum": lambda x: x.cumsum(0),
    "softmax": lambda x: x.softmax(0),
    "log_softmax": lambda x: x.log_softmax(0),
    "logsumexp": lambda x: x.logsumexp(0),
    "sum along": lambda x: x.sum(0),
    "max along": lambda x: x.max(0).values,
    "item": lambda x: x[0],
}


#: Truth values count as 0 and 1 in our arithmetic. PyTorch keeps some results of two truth values truth values, and
#: refuses others.
COUNTS = {"+", "-", "*", "**", "where", "clip", "maximum", "minimum", *(name for name in BINARY if "first" in name)}
#: What we refuse and PyTorch does not: whole numbers are converted first, so that no precision is chosen silently.
REFUSED = {("@", "int64", "int64"), ("logsumexp", "bool"), ("logsumexp", "int64")}
#: What PyTorch refuses and we do not: the wider type is taken, as everywhere else.
WIDENED = {("@", "float32", "float64"), ("@", "float64", "float32")}


def outcome(function, *arguments):
    """Type and numbers, or `refused`."""
    try:
        result = function(*arguments)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return "refused"
    return name_of(result.dtype), np.asarray(result)


def counted(x):
    """A tensor or plain number as a tensor in which truth values are numbers."""
    x = torch.as_tensor(x)
    return x.to(torch.int64) if x.dtype == torch.bool else x


def assert_same_outcome(mine, theirs):
    if "refused" in (mine, theirs):
        assert (mine, theirs) == ("refused", "refused")
    else:
        assert mine[0] == theirs[0]
        np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-6 if mine[0] == "float32" else 1e-12)


@pytest.mark.parametrize("other", TYPES + NUMBERS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", BINARY)
def test_types_meet(name, dtype, other):
    x, y = np.array([2, 1]).astype(dtype), np.array([1, 2]).astype(other) if isinstance(other, str) else other
    ours = fast.tensor(x), fast.tensor(y) if isinstance(y, np.ndarray) else y
    theirs = torch.tensor(x), torch.tensor(y) if isinstance(y, np.ndarray) else y
    mine, expected = outcome(BINARY[name], fast, *ours), outcome(BINARY[name], torch, *theirs)
    if (name, dtype, other) in REFUSED:
        assert mine == "refused" != expected
    elif (name, dtype, other) in WIDENED:
        assert_same_outcome(mine, outcome(BINARY[name], torch, *[tensor.double() for tensor in theirs]))
    else:
        truths = dtype == "bool" and other in ("bool", True)
        if name in COUNTS and (truths or expected == "refused"):
            expected = outcome(BINARY[name], torch, *map(counted, theirs))
        assert_same_outcome(mine, expected)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", UNARY)
def test_types_of_results(name, dtype):
    x = np.array([2, 1]).astype(dtype)
    mine, expected = outcome(UNARY[name], fast.tensor(x)), outcome(UNARY[name], torch.tensor(x))
    if (name, dtype) in REFUSED:
        assert mine == "refused" != expected
    else:
        if dtype == "bool" and (expected == "refused" or name == "sign"):
            expected = outcome(UNARY[name], counted(torch.tensor(x)))
        assert_same_outcome(mine, expected)


def test_a_tensor_without_dimensions_counts_like_any_other():
    """In PyTorch it counts as little as a plain number."""
    assert (fast.tensor(2.0, "float64") * fast.tensor([1.0])).dtype == "float64"
    assert name_of((torch.tensor(2.0, dtype=torch.float64) * torch.tensor([1.0])).dtype) == "float32"


# ----------------------------------------------------------------------------------------------------------------------
# Models whose weights move from PyTorch to us, and back.


class Ours:
    """Makes our layers, in float64."""

    Module, Sequential = nn.Module, nn.Sequential

    def __init__(self):
        self.make = layers_of(fast)

    def __call__(self, kind, *arguments, **settings):
        return self.make(kind, *arguments, **settings)

    attend = staticmethod(lambda attention, x: attention(x, is_causal=True))
    cat = staticmethod(fast.cat)


class Theirs:
    """Makes PyTorch's layers, in float64."""

    Module, Sequential = torch.nn.Module, torch.nn.Sequential

    def __call__(self, kind, *arguments, **settings):
        if kind in ("RNN", "LSTM", "GRU", "MultiheadAttention"):
            settings["batch_first"] = True
        return getattr(torch.nn, kind)(*arguments, **settings).double()

    @staticmethod
    def attend(attention, x):
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return attention(x, x, x, attn_mask=later, need_weights=False)[0]

    cat = staticmethod(torch.cat)


def mlp(make):
    kinds = "Tanh", "ReLU", "GELU", "SiLU", "Softplus", "Sigmoid", "LeakyReLU"
    layers = [layer for kind in kinds for layer in (make("Linear", 5, 5), make(kind))]
    return make.Sequential(*layers, make("Linear", 5, 3, bias=False), make("Softmax", -1))


def lenet(make):
    return make.Sequential(
        *(make("Conv2d", 1, 3, 5, padding=2), make("Tanh"), make("AvgPool2d", 2)),
        *(make("Conv2d", 3, 4, 3, stride=2), make("Tanh"), make("MaxPool2d", 2)),
        *(make("Flatten"), make("Linear", 4, 6), make("ReLU"), make("Linear", 6, 3)),
    )


def batch_norm_cnn(make):
    return make.Sequential(
        *(make("Conv2d", 1, 4, 3, padding=1, bias=False), make("BatchNorm2d", 4), make("ReLU")),
        *(make("Conv2d", 4, 6, 3, stride=2, groups=2, dilation=2), make("BatchNorm2d", 6, momentum=None), make("SiLU")),
        *(make("AdaptiveAvgPool2d", 1), make("Flatten"), make("BatchNorm1d", 6, eps=1e-3), make("Linear", 6, 3)),
    )


def lines(make):
    return make.Sequential(
        *(make("Conv1d", 2, 4, 3, padding="same"), make("BatchNorm1d", 4), make("GELU"), make("Flatten")),
        *(make("Linear", 28, 6), make("RMSNorm", 6, eps=1e-6), make("Linear", 6, 3)),
    )


def reader(make, kind="LSTM"):
    """A class for each sequence of words."""

    class Reader(make.Module):
        def __init__(self):
            super().__init__()
            self.words = make("Embedding", 11, 4)
            self.layer = make(kind, 4, 5, 2)
            self.out = make("Linear", 5, 3)

        def forward(self, x):
            return self.out(self.layer(self.words(x))[0][:, -1])

    return Reader()


def transformer(make):
    class Block(make.Module):
        def __init__(self):
            super().__init__()
            self.before, self.between = make("LayerNorm", 6), make("LayerNorm", 6)
            self.attention = make("MultiheadAttention", 6, 3)
            self.body = make.Sequential(make("Linear", 6, 12), make("GELU"), make("Linear", 12, 6))

        def forward(self, x):
            x = x + make.attend(self.attention, self.before(x))
            return x + self.body(self.between(x))

    class Transformer(make.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = make("Embedding", 11, 6), make("Embedding", 7, 6)
            self.blocks = make.Sequential(Block(), Block())
            self.norm, self.out = make("LayerNorm", 6), make("Linear", 6, 3)

        def forward(self, x):
            places = (x[:1] * 0 + 1).cumsum(1) - 1
            return self.out(self.norm(self.blocks(self.words(x) + self.places(places)))[:, -1])

    return Transformer()


def cells(make):
    """Three kinds of cells, each making two steps; the last two of what they say are put side by side."""

    class Cells(make.Module):
        def __init__(self):
            super().__init__()
            self.plain, self.long = make("RNNCell", 2, 3, nonlinearity="relu"), make("LSTMCell", 2, 3)
            self.gated = make("GRUCell", 2, 3, bias=False)

        def forward(self, x):
            plain, long, gated = self.plain(x[:, 0]), self.long(x[:, 0]), self.gated(x[:, 0])
            plain, long, gated = self.plain(x[:, 1], plain), self.long(x[:, 1], long), self.gated(x[:, 1], gated)
            return make.cat([plain, *long, gated], 1)

    return Cells()


WORDS = np.random.default_rng(0).integers(0, 11, (9, 7))
MODELS = {
    "MLP": (mlp, numbers(9, 5)),
    "LeNet": (lenet, numbers(9, 1, 10, 10)),
    "CNN with batch norm": (batch_norm_cnn, numbers(9, 1, 8, 8)),
    "lines": (lines, numbers(9, 2, 7)),
    "RNN": (lambda make: reader(make, "RNN"), WORDS),
    "LSTM": (reader, WORDS),
    "GRU": (lambda make: reader(make, "GRU"), WORDS),
    "transformer": (transformer, WORDS),
    "cells": (cells, numbers(9, 2, 2)),
}


@pytest.mark.parametrize("to", ["ours", "theirs"])
@pytest.mark.parametrize("name", MODELS)
def test_weights_move(name, to):
    """Outputs, gradients and running means are the same, in training and evaluation, whoever has made the weights."""
    build, array = MODELS[name]
    torch.manual_seed(0)
    ours, theirs = build(Ours()), build(Theirs())
    if to == "ours":
        ours.load_state_dict(theirs.state_dict())
    else:
        theirs.load_state_dict({key: torch.tensor(array) for key, array in ours.state_dict().items()})
    for _ in range(2):  # the second time with running means that have moved
        for training in (True, False):
            ours.train(training)
            theirs.train(training)
            mine, expected = ours(fast.tensor(array)), theirs(torch.tensor(array))
            assert_close(mine.numpy(), expected.detach().numpy(), name)
            weights = numbers(*mine.shape, seed=1)
            mine.backward(weights)
            expected.backward(torch.tensor(weights))
    gradients = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    parameters = dict(ours.named_parameters())
    assert parameters.keys() == gradients.keys()
    for key, parameter in parameters.items():
        assert_close(parameter.grad.numpy(), gradients[key].numpy(), key)
    for key, tensor in theirs.state_dict().items():
        assert_close(ours.state_dict()[key], tensor.numpy(), key)


def assert_close(mine, theirs, name):
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", MODELS)
def test_weights_in_files(name, tmp_path):
    """What we save is what `safetensors.torch` reads into PyTorch's model, and the reverse."""
    from safetensors.torch import load_file, save_file

    build, array = MODELS[name]
    ours, theirs = build(Ours()), build(Theirs())
    theirs.load_state_dict(load_file(nn.save_weights(ours, tmp_path / "ours")))
    save_file(theirs.state_dict(), tmp_path / "theirs")
    again = build(Ours())
    for parameter in again.parameters():
        parameter.copy_(np.zeros(parameter.shape))
    nn.load_weights(again, tmp_path / "theirs")
    np.testing.assert_array_equal(again(fast.tensor(array)).numpy(), ours(fast.tensor(array)).numpy())
