"""Trainings on a simulated GPU: `NUMBA_ENABLE_CUDASIM=1 python tests/cuda/simulate_training.py [PATTERN]`.

Compiled steps of small models, carried out there and on the CPU. A line for each training; the exit status says whether
losses, parameters and running means agreed.
"""

import re
import sys
import time
import traceback

import numpy as np
import simulate_instructions as simulated

import fast
import nn
from fast.cuda import steps as gpu_steps

gpu_steps.Program = simulated.SimulatedProgram

TRAININGS = {}


def training(optimizer, order, rates=None, **limits):
    """Say that a function makes a model, its loss and data. optimizer: of parameters; order: as `Step.run` takes it."""

    def note(make):
        TRAININGS[make.__name__] = make, optimizer, np.array(order), rates, limits
        return make

    return note


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def _dense(*modules):
    """A model of float64, its loss, and data of 5 samples.

    Without the first bias: before a batch norm its gradient is nothing but what was rounded.
    """
    made = {"engine": fast, "seed": 0, "dtype": "float64"}
    model = nn.Sequential(nn.Linear(2, 3, bias=False, **made), *modules, nn.Linear(3, 1, **made))
    return model, lambda x, y: nn.mse_loss(model(x), y), (numbers(5, 2), numbers(5, 1))


#: Two batches of three samples, and one of two.
ORDER = [[0, 1, 2], [3, 4, 0], [2, 1, -1]]


@training(lambda p: nn.SGD(p, 0.1, weight_decay=0.01), ORDER, [0.1, 0.2, 0.05])
def plain():
    return _dense(nn.Tanh())


@training(lambda p: nn.SGD(p, 0.1, momentum=0.9, dampening=0.5, nesterov=False), ORDER, max_norm=0.5)
def momentum():
    return _dense(nn.Tanh())


@training(lambda p: nn.AdamW(p, 0.1), ORDER[:2], clip_value=0.1)
def adam():
    return _dense(nn.Dropout(0.4, seed=0), nn.Tanh(), nn.Dropout(0.2, seed=1))


@training(lambda p: nn.RMSprop(p, 0.1, momentum=0.5, centered=True), ORDER[:2])
def rmsprop():
    return _dense(nn.BatchNorm1d(3, momentum=None, engine=fast, dtype="float64"))


@training(lambda p: nn.Adagrad(p, 0.1, lr_decay=0.1), [[[0, 1, 2], [3, 4, -1]], [[2, 1, 0], [-1, -1, -1]]])
def adagrad_of_several_batches():
    return _dense(nn.Tanh())


@training(lambda p: nn.SGD(p, 1e200), ORDER * 2)
def diverging():
    return _dense(nn.BatchNorm1d(3, engine=fast, dtype="float64"))


@training(lambda p: nn.SGD(p, 0.1), [[0, 1], [2, 3], [4, 0], [1, 2]])
def refused():
    """The fifth label is no class."""
    model = nn.Linear(2, 3, engine=fast, seed=0, dtype="float64")
    return model, lambda x, y: nn.cross_entropy(model(x), y), (numbers(5, 2), np.array([0, 1, 2, 1, 3]))


def train(made, optimizer, order, rates, limits, device):
    """(losses, numbers of the model); no losses where a step is refused, which leaves the model as it was before."""
    model, loss, data = made
    step = fast.compile_step(loss, optimizer(model.to(device).parameters()), **limits)
    try:
        losses = step.run(data, order, rates)
    except ValueError:
        losses = None
    return losses, model.state_dict()


def compare(name):
    make, *others = TRAININGS[name]
    (losses, state), (found, found_state) = [train(make(), *others, device) for device in ("cpu", "cuda")]
    assert (found is None) == (losses is None)
    if losses is not None:
        np.testing.assert_allclose(found, losses, rtol=1e-11, atol=1e-13)
    for key, wanted in state.items():
        np.testing.assert_allclose(found_state[key], wanted, rtol=1e-11, atol=1e-13, err_msg=key)


def main() -> int:
    wrong = 0
    for name in TRAININGS:
        if not re.search(sys.argv[1] if sys.argv[1:] else "", name):
            continue
        started, said = time.perf_counter(), ""
        try:
            compare(name)
        except Exception:
            said = traceback.format_exc()
        wrong += bool(said)
        print(f"{name}: {said or 'alike'} ({time.perf_counter() - started:.2f} s)", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
