"""The shared vocabulary: each word means on both engines what NumPy means, an oracle that neither of them has read."""

import math
import weakref

import numpy as np
import pytest

import fast
import micro
import nn
from micro.vocabulary import Vocabulary

A = np.random.default_rng(0).normal(size=(3, 4, 2))
B = np.random.default_rng(1).normal(size=(4, 1))
WHOLE = np.array([[3, -1, 4], [1, -5, 9]])
TIES = np.array([[2.0, 1.0, 2.0], [0.5, 0.5, -1.0]])


def one_hot(array, count):
    return np.eye(count, dtype=int)[array]


def logsumexp(array, axis):
    return np.log(np.exp(array).sum(axis))


def pairs(values, indices):
    return [values, indices]


# name: (what is said to the engine's module e and its tensors a, b, w, t; the same to NumPy)
CASES = {
    "add": (lambda e, a, b, w, t: 2 + a + b, lambda a, b, w, t: 2 + a + b),
    "sub, div": (lambda e, a, b, w, t: (1 - a) / (b + 9), lambda a, b, w, t: (1 - a) / (b + 9)),
    "whole arithmetic": (lambda e, a, b, w, t: 2 * w - w * w + 7, lambda a, b, w, t: 2 * w - w * w + 7),
    "whole power": (lambda e, a, b, w, t: abs(w) ** 2 + 2 ** abs(w), lambda a, b, w, t: abs(w) ** 2 + 2 ** abs(w)),
    "whole division": (lambda e, a, b, w, t: w / 2, lambda a, b, w, t: w / 2),
    "whole and fraction": (lambda e, a, b, w, t: w * 0.5 + w.exp(), lambda a, b, w, t: w * 0.5 + np.exp(w)),
    "whole extremes": (
        lambda e, a, b, w, t: w.maximum(2) - w.minimum(-w) + w.sign() + w.clip(min=0) + w.relu(),
        lambda a, b, w, t: np.maximum(w, 2) - np.minimum(w, -w) + np.sign(w) + 2 * np.maximum(w, 0),
    ),
    "whole clip": (lambda e, a, b, w, t: w.clip(max=3).round(), lambda a, b, w, t: np.minimum(w, 3)),
    "clip of truth": (lambda e, a, b, w, t: (w > 0).clip(min=3), lambda a, b, w, t: w * 0 + 3),
    "truth counts": (lambda e, a, b, w, t: (a > 0) + (a > 1) * 2, lambda a, b, w, t: (a > 0) * 1 + (a > 1) * 2),
    "compare": (
        lambda e, a, b, w, t: (a > b) | (a <= -1) & (b != 0),
        lambda a, b, w, t: (a > b) | (a <= -1) & (b != 0),
    ),
    "compare with numbers": (lambda e, a, b, w, t: ~(w >= 1) ^ (w == 3), lambda a, b, w, t: ~(w >= 1) ^ (w == 3)),
    "named comparisons": (
        lambda e, a, b, w, t: a.lt(b) ^ a.ge(0.5) ^ a.eq(a),
        lambda a, b, w, t: (a < b) ^ (a >= 0.5) ^ True,
    ),
    "whole bits": (lambda e, a, b, w, t: (w & 3) | ~w, lambda a, b, w, t: (w & 3) | ~w),
    "isnan": (lambda e, a, b, w, t: (a / 0 * 0).isnan(), lambda a, b, w, t: np.ones(a.shape, bool)),
    "isfinite": (lambda e, a, b, w, t: (a / (a > 0)).isfinite(), lambda a, b, w, t: a > 0),
    "where": (lambda e, a, b, w, t: e.where(a > b, a, 0), lambda a, b, w, t: np.where(a > b, a, 0)),
    "where, whole": (lambda e, a, b, w, t: e.where(w > 0, w, -1), lambda a, b, w, t: np.where(w > 0, w, -1)),
    "clip": (lambda e, a, b, w, t: a.clip(-1, b), lambda a, b, w, t: np.minimum(np.maximum(a, -1), b)),
    "round": (lambda e, a, b, w, t: (a * 4).round() / 2 + (w / 2).round(), lambda a, b, w, t: 0),
    "sum": (lambda e, a, b, w, t: a.sum((0, 2)), lambda a, b, w, t: a.sum((0, 2))),
    "sum of whole": (lambda e, a, b, w, t: w.sum(1, keepdim=True), lambda a, b, w, t: w.sum(1, keepdims=True)),
    "sum of truth": (lambda e, a, b, w, t: (a > 0).sum(), lambda a, b, w, t: (a > 0).sum()),
    "mean": (lambda e, a, b, w, t: a.mean(-1, keepdim=True), lambda a, b, w, t: a.mean(-1, keepdims=True)),
    "var": (lambda e, a, b, w, t: a.var((0, 1)), lambda a, b, w, t: a.var((0, 1), ddof=1)),
    "std": (lambda e, a, b, w, t: a.std(correction=0), lambda a, b, w, t: a.std()),
    "prod": (lambda e, a, b, w, t: a.prod((0, 1)), lambda a, b, w, t: a.prod((0, 1))),
    "prod of whole": (lambda e, a, b, w, t: w.prod(0), lambda a, b, w, t: w.prod(0)),
    "max": (lambda e, a, b, w, t: a.max() - w.min(), lambda a, b, w, t: a.max() - w.min()),
    "max along": (
        lambda e, a, b, w, t: pairs(*t.max(1)),
        lambda a, b, w, t: pairs(t.max(1), t.argmax(1)),
    ),
    "min along": (
        lambda e, a, b, w, t: pairs(*w.min(0, keepdim=True)),
        lambda a, b, w, t: pairs(w.min(0, keepdims=True), w.argmin(0, keepdims=True)),
    ),
    "argmax": (lambda e, a, b, w, t: t.argmax(0), lambda a, b, w, t: t.argmax(0)),
    "argmin": (lambda e, a, b, w, t: a.argmin(), lambda a, b, w, t: a.argmin()),
    "any, all": (
        lambda e, a, b, w, t: pairs((w > 3).any(0), (w > -2).all(1)),
        lambda a, b, w, t: pairs((w > 3).any(0), (w > -2).all(1)),
    ),
    "cumsum": (lambda e, a, b, w, t: a.cumsum(1), lambda a, b, w, t: a.cumsum(1)),
    "cumsum of truth": (lambda e, a, b, w, t: (w > 0).cumsum(-1), lambda a, b, w, t: (w > 0).cumsum(-1)),
    "logsumexp": (lambda e, a, b, w, t: a.logsumexp((1, 2)), lambda a, b, w, t: logsumexp(a, (1, 2))),
    "matmul": (lambda e, a, b, w, t: a.permute(0, 2, 1) @ b, lambda a, b, w, t: a.transpose(0, 2, 1) @ b),
    "outer": (lambda e, a, b, w, t: t[0].outer(t[1]), lambda a, b, w, t: np.outer(t[0], t[1])),
    "view": (lambda e, a, b, w, t: a.view(6, -1), lambda a, b, w, t: a.reshape(6, -1)),
    "flatten": (lambda e, a, b, w, t: a.flatten(0, 1), lambda a, b, w, t: a.reshape(12, 2)),
    "transpose": (lambda e, a, b, w, t: a.transpose(-1, 0), lambda a, b, w, t: a.swapaxes(-1, 0)),
    "T": (lambda e, a, b, w, t: w.T, lambda a, b, w, t: w.T),
    "squeeze": (lambda e, a, b, w, t: b.squeeze(), lambda a, b, w, t: b.squeeze()),
    "squeeze one": (lambda e, a, b, w, t: b.unsqueeze(0).squeeze(0), lambda a, b, w, t: b),
    "squeeze a long one": (lambda e, a, b, w, t: b.squeeze(0), lambda a, b, w, t: b),
    "unsqueeze": (lambda e, a, b, w, t: w.unsqueeze(-1), lambda a, b, w, t: w[..., None]),
    "expand": (lambda e, a, b, w, t: b.expand(2, -1, 3), lambda a, b, w, t: np.broadcast_to(b, (2, 4, 3))),
    "repeat": (lambda e, a, b, w, t: w.repeat(2, 3, 1), lambda a, b, w, t: np.tile(w, (2, 3, 1))),
    "split": (lambda e, a, b, w, t: list(a.split(3, 1)), lambda a, b, w, t: np.split(a, [3], 1)),
    "chunk": (lambda e, a, b, w, t: list(w.chunk(2, 1)), lambda a, b, w, t: [w[:, :2], w[:, 2:]]),
    "flip": (lambda e, a, b, w, t: w.flip(1), lambda a, b, w, t: w[:, ::-1]),
    "pad": (
        lambda e, a, b, w, t: w.pad((1, 0, 2, 1), -7),
        lambda a, b, w, t: np.pad(w, ((2, 1), (1, 0)), constant_values=-7),
    ),
    "cat": (lambda e, a, b, w, t: e.cat([w, t, w > 0], 1), lambda a, b, w, t: np.concatenate([w, t, w > 0], 1)),
    "cat of whole": (lambda e, a, b, w, t: e.cat([w, w > 0]), lambda a, b, w, t: np.concatenate([w, w > 0])),
    "stack": (lambda e, a, b, w, t: e.stack([t, t * 2], 1), lambda a, b, w, t: np.stack([t, t * 2], 1)),
    "gather": (
        lambda e, a, b, w, t: w.gather(0, e.tensor([[1, 0, 1]])),
        lambda a, b, w, t: np.take_along_axis(w, np.array([[1, 0, 1]]), 0),
    ),
    "one_hot": (
        lambda e, a, b, w, t: e.one_hot(e.tensor([[0, 2], [1, 1]])),
        lambda a, b, w, t: one_hot([[0, 2], [1, 1]], 3),
    ),
    "one_hot, wider": (lambda e, a, b, w, t: e.one_hot(e.tensor([1]), 4), lambda a, b, w, t: one_hot([1], 4)),
    "index": (lambda e, a, b, w, t: a[1, ::-2, None, -1], lambda a, b, w, t: a[1, ::-2, None, -1]),
    "index with dots": (lambda e, a, b, w, t: a[..., 0][1:], lambda a, b, w, t: a[1:, :, 0]),
    "index with a list": (lambda e, a, b, w, t: a[[2, 0], 1:3], lambda a, b, w, t: a[[2, 0], 1:3]),
    "index with tensors": (
        lambda e, a, b, w, t: a[e.tensor([[0], [2]]), :, e.tensor([1, 0])],
        lambda a, b, w, t: a[np.array([[0], [2]]), :, np.array([1, 0])],
    ),
    "index with neighbours": (
        lambda e, a, b, w, t: a[:, e.tensor([[3], [-1]]), [1, 0]],
        lambda a, b, w, t: a[:, np.array([[3], [-1]]), [1, 0]],
    ),
    "index with a list and an integer": (
        lambda e, a, b, w, t: a[0, :, [1, 0, 1]],
        lambda a, b, w, t: a[0, :, [1, 0, 1]],
    ),
    "index with a mask": (lambda e, a, b, w, t: w[w > 2], lambda a, b, w, t: w[w > 2]),
    "index with a mask of rows": (
        lambda e, a, b, w, t: a[e.tensor([True, False, True]), 1],
        lambda a, b, w, t: a[[0, 2], 1],
    ),
    "index with nothing": (lambda e, a, b, w, t: w[[]], lambda a, b, w, t: w[:0]),
    "zeros": (lambda e, a, b, w, t: e.zeros(2, 3), lambda a, b, w, t: np.zeros((2, 3))),
    "nothing": (lambda e, a, b, w, t: e.ones((0, 3)).sum(0), lambda a, b, w, t: np.zeros(3)),
    "ones": (lambda e, a, b, w, t: e.ones((2,), dtype="int64"), lambda a, b, w, t: np.ones(2, int)),
    "full": (lambda e, a, b, w, t: e.full((2, 2), 7), lambda a, b, w, t: np.full((2, 2), 7)),
    "full of truth": (lambda e, a, b, w, t: e.full((2,), True), lambda a, b, w, t: np.full(2, True)),
    "arange": (lambda e, a, b, w, t: e.arange(2, 11, 3), lambda a, b, w, t: np.arange(2, 11, 3)),
    "arange of fractions": (lambda e, a, b, w, t: e.arange(1, 0, -0.25), lambda a, b, w, t: np.arange(1, 0, -0.25)),
    "linspace": (lambda e, a, b, w, t: e.linspace(-1, 2, 7), lambda a, b, w, t: np.linspace(-1, 2, 7)),
    "eye": (lambda e, a, b, w, t: e.eye(2, 3), lambda a, b, w, t: np.eye(2, 3)),
    "like": (
        lambda e, a, b, w, t: [
            e.zeros_like(w),
            e.ones_like(a),
            e.full_like(w, 3),
            e.full_like(w, 0.5, dtype="float64"),
        ],
        lambda a, b, w, t: [w * 0, a * 0 + 1, w * 0 + 3, w * 0 + 0.5],
    ),
    "a single number": (
        lambda e, a, b, w, t: e.tensor(2.0).reshape(1, 1).squeeze() * 3,
        lambda a, b, w, t: np.array(6.0),
    ),
}
del CASES["round"]


def plain(result):
    return [np.asarray(part) for part in (result if isinstance(result, list) else [result])]


def kind(dtype):
    return {"b": "truth", "i": "whole", "f": "fraction"}[np.dtype(dtype).kind]


@pytest.mark.parametrize("name", CASES)
def test_a_word_means_what_numpy_means(engine, name):
    ours, numpys = CASES[name]
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = plain(numpys(A, B, WHOLE, TIES))
    tensors = [
        engine.tensor(array.tolist(), "float64" if array.dtype == float else None) for array in (A, B, WHOLE, TIES)
    ]
    result = ours(engine, *tensors)
    for part, right in zip(result if isinstance(result, list) else [result], expected, strict=True):
        assert part.shape == right.shape
        assert kind(part.dtype) == kind(right.dtype)
        np.testing.assert_allclose(np.asarray(part), right, rtol=1e-6 if part.dtype == "float32" else 1e-12)


@pytest.mark.parametrize("index", [0, (slice(None), 1), ([0, 1], [2, 0]), (..., slice(0, 2)), ([True, False],)])
def test_setting_items(engine, index):
    mine, right = engine.tensor(TIES.tolist(), "float64"), TIES.copy()
    mine[index] = 5.0
    right[index] = 5.0
    assert mine.tolist() == right.tolist()
    shape = right[index].shape
    mine[index] = np.arange(math.prod(shape)).reshape(shape).tolist()
    right[index] = np.arange(math.prod(shape)).reshape(shape)
    assert mine.tolist() == right.tolist()


def test_setting_whole_numbers_and_truth(engine):
    x = engine.tensor([1, 2, 3])
    x[1:] = 7
    assert (x.tolist(), x.dtype) == ([1, 7, 7], "int64")
    mask = x > 5
    mask[0] = True
    assert (mask.tolist(), mask.dtype) == ([True, True, True], "bool")


def test_types_meet_as_in_pytorch():
    whole, small, wide = fast.tensor([1]), fast.tensor([1.0]), fast.tensor([1.0], "float64")
    assert (whole * 2).dtype == (whole * (whole > 0)).dtype == "int64"
    assert (whole * 0.5).dtype == (whole * small).dtype == (small * 2.5).dtype == (whole / 2).dtype == "float32"
    assert (small * wide).dtype == (whole + wide).dtype == "float64"
    assert (whole > 0).dtype == "bool"
    assert ((whole > 0) + 1).dtype == "int64"


def test_random_numbers_are_the_same_on_both_engines():
    for draw in (
        lambda e: e.rand(3, 5, seed=1, dtype="float64"),
        lambda e: e.randn((50,), seed=2, dtype="float64"),
        lambda e: e.randint(-3, 9, (40,), seed=3),
        lambda e: e.rand_like(e.zeros(2, 2, dtype="float64"), seed=2**63),
        lambda e: e.randn_like(e.zeros(2, 2, dtype="float64"), seed=5),
    ):
        slow, quick = draw(micro), draw(fast)
        assert slow.dtype == quick.dtype
        np.testing.assert_allclose(np.asarray(quick), np.asarray(slow), rtol=1e-15)


def test_random_numbers_have_their_distribution():
    uniform, normal = fast.rand(200_000, seed=0).numpy(), fast.randn(200_000, seed=0).numpy()
    counts = np.histogram(uniform, 50, (0, 1))[0]
    assert abs(counts / 4000 - 1).max() < 0.08  # five standard deviations
    assert abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 0.012
    assert abs(normal.mean()) < 0.012
    assert normal.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(normal) > 2) == pytest.approx(0.0455, abs=0.003)
    assert set(fast.randint(2, 5, (1000,), seed=1).tolist()) == {2, 3, 4}
    assert not np.array_equal(fast.rand(9, seed=0).numpy(), fast.rand(9, seed=1).numpy())


# ----------------------------------------------------------------------------------------------------------------------
# Memory, and what backward needs of it.


def test_views_share_memory_where_numpys_do():
    x = fast.tensor(A)
    views = [x[1], x[:, 1:3], x.reshape(12, 2), x.view(-1), x.permute(2, 0, 1), x.transpose(0, 1), x.flatten(),
             x.unsqueeze(0), x.squeeze(), x.expand(2, 3, 4, 2), x.split(2, 1)[0], x.detach(), x[1, 2, 0]]  # fmt: skip
    copies = [x[[0, 1]], x[x > 0], x.flip(0), x.repeat(1, 1, 2), fast.cat([x]), x.permute(2, 0, 1).reshape(-1)]
    for view in views:
        assert np.shares_memory(view.data, x.data)
    for copy in copies:
        assert not np.shares_memory(copy.data, x.data)
    with pytest.raises(ValueError, match=r"view.*reading order"):
        x.permute(2, 0, 1).view(-1)


def overwritten(function, write):
    """Whether `backward` refuses after `write`."""
    x, w = (fast.tensor(np.arange(1.0, 5).reshape(2, 2), requires_grad=True) for _ in range(2))
    y = function(x, w)
    with fast.no_grad():
        write(x, w, y)
    try:
        y.sum().backward()
    except ValueError as error:
        return "overwritten" in str(error)
    return False


def test_writing_what_a_pending_backward_needs_is_an_error():
    assert overwritten(lambda x, w: x * w, lambda x, w, y: x.copy_(w))
    assert overwritten(lambda x, w: x * w, lambda x, w, y: w.__setitem__((0, 0), 3.0))
    assert overwritten(lambda x, w: x @ w, lambda x, w, y: w[0].copy_([1.0, 1.0]))  # through a view
    assert overwritten(lambda x, w: x[0] * w, lambda x, w, y: x.copy_(w))  # of a view
    assert overwritten(lambda x, w: x.tanh(), lambda x, w, y: y.copy_(w))
    assert overwritten(lambda x, w: x.exp(), lambda x, w, y: y.__imul__(2.0))
    assert overwritten(lambda x, w: x.softmax(), lambda x, w, y: y.detach().copy_(w))
    assert overwritten(lambda x, w: x.logsumexp(1, keepdim=True), lambda x, w, y: y.__imul__(2.0))


def test_writing_what_no_gradient_needs_is_allowed():
    assert not overwritten(lambda x, w: x + w, lambda x, w, y: (x.copy_(w), y.copy_(w)))
    assert not overwritten(lambda x, w: x.tanh(), lambda x, w, y: x.copy_(w))
    assert not overwritten(lambda x, w: x * w, lambda x, w, y: y.copy_(w))
    assert not overwritten(lambda x, w: x.sum(0) + w.mean(), lambda x, w, y: (x.copy_(w), w.copy_(x)))
    assert not overwritten(lambda x, w: x * w, lambda x, w, y: x.detach())


def test_writing_is_noted_whoever_writes():
    """Each writes into w, which a product has read, without the word for it."""
    for write in (
        lambda w: fast.as_tensor(w).copy_([0.0, 0.0]),
        lambda w: fast.functional.batch_norm(fast.tensor([[1.0, 2.0], [3.0, 5.0]]), w, fast.ones(2), training=True),
        lambda w: nn.SGD([w], lr=0.1).step(),
    ):
        w = fast.tensor([1.0, 2.0], requires_grad=True)
        (w * 2).sum().backward()
        y = (w * w).sum()
        with fast.no_grad():
            write(w)
        with pytest.raises(ValueError, match="overwritten"):
            y.backward()


def test_copies_are_nobody_elses():
    x = fast.tensor(A[0], requires_grad=True)
    y = (x * x).sum()
    with fast.no_grad():
        x.T.reshape(-1)[0] = 9.0  # a copy, for the elements do not lie in reading order
    y.backward()
    places = fast.tensor([0, 1])
    chosen, gathered = x[places], x.gather(0, places.reshape(2, 1))
    places[0] = 3
    x.zero_grad()
    (chosen.sum() + gathered.sum()).backward()
    assert x.grad.tolist() == [[2.0, 1.0], [2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_gradients_are_kept_apart():
    w = fast.tensor([[1.0, 2.0]], requires_grad=True)
    y = w.reshape(2)
    y.retain_grad()
    (y * 3).sum().backward()
    before = w.grad
    nn.clip_grad_norm_([w], 0.1)
    assert y.grad.tolist() == [3.0, 3.0]
    assert before.tolist() == [[3.0, 3.0]]
    constant = fast.tensor([[1.0]])
    fast.cat([w, constant], 1).sum().backward()
    assert constant.grad is None


def test_a_view_does_not_keep_the_graph_of_its_base():
    w = fast.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).tanh()
    alive = weakref.ref(y)
    detached = y.detach()
    del y
    assert alive() is None
    assert detached.shape == (2,)


def test_products_of_nothing(engine):
    for left, right in (((0,), (0,)), ((2, 3, 0), (2, 0, 4)), ((2, 0, 3), (3, 2)), ((2, 0), (0, 3))):
        expected = np.zeros(left) @ np.zeros(right)
        np.testing.assert_array_equal(np.asarray(engine.zeros(left) @ engine.zeros(right)), expected)


def test_float32_keeps_its_digits_beside_large_numbers():
    logits = fast.tensor([[1e6, 1e6 - 2]])
    assert nn.cross_entropy(logits, fast.tensor([0])).item() == pytest.approx(math.log1p(math.exp(-2)), rel=1e-6)
    assert logits.log_softmax().tolist()[0][0] == pytest.approx(-math.log1p(math.exp(-2)), rel=1e-6)
    small = nn.binary_cross_entropy(fast.tensor([1e-8]), fast.tensor([0.0])).item()
    assert small == pytest.approx(1e-8, rel=1e-6)
    assert fast.ones(1 << 20).softmax().sum().item() == pytest.approx(1, abs=1e-6)
    often = fast.tensor([1.0, 1.0], requires_grad=True)
    often[fast.zeros(1 << 25, dtype="int64")].backward(np.ones(1 << 25, "float32"))
    assert often.grad.tolist() == [float(1 << 25), 0.0]


def test_in_micro_the_slopes_are_numbers_so_nothing_can_spoil_them():
    x = micro.tensor([2.0, 3.0])
    y = (x * x).sum()
    x.copy_([0.0, 0.0])
    y.backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_retain_grad_keeps_the_gradient_of_an_intermediate_result():
    x = fast.tensor([2.0, 3.0], requires_grad=True)
    kept, other = x * x, x * 3
    kept.retain_grad()
    (kept * other).sum().backward()
    assert kept.grad.tolist() == [6.0, 9.0]
    assert other.grad is None
    assert x.grad.tolist() == [36.0, 81.0]


def test_arrays_go_in_and_out_without_a_copy():
    x = fast.tensor([[1.0, 2.0]])
    assert np.shares_memory(np.from_dlpack(x), x.data)
    assert np.shares_memory(fast.from_dlpack(x.data).data, x.data)
    assert np.shares_memory(np.asarray(x), x.data)
    assert x.numpy() is x.data


def test_a_single_number_can_be_asked_and_used_as_python_does(engine):
    x = engine.tensor([3, 1, 2])
    assert [10, 20, 30, 40][x[0]] == 40
    assert list(range(x.max())) == [0, 1, 2]
    assert bool(x[0] > x[1])
    assert (int(x[0]), float(x[0])) == (3, 3.0)
    assert x.numel() == len(x) == 3
    with pytest.raises(TypeError, match="whole number"):
        [1, 2][engine.tensor(1.0)]


def test_tensors_are_themselves_in_sets_and_dictionaries(engine):
    a, b = engine.tensor([1.0]), engine.tensor([1.0])
    assert len({a, b, a}) == 2
    assert {a: 1, b: 2}[a] == 1


def test_every_word_is_explained():
    for name, method in vars(Vocabulary).items():
        if not name.startswith("_") and callable(method):
            assert method.__doc__, name
