import matplotlib
import pytest

import fast
import micro

matplotlib.use("agg")  # no windows, also where there is a display


@pytest.fixture(params=[micro, fast], ids=["micro", "fast"])
def engine(request):
    """Both engines, one after the other."""
    return request.param
