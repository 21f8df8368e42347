"""Run kernels in Numba's CUDA simulator, as Python: `NUMBA_ENABLE_CUDASIM=1 python tests/cuda/simulate.py [PATTERN]`.

A line for each kernel whose name the pattern is found in; the exit status says whether all results were as expected.
"""

import re
import sys
import time
import traceback

from fast.cuda import simulator

simulator.bridge()

from cases import CASES  # noqa: E402
from numba import cuda  # noqa: E402

from fast.cuda.registry import KERNELS  # noqa: E402

#: Of twelve products, two that go through all of the code; each takes seconds here.
_PRODUCTS = ("products.product_nt_64_by_four", "products.product_tn_64")


def main() -> int:
    wrong = 0
    for name, kernel in KERNELS.items():
        if not re.search(sys.argv[1] if sys.argv[1:] else "", name):
            continue
        if name.startswith("products.") and name not in _PRODUCTS:
            continue
        case, started = CASES[name]("float32"), time.perf_counter()
        try:
            cuda.jit(kernel.function)[case.launch.grid, case.launch.block, 0, case.launch.shared](*case.arguments)
            said = "" if case.error() <= case.tolerance else f"off by {case.error():.1e}"
        except Exception:
            said = traceback.format_exc()
        wrong += bool(said)
        print(f"{name}: {said or 'as expected'} ({time.perf_counter() - started:.2f} s)", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
