"""What PTX's instructions compute, as functions of NumPy arrays: one number for each thread.

The tables say which function belongs to which instruction. All functions keep the type of their arguments unless they
say otherwise. Rounding is exact where PTX asks for it; the approximations of the hardware (`ex2.approx`, `rcp.approx`,
`tanh.approx`) are computed exactly and rounded once, so results here are a little better than on a GPU.
"""

import numpy as np

from .formats import UNSIGNED

# ----------------------------------------------------------------------------------------------------------------------
# Whole numbers.


def divide(x, y):
    """The quotient, towards zero; all bits set where `y` is 0."""
    quotient = _magnitude(x) // np.where(y == 0, 1, _magnitude(y))
    quotient = np.where((x < 0) != (y < 0), -quotient, quotient)
    return np.where(y == 0, ~np.zeros_like(quotient), quotient).astype(x.dtype)


def remainder(x, y):
    """What `divide` leaves, with the sign of `x`."""
    rest = _magnitude(x) % np.where(y == 0, 1, _magnitude(y))
    rest = np.where(x < 0, -rest, rest)
    return np.where(y == 0, _magnitude(x), rest).astype(x.dtype)


def _magnitude(x):
    """Without the sign, as unsigned numbers, in which the most negative number has one too."""
    unsigned = x.astype(UNSIGNED[x.dtype.itemsize])
    return np.where(x < 0, -unsigned, unsigned)


def multiply_high(x, y):
    """The upper half of the product."""
    bits = 8 * x.dtype.itemsize
    if bits == 64:  # no wider type is left: Python's integers
        products = np.broadcast_arrays(x.astype(object), y.astype(object))
        high = (products[0] * products[1]) >> 64
        return np.array([int(n) % 2**64 for n in high.ravel()], np.uint64).view(x.dtype).reshape(high.shape)
    wide = np.dtype(f"{x.dtype.kind}{2 * x.dtype.itemsize}")
    return ((x.astype(wide) * y.astype(wide)) >> wide.type(bits)).astype(x.dtype)


def multiply_wide(x, y):
    """The whole product, in numbers of twice the width."""
    wide = np.dtype(f"{x.dtype.kind}{2 * x.dtype.itemsize}")
    return x.astype(wide) * y.astype(wide)


def shift_left(x, places):
    bits = 8 * x.dtype.itemsize
    return np.where(places >= bits, 0, x << np.minimum(places, bits - 1).astype(x.dtype)).astype(x.dtype)


def shift_right(x, places):
    """With copies of the sign from the left where numbers have one; shifts by the whole width and more are allowed."""
    bits = 8 * x.dtype.itemsize
    shifted = x >> np.minimum(places, bits - 1).astype(x.dtype)
    gone = shifted if x.dtype.kind == "i" else 0
    return np.where(places >= bits, gone, shifted).astype(x.dtype)


def count_ones(x):
    return np.bitwise_count(x).astype(np.uint32)


def highest_one(x):
    """The place of the highest bit that is set (in a negative number: that is not set); all bits set if none is."""
    if x.dtype.kind == "i":
        x = np.where(x < 0, ~x, x).astype(UNSIGNED[x.dtype.itemsize])
    return (bit_length(x) - np.uint32(1)).astype(np.uint32)


def bit_length(x):
    """How many bits a number takes; 0 for 0."""
    length = np.zeros(x.shape, np.uint32)
    for step in (32, 16, 8, 4, 2, 1):
        if step < 8 * x.dtype.itemsize:
            above = (x >> x.dtype.type(step)) != 0
            length = length + np.where(above, np.uint32(step), np.uint32(0))
            x = np.where(above, x >> x.dtype.type(step), x)
    return length + (x != 0)


def leading_zeros(x):
    return np.uint32(8 * x.dtype.itemsize) - bit_length(x)


def reverse_bits(x):
    bits = 8 * x.dtype.itemsize
    masks = {1: 0x5555555555555555, 2: 0x3333333333333333, 4: 0x0F0F0F0F0F0F0F0F, 8: 0x00FF00FF00FF00FF}
    masks |= {16: 0x0000FFFF0000FFFF, 32: 0x00000000FFFFFFFF}
    for step in (1, 2, 4, 8, 16, 32):
        if step < bits:
            mask, places = x.dtype.type(masks[step] % 2**bits), x.dtype.type(step)
            x = ((x >> places) & mask) | ((x & mask) << places)
    return x


def extract_bits(x, position, length):
    """`bfe`: `length` bits from `position`, moved to the right end; in signed numbers the last one fills the rest."""
    bits = 8 * x.dtype.itemsize
    position, length = position & np.uint32(255), length & np.uint32(255)
    field = shift_right(x, position) & low_bits(length, x.dtype)
    if x.dtype.kind != "i":
        return field
    last = np.minimum(position + length - np.uint32(1), np.uint32(bits - 1))
    negative = (shift_right(x, last) & 1).astype(bool) & (length > 0)
    return np.where(negative, field | ~low_bits(length, x.dtype), field)


def insert_bits(field, x, position, length):
    """`bfi`: `x`, in which `length` bits from `position` are replaced by the lowest of `field`."""
    position, length = position & np.uint32(255), length & np.uint32(255)
    mask = shift_left(low_bits(length, x.dtype), position)
    return (x & ~mask) | (shift_left(field, position) & mask)


def low_bits(length, dtype):
    """Numbers of which the lowest `length` bits are set."""
    one = np.ones(np.shape(length), UNSIGNED[dtype.itemsize])
    return (shift_left(one, length) - one.dtype.type(1)).view(dtype)


def permute_bytes(x, y, selector):
    """`prmt`: four of the eight bytes of `x` (0 to 3) and `y` (4 to 7), or their signs (from 8), as `selector` says."""
    source = x.astype(np.uint64) | y.astype(np.uint64) << np.uint64(32)
    result = np.zeros(np.broadcast(source, selector).shape, np.uint32)
    for i in range(4):
        chosen = (selector >> np.uint32(4 * i)).astype(np.uint64)
        byte = (source >> ((chosen & np.uint64(7)) * np.uint64(8))) & np.uint64(255)
        sign = np.where(byte >> np.uint64(7), np.uint64(255), np.uint64(0))
        result |= np.where(chosen & np.uint64(8), sign, byte).astype(np.uint32) << np.uint32(8 * i)
    return result


def look_up_bits(x, y, z, table):
    """`lop3`: bit by bit, what `table` holds at the place that three bits spell."""
    result = np.zeros(np.broadcast(x, y, z).shape, np.uint32)
    for i in range(8):
        if table >> i & 1:
            result |= (x if i & 4 else ~x) & (y if i & 2 else ~y) & (z if i & 1 else ~z)
    return result


def funnel_shift(low, high, places, left, clamp):
    """`shf`: 32 bits out of `high:low`, shifted by `places`, which stop at 32 (`clamp`) or wrap around there."""
    places = np.minimum(places, np.uint32(32)) if clamp else places & np.uint32(31)
    pair = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    if left:
        return ((pair << places.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)
    return (pair >> places.astype(np.uint64)).astype(np.uint32)


# ----------------------------------------------------------------------------------------------------------------------
# Floating-point numbers. A result is worked out as `sum + rest`, two float64 numbers that are exact together, and
# rounded once. For float32 this always succeeds: a product of two has 48 bits.


def flush(x):
    """`.ftz`: zeros, with their sign, in place of subnormal numbers."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(x.dtype.type(0), x), x)


def saturate(x):
    """`.sat`: between 0 and 1, and 0 in place of nan."""
    return np.where(np.isnan(x), 0, np.clip(x, 0, 1)).astype(x.dtype)


def two_sum(x, y):
    """Their sum, and what rounding takes away from it (Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _sum(x, y, mode):
    """`two_sum`, and where nothing is left of numbers with opposite signs, the zero that the mode asks for."""
    total, rest = two_sum(x, y)
    nothing = (total == 0) & (np.signbit(x) != np.signbit(y))
    return np.where(nothing, -0.0 if mode == "rm" else 0.0, total), rest


def two_product(x, y):
    """Their product, and what rounding takes away from it (Dekker)."""
    product = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _halves(x):
    """Two numbers of 26 bits whose sum is `x`."""
    scaled = x * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def round_to(total, rest, dtype, mode):
    """`total + rest` as the nearest number of a type (rn), or the next one towards 0 (rz), below (rm) or above (rp)."""
    if mode == "rn":
        return _nearest(total, rest, dtype)
    rounded = total.astype(dtype)
    error = (rounded.astype(np.float64) - total) - rest  # exact enough for its sign
    down, up = dtype.type(-np.inf), dtype.type(np.inf)
    too_high = (error > 0) & ((mode == "rm") | ((mode == "rz") & (total > 0)))
    too_low = (error < 0) & ((mode == "rp") | ((mode == "rz") & (total < 0)))
    moved = np.where(too_high, np.nextafter(rounded, down), np.where(too_low, np.nextafter(rounded, up), rounded))
    return np.where(np.isfinite(total), moved, rounded).astype(dtype)


def _nearest(total, rest, dtype):
    """The nearest number. Before it is rounded a total that is not exact is given an odd last bit, so that it lies
    halfway between no two numbers of the narrower type (Boldo and Melquiond: rounding to odd).
    """
    if dtype == np.float64:
        together = total + rest
        return np.where(np.isfinite(together), together, total)
    even = (total.view(np.uint64) & np.uint64(1)) == 0
    towards = np.nextafter(total, np.where(rest > 0, np.inf, -np.inf))
    return np.where((rest != 0) & even & np.isfinite(total), towards, total).astype(dtype)


def _may_be_halfway(total) -> bool:
    """Whether one of some float64 numbers may lie halfway between two float32; those end in 28 zeros at least."""
    return not (total.view(np.uint64) & np.uint64(0xFFFFFFF)).all()


def add(x, y, mode="rn"):
    if mode == "rn":
        return x + y
    return round_to(*_sum(x.astype(np.float64), y.astype(np.float64), mode), x.dtype, mode)


def subtract(x, y, mode="rn"):
    return add(x, -y, mode)


def multiply(x, y, mode="rn"):
    if mode == "rn":
        return x * y
    exact = _product(x, y)
    return round_to(*exact, x.dtype, mode)


def _product(x, y):
    """A product as two float64 numbers."""
    if x.dtype != np.float64:
        product = x.astype(np.float64) * y
        return product, np.zeros_like(product)
    return two_product(x, y)


def fused_multiply_add(x, y, z, mode="rn"):
    """x * y + z, rounded once."""
    if x.dtype == np.float32 and mode == "rn":  # what kernels do most; the rest hardly ever decides
        total = x.astype(np.float64) * y + z
        if not _may_be_halfway(total):
            return total.astype(np.float32)
    product, low = _product(x, y)
    total, rest = _sum(product, z.astype(np.float64), mode)
    return round_to(total, rest + low, x.dtype, mode)


def quotient(x, y, mode="rn"):
    if mode == "rn":
        return x / y
    wide, divisor = x.astype(np.float64) / y, y.astype(np.float64)
    product, low = two_product(wide, divisor)
    rest = np.where(np.isfinite(product), ((x - product) - low) / divisor, 0)
    return round_to(wide, rest, x.dtype, mode)


def square_root(x, mode="rn"):
    if mode == "rn":
        return np.sqrt(x)
    wide = np.sqrt(x.astype(np.float64))
    square, low = two_product(wide, wide)
    rest = np.where(wide > 0, ((x - square) - low) / (2 * wide), 0)
    return round_to(wide, rest, x.dtype, mode)


def smaller(x, y):
    """The number, if one is nan; -0 counts as smaller than 0."""
    zeros = (x == 0) & (y == 0)
    return np.where(zeros, np.where(np.signbit(x), x, y), np.fmin(x, y))


def larger(x, y):
    zeros = (x == 0) & (y == 0)
    return np.where(zeros, np.where(np.signbit(x), y, x), np.fmax(x, y))


def with_nan(choose):
    """`min.NaN` and `max.NaN`: nan, if one is nan."""
    return lambda x, y: np.where(np.isnan(x) | np.isnan(y), np.nan, choose(x, y)).astype(x.dtype)


def exactly(function):
    """A function of the hardware's approximation unit, in float64 and rounded once."""
    return lambda x: function(x.astype(np.float64)).astype(x.dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Conversions.

#: Rounding to a whole number, by the modifier that asks for it.
WHOLE = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def to_whole(x, dtype):
    """Whole floating-point numbers in an integer type: the nearest that it has; for nan 0, or the sign bit alone."""
    limits = np.iinfo(dtype)
    low, high = float(limits.min), float(limits.max)  # 2.0**63 for int64, which int64 does not have
    inside = (x >= low) & (x <= high) & (x < 2.0 ** (8 * dtype.itemsize - (dtype.kind == "i")))
    result = np.where(inside, x, 0).astype(dtype)
    result = np.where(x < low, limits.min, np.where(~inside & (x > 0), limits.max, result)).astype(dtype)
    wide = x.dtype == np.float64 or dtype.itemsize == 8
    nothing = np.array(1 << (8 * dtype.itemsize - 1) if wide else 0, UNSIGNED[dtype.itemsize]).view(dtype)
    return np.where(np.isnan(x), nothing, result)


def round_whole(x, dtype, mode):
    """Whole numbers as floating-point numbers, rounded as asked; float64 and a rest hold all of their 64 bits."""
    high = x.astype(np.float64)
    rest = [float(int(number) - int(part)) for number, part in zip(x, high, strict=True)]
    return round_to(high, np.array(rest), dtype, mode)


def saturate_whole(x, dtype):
    """Whole numbers in a narrower type: the nearest that it has."""
    limits = np.iinfo(dtype)
    values = [min(max(int(n), limits.min), limits.max) for n in x.ravel()]
    return np.array(values, dtype).reshape(x.shape)


def to_tf32(x, mode):
    """float32 with 10 bits behind the point: the nearest, ties away from zero (rna) or to even (rn), or towards 0."""
    bits = x.view(np.uint32)
    odd = (bits >> np.uint32(13)) & np.uint32(1)
    carried = bits + {"rna": np.uint32(0x1000), "rn": np.uint32(0xFFF) + odd, "rz": np.uint32(0)}[mode]
    return np.where(np.isfinite(x), carried & np.uint32(0xFFFFE000), bits)


# ----------------------------------------------------------------------------------------------------------------------
# The tables: which function for which instruction.

COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}

#: Of predicates.
LOGICAL = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not}
#: One argument, and a result of the same type.
WHOLE_UNARY = {"neg": np.negative, "abs": np.abs, "not": np.invert, "cnot": lambda x: (x == 0).astype(x.dtype)}
WHOLE_UNARY |= {"brev": reverse_bits}
#: One argument, and a result of 32 bits.
COUNTS = {"popc": count_ones, "clz": leading_zeros, "bfind": highest_one}
WHOLE_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "div": divide,
    "rem": remainder,
    "min": np.minimum,
    "max": np.maximum,
}
WHOLE_BINARY |= {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
SHIFTS = {"shl": shift_left, "shr": shift_right}

#: Those that round as the opcode says.
ROUNDED = {
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "div": quotient,
    "fma": fused_multiply_add,
    "sqrt": square_root,
}
ROUNDED |= {"mad": fused_multiply_add, "rcp": lambda x, mode: quotient(np.ones_like(x), x, mode)}
FLOAT = {
    "neg": np.negative,
    "abs": np.abs,
    "min": smaller,
    "max": larger,
    "copysign": lambda sign, x: np.copysign(x, sign),
    "rsqrt": exactly(lambda x: 1 / np.sqrt(x)),
    "ex2": exactly(np.exp2),
    "lg2": exactly(np.log2),
    "sin": exactly(np.sin),
    "cos": exactly(np.cos),
    "tanh": exactly(np.tanh),
}
