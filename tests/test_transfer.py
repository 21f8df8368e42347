"""Transfer learning: layers that are frozen, replaced, or loaded in part."""

import copy
import pickle

import numpy as np
import pytest

import fast
import nn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 3))
LABELS = np.array([0, 1, 2] * 4)

OPTIMIZERS = {
    "SGD": lambda p: nn.SGD(p, lr=0.1),
    "momentum": lambda p: nn.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda p: nn.AdamW(p, lr=0.1, weight_decay=0.5),
    "RMSprop": lambda p: nn.RMSprop(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adagrad": lambda p: nn.Adagrad(p, lr=0.1, weight_decay=0.1),
}


def network(engine, seed=0):
    """A body of two layers with batch norm and dropout, and a head."""
    random = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(3, 4, engine=engine, seed=random, dtype="float64"),
        nn.BatchNorm1d(4, engine=engine, dtype="float64"),
        nn.Tanh(),
        nn.Dropout(0.5, seed=1),
        nn.Linear(4, 3, engine=engine, seed=random, dtype="float64"),
    )


def train(model, make=OPTIMIZERS["SGD"], epochs=2):
    return nn.fit(model, (X, LABELS), nn.cross_entropy, make(model.parameters()), epochs, batch_size=4)


def moved(model, before):
    """The names of the parameters and buffers that are no longer what they were, bit for bit."""
    return {name for name, array in model.state_dict().items() if array.tobytes() != before[name].tobytes()}


# ----------------------------------------------------------------------------------------------------------------------
# Freezing.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_frozen_stays_and_the_head_learns(engine, name):
    model = network(engine)
    train(model, OPTIMIZERS[name], epochs=1)  # so that there are gradients, buffers and running means
    model[:-1].freeze()
    before = model.state_dict()
    train(model, OPTIMIZERS[name])
    assert moved(model, before) == {"4.weight", "4.bias"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_that_remembers_a_parameter_leaves_it_where_it_is_once_frozen(engine, name):
    model = network(engine)
    optimizer = OPTIMIZERS[name](model.parameters())
    nn.fit(model, (X, LABELS), nn.cross_entropy, optimizer, 1)  # its last gradients are still there
    model[0].requires_grad_(False)
    before = model.state_dict()
    optimizer.step()
    assert not moved(model, before) & {"0.weight", "0.bias"}
    nn.fit(model, (X, LABELS), nn.cross_entropy, optimizer, 1)
    assert not moved(model, before) & {"0.weight", "0.bias"}
    assert "4.weight" in moved(model, before)


def test_frozen_layers_are_in_evaluation_while_the_model_is_trained(engine):
    model = network(engine)
    assert not model[1:4].freeze().training
    assert [module.training for module in model] == [True, False, False, False, True]
    model.train()
    assert [module.training for module in model] == [True, False, False, False, True]
    assert [module.frozen for module in model] == [False, True, True, True, False]
    assert not model.eval().training
    nn.predict(model.train(), X)
    assert [module.training for module in model] == [True, False, False, False, True]


def test_requires_grad_alone_leaves_batch_norm_and_dropout_in_training(engine):
    model = network(engine)
    assert model[:-1].requires_grad_(False).training
    before = model.state_dict()
    train(model)
    assert moved(model, before) == {
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "4.weight",
        "4.bias",
    }


def test_unfreezing_brings_all_back(engine):
    model = network(engine)
    assert model.freeze() is model
    assert model[0].unfreeze() is model[0]
    model[1:].unfreeze()
    before = model.state_dict()
    train(model)
    assert moved(model, before) | {"0.bias"} == before.keys()  # batch norm takes away what 0.bias adds
    assert all(module.training for module in model)


def test_a_whole_frozen_model_keeps_its_children_in_evaluation(engine):
    body = network(engine).freeze()
    model = nn.Sequential(body, nn.Linear(3, 3, engine=engine, seed=0, dtype="float64"))
    before = model.state_dict()
    train(model)
    assert moved(model, before) == {"1.weight", "1.bias"}
    body[-1] = nn.Linear(4, 3, engine=engine, seed=0, dtype="float64")  # which nobody has frozen
    assert [body.training, body[1].training, body[-1].training] == [False, False, True]


def test_no_work_is_done_for_frozen_layers_in_fast():
    model = network(fast)
    model[:4].freeze()
    inside = model[:4](fast.tensor(X))
    assert not inside.requires_grad  # nothing was recorded
    assert inside.parents == ()
    model[:4].unfreeze()
    model[4].freeze()
    nn.cross_entropy(model(fast.tensor(X)), fast.tensor(LABELS)).backward()  # it passes through the frozen head
    assert [p.grad is None for p in model.parameters()] == [False] * 4 + [True] * 2


def test_both_engines_train_the_head_alike():
    import micro

    losses = []
    for engine in (micro, fast):
        model = network(engine)
        model[:-1].freeze()
        losses.append(train(model, OPTIMIZERS["momentum"]).step_loss)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)


def test_a_single_number_can_be_frozen(engine):
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = engine.tensor(2.0, requires_grad=True)
            self.shift = engine.tensor([0.5], requires_grad=True)

        def forward(self, x):
            return x * self.factor + self.shift

    model = Scale()
    model.factor.requires_grad = False
    assert model.factor.constant
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    nn.fit(model, ([[1.0], [2.0]], [[3.0], [5.0]]), nn.mse_loss, optimizer, 2)
    assert model.factor.item() == 2.0
    assert model.shift[0].item() != 0.5
    model.factor.requires_grad = True
    nn.fit(model, ([[1.0], [2.0]], [[3.0], [5.0]]), nn.mse_loss, optimizer, 1)
    assert model.factor.item() != 2.0


def test_with_all_frozen_there_is_nothing_to_train(engine):
    model = network(engine).freeze()
    with pytest.raises(ValueError, match="all parameters are frozen"):
        train(model)


def test_a_frozen_model_can_be_copied_and_pickled(engine):
    model = network(engine)
    model[0].freeze()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [p.requires_grad for p in twin.parameters()] == [False] * 2 + [True] * 4
        assert twin.train()[0].training is False


# ----------------------------------------------------------------------------------------------------------------------
# Replacing.


def test_replacing_the_head(engine):
    model = network(engine)
    model[-1] = nn.Linear(4, 2, engine=engine, seed=5, dtype="float64")
    assert len(model) == 5
    assert model.state_dict()["4.weight"].shape == (2, 4)
    assert [p.label for p in model[-1].parameters() if p.label] == ["4.weight", "4.bias"]
    assert nn.predict(model, X).shape == (12, 2)
    head = model[-1]
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    before = head.weight.tolist()
    nn.fit(model, (X, LABELS % 2), nn.cross_entropy, optimizer, 1)
    assert head.weight.tolist() != before


@pytest.mark.parametrize("kind", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
def test_items_are_those_of_a_list(engine, kind):
    a, b, c, d, e = (nn.Linear(2, 2, engine=engine, seed=i) for i in range(5))
    ours, theirs = kind(a, b, c), [a, b, c]

    def same():
        assert list(ours) == theirs
        assert len(ours) == len(theirs)
        assert [name for name, _ in ours.named_children()] == [str(i) for i in range(len(theirs))]
        weights = [p for p in ours.parameters() if p.shape == (2, 2)]
        assert all(w is module.weight for w, module in zip(weights, theirs, strict=True))

    for index, new in [(0, d), (-1, e), (slice(1, 2), [a, b]), (slice(0, 0), [c]), (slice(None, None, 2), [])]:
        if new == []:
            del ours[index], theirs[index]
        else:
            ours[index], theirs[index] = new, new
        same()
    del ours[-1], theirs[-1]
    same()


def test_replacing_with_what_does_not_go_changes_nothing(engine):
    model = network(engine)
    before = list(model)
    for index, new, error, words in [
        (5, nn.Tanh(), IndexError, "Sequential: there is no module 5; there are 5, from 0"),
        (-6, nn.Tanh(), IndexError, "no module -6"),
        (0, nn.Tanh, TypeError, r"argument 0 .*make one: Tanh\(\.\.\.\)"),
        (0, 3, TypeError, "argument 0 is 3, not a Module"),
        (slice(1, 3), [nn.Tanh(), "tanh"], TypeError, "argument 2 is 'tanh', not a Module"),
    ]:
        with pytest.raises(error, match=words):
            model[index] = new
        assert list(model) == before
    with pytest.raises(IndexError, match="no module 7"):
        del model[7]
    assert list(model) == before


def test_an_attribute_is_replaced_by_another_module(engine):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 4, engine=engine, seed=0)
            self.head = nn.Linear(4, 3, engine=engine, seed=1)
            self.scale = engine.tensor([1.0], requires_grad=True)

        def forward(self, x):
            return self.head(self.body(x).tanh()) * self.scale

    model = Net()
    model.head = nn.Linear(4, 2, engine=engine, seed=2)
    assert {name: array.shape for name, array in model.state_dict().items()} == {
        "scale": (1,),
        "body.weight": (4, 3),
        "body.bias": (4,),
        "head.weight": (2, 4),
        "head.bias": (2,),
    }
    assert nn.predict(model, X).shape == (12, 2)
    del model.head, model.scale
    assert list(model.state_dict()) == ["body.weight", "body.bias"]
    assert list(model.named_children()) == [("body", model.body)]


def test_an_optimizer_from_before_a_replacement_is_refused(engine):
    model = network(engine)
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    model[-1] = nn.Linear(4, 3, engine=engine, seed=5, dtype="float64")
    with pytest.raises(ValueError, match=r"does not hold 4\.weight.*make the optimizer afterwards"):
        nn.fit(model, (X, LABELS), nn.cross_entropy, optimizer, 1)
    only_head = nn.SGD(model[-1].parameters(), lr=0.1)  # less than all is a choice
    nn.fit(model, (X, LABELS), nn.cross_entropy, only_head, 1)


def test_a_slice_leaves_the_labels_as_they_are(engine):
    model = network(engine)
    assert len(model[1:].parameters()) == 4
    assert [name for name, _ in model[1:].named_parameters()] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert model[4].weight.label == "4.weight"


# ----------------------------------------------------------------------------------------------------------------------
# Names of modules.


def test_named_modules_and_children(engine):
    inner = nn.Sequential(nn.Linear(2, 2, engine=engine, seed=0), nn.Tanh())
    model = nn.Sequential(inner, inner[1], nn.Sequential(nn.ReLU()))
    assert dict(model.named_modules()) == {
        "": model,
        "0": inner,
        "0.0": inner[0],
        "0.1": inner[1],
        "2": model[2],
        "2.0": model[2][0],
    }
    assert dict(model.named_children()) == {"0": inner, "1": inner[1], "2": model[2]}
    assert list(model.modules()) == list(dict(model.named_modules()).values())


# ----------------------------------------------------------------------------------------------------------------------
# Loading in part.


def test_what_fits_is_loaded_and_the_report_names_the_rest(engine):
    source, model = network(engine, seed=1), network(engine, seed=2)
    model[-1] = nn.Linear(4, 2, engine=engine, seed=5, dtype="float64")
    state = source.state_dict()
    del state["1.weight"]
    state |= {"old.weight": np.zeros(2), "1.num_batches_tracked": np.array(0.5)}
    before = model.state_dict()
    report = model.load_state_dict(state, strict=False)
    assert report == nn.LoadReport(
        loaded=["0.weight", "0.bias", "1.bias", "1.running_mean", "1.running_var"],
        missing=["1.weight"],
        unexpected=["old.weight"],
        mismatched={
            "4.weight": "has shape (3, 4), needed is (2, 4)",
            "4.bias": "has shape (3,), needed is (2,)",
            "1.num_batches_tracked": "holds float64, needed is int64",
        },
    )
    assert str(report).splitlines() == [
        "loaded 5 of 9: 0.weight, 0.bias, 1.bias, 1.running_mean, 1.running_var",
        "not loaded: 1.weight is missing",
        "not loaded: 4.weight has shape (3, 4), needed is (2, 4)",
        "not loaded: 4.bias has shape (3,), needed is (2,)",
        "not loaded: 1.num_batches_tracked holds float64, needed is int64",
        "ignored: old.weight is unknown",
    ]
    after = model.state_dict()
    for name in after:
        np.testing.assert_array_equal(after[name], (state if name in report.loaded else before)[name])


def test_strict_loading_takes_all_or_nothing(engine):
    source, model = network(engine, seed=1), network(engine, seed=2)
    before, state = model.state_dict(), source.state_dict()
    for bad in ({**state, "x": 1.0}, {**state, "0.bias": np.zeros(3)}, {k: v for k, v in state.items() if k[0] != "4"}):
        with pytest.raises(ValueError, match="nothing was loaded"):
            model.load_state_dict(bad)
        assert moved(model, before) == set()
    report = model.load_state_dict(state)
    assert (report.loaded, report.problems) == (list(before), [])
    assert str(report).startswith("loaded 9 of 9: 0.weight, ")


def test_where_nothing_fits_loading_in_part_is_an_error_too(engine):
    model = network(engine)
    with pytest.raises(ValueError, match=r"0\.weight is missing.*body\.weight is unknown.*nothing was loaded"):
        model.load_state_dict({"body.weight": np.zeros((4, 3))}, strict=False)


def test_frozen_parameters_are_saved_and_loaded_like_all_others(engine):
    source, model = network(engine, seed=1), network(engine, seed=2)
    model[:-1].freeze()
    model.load_state_dict(source.state_dict())
    assert moved(model, source.state_dict()) == set()
    assert not model[0].weight.requires_grad
