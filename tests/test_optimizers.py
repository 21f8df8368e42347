"""Optimizers and clipping: against PyTorch step by step, fast against micro, and against formulas written out here."""

import math

import numpy as np
import pytest
from agreement import count_launches

import fast
import micro
import nn
from fast.functional import updates
from fast.kernels import updates as kernels

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.7, "eps": 0.1, "weight_decay": 0.1, "momentum": 0.5, "centered": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.5, "weight_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 0.1}),
]
NAMES = [f"{name} {settings}" for name, settings in SETTINGS]
KINDS = [nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop, nn.Adagrad]
SHAPES = [(3, 5), (7,), (1, 1), ()]


def arrays(seed, shapes=SHAPES):
    random = np.random.default_rng(seed)
    return [np.asarray(random.normal(size=shape)) for shape in shapes]


def push(parameters, gradients):
    """Give parameters of either engine these gradients."""
    for p, gradient in zip(parameters, gradients, strict=True):
        p.zero_grad()
        p.backward(gradient) if p.shape else (p * float(gradient)).backward()


def path(engine, name, settings, dtype="float64", steps=20, shapes=SHAPES):
    """The parameters after each of some steps."""
    parameters = [engine.tensor(array, dtype, requires_grad=True) for array in arrays(0, shapes)]
    optimizer = getattr(nn, name)(parameters, **settings)
    result = []
    for step in range(1, steps + 1):
        push(parameters, arrays(step, shapes))
        optimizer.step()
        result.append([np.array(p) for p in parameters])
    return result


def assert_close(paths, others, rtol, atol):
    for step, (mine, theirs) in enumerate(zip(paths, others, strict=True)):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol, atol, err_msg=f"step {step}")


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=NAMES)
def test_fast_moves_as_micro_does(name, settings):
    loops = path(micro, name, settings)
    assert_close(path(fast, name, settings), loops, 1e-10, 1e-12)
    assert_close(path(fast, name, settings, "float32"), loops, 1e-3, 1e-4)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=NAMES)
def test_every_step_is_pytorchs(engine, name, settings, dtype):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(array, dtype=getattr(torch, dtype), requires_grad=True) for array in arrays(0)]
    optimizer = getattr(torch.optim, name)(theirs, **settings)
    expected = []
    for step in range(1, 21):
        for p, gradient in zip(theirs, arrays(step), strict=True):
            p.grad = torch.tensor(gradient, dtype=p.dtype)
        optimizer.step()
        expected.append([p.detach().numpy().copy() for p in theirs])
    tolerance = (1e-11, 1e-12) if dtype == "float64" else (1e-3, 1e-4) if engine is micro else (1e-4, 2e-6)
    assert_close(path(engine, name, settings, dtype), expected, *tolerance)


@pytest.mark.parametrize("size", [updates.LARGE - 1, updates.LARGE, updates.LARGE + kernels.BLOCK + 17])
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=NAMES)
def test_large_parameters_move_on_all_cores_as_small_ones_on_one(monkeypatch, name, settings, size):
    launched = count_launches(monkeypatch)
    whole = path(fast, name, settings, steps=3, shapes=[(size,)])
    expected = 3 if size >= updates.LARGE else 0
    assert len(launched) == expected
    monkeypatch.setattr(updates, "LARGE", size + 1)
    alone = path(fast, name, settings, steps=3, shapes=[(size,)])
    assert len(launched) == expected
    assert_close(whole, alone, 1e-14, 0)


def test_weight_decay_is_decoupled(engine):
    """With a gradient of 0 AdamW only shrinks the weights; Adam takes the decay for a gradient."""
    ends = {}
    for kind in (nn.Adam, nn.AdamW):
        p = engine.tensor([2.0], "float64", requires_grad=True)
        optimizer = kind([p], lr=0.1, weight_decay=0.5)
        for _ in range(2):
            push([p], [[0.0]])
            optimizer.step()
        ends[kind] = p[0].item()
    assert ends[nn.AdamW] == pytest.approx(2 * (1 - 0.1 * 0.5) ** 2, rel=1e-14)
    assert ends[nn.Adam] == pytest.approx(2 - 0.1 - 0.1, rel=1e-3)


def one(engine, kind, gradients, **settings):
    """The path of a single number that starts at 1."""
    p = engine.tensor([1.0], "float64", requires_grad=True)
    optimizer = kind([p], **settings)
    result = []
    for gradient in gradients:
        push([p], [[gradient]])
        optimizer.step()
        result.append(p[0].item())
    return result


def test_rmsprops_first_step_is_ten_times_lr(engine):
    assert one(engine, nn.RMSprop, [0.3], lr=0.02) == pytest.approx([1 - 0.2], rel=1e-6)
    assert one(engine, nn.RMSprop, [-0.3], lr=0.02, alpha=0.75) == pytest.approx([1 + 0.04], rel=1e-6)


def test_adagrad_by_hand(engine):
    first = 1 - 0.1 * 3 / 3
    second = first - 0.1 / (1 + 0.5) * 4 / 5
    assert one(engine, nn.Adagrad, [3.0, 4.0], lr=0.1, lr_decay=0.5) == pytest.approx([first, second], rel=1e-9)


def test_adagrad_starts_from_its_initial_sum(engine):
    found = one(engine, nn.Adagrad, [3.0], lr=0.1, initial_accumulator_value=16.0)
    assert found == pytest.approx([1 - 0.1 * 3 / 5], rel=1e-9)


def test_centered_rmsprop_survives_gradients_that_stay_the_same(engine):
    """s - mean^2 then comes down to 0, and by rounding here and there below, where PyTorch's numbers become nan."""
    constant = np.linspace(0.1, 1, 40)
    p = engine.tensor(constant, "float64", requires_grad=True)
    optimizer = nn.RMSprop([p], alpha=0.9, centered=True)
    push([p], [constant])
    for _ in range(500):
        optimizer.step()
    s, mean = optimizer.state_dict()["0.square_avg"], optimizer.state_dict()["0.grad_avg"]
    assert (s - mean * mean < 0).any()
    assert np.isfinite(np.asarray(p)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_is_not_hidden(engine, kind, bad):
    assert not math.isfinite(one(engine, kind, [0.5, bad], lr=0.1)[1])
    if kind is nn.RMSprop:
        assert math.isnan(one(engine, kind, [0.5, bad], centered=True)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_without_a_gradient_stay_and_start_later(kind):
    p, late = [fast.tensor([1.0], "float64", requires_grad=True) for _ in range(2)]
    optimizer = kind([p, late], lr=0.1)
    push([p], [[0.5]])
    optimizer.step()
    assert late.item() == 1.0
    push([p, late], [[0.5], [0.5]])
    optimizer.step()
    assert late.item() == one(fast, kind, [0.5], lr=0.1)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_parameters_in_any_order_in_memory(kind):
    results = []
    for order in ("C", "F"):
        p = fast.tensor(arrays(0)[0], requires_grad=True)
        p.data = np.array(p.data, order=order)
        optimizer = kind([p])
        for step in range(1, 4):
            p._grad = np.array(arrays(step)[0], p.data.dtype, order=order)
            optimizer.step()
        results.append(p.data)
    assert np.array_equal(*results)


# ----------------------------------------------------------------------------------------------------------------------
# State.


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=NAMES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_resumed_optimizer_goes_on_bit_for_bit(engine, name, settings, dtype):
    def go(optimizer, steps):
        for step in steps:
            push(optimizer.parameters, arrays(step))
            optimizer.step()
        return [np.array(p) for p in optimizer.parameters]

    def make(numbers):
        return getattr(nn, name)([engine.tensor(array, dtype, requires_grad=True) for array in numbers], **settings)

    first = make(arrays(0))
    middle = go(first, range(1, 4))
    first.lr /= 3
    second = make(middle)
    second.load_state_dict(first.state_dict())
    for mine, theirs in zip(go(first, range(4, 8)), go(second, range(4, 8)), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_state_moves_between_engines_under_pytorchs_names():
    model = nn.MLP([2, 1], engine=micro, seed=0)
    optimizer = nn.Adam(model.parameters(), lr=0.5)
    push(optimizer.parameters, [[[1.0, 2.0]], [3.0]])
    optimizer.step()
    state = optimizer.state_dict()
    assert {name: array.shape for name, array in state.items()} == {
        "lr": (),
        "0.step": (),
        "0.exp_avg": (1, 2),
        "0.exp_avg_sq": (1, 2),
        "1.step": (),
        "1.exp_avg": (1,),
        "1.exp_avg_sq": (1,),
    }
    assert (state["lr"], state["1.step"]) == (0.5, 1)
    np.testing.assert_allclose(state["0.exp_avg"], [[0.1, 0.2]])
    other = nn.Adam(nn.MLP([2, 1], engine=fast, seed=0).parameters())
    other.load_state_dict(state)
    assert other.lr == 0.5
    for name, array in other.state_dict().items():
        np.testing.assert_allclose(array, state[name], rtol=1e-6)


def test_state_that_does_not_fit_changes_nothing(engine):
    parameters = nn.MLP([2, 1], engine=engine, seed=0).parameters()
    optimizer = nn.Adam(parameters)
    push(parameters, [[[1.0, 2.0]], [3.0]])
    optimizer.step()
    state = optimizer.state_dict()
    bad = {**state, "0.exp_avg": np.zeros(3), "2.step": np.array(1), "1.sum": np.zeros(1)}
    del bad["lr"], bad["1.step"]
    problems = r"Adam\.load_state_dict: lr is missing; 1\.step is missing; 2\.step is unknown; 1\.sum is unknown; "
    with pytest.raises(ValueError, match=problems + r"0\.exp_avg has shape \(3,\), needed is \(1, 2\); nothing"):
        optimizer.load_state_dict(bad)
    with pytest.raises(ValueError, match=r"momentum_buffer is missing|exp_avg is unknown"):
        nn.SGD(parameters).load_state_dict(state)
    assert all(np.array_equal(array, state[name]) for name, array in optimizer.state_dict().items())


def test_plain_descent_remembers_nothing(engine):
    p = engine.tensor([1.0], requires_grad=True)
    optimizer = nn.SGD([p])
    push([p], [[1.0]])
    optimizer.step()
    assert optimizer.state_dict() == {"lr": 1e-3}


# ----------------------------------------------------------------------------------------------------------------------
# Clipping.


def gradients(parameters):
    return [np.array(p.grad) for p in parameters]


def with_gradients(engine, *numbers, dtype="float64"):
    parameters = [engine.tensor(np.zeros(np.shape(array)), dtype, requires_grad=True) for array in numbers]
    push(parameters, [np.asarray(array, float) for array in numbers])
    return parameters


def test_a_long_gradient_is_shortened_and_a_short_one_is_not(engine):
    parameters = with_gradients(engine, [3.0], [[0.0, 4.0]])
    assert nn.clip_grad_norm_(parameters, 10.0) == 5.0
    assert [g.tolist() for g in gradients(parameters)] == [[3.0], [[0.0, 4.0]]]
    assert nn.clip_grad_norm_(parameters, 1.0) == 5.0
    np.testing.assert_allclose(gradients(parameters)[1], [[0.0, 4 / 5.000001]], rtol=1e-12)
    assert nn.clip_grad_norm_(parameters, 2.0) == pytest.approx(5 / 5.000001, rel=1e-12)


def test_values_are_cut(engine):
    parameters = with_gradients(engine, [3.0, -0.5], [[-7.0, math.inf, -math.inf, math.nan]])
    nn.clip_grad_value_(parameters, 2)
    np.testing.assert_array_equal(gradients(parameters)[0], [2.0, -0.5])
    np.testing.assert_array_equal(gradients(parameters)[1], [[-2.0, 2.0, -2.0, math.nan]])


def test_a_norm_that_is_not_finite(engine):
    parameters = with_gradients(engine, [3.0, math.inf])
    assert nn.clip_grad_norm_(parameters, 1.0) == math.inf
    np.testing.assert_array_equal(gradients(parameters)[0], [0.0, math.nan])
    parameters = with_gradients(engine, [3.0, math.nan], [1.0])
    assert math.isnan(nn.clip_grad_norm_(parameters, 1.0))
    assert all(np.isnan(g).all() for g in gradients(parameters))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("limit", [1e-3, 0.5, 3.0, 100.0, math.inf])
def test_clipping_is_pytorchs(engine, dtype, limit):
    torch = pytest.importorskip("torch")
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        mine = with_gradients(engine, *arrays(1), dtype=dtype)
        theirs = [torch.zeros(array.shape, dtype=getattr(torch, dtype), requires_grad=True) for array in arrays(1)]
        for p, gradient in zip(theirs, arrays(1), strict=True):
            p.grad = torch.tensor(gradient, dtype=p.dtype)
        found, expected = getattr(nn, name)(mine, limit), getattr(torch.nn.utils, name)(theirs, limit)
        rtol = 1e-12 if dtype == "float64" else 1e-5
        assert found == expected or found == pytest.approx(expected.item(), rel=rtol)
        for a, b in zip(gradients(mine), theirs, strict=True):
            np.testing.assert_allclose(a, b.grad.numpy(), rtol=rtol)


def test_the_norm_of_many_small_numbers_keeps_its_digits():
    p = fast.tensor(np.zeros(3_000_001), requires_grad=True)
    p._grad = np.full(3_000_001, 0.1, "float32")
    assert nn.clip_grad_norm_([p], 1.0) == pytest.approx(float(np.float32(0.1)) * math.sqrt(3_000_001), rel=1e-10)
    p._grad = np.full(3_000_001, 1e30, "float32")
    assert nn.clip_grad_norm_([p], 1.0) == pytest.approx(1e30 * math.sqrt(3_000_001), rel=1e-6)


def test_clipping_reaches_gradients_in_any_order_in_memory():
    p = fast.tensor(np.zeros((2, 3)), requires_grad=True)
    p._grad = np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 4.0]], "float32").copy("F")
    assert nn.clip_grad_norm_([p], 0.5) == 5.0
    assert p.grad.tolist() == [pytest.approx([0.3, 0, 0], rel=1e-5), pytest.approx([0, 0, 0.4], rel=1e-5)]
    p._grad = p._grad.copy("F")
    nn.clip_grad_value_([p], 0.1)
    assert p.grad.tolist() == [pytest.approx([0.1, 0, 0]), pytest.approx([0, 0, 0.1])]


def test_without_gradients_there_is_nothing_to_clip():
    p = fast.tensor([1.0], requires_grad=True)
    assert nn.clip_grad_norm_([p], 1.0) == 0.0
    nn.clip_grad_value_([p], 1.0)
    assert p.grad is None


def test_fit_clips_between_backward_and_update(engine):
    x, y = np.linspace(-1, 1, 8).reshape(-1, 1), np.full((8, 1), 50.0)

    def moved(callbacks):
        model = nn.Linear(1, 1, engine=engine, seed=0, dtype="float64")
        before = model.state_dict()
        nn.fit(model, (x, y), nn.mse_loss, nn.SGD(model.parameters(), lr=1.0), 1, callbacks=callbacks)
        return np.concatenate([(before[name] - array).ravel() for name, array in model.state_dict().items()])

    norm, value, watched = nn.ClipGradNorm(0.5), nn.ClipGradValue(0.25), nn.ClipGradNorm(math.inf)
    free = moved([watched])
    assert watched.norms == pytest.approx([np.linalg.norm(free)])
    assert np.linalg.norm(moved([norm])) == pytest.approx(0.5, rel=1e-6)
    assert norm.norms == pytest.approx(watched.norms)
    np.testing.assert_allclose(moved([value]), np.clip(free, -0.25, 0.25))


@pytest.mark.parametrize("clip", [lambda: nn.ClipGradNorm(0.3), lambda: nn.ClipGradValue(0.1)])
def test_twins_that_clip(clip):
    losses = []
    x = arrays(0, [(10, 3)])[0]
    for engine in (micro, fast):
        model = nn.MLP([3, 4, 1], "tanh", engine=engine, seed=0, dtype="float64")
        data, optimizer = (x, x[:, :1] * 5), nn.SGD(model.parameters(), lr=0.1, momentum=0.5)
        losses.append(nn.fit(model, data, nn.mse_loss, optimizer, 20, callbacks=[clip()]).step_loss)
    np.testing.assert_allclose(*losses, rtol=1e-10)
    assert losses[0][-1] < losses[0][0]


# ----------------------------------------------------------------------------------------------------------------------
# Bad settings.


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (nn.AdamW, {"weight_decay": -0.1}, r"AdamW: weight_decay=-0\.1; it must be a number of 0 or more"),
        (nn.AdamW, {"betas": (1.0, 0.9)}, r"AdamW: betas=\(1\.0, 0\.9\)"),
        (nn.RMSprop, {"alpha": 1.5}, r"RMSprop: alpha=1\.5.*0\.99"),
        (nn.RMSprop, {"alpha": "most"}, r"RMSprop: alpha='most'"),
        (nn.RMSprop, {"momentum": -1}, r"RMSprop: momentum=-1"),
        (nn.RMSprop, {"eps": math.nan}, r"RMSprop: eps=nan"),
        (nn.RMSprop, {"lr": 0}, r"RMSprop: lr=0; it must be a positive number"),
        (nn.Adagrad, {"lr_decay": -1}, r"Adagrad: lr_decay=-1"),
        (nn.Adagrad, {"initial_accumulator_value": -1}, r"Adagrad: initial_accumulator_value=-1"),
        (nn.Adagrad, {"weight_decay": None}, r"Adagrad: weight_decay=None"),
        (nn.Adagrad, {"lr": math.inf}, r"Adagrad: lr=inf"),
    ],
)
def test_settings_that_cannot_be(engine, kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind([engine.tensor([1.0], requires_grad=True)], **settings)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, "1"])
def test_limits_that_cannot_be(engine, bad):
    parameters = with_gradients(engine, [1.0])
    for clip, argument in ((nn.clip_grad_norm_, "max_norm"), (nn.clip_grad_value_, "clip_value")):
        with pytest.raises(ValueError, match=f"{clip.__name__}: {argument}={bad!r}; give a positive number"):
            clip(parameters, bad)
    with pytest.raises(ValueError, match=f"ClipGradNorm: max_norm={bad!r}"):
        nn.ClipGradNorm(bad)
    with pytest.raises(ValueError, match=f"ClipGradValue: clip_value={bad!r}"):
        nn.ClipGradValue(bad)
    with pytest.raises(TypeError, match=r"clip_grad_norm_: MLP[^;]*; give model\.parameters\(\)"):
        nn.clip_grad_norm_(nn.MLP([1, 1], engine=engine), 1.0)
