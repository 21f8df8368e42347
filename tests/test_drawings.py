"""Pictures: golden DOT text, labels that are shown letter by letter, files in every format."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import fast
import micro
import nn
import viz
from micro import OPS, Value
from viz.concepts import MAIN, SENTENCES, STEPS
from viz.graphs import escape

GOLDEN = Path(__file__).parent / "golden"
NASTY = "say \"hi\" 'there' <b>bold</b> &amp; {a|b} \\N \\\\ \\n [x] ->\nsecond line é ∂ ×"


def neuron():
    x, w, bias = Value(2.0, "x"), Value(-0.5, "w"), Value(1.5, "bias")
    y = (w * x + bias).tanh() ** 2
    y.label = "y"
    y.backward()
    return y


def tensors():
    model = nn.MLP([2, 3, 1], "tanh", engine=fast, seed=0)
    loss = nn.mse_loss(model(fast.tensor([[1.0, 2.0]] * 4)), fast.tensor([[1.0]] * 4))
    loss.backward()
    return loss


def samples():
    model = nn.MLP([2, 3, 1], "tanh", engine=micro, seed=0)
    loss = nn.mse_loss(model(micro.tensor([[1.0, 2.0]] * 4)), micro.tensor([[1.0]] * 4))
    loss.backward()
    return loss


DRAWINGS = {
    "neuron": lambda: viz.graph(neuron()),
    "tensors": lambda: viz.graph(tensors()),
    "layers": lambda: viz.graph(samples(), fold="layer"),
    "neurons": lambda: viz.graph(samples(), fold="neuron", constants=False),
    "side_by_side": lambda: viz.side_by_side(samples(), tensors()),
    "training_loop": viz.training_loop,
    "concept_map": viz.concept_map,
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_golden_dot_text(name):
    """Where a change is meant, copy the new text from the failure into tests/golden, and look at the picture."""
    assert DRAWINGS[name]().source == (GOLDEN / f"{name}.dot").read_text()


def test_the_concept_map_is_made_of_sentences(tmp_path):
    drawn = texts(viz.render(viz.concept_map(), tmp_path / "map.svg").read_bytes())
    shown = " ".join(filter(None, drawn)).split()
    for sentence in SENTENCES:
        assert set(" ".join(sentence).split()) <= set(shown)
    assert {word for subject, _, other in SENTENCES for word in (subject, other)} >= set(MAIN)


def test_the_training_loop_shows_its_lines_of_code(tmp_path):
    drawn = texts(viz.render(viz.training_loop(), tmp_path / "loop.svg").read_bytes())
    for _, title, words, code, _ in STEPS:
        assert {title.split()[1], words, code} <= {
            part for text in filter(None, drawn) for part in (text, text.split()[-1])
        }


def test_plain_nodes_and_edges():
    nodes, edges = viz.trace(neuron())
    assert [node.kind for node in nodes] == ["input", "input", "inner", "input", "inner", "inner", "constant", "result"]
    assert [node.name for node in nodes] == [f"n{i}" for i in range(8)]
    assert nodes[0] == viz.Node("n0", "input", "w", "", (("value", "-0.5"), ("grad", "1.454")))
    assert edges[0] == viz.Edge("n0", "n2", "a", "b", "2")
    assert edges[4] == viz.Edge("n4", "n5", "x", "1 - y * y", "0.7864")
    assert edges[6] == viz.Edge("n6", "n7")  # from a constant


def test_an_edge_shows_the_branch_that_applied():
    def formulas(result):
        return [(edge.formula, edge.slope) for edge in viz.trace(result)[1]]

    assert formulas(Value(2.0).relu()) == [("1", "1")]
    assert formulas(Value(-2.0).leaky_relu()) == [("0.01", "0.01")]
    assert formulas(Value(2.0).maximum(Value(2.0))) == [("0.5", "0.5"), ("0.5", "0.5")]
    assert formulas(Value(0.0).abs()) == [("0", "0")]
    x = Value(2.0)
    y = x.relu()
    x.data = -1.0  # the slope is of the number that x had
    assert formulas(y) == [("1 if x > 0 else 0", "1")]
    power = Value(-2.0) ** Value(3.0)  # whose slope in the exponent, log(-2), is not a number
    assert formulas(power) == [("b * a ** (b - 1)", "12"), (OPS["pow"].slopes[1], "nan")]


def test_a_value_used_twice_is_drawn_with_two_edges():
    x = Value(3.0)
    _, edges = viz.trace(x * x)
    assert [(edge.parent, edge.child, edge.argument) for edge in edges] == [("n0", "n1", "a"), ("n0", "n1", "b")]


def texts(svg):
    """What a reader sees in an SVG, line by line."""
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def graphviz_in_the_wheel(monkeypatch):
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("label", [NASTY, "<script>alert(1)</script>", "\\", "\\G\\L", "<", '"', "a\n\nb", "&lt;"])
def test_labels_are_shown_letter_by_letter(label, tmp_path, monkeypatch):
    graphviz_in_the_wheel(monkeypatch)
    path = viz.render(viz.graph(Value(1.0, label) * 2), tmp_path / "graph.svg")
    assert "\n".join(filter(None, label.split("\n"))) in "\n".join(filter(None, texts(path.read_bytes())))


def test_control_characters_do_not_break_the_picture(tmp_path):
    path = viz.render(viz.graph(Value(1.0, "bell \x07 and null \x00")), tmp_path / "graph.svg")
    assert "bell \ufffd and null \ufffd" in texts(path.read_bytes())
    assert escape("\t") == "\t"


@pytest.mark.parametrize(("kind", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_every_format_without_the_dot_program(kind, magic, tmp_path, monkeypatch):
    graphviz_in_the_wheel(monkeypatch)
    path = viz.render(viz.graph(Value(1.0, NASTY) * 2), tmp_path / "new folder" / f"graph.{kind}")
    assert path.read_bytes().startswith(magic)
    assert [file.name for file in path.parent.iterdir()] == [f"graph.{kind}"]


def test_the_dot_program_is_used_where_there_is_one(tmp_path, monkeypatch):
    fake = tmp_path / "dot"
    fake.write_text('#!/bin/sh\nread first\necho "$1 $first"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert viz.render(viz.graph(Value(1.0)), tmp_path / "graph.svg").read_text() == "-Tsvg digraph {\n"
    fake.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match=r"dot could not draw the graph: no; the DOT text was saved as .*graph\.dot"):
        viz.render(viz.graph(Value(1.0)), tmp_path / "graph.svg")


def test_a_graph_that_graphviz_refuses(tmp_path, monkeypatch):
    graphviz_in_the_wheel(monkeypatch)
    broken = viz.graph(Value(1.0))
    broken.body.append("this is -> not { DOT")
    with pytest.raises(RuntimeError, match=r"Graphviz could not draw the graph.*saved as .*graph\.dot"):
        viz.render(broken, tmp_path / "graph.svg")


def test_without_any_graphviz_the_text_is_saved_and_the_error_helps(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    graph = viz.graph(neuron())
    with pytest.raises(
        RuntimeError, match=r"pip install pygraphviz.*apt install.*brew install.*winget install"
    ) as caught:
        viz.render(graph, tmp_path / "graph.svg")
    assert str(tmp_path / "graph.dot") in str(caught.value)
    assert (tmp_path / "graph.dot").read_text() == graph.source


def test_a_graph_shows_itself_in_a_notebook():
    assert "1 - y * y = " in " ".join(filter(None, texts(viz.graph(neuron())._repr_mimebundle_()["image/svg+xml"])))


def test_a_drawing_of_a_layer_names_its_parameters():
    model = nn.MLP([2, 2, 1], engine=micro, seed=0)
    nodes, _ = viz.trace(model(micro.tensor([[1.0, 2.0]]))[0, 0])
    assert {"0.weight[0, 0]", "0.bias[1]", "2.weight[0, 1]"} <= {node.label for node in nodes}
