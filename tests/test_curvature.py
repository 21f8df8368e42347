"""The sharpness of a loss against Hessians that are known, and what it says about training."""

import math
from itertools import pairwise

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import fast
import nn
from nn.curvature import largest_eigenvalue

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(10, 3))
Y = RANDOM.normal(size=(10, 1))


def test_a_quadratic_whose_hessian_is_known(engine):
    model = nn.Linear(3, 1, bias=False, engine=engine, seed=1, dtype="float64")
    expected = np.linalg.eigvalsh(2 * X.T @ X / len(X))[-1]
    assert nn.sharpness(model, (X, Y), nn.mse_loss) == pytest.approx(expected, rel=1e-9)


def exact_hessian(model, sizes):
    """By autograd, twice through the formulas of the network."""
    shapes = [shape for a, b in pairwise(sizes) for shape in ((b, a), (b,))]

    def loss(flat):
        parameters, start = [], 0
        for shape in shapes:
            parameters.append(flat[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        h = X
        for i in range(0, len(parameters), 2):
            h = h @ parameters[i].T + parameters[i + 1]
            h = anp.tanh(h) if i + 2 < len(parameters) else h
        return anp.mean((h - Y) ** 2)

    return autograd.hessian(loss)(np.concatenate([np.asarray(p, "float64").ravel() for p in model.parameters()]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_against_its_exact_hessian(engine, seed):
    sizes = [3, 4, 1]
    model = nn.MLP(sizes, "tanh", engine=engine, seed=seed, dtype="float64")
    expected = np.linalg.eigvalsh(exact_hessian(model, sizes))[-1]
    assert nn.sharpness(model, (X, Y), nn.mse_loss) == pytest.approx(expected, rel=1e-8)


def test_float32_is_good_to_four_digits():
    sizes = [3, 8, 1]
    model = nn.MLP(sizes, "tanh", engine=fast, seed=1)
    expected = np.linalg.eigvalsh(exact_hessian(model, sizes))[-1]
    assert nn.sharpness(model, (X, Y), nn.mse_loss) == pytest.approx(expected, rel=2e-4)


def test_the_largest_is_not_the_largest_in_size():
    for matrix in (np.diag([-9.0, 1.0, 2.0]), np.zeros((4, 4)), -np.eye(3), np.eye(5), np.array([[-3.0]])):
        start = np.random.default_rng(1).normal(size=len(matrix))
        expected = np.linalg.eigvalsh(matrix)[-1]
        assert largest_eigenvalue(matrix.dot, start, 1e-6) == pytest.approx(expected, abs=1e-12)


def test_large_matrices_need_few_products():
    random = np.random.default_rng(2)
    basis = np.linalg.qr(random.normal(size=(300, 300)))[0]
    spectrum = np.sort(np.concatenate([random.normal(size=290), np.linspace(3, 20, 10)]))
    products = []

    def product(v):
        products.append(v)
        return basis @ (spectrum * (basis.T @ v))

    assert largest_eigenvalue(product, random.normal(size=300), 1e-5) == pytest.approx(20, rel=1e-9)
    assert len(products) < 40


def test_the_model_is_left_as_it_was(engine):
    model = nn.Sequential(
        *(nn.Linear(3, 4, engine=engine, seed=1), nn.BatchNorm1d(4, engine=engine), nn.Tanh()),
        *(nn.Dropout(0.5, seed=2), nn.Linear(4, 1, engine=engine, seed=3)),
    )
    nn.fit(model, (X, Y), nn.mse_loss, nn.SGD(model.parameters(), lr=0.1), 2)
    state, calls = model.state_dict(), model[3].calls
    gradients = [np.array(p.grad) for p in model.parameters()]
    first = nn.sharpness(model, (X, Y), nn.mse_loss)
    assert first == nn.sharpness(model, (X, Y), nn.mse_loss) > 0
    assert model[3].calls == calls
    assert all(module.training for module in model.modules())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(np.asarray(p.grad), gradient)


def test_recording_does_not_disturb_training():
    runs = []
    recorder = nn.RecordSharpness((X, Y), nn.mse_loss, every=3)
    for callbacks in ([], [recorder]):
        model = nn.MLP([3, 4, 1], "tanh", engine=fast, seed=1, dtype="float64")
        optimizer = nn.Adam(model.parameters(), lr=0.01)
        runs.append(nn.fit(model, (X, Y), nn.mse_loss, optimizer, 9, callbacks=callbacks).step_loss)
    assert runs[0] == runs[1]
    assert len(recorder.values) == 4  # at steps 0, 3, 6 and 9
    assert recorder.values[-1] == nn.sharpness(model, (X, Y), nn.mse_loss)


def test_the_edge_of_stability():
    """Below half of 2 / lambda the loss falls in every step; near it, it rises in many and yet training arrives, with
    the eigenvalue at 2 / lr; from twice of it, it diverges within ten steps (Cohen et al. 2021)."""
    datasets = pytest.importorskip("sklearn.datasets")
    points, side = datasets.make_moons(100, noise=0.1, random_state=1)
    data = points, (2.0 * side - 1).reshape(-1, 1)

    def run(share, steps=2000):
        model = nn.MLP([2, 16, 1], "tanh", engine=fast, seed=1337, dtype="float64")
        lr = share * 2 / nn.sharpness(model, data, nn.mse_loss)
        losses = nn.fit(model, data, nn.mse_loss, nn.SGD(model.parameters(), lr=lr), steps).step_loss
        return losses, nn.sharpness(model, data, nn.mse_loss) * lr / 2

    losses, level = run(0.4)
    assert (np.diff(losses) < 0).all()
    assert level < 1
    for share in (0.8, 1.0):
        losses, level = run(share)
        assert 0.1 < np.mean(np.diff(losses) > 0) < 0.45
        assert losses[-1] < 0.1 * losses[0]
        assert level == pytest.approx(1, abs=0.1)
    with pytest.warns(nn.DivergenceWarning):
        losses, _ = run(2.0)
    verdict = nn.diagnose(losses)
    assert verdict.name == "diverged"
    assert int(verdict.how.removeprefix("at step ")) <= 10


def test_a_model_that_diverged_has_no_sharpness(engine):
    model = nn.Linear(3, 1, engine=engine, seed=1)
    model.weight.copy_(np.full((1, 3), math.inf))
    assert math.isnan(nn.sharpness(model, (X, Y), nn.mse_loss))


def test_what_has_no_sharpness_is_refused():
    model = nn.Linear(3, 1, engine=fast, seed=1)
    with pytest.raises(TypeError, match="sharpness: model=3"):
        nn.sharpness(3, (X, Y), nn.mse_loss)
    with pytest.raises(TypeError, match="single number"):
        nn.sharpness(model, (X, Y), lambda prediction, target: prediction)
    with pytest.raises(ValueError, match="does not depend"):
        nn.sharpness(model, (X, Y), lambda prediction, target: prediction.detach().sum())
    with pytest.raises(ValueError, match="sharpness: data: X is empty"):
        nn.sharpness(model, (X[:0], Y[:0]), nn.mse_loss)
    with pytest.raises(ValueError, match="every=0"):
        nn.RecordSharpness((X, Y), nn.mse_loss, every=0)
