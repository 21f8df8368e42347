# %% [markdown]
# # From training to predictions elsewhere
#
# A network is trained once and asked many times, mostly by another program, on another machine, months later. What has
# to travel there? The weights alone will not do: somebody must know which layers they belong to, how the inputs were
# scaled, in which order the features stood, and what the outputs mean. This lesson packs all of that into one file,
# has another process predict with it, and then loses a part on purpose. Run it with
# `.venv/bin/python tutorials/20_deployment.py`, or cell by cell.

# %%
import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="From training to predictions elsewhere.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=("fast", "micro"), default="fast", help="what trains (default: fast)")
options = parser.parse_known_args()[0]
figures, engine = options.figures, {"fast": fast, "micro": micro}[options.engine]
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
workshop = tempfile.TemporaryDirectory()  # what travels is written here, and disappears with it
folder = Path(workshop.name)

# %% [markdown]
# ## 1. Train
#
# 178 Italian wines from three growers, 13 chemical measurements each. The measurements have very different sizes, the
# proline in the hundreds, the hue around one, so they are scaled first: each feature minus its mean, divided by its
# standard deviation. Both come from the training samples alone, and both belong to the model from now on: whoever asks
# it must scale by the same numbers.

# %%
wine = load_wine()
x_train, x_test, y_train, y_test = train_test_split(
    wine.data, wine.target, test_size=0.4, random_state=0, stratify=wine.target
)
scaler = StandardScaler().fit(x_train)
model = nn.MLP([13, 8, 3], "tanh", engine=engine, seed=0)
nn.fit(model, (scaler.transform(x_train), y_train), nn.cross_entropy, nn.Adam(model.parameters(), lr=0.02), epochs=60)
accuracy = nn.evaluate(model, (scaler.transform(x_test), y_test), "accuracy")["accuracy"]
print(f"1. Trained on {len(x_train)} wines; of {len(x_test)} others it names the grower of {accuracy:.0%}")
assert accuracy > 0.9

# %% [markdown]
# ## 2. One file
#
# `nn.save` writes weights, architecture, scaler, names of the features and names of the classes into one file. Its
# format is safetensors: numbers, and a text that describes them. Nothing in it can run, so a file from a stranger can
# be wrong, but it cannot do anything. (Python's own `pickle`, which many models travel in, runs whatever code the file
# names.) And because it says which layers it holds, `nn.load` needs no code of yours.

# %%
growers = ["grower A", "grower B", "grower C"]
path = nn.save(model, folder / "wine.safetensors", scaler=scaler, names=wine.feature_names, classes=growers)
saved = nn.load(path, engine=fast)
print(f"\n2. {path.name}: {path.stat().st_size} bytes. It holds")
print(f"   {saved.model!r}".replace("\n", "\n   "))
print(f"   the scaler, {len(saved.names)} names of features, from {saved.names[0]} to {saved.names[-1]}, and {growers}")
assert saved.predict(x_test).argmax(1).tolist() == nn.predict(model, scaler.transform(x_test)).argmax(1).tolist()

# %% [markdown]
# The engine is not in the file. The same file answers on `micro`, number by number, as it does on `fast`:

# %%
answers = {
    name: nn.load(path, engine=one).probabilities(x_test[:5]) for name, one in (("fast", fast), ("micro", micro))
}
difference = np.abs(answers["fast"] - answers["micro"]).max()
print(f"   five wines on both engines: the probabilities differ by {difference:.0e} at most (float32 against float64)")
assert difference < 1e-5

# %% [markdown]
# ## 3. Another process
#
# Somebody else has a table of wines, with the columns in another order and one column too many. The command
# `python -m nn predict` finds the columns by name, scales, computes, and writes a line for each wine.

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
right = np.mean([row[0] == growers[label] for row, label in zip(rows, y_test, strict=True)])
print("\n3. python -m nn predict wine.safetensors 'new wines.csv' -o predictions.csv")
print(f"   {header}")
for row in rows[:3]:
    print(f"   {[row[0], *[f'{float(number):.4f}' for number in row[1:]]]}")
print(f"   {len(rows)} wines, {right:.0%} named rightly, as in section 1")
assert right == accuracy

# %% [markdown]
# ## 4. What goes wrong without the scaler
#
# The most common accident: the weights travel, the scaler does not. Nothing fails, no error is raised, the answers even
# look sure of themselves. They are just wrong. In the picture every wine is a dot: the probability that the model gives
# to its true grower, the wines sorted by it. With the raw measurements, the large ones drive the tanh neurons into
# saturation, and nearly all wines get the same answer.
#
# ![Probability of the true grower with and without the scaler](../docs/deployment.svg)

# %%
bare = nn.load(nn.save(model, folder / "bare.safetensors"), engine=engine)  # without scaler, names and classes
truth = np.arange(len(y_test)), y_test
curves = {
    "scaled, as in training": softmax(saved.predict(x_test), axis=1),
    "raw measurements": softmax(bare.predict(x_test), axis=1),
}
print("\n4. The same weights on the same wines")
_, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
shares = {}
for (name, found), colour, marker in zip(curves.items(), ("#0072B2", "#D55E00"), ("o", "s"), strict=True):
    shares[name] = (found.argmax(1) == y_test).mean()
    sure = np.median(found.max(1))
    print(f"   {name:23}  {shares[name]:4.0%} right; the median wine gets a probability of {sure:.2f} for its answer")
    ax.plot(np.sort(found[truth]), marker, color=colour, markersize=4, label=f"{name}: {shares[name]:.0%} right")
assert shares["raw measurements"] < 0.6 < 0.9 < shares["scaled, as in training"]
ax.set(xlabel="wines, sorted", ylabel="probability of the true grower", ylim=(-0.03, 1.03))
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
        print("   " + str(error).replace(str(folder) + "/", "")[:110])
    else:
        raise AssertionError(f"{damaged} was not refused")

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The picture:")
print(f"   {figures / 'deployment.svg'}")
workshop.cleanup()

# %% [markdown]
# **Try:** `nn.export_onnx(model, "wine.onnx", scaler.transform(x_test[:1]))` (with the extra: `pip install
# 'twograd[onnx]'`) for programs that know nothing of twograd; the scaler stays behind, so put it into the program. A
# table in which one column is missing: what does the command say? Assertions hold for the settings above; run your
# variants with `python -O`, which leaves them out.
