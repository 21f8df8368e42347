"""A wrong structured gradient: `fast` against `micro`'s loops, every element, in float64 and float32, odd shapes."""

import inspect
import pickle

import numpy as np
import pytest

import fast
import micro
from fast import functional as quick
from micro import functional as loops


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def positive(*shape):
    return np.abs(numbers(*shape)) % 0.9 + 0.05


def signs(*shape):
    return np.where(numbers(*shape, seed=1) > 0, 1.0, -1.0)


# name: (function of an engine's functional module and its tensors, the arrays that become tensors with gradients)
CASES = {
    "reshape": (lambda f, x: f.reshape(x, -1, 2), [numbers(3, 4)]),
    "reshape to one": (lambda f, x: f.reshape(x, 12), [numbers(3, 4)]),
    "transpose": (lambda f, x: x.transpose(0, -1), [numbers(3, 5, 2)]),
    "permute": (lambda f, x: x.permute(2, 0, 1), [numbers(3, 5, 2)]),
    "flatten, squeeze, unsqueeze": (lambda f, x: x.flatten(1).unsqueeze(1).squeeze(1), [numbers(3, 2, 2)]),
    "broadcast_to": (lambda f, x: x.broadcast_to((2, 3, 4)), [numbers(3, 1)]),
    "expand": (lambda f, x: x.expand(2, -1, 4), [numbers(3, 1)]),
    "repeat": (lambda f, x: x.repeat(2, 1, 3), [numbers(3, 2)]),
    "flip": (lambda f, x: x.flip(0, 2), [numbers(2, 3, 2)]),
    "pad": (lambda f, x: x.pad((1, 2, 0, 1), value=3.0), [numbers(2, 2, 3)]),
    "cat": (lambda f, a, b: a.engine.cat([a, b, a], 1), [numbers(2, 3), numbers(2, 1)]),
    "stack": (lambda f, a, b: a.engine.stack([a, b], -1), [numbers(2, 3), numbers(2, 3, seed=1)]),
    "split": (lambda f, x: x.split(2, 1)[1] * x.split([1, 3, 1], 1)[2], [numbers(2, 5)]),
    "chunk": (lambda f, x: x.chunk(3)[2] - x.chunk(3)[0].sum(), [numbers(7, 2)]),
    "gather": (lambda f, x: x.gather(1, x.engine.tensor([[0, 0, 4], [3, -1, 0]])), [numbers(3, 5)]),
    "where": (lambda f, a, b: a.engine.where(a > b, a, b * 2), [numbers(3, 4), numbers(4)]),
    "clip": (lambda f, x: x.clip(-0.5, 0.7), [numbers(4, 5)]),
    "clip from below": (lambda f, x, a: x.clip(min=a), [numbers(4, 5), numbers(5)]),
    "maximum with a number": (lambda f, x: x.maximum(0.1), [numbers(4, 5)]),
    "prod": (lambda f, x: x.prod(1), [numbers(3, 4)]),
    "prod with zeros": (lambda f, x: (x * (x > -0.5)).prod((0, 2)), [numbers(3, 2, 2)]),
    "prod of one": (lambda f, x: x.prod(), [numbers(1)]),
    "var": (lambda f, x: x.var((0, 2)), [numbers(3, 4, 2)]),
    "std": (lambda f, x: x.std(1, correction=0, keepdim=True), [numbers(3, 4)]),
    "max": (lambda f, x: x.max(), [numbers(3, 4)]),
    "max, a tie": (lambda f, x: x.max() * x.min(), [np.array([1.0, 2.0, 2.0, 2.0, 1.0])]),
    "max along": (lambda f, x: x.max(1).values - x.min(0, keepdim=True).values, [numbers(3, 3)]),
    "max along, a tie": (lambda f, x: x.max(0).values, [np.array([[2.0, 1.0], [2.0, 1.0]])]),
    "cumsum": (lambda f, x: x.cumsum(1), [numbers(3, 4, 2)]),
    "logsumexp": (lambda f, x: (x * 500).logsumexp((0, -1)), [numbers(3, 4, 2)]),
    "logsumexp of all": (lambda f, x: x.logsumexp(keepdim=True), [numbers(3, 4)]),
    "sum of several": (lambda f, x: x.sum((0, 2)) + x.mean((2, 0)), [numbers(3, 4, 2)]),
    "outer": (lambda f, a, b: a.outer(b), [numbers(3), numbers(4)]),
    "matmul, vectors": (lambda f, a, b: a @ b, [numbers(5), numbers(5, seed=1)]),
    "matmul, matrix and vector": (lambda f, a, b: a @ b, [numbers(3, 5), numbers(5)]),
    "matmul, vector and matrix": (lambda f, a, b: a @ b, [numbers(5), numbers(5, 3)]),
    "matmul, stacks": (lambda f, a, b: a @ b, [numbers(2, 3, 5), numbers(2, 5, 4)]),
    "matmul, stretched": (lambda f, a, b: a @ b, [numbers(2, 1, 3, 5), numbers(4, 5, 2)]),
    "matmul, stack and matrix": (lambda f, a, b: a @ b, [numbers(2, 3, 5), numbers(5, 2)]),
    "matmul, stack and vector": (lambda f, a, b: a @ b, [numbers(2, 3, 5), numbers(5)]),
    "matmul, vector and stack": (lambda f, a, b: a @ b, [numbers(5), numbers(2, 5, 3)]),
    "rows by number": (lambda f, x: x[[0, 2, 0, -1]], [numbers(3, 4)]),
    "elements by number": (lambda f, x: x[:, [[0], [1]], [2, 0]], [numbers(2, 3, 4)]),
    "elements by a mask": (lambda f, x: x[x > 0], [numbers(3, 4)]),
    "rows by a mask": (lambda f, x: x[[True, False, True], 1:] * x[:2, None, 0], [numbers(3, 2)]),
    "sum": (lambda f, x: f.sum(x), [numbers(3, 5)]),
    "sum of one": (lambda f, x: f.sum(x), [numbers(1, 1)]),
    "sum rows": (lambda f, x: f.sum(x, 0), [numbers(3, 5, 2)]),
    "sum columns": (lambda f, x: f.sum(x, 1, keepdim=True), [numbers(3, 5, 2)]),
    "sum last": (lambda f, x: f.sum(x, -1), [numbers(3, 5, 2)]),
    "sum all, keepdim": (lambda f, x: f.sum(x, keepdim=True), [numbers(3, 5)]),
    "mean": (lambda f, x: f.mean(x), [numbers(7, 3)]),
    "mean rows": (lambda f, x: f.mean(x, 0), [numbers(7, 3)]),
    "mean last": (lambda f, x: f.mean(x, -1, keepdim=True), [numbers(2, 7, 3)]),
    "mean of a vector": (lambda f, x: f.mean(x, 0), [numbers(5)]),
    "matmul": (lambda f, a, b: f.matmul(a, b), [numbers(3, 5), numbers(5, 2)]),
    "matmul 1x1": (lambda f, a, b: f.matmul(a, b), [numbers(1, 1), numbers(1, 1)]),
    "a steep step": (lambda f, x: x.round() + x.floor() * x.ceil() + x.sign() * x, [numbers(3, 4)]),
    "matmul of a transpose": (lambda f, a, b: f.matmul(a.T, b), [numbers(5, 3), numbers(5, 2)]),
    "linear": (lambda f, x, w, b: f.linear(x, w, b), [numbers(7, 3), numbers(5, 3), numbers(5)]),
    "linear, one of each": (lambda f, x, w, b: f.linear(x, w, b), [numbers(1, 1), numbers(1, 1), numbers(1)]),
    "linear without bias": (lambda f, x, w: f.linear(x, w), [numbers(7, 3), numbers(5, 3)]),
    "linear of a vector": (lambda f, x, w, b: f.linear(x, w, b), [numbers(3), numbers(5, 3), numbers(5)]),
    "linear in 3-d": (lambda f, x, w, b: f.linear(x, w, b), [numbers(2, 4, 3), numbers(5, 3), numbers(5)]),
    "linear, transposed": (lambda f, x, w, b: f.linear(x.T, w.T, b), [numbers(3, 7), numbers(3, 5), numbers(5)]),
    "softmax": (lambda f, x: f.softmax(x), [numbers(3, 5)]),
    "softmax rows": (lambda f, x: f.softmax(x, 0), [numbers(3, 5, 2)]),
    "softmax of large numbers": (lambda f, x: f.softmax(x * 1000), [numbers(3, 5)]),
    "log_softmax": (lambda f, x: f.log_softmax(x, 1), [numbers(3, 5, 2)]),
    "mse_loss": (lambda f, x: f.mse_loss(x, like(x, numbers(7, 3, seed=1))), [numbers(7, 3)]),
    "hinge_loss": (lambda f, x: f.hinge_loss(x, like(x, signs(7, 1))), [numbers(7, 1)]),
    "hinge_loss, integers": (lambda f, x: f.hinge_loss(x, like(x, signs(7, 1).astype(int))), [numbers(7, 1)]),
    "binary_cross_entropy": (lambda f, x: f.binary_cross_entropy(x, like(x, positive(7, 2))), [positive(7, 2)]),
    "binary_cross_entropy, integers": (
        lambda f, x: f.binary_cross_entropy(x, like(x, np.array([[0], [1], [1]]))),
        [positive(3, 1)],
    ),
    "sum of a sum": (lambda f, x: f.mean(f.sum(x)) + f.sum(f.mse_loss(x, like(x, numbers(3, 2)))), [numbers(3, 2)]),
    "a single number": (lambda f, x: f.mse_loss(x, like(x, np.array(2.0))) + f.l2_penalty([x]), [np.array(1.5)]),
    "reshape to a single number": (lambda f, x: f.reshape(x, ()) * 2, [numbers(1, 1)]),
    "binary_cross_entropy, sure": (
        lambda f, x: f.binary_cross_entropy(x, like(x, np.array([0.0, 1.0, 1.0, 0.0]))),
        [np.array([0.0, 1.0, 0.0, 1.0])],
    ),
    "binary_cross_entropy_with_logits": (
        lambda f, x: f.binary_cross_entropy_with_logits(x * 100, like(x, positive(7, 2))),
        [numbers(7, 2)],
    ),
    "cross_entropy": (lambda f, x: f.cross_entropy(x, like(x, np.arange(7) % 3)), [numbers(7, 3)]),
    "cross_entropy, one class": (lambda f, x: f.cross_entropy(x, like(x, np.zeros(2, int))), [numbers(2, 1)]),
    "cross_entropy of large numbers": (lambda f, x: f.cross_entropy(x * 999, like(x, np.arange(4))), [numbers(4, 5)]),
    "l2_penalty": (lambda f, a, b: f.l2_penalty([a, b]), [numbers(3, 4), numbers(5)]),
    "to": (lambda f, x: f.to(x, "float64"), [numbers(3)]),
    "broadcasting": (lambda f, a, b: (a * b + b) / (a * a + 1), [numbers(3, 1, 4), numbers(5, 1)]),
    "broadcasting a single element": (lambda f, a, b: a * b - a, [numbers(1, 1), numbers(2, 3)]),
    "indexing": (lambda f, x: x[1] * x[:, 1:3][0, 1] + x[-1, 0], [numbers(3, 4)]),
    "used twice": (lambda f, x: f.matmul(x, x.T) * f.sum(x), [numbers(3, 3)]),
}


def like(tensor, array):
    """`array` as a tensor without gradient, of the engine of `tensor`."""
    dtype = None if array.dtype.kind == "i" else tensor.dtype
    return tensor.engine.tensor(array.tolist(), dtype)


def run(engine, function, arrays, dtype):
    """The result, and the gradient of every argument, where each element of the result has a weight of its own."""
    tensors = [engine.tensor(array.tolist(), dtype, requires_grad=True) for array in arrays]
    result = function(engine.functional, *tensors)
    weights = np.asarray(numbers(*result.shape, seed=2))
    result.backward(weights.tolist())
    return result.shape, np.asarray(result.tolist()), [np.asarray(tensor.grad) for tensor in tensors]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-4)])
@pytest.mark.parametrize("name", CASES)
def test_fast_against_the_loops(name, dtype, tolerance):
    function, arrays = CASES[name]
    if dtype == "float32" and name == "to":
        pytest.skip("micro has no float32")
    if dtype == "float32":
        arrays = [array.astype(dtype).astype(float) for array in arrays]  # the same numbers for both
    shape, expected, gradients = run(micro, function, arrays, "float64")
    same_shape, result, same_gradients = run(fast, function, arrays, dtype)
    assert same_shape == shape
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(same_gradients, gradients, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("name", CASES)
def test_loops_against_finite_differences(name):
    """A random direction: two evaluations check every slope at once (as in HIPS autograd's `check_grads`)."""
    function, arrays = CASES[name]
    if "sure" in name or "tie" in name:
        pytest.skip("there it has no slope")
    directions = [numbers(*array.shape, seed=3) for array in arrays]

    def total(shift):
        moved = [micro.tensor((a + shift * d).tolist(), "float64") for a, d in zip(arrays, directions, strict=True)]
        result = function(loops, *moved)
        return float((np.asarray(result.tolist()) * numbers(*result.shape, seed=2)).sum())

    step = 1e-6
    numeric = (total(step) - total(-step)) / (2 * step)
    _, _, gradients = run(micro, function, arrays, "float64")
    exact = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    assert exact == pytest.approx(numeric, rel=1e-5, abs=1e-6)


def test_gradients_accumulate_until_they_are_zeroed(engine):
    x = engine.tensor([1.0, 2.0], "float64", requires_grad=True)
    for _ in range(2):
        (x * x).sum().backward()
    assert np.asarray(x.grad).tolist() == [4.0, 8.0]
    x.zero_grad()
    (x * x).sum().backward()
    assert np.asarray(x.grad).tolist() == [2.0, 4.0]


def test_both_engines_offer_the_same_functions_with_the_same_arguments():
    def public(module):
        return {
            name: [
                p.replace(annotation=inspect.Parameter.empty) for p in inspect.signature(function).parameters.values()
            ]
            for name, function in vars(module).items()
            if inspect.isfunction(function)
        }

    assert set(public(loops)) == set(public(quick))
    for name in public(loops):
        assert public(loops)[name] == public(quick)[name], name


def test_both_engines_offer_the_same_methods():
    def public(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    only_array = {"flat", "values"}  # what it is made of
    only_tensor = {
        "constant",
        "data",
        "maker",
        "op",
        "parents",
        "saved",
        "slopes",
    }  # an Array is no node: its Values are
    needs_numpy = {"numpy"}  # micro stands on the standard library
    assert public(micro.Array) - only_array == public(fast.Tensor) - only_tensor - needs_numpy


def test_both_engines_offer_the_same_words():
    kinds = {"Array", "Value", "Constant", "Op", "OPS"}  # what micro's tensors are made of
    others = {"Tensor", "Rule"}  # what fast's are
    needs_numpy = {"from_dlpack"}
    compiled = {"Tape", "TapeRun", "compile", "scalars", "train_runs", "Step", "compile_step", "Peaks", "measure_peaks"}
    machine = {"Device", "devices"}  # what fast computes on
    assert set(micro.__all__) - kinds == set(fast.__all__) - others - needs_numpy - compiled - machine
    for name in set(micro.__all__) & set(fast.__all__):
        mine, theirs = getattr(micro, name), getattr(fast, name)
        if inspect.isfunction(mine):
            assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters), name


def test_converting_keeps_the_graph(engine):
    x = engine.tensor([1.0, 2.0], "float64", requires_grad=True)
    (x.to("float32") * 3).sum().backward()
    assert np.asarray(x.grad).tolist() == [3.0, 3.0]
    labels = x.to("int64")
    assert (labels.dtype, labels.tolist()) == ("int64", [1, 2])
    assert (labels.to("float32") * 2).tolist() == [2.0, 4.0]


def test_sums_of_float32_keep_their_digits():
    x = fast.tensor(np.full((1 << 22, 1), 0.1, "float32"), requires_grad=True)
    exact = float(np.float32(0.1)) * (1 << 22)
    assert x.sum(0).item() == pytest.approx(exact, rel=1e-6)
    bias = fast.tensor([0.0], requires_grad=True)
    (x + bias).backward(np.full(x.shape, 0.1))
    assert bias.grad.item() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("rows", [1 << 17, 1 << 22], ids=["serial", "parallel"])
def test_the_gradient_of_a_bias_keeps_its_digits_in_float32(rows):
    x, weight = fast.tensor(np.ones((rows, 1), "float32")), fast.tensor([[1.0]])
    bias = fast.tensor([0.0], requires_grad=True)
    quick.linear(x, weight, bias).backward(np.full((rows, 1), 0.1))
    assert bias.grad.item() == pytest.approx(float(np.float32(0.1)) * rows, rel=1e-6)


def test_a_part_of_a_tensor_shares_its_memory(engine):
    x = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    x[0].copy_([5.0, 6.0])
    x[1, 0].copy_(7.0)
    assert x.tolist() == [[5.0, 6.0], [7.0, 4.0]]


def test_lists_of_numpy_integers_and_numbers_of_micro_are_numbers(engine):
    assert engine.tensor(list(np.array([0, 1, 2]))).dtype == "int64"
    assert engine.tensor([micro.Value(1.5), micro.Value(2.5)]).tolist() == [1.5, 2.5]
    assert engine.tensor(micro.Value(1.5)).item() == 1.5


def test_arrays_from_elsewhere_are_the_same_to_us():
    """An unpickled array has a type object of its own; big-endian numbers come from files."""
    numbers = np.array([1.0, 2.0])
    for array in (pickle.loads(pickle.dumps(numbers)), numbers.astype(">f8"), numbers[::-1][::-1]):
        assert (fast.as_tensor(array) * fast.tensor(numbers)).tolist() == [1.0, 4.0]
    assert (fast.as_tensor(np.arange(3, dtype=np.longlong)) * 2).dtype == "int64"


def test_float32_stays_float32():
    x = fast.tensor([[1.0, 2.0]], requires_grad=True)
    y = (2 * x.tanh() + 1).softmax().mean()
    y.backward()
    assert (x.dtype, y.dtype, x.grad.dtype) == ("float32",) * 3


def test_mixed_precision_widens_and_gradients_return_in_their_own():
    x, y = fast.tensor([1.0], "float32", True), fast.tensor([2.0], "float64", True)
    z = x * y
    z.backward()
    assert (z.dtype, x.grad.dtype, y.grad.dtype) == ("float64", "float32", "float64")
