"""Generated files: up to date, noticed when they are not, and made of typed literals."""

import re
import shutil

import pytest

from fast import generate


@pytest.mark.parametrize("path", generate.texts(), ids=lambda path: path.name)
def test_the_committed_file_is_what_the_table_says(path):
    assert path.read_text() == generate.texts()[path]


def test_a_stale_or_missing_file_is_noticed_and_mended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "KERNELS", tmp_path)
    assert generate.main(["--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "elementwise.py").write_text("edited")
    assert generate.main(["--check"]) == 1
    assert "make generate" in capsys.readouterr().err


def stamped():
    """The kernel modules that import the approximations; `elementwise` and `elementwise_parallel` are two of them."""
    return {path.name for path in generate.KERNELS.glob("*.py") if "import approximations" in path.read_text()}


#: Those that use kernels of such a module.
USERS = {"steps.py": {"ATTENTION", "LOSSES", "RECURRENT", "REDUCTIONS"}}


def test_changed_approximations_make_every_module_stale_that_imports_them(tmp_path, monkeypatch, capsys):
    """Numba does not see that a function of another file has changed, but it sees a new stamp."""
    kernels, approximations = tmp_path / "kernels", tmp_path / "approximations.py"
    shutil.copytree(generate.KERNELS, kernels, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("approximations.py", "intrinsics.py"):
        shutil.copy(generate.APPROXIMATIONS.with_name(name), tmp_path)
    monkeypatch.setattr(generate, "KERNELS", kernels)
    monkeypatch.setattr(generate, "APPROXIMATIONS", approximations)
    assert generate.main(["--check"]) == 0
    approximations.write_text(approximations.read_text() + "# another text\n")
    before = {path.name: path.read_text() for path in kernels.iterdir()}
    assert generate.main(["--check"]) == 1
    reported = capsys.readouterr().err
    assert {name for name in before if f"{name}: not up to date" in reported} == stamped() | {*USERS}
    assert generate.main([]) == 0
    after = {path.name: path.read_text() for path in kernels.iterdir()}
    assert stamped() >= {"elementwise.py", "recurrent.py"}
    assert {name for name in before if after[name] != before[name]} == stamped() | {*USERS}
    for name in stamped() | {*USERS}:
        changed = [new for old, new in zip(*(t[name].splitlines() for t in (before, after)), strict=True) if old != new]
        assert {line.split(" = ")[0] for line in changed} == USERS.get(name, {"APPROXIMATIONS"}), name
    assert generate.main(["--check"]) == 0


def test_every_literal_has_the_type_of_the_arrays():
    """A bare 1 is an int64 and would turn float32 arithmetic into float64."""
    for target in generate.TARGETS:
        for line in generate.module_text(target).splitlines():
            if "[i] = " in line:
                assert not re.search(r"\d", re.sub(r"number\([^()]*\)|log1p|expm1", "", line)), line
