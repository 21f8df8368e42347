# %% [markdown]
# # Batches, iterations, epochs
#
# Each round of training (forward, loss, backward, update) needs a gradient, and the gradient needs samples. How many?
# All of them give the exact slope of the loss, and cost the most. A single one costs little, and gives a slope that may
# point almost anywhere. Between the two lies the **batch**. Lesson 4 introduced it; this one measures what its size
# does: to the number of updates, to the noise of the gradient, to the time, and to the learning rate that goes with it.
#
# Run it with `.venv/bin/python tutorials/08_batches.py`, or cell by cell; `--engine micro` runs a small version, number
# by number in plain Python, with 40 digits of 4 × 4 pixels. What is claimed of the full size is checked at the full
# size.

# %%
import argparse
import time
from itertools import pairwise
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="Batches, iterations, epochs.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro runs a small version")
arguments = parser.parse_known_args()[0]
figures, engine, full = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine], arguments.engine == "fast"
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
numba.set_num_threads(1)  # one core for all, so that the times of small and large batches compare
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6b7280"

# %% [markdown]
# ## 1. The words, and the arithmetic
#
# - A **batch** is the samples that one update looks at. Its size is yours to choose.
# - An **iteration**, or step, is one round of the loop: one batch, one update.
# - An **epoch** is as many iterations as it takes for every sample to have had its turn once.
#
# 10,000 rows in batches of 32: 312 batches hold 9,984 rows, and 16 remain for one more. So an epoch has 313 iterations,
# and ten epochs have 3,130. By the size of the batch one speaks of
#
# - **full-batch** (or just batch) gradient descent: all rows at once, one iteration an epoch;
# - **stochastic** gradient descent: one row at a time, 10,000 iterations an epoch. Stochastic means "by chance", for
#   chance decides which row comes next;
# - **mini-batch** gradient descent: anything between. This is what nearly everybody does. The optimizer is called SGD
#   whatever the size.
#
# The smaller last batch is a small injustice: its 16 rows make up a whole update, so each of them counts twice as much
# as the others. In the next epoch they are others, if the rows are shuffled. `drop_last=True` leaves that batch out. It
# is needed where a layer cannot do with few samples: batch norm takes a mean and a spread over the batch, and refuses a
# batch of one.

# %%
rows = 10_000
print(f"1. {rows:,} rows")
print(f"   {'batch':>6}  {'iterations an epoch':>19}  {'rows in the last':>16}  {'with drop_last':>14}")
table = {}
for size in (1, 32, 256, rows):
    parts = list(nn.data.batches(rows, size, np.random.default_rng(0)))
    dropped = list(nn.data.batches(rows, size, np.random.default_rng(0), drop_last=True))
    table[size] = len(parts), len(parts[-1]), len(dropped)
    print(f"   {size:6,}  {len(parts):19,}  {len(parts[-1]):16,}  {len(dropped):14,}")
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))  # every row once
assert table[32] == (313, 16, 312)
assert table[1][0] == rows
assert table[rows][0] == 1

model = nn.Linear(1, 1, engine=engine, seed=0)
line = np.linspace(-1, 1, rows)[:, None]
history = nn.fit(model, (line, 2 * line), nn.mse_loss, nn.SGD(model.parameters(), lr=0.01), epochs=1, batch_size=32)
assert len(history.step_loss) == 313

normed = nn.Sequential(nn.Linear(1, 2, engine=engine, seed=0), nn.BatchNorm1d(2, engine=engine))
settings = {"loss": nn.mse_loss, "optimizer": nn.SGD(normed.parameters(), lr=0.01), "epochs": 1, "batch_size": 32}
data = line[:65], np.hstack([line, line])[:65]  # 65 = 32 + 32 + 1
try:
    nn.fit(normed, data, **settings)
    refusal = ""
except ValueError as error:
    refusal = str(error)
print(f"   batch norm, 65 rows in 32s: {refusal[:80]} ...")
assert refusal
assert len(nn.fit(normed, data, drop_last=True, **settings).step_loss) == 2

# %% [markdown]
# ## 2. Shuffle
#
# Files are often sorted: first all zeros, then all ones, and so on. Then each batch knows a single digit, and all that
# it teaches is to answer that digit, whatever the picture. The next batch teaches the same about the next one. So `fit`
# shuffles the rows anew for each epoch, unless told not to. For full batches it makes no difference: a mean does not
# care about the order.
#
# A network 64-32-10 learns to read handwritten digits from 1,257 of them, sorted, for 10 epochs.

# %%
images, digits = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16.0, digits, test_size=0.3, random_state=0, stratify=digits
)
widths = [64, 32, 10]
if not full:  # fewer digits, and of each 2 × 2 pixels the mean
    x_train, x_test = (x[:40].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) for x in (x_train, x_test))
    y_train, y_test, widths = y_train[:40], y_test[:40], [16, 10]


def network():
    return nn.MLP(widths, "relu", engine=engine, seed=0, dtype="float64")


def train(batch_size, lr, epochs, x=x_train, y=y_train, begin=network, **settings):
    """A new network and its history."""
    model = begin()
    optimizer = nn.SGD(model.parameters(), lr=lr)
    return model, nn.fit(model, (x, y), nn.cross_entropy, optimizer, epochs, batch_size, **settings)


def right(model):
    return nn.evaluate(model, (x_test, y_test), "accuracy")["accuracy"]


ordered = np.argsort(y_train, kind="stable")
shares = {}
print(f"\n2. {len(x_train):,} digits, sorted, 10 epochs: right on the test digits")
print(f"   {'batch':>6}  {'shuffled':>8}  {'sorted':>6}")
for size in (32, len(x_train)):
    for shuffle in (True, False):
        model, _ = train(size, 0.2, 10, x_train[ordered], y_train[ordered], shuffle=shuffle)
        shares[size, shuffle] = right(model)
    print(f"   {size:6,}  {shares[size, True]:8.1%}  {shares[size, False]:6.1%}")
assert np.isclose(shares[len(x_train), True], shares[len(x_train), False], atol=0.005)
if full:
    assert shares[32, True] > 0.9 > 0.6 > shares[32, False]

# %% [markdown]
# ## 3. How noisy is the gradient of a batch?
#
# Take the network after two epochs, hold its weights still, and ask for the gradient: once of all digits, and then of
# batches drawn by chance. The **spread** is how far the gradient of a batch lies from that of all, as a distance in the
# space of all weights, root mean square over many batches.
#
# What to expect is known. The gradient of a batch is a mean, and the spread of a mean of b independent draws is that of
# a single draw divided by √b. That of a single draw follows from the gradients of all digits one by one. (A batch holds
# no digit twice, so the draws are not quite independent: the exact factor is √((N - b) / (N - 1) / b), which is 0 for
# the full batch and close to 1 / √b for small ones.)
#
# What you should see: measured and expected agree. Four times the batch, four times the work, half the noise. And up to
# a size of a few dozen the noise is larger than the gradient itself! That training works all the same is due to the
# mean: the gradients of all batches together are the gradient of all samples, so that over many steps the noise cancels
# and the direction remains.
#
# ![The spread of the gradient against the size of the batch](../docs/gradient_noise.svg)

# %%
model, _ = train(32, 0.2, 2)
count = len(x_train)


def gradient(rows):
    """The slopes of the loss of these rows for all weights, in one array."""
    model.zero_grad()
    nn.cross_entropy(model(engine.tensor(x_train[rows])), engine.tensor(y_train[rows])).backward()
    return np.concatenate([np.asarray(parameter.grad).ravel() for parameter in model.parameters()])


def distance(gradients, middle):
    """The root of the mean squared distance."""
    return np.sqrt(((np.array(gradients) - middle) ** 2).sum(axis=1).mean())


whole = gradient(np.arange(count))
singles = np.array([gradient([row]) for row in range(count)])
single = distance(singles, whole)
length = np.sqrt((whole**2).sum())
assert np.allclose(singles.mean(axis=0), whole, rtol=0, atol=1e-12)  # their mean is the gradient of all

random = np.random.default_rng(0)
sizes = [1, 4, 16, 64, 256, 1024] if full else [1, 4, 16]
print(f"\n3. The gradient of {count:,} digits is {length:.3f} long; the spread of those of batches:")
print(f"   {'batch':>6}  {'measured':>8}  {'expected':>8}  {'single / √batch':>15}")
spreads = []
for size in sizes:
    drawn = [gradient(random.choice(count, size, replace=False)) for _ in range(200 if full else 10)]
    spreads.append(distance(drawn, whole))
    expected = single * np.sqrt((count - size) / (count - 1) / size)
    print(f"   {size:6,}  {spreads[-1]:8.3f}  {expected:8.3f}  {single / size**0.5:15.3f}")
    if full:
        assert abs(spreads[-1] / expected - 1) < 0.15
alike = (single / length) ** 2
print(f"   noise and gradient are of equal size at a batch of about {alike:.0f}")
if full:
    assert 15 < alike < 100
    assert all(1.6 < smaller / larger < 2.6 for smaller, larger in pairwise(spreads[:5]))

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
grid = np.geomspace(1, count - 1, 200)
ax.plot(grid, single / np.sqrt(grid), "--", color=GREY, label="spread of one / √batch")
ax.plot(
    grid, single * np.sqrt((count - grid) / (count - 1) / grid), color=BLUE, linewidth=2, label="exact, no digit twice"
)
ax.plot(sizes, spreads, "o", color=ORANGE, markersize=8, markeredgecolor="white", zorder=3, label="measured")
ax.axhline(length, color=GREEN, linestyle=":", linewidth=2, label="length of the gradient itself")
ax.set(xscale="log", yscale="log", xlabel="samples in the batch", ylabel="spread of the gradient")
ax.set(ylim=(single / 120, single * 1.5), title="Four times the batch, half the noise")
ax.legend()
ax.figure.savefig(figures / "gradient_noise.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Time
#
# Why not always batches of one, then? Because each iteration costs time of its own, whatever the batch: Python calls
# the engine, the engine starts its kernels, the optimizer goes through all weights. That part is paid 1,257 times an
# epoch with batches of one, and once with the full batch. The arithmetic of the samples themselves is the same for all
# sizes, and goes faster when many samples are worked on at once, which is what cores and graphics cards are made for.
#
# So, what is fastest? Below each size may have the best of five learning rates, and stops after the epoch in which the
# loss on the digits held out has come down to 0.2. What you should see: large batches need few updates but many epochs,
# small ones few epochs but updates without number. In between the time is least. The seconds are the number of epochs
# times the time of the quickest epoch, on one core; they are of one machine and one moment, the counts are not. (In
# micro every number is an object of Python, which costs so much that the size of the batch hardly matters: there the
# table ends with the times.)
#
# ![Time of an epoch, and updates, epochs and seconds to the same loss](../docs/batch_time.svg)


# %%
class StopAt(nn.Callback):
    """Ends training as soon as the validation loss is as low as `target`."""

    def __init__(self, target):
        self.target = target

    def on_epoch_end(self, run):
        if run.history.validation_loss[-1] <= self.target:
            run.history.stopped = f"the loss is at most {self.target}"


sizes = [1, 8, 64, 256, count] if full else [1, 8, count]
train(1, 0.1, 1)  # the first run loads the compiled kernels, or compiles them; it should not count
print("\n4. Time")
needed = f"  {'best rate':>9}  {'epochs to 0.2':>13}  {'updates':>7}  {'seconds':>7}" if full else ""
print(f"   {'batch':>6}  {'ms an epoch':>11}{needed}")
milliseconds, reached = {}, {}
for size in sizes:
    milliseconds[size] = 1e3 * min(train(size, 0.01, 3 if size < 64 or not full else 60)[1].seconds)
    line = f"   {size:6,}  {milliseconds[size]:11.2f}"
    if full:
        runs = {}
        for rate in (0.03, 0.1, 0.3, 1.0, 2.0):
            goal = {"validation": (x_test, y_test), "callbacks": [StopAt(0.2)]}
            _, history = train(size, rate, min(5 * size, 120), **goal)
            if history.stopped:
                runs[rate] = len(history.loss), len(history.step_loss)
        best = min(runs, key=runs.get)
        epochs, updates = reached[size] = runs[best]
        line += f"  {best:9g}  {epochs:13}  {updates:7,}  {epochs * milliseconds[size] / 1e3:7.3f}"
    print(line)
if full:
    assert milliseconds[1] > 1.5 * milliseconds[8]
    epochs, updates = (dict(zip(sizes, found, strict=True)) for found in zip(*reached.values(), strict=True))
    assert epochs[1] < epochs[64] < epochs[count] / 4
    assert updates[1] > 4 * updates[8] > 8 * updates[count]
    assert epochs[64] * milliseconds[64] < min(epochs[size] * milliseconds[size] for size in (1, count))

    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.6), layout="constrained")
    taken = [epochs[size] * milliseconds[size] for size in sizes]
    axes[0].plot(sizes, list(milliseconds.values()), "o-", color=BLUE)
    axes[0].set(ylabel="milliseconds", title="Time of one epoch")
    axes[1].plot(sizes, list(epochs.values()), "s--", color=ORANGE, label="epochs")
    axes[1].plot(sizes, list(updates.values()), "^-", color=GREEN, label="updates")
    axes[1].set(title="Needed for a loss of 0.2")
    axes[1].legend()
    axes[2].plot(sizes, taken, "o-", color=PINK)
    axes[2].set(ylabel="milliseconds", title="Time for a loss of 0.2")
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="samples in the batch")
    figure.savefig(figures / "batch_time.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Twice the batch, twice the rate, up to a point
#
# With the learning rate left as it is, a larger batch learns less in an epoch, for it makes fewer updates of the same
# length. As its gradient is less noisy, it can bear a larger rate. How much larger? Two small steps, one after the
# other, lead about as far as one step of twice the length along the mean of both gradients, as long as the slope hardly
# changes on the way. That gives a rule: **multiply the batch by k, and the rate by k** (the linear scaling rule; Goyal
# et al. 2017, arXiv:1706.02677).
#
# Below, from batches of 8 at a rate of 0.02, both grow together. The loss after ten epochs stays what it was, over a
# good range: the same learning with a sixteenth of the updates. And then the rule breaks. For the rate has a limit that
# has nothing to do with noise: 2 divided by the largest curvature of the loss (lesson 6). Beyond it, even the exact
# gradient leads across the valley. `nn.sharpness` measures that curvature; where the slow training ends, the limit is
# at about a half, and the rule breaks not far above. (Not exactly there: the curvature is another one at each place,
# and a rate a little too high for one place drives the network to a flatter one.) Those who train on thousands of
# graphics cards at once, with batches to match, come up against that limit.
#
# ![The loss after ten epochs against the batch, with the rate kept and scaled](../docs/batch_and_rate.svg)

# %%
sizes = [8, 16, 32, 64, 128, 256, 512, count] if full else [8, 16]
start = 0.02 if full else 0.2
kept, scaled = {}, {}
print("\n5. The loss of the last of ten epochs")
print(f"   {'batch':>6}  {'updates':>7}  {f'rate {start:g}':>9}  {'rate':>6}  {'scaled':>6}")
for size in sizes:
    rate = start * size / 8
    kept[size] = train(size, start, 10)[1].loss[-1]
    model, scaled_history = train(size, rate, 10)
    if size == 8:
        limit = 2 / nn.sharpness(model, (x_train, y_train), nn.cross_entropy)
    scaled[size] = scaled_history.loss[-1]
    print(f"   {size:6,}  {len(scaled_history.step_loss):7,}  {kept[size]:9.3f}  {rate:6.2f}  {scaled[size]:6.3f}")
print(f"   2 / curvature where the training in batches of 8 ended: {limit:.2f}")
assert kept[16] > kept[8]
assert abs(scaled[16] / scaled[8] - 1) < 0.05
if full:
    assert max(abs(scaled[size] / scaled[8] - 1) for size in (16, 32, 64, 128)) < 0.1
    assert kept[128] > 3 * scaled[128]
    assert scaled[512] > 1.5 * scaled[8]
    assert scaled[count] > 3 * scaled[8]
    assert 0.35 < limit < 0.7

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(sizes, list(kept.values()), "s--", color=ORANGE, label=f"rate {start:g} for all sizes")
ax.plot(sizes, list(scaled.values()), "o-", color=BLUE, label="rate in proportion to the batch")
ax.axhline(np.log(10), color=GREY, linestyle=":", label="all ten digits equally likely")
ax.set(xscale="log", xlabel="samples in the batch", ylabel="loss after ten epochs", ylim=(0, None))
ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
ax.set_xticks([], minor=True)
ax.set_title("The rate may grow with the batch, up to a point")
ax.legend(loc=(0.42, 0.45))
ax.figure.savefig(figures / "batch_and_rate.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. A large batch in the memory of a small one
#
# Backward needs what forward computed, for all samples of the batch at once; so memory grows with the batch, and with
# big networks the batch that one would like does not fit. But gradients add up (lesson 4, the forgotten line). So: run
# forward, loss and backward on four batches of 8, each loss weighed by its share of the samples, and update only then.
# This is **gradient accumulation**, `accumulate=4` in `fit`. The result is that of a batch of 32, up to rounding. It
# saves memory, not time.
#
# It is no longer the same where a layer looks at the whole batch, as batch norm does: that still sees batches of 8.


# %%
def normed_network():
    return nn.Sequential(*network(), nn.BatchNorm1d(10, engine=engine, dtype="float64"))


print("\n6. Accumulation: two epochs of four batches of 8 for each update, against batches of 32")
rows = len(x_train) // 32 * 32  # none is left over: batch norm refuses a batch of one
differences = []
for name, begin in {"as it is": network, "with batch norm": normed_network}.items():
    small, large = (
        train(size, 0.2, 2, x_train[:rows], y_train[:rows], begin, accumulate=32 // size)[1].step_loss
        for size in (8, 32)
    )
    differences.append(max(abs(p - q) for p, q in zip(small, large, strict=True)))
    print(f"   {name:15}  {len(small)} updates each; the losses differ by {differences[-1]:.0e} at most")
assert differences[0] < 1e-10 < 1e-2 < differences[1]

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("gradient_noise.svg", *(["batch_time.svg"] if full else []), "batch_and_rate.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** in section 3, the gradient of a network that has been trained for 100 epochs: is the noise still of the size
# of the gradient at the same batch? In section 4, `nn.Adam` in place of `nn.SGD`, with rates from 0.001 to 0.03: does
# the size matter as much? In section 5, start from a rate of 0.05 instead of 0.02: at which size does the rule break
# now?
