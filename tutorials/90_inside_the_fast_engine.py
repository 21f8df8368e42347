# %% [markdown]
# # Inside the fast engine
#
# Why is `fast` fast? This lesson takes the one operation that neural networks spend most of their time on, the product
# of two matrices, and speeds it up step by step: six rungs from a loop in plain Python to the library that the engine
# uses. Each rung has to give the same numbers as the first, and is timed against the most that this machine can do.
# After that: what all cores buy and what they cost, what SIMD is, which shortcut falsifies results, and what compiling
# costs.
#
# Everything printed is measured while you watch, so your figures differ from the pictures here, which name the machine
# they were drawn on. Run it with `.venv/bin/python tutorials/90_inside_the_fast_engine.py`, or cell by cell. The
# kernels are in `tutorials/matmul_ladder.py`; keep it open beside this page.

# %%
import argparse
import math
import operator
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from numba import njit
from threadpoolctl import threadpool_info

import fast
from fast import threads
from tutorials import matmul_ladder as ladder
from tutorials.timing import machine, register_bits, seconds

parser = argparse.ArgumentParser(description="Inside the fast engine: a lesson under the bonnet.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
figures = parser.parse_known_args()[0].figures
figures.mkdir(parents=True, exist_ok=True)
matplotlib.rcParams["svg.hashsalt"] = "twograd"  # the same picture, the same file
started = time.perf_counter()
random = np.random.default_rng(0)
cores = numba.get_num_threads()


def sized(count):
    return f"{count:,} {'core' if count == 1 else 'cores'}"


print(f"{machine()}, {sized(cores)}; Numba {numba.__version__}, NumPy {np.__version__}")

# %% [markdown]
# ## 1. The most this machine can do
#
# "Fast" needs a yardstick. A matrix product is multiplications and additions, in pairs: `total += a * b`. So the
# yardstick is how many multiply-adds the machine can do in a second when nothing else holds it up:
#
#     cores × clock × multiply-adds started in a tick of the clock × numbers in a register × 2
#
# - The clock ticks some billions of times a second, and a core starts one or two multiply-adds in a tick, each as one
#   instruction.
# - **SIMD**, single instruction, multiple data: the instruction takes a whole register of numbers at once. A register
#   of 512 bits holds 16 numbers of float32, or 8 of float64.
# - The 2 is a habit of counting: a multiply-add is two operations. A GF/s is 10⁹ of them in a second.
#
# Data sheets multiply these factors out, with a clock that the processor may not keep up when all cores work. We
# measure instead: the kernel `multiply_adds` does almost nothing else, in registers, with no memory to wait for, on all
# cores at once, in this very run. That is an honest yardstick, for it goes through the same compiler and suffers from
# the same clock and neighbours as the rungs do. It is a ceiling for what Numba makes of Python; a library written in
# assembly language might even pass it, should the compiler shun the widest registers.


# %%
def peak(dtype, count, size=128, times=1000):
    """Multiply-adds on so many cores at once, in GF/s."""
    x, y = random.random((8, size)).astype(dtype), np.zeros((count, size), dtype)
    arguments = x, dtype(0.5), dtype(0.25)
    if count == 1:
        taken = seconds(ladder.multiply_adds, *arguments, y[0], times)
    else:
        taken = seconds(ladder.multiply_adds_parallel, *arguments, y, times)
    return 2e-9 * 128 * size * count * times / taken


peaks = {dtype: dict.fromkeys(sorted({1, cores}), 0.0) for dtype in (np.float32, np.float64)}
for _ in range(3):  # other programs come and go: three rounds, and the best counts
    for dtype, measured in peaks.items():
        for count in measured:
            measured[count] = max(measured[count], peak(dtype, count))

width = register_bits()
print(f"\n1. The measured peak, with registers of {width} bits")
for dtype, measured in peaks.items():
    lanes = width // (8 * np.dtype(dtype).itemsize)
    for count, rate in measured.items():
        print(
            f"   {dtype.__name__} on {sized(count):>8}: {rate:4.0f} GF/s ="
            f" {count} × {rate / count / lanes / 2:.2f} billion multiply-adds a second × {lanes:2} numbers × 2"
        )
ceiling = max(peaks[np.float32].values())
gain = peaks[np.float32][cores] / peaks[np.float32][1]
if gain < 0.8 * cores:
    print(f"   {sized(cores)} together reach only {gain:.1f} times the speed of one. Either they are the two halves of")
    print("   fewer real cores, or other programs use them: then try again later, for threads that wait for each other")
    print("   suffer most, and what follows about all cores says little.")

# %% [markdown]
# ## 2. The ladder
#
# For each element of c = a b, a row of a meets a column of b. Three loops, then: i over the rows, j over the columns,
# k along both.
#
# 1. **Python.** Every number is an object, and every `*` looks up at run time what it means for this kind of object.
# 2. **Compiled, i j k.** The very same lines, handed to Numba. Now the types are known, and the loop is machine code.
#    But it still does one number at a time: the next addition to `total` waits for the one before, and to change their
#    order would change the rounding, which no compiler may do unasked. And walking down a column of b, it jumps
#    through memory: each number comes with its neighbours, which go unused.
# 3. **By rows, i k j.** Two loops trade places. The inner loop now runs along rows of b and c: neighbours in memory,
#    and no addition waits for another. So the compiler uses SIMD.
# 4. **Tiled.** Now the core waits for its numbers: for each multiply-add, two are loaded and one is stored. So take
#    more than one row at a time, and keep what is used again where it is quick to reach: 16 numbers of a in registers,
#    a tile of b in the cache.
# 5. **On all cores.** `prange` gives each its share of the rows. They write to different rows, and need not wait for
#    each other.
# 6. **BLAS.** Somebody has done all this for each family of processors by hand, in assembly language, down to the
#    order of the instructions. Numba calls it for `np.dot`; so does `fast` for large matrices, a block for each core.
#    Where one side is short, as in a batch, `fast` has tiles of its own (`fast/kernels/products.py`): BLAS copies both
#    matrices into its order before it begins, they only one. The last line is the engine itself, `a @ b` on tensors,
#    with all that surrounds the product.
#
# Where a rung on all cores falls behind on small matrices, section 3 tells why.
#
# The judge is the first rung, in Python's floats of 64 bits. The others compute in float32, and round at each step by
# up to 2⁻²⁴; after K steps, a sum may be off by K · 2⁻²⁴ times the sum of its terms' sizes. How much of that each rung
# uses up is printed under "rounding": above 100 % it would be wrong.
#
# ![Speed of the six rungs over the size of the matrices, below the measured peak](../docs/matmul_ladder.svg)

# %%
rungs = {
    "Python": ladder.in_python,
    "compiled, i j k": ladder.compiled,
    "by rows, i k j": ladder.by_rows,
    "tiled": ladder.tiled,
    "tiled, all cores": lambda a, b, c: ladder.tiled_parallel(cores, a, b, c),
    "BLAS in blocks": lambda a, b, c: threads.run_product((ladder.blas, ladder.blas_parallel), 1 << 40, a, b, c),
    "fast: a @ b": operator.matmul,
}
sizes = [24, 48, 96, 192, 384, 768]
matrices = {size: random.normal(size=(2, size, size)).astype(np.float32) for size in sizes}


def operands(name, a, b):
    """a and b as the rung wants them, and room for the result where it needs some."""
    if name == "Python":
        return a.tolist(), b.tolist(), np.zeros_like(a).tolist()
    if name == "fast: a @ b":
        return fast.tensor(a), fast.tensor(b)
    return a, b, np.empty_like(a)


speeds = {name: {} for name in rungs}  # name: {size: GF/s}
for _ in range(3):
    for size in sizes:
        work = 2e-9 * size**3
        for name, speed in speeds.items():
            expected = work / speed.get(size, [*speed.values()][-1]) if speed else 0.0  # as fast as at the last size?
            if expected < (0.1 if size in speed else 1.0):  # what takes long is done once, or left out
                taken = seconds(rungs[name], *operands(name, *matrices[size]), budget=0.03)
                speed[size] = max(work / taken, speed.get(size, 0.0))

# %%
shown, last = max(speeds["Python"]), sizes[-1]  # the largest size that Python does in a moment, and the largest of all
a, b = matrices[shown]
allowed = shown * 2.0**-24 * (np.abs(a.astype(float)) @ np.abs(b.astype(float)))
judge = np.zeros_like(a).tolist()
ladder.in_python(a.tolist(), b.tolist(), judge)
print(f"\n2. The ladder, in GF/s: matrices of {shown} × {shown} and of {last} × {last}, float32")
print(f"   {'':16}  {shown:>7}  {'× Python':>8}  {'rounding':>8}  {last:>7}  {'of the peak':>11}")
for name, speed in speeds.items():
    given = operands(name, a, b)
    returned = rungs[name](*given)
    used = np.abs(np.array(given[2] if returned is None else returned.data) - judge) / allowed
    large = f"{speed[last]:7.1f}  {speed[last] / ceiling:11.1%}" if last in speed else f"{'-':>7}  {'-':>11}"
    times = speed[shown] / speeds["Python"][shown]
    print(f"   {name:16}  {speed[shown]:7.3g}  {times:8,.0f}  {used.max():8.1%}  {large}")
    assert used.max() <= 1, f"{name} differs from Python by more than rounding explains"
libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
own = next((library for library in libraries if "scipy.libs" in library["filepath"]), libraries[0])
print(f"   SciPy's BLAS is {own['internal_api']} {own['version']}; it took its kernels for {own['architecture']}")

# %% [markdown]
# BLAS picks its kernels by the processor it finds. If it names a family older than yours, it does not know yours, and
# leaves new instructions and wider registers unused; then much of the peak stays out of its reach, and the tiled rung,
# compiled for the very processor it runs on, may even keep up with it.


# %%
def spread(heights, gap):
    """Move heights apart, downwards, until each is `gap` below the one above: places for labels."""
    places = {}
    for name, height in sorted(heights.items(), key=lambda item: -item[1]):
        places[name] = min([height, *[place - gap for place in places.values()]])
    return places


def direct_labels(ax, ends, colours, gap):
    """Write each curve's name beside its end, in its colour. ends: name to (x, y), on logarithmic axes."""
    for end in {x for x, _ in ends.values()}:
        here = {name: math.log10(y) for name, (x, y) in ends.items() if x == end}
        for name, place in spread(here, gap).items():
            style = {"color": colours[name], "va": "center", "textcoords": "offset points"}
            ax.annotate(name, (end, 10**place), (9, 0), annotation_clip=False, **style)


def finish(ax, title, caption, path):
    ax.set_title(title, loc="left", fontsize=13, pad=12)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.figure.text(0.995, 0.01, caption, ha="right", fontsize=8, color="#6b7280")
    ax.figure.savefig(path, metadata={"Date": None})


palette = ["#6b7280", "#CC79A7", "#E69F00", "#56B4E9", "#0072B2", "#009E73", "#000000"]  # Okabe and Ito's, and grey
colours = dict(zip(rungs, palette, strict=True))
here = f"measured on {machine()}, {sized(cores)}, float32"
figure, ax = plt.subplots(figsize=(8, 5))
figure.subplots_adjust(left=0.09, right=0.8, top=0.89, bottom=0.16)
for name, speed in speeds.items():
    style = (
        {"linestyle": ":", "linewidth": 2, "zorder": 3} if name == "fast: a @ b" else {"marker": "o", "linewidth": 2}
    )
    ax.plot(speed.keys(), speed.values(), color=colours[name], markersize=5, **style)
for count, rate in peaks[np.float32].items():
    ax.axhline(rate, color="#374151", linewidth=1, linestyle="--")
    text = f"measured peak of {sized(count)}: {rate:.0f} GF/s"
    ax.annotate(text, (sizes[0], rate), (0, 3), textcoords="offset points", fontsize=9, color="#374151")
ax.set(xscale="log", yscale="log", xlabel="rows and columns of the matrices", ylabel="GF/s")
ax.set_xlim(sizes[0] / 1.1, sizes[-1] * 1.05)
ax.set_xticks(sizes, [str(size) for size in sizes])
ax.minorticks_off()
low, high = ax.get_ylim()
direct_labels(
    ax, {name: list(speed.items())[-1] for name, speed in speeds.items()}, colours, math.log10(high / low) / 21
)
finish(ax, "One matrix product, six rungs", here, figures / "matmul_ladder.svg")

# %% [markdown]
# ## 3. What `prange` buys, and what it costs
#
# Work on all cores has to be handed out and its end awaited. That takes a moment however little there is to do, so
# small work is done sooner by one core alone. How small depends on the work: below, two loops compute the same
# function, tanh, one with cheap arithmetic, one with a costly call for each number. Where their curves cross is where
# the other cores begin to pay.
#
# That is why the engine has thresholds. They are in `fast/threads.py`: from CHEAP elements on, plain arithmetic goes to
# all cores, from COSTLY elements on, exponentials and their like do, and matrix products from PRODUCT multiplications
# on. One number has to do for all machines and for threads that may be asleep, so they are not exactly where the
# curves cross here: a little too late costs little.
#
# ![Time of a loop on one core and on all, over its length](../docs/prange.svg)

# %%
lengths = [2**k for k in range(5, 19)]
loops = {
    "arithmetic": (ladder.arithmetic_tanh, ladder.arithmetic_tanh_parallel, threads.CHEAP),
    "calls": (ladder.library_tanh, ladder.library_tanh_parallel, threads.COSTLY),
}
x = random.uniform(-1, 1, lengths[-1]).astype(np.float32)
y = np.empty_like(x)


def curve(kernel, *first):
    """Seconds for each of the lengths, the best of three rounds."""
    return np.min([[seconds(kernel, *first, x[:n], y[:n], budget=0.012) for n in lengths] for _ in range(3)], axis=0)


times = {name: (curve(serial), curve(parallel, cores)) for name, (serial, parallel, _) in loops.items()}
pauses = []
for _ in range(20):
    time.sleep(0.02)
    before = time.perf_counter()
    ladder.arithmetic_tanh_parallel(cores, x[:32], y[:32])
    pauses.append(time.perf_counter() - before)
alone, together = times["arithmetic"]
print(f"\n3. One loop on {sized(cores)} (threads by {numba.threading_layer()})")
print(f"   32 numbers take {alone[0] * 1e6:.1f} us on one core and {together[0] * 1e6:.1f} us on all;")
print(f"   when the threads have gone to sleep, in a pause of 20 ms, {min(pauses) * 1e6:.0f} us and more")
crossings = {}
for name, (alone, together) in times.items():
    wins = together < alone
    wins = wins[:-1] & wins[1:]  # a gain at two lengths in a row is no accident
    crossings[name] = lengths[wins.argmax()] if wins.any() else None
    pays = f"pay from {crossings[name]:,} elements on" if crossings[name] else "do not pay"
    gain = alone[-1] / together[-1]
    print(f"   tanh by {name}: all cores {pays}, and at {lengths[-1]:,} are {gain:.1f} times as fast as one;")
    print(f"   {'':{len(name) + 8}}  the engine uses them from {loops[name][2]:,} on")

# %%
figure, ax = plt.subplots(figsize=(8, 4.5))
figure.subplots_adjust(left=0.11, right=0.79, top=0.88, bottom=0.17)
colours = {"arithmetic": "#0072B2", "calls": "#D55E00"}
ends = {}
for name, (alone, together) in times.items():
    for taken, style, who in ((alone, "-", "one core"), (together, "--", "all cores")):
        ax.plot(lengths, np.multiply(taken, 1e6), style, color=colours[name], linewidth=2)
        ends[f"{name}, {who}"] = lengths[-1], taken[-1] * 1e6
    if crossings[name]:
        place = crossings[name], together[lengths.index(crossings[name])] * 1e6
        ax.plot(*place, "o", color=colours[name], markersize=9)
        text = f"all cores pay\nfrom {crossings[name]:,}"
        style = {"textcoords": "offset points", "ha": "right", "va": "bottom", "fontsize": 9}
        ax.annotate(text, place, (-4, 8), color=colours[name], **style)
ax.set(xscale="log", yscale="log", xlabel="elements", ylabel="microseconds")
ax.set_xlim(lengths[0] / 1.3, lengths[-1] * 1.15)
ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
low, high = ax.get_ylim()
direct_labels(ax, ends, {end: colours[end.split(",")[0]] for end in ends}, math.log10(high / low) / 18)
finish(ax, "tanh of an array: one core or all?", here, figures / "prange.svg")

# %% [markdown]
# ## 4. What SIMD buys
#
# The same two loops, on one core, for 16,384 numbers that stay in the cache. Both compute tanh. One is arithmetic
# alone, a quotient of two polynomials, good for numbers between -1 and 1: a SIMD instruction does it for a register
# full of numbers, and twice as many of float32 fit in as of float64. The other calls `math.tanh`, and a call takes one
# number, however short (unless Numba finds Intel's SVML, a library of functions that take whole registers).

# %%
print("\n4. tanh on one core, nanoseconds for a number")
print(f"   {'':10}  {'float32':>8}  {'float64':>8}  {'ratio':>6}  {'largest error in float32':>24}")
costs = {}
for name, (serial, _, _) in loops.items():
    for dtype in (np.float32, np.float64):
        x = np.linspace(-1, 1, 1 << 14).astype(dtype)
        y = np.empty_like(x)
        costs[name, dtype] = seconds(serial, x, y) / x.size * 1e9
        if dtype == np.float32:
            error = np.abs(y - np.tanh(x.astype(float))).max()
    short, long = costs[name, np.float32], costs[name, np.float64]
    print(f"   {name:10}  {short:8.2f}  {long:8.2f}  {long / short:6.1f}  {error:24.1e}")
gains = {t: costs["calls", t] / costs["arithmetic", t] for t in (np.float32, np.float64)}
print(f"   arithmetic is {gains[np.float32]:.0f} times as fast in float32, {gains[np.float64]:.0f} times in float64")
print(f"   Intel's SVML is {'in use' if numba.config.USING_SVML else 'not installed'} here")

# %% [markdown]
# ## 5. The shortcut that falsifies: fastmath
#
# Numba offers `fastmath=True`: let the compiler treat floating-point numbers like the real numbers of a textbook. Two
# of these liberties are promises that you make to it: there is no NaN (`nnan`), and no infinity (`ninf`). A test for
# NaN is then useless by definition, and the compiler deletes it. A training run that has diverged is full of NaN, and
# the very line that should report it says that all is well. The engine uses no fastmath.
#
# The other liberties, the set SAFE below, keep NaN and infinity: sums in any order (`reassoc`), multiplication and
# addition in one rounding (`contract`), division as multiplication by the reciprocal (`arcp`), no difference between 0
# and -0 (`nsz`), approximate functions (`afn`).

# %%
SAFE = {"reassoc", "contract", "arcp", "nsz", "afn"}


def count_nan(x):
    count = 0
    for n in range(x.size):
        if math.isnan(x[n]):
            count += 1
    return count


numbers = random.random(1_000_000).astype(np.float32)
spoilt = numbers.copy()
spoilt[1234] = np.nan
rules = {"strict": False, "SAFE": SAFE, "fastmath=True": True}
print("\n5. How many of these numbers are NaN? One is; this is what the same loop says:")
for name, flags in rules.items():
    print(f"   {name:13}  {njit(fastmath=flags)(count_nan)(spoilt)}")
assert njit(count_nan)(spoilt) == njit(fastmath=SAFE)(count_nan)(spoilt) == 1

# %% [markdown]
# "Sums in any order" is why SAFE is tempting: it allows many partial sums at once, one for each place in the SIMD
# registers. The sum changes, for every order rounds differently. Here it even gets better, as each partial sum stays
# smaller and so loses less. But order can be the very point of a program. Kahan's sum keeps what every addition rounds
# away, and gives it back with the next number. To a compiler that may reorder, what is kept is (total + number) - total
# - number, which is zero, and it deletes that too.


# %%
def plain_sum(x):
    total = x.dtype.type(0)
    for n in range(x.size):
        total += x[n]
    return total


def kahan_sum(x):
    total = lost = x.dtype.type(0)
    for n in range(x.size):
        number = x[n] - lost
        risen = total + number
        lost = (risen - total) - number
        total = risen
    return total


exact = math.fsum(numbers)
print(f"\n   The sum of a million numbers of float32; exact: {exact:.3f}")
print(f"   {'':20}  {'sum':>12}  {'error':>8}  {'ns a number':>11}")
for function in (plain_sum, kahan_sum):
    for name in ("strict", "SAFE"):
        kernel = njit(fastmath=rules[name])(function)
        total, taken = kernel(numbers), seconds(kernel, numbers) / numbers.size * 1e9
        print(f"   {function.__name__:9}, {name:8}   {total:12.3f}  {abs(total - exact):8.3f}  {taken:11.3f}")
print(f"   (near that sum, the numbers of float32 are {np.spacing(np.float32(exact)):.3f} apart)")

# %% [markdown]
# ## 6. What compiling costs
#
# The first call of a kernel with arrays of a new type compiles it. That takes a good part of a second, as long as
# millions of multiply-adds. With `cache=True` Numba keeps the machine code on disk (in `__pycache__`, beside the file
# that holds the kernel), and the next process only reads it. So in `fast` every kernel is cached and stands in a file.
#
# To see it, two fresh processes call `tiled` twice each; the first finds an empty cache. (Another kernel goes before,
# untimed, because Numba itself has things to set up at the first call of all.)

# %%
program = """
import time
import numpy as np
from tutorials import matmul_ladder
a, b, c = np.ones((3, 8, 8), np.float32)
matmul_ladder.by_rows(a, b, c)
for _ in range(2):
    before = time.perf_counter()
    matmul_ladder.tiled(a, b, c)
    print(time.perf_counter() - before)
"""
root = Path(ladder.__file__).parents[1]
print("\n6. Calls of `tiled` on matrices of 8 × 8, in milliseconds")
print(f"   {'':30}  {'first call':>10}  {'second call':>11}")
with tempfile.TemporaryDirectory() as cache:
    for name in ("a process with an empty cache", "the next process"):
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-c", program]
        answer = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout
        first, second = (float(line) * 1e3 for line in answer.split())
        print(f"   {name:30}  {first:10.1f}  {second:11.4f}")

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("matmul_ladder.svg", "prange.svg"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** other tiles, `TILE_ROWS` and `TILE_COLUMNS` in `matmul_ladder.py`: which are too large for your caches?
# Blocks of two rows instead of four: how much do the registers buy? `NUMBA_NUM_THREADS=1` before the command: which
# curves fall together?
