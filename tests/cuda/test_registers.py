"""The committed table of what the kernels take is what the compiler says today."""

import assembly
import builds
import pytest


@pytest.mark.skipif(assembly.find_ptxas() is None, reason=assembly.NO_PTXAS)
@pytest.mark.usefixtures("compile_kernel")
def test_the_table_of_registers_is_up_to_date():
    """Other versions of the compiler may need other numbers; then there is nothing to compare."""
    written = builds.TABLE.read_text()
    if builds.versions() not in written:
        pytest.skip(f"the table was written with other versions than {builds.versions()}")
    assert written == builds.table(), "run `python tests/cuda/builds.py`"
