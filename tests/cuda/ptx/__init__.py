"""Executes PTX, the assembly language that numba-cuda compiles kernels to, on the CPU with NumPy.

What runs is the text that would go to a GPU, and no GPU is needed. It is run with suspicion: `run` raises an error for
what a GPU would do silently, such as accesses outside of an array, races between threads or results that hang from
memory nobody has written; and it counts what costs time on a GPU.

    from numba import cuda
    ptx, _ = cuda.compile(kernel.py_func, signature, device=False, abi="numba", cc=(9, 0))
    profile = run(ptx, grid, block, arguments)

The modules, from the text to its execution:
`parse` reads it; `arguments`, `memory` and `machine` hold what a kernel works on; `operands`, `accesses`, `computing`,
`warps` and `copies` say what an instruction does, with the functions of `arithmetic`; `undefined` follows what nobody
has written; `execution` takes the threads through the instructions; `profile` counts.

Limits. Blocks run one after the other and threads in lock step, so what depends on another order is seen only where it
is a race. Blocks that wait for each other, by fences and flags, count as a race. Named barriers, clusters, textures,
float16 arithmetic and tensor cores beyond tf32 are not there. Nothing is said about time.
"""

from .arguments import Pointer
from .execution import run
from .faults import (
    DivergenceError,
    KernelError,
    MisalignedError,
    OutOfBoundsError,
    PtxError,
    RaceError,
    UninitialisedError,
)
from .profile import GlobalTraffic, Profile, SharedTraffic

__all__ = [
    "DivergenceError",
    "GlobalTraffic",
    "KernelError",
    "MisalignedError",
    "OutOfBoundsError",
    "Pointer",
    "Profile",
    "PtxError",
    "RaceError",
    "SharedTraffic",
    "UninitialisedError",
    "run",
]
