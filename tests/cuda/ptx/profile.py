"""What a kernel asked of the machine: instructions, and how well its accesses to memory fit together."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

#: Threads of a warp.
WARP = 32
#: What global memory hands out at once, in bytes.
SECTOR = 32
#: Shared memory has this many banks, each of which serves one 4-byte word at a time.
BANKS = 32


@dataclass
class GlobalTraffic:
    """Accesses to global memory; a request is one instruction of one warp.

    sectors: pieces of 32 bytes that were touched; a request for 32 neighbouring float32 needs 4, for float32x4 16.
    bytes: what the threads asked for.
    """

    requests: int = 0
    sectors: int = 0
    bytes: int = 0

    @property
    def sectors_per_request(self) -> float:
        return self.sectors / self.requests if self.requests else 0.0

    def add(self, warps, addresses, size: int) -> None:
        self.requests += _distinct(warps)
        self.sectors += _distinct(np.sort((warps << 48) | (addresses // SECTOR)))
        self.bytes += size * len(addresses)


@dataclass
class SharedTraffic:
    """Accesses to shared memory.

    wavefronts: how often it was read or written. conflicts: how many of them were needed only because threads met at
    one bank with different words. Accesses of 8 bytes are served half a warp at a time, of 16 bytes a quarter.
    """

    requests: int = 0
    wavefronts: int = 0
    conflicts: int = 0

    def add(self, threads, addresses, size: int) -> None:
        self.requests += _distinct(threads // WARP)
        groups = threads // (WARP * 4 // max(size, 4))
        words = np.sort((groups << 32) | (addresses // max(size, 4)))
        words = words[np.concatenate([[True], words[1:] != words[:-1]])]  # threads that read the same word share it
        groups = words >> 32
        groups -= groups[0]
        columns = BANKS * 4 // max(size, 4)
        met = np.bincount(groups * columns + words % columns, minlength=(groups[-1] + 1) * columns)
        most = met.reshape(-1, columns).max(axis=1)
        self.wavefronts += int(most.sum())
        self.conflicts += int((most[most > 0] - 1).sum())


def _distinct(ordered) -> int:
    """How many different numbers there are among some in ascending order."""
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


@dataclass
class Profile:
    """What `run` counted, over all blocks.

    warp_instructions: instructions, once for each warp that executed them.
    opcodes: the same for each opcode, for example "fma.rn.f32".
    An atomic operation counts among the stores.
    """

    warp_instructions: int = 0
    opcodes: Counter[str] = field(default_factory=Counter)
    global_loads: GlobalTraffic = field(default_factory=GlobalTraffic)
    global_stores: GlobalTraffic = field(default_factory=GlobalTraffic)
    shared_loads: SharedTraffic = field(default_factory=SharedTraffic)
    shared_stores: SharedTraffic = field(default_factory=SharedTraffic)

    def count(self, prefix: str) -> int:
        """Warp instructions whose opcodes begin with this, for example "ld.global" or "fma"."""
        return sum(n for opcode, n in self.opcodes.items() if opcode == prefix or opcode.startswith(f"{prefix}."))
