"""fast: the mathematics of `micro` as an engine for whole arrays, compiled by Numba.

`Tensor` is the array that remembers how it was computed, `functional` the operations with gradients derived by hand,
`elementwise` those that come from `micro`'s table. The loops themselves are in `kernels`.
"""

import sys
from typing import TYPE_CHECKING

import micro as scalars
from fast import functional, memory
from fast.creation import arange, eye, from_dlpack, full, linspace, ones, rand, randint, randn, zeros
from fast.cuda.devices import Device, devices
from fast.machine import Peaks, measure_peaks
from fast.runs import train_runs
from fast.steps import Step, compile_step
from fast.tape import Tape, TapeRun, compile
from fast.tensors import Rule, Tensor, as_tensor, tensor
from fast.threads import one_thread
from micro import (
    bool,
    cat,
    float32,
    float64,
    full_like,
    grad_mode,
    hints,
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
    "Device",
    "Peaks",
    "Rule",
    "Step",
    "Tape",
    "TapeRun",
    "Tensor",
    "arange",
    "as_tensor",
    "bool",
    "cat",
    "compile",
    "compile_step",
    "default_dtype",
    "devices",
    "eye",
    "float32",
    "float64",
    "from_dlpack",
    "full",
    "full_like",
    "functional",
    "grad_mode",
    "int64",
    "linspace",
    "measure_peaks",
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
    "scalars",
    "stack",
    "tensor",
    "train_runs",
    "where",
    "zeros",
    "zeros_like",
]

#: The type of the numbers of a model, unless another is asked for.
default_dtype = float32

# Layers and losses are handed tensors and find the engine's functions through them. Set here, once everything exists.
Tensor.engine = sys.modules[__name__]

memory.keep_freed_memory()

if not TYPE_CHECKING:  # which is to find names that do not exist
    __getattr__ = hints.of_engine(__name__, Tensor)
