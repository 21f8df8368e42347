import shutil

import matplotlib
import matplotlib.pyplot as plt
import pytest

import fast
import micro

matplotlib.use("agg")  # no windows, also where there is a display


@pytest.fixture(params=[micro, fast], ids=["micro", "fast"])
def engine(request):
    """Both engines, one after the other."""
    return request.param


@pytest.fixture
def closed_figures():
    """No figure outlives the test."""
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A real Chromium without a window; its logs hold what pages say and what they ask the network for."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()
