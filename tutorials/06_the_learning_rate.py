# %% [markdown]
# # The learning rate
#
# In each step of training every weight moves against its slope, by the slope times a factor: the **learning rate**. It
# is one number, chosen by you, and often the one that decides whether training works. Too small, and nothing happens in
# the time you have; too large, and the loss swings or explodes. This lesson shows why, first with a shower, then with
# a bowl, then with a network. Run it with `.venv/bin/python tutorials/06_the_learning_rate.py`, or cell by cell.

# %%
import argparse
import math
import time
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="The learning rate.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"

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
# ![Four paths of gradient descent in a bowl](../docs/bowl.svg)


# %%
def bowl(x, y):
    return (x * x + 10 * y * y) / 2


def descend(lr, momentum=0.0, steps=25):
    """The places on the way down from (-9, 2), as an array (steps + 1, 2)."""
    place = micro.tensor([-9.0, 2.0], requires_grad=True)
    optimizer = nn.SGD([place], lr=lr, momentum=momentum)
    path = [place.tolist()]
    for _ in range(steps):
        loss = bowl(place[0], place[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        path.append(place.tolist())
    return np.array(path)


paths = {
    "lr = 0.02: too small": descend(0.02),
    "lr = 0.18: just below the limit": descend(0.18),
    "lr = 0.21: above the limit": descend(0.21),
    "lr = 0.08, momentum 0.6": descend(0.08, momentum=0.6),
}
print("\n2. The bowl: the loss after 25 steps; at the start it is", bowl(-9.0, 2.0))
for name, path in paths.items():
    print(f"   {name:31}  {bowl(*path[-1]):10.5f}")
final = [bowl(*path[-1]) for path in paths.values()]
assert final[2] > bowl(-9.0, 2.0) > final[0] > final[1] > final[3]
assert np.allclose(paths["lr = 0.21: above the limit"][:, 1], [2 * (1 - 0.21 * 10) ** step for step in range(26)])

across, up = np.meshgrid(np.linspace(-11, 5, 120), np.linspace(-4, 4, 80))
figure, axes = plt.subplots(2, 2, figsize=(9, 5.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, path) in zip(axes.flat, paths.items(), strict=True):
    ax.contour(across, up, bowl(across, up), levels=np.geomspace(0.2, 130, 9), colors="#9ca3af", linewidths=0.8)
    ax.plot(*path.T, "o-", color=BLUE, markersize=3.5, linewidth=1.2)
    ax.plot(*path[0], "s", color=ORANGE, markersize=7)
    ax.plot(0, 0, "X", color="black", markersize=8)
    ax.set(title=name, xlim=(-11, 5), ylim=(-4, 4))
    ax.grid(False)
figure.suptitle("25 steps from the square towards the cross")
figure.savefig(figures / "bowl.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. A network
#
# The curvature of a network's loss is not known in advance, and it changes on the way. So one tries rates, and tries
# them far apart, by factors, not by differences: 0.001, 0.003, 0.01 and so on. Here a network reads handwritten digits
# (see lesson 4), 150 steps with 600 of them, for each of nine rates; the others are for the test. The verdicts are
# computed by rules that `nn.diagnose_sweep` states; `reason` says which numbers decided.
#
# ![Nine learning rates on handwritten digits](../docs/digits_learning_rates.svg)

# %%
images, digits = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16.0, digits, train_size=600, random_state=0, stratify=digits
)
sweep = [0.001, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 500.0]
histories, rights = {}, {}
for lr in tqdm(sweep, desc="learning rates", unit="run"):
    model = nn.MLP([64, 32, 10], "relu", engine=fast, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)  # here divergence is what we came to see
        histories[lr] = nn.fit(model, (x_train, y_train), nn.cross_entropy, nn.SGD(model.parameters(), lr=lr), 150)
    answers = model(fast.tensor(x_test)).data
    rights[lr] = (answers.argmax(axis=1) == y_test).mean()
verdicts = nn.diagnose_sweep({lr: history.step_loss for lr, history in histories.items()})
print("\n3. Handwritten digits, 64-32-10, 150 steps")
print(f"   {'lr':>7}  {'right':>6}  verdict")
for lr, verdict in verdicts.items():
    print(f"   {lr:7g}  {rights[lr]:6.1%}  {verdict.name}: {verdict.reason}")
assert {verdict.name for verdict in verdicts.values()} == {"too low", "just right", "too high", "diverged"}
assert min(rights[lr] for lr in sweep if verdicts[lr].name == "just right") > 0.9

ax = viz.learning_rate_curves(histories)
ax.set_title("Nine learning rates on handwritten digits")
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
# ## 5. Why not change it on the way?
#
# A large rate gets far quickly, a small one settles. With batches there is a second reason for small rates at the end:
# the gradient of a batch is noisy, and with a constant rate the weights go on trembling about the valley. So one often
# starts high and lowers the rate according to a plan, a **schedule**. Cosine annealing lets it fall along half a wave
# of the cosine, to zero at the end.
#
# The task here has an exact solution to measure against: a linear prediction, from ten measurements of 442 patients, of
# how their diabetes had advanced a year later. Drawn is by how much the loss on all patients lies above the least that
# any linear prediction can reach.
#
# ![How far above the best possible loss three plans end](../docs/settling.svg)

# %%
patients = load_diabetes()
measured = StandardScaler().fit_transform(patients.data)
disease = StandardScaler().fit_transform(patients.target.reshape(-1, 1))
best = np.linalg.lstsq(np.column_stack([measured, np.ones(len(measured))]), disease, rcond=None)[1].item() / len(
    disease
)
plans = {"0.05 throughout": 0.05, "0.002 throughout": 0.002, "0.05, falling to 0 (cosine)": 0.05}
print("\n5. 442 patients in batches of 8, 30 epochs: how far the loss is above the best possible")
above = {}
for name, lr in plans.items():
    model = nn.Linear(10, 1, engine=fast, seed=0, dtype="float64")
    optimizer = nn.SGD(model.parameters(), lr=lr)
    callbacks = [nn.Schedule(nn.CosineAnnealingLR(optimizer, 30))] if "cosine" in name else []
    data = measured, disease
    history = nn.fit(model, data, nn.mse_loss, optimizer, 30, 8, callbacks=callbacks, validation=data)
    above[name] = np.array(history.validation_loss) - best
    print(f"   {name:27}  after 5 epochs {above[name][4]:.4f}, after 30 {above[name][-1]:.4f}")
large, small, falling = above.values()
assert falling[-1] < min(large[-1], small[-1]) / 2
assert large[4] < small[4]

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, curve), colour, line in zip(above.items(), (BLUE, ORANGE, GREEN), (":", "--", "-"), strict=True):
    ax.plot(range(1, 31), curve, line, color=colour, linewidth=2, label=name)
ax.set(xlabel="epoch", ylabel="loss above the best possible", yscale="log", title="Start high, settle low")
ax.legend()
ax.figure.savefig(figures / "settling.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("shower.svg", "bowl.svg", "digits_learning_rates.svg", "pair.svg", "settling.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** a pipe with a delay of 5: which rates are still safe? A bowl a hundred times as curved in one direction: how
# many steps does the best rate need now, and how many with a momentum of 0.9? `nn.Adam` in section 3: which of the
# rates are right for it?
