"""fast: the mathematics of `micro` as an engine for whole arrays, compiled by Numba.

`Tensor` is the array that remembers how it was computed, `functional` the operations with gradients derived by hand,
`elementwise` those that come from `micro`'s table. The loops themselves are in `kernels`.
"""

import sys

from fast import functional
from fast.tensors import Rule, Tensor, as_tensor, tensor
from micro import float32, float64, int64, no_grad

__all__ = [
    "Rule",
    "Tensor",
    "as_tensor",
    "default_dtype",
    "float32",
    "float64",
    "functional",
    "int64",
    "no_grad",
    "tensor",
]

#: The type of the numbers of a model, unless another is asked for.
default_dtype = float32

# Layers and losses are handed tensors and find the engine's functions through them. Set here, once everything exists.
Tensor.engine = sys.modules[__name__]
