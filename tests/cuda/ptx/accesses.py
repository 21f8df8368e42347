"""Loads, stores, atomic operations, and the addresses they take."""

import numpy as np

from .faults import UninitialisedError
from .formats import DTYPES, UNSIGNED, width
from .machine import Machine
from .memory import LOCAL, SHARED
from .operands import Step, address, apply, registers_in, sources, vector
from .parse import Instruction

SPACES = ("global", "shared", "local", "const")
#: What an atomic operation leaves in memory, of what it finds and its arguments.
ATOMICS = {
    "add": lambda old, x: old + x,
    "min": lambda old, x: x if x < old else old,
    "max": lambda old, x: x if x > old else old,
    "and": lambda old, x: old & x,
    "or": lambda old, x: old | x,
    "xor": lambda old, x: old ^ x,
    "exch": lambda old, x: x,
    "inc": lambda old, x: old.dtype.type(0) if old >= x else old + old.dtype.type(1),
    "dec": lambda old, x: x if old == 0 or old > x else old - old.dtype.type(1),
    "cas": lambda old, expected, x: x if old == expected else old,
}


def space_of(instruction: Instruction) -> str:
    """The memory that an opcode names, also as `shared::cta`; "generic" if it names none."""
    named = [word.partition("::")[0] for word in instruction.words[1:]]
    space = next((word for word in named if word in SPACES), "generic")
    return "global" if space == "const" else space  # constants lie behind the arguments in global memory


def is_atomic(instruction: Instruction) -> bool:
    """Whether a load or store is meant to meet those of other threads."""
    return instruction.has("volatile", "relaxed", "acquire", "release", "mmio") is not None


def compile_load(machine: Machine, instruction: Instruction) -> Step:
    if instruction.has("param"):
        return _compile_parameter(machine, instruction)
    kind, space, atomic = instruction.kind, space_of(instruction), is_atomic(instruction)
    names = vector(instruction.operands[0])
    targets = [machine.as_written(instruction, name, kind) for name in names]
    where, size, dtype = address(machine, instruction, instruction.operands[1]), width(kind), DTYPES[kind]
    base = registers_in(machine, instruction.operands[1:])
    undefined = machine.undefined

    def load(lanes):
        if undefined:
            undefined.refuse(base, lanes, "takes as an address")
        memory, offsets = machine.locate(space, where(lanes), lanes)
        machine.watch(memory, offsets, size * len(targets), lanes, False, atomic)
        for target, value in zip(targets, memory.load(offsets, size, len(targets)), strict=True):
            target[lanes.index] = value.view(dtype)
        if machine.check:
            missing = memory.missing(offsets, size * len(targets))
            if missing is not None or undefined:
                undefined.read(names, lanes, missing, instruction.line)

    return load


def _compile_parameter(machine: Machine, instruction: Instruction) -> Step:
    name = instruction.operands[1].strip("[] ")
    if name not in machine.parameters:
        raise instruction.error("there is no such parameter")
    target = machine.as_written(instruction, instruction.operands[0], instruction.kind)
    value = machine.parameters[name].view(DTYPES[instruction.kind])

    def load(lanes):
        target[lanes.index] = value

    return load


def compile_store(machine: Machine, instruction: Instruction) -> Step:
    kind, space, atomic = instruction.kind, space_of(instruction), is_atomic(instruction)
    names = vector(instruction.operands[1])
    values = sources(machine, instruction, names, kind)
    where, size = address(machine, instruction, instruction.operands[0]), width(kind)
    base = registers_in(machine, instruction.operands[:1])
    undefined = machine.undefined

    def store(lanes):
        known = True
        memory, offsets = machine.locate(space, where(lanes), lanes)
        if undefined:
            undefined.refuse(base, lanes, "takes as an address")
            if memory is machine.global_memory:
                undefined.refuse(names, lanes, "writes to global memory")
            mask = undefined.among(names, lanes)
            known = True if mask is None else ~mask
        machine.watch(memory, offsets, size * len(values), lanes, True, atomic)
        memory.store(offsets, size, [lanes.spread(value(lanes)).view(UNSIGNED[size]) for value in values])
        if machine.check and memory is not machine.global_memory:
            memory.mark(offsets, size * len(values), known)

    return store


def compile_atomic(machine: Machine, instruction: Instruction) -> Step:
    """`atom` gives what was found, `red` does not. Threads come one after the other, in the order of their numbers."""
    gives = instruction.family == "atom"
    kind, space = instruction.kind, space_of(instruction)
    operation = instruction.has(*ATOMICS)
    if not operation:
        raise instruction.error("not a known atomic operation")
    operands = instruction.operands[1:] if gives else instruction.operands
    target = machine.as_written(instruction, instruction.operands[0] if gives else "_", kind)
    where, values = address(machine, instruction, operands[0]), sources(machine, instruction, operands[1:], kind)
    used = registers_in(machine, operands)
    size, dtype, change = width(kind), DTYPES[kind], ATOMICS[operation]

    def update(lanes):
        machine.undefined.refuse(used, lanes, "gives an atomic operation")
        memory, offsets = machine.locate(space, where(lanes), lanes)
        machine.watch(memory, offsets, size, lanes, True, True)
        if machine.check and memory.missing(offsets, size) is not None:
            at = int(np.argmax(memory.missing(offsets, size)))
            raise UninitialisedError("changes what nobody has written", int(lanes.threads[at]))
        cells, places = memory.views[size].view(dtype), offsets // size
        given = [lanes.spread(value(lanes)) for value in values]
        found = np.empty(len(places), dtype)
        for i, place in enumerate(places):
            found[i] = cells[place]
            cells[place] = change(cells[place], *(value[i] for value in given))
        target[lanes.index] = found
        if gives and machine.undefined:
            machine.undefined.set(instruction.operands[0], lanes, None)

    return update


def compile_address_conversion(machine: Machine, instruction: Instruction) -> Step:
    """`cvta`: from a memory's own addresses to those that say in which memory they lie; `cvta.to`: back."""
    base = {"shared": SHARED, "local": LOCAL, "global": 0}[space_of(instruction)]
    shift = -base if instruction.has("to") else base
    return apply(machine, instruction, lambda x: x + np.int64(shift), "s64", "s64")
