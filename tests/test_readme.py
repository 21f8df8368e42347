"""What the README shows is what happens."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import viz

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len([line for line in example.splitlines() if line]) == 12
    promised = re.search(r"It prints\n\n((?:    .*\n)+)", README)[1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {})
    assert printed.getvalue() == textwrap.dedent(promised)
    assert (tmp_path / "graph.svg").is_file()


def test_every_command_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"make ([a-z-]+)", README))
    assert {"demo", "test", "lint"} <= mentioned <= targets


def test_every_file_it_shows_or_links_exists():
    for path in re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", README):
        assert (ROOT / (path[0] or path[1])).exists(), path


def test_its_pictures_are_small():
    for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", README):
        assert 1_000 < (ROOT / path).stat().st_size < 200_000, path


def test_the_gallery_names_what_draws():
    gallery = README.partition("## Gallery\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"<br>`(\w+)`", gallery)) | set(re.findall(r"`viz\.(\w+)", gallery))
    assert len(named) > 15
    assert named <= set(viz.__all__)
