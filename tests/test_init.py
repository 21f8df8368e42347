"""Where parameters begin: formulas against their definitions, both engines alike, PyTorch's gains, refusals."""

import math

import numpy as np
import pytest

import fast
import micro
import nn

SHAPES = [((300, 200), 200, 300), ((40, 20, 5, 3), 300, 600)]


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_spread_is_what_the_formula_says(shape, fan_in, fan_out):
    tensor = fast.zeros(*shape)

    def spread(function, **settings):
        numbers = function(tensor, seed=3, **settings).numpy()
        assert abs(numbers.mean()) < 4 * numbers.std() / math.sqrt(numbers.size)
        return numbers.std(), np.abs(numbers).max()

    std, most = spread(nn.init.xavier_uniform_, gain=2.0)
    bound = 2 * math.sqrt(6 / (fan_in + fan_out))
    assert 0.999 * bound < most <= bound
    assert std == pytest.approx(bound / math.sqrt(3), rel=0.02)
    std, _ = spread(nn.init.xavier_normal_, gain=5 / 3)
    assert std == pytest.approx(5 / 3 * math.sqrt(2 / (fan_in + fan_out)), rel=0.02)
    std, most = spread(nn.init.kaiming_uniform_, nonlinearity="relu")
    assert 0.999 * math.sqrt(6 / fan_in) < most <= math.sqrt(6 / fan_in)
    std, _ = spread(nn.init.kaiming_normal_, mode="fan_out", a=0.2)
    assert std == pytest.approx(math.sqrt(2 / (1 + 0.2**2) / fan_out), rel=0.02)
    std, _ = spread(nn.init.normal_, std=0.3)
    assert std == pytest.approx(0.3, rel=0.02)


def test_both_engines_begin_alike():
    for function in (nn.init.kaiming_uniform_, nn.init.xavier_normal_, nn.init.uniform_):
        slow, quick = [function(engine.zeros(3, 4, dtype="float64"), seed=7) for engine in (micro, fast)]
        np.testing.assert_array_equal(np.asarray(slow), np.asarray(quick))


def test_a_layer_keeps_its_tensor_and_is_written_in_place():
    layer = nn.Linear(3, 2, engine=fast, seed=0)
    assert nn.init.ones_(layer.weight) is layer.weight
    assert (layer.weight.numpy() == 1).all()
    assert nn.init.zeros_(layer.bias).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("nonlinearity", "param", "gain"),
    [
        ("linear", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 1.0, 1),
        ("selu", None, 0.75),
    ],
)
def test_gains(nonlinearity, param, gain):
    assert nn.init.calculate_gain(nonlinearity, param) == pytest.approx(gain)


def test_what_is_refused():
    bias = fast.zeros(3)
    with pytest.raises(ValueError, match=r"xavier_normal_: the tensor has shape \(3,\); it needs \(out, in\)"):
        nn.init.xavier_normal_(bias, seed=0)
    with pytest.raises(ValueError, match="calculate_gain: nonlinearity='gelu'; use one of 'linear'"):
        nn.init.kaiming_normal_(fast.zeros(2, 2), nonlinearity="gelu", seed=0)
    with pytest.raises(ValueError, match="kaiming_uniform_: mode='in'; use"):
        nn.init.kaiming_uniform_(fast.zeros(2, 2), mode="in", seed=0)
    with pytest.raises(ValueError, match=r"uniform_: a=2 is above b=1"):
        nn.init.uniform_(bias, 2, seed=0)
    with pytest.raises(ValueError, match=r"normal_: std=-1"):
        nn.init.normal_(bias, std=-1, seed=0)
    with pytest.raises(ValueError, match=r"constant_: value=nan; give a finite number"):
        nn.init.constant_(bias, float("nan"))
    with pytest.raises(TypeError, match="constant_: got a list"):
        nn.init.zeros_([1.0])
