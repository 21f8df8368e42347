"""The engine on NVIDIA's graphics processors: kernels, and what compiles and launches them.

Nothing here is imported with `fast`: whoever has no GPU need not wait for a compiler that they cannot use.
`package` chooses the compiler, `devices` tells what this machine has, `registry` lists the kernels, `instructions` says
which of them compute an operation, `programs` and `training` run compiled steps, and `simulator` lets kernels run
without a GPU, as Python.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"fast.cuda has no attribute {name!r}; fast.devices() tells what there is to compute on, and x.to('cuda') and "
        "model.to('cuda') move there"
    )
