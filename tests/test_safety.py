"""Training as a whole: in several threads, after a fork, for a long time, and beside the user's own work."""

import gc
import os
import resource
import subprocess
import sys
import threading
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
from agreement import count_launches, layers_of
from scipy.linalg import blas
from small_trainings import KINDS, losses
from test_twins import LAYERS, PLANE
from threadpoolctl import threadpool_info, threadpool_limits

import fast
import nn


@pytest.mark.parametrize("kind", KINDS)
def test_these_trainings_use_all_cores(kind, monkeypatch):
    calls = count_launches(monkeypatch)
    losses(kind)
    assert calls


@pytest.mark.parametrize("kinds", [*([kind] * 4 for kind in KINDS), [*KINDS, "mlp"]], ids="-".join)
def test_training_in_four_threads_at_once(kinds):
    expected = {kind: losses(kind) for kind in KINDS}
    found = []
    workers = [threading.Thread(target=lambda kind=kind: found.append((kind, losses(kind)))) for kind in kinds]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert sorted(kind for kind, _ in found) == sorted(kinds)
    for kind, curve in found:
        assert curve == expected[kind], kind


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_a_forked_child_trains_right(how):
    """After parallel kernels have run in the parent. A child that hangs is ended by the time limit."""
    code = f"""
import multiprocessing, os, sys, warnings
import numpy as np
from small_trainings import KINDS, losses
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads; this is about surviving one
expected = [losses(kind) for kind in KINDS]
def right(curves):
    return np.allclose(curves, expected, rtol=1e-9)
if {how!r} == "multiprocessing":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        good = right(pool.map(losses, KINDS))
else:
    child = os.fork()
    if child == 0:
        os._exit(0 if right([losses(kind) for kind in KINDS]) else 1)
    good = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
sys.exit(0 if good and right([losses(kind) for kind in KINDS]) else 1)
"""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=240).returncode == 0


def step(model, x, y, loss, optimizer):
    error = loss(model(x), y)
    optimizer.zero_grad()
    error.backward()
    optimizer.step()
    return error


def test_a_thousand_steps_leave_nothing_behind():
    """Less than 16 bytes a step: what Python keeps for itself, but no tensor, and no list that grows."""
    model = nn.MLP([8, 16, 1], "tanh", engine=fast)
    optimizer = nn.Adam(model.parameters())
    x, y = fast.tensor(np.ones((32, 8), "float32")), fast.tensor(np.ones((32, 1), "float32"))
    tracemalloc.start()
    try:
        for _ in range(100):
            step(model, x, y, nn.mse_loss, optimizer)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            step(model, x, y, nn.mse_loss, optimizer)
        assert tracemalloc.get_traced_memory()[0] - before < 16_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", LAYERS)
def test_a_graph_disappears_by_itself(name):
    """There are no reference cycles, so memory is free again the moment that the last name of a graph is gone."""
    modules, numbers = LAYERS[name]
    model = nn.Sequential(*modules(layers_of(fast)))
    optimizer = nn.Adam(model.parameters())
    x, y = fast.tensor(numbers), fast.tensor(PLANE[:, :1])
    step(model, x, y, nn.mse_loss, optimizer)
    gc.collect()
    gc.disable()
    try:
        error = step(model, x, y, nn.mse_loss, optimizer)
        graph = [weakref.ref(tensor) for tensor in error.topological_order() if tensor.op is not None]
        assert len(graph) > 1
        del error
        assert [tensor() for tensor in graph if tensor() is not None] == []
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_users_own_products_keep_their_threads():
    """Those of NumPy and of SciPy, however many the user has asked for."""
    matrix = np.ones((300, 300))

    def settings():
        return sorted((library["filepath"], library["num_threads"]) for library in threadpool_info())

    losses("mlp")  # everything is loaded
    for limit in (2, 1):
        with threadpool_limits(limit):
            matrix @ matrix, blas.dgemm(1.0, matrix, matrix)
            before = settings()
            for kind in KINDS:
                losses(kind)
            assert settings() == before


@pytest.mark.skipif(sys.platform != "linux", reason="the pages of other systems are not counted alike")
def test_a_step_needs_no_new_pages_of_memory():
    """What a step frees, the next one uses: glibc would fetch megabytes anew, some hundred pages a step."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, engine=fast, seed=0),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 28 * 28, 4, engine=fast, seed=1),
    )
    x, y = fast.rand(64, 1, 28, 28, seed=0), fast.randint(0, 4, (64,), seed=1)

    def step():
        model.zero_grad()
        nn.cross_entropy(model(x), y).backward()

    for _ in range(10):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        step()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 20 * 50
