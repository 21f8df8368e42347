"""Moves, conversions, comparisons and arithmetic: what one thread does by itself."""

import numpy as np

from . import arithmetic
from .arithmetic import COMPARISONS, COUNTS, FLOAT, LOGICAL, ROUNDED, SHIFTS, WHOLE, WHOLE_BINARY, WHOLE_UNARY
from .formats import DTYPES, UNSIGNED, is_float, width
from .machine import Machine
from .operands import Step, apply, source, sources, vector
from .parse import Instruction

ROUNDING = ("rn", "rz", "rm", "rp")
#: What may stand in an opcode beside its first word and its types. Anything else would be left out silently.
_OF_ARITHMETIC = {*ROUNDING, "approx", "full", "ftz", "sat", "NaN", "lo", "hi"}
_OF_CONVERSIONS = {*ROUNDING, *WHOLE, "ftz", "sat", "tf32", "rna"}


def _refuse_unknown(instruction: Instruction, known: set[str]) -> None:
    for word in instruction.words[1:]:
        if word not in known and word not in DTYPES:
            raise instruction.error(f"{word} is not known here")


def compile_move(machine: Machine, instruction: Instruction) -> Step:
    kind = instruction.kind
    target, given = instruction.operands
    if given.startswith("{") or target.startswith("{"):
        return _compile_repacking(machine, instruction)
    write, read = machine.as_written(instruction, target, kind), source(machine, instruction, given, kind)

    def move(lanes):
        write[lanes.index] = read(lanes)

    return move


def _compile_repacking(machine: Machine, instruction: Instruction) -> Step:
    """`mov` between a register and the two or four that make it up; the first has the lowest bits."""
    target, given = instruction.operands
    size = width(instruction.kind)
    parts = vector(given if given.startswith("{") else target)
    part, whole = UNSIGNED[size // len(parts)], UNSIGNED[size]
    kind = f"b{8 * part.itemsize}"
    if given.startswith("{"):
        write = machine.as_written(instruction, target, instruction.kind)
        reads = sources(machine, instruction, parts, kind)

        def pack(lanes):
            columns = [lanes.spread(read(lanes)) for read in reads]
            write[lanes.index] = np.stack(columns, axis=1).view(whole)[:, 0]

        return pack
    writes = [machine.as_written(instruction, name, kind) for name in parts]
    read = source(machine, instruction, given, instruction.kind)

    def unpack(lanes):
        columns = np.ascontiguousarray(lanes.spread(read(lanes))).view(part).reshape(-1, len(parts))
        for i, write in enumerate(writes):
            write[lanes.index] = columns[:, i]

    return unpack


def compile_conversion(machine: Machine, instruction: Instruction) -> Step:
    _refuse_unknown(instruction, _OF_CONVERSIONS)
    if "tf32" in instruction.words:
        mode = instruction.has("rna", "rn", "rz")
        return apply(machine, instruction, lambda x: arithmetic.to_tf32(x, mode), "f32", "b32")
    to, given = instruction.kinds[-2:]
    return apply(machine, instruction, _conversion(instruction, DTYPES[to], DTYPES[given]), given, to)


def _conversion(instruction: Instruction, to: np.dtype, given: np.dtype):
    """The function that `cvt` asks for. Modifiers say how to become whole (rni, ...), or how to round, ftz and sat."""
    whole, mode = WHOLE.get(instruction.has(*WHOLE), lambda x: x), instruction.has(*ROUNDING) or "rn"
    saturate, flush = instruction.has("sat"), instruction.has("ftz")

    def float_to_float(x):
        x = whole(arithmetic.flush(x) if flush and given == np.float32 else x)
        x = x.astype(to) if mode == "rn" else arithmetic.round_to(x.astype(np.float64), np.zeros(x.shape), to, mode)
        x = arithmetic.saturate(x) if saturate else x
        return arithmetic.flush(x) if flush and to == np.float32 else x

    def float_to_whole(x):
        return arithmetic.to_whole(whole(arithmetic.flush(x) if flush and given == np.float32 else x), to)

    def whole_to_float(x):
        return x.astype(to) if mode == "rn" else arithmetic.round_whole(x, to, mode)

    def whole_to_whole(x):
        return arithmetic.saturate_whole(x, to) if saturate else x.astype(to)

    if given.kind == "f":
        return float_to_float if to.kind == "f" else float_to_whole
    return whole_to_float if to.kind == "f" else whole_to_whole


def compile_comparison(machine: Machine, instruction: Instruction) -> Step:
    """`setp`: a predicate, or two of which the second is the opposite, combined with a third where the opcode says."""
    kind, operands = instruction.kind, instruction.operands
    compare = _comparison(instruction)
    combine = LOGICAL.get(instruction.has("and", "or", "xor"))
    targets = [machine.as_written(instruction, name, "pred") for name in operands[0].split("|")]
    x, y = sources(machine, instruction, operands[1:3], kind)
    third = source(machine, instruction, operands[3], "pred") if combine else None
    flush = arithmetic.flush if instruction.has("ftz") else lambda x: x

    def step(lanes):
        result = compare(flush(x(lanes)), flush(y(lanes)))
        for target, value in zip(targets, (result, ~result), strict=False):
            target[lanes.index] = combine(value, third(lanes)) if combine else value

    return step


def _comparison(instruction: Instruction):
    """Where a number is nan, `lt` is false and `ltu` true; `num` says that none is nan, and `nan` that one is."""
    name, floats = instruction.words[1], is_float(instruction.kind)
    if floats and name in ("nan", "num"):
        return lambda x, y: (np.isnan(x) | np.isnan(y)) == (name == "nan")
    with_nan = floats and name in ("equ", "neu", "ltu", "leu", "gtu", "geu")
    compare = COMPARISONS.get(name[:-1] if with_nan else name)
    if compare is None:
        raise instruction.error(f"{name} is no comparison")
    if with_nan:
        return lambda x, y: compare(x, y) | np.isnan(x) | np.isnan(y)
    return (lambda x, y: compare(x, y) & ~np.isnan(x) & ~np.isnan(y)) if floats else compare


def compile_selection(machine: Machine, instruction: Instruction) -> Step:
    """`selp`: the first argument where the predicate is true. What is not chosen may be undefined."""
    target_name, first, second, predicate = instruction.operands
    kind, undefined = instruction.kind, machine.undefined
    target = machine.as_written(instruction, target_name, kind)
    x, y = sources(machine, instruction, (first, second), kind)
    chosen = source(machine, instruction, predicate, "pred")

    def select(lanes):
        mask, choice = None, lanes.spread(chosen(lanes))
        if undefined:
            undefined.refuse([predicate.lstrip("!")], lanes, "chooses by")
            of_first, of_second = (undefined.among([name], lanes) for name in (first, second))
            mask = np.where(choice, False if of_first is None else of_first, False if of_second is None else of_second)
        target[lanes.index] = np.where(choice, x(lanes), y(lanes))
        if undefined:
            undefined.set(target_name, lanes, mask)

    return select


# ----------------------------------------------------------------------------------------------------------------------
# Arithmetic.


def compile_arithmetic(machine: Machine, instruction: Instruction) -> Step:
    """All that computes a result from arguments of one type, by the tables of arithmetic.py."""
    kind = instruction.kind
    _refuse_unknown(instruction, _OF_ARITHMETIC)
    if kind == "pred":
        function = LOGICAL.get(instruction.family)
    else:
        function = _float_function(instruction) if is_float(kind) else _whole_function(instruction)
    if function is None or kind == "f16":
        raise instruction.error("this instruction is not known")
    return apply(machine, instruction, function, kind, kind)


def _whole_function(instruction: Instruction):
    family = instruction.family
    if instruction.has("sat"):
        raise instruction.error("whole numbers that saturate are not supported")
    if family == "mul":
        return np.multiply if instruction.has("lo") else arithmetic.multiply_high
    if family == "mad":
        multiply = np.multiply if instruction.has("lo") else arithmetic.multiply_high
        return lambda x, y, z: multiply(x, y) + z
    return WHOLE_UNARY.get(family) or WHOLE_BINARY.get(family)


def _float_function(instruction: Instruction):
    """With the modifiers: how to round, `NaN`, `ftz` for arguments and result, `sat`."""
    family = instruction.family
    function = FLOAT.get(family)
    if family in ROUNDED:
        mode = instruction.has(*ROUNDING) or "rn"
        if mode != "rn" and instruction.kind == "f64":
            raise instruction.error("float64 is rounded to the nearest number only")
        function = _with_mode(ROUNDED[family], mode)
    if function is None:
        return None
    if instruction.has("NaN"):
        function = arithmetic.with_nan(function)
    if instruction.has("ftz") and instruction.kind == "f32":
        function = _flushing(function)
    return _saturating(function) if instruction.has("sat") else function


def _with_mode(function, mode: str):
    return lambda *arguments: function(*arguments, mode)


def _flushing(function):
    return lambda *arguments: arithmetic.flush(function(*map(arithmetic.flush, arguments)))


def _saturating(function):
    return lambda *arguments: arithmetic.saturate(function(*arguments))


def compile_product(machine: Machine, instruction: Instruction) -> Step:
    """`mul` and `mad`, which with `wide` give a product of twice the width, and otherwise compute as the rest does."""
    if not instruction.has("wide"):
        return compile_arithmetic(machine, instruction)
    kind = instruction.kind
    wide = f"{kind[0]}{2 * int(kind[1:])}"
    if instruction.family == "mul":
        return apply(machine, instruction, arithmetic.multiply_wide, kind, wide)
    return apply(machine, instruction, lambda x, y, z: arithmetic.multiply_wide(x, y) + z, [kind, kind, wide], wide)


def compile_with_carry(machine: Machine, instruction: Instruction) -> Step:
    """`add`, `sub` and `mad` of 32 bits that take a carry from the instruction before (addc) or give one (add.cc)."""
    family, gives = instruction.family, instruction.has("cc")
    if width(instruction.kind) != 4 or (instruction.kind == "s32" and instruction.has("hi")):
        raise instruction.error("a carry is supported for 32 bits without a sign")
    takes = family in ("addc", "subc", "madc")
    target = machine.as_written(instruction, instruction.operands[0], "u32")
    arguments = sources(machine, instruction, instruction.operands[1:], "u32")
    carry, wide = machine.carry, np.uint64

    def step(lanes):
        *factors, x, y = [lanes.spread(argument(lanes)).astype(wide) for argument in arguments]
        before = carry[lanes.index].astype(wide) if takes else wide(0)
        if factors:
            product = factors[0] * x
            x = product >> wide(32) if instruction.has("hi") else product & wide(0xFFFFFFFF)
        total = x - y - before if family.startswith("sub") else x + y + before
        target[lanes.index] = total
        if gives:
            carry[lanes.index] = total >> wide(32) != 0

    return step


def compile_shift(machine: Machine, instruction: Instruction) -> Step:
    """The number of places has 32 bits, whatever is shifted."""
    kind = instruction.kind
    return apply(machine, instruction, SHIFTS[instruction.family], [kind, "u32"], kind)


def compile_count(machine: Machine, instruction: Instruction) -> Step:
    """`popc`, `clz` and `bfind`, whose results have 32 bits."""
    kind, count = instruction.kind, COUNTS[instruction.family]
    if instruction.has("shiftamt"):  # how far to shift the highest one to the left end
        last = np.uint32(8 * width(kind) - 1)
        return apply(machine, instruction, lambda x: np.where(count(x) > last, count(x), last - count(x)), kind, "u32")
    return apply(machine, instruction, count, kind, "u32")


def compile_bits(machine: Machine, instruction: Instruction) -> Step:
    """`bfe` and `bfi`, with a position and a length of 32 bits behind the numbers they work on."""
    kind = instruction.kind
    if instruction.family == "bfe":
        return apply(machine, instruction, arithmetic.extract_bits, [kind, "u32", "u32"], kind)
    return apply(machine, instruction, arithmetic.insert_bits, [kind, kind, "u32", "u32"], kind)


def compile_permutation(machine: Machine, instruction: Instruction) -> Step:
    """`prmt`, in its mode without a name."""
    _refuse_unknown(instruction, set())
    return apply(machine, instruction, arithmetic.permute_bytes, "b32", "b32")


def compile_lookup(machine: Machine, instruction: Instruction) -> Step:
    """`lop3`; its table is a constant."""
    return apply(machine, instruction, lambda x, y, z, t: arithmetic.look_up_bits(x, y, z, int(t[0])), "b32", "b32")


def compile_funnel_shift(machine: Machine, instruction: Instruction) -> Step:
    """`shf`: a shift of 64 bits of which 32 are kept."""
    left, clamp = instruction.has("l") is not None, instruction.has("clamp") is not None
    return apply(machine, instruction, lambda a, b, n: arithmetic.funnel_shift(a, b, n, left, clamp), "b32", "b32")
