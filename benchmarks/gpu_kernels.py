"""All kernels on the GPU, as tests/cuda/test_on_gpu.py tries them, by as many processes as there are cores.

Compiling is what takes the time, and each process compiles the kernels that it tries.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fast.cuda import package
from fast.cuda.registry import KERNELS

TESTS = Path(__file__).resolve().parent.parent / "tests" / "cuda" / "test_on_gpu.py"
#: One kernel of each kind, for the simulator is slow.
FEW = ("elementwise.tanh", "reductions.softmax", "updates.adam")
_RESULT = re.compile(r"::\w+\[(\w+)\.\w+-\w+\] (PASSED|FAILED|ERROR|SKIPPED)")


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each module of kernels; then RuntimeError if any of them is wrong."""
    names = [
        f"{TESTS}::test_a_launch_computes_what_the_cpu_does[{name}-{dtype}]"
        for name in (FEW if tiny else KERNELS)
        for dtype in KERNELS[name].dtypes[: 1 if package.SIMULATED else None]
    ]
    workers = min(len(names), 2 if tiny else os.cpu_count() or 1)
    said = "".join(_run([names[first::workers] for first in range(workers)]))
    results = Counter(_RESULT.findall(said))
    for module in dict.fromkeys(module for module, _ in results):
        wrong = results[module, "FAILED"] + results[module, "ERROR"]
        yield {"kernels of": module, "launched": results[module, "PASSED"] + wrong, "wrong": wrong}
    right = sum(count for (_, result), count in results.items() if result == "PASSED")
    if right < len(names):
        lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "E  ", "SKIPPED"))]
        raise RuntimeError(f"{len(names) - right} of {len(names)} are not as expected: {'; '.join(lines)[:4000]}")


def _run(shares: list[list[str]]) -> list[str]:
    """What pytest says of each share of the tests."""
    command = [sys.executable, "-m", "pytest", "--verbose", "-rfEs", "--tb=short", "-p", "no:cacheprovider"]
    command += ["-W", "default"]  # what a compiler warns of makes no kernel wrong
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen([*command, *share], cwd=TESTS.parents[2], **options) for share in shares]
    return [process.communicate()[0] for process in processes]
