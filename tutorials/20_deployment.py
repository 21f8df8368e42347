# %% [markdown]
# # From training to predictions elsewhere
#
# A network is trained once and asked many times, mostly by another program, on another machine, months later. What has
# to travel there? The weights alone will not do: somebody must know which layers they belong to, how the inputs were
# scaled, in which order the features stood, and what the outputs mean. This lesson packs all of that into one file,
# has another process predict with it, and then loses a part on purpose.
#
# Run it with `.venv/bin/python tutorials/20_deployment.py`, or cell by cell; `--engine micro` trains more shortly,
# number by number in plain Python.

# %%
import argparse
import csv
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="From training to predictions elsewhere.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=("fast", "micro"), default="fast", help="micro trains more shortly")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
epochs, lr = (60, 0.02) if engine is fast else (15, 0.05)
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
workshop = tempfile.TemporaryDirectory()  # what travels is written here, and disappears with it
folder = Path(workshop.name)

# %% [markdown]
# ## 1. Train
#
# The wines of lesson 7: 178 from one region of Italy, 13 chemical measurements each, and the cultivar (kind of vine)
# that each was made of. The measurements have very different sizes, the proline in the hundreds, the hue around one, so
# they are scaled first: each feature minus its mean, divided by its standard deviation. Mean and deviation come from
# the training samples alone, and both belong to the model from now on: whoever asks it must scale by the same numbers.

# %%
wine = load_wine()
x_train, x_test, y_train, y_test = train_test_split(
    wine.data, wine.target, test_size=0.4, random_state=0, stratify=wine.target
)
scaler = StandardScaler().fit(x_train)
model = nn.MLP([13, 8, 3], "tanh", engine=engine, seed=0)
nn.fit(model, (scaler.transform(x_train), y_train), nn.cross_entropy, nn.Adam(model.parameters(), lr), epochs)
accuracy = nn.evaluate(model, (scaler.transform(x_test), y_test), "accuracy")["accuracy"]
print(f"1. Trained on {len(x_train)} wines; of {len(x_test)} others it names the cultivar of {accuracy:.0%}")
assert accuracy > 0.9

# %% [markdown]
# ## 2. One file
#
# `nn.save` writes weights, architecture, scaler, names of the features and names of the classes into one file. Its
# format is safetensors: numbers, and a text that describes them. Nothing in it can run, so a file from a stranger can
# be wrong, but it cannot do anything. (Python's own `pickle`, which many models travel in, runs whatever code the file
# names.) And because the file says which layers it holds, `nn.load` needs no code of yours, as long as all of them are
# layers of `nn`.

# %%
cultivars = ["Nebbiolo", "Grignolino", "Barbera"]  # the data set says 0, 1 and 2; its authors say what these are
path = nn.save(model, folder / "wine.safetensors", scaler=scaler, names=wine.feature_names, classes=cultivars)
saved = nn.load(path, engine=fast)
print(f"\n2. {path.name}: {path.stat().st_size} bytes. It holds")
print(f"   {saved.model!r}".replace("\n", "\n   "))
print(f"   the scaler, {len(saved.names)} names of features, from {saved.names[0]} to {saved.names[-1]},")
print(f"   and the classes {', '.join(saved.classes)}")
assert saved.predict(x_test).argmax(1).tolist() == nn.predict(model, scaler.transform(x_test)).argmax(1).tolist()

# %% [markdown]
# The engine is not in the file. The same file answers on `micro`, number by number, as it does on `fast`, up to
# rounding:

# %%
quick, slow = [nn.load(path, engine=one).probabilities(x_test[:5]) for one in (fast, micro)]
difference = np.abs(quick - slow).max()
print(f"   five wines on both engines: the probabilities differ by {difference:.0e} at most")
assert difference < 1e-5

# %% [markdown]
# ## 3. Another process
#
# Somebody else has a table of wines, with the columns in another order and one column too many. The command
# `python -m nn predict` finds the columns by name, scales, computes, and writes a line for each wine: the answer, and
# the probability of each class.

# %%
order = np.random.default_rng(0).permutation(13)
table = folder / "new wines.csv"
with open(table, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["shelf", *[wine.feature_names[i] for i in order]])
    writer.writerows([[number, *row[order]] for number, row in enumerate(x_test)])
command = [sys.executable, "-m", "nn", "predict", path, table, "-o", folder / "predictions.csv"]
subprocess.run(command, check=True)
with open(folder / "predictions.csv", newline="") as file:
    header, *rows = csv.reader(file)
right = np.mean([row[0] == cultivars[label] for row, label in zip(rows, y_test, strict=True)])
print("\n3. python -m nn predict wine.safetensors 'new wines.csv' -o predictions.csv")
print(f"   {header}")
for row in rows[:3]:
    print(f"   {[row[0], *[f'{float(number):.4f}' for number in row[1:]]]}")
print(f"   {len(rows)} wines, {right:.0%} of them named rightly, as in section 1")
assert right == accuracy

# %% [markdown]
# ## 4. What goes wrong without the scaler
#
# An easy accident: the weights travel, the scaler does not. Nothing fails, no error is raised, and here the answers
# look as sure of themselves as before. They are just wrong: the large measurements drive the tanh neurons into
# saturation (lesson 10), where they say 1 or -1 whatever the wine, and all wines get the same answer. In the picture
# every wine is a dot: the probability that the model gives to its true cultivar, the wines sorted by it. With the raw
# measurements, only those are right whose cultivar happens to be that answer.
#
# ![Probability of the true cultivar with and without the scaler](../docs/deployment.svg)

# %%
bare = nn.load(nn.save(model, folder / "bare.safetensors", classes=cultivars), engine=engine)  # without the scaler
wines = range(len(y_test))
found = {"scaled, as in training": saved.probabilities(x_test), "raw measurements": bare.probabilities(x_test)}
print("\n4. The same weights on the same wines")
_, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
drawn = {"marker": "o", "color": "#0072B2"}, {"marker": "s", "color": "#D55E00", "markerfacecolor": "none"}
shares = {}
for (name, probabilities), style in zip(found.items(), drawn, strict=True):
    shares[name] = (probabilities.argmax(1) == y_test).mean()
    sure = np.median(probabilities.max(1))
    print(f"   {name:23}  {shares[name]:4.0%} right; the median wine gets a probability of {sure:.2f} for its answer")
    assert sure > 0.9
    true = np.sort(probabilities[wines, y_test])  # of each wine, the probability of its own cultivar
    ax.plot(true, linestyle="", markersize=5, label=f"{name}: {shares[name]:.0%} right", **style)
saturated = np.abs(nn.predict(model[:2], x_test)) > 0.99
print(f"   raw measurements: {saturated.mean():.0%} of the outputs of the tanh neurons are beyond 0.99 or -0.99")
assert shares["raw measurements"] < 0.5 < 0.9 < shares["scaled, as in training"]
assert len(set(found["raw measurements"].argmax(1))) == 1
assert saturated.mean() > 0.9
ax.set(xlabel="wines, sorted by that probability", ylabel="probability of the true cultivar", ylim=(-0.03, 1.03))
ax.legend(loc="center right")
ax.figure.savefig(figures / "deployment.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Files that are refused
#
# A file can be cut off on its way, or a single bit can flip. Weights are just numbers, so a damaged network would go on
# answering. The file carries a checksum of all that is in it, and `nn.load` refuses what does not fit.

# %%
whole = path.read_bytes()
cut, flipped = folder / "cut.safetensors", folder / "flipped.safetensors"
cut.write_bytes(whole[:-100])
flipped.write_bytes(whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:])
print("\n5. Damaged files")
for damaged in (cut, flipped):
    try:
        nn.load(damaged, engine=engine)
    except ValueError as error:
        message = str(error).replace(f"{folder}/", "")
        print(textwrap.fill(message, 110, initial_indent="   ", subsequent_indent="      "))
    else:
        raise AssertionError(f"{damaged} was not refused")

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The picture:")
print(f"   {figures / 'deployment.svg'}")
workshop.cleanup()

# %% [markdown]
# **Try:** leave a column out of the table in section 3: what does the command say, above the traceback? In section 4,
# give `x_test + 0.5 * scaler.scale_` to `saved`: an instrument that shows too much is an error that no file prevents.
# For programs that know nothing of twograd, `nn.export_onnx(model, "wine.onnx", scaler.transform(x_test[:1]))` writes
# the network (it needs the extra: `.venv/bin/pip install -e '.[onnx]'`); the scaler stays behind, so they must scale
# themselves. Assertions hold for the settings above; run your variants with `python -O`, which leaves them out.
