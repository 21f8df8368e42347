"""The instructions of compiled steps on a GPU are those of the CPU, and compute the same."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fast.cuda.instructions import INSTRUCTIONS
from fast.kernels import steps


def _instructions_of_the_cpu():
    """The functions that a row of a program can name, without those that only share out the work among cores."""
    words = ["memory", "integers", "row", "numbers"]
    functions = {name: getattr(value, "py_func", None) for name, value in vars(steps).items()}
    named = {name for name, one in functions.items() if one and list(inspect.signature(one).parameters) == words}
    return {name for name in named if not name.endswith("_parallel") and not name.startswith("of_")}


def test_there_is_a_function_for_every_instruction():
    assert INSTRUCTIONS.keys() == _instructions_of_the_cpu()


@pytest.mark.parametrize("script", ["simulate_instructions.py", "simulate_training.py"])
def test_a_simulated_gpu_computes_what_the_cpu_does(script):
    """In a process of its own, for Numba chooses between simulator and compiler when it is imported."""
    pytest.importorskip("numba_cuda", reason="takes a minute; part of `make test-cuda`, which installs numba-cuda")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, Path(__file__).with_name(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
