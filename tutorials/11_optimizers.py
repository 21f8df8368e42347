# %% [markdown]
# # Optimizers
#
# The fourth step of the loop is the update: each weight moves against its slope. By how much? The plain rule, learning
# rate times slope, has one rate for all weights, and forgets at once what it has seen. An **optimizer** is a rule for
# the update, and the common ones remember something: momentum which way it went, RMSprop how large the slopes were,
# Adam both. This lesson writes five of them down in a few lines each, holds them against those of `nn`, sends them down
# a valley, and then compares them on real data, where the famous one wins sometimes, for a reason that can be seen.
# Run it with `.venv/bin/python tutorials/11_optimizers.py`, or cell by cell. (`--engine micro` runs sections 1 to 3 as
# they are, and the others at a tiny size, which shows that they run, but none of their results.)

# %%
import argparse
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="Optimizers.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro: tiny (default: fast)")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
full_size = engine is fast  # what is claimed of trainings holds at full size alone
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
warnings.simplefilter("ignore", nn.DivergenceWarning)  # some rates are too high; the sweeps are there to find that out
started = time.perf_counter()

# %% [markdown]
# ## 1. Five rules
#
# Each rule is given a weight p, its slope g (the gradient), the learning rate lr, and what it kept from the steps
# before; it returns the new weight.
#
# - **SGD** (stochastic gradient descent, for the gradient of a random batch is a chance estimate): lr times slope.
# - **Momentum**: keeps a sum of all slopes so far, in which each older one counts 0.9 times as much as the next.
# - **RMSprop**: keeps a running mean of the squared slopes, and divides the slope by its root (RMS: root mean square).
#   So the slope's usual size is taken out: what remains is whether it is large or small for this weight.
# - **Adam**: a running mean of the slopes (momentum), divided by the root of a running mean of their squares (RMSprop).
#   Both means begin at 0, so at first they are too small; dividing by 1 - 0.9^t in step t makes up for that exactly.
# - **AdamW**: first the weight shrinks by a small share, then Adam's step (section 5 says what for).
#
# The 1e-8 only prevents a division by zero.


# %%
def sgd(p, g, lr, kept):
    return p - lr * g


def momentum(p, g, lr, kept):
    kept["sum"] = 0.9 * kept.get("sum", 0.0) + g
    return p - lr * kept["sum"]


def rmsprop(p, g, lr, kept):
    kept["square"] = 0.99 * kept.get("square", 0.0) + 0.01 * g**2
    return p - lr * g / (math.sqrt(kept["square"]) + 1e-8)


def adam(p, g, lr, kept):
    t = kept["step"] = kept.get("step", 0) + 1
    kept["mean"] = 0.9 * kept.get("mean", 0.0) + 0.1 * g
    kept["square"] = 0.999 * kept.get("square", 0.0) + 0.001 * g**2
    mean, square = kept["mean"] / (1 - 0.9**t), kept["square"] / (1 - 0.999**t)
    return p - lr * mean / (math.sqrt(square) + 1e-8)


def adamw(p, g, lr, kept, weight_decay=0.01):
    return adam(p * (1 - lr * weight_decay), g, lr, kept)


rules = {"SGD": sgd, "momentum": momentum, "RMSprop": rmsprop, "Adam": adam, "AdamW": adamw}

# %% [markdown]
# What makes them differ shows already on made-up slopes. In the table, how far a weight at 0 moves with lr = 0.1: in
# the first step, for a tiny and for a huge slope; and in the hundredth step, if the slope was 1 each time, and if it
# changed its sign each time.
#
# - With SGD and momentum, a slope a million times as large is a step a million times as large. RMSprop and Adam
#   do not care: Adam's first step is lr, whatever the slope (down to some 1e-8). RMSprop's first is ten times lr,
#   because its mean begins at 0 and nothing makes up for that.
# - Where the slope stays the same, momentum's steps grow to ten times those of SGD: 1 + 0.9 + 0.81 + ... adds up to 10.
#   Where it changes its sign each time, they shrink to about half of SGD's, and Adam's to a twentieth of lr.
# - RMSprop has no memory of signs, so both are the same to it. Its step is still a quarter longer than lr: even after a
#   hundred steps its mean has not quite arrived at 1.

# %%
lr = 0.1
print("1. How far one step goes, lr = 0.1")
print(f"   {'':8}  {'first step, slope of':>21}  {'step 100, slopes of':>26}")
print(f"   {'':8}  {'0.001':>10} {'1000':>10}  {'1, 1, 1, ...':>12}  {'1, -1, 1, ...':>12}")
lengths = {}
for name in ("SGD", "momentum", "RMSprop", "Adam"):
    rule, steady, zigzag = rules[name], {}, {}
    first = [abs(rule(0.0, g, lr, {})) for g in (0.001, 1000.0)]
    for step in range(100):
        late = [abs(rule(0.0, 1.0, lr, steady)), abs(rule(0.0, (-1.0) ** step, lr, zigzag))]
    lengths[name] = first + late
    print(f"   {name:8}  {first[0]:10.4f} {first[1]:10.4f}  {late[0]:12.4f}  {late[1]:12.4f}")
assert np.allclose(lengths["SGD"], [0.0001, 100, 0.1, 0.1])
assert np.allclose(lengths["momentum"], [0.0001, 100, 1.0, 0.1 / 1.9], rtol=1e-4)
assert np.allclose(lengths["RMSprop"], [1.0, 1.0, *[0.1 / math.sqrt(1 - 0.99**100)] * 2], rtol=1e-3)
assert 0.12 < lengths["RMSprop"][2] < 0.13
assert np.allclose(lengths["Adam"], [0.1, 0.1, 0.1, 0.1 / 19], rtol=1e-3)

# %% [markdown]
# ## 2. The same by `nn`
#
# Twenty irises of two kinds, to be told apart by their petals, and a network 2-3-1. On `micro` every weight is a Value
# that can be moved by hand. The loop is that of lesson 4; only its fourth step changes with the rule. The optimizers of
# `nn`, in the same loop, must arrive at the same weights but for the last digits: the formulas are the same, but not
# always the order in which they are computed.

# %%
flowers = load_iris()
petals = flowers.data[50::5, 2:]
x = micro.tensor((petals - petals.mean(axis=0)) / petals.std(axis=0))
y = micro.tensor(np.where(flowers.target[50::5] == 1, -1.0, 1.0).reshape(-1, 1))


def values(parameters):
    """All Values in the parameters of a network on micro."""
    return [weight for parameter in parameters for weight in parameter.flat()]


class ByHand:
    """An optimizer that moves each weight by one of the rules above."""

    def __init__(self, parameters, rule, lr):
        self.weights, self.rule, self.lr = values(parameters), rule, lr
        self.kept = [{} for _ in self.weights]

    def step(self):
        for weight, kept in zip(self.weights, self.kept, strict=True):
            weight.data = self.rule(weight.data, weight.grad, self.lr, kept)


def train(make_optimizer):
    """The weights and the loss after 30 steps on micro; `make_optimizer` is given the network's parameters."""
    model = nn.MLP([2, 3, 1], "tanh", engine=micro, seed=7)
    optimizer = make_optimizer(model.parameters())
    for _ in range(30):
        loss = nn.mse_loss(model(x), y)  # forward, loss
        model.zero_grad()
        loss.backward()  # backward
        optimizer.step()  # update
    return np.array([weight.data for weight in values(model.parameters())]), loss.item()


optimizers = {
    "SGD": lambda parameters, lr: nn.SGD(parameters, lr=lr),
    "momentum": lambda parameters, lr: nn.SGD(parameters, lr=lr, momentum=0.9),
    "RMSprop": lambda parameters, lr: nn.RMSprop(parameters, lr=lr),
    "Adam": lambda parameters, lr: nn.Adam(parameters, lr=lr),
    "AdamW": lambda parameters, lr: nn.AdamW(parameters, lr=lr),
}
print("\n2. Thirty steps by hand, and by nn: the loss, and how far the weights differ at most")
for name, rule in rules.items():
    mine, loss = train(lambda parameters, rule=rule: ByHand(parameters, rule, lr=0.05))
    theirs, _ = train(lambda parameters, name=name: optimizers[name](parameters, lr=0.05))
    print(f"   {name:8}  {loss:6.4f}  {abs(mine - theirs).max():7.1e}")
    assert np.allclose(mine, theirs, rtol=0, atol=1e-10)

# %% [markdown]
# ## 3. A valley, straight and turned
#
# A bowl a thousand times as steeply curved in one direction as in the other is a valley, and the trouble of lesson 6 in
# the extreme: the steep direction allows only tiny rates, with which nothing happens along the valley. Each optimizer
# has 100 steps, and the best of 15 rates for each is shown.
#
# If the valley lies along an axis, one weight has the steep direction to itself and the other the flat one. To divide
# each slope by its usual size then makes the bowl as good as round: that is what RMSprop and Adam are for. Now turn the
# same valley by 45 degrees. SGD and momentum do not notice: turned, they take the very same steps. RMSprop and Adam
# lose most of their advantage, for both coordinates now feel the steep direction. They rescale **weights**, not
# directions.
#
# Two warnings. How well momentum does depends on its 0.9, which was not tuned here. And RMSprop's absurdly good result
# in the straight valley is a gift of the example: both directions are then the same task for it, and its best rate
# solves it at a blow. Nothing of the kind is to be expected of a network.
#
# ![Paths of four optimizers through a straight and a turned valley](../docs/optimizer_paths.png)

# %%
curvatures, steps, half = (1.0, 1000.0), 100, math.sqrt(0.5)


def straight(p):
    return nn.bowl(p, curvatures)


def turned(p):
    return nn.bowl(((p[0] + p[1]) * half, (p[1] - p[0]) * half), curvatures)


starts = {straight: (-9.0, 2.0), turned: (-11.0 * half, -7.0 * half)}  # the same place, turned along
four = {name: optimizers[name] for name in ("SGD", "momentum", "RMSprop", "Adam")}
paths, ends = {straight: {}, turned: {}}, {}
print(f"\n3. The loss after 100 steps with the best of 15 rates; at the start it is {straight(starts[straight]):,.0f}")
print(f"   {'':8}  {'straight valley':>15}  {'turned':>9}")
for name, make in four.items():
    for valley, start in starts.items():
        found = {}
        for lr in np.geomspace(0.001, 3, 15):
            path = nn.descend(valley, start, lambda p, make=make, lr=lr: make(p, lr), steps, engine=engine)
            found[lr] = np.nan_to_num(valley(path[-1]), nan=math.inf), path
        best = min(found, key=lambda lr: found[lr][0])
        ends[name, valley], paths[valley][f"{name}, lr = {best:.2g}"] = found[best]
    print(f"   {name:8}  {ends[name, straight]:15.2g}  {ends[name, turned]:9.2g}")
for name in ("SGD", "momentum"):
    assert math.isclose(ends[name, straight], ends[name, turned], rel_tol=1e-6)
for name in ("RMSprop", "Adam"):
    assert ends[name, straight] < 0.1 < 1 < ends[name, turned]
assert ends["momentum", straight] < ends["SGD", straight] / 10
assert ends["Adam", turned] > ends["momentum", turned]
beyond = nn.descend(turned, starts[turned], lambda p: nn.Adam(p, lr=6), steps, engine=engine)
assert turned(beyond[-1]) > ends["Adam", turned]  # its best rate there is the largest of the 15; a larger one is worse

figure, axes = plt.subplots(2, 4, figsize=(11, 6.3), layout="constrained", sharex=True, sharey=True)
across, up = np.linspace(-11, 4, 150), np.linspace(-10, 5, 150)
for row, valley in zip(axes, paths, strict=True):
    heights = valley(np.meshgrid(across, up))
    for ax, (title, path) in zip(row, paths[valley].items(), strict=True):
        viz.descent_paths(across, up, heights, {title: path}, ax=ax, minimum=(0, 0), log=True)
        ax.get_legend().remove()
        ax.set_title(title, fontsize="medium")
        ax.grid(False)
        ax.label_outer()
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles[1:], labels[1:], loc="outside lower center", ncols=3)  # start, end, minimum
figure.suptitle("100 steps in a valley along an axis (above), and in the same valley turned by 45 degrees")
figure.savefig(figures / "optimizer_paths.png", dpi=80)

# %% [markdown]
# ## 4. When Adam wins, and when it does not
#
# Four problems, in two pairs. In the first of each pair the slopes have bad scales; in the second this is put right,
# and all else is the same.
#
# - **Wine**: 13 measurements of 178 Italian wines, to tell three varieties of grape (cultivars) apart; one linear
#   layer. As they were measured, one kind of phenol is about 0.4 and proline about 750, and a weight's slope is
#   proportional to the measurement it belongs to. Then standardised, as in lesson 7: minus the mean, divided by the
#   standard deviation.
# - **Digits**, 1,300 of them, with five hidden layers. Starting with the weights that `nn.Linear` draws (as PyTorch
#   does) the signal gets smaller in each layer with ReLU, and all weights begin with tiny slopes. Then starting with
#   He's (lesson 9): as large as keeps the signal.
#
# The table shows how large the slopes are at the start: the root of the mean square over all weights of one
# measurement, or of one layer, for the one with the smallest and the one with the largest slopes.
#
# A fair comparison gives each optimizer its own learning rate. The samples are divided into three parts. On the first
# the networks are trained. On the second the rate is chosen, of a handful: the one whose loss, in the middle of three
# seeds, is the lowest. What is reported is measured on the third part, with five other seeds. So nobody is rewarded for
# a lucky seed, nor for having been looked at often.
#
# What you should see: on the badly scaled problems Adam is far ahead, and SGD stays far behind at every rate, as in the
# straight valley. With the wine standardised, all four are as good: the lead is gone, and the repair has done more than
# any optimizer. (Standardised, these wines can be told apart nearly without an error. Then the loss likes ever larger
# weights, so that the best rate may be the largest that was tried.) With He's start the lead on the digits shrinks from
# tens of percentage points to a few. It does not vanish.
#
# So there are two ways of dealing with bad scales: repair them (standardise, initialise well, normalise within the
# network), or leave them to Adam. The first is worth more, and both go together. Many networks have bad scales that
# nobody thought of; that is one reason why Adam is such a common first choice. It keeps two numbers for each weight,
# RMSprop and momentum one, SGD none.
#
# ![Loss against the learning rate for four optimizers on two pairs of problems](../docs/optimizers.svg)


# %%
def three_parts(samples, labels):
    """60 % to train on, 20 % to choose by, 20 % to report on; the last two from the same draw."""
    x_train, x_rest, y_train, y_rest = train_test_split(
        samples, labels, train_size=0.6, random_state=0, stratify=labels
    )
    x_choose, x_test, y_choose, y_test = train_test_split(
        x_rest, y_rest, test_size=0.5, random_state=0, stratify=y_rest
    )
    return (x_train, y_train), (x_choose, y_choose), (x_test, y_test)


def as_drawn(sizes, seed):
    return nn.MLP(sizes, "relu", engine=engine, seed=seed)


def he(sizes, seed):
    """As drawn by He et al. 2015, for ReLU: weights of standard deviation sqrt(2 / inputs), no biases."""
    model, random = as_drawn(sizes, seed), nn.data.generator(seed)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, seed=random)
            nn.init.zeros_(layer.bias)
    return model


class Problem(NamedTuple):
    parts: list  # of samples and labels: to train on, to choose by, to report on
    make_model: Callable
    sizes: list  # of the layers
    epochs: int
    batch_size: int
    rates: dict  # those to choose from, for each optimizer


def judge(model, x, y):
    """Loss and share of right answers."""
    scores = nn.predict(model, x)
    return nn.cross_entropy(engine.tensor(scores), engine.tensor(y)).item(), (scores.argmax(axis=1) == y).mean()


def measure(problem, name, lr, seed, part):
    """Loss and share of right answers, on one of the three parts, of a network trained on the first."""
    model = problem.make_model(problem.sizes, seed)
    optimizer = optimizers[name](model.parameters(), lr)
    history = nn.fit(
        model, problem.parts[0], nn.cross_entropy, optimizer, problem.epochs, problem.batch_size, seed=seed
    )
    return (math.inf, 0.0) if history.diverged_at is not None else judge(model, *problem.parts[part])


def size(numbers):
    """The root of their mean square."""
    return math.sqrt(np.mean(np.square(numbers)))


def first_slopes(problem, seed):
    """Before training, the size of the slopes of each layer's weights; of a single layer, of those of each input."""
    (x, y), model = problem.parts[0], problem.make_model(problem.sizes, seed)
    nn.cross_entropy(model(engine.tensor(x)), engine.tensor(y)).backward()
    slopes = [np.array(layer.weight.grad) for layer in model if isinstance(layer, nn.Linear)]
    return [size(group) for group in (slopes if len(slopes) > 1 else slopes[0].T)]


wine, digits = three_parts(*load_wine(return_X_y=True)), load_digits(return_X_y=True)
scaler = StandardScaler().fit(wine[0][0])
scaled = [(scaler.transform(x), y) for x, y in wine]
assert wine[0][0].mean(axis=0).min() < 0.5
assert 700 < wine[0][0].mean(axis=0).max() < 800
numbers = three_parts(digits[0][:1300] / 16, digits[1][:1300])
deep = [64, 24, 24, 24, 24, 24, 10]
for_wine = {
    "SGD": [1e-6, 3e-6, 1e-5, 3e-5, 1e-4],
    "momentum": [1e-6, 3e-6, 1e-5, 3e-5, 1e-4],
    "RMSprop": [0.0003, 0.001, 0.003, 0.01, 0.03],
    "Adam": [0.001, 0.003, 0.01, 0.03, 0.1],
}
for_scaled = {
    "SGD": [0.1, 0.3, 1, 3],
    "momentum": [0.03, 0.1, 0.3, 1],
    "RMSprop": [0.01, 0.03, 0.1, 0.3],
    "Adam": [0.01, 0.03, 0.1, 0.3],
}
for_digits = {
    "SGD": [0.03, 0.1, 0.3, 1],
    "momentum": [0.003, 0.01, 0.03, 0.1, 0.3],
    "RMSprop": [0.0003, 0.001, 0.003, 0.01],
    "Adam": [0.001, 0.003, 0.01, 0.03, 0.1],
}
problems = {
    "wine as measured": Problem(wine, as_drawn, [13, 3], 20, 16, for_wine),
    "wine standardised": Problem(scaled, as_drawn, [13, 3], 20, 16, for_scaled),
    "digits, deep": Problem(numbers, as_drawn, deep, 12, 32, for_digits),
    "digits, deep, He's start": Problem(numbers, he, deep, 12, 32, for_digits),
}
choosing, reporting = range(3), range(10, 15)
if not full_size:
    choosing, reporting, deep[1:-1] = range(1), range(10, 11), [4, 4]
    problems = {
        title: problem._replace(
            parts=[(x[:24], y[:24]) for x, y in problem.parts],
            epochs=1,
            batch_size=8,
            rates={name: few[1:3] for name, few in problem.rates.items()},
        )
        for title, problem in problems.items()
    }

print(f"\n4. Right answers on samples never seen, seeds: {len(reporting)}, each optimizer at its best rate")
print(
    f"   {'':24}  {'optimizer':9}  {'best lr':>7}  {'mean':>6}  {'lowest, best':>13}  {'loss':>6}  slopes at the start"
)
sweeps, rights, slopes = {}, {}, {}
for title, problem in problems.items():
    slopes[title] = np.mean([first_slopes(problem, seed) for seed in choosing], axis=0)
    extremes = " to ".join(f"{float(f'{extreme:.2g}'):g}" for extreme in (slopes[title].min(), slopes[title].max()))
    sweeps[title] = {
        name: {lr: [measure(problem, name, lr, seed, 1)[0] for seed in choosing] for lr in rates}
        for name, rates in problem.rates.items()
    }
    for name, sweep in sweeps[title].items():
        best = min(sweep, key=lambda lr: np.median(sweep[lr]))
        losses, shares = zip(*[measure(problem, name, best, seed, 2) for seed in reporting], strict=True)
        rights[title, name] = np.mean(shares)
        spread = f"{min(shares):.0%} - {max(shares):.0%}"
        shown = f"{name:9}  {best:7g}  {np.mean(shares):6.1%}  {spread:>13}  {np.mean(losses):6.3f}"
        print(f"   {title:24}  {shown}  {extremes}" if name == "SGD" else f"   {'':24}  {shown}")
        if full_size and title != "wine standardised":
            assert min(sweep) < best < max(sweep), "the best rate may lie beyond the rates that were tried"

leads = {(title, name): rights[title, "Adam"] - rights[title, name] for title, name in rights}
if full_size:
    assert slopes["wine as measured"].max() > 1000 * slopes["wine as measured"].min()
    assert slopes["wine standardised"].max() < 10 * slopes["wine standardised"].min()
    assert 4 * slopes["digits, deep"].max() < slopes["digits, deep, He's start"].min()
    for title in ("wine as measured", "digits, deep"):
        assert leads[title, "momentum"] > 0.1
        assert leads[title, "SGD"] > 0.2
    assert max(abs(leads["wine standardised", name]) for name in four) < 0.06
    assert min(rights["wine standardised", name] for name in four) > rights["wine as measured", "Adam"] + 0.1
    for name in ("momentum", "SGD"):
        assert 0 < leads["digits, deep, He's start", name] < leads["digits, deep", name] / 2

figure, axes = plt.subplots(4, 1, figsize=(8, 12), layout="constrained")
for ax, (title, sweep) in zip(axes, sweeps.items(), strict=True):
    viz.learning_rate_spread(sweep, ax=ax)
    ax.set(title=title, ylabel="loss, second part", xlabel="learning rate" if ax is axes[-1] else "")
figure.savefig(figures / "optimizers.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Weight decay: Adam and AdamW
#
# To keep weights small is a common cure for learning by heart (overfitting, lesson 4). With SGD there are two ways that
# come to the same: add half the squared weights, times a strength, to the loss, which adds strength × p to each slope
# (an **L2 penalty**); or multiply each weight by 1 - lr × strength in each step (**weight decay**).
#
# With Adam they are two different things. A strength × p that is part of the slope is divided by the slope's usual size
# like everything else. The extreme case exists in real data: of the pixels at the edge of the digits many are 0 in
# every image to learn from, so their weights have no slope but the penalty's. Divided by its own size, that is 1: such
# weights march to 0 at the speed lr, whether the strength is large or tiny. Weights with large slopes feel it less.
# AdamW (W for weight decay) multiplies all weights by the same factor, outside of the division, as SGD does.
#
# The table shows how large the weights of these dead pixels are after 200 steps, and those of the whole first layer:
# the root of their mean square.

# %%
seen, hidden, epochs = (150, 64, 40) if full_size else (30, 8, 2)
x_train, x_rest, y_train, y_rest = train_test_split(
    digits[0] / 16, digits[1], train_size=seen, random_state=0, stratify=digits[1]
)
x_choose, x_test, y_choose, y_test = train_test_split(x_rest, y_rest, test_size=0.5, random_state=0, stratify=y_rest)
if not full_size:
    x_choose, y_choose, x_test, y_test = x_choose[:8], y_choose[:8], x_test[:8], y_test[:8]
dead = (x_train == 0).all(axis=0)


def learn(kind, strength, seed=0):
    model = nn.MLP([64, hidden, 10], "relu", engine=engine, seed=seed, dtype="float64")
    optimizer = kind(model.parameters(), lr=0.01, weight_decay=strength)
    nn.fit(model, (x_train, y_train), nn.cross_entropy, optimizer, epochs, 32, seed=seed)
    return model


steps = epochs * math.ceil(seen / 32)
print(f"\n5. {steps} steps with weight decay: the weights of {dead.sum()} dead pixels, and all of the first layer")
at_first = np.array(nn.MLP([64, hidden, 10], "relu", engine=engine, seed=0, dtype="float64")[0].weight)
print(f"   {'at the start':22}  {size(at_first[:, dead]):8.6f}  {size(at_first):6.4f}")
ratios = {}
for kind, strength in ((nn.Adam, 1e-4), (nn.Adam, 1e-2), (nn.AdamW, 1e-2), (nn.AdamW, 1.0)):
    weights = np.array(learn(kind, strength)[0].weight)
    ratios[kind, strength] = size(weights[:, dead]) / size(at_first[:, dead])
    name = f"{kind.__name__}, strength {strength:g}"
    print(f"   {name:22}  {size(weights[:, dead]):8.6f}  {size(weights):6.4f}")
    if kind is nn.AdamW:
        assert np.allclose(weights[:, dead], at_first[:, dead] * (1 - 0.01 * strength) ** steps)
if full_size:
    assert max(ratios[nn.Adam, 1e-4], ratios[nn.Adam, 1e-2]) < 0.02
    assert ratios[nn.AdamW, 1e-2] > 0.95

# %% [markdown]
# Does it matter? Again each has its best strength chosen on the second part of the samples, 150 digits to learn from,
# and five new seeds are reported. What you should see: both help a little against learning by heart, as the loss
# shows, at strengths that are orders of magnitude apart, and at its best neither is clearly ahead of the other. What
# the W certainly buys is that the number means what it says: the same share of every weight in each step. Whoever
# changes from the one to the other must choose the strength anew.
#
# ![Loss against the strength of weight decay for Adam and AdamW](../docs/weight_decay.svg)

# %%
strengths = {nn.Adam: [1e-5, 1e-4, 1e-3, 1e-2, 0.03], nn.AdamW: [0.01, 0.1, 0.3, 1, 3]}
if not full_size:
    strengths = {kind: few[1:3] for kind, few in strengths.items()}


decays, best = {}, {}
for kind, few in strengths.items():
    decays[kind] = {s: [judge(learn(kind, s, seed), x_choose, y_choose)[0] for seed in choosing] for s in few}
    best[kind] = min(few, key=lambda s: np.median(decays[kind][s]))
    if full_size:
        assert min(few) < best[kind] < max(few)
print(f"\n   {'':8}  {'strength':>8}  {'loss':>13}  {'right':>6}   (mean over seeds, ± standard deviation)")
losses, rights = {}, {}
for name, kind, strength in (
    ("none", nn.Adam, 0.0),
    ("Adam", nn.Adam, best[nn.Adam]),
    ("AdamW", nn.AdamW, best[nn.AdamW]),
):
    pairs = [judge(learn(kind, strength, seed), x_test, y_test) for seed in reporting]
    losses[name], rights[name] = np.array(pairs).T
    shown = f"{losses[name].mean():5.3f} ± {losses[name].std():.3f}  {rights[name].mean():6.1%}"
    print(f"   {name:8}  {strength:8g}  {shown}")
if full_size:
    assert max(losses["Adam"].mean(), losses["AdamW"].mean()) < losses["none"].mean()
    assert abs(rights["Adam"].mean() - rights["AdamW"].mean()) < 0.02
    assert best[nn.AdamW] >= 100 * best[nn.Adam]

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for (kind, sweep), colour, line in zip(decays.items(), ("#0072B2", "#D55E00"), ("o-", "s--"), strict=True):
    runs = np.array(list(sweep.values()))
    label = "Adam: part of the slope (L2)" if kind is nn.Adam else "AdamW: a share of each weight"
    ax.plot(list(sweep), np.median(runs, axis=1), line, color=colour, linewidth=2, label=label)
    ax.fill_between(list(sweep), runs.min(axis=1), runs.max(axis=1), color=colour, alpha=0.18, linewidth=0)
ax.set(xscale="log", xlabel="strength (weight_decay)", ylabel="loss, second part")
ax.set_title(f"One name, two meanings (median and range, seeds: {len(choosing)})")
ax.legend(loc="upper left")
ax.figure.savefig(figures / "weight_decay.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("optimizer_paths.png", "optimizers.svg", "weight_decay.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** in the optimizers of section 2, a momentum of 0.99, and one of 0: what does that do to the straight valley?
# In section 4, digits with a single hidden layer: is Adam still ahead? In section 5 `nn.SGD` in place of Adam and
# AdamW: its `weight_decay=` is added to the slope; calculate what the weights of the dead pixels must be after 200
# steps. Does a momentum change that? Run your variants with `python -O`, which skips the assertions: they state what
# holds for the numbers above.
