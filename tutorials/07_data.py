# %% [markdown]
# # Preparing data
#
# The four steps of training (forward, loss, backward, update) take whatever numbers they are given. A cell that holds a
# typing error, a column measured in thousandths, a class written as a number: none of these raises an error, all of
# them change what is learned. This lesson takes a table from the file to the first step: **cleaning**, **splitting**,
# **scaling**, **one-hot** encoding, and for images **augmentation**. Each is measured: with it, and without.
#
# Run it with `.venv/bin/python tutorials/07_data.py`, or cell by cell; `--engine micro` runs a small version, number by
# number in plain Python: fewer wines and steps, and two digits in place of ten. It shows the same in outline; what is
# claimed of the full size is checked at the full size.

# %%
import argparse
import csv
import tempfile
import time
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

import fast
import micro
import nn
import viz
from nn.data import Flip, Noise, Rotate, Shift

parser = argparse.ArgumentParser(description="Preparing data.")
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
# ## 1. Cleaning
#
# The table: 178 wines from one region of Italy, 13 measurements each, and which of three **cultivars** (kinds of vine)
# each was made of. This one has been cleaned long ago, so we spoil it, in the ways in which tables that people typed
# are spoilt: in three places a number is missing, one alcohol content has lost its decimal point, and ten wines were
# entered twice. Then we clean it, as if we had not known.
#
# 1. **Missing numbers.** `nn.data.read_csv` refuses the file and says where they are: what they mean is for a person to
#    decide. Asked to keep them, it writes nan, "not a number". Nothing may be trained on that, for nan plus anything is
#    nan: after one step with the gap of a single wine, every weight is nan.
# 2. **Impossible numbers.** No error is raised for these. A look at the least and the largest of each column finds
#    them: wine has no 1,320 % of alcohol. We know that it is wrong, not what is right, so it counts as missing.
# 3. **Copies.** If a wine is trained on and its copy is in the test, the test asks for what was learned by heart.
#
# How much harm can one wrong cell do? Look at the scale of the column. **Standardising**, which section 3 needs,
# divides by the standard deviation (the typical distance from the mean), and a single 1,320 among numbers from 11 to 15
# makes that about a hundred times as large: all other wines then have nearly the same number, and the network can
# hardly see the difference between them.

# %%
wine = load_wine()
random = np.random.default_rng(0)
lines = [[*map(str, features), str(kind)] for features, kind in zip(wine.data, wine.target, strict=True)]
assert lines[1][0] == "13.2"
lines[1][0] = "1320"
for row, column, gap in ((20, 4, ""), (77, 9, "NA"), (150, 0, "?")):
    lines[row][column] = gap
lines += [lines[row] for row in random.choice(np.arange(30, 70), 10, replace=False)]
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "wine.csv")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*wine.feature_names, "cultivar"], *lines])
    try:
        nn.data.read_csv(path, target="cultivar")
        refusal = ""
    except ValueError as error:
        refusal = str(error).split(": ", 1)[1].split(";")[0]
    names, x_read, y_read = nn.data.read_csv(path, target="cultivar", missing="keep")

print("1. Cleaning")
print("   read_csv refuses:", refusal.replace(": ", ":\n      "))
assert refusal.startswith("3 numbers are missing")
with_gap = np.isnan(x_read).any(axis=1)
model = nn.Linear(13, 3, engine=engine, seed=0)
nn.cross_entropy(model(engine.tensor(x_read[with_gap][:1])), engine.tensor(y_read[with_gap][:1])).backward()
assert all(np.isnan(np.array(parameter.grad)).all() for parameter in model.parameters())  # so would be each weight
found, y = x_read.copy(), y_read
alcohol = found[:, 0]
impossible = alcohol > 25
print(f"   alcohol is from {np.nanmin(alcohol):g} to {np.nanmax(alcohol):g} %; {impossible.sum()} is above 25")
deviation_with = np.nanstd(alcohol)
alcohol[impossible] = np.nan
deviation = np.nanstd(alcohol)
print(f"   standard deviation of alcohol: {deviation_with:.2f} with it, {deviation:.2f} without")
assert impossible.sum() == 1
assert 80 < deviation_with / deviation < 150

_, first = np.unique(np.nan_to_num(found, nan=-1), axis=0, return_index=True)  # nan is not equal to nan; -1 is to -1
keep = np.sort(first)
x, y = found[keep], y[keep]
print(f"   {len(found)} rows, {len(found) - len(x)} of them copies; {np.isnan(x).sum()} numbers to be filled")
assert np.array_equal(y, wine.target)
assert np.isnan(x).sum() == 4
assert np.array_equal(x[~np.isnan(x)], wine.data[~np.isnan(x)])

# %% [markdown]
# ## 2. Split, before anything is fitted
#
# Some rows are set aside for the **test**: the network never learns from them, and how well it does on them says how
# well it will do on wines to come. "Never learns from them" is meant strictly. Whatever is computed from the data, be
# it a number to fill gaps with, a scale, or a choice of columns, is computed from the training rows alone, and then
# applied to both. Otherwise something about the test has leaked into the training, and the test may flatter. (With
# `stratify=` all classes have the same shares on both sides.)
#
# How bad can a leak be? An experiment where the truth is known: 100 people, 2,000 measurements of each, and for each
# person a coin that says ill or healthy. All of it is random, so nobody can predict anything: right is 50 %. We choose
# the 20 measurements that go best with the coin, and train one neuron on these for half of the people. Chosen among
# *all* the people, the 20 go well with the coins of the test people too, by construction, and a network that knows
# nothing seems to be good. Chosen among the training people only, it is found out. (Hastie, Tibshirani and Friedman
# tell this as the wrong and the right way to do cross-validation, The Elements of Statistical Learning, 7.10.2.)
#
# Not every leak is as bad. Below the same is done with the scale of section 3: mean and standard deviation of the wines
# taken from all rows, or from the training rows. Here that changes next to nothing. But you do not know beforehand
# which leak is a harmless one, and the clean way costs no more.


# %%
def neuron_accuracy(columns, people, ill, learn, test):
    """The share of the test people for whom a neuron is right that was trained on these columns of the others."""
    model = nn.Linear(len(columns), 1, engine=engine, seed=0, dtype="float64")
    optimizer = nn.SGD(model.parameters(), lr=0.2)
    nn.fit(model, (people[np.ix_(learn, columns)], ill[learn]), nn.binary_cross_entropy_with_logits, optimizer, 40)
    return nn.evaluate(model, (people[np.ix_(test, columns)], ill[test]), "accuracy")["accuracy"]


def best_columns(people, ill, count=20):
    """The columns that go best with being ill: those whose correlation with it is the largest in size."""
    together = (people - people.mean(axis=0)) / people.std(axis=0) * (ill - ill.mean())
    return np.argsort(-np.abs(together.mean(axis=0)))[:count]


leaky, clean = [], []
learn, test = np.arange(50), np.arange(50, 100)
for _ in range(20 if full else 2):
    people, ill = random.normal(size=(100, 2000)), random.integers(2, size=(100, 1)).astype(float)
    leaky.append(neuron_accuracy(best_columns(people, ill), people, ill, learn, test))
    clean.append(neuron_accuracy(best_columns(people[learn], ill[learn]), people, ill, learn, test))
print(f"\n2. Coins, predicted from random numbers: right on the test people, mean of {len(clean)} experiments")
print(f"   columns chosen among all people         {np.mean(leaky):6.1%}")
print(f"   columns chosen among those to learn on  {np.mean(clean):6.1%}")
if full:
    assert np.mean(leaky) > 0.75
    assert 0.43 < np.mean(clean) < 0.57

x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
steps, every = (200, 1) if full else (10, 4)


def train(x, lr, optimizer=nn.SGD, steps=steps):
    """One layer that tells three cultivars apart, trained on all training wines at once (with micro: on a quarter)."""
    model = nn.Linear(x.shape[1], 3, engine=engine, seed=0, dtype="float64")
    data = x[::every], y_train[::every]
    return model, nn.fit(model, data, nn.cross_entropy, optimizer(model.parameters(), lr=lr), steps)


def right(model, x):
    return nn.evaluate(model, (x, y_test), "accuracy")["accuracy"]


imputer = SimpleImputer(strategy="median").fit(x_train)  # from the training rows alone
x_train, x_test = imputer.transform(x_train), imputer.transform(x_test)
both = {}
for name, seen in {"of all rows": np.concatenate([x_train, x_test]), "of the training rows": x_train}.items():
    scaler = StandardScaler().fit(seen)
    both[name] = right(train(scaler.transform(x_train), 0.3)[0], scaler.transform(x_test))
    print(f"   wines, scaled by mean and deviation {name:20}  {both[name]:6.1%} right")
leak = abs(both["of all rows"] - both["of the training rows"])
assert leak < 0.05

# %% [markdown]
# ## 3. Scaling
#
# Proline, an amino acid, is given in milligrams per litre, from 278 to 1,680; the hue is a number about 1. Two usual
# cures for such differences:
#
# - **standardising** (`StandardScaler`): minus the mean, divided by the standard deviation. Every column then has mean
#   0 and deviation 1;
# - **min-max scaling** (`MinMaxScaler`), often called normalising: the least of each column becomes 0, the largest 1.
#   One outlier decides the scale of its whole column.
#
# Does it matter? One layer, 13 numbers in, one score for each cultivar out, cross-entropy, every step with all 124
# training wines. What such a layer *can* say is the same for all three tables: whatever is done to a column, its
# weights can undo. Only the descent differs. So that none is favoured, each table is tried with many learning rates,
# and judged at the one that leads to its lowest training loss. (For both scaled tables that is the largest rate tried.
# These wines can be told apart without an error, so the loss has no least value: ever larger weights make it smaller.)
#
# The reason is the bowl of lesson 6. The slope of the loss for a weight is proportional to the numbers which that
# weight is multiplied with, and the curvature to their squares: for proline it is hundreds of thousands of times that
# for hue. The most curved direction limits the learning rate, and at such a rate the others hardly get anywhere. How
# many steps a bowl needs goes with its **condition number**, the largest curvature divided by the smallest one. For one
# layer with the squared error that is the ratio of the largest to the smallest eigenvalue of XᵀX, with a column of ones
# for the bias; with cross-entropy it is a rough guide. The table below has it: about 460 million for the table as it
# came, 45 after standardising.
#
# In the figure, look at the right side too. With scaled columns there is a plateau where any rate will do: from 1 on,
# and with standardised columns from 0.1 on. The table as it came reaches 80 % at no rate at all, and jumps up and down
# by chance (39 % of the test wines are of the most frequent cultivar, so that much is right for one who always says the
# same).
#
# Adam divides the step of each weight by the size of that weight's own gradients, and so repairs much of the harm:
# with it the table as it came is usable, though not as good as the scaled ones. Scaling costs two lines.
#
# ![Loss curves, and accuracy against learning rate, for three scalings](../docs/scaling.svg)

# %%
tables = {"as it came": None, "min-max": MinMaxScaler(), "standardised": StandardScaler()}
rates = 10.0 ** np.arange(-7, 1.1, 0.5 if full else 2)
squares = dict(zip(names, (x_train**2).mean(axis=0), strict=True))
print(f"\n3. {len(x_train[::every])} wines, 13 -> 3, {steps} steps")
print(f"   mean squares: proline {squares['proline']:,.0f}, hue {squares['hue']:.2f}")
assert 300_000 < squares["proline"] / squares["hue"] < 1_000_000
print(f"   {'table':12}  {'condition':>9}  {'best rate':>9}  {'last loss':>9}  {'right':>6}  {'with Adam':>9}")
curves, rights, best_rates, best_right, conditions, with_adam = {}, {}, {}, {}, {}, {}
for name, scaler in tables.items():
    learned = x_train if scaler is None else scaler.fit_transform(x_train)
    held_out = x_test if scaler is None else scaler.transform(x_test)
    with_ones = np.column_stack([learned, np.ones(len(learned))])
    curvatures = np.linalg.eigvalsh(with_ones.T @ with_ones)
    conditions[name] = curvatures[-1] / curvatures[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)
        runs = {rate: train(learned, rate) for rate in rates}
    rights[name] = [right(model, held_out) for model, _ in runs.values()]
    best = best_rates[name] = min(runs, key=lambda rate: runs[rate][1].loss[-1])
    model, history = runs[best]
    curves[f"{name}, rate {best:.2g}"] = history
    best_right[name] = right(model, held_out)
    with_adam[name] = right(train(learned, 0.03, nn.Adam)[0], held_out)
    print(
        f"   {name:12}  {conditions[name]:9.2g}  {best:9.2g}  {history.loss[-1]:9.4f}  {best_right[name]:6.1%}"
        f"  {with_adam[name]:9.1%}"
    )
assert 4e8 < conditions["as it came"] < 5e8
assert 40 < conditions["standardised"] < 50
if full:
    assert best_right["as it came"] < max(rights["as it came"]) < 0.8
    assert best_rates["min-max"] == best_rates["standardised"] == rates[-1]
    for name, from_rate in {"min-max": 1, "standardised": 0.1}.items():
        assert all(share > 0.95 for rate, share in zip(rates, rights[name], strict=True) if rate > 0.99 * from_rate)
        assert best_right["as it came"] + 0.1 < with_adam["as it came"] < with_adam[name]

always = np.bincount(y_test).max() / len(y_test)
assert round(always, 2) == 0.39
figure, (ax, wide) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
viz.loss_curves({name: history.loss for name, history in curves.items()}, ax=ax)
for line, (name, shares), colour, marker in zip(ax.lines, rights.items(), (ORANGE, BLUE, GREEN), "sov", strict=True):
    line.set(color=colour, linewidth=2)
    wide.plot(rates, shares, marker=marker, color=colour, markersize=5, label=name)
ax.set(xlabel="step", yscale="log", title="Each at its best learning rate")
ax.legend()
wide.set(xscale="log", xlabel="learning rate", ylabel="right on the test wines", title=f"After {steps} steps")
wide.yaxis.set_major_formatter("{x:.0%}")
wide.axhline(always, color=GREY, linestyle=":", label="always the same")
wide.legend(loc="upper left")
figure.savefig(figures / "scaling.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. One-hot: names are not numbers
#
# The cultivar stands in the table as 0, 1 or 2. As a target for `nn.cross_entropy` that is right: the loss takes it as
# the number of the score that should be the largest, and never calculates with it. As an *input* it is wrong. A weight
# is multiplied with it, so cultivar 1 would have to lie half-way between the other two, whatever is predicted.
# **One-hot** encoding gives each kind a column of its own, with a 1 where it applies and 0 elsewhere: 0 becomes
# (1, 0, 0), 1 becomes (0, 1, 0), 2 becomes (0, 0, 1). Then each kind has a weight of its own.
#
# Predict the alcohol content from the cultivar alone, with one layer and the squared error. R² is the share of the
# variation that the answers explain: 1 is perfect, 0 is no better than always to answer the mean. The middle cultivar
# has the weakest wine, so the straight line through 0, 1 and 2 misses it. With one-hot columns the layer finds the mean
# of each cultivar. (No test is set aside here: the question is not what holds for other wines, but what a layer can
# say.)
#
# (A column of numbers with an order, such as small, medium, large, may stay one column. With very many kinds, such as
# words, the columns become too many: `nn.Embedding` does the same without them.)
#
# ![Alcohol predicted from the number of the cultivar, and from one-hot columns](../docs/one_hot.svg)

# %%
kinds, strength = wine.target.reshape(-1, 1)[::every], wine.data[::every, :1]
encoder = OneHotEncoder(sparse_output=False).fit(kinds)
inputs = {"as a number": kinds.astype(float), "one-hot": encoder.transform(kinds)}
_, one_of_each = np.unique(kinds, return_index=True)
answers, explained = {}, {}
print("\n4. Alcohol predicted from the cultivar")
print(f"   {'cultivar':12}  {'0':>6}  {'1':>6}  {'2':>6}  {'R²':>5}")
for name, columns in inputs.items():
    model = nn.Linear(columns.shape[1], 1, engine=engine, seed=0, dtype="float64")
    nn.fit(model, (columns, strength), nn.mse_loss, nn.SGD(model.parameters(), lr=0.3), 200 if full else 80)
    explained[name] = nn.evaluate(model, (columns, strength), "r2")["r2"]
    answers[name] = nn.predict(model, columns[one_of_each]).ravel()
    print(f"   {name:12}  " + "  ".join(f"{answer:6.2f}" for answer in answers[name]) + f"  {explained[name]:5.2f}")
means = np.array([strength[kinds == kind].mean() for kind in range(3)])
print("   the means     " + "  ".join(f"{mean:6.2f}" for mean in means))
assert means.argmin() == 1
assert np.allclose(answers["one-hot"], means, atol=1e-3 if full else 0.1)
assert explained["as a number"] < 0.2 < 0.5 < explained["one-hot"]

_, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
ax.plot(kinds + random.uniform(-0.12, 0.12, kinds.shape), strength, ".", color="#9ca3af", markersize=5)
ax.plot(range(3), answers["as a number"], "s--", color=ORANGE, markersize=8, label="the cultivar as a number")
ax.plot(range(3), answers["one-hot"], "o", color=BLUE, markersize=9, markeredgecolor="white", label="one-hot")
ax.set(xticks=range(3), xlabel="cultivar (the dots are spread sideways to be seen)", ylabel="alcohol, %")
ax.set_title("A number says that 1 lies between 0 and 2")
ax.legend(loc="upper center")
ax.figure.savefig(figures / "one_hot.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Augmentation: the same thing, seen differently
#
# More data are the best cure for many ills, and often there are no more. **Augmentation** makes new samples of the old
# ones by changes that leave their meaning: a 3 that is moved by one pixel is still a 3. `fit` takes such a change as
# `augment=` and applies it to each batch anew, so that no epoch shows the same images. The test images are not
# augmented: they are the measure.
#
# ![Digits as they are, and after each transform](../docs/augmented.png)

# %%
pixels, digits = load_digits(return_X_y=True)
images = (pixels / 16).reshape(-1, 1, 8, 8)  # (samples, channels, height, width), from 0 to 1
transforms = {
    "none": None,
    "shift by up to 1 pixel": Shift(1),
    "turn by up to 15°": Rotate(15),
    "noise of 0.1": Noise(0.1),
    "mirror half of them": Flip(),
}
figure, axes = plt.subplots(len(transforms), 8, figsize=(8, 5.4), layout="constrained")
for row, (name, transform) in zip(axes, transforms.items(), strict=True):
    shown = images[[3] * 4 + [7] * 4]
    altered = shown if transform is None else transform(shown, np.random.default_rng(2))
    for ax, image in zip(row, altered, strict=True):
        ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="#d1d5db")
        ax.grid(False)
    row[0].set_ylabel("as they are" if transform is None else name, rotation=0, ha="right", va="center")
figure.savefig(figures / "augmented.png", dpi=80)

# %% [markdown]
# Does it help? 300 digits to learn from, a network 64-64-10, 100 epochs with each transform, and two tests: the other
# digits as they are, and the same digits moved by up to one pixel, as when the next scanner is adjusted a little
# differently. What you should see:
#
# - On moved digits, the network that has only seen well centred ones gets less than half right: it knows pixels, not
#   shapes. Trained on moved digits, it gets about nine in ten right.
# - On centred digits, the same augmentation **costs** some points. All test digits are centred exactly like those for
#   training, so where a stroke lies was a true hint, and the network was taught not to use it. (It also has more to
#   learn in the same 100 epochs.)
# - Mirroring hurts: a mirrored 3 is no digit any more, and a mirrored 2 looks much like an S. The label then says
#   something false about the picture.
# - Turning, too, costs a little here, and small noise changes next to nothing.
#
# So augmentation is no cure-all. It tells the network which changes do not matter. Tell it the truth about the data
# that will come.
#
# ![Right answers with each augmentation, on centred and on moved digits](../docs/augmentation.svg)

# %%
if full:
    count, tested, widths, lr, epochs, seeds = 300, len(digits) - 300, [64, 64, 10], 0.003, 100, range(3)
else:  # a single layer tells 2 from 5; a mirrored 2 looks much like a 5
    count, tested, widths, lr, epochs, seeds = 40, 60, [64, 2], 0.03, 15, range(1)
    either = np.isin(digits, (2, 5))
    images, digits = images[either], (digits[either] == 5).astype(int)
x_train, x_test, y_train, y_test = train_test_split(
    images, digits, train_size=count, test_size=tested, random_state=0, stratify=digits
)
tests = {"as they are": x_test, "moved": Shift(1)(x_test, np.random.default_rng(1))}
shares = {}
print(f"\n5. {count} digits to learn from, {epochs} epochs: right, mean over the seeds")
print(f"   {'augmentation':22}  {'as they are':>11}  {'moved':>6}")
for name, transform in transforms.items():
    found = []
    for seed in seeds:
        model = nn.Sequential(nn.Flatten(), *nn.MLP(widths, "relu", engine=engine, seed=seed))
        optimizer = nn.Adam(model.parameters(), lr=lr)
        nn.fit(model, (x_train, y_train), nn.cross_entropy, optimizer, epochs, 20, augment=transform, seed=seed)
        found.append([nn.evaluate(model, (x, y_test), "accuracy")["accuracy"] for x in tests.values()])
    shares[name] = dict(zip(tests, np.mean(found, axis=0), strict=True))
    print(f"   {name:22}  {shares[name]['as they are']:11.1%}  {shares[name]['moved']:6.1%}")
if full:
    plain, shifted = shares["none"], shares["shift by up to 1 pixel"]
    assert plain["moved"] < 0.5 < 0.85 < shifted["moved"]
    assert shifted["as they are"] < plain["as they are"] - 0.01
    assert shares["mirror half of them"]["as they are"] < plain["as they are"] - 0.01
    assert shares["turn by up to 15°"]["as they are"] < plain["as they are"] - 0.005
    assert abs(shares["noise of 0.1"]["as they are"] - plain["as they are"]) < 0.02

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
places = np.arange(len(shares))
for offset, test, colour, hatch in ((-0.19, "as they are", BLUE, ""), (0.19, "moved", ORANGE, "//")):
    heights = [found[test] for found in shares.values()]
    bars = ax.barh(
        places + offset, heights, 0.36, color=colour, hatch=hatch, edgecolor="white", label=f"test digits {test}"
    )
    ax.bar_label(bars, fmt="{:.0%}", padding=3)
ax.set(
    yticks=places, yticklabels=shares, xlim=(0, 1.06), xlabel="right answers", title="Trained with each augmentation"
)
ax.invert_yaxis()
ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
ax.xaxis.set_major_formatter("{x:.0%}")
ax.grid(axis="y", visible=False)
ax.figure.legend(loc="outside lower center", ncols=2)
ax.figure.savefig(figures / "augmentation.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("scaling.svg", "one_hot.svg", "augmented.png", "augmentation.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** two transforms at once, `nn.data.Compose([Shift(1), Noise(0.1)])`, in section 5; 400 epochs there: does the
# network that learns from moved digits catch up on the centred ones? In section 3, train the table as it came for
# 20,000 steps: how far does it get? `nn.data.mnist("data/mnist", download=True)` gives 70,000 larger digits in the same
# form: do moved ones puzzle the network as much there?
