"""Every public entry point with bad input: a clear error that names the values at fault, and nothing is lost."""

import copy
import math
import pickle
import re
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fast
import micro
import nn
import viz
from micro import Value, hints
from nn.hints import MODULE, NN, OPTIMIZER, SCHEDULE

X = np.zeros((6, 3))
Y = np.zeros((6, 1))


def refuses(function, error, *words):
    """`function` raises `error`, and its message contains all `words`."""
    with pytest.raises(error) as caught:
        function()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def model(engine=fast, sizes=(3, 4, 1)):
    return nn.MLP(sizes, "tanh", engine=engine)


def fit(data=(X, Y), lr=0.1, loss=nn.mse_loss, engine=fast, sizes=(3, 4, 1), epochs=1, **settings):
    network = model(engine, sizes)
    return nn.fit(network, data, loss, nn.SGD(network.parameters(), lr=lr), epochs, **settings)


# ----------------------------------------------------------------------------------------------------------------------
# Shapes.


def test_shapes_that_do_not_fit_are_both_shown(engine):
    a, b = engine.tensor([[1.0, 2.0, 3.0]] * 2), engine.tensor([[1.0, 2.0]] * 2)
    refuses(lambda: a + b, ValueError, "(2, 3)", "(2, 2)", "+")
    refuses(lambda: a @ b, ValueError, "matmul", "(2, 3)", "(2, 2)")
    refuses(lambda: model(engine)(b), ValueError, "linear", "(2, 2)", "(4, 3)")
    refuses(lambda: nn.mse_loss(a, b), ValueError, "mse_loss", "(2, 3)", "(2, 2)")
    refuses(lambda: a.reshape(4, -1), ValueError, "(2, 3)", "(4, -1)")
    refuses(lambda: a.reshape(-2, -3), ValueError, "(2, 3)", "(-2, -3)")
    refuses(lambda: a.sum(2), IndexError, "dim=2", "(2, 3)")
    refuses(lambda: a.sum((0, -2)), ValueError, "dim=(0, -2)", "twice", "(2, 3)")
    refuses(lambda: a.sum("rows"), TypeError, "dim='rows'")
    refuses(lambda: a[True], TypeError, "True")
    refuses(lambda: a.softmax(-3), IndexError, "dim=-3", "(2, 3)")
    refuses(lambda: a[2], IndexError, "2")
    refuses(lambda: a[0, 0, 0], IndexError, "(2, 3)")
    refuses(lambda: a["first"], TypeError, "first")
    refuses(a.item, ValueError, "item", "(2, 3)")
    refuses(lambda: a.copy_(b), ValueError, "copy_", "(2, 3)", "(2, 2)")


def test_a_column_against_a_row_is_refused_and_the_cure_is_named(engine):
    prediction, target = engine.tensor([[1.0], [2.0]]), engine.tensor([1.0, 2.0])
    refuses(lambda: nn.mse_loss(prediction, target), ValueError, "(2, 1)", "(2,)", "reshape(-1, 1)")


def test_rows_of_different_length(engine):
    refuses(lambda: engine.tensor([[1.0, 2.0], [3.0]]), ValueError, "row", "same")


# ----------------------------------------------------------------------------------------------------------------------
# Types and engines.


@pytest.mark.parametrize("bad", ["3", None, [1.0], {"a": 1}, 1j])
def test_a_value_needs_a_number(bad):
    refuses(lambda: Value(bad), TypeError, "number", type(bad).__name__)


@pytest.mark.parametrize("bad", ["text", None, [1.0, 2.0], np.ones(2)])
def test_operands_that_are_no_numbers(engine, bad):
    x = engine.tensor([1.0, 2.0])
    refuses(lambda: x + bad, TypeError, type(bad).__name__, "tensor(...)")
    refuses(lambda: bad * x, TypeError, type(bad).__name__, "tensor(...)")


def test_what_is_not_a_number_makes_no_tensor(engine):
    refuses(lambda: engine.tensor(["a", "b"]), TypeError, "a", "number")
    refuses(lambda: engine.tensor([1.0], dtype="float16"), ValueError, "float16", "float64")


def test_the_engines_do_not_mix():
    array, value, tensor = micro.tensor([1.0, 2.0]), Value(1.0), fast.tensor([1.0, 2.0])
    for mix in (lambda: array + tensor, lambda: tensor + array, lambda: value * tensor, lambda: tensor * value):
        refuses(mix, TypeError, "micro", "fast", "different engines")
    refuses(lambda: nn.mse_loss(array, tensor), TypeError, "micro.Array", "fast.Tensor")
    refuses(lambda: nn.mse_loss(tensor, array), TypeError, "micro.Array", "fast.Tensor")
    refuses(lambda: model(fast)(micro.tensor([[1.0, 2.0, 3.0]])), TypeError, "micro.Array", "fast.Tensor")
    refuses(lambda: model(micro)(fast.tensor([[1.0, 2.0, 3.0]])), TypeError, "micro.Array", "fast.Tensor")


def test_a_model_wants_tensors_not_arrays(engine):
    refuses(lambda: model(engine)(X), TypeError, "ndarray", f"{engine.__name__}.tensor(...)")


def test_whole_numbers_are_no_quantities(engine):
    labels = engine.tensor([1, 2])
    for use in (labels.mean, labels.softmax, labels.log_softmax, labels.logsumexp, lambda: (labels > 1).mean()):
        refuses(use, TypeError, ".to('float32')")
    for loss in (nn.mse_loss, nn.hinge_loss, nn.binary_cross_entropy, nn.binary_cross_entropy_with_logits):
        refuses(lambda loss=loss: loss(labels, labels), TypeError, "int64", ".to('float32')")
    refuses(lambda: nn.cross_entropy(engine.tensor([[1, 2], [3, 4]]), labels), TypeError, "int64")
    refuses(lambda: engine.tensor([1, 2], requires_grad=True), TypeError, "int64")
    refuses(lambda: engine.zeros(2, dtype="bool", requires_grad=True), TypeError, "bool")
    refuses(lambda: engine.tensor([1.0, math.nan], dtype="int64"), ValueError, "nan", "integer")
    refuses(lambda: engine.tensor([1e30], dtype="int64"), ValueError, "1e+30", "integer")
    refuses(lambda: engine.tensor([2**63]), ValueError, str(2**63), "integer")
    refuses(lambda: labels.backward(), (TypeError, ValueError), "int64" if engine is micro else "requires_grad")
    refuses(lambda: labels**-1, ValueError, "pow", "-1", ".to('float32')")
    refuses(lambda: engine.tensor([1.0]) & True, TypeError, "&", "truth values")


def test_shapes_and_selections_that_do_not_fit(engine):
    x = engine.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    refuses(lambda: x.permute(0, 0), ValueError, "permute", "(0, 0)", "(2, 3)")
    refuses(lambda: x.transpose(0, 2), IndexError, "transpose", "dim=2", "(2, 3)")
    refuses(lambda: x.broadcast_to((4, 3)), ValueError, "broadcast_to", "(2, 3)", "(4, 3)")
    refuses(lambda: x.expand(3), ValueError, "(2, 3)", "(3,)")
    refuses(lambda: x.repeat(2), ValueError, "repeat", "(2,)", "(2, 3)")
    refuses(lambda: x.split(0), ValueError, "split_size=0")
    refuses(lambda: x.split([1, 3], 1), ValueError, "(1, 3)", "3", "(2, 3)")
    refuses(lambda: x.chunk(0), ValueError, "chunks=0")
    refuses(lambda: x.flatten(1, 0), ValueError, "flatten", "start_dim=1", "end_dim=0")
    refuses(lambda: x.pad((1,)), ValueError, "pad", "(1,)", "(2, 3)")
    refuses(lambda: x.pad((-1, 0)), ValueError, "pad", "(-1, 0)")
    refuses(lambda: x.gather(1, engine.tensor([[3], [0]])), IndexError, "gather", "3")
    refuses(lambda: x.gather(1, engine.tensor([0])), ValueError, "gather", "(2, 3)", "(1,)")
    refuses(lambda: x.gather(1, x), TypeError, "gather", "int64")
    refuses(lambda: engine.cat([x, x[0]]), ValueError, "cat", "(2, 3)", "(3,)")
    refuses(lambda: engine.cat([]), TypeError, "cat", "[]")
    refuses(lambda: engine.stack(x.tolist()), TypeError, "stack", "tensors")
    refuses(lambda: engine.where(True, x, x), TypeError, "where", "True")
    refuses(lambda: x.clip(), ValueError, "clip", "None")
    refuses(lambda: x.outer(x), ValueError, "outer", "(2, 3)")
    refuses(lambda: x.var(correction=6), ValueError, "var", "(2, 3)", "correction=6")
    refuses(lambda: x[:0].max(), ValueError, "max", "(0, 3)")
    refuses(lambda: x[:0].argmin(0), ValueError, "argmin", "(0, 3)", "dim=0")
    refuses(lambda: engine.one_hot(engine.tensor([3]), 2), ValueError, "one_hot", "3", "2 classes")
    refuses(lambda: engine.one_hot(x), TypeError, "one_hot", "int64")
    refuses(lambda: x[[0, 2]], IndexError, "2")
    refuses(lambda: x[[0.5]], TypeError, "index", "0.5")
    refuses(lambda: x[0, ..., ...], IndexError, "...") if engine is micro else None
    refuses(lambda: x.__setitem__(0, [1.0, 2.0]), ValueError, "(2,)", "(3,)")
    refuses(lambda: x.T.reshape(6).view(2, 4), ValueError, "(6,)", "(2, 4)")
    assert x.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]  # nothing was half-written


def test_tensors_that_cannot_be_made(engine):
    refuses(lambda: engine.zeros(2, -1), ValueError, "zeros", "(2, -1)")
    refuses(lambda: engine.ones(2.5), TypeError, "ones", "2.5")
    refuses(lambda: engine.zeros(2, dtype="float16"), ValueError, "float16")
    refuses(lambda: engine.arange(0, 3, 0), ValueError, "arange", "step=0")
    refuses(lambda: engine.arange(math.inf), ValueError, "arange", "inf")
    refuses(lambda: engine.arange("3"), TypeError, "arange", "'3'")
    refuses(lambda: engine.linspace(0, 1, 0), ValueError, "linspace", "steps=0")
    refuses(lambda: engine.rand(2, seed=-1), ValueError, "rand", "seed=-1")
    refuses(lambda: engine.randn(2, seed=0.5), ValueError, "randn", "seed=0.5")
    refuses(lambda: engine.randint(3, 3, (2,), seed=0), ValueError, "randint", "low=3", "high=3")


def test_each_message_names_what_was_called(engine):
    x, empty = engine.tensor([[1.0, 2.0], [3.0, 4.0]]), engine.zeros(0, 3)
    refuses(lambda: bool(x), ValueError, "bool", "(2, 2)", "&", ".any()", ".all()")
    refuses(lambda: x > 0 and x < 1, ValueError, "&")
    refuses(lambda: x.view(5, -1), ValueError, "view", "(2, 2)", "(5, -1)")
    refuses(lambda: x.expand(3, 3), ValueError, "expand", "(2, 2)", "(3, 3)")
    refuses(lambda: x.expand(-1, 2, 2), ValueError, "expand", "(-1, 2, 2)")
    refuses(lambda: engine.stack([x, x[0]]), ValueError, "stack", "(2, 2), (2,)")
    refuses(lambda: engine.stack([x], 4), IndexError, "stack", "dim=4", "(2, 2)", "-3 to 2")
    refuses(lambda: x.unsqueeze(3), IndexError, "unsqueeze", "dim=3", "(2, 2)", "-3 to 2")
    refuses(empty.var, ValueError, "var", "(0, 3)")
    refuses(lambda: empty.T.var(1, correction=0), ValueError, "var", "(3, 0)")
    refuses(lambda: engine.zeros(3, 0).var(0), ValueError, "var", "(3, 0)")
    refuses(lambda: engine.one_hot(np.array([1, 2])), TypeError, "one_hot", "ndarray", "tensor")
    for like in (engine.zeros_like, engine.ones_like):
        refuses(lambda like=like: like(np.ones(2)), TypeError, like.__name__, "ndarray")
    refuses(lambda: engine.randint((3,), seed=0), TypeError, "randint", "'high'")
    refuses(lambda: engine.randint(0, (3,), seed=0), ValueError, "randint", "low=0, high=0")
    assert empty.expand(-1, 3).shape == (0, 3)
    assert engine.zeros(0, 1).expand(2, -1, 3).shape == (2, 0, 3)
    assert engine.randint(5, (3,), seed=1).tolist() == engine.randint(0, 5, (3,), seed=1).tolist()
    assert (~engine.tensor([2, -1])).tolist() == [-3, 0]
    assert (~engine.tensor([True, False])).tolist() == [False, True]


# ----------------------------------------------------------------------------------------------------------------------
# Names that are PyTorch's.


def test_a_missing_name_says_what_it_is_called_here(engine):
    x = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    for name, cure in {"size": ".shape", "float": ".to('float32')", "clamp": ".clip(", "mm": "a @ b"}.items():
        refuses(lambda name=name: getattr(x, name), AttributeError, f"'{name}'", cure)
    refuses(lambda: x.is_cuda, AttributeError, ".device")
    refuses(lambda: engine.cuda.is_available(), AttributeError, "fast.devices()", "to('cuda')")
    refuses(lambda: engine.exp(x), AttributeError, f"{engine.__name__} has no 'exp'", "x.exp(")
    refuses(lambda: engine.manual_seed(0), AttributeError, "seed=")
    kind = type(x).__name__
    refuses(lambda: x.nonsense, AttributeError, f"'{kind}' object has no attribute 'nonsense'")
    refuses(lambda: engine.nonsense, AttributeError, f"module '{engine.__name__}' has no attribute 'nonsense'")
    assert not hasattr(x, "size")
    assert not hasattr(engine, "exp")
    assert copy.deepcopy(x).tolist() == copy.copy(x).tolist() == pickle.loads(pickle.dumps(x)).tolist() == x.tolist()


def test_a_missing_name_of_nn_says_what_it_is_called_here():
    network = model()
    optimizer = nn.SGD(network.parameters())
    refuses(lambda: nn.CrossEntropyLoss(), AttributeError, "nn.cross_entropy")
    refuses(lambda: nn.functional.relu, AttributeError, "x.relu()")
    refuses(lambda: nn.nonsense, AttributeError, "module 'nn' has no attribute 'nonsense'")
    refuses(lambda: network.device, AttributeError, "MLP", "'device'", "parameters()[0].device")
    refuses(lambda: network.nonsense, AttributeError, "'MLP' object has no attribute 'nonsense'")
    refuses(lambda: optimizer.param_groups, AttributeError, "SGD", ".lr")
    refuses(lambda: nn.StepLR(optimizer, 1).get_last_lr(), AttributeError, "StepLR", ".last_lr")


def test_devices_that_there_are_not(engine):
    x = engine.tensor([1.0, 2.0])
    assert (x.device, x.cpu() is x, x.to("cpu") is x, x.move_("cpu") is x) == ("cpu", True, True, True)
    refuses(lambda: x.move_("cuda:1"), ValueError, "'cuda:1'", "'cpu'", "'cuda'")
    refuses(lambda: x.to("gpu"), ValueError, "'gpu'")
    refuses(lambda: engine.zeros(2, device="gpu"), ValueError, "'gpu'")
    network = nn.MLP([2, 1], engine=engine, seed=0)
    assert network.cpu() is network
    if engine is micro:
        a_map = partial(nn.trainability_map, engine=micro, device="cuda")
        for move in (x.cuda, network.cuda, lambda: micro.tensor(1.0, device="cuda"), a_map):
            refuses(move, ValueError, "micro", "'cuda'", "fast")
    elif len(fast.devices()) == 1:
        value = Value(1.0)
        tape, a_map = fast.compile(value * value, [value]), partial(nn.trainability_map, engine=fast)
        moves = x.cuda, network.cuda, lambda: fast.zeros(2, device="cuda"), lambda: tape.to("cuda")
        for move in (*moves, partial(a_map, device="cuda"), partial(a_map, device="cuda", dtype="float32")):
            refuses(move, RuntimeError, "this machine lacks")
        refuses(lambda: tape.to("gpu"), ValueError, "'gpu'")
        assert tape.to("cpu") is tape
    assert x.tolist() == [1.0, 2.0]


def test_no_hint_is_for_a_name_that_exists(engine):
    kinds = type(engine.tensor([1.0])), type(engine.tensor(1.0))
    assert [name for name in hints.TENSOR for kind in kinds if hasattr(kind, name)] == []
    for owner, table in ((engine, hints.ENGINE), (nn, NN), (nn.Module, MODULE), (nn.SGD, OPTIMIZER)):
        assert [name for name in table if hasattr(owner, name) and name != "cuda"] == []  # which fast has: its kernels
    assert [name for name in SCHEDULE if hasattr(nn.StepLR, name)] == []


# ----------------------------------------------------------------------------------------------------------------------
# Gradients.


def test_writing_that_would_lose_a_gradient_is_refused(engine):
    w = engine.tensor([1.0, 2.0, 3.0], requires_grad=True)
    z, plain = w * 2, engine.zeros(3)
    words = "gradient", "engine.where(", "engine.stack(", "no_grad"
    for target, index, numbers in ((z, z > 3, 0.0), (w, 0, 5.0), (plain, 1, w[1] * 2), (plain, [0, 1], [z[0], 1.0])):
        refuses(lambda t=target, i=index, n=numbers: t.__setitem__(i, n), ValueError, *words)
    assert (w.tolist(), z.tolist(), plain.tolist()) == ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 0.0])
    with engine.no_grad():
        w[0] = 5.0
        plain[1] = w[1] * 2
    plain[2] = plain[1]
    plain[0] = engine.tensor(8.0)
    assert (w.tolist(), plain.tolist()) == ([5.0, 2.0, 3.0], [8.0, 4.0, 4.0])


def test_backward_of_many_numbers_needs_a_gradient(engine):
    y = engine.tensor([1.0, 2.0], requires_grad=True) * 2
    refuses(y.backward, ValueError, "(2,)", "gradient")
    refuses(lambda: y.backward([1.0, 2.0, 3.0]), ValueError, "(3,)", "(2,)")
    y.backward([1.0, 2.0])


def test_backward_without_anything_to_differentiate():
    refuses(fast.tensor(1.0).backward, ValueError, "requires_grad=True")


# ----------------------------------------------------------------------------------------------------------------------
# Losses.


@pytest.mark.parametrize("bad", [-1, 3, 7])
def test_labels_outside_the_classes(engine, bad):
    logits = engine.tensor([[0.0, 0.0, 0.0]] * 2)
    refuses(lambda: nn.cross_entropy(logits, engine.tensor([0, bad])), ValueError, f"label {bad}", "row 1", "3 classes")


def test_labels_of_the_wrong_kind(engine):
    logits = engine.tensor([[0.0, 0.0, 0.0]] * 2)
    refuses(lambda: nn.cross_entropy(logits, engine.tensor([0.0, 1.0])), TypeError, "integers")
    refuses(lambda: nn.cross_entropy(logits, engine.tensor([0])), ValueError, "(2, 3)", "(1,)")


def test_labels_in_another_form_have_a_cure(engine):
    logits = engine.zeros(3, 3)
    refuses(lambda: nn.cross_entropy(logits, engine.eye(3)), ValueError, "(3, 3)", "labels.argmax(1)")
    refuses(lambda: nn.cross_entropy(logits, engine.zeros(3, 1)), ValueError, "(3, 1)", "labels.reshape(-1)")
    for dtype in (engine.default_dtype, "bool"):
        labels = engine.zeros(3, dtype=dtype)
        refuses(lambda labels=labels: nn.cross_entropy(logits, labels), TypeError, dtype, "labels.to('int64')")


def test_targets_that_a_loss_does_not_know(engine):
    p = engine.tensor([0.5, 0.5])
    refuses(lambda: nn.hinge_loss(p, engine.tensor([1.0, 0.0])), ValueError, "target 0", "place 1", "2 * y - 1")
    refuses(lambda: nn.binary_cross_entropy(p, engine.tensor([1.0, -1.0])), ValueError, "target -1", "place 1")
    refuses(lambda: nn.binary_cross_entropy(p * 4, p), ValueError, "prediction 2", "with_logits")
    refuses(lambda: nn.binary_cross_entropy_with_logits(p, p * 4), ValueError, "target 2")


def test_a_mean_over_nothing(engine):
    if engine is fast:
        nothing = fast.tensor(np.zeros((0, 3)))
        refuses(nothing.mean, ValueError, "(0, 3)")
        refuses(lambda: nn.mse_loss(nothing, nothing), ValueError, "(0, 3)")
        refuses(lambda: nn.cross_entropy(nothing, fast.tensor(np.zeros(0, int))), ValueError, "(0, 3)")
    else:
        refuses(micro.tensor([]).mean, ValueError, "(0,)")


# ----------------------------------------------------------------------------------------------------------------------
# Models and optimizers.


def test_an_unknown_activation_lists_the_known_ones():
    refuses(lambda: nn.MLP([2, 1], "reluu", engine=fast), ValueError, "'reluu'", *nn.ACTIVATIONS)


def test_models_that_cannot_be():
    refuses(lambda: nn.MLP([2], engine=fast), ValueError, "[2]")
    refuses(lambda: nn.MLP([2, 0, 1], engine=fast), ValueError, "out_features=0")
    refuses(lambda: nn.MLP([2, 4.0, 1], engine=fast), ValueError, "out_features=4.0")
    refuses(lambda: nn.MLP(2, engine=fast), ValueError, "sizes=2")
    refuses(lambda: nn.MLP(np.array([2, 1]), engine=fast), ValueError, "sizes=array([2, 1])", "list")
    refuses(lambda: nn.MLP([2, 1], ["relu"], engine=fast), ValueError, "['relu']")
    refuses(lambda: nn.MLP([2, 1], engine=fast, seed="x"), ValueError, "seed='x'")
    refuses(lambda: nn.MLP([2, 1], engine=fast, seed=-1), ValueError, "seed=-1")
    refuses(lambda: fit(seed="x"), ValueError, "seed='x'")
    refuses(lambda: nn.predict(None, X), TypeError, "predict", "model=None")
    refuses(lambda: nn.Linear(2, 1, engine="fast", seed=0), TypeError, "'fast'", "import fast")
    refuses(lambda: nn.Sequential(nn.ReLU(), "tanh"), TypeError, "argument 1", "tanh")
    refuses(lambda: nn.predict(nn.ReLU(), X), ValueError, "ReLU has no parameters")


def test_modules_that_cannot_be(engine):
    class Forgetful(nn.Module):
        def __init__(self):
            self.width = 3

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = engine.tensor([1.0], requires_grad=True)
            self.offset = engine.tensor([1.0])
            self.blocks = nn.ModuleList(nn.Linear(2, 2, engine=engine, seed=i) for i in range(2))
            self.register_parameter("left_out", None)

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            self.seen = x * self.scale
            return self.seen

    refuses(Forgetful, AttributeError, "Forgetful", "super().__init__()")
    net = Net()
    for several in ([nn.ReLU()], (nn.ReLU(),), {"a": nn.ReLU()}):
        refuses(lambda s=several: setattr(net, "layers", s), TypeError, "Net", "nn.ModuleList", "nn.Sequential")
    refuses(lambda: setattr(net, "scale", "wide"), TypeError, "scale='wide'")
    refuses(lambda: net.blocks.append(nn.ReLU), TypeError, "argument 2", "ReLU(...)")
    refuses(lambda: nn.Sequential([nn.ReLU()]), TypeError, "argument 0", "Sequential(*modules)")
    net(engine.zeros(1, 2)).sum().backward()
    names = ["scale", *[f"blocks.{i}.{name}" for i in range(2) for name in ("weight", "bias")]]
    assert [name for name, _ in net.named_parameters()] == names  # without what was computed, or needs no gradient
    net.zero_grad()
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())
    assert len(net.blocks) == 2
    assert list(net.blocks)[-1] is net.blocks[-1]
    assert nn.Identity()(net.scale) is net.scale
    first = nn.Sequential(nn.Tanh(), nn.ReLU(), nn.Tanh())[:2]
    assert [type(module) for module in first] == [nn.Tanh, nn.ReLU]
    setattr(first, "0", nn.Identity())
    assert [type(module) for module in first] == [nn.Identity, nn.ReLU]


def test_what_is_missing_is_named_with_the_class_that_was_called():
    for name, arguments in {"Conv2d": (1, 2, 3), "LSTM": (2, 3), "GRU": (2, 3), "Linear": (2, 1)}.items():
        make = getattr(nn, name)
        refuses(lambda make=make, arguments=arguments: make(*arguments), TypeError, f"{name}.__init__()", "'engine'")
    refuses(lambda: nn.BatchNorm1d(3), TypeError, "BatchNorm1d.__init__()", "'engine'")


def test_a_copy_of_a_model_trains_like_the_model(engine):
    network = nn.Sequential(nn.LSTM(2, 3, engine=engine, seed=0), nn.LastStep(), nn.Linear(3, 1, engine=engine, seed=1))
    both = network, nn.Adam(network.parameters())
    other, optimizer = copy.deepcopy(both)
    assert all(mine is not theirs for mine, theirs in zip(network.parameters(), other.parameters(), strict=True))
    data = np.ones((2, 3, 2)), np.ones((2, 1))
    losses = [nn.fit(m, data, nn.mse_loss, o, 3).loss for m, o in (both, (other, optimizer))]
    assert losses[0] == losses[1]


def test_layers_and_losses_want_tensors():
    image = np.ones((1, 1, 4, 4))
    layers = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Softmax()
    for layer in layers:
        refuses(lambda layer=layer: layer(image), TypeError, type(layer).__name__, "ndarray", "tensor")
    for loss in (nn.mse_loss, nn.cross_entropy, nn.binary_cross_entropy_with_logits):
        refuses(lambda loss=loss: loss(image, image), TypeError, loss.__name__, "ndarray")


def test_a_recurrent_layer_needs_its_last_step_taken(engine):
    lstm = nn.LSTM(2, 3, engine=engine, seed=0)
    for layer in (nn.Linear(3, 1, engine=engine, seed=0), nn.ReLU()):
        refuses(lambda layer=layer: nn.Sequential(lstm, layer)(engine.zeros(1, 2, 2)), TypeError, "nn.LastStep()")


def test_channels_in_another_place(engine):
    one, three = [nn.Conv2d(channels, 2, 3, engine=engine, seed=0) for channels in (1, 3)]
    refuses(lambda: three(engine.zeros(2, 8, 8, 3)), ValueError, "(2, 8, 8, 3)", "x.permute(0, 3, 1, 2)")
    refuses(lambda: one(engine.zeros(5, 8, 8)), ValueError, "(5, 8, 8)", "x.unsqueeze(1)")
    refuses(lambda: one(engine.zeros(8, 8)), ValueError, "(8, 8)", "x.unsqueeze(0)")


def test_a_mask_in_the_place_of_is_causal(engine):
    x = engine.ones(2, 2)
    attend = engine.functional.scaled_dot_product_attention
    refuses(lambda: attend(x, x, x, is_causal=x > 0), TypeError, "is_causal", "attn_mask")
    refuses(lambda: attend(x, x, x, None, True), TypeError, "positional")


@pytest.mark.parametrize("optimizer", [nn.SGD, nn.Adam])
@pytest.mark.parametrize("lr", [0.0, -0.1, math.nan, math.inf])
def test_learning_rates_that_cannot_be(optimizer, lr):
    refuses(lambda: optimizer(model().parameters(), lr=lr), ValueError, f"lr={lr}", "positive")


def test_parameters_that_are_none():
    network = model()
    refuses(lambda: nn.SGD(network), TypeError, "SGD", "model.parameters()")
    refuses(lambda: nn.SGD(network.parameters), TypeError, "SGD", "model.parameters()")
    refuses(lambda: nn.SGD(network.named_parameters()), TypeError, "0.weight", "model.parameters()")
    refuses(lambda: nn.SGD(network.parameters() * 2), ValueError, "twice")
    refuses(lambda: nn.SGD([*network.parameters(), *model(micro).parameters()]), TypeError, "different engines")
    refuses(lambda: nn.SGD(network.parameters(), lr="0.1"), ValueError, "'0.1'")
    refuses(lambda: nn.SGD([fast.tensor([1])]), TypeError, "tensor([1])", "model.parameters()")
    refuses(lambda: nn.l2_penalty(network), TypeError, "l2_penalty", "model.parameters()")
    refuses(lambda: nn.SGD(network.parameters()[0]), TypeError, "SGD", "no list", "[tensor]")
    refuses(lambda: nn.SGD([fast.tensor([True])]), TypeError, "True", "model.parameters()")


@pytest.mark.parametrize("lr", ["0.1", -1.0, math.nan, None])
def test_a_learning_rate_is_refused_when_it_is_set(lr):
    optimizer = nn.SGD(model().parameters(), lr=0.5)
    refuses(lambda: setattr(optimizer, "lr", lr), ValueError, f"lr={lr!r}")
    state = {**optimizer.state_dict(), "lr": np.array(math.nan)}
    refuses(lambda: optimizer.load_state_dict(state), ValueError, "lr=nan")
    assert optimizer.lr == 0.5


def test_optimizer_settings_that_cannot_be():
    parameters = model().parameters()
    refuses(lambda: nn.Adam(parameters, betas=(0.9, 0.99, 0.999)), ValueError, "(0.9, 0.99, 0.999)", "two")
    refuses(lambda: nn.SGD([], lr=0.1), ValueError, "model.parameters()")
    refuses(lambda: nn.SGD(parameters, momentum=-1), ValueError, "momentum=-1")
    refuses(lambda: nn.SGD(parameters, nesterov=True), ValueError, "momentum=0")
    refuses(lambda: nn.Adam(parameters, betas=(0.9, 1.0)), ValueError, "(0.9, 1.0)")
    refuses(lambda: nn.Adam(parameters, betas=0.9), ValueError, "betas=0.9")
    refuses(lambda: nn.Adam(parameters, eps=math.inf), ValueError, "eps=inf")
    refuses(lambda: nn.SGD(parameters, dampening="0"), ValueError, "dampening='0'")


# ----------------------------------------------------------------------------------------------------------------------
# Training.


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_gaps_in_the_data_are_located(bad):
    x = X.copy()
    x[4, 2] = bad
    refuses(lambda: fit((x, Y)), ValueError, "data: X", str(bad), "row 4", "column 2")
    y = Y.copy()
    y[3, 0] = bad
    refuses(lambda: fit((X, y)), ValueError, "data: y", str(bad), "row 3")
    refuses(lambda: fit(validation=(x, Y)), ValueError, "validation: X", "row 4")
    refuses(lambda: nn.predict(model(), x), ValueError, "x", "row 4", "column 2")


def test_data_that_cannot_be():
    refuses(lambda: fit((X, Y[:5])), ValueError, "6 rows", "5")
    refuses(lambda: fit((X[:0], Y[:0])), ValueError, "empty", "(0, 3)")
    refuses(lambda: fit(X), TypeError, "(X, y)")
    refuses(lambda: fit((X.astype(str), Y)), TypeError, "data: X", "'0.0'", "encode")
    refuses(lambda: fit(([[1.0, None, 2.0]] * 6, Y)), TypeError, "data: X", "None")
    refuses(lambda: fit(([[1.0, 2.0], [3.0]], Y)), ValueError, "data: X", "lengths")
    refuses(lambda: fit((1.0, 2.0)), ValueError, "data: X", "1.0")


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "all", True])
def test_batch_sizes_that_cannot_be(batch_size):
    refuses(lambda: fit(batch_size=batch_size), ValueError, f"batch_size={batch_size!r}")


@pytest.mark.parametrize("epochs", [0, -1, 2.5, math.nan, "2"])
def test_epochs_that_cannot_be(epochs):
    refuses(lambda: fit(epochs=epochs), ValueError, f"epochs={epochs!r}")


def test_things_in_each_others_place():
    network = model()
    optimizer = nn.SGD(network.parameters())
    refuses(lambda: nn.fit(None, (X, Y), nn.mse_loss, optimizer, 1), TypeError, "model=None")
    refuses(lambda: nn.fit(network, (X, Y), "mse", optimizer, 1), TypeError, "loss='mse'", "nn.mse_loss")
    refuses(lambda: nn.fit(network, (X, Y), nn.mse_loss, nn.SGD, 1), TypeError, "optimizer=", "nn.SGD(")
    other = nn.SGD(model().parameters())
    refuses(lambda: nn.fit(network, (X, Y), nn.mse_loss, other, 1), ValueError, "another model")
    refuses(lambda: fit(callbacks=nn.Progress()), TypeError, "callbacks", "[nn.Progress()]")
    refuses(lambda: fit(callbacks=[nn.Progress]), TypeError, "callbacks", "[nn.Progress()]")
    refuses(lambda: fit(callbacks=[nn.StepLR(optimizer, 1)]), TypeError, "callbacks", "nn.Schedule(")
    refuses(lambda: nn.fit(network, X, Y, nn.mse_loss, optimizer, 1), TypeError, "(X, y)")
    refuses(lambda: fit(loss=lambda p, t: p), TypeError, "single number")
    refuses(lambda: fit(loss=lambda p, t: 1.0), TypeError, "single number")


def test_prediction_leaves_each_module_in_its_own_mode():
    network = nn.Sequential(nn.Dropout(seed=0), nn.Linear(3, 1, engine=fast, seed=0)).train()
    network[0].eval()
    nn.predict(network, X)
    assert [module.training for module in network.modules()] == [True, False, True]


def test_files_in_each_others_place(tmp_path):
    network, path = model(), tmp_path / "weights"
    for arguments in ((path, network), (network.state_dict(), path), (network, None)):
        refuses(lambda a=arguments: nn.save_weights(*a), TypeError, "save_weights(model,")
        refuses(lambda a=arguments: nn.load_weights(*a), TypeError, "load_weights(model,")
    refuses(lambda: nn.save_weights(network, tmp_path), ValueError, "folder", str(tmp_path))
    refuses(lambda: nn.load_weights(network, tmp_path), ValueError, "folder", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_depends_on_nothing(engine):
    if engine is fast:  # in micro every Value counts as an input, so a detached loss cannot be told from another
        refuses(lambda: fit(loss=lambda p, t: nn.mse_loss(p.detach(), t)), ValueError, "detached")
    with engine.no_grad():
        refuses(lambda: fit(engine=engine), ValueError, "no_grad")


def test_divergence_before_the_first_update_does_not_blame_the_learning_rate():
    network = model()
    with pytest.warns(nn.DivergenceWarning, match="nothing was learned yet"):
        nn.fit(network, (X, Y + 1e30), nn.mse_loss, nn.SGD(network.parameters()), 1)


def test_divergence_keeps_the_history(engine):
    network = model(engine)
    data = (np.eye(6, 3) * 1e3, Y + 1)
    with pytest.warns(nn.DivergenceWarning, match="diverged at step"):
        history = nn.fit(network, data, nn.mse_loss, nn.SGD(network.parameters(), lr=1e30), 50)
    assert re.fullmatch(r"diverged at step \d+: the loss became (inf|nan)", history.stopped)
    assert 0 < len(history.step_loss) <= 50


def test_too_few_losses_for_a_verdict():
    refuses(lambda: nn.diagnose([1.0, 0.5]), ValueError, "2 losses", "at least 4")
    refuses(lambda: nn.diagnose(nn.History()), TypeError, "History", "step_loss")


# ----------------------------------------------------------------------------------------------------------------------
# Pictures.


def test_pictures_that_cannot_be(tmp_path):
    refuses(lambda: viz.graph(3.0), TypeError, "float", "Value")
    refuses(lambda: viz.graph(Value(1.0), direction="up"), ValueError, "'up'", "'LR'")
    refuses(lambda: viz.render(viz.graph(Value(1.0)), tmp_path / "graph.gif"), ValueError, "graph.gif", ".svg")
    refuses(lambda: viz.render(Value(1.0), tmp_path / "graph.svg"), TypeError, "Value", "viz.graph")
    refuses(lambda: viz.loss_curves({}), ValueError, "no curves")
    refuses(lambda: viz.loss_curves(None), ValueError, "None")
    refuses(lambda: viz.learning_rate_curves([[1.0, 0.5]]), ValueError, "{0.1: losses")
    refuses(lambda: viz.learning_rate_curves({"0.1": [1.0, 0.5]}), ValueError, "{0.1: losses")
    refuses(lambda: viz.learning_rate_curves({0.1: [1.0, 0.5]}), ValueError, "learning rate 0.1", "at least 4")
    refuses(lambda: viz.decision_boundary(lambda p: p, np.eye(2), [0, 1], resolution=0), ValueError, "resolution=0")
    refuses(lambda: viz.decision_boundary(lambda p: p, np.eye(3, 2), [0, 1, 2]), ValueError, "[0 1 2]")
    refuses(lambda: viz.decision_boundary(lambda p: p[:5], np.eye(2), [0, 1]), ValueError, "(5, 2)")
    refuses(lambda: viz.learning_rate_curves({}), ValueError, "no curves")
    refuses(lambda: viz.decision_boundary(lambda p: p, X, Y), ValueError, "(6, 3)")
    total = Value(0.0)
    for _ in range(2000):
        total = total + 1
    refuses(lambda: viz.graph(total), ValueError, "4001 nodes")
    assert list(tmp_path.iterdir()) == []
    assert plt.get_fignums() == []  # and no figure was opened for nothing


def test_a_power_in_another_languages_words():
    with pytest.raises(TypeError, match=r"for a power write x \*\* 2"):
        micro.Value(2.0) ^ 2


def test_losses_without_their_learning_rates():
    with pytest.raises(TypeError, match=r"diagnose_sweep: \[1, 2\] has no learning rates; give \{0.1: losses"):
        nn.diagnose_sweep([1, 2])


@pytest.mark.parametrize("module", [nn, micro, fast])
def test_a_misspelt_name_carries_what_python_needs_for_its_advice(module):
    with pytest.raises(AttributeError) as caught:
        _ = module.no_such_name
    assert (caught.value.name, caught.value.obj) == ("no_such_name", module)
