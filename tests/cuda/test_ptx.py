"""The executor of PTX, one instruction at a time: every family that it knows, with odd numbers, against plain Python.

A case is an instruction written by hand. It runs in a kernel that loads its arguments and stores its result, with one
thread for each combination of arguments. Python's integers and fractions say what is right.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="what is executed comes from numba-cuda (pip install 'numba-cuda[cu13]')")

from ptx import run
from texts import kernel

#: What NumPy calls PTX's types.
DTYPES = {
    f"{ours}{bits}": np.dtype(f"{theirs}{bits // 8}") for ours, theirs in ("uu", "bu", "si") for bits in (8, 16, 32, 64)
}
DTYPES |= {f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)}
#: How a register of each width is called, and declared.
REGISTERS = {1: "%rs", 2: "%rs", 4: "%r", 8: "%rd"}


def execute(instruction: str, result: str, kinds, columns) -> np.ndarray:
    """What an instruction computes: `{0}` stands for its result, `{1}` and so on for its arguments."""
    names = [_register(kind, i) for i, kind in enumerate([result, *kinds])]
    body = ["mov.u32 %r19, %tid.x;"]
    for i, (kind, name) in enumerate(zip(kinds, names[1:], strict=True), 1):
        body += [f"ld.param.u64 %rd19, [in{i}];", f"mad.wide.u32 %rd18, %r19, {DTYPES[kind].itemsize}, %rd19;"]
        body.append(f"ld.global.{kind} {name}, [%rd18];")
    body.append(instruction.format(*names))
    body += ["ld.param.u64 %rd19, [out];", f"mad.wide.u32 %rd18, %r19, {DTYPES[result].itemsize}, %rd19;"]
    body.append(f"st.global.{result} [%rd18], {names[0]};")
    parameters = [("u64", "out"), *(("u64", f"in{i}") for i in range(1, len(kinds) + 1))]
    columns = [np.array(column, DTYPES[kind]) for column, kind in zip(columns, kinds, strict=True)]
    out = np.zeros(len(columns[0]), DTYPES[result])
    run(kernel("\n".join(body), parameters), 1, len(out), [out, *columns])
    return out


def _register(kind: str, i: int) -> str:
    if kind in ("f32", "f64"):
        return f"{'%f' if kind == 'f32' else '%fd'}{i}"
    return f"{REGISTERS[DTYPES[kind].itemsize]}{i}"


def combinations(kinds, few: int = 0):
    """Columns with all combinations of odd numbers of some types."""
    return list(zip(*product(*(odd(kind)[: few or None] for kind in kinds)), strict=True))


def odd(kind: str) -> list:
    """Numbers of a type at which things go wrong: extremes, signs, zeros, fractions, subnormal numbers, nan."""
    dtype = DTYPES[kind]
    if dtype.kind == "f":
        info = np.finfo(dtype)
        tiny, edge, most = float(info.tiny), float(2.0**info.nmant), float(info.max)
        numbers = [1 / 3, -2.5, 0.0, 1e30, np.nan, -np.inf, 1.0, tiny / 3, -edge - 1, 0.1, -0.0, np.inf, -tiny, most]
        return [float(n) for n in np.array(numbers).astype(dtype)]
    info = np.iinfo(dtype)
    return [7, info.min, info.max, 0, 1, *((-1, -7, -13) if info.min else (2, 100)), info.max // 3, info.max - 1]


def wrapped(number: int, kind: str) -> int:
    """A whole number in a register: its low bits."""
    bits = 8 * DTYPES[kind].itemsize
    low = int(number) % 2**bits
    return low - 2**bits if kind.startswith("s") and low >= 2 ** (bits - 1) else low


def rounded(exact: Fraction, kind: str, mode: str = "rn"):
    """The number of a type that an exact one becomes; the neighbours are found by trying."""
    real, info = DTYPES[kind].type, np.finfo(DTYPES[kind])
    largest = Fraction(float(info.max))
    if abs(exact) > largest:
        step = Fraction(2) ** (info.maxexp - info.nmant - 1)
        stays = {"rn": abs(exact) < largest + step / 2, "rz": True, "rm": exact > 0, "rp": exact < 0}[mode]
        return real((info.max if stays else np.inf) * (1 if exact > 0 else -1))
    near = real(float(exact))
    around = [near, np.nextafter(near, real(-np.inf)), np.nextafter(near, real(np.inf))]
    at = {Fraction(float(n)): n for n in around if np.isfinite(n)}
    below, above = max(place for place in at if place <= exact), min(place for place in at if place >= exact)
    if exact - below == above - exact:  # to the one that ends in 0
        nearest = below if int(at[below].view(f"u{info.bits // 8}")) % 2 == 0 else above
    else:
        nearest = below if exact - below < above - exact else above
    return at[{"rn": nearest, "rz": below if exact > 0 else above, "rm": below, "rp": above}[mode]]


def exactly(operation, kind: str, mode: str = "rn"):
    """A reference for a float operation: exact, then rounded; with infinities and nan as Python has them."""

    def reference(*arguments):
        if not all(map(math.isfinite, arguments)):
            return operation(*map(np.float64, arguments))
        try:
            return rounded(operation(*(Fraction(float(x)) for x in arguments)), kind, mode)
        except ZeroDivisionError:
            return np.float64(arguments[0]) / np.float64(arguments[-1])

    return reference


def bits(number, kind: str) -> int:
    """How a number is stored."""
    return int(np.array(number, DTYPES[kind]).view(f"u{DTYPES[kind].itemsize}"))


def check(instruction: str, result: str, kinds, reference, few: int = 0, columns=None) -> None:
    """Compare an instruction with a function of Python's numbers, for all combinations of odd ones (of the first `few`
    of each type), or for the given columns.
    """
    columns = combinations(kinds, few) if columns is None else columns
    got = execute(instruction, result, kinds, columns)
    with np.errstate(all="ignore"):
        wanted = [reference(*row) for row in zip(*columns, strict=True)]
        if DTYPES[result].kind != "f":
            signed = f"{DTYPES[result].kind.replace('i', 's')}{result[1:]}"
            wanted = [wrapped(number, signed) for number in wanted]
        wanted = np.array(wanted, DTYPES[result])
    wrong = ~((got == wanted) | ((got != got) & (wanted != wanted)))
    rows = list(zip(*columns, strict=True))
    assert not wrong.any(), [(rows[i], got[i], wanted[i]) for i in np.flatnonzero(wrong)[:3]]


# ----------------------------------------------------------------------------------------------------------------------
# Whole numbers.


def truncated(x, y):
    """x / y, towards zero; Python's `//` goes down."""
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


WHOLE = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul.lo": lambda x, y: x * y,
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_wrap_around(name, kind):
    check(f"{name}.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], WHOLE[name])


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32", "s64", "u64"])
def test_division_goes_towards_zero_and_leaves_the_sign_of_the_first(kind):
    columns = [[x, y] for x, y in zip(*combinations([kind, kind]), strict=True) if y != 0]
    columns = list(zip(*columns, strict=True))
    check(f"div.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], truncated, columns=columns)
    check(f"rem.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], lambda x, y: x - y * truncated(x, y), columns=columns)


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64"])
def test_products_high_and_wide(kind):
    size = int(kind[1:])
    check(f"mul.hi.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], lambda x, y: (x * y) >> size)
    check(f"mad.lo.{kind} {{0}}, {{1}}, {{2}}, {{3}};", kind, [kind] * 3, lambda x, y, z: x * y + z, few=8)
    if size == 32:
        wide = f"{kind[0]}64"
        check(f"mul.wide.{kind} {{0}}, {{1}}, {{2}};", wide, [kind, kind], lambda x, y: x * y)
        check(
            f"mad.wide.{kind} {{0}}, {{1}}, {{2}}, {{3}};", wide, [kind, kind, wide], lambda x, y, z: x * y + z, few=8
        )


@pytest.mark.parametrize("kind", ["b16", "b32", "b64"])
def test_bits(kind):
    for name, operation in {"and": int.__and__, "or": int.__or__, "xor": int.__xor__}.items():
        check(f"{name}.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], operation)
    check(f"not.{kind} {{0}}, {{1}};", kind, [kind], lambda x: ~x)
    check(f"cnot.{kind} {{0}}, {{1}};", kind, [kind], lambda x: x == 0)


@pytest.mark.parametrize("kind", ["s16", "s32", "s64"])
def test_signs(kind):
    check(f"neg.{kind} {{0}}, {{1}};", kind, [kind], lambda x: -x)
    check(f"abs.{kind} {{0}}, {{1}};", kind, [kind], abs)


@pytest.mark.parametrize("name", ["shl.b", "shr.u", "shr.s"])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_shifts_by_any_number_of_places(name, size):
    kind = f"{name[-1]}{size}"
    places = [0, 1, size // 2, size - 1, size, size + 1, 2**31, 2**32 - 1]
    columns = list(zip(*product(odd(kind), places), strict=True))

    def reference(x, n):
        n = min(n, 2 * size)
        return x << n if name == "shl.b" else x >> n

    check(f"{name}{size} {{0}}, {{1}}, {{2}};", kind, [kind, "u32"], reference, columns=columns)


@pytest.mark.parametrize("size", [32, 64])
def test_counting_bits(size):
    kind = f"b{size}"
    check(f"popc.{kind} {{0}}, {{1}};", "u32", [kind], int.bit_count)
    check(f"clz.{kind} {{0}}, {{1}};", "u32", [kind], lambda x: size - x.bit_length())
    check(f"brev.{kind} {{0}}, {{1}};", kind, [kind], lambda x: int(f"{x:0{size}b}"[::-1], 2))
    check(f"bfind.u{size} {{0}}, {{1}};", "u32", [kind], lambda x: x.bit_length() - 1)
    check(f"bfind.s{size} {{0}}, {{1}};", "u32", [f"s{size}"], lambda x: (~x if x < 0 else x).bit_length() - 1)
    check(f"bfind.shiftamt.u{size} {{0}}, {{1}};", "u32", [kind], lambda x: size - x.bit_length() if x else 2**32 - 1)


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_fields_of_bits(kind):
    size = int(kind[1:])
    places = [0, 1, 5, size - 1, size, 255]
    columns = list(zip(*product(odd(kind), places, places), strict=True))

    def extract(x, position, length):
        field = (x >> position) & (2**length - 1) if x >= 0 or kind[0] == "s" else x
        if kind[0] == "s" and length:
            negative = x >> min(position + length - 1, size - 1) & 1
            field = field - 2**length if negative and field >> (length - 1) & 1 else field
        return field

    check(f"bfe.{kind} {{0}}, {{1}}, {{2}}, {{3}};", kind, [kind, "u32", "u32"], extract, columns=columns)

    def insert(field, x, position, length):
        mask = ((2**length - 1) << position) % 2**size
        return (x & ~mask) | ((field << position) & mask)

    kind = f"b{size}"
    columns = list(zip(*product(odd(kind)[:5], odd(kind)[3:7], places, places), strict=True))
    check(f"bfi.{kind} {{0}}, {{1}}, {{2}}, {{3}}, {{4}};", kind, [kind, kind, "u32", "u32"], insert, columns=columns)


def test_bytes_and_tables_of_bits():
    selectors = [0x3210, 0x7654, 0x0123, 0x5140, 0x8888, 0xF7B3]
    columns = list(zip(*product(odd("u32")[:6], [0x80FF7F01, 5], selectors), strict=True))

    def permute(x, y, selector):
        source = (x + (y << 32)).to_bytes(8, "little")
        chosen = [selector >> 4 * i & 15 for i in range(4)]
        return sum((source[c & 7] if c < 8 else 255 * (source[c & 7] >> 7)) << 8 * i for i, c in enumerate(chosen))

    check("prmt.b32 {0}, {1}, {2}, {3};", "b32", ["b32"] * 3, permute, columns=columns)
    three = [0xF0F0F0F0, 0xCCCCCCCC, 0xAAAAAAAA]  # in which every combination of bits occurs
    for table in (0x00, 0x96, 0xE8, 0xCA, 0xFF):
        got = execute(f"lop3.b32 {{0}}, {{1}}, {{2}}, {{3}}, {table};", "b32", ["b32"] * 3, [[n] for n in three])
        assert got[0] == table * 0x01010101


@pytest.mark.parametrize("mode", ["clamp", "wrap"])
def test_funnel_shifts(mode):
    columns = list(zip(*product(odd("u32")[:5], odd("u32")[:5], [0, 1, 31, 32, 33, 2**32 - 1]), strict=True))
    places = {"clamp": lambda n: min(n, 32), "wrap": lambda n: n & 31}[mode]
    for side, shifted in {
        "l": lambda a, b, n: ((b << 32 | a) << places(n)) >> 32,
        "r": lambda a, b, n: (b << 32 | a) >> places(n),
    }.items():
        check(f"shf.{side}.{mode}.b32 {{0}}, {{1}}, {{2}}, {{3}};", "b32", ["b32"] * 3, shifted, columns=columns)


def test_carries_go_from_one_instruction_to_the_next():
    body = "mov.b64 {{{{%r1,%r2}}}}, {{1}}; mov.b64 {{{{%r3,%r4}}}}, {{2}}; {} mov.b64 {{0}}, {{{{%r5,%r6}}}};"
    add = body.format("add.cc.u32 %r5, %r1, %r3; addc.u32 %r6, %r2, %r4;")
    subtract = body.format("sub.cc.u32 %r5, %r1, %r3; subc.u32 %r6, %r2, %r4;")
    products = "mul.lo.u32 %r5, %r1, %r3; mul.hi.u32 %r6, %r1, %r3;"
    multiply = body.format(f"{products} mad.lo.u32 %r6, %r2, %r3, %r6; mad.lo.u32 %r6, %r1, %r4, %r6;")
    fused = body.format("mov.u32 %r6, 5; mad.lo.cc.u32 %r5, %r1, %r3, %r4; madc.hi.u32 %r6, %r1, %r3, %r6;")
    for instruction, reference in (
        (add, lambda x, y: x + y),
        (subtract, lambda x, y: x - y),
        (multiply, lambda x, y: x * y),
        (fused, lambda x, y: (x % 2**32) * (y % 2**32) + (y >> 32) + (5 << 32)),
    ):
        check(instruction, "b64", ["u64", "u64"], reference)


# ----------------------------------------------------------------------------------------------------------------------
# Floating-point numbers.

FLOAT = {"add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y}


@pytest.mark.parametrize(("kind", "mode"), [("f32", "rn"), ("f32", "rz"), ("f32", "rm"), ("f32", "rp"), ("f64", "rn")])
@pytest.mark.parametrize("name", FLOAT)
def test_results_are_rounded_as_asked(name, mode, kind):
    check(f"{name}.{mode}.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], exactly(FLOAT[name], kind, mode))


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_the_sign_of_a_sum_of_which_nothing_is_left(mode):
    """It is negative where sums are rounded downwards, or where both numbers were negative zeros."""
    columns = [[1.5, -1.5, 0.0, -0.0, 0.0, -0.0], [-1.5, 1.5, -0.0, 0.0, 0.0, -0.0]]
    wanted = [mode == "rm"] * 4 + [False, True]
    for text in ("add.{}.f32 {{0}}, {{1}}, {{2}};", "fma.{}.f32 {{0}}, {{1}}, 0f3F800000, {{2}};"):
        got = execute(text.format(mode), "f32", ["f32", "f32"], columns)
        assert (got == 0).all()
        assert list(np.signbit(got)) == wanted


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_fused_products_are_rounded_once(mode):
    reference = exactly(lambda x, y, z: x * y + z, "f32", mode)
    check(f"fma.{mode}.f32 {{0}}, {{1}}, {{2}}, {{3}};", "f32", ["f32"] * 3, reference, few=10)
    rng = np.random.default_rng(5)
    near = [rng.standard_normal(300).astype(np.float32) for _ in range(2)]
    near.append((-near[0] * near[1] * (1 + rng.choice([0, 1e-7, 1e-4], 300))).astype(np.float32))
    check(f"fma.{mode}.f32 {{0}}, {{1}}, {{2}}, {{3}};", "f32", ["f32"] * 3, reference, columns=near)


def test_a_product_halfway_between_two_numbers_is_decided_by_what_is_added():
    """Both products are odd, where float32 has the even numbers only; what is added is too small for float64 there."""
    just_above = 2.0**-28 * (1 - 2.0**-24)
    columns = [[4097.0] * 3 + [4099.0] * 3 + [4097.0], [4097.0] * 7, [0, 2.0**-40, -(2.0**-40)] * 2 + [just_above]]
    got = execute("fma.rn.f32 {0}, {1}, {2}, {3};", "f32", ["f32"] * 3, columns)
    assert list(got) == [16785408, 16785410, 16785408, 16793604, 16793604, 16793602, 16785410]
    tiny = [[2.0**-80, 2.0**-80, -(2.0**-80)], [2.0**-70] * 3, [2.0**-148, 2.0**-149, 2.0**-149]]  # subnormal sums
    check("fma.rn.f32 {0}, {1}, {2}, {3};", "f32", ["f32"] * 3, exactly(lambda x, y, z: x * y + z, "f32"), columns=tiny)


def test_fused_products_of_float64_keep_what_a_product_would_lose():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 300))
    check(
        "fma.rn.f64 {0}, {1}, {2}, {3};",
        "f64",
        ["f64"] * 3,
        exactly(lambda x, y, z: x * y + z, "f64"),
        columns=[x, y, -x * y],
    )


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_roots_and_reciprocals(mode):
    check(
        f"rcp.{mode}.f32 {{0}}, {{1}};",
        "f32",
        ["f32"],
        lambda x: exactly(lambda y: 1 / y, "f32", mode)(x) if x else np.copysign(np.inf, x),
    )
    numbers = np.concatenate([np.abs(odd("f32")), np.random.default_rng(1).random(200)]).astype(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    roots = execute(f"sqrt.{mode}.f32 {{0}}, {{1}};", "f32", ["f32"], [numbers])
    for x, root in zip(numbers, roots, strict=True):
        below, above = (
            Fraction(float(n)) ** 2 for n in (np.nextafter(root, np.float32(0)), np.nextafter(root, np.float32(9e30)))
        )
        square, exact = Fraction(float(root)) ** 2, Fraction(float(x))
        assert {
            "rn": below < exact < above or exact == 0,
            "rz": square <= exact < above,
            "rm": square <= exact < above,
            "rp": below < exact <= square or exact == 0,
        }[mode], (x, root)
    assert np.isnan(execute("sqrt.rn.f32 {0}, {1};", "f32", ["f32"], [[-1.0]])[0])


def test_minima_and_maxima_prefer_numbers_and_know_the_sign_of_zero():
    for name, choose in (("min", min), ("max", max)):

        def number_if_there_is_one(x, y, choose=choose):
            return y if x != x else x if y != y else choose(x, y)

        def nan_if_there_is_one(x, y, choose=choose):
            return math.nan if x != x or y != y else choose(x, y)

        check(f"{name}.f32 {{0}}, {{1}}, {{2}};", "f32", ["f32", "f32"], number_if_there_is_one)
        check(f"{name}.NaN.f32 {{0}}, {{1}}, {{2}};", "f32", ["f32", "f32"], nan_if_there_is_one)
    zeros = [[0.0, -0.0], [-0.0, 0.0]]
    assert np.signbit(execute("min.f32 {0}, {1}, {2};", "f32", ["f32", "f32"], zeros)).all()
    assert not np.signbit(execute("max.f32 {0}, {1}, {2};", "f32", ["f32", "f32"], zeros)).any()


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_signs_of_floats_bit_for_bit(kind):
    numbers = odd(kind)
    for name, operation in (("neg", lambda x: -x), ("abs", abs)):
        got = execute(f"{name}.{kind} {{0}}, {{1}};", kind, [kind], [numbers])
        assert [bits(x, kind) for x in got if x == x] == [bits(operation(x), kind) for x in numbers if x == x]
    columns = combinations([kind, kind])
    got = execute(f"copysign.{kind} {{0}}, {{1}}, {{2}};", kind, [kind, kind], columns)
    assert [math.copysign(1, x) for x in got] == [math.copysign(1, sign) for sign in columns[0]]
    assert [abs(x) for x in got if x == x] == [abs(x) for x in columns[1] if x == x]


FUNCTIONS = {
    "ex2.approx.f32": np.exp2,
    "lg2.approx.f32": np.log2,
    "sin.approx.f32": np.sin,
    "cos.approx.f32": np.cos,
    "tanh.approx.f32": np.tanh,
    "rsqrt.approx.f32": lambda x: 1 / np.sqrt(x),
    "rcp.approx.ftz.f32": lambda x: 1 / x,
    "sqrt.approx.f32": np.sqrt,
}


@pytest.mark.parametrize("opcode", FUNCTIONS)
def test_approximations_are_exact_here(opcode):
    numbers = np.array([0.5, 1, 2.75, 1e-3, 30, -0.0, -1.5, np.inf, np.nan], np.float32)
    with np.errstate(all="ignore"):
        wanted = FUNCTIONS[opcode](numbers.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(execute(f"{opcode} {{0}}, {{1}};", "f32", ["f32"], [numbers]), wanted)


@pytest.mark.parametrize("opcode", ["div.approx.f32", "div.full.f32"])
def test_approximate_division(opcode):
    check(f"{opcode} {{0}}, {{1}}, {{2}};", "f32", ["f32", "f32"], exactly(FLOAT["div"], "f32"))


def test_flushed_numbers_and_saturated_results():
    small = 1e-40
    columns = [[small, -small, 1e-30, 3.0, np.nan, -2.0], [1.0, 1.0, 1e-10, 0.5, 1.0, 1.0]]
    got = execute("mul.ftz.f32 {0}, {1}, {2};", "f32", ["f32", "f32"], columns)
    assert list(got[:4]) == [0, 0, 0, 1.5]
    assert list(np.signbit(got[:2])) == [False, True]
    assert execute("mul.f32 {0}, {1}, {2};", "f32", ["f32", "f32"], columns)[0] > 0
    assert list(execute("mul.sat.f32 {0}, {1}, {2};", "f32", ["f32", "f32"], columns)[3:]) == [1, 0, 0]
    assert list(
        execute("fma.rn.ftz.sat.f32 {0}, {1}, {2}, 0f3E800000;", "f32", ["f32", "f32"], columns)[[0, 3, 5]]
    ) == [0.25, 1, 0]
    assert list(
        execute("setp.gt.ftz.f32 %p1, {1}, 0f00000000; selp.u32 {0}, 1, 0, %p1;", "u32", ["f32", "f32"], columns)
    ) == [0, 0, 1, 1, 0, 0]


# ----------------------------------------------------------------------------------------------------------------------
# Conversions, comparisons, choices.


@pytest.mark.parametrize("to", ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("given", ["s16", "u16", "s32", "u32", "s64", "u64"])
def test_whole_numbers_change_their_width(to, given):
    if to not in ("s8", "u8"):
        check(f"cvt.{to}.{given} {{0}}, {{1}};", to, [given], lambda x: x)
    limits = np.iinfo(DTYPES[to])
    check(f"cvt.sat.{to}.{given} {{0}}, {{1}};", to, [given], lambda x: min(max(x, limits.min), limits.max))


ROUND = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


@pytest.mark.parametrize("mode", ROUND)
@pytest.mark.parametrize("given", ["f32", "f64"])
def test_floats_become_whole(mode, given):
    numbers = [*odd(given), 0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -3e9, 2.0**31, 2.0**63, -(2.0**63), 2.0**64]
    for to in ("s32", "u32", "s64", "u64", "s16"):
        limits = np.iinfo(DTYPES[to])
        nothing = 1 << int(to[1:]) - 1 if given == "f64" or to.endswith("64") else 0

        def reference(x, limits=limits, nothing=nothing):
            if math.isnan(x):
                return nothing
            return (
                min(max(ROUND[mode](x), limits.min), limits.max)
                if math.isfinite(x)
                else limits.max
                if x > 0
                else limits.min
            )

        check(f"cvt.{mode}.{to}.{given} {{0}}, {{1}};", to, [given], reference, columns=[numbers])
    check(
        f"cvt.{mode}.{given}.{given} {{0}}, {{1}};",
        given,
        [given],
        lambda x: ROUND[mode](x) if math.isfinite(x) else x,
        columns=[numbers],
    )


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_numbers_become_floats(mode):
    for given in ("s32", "u32", "s64", "u64"):
        numbers = [*odd(given), 2**24 + 1, 2**31 - 65]
        for to in ("f32", "f64"):
            check(
                f"cvt.{mode}.{to}.{given} {{0}}, {{1}};",
                to,
                [given],
                lambda x, to=to: rounded(Fraction(x), to, mode),
                columns=[numbers],
            )
    wide = [*odd("f64"), 1 + 2.0**-24, 1 + 3 * 2.0**-24, 1e-42, 3.4028236e38]
    check(f"cvt.{mode}.f32.f64 {{0}}, {{1}};", "f32", ["f64"], exactly(lambda x: x, "f32", mode), columns=[wide])


def test_narrow_and_saturated_floats():
    check("cvt.f64.f32 {0}, {1};", "f64", ["f32"], lambda x: x)
    numbers = [0.1, 65519.0, 65520.0, -1e-8, 2049.0, np.nan]
    got = execute("cvt.rn.f16.f32 {0}, {1};", "b16", ["f32"], [numbers]).view(np.float16)
    np.testing.assert_array_equal(got, [np.float16(0.1), 65504, np.inf, -0.0, 2048, np.nan])
    halves = np.array([0.1, -2.5, 65504, np.inf], np.float16)
    np.testing.assert_array_equal(execute("cvt.f32.f16 {0}, {1};", "f32", ["b16"], [halves.view(np.uint16)]), halves)
    check("cvt.sat.f32.f32 {0}, {1};", "f32", ["f32"], lambda x: 0 if x != x else min(max(x, 0), 1))
    assert execute("cvt.ftz.f32.f32 {0}, {1};", "f32", ["f32"], [[1e-40]])[0] == 0


def test_tf32_has_ten_bits_behind_the_point():
    step = 2.0**-10
    numbers = [1 + step / 2, 1 + 1.5 * step, -1 - step / 2, 1 + step / 2 - 2.0**-23, 3.0]
    assert list(execute("cvt.rna.tf32.f32 {0}, {1};", "b32", ["f32"], [numbers]).view(np.float32)) == [
        1 + step,
        1 + 2 * step,
        -1 - step,
        1,
        3,
    ]
    assert list(execute("cvt.rn.tf32.f32 {0}, {1};", "b32", ["f32"], [numbers]).view(np.float32)) == [
        1,
        1 + 2 * step,
        -1,
        1,
        3,
    ]


COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


@pytest.mark.parametrize("name", COMPARE)
def test_comparisons(name):
    compare = eval(f"lambda x, y: x {COMPARE[name]} y")
    text = "setp.{}.{} %p1, {{1}}, {{2}}; selp.u32 {{0}}, 1, 0, %p1;"
    for kind in ("s32", "u32", "s64", "u64", "s16"):
        check(text.format(name, kind), "u32", [kind, kind], compare)
    for kind in ("f32", "f64"):
        check(text.format(name, kind), "u32", [kind, kind], lambda x, y: compare(x, y) and x == x and y == y)
        check(text.format(f"{name}u", kind), "u32", [kind, kind], lambda x, y: compare(x, y) or x != x or y != y)


def test_comparisons_for_nan_of_unsigned_numbers_and_with_a_third():
    text = "setp.{} {}; selp.u32 {{0}}, 1, 0, %p1;"
    check(text.format("nan.f32", "%p1, {1}, {2}"), "u32", ["f32", "f32"], lambda x, y: x != x or y != y)
    check(text.format("num.f32", "%p1, {1}, {2}"), "u32", ["f32", "f32"], lambda x, y: x == x and y == y)
    check(text.format("lo.u32", "%p1, {1}, {2}"), "u32", ["u32", "u32"], lambda x, y: x < y)
    check(text.format("hs.u32", "%p1, {1}, {2}"), "u32", ["u32", "u32"], lambda x, y: x >= y)
    third = "setp.ne.u32 %p2, {2}, 0; setp.lt.and.u32 %p1, {1}, 5, %p2; selp.u32 {0}, 1, 0, %p1;"
    check(third, "u32", ["u32", "u32"], lambda x, y: x < 5 and y != 0)
    both = "setp.lt.u32 %p3|%p1, {1}, {2}; selp.u32 {0}, 1, 0, %p1;"
    check(both, "u32", ["u32", "u32"], lambda x, y: x >= y)
    negated = "setp.lt.u32 %p3, {1}, {2}; selp.u32 {0}, {1}, {2}, !%p3;"
    check(negated, "u32", ["u32", "u32"], max)


def test_predicates():
    for name, operation in {"and": "and", "or": "or", "xor": "!="}.items():
        combine = eval(f"lambda x, y: bool(x) {operation} bool(y)")
        text = "setp.ne.u32 %p1, {1}, 0; setp.ne.u32 %p2, {2}, 0;"
        text += f"{name}.pred %p3, %p1, %p2; selp.u32 {{0}}, 1, 0, %p3;"
        check(text, "u32", ["u32", "u32"], combine)
    text = "setp.ne.u32 %p1, {1}, 0; not.pred %p2, %p1; mov.pred %p3, %p2; selp.u32 {0}, 1, 0, %p3;"
    check(text, "u32", ["u32"], lambda x: x == 0)
    check("mov.u32 {0}, 7; setp.ne.u32 %p1, {1}, 0; @!%p1 mov.u32 {0}, 8;", "u32", ["u32"], lambda x: 7 if x else 8)


def test_registers_are_packed_and_unpacked():
    check("mov.b64 {{%r1,%r2}}, {1}; mov.b64 {0}, {{%r2,%r1}};", "b64", ["u64"], lambda x: x >> 32 | x % 2**32 << 32)
    check(
        "mov.b32 {{%rs1,%rs2}}, {1}; mov.b32 {0}, {{%rs2,%rs1}};", "b32", ["u32"], lambda x: x >> 16 | x % 2**16 << 16
    )
    check("{{ .reg .b32 %temp; mov.b64 {{%temp, {0}}}, {1}; }}", "u32", ["f64"], lambda x: bits(x, "f64") >> 32)
    check("mov.b32 {0}, {1};", "b32", ["f32"], lambda x: bits(x, "f32"))


@pytest.mark.parametrize("kind", ["s8", "u8", "s16", "u16"])
def test_narrow_numbers_are_extended_when_loaded(kind):
    check("cvt.s32.s16 {0}, {1};", "s32", [kind], lambda x: wrapped(x, "s16"))
