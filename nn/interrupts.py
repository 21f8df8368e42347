"""Ctrl-C: training ends between two steps, so that no step is left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Note the first Ctrl-C and raise it, as KeyboardInterrupt, when the function that is given here is called.

    The second one works as usual, at once. So does the first where another handler is at work already, and in other
    threads than the main one, which Python tells of no signals.
    """
    usual = signal.getsignal(signal.SIGINT)
    asked = False

    def note(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, usual)

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    if usual is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, usual)
