"""What is exported to ONNX gives the same numbers in onnxruntime."""

import numpy as np
import pytest

import fast
import micro
import nn

pytest.importorskip("onnx", reason="the package onnx is not installed (pip install 'twograd[onnx]')")
onnxruntime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

RANDOM = np.random.default_rng(0)
ROWS, IMAGES, WORDS = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=(2, 4, 6, 6)), RANDOM.normal(size=(3, 5, 4))
HOW = {"engine": fast, "seed": np.random.default_rng(1)}
NORM = {"engine": fast}


def run(path, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (answer,) = session.run(["output"], {"input": x if x.dtype == np.int64 else x.astype(np.float32)})
    return answer


def recurrent(kind, **settings):
    return nn.Sequential(getattr(nn, kind)(4, 3, **settings, **HOW), nn.LastStep())


CASES = {
    "MLP": (lambda: nn.MLP([4, 8, 3], "relu", **HOW), ROWS),
    **{
        name: (lambda name=name: nn.MLP([4, 3, 2], name, **HOW), 3 * ROWS)
        for name in ("tanh", "sigmoid", "leaky_relu", "gelu", "silu", "softplus")
    },
    "no bias": (lambda: nn.Linear(4, 2, bias=False, **HOW), ROWS),
    "rows of a sequence": (lambda: nn.Linear(4, 2, **HOW), WORDS),
    "softmax": (lambda: nn.Sequential(nn.Linear(4, 3, **HOW), nn.Softmax()), ROWS),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 3, **HOW), nn.Dropout(seed=1), nn.Identity()), ROWS),
    "residual": (lambda: nn.Residual(nn.MLP([4, 3, 4], **HOW)), ROWS),
    "shortcut": (lambda: nn.Residual(nn.Linear(4, 2, **HOW), nn.Linear(4, 2, **HOW)), ROWS),
    "Conv1d": (lambda: nn.Conv1d(5, 2, 2, stride=2, padding=1, **HOW), WORDS),
    "Conv1d, same": (lambda: nn.Conv1d(5, 2, 4, padding="same", **HOW), WORDS),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (2, 3), (2, 1), (1, 2), (1, 2), 2, **HOW), IMAGES),
    "Conv2d, valid": (lambda: nn.Conv2d(4, 6, 3, padding="valid", bias=False, **HOW), IMAGES),
    "MaxPool2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, **HOW), nn.MaxPool2d(3, 2, 1)), IMAGES),
    "MaxPool2d, wide": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, **HOW), nn.MaxPool2d((2, 1), dilation=2)), IMAGES),
    "AvgPool2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, **HOW), nn.AvgPool2d((2, 3), 1, (1, 1))), IMAGES),
    "AdaptiveAvgPool2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, **HOW), nn.AdaptiveAvgPool2d(1)), IMAGES),
    "Flatten": (lambda: nn.Sequential(nn.Conv2d(4, 2, 3, **HOW), nn.Flatten(), nn.Linear(32, 3, **HOW)), IMAGES),
    "Flatten later": (lambda: nn.Sequential(nn.Conv2d(4, 2, 3, **HOW), nn.Flatten(2)), IMAGES),
    "BatchNorm1d": (lambda: nn.Sequential(nn.Linear(4, 3, **HOW), nn.BatchNorm1d(3, **NORM)), ROWS),
    "BatchNorm1d of lines": (lambda: nn.Sequential(nn.BatchNorm1d(5, 0.1, **NORM), nn.Linear(4, 3, **HOW)), WORDS),
    "BatchNorm2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 3, **HOW), nn.BatchNorm2d(2, affine=False, **NORM)), IMAGES),
    "LayerNorm": (lambda: nn.LayerNorm(4, eps=0.1, **NORM), WORDS),
    "LayerNorm of two": (lambda: nn.LayerNorm((5, 4), bias=False, **NORM), WORDS),
    "LayerNorm, plain": (lambda: nn.Sequential(nn.LayerNorm(4, 1e-5, False, **NORM), nn.Linear(4, 3, **HOW)), WORDS),
    "RMSNorm": (lambda: nn.RMSNorm((5, 4), **NORM), WORDS),
    "RMSNorm, eps": (lambda: nn.Sequential(nn.RMSNorm(4, 0.1, False, **NORM), nn.Linear(4, 3, **HOW)), WORDS),
    "Embedding": (
        lambda: nn.Sequential(nn.Embedding(7, 4, **HOW), nn.LSTM(4, 3, **HOW), nn.LastStep()),
        np.array([[0, 6, 3], [1, 1, 2]]),
    ),
    "RNN": (lambda: recurrent("RNN"), WORDS),
    "RNN, relu, two layers": (lambda: recurrent("RNN", num_layers=2, nonlinearity="relu"), WORDS),
    "LSTM": (lambda: recurrent("LSTM"), WORDS),
    "LSTM, two layers, no bias": (lambda: recurrent("LSTM", num_layers=2, bias=False), WORDS),
    "GRU": (lambda: recurrent("GRU", num_layers=2), WORDS),
    "attention": (lambda: nn.MultiheadAttention(4, 2, **HOW), WORDS),
    "attention, no bias": (lambda: nn.Residual(nn.MultiheadAttention(4, 1, bias=False, **HOW)), WORDS),
}


@pytest.mark.parametrize(("make", "x"), CASES.values(), ids=CASES)
def test_onnxruntime_gives_the_same_numbers(tmp_path, make, x):
    model, random = make(), np.random.default_rng(2)
    for name, tensor in model._state().items():
        if tensor.dtype != "int64":  # as if it had been trained
            low = 0.5 if "norm" in repr(model).lower() and len(tensor.shape) < 3 and "weight" not in name else -1.0
            tensor.copy_(random.uniform(low, 1, tensor.shape))
    path = str(nn.export_onnx(model, tmp_path / "model.onnx", x))
    assert all(module.training for module in model.modules())
    for batch in (x, np.concatenate([x, x[::-1], x])):  # any number of samples
        expected = nn.predict(model, batch)
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(run(path, batch), expected, rtol=1e-5, atol=1e-5)


def test_steps_may_come_first(tmp_path):
    """(L, N, features): the length that is left open is then that of the sequence."""
    model = nn.GRU(4, 3, batch_first=False, **HOW)
    head = nn.Sequential(model, nn.LastStep(), nn.Linear(3, 2, **HOW))
    path = nn.export_onnx(head, tmp_path / "model.onnx", WORDS)
    np.testing.assert_allclose(run(str(path), WORDS), nn.predict(head, WORDS), rtol=1e-5, atol=1e-6)


def test_a_model_of_micro_is_exported_in_float32(tmp_path):
    model = nn.MLP([4, 3, 2], "tanh", engine=micro)
    path = nn.export_onnx(model, tmp_path / "new" / "model.onnx", ROWS)
    answer = run(str(path), ROWS)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, nn.predict(model, ROWS), rtol=1e-5, atol=1e-6)


class Mine(nn.Module):
    def forward(self, x):
        return x


LINEAR = nn.Linear(4, 4, **HOW)
REFUSED = {
    "Mine": (nn.Sequential(LINEAR, Mine()), ROWS, "module of your own"),
    "Flatten": (nn.Sequential(nn.Conv2d(4, 4, 1, **HOW), nn.Flatten(1, 2)), IMAGES, "start_dim=1, end_dim=2"),
    "AdaptiveAvgPool2d": (nn.Sequential(nn.Conv2d(4, 4, 1, **HOW), nn.AdaptiveAvgPool2d(2)), IMAGES, "AvgPool2d"),
    "BatchNorm1d": (nn.Sequential(LINEAR, nn.BatchNorm1d(4, track_running_stats=False, **NORM)), ROWS, "running means"),
    "LSTMCell": (nn.Sequential(nn.GRUCell(4, 4, **HOW)), ROWS, "GRUCell cannot be exported"),
    "no last step": (nn.LSTM(4, 3, **HOW), WORDS, "nn.LastStep()"),
}


@pytest.mark.parametrize(("model", "x", "word"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported(tmp_path, model, x, word):
    with pytest.raises(TypeError, match="export_onnx") as caught:
        nn.export_onnx(model, tmp_path / "model.onnx", x)
    assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []
