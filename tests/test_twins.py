"""The whole: the same network, trained by the same loop from the same seed, has the same losses on both engines."""

import inspect

import numpy as np
import pytest
from agreement import layers_of

import fast
import micro
import nn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(23, 4))
PLANE = X @ RANDOM.normal(size=(4, 3))

TARGETS = {
    "mse_loss": (nn.mse_loss, PLANE[:, :1]),
    "l1_loss": (nn.l1_loss, PLANE[:, :1]),
    "huber_loss": (lambda p, t: nn.huber_loss(p, t, delta=0.5), PLANE[:, :1]),
    "hinge_loss": (nn.hinge_loss, np.where(PLANE[:, :1] > 0, 1.0, -1.0)),
    "binary_cross_entropy_with_logits": (nn.binary_cross_entropy_with_logits, (PLANE[:, :1] > 0).astype(float)),
    "binary_cross_entropy": (
        lambda p, t: nn.binary_cross_entropy(p.sigmoid(), t),
        (PLANE[:, :1] > 0).astype(float),
    ),
    "cross_entropy": (nn.cross_entropy, PLANE.argmax(axis=1)),
    "nll_loss": (lambda p, t: nn.nll_loss(p.log_softmax(), t), PLANE.argmax(axis=1)),
}
OPTIMIZERS = {
    "SGD": lambda p: nn.SGD(p, lr=0.05),
    "momentum": lambda p: nn.SGD(p, lr=0.02, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: nn.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "Adam": lambda p: nn.Adam(p, lr=0.01, weight_decay=0.01),
    "AdamW": lambda p: nn.AdamW(p, lr=0.01, weight_decay=0.1),
    "RMSprop": lambda p: nn.RMSprop(p, lr=0.002, weight_decay=0.01),
    "RMSprop, centered": lambda p: nn.RMSprop(p, lr=0.001, alpha=0.9, momentum=0.5, centered=True),
    "Adagrad": lambda p: nn.Adagrad(p, lr=0.02, lr_decay=0.01, initial_accumulator_value=0.1),
}


def losses(engine, model, loss, target, optimizer, steps=20):
    """The losses of 20 steps in batches of 5, so that the last batch of an epoch is smaller."""
    data = (X[: len(target)], target)
    history = nn.fit(model, data, loss, optimizer(model.parameters()), epochs=4, batch_size=5, validation=data)
    assert len(history.step_loss) == steps
    return history.step_loss + history.validation_loss


def assert_twins(build, loss, target, optimizer):
    slow, quick = [losses(engine, build(engine), loss, target, optimizer) for engine in (micro, fast)]
    np.testing.assert_allclose(quick, slow, rtol=1e-9)
    assert slow[19] < slow[0]  # and it learned, so there was something to agree on


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", TARGETS)
def test_losses_and_optimizers(loss, optimizer):
    function, target = TARGETS[loss]
    outputs = 3 if target.dtype == int else 1

    def build(engine):
        return nn.MLP([4, 6, outputs], "tanh", engine=engine, seed=7, dtype="float64")

    assert_twins(build, function, target, OPTIMIZERS[optimizer])


class Steps(nn.Module):
    """A cell that reads a sequence (N, L, 4), step after step; what it says after the last one."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        state = self.cell(x[:, 0])
        for step in range(1, x.shape[1]):
            state = self.cell(x[:, step], state)
        return state[0] if isinstance(state, tuple) else state


def after_dense(kind, *arguments, **settings):
    return lambda make: [make("Linear", 4, 5), make(kind, *arguments, **settings), make("Linear", 5, 1)]


def after_convolution(kind, *arguments, outputs=8, **settings):
    """For images (N, 1, 5, 5)."""
    return lambda make: [
        *(make("Conv2d", 1, 2, 2), make(kind, *arguments, **settings), make("Tanh")),
        *(make("Flatten"), make("Linear", outputs, 1)),
    ]


LINES, IMAGES = RANDOM.normal(size=(23, 2, 5)), RANDOM.normal(size=(23, 1, 5, 5))
SEQUENCES, WORDS = RANDOM.normal(size=(23, 3, 4)), RANDOM.integers(0, 6, (23, 3))

#: For every layer a model that has it, as a list of modules, and what the model reads.
LAYERS = {
    "Linear": (lambda make: [make("Linear", 4, 3, bias=False), make("Linear", 3, 1)], X),
    **{layer.__name__: (after_dense(layer.__name__), X) for layer in nn.ACTIVATIONS.values()},
    "Softmax": (after_dense("Softmax"), X),
    "Sequential": (lambda make: [nn.Sequential(make("Linear", 4, 3), make("Tanh")), make("Linear", 3, 1)], X),
    "MLP": (lambda make: [make("MLP", [4, 6, 5, 1], "tanh")], X),
    "Identity": (lambda make: [make("Linear", 4, 3), make("Identity"), make("Linear", 3, 1)], X),
    "Residual": (lambda make: [make("Residual", nn.Sequential(make("Linear", 4, 4))), make("Linear", 4, 1)], X),
    "Dropout": (after_dense("Dropout", 0.2), X),
    "BatchNorm1d": (after_dense("BatchNorm1d", 5), X),
    "LayerNorm": (after_dense("LayerNorm", 5), X),
    "RMSNorm": (after_dense("RMSNorm", 5), X),
    "BatchNorm2d": (after_convolution("BatchNorm2d", 2, outputs=32), IMAGES),
    "Conv1d": (
        lambda make: [make("Conv1d", 2, 2, 3, padding=1, dilation=2), make("Flatten"), make("Linear", 6, 1)],
        LINES,
    ),
    "Conv2d": (after_convolution("Conv2d", 2, 2, 3, stride=2, padding="valid", groups=2, outputs=2), IMAGES),
    "MaxPool2d": (after_convolution("MaxPool2d", 2), IMAGES),
    "AvgPool2d": (after_convolution("AvgPool2d", 2), IMAGES),
    "AdaptiveAvgPool2d": (after_convolution("AdaptiveAvgPool2d", (3, 2), outputs=12), IMAGES),
    "Flatten": (after_convolution("Flatten", 2, 3, outputs=32), IMAGES),
    "Embedding": (lambda make: [make("Embedding", 6, 2), make("Flatten"), make("Linear", 6, 1)], WORDS),
    "MultiheadAttention": (
        lambda make: [make("MultiheadAttention", 4, 2), make("Flatten"), make("Linear", 12, 1)],
        SEQUENCES,
    ),
    **{
        kind: (lambda make, kind=kind: [make(kind, 4, 3), make("LastStep"), make("Linear", 3, 1)], SEQUENCES)
        for kind in ("RNN", "LSTM", "GRU")
    },
    "LastStep": (lambda make: [make("GRU", 4, 2, 2), make("LastStep"), make("Linear", 2, 1)], SEQUENCES),
    **{
        kind: (lambda make, kind=kind: [Steps(make(kind, 4, 3)), make("Linear", 3, 1)], SEQUENCES)
        for kind in ("RNNCell", "LSTMCell", "GRUCell")
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    modules, x = LAYERS[name]
    curves = []
    for engine in (micro, fast):
        model = nn.Sequential(*modules(layers_of(engine)))
        data = x[:10], PLANE[:10, :1]
        history = nn.fit(model, data, nn.mse_loss, nn.Adam(model.parameters(), lr=0.01), 10, 5, validation=data)
        assert len(history.step_loss) == 20
        curves.append(history.step_loss + history.validation_loss)
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-9)
    assert curves[0][-1] < curves[0][20]


def exported(kind):
    return {
        name: thing for name in nn.__all__ if inspect.isclass(thing := getattr(nn, name)) and issubclass(thing, kind)
    }


def test_nothing_is_without_a_twin():
    """Whoever exports a new layer, loss or optimizer adds it to the tables of this file."""
    assert set(exported(nn.Module)) - {"Module", "ModuleList"} == set(LAYERS)  # these two compute nothing
    for name, (modules, _) in LAYERS.items():
        model = nn.Sequential(*modules(layers_of(fast)))
        assert any(type(module).__name__ == name for module in all_modules(model)), name
    losses = {name for name in nn.__all__ if getattr(nn, name) in vars(nn.losses).values()}
    assert losses == set(TARGETS) | {"l1_penalty", "l2_penalty"}  # which have a test of their own
    parameter = fast.tensor([1.0], requires_grad=True)
    assert set(exported(nn.Optimizer).values()) - {nn.Optimizer} == {
        type(make([parameter])) for make in OPTIMIZERS.values()
    }


def all_modules(module):
    yield module
    for inside in module._modules.values():
        yield from all_modules(inside)


def assert_all_float32(model, error, optimizer):
    """After a step there is nothing but float32: results, gradients, parameters, buffers, the optimizer's memory."""
    error.backward()
    optimizer.step()
    graph = error.topological_order()
    assert {tensor.dtype for tensor in graph} <= {"float32", "int64"}
    assert {tensor.dtype for tensor in graph if tensor.op is not None} == {"float32"}
    for name, parameter in model.named_parameters():
        assert (parameter.dtype, parameter.grad.dtype) == ("float32", "float32"), name
    assert {buffer.dtype for name, buffer in model.named_buffers() if "batches" not in name} <= {"float32"}
    memory = [thing for state in optimizer.state.values() for thing in state.values() if hasattr(thing, "dtype")]
    assert {np.asarray(thing).dtype.name for thing in memory} <= {"float32"}


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_in_layers(name):
    modules, x = LAYERS[name]
    model = nn.Sequential(*modules(layers_of(fast, "float32")))
    x = x if x.dtype == int else x.astype("float32")
    error = nn.mse_loss(model(fast.tensor(x)), fast.tensor(PLANE[:, :1].astype("float32")))
    assert_all_float32(model, error, nn.Adam(model.parameters()))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", TARGETS)
def test_float32_stays_float32_in_losses_and_optimizers(loss, optimizer):
    function, target = TARGETS[loss]
    model = nn.MLP([4, 6, 3 if target.dtype == int else 1], engine=fast)
    answer = model(fast.tensor(X.astype("float32")))
    error = function(answer, fast.tensor(target if target.dtype == int else target.astype("float32")))
    assert_all_float32(model, error, OPTIMIZERS[optimizer](model.parameters()))


def test_probabilities():
    def build(engine):
        return nn.Sequential(
            nn.Linear(4, 5, bias=False, engine=engine, seed=1, dtype="float64"),
            nn.Softmax(),
            nn.Linear(5, 1, engine=engine, seed=2, dtype="float64"),
            nn.Sigmoid(),
        )

    assert_twins(build, nn.binary_cross_entropy, (PLANE[:, :1] > 0).astype(float), OPTIMIZERS["Adam"])


@pytest.mark.parametrize("penalty", [nn.l1_penalty, nn.l2_penalty])
def test_penalties(penalty):
    def build(engine):
        return nn.MLP([4, 6, 1], "relu", engine=engine, seed=5, dtype="float64")

    results = []
    for engine in (micro, fast):
        model = build(engine)
        optimizer = nn.SGD(model.parameters(), lr=0.05)
        results.append([])
        for _ in range(20):
            prediction = model(engine.tensor(X.tolist(), "float64"))
            target = engine.tensor(PLANE[:, :1].tolist(), "float64")
            error = nn.mse_loss(prediction, target) + 0.01 * penalty(model.parameters())
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            results[-1].append(error.item())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9)


def test_one_seed_gives_the_same_weights_to_the_bit():
    slow, quick = [nn.MLP([3, 5, 2], engine=e, seed=1337, dtype="float64").state_dict() for e in (micro, fast)]
    assert slow.keys() == quick.keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}
    for name in slow:
        assert slow[name].tobytes() == quick[name].tobytes()


def test_first_weights_have_pytorchs_distribution():
    weight = nn.Linear(25, 4000, engine=fast, seed=0).state_dict()["weight"]
    assert weight.shape == (4000, 25)
    assert weight.dtype == "float32"
    assert -0.2 <= weight.min() < -0.199
    assert 0.199 < weight.max() <= 0.2
    assert abs(weight.mean()) < 0.002
    assert weight.std() == pytest.approx(0.2 / 3**0.5, rel=0.01)
