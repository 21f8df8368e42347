"""Folded graphs: nothing is lost, nothing waits for itself, boxes are named after the modules that made them."""

import time
from collections import Counter

import numpy as np
import pytest

import fast
import micro
import nn
import viz
from micro import Value
from viz.folding import SMALL, folded, in_turns
from viz.tracing import order_of, outline


class Residual(nn.Module):
    """A block with operations of its own around and between the modules inside it."""

    def __init__(self, width, engine):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(width, width, engine=engine, seed=0), nn.Linear(width, width, engine=engine, seed=1)]
        )
        self.act = nn.Tanh()

    def forward(self, x):
        y = self.layers[0](x * 0.5)
        return x + self.layers[1](self.act(y))


class Generator(nn.Module):
    """A cell whose output comes back to it through another layer: its calls wait for each other."""

    def __init__(self, engine):
        super().__init__()
        self.cell = nn.RNNCell(2, 3, engine=engine, seed=0)
        self.head = nn.Linear(3, 2, engine=engine, seed=1)

    def forward(self, x):
        hidden = None
        for _ in range(3):
            hidden = self.cell(x, hidden)
            x = self.head(hidden)
        return x


def rows(engine, *shape):
    return engine.tensor(np.random.default_rng(0).normal(size=shape))


def mlp(engine):
    return nn.MLP([2, 3, 1], "tanh", engine=engine, seed=0)(rows(engine, 4, 2)).sum()


def residual(engine):
    return nn.Sequential(Residual(2, engine), nn.ReLU())(rows(engine, 3, 2)).sum()


def nested(engine):
    model = nn.Sequential(
        nn.Sequential(nn.Linear(2, 3, engine=engine, seed=0), nn.Tanh()),
        nn.Sequential(nn.Linear(3, 3, engine=engine, seed=1), nn.Tanh()),
    )
    return nn.mse_loss(model(rows(engine, 4, 2)), rows(engine, 4, 3))


def shared(engine):
    tanh = nn.Tanh()
    model = nn.Sequential(nn.Linear(2, 3, engine=engine, seed=0), tanh, nn.Linear(3, 2, engine=engine, seed=1), tanh)
    return model(rows(engine, 4, 2)).sum()


def siamese(engine):
    encoder = nn.Linear(2, 3, engine=engine, seed=0)
    return ((encoder(rows(engine, 4, 2)) - encoder(rows(engine, 4, 2))) ** 2).mean()


def generator(engine):
    return Generator(engine)(rows(engine, 2, 2)).sum()


def lstm(engine):
    model = nn.Sequential(nn.LSTM(2, 3, engine=engine, seed=0), nn.LastStep(), nn.Linear(3, 1, engine=engine, seed=1))
    return model(rows(engine, 2, 4, 2)).sum()


def attention(engine):
    return nn.MultiheadAttention(4, 2, engine=engine, seed=0)(rows(engine, 1, 3, 4)).sum()


def normalised(engine):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 2, engine=engine, seed=0), nn.BatchNorm2d(2, engine=engine), nn.ReLU(), nn.MaxPool2d(2)
    )
    return model(rows(engine, 2, 1, 5, 5)).sum()


def without_modules(engine):
    x, w = rows(engine, 3, 3), engine.tensor(np.ones((3, 3)), requires_grad=True)
    x.label, w.label = "x", "w"
    return (x @ w).tanh().sum()


MODELS = [mlp, residual, nested, shared, siamese, generator, lstm, attention, normalised, without_modules]


def boxes_of(root, way="layer"):
    return folded(outline(order_of(root, True)), way)


def titles(root, way="layer", **settings):
    return [node.label for node in viz.trace(root, way, **settings)[0] if node.label]


def a_cycle(nodes, edges):
    """The names of nodes that wait for each other, found by taking away, again and again, what waits for nothing."""
    left, edges = {node.name for node in nodes}, {(edge.parent, edge.child) for edge in edges}
    while True:
        free = left - {child for parent, child in edges if parent in left}
        if not free:
            return left
        left -= free


@pytest.mark.parametrize("way", ["layer", "neuron"])
@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_lost_and_nothing_waits_for_itself(model, way, engine):
    loss = model(engine)
    loss.backward()
    nodes, edges = viz.trace(loss, way)
    order = loss.topological_order()
    members = Counter(member for box in boxes_of(loss, way) for member in box.members)
    assert members == Counter(range(len(order)))
    assert sum(node.count for node in nodes) == len(order)
    assert a_cycle(nodes, edges) == set()
    assert [int(edge.parent[1:]) < int(edge.child[1:]) for edge in edges] == [True] * len(edges)
    assert viz.graph(loss, fold=way).source.count(" -> ") == len(edges)


@pytest.mark.parametrize("model", MODELS)
def test_edges_carry_what_passes_between_the_boxes(model):
    """Counted independently: the different nodes of a box that nodes of another box have among their parents."""
    loss = model(micro)
    order = loss.topological_order()
    home = {id(order[member]): place for place, box in enumerate(boxes_of(loss)) for member in box.members}
    passing = {(home[id(p)], home[id(n)], id(p)) for n in order for p in n.parents if home[id(p)] != home[id(n)]}
    expected = Counter((f"n{a}", f"n{b}") for a, b, _ in passing)
    nodes = {node.name: node for node in viz.trace(loss, "layer")[0]}
    for edge in viz.trace(loss, "layer")[1]:
        if nodes[edge.child].count > 1:
            words = edge.carries.replace(",", "").split()
            assert sum(int(word) for word in words if word.isdigit()) == expected[edge.parent, edge.child]


def test_layers_are_named_by_their_path_in_the_model(engine):
    assert [t for t in titles(nested(engine)) if "(" in t] == [
        "0.0 Linear(2, 3)", "0.1 Tanh()", "1.0 Linear(3, 3)", "1.1 Tanh()",
    ]  # fmt: skip
    assert {"0.layers.0 Linear(2, 2)", "0.act Tanh()", "0.layers.1 Linear(2, 2)", "1 ReLU()"} <= set(
        titles(residual(engine))
    )
    assert "1 BatchNorm2d(2, eps=1e-05, momentum=0.1, …)" in titles(normalised(engine))
    assert {"0 LSTM(2, 3)", "2 Linear(3, 1)"} <= set(titles(lstm(engine)))
    assert {"MultiheadAttention(4, 2)", "out_proj Linear(4, 4)"} <= set(titles(attention(engine)))


def test_what_a_module_does_between_its_own_modules_is_its_box():
    assert {"0 Residual(), part 1 of 2", "0 Residual(), part 2 of 2"} <= set(titles(residual(micro)))
    assert "0 Residual()" in titles(residual(fast))  # which records nothing before the first parameter


def test_all_calls_of_a_module_are_one_box_unless_they_wait_for_each_other(engine):
    assert titles(siamese(engine)).count("Linear(2, 3)") == 1
    assert [t for t in titles(shared(engine)) if "Tanh" in t] == [
        "1, 3 Tanh(), part 1 of 2", "1, 3 Tanh(), part 2 of 2",
    ]  # fmt: skip
    calls = [t for t in titles(generator(engine)) if "cell" in t or "head" in t]
    assert calls == [
        f"{name}, part {part} of 3" for part in (1, 2, 3) for name in ("cell RNNCell(2, 3)", "head Linear(3, 2)")
    ]


def test_modules_that_are_called_alike_are_counted():
    one, other = (nn.Linear(2, 2, engine=micro, seed=seed) for seed in (0, 1))
    x = rows(micro, 3, 2)
    assert [t for t in titles(other(one(x)).sum()) if "Linear" in t] == ["Linear(2, 2)", "Linear(2, 2) (2)"]
    first, second = (nn.MLP([2, 2], engine=micro, seed=seed) for seed in (0, 1))
    assert [t for t in titles(second(first(x)).sum()) if "Linear" in t] == [
        "MLP.0 Linear(2, 2)", "MLP.0 Linear(2, 2) (2)",
    ]  # fmt: skip


def test_a_layer_says_what_it_hands_on_and_how_steep_the_loss_is():
    model = nn.MLP([2, 3, 1], "tanh", engine=micro, seed=0)
    hidden = model[1](model[0](rows(micro, 4, 2)))
    loss = model[2](hidden).sum()
    loss.backward()
    nodes = {node.label.split()[-2]: dict(node.rows) for node in viz.trace(loss, "layer")[0] if "Linear(" in node.label}
    linear = nodes["Linear(2,"]
    values = np.array(model[0](rows(micro, 4, 2)))
    assert linear["values"] == "4 × 3"
    assert linear["range"] == f"{values.min():.4g} to {values.max():.4g}"
    assert linear["parameters"] == "9"
    norm = np.sqrt(sum((np.array(p.grad) ** 2).sum() for p in model[0].parameters()))
    assert linear["grad norm"] == f"{norm:.4g}"
    assert linear["nodes"] == str(4 * 3 * 4 + 9)  # two products and two sums for each value, and the parameters


def test_both_engines_say_the_same_of_the_layers_of_one_model():
    def facts(engine):
        model = nn.MLP([2, 3, 1], "tanh", engine=engine, seed=0, dtype="float64")
        loss = nn.mse_loss(model(rows(engine, 4, 2)), rows(engine, 4, 1))
        loss.backward()
        return [
            (node.label, [row for row in node.rows if row[0] in ("range", "parameters", "grad norm")])
            for node in viz.trace(loss, "layer")[0]
            if "Linear" in node.label
        ]

    assert facts(micro) == facts(fast)
    assert len(facts(fast)) == 2


def test_neurons_are_rows_of_the_weight():
    model = nn.MLP([2, 3, 2], "tanh", engine=micro, seed=0)
    loss = model(rows(micro, 4, 2)).sum()
    order = loss.topological_order()
    boxes = {box.title: box for box in boxes_of(loss, "neuron")}
    names = [f"{layer} neuron {number}" for layer, count in ((0, 3), (1, 3), (2, 2)) for number in range(count)]
    assert set(names) <= set(boxes)
    for number in range(3):
        labels = {order[member].label for member in boxes[f"0 neuron {number}"].members} - {""}
        assert labels == {f"0.weight[{number}, 0]", f"0.weight[{number}, 1]", f"0.bias[{number}]"}
        tanh = [order[member] for member in boxes[f"1 neuron {number}"].members]
        assert {node.op.name for node in tanh} == {"tanh"}
        inside = {id(order[member]) for member in boxes[f"0 neuron {number}"].members}
        assert all(id(parent) in inside for node in tanh for parent in node.parents)


def test_channels_are_neurons_and_what_hangs_together_stays_whole():
    neurons = [t for t in titles(normalised(micro), "neuron") if "neuron" in t]
    assert neurons == [f"{layer} neuron {channel}" for layer in range(4) for channel in range(2)]
    assert not any("neuron" in t for t in titles(lstm(micro), "neuron") if t.startswith("0"))
    embedding = nn.Embedding(5, 2, engine=micro, seed=0)(micro.tensor([1, 2, 2]))
    assert titles((embedding * embedding).sum(), "neuron")[0] == "Embedding(5, 2)"


def test_what_no_module_made_is_unfolded_where_it_is_small():
    loss = mlp(micro) * 2
    kinds = Counter(box.kind for box in boxes_of(loss))
    assert kinds["outside"] == 0
    assert kinds["node"] <= SMALL
    assert viz.trace(loss, "layer")[1][-2].formula == "b"  # with its slopes
    assert titles(nested(micro))[-1] == "loss"
    named = nested(micro)
    named.label = "error"
    assert titles(named)[-1] == "error"


def test_a_graph_without_modules_folds_into_operations_and_named_inputs():
    nodes, _ = viz.trace(without_modules(micro), "layer")
    assert [(node.label, node.formula, node.count) for node in nodes] == [
        ("x", "", 9), ("w", "", 9), ("", "mul × 27, add × 26, tanh × 9", 62),
    ]  # fmt: skip
    assert [node.label for node in viz.trace(Value(1.0, "x"), "layer")[0]] == ["x"]
    small = Value(1.0, "x") * 2
    assert viz.trace(small, "layer")[1] == viz.trace(small)[1]


def test_parameters_that_a_penalty_uses_stay_in_their_layer(engine):
    model = nn.Linear(2, 3, engine=engine, seed=0)
    loss = model(rows(engine, 4, 2)).sum() + nn.l2_penalty(model.parameters())
    nodes, edges = viz.trace(loss, "layer")
    (layer,) = [node for node in nodes if node.kind == "layer"]
    assert dict(layer.rows)["parameters"] == "9"
    assert any(edge.carries.endswith("9 parameters") for edge in edges if edge.parent == layer.name)


def test_constants_can_be_hidden(engine):
    y = (engine.tensor(3.0, requires_grad=True) * 2 + 1).tanh()
    assert [node.kind for node in viz.trace(y)[0]].count("constant") == 2
    nodes, edges = viz.trace(y, constants=False)
    assert [node.kind for node in nodes] == ["input", "inner", "inner", "result"]
    assert len(edges) == 3
    loss = nn.hinge_loss(nn.Linear(2, 1, engine=engine, seed=0)(rows(engine, 4, 2)), engine.tensor([[1]] * 4))
    with_them, without = (sum(node.count for node in viz.trace(loss, "layer", constants)[0]) for constants in (1, 0))
    plain = sum(n.op is None and n.constant and n.shape == () for n in loss.topological_order())
    assert with_them - without == plain
    assert (plain > 0) == (engine is micro)


def test_hiding_the_constants_of_a_folded_graph_loses_no_operation():
    two = Value._apply(micro.OPS["add"], micro.value.Constant(1.0), micro.value.Constant(1.0))
    (node,) = viz.trace(two, "layer", constants=False)[0]
    assert node.formula == "y = a + b"


def test_turns_are_few_and_in_order():
    #      0 -> 1(a) -> 2(b) -> 3(a) -> 4(c);  0 -> 5(c)
    parents, keys = [(), (0,), (1,), (2,), (3,), (0,)], ["", "a", "b", "a", "c", "c"]
    assert in_turns(parents, keys, {0}) == [[1], [2], [3], [4, 5]]
    # two samples pass a and b in opposite orders: no node waits for itself, but a and b wait for each other
    assert in_turns([(), (0,), (1,), (0,), (3,)], ["", "a", "b", "b", "a"], {0}) == [[1], [2, 3], [4]]


def test_bad_arguments():
    with pytest.raises(ValueError, match="graph: fold='layers'; use 'layer' or 'neuron'"):
        viz.graph(mlp(micro), fold="layers")
    with pytest.raises(ValueError, match="side_by_side: direction='up'"):
        viz.side_by_side(mlp(micro), mlp(fast), direction="up")
    with pytest.raises(ValueError, match=r"titles=.*give two"):
        viz.side_by_side(mlp(micro), mlp(fast), titles=["one"])
    with pytest.raises(TypeError, match="list has no graph"):
        viz.trace([], "layer")


def test_what_is_too_large_is_refused_with_advice(monkeypatch):
    loss = nn.MLP([8, 16, 16, 1], engine=micro, seed=0)(rows(micro, 2, 8)).sum()
    with pytest.raises(ValueError, match=r"\d+ nodes are too many .*1000 at most.*fold='layer' or fold='neuron'"):
        viz.graph(loss)
    monkeypatch.setattr("viz.tracing.LIMIT", 20)
    with pytest.raises(ValueError, match="fold='layer'"):
        viz.graph(loss, fold="neuron")
    viz.graph(loss, fold="layer")


def test_a_graph_of_66000_nodes_folds_and_renders_quickly(tmp_path):
    model = nn.MLP([2, 16, 16, 1], engine=micro, seed=0)
    loss = nn.hinge_loss(model(rows(micro, 100, 2)), micro.tensor([[1], [-1]] * 50))
    loss = loss + 1e-4 * nn.l2_penalty(model.parameters())
    begin = time.perf_counter()
    viz.render(viz.graph(loss, fold="layer"), tmp_path / "graph.svg")
    assert time.perf_counter() - begin < 10
    assert sum(node.count for node in viz.trace(loss, "layer")[0]) > 65_000


def test_numbers_that_are_none_do_not_stop_a_drawing():
    model = nn.MLP([2, 3, 1], "tanh", engine=micro, seed=0)
    model[0].weight.copy_(np.full((3, 2), np.nan))
    loss = model(rows(micro, 4, 2)).sum()
    loss.backward()
    (layer,) = [dict(node.rows) for node in viz.trace(loss, "layer")[0] if node.label.startswith("0 ")]
    assert layer["range"] == "nan"


def test_tensors_show_the_types_that_are_not_the_default():
    for dtype, shown in (("float64", "float64"), ("float32", None)):
        nodes, _ = viz.trace(fast.tensor([1.0, 2.0], dtype, requires_grad=True).tanh().sum())
        assert [dict(node.rows).get("dtype") for node in nodes] == [shown] * 3


def test_two_graphs_side_by_side(tmp_path):
    drawn = viz.side_by_side(mlp(micro), mlp(fast))
    assert "cluster_left" in drawn.source
    assert "<B>micro</B>" in drawn.source
    assert "<B>fast</B>" in drawn.source
    assert drawn.source.count("0 Linear(2, 3)") == 2
    assert drawn.source.count("rank=same") >= 3  # the layers that both have
    nasty = viz.side_by_side(Value(1.0, "a"), Value(2.0, "b"), titles=("<script>", "x & y"), fold=None)
    assert viz.render(nasty, tmp_path / "nasty.svg").read_text().count("&lt;script&gt;") >= 1
