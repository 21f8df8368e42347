"""What the operands of an instruction stand for: functions that give their values or addresses for some lanes."""

import re
from collections.abc import Callable

import numpy as np

from .formats import DTYPES, number
from .machine import Lanes, Machine
from .memory import GLOBAL
from .parse import Instruction, split
from .profile import WARP

#: What an instruction has become: it is called with the lanes that execute it.
Step = Callable[[Lanes], None]
Source = Callable[[Lanes], np.ndarray]

_LITERAL = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)U?|0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}")
_ADDRESS = re.compile(r"\[\s*([%\w$.]+)\s*(?:\+\s*(-?\w+))?\s*\]")
_AXES = {"x": 0, "y": 1, "z": 2}


def source(machine: Machine, instruction: Instruction, operand: str, kind: str) -> Source:
    """A function that gives an operand's values, as one array over the lanes, or of one element for all of them."""
    if operand.startswith("%") and operand not in machine.registers:
        return _special(machine, instruction, operand, kind)
    if operand.startswith("!"):
        register = machine.as_read(instruction, operand[1:], kind)
        return lambda lanes: ~register[lanes.index]
    if _LITERAL.fullmatch(operand):
        value = number(operand, kind).reshape(1)
        return lambda lanes: value
    name, _, offset = operand.partition("+")
    place = None if operand in machine.registers else machine.kernel.place(name)
    if place:
        value = np.array([_base(machine, *place) + int(offset or "0", 0)], np.uint64).astype(DTYPES[kind])
        return lambda lanes: value
    register = machine.as_read(instruction, operand, kind)
    return lambda lanes: register[lanes.index]


def sources(machine: Machine, instruction: Instruction, operands, kind: str) -> list[Source]:
    return [source(machine, instruction, operand, kind) for operand in operands]


def _base(machine: Machine, space: str, offset: int) -> int:
    return GLOBAL + machine.arguments.constants + offset if space == "constants" else offset


def _special(machine: Machine, instruction: Instruction, operand: str, kind: str) -> Source:
    """Registers that the machine fills: `%tid.x`, `%laneid` and their like."""
    name, _, axis = operand[1:].partition(".")
    i, dtype = _AXES.get(axis, 0), DTYPES[kind]
    lane = (machine.everyone.threads % WARP).astype(np.uint64)
    one = np.uint64(1)
    per_thread = {
        "tid": machine.coordinates[i],
        "laneid": lane,
        "warpid": machine.everyone.threads // WARP,
        "lanemask_eq": one << lane,
        "lanemask_lt": (one << lane) - one,
        "lanemask_le": (one << lane) * np.uint64(2) - one,
        "lanemask_gt": np.uint64(2**32) - (one << lane) * np.uint64(2),
        "lanemask_ge": np.uint64(2**32) - (one << lane),
    }
    for_all = {
        "ntid": machine.block[i],
        "nctaid": machine.grid[i],
        "dynamic_smem_size": machine.dynamic_bytes,
        "total_smem_size": machine.dynamic_bytes + machine.kernel.shared.size,
    }
    if name == "ctaid":
        return lambda lanes: np.array([machine.block_index[i]], dtype)
    if name in for_all:
        value = np.array([for_all[name]], dtype)
        return lambda lanes: value
    if name not in per_thread:
        raise instruction.error(f"there is no register {operand}")
    values = per_thread[name].astype(dtype)
    return lambda lanes: values[lanes.index]


def address(machine: Machine, instruction: Instruction, operand: str) -> Source:
    """The addresses that `[%rd1+16]` or `[name+4]` stand for."""
    match = _ADDRESS.fullmatch(operand)
    if not match:
        raise instruction.error(f"{operand} is no address")
    offset = int(match[2] or "0", 0)
    if match[1] in machine.registers:
        register = machine.registers[match[1]]
        return lambda lanes: register[lanes.index].astype(np.int64) + offset
    place = machine.kernel.place(match[1])
    if not place:
        raise instruction.error(f"there is no variable {match[1]}")
    value = np.array([_base(machine, *place) + offset], np.int64)
    return lambda lanes: value


def registers_in(machine: Machine, operands) -> list[str]:
    """The registers that some operands name."""
    words = [word for operand in operands for word in re.findall(r"[%\w$:+.]+", operand)]
    return [word for word in [*words, *(w.partition("+")[0] for w in words)] if word in machine.registers]


def vector(operand: str) -> list[str]:
    """The elements of `{%f1, %f2}`, or the one operand."""
    return split(operand.strip("{} "))


def apply(machine: Machine, instruction: Instruction, function, kinds: str | list[str], result: str) -> Step:
    """An instruction whose result, of the type `result`, is a function of its arguments; they have one type, or each
    its own.
    """
    operands = instruction.operands[1:]
    kinds = [kinds] * len(operands) if isinstance(kinds, str) else kinds
    if len(kinds) != len(operands):
        raise instruction.error(f"takes {len(kinds)} arguments")
    target = machine.as_written(instruction, instruction.operands[0], result)
    arguments = [source(machine, instruction, *pair) for pair in zip(operands, kinds, strict=True)]

    def step(lanes):
        target[lanes.index] = function(*[argument(lanes) for argument in arguments])

    return step
