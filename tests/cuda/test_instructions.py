"""The instructions of compiled steps on a GPU are those of the CPU, and compute the same."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fast.cuda.instructions import INSTRUCTIONS
from fast.kernels import steps


def instructions_of_the_cpu():
    """The functions that the rows of a program can name; a GPU needs no others for several cores."""
    words = ["memory", "integers", "row", "numbers"]
    found = {name: getattr(function, "py_func", None) for name, function in vars(steps).items()}
    named = [
        name for name, function in found.items() if function and list(inspect.signature(function).parameters) == words
    ]
    return {name for name in named if not name.endswith("_parallel") and not name.startswith("of_")}


def test_there_is_a_function_for_every_instruction():
    assert INSTRUCTIONS.keys() == instructions_of_the_cpu()


def test_instructions_compute_on_a_simulated_gpu_what_they_compute_on_the_cpu():
    """In a process of its own, for Numba chooses between simulator and compiler when it is imported."""
    pytest.importorskip(
        "numba_cuda", reason="takes a minute, and is part of `make test-cuda`, which installs numba-cuda"
    )
    script = Path(__file__).with_name("simulate_instructions.py")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
