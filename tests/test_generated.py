"""Generated files: up to date, noticed when they are not, and made of typed literals."""

import re

import pytest

from fast import generate


@pytest.mark.parametrize("target", generate.TARGETS, ids=lambda target: target.file)
def test_the_committed_file_is_what_the_table_says(target):
    assert (generate.KERNELS / target.file).read_text() == generate.module_text(target)


def test_a_stale_or_missing_file_is_noticed_and_mended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "KERNELS", tmp_path)
    assert generate.main(["--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "elementwise.py").write_text("edited")
    assert generate.main(["--check"]) == 1
    assert "make generate" in capsys.readouterr().err


def test_every_literal_has_the_type_of_the_arrays():
    """A bare 1 is an int64 and would turn float32 arithmetic into float64."""
    for target in generate.TARGETS:
        for line in generate.module_text(target).splitlines():
            if "[i] = " in line:
                assert not re.search(r"\d", re.sub(r"number\([^()]*\)|log1p|expm1", "", line)), line
