"""Pictures of planes: the heights, paths and boundaries that are drawn are those that were given."""

import warnings
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import LogNorm, to_hex
from mpl_toolkits.mplot3d import Axes3D
from pictures import draw, labels, lines
from PIL import Image

import fast
import nn
import viz
from viz.animation import write_gif

XS, YS = np.linspace(-2, 2, 41), np.linspace(-1, 3, 31)
BOWL = nn.bowl(np.meshgrid(XS, YS))
VALLEY = nn.rosenbrock(np.meshgrid(XS, YS))


pytestmark = pytest.mark.usefixtures("closed_figures")


def contours(ax):
    return [collection for collection in ax.collections if hasattr(collection, "levels")]


# ----------------------------------------------------------------------------------------------------------------------
# Contours and surfaces.


def test_a_contour_lies_at_its_height():
    ax = draw(viz.loss_contour(XS, YS, BOWL))
    filled, outlines = contours(ax)
    assert len(ax.figure.axes) == 2  # the bar
    assert 8 <= len(outlines.levels) <= 20
    assert outlines.levels[0] <= BOWL.min()
    assert outlines.levels[-1] >= BOWL.max()
    np.testing.assert_array_equal(filled.levels, outlines.levels)
    for level, path in zip(outlines.levels, outlines.get_paths(), strict=True):
        if len(path.vertices):
            np.testing.assert_allclose(nn.bowl(path.vertices.T), level, atol=0.1)
    bare = plt.subplots()[1]
    assert viz.loss_contour(XS, YS, BOWL, ax=bare, bar=False) is bare
    assert len(bare.figure.axes) == 1


def test_levels_of_a_steep_valley_are_multiples():
    filled = contours(viz.loss_contour(XS, YS, VALLEY))[0]
    assert isinstance(filled.norm, LogNorm)
    steep = filled.levels
    ratios = steep[1:] / steep[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert steep[0] > VALLEY.min() == 0
    assert steep[-1] == pytest.approx(VALLEY.max())
    even = contours(viz.loss_contour(XS, YS, VALLEY, log=False))[0].levels
    np.testing.assert_allclose(np.diff(even), np.diff(even)[0])


def test_heights_that_are_no_numbers_are_hatched():
    heights = BOWL.copy()
    heights[:5, :5], heights[20:, 30:] = np.nan, np.inf
    ax = draw(viz.loss_contour(XS, YS, heights))
    assert labels(ax) == ["not finite"]
    hatched = contours(ax)[-1]
    assert hatched.hatches == ["////"]
    inside = [hatched.get_paths()[0].contains_point(point) for point in [(-1.95, -0.95), (1.9, 2.9), (0.0, 1.0)]]
    assert inside == [True, True, False]
    assert "not finite" in labels(viz.descent_paths(XS, YS, heights, {"a": [[0, 0]]}))


def test_a_surface_has_the_heights(monkeypatch):
    drawn, plot_surface = [], Axes3D.plot_surface

    def spy(ax, *grid, **look):
        drawn.append((*grid, look))
        return plot_surface(ax, *grid, **look)

    monkeypatch.setattr(Axes3D, "plot_surface", spy)
    ax = draw(viz.loss_surface(XS, YS, BOWL))
    assert ax.name == "3d"
    across, up, heights, look = drawn[0]
    np.testing.assert_array_equal(heights, BOWL)
    np.testing.assert_array_equal(nn.bowl((across, up)), BOWL)
    assert (look["rcount"], look["ccount"]) == BOWL.shape  # Matplotlib would leave heights out
    ax = draw(viz.loss_surface(XS, YS, VALLEY))
    seen = np.quantile(VALLEY, 0.05) < VALLEY
    np.testing.assert_allclose(drawn[1][2][seen], np.log10(VALLEY[seen]))
    shown = [text.get_text() for text in ax.zaxis.get_ticklabels()]
    assert "$10^{2}$" in shown
    holes = np.where(BOWL > 5, np.inf, BOWL)
    ax = draw(viz.loss_surface(XS, YS, holes))
    assert ax.texts[0].get_text() == f"left out: {np.sum(BOWL > 5)} heights, not finite"


@pytest.mark.parametrize("function", [viz.loss_contour, viz.loss_surface])
@pytest.mark.parametrize(
    "heights",
    [np.zeros(4), np.full(4, 3.0), np.full(4, np.nan), np.full(4, -np.inf), np.array([1, 1e308, -1e308, 0.0])],
    ids=["zeros", "constant", "nan", "infinite", "huge"],
)
def test_degenerate_heights_are_drawn(function, heights):
    draw(function([0, 1], [0, 1], heights.reshape(2, 2)))
    draw(function([0, 1], [0, 1], heights.reshape(2, 2), log=False))


def test_planes_that_cannot_be():
    for function in (viz.loss_contour, viz.loss_surface, lambda *plane, **log: viz.descent_paths(*plane, {}, **log)):
        with pytest.raises(ValueError, match=r"xs=\[0.0\]; give 2 or more rising numbers"):
            function([0], YS, BOWL)
        with pytest.raises(ValueError, match=r"ys=\[3.0, .*; give 2 or more rising numbers"):
            function(XS, YS[::-1], BOWL)
        with pytest.raises(ValueError, match=r"xs=\[nan, nan\]"):
            function([np.nan, np.nan], YS, BOWL[:, :2])
        with pytest.raises(TypeError, match="heights: 'abc' is no array of numbers"):
            function(XS, YS, "abc")
        with pytest.raises(
            ValueError, match=r"heights has shape \(41, 31\), needed is \(len\(ys\), len\(xs\)\) = \(31, 41\)"
        ):
            function(XS, YS, BOWL.T)
        with pytest.raises(ValueError, match="log=True needs heights of 0 or more"):
            function(XS, YS, -BOWL, log=True)
    assert plt.get_fignums() == []
    with pytest.raises(TypeError, match="ax is of the kind 'rectilinear'; give axes in three"):
        viz.loss_surface(XS, YS, BOWL, ax=plt.subplots()[1])
    with pytest.raises(TypeError, match="ax is a ndarray; give axes in three"):
        viz.loss_surface(XS, YS, BOWL, ax=plt.subplots(2)[1])


# ----------------------------------------------------------------------------------------------------------------------
# Paths.


def test_paths_are_drawn_as_they_are():
    steady = nn.descend(nn.bowl, [-1.5, 2.0], lambda p: nn.SGD(p, lr=0.05), 30, engine=fast)
    ax = draw(viz.descent_paths(XS, YS, BOWL, {"SGD": steady}, minimum=(0, 0)))
    assert labels(ax) == ["SGD", "start", "end", "minimum"]
    drawn = lines(ax)
    np.testing.assert_array_equal(drawn["SGD"].get_xydata(), steady)
    assert drawn["minimum"].get_xydata().tolist() == [[0, 0]]
    marks = {line.get_marker(): line.get_xydata()[0] for line in ax.lines if len(line.get_xdata()) == 1}
    np.testing.assert_array_equal(marks["o"], steady[0])
    np.testing.assert_array_equal(marks["s"], steady[-1])
    assert "X" not in marks
    assert ax.get_xlim() == (-2, 2)
    assert ax.get_ylim() == (-1, 3)


def test_the_lowest_height_stands_for_an_unknown_minimum():
    ax = viz.descent_paths(XS, YS, np.where(VALLEY == 0, np.nan, VALLEY), {"a": [[0, 0]]})
    (star,) = lines(ax)["lowest height"].get_xydata()
    assert nn.rosenbrock(star) == VALLEY[VALLEY > 0].min()


def test_a_path_that_leaves_has_a_cross_at_the_edge():
    path = np.array([[0, 0], [1, 1], [3, 2], [1, 2], [2.5, 3.5], [9, 9]])
    ax = draw(viz.descent_paths(XS, YS, BOWL, {"a": path}))
    assert labels(ax)[0] == "a: leaves at step 4"
    line = next(line for label, line in lines(ax).items() if label.startswith("a"))
    np.testing.assert_array_equal(line.get_xydata()[:-1], path[:4])  # which comes back after its first excursion
    np.testing.assert_allclose(line.get_xydata()[-1], [2, 3])
    (cross,) = [mark for mark in ax.lines if mark.get_marker() == "X"]
    np.testing.assert_allclose(cross.get_xydata(), [[2, 3]])
    assert not cross.get_clip_on()


@pytest.mark.parametrize(
    ("outside", "edge"), [((-4, 1), (-2, 1)), ((0, -3), (0, -1)), ((8, -7), (2, -1)), ((0, 9), (0, 3))]
)
def test_a_path_may_leave_on_every_side(outside, edge):
    ax = viz.descent_paths(XS, YS, BOWL, {"a": [(0, 1), outside]})
    (cross,) = [mark for mark in ax.lines if mark.get_marker() == "X"]
    np.testing.assert_allclose(cross.get_xydata(), [edge])


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ([[0, 0], [5, 0], [np.nan, 0]], "a: leaves at step 1,\nnot finite from step 2"),
        ([[0, 0], [np.inf, 0], [np.nan, np.nan]], "a: not finite from step 1"),
        ([[9, 9], [8, 8]], "a: outside the frame"),
        ([[np.nan, 0]], "a: outside the frame,\nnot finite from step 0"),
        ([[0, 0], [1e300, -1e308], [1, 1], [1e308, 1e308]], "a: leaves at step 3"),
        ([[0, 0]], "a"),
    ],
)
def test_the_legend_says_what_became_of_a_path(path, label):
    ax = draw(viz.descent_paths(XS, YS, BOWL, {"a": path}))
    assert labels(ax)[0] == label


def test_a_far_excursion_keeps_its_direction():
    ax = draw(viz.descent_paths([-1, 1], [-1, 1], np.eye(2), {"a": [[0, 0], [3e200, 4e200], [0, 0.5]]}))
    far = lines(ax)["a"].get_xydata()[1]
    assert 900 < np.abs(far).max() < 1e5


def test_learning_rates_get_colours_from_dark_to_light():
    ax = viz.descent_paths(XS, YS, BOWL, {0.5: [[0, 0]], 0.001: [[1, 1]], 0.01: [[1, 0]]})
    assert labels(ax)[:3] == ["0.001", "0.01", "0.5"]
    shades = [lines(ax)[name].get_color()[:3] @ np.array([0.3, 0.6, 0.1]) for name in ("0.001", "0.01", "0.5")]
    assert shades == sorted(shades)
    named = viz.descent_paths(XS, YS, BOWL, {name: [[0, 0]] for name in ("SGD", "Adam")})
    assert labels(named)[:2] == ["SGD", "Adam"]
    assert to_hex(lines(named)["SGD"].get_color()) != to_hex(lines(named)["Adam"].get_color())


def test_paths_that_cannot_be():
    for paths in ({}, None, [[0, 0]]):
        with pytest.raises(ValueError, match="descent_paths: paths="):
            viz.descent_paths(XS, YS, BOWL, paths)
    with pytest.raises(ValueError, match=r"the path of 'a' has shape \(3,\)"):
        viz.descent_paths(XS, YS, BOWL, {"a": [1, 2, 3]})
    with pytest.raises(ValueError, match="minimum=3"):
        viz.descent_paths(XS, YS, BOWL, {"a": [[0, 0]]}, minimum=3)
    with pytest.raises(TypeError, match="minimum: "):
        viz.descent_paths(XS, YS, BOWL, {"a": [[0, 0]]}, minimum=("x", "y"))
    assert plt.get_fignums() == []


# ----------------------------------------------------------------------------------------------------------------------
# Boundaries.

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def boundary(ax):
    """The points of all lines at 0."""
    found = [c for c in contours(ax) if list(c.levels) == [0.0]]
    return np.concatenate([path.vertices for collection in found for path in collection.get_paths()])


def test_the_boundary_of_one_score_is_where_it_is_zero():
    ax = viz.decision_boundary(lambda p: p[:, :1] - 0.5, POINTS, POINTS[:, 0])
    np.testing.assert_allclose(boundary(ax)[:, 0], 0.5, atol=1e-9)
    assert labels(ax) == ["class 0", "class 1"]


def test_the_boundary_of_two_scores_is_where_they_are_equal():
    ax = draw(viz.decision_boundary(lambda p: np.column_stack([p[:, 0], 1 - p[:, 0]]), POINTS, POINTS[:, 0]))
    np.testing.assert_allclose(boundary(ax)[:, 0], 0.5, atol=1e-9)
    filled = contours(ax)[0]
    here = [path.contains_point((0.9, 0.55)) for path in filled.get_paths()]
    assert filled.levels[here.index(True)] < 0  # the first class has the larger score


def three(points):
    """Scores of three classes: the larger x, the larger y, or neither of both."""
    return np.column_stack([np.full(len(points), 0.5), points[:, 0], points[:, 1]])


def test_the_boundaries_of_three_classes_are_where_the_two_largest_scores_are_equal():
    ax = draw(viz.decision_boundary(three, POINTS, [0, 1, 2, 2], resolution=60))
    assert labels(ax) == ["class 0", "class 1", "class 2"]
    scores = np.sort(three(boundary(ax)))
    np.testing.assert_allclose(scores[:, 2], scores[:, 1], atol=0.02)
    fills = [c for c in contours(ax) if len(c.levels) == 2]
    places = [(0.1, 0.1), (1.0, 0.2), (0.2, 1.0)]
    regions = [[fill.get_paths()[0].contains_point(place) for fill in fills] for place in places]
    assert regions == np.eye(3, dtype=bool).tolist()


def test_classes_without_a_sample_are_drawn_too():
    ax = viz.decision_boundary(three, POINTS, [0, 2, 2, 2])
    assert labels(ax) == ["class 0", "class 1", "class 2"]
    with pytest.raises(ValueError, match=r"for the classes \[5 7\]; one score each"):
        viz.decision_boundary(three, POINTS, [5, 7, 7, 7])


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_where_there_is_no_score_the_plane_is_hatched(lost):
    def predict(points):
        return np.where(points[:, 0] > 0.5, lost, points[:, 1] - 0.5)

    ax = draw(viz.decision_boundary(predict, POINTS, POINTS[:, 1]))
    assert labels(ax) == ["class 0", "class 1", "no finite score"]
    assert boundary(ax)[:, 0].max() <= 0.5
    draw(viz.decision_boundary(lambda p: np.full(len(p), lost), POINTS, POINTS[:, 1]))
    draw(viz.decision_boundary(lambda p: np.where(p[:, :1] > 0.5, lost, three(p)), POINTS, [0, 1, 2, 2]))


def test_frames_show_each_epoch_in_one_size_and_scale(tmp_path):
    predictors = {k: lambda p, k=k: k * (p[:, 0] - k / 4) for k in (1, 2, 3)}
    predictors["lost"] = lambda p: np.full(len(p), np.nan)
    paths = viz.boundary_frames(predictors, POINTS, POINTS[:, 0], tmp_path / "new", resolution=20)
    assert [path.name for path in paths] == [f"frame_00{k}.png" for k in range(4)]
    assert sorted(path.parent.iterdir() for path in paths[:1])
    pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
    assert len({picture.shape for picture in pictures}) == 1
    assert not any((a == b).all() for a, b in pairwise(pictures))
    path = viz.boundary_gif(predictors, POINTS, POINTS[:, 0], tmp_path / "b.gif", 0.1, resolution=20)
    with Image.open(path) as gif:
        assert gif.n_frames == 4
        assert gif.size == pytest.approx((600, 510), abs=2)  # Matplotlib's versions round a pixel more or less
    path = viz.boundary_gif(predictors, POINTS * [10, 1], POINTS[:, 0], tmp_path / "b.gif", 0.1, resolution=20)
    with Image.open(path) as gif:
        assert gif.size == (600, 250)  # a wide plane needs no high picture
    assert plt.get_fignums() == []


def test_paper_stays_white_in_a_gif(tmp_path):
    pale = np.full((40, 40, 3), 255, "uint8")
    pale[20:] = np.linspace(246, 254, 40).round().astype("uint8")[:, None]
    for colours in (None, ["#fbfbfb", "#ffffff", "#000000"]):
        path = write_gif([Image.fromarray(pale), Image.fromarray(pale)], tmp_path / "pale.gif", colours=colours)
        with Image.open(path) as gif:
            assert gif.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def frame(predictors, name, folder):
    paths = viz.boundary_frames(predictors, POINTS, POINTS[:, 0], folder, resolution=20)
    return paths[list(predictors).index(name)].read_bytes()


def test_a_frame_does_not_depend_on_the_others(tmp_path):
    rising, falling = (lambda p: p[:, 0] - 0.5), (lambda p: 0.5 - p[:, 0])
    alone = frame({"a": rising}, "a", tmp_path)
    assert frame({"b": falling, "a": rising}, "a", tmp_path) == alone
    assert frame({"b": falling, "a": rising, "blown up": lambda p: 1e30 * p[:, 0]}, "a", tmp_path) == alone


def test_frames_of_a_training(tmp_path):
    network, snapshots = nn.MLP([2, 4, 1], engine=fast, seed=0), nn.Snapshots()
    target = POINTS[:, :1] * 2 - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)
        nn.fit(network, (POINTS, target), nn.mse_loss, nn.SGD(network.parameters(), lr=1e8), 20, callbacks=[snapshots])
    predictors = nn.predictors(network, snapshots.states)
    assert viz.boundary_frames(predictors, POINTS, target, tmp_path, resolution=10)


def test_frames_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="boundary_gif: predictors="):
        viz.boundary_gif({}, POINTS, [0, 1, 1, 1], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="boundary_frames: y has the classes"):
        viz.boundary_frames({0: three}, POINTS, [1, 1, 1, 1], tmp_path)
    with pytest.raises(ValueError, match=r"must end in \.gif"):
        viz.boundary_gif({0: lambda p: p[:, 0]}, POINTS, [0, 1, 1, 1], tmp_path / "a.png", resolution=5)
    with pytest.raises(TypeError, match="boundary_gif: 3 is no function"):
        viz.boundary_gif({0: 3}, POINTS, [0, 1, 1, 1], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="boundary_frames: x holds nan or infinity"):
        viz.boundary_frames({0: three}, np.where(POINTS, POINTS, np.nan), [0, 1, 2, 2], tmp_path)
    assert list(tmp_path.iterdir()) == []
