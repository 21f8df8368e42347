# %% [markdown]
# # Activations
#
# Between the layers of a network stands a small function, the **activation**: it takes the sum that a neuron has
# computed and bends it. In the forward step it decides what is passed on; in the backward step its slope decides how
# much of the gradient comes through. This lesson shows why there has to be one, draws the usual ones with their slopes,
# and looks at the two ways in which they stop a network from learning: saturation, and dead ReLUs. At the end stands
# softmax, which is a different kind of function. Run it with `.venv/bin/python tutorials/10_activations.py`, or cell by
# cell; `--engine micro` runs the same in plain Python, on smaller networks and less data.

# %%
import argparse
import math
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import fast
import micro
import nn
import viz
from micro import Value

parser = argparse.ArgumentParser(description="Activations.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=("fast", "micro"), default="fast", help="micro is small and slow")
settings = parser.parse_known_args()[0]
figures, engine = settings.figures, {"fast": fast, "micro": micro}[settings.engine]
full = engine is fast  # what is claimed of the full size is checked at the full size
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK, YELLOW, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#6b7280"

# %% [markdown]
# ## 1. Without a bend, depth is nothing
#
# A linear layer computes W x + b. Put a second one behind it, and you get V (W x + b) + c = (V W) x + (V b + c): again
# one matrix and one bias. So a stack of linear layers, however deep, can say nothing that a single one could not say.
#
# The task here is to tell *Iris versicolor* from the two other species, by the length and width of its petals.
# Versicolor lies between the others, so no straight line separates it from both. Three linear layers draw a straight
# line all the same, and are right less often than somebody who always says "no". The same layers with a ReLU between
# them bend the line.
#
# (As functions, the stack and the single layer are the same; trained step by step, they take different ways there. And
# the single layer has one global best fit, so both end at the same loss.)
#
# ![What three linear layers have learned, and what three layers with ReLU have learned](../docs/no_activation.png)

# %%
flowers = load_iris()
every, epochs, resolution = (1, 1500, 200) if full else (5, 40, 40)
petals = flowers.data[::every, 2:]
petals = (petals - petals.mean(axis=0)) / petals.std(axis=0)
versicolor = flowers.target[::every].reshape(-1, 1) == 1


def linear(*sizes):
    random = np.random.default_rng(0)
    layers = [nn.Linear(n, m, engine=engine, seed=random, dtype="float64") for n, m in pairwise(sizes)]
    return nn.Sequential(*layers)


models = {
    "one linear layer": linear(2, 1),
    "three linear layers": linear(2, 8, 8, 1),
    "three layers, ReLU between": nn.MLP([2, 8, 8, 1], "relu", engine=engine, seed=0, dtype="float64"),
}
print(f"1. Is it versicolor? {len(petals)} irises")
rights = {}
for name, model in models.items():
    optimizer = nn.SGD(model.parameters(), lr=0.3)
    data = petals, versicolor.astype(float)
    history = nn.fit(model, data, nn.binary_cross_entropy_with_logits, optimizer, epochs)
    rights[name] = float(((nn.predict(model, petals) > 0) == versicolor).mean()), history.loss[-1]
    print(f"   {name:26}  loss {rights[name][1]:6.4f}  right {rights[name][0]:4.0%}")
print(f"   {'always no':26}  {'':11}  right {1 - versicolor.mean():4.0%}")

weight, bias = np.eye(2), np.zeros(2)
for layer in models["three linear layers"]:
    weight = np.array(layer.weight) @ weight
    bias = np.array(layer.weight) @ bias + np.array(layer.bias)
collapsed = petals @ weight.T + bias
difference = np.abs(collapsed - nn.predict(models["three linear layers"], petals)).max()
print(f"   the three linear layers, multiplied into one, answer the same but for {difference:.0e}")
assert difference < 1e-12
if full:
    assert abs(rights["one linear layer"][1] - rights["three linear layers"][1]) < 1e-3
    assert rights["three linear layers"][0] < 1 - versicolor.mean()
    assert rights["three layers, ReLU between"][0] > 0.93

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
for ax, name in zip(axes, list(models)[1:], strict=True):
    scores = partial(nn.predict, models[name])
    viz.decision_boundary(scores, petals, versicolor, ax=ax, resolution=resolution)
    ax.set(title=f"{name}: {rights[name][0]:.0%} right", xlabel="petal length, standardised", ylabel="")
    ax.get_legend().remove()
    ax.grid(False)
axes[0].set_ylabel("petal width, standardised")
axes[0].legend(axes[0].collections[-2:], ["another species", "versicolor"], loc="upper left")
figure.savefig(figures / "no_activation.png", dpi=90)

# %% [markdown]
# ## 2. Six activations and their slopes
#
# - **sigmoid**, 1 / (1 + exp(-x)): between 0 and 1. Its slope is at most 1/4, at x = 0, and next to nothing beyond ±6.
# - **tanh**: between -1 and 1, and around 0, which suits the next layer. Its slope is 1 at x = 0, and it fades even
#   faster.
# - **ReLU**, max(0, x): a slope of 1 on the right, exactly 0 on the left. Cheap, and on its right side nothing fades.
# - **leaky ReLU**: 0.01 x on the left instead of 0, so that its slope is never 0.
# - **GELU**, x times the probability that a normally distributed number is below x: like a ReLU with a round bend.
# - **SiLU** (swish), x × sigmoid(x): much the same, rounder. Both dip below zero on the left, where they go down before
#   they go up: their slope is negative there, and on the right it is a little above 1 for a while.
#
# The slopes below are those that `backward` uses, each checked by central differences as in lesson 2.
#
# ![Six activations, and their slopes](../docs/activations.svg)

# %%
activations = {
    "sigmoid": Value.sigmoid,
    "tanh": Value.tanh,
    "relu": Value.relu,
    "leaky_relu": Value.leaky_relu,
    "gelu": Value.gelu,
    "silu": Value.silu,
}
titles = dict(zip(activations, ("sigmoid", "tanh", "ReLU", "leaky ReLU", "GELU", "SiLU"), strict=True))


def value_and_slope(function, x):
    x = Value(x)
    y = function(x)
    y.backward()
    return y.data, x.grad


print("\n2. The slopes of six activations, and the least and the greatest of each from -8 to 8")
print(f"   {'x':10}" + "".join(f"{x:>9}" for x in (-6, -2, -0.5, 0.5, 2, 6)) + f"{'least':>9}{'greatest':>10}")
places = np.arange(-8, 8.01, 0.0625)
extremes = {}
for name, function in activations.items():
    slopes = [value_and_slope(function, x)[1] for x in places]
    extremes[name] = min(slopes), max(slopes)
    shown = [value_and_slope(function, float(x))[1] for x in (-6, -2, -0.5, 0.5, 2, 6)]
    print(
        f"   {titles[name]:10}"
        + "".join(f"{slope:z9.4f}" for slope in shown)  # z: no minus before a zero
        + "{:9.4f}{:10.4f}".format(*extremes[name])
    )
    for x, slope in zip(places, slopes, strict=True):
        if x != 0:  # where the ReLUs have their corner
            measured = (function(Value(x + 1e-6)).data - function(Value(x - 1e-6)).data) / 2e-6
            assert abs(measured - slope) < 1e-8
assert extremes["sigmoid"][1] == 0.25
assert extremes["tanh"][1] == 1.0
assert extremes["relu"] == (0.0, 1.0)
assert extremes["leaky_relu"] == (0.01, 1.0)
for name in ("gelu", "silu"):
    assert -0.15 < extremes[name][0] < -0.05
    assert 1.05 < extremes[name][1] < 1.15
for name in ("sigmoid", "tanh"):
    assert abs(value_and_slope(activations[name], 6.0)[1]) < 0.003

figure, axes = plt.subplots(2, 3, figsize=(9, 5.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, function) in zip(axes.flat, activations.items(), strict=True):
    line = np.linspace(-6, 6, 241)
    answers, slopes = zip(*[value_and_slope(function, float(x)) for x in line], strict=True)
    ax.axhline(0, color="#9ca3af", linewidth=0.8)
    ax.plot(line, answers, color=BLUE, linewidth=2, label="activation")
    ax.plot(line, slopes, "--", color=ORANGE, linewidth=2, label="its slope")
    ax.set(title=titles[name], ylim=(-1.3, 2.3))
axes[0, 0].legend(loc="upper left")
for ax in axes[1]:
    ax.set_xlabel("x")
figure.savefig(figures / "activations.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. Saturation
#
# Where a sigmoid or a tanh is flat it is **saturated**: whatever comes in, the answer stays the same, and the slope is
# nearly 0. In the backward step the gradient is multiplied by that slope, so almost nothing gets to the weights before
# it.
#
# It happens at once if the inputs are large. The 30 measurements of the tumours from lesson 1 are partly areas, of the
# size of 1000. A network 30-16-1 with tanh reads them as they are, or standardised. The figure shows its 16 hidden
# neurons for all tumours, before any training: the answers, and the slopes there, which for tanh are 1 - answer².
#
# After training, the saturated network does what can be done with its last bias: it says "benign" to every tumour. Its
# hidden layer passes on nearly the same for all of them: look at the last column, the standard deviation of what a
# hidden neuron answers to the tumours.
#
# ![The answers and the slopes of a hidden layer for raw and for standardised measurements](../docs/saturation.svg)

# %%
measurements, benign = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    measurements, benign.reshape(-1, 1).astype(float), test_size=0.3, random_state=0, stratify=benign
)
if not full:
    x_train, x_test, y_train, y_test = x_train[:40], x_test[:40], y_train[:40], y_test[:40]
hidden, epochs, batch = (16, 30, 32) if full else (4, 5, 4)
scaler = StandardScaler().fit(x_train)
versions = {
    "raw measurements": (x_train, x_test),
    "standardised": (scaler.transform(x_train), scaler.transform(x_test)),
}
answers, slopes, learned = {}, {}, {}
print(f"\n3. {len(x_train)} tumours, 30-{hidden}-1 with tanh")
print(f"   {'':16}  {'before training':^29}  {'after training':^36}")
print(
    f"   {'':16}  {'beyond ±0.99':>12}  {'slope exactly 0':>15}  {'last loss':>9}  {'right':>6}  {'std of answers':>14}"
)
for name, (seen, unseen) in versions.items():
    model = nn.MLP([30, hidden, 1], "tanh", engine=engine, seed=0)
    answers[name] = nn.record_activations(model, seen).outputs["1 Tanh"]
    slopes[name] = 1 - answers[name] ** 2
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    history = nn.fit(model, (seen, y_train), nn.binary_cross_entropy_with_logits, optimizer, epochs, batch)
    says_benign = nn.predict(model, unseen) > 0
    learned[name] = float((says_benign == (y_test > 0.5)).mean())
    differing = nn.record_activations(model, seen).outputs["1 Tanh"].std(axis=0).mean()
    saturated = np.mean(np.abs(answers[name]) > 0.99)
    print(
        f"   {name:16}  {saturated:12.0%}  {np.mean(slopes[name] == 0):15.0%}"
        f"  {history.loss[-1]:9.4f}  {learned[name]:6.1%}  {differing:14.3f}"
    )
    if name == "raw measurements":
        assert saturated > 0.9
        assert differing < 0.05
        assert says_benign.all()
    else:
        assert saturated < 0.05
        assert differing > 0.3
print(f"   {'always benign':16}  {'':40}  {y_test.mean():6.1%}")
assert learned["standardised"] > (0.92 if full else 0.8)

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3), layout="constrained")
for ax, arrays, label in zip(axes, (answers, slopes), ("answer of a hidden neuron", "its slope"), strict=True):
    viz.layer_histograms(arrays, ax=ax, bins=40)
    ax.set_xlabel(label)
axes[1].set_yticklabels([])
figure.savefig(figures / "saturation.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Dead ReLUs
#
# A ReLU does not fade on its right side. But if its sum is negative for **every** sample of the training data, it
# answers 0 to all of them and its slope is 0 for all of them: no gradient reaches its weights, so they never change
# again, and it stays as it is. It is **dead**. One step that was too large is enough: it moves the bias or the weights
# so far that the sum is negative everywhere. (That the state is final holds for the first layer, whose inputs do not
# change, and for an optimizer without momentum and weight decay. In later layers a neuron can wake when those before it
# change.)
#
# Here digits are read by a network 64-32-10 from raw pixels, which go from 0 to 16: large inputs make large steps. At a
# learning rate of 0.01 few neurons die, at 0.05 up to a third of them, and the network hardly misses them. At 0.1
# nearly all of them die (with most seeds: all), and as there is no other hidden layer, the network guesses.
#
# At the same rate leaky ReLUs come through. Many of them are also negative for all samples for a time, but their slope
# there is 0.01 and not 0, so they can come back, and some do. GELU is no remedy here, although its bend is round: far
# to the left its slope is as good as 0 too, and after steps as large as these the sums are far to the left.
#
# The better cure is not to throw neurons that far: scale the inputs, and lower the rate.
#
# ![The share of dead ReLUs over epochs, and what three activations learn at the same rate](../docs/dead_relus.svg)

# %%
images, digits = load_digits(return_X_y=True)
held_out, epochs, hidden, batch, seeds = (0.3, 25, 32, 32, (0, 1, 2)) if full else (0.5, 5, 8, 4, (0,))
if not full:  # 80 digits from 0 to 3, and of each 2 × 2 pixels the mean
    few = np.flatnonzero(digits < 4)[:80]
    images, digits = images[few].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16), digits[few]
x_train, x_test, y_train, y_test = train_test_split(images, digits, test_size=held_out, random_state=0, stratify=digits)
pixels, classes = x_train.shape[1], len(set(y_train))
low, middle, high = (0.01, 0.05, 0.1) if full else (0.01, 0.03, 0.07)


class Watch(nn.Callback):
    """After every epoch: which hidden neurons have a negative sum for all training samples, and the right answers."""

    def __init__(self):
        self.silent, self.weights, self.rights = [], [], []

    def on_epoch_end(self, run):
        sums = nn.record_activations(run.model, x_train).outputs["0 Linear"]
        self.silent.append((sums <= 0).all(axis=0))
        self.weights.append(np.array(run.model[0].weight))
        self.rights.append(float((nn.predict_classes(run.model, x_test) == y_test).mean()))

    def share(self):
        return [float(silent.mean()) for silent in self.silent]

    def right(self):
        """The median of the last fifth of the epochs, since at large rates the last one alone is a matter of luck."""
        return float(np.median(self.rights[-(epochs // 5) :]))

    def woke(self):
        """Whether a neuron that was silent after one epoch was not after the next."""
        return any((before & ~after).any() for before, after in pairwise(self.silent))


watches = {}
plans = [("relu", low), ("relu", middle), ("relu", high), ("leaky_relu", high), ("gelu", high)]
for activation, lr, seed in tqdm([(*plan, seed) for plan in plans for seed in seeds], desc="trainings", unit="run"):
    model = nn.MLP([pixels, hidden, classes], activation, engine=engine, seed=seed)
    watch = Watch()
    optimizer = nn.SGD(model.parameters(), lr=lr)
    nn.fit(model, (x_train, y_train), nn.cross_entropy, optimizer, epochs, batch, callbacks=[watch], seed=seed)
    watches.setdefault((activation, lr), []).append(watch)


def span(shares, digits=1):
    """The least and the greatest in per cent, or one if they are written alike."""
    least, greatest = (f"{share:.{digits}%}" for share in (min(shares), max(shares)))
    return least if least == greatest else f"{least} to {greatest}"


print(f"\n4. Digits from raw pixels, {pixels}-{hidden}-{classes}, {epochs} epochs, seeds {', '.join(map(str, seeds))}")
print(f"   {'':10}  {'lr':>4}  {'silent for all samples':>22}  {'some woke':>9}  {'right':>14}")
for (activation, lr), several in watches.items():
    shares, scores = [watch.share()[-1] for watch in several], [watch.right() for watch in several]
    print(
        f"   {titles[activation]:10}  {lr:4}  {span(shares, 0):>22}"
        f"  {'yes' if any(watch.woke() for watch in several) else 'no':>9}"
        f"  {span(scores):>14}"
    )
for lr in (low, middle, high):
    for watch in watches["relu", lr]:
        assert not watch.woke()
        for before, after, dead in zip(watch.weights, watch.weights[1:], watch.silent, strict=False):
            assert np.array_equal(before[dead], after[dead])  # to the last bit: the gradient was exactly zero
silent = {plan: np.mean([watch.share()[-1] for watch in several]) for plan, several in watches.items()}
right = {plan: np.mean([watch.right() for watch in several]) for plan, several in watches.items()}
assert silent["relu", low] < silent["relu", high] > 0.9
if full:
    assert silent["relu", low] < 0.1 < silent["relu", middle] + 0.05 < 0.45
    assert min(right["relu", low], right["relu", middle]) > 0.94
    assert max(right["relu", high], right["gelu", high]) < 0.4 < 0.7 < right["leaky_relu", high]
    assert all(watch.woke() for watch in watches["leaky_relu", high])

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
numbers = range(1, epochs + 1)
for lr, colour, line in ((low, GREEN, ":"), (middle, BLUE, "--"), (high, ORANGE, "-")):
    for seed, watch in enumerate(watches["relu", lr]):
        axes[0].plot(numbers, watch.share(), line, color=colour, label=None if seed else f"lr = {lr:g}")
for activation, colour, line in (("relu", ORANGE, "-"), ("leaky_relu", GREY, "--"), ("gelu", PINK, ":")):
    for seed, watch in enumerate(watches[activation, high]):
        axes[1].plot(numbers, watch.rights, line, color=colour, label=None if seed else titles[activation])
axes[0].set(
    xlabel="epoch", ylabel="dead neurons", title=f"ReLU: how many are dead (seeds: {len(seeds)})", ylim=(0, 1.03)
)
axes[1].set(
    xlabel="epoch", ylabel="right on the test digits", title=f"lr = {high:g} (seeds: {len(seeds)})", ylim=(0, 1.03)
)
for ax in axes:
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
axes[0].legend(loc="center right")
axes[1].legend(loc="upper left")
figure.savefig(figures / "dead_relus.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Which one, then?
#
# The same network, 64-32-32-10, on standardised pixels, with the same first weights and each of the six, all at the
# same learning rate. The sigmoid needs far more epochs: its slope of at most 1/4 in two layers leaves little of the
# gradient for the first. In a network as shallow as this a larger rate makes up for it: at ten times the rate the
# sigmoid catches up. In a deep one no single rate can, for each layer would need another (lesson 17). The others differ
# in how fast the loss falls, and hardly in how many test digits they read right.
#
# So between the layers take any but the sigmoid. It keeps its place where a number between 0 and 1 is wanted: as the
# last step of a yes-or-no answer, lesson 5, and as a gate that lets more or less through, in an LSTM.
#
# ![The loss over epochs for six activations](../docs/six_activations.svg)

# %%
scaler = StandardScaler().fit(x_train)
scaled_train, scaled_test = scaler.transform(x_train), scaler.transform(x_test)
plans = [(activation, 0.1) for activation in activations] + [("sigmoid", 1.0)]
results = {}
for activation, lr, seed in tqdm([(*plan, seed) for plan in plans for seed in seeds], desc="trainings", unit="run"):
    model = nn.MLP([pixels, hidden, hidden, classes], activation, engine=engine, seed=seed)
    optimizer = nn.SGD(model.parameters(), lr=lr)
    history = nn.fit(model, (scaled_train, y_train), nn.cross_entropy, optimizer, epochs, batch, seed=seed)
    right = float((nn.predict_classes(model, scaled_test) == y_test).mean())
    name = titles[activation] if lr == 0.1 else f"{titles[activation]}, lr {lr:g}"
    results.setdefault(name, []).append((history.loss, right))
print(f"\n5. Standardised digits, {pixels}-{hidden}-{hidden}-{classes}, lr 0.1, {epochs} epochs: means over the seeds")
print(f"   {'':15}  {'loss, epoch 1':>13}  {f'loss, epoch {epochs}':>14}  {'right on test digits':>20}")
means = {name: (np.mean([loss for loss, _ in runs], axis=0), [r for _, r in runs]) for name, runs in results.items()}
for name, (losses, scores) in means.items():
    print(f"   {name:15}  {losses[0]:13.3f}  {losses[-1]:14.4f}  {span(scores):>20}")
if full:
    others = [name for name in means if "sigmoid" not in name]
    assert means["sigmoid"][0][-1] > 3 * max(means[name][0][-1] for name in others)
    assert means["sigmoid, lr 1"][0][-1] < means["sigmoid"][0][-1] / 5
    finals = [np.mean(means[name][1]) for name in [*others, "sigmoid, lr 1"]]
    assert max(finals) - min(finals) < 0.03

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
looks = zip((PINK, GREEN, ORANGE, YELLOW, BLUE, GREY, PINK), ("-", "-", "-", "--", "-.", ":", (0, (5, 2))), strict=True)
for (name, (losses, _)), (colour, line) in zip(means.items(), looks, strict=True):
    ax.plot(range(1, epochs + 1), losses, linestyle=line, color=colour, linewidth=2, label=name)
ax.set(xlabel="epoch", ylabel="training loss, mean of the seeds", yscale="log", title="Six activations on the digits")
ax.legend(loc="lower left")
ax.figure.savefig(figures / "six_activations.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. Softmax: a whole layer at once
#
# The activations so far look at one number at a time. **Softmax** looks at all outputs of a layer together: it takes
# exp(x) of each, which is positive whatever x is, and divides by their sum, so that they add up to 1. What comes out
# can be read as probabilities, and so softmax stands at the end of a network that chooses among classes.
#
# - Only **differences** count. Add 100 to all inputs: each exp grows by the same factor, which cancels. So an engine
#   may subtract the largest input first, and must: exp(1000) is more than a float can hold.
# - **Factors** do count. Multiply all inputs by 3 and the answer becomes more decided; divide by a large number and all
#   become alike. The divisor is called **temperature**: it sets how daring a language model writes (lesson 22).
# - Raise one input, and its own output rises while all others fall, since they share a sum of 1. The slope of output i
#   with respect to input j is p_i (1 - p_i) if i = j, else -p_i p_j. For each output these slopes add up to 0: that is
#   the invariance to shifts once more.
# - It **saturates** like the sigmoid, where one output is nearly 1. That is why cross-entropy takes the inputs of
#   softmax and not its outputs (lesson 5): for both in one step the slope is p - truth, which does not vanish where the
#   network is sure and wrong. With two inputs, one of them 0, softmax is the sigmoid of the other.
#
# ![Softmax of three inputs, shifted, and scaled; and its slopes as one input grows](../docs/softmax.svg)


# %%
def softmax(inputs):
    """The probabilities, and a matrix with the slope of each with respect to each input."""
    rows = []
    for place in range(len(inputs)):
        x = engine.tensor(inputs, "float64", requires_grad=True)
        probabilities = x.softmax(0)
        probabilities[place].backward()
        rows.append(np.array(x.grad))
    return np.array(probabilities), np.array(rows)


inputs = np.array([2.0, 1.0, -1.0])
p, jacobian = softmax(inputs)
bars = {"2, 1, -1": p, "all + 100": softmax(inputs + 100)[0], "all × 3": softmax(inputs * 3)[0]}
bars["all / 3"] = softmax(inputs / 3)[0]
print("\n6. Softmax of 2, 1 and -1")
for name, probabilities in bars.items():
    print(f"   {name:9}  " + "  ".join(f"{probability:6.4f}" for probability in probabilities))
    assert math.isclose(probabilities.sum(), 1.0)
print("   slopes of the three outputs (rows) with respect to the three inputs (columns)")
for row in jacobian:
    print("   " + "".join(f"{slope:9.4f}" for slope in row) + f"   sum {abs(row.sum()):.4f}")
with np.errstate(over="ignore", invalid="ignore"):
    naive = np.exp(inputs + 1000) / np.exp(inputs + 1000).sum()
print(f"   written down naively, with 1000 added: {naive}; by softmax: {softmax(inputs + 1000)[0].round(4)}")
assert np.allclose(bars["all + 100"], p, rtol=1e-12)
assert np.allclose(softmax(inputs + 1000)[0], p, rtol=1e-12)
assert np.isnan(naive).all()
assert bars["all × 3"][0] > p[0] > bars["all / 3"][0] > 1 / 3
assert np.allclose(jacobian, np.diag(p) - np.outer(p, p))
assert np.abs(jacobian.sum(axis=1)).max() < 1e-12
assert np.allclose(
    [softmax([x, 0.0])[0][0] for x in (-3.0, 0.5, 4.0)], [1 / (1 + math.exp(-x)) for x in (-3.0, 0.5, 4.0)]
)
assert np.abs(softmax([20.0, 0.0, 0.0])[1]).max() < 1e-6
logits = engine.tensor([[20.0, 0.0, 0.0]], "float64", requires_grad=True)  # sure that it is the first; it is the second
nn.cross_entropy(logits, engine.tensor([1])).backward()
assert np.allclose(np.array(logits.grad), softmax([20.0, 0.0, 0.0])[0] - [0, 1, 0])

line = np.linspace(-6, 6, 61)
swept = [softmax([x, 1.0, -1.0]) for x in line]
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for place, (name, probabilities) in enumerate(bars.items()):
    axes[0].bar(
        np.arange(3) + 0.2 * place - 0.3,
        probabilities,
        width=0.18,
        label=name,
        color=(BLUE, GREY, ORANGE, GREEN)[place],
    )
axes[0].set(
    xticks=range(3), xticklabels=["first", "second", "third"], ylabel="probability", title="Shifted, and scaled"
)
axes[0].legend()
for place, (colour, style) in enumerate(((BLUE, "-"), (ORANGE, "--"), (GREEN, ":"))):
    name = ("first output", "second", "third")[place]
    axes[1].plot(
        line, [probabilities[place] for probabilities, _ in swept], style, color=colour, linewidth=2, label=name
    )
    axes[2].plot(line, [slopes[place, 0] for _, slopes in swept], style, color=colour, linewidth=2)
axes[1].set(xlabel="first input (others 1 and -1)", ylabel="probability", title="One input grows")
axes[1].legend()
axes[2].set(xlabel="first input (others 1 and -1)", ylabel="slope", title="Slopes with respect to it")
figure.savefig(figures / "softmax.svg", metadata={"Date": None})

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in (
    *("no_activation.png", "activations.svg", "saturation.svg"),
    *("dead_relus.svg", "six_activations.svg", "softmax.svg"),
):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** pixels divided by 16 in section 4: from which learning rate on do ReLUs die now? Momentum 0.9 in the same
# place: is a dead neuron still dead for good? In section 3, measurements divided by 1,000 in place of standardised: is
# that enough? x², with `x * x` in a module of your own, as an activation: its slope is 2x, so what happens far from
# zero?
