"""Tensors, layers and training on a GPU: everything against the same on the CPU.

`make gpu` runs this file where there is a GPU; `test_tensors.py` in a process of its own where Numba's simulator stands
for one, which NUMBA_ENABLE_CUDASIM=1 asks for.

In the simulator, which takes seconds for a product of matrices, NumPy computes products, from the arguments that their
kernels would have; the kernels have tests of their own. Where a test is named after them, they run. Blocks have as few
threads there as kernels can do with, for each is one of Python's.
"""

import copy
import gc
import pickle
from types import ModuleType

import numpy as np
import numpy_products
import pytest

import fast
import micro
import nn
from fast import functional, tensors
from fast.cuda import memory, package, registry
from fast.cuda import tape as gpu_tape
from fast.tensors import Rule, latest_first, taken_back
from micro.ops import OPS

if package.SIMULATED:
    registry.THREADS = 32

#: Of a simulated kernel; random numbers are those of arithmetic that overflows, and a GPU never warns.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in scalar:RuntimeWarning")

#: Both compute in float64 here, but add up in different orders; a GPU also multiplies and adds in one go.
CLOSE = 1e-12 if package.SIMULATED else 1e-10


@pytest.fixture(autouse=True)
def quick_products(request, monkeypatch):
    if "by_kernels" in request.node.name or not package.SIMULATED:
        return
    launch = memory.Arrays.launch

    def launch_or_multiply(self, name, *arguments):
        if not name.startswith("products."):
            launch(self, name, *arguments)
            return
        numpy_products.multiply(name, *arguments)

    monkeypatch.setattr(memory.Arrays, "launch", launch_or_multiply)


# ----------------------------------------------------------------------------------------------------------------------
# Every operation: a function of tensors, and what it is given; arrays of float64 require gradients.

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.normal(size=shape)


F = functional
X, SQUARE, CUBE, IMAGE = numbers(3, 5), numbers(4, 4), numbers(2, 3, 4), numbers(2, 4, 5, 6)
LABELS, TRUTH = np.array([1, 0, 4]), np.array([[1.0, 0, 1, 1, 0]] * 3)
WEIGHTS, CLASS_WEIGHTS = np.array([1.0, 0.5, 2.0]), np.array([1.0, 2.0, 0.5, 1.0, 3.0])
STEPS, STATE = numbers(2, 3, 3), numbers(2, 2)


def recurrent(gates):
    return numbers(gates * 2, 3), numbers(gates * 2, 2), numbers(gates * 2), numbers(gates * 2)


def weighted(loss, **settings):
    """A loss with weights, which are no parents."""
    return lambda x, *others: loss(x, *[t.detach() for t in others], sample_weight=weight_beside(x), **settings)


def weight_beside(x):
    return fast.tensor(WEIGHTS, device=x.device)


CASES = {
    **{
        f"elementwise {op.name}": (
            lambda *arguments, op=op: fast.Tensor._apply(op, *arguments),
            *[RANDOM.uniform(*interval, (2, 3)) for interval in op.domain],
        )
        for op in OPS.values()
    },
    "broadcast": (lambda a, b, c: a * b + c / 2 - 1, numbers(3, 1, 2), numbers(4, 1), numbers()),
    "compare": (lambda a, b: fast.where((a > b) | (a <= -1) & (b != 0) ^ (a >= 1), a, b * 2), X, X[::-1].copy()),
    "equal": (lambda a: fast.where(a == a.max(), a * 3, a).sum() + (a < 0).sum(), X),
    "sum": (lambda x: x.sum((0, 2)) * 2, CUBE),
    "sum of all": (lambda x: x.sum(), X),
    "sum of nothing": (lambda x: x.sum(()) * x, X),
    "mean": (lambda x: x.mean(-1, keepdim=True), CUBE),
    "var": (lambda x: x.var(0), X),
    "prod": (lambda x: x.prod((0, 1)), CUBE),
    "max": (lambda x: x.max(), np.round(X)),
    "min": (lambda x: x.min(), np.round(X)),
    "min along": (lambda x: x.min(1).values + x.min(1).indices, CUBE),
    "max along": (lambda x: x.max(0, keepdim=True).values, X),
    "cumsum": (lambda x: x.cumsum(1), CUBE),
    "logsumexp": (lambda x: x.logsumexp((0, 2)), CUBE),
    "softmax": (lambda x: x.softmax(0), X),
    "log_softmax": (lambda x: x.log_softmax(), X),
    "matmul": (lambda a, b: a @ b, CUBE, numbers(4, 3)),
    "matmul of vectors": (lambda a, b: a @ b, X[0], X[1]),
    "linear": (F.linear, X, numbers(2, 5), numbers(2)),
    "linear of a row": (F.linear, X[0], numbers(2, 5)),
    "reshape": (lambda x: x.reshape(5, -1) * 2, X),
    "permute": (lambda x: x.permute(2, 0, 1), CUBE),
    "broadcast_to": (lambda x: x.broadcast_to((2, 3, 5)), X),
    "flip": (lambda x: x.flip(0), X),
    "pad": (lambda x: x.pad((1, 2, 0, 1), -7), X),
    "cat": (lambda a, b: fast.cat([a, b], 1), X, numbers(3, 2)),
    "gather": (lambda x: x.gather(1, fast.tensor([[0, 4], [1, 1], [2, 3]], device=x.device)), X),
    "getitem": (lambda x: x[1:, ::2] * x[[2, 2], :3], X),
    "to": (lambda x: x.to("float32").to("float64") * x, np.round(X)),
    **{
        loss.__name__: (lambda x, y, loss=loss: loss(x, y.detach()), X, X[::-1].copy())
        for loss in (F.mse_loss, F.l1_loss, F.huber_loss)
    },
    "mse_loss, weighted": (weighted(F.mse_loss), X, X[::-1].copy()),
    "hinge_loss": (lambda x, y: F.hinge_loss(x, 2 * y.detach() - 1), X, TRUTH),
    "binary_cross_entropy": (lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.detach()), X, TRUTH),
    "binary_cross_entropy_with_logits": (
        weighted(F.binary_cross_entropy_with_logits, pos_weight=fast.tensor(CLASS_WEIGHTS)),
        *(X, TRUTH),
    ),
    "nll_loss": (lambda x, labels: F.nll_loss(x.log_softmax(), labels), X, LABELS),
    "cross_entropy": (
        lambda x, labels, w: F.cross_entropy(
            x, labels, weight=w.detach(), label_smoothing=0.1, sample_weight=weight_beside(x)
        ),
        *(X, LABELS, CLASS_WEIGHTS),
    ),
    "l1_penalty": (lambda a, b: F.l1_penalty([a, b]) * 0.1, X, SQUARE),
    "l2_penalty": (lambda a, b: F.l2_penalty([a, b]) * 0.1, X, SQUARE),
    "batch_norm": (
        lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, training=True),
        *(IMAGE, numbers(4), numbers(4), numbers(4), np.ones(4)),
    ),
    "batch_norm, evaluation": (
        lambda x, m, v: F.batch_norm(x, m.detach(), v.detach()),
        *(X, numbers(5), np.arange(1.0, 6)),
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 5, w, b), X, numbers(5), numbers(5)),
    "rms_norm": (lambda x: F.rms_norm(x, 5), X),
    "conv1d": (lambda x, w: F.conv1d(x, w, padding=1, stride=2), CUBE, numbers(2, 3, 3)),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=(1, 0), groups=2), IMAGE, numbers(2, 2, 3, 2), numbers(2)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, padding=1), IMAGE),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (2, 3), stride=2), IMAGE),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 4)), IMAGE),
    "rnn": (F.rnn, STEPS, STATE, *recurrent(1)),
    "rnn, relu": (lambda *arguments: F.rnn(*arguments, nonlinearity="relu"), STEPS, STATE, *recurrent(1)),
    "rnn_cell": (F.rnn_cell, STEPS[:, 0].copy(), STATE, *recurrent(1)),
    "gru": (F.gru, STEPS, STATE, *recurrent(3)),
    "gru_cell": (F.gru_cell, STEPS[:, 0].copy(), STATE, *recurrent(3)[:2]),
    "lstm": (lambda *arguments: sum(y.sum() for y in F.lstm(*arguments)), STEPS, STATE, STATE + 1, *recurrent(4)),
    "lstm_cell": (
        lambda *arguments: fast.cat(F.lstm_cell(*arguments)),
        STEPS[:, 0].copy(),
        STATE,
        STATE,
        *recurrent(4),
    ),
    "embedding": (lambda labels, w: F.embedding(labels, w), LABELS[[0, 1, 0]], numbers(5, 2)),
    "attention": (F.scaled_dot_product_attention, CUBE, numbers(2, 5, 4), numbers(2, 5, 2)),
    "attention, causal": (lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), CUBE),
    "attention, masked": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, [[True, False, True]] * 3),
        *(CUBE, CUBE + 1, CUBE * 2),
    ),
    "dropout": (lambda x: F.dropout(x, 0.4, seed=7), IMAGE),
}


def result(name, device):
    """What a case gives, and what it was given."""
    function, *arrays = CASES[name]
    given = [fast.tensor(array, requires_grad=np.asarray(array).dtype.kind == "f", device=device) for array in arrays]
    return function(*given), given


def computed(name, device):
    """The result of a case, and the gradients of what it was given, as arrays of the CPU."""
    y, given = result(name, device)
    assert y.device == device
    weights = fast.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), device=device)
    (y * weights).sum().backward()
    gradients = [t.grad for t in given if t.requires_grad]
    assert all(grad is None or grad.device == device for grad in gradients)
    return y, [np.asarray(y.cpu()), *[None if grad is None else np.asarray(grad.cpu()) for grad in gradients]]


@pytest.mark.parametrize("name", CASES)
def test_an_operation_gives_the_same_numbers_and_gradients(name):
    (there, found), (_, wanted) = computed(name, "cuda"), computed(name, "cpu")
    assert there.dtype == "float64"
    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=CLOSE, atol=CLOSE)


def rules():
    """Every rule of the engine that has a compiled form."""

    def within(thing):
        if isinstance(thing, Rule):
            yield thing
        elif isinstance(thing, dict | list | tuple):
            for part in thing.values() if isinstance(thing, dict) else thing:
                yield from within(part)

    modules = [tensors, *[part for part in vars(functional).values() if isinstance(part, ModuleType)]]
    found = {rule for module in modules for thing in vars(module).values() for rule in within(thing)}
    return {rule for rule in found if rule.lower is not None}


def test_there_is_a_case_for_every_rule():
    seen = set()
    for name in CASES:
        with taken_back():  # so that comparisons join the graph
            seen |= {node.op for node in latest_first(result(name, "cpu")[0])}
    lacking = {rule.symbol for rule in rules() - seen}
    assert not lacking


def test_linear_by_kernels_in_float32():
    """With the kernels that fetch by four, and those that do not."""
    for inputs in (4, 3):
        x, weight, bias = [a.astype(np.float32) for a in (numbers(5, inputs), numbers(8, inputs), numbers(8))]
        results = []
        for device in ("cpu", "cuda"):
            given = [fast.tensor(array, requires_grad=True, device=device) for array in (x, weight, bias)]
            y = F.linear(*given)
            (y * y).sum().backward()
            results.append([y.cpu().numpy(), *[tensor.grad.cpu().numpy() for tensor in given]])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)


# ----------------------------------------------------------------------------------------------------------------------
# Tensors.


def test_tensors_move_and_gradients_follow():
    x = fast.tensor([[1.0, 2.0]], requires_grad=True)
    there = x.cuda()
    assert (x.device, there.device, there.to("cuda") is there, x.cpu() is x) == ("cpu", "cuda", True, True)
    (there * there).cpu().sum().backward()
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [[2.0, 4.0]]


def test_numbers_of_all_types_go_there_and_back():
    for array in (
        np.array([True, False]),
        np.arange(6).reshape(2, 3),
        np.float32([1.5]),
        np.array(2.5),
        np.empty((0, 3)),
    ):
        there = fast.tensor(array, device="cuda")
        assert (there.shape, there.dtype, there.numel()) == (array.shape, str(array.dtype), array.size)
        assert np.array_equal(there.cpu().numpy(), array)
        assert there.tolist() == array.tolist()
    assert pickle.loads(pickle.dumps(there)).device == copy.deepcopy(there).device == "cuda"
    assert repr(fast.tensor([1.0], device="cuda") * 2) == "tensor([2.], device='cuda')"
    assert fast.tensor(3, device="cuda").item() == 3


def test_new_tensors_are_made_there_with_the_same_numbers():
    for make in (
        lambda **to: fast.zeros(2, 3, **to),
        lambda **to: fast.full((2,), 7, **to),
        lambda **to: fast.arange(5, **to),
        lambda **to: fast.randn(3, seed=1, requires_grad=True, **to),
        lambda **to: fast.randint(9, (4,), seed=1, **to),
        lambda **to: fast.ones_like(fast.tensor([1.0, 2.0], **to)),
    ):
        there, here = make(device="cuda"), make()
        assert there.device == "cuda"
        assert (there.dtype, there.requires_grad) == (here.dtype, here.requires_grad)
        assert there.tolist() == here.tolist()
    assert fast.one_hot(fast.tensor([2, 0], device="cuda")).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_whole_numbers_and_truth_values_are_computed():
    w = fast.tensor([[3, -1, 4], [1, -5, 9]], device="cuda")
    for found in (
        w + 1,
        w * w,
        w > 2,
        (w > 2) & (w < 5),
        w.sum(0),
        w.prod(),
        w.argmax(1),
        w.max(),
        w[1],
        w.T,
        ~(w > 0),
    ):
        assert found.device == "cuda"
    assert (w + 1).tolist() == [[4, 0, 5], [2, -4, 10]]
    assert w.max(1).indices.tolist() == [2, 2]
    assert (w / 2).tolist() == [[1.5, -0.5, 2], [0.5, -2.5, 4.5]]
    assert fast.cat([w, w], 1).shape == (2, 6)


def test_writing_into_a_tensor():
    x = fast.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda")
    x[0, 1] = 7
    x[:, 0] = fast.tensor([8.0, 9.0], device="cuda")
    assert x.tolist() == [[8.0, 7.0], [9.0, 4.0]]
    x.copy_([[1, 2], [3, 4]])
    with fast.no_grad():
        x += 1
    assert x.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    w = fast.tensor([1.0], requires_grad=True, device="cuda")
    y = w * w
    with fast.no_grad():
        w *= 2
    with pytest.raises(ValueError, match="overwritten"):
        y.sum().backward()


def test_gradients_add_up_and_can_be_set():
    x = fast.tensor([1.0, 2.0], requires_grad=True, device="cuda")
    for _ in range(2):
        (x * 3).backward(fast.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [6.0, 60.0]
    x.grad = x.grad * 2
    assert x.grad.tolist() == [12.0, 120.0]
    x.zero_grad()
    assert x.grad is None


def test_what_is_wrong_is_said():
    here, there = fast.tensor([1.0, 2.0]), fast.tensor([1.0, 2.0], device="cuda")
    for mix in (lambda: here + there, lambda: F.mse_loss(there, here), lambda: fast.cat([here, there])):
        with pytest.raises(ValueError, match=r"different devices: (cpu|cuda).*\.to\('cuda'\)"):
            mix()
    for look in (there.numpy, lambda: np.asarray(there), lambda: np.from_dlpack(there)):
        with pytest.raises(TypeError, match=r"on the GPU.*x\.cpu\(\)"):
            look()
    with pytest.raises(ValueError, match="'cuda:1'"):
        here.move_("cuda:1")
    with pytest.raises(ValueError, match=r"cross_entropy.*5"):
        F.cross_entropy(fast.zeros(1, 3, device="cuda"), fast.tensor([5], device="cuda"))
    with pytest.raises(ValueError, match=r"hinge_loss.*2"):
        F.hinge_loss(there, there)
    with pytest.raises(IndexError, match=r"embedding.*7"):
        F.embedding(fast.tensor([7], device="cuda"), fast.zeros(3, 2, device="cuda"))
    with pytest.raises(IndexError):
        there[2]


# ----------------------------------------------------------------------------------------------------------------------
# Training.


def models():
    """Models that take (N, ...) and give (N, 3), each anew, with what they are given.

    No gradient is 0 up to rounding, as that of a bias before batch norm is: Adam would make steps of the rounding.
    """
    return {
        "mlp": (lambda: nn.MLP([5, 4, 3], "tanh", engine=fast, seed=0, dtype="float64"), numbers(4, 5)),
        "cnn": (
            lambda: nn.Sequential(
                nn.Conv2d(1, 2, 3, padding=1, bias=False, engine=fast, seed=1, dtype="float64"),
                nn.BatchNorm2d(2, engine=fast, dtype="float64"),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Dropout(0.3, seed=3),
                nn.Linear(8, 3, engine=fast, seed=2, dtype="float64"),
            ),
            numbers(2, 1, 4, 4),
        ),
        "lstm": (
            lambda: nn.Sequential(nn.LSTM(2, 3, engine=fast, seed=1, dtype="float64"), nn.LastStep()),
            numbers(2, 2, 2),
        ),
        "attention": (
            lambda: nn.Sequential(
                nn.MultiheadAttention(4, 2, engine=fast, seed=1, dtype="float64"),
                nn.LayerNorm(4, engine=fast, dtype="float64"),
                nn.Flatten(),
                nn.Linear(8, 3, engine=fast, seed=2, dtype="float64"),
            ),
            numbers(2, 2, 4),
        ),
    }


TARGETS = np.array([0, 2, 1, 1])


def trained(make, x, device, optimizer, compile=False, **settings):
    """The losses of a training, and the model afterwards."""
    model = make().to(device)
    data = x, TARGETS[: len(x)]
    history = nn.fit(model, data, nn.cross_entropy, optimizer(model.parameters()), 2, compile=compile, **settings)
    assert all(p.device == device for p in model.parameters())
    return history, model


def same_training(make, x, optimizer, **settings):
    (one, there), (other, here) = [trained(make, x, device, optimizer, **settings) for device in ("cuda", "cpu")]
    np.testing.assert_allclose(one.step_loss, other.step_loss, rtol=1e-10)
    for name, array in there.state_dict().items():
        np.testing.assert_allclose(array, here.state_dict()[name], rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", models())
def test_a_model_trains_alike(name):
    make, x = models()[name]
    same_training(make, x, lambda parameters: nn.Adam(parameters, lr=0.05), batch_size=2)


def test_validation_and_metrics_are_measured_alike():
    make, x = models()["mlp"]
    found = []
    for device in ("cuda", "cpu"):
        data = x, TARGETS
        history, _ = trained(make, x, device, nn.SGD, validation=data, metrics="accuracy")
        found.append((history.validation_loss, history.metrics))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-10)
    assert found[0][1] == found[1][1]


OPTIMIZERS = {
    "SGD": lambda p: nn.SGD(p, lr=0.1, weight_decay=0.01),
    "momentum": lambda p: nn.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "AdamW": lambda p: nn.AdamW(p, lr=0.1),
    "RMSprop": lambda p: nn.RMSprop(p, centered=True, momentum=0.5),
    "Adagrad": lambda p: nn.Adagrad(p, lr_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_moves_alike(name):
    make, x = models()["mlp"]
    same_training(make, x, OPTIMIZERS[name], callbacks=[nn.ClipGradNorm(0.5), nn.ClipGradValue(0.1)])


def test_an_mlp_trains_as_in_micro():
    x, y = numbers(4, 2), np.array([[1.0], [-1], [1], [-1]])
    losses = {}
    for engine, device in ((micro, "cpu"), (fast, "cuda")):
        model = nn.MLP([2, 3, 1], "tanh", engine=engine, seed=4, dtype="float64").to(device)
        history = nn.fit(model, (x, y), nn.hinge_loss, nn.SGD(model.parameters(), lr=0.1), epochs=3)
        losses[engine] = history.step_loss
        answers = nn.predict(model, x)
    np.testing.assert_allclose(losses[fast], losses[micro], rtol=1e-12)
    assert isinstance(answers, np.ndarray)


def test_a_state_is_saved_from_the_gpu_and_loaded_there(tmp_path):
    make, x = models()["mlp"]
    _, model = trained(make, x, "cuda", lambda p: nn.Adam(p))
    state = model.state_dict()
    assert all(isinstance(array, np.ndarray) for array in state.values())
    other = make().cuda()
    other.load_state_dict(state)
    assert all(p.device == "cuda" for p in other.parameters())
    np.testing.assert_array_equal(nn.predict(other, x), nn.predict(model, x))
    nn.save_weights(model, tmp_path / "weights.safetensors")
    here = make()
    nn.load_weights(here, tmp_path / "weights.safetensors")
    np.testing.assert_allclose(nn.predict(here, x), nn.predict(model, x), rtol=1e-12)


def test_a_checkpoint_goes_on_where_it_ended(tmp_path):
    make, x = models()["mlp"]
    kept, data = tmp_path / "run.safetensors", (x, TARGETS)

    def run(epochs, **settings):
        model = make().cuda()
        optimizer = nn.Adam(model.parameters(), lr=0.05)
        return nn.fit(model, data, nn.cross_entropy, optimizer, epochs, batch_size=2, **settings).step_loss

    whole = run(4)
    run(2, callbacks=[nn.Checkpoint(kept)])
    assert run(4, resume=kept) == whole


def test_after_the_first_step_no_memory_is_asked_for(monkeypatch):
    make, x = models()["mlp"]
    memory.release()
    model = make().cuda()
    optimizer, asked = nn.Adam(model.parameters()), []
    inputs, labels = fast.tensor(x, device="cuda"), fast.tensor(TARGETS, device="cuda")
    device_array = memory.cuda.device_array
    monkeypatch.setattr(memory.cuda, "device_array", lambda *a, **s: asked.append(a) or device_array(*a, **s))
    counts = []
    gc.disable()  # all goes back by itself
    try:
        for _ in range(4):
            optimizer.zero_grad()
            loss = nn.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            counts.append(len(asked))
    finally:
        gc.enable()
    assert counts[0] > 0
    assert counts[1:] == [counts[1]] * 3


# ----------------------------------------------------------------------------------------------------------------------
# Compiled steps.


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm"])
def test_a_compiled_training_is_the_same(name):
    make, x = models()[name]
    same_training(make, x, lambda parameters: nn.Adam(parameters, lr=0.05), compile=True, batch_size=2)


def test_a_compiled_training_with_all_that_there_is():
    make, x = models()["mlp"]
    same_training(
        make,
        x,
        lambda parameters: nn.SGD(parameters, lr=0.1, momentum=0.9),
        compile=True,
        batch_size=1,
        accumulate=3,
        penalty=lambda parameters: 0.01 * nn.l2_penalty(parameters),
        sample_weight=[1.0, 2.0, 0.5, 1.0],
        callbacks=[nn.ClipGradNorm(0.5)],
    )


def compiled_step(device, lr=0.1, **settings):
    model = nn.MLP([2, 3, 1], "tanh", engine=fast, seed=0, dtype="float64").to(device)
    optimizer = nn.Adam(model.parameters(), lr=lr)
    step = fast.compile_step(lambda x, y: nn.mse_loss(model(x), y), optimizer, **settings)
    return step, model, optimizer


def test_a_loss_that_is_no_number_changes_nothing():
    x, y = numbers(4, 2), numbers(4, 1)
    y[2] = np.inf
    found = {}
    for device in ("cuda", "cpu"):
        step, model, optimizer = compiled_step(device)
        losses = step.run((x, y), [[0, 1], [1, 3], [2, 3], [0, 1]])
        found[device] = losses, model.state_dict(), optimizer.state[0]["step"]
    (one, there, steps), (other, here, wanted) = found["cuda"], found["cpu"]
    assert (len(one), steps) == (len(other), wanted) == (3, 2)
    np.testing.assert_allclose(one, other)
    for name, array in there.items():
        np.testing.assert_allclose(array, here[name], rtol=1e-10)


def test_a_compiled_step_says_what_its_loss_does_not_take():
    model = nn.MLP([2, 3], engine=fast, seed=0).cuda()
    step = fast.compile_step(lambda x, y: nn.cross_entropy(model(x), y), nn.SGD(model.parameters(), lr=0.1))
    before = model.state_dict()
    step.run((numbers(3, 2), np.array([0, 2, 1])), [[0], [1]])
    with pytest.raises(ValueError, match=r"cross_entropy.*7"):
        step.run((numbers(3, 2), np.array([0, 7, 1])), [[1]])
    assert any((before[name] != array).any() for name, array in model.state_dict().items())
    assert np.isfinite(step(numbers(1, 2), np.array([2])))


# ----------------------------------------------------------------------------------------------------------------------
# Tapes, and trainings with a thread each.


def tape_of_everything():
    """A graph with constants, and with a part that depends on no input; its second parameter does not take part."""
    x, y = micro.Value(0.5, label="x"), micro.Value(1.5, label="y")
    w, unused, b = (micro.Value(number, label="w") for number in (0.7, 0.2, -0.4))
    penalty = 0.1 * (w * w + b * b)
    result = (w * x + b * y + x * y).tanh() * 3 + (x * w).exp().log() + penalty + y**2 / (1 + x.sigmoid())
    return fast.compile(result, [x, y], [w, unused, b])


SAMPLES = numbers(5), numbers(5) + 3


@pytest.mark.parametrize("count", [1, 5])
def test_a_tape_gives_the_same_numbers_and_gradients(count):
    here = tape_of_everything()
    there = here.to("cuda")
    assert (here.device, there.device, type(there.to("cpu"))) == ("cpu", "cuda", fast.Tape)
    assert there.to("cuda") is there
    assert "cuda" in repr(there)
    samples = [array[:count] for array in SAMPLES]
    for settings in ({}, {"parameters": [0.1, 5, 0.3]}):
        for one, other in zip(there.run(*samples, **settings), here.run(*samples, **settings), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=CLOSE, atol=CLOSE)
        np.testing.assert_allclose(there.forward(*samples, **settings), here.forward(*samples, **settings), rtol=CLOSE)


def test_a_tape_takes_its_samples_in_parts(monkeypatch):
    there = tape_of_everything().to("cuda")
    whole = there.run(*SAMPLES)
    monkeypatch.setattr(gpu_tape, "MOST", 2 * (there._whole.rows + there._whole.grad_rows))
    for one, other in zip(there.run(*SAMPLES), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=CLOSE)


def test_a_tape_whose_result_is_a_leaf():
    x, w = micro.Value(1.0, label="x"), micro.Value(2.0, label="w")
    for leaf, parameters in ((x, []), (w, [w])):
        inputs = [x] if leaf is x else []
        here = fast.compile(leaf, inputs, parameters, "float32")
        samples = [[3.0, 4.0]] if inputs else []
        for one, other in zip(here.to("cuda").run(*samples), here.run(*samples), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [nn.Adam, OPTIMIZERS["momentum"]])
def test_a_tape_trains_alike(make):
    found = []
    for device in ("cuda", "cpu"):
        model = nn.MLP([2, 2, 1], "tanh", engine=micro, seed=0)
        point, target = micro.zeros(1, 2), micro.ones(1, 1)
        tape = fast.compile(nn.mse_loss(model(point), target), [point, target], model.parameters()).to(device)
        optimizer = make(model.parameters())
        samples = np.stack([*SAMPLES], axis=1), SAMPLES[0]
        losses = [
            *tape.train(*samples, optimizer=optimizer, steps=2),
            *tape.train(*samples, optimizer=optimizer, steps=1),
        ]
        parameters = np.concatenate([np.asarray(p).ravel() for p in model.parameters()])
        found.append([np.array(losses), parameters, *optimizer.state_dict().values()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


def test_a_tape_ends_its_training_where_the_loss_is_no_number():
    found = []
    for device in ("cuda", "cpu"):
        w = micro.Value(2.0, label="w")
        square = w * w
        tape = fast.compile(square * square * square * square, [], [w]).to(device)
        losses = tape.train(optimizer=nn.SGD([w], lr=1.0), steps=9)
        found.append((losses, w.data))
    (one, w), (other, wanted) = found
    assert 1 < len(one) < 9
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert w == pytest.approx(wanted, rel=1e-12)


def test_lanes_of_trainings_say_that_they_stay_on_the_cpu():
    there = tape_of_everything().to("cuda")
    with pytest.raises(ValueError, match=r"train_runs: .*tape\.to\('cpu'\)"):
        fast.train_runs([there], np.zeros(1), np.zeros((1, 2)), np.zeros((1, 1)), np.zeros((1, 3)), [0.1], None)


@pytest.mark.parametrize(("activation", "extra"), [("tanh", False), ("relu", True), ("identity", True)])
def test_trainings_beside_each_other_are_those_of_the_cpu(activation, extra):
    """The last is lost; with extras the first two are shifted, and a batch has two of three samples."""
    arrays = numbers(3, 16), numbers(3), numbers(16, 16) / 4, numbers(16), [[0.5, 0.1], [2.0, 1.0], [1e200, 1e200]]
    extras = {"offsets": np.array([0.1, -0.2, 0.0]), "batches": np.array([[0, 1], [2, 0]])} if extra else {}
    found = []
    for device in ("cuda", "cpu"):
        given = [fast.tensor(array, "float64", device=device) for array in arrays]
        more = {name: fast.tensor(array, device=device) for name, array in extras.items()}
        results = F.train_two_layers(*given, steps=2, activation=activation, **more)
        assert all(result.device == device for result in results)
        found.append([result.cpu().numpy() for result in results])
    np.testing.assert_allclose(*found, rtol=1e-11)
    assert found[0][2][2] > 1e5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_map_is_that_of_the_cpu(dtype, tmp_path):
    settings = {"resolution": 2, "steps": 2, "engine": fast}
    here = nn.trainability_map("single", **settings)
    there = nn.trainability_map("single", **settings, device="cuda", dtype=dtype, tiles=tmp_path)
    np.testing.assert_allclose(there.values, here.values, rtol=1e-11 if dtype == "float64" else 1e-4)
    assert {True, False} == {*there.converged.ravel().tolist()}
    again = nn.trainability_map("single", **settings, device="cuda", dtype=dtype, tiles=tmp_path)
    np.testing.assert_array_equal(again.values, there.values)
    with pytest.raises(ValueError, match="tile of another map"):
        nn.trainability_map("single", **settings, tiles=tmp_path)


def test_trainings_that_do_not_fit_are_refused():
    def train(samples=3, width=16, dtype="float64"):
        shapes = (samples, width), (samples,), (width, width), (width,), (2, 2)
        F.train_two_layers(*[fast.zeros(*shape, dtype=dtype, device="cuda") for shape in shapes], steps=1)

    with pytest.raises(ValueError, match=r"weight0 has shape \(5, 5\).*\(16, 16\).*cpu"):
        train(width=5)
    with pytest.raises(ValueError, match=r"x has 362 samples.*361 of 64 bits"):
        train(362)
    with pytest.raises(ValueError, match=r"x has 723 samples.*722 of 32 bits"):
        train(723, dtype="float32")


def test_a_sweep_of_models_on_the_gpu():
    settings = {"learning_rates": [0.1, 1e200], "seeds": [1], "optimizers": [nn.SGD], "epochs": 2}
    model = nn.MLP([2, 2, 1], "tanh", engine=fast, seed=0, dtype="float64")
    data = numbers(3, 2), numbers(3, 1)
    here = nn.sweep(model, data, nn.mse_loss, **settings)
    for given in (model.cuda(), lambda seed: nn.MLP([2, 2, 1], "tanh", engine=fast, seed=seed, dtype="float64").cuda()):
        there = nn.sweep(given, data, nn.mse_loss, **settings)
        np.testing.assert_allclose(there.losses, here.losses, rtol=1e-11)
        np.testing.assert_array_equal(there.diverged_at, here.diverged_at)
