"""Attention: both engines, all kinds of masks, the layer with its heads, and PyTorch as a witness."""

import math

import numpy as np
import pytest
from agreement import against_torch, assert_slopes, assert_twins, on_all_cores, train_both
from test_bad_input import refuses
from test_functional import like, numbers

import fast
import micro
import nn

RANDOM = np.random.default_rng(0)
ALLOWED = RANDOM.random((3, 5)) < 0.6
ALLOWED[1] = False  # a position that may look at nothing
ADDED = np.where(RANDOM.random((2, 1, 5)) < 0.3, -np.inf, RANDOM.normal(size=(2, 1, 5)))
PLAIN = [numbers(3, 4), numbers(5, 4), numbers(5, 6)]
BATCH = [numbers(2, 3, 4), numbers(2, 5, 4), numbers(2, 5, 6)]
HEADS = [numbers(2, 3, 3, 2), numbers(2, 3, 5, 2), numbers(2, 3, 5, 1)]


def attend(f, q, k, v, **settings):
    return f.scaled_dot_product_attention(q, k, v, **settings)


def masked(mask):
    return lambda f, q, k, v: attend(f, q, k, v, attn_mask=mask)


CASES = {
    "plain": (attend, PLAIN),
    "one of each": (attend, [numbers(1, 1), numbers(1, 1, seed=1), numbers(1, 1, seed=2)]),
    "batch": (attend, BATCH),
    "heads": (attend, HEADS),
    "of itself": (lambda f, x: attend(f, x, x, x), [numbers(2, 3, 4)]),
    "large scores": (lambda f, q, k, v: attend(f, q * 300, k * 300, v), PLAIN),
    "scale": (lambda f, q, k, v: attend(f, q, k, v, scale=-2), PLAIN),
    "causal": (lambda f, q, k, v: attend(f, q, k, v, is_causal=True), BATCH),
    "causal, more questions than keys": (
        lambda f, k, v, q: attend(f, q, k, v, is_causal=True),
        [*PLAIN[:1] * 2, numbers(5, 4)],
    ),
    "True and False": (masked(ALLOWED), BATCH),
    "True and False as lists": (masked(ALLOWED.tolist()), BATCH),
    "1 and 0": (lambda f, q, k, v: attend(f, q, k, v, attn_mask=like(q, ALLOWED.astype(int))), BATCH),
    "nothing allowed": (masked(False), BATCH),
    "one row for all": (masked(ALLOWED[0]), HEADS),
    "added": (lambda f, q, k, v: attend(f, q, k, v, attn_mask=like(q, ADDED)), BATCH),
    "added, for every sample and head": (masked(numbers(2, 3, 3, 5)), HEADS),
    "added, for every sample": (masked(ADDED[:, None]), HEADS),
    "transposed": (lambda f, q, k, v: attend(f, q.T, k.T, v.T), [numbers(4, 3), numbers(4, 5), numbers(6, 5)]),
    "permuted": (
        lambda f, q, k, v: attend(f, *[x.permute(1, 0, 2) for x in (q, k, v)]),
        [numbers(3, 2, 4), numbers(5, 2, 4), numbers(5, 2, 6)],
    ),
}


@pytest.mark.parametrize("cores", ["one core", "all cores"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_fast_against_the_loops(name, dtype, cores, monkeypatch):
    if dtype == "float32" and name == "large scores":
        pytest.skip("the exponential of differences of thousands")
    on_all_cores(monkeypatch, cores == "all cores")
    assert_twins(*CASES[name], dtype)


@pytest.mark.parametrize("name", CASES)
def test_loops_against_finite_differences(name):
    assert_slopes(*CASES[name], step=1e-8 if name == "large scores" else 1e-6)


@pytest.mark.parametrize("needed", [(0,), (1,), (2,), (0, 2)])
def test_gradients_that_nobody_wants_are_not_given(needed):
    tensors = [fast.tensor(array, requires_grad=True) for array in BATCH]
    attend(fast.functional, *tensors).sum().backward()
    some = [fast.tensor(array, requires_grad=i in needed) for i, array in enumerate(BATCH)]
    attend(fast.functional, *some).sum().backward()
    for i in range(3):
        if i in needed:
            np.testing.assert_allclose(some[i].grad.data, tensors[i].grad.data, rtol=1e-12)
        else:
            assert some[i].grad is None


def test_large_batches_are_the_same_on_all_cores(monkeypatch):
    arrays = [numbers(5, 7, 33, 16).astype("float32")] * 3
    results = []
    for cores in (False, True):
        on_all_cores(monkeypatch, cores)
        tensors = [fast.tensor(array, requires_grad=True) for array in arrays]
        y = attend(fast.functional, *tensors, is_causal=True)
        y.backward(np.ones(y.shape))
        results.append([y.data, *[tensor.grad.data for tensor in tensors]])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_answer_is_a_mean_of_the_values(engine):
    """Keys that fit alike share evenly; a position that may look at nothing receives nothing."""
    q, k = engine.tensor([[0.0], [0.0], [0.0]]), engine.tensor([[1.0], [2.0], [3.0]])
    v = engine.tensor([[3.0], [6.0], [9.0]])
    assert attend(engine.functional, q, k, v, is_causal=True).tolist() == [[3.0], [4.5], [6.0]]
    mask = [[True, False, True], [False, False, False], [False, True, False]]
    assert attend(engine.functional, q, k, v, attn_mask=mask).tolist() == [[6.0], [0.0], [6.0]]


def test_divergence_is_not_hidden(engine):
    for place in range(3):
        arrays = [np.array(array) for array in PLAIN]
        arrays[place][:] = math.nan
        y = attend(engine.functional, *[engine.tensor(array.tolist()) for array in arrays])
        assert np.isnan(np.asarray(y)).all()


# ----------------------------------------------------------------------------------------------------------------------
# The layer.


def test_parameters_and_first_numbers(engine):
    layer = nn.MultiheadAttention(8, 2, engine=engine, seed=0, dtype="float64")
    state = layer.state_dict()
    shapes = {"in_proj_weight": (24, 8), "in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)}
    assert {name: array.shape for name, array in state.items()} == shapes
    assert 0.4 < np.abs(state["in_proj_weight"]).max() <= math.sqrt(6 / 32)
    assert 0.3 < np.abs(state["out_proj.weight"]).max() <= 1 / math.sqrt(8)
    assert not state["in_proj_bias"].any()
    assert not state["out_proj.bias"].any()
    bare = nn.MultiheadAttention(8, 2, bias=False, engine=engine, seed=0)
    assert set(bare.state_dict()) == {"in_proj_weight", "out_proj.weight"}
    assert repr(bare).startswith("MultiheadAttention(8, 2, bias=False")
    assert bare(engine.tensor(numbers(1, 2, 8).tolist())).shape == (1, 2, 8)


def test_both_engines_give_the_same(monkeypatch):
    arrays = numbers(2, 3, 6), numbers(2, 5, 6), numbers(2, 5, 6, seed=1)
    answers = []
    for engine in (micro, fast):
        layer = nn.MultiheadAttention(6, 3, engine=engine, seed=0, dtype="float64")
        x, key, value = [engine.tensor(array.tolist(), "float64", requires_grad=True) for array in arrays]
        y = layer(x, key, value, attn_mask=ALLOWED) + layer(x, is_causal=True) * layer(x, key)
        y.backward(numbers(2, 3, 6).tolist())
        answers.append([np.asarray(y.tolist()), *[np.asarray(t.grad) for t in (x, key, value, *layer.parameters())]])
    for one, other in zip(*answers, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


class Reader(nn.Module):
    """A number from a sequence: attention, then the mean over all positions."""

    def __init__(self, engine):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, engine=engine, seed=1, dtype="float64")
        self.out = nn.Linear(4, 1, engine=engine, seed=2, dtype="float64")

    def forward(self, x):
        return self.out(self.attention(x, is_causal=True).mean(1))


def test_training_as_twins():
    x = numbers(24, 3, 4)
    train_both(Reader, (x, x[:, 0, :1] * 2 + 1), nn.mse_loss, lr=0.1)


def test_bad_input(engine):
    f = engine.functional
    q, k, v = [engine.tensor(array.tolist()) for array in PLAIN]
    integers = engine.tensor([[1, 2], [3, 4]])
    refuses(lambda: attend(f, q, v, v), ValueError, "(3, 4)", "(5, 6)", "(..., S, E)")
    refuses(lambda: attend(f, q, k, v[:2]), ValueError, "(2, 6)", "leading")
    refuses(lambda: attend(f, q[0], k, v), ValueError, "(4,)")
    refuses(lambda: attend(f, engine.tensor([PLAIN[0].tolist()]), k, v), ValueError, "(1, 3, 4)", "leading")
    refuses(lambda: attend(f, q, k, [1.0]), TypeError, "list", ".tensor(")
    refuses(lambda: attend(f, integers, integers, integers), TypeError, "int64")
    refuses(lambda: attend(f, q, k, v, attn_mask=ALLOWED, is_causal=True), ValueError, "attn_mask", "is_causal")
    refuses(lambda: attend(f, q, k, v, attn_mask=[[1, 0, 2, 1, 1]]), ValueError, "attn_mask", "2", "True or False")
    refuses(lambda: attend(f, q, k, v, attn_mask=ALLOWED.T), ValueError, "attn_mask", "(5, 3)", "(3, 5)")
    refuses(lambda: attend(f, q, k, v, attn_mask=[ALLOWED.tolist()]), ValueError, "(1, 3, 5)", "(3, 5)")
    refuses(lambda: attend(f, q, k, v, attn_mask=["no"] * 5), TypeError, "attn_mask", "'no'")
    learned = engine.tensor(numbers(3, 5).tolist(), requires_grad=True)
    refuses(lambda: attend(f, q, k, v, attn_mask=learned), ValueError, "attn_mask", "detach")
    other = (micro if engine is fast else fast).tensor(PLAIN[1].tolist())
    refuses(lambda: attend(f, q, other, v), TypeError, "different engines")


def test_layers_with_bad_input(engine):
    refuses(lambda: nn.MultiheadAttention(8, 3, engine=engine, seed=0), ValueError, "embed_dim=8", "num_heads=3")
    refuses(lambda: nn.MultiheadAttention(8, 0, engine=engine, seed=0), ValueError, "num_heads=0")
    layer = nn.MultiheadAttention(4, 2, engine=engine, seed=0)
    refuses(lambda: layer(engine.tensor(numbers(3, 4).tolist())), ValueError, "(3, 4)", "(N, L, 4)")
    refuses(lambda: layer(engine.tensor(numbers(2, 3, 5).tolist())), ValueError, "linear", "(2, 3, 5)")


# ----------------------------------------------------------------------------------------------------------------------
# PyTorch.


def test_functions_against_pytorch():
    torch = pytest.importorskip("torch")
    reference = torch.nn.functional.scaled_dot_product_attention
    for settings in ({}, {"is_causal": True}, {"scale": 0.3}):
        against_torch(
            torch,
            lambda q, k, v, settings=settings: attend(fast.functional, q, k, v, **settings),
            lambda q, k, v, settings=settings: reference(q, k, v, **settings),
            BATCH,
        )
    for mask in (ALLOWED, ADDED, np.full((3, 5), False), numbers(3, 5)):
        against_torch(
            torch,
            lambda q, k, v, mask=mask: attend(fast.functional, q, k, v, attn_mask=mask),
            lambda q, k, v, mask=mask: reference(q, k, v, torch.tensor(mask)),
            BATCH,
        )


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_against_pytorch(engine, bias):
    torch = pytest.importorskip("torch")
    reference = torch.nn.MultiheadAttention(6, 3, bias=bias, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(0))
    layer = nn.MultiheadAttention(6, 3, bias, engine=engine, seed=0, dtype="float64")
    layer.load_state_dict({name: tensor.numpy() for name, tensor in reference.state_dict().items()})
    query, key = numbers(2, 3, 6), numbers(2, 5, 6)
    x, context = torch.tensor(query), torch.tensor(key)
    mask = ALLOWED.copy()
    mask[1, 0] = True  # PyTorch's own shortcuts differ where nothing may be looked at
    ours, theirs = [engine.tensor(array.tolist(), "float64") for array in (query, key)], (x, context, context)
    expected = reference(*theirs, attn_mask=torch.tensor(~mask), need_weights=False)[0]
    expected.sum().backward()
    y = layer(*ours, attn_mask=mask)
    y.sum().backward()
    np.testing.assert_allclose(np.asarray(y), expected.detach().numpy(), rtol=1e-9)
    for name, parameter in reference.named_parameters():
        mine = dict(layer.named_parameters())[name].grad
        np.testing.assert_allclose(np.asarray(mine), parameter.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
