"""Shapes, layouts and settings that nobody has thought of: `fast` against `micro`'s loops, or against NumPy.

The lengths are small (0, 1, and primes), and so are, in each example, the thresholds from which all cores are used.
"""

import math

import numpy as np
import pytest
from agreement import set_thresholds
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes
from test_functional import numbers

import fast
import micro
from micro.ops import OPS

TOLERANCE = {"float64": 1e-10, "float32": 1e-3}
LAYOUTS = ["contiguous", "transposed", "backwards", "every second", "repeated"]
LENGTHS = st.sampled_from([0, 1, 1, 2, 3, 3, 5, 7])
DTYPES = st.sampled_from(list(TOLERANCE))

quickly = settings(deadline=None, derandomize=True, database=None, max_examples=200)


def some_shape(least=0, most=4):
    return st.lists(LENGTHS, min_size=least, max_size=most).map(tuple).filter(lambda shape: math.prod(shape) <= 150)


@st.composite
def arrays(draw, shape, dtype, low=-2.0, high=2.0):
    """Numbers that lie in memory in one of many ways."""
    layout = draw(st.sampled_from(LAYOUTS)) if shape else "contiguous"
    random = np.random.default_rng(draw(st.integers(0, 99)))
    stored, view = {
        "contiguous": (shape, lambda x: x),
        "transposed": (shape[::-1], lambda x: x.T),
        "backwards": (shape, lambda x: x[(slice(None, None, -1),) * x.ndim]),
        "every second": ([2 * n for n in shape], lambda x: x[(slice(1, None, 2),) * x.ndim]),
        "repeated": ((1, *shape[1:]), lambda x: np.broadcast_to(x, shape)),
    }[layout]
    return view(np.asarray(random.uniform(low, high, stored), dtype))


def with_some_threshold(function):
    """Run the body of a test with one of several thresholds for using all cores."""

    def test(data):
        with pytest.MonkeyPatch.context() as patch:
            set_thresholds(patch, data.draw(st.sampled_from([-1, 2, 30, 1 << 60]), "threshold"))
            function(data)

    test.__name__ = test.__qualname__ = function.__name__
    return quickly(given(data=st.data())(test))


def outcome(engine, function, tensors):
    """Result and gradients, each element of the result weighted by its own number; or the error."""
    try:
        result = function(engine, *tensors)
    except (ValueError, TypeError, IndexError) as error:
        return type(error), str(error)
    parts = list(result) if isinstance(result, tuple | list) else [result]
    if parts[0].dtype.startswith("float"):
        weights = numbers(*parts[0].shape, seed=2)
        parts[0].backward(weights if weights.ndim else weights.item())
    return parts, [tensor.grad for tensor in tensors]


def assert_same(function, given, dtype):
    """`fast` and `micro` have the same outcome for these arrays."""
    slow = outcome(micro, function, [micro.tensor(array, "float64", requires_grad=True) for array in given])
    quick = outcome(fast, function, [fast.Tensor(array, requires_grad=True) for array in given])
    if isinstance(slow[0], type):
        assert quick[0] is slow[0], (slow, quick)
        return
    assert not isinstance(quick[0], type), quick
    for mine, theirs in zip(quick[0], slow[0], strict=True):
        assert mine.dtype == (dtype if theirs.dtype == "float64" else theirs.dtype)
        assert_close(mine, theirs, dtype)
    for mine, theirs, array in zip(quick[1], slow[1], given, strict=True):
        if mine is None:
            assert not np.any(np.asarray(theirs))
        else:
            assert mine.dtype == dtype
            assert mine.shape == array.shape
            assert_close(mine, theirs, dtype)


def assert_close(mine, theirs, dtype):
    expected = np.asarray(theirs, float)
    assert mine.shape == expected.shape
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(np.asarray(mine), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)


# ----------------------------------------------------------------------------------------------------------------------
# Elementwise.


@with_some_threshold
def test_elementwise_with_broadcasting(data):
    op = OPS[data.draw(st.sampled_from(list(OPS)), "op")]
    dtype = data.draw(DTYPES, "dtype")
    sizes = shapes.mutually_broadcastable_shapes(num_shapes=len(op.slopes), min_side=0, max_side=4, max_dims=3)
    given = [
        data.draw(arrays(shape, dtype, low, high))
        for shape, (low, high) in zip(data.draw(sizes, "shapes").input_shapes, op.domain, strict=True)
    ]
    assert_same(lambda e, x, *others: x._apply(op, x, *others), given, dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Along dimensions.

ALONG_SEVERAL = ["sum", "mean", "prod", "var", "std", "any", "all", "logsumexp"]
ALONG_ONE = ["max", "min", "argmax", "argmin"]
SAME_SHAPE = ["softmax", "log_softmax", "cumsum"]


@with_some_threshold
def test_along_dimensions(data):
    name = data.draw(st.sampled_from(ALONG_SEVERAL + ALONG_ONE + SAME_SHAPE), "name")
    shape, dtype = data.draw(some_shape(), "shape"), data.draw(DTYPES, "dtype")
    one = st.integers(-len(shape), len(shape) - 1) if shape else st.just(0)
    if name in SAME_SHAPE:
        dim, more = data.draw(one, "dim"), {}
    else:
        several = st.lists(one, unique_by=lambda i: i % len(shape), max_size=3).map(tuple) if shape else st.just(())
        dim = data.draw(st.none() | one | several if name in ALONG_SEVERAL else st.none() | one, "dim")
        more = {"keepdim": data.draw(st.booleans(), "keepdim")}
    x = data.draw(arrays(shape, dtype))
    if name in ("std", "log_softmax"):  # no two equal numbers, whose slopes are infinite
        x = np.asarray(x + np.random.default_rng(0).uniform(0, 1, shape), dtype)
    assert_same(lambda e, x: getattr(x, name)(dim, **more), [x], dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Products.


@with_some_threshold
def test_products_of_all_ranks(data):
    dtype = data.draw(DTYPES, "dtype")
    fitting = shapes.mutually_broadcastable_shapes(
        signature=np.matmul.signature, min_side=0, max_side=5, max_dims=2
    ).map(lambda found: found.input_shapes)
    any_two = st.tuples(some_shape(), some_shape())
    left, right = data.draw(st.one_of(fitting, fitting, fitting, any_two), "shapes")
    assume(math.prod(left) * math.prod(right) < 4000)
    assert_same(lambda e, a, b: a @ b, [data.draw(arrays(left, dtype)), data.draw(arrays(right, dtype))], dtype)


@with_some_threshold
def test_linear(data):
    dtype, inputs, outputs = data.draw(DTYPES, "dtype"), data.draw(LENGTHS, "in"), data.draw(LENGTHS, "out")
    front = data.draw(some_shape(most=2), "in front")
    sizes = [(*front, inputs), (outputs, inputs), (outputs,)][: data.draw(st.integers(2, 3), "arguments")]
    given = [data.draw(arrays(size, dtype)) for size in sizes]
    assert_same(lambda e, *arguments: e.functional.linear(*arguments), given, dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Windows.


@st.composite
def windows(draw, dims):
    """Settings of a window: a number for all dimensions, or one for each."""

    def lengths(least, most):
        number = st.integers(least, most)
        return draw(number | st.tuples(*[number] * dims)) if dims > 1 else draw(number)

    return {"stride": lengths(1, 3), "padding": lengths(0, 2), "dilation": lengths(1, 2)}


@with_some_threshold
def test_convolutions(data):
    dtype, dims = data.draw(DTYPES, "dtype"), data.draw(st.sampled_from([1, 2, 2]), "dims")
    groups = data.draw(st.sampled_from([1, 1, 2, 3]), "groups")
    each, outputs = data.draw(st.integers(1, 2), "channels"), groups * data.draw(st.integers(1, 2), "outputs")
    size = [data.draw(st.sampled_from([1, 2, 3, 5]), "size") for _ in range(dims)]
    kernel = [data.draw(st.integers(1, 3), "kernel") for _ in range(dims)]
    samples = data.draw(st.sampled_from([0, 1, 2, 3]), "samples")
    sizes = [(samples, groups * each, *size), (outputs, each, *kernel), (outputs,)]
    given = [data.draw(arrays(shape, dtype)) for shape in sizes[: data.draw(st.integers(2, 3), "arguments")]]
    how = data.draw(windows(dims), "window") | {"groups": groups}
    if data.draw(st.booleans(), "same"):
        how |= {"padding": "same", "stride": 1}
    name = "conv1d" if dims == 1 else "conv2d"
    assert_same(lambda e, *arguments: getattr(e.functional, name)(*arguments, **how), given, dtype)


@with_some_threshold
def test_pools(data):
    name = data.draw(st.sampled_from(["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"]), "name")
    dtype = data.draw(DTYPES, "dtype")
    length = st.sampled_from([1, 2, 3, 5, 7])
    x = data.draw(arrays((data.draw(st.integers(0, 2)), 2, data.draw(length), data.draw(length)), dtype))
    number = st.integers(1, 4)
    if name == "adaptive_avg_pool2d":
        how = {"output_size": data.draw(number | st.tuples(number, number | st.none()), "size")}
    else:
        how = {"kernel_size": data.draw(number | st.tuples(number, number), "kernel"), **data.draw(windows(2))}
        if name == "avg_pool2d":
            del how["dilation"]
        if data.draw(st.booleans(), "own stride"):
            del how["stride"]
    assert_same(lambda e, x: getattr(e.functional, name)(x, **how), [x], dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Normalisation.


@with_some_threshold
def test_norms(data):
    name = data.draw(st.sampled_from(["batch_norm", "layer_norm", "rms_norm"]), "name")
    dtype, shape = data.draw(DTYPES, "dtype"), data.draw(some_shape(2), "shape")
    if name == "batch_norm":
        own, most = shape[1:2], 2
    else:
        own, most = shape[data.draw(st.integers(0, len(shape) - 1), "first") :], 2 if name == "layer_norm" else 1
    spread = np.random.default_rng(0).normal(size=shape).astype(dtype)  # not all equal, where rounding is all there is
    given = [data.draw(arrays(shape, dtype)) + 3 * spread]
    given += [data.draw(arrays(own, dtype)) for _ in range(data.draw(st.integers(0, most), "parameters"))]

    def normalized(e, x, *parameters):
        if name == "batch_norm":
            return e.functional.batch_norm(x, None, None, *parameters, training=True, eps=0.1)
        return getattr(e.functional, name)(x, own, *parameters, eps=0.1)

    assert_same(normalized, given, dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Selections and shapes.


@st.composite
def indices(draw, shape):
    """Integers, slices, dots, None; lists of integers, alone or behind slices; masks of several dimensions."""
    kind = draw(st.sampled_from(["basic", "basic", "integers", "mixed", "mask"]))
    if kind == "basic" or not shape or 0 in shape:
        return draw(shapes.basic_indices(shape, allow_newaxis=True, max_dims=6))
    if kind == "integers":
        return draw(shapes.integer_array_indices(shape, result_shape=shapes.array_shapes(max_dims=2, max_side=3)))
    if kind == "mask":
        masked = draw(st.integers(1, len(shape)))
        return draw(shapes.arrays(bool, shape[:masked]))
    place = draw(st.integers(0, len(shape) - 1))
    chosen = draw(st.lists(st.integers(-shape[place], shape[place] - 1), max_size=5))
    return (*[draw(st.slices(length)) for length in shape[:place]], chosen, *draw(st.sampled_from([(), (...,)])))


@with_some_threshold
def test_indexing_means_what_numpy_means(data):
    dtype, shape = data.draw(DTYPES, "dtype"), data.draw(some_shape(), "shape")
    x, index = data.draw(arrays(shape, dtype)), data.draw(indices(shape), "index")
    tensor = fast.Tensor(x, requires_grad=True)
    picked = tensor[index]
    expected = np.asarray(x[index])
    np.testing.assert_array_equal(picked.numpy(), expected)
    assert picked.shape == expected.shape
    weights, gradient = np.asarray(numbers(*picked.shape), dtype), np.zeros(shape, dtype)
    np.add.at(gradient, index, weights)
    picked.backward(weights)
    np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    mine, right = fast.tensor(x), x.copy()
    mine[index] = weights
    right[index] = weights
    np.testing.assert_array_equal(mine.numpy(), right)


@with_some_threshold
def test_indexing_as_in_micro(data):
    dtype, shape = data.draw(DTYPES, "dtype"), data.draw(some_shape(), "shape")
    x, index = data.draw(arrays(shape, dtype)), data.draw(indices(shape), "index")
    assert_same(lambda e, x: x[index] * 2, [x], dtype)


@with_some_threshold
def test_shapes(data):
    dtype, shape = data.draw(DTYPES, "dtype"), data.draw(some_shape(1), "shape")
    ndim = len(shape)
    order = data.draw(st.permutations(range(ndim)), "order")
    dim, other = data.draw(st.integers(-ndim, ndim - 1), "dim"), data.draw(st.integers(0, ndim - 1), "other dim")
    count = data.draw(st.integers(1, 3), "count")
    around = data.draw(st.lists(st.integers(0, 2), min_size=2 * ndim, max_size=2 * ndim).map(tuple), "around")
    front = data.draw(st.lists(st.integers(0, 2), max_size=2), "in front")
    x = data.draw(arrays(shape, dtype))
    index = np.random.default_rng(0).integers(0, max(1, shape[dim]), shape)
    function = {
        "permute": lambda e, x: x.permute(*order),
        "reshape": lambda e, x: x.permute(*order).reshape(-1, *front),
        "flatten": lambda e, x: x.permute(*order).flatten(min(other, dim % ndim), max(other, dim % ndim)),
        "transpose": lambda e, x: x.transpose(dim, other),
        "flip": lambda e, x: x.flip(dim),
        "squeeze": lambda e, x: x.unsqueeze(dim).squeeze(other),
        "expand": lambda e, x: x.unsqueeze(0).expand(count, *[-1] * ndim),
        "broadcast_to": lambda e, x: x.broadcast_to((*front, *shape)),
        "repeat": lambda e, x: x.repeat(*[n % 3 for n in around[:ndim]]),
        "pad": lambda e, x: x.pad(around, 1.5),
        "cat": lambda e, x: e.cat([x, x * 2, x[:0] if dim in (0, -ndim) else x], dim),
        "stack": lambda e, x: e.stack([x, x * x], dim),
        "split": lambda e, x: x.split(count, dim)[-1] * 2,
        "chunk": lambda e, x: x.chunk(count, dim)[0] * 2,
        "gather": lambda e, x: x.gather(dim, e.tensor(index)),
        "where": lambda e, x: e.where(x > 0.3, x, x.permute(*range(ndim)) * 0.1),
    }
    assert_same(function[data.draw(st.sampled_from(list(function)), "name")], [x], dtype)
