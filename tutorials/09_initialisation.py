# %% [markdown]
# # Initialisation
#
# The four steps of training (forward, loss, backward, update) say how weights change. They do not say where weights
# begin. It matters: from some starts the very same loop learns nothing at all, and no error is raised. This lesson
# shows three such starts (all weights alike, too small, too large), what is wrong with each by looking inside, and the
# two recipes that most networks begin with today. Run it with `.venv/bin/python tutorials/09_initialisation.py`, or
# cell by cell; `--engine micro` runs the same in plain Python, on much smaller networks and digits.

# %%
import argparse
import math
import time
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="Initialisation.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=("fast", "micro"), default="fast", help="micro is small and slow")
settings = parser.parse_known_args()[0]
figures, engine = settings.figures, {"fast": fast, "micro": micro}[settings.engine]
full = engine is fast  # what is claimed of the full size is checked at the full size
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"

# %% [markdown]
# ## 1. All alike: neurons that never become different
#
# The data are handwritten digits, 8 × 8 pixels each, standardised (minus the mean, divided by the standard deviation,
# pixel by pixel). The network has one hidden layer of 16 neurons with tanh, and one output for each digit. It is
# trained from three starts.
#
# - **All zeros.** Each hidden neuron answers tanh(0) = 0. In the backward step the slope of a weight is (what came in)
#   × (gradient of what goes out). What comes into the last layer is 0, so its weights have slope 0. What goes back
#   through them is multiplied by those weights, 0 again, so the first layer has slope 0 too. Only the last biases ever
#   move: they learn how frequent each digit is, and nothing about images.
# - **All equal**, here 0.1. Now there are gradients, but all 16 hidden neurons compute the same from the same inputs,
#   pass it on through the same weights, and so get the same gradient. After the update they are the same again. In all
#   the training they stay copies of one neuron.
# - **Random.** Each neuron begins a little different, gets a different gradient, and finds something of its own to do.
#   This is called **symmetry breaking**.
#
# How much is a layer of 16 copies worth? As much as a single neuron: below, a network that has only one does about as
# well. The pictures show the weights of each hidden neuron after training, as an image of what it looks for.
#
# ![The weights of 16 neurons, begun all equal, and begun at random](../docs/symmetry.png)

# %%
images, digits = load_digits(return_X_y=True)
held_out = 0.3
if not full:  # 80 digits from 0 to 3, and of each 2 × 2 pixels the mean
    few = np.flatnonzero(digits < 4)[:80]
    images, digits = images[few].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16), digits[few]
    held_out = 0.5
x_train, x_test, y_train, y_test = train_test_split(images, digits, test_size=held_out, random_state=0, stratify=digits)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
pixels, classes, batch = x_train.shape[1], len(set(y_train)), 32 if full else 4


def accuracy(model):
    """The share of the test digits that are read right."""
    return float((nn.predict_classes(model, x_test) == y_test).mean())


def set_all(value):
    def begin(model):
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)

    return begin


starts = {
    "all zeros": (16, set_all(0.0)),
    "all equal": (16, set_all(0.1)),
    "random": (16, lambda model: None),
    "random, but only 1 hidden neuron": (1, lambda model: None),
}
alike = {}
print(f"1. Digits, {pixels}-16-{classes}, from four starts")
print(f"   {'start':32}  {'last loss':>9}  {'right':>6}  {'largest difference between two neurons':>38}")
for name, (hidden, begin) in starts.items():
    model = nn.MLP([pixels, hidden, classes], "tanh", engine=engine, seed=0, dtype="float64")
    begin(model)
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    history = nn.fit(model, (x_train, y_train), nn.cross_entropy, optimizer, 15 if full else 5, batch)
    weights = np.array(model[0].weight)
    alike[name] = model, history.loss[-1], accuracy(model), np.ptp(weights, axis=0).max()
    largest = f"{alike[name][3]:.1e}" if hidden > 1 else "-"
    print(f"   {name:32}  {history.loss[-1]:9.4f}  {alike[name][2]:6.1%}  {largest:>38}")
model, last_loss, _, _ = alike["all zeros"]
assert [name for name, parameter in model.named_parameters() if np.array(parameter).any()] == ["2.bias"]
assert alike["all equal"][3] < 1e-6 < 0.1 < alike["random"][3]
if full:
    assert last_loss > 0.99 * math.log(10)  # no better than guessing by the frequencies, which are nearly equal
    assert alike["random"][2] > 0.9 > 0.6 > alike["all equal"][2]
    assert abs(alike["all equal"][2] - alike["random, but only 1 hidden neuron"][2]) < 0.1

figure = plt.figure(figsize=(8.8, 4.3), layout="constrained")
side = math.isqrt(pixels)
titles = {"all equal": "begun all equal", "random": "begun at random"}
for part, (name, title) in zip(figure.subfigures(1, 2, wspace=0.06), titles.items(), strict=True):
    weights = np.array(alike[name][0][0].weight)
    reach = np.abs(weights).max()
    for ax, seen in zip(part.subplots(4, 4).flat, weights, strict=True):
        picture = ax.imshow(seen.reshape(side, side), cmap="RdBu_r", vmin=-reach, vmax=reach)
        ax.axis("off")
    part.suptitle(f"{title}: {alike[name][2]:.0%} right")
    part.colorbar(picture, ax=part.axes, shrink=0.6, label="weight", format="% .2f")
figure.savefig(figures / "symmetry.png", dpi=90)

# %% [markdown]
# ## 2. At random, but how large?
#
# A neuron adds up many products, weight × input. Sums of n independent numbers with mean 0 grow like √n: signs differ,
# so much cancels, but not all. If the inputs have a standard deviation (std, the typical distance from the mean) of 1
# and the weights one of s, then the sum has one of s√n, where n, the number of inputs, is called the **fan-in**. So the
# sum is as large as the inputs if s = 1 / √n.
#
# And then comes the activation. A ReLU sets the negative half to zero, which halves the mean square of what comes out.
# To make up for it, s has to be √2 times as large: √(2/n).
#
# One layer that is off by a factor does no harm. But a deep network multiplies the factors of its layers: half the size
# in each of eight layers leaves 1/256, twice the size makes 256. The same holds for the gradients on their way back,
# only that there the **fan-out** counts, the number of outputs to which each input goes. Hence the two recipes:
#
# - **Xavier** (Glorot and Bengio 2010): s² = 2 / (fan-in + fan-out), a compromise of both directions, for activations
#   that let small numbers pass as they are, such as tanh.
# - **He**, also called Kaiming (He et al. 2015): s² = 2 / fan-in, for ReLU.

# %%
sizes = (16, 64, 256, 1024) if full else (16, 32)
print("\n2. One layer with n inputs of std 1")
print(f"   {'':4}  {'std of the sums, weights of':^34}  {'root mean square after ReLU, weights of':^39}")
print(f"   {'n':>4}  {'std 1':>10}  {'√n':>10}  {'std 1/√n':>10}  {'std 1/√n':>19}  {'std √(2/n) (He)':>18}")
for n in sizes:
    inputs = engine.tensor(np.random.default_rng(0).normal(size=(500 if full else 40, n)))
    layer = nn.Linear(n, n, bias=False, engine=engine, seed=0)

    def sums(std, layer=layer, inputs=inputs):
        nn.init.normal_(layer.weight, std=std, seed=1)
        return layer(inputs)

    plain, scaled = (float(np.array(sums(std)).std()) for std in (1.0, 1 / math.sqrt(n)))
    halved = float(np.sqrt((np.array(sums(1 / math.sqrt(n)).relu()) ** 2).mean()))
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", seed=1)
    kept = float(np.sqrt((np.array(layer(inputs).relu()) ** 2).mean()))
    print(f"   {n:4}  {plain:10.2f}  {math.sqrt(n):10.2f}  {scaled:10.2f}  {halved:19.2f}  {kept:18.2f}")
    assert abs(plain / math.sqrt(n) - 1) < 0.2
    assert abs(scaled - 1) < 0.2
    assert abs(halved - math.sqrt(1 / 2)) < 0.2
    assert abs(kept - 1) < 0.2

# %% [markdown]
# ## 3. Looking inside: tanh
#
# Now a deep network: eight hidden layers of 64 neurons, and one look at it before any training. `nn.record_activations`
# passes samples through and brings back what each layer answered, and the gradient of the loss with respect to each
# answer; `viz.layer_histograms` draws how they are spread, layer below layer, gradients by their size on a logarithmic
# axis. Beside each layer stands its std.
#
# ![Activations and gradients of each layer of a tanh network, from three starts](../docs/init_tanh.png)
#
# - **Too small** (0.01): each layer's answers are about 12 times smaller than those before. The last layers answer
#   nearly 0, whatever the digit, and the gradient that gets back to the first layer is smaller still, for it is
#   multiplied by the same small weights on the way.
# - **Too large** (1): the sums are so large that most answers of tanh are at its ends, -1 or 1. There it is flat, see
#   lesson 10: it **saturates**. The gradients grow towards the first layer nevertheless, since the large weights more
#   than make up for the flat slopes.
# - **Xavier**: the answers stay spread out, and the gradients keep their size, within a factor of three.

# %%
depth, width = (8, 64) if full else (3, 8)


def normal(std):
    return lambda weight, seed: nn.init.normal_(weight, std=std, seed=seed)


def xavier(weight, seed):
    return nn.init.xavier_normal_(weight, seed=seed)


def he(weight, seed):
    return nn.init.kaiming_normal_(weight, nonlinearity="relu", seed=seed)


def as_it_comes(weight, seed):
    """What nn.Linear does by itself, and PyTorch's: uniform in ±1/√fan-in."""
    bound = 1 / math.sqrt(weight.shape[1])
    return nn.init.uniform_(weight, -bound, bound, seed=seed)


def network(activation, begin, seed=0):
    """A deep network whose weights begin as `begin` says, and whose biases begin as 0."""
    model = nn.MLP([pixels, *[width] * depth, classes], activation, engine=engine)
    random = np.random.default_rng(seed)
    for layer in model:
        if isinstance(layer, nn.Linear):
            begin(layer.weight, random)
            nn.init.zeros_(layer.bias)
    return model


def look_inside(activation, begin):
    """What the activations answer, and the gradients there, by layer."""
    record = nn.record_activations(network(activation, begin), x_train, y_train, nn.cross_entropy)
    names = [name for name in record.outputs if "Linear" not in name]
    numbered = list(enumerate(names, start=1))
    return (
        {f"layer {number}": record.outputs[name] for number, name in numbered},
        {f"layer {number}": record.gradients[name] for number, name in numbered},
    )


def root_mean_squares(arrays):
    return np.array([np.sqrt(np.mean(np.square(array, dtype=float))) for array in arrays.values()])


def draw_inside(looks, path, magnitude, title):
    """For each start the spread of the activations above, of the gradients below, over common axes."""
    figure, axes = plt.subplots(2, len(looks), figsize=(3.4 * len(looks), 6.2), layout="constrained")
    for row, kind in enumerate(("activation", "gradient")):
        arrays = [look[row] for look in looks.values()]
        by_size = magnitude or kind == "gradient"
        for ax, shown in zip(axes[row], arrays, strict=True):
            viz.layer_histograms(shown, ax=ax, bins=50, magnitude=by_size)
            ax.set_xlabel(f"size of the {kind}" if by_size else kind)
        numbers = np.abs(np.concatenate([array.ravel() for shown in arrays for array in shown.values()]))
        limits = (np.quantile(numbers[numbers > 0], 0.005), 2 * numbers.max()) if by_size else (-1, 1)
        for ax in axes[row]:
            ax.set_xlim(limits)
            if by_size:
                ax.xaxis.set_major_locator(matplotlib.ticker.LogLocator(numticks=4))
                ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        for ax in axes[row, 1:]:
            ax.set_yticklabels([])
    for ax, way in zip(axes[0], looks, strict=True):
        ax.set_title(way)
    figure.suptitle(title)
    figure.savefig(path, dpi=95)


ways = {
    "tanh": {"too small: std 0.01": normal(0.01), "too large: std 1": normal(1.0), "Xavier": xavier},
    "relu": {
        "too small: std 0.01": normal(0.01),
        "too large: std 1": normal(1.0),
        "as nn.Linear does": as_it_comes,
        "Xavier": xavier,
        "He": he,
    },
}
looks = {name: {way: look_inside(name, begin) for way, begin in starts.items()} for name, starts in ways.items()}


def tell(activation):
    print(
        f"   {'':21}  {'activations, layer 1':>20}  {f'layer {depth}':>9}"
        f"  {'gradients, layer 1':>18}  {f'layer {depth}':>9}"
    )
    for way, (activations, gradients) in looks[activation].items():
        forward, back = root_mean_squares(activations), root_mean_squares(gradients)
        print(f"   {way:21}  {forward[0]:20.2g}  {forward[-1]:9.2g}  {back[0]:18.2g}  {back[-1]:9.2g}")


print(f"\n3. tanh, {depth} hidden layers of {width}: root mean squares before training")
tell("tanh")
small, large, good = looks["tanh"].values()
flat = {name: np.mean(np.abs(answers) > 0.99) for name, answers in large[0].items()}
print(f"   from too large a start, {np.mean(list(flat.values())):.0%} of the answers are beyond ±0.99")
if full:
    ratios = root_mean_squares(small[0])[1:] / root_mean_squares(small[0])[:-1]
    assert np.all((ratios > 1 / 15) & (ratios < 1 / 10))
    assert root_mean_squares(small[1])[0] < 1e-6 * root_mean_squares(small[1])[-1]
    assert np.mean(list(flat.values())) > 0.6
    assert root_mean_squares(large[1])[0] > 50 * root_mean_squares(large[1])[-1]
    assert root_mean_squares(good[0])[-1] > 0.15
    assert 1 / 3 < root_mean_squares(good[1])[0] / root_mean_squares(good[1])[-1] < 3
draw_inside(
    looks["tanh"], figures / "init_tanh.png", False, "tanh, before training: activations above, gradients below"
)

# %% [markdown]
# ## 4. Looking inside: ReLU
#
# ReLU has no ends to saturate at, so too large a start simply explodes. Here the sizes are drawn on a logarithmic axis,
# in which zeros have no place: their share stands beside each layer.
#
# Xavier's weights lack the factor √2, so each layer loses 30 % of the size, and eight of them leave 1/16. That is
# bearable here; in thirty layers it would not be (lesson 17). What a layer does by itself, `nn.Linear` like PyTorch's,
# is smaller still: its uniform numbers have an std of 1 / √(3 fan-in), so a ReLU layer leaves 1/√6 = 41 % of the size,
# and eight leave about a thousandth. It is meant for networks of few layers, or with normalisation. He's weights keep
# the sizes, forward as well as back.
#
# ![Activations and gradients of each layer of a ReLU network, from four starts](../docs/init_relu.png)

# %%
print(f"\n4. ReLU, {depth} hidden layers of {width}: root mean squares before training")
tell("relu")
if full:
    small, large, alone, xaviers, hes = ([root_mean_squares(a) for a in look] for look in looks["relu"].values())
    assert large[0][-1] > 1e4 * large[0][0]
    assert 1 / 20 < xaviers[0][-1] < 1 / 8  # what came in has a root mean square of nearly 1
    assert 1 / 2000 < alone[0][-1] < 1 / 700
    assert all(1 / 3 < sizes[-1] / sizes[0] < 3 for sizes in hes)
shown = {way: look for way, look in looks["relu"].items() if way != "as nn.Linear does"}
draw_inside(shown, figures / "init_relu.png", True, "ReLU, before training: activations above, gradients below")

# %% [markdown]
# ## 5. And what becomes of them?
#
# Each start is now trained in the same way: 12 epochs in batches of 32, plain gradient descent. One start proves
# little, chance has its share, so each is repeated with three seeds; the table shows the least and the most.
#
# ![The loss over epochs from each start, for tanh and for ReLU](../docs/init_training.svg)
#
# - Too small: the loss stays where guessing is, at log(10) = 2.30.
# - Too large: it begins far above, for the network is sure and wrong. With tanh it falls, but in 12 epochs not even to
#   where guessing is; with ReLU training is over after a few steps, for the loss is no longer a number.
# - What `nn.Linear` does by itself stands still at this depth for all of the 12 epochs.
# - Xavier with tanh, and He with ReLU, learn from the first epoch on. Xavier with ReLU, a factor of √2 too small in
#   each layer, hesitates first. It gets there, but with each seed it is behind He.
#
# That is the whole purpose of a recipe: not to begin in a place from which there is hardly a way. What is best after
# that, it does not decide. And layers that normalise (lesson 17) make networks far less sensitive to where they begin.

# %%
epochs, seeds, lr = (12, (0, 1, 2), 0.03) if full else (5, (0,), 0.1)
guessing = math.log(classes)
runs = {}
for activation, way, seed in tqdm(
    [(a, w, s) for a in ways for w in ways[a] for s in seeds], desc="trainings", unit="run"
):
    model = network(activation, ways[activation][way], seed)
    optimizer = nn.SGD(model.parameters(), lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)  # here divergence is what we came to see
        history = nn.fit(model, (x_train, y_train), nn.cross_entropy, optimizer, epochs, batch, seed=seed)
    right = float("nan") if history.diverged_at is not None else accuracy(model)
    runs.setdefault((activation, way), []).append((history, right))


def span(numbers, form):
    """The least and the greatest, or one if they are written alike."""
    least, greatest = (format(number, form) for number in (min(numbers), max(numbers)))
    return least if least == greatest else f"{least} to {greatest}"


print(f"\n5. Trained for {epochs} epochs with lr {lr}, seeds {', '.join(map(str, seeds))}")
print(
    f"   {'':4}  {'start':21}  {'loss of the first step':>22}  {'of the last epoch':>19}  {'right on test digits':>23}"
)
for (activation, way), results in runs.items():
    first = [history.step_loss[0] for history, _ in results]
    last = [history.loss[-1] for history, _ in results]
    ended = [history.diverged_at for history, _ in results]
    shares = span([right for _, right in results], ".1%")
    if None not in ended:
        shares = f"diverged at step {span(ended, 'd')}"
    print(f"   {activation:4}  {way:21}  {span(first, '#.3g'):>22}  {span(last, '#.3g'):>19}  {shares:>23}")
if full:
    for (activation, way), results in runs.items():
        for history, right in results:
            if "small" in way:
                assert abs(history.loss[-1] - guessing) < 0.02
            elif "large" in way:
                assert history.step_loss[0] > 2 * guessing
                if activation == "relu":
                    assert history.diverged_at < 10
                else:
                    assert guessing < history.loss[-1] < history.loss[0] / 2
            elif way == "as nn.Linear does":
                assert history.loss[-1] > 2.2
            else:
                assert right > 0.85
        if way in ("Xavier", "He"):
            hesitates = (activation, way) == ("relu", "Xavier")
            assert all((history.loss[1] > 1.5) == hesitates for history, _ in results)
    for (behind, _), (ahead, _) in zip(runs["relu", "Xavier"], runs["relu", "He"], strict=True):
        assert behind.loss[-1] > 2 * ahead.loss[-1]

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
looks_of = {
    "too small: std 0.01": (BLUE, ":"),
    "too large: std 1": (ORANGE, "--"),
    "as nn.Linear does": (PINK, "-."),
    "Xavier": (GREEN, "-"),
    "He": (YELLOW, (0, (6, 1))),
}
for ax, activation in zip(axes, ways, strict=True):
    ax.axhline(guessing, color="#9ca3af", linewidth=1)
    for way in ways[activation]:
        colour, line = looks_of[way]
        for number, (history, _) in enumerate(runs[activation, way]):
            if history.diverged_at is None:
                label = way if number == 0 else None
                ax.plot(range(1, epochs + 1), history.loss, linestyle=line, color=colour, linewidth=1.6, label=label)
    ax.set(xlabel="epoch", title={"tanh": "tanh", "relu": "ReLU (too large a start diverges)"}[activation])
    ax.legend(loc="lower left")
axes[0].set(ylabel="mean loss of the epoch", yscale="log")
axes[0].text(epochs, guessing * 0.92, "guessing", ha="right", va="top", color="#4b5563")
figure.savefig(figures / "init_training.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("symmetry.png", "init_tanh.png", "init_relu.png", "init_training.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** zero weights in the last layer alone, the others random: why does that learn, and from which step on has the
# first layer a gradient? `nn.init.xavier_normal_(weight, gain=5 / 3, seed=seed)` with tanh: do the activations still
# shrink from layer to layer? Twenty hidden layers: which of the starts still learn, and does the difference between
# Xavier and He with ReLU matter now?
