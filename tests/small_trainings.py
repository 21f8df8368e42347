"""Short trainings of three kinds of networks, large enough to use all cores. Not a test by itself."""

import numpy as np

import fast
import nn


def mlp(how):
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 64))
    return nn.MLP([64, 128, 10], "tanh", **how), (x, x[:, :10].argmax(axis=1))


def convolutions(how):
    x = np.random.default_rng(1).normal(size=(32, 2, 14, 14))
    model = nn.Sequential(
        *(nn.Conv2d(2, 8, 3, padding=1, **how), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, **how), nn.Tanh(), nn.Flatten(), nn.Linear(200, 10, **how)),
    )
    return model, (x, x[:, 0, 0, :10].argmax(axis=1))


def lstm(how):
    x = np.random.default_rng(2).normal(size=(64, 6, 10))
    return nn.Sequential(nn.LSTM(10, 32, **how), nn.LastStep(), nn.Linear(32, 10, **how)), (x, x[:, 0].argmax(axis=1))


KINDS = {"mlp": mlp, "convolutions": convolutions, "lstm": lstm}


def losses(kind):
    """The losses of some steps, always the same."""
    model, data = KINDS[kind]({"engine": fast, "seed": np.random.default_rng(3), "dtype": "float64"})
    return nn.fit(model, data, nn.cross_entropy, nn.Adam(model.parameters(), lr=0.01), 3, len(data[0]) // 2).step_loss
