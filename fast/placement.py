"""On which device tensors lie, and what is done for those on a GPU: asked here, and nowhere else.

A tensor lies where its numbers are: in a NumPy array on the CPU, or in a `fast.cuda.memory.DeviceArray`. Nothing moves
by itself. What computes on a GPU is in `fast.cuda`, and is imported with the first tensor that moves there.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from fast.cuda.devices import require_gpu

#: Whether any tensor of this process has ever been on a GPU: before that nobody need ask where one is.
used = False


def is_device_array(array: Any) -> bool:
    """Whether it is an array on a GPU."""
    return used and isinstance(array, memory().DeviceArray)


def device_of(array: Any) -> str:
    """Where an array lies: "cpu" or "cuda"."""
    return "cpu" if isinstance(array, np.ndarray) else "cuda"


def moved(array: Any, device: str) -> Any:
    """The same numbers on a device; the array itself, if it is there. RuntimeError where there is no GPU."""
    if device_of(array) == device:
        return array
    if device == "cpu":
        return array.host()
    require()
    return memory().upload(array)


def require() -> None:
    """Tensors may lie on the GPU from now on. RuntimeError where there is none."""
    global used
    if not used:
        require_gpu()
        used = True


def host(array: Any) -> np.ndarray:
    """The numbers of an array in a NumPy array, which is a copy if they lie on a GPU."""
    return array if isinstance(array, np.ndarray) else array.host()


def on_gpu(name: str, *tensors: Any) -> bool:
    """Whether these tensors lie on the GPU, of which some may be None; ValueError where not all lie in one place.

    Asked only where one is `used`, for the CPU must not wait for the question.
    """
    devices = [device_of(tensor.data) for tensor in tensors if tensor is not None]
    if len({*devices}) > 1:
        there = [tensor for tensor in tensors if tensor is not None]
        said = ", ".join(f"{device} {tensor.shape}" for device, tensor in zip(devices, there, strict=True))
        raise ValueError(
            f"{name}: the tensors lie on different devices: {said}; move one with .to('cuda') or .to('cpu')"
        )
    return "cuda" in devices


def shape_only(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array that tells shape and type, and has no memory for its numbers."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def eager() -> Any:
    """What carries out operations on the GPU, `fast.cuda.eager`."""
    return import_module("fast.cuda.eager")


def memory() -> Any:
    """The memory of the GPU, `fast.cuda.memory`."""
    return import_module("fast.cuda.memory")
