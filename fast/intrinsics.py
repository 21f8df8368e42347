"""What kernels cannot say in Python, written as instructions for the compiler: the words of a tape's kernels.

`load`, `store`, `add`, `choose`: rows of lanes (samples of a batch, or whole trainings), computed with as if a row were
one number. A loop over two rows the compiler would leave half as it is, for it cannot know that the row which is
written is not also one that is read. Here it is told: all is read before anything is written, and what is read stays in
the processor's vector registers until it is stored.

`tile`: the heart of a product of matrices, whose sums stay in the vector registers until they are complete.

`pointer`: for arrays that are part of a memory, without the time that a slice takes.

`call`: a compiled function by its address. What a kernel calls by name Numba compiles into that kernel, once more for
every kernel that does. For a loop of a few lines that is right; the interpreters of a tape have a branch for each
operation and take seconds, so they are compiled once, and kernels get their addresses.
"""

# mypy: allow-untyped-defs

import operator

from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, models, overload, register_model
from numba.np.linalg import ensure_blas

#: Enough for two or four instructions at once, and few enough for the rows of a small network to stay in the cache.
LANES = 16
#: The bytes of a row of a tile, a line of the cache; and how many rows there are: as many sums as the registers hold.
LINE = 64
ROWS = 12 if binding.get_host_cpu_features().get("avx512f") else 6

# ----------------------------------------------------------------------------------------------------------------------
# Rows of lanes.


class Lanes(types.Type):
    """LANES numbers side by side, or LANES answers, yes or no. They follow the rules of one number: each result is
    rounded, and a number meets one in every lane.
    """

    def __init__(self, dtype):
        super().__init__(name=f"Lanes({dtype})")
        self.dtype = dtype


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """How the compiler keeps them."""

    def __init__(self, manager, kind):
        number = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(number, LANES))


def _place(context, builder, kind, array, row):
    """Where a row of an array (rows, LANES) begins, and by how many bytes it is aligned at least."""
    first = builder.mul(row, context.get_constant(types.uintp, LANES))
    start = builder.gep(context.make_array(kind)(context, builder, array).data, [first])
    vector = context.get_value_type(Lanes(kind.dtype))
    return builder.bitcast(start, vector.as_pointer()), kind.dtype.bitwidth // 8


@intrinsic
def load(typingctx, array, row):
    """The lanes of a row of an array (rows, LANES)."""

    def generate(context, builder, signature, arguments):
        place, aligned = _place(context, builder, signature.args[0], *arguments)
        number = builder.load(place)
        number.align = aligned
        return number

    return Lanes(array.dtype)(array, types.uintp), generate


@intrinsic
def store(typingctx, array, row, lanes):
    """Write lanes, or one number for all of them, to a row of an array (rows, LANES)."""

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        place, aligned = _place(context, builder, kind, *arguments[:2])
        builder.store(_spread(context, builder, arguments[2], signature.args[2], kind.dtype), place).align = aligned
        return context.get_dummy_value()

    return types.void(array, types.uintp, lanes), generate


@njit(cache=True, error_model="numpy")
def add(array, row, lanes):
    """Add lanes to a row of an array (rows, LANES)."""
    store(array, row, load(array, row) + lanes)


def _spread(context, builder, value, kind, dtype):
    """Lanes as they are; a number in every lane."""
    if isinstance(kind, Lanes):
        return value
    return _everywhere(builder, context.cast(builder, value, kind, dtype), context.get_value_type(Lanes(dtype)))


def _everywhere(builder, number, vector):
    """A vector of this type that holds the number in every place."""
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, empty, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    )


def _dtype(*kinds):
    """The type of the numbers in the first of these kinds that are lanes; None if none are."""
    return next((kind.dtype for kind in kinds if isinstance(kind, Lanes)), None)


@intrinsic
def choose(typingctx, condition, a, b):
    """In each lane a where the condition holds, else b."""
    dtype = _dtype(a, b) or a

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        a, b = (_spread(context, builder, arguments[i], kinds[i], dtype) for i in (1, 2))
        return builder.select(arguments[0], a, b)

    return Lanes(dtype)(condition, a, b), generate


def _define(operation, instruction, answers=False):
    """Give lanes one of Python's operators.

    instruction: writes it, given a builder and two vectors; answers: whether its results are yes or no.
    """

    @intrinsic
    def compute(typingctx, a, b):
        dtype = _dtype(a, b)

        def generate(context, builder, signature, arguments):
            kinds = zip(arguments, signature.args, strict=True)
            return instruction(builder, *(_spread(context, builder, value, kind, dtype) for value, kind in kinds))

        return Lanes(types.boolean if answers else dtype)(a, b), generate

    @overload(operation)
    def typed(a, b):
        if _dtype(a, b):
            return lambda a, b: compute(a, b)
        return None


_define(operator.add, ir.IRBuilder.fadd)
_define(operator.sub, ir.IRBuilder.fsub)
_define(operator.mul, ir.IRBuilder.fmul)
_define(operator.truediv, ir.IRBuilder.fdiv)
_define(operator.and_, ir.IRBuilder.and_)
_define(operator.or_, ir.IRBuilder.or_)
for _operation, _sign in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _define(_operation, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b), answers=True)
_define(operator.eq, lambda builder, a, b: builder.fcmp_ordered("==", a, b), answers=True)
_define(operator.ne, lambda builder, a, b: builder.fcmp_unordered("!=", a, b), answers=True)


@intrinsic
def _negative(typingctx, a):
    return a(a), lambda context, builder, signature, arguments: builder.fneg(arguments[0])


@overload(operator.neg)
def _neg(a):
    if _dtype(a):
        return lambda a: _negative(a)
    return None


# ----------------------------------------------------------------------------------------------------------------------
# Tiles of products.


@intrinsic
def tile(typingctx, a, row, panel, y, step, count, goes_on):
    """y[r * step + j] = sum over k of a[row + r, k] * panel[k, j], for ROWS rows r and a line of numbers j.

    a (M, K); panel: a pointer to (K, LINE bytes); y: a pointer to `count` rows. The products are added one after the
    other, k = 0 first; goes_on: to what y holds already. Where a or y has fewer than ROWS rows, its last one takes the
    place of those that are missing.
    """
    width, vector = a.dtype.bitwidth // 8, _line(a.dtype)

    def generate(context, builder, signature, arguments):
        matrix = context.make_array(signature.args[0])(context, builder, arguments[0])
        (rows, depth), strides = (cgutils.unpack_tuple(builder, pair) for pair in (matrix.shape, matrix.strides))
        start, number = builder.bitcast(matrix.data, cgutils.voidptr_t), vector.element.as_pointer()
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{vector.count}f{width * 8}"
        )
        left = [builder.gep(start, [builder.mul(place, strides[0])]) for place in _places(builder, arguments[1], rows)]
        places = _places(builder, ir.Constant(rows.type, 0), arguments[5])
        results = [builder.gep(arguments[3], [builder.mul(place, arguments[4])]) for place in places]
        results = [builder.bitcast(result, vector.as_pointer()) for result in results]
        sums = [cgutils.alloca_once(builder, vector) for _ in range(ROWS)]
        with builder.if_else(cgutils.is_true(builder, arguments[6])) as (further, first):
            with further:
                for result, place in zip(results, sums, strict=True):
                    builder.store(builder.load(result, align=width), place)
            with first:
                for place in sums:
                    builder.store(ir.Constant(vector, [0.0] * vector.count), place)
        right = builder.bitcast(arguments[2], vector.as_pointer())
        with cgutils.for_range(builder, depth) as loop:
            line = builder.load(builder.gep(right, [loop.index]), align=width)
            for begin, place in zip(left, sums, strict=True):
                there = builder.gep(begin, [builder.mul(loop.index, strides[1])])
                factor = _everywhere(builder, builder.load(builder.bitcast(there, number)), vector)
                builder.store(builder.call(multiply_add, [factor, line, builder.load(place)]), place)
        for result, place in zip(results, sums, strict=True):
            builder.store(builder.load(place), result, align=width)
        return context.get_dummy_value()

    return types.void(a, types.intp, panel, y, types.intp, types.intp, types.intp), generate


def _places(builder, first, count):
    """The numbers of ROWS rows from the first one on, of which there are `count`; the last in the place of others."""
    last = builder.sub(count, ir.Constant(count.type, 1))
    numbers = [builder.add(first, ir.Constant(count.type, r)) for r in range(ROWS)]
    return [builder.select(builder.icmp_signed("<", number, last), number, last) for number in numbers]


@intrinsic
def move(typingctx, source, target):
    """Copy a line of numbers from one pointer to another."""
    size, vector = source.dtype.bitwidth // 8, _line(source.dtype)

    def generate(context, builder, signature, arguments):
        source, target = (builder.bitcast(place, vector.as_pointer()) for place in arguments)
        builder.store(builder.load(source, align=size), target, align=size)
        return context.get_dummy_value()

    return types.void(source, target), generate


@intrinsic
def turn(typingctx, source, step, target, other):
    """Transpose a block: as many lines of numbers as a line has numbers, `step` apart, become lines `other` apart.

    A number's row and column change places digit by digit, as binary numbers: the first time, of two rows beside each
    other, each takes every second number of the other one.
    """
    size, vector = source.dtype.bitwidth // 8, _line(source.dtype)
    lines = range(vector.count)

    def generate(context, builder, signature, arguments):
        source, step, target, other = arguments

        def place(start, step, line):
            there = builder.gep(start, [builder.mul(step, ir.Constant(step.type, line))])
            return builder.bitcast(there, vector.as_pointer())

        rows = [builder.load(place(source, step, line), align=size) for line in lines]
        for digit in (1 << power for power in range(vector.count.bit_length() - 1)):
            kept = [column ^ (digit if column & digit else 0) for column in lines]
            first = [vector.count * bool(column & digit) + near for column, near in zip(lines, kept, strict=True)]
            second = [number + digit for number in first]
            for row in (line for line in lines if not line & digit):
                pair = rows[row], rows[row | digit]
                rows[row], rows[row | digit] = (
                    builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), chosen))
                    for chosen in (first, second)
                )
        for line, row in zip(lines, rows, strict=True):
            builder.store(row, place(target, other, line), align=size)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), generate


def _line(dtype):
    """A line of the cache as a vector of numbers."""
    number = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(number, LINE * 8 // dtype.bitwidth)


@intrinsic
def stay_apart(typingctx):
    """Keep the function that says this out of those that call it: compiled once for each of them, not for each call."""

    def generate(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def blas_product(typingctx, turn_a, turn_b, rows, columns, depth, a, step_a, b, step_b, y, step_y):
    """y = a @ b by the BLAS that SciPy brings, as `numpy.dot` calls it within kernels, for matrices within matrices.

    a (rows, depth), b (depth, columns), y (rows, columns): pointers. The rows of y are contiguous and begin step_y
    numbers apart; so are the rows of a, or its columns where turn_a is not 0; and those of b.
    """
    ensure_blas()
    number = a.dtype

    def generate(context, builder, signature, arguments):
        turn_a, turn_b, rows, columns, depth, a, step_a, b, step_b, y, step_y = arguments
        letter = ir.IntType(8)
        one, zero = (
            builder.bitcast(cgutils.alloca_once_value(builder, context.get_constant(number, factor)), cgutils.voidptr_t)
            for factor in (1.0, 0.0)
        )
        a, b, y = (builder.bitcast(place, cgutils.voidptr_t) for place in (a, b, y))
        turned = [
            builder.select(cgutils.is_true(builder, turn), ir.Constant(letter, ord("t")), ir.Constant(letter, ord("n")))
            for turn in (turn_b, turn_a)
        ]
        kind = ir.Constant(letter, ord("s" if number.bitwidth == 32 else "d"))
        # BLAS counts along columns, in whose eyes all are transposed: y^T = b^T @ a^T.
        given = kind, *turned, columns, rows, depth, one, b, step_b, a, step_a, zero, y, step_y
        function = ir.FunctionType(ir.IntType(32), [value.type for value in given])
        builder.call(cgutils.get_or_insert_function(builder.module, function, "numba_xxgemm"), given)
        return context.get_dummy_value()

    numbers = (types.intp,) * 5
    return types.void(*numbers, a, types.intp, b, types.intp, y, types.intp), generate


@intrinsic
def loose(typingctx, array):
    """The array, of which the compiler is not told in which order its numbers lie: one function for all orders."""
    kind = types.Array(array.dtype, array.ndim, "A")

    def generate(context, builder, signature, arguments):
        return impl_ret_borrowed(context, builder, kind, arguments[0])

    return kind(array), generate


# ----------------------------------------------------------------------------------------------------------------------
# Addresses.


@intrinsic
def pointer(typingctx, array, place):
    """Where the number lies that is so many numbers behind the first one of an array, for `numba.carray`."""

    def generate(context, builder, signature, arguments):
        return builder.gep(context.make_array(signature.args[0])(context, builder, arguments[0]).data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic
def call(typingctx, address, arguments):
    """Call the function of Numba's at an address (int64) that takes these arguments, a tuple, and returns nothing.

    Nobody checks that the types are those it was compiled for.
    """

    def generate(context, builder, signature, values):
        given = cgutils.unpack_tuple(builder, values[1], len(signature.args[1]))
        function = ir.FunctionType(context.get_value_type(types.none), [value.type for value in given])
        builder.call(builder.inttoptr(values[0], function.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(address, arguments), generate
