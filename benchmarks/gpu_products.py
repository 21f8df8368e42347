"""Products of square matrices, in float32 and without tensor cores: the engine's, the rungs of the ladder, cuBLAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import util
from typing import Any

import numpy as np
from gpu_timing import check, prepared, seconds

from fast.cuda import package
from fast.cuda.package import cuda

SIZES = (256, 512, 1024, 2048, 4096, 8192)
#: Kernels, and the largest size of each that is worth waiting for.
KERNELS = {
    "products.product_nn_128_by_four": 8192,
    "products.product_tn_128_by_four": 8192,
    "products.product_nt_128_by_four": 8192,
    "products.product_nn_64_by_four": 8192,
    "products.product_nn_64": 4096,
    "ladder.vectorised": 4096,
    "ladder.blocked": 4096,
    "ladder.tiled": 4096,
    "ladder.naive": 2048,
}
#: Rows of a product that are compared with NumPy's in float64.
ROWS = 3
#: By how much a sum of n products may be off: each of them by half a unit in the last place, in random directions.
TOLERANCE = 1e-5


def measure(tiny: bool) -> Iterator[dict[str, Any]]:
    """A row for each size and kernel."""
    library, multiply = _library()
    random = np.random.default_rng(0)
    for n in (12,) if tiny else SIZES:
        a, b = random.standard_normal((2, n, n), np.float32)
        rows = random.integers(n, size=ROWS)
        wanted = a[rows].astype(float) @ b.astype(float)
        flops, best = 2 * n**3, 0.0
        if multiply:
            time, found = multiply(a, b)
            check(f"{library}, {n} x {n}", found[rows], wanted, TOLERANCE)
            best = flops / time
            yield {"kernel": library, "n": n, "GF/s": best / 1e9, f"of {library}": 1.0}
        for name, largest in KERNELS.items():
            if n <= largest:
                time, found = _ours(name, a, b)
                check(f"{name}, {n} x {n}", found[rows], wanted, TOLERANCE)
                compared = {f"of {library}": flops / time / best} if multiply else {}
                yield {"kernel": name, "n": n, "GF/s": flops / time / 1e9, **compared}
    if not multiply:
        yield {"kernel": "cuBLAS", "note": "left out, for neither PyTorch nor CuPy sees this GPU: pip install torch"}


def _ours(name: str, a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """The seconds of a kernel for a @ b, and what it has computed."""
    module, _, kind = name.partition(".")
    turned = kind[8:10] if module == "products" else "nn"
    first, second = (array.T if how == "t" else array for array, how in zip((a, b), turned, strict=True))
    left, right = (cuda.to_device(np.ascontiguousarray(array)) for array in (first, second))
    c = cuda.device_array(a.shape, np.float32)
    arguments = [left, right, c]
    if module == "products":
        stacks = [array.reshape(1, *array.shape) for array in arguments]
        arguments = [*stacks[:2], cuda.to_device(np.empty(0, np.float32)), stacks[2]]
    return seconds(prepared(name, "float32", *arguments)), c.copy_to_host()


def _library() -> tuple[str, Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]] | None]:
    """What calls cuBLAS, and gives the seconds and the product; None where nothing does."""
    for name, make in (("torch", _by_torch), ("cupy", _by_cupy)):
        multiply = make() if util.find_spec(name) and not package.SIMULATED else None
        if multiply:
            return f"cuBLAS ({name})", multiply
    return "", None


def _by_torch() -> Callable | None:
    import torch

    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = False

    def multiply(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
        left, right = torch.from_numpy(a).cuda(), torch.from_numpy(b).cuda()
        c = torch.empty_like(left)
        return seconds(lambda: torch.matmul(left, right, out=c)), c.cpu().numpy()

    return multiply


def _by_cupy() -> Callable | None:
    import cupy

    def multiply(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
        left, right, c = cupy.asarray(a), cupy.asarray(b), cupy.empty(a.shape, np.float32)
        return seconds(lambda: cupy.matmul(left, right, out=c)), cupy.asnumpy(c)

    return multiply
