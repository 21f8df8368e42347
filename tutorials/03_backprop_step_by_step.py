# %% [markdown]
# # Backprop, step by step
#
# Lesson 2 ended with a neuron whose answer was computed, and whose slopes `backward` had found. This lesson takes
# `backward` apart: it is four lines, they are written out here, and then every single step is shown, in a table, in a
# page with buttons, and in a film. Run it with `.venv/bin/python tutorials/03_backprop_step_by_step.py`, or cell by
# cell.

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

import viz
from micro import Value

parser = argparse.ArgumentParser(description="Backprop, step by step.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()

# %% [markdown]
# ## 1. The factory line that assigns blame
#
# A shaft passes three stations: it is cut, drilled, and fitted. At the end it is off by 10 hundredths of a millimetre.
# Who is to blame, and how much?
#
# Each station adds a fault of its own, 1 hundredth each. But the drill also doubles whatever it is handed, and fitting
# triples it. So the little fault made first is magnified by 2 and then by 3, sixfold, before it leaves the factory:
#
#     after drilling = 2 × cutting + drilling
#     at the end     = 3 × after drilling + fitting
#
# Nobody needs to know the whole line to share out the blame. Begin at the end, with a blame of 1 for the final fault.
# Each station hands back what it received, times its own slope: fitting keeps 1 for its own fault and hands back 3;
# drilling keeps 3 and hands back 3 × 2 = 6. This is **backpropagation**: blame travels backwards, and each station
# only has to know its own slopes.
#
# ![The line as a graph, with the blame as gradients](../docs/factory.svg)


# %%
def line(faults):
    """Three stations: the fault of the finished shaft, and the faults that the stations add."""
    cutting, drilling, fitting = [Value(fault, label=name) for name, fault in faults.items()]
    drilled = 2 * cutting + drilling
    drilled.label = "after drilling"
    finished = 3 * drilled + fitting
    finished.label = "at the end"
    return finished, [cutting, drilling, fitting]


def blame(faults):
    """For each station: its gradient, and its share of the final fault."""
    finished, stations = line(faults)
    finished.backward()
    return {station.label: (station.grad, station.grad * station.data / finished.data) for station in stations}


finished, stations = line({"cutting": 1.0, "drilling": 1.0, "fitting": 1.0})
finished.backward()
viz.render(viz.graph(finished), figures / "factory.svg")
equal = blame({"cutting": 1.0, "drilling": 1.0, "fitting": 1.0})
careful = blame({"cutting": 0.1, "drilling": 1.0, "fitting": 1.0})
print(f"1. The factory line: off by {finished.data:g} hundredths of a millimetre")
print(f"   {'':8}  {'slope':>5}  {'share, equal faults':>19}  {'share, careful cutting':>22}")
for name, (slope, share) in equal.items():
    print(f"   {name:8}  {slope:5g}  {share:19.0%}  {careful[name][1]:22.0%}")
assert [slope for slope, _ in equal.values()] == [6, 3, 1]
assert [round(share, 9) for _, share in equal.values()] == [0.6, 0.3, 0.1]

# %% [markdown]
# Two cautions. The gradient is not the share: it says how much the end changes **for each unit** of a station's fault.
# The share is gradient times fault; in the last column cutting has become ten times as careful, and its share falls to
# 13 %, while its gradient is what it was. And the shares add up to the whole because this line only adds and
# multiplies by fixed numbers. Where functions are curved, as in a network, slopes hold for small changes only.
#
# ## 2. Four lines
#
# Here is all of it, for any graph. The forward pass has left, on every Value, its parents and the slopes towards them.
# Start with a gradient of 1 at the result, go back through the graph, and let each node hand each parent
# slope × gradient. A parent **adds up** what it is handed, because it may be used in several places.


# %%
def my_backward(result):
    result.grad = 1.0
    for node in reversed(result.topological_order()):
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            parent.grad += slope * node.grad


mine, my_stations = line({"cutting": 1.0, "drilling": 1.0, "fitting": 1.0})
my_backward(mine)
print("\n2. Backward in four lines finds", [station.grad for station in my_stations])
assert [station.grad for station in my_stations] == [station.grad for station in stations]

# %% [markdown]
# The order matters: a node must not hand on its gradient before it is complete, that is, before everything made from it
# has had its turn. `topological_order` lists each Value after its parents; reversed, each comes before its parents,
# and so after all that was made from it. Below, a feeds both b and z. If a takes its turn before b, it hands on too
# little, and no error is raised: a wrong gradient is just a number.


# %%
def pass_on(order):
    """Hand gradients on in a given order; the first is the result."""
    order[0].grad = 1.0
    for node in order:
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            parent.grad += slope * node.grad


gradients = {}
for name in ("z, b, a", "z, a, b"):
    x = Value(1.5)
    a = 2 * x
    b = a + 1
    z = a * b
    pass_on([z, b, a] if name == "z, b, a" else [z, a, b])
    gradients[name] = x.grad
right = (2 * 1.501 * (2 * 1.501 + 1) - 2 * 1.499 * (2 * 1.499 + 1)) / 0.002
print(f"   z = a * b with b = a + 1, a = 2 * x: measured, the slope is {right:.3f}")
for name, gradient in gradients.items():
    print(f"   in the order {name}: {gradient:g}")
assert abs(gradients["z, b, a"] - right) < 1e-6
assert gradients["z, a, b"] == 8.0

# %% [markdown]
# ## 3. A neuron that is wrong, step by step
#
# Now with something to learn. One neuron, tanh(w × x + bias), answers 0.76 where the truth is -1. How wrong that is
# becomes one number, the **loss**: here the square of the error, (answer - truth)². Backprop finds out how the loss
# changes with w and with the bias. What one would want to blame is not x, for x is a measurement; but it gets a
# gradient too, and if x were the answer of another neuron, that is what would be handed on to it. The square is written
# error * error, so that one Value with two edges is among them: look how its gradient comes in two parts. Grey boxes
# are constants, here the truth; nobody asks for their slope, so the table leaves them out.
#
# `loss.backward_steps()` does what `loss.backward()` does, and yields a record of each step: the node whose turn it is,
# its gradient, and for each edge the slope, the contribution slope × gradient, and the parent's gradient before and
# after.
#
# ![The neuron and its loss](../docs/wrong_neuron.svg)


# %%
def wrong_neuron(w=0.4, bias=0.4):
    """The loss, and the two parameters."""
    w, bias = Value(w, label="w"), Value(bias, label="bias")
    x = Value(1.5, label="x")
    product = w * x
    product.label = "product"
    total = product + bias
    total.label = "sum"
    answer = total.tanh()
    answer.label = "answer"
    error = answer - (-1.0)
    error.label = "error"
    loss = error * error
    loss.label = "loss"
    return loss, w, bias


loss, w, bias = wrong_neuron()
print(f"\n3. A neuron that is wrong: its loss is {loss.data:.4f}")
print(f"   {'':7} {'':>8}   {'':7} {'':>8}   {'slope times':>11}   {'gradient of':>22}")
print(f"   {'node':7} {'gradient':>8}   {'parent':7} {'slope':>8}   {'gradient':>11}   {'the parent':>22}")
for step in loss.backward_steps():
    for edge in step.edges:
        if not edge.parent.constant:
            print(
                f"   {step.node.label:7} {step.gradient:8.4f}   {edge.parent.label:7} {edge.slope:8.4f}"
                f"   {edge.contribution:11.4f}   {edge.before:10.4f} -> {edge.after:8.4f}"
            )
        assert edge.contribution == edge.slope * step.gradient
        assert edge.after == edge.before + edge.contribution
again, *parameters = wrong_neuron()
again.backward()
assert [w.grad, bias.grad] == [parameter.grad for parameter in parameters]  # the same numbers, to the last bit
drawn = viz.graph(loss)
drawn.attr(ranksep="0.25")  # closer together, so that it fits a screen
viz.render(drawn, figures / "wrong_neuron.svg")

# %% [markdown]
# ## 4. The update
#
# A positive gradient says: raise this number, and the loss rises. So each parameter moves **against** its gradient, by
# the gradient times a small factor, the **learning rate**: w - lr × gradient. To first order, the loss should then
# change by -lr × (the sum of the squares of the gradients). The table compares that forecast with what happens. For a
# small rate it is nearly right; for a large one the tanh has bent away, and the forecast fails: in the end it promises
# a loss below zero, which no square can be. Slopes are about small changes.
#
# ![The loss over the size of the step, and the forecast of the slopes](../docs/forecast.svg)


# %%
def loss_after(lr):
    return wrong_neuron(w.data - lr * w.grad, bias.data - lr * bias.grad)[0].data


squares = w.grad**2 + bias.grad**2
print(f"\n4. The update: what becomes of the loss of {loss.data:.4f}")
print(f"   {'lr':>6}  {'forecast':>9}  {'change':>9}  {'ratio':>6}")
for lr in (0.001, 0.01, 0.1, 1.0):
    change = loss_after(lr) - loss.data
    print(f"   {lr:6g}  {-lr * squares:9.5f}  {change:9.5f}  {change / (-lr * squares):6.3f}")
assert abs((loss_after(0.001) - loss.data) / (-0.001 * squares) - 1) < 0.01

rates = [step / 200 for step in range(161)]
_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(rates, [loss_after(lr) for lr in rates], color="#0072B2", linewidth=2, label="the loss after one update")
ax.plot(rates, [loss.data - lr * squares for lr in rates], "--", color="#D55E00", label="forecast from the slopes")
ax.set(xlabel="learning rate", ylabel="loss", ylim=(-0.2, 3.7), title="Slopes are about small changes")
ax.legend()
ax.figure.savefig(figures / "forecast.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Watch it
#
# The same steps as a page: forward, loss, backward, update, with buttons, arrow keys and a slider. Open
# [steps.html](../docs/steps.html) in a browser; it is one file and needs no network. Under the graph stands the formula
# of the step in words and numbers. The numbers are the engine's, those of the table above. For slides, the same as a
# film:
#
# ![The neuron, one step after the other](../docs/steps.gif)

# %%
steps = viz.steps(loss, figures / "steps.html", lr=0.1, parameters=[w, bias])
steps.gif(figures / "steps.gif", seconds=3)

# %%
print(f"\n5. All done in {time.perf_counter() - started:.0f} s. The pictures, and the page:")
for name in ("factory.svg", "wrong_neuron.svg", "forecast.svg", "steps.html", "steps.gif"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** let drilling halve what it is handed instead of doubling it: who is to blame now? Give the neuron the truth
# +1 instead of -1: which signs change, and why does w now move the other way? Start with a bias of 5, so that the tanh
# is almost flat: what is handed back through it, and how fast would this neuron learn? Run your variants with
# `python -O`, which skips the assertions: they state what holds for the numbers above.
