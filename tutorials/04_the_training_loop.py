# %% [markdown]
# # The training loop
#
# Whatever network is trained, with whatever library, four steps repeat: **forward** (compute the answers), **loss**
# (say in one number how wrong they are), **backward** (find the slope of the loss for every weight), **update** (move
# every weight a little downhill). This lesson writes them out for both engines, shows what happens if one little thing
# is forgotten, and then looks at what surrounds the loop: epochs, batches, and the record that a training leaves. Run
# it with `.venv/bin/python tutorials/04_the_training_loop.py`, or cell by cell.

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, load_iris, make_moons
from sklearn.model_selection import train_test_split

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="The training loop.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()

# %% [markdown]
# ## 1. Four lines
#
# The task: tell two species of iris apart, *versicolor* and *virginica*, 50 flowers each, by the length and the width
# of their petals. The measurements are **standardised** first: minus the mean, divided by the standard deviation, so
# that both are of the size of 1 and one learning rate suits both. The target is -1 for the one species and +1 for the
# other, and the network's answer counts as the one or the other by its sign.
#
# The network has 6 neurons with tanh side by side, and one that adds up their answers. Its weights begin at random;
# the seed makes the randomness repeatable, and the same on both engines. The loss is the mean of (answer - target)².
#
# Where is zero_grad from? Gradients add up: backward adds to what is there, for a Value may be used in several places.
# So before each backward what is left from the step before is set to zero. `no_grad` tells the engine that the update
# is no part of the calculation whose slopes we want.
#
# ![The training loop](../docs/training_loop.svg)

# %%
flowers = load_iris()
petals = flowers.data[50:, 2:]
x = (petals - petals.mean(axis=0)) / petals.std(axis=0)
y = np.where(flowers.target[50:] == 1, -1.0, 1.0).reshape(-1, 1)
lr, steps = 0.3, 40


def network(engine):
    return nn.MLP([2, 6, 1], "tanh", engine=engine, seed=7, dtype="float64")


def train(engine, forget=False):
    """The loop, written out; returns the trained network and the loss of every step."""
    model, losses = network(engine), []
    inputs, targets = engine.tensor(x), engine.tensor(y)
    for _ in range(steps):
        answers = model(inputs)  # 1. forward
        loss = nn.mse_loss(answers, targets)  # 2. loss
        if not forget:
            model.zero_grad()
        loss.backward()  # 3. backward
        with engine.no_grad():
            for parameter in model.parameters():
                parameter -= lr * parameter.grad  # 4. update
        losses.append(loss.item())
    return model, losses


def accuracy(model, x, y):
    """The share of the answers with the right sign."""
    return float(((nn.predict(model, x) > 0) == (y > 0)).mean())


viz.render(viz.training_loop(), figures / "training_loop.svg")
print("1. The loop by hand: 100 irises, a network 2-6-1, 40 steps")
print(f"   {'':5}  {'first loss':>10}  {'last loss':>9}  {'right at first':>14}  {'right at last':>13}  {'seconds':>7}")
train(fast)  # the first run loads the compiled kernels, or compiles them; it should not count
curves = {}
for engine in (micro, fast):
    before = time.perf_counter()
    model, curves[engine] = train(engine)
    taken = time.perf_counter() - before
    at_first, at_last = accuracy(network(engine), x, y), accuracy(model, x, y)
    print(
        f"   {engine.__name__:5}  {curves[engine][0]:10.4f}  {curves[engine][-1]:9.4f}"
        f"  {at_first:14.0%}  {at_last:13.0%}  {taken:7.3f}"
    )
    assert at_last >= 0.94
difference = max(abs(slow - quick) for slow, quick in zip(curves[micro], curves[fast], strict=True))
print(f"   the losses of the two engines differ by {difference:.0e} at most")
assert difference < 1e-12

# %% [markdown]
# What did it learn? Below is what the network answers for every possible petal, before and after. The line is where the
# answer changes sign. Before training it lies anywhere. Some flowers remain on the wrong side afterwards: the species
# overlap, and no sensible line separates all of them.
#
# ![The answers of the network before and after training](../docs/iris_boundary.png)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
for ax, shown, when in zip(axes, (network(fast), model), ("before training", f"after {steps} steps"), strict=True):
    viz.decision_boundary(lambda points, shown=shown: nn.predict(shown, points), x, y, ax=ax)
    ax.set_title(f"{when}: {accuracy(shown, x, y):.0%} right")
    ax.set(xlabel="petal length, standardised", ylabel="petal width, standardised" if ax is axes[0] else "")
    ax.get_legend().remove()
axes[0].legend(axes[0].collections[-2:], ["versicolor", "virginica"], loc="upper left")
figure.savefig(figures / "iris_boundary.png", dpi=90)

# %% [markdown]
# ## 2. The forgotten line
#
# The classic mistake: no zero_grad. No error is raised. Each update then goes along the sum of all gradients since the
# beginning, as if the weights were a heavy ball without friction: it rolls through the valley and up the other side,
# gathers speed, and swings. (Indeed that is, to the last bits, what an optimizer with a momentum of 1 does; momentum
# is a useful thing, but with friction: 0.9, say. Lesson 6 comes back to it.) The loss may fall at first, and by chance
# even be low at the end, which is why the mistake is easily missed.
#
# ![The loss with and without zero_grad](../docs/zero_grad.svg)

# %%
_, forgotten = train(fast, forget=True)
heavy = network(fast)
ball = nn.fit(heavy, (x, y), nn.mse_loss, nn.SGD(heavy.parameters(), lr=lr, momentum=1.0), steps, shuffle=False)
alike = max(abs(p - q) for p, q in zip(forgotten, ball.loss, strict=True))
rises = {name: np.mean(np.diff(c) > 0) for name, c in {"with": curves[fast], "without": forgotten}.items()}
print("\n2. The forgotten line")
print(f"   {'':17}  {'mean of the last ten losses':>27}  {'steps that went up':>18}")
print(f"   {'with zero_grad':17}  {np.mean(curves[fast][-10:]):27.4f}  {rises['with']:18.0%}")
print(f"   {'without':17}  {np.mean(forgotten[-10:]):27.4f}  {rises['without']:18.0%}")
print(f"   without it, the losses are those of momentum 1, but for {alike:.0e} at most")
assert rises["with"] == 0.0
assert rises["without"] > 0.3
assert np.mean(forgotten[-10:]) > 2 * np.mean(curves[fast][-10:])
assert alike < 1e-6

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
numbers = range(1, steps + 1)
ax.plot(numbers, curves[fast], color="#0072B2", linewidth=2, label="with zero_grad")
ax.plot(numbers, forgotten, "--", color="#D55E00", linewidth=2, label="zero_grad forgotten")
ax.set(xlabel="step", ylabel="loss", ylim=(0, None), title="Gradients that are never set to zero")
ax.legend()
ax.figure.savefig(figures / "zero_grad.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. The same loop, once and for all
#
# `nn.fit` is this loop, with an **optimizer** for the update (`nn.SGD` is the one written out above; others remember
# past gradients) and a seed for shuffling. What it returns is a **history**, plain lists: the loss of every step, the
# mean of every epoch, the seconds. It gives the numbers of the loop by hand.

# %%
model = network(fast)
history = nn.fit(model, (x, y), nn.mse_loss, nn.SGD(model.parameters(), lr=lr), epochs=steps, shuffle=False)
print("\n3. nn.fit")
print(f"   first loss {history.loss[0]:.4f}, last loss {history.loss[-1]:.4f}, as by hand")
assert np.allclose(history.step_loss, curves[fast], rtol=1e-12, atol=0)

# %% [markdown]
# ## 4. Batches and epochs
#
# So far every step looked at all flowers. With many samples that is slow for a single small move. So one takes a part
# of them, a **batch**, computes loss and gradient on it alone, and updates; then the next batch. One pass over all
# samples is an **epoch**. 10,000 images in batches of 32 make 313 **iterations** (steps) in an epoch, for 312 batches
# hold 9,984 images, and the last one the 16 that remain.
#
# The gradient of a batch is an estimate of the gradient of all samples, the noisier the smaller the batch. In return
# there are more updates in an epoch. Below, a network 64-32-10 learns to read 1,797 handwritten digits, of 8 × 8
# pixels, for 8 epochs with each of four sizes, at the same learning rate. (Its loss, cross-entropy, is explained in
# lesson 5.) That small batches win is not a law: here all had the same number of epochs and the same learning rate, and
# large batches would bear a larger one. Also, their steps cost more time for each sample.
#
# ![The loss over epochs for four sizes of batches](../docs/batches.svg)

# %%
count, size = 10_000, 32
points, side = make_moons(count, noise=0.1, random_state=0)
model = nn.MLP([2, 4, 1], "tanh", engine=fast, seed=0)
one_epoch = nn.fit(
    model, (points, 2.0 * side[:, None] - 1), nn.mse_loss, nn.SGD(model.parameters(), lr=0.1), 1, batch_size=size
)
iterations = len(one_epoch.step_loss)
rest = count - (iterations - 1) * size
print(f"\n4. {count:,} samples in batches of {size}: {iterations} iterations an epoch, the last batch holds {rest}")
assert (iterations, rest) == (313, 16)

images, digits = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16.0, digits, test_size=0.3, random_state=0, stratify=digits
)


def read_digits(batch_size, epochs=8, hidden=32, **settings):
    model = nn.MLP([64, hidden, 10], "relu", engine=fast, seed=0)
    optimizer = nn.SGD(model.parameters(), lr=0.2)
    return model, nn.fit(model, (x_train, y_train), nn.cross_entropy, optimizer, epochs, batch_size, **settings)


read_digits(len(x_train), epochs=1)  # loads the compiled kernels, or compiles them; it should not count
print(f"   {len(x_train):,} digits, 8 epochs")
print(f"   {'batch':>5}  {'updates':>7}  {'last loss':>9}  {'right':>6}  {'seconds':>7}")
runs = {}
for size in (1257, 256, 32, 8):
    model, history = runs[size] = read_digits(size)
    right = (nn.predict(model, x_test).argmax(axis=1) == y_test).mean()
    print(
        f"   {size:5}  {len(history.step_loss):7,}  {history.loss[-1]:9.4f}  {right:6.1%}  {sum(history.seconds):7.3f}"
    )
assert runs[8][1].loss[-1] < runs[32][1].loss[-1] < runs[256][1].loss[-1] < runs[1257][1].loss[-1]

figure, (ax, noisy) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
colours = dict(zip(runs, ("#000000", "#0072B2", "#009E73", "#E69F00"), strict=True))
for size, (_, history) in runs.items():
    name = "all at once" if size == len(x_train) else f"batches of {size}"
    ax.plot(range(1, 9), history.loss, "o-", color=colours[size], markersize=4, label=name)
    noisy.plot(range(1, 41), history.step_loss[:40] + [None] * (40 - len(history.step_loss)), color=colours[size])
ax.set(xlabel="epoch", ylabel="mean loss of the epoch", title="The same number of epochs")
noisy.set(xlabel="step", ylabel="loss of the batch", title="The first 40 steps, one by one")
ax.legend()
figure.savefig(figures / "batches.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. What the history tells
#
# The digits were divided into 1,257 to train on and 540 that the network never learns from. The loss on those,
# after each epoch, is the **validation loss**. It is the one that counts: a network can learn its training samples by
# heart. As long as both losses fall, it learns something general. Where the training loss goes on falling and the
# validation loss stops, it begins to learn by heart: **overfitting**. Too few samples for the size of the network
# bring it about; here, 100 digits are given to a network with 128 neurons, for as many updates as the 1,257.
#
# ![Training and validation loss, with many and with few samples](../docs/overfitting.svg)

# %%
_, many = read_digits(32, epochs=20, hidden=128, validation=(x_test, y_test))
model = nn.MLP([64, 128, 10], "relu", engine=fast, seed=0)
few = nn.fit(
    model,
    (x_train[:100], y_train[:100]),
    nn.cross_entropy,
    nn.SGD(model.parameters(), lr=0.2),
    epochs=200,
    batch_size=32,
    validation=(x_test, y_test),
)
print("\n5. What the history tells")
print(f"   {'samples':>7}  {'updates':>7}  {'training loss':>13}  {'validation loss':>15}")
for name, history in {"1,257": many, "100": few}.items():
    print(f"   {name:>7}  {len(history.step_loss):7,}  {history.loss[-1]:13.4f}  {history.validation_loss[-1]:15.4f}")
assert len(many.step_loss) == len(few.step_loss)
assert few.loss[-1] < many.loss[-1] < many.validation_loss[-1] < few.validation_loss[-1] / 2

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for ax, history, title in zip(
    axes, (many, few), ("1,257 digits to learn from", "100 digits to learn from"), strict=True
):
    viz.loss_curves(history, ax=ax)
    ax.set(title=title, yscale="log")
axes[1].set_ylabel("")
figure.savefig(figures / "overfitting.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("training_loop.svg", "iris_boundary.png", "zero_grad.svg", "batches.svg", "overfitting.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** a learning rate of 3 in section 1: what does the loss do, and do both engines agree on that? Batches of one
# in section 4: how many updates is that, how long do they take, and how noisy is the loss? Fewer neurons in the network
# that overfits: does the gap between the two losses close, and what becomes of the validation loss?
