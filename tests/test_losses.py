"""Losses: both engines, slopes at corners, bad input, and PyTorch as a witness."""

import math

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
