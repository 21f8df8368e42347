"""Kernels that numba-cuda compiles, executed: they compute what they should, and mistakes planted in them are found."""

import math

import numpy as np
import pytest
from assembly import compile_ptx, doubles
from numba import cuda, float32, int32, types
from ptx import DivergenceError, OutOfBoundsError, Pointer, RaceError, UninitialisedError, run

VECTOR = types.float32[::1]
MATRIX = types.float32[:, ::1]
TILE = 8


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(7)


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


# ----------------------------------------------------------------------------------------------------------------------
# Right kernels.


def saxpy(a, x, y, n):
    i = cuda.grid(1)
    if i < n:
        y[i] += a * x[i]


@pytest.mark.parametrize("capability", [(7, 5), (9, 0), (10, 0)])
def test_the_dialects_for_other_gpus(compile_kernel, rng, capability):
    """From compute capability 10.0 on the compiler writes another one: float32 lies in registers for bits."""
    x, y = numbers(rng, 100), numbers(rng, 100)
    wanted = y + np.float32(3) * x
    text = compile_ptx(saxpy, (types.float32, VECTOR, VECTOR, types.int32), [capability], 64)[capability]
    run(text, 2, 64, [3, x, y, 100])
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)
    assert doubles(text) == []


@pytest.mark.parametrize("n", [1, 127, 200])
def test_saxpy(compile_kernel, rng, n):
    x, y = numbers(rng, n), numbers(rng, n)
    wanted = y + np.float32(3) * x
    profile = run(compile_kernel(saxpy, (types.float32, VECTOR, VECTOR, types.int32)), 4, 64, [3, x, y, n])
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)
    assert profile.count("fma.rn.f32") == -(-n // 32)
    assert profile.global_loads.requests == 2 * -(-n // 32)


def test_pointers_take_one_word(compile_kernel, rng):
    pointer = types.CPointer(types.float32)
    x, y = numbers(rng, 50), numbers(rng, 50)
    wanted = y + np.float32(2) * x
    run(compile_kernel(saxpy, (types.float32, pointer, pointer, types.int32)), 1, 64, [2, x, y, 50])
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)
    run(compile_kernel(saxpy, (types.float32, pointer, VECTOR, types.int32)), 1, 64, [2, Pointer(x), y, 50])
    np.testing.assert_allclose(y, wanted + np.float32(2) * x, rtol=1e-6, atol=1e-6)


@cuda.jit(device=True)
def warp_sum(value):
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, distance)
    return value


def total(x, out, n):
    """Each warp by shuffles, then the warps' sums in shared memory by the first warp, then all blocks by an atomic."""
    parts = cuda.shared.array(32, float32)
    i, own = cuda.grid(1), float32(0)
    while i < n:
        own += x[i]
        i += cuda.gridsize(1)
    own = warp_sum(own)
    lane, warp = cuda.threadIdx.x & 31, cuda.threadIdx.x >> 5
    if lane == 0:
        parts[warp] = own
    cuda.syncthreads()
    if warp == 0:
        own = parts[lane] if lane < cuda.blockDim.x >> 5 else float32(0)
        own = warp_sum(own)
        if lane == 0:
            cuda.atomic.add(out, 0, own)


def test_a_sum_by_shuffles_shared_memory_and_atomics(compile_kernel, rng):
    x, out = numbers(rng, 1003), np.zeros(1, np.float32)
    profile = run(compile_kernel(total, (VECTOR, VECTOR, types.int32)), 3, 128, [x, out, x.size])
    assert out[0] == pytest.approx(x.sum(dtype=float), abs=1e-4)
    assert profile.count("shfl") == 3 * (4 + 1) * 5
    assert profile.count("atom.global.add.f32") + profile.count("red.global.add.f32") == 3


def product(a, b, c):
    """C = A B, tile by tile through shared memory; sizes need not be multiples of a tile."""
    left = cuda.shared.array((TILE, TILE), float32)
    right = cuda.shared.array((TILE, TILE), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    column, row = cuda.grid(2)
    own = float32(0)
    for k in range(0, a.shape[1], TILE):
        left[y, x] = a[row, k + x] if row < a.shape[0] and k + x < a.shape[1] else float32(0)
        right[y, x] = b[k + y, column] if k + y < b.shape[0] and column < b.shape[1] else float32(0)
        cuda.syncthreads()
        for i in range(TILE):
            own += left[y, i] * right[i, x]
        cuda.syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = own


def test_a_tiled_product_of_matrices(compile_kernel, rng):
    a, b, c = numbers(rng, 11, 19), numbers(rng, 19, 13), np.full((11, 13), np.nan, np.float32)
    profile = run(compile_kernel(product, (MATRIX,) * 3, TILE**2), (2, 2), (TILE, TILE), [a, b, c])
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)
    assert profile.count("bar.sync") == 2 * 3 * 2 * 4  # barriers, tiles, warps, blocks
    assert profile.shared_loads.conflicts == 0


def histogram(labels, counts, n):
    own = cuda.shared.array(16, int32)
    if cuda.threadIdx.x < 16:
        own[cuda.threadIdx.x] = 0
    cuda.syncthreads()
    i = cuda.grid(1)
    if i < n:
        cuda.atomic.add(own, labels[i], 1)
    cuda.syncthreads()
    if cuda.threadIdx.x < 16:
        cuda.atomic.add(counts, cuda.threadIdx.x, own[cuda.threadIdx.x])


def test_a_histogram_by_atomics(compile_kernel, rng):
    labels, counts = rng.integers(0, 16, 300).astype(np.int32), np.zeros(16, np.int32)
    run(compile_kernel(histogram, (types.int32[::1], types.int32[::1], types.int32)), 3, 128, [labels, counts, 300])
    np.testing.assert_array_equal(counts, np.bincount(labels, minlength=16))


FUNCTIONS = {
    "exp": (math.exp, np.exp),
    "log": (math.log, np.log),
    "tanh": (math.tanh, np.tanh),
    "sin": (math.sin, np.sin),
    "cos": (math.cos, np.cos),
    "sqrt": (math.sqrt, np.sqrt),
    "log1p": (math.log1p, np.log1p),
    "expm1": (math.expm1, np.expm1),
    "erf": (math.erf, np.vectorize(math.erf, otypes=[float])),
}


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_mathematical_functions(compile_kernel, rng, name, kind):
    """Each is dozens of instructions, tables and calls among them; sines of large numbers take the longest way."""
    function, reference = FUNCTIONS[name]

    def apply(x, y):
        y[cuda.threadIdx.x] = function(x[cuda.threadIdx.x])

    array = getattr(types, kind)[::1]
    x = np.concatenate([numbers(rng, 50) * 4, [0, 1e-3, 1e6, 1e30, -1e30, 90, -90, np.inf, -np.inf, np.nan]]).astype(
        kind
    )
    y = np.zeros_like(x)
    run(compile_kernel(apply, (array, array), 64), 1, len(x), [x, y])
    with np.errstate(all="ignore"):
        wanted = reference(x.astype(np.longdouble) if name != "erf" else x.astype(float)).astype(kind)
    np.testing.assert_allclose(y, wanted, rtol=4 * np.finfo(kind).eps, atol=1e-300 if kind == "float64" else 1e-38)


def test_whole_numbers_of_32_bits_overflow(compile_kernel):
    def square(x, y):
        y[0] = int32(x[0] * x[0])

    def square_of_64_bits(x, y):
        y[0] = types.int64(x[0]) * types.int64(x[0])

    x = np.array([50_000], np.int32)
    narrow, wide = np.zeros(1, np.int32), np.zeros(1, np.int64)
    run(compile_kernel(square, (types.int32[::1], types.int32[::1]), 32), 1, 1, [x, narrow])
    run(compile_kernel(square_of_64_bits, (types.int32[::1], types.int64[::1]), 32), 1, 1, [x, wide])
    assert wide[0] == 2_500_000_000
    assert narrow[0] == 2_500_000_000 - 2**32


# ----------------------------------------------------------------------------------------------------------------------
# Planted mistakes. Each is one that a GPU would not speak of, and that often leaves the result as it should be.


def product_with_barriers(first, second):
    """A product of tiles, with a barrier after they are copied, and with one before the next are."""

    def kernel(a, b, c):
        left = cuda.shared.array((TILE, TILE), float32)
        right = cuda.shared.array((TILE, TILE), float32)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        own = float32(0)
        for k in range(0, a.shape[1], TILE):
            left[y, x] = a[y, k + x]
            right[y, x] = b[k + y, x]
            if first:
                cuda.syncthreads()
            for i in range(TILE):
                own += left[y, i] * right[i, x]
            if second:
                cuda.syncthreads()
        c[y, x] = own

    return kernel


def test_a_barrier_that_is_missing(compile_kernel, rng):
    a, b, c = numbers(rng, TILE, 2 * TILE), numbers(rng, 2 * TILE, TILE), np.zeros((TILE, TILE), np.float32)
    launch = 1, (TILE, TILE), [a, b, c]
    run(compile_kernel(product_with_barriers(True, True), (MATRIX,) * 3, TILE**2), *launch)
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)
    for barriers, race in (((False, True), "reads"), ((True, False), "writes")):
        message = rf"{race} shared memory at byte \d+ of \w+, which .* has \w+ with no barrier in between"
        with pytest.raises(RaceError, match=message):
            run(compile_kernel(product_with_barriers(*barriers), (MATRIX,) * 3, TILE**2), *launch)


def test_a_guard_that_is_missing(compile_kernel, rng):
    def unguarded(a, x, y):
        i = cuda.grid(1)
        y[i] += a * x[i]

    x, y = numbers(rng, 50), numbers(rng, 50)
    with pytest.raises(
        OutOfBoundsError, match=r"thread \(50, 0, 0\) of block \(0, 0, 0\) .* 0 bytes behind the end of argument 2"
    ):
        run(compile_kernel(unguarded, (types.float32, VECTOR, VECTOR)), 1, 64, [3, x, y])


def test_a_guard_of_rows_that_is_missing(compile_kernel, rng):
    """Where rows of another array follow, a GPU would read and write those."""

    def double(x):
        column, row = cuda.grid(2)
        if column < x.shape[1]:
            x[row, column] *= float32(2)

    arena = numbers(rng, 7, 5)
    kernel = compile_kernel(double, (MATRIX,), 64)
    with pytest.raises(OutOfBoundsError, match="behind the end of argument 0"):
        run(kernel, 1, (8, 8), [arena[:3]])


def test_a_barrier_in_a_branch(compile_kernel):
    def half(x):
        s = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        s[i] = x[i]
        if i < 32:
            cuda.syncthreads()
            x[i] = s[63 - i]

    with pytest.raises(DivergenceError, match="threads never reach"):
        run(compile_kernel(half, (VECTOR,), 64), 1, 64, [np.zeros(64, np.float32)])


def test_a_sum_without_atomics(compile_kernel):
    def add(x, out):
        out[0] += x[cuda.grid(1)]

    kernel = compile_kernel(add, (VECTOR, VECTOR))
    with pytest.raises(RaceError, match="global memory at byte 0 of argument 1"):
        run(kernel, 1, 64, [np.ones(64, np.float32), np.zeros(1, np.float32)])
    with pytest.raises(RaceError, match="another block"):
        run(kernel, 2, 1, [np.ones(64, np.float32), np.zeros(1, np.float32)])


def test_a_neighbour_read_without_a_barrier(compile_kernel):
    def shift(x, y):
        s = cuda.shared.array(65, float32)
        i = cuda.threadIdx.x
        s[i] = x[i]
        y[i] = s[i + 1]

    with pytest.raises(RaceError, match=r"reads shared memory .*, which thread \d+ has written with no barrier"):
        run(compile_kernel(shift, (VECTOR, VECTOR), 64), 1, 64, [np.ones(64, np.float32), np.zeros(64, np.float32)])


def test_shared_memory_that_nobody_has_written(compile_kernel):
    def reverse(x, y):
        s = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        if i > 0:
            s[i] = x[i]
        cuda.syncthreads()
        y[i] = s[63 - i]

    with pytest.raises(UninitialisedError, match=r"thread \(63, 0, 0\).*writes to global memory"):
        run(compile_kernel(reverse, (VECTOR, VECTOR), 64), 1, 64, [np.ones(64, np.float32), np.zeros(64, np.float32)])


def test_float64_that_nobody_asked_for(compile_kernel):
    def scale(x):
        i = cuda.threadIdx.x
        x[i] = x[i] * 0.1

    def scale_as_float32(x):
        i = cuda.threadIdx.x
        x[i] = x[i] * float32(0.1)

    promoted = doubles(compile_kernel(scale, (VECTOR,), 32))
    assert [line.split(":")[1].split()[0] for line in promoted] == ["cvt.f64.f32", "mul.f64", "cvt.rn.f32.f64"]
    assert doubles(compile_kernel(scale_as_float32, (VECTOR,), 32)) == []
