"""Pictures of learning rates: what is drawn equals what was given, and whatever diverged is seen to have."""

import math
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from pictures import labels

import nn
import viz

A = [3.2, 2.1, 1.4, 0.9, 0.5, 0.3]
B = [3.2, 0.1, 3.8, 0.2, 4.1, 0.15]


pytestmark = pytest.mark.usefixtures("closed_figures")


def drawn(ax):
    """The data of every line with a label, by label."""
    return {line.get_label(): line.get_data() for line in ax.lines if not line.get_label().startswith("_")}


def crosses(ax):
    return [tuple(float(np.ravel(n)[0]) for n in line.get_data()) for line in ax.lines if line.get_marker() == "X"]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def fits(ax):
    """Whether the whole figure, legends and all, lies within its edges when it is drawn."""
    figure = ax.figure
    figure.draw_without_rendering()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    return box.x0 > -0.05 and box.y0 > -0.05 and box.x1 < width + 0.05 and box.y1 < height + 0.05


# ----------------------------------------------------------------------------------------------------------------------
# Verdicts.


def test_verdicts_have_labels():
    assert nn.diagnose(A).label == "just right"
    assert nn.diagnose(B).label == "too high (oscillating)"
    assert nn.diagnose([1.0, 0.5, 2.0, 40.0, math.inf, math.nan]).label == "diverged at step 4"
    assert nn.diagnose([1.0, 0.5, 2.0, 2e6, math.inf]).label == "diverged at step 3"  # a million times the first
    assert nn.diagnose(np.array(A)) == nn.diagnose(A)


def test_a_curve_that_swings_is_no_measure_for_others():
    slow = [3.2, 2.5, 2.0, 1.5, 1.2, 1.0, 1.0, 1.0]
    lucky = [3.2, 0.1, 3.8, 0.2, 4.1, 0.15, 4.0, 0.001]
    verdicts = nn.diagnose_sweep({0.1: slow, 1.0: lucky})
    assert [verdict.label for verdict in verdicts.values()] == ["just right", "too high (oscillating)"]


def test_the_final_loss_of_a_run():
    assert nn.final_loss([5.0, 1.0]) == 1.0
    assert nn.final_loss(np.array([9.0] * 28 + [1.0, 3.0, 2.0])) == 2.0  # the median of the last tenth
    assert nn.final_loss([5.0, math.nan, 1.0]) == math.inf
    assert nn.final_loss([5.0, 5e7, 1.0]) == math.inf
    with pytest.raises(ValueError, match="no losses"):
        nn.final_loss([])
    with pytest.raises(TypeError, match=r"shape \(2, 2\)"):
        nn.final_loss(np.eye(2))


# ----------------------------------------------------------------------------------------------------------------------
# Curves of several rates.


def test_the_two_curves_of_the_texts_are_drawn_with_their_verdicts():
    ax = viz.learning_rate_curves({1.0: np.array(B), 0.1: nn.History(step_loss=A)})
    assert labels(ax) == ["0.1: just right", "1: too high (oscillating)"]
    for label, losses in zip(labels(ax), (A, B), strict=True):
        steps, heights = drawn(ax)[label]
        assert list(steps) == [0, 1, 2, 3, 4, 5]
        assert list(heights) == losses
    low, high = ax.get_ylim()
    assert low < min(B)
    assert high > max(B)
    assert ax.get_yscale() == "log"
    assert ax.get_xscale() == "linear"
    assert crosses(ax) == []


def test_colours_go_from_dark_to_light():
    curves = {10.0**i: [1.0, 0.5, 0.2, 0.1 + 0.01 * i] for i in range(-3, 3)}
    lines = viz.learning_rate_curves(curves).lines
    lightness = [np.dot(line.get_color()[:3], [0.299, 0.587, 0.114]) for line in lines]
    assert (np.diff(lightness) > 0.05).all()


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([2.0, 1.5, 1.0, 0.9], "linear"),  # no factor of 10
        ([2.0, 1.0, 0.1, 0.05], "log"),
        ([2.0, 1.0, 0.1, 0.0], "symlog"),  # 0 has a place
        ([2.0, 1.0, 0.1, -0.1], "linear"),
        ([0.0, 0.0, 0.0, 0.0], "linear"),
        ([-2.0, -2.5, -2.7, -2.7], "linear"),
        ([1e-300, 1e-302, 1e-305, 1e-305], "log"),
        ([1e300, 1e299, 1e298, 1e298], "log"),
    ],
)
def test_scales_suit_the_losses(losses, scale):
    ax = viz.learning_rate_curves({0.1: losses})
    assert ax.get_yscale() == scale
    low, high = ax.get_ylim()
    assert low < min(losses) <= max(losses) < high
    assert fits(ax)


def test_many_steps_need_a_logarithmic_axis_with_a_place_for_step_0():
    ax = viz.learning_rate_curves({0.1: np.geomspace(1, 0.01, 200), 10.0: [1.0, 1e3, math.inf]})
    assert ax.get_xscale() == "symlog"
    ax.figure.draw_without_rendering()
    assert [label.get_text() for label in ax.get_xticklabels()][:4] == ["0", "1", "10", "100"]


def test_a_cross_marks_where_a_curve_leaves_for_good():
    good = [1.0, 0.5, 0.2, 0.1]
    for bad, before, after in [
        ([1.0, 1e8, math.inf, math.nan], 0, 1),
        ([1.0, 0.9, 0.8, math.nan], 3, 3),  # no number, without ever leaving
        ([1.0, 0.9, math.inf, 0.5], 1, 2),
        ([1.0, 0.9, math.nan, 0.5], 2, 2),  # a gap
        ([math.inf, math.nan, 1.0, 1.0], 0, 0),
        ([math.nan], 0, 0),
        ([1.0, 100.0, 0.5, 1e7], 2, 3),
        ([1.0, 0.5, -math.inf, 1.0], 2, 2),
    ]:
        ax = viz.learning_rate_curves({0.1: good, 10.0: bad})
        ((step, height),) = crosses(ax)
        assert before < step < after or before == step == after
        assert height == ax.get_ylim()[1]
        assert "diverged at step" in labels(ax)[1]
        assert fits(ax)


def test_learning_rate_curves_carry_their_verdicts():
    best = [1.0, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    curves = {10.0: [1.0, 1e8, np.inf, np.nan], 0.001: [1 - 0.01 * i for i in range(8)], 0.1: best}
    ax = viz.learning_rate_curves(curves)
    assert labels(ax) == ["0.001: too low", "0.1: just right", "10: diverged at step 1"]
    assert list(drawn(ax)["0.1: just right"][1]) == best
    low, high = ax.get_ylim()
    assert low < 0.1
    assert high < 10
    ((step, height),) = crosses(ax)
    assert height == high
    assert 0 < step < 1  # between the losses of 1 and 1e8


def test_only_what_diverged_leaves_the_axes():
    spike = [1.0, 0.5, 900.0, 0.5, 0.4, 0.2, 0.1, 0.1, 0.1]
    ax = viz.learning_rate_curves({0.1: spike, 1.0: [1.0, 1e5, 1e9, math.inf]})
    assert 900 < ax.get_ylim()[1] < 1e5


@pytest.mark.parametrize("size", [(6.4, 4.8), (9, 4)])
@pytest.mark.parametrize("count", [1, 9, 40])
def test_legends_are_not_cut(count, size):
    steps = np.arange(20)
    curves = {
        rate: np.exp(-rate * steps) if rate < 1 else np.exp(rate * steps) for rate in np.geomspace(1e-4, 9, count)
    }
    ax = viz.learning_rate_curves(curves, ax=plt.subplots(figsize=size)[1])
    assert len(labels(ax)) == count
    assert fits(ax)
    assert ax.get_window_extent().width > 0.25 * ax.figure.bbox.width


# ----------------------------------------------------------------------------------------------------------------------
# The spread over seeds.


def test_the_spread_is_median_and_range():
    sgd = {0.1: [0.3, 0.1, 0.2], 0.01: [0.9, 0.7, 0.8], 1.0: [0.5, math.nan, 0.4], 10.0: [math.inf, math.nan, 1.0]}
    adam = {0.01: [0.2, 0.3, 0.25], 0.1: [0.5, 0.6, 0.4]}
    ax = viz.learning_rate_spread({"SGD": sgd, "Adam": adam})
    assert labels(ax) == ["SGD: best 0.1", "Adam: best 0.01"]
    rates, medians = drawn(ax)["SGD: best 0.1"]
    assert list(rates) == [0.01, 0.1, 1.0, 10.0]
    np.testing.assert_array_equal(medians, [0.8, 0.2, 0.5, math.nan])
    rates, medians = drawn(ax)["Adam: best 0.01"]
    assert (list(rates), list(medians)) == ([0.01, 0.1], [0.25, 0.5])
    band = ax.collections[0].get_paths()[0].vertices
    for rate, low, high in ((0.01, 0.7, 0.9), (0.1, 0.1, 0.3)):
        heights = band[band[:, 0] == rate, 1]
        assert (heights.min(), heights.max()) == (low, high)
    stars = [line.get_data() for line in ax.lines if line.get_marker() == "*"]
    assert [(float(x[0]), float(y[0])) for x, y in stars] == [(0.1, 0.2), (0.01, 0.25)]
    assert ax.get_xscale() == "log"
    assert [text for text in texts(ax) if "/" in text] == ["1/3", "2/3"]
    places = [text.get_position()[0] for text in ax.texts if "/" in text.get_text()]
    assert places == [1.0, 10.0]
    assert fits(ax)


def test_the_strip_covers_no_loss():
    ax = viz.learning_rate_spread({name: {0.1: [1.0, 2.0], 1.0: [math.inf, 5.0]} for name in ("a", "b", "c")})
    (strip,) = [patch for patch in ax.patches if patch.get_height() < 1]
    height_of_five = ax.transAxes.inverted().transform(ax.transData.transform((1.0, 5.0)))[1]
    assert height_of_five < strip.get_y()
    infinite = ax.collections[0].get_paths()[0].vertices[:, 1].max()  # the band reaches up to the strip
    assert ax.transAxes.inverted().transform(ax.transData.transform((1.0, infinite)))[1] == pytest.approx(strip.get_y())


@pytest.mark.parametrize(
    "results",
    [{0.1: [1.0]}, {0.1: [math.nan], 1.0: [math.inf]}, {0.1: [0.0, 0.0]}, {0.1: [-1.0], 1.0: [2.0, 3.0]}, {1: [1, 2]}],
)
def test_a_spread_of_little(results):
    ax = viz.learning_rate_spread(results)
    assert texts(ax).count("diverged") == any(not np.isfinite(losses).all() for losses in results.values())
    assert fits(ax)


# ----------------------------------------------------------------------------------------------------------------------
# Range tests, schedules, stability.


def test_a_range_test_is_drawn_with_its_suggestions():
    rates = [10.0 ** (i - 7) for i in range(9)]
    losses = [5.0, 4.9, 5.0, 4.8, 4.0, 2.0, 1.5, 9.0, 800.0]
    result = nn.RangeTest(rates, losses, [5.0, 5.0, 4.9, 4.8, 4.1, 2.5, 1.6, 3.0, 30.0])
    ax = viz.range_test(result)
    assert list(drawn(ax)["loss"][1]) == losses
    assert list(drawn(ax)["smoothed"][1]) == result.smoothed
    for name, rate in result.suggestions().items():
        x, y = drawn(ax)[f"{name}: {rate:.2g}"]
        assert x[0] == rate
        assert min(result.smoothed) <= y[0] <= max(result.smoothed)
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] < 10  # what rises again leaves the axes
    assert fits(ax)
    assert labels(viz.range_test(nn.RangeTest([0.1], [1.0], [1.0]))) == ["loss", "smoothed"]


def test_schedules_are_drawn_step_by_step():
    rates = {"constant": [0.1] * 5, "falling": np.array([0.1, 0.1, 0.01, 0.01, 0.0])}
    ax = viz.schedule_curves(rates)
    assert {name: list(y) for name, (_, y) in drawn(ax).items()} == {name: list(r) for name, r in rates.items()}
    assert ax.get_ylim()[0] == 0


def test_the_effect_of_a_schedule_stands_below_it():
    rates = {"constant": [0.1] * 5, "growing": [0.1, 1.0, 2.0, 3.0, 4.0]}
    losses = {"constant": nn.History(step_loss=[1.0, 0.9, 0.8, 0.7, 0.6]), "growing": [1.0, 2.0, math.inf]}
    above, below = viz.schedule_effects(rates, losses)
    assert list(drawn(above)["growing"][1]) == rates["growing"]
    assert list(drawn(below)["constant"][1]) == losses["constant"].step_loss
    assert len(crosses(below)) == 1
    assert [line.get_color() for line in above.lines] == [line.get_color() for line in below.lines[:2]]
    mine = plt.subplots(1, 2)[1]
    assert viz.schedule_effects(rates, losses, axes=tuple(mine)) == tuple(mine)
    assert fits(above)


def test_the_edge_of_stability_is_drawn():
    losses, sharpness = [3.0, 2.0, 1.0, 0.5, 0.7, 0.4], [5.0, 8.0, 12.0, 11.0, 9.0, 10.0]
    above, below = viz.edge_of_stability(losses, sharpness, 0.2)
    assert list(drawn(above)["loss"][1]) == losses
    assert list(drawn(below)["largest eigenvalue"][1]) == sharpness
    assert set(drawn(below)["2 / lr = 10"][1]) == {10.0}
    assert set(drawn(above)["step 2: instability predicted"][0]) == {2}
    assert set(drawn(above)["step 4: loss first rises"][0]) == {4}
    assert fits(above)
    above, below = viz.edge_of_stability(nn.History(step_loss=losses), sharpness[:4], 0.2, every=2)
    assert list(drawn(below)["largest eigenvalue"][0]) == [0, 2, 4, 6]


def test_a_divergence_ends_the_picture():
    losses, sharpness = [1.0, 9.0, 1e3, 1e7, 1e20, math.inf], [20.0, 30.0, 40.0, 50.0, math.nan, math.nan]
    above, below = viz.edge_of_stability(losses, sharpness, 0.2)
    assert list(drawn(above)["loss, diverged at step 3"][1]) == losses[:4]
    assert list(drawn(below)["largest eigenvalue"][1]) == sharpness[:4]
    assert crosses(above) == [(3.0, above.get_ylim()[1])]
    assert set(drawn(above)["step 0: instability predicted"][0]) == {0}
    for losses, sharpness in (([math.nan], [math.nan]), ([1.0], [1.0, 1.0]), ([1.0, math.inf], [math.nan])):
        assert fits(viz.edge_of_stability(losses, sharpness, 0.2)[0])


# ----------------------------------------------------------------------------------------------------------------------
# Maps.


def test_a_map_is_what_it_was_given():
    rates, sizes = [0.01, 0.1, 1.0], [8, 16]
    final = [[0.5, 0.02, math.nan], [0.4, 0.1, math.inf]]
    ax = viz.loss_map(final, rates, sizes, ylabel="batch size")
    (mesh,) = ax.collections
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), -1), [[0.5, 0.02, -1], [0.4, 0.1, -1]])
    edges = mesh.get_coordinates()
    np.testing.assert_allclose(edges[0, :, 0], np.sqrt([1e-5, 1e-3, 1e-1, 1e1]))  # half-way in logarithms
    np.testing.assert_allclose(edges[:, 0, 1], [4, 12, 20])
    np.testing.assert_allclose(ax.get_xlim(), np.sqrt([1e-5, 1e1]))
    (star,) = ax.lines
    assert [float(n[0]) for n in star.get_data()] == [0.1, 8]
    assert labels(ax) == ["best: 0.02", "diverged"]
    assert type(mesh.norm).__name__ == "LogNorm"
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0.02, 0.5)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert fits(ax)


def test_uneven_settings_get_equal_cells():
    momenta = [0.0, 0.5, 0.9, 0.99]
    ax = viz.loss_map(np.arange(8.0).reshape(4, 2), [1, 2], momenta)
    np.testing.assert_allclose(ax.collections[0].get_coordinates()[:, 0, 1], [-0.5, 0.5, 1.5, 2.5, 3.5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "0.5", "0.9", "0.99"]
    assert type(ax.collections[0].norm).__name__ == "Normalize"  # for one loss is 0


@pytest.mark.parametrize("final", [[[math.nan, math.inf]], [[1.0, 1.0]], [[-1.0, 2.0]], [[0.0, math.nan]]])
def test_maps_of_little(final):
    ax = viz.loss_map(final, [1, 2], [3], ax=plt.subplots()[1])
    assert ("diverged" in labels(ax)) == (not np.isfinite(final).all())
    assert fits(ax)
    assert fits(viz.loss_map([[1.0]], [0.1], [0.5]))


# ----------------------------------------------------------------------------------------------------------------------
# Losses of epochs.


def test_loss_curves_draw_what_they_are_given():
    ax = viz.loss_curves(nn.History(loss=[3.0, 2.0, 1.0], validation_loss=[4.0, 3.0, 2.0]))
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[1, 3], [2, 2], [3, 1]], [[1, 4], [2, 3], [3, 2]]]
    assert labels(ax) == ["training", "validation"]
    ax = viz.loss_curves({"a": [1.0, 2.0], "b": np.array([2.0, 1.0])})
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 2], [2, 1]]
    assert labels(ax) == ["a", "b"]


def test_loss_curves_show_divergence_and_a_wide_range():
    ax = viz.loss_curves({"good": A, "bad": [1.0, 10.0, 1e9, math.inf]})
    ((epoch, height),) = crosses(ax)
    assert 1 < epoch < 3  # epochs are counted from 1
    assert height == ax.get_ylim()[1] < 10
    assert ax.get_yscale() == "log"
    assert fits(ax)
    history = nn.History(loss=[3.0, 2.0], validation_loss=[3.0, math.nan])
    assert crosses(viz.loss_curves({"a": history})) == [(2.0, plt.gca().get_ylim()[1])]
    assert labels(plt.gca()) == ["a", "a, validation"]
    colours = [line.get_color() for line in plt.gca().lines]
    assert len(set(colours)) == 1  # what belongs together has one colour


# ----------------------------------------------------------------------------------------------------------------------
# What cannot be drawn.


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: viz.loss_curves([[1.0, 2.0]]), r"loss_curves: training: a curve has shape \(1, 2\)"),
        (lambda: viz.loss_curves({"a": []}), r"loss_curves: a: a curve has shape \(0,\)"),
        (lambda: viz.learning_rate_curves({-0.1: A}), "no curves by learning rate"),
        (lambda: viz.learning_rate_curves({0.1: np.eye(2)}), r"0.1: a curve has shape \(2, 2\)"),
        (lambda: viz.learning_rate_spread({}), "no results"),
        (lambda: viz.learning_rate_spread({"SGD": {}}), "SGD"),
        (lambda: viz.learning_rate_spread({"SGD": {0.1: []}}), "SGD: 0.1"),
        (lambda: viz.learning_rate_spread([1.0]), "holds no rates"),
        (lambda: viz.range_test([1.0]), "lr_find"),
        (lambda: viz.range_test(nn.RangeTest([0.1], [1.0], [])), "equal number"),
        (lambda: viz.range_test(nn.RangeTest([0.0, 0.1], [1.0, 1.0], [1.0, 1.0])), r"rates=\[0.0, 0.1\]; give growing"),
        (lambda: viz.range_test(nn.RangeTest([0.2, 0.1], [1.0, 1.0], [1.0, 1.0])), r"rates=\[0.2, 0.1\]; give growing"),
        (lambda: viz.schedule_curves([0.1]), "by name"),
        (lambda: viz.schedule_effects({"a": [0.1]}, {"b": [1.0]}), "name them alike"),
        (lambda: viz.schedule_effects({"a": [0.1]}, {"a": [1.0, 2.0]}), "2 losses and 1 rates"),
        (lambda: viz.edge_of_stability([1.0], [1.0], 0.0), "lr=0.0"),
        (lambda: viz.edge_of_stability([1.0], [1.0] * 3, 0.1), "step 2"),
        (lambda: viz.edge_of_stability([], [1.0], 0.1), r"shape \(0,\)"),
        (lambda: viz.loss_map([[1.0]], [0.1, 0.2], [1]), r"shape \(1, 1\)"),
        (lambda: viz.loss_map([[1.0, 2.0]], [0.2, 0.1], [1]), "growing"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
    assert plt.get_fignums() == []
