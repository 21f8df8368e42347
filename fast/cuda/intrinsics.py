"""What kernels cannot say in Python, as instructions for the compiler; each stands below the Python that it means.

    load(array, i), store(array, i, x)            element i in reading order, whatever the shape
    load4(array, i), store4(array, i, a, b, c, d) elements i to i + 3 at once, i a multiple of 4
    fence()                                       what was read before is read again after it

A subscript in Python may be negative, which compiled code has to ask about; `load` and `store` do not ask. Four
numbers of float32 side by side are one access of 16 bytes, the widest there is: a quarter of the instructions, and the
memory is kept busier by each. Both take arrays that begin at a multiple of 16 bytes, as all memory does that is
reserved on a GPU.

The simulator, and compilers that have other instructions, are given the Python.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from fast.cuda.package import device, intrinsic, types

if intrinsic is None:

    @device
    def load(array, i):
        return array[i] if array.ndim == 1 else array[np.unravel_index(int(i), array.shape)]

    @device
    def store(array, i, x):
        array[i if array.ndim == 1 else np.unravel_index(int(i), array.shape)] = x

    @device
    def load4(array, i):
        return load(array, i), load(array, i + 1), load(array, i + 2), load(array, i + 3)

    @device
    def store4(array, i, a, b, c, d):
        store(array, i, a)
        store(array, i + 1, b)
        store(array, i + 2, c)
        store(array, i + 3, d)

    @device
    def fence():
        pass

else:

    def _place(context, builder, kind, array, i):
        """The address of element i."""
        return builder.gep(context.make_array(kind)(context, builder, array).data, [i], inbounds=True)

    def _four(context, builder, kind, array, i):
        """The address of element i, as one of four numbers."""
        vector = ir.VectorType(context.get_value_type(kind.dtype), 4)
        return builder.bitcast(_place(context, builder, kind, array, i), vector.as_pointer())

    @intrinsic
    def load(typingctx, array, i):
        def generate(context, builder, signature, arguments):
            return builder.load(_place(context, builder, array, *arguments), align=array.dtype.bitwidth // 8)

        return array.dtype(array, types.int64), generate

    @intrinsic
    def store(typingctx, array, i, x):
        def generate(context, builder, signature, arguments):
            place = _place(context, builder, array, *arguments[:2])
            builder.store(arguments[2], place, align=array.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(array, types.int64, array.dtype), generate

    @intrinsic
    def load4(typingctx, array, i):
        def generate(context, builder, signature, arguments):
            found = builder.load(_four(context, builder, array, *arguments), align=16)
            numbers = [builder.extract_element(found, ir.Constant(ir.IntType(32), k)) for k in range(4)]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.UniTuple(array.dtype, 4)(array, types.int64), generate

    @intrinsic
    def store4(typingctx, array, i, a, b, c, d):
        def generate(context, builder, signature, arguments):
            vector = ir.Constant(ir.VectorType(context.get_value_type(array.dtype), 4), ir.Undefined)
            for k in range(4):
                vector = builder.insert_element(vector, arguments[2 + k], ir.Constant(ir.IntType(32), k))
            builder.store(vector, _four(context, builder, array, *arguments[:2]), align=16)
            return context.get_dummy_value()

        return types.void(array, types.int64, *[array.dtype] * 4), generate

    @intrinsic
    def fence(typingctx):
        def generate(context, builder, signature, arguments):
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(ir.InlineAsm(nothing, "", "~{memory}", side_effect=True), [])
            return context.get_dummy_value()

        return types.void(), generate
