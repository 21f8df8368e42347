"""Schedules of the learning rate: against numbers written out by hand, against PyTorch, and at work in `fit`."""

import math

import numpy as np
import pytest

import fast
import micro
import nn

LR = 0.8


def optimizer(kind=nn.SGD, lr=LR, engine=fast, **settings):
    return kind([engine.tensor([1.0], requires_grad=True)], lr=lr, **settings)


def walk(schedule, steps):
    """The learning rates that the optimizer has in the first steps."""
    rates = []
    for _ in range(steps):
        rates.append(schedule.optimizer.lr)
        assert schedule.last_lr == schedule.optimizer.lr
        schedule.step()
    return rates


def warm_up_then_cosine(module, optimizer):
    parts = [
        module.LinearLR(optimizer, start_factor=0.25, total_iters=3),
        module.CosineAnnealingLR(optimizer, T_max=4, eta_min=0.1),
    ]
    return module.SequentialLR(optimizer, parts, milestones=[3])


def three_parts(module, optimizer):
    parts = [
        module.LinearLR(optimizer, total_iters=2),
        module.StepLR(optimizer, 2, gamma=0.5),
        module.ExponentialLR(optimizer, 0.9),
    ]
    return module.SequentialLR(optimizer, parts, milestones=[2, 7])


# name: how it is made from a module of schedules (ours or PyTorch's), and how far to compare
CASES = {
    "StepLR": (lambda m, o: m.StepLR(o, 3), 10),
    "StepLR, gamma": (lambda m, o: m.StepLR(o, step_size=1, gamma=0.5), 10),
    "MultiStepLR": (lambda m, o: m.MultiStepLR(o, [5, 2, 5], gamma=0.5), 10),
    "ExponentialLR": (lambda m, o: m.ExponentialLR(o, 0.9), 20),
    "ExponentialLR, upwards": (lambda m, o: m.ExponentialLR(o, 1.1), 20),
    "CosineAnnealingLR": (lambda m, o: m.CosineAnnealingLR(o, 10), 11),
    "CosineAnnealingLR, two waves": (lambda m, o: m.CosineAnnealingLR(o, T_max=7, eta_min=0.05), 32),
    "LinearLR": (lambda m, o: m.LinearLR(o), 9),
    "LinearLR, down": (lambda m, o: m.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=4), 9),
    "SequentialLR": (warm_up_then_cosine, 12),
    "SequentialLR of three": (three_parts, 12),
    "OneCycleLR": (lambda m, o: m.OneCycleLR(o, max_lr=0.5, total_steps=20), 20),
    "OneCycleLR, linear": (
        lambda m, o: m.OneCycleLR(o, 0.5, 13, pct_start=0.45, anneal_strategy="linear", div_factor=5.0),
        13,
    ),
    "OneCycleLR, settings": (
        lambda m, o: m.OneCycleLR(o, 2.0, 17, pct_start=0.6, base_momentum=0.5, max_momentum=0.9, final_div_factor=7.0),
        17,
    ),
    "OneCycleLR, two steps": (lambda m, o: m.OneCycleLR(o, 2.0, 2), 2),
    "OneCycleLR, one step": (lambda m, o: m.OneCycleLR(o, 2.0, 1), 1),
    "OneCycleLR, only up": (lambda m, o: m.OneCycleLR(o, 2.0, 9, pct_start=1.0), 9),
    "OneCycleLR, only down": (lambda m, o: m.OneCycleLR(o, 2.0, 9, pct_start=0.0), 9),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_every_rate_is_pytorchs(case, kind):
    torch = pytest.importorskip("torch")
    make, steps = CASES[case]
    mine = make(nn, optimizer(getattr(nn, kind)))
    theirs = getattr(torch.optim, kind)([torch.zeros(1, requires_grad=True)], lr=LR)
    schedule = make(torch.optim.lr_scheduler, theirs)
    group, settings = theirs.param_groups[0], mine.optimizer.settings
    preview = mine.preview(steps)
    for step in range(steps):
        assert mine.optimizer.lr == pytest.approx(group["lr"], rel=1e-10, abs=1e-15), step
        assert preview[step] == mine.optimizer.lr
        if kind == "SGD":
            assert settings["momentum"] == pytest.approx(group["momentum"], rel=1e-12), step
        else:
            assert settings["betas"] == pytest.approx(group["betas"], rel=1e-12), step
        theirs.step()
        if step < steps - 1:
            mine.step()
            schedule.step()


PLATEAUS = {
    "default": {},
    "impatient": {"patience": 0, "factor": 0.5},
    "cooldown": {"patience": 1, "cooldown": 3, "factor": 0.5, "min_lr": 0.05},
    "threshold": {"patience": 2, "threshold": 0.1, "factor": 0.3},
    "max": {"mode": "max", "patience": 2, "threshold": 0.01},
    "eps": {"patience": 0, "factor": 0.9, "eps": 0.02},
}


@pytest.mark.parametrize("settings", PLATEAUS.values(), ids=PLATEAUS)
def test_plateaus_are_pytorchs(settings):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    losses = np.concatenate([np.linspace(2, 1, 10), 1 + 0.01 * random.normal(size=60), [math.nan], np.full(30, 0.5)])
    mine = nn.ReduceLROnPlateau(optimizer(), **settings)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **settings)
    rates = set()
    for loss in losses.tolist():
        mine.step(loss)
        schedule.step(loss)
        assert mine.last_lr == mine.optimizer.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        rates.add(mine.last_lr)
    assert len(rates) > 2


# ----------------------------------------------------------------------------------------------------------------------
# By hand.

R = math.sqrt(0.5)

BY_HAND = {
    "StepLR": [0.8, 0.8, 0.8, 0.08, 0.08, 0.08, 0.008],
    "MultiStepLR": [0.8, 0.8, 0.4, 0.4, 0.4, 0.1, 0.1],
    "ExponentialLR": [0.8, 0.72, 0.648, 0.5832],
    "LinearLR": [0.8 * share / 15 for share in (5, 7, 9, 11, 13, 15, 15, 15)],
    "SequentialLR": [0.2, 0.4, 0.6, 0.8, 0.45 + 0.35 * R, 0.45, 0.45 - 0.35 * R, 0.1],
}


@pytest.mark.parametrize("case", BY_HAND)
def test_rates_by_hand(case):
    schedule = CASES[case][0](nn, optimizer())
    assert schedule.preview(len(BY_HAND[case])) == pytest.approx(BY_HAND[case], rel=1e-12)
    assert walk(schedule, len(BY_HAND[case])) == pytest.approx(BY_HAND[case], rel=1e-12)


def test_cosine_by_hand():
    rates = nn.CosineAnnealingLR(optimizer(), T_max=4, eta_min=0.2).preview(5)
    assert rates == pytest.approx([0.8, 0.5 + 0.3 * R, 0.5, 0.5 - 0.3 * R, 0.2], rel=1e-12)


def test_one_cycle_by_hand():
    """Twenty steps of which 0.3 go up: the top is at step 5, the end at 19, and half way down is 12."""
    sgd = optimizer(momentum=0.5)
    schedule = nn.OneCycleLR(sgd, max_lr=0.5, total_steps=20)
    assert (sgd.lr, sgd.settings["momentum"]) == (pytest.approx(0.02), 0.95)
    rates = schedule.preview(20)
    assert rates[5] == max(rates) == 0.5
    assert rates[12] == pytest.approx((0.5 + 0.02e-4) / 2, rel=1e-12)
    assert rates[19] == pytest.approx(0.02e-4, rel=1e-9)
    assert [schedule.momentum_at(t) for t in (5, 12, 19)] == pytest.approx([0.85, 0.9, 0.95], rel=1e-12)
    straight = nn.OneCycleLR(optimizer(), 0.5, 21, pct_start=1 / 3, anneal_strategy="linear", cycle_momentum=False)
    assert straight.preview(7) == pytest.approx([0.02 + 0.08 * t for t in range(7)], rel=1e-12)
    assert straight.optimizer.settings["momentum"] == 0


def test_one_cycle_whose_top_is_its_first_step():
    """PyTorch divides by zero here."""
    rates = nn.OneCycleLR(optimizer(), 0.5, total_steps=10, pct_start=0.1).preview(10)
    assert rates[0] == max(rates) == 0.5
    assert rates[9] == pytest.approx(0.02e-4)


def test_one_cycle_changes_the_momentum_that_the_update_uses(engine):
    adam = optimizer(nn.Adam, engine=engine)
    nn.OneCycleLR(adam, 0.5, 4)
    (adam.parameters[0] * 2.0).sum().backward()
    adam.step()
    assert adam.state_dict()["0.exp_avg"] == pytest.approx([0.05 * 2.0], rel=1e-6)
    assert adam.settings["betas"] == (0.95, 0.999)


def test_plateau_by_hand():
    schedule = nn.ReduceLROnPlateau(optimizer(), factor=0.5, patience=1, cooldown=1)
    rates = []
    for loss in [1.0, 0.9, 0.89995, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6]:
        schedule.step(loss)
        rates.append(schedule.last_lr)
    # 0.89995 is no improvement on 0.9 (by less than 1e-4 of it); of two bad steps the second cuts; the next is not
    # counted, and so the second cut comes three steps after the first
    assert rates == pytest.approx([0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2])


def test_a_plateau_can_be_looked_at_before_it_comes():
    schedule = nn.ReduceLROnPlateau(optimizer(), factor=0.5, patience=1, min_lr=0.3)
    schedule.step(1.0)
    before = vars(schedule).copy()
    assert schedule.preview(6) == [0.8, 0.8, 0.4, 0.4, 0.3, 0.3]
    assert vars(schedule) == before
    assert schedule.optimizer.lr == 0.8


@pytest.mark.parametrize("case", CASES)
def test_a_preview_changes_nothing(case):
    make, steps = CASES[case]
    schedule, other = make(nn, optimizer(nn.Adam)), make(nn, optimizer(nn.Adam))
    middle = steps // 2
    for _ in range(middle):
        schedule.step()
    settings, lr = dict(schedule.optimizer.settings), schedule.optimizer.lr
    assert schedule.preview(steps - middle) == other.preview(steps)[middle:]
    assert (schedule.optimizer.settings, schedule.optimizer.lr, schedule.steps) == (settings, lr, middle)


def test_schedules_of_one_optimizer_count_from_its_first_rate():
    sgd = optimizer(lr=0.9)
    nn.LinearLR(sgd)
    assert sgd.lr == pytest.approx(0.3)
    nn.ExponentialLR(sgd, 0.5)
    assert sgd.lr == 0.9


# ----------------------------------------------------------------------------------------------------------------------
# In training.

X = np.linspace(-1, 1, 12).reshape(-1, 1)


class Watch(nn.Callback):
    """What the learning rate was at every update."""

    def __init__(self):
        self.rates = []

    def on_backward_end(self, run):
        self.rates.append(run.optimizer.lr)


def train(make, every, epochs=3, engine=fast, kind=nn.SGD, **settings):
    model = nn.MLP([1, 4, 1], "tanh", engine=engine, seed=0, dtype="float64")
    sgd, watch = kind(model.parameters(), lr=LR), Watch()
    callbacks = [watch, nn.Schedule(make(sgd), every)]
    history = nn.fit(model, (X, X**2), nn.mse_loss, sgd, epochs, batch_size=6, callbacks=callbacks, **settings)
    return watch.rates, history


def test_a_schedule_steps_every_epoch_or_every_update():
    def make(sgd):
        return nn.ExponentialLR(sgd, 0.5)

    assert train(make, "epoch")[0] == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]
    assert train(make, "step")[0] == [0.8, 0.4, 0.2, 0.1, 0.05, 0.025]


def test_one_cycle_over_all_updates():
    def make(sgd):
        return nn.OneCycleLR(sgd, 0.5, total_steps=6)

    assert train(make, "step")[0] == make(optimizer()).preview(6)


class Listener(nn.ReduceLROnPlateau):
    def __init__(self, sgd):
        super().__init__(sgd)
        self.heard = []

    def step(self, metrics=None):
        self.heard.append(metrics)
        super().step(metrics)


def test_a_plateau_is_looked_for_in_the_validation_loss_if_there_is_one():
    listeners = []

    def make(sgd):
        listeners.append(Listener(sgd))
        return listeners[-1]

    _, history = train(make, "epoch")
    assert listeners[0].heard == history.loss
    _, history = train(make, "epoch", validation=(X[:5], X[:5]))
    assert listeners[1].heard == history.validation_loss
    _, history = train(make, "step")
    assert listeners[2].heard == history.step_loss


def test_divergence_is_reported_with_the_rate_at_which_it_happened():
    model = nn.MLP([1, 4, 1], "tanh", engine=fast, seed=0)
    sgd = nn.SGD(model.parameters(), lr=1e6)
    with pytest.warns(nn.DivergenceWarning, match=r"below 1e\+06"):
        nn.fit(model, (X, X), nn.mse_loss, sgd, 200, callbacks=[nn.Schedule(nn.StepLR(sgd, 1000))])
    sgd = nn.SGD(nn.MLP([1, 4, 1], engine=fast).parameters(), lr=1.0)
    callback = nn.Schedule(nn.ExponentialLR(sgd, 0.5))
    callback.on_epoch_end(nn.Run(model, sgd, 3, nn.History(loss=[math.nan], diverged_at=0)))
    assert sgd.lr == 1.0


@pytest.mark.parametrize(
    ("make", "every"),
    [
        (lambda o: warm_up_then_cosine(nn, o), "epoch"),
        (lambda o: nn.OneCycleLR(o, 0.5, 20), "step"),
        (lambda o: nn.ReduceLROnPlateau(o, patience=0, threshold=0.05), "epoch"),
    ],
)
@pytest.mark.parametrize("kind", [nn.SGD, nn.AdamW])
def test_twins(make, every, kind):
    runs = [train(make, every, 10, engine, kind) for engine in (micro, fast)]
    assert runs[0][0] == runs[1][0]
    assert len(set(runs[0][0])) > 2
    np.testing.assert_allclose(runs[0][1].step_loss, runs[1][1].step_loss, rtol=1e-9)


# ----------------------------------------------------------------------------------------------------------------------
# Bad settings.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: nn.StepLR(None, 3), TypeError, r"StepLR: optimizer=None; give one"),
        (lambda o: nn.StepLR(o, 0), ValueError, r"StepLR: step_size=0; give a whole number"),
        (lambda o: nn.StepLR(o, 3, gamma=0), ValueError, r"StepLR: gamma=0; it must be a positive"),
        (lambda o: nn.MultiStepLR(o, [3, 2.5]), ValueError, r"MultiStepLR: a milestone=2\.5"),
        (lambda o: nn.MultiStepLR(o, [3], -1), ValueError, r"MultiStepLR: gamma=-1"),
        (lambda o: nn.ExponentialLR(o, math.nan), ValueError, r"ExponentialLR: gamma=nan"),
        (lambda o: nn.CosineAnnealingLR(o, 2.5), ValueError, r"CosineAnnealingLR: T_max=2\.5"),
        (lambda o: nn.CosineAnnealingLR(o, 2, -1), ValueError, r"CosineAnnealingLR: eta_min=-1"),
        (lambda o: nn.LinearLR(o, start_factor=0), ValueError, r"LinearLR: start_factor=0"),
        (lambda o: nn.LinearLR(o, end_factor=2.0), ValueError, r"LinearLR: .*end_factor=2\.0; .*1 is the most"),
        (lambda o: nn.LinearLR(o, end_factor=-0.5), ValueError, r"LinearLR: end_factor=-0\.5"),
        (lambda o: nn.LinearLR(o, total_iters=0), ValueError, r"LinearLR: total_iters=0"),
        (lambda o: nn.SequentialLR(o, [nn.LinearLR(o)], [3]), ValueError, r"SequentialLR: 1 schedulers .*\[3\]"),
        (lambda o: nn.SequentialLR(o, [nn.StepLR(o, 1)] * 3, [3, 3]), ValueError, r"milestones=\[3, 3\]; each must"),
        (lambda o: nn.SequentialLR(o, [nn.StepLR(o, 1)] * 2, [0.5]), ValueError, r"SequentialLR: a milestone=0\.5"),
        (lambda o: nn.SequentialLR(o, [nn.StepLR(optimizer(), 1)], []), ValueError, r"different optimizers"),
        (lambda o: nn.SequentialLR(o, [nn.ReduceLROnPlateau(o)], []), TypeError, r"SequentialLR: .*no formula"),
        (lambda o: nn.OneCycleLR(o, -0.5, 9), ValueError, r"OneCycleLR: max_lr=-0\.5"),
        (lambda o: nn.OneCycleLR(o, 0.5, None), ValueError, r"OneCycleLR: total_steps=None"),
        (lambda o: nn.OneCycleLR(o, 0.5, 9, pct_start=30), ValueError, r"OneCycleLR: pct_start=30; .*from 0 to 1"),
        (lambda o: nn.OneCycleLR(o, 0.5, 9, pct_start=-0.1), ValueError, r"OneCycleLR: pct_start=-0\.1"),
        (lambda o: nn.OneCycleLR(o, 0.5, 9, anneal_strategy="sin"), ValueError, r"anneal_strategy='sin'; use \"cos\""),
        (lambda o: nn.OneCycleLR(o, 0.5, 9, max_momentum=1), ValueError, r"OneCycleLR: .*max_momentum=1; .*below 1"),
        (lambda o: nn.OneCycleLR(o, 0.5, 9, div_factor=0), ValueError, r"OneCycleLR: div_factor=0"),
        (
            lambda o: nn.OneCycleLR(optimizer(nn.Adagrad), 0.5, 9),
            ValueError,
            r"Adagrad has no .*cycle_momentum=False",
        ),
        (lambda o: nn.OneCycleLR(o, 0.5, 9).preview(11), ValueError, r"OneCycleLR: step 10 of total_steps=9; count"),
        (lambda o: nn.ReduceLROnPlateau(o, "lowest"), ValueError, r"ReduceLROnPlateau: mode='lowest'; use \"min\""),
        (lambda o: nn.ReduceLROnPlateau(o, factor=1.0), ValueError, r"ReduceLROnPlateau: factor=1\.0; .*below 1"),
        (lambda o: nn.ReduceLROnPlateau(o, patience=-1), ValueError, r"ReduceLROnPlateau: patience=-1"),
        (lambda o: nn.ReduceLROnPlateau(o, cooldown=-1), ValueError, r"ReduceLROnPlateau: cooldown=-1"),
        (lambda o: nn.ReduceLROnPlateau(o).step(), TypeError, r"ReduceLROnPlateau.step: metrics=None; give the loss"),
        (lambda o: nn.StepLR(o, 1).preview(0), ValueError, r"StepLR.preview: steps=0"),
        (lambda o: nn.ReduceLROnPlateau(o).preview("3"), ValueError, r"ReduceLROnPlateau.preview: steps='3'"),
        (lambda o: nn.Schedule(o), TypeError, r"Schedule: .*is no schedule; give one, such as"),
        (lambda o: nn.Schedule(nn.StepLR(o, 1), "batch"), ValueError, r"Schedule: every='batch'; use \"epoch\""),
        (lambda o: nn.LRScheduler(o), NotImplementedError, r"LRScheduler does not say what lr_at"),
    ],
)
def test_settings_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizer())


@pytest.mark.parametrize(
    "make",
    [
        lambda o: warm_up_then_cosine(nn, o),
        lambda o: nn.OneCycleLR(o, 0.5, 20),
        lambda o: nn.ReduceLROnPlateau(o, patience=1, cooldown=1),
    ],
)
def test_a_schedule_goes_on_from_its_state(make):
    first, second = make(optimizer(nn.Adam)), make(optimizer(nn.Adam))
    for _ in range(7):
        first.step(1.0)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert second.last_lr == first.last_lr
    assert second.optimizer.settings == first.optimizer.settings
    for _ in range(7):
        first.step(1.0)
        second.step(1.0)
        assert second.optimizer.lr == first.optimizer.lr


def test_a_refused_schedule_leaves_the_optimizer_as_it_was():
    sgd, adagrad = optimizer(), optimizer(nn.Adagrad)
    for refused in (lambda: nn.LinearLR(sgd, end_factor=2), lambda: nn.OneCycleLR(adagrad, 0.5, 9)):
        with pytest.raises(ValueError, match=r"LinearLR|OneCycleLR"):
            refused()
    assert (sgd.lr, adagrad.lr) == (LR, LR)


def test_a_schedule_of_another_optimizer_is_refused_before_training():
    with pytest.raises(ValueError, match=r"Schedule: .*another optimizer"):
        train(lambda sgd: nn.StepLR(optimizer(), 1), "epoch")


def test_a_cycle_that_is_too_short_says_so():
    with pytest.raises(ValueError, match=r"step 5 of total_steps=4; count the steps again"):
        train(lambda sgd: nn.OneCycleLR(sgd, 0.5, total_steps=4), "step")
