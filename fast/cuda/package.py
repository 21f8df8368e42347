"""Numba for GPUs comes in three packages, and this module chooses one. Kernels import their words from here.

numba-cuda is NVIDIA's, and puts itself in the place of `numba.cuda` when it is installed. Its successor,
numba-cuda-mlir, has another name, no simulator, and no instructions written by hand (see `intrinsics`). Numba's own
target is the oldest one; it needs a CUDA toolkit on the machine, and has the simulator, which needs nothing at all.
Kernels keep to what all three understand.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

if not hasattr(np, "row_stack"):  # NumPy has dropped the second name of vstack, which numba-cuda 0.30 looks up
    vars(np)["row_stack"] = np.vstack

#: The modules by which the packages are known, the first one that is installed being taken.
_MODULES = {"numba-cuda": "numba_cuda", "numba-cuda-mlir": "numba_cuda_mlir"}
#: The package that is used: "numba-cuda", "numba-cuda-mlir", or "numba" for its own target.
NAME = next((name for name, module in _MODULES.items() if importlib.util.find_spec(module)), "numba")
#: Whether kernels run in Numba's simulator, as Python. (The environment variable NUMBA_ENABLE_CUDASIM=1 asks for it.)
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"

# Kernels of small tensors are launched on few threads. Numba would warn of that, those who train a small network.
for _module in ("numba.core.config", "numba.cuda.core.config"):
    with contextlib.suppress(ImportError):
        vars(importlib.import_module(_module))["CUDA_LOW_OCCUPANCY_WARNINGS"] = 0


def _choose() -> tuple[Any, Any, Any, Any]:
    """The package's modules `cuda` and `types`; what makes instructions, if there is such a thing; and `device`."""
    if NAME == "numba-cuda-mlir":
        cuda = importlib.import_module("numba_cuda_mlir.cuda")
        return cuda, importlib.import_module("numba_cuda_mlir.types"), None, cuda.jit(device=True)
    cuda = importlib.import_module("numba.cuda")
    if SIMULATED:
        importlib.import_module("fast.cuda.simulator").bridge()
        return cuda, importlib.import_module("numba").types, None, cuda.jit(device=True)
    extending = importlib.import_module("numba.cuda.extending")
    if NAME == "numba-cuda":
        return cuda, importlib.import_module("numba.cuda.types"), extending.intrinsic, extending.register_jitable
    numba_extending = importlib.import_module("numba.extending")
    return cuda, importlib.import_module("numba").types, extending.intrinsic, numba_extending.register_jitable


#: `cuda` and `types` are the package's; `device` marks a function that kernels call; `intrinsic` makes one of
#: instructions, and is None where only Python is understood.
cuda, types, intrinsic, device = _choose()


def recording_stream() -> Any:
    """A new stream of the GPU whose launches can be recorded as a graph; 0, CUDA's default stream, if there is none.

    The two wait for each other, so that what is launched on one may read what the other has written.
    """
    if NAME != "numba-cuda" or SIMULATED:
        return 0
    try:
        core = importlib.import_module("cuda.core")
    except ImportError:  # an older numba-cuda comes without
        return 0
    gpu = core.Device()
    gpu.set_current()
    return gpu.create_stream(options=core.StreamOptions(nonblocking=False))


def recorded(stream: Any, start: Callable[[Any], None]) -> Any:
    """What `start` launches on the stream that it is given, as a graph, of which `launch(stream)` launches all.

    stream: of `recording_stream`.
    """
    builder = stream.create_graph_builder()
    builder.begin_building()
    start(builder)
    return builder.end_building().complete()
