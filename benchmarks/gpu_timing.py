"""Launches of kernels, and the time that they take on the GPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fast.cuda import package, registry
from fast.cuda.package import cuda

#: Bytes of a copy that takes longer than a launch needs to arrive, and leaves nothing in the GPU's caches.
_LARGE = 2**28


def prepared(name: str, dtype: str, *arguments: Any) -> Callable[[], None]:
    """What launches a kernel of the registry on these arguments; compiled and configured beforehand."""
    launch = registry.KERNELS[name].launch(*arguments)
    configured = registry.compiled(name, dtype)[launch.grid, launch.block, 0, launch.shared]
    return lambda: configured(*arguments)


def seconds(launch: Callable[[], Any], repeats: int = 10, warm_up: bool = True) -> float:
    """The median time between two events around what is launched; after one that does not count, unless told not to.

    Before each a large copy keeps the GPU busy: meanwhile the launch arrives, so its Python is not measured; and what
    is read has to come from memory. In the simulator, the seconds that one launch takes.
    """
    if package.SIMULATED:
        started = time.perf_counter()
        launch()
        return time.perf_counter() - started
    if warm_up:
        launch()
    found = []
    for _ in range(repeats):
        begin, end = cuda.event(timing=True), cuda.event(timing=True)
        _keep_busy()
        begin.record()
        launch()
        end.record()
        end.synchronize()
        found.append(cuda.event_elapsed_time(begin, end) / 1e3)
    return statistics.median(found)


def _keep_busy() -> None:
    source, target = _large_arrays()
    target.copy_to_device(source)


@cache
def _large_arrays() -> tuple[Any, Any]:
    return cuda.device_array(_LARGE, np.uint8), cuda.device_array(_LARGE, np.uint8)


def difference(found: Any, wanted: Any) -> float:
    """The largest difference, beside the largest number that is wanted; infinite where there is a nan."""
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    return float(np.nan_to_num(np.abs(found - wanted), nan=np.inf).max(initial=0)) / scale


def check(what: str, found: Any, wanted: Any, tolerance: float) -> None:
    """Raise ValueError where what was computed is further than that from what is wanted."""
    away = difference(found, wanted)
    if not away <= tolerance:
        raise ValueError(f"{what}: off by {away:.1e} of the largest number, where {tolerance:.0e} is allowed")
