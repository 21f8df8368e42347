"""Parallel kernels: used for large arrays, right from several Python threads at once, harmless after a fork."""

import subprocess
import sys
import threading

import numpy as np

import fast
from fast import threads

LARGE = np.linspace(-2, 2, 2 * threads.CHEAP)


def test_large_arrays_go_to_all_cores_and_small_ones_do_not(monkeypatch):
    calls = []
    original = threads.launch
    monkeypatch.setattr(threads, "launch", lambda *arguments: calls.append(1) or original(*arguments))
    fast.tensor(LARGE[: threads.CHEAP - 1]).relu()
    assert calls == []
    y = fast.tensor(LARGE).relu()
    assert calls == [1]
    assert np.array_equal(y.data, np.maximum(LARGE, 0))


def test_several_python_threads_at_once():
    """Numba's own pool aborts the process when this is not guarded."""
    x = fast.tensor(LARGE, requires_grad=True)
    expected = np.tanh(LARGE)
    wrong = []

    def work():
        for _ in range(20):
            if not np.allclose(x.tanh().data, expected, rtol=1e-14):
                wrong.append(threading.current_thread().name)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert not any(worker.is_alive() for worker in workers)
    assert wrong == []


def test_gradients_are_recorded_per_thread():
    x = fast.tensor([1.0], requires_grad=True)
    recorded = []
    with fast.no_grad():
        worker = threading.Thread(target=lambda: recorded.append((x * 2).parents != ()))
        worker.start()
        worker.join()
        assert (x * 2).parents == ()
    assert recorded == [True]


def test_a_forked_child_can_go_on():
    """OpenMP does not survive a fork: without care the child would be ended, or hang."""
    code = f"""
import os, sys, warnings
import numpy as np
import fast
x = fast.tensor(np.ones({len(LARGE)}))
x.tanh()
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads; this is about surviving one
child = os.fork()
if child == 0:
    right = bool(np.allclose(x.tanh().data, np.tanh(1.0)))
    os._exit(0 if right else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
