"""Dropout: the same masks on both engines, in any order; what they look like; and the layer."""

import math

import numpy as np
import pytest
from agreement import assert_slopes, assert_twins, on_all_cores, train_both
from test_bad_input import refuses
from test_functional import numbers

import fast
import nn
from micro.randomness import uniform

CASES = {
    "dropout": (lambda f, x: f.dropout(x, seed=1), [numbers(7, 3)]),
    "one element": (lambda f, x: f.dropout(x, 0.3, seed=2), [numbers(1)]),
    "no dimensions": (lambda f, x: f.dropout(x, 0.3, seed=0), [np.array(1.5)]),
    "many elements": (lambda f, x: f.dropout(x, 0.1, seed=3), [numbers(5, 7, 31)]),
    "of a transpose": (lambda f, x: f.dropout(x.T, 0.6, seed=4), [numbers(5, 7)]),
    "all": (lambda f, x: f.dropout(x, 1, seed=5), [numbers(5, 7)]),
    "none": (lambda f, x: f.dropout(x, 0, seed=6) * 2, [numbers(5, 7)]),
    "off": (lambda f, x: f.dropout(x, 0.5, False, seed=7) * 2, [numbers(5, 7)]),
    "huge seed": (lambda f, x: f.dropout(x, 0.5, seed=2**64 - 3), [numbers(5, 7)]),
    "negative seed": (lambda f, x: f.dropout(x, 0.5, seed=-3), [numbers(5, 7)]),
    "twice": (lambda f, x: f.dropout(f.dropout(x, 0.5, seed=1), 0.5, seed=2), [numbers(5, 7)]),
}


@pytest.mark.parametrize("cores", ["one core", "all cores"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_fast_against_the_loops(name, dtype, cores, monkeypatch):
    on_all_cores(monkeypatch, cores == "all cores")
    assert_twins(*CASES[name], dtype)


@pytest.mark.parametrize("name", CASES)
def test_loops_against_finite_differences(name):
    assert_slopes(*CASES[name])


def test_the_random_numbers_are_those_of_splitmix64():
    """The first numbers of the generator for two seeds, from the reference implementation in C by Sebastiano Vigna."""
    for seed, expected in (
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]),
    ):
        assert [uniform(seed, i) for i in range(3)] == [(z >> 11) / 2**53 for z in expected]


def test_an_element_is_dropped_where_its_number_is_below_p(engine):
    x, number = engine.tensor([1.0]), uniform(8, 0)
    assert engine.functional.dropout(x, number, seed=8).item() > 0
    assert engine.functional.dropout(x, math.nextafter(number, 1), seed=8).item() == 0


def test_masks_do_not_depend_on_shape_order_or_cores(monkeypatch):
    whole = fast.tensor(np.ones((300, 401)))
    masks = []
    for cores in (True, False):
        on_all_cores(monkeypatch, cores)
        masks.append(fast.functional.dropout(whole, 0.4, seed=9).data)
    assert (masks[0] == masks[1]).all()
    flat = fast.functional.dropout(whole.reshape(-1), 0.4, seed=9).data
    assert (flat == masks[0].ravel()).all()
    assert (fast.functional.dropout(whole[:3], 0.4, seed=9).data == masks[0][:3]).all()


def test_masks_look_random():
    """Shares, and the correlation between neighbours, seeds and calls, within four standard deviations."""
    count, p = 1 << 20, 0.3
    x = fast.tensor(np.ones((count,)))

    def dropped(seed):
        return fast.functional.dropout(x, p, seed=seed).data == 0

    first, spread = dropped(11), 4 / math.sqrt(count)
    assert abs(first.mean() - p) < spread * math.sqrt(p * (1 - p))
    layer = nn.Dropout(p, seed=11)
    calls = [layer(x).data == 0 for _ in range(2)]
    pairs = [(first, dropped(12)), (first[1:], first[:-1]), (first[64:], first[:-64]), calls]
    for one, other in pairs:
        assert abs(np.corrcoef(one, other)[0, 1]) < spread


def test_kept_elements_keep_the_mean():
    y = fast.functional.dropout(fast.tensor(np.ones((1 << 20,))), 0.75, seed=0).data
    assert set(y.tolist()) == {0.0, 4.0}
    assert y.mean() == pytest.approx(1, rel=0.01)


def test_divergence_is_not_hidden(engine):
    y = engine.functional.dropout(engine.tensor([math.nan] * 8), 0.5, seed=0)
    assert all(math.isnan(number) for number in y.tolist())


class TestLayer:
    def test_every_call_has_its_own_mask_and_a_seed_repeats_them(self, engine):
        x = engine.tensor([1.0] * 64)
        layer, same = nn.Dropout(0.5, seed=3), nn.Dropout(0.5, seed=3)
        masks = [layer(x).tolist() for _ in range(3)]
        assert [same(x).tolist() for _ in range(3)] == masks
        assert masks[0] != masks[1] != masks[2] != masks[0]
        layer.calls = 1
        assert layer(x).tolist() == masks[1]
        assert nn.Dropout(0.5, seed=4)(x).tolist() not in masks

    def test_evaluation_changes_nothing(self, engine):
        x = engine.tensor([1.0, 2.0])
        layer = nn.Dropout(0.9, seed=0).eval()
        assert layer(x) is x
        assert layer.calls == 0

    def test_one_generator_serves_several_layers(self, engine):
        x, random = engine.tensor([1.0] * 64), np.random.default_rng(0)
        assert nn.Dropout(seed=random)(x).tolist() != nn.Dropout(seed=random)(x).tolist()

    def test_what_it_says(self):
        assert repr(nn.Dropout(0.2, seed=0)) == "Dropout(p=0.2)"

    def test_training_as_twins(self):
        def build(engine):
            layers = [nn.Linear(3, 8, engine=engine, seed=1, dtype="float64"), nn.Tanh(), nn.Dropout(0.2, seed=3)]
            return nn.Sequential(*layers, nn.Linear(8, 1, engine=engine, seed=2, dtype="float64"))

        x = numbers(24, 3)
        train_both(build, (x, x[:, :1] + 2), nn.mse_loss)


def test_bad_input(engine):
    f, x = engine.functional, engine.tensor([1.0, 2.0])
    for p in (-0.1, 1.1, math.nan, "0.5", True, None):
        refuses(lambda p=p: f.dropout(x, p, seed=0), ValueError, "dropout", f"p={p!r}")
        refuses(lambda p=p: nn.Dropout(p, seed=0), ValueError, "Dropout", f"p={p!r}")
    for seed in (1.5, None, "1", True):
        refuses(lambda seed=seed: f.dropout(x, seed=seed), TypeError, f"seed={seed!r}")
    refuses(lambda: f.dropout(engine.tensor([1, 2]), seed=0), TypeError, "int64")
    refuses(lambda: nn.Dropout(seed=0)([1.0]), TypeError, "Dropout", "list", "tensor")
    refuses(lambda: nn.Dropout(seed=-1), ValueError, "seed=-1")


def test_against_pytorch():
    """Its masks are others; shares, scale and the way back are the same."""
    torch = pytest.importorskip("torch")
    x = torch.ones(1 << 16, requires_grad=True)
    y = torch.nn.functional.dropout(x, 0.2)
    y.sum().backward()
    mine = fast.tensor(np.ones(1 << 16), "float32", requires_grad=True)
    z = fast.functional.dropout(mine, 0.2, seed=0)
    z.sum().backward()
    assert set(z.tolist()) == set(y.tolist()) == {0.0, 1.25}
    assert (np.asarray(mine.grad) == z.data).all()
    assert abs((z.data == 0).mean() - (y == 0).double().mean().item()) < 0.01
