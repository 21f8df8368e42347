"""The state of a kernel that runs: registers, memories, the threads that are active."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .arguments import Arguments
from .faults import DivergenceError, KernelError, OutOfBoundsError, PtxError
from .formats import DTYPES, UNSIGNED, is_float, width
from .memory import GLOBAL, LOCAL, SHARED, Clock, Memory
from .parse import Instruction, Kernel
from .profile import WARP, Profile
from .undefined import Undefined


@dataclass
class Lanes:
    """Threads of a block that execute an instruction together.

    index: what selects them from an array over the block's threads, a slice where it is all of them.
    threads: their numbers, ascending.
    """

    index: slice | np.ndarray
    threads: np.ndarray

    @classmethod
    def of(cls, mask) -> "Lanes":
        """The threads for which a mask over the block is true."""
        threads = np.flatnonzero(mask)
        return cls(threads, threads)

    def where(self, mask) -> "Lanes":
        """Those of the lanes for which a mask over them is true."""
        if mask.all():
            return self
        return Lanes(self.threads[mask], self.threads[mask])

    @cached_property
    def warps(self) -> np.ndarray:
        """The numbers of the warps that they belong to, each once."""
        return np.unique(self.threads // WARP)

    def spread(self, values) -> np.ndarray:
        """One value for each of them."""
        return np.broadcast_to(values, self.threads.shape)


class Machine:
    """One launch. Its blocks run one after the other, with the same registers and the same shared memory anew."""

    def __init__(self, kernel: Kernel, grid, block, arguments, shared: int, check: bool):
        self.kernel, self.grid, self.block, self.check = kernel, grid, block, check
        self.count = int(np.prod(block))
        if not 0 < self.count <= kernel.most_threads:
            raise PtxError(
                f"a block of {self.count} threads is launched, and the kernel is for {kernel.most_threads} at most"
            )
        self.dynamic_bytes = shared
        self.profile = Profile()
        self.clock = Clock(-(-self.count // WARP))
        self._make_memories(arguments, shared)
        self.registers = {
            name: np.zeros(self.count, np.bool_ if kind == "pred" else UNSIGNED[max(width(kind), 2)])
            for name, kind in kernel.registers.items()
        }
        self.carry = np.zeros(self.count, bool)
        self.undefined = Undefined(self.count)
        self.everyone = Lanes(slice(None), np.arange(self.count))
        x, y, _ = block
        self.coordinates = (self.everyone.threads % x, self.everyone.threads // x % y, self.everyone.threads // (x * y))
        self.exited = np.zeros(self.count, bool)
        self.block_index = (0, 0, 0)
        self.copies = []  # asynchronous copies that are on their way
        self.committed = np.zeros(self.count, int)

    def _make_memories(self, arguments, shared: int) -> None:
        kernel, unit = self.kernel, _unit(self.kernel)
        clock = self.clock if self.check else None
        self.arguments = Arguments(kernel, arguments, unit, clock)
        self.global_memory = self.arguments.memory
        self.shared_memory = Memory("shared", kernel.shared.size + shared, unit, clock)
        self.shared_memory.allocate(0, kernel.shared.size + shared)
        for name, size in kernel.shared.sizes.items():
            self.shared_memory.name_part(kernel.shared.places[name], size or shared, name)
        self.local_size = -(-kernel.local.size // 16) * 16
        self.local_memory = Memory("local", self.local_size * self.count, unit)
        self.local_memory.allocate(0, self.local_size * self.count)
        self.parameters = {name: word for (_, name), word in zip(kernel.parameters, self.arguments.words, strict=True)}

    def begin_block(self, index) -> None:
        self.block_index = index
        self.clock.begin_block()
        self.shared_memory.forget()
        self.local_memory.forget()
        self.undefined.forget()
        self.exited[:] = False
        self.copies, self.committed[:] = [], 0

    def thread_name(self, thread: int) -> str:
        return f"thread {tuple(int(axis[thread]) for axis in self.coordinates)} of block {self.block_index}"

    # Registers --------------------------------------------------------------------------------------------------------

    def register(self, instruction: Instruction, name: str) -> np.ndarray:
        if name not in self.registers:
            raise instruction.error(f"there is no register or variable {name}")
        return self.registers[name]

    def as_read(self, instruction: Instruction, name: str, kind: str) -> np.ndarray:
        """A register as an array of the type in which an instruction reads it: its lower bits, if that is narrower."""
        register, dtype = self.register(instruction, name), DTYPES[kind]
        if (register.dtype == np.bool_) != (kind == "pred") or dtype.itemsize > register.dtype.itemsize:
            raise instruction.error(f"{name} cannot be read as {kind}")
        return register.view(dtype)[:: register.dtype.itemsize // dtype.itemsize]

    def as_written(self, instruction: Instruction, name: str, kind: str) -> np.ndarray:
        """A register as an array to which an instruction writes values of a type.

        Narrower whole numbers are extended when they are assigned, with their sign where they have one.
        """
        if name == "_":
            return np.empty(self.count, DTYPES[kind])
        register, dtype = self.register(instruction, name), DTYPES[kind]
        if register.dtype.itemsize == dtype.itemsize and (register.dtype == np.bool_) == (kind == "pred"):
            return register.view(dtype)
        if dtype.itemsize > register.dtype.itemsize or "pred" in (kind, self.kernel.registers[name]) or is_float(kind):
            raise instruction.error(f"{name} cannot hold {kind}")
        return register

    # Memory -----------------------------------------------------------------------------------------------------------

    def locate(self, space: str, addresses, lanes: Lanes) -> tuple[Memory, np.ndarray]:
        """Which memory an access goes to, and the offsets there."""
        addresses = lanes.spread(addresses)
        if space == "generic":
            space, addresses = self._from_generic(addresses, lanes)
        if space == "shared":
            return self.shared_memory, addresses
        if space == "local":
            outside = (addresses < 0) | (addresses >= max(self.local_size, 1))
            if outside.any():
                at = int(np.argmax(outside))
                what = f"accesses its local memory at {addresses[at]}, and has {self.local_size} bytes"
                raise OutOfBoundsError(what, int(lanes.threads[at]))
            return self.local_memory, addresses + lanes.threads * self.local_size
        return self.global_memory, addresses - GLOBAL

    def _from_generic(self, addresses, lanes: Lanes):
        """(state space, addresses in it) of addresses that may lie in any; all of them must lie in one."""
        spaces = np.where(addresses >= GLOBAL // 2, 2, np.where(addresses >= LOCAL, 1, 0))
        if (spaces != spaces[0]).any():
            at = int(np.argmax(spaces != spaces[0]))
            what = f"accesses another memory than thread {lanes.threads[0]} by the same instruction: not supported"
            raise KernelError(what, int(lanes.threads[at]))
        return (("shared", addresses - SHARED), ("local", addresses - LOCAL), ("global", addresses))[spaces[0]]

    def watch(self, memory: Memory, offsets, size: int, lanes: Lanes, store: bool, atomic: bool = False) -> None:
        """Count an access, and raise what is wrong with it."""
        if self.check:
            memory.check(offsets, size, lanes.threads)
            if memory.clock:
                note = memory.note_write if store else memory.note_read
                note(offsets, size, lanes.threads, atomic)
        profile = self.profile
        if memory is self.global_memory:
            traffic = profile.global_stores if store else profile.global_loads
            traffic.add(lanes.threads // WARP, offsets, size)
        elif memory is self.shared_memory:
            traffic = profile.shared_stores if store else profile.shared_loads
            traffic.add(lanes.threads, offsets, size)

    # Warps ------------------------------------------------------------------------------------------------------------

    def active(self, lanes: Lanes) -> np.ndarray:
        """For each of the lanes, one bit for each thread of its warp that is here too."""
        return self.bits(lanes.threads)[lanes.threads // WARP]

    def bits(self, threads) -> np.ndarray:
        """For each warp of the block, one bit for each of its threads that is among some."""
        bits = np.zeros(len(self.clock.warps), np.uint32)
        np.bitwise_or.at(bits, threads // WARP, np.uint32(1) << (threads % WARP).astype(np.uint32))
        return bits

    def gather(self, masks, lanes: Lanes) -> None:
        """Raise DivergenceError unless all threads that the masks name, and that have not ended, are here."""
        if not self.check:
            return
        alive = self.bits(np.flatnonzero(~self.exited))[lanes.threads // WARP]
        missing = lanes.spread(masks) & alive & ~self.active(lanes)
        if missing.any():
            at = int(np.argmax(missing != 0))
            absent = [lane for lane in range(WARP) if int(missing[at]) >> lane & 1]
            raise DivergenceError(f"waits for lanes {absent} of its warp, which are not here", int(lanes.threads[at]))
        own = np.uint32(1) << (lanes.threads % WARP).astype(np.uint32)
        if (lanes.spread(masks) & own == 0).any():
            at = int(np.argmax(lanes.spread(masks) & own == 0))
            raise DivergenceError("is not in the mask of an instruction for its warp", int(lanes.threads[at]))


def _unit(kernel: Kernel) -> int:
    """Bytes of a word of the memories' records: 4, or fewer where the kernel accesses less at once."""
    accesses = [i for i in kernel.instructions if i.family in ("ld", "ldu", "st", "atom", "red") and not i.has("param")]
    return min([4, *(width(instruction.kind) for instruction in accesses)])
