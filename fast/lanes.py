"""Numbers beside each other: rows of `LANES` numbers, on which a processor works with a few instructions.

Kernels whose rows are lanes (samples of a batch, or whole trainings) compute every operation with a loop over a row.
Most of these loops the compiler leaves as they are, for it cannot know that a row which is written is not also one that
is read. `multiply_add` tells it: all is read before anything is written. It is what networks do most.
"""

# mypy: allow-untyped-defs

from llvmlite import ir
from numba import types
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
