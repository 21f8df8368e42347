"""Trainability maps: many trainings against the definition, tile by tile, and what is read off them."""

import dataclasses
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
import pytest
from safetensors.numpy import save_file

import fast
import micro
import nn
import viz
from fast.kernels import trainability as kernels
from nn import trainability

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=7)
W0, W1 = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=5)
#: From far too small to far too large, the second and the fourth for one layer each.
RATES = np.array([[1e-3, 1e-3], [3.0, 0.1], [1.0, 1.0], [0.1, 30.0], [1e3, 1e3], [1e200, 1e200]])
OFFSETS = np.array([0.0, 0.5, -0.3, 1.0, 10.0, 0.0])


def train(engine, steps, rates=RATES, **settings):
    """The three results, as a matrix with a row for each run."""
    tensors = [engine.tensor(array, "float64") for array in (X, Y, W0, W1, rates)]
    return np.stack(
        [np.asarray(part) for part in engine.functional.train_two_layers(*tensors, steps=steps, **settings)]
    ).T


def extras(engine, names, steps):
    batches = np.random.default_rng(1).integers(0, len(X), (steps, 4))
    given = {"offsets": engine.tensor(OFFSETS, "float64"), "batches": engine.tensor(batches)}
    return {name: given[name] for name in names}


# ----------------------------------------------------------------------------------------------------------------------
# The runs.


@pytest.mark.parametrize("names", [(), ("offsets",), ("batches",)], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
def test_both_engines_train_the_same_runs(activation, names):
    mine, theirs = [train(engine, 8, activation=activation, **extras(engine, names, 8)) for engine in (fast, micro)]
    np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    assert theirs[0, 2] < 1 < theirs[4, 2]  # some learn, and some diverge


def test_the_first_loss_is_the_unit_and_the_last_twenty_make_the_mean():
    one = train(micro, 1)
    np.testing.assert_array_equal(one, np.ones((len(RATES), 3)))
    sums = np.stack([train(fast, steps)[:3, 0] for steps in range(1, 25)])
    v = np.vstack([np.ones(3), np.diff(sums, axis=0)])
    np.testing.assert_allclose(train(fast, 24)[:3, 2], v[-20:].mean(axis=0))
    np.testing.assert_allclose(train(fast, 24)[:3, 1], (1 / v).sum(axis=0))


def test_ending_a_lost_run_early_is_running_on():
    """`micro` runs on with infinities and nan."""
    lost = RATES[3:]
    mine, theirs = train(fast, 60, lost), train(micro, 60, lost)
    np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    assert (theirs[1:, 2] == 1e6).all()


def test_a_run_depends_on_nothing_but_its_settings(monkeypatch):
    rates = np.geomspace(1e-3, 1e3, 74).reshape(37, 2)
    together = train(fast, 30, rates)
    for run in (0, 17, 36):
        np.testing.assert_array_equal(train(fast, 30, rates[run : run + 1])[0], together[run])
    tensors = [np.ascontiguousarray(array) for array in (X, X.T, Y, W0, W1, rates, np.zeros(37))]
    for threads in (1, 2, 5, 50):
        sums = np.empty((37, 3))
        batches = np.empty((0, 0), np.int64)
        kernels.train_parallel(threads, *tensors, batches, 30, kernels.TANH, 1e6, 20, sums)
        np.testing.assert_array_equal(sums, together)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"steps": 0}, ValueError, "steps=0"),
        ({"activation": "step"}, ValueError, "activation='step'"),
        ({"rates": np.ones(3)}, ValueError, r"rates has shape \(3,\); it must be \(R, 2\)"),
        ({"offsets": np.ones(2)}, ValueError, r"offsets has shape \(2,\); it must be \(R,\), here \(6,\)"),
        ({"batches": np.zeros((2, 4), int)}, ValueError, r"\(steps, B\), here \(3, B\)"),
        ({"batches": np.full((3, 1), 7)}, IndexError, "hold 7, but the samples are 0 to 6"),
        ({"batches": np.ones((3, 1))}, TypeError, "float"),
    ],
)
def test_wrong_arguments_are_named(engine, change, error, words):
    settings = {"steps": 3, "rates": RATES} | change
    settings = {
        name: engine.tensor(value) if name in ("offsets", "batches") else value for name, value in settings.items()
    }
    with pytest.raises(error, match=f"train_two_layers: .*{words}"):
        train(engine, **settings)


def test_shapes_that_do_not_fit_are_named(engine):
    good = {"x": X, "y": Y, "weight0": W0, "weight1": W1, "rates": RATES}
    for name, wrong in {"y": Y[:3], "weight0": W0[:, :2], "weight1": W1[:2], "x": X[:0]}.items():
        tensors = [engine.tensor(array) for array in (good | {name: wrong}).values()]
        with pytest.raises(ValueError, match=f"train_two_layers: .*{name}"):
            engine.functional.train_two_layers(*tensors, steps=3)


# ----------------------------------------------------------------------------------------------------------------------
# tanh.


def tanh64(x):
    return np.array([kernels.tanh64(number) for number in x])


def test_tanh64_is_right_over_the_whole_range():
    random = np.random.default_rng(2)
    x = np.concatenate([random.uniform(-25, 25, 20_000), random.uniform(-0.5, 0.5, 20_000), random.normal(size=20_000)])
    x = np.concatenate([x, np.ldexp(random.uniform(1, 2, 20_000), random.integers(-1074, 5, 20_000))])
    exact = np.tanh(x.astype(np.longdouble))
    errors = np.abs(tanh64(x) - exact) / np.spacing(np.abs(exact).astype(float))
    assert errors.max() <= 2.6, x[errors.argmax()]


def test_tanh64_of_infinities_nan_and_zeros():
    assert str(tanh64([np.inf, -np.inf, np.nan, 0.0, -0.0, 400.0, 5e-324]).tolist()) == (
        "[1.0, -1.0, nan, 0.0, -0.0, 1.0, 5e-324]"
    )


# ----------------------------------------------------------------------------------------------------------------------
# Maps.


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 8 x 8 pixels."""
    monkeypatch.setitem(trainability.SIDES, "cpu", 8)


def same(one, other):
    """Whether two maps are equal in every pixel."""
    return np.array_equal(one.values, other.values) and np.array_equal(one.xs, other.xs)


@pytest.mark.parametrize("condition", trainability.CONDITIONS)
def test_every_condition_is_the_same_map_on_both_engines(condition, monkeypatch):
    monkeypatch.setitem(trainability.CONDITIONS, condition, few_samples(trainability.CONDITIONS[condition]))
    mine, theirs = (nn.trainability_map(condition, 4, steps=4, engine=engine, seed=3) for engine in (fast, micro))
    np.testing.assert_allclose(mine.values, theirs.values, rtol=1e-9)
    assert mine.values.shape == (4, 4)
    assert 0 < mine.converged.sum() < 16


def few_samples(condition):
    """At most 24, for `micro`'s sake."""
    return condition._replace(samples=min(24, condition.samples))


def test_conditions_are_those_of_the_paper():
    conditions = trainability.CONDITIONS
    assert (conditions["tanh"].samples, conditions["identity"].samples, conditions["single"].samples) == (272, 16, 1)
    x, y, weight0, weight1 = trainability.draw(conditions["tanh"], 0)
    assert [array.shape for array in (x, y, weight0, weight1)] == [(272, 16), (272,), (16, 16), (16,)]
    for name, scale in {"tanh": 2 / 16, "relu": 2 / 16, "identity": 1 / 16}.items():
        wide = trainability.draw(conditions[name]._replace(samples=4000), 0)[0]
        assert wide.std() == pytest.approx(np.sqrt(scale), rel=0.02)


def test_a_value_tells_how_a_training_went():
    """The same run, with the layers and the optimizers of everybody."""
    there = nn.trainability_map("identity", 2, ((0.1, 1), (0.5, 5)), 30, engine=fast)
    x, y, weight0, weight1 = trainability.draw(trainability.CONDITIONS["identity"], 0)
    for row, column in np.ndindex(2, 2):
        first, second = (fast.tensor(w, "float64", requires_grad=True) for w in (weight0, weight1 / 16))
        losses = []
        for _ in range(30):
            loss = nn.mse_loss((fast.as_tensor(x) @ first.T) @ second, fast.as_tensor(y))
            loss.backward()
            losses.append(loss.item())
            with fast.no_grad():
                first -= there.xs[column] * first.grad
                second -= there.ys[row] / 16**2 * second.grad  # a sixteenth of the weight, by 16 times the slope
            first.zero_grad()
            second.zero_grad()
        v = np.array(losses) / losses[0]
        expected = -v.sum() if v[-20:].mean() < 1 else (1 / v).sum()
        assert there.values[row, column] == pytest.approx(expected, rel=1e-9)


def test_axes_are_logarithmic_and_pixels_are_trained_at_their_centres():
    there = nn.trainability_map("single", 2, ((1e-4, 1), (1, 1e2)), 1, engine=fast)
    np.testing.assert_allclose(there.xs, [1e-3, 1e-1])
    np.testing.assert_allclose(there.ys, [10**0.5, 10**1.5])


def test_zooming_in_computes_the_same_pixels():
    whole = nn.trainability_map("single", 8, ((1e-2, 1e2), (1e-1, 1e3)), 20, engine=fast)
    part = nn.trainability_map("single", 4, ((1e0, 1e2), (1e-1, 1e1)), 20, engine=fast)
    np.testing.assert_allclose(part.values, whole.values[:4, 4:], rtol=1e-6)


def test_tiles_are_kept_and_read_again(tmp_path, monkeypatch, small_tiles):
    def make():
        return nn.trainability_map("identity", 20, steps=10, engine=fast, tiles=tmp_path / "map", progress=True)

    alone = nn.trainability_map("identity", 20, steps=10, engine=fast)
    computed, train = [], trainability._train

    def counted(tile):
        if len(computed) == 5:
            raise KeyboardInterrupt
        computed.append(tile.name)
        return train(tile)

    monkeypatch.setattr(trainability, "_train", counted)
    with pytest.raises(KeyboardInterrupt):
        make()
    assert {path.name for path in (tmp_path / "map").iterdir()} == set(computed)
    monkeypatch.setattr(trainability, "_train", lambda tile: computed.append(tile.name) or train(tile))
    assert same(make(), alone)
    assert len(computed) == len(set(computed)) == 9
    monkeypatch.setattr(trainability, "_train", None)
    assert same(make(), alone)


def test_tiles_of_another_map_and_damaged_ones_are_refused(tmp_path, small_tiles):
    def make(**settings):
        return nn.trainability_map(
            "identity", **{"resolution": 8, "steps": 5, "engine": fast, "tiles": tmp_path, **settings}
        )

    make()
    for other in ({"steps": 6}, {"resolution": 7}, {"seed": 1}, {"window": ((1, 2), (1, 2))}, {"engine": micro}):
        with pytest.raises(ValueError, match=f"tile of another map.*{next(iter(other))}.*give another folder"):
            make(**other)
    path = tmp_path / "tile_00000_00000.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"x")
    with pytest.raises(ValueError, match="damaged"):
        make()
    path.write_bytes(good[:-9])
    with pytest.raises(ValueError, match="not a whole file"):
        make()
    save_file({"values": np.zeros((8, 8))}, path)
    with pytest.raises(ValueError, match="no tile of a map"):
        make()


def test_tiles_say_nothing_of_the_device_where_it_is_the_cpu():
    """So files of earlier versions, which knew no other, are read."""
    plan = trainability._check("tanh", 8, trainability.WINDOW, 5, 0, fast, "cpu", "float64")
    assert list(json.loads(plan.tiles()[0].words())["plan"]) == [
        *("condition", "resolution", "window", "steps", "seed", "engine")
    ]
    other = dataclasses.replace(plan, device="cuda", dtype="float32", resolution=512)
    assert [tile.name for tile in other.tiles()][1] == "tile_00000_00256.safetensors"
    assert json.loads(other.tiles()[0].words())["plan"]["dtype"] == "float32"


def test_executors_compute_the_same_map(small_tiles):
    here = nn.trainability_map("identity", 20, steps=10, engine=fast)
    with ThreadPoolExecutor(2) as executor:
        assert same(nn.trainability_map("identity", 20, steps=10, engine=fast, executor=executor), here)


def test_processes_compute_the_same_map():
    here = nn.trainability_map("identity", 33, steps=3, engine=fast)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        assert same(nn.trainability_map("identity", 33, steps=3, engine=fast, executor=executor), here)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"condition": "sigmoid"}, ValueError, "condition='sigmoid' is unknown; use 'tanh', 'relu'"),
        ({"condition": ["tanh"]}, ValueError, "unknown"),
        ({"resolution": 1}, ValueError, "resolution=1"),
        ({"window": (1, 2)}, ValueError, r"window=\(1, 2\); give \(\(x from"),
        ({"window": ((0, 1), (1, 2))}, ValueError, "above 0"),
        ({"window": ((2, 1), (1, 2))}, ValueError, "growing"),
        ({"window": "all"}, ValueError, "window='all'"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"engine": "fast"}, TypeError, "engine='fast'"),
        ({"device": "gpu"}, ValueError, "'gpu'"),
        ({"dtype": "float32"}, ValueError, "dtype='float32' with device='cpu'; use 'float64'"),
        ({"tiles": 3}, TypeError, "tiles=3"),
        ({"tiles": __file__}, ValueError, "is a file"),
        ({"executor": 2}, TypeError, "executor=2"),
    ],
)
def test_bad_input_is_named(change, error, words):
    with pytest.raises(error, match=words):
        nn.trainability_map(**{"condition": "single", "resolution": 2, "steps": 2, "engine": fast} | change)


# ----------------------------------------------------------------------------------------------------------------------
# What is read off a map.


def drawn(values):
    axes = np.geomspace(1, 10, len(values[0])), np.geomspace(1, 10, len(values))
    return nn.TrainabilityMap(np.array(values, float), *axes, "tanh", trainability.WINDOW, 1, 0)


def test_the_boundary_is_where_four_neighbours_differ():
    there = drawn([[-1, -1, 2, 2], [-3, -1, -1, 2], [-1, -1, -1, -1]])
    assert there.converged.tolist() == [[True, True, False, False], [True, True, True, False], [True] * 4]
    assert there.boundary().tolist() == [[False, True, True], [False, False, True]]


def test_the_picture_gives_each_sign_its_own_ranks():
    assert drawn([[-9, -1, -5], [1, 1e9, 3]]).equalised().tolist() == [[1.0, 0.25, 0.625], [-0.25, -1.0, -0.625]]
    assert drawn([[-2, -3], [-2, -4]]).equalised().tolist() == [[0.25, 0.75], [0.25, 1.0]]


def test_boxes_find_known_dimensions():
    line, area = np.eye(64, dtype=bool), np.ones((64, 64), bool)
    i, j = np.indices((64, 64))
    for pixels, dimension in ((line, 1), (line[::-1], 1), (area, 2), (i & j == 0, np.log2(3))):
        counted = nn.box_count(pixels)
        assert counted.sizes.tolist() == [1, 2, 4, 8, 16]
        assert counted.dimension == pytest.approx(dimension)
        assert counted.error < 1e-6
    assert nn.box_count(line).counts.tolist() == [64, 32, 16, 8, 4]
    assert nn.box_count(np.random.default_rng(0).random((64, 64)) < 0.01).error > 0.05
    assert np.isnan(nn.box_count(np.zeros((20, 15), bool)).dimension)
    assert nn.box_count(np.ones((20, 15), bool)).counts.tolist() == [300, 80, 20]
    with pytest.raises(ValueError, match=r"shape \(8, 8\) and type bool"):
        nn.box_count(line[:8, :8])
    with pytest.raises(ValueError, match="float64"):
        nn.box_count(np.zeros((64, 64)))


def test_a_map_tells_the_dimension_of_its_boundary():
    values = np.ones((33, 33))
    values[:, :16] = -1
    assert drawn(values).dimension().dimension == pytest.approx(1)


@pytest.mark.usefixtures("closed_figures")
def test_a_drawing_has_the_axes_of_the_map_and_a_frame_where_one_zooms_in():
    there = nn.trainability_map("identity", 5, ((1e-2, 1e2), (2, 2.0004)), 3, engine=fast)
    ax = viz.trainability_map(there, zoom=((0.1, 1), (2.0001, 2.0002)))
    ax.figure.canvas.draw()
    assert (ax.get_xscale(), ax.get_xlim(), ax.get_ylim()) == ("log", (1e-2, 1e2), (2, 2.0004))
    np.testing.assert_array_equal(ax.collections[0].get_array(), there.equalised())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2", "2.0004"]
    assert len(ax.get_xticks()) > 2
    assert ax.get_ylabel() == "learning rate of the output layer"
    assert ax.lines[0].get_xydata().min(axis=0).tolist() == [0.1, 2.0001]
    offset = nn.trainability_map("offset", 2, steps=1, engine=fast)
    assert viz.trainability_map(offset, ax=plt.figure().subplots()).get_xlabel() == "offset of the input weights"


def test_drawings_of_something_else_are_refused():
    with pytest.raises(TypeError, match="is no map"):
        viz.trainability_map(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="zoom=3"):
        viz.trainability_map(drawn([[1, 2], [3, 4]]), zoom=3)
