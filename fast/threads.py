"""When to use all cores, and what keeps that safe.

Starting a parallel loop costs 1.5 us with OpenMP and some 70 us with Numba's own pool, which is used where the C
library brings no OpenMP; so small work stays on one core. Two facts of Numba's thread pools are handled here: its own
pool aborts the process when two Python threads start parallel loops at once (hence the lock), and OpenMP does not
survive `fork` (hence a forked child stays on one core).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

#: Elements from which a loop of plain arithmetic, or of exponentials and the like, is worth starting on all cores.
CHEAP, COSTLY = 1 << 16, 1 << 13

_lock = threading.Lock()
_used = False  # whether this process, or the one it was forked from, has started a thread pool
_forked = False


def launch(serial: Callable[..., Any], parallel: Callable[..., Any], *arguments: Any) -> Any:
    """Call `parallel` with `arguments`, or `serial` where that would not be safe."""
    global _used
    if _forked:
        return serial(*arguments)
    with _lock:
        _used = True
        return parallel(*arguments)


def _after_fork() -> None:
    global _lock, _forked
    _lock, _forked = threading.Lock(), _used


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
