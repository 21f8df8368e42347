"""What kernels cannot say in Python, written as instructions for the compiler: two words of a tape's kernels.

`multiply_add`: rows of lanes (samples of a batch, or whole trainings) multiplied and added. A loop over two such rows
the compiler would leave as it is, for it cannot know that the row which is written is not also one that is read. Here
it is told: all is read before anything is written. It is what networks do most.

`call`: a compiled function by its address. What a kernel calls by name Numba compiles into that kernel, once more for
every kernel that does. For a loop of a few lines that is right; the interpreters of a tape have a branch for each
operation and take seconds, so they are compiled once, and kernels get their addresses.
"""

# mypy: allow-untyped-defs

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Enough for two or four instructions at once, and few enough for the rows of a small network to stay in the cache.
LANES = 16


@intrinsic
def multiply_add(typingctx, y, i, a, j, b, k):
    """y[i] += a[j] * b[k], for rows of arrays (rows, LANES) of one type; rounded twice, as everywhere."""

    def generate(context, builder, signature, arguments):
        def row(place):
            """Where a row begins, as the place of a vector of LANES numbers."""
            kind, index = signature.args[place], signature.args[place + 1]
            array = context.make_array(kind)(context, builder, arguments[place])
            first = context.cast(builder, arguments[place + 1], index, types.uintp)
            first = builder.mul(first, context.get_constant(types.uintp, LANES))
            vector = ir.VectorType(context.get_value_type(kind.dtype), LANES)
            return builder.bitcast(builder.gep(array.data, [first]), vector.as_pointer())

        def load(place):
            number = builder.load(place)
            number.align = aligned
            return number

        aligned = signature.args[0].dtype.bitwidth // 8
        target, left, right = row(0), row(2), row(4)
        result = builder.fadd(load(target), builder.fmul(load(left), load(right)))
        builder.store(result, target).align = aligned
        return context.get_dummy_value()

    return types.void(y, i, a, j, b, k), generate


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
