"""Files that are either old or new, never half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; what was written there becomes `path` when nothing went wrong.

    Folders are made where needed, and `~` stands for the home folder.
    """
    path = full_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def full_path(path: str | Path) -> Path:
    """`path` with `~` spelled out."""
    return Path(path).expanduser()
