"""The report that `make gpu` writes: how it is put together, and all of its parts on tiny sizes, without a GPU."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fast.cuda import devices

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MACHINE = {"gpu": "NVIDIA H200", "date": "2026-11-28T14:20+00:00", "driver": "580.1", "multiprocessors": 132}


@pytest.fixture
def gpu(monkeypatch):
    """The module with its parts; benchmarks are scripts, and import each other by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    return gpu


@pytest.fixture
def report(gpu):
    rows = [{"kernel": "tanh", "n": 67108864, "GB/s": 3912.4}, {"kernel": "a|b", "GB/s": 0.12345, "note": "tiny"}]
    parts = [
        gpu.Part("bandwidth", "bytes", "done", 3.5, "", rows),
        gpu.Part("tape", "lanes", "failed", 1.0, "MemoryError: 4 GB"),
        gpu.Part("maps", "pixels", "stopped", 100.0, "took longer than 100 s", rows[:1]),
        gpu.Part("moons", "runs"),
    ]
    return gpu.Report(dict(MACHINE), parts)


def test_the_page(report):
    assert (
        report.page()
        == """\
# NVIDIA H200

- date: 2026-11-28T14:20+00:00
- driver: 580.1
- multiprocessors: 132

## bandwidth: bytes

| kernel | n | GB/s | note |
|---|---:|---:|---|
| tanh | 67,108,864 | 3,912 |  |
| a\\|b |  | 0.123 | tiny |

## tape: lanes

**Failed**: MemoryError: 4 GB

## maps: pixels

| kernel | n | GB/s |
|---|---:|---:|
| tanh | 67,108,864 | 3,912 |

**Stopped**: took longer than 100 s

## moons: runs

Not begun.
"""
    )


def test_both_files_are_named_after_the_gpu_and_the_minute(report, tmp_path):
    paths = report.save(tmp_path / "results")
    assert [path.name for path in paths] == ["nvidia-h200-2026-11-28-1420.json", "nvidia-h200-2026-11-28-1420.md"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == [path.name for path in paths]
    saved = json.loads(paths[0].read_text())
    assert saved["machine"] == MACHINE
    assert [part["state"] for part in saved["parts"]] == ["done", "failed", "stopped", "waiting"]
    assert saved["parts"][0]["rows"] == report.parts[0].rows


def test_a_report_passes_when_all_of_its_parts_are_done(report):
    assert not report.passed
    report.parts = report.parts[:1]
    assert report.passed


def _prints(*lines: str, then: str = "") -> list[str]:
    """What prints such lines, as a part does."""
    return [sys.executable, "-c", f"for line in {lines!r}: print(line, flush=True)\n{then}"]


ROW = '{"row": {"n": 1}}'


@pytest.mark.parametrize(
    ("command", "state", "error"),
    [
        (_prints(ROW), "done", ""),
        (_prints(ROW, '{"error": "ValueError: off"}', then="raise SystemExit(1)"), "failed", "ValueError: off"),
        (_prints(ROW, then="import os; os.abort()"), "failed", "its process ended with status -6"),
        (_prints(ROW, then="import time; time.sleep(60)"), "stopped", "took longer than 5 s"),
    ],
)
def test_what_a_part_has_measured_is_kept_however_it_ends(gpu, report, tmp_path, command, state, error):
    part = report.parts[3]
    gpu.run_part(report, part, command, 5, tmp_path)
    assert (part.state, part.error, part.rows) == (state, error, [{"n": 1}])
    saved = json.loads((tmp_path / "nvidia-h200-2026-11-28-1420.json").read_text())["parts"][3]
    assert (saved["state"], saved["rows"]) == (state, [{"n": 1}])


def test_what_a_stopped_part_has_started_is_ended_too(gpu, tmp_path):
    mark = tmp_path / "mark"
    later = f"import time, pathlib; time.sleep(8); pathlib.Path({str(mark)!r}).touch()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {later!r}])"
    assert gpu.run(_prints(ROW, then=start), 4, lambda row: None)[0] == "stopped"
    time.sleep(6)
    assert not mark.exists()


def test_no_part_begins_when_the_time_is_over(gpu, report, tmp_path):
    gpu.run_all(report, True, 1, tmp_path)
    assert {part.state for part in report.parts} == {"stopped"}
    assert "before it began" in report.parts[0].error


@pytest.mark.skipif(not devices.driver_problem(), reason="there is an NVIDIA driver")
@pytest.mark.parametrize("options", [[], ["--driver"]])
def test_without_a_gpu_it_is_said_what_is_missing(options, tmp_path):
    command = [sys.executable, BENCHMARKS / "gpu.py", "--folder", tmp_path, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "this machine lacks an NVIDIA driver" in done.stderr
    assert not list(tmp_path.iterdir())


def test_all_parts_on_tiny_sizes(gpu, tmp_path):
    """In the simulator, and trainings on the CPU: so that nothing is run for the first time on a GPU."""
    pytest.importorskip("numba_cuda", reason="takes a minute, and is part of `make test-cuda`")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, BENCHMARKS / "gpu.py", "--tiny", "--folder", tmp_path, "--seconds", "6000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads(next(tmp_path.glob("simulated-*.json")).read_text())["parts"]
    assert [part["name"] for part in parts] == list(gpu.PLANS)
    assert all(part["rows"] for part in parts)
