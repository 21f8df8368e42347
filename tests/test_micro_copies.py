"""What owns its numbers and what shares them; types and shapes of what is empty; numbers too large for a float."""

import numpy as np
import pytest

import fast
import micro
import nn
import viz

# Each is given the engine and x = [[1, 2], [3, 4]].
COPIES = {
    "rows by a list": lambda e, x: x[[0, 1]],
    "an element by lists": lambda e, x: x[[0], [1]],
    "elements by a mask": lambda e, x: x[x > 1],
    "cat": lambda e, x: e.cat([x]),
    "stack": lambda e, x: e.stack([x, x]),
    "repeat": lambda e, x: x.repeat(2, 1),
    "flip": lambda e, x: x.flip(0),
    "pad": lambda e, x: x.pad((0, 1)),
    "gather": lambda e, x: x.gather(0, e.tensor([[0, 1]])),
    "max": lambda e, x: x.max(),
    "max along": lambda e, x: x.max(0).values,
    "min along": lambda e, x: x.min(1).values,
    "max_pool2d": lambda e, x: e.functional.max_pool2d(x.reshape(1, 1, 2, 2), 1),
    "embedding": lambda e, x: e.functional.embedding(e.tensor([0, 1]), x),
    "sum of one": lambda e, x: x[:, :1].sum(1),
    "sum of a single number": lambda e, x: x[0, 0].sum(),
    "prod of one": lambda e, x: x[:, :1].prod(1),
    "cumsum": lambda e, x: x.cumsum(0),
    "conv1d of nothing but padding": lambda e, x: e.functional.conv1d(
        e.ones(1, 1, 1, dtype="float64"), e.ones(2, 1, 1, dtype="float64"), x[0], padding=1
    ),
}
VIEWS = {
    "reshape": lambda e, x: x.reshape(4),
    "permute": lambda e, x: x.T,
    "basic indexing": lambda e, x: x[1:, 0],
    "a NumPy integer": lambda e, x: x[np.int64(1)],
    "split": lambda e, x: x.split(1)[0],
    "chunk": lambda e, x: x.chunk(2)[1],
    "squeeze": lambda e, x: x[:1].squeeze(0),
    "unsqueeze": lambda e, x: x.unsqueeze(0),
}


def square(engine):
    return engine.tensor([[1.0, 2.0], [3.0, 4.0]], "float64", requires_grad=True)


@pytest.mark.parametrize("name", [*COPIES, *VIEWS])
def test_writing_to_a_result_changes_its_source_only_through_a_view(engine, name):
    x = square(engine)
    y = (COPIES | VIEWS)[name](engine, x)
    with engine.no_grad():
        y.copy_(np.full(y.shape, 99.0).tolist())
    assert (x.tolist() != [[1.0, 2.0], [3.0, 4.0]]) == (name in VIEWS)


def test_what_stands_in_several_places_has_one_gradient_and_can_be_written_in_one(engine):
    x = square(engine)
    y = x.repeat(2, 1)
    (y * engine.tensor([[1.0], [10.0], [100.0], [1000.0]], "float64")).sum().backward()
    assert x.grad.tolist() == [[101.0, 101.0], [1010.0, 1010.0]]
    with engine.no_grad():
        y[0] = 7.0
    assert y.tolist() == [[7.0, 7.0], [3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]


def test_a_copy_is_drawn_as_what_it_is():
    x = micro.tensor([2.0, 3.0])
    nodes, edges = viz.trace(x[[1]][0])
    assert [(node.kind, node.formula) for node in nodes] == [("input", ""), ("result", "y = x")]
    assert edges == [viz.Edge("n0", "n1", "x", "1", "1")]
    with micro.no_grad():
        assert x[[1]][0].parents == ()


def test_a_promise_to_share_is_kept():
    x = micro.tensor([[1.0, 2.0]])
    assert x.view(2).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="view"):
        x.expand(3, 2).view(6)


# ----------------------------------------------------------------------------------------------------------------------
# Indices.


@pytest.mark.parametrize("length", [2, 4])
def test_a_mask_of_the_wrong_length_is_refused(engine, length):
    x, mask = engine.arange(12).reshape(3, 4), engine.ones(length) > 0
    with pytest.raises(IndexError, match=r"mask|boolean index"):
        x[mask]
    with pytest.raises(IndexError, match=r"mask|boolean index"):
        x[mask] = 1
    with pytest.raises(IndexError, match=r"mask|boolean index"):
        x[engine.ones(3, 3) > 0]
    with pytest.raises(IndexError):
        x[:, :, mask]


def test_the_refusal_of_a_mask_shows_the_shapes():
    with pytest.raises(IndexError, match=r"\(2,\).*\(3,\)"):
        micro.arange(12).reshape(3, 4)[micro.tensor([True, False])]


@pytest.mark.parametrize(
    "index",
    [
        np.array([1, 2]),
        np.array([[0], [2]]),
        np.int64(1),
        np.int32(-1),
        np.array([True, False, True]),
        np.arange(12).reshape(3, 4) % 5 == 0,
        np.zeros(0, int),
        (slice(None), np.array([True, False, False, True])),
        (..., np.array([3, 0])),
        (np.array([1, 2]), np.int64(0)),
    ],
    ids=str,
)
def test_numpys_indices(engine, index):
    right = np.arange(12).reshape(3, 4)
    x = engine.tensor(right.tolist())
    assert (x[index].shape, x[index].dtype, x[index].tolist()) == (right[index].shape, "int64", right[index].tolist())
    x[index] = -1
    right[index] = -1
    assert x.tolist() == right.tolist()


@pytest.mark.parametrize("index", [np.array([1.0]), np.True_, 1.5, micro.Value(1.0)], ids=repr)
def test_what_is_no_index(index):
    with pytest.raises(TypeError, match="index"):
        micro.arange(3)[index]


def test_an_index_of_the_other_engine_is_refused():
    with pytest.raises(TypeError, match=r"micro.Array and fast.Tensor belong to different engines"):
        micro.arange(3)[fast.tensor([1])]


# ----------------------------------------------------------------------------------------------------------------------
# Parameters that are not trained.

OPTIMIZERS = {
    "SGD": lambda p: nn.SGD(p, lr=0.1),
    "momentum": lambda p: nn.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda p: nn.Adam(p, lr=0.1, weight_decay=0.1),
    "RMSprop": lambda p: nn.RMSprop(p, lr=0.1, weight_decay=0.1),
    "Adagrad": lambda p: nn.Adagrad(p, lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_parameters_stay_where_they_are(engine, name):
    model = nn.MLP([2, 3, 1], engine=engine, seed=0)
    for parameter in model.parameters()[:2]:
        parameter.requires_grad = False
    before = [parameter.tolist() for parameter in model.parameters()]
    data = ([[1.0, 2.0], [0.5, -1.0]], [[1.0], [0.0]])
    optimizer = OPTIMIZERS[name](model.parameters())
    nn.fit(model, data, nn.mse_loss, optimizer, epochs=2, callbacks=[nn.ClipGradNorm(1.0)])
    moved = [parameter.tolist() != old for parameter, old in zip(model.parameters(), before, strict=True)]
    assert moved == [False, False, True, True]
    assert not {0, 1} & optimizer.state.keys()


def test_frozen_parameters_do_not_count_in_the_length_of_the_gradients(engine):
    a, b = (engine.tensor([3.0], "float64", requires_grad=True) for _ in range(2))
    b.requires_grad = False
    (a * a + b * b).sum().backward()
    assert nn.clip_grad_norm_([a, b], 1.0) == pytest.approx(6.0)


# ----------------------------------------------------------------------------------------------------------------------
# Nothing at all, and numbers that are too large.

EMPTY = {
    "flip": lambda e, x: x.flip(0),
    "permute": lambda e, x: x.T,
    "cat": lambda e, x: e.cat([x, x], 1),
    "pad": lambda e, x: x.pad((1, 1)),
    "gather": lambda e, x: x.gather(0, e.zeros(0, 3, dtype="int64")),
    "argmax": lambda e, x: x.argmax(1),
    "max": lambda e, x: x.max(1).values,
    "sum": lambda e, x: x.sum(),
    "sum along": lambda e, x: x.sum(1),
    "sum to something": lambda e, x: x.sum(0),
    "prod along": lambda e, x: x.prod(1),
    "cumsum": lambda e, x: x.T.cumsum(0),
    "to": lambda e, x: x.to("int64"),
    "detach": lambda e, x: x.detach(),
    "tensor": lambda e, x: e.tensor(x),
    "repeat": lambda e, x: x.repeat(2, 2),
    "compare": lambda e, x: x > 0,
    "of truth": lambda e, x: (x > 0) & (x < 1),
    "index": lambda e, x: x[:, [0, 1]],
    "mask": lambda e, x: x[x > 0],
}


@pytest.mark.parametrize("dtype", ["bool", "int64", "float64"])
@pytest.mark.parametrize("name", EMPTY)
def test_what_is_empty_keeps_its_type_and_its_shape(name, dtype):
    mine, right = (EMPTY[name](engine, engine.zeros(0, 3, dtype=dtype)) for engine in (micro, fast))
    assert (mine.shape, mine.dtype, mine.tolist()) == (right.shape, right.dtype, right.tolist())


def test_layers_of_nothing_keep_their_shape(engine):
    f, table = engine.functional, engine.ones(4, 3)
    assert f.embedding(engine.zeros(0, 2, dtype="int64"), table).shape == (0, 2, 3)
    assert f.embedding(engine.zeros(2, 0, dtype="int64"), table).shape == (2, 0, 3)
    query, key, value = engine.ones(0, 2, 3), engine.ones(0, 4, 3), engine.ones(0, 4, 5)
    assert f.scaled_dot_product_attention(query, key, value).shape == (0, 2, 5)
    assert engine.zeros(3, 0).softmax(0).tolist() == [[], [], []]


def test_truth_and_padding(engine):
    padded = engine.tensor([True]).pad((1, 1))
    assert (padded.dtype, padded.tolist()) == ("bool", [False, True, False])
    product = engine.tensor([[True], [False]]).prod(1)
    assert (product.dtype, product.tolist()) == ("int64", [1, 0])
    assert not any(isinstance(number, bool) for number in product.tolist())


def test_arrays_of_numpy_without_elements_keep_their_type(engine):
    assert engine.tensor(np.zeros((0, 2), int)).dtype == "int64"
    assert engine.tensor(np.zeros(0, bool)).dtype == "bool"


def test_large_whole_numbers_are_exact(engine):
    large = 2**60 + 1
    assert engine.full((1,), large).tolist() == [large]
    assert engine.full((1,), 2**63 - 1).tolist() == [2**63 - 1]
    assert engine.arange(large, large + 3).tolist() == [large, large + 1, large + 2]
    assert engine.arange(large, large - 3, -2).tolist() == [large, large - 2]
    assert len(engine.arange(0, 2**60 + 1, 2**58)) == 5
    assert engine.randint(large, large + 1, (2,), seed=0).tolist() == [large, large]
    assert engine.tensor([-(2**63)]).tolist() == [-(2**63)]
    with pytest.raises(ValueError, match="9223372036854775808"):
        engine.tensor([2**63])


def test_rounding_leaves_whole_numbers_as_they_are():
    x = micro.tensor([2**60 + 1, -(2**60) - 1])
    for rounded in (x.round(), x.floor(), x.ceil()):
        assert (rounded.dtype, rounded.tolist()) == ("int64", x.tolist())
    truth = micro.tensor([True, False]).round()
    assert (truth.dtype, truth.tolist()) == ("int64", [1, 0])


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 49, 50])
def test_linspace_ends_where_it_is_to_end(engine, steps):
    numbers = engine.linspace(0.1, 0.9, steps, dtype="float64").tolist()
    assert (numbers[0], numbers[-1]) == (0.1, 0.9 if steps > 1 else 0.1)
    assert numbers == micro.linspace(0.1, 0.9, steps).tolist()
    np.testing.assert_allclose(numbers, np.linspace(0.1, 0.9, steps), rtol=1e-14)


def test_linspace_is_that_of_pytorch(engine):
    torch = pytest.importorskip("torch")
    for steps in (1, 2, 3, 49, 50):
        theirs = torch.linspace(0.1, 0.9, steps, dtype=torch.float64)
        np.testing.assert_allclose(engine.linspace(0.1, 0.9, steps, dtype="float64").tolist(), theirs, rtol=1e-15)


# ----------------------------------------------------------------------------------------------------------------------
# Ties.


@pytest.mark.parametrize(
    ("numbers", "shares"),
    [
        ([np.nan, 1.0, np.nan], [0.5, 0.0, 0.5]),
        ([0.1] * 10, [0.1] * 10),
        ([np.inf, np.inf], [0.5, 0.5]),
        ([1.7e308, 1.7e308], [0.5, 0.5]),
    ],
    ids=str,
)
def test_the_largest_of_equals_is_exact_and_they_share_its_gradient(engine, numbers, shares):
    for extreme in ("max", "min"):
        x = engine.tensor(numbers, "float64", requires_grad=True)
        largest = getattr(x, extreme)()
        largest.backward()
        np.testing.assert_equal(largest.item(), numbers[0])
        np.testing.assert_allclose(x.grad.tolist(), shares)
