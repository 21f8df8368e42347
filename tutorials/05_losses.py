# %% [markdown]
# # Losses
#
# A network does not know what you want. It is told one number after each answer, the **loss**: the larger, the worse.
# Training makes this number small, and nothing else. So the choice of the loss is the choice of what counts as bad, and
# how bad. This lesson works out the common losses by hand, has both engines compute them, draws each with its slope,
# and ends with a network that can hardly learn because its loss is the wrong one. Run it with
# `.venv/bin/python tutorials/05_losses.py`, or cell by cell; `--engine micro` runs the trainings, too, in plain Python,
# with one in thirty of the patients and tumours.

# %%
import argparse
import math
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="Losses.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro trains on far fewer samples")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
take_every = 1 if engine is fast else 30  # of the samples
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"


def both(loss, prediction, target, **settings):
    """A loss and its gradient with respect to the predictions, by both engines; they must agree."""
    results = []
    for one in (micro, fast):
        predicted = one.tensor(np.array(prediction, float), requires_grad=True)
        value = loss(predicted, one.tensor(np.array(target)), **settings)
        value.backward()
        results.append((value.item(), np.array(predicted.grad, float)))
    (slow, slow_grad), (quick, quick_grad) = results
    assert math.isclose(slow, quick, rel_tol=1e-12, abs_tol=1e-15)
    assert np.allclose(slow_grad, quick_grad, rtol=1e-12, atol=1e-15)
    return slow, slow_grad


# %% [markdown]
# ## 1. Darts
#
# A loss says how far the darts fall from the centre of the board. Nothing else: whether a thrower aims at the wrong
# spot or has a shaky hand is all the same to it. But the two call for different cures, and for the mean squared
# distance there is an exact account: it is the square of the **bias** (how far the middle of all throws is from the
# centre) plus the mean squared distance of the throws from their own middle, the square of their **spread** (this
# square is also called the **variance**).
#
# With networks it is the same. A network that is too simple misses in the same way whatever samples it was trained on:
# bias. One that is too flexible for its few samples answers differently each time it is trained on others: variance.
# The loss alone does not say which it is; the loss on samples never trained on, compared with that on the training
# samples, gives a hint (lesson 4).
#
# (This bias has only its name in common with the bias of a neuron, the number that is added to its weighted inputs. In
# the sections below the word means that number.)
#
# ![Three throwers with bias and spread](../docs/darts.svg)

# %%
random = np.random.default_rng(3)
throwers = {
    "aims badly, steady hand": [2.2, 1.4] + 0.5 * random.normal(size=(40, 2)),
    "aims well, shaky hand": 1.8 * random.normal(size=(40, 2)),
    "aims well, steady hand": 0.5 * random.normal(size=(40, 2)),
}
print("1. Darts: the mean squared distance from the centre")
print(f"   {'':23}  {'loss':>6}  {'bias²':>6}  {'spread²':>7}")
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained", sharex=True, sharey=True)
for ax, (name, throws) in zip(axes, throwers.items(), strict=True):
    middle = throws.mean(axis=0)
    loss = 2 * both(nn.mse_loss, throws, np.zeros_like(throws))[0]  # nn's mean is over both coordinates
    bias_squared, spread_squared = (middle**2).sum(), ((throws - middle) ** 2).sum(axis=1).mean()
    print(f"   {name:23}  {loss:6.3f}  {bias_squared:6.3f}  {spread_squared:7.3f}")
    assert math.isclose(loss, bias_squared + spread_squared)
    for radius in (1, 2, 3, 4):
        ax.add_patch(plt.Circle((0, 0), radius, fill=False, color="#d1d5db"))
    ax.plot(*throws.T, ".", color=BLUE, label="throws")
    ax.plot(*middle, "X", color=ORANGE, markersize=9, markeredgecolor="white", label="their middle")
    ax.set(title=f"{name}\n{loss:.2f} = {bias_squared:.2f} + {spread_squared:.2f}")
    ax.set(aspect="equal", xlim=(-5, 5), ylim=(-5, 5))
    ax.grid(False)
    ax.set_axis_off()
axes[0].legend(loc="lower left")
figure.suptitle("loss = bias² + spread²")
figure.savefig(figures / "darts.svg", metadata={"Date": None})

# %% [markdown]
# ## 2. Numbers: squared, absolute, Huber
#
# A house is worth 300 (thousand dollars, as all prices here). One network says 250, another 290: errors of -50 and -10.
#
# - **Mean squared error** (MSE): the square of the error. The first network is 5 times as far off and its loss 25 times
#   as large. MSE hates large errors: its slope, 2 × error, grows with the error.
# - **Absolute error** (L1): the error without its sign. 5 times as far off, 5 times as large. Its slope is +1 or -1,
#   however small the error: it never calms down near the truth, and at the truth itself it has a kink.
# - **Huber loss**: a parabola near zero, a straight line beyond an error of delta. Calm near the truth, and no
#   outlier pulls harder than delta.
#
# ![Three losses for numbers, and their slopes](../docs/losses_of_numbers.svg)

# %%
print("\n2. Houses worth 300, in thousands of dollars")
print(f"   {'answer':>6}  {'error':>5}  {'squared':>7}  {'absolute':>8}  {'Huber, delta 20':>15}")
houses = {}
for answer in (250.0, 290.0):
    houses[answer] = [
        both(nn.mse_loss, [answer], [300.0])[0],
        both(nn.l1_loss, [answer], [300.0])[0],
        both(nn.huber_loss, [answer], [300.0], delta=20.0)[0],
    ]
    squared, absolute, huber = houses[answer]
    print(f"   {answer:6g}  {answer - 300:5g}  {squared:7g}  {absolute:8g}  {huber:15g}")
assert houses == {250.0: [2500, 50, 800], 290.0: [100, 10, 50]}  # 20 * (50 - 10) and 10² / 2
assert houses[250.0][0] / houses[290.0][0] == 25


def draw_losses(named, places, target, xlabel, path, title, jumps):
    """Each loss over the prediction, and below it its slope. jumps: where the slope of a loss jumps, by its name."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), layout="constrained", sharex=True, height_ratios=[3, 2])
    styles = zip(named.items(), (BLUE, ORANGE, GREEN), ("-", "--", "-."), strict=False)
    for (name, (loss, extra)), colour, line in styles:
        values, slopes = zip(*[both(loss, [place], [target], **extra) for place in places], strict=True)
        above.plot(places, values, line, color=colour, linewidth=2, label=name)
        slopes = np.where(np.isclose(places, jumps.get(name, np.inf)), np.nan, np.ravel(slopes))  # nan leaves a gap
        below.plot(places, slopes, line, color=colour, linewidth=2)
    above.set(ylabel="loss", title=title, ylim=(0, 6))
    below.set(ylabel="slope of the loss", xlabel=xlabel)
    above.legend()
    below.axhline(0, color="#9ca3af", linewidth=1)
    figure.savefig(path, metadata={"Date": None})


draw_losses(
    {
        "squared (MSE)": (nn.mse_loss, {}),
        "absolute (L1)": (nn.l1_loss, {}),
        "Huber, delta 1": (nn.huber_loss, {"delta": 1.0}),
    },
    np.linspace(-3, 3, 301),
    0.0,
    "prediction - truth",
    figures / "losses_of_numbers.svg",
    "What an error costs, and how hard it pulls",
    {"absolute (L1)": 0.0},
)

# %% [markdown]
# What that does to a fit shows where the data have an outlier. The task: predict from the body mass index of 442
# patients how their diabetes had advanced a year later, with a straight line (a "network" of a single weight and a
# bias). Then one typing error: the disease score of the patient with the highest index is multiplied by 30. Each loss
# is minimised to the end, with and without the error; what counts is how far the line turns because of it.
#
# The squared error follows the outlier, since a mean follows every number: the best constant answer under MSE is the
# mean of the targets. Under L1 it is the median, which one outlier hardly moves.
#
# ![A line through the data, with one outlier, for three losses](../docs/outlier.svg)

# %%
patients = load_diabetes()
body_mass = StandardScaler().fit_transform(patients.data[::take_every, 2:3])
disease = patients.target[::take_every].reshape(-1, 1) / 100
spoilt = disease.copy()
spoilt[body_mass.argmax()] *= 30
lines = {}
print(f"\n2b. The slope of a line through {len(disease)} patients, and with one typing error among them")
print(f"   {'loss':14}  {'clean':>6}  {'spoilt':>6}  {'turned by':>9}")
for name, loss in {"squared (MSE)": nn.mse_loss, "absolute (L1)": nn.l1_loss, "Huber, delta 1": nn.huber_loss}.items():
    for targets in (disease, spoilt):
        line = nn.Linear(1, 1, engine=engine, seed=0, dtype="float64")
        optimizer = nn.SGD(line.parameters(), lr=0.2)
        smaller = nn.Schedule(nn.ExponentialLR(optimizer, 0.99))  # L1 never calms down by itself: ever smaller steps
        nn.fit(line, (body_mass, targets), loss, optimizer, 500, callbacks=[smaller])
        lines.setdefault(name, []).append((line.weight.item(), line.bias.item()))
    (clean, _), (turned, _) = lines[name]
    print(f"   {name:14}  {clean:6.3f}  {turned:6.3f}  {turned / clean - 1:9.0%}")
expected = np.polyfit(body_mass[:, 0], spoilt[:, 0], 1)  # MSE has an exact solution to compare with
assert np.allclose(lines["squared (MSE)"][1], expected, rtol=1e-6)
changes = {name: abs(spoilt[0] / clean[0] - 1) for name, (clean, spoilt) in lines.items()}
assert changes["squared (MSE)"] > 10 * max(changes["absolute (L1)"], changes["Huber, delta 1"])

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(body_mass, spoilt, ".", color="#9ca3af", markersize=4)
outside = body_mass.max()
ax.annotate(f"one typing error\nat {spoilt.max():.0f}, far above", (outside, 5.6), (outside / 2, 4.6), ha="center",
            color="#4b5563", arrowprops={"arrowstyle": "->", "color": "#4b5563"})  # fmt: skip
ends = np.array([body_mass.min(), body_mass.max()])
for (name, (_, (weight, bias))), colour, line in zip(
    lines.items(), (BLUE, ORANGE, GREEN), ("-", "--", "-."), strict=True
):
    ax.plot(ends, weight * ends + bias, line, color=colour, linewidth=2, label=name)
ax.set(xlabel="body mass index, standardised", ylabel="disease score / 100", ylim=(0, 5.6))
ax.set_title(f"{len(disease)} patients, one typing error, three losses")
ax.legend(loc="upper left")
ax.figure.savefig(figures / "outlier.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. Yes or no: binary cross-entropy
#
# Where the answer is yes or no, the network gives a probability p of yes. **Binary cross-entropy** is minus the
# logarithm of the probability that was given to what turned out to be true: -log(p) where the truth is yes, -log(1 - p)
# where it is no. To be unsure costs a little, to be right and sure next to nothing; to be sure and wrong costs without
# limit. That is why the loss tells apart two networks that are both wrong: 0.40 for a yes is a mild error, 0.01 a
# grave one, five times as dear.
#
# (At p = 0 the logarithm is infinite. As in PyTorch, the logarithms here stop at -100.)

# %%
print("\n3. Binary cross-entropy where the truth is yes")
worked = {0.95: 0.0513, 0.50: 0.6931, 0.40: 0.916, 0.10: 2.3026, 0.01: 4.605}
for probability, expected in worked.items():
    loss, _ = both(nn.binary_cross_entropy, [probability], [1.0])
    print(f"   p = {probability:4.2f}  {loss:7.4f}")
    assert abs(loss - expected) < 0.0005
    assert math.isclose(loss, -math.log(probability))
assert both(nn.binary_cross_entropy, [0.0], [1.0])[0] == 100.0

# %% [markdown]
# How does a network give a probability? Its last neuron gives any number, a **logit**, and the sigmoid,
# 1 / (1 + exp(-logit)), maps it to between 0 and 1. Losses "with logits" do both at once, which avoids overflow, and
# have a simple slope: the loss changes with the logit at a rate of p - truth. Where the truth is yes, that is nearly -1
# for an answer that is sure and wrong, and nearly 0 for one that is sure and right.
#
# Compare MSE of the same probability. Its slope has a factor p (1 - p) from the sigmoid, which vanishes where p is
# close to 0 or 1, **even if that is utterly wrong**. Such a network is punished, but hardly feels in which direction it
# gets better: it stands on a high plain. The **hinge loss** takes the score as it is, with no sigmoid, for targets
# -1 and +1: max(0, 1 - target × score). It asks for a margin of 1 and nothing more.
#
# ![Three losses for yes or no, and their slopes](../docs/losses_of_decisions.svg)


# %%
def mse_of_probability(logits, target):
    return nn.mse_loss(logits.sigmoid(), target)


print("\n3b. Where the truth is yes: slopes with respect to the logit")
print(f"   {'logit':>5}  {'p':>8}  {'cross-entropy':>13}  {'squared error':>13}  {'hinge':>5}")
for logit in (-8.0, -2.0, 0.0, 2.0, 8.0):
    p = 1 / (1 + math.exp(-logit))
    (_, crossed), (_, squared), (_, hinged) = [
        both(loss, [logit], [1.0]) for loss in (nn.binary_cross_entropy_with_logits, mse_of_probability, nn.hinge_loss)
    ]
    print(f"   {logit:5g}  {p:8.5f}  {crossed[0]:13.5f}  {squared[0]:13.5f}  {hinged[0]:5g}")
    assert math.isclose(crossed[0], p - 1, rel_tol=1e-9)
    assert math.isclose(squared[0], 2 * (p - 1) * p * (1 - p), rel_tol=1e-9)
assert both(nn.hinge_loss, [-2.0], [1.0])[0] == 3.0

draw_losses(
    {
        "cross-entropy of the sigmoid": (nn.binary_cross_entropy_with_logits, {}),
        "squared error of the sigmoid": (mse_of_probability, {}),
        "hinge": (nn.hinge_loss, {}),
    },
    np.linspace(-6, 6, 301),
    1.0,
    "logit (score); the truth is yes",
    figures / "losses_of_decisions.svg",
    "Far on the wrong side, the squared error has hardly any slope",
    {"hinge": 1.0},
)

# %% [markdown]
# ## 4. Which of many: cross-entropy
#
# With more than two classes the network gives one logit for each. **Softmax** makes probabilities of them: exp(logit),
# divided by the sum over all classes. **Cross-entropy** is minus the logarithm of the probability of the true class.
# The slope is again probability minus truth, for every class. Only differences between logits count: add 1000 to all of
# them, and nothing changes, though exp(1000) is too large for the computer; that is why the loss takes logits and
# not probabilities.
#
# A useful yardstick: whoever gives each of C classes the same probability has a loss of log(C). A network for ten
# digits should start near 2.30. If it starts far above, its first answers are confidently wrong.

# %%
logits = [2.0, 1.0, -1.0]
loss, slopes = both(nn.cross_entropy, [logits], [0])
powers = [math.exp(logit) for logit in logits]
probabilities = [power / sum(powers) for power in powers]
print("\n4. Cross-entropy: logits 2, 1 and -1, the truth is the first class")
print("   probabilities", " ".join(f"{p:8.4f}" for p in probabilities))
print("   slopes       ", " ".join(f"{slope:8.4f}" for slope in slopes[0]))
print(f"   loss {loss:.4f} = -log({probabilities[0]:.4f}); of equal probabilities for ten classes: {math.log(10):.4f}")
assert math.isclose(loss, -math.log(probabilities[0]))
assert np.allclose(slopes[0], np.array(probabilities) - [1, 0, 0])
assert math.isclose(both(nn.cross_entropy, [[1002.0, 1001.0, 999.0]], [0])[0], loss)
assert math.isclose(both(nn.cross_entropy, [[0.0] * 10], [7])[0], math.log(10))

# %% [markdown]
# ## 5. A network that can hardly learn
#
# Now the plain of section 3 in a real training. Tumours are to be told apart, malignant or benign, by 30 measurements,
# with one neuron and a sigmoid. It starts with weights that are confidently wrong: it was trained on the opposite
# labels, as happens when a network that learned one task is put to another one. Both losses then start from the very
# same weights, with the same learning rate. Cross-entropy turns the network round. With the
# squared error the worst answers have hardly any slope, and after as many steps hardly anything has changed.
#
# With small random weights, where no answer is sure yet, both learn: the squared error is then usable. It is the
# confident mistakes that it can hardly mend.
#
# ![The same wrong network, trained with two losses](../docs/confidently_wrong.svg)

# %%
measurements, benign = (part[::take_every] for part in load_breast_cancer(return_X_y=True))
x_train, x_test, y_train, y_test = train_test_split(
    measurements, benign.reshape(-1, 1).astype(float), test_size=0.3, random_state=0, stratify=benign
)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)


class Accuracy(nn.Callback):
    """The share of right answers on the test samples, after every epoch."""

    def __init__(self):
        self.shares = []

    def on_epoch_end(self, run):
        self.shares.append(float(((nn.predict(run.model, x_test) > 0) == (y_test > 0.5)).mean()))


wrong = nn.Linear(30, 1, engine=engine, seed=0, dtype="float64")
opposite = nn.SGD(wrong.parameters(), lr=1.0)
nn.fit(wrong, (x_train, 1 - y_train), nn.binary_cross_entropy_with_logits, opposite, 300)
fresh = nn.Linear(30, 1, engine=engine, seed=0, dtype="float64")
starts = {"wrong": wrong.state_dict(), "random": fresh.state_dict()}
losses = {"cross-entropy": nn.binary_cross_entropy_with_logits, "squared error": mse_of_probability}
shares = {}
print(f"\n5. Learning from a confidently wrong and from a random start: right answers on {len(y_test)} tumours")
print(f"   {'start':6}  {'loss':13}  {'step 1':>6}  {'step 10':>7}  {'step 100':>8}  {'step 300':>8}")
for start, weights in starts.items():
    for name, loss in losses.items():
        model = nn.Linear(30, 1, engine=engine, seed=0, dtype="float64")
        model.load_state_dict(weights)
        watch = Accuracy()
        nn.fit(model, (x_train, y_train), loss, nn.SGD(model.parameters(), lr=0.1), 300, callbacks=[watch])
        shares[start, name] = watch.shares
        seen = [watch.shares[step - 1] for step in (1, 10, 100, 300)]
        print(f"   {start:6}  {name:13}  {seen[0]:6.0%}  {seen[1]:7.0%}  {seen[2]:8.0%}  {seen[3]:8.0%}")
assert shares["wrong", "cross-entropy"][-1] > 0.9 > 0.3 > shares["wrong", "squared error"][-1]
assert min(shares["random", name][-1] for name in losses) > 0.9

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for ((_, name), curve), colour, line in zip(shares.items(), (BLUE, ORANGE), ("-", "--"), strict=False):
    ax.plot(range(1, 301), curve, line, color=colour, linewidth=2, label=name)
ax.set(xlabel="step", ylabel="right answers on the test samples", ylim=(0, 1), title="Starting from sure and wrong")
ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
ax.legend(loc="center right")
ax.figure.savefig(figures / "confidently_wrong.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in (
    *("darts.svg", "losses_of_numbers.svg", "outlier.svg"),
    *("losses_of_decisions.svg", "confidently_wrong.svg"),
):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** a third network that says 310 for the house of 300: which losses can tell it from the one that says 290, and
# should they? Huber's delta of 0.1 and of 100 in the fit with the outlier: which of the other two losses does it come
# close to? Put the ten-class yardstick to the test: what is the loss of an untrained network on the digits of lesson 4?
# Run your variants with `python -O`, which skips the assertions: they state what holds for the numbers above.
