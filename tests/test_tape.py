"""Tapes: bit for bit what `micro` computes, sample for sample, whatever the graph; batches, trainings, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fast
import micro
import nn
from fast import programs
from micro.ops import OPERATIONS, OPS

quickly = settings(deadline=None, derandomize=True, database=None, max_examples=150)
#: Numbers at which operations have corners, poles and overflows, and plain ones.
NUMBERS = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 700.0, 1e-300]), st.floats(-3, 3))


@st.composite
def graphs(draw):
    """(inputs, parameters, the function that computes a result of them): a random graph of the whole table."""
    inputs, parameters = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    steps = []
    for i in range(draw(st.integers(1, 25))):
        op = draw(st.one_of(st.sampled_from(sorted(OPS)), st.sampled_from(["add", "mul"])))
        places = st.integers(0, inputs + parameters + 1 + i)  # behind the leaves stand two constants
        steps.append((op, [draw(places) for _ in OPS[op].arguments]))

    def compute(x, w):
        nodes = [*x, *w, micro.Value(0.5), micro.Value(-2.0)]
        for op, places in steps:
            nodes.append(micro.Value._apply(OPS[op], *[nodes[place] for place in places]))
        return nodes[-1] + w[0]

    return inputs, parameters, compute


def bits(numbers):
    """Numbers as they are stored, in which 0 and -0 differ; every nan counts as the same."""
    array = np.asarray(numbers, float)
    return np.where(np.isnan(array), np.nan, array).tobytes()


def by_micro(compute, x, w):
    """The result and the gradients of inputs and parameters, by `micro`."""
    x, w = [micro.Value(number) for number in x], [micro.Value(number) for number in w]
    result = compute(x, w)
    result.backward()
    return result.data, [value.grad for value in x], [value.grad for value in w]


@quickly
@given(graphs(), st.data())
def test_one_sample_is_bit_for_bit_what_micro_computes(graph, data):
    inputs, parameters, compute = graph
    x, w = ([data.draw(NUMBERS) for _ in range(n)] for n in (inputs, parameters))
    at_first = [micro.Value(1.5) for _ in range(inputs)], [micro.Value(1.5) for _ in range(parameters)]
    tape = fast.compile(compute(*at_first), *at_first)
    value, grad_x, grad_w = by_micro(compute, x, w)
    run = tape.run(np.reshape(x, (1, inputs)), parameters=w)
    assert bits(run.values) == bits([value])
    assert bits(run.input_gradients) == bits(grad_x)
    assert bits(run.gradients) == bits(grad_w)
    assert bits(tape.forward(np.reshape(x, (1, inputs)), parameters=w)) == bits([value])


@quickly
@given(graphs(), st.data())
def test_every_lane_is_bit_for_bit_what_micro_computes(graph, data):
    inputs, parameters, compute = graph
    w = [data.draw(NUMBERS) for _ in range(parameters)]
    samples = data.draw(st.sampled_from([2, 3, 16, 17, 40]))
    some = [[data.draw(NUMBERS) for _ in range(inputs)] for _ in range(3)]
    x = np.reshape([some[i % 3] for i in range(samples)], (samples, inputs))
    at_first = [micro.Value(1.5) for _ in range(inputs)], [micro.Value(1.5) for _ in range(parameters)]
    run = fast.compile(compute(*at_first), *at_first).run(x, parameters=w)
    expected = [by_micro(compute, row, w) for row in x]
    assert bits(run.values) == bits([value for value, _, _ in expected])
    assert bits(run.input_gradients) == bits([grad for _, grad, _ in expected])
    with np.errstate(all="ignore"):
        sums = np.sum([grad for _, _, grad in expected], axis=0)
        size = np.sum(np.abs([grad for _, _, grad in expected]), axis=0)
        close = np.abs(run.gradients - sums) <= 1e-13 * size
    assert (close | ~np.isfinite(sums) | ~np.isfinite(size)).all()


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_operation_alone(op, dtype):
    """Beside the whole table at random: each row in its own domain, also in float32."""
    random = np.random.default_rng(0)
    x = np.stack([random.uniform(low, high, 40) for low, high in op.domain], axis=1).astype(dtype)
    values = [micro.Value(1.0) for _ in op.domain]
    run = fast.compile(micro.Value._apply(op, *values), inputs=values, dtype=dtype).run(x)
    for i, row in enumerate(x.astype(float).tolist()):
        y, slopes = op.evaluate(*row)
        if dtype == "float64":
            assert (run.values[i], *run.input_gradients[i]) == (y, *slopes)
        else:
            assert run.values.dtype == run.input_gradients.dtype == np.float32
            np.testing.assert_allclose([run.values[i], *run.input_gradients[i]], [y, *slopes], rtol=1e-5, atol=1e-6)


def moons(samples=40):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(samples, 2)), np.where(random.normal(size=samples) > 0, 1.0, -1.0)
    return x, y


def network(activation="relu", seed=0):
    return nn.MLP([2, 5, 4, 1], activation, engine=micro, seed=seed, dtype="float64")


def compiled(model, penalty=0.0, dtype="float64"):
    x, y = micro.tensor([[0.3, -0.7]]), micro.tensor([[1.0]])
    loss = nn.hinge_loss(model(x), y)
    if penalty:
        loss = loss + penalty * nn.l2_penalty(model.parameters())
    return fast.compile(loss, inputs=[x, y], parameters=model.parameters(), dtype=dtype)


def test_chains_of_products_become_one_instruction_each():
    """Of a dense layer there is an instruction for each neuron, and one for its activation."""
    tape = compiled(network("tanh"))
    program = programs.whole(tape.graph, programs.constants([tape.graph]))
    products = 2 * 5 + 5 * 4 + 4
    assert len(program.pairs) == products
    assert len(program.code) - (5 + 4 + 1) - (5 + 4) == 4  # 1 - y * s, relu, mean
    assert len(tape.graph.op) > 2 * products


def test_rows_are_used_again():
    """A thousand steps one after the other, whose slopes need no values, take a handful of rows."""
    x = micro.Value(1.0)
    y = x
    for _ in range(1_000):
        y = (y + 1.0) - 0.5
    tape = fast.compile(y, inputs=[x])
    program = programs.whole(tape.graph, programs.constants([tape.graph]))
    assert program.rows < 8
    assert program.grad_rows < 8
    assert tape.run([3.0]).values == y.data + 2


def test_what_does_not_vary_is_folded_and_what_nobody_needs_is_left_out():
    x, w, frozen = micro.Value(2.0), micro.Value(3.0, label="w"), micro.Value(4.0, label="frozen")
    frozen.requires_grad = False
    (x * 7.0).exp()  # leads nowhere
    y = x * (frozen * 2.0 + 1.0).sqrt() + w
    tape = fast.compile(y, inputs=[x], parameters=[w, frozen])
    program = programs.whole(tape.graph, programs.constants([tape.graph]))
    assert program.work == 2
    assert tape.run([5.0]).values == [5.0 * 3.0 + 3.0]
    assert tape.run([5.0]).gradients.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("samples", [2, 33, 1500])
def test_a_batch_gives_the_gradients_of_the_whole_graph(samples):
    x, y = moons(samples)
    model = network("tanh")
    tape = compiled(model, penalty=0.01)
    run = tape.run(x, y)
    loss = nn.hinge_loss(model(micro.tensor(x)), micro.tensor(y[:, None])) + 0.01 * nn.l2_penalty(model.parameters())
    loss.backward()
    grads = np.array([value.grad for p in model.parameters() for value in p.flat()])
    np.testing.assert_allclose(run.gradients / samples, grads, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(run.values.mean(), loss.data, rtol=1e-13)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    x, y = moons(1500)
    tape = compiled(network("tanh"), penalty=0.01)
    outcomes = []
    for large in (0, 1 << 60):
        monkeypatch.setattr("fast.tape.LARGE", large)
        outcomes.append(b"".join(bits(part) for part in tape.run(x, y)))
    assert outcomes[0] == outcomes[1]


OPTIMIZERS = {
    "SGD": lambda p: nn.SGD(p, lr=0.1),
    "momentum": lambda p: nn.SGD(p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: nn.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: nn.Adam(p, lr=0.01, weight_decay=0.01),
    "AdamW": lambda p: nn.AdamW(p, lr=0.01),
    "RMSprop": lambda p: nn.RMSprop(p, lr=0.005),
    "centered RMSprop": lambda p: nn.RMSprop(p, lr=0.005, momentum=0.5, centered=True, weight_decay=0.01),
    "Adagrad": lambda p: nn.Adagrad(p, lr=0.05, lr_decay=0.01, initial_accumulator_value=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_that_of_fit(name):
    """Losses, parameters and what the optimizer remembers, in two goes, against `fit` on `micro`."""
    x, y = moons(20)
    model, other = network("tanh"), network("tanh")
    optimizer, reference = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](other.parameters())
    tape = compiled(model)
    losses = np.concatenate([tape.train(x, y, optimizer=optimizer, steps=steps) for steps in (1, 5)])
    history = nn.fit(other, (x, y[:, None]), nn.hinge_loss, reference, epochs=6, shuffle=False)
    np.testing.assert_allclose(losses, history.loss, rtol=1e-12)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), rtol=1e-10, atol=1e-14)
    mine, theirs = optimizer.state_dict(), reference.state_dict()
    used = {key: array for key, array in mine.items() if key in theirs}
    assert used.keys() == theirs.keys()
    for key in theirs:
        np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-9, atol=1e-14, err_msg=key)


def test_training_in_float32_comes_close():
    x, y = moons()
    model, other = network("tanh"), network("tanh")
    losses = compiled(model, dtype="float32").train(x, y, optimizer=nn.SGD(model.parameters(), lr=0.1), steps=20)
    exact = compiled(other).train(x, y, optimizer=nn.SGD(other.parameters(), lr=0.1), steps=20)
    np.testing.assert_allclose(losses, exact, rtol=1e-5)


def test_divergence_ends_a_training_and_is_told():
    w, x = micro.Value(1.0, label="w"), micro.Value(1.0, label="x")
    tape = fast.compile((w * x) ** 4, inputs=[x], parameters=[w])
    losses = tape.train([1.0, 2.0], optimizer=nn.SGD([w], lr=10.0), steps=100)
    assert 2 < len(losses) < 100
    assert np.isfinite(losses[:-1]).all()
    assert not np.isfinite(losses[-1])


def test_a_large_graph_is_ready_at_once():
    """100,000 nodes; the planning is linear in them. (How many seconds it takes is for the benchmarks.)"""
    x, w = micro.Value(0.5, label="x"), [micro.Value(0.01 * i) for i in range(100)]
    y = x
    for _ in range(166):
        for weight in w:
            y = (y * weight + x * x).tanh()
    tape = fast.compile(y, [x], w)
    assert len(tape.graph.op) > 66_000
    y.backward()
    run = tape.run([0.5])
    assert run.values == [y.data]
    assert run.gradients.tolist() == [value.grad for value in w]


def test_check_finds_graphs_that_depend_on_numbers():
    w = micro.Value(2.0, label="w")

    def loss(x):
        return x * w if x.data > 0 else x * w * w

    x, positive, negative = micro.Value(1.0), micro.Value(3.0), micro.Value(-1.0)
    tape = fast.compile(loss(x), [x], [w])
    tape.check(loss(positive), [positive], [w])
    with pytest.raises(ValueError, match=r"check: the graph has 4 nodes, that of the tape 3.*compile it anew"):
        tape.check(loss(negative), [negative], [w])
    with pytest.raises(
        ValueError, match=r"node 2 of 3 is made by the operation 'add', in the tape by the operation 'mul'"
    ):
        tape.check(positive + w, [positive], [w])


def test_bad_input_is_refused_in_words():
    x, w, y = micro.Value(1.0, label="x"), micro.Value(2.0, label="w"), micro.Value(3.0, label="y")
    loss = (x * w - y) ** 2
    with pytest.raises(TypeError, match="is no Value"):
        fast.compile(fast.tensor([1.0]), [x], [w])
    with pytest.raises(ValueError, match="the leaves y, which are neither inputs nor parameters"):
        fast.compile(loss, [x], [w])
    with pytest.raises(ValueError, match="given twice"):
        fast.compile(loss, [x, y], [w, x])
    with pytest.raises(ValueError, match="a result of"):
        fast.compile(loss, [x, y, loss], [w])
    with pytest.raises(TypeError, match="is no list"):
        fast.compile(loss, x, [w])
    with pytest.raises(TypeError, match="no tensor of micro"):
        fast.compile(loss, [x, y], [fast.tensor([2.0])])
    with pytest.raises(ValueError, match="dtype='float16'"):
        fast.compile(loss, [x, y], [w], dtype="float16")
    with pytest.raises(ValueError, match="depends on no input"):
        fast.compile(micro.Value(1.0) + 1.0)
    with pytest.raises(TypeError, match="no Value of micro"):
        fast.compile(loss, [x, micro.tensor([1, 2])], [w])
    tape = fast.compile(loss, [x, y], [w])
    with pytest.raises(ValueError, match=r"make 1 columns; give one row or more.*2 inputs \(x, y\)"):
        tape.run([1.0, 2.0])
    with pytest.raises(ValueError, match="all with the same N"):
        tape.run([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match=r"parameters has shape \(2,\), needed is \(1,\)"):
        tape.run([1.0], [2.0], parameters=[1.0, 2.0])
    with pytest.raises(ValueError, match="steps=0"):
        tape.train([1.0], [2.0], optimizer=nn.SGD([w]), steps=0)
    with pytest.raises(TypeError, match="is no optimizer"):
        tape.train([1.0], [2.0], optimizer="SGD", steps=1)
    with pytest.raises(ValueError, match="not the 1 parameters of the tape"):
        tape.train([1.0], [2.0], optimizer=nn.SGD([x]), steps=1)
