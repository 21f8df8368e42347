"""Everything that is obviously broken, in under two seconds."""

import numpy as np
import pytest

import nn
from micro import Value


def test_a_value_knows_its_slopes():
    a, b = Value(2.0), Value(-3.0)
    c = a * b + a
    c.backward()
    assert (c.data, a.grad, b.grad) == (-4.0, -2.0, 2.0)


def test_a_network_learns(engine):
    x = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    y = [[-1.0], [1.0], [1.0], [-1.0]]
    model = nn.MLP([2, 8, 1], "tanh", engine=engine, seed=0)
    history = nn.fit(model, (x, y), nn.mse_loss, nn.Adam(model.parameters(), lr=0.1), epochs=40)
    assert history.loss[-1] < 0.05 < history.loss[0]
    assert np.array_equal(np.sign(nn.predict(model, x)), y)


def test_tensors_speak_numpy(engine):
    x = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(np.asarray(x @ x.T + 1), [[6.0, 12.0], [12.0, 26.0]])
    assert x.shape == (2, 2)
    assert x.sum().item() == 10.0
    assert x[1, 0].item() == 3.0
    assert x.softmax(0).sum(0).tolist() == pytest.approx([1.0, 1.0])
