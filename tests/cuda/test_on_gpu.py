"""Every kernel of the registry on this machine's GPU, against the CPU engine's own kernels; see `cases.py`.

`make gpu` runs them. What the other tests cannot see is seen here: threads that really run at once, and the functions
that are built into the hardware.
"""

import pytest
from launching import launched

from fast.cuda import devices
from fast.cuda.package import SIMULATED
from fast.cuda.registry import KERNELS

if not SIMULATED and devices.missing():
    pytest.skip(f"this machine lacks {'; and '.join(devices.missing())}", allow_module_level=True)
everything = pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, kernel in KERNELS.items() for dtype in kernel.dtypes]
)


@everything
def test_a_launch_computes_what_the_cpu_does(name, dtype):
    case = launched(name, dtype)
    assert case.error() <= case.tolerance
