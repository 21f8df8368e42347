"""The whole: the same network, trained by the same loop from the same seed, has the same losses on both engines."""

import numpy as np
import pytest

import fast
import micro
import nn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(23, 4))
PLANE = X @ RANDOM.normal(size=(4, 3))

TARGETS = {
    "mse_loss": (nn.mse_loss, PLANE[:, :1]),
    "hinge_loss": (nn.hinge_loss, np.where(PLANE[:, :1] > 0, 1, -1)),
    "binary_cross_entropy_with_logits": (nn.binary_cross_entropy_with_logits, (PLANE[:, :1] > 0).astype(float)),
    "cross_entropy": (nn.cross_entropy, PLANE.argmax(axis=1)),
}
OPTIMIZERS = {
    "SGD": lambda p: nn.SGD(p, lr=0.05),
    "momentum": lambda p: nn.SGD(p, lr=0.02, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: nn.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "Adam": lambda p: nn.Adam(p, lr=0.01, weight_decay=0.01),
    "AdamW": lambda p: nn.AdamW(p, lr=0.01, weight_decay=0.1),
    "RMSprop": lambda p: nn.RMSprop(p, lr=0.002, weight_decay=0.01),
    "RMSprop, centered": lambda p: nn.RMSprop(p, lr=0.001, alpha=0.9, momentum=0.5, centered=True),
    "Adagrad": lambda p: nn.Adagrad(p, lr=0.02, lr_decay=0.01, initial_accumulator_value=0.1),
}


def losses(engine, model, loss, target, optimizer, steps=20):
    """The losses of 20 steps in batches of 5, so that the last batch of an epoch is smaller."""
    data = (X[: len(target)], target)
    history = nn.fit(model, data, loss, optimizer(model.parameters()), epochs=4, batch_size=5, validation=data)
    assert len(history.step_loss) == steps
    return history.step_loss + history.validation_loss


def assert_twins(build, loss, target, optimizer):
    slow, quick = [losses(engine, build(engine), loss, target, optimizer) for engine in (micro, fast)]
    np.testing.assert_allclose(quick, slow, rtol=1e-9)
    assert slow[19] < slow[0]  # and it learned, so there was something to agree on


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", TARGETS)
def test_losses_and_optimizers(loss, optimizer):
    function, target = TARGETS[loss]
    outputs = 3 if loss == "cross_entropy" else 1

    def build(engine):
        return nn.MLP([4, 6, outputs], "tanh", engine=engine, seed=7, dtype="float64")

    assert_twins(build, function, target, OPTIMIZERS[optimizer])


@pytest.mark.parametrize("activation", nn.ACTIVATIONS)
def test_activations(activation):
    def build(engine):
        return nn.MLP([4, 6, 5, 1], activation, engine=engine, seed=3, dtype="float64")

    assert_twins(build, *TARGETS["mse_loss"], OPTIMIZERS["Adam"])


def test_probabilities():
    def build(engine):
        return nn.Sequential(
            nn.Linear(4, 5, bias=False, engine=engine, seed=1, dtype="float64"),
            nn.Softmax(),
            nn.Linear(5, 1, engine=engine, seed=2, dtype="float64"),
            nn.Sigmoid(),
        )

    assert_twins(build, nn.binary_cross_entropy, (PLANE[:, :1] > 0).astype(float), OPTIMIZERS["Adam"])


def test_l2_penalty():
    def build(engine):
        return nn.MLP([4, 6, 1], "relu", engine=engine, seed=5, dtype="float64")

    results = []
    for engine in (micro, fast):
        model = build(engine)
        optimizer = nn.SGD(model.parameters(), lr=0.05)
        results.append([])
        for _ in range(20):
            prediction = model(engine.tensor(X.tolist(), "float64"))
            target = engine.tensor(PLANE[:, :1].tolist(), "float64")
            error = nn.mse_loss(prediction, target) + 0.01 * nn.l2_penalty(model.parameters())
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            results[-1].append(error.item())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9)


def test_one_seed_gives_the_same_weights_to_the_bit():
    slow, quick = [nn.MLP([3, 5, 2], engine=e, seed=1337, dtype="float64").state_dict() for e in (micro, fast)]
    assert slow.keys() == quick.keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}
    for name in slow:
        assert slow[name].tobytes() == quick[name].tobytes()


def test_first_weights_have_pytorchs_distribution():
    weight = nn.Linear(25, 4000, engine=fast, seed=0).state_dict()["weight"]
    assert weight.shape == (4000, 25)
    assert weight.dtype == "float32"
    assert -0.2 <= weight.min() < -0.199
    assert 0.199 < weight.max() <= 0.2
    assert abs(weight.mean()) < 0.002
    assert weight.std() == pytest.approx(0.2 / 3**0.5, rel=0.01)
