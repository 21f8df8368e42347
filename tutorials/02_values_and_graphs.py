# %% [markdown]
# # Values, graphs, and what a slope is
#
# A network learns by asking one question over and over: if I change this number a little, what becomes of the result?
# The answer is a slope. This lesson is about slopes: what they are, how they combine when a calculation has many
# steps, and how to check that they are right. It needs no network, only numbers that remember where they came from.
# Run it with `.venv/bin/python tutorials/02_values_and_graphs.py`, or cell by cell.

# %%
import argparse
import math
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

import viz
from micro import Value

parser = argparse.ArgumentParser(description="Values, graphs, and what a slope is.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()

# %% [markdown]
# ## 1. Fog on the mountain
#
# You stand on a mountain in thick fog and want to go down. You cannot see the valley. All you can feel is the ground
# under your feet: which way it falls, and how steeply. That is the **slope**: by how much the height changes for a
# small step, divided by the length of the step. So you take a step downhill, a longer one where it is steep, feel
# again, and go on until the ground is level.
#
# Training a network is this walk. The place where you stand is the network's weights (one number here, millions in a
# large network), the height is how wrong its answers are, and the only thing known at each step is the slope at the
# place itself. Two things follow: how far to go with one step has to be chosen (lesson 6 is about that), and where you
# end depends on where you began.
#
# ![Two walks in the fog: what is felt of the ground at three of the steps](../docs/fog.svg)


# %%
def height(x):
    """The ground. It is made of + - * / **, so x may be a plain number or a Value."""
    return x**4 / 8 - x**2 + x / 4


def walk(x, steps=20):
    """Downhill, by 0.15 times the slope in each step: the places, and the slopes that were felt there."""
    places, slopes = [x], []
    for _ in range(steps):
        here = Value(places[-1])
        height(here).backward()  # what this does is the subject of sections 2 to 4
        slopes.append(here.grad)
        places.append(here.data - 0.15 * here.grad)
    return places, slopes


walks = {"from -0.5": walk(-0.5), "from 0.5": walk(0.5)}
print("1. Fog on the mountain: two walks of 20 steps")
for name, (places, slopes) in walks.items():
    print(
        f"   {name:>9}: slope {slopes[0]:6.3f} at the start, {slopes[-1]:6.3f} at the end,"
        f" height {height(places[-1]):6.3f} at {places[-1]:6.3f}"
    )
    assert abs(slopes[-1]) < 0.01
left, right = (height(places[-1]) for places, _ in walks.values())
assert left < right - 0.9  # two valleys, and only one of them is the lower

# %%
ground = np.linspace(-3.0, 3.0, 200)
_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.fill_between(ground, height(ground), -3.2, color="#e5e7eb")
for (name, (places, slopes)), colour in zip(walks.items(), ("#0072B2", "#D55E00"), strict=True):
    for x, slope in list(zip(places, slopes, strict=False))[:9:4]:  # at the first, fifth and ninth place
        reach = 0.55 / math.hypot(1, slope)  # pieces of equal length
        near = np.array([x - reach, x + reach])
        ax.plot(near, height(x) + slope * (near - x), color=colour, linewidth=1.5)
    ax.plot(places, [height(x) for x in places], "o", color=colour, markersize=4, label=f"{name}, 20 steps")
ax.text(-2.06, -2.95, "the lower valley", ha="center", color="#4b5563")
ax.text(1.93, -2.0, "a valley, but not the lower one", ha="center", color="#4b5563")
ax.set(xlabel="place x", ylabel="height", ylim=(-3.2, 2.2), title="All that is known at a step is the slope there")
ax.legend(loc="upper center")
ax.figure.savefig(figures / "fog.svg", metadata={"Date": None})

# %% [markdown]
# ## 2. A slope, measured
#
# How does one measure a slope? Take a small step h and see what becomes of the result: (f(x + h) - f(x)) / h. Better is
# a step to both sides, (f(x + h) - f(x - h)) / 2h, the **central difference**, for then the error of the one side
# nearly cancels that of the other: halve h, and what remains falls to a quarter instead of a half.
#
# Should h be as small as possible, then? No. Computers keep about 16 digits of a number. When h is tiny, f(x + h) and
# f(x) agree in nearly all of them, the difference consists of what was rounded, and dividing by h blows that up. In the
# figure, read each curve from right to left: as h shrinks, it first falls, because the step misses less of the curve,
# and then rises again, because rounding takes over. Steps near 10⁻⁶ do well for central differences, if the numbers
# involved are not far from 1 in size.
#
# ![The error of a measured slope over the size of the step](../docs/differences.svg)

# %%
x = Value(0.5, label="x")
height(x).backward()
exact = x.grad
assert exact == 0.5**3 / 2 - 2 * 0.5 + 1 / 4  # the formula from school


def one_sided(f, x, h):
    return (f(x + h) - f(x)) / h


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


steps = np.logspace(-15, 0, 61)
errors = {
    "one side": [abs(one_sided(height, 0.5, h) - exact) for h in steps],
    "both sides": [abs(central(height, 0.5, h) - exact) for h in steps],
}
print(f"\n2. The slope at x = 0.5 is {exact}. Measured with a step h, it comes out wrong by")
print(f"   {'h':>7}  {'one side':>10}  {'both sides':>10}")
for h in (1e-1, 1e-3, 1e-6, 1e-10, 1e-14):
    print(f"   {h:>7g}  {abs(one_sided(height, 0.5, h) - exact):10.1e}  {abs(central(height, 0.5, h) - exact):10.1e}")
assert abs(central(height, 0.5, 1e-6) - exact) < 1e-9 < 1e-4 < abs(central(height, 0.5, 1e-14) - exact)

# %%
_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, error), colour, marker in zip(errors.items(), ("#E69F00", "#0072B2"), "os", strict=True):
    ax.plot(steps, error, marker, color=colour, markersize=7 if marker == "o" else 3.5, label=name)
ax.set(xscale="log", yscale="log", xlabel="step h", ylabel="error of the measured slope")
ax.set_title("Too large a step misses the curve, too small a step measures rounding")
ax.annotate("rounding", (1e-14, 1e-5), color="#4b5563", ha="center")
ax.annotate("the curve bends\nwithin the step", (2e-2, 1e-10), color="#4b5563", ha="center")
ax.legend(loc="upper center")
ax.figure.savefig(figures / "differences.svg", metadata={"Date": None})

# %% [markdown]
# Measuring takes two evaluations for every number that could be changed. For a network with a million weights that is
# two million evaluations, for one single step. So slopes are not measured but computed, all at once, in a time like
# that of a few evaluations. Measuring remains as the check: it knows nothing of the rules by which they are computed.
#
# ## 3. Along a path, slopes multiply
#
# A `Value` is a number that remembers how it was computed. What is computed from Values is a Value again; it keeps its
# **parents**, the Values it was made from, and for each parent the slope towards it. Drawn, this is a **graph**: the
# Values are its nodes, and an edge leads from each parent to what was made of it. (Take a Value's own functions, such
# as `w.exp()`: `math.exp(w)` gives a plain number, which has no parents, and so no slope either; `np.exp(w)` is an
# error.)
#
# A car takes 0.07 litres of fuel for a kilometre, a litre costs 1.80 euros, and so a kilometre costs 0.07 × 1.80 =
# 0.126 euros. Rates multiply along the way. This is the **chain rule**, and it holds for curved functions too, with the
# slopes at the very place where you stand.

# %%
distance = Value(100.0, label="kilometres")
fuel = distance * 0.07
price = fuel * 1.80
price.backward()
print(f"\n3. Along a path: {price.data:.2f} euros for 100 km, and {distance.grad:.3f} euros for one more")
assert math.isclose(distance.grad, 0.07 * 1.80)

x = Value(0.5, label="x")
tripled = x * 3
outer = (tripled - 1).tanh()
outer.backward()
slope_of_tripling, slope_of_tanh = tripled.slopes[0], outer.slopes[0]  # that of minus 1 is 1
print(f"   tanh(3x - 1) at 0.5: slopes {slope_of_tripling:g} and {slope_of_tanh:.4f} on the way, together {x.grad:.4f}")
assert math.isclose(x.grad, slope_of_tripling * slope_of_tanh)
assert math.isclose(x.grad, central(lambda x: math.tanh(3 * x - 1), 0.5, 1e-6), rel_tol=1e-8)
assert x.exp().parents == (x,)
assert type(math.exp(x)) is float

# %% [markdown]
# ## 4. Over several paths, they add up
#
# Here x goes two ways into the result: into u and into v. Raise x by a little, and z changes for two reasons at once.
# For small changes the two effects add up. So the rule is complete: **multiply along each path, add over all paths**.
# The sum is what `backward` writes into `grad`: the **gradient** of z, which is nothing but the list of its slopes with
# respect to all the numbers it depends on.
#
# In the picture, read `d/da = b = 5` as: the result of this box changes with its first argument, a, at a rate of b,
# which is 5 at the moment.
#
# ![Two paths from x to z](../docs/two_paths.svg)


# %%
def paths(result, start):
    """Every path from the result back to `start`, as the slopes on its edges."""
    if result is start:
        return [[]]
    steps = zip(result.parents, result.slopes, strict=True)
    return [[slope, *rest] for parent, slope in steps for rest in paths(parent, start)]


x, y = Value(3.0, label="x"), Value(2.0, label="y")
u, v = x * y, x + y
u.label, v.label = "u", "v"
z = u * v
z.label = "z"
z.backward()
print("\n4. Over several paths: z = (x * y) * (x + y) at x = 3, y = 2")
for start in (x, y):
    found = paths(z, start)
    terms = " + ".join(" × ".join(f"{slope:g}" for slope in path) for path in found)
    print(f"   from {start.label} to z: {terms} = {start.grad:g}")
    assert start.grad == sum(math.prod(path) for path in found)
drawn = viz.graph(z, direction="TB")
drawn.attr(nodesep="0.5")  # wider, so that the edges cross in the open
viz.render(drawn, figures / "two_paths.svg")

# %% [markdown]
# Why not simply list the paths, as here? Because there can be far more paths than edges. Below, a number is added to
# itself, then the result to itself, and so on. After twenty times there are 40 edges, but 2²⁰, over a million, paths.
# `backward` therefore goes through the graph once, from the result to the inputs. When it reaches a node, that node's
# own gradient is complete, and it hands each of its parents slope × gradient. Each edge is used once, and what it
# carries stands for all the paths that go through it.

# %%
x = Value(1.0)
doubled = x
for _ in range(20):
    doubled = doubled + doubled
doubled.backward()
edges = sum(len(node.parents) for node in doubled.topological_order())
print(f"   doubled 20 times: {edges} edges, {int(x.grad):,} paths (each with slopes of 1 only)")
assert edges == 40
assert x.grad == 2**20

# %% [markdown]
# ## 5. Used twice, two edges
#
# In x * x, the same Value is the first argument and the second. As first argument it has the slope b, the value of the
# second, which is x; as second argument it has the slope a, and that is x again. Two edges, two paths, and x + x = 2x,
# as it should be for a square. An engine that keeps the parents in a set, where everything occurs once, loses one of
# the edges, unless it makes up for it in some other way: it would say x.
#
# ![The square of x has two edges](../docs/twice.svg)

# %%
x = Value(3.0, label="x")
square = x * x
square.label = "square"
square.backward()
kept = {}
for parent, slope in zip(square.parents, square.slopes, strict=True):
    kept[parent] = slope  # the second edge takes the place of the first, for it has the same parent
once = kept[x]
print(f"\n5. Used twice: the slope of x * x at 3 is {x.grad:g}; with one edge lost it would be {once:g}")
assert square.parents == (x, x)
assert x.grad == 6.0
assert once == 3.0
viz.render(viz.graph(square), figures / "twice.svg")

# %% [markdown]
# ## 6. Kinks
#
# Some functions have a corner. relu(x), which is x where x is positive and 0 elsewhere, has the slope 0 to the left of
# zero, 1 to the right, and at zero itself none at all: there mathematics leaves the choice open. An engine needs a
# number, so it agrees on one. These are the choices of PyTorch, which this project shares. Measured by central
# differences, a corner gives the mean of both sides, so a check of slopes must stay away from corners.
#
# In training this matters less than it seems, because a sum of many rounded products rarely hits the corner exactly.
# It can matter where zeros are exact: in empty pixels, or for weights that begin at zero.

# %%
corners = {
    "relu(x)": lambda x: x.relu(),
    "maximum(x, 0)": lambda x: x.maximum(0.0),
    "abs(x)": lambda x: abs(x),
}
print("\n6. Kinks: the slopes around x = 0")
print(f"   {'':13}  {'left':>5}  {'right':>5}  {'measured':>8}  {'agreed':>6}")
agreed = {}
for name, function in corners.items():
    x = Value(0.0)
    function(x).backward()
    agreed[name] = x.grad

    def number(x, function=function):
        return function(Value(x)).data

    measured = central(number, 0.0, 1e-6)
    left, right = central(number, -1.0, 1e-6), central(number, 1.0, 1e-6)
    print(f"   {name:13}  {left:5.1f}  {right:5.1f}  {measured:8.1f}  {x.grad:6.1f}")
    assert math.isclose(measured, (left + right) / 2, abs_tol=1e-9)
assert agreed == {"relu(x)": 0.0, "maximum(x, 0)": 0.5, "abs(x)": 0.0}

# %% [markdown]
# ## 7. A neuron
#
# A neuron is such an expression: it multiplies each input by a weight, adds a bias, and squashes the sum into the range
# from -1 to 1, here by tanh. This one looks at a real flower, the first *Iris versicolor* in the data that Ronald
# Fisher published in 1936: a petal 4.7 cm long and 1.4 cm wide. The weights and the bias are arbitrary, as they are
# before training.
#
# The gradient says how its answer would change with each of them, and with the inputs as well. Each slope is checked by
# central differences; the usual measure is |computed - measured| / (|computed| + |measured|), and in numbers of 64
# bits (**float64**: Python's, about 16 digits) a value below 10⁻⁷ counts as agreement.
#
# ![The neuron that looks at a flower](../docs/flower_neuron.svg)

# %%
flower = load_iris().data[50]
length, width = (float(centimetres) for centimetres in flower[2:])
assert (length, width) == (4.7, 1.4)


def neuron(length, width, w1, w2, bias):
    return (length * w1 + width * w2 + bias).tanh()


names = ["length", "width", "w1", "w2", "bias"]
numbers = [length, width, 0.3, -0.6, 0.1]
inputs = [Value(number, label=name) for number, name in zip(numbers, names, strict=True)]
answer = neuron(*inputs)
answer.label = "answer"
answer.backward()
viz.render(viz.graph(answer), figures / "flower_neuron.svg")

print(f"\n7. A neuron looks at a flower and answers {answer.data:.4f}")
print(f"   {'':6}  {'number':>6}  {'computed slope':>14}  {'measured slope':>14}  {'difference':>10}")
for place, value in enumerate(inputs):

    def nudged(number, place=place):
        changed = [Value(other) for other in numbers]
        changed[place] = Value(number)
        return neuron(*changed).data

    measured = central(nudged, value.data, 1e-6)
    size = abs(value.grad) + abs(measured)
    difference = abs(value.grad - measured) / size if size else 0.0
    print(f"   {value.label:6}  {value.data:6.1f}  {value.grad:14.9f}  {measured:14.9f}  {difference:10.1e}")
    assert difference < 1e-7

# %%
print(f"\n8. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("fog.svg", "differences.svg", "two_paths.svg", "twice.svg", "flower_neuron.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** begin the walk at 0.125, close to the top between the valleys: how long does it take to leave? Replace tanh
# in the neuron by relu and choose a bias that makes the sum negative: what do all slopes become, and what would
# training do with such a neuron? Write z of section 4 in another way, x * x * y + x * y * y: how many paths are there
# now, and what is their sum? Run your variants with `python -O`, which skips the assertions: they state what holds for
# the numbers above.
