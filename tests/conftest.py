import pytest

import fast
import micro


@pytest.fixture(params=[micro, fast], ids=["micro", "fast"])
def engine(request):
    """Both engines, one after the other."""
    return request.param


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
