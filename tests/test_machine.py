"""The peaks of a machine, and programs below them."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

import fast
import nn
import viz

matplotlib.use("Agg")


def test_peaks_are_those_of_some_machine():
    peaks = fast.measure_peaks(seconds=0.02)
    assert 1e8 < peaks.flops < 1e14
    assert 1e8 < peaks.bandwidth < 1e13
    assert fast.tensor([1.0], requires_grad=True).exp().requires_grad  # it records again


def steps():
    return [
        SimpleNamespace(kernel="linear", flops=2_000_000, bytes=100_000, seconds=1e-4),
        SimpleNamespace(kernel="relu", flops=1_000, bytes=8_000, seconds=1e-5),
        SimpleNamespace(kernel="select", flops=0, bytes=8_000, seconds=1e-5),
    ]


def test_each_step_is_a_dot_at_its_speed():
    ax = viz.roofline(steps(), (1e11, 1e10))
    roofs, dots = ax.lines[0], [dots.get_offsets() for dots in ax.collections]
    np.testing.assert_allclose(np.concatenate(dots), [(20, 20), (0.125, 0.1)])
    x, y = roofs.get_data()
    np.testing.assert_allclose(y, np.minimum(100, 10 * x))
    assert [text.get_text() for text in ax.get_legend().get_texts()][1:] == ["linear, 83%", "relu, 8%"]


def test_a_real_program_is_drawn():
    model = nn.MLP([6, 8, 3], engine=fast, seed=0)
    step = fast.compile_step(lambda x, y: nn.cross_entropy(model(x), y), nn.SGD(model.parameters(), lr=0.1))
    ax = viz.roofline(step.measure(np.ones((5, 6)), np.zeros(5, int)), fast.Peaks(1e11, 1e10))
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 9  # eight instructions and the update


def test_errors_say_what_to_give():
    with pytest.raises(ValueError, match="no step computes"):
        viz.roofline(steps()[2:], (1e11, 1e10))
    with pytest.raises(ValueError, match="measure_peaks"):
        viz.roofline(steps(), (1e11, 0))
