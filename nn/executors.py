"""Many tasks, one after the other or by the workers of an executor: sweeps and maps of thousands of trainings.

An executor is any `concurrent.futures.Executor`: a `ProcessPoolExecutor` for the cores of this machine, Dask's
`Client.get_executor()` for those of several.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any
from uuid import uuid4

from nn.engine import Engine


def compute(
    function: Callable[[Any], Any], tasks: Sequence[Any], executor: Executor | None = None, engine: Engine | None = None
) -> Generator[tuple[int, Any], None, None]:
    """`function(task)` for each task, as pairs (number of the task, result) in the order in which they are done.

    executor: whose workers compute; without one it is done here, one task after the other. A `ProcessPoolExecutor`
        pickles what it sends: give a function of a module, and tasks of plain data.
    engine: what the function computes with; each worker keeps it on one thread, for the workers share the cores. They
        need not compile: what Numba has compiled lies on disk, for all processes.

    Where a process of a `ProcessPoolExecutor` dies, the pool is lost, and every task with it that is not done. These
    are then computed here, with a RuntimeWarning, for a pool does not tell how to make another of its kind. Dask starts
    a new worker, and gives the task to another one.

    An error of the function is raised as it is, with the number of its task as a note. Tasks that wait are cancelled
    when nobody asks for more results: after such an error, after Ctrl-C, and when the iterator is closed.
    """
    if executor is None:
        yield from _compute_here(function, dict(enumerate(tasks)))
        return
    if not isinstance(executor, Executor):
        raise TypeError(
            f"executor={executor!r:.80} is none; give a concurrent.futures.Executor, such as ProcessPoolExecutor(), "
            "or Dask's client.get_executor()"
        )
    if tasks:
        check_pickles("compute", executor, {"function": function, "task": tasks[0]})
    work = partial(_work, function, None if engine is None else engine.__name__, uuid4().hex)
    futures: dict[Future[Any], int] = {}
    lost: dict[int, Any] = {}
    try:
        for number, task in enumerate(tasks):
            futures[_submit(executor, work, task)] = number
        for future in as_completed(futures):
            number = futures.pop(future)
            if isinstance(problem := future.exception(), BrokenExecutor):
                lost[number], reason = tasks[number], problem
            else:
                with _noting(number):
                    result = future.result()
                yield number, result
    finally:
        for future in reversed(futures):  # the last first, for the first are at work
            future.cancel()
    if lost:
        message = f"the workers are lost ({reason}); {len(lost)} of {len(tasks)} tasks are computed here instead"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        yield from _compute_here(function, lost)


def _compute_here(function: Callable[[Any], Any], tasks: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
    for number, task in tasks.items():
        with _noting(number):
            result = function(task)
        yield number, result


def _submit(executor: Executor, work: Callable[[Any], Any], task: Any) -> Future[Any]:
    """The future of a task; one that has failed, where a worker has died since the first task was submitted."""
    try:
        return executor.submit(work, task)
    except BrokenExecutor as error:
        future: Future[Any] = Future()
        future.set_exception(error)
        return future


def _work(function: Callable[[Any], Any], engine: str | None, call: str, task: Any) -> Any:
    """What a worker does; modules do not pickle, so the engine is sent by its name.

    call: tells the tasks of one call of `compute` from those of others. Dask takes equal tasks for one, and whoever
        cancels one of them cancels the other.
    """
    with nullcontext() if engine is None else import_module(engine).one_thread():
        return function(task)


@contextmanager
def _noting(number: int) -> Iterator[None]:
    """Say of an error to which task it belongs."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in task {number}")
        raise


def check_pickles(name: str, executor: Executor, things: Mapping[str, Any]) -> None:
    """All that is to be sent to other processes can be. (Dask has means of its own, which send lambdas too.)"""
    if not isinstance(executor, ProcessPoolExecutor):
        return
    for word, thing in things.items():
        try:
            pickle.dumps(thing)
        except Exception as error:  # pickle and what it asks raise many kinds
            raise TypeError(
                f"{name}: {word}={thing!r:.80} cannot be sent to another process ({error}); give functions and classes "
                "that a module defines, no lambda and nothing defined within a function"
            ) from None
