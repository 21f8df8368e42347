"""The registry: launches that cover all there is to compute, and kernels that are compiled when first asked for."""

from types import SimpleNamespace

import numpy as np
import pytest

from fast.cuda import registry
from fast.cuda.registry import KERNELS, MOST_BLOCKS, THREADS


@pytest.mark.parametrize("count", [0, 1, THREADS, THREADS + 1, 10**9])
def test_there_is_a_thread_for_each_element_or_many_for_a_great_many(count):
    (blocks,), (threads,), shared = registry.by_element(count)
    assert threads == THREADS
    assert shared == 0
    assert 1 <= blocks <= MOST_BLOCKS
    assert blocks * threads >= min(count, MOST_BLOCKS * THREADS)


def test_a_product_has_a_block_for_each_tile():
    stacks, rows, columns = 3, 129, 65
    c = np.empty((stacks, rows, columns), np.float32)
    assert KERNELS["products.product_nn_64"].launch(c, c, None, c).grid == (9, 2)
    assert KERNELS["products.product_nn_128_by_four"].launch(c, c, None, c).grid == (6, 1)


def test_a_product_too_large_to_number_its_elements_is_refused():
    a, b, c = (SimpleNamespace(shape=shape) for shape in ((1, 2**16, 2**15), (1, 2**15, 1), (1, 2**16, 1)))
    with pytest.raises(ValueError, match=r"product: of matrices \(65536, 32768\) and \(32768, 1\).*smaller batches"):
        KERNELS["products.product_nn_64"].launch(a, b, None, c)


@pytest.mark.parametrize("stacks", [1, 100_000])
def test_grids_have_a_long_side_and_short_ones(stacks):
    """The first side of a grid may be 2^31 - 1 long, the others 65,535."""
    c = SimpleNamespace(shape=(stacks, 10_000_000, 8))
    grid = KERNELS["products.product_nn_64"].launch(c, c, None, c).grid
    assert grid[0] == stacks * 156_250
    assert max(grid[1:]) <= 65_535


def _nothing(*shape):
    return np.empty(shape, np.float32)


def test_what_is_empty_is_launched_all_the_same():
    """A grid without blocks would be refused by CUDA."""
    launches = [
        KERNELS["products.product_nn_64"].launch(_nothing(1, 0, 3), _nothing(1, 3, 5), None, _nothing(1, 0, 5)),
        KERNELS["reductions.sum_columns"].launch(_nothing(0, 3, 0), 1, _nothing(0, 1, 0)),
        KERNELS["convolution.fold"].launch(_nothing(0, 4, 9), None, None, _nothing(0, 1, 5, 5)),
        KERNELS["convolution.max_pool"].launch(_nothing(0, 5, 5), None, None, _nothing(0, 2, 2), None),
        KERNELS["lanes.train"].launch(_nothing(3, 16), _nothing(3), _nothing(2, 0)),
        KERNELS["perceptrons.train"].launch(_nothing(3, 2), _nothing(3), _nothing(0)),
        KERNELS["losses.mse_loss"].launch(_nothing(0)),
    ]
    assert all(min(launch.grid) >= 1 for launch in launches)


def test_trainings_share_their_samples():
    x, y, rates = np.empty((17, 16)), np.empty(17), np.empty((2, 129))
    assert KERNELS["lanes.train"].launch(x, y, rates) == ((2,), (128,), 17 * 17 * 8)


@pytest.mark.parametrize(
    ("package", "limits"), [("numba-cuda", {"launch_bounds": (THREADS, 1)}), ("numba", {"max_registers": 255})]
)
def test_a_kernel_is_compiled_once_for_its_type_and_its_threads(monkeypatch, package, limits):
    asked = []

    def jit(signature, **options):
        asked.append((signature, options))
        return lambda function: function.__name__

    monkeypatch.setattr(registry.package, "cuda", SimpleNamespace(jit=jit))
    monkeypatch.setattr(registry.package, "NAME", package)
    registry.compiled.cache_clear()
    assert registry.compiled("updates.squares", "float32") == "squares"
    assert registry.compiled("updates.squares", "float32") == "squares"
    registry.compiled.cache_clear()
    vector = registry.package.types.float32[::1]
    assert asked == [((vector, vector), limits)]
