"""Products of matrices by our own tiles: shapes around all edges, both orders in memory, any number of threads."""

import numpy as np
import pytest
from numba import njit

from fast import threads
from fast.intrinsics import ROWS, loose
from fast.kernels import products

#: Around the numbers of rows and columns with which a tile or a panel is full.
SIZES = [1, 2, 3, 4, 5, ROWS, ROWS + 1, 15, 16, 17, 33, 70]
RANDOM = np.random.default_rng(0)


@njit
def multiply(blocks, a, b, y):
    if blocks == 1:
        products.multiply(1, loose(a), loose(b), loose(y))
    else:
        products.multiply_parallel(blocks, loose(a), loose(b), loose(y))


@njit
def transpose(x, y):
    products.transpose(loose(x), loose(y))


def matrix(rows, columns, dtype, turned):
    """Random numbers of which the rows, or the columns, are contiguous."""
    numbers = RANDOM.standard_normal((rows, columns)).astype(dtype)
    return np.asfortranarray(numbers) if turned else numbers


def multiplied(a, b, blocks=1):
    """a @ b, written into the middle of a matrix of NaN, in which nothing else may change."""
    rows, columns = len(a), b.shape[1]
    whole = np.full((rows + 2, columns + 2), np.nan, a.dtype)
    with threads.parallel_products():
        multiply(blocks, a, b, whole[1:-1, 1:-1])
    assert np.isnan(whole).sum() == whole.size - rows * columns
    return whole[1:-1, 1:-1]


def check(a, b, y):
    """Sums of K products differ by the rounding of each, at most K times that of a number as large as all together."""
    exact, size = a.astype(float) @ b.astype(float), np.abs(a).astype(float) @ np.abs(b).astype(float)
    assert (np.abs(y - exact) <= np.finfo(a.dtype).eps * a.shape[1] * size).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("turned_a", "turned_b"), [(False, False), (True, False), (False, True), (True, True)])
def test_every_shape_and_order(dtype, turned_a, turned_b):
    for rows in SIZES:
        for columns in SIZES:
            for depth in (1, 2, 16, 17, 40):
                a, b = matrix(rows, depth, dtype, turned_a), matrix(depth, columns, dtype, turned_b)
                check(a, b, multiplied(a, b))


@pytest.mark.parametrize("shape", [(600, 40, 530), (7, 3000, 20), (300, 5000, 40), (1, 700, 900), (900, 700, 1)])
def test_large_ones_and_long_sums(shape):
    """Those that are BLAS's, and those whose panels are too many to be used together."""
    rows, depth, columns = shape
    a, b = matrix(rows, depth, "float32", False), matrix(depth, columns, "float32", True)
    check(a, b, multiplied(a, b))
    check(a, b, multiplied(a, b, blocks=2))


@pytest.mark.parametrize("shape", [(0, 3, 4), (4, 3, 0), (2, 0, 3), (1, 0, 7), (7, 0, 1), (9, 0, 9), (0, 0, 0)])
def test_sums_of_nothing(shape, capfd):
    """They are 0, and BLAS, which would complain about them, is not asked."""
    rows, depth, columns = shape
    a, b = matrix(rows, depth, "float32", False), matrix(depth, columns, "float32", False)
    for blocks in (1, 2):
        np.testing.assert_array_equal(multiplied(a, b, blocks), np.zeros((rows, columns)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(dtype):
    for rows, depth, columns in [(64, 100, 70), (5, 9, 130), (130, 9, 5), (33, 700, 33), (4, 4, 4)]:
        a, b = matrix(rows, depth, dtype, True), matrix(depth, columns, dtype, False)
        expected = multiplied(a, b)
        for blocks in (2, 3, 7):
            np.testing.assert_array_equal(multiplied(a, b, blocks), expected)


def test_numbers_are_added_in_their_order():
    """A large number at the beginning swallows the small ones behind it, one by one, as it does in `micro`."""
    a, b = np.ones((8, 3), np.float32), np.ones((3, 8), np.float32)
    a[:, 0] = 2.0**24
    np.testing.assert_array_equal(multiplied(a, b), np.full((8, 8), 2.0**24))


def test_nothing_but_nan_comes_of_nan():
    """What fills up a panel or a tile must not reach the result, nor may NaN get lost."""
    a, b = matrix(9, 20, "float32", False), matrix(20, 19, "float32", False)
    a[3, 7], b[2, 18] = np.nan, np.inf
    y = np.zeros((9, 19), np.float32)
    multiply(1, a, b, y)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(a @ b))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(a @ b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transpose(dtype):
    for rows, columns in [(1, 1), (16, 16), (17, 40), (40, 17), (64, 48), (3, 100)]:
        x = matrix(rows, columns, dtype, False)
        y = np.empty((columns, rows), dtype)
        transpose(x, y)
        np.testing.assert_array_equal(y, x.T)
