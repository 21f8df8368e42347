"""The lessons run from end to end; each checks its own claims, and makes the pictures that it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))
# lesson 90 is run by test_ladder.py, which knows what it measures
QUICK = [lesson for lesson in LESSONS if not lesson.name.startswith("90")]
ON_EITHER = [lesson for lesson in QUICK if '"--engine"' in lesson.read_text()]


def shown(lesson):
    """The names of the files in docs/ that a lesson shows or links."""
    return set(re.findall(r"\]\(\.\./docs/([^)]+)\)", lesson.read_text()))


def run(script, folder, *options):
    """What a script prints that leaves its pictures in a folder, and the sizes of these by name."""
    command = [
        sys.executable,
        *("-W", "error", "-W", "ignore::DeprecationWarning"),  # what others say of each other's future is theirs
        *(script, "--figures", folder, *options),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout, {path.name: path.stat().st_size for path in folder.iterdir()}


@pytest.mark.parametrize("lesson", QUICK, ids=lambda lesson: lesson.stem)
def test_it_runs_and_makes_its_pictures(lesson, tmp_path):
    printed, made = run(lesson, tmp_path)
    sections = [int(number) for number in re.findall(r"^(\d+)\. ", printed, re.MULTILINE)]
    assert sections == list(range(1, len(sections) + 1))
    assert max(map(len, printed.replace(str(tmp_path), "").splitlines())) <= 120
    assert made.keys() == shown(lesson) > set()
    assert set(re.findall(rf"{re.escape(str(tmp_path))}/(\S+)", printed)) == made.keys()
    assert all(1_000 < size < 200_000 for size in made.values()), made


@pytest.mark.parametrize("lesson", ON_EITHER, ids=lambda lesson: lesson.stem)
def test_it_runs_on_micro_too(lesson, tmp_path):
    """At a tiny size: without the claims and the pictures that need more."""
    printed, made = run(lesson, tmp_path, "--engine", "micro")
    assert set() < made.keys() <= shown(lesson)
    assert set(re.findall(rf"{re.escape(str(tmp_path))}/(\S+)", printed)) == made.keys()


def test_the_gallery_makes_what_the_readme_shows(tmp_path):
    _, made = run(ROOT / "tutorials" / "gallery.py", tmp_path)
    there = {path.name for path in (ROOT / "docs" / "gallery").iterdir()}
    assert made.keys() == there == set(re.findall(r"\(docs/gallery/([^)]+)\)", (ROOT / "README.md").read_text()))
    assert all(1_000 < size < 200_000 for size in made.values()), made


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_it_is_a_lesson(lesson):
    text = lesson.read_text()
    assert text.startswith("# %% [markdown]\n# # ")
    assert "**Try:**" in text.split("# %% [markdown]")[-1]
    for name in shown(lesson):
        assert (ROOT / "docs" / name).is_file(), f"docs/{name} is missing; make figures draws it"


def test_the_reading_order_lists_all_with_a_picture_of_each():
    text = (ROOT / "tutorials" / "README.md").read_text()
    rows = re.findall(r'^\| \[(\d\d)\]\((\S+)\) \| .* \| <img src="\.\./docs/(\S+)" .*\|$', text, re.MULTILINE)
    assert [name for _, name, _ in rows] == [lesson.name for lesson in LESSONS]
    for number, name, picture in rows:
        assert name.startswith(number)
        assert picture in shown(ROOT / "tutorials" / name)
