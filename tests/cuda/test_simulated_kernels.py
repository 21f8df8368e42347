"""Every kernel in Numba's CUDA simulator, which needs neither a GPU nor a compiler for one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="takes minutes, and is part of `make test-cuda`, which installs numba-cuda")


def test_kernels_do_as_python_what_the_cpu_does():
    """In a process of its own, for Numba chooses between simulator and compiler when it is imported."""
    script = Path(__file__).with_name("simulate.py")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
