"""The page whose boxes open: its text, parsed, and what it does in a real browser."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import fast
import micro
import nn
import viz
from micro import Value

VOID = {"meta", "input", "br"}


class Parsed(HTMLParser):
    """The elements of a page, as (tag, attributes); fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def having(self, attribute):
        return [attributes for _, attributes in self.elements if attribute in attributes]


def insides(text):
    """The drawings that a page has packed."""
    (packed,) = re.findall(r'<script type="text/plain" id="insides">([^<]*)</script>', text)
    return zlib.decompress(base64.b64decode(packed)).decode()


def loss(engine=micro, samples=12, label=""):
    model = nn.MLP([2, 3, 1], "tanh", engine=engine, seed=0)
    x = engine.tensor(np.random.default_rng(0).normal(size=(samples, 2)))
    if label:
        x.label = label
    result = nn.hinge_loss(model(x), engine.tensor([[1]] * samples)) + 1e-4 * nn.l2_penalty(model.parameters())
    result.backward()
    return result


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The page of `loss()`."""
    return viz.graph_page(loss(), tmp_path_factory.mktemp("page") / "graph.html")


def test_every_box_that_opens_has_an_inside_and_the_other_way_round(usual):
    text = usual.read_text()
    overview, packed = Parsed(text), Parsed(insides(text))
    buttons = overview.having("data-opens") + packed.having("data-opens")
    templates = packed.having("data-name")
    assert sorted(button["data-opens"] for button in buttons) == sorted(t["data-name"] for t in templates)
    assert [button["aria-label"] for button in overview.having("data-opens")] == [
        "0 Linear(2, 3)", "1 Tanh()", "2 Linear(3, 1)", "loss",
    ]  # fmt: skip
    for button in buttons:
        assert button["role"] == "button"
        assert button["tabindex"] == "0"
        assert button["aria-expanded"] == "false"
    names = {template["data-name"]: template["data-title"] for template in templates}
    assert [names[f"view-1-{place}"] for place in range(1, 4)] == [f"0 neuron {number}" for number in range(3)]


def test_what_is_left_out_is_said(usual):
    notes = re.findall(r"<template[^>]*data-title=\"([^\"]*)\"><p>([^<]*)</p>", insides(usual.read_text()))
    said = dict(notes)
    assert said["0 Linear(2, 3)"] == "Its 153 nodes, put together in 3 neurons."  # 12 * 3 * 4 + 9
    assert said["0 neuron 0"] == "All of its 51 nodes."
    assert said["2 Linear(3, 1)"] == "10 of its 76 nodes: those for the first of its 12 values."
    assert said["loss"].endswith("put together by operation.")


def test_an_inside_stands_between_what_comes_in_and_where_its_results_go(usual):
    shown = dict(
        re.findall(r"<template[^>]*data-title=\"([^\"]*)\">(.*?)</template>", insides(usual.read_text()), re.S)
    )
    texts = {title: re.findall(r"<text[^>]*>([^<]*)</text>", svg) for title, svg in shown.items()}
    layer = texts["0 Linear(2, 3)"]
    assert {"inputs", "0 neuron 0 ▸", "to 1 Tanh()"} <= set(layer)
    assert "to loss" not in layer  # where only its parameters go
    assert {"0 neuron 2", "y = tanh(x)", "to 2 Linear(3, 1)"} <= set(texts["1 Tanh()"])


@pytest.mark.parametrize("engine", [micro, fast], ids=["micro", "fast"])
@pytest.mark.parametrize("way", ["layer", "neuron"])
def test_pages_of_both_engines_and_ways(engine, way, tmp_path):
    text = viz.graph_page(loss(engine), tmp_path / "graph.html", fold=way, constants=False).read_text()
    Parsed(text)
    Parsed(insides(text))


def test_the_page_fetches_nothing(usual):
    text = usual.read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=|url\(|https?://", text + insides(text))


def test_labels_stay_text(tmp_path):
    nasty = "<script>alert(1)</script>\"' &"
    root = loss(label=nasty)
    root.label = nasty  # which is the title of the box of the loss
    text = viz.graph_page(root, tmp_path / "graph.html", title=nasty).read_text()
    assert nasty in [template["data-title"] for template in Parsed(insides(text)).having("data-name")]
    for part in (text, insides(text)):
        assert "<script>alert" not in part
        assert nasty in "".join(Parsed(part).texts) or part is not text
    assert nasty in "".join(Parsed(insides(text)).texts)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"graph_page: path=.* must end in \.html"):
        viz.graph_page(loss(), tmp_path / "graph.svg")
    with pytest.raises(ValueError, match="fold=None"):
        viz.graph_page(loss(), tmp_path / "graph.html", fold=None)
    with pytest.raises(ValueError, match="graph_page: direction='up'"):
        viz.graph_page(loss(), tmp_path / "graph.html", direction="up")
    with pytest.raises(TypeError, match="int has no graph"):
        viz.graph_page(1, tmp_path / "graph.html")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_in_which_nothing_opens(tmp_path):
    Parsed(viz.graph_page(Value(1.0, "x") * 2, tmp_path / "graph.html").read_text())


# ----------------------------------------------------------------------------------------------------------------------
# In a browser.


def requested(browser):
    """What pages from files have asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [request["request"]["url"] for request in sent if request["documentURL"].startswith("file:")]


@pytest.fixture
def opened(browser, usual):
    """A function that opens a page, that of `loss()` unless told otherwise, and waits until it is ready."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})  # what other tests have left there
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

    def open_page(path=usual):
        browser.get(path.as_uri())
        WebDriverWait(browser, 10).until(lambda b: b.execute_script("return document.body.dataset.ready") == "yes")
        return browser

    yield open_page
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert [url for url in requested(browser) if not url.startswith("file:") or not url.endswith("graph.html")] == []


def expanded(browser):
    return [
        element.get_attribute("aria-label")
        for element in browser.find_elements("css selector", '[aria-expanded="true"]')
    ]


def box(browser, label):
    return browser.find_element("css selector", f'[data-opens][aria-label="{label}"]')


def headings(browser):
    return [element.text for element in browser.find_elements("css selector", "section section h2")]


def test_boxes_open_and_close_by_the_keyboard(opened):
    browser = opened()
    box(browser, "0 Linear(2, 3)").send_keys("\ue007")  # Enter
    assert headings(browser) == expanded(browser) == ["0 Linear(2, 3)"]
    assert "Its 153 nodes, put together in 3 neurons." in browser.find_element("id", "said").text
    box(browser, "0 neuron 1").send_keys(" ")
    assert headings(browser) == expanded(browser) == ["0 Linear(2, 3)", "0 neuron 1"]
    browser.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert headings(browser) == ["0 Linear(2, 3)"]
    assert browser.switch_to.active_element.get_attribute("aria-label") == "0 neuron 1"
    box(browser, "0 neuron 2").send_keys("\ue007")
    box(browser, "loss").send_keys("\ue007")  # which closes what else is open beside it, and within that
    assert headings(browser) == expanded(browser) == ["loss"]
    box(browser, "loss").send_keys("\ue007")
    assert headings(browser) == expanded(browser) == []


def test_boxes_open_and_close_by_clicks(opened):
    browser = opened()
    box(browser, "1 Tanh()").click()
    assert expanded(browser) == ["1 Tanh()"]
    browser.find_element("css selector", "section section button").click()
    assert expanded(browser) == headings(browser) == []
    assert browser.switch_to.active_element.get_attribute("aria-label") == "1 Tanh()"
    assert browser.find_element("id", "said").text == "Closed: 1 Tanh()"


def test_the_tab_key_reaches_every_box(opened):
    browser = opened()
    reached = []
    body = browser.find_element("tag name", "body")
    body.send_keys("\ue004")
    for _ in range(5):
        reached.append(browser.switch_to.active_element.get_attribute("aria-label"))
        browser.switch_to.active_element.send_keys("\ue004")
    assert list(filter(None, reached)) == ["0 Linear(2, 3)", "1 Tanh()", "2 Linear(3, 1)", "loss"]


def test_a_neuron_shows_the_engines_numbers(opened):
    browser = opened()
    box(browser, "0 Linear(2, 3)").click()
    box(browser, "0 neuron 2").send_keys("\ue007")
    shown = browser.find_elements("css selector", "section")[-1].text
    for node in loss().topological_order():
        if node.label.startswith("0.weight[2"):
            for text in (node.label, f"{node.data:.4g}", f"{node.grad:.4g}"):
                assert text in shown


def test_nasty_labels_in_the_browser(opened, tmp_path):
    nasty = "<script>document.title='broken'</script><img src=x onerror=alert(1)>"
    browser = opened(viz.graph_page(loss(label=nasty), tmp_path / "graph.html", title=nasty))
    box(browser, "0 Linear(2, 3)").click()
    assert browser.title == nasty
    assert nasty in browser.find_elements("css selector", "section")[-1].text
    assert browser.find_elements("css selector", "img") == []


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(17, 24, 39)")])
def test_light_and_dark(scheme, paper, opened, browser):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    opened()
    body = browser.find_element("tag name", "body")
    assert body.value_of_css_property("background-color").replace("rgba", "rgb").replace(", 1)", ")") == paper
    figure = browser.find_element("tag name", "figure")
    assert "255, 255, 255" in figure.value_of_css_property("background-color")  # whose colours were chosen on white


def test_drawings_fit_the_window_unless_told_otherwise(opened):
    browser = opened()
    width = "return document.querySelector('figure svg').getBoundingClientRect().width"
    fitting = browser.execute_script(width)
    assert fitting <= 1200
    browser.find_element("id", "fit").click()
    assert browser.execute_script(width) >= fitting
