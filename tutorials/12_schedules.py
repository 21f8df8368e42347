# %% [markdown]
# # Schedules
#
# Lesson 6 ended with a learning rate that falls while training goes on. A **schedule** is such a plan: it says for
# every step which rate the update uses; the other steps of the loop, forward, loss and backward, know nothing of it.
# This lesson draws the common plans, writes their formulas down, and then compares them on real data, each with the
# rate that suits it best and over several seeds. Some of what is said of schedules turns out true here, and some does
# not. Run it with `.venv/bin/python tutorials/12_schedules.py`, or cell by cell. (With `--engine micro` sections 2 to 4
# run at a tiny size, which shows that they run, but none of their results.)

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

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="Schedules.")
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
# ## 1. Six plans
#
# Each is given the optimizer's rate, here called the **peak**, and the number of steps that there will be.
#
# - **Constant**: the peak, throughout.
# - **Warm-up**: in the first tenth of the steps the rate rises in a straight line, here from a twenty-fifth of the
#   peak; then it stays.
# - **Steps**: a tenth of the peak after half of the steps, a hundredth after three quarters.
# - **Cosine**: half a wave of the cosine, from the peak to 0: slow to leave, slow to arrive.
# - **Warm-up and cosine**: the one, then the other; the usual plan for large language models.
# - **One-cycle**: half a wave up, for 30 % of the steps, then half a wave down to nearly 0. (In full it also moves the
#   momentum the other way; here the momentum stays, so that only the rates differ.)
#
# All of them are formulas in the number of the step. There are also schedules that watch the loss and cut the rate
# when it no longer falls (`nn.ReduceLROnPlateau`); they need no plan, but have to notice in time.
#
# ![The learning rates of six plans](../docs/schedule_plans.svg)


# %%
def plan(name, optimizer, steps):
    """The schedule of that name for an optimizer, which has the peak as its learning rate."""
    tenth = steps // 10
    if name == "warm-up":
        return nn.LinearLR(optimizer, start_factor=0.04, total_iters=tenth)
    if name == "steps":
        return nn.MultiStepLR(optimizer, milestones=[steps // 2, 3 * steps // 4], gamma=0.1)
    if name == "cosine":
        return nn.CosineAnnealingLR(optimizer, T_max=steps)
    if name == "warm-up, cosine":
        parts = [plan("warm-up", optimizer, steps), nn.CosineAnnealingLR(optimizer, T_max=steps - tenth)]
        return nn.SequentialLR(optimizer, parts, milestones=[tenth])
    if name == "one-cycle":
        return nn.OneCycleLR(optimizer, max_lr=optimizer.lr, total_steps=steps, cycle_momentum=False)
    return nn.StepLR(optimizer, step_size=steps, gamma=1.0)  # constant


plans = ["constant", "warm-up", "steps", "cosine", "warm-up, cosine", "one-cycle"]


def with_momentum(parameters, lr):
    return nn.SGD(parameters, lr=lr, momentum=0.9)


def rates_of(name, peak, steps):
    """The learning rate of each step."""
    weight = engine.tensor([0.0], requires_grad=True)  # an optimizer needs something to move
    return plan(name, with_momentum([weight], peak), steps).preview(steps)


def wave(start, end, share):
    """From start to end along half a wave of the cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


rates = {name: rates_of(name, 1.0, 100) for name in plans}
by_hand = {
    "constant": [1.0] * 100,
    "warm-up": [0.04 + 0.96 * min(t / 10, 1) for t in range(100)],
    "steps": [1.0] * 50 + [0.1] * 25 + [0.01] * 25,
    "cosine": [wave(1, 0, t / 100) for t in range(100)],
    "warm-up, cosine": [0.04 + 0.96 * t / 10 for t in range(10)] + [wave(1, 0, t / 90) for t in range(90)],
    "one-cycle": [wave(0.04, 1, t / 29) for t in range(29)] + [wave(1, 4e-6, t / 70) for t in range(71)],
}
print("1. The rates of 100 steps, as shares of the peak")
print(f"   {'':15}  {'step 0':>8}  {'10':>8}  {'50':>8}  {'99':>8}  {'mean':>6}")
for name, curve in rates.items():
    shown = "  ".join(f"{curve[t]:8.6f}" for t in (0, 10, 50, 99))
    print(f"   {name:15}  {shown}  {np.mean(curve):6.3f}")
    assert np.allclose(curve, by_hand[name], rtol=1e-12)

figure, axes = plt.subplots(2, 3, figsize=(8, 4.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, curve) in zip(axes.flat, rates.items(), strict=True):
    viz.schedule_curves({name: curve}, ax=ax)
    ax.get_legend().remove()
    ax.set(title=name, ylabel="")
    ax.label_outer()
figure.supylabel("learning rate, share of the peak")
figure.savefig(figures / "schedule_plans.svg", metadata={"Date": None})

# %% [markdown]
# ## 2. What a plan does to the loss
#
# Handwritten digits again, 800 to learn from in batches of 16, a network 64-48-10, SGD with momentum 0.9, 10 epochs,
# which makes 500 steps. First all plans with the same peak, 0.2, which is high on purpose: the lower the peak, the less
# there is to see. The loss of single batches is noisy, so what is drawn is the mean of five seeds, and of the last 25
# steps.
#
# What you should see: with the constant rate the loss falls fast and then goes on trembling. A rate that is high for
# good cannot settle: each batch pulls in a somewhat different direction, and the step is as large as ever. Where a
# plan lowers the rate the trembling ends and the loss falls. Most clearly at the first cut of the plan with steps: the
# same networks, a moment later, on a lower level. That is no new insight; they merely stop overshooting. But the cut
# also ends the journey: the cosine after a warm-up, and one-cycle, which fall more slowly, end lower.
#
# ![Learning rates and losses of four plans](../docs/schedule_effects.svg)

# %%
samples, hidden, deep, epochs, batch_size = (800, 48, [32, 32, 32], 10, 16) if full_size else (32, 6, [4, 4], 3, 8)
images, digits = load_digits(return_X_y=True)
x_train, x_rest, y_train, y_rest = train_test_split(
    images / 16, digits, train_size=samples, random_state=0, stratify=digits
)
x_choose, x_test, y_choose, y_test = train_test_split(x_rest, y_rest, test_size=0.5, random_state=0, stratify=y_rest)
if not full_size:
    x_choose, y_choose, x_test, y_test = x_choose[:8], y_choose[:8], x_test[:8], y_test[:8]
steps = epochs * math.ceil(samples / batch_size)


def train(name, peak, seed, layers=(hidden,), kind=with_momentum):
    """The trained network and its history."""
    model = nn.MLP([64, *layers, 10], "relu", engine=engine, seed=seed)
    optimizer = kind(model.parameters(), peak)
    schedule = nn.Schedule(plan(name, optimizer, steps), every="step")
    history = nn.fit(
        model, (x_train, y_train), nn.cross_entropy, optimizer, epochs, batch_size, callbacks=[schedule], seed=seed
    )
    return model, history


def running_mean(numbers, width=25):
    """The mean of each number and of those before it, `width` of them where there are as many."""
    return [np.mean(numbers[max(0, i + 1 - width) : i + 1]) for i in range(len(numbers))]


averaged, half, window = range(5) if full_size else range(1), steps // 2, steps // 10
print(f"\n2. {samples} digits, {steps} steps, all with a peak of 0.2: mean loss of the batches, {window} steps each")
print(f"   {'':15}  {'before half-time':>16}  {'after it':>8}  {'at the end':>10}")
curves, last = {}, {}
for name in ("constant", "steps", "warm-up, cosine", "one-cycle"):
    losses = np.mean([train(name, 0.2, seed)[1].step_loss for seed in averaged], axis=0)
    curves[name] = running_mean(losses)
    before, after, last[name] = [losses[end - window : end].mean() for end in (half, half + window, steps)]
    print(f"   {name:15}  {before:16.4f}  {after:8.4f}  {last[name]:10.4f}")
    if full_size and name == "steps":
        assert after < before / 1.5
if full_size:
    assert last["constant"] > 2 * last["steps"]
    assert last["steps"] > 1.5 * max(last["warm-up, cosine"], last["one-cycle"])

above, below = viz.schedule_effects({name: rates_of(name, 0.2, steps) for name in curves}, curves)
above.set_title("Four plans with the same peak")
below.set_ylabel(f"loss, mean of 25 steps (seeds: {len(averaged)})")
below.figure.set_size_inches(8, 6)
below.figure.savefig(figures / "schedule_effects.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. Each at its best
#
# But 0.2 may be a good peak for one plan and a bad one for another; so far it is a comparison of peaks as much as of
# plans, and of the loss on what was trained on. As in lesson 11 the samples have three parts: one to train on, one on
# which the peak of each plan is chosen (the lowest loss in the middle of three seeds), and one on which five other
# seeds are measured.
#
# What you should see: at its best, the constant rate ends behind all plans that fall. It has to settle with the same
# rate with which it travels, so it is best with a lower peak (or, with other seeds, the same one), and it suffers more
# from a peak that is too high. That the rate falls is what counts. How, by steps, along a wave, after a warm-up or in
# one cycle, makes a difference that is less than what another seed would change. And the warm-up by itself gains
# nothing here.
#
# ![Loss against the peak of the learning rate for six plans](../docs/schedules_at_their_best.svg)


# %%
def measure(model, history, x, y):
    """Loss and share of right answers; an infinite loss if the training diverged."""
    if history.diverged_at is not None:
        return math.inf, 0.0
    scores = nn.predict(model, x)
    return nn.cross_entropy(engine.tensor(scores), engine.tensor(y)).item(), (scores.argmax(axis=1) == y).mean()


peaks, choosing, reporting = [0.01, 0.03, 0.1, 0.2, 0.3], range(3), range(10, 15)
if not full_size:
    peaks, choosing, reporting = [0.03, 0.1], range(1), range(10, 11)
print(f"\n3. Each plan with its best peak: samples never seen, seeds: {len(reporting)}")
print(f"   {'':15}  {'best peak':>9}  {'loss, mean ± deviation':>22}  {'right':>6}")
sweeps, best, losses, rights = {}, {}, {}, {}
for name in plans:
    sweeps[name] = {
        peak: [measure(*train(name, peak, seed), x_choose, y_choose)[0] for seed in choosing] for peak in peaks
    }
    best[name] = min(peaks, key=lambda peak: np.median(sweeps[name][peak]))
    pairs = [measure(*train(name, best[name], seed), x_test, y_test) for seed in reporting]
    losses[name], rights[name] = np.array(pairs).T
    shown = f"{losses[name].mean():.4f} ± {losses[name].std():.4f}"
    print(f"   {name:15}  {best[name]:9g}  {shown:>22}  {rights[name].mean():6.1%}")
    if full_size:
        assert min(peaks) < best[name] < max(peaks), "the best peak may lie beyond those that were tried"
falling = ["steps", "cosine", "warm-up, cosine", "one-cycle"]
if full_size:
    means = {name: losses[name].mean() for name in plans}
    assert max(means[name] for name in falling) < min(means["constant"], means["warm-up"])
    assert min(best[name] for name in falling) > best["constant"]
    assert max(np.median(sweeps[name][0.3]) for name in falling) < np.median(sweeps["constant"][0.3])
    spread = max(means[name] for name in falling) - min(means[name] for name in falling)
    assert spread < max(losses[name].std() for name in falling)
    assert abs(means["warm-up"] - means["constant"]) < losses["constant"].std()

figure, axes = plt.subplots(2, 3, figsize=(9, 5.4), layout="constrained", sharex=True, sharey=True)
shown = [loss for sweep in sweeps.values() for few in sweep.values() for loss in few if math.isfinite(loss)]
lowest = min(np.median(few) for few in sweeps["constant"].values())
for ax, (name, sweep) in zip(axes.flat, sweeps.items(), strict=True):
    viz.learning_rate_spread(sweep, ax=ax)
    ax.get_legend().remove()
    ax.axhline(lowest, color="0.4", linewidth=1, linestyle=":")
    ax.set(title=f"{name}: best {best[name]:g}", xlabel="peak of the rate", ylabel="loss on the second part")
    ax.set_xticks(peaks, [f"{peak:g}" for peak in peaks])
    ax.set_yscale("log")
    ax.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    ax.set_ylim(0.9 * min(shown), 1.1 * max(shown))
    ax.minorticks_off()
    ax.label_outer()
figure.suptitle("Falling rates bear higher peaks, and end lower (dotted: the constant rate at its best)")
figure.savefig(figures / "schedules_at_their_best.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. What a warm-up is for
#
# At first the weights are random, slopes may be large and change quickly, and a high rate may throw the network where
# it cannot come back from: ReLUs that are zero for every sample have no slope any more. With Adam comes that its first
# step moves every weight by the full rate, however small its slope (lesson 11), and that its means then rest on a few
# batches. A warm-up keeps the first steps small. So one expects it to help most where the peak is high and the network
# deep.
#
# Here are three hidden layers, Adam, and the cosine with and without a warm-up, eight seeds for each peak. What you
# should see: where the peak is low or right the warm-up gains a little, less than what another seed would change; with
# rising peaks it saves more and more. It does not make a bad peak good. But it makes the choice less delicate, which is
# worth much where a training costs weeks and one cannot try many peaks. That is the honest case for it: insurance.
#
# ![Loss against the peak of the learning rate, with and without warm-up](../docs/warm_up.svg)

# %%
high, seeds = ([0.003, 0.01, 0.03, 0.06, 0.1], range(8)) if full_size else ([0.03, 0.1], range(1))
ends = {}
for name in ("cosine", "warm-up, cosine"):
    ends[name] = {
        peak: [measure(*train(name, peak, seed, deep, nn.Adam), x_choose, y_choose)[0] for seed in seeds]
        for peak in high
    }
print(f"\n4. Adam, hidden layers {deep}: loss on samples never seen, the middle of the seeds ({len(seeds)})")
print(f"   {'peak':>5}  {'cosine':>6}  {'warm-up, cosine':>15}")
for peak in high:
    plain, warm = [np.median(ends[name][peak]) for name in ends]
    print(f"   {peak:5g}  {plain:6.3f}  {warm:15.3f}")
if full_size:
    gains = {peak: np.median(ends["cosine"][peak]) - np.median(ends["warm-up, cosine"][peak]) for peak in high}
    for peak in (0.003, 0.01, 0.03):
        assert 0 < gains[peak] < np.ptp(ends["cosine"][peak])
    assert gains[0.03] < gains[0.06] < gains[0.1]
    assert np.median(ends["warm-up, cosine"][0.1]) > 2 * np.median(ends["warm-up, cosine"][0.03])

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
viz.learning_rate_spread(ends, ax=ax)
ax.set(title="A warm-up is an insurance against high peaks", xlabel="peak of the learning rate")
ax.set_ylabel("loss on samples never seen")
ax.figure.savefig(figures / "warm_up.svg", metadata={"Date": None})

# %%
print(f"\n5. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("schedule_plans.svg", "schedule_effects.svg", "schedules_at_their_best.svg", "warm_up.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** end the training after half of the steps without telling the plan (`epochs // 2` in the `nn.fit` of section
# 2, whose table then has nothing to say of the second half): which of the networks would you rather have, by the table
# of section 3? And with twice as many epochs, does the constant rate catch up? The whole of one-cycle, with
# `cycle_momentum=True`, and a peak of 0.5 in section 2: does it get ahead of the cosine? Run your variants with
# `python -O`, which skips the assertions: they state what holds for the numbers above.
