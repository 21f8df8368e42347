"""How the tests of one family of functions compare its two versions."""

import inspect

import numpy as np
from test_functional import numbers, run

import fast
import micro
import nn
from fast import elementwise, threads


def assert_twins(function, arrays, dtype="float64"):
    """`fast` gives the results and the gradients of `micro`, each element of the result weighted by its own number."""
    tolerance = {"float64": 1e-10, "float32": 5e-4}[dtype]
    arrays = [array.astype(dtype).astype(float) for array in arrays]
    shape, expected, gradients = run(micro, function, arrays, "float64")
    same_shape, result, same_gradients = run(fast, function, arrays, dtype)
    assert same_shape == shape
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(same_gradients, gradients, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * max(1, np.abs(theirs).max()))


def assert_slopes(function, arrays, step=1e-6):
    """The gradients of `micro` are the slopes in a random direction: two evaluations check all of them at once."""
    directions = [numbers(*array.shape, seed=3) for array in arrays]

    def total(shift):
        moved = [micro.tensor((a + shift * d).tolist(), "float64") for a, d in zip(arrays, directions, strict=True)]
        result = function(micro.functional, *moved)
        return float((np.asarray(result.tolist()) * numbers(*result.shape, seed=2)).sum())

    numeric = (total(step) - total(-step)) / (2 * step)
    gradients = run(micro, function, arrays, "float64")[2]
    exact = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-6)


def on_all_cores(monkeypatch, yes=True):
    """Let everything run on all cores, however small it is; or nothing, however large."""
    set_thresholds(monkeypatch, -1 if yes else 1 << 60)


def set_thresholds(monkeypatch, number):
    """Let everything that has at least `number` elements or multiplications run on all cores."""
    for name in ("CHEAP", "COSTLY", "PRODUCT"):
        monkeypatch.setattr(threads, name, number)
    forward, slopes = elementwise.FORWARD, elementwise.SLOPES  # where they have been noted already
    monkeypatch.setattr(elementwise, "FORWARD", {name: (kernels, number) for name, (kernels, _) in forward.items()})
    changed = {name: [(kernels, number) for kernels, _ in plans] for name, plans in slopes.items()}
    monkeypatch.setattr(elementwise, "SLOPES", changed)


def count_launches(monkeypatch):
    """A list that grows by one with every kernel that is started on all cores."""
    started, lock = [], threads._lock

    class Watched:
        def __enter__(self):
            started.append(1)
            return lock.__enter__()

        def __exit__(self, *problem):
            return lock.__exit__(*problem)

    monkeypatch.setattr(threads, "_lock", Watched())
    return started


def against_torch(torch, function, reference, arrays, rtol=1e-10):
    """Results and gradients of `fast` in float64 are those of PyTorch."""
    ours = [fast.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    theirs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    y, z = function(*ours), reference(*theirs)
    weights = numbers(*y.shape, seed=2)
    y.backward(weights)
    z.backward(torch.tensor(weights))
    np.testing.assert_allclose(np.asarray(y), z.detach().numpy(), rtol=rtol, atol=rtol)
    for mine, other in zip(ours, theirs, strict=True):
        if mine.requires_grad:
            np.testing.assert_allclose(np.asarray(mine.grad), other.grad.numpy(), rtol=rtol, atol=rtol)


def train_both(build, data, loss, lr=0.05):
    """20 steps from the same seed have the same losses on both engines; data of 24 samples."""
    results = []
    for engine in (micro, fast):
        model = build(engine)
        optimizer = nn.SGD(model.parameters(), lr=lr, momentum=0.5)
        history = nn.fit(model, data, loss, optimizer, epochs=5, batch_size=6, validation=data)
        assert len(history.step_loss) == 20
        results.append(history.step_loss + history.validation_loss)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9)
    assert results[0][19] < results[0][0]


def layers_of(engine, dtype="float64"):
    """A function that makes layers of `nn` by name: `make("Linear", 2, 3)`, one after another from one seed."""
    offered = {"engine": engine, "dtype": dtype, "seed": np.random.default_rng(0)}

    def make(kind, *arguments, **settings):
        layer = getattr(nn, kind)
        known = inspect.signature(layer).parameters
        return layer(*arguments, **settings, **{name: value for name, value in offered.items() if name in known})

    return make
