"""From an instruction to a function that executes it for some threads, and keeps track of undefined values.

`compile_instruction` is called once for each instruction of a kernel; what it returns is called each time that threads
get there. Branches and barriers are not here: they decide which threads go on, see execution.py.
"""

import numpy as np

from . import accesses, computing, copies, warps
from .machine import Machine
from .operands import Step, registers_in, sources
from .parse import Instruction


def compile_instruction(machine: Machine, instruction: Instruction) -> Step:
    """Raises PtxError, with the line, for an instruction that is not known."""
    family = instruction.family
    if family in ("add", "sub", "mad", "addc", "subc", "madc") and (family.endswith("c") or instruction.has("cc")):
        step = computing.compile_with_carry(machine, instruction)
    else:
        step = COMPILERS.get(family, computing.compile_arithmetic)(machine, instruction)
    if not machine.check or family in _FOLLOW_UNDEFINED:
        return step
    return _followed(machine, instruction, step)


def _compile_nothing(machine: Machine, instruction: Instruction) -> Step:
    """For what only says in which order others see accesses, or where they may be cached."""
    return lambda lanes: None


#: By the first word of the opcode. All other words are arithmetic.
COMPILERS = {
    "ld": accesses.compile_load,
    "ldu": accesses.compile_load,
    "st": accesses.compile_store,
    "atom": accesses.compile_atomic,
    "red": accesses.compile_atomic,
    "cvta": accesses.compile_address_conversion,
    "mov": computing.compile_move,
    "cvt": computing.compile_conversion,
    "setp": computing.compile_comparison,
    "selp": computing.compile_selection,
    "mul": computing.compile_product,
    "mad": computing.compile_product,
    "shl": computing.compile_shift,
    "shr": computing.compile_shift,
    "popc": computing.compile_count,
    "clz": computing.compile_count,
    "bfind": computing.compile_count,
    "bfe": computing.compile_bits,
    "bfi": computing.compile_bits,
    "prmt": computing.compile_permutation,
    "lop3": computing.compile_lookup,
    "shf": computing.compile_funnel_shift,
    "shfl": warps.compile_shuffle,
    "vote": warps.compile_vote,
    "match": warps.compile_match,
    "activemask": warps.compile_active_mask,
    "mma": warps.compile_matrix_product,
    "cp": copies.compile_copy,
    "bar": warps.compile_warp_barrier,
    "membar": _compile_nothing,
    "fence": _compile_nothing,
    "prefetch": _compile_nothing,
}
#: Those that pass values to other threads, in ways that are not followed.
_NEEDS_DEFINED = {"vote", "match", "mma", "cp"}
#: Those that look after undefined values themselves.
_FOLLOW_UNDEFINED = {"ld", "ldu", "st", "atom", "red", "selp", "shfl", "bar"}


def _followed(machine: Machine, instruction: Instruction, step: Step) -> Step:
    """An instruction whose results are undefined where one of its arguments is; most of them."""
    undefined = machine.undefined
    results = registers_in(machine, instruction.operands[:1])
    arguments = registers_in(machine, instruction.operands[1:])
    strict = instruction.family in _NEEDS_DEFINED
    decided = _decides(machine, instruction)

    def follow(lanes):
        if not undefined:
            step(lanes)
            return
        if strict:
            undefined.refuse([*results, *arguments], lanes, "hands to others")
        mask = undefined.among(arguments, lanes)
        if mask is not None and decided:
            mask = mask & ~decided(lanes)
        step(lanes)
        for name in results:
            undefined.set(name, lanes, mask)

    return follow


def _decides(machine: Machine, instruction: Instruction):
    """Where one argument of `and` or `or` decides alone, whatever the other is; None for other instructions."""
    if instruction.family not in ("and", "or") or instruction.kind != "pred":
        return None
    wanted = instruction.family == "or"
    names = [operand.lstrip("!") for operand in instruction.operands[1:]]
    values = sources(machine, instruction, instruction.operands[1:], "pred")

    def decided(lanes):
        known = np.zeros(lanes.threads.shape, bool)
        for name, value in zip(names, values, strict=True):
            mask = machine.undefined.among([name], lanes)
            known |= (value(lanes) == wanted) & (True if mask is None else ~mask)
        return known

    return decided
