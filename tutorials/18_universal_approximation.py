# %% [markdown]
# # Universal approximation
#
# "A network with a single hidden layer can approximate every function." So one hears, and it sounds like magic. It is a
# theorem, it is simpler than it sounds, and it says less than it seems to. This lesson builds such a network by hand,
# without any learning, with 1, 3, 10 and 100 hidden units; then it lets the same networks learn, and compares; then it
# looks at what the theorem does not say. Run it with `.venv/bin/python tutorials/18_universal_approximation.py`, or
# cell by cell; `--engine micro` runs a small version, number by number in plain Python, that is too short for most of
# the results claimed here.

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="Universal approximation.")
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
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#9ca3af"
full = engine is fast  # the small version learns too briefly for some of the claims below, and does not check them
sizes, seeds, steps, points = ([1, 3, 10, 100], 5, 2000, 121) if full else ([1, 3, 10], 1, 200, 31)

# %% [markdown]
# ## 1. By hand
#
# The function to be approximated is sin(2x) + sin(5x) / 2, for x from -3 to 3; any other continuous one would do.
#
# A **hidden unit** is a neuron whose answer goes to other neurons and not outside. With one input x, it computes
# activation(weight × x + bias). For ReLU that is a **hinge**: zero up to some place, then a straight slope. The place,
# -bias / weight, is where the hinge is; the output neuron multiplies each hinge by a number and adds them all up.
#
# With hinges one can build any **polyline**: go along, and wherever the line is to bend, put a hinge that adds as much
# slope as is missing. So: cut the interval into equal pieces, mark the function at each cut, and join the marks by
# straight lines. One hinge for each piece. These numbers are simply put into an ordinary `nn.MLP`; no loss, no
# backward, no update.
#
# What you should see: a hundred hinges cannot be told from the function. (With three, the line happens to be as far off
# as with one.) In this lesson, "mean error" is the root of the mean squared error, which is in the units of the
# function; the last column that is printed belongs to section 2.
#
# ![The function and polylines of 1, 3, 10 and 100 hinges](../docs/approximation_by_hand.svg)


# %%
def function(x):
    return np.sin(2 * x) + np.sin(5 * x) / 2


def network(units, activation, seed=0):
    return nn.MLP([1, units, 1], activation, engine=engine, seed=seed, dtype="float64")


def by_hand(units):
    """A network whose answer is the polyline through the function at the ends of `units` equal pieces."""
    cuts = np.linspace(-3, 3, units + 1)
    slopes = np.diff(function(cuts)) / np.diff(cuts)
    model = network(units, "relu")
    model.load_state_dict(
        {
            "0.weight": np.ones((units, 1)),
            "0.bias": -cuts[:-1],  # a hinge at the beginning of each piece
            "2.weight": np.diff(slopes, prepend=0.0)[None, :],  # that adds the slope that is missing there
            "2.bias": function(cuts[:1]),
        }
    )
    return model


def error(model):
    """The root of the mean squared error, in the units of the function."""
    return float(np.sqrt(np.mean((nn.predict(model, fine) - function(fine)) ** 2)))


fine = np.linspace(-3, 3, 1201 if full else 121).reshape(-1, 1)
made = {units: by_hand(units) for units in sizes}
steepest_bend = 4 + 12.5  # no larger can the second derivative be, -4 sin(2x) - 12.5 sin(5x)
print("1. By hand: how far the polyline is from the function")
print(f"   {'hinges':>6}  {'mean error':>10}  {'largest':>7}  {'largest possible':>16}")
for units, model in made.items():
    largest = np.abs(nn.predict(model, fine) - function(fine)).max()
    bound = (6 / units) ** 2 / 8 * steepest_bend
    print(f"   {units:6}  {error(model):10.4f}  {largest:7.4f}  {bound:16.4f}")
    assert largest <= bound
hand_errors = [error(model) for model in made.values()]
assert np.isclose(hand_errors[0], hand_errors[1], rtol=0.05)
assert error(by_hand(200)) < 0.3 * error(by_hand(100))  # twice as many: a quarter


def draw_answers(axes, models, x, names, colour=BLUE):
    for ax, model, name in zip(axes, models, names, strict=True):
        ax.plot(x, function(x), color=GREY, linewidth=4, label="the function")
        ax.plot(x, nn.predict(model, x), color=colour, linewidth=1.6, label="the network")
        ax.set_title(name)


figure, axes = plt.subplots(1, len(sizes), figsize=(11, 3), layout="constrained", sharey=True)
drawn = np.linspace(-3, 3, 241).reshape(-1, 1)
titles = [f"{units} hidden unit{'s' if units > 1 else ''}" for units in sizes]
draw_answers(axes, made.values(), drawn, titles)
for ax, units in zip(axes, sizes, strict=True):
    if units <= 10:
        cuts = np.linspace(-3, 3, units + 1)
        ax.plot(cuts, function(cuts), "o", color=BLUE, markersize=4)
    ax.set(xlabel="x", ylim=(-2.1, 2.1))
axes[0].legend(loc="lower left", fontsize=9)
figure.savefig(figures / "approximation_by_hand.svg", metadata={"Date": None})

# %% [markdown]
# ## 2. What the theorem says
#
# A polyline comes as near as you like, if only the pieces are short enough: where a function bends at most by a rate of
# B (its second derivative), pieces of width h are off by h² B / 8 at most. That is the column "largest possible" above.
# Twice as many units, a quarter of the error. So for this kind of function, and for one input, you have just seen the
# proof.
#
# The **universal approximation theorem** says it in general: for every continuous function on a closed and bounded
# region, of any number of inputs, and for every tolerance that you name, however small, there are a number of hidden
# units, and weights for them, such that the network is nowhere in that region off by more than the tolerance. (Cybenko
# proved it in 1989 for sigmoids, Hornik in 1991 for other bounded activations; Leshno and others in 1993 for every
# continuous activation that is not a polynomial, ReLU included.)
#
# There must be an activation. Without it the sum of a hundred units is a straight line like each of them:

# %%
flat = nn.Sequential(
    nn.Linear(1, sizes[-1], engine=engine, seed=0, dtype="float64"),
    nn.Linear(sizes[-1], 1, engine=engine, seed=1, dtype="float64"),
)
ends = nn.predict(flat, [[-3.0], [0.0], [3.0]]).ravel()
print(f"\n2. {sizes[-1]} units without activation: {ends[0]:.4f} at -3, {ends[1]:.4f} at 0, {ends[2]:.4f} at 3")
print(f"   in the middle of the ends: {(ends[0] + ends[2]) / 2:.4f}")
assert abs(ends[1] - (ends[0] + ends[2]) / 2) < 1e-12

# %% [markdown]
# ## 3. What it does not say: that such weights are learned
#
# "There are weights": the theorem says nothing about how to find them. Now the same networks begin at random, and learn
# in the four steps: forward, loss (the mean squared error at 121 places), backward, update (Adam, with a learning rate
# that falls along a cosine), 2,000 times, from five random starts. Two activations: ReLU, whose unit is a hinge, and
# tanh, whose unit is a smooth **step** from -1 to 1, at -bias / weight, the steeper the larger the weight.
#
# Below, networks of tanh, and in the row under them what each unit contributes to the sum: look how three steps make
# one wave.
#
# ![What networks of 1, 3, 10 and 100 tanh units have learned](../docs/approximation_learned.svg)

# %%
x = np.linspace(-3, 3, points).reshape(-1, 1)
learned, errors = {}, {}
runs = [(activation, units, seed) for activation in ("tanh", "relu") for units in sizes for seed in range(seeds)]
for activation, units, seed in tqdm(runs, desc="learning", unit="network"):
    model = network(units, activation, seed)
    optimizer = nn.Adam(model.parameters(), lr=0.03)
    falling = nn.Schedule(nn.CosineAnnealingLR(optimizer, steps))
    nn.fit(model, (x, function(x)), nn.mse_loss, optimizer, steps, callbacks=[falling])
    learned[activation, units, seed] = model
    errors.setdefault((activation, units), []).append(error(model))

print(f"\n3. The mean error; of the networks that learn, the least and the largest of {seeds}")
print(f"   {'units':>6}  {'hinges by hand':>14}  {'hinges, learned':>17}  {'tanh, learned':>17}")
for units, hand in zip(sizes, hand_errors, strict=True):
    cells = [f"{min(found):.4f} to {max(found):.4f}" for found in (errors["relu", units], errors["tanh", units])]
    print(f"   {units:6}  {hand:14.4f}  {cells[0]:>17}  {cells[1]:>17}")


def hinges(seed):
    """Of the largest network: the share that begins between -1 and 1, and the share without a slope after learning."""
    fresh = network(sizes[-1], "relu", seed)
    places = -np.array(fresh[0].bias) / np.array(fresh[0].weight)[:, 0]
    outputs = nn.predict(learned["relu", sizes[-1], seed][:-1], x)
    return np.mean(np.abs(places) < 1), np.mean((outputs == 0).all(axis=0))


middling, dead = np.transpose([hinges(seed) for seed in range(seeds)])
print(
    f"   Of {sizes[-1]} hinges {middling.mean():.0%} begin between -1 and 1; {dead.mean():.0%} end as zero everywhere"
)
if full:
    assert all(abs(middling - 0.5) < 0.15)
    assert all(dead > 0.05)
    middle = {key: np.median(found) for key, found in errors.items()}
    for activation in ("relu", "tanh"):
        assert min(errors[activation, 100]) > 5 * hand_errors[-1]
        assert middle[activation, 1] > middle[activation, 3] > middle[activation, 10]
    assert middle["relu", 10] > max(middle["relu", 100], hand_errors[2])
    assert max(errors["relu", 10]) > 1.3 * min(errors["relu", 10])
    assert middle["relu", 10] > 5 * middle["tanh", 10]
    assert middle["tanh", 10] < 0.3 * middle["tanh", 3]
    assert max(middle["relu", 1], middle["tanh", 1]) < hand_errors[0]
    assert max(middle["relu", 3], middle["tanh", 3]) < hand_errors[1]
    assert min(errors["tanh", 100]) > 0.7 * min(errors["tanh", 10])
    assert np.ptp(np.log(errors["tanh", 100])) < np.ptp(np.log(errors["tanh", 10])) / 2

figure, axes = plt.subplots(2, len(sizes), figsize=(11, 5), layout="constrained", sharex=True, sharey="row")
best = [learned["tanh", units, int(np.argmin(errors["tanh", units]))] for units in sizes]
draw_answers(axes[0], best, drawn, titles, ORANGE)
for ax, model in zip(axes[1], best, strict=True):
    parts = nn.predict(model[:-1], drawn) * np.array(model[-1].weight)[0]  # (places, units)
    for part, colour in zip(parts.T, matplotlib.colormaps["viridis"](np.linspace(0, 0.9, parts.shape[1])), strict=True):
        ax.plot(drawn, part, color=colour, linewidth=1.5 if parts.shape[1] <= 10 else 0.6)
    ax.set(xlabel="x", ylim=(-3, 3))
axes[0, 0].set_ylim(-2.1, 2.1)
axes[0, 0].legend(loc="lower left", fontsize=9)
axes[1, 0].set_ylabel("each unit's part")
figure.savefig(figures / "approximation_learned.svg", metadata={"Date": None})

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(sizes, hand_errors, "o-", color=BLUE, linewidth=2, label="hinges, put in place by hand")
for activation, colour, mark, name in (
    ("relu", ORANGE, "^", "hinges (ReLU)"),
    ("tanh", GREEN, "s", "smooth steps (tanh)"),
):
    spread = [errors[activation, units] for units in sizes]
    ax.plot(sizes, [np.median(found) for found in spread], "--", color=colour)
    label = f"{name}, learned (line: median)"
    ax.plot(np.repeat(sizes, seeds), np.ravel(spread), mark, color=colour, markersize=6, alpha=0.6, label=label)
ax.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="mean error", xticks=sizes, xticklabels=sizes)
ax.set_title("What exists, and what was found")
ax.minorticks_off()
ax.legend()
ax.figure.savefig(figures / "approximation_errors.svg", metadata={"Date": None})

# %% [markdown]
# The same network of a hundred hinges, for which we know weights with an error of a few thousandths, learned ends many
# times as far off. The weights exist; gradient descent did not find them in this time. Ten hinges, learned, mostly end
# worse still, even worse than the ten that were put in place by hand, and from each start at another error. For hinges
# begin where chance puts them, at -bias / weight: half of them between -1 and 1, since both are drawn from the same
# range. And a hinge that is zero at all 121 places has no slope by which to come back.
#
# Smooth steps are easier to learn here: ten of them mostly come far nearer than ten hinges. But a hundred are not
# better than the best ten, only more reliable: what holds them up is no longer the number of units. (With one unit and
# with three, learning does better than the polyline, whose pieces are all of one width, whether that suits the function
# or not.)
#
# ![Mean error over the number of hidden units, by hand and learned](../docs/approximation_errors.svg)
#
# ## 4. What it does not say: anything beyond the region
#
# The theorem is about the interval from -3 to 3, and the loss was measured there. Outside, nothing holds the network to
# the function. It goes on as its units do: hinges, after the last of them, straight on for ever; tanh ever flatter.
#
# ![What the networks answer outside of the interval](../docs/approximation_beyond.svg)

# %%
print("\n4. Beyond: the mean error from -3 to 3, and from 3 to 9")
far = np.linspace(3, 9, 121).reshape(-1, 1)
widest = np.linspace(-9, 9, 361).reshape(-1, 1)
beyond = {}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, activation, colour in zip(axes, ("relu", "tanh"), (ORANGE, GREEN), strict=True):
    model = learned[activation, sizes[-1], 0]
    outside = float(np.sqrt(np.mean((nn.predict(model, far) - function(far)) ** 2)))
    beyond[activation] = error(model), outside
    print(f"   {activation:4}  {beyond[activation][0]:7.4f}  {outside:7.4f}")
    draw_answers([ax], [model], widest, [f"{sizes[-1]} units, {activation}"], colour)
    ax.axvspan(-3, 3, color=GREY, alpha=0.15, linewidth=0, label="where it has learned")
    ax.set(xlabel="x", ylim=(-6, 6), xticks=range(-9, 10, 3))
    ax.legend(loc="upper left", fontsize=9)
figure.savefig(figures / "approximation_beyond.svg", metadata={"Date": None})
answers = {name: nn.predict(learned[name, sizes[-1], 0], [[1e6], [2e6], [3e6]]).ravel() for name in ("relu", "tanh")}
assert np.isclose(np.diff(answers["relu"])[0], np.diff(answers["relu"])[1], rtol=1e-6)  # a straight line
assert np.allclose(np.diff(answers["tanh"]), 0, atol=1e-6)  # a constant, in the end
if full:
    assert all(outside > 5 * inside for inside, outside in beyond.values())

# %% [markdown]
# And more that it does not say: how many units are needed (with more inputs it can be astronomically many); that what
# fits at the places of training fits between them (lesson 16 is about that); that one wide layer is a good idea. Deep
# networks are universal as well, and for some functions need far fewer units than any network with one hidden layer
# (Telgarsky 2016). What the theorem does give is peace of mind: where a network fails, it is not because the function
# is out of the reach of networks. It is the data, the learning, or the number of units.

# %%
print(f"\n5. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("by_hand", "learned", "errors", "beyond"):
    print(f"   {figures / f'approximation_{name}.svg'}")

# %% [markdown]
# **Try:** a function with a jump, `np.sign(x)`: the theorem does not cover it; where does the polyline fail? Start the
# learning at the weights that were put in by hand: does it stay there, or get better still? Two hidden layers of ten
# tanh units, `nn.MLP([1, 10, 10, 1], ...)`: how close do they come? Run your variants with `python -O`, which skips the
# assertions: they state what holds for the numbers above.
