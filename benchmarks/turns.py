"""What benchmarks share: engines in processes of their own that take turns, and the table of their times.

Every turn is a process of its own, garbage collector on, which prints its result as JSON. The engines take turns over
several rounds, so that a busy moment of the machine hits all of them.

The processes are started without the variables that tune BLAS or threads (`TUNING`), so that every library runs as it
does by default, whatever the shell says.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: How the names of such variables begin.
TUNING = ("BLIS_", "GOTO_", "KMP_", "MKL_", "NUMBA_NUM_THREADS", "OMP_", "OPENBLAS_", "VECLIB_", "XLA_")


def take_turns(
    script: str,
    arguments: Mapping[str, Sequence[str]],
    rounds: int,
    given: str = "",
    check: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, list[Any]]:
    """Run a script once in every round for each engine, and return the engines' results, a list of one for each round.

    arguments: of the script, for each engine.
    given: what the script reads from its standard input.
    check: called after the first round with the engine's results; may end the program before more time is spent.

    A result that is a dictionary also says when its process was started, `spawned`, in seconds of `time.time()`.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(TUNING)}
    results: dict[str, list[Any]] = {engine: [] for engine in arguments}
    for number in range(rounds):
        for engine, words in arguments.items():
            spawned = time.time()
            command = [sys.executable, script, *words]
            turn = subprocess.run(command, input=given, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            results[engine].append({"spawned": spawned, **json.loads(turn.stdout)})
        if number == 0 and check:
            check({engine: found[0] for engine, found in results.items()})
    return results


def timed(step: Callable[[], float], count: int) -> tuple[list[float], list[float]]:
    """What `count` calls return, and the seconds that each takes."""
    answers, seconds = [], []
    for _ in range(count):
        started = time.perf_counter()
        answers.append(step())
        seconds.append(time.perf_counter() - started)
    return answers, seconds


def timed_together(
    steps: Callable[[int], Sequence[float]], count: int, at_once: int
) -> tuple[list[float], list[float]]:
    """What `count` steps return, and the seconds that each takes, where `at_once` of them are one call."""
    answers, seconds = [], []
    while len(answers) < count:
        started = time.perf_counter()
        found = steps(min(at_once, count - len(answers)))
        answers += list(found)
        seconds += [(time.perf_counter() - started) / len(found)] * len(found)
    return answers, seconds


def print_table(seconds: Mapping[str, Sequence[float]], title: str, ratio: Callable[[float], str]) -> None:
    """Median, fastest and slowest step of each engine, and under `title` a ratio made of the median."""
    width = max(10, *[len(engine) + 1 for engine in seconds])
    print(f"{'engine':<{width}} {'median step':>14} {'fastest':>14} {'slowest':>14} {title:>15}")
    for engine, times in seconds.items():
        median = statistics.median(times)
        figures = "".join(f"{second * 1e6:>12,.0f} us" for second in (median, min(times), max(times)))
        print(f"{engine:<{width}}{figures} {ratio(median):>15}")


def first_difference(expected: Sequence[float], found: Sequence[float], tolerance: float) -> str:
    """The first step whose losses differ by more than `tolerance`, relatively, in words; empty if there is none."""
    for step, (theirs, ours) in enumerate(zip(expected, found, strict=True)):
        if not abs(theirs - ours) <= tolerance * abs(theirs):
            return f"step {step}, loss {ours} instead of {theirs}"
    return ""
