"""Follows what was read where nobody had written, until something hangs from it.

Such a read alone is no fault: a compiler may read early and choose later, and a warp may compute in lanes whose results
nobody uses. It becomes one when the value decides a branch, is an address, or is written to global memory. (Valgrind
and MemorySanitizer draw the line in the same place.)
"""

import numpy as np

from .faults import UninitialisedError


class Undefined:
    """Which registers hold undefined values, in which threads. Nothing is stored, and little done, while none does."""

    def __init__(self, threads: int):
        self.registers: dict[str, np.ndarray] = {}
        self.lines = np.zeros(threads, int)  # where each thread last read something undefined

    def __bool__(self) -> bool:
        return bool(self.registers)

    def forget(self) -> None:
        self.registers.clear()

    def among(self, names, lanes):
        """In which of the lanes a register of these is undefined; None if in none."""
        masks = [self.registers[name][lanes.index] for name in names if name in self.registers]
        if not masks:
            return None
        mask = np.logical_or.reduce(masks)
        return mask if mask.any() else None

    def set(self, name: str, lanes, mask) -> None:
        """A register has been written: with undefined values where `mask` says so, nowhere if it is None."""
        known = self.registers.get(name)
        if known is None:
            if mask is None:
                return
            known = self.registers[name] = np.zeros(len(self.lines), bool)
        known[lanes.index] = False if mask is None else mask
        if not known.any():
            del self.registers[name]

    def read(self, names, lanes, mask, line: int) -> None:
        """Registers have been loaded, in `mask` from where nobody has written."""
        if mask is not None:
            self.lines[lanes.threads[mask]] = line
        for name in names:
            self.set(name, lanes, mask)

    def refuse(self, names, lanes, does: str) -> None:
        """Raise UninitialisedError if a register of these is undefined in one of the lanes."""
        mask = self.among(names, lanes) if self.registers else None
        if mask is not None:
            thread = int(lanes.threads[np.argmax(mask)])
            where = f"that line {self.lines[thread]} has read where nobody has written"
            raise UninitialisedError(f"{does} a value {where}", thread)
