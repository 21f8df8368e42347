"""Parallel kernels: used for large arrays, right from several Python threads at once, harmless after a fork."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from agreement import count_launches
from threadpoolctl import threadpool_info

import fast
from fast import threads
from fast.functional import products

LARGE = np.linspace(-2, 2, 2 * threads.CHEAP)


def test_large_arrays_go_to_all_cores_and_small_ones_do_not(monkeypatch):
    calls = count_launches(monkeypatch)
    fast.tensor(LARGE[: threads.CHEAP - 1]).relu()
    assert calls == []
    y = fast.tensor(LARGE).relu()
    assert calls == [1]
    assert np.array_equal(y.data, np.maximum(LARGE, 0))


def test_one_thread_means_this_one(monkeypatch):
    calls, x = count_launches(monkeypatch), fast.tensor(LARGE)
    with fast.one_thread(), fast.one_thread():
        x.relu()
    with pytest.raises(OSError, match="disk"), fast.one_thread():
        raise OSError("disk")
    with fast.one_thread():
        x.relu()
        assert calls == []
        other = threading.Thread(target=x.relu)  # which may use all cores
        other.start()
        other.join()
    assert calls == [1]
    x.relu()
    assert calls == [1, 1]


def test_products_on_one_thread_keep_blas_from_using_others(monkeypatch):
    seen = []

    def watched(*arguments):
        seen.extend(library.get_num_threads() for library in threads._blas())
        return serial(*arguments)

    serial, parallel = products._LINEAR_KERNELS
    monkeypatch.setattr(products, "_LINEAR_KERNELS", (watched, parallel))
    x = fast.tensor(np.random.default_rng(0).normal(size=(65, 64)))
    with fast.one_thread():
        y = fast.functional.linear(x, x)
    assert set(seen) == {1}
    np.testing.assert_allclose(y.data, x.data @ x.data.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_several_python_threads_at_once(layer):
    """Numba's own pool, "workqueue", aborts the process when this is not guarded."""
    code = f"""
import sys, threading
import numpy as np
import fast
numbers = np.linspace(-2, 2, {len(LARGE)})
x, expected, right = fast.tensor(numbers), np.tanh(numbers), []
def work():
    for _ in range(20):
        right.append(np.allclose(x.tanh().data, expected, rtol=1e-14))
workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers: worker.start()
for worker in workers: worker.join()
sys.exit(0 if right == [True] * 80 else 1)
"""
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=120).returncode == 0


def test_gradients_are_recorded_per_thread():
    x = fast.tensor([1.0], requires_grad=True)
    recorded = []
    with fast.no_grad():
        worker = threading.Thread(target=lambda: recorded.append((x * 2).parents != ()))
        worker.start()
        worker.join()
        assert (x * 2).parents == ()
    assert recorded == [True]


@pytest.mark.parametrize("used_by", ["x.tanh()", "users_own(np.ones(10))"])
def test_a_forked_child_can_go_on(used_by):
    """OpenMP does not survive a fork, whoever had started it: without care the child would be ended, or hang."""
    code = f"""
import os, sys, warnings
import numba
import numpy as np
import fast
def users_own(x):
    for i in numba.prange(x.size):
        x[i] = 2
users_own = numba.njit(parallel=True)(users_own)
x = fast.tensor(np.ones({len(LARGE)}))
{used_by}
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads; this is about surviving one
child = os.fork()
if child == 0:
    right = bool(np.allclose(x.tanh().data, np.tanh(1.0)))
    os._exit(0 if right else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


@pytest.mark.parametrize("rows", [1, 3, 65])
@pytest.mark.parametrize(("inputs", "outputs"), [(513, 513), (300_000, 1), (1, 300_000), (64, 63), (64, 64), (64, 65)])
def test_products_around_the_threshold_equal_numpys(rows, inputs, outputs):
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape) for shape in ((rows, inputs), (outputs, inputs), (outputs,))]
    x, weight, bias = [fast.tensor(array, requires_grad=True) for array in arrays]
    y = fast.functional.linear(x, weight, bias)
    grad = random.normal(size=y.shape)
    y.backward(grad)
    np.testing.assert_allclose(y.data, x.data @ weight.data.T + bias.data, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(x.grad.data, grad @ weight.data, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(weight.grad.data, grad.T @ x.data, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(bias.grad.data, grad.sum(axis=0), rtol=1e-9, atol=1e-9)


def test_blas_keeps_its_threads(monkeypatch):
    """Parallel products give BLAS one thread while they run, and give the others back."""
    libraries = threads._blas()
    seen = []
    serial, parallel = products._LINEAR_KERNELS

    def watched(*arguments):
        seen.extend(library.get_num_threads() for library in libraries)
        return parallel(*arguments)

    monkeypatch.setattr(products, "_LINEAR_KERNELS", (serial, watched))
    before = [library["num_threads"] for library in threadpool_info()]
    x = fast.tensor(np.ones((65, 64)))
    fast.functional.linear(x, x)
    assert set(seen) == {1}
    assert [library["num_threads"] for library in threadpool_info()] == before


def test_products_in_several_python_threads_keep_blas_as_it_was():
    before = [library.get_num_threads() for library in threads._blas()]
    x = fast.tensor(np.random.default_rng(0).normal(size=(200, 200)))
    expected, right = x.data @ x.data, []

    def work():
        for _ in range(20):
            right.append(np.allclose((x @ x).data, expected))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert right == [True] * 80
    assert [library.get_num_threads() for library in threads._blas()] == before
