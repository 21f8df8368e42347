# %% [markdown]
# # Transfer learning
#
# Training begins with random weights. Does it have to? A network that has been trained on one task may know things that
# are of use in another: somebody who reads Latin letters does not learn Greek ones from nothing. To begin with the
# weights of another task is **transfer learning**. Where the new task has few samples, it can be worth a lot, but need
# not be: this lesson shows how it is done, then a case in which it harms, why it does, and cases in which it helps.
#
# Run it with `.venv/bin/python tutorials/19_transfer_learning.py`, or cell by cell; `--engine micro` runs a small
# version, number by number in plain Python, that is too short for most of the results claimed here.

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="Transfer learning.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument(
    "--engine", choices=("fast", "micro"), default="fast", help="micro: a small version (default: fast)"
)
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6b7280"
full = engine is fast  # what is claimed from section 2 on needs the full version

digits = load_digits()
images, labels, hidden = digits.images / 16.0, digits.target, [64, 32]
repeats, lr, batch = 3, 0.005, 32
source_epochs, target_epochs = 40, 100
few, altered = [1, 2, 5, 10, 20], 5  # samples of each digit in the target task, in section 2 and in section 4
if not full:
    images, labels, hidden = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))[:160], labels[:160], [12, 10]
    repeats, lr, batch = 1, 0.03, 5
    source_epochs, target_epochs = 10, 8
    few, altered = [1, 2], 2
side = images.shape[1]
pixels = images.reshape(len(images), -1)

# %% [markdown]
# ## 1. Freeze, replace, load
#
# Think of a network as two parts. The last layer, the **head**, decides: it adds up what it is given into one number
# for each class. All layers before it prepare what the head is given: the **features**. To carry the features over to
# a new task there are three tools.
#
# - **Replace** the head, `model[-1] = nn.Linear(...)`: the new task has other classes.
# - **Freeze** the features, `model[:-1].freeze()`: in the update step these weights stay as they are. Only the head is
#   trained. Of the four steps, forward and loss are as ever, and backward need not go further down than to the lowest
#   layer that learns.
# - **Load** in part, `load_state_dict(state, strict=False)`: takes over from a file or from another model whatever fits
#   by name and shape, and leaves the rest. What was and what was not loaded must not be left to guesswork, so it
#   returns a report. Read it: a misspelt name is no error here, it is just not loaded.
#
# The **source** task is to tell the digits 0 to 4 apart, the **target** task is to tell 5 to 9 apart. One half of the
# 1,797 digits of scikit-learn, of 8 × 8 pixels, serves for the source, the other half for the target. Below, a network
# with ten classes takes over what it can from the source. You should see that its head is left as it was, and that
# after training with frozen features nothing but the new head has changed.


# %%
def network(classes, seed):
    return nn.MLP([side * side, *hidden, classes], "relu", engine=engine, seed=seed)


def train(model, x, y, epochs):
    return nn.fit(model, (x, y), nn.cross_entropy, nn.Adam(model.parameters(), lr=lr), epochs, min(batch, len(x)))


def accuracy(model, samples):
    return nn.evaluate(model, samples, "accuracy")["accuracy"]


halves = np.array_split(np.random.default_rng(0).permutation(len(labels)), 2)
low, high = halves[0][labels[halves[0]] < 5], halves[1][labels[halves[1]] >= 5]
source = network(5, seed=0)
train(source, pixels[low], labels[low], source_epochs)

target = network(10, seed=1)  # ten classes, to have a head of another shape
report = target.load_state_dict(source.state_dict(), strict=False)
print("1. What was loaded into a network with ten classes from one with five")
print("   " + str(report).replace("\n", "\n   "))
assert report.loaded == ["0.weight", "0.bias", "2.weight", "2.bias"]
assert set(report.mismatched) == {"4.weight", "4.bias"}

target[-1] = nn.Linear(hidden[-1], 5, engine=engine, seed=2)  # a new head, for the five classes of the target task
target[:-1].freeze()
before = target.state_dict()
train(target, pixels[high], labels[high] - 5, 5)
changed = [name for name, array in target.state_dict().items() if not np.array_equal(array, before[name])]
print(f"   after training with frozen features, these have changed: {', '.join(changed)}")
assert changed == ["4.weight", "4.bias"]
target[:-1].unfreeze()  # and from here on all of it would be trained

# %% [markdown]
# ## 2. From 0-4 to 5-9, with few samples
#
# Four ways to learn 5 to 9 from one to twenty samples of each:
#
# - **frozen**: the features of the source, and a new head that is trained;
# - **fine-tuned**: begins in the same way, but everything is trained;
# - **from scratch**: the same network, begun at random;
# - **pixels alone**: no hidden layers at all; the head gets the pixels. A yardstick that is easily forgotten.
#
# All with the same number of steps. One expects the frozen features to win where samples are few, for so it is told
# everywhere. Look:
#
# ![Right answers over the number of samples, for four ways to learn](../docs/transfer_five_to_nine.svg)


# %%
def pick(y, count, random):
    """The places in y of `count` samples of each class."""
    return np.concatenate([random.permutation(np.flatnonzero(y == label))[:count] for label in np.unique(y)])


def prepared(way, base, classes, seed, keep_head=False):
    """A network for the target task, ready to be trained in one of the ways."""
    if way == "pixels alone":
        return nn.MLP([side * side, classes], engine=engine, seed=seed)
    model = network(classes, seed)
    if way in ("frozen", "fine-tuned"):
        learned, own = (base, model) if keep_head else (base[:-1], model[:-1])
        own.load_state_dict(learned.state_dict())
    if way.startswith("frozen"):
        model[:-1].freeze()
    return model


ways = {
    "frozen": BLUE,
    "fine-tuned": GREEN,
    "from scratch": ORANGE,
    "pixels alone": GREY,
    "frozen at random": PINK,  # for section 3
}
rights = {way: np.zeros((repeats, len(few))) for way in ways}
sources = []
for repeat in tqdm(range(repeats), desc="0-4 to 5-9", leave=False):
    random = np.random.default_rng(repeat)
    first, second = np.array_split(random.permutation(len(labels)), 2)
    low, high = first[labels[first] < 5], second[labels[second] >= 5]
    base = network(5, seed=repeat)
    train(base, pixels[low], labels[low], source_epochs)
    sources.append((base, low, high))
    x, y = pixels[high], labels[high] - 5
    for place, count in enumerate(few):
        rows = pick(y, count, random)
        others = np.setdiff1d(np.arange(len(y)), rows)
        for way in ways:
            model = prepared(way, base, 5, seed=100 + repeat)
            train(model, x[rows], y[rows], target_epochs)
            rights[way][repeat, place] = accuracy(model, (x[others], y[others]))
print(f"\n2. From 0-4 to 5-9: right answers, mean of repetitions: {repeats}")
print(f"   {'samples of each digit':21}" + "".join(f"  {count:>5}" for count in few))
for way in list(ways)[:4]:
    print(f"   {way:21}" + "".join(f"  {right:5.0%}" for right in rights[way].mean(axis=0)))
if full:
    mean = {way: right.mean(axis=0) for way, right in rights.items()}
    assert (mean["frozen"] < mean["from scratch"] - 0.1).all()
    assert (mean["frozen"] < mean["fine-tuned"] - 0.05).all()
    assert mean["fine-tuned"].mean() < mean["from scratch"].mean() - 0.01
    assert (mean["pixels alone"] > np.maximum(mean["from scratch"], mean["fine-tuned"]) - 0.04).all()


def draw_ways(names, path, title):
    _, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    styles = {
        "frozen": "o-",
        "fine-tuned": "s-",
        "from scratch": "^--",
        "pixels alone": "x:",
        "frozen at random": "d-.",
    }
    for way in names:
        ax.plot(few, rights[way].mean(axis=0), styles[way], color=ways[way], label=way)
        ax.fill_between(few, rights[way].min(axis=0), rights[way].max(axis=0), color=ways[way], alpha=0.12, linewidth=0)
    ax.set(xscale="log", xticks=few, xticklabels=few, ylim=(0.2, 1), title=title)
    ax.set(xlabel="samples of each digit", ylabel="right answers on unseen digits")
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.legend(loc="lower right", title="bands: from worst to best repetition")
    ax.figure.savefig(path, metadata={"Date": None})


draw_ways(list(ways)[:4], figures / "transfer_five_to_nine.svg", "5-9 learned with what 0-4 taught, and without")

# %% [markdown]
# The frozen features lose, and by far. Fine-tuning mends most of the harm, but on average does not come up to a random
# start. And the pixels alone do about as well as anything.
#
# ## 3. Why it harms
#
# Two suspicions, and a measurement for each.
#
# *Are the pixels so good already that there is nothing to gain?* These digits are centred, of one size, and small. The
# pixels alone do well, as the table shows. So a transfer can gain little here. But that does not yet explain a loss.
#
# *Has training on 0-4 thrown away what tells 5-9 apart?* To tell five classes apart, a network needs few different
# features, and nothing in its loss asks it to keep any others. To see it, take the features of the new digits, 5 to 9,
# and count the **directions** in which they differ: the principal components that hold 90 % of their variance.
# (Principal components are the directions in which points spread most: the first the most, the second the most of what
# is left, at a right angle to the first, and so on.) Then the sharpest test: a **random** network, never trained on
# anything, frozen, with a trained head on top of it.
#
# ![Variance over the number of directions, and right answers on random features](../docs/transfer_directions.svg)


# %%
def variance(x):
    """The share of the variance that the first 1, 2, ... principal components hold."""
    squares = np.linalg.svd(x - x.mean(axis=0), compute_uv=False).astype(float) ** 2
    return np.cumsum(squares) / squares.sum()


directions, spreads = {"pixels": [], "random features": [], "features trained on 0-4": []}, {}
for repeat, (base, _, high) in enumerate(sources):
    seen = {
        "pixels": pixels[high],
        "random features": nn.predict(network(5, seed=repeat)[:-1], pixels[high]),
        "features trained on 0-4": nn.predict(base[:-1], pixels[high]),
    }
    for name, x in seen.items():
        spreads.setdefault(name, variance(x))  # of the first repetition, to draw
        directions[name].append(int(np.searchsorted(variance(x), 0.9)) + 1)
print("\n3. Directions that hold 90 % of the variance of 5-9, in each repetition")
for name, counts in directions.items():
    print(f"   {name:24}  {', '.join(map(str, counts))}")
print("   right answers with frozen features, and a head trained on few samples of each digit")
print(f"   {'samples of each digit':24}" + "".join(f"  {count:>5}" for count in few))
for name, way in (("random features", "frozen at random"), ("features trained on 0-4", "frozen")):
    print(f"   {name:24}" + "".join(f"  {right:5.0%}" for right in rights[way].mean(axis=0)))
if full:
    assert set(directions["features trained on 0-4"]) <= {3, 4}
    assert 8 <= min(directions["random features"]) <= max(directions["random features"]) < 13
    assert set(directions["pixels"]) == {20}
    assert (mean["frozen at random"] > mean["frozen"]).all()
    assert mean["frozen at random"].mean() > mean["frozen"].mean() + 0.03

figure, (ax, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for (name, shares), colour, line in zip(spreads.items(), (GREY, PINK, BLUE), ("x:", "d-.", "o-"), strict=True):
    ax.plot(range(1, len(shares[:25]) + 1), shares[:25], line, color=colour, markersize=4, label=name)
ax.axhline(0.9, color="#9ca3af", linewidth=1)
ax.annotate("90 %", (25, 0.9), xytext=(0, -12), textcoords="offset points", ha="right", color=GREY)
ax.set(xlabel="number of directions", ylabel="share of the variance of 5-9", ylim=(0, 1.03))
ax.set_title("In how many directions 5-9 differ")
for way, name, line in (("frozen at random", "random features", "d-."), ("frozen", "features trained on 0-4", "o-")):
    right.plot(few, rights[way].mean(axis=0), line, color=ways[way], markersize=4, label=name)
right.set(xscale="log", xticks=few, xticklabels=few, ylim=(0.3, 1), title="A head on frozen features")
right.set(xlabel="samples of each digit", ylabel="right answers on unseen digits")
right.minorticks_off()
for each in (ax, right):
    each.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    each.legend(loc="lower right")
figure.savefig(figures / "transfer_directions.svg", metadata={"Date": None})

# %% [markdown]
# So it is: seen through features trained on 0-4, the new digits differ in three or four directions, where the pixels
# have twenty; and a network that has learned nothing prepares them better than one that has learned the wrong thing.
# The large networks from which transfer became famous were trained on photographs of a thousand classes (ImageNet):
# these need many different features, and the pixels by themselves are of little use. Neither is so here.
#
# ## 4. Where it helps
#
# Then take a source with all ten digits, and as target the same ten digits as another camera might show them: with
# noise, with three in ten pixels erased, inverted (black for white), one pixel further right (what leaves on the right
# comes in on the left), mirrored, or turned by 90 degrees. There are five samples of each digit to learn from. Since
# the classes are the same, the head can be kept as well, or be replaced by a new one.
#
# In each panel the dashed line is the better one of the two ways that need no source: from scratch, and pixels alone.
# Bars above it say that transfer helps. The dotted line is the source **as it is**: its answers to the new pictures,
# without a step of training on them.
#
# ![Right answers for six targets and four ways of transfer](../docs/transfer_six_targets.svg)


# %%
def grid(x):
    return x.reshape(-1, side, side)


alterations = {
    "noise": lambda x, random: x + random.normal(0, 0.3, x.shape),
    "erased": lambda x, random: x * (random.random(x.shape) > 0.3),
    "inverted": lambda x, random: 1 - x,
    "shifted": lambda x, random: np.roll(grid(x), 1, axis=2).reshape(x.shape),
    "mirrored": lambda x, random: grid(x)[:, :, ::-1].reshape(x.shape),
    "turned": lambda x, random: np.rot90(grid(x), axes=(1, 2)).reshape(x.shape),
}
if not full:
    alterations = {"inverted": alterations["inverted"]}
contenders = [
    *(("frozen", False), ("fine-tuned", False), ("frozen", True), ("fine-tuned", True)),
    *(("from scratch", False), ("pixels alone", False)),
]
results = {(name, *contender): [] for name in alterations for contender in contenders}
untouched, shown = {name: [] for name in alterations}, {}
for repeat in tqdm(range(repeats), desc="altered digits", leave=False):
    random = np.random.default_rng(repeat)
    first, second = np.array_split(random.permutation(len(labels)), 2)
    base = network(10, seed=repeat)
    train(base, pixels[first], labels[first], source_epochs)
    y = labels[second]
    rows = pick(y, altered, random)
    others = np.setdiff1d(np.arange(len(y)), rows)
    for name, alter in alterations.items():
        x = alter(pixels[second], random)
        shown[name] = x[np.argmax(y == 4)]
        untouched[name].append(accuracy(base, (x[others], y[others])))
        for way, keep_head in contenders:
            model = prepared(way, base, 10, seed=100 + repeat, keep_head=keep_head)
            train(model, x[rows], y[rows], target_epochs)
            results[name, way, keep_head].append(accuracy(model, (x[others], y[others])))
share = {key: float(np.mean(values)) for key, values in results.items()}

print(f"\n4. All ten digits, altered; samples of each: {altered}; right answers, mean of repetitions: {repeats}")
widths = (8, 9, 6, 10, 6, 7, 6)
for heads in (
    ("source", "new head:", "", "head kept:", "", "from", "pixels"),
    ("as it is", "frozen", "tuned", "frozen", "tuned", "scratch", "alone"),
):
    print(" " * 11 + "".join(f"  {head:>{width}}" for head, width in zip(heads, widths, strict=True)))
for name in alterations:
    cells = [np.mean(untouched[name]), *(share[name, *contender] for contender in contenders)]
    print(f"   {name:8}" + "".join(f"  {cell:{width}.0%}" for cell, width in zip(cells, widths, strict=True)))
without = {name: max(share[name, *contender] for contender in contenders[4:]) for name in alterations}
if full:
    for name in ("noise", "erased"):
        assert share[name, "fine-tuned", True] > without[name] + 0.04, name
        assert share[name, "fine-tuned", True] > share[name, "fine-tuned", False] + 0.02, name
        assert abs(np.mean(untouched[name]) - share[name, "fine-tuned", True]) < 0.06, name
    assert share["inverted", "fine-tuned", False] > without["inverted"]
    assert np.mean(untouched["inverted"]) < 0.1
    assert share["inverted", "frozen", False] > share["inverted", "pixels alone", False] - 0.04
    assert share["inverted", "fine-tuned", True] < share["inverted", "fine-tuned", False] - 0.15
    for name in ("shifted", "mirrored", "turned"):
        assert max(share[name, *contender] for contender in contenders[:4]) < without[name], name

figure, axes = plt.subplots(
    2, len(alterations), figsize=(10, 4.6), layout="constrained", height_ratios=[1, 2.6], sharey="row", squeeze=False
)
for (picture, ax), name in zip(axes.T, alterations, strict=True):
    picture.imshow(shown[name].reshape(side, side), cmap="gray_r")
    picture.set(title=name)
    picture.set_axis_off()
    for way, offset, colour in (("frozen", -0.2, BLUE), ("fine-tuned", 0.2, GREEN)):
        heights = [share[name, way, keep_head] for keep_head in (False, True)]
        ax.bar([offset, 1 + offset], heights, 0.38, color=colour, label=way)
    ax.axhline(without[name], color=ORANGE, linestyle="--", linewidth=2, label="the better one without a source")
    ax.axhline(np.mean(untouched[name]), color="black", linestyle=":", linewidth=1.5, label="the source as it is")
    ax.set_xticks([0, 1], ["new\nhead", "head\nkept"])
    ax.grid(visible=False, axis="x")
    ax.set_ylim(0, 1)
axes[1, 0].set_ylabel("right answers on unseen digits")
axes[1, 0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure.savefig(figures / "transfer_six_targets.svg", metadata={"Date": None})

# %% [markdown]
# - With **noise** and with **erased** pixels transfer helps, and clearly: what the source has learned is still true,
#   head included. So true that the source as it is does about as well as after fine-tuning: fifty bad samples have
#   little to add to nine hundred good ones. From scratch, few and bad samples are a poor start.
# - **Inverted**, it helps a little, but only with a new head. The source as it is gives hardly a right answer, fewer
#   than guessing would; yet its features, frozen, still tell the digits apart about as well as the pixels do, and
#   fine-tuned a little better. The old head is not ignorant but wrong, and fine-tuning does not turn it round in time.
# - **Shifted**, **mirrored**, **turned**: no way of transfer comes up to the better of the two without a source. Each
#   weight of such a network belongs to one pixel. Move the pixels, and what it knows is about places that are no longer
#   there. (Convolutional layers look for the same feature everywhere, and should be less put out by a shift.)
#
# So transfer pays where the target resembles the source in what the features look at, where the source was rich enough
# to need many features, and where the target's own samples are too few or too poor. Whether that is so, nobody knows
# beforehand: measure it against a start from scratch, and against no hidden layers at all.

# %%
print(f"\n5. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("transfer_five_to_nine.svg", "transfer_directions.svg", "transfer_six_targets.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** freeze only the first layer, `model[:2].freeze()`, in section 2: early layers are said to be more general;
# are they? Half as much noise in section 4, and twice as much: where is transfer worth most? A smaller learning rate
# for fine-tuning: does what was learned survive better, and does it help the answers? Assertions hold for the settings
# above; run your variants with `python -O`, which leaves them out.
