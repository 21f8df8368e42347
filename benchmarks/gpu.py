"""What a GPU does with this project: all kernels tried, then products, bandwidth, launches, trainings and maps timed.

    python benchmarks/gpu.py [--only kernels products] [--seconds 600] [--folder benchmarks/results]

It writes benchmarks/results/GPU-DATE.json and .md, anew after every row, so that nothing is lost if it is stopped. Each
part runs in a process of its own and may take so long; one that fails, or takes longer, is named in the report with its
reason, the others go on, and the exit status is 1. Without a GPU it is said what is missing, and the status is 2.

`--tiny` measures nothing worth knowing, but goes through all of the code on tiny sizes: with NUMBA_ENABLE_CUDASIM=1 in
the environment kernels run in Numba's simulator, and networks are trained on the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from gpu_report import Part, Report, figure

from fast.cuda import devices

HOME = Path(__file__).resolve().parent
#: For all parts together, and below how many no part is begun.
SECONDS, LEAST = 600, 5


@dataclass(frozen=True)
class Plan:
    """A part that can be measured.

    title: what it measures. module: whose `measure(tiny)` gives a row after the other. limit: seconds that it may take,
    and longer where more than `SECONDS` are given for all.
    """

    title: str
    module: str
    limit: float


PLANS = {
    "kernels": Plan("every kernel on the GPU, against the CPU engine's", "gpu_kernels", 150),
    "tensors": Plan("tensors and trainings on the GPU, against the CPU engine's", "gpu_tensors", 110),
    "products": Plan("products of matrices in float32, beside the GPU maker's library", "gpu_products", 80),
    "bandwidth": Plan("bytes that kernels move, beside a copy", "gpu_bandwidth", 50),
    "launches": Plan("microseconds of Python that a launch takes", "gpu_launches", 25),
    "training": Plan("a training step beside PyTorch's, in float32", "gpu_training", 120),
    "moons": Plan("trainings of micrograd's demo, half a warp for each", "gpu_moons", 60),
    "maps": Plan("trainability maps of 500 steps, a thread for each training", "gpu_maps", 100),
    "tape": Plan("the demo's graph of one sample as a tape, a thread for each sample", "gpu_tape", 25),
}


# ----------------------------------------------------------------------------------------------------------------------
# In the process of a part.


def measure(name: str, tiny: bool) -> int:
    """Print each row as JSON, and the error if there is one; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # for libraries and compilers, too
    try:
        for row in _rows(name, tiny):
            print(json.dumps({"row": row}), file=answers, flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        traceback.print_exc()
        return 1
    return 0


def _rows(name: str, tiny: bool) -> Iterator[dict[str, Any]]:
    yield from import_module("gpu_machine" if name == "machine" else PLANS[name].module).measure(tiny)


# ----------------------------------------------------------------------------------------------------------------------
# In the process that starts them.


def command_of(name: str, tiny: bool) -> list[str]:
    """What measures a part."""
    return [sys.executable, str(HOME / "gpu.py"), "--part", name, *(["--tiny"] if tiny else [])]


def run(command: list[str], limit: float, take: Callable[[dict[str, Any]], None]) -> tuple[str, str]:
    """Let a part be measured within so many seconds, hand on its rows as they come; its state and the error."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HOME.parent), os.environ.get("PYTHONPATH", "")])}
    late, error = threading.Event(), ""
    # A session of its own, so that what it has started ends with it.
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "env": environment, "start_new_session": True}
    with subprocess.Popen(command, text=True, **options) as part:

        def stop() -> None:
            late.set()
            _end(part)

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            for line in part.stdout or ():
                answer = json.loads(line)
                error = answer.get("error", error)
                if "row" in answer:
                    take(answer["row"])
            status = part.wait()
        finally:
            timer.cancel()
            _end(part)
    if late.is_set():
        return "stopped", f"took longer than {limit:.0f} s"
    if error or status:
        return "failed", error or f"its process ended with status {status}"
    return "done", ""


def _end(part: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(part.pid, signal.SIGKILL)


def run_all(report: Report, tiny: bool, seconds: float, folder: Path) -> None:
    """Measure all parts of a report, which is saved after each row, within so many seconds."""
    end = time.monotonic() + seconds
    for part in report.parts:
        left = end - time.monotonic()
        if left < LEAST:
            part.state, part.error = "stopped", f"before it began: the {seconds:.0f} s for all were over"
            report.save(folder)
            continue
        print(f"\n{part.name}: {part.title}", flush=True)
        limit = min(left, PLANS[part.name].limit * max(1, seconds / SECONDS))
        run_part(report, part, command_of(part.name, tiny), limit, folder)


def run_part(report: Report, part: Part, command: list[str], limit: float, folder: Path) -> None:
    """Let one part be measured, and save the report whenever there is something new."""
    started = time.monotonic()

    def take(row: dict[str, Any]) -> None:
        part.rows.append(row)
        report.save(folder)
        print("  " + ", ".join(f"{name} {figure(value)}" for name, value in row.items()), flush=True)

    part.state = "running"
    report.save(folder)
    part.state, part.error = run(command, limit, take)
    part.seconds = round(time.monotonic() - started, 1)
    report.save(folder)
    print(f"  {part.state} after {part.seconds} s {part.error}", flush=True)


def describe(tiny: bool) -> dict[str, Any]:
    """The machine, as a process of its own tells it: this one takes no memory of the GPU. SystemExit if that fails."""
    rows: list[dict[str, Any]] = []
    state, error = run(command_of("machine", tiny), 60, rows.append)
    if state != "done":
        sys.exit(f"the GPU cannot be used: {error}")
    return rows[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PLANS, default=list(PLANS), help="these parts", metavar="PART")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for all parts together (default: {SECONDS})")
    parser.add_argument("--folder", type=Path, default=HOME / "results", help="default: benchmarks/results")
    parser.add_argument("--tiny", action="store_true", help="try all of the code on tiny sizes, without a GPU")
    parser.add_argument("--driver", action="store_true", help="only say whether there is a driver: status 0, or 2")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.driver:
        _leave_without(devices.driver_problem())
        return
    if arguments.part:
        sys.exit(measure(arguments.part, arguments.tiny))
    if not arguments.tiny:
        _leave_without("; and ".join(devices.missing()))
    signal.signal(signal.SIGTERM, _interrupted)
    parts = [Part(name, PLANS[name].title) for name in arguments.only]
    report = Report(describe(arguments.tiny), parts)
    run_all(report, arguments.tiny, arguments.seconds, arguments.folder)
    print("\nsaved " + " and ".join(map(str, report.save(arguments.folder))))
    sys.exit(0 if report.passed else 1)


def _leave_without(lacking: str) -> None:
    """End the program with status 2 where the machine lacks something."""
    if lacking:
        print(f"cuda: this machine lacks {lacking}", file=sys.stderr)
        sys.exit(2)


def _interrupted(*_: object) -> NoReturn:
    """Leave as after Ctrl-C, so that the part that runs is ended, too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
