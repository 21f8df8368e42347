"""The memories of a GPU, with a record of who touched what.

Addresses are places in one of three ranges: global memory, the shared memory of the block that runs, and the local
memories of its threads, each thread's behind the one before. A record is kept for every word, or for every byte where
the kernel accesses single bytes: whether it may be accessed, whether it has been written, and which threads wrote and
read it last and when. From this follow the faults.
"""

import numpy as np

from .faults import MisalignedError, OutOfBoundsError, RaceError
from .formats import UNSIGNED
from .profile import WARP

#: Where the memories begin, for addresses that do not say in which memory they are. Far enough apart for any offset.
GLOBAL, SHARED, LOCAL = 0x7F00_0000_0000, 0x0100_0000_0000, 0x0200_0000_0000
#: Bytes around every array that belong to nobody, so that an access beside it is noticed.
MARGIN = 256
#: The reader of a word that several threads have read.
SEVERAL = -2
NOBODY = -1


class Clock:
    """Orders what the threads of a block do.

    Time goes on with every barrier. What happened before a thread's last barrier lies in the past for it: `block` is
    the time of the last one for the whole block, `warps` for each warp, and `start` that of the block's beginning.
    """

    def __init__(self, warps: int):
        self.now = 0
        self.warps = np.zeros(warps, np.int64)
        self.start = self.block = 0

    def begin_block(self) -> None:
        self.synchronise()
        self.start = self.block

    def synchronise(self) -> None:
        self.now += 1
        self.block = self.now
        self.warps[:] = self.now

    def synchronise_warps(self, warps) -> None:
        self.now += 1
        self.warps[warps] = self.now


class Memory:
    """A range of bytes. Offsets count from its beginning, in bytes.

    name: for messages. unit: bytes of a word of the record.
    clock: where threads share this memory, and races are looked for; None otherwise.
    across: whether blocks share it too. Nothing orders what one block does and what another does.
    """

    def __init__(self, name: str, size: int, unit: int, clock: Clock | None = None, across: bool = False):
        size = -(-max(size, 1) // 16) * 16
        self.name, self.unit, self.clock, self.across = name, unit, clock, across
        self.parts: dict[range, str] = {}
        self.bytes = np.full(size, 0xFF, np.uint8)  # as floating-point numbers: nan
        self.views = {width: self.bytes.view(UNSIGNED[width]) for width in UNSIGNED}
        self.allocated = np.zeros(size // unit, bool)
        self.written = np.zeros(size // unit, bool)
        if clock:
            units = size // unit
            self.writer, self.reader, self.reading_warp = (np.full(units, NOBODY) for _ in range(3))
            self.write_time, self.read_time = (np.zeros(units, int) for _ in range(2))
            self.atomic = np.zeros(units, bool)  # whether the last write was

    def name_part(self, offset: int, size: int, name: str) -> None:
        """What messages call some bytes."""
        self.parts[range(offset, offset + size)] = name

    def allocate(self, offset: int, size: int, value: np.ndarray | None = None) -> None:
        """Let bytes be accessed. With a value they count as written."""
        units = slice(offset // self.unit, -(-(offset + size) // self.unit))
        self.allocated[units] = True
        if value is not None:
            self.bytes[offset : offset + size] = value
            self.written[units] = True

    def forget(self) -> None:
        """Begin anew, as each block does with its shared and local memory."""
        self.bytes[:] = 0xFF
        self.written[:] = False

    # ------------------------------------------------------------------------------------------------------------------

    def load(self, offsets, width: int, count: int):
        """`count` arrays of unsigned numbers from neighbouring places, one number for each thread."""
        first = offsets // width
        return [self.views[width][first + i] for i in range(count)]

    def store(self, offsets, width: int, values) -> None:
        first = offsets // width
        for i, value in enumerate(values):
            self.views[width][first + i] = value

    def check(self, offsets, size: int, threads) -> None:
        """Whether an access of `size` bytes is aligned, and inside of what is allocated."""
        wrong = offsets % size != 0
        if wrong.any():
            at = int(np.argmax(wrong))
            what = f"accesses {size} bytes of {self.name} memory {offsets[at] % size} bytes behind a multiple of that"
            raise MisalignedError(what, int(threads[at]))
        wrong = (offsets < 0) | (offsets > len(self.bytes) - size)
        if not wrong.any():
            wrong = ~self.allocated[self.units(offsets, size)].all(axis=1)
        if wrong.any():
            at = int(np.argmax(wrong))
            what = f"accesses {size} bytes of {self.name} memory {self.whereabouts(int(offsets[at]))}"
            raise OutOfBoundsError(what, int(threads[at]))

    def whereabouts(self, offset: int) -> str:
        """Where an offset is, by the name of what is there or nearby."""
        if not self.parts:
            return "where there is none"
        nearest = min(self.parts, key=lambda part: max(part.start - offset, offset - part.stop + 1, 0))
        name = self.parts[nearest]
        if offset < nearest.start:
            return f"{nearest.start - offset} bytes before {name}"
        if offset >= nearest.stop:
            return f"{offset - nearest.stop} bytes behind the end of {name}"
        return f"at byte {offset - nearest.start} of {name}"

    def units(self, offsets, size: int):
        """The words of the record that an access covers, (threads, words)."""
        return (offsets // self.unit)[:, None] + np.arange(max(size // self.unit, 1))

    def missing(self, offsets, size: int):
        """Which threads read something that nobody has written; None if there is no such thread."""
        written = self.written[self.units(offsets, size)].all(axis=1)
        return None if written.all() else ~written

    def mark(self, offsets, size: int, written) -> None:
        """Note that bytes have been written; `written` is False where what was written is not known itself."""
        self.written[self.units(offsets, size)] = np.broadcast_to(written, offsets.shape)[:, None]

    # ------------------------------------------------------------------------------------------------------------------

    def note_read(self, offsets, size: int, threads, atomic: bool = False) -> None:
        """Record a read, and look whether another thread's write is not over for this one."""
        units, threads = self._flat(offsets, size, threads)
        self._compare_with_writes(units, threads, "reads", atomic)
        if atomic:
            return
        warps = threads // WARP
        past = self._is_past(self.read_time[units], self.reading_warp[units], warps)
        for record, now in ((self.reader, threads), (self.reading_warp, warps)):
            alone = past | (record[units] == now) | (record[units] == NOBODY)
            record[units] = seen = np.where(alone, now, SEVERAL)
            record[units[record[units] != seen]] = SEVERAL  # where others read the same word at the same time
        self.read_time[units] = self.clock.now

    def note_write(self, offsets, size: int, threads, atomic: bool = False) -> None:
        """Record a write, and look whether another thread's access is not over for this one."""
        units, threads = self._flat(offsets, size, threads)
        self._compare_with_writes(units, threads, "writes", atomic)
        self._compare_with_reads(units, threads)
        self.writer[units], self.write_time[units], self.atomic[units] = threads, self.clock.now, atomic
        if not atomic:
            met = self.writer[units] != threads
            if met.any():
                at = int(np.argmax(met))
                raise self._race(units[at], threads[at], "writes", self.writer[units[at]], "writes", self.clock.now)

    def _flat(self, offsets, size: int, threads):
        units = self.units(offsets, size)
        return units.ravel(), np.repeat(threads, units.shape[1])

    def _is_past(self, times, others, warps):
        """Whether accesses at some times, by threads of the warps `others`, lie in the past for threads of `warps`."""
        past = times < self.clock.block
        past |= (others == warps) & (times < self.clock.warps[warps])
        if self.across:
            past &= times >= self.clock.start
        return past

    def _compare_with_writes(self, units, threads, does: str, atomic: bool) -> None:
        writers, times = self.writer[units], self.write_time[units]
        clash = (writers != NOBODY) & ~self._is_past(times, writers // WARP, threads // WARP)
        clash &= (writers != threads) | (times < self.clock.start)  # a thread of the same number in another block
        if atomic:
            clash &= ~self.atomic[units]
        if clash.any():
            at = int(np.argmax(clash))
            raise self._race(units[at], threads[at], does, writers[at], "has written", times[at])

    def _compare_with_reads(self, units, threads) -> None:
        readers, times = self.reader[units], self.read_time[units]
        clash = (readers != NOBODY) & ~self._is_past(times, self.reading_warp[units], threads // WARP)
        clash &= (readers != threads) | (times < self.clock.start)
        if clash.any():
            at = int(np.argmax(clash))
            raise self._race(units[at], threads[at], "writes", readers[at], "has read", times[at])

    def _race(self, unit, thread, does: str, other, did: str, time) -> RaceError:
        who = "more than one thread" if other == SEVERAL else f"thread {other}"
        how = f"of another block {did}" if time < self.clock.start else f"{did} with no barrier in between"
        return RaceError(
            f"{does} {self.name} memory {self.whereabouts(int(unit) * self.unit)}, which {who} {how}", int(thread)
        )
