"""Tests of tests/cuda on the GPU, by several processes at once.

Compiling is what takes the time, and each process compiles the kernels that it needs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests" / "cuda"
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "default"]  # a warning makes nothing wrong
_RESULT = re.compile(r"::(\w+(?:\[.*\])?) (PASSED|FAILED|ERROR|SKIPPED)")


def measure(
    file: str, tests: Sequence[str], title: str, group: Callable[[str], str], tiny: bool
) -> Iterator[dict[str, Any]]:
    """A row for each group of a file's tests, such as "test_it[sgd]"; then RuntimeError if any of them is wrong.

    title: of the column that names the groups.
    """
    workers = min(len(tests), 2 if tiny else os.cpu_count() or 1)
    said = "".join(_run([[f"{TESTS / file}::{test}" for test in tests[first::workers]] for first in range(workers)]))
    results = _RESULT.findall(said)
    counts = Counter((group(test), result) for test, result in results)
    for name in dict.fromkeys(name for name, _ in counts):
        wrong = counts[name, "FAILED"] + counts[name, "ERROR"]
        yield {title: name, "tried": counts[name, "PASSED"] + wrong, "wrong": wrong}
    right = sum(result == "PASSED" for _, result in results)
    if right < len(tests):
        lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "E  ", "SKIPPED"))]
        raise RuntimeError(f"{len(tests) - right} of {len(tests)} are not as expected: {'; '.join(lines)[:4000]}")


def names_in(file: str) -> list[str]:
    """All tests of a file."""
    command = [*PYTEST, "--collect-only", "--quiet", str(TESTS / file)]
    said = subprocess.run(command, cwd=TESTS.parents[1], capture_output=True, text=True, check=True).stdout
    return [line.partition("::")[2] for line in said.splitlines() if "::" in line]


def _run(shares: Sequence[Sequence[str]]) -> list[str]:
    """What pytest says of each share of the tests."""
    command = [*PYTEST, "--verbose", "-rfEs", "--tb=short"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen([*command, *share], cwd=TESTS.parents[1], **options) for share in shares]
    return [process.communicate()[0] for process in processes]
