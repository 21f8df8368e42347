"""Runs a kernel: which threads of a block go on, where they part and meet, and where they wait for each other.

All threads of a block execute the same instruction together, as long as they stand at the same place. Where they have
parted, those go on that have come least far, so that they meet the others again behind a branch or a loop. Real warps
promise less; nothing that is correct depends on more.
"""

from collections.abc import Sequence

import numpy as np

from .faults import DivergenceError, KernelError
from .instructions import compile_instruction
from .machine import Lanes, Machine
from .operands import source
from .parse import Instruction, parse
from .profile import Profile

#: Instructions that a block may execute; more than that are taken for a loop that does not end.
PATIENCE = 5_000_000
_CONTROL = {"bra", "brx", "ret", "exit", "bar", "barrier", "trap"}


def run(
    ptx: str,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    arguments: Sequence,
    *,
    shared: int = 0,
    check: bool = True,
) -> Profile:
    """Execute the kernel of a PTX text on the CPU, block by block.

    ptx: text with one `.entry`, as numba-cuda writes it.
    grid, block: the numbers of blocks, and of threads in a block; up to three of each.
    arguments: what the kernel is called with: NumPy arrays, which it writes to in place; numbers; tuples of these. An
        array is passed as Numba's array structure, or as a pointer where the kernel has as few parameters as that
        takes; `Pointer(array)` says which where both occur.
    shared: bytes of dynamic shared memory.
    check: whether to look for faults. Without, wrong kernels give wrong numbers, as on a GPU, in half the time.

    Returns what was counted. Raises a KernelError that names the line of the text and the thread: for an access outside
    of the arrays (OutOfBoundsError) or at an address that is not a multiple of its width (MisalignedError), for threads
    that are in each other's way (RaceError), for barriers and warp instructions that some do not reach
    (DivergenceError), and for results that hang from memory nobody wrote (UninitialisedError). Raises a PtxError where
    the text or the arguments do not fit. After an error the arrays are as they were.
    """
    machine = Machine(parse(ptx), _three(grid), _three(block), arguments, shared, check)
    executor = _Executor(machine)
    with np.errstate(all="ignore"):  # a GPU computes with infinities and nan without a word
        for z, y, x in np.ndindex(*machine.grid[::-1]):
            executor.run_block((x, y, z))
    machine.arguments.give_back()
    for instruction, warps in zip(executor.instructions, executor.counts, strict=True):
        if warps:
            machine.profile.opcodes[instruction.opcode] += warps
    machine.profile.warp_instructions = sum(executor.counts)
    return machine.profile


def _three(dimensions: int | tuple[int, ...]) -> tuple[int, int, int]:
    given = tuple(dimensions) if isinstance(dimensions, Sequence) else (dimensions,)
    return (*(int(n) for n in given), 1, 1)[:3]


class _Executor:
    """Takes the threads of a block through the instructions of a kernel.

    place: the index of the instruction at which each thread stands. waiting: whether it waits at a barrier there.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        self.instructions = machine.kernel.instructions
        self.steps = [None if _is_control(i) else compile_instruction(machine, i) for i in self.instructions]
        self.guards = [i.guard and machine.as_read(i, i.guard, "pred") for i in self.instructions]
        self.place = np.zeros(machine.count, int)
        self.waiting = np.zeros(machine.count, bool)
        self.counts = [0] * len(self.instructions)  # warps that have executed each
        self.patience = PATIENCE

    def run_block(self, index: tuple[int, int, int]) -> None:
        self.machine.begin_block(index)
        self.place[:], self.waiting[:], self.patience = 0, False, PATIENCE
        while not self.machine.exited.all():
            ready = ~self.machine.exited & ~self.waiting
            if ready.any():
                self._advance(ready)
            else:
                self._open_barrier()

    def _advance(self, ready) -> None:
        """Take those who have come least far on, up to where they part, wait or end, or meet others."""
        first = int(self.place[ready].min())
        chosen = ready & (self.place == first)
        others = ready & ~chosen
        stop = int(self.place[others].min()) if others.any() else len(self.instructions)
        lanes = self.machine.everyone if chosen.all() else Lanes.of(chosen)
        at = first
        while at is not None and at < stop:
            instruction = self.instructions[at]
            try:
                at = self._execute(at, instruction, lanes)
            except KernelError as fault:
                raise self._located(fault, instruction) from None
        if at is not None:
            self.place[lanes.index] = at

    def _execute(self, at: int, instruction: Instruction, lanes: Lanes) -> int | None:
        """The index of the instruction that comes next for all of the lanes; None if it is not the same for all."""
        self.counts[at] += len(lanes.warps)
        self.patience -= 1
        if self.patience < 0:
            raise KernelError(f"has not ended after {PATIENCE} instructions", int(lanes.threads[0]))
        guard, taking = self.guards[at], lanes
        if guard is not None:
            if self.machine.undefined:
                self.machine.undefined.refuse([instruction.guard], lanes, "decides by")
            taken = guard[lanes.index] != instruction.negated
            if not taken.any():
                return at + 1
            taking = lanes.where(taken)
        step = self.steps[at]
        if step is None:
            return self._control(at, instruction, lanes, taking)
        step(taking)
        return at + 1

    def _control(self, at: int, instruction: Instruction, lanes: Lanes, taking: Lanes) -> int | None:
        """Branches, barriers and ends; those of the lanes that do not take it (`taking`) go on with the next."""
        family, machine = instruction.family, self.machine
        if family == "trap":
            raise KernelError("has reached a trap", int(taking.threads[0]))
        if family == "bra":
            target = self._label(instruction, instruction.operands[0])
            if taking is lanes:
                return target
            self.place[lanes.index] = at + 1
            self.place[taking.index] = target
            return None
        self.place[lanes.index] = at + 1
        if family == "brx":
            self.place[taking.index] = self._jumps(instruction, taking)
        elif family in ("ret", "exit"):
            machine.exited[taking.index] = True
        else:
            self.waiting[taking.index] = True
            self.place[taking.index] = at  # for the comparison with the others; moved on when the barrier opens
        return None

    def _label(self, instruction: Instruction, label: str) -> int:
        if label not in self.machine.kernel.labels:
            raise instruction.error(f"there is no label {label}")
        return self.machine.kernel.labels[label]

    def _jumps(self, instruction: Instruction, lanes: Lanes):
        """The targets of a jump through a table."""
        choice = source(self.machine, instruction, instruction.operands[0], "u32")(lanes)
        table = [self._label(instruction, label) for label in self.machine.kernel.branches[instruction.operands[1]]]
        if (choice >= len(table)).any():
            raise KernelError("jumps beyond the end of a table", int(lanes.threads[np.argmax(choice >= len(table))]))
        return np.array(table)[choice]

    def _open_barrier(self) -> None:
        """All threads that are left wait; let them go on, if all threads of the block wait at the same barrier."""
        machine = self.machine
        lanes = Lanes.of(self.waiting)
        at = int(self.place[lanes.threads[0]])
        instruction = self.instructions[at]
        if machine.check:
            self._refuse_divergence(instruction, lanes)
        if instruction.has("red"):
            self._reduce(instruction, lanes)
        machine.clock.synchronise()
        self.waiting[:] = False
        self.place[lanes.index] += 1

    def _refuse_divergence(self, instruction: Instruction, lanes: Lanes) -> None:
        places = self.place[lanes.threads]
        fault = None
        if self.machine.exited.any():
            gone = self.machine.exited
            what = f"waits at a barrier that {int(gone.sum())} of {len(gone)} threads never reach, as they have ended"
            fault = DivergenceError(what, int(lanes.threads[0]))
        elif (places != places[0]).any():
            other = int(np.argmax(places != places[0]))
            line = self.instructions[places[other]].line
            what = f"waits at this barrier, and thread {lanes.threads[other]} at another one, in line {line}"
            fault = DivergenceError(what, int(lanes.threads[0]))
        if fault:
            raise self._located(fault, instruction)

    def _reduce(self, instruction: Instruction, lanes: Lanes) -> None:
        """`bar.red`: all threads learn how many predicates are true (popc), or whether all (and) or any (or) are."""
        operation = instruction.has("popc", "and", "or")
        predicate = source(self.machine, instruction, instruction.operands[-1], "pred")
        said = lanes.spread(predicate(lanes))
        kind = "u32" if operation == "popc" else "pred"
        target = self.machine.as_written(instruction, instruction.operands[0], kind)
        target[lanes.index] = {"popc": said.sum(), "and": said.all(), "or": said.any()}[operation]

    def _located(self, fault: KernelError, instruction: Instruction) -> KernelError:
        """A fault with the line, and the thread by its coordinates."""
        who = self.machine.thread_name(fault.thread)
        return type(fault)(f"line {instruction.line}: {instruction.text}: {who} {fault.what}", fault.thread)


def _is_control(instruction: Instruction) -> bool:
    """Whether an instruction decides who goes on. Raises PtxError for a barrier that is not for the whole block."""
    if instruction.family not in _CONTROL or instruction.has("warp"):
        return False
    if instruction.family in ("bar", "barrier"):
        reduces = instruction.has("red") is not None
        operands = instruction.operands[1:-1] if reduces else instruction.operands
        if operands != ("0",) or not (reduces or instruction.has("sync")):
            raise instruction.error("of the barriers for a block only number 0, for all of its threads, is supported")
    return True
