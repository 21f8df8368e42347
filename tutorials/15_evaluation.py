# %% [markdown]
# # Evaluation
#
# The loss is what training makes small. It is seldom what you want to know: how often is the answer right, how many of
# the ill are found, by how much is the price wrong? **Metrics** answer such questions. They play no part in the four
# steps (forward, loss, backward, update), for most have no useful slope: an accuracy does not change at all when a
# weight changes a little, until suddenly one answer flips. So one trains with a loss, and judges with metrics, on
# samples that were never trained on. This lesson shows what each metric says, and how the best known of them misleads.
#
# Run it with `.venv/bin/python tutorials/15_evaluation.py`, or cell by cell; `--engine micro` runs a small version,
# number by number in plain Python, that is too short for most of the results claimed here.

# %%
import argparse
import math
import time
from functools import partial
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="Evaluation.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro runs a small version")
arguments = parser.parse_known_args()[0]
figures, engine, full = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine], arguments.engine == "fast"
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6b7280"

# %% [markdown]
# ## 1. Four counts
#
# A filter gives each of ten mails a **score**, and calls spam what is above a **threshold**, here 0. Four of the ten
# are spam. It calls five of the ten spam, three of them rightly, and misses one. All that can be said about yes-or-no
# answers is in four counts, the **confusion matrix**: a row for each truth, a column for each answer.
#
# | | called ham | called spam |
# |---|---|---|
# | **is ham** | 4 true negatives | 2 false positives (false alarms) |
# | **is spam** | 1 false negative (missed) | 3 true positives |
#
# - **Accuracy**: the share of right answers, (4 + 3) / 10.
# - **Precision**: of those called spam, the share that is: 3 / (3 + 2). Who hates false alarms looks at it.
# - **Recall**: of all spam, the share that was found: 3 / (3 + 1). Who must not miss any looks at it.
# - **F1**: 2 × precision × recall / (precision + recall), their harmonic mean. It is high only if both are; of 1.0 and
#   0.0 it makes 0, where the usual mean would be 0.5.
#
# Precision and recall are those of the class that one looks for, the **positive** one; in `nn.evaluate` it is the
# larger of the two, here 1. What you should see: they are a trade. With a higher threshold the filter raises no false
# alarm, and misses most of the spam; that of 0 and it have the same accuracy, though they are anything but the same. If
# it calls everything spam, recall is 1 and precision 0.4.

# %%
scores = np.array([-3.0, -2.5, -2.0, -1.0, 0.3, 1.2, -0.2, 0.8, 1.0, 3.0])[:, None]
spam = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])[:, None]
as_it_is = nn.Linear(1, 1, engine=engine, seed=0, dtype="float64")  # a network that answers with the score it is given
as_it_is.load_state_dict({"weight": [[1.0]], "bias": [0.0]})
names = ["accuracy", "precision", "recall", "f1"]
print("1. Ten mails")
print(f"   {'called spam':16}  " + "  ".join(f"{name:>9}" for name in names))
mails = {}
for title, threshold in {"score above 0": 0.0, "score above 1.5": 1.5, "every mail": -9.0}.items():
    mails[title] = nn.evaluate(as_it_is, (scores, spam), [*names, "confusion_matrix"], threshold=threshold)
    print(f"   {title:16}  " + "  ".join(f"{mails[title][name]:9.3f}" for name in names))
usual, strict, every = mails.values()
assert usual["confusion_matrix"].tolist() == [[4, 2], [1, 3]]
assert np.allclose([usual[name] for name in names], [7 / 10, 3 / 5, 3 / 4, 2 / 3])
assert (strict["precision"], strict["recall"], strict["accuracy"]) == (1.0, 0.25, usual["accuracy"])
assert (every["precision"], every["recall"]) == (0.4, 1.0)

# %% [markdown]
# ## 2. Ten classes
#
# With more classes the matrix grows, and tells more than any single number: which digit is taken for which. Precision,
# recall and F1 exist for each class. The **macro** mean counts all classes alike; the **weighted** one counts each as
# often as it occurs. (Here they hardly differ, as the ten digits are equally frequent. Section 3 shows the difference.)
#
# Here one layer, without a hidden one, learns to read digits. What you should see: most of them are on the diagonal,
# and the mistakes are not spread evenly. A 0 is hardly ever missed; the 8 is missed most often.
#
# ![Which digit was taken for which](../docs/digits_confusion.svg)

# %%
images, digits = load_digits(return_X_y=True)
images = images / 16.0
x_train, x_test, y_train, y_test = train_test_split(images, digits, test_size=0.5, random_state=0, stratify=digits)
if not full:
    x_train, x_test, y_train, y_test = x_train[:100], x_test[:100], y_train[:100], y_test[:100]
reader = nn.Linear(64, 10, engine=engine, seed=0, dtype="float64")
nn.fit(reader, (x_train, y_train), nn.cross_entropy, nn.SGD(reader.parameters(), lr=0.1), 15 if full else 3, 32)
found = nn.evaluate(reader, (x_test, y_test), ["accuracy", "f1_macro", "f1_weighted", "confusion_matrix"])
matrix = found["confusion_matrix"]
recalls = np.diag(matrix) / matrix.sum(axis=1)
mistakes = matrix - np.diag(np.diag(matrix))
worst = ", ".join(f"{truth} taken for {answer}" for truth, answer in np.argwhere(mistakes == mistakes.max()))
print(f"\n2. {len(x_test)} digits never trained on")
print("   " + "  ".join(f"{name} {value:.3f}" for name, value in found.items() if name != "confusion_matrix"))
print("   recall of each digit: " + "  ".join(f"{digit}: {recall:.0%}" for digit, recall in enumerate(recalls)))
print(f"   the most frequent mistake, made {mistakes.max()} times: {worst}")
assert matrix.sum() == len(x_test)
assert np.isclose(np.trace(matrix) / matrix.sum(), found["accuracy"])
if full:
    assert abs(found["f1_macro"] - found["f1_weighted"]) < 0.005
    assert found["accuracy"] > 0.9
    assert mistakes.max() > 5 * mistakes.sum() / 90  # of 90 kinds of mistakes
    assert recalls[0] > 0.95
    assert recalls.argmin() == 8

ax = viz.confusion_matrix(matrix)
ax.grid(False)
ax.figure.set_size_inches(7, 5.6)
ax.set_title(f"{len(x_test)} digits: {found['accuracy']:.1%} right")
ax.figure.savefig(figures / "digits_confusion.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. Why accuracy misleads
#
# Now another question about the same pictures: is it an 8? One in ten is. Whoever says "no" without looking is right in
# nine of ten cases. An accuracy of 90 % sounds like a good network and may be no network at all. So it is with rare
# diseases, fraud, and broken parts: the rarer the class, the closer to 100 % is the accuracy of the useless answer.
#
# The figure shows what happens in training. Validation samples, on which nothing is trained, are measured after each
# epoch (`metrics=` in `fit`). In the first epochs, about a dozen, accuracy stands at 90 %, and recall at 0: the network
# says no to everything. Nothing in the accuracy tells you. The loss falls meanwhile, and rightly so: the scores of the
# 8s are rising beside those of the others, only they are not above 0 yet. Even at the end, with an accuracy of 96 %, it
# misses more than a third of the 8s. (Precision is a share of the answers "8". As long as there is none, it is a share
# of nothing, which `nn.evaluate` calls 0.)
#
# A mean over the classes is harder to deceive, if it is the macro mean: of the answer that is always no, the weighted
# F1 is 86 %, the macro F1 not even a half.
#
# ![Accuracy and recall during training, on the question whether it is an 8](../docs/rare_class.svg)

# %%
eight = (digits == 8).astype(float)[:, None]
x_train, x_rest, y_train, y_rest = train_test_split(images, eight, test_size=0.5, random_state=0, stratify=eight)
x_choose, x_test, y_choose, y_test = train_test_split(x_rest, y_rest, test_size=0.5, random_state=0, stratify=y_rest)
if not full:
    x_train, y_train, x_choose, y_choose = x_train[:100], y_train[:100], x_choose[:100], y_choose[:100]
    x_test, y_test = x_test[:100], y_test[:100]
epochs = 80 if full else 3


def train(loss, until=epochs):
    """One neuron that says whether it is an 8, and its history; its rate falls to 0 over all epochs."""
    model = nn.Linear(64, 1, engine=engine, seed=0, dtype="float64")
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    schedule = nn.Schedule(nn.CosineAnnealingLR(optimizer, epochs))
    measured = {"validation": (x_choose, y_choose), "metrics": names}
    return model, nn.fit(model, (x_train, y_train), loss, optimizer, until, 32, callbacks=[schedule], **measured)


plain, history = train(nn.binary_cross_entropy_with_logits)
never = 1 - y_choose.mean()
useless = nn.evaluate(plain, (x_choose, y_choose), ["recall", "f1_weighted", "f1_macro"], threshold=math.inf)
blind = next((epoch for epoch, recall in enumerate(history.metrics["recall"]) if recall > 0), epochs)
print(f"\n3. Is it an 8? {y_train.mean():.1%} of {len(y_train)} are")
print(f"   always no: accuracy {never:.1%}, " + ", ".join(f"{name} {share:.1%}" for name, share in useless.items()))
print(
    f"   in the first {blind} epochs the network finds no 8; its accuracy then is {history.metrics['accuracy'][0]:.1%}"
)
lead = {}  # by how much the scores of the 8s are above the others
for epoch in (1, blind):
    answers = nn.predict(train(nn.binary_cross_entropy_with_logits, until=epoch)[0], x_choose)
    eights, others = answers[y_choose == 1].mean(), answers[y_choose == 0].mean()
    lead[epoch] = eights - others
    print(f"   mean score after epoch {epoch:2}: {eights:.1f} of the 8s, {others:.1f} of the others")
print(f"   after {epochs} epochs: " + ", ".join(f"{name} {history.metrics[name][-1]:.1%}" for name in names))
assert useless["recall"] == 0
if full:
    assert 9 <= blind <= 15
    assert np.allclose(history.metrics["accuracy"][:blind], never)
    assert np.isclose(never, 0.90, atol=0.01)
    assert lead[blind] > lead[1] + 1
    assert history.validation_loss[blind - 1] < history.validation_loss[0]
    assert np.isclose(history.metrics["accuracy"][-1], 0.96, atol=0.01)
    assert history.metrics["recall"][-1] < 0.66
    assert np.isclose(useless["f1_weighted"], 0.86, atol=0.01)
    assert useless["f1_macro"] < 0.5

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for name, colour, line in (("accuracy", BLUE, "-"), ("precision", GREEN, ":"), ("recall", ORANGE, "--")):
    ax.plot(range(1, epochs + 1), history.metrics[name], line, color=colour, linewidth=2, label=name)
ax.axhline(never, color=GREY, linewidth=1, label="accuracy of always no")
ax.set(xlabel="epoch", ylim=(-0.03, 1.03), title="Is it an 8? The accuracy does not tell")
ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
ax.legend(loc=(0.68, 0.08))
ax.figure.savefig(figures / "rare_class.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Two cures: class weights and the threshold
#
# **Class weights** let a rare sample count more in the loss: here as often as there are more of the others, so that
# both classes weigh the same (`pos_weight` of the binary loss, `weight` of `nn.cross_entropy`). Missing an 8 then hurts
# nine times as much as a false alarm, and the network says "8" much more readily.
#
# The **threshold** is where yes begins. It need not be a score of 0 (a probability of one half). To lower it after
# training finds more 8s and raises more false alarms, with the same network. It is a choice like any other, so it is
# made on validation samples: here the threshold that has the best F1 there. The test samples judge it. If you know what
# a missed one costs and what a false alarm costs, take these costs instead of F1.
#
# What you should see: both cures find more 8s than the plain network, the weights the most, and they pay for it with
# false alarms. By its accuracy the weighted network is the worst, here even behind the answer that is always no (if the
# digits are divided in another way, it can be somewhat ahead). Whether it is worse depends on what a missed 8 costs.
# The curves on the right show the whole trade: each point is a threshold. Weights and threshold move the network along
# nearly the same curve. That is no accident: with a weight of w the best score is the old one plus log w, if the
# network can say it, and to add log w to all scores is to lower the threshold by log w. To get a better *curve*, you
# need a better network, or more 8s.
#
# ![Confusion matrices, and precision against recall](../docs/weights_and_threshold.svg)

# %%
weight = (1 - y_train.mean()) / y_train.mean()
weighted, _ = train(partial(nn.binary_cross_entropy_with_logits, pos_weight=weight))


def measure(model, threshold, x=x_test, y=y_test):
    return nn.evaluate(model, (x, y), [*names, "confusion_matrix"], threshold=threshold)


candidates = np.arange(-4, 2.01, 0.25 if full else 1)
best = max(candidates, key=lambda threshold: measure(plain, threshold, x_choose, y_choose)["f1"])
results = {
    "always no": measure(plain, math.inf),
    "as trained": measure(plain, 0),
    f"8s weigh {weight:.1f}": measure(weighted, 0),
    f"threshold {best:g}": measure(plain, best),
}
print(f"\n4. On {len(y_test)} test digits, {y_test.sum():.0f} of them 8s")
print(f"   {'':15}  " + "  ".join(f"{name:>9}" for name in names) + "  missed  false alarms")
for title, result in results.items():
    (_, alarms), (missed, _) = result["confusion_matrix"]
    print(f"   {title:15}  " + "  ".join(f"{result[name]:9.3f}" for name in names) + f"  {missed:6}  {alarms:12}")
_, trained, heavier, moved = results.values()
if full:
    assert min(heavier["recall"], moved["recall"]) > trained["recall"] + 0.1
    assert heavier["recall"] > moved["recall"]
    assert heavier["precision"] < moved["precision"] < trained["precision"]
    assert heavier["accuracy"] == min(result["accuracy"] for result in results.values())

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained", width_ratios=[1, 1, 1, 1.5])
for ax, title in zip(axes, list(results)[1:], strict=False):
    viz.confusion_matrix(results[title]["confusion_matrix"], ["no", "8"], ax=ax)
    ax.set_title(title)
    ax.grid(False)
    ax.images[0].colorbar.remove()
curves = {}
for model, name, colour, line in ((plain, "plain", BLUE, "-"), (weighted, "weighted", ORANGE, "--")):
    results_by_threshold = [measure(model, threshold) for threshold in (np.arange(-6, 4, 0.1) if full else candidates)]
    curve = np.array([(r["recall"], r["precision"]) for r in results_by_threshold if r["recall"] > 0])
    curves[name] = np.unique(curve, axis=0)
    axes[3].plot(*curve.T, line, color=colour, linewidth=2, label=f"{name}, every threshold")
for (title, result), marker in zip(list(results.items())[1:], "os^", strict=True):
    point = result["recall"], result["precision"]
    axes[3].plot(*point, marker, color="black", markersize=8, markeredgecolor="white", label=title)
axes[3].set(xlabel="recall", ylabel="precision", xlim=(0, 1.03), ylim=(0, 1.03), title="The trade")
axes[3].legend(loc="lower left")
figure.savefig(figures / "weights_and_threshold.svg", metadata={"Date": None})
if full:
    grid = np.linspace(0.5, 0.9, 9)
    heights = [[curve[curve[:, 0] >= recall, 1].max() for recall in grid] for curve in curves.values()]
    apart = np.abs(np.subtract(*heights)).mean()
    print(f"   the two curves of precision over recall are {apart:.3f} apart on average (recall from 0.5 to 0.9)")
    assert apart < 0.1

# %% [markdown]
# ## 5. How sure is such a number?
#
# A test is a sample too. With n test samples and a true share p, the measured share has a standard error of
# √(p (1 - p) / n): with other test samples it would differ by about that much. Recall is a share of the *8s* alone, and
# there are few of them, so it is known far less well than accuracy. To see it without a formula, draw as many test
# digits from the test digits, with repetition, and measure again, a thousand times (the **bootstrap**). Two networks
# whose recall differs by less than that are not told apart by this test. What you should see: the recalls of section 4
# are each uncertain by about 7 of 100, several times as much as the accuracies.

# %%
yes, said_yes = y_test.ravel() == 1, nn.predict_classes(plain, x_test, threshold=best) == 1
random = np.random.default_rng(0)
again = random.integers(0, len(yes), size=(1000, len(yes)))
measured = {
    "accuracy": (moved["accuracy"], len(yes), (yes == said_yes)[again].mean(axis=1)),
    "recall": (moved["recall"], yes.sum(), (yes & said_yes)[again].sum(axis=1) / yes[again].sum(axis=1)),
}
print(f"\n5. The threshold of {best:g} again: how sure are its metrics?")
errors = {}
for name, (share, count, repeated) in measured.items():
    by_formula, errors[name] = math.sqrt(share * (1 - share) / count), repeated.std()
    print(f"   {name:8}  {share:.3f} +- {by_formula:.3f} by the formula, +- {errors[name]:.3f} by the bootstrap")
    if full:
        assert 0.7 < errors[name] / by_formula < 1.4
if full:
    assert errors["recall"] > 3 * errors["accuracy"]
    assert np.isclose(errors["recall"], 0.07, atol=0.01)

# %% [markdown]
# ## 6. Numbers: MAE, MSE, R²
#
# Where the answer is a number, no answer is exactly right, and one asks how far off they are.
#
# - **MAE**, the mean absolute error, is in the units of the answer: "off by 46 points on average".
# - **MSE** is the mean of the squares. Its root, RMSE, is in the units of the answer again, and never below the MAE; a
#   few large errors pull it up.
# - **R²** compares with the answer that needs no network, the mean: 1 - MSE / (MSE of the mean of the targets). 1 is
#   perfect, 0 is no better than the mean, and below 0 is worse. It is the share of the variation that the answers
#   explain, and not the share of right answers.
#
# How far had the diabetes of a patient advanced after a year? It is a score from 25 to 346. Three predictions: the mean
# of the training patients for everyone; one layer; and a network that was trained far too long on few patients. The
# figure shows them over the truth; on the diagonal, an answer is right. What you should see: the layer explains about
# four tenths of the variation, and shies away from the extremes. The network is excellent on the patients it learned
# from, and worse than no network on the others. A metric says nothing unless you know on which samples it was measured.
#
# ![Predicted disease scores over the true ones](../docs/numbers.svg)

# %%
x, disease = load_diabetes(return_X_y=True, scaled=False)
assert (disease.min(), disease.max()) == (25, 346)
x_train, x_test, y_train, y_test = train_test_split(x, disease[:, None], test_size=0.4, random_state=0)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
if not full:
    x_train, y_train, x_test, y_test = x_train[:60], y_train[:60], x_test[:60], y_test[:60]
middle, spread = y_train.mean(), y_train.std()


def predictor(sizes, epochs, rows):
    """A network trained on standardised targets, whose last layer is then scaled back to the disease score."""
    model = nn.MLP(sizes, "tanh", engine=engine, seed=0, dtype="float64")
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    nn.fit(model, (x_train[:rows], (y_train[:rows] - middle) / spread), nn.mse_loss, optimizer, epochs)
    last = model[-1]
    last.load_state_dict({"weight": np.asarray(last.weight) * spread, "bias": np.asarray(last.bias) * spread + middle})
    return model


the_mean = nn.Linear(10, 1, engine=engine, seed=0, dtype="float64")
the_mean.load_state_dict({"weight": np.zeros((1, 10)), "bias": [middle]})
few, neurons = (100, 64) if full else (30, 4)
predictors = {
    "the mean": (the_mean, len(x_train)),
    "one layer": (predictor([10, 1], 400 if full else 30, len(x_train)), len(x_train)),
    f"10-{neurons}-1, {few} patients": (predictor([10, neurons, 1], 3000 if full else 80, few), few),
}
print(f"\n6. Disease score of {len(x_test)} patients never trained on")
print(f"   {'':22}  {'MAE':>6}  {'RMSE':>6}  {'R²':>6}  {'R² where trained':>16}")
scores = {}
for name, (model, rows) in predictors.items():
    scores[name] = nn.evaluate(model, (x_test, y_test), ["mae", "mse", "r2"])
    scores[name]["seen"] = nn.evaluate(model, (x_train[:rows], y_train[:rows]), "r2")["r2"]
    mae, mse, r2, seen = scores[name].values()
    print(f"   {name:22}  {mae:6.1f}  {math.sqrt(mse):6.1f}  {round(r2, 2) + 0:6.2f}  {seen:16.2f}")
    assert mae <= math.sqrt(mse)
assert abs(scores["the mean"]["seen"]) < 1e-9
if full:
    assert abs(scores["the mean"]["r2"]) < 0.05
    assert 0.35 < scores["one layer"]["r2"] < 0.42
    assert 44 < scores["one layer"]["mae"] < 47
    assert scores["10-64-1, 100 patients"]["seen"] > 0.95
    assert scores["10-64-1, 100 patients"]["r2"] < -0.2
    assert nn.predict(predictors["one layer"][0], x_test).std() < 0.8 * y_test.std()

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharex=True, sharey=True)
for ax, (name, (model, rows)) in zip(axes, predictors.items(), strict=True):
    ax.plot([0, 350], [0, 350], color=GREY, linewidth=1)
    ax.plot(y_train[:rows], nn.predict(model, x_train[:rows]), ".", color=BLUE, markersize=4, label="learned from")
    ax.plot(y_test, nn.predict(model, x_test), "x", color=ORANGE, markersize=4, label="never seen, R² above")
    ax.set(title=f"{name}: R² {round(scores[name]['r2'], 2) + 0:.2f}", xlabel="true score", xlim=(0, 360))
axes[0].set_ylabel("predicted score")
axes[0].legend(loc="upper left")
figure.savefig(figures / "numbers.svg", metadata={"Date": None})

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("digits_confusion.svg", "rare_class.svg", "weights_and_threshold.svg", "numbers.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** another rare digit in section 3: is the 0 as hard to find as the 8? A missed 8 costs 20 and a false alarm 1:
# which threshold is the best one then? A hidden layer, `nn.MLP([64, 32, 1], "relu", ...)`: does the curve of precision
# over recall get better, or does the network only move along it? Run your variants with `python -O`, which skips the
# assertions: they state what holds for the numbers above.
