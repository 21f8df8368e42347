"""What is added to Numba's simulator works there: in a process of its own, for it is chosen when Numba is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from fast.cuda import simulator

handed = []
simulator.hand_out = lambda array: handed.append(array.shape) or array
simulator.bridge()
import numpy as np
from numba import cuda, float32, int32


@cuda.jit(device=True)
def warp_sum(value):
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_down_sync(0xFFFFFFFF, value, distance)
    return value


@cuda.jit(max_registers=40, launch_bounds=64)
def reverse_and_sum(x, out):
    sums = cuda.shared.array(2, float32, alignment=16); own = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    own[i] = x[i]
    value = warp_sum(x[i])
    if cuda.laneid == 0:
        sums[i // 32] = value
    cuda.syncthreads()
    out[cuda.blockIdx.x * 64 + i] = sums[0] + sums[1] + own[63 - i]


x, out = np.arange(64, dtype=np.float32), np.zeros(128, np.float32)
reverse_and_sum[2, 64](x, out)
assert (out == np.tile(x.sum() + x[::-1], 2)).all(), out
assert handed == [(2,), (64,)] * 2, handed


@cuda.jit
def warps(out):
    i = cuda.threadIdx.x
    up = cuda.shfl_up_sync(0xFFFFFFFF, i, 1)
    first = cuda.shfl_sync(0xFFFFFFFF, i, 0)
    other = cuda.shfl_xor_sync(0xFFFFFFFF, i, 3)
    cuda.syncwarp()
    out[i, 0], out[i, 1], out[i, 2] = up, first, other
    out[i, 3] = cuda.ballot_sync(0xFFFFFFFF, i % 2 == 0)
    some, every = cuda.any_sync(0xFFFFFFFF, i == 3), cuda.all_sync(0xFFFFFFFF, i == 3)
    out[i, 4] = some * 4 + every * 2 + cuda.eq_sync(0xFFFFFFFF, i > 99)
    out[i, 5] = cuda.match_any_sync(0xFFFFFFFF, i % 2)


out = np.zeros((40, 6), np.int64)
warps[1, 40](out)
for i in range(40):
    lane, n = i % 32, 32 if i < 32 else 8
    even = sum(1 << j for j in range(0, n, 2))
    wanted = [i - (lane > 0), i - lane, i ^ 3, even, (4 if i < 32 else 0) + 1, even << i % 2]
    assert list(out[i]) == wanted, (i, out[i], wanted)


@cuda.jit
def unwritten(out):
    shared = cuda.shared.array(2, float32); dynamic = cuda.shared.array(0, float32)
    local = cuda.local.array(3, float32, alignment=16)
    if cuda.blockIdx.x == 0:
        shared[0] = dynamic[0] = local[0] = float32(1)
    out[cuda.blockIdx.x] = shared[0] + dynamic[0] + local[0]
    if cuda.blockIdx.x == 2:
        numbers = cuda.shared.array(2, int32)
        out[numbers[0]] = 1


out = np.zeros(2, np.float32)
unwritten[2, 1, 0, 4](out)
assert out[0] == 3 and np.isnan(out[1]), out
try:
    unwritten[3, 1, 0, 4](out)
except IndexError:
    pass
else:
    raise AssertionError("an index that nobody has written")


@cuda.jit
def meet(out, last):
    i = cuda.threadIdx.x
    if i > last:
        return
    for _ in range(3):
        out[i] += out[(i + 1) % (last + 1)]
        cuda.syncthreads()
    if cuda.syncthreads_or(i == 1):
        out[i] = cuda.syncthreads_count(i > 0)


out = np.zeros(64)
meet[1, 64](out, 40)  # the others have ended, and are not waited for
assert list(out) == [40] * 41 + [0] * 23, out


@cuda.jit
def fail(out):
    if cuda.threadIdx.x == 3:
        out[64] = 1
    cuda.syncthreads()


try:
    fail[1, 64](out)
except IndexError as fault:
    assert "tid=[3, 0, 0]" in str(fault), fault
else:
    raise AssertionError("an access outside of an array")


@cuda.jit
def alone(out):
    if cuda.threadIdx.x == 0:
        out[0] = cuda.shfl_down_sync(0xFFFFFFFF, out[0], 1)


simulator.PATIENCE = 0.1
try:
    alone[1, 32](out)
except RuntimeError as fault:
    assert "do not all reach" in str(fault), fault
else:
    raise AssertionError("a shuffle for one lane")
print("all is well")
"""


def simulated(script: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)


def test_kernels_run_in_the_simulator():
    done = simulated(SCRIPT)
    assert done.stdout.endswith("all is well\n"), done.stderr


def test_the_simulator_must_have_been_chosen():
    pytest.importorskip("numba.cuda")
    from fast.cuda import simulator

    with pytest.raises(RuntimeError, match="NUMBA_ENABLE_CUDASIM=1"):
        simulator.bridge()
