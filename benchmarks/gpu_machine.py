"""What the report says of the machine: the GPU, its driver, and the versions of what was used on it."""

from __future__ import annotations

import contextlib
import datetime
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from compare import describe_machine

from fast.cuda import devices, package

#: Packages that kernels are compiled with, and peers.
PACKAGES = (
    "numba-cuda",
    "numba-cuda-mlir",
    "nvidia-nvvm",
    "cuda-core",
    "cuda-bindings",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A single row."""
    host = describe_machine()
    versions = {**host["packages"], **_versions()}
    yield {
        "gpu": "simulated" if package.SIMULATED else devices.devices()[1].description,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        **({} if package.SIMULATED else _gpu()),
        "compiler of kernels": package.NAME,
        "processor": f"{host['cpu']}, {host['cores']} cores, {host['system']}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    }


def _gpu() -> dict[str, Any]:
    gpu = devices.devices()[1]
    return {
        "multiprocessors": gpu.cores,
        "memory": f"{gpu.memory / 2**30:.0f} GiB",
        "compute capability": "{}.{}".format(*gpu.capability or ()),
        "driver": _driver(),
    }


def _driver() -> str:
    """Its version, where NVIDIA's program that tells it is there."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown, for there is no nvidia-smi"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.partition("\n")[0].strip() or f"unknown: {done.stderr.strip()}"


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
