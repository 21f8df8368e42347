"""Memory that training needs again and again stays with the process.

glibc gives memory back to the system as soon as enough of it is free. A training step frees its graph, and the next one
would fetch the same megabytes anew, page by page, each page cleared by the system: for a small convolution network this
took longer than computing.
"""

from __future__ import annotations

import ctypes
import os
import sys

#: Free memory that the process keeps, and the largest array that shares in it (larger ones go straight back), in bytes.
KEPT, LARGEST = 1 << 28, 1 << 25

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from malloc.h


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory; does nothing with another C library, or where the user has tuned it."""
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        mallopt(_M_MMAP_THRESHOLD, LARGEST)
