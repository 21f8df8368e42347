"""Convolutions and pooling: fast against micro's loops and against PyTorch, whole networks as twins, bad input."""

import warnings

import numpy as np
import pytest
from agreement import count_launches

import fast
import micro
import nn
from fast import threads
from fast.functional import convolution as quick
from fast.kernels import convolution as kernels


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def distinct(*shape):
    """Numbers no two of which are equal, so that no window has two largest ones."""
    return np.random.default_rng(0).permutation(np.arange(np.prod(shape))).reshape(shape) / 10


# name: (function, shapes or arrays of its tensors, its other arguments)
CASES = {
    "a line": ("conv1d", [(2, 3, 9), (4, 3, 2), (4,)], {}),
    "a line, strided": ("conv1d", [(2, 4, 11), (6, 2, 3), (6,)], {"stride": 3, "padding": 2, "groups": 2}),
    "a line, same": ("conv1d", [(2, 2, 7), (3, 2, 4)], {"padding": "same", "dilation": 2}),
    "a single line": ("conv1d", [(2, 5), (3, 2, 5)], {"padding": "valid"}),
    "one of each": ("conv2d", [(1, 1, 1, 1), (1, 1, 1, 1), (1,)], {}),
    "an image": ("conv2d", [(2, 3, 5, 7), (4, 3, 3, 2), (4,)], {}),
    "an image, no bias": ("conv2d", [(3, 2, 4, 4), (2, 2, 3, 3)], {"padding": 1}),
    "a single image": ("conv2d", [(2, 5, 3), (3, 2, 2, 2), (3,)], {"padding": (0, 1)}),
    "same": ("conv2d", [(2, 2, 5, 4), (2, 2, 4, 3), (2,)], {"padding": "same"}),
    "same, dilated": ("conv2d", [(1, 1, 5, 4), (2, 1, 2, 2), (2,)], {"padding": "same", "dilation": (3, 1)}),
    "strides": ("conv2d", [(2, 2, 7, 8), (3, 2, 3, 3), (3,)], {"stride": (2, 3), "padding": (1, 2)}),
    "stride larger than the kernel": ("conv2d", [(2, 1, 9, 9), (2, 1, 2, 1)], {"stride": (4, 5)}),
    "dilated and strided": (
        "conv2d",
        [(2, 1, 9, 9), (2, 1, 3, 2), (2,)],
        {"stride": 2, "dilation": 2, "padding": (1, 3)},
    ),
    "groups": ("conv2d", [(2, 6, 4, 5), (9, 2, 2, 2), (9,)], {"groups": 3}),
    "depthwise": ("conv2d", [(2, 3, 5, 5), (6, 1, 3, 3), (6,)], {"groups": 3, "padding": 1}),
    "kernel as large as the image": ("conv2d", [(2, 2, 3, 4), (3, 2, 3, 4), (3,)], {}),
    "max": ("max_pool2d", [distinct(2, 3, 6, 7)], {"kernel_size": 2}),
    "max, overlapping": ("max_pool2d", [distinct(2, 2, 7, 8)], {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    "max, dilated": (
        "max_pool2d",
        [distinct(2, 8, 7)],
        {"kernel_size": 2, "stride": 1, "dilation": (3, 2), "padding": 1},
    ),
    "max, equal numbers": ("max_pool2d", [np.zeros((1, 2, 4, 5))], {"kernel_size": 3, "stride": 1, "padding": 1}),
    "max, equal numbers, usual window": ("max_pool2d", [np.zeros((1, 2, 4, 5))], {"kernel_size": 2}),
    "max, all -inf": ("max_pool2d", [np.full((1, 1, 4, 4), -np.inf)], {"kernel_size": 2}),
    "max of one": ("max_pool2d", [(1, 1, 1, 1)], {"kernel_size": 1}),
    "mean": ("avg_pool2d", [(2, 3, 6, 7)], {"kernel_size": 2}),
    "mean, overlapping": ("avg_pool2d", [(2, 7, 8)], {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    "mean of all": ("adaptive_avg_pool2d", [(2, 3, 5, 4)], {"output_size": 1}),
    "means of parts": ("adaptive_avg_pool2d", [(2, 2, 7, 5)], {"output_size": (3, None)}),
    "more parts than numbers": ("adaptive_avg_pool2d", [(2, 2, 3)], {"output_size": (5, 4)}),
}


def arrays_of(name):
    return [numbers(*given, seed=i) if isinstance(given, tuple) else given for i, given in enumerate(CASES[name][1])]


def run(engine, name, dtype="float64", needed=None):
    """The result, and the gradient of every argument, where each element of the result has a weight of its own."""
    function, _, settings = CASES[name]
    arrays = [array.astype(dtype) for array in arrays_of(name)]
    tensors = [
        engine.tensor(array.tolist(), dtype, requires_grad=needed is None or i in needed)
        for i, array in enumerate(arrays)
    ]
    y = getattr(engine.functional, function)(*tensors, **settings)
    y.backward(numbers(*y.shape, seed=9).tolist())
    return np.asarray(y.tolist()), [None if t.grad is None else np.asarray(t.grad) for t in tensors]


def assert_close(mine, theirs, tolerance):
    assert np.shape(mine) == np.shape(theirs)
    np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("name", CASES)
def test_fast_against_the_loops(name, dtype, tolerance):
    y, gradients = run(fast, name, dtype)
    expected, expected_gradients = run(micro, name)
    assert_close(y, expected, tolerance)
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert mine.dtype == dtype
        assert_close(mine, theirs, tolerance)


@pytest.mark.parametrize("name", ["an image", "strides", "groups", "a line"])
def test_gradients_that_nobody_needs_are_left_out(name):
    _, every = run(fast, name)
    for needed in range(len(every)):
        _, gradients = run(fast, name, needed=[needed])
        assert [gradient is not None for gradient in gradients] == [i == needed for i in range(len(every))]
        assert_close(gradients[needed], every[needed], 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_loops_against_finite_differences(name):
    """A random direction: two evaluations check every slope at once."""
    if "equal" in name or "inf" in name:
        pytest.skip("the largest of equal numbers has no slope")
    function, _, settings = CASES[name]
    arrays = arrays_of(name)
    directions = [numbers(*array.shape, seed=3) for array in arrays]

    def weighted(shift):
        moved = [micro.tensor((a + shift * d).tolist(), "float64") for a, d in zip(arrays, directions, strict=True)]
        y = np.asarray(getattr(micro.functional, function)(*moved, **settings).tolist())
        return float((y * numbers(*y.shape, seed=9)).sum())

    numeric = (weighted(1e-6) - weighted(-1e-6)) / 2e-6
    exact = sum(float((g * d).sum()) for g, d in zip(run(micro, name)[1], directions, strict=True))
    assert exact == pytest.approx(numeric, rel=1e-6, abs=1e-6)


# ----------------------------------------------------------------------------------------------------------------------
# Large ones: several blocks, all threads.


def by_matrices(x, weight, bias, stride, padding):
    """conv2d in NumPy, by windows of a padded image."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwab,ocab->nohw", seen, weight, optimize=True) + bias[:, None, None]


@pytest.mark.parametrize(
    ("shape", "outputs", "stride"), [((5, 3, 61, 67), 7, 1), ((3, 17, 31, 29), 5, 2), ((1, 40, 50, 50), 3, 1)]
)
def test_large_images(shape, outputs, stride, monkeypatch):
    monkeypatch.setattr(threads, "PRODUCT", 0)
    x, weight, bias = numbers(*shape), numbers(outputs, shape[1], 3, 3), numbers(outputs)
    assert weight[0].size * shape[2] * shape[3] / stride**2 > kernels.BLOCK  # so that an image takes several blocks
    tensors = [fast.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    y = fast.functional.conv2d(*tensors, stride=stride, padding=1)
    expected = by_matrices(x, weight, bias, stride, 1)
    np.testing.assert_allclose(y.data, expected, rtol=1e-10, atol=1e-10)
    grad, directions = numbers(*y.shape, seed=1), [numbers(*t.shape, seed=2) for t in tensors]
    y.backward(grad)
    # y is linear in each argument, so that one direction checks all of its gradient without any approximation
    for i, (tensor, direction) in enumerate(zip(tensors, directions, strict=True)):
        arguments = [x, weight, np.zeros(outputs)]
        arguments[i] = direction
        moved = direction[:, None, None] if i == 2 else by_matrices(*arguments, stride, 1)
        assert (tensor.grad.data * direction).sum() == pytest.approx((moved * grad).sum(), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_all_threads_give_what_one_gives(name, monkeypatch):
    y, gradients = run(fast, name)
    monkeypatch.setattr(threads, "PRODUCT", 0)
    monkeypatch.setattr(threads, "COSTLY", 0)
    used = count_launches(monkeypatch)
    same, same_gradients = run(fast, name)
    assert used == [1, 1]
    np.testing.assert_array_equal(same, y)
    for mine, theirs in zip(same_gradients, gradients, strict=True):
        assert_close(mine, theirs, 1e-12)


def test_sums_over_many_positions_keep_their_digits_in_float32():
    x = fast.tensor(np.ones((64, 1, 256, 256), "float32"))
    weight, bias = fast.tensor([[[[1.0]]]], requires_grad=True), fast.tensor([0.0], requires_grad=True)
    y = fast.functional.conv2d(x, weight, bias)
    y.backward(np.full(y.shape, 0.1))
    exact = float(np.float32(0.1)) * x.data.size
    assert bias.grad.item() == pytest.approx(exact, rel=1e-7)
    assert weight.grad.item() == pytest.approx(exact, rel=1e-5)


def test_inputs_that_are_not_contiguous():
    x, weight = numbers(4, 5, 2, 3), numbers(2, 3, 4, 2)
    moved = [fast.as_tensor(x.transpose(2, 3, 0, 1)), fast.as_tensor(weight.transpose(3, 1, 0, 2))]
    copied = [fast.tensor(tensor.data.copy()) for tensor in moved]
    for name, arguments in (("conv2d", {}), ("max_pool2d", {"kernel_size": 2}), ("avg_pool2d", {"kernel_size": 2})):
        used = 2 if name == "conv2d" else 1
        one, other = [getattr(quick, name)(*tensors[:used], **arguments).data for tensors in (moved, copied)]
        np.testing.assert_array_equal(one, other)


def test_nan_wins_and_goes_no_further(engine):
    x = engine.tensor([[[1.0, float("nan"), 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]], "float64", requires_grad=True)
    y = engine.functional.max_pool2d(x, 2)
    assert np.isnan(y.tolist()[0][0][0])
    assert y.tolist()[0][0][1] == 8.0
    y.backward([[[1.0, 2.0]]])
    assert np.asarray(x.grad).tolist() == [[[0, 1, 0, 0], [0, 0, 0, 2]]]


# ----------------------------------------------------------------------------------------------------------------------
# Layers.


def lenet(engine, dtype="float64"):
    settings = {"engine": engine, "seed": np.random.default_rng(3), "dtype": dtype}
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding="same", **settings),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Residual(nn.Conv2d(2, 4, 3, padding=1, **settings), nn.Conv2d(2, 4, 1, bias=False, **settings)),
        nn.AvgPool2d(2, 1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(16, 3, **settings),
    )


def signals(engine, dtype="float64"):
    settings = {"engine": engine, "seed": np.random.default_rng(4), "dtype": dtype}
    return nn.Sequential(
        nn.Conv1d(2, 3, 3, stride=2, padding=1, **settings), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3, **settings)
    )


@pytest.mark.parametrize(("build", "shape"), [(lenet, (10, 1, 6, 6)), (signals, (10, 2, 8))])
def test_twins(build, shape):
    data = numbers(*shape), np.arange(10) % 3
    losses = []
    for engine in (micro, fast):
        model = build(engine)
        history = nn.fit(model, data, nn.cross_entropy, nn.SGD(model.parameters(), lr=0.1), epochs=10, batch_size=5)
        losses.append(history.step_loss)
    assert len(losses[0]) == 20
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    assert losses[0][-1] < losses[0][0]


def test_first_weights():
    layer = nn.Conv2d(6, 4000, (2, 3), groups=2, engine=fast, seed=0)
    assert layer.weight.shape == (4000, 3, 2, 3)
    for parameter in layer.parameters():  # fan_in is 3 * 2 * 3
        assert np.abs(parameter.data).max() == pytest.approx(18**-0.5, rel=1e-3)
    assert nn.Conv1d(2, 3, 4, engine=fast, seed=0).weight.shape == (3, 2, 4)


def test_reprs():
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, bias=False, engine=micro, seed=0)
    expected = "Conv2d(2, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False)"
    assert repr(layer) == expected
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1)"
    assert repr(nn.AvgPool2d(3, 2, 1)) == "AvgPool2d(kernel_size=3, stride=2, padding=1)"
    assert repr(nn.AdaptiveAvgPool2d((1, None))) == "AdaptiveAvgPool2d(output_size=(1, None))"
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Residual(nn.Tanh())) == "Residual(\n  (body): Tanh()\n)"


def test_flatten(engine):
    x = engine.tensor(numbers(2, 3, 4, 5).tolist())
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0)(x).shape == (120,)
    assert nn.Flatten(-3, 2)(x).shape == (2, 12, 5)


# ----------------------------------------------------------------------------------------------------------------------
# Against PyTorch, where it is installed.


@pytest.mark.parametrize("name", CASES)
def test_pytorch_gives_the_same(name):
    torch = pytest.importorskip("torch")
    function, _, settings = CASES[name]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays_of(name)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a copy that an even kernel needs
        y = getattr(torch.nn.functional, function)(*tensors, **settings)
    y.backward(torch.tensor(numbers(*y.shape, seed=9)))
    mine, gradients = run(fast, name)
    assert_close(mine, y.detach().numpy(), 1e-10)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert_close(gradient, tensor.grad.numpy(), 1e-10)


def test_pytorch_takes_our_weights():
    torch = pytest.importorskip("torch")
    layers = torch.nn
    theirs = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding="same"),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(4, 6, 3, stride=2, groups=2),
        layers.AdaptiveAvgPool2d(2),
        layers.Flatten(),
        layers.Linear(24, 3),
    )
    settings = {"engine": fast, "seed": np.random.default_rng(0)}
    ours = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same", **settings),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, groups=2, **settings),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 3, **settings),
    )
    theirs.load_state_dict({name: torch.tensor(array) for name, array in ours.state_dict().items()})
    x = numbers(5, 1, 14, 14).astype("float32")
    np.testing.assert_allclose(ours(fast.tensor(x)).data, theirs(torch.tensor(x)).detach().numpy(), atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------------
# Bad input.


def refuses(function, error, *words):
    """`function` raises `error`, and its message contains all `words`."""
    with pytest.raises(error) as caught:
        function()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_shapes_that_do_not_fit(engine):
    def zeros(*shape):
        return engine.tensor(np.zeros(shape).tolist())

    f, x, weight = engine.functional, zeros(2, 3, 5, 5), zeros(4, 3, 2, 2)
    refuses(lambda: f.conv2d(zeros(5, 5), weight), ValueError, "conv2d", "(5, 5)", "(4, 3, 2, 2)", "(N, C, H, W)")
    refuses(lambda: f.conv1d(x, weight), ValueError, "conv1d", "(2, 3, 5, 5)", "(N, C, L)")
    refuses(lambda: f.conv2d(x, zeros(4, 2, 2, 2)), ValueError, "3 channels", "(4, 2, 2, 2)", "groups=1")
    refuses(lambda: f.conv2d(x, zeros(4, 1, 2, 2), groups=3), ValueError, "(4, 1, 2, 2)", "groups=3")
    refuses(lambda: f.conv2d(x, weight, zeros(3)), ValueError, "bias", "(3,)", "(4,)")
    refuses(lambda: f.conv2d(x, zeros(4, 3, 7, 2)), ValueError, "(7, 2)", "(5, 5)", "padding")
    refuses(lambda: f.conv2d(x, weight, dilation=5), ValueError, "(6, 6)", "(5, 5)")
    refuses(lambda: f.max_pool2d(zeros(5, 5), 2), ValueError, "max_pool2d", "(5, 5)", "(N, C, H, W)")
    refuses(lambda: f.max_pool2d(x, 6), ValueError, "(6, 6)", "(5, 5)")
    refuses(lambda: f.max_pool2d(x, 2, padding=2), ValueError, "padding=(2, 2)", "half")
    refuses(lambda: f.adaptive_avg_pool2d(zeros(4), 2), ValueError, "adaptive_avg_pool2d", "(4,)")
    refuses(lambda: nn.Flatten(2)(zeros(3, 3)), IndexError, "flatten", "dim=2", "(3, 3)")
    body = nn.Conv2d(3, 3, 2, engine=engine, seed=0)
    refuses(lambda: nn.Residual(body)(x), ValueError, "Residual", "(2, 3, 5, 5)", "(2, 3, 4, 4)")


def test_arguments_of_the_wrong_kind(engine):
    f, x = engine.functional, engine.tensor(np.zeros((1, 1, 4, 4)).tolist())
    refuses(lambda: f.conv2d(x, x, stride=0), ValueError, "conv2d", "stride=0")
    refuses(lambda: f.conv2d(x, x, stride=(1, 2, 3)), TypeError, "stride=(1, 2, 3)", "pair")
    refuses(lambda: f.conv2d(x, x, padding=-1), ValueError, "padding=-1")
    refuses(lambda: f.conv2d(x, x, padding=1.5), TypeError, "padding=1.5", "'same'")
    refuses(lambda: f.conv2d(x, x, padding="full"), ValueError, "'full'", "'same'", "'valid'")
    refuses(lambda: f.conv2d(x, x, padding="same", stride=2), ValueError, "'same'", "stride", "(2, 2)")
    refuses(lambda: f.conv2d(x, x, groups=0), ValueError, "groups=0")
    refuses(lambda: f.max_pool2d(x, 2.0), TypeError, "max_pool2d", "kernel_size=2.0")
    refuses(lambda: f.avg_pool2d(x, 2, padding="same"), TypeError, "avg_pool2d", "padding='same'")
    refuses(lambda: f.adaptive_avg_pool2d(x, 0), ValueError, "output_size")
    refuses(lambda: f.max_pool2d([[1.0]], 2), TypeError, "max_pool2d", "list", "tensor")
    refuses(lambda: f.max_pool2d(engine.tensor([[[1]]]), 1), TypeError, "int64")
    refuses(lambda: f.conv2d(engine.tensor([[[[1]]]]), x), TypeError, "int64")
    refuses(lambda: f.conv2d(np.zeros((1, 1, 4, 4)), x), TypeError, "conv2d", "ndarray")


def test_layers_with_bad_settings():
    settings = {"engine": fast, "seed": 0}
    refuses(lambda: nn.Conv2d(0, 1, 3, **settings), ValueError, "Conv2d", "in_channels=0")
    refuses(lambda: nn.Conv2d(1, 1, (3, 3, 3), **settings), ValueError, "kernel_size=(3, 3, 3)", "pair")
    refuses(lambda: nn.Conv1d(1, 1, 0, **settings), ValueError, "Conv1d", "kernel_size=0")
    refuses(lambda: nn.Conv2d(3, 4, 3, groups=2, **settings), ValueError, "groups=2", "in_channels=3")
    refuses(lambda: nn.Conv2d(1, 1, 3, padding="full", **settings), ValueError, "'full'")
    refuses(lambda: nn.Conv2d(1, 1, 3, stride=2, padding="same", **settings), ValueError, "'same'", "stride")
    refuses(lambda: nn.Residual(np.tanh), TypeError, "Residual", "body")
    refuses(lambda: nn.Residual(nn.Tanh(), 3), TypeError, "Residual", "shortcut")
