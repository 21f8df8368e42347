"""Compiled steps compute what the same steps compute without compiling, to the last bit."""

import contextlib
import math

import numpy as np
import pytest

import fast
import micro
import nn
from fast.tensors import record


def grid(samples=20, classes=3, seed=0):
    """Samples (N, 6) with classes."""
    random = np.random.default_rng(seed)
    return random.standard_normal((samples, 6)), random.integers(classes, size=samples)


def dense(*modules, outputs=3, dtype="float32"):
    made = {"engine": fast, "seed": 0, "dtype": dtype}
    return nn.Sequential(nn.Linear(6, 8, **made), *modules, nn.Linear(8, outputs, **made))


def reshaped(*shape):
    class Reshaped(nn.Module):
        def forward(self, x):
            return x.reshape(-1, *shape)

    return Reshaped()


def moved(norm):
    """A batch norm that has seen a batch, and stays in evaluation, whose weight and bias learn."""
    norm(fast.tensor(np.random.default_rng(0).normal(1, 2, (9, 8)), norm.weight.dtype))
    norm.freeze()
    norm.requires_grad_(True)
    return norm


def shaped(x):
    """(N, 8) as (N, 2, 4)."""
    return x.reshape(-1, 2, 4)


class Function(nn.Module):
    """Layers around a function, (N, 6) to (N, 3)."""

    def __init__(self, function, width=8, dtype="float32"):
        super().__init__()
        self.function = function
        self.first = nn.Linear(6, 8, engine=fast, seed=0, dtype=dtype)
        self.last = nn.Linear(width, 3, engine=fast, seed=1, dtype=dtype)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


class Scaled(nn.Module):
    def forward(self, x):
        return x.to("float32") * 0.5 + x


class Words(nn.Module):
    """An embedding, attention and a mean over the words, for numbers of words (N, 5)."""

    def __init__(self, dtype="float32"):
        super().__init__()
        made = {"engine": fast, "seed": 0, "dtype": dtype}
        self.table = nn.Embedding(7, 8, **made)
        self.attention = nn.MultiheadAttention(8, 2, **made)
        self.norm = nn.LayerNorm(8, engine=fast, dtype=dtype)
        self.last = nn.Linear(8, 3, **made)

    def forward(self, x):
        x = self.table(x)
        return self.last(self.norm(x + self.attention(x, is_causal=True)).mean(1))


def image_model(dtype="float32"):
    made = {"engine": fast, "seed": 0, "dtype": dtype}
    return nn.Sequential(
        reshaped(1, 8, 8),
        nn.Conv2d(1, 4, 3, padding=1, **made),
        nn.BatchNorm2d(4, engine=fast, dtype=dtype),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, bias=False, groups=2, **made),
        nn.AvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3, **made),
    )


def recurrent(kind, **settings):
    def make(dtype="float32"):
        made = {"engine": fast, "seed": 0, "dtype": dtype}
        return nn.Sequential(reshaped(8, 8), kind(8, 5, **settings, **made), nn.LastStep(), nn.Linear(5, 3, **made))

    return make


MODELS = {
    "dense": lambda dtype: dense(nn.ReLU(), dtype=dtype),
    **{
        name: lambda dtype, kind=kind: dense(kind(), dtype=dtype)
        for name, kind in {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU}.items()
    },
    "softmax": lambda dtype: dense(nn.Softmax(), dtype=dtype),
    "dropout": lambda dtype: dense(nn.Dropout(0.4, seed=0), nn.ReLU(), nn.Dropout(0.2, seed=1), dtype=dtype),
    "batch norm": lambda dtype: dense(nn.BatchNorm1d(8, engine=fast, dtype=dtype), nn.ReLU(), dtype=dtype),
    "batch norm of means": lambda dtype: dense(
        nn.BatchNorm1d(8, momentum=None, engine=fast, dtype=dtype), nn.ReLU(), dtype=dtype
    ),
    "batch norm twice": lambda dtype: dense(
        *[nn.BatchNorm1d(8, momentum=None, engine=fast, dtype=dtype)] * 2, nn.ReLU(), dtype=dtype
    ),
    "frozen batch norm": lambda dtype: dense(
        moved(nn.BatchNorm1d(8, engine=fast, dtype=dtype)), nn.ReLU(), dtype=dtype
    ),
    "layer norm": lambda dtype: dense(nn.LayerNorm(8, engine=fast, dtype=dtype), dtype=dtype),
    "rms norm": lambda dtype: dense(nn.RMSNorm(8, engine=fast, dtype=dtype), dtype=dtype),
    "arithmetic": lambda dtype: Function(lambda x: (x * x.exp() - 1) / (2 + x**2) + x.abs().sqrt(), dtype=dtype),
    "broadcast": lambda dtype: Function(lambda x: x - x.mean(1, keepdim=True) + x.sum(0), dtype=dtype),
    "twice": lambda dtype: Function(lambda x: x * x + x, dtype=dtype),
    "selections": lambda dtype: Function(lambda x: fast.cat([x[:, 2:5], x.flip(1)[:, ::2]], 1), 7, dtype),
    "shapes": lambda dtype: Function(lambda x: x.reshape(-1, 2, 4).permute(0, 2, 1).reshape(-1, 8), dtype=dtype),
    "padding": lambda dtype: Function(lambda x: x.pad((1, 2), 0.5), 11, dtype),
    "products": lambda dtype: Function(lambda x: (x.reshape(-1, 2, 4) @ x.reshape(-1, 4, 2)).reshape(-1, 4), 4, dtype),
    "log softmax": lambda dtype: Function(lambda x: x.log_softmax(-1), dtype=dtype),
    "softmax of columns": lambda dtype: Function(
        lambda x: x.softmax(0) + shaped(x).log_softmax(1).flatten(1), dtype=dtype
    ),
    "logsumexp": lambda dtype: Function(lambda x: x - x.logsumexp(1, keepdim=True) + x.logsumexp(0), dtype=dtype),
    "logsumexp of all": lambda dtype: Function(
        lambda x: x - shaped(x).logsumexp((0, 2)).sum() + x.logsumexp(), dtype=dtype
    ),
    "cumsum": lambda dtype: Function(lambda x: x.cumsum(1) + x.cumsum(0) + shaped(x).cumsum(1).flatten(1), dtype=dtype),
    "prod": lambda dtype: Function(lambda x: x * x.prod(1, keepdim=True) + shaped(x).prod((0, 2)).sum(), dtype=dtype),
    "prod with zeros": lambda dtype: Function(lambda x: x + x.relu().prod(0) + x.prod(), dtype=dtype),
    "max": lambda dtype: Function(
        lambda x: x - x.max(1, keepdim=True).values + shaped(x).max(1).values.sum(1, True), dtype=dtype
    ),
    "max with ties": lambda dtype: Function(lambda x: x + x.relu().min(0).values * x.relu().max(0)[0], dtype=dtype),
    "max of all": lambda dtype: Function(lambda x: x * x.max() - x.relu().min(), dtype=dtype),
    "choices": lambda dtype: Function(
        lambda x: fast.where((x > 0.1) & ~(x >= x.mean()), x, 0.5 * x) + (x < x[0]) * x - ((x == 0) | (x != x)),
        dtype=dtype,
    ),
    "products of vectors": lambda dtype: Function(
        lambda x: x + (x[0] @ x.T @ x).tanh() + (x[0] @ x[1]).tanh() + (x @ x[1]).tanh().unsqueeze(1), dtype=dtype
    ),
    "products of a stack and a matrix": lambda dtype: Function(
        lambda x: (shaped(x) @ x[0].reshape(4, 2) + x[1].reshape(1, 2, 4) @ shaped(x).transpose(1, 2)).flatten(1),
        4,
        dtype,
    ),
    "products of stretched stacks": lambda dtype: Function(
        lambda x: (x.reshape(-1, 1, 2, 4) @ x[:3].reshape(3, 4, 2)).flatten(1), 12, dtype
    ),
    "products of a stack and a vector": lambda dtype: Function(
        lambda x: fast.cat([shaped(x) @ x[0, :4], x[1, :2] @ shaped(x)], 1), 6, dtype
    ),
}
IMAGES = {
    "images": image_model,
    "lstm": recurrent(nn.LSTM),
    "gru": recurrent(nn.GRU),
    "rnn": recurrent(nn.RNN),
    "two layers": recurrent(nn.LSTM, num_layers=2),
}


def train(make, data, dtype, compile, *, loss=nn.cross_entropy, optimizer=nn.SGD, epochs=3, batch_size=8, **settings):
    model = make(dtype)
    moved = optimizer(model.parameters(), lr=0.05)
    history = nn.fit(model, data, loss, moved, epochs, batch_size, compile=compile, **settings)
    return model, moved, history


def check_equal(make, data, dtype="float32", **settings):
    """Trainings of the same model with and without compiling, the last batch of an epoch a smaller one."""
    expected, found = (train(make, data, dtype, compile, **settings) for compile in (False, True))
    assert found[2].step_loss == expected[2].step_loss
    assert found[2].loss == expected[2].loss
    assert len(found[2].step_loss) > 3
    for one, other in ((expected[0], found[0]), (expected[1], found[1])):
        mine, theirs = one.state_dict(), other.state_dict()
        assert mine.keys() == theirs.keys()
        for name, numbers in mine.items():
            np.testing.assert_array_equal(numbers, theirs[name], err_msg=name)
    for one, other in zip(expected[0].parameters(), found[0].parameters(), strict=True):
        np.testing.assert_array_equal(np.asarray(one.grad), np.asarray(other.grad))
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_training_has_the_same_numbers(name, dtype):
    check_equal(MODELS[name], grid(), dtype)


@pytest.mark.parametrize("name", IMAGES)
def test_images_and_sequences(name):
    random = np.random.default_rng(0)
    check_equal(IMAGES[name], (random.standard_normal((20, 64)), random.integers(3, size=20)))


def test_words():
    random = np.random.default_rng(0)
    check_equal(Words, (random.integers(7, size=(20, 5)), random.integers(3, size=20)))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p, lr: nn.SGD(p, lr, momentum=0.9, nesterov=True, weight_decay=0.01),
        nn.Adam,
        lambda p, lr: nn.AdamW(p, lr, weight_decay=0.1),
        lambda p, lr: nn.RMSprop(p, lr, momentum=0.5, centered=True),
        nn.Adagrad,
    ],
)
def test_optimizers(optimizer):
    check_equal(MODELS["dense"], grid(), optimizer=optimizer)


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (nn.mse_loss, lambda y: y.astype(float)),
        (nn.l1_loss, lambda y: y.astype(float)),
        (nn.huber_loss, lambda y: y.astype(float)),
        (nn.hinge_loss, lambda y: 2 * (y > 0) - 1),
        (nn.binary_cross_entropy_with_logits, lambda y: (y > 0).astype(float)),
        (lambda p, y: nn.binary_cross_entropy(p.sigmoid(), y), lambda y: (y > 0).astype(float)),
    ],
)
def test_losses_of_numbers(loss, targets):
    x, y = grid()
    check_equal(lambda dtype: dense(nn.Tanh(), outputs=1, dtype=dtype), (x, targets(y)[:, None]), loss=loss)


def test_losses_of_classes():
    for loss in (
        lambda p, y: nn.nll_loss(p.log_softmax(-1), y),
        lambda p, y: nn.cross_entropy(p, y, weight=[1, 2, 0.5], label_smoothing=0.1),
    ):
        check_equal(MODELS["dense"], grid(), loss=loss)


def test_whole_numbers_as_samples():
    x, y = grid()
    check_equal(MODELS["dense"], ((3 * x).astype(int), y))
    check_equal(lambda dtype: nn.Sequential(Scaled(), MODELS["dense"](dtype)), ((3 * x).astype(int), y))


class Masked(nn.Module):
    """An embedding, and a mean over the words that are not 0, for numbers of words (N, 5)."""

    def __init__(self, dtype="float32"):
        super().__init__()
        self.table = nn.Embedding(7, 3, engine=fast, seed=0, dtype=dtype)

    def forward(self, x):
        mask = (x.reshape(-1, 5, 1) != 0).to(self.table.weight.dtype)
        return (mask * self.table(x)).sum(1) / (mask.sum(1) + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_of_words(dtype):
    random = np.random.default_rng(0)
    check_equal(Masked, (random.integers(7, size=(20, 5)), random.integers(3, size=20)), dtype)


def test_a_penalty_of_activations():
    (x, y), results = grid(), []
    for compiled in (True, False):
        model, inputs = MODELS["dense"]("float32"), (fast.tensor(x, "float32"), fast.tensor(y))
        optimizer = nn.SGD(model.parameters(), lr=0.05)

        def loss(x, y, model=model):
            hidden = model[0](x)
            return nn.cross_entropy(model[2](model[1](hidden)), y) + 1e-2 * nn.l2_penalty([hidden, model[0].weight])

        step = fast.compile_step(loss, optimizer)
        losses = []
        for _ in range(3):
            if compiled:
                losses.append(step(x, y))
                continue
            error = loss(*inputs)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            losses.append(error.item())
        results.append(losses)
    assert results[0] == results[1]


def test_penalties_and_weights_of_samples():
    check_equal(MODELS["dense"], grid(), penalty=lambda p: 1e-2 * nn.l2_penalty(p) + 1e-3 * nn.l1_penalty(p))
    check_equal(MODELS["dense"], grid(), sample_weight=np.linspace(0.5, 1.5, 20))


def test_weights_of_samples_with_several_outputs():
    x, y = grid()
    for loss in (nn.mse_loss, nn.binary_cross_entropy_with_logits):
        data = x, np.stack([y > 0, y > 1, y > 2], 1).astype(float)
        check_equal(MODELS["dense"], data, loss=loss, sample_weight=np.linspace(0.5, 1.5, 20))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["dense", "dropout", "batch norm of means", "twice"])
def test_several_batches_for_one_update(name, dtype):
    for batch_size, accumulate in ((8, 2), (3, 3)):  # the last step of an epoch has fewer, and a smaller one
        settings = {"batch_size": batch_size, "accumulate": accumulate, "optimizer": nn.Adam}
        check_equal(MODELS[name], grid(), dtype, **settings)
        check_equal(MODELS[name], grid(), dtype, **settings, penalty=lambda p: 1e-2 * nn.l2_penalty(p))


def test_several_batches_with_callbacks_and_weights():
    settings = {"batch_size": 3, "accumulate": 3, "sample_weight": np.linspace(0.5, 1.5, 20)}
    check_equal(MODELS["dropout"], grid(), callbacks=[nn.ClipGradNorm(0.5)], **settings)
    check_equal(
        MODELS["dense"], grid(), augment=lambda batch, random: batch + random.normal(size=batch.shape), **settings
    )


def test_several_batches_are_one_large_batch():
    (x, y), found = grid(), []
    parts = [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, -1, -1]], [[10, 11, 12, 13], [14, 15, 16, 17], [18, 19, -1, -1]]]
    for order in (np.arange(20).reshape(2, 10), parts):
        model = MODELS["dense"]("float64")
        found += [step_of(model).run((x, y), order), np.asarray(model[0].weight)]
    np.testing.assert_allclose(found[0], found[2], rtol=1e-12)
    np.testing.assert_allclose(found[1], found[3], rtol=1e-12)
    for order in ([[[-1, -1], [0, 1]]], [[[0, 1], [-1, -1], [2, 3]]], [[[0, -1, 1]]]):
        with pytest.raises(ValueError, match="behind the last"):
            step_of(MODELS["dense"]("float64")).run((x, y), order)


def test_callbacks_between_steps_have_their_say():
    norms = [nn.ClipGradNorm(0.5), nn.ClipGradNorm(0.5)]
    runs = [train(MODELS["dense"], grid(), "float32", on, callbacks=[c]) for on, c in zip((0, 1), norms, strict=True)]
    assert norms[0].norms == norms[1].norms
    assert len(norms[0].norms) == 9
    assert runs[0][2].step_loss == runs[1][2].step_loss


def test_augmented_data_schedules_and_validation():
    def shift(batch, random):
        return batch + random.normal(0, 0.1, batch.shape)

    check_equal(MODELS["dense"], grid(), augment=shift, validation=grid(seed=1), metrics="accuracy")
    for each in ("epoch", "step"):
        found = []
        for compile in (False, True):
            model = MODELS["dense"]("float32")
            optimizer = nn.SGD(model.parameters(), lr=0.05)
            callbacks = [nn.Schedule(nn.ExponentialLR(optimizer, 0.9), each)]
            history = nn.fit(model, grid(), nn.cross_entropy, optimizer, 3, 8, callbacks=callbacks, compile=compile)
            found.append((history.step_loss, optimizer.lr))
        assert found[0] == found[1]


def test_early_stopping_and_checkpoints(tmp_path):
    expected = train(MODELS["dropout"], grid(), "float32", False, epochs=6)
    file = tmp_path / "run.safetensors"
    train(MODELS["dropout"], grid(), "float32", True, epochs=3, callbacks=[nn.Checkpoint(file)])
    found = train(MODELS["dropout"], grid(), "float32", True, epochs=6, resume=file)
    assert found[2].step_loss == expected[2].step_loss
    stopped = train(
        MODELS["dense"],
        grid(),
        "float32",
        True,
        epochs=50,
        validation=grid(seed=1),
        callbacks=[nn.EarlyStopping(patience=2)],
    )
    assert len(stopped[2].loss) < 50


def test_frozen_layers_stay():
    def make(dtype):
        model = MODELS["dense"](dtype)
        model[0].freeze()
        return model

    check_equal_without_gradients(make, penalty=lambda p: 1e-2 * nn.l2_penalty(p) + 1e-3 * nn.l1_penalty(p))
    model, _, _ = check_equal_without_gradients(make)
    np.testing.assert_array_equal(np.asarray(model[0].weight), np.asarray(make("float32")[0].weight))


def check_equal_without_gradients(make, **settings):
    expected, found = (train(make, grid(), "float32", compile, **settings) for compile in (False, True))
    assert found[2].step_loss == expected[2].step_loss
    return found


def test_divergence_ends_it_and_changes_nothing_more():
    def make(dtype):
        return dense(outputs=1, dtype=dtype)

    x, y = grid()
    with pytest.warns(nn.DivergenceWarning):
        _, _, expected = train(make, (1e3 * x, y[:, None] / 1), "float32", False, loss=nn.mse_loss, epochs=90)
    with pytest.warns(nn.DivergenceWarning):
        model, _, found = train(make, (1e3 * x, y[:, None] / 1), "float32", True, loss=nn.mse_loss, epochs=90)
    assert found.diverged_at == expected.diverged_at
    assert found.step_loss[:-1] == expected.step_loss[:-1]
    assert all(np.isfinite(np.asarray(p)).all() for p in model.parameters())


def test_numbers_that_a_loss_does_not_take_are_named():
    x, y = grid()
    for compile in (False, True):
        with pytest.raises(ValueError, match="hinge_loss"):
            train(lambda dtype: dense(outputs=1), (x, y[:, None] / 1), "float32", compile, loss=nn.hinge_loss)
        with pytest.raises((ValueError, IndexError), match="cross_entropy"):
            train(MODELS["dense"], (x, y + 1), "float32", compile)


# ----------------------------------------------------------------------------------------------------------------------
# `compile_step` itself.


def step_of(model, loss=nn.cross_entropy, optimizer=nn.SGD, **settings):
    return fast.compile_step(lambda x, y: loss(model(x), y), optimizer(model.parameters(), lr=0.05), **settings)


def test_clipping_is_that_of_the_optimizers():
    (x, y), order = grid(), np.arange(20).reshape(2, 10)
    for limit, clip in (({"max_norm": 0.3}, nn.clip_grad_norm_), ({"clip_value": 0.02}, nn.clip_grad_value_)):
        model, other = MODELS["dense"]("float32"), MODELS["dense"]("float32")
        losses = step_of(model, **limit).run((x, y), order)
        optimizer, expected = nn.SGD(other.parameters(), lr=0.05), []
        for rows in order:
            error = nn.cross_entropy(other(fast.tensor(x[rows], "float32")), fast.tensor(y[rows]))
            optimizer.zero_grad()
            error.backward()
            clip(other.parameters(), *limit.values())
            optimizer.step()
            expected.append(error.item())
        assert losses.tolist() == expected
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def test_learning_rates_of_single_steps():
    x, y = grid()
    model, other = MODELS["dense"]("float32"), MODELS["dense"]("float32")
    step_of(model).run((x, y), [range(20)] * 2, learning_rates=[0.1, 0.01])
    step = step_of(other)
    for lr in (0.1, 0.01):
        step.optimizer.lr = lr
        step(x, y)
    np.testing.assert_array_equal(np.asarray(model[0].weight), np.asarray(other[0].weight))


def test_batches_of_different_shapes_in_one_call():
    random = np.random.default_rng(0)
    batches = [(random.integers(7, size=(n, 5)), random.integers(3, size=n)) for n in (3, 1, 4, 3, 1, 5)]
    model, other = Words(), Words()
    losses = step_of(model, optimizer=nn.Adam).run_batches(batches)
    optimizer, expected = nn.Adam(other.parameters(), lr=0.05), []
    for x, y in batches:
        error = nn.cross_entropy(other(fast.tensor(x)), fast.tensor(y))
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        expected.append(error.item())
    assert losses.tolist() == expected
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    with pytest.raises(ValueError, match="no batches"):
        step_of(model).run_batches([])


def test_the_model_may_be_changed_in_between():
    x, y = grid()
    model = MODELS["dense"]("float32")
    step, state = step_of(model), model.state_dict()
    first = step.run((x, y), [range(20)] * 3)
    model.load_state_dict(state)
    np.testing.assert_array_equal(step.run((x, y), [range(20)] * 3), first)
    assert nn.cross_entropy(model(fast.tensor(x, "float32")), fast.tensor(y)).item() < first[-1]


def test_targets_in_another_shape_are_those_of_each_batch():
    x, y = grid()
    for size in (1, 4):
        model, other = MODELS["dense"]("float32"), MODELS["dense"]("float32")
        optimizer = nn.SGD(model.parameters(), lr=0.05)
        step = fast.compile_step(lambda x, y, m=model: nn.cross_entropy(m(x), y.reshape(-1)), optimizer)
        order = np.arange(8).reshape(-1, size)
        losses = step.run((x, y[:, None]), order)
        np.testing.assert_array_equal(losses, step_of(other).run((x, y), order))
        numbers = fast.compile_step(lambda x, y, m=model: nn.mse_loss(m(x)[:, 0], y.reshape(-1)), optimizer)
        for start in (0, size):
            rows = slice(start, start + size)
            expected = np.mean((model(fast.tensor(x[rows], "float32")).data[:, 0] - y[rows]) ** 2)
            assert numbers(x[rows], y[rows, None]) == pytest.approx(expected, rel=1e-6)


def test_what_another_optimizer_moves_is_seen():
    """As in adversarial training: two networks, each of which learns from what the other says."""
    x, y = grid()
    found = []
    for compiled in (True, False):
        first, second = MODELS["dense"]("float32"), nn.Linear(3, 3, engine=fast, seed=1)
        losses, inputs, targets = [], fast.tensor(x, "float32"), fast.tensor(y)
        optimizers = [nn.SGD(model.parameters(), lr=0.1) for model in (first, second)]

        def loss(x, y, first=first, second=second):
            return nn.cross_entropy(second(first(x)), y)

        steps = [fast.compile_step(loss, optimizer) for optimizer in optimizers]
        for _ in range(3):
            for step, optimizer in zip(steps, optimizers, strict=True):
                if compiled:
                    losses.append(step(x, y))
                    continue
                error = loss(inputs, targets)
                optimizer.zero_grad()
                error.backward()
                optimizer.step()
                losses.append(error.item())
        found.append(losses)
    assert found[0] == found[1]


def test_explain_needs_a_batch():
    with pytest.raises(TypeError, match=r"no batch was given.*step.explain\(x, y\)"):
        step_of(MODELS["dense"]("float32")).explain()


def test_explain_lists_what_is_done():
    text = step_of(MODELS["dense"]("float32")).explain(*grid())
    lines = text.splitlines()
    assert "batches of 20" in lines[0]
    assert "83 parameters" in lines[0]
    kernels = [line.split()[1] for line in lines[2:-1]]
    assert kernels == [
        "linear",
        "relu",
        "linear",
        "cross_entropy",
        "scale",
        "linear_grad",
        "relu_grad_x",
        "linear_grad",
        "sgd_step",
    ]
    assert [line.split()[0] for line in lines[2:-1]] == ["forward"] * 4 + ["backward"] * 4 + ["update"]
    step = step_of(MODELS["dense"]("float32"))
    before = [parameter.tolist() for parameter in step.parameters]
    measured = step.measure(*grid())
    assert [parameter.tolist() for parameter in step.parameters] == before
    first = measured[0]
    assert (first.kernel, first.shape, first.flops) == ("linear", (20, 8), 2 * 20 * 6 * 8)
    assert first.bytes == 4 * (20 * 6 + 8 * 6 + 8 + 20 * 8)
    last, update = measured[-2:]
    assert (update.shape, update.flops, update.bytes) == ((83,), 4 * 83, 4 * 2 * 83)
    assert last.flops == 2 * 20 * 6 * 8  # of the weight alone, for nobody wants the gradient of the data
    assert all(step.seconds > 0 for step in measured)


def test_one_thread_and_several_agree():
    random = np.random.default_rng(0)
    data = random.standard_normal((64, 200)), random.integers(10, size=64)
    losses = []
    for alone in (False, True):
        model = nn.MLP([200, 150, 10], engine=fast, seed=0)
        step = step_of(model, optimizer=nn.Adam)
        if alone:
            with fast.one_thread():
                losses.append(step.run(data, [range(64)] * 5))
        else:
            losses.append(step.run(data, [range(64)] * 5))
    np.testing.assert_allclose(*losses, rtol=1e-4)


def wide(*modules, dtype="float32"):
    made = {"engine": fast, "seed": 0, "dtype": dtype}
    return nn.Sequential(nn.Linear(6, 1024, **made), *modules, nn.Linear(1024, 3, **made))


class Table(nn.Module):
    """The mean of many long rows of a table."""

    def __init__(self, dtype):
        super().__init__()
        self.table = nn.Embedding(9, 200, engine=fast, seed=0, dtype=dtype)
        self.last = nn.Linear(200, 3, engine=fast, seed=0, dtype=dtype)

    def forward(self, x):
        return self.last(self.table(x).mean(1))


class Bent(nn.Module):
    """A chain of elementwise operations."""

    def forward(self, x):
        return (x * x + x).tanh() * x - x


#: Layers with so much to do that all cores take part, and the kernels that share it out.
LARGE = {
    "batch norm": (lambda d: wide(nn.BatchNorm1d(1024, engine=fast, dtype=d), dtype=d), "batch_norm"),
    "layer norm": (lambda d: wide(nn.LayerNorm(1024, engine=fast, dtype=d), dtype=d), "layer_norm"),
    "dropout": (lambda d: wide(nn.Dropout(0.4, seed=0), dtype=d), "dropout"),
    "average pool": (
        lambda d: nn.Sequential(wide(dtype=d)[0], reshaped(1, 32, 32), nn.AvgPool2d(2), nn.Flatten(), last(256, d)),
        "avg_pool",
    ),
    "embedding": (Table, "look_up_grad"),
    "elementwise operations": (lambda d: wide(Bent(), dtype=d), "mul..sub"),
}


def last(width, dtype):
    return nn.Linear(width, 3, engine=fast, seed=0, dtype=dtype)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LARGE)
def test_layers_that_use_all_cores(name, dtype, alone):
    (make, kernel), (x, y) = LARGE[name], grid(150)
    x = np.abs(2 * x).astype(int) if name == "embedding" else x
    with fast.one_thread() if alone else contextlib.nullcontext():
        model, optimizer, _ = check_equal(make, (x, y), dtype, batch_size=75)
        step = fast.compile_step(lambda x, y: nn.cross_entropy(model(x), y), optimizer)
        found = [measured.kernel for measured in step.measure(x, y) if measured.kernel.startswith(kernel)]
    assert found
    assert all(name.endswith("_parallel") != alone for name in found)


def test_what_depends_on_numbers_is_refused():
    x, y = grid()
    model = MODELS["dense"]("float32")

    def by_branch(x, y):
        scores = model(x)
        return nn.cross_entropy(scores if x[0, 0].item() > 0 else scores * 2, y)

    def by_target(x, y):
        return nn.mse_loss(model(x), fast.one_hot(y, 3).to("float32"))

    def by_count(x, y):
        return nn.cross_entropy(model(x), y) * (y == 1).sum().item()

    x[0, 0], x[-1, 0] = 1, -1
    for loss in (by_branch, by_target, by_count):
        with pytest.raises(ValueError, match="for another batch"):
            fast.compile_step(loss, nn.SGD(model.parameters(), lr=0.1))(x, y)


def test_errors_name_what_is_wrong():
    x, y = grid()
    model = MODELS["dense"]("float32")
    step = step_of(model)
    with pytest.raises(ValueError, match=r"order .* from 0 to 19"):
        step.run((x, y), [[0, 20]])
    with pytest.raises(ValueError, match="behind the last"):
        step.run((x, y), [[0, -1, 1]])
    with pytest.raises(ValueError, match="rows"):
        step.run((x, y[:-1]), [[0, 1]])
    with pytest.raises(ValueError, match="learning_rates"):
        step.run((x, y), [[0, 1]], learning_rates=[0.1, 0.1])
    with pytest.raises(TypeError, match="single number"):
        fast.compile_step(lambda x, y: model(x), nn.SGD(model.parameters(), lr=0.1))(x, y)
    with pytest.raises(TypeError, match="no function"):
        fast.compile_step(model(fast.tensor(x, "float32")), nn.SGD(model.parameters(), lr=0.1))
    with pytest.raises(TypeError, match="optimizer="):
        fast.compile_step(lambda x, y: 0, model)
    with pytest.raises(ValueError, match="max_norm=0"):
        step_of(model, max_norm=0)
    with pytest.raises(NotImplementedError, match=r"'sum' gives int64.* float32 alone"):
        step_of(Function(lambda x: x / (x > 0).sum()))(x, y)
    mine = fast.Rule("mine", lambda node, grad: (grad,))
    with pytest.raises(NotImplementedError, match=r"mine.* no compiled form"):
        step_of(Function(lambda x: record(mine, x.data.copy(), (x,))))(x, y)
    with fast.no_grad(), pytest.raises(ValueError, match="no_grad"):
        step_of(model)(x, y)
    with pytest.raises(NotImplementedError, match=r"gives float64.* float32 alone"):
        step_of(Function(lambda x: x.to("float64").exp().to("float32")))(x, y)
    with pytest.raises(NotImplementedError, match=r"gives int64.* float32 alone"):
        fast.compile_step(lambda x: model(x + 1).sum(), nn.SGD(model.parameters(), lr=0.1))(x.astype(int))
    other = nn.Linear(2, 2, engine=fast, seed=0)
    optimizer = nn.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    with pytest.raises(ValueError, match="does not depend on the parameter"):
        fast.compile_step(lambda x, y: nn.cross_entropy(model(x), y), optimizer)(x, y)


def test_fit_says_what_it_cannot_compile():
    model = nn.MLP([6, 3], engine=micro, seed=0)
    with pytest.raises(ValueError, match="engine `fast`"):
        nn.fit(model, grid(), nn.cross_entropy, nn.SGD(model.parameters(), lr=0.1), 1, compile=True)


@pytest.mark.parametrize("name", ["dense", "batch norm", "batch norm of means"])
def test_an_unused_step_is_no_step(name):
    model = MODELS[name]("float32")
    before = model.state_dict()
    step_of(model).explain(*grid())
    for name, numbers in model.state_dict().items():
        np.testing.assert_array_equal(numbers, before[name])
    assert math.isfinite(step_of(model)(*grid()))
