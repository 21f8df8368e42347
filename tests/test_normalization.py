"""Normalisation: both engines, the running statistics, the layers and their buffers, and PyTorch as a witness."""

import numpy as np
import pytest
from agreement import against_torch, assert_slopes, assert_twins, on_all_cores, train_both
from test_bad_input import refuses
from test_functional import like, numbers

import fast
import micro
import nn


def batch_norm(f, x, weight=None, bias=None):
    return f.batch_norm(x, None, None, weight, bias, True)


def evaluated(f, x, weight=None, bias=None):
    running = like(x, numbers(3, seed=5)), like(x, np.array([0.5, 2.0, 1.0]))
    return f.batch_norm(x, *running, weight, bias, eps=0.1)


CHANNELS = [numbers(3, seed=1), numbers(3, seed=2)]
CASES = {
    "batch_norm": (batch_norm, [numbers(5, 3), *CHANNELS]),
    "batch_norm, two values": (batch_norm, [numbers(2, 1), numbers(1), numbers(1, seed=1)]),
    "batch_norm, one sample": (batch_norm, [numbers(1, 3, 4), *CHANNELS]),
    "batch_norm of sequences": (batch_norm, [numbers(4, 3, 7), *CHANNELS]),
    "batch_norm of images": (batch_norm, [numbers(3, 3, 2, 5), *CHANNELS]),
    "batch_norm of a transpose": (lambda f, x: batch_norm(f, x.T), [numbers(3, 7)]),
    "batch_norm without parameters": (batch_norm, [numbers(5, 3)]),
    "batch_norm without bias": (batch_norm, [numbers(5, 3), CHANNELS[0]]),
    "batch_norm without weight": (lambda f, x, b: batch_norm(f, x, None, b), [numbers(5, 3), CHANNELS[1]]),
    "batch_norm, evaluated": (evaluated, [numbers(5, 3), *CHANNELS]),
    "batch_norm, images evaluated": (evaluated, [numbers(2, 3, 2, 2), *CHANNELS]),
    "batch_norm of many channels": (batch_norm, [numbers(2, 300), numbers(300), numbers(300, seed=1)]),
    "batch_norm far from 0": (lambda f, x: batch_norm(f, x + 1000), [numbers(7, 2)]),
    "layer_norm": (lambda f, x, w, b: f.layer_norm(x, 3, w, b), [numbers(5, 3), *CHANNELS]),
    "layer_norm of a vector": (lambda f, x, w, b: f.layer_norm(x, (3,), w, b), [numbers(3), *CHANNELS]),
    "layer_norm, two dimensions": (
        lambda f, x, w, b: f.layer_norm(x, [3, 2], w, b, 0.1),
        [numbers(2, 5, 3, 2), numbers(3, 2), numbers(3, 2, seed=1)],
    ),
    "layer_norm of one": (lambda f, x: f.layer_norm(x, 1), [numbers(4, 1)]),
    "layer_norm without weight": (lambda f, x, b: f.layer_norm(x, 3, None, b), [numbers(5, 3), CHANNELS[1]]),
    "layer_norm of a transpose": (lambda f, x, w: f.layer_norm(x.T, 3, w), [numbers(3, 7), CHANNELS[0]]),
    "layer_norm of many rows": (lambda f, x, w, b: f.layer_norm(x, 3, w, b), [numbers(131, 3), *CHANNELS]),
    "rms_norm": (lambda f, x, w: f.rms_norm(x, 3, w), [numbers(5, 3), CHANNELS[0]]),
    "rms_norm without weight": (lambda f, x: f.rms_norm(x, (5, 3), eps=0.1), [numbers(5, 3)]),
}


@pytest.mark.parametrize("cores", ["one core", "all cores"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_fast_against_the_loops(name, dtype, cores, monkeypatch):
    if dtype == "float32" and name in {"batch_norm, two values", "batch_norm far from 0"}:
        pytest.skip("differences of nearly equal numbers")
    on_all_cores(monkeypatch, cores == "all cores")
    assert_twins(*CASES[name], dtype)


@pytest.mark.parametrize("name", CASES)
def test_loops_against_finite_differences(name):
    assert_slopes(*CASES[name], step=1e-7 if "two values" in name else 1e-6)


def test_gradients_that_nobody_wants_are_not_given():
    x, weight = fast.tensor(numbers(5, 3)), fast.tensor(numbers(3), requires_grad=True)
    for function in (lambda: batch_norm(fast.functional, x, weight), lambda: fast.functional.rms_norm(x, 3, weight)):
        weight.zero_grad()
        function().sum().backward()
        assert x.grad is None
        assert weight.grad is not None


def test_statistics_of_float32_keep_their_digits():
    x = (1000 + numbers(70_001, 2)).astype("float32")
    running = fast.tensor([0.0, 0.0]), fast.tensor([1.0, 1.0])
    y = fast.functional.batch_norm(fast.tensor(x), *running, training=True, momentum=1.0)
    np.testing.assert_allclose(running[0].data, x.mean(0, dtype=float), rtol=1e-7)
    np.testing.assert_allclose(running[1].data, x.var(0, dtype=float, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(y.data.std(0, dtype=float), 1, rtol=1e-4)
    row = fast.functional.layer_norm(fast.tensor(x[:, 0]), 70_001)
    np.testing.assert_allclose(row.data, (x[:, 0] - x[:, 0].mean(dtype=float)) / x[:, 0].std(dtype=float), atol=1e-3)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics(engine, momentum):
    layer = nn.BatchNorm1d(2, momentum=momentum, engine=engine, dtype="float64")
    batches = [numbers(n, 2, seed=n) for n in (5, 3, 8)]
    mean, var = np.zeros(2), np.ones(2)
    for count, batch in enumerate(batches, 1):
        with engine.no_grad():
            layer(engine.tensor(batch.tolist(), "float64"))
        share = momentum or 1 / count
        mean = (1 - share) * mean + share * batch.mean(0)
        var = (1 - share) * var + share * batch.var(0, ddof=1)
    np.testing.assert_allclose(np.asarray(layer.running_mean), mean, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(layer.running_var), var, rtol=1e-6)
    assert layer.num_batches_tracked.item() == 3
    before = layer.state_dict()
    y = layer.eval()(engine.tensor(batches[0].tolist(), "float64"))
    np.testing.assert_allclose(np.asarray(y), (batches[0] - mean) / np.sqrt(var + 1e-5), rtol=1e-6)
    for name, array in layer.state_dict().items():
        assert array.tolist() == before[name].tolist()  # evaluation leaves them alone


def test_without_running_statistics_evaluation_is_like_training(engine):
    layer = nn.BatchNorm1d(2, affine=False, track_running_stats=False, engine=engine)
    x = engine.tensor(numbers(5, 2).tolist(), "float64")
    assert layer(x).tolist() == layer.eval()(x).tolist()
    assert layer.state_dict() == {}


def test_an_error_leaves_the_statistics_alone(engine):
    layer = nn.BatchNorm1d(2, engine=engine)
    refuses(lambda: layer(engine.tensor([[1.0, 2.0]])), ValueError, "batch_norm", "(1, 2)", "batch_size", "eval()")
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.eval()(engine.tensor([[1.0, 2.0]])).shape == (1, 2)


class TestBuffers:
    def model(self, engine):
        return nn.Sequential(nn.Linear(3, 2, engine=engine, seed=0), nn.BatchNorm1d(2, engine=engine), nn.ReLU())

    def test_names(self, engine):
        model = self.model(engine)
        assert [name for name, _ in model.named_buffers()] == [
            "1.running_mean",
            "1.running_var",
            "1.num_batches_tracked",
        ]
        assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert set(model.state_dict()) == {name for name, _ in [*model.named_parameters(), *model.named_buffers()]}
        assert len(model.parameters()) == 4

    def test_they_are_saved_and_loaded_across_engines(self, engine, tmp_path):
        model = self.model(micro if engine is fast else fast)
        model(model.parameters()[0].engine.tensor(numbers(4, 3).tolist()))
        nn.save_weights(model, tmp_path / "weights.safetensors")
        other = self.model(engine)
        nn.load_weights(other, tmp_path / "weights.safetensors")
        state = other.state_dict()
        for name, array in model.state_dict().items():
            np.testing.assert_allclose(state[name], array, rtol=1e-6)
        assert state["1.num_batches_tracked"].dtype == np.int64
        assert state["1.num_batches_tracked"] == 1

    def test_what_does_not_fit_is_refused(self, engine):
        model = self.model(engine)
        state = model.state_dict()

        def load(**changes):
            model.load_state_dict({**state, **{"1." + name: value for name, value in changes.items()}})

        refuses(lambda: load(running_mean=np.zeros(3)), ValueError, "1.running_mean", "(3,)", "(2,)")
        refuses(lambda: load(num_batches_tracked=np.array(1.5)), ValueError, "num_batches_tracked", "float64", "int64")
        refuses(lambda: load(other=np.zeros(3)), ValueError, "1.other is unknown")
        state.pop("1.running_var")
        refuses(load, ValueError, "1.running_var is missing")
        load(running_var=np.ones(2), num_batches_tracked=np.array(7, "int32"))
        assert model.state_dict()["1.num_batches_tracked"].tolist() == 7


LAYERS = {
    "BatchNorm1d": lambda engine: nn.BatchNorm1d(5, engine=engine, dtype="float64"),
    "LayerNorm": lambda engine: nn.LayerNorm(5, engine=engine, dtype="float64"),
    "RMSNorm": lambda engine: nn.RMSNorm(5, engine=engine, dtype="float64"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_training_as_twins(name):
    def build(engine):
        first = nn.Linear(3, 5, engine=engine, seed=1, dtype="float64")
        last = nn.Linear(5, 1, engine=engine, seed=2, dtype="float64")
        return nn.Sequential(first, LAYERS[name](engine), nn.Tanh(), last)

    x = numbers(24, 3)
    train_both(build, (x, np.tanh(x[:, :1]) + x[:, 1:2]), nn.mse_loss)


def test_what_the_layers_say(engine):
    assert repr(nn.BatchNorm2d(3, engine=engine)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
    assert repr(nn.LayerNorm([3, 4], engine=engine)) == "LayerNorm((3, 4), eps=1e-05, elementwise_affine=True)"
    assert repr(nn.RMSNorm(3, engine=engine)) == "RMSNorm((3,), eps=None, elementwise_affine=True)"


def test_bad_input(engine):
    f, x = engine.functional, engine.tensor(numbers(4, 3).tolist())
    two, integers = engine.tensor([1.0, 2.0]), engine.tensor([[1, 2], [3, 4]])
    refuses(lambda: f.batch_norm(two, None, None, training=True), ValueError, "(2,)", "(N, C, H, W)")
    refuses(lambda: f.batch_norm(x, two, two), ValueError, "running_mean", "(2,)", "(4, 3)")
    refuses(lambda: f.batch_norm(x, None, None, two, training=True), ValueError, "weight", "(2,)", "(3,)")
    refuses(lambda: f.batch_norm(x, None, None), ValueError, "running_mean", "training")
    refuses(lambda: f.batch_norm(x.T, None, None, None, two, True), ValueError, "bias", "(4,)")
    refuses(lambda: f.batch_norm(integers, None, None, training=True), TypeError, "int64")
    three = engine.tensor([1.0, 2.0, 3.0])
    refuses(lambda: f.batch_norm(x, three, None, training=True), ValueError, "neither")
    counted = {"training": True, "momentum": None}
    refuses(lambda: f.batch_norm(x, None, None, **counted), ValueError, "momentum=None", "num_batches_tracked")
    refuses(lambda: f.layer_norm(x, 4), ValueError, "(4, 3)", "(4,)")
    refuses(lambda: f.layer_norm(x, (1, 4, 3)), ValueError, "(4, 3)", "(1, 4, 3)")
    refuses(lambda: f.layer_norm(x, 3, two), ValueError, "weight", "(2,)", "(3,)")
    refuses(lambda: f.layer_norm(x, 3, [1.0, 1.0, 1.0]), TypeError, "list", ".tensor(")
    refuses(lambda: f.rms_norm(x, "3"), ValueError, "normalized_shape='3'")
    refuses(lambda: f.rms_norm(x, ()), ValueError, "normalized_shape=()")
    other = (micro if engine is fast else fast).tensor([1.0, 2.0, 3.0])
    refuses(lambda: f.rms_norm(x, 3, other), TypeError, "different engines")


def test_layers_with_bad_input(engine):
    refuses(lambda: nn.BatchNorm1d(0, engine=engine), ValueError, "num_features=0")
    refuses(lambda: nn.BatchNorm1d(3, engine="fast"), TypeError, "'fast'")
    refuses(lambda: nn.LayerNorm(2.5, engine=engine), ValueError, "normalized_shape=2.5")
    images = engine.tensor(numbers(2, 3, 1, 1).tolist())
    refuses(lambda: nn.BatchNorm1d(3, engine=engine)(images), ValueError, "BatchNorm1d", "(2, 3, 1, 1)", "(N, C, L)")
    refuses(lambda: nn.BatchNorm2d(3, engine=engine)(images[0]), ValueError, "BatchNorm2d", "(N, C, H, W)")
    refuses(lambda: nn.LayerNorm(3, engine=engine)(numbers(2, 3)), TypeError, "LayerNorm", "ndarray", "tensor")


# ----------------------------------------------------------------------------------------------------------------------
# PyTorch.


def test_functions_against_pytorch():
    torch = pytest.importorskip("torch")
    ours, theirs = fast.functional, torch.nn.functional
    for shape in [(5, 3), (4, 3, 7), (2, 3, 2, 3)]:
        against_torch(
            torch,
            lambda x, w, b: ours.batch_norm(x, None, None, w, b, True),
            lambda x, w, b: theirs.batch_norm(x, None, None, w, b, True),
            [numbers(*shape), *CHANNELS],
        )
    arrays = [numbers(5, 4, 3), numbers(4, 3), numbers(4, 3, seed=1)]
    against_torch(
        torch,
        lambda x, w, b: ours.layer_norm(x, (4, 3), w, b),
        lambda x, w, b: theirs.layer_norm(x, (4, 3), w, b),
        arrays,
    )
    against_torch(
        torch, lambda x, w: ours.rms_norm(x, (4, 3), w), lambda x, w: theirs.rms_norm(x, (4, 3), w), arrays[:2]
    )


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(
    ("name", "shape"), [("BatchNorm1d", (5, 3)), ("BatchNorm1d", (2, 3, 4)), ("BatchNorm2d", (2, 3, 4, 5))]
)
def test_batch_norm_against_pytorch(engine, name, shape, momentum):
    torch = pytest.importorskip("torch")
    reference = getattr(torch.nn, name)(3, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        reference.weight.uniform_(generator=torch.Generator().manual_seed(0))
    reference(torch.tensor(numbers(*shape, seed=9)))
    layer = getattr(nn, name)(3, momentum=momentum, engine=engine, dtype="float64")
    layer.load_state_dict(reference.state_dict())
    for step in range(3):
        x = numbers(*shape, seed=step)
        expected = reference(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(np.asarray(layer(engine.tensor(x.tolist(), "float64"))), expected, rtol=1e-9)
        assert layer.state_dict().keys() == reference.state_dict().keys()
        for key, tensor in reference.state_dict().items():
            np.testing.assert_allclose(layer.state_dict()[key], tensor.numpy(), rtol=1e-9, err_msg=key)
    expected = reference.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(np.asarray(layer.eval()(engine.tensor(x.tolist(), "float64"))), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_layers_against_pytorch(engine, name):
    torch = pytest.importorskip("torch")
    reference = getattr(torch.nn, name)([4, 3], dtype=torch.float64)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.uniform_(generator=torch.Generator().manual_seed(0))
    layer = getattr(nn, name)([4, 3], engine=engine, dtype="float64")
    layer.load_state_dict({key: tensor.numpy() for key, tensor in reference.state_dict().items()})
    x = numbers(5, 4, 3)
    y = layer(engine.tensor(x.tolist(), "float64"))
    np.testing.assert_allclose(np.asarray(y), reference(torch.tensor(x)).detach().numpy(), rtol=1e-9)
