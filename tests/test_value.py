"""The scalar engine: graphs of any depth, gradients that add up as they should, nothing left for the collector."""

import dataclasses
import gc
import math
import struct
import subprocess
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import micro
from micro import Constant, Value
from micro.ops import OPS


def test_a_value_used_twice_has_two_edges():
    x = Value(3.0)
    y = x * x
    assert y.parents == (x, x)
    assert y.slopes == (3.0, 3.0)
    y.backward()
    assert x.grad == 6.0


def test_a_chain_of_a_million_additions():
    x = total = Value(1.0)
    for _ in range(1_000_000):
        total = total + x
    total.backward()
    assert (total.data, x.grad) == (1_000_001.0, 1_000_001.0)
    del total  # taking down a deep chain must not overflow the stack either


def test_backward_twice_adds_up_for_inputs_and_starts_afresh_for_the_rest():
    x = Value(2.0)
    y = x * 3
    z = y * y
    z.backward()
    z.backward()
    assert x.grad == 2 * 36.0
    assert y.grad == 12.0
    x.zero_grad()
    z.backward()
    assert x.grad == 36.0


def test_two_results_that_share_a_part():
    x = Value(2.0)
    shared = x * x
    first, second = shared * 3, shared * 5
    first.backward()
    second.backward()
    assert x.grad == (3 + 5) * 4.0


def test_an_input_is_its_own_gradient():
    x = Value(2.0)
    x.backward(5.0)
    assert x.grad == 5.0


def test_graphs_disappear_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = Value(1.0)
        nodes = (x * 2 + x).tanh().topological_order()
        assert len(nodes) == 5
        before = len(gc.get_objects())
        for _ in range(100):
            (x * 2 + x).tanh().backward()
        assert len(gc.get_objects()) - before < 20  # not 100 graphs of 5 nodes
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_tensor_graphs_disappear_without_the_garbage_collector():
    import fast

    x = fast.tensor([1.0], requires_grad=True)
    (x * 2 + x).sum().backward()
    gc.collect()
    gc.disable()
    try:
        result = (x * 2 + x).tanh()
        memory = weakref.ref(result.data)
        result.sum().backward()
        del result
        assert memory() is None
    finally:
        gc.enable()


def test_no_grad_records_nothing(engine):
    x = engine.tensor([[2.0]], requires_grad=True)
    with engine.no_grad():
        y = (x * 3).sum()
        with engine.no_grad():
            pass
        z = (x * 3).sum()
    assert y.parents == z.parents == ()
    assert (x * 3).sum().parents != ()


def test_numbers_become_constants_on_either_side():
    x = Value(4.0)
    assert [(2 * x).data, (x * 2).data, (2 - x).data, (2 / x).data, (2**x).data] == [8.0, 8.0, -2.0, 0.5, 16.0]
    assert isinstance((2 * x).parents[0], Constant)
    assert (np.float32(2) * x).data == 8.0
    assert (np.float64(2) * x).data == 8.0
    assert abs(-x).data == 4.0


def test_parents_come_before_children_and_from_left_to_right():
    a, b, c = Value(1.0, "a"), Value(2.0, "b"), Value(3.0, "c")
    assert [node.label or node.op.name for node in (a * b + c).topological_order()] == ["a", "b", "mul", "c", "add"]


def test_backward_steps_say_what_backward_does():
    x, w = Value(2.0, "x"), Value(-0.5, "w")
    product = x * w
    result = product.tanh()
    steps = list(result.backward_steps())
    slope = 1 - result.data * result.data
    assert [step.node for step in steps] == [result, product, w, x]
    assert [step.gradient for step in steps] == [1.0, slope, 2.0 * slope, -0.5 * slope]
    (edge,) = steps[0].edges
    assert (edge.parent, edge.slope, edge.contribution, edge.before, edge.after) == (product, slope, slope, 0.0, slope)
    assert [edge.parent.label for edge in steps[1].edges] == ["x", "w"]
    assert steps[2].edges == steps[3].edges == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        edge.slope = 0.0


def test_backward_steps_pass_both_edges_of_a_square():
    x = Value(3.0)
    (first, *_) = (x * x).backward_steps()
    assert [(edge.parent is x, edge.before, edge.after) for edge in first.edges] == [(True, 0.0, 3.0), (True, 3.0, 6.0)]


def test_backward_steps_do_nothing_before_they_are_walked():
    x = Value(3.0)
    steps = (x * x * 2).backward_steps()
    assert x.grad == 0.0
    assert next(steps).node.grad == 1.0
    assert x.grad == 0.0
    assert len(list(steps)) == 3
    assert x.grad == 12.0


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 3))
def test_walking_the_steps_is_backward_bit_for_bit(seed, size, times):
    """On random graphs, also those with nan and infinity, whose inputs have a gradient from before."""
    draw = np.random.default_rng(seed)
    nodes = [Value(float(number)) for number in draw.uniform(-2, 2, 3)]
    befores = [float(number) for number in draw.normal(size=3)]
    for _ in range(size):
        op = list(OPS.values())[draw.integers(len(OPS))]
        nodes.append(Value._apply(op, *[nodes[i] for i in draw.integers(len(nodes), size=len(op.arguments))]))
    weight = float(draw.normal())

    def bits_after(run):
        for node in nodes:
            node.grad = 0.0
        for node, before in zip(nodes, befores, strict=False):
            node.grad = before
        for _ in range(times):
            run()
        return [struct.pack("d", node.grad) for node in nodes]

    steps = []
    walked = bits_after(lambda: steps.extend(nodes[-1].backward_steps(weight)))
    assert walked == bits_after(lambda: nodes[-1].backward(weight))
    assert [id(step.node) for step in steps] == [id(node) for node in nodes[-1].topological_order()[::-1]] * times


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_backward_against_the_sum_over_all_paths(seed, size):
    """On random graphs: a gradient is the sum over paths of the product of slopes, computed here by recursion."""
    draw = np.random.default_rng(seed)
    nodes = [Value(float(number)) for number in draw.uniform(0.5, 1.5, 3)]
    inputs = list(nodes)
    for _ in range(size):
        op = list(OPS.values())[draw.integers(len(OPS))]
        arguments = [nodes[i] for i in draw.integers(len(nodes), size=len(op.arguments))]
        result = Value._apply(op, *arguments)
        if math.isfinite(result.data) and all(map(math.isfinite, result.slopes)) and abs(result.data) < 1e3:
            nodes.append(result)
    if len(nodes) == 3:
        return
    root = nodes[-1]
    root.backward()
    gradients = {id(root): 1.0}

    def gradient(node):
        if id(node) not in gradients:
            gradients[id(node)] = sum(
                slope * gradient(child)
                for child in root.topological_order()
                for parent, slope in zip(child.parents, child.slopes, strict=True)
                if parent is node
            )
        return gradients[id(node)]

    for node in inputs:
        if node is not root:
            assert node.grad == pytest.approx(gradient(node), rel=1e-9, abs=1e-9)


def test_micro_imports_nothing_but_the_standard_library():
    code = """
import sys
import micro
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"micro", "__main__"}
print(sorted(name for name in foreign if not name.startswith(("_", "sitecustomize", "usercustomize"))))
"""
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(micro.__path__[0])!r} + '/..')\n{code}",
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
