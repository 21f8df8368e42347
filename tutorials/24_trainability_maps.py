# %% [markdown]
# # Trainability maps
#
# Which learning rates train a network, and which tear it apart? So far the answer was a number: stay below it. This
# lesson gives every layer a rate of its own, trains the same small network for each pair of rates, thousands of times,
# and colours each pair by what happened. The result is a map with a coast: on one side training works, on the other it
# fails. Then we look at the coast through a magnifying glass, twice, and find that it is no line. It is a fractal, as
# Jascha Sohl-Dickstein found in 2024 (arXiv:2402.06184). Run the lesson with
# `.venv/bin/python tutorials/24_trainability_maps.py`, or cell by cell; `--resolution 256` makes finer maps, in longer
# time.

# %%
import argparse
import dataclasses
import math
import multiprocessing
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import fast
import micro
import nn
import viz

parser = argparse.ArgumentParser(description="Trainability maps.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--resolution", type=int, default=96, help="pixels along each side of a map (default: 96)")
options = parser.parse_known_args()[0]
figures, resolution, steps = options.figures, options.resolution, 250
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()


def save_png(figure, name):
    """Thousands of pixels make a large SVG; as a PNG of 256 colours they take little."""
    figure.savefig(figures / name, dpi=100)
    Image.open(figures / name).convert("RGB").quantize(dither=Image.Dither.NONE).save(figures / name, optimize=True)


# %% [markdown]
# ## 1. One training, one number
#
# The network has 16 inputs, 16 hidden units and one output, no biases, and random targets to learn. Here it has no
# activation either: two matrices, one after the other. That is as simple as a network with two layers can be, and as
# its output is a *product* of weights, its loss is no bowl.
#
# All trainings begin with the same weights. Let v be the loss of a step, divided by that of the first; whatever is
# above a million, or no number any more, counts as a million. A training has **converged** if the last 20 v are below
# 1 in the mean, and its number is then minus the sum of all v; if not, the sum of all 1 / v. So the sign says whether
# it worked, and the size how long it took.
#
# `nn.trainability_map` is handed nothing but rates and does thousands of such trainings at once. That it does what
# `nn.fit` does, and on both engines, can be checked.

# %%
condition = nn.trainability.CONDITIONS["identity"]
x, y, weight0, weight1 = nn.trainability.draw(condition, seed=0)


def network():
    """The network of the maps, made of ordinary layers."""
    layers = [nn.Linear(*shape, bias=False, engine=fast, seed=0, dtype="float64") for shape in ((16, 16), (16, 1))]
    model = nn.Sequential(*layers)
    model.load_state_dict({"0.weight": weight0, "1.weight": weight1.reshape(1, 16)})
    return model


def loss(output, target):
    """In the paper the output is a mean over the hidden units, not a sum."""
    return nn.mse_loss(output / 16, target)


def course(lr):
    """The v of a training by `nn.fit` with one rate for both layers."""
    model = network()
    losses = np.array(nn.fit(model, (x, y.reshape(-1, 1)), loss, nn.SGD(model.parameters(), lr=lr), 60).step_loss)
    return losses / losses[0]


def at_once(engine, rates, steps):
    """Sum of v, sum of 1 / v and mean of the last 20 v of many trainings, with one rate for both layers."""
    arrays = x, y, weight0, weight1, np.column_stack([rates, rates])
    tensors = [engine.as_tensor(array, "float64") for array in arrays]
    results = engine.functional.train_two_layers(*tensors, steps=steps, activation="identity")
    return [np.asarray(result) for result in results]


print("1. One training, one number: 60 steps with one rate for both layers")
rates = [1.0, 10.0, 20.0]
sums, inverses, lasts = at_once(fast, rates, 60)
for lr, total, last in zip(rates, sums, lasts, strict=True):
    v = course(lr)
    print(f"   rate {lr:4g}: the sum of v is {total:6.3f}, the mean of the last 20 v {last:.5f}")
    assert np.allclose([v.sum(), v[-20:].mean()], [total, last])
    assert last < 1
assert np.allclose(at_once(micro, rates, 5), at_once(fast, rates, 5))

# %% [markdown]
# ## 2. A map
#
# Now every pixel is a training. To the right the rate of the input layer grows, upwards that of the output layer, both
# by factors: from a thousandth to a million. Blue trainings converged, red ones did not; the darker, the slower. Each
# of the two kinds gets its colours by rank, so that equally many pixels have each.
#
# This is the network with tanh between its layers and with 272 samples, as many as it has weights. Bottom left both
# rates are tiny: it learns, but slowly. Upwards it gets faster, and then, without a warning, there is the coast. Above
# a few hundred the output layer is lost whatever the input layer does. To the right there is no such wall: where tanh
# is saturated, the slopes of the input layer are zero and nothing moves it any more, so that even a rate of 10,000
# lets the output layer learn; unless that has a tiny rate itself. Bottom right, the first steps of the input layer have
# done harm, and what could repair it is too slow.
#
# ![A map of the learning rates of two layers](../docs/trainability_map.png)

# %%
coast = nn.trainability_map("tanh", resolution // 2, steps=150, engine=fast)
learned = coast.converged
print(f"\n2. {learned.size:,} trainings of {coast.steps} steps: {learned.mean():.0%} of the pairs of rates converged")
assert learned[: len(learned) // 4, : len(learned) // 4].all()
assert not learned[coast.ys > 1000].any()
assert learned[np.ix_((coast.ys > 1) & (coast.ys < 10), coast.xs > 1e4)].mean() > 0.9
assert not learned[:4, -4:].any()
tiny, larger = np.abs(coast.values[[0, len(learned) // 2], 0])
assert larger < tiny

ax = viz.trainability_map(coast)
ax.set_title("Which learning rates train a network with tanh?")
ax.figure.set_size_inches(7, 6)
save_png(ax.figure, "trainability_map.png")

# %% [markdown]
# ## 3. The coast on a single line
#
# Lesson 6 had a rule: in a bowl of curvature c, gradient descent diverges above a rate of 2 / c. On the diagonal of a
# map, where both layers have the same rate, we can hold it against the truth, here for the network without activation.
# `nn.sharpness` finds the largest curvature at the start.
#
# The rule is a fair guess, and it errs on the side that lesson 6 showed: beyond 2 / c the loss rises now and then, and
# that drives the weights to where it is less curved, and training goes on. Up to 1.1 times the limit every rate works,
# from 1.5 times on none does. In between lies the edge of stability, and one would expect to find a rate there below
# which all is well. There is none: of 2,000 rates a lone one fails at 1.18 times the limit, among others that all work.
# Nearer to the coast good and bad rates alternate, and a closer look does not settle it: among 2,000 rates in a window
# a hundred times as narrow the verdict changes even more often.
#
# ![How trainings end, against their rate, from afar and from nearby](../docs/trainability_line.svg)

# %%
model = network()
limit = 2 / nn.sharpness(model, (x, y.reshape(-1, 1)), loss)
v = course(1.1 * limit)
print(f"\n3. One rate for both layers. The curvature says {limit:.1f}; at 1.1 times that the loss rises in")
print(f"   {np.mean(np.diff(v) > 0):.0%} of 60 steps, and yet falls to {v[-1]:.2f} of what it was")
assert 0.2 < np.mean(np.diff(v) > 0) < 0.8
assert v[-20:].mean() < 0.5

figure, axes = plt.subplots(2, figsize=(8, 5), layout="constrained")
changes = []
for ax, ends in zip(axes, ((0.5, 2), (1.42, 1.44)), strict=True):
    shares = np.geomspace(*ends, 2000)
    last = at_once(fast, shares * limit, 500)[2]
    good = last < 1
    changes.append(int(np.sum(good[1:] != good[:-1])))
    print(f"   2,000 rates from {ends[0]} to {ends[1]} times the limit: the verdict changes {changes[-1]} times")
    if ends[0] < 1:
        assert good[shares < 1.1].all()
        assert not good[shares > 1.5].any()
        assert shares[~good][0] < 0.95 * shares[good][-1]
    ax.plot(shares[good], last[good], ".", color="#3288bd", markersize=3, label="converged", rasterized=True)
    ax.plot(shares[~good], last[~good], ".", color="#d53e4f", markersize=3, label="did not", rasterized=True)
    ax.axhline(1, color="0.5", linewidth=1)
    ax.set(yscale="log", ylabel="mean of the last 20 v", xlim=ends)
assert changes[0] > 2
assert changes[1] > changes[0]
axes[0].legend(markerscale=4)
axes[1].set_xlabel("rate / (2 / c)")
figure.savefig(figures / "trainability_line.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Zooming in, twice
#
# Now in two dimensions. The first picture is the whole map of this network without activation, and its coast looks as
# if drawn with a pen. The black frame is what the second picture shows, and its frame is what the third one shows: a
# sixtieth of the first on each axis, counted in decades. Each has as many pixels, and each of them is trained anew. The
# pen line falls apart into bays, threads and islands: pairs of rates that fail, surrounded by pairs that work. From a
# pixel of the third picture to the next one the rates change by a third of a percent.
#
# Why? A step of gradient descent is a rule that makes new weights of old ones, repeated hundreds of times. So is the
# rule z² + c that makes the Mandelbrot set; there too the question is for which numbers the repetition stays bounded,
# and there too the answer has a fractal edge. Where a training is thrown about, small differences grow from step to
# step, and in the end decide.
#
# ![The map of a network without activation, and two ever closer looks at its coast](../docs/trainability_zoom.png)

# %%
windows = [nn.trainability.WINDOW, ((6.0, 90.0), (4.0, 60.0)), ((19.5, 27.0), (31.5, 44.0))]
maps = [nn.trainability_map("identity", resolution, window, steps, engine=fast) for window in windows]
print(f"\n4. Three maps of {resolution} x {resolution} trainings")
figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
for ax, found, zoom in zip(axes, maps, [*windows[1:], None], strict=True):
    (left, right), (low, high) = found.window
    print(f"   rates {left:g} to {right:g} and {low:g} to {high:g}: {found.converged.mean():.0%} converged")
    viz.trainability_map(found, zoom=zoom, ax=ax)
save_png(figure, "trainability_zoom.png")
decades = [math.log10(window[0][1] / window[0][0]) for window in windows]
assert 50 < decades[0] / decades[2] < 70
if resolution == 96:
    assert 0.003 < maps[2].xs[1] / maps[2].xs[0] - 1 < 0.004

# %% [markdown]
# ## 5. How long is a coast?
#
# Measure a coast with a shorter ruler, and it gets longer, for the ruler follows more bays. For a fractal it does not
# stop. **Box counting** makes a number of that: cover the boundary with boxes, and count how many are needed. Halve
# the boxes: a line needs twice as many, an area four times as many, and something in between 2 to the power of d, where
# d is the dimension. In a diagram with logarithmic axes it is the slope.
#
# From afar the coast is a line: 1. In the closest picture a line would still be a line, and this is not: about 1.3.
# Published values, over many such zooms at 4096 x 4096 pixels, are 1.17 to 1.98, depending on the network. How far can
# ours be trusted? The slope is fitted to five counts, and the error that the fit states says how straight they lie, no
# more. The slopes from one size to the next differ more than that; and if only every other pixel is used, another
# number comes out. The spread of these is the honest uncertainty, about a tenth.
#
# ![Box counts of three maps](../docs/trainability_boxes.svg)

# %%
print("\n5. The dimension of the boundary, by box counting")
print(f"   {'map':14}  {'dimension':>9}  {'of the fit':>10}  {'from size to size':>17}  {'every other pixel':>17}")
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
dimensions = []
names = ("the whole", "first zoom", "second zoom")
styles = zip(names, maps, "os^", ("#0072b2", "#e69f00", "#009e73"), strict=True)
for name, found, marker, colour in styles:
    boxes = found.dimension()
    fewer = dataclasses.replace(found, values=found.values[::2, ::2], xs=found.xs[::2], ys=found.ys[::2]).dimension()
    slopes = -np.diff(np.log(boxes.counts)) / np.diff(np.log(boxes.sizes))
    print(
        f"   {name:14}  {boxes.dimension:9.2f}  {'± ' + format(boxes.error, '.2f'):>10}  "
        f"{f'{slopes.min():.2f} to {slopes.max():.2f}':>17}  {fewer.dimension:17.2f}"
    )
    dimensions.append(boxes.dimension)
    ax.plot(boxes.sizes, boxes.counts, marker=marker, color=colour, label=f"{name}: {boxes.dimension:.2f}")
if resolution >= 96:
    assert abs(dimensions[0] - 1) < 0.1
    assert dimensions[2] > dimensions[0] + 0.15
ax.set(xscale="log", yscale="log", xlabel="side of a box, in pixels", ylabel="boxes that hold boundary")
ax.set_xticks(boxes.sizes, labels=[str(size) for size in boxes.sizes])
ax.set_xticks([], minor=True)
ax.legend(title="dimension")
figure.savefig(figures / "trainability_boxes.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. By other processes
#
# A map is computed in tiles of 32 x 32 pixels, and no tile needs another one. So other processes can compute them:
# `executor=` takes anything that obeys `concurrent.futures.Executor`. Here it is a pool of two processes, and the map
# is the same, bit for bit, coast included: a pixel does not depend on who computes it. On one machine there is little
# to gain, as the fast engine uses all cores anyway. On several there is: with the extra `dask`,
# `executor=client.get_executor()` hands the tiles to the workers of a Dask cluster, and nothing else changes.
# `nn.sweep` takes an executor too.
#
# What if a worker dies? Such a pool is lost then, with every tile that is not done. These are computed by the process
# that asked for the map, with a warning, and the map is again the same. Dask gives the tile to another worker.
#
# A worker begins by reading the script that started it. In a script of your own, put the work under
# `if __name__ == "__main__":`, or each worker does it again. This lesson hides its name from them, and so they read
# nothing.

# %%
globals().pop("__file__", None)
asked = {"condition": "identity", "resolution": 64, "steps": 50, "engine": fast}
here = nn.trainability_map(**asked)
with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
    there = nn.trainability_map(**asked, executor=pool)
    pool.submit(os._exit, 1).exception()  # a worker dies; the answer is that the pool is broken
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rescued = nn.trainability_map(**asked, executor=pool)
print(f"\n6. By other processes: {np.sum(here.values == there.values):,} of {here.values.size:,} pixels are the same")
print(f"   after the death of a worker: {str(caught[0].message).rpartition('; ')[2]}")
assert np.array_equal(there.values, here.values)
assert np.array_equal(rescued.values, here.values)
assert [warning.category for warning in caught] == [RuntimeWarning]
assert "4 of 4 tasks are computed here" in str(caught[0].message)

# %% [markdown]
# ## 7. What to take home
#
# - The largest rate that works is no number that could be known exactly. Search on a scale of factors, and stay away
#   from the edge: a rate three times smaller costs some time, one slightly too large costs everything.
# - Whoever tries a rate near the edge once, sees luck, and two correct programs may disagree there: the last digit of a
#   tanh decides. Far from it they agree.
# - The rates of the layers are not one question: the output layer bears less here than the input layer does.
#
# `make map` computes such a map with 256 x 256 pixels; it may be interrupted, and goes on. See its options with
# `.venv/bin/python tutorials/map.py --help`.

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("trainability_map.png", "trainability_line.svg", "trainability_zoom.png", "trainability_boxes.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** `"relu"`, `"minibatch"`, `"single"` or `"offset"` in section 2: where are their coasts? Another `seed=` in
# section 4: is the coast elsewhere, and is it less frayed? A third zoom, into the dark blue of the last picture, and
# the fourth dimension that comes with it. And 50 steps in place of 250: a shorter repetition, a smoother coast?
