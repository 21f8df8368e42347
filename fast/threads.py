"""When to use all cores, and what keeps that safe.

Starting a parallel loop costs 1.5 us with OpenMP and some 70 us with Numba's own pool, which is used where the C
library brings no OpenMP; so small work stays on one core. Three facts are handled here and nowhere else:

- Numba's own pool aborts the process when two Python threads start parallel loops at once: hence the lock.
- OpenMP does not survive a fork, whoever had started it: a forked child stays on one core.
- The waiting threads of OpenMP and of OpenBLAS fight for the cores when both are used in turn, which costs
  milliseconds a step: parallel products give BLAS one thread, and cut the work into blocks themselves.

Where several processes or Python threads compute beside each other, each is better off alone: `one_thread`.

Between parallel loops OpenMP's threads look for work for some time before they sleep. On a quiet machine that is right:
to wake them takes longer than most loops. Beside other busy processes it is wrong, for it spends time on a core that
others want. Whoever trains on such a machine sets GOMP_SPINCOUNT=100 before Python starts: beside one busy process on
two cores, steps of layers 256 to 1,024 wide took half the time, on a quiet machine one to two and a half times as long.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import numba
from threadpoolctl import LibController, ThreadpoolController

#: Two versions of one kernel: for one core, and for all.
Kernels = tuple[Callable[..., Any], Callable[..., Any]]

#: Elements from which a loop of plain arithmetic, or of logarithms and the like, is worth starting on all cores.
CHEAP, COSTLY = 1 << 16, 1 << 13
#: Multiplications from which a matrix product is; the number from which OpenBLAS would use its own threads.
PRODUCT = 1 << 18

_lock = threading.RLock()  # which a signal handler that forks may take again
_forked = False  # whether this process was forked


class _Mode(threading.local):
    """Of a Python thread: whether it keeps to one core."""

    alone = False


_mode = _Mode()


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside `with one_thread():` this Python thread computes alone, on one core.

    It is for the workers of a pool, which share the cores already. Sums over large arrays, such as matrix products, may
    differ in their last digits from those of all cores, for their parts are added up in another order.
    """
    before, _mode.alone = _mode.alone, True
    try:
        yield
    finally:
        _mode.alone = before


def run(kernels: Kernels, work: int, threshold: int, *arguments: Any) -> Any:
    """Call the kernel for one core, or from `threshold` of `work` on the one for all cores, where that is safe."""
    serial, parallel = kernels
    if work < threshold or alone():
        return serial(*arguments)
    with _lock:
        return parallel(*arguments)


@contextmanager
def parallel_products() -> Iterator[None]:
    """For kernels that start parallel loops, and call BLAS in them, by themselves."""
    with _lock, _one_blas_thread():
        yield


def run_product(kernels: Kernels, work: int, *arguments: Any) -> Any:
    """`run` for kernels that call BLAS; the parallel one is told first in how many blocks to cut its work.

    work: how many multiplications there are.
    """
    serial, parallel = kernels
    if work <= PRODUCT:
        return serial(*arguments)
    with parallel_products():
        return serial(*arguments) if alone() else parallel(numba.get_num_threads(), *arguments)


def alone() -> bool:
    """Whether this Python thread keeps to one core."""
    return _forked or _mode.alone


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Give the BLAS that kernels call one thread, for this moment; the user's own products keep theirs."""
    libraries = _blas()
    before = [library.get_num_threads() for library in libraries]
    for library in libraries:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)


@cache
def _blas() -> list[LibController]:
    """SciPy's BLAS, which is the one that Numba calls; all of them, where SciPy shares its BLAS with others."""
    import_module("scipy.linalg.cython_blas")

    every = ThreadpoolController().select(user_api="blas").lib_controllers
    return [library for library in every if "scipy.libs" in library.filepath] or every


def _after_fork() -> None:
    global _lock, _forked
    _lock, _forked = threading.RLock(), True


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    # Nobody forks while a kernel runs: OpenBLAS would wait for ever for threads that the child does not have.
    os.register_at_fork(
        before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_after_fork
    )
