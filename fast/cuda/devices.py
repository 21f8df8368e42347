"""Which devices there are to compute on, and what is missing where there is no GPU among them."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
from typing import NamedTuple


class Device(NamedTuple):
    """A device to compute on.

    name: "cpu", or "cuda:0" for the first GPU. description: the model of a GPU.
    cores: those of the CPU that this process may use, or the multiprocessors of a GPU.
    memory: in bytes. capability: the compute capability of a GPU, such as (9, 0).
    """

    name: str
    description: str
    cores: int
    memory: int
    capability: tuple[int, int] | None = None


def devices() -> list[Device]:
    """The CPU, and each GPU that CUDA sees."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [Device("cpu", "all cores together", cores, _main_memory()), *([] if missing() else _gpus())]


def require_gpu() -> None:
    """Raise RuntimeError where there is no GPU to compute on: it says what is missing, and how to get it.

    Numba's simulator of a GPU, where NUMBA_ENABLE_CUDASIM=1 asks for it, needs nothing.
    """
    found = [] if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0" else missing()
    if found:
        raise RuntimeError("cuda: this machine lacks " + "; and ".join(found))


def missing() -> list[str]:
    """What this machine lacks to compute on a GPU, each with how to get it; nothing where all is there."""
    said = driver_problem()
    found = [said] if said else []
    said = _compiler_problem()
    if said:
        found.append(f"a compiler for GPUs ({said}): pip install 'twograd[cuda]'")
    if not found:
        said = _device_problem()
        if said:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            hint = "" if visible is None else f", and CUDA_VISIBLE_DEVICES={visible!r} hides all others"
            found.append(f"a GPU that the driver can use ({said}{hint}): `nvidia-smi` lists those that it sees")
    return found


def driver_problem() -> str:
    """What to do where there is no NVIDIA driver; nothing where there is one. It is asked without any other package."""
    library = _driver_library()
    if _loads(library):
        return ""
    return (
        f"an NVIDIA driver ({library} cannot be loaded): install the one for your GPU, from your system's packages "
        "or from nvidia.com/drivers; afterwards `nvidia-smi` lists the GPU"
    )


def _driver_library() -> str:
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _compiler_problem() -> str:
    """Why kernels cannot be compiled; nothing where they can. Numba's own target needs a toolkit, which brings NVVM."""
    if any(importlib.util.find_spec(name) for name in ("numba_cuda", "numba_cuda_mlir")):
        return ""
    try:
        importlib.import_module("numba.cuda.cudadrv.nvvm").NVVM()
    except Exception as error:  # Numba has an error of its own for each part that it does not find
        return f"numba-cuda is not installed, and Numba alone finds no CUDA toolkit: {type(error).__name__}"
    return ""


def _device_problem() -> str:
    """Why the driver finds no GPU; nothing where it finds one."""
    cuda = importlib.import_module("fast.cuda.package").cuda
    try:
        return "" if len(cuda.gpus) else "it sees none"
    except Exception as error:  # the driver's errors have types that differ between Numba's packages
        return str(error).strip() or type(error).__name__


def _gpus() -> list[Device]:
    cuda = importlib.import_module("fast.cuda.package").cuda
    found = []
    for number, gpu in enumerate(cuda.gpus):
        with gpu:
            memory = cuda.current_context().get_memory_info()[1]
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name
        found.append(Device(f"cuda:{number}", name, gpu.MULTIPROCESSOR_COUNT, memory, tuple(gpu.compute_capability)))
    return found


def _main_memory() -> int:
    """Bytes of memory of the machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
