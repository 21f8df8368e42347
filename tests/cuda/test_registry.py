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
    assert KERNELS["products.product_nn_64"].launch(None, None, None, c).grid == (2, 3, 3)
    assert KERNELS["products.product_nn_128_by_four"].launch(None, None, None, c).grid == (1, 2, 3)


def test_trainings_share_their_samples():
    x, y, rates = np.empty((17, 16)), np.empty(17), np.empty((2, 129))
    assert KERNELS["lanes.train"].launch(x, y, rates) == ((2,), (128,), 17 * 17 * 8)


def test_a_kernel_is_compiled_once_for_its_type_and_its_threads(monkeypatch):
    asked = []

    def jit(signature, **options):
        asked.append((signature, options))
        return lambda function: function.__name__

    monkeypatch.setattr(registry.package, "cuda", SimpleNamespace(jit=jit))
    registry.compiled.cache_clear()
    assert registry.compiled("updates.squares", "float32") == "squares"
    assert registry.compiled("updates.squares", "float32") == "squares"
    registry.compiled.cache_clear()
    vector = registry.package.types.float32[::1]
    assert asked == [((vector, vector), {"launch_bounds": (THREADS, 1)})]
