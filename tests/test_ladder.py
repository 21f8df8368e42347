"""The kernels of lesson 90: every rung gives the right product, and the lesson runs from end to end."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from fast import threads

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the lessons are not installed
from tutorials import matmul_ladder as ladder  # noqa: E402

RUNGS = {
    "compiled": ladder.compiled,
    "by_rows": ladder.by_rows,
    "tiled": ladder.tiled,
    "tiled_parallel": lambda a, b, c: ladder.tiled_parallel(numba.get_num_threads(), a, b, c),
    "tiled_parallel, 5 blocks": lambda a, b, c: ladder.tiled_parallel(5, a, b, c),
    "blas": ladder.blas,
    "blas_parallel": lambda a, b, c: threads.run_product((ladder.blas, ladder.blas_parallel), 1 << 40, a, b, c),
}
# (N, K, M): one, odd, prime, smaller and larger than a block of four, on the edges of a tile and beyond them
SHAPES = [
    (1, 1, 1),
    (7, 7, 7),
    (3, 5, 2),
    (4, 4, 4),
    (1, 97, 3),
    (31, 37, 41),
    (5, ladder.TILE_ROWS, ladder.TILE_COLUMNS),
    (11, 2 * ladder.TILE_ROWS + 3, ladder.TILE_COLUMNS + 7),
]


def operands(shape, dtype):
    rows, depth, columns = shape
    random = np.random.default_rng(shape)
    a, b = random.normal(size=(rows, depth)).astype(dtype), random.normal(size=(depth, columns)).astype(dtype)
    return a, b, np.full((rows, columns), np.nan, dtype)  # what was in c before must not matter


def assert_is_product(c, a, b):
    """Within what rounding explains, in any order of additions: K roundings of each sum, here and in the reference."""
    a, b = a.astype(float), b.astype(float)
    roundings = a.shape[1] * (np.finfo(c.dtype).eps + np.finfo(float).eps) / 2
    assert np.all(np.abs(c - a @ b) <= roundings * (1 + roundings) * (np.abs(a) @ np.abs(b)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", RUNGS)
def test_every_rung_is_the_product(name, shape, dtype):
    a, b, c = operands(shape, dtype)
    RUNGS[name](a, b, c)
    assert_is_product(c, a, b)


@pytest.mark.parametrize("shape", SHAPES[:6], ids=str)
def test_the_judge_is_right(shape):
    a, b, c = operands(shape, float)
    result = c.tolist()
    ladder.in_python(a.tolist(), b.tolist(), result)
    assert_is_product(np.array(result), a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_yardstick_does_what_it_counts(dtype):
    """Counted are 16 multiply-adds for each number and each time: v becomes v / 2^16 + 0.5 * (1 - 2^-16) here."""
    x, y = np.random.default_rng(0).random((8, 37)).astype(dtype), np.zeros((3, 37), dtype)
    ladder.multiply_adds_parallel(x, dtype(0.5), dtype(0.25), y, 5)
    expected = 5 * np.sum(x.astype(float) / 2**16 + 0.5 * (1 - 2.0**-16), axis=0)
    assert np.allclose(y, expected, rtol=100 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 7, 1001])
@pytest.mark.parametrize("name", ["arithmetic_tanh", "library_tanh"])
def test_both_loops_compute_tanh(name, length, dtype):
    x = np.linspace(-1, 1, length).astype(dtype)
    expected, y, z = np.tanh(x.astype(float)), np.empty_like(x), np.empty_like(x)
    getattr(ladder, name)(x, y)
    getattr(ladder, f"{name}_parallel")(3, x, z)
    assert np.allclose(y, expected, rtol=max(4 * np.finfo(dtype).eps, 3e-9), atol=0)
    assert np.array_equal(y, z)


def test_the_lesson_runs(tmp_path):
    """From end to end; it checks its own rungs against each other. How fast they are here is not judged."""
    command = [
        sys.executable,
        *("-W", "error", "-W", "ignore::DeprecationWarning"),  # what others say of each other's future is theirs
        ROOT / "tutorials" / "90_inside_the_fast_engine.py",
        "--figures",
        tmp_path,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert [line[:2] for line in run.stdout.splitlines() if line[:1].isdigit()] == [f"{n}." for n in range(1, 8)]
    for name in ("matmul_ladder.svg", "prange.svg"):
        assert (tmp_path / name).stat().st_size > 10_000
