"""Pictures of layers and of what a network has learned: what is drawn is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from pictures import draw, labels, lines
from sklearn.metrics import confusion_matrix

import nn
import viz

pytestmark = pytest.mark.usefixtures("closed_figures")


RANDOM = np.random.default_rng(0)


# ----------------------------------------------------------------------------------------------------------------------
# Histograms.


def rows(ax):
    """For each row of the picture its counts, up to a factor, and the edges."""
    for row, patch in enumerate(ax.patches):
        heights, edges, baseline = patch.get_data()
        assert baseline == row
        yield row - heights, edges


def test_each_row_is_the_histogram_of_its_layer():
    arrays = {"0 Linear": RANDOM.normal(size=(50, 3)), "1 Tanh": RANDOM.uniform(-1, 1, 70)}
    ax = draw(viz.layer_histograms(arrays, bins=12))
    assert [text.get_text() for text in ax.get_yticklabels()] == list(arrays)
    for (heights, edges), array in zip(rows(ax), arrays.values(), strict=True):
        everything = np.concatenate([a.ravel() for a in arrays.values()])
        counts = np.histogram(array, 12, (everything.min(), everything.max()))[0]
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=1e-12)
        assert edges[[0, -1]].tolist() == [everything.min(), everything.max()]
    assert [text.get_text() for text in ax.texts] == [f"std {array.std():.2g}" for array in arrays.values()]
    mine = plt.subplots()[1]
    assert viz.layer_histograms(arrays, ax=mine) is mine


def test_magnitudes_are_sorted_on_a_logarithmic_axis():
    array = np.array([-1e-6, 1e-6, 1e-2, 0.0])
    ax = draw(viz.layer_histograms({"a": array}, bins=2, magnitude=True))
    ((heights, edges),) = rows(ax)
    assert ax.get_xscale() == "log"
    np.testing.assert_allclose(edges, [1e-6, 1e-4, 1e-2])
    np.testing.assert_allclose(heights / heights.max(), [1, 0.5])
    assert "zeros 25%" in ax.texts[0].get_text()


@pytest.mark.parametrize("magnitude", [False, True])
def test_numbers_that_no_histogram_holds_are_told(magnitude):
    arrays = {"nan": [np.nan] * 3, "some": [1.0, np.inf, 0.0], "one": 2.0, "zero": [0, 0]}
    ax = draw(viz.layer_histograms(arrays, magnitude=magnitude))
    told = [text.get_text() for text in ax.texts]
    assert told == ["not finite: 3", "std 0.5, zeros 33%, not finite: 1", "std 0", "std 0, zeros 100%"]
    draw(viz.layer_histograms({"nan": [np.nan]}, magnitude=magnitude))
    draw(viz.layer_histograms({"constant": [5.0, 5.0]}, magnitude=magnitude))


def test_histograms_that_cannot_be():
    for arrays in ({}, None, [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"layer_histograms: .* holds no arrays"):
            viz.layer_histograms(arrays)
    with pytest.raises(ValueError, match="'a' holds no numbers"):
        viz.layer_histograms({"a": []})
    with pytest.raises(ValueError, match="bins=0"):
        viz.layer_histograms({"a": [1.0]}, bins=0)
    assert plt.get_fignums() == []


# ----------------------------------------------------------------------------------------------------------------------
# Quantiles of a layer over epochs.


def bands(ax):
    """For each band by its label, from where to where it reaches at each epoch."""
    found = {}
    for band in ax.collections:
        corners = band.get_paths()[0].vertices
        epochs = np.unique(corners[:, 0])
        heights = [corners[corners[:, 0] == epoch, 1] for epoch in epochs]
        found[band.get_label()] = {e: (h.min(), h.max()) for e, h in zip(epochs.tolist(), heights, strict=True)}
    return found


def test_bands_are_the_quantiles_of_each_epoch():
    arrays = {0: RANDOM.normal(size=(50, 3)), 5: RANDOM.uniform(-1, 1, 70), 10: [2.0]}
    ax = draw(viz.layer_quantiles(arrays))
    assert lines(ax)["median"].get_xydata().tolist() == [[e, np.median(array)] for e, array in arrays.items()]
    for label, low, high in (("all numbers", 0, 1), ("90 % of them", 0.05, 0.95), ("half of them", 0.25, 0.75)):
        for epoch, array in arrays.items():
            np.testing.assert_allclose(bands(ax)[label][epoch], np.quantile(array, [low, high]), rtol=1e-12)
    assert labels(ax) == ["all numbers", "90 % of them", "half of them", "median"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "value")


def test_quantiles_of_magnitudes_leave_zeros_out():
    ax = draw(viz.layer_quantiles({0: [-1e-3, 0.0, 1e-5], 1: [1e-2]}, magnitude=True))
    assert bands(ax)["all numbers"] == {0: (1e-5, 1e-3), 1: (1e-2, 1e-2)}
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "magnitude")


@pytest.mark.parametrize("magnitude", [False, True])
def test_epochs_with_numbers_that_are_not_finite_are_marked(magnitude):
    ax = draw(viz.layer_quantiles({0: [1.0, 2.0], 1: [np.inf, 3.0], 2: [np.nan]}, magnitude=magnitude))
    (marks,) = [line for line in ax.lines if line.get_marker() == "^"]
    assert marks.get_xdata().tolist() == [1, 2]
    assert lines(ax)["median"].get_ydata()[:2].tolist() == [1.5, 3.0]
    assert np.isnan(lines(ax)["median"].get_ydata()[2])
    draw(viz.layer_quantiles({0: [0.0, 0.0]}, magnitude=magnitude))


def test_quantiles_that_cannot_be():
    for arrays in ({}, None, [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"layer_quantiles: .* holds no arrays; give {epoch: numbers}"):
            viz.layer_quantiles(arrays)
    with pytest.raises(TypeError, match=r"'1 Tanh'.* are no epochs"):
        viz.layer_quantiles({"1 Tanh": [1.0]})
    with pytest.raises(ValueError, match="'3' holds no numbers"):
        viz.layer_quantiles({3: []})
    assert plt.get_fignums() == []


# ----------------------------------------------------------------------------------------------------------------------
# Update ratios.


def test_update_ratios_are_drawn_with_the_rule_of_thumb():
    ratios = {"0.weight": [1e-3, 2e-3, 5e-4], "2.weight": [1e-2, 1e-2, 2e-2]}
    ax = draw(viz.update_ratios(ratios))
    drawn = lines(ax)
    for name, curve in ratios.items():
        assert drawn[name].get_xydata().tolist() == [[step, ratio] for step, ratio in enumerate(curve)]
    rule = next(line for label, line in drawn.items() if "Karpathy" in label)
    assert set(rule.get_ydata()) == {1e-3}
    assert ax.get_yscale() == "log"
    assert labels(ax)[1:] == list(ratios)


def test_ratios_without_a_place_on_the_axis_are_marked():
    ax = draw(viz.update_ratios({"a": [0.0, np.nan, np.inf, 1e-2]}))
    marks = {line.get_marker(): line.get_xdata().tolist() for line in ax.lines if line.get_marker() in ("v", "^")}
    assert marks == {"v": [0], "^": [1, 2]}
    assert np.isnan(lines(ax)["a"].get_ydata()[:3]).all()
    draw(viz.update_ratios({"a": [0.0]}))
    with pytest.raises(ValueError, match="update_ratios: "):
        viz.update_ratios({})


# ----------------------------------------------------------------------------------------------------------------------
# Confusion matrix.


def test_a_confusion_matrix_shows_counts_and_shares_of_the_rows():
    truth, answers = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 0, 0, 1, 1, 1, 2, 1, 0, 2]
    matrix = confusion_matrix(truth, answers)
    ax = draw(viz.confusion_matrix(matrix, ["ant", "bee", "cat"]))
    texts = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert texts[0, 0] == "3\n75%"
    assert texts[0, 1] == "1\n25%"
    assert texts[1, 1] == "2\n100%"
    assert texts[2, 2] == "2\n50%"
    assert texts[1, 0] == "0"
    np.testing.assert_allclose(ax.images[0].get_array(), matrix / matrix.sum(axis=1, keepdims=True))
    assert [t.get_text() for t in ax.get_xticklabels()] == [t.get_text() for t in ax.get_yticklabels()]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_counts_can_be_read_on_their_colour():
    """A contrast of 4.5 at least, which WCAG 2.1 asks of text."""
    for share in np.linspace(0, 1, 21):
        ax = viz.confusion_matrix([[round(100 * share), round(100 - 100 * share)], [0, 1]])
        back = ax.images[0].cmap(share)[:3]
        light = [luminance(to_rgb(colour)) for colour in (ax.texts[0].get_color(), back)]
        assert (max(light) + 0.05) / (min(light) + 0.05) >= 4.5, share
        plt.close("all")


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_confusion_matrices_at_the_edges():
    ax = draw(viz.confusion_matrix([[0, 0], [1, 3]]))  # no sample of class 0
    assert [text.get_text() for text in ax.texts] == ["0", "0", "1\n25%", "3\n75%"]
    assert np.ma.masked_invalid(ax.images[0].get_array()).mask[0].all()
    assert [text.get_text() for text in draw(viz.confusion_matrix(np.eye(13, dtype=int))).texts][:2] == ["1", "0"]
    assert not draw(viz.confusion_matrix(np.ones((31, 31)))).texts


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2]], r"shape \(1, 2\)"),
        ([], "shape"),
        ([[0.5]], "normalize=None"),
        ([[-1]], "counts"),
        ([[np.nan]], "counts"),
        ([[np.inf]], "counts"),
    ],
)
def test_confusion_matrices_that_cannot_be(matrix, message):
    with pytest.raises(ValueError, match=message):
        viz.confusion_matrix(matrix)
    with pytest.raises(ValueError, match="2 labels, for 1 classes"):
        viz.confusion_matrix([[1]], ["a", "b"])
    with pytest.raises(TypeError, match="no array of numbers"):
        viz.confusion_matrix([[1, 2], [3]])
    assert plt.get_fignums() == []


# ----------------------------------------------------------------------------------------------------------------------
# Early stopping.


def shaded(ax):
    """From where to where the epochs are shaded."""
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]


def test_the_best_epoch_and_what_came_after_it():
    training, validation = [4.0, 3.0, 2.0, 1.0, 0.5], [4.5, 3.5, 3.0, 3.2, 3.6]
    ax = draw(viz.early_stopping_curve(training, validation, stopped_epoch=5))
    drawn = lines(ax)
    assert drawn["training"].get_xydata().tolist() == [[k + 1, loss] for k, loss in enumerate(training)]
    assert drawn["validation"].get_xydata().tolist() == [[k + 1, loss] for k, loss in enumerate(validation)]
    assert drawn["lowest validation loss, epoch 3: 3"].get_xydata().tolist() == [[3, 3.0]]
    assert set(drawn["stopped after epoch 5"].get_xdata()) == {5}
    assert shaded(ax) == [(3, 5)]
    assert "overfitting: training falls, validation rises" in labels(ax)
    history = viz.early_stopping_curve(nn.History(loss=training, validation_loss=validation), best_epoch=4)
    assert shaded(history) == [(4, 5)]


def test_overfitting_is_claimed_only_where_it_is_seen():
    ax = viz.early_stopping_curve([4.0, 3.0, 3.5], [4.0, 3.0, 3.2])  # both rise
    assert "after the best epoch" in labels(ax)
    both_fall = viz.early_stopping_curve([4.0, 3.0, 2.0], [4.0, 3.0, 2.0], best_epoch=2)
    assert "weights kept, epoch 2: 3" in labels(both_fall)
    assert not any("overfitting" in label for label in labels(ax) + labels(both_fall))
    assert shaded(viz.early_stopping_curve([3.0, 2.0], [3.0, 2.0])) == []  # the last is the best


def test_losses_that_are_no_numbers_are_marked():
    ax = draw(viz.early_stopping_curve([3.0, 2.0, np.inf], [3.0, np.nan, np.nan]))
    drawn = lines(ax)
    assert drawn["training: not finite in epoch 3"].get_xdata().tolist() == [3]
    assert drawn["validation: not finite in epoch 2 and 1 more"].get_xdata().tolist() == [2, 3]
    assert "lowest validation loss, epoch 1: 3" in drawn
    ax = draw(viz.early_stopping_curve([np.nan], [np.nan]))
    assert not any("lowest" in label for label in labels(ax))
    draw(viz.early_stopping_curve([1.0], [1.0]))


def test_a_wide_range_of_losses_gets_a_logarithmic_axis():
    assert viz.early_stopping_curve([10.0, 0.1], [9.0, 0.2]).get_yscale() == "log"
    assert viz.early_stopping_curve([10.0, 1.1], [9.0, 2.0]).get_yscale() == "linear"
    assert viz.early_stopping_curve([10.0, 0.0], [9.0, 0.5]).get_yscale() == "symlog"
    assert viz.early_stopping_curve([10.0, -0.1], [9.0, 0.5]).get_yscale() == "linear"


def test_early_stopping_that_cannot_be():
    with pytest.raises(ValueError, match="the validation loss has shape"):
        viz.early_stopping_curve([1.0, 2.0])
    with pytest.raises(ValueError, match="the validation loss has shape"):
        viz.early_stopping_curve(nn.History(loss=[1.0]))
    with pytest.raises(ValueError, match="2 training and 1 validation losses"):
        viz.early_stopping_curve([1.0, 2.0], [1.0])
    with pytest.raises(TypeError, match="leave `validation` out"):
        viz.early_stopping_curve(nn.History(loss=[1.0], validation_loss=[1.0]), [1.0])
    for epoch in (0, 3, 1.5, True):
        with pytest.raises(ValueError, match="best_epoch="):
            viz.early_stopping_curve([1.0, 2.0], [1.0, 2.0], best_epoch=epoch)
    with pytest.raises(ValueError, match="stopped_epoch=7"):
        viz.early_stopping_curve([1.0, 2.0], [1.0, 2.0], stopped_epoch=7)
    assert plt.get_fignums() == []
