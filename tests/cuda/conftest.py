"""What tests of CUDA kernels need, and why they skip where it is missing: `make test-cuda` installs it."""

import pytest
from assembly import compile_ptx

#: Run in a process of its own, with the simulator.
collect_ignore = ["on_gpu.py", "simulate.py", "simulate_instructions.py", "simulate_training.py"]


@pytest.fixture(scope="session")
def compile_kernel():
    """A function (kernel, signature, threads, ...) that gives the kernel's PTX for compute capability 9.0."""
    pytest.importorskip("numba_cuda", reason="needs numba-cuda, and the compiler that numba-cuda[cu13] brings along")
    from numba.cuda.cudadrv import nvvm

    if not nvvm.is_available():
        pytest.skip("needs NVVM, the compiler that numba-cuda[cu13] brings along")

    def compiled(kernel, signature, threads=256, **options):
        return compile_ptx(kernel, signature, [(9, 0)], threads, **options)[9, 0]

    return compiled
