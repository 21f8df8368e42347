"""The instructions of compiled steps on a GPU are those of the CPU, and compute the same."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fast
from fast.cuda import package, registry
from fast.cuda.instructions import INSTRUCTIONS
from fast.cuda.programs import GpuRecorder, Program
from fast.kernels import steps
from fast.tensors import taken_back


def _instructions_of_the_cpu():
    """The functions that a row of a program can name, without chains and what only shares out work among cores."""
    words = ["memory", "integers", "row", "numbers"]
    functions = {name: getattr(value, "py_func", None) for name, value in vars(steps).items()}
    named = {name for name, one in functions.items() if one and list(inspect.signature(one).parameters) == words}
    return {name for name in named if not name.endswith("_parallel") and name != "chain"}


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


class _Stream:
    """A stream that records, or what it records with; `said` tells what happens to it."""

    def __init__(self, said, name="stream"):
        self.said, self.name = said, name

    def create_graph_builder(self):
        return _Stream(self.said, "builder")

    def begin_building(self):
        self.said.append("begin")

    def end_building(self):
        return self

    def complete(self):
        self.said.append("end")
        return self

    def launch(self, stream):
        self.said.append(f"graph on {stream.name}")


class _Kernel(SimpleNamespace):
    def __getitem__(self, configuration):
        return lambda *arguments: self.said.append(f"{self.name} on {configuration[2].name}")


def test_launches_are_recorded_once_and_then_started_together(monkeypatch):
    """A stand-in for a GPU says in which order it would be asked for what."""
    said = []
    a = fast.tensor([1.0, 2.0], requires_grad=True)
    x = fast.tensor([3.0, 4.0], requires_grad=True)
    recorder = GpuRecorder([a], [x], a.data.dtype, {})
    with taken_back():
        loss = (a * x).sum()
        recorder.write(loss, loss)
    memory = np.zeros(recorder.arrange(16), np.float32)
    stand_in = SimpleNamespace(to_device=np.array, device_array=np.empty)
    monkeypatch.setattr(package, "cuda", stand_in)
    monkeypatch.setattr(registry, "compiled", lambda name, dtype: _Kernel(said=said, name=name))
    program = Program(recorder, memory, np.zeros(1, np.int32), stream=_Stream(said))
    assert said == []
    forward = ["elementwise.mul on {}", "reductions.sum_rows on {}"]
    program.replay(0, recorder.forward)
    recorded = ["begin", *[one.format("builder") for one in forward], "end"]
    assert said == [one.format("stream") for one in forward] + recorded
    said.clear()
    program.replay(0, recorder.forward)
    assert said == ["graph on stream"]
