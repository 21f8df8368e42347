"""What all plots share: they draw into the axes that they are given, and say what axes these must be."""

import warnings
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from pictures import draw

import fast
import nn
import viz

pytestmark = pytest.mark.usefixtures("closed_figures")

PLANE = ([0.0, 1.0], [0.0, 1.0], [[0.0, 1.0], [1.0, 2.0]])
SAMPLES = ([[0.0, 0.0], [1.0, 1.0]], [0, 1])

DRAWINGS = {
    "loss_curves": lambda **ax: viz.loss_curves([3.0, 2.0], **ax),
    "learning_rate_curves": lambda **ax: viz.learning_rate_curves({0.1: [4.0, 2.0, 1.0, 1.0]}, **ax),
    "range_test": lambda **ax: viz.range_test(nn.RangeTest([0.1, 0.2], [2.0, 1.0], [2.0, 1.0]), **ax),
    "schedule_curves": lambda **ax: viz.schedule_curves({"a": [0.1, 0.2]}, **ax),
    "learning_rate_spread": lambda **ax: viz.learning_rate_spread({0.1: [1.0, 2.0]}, **ax),
    "loss_map": lambda **ax: viz.loss_map([[1.0, 2.0]], [0.1, 1.0], [1], **ax),
    "trainability_map": lambda **ax: viz.trainability_map(nn.trainability_map("single", 2, steps=1, engine=fast), **ax),
    "loss_contour": lambda **ax: viz.loss_contour(*PLANE, **ax),
    "descent_paths": lambda **ax: viz.descent_paths(*PLANE, {"a": [[0.0, 0.0]]}, **ax),
    "decision_boundary": lambda **ax: viz.decision_boundary(lambda p: p[:, 0] - 0.5, *SAMPLES, resolution=5, **ax),
    "layer_histograms": lambda **ax: viz.layer_histograms({"a": [1.0, 2.0]}, **ax),
    "layer_quantiles": lambda **ax: viz.layer_quantiles({0: [1.0, 2.0], 1: [2.0, 3.0]}, **ax),
    "roofline": lambda **ax: viz.roofline(
        [SimpleNamespace(kernel="linear", flops=2_000, bytes=100, seconds=1e-6)], (1e11, 1e10), **ax
    ),
    "update_ratios": lambda **ax: viz.update_ratios({"a": [1e-3, 1e-2]}, **ax),
    "confusion_matrix": lambda **ax: viz.confusion_matrix([[1, 2], [3, 4]], **ax),
    "early_stopping_curve": lambda **ax: viz.early_stopping_curve([3.0, 2.0], [3.0, 2.5], **ax),
}
PAIRS = {
    "schedule_effects": lambda **axes: viz.schedule_effects({"a": [0.1, 0.2]}, {"a": [2.0, 1.0]}, **axes),
    "edge_of_stability": lambda **axes: viz.edge_of_stability([2.0, 1.0], [1.0, 2.0], 0.1, **axes),
}


def test_all_plots_are_here():
    surface = {"loss_surface"}  # which has axes of its own kind
    files = {name for name in viz.__all__ if (getattr(viz, name).__module__ or "").startswith("viz.plots")} - {
        "boundary_frames",
        "boundary_gif",
    }
    assert files == {*DRAWINGS, *PAIRS} | surface


@pytest.mark.parametrize("name", DRAWINGS)
def test_plots_draw_into_the_axes_that_they_are_given(name):
    given, untouched = plt.figure().subfigures(2)[1].subplots(2)
    assert DRAWINGS[name](ax=given) is given
    assert given.has_data()
    assert not untouched.has_data()
    assert len(plt.get_fignums()) == 1
    new = draw(DRAWINGS[name]())
    assert new.figure is not given.figure
    with warnings.catch_warnings():  # half of half a figure may be too small for all that stands beside it
        warnings.simplefilter("ignore")
        given.figure.figure.canvas.draw()


@pytest.mark.parametrize("count", [1, 2, 4, 20])
def test_steps_and_epochs_are_whole_numbers(count):
    losses = np.geomspace(3.0, 2.0, count)
    for ax in (viz.loss_curves(losses), viz.update_ratios({"a": losses}), viz.early_stopping_curve(losses, losses)):
        ticks = draw(ax).get_xticks()
        assert len(ticks)
        assert ticks.tolist() == [round(tick) for tick in ticks]


@pytest.mark.parametrize("name", DRAWINGS)
def test_what_are_no_flat_axes_is_refused(name):
    for make, words in [
        (lambda: plt.subplots(2)[1], "ax is a ndarray"),
        (plt.figure, "ax is a Figure"),
        (lambda: plt.subplots(subplot_kw={"projection": "3d"})[1], "ax is of the kind '3d'"),
        (lambda: plt.subplots(subplot_kw={"projection": "polar"})[1], "ax is of the kind 'polar'"),
    ]:
        with pytest.raises(TypeError, match=f"{name}: {words}; give flat axes"):
            DRAWINGS[name](ax=make())


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_of_axes(name):
    given = plt.subplots(2)[1]
    assert PAIRS[name](axes=given) == tuple(given)
    assert PAIRS[name](axes=(given[1], given[0])) == (given[1], given[0])
    for axes in (plt.subplots(3)[1], given[0], ()):
        with pytest.raises(TypeError, match=f"{name}: axes=.*; give two"):
            PAIRS[name](axes=axes)
    with pytest.raises(TypeError, match=rf"{name}: axes\[1\] is a str"):
        PAIRS[name](axes=[given[0], "b"])
