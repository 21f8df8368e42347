"""micro: backpropagation that can be watched. Plain Python, one number at a time.

Read it in this order: `ops` (what each operation computes and how steep it is), `value` (a number that remembers its
parents, and backpropagation), `vocabulary` (the operators and methods of numbers and tensors), `array` (lists of such
numbers), then the folder `functional`, which says in plain loops what layers, losses and optimizers are: `reductions`,
`products`, `losses` and `updates` make a first network, the others as you need them. `creation` and `randomness` make
tensors from nothing. `checks` holds what is refused, and in which words; `hints` what PyTorch's names are called here.
`threads` matters to `fast` alone.
"""

import sys
from typing import TYPE_CHECKING

from micro import functional, hints
from micro.array import Array, as_tensor, tensor
from micro.creation import arange, eye, full, linspace, ones, rand, randint, randn, zeros
from micro.ops import OPS, Op
from micro.threads import one_thread
from micro.value import Constant, Value
from micro.vocabulary import bool_ as bool
from micro.vocabulary import (
    cat,
    float32,
    float64,
    full_like,
    grad_mode,
    int64,
    no_grad,
    one_hot,
    ones_like,
    rand_like,
    randn_like,
    stack,
    where,
    zeros_like,
)

__all__ = [
    "OPS",
    "Array",
    "Constant",
    "Op",
    "Value",
    "arange",
    "as_tensor",
    "bool",
    "cat",
    "default_dtype",
    "eye",
    "float32",
    "float64",
    "full",
    "full_like",
    "functional",
    "grad_mode",
    "int64",
    "linspace",
    "no_grad",
    "one_hot",
    "one_thread",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "stack",
    "tensor",
    "where",
    "zeros",
    "zeros_like",
]

#: The type of the numbers of a model, unless another is asked for.
default_dtype = float64

# Layers and losses are handed tensors and find the engine's functions through them. Set here, once everything exists.
Value.engine = Array.engine = sys.modules[__name__]

if not TYPE_CHECKING:  # which is to find names that do not exist
    __getattr__ = hints.of_engine(__name__, Array)
