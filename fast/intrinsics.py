"""What kernels cannot say in Python, written as instructions for the compiler: the words of a tape's kernels.

`load`, `store`, `add`, `choose`: rows of lanes (samples of a batch, or whole trainings), computed with as if a row were
one number. A loop over two rows the compiler would leave half as it is, for it cannot know that the row which is
written is not also one that is read. Here it is told: all is read before anything is written, and what is read stays in
the processor's vector registers until it is stored.

`pointer`: for arrays that are part of a memory, without the time that a slice takes.

`call`: a compiled function by its address. What a kernel calls by name Numba compiles into that kernel, once more for
every kernel that does. For a loop of a few lines that is right; the interpreters of a tape have a branch for each
operation and take seconds, so they are compiled once, and kernels get their addresses.
"""

# mypy: allow-untyped-defs

import operator

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

#: Enough for two or four instructions at once, and few enough for the rows of a small network to stay in the cache.
LANES = 16

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
    number = context.cast(builder, value, kind, dtype)
    empty = ir.Constant(context.get_value_type(Lanes(dtype)), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, empty, everywhere)


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
# Addresses.


@intrinsic
def pointer(typingctx, array, place):
    """Where an element of a one-dimensional array lies, for `numba.carray`."""

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
