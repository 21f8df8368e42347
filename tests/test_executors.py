"""Executors: the results are those of this process, a worker that dies is survived, errors say where they happened."""

import os
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from threading import Event

import executor_tasks as tasks
import numpy as np
import pytest

import fast
import nn
from nn.executors import compute

WORKERS = 2


def processes(count):
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


@pytest.fixture(scope="module")
def cluster():
    """Dask with two processes."""
    from distributed import Client, LocalCluster

    with LocalCluster(WORKERS, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def pool():
    with processes(WORKERS) as executor:
        yield executor


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request):
    if request.param == "threads":
        with ThreadPoolExecutor(WORKERS) as threads:
            yield threads
    elif request.param == "processes":
        yield request.getfixturevalue("pool")
    else:
        yield request.getfixturevalue("cluster").get_executor()


def test_results_come_with_the_numbers_of_their_tasks(executor):
    assert list(compute(tasks.square, range(5))) == [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]
    assert sorted(compute(tasks.square, range(5), executor)) == [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]
    assert list(compute(tasks.square, [], executor)) == []


@pytest.mark.parametrize("made_by", ["network", "description"])
def test_a_sweep_is_that_of_this_process(executor, made_by):
    settings = {"learning_rates": [0.01, 0.1, 1e9], "seeds": range(2), "optimizers": [nn.SGD, nn.Adam], "epochs": 3}
    model = tasks.network if made_by == "network" else tasks.network(0)
    here = nn.sweep(model, tasks.DATA, nn.mse_loss, batch_size=4, **settings)
    there = nn.sweep(model, tasks.DATA, nn.mse_loss, batch_size=4, executor=executor, **settings)
    np.testing.assert_array_equal(there.losses, here.losses)
    np.testing.assert_array_equal(there.diverged_at, here.diverged_at)
    assert (here.diverged_at >= 0).any()


def test_workers_stay_on_one_thread(executor):
    assert [result for _, result in compute(tasks.alone, [0], None, fast)] == [(False, os.getpid())]
    results = [result for _, result in compute(tasks.alone, range(4), executor, fast)]
    assert all(alone for alone, _ in results)
    if not isinstance(executor, ThreadPoolExecutor):
        assert os.getpid() not in {process for _, process in results}
    assert not fast.threads.alone()


def test_workers_do_not_compile(executor):
    tasks.compiled(0)  # where that has not been done in this checkout yet
    assert [result for _, result in compute(tasks.compiled, range(4), executor, fast)] == [0] * 4


@pytest.mark.parametrize("count", [3, 40])
def test_an_error_says_in_which_task(executor, count):
    with pytest.raises(ValueError, match="2 is too much") as caught:
        list(compute(tasks.trouble, range(count), executor))
    assert caught.value.__notes__ == ["in task 2"]
    with pytest.raises(ValueError, match="2 is too much") as caught:
        list(compute(tasks.trouble, range(count)))
    assert caught.value.__notes__ == ["in task 2"]


def test_whoever_stops_early_cancels_the_rest():
    begun, gate = [], Event()

    def waiting(number):
        begun.append(number)
        assert number == 0 or gate.wait(60)

    with ThreadPoolExecutor(1) as executor:
        results = compute(waiting, range(10), executor)
        assert next(results) == (0, None)
        results.close()
        gate.set()
    assert begun in ([0], [0, 1])


def test_a_process_that_is_killed(tmp_path):
    message = r"the workers are lost \(.* terminated abruptly .*\); \d+ of 6 tasks are computed here instead"
    with processes(1) as executor:
        with pytest.warns(RuntimeWarning, match=message):
            results = sorted(compute(tasks.killed_once, [(number, tmp_path) for number in range(6)], executor))
        assert results == [(number, number) for number in range(6)]
        assert (tmp_path / "killed").exists()
        with pytest.warns(RuntimeWarning, match="3 of 3 tasks are computed here instead"):  # it is broken for good
            assert sorted(compute(tasks.square, range(3), executor)) == [(0, 0), (1, 1), (2, 4)]


def test_a_worker_of_dask_that_is_killed(cluster, tmp_path):
    executor = cluster.get_executor()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        results = sorted(compute(tasks.killed_once, [(number, tmp_path) for number in range(6)], executor))
    assert results == [(number, number) for number in range(6)]
    assert (tmp_path / "killed").exists()


def test_what_cannot_be_sent_is_named(pool):
    local = tasks.network(0)
    expected = r"compute: function=<function .*lambda.* cannot be sent to another process \(.*\); give functions and cl"
    with pytest.raises(TypeError, match=expected):
        list(compute(lambda task: task, [1], pool))
    settings = {"learning_rates": [0.1], "epochs": 1, "executor": pool}
    with pytest.raises(TypeError, match=r"sweep: model=<function .* cannot be sent"):
        nn.sweep(lambda seed: local, tasks.DATA, nn.mse_loss, **settings)
    with pytest.raises(TypeError, match=r"sweep: loss=<function .* cannot be sent"):
        nn.sweep(local, tasks.DATA, lambda a, b: nn.mse_loss(a, b), **settings)
    plain = {"plain": lambda parameters, lr: nn.SGD(parameters, lr)}
    with pytest.raises(TypeError, match=r"sweep: plain=<function .* cannot be sent"):
        nn.sweep(local, tasks.DATA, nn.mse_loss, optimizers=plain, **settings)


def test_dask_sends_lambdas(cluster):
    assert sorted(compute(lambda task: task + 1, [1, 2], cluster.get_executor())) == [(0, 2), (1, 3)]


def test_what_is_no_executor():
    with pytest.raises(TypeError, match=r"executor=2 is none; give a concurrent.futures.Executor, such as ProcessPool"):
        list(compute(tasks.square, [1], 2))
