# %% [markdown]
# # Hardware acceleration
#
# The same training, with the same numbers, takes days or minutes: it depends on what computes it, and on whether that
# is kept busy. This lesson trains one network on everything that this machine has to offer, from the smallest size to
# one that fills a processor, and takes apart where the time goes: to calls, to arithmetic, to memory, to waiting for
# each other. It ends with rules for what to do when training is too slow.
#
# Everything printed is measured while you watch, so your figures differ from those in the pictures, which name the
# machine they were drawn on. The times are the best of several, because other programs can only make a step slower.
# Run it with `.venv/bin/python tutorials/23_hardware.py`, or cell by cell. How a single product of matrices is made
# fast is told in lesson 90.

# %%
import argparse
import math
import operator
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from sklearn.datasets import load_digits

import fast
import micro
import nn
import viz
from fast.threads import run_product
from tutorials import matmul_ladder as kernels
from tutorials.timing import machine, register_bits, seconds

parser = argparse.ArgumentParser(description="Hardware acceleration.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
random = np.random.default_rng(0)
COLOURS = ["#6b7280", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]

# %% [markdown]
# ## 1. What there is
#
# Training is arithmetic, multiplications and additions by the million. A machine can do more than one at a time in four
# ways, one inside the other:
#
# - A **core** follows one list of instructions, some billions a second. That is all that plain Python uses, and it
#   spends most of them on finding out what to do.
# - **SIMD lanes** (single instruction, multiple data): one instruction works on a whole register of numbers at once, 8
#   of float32 in 256 bits. A compiler uses them where the same is to be done to numbers that lie side by side.
# - **Threads**: a program may follow several lists of instructions, each on a core of its own. The cores share the
#   memory, so the work must be handed out, and somebody must wait for the last to finish.
# - A **graphics card** (GPU) goes the same way to its end: thousands of lanes, each slower than that of a core, and a
#   memory of its own that delivers more. NVIDIA's data sheet of the H100 of 2022 names 16,896 lanes, 67,000 GF/s in
#   float32 and 3,350 GB/s. It has to be handed its data and told of every step, which takes longer than to wake a
#   thread, so it needs far more work at a time before it pays. Lesson 26 looks inside.
#
# Two numbers say what a processor can do at most: how much **arithmetic** in a second (GF/s, 10⁹ multiplications or
# additions), and how many **bytes** it can get from memory in a second (GB/s). Both are measured here: the first with a
# kernel that does little else than multiply and add in registers, the second by multiplying a matrix of 64 MB, which
# few caches hold, with a vector: each number is fetched, used once, and never again. With more threads the arithmetic
# should grow with the cores, and float32 do twice as much as float64. If two threads do not come close to twice one,
# other programs are using your cores, and what follows will show it. Bytes grow less: all cores share one memory. The
# last column divides one by the other: so many operations fit into the time in which one number of float32 arrives.


# %%
def peak(threads, dtype, size=128, times=1000):
    """Multiply-adds in registers, in GF/s."""
    x, y = random.random((8, size)).astype(dtype), np.zeros((threads, size), dtype)
    numba.set_num_threads(threads)
    taken = seconds(kernels.multiply_adds_parallel, x, dtype(0.5), dtype(0.25), y, times, budget=0.05)
    return 2e-9 * 128 * size * times * threads / taken


def bandwidth(threads, matrix, vector):
    """Bytes read for a product of matrix and vector, in GB/s."""
    numba.set_num_threads(threads)
    product, result = (kernels.blas, kernels.blas_parallel), np.empty(len(matrix), matrix.dtype)
    return 1e-9 * matrix.nbytes / seconds(run_product, product, matrix.size, matrix, vector, result)


cores = numba.get_num_threads()
bits = register_bits()
large = random.standard_normal((4096, 4096), dtype=np.float32)
singles, doubles, memory = (dict.fromkeys((1, cores), 0.0) for _ in range(3))
for _ in range(3):
    for threads in singles:
        singles[threads] = max(singles[threads], peak(threads, np.float32))
        doubles[threads] = max(doubles[threads], peak(threads, np.float64))
        memory[threads] = max(memory[threads], bandwidth(threads, large, large[0]))
print(f"1. {machine()}; cores: {cores}; registers of {bits} bits, {bits // 32} numbers of float32")
print(f"   {'threads':>7}  {'GF/s float32':>12}  {'GF/s float64':>12}  {'GB/s':>5}  {'operations a number':>19}")
for threads in singles:
    line = f"{threads:7}  {singles[threads]:12.0f}  {doubles[threads]:12.0f}  {memory[threads]:5.1f}"
    print(f"   {line}  {4 * singles[threads] / memory[threads]:19.0f}")
assert singles[1] > 1.3 * doubles[1]
assert 4 * singles[1] / memory[1] > 5

# %% [markdown]
# ## 2. One training, on all of it
#
# Here is what can train a network on this machine, one row for each. A network 64-16-16-10 learns 16 digits for four
# steps in float64, from the same first weights. What you should see: the same losses to ten digits at least. What
# computes is a question of time and of nothing else. (Not to the last digit: sums in another order are
# rounded differently.) And `fast` needs far less than a hundredth of the time of `micro`, which makes an object of
# every single number. "Compiled" is `fast` without Python between its kernels (section 8). The last row is a tape: the
# graph of the loss that `micro` has made, compiled, as lesson 25 explains. It still computes number by number, as the
# graph says, but no longer in Python.


# %%
class Target(NamedTuple):
    """Something to train on.

    compiled: whether the steps are. most: multiply-adds a step beyond which it would take too long for this lesson.
    """

    name: str
    engine: ModuleType
    threads: int
    compiled: bool = False
    most: float = math.inf


TARGETS = [
    Target("micro", micro, 1, most=1e5),
    Target("fast, 1 thread", fast, 1),
    *([Target(f"fast, {cores} threads", fast, cores)] if cores > 1 else []),
    Target("compiled", fast, 1, compiled=True),
]
ONE, COMPILED = TARGETS[1], TARGETS[-1]
images, digits = load_digits(return_X_y=True)


def make(target, width, dtype=None):
    """A network on a target, and an optimizer."""
    numba.set_num_threads(target.threads)
    model = nn.MLP([64, width, width, 10], "tanh", engine=target.engine, seed=0, dtype=dtype)
    return model, nn.Adam(model.parameters(), lr=0.001)


def train(target, width, batch, steps, dtype=None):
    """The history of so many steps with the same batch, an epoch each."""
    model, optimizer = make(target, width, dtype)
    data = images[:batch] / 16, digits[:batch]
    if not target.compiled:
        return nn.fit(model, data, nn.cross_entropy, optimizer, steps, shuffle=False)
    step, order = compile_step(model, optimizer), np.tile(np.arange(batch), (steps, 1))
    losses = step.run(data, order).tolist()
    order = np.tile(order, (25 if batch < 64 else 1, 1))  # so that the one call hardly counts
    before = time.perf_counter()
    step.run(data, order)
    return nn.History(loss=losses, seconds=[(time.perf_counter() - before) / len(order)])


def compile_step(model, optimizer):
    return fast.compile_step(lambda x, y: nn.cross_entropy(model(x), y), optimizer)


def train_tape(width, batch, steps):
    """The same on the graph of the loss of all samples, which is made once."""
    model, optimizer = make(TARGETS[0], width, "float64")
    loss = nn.cross_entropy(model(micro.tensor(images[:batch] / 16)), micro.as_tensor(digits[:batch]))
    tape = fast.compile(loss, parameters=model.parameters())
    losses = tape.train(optimizer=optimizer, steps=steps).tolist()
    before = time.perf_counter()
    tape.train(optimizer=optimizer, steps=100)
    return nn.History(loss=losses, seconds=[(time.perf_counter() - before) / 100])


histories = {}
for target in TARGETS:
    train(target, 4, 4, 2, "float64")  # the first run loads the compiled kernels, or compiles them; it should not count
    histories[target.name] = train(target, 16, 16, 4, "float64")
train_tape(4, 4, 2)
histories["tape, 1 thread"] = train_tape(16, 16, 4)
slow, *_ = histories.values()
print(f"\n2. {'':18}  {'first loss':>14}  {'last loss':>14}  {'ms a step':>9}  {'micro / it':>10}")
for name, history in histories.items():
    first, *_, last = history.loss
    best = min(history.seconds)
    line = f"{name:18}  {first:14.12f}  {last:14.12f}  {1e3 * best:9.3f}  {min(slow.seconds) / best:10,.0f}"
    print(f"   {line}")
    assert np.allclose(history.loss, slow.loss, rtol=1e-10, atol=0)
    assert history is slow or min(slow.seconds) > 100 * best

# %% [markdown]
# ## 3. From small to large
#
# Now the network is made wider, and the batch larger with it: 4 units and 4 samples, 8 and 8, up to 1,024. The work of
# a step grows by a factor of millions. What you should see in the picture, where the dashed line is what one core could
# do at its measured peak:
#
# - On `micro`, the time follows the work: each multiplication costs the same, a lot.
# - On `fast`, the time of small steps hardly depends on their size. What is paid there is the calls: Python goes
#   through the layers, the loss and the optimizer, some dozens of kernels are started, and each has next to nothing to
#   do. More cores or wider registers do nothing for a network that small.
# - The compiled step does the same without Python. Its line goes on downwards where that of `fast` has become flat, and
#   joins it where there is enough to do.
# - Then the arithmetic takes over, and the line comes close to the dashed one.
# - More threads change nothing for small steps: there the engine does not even use them (`fast/threads.py` has the
#   sizes from which it does). For large ones they come to be worth having, as far as the other cores are idle.
#
# ![Time of a training step over its size](../docs/hardware_steps.svg)


# %%
def multiply_adds(width, batch):
    """Of a step: forward, and twice that backward, but nobody asks for the gradient of the pixels."""
    return batch * (3 * (64 * width + width * width + width * 10) - 64 * width)


sizes = [4, 8, 16, 32, 64, 128, 256, 512, 1024]
times = {target: {size: math.inf for size in sizes if multiply_adds(size, size) < target.most} for target in TARGETS}
for _ in range(2):
    for size in sizes:
        able = [target for target in TARGETS if size in times[target]]
        steps = int(np.clip(1e8 / multiply_adds(size, size), 2, 30))
        runs = [train(target, size, size, 1 if target.engine is micro else steps) for target in able]
        for target, history in zip(able, runs, strict=True):
            times[target][size] = min(times[target][size], *history.seconds)
            assert math.isclose(history.loss[0], runs[0].loss[0], rel_tol=1e-5)  # up to the rounding of float32
print(f"\n3. {'milliseconds a step':19}", *(f"{target.name:>16}" for target in TARGETS), f"{'peak of 1 core':>16}")
for size in sizes:
    ideal = 2e-9 * multiply_adds(size, size) / singles[1]
    row = [times[target].get(size, math.nan) for target in TARGETS] + [ideal]
    cells = [f"{'-' if math.isnan(taken) else f'{1e3 * taken:,.4f}':>16}" for taken in row]
    print(f"   {size:5,} × {size:<5,}     ", *cells)
one, compiled = times[ONE], times[COMPILED]
assert times[TARGETS[0]][16] > 100 * one[16]
assert one[16] / one[4] < 0.25 * multiply_adds(16, 16) / multiply_adds(4, 4)  # the time does not follow the work
assert compiled[4] < 0.5 * one[4]
assert one[1024] / one[16] < 0.2 * multiply_adds(1024, 1024) / multiply_adds(16, 16)  # large steps use the core better

_, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
work = [multiply_adds(size, size) for size in sizes]
ax.plot(work, 2e-6 * np.array(work) / singles[1], "--", color="black", linewidth=1, label="peak of 1 core")
for (target, taken), colour, marker in zip(times.items(), COLOURS, "os^Dv*", strict=False):
    points = [multiply_adds(size, size) for size in taken], 1e3 * np.array(list(taken.values()))
    ax.plot(*points, marker=marker, color=colour, markersize=5, label=target.name)
ax.set(xscale="log", yscale="log", xlabel="multiply-adds in a step", ylabel="milliseconds a step", ylim=(1e-3, None))
ax.set_title("One training step, small to large")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="on")
ax.figure.supxlabel(f"measured on {machine()}, {cores} cores, float32", x=0.99, ha="right", fontsize=8)
ax.figure.savefig(figures / "hardware_steps.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. What threads cost: handing out, and waiting
#
# Two things are lost with threads. One is the **launch**: work is handed out and its end awaited, for every single
# loop. The first table computes tanh for arrays of several lengths, each by one thread and by all. For 32 numbers the
# launch alone takes longer than the work.
#
# The other is **waiting**. A loop on all cores ends when its slowest thread ends, and a training step is dozens of such
# loops. As long as the cores are idle otherwise, the threads finish together. But let other programs have their share,
# and at any moment one of the threads has lost its core to somebody else, while the others wait for it. The second
# table measures training steps first as the machine is, and then with one other program on each core that does nothing
# but run: in the median, for the best would hide it. One thread alone loses its fair share. Several lose more as a
# rule, and may end far behind the one. (On a machine that is busy anyway, the first column shows it already.) So, on
# shared machines: fewer threads. `NUMBA_NUM_THREADS=1` before the command does it, or `numba.set_num_threads(1)` in the
# program, which most of these lessons call.


# %%
@contextmanager
def neighbours(count):
    """So many other programs that keep a core busy, for this moment, and never longer than a minute."""
    program = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"
    busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(count)]
    try:
        time.sleep(0.3)  # until they have started
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


print(f"\n4. {'tanh of an array, us':20}  {'1 thread':>10}  {'all cores':>10}")
for length in (32, 1024, 32_768, 1 << 20):
    x = random.uniform(-1, 1, length).astype(np.float32)
    y = np.empty_like(x)
    alone = seconds(kernels.arithmetic_tanh, x, y, budget=0.05)
    numba.set_num_threads(cores)
    together = seconds(kernels.arithmetic_tanh_parallel, cores, x, y, budget=0.05)
    print(f"   {length:20,}  {1e6 * alone:10.2f}  {1e6 * together:10.2f}")
    assert length > 32 or alone < together

quick = [target for target in TARGETS if target.engine is fast and not target.compiled]
quiet = {target: np.median(train(target, 256, 256, 9).seconds) for target in quick}
with neighbours(cores):
    crowded = {target: np.median(train(target, 256, 256, 9).seconds) for target in quick}
print(f"\n   {'256 units, batches of 256':26}  {'ms a step':>10}  {'with neighbours':>15}  {'times':>6}")
for target in quick:
    factor = crowded[target] / quiet[target]
    print(f"   {target.name:26}  {1e3 * quiet[target]:10.2f}  {1e3 * crowded[target]:15.2f}  {factor:6.1f}")

# %% [markdown]
# ## 5. Arithmetic or memory?
#
# A core can do many operations in the time in which one number comes from memory: section 1 printed how many. So what
# counts is how often a number is used once it is there, its **intensity**: operations for each byte. The most that can
# be had is the lower of two roofs: the peak, or bandwidth × intensity. Drawn over the intensity, this is the
# **roofline** (Williams, Waterman, Patterson 2009).
#
# - To add two large arrays, 12 bytes move for one addition, and what is written costs more than what is read. No
#   processor is fast at that: all wait for memory. So does the optimizer, which reads and writes all weights and all
#   moments to change each once.
# - A linear layer uses each weight once for each sample. With a batch of one it is as bad as an addition; with a batch
#   of 256, each weight that has come from memory is used 256 times. That is the second reason for batches (the first
#   was the calls, in lesson 8): **the batch is what gives arithmetic something to do**. A graphics card, with still
#   more arithmetic for each byte, needs it the more.
#
# The layer has the 4,096 × 4,096 weights of section 1, and the arrays to add are as large; one thread. What you should
# see: a batch of one lies near the slope. A few samples gain less than their number says, for `fast` computes 16 at a
# time, those that are missing included. Then the speed rises with the batch, up to the flat roof if nobody else uses
# the core.
#
# ![The speed of a layer below the two roofs](../docs/hardware_roofline.svg)

# %%
numba.set_num_threads(1)
weight, side = fast.tensor(large), len(large)
batches = {size: fast.tensor(random.standard_normal((size, side), dtype=np.float32)) for size in (1, 4, 16, 64, 256)}
speeds = {"a + b": (1 / 12, 1e-9 * large.size / seconds(operator.add, weight, weight))}
best = dict.fromkeys(batches, math.inf)
for _ in range(2):
    for size, x in batches.items():
        best[size] = min(best[size], seconds(fast.functional.linear, x, weight, budget=0.03))
for size, taken in best.items():
    operations = 2 * size * side**2
    speeds[f"batch of {size}"] = operations / (4 * (side**2 + 2 * size * side)), 1e-9 * operations / taken
print(f"\n5. {'':14}  {'operations a byte':>17}  {'roof, GF/s':>10}  {'measured':>8}")
for name, (intensity, speed) in speeds.items():
    print(f"   {name:14}  {intensity:17.2f}  {min(singles[1], memory[1] * intensity):10.1f}  {speed:8.1f}")
assert speeds["batch of 256"][1] > 3 * speeds["batch of 1"][1] > 3 * speeds["a + b"][1]

_, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
grid = np.geomspace(1 / 20, 300, 200)
ax.plot(grid, np.minimum(singles[1], memory[1] * grid), color="black", label="roofs: memory, then arithmetic")
addition, *layer = speeds.values()
ax.plot(*addition, "s", color=COLOURS[2], label="a + b")
ax.plot(*zip(*layer, strict=True), "o-", color=COLOURS[1], label="a linear layer, 4,096 × 4,096")
for size, place in zip(batches, layer, strict=True):
    ax.annotate(f"batch {size}", place, (4, -13), textcoords="offset points", fontsize=9, color=COLOURS[1])
ax.set(xscale="log", yscale="log", xlabel="operations for each byte", ylabel="GF/s", title="Two roofs, one thread")
ax.legend(loc="lower right")
ax.figure.supxlabel(f"measured on {machine()}, float32", x=0.99, ha="right", fontsize=8)
ax.figure.savefig(figures / "hardware_roofline.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. Precision
#
# float32 keeps about 7 digits of a number, float64 about 16. Half the bytes mean twice the numbers in a register, and
# twice the numbers a second from memory, so both roofs are twice as high, and a model takes half the room. What is lost
# matters little to training: the gradient of a batch is noisy in its first or second digit (lesson 8). That is why
# `fast` takes float32 unless told otherwise. Where digits are the point, as when a gradient is checked by differences,
# or two engines are compared, ask for float64.

# %%
target, speed, losses = ONE, {}, {}
for _ in range(2):
    for dtype in ("float32", "float64"):
        history = train(target, 512, 512, 4, dtype)
        speed[dtype] = min(speed.get(dtype, math.inf), *history.seconds)
        losses[dtype] = np.array(history.loss)
off = float(np.abs(losses["float32"] - losses["float64"]).max())
print(f"\n6. 512 units, batches of 512, {target.name}: float32 {1e3 * speed['float32']:.1f} ms a step,", end=" ")
print(f"float64 {1e3 * speed['float64']:.1f} ms, {speed['float64'] / speed['float32']:.1f} times as long")
print(f"   after 4 steps the loss is {losses['float64'][-1]:.4f}; the losses differ by {off:.0e} at most")
assert speed["float64"] > 1.1 * speed["float32"]
assert 0 < off < 1e-4

# %% [markdown]
# ## 7. Where the time goes
#
# The parts of a step, on one thread: forward and loss, backward, update. The last column says how long its arithmetic
# would take at the measured peak.
#
# - 16 units, 16 samples: the arithmetic is a tiny part. The rest is calls.
# - 1,024 units, 16 samples: over a million weights, each used for only 16 samples. The update goes through all of them,
#   and their moments, whatever the batch: its share is far larger than below. Such a step waits for memory.
# - 1,024 units, 1,024 samples: products of matrices take most of it. This step is arithmetic, and the only one of the
#   three that would gain much from more of it.


# %%
def parts(width, batch, steps):
    """Seconds of forward and loss, backward, and update, each the best of so many."""
    model, optimizer = make(ONE, width)
    x, y = fast.tensor(images[:batch].astype("float32") / 16), fast.tensor(digits[:batch])
    taken = []
    for _ in range(steps):
        begin = time.perf_counter()
        loss = nn.cross_entropy(model(x), y)
        after_forward = time.perf_counter()
        optimizer.zero_grad()
        loss.backward()
        after_backward = time.perf_counter()
        optimizer.step()
        taken.append(np.diff([begin, after_forward, after_backward, time.perf_counter()]))
    return np.min(taken, axis=0)


print(f"\n7. {'':19}  {'ms a step':>9}  {'forward':>8}  {'backward':>8}  {'update':>8}  {'arithmetic at the peak':>22}")
shares = {}
for size, batch, steps in ((16, 16, 100), (1024, 16, 10), (1024, 1024, 3)):
    taken = parts(size, batch, steps)
    pure = 2e-9 * multiply_adds(size, batch) / singles[1]
    shares[size, batch] = *(taken / taken.sum()), pure / taken.sum()
    cells = [f"{share:8.0%}" for share in shares[size, batch][:3]]
    print(
        f"   {f'{size:,} units, {batch:,}':19}  {1e3 * taken.sum():9.3f}",
        *cells,
        f"{pure / taken.sum():22.1%}",
        sep="  ",
    )
assert 5 * shares[16, 16][3] < min(0.5, shares[1024, 1024][3])
assert shares[1024, 16][2] > 2 * shares[1024, 1024][2]

# %% [markdown]
# ## 8. The step, compiled
#
# The smallest of these steps is calls, and calls can go. `fast.compile_step` watches the step once and writes down
# which kernels it calls on which arrays, forward, backward and update. Each array gets its place in one piece of
# memory, and from then on the list is gone through without Python, many steps in one call. Whoever trains needs only
# say `nn.fit(..., compile=True)`. The kernels are the same ones, and so are the numbers, to the last bit.
#
# `step.explain(x, y)` shows the list, here of the network with 16 units: each instruction with the shape of its result,
# its operations, the bytes that it reads and writes, and the time that it takes by itself. What you should see: no line
# is long. What has gone is what was between them.
#
# And `viz.roofline` draws the instructions of a larger step, 256 units and 256 samples, below the two roofs of section
# 5, as `fast.measure_peaks` finds them here. Products lie to the right, where arithmetic is the limit; activations and
# the addition of a bias make an operation or less for each byte, and lie to the left. Above the slope lies what finds
# its numbers in a cache.
#
# ![The instructions of a compiled step below the two roofs](../docs/hardware_program.svg)

# %%
losses = {}
for compiled in (False, True):
    model, optimizer = make(ONE, 16)
    data = images[:256] / 16, digits[:256]
    losses[compiled] = nn.fit(model, data, nn.cross_entropy, optimizer, 2, 16, compile=compiled).step_loss
print("\n8. The network with 16 units as a list of instructions")
print(textwrap.indent(compile_step(model, optimizer).explain(images[:16] / 16, digits[:16]), "   "))
called, listed = parts(16, 16, 100).sum(), min(train(COMPILED, 16, 16, 100).seconds[0] for _ in range(3))
print(f"   a step with calls {1e6 * called:.0f} us, as a list, update included, {1e6 * listed:.0f} us;", end=" ")
print(f"{len(losses[True])} losses of `fit` are the same: {losses[True] == losses[False]}")
assert losses[True] == losses[False]
assert len(losses[True]) == 32
assert listed < 0.5 * called

step = compile_step(*make(ONE, 256))
ax = viz.roofline(step.measure(images[:256] / 16, digits[:256]), fast.measure_peaks())
ax.set_title("A training step, instruction by instruction")
ax.figure.set_size_inches(8, 4.5)
ax.figure.supxlabel(f"measured on {machine()}, 1 thread, float32", x=0.99, ha="right", fontsize=8)
ax.figure.savefig(figures / "hardware_program.svg", metadata={"Date": None})

# %% [markdown]
# ## 9. What to do when training is too slow
#
# 1. See whether the time follows the work. Double the batch: if a step takes hardly longer, you pay for calls or
#    weights, and more cores will not help. Compile the step (`compile=True`), or take a larger batch (with the rate
#    that goes with it, lesson 8).
# 2. Large steps that follow the work: more threads, if the cores are idle; fewer, if they are not.
# 3. float32, unless digits are the point.
# 4. Many small trainings, such as a search for a learning rate: one thread each, several programs side by side. Nobody
#    waits for anybody.
# 5. Then ask for other hardware, and ask by the roofs: does this training wait for arithmetic, or for memory?

# %%
print(f"\n9. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("hardware_steps.svg", "hardware_roofline.svg", "hardware_program.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** `NUMBA_NUM_THREADS=1` before the command: which rows vanish, and which numbers change? In section 3, batches
# of 16 for all widths: where does the line leave the dashed one, and why? In section 5, the layer in float64: which of
# the two roofs comes down, and by how much? `nn.SGD` in place of `nn.Adam`: how much of the update was moments?
