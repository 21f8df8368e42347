"""Losses: both engines, slopes at corners, bad input, and PyTorch as a witness."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from agreement import against_torch, assert_slopes, assert_twins, train_both
from test_bad_input import refuses
from test_functional import like, numbers

import fast
import nn

TARGET = numbers(7, 3, seed=1)


def pair(name, **settings):
    return lambda f, x: getattr(f, name)(x, like(x, TARGET), **settings)


def classes(name, labels, **settings):
    return lambda f, x: getattr(f, name)(x, like(x, np.array(labels)), **settings)


LABELS, WEIGHTS = np.arange(7) % 3, np.array([1.0, 0.0, 2.5, 0.1, 1.0, 3.0, 0.7])
CLASS_WEIGHTS = np.array([0.2, 3.0, 1.0])


def weighted(name, target, **settings):
    return lambda f, x: getattr(f, name)(x, like(x, target), sample_weight=like(x, WEIGHTS), **settings)


def classed(f, name, x, **settings):
    return getattr(f, name)(x, like(x, LABELS), weight=like(x, CLASS_WEIGHTS), **settings)


def positives(f, x, weight):
    target = like(x, (TARGET > 0).astype(float))
    return f.binary_cross_entropy_with_logits(x, target, pos_weight=like(x, weight))


CASES = {
    "l1_loss": (pair("l1_loss"), [numbers(7, 3)]),
    "l1_loss of a transpose": (lambda f, x: f.l1_loss(x.T, like(x, TARGET)), [numbers(3, 7)]),
    "l1_loss of one number": (lambda f, x: f.l1_loss(x, like(x, np.array(2.0))), [np.array(0.5)]),
    "huber_loss": (pair("huber_loss"), [numbers(7, 3)]),
    "huber_loss, narrow": (pair("huber_loss", delta=0.3), [numbers(7, 3)]),
    "huber_loss, wide": (pair("huber_loss", delta=100), [numbers(7, 3)]),
    "nll_loss": (classes("nll_loss", [0, 2, 2, 1, 0]), [numbers(5, 3)]),
    "nll_loss, one class": (classes("nll_loss", [0]), [numbers(1, 1)]),
    "nll_loss of log_softmax": (lambda f, x: classes("nll_loss", [0, 2, 2])(f, f.log_softmax(x)), [numbers(3, 4)]),
    "cross_entropy": (classes("cross_entropy", [0, 2, 2, 1, 0], label_smoothing=0.1), [numbers(5, 3)]),
    "cross_entropy, no label": (classes("cross_entropy", [0, 2, 1], label_smoothing=1), [numbers(3, 3)]),
    "cross_entropy, one class": (classes("cross_entropy", [0, 0], label_smoothing=0.5), [numbers(2, 1)]),
    "cross_entropy of large numbers": (
        lambda f, x: classes("cross_entropy", [0, 2, 1], label_smoothing=0.2)(f, x * 999),
        [numbers(3, 3)],
    ),
    **{
        f"{name}, weighted": (weighted(name, labels, **settings), [values])
        for name, labels, values, settings in [
            ("mse_loss", TARGET, numbers(7, 3), {}),
            ("l1_loss", TARGET, numbers(7, 3), {}),
            ("huber_loss", TARGET, numbers(7, 3), {"delta": 0.3}),
            ("hinge_loss", np.sign(TARGET), numbers(7, 3), {}),
            ("binary_cross_entropy", 1 / (1 + np.exp(TARGET)), 1 / (1 + np.exp(numbers(7, 3))), {}),
            ("binary_cross_entropy_with_logits", 1 / (1 + np.exp(TARGET)), numbers(7, 3), {}),
            ("nll_loss", LABELS, numbers(7, 3), {}),
            ("cross_entropy", LABELS, numbers(7, 3), {"label_smoothing": 0.2}),
        ]
    },
    **{
        f"{name}, classes weighted": (lambda f, x, name=name: classed(f, name, x), [numbers(7, 3)])
        for name in ("nll_loss", "cross_entropy")
    },
    "cross_entropy, classes weighted, smoothed": (
        lambda f, x: classed(f, "cross_entropy", x * 100, label_smoothing=0.3),
        [numbers(7, 3)],
    ),
    "cross_entropy, all weights": (
        lambda f, x: classed(f, "cross_entropy", x, label_smoothing=0.3, sample_weight=like(x, WEIGHTS)),
        [numbers(7, 3)],
    ),
    "pos_weight": (lambda f, x: positives(f, x, np.array(3.0)), [numbers(7, 3) * 50]),
    "pos_weight of columns": (lambda f, x: positives(f, x, np.array([0.5, 2.0, 0.0])), [numbers(7, 3)]),
    "l1_penalty": (lambda f, a, b: f.l1_penalty([a, b]), [numbers(3, 4), numbers(5)]),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_fast_against_the_loops(name, dtype):
    assert_twins(*CASES[name], dtype)


@pytest.mark.parametrize("name", CASES)
def test_loops_against_finite_differences(name):
    assert_slopes(*CASES[name])


def test_slopes_at_corners(engine):
    def slopes(loss, error, **settings):
        x = engine.tensor(error, "float64", requires_grad=True)
        loss(x, engine.tensor([0.0] * len(error), "float64"), **settings).backward()
        return np.asarray(x.grad).tolist()

    assert slopes(nn.l1_loss, [0.0, -0.0, 2.0, -2.0]) == [0.0, 0.0, 0.25, -0.25]
    assert slopes(nn.huber_loss, [0.0, 0.5, -0.5, 3.0], delta=0.5) == [0.0, 0.125, -0.125, 0.125]


def test_divergence_is_not_hidden(engine):
    target = engine.tensor([0.0, 0.0])
    for bad in (math.nan, math.inf):
        for loss in (nn.l1_loss, nn.huber_loss):
            assert not math.isfinite(loss(engine.tensor([bad, 0.0]), target).item())
        assert not math.isfinite(nn.nll_loss(engine.tensor([[bad, 0.0]]), engine.tensor([0])).item())


def test_cross_entropy_is_the_nll_loss_of_log_softmax(engine):
    x, labels = engine.tensor(numbers(5, 3).tolist(), "float64"), engine.tensor([0, 1, 2, 1, 0])
    plain = nn.cross_entropy(x, labels).item()
    assert nn.nll_loss(x.log_softmax(), labels).item() == pytest.approx(plain, rel=1e-12)
    smooth = nn.cross_entropy(x, labels, label_smoothing=0.3).item()
    assert smooth == pytest.approx(0.7 * plain - 0.3 * x.log_softmax().mean().item(), rel=1e-12)


LOSSES = {
    "l1_loss": nn.l1_loss,
    "huber_loss": lambda p, t: nn.huber_loss(p, t, delta=0.5),
    "nll_loss": lambda p, t: nn.nll_loss(p.log_softmax(), t),
    "cross_entropy": lambda p, t: nn.cross_entropy(p, t, label_smoothing=0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_training_as_twins(name):
    x = numbers(24, 3)
    labels = name in ("nll_loss", "cross_entropy")

    def build(engine):
        return nn.MLP([3, 5, 3 if labels else 1], "tanh", engine=engine, seed=1, dtype="float64")

    train_both(build, (x, x.argmax(1) if labels else x[:, :1] + 2), LOSSES[name], lr=0.1)


def test_bad_input(engine):
    x, y = engine.tensor([[1.0], [2.0]], "float64"), engine.tensor([1.0, 2.0], "float64")
    labels = engine.tensor([0, 1])
    for loss in (nn.l1_loss, nn.huber_loss):
        refuses(lambda loss=loss: loss(x, y), ValueError, loss.__name__, "(2, 1)", "(2,)", "reshape(-1, 1)")
        refuses(lambda loss=loss: loss(labels, y), TypeError, loss.__name__, "int64")
        refuses(lambda loss=loss: loss(y, [1.0, 2.0]), TypeError, loss.__name__, "list")
    for delta in (0, -1.0, math.nan, "1", True):
        refuses(lambda delta=delta: nn.huber_loss(y, y, delta=delta), ValueError, "huber_loss", f"delta={delta!r}")
    scores = engine.tensor(numbers(2, 3).tolist())
    refuses(lambda: nn.nll_loss(scores, engine.tensor([0, 3])), ValueError, "nll_loss", "label 3", "row 1", "3 classes")
    refuses(lambda: nn.nll_loss(scores, engine.tensor([-1, 0])), ValueError, "nll_loss", "label -1", "row 0")
    refuses(lambda: nn.nll_loss(scores, y), TypeError, "nll_loss", "integers")
    refuses(lambda: nn.nll_loss(y, labels), ValueError, "nll_loss", "log_probabilities", "(2,)")
    for share in (-0.1, 1.5, math.nan, "0.1"):
        refuses(
            lambda share=share: nn.cross_entropy(scores, labels, label_smoothing=share),
            ValueError,
            f"label_smoothing={share!r}",
        )


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    f, reference = fast.functional, torch.nn.functional
    errors = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 3.0])
    zeros, labels = np.zeros(6), np.array([0, 2, 1, 2, 0])
    for name, settings in (("l1_loss", {}), ("huber_loss", {}), ("huber_loss", {"delta": 0.5})):
        against_torch(
            torch,
            lambda x, name=name, settings=settings: getattr(f, name)(x, fast.tensor(zeros), **settings),
            lambda x, name=name, settings=settings: getattr(reference, name)(x, torch.tensor(zeros), **settings),
            [errors],
        )
    for name, settings in (("nll_loss", {}), ("cross_entropy", {}), ("cross_entropy", {"label_smoothing": 0.2})):
        against_torch(
            torch,
            lambda x, name=name, settings=settings: getattr(f, name)(x, fast.tensor(labels), **settings),
            lambda x, name=name, settings=settings: getattr(reference, name)(x, torch.tensor(labels), **settings),
            [numbers(5, 3)],
        )


# ----------------------------------------------------------------------------------------------------------------------
# Weights.


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith(", weighted")])
def test_weights_of_samples_multiply_their_losses(name, engine):
    function, (values,) = CASES[name]
    loss, x = getattr(nn, name.partition(",")[0]), engine.tensor(values.tolist(), "float64")
    seen = []

    def of_each(prediction, target, sample_weight, **settings):
        for n in range(7):
            seen.append(loss(prediction[n : n + 1], target[n : n + 1], **settings).item())
        return loss(prediction, target, sample_weight=sample_weight, **settings)

    weighted_mean = function(SimpleNamespace(**{loss.__name__: of_each}), x).item()
    assert weighted_mean == pytest.approx((np.array(seen) * WEIGHTS).sum() / 7, rel=1e-12)


def test_weights_of_one_change_nothing(engine):
    x, labels = engine.tensor(numbers(7, 3).tolist(), "float64"), engine.tensor(LABELS.tolist())
    for settings in ({"weight": [1, 1, 1]}, {"sample_weight": [1] * 7}, {"weight": [4.0, 4.0, 4.0]}):
        assert nn.cross_entropy(x, labels, **settings).item() == pytest.approx(
            nn.cross_entropy(x, labels).item(), rel=1e-13
        )
    target = engine.tensor((TARGET > 0).astype(float).tolist(), "float64")
    plain = nn.binary_cross_entropy_with_logits(x, target).item()
    assert nn.binary_cross_entropy_with_logits(x, target, pos_weight=1).item() == pytest.approx(plain, rel=1e-13)


def test_a_class_counts_as_if_its_rows_came_several_times(engine):
    """With whole weights, the weighted mean is the mean over repeated rows."""
    x, often = numbers(7, 3), np.array([1, 3, 2])[LABELS]
    once = nn.cross_entropy(engine.tensor(x.tolist()), engine.tensor(LABELS.tolist()), weight=[1, 3, 2]).item()
    repeated = engine.tensor(x.repeat(often, 0).tolist()), engine.tensor(LABELS.repeat(often).tolist())
    assert once == pytest.approx(nn.cross_entropy(*repeated).item(), rel=1e-6)


def test_divergence_is_not_hidden_by_weights(engine):
    x = engine.tensor([[math.nan, 0.0], [1.0, 2.0]])
    assert math.isnan(nn.cross_entropy(x, engine.tensor([0, 1]), weight=[1.0, 2.0]).item())
    assert math.isnan(nn.cross_entropy(x[1:], engine.tensor([1]), weight=[1.0, 0.0]).item())  # 0 / 0, as in PyTorch


def test_l1_penalty_has_no_slope_at_0(engine):
    p = engine.tensor([2.0, -0.5, 0.0], requires_grad=True)
    penalty = nn.l1_penalty([p])
    (penalty * 3).backward()
    assert (penalty.item(), np.asarray(p.grad).tolist()) == (2.5, [3.0, -3.0, 0.0])


def test_weights_that_cannot_be(engine):
    x, labels = engine.tensor(numbers(7, 3).tolist()), engine.tensor(LABELS.tolist())
    for loss in (nn.cross_entropy, nn.nll_loss):
        name = loss.__name__
        refuses(lambda loss=loss: loss(x, labels, weight=[1, 2]), ValueError, name, "weight", "(2,)", "(3,)", "class")
        refuses(lambda loss=loss: loss(x, labels, sample_weight=[1, 2]), ValueError, name, "(2,)", "(7,)", "sample")
    refuses(
        lambda: nn.mse_loss(x, x, sample_weight=[[1.0]] * 7), ValueError, "mse_loss", "sample_weight", "(7, 1)", "(7,)"
    )
    bce = nn.binary_cross_entropy_with_logits
    refuses(lambda: bce(x, x.sigmoid(), pos_weight=[1, 2]), ValueError, "pos_weight", "(2,)", "(7, 3)", "column")
    refuses(lambda: nn.l1_penalty([]), ValueError, "l1_penalty", "model.parameters()")


def test_weights_against_pytorch():
    torch = pytest.importorskip("torch")
    f, reference = fast.functional, torch.nn.functional
    ours, theirs = fast.tensor(CLASS_WEIGHTS), torch.tensor(CLASS_WEIGHTS)
    for name, settings in (("nll_loss", {}), ("cross_entropy", {}), ("cross_entropy", {"label_smoothing": 0.2})):
        against_torch(
            torch,
            lambda x, name=name, s=settings: getattr(f, name)(x, fast.tensor(LABELS), weight=ours, **s),
            lambda x, name=name, s=settings: getattr(reference, name)(x, torch.tensor(LABELS), weight=theirs, **s),
            [numbers(7, 3)],
        )
    target = (TARGET > 0).astype(float)
    for weight in (np.array(3.0), CLASS_WEIGHTS):
        against_torch(
            torch,
            lambda x, w=weight: f.binary_cross_entropy_with_logits(x, fast.tensor(target), pos_weight=fast.tensor(w)),
            lambda x, w=weight: reference.binary_cross_entropy_with_logits(
                x, torch.tensor(target), pos_weight=torch.tensor(w)
            ),
            [numbers(7, 3) * 30],
        )
    against_torch(torch, lambda x: f.l1_penalty([x]), lambda x: x.abs().sum(), [np.array([1.0, -2.0, 0.0])])
