"""Embedding: rows looked up and gradients added up on both engines, the layer, and PyTorch as a witness."""

import numpy as np
import pytest
from agreement import assert_slopes, assert_twins, on_all_cores, train_both
from test_bad_input import refuses
from test_functional import like, numbers

import fast
import nn


def lookup(*shape, rows=5):
    indices = np.random.default_rng(list(shape)).integers(0, rows, shape)
    return lambda f, weight: f.embedding(like(weight, indices), weight)


CASES = {
    "a vector": (lookup(7), [numbers(5, 3)]),
    "a matrix": (lookup(3, 4), [numbers(5, 3)]),
    "three dimensions": (lookup(2, 3, 2), [numbers(5, 1)]),
    "one index": (lambda f, w: f.embedding(like(w, np.array(2)), w), [numbers(5, 3)]),
    "one row": (lookup(4, rows=1), [numbers(1, 3)]),
    "most rows unused": (lookup(4, rows=50), [numbers(50, 3)]),
    "a transpose": (lambda f, w: lookup(4)(f, w.T), [numbers(3, 5)]),
    "transposed indices": (lambda f, w: f.embedding(like(w, np.arange(4).reshape(2, 2).T), w), [numbers(5, 3)]),
    "used twice": (lambda f, w: lookup(4)(f, w) * lookup(4)(f, w * 2), [numbers(5, 3)]),
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


def test_gradients_of_float32_keep_their_digits():
    weight = fast.tensor(np.zeros((2, 1)), "float32", requires_grad=True)
    indices = fast.tensor(np.zeros(1 << 22, int))
    fast.functional.embedding(indices, weight).backward(np.full((1 << 22, 1), 0.1))
    assert weight.grad.data[0, 0] == pytest.approx(float(np.float32(0.1)) * (1 << 22), rel=1e-6)
    assert weight.grad.data[1, 0] == 0


def test_the_indices_may_be_overwritten_before_the_way_back():
    indices, weight = fast.tensor([0, 1]), fast.tensor(numbers(3, 2), requires_grad=True)
    y = fast.functional.embedding(indices, weight)
    indices.copy_([2, 2])
    y.sum().backward()
    assert weight.grad.tolist() == [[1, 1], [1, 1], [0, 0]]


def test_no_indices():
    none, weight = fast.tensor(np.empty((2, 0), int)), fast.tensor(numbers(3, 4), requires_grad=True)
    y = fast.functional.embedding(none, weight)
    assert y.shape == (2, 0, 4)
    y.sum().backward()
    assert not weight.grad.data.any()


def test_the_layer(engine):
    layer = nn.Embedding(1000, 40, engine=engine, seed=0, dtype="float64")
    assert repr(layer) == "Embedding(1000, 40)"
    numbers = layer.state_dict()["weight"]
    assert abs(numbers.mean()) < 0.02
    assert numbers.std() == pytest.approx(1, abs=0.02)
    y = layer(engine.tensor([[3, 999], [0, 3]]))
    np.testing.assert_array_equal(np.asarray(y), numbers[[[3, 999], [0, 3]]])


class Letters(nn.Module):
    """A guess from two letters; `fit` hands over numbers of the model's type."""

    def __init__(self, engine):
        super().__init__()
        self.table = nn.Embedding(6, 3, engine=engine, seed=1, dtype="float64")
        self.out = nn.Linear(6, 4, engine=engine, seed=2, dtype="float64")

    def forward(self, x):
        return self.out(self.table(x.to("int64")).reshape(-1, 6))


def test_training_as_twins():
    x = np.random.default_rng(0).integers(0, 6, (24, 2))
    train_both(Letters, (x, x.sum(1) % 4), nn.cross_entropy, lr=0.3)


def test_bad_input(engine):
    f, weight = engine.functional, engine.tensor(numbers(5, 3).tolist())
    indices = [[1, 4], [2, 5], [7, 0]]
    refuses(lambda: f.embedding(engine.tensor(indices), weight), IndexError, "index 5", "(1, 1)", "5 rows", "0 to 4")
    refuses(lambda: f.embedding(engine.tensor([0, -1]), weight), IndexError, "index -1", "(1,)", "5 rows")
    refuses(lambda: f.embedding(engine.tensor(5), weight), IndexError, "index 5", "place ()")
    refuses(lambda: f.embedding(engine.tensor([1.0]), weight), TypeError, "float", "integers")
    refuses(lambda: f.embedding([1], weight), TypeError, "list", ".tensor(")
    refuses(lambda: f.embedding(engine.tensor([1]), weight[0]), ValueError, "(3,)", "(num_embeddings, embedding_dim)")
    refuses(lambda: f.embedding(engine.tensor([1]), engine.tensor([[1, 2]])), TypeError, "int64")
    refuses(lambda: nn.Embedding(0, 3, engine=engine, seed=0), ValueError, "num_embeddings=0")
    refuses(lambda: nn.Embedding(3, 2.5, engine=engine, seed=0), ValueError, "embedding_dim=2.5")


def test_against_pytorch(engine):
    torch = pytest.importorskip("torch")
    reference = torch.nn.Embedding(5, 3, dtype=torch.float64)
    layer = nn.Embedding(5, 3, engine=engine, seed=0, dtype="float64")
    layer.load_state_dict({name: tensor.numpy() for name, tensor in reference.state_dict().items()})
    indices, weights = np.array([[0, 4, 4], [1, 0, 4]]), numbers(2, 3, 3)
    y, expected = layer(engine.tensor(indices.tolist())), reference(torch.tensor(indices))
    np.testing.assert_array_equal(np.asarray(y), expected.detach().numpy())
    y.backward(weights.tolist())
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(np.asarray(layer.weight.grad), reference.weight.grad.numpy(), rtol=1e-12)
