# %% [markdown]
# # The training loop
#
# Whatever network is trained, with whatever library, four steps repeat: **forward** (compute the answers), **loss**
# (say in one number how wrong they are), **backward** (find the slope of the loss for every weight), **update** (move
# every weight a little downhill). This lesson writes them out for both engines, shows what happens if one little thing
# is forgotten, and then looks at what surrounds the loop: epochs, batches, and the record that a training leaves. Run
# it with `.venv/bin/python tutorials/04_the_training_loop.py`, or cell by cell; `--engine micro` runs sections 2 to 5
# in plain Python too, with far fewer digits.

# %%
import argparse
import contextlib
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from sklearn.datasets import load_digits, load_iris, make_moons
from sklearn.model_selection import train_test_split

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="The training loop.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro runs a small version")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
full = engine is fast  # what is claimed of the full size is checked at the full size
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
# Why zero_grad? Gradients add up: backward adds to what is there, for a Value may be used in several places. So before
# each backward what is left from the step before is set to zero. `no_grad` tells the engine that the update is no part
# of the calculation whose slopes we want; without it `parameter -= ...` makes a new tensor of that name, and the model
# stays as it was.

# %%
flowers = load_iris()
petals = flowers.data[50:, 2:]
x = (petals - petals.mean(axis=0)) / petals.std(axis=0)
y = np.where(flowers.target[50:] == 1, -1.0, 1.0).reshape(-1, 1)
lr, steps = 0.3, 40


def network(engine):
    return nn.MLP([2, 6, 1], "tanh", engine=engine, seed=7, dtype="float64")


def train(engine, forget=None):
    """The loop, written out, perhaps without "zero_grad" or "no_grad"; the network, and the loss of every step."""
    model, losses = network(engine), []
    inputs, targets = engine.tensor(x), engine.tensor(y)
    for _ in range(steps):
        answers = model(inputs)  # 1. forward
        loss = nn.mse_loss(answers, targets)  # 2. loss
        if forget != "zero_grad":
            model.zero_grad()
        loss.backward()  # 3. backward
        with engine.no_grad() if forget != "no_grad" else contextlib.nullcontext():
            for parameter in model.parameters():
                parameter -= lr * parameter.grad  # 4. update
        losses.append(loss.item())
    return model, losses


def accuracy(model, x, y):
    """The share of the answers with the right sign."""
    return float(((nn.predict(model, x) > 0) == (y > 0)).mean())


print("1. The loop by hand: 100 irises, a network 2-6-1, 40 steps")
print(f"   {'':5}  {'first loss':>10}  {'last loss':>9}  {'right at first':>14}  {'right at last':>13}  {'seconds':>7}")
train(fast)  # the first run loads the compiled kernels, or compiles them; it should not count
curves = {}
for one in (micro, fast):
    before = time.perf_counter()
    model, curves[one] = train(one)
    taken = time.perf_counter() - before
    at_first, at_last = accuracy(network(one), x, y), accuracy(model, x, y)
    print(
        f"   {one.__name__:5}  {curves[one][0]:10.4f}  {curves[one][-1]:9.4g}"
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
    samples, _ = ax.get_legend_handles_labels()
    ax.get_legend().remove()
axes[0].legend(samples, ["versicolor", "virginica"], loc="upper left")
figure.savefig(figures / "iris_boundary.png", dpi=90)

# %% [markdown]
# ## 2. Forgotten lines
#
# The classic mistake: no zero_grad. No error is raised. Each update then goes along the sum of all gradients since the
# beginning, as if the weights were a heavy ball without friction: it rolls through the valley and up the other side,
# gathers speed, and swings. (Indeed that is, to the last bits, what an optimizer with a momentum of 1 does; momentum
# is a useful thing, but with friction: 0.9, say. Lesson 6 comes back to it.) The loss may fall at first, and by chance
# even be low at the end, which is why the mistake is easily missed.
#
# The other mistake: no no_grad. No error here either, and nothing is trained at all: every step finds the same weights,
# the same answers and the same loss. A loss that is the same to the last digit in step after step on the same samples
# is the sign of it.
#
# ![The loss with both lines, without zero_grad, and without no_grad](../docs/zero_grad.svg)

# %%
_, forgotten = train(engine, forget="zero_grad")
untrained, flat = train(engine, forget="no_grad")
heavy = network(engine)
ball = nn.fit(heavy, (x, y), nn.mse_loss, nn.SGD(heavy.parameters(), lr=lr, momentum=1.0), steps, shuffle=False)
alike = max(abs(p - q) for p, q in zip(forgotten, ball.loss, strict=True))
print("\n2. Forgotten lines")
print(f"   {'':17}  {'mean of the last ten losses':>27}  {'steps that went up':>18}")
rises = {}
for name, curve in {"both lines": curves[engine], "without zero_grad": forgotten, "without no_grad": flat}.items():
    rises[name] = np.mean(np.diff(curve) > 0)
    print(f"   {name:17}  {np.mean(curve[-10:]):27.4g}  {rises[name]:18.0%}")
print(f"   without zero_grad, the losses differ from those of momentum 1 by at most {alike:.0e}")
assert rises["both lines"] == 0.0
assert rises["without zero_grad"] > 0.3
assert np.mean(forgotten[-10:]) > 2 * np.mean(curves[engine][-10:])
assert alike < 1e-6
assert set(flat) == {curves[engine][0]}
assert all(np.array_equal(a, b) for a, b in zip(untrained.parameters(), network(engine).parameters(), strict=True))

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
numbers = range(1, steps + 1)
ax.plot(numbers, curves[engine], color="#0072B2", linewidth=2, label="both lines")
ax.plot(numbers, forgotten, "--", color="#D55E00", linewidth=2, label="zero_grad forgotten")
ax.plot(numbers, flat, ":", color="#000000", linewidth=2, label="no_grad forgotten")
ax.set(xlabel="step", ylabel="loss", ylim=(0, 1.2), title="One line forgotten, and no error is raised")
ax.legend(loc="upper center", ncols=3)
ax.figure.savefig(figures / "zero_grad.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. The same loop, once and for all
#
# `nn.fit` is this loop, with an **optimizer** for the update (`nn.SGD` is the one written out above; others remember
# past gradients) and a seed for shuffling. What it returns is a **history**, plain lists: the loss of every step, the
# mean of every epoch, the seconds. It gives the numbers of the loop by hand.
#
# In the picture, as in most programs, the optimizer sets the gradients to zero and makes the update. **Converged**
# means that the loss hardly falls any more, so that further steps are not worth their time; here we count steps.
#
# ![The training loop](../docs/training_loop.svg)

# %%
viz.render(viz.training_loop(), figures / "training_loop.svg")
model = network(engine)
history = nn.fit(model, (x, y), nn.mse_loss, nn.SGD(model.parameters(), lr=lr), epochs=steps, shuffle=False)
print("\n3. nn.fit")
print(f"   first loss {history.loss[0]:.4f}, last loss {history.loss[-1]:.4g}, as by hand")
assert np.allclose(history.step_loss, curves[engine], rtol=1e-12, atol=0)

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
model = nn.MLP([2, 4, 1], "tanh", engine=engine, seed=0)
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
if not full:
    x_train, x_test, y_train, y_test = x_train[:40], x_test[:40], y_train[:40], y_test[:40]


def read_digits(batch_size, epochs=8, hidden=32 if full else 4, count=None, **settings):
    """A network that has learned from the first `count` digits, from all of them unless given; and the history."""
    model = nn.MLP([64, hidden, 10], "relu", engine=engine, seed=0)
    optimizer = nn.SGD(model.parameters(), lr=0.2)
    data = x_train[:count], y_train[:count]
    return model, nn.fit(model, data, nn.cross_entropy, optimizer, epochs, batch_size, **settings)


cores = numba.get_num_threads()
numba.set_num_threads(1)  # where other programs use the cores, threads that wait for each other would spoil the times
read_digits(len(x_train), epochs=1)  # loads the compiled kernels, or compiles them; it should not count
print(f"   {len(x_train):,} digits, 8 epochs")
print(f"   {'batch':>5}  {'updates':>7}  {'last loss':>9}  {'right':>6}  {'microseconds a sample':>21}")
runs, costs = {}, {}
for size in (len(x_train), 256, 32, 8) if full else (len(x_train), 8):
    model, history = runs[size] = read_digits(size)
    right = (nn.predict(model, x_test).argmax(axis=1) == y_test).mean()
    costs[size] = min(history.seconds) / len(x_train) * 1e6  # in the epoch that was least disturbed
    print(f"   {size:5}  {len(history.step_loss):7,}  {history.loss[-1]:9.4f}  {right:6.1%}  {costs[size]:21.1f}")
numba.set_num_threads(cores)
last_losses = [runs[size][1].loss[-1] for size in sorted(runs)]
assert last_losses == sorted(last_losses)
if full:
    assert costs[8] > 2 * costs[1257]

figure, (ax, noisy) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
colours = dict(zip(runs, ("#000000", "#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7"), strict=False))
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
# In the picture on the left the validation loss begins below the training loss. That is no wonder: the training loss is
# the mean over the epoch, of a network that was still learning, and the validation loss comes after it.
#
# ![Training and validation loss, with many and with few samples](../docs/overfitting.svg)

# %%
hidden, epochs, count, longer = (128, 20, 100, 200) if full else (8, 5, 10, 10)
_, many = read_digits(32, epochs, hidden, validation=(x_test, y_test))
_, few = read_digits(32, longer, hidden, count, validation=(x_test, y_test))
histories = {len(x_train): many, count: few}
print("\n5. What the history tells")
print(f"   {'samples':>7}  {'updates':>7}  {'training loss':>13}  {'validation loss':>15}")
for seen, history in histories.items():
    print(f"   {seen:7,}  {len(history.step_loss):7,}  {history.loss[-1]:13.4f}  {history.validation_loss[-1]:15.4f}")
assert len(many.step_loss) == len(few.step_loss)
if full:
    assert many.validation_loss[0] < many.loss[0]
    assert few.loss[-1] < many.loss[-1] < many.validation_loss[-1] < few.validation_loss[-1] / 2

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for ax, (seen, history) in zip(axes, histories.items(), strict=True):
    viz.loss_curves(history, ax=ax)
    ax.set(title=f"{seen:,} digits to learn from", yscale="log")
axes[1].set_ylabel("")
figure.savefig(figures / "overfitting.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("training_loop.svg", "iris_boundary.png", "zero_grad.svg", "batches.svg", "overfitting.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** a learning rate of 3 in section 1: what does the loss do, and do both engines agree on that? Batches of one
# in section 4: how many updates is that, how long do they take, and how noisy is the loss? Fewer neurons in the network
# that overfits: does the gap between the two losses close, and what becomes of the validation loss? Run your variants
# with `python -O`, which skips the assertions: they state what holds for the numbers above.
