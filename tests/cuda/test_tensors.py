"""Tensors and training on a GPU, for which Numba's simulator stands; it needs neither a GPU nor a compiler for one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="takes minutes, and is part of `make test-cuda`, which installs numba-cuda")


def test_what_is_done_on_a_gpu_is_what_the_cpu_does():
    """In a process of its own, for Numba chooses between simulator and compiler when it is imported."""
    tests = Path(__file__).with_name("on_gpu.py")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
