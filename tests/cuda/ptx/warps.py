"""What the 32 threads of a warp do together: shuffles, votes, and products of matrices in the tensor cores."""

import numpy as np

from .faults import DivergenceError, KernelError
from .machine import Machine
from .operands import Step, source, sources, vector
from .parse import Instruction
from .profile import WARP


def compile_shuffle(machine: Machine, instruction: Instruction) -> Step:
    """`shfl.sync`: each thread takes what another one of its warp has.

    A thread that asks for one outside of its segment, or beyond the clamp, keeps its own. What a thread has that is not
    here, or not in the mask of the one that asks, is undefined.
    """
    mode = instruction.has("up", "down", "bfly", "idx")
    target_name, _, flag_name = instruction.operands[0].partition("|")
    target = machine.as_written(instruction, target_name, "b32")
    flag = machine.as_written(instruction, flag_name or "_", "pred")
    value = source(machine, instruction, instruction.operands[1], "b32")
    distance, clamp, mask = sources(machine, instruction, instruction.operands[2:5], "u32")
    undefined = machine.undefined

    def shuffle(lanes):
        masks = lanes.spread(mask(lanes))
        machine.gather(masks, lanes)
        other, found = _partner(mode, lanes, distance(lanes), clamp(lanes))
        everyone = np.zeros(machine.count + WARP, np.uint32)
        here = np.zeros(machine.count + WARP, bool)
        everyone[lanes.threads], here[lanes.threads] = lanes.spread(value(lanes)), True
        if machine.check:
            lost = ~here
            known = undefined.registers.get(instruction.operands[1])
            if known is not None:
                lost[lanes.threads] |= known[lanes.index]
            missing = lost[other] | (masks >> (other % WARP).astype(np.uint32) & np.uint32(1) == 0)
            missing = missing if missing.any() else None
            if missing is not None or undefined:
                undefined.read([target_name], lanes, missing, instruction.line)
        target[lanes.index] = everyone[other]
        flag[lanes.index] = found

    return shuffle


def _partner(mode: str, lanes, distance, clamp):
    """(the threads from which the lanes take, whether these were the ones they asked for), as the PTX manual has it."""
    lane = lanes.threads % WARP
    distance, clamp = distance.astype(np.int64) & 31, clamp.astype(np.int64)
    segment = (clamp >> 8) & 31
    first, last = lane & segment, (lane & segment) | (clamp & 31 & ~segment)
    asked = {
        "up": lane - distance,
        "down": lane + distance,
        "bfly": lane ^ distance,
        "idx": first | (distance & ~segment),
    }[mode]
    found = asked >= last if mode == "up" else asked <= last
    return lanes.threads - lane + np.where(found, asked, lane), found


def compile_vote(machine: Machine, instruction: Instruction) -> Step:
    """`vote.sync`: what the predicates of a mask's threads have in common; `ballot` gives all of them as bits."""
    mode = instruction.has("ballot", "any", "all", "uni")
    target = machine.as_written(instruction, instruction.operands[0], "b32" if mode == "ballot" else "pred")
    predicate = source(machine, instruction, instruction.operands[1], "pred")
    mask = source(machine, instruction, instruction.operands[2], "b32")

    def vote(lanes):
        masks = lanes.spread(mask(lanes))
        machine.gather(masks, lanes)
        here = machine.active(lanes) & masks
        said = lanes.threads[lanes.spread(predicate(lanes))]
        yes = machine.bits(said)[lanes.threads // WARP] & masks
        results = {"ballot": yes, "any": yes != 0, "all": yes == here, "uni": (yes == 0) | (yes == here)}
        target[lanes.index] = results[mode]

    return vote


def compile_match(machine: Machine, instruction: Instruction) -> Step:
    """`match.any.sync`: the threads of the mask that have the same value, as bits."""
    if not instruction.has("any"):
        raise instruction.error("only match.any is supported")
    target = machine.as_written(instruction, instruction.operands[0], "b32")
    value = source(machine, instruction, instruction.operands[1], instruction.kind)
    mask = source(machine, instruction, instruction.operands[2], "b32")

    def match(lanes):
        masks = lanes.spread(mask(lanes))
        machine.gather(masks, lanes)
        values, warps = lanes.spread(value(lanes)), lanes.threads // WARP
        same = (values[:, None] == values) & (warps[:, None] == warps)
        bits = np.uint32(1) << (lanes.threads % WARP).astype(np.uint32)
        target[lanes.index] = np.where(same, bits, np.uint32(0)).sum(axis=1, dtype=np.uint32) & masks

    return match


def compile_active_mask(machine: Machine, instruction: Instruction) -> Step:
    target = machine.as_written(instruction, instruction.operands[0], "b32")

    def active(lanes):
        target[lanes.index] = machine.active(lanes)

    return active


def compile_warp_barrier(machine: Machine, instruction: Instruction) -> Step:
    """`bar.warp.sync`: what the threads of a warp did before it is over for all of them."""
    mask = source(machine, instruction, instruction.operands[0], "b32")

    def synchronise(lanes):
        machine.gather(mask(lanes), lanes)
        machine.clock.synchronise_warps(lanes.warps)

    return synchronise


def compile_matrix_product(machine: Machine, instruction: Instruction) -> Step:
    """`mma.sync.m16n8k8` of tf32: D = A B + C, of which each thread of a warp has 4, 2 and 4 elements.

    Where an element lies follows from the lane, whose number is 4 * group + place:
    A (16, 8): rows group and group + 8, columns place and place + 4. B (8, 8): rows place and place + 4, column group.
    C and D (16, 8): rows group and group + 8, columns 2 * place and 2 * place + 1.
    """
    if not (instruction.has("m16n8k8") and instruction.has("tf32")):
        raise instruction.error("of the products of matrices only m16n8k8 of tf32 is supported")
    targets = [machine.as_written(instruction, name, "f32") for name in vector(instruction.operands[0])]
    a, b, c = (sources(machine, instruction, vector(operand), "f32") for operand in instruction.operands[1:4])
    group, place = np.divmod(np.arange(WARP), 4)

    def multiply(lanes):
        if len(lanes.threads) != WARP * len(lanes.warps):
            raise DivergenceError("needs a whole warp for a product of matrices", int(lanes.threads[0]))

        def fragments(operand):
            return [lanes.spread(read(lanes)).reshape(-1, WARP) for read in operand]

        left, right, total = (np.zeros((len(lanes.warps), *shape)) for shape in ((16, 8), (8, 8), (16, 8)))
        for i, fragment in enumerate(fragments(a)):
            left[:, group + 8 * (i % 2), place + 4 * (i // 2)] = _tf32(fragment, lanes)
        for i, fragment in enumerate(fragments(b)):
            right[:, place + 4 * i, group] = _tf32(fragment, lanes)
        for i, fragment in enumerate(fragments(c)):
            total[:, group + 8 * (i // 2), 2 * place + i % 2] = fragment
        result = (left @ right + total).astype(np.float32)
        for i, target in enumerate(targets):
            target[lanes.index] = result[:, group + 8 * (i // 2), 2 * place + i % 2].ravel()

    return multiply


def _tf32(fragment, lanes):
    """The fragment itself. A number with more bits than tf32 has would be cut off, by each GPU in its own way."""
    if (np.ascontiguousarray(fragment).view(np.uint32) & np.uint32(0x1FFF)).any():
        raise KernelError("multiplies a number that has not been rounded to tf32", int(lanes.threads[0]))
    return fragment
