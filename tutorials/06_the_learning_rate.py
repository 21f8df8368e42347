# %% [markdown]
# # The learning rate
#
# In each step of training every weight moves against its slope, by the slope times a factor: the **learning rate**. It
# is one number, chosen by you, and often the one that decides whether training works. Too small, and nothing happens in
# the time you have; too large, and the loss swings or explodes. This lesson shows why, first with a shower, then with
# a bowl, then with networks; and how a rate is found, changed on the way, and matched with other settings. Run it with
# `.venv/bin/python tutorials/06_the_learning_rate.py`, or cell by cell; `--engine micro` runs sections 3 to 9 in plain
# Python, too, at a tiny size, which shows that they run, but few of their results.

# %%
import argparse
import math
import time
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits, make_moons
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="The learning rate.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro runs a small version")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
full = engine is fast  # what is claimed of the full size is checked at the full size
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
warnings.simplefilter("ignore", nn.DivergenceWarning)  # here divergence is what we came to see

# %% [markdown]
# ## 1. The shower
#
# The water is at 20 degrees, and you want 38. You turn the tap, feel, and turn again. How far? Turn timidly, and you
# stand in the cold for long. Turn by just as much as is missing, and it is right. Turn too far, and it gets too hot, so
# you turn back too far, and it gets too cold. If you overdo it by a factor of more than two, every correction is worse
# than the error it corrects: the swings grow.
#
# This is gradient descent. Take as loss half the square of what is missing; its slope is what is missing itself, with a
# minus sign, and the learning rate is how much of that you turn. With each step the error is multiplied by 1 - lr. So
# it shrinks if lr is between 0 and 2, and changes its sign in each step if lr is above 1.
#
# Real showers are worse: the water needs time through the pipe, and you feel what you did some seconds ago. Meanwhile
# you go on turning. With such a **delay**, a rate that was perfect swings or worse, and only smaller rates are safe.
# In training, **momentum** has a similar effect: part of each earlier move is repeated in every step, so what was
# decided is still on its way when its effect shows. It is worth it (section 2), but it is one more reason to overshoot.
#
# ![A shower with four learning rates, at once and through a long pipe](../docs/shower.svg)


# %%
def shower(lr, delay=0, steps=16):
    """Temperatures while somebody turns the tap by lr × what seems to be missing; felt `delay` steps late."""
    tap = micro.tensor([20.0], requires_grad=True)
    optimizer = nn.SGD([tap], lr=lr)
    temperatures = [20.0]
    for step in range(steps):
        felt = temperatures[max(0, step - delay)]
        loss = ((tap - tap.item() + felt - 38.0) ** 2).sum() / 2  # at the temperature that is felt
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        temperatures.append(tap.item())
    return temperatures


print("1. The shower: from 20 to 38 degrees in 16 turns of the tap")
print(f"   {'lr':>4}  {'at once':>8}  {'felt 2 turns late':>17}")
rates = {0.1: BLUE, 0.4: GREEN, 1.0: ORANGE, 1.8: PINK}
for lr in (*rates, 2.2):
    at_once, late = shower(lr), shower(lr, delay=2)
    print(f"   {lr:4.1f}  {at_once[-1]:8.2f}  {late[-1]:17.2f}")
    assert np.allclose(at_once, [38 - 18 * (1 - lr) ** step for step in range(17)])


def swings_grow(lr, delay):
    errors = np.abs(np.array(shower(lr, delay, steps=200)) - 38)
    return errors[-50:].max() > 18


golden = (math.sqrt(5) - 1) / 2  # the limit for two steps of delay
assert not swings_grow(1.95, 0)
assert swings_grow(2.05, 0)
assert not swings_grow(golden - 0.02, 2)
assert swings_grow(golden + 0.02, 2)
print(f"   the swings grow from a rate of 2 on; felt two turns late, from {golden:.3f} on")

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for ax, delay, title in zip(axes, (0, 2), ("felt at once", "felt two turns late"), strict=True):
    ax.axhline(38, color="#9ca3af", linewidth=1)
    for (lr, colour), line in zip(rates.items(), ("-", "--", "-.", ":"), strict=True):
        ax.plot(shower(lr, delay), line, color=colour, linewidth=2, label=f"lr = {lr:g}")
    ax.set(xlabel="turns of the tap", title=title, ylim=(-10, 86))
axes[0].set_ylabel("degrees")
axes[0].legend(ncols=2)
figure.savefig(figures / "shower.svg", metadata={"Date": None})

# %% [markdown]
# (The simulated water does not mind being colder than ice, or boiling.)
#
# ## 2. The bowl
#
# A shower has one tap, a network has many weights, and one learning rate for all of them. Here are two weights and a
# loss like a long bowl: ten times as strongly curved in one direction as in the other. Along each direction the error
# is multiplied, in every step, by 1 - lr × curvature. So the steepest direction sets the limit, lr < 2 / 10 = 0.2, and
# the flattest direction, with its curvature of 1, has to make do with it. Near the limit the path zigzags across the
# valley; above it, it flies out.
#
# Momentum helps here: pushes to and fro across the valley nearly cancel, while those along it add up.
#
# ![Four paths of gradient descent in a bowl](../docs/bowl.png)


# %%
def grid(function, across, up):
    """The coordinates of a grid, and the function's heights over it: what `viz.descent_paths` draws paths on."""
    xs, ys = np.linspace(*across, 200), np.linspace(*up, 160)
    return xs, ys, function(np.meshgrid(xs, ys))


def draw_paths(ax, plane, path, title):
    """One path in a panel of its own, without a legend."""
    viz.descent_paths(*plane, {title: path}, ax=ax, minimum=lowest)
    ax.get_legend().remove()
    ax.set(title=title, xlabel="", ylabel="")


def save_png(figure, name):
    """Contours make a large SVG; as a PNG of 256 colours they take little."""
    figure.savefig(figures / name, dpi=100)
    Image.open(figures / name).convert("RGB").quantize(dither=Image.Dither.NONE).save(figures / name, optimize=True)


settings = {
    "lr = 0.02: too small": {"lr": 0.02},
    "lr = 0.18: just below the limit": {"lr": 0.18},
    "lr = 0.21: above the limit": {"lr": 0.21},
    "lr = 0.08, momentum 0.6": {"lr": 0.08, "momentum": 0.6},
}
start, lowest, steps = [-9.0, 2.0], (0.0, 0.0), 25
print(f"\n2. The bowl: the loss after {steps} steps; at the start it is {nn.bowl(start):g}")
figure, axes = plt.subplots(2, 2, figsize=(9, 5.4), layout="constrained", sharex=True, sharey=True)
plane, final = grid(nn.bowl, (-11, 11), (-4, 4)), {}
for ax, (name, setting) in zip(axes.flat, settings.items(), strict=True):
    path = nn.descend(nn.bowl, start, lambda point, setting=setting: nn.SGD(point, **setting), steps, engine=micro)
    final[name] = nn.bowl(path[-1])
    print(f"   {name:31}  {final[name]:10.5f}")
    if "momentum" not in setting:
        factor = 1 - setting["lr"] * np.array([1, 10])
        assert np.allclose(path, start * factor ** np.arange(steps + 1)[:, None])
    draw_paths(ax, plane, path, name)
small, right, large, heavy = final.values()
assert large > nn.bowl(start) > small > right > heavy
figure.suptitle("25 steps from the circle towards the star")
save_png(figure, "bowl.png")

# %% [markdown]
# ### A bent valley
#
# Rosenbrock's function is harder: a valley with steep walls that is bent, and whose floor is nearly level; the lowest
# point is at its end. The walls allow SGD a rate of 0.002 but not of 0.003, and on the floor such a rate is timid.
# Momentum gathers speed along the floor at the same rate. RMSprop and Adam divide each slope by its own recent size, so
# steep walls make no long steps: the first step of Adam moves each weight by lr exactly, the first of RMSprop by 10 lr
# (its average starts at zero, and nothing corrects for that), and no later step here is longer. So their rates do not
# compare with those of SGD; and on other functions another one wins.
#
# ![Four optimizers in Rosenbrock's valley](../docs/rosenbrock.png)

# %%
optimizers = {
    "SGD, lr = 0.001": lambda point: nn.SGD(point, lr=0.001),
    "SGD, lr = 0.001, momentum 0.9": lambda point: nn.SGD(point, lr=0.001, momentum=0.9),
    "RMSprop, lr = 0.01": lambda point: nn.RMSprop(point, lr=0.01),
    "Adam, lr = 0.1": lambda point: nn.Adam(point, lr=0.1),
}
start, lowest, steps = [-1.5, 2.0], (1.0, 1.0), 200
print(f"   Rosenbrock's valley: the loss after {steps} steps; at the start it is {nn.rosenbrock(start):g}")
figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained", sharex=True, sharey=True)
plane, paths = grid(nn.rosenbrock, (-1.9, 1.5), (-0.6, 2.6)), {}
for ax, (name, make) in zip(axes.flat, optimizers.items(), strict=True):
    paths[name] = nn.descend(nn.rosenbrock, start, make, steps, engine=micro)
    print(f"   {name:31}  {nn.rosenbrock(paths[name][-1]):10.5f}")
    draw_paths(ax, plane, paths[name], name)
plain, heavy, rms, adam = paths.values()
assert nn.rosenbrock(heavy[-1]) < 0.05 * nn.rosenbrock(plain[-1])
for path, longest in ((adam, 0.1), (rms, 10 * 0.01)):
    assert np.allclose(abs(path[1] - path[0]), longest)
    assert abs(np.diff(path, axis=0)).max() < 1.001 * longest
for lr in (0.002, 0.003):
    there = nn.descend(nn.rosenbrock, start, lambda point, lr=lr: nn.SGD(point, lr=lr), steps, engine=micro)
    assert np.isfinite(there).all() == (lr == 0.002)
figure.suptitle("200 steps from the circle towards the star")
save_png(figure, "rosenbrock.png")

# %% [markdown]
# ## 3. A network
#
# The curvature of a network's loss is not known in advance, and it changes on the way. So one tries rates, and tries
# them far apart, by factors, not by differences: 0.001, 0.003, 0.01 and so on. Here a network reads handwritten digits
# (see lesson 4), 150 steps with 250 of them, for each of nine rates; others are for the test. The verdicts are
# computed by rules that `nn.diagnose_sweep` states; `reason` says which numbers decided.
#
# ![Nine learning rates on handwritten digits](../docs/digits_learning_rates.svg)

# %%
images, digits = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16.0, digits, train_size=600, random_state=0, stratify=digits
)
layers, steps, sweep = [64, 16, 10], 150, [0.001, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 500.0]
if not full:
    x_train, x_test, y_train, y_test = x_train[:16], x_test[:16], y_train[:16], y_test[:16]
    layers, steps, sweep = [64, 4, 10], 20, [0.001, 0.2, 500.0]
some = 250 if full else 4
few, many = (x_train[:some], y_train[:some]), (x_train, y_train)
histories, rights = {}, {}
for lr in tqdm(sweep, desc="learning rates", unit="run"):
    model = nn.MLP(layers, "relu", engine=engine, seed=0)
    histories[lr] = nn.fit(model, few, nn.cross_entropy, nn.SGD(model.parameters(), lr=lr), steps)
    rights[lr] = (nn.predict(model, x_test).argmax(axis=1) == y_test).mean()
verdicts = nn.diagnose_sweep({lr: history.step_loss for lr, history in histories.items()})
print(f"\n3. Handwritten digits, {'-'.join(map(str, layers))}, {steps} steps")
print(f"   {'lr':>7}  {'right':>6}  verdict")
for lr, verdict in verdicts.items():
    print(f"   {lr:7g}  {rights[lr]:6.1%}  {verdict.name}: {verdict.reason}")
if full:
    assert {verdict.name for verdict in verdicts.values()} == {"too low", "just right", "too high", "diverged"}
    assert min(rights[lr] for lr in sweep if verdicts[lr].name == "just right") > 0.9

ax = viz.learning_rate_curves(histories)
ax.set_title("Learning rates on handwritten digits")
ax.figure.set_size_inches(8, 4.5)
ax.figure.savefig(figures / "digits_learning_rates.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Reading a loss curve
#
# Two trainings, six epochs each. A falls steadily. B also reaches a low loss, now and then even a lower one, but every
# other epoch it is back where it began: it jumps across the valley and back. Whoever looks only at the lowest loss, or
# stops at a lucky moment, does not see it. The rule looks at the share of steps upwards, and at whether each step tends
# to undo the one before. The remedy for B is a lower learning rate.
#
# ![Two loss curves](../docs/pair.svg)

# %%
pair = {"A": [3.2, 2.1, 1.4, 0.9, 0.5, 0.3], "B": [3.2, 0.1, 3.8, 0.2, 4.1, 0.15]}
print("\n4. Two loss curves")
for name, losses in pair.items():
    verdict = nn.diagnose(losses)
    print(f"   {name}: {verdict.name}: {verdict.reason}")
assert nn.diagnose(pair["A"]).name == "just right"
assert nn.diagnose(pair["B"]).name == "too high"
ax = viz.loss_curves(pair)
ax.set_title("A falls, B swings")
ax.figure.set_size_inches(8, 3.5)
ax.figure.savefig(figures / "pair.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Luck
#
# One training is one throw of the dice: other initial weights, another result. So a rate is judged by several seeds.
# Below, each rate has five, with SGD and with Adam, 60 steps on the same digits. The line is the median, the band
# reaches from the best to the worst; `nn.final_loss` is the median of the last tenth of a loss curve.
#
# Three things to see. Each optimizer has its own best rate: here Adam's is a tenth of SGD's. A rate three times too
# high costs far more than one three times too low, so when in doubt, take the smaller. And near the edge the seeds
# disagree: whoever tries a rate there once, sees luck.
#
# ![The final loss over the learning rate, for two optimizers and five seeds](../docs/spread.svg)


# %%
def train(make_optimizer, lr, seed, data, epochs, batch_size=None):
    """The final loss of a small network on digits; infinity where it diverged."""
    model = nn.MLP(layers, "relu", engine=engine, seed=seed)
    optimizer = make_optimizer(model.parameters(), lr=lr)
    history = nn.fit(model, data, nn.cross_entropy, optimizer, epochs, batch_size, seed=seed)
    return nn.final_loss(history.step_loss)


def quarter_decades(low, high):
    """Rates from one to the other, each 1.78 times the one before."""
    return [float(f"{rate:.3g}") for rate in np.geomspace(low, high, round(4 * math.log10(high / low)) + 1)]


sweeps = {
    "SGD": (nn.SGD, [0.01, 0.0316, *quarter_decades(0.1, 3.16), 10, 31.6, 100, 316]),
    "Adam": (nn.Adam, quarter_decades(0.001, 1)),
}
seeds, steps = 5, 60
if not full:
    sweeps = {"SGD": (nn.SGD, quarter_decades(0.1, 1)), "Adam": (nn.Adam, quarter_decades(0.01, 0.1))}
    seeds, steps = 2, 10
spread = {
    name: {lr: [train(kind, lr, seed, few, steps) for seed in range(seeds)] for lr in rates}
    for name, (kind, rates) in sweeps.items()
}
print(f"\n5. The final loss of {seeds} seeds: median, and range")
best = {}
for name, results in spread.items():
    rates, medians = list(results), [np.median(losses) for losses in results.values()]
    place = int(np.argmin(medians))
    best[name] = rates[place]
    for words, i in (("best rate", place), ("a third", place - 2), ("twice", place + 1), ("thrice", place + 2)):
        if i in range(len(rates)):
            lr, losses = rates[i], results[rates[i]]
            print(f"   {name:4}  {words:9} {lr:6.3g}  {medians[i]:7.4f}, from {min(losses):.4f} to {max(losses):.4f}")
    if full:
        assert medians[place + 2] - medians[place] > 2 * (medians[place - 2] - medians[place])
        assert np.ptp(results[rates[place + 1]]) > 3 * np.ptp(results[rates[place]])
if full:
    assert best["Adam"] == best["SGD"] / 10

ax = viz.learning_rate_spread(spread)
ax.set_title(f"{steps} steps on handwritten digits")
ax.figure.set_size_inches(8, 4.5)
ax.figure.savefig(figures / "spread.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. Finding a rate in one short training
#
# A sweep trains many times. The **range test** trains once: the rate grows from step to step, from far too small to far
# too large, and the loss tells where it begins to do something, where it does most, and where it becomes too much.
# `nn.lr_find` puts model and optimizer back afterwards, to the last bit.
#
# The loss of a batch is noisy, so it is smoothed; then there are three customs for reading off a rate: where the curve
# falls **steepest**, the middle of the long fall (**valley**), and a tenth of the rate at the **minimum**. They differ,
# here by a factor of 5, and yet each of them trains this network. They are places to begin, not answers: smoothing
# makes the curve late, and weights that have been moved already bear another rate than fresh ones.
#
# ![A range test](../docs/range_test.svg)

# %%
model = nn.MLP(layers, "relu", engine=engine, seed=0)
optimizer = nn.Adam(model.parameters(), lr=0.123)
before = model.state_dict()
found = nn.lr_find(model, many, nn.cross_entropy, optimizer, 1e-5, 1, steps=200 if full else 30, batch_size=32)
assert optimizer.lr == 0.123
assert all((before[name] == after).all() for name, after in model.state_dict().items())
print(f"\n6. A range test of {len(found.rates)} steps, and trainings of 10 epochs with what it suggests")
for name, lr in found.suggestions().items():
    model.load_state_dict(before)
    nn.fit(model, many, nn.cross_entropy, nn.Adam(model.parameters(), lr=lr), 10, batch_size=32)
    right = (nn.predict(model, x_test).argmax(axis=1) == y_test).mean()
    print(f"   {name:12}  {lr:.4f}: {right:.1%} right")
    if full:
        assert right > 0.9
if full:
    suggested = found.suggestions().values()
    assert 3 < max(suggested) / min(suggested) < 10

ax = viz.range_test(found)
ax.set_title("Range test of Adam on handwritten digits")
ax.figure.set_size_inches(8, 4)
ax.figure.savefig(figures / "range_test.svg", metadata={"Date": None})

# %% [markdown]
# ## 7. The edge of stability
#
# In the bowl the largest curvature c decided: above a rate of 2 / c, descent diverges. Does that hold for a network?
# Its curvatures are the eigenvalues of a matrix, the Hessian of the loss. `nn.sharpness` finds the largest without
# ever writing that matrix down, and `nn.RecordSharpness` does so again and again while a network is trained.
#
# Here a network 2-16-1 with tanh learns two moons, with all samples in every step. At the start its largest curvature
# is 6.7, so in a bowl the limit would be 0.30. Four tenths of that: the loss falls in every step. Twice that: it
# diverges within ten steps, as predicted. But nine tenths, where a bowl would be safe? The loss swings, for the
# curvature is no constant: training leads to more sharply curved places, until the largest curvature is 2 / lr. There
# the loss begins to rise now and then, which throws the weights out of the sharpest places, and the curvature hovers
# about the line. Training goes on regardless, and in the long run the loss falls. Cohen and others, who described it
# in 2021 (arXiv:2103.00065), called it the edge of stability.
#
# ![Loss and largest curvature, near the limit and beyond it](../docs/edge_of_stability.svg)

# %%
count, hidden, steps = (100, 16, 600) if full else (20, 2, 24)
points, side = make_moons(count, noise=0.1, random_state=1)
moons = points, (2.0 * side - 1).reshape(-1, 1)
every = 4


def at_the_edge(share):
    """Full-batch descent at a share of the limit 2 / c: rate, losses, and the curvature at every fourth step."""
    model = nn.MLP([2, hidden, 1], "tanh", engine=engine, seed=0, dtype="float64")
    lr = share * 2 / nn.sharpness(model, moons, nn.mse_loss)
    recorder = nn.RecordSharpness(moons, nn.mse_loss, every)
    history = nn.fit(model, moons, nn.mse_loss, nn.SGD(model.parameters(), lr=lr), steps, callbacks=[recorder])
    return lr, history.step_loss, recorder.values


edge = {share: at_the_edge(share) for share in (0.4, 0.9, 2.0)}
start = edge[2.0][2][0]
print(f"\n7. The edge of stability: the largest curvature at the start is {start:.2f}, so the limit is {2 / start:.3f}")
print(f"   {'rate / limit':>12}  {'rate':>5}  {'steps upwards':>13}  {'curvature × rate / 2 at last':>28}  verdict")
for share, (lr, losses, curvatures) in edge.items():
    upwards = np.mean(np.diff(losses) > 0)
    level = f"{np.mean(curvatures[-50:]) * lr / 2:.2f}" if share < 1 else ""
    print(f"   {share:12}  {lr:5.3f}  {upwards:13.0%}  {level:>28}  {nn.diagnose(losses).label}")
(_, calm, _), (lr, swinging, curvatures), (_, lost, _) = edge.values()
if full:
    assert abs(2 / start - 0.297) < 0.001
    assert (np.diff(calm) < 0).all()
    assert 0.1 < np.mean(np.diff(swinging) > 0) < 0.5
    assert swinging[-1] < 0.2 * swinging[0]
    assert abs(np.mean(curvatures[-50:]) * lr / 2 - 1) < 0.1
    assert nn.diagnose(lost).label in {f"diverged at step {step}" for step in range(11)}

figure, axes = plt.subplots(2, 2, figsize=(12, 5), layout="constrained", sharex="col")
for (above, below), share in zip(axes.T, (0.9, 2.0), strict=True):
    lr, losses, curvatures = edge[share]
    viz.edge_of_stability(losses, curvatures, lr, every=every, axes=(above, below))
    above.set_title(f"lr = {lr:.3f}: {share:g} times the limit")
figure.savefig(figures / "edge_of_stability.svg", metadata={"Date": None})

# %% [markdown]
# ## 8. Why not change it on the way?
#
# A large rate gets far quickly, a small one settles. With batches there is a second reason for small rates at the end:
# the gradient of a batch is noisy, and with a constant rate the weights go on trembling about the valley. So one often
# starts high and lowers the rate according to a plan, a **schedule**. Some are shown below. Those that begin low warm
# up: fresh weights often bear less than those that have found their way.
#
# ![Five schedules](../docs/schedules.svg)

# %%
optimizer = nn.SGD(nn.Linear(1, 1, engine=engine, seed=0).parameters(), lr=0.05)
warm_up = nn.LinearLR(optimizer, start_factor=0.1, total_iters=5), nn.CosineAnnealingLR(optimizer, 25)
schedules = {
    "StepLR": nn.StepLR(optimizer, 10, gamma=0.3),
    "ExponentialLR": nn.ExponentialLR(optimizer, 0.9),
    "CosineAnnealingLR": nn.CosineAnnealingLR(optimizer, 30),
    "LinearLR, then cosine": nn.SequentialLR(optimizer, warm_up, [5]),
    "OneCycleLR": nn.OneCycleLR(optimizer, 0.05, 31, cycle_momentum=False),
}
ax = viz.schedule_curves({name: schedule.preview(31) for name, schedule in schedules.items()})
ax.set_title("Five plans for 30 steps")
ax.figure.set_size_inches(8, 3.5)
ax.figure.savefig(figures / "schedules.svg", metadata={"Date": None})

# %% [markdown]
# What it does to the loss: the task here has an exact solution to measure against, a linear prediction, from ten
# measurements of 442 patients, of how their diabetes had advanced a year later. Drawn is by how much the loss on all
# patients lies above the least that any linear prediction can reach. The large rate is ahead at first, and then
# trembles; the small one arrives in the end; the one that falls has the best of both.
#
# ![How far above the best possible loss three plans end](../docs/settling.svg)

# %%
patients = load_diabetes()
take_every = 1 if full else 10
measured = StandardScaler().fit_transform(patients.data[::take_every])
disease = StandardScaler().fit_transform(patients.target[::take_every].reshape(-1, 1))
squares = np.linalg.lstsq(np.column_stack([measured, np.ones(len(measured))]), disease, rcond=None)[1].item()
data, least = (measured, disease), squares / len(disease)
plans = {"0.05 throughout": 0.05, "0.002 throughout": 0.002, "from 0.05 to 0 (cosine)": 0.05}
print(f"\n8. {len(measured)} patients in batches of 8, 30 epochs: how far the loss is above the best possible")
rates, above = {}, {}
for name, lr in plans.items():
    model = nn.Linear(10, 1, engine=engine, seed=0, dtype="float64")
    optimizer = nn.SGD(model.parameters(), lr=lr)
    schedule = nn.CosineAnnealingLR(optimizer, 30) if "cosine" in name else nn.StepLR(optimizer, 30)
    rates[name] = schedule.preview(30)
    callbacks = [nn.Schedule(schedule)]
    history = nn.fit(model, data, nn.mse_loss, optimizer, 30, 8, callbacks=callbacks, validation=data)
    above[name] = np.array(history.validation_loss) - least
    print(f"   {name:23}  after 5 epochs {above[name][4]:.4f}, after 30 {above[name][-1]:.4f}")
large, small, falling = above.values()
assert falling[-1] < min(large[-1], small[-1]) / 2
assert large[4] < small[4]

upper, lower = viz.schedule_effects(rates, above)
upper.set_title("Start high, settle low")
lower.set(xlabel="epoch", ylabel="loss above the best possible")
upper.figure.set_size_inches(8, 5.5)
upper.figure.savefig(figures / "settling.svg", metadata={"Date": None})

# %% [markdown]
# ## 9. It takes two
#
# Which rates are right depends on other settings. The map shows the digits again, ten epochs, for rates and sizes of
# batches; darker is better. The range of good rates ends at nearly the same place for all sizes: that is the edge of
# section 7, which does not ask how many samples a gradient is from. But where it begins, grows with the size: in ten
# epochs there are half as many steps with batches twice as large, so each must go twice as far. That is the rule of
# thumb "twice the batch, twice the rate" (Goyal and others, arXiv:1706.02677), and the map shows where it ends: where
# the range has shrunk to nothing. So whoever changes the size of the batches looks for the rate anew.
#
# ![The final loss over learning rate and batch size](../docs/rate_and_batch.svg)

# %%
sizes, rates, epochs, low = [8, 16, 32, 64, 128, 256], quarter_decades(0.01, 316), 10, 1
if not full:
    sizes, rates, epochs, low = [8, 16], quarter_decades(0.1, 1), 3, 2.3
final = np.array([[train(nn.SGD, lr, 0, many, epochs, size) for lr in rates] for size in sizes])
print(f"\n9. The digits, {epochs} epochs: the rates that lead to a final loss below {low}")
good = {
    size: [lr for lr, loss in zip(rates, losses, strict=True) if loss < low]
    for size, losses in zip(sizes, final, strict=True)
}
for size, range_of_rates in good.items():
    print(f"   batches of {size:3}: from {range_of_rates[0]:6.3g} to {range_of_rates[-1]:.3g}")
begins, ends = [found[0] for found in good.values()], [found[-1] for found in good.values()]
if full:
    assert max(ends) < 2 * min(ends)
    assert 16 < begins[-1] / begins[0] < 64  # batches are 32 times as large
    assert (np.diff(begins) > 0).all()

ax = viz.loss_map(final, rates, sizes, ylabel="batch size")
ax.set_title(f"{epochs} epochs on handwritten digits")
ax.figure.set_size_inches(8, 4.5)
ax.figure.savefig(figures / "rate_and_batch.svg", metadata={"Date": None})

# %%
print(f"\n10. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in (
    *("shower.svg", "bowl.png", "rosenbrock.png", "digits_learning_rates.svg", "pair.svg", "spread.svg"),
    *("range_test.svg", "edge_of_stability.svg", "schedules.svg", "settling.svg", "rate_and_batch.svg"),
):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** a pipe with a delay of 5: which rates are still safe? A bowl a hundred times as curved in one direction
# (`nn.bowl` takes the curvatures): how many steps does the best rate need now, and how many with a momentum of 0.9?
# `nn.Adam` in section 3: which of the rates are right for it? In section 7, a rate of 1.2 times the limit: where does
# the curvature go?
