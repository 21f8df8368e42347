"""A word for programs that run on both engines: how to keep one of them on a single core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside `with one_thread():` this Python thread computes alone, on one core; `micro` does so anyway."""
    yield
