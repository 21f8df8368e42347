"""Backpropagation, step by step: records that are the engine's numbers, and frames and pages made of nothing else."""

import html
import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
from PIL import Image, ImageColor

import fast
import micro
import nn
import viz
from micro import Value
from viz.player.frames import MARKS
from viz.player.records import LIMIT, record
from viz.tracing import number

GOLDEN = Path(__file__).parent / "golden" / "neuron_steps.json"
SVG = "{http://www.w3.org/2000/svg}"
NASTY = ["<script>alert(1)</script>", "</script><b>", "<!--", "&lt;", "a\"b'c", "\\N", "two\nlines", "{x}", "x" * 200]


def neuron():
    x, w, bias = Value(2.0, "x"), Value(-0.5, "w"), Value(1.5, "bias")
    return (w * x + bias).tanh() ** 2


def readme_neuron():
    x1, x2 = Value(2.0, label="x1"), Value(0.5, label="x2")
    w1, w2, bias = Value(-0.6, label="w1"), Value(1.0, label="w2"), Value(0.8, label="bias")
    result = (x1 * w1 + x2 * w2 + bias).tanh()
    result.label = "neuron"
    return result


def network():
    model = nn.MLP([2, 2, 1], "tanh", engine=micro, seed=0)
    return model, nn.mse_loss(model(micro.tensor([[1.0, 2.0]])), micro.tensor([[1.0]]))


# ----------------------------------------------------------------------------------------------------------------------
# Records.


def test_golden_records():
    """Where a change is meant, write the new records into tests/golden, and look at the page."""
    recorded = json.loads(json.dumps([asdict(step) for step in record(neuron()).steps]))
    golden = json.loads(GOLDEN.read_text())
    numbers = [step.pop("numbers") for step in recorded]
    assert numbers == [pytest.approx(step.pop("numbers"), rel=1e-12) for step in golden]
    assert recorded == golden


def test_the_numbers_are_the_engines():
    model, loss = network()
    steps = record(loss, lr=0.25, parameters=model.parameters()).steps
    loss.backward()
    order = loss.topological_order()
    names = {f"n{place}": node for place, node in enumerate(order)}
    for step in steps:
        node = names[step.nodes[0]]
        if step.title.startswith("Compute"):
            assert step.numbers == {"value": node.data}
        elif step.edges and step.kind == "backward":
            (edge,) = step.edges
            child, place = edge.split("-")
            assert names[child] is node
            slope, parent = node.slopes[int(place)], node.parents[int(place)]
            assert names[step.nodes[1]] is parent
            assert step.numbers["slope"] == slope
            assert step.numbers["gradient"] == node.grad
            assert step.numbers["contribution"] == slope * node.grad
            assert step.numbers["after"] == step.numbers["before"] + slope * node.grad
            shown, product = number(slope), number(slope * node.grad)
            sign = "=" if number(float(shown) * float(number(node.grad))) == product else "≈"
            assert step.formulas[1] == f"{shown} × {bracketed(number(node.grad))} {sign} {product}"
    last = {step.nodes[1]: step.numbers["after"] for step in steps if step.kind == "backward" and step.edges}
    assert last == {name: names[name].grad for name in last}
    assert set(last) == {name for name, node in names.items() if not node.constant and node is not loss}


def bracketed(text):
    return f"({text})" if text.startswith("-") else text


def test_the_update_is_that_of_gradient_descent():
    model, loss = network()
    *_, again = steps = record(loss, lr=0.25, parameters=model.parameters()).steps
    names = {f"n{place}": node for place, node in enumerate(loss.topological_order())}
    new = {names[step.nodes[0]]: step.numbers["after"] for step in steps if step.title.startswith("Update")}
    assert len(new) == 9
    loss.backward()
    nn.SGD(model.parameters(), lr=0.25).step()
    assert {node: node.data for node in new} == new
    loss_now = nn.mse_loss(model(micro.tensor([[1.0, 2.0]])), micro.tensor([[1.0]]))
    assert again.numbers == {"before": loss.data, "after": loss_now.data}
    assert again.shows[again.nodes[0] + "-value"] == number(loss_now.data)


def test_the_graph_stays_as_it_was():
    plain, called = neuron(), neuron()
    called.backward()
    called.backward()
    for loss in (plain, called):
        before = [(node.data, node.grad) for node in loss.topological_order()]
        viz.steps(loss, None)
        assert [(node.data, node.grad) for node in loss.topological_order()] == before
    assert record(plain) == record(called)


def test_gradients_come_back_also_when_the_walk_fails(monkeypatch):
    loss = neuron()
    loss.backward()
    before = [node.grad for node in loss.topological_order()]

    def broken(self):
        yield next(iter(()), None)
        raise RuntimeError("half way")

    monkeypatch.setattr(Value, "backward_steps", broken)
    with pytest.raises(RuntimeError, match="half way"):
        record(loss)
    assert [node.grad for node in loss.topological_order()] == before


def test_a_square_passes_its_gradient_through_both_edges():
    x = Value(3.0, "x")
    backward = [step for step in record(x * x).steps if step.kind == "backward" and step.edges]
    assert [step.edges for step in backward] == [("n1-0",), ("n1-1",)]
    assert [step.formulas[2] for step in backward] == ["grad of x: 0 + 3 = 3", "grad of x: 3 + 3 = 6"]


def test_formulas_in_symbols_and_in_numbers():
    a, b = Value(-2.0, "a"), Value(0.5, "b")
    loss = (a / b).relu() - a.tanh()
    lines = [line for step in record(loss).steps for line in step.formulas]
    assert "v1 = a / b = (-2) / 0.5 = -4" in lines
    assert "v2 = relu(v1) = relu(-4) = 0" in lines
    assert "v3 = tanh(a) = tanh(-2) = -0.964" in lines
    assert "d/db = -y / b = -(-4) / 0.5 = 8" in lines
    assert "d/dx = 1 - y * y = 1 - (-0.964) * (-0.964) ≈ 0.07065" in lines
    assert "d/dx = 0" in lines  # the branch of relu that applied
    assert "-1 × 1 = -1" in lines
    assert "0.07065 × (-1) = -0.07065" in lines


def test_parameters_by_value_by_label_and_by_tensor():
    x, w = Value(2.0, "x"), Value(-0.5, "w")

    def updated(parameters):
        return [step.title for step in record(x * w, parameters=parameters).steps if step.title.startswith("Update")]

    assert updated(None) == ["Update x", "Update w"]
    assert updated([w]) == updated(["w"]) == ["Update w"]
    assert updated(["w", x, w]) == ["Update x", "Update w"]
    assert updated(()) == []
    assert [step.kind for step in record(x * w, parameters=()).steps][-1] == "backward"
    tensor = micro.tensor([1.0, 2.0], requires_grad=True)
    steps = record(tensor[0] * x, parameters=[tensor]).steps
    assert [step.numbers["before"] for step in steps if step.title.startswith("Update")] == [1.0]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ("w", TypeError, "'w' is a single one; give a list"),
        (Value(1.0, "w"), TypeError, "is a single one; give a list"),
        ([3], TypeError, "3 is neither a tensor nor a label"),
        (["nobody"], ValueError, "'nobody' is no input"),
        ([Value(1.0)], ValueError, "no input of this graph"),
    ],
)
def test_parameters_that_are_none(parameters, error, message):
    with pytest.raises(error, match=message):
        viz.steps(neuron(), None, parameters=parameters)


def test_intermediate_results_cannot_be_updated():
    loss = neuron()
    with pytest.raises(ValueError, match="no input of this graph"):
        record(loss, parameters=[loss.parents[0]])


@pytest.mark.parametrize("lr", [float("nan"), float("inf"), "0.1", None])
def test_learning_rates_that_are_none(lr):
    with pytest.raises(ValueError, match=r"lr=.* is not a learning rate"):
        viz.steps(neuron(), None, lr=lr)


def test_a_tensor_is_told_to_use_micro(tmp_path):
    tensor = fast.tensor([1.0], requires_grad=True).sum()
    with pytest.raises(TypeError, match=r"Tensor has no backward_steps.*engine=micro"):
        viz.steps(tensor, tmp_path / "steps.html")
    with pytest.raises(TypeError, match=r"Array has no backward_steps.*single micro\.Value"):
        viz.steps(micro.tensor([1.0, 2.0]), tmp_path / "steps.html")
    assert list(tmp_path.iterdir()) == []


def test_too_large_a_graph_is_refused_with_advice():
    total = Value(0.0)
    while len(total.topological_order()) <= LIMIT:
        total = total + Value(1.0)
    with pytest.raises(ValueError, match=rf"{LIMIT + 1} nodes are too many .*{LIMIT} at most.*one sample"):
        viz.steps(total, None)


def test_numbers_that_changed_since_are_not_drawn_as_if_they_had_not():
    x, w = Value(2.0, "x"), Value(-0.5, "w")
    loss = x * w
    w.data = 0.5
    with pytest.raises(ValueError, match=r"loss is -1, but .* would be 1: .*compute the loss again"):
        viz.steps(loss, None)


@pytest.mark.parametrize("direction", ["RL", None])
def test_directions_and_endings(direction, tmp_path):
    with pytest.raises(ValueError, match="steps: direction="):
        viz.steps(neuron(), None, direction=direction)
    with pytest.raises(ValueError, match=r"steps: path=.* must end in \.html"):
        viz.steps(neuron(), tmp_path / "steps.gif")
    with pytest.raises(ValueError, match=r"must end in \.gif"):
        viz.steps(neuron(), None).gif(tmp_path / "steps.html")
    with pytest.raises(ValueError, match="kind='pdf'"):
        viz.steps(neuron(), None).frames(tmp_path, "pdf")
    for width in (0, 900.5):
        with pytest.raises(ValueError, match=f"gif: width={width}"):
            viz.steps(neuron(), None).gif(tmp_path / "steps.gif", width=width)
    for seconds in (0, 161, "1"):
        with pytest.raises(ValueError, match=f"write_gif: seconds={seconds!r}"):
            viz.steps(neuron(), None).gif(tmp_path / "steps.gif", seconds, 100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "loss",
    [
        lambda: Value(1.0),
        lambda: Value(1.0, "x"),
        lambda: Value(-1.0, "x").log(),
        lambda: Value(0.0, "x").log() * 0,
        lambda: Value(1e200, "x") ** 2 - Value(1e200, "z") ** 2,
        lambda: Value(2.0).detach() + 1,
        lambda: Value(1.0, "loss") * Value(2.0, "v1"),
        lambda: Value(1.5, "x").clip(-1.0, 1.0).gelu().softplus(),
    ],
)
def test_odd_graphs(loss):
    recorded = viz.steps(loss(), None, lr=0)
    labels = [node.label for node in recorded.recording.nodes if node.kind != "constant"]
    assert all(labels)
    assert len(set(labels)) == len(labels)
    ElementTree.fromstring(next(iter(svgs(recorded.page()))))


class Echo:
    """A graph that comes from no engine of ours: y = 2 x."""

    data, grad, shape, label, constant = 6.0, 0.0, (), "y", False
    dtype, engine, maker = "float64", micro, None

    class op:  # noqa: N801
        name, symbol, arguments, forward, slopes = "double", "double", ("x",), "2 * x", ("2",)

        @staticmethod
        def evaluate(x):
            return 2 * x, (2.0,)

    def __init__(self):
        self.parents, self.slopes = (Value(3.0, "x"),), (2.0,)

    def topological_order(self):
        return [*self.parents, self]

    def backward_steps(self):
        from micro.value import BackwardStep, EdgeStep

        self.grad, self.parents[0].grad = 1.0, 2.0
        yield BackwardStep(self, 1.0, (EdgeStep(self.parents[0], 2.0, 2.0, 0.0, 2.0),))
        yield BackwardStep(self.parents[0], 2.0, ())


def test_any_graph_with_the_protocol_will_do():
    lines = [line for step in viz.steps(Echo(), None).steps for line in step.formulas]
    assert "y = 2 * x = 2 * 3 = 6" in lines
    assert "x - lr × grad = 3 - 0.1 × 2 = 2.8" in lines


# ----------------------------------------------------------------------------------------------------------------------
# Frames.


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_frames_show_what_has_happened_and_nothing_that_is_to_come(tmp_path):
    recorded = viz.steps(neuron(), None)
    paths = recorded.frames(tmp_path / "new folder")
    assert [path.name for path in paths] == [f"step_{number:02}.svg" for number in range(1, 18)]
    written = {}
    for step, path in zip(recorded.steps, paths, strict=True):
        written |= step.shows
        picture = ElementTree.fromstring(path.read_bytes())
        shown = []
        for group in picture.iter(f"{SVG}g"):
            inside = [element.text for element in group.findall(f"{SVG}text")]
            if group.get("class") == "node":
                shown += [text for text in inside if re.fullmatch(r"-?[\d.]+", text or "")]
            elif group.get("class") == "edge":
                shown += inside
        assert sorted(shown) == sorted(line for text in written.values() if text for line in text.split("\n"))
        caption = " ".join(filter(None, texts(path.read_bytes()))).replace("\N{NO-BREAK SPACE}", "")
        assert all(line in caption for line in step.formulas)
        assert step.words in caption


def test_nothing_moves_between_frames(tmp_path):
    pictures = [path.read_text() for path in viz.steps(network()[1], None).frames(tmp_path)]
    assert len({re.search("<svg[^>]*>", picture)[0] for picture in pictures}) == 1
    places = []
    for picture in map(ElementTree.fromstring, pictures):
        words = [
            text for text in picture.findall(f".//{SVG}g[@class='node']/{SVG}text") if text.text in ("value", "grad")
        ]
        lines = picture.findall(f".//{SVG}g[@class='edge']/{SVG}path")
        places.append(
            [(word.get("x"), word.get("y")) for word in words] + [line.get("d").split("C")[0] for line in lines]
        )
    assert len(places[0]) == 60 + 32
    for one, other in pairwise(places):
        assert one == other


def test_frames_as_png_and_gif(tmp_path):
    recorded = viz.steps(readme_neuron(), None)
    sizes = {plt.imread(path).shape for path in viz.steps(Value(3.0) ** 2, None).frames(tmp_path, "png")}
    assert len(sizes) == 1
    path = recorded.gif(tmp_path / "neuron.gif")
    assert path.stat().st_size < 200_000
    with Image.open(path) as animation:
        assert animation.n_frames == len(recorded.steps)
        assert 850 < animation.width <= 900
        for place, step in enumerate(recorded.steps):  # each kind of step keeps its colour
            animation.seek(place)
            pixels = {colour: count for count, colour in animation.convert("RGB").getcolors(256)}
            assert max(MARKS, key=lambda kind: pixels.get(ImageColor.getrgb(MARKS[kind]), 0)) == step.kind


# ----------------------------------------------------------------------------------------------------------------------
# The text of the page; tests/test_pages.py opens it.


class Parsed(HTMLParser):
    """Elements with an id, scripts, and every address that a page names."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.scripts, self.addresses, self.tags = [], [], [], []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.addresses += [attributes[name] for name in ("src", "href", "xlink:href", "action") if name in attributes]
        if tag == "script":
            self.scripts.append("")
            self._in_script = True

    def handle_endtag(self, tag):
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data


def svgs(page):
    return re.findall(r"<figure>(<svg.*?</svg>)</figure>", page, re.DOTALL)


def test_the_page_is_one_file_that_names_no_other(tmp_path):
    path = tmp_path / "new folder" / "steps.html"
    recorded = viz.steps(neuron(), path)
    page = path.read_text(encoding="utf-8")
    assert page == recorded.page()
    parsed = Parsed(page)
    assert parsed.addresses == []
    assert len(parsed.ids) == len(set(parsed.ids))
    embedded, _ = parsed.scripts
    places = {place for step in json.loads(embedded) for place in step["shows"]}
    assert places <= set(parsed.ids)
    assert {node.name for node in recorded.recording.nodes} <= set(parsed.ids)
    assert set(recorded.recording.edges) <= set(parsed.ids)
    assert re.findall(r"https?://[^\s\"'<]*", page.replace("http://www.w3.org/2000/svg", "")) == []


@pytest.mark.parametrize("label", NASTY)
def test_labels_do_not_break_out(label):
    page = viz.steps(Value(1.0, label) * Value(2.0, "w"), None, title=label).page()
    parsed = Parsed(page)
    assert parsed.tags.count("script") == 2
    assert "b" not in parsed.tags[: parsed.tags.index("details")]
    (picture,) = svgs(page)
    shown = "".join(texts(picture))
    start = " ".join(label.split())[:29]
    assert start in shown
    embedded = page.split('id="steps">')[1].split("<")[0]  # up to whatever might end or reopen the element
    assert start in json.loads(embedded)[0]["formulas"][0]
    assert f"<title>{html.escape(label)}</title>" in page


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    recorded = viz.steps(neuron(), None)
    (frame,) = re.findall(r"<iframe [^>]*>", recorded._repr_html_())
    assert 'sandbox="allow-scripts"' in frame
    assert html.unescape(re.search('srcdoc="([^"]*)"', frame)[1]) == recorded.page()


def test_what_rounding_spoils_is_said_to_be_nearly_equal():
    """0.3333 × 3 is 0.9999, as a reader finds who computes it again; the engine, with all digits, found 1."""
    third = Value(1 / 3, "third")
    steps = viz.steps(third * 3.0, None).steps
    assert "loss = third * 3 = 0.3333 * 3 ≈ 1" in steps[1].formulas
    assert steps[-1].kind == "update"
    assert all("≈" not in line for step in viz.steps(Value(0.5, "half") * 3.0, None).steps for line in step.formulas)
