"""Planes through the loss and paths across them: against formulas and hand-written descents, and no traces left."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

import fast
import micro
import nn

X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.sin(X[:, :1])


def model(engine, seed=0):
    """A model with everything that could be left changed: buffers, calls of dropout, modes, gradients."""
    random = np.random.default_rng(seed)
    layers = [
        nn.Linear(2, 4, engine=engine, seed=random, dtype="float64"),
        nn.BatchNorm1d(4, engine=engine, dtype="float64"),
    ]
    layers += [nn.Dropout(0.5, seed=1), nn.Tanh(), nn.Linear(4, 1, engine=engine, seed=random, dtype="float64")]
    return nn.Sequential(*layers)


def trained(engine, epochs=6):
    network, snapshots = model(engine), nn.Snapshots()
    nn.fit(network, (X, Y), nn.mse_loss, nn.SGD(network.parameters(), lr=0.1), epochs, callbacks=[snapshots])
    network[1].eval()
    return network, list(snapshots.states.values())


def everything(network):
    arrays = {**network.state_dict(), "calls": network[2].calls}
    arrays |= {f"{name}.grad": np.array(p.grad) for name, p in network.named_parameters()}
    return {name: np.array(a).tobytes() for name, a in arrays.items()}, [m.training for m in network.modules()]


# ----------------------------------------------------------------------------------------------------------------------
# Paths.


def test_gradient_descent_in_a_bowl_multiplies_each_coordinate(engine):
    path = nn.descend(nn.bowl, [-1.5, 2.0], lambda p: nn.SGD(p, lr=0.15), 20, engine=engine)
    steps = np.arange(21)[:, None]
    assert path.shape == (21, 2)
    np.testing.assert_allclose(path, np.array([-1.5, 2.0]) * np.array([1 - 0.15, 1 - 1.5]) ** steps, rtol=1e-12)


def test_descent_with_momentum_on_rosenbrock(engine):
    point, velocity, expected = np.array([-1.5, 2.0]), np.zeros(2), []
    for _ in range(51):
        expected.append(point)
        x, y = point
        gradient = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])
        velocity = 0.9 * velocity + gradient
        point = point - 3e-4 * velocity
    path = nn.descend(nn.rosenbrock, [-1.5, 2.0], lambda p: nn.SGD(p, lr=3e-4, momentum=0.9), 50, engine=engine)
    np.testing.assert_allclose(path, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", [nn.RMSprop, nn.Adam])
def test_engines_take_the_same_path(kind):
    paths = [nn.descend(nn.rosenbrock, [-1.0, 1.0], lambda p: kind(p, lr=0.02), 60, engine=e) for e in (micro, fast)]
    np.testing.assert_allclose(*paths, rtol=1e-9)
    assert nn.rosenbrock(paths[0][-1]) < nn.rosenbrock(paths[0][0])


def test_a_path_that_diverges_ends_in_nan(engine):
    path = nn.descend(nn.rosenbrock, [-1.5, 2.0], lambda p: nn.SGD(p, lr=0.01), 20, engine=engine)
    finite = np.isfinite(path).all(axis=1)
    last = np.flatnonzero(finite)[-1]
    assert 3 < last < 12
    assert finite[: last + 1].all()
    assert np.isnan(path[last + 2 :]).all()  # the step after the last may be infinite


def test_a_path_ends_where_the_function_does_though_its_slope_goes_on(engine):
    path = nn.descend(lambda p: p[0] * 1e308, [10.0, 0.0], lambda p: nn.SGD(p, lr=1e-308), 3, engine=engine)
    assert np.isnan(path[1:]).all()


def test_heights_of_a_whole_grid():
    xs, ys = np.linspace(-2, 2, 5), np.linspace(-1, 3, 4)
    for function in (nn.bowl, nn.rosenbrock):
        heights = function(np.meshgrid(xs, ys))
        assert heights.shape == (4, 5)
        assert heights[3, 1] == function((xs[1], ys[3]))
    assert nn.rosenbrock((1.0, 1.0)) == nn.bowl((0.0, 0.0)) == 0
    assert nn.rosenbrock((0.0, 2.0)) == 401
    assert nn.bowl((2.0, 1.0), (3.0, 4.0)) == 8


def test_descents_that_cannot_be(engine):
    def sgd(parameters):
        return nn.SGD(parameters, lr=0.1)

    with pytest.raises(ValueError, match=r"descend: start=\[nan, 1\.0\]"):
        nn.descend(nn.bowl, [np.nan, 1.0], sgd, 5, engine=engine)
    with pytest.raises(ValueError, match="descend: start=3"):
        nn.descend(nn.bowl, 3, sgd, 5, engine=engine)
    with pytest.raises(ValueError, match="descend: steps=0"):
        nn.descend(nn.bowl, [1.0, 1.0], sgd, 0, engine=engine)
    with pytest.raises(TypeError, match="make_optimizer gave"):
        nn.descend(nn.bowl, [1.0, 1.0], lambda p: None, 5, engine=engine)
    with pytest.raises(TypeError, match="the function gave"):
        nn.descend(lambda p: p * 2, [1.0, 1.0], sgd, 5, engine=engine)
    with pytest.raises(TypeError, match="is not an engine"):
        nn.descend(nn.bowl, [1.0, 1.0], sgd, 5, engine=np)


# ----------------------------------------------------------------------------------------------------------------------
# Planes.


def test_heights_are_the_losses_of_the_moved_network(engine):
    network, _ = trained(engine)
    directions = nn.random_directions(network, seed=3)
    xs, ys, heights = nn.loss_plane(network, (X, Y), nn.mse_loss, directions, span=((-1, 1), (0, 2)), resolution=3)
    assert xs.tolist() == [-1, 0, 1]
    assert ys.tolist() == [0, 1, 2]

    def loss(state):
        moved = model(engine)
        moved.load_state_dict(state)
        return np.mean((nn.predict(moved, X) - Y) ** 2)

    state = network.state_dict()
    assert heights[0, 1] == pytest.approx(loss(state), rel=1e-12)
    moves = {name: xs[2] * directions[0][name] + ys[1] * directions[1][name] for name in directions[0]}
    corner = state | {name: state[name] + move for name, move in moves.items()}
    assert heights[1, 2] == pytest.approx(loss(corner), rel=1e-12)


def test_the_model_stays_as_it_is(engine):
    network, snapshots = trained(engine)
    before = everything(network)
    plane = nn.path_directions(network, snapshots)
    nn.loss_plane(network, (X, Y), nn.mse_loss, plane.directions, plane.box(), resolution=3)
    nn.loss_plane(network, (X, Y), nn.mse_loss, nn.random_directions(network, 0), resolution=2)
    assert everything(network) == before
    with pytest.raises(ZeroDivisionError):
        nn.loss_plane(network, (X, Y), lambda p, t: 1 / 0, plane.directions)
    assert everything(network) == before


def test_losses_beyond_all_numbers_are_kept(engine):
    network = nn.Linear(2, 1, engine=engine, seed=0, dtype="float64")
    directions = [{"weight": np.full((1, 2), 1e200), "bias": np.zeros(1)}] * 2
    heights = nn.loss_plane(network, (X, Y), nn.mse_loss, directions, resolution=3).heights
    assert np.isinf(heights[0, 0])
    assert np.isfinite(heights[1, 1])


def test_random_directions_have_filters_as_long_as_the_model():
    random = np.random.default_rng(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, engine=fast, seed=random), nn.BatchNorm2d(4, engine=fast))
    network.append(nn.Linear(4, 5, engine=fast, seed=random))
    first, second = nn.random_directions(network, seed=1)
    for direction in (first, second):
        assert set(direction) == {name for name, _ in network.named_parameters()}
        for name, parameter in network.named_parameters():
            weight, moved = np.array(parameter, float), direction[name]
            if weight.ndim == 1:
                assert not moved.any()
            else:
                lengths = [np.linalg.norm(array.reshape(len(array), -1), axis=1) for array in (weight, moved)]
                np.testing.assert_allclose(*lengths)
    weights = [direction["0.weight"].ravel() for direction in (first, second)]
    assert abs(np.corrcoef(*weights)[0, 1]) < 0.4
    again, _ = nn.random_directions(network, seed=1)
    assert all((again[name] == first[name]).all() for name in first)


def as_vectors(network, states):
    return np.array([np.concatenate([s[name].ravel() for name, _ in network.named_parameters()]) for s in states])


def test_path_directions_are_the_principal_components(engine):
    network, snapshots = trained(engine)
    directions, coordinates, shares = nn.path_directions(network, snapshots)
    vectors = as_vectors(network, snapshots)
    pca = PCA(2).fit(vectors)
    mine = as_vectors(network, directions)
    np.testing.assert_allclose(mine @ mine.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.abs(mine @ pca.components_.T), np.eye(2), atol=1e-6)
    np.testing.assert_allclose(shares, pca.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(
        coordinates, (vectors - as_vectors(network, [network.state_dict()])) @ mine.T, atol=1e-12
    )
    assert (coordinates[0] >= 0).all()
    np.testing.assert_allclose(coordinates[-1], 0, atol=1e-12)  # the model is where the path ended


def test_a_path_in_a_plane_is_found_whole(engine):
    """Then the height of the plane at a snapshot's place is the loss of the snapshot."""
    network, random = nn.MLP([2, 3, 1], "tanh", engine=engine, seed=0, dtype="float64"), np.random.default_rng(5)
    final = network.state_dict()
    legs = [{name: random.normal(size=array.shape) for name, array in final.items()} for _ in range(2)]
    places = random.normal(size=(6, 2))
    snapshots = [{n: a + p * legs[0][n] + q * legs[1][n] for n, a in final.items()} for p, q in places]
    plane = nn.path_directions(network, snapshots)
    assert plane.shares.sum() == pytest.approx(1)
    (x0, x1), (y0, y1) = plane.box()
    assert (plane.coordinates > [x0, y0]).all()
    assert (plane.coordinates < [x1, y1]).all()
    x, y = plane.coordinates[2]
    span = (x, x + 1), (y, y + 1)
    height = nn.loss_plane(network, (X, Y), nn.mse_loss, plane.directions, span, resolution=2).heights[0, 0]
    network.load_state_dict(snapshots[2])
    assert height == pytest.approx(np.mean((nn.predict(network, X) - Y) ** 2), rel=1e-9)


def test_planes_that_cannot_be():
    network, snapshots = trained(fast)
    directions = nn.random_directions(network, 0)
    with pytest.raises(ValueError, match="2 snapshots span no plane"):
        nn.path_directions(network, snapshots[:2])
    with pytest.raises(ValueError, match="all snapshots are alike"):
        nn.path_directions(network, snapshots[:1] * 3)
    broken = {**snapshots[1], "0.weight": np.full((4, 2), np.nan)}
    with pytest.raises(ValueError, match=r"snapshot 1: 0\.weight holds nan"):
        nn.path_directions(network, [snapshots[0], broken, snapshots[2]])
    with pytest.raises(ValueError, match=r"0\.weight has shape none, needed is \(4, 2\)"):
        nn.loss_plane(network, (X, Y), nn.mse_loss, [{}, {}])
    with pytest.raises(TypeError, match="directions are no pair"):
        nn.loss_plane(network, (X, Y), nn.mse_loss, directions[0])
    with pytest.raises(ValueError, match="resolution=1"):
        nn.loss_plane(network, (X, Y), nn.mse_loss, directions, resolution=1)
    for span in (0, -1, np.inf, (1, 2), ((1, 0), (0, 1))):
        with pytest.raises(ValueError, match="loss_plane: span="):
            nn.loss_plane(network, (X, Y), nn.mse_loss, directions, span)
    with pytest.raises(TypeError, match="is not a model"):
        nn.random_directions(X, 0)
    with pytest.raises(ValueError, match="data: X has 12 rows, y 3"):
        nn.loss_plane(network, (X, Y[:3]), nn.mse_loss, directions)
