# %% [markdown]
# # Vanishing and exploding gradients
#
# In the four steps of training, backward brings the slope of the loss to every weight, from the last layer to the
# first. On the way it is multiplied by a factor at each layer. In a deep network these are many factors. Unless they
# are close to 1 on average, the gradient either **vanishes**, so that as good as nothing of it arrives at the first
# layer, or it **explodes** and arrives there enormous. This lesson measures it in a network of thirty layers, and shows
# what each of four remedies does: a better activation with better first weights, batch norm, residual connections, and
# clipping. Run it with `.venv/bin/python tutorials/17_vanishing_gradients.py`, or cell by cell; `--engine micro` runs
# the same in plain Python, on a smaller network, too briefly for most of the results claimed here.

# %%
import argparse
import itertools
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
from micro import Value

parser = argparse.ArgumentParser(description="Vanishing and exploding gradients.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=("fast", "micro"), default="fast", help="micro is small and slow")
settings = parser.parse_known_args()[0]
figures, engine = settings.figures, {"fast": fast, "micro": micro}[settings.engine]
full = engine is fast  # what is claimed of the full size is checked at the full size
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6b7280"

# %% [markdown]
# ## 1. Thirty factors
#
# The smallest deep network there is: thirty neurons one after another, each with one input and one weight. The slope of
# the last answer with respect to the first input is the product of all slopes on the way (lesson 3), thirty times
# weight × slope of the activation.
#
# - With the sigmoid and a weight of 1 each factor is at most 1/4, and 1/4 to the power of 30 is 10⁻¹⁸.
# - With tanh a factor can be close to 1, where the sum is close to 0. It fades more slowly.
# - With ReLU, on its right side, each factor is the weight: 1 stays 1, but 0.8 becomes 0.001, and 1.25 becomes 808.
#
# So there is nothing wrong in the rule. Repeated multiplication is that sensitive.

# %%
chains = {
    "sigmoid, weights 1": (Value.sigmoid, 1.0),
    "tanh, weights 1": (Value.tanh, 1.0),
    "ReLU, weights 1": (Value.relu, 1.0),
    "ReLU, weights 0.8": (Value.relu, 0.8),
    "ReLU, weights 1.25": (Value.relu, 1.25),
}
print("1. Thirty neurons in a row, from an input of 1")
print(f"   {'':18}  {'slope of the last with respect to the first':>43}")
reached = {}
for name, (activation, weight) in chains.items():
    x = Value(1.0)
    answer = x
    for _ in range(30):
        answer = activation(answer * weight)
    answer.backward()
    reached[name] = x.grad
    print(f"   {name:18}  {x.grad:43.3g}")
assert 0 < reached["sigmoid, weights 1"] < 0.25**30
assert 1e-3 < reached["tanh, weights 1"] < 0.1
assert reached["ReLU, weights 1"] == 1.0
assert math.isclose(reached["ReLU, weights 0.8"], 0.8**30)
assert math.isclose(reached["ReLU, weights 1.25"], 1.25**30)

# %% [markdown]
# ## 2. Thirty layers, and three remedies
#
# Now thirty hidden layers of 32 neurons that read handwritten digits. The plain network has sigmoids, and the first
# weights that `nn.Linear` gives itself. Three others differ from it by one remedy each:
#
# - **tanh and Xavier's weights** (lessons 9 and 10): an activation with a slope of 1 in the middle, and weights of the
#   size that keeps the size of the signals. The factors themselves become close to 1.
# - **Batch norm** (Ioffe and Szegedy 2015): between the sums and the activation, `nn.BatchNorm1d` subtracts from each
#   neuron's sums their mean over the batch and divides by their standard deviation (a learned factor and a learned
#   shift come after it, at first 1 and 0). So the sums lie where the activation has its slope; and where small weights
#   have made them small, the division makes them large again, the gradient likewise.
# - **Residual connections** (He et al. 2016): each layer computes what is to be **added** to what came in, y = x +
#   f(x), by `nn.Residual`. The slope is then 1 + the slope of f. Even if that of f is next to nothing, the 1 lets the
#   gradient pass.
#
# The last one has all three. Drawn is, for each layer, the root mean square of the gradients of its weights, for all
# training digits, before the first step. In the plain network it falls by a factor of about seven at every layer, until
# nothing is left for the first layers. The seven can be foretold: the slope of the sigmoid is 1/4 at most, and weights
# drawn from -1/√n to 1/√n, as those of `nn.Linear` with n inputs are, shorten a gradient by √3 on average; 4√3 is 6.9.
# No learning rate helps: one that would move the first layer would tear the last one to pieces.
#
# ![The size of the gradients of the weights in each of thirty layers](../docs/gradient_by_layer.svg)

# %%
images, digits = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(images, digits, test_size=0.3, random_state=0, stratify=digits)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
if not full:
    x_train, y_train, x_test, y_test = x_train[:24], y_train[:24], x_test[:24], y_test[:24]
depth, width = (30, 32) if full else (30, 3)


def network(activation=nn.Sigmoid, xavier=False, batch_norm=False, residual=False, seed=0, dtype=None):
    """Thirty hidden layers, and the layer that answers."""
    random = np.random.default_rng(seed)
    layers = []
    for number in range(depth):
        linear = nn.Linear(width if number else 64, width, engine=engine, seed=random, dtype=dtype)
        if xavier:
            nn.init.xavier_normal_(linear.weight, seed=random)
        norm = [nn.BatchNorm1d(width, engine=engine, dtype=dtype)] if batch_norm else []
        layer = nn.Sequential(linear, *norm, activation())
        layers.append(nn.Residual(layer) if residual and number else layer)  # the first one has other inputs
    return nn.Sequential(*layers, nn.Linear(width, 10, engine=engine, seed=random, dtype=dtype))


kinds = {
    "plain: sigmoid": {},
    "tanh and Xavier": {"activation": nn.Tanh, "xavier": True},
    "batch norm": {"batch_norm": True},
    "residual": {"residual": True},
    "all three": {"activation": nn.Tanh, "xavier": True, "batch_norm": True, "residual": True},
}


def gradients_of_weights(model):
    """Those of each hidden layer, for all training digits."""
    record = nn.record_activations(model, x_train, y_train, nn.cross_entropy)
    matrices = [array for array in record.parameter_gradients.values() if array.ndim == 2]
    return {f"layer {number}": array for number, array in enumerate(matrices[:-1], start=1)}


gradients = {name: gradients_of_weights(network(**kind, dtype="float64")) for name, kind in kinds.items()}
sizes = {name: np.array([np.sqrt((g**2).mean()) for g in layers.values()]) for name, layers in gradients.items()}
print(f"\n2. Digits, {depth} hidden layers of {width}: root mean square of the gradients of the weights")
print(f"   {'':15}  {'layer 1':>9}  {'layer 10':>9}  {'layer 20':>9}  {'layer 30':>9}  {'layer 1 / layer 30':>18}")
for name, size in sizes.items():
    shown = "  ".join(f"{size[layer - 1]:9.1e}" for layer in (1, 10, 20, 30))
    print(f"   {name:15}  {shown}  {size[0] / size[-1]:18.1e}")
fall = (sizes["plain: sigmoid"][-1] / sizes["plain: sigmoid"][1]) ** (1 / 28)  # the first has other inputs
print(f"   plain: from layer to layer smaller by a factor of {fall:.1f}; foretold were {4 * math.sqrt(3):.1f}")
assert sizes["plain: sigmoid"][0] < 1e-12 * sizes["plain: sigmoid"][-1]
if full:
    assert 6 < fall < 8
    for name in ("tanh and Xavier", "batch norm", "all three"):
        assert 1 / 20 < sizes[name][0] / sizes[name][-1] < 20
    assert sizes["residual"][0] / sizes["residual"][-1] > 1 / 200
    assert all(sizes[name][0] > 1e15 * sizes["plain: sigmoid"][0] for name in list(kinds)[1:])

looks = dict(zip(kinds, ((GREY, "o"), (BLUE, "s"), (ORANGE, "^"), (GREEN, "D"), (PINK, "v")), strict=True))
_, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
for name, size in sizes.items():
    colour, marker = looks[name]
    ax.plot(range(1, depth + 1), size, marker + "-", color=colour, markersize=4, label=name)
ax.set(xlabel="layer (1 is the first)", ylabel="size of the gradient (root mean square)", yscale="log")
ax.set_title("What reaches the weights of each layer, before training")
ax.legend(loc="lower right")
ax.figure.savefig(figures / "gradient_by_layer.svg", metadata={"Date": None})

# %% [markdown]
# Not only the mean of the squares vanishes, every single gradient does. Here is how they are spread in some of the
# layers, over common axes. In the plain network, the largest gradient of each layer drawn is smaller than nearly all in
# the next one; with a remedy they stay about where they are. (The exact zeros of layer 1 belong to the few pixels that
# are the same in all training images.)
#
# ![The spread of the gradients in some of the layers, plain and with each remedy](../docs/gradient_spread.png)

# %%
some = [f"layer {number}" for number in (1, 5, 10, 15, 20, 25, 30)]
plain = [np.abs(gradients["plain: sigmoid"][layer]) for layer in some]
assert all(np.max(here) < np.quantile(above, 0.1) for here, above in itertools.pairwise(plain))
blank = (x_train == x_train[0]).all(axis=0)  # pixels, which are the inputs of layer 1
if full:
    assert all(((layers["layer 1"] == 0) == blank).all() for layers in list(gradients.values())[1:])

figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
for ax, name in zip(axes.flat, list(kinds)[:4], strict=True):
    viz.layer_histograms({layer: gradients[name][layer] for layer in some}, ax=ax, bins=60, magnitude=True)
    ax.set(title=name, xlabel="size of the gradient", xlim=(1e-31, 10))
    ax.xaxis.set_major_locator(matplotlib.ticker.FixedLocator([1e-30, 1e-20, 1e-10, 1]))
    ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
figure.savefig(figures / "gradient_spread.png", dpi=90)

# %% [markdown]
# ## 3. Does it train?
#
# A gradient of a good size is a precondition, no more. So all five are trained, in the same way, and with two seeds
# each. The learning rate falls along a cosine (lesson 12), so that what is measured at the end is not the luck of the
# last step.
#
# The plain network stays where guessing is: log(10) = 2.30. Each of the three remedies alone makes it learn, and all
# three together learn far faster. Even so they do no better than the last row of the table, a network with a single
# hidden layer at a rate that suits it: depth is no end in itself, and these small images do not need it.
#
# Two riddles. The residual network begins far above 2.30, as each layer adds something: its answers grow with depth,
# and at first it is sure and wrong. And batch norm alone has a higher loss than tanh and Xavier's weights, and yet more
# right answers: it is right more often, but less sure. A loss is no accuracy (lesson 15).
#
# ![The loss over epochs of five networks with thirty layers](../docs/deep_training.svg)

# %%
epochs, seeds, batch, lr = (12, (0, 1), 32, 0.05) if full else (2, (0,), 8, 0.05)


def learn(model, seed, lr):
    """The losses of the epochs, and the share of right answers to the test digits."""
    optimizer = nn.SGD(model.parameters(), lr=lr)
    settle = nn.Schedule(nn.CosineAnnealingLR(optimizer, epochs))
    data = x_train, y_train
    history = nn.fit(model, data, nn.cross_entropy, optimizer, epochs, batch, callbacks=[settle], seed=seed)
    return history.loss, float((nn.predict_classes(model, x_test) == y_test).mean())


def lowest_to_highest(numbers, form):
    low, high = format(min(numbers), form), format(max(numbers), form)
    return low if low == high else f"{low} to {high}"


runs = {}
for name, seed in tqdm([(name, seed) for name in kinds for seed in seeds], desc="trainings", unit="run"):
    runs.setdefault(name, []).append(learn(network(**kinds[name], seed=seed), seed, lr))
shallow = [learn(nn.MLP([64, width, 10], "tanh", engine=engine, seed=seed), seed, lr=0.3) for seed in seeds]
print(f"\n3. Trained for {epochs} epochs with lr {lr}, seeds {', '.join(map(str, seeds))}")
print(f"   {'':17}  {'loss, epoch 1':>14}  {f'loss, epoch {epochs}':>16}  {'right on test digits':>20}")
for name, results in {**runs, "one layer, lr 0.3": shallow}.items():
    first, last = [loss[0] for loss, _ in results], [loss[-1] for loss, _ in results]
    cells = lowest_to_highest(first, ".3g"), lowest_to_highest(last, ".3g")
    print(f"   {name:17}  {cells[0]:>14}  {cells[1]:>16}  {lowest_to_highest([r for _, r in results], '.1%'):>20}")
if full:
    for name, results in runs.items():
        for loss, right in results:
            if name == "plain: sigmoid":
                assert abs(loss[-1] - math.log(10)) < 0.05
                assert right < 0.2
            else:
                assert loss[-1] < 1.4
                assert right > 0.4
    assert min(loss[0] for loss, _ in runs["residual"]) > 10
    assert min(loss[-1] for loss, _ in runs["batch norm"]) > max(loss[-1] for loss, _ in runs["tanh and Xavier"])
    assert min(right for _, right in runs["batch norm"]) > max(right for _, right in runs["tanh and Xavier"])
    assert min(right for _, right in shallow) > max(right for _, right in runs["all three"])
    assert min(right for _, right in runs["all three"]) > 0.93
    alone = [loss[-1] for name in list(kinds)[1:4] for loss, _ in runs[name]]
    assert max(loss[-1] for loss, _ in runs["all three"]) < min(alone) / 3

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.axhline(math.log(10), color="#9ca3af", linewidth=1)
ax.text(epochs, 0.93 * math.log(10), "guessing", color="#4b5563", ha="right", va="top")
for name, results in runs.items():
    for number, (loss, _) in enumerate(results):
        colour, marker = looks[name]
        label = None if number else name
        ax.plot(range(1, epochs + 1), loss, marker + "-", color=colour, markersize=4, label=label)
ax.set(xlabel="epoch", ylabel="mean loss of the epoch", yscale="log", title="Thirty hidden layers (two seeds each)")
ax.legend(loc="upper right")
ax.figure.savefig(figures / "deep_training.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Explosion, through time
#
# A recurrent network reads a sequence, one step after another, and carries its state along: h = relu(W h + U x + b).
# Here it reads a digit two pixels at a time, in 32 steps, and answers after the last. To the gradient that is a network
# with 32 layers, and what is more, all with **the same** matrix W. If W stretches the gradient, it does so at each of
# the 31 steps from the last state back to the first. On the left in the figure: what becomes of it on this way, where W
# begins as the identity matrix times 0.8, 1 or 1.25.
#
# Even if W begins well (times 1; Le, Jaitly and Hinton 2015), training changes it, and soon one step has a gradient
# with a norm of tens of thousands or more, a hundred times as large as any that is seen at a tenth of the rate. Here,
# for two of three seeds, it is the second step of all. The update goes along with that, and the weights land anywhere.
# A single such step can undo everything, and leave a network that hardly learns any more. (Small gradients after it are
# no sign of health.)
#
# **Clipping** (Pascanu, Mikolov and Bengio 2013) looks at the norm of the whole gradient, its length as one long
# vector, and shortens it to at most 1, say, where it is longer: the direction stays, the step cannot become any longer.
# It stands between backward and update; in `nn.fit` it is the callback `nn.ClipGradNorm(1.0)`.
#
# At a rate of 0.03 the network learns with clipping, and without it hardly, or not at all. Is it a matter of the rate?
# At a tenth of it nothing explodes, and clipping is no gain; but on average over these seeds it does not get as far
# then as with clipping at the full rate (with others the two can be close). Nor is clipping the only way: Adam divides
# each gradient by its usual size, which limits the steps as well; without any clipping it does no worse than SGD with
# it. (None of them reads more than about half of the digits right after 20 epochs: 32 steps are a long way for so
# simple a memory. Clipping does nothing against gradients that vanish; for sequences, LSTM is the answer to that,
# lesson 14.)
#
# ![Gradients through time, their norm in training, and the loss with and without clipping](../docs/clipping.svg)


# %%
steps, state = (32, 32) if full else (16, 3)


class Reader(nn.Module):
    """A recurrent network written as a loop, so that each of its steps can be recorded."""

    def __init__(self, scale):
        super().__init__()
        self.cell = nn.RNNCell(64 // steps, state, nonlinearity="relu", engine=engine, seed=0, dtype="float64")
        self.cell.weight_hh.copy_(np.eye(state) * scale)
        self.answer = nn.Linear(state, 10, engine=engine, seed=1, dtype="float64")

    def forward(self, x):
        hidden = None
        for step in range(steps):
            hidden = self.cell(x[:, step], hidden)
        return self.answer(hidden)


unscaled = [scaler.inverse_transform(x) / 16 for x in (x_train, x_test)]
sequences, test_sequences = (x.reshape(len(x), steps, -1) for x in unscaled)
through_time = {}
for scale in (0.8, 1.0, 1.25):
    record = nn.record_activations(Reader(scale), sequences, y_train, nn.cross_entropy)
    states = [gradient for name, gradient in record.gradients.items() if "RNNCell" in name]
    through_time[scale] = np.array([np.sqrt((gradient**2).mean()) for gradient in states])
print(f"\n4. Digits, {64 // steps} pixels at a time, {steps} steps: gradient at the first state / at the last")
for scale, gradient in through_time.items():
    ratio, power = gradient[0] / gradient[-1], scale ** (steps - 1)
    print(f"   W = {scale:4g} × identity  {ratio:9.2g}    ({scale:g} to the power of {steps - 1} is {power:.2g})")
for scale, gradient in through_time.items():
    assert 1 / 3 < gradient[0] / gradient[-1] / scale ** (steps - 1) < 3

methods = {
    "lr 0.03": (nn.SGD, 0.03, math.inf),
    "lr 0.03, clipped": (nn.SGD, 0.03, 1.0),
    "lr 0.003": (nn.SGD, 0.003, math.inf),
    "lr 0.003, clipped": (nn.SGD, 0.003, 1.0),
    "Adam, lr 0.001": (nn.Adam, 0.001, math.inf),
}
epochs, seeds, batch = (20, (0, 1, 2), 32) if full else (2, (0,), 8)
read = {}
for name, seed in tqdm([(name, seed) for name in methods for seed in seeds], desc="trainings", unit="run"):
    method, lr, limit = methods[name]
    rnn = nn.RNN(64 // steps, state, nonlinearity="relu", engine=engine, seed=seed)
    rnn.weight_hh_l0.copy_(np.eye(state))
    model = nn.Sequential(rnn, nn.LastStep(), nn.Linear(state, 10, engine=engine, seed=seed + 7))
    clip = nn.ClipGradNorm(limit)  # with an infinite limit it only looks
    optimizer = method(model.parameters(), lr=lr)
    data = sequences, y_train
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)  # here explosions are what we came to see
        history = nn.fit(model, data, nn.cross_entropy, optimizer, epochs, batch, callbacks=[clip], seed=seed)
    diverged = history.diverged_at is not None
    right = 0.0 if diverged else float((nn.predict_classes(model, test_sequences) == y_test).mean())
    read.setdefault(name, []).append((history, np.array(clip.norms), right))
print(f"   Trained for {epochs} epochs, seeds {', '.join(map(str, seeds))}")
print(f"   {'':17}  {'largest norm':>18}  {'last loss':>14}  {'right on test digits':>20}")
for name, results in read.items():
    norms = lowest_to_highest([np.nanmax(norm) for _, norm, _ in results], ".2g")
    losses = lowest_to_highest([history.loss[-1] for history, _, _ in results], ".3g")
    scores = lowest_to_highest([right for _, _, right in results], ".1%")
    print(f"   {name:17}  {norms:>18}  {losses:>14}  {scores:>20}")

if full:
    mean_loss = {name: np.mean([history.loss[-1] for history, _, _ in results]) for name, results in read.items()}
    mean_right = {name: np.mean([right for _, _, right in results]) for name, results in read.items()}
    explosions = [np.nanmax(norms) for _, norms, _ in read["lr 0.03"]]
    assert min(explosions) > max(1e4, 100 * max(norms.max() for _, norms, _ in read["lr 0.003"]))
    assert sum(norms[1] > 1e4 for _, norms, _ in read["lr 0.03"]) == 2
    assert all(norms.max() < 1e3 for name in read if name != "lr 0.03" for _, norms, _ in read[name])
    assert mean_right["lr 0.03, clipped"] > mean_right["lr 0.03"] + 0.1
    assert mean_loss["lr 0.03, clipped"] < mean_loss["lr 0.003"] - 0.1
    assert mean_loss["lr 0.003, clipped"] > mean_loss["lr 0.003"] - 0.05
    assert mean_loss["Adam, lr 0.001"] < mean_loss["lr 0.03, clipped"] + 0.1
    assert max(right for results in read.values() for _, _, right in results) < 0.65

figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for (scale, gradient), colour, marker in zip(through_time.items(), (GREY, GREEN, PINK), "o^s", strict=True):
    label = f"identity × {scale:g}"
    axes[0].plot(range(1, steps + 1), gradient, marker + "-", color=colour, markersize=3.5, label=label)
axes[0].set(xlabel="step of the sequence", ylabel="gradient at the state", yscale="log", title="Back through time")
axes[0].legend()
for name, colour, line in (("lr 0.03", ORANGE, "-"), ("lr 0.03, clipped", BLUE, "-"), ("lr 0.003", GREY, ":")):
    for seed, (history, norms, _) in enumerate(read[name]):
        label = None if seed else name
        if seed == 0 and name != "lr 0.003":
            axes[1].plot(range(1, len(norms) + 1), norms, color=colour, linewidth=0.8, alpha=0.8, label=name)
        axes[2].plot(range(1, len(history.loss) + 1), history.loss, line, color=colour, linewidth=1.6, label=label)
axes[1].set(
    xlabel="step of the training", ylabel="norm, before it is clipped", xscale="log", yscale="log", title="One seed"
)
axes[2].set(
    xlabel="epoch", ylabel="mean loss of the epoch", title="All seeds (what is above 4 is cut off)", ylim=(1, 4)
)
axes[1].legend(loc="upper right")
axes[2].legend(loc="lower left")
figure.savefig(figures / "clipping.svg", metadata={"Date": None})

# %%
print(f"\n5. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("gradient_by_layer.svg", "gradient_spread.png", "deep_training.svg", "clipping.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** ReLU and He's weights in section 2 (`nn.init.kaiming_normal_`): how large are the gradients, and how does it
# train? Batch norm with ReLU in all thirty layers: do its gradients keep their size, or does something else happen? A
# limit of 100 in section 4, or `nn.ClipGradValue(0.1)`: how much of the gain remains? Run your variants with
# `python -O`, which skips the assertions: they state what holds for the numbers above.
