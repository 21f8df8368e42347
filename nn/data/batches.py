"""An epoch in batches, and a thread that prepares them ahead."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any, TypeVar

import numpy as np

from nn.data.checks import check_count
from nn.data.transforms import Transform

Item = TypeVar("Item")


def batches(
    rows: int, batch_size: int, random: np.random.Generator | None = None, drop_last: bool = False
) -> Iterator[np.ndarray]:
    """The row numbers of one epoch, `batch_size` at a time, shuffled by `random`; the last batch may be smaller.

    drop_last: leave out a last batch that is smaller; with shuffling, other rows are left out in each epoch.
    """
    order = np.arange(rows) if random is None else random.permutation(rows)
    for start in range(0, rows - batch_size + 1 if drop_last else rows, batch_size):
        yield order[start : start + batch_size]


def feed(
    x: np.ndarray,
    row_batches: Iterable[np.ndarray],
    augment: Transform | None = None,
    seed: Sequence[int] = (),
    first: int = 0,
    ahead: int = 0,
) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
    """For each batch of row numbers these, and the samples behind them, altered by `augment` if there is one.

    seed: batch i is altered with the generator of (*seed, i), whatever was drawn before: a training that is taken up
        again in the middle sees what it would have seen. An epoch puts its own number into the seed.
    first: the number of the first batch, i.
    ahead: how many batches a background thread prepares, see `prefetch`; 0 prepares each when it is asked for.
    """
    prepared = (
        (rows, x[rows] if augment is None else _altered(x[rows], augment, [*seed, number]))
        for number, rows in enumerate(row_batches, first)
    )
    return prefetch(prepared, ahead) if ahead else prepared


def _altered(batch: np.ndarray, augment: Transform, seed: Sequence[int]) -> np.ndarray:
    new = augment(batch, np.random.default_rng(seed))
    if not isinstance(new, np.ndarray) or new.shape != batch.shape:
        found = f"shape {new.shape}" if isinstance(new, np.ndarray) else repr(new)[:80]
        raise TypeError(f"augment gave {found}; it must give an array of the shape of its batch, {batch.shape}")
    return new.astype(batch.dtype, copy=False)


def prefetch(items: Iterable[Item], ahead: int = 2) -> Generator[Item, None, None]:
    """The same items in the same order, prepared by a background thread while the one before is in use.

    ahead: how many items lie ready at most, beside the one in use; each takes memory.

    What goes wrong in the preparation is raised where its item would have come. The thread ends with the last item, or
    as soon as nobody wants another: when the iterator is closed, or no longer held by anything.

    >>> list(prefetch(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    iter(items)
    return _prefetch(items, check_count("prefetch: ahead", ahead))


def _prefetch(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    ready: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    room, wanted = Semaphore(ahead), True

    def prepare() -> None:
        try:
            for item in items:
                room.acquire()
                if not wanted:
                    return
                ready.put(("item", item))
            ready.put(("end", None))
        except BaseException as error:  # whatever it is, it belongs to the one who waits for the item
            ready.put(("error", error))

    thread = Thread(target=prepare, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, content = ready.get()
            if kind == "error":
                raise content
            if kind == "end":
                return
            room.release()
            yield content
    finally:
        wanted = False
        room.release()
        thread.join()
