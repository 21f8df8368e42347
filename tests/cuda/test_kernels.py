"""Every kernel of the registry, on a computer without a GPU: compiled, assembled, and executed on the CPU.

What comes out is compared with the CPU engine's own kernels; see `cases.py`.
"""

import copy
import re

import assembly
import builds
import numpy as np
import ptx
import pytest
from cases import CASES

from fast.cuda.registry import KERNELS

pytestmark = pytest.mark.usefixtures("compile_kernel")  # which skips where nothing can be compiled
everything = pytest.mark.parametrize(("name", "dtype"), builds.ALL)
needs_ptxas = pytest.mark.skipif(assembly.find_ptxas() is None, reason=assembly.NO_PTXAS)


def test_every_kernel_has_a_case_and_a_meaning():
    assert CASES.keys() == KERNELS.keys()
    for name, kernel in KERNELS.items():
        generated = name.startswith("elementwise.")  # whose meaning is the formula in the line of the loop
        assert generated or kernel.meaning, name


@everything
def test_the_compiled_kernel_computes_what_the_cpu_does(name, dtype):
    """Without out-of-bounds accesses, races, or conflicts in shared memory; and it writes nowhere else."""
    case = CASES[name](dtype)
    before = copy.deepcopy(case.arguments)
    profile = ptx.run(
        builds.build(name, dtype)[9, 0].ptx,
        case.launch.grid,
        case.launch.block,
        case.arguments,
        shared=case.launch.shared,
    )
    assert case.error() <= case.tolerance
    for place, (now, was) in enumerate(zip(case.arguments, before, strict=True)):
        if place not in case.expected and place not in case.room:
            np.testing.assert_array_equal(now, was)
    assert profile.shared_loads.conflicts + profile.shared_stores.conflicts <= case.conflicts


@everything
def test_a_kernel_for_float32_does_not_compute_in_float64(name, dtype):
    if dtype == "float32":
        for build in builds.build(name, dtype).values():
            assert bool(assembly.doubles(build.ptx)) == bool(KERNELS[name].doubles), assembly.doubles(build.ptx)


@needs_ptxas
@everything
def test_registers_suffice(name, dtype):
    """Few enough for as many threads as the kernel says; none has to be put by in memory, unless it says so."""
    kernel = KERNELS[name]
    for build in builds.build(name, dtype).values():
        assert build.assembled.registers <= kernel.registers * (2 if dtype == "float64" else 1)
        assert build.assembled.registers * kernel.threads * kernel.blocks <= 65536
        assert build.assembled.shared <= 48 * 1024
        assert build.assembled.spills <= kernel.spills


@pytest.mark.parametrize("capability", builds.CAPABILITIES)
def test_kernels_are_compiled_for_the_gpu_that_is_asked_for(capability):
    text = builds.build("updates.sgd", "float32")[capability].ptx
    assert re.search(r"\.target sm_(\d+)", text)[1] == "{}{}".format(*capability)
