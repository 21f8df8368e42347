"""A trained model in one file, and its predictions in another process."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import fast
import micro
import nn
from nn.__main__ import main
from nn.architecture import layers
from nn.saving import NAME

RANDOM = np.random.default_rng(0)
ROWS, IMAGES, WORDS = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=(2, 4, 6, 6)), RANDOM.normal(size=(3, 5, 4))


def refuses(function, error, *words):
    """`function` raises `error`, and its message contains all `words`."""
    with pytest.raises(error) as caught:
        function()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def recurrent(kind, **settings):
    return lambda how: nn.Sequential(getattr(nn, kind)(4, 3, **settings, **how), nn.LastStep())


def norm(how):
    return {key: value for key, value in how.items() if key != "seed"}


#: For each layer of nn some ways to make it, not the default ones, and an input.
EXAMPLES = {
    "AdaptiveAvgPool2d": ([lambda how: nn.AdaptiveAvgPool2d((2, None))], IMAGES),
    "AvgPool2d": ([lambda how: nn.AvgPool2d((2, 3), stride=1, padding=1)], IMAGES),
    "BatchNorm1d": (
        [
            lambda how: nn.BatchNorm1d(4, eps=0.1, momentum=None, **norm(how)),
            lambda how: nn.BatchNorm1d(4, affine=False, **norm(how)),
            lambda how: nn.BatchNorm1d(4, track_running_stats=False, **norm(how)),
        ],
        ROWS,
    ),
    "BatchNorm2d": ([lambda how: nn.BatchNorm2d(4, momentum=0.5, **norm(how))], IMAGES),
    "Conv1d": ([lambda how: nn.Conv1d(5, 2, 3, padding="same", **how)], WORDS),
    "Conv2d": (
        [
            lambda how: nn.Conv2d(4, 6, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, **how),
            lambda how: nn.Conv2d(4, 2, 3, bias=False, **how),
        ],
        IMAGES,
    ),
    "Dropout": ([lambda how: nn.Dropout(0.3, seed=how["seed"])], ROWS),
    "Embedding": ([lambda how: nn.Embedding(7, 3, **how)], np.array([[1, 6], [0, 2]])),
    "Flatten": ([lambda how: nn.Flatten(2), lambda how: nn.Flatten(0, 1)], IMAGES),
    "LastStep": ([lambda how: nn.Sequential(nn.LSTM(4, 3, **how), nn.LastStep())], WORDS),
    "LayerNorm": (
        [
            lambda how: nn.LayerNorm(4, eps=0.1, **norm(how)),
            lambda how: nn.LayerNorm((5, 4), bias=False, **norm(how)),
            lambda how: nn.LayerNorm(4, elementwise_affine=False, **norm(how)),
        ],
        WORDS,
    ),
    "Linear": ([lambda how: nn.Linear(4, 2, **how), lambda how: nn.Linear(4, 2, bias=False, **how)], ROWS),
    "MLP": ([lambda how: nn.MLP([4, 3, 2], "gelu", **how)], ROWS),
    "MaxPool2d": ([lambda how: nn.MaxPool2d(3, stride=2, padding=1, dilation=1)], IMAGES),
    "MultiheadAttention": (
        [
            lambda how: nn.MultiheadAttention(4, 2, **how),
            lambda how: nn.MultiheadAttention(4, 4, bias=False, **how),
        ],
        WORDS,
    ),
    "RMSNorm": ([lambda how: nn.RMSNorm(4, **norm(how)), lambda how: nn.RMSNorm(4, 0.1, False, **norm(how))], WORDS),
    "RNN": ([recurrent("RNN", num_layers=2, nonlinearity="relu"), recurrent("RNN", batch_first=False)], WORDS),
    "LSTM": ([recurrent("LSTM", num_layers=2, bias=False)], WORDS),
    "GRU": ([recurrent("GRU", num_layers=2)], WORDS),
    "RNNCell": ([lambda how: nn.RNNCell(4, 3, nonlinearity="relu", **how)], ROWS),
    "GRUCell": ([lambda how: nn.GRUCell(4, 3, bias=False, **how)], ROWS),
    "LSTMCell": ([lambda how: nn.LSTMCell(4, 3, **how)], None),
    "ModuleList": ([lambda how: nn.ModuleList([nn.Linear(2, 3, **how), nn.ReLU()])], None),
    "Residual": (
        [
            lambda how: nn.Residual(nn.MLP([4, 3, 4], **how)),
            lambda how: nn.Residual(nn.Linear(4, 2, **how), nn.Linear(4, 2, **how)),
        ],
        ROWS,
    ),
    "Sequential": ([lambda how: nn.Sequential(nn.Sequential(nn.Tanh()), nn.Linear(4, 4, **how))], ROWS),
    "Softmax": ([lambda how: nn.Softmax(dim=0)], ROWS),
    **{
        name: ([lambda how, name=name: getattr(nn, name)()], ROWS)
        for name in ("GELU", "Identity", "LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh")
    },
}
CASES = [(name, number) for name, (ways, _) in EXAMPLES.items() for number in range(len(ways))]


def test_there_is_an_example_of_every_layer():
    assert sorted(EXAMPLES) == sorted(layers())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "number"), CASES, ids=[f"{name}-{number}" for name, number in CASES])
def test_every_layer_comes_back_as_it_was(tmp_path, name, number, dtype):
    ways, x = EXAMPLES[name]
    random = np.random.default_rng(1)
    layer = ways[number]({"engine": fast, "seed": random, "dtype": dtype})
    model = nn.Sequential(layer, nn.Linear(1, 1, engine=fast, seed=random, dtype=dtype))
    for parameter in model._state().values():
        if parameter.dtype != "int64":
            parameter.copy_(random.uniform(0.5, 1.5, parameter.shape))  # as if it had been trained
    back = nn.load(nn.save(model, tmp_path / "model.safetensors"), engine=fast).model
    assert repr(back) == repr(model)
    assert [type(module) for module in back.modules()] == [type(module) for module in model.modules()]
    mine, theirs = model.state_dict(), back.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[key], theirs[key]) and mine[key].dtype == theirs[key].dtype for key in mine)
    if x is not None:
        x = fast.tensor(x if x.dtype == np.int64 else x.astype(dtype))
        assert np.array_equal(model.eval()[0](x), back[0](x))


def test_a_file_moves_between_the_engines(tmp_path):
    for source, target in ((micro, fast), (fast, micro)):
        model = nn.MLP([4, 3, 2], "tanh", engine=source, seed=1)
        back = nn.load(nn.save(model, tmp_path / "model.safetensors"), engine=target)
        assert back.model[0].weight.engine is target
        np.testing.assert_allclose(back.predict(ROWS), nn.predict(model, ROWS), rtol=1e-5)


def test_layers_that_are_used_twice_stay_one(tmp_path):
    layer = nn.Linear(4, 4, engine=fast, seed=0)
    tied = nn.Linear(4, 4, engine=fast, seed=1)
    tied.weight = layer.weight
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Sequential(tied))
    back = nn.load(nn.save(model, tmp_path / "model.safetensors"), engine=fast).model
    assert back[0].weight is back[2].weight is back[3][0].weight
    assert back[0].bias is back[2].bias is not back[3][0].bias
    assert len(back.parameters()) == len(model.parameters()) == 3
    assert np.array_equal(nn.predict(back, ROWS), nn.predict(model, ROWS))


def test_replaced_and_removed_layers(tmp_path):
    model = nn.MLP([4, 3, 3, 2], "tanh", engine=fast)
    setattr(model, "4", nn.Linear(3, 5, engine=fast, seed=3))
    setattr(model, "1", None)
    back = nn.load(nn.save(model, tmp_path / "model.safetensors"), engine=fast).model
    assert isinstance(back, nn.MLP)
    assert np.array_equal(nn.predict(back, ROWS), nn.predict(model, ROWS))


def test_a_loaded_model_evaluates_and_can_be_trained_on(tmp_path):
    model = nn.Sequential(
        nn.Linear(4, 8, engine=fast, seed=0), nn.Dropout(seed=1), nn.Linear(8, 1, engine=fast, seed=2)
    )
    back = nn.load(nn.save(model, tmp_path / "model.safetensors"), engine=fast).model
    assert not any(module.training for module in back.modules())
    data = ROWS, ROWS[:, :1]
    history = nn.fit(back, data, nn.mse_loss, nn.Adam(back.parameters(), lr=0.05), 50)
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 1)),
        RobustScaler(),
        RobustScaler(with_centering=False, with_scaling=False),
        nn.Scaler(np.arange(4.0), np.array([1.0, 2.0, 3.0, 4.0])),
    ],
    ids=repr,
)
def test_scalers_are_applied(tmp_path, scaler):
    x = ROWS * 100 + 7
    model = nn.MLP([4, 3, 2], engine=fast, dtype="float64")
    scaled = scaler.transform(x) if isinstance(scaler, nn.Scaler) else scaler.fit(x).transform(x)
    back = nn.load(nn.save(model, tmp_path / "model.safetensors", scaler=scaler), engine=fast)
    np.testing.assert_allclose(back.predict(x), nn.predict(model, scaled), rtol=1e-12, atol=1e-12)


def test_what_is_saved_can_be_saved_again(tmp_path):
    model, scaler = nn.MLP([4, 3], engine=fast), StandardScaler().fit(ROWS)
    first = nn.save(model, tmp_path / "a", scaler=scaler, names=list("abcd"), classes=np.array(["x", "y", "z"]))
    one = nn.load(first, engine=fast)
    second = nn.save(one.model, tmp_path / "b", scaler=one.scaler, names=one.names, classes=one.classes)
    assert first.read_bytes() == second.read_bytes()
    assert (one.names, one.classes) == (list("abcd"), ["x", "y", "z"])


def test_probabilities(tmp_path):
    def probabilities(last, outputs, classes):
        model = nn.Sequential(nn.Linear(4, outputs, engine=fast, seed=0, dtype="float64"), *last)
        return model, nn.load(nn.save(model, tmp_path / "m", classes=classes), engine=fast).probabilities(ROWS)

    model, p = probabilities([], 3, ["a", "b", "c"])
    powers = np.exp(nn.predict(model, ROWS))
    np.testing.assert_allclose(p, powers / powers.sum(1, keepdims=True))
    model, p = probabilities([nn.Softmax()], 3, [1, 2, 3])
    assert np.array_equal(p, nn.predict(model, ROWS))
    model, p = probabilities([], 1, ["no", "yes"])
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-nn.predict(model, ROWS)[:, 0])))
    np.testing.assert_allclose(p.sum(1), 1)
    model, p = probabilities([nn.Sequential(nn.Sigmoid())], 1, ["no", "yes"])
    np.testing.assert_allclose(p[:, 1], nn.predict(model, ROWS)[:, 0])
    refuses(lambda: probabilities([], 3, ["a", "b"]), ValueError, "(5, 3)", "2 classes")
    refuses(lambda: nn.Saved(model).probabilities(ROWS), ValueError, "classes=[...]")


# ----------------------------------------------------------------------------------------------------------------------
# What is refused.


class Mine(nn.Module):
    def forward(self, x):
        return x


def test_what_cannot_be_saved(tmp_path):
    model, path = nn.MLP([4, 2], engine=fast), tmp_path / "model.safetensors"
    impostor = type("Linear", (nn.Linear,), {})(2, 2, engine=fast, seed=0)
    refuses(lambda: nn.save(nn.Sequential(model, Mine()), path), TypeError, "Mine", "save_weights")
    refuses(lambda: nn.save(nn.Sequential(impostor), path), TypeError, "Linear", "save_weights")
    refuses(lambda: nn.save(path, model), TypeError, "not a model")
    refuses(lambda: nn.save(model, tmp_path), ValueError, str(tmp_path), "file")
    refuses(lambda: nn.save(model, path, scaler=StandardScaler()), ValueError, "fit(X)")
    refuses(lambda: nn.save(model, path, scaler=MaxAbsScaler()), TypeError, "MaxAbsScaler", "MinMaxScaler")
    refuses(lambda: nn.save(model, path, scaler=MinMaxScaler(clip=True).fit(ROWS)), TypeError, "clip")
    refuses(lambda: nn.save(model, path, names="abcd"), ValueError, "names='abcd'")
    refuses(lambda: nn.save(model, path, names=["a", "a"]), ValueError, "twice")
    refuses(lambda: nn.save(model, path, names=["a"], scaler=StandardScaler().fit(ROWS)), ValueError, "1 names", "4")
    refuses(lambda: nn.save(model, path, classes=["a"]), ValueError, "classes=['a']", "two")
    refuses(lambda: nn.save(model, path, classes="ab"), ValueError, "classes='ab'")
    refuses(lambda: nn.Scaler(np.zeros(2), np.zeros(2)), ValueError, "must not be 0")
    refuses(lambda: nn.Scaler(np.zeros(2), np.ones(3)), ValueError, "(2,)", "(3,)")
    refuses(lambda: nn.save(nn.Sequential(nn.ReLU()), path), ValueError, "no parameters")
    model[0].weight = fast.zeros(3, 4, requires_grad=True)
    refuses(lambda: nn.save(model, path), ValueError, "0.weight", "(3, 4)")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_damaged_anywhere_is_refused(tmp_path):
    path = nn.save(nn.MLP([4, 2], engine=fast), tmp_path / "model.safetensors", names=list("abcd"), classes=[0, 1])
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refuses(lambda: nn.load(path, engine=fast), ValueError, "load:", str(path))
        path.write_bytes(whole[:place])
        refuses(lambda: nn.load(path, engine=fast), ValueError, "load:", str(path))


def test_files_of_another_kind(tmp_path):
    path, model = tmp_path / "model.safetensors", nn.MLP([4, 2], engine=fast)
    path.write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00")  # as a pickle begins
    refuses(lambda: nn.load(path, engine=fast), ValueError, "not a whole safetensors file")
    nn.save_weights(model, path)
    refuses(lambda: nn.load(path, engine=fast), ValueError, "no architecture", "nn.load_weights")
    refuses(lambda: nn.load(tmp_path / "missing", engine=fast), FileNotFoundError, "missing")
    refuses(lambda: nn.load(tmp_path, engine=fast), ValueError, "give the path of a file")
    refuses(lambda: nn.load(nn.save(model, path), engine="fast"), TypeError, "engine='fast'")
    nn.load_weights(model, nn.save(model, path))  # the weights alone can be read from it


FORGED = {
    "a newer version": ({"version": 2}, "version is 2"),
    "no layer": ({"model": 3}, "describes no layer"),
    "another class": ({"model": {"kind": "Progress", "settings": {}}}, "describes no layer"),
    "the base class": ({"model": {"kind": "Module", "settings": {}}}, "describes no layer"),
    "wrong settings": (
        {"model": {"kind": "Linear", "settings": {"in_features": -1, "out_features": 2}}},
        "in_features",
    ),
    "unknown settings": ({"model": {"kind": "Tanh", "settings": {"engine_": 2}}}, "engine_"),
    "no settings": ({"model": {"kind": "Tanh"}}, "no settings"),
    "strange names": ({"model": {"kind": "Sequential", "modules": {"forward": {}}}}, "'forward'"),
    "other weights": ({"model": {"kind": "Linear", "settings": {"in_features": 2, "out_features": 2}}}, "0.weight"),
    "too large": ({"model": {"kind": "Linear", "settings": {"in_features": 10**9, "out_features": 10**9}}}, "Linear"),
    "a strange scaler": ({"scaler": {"mean": ["a"], "scale": [1]}}, "cannot be read"),
    "an empty scaler": ({"scaler": {}}, "mean"),
    "strange names of features": ({"names": 3}, "cannot be read"),
    "strange classes": ({"classes": {"a": 1}}, "classes"),
    "shared with nobody": ({"shared": {"0.weight": "9.weight"}}, "9.weight"),
}


@pytest.mark.parametrize(("change", "word"), FORGED.values(), ids=FORGED)
def test_forged_descriptions_are_refused(tmp_path, change, word):
    from nn.files import checksum

    path = nn.save(nn.MLP([4, 2], engine=fast), tmp_path / "model.safetensors")
    state = load_file(path)
    content = {"version": 1, "model": {"kind": "Tanh", "settings": {}}, "shared": {}, "scaler": None}
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    content |= json.loads(header["__metadata__"][NAME]) | change
    del content["sha256"]
    content["sha256"] = checksum(json.dumps(content), state)
    save_file(state, path, {NAME: json.dumps(content)})
    refuses(lambda: nn.load(path, engine=fast), ValueError, "load:", str(path), word)


def test_an_export_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    model = nn.MLP([4, 2], engine=fast)
    refuses(lambda: nn.export_onnx(model, tmp_path / "model.onnx", ROWS), ImportError, "twograd[onnx]")


# ----------------------------------------------------------------------------------------------------------------------
# python -m nn predict


def classifier(tmp_path):
    """A model of three kinds of iris, saved with all that belongs to it, and its table."""
    iris = load_iris()
    scaler = StandardScaler().fit(iris.data)
    model = nn.MLP([4, 8, 3], "tanh", engine=fast, seed=0)
    data = scaler.transform(iris.data), iris.target
    nn.fit(model, data, nn.cross_entropy, nn.Adam(model.parameters(), lr=0.05), 30)
    names = iris.feature_names
    path = nn.save(model, tmp_path / "iris.safetensors", scaler=scaler, names=names, classes=iris.target_names)
    table = tmp_path / "iris.csv"
    order = [2, 0, 3, 1]
    lines = [",".join(["id", *[names[column] for column in order]])]
    lines += [",".join(["x", *[repr(row[column].item()) for column in order]]) for row in iris.data]
    table.write_text("\n".join(lines))
    return path, table, nn.predict(model, data[0]), iris


def test_predictions_in_another_process(tmp_path):
    path, table, logits, iris = classifier(tmp_path)
    command = [sys.executable, "-m", "nn", "predict", str(path), str(table), "-o", str(tmp_path / "out" / "p.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    names, p, classes = nn.data.read_csv(tmp_path / "out" / "p.csv", target="class")
    assert names == [f"P({name})" for name in iris.target_names]
    powers = np.exp(logits.astype(float))
    np.testing.assert_allclose(p, powers / powers.sum(1, keepdims=True), rtol=1e-6)
    assert classes.tolist() == iris.target_names[logits.argmax(1)].tolist()
    assert (classes == iris.target_names[iris.target]).mean() > 0.9


def test_both_engines_predict_the_same(tmp_path, capsys):
    path, table, _, _ = classifier(tmp_path)
    table.write_text("\n".join(table.read_text().splitlines()[:6]))
    printed = []
    for engine in ("micro", "fast"):
        main(["predict", str(path), str(table), "--engine", engine])
        printed.append(capsys.readouterr().out.splitlines())
    assert printed[0][0] == printed[1][0] == "class,P(setosa),P(versicolor),P(virginica)"
    rows = [[line.split(",") for line in lines[1:]] for lines in printed]
    assert [row[0] for row in rows[0]] == [row[0] for row in rows[1]] == ["setosa"] * 5
    assert np.allclose(*[[[float(cell) for cell in row[1:]] for row in one] for one in rows], rtol=1e-4)


def test_outputs_that_are_no_classes(tmp_path, capsys):
    path, table = tmp_path / "m.safetensors", tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n3,4\n")
    for outputs, header in ((1, "prediction"), (2, "prediction_0,prediction_1")):
        model = nn.Linear(2, outputs, engine=fast, seed=0)
        main(["predict", str(nn.save(model, path)), str(table)])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == header
        printed = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]], np.float32)
        assert np.array_equal(printed, nn.predict(model, [[1, 2], [3, 4.0]]))  # to the last digit


def test_the_command_tells_what_is_wrong(tmp_path, capsys):
    path, table, _, _ = classifier(tmp_path)
    output = tmp_path / "p.csv"

    def fails(*words, model=path, data=table, out=output):
        with pytest.raises(SystemExit) as caught:
            main(["predict", str(model), str(data), "-o", str(out)])
        assert all(word in str(caught.value) for word in ("python -m nn predict:", *words)), caught.value
        assert not output.exists()

    fails("none.csv", data=tmp_path / "none.csv")
    fails("none", model=tmp_path / "none")
    fails("not a whole safetensors file", model=table)
    fails("overwritten", out=table)
    fails("overwritten", out=path)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:3], "x,1,2,,4"]))
    fails("line 4", "petal width (cm)")
    table.write_text("a,b\n1,2\n")
    fails("no column 'sepal length (cm)'", "a, b")
    with pytest.raises(SystemExit) as caught:
        main(["predict", str(path), str(table), "--engine", "os"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_a_real_model_survives_the_way_through_a_file(tmp_path):
    x, y = load_breast_cancer(return_X_y=True)
    scaler = StandardScaler().fit(x)
    model = nn.Sequential(
        nn.MLP([30, 8], engine=fast), nn.BatchNorm1d(8, engine=fast), nn.Linear(8, 1, engine=fast, seed=1)
    )
    data = scaler.transform(x), y.reshape(-1, 1).astype(float)
    nn.fit(model, data, nn.binary_cross_entropy_with_logits, nn.Adam(model.parameters(), lr=0.01), 5, 64)
    saved = nn.load(nn.save(model, tmp_path / "m", scaler=scaler, classes=["malignant", "benign"]), engine=fast)
    assert np.array_equal(saved.predict(x), nn.predict(model, data[0]))
    assert ((saved.probabilities(x)[:, 1] > 0.5) == y).mean() > 0.9
