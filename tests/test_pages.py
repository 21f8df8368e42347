"""Pages in a real Chromium: every control works, the numbers are the engine's, nothing comes from the network.

Where there is no Chromium these tests skip (see the fixture `browser`).
"""

import json
import time

import pytest

import viz
from micro import Value
from viz.player.records import record
from viz.tracing import number

LABEL = "<script>alert(1)</script>"


def neuron():
    """One that has a label that is none of HTML's business, a value used twice, and a constant."""
    x, w, bias = Value(2.0, "x"), Value(-0.6, LABEL), Value(0.8, "bias")
    y = (x * w + bias).tanh()
    return (y * y + y) * 0.5


class Opened:
    """A page in the browser, in the size of a screen, light unless something else is asked for."""

    def __init__(self, browser, path, width=1280, height=900, **media):
        self.browser = browser
        for log in ("browser", "performance"):
            browser.get_log(log)  # what earlier pages left there
        features = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in media.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(path.as_uri())

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def click(self, name):
        self.find(f"#{name}").click()

    def press(self, key, selector="body"):
        self.find(selector).send_keys(key)

    def place(self):
        """The number of the step that is shown, from 1, on which all that say so must agree."""
        said = self.run(
            "return [document.getElementById('slider').value, document.getElementById('count').textContent]"
        )
        assert said[0] == said[1].split(" / ")[0]
        return int(said[0])

    def picture(self):
        """Every number and every visible line of an edge, by place."""
        return dict(
            self.run("""
                const visible = text => getComputedStyle(text).visibility === "visible";
                const numbers = [...document.querySelectorAll("figure text[id]")].map(t => [t.id, t.textContent]);
                const edges = [...document.querySelectorAll(".edge")].map(edge =>
                  [edge.id, [...edge.querySelectorAll("text")].filter(visible).map(t => t.textContent).join("\\n")]);
                return [...numbers, ...edges].filter(([place, text]) => text)""")
        )

    def said(self):
        """What the live region says, line by line."""
        return self.run("return [...document.querySelectorAll('#says p')].map(p => p.textContent)")

    def focus(self):
        return set(self.run("return [...document.querySelectorAll('.focus')].map(element => element.id)"))

    def colour(self, selector, name="color"):
        return self.run("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)

    def wait(self, condition, seconds=5):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    def complaints(self):
        """Messages of the console, and addresses that were asked for besides the page's own."""
        messages = [entry["message"] for entry in self.browser.get_log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        asked = [request["request"]["url"] for request in sent if not request["documentURL"].startswith("chrome:")]
        fetched = self.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
        return messages + fetched + [url for url in asked if url != self.browser.current_url.split("#")[0]]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "steps.html"
    viz.steps(neuron(), path, lr=0.25, parameters=[LABEL, "bias"], title=LABEL)
    return path


@pytest.fixture
def page(browser, path):
    opened = Opened(browser, path)
    yield opened
    assert opened.complaints() == []


@pytest.fixture(scope="module")
def steps():
    return record(neuron(), 0.25, [LABEL, "bias"]).steps


def test_every_step_shows_the_numbers_of_the_engine(page):
    """They are worked out here anew from the engine, not taken from the records that the page was made of."""
    loss = neuron()
    order = loss.topological_order()
    name = {id(node): f"n{place}" for place, node in enumerate(order)}
    expected = {f"{name[id(node)]}-value": number(node.data) for node in order if not node.parents}

    def agree(*lines):
        assert page.picture() == expected
        assert set(lines) <= set(page.said())
        page.click("next")

    agree()
    for node in order:
        if node.parents:
            expected[f"{name[id(node)]}-value"] = number(node.data)
            agree()
    agree(f"loss = {number(loss.data)}")
    expected |= {f"{name[id(node)]}-grad": "0" for node in order if not node.constant}
    expected[f"{name[id(loss)]}-grad"] = "1"
    agree()
    for handled in loss.backward_steps():
        for place, edge in enumerate(handled.edges):
            if edge.parent.constant:
                continue
            child = name[id(handled.node)]
            slope, gradient, contribution = map(number, (edge.slope, handled.gradient, edge.contribution))
            sign = "=" if number(float(slope) * float(gradient)) == contribution else "≈"
            product = f"{slope} × {f'({gradient})' if gradient.startswith('-') else gradient} {sign} {contribution}"
            shown = page.picture()[f"{child}-{place}"]
            assert shown.startswith("d/d")
            assert shown.endswith(f"{slope}\n{product}")
            expected[f"{child}-{place}"] = shown
            expected[f"{name[id(edge.parent)]}-grad"] = number(edge.after)
            assert page.focus() == {child, name[id(edge.parent)], f"{child}-{place}"}
            assert f"{number(edge.before)} before, {number(edge.after)} after" in page.said()[-1]
            agree(product)
    updated = [node for node in order if node.label in (LABEL, "bias")]
    for node in updated:
        node.data -= 0.25 * node.grad
        expected[f"{name[id(node)]}-value"] = number(node.data)
        agree()
    x, w, bias = (next(node for node in order if node.label == label) for label in ("x", LABEL, "bias"))
    y = (x * w + bias).tanh()
    again = (y * y + y) * 0.5
    numbers = {f"{name[id(old)]}-value": number(new.data) for old, new in zip(order, again.topological_order())}  # noqa: B905
    assert page.picture() == numbers
    assert f"to {number(again.data)}." in page.said()[-1]


def test_buttons(page, steps):
    last = len(steps)
    assert page.place() == 1
    for name, place in (
        ("previous", 1),
        ("next", 2),
        ("next", 3),
        ("previous", 2),
        ("last", last),
        ("next", last),
        ("previous", last - 1),
        ("first", 1),
    ):
        page.click(name)
        assert page.place() == place
        assert page.said() == [steps[place - 1].title, *steps[place - 1].formulas, steps[place - 1].words]


def test_buttons_of_the_parts(page, steps):
    kinds = [step.kind for step in steps]
    for kind in ("update", "backward", "loss", "forward"):
        page.find(f".parts [data-kind={kind}]").click()
        assert page.place() == kinds.index(kind) + 1
        assert page.run("return document.querySelector('[aria-current=step]').dataset.kind") == kind


def test_keys(page, steps):
    from selenium.webdriver.common.keys import Keys

    last = len(steps)
    for selector in ("body", "#slider", "#next"):
        for key, place in (
            (Keys.HOME, 1),
            (Keys.ARROW_LEFT, 1),
            (Keys.ARROW_RIGHT, 2),
            (Keys.ARROW_RIGHT, 3),
            (Keys.ARROW_LEFT, 2),
            (Keys.END, last),
            (Keys.ARROW_RIGHT, last),
        ):
            page.press(key, selector)
            assert page.place() == place
    page.press(Keys.HOME)
    page.press(" ", "#next")  # on a button, space is that button
    assert page.place() == 2
    assert page.find("#play").get_attribute("aria-label").startswith("Play")
    page.press(Keys.ARROW_RIGHT, "#speed")  # in the list of speeds, arrows choose one
    assert page.place() == 2


def test_the_keyboard_reaches_every_control(page):
    from selenium.webdriver.common.keys import Keys

    page.run("document.body.focus()")
    reached = []
    for _ in range(14):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(page.run("return document.activeElement.id || document.activeElement.dataset.kind"))
    wanted = ["forward", "loss", "backward", "update", "first", "previous", "play", "next", "last", "slider", "speed"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted


def test_the_slider(page, steps):
    page.run("slider.value = 5; slider.dispatchEvent(new Event('input'))")
    assert page.place() == 5
    assert page.said()[0] == steps[4].title
    assert page.find("#slider").get_attribute("aria-valuetext") == f"5 of {len(steps)}: {steps[4].title}"
    assert page.find("#slider").get_attribute("max") == str(len(steps))
    page.find("#slider").click()  # in its middle
    assert abs(page.place() - len(steps) / 2) < 2


def test_playing(page, steps):
    from selenium.webdriver.support.select import Select

    Select(page.find("#speed")).select_by_value("4")
    page.click("play")
    assert page.find("#play").get_attribute("aria-label") == "Pause (space)"
    page.wait(lambda: page.place() >= 3)
    page.press(" ")
    stopped = page.place()
    time.sleep(0.8)
    assert page.place() == stopped
    assert page.find("#play").get_attribute("aria-label") == "Play (space)"
    page.press(" ")
    page.wait(lambda: page.place() > stopped)
    page.click("previous")  # who steps wants to look
    stopped = page.place()
    time.sleep(0.8)
    assert page.place() == stopped
    page.click("last")
    page.click("previous")
    page.click("play")
    page.wait(lambda: page.place() == len(steps))
    page.wait(lambda: page.find("#play").get_attribute("aria-label") == "Play (space)")  # it stops at the end
    page.click("play")
    assert page.place() < len(steps) / 2  # and begins anew


def test_speed(page):
    """Milliseconds between steps, as the page asks the browser for them; a busy machine would spoil a measurement."""
    from selenium.webdriver.support.select import Select

    page.run("""
        const real = window.setInterval;
        window.asked = [];
        window.setInterval = (action, milliseconds) => { asked.push(milliseconds); return real(action, milliseconds); };
    """)
    speed = Select(page.find("#speed"))
    page.click("play")
    for value in ("0.5", "2", "4"):
        speed.select_by_value(value)  # while it plays
    page.click("play")
    assert page.run("return asked") == [2000, 4000, 1000, 500]


def test_labels_stay_text(page):
    assert page.browser.title == LABEL
    assert page.find("h1").text == LABEL
    assert LABEL in page.run("return [...document.querySelectorAll('figure text')].map(text => text.textContent)")
    assert f"{LABEL} = -0.6" in page.said()[1]
    assert page.run("return document.scripts.length") == 2


def test_a_screen_reader_is_told(page, steps):
    region = page.find("#says")
    assert (region.get_attribute("role"), region.get_attribute("aria-live")) == ("status", "polite")
    assert page.find("figure svg").get_attribute("role") == "img"
    assert page.find("figure svg").accessible_name
    names = [button.accessible_name for button in page.browser.find_elements("css selector", "button")]
    assert all(names)
    assert len(set(names)) == len(names)
    assert [page.find(f"#{name}").accessible_name for name in ("slider", "speed")] == ["Step", "Speed"]
    assert len(page.browser.find_elements("css selector", "details li")) == len(steps)


def luminance(colour):
    """Relative luminance of rgb(...), by https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_have_contrast(browser, path, scheme, steps):
    page = Opened(browser, path, color_scheme=scheme, reduced_motion="reduce")
    paper = page.colour("body", "backgroundColor")
    assert (luminance(paper) > 0.5) == (scheme == "light")
    for kind in ("forward", "loss", "backward", "update"):
        page.find(f".parts [data-kind={kind}]").click()
        chip = page.colour("[aria-current]"), page.colour("[aria-current]", "backgroundColor")
        assert contrast(*chip) > 4.5
        assert contrast(page.colour("#title"), page.colour("#says", "backgroundColor")) > 4.5
        assert contrast(page.colour("#words"), page.colour("#says", "backgroundColor")) > 4.5
        assert contrast(page.colour(".focus .outline", "stroke"), paper) > 3
    for kind in ("input", "inner", "result", "constant"):
        box = page.colour(f".{kind} .box", "fill")
        rows = [".value", ".word"] + [".grad", "text"] * (kind != "constant")
        assert min(contrast(page.colour(f".{kind} {row}", "fill"), box) for row in rows) > 4.5
    assert contrast(page.colour(".edge text", "fill"), paper) > 4.5
    assert page.complaints() == []


def test_reduced_motion(browser, path):
    def motions(**media):
        page = Opened(browser, path, **media)
        page.click("next")
        return page.colour(".edge.focus path", "animationName"), page.colour(".box", "transitionDuration")

    assert motions(reduced_motion="no-preference") == ("flow", "0.25s")
    assert motions(reduced_motion="reduce") == ("none", "0s")


@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_a_narrow_screen_cuts_nothing_off(browser, tmp_path, direction):
    path = tmp_path / "steps.html"
    recorded = viz.steps(neuron(), path, direction=direction, title="A" * 60)
    page = Opened(browser, path, width=360, height=740, reduced_motion="reduce")
    for place in range(len(recorded.steps)):
        page.run("show(arguments[0])", place)
        assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        outside = page.run("""
            return [...document.querySelectorAll("h1, button, select, input, #says p, #says, figure, .keys")]
              .filter(e => e.getBoundingClientRect().left < 0 || e.getBoundingClientRect().right > 360)
              .map(e => e.outerHTML)""")
        assert outside == []
        hidden = page.run("""
            const frame = document.querySelector("figure").getBoundingClientRect();
            return [...document.querySelectorAll(".node.focus")].map(node => node.getBoundingClientRect())
              .filter(box => box.right <= frame.left || box.left >= frame.right
                || box.bottom <= frame.top || box.top >= frame.bottom).length""")
        if recorded.steps[place].kind == "backward":
            assert hidden == 0  # the picture follows what is in focus
    assert page.complaints() == []


def test_print_shows_the_step_without_controls_on_white(browser, path):
    page = Opened(browser, path, color_scheme="dark")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    assert page.colour(".player", "display") == "none"
    assert luminance(page.colour("body", "backgroundColor")) == 1
    assert luminance(page.colour("#words")) < 0.1
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_a_notebook_can_play_it_too(browser, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8>{viz.steps(neuron(), None)._repr_html_()}", encoding="utf-8")
    page = Opened(browser, path)
    browser.switch_to.frame(0)
    try:
        page.click("next")
        assert page.place() == 2
        with pytest.raises(Exception, match=r"(?i)cross-origin|permission|blocked"):
            page.run("return parent.document.title")
    finally:
        browser.switch_to.default_content()
    assert [message for message in page.complaints() if "about:srcdoc" not in message] == []
