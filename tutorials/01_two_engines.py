# %% [markdown]
# # Two engines, one gradient
#
# This lesson goes once through the whole house: a number that knows where it came from, a network that learns on two
# engines at once, and what the learning rate does to it. New words are explained in lessons 2 to 6; here just watch.
# Run it with `make demo`, or cell by cell: editors such as VS Code show it as a notebook, and so does Jupyter with
# Jupytext. (With `--engine micro`, section 2 takes fewer epochs, and section 3 trains a smaller network, on `micro`.)

# %%
import argparse
import time
import warnings
from pathlib import Path

import matplotlib
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import fast
import micro
import nn
import viz
from micro import Value

parser = argparse.ArgumentParser(description="Two engines, one gradient: the first lesson.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro runs a small version")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
figures.mkdir(parents=True, exist_ok=True)
matplotlib.rcParams["svg.hashsalt"] = "twograd"  # the same picture, the same file
started = time.perf_counter()

# %% [markdown]
# ## 1. A number that knows where it came from
#
# A `Value` is a number. What is computed from Values is a Value again, and remembers its parents and, for each of
# them, a slope: how much the result changes when that parent changes a little. `backward` multiplies the slopes along
# every path from the result back to the inputs and adds up the paths. That is the gradient.
#
# In the picture each box shows a number, what `backward` found out about it, and the formula that made it; `a`, `b`
# and `x` are what goes into that box, `y` is what comes out. Each edge shows the slope, first as a formula, then as a
# number. Two edges lead from s to its square: both count.
#
# ![The expression as a graph](../docs/expression.svg)

# %%
p, q, r = Value(2.0, label="p"), Value(-3.0, label="q"), Value(10.0, label="r")
s = p * q + r
s.label = "s"
t = s * s + p
t.label = "t"
t.backward()
print("1. An expression: s = p * q + r, t = s * s + p")
print(f"   t = {t.data}; it changes with p at a rate of {p.grad}, with q of {q.grad}, with r of {r.grad}")

# Check one of them by hand: raise p by a thousandth, and see what becomes of t.
nudged = ((p.data + 0.001) * q.data + r.data) ** 2 + (p.data + 0.001)
rate = (nudged - t.data) / 0.001
print(f"   raising p by 0.001 changes t by {nudged - t.data:.6f}, a rate of about {rate:.2f}")
assert abs(rate - p.grad) < 0.01
viz.render(viz.graph(t), figures / "expression.svg")

# %% [markdown]
# One neuron is such an expression: inputs times weights, plus a bias, squashed by tanh.
#
# ![A neuron as a graph](../docs/neuron.svg)

# %%
x1, x2 = Value(2.0, label="x1"), Value(0.5, label="x2")
w1, w2, bias = Value(-0.6, label="w1"), Value(1.0, label="w2"), Value(0.8, label="bias")
neuron = (x1 * w1 + x2 * w2 + bias).tanh()
neuron.label = "neuron"
neuron.backward()
viz.render(viz.graph(neuron), figures / "neuron.svg")
print(f"   A neuron answers {neuron.data:.4f}; its answer changes with w1 at a rate of {w1.grad:.4f}")

# %% [markdown]
# ## 2. The same network on both engines
#
# 569 tumours, 30 measurements each, benign or malignant. The network is a chain of neurons, trained in four steps that
# repeat: forward, loss, backward, update. `micro` does it number by number in plain Python, `fast` array by array in
# compiled code. The layers, the loss, the optimizer and the loop are the same lines of code, and so are the first
# weights. So every loss should agree, up to the rounding of the last digit.

# %%
measurements, diagnosis = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    measurements, diagnosis.reshape(-1, 1), test_size=0.3, random_state=0, stratify=diagnosis
)
scaler = StandardScaler().fit(x_train)  # from the training samples alone: the test samples must stay unseen
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
epochs = 6 if engine is fast else 2


def train(engine, progress=True):
    """The whole training; float64, so that the engines can be compared to the last digits."""
    model = nn.MLP([30, 8, 1], activation="tanh", engine=engine, seed=1337, dtype="float64")
    history = nn.fit(
        model,
        (x_train, y_train),
        loss=nn.binary_cross_entropy_with_logits,
        optimizer=nn.SGD(model.parameters(), lr=0.5, momentum=0.5),
        epochs=epochs,
        batch_size=32,
        callbacks=[nn.Progress(engine.__name__)] if progress else [],
    )
    return model, history


print("\n2. Breast cancer, 30-8-1, 398 samples in batches of 32")
train(fast, progress=False)  # the first run loads the compiled kernels, or compiles them; it should not count
model, slow_history = train(micro)
fast_model, fast_history = train(fast)

print(f"\n   {'epoch':>5}  {'micro':>20}  {'fast':>20}")
for epoch, (slow, quick) in enumerate(zip(slow_history.loss, fast_history.loss, strict=True), start=1):
    print(f"   {epoch:>5}  {slow:>20.15f}  {quick:>20.15f}")
difference = max(abs(p - q) for p, q in zip(slow_history.step_loss, fast_history.step_loss, strict=True))
slow_epoch, fast_epoch = min(slow_history.seconds), min(fast_history.seconds)
accuracy = ((nn.predict(fast_model, x_test) > 0) == y_test).mean()
print(f"   largest difference in {len(fast_history.step_loss)} steps: {difference:.1e}")
print(
    f"   an epoch: micro {slow_epoch * 1e3:.0f} ms, fast {fast_epoch * 1e3:.2f} ms, {slow_epoch / fast_epoch:.0f} times"
)
print(f"   on the 171 samples never trained on, {accuracy:.1%} of the answers are right")
assert difference < 1e-9
assert accuracy > 0.9

# %% [markdown]
# ## 3. What the learning rate does
#
# Each step moves the weights against the gradient, by the learning rate times its size. Too small, and training ends
# before it gets anywhere. Too large, and each step overshoots by more than it gains, until the loss explodes. Between
# the two lie rates that a network survives, but ruined: after the first jumps its ReLUs may be zero for every sample,
# so that no gradient comes through them any more, and it gives the same answer to everything.
#
# The verdicts in the figure are not opinions: `nn.diagnose_sweep` states the rules, and `reason` the numbers. What
# share of the fall came late is counted on a plain scale: on the logarithmic axes of the figure the best curves still
# go down at the end, but by little.
#
# ![Nine learning rates](../docs/learning_rates.svg)

# %%
count, sizes, steps, fine = (200, [2, 16, 16, 1], 300, 200) if engine is fast else (30, [2, 8, 1], 100, 50)
moons, side = make_moons(count, noise=0.1, random_state=1)
target = (2 * side - 1).reshape(-1, 1)
rates = [0.0003, 0.003, 0.03, 0.1, 0.2, 0.3, 0.7, 1.5, 10.0]
histories, models = {}, {}
print(f"\n3. Two moons, {'-'.join(map(str, sizes))}, {steps} steps for each of nine learning rates")
for rate in tqdm(rates, desc="learning rates", unit="run"):
    model = nn.MLP(sizes, activation="relu", engine=engine, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DivergenceWarning)  # here divergence is what we came to see
        histories[rate] = nn.fit(model, (moons, target), nn.mse_loss, nn.SGD(model.parameters(), lr=rate), steps)
    models[rate] = model

verdicts = nn.diagnose_sweep({rate: history.step_loss for rate, history in histories.items()})
for rate, verdict in verdicts.items():
    print(f"   {rate:>7g}  {verdict.name:<10}  {verdict.reason}")
assert {"too low", "just right", "diverged"} <= {verdict.name for verdict in verdicts.values()}

for rate in rates:
    if verdicts[rate].name == "too high":
        answers = len(set(nn.predict(models[rate], moons).round(3).ravel().tolist()))
        print(f"   distinct answers to the {count} points of the network trained at {rate:g}: {answers}")

ax = viz.learning_rate_curves(histories)
ax.set_title("Nine learning rates on two moons")
ax.figure.set_size_inches(8, 4.5)
ax.figure.savefig(figures / "learning_rates.svg", metadata={"Date": None})

# %% [markdown]
# And what has the best of them learned? The line where the network's answer changes sign.
#
# ![The decision boundary](../docs/decision_boundary.png)

# %%
best = min((rate for rate in rates if verdicts[rate].name == "just right"), key=lambda rate: histories[rate].loss[-1])
ax = viz.decision_boundary(lambda points: nn.predict(models[best], points), moons, target, resolution=fine)
ax.set_title(f"What was learned with a rate of {best:g}")
ax.figure.set_size_inches(7, 4.5)
ax.figure.savefig(figures / "decision_boundary.png", dpi=100)

# %%
print(f"\n4. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("expression.svg", "neuron.svg", "learning_rates.svg", "decision_boundary.png"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** another activation in the last network (`"tanh"`): what becomes of the rate of 0.7? A second `t.backward()`:
# the gradients of p, q and r double, because gradients add up until they are set to zero. Run your variants with
# `python -O`, which skips the assertions: they state what holds for the numbers above.
