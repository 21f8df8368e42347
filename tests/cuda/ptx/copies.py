"""`cp.async`: copies from global to shared memory that go on while a kernel computes."""

from dataclasses import dataclass

import numpy as np

from .machine import Machine
from .operands import Step, address, source
from .parse import Instruction


@dataclass
class Copy:
    """What some threads have sent on its way, and has not arrived.

    offsets: where in shared memory each thread's bytes go. data: (threads, bytes).
    groups: the number of the group that each of these threads counts it to.
    """

    offsets: np.ndarray
    data: np.ndarray
    threads: np.ndarray
    groups: np.ndarray


def compile_copy(machine: Machine, instruction: Instruction) -> Step:
    """Copies belong to groups, that a thread closes (commit_group) and waits for (wait_group n: all but the last n).

    The worst case is assumed: nothing arrives before it is waited for, and until then nobody has written there.
    """
    if instruction.words[1] != "async" or instruction.has("bulk", "mbarrier"):
        raise instruction.error("this kind of copy is not supported")
    if instruction.has("commit_group"):
        return _compile_commit(machine)
    if instruction.has("wait_group"):
        return _compile_wait(machine, int(instruction.operands[0]))
    if instruction.has("wait_all"):
        commit, wait = _compile_commit(machine), _compile_wait(machine, 0)
        return lambda lanes: (commit(lanes), wait(lanes))[1]
    to, given = (address(machine, instruction, operand) for operand in instruction.operands[:2])
    size = int(instruction.operands[2], 0)
    real = source(machine, instruction, instruction.operands[3], "u32") if len(instruction.operands) > 3 else None

    def copy(lanes):
        wanted = lanes.spread(real(lanes) if real else np.uint32(size)).astype(
            np.int64
        )  # the rest is filled with zeros
        shared, offsets = machine.locate("shared", to(lanes), lanes)
        memory, places = machine.locate("global", given(lanes), lanes)
        reading = lanes.where(wanted > 0)
        if wanted.any():
            machine.watch(memory, places[wanted > 0], size, reading, False)
        machine.watch(shared, offsets, size, lanes, True)
        shared.mark(offsets, size, False)
        data = memory.bytes[np.minimum(places[:, None] + np.arange(size), len(memory.bytes) - 1)]
        data[np.arange(size) >= wanted[:, None]] = 0
        machine.copies.append(Copy(offsets, data, lanes.threads, machine.committed[lanes.threads]))

    return copy


def _compile_commit(machine: Machine) -> Step:
    def commit(lanes):
        machine.committed[lanes.index] += 1

    return commit


def _compile_wait(machine: Machine, still_going: int) -> Step:
    def wait(lanes):
        for copy in machine.copies:
            arrived = np.isin(copy.threads, lanes.threads)
            arrived &= copy.groups < machine.committed[copy.threads] - still_going
            offsets, size = copy.offsets[arrived], copy.data.shape[1]
            machine.shared_memory.bytes[offsets[:, None] + np.arange(size)] = copy.data[arrived]
            machine.shared_memory.mark(offsets, size, True)
            copy.offsets, copy.data = copy.offsets[~arrived], copy.data[~arrived]
            copy.threads, copy.groups = copy.threads[~arrived], copy.groups[~arrived]
        machine.copies = [copy for copy in machine.copies if len(copy.threads)]

    return wait
