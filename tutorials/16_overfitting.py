# %% [markdown]
# # Overfitting, and five cures
#
# The four steps (forward, loss, backward, update) make the loss on the training samples small, and know of nothing
# else. A network with enough weights can reach that goal by learning its samples by heart, chance and errors of
# measurement included. This is **overfitting**: good on the samples it has seen, bad on all others. The opposite is
# **underfitting**: a network that is too simple, or held back too much, misses even what the samples do show. This
# lesson takes one data set on which a network overfits badly, and five cures against it, and turns each of them up,
# from nothing to more than is good. Run it with `.venv/bin/python tutorials/16_overfitting.py`, or cell by cell;
# `--engine micro` runs a small version, number by number in plain Python, that is too short for most of the results
# claimed here.

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="Overfitting, and five cures.")
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
BLUE, ORANGE = "#0072B2", "#D55E00"
full = engine is fast  # the small version is too small for most of the claims below, and does not check them
people, rows, splits = (442, 200, 4) if full else (60, 20, 1)
hidden, batch, lr, long = (128, 25, 0.005, 100) if full else (8, 10, 0.03, 20)

# %% [markdown]
# ## 1. Learning by heart
#
# The task: predict from ten measurements of a patient (age, body mass index, blood pressure and seven more) how far
# their diabetes has advanced a year later. There are 442 patients. 200 of them are for training. The others are split
# in half: the **validation** samples are looked at while we try things out and choose; the **test** samples are kept
# for the very end, to judge the choice. Whoever chooses by a set of samples can no longer be judged by it: of many
# attempts the luckiest would look good.
#
# All numbers are standardised (minus the mean, divided by the standard deviation, both of the training samples). The
# loss is the mean squared error; so somebody who answers the mean for each patient has a loss of about 1.
#
# The network is 10-128-1 with ReLU: 1,537 weights and biases for 200 patients. Below: the loss on the patients it
# learns from, and on those it does not. Both fall at first. Then the validation loss **turns up**, while the training
# loss goes on falling (both tremble on their way): from here on the network learns what is true of these 200 patients
# alone. At the end it has nearly all of them by heart, and is worse on others than after its first epoch.
#
# ![Training loss and validation loss of a network that overfits](../docs/turning_up.svg)


# %%
def patients(split):
    """Samples and targets for training, validation and test; each split divides the patients in another way."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    x, y = x[:people], y[:people, None]
    x_train, x_rest, y_train, y_rest = train_test_split(x, y, train_size=rows, random_state=split)
    x_choose, x_judge, y_choose, y_judge = train_test_split(x_rest, y_rest, train_size=0.5, random_state=split)
    x_scaler, y_scaler = StandardScaler().fit(x_train), StandardScaler().fit(y_train)
    parts = (x_train, y_train), (x_choose, y_choose), (x_judge, y_judge)
    return [(x_scaler.transform(x), y_scaler.transform(y)) for x, y in parts]


def train(parts, neurons=hidden, dropout=0.0, l1=0.0, l2=0.0, epochs=long, **settings):
    """A network and the history of its training; each cure is one argument."""
    random = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(10, neurons, engine=engine, seed=random),
        nn.ReLU(),
        nn.Dropout(dropout, seed=random),
        nn.Linear(neurons, 1, engine=engine, seed=random),
    )
    if l1 or l2:
        settings["penalty"] = lambda weights: l1 * nn.l1_penalty(weights) + l2 * nn.l2_penalty(weights)
    optimizer = nn.Adam(model.parameters(), lr=lr)
    history = nn.fit(model, parts[0], nn.mse_loss, optimizer, epochs, batch, validation=parts[1], **settings)
    return model, history


def loss_on(model, samples):
    return nn.evaluate(model, samples, "mse")["mse"]


parts = patients(0)
model, plain = train(parts)
lowest = int(np.argmin(plain.validation_loss))
print(f"1. {rows} patients to learn from, {len(parts[1][0])} to choose by, {len(parts[2][0])} to judge by")
print(f"   {'':26}  {'training loss':>13}  {'validation loss':>15}")
for name, epoch in ((f"lowest, in epoch {lowest + 1}", lowest), (f"last, in epoch {long}", long - 1)):
    print(f"   {name:26}  {plain.loss[epoch]:13.3f}  {plain.validation_loss[epoch]:15.3f}")
assert np.isclose(np.mean(parts[0][1] ** 2), 1)  # the loss of answering the mean, which is 0 here
if full:
    assert sum(np.size(parameter) for parameter in model.parameters()) == 1537
    assert 0 < lowest < 20
    assert plain.loss[-1] < plain.loss[lowest] / 5
    assert plain.loss[-1] < 0.1
    assert plain.validation_loss[-1] > 1.2 * plain.validation_loss[lowest]
    assert plain.validation_loss[-1] > plain.validation_loss[0]

ax = viz.early_stopping_curve(plain)
ax.set_title(f"A network 10-{hidden}-1 learns {rows} patients by heart")
ax.legend(loc="lower left")
ax.figure.set_size_inches(8, 4)
ax.figure.savefig(figures / "turning_up.svg", metadata={"Date": None}, bbox_inches="tight")

# %% [markdown]
# ## 2. When to stop
#
# The simplest cure is to stop in time: **early stopping**. After each epoch one looks at the validation loss, keeps a
# copy of the weights whenever it is the lowest so far, and stops when it has not been lower for a number of epochs, the
# **patience**. Then the copy is put back. The patience is there because the curve trembles: the first epoch that is a
# little worse than the one before need not be the turning point. (Below, the third epoch fools a patience of 1.)
#
# That is not the same as to stop when training has **converged**. A loss curve has no last step: it only gets flatter.
# "Converged" is therefore an empty word without a rule. One such rule: *the training loss has not improved by more than
# 0.01 for 10 epochs*. It tells when the optimizer has come to rest, and nothing about patients that the network has
# not seen: here it stops late, when the network has long been overfitting.
#
# `nn.EarlyStopping` does both. It says in words why it stopped, in `history.stopped`:

# %%
rules = {
    "patience 1": nn.EarlyStopping(patience=1),
    "patience 10": nn.EarlyStopping(patience=10),
    "converged": nn.EarlyStopping("loss", patience=10, min_delta=0.01, restore_best=False),
}
print("\n2. Three rules to stop by")
stopped = {}
for name, rule in rules.items():
    model, history = train(parts, epochs=4 * long, callbacks=[rule])
    stopped[name] = history, loss_on(model, parts[1])
    print(f"   {name}: {len(history.loss)} epochs, validation loss {stopped[name][1]:.3f}")
    print(f"      {history.stopped or 'not stopped'}")
if full:
    patient, converged = stopped["patience 10"], stopped["converged"]
    assert all(history.stopped for history, _ in stopped.values())
    assert np.isclose(patient[1], min(patient[0].validation_loss), rtol=1e-4)  # the best weights were restored
    assert len(patient[0].loss) == patient[0].best_epoch + 10
    assert len(converged[0].loss) > 2 * len(patient[0].loss)
    assert converged[1] > 1.15 * patient[1]
    assert len(stopped["patience 1"][0].loss) == 3
    assert stopped["patience 1"][1] > patient[1]

# %% [markdown]
# ## 3. Five cures
#
# 1. **Smaller capacity**: fewer neurons. What has few weights cannot learn much by heart.
# 2. **Dropout**: in each training step every hidden neuron is left out with probability p, chosen anew each time (and
#    the others multiplied by 1 / (1 - p), to make up for them). No neuron can rely on any other one. When it answers,
#    the network uses all of them; `model.eval()` switches, and `fit` and `predict` do that themselves.
# 3. **L1 penalty**: factor × the sum of the sizes |w| of all weights and biases is added to the loss. Its slope is
#    +factor or -factor however small the weight: whatever the loss does not need is pulled all the way to 0 (but for
#    the size of a step).
# 4. **L2 penalty**: factor × the sum of the squares w². Its slope, 2 × factor × w, fades as the weight gets small:
#    large weights are pulled hard, small ones hardly. It rather spreads a task over many small weights than leave it to
#    a few large ones.
# 5. **Early stopping**: as above.
#
# In the four steps, dropout is part of the forward step, a penalty part of the loss. `history.loss` is without the
# penalty, and with the neurons dropped: with much dropout the training curve shows a network that is handicapped.
#
# Each cure is a **dial**: at one end nothing happens, and the network overfits; at the other end the cure is so strong
# that too little is learned, and the network underfits. In between lies the best place. Left to right in each panel:
# stronger and stronger. The gap between the two curves is the overfitting. Where the training loss has come up to 1, as
# with too strong a penalty, the network answers the mean. (That the validation loss then ends below 1 is chance: these
# patients happen to lie closer to the mean than those of training.)
#
# ![Training and validation loss for five cures, from no cure to too much of it](../docs/five_dials.svg)
#
# (One dial does not reach its far end: on these data a single neuron is not too few. They hold little more than one
# direction in which patients get worse. On the digits of lesson 4, one neuron is far too few, even for the samples it
# learns from.)

# %%
dials = {
    "neurons": [hidden, 16, 4, 2, 1] if full else [hidden, 2, 1],
    "dropout": [0.0, 0.2, 0.5, 0.8, 0.98] if full else [0.0, 0.5, 0.98],
    "l1": [0.0, 0.003, 0.01, 0.03, 0.3] if full else [0.0, 0.03, 0.3],
    "l2": [0.0, 0.003, 0.03, 0.1, 1.0] if full else [0.0, 0.03, 1.0],
    "epochs": [long, 30, 10, 5, 1] if full else [long, 3, 1],
}
titles = dict(zip(dials, ("fewer neurons", "dropout", "L1 penalty", "L2 penalty", "fewer epochs"), strict=True))
all_parts = [patients(split) for split in range(splits)]
table = {}  # losses on the three parts, by cure, strength and split
for split, divided in enumerate(tqdm(all_parts, desc="ways to divide the patients")):
    uncured, _ = train(divided)
    for cure, strengths in dials.items():
        for strength in strengths:
            model = uncured if strength == strengths[0] else train(divided, **{cure: strength})[0]
            table[cure, strength, split] = [loss_on(model, part) for part in divided]
curves = {  # (strengths, 3), the mean over the splits
    cure: np.array(
        [np.mean([table[cure, strength, split] for split in range(splits)], axis=0) for strength in strengths]
    )
    for cure, strengths in dials.items()
}
print("\n3. Five dials: validation loss (in brackets training loss)")
print(f"   Means over {splits} ways to divide the patients" if splits > 1 else "   One way to divide the patients")
for cure, strengths in dials.items():
    cells = [f"{s:g}: {v:.2f} ({t:.2f})" for s, (t, v, _) in zip(strengths, curves[cure], strict=True)]
    print(f"   {cure:7}  " + "  ".join(f"{cell:>19}" for cell in cells))
if full:
    for cure, curve in curves.items():
        training, validation, _ = curve.T
        assert validation.argmin() > 0, cure  # some of the cure is better than none
        assert validation.min() < 0.8 * validation[0], cure
        assert validation[0] - training[0] > 5 * (validation - training)[-1], cure  # the gap closes
        if cure != "neurons":
            assert validation[-1] > validation.min() + 0.03, cure  # too much of it is worse again
    for cure in ("l1", "l2"):
        training, validation, _ = curves[cure][-1]
        assert abs(training - 1) < 0.02
        assert abs(validation - np.mean([np.mean(choose[1] ** 2) for _learn, choose, _judge in all_parts])) < 0.02

    images, labels = load_digits(return_X_y=True)
    seen, right = (images / 16, labels), {}
    for neurons in (1, 32):
        model = nn.MLP([64, neurons, 10], "tanh", engine=engine, seed=0)
        nn.fit(model, seen, nn.cross_entropy, nn.Adam(model.parameters(), lr=0.01), 20, 32)
        right[neurons] = nn.evaluate(model, seen, "accuracy")["accuracy"]
    print(f"   On the digits, right answers to what was learned: {right[1]:.0%} with 1 neuron, {right[32]:.0%} with 32")
    assert right[1] < 0.6 < 0.9 < right[32]

figure, axes = plt.subplots(1, 5, figsize=(12, 3.4), layout="constrained", sharey=True)
for ax, (cure, strengths) in zip(axes, dials.items(), strict=True):
    ax.plot(curves[cure][:, 0], "o-", color=BLUE, label="training")
    ax.plot(curves[cure][:, 1], "o--", color=ORANGE, label="validation")
    ax.axhline(1, color="#9ca3af", linewidth=1, linestyle=":")
    ax.set(title=titles[cure], xticks=range(len(strengths)), xticklabels=[f"{s:g}" for s in strengths], ylim=(0, 1.2))
axes[0].set_ylabel("loss")
axes[0].text(0, 1.02, "answering the mean", color="#4b5563", va="bottom")
axes[2].legend(loc="lower right")
figure.supxlabel("weaker cure, overfitting   ←   →   stronger cure, underfitting", fontsize=10)
figure.savefig(figures / "five_dials.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Side by side
#
# For each cure the strength with the lowest validation loss is chosen, anew for each way of dividing the patients. Now
# the test samples judge, for the first time. As a yardstick, there is also the plain straight line (more precisely a
# linear prediction, by least squares), which has 11 numbers to learn.
#
# Two things to see. Every cure helps, and by much: how you hold a network back is less important than that you do. And
# none of them is clearly better than the straight line. A cure takes away the harm of too many weights; it does not
# make them useful. There is nothing in these data that needs a network of 128 neurons, and no cure can put it there.
#
# The two penalties get to the same loss by different ways, as section 3 said. A neuron counts as in use where its
# largest input weight times its output weight is above 0.001. Without a cure nearly all 128 are; L1 leaves a handful;
# L2 keeps several times as many, each with a small say. (It lets the rest fade too: once one of a neuron's weights is
# small, the loss pulls less at its other ones, and the penalty wins there as well.)
#
# In the panel for dropout, the training curve is that of the handicapped network; so it lies higher, and trembles.
#
# ![The curves of training with each of the cures](../docs/five_cures.svg)

# %%
straight = np.mean(
    [np.mean((LinearRegression().fit(*learn).predict(judge[0]) - judge[1]) ** 2) for learn, _choose, judge in all_parts]
)
chosen, judged = {}, {}
for cure, strengths in dials.items():
    losses = np.array([[table[cure, strength, split] for strength in strengths] for split in range(splits)])
    best = losses[:, :, 1].argmin(axis=1)  # by the validation loss, for each split
    chosen[cure] = [strengths[place] for place in best]
    judged[cure] = losses[range(splits), best, 2].mean()
none = curves["neurons"][0, 2]
print("\n4. The test samples judge")
print(f"   {'':14}  {'test loss':>9}  strength chosen in each of the divisions")
print(f"   {'no cure':14}  {none:9.3f}")
for cure, loss in judged.items():
    print(f"   {titles[cure]:14}  {loss:9.3f}  {', '.join(f'{strength:g}' for strength in chosen[cure])}")
print(f"   {'straight line':14}  {straight:9.3f}")
if full:
    assert max(judged.values()) < 0.8 * none
    assert min(judged.values()) > 0.9 * straight

figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
panels = {"no cure": {}} | {f"{titles[cure]}: {chosen[cure][0]:g}": {cure: chosen[cure][0]} for cure in dials}
in_use = {}
for ax, (name, settings) in zip(axes.flat, panels.items(), strict=True):
    model, history = train(parts, **settings)
    strength = np.abs(np.array(model[0].weight)).max(axis=1) * np.abs(np.array(model[3].weight))[0]
    in_use[name.split(":")[0]] = int((strength > 0.001).sum())
    epochs = range(1, len(history.loss) + 1)
    ax.plot(epochs, history.loss, color=BLUE, label="training")
    ax.plot(epochs, history.validation_loss, "--", color=ORANGE, label="validation")
    ax.set(title=name, ylim=(0, 1.2))
for ax in axes[1]:
    ax.set_xlabel("epoch")
for ax in axes[:, 0]:
    ax.set_ylabel("loss")
axes[0, 1].legend(loc="lower right")
figure.savefig(figures / "five_cures.svg", metadata={"Date": None})
counts = ", ".join(f"{name} {in_use[name]}" for name in ("no cure", "L1 penalty", "L2 penalty"))
print(f"   hidden neurons in use after training (first division): {counts}")
if full:
    assert in_use["L1 penalty"] <= 10
    assert 3 * in_use["L1 penalty"] < in_use["L2 penalty"] < 100
    assert in_use["no cure"] > 120

# %%
print(f"\n5. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("turning_up.svg", "five_dials.svg", "five_cures.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** 340 patients to learn from instead of 200, and 50 (`rows`): more data is the best cure of all, where one can
# have it; how wide is the gap now without a cure? Two cures at once, dropout 0.5 and L2 0.01: do they add up? Choose
# the strengths by the training loss instead of the validation loss: what is chosen, and how does it fare with the test
# samples? Run your variants with `python -O`, which skips the assertions: they state what holds for the numbers above.
