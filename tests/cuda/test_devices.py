"""What `fast.devices()` finds, and what is said where there is no GPU."""

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import fast
from fast.cuda import devices

no_driver = pytest.mark.skipif(devices._loads(devices._driver_library()), reason="there is an NVIDIA driver")


def test_the_first_device_is_the_cpu():
    cpu = fast.devices()[0]
    assert (cpu.name, cpu.capability) == ("cpu", None)
    assert 1 <= cpu.cores <= os.cpu_count()
    assert cpu.memory > 2**28


@no_driver
def test_without_a_driver_there_is_no_gpu_and_it_is_said_why():
    assert [device.name for device in fast.devices()] == ["cpu"]
    with pytest.raises(RuntimeError, match=r"cuda: this machine lacks an NVIDIA driver \(libcuda.*nvidia-smi"):
        devices.require_gpu()


def test_without_a_compiler_it_is_said_how_to_install_one(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(devices, "_loads", lambda library: True)
    monkeypatch.setitem(sys.modules, "numba.cuda.cudadrv.nvvm", None)
    with pytest.raises(RuntimeError, match=r"lacks a compiler.*pip install 'twograd\[cuda\]'"):
        devices.require_gpu()


class _NoGpus:
    def __len__(self):
        raise OSError("CUDA_ERROR_NO_DEVICE")


def _pretend(monkeypatch, cuda):
    """A machine with a driver and a compiler, and these GPUs."""
    monkeypatch.setattr(devices, "_loads", lambda library: True)
    monkeypatch.setattr(devices, "_compiler_problem", lambda: "")
    monkeypatch.setitem(sys.modules, "fast.cuda.package", SimpleNamespace(cuda=cuda))


def test_a_driver_without_a_gpu_is_told_apart(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    _pretend(monkeypatch, SimpleNamespace(gpus=_NoGpus()))
    with pytest.raises(RuntimeError, match="CUDA_ERROR_NO_DEVICE, and CUDA_VISIBLE_DEVICES='7' hides"):
        devices.require_gpu()
    _pretend(monkeypatch, SimpleNamespace(gpus=[]))
    with pytest.raises(RuntimeError, match="it sees none"):
        devices.require_gpu()


class _Gpu(SimpleNamespace):
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def test_each_gpu_is_listed(monkeypatch):
    gpu = _Gpu(name=b"NVIDIA H200", MULTIPROCESSOR_COUNT=132, compute_capability=(9, 0))
    context = SimpleNamespace(get_memory_info=lambda: (1, 2**37))
    _pretend(monkeypatch, SimpleNamespace(gpus=[gpu], current_context=lambda: context))
    assert fast.devices()[1:] == [fast.Device("cuda:0", "NVIDIA H200", 132, 2**37, (9, 0))]
    devices.require_gpu()


def test_fast_does_not_import_a_compiler_for_gpus():
    """It takes half a second, and whoever has no GPU has no use for it."""
    script = "import sys, fast; assert not [m for m in sys.modules if 'numba.cuda' in m or 'numba_cuda.' in m]"
    subprocess.run([sys.executable, "-c", script], check=True)
