# %% [markdown]
# # The tape
#
# On `micro` every number can be looked at, for it is an object that knows what it was made from. That is also what
# makes it slow: for each training step, Python builds the same graph anew, object by object, and throws it away. But
# only the numbers change from step to step; what is computed from what stays as it is. So write that down once, as a
# list of instructions, and let machine code run down the list: that is a **tape**. The idea of such a list is old: R.
# E. Wengert computed derivatives by one in 1964.
#
# `fast.compile` makes a tape of a graph of `micro`: of the very graph that was drawn and stepped through, with the same
# numbers to the last bit. Times are measured while you watch: those of one core, and the best of several rounds, for
# other programs can only make a step slower. (Of `micro` there is one round, for it takes long.) Run the lesson with
# `.venv/bin/python tutorials/25_the_tape.py`, or cell by cell.

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from sklearn.datasets import make_moons

import fast
import micro
import nn
import viz
from fast import programs
from fast.intrinsics import LANES
from fast.kernels import planning
from micro.ops import OPERATIONS
from tutorials import microgpt

parser = argparse.ArgumentParser(description="The tape.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
numba.set_num_threads(1)
clock = time.process_time  # counts only while this program has the core
GREY, BLUE, ORANGE = "#6b7280", "#0072B2", "#D55E00"
milliseconds = {"moons, 100 samples": {}, "microgpt, one name": {}}  # of a step, by what computes it


def as_text(times):
    """Times in milliseconds, with three digits."""
    return {way: f"{number:,.0f}" if number >= 100 else f"{number:#.3g}" for way, number in times.items()}


# %% [markdown]
# ## 1. A neuron, drawn and compiled
#
# Here is a neuron with two inputs: bias + w1 × x1 + w2 × x2, and the tanh of that. Its graph has ten nodes: five leaves
# that we made, two products, two sums, and the tanh. `backward` leaves a gradient in each.
#
# `fast.compile` is told which leaves are **inputs**, of which each sample has its own, and which are **parameters**,
# which all samples share. Any other leaf would be a constant. It goes through the nodes in the order in which they were
# computed, and gives each a row in a table of numbers: first the parameters, then the inputs, then what is computed.
# So a node becomes an instruction: what is done, and the rows of its arguments and of its result.
#
# But look at the list beside the graph: the two products and two sums have become *one* instruction. Networks consist
# of such chains for the most part, start + a × b + c × d + ..., so there is an instruction for a chain of any length.
# It adds in the same order as the graph, from left to right, so that every sum is rounded as before.
#
# Backwards the list is run from its end, and each instruction does what `backward` does at a node: hand slope ×
# gradient to each argument. The slopes are those that are drawn on the edges, from the same table of operations
# (`micro/ops.py`), so there is no second definition that could differ. The answer and all five gradients are those of
# `micro` to the last bit, and for any other numbers too: the tape is given them, it does not look at the graph again.
#
# ![A neuron as a graph, and the instructions of its tape](../docs/tape_neuron.svg)


# %%
def instructions(tape):
    """The instructions of a tape for one sample, as text; what has no label is called by its row, such as r7."""
    constants = programs.constants([tape.graph])
    program = programs.whole(tape.graph, constants)
    leaves = [value.label or "?" for value in (*tape.parameters, *tape.inputs)] + [
        f"{number:g}" for number in constants
    ]
    names = [leaves[row] if row < len(leaves) else f"r{row}" for row in range(program.rows)]
    lines = []
    for code in program.code:
        first, second, third = code[planning.FIRST : planning.THIRD + 1]
        if code[planning.OP] == planning.DOT:
            factors = [f"{names[a]} × {names[b]}" for a, b, *_ in program.pairs[second:third]]
            formula = " + ".join([names[first], *factors])
        else:
            op = OPERATIONS[code[planning.OP] - 1]
            arguments = [names[row] for row in (first, second, third)[: len(op.arguments)]]
            formula = f"{op.name}({', '.join(arguments)})"
        lines.append(f"{names[code[planning.RESULT]]} = {formula}")
    return lines


numbers = {"bias": 0.1, "w1": 0.3, "w2": -0.6, "x1": 4.7, "x2": 1.4}
bias, w1, w2, x1, x2 = leaves = [micro.Value(number, label=label) for label, number in numbers.items()]
neuron = (bias + w1 * x1 + w2 * x2).tanh()
neuron.label = "neuron"
neuron.backward()
tape = fast.compile(neuron, inputs=[x1, x2], parameters=[bias, w1, w2])
run = tape.run([[4.7, 1.4]])
listing = instructions(tape)
nodes = neuron.topological_order()
print(f"1. A neuron of {len(nodes)} nodes becomes {len(listing)} instructions:", "; ".join(listing))
print(f"   its answer   micro {neuron.data!r:20}  tape {run.values.item()!r}")
print(f"   slope to w1  micro {w1.grad!r:20}  tape {run.gradients[1].item()!r}")
assert len(nodes) == 10
assert len(listing) == 2
assert listing[0].endswith("bias + w1 × x1 + w2 × x2")
assert run.values[0] == neuron.data
assert [*run.gradients, *run.input_gradients[0]] == [value.grad for value in leaves]

drawn = viz.graph(neuron, direction="TB")
rows = "".join(f'<TR><TD ALIGN="LEFT"><FONT FACE="monospace">{line}</FONT></TD></TR>' for line in listing)
drawn.node(
    "tape", f'<<TABLE BORDER="1" CELLBORDER="0" CELLPADDING="4"><TR><TD><B>its tape</B></TD></TR>{rows}</TABLE>>'
)
viz.render(drawn, figures / "tape_neuron.svg")

for leaf, number in zip(leaves, (0.7, -0.2, 0.9, 5.1, 2.3), strict=True):
    leaf.data = number
    leaf.zero_grad()
again = (bias + w1 * x1 + w2 * x2).tanh()
again.backward()
other = tape.run([[5.1, 2.3]])  # the parameters are those that the Values have now
assert other.values[0] == again.data
assert [*other.gradients, *other.input_gradients[0]] == [value.grad for value in leaves]

# %% [markdown]
# ## 2. One sample, a hundred lanes
#
# Now two moons of 50 points each and a network 2-16-16-1, as in micrograd's demo, with the hinge loss of lesson 5. On
# `micro`, all 100 samples make one graph, in which the network stands a hundred times. The tape needs it once: compile
# the loss of a *single* sample, point and target being inputs, and run that list for all samples.
#
# Not one after the other, though. The registers of a processor hold several numbers beside each other, and one
# instruction computes with all of them: each sample gets a **lane**. So each line of the list is read once for 16
# samples. Parameters are shared, so their gradients are added up over the samples; `train` does that, takes the mean,
# and moves the parameters by an optimizer of `nn`, all without Python, as many steps as it is told. Then it hands the
# numbers back to the Values of the model.
#
# What you should see: the losses of `nn.fit` on `micro`, to twelve digits. Only to twelve, because the sum over the
# samples is added up in another order, lane by lane. The time for a step falls by a factor of thousands.


# %%
def moons_tape(model):
    """The hinge loss of one point, whose two numbers and target are inputs."""
    point, target = micro.tensor([[0.0, 0.0]]), micro.tensor([[1.0]])
    return fast.compile(nn.hinge_loss(model(point), target), [point, target], model.parameters())


def train_moons(way, steps):
    """Train the network of `way` for some steps, and return the losses."""
    if way == "tape":
        return tape.train(x, y, optimizer=optimizers[way], steps=steps).tolist()
    data, options = (x, y), {"batch_size": 100, "shuffle": False}
    return nn.fit(models[way], data, nn.hinge_loss, optimizers[way], steps, **options).loss


def best(function, rounds):
    """The processor's milliseconds for a call, the best of several."""
    times = []
    for _ in range(rounds):
        before = clock()
        function()
        times.append(1000 * (clock() - before))
    return min(times)


x, side = make_moons(100, noise=0.1, random_state=1337)
y = 2.0 * side.reshape(-1, 1) - 1
engines = {"micro": micro, "fast": fast, "tape": micro}
models = {way: nn.MLP([2, 16, 16, 1], engine=engine, seed=0, dtype="float64") for way, engine in engines.items()}
optimizers = {way: nn.SGD(model.parameters(), lr=0.1) for way, model in models.items()}
tape = moons_tape(models["tape"])
losses = {way: train_moons(way, 2) for way in models}
taken = milliseconds["moons, 100 samples"]
for way, rounds, steps in (("micro", 1, 1), ("fast", 20, 20), ("tape", 20, 100)):
    taken[way] = best(lambda way=way, steps=steps: train_moons(way, steps), rounds) / steps

print(f"\n2. {tape}")
print(f"   step  {'micro':>17}  {'fast':>17}  {'tape':>17}")
for step in range(2):
    slow, quick, taped = (losses[way][step] for way in models)
    print(f"   {step:4}  {slow:17.15f}  {quick:17.15f}  {taped:17.15f}")
    assert abs(slow - taped) < 1e-12
    assert abs(slow - quick) < 1e-9
print("   a step takes", ", ".join(f"{text} ms on {way}" for way, text in as_text(taken).items()), end="")
print(f": micro / tape = {taken['micro'] / taken['tape']:,.0f}")
assert LANES == 16
assert taken["micro"] > 300 * taken["tape"]

point, model = micro.tensor([[0.0, 0.0]]), models["tape"]
score = fast.compile(model(point)[0, 0], [point], model.parameters())  # another tape of the same parameters
right, loss = np.mean(np.sign(score.forward(x)) == y[:, 0]), tape.forward(x, y).mean()
print(f"   after 2,002 steps on the tape: loss {loss:.4f}, {right:.0%} of the points right")
assert right > 0.97

# %% [markdown]
# ## 3. What a tape cannot hold
#
# A tape is what *one* run of your function did. Where Python decided something by looking at a number, the graph holds
# the branch that was taken, and no trace of the question. Below, `distance` asks whether x is positive. Compiled at 3,
# it is a tape that hands its input on, and for -2 it answers -2, without complaint.
#
# So if your function looks at numbers (`if x.data > 0`, a loop that ends when something is small enough, `max`, a word
# that an embedding looks up), ask `check`: it compares the graph of another call with that of the tape. The remedy is
# an operation that decides by itself, in each lane: `abs`, `relu`, `maximum`, `clip`. These are rows of the table.
#
# Plain numbers that were computed on the way are frozen, too. Below, `centred` takes the mean of three numbers out of
# the graph, as a plain float, and subtracts it: the tape subtracts the mean of the day it was compiled on, and `check`
# says so. `softmax` has to look for the largest number as well, to subtract it, so that exp cannot overflow. It does so
# with Values, so its tape finds the largest one of every sample.


# %%
def distance(x):
    return x if x.data > 0 else -x


three, minus_two = micro.Value(3.0, label="x"), micro.Value(-2.0, label="x")
frozen = fast.compile(distance(three) * 1.0, [three])
print(
    f"\n3. distance(-2) is {distance(minus_two).data:g}, and by a tape compiled at 3: {frozen.run([-2.0]).values[0]:g}"
)
try:
    frozen.check(distance(minus_two) * 1.0, [minus_two], [])
    found = ""
except ValueError as error:
    found = str(error)
print(f"   {found}")
decided = fast.compile(abs(three), [three])
print(f"   abs decides in each lane: of 3, -2 and 1 it makes {decided.run([3.0, -2.0, 1.0]).values.tolist()}")
assert distance(minus_two).data == 2
assert frozen.run([-2.0]).values[0] == -2
assert found.startswith("check: the graph has")
assert decided.run([3.0, -2.0, 1.0]).values.tolist() == [3, 2, 1]
decided.check(abs(minus_two), [minus_two], [])

first, second = micro.tensor([1.0, 2.0, 3.0]), micro.tensor([5.0, 1.0, 2.0])


def centred(numbers):
    return numbers[0] - sum(numbers.tolist()) / 3


shifted = fast.compile(centred(first), [first])
try:
    shifted.check(centred(second), [second], [])
    found = ""
except ValueError as error:
    found = str(error)
print(f"   centred: {found}")
assert found.startswith("check: other numbers are constants")
share = fast.compile(second.softmax()[0], [second])
share.check(first.softmax()[0], [first], [])
print(f"   softmax of (1, 2, 3) by the tape of (5, 1, 2): {share.run([[1, 2, 3]]).values[0]:.15f}, the same to the bit")
assert share.run([[1.0, 2.0, 3.0]]).values[0] == first.softmax()[0].data

# %% [markdown]
# ## 4. A language model, one name a step
#
# The network of lesson 22, microgpt's shape with its 4,064 numbers, learns one name a step. On `micro` a name of eight
# letters makes a graph of more than 66,000 Values. Can it be a tape? Two things depend on the data:
#
# - **The length.** A name of five letters has another graph than one of seven. But there are only eight lengths, so
#   there are up to eight tapes, each made when the first name of its length comes along.
# - **The letters.** The embedding looks up a row of its table by the number of the letter. So let that be done outside:
#   the rows are inputs of the tape. Their gradients come back, and are added to the gradients of the rows in the table
#   that they came from. In the same way the target picks one of 27 probabilities; instead, 27 inputs are multiplied
#   with them, which are all 0 but for a 1. (The rows of the places are the same for all names: parameters like others.)
#
# All this is in `tutorials/microgpt.py`: the network, `make_tape`, and `CompiledGPT`, whose `step` is a dozen lines.
# The update is one call of `nn.Adam` on `fast`, which has all parameters in one row.
#
# Here there is one sample a step, so there is only one lane, and each instruction is read for a single number. Still
# the tape is far ahead of Python, and ahead of `fast`, too, where the time goes into many calls, each with little to
# compute (lesson 23).

# %%
names = list(dict.fromkeys((Path(microgpt.__file__).parent / "data" / "names.txt").read_text().split()))
np.random.default_rng(0).shuffle(names)
gpt = microgpt.CompiledGPT(microgpt.GPT(micro, dtype="float64"))
trained = {engine.__name__: microgpt.stepper(microgpt.GPT(engine, dtype="float64")) for engine in (micro, fast)}
trained["tape"] = gpt.step
taken = dict.fromkeys(trained, 0.0)
print("\n4. Names     ", *[f"{way:>15}" for way in trained])
for name in names[:4]:
    losses = {}
    for way, step in trained.items():
        before = clock()
        losses[way] = step(name)
        taken[way] += 1000 * (clock() - before) / 4
    print(f"   {name:10}", *[f"{loss:15.12f}" for loss in losses.values()])
    assert abs(losses["micro"] - losses["tape"]) < 1e-12
    assert abs(losses["micro"] - losses["fast"]) < 1e-9
for way in ("fast", "tape"):
    taken[way] = best(lambda way=way: [trained[way](name) for name in names[:4]], 50) / 4
milliseconds["microgpt, one name"] = taken
print("   a step takes", ", ".join(f"{text} ms on {way}" for way, text in as_text(taken).items()), end="")
print(f": micro / tape = {taken['micro'] / taken['tape']:,.0f}")
assert taken["micro"] > 300 * taken["tape"]
assert taken["fast"] > taken["tape"]

before = clock()
course = [gpt.step(name) for name in names[4:3004]]
print(f"   3,000 more names in {clock() - before:.1f} s, for which micro would need", end=" ")
print(f"{3 * taken['micro'] / 60:.0f} minutes; loss {np.mean(course[:200]):.2f} at first,", end=" ")
print(f"{np.mean(course[-500:]):.2f} at last")
print(f"   {len(gpt.tapes)} tapes; the longest: {gpt.tapes[8]}")
assert len(gpt.tapes) <= 8
assert len(gpt.tapes[8].graph.op) > 66_000
assert np.mean(course[-500:]) < np.mean(course[:200]) - 0.1

# %% [markdown]
# ## 5. The same numbers, three times
#
# Read the axis with care: each line is ten times as long as the one before. All three compute the same losses. `micro`
# shows how, `fast` is for networks of any size, for its graph has one node for a whole array, and the tape is for small
# networks, where Python is what takes the time, and where the graph that you have looked at shall be what runs.
#
# ![Time for a step on micro, fast and the tape](../docs/tape_steps.svg)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained", sharey=True)
print("\n5. Milliseconds for a step")
for ax, (network, taken) in zip(axes, milliseconds.items(), strict=True):
    texts = as_text(taken)
    print(f"   {network}:", ", ".join(f"{way} {text}" for way, text in texts.items()))
    bars = ax.bar(list(taken), list(taken.values()), color=[GREY, ORANGE, BLUE], width=0.6)
    ax.bar_label(bars, list(texts.values()), padding=2)
    ax.set(yscale="log", title=network)
    ax.set_axisbelow(True)
    ax.grid(False, axis="x")
axes[0].set(ylabel="milliseconds a step", ylim=(0.01, 3000))
figure.savefig(figures / "tape_steps.svg", metadata={"Date": None})

# %%
print(f"\n6. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("tape_neuron.svg", "tape_steps.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** print `instructions(tape)` of the tape of section 2: which line is a neuron of the first layer, which one of
# the second? Write the neuron of section 1 with its bias at the end: how many instructions are there now, and why?
# Compile with `dtype="float32"`: how far do the losses drift apart? Write the loop "halve x until it is below 1" for a
# Value, compile it, and let `check` find the numbers for which the tape is wrong.
