"""Recurrent cells and layers: `fast` against `micro`'s loops, the modules as twins, and against PyTorch where it is."""

import numpy as np
import pytest

import fast
import micro
import nn

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
WEIGHTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def arguments(name, samples, steps, inputs, features, bias=True):
    """The arrays that a function takes, by name; `steps` is not used by a cell."""
    rows = GATES[name.removesuffix("_cell")] * features
    shapes = {"x": (samples, inputs) if name.endswith("_cell") else (samples, steps, inputs)}
    shapes["hidden"] = samples, features
    if name.startswith("lstm"):
        shapes["cell"] = samples, features
    shapes |= {"weight_ih": (rows, inputs), "weight_hh": (rows, features)}
    if bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    scale = {"weight_ih": 1 / np.sqrt(inputs), "weight_hh": 1 / np.sqrt(features)}
    return {
        argument: numbers(*shape, seed=seed) * scale.get(argument, 0.7)
        for seed, (argument, shape) in enumerate(shapes.items())
    }


def run(engine, name, arrays, dtype, constant=(), **options):
    """The results, and the gradients of all arguments, where each element of a result has a weight of its own."""
    tensors = {
        argument: engine.tensor(array.tolist(), dtype, requires_grad=argument not in constant)
        for argument, array in arrays.items()
    }
    results = getattr(engine.functional, name)(**tensors, **options)
    results = results if isinstance(results, tuple) else (results,)
    total = sum((result * engine.tensor(numbers(*result.shape, seed=9).tolist(), dtype)).sum() for result in results)
    total.backward()
    gradients = {argument: np.asarray(tensors[argument].grad) for argument in arrays if argument not in constant}
    return [np.asarray(result.tolist()) for result in results], gradients


def assert_equal(mine, theirs, tolerance):
    for result, expected in zip(mine[0], theirs[0], strict=True):
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    assert mine[1].keys() == theirs[1].keys()
    for argument, expected in theirs[1].items():
        atol = tolerance * max(1, np.abs(expected).max())
        np.testing.assert_allclose(mine[1][argument], expected, rtol=tolerance, atol=atol, err_msg=argument)


FUNCTIONS = [
    ("rnn", {}),
    ("rnn", {"nonlinearity": "relu"}),
    ("lstm", {}),
    ("gru", {}),
    ("rnn_cell", {}),
    ("rnn_cell", {"nonlinearity": "relu"}),
    ("lstm_cell", {}),
    ("gru_cell", {}),
]
SIZES = [(1, 1, 1, 1), (3, 4, 5, 2), (2, 1, 3, 4), (17, 3, 2, 3), (5, 7, 1, 3)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("name", "options"), FUNCTIONS, ids=str)
def test_fast_against_the_loops(name, options, size, dtype, tolerance):
    arrays = {argument: array.astype(dtype).astype(float) for argument, array in arguments(name, *size).items()}
    loops = run(micro, name, arrays, "float64", **options)
    assert_equal(run(fast, name, arrays, dtype, **options), loops, tolerance)


@pytest.mark.parametrize(("name", "options"), FUNCTIONS[:4], ids=str)
def test_blocks_on_all_cores(name, options):
    """Above the threshold for threads, with a last block that is not full: against one sample at a time, in float64."""
    arrays = arguments(name, 37, 5, 11, 41 if name == "rnn" else 19)
    results, gradients = run(fast, name, arrays, "float64", **options)
    tensors = {argument: fast.tensor(array, requires_grad=True) for argument, array in arrays.items()}
    total = 0.0
    for n in range(37):
        one = {argument: t[n : n + 1] if argument in ("x", "hidden", "cell") else t for argument, t in tensors.items()}
        parts = getattr(fast.functional, name)(**one, **options)
        for part, result in zip(parts if isinstance(parts, tuple) else (parts,), results, strict=True):
            np.testing.assert_allclose(part.numpy()[0], result[n], rtol=1e-10, atol=1e-12)
            total = total + (part[0] * fast.tensor(numbers(*result.shape, seed=9)[n])).sum()
    total.backward()
    for argument, tensor in tensors.items():
        np.testing.assert_allclose(tensor.grad.numpy(), gradients[argument], rtol=1e-9, atol=1e-9, err_msg=argument)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "lstm_cell", "gru_cell"])
@pytest.mark.parametrize("bias", [("bias_ih",), ("bias_hh",), ()], ids=str)
def test_biases_may_be_left_out(name, bias):
    arrays = arguments(name, 3, 2, 2, 3)
    arrays = {argument: array for argument, array in arrays.items() if "bias" not in argument or argument in bias}
    assert_equal(run(fast, name, arrays, "float64"), run(micro, name, arrays, "float64"), 1e-10)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_only_those_gradients_that_are_wanted(name):
    arrays = arguments(name, 3, 4, 2, 3)
    everything = run(fast, name, arrays, "float64")
    for constant in (("x",), WEIGHTS, WEIGHTS[:2], ("x", "hidden", *WEIGHTS[1:]), ("bias_ih", "weight_hh")):
        results, gradients = run(fast, name, arrays, "float64", constant)
        some = {argument: grad for argument, grad in everything[1].items() if argument not in constant}
        assert_equal((results, gradients), (everything[0], some), 1e-12)


@pytest.mark.parametrize(("name", "options"), FUNCTIONS[:4], ids=str)
def test_loops_against_finite_differences(name, options):
    """A random direction: two evaluations check every slope at once."""
    arrays = arguments(name, 2, 3, 2, 3)
    directions = {argument: numbers(*array.shape, seed=7) for argument, array in arrays.items()}

    def total(shift):
        moved = {argument: array + shift * directions[argument] for argument, array in arrays.items()}
        results, _ = run(micro, name, moved, "float64", **options)
        return sum(float((result * numbers(*result.shape, seed=9)).sum()) for result in results)

    numeric = (total(1e-6) - total(-1e-6)) / 2e-6
    _, gradients = run(micro, name, arrays, "float64", **options)
    exact = sum(float((gradients[argument] * directions[argument]).sum()) for argument in arrays)
    assert exact == pytest.approx(numeric, rel=1e-6)


# ----------------------------------------------------------------------------------------------------------------------
# Modules.


LAYERS = "RNN", "LSTM", "GRU"
X = numbers(23, 4, 2)
TARGET = X[:, :, :1].sum(axis=1)


@pytest.mark.parametrize(
    "build",
    [
        lambda **how: nn.RNN(2, 3, seed=1, **how),
        lambda **how: nn.RNN(2, 3, nonlinearity="relu", bias=False, seed=1, **how),
        lambda **how: nn.LSTM(2, 3, num_layers=2, seed=1, **how),
        lambda **how: nn.GRU(2, 3, seed=1, **how),
    ],
    ids=["RNN", "relu without bias", "LSTM of two layers", "GRU"],
)
def test_twins(build):
    losses = []
    for engine in (micro, fast):
        how = {"engine": engine, "dtype": "float64"}
        model = nn.Sequential(build(**how), nn.LastStep(), nn.Linear(3, 1, seed=2, **how))
        optimizer = nn.Adam(model.parameters(), lr=0.01)
        history = nn.fit(model, (X, TARGET), nn.mse_loss, optimizer, epochs=4, batch_size=5)
        losses.append(history.step_loss)
        assert len(history.step_loss) == 20
        assert history.loss[3] < history.loss[0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)


def test_names_and_first_weights_are_pytorchs(engine):
    lstm = nn.LSTM(2, 25, num_layers=2, engine=engine, seed=0).state_dict()
    assert {name: array.shape for name, array in lstm.items()} == {
        "weight_ih_l0": (100, 2),
        "weight_hh_l0": (100, 25),
        "bias_ih_l0": (100,),
        "bias_hh_l0": (100,),
        "weight_ih_l1": (100, 25),
        "weight_hh_l1": (100, 25),
        "bias_ih_l1": (100,),
        "bias_hh_l1": (100,),
    }
    every = np.concatenate([array.ravel() for array in lstm.values()])
    assert -0.2 <= every.min() < -0.199
    assert 0.199 < every.max() <= 0.2
    assert every.std() == pytest.approx(0.2 / 3**0.5, rel=0.02)
    assert list(nn.GRUCell(2, 3, bias=False, engine=engine, seed=0).state_dict()) == ["weight_ih", "weight_hh"]


@pytest.mark.parametrize("name", LAYERS)
def test_states_are_handed_on(engine, name):
    """A sequence in two halves, the second from the states that the first has left, is the sequence as a whole."""
    layer = getattr(nn, name)(2, 3, num_layers=2, engine=engine, seed=3, dtype="float64")
    x = engine.tensor(X[:2].tolist(), "float64")
    outputs, last = layer(x)
    first, state = layer(x[:, :1])
    second, same = layer(x[:, 1:], state)
    np.testing.assert_allclose(np.asarray(second), np.asarray(outputs)[:, 1:], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(first), np.asarray(outputs)[:, :1], rtol=1e-12)
    for mine, theirs in zip(last, same, strict=True):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), rtol=1e-12)
    hidden = last[0] if name == "LSTM" else last
    assert hidden.shape == (2, 2, 3)
    np.testing.assert_allclose(np.asarray(hidden)[1], np.asarray(outputs)[:, -1], rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_cells_make_the_steps_of_a_layer(engine, name):
    how = {"engine": engine, "seed": 3, "dtype": "float64"}
    layer, cell = getattr(nn, name)(2, 3, **how), getattr(nn, name + "Cell")(2, 3, **how)
    x = engine.tensor(X[:2].tolist(), "float64")
    outputs, _ = layer(x)
    state = None
    for t in range(4):
        state = cell(x[:, t]) if t == 0 else cell(x[:, t], state)
        hidden = state[0] if name == "LSTM" else state
        np.testing.assert_allclose(np.asarray(hidden), np.asarray(outputs)[:, t], rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_against_pytorch(name, bias, dtype):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(2, 3, num_layers=2, bias=bias, batch_first=True, dtype=getattr(torch, dtype))
    mine = getattr(nn, name)(2, 3, num_layers=2, bias=bias, engine=fast, seed=0, dtype=dtype)
    mine.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    start = numbers(2, 23, 3, seed=5).astype(dtype)
    start = (start, -start) if name == "LSTM" else (start,)
    ours, others = [fast.tensor(s) for s in start], [torch.tensor(s) for s in start]
    outputs, last = mine(fast.tensor(X.astype(dtype)), ours if len(ours) > 1 else ours[0])
    expected, end = theirs(torch.tensor(X.astype(dtype)), tuple(others) if len(others) > 1 else others[0])
    tolerance = 1e-10 if dtype == "float64" else 1e-5
    last, end = (last, end) if name == "LSTM" else ((last,), (end,))
    total, other = (outputs * outputs).sum(), (expected * expected).sum()
    np.testing.assert_allclose(outputs.numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for state, same in zip(last, end, strict=True):
        np.testing.assert_allclose(state.numpy(), same.detach().numpy(), rtol=tolerance, atol=tolerance)
        total, other = total + (state * state * state).sum(), other + (same**3).sum()
    total.backward()
    other.backward()
    gradients = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    for key, parameter in mine.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), gradients[key], rtol=10 * tolerance, atol=10 * tolerance)


# ----------------------------------------------------------------------------------------------------------------------
# What is refused, what is not.


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell"])
def test_bad_input_is_refused(engine, name):
    arrays = arguments(name, 3, 2, 4, 5)

    def call(**changes):
        given = {**arrays, **changes}
        return getattr(engine.functional, name)(**{a: engine.tensor(v.tolist(), "float64") for a, v in given.items()})

    call()
    for argument, shape in {
        "x": (3, 4) if "cell" not in name else (3, 2, 4),
        "hidden": (2, 5),
        "weight_ih": (7, 4),
        "weight_hh": (5,),
        "bias_ih": (2,),
        "bias_hh": (1, 5),
    }.items():
        with pytest.raises(ValueError, match=rf"{name}: .*{argument} .*\({', '.join(map(str, shape))}"):
            call(**{argument: np.zeros(shape)})
    with pytest.raises(TypeError, match="int64"):
        getattr(engine.functional, name)(
            **{a: engine.tensor(v.tolist(), "int64" if a == "x" else "float64") for a, v in arrays.items()}
        )
    with pytest.raises(TypeError, match="make it a tensor first"):
        getattr(engine.functional, name)(
            **{a: v.tolist() if a == "x" else engine.tensor(v.tolist(), "float64") for a, v in arrays.items()}
        )


def test_a_layer_needs_a_step():
    tensors = {argument: fast.tensor(array) for argument, array in arguments("rnn", 2, 0, 3, 4).items()}
    with pytest.raises(ValueError, match="at least one step"):
        fast.functional.rnn(**tensors)


@pytest.mark.parametrize("name", ["rnn", "rnn_cell"])
def test_unknown_nonlinearity_is_refused(engine, name):
    tensors = {a: engine.tensor(v.tolist(), "float64") for a, v in arguments(name, 1, 1, 1, 1).items()}
    with pytest.raises(ValueError, match="'sine' is unknown; use 'tanh' or 'relu'"):
        getattr(engine.functional, name)(**tensors, nonlinearity="sine")
    with pytest.raises(ValueError, match="'sine' is unknown"):
        getattr(nn, {"rnn": "RNN", "rnn_cell": "RNNCell"}[name])(1, 1, nonlinearity="sine", engine=engine, seed=0)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_steps_may_come_before_samples(engine, name):
    x = engine.tensor(X[:3].tolist(), "float64")
    first, other = [
        getattr(nn, name)(2, 3, num_layers=2, batch_first=batch_first, engine=engine, seed=0, dtype="float64")
        for batch_first in (True, False)
    ]
    (outputs, state), (turned, same) = first(x), other(x.transpose(0, 1))
    np.testing.assert_array_equal(np.asarray(turned.transpose(0, 1)), np.asarray(outputs))
    for mine, theirs in zip(*[part if isinstance(part, tuple) else (part,) for part in (state, same)], strict=True):
        assert mine.shape == (2, 3, 3)
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


def test_modules_refuse_what_they_cannot_read(engine):
    x = engine.tensor(X[:2].tolist(), "float64")
    lstm = nn.LSTM(2, 3, engine=engine, seed=0, dtype="float64")
    with pytest.raises(ValueError, match=r"LSTM: the input has shape \(2, 2\); it must be a tensor \(N, L, 2\)"):
        lstm(x[:, 0])
    with pytest.raises(ValueError, match=r"LSTM: the state has shape .*a pair \(hidden, cell\) .*\(1, 2, 3\)"):
        lstm(x, (x, x))
    with pytest.raises(ValueError, match=r"RNNCell: the input has shape \(2, 4, 2\); .*\(N, 2\)"):
        nn.RNNCell(2, 3, engine=engine, seed=0)(x)
    with pytest.raises((TypeError, ValueError), match="num_layers"):
        nn.GRU(2, 3, num_layers=0, engine=engine, seed=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    """Large sums saturate the gates, and what is not a number stays so: divergence must show."""
    one, huge = fast.tensor([[1.0]], dtype), fast.tensor([[1e30]] * 4, dtype)
    hidden, cell = fast.functional.lstm_cell(one, one, one, huge, huge)
    assert (hidden.item(), cell.item()) == (pytest.approx(np.tanh(2.0), rel=1e-6), 2.0)
    for name in ("rnn", "lstm", "gru"):
        arrays = arguments(name, 2, 3, 2, 3)
        arrays["x"][1, 1, 0] = np.nan
        tensors = {argument: fast.tensor(array, dtype) for argument, array in arrays.items()}
        results = getattr(fast.functional, name)(**tensors)
        for result in results if isinstance(results, tuple) else (results,):
            assert np.isfinite(result.numpy()[0]).all()
            assert np.isnan(result.numpy()[1, -1]).all()


def test_no_samples_give_no_outputs():
    for name in ("rnn", "lstm", "gru"):
        tensors = {a: fast.tensor(v, requires_grad=True) for a, v in arguments(name, 0, 3, 2, 5).items()}
        results = getattr(fast.functional, name)(**tensors)
        outputs = results[0] if isinstance(results, tuple) else results
        assert outputs.shape == (0, 3, 5)
        outputs.sum().backward()
        assert not tensors["weight_hh"].grad.numpy().any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_are_right_to_the_last_digits(dtype):
    """A plain layer of one feature is tanh; the forget gate of an LSTM with a cell state of 1 is sigmoid."""
    x = np.concatenate([np.linspace(-90, 90, 3001), np.linspace(-1, 1, 3001)])[:, np.newaxis].astype(dtype)
    zero, none = np.zeros_like(x), np.zeros((1, 1), dtype)
    one = none + 1
    functions = fast.functional
    tanh = functions.rnn_cell(*map(fast.tensor, (x, zero, one, none))).numpy()
    forget = np.array([[0], [1], [0], [0]], dtype)
    _, sigmoid = functions.lstm_cell(*map(fast.tensor, (x, zero, zero + 1, forget, 0 * forget)))
    exact = x.astype(float)
    places = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(tanh, np.tanh(exact), rtol=places, atol=1e-37)
    np.testing.assert_allclose(sigmoid.numpy(), 1 / (1 + np.exp(-exact)), rtol=places, atol=2e-38)
