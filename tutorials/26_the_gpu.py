# %% [markdown]
# # The GPU in pictures
#
# A graphics card multiplies matrices hundreds of times as fast as a core does, but only if the program is written for
# how it works. This lesson looks inside, without one: it runs the kernels of this project (`fast/cuda/kernels`) in the
# **simulator** that comes with Numba, watches which thread reads which number, counts, and draws what it has seen. What
# a thread computes and reads is the same there as on a card; only time means nothing. (`fast/cuda/simulator.py` adds
# what the simulator lacks.)
#
# So mind three kinds of numbers. What is **counted** comes from the simulator, while you watch. What is **from a data
# sheet** says what NVIDIA's H100 (SXM, 2022) can do at best. What was **measured** was measured on such a card, by a
# program of its own; this lesson has the figures in one table and does not measure them again.
#
# Run it with `.venv/bin/python tutorials/26_the_gpu.py`, or cell by cell. `--tile 8` and `--size 128` change the
# matrices of sections 4 and 5, `--runs 128` the number of trainings in section 8. `tutorials/simulated_gpu.py` has the
# record of accesses.

# %%
import os

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # Numba asks for it when it is imported, and never again

import argparse
import math
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Rectangle
from numba import cuda, float32

import fast
import nn
from fast.cuda.kernels import ladder, products, reductions
from fast.cuda.registry import KERNELS
from fast.cuda.warps import ALL
from tutorials.simulated_gpu import WARP, Watched, in_step, launch, lines_of, sectors, wavefronts

parser = argparse.ArgumentParser(description="The GPU in pictures.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument(
    "--size", type=int, default=64, help="rows and columns of c = a @ b, a multiple of 64 (default: 64)"
)
parser.add_argument("--depth", type=int, default=32, help="columns of a, a multiple of 32 (default: 32)")
parser.add_argument("--tile", type=int, choices=(8, 16, 32), default=16, help="side of the small tiles (default: 16)")
parser.add_argument("--runs", type=int, default=64, help="trainings side by side, a multiple of 32 (default: 64)")
options = parser.parse_known_args()[0]
figures, size, depth, tile, runs = options.figures, options.size, options.depth, options.tile, options.runs
if size % 64 or depth % 32 or runs % 32 or min(size, depth, runs) < 1:
    parser.error(f"--size {size} --depth {depth} --runs {runs}: take multiples of 64, of 32 and of 32")
ladder.TILE = tile  # in the simulator a kernel is Python, and looks its names up when it runs
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
numba.set_num_threads(1)
random = np.random.default_rng(0)
GREY, BLUE, ORANGE, GREEN, PINK, YELLOW = "#6b7280", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"

# NVIDIA's data sheet of the H100 SXM: additions and multiplications of float32, and bytes of memory, a second.
MULTIPROCESSORS, LANES, THREADS = 132, 128, 2048  # LANES and THREADS: of each multiprocessor
PEAK, BANDWIDTH = 67e12, 3.35e12
# Measured on one: numba-cuda 0.30, driver 580, cuBLAS by PyTorch 2.11 with tf32 off. Seconds, or a second.
MEASURED = {
    "a launch without arguments": 11.5e-6,
    "a launch with four arrays": 38e-6,
    "50 launches in a row": 1053e-6,
    "the same 50 as a graph": 52.6e-6,
    "copied, bytes read and written": 2.2e12,
    "cuBLAS, 4,096 x 4,096": 51e12,
    "tiles of 128, 4,096 x 4,096": 39e12,
}


def floats(*shape):
    return random.standard_normal(shape, dtype=np.float32)


def pictures(count, height):
    """A figure with so many pictures beside each other, without axes."""
    figure, axes = plt.subplots(1, count, figsize=(9, height), layout="constrained")
    for ax in axes:
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
    return figure, axes


# %% [markdown]
# ## 1. What a GPU is, beside a CPU
#
# A core of a CPU is built to finish one list of instructions as soon as possible: it guesses which branch comes next,
# reorders, and keeps megabytes of cache at hand, for while it waits for a number from memory, which takes about as long
# as hundreds of multiplications, it does nothing else. Most of its area goes into not waiting.
#
# A GPU lets its threads wait, and has others. A **multiprocessor** of the H100 has 128 lanes that multiply and add, and
# keeps up to 2,048 threads, each with registers of its own; whenever some of them wait, it goes on with others, at no
# cost. There are 132 of them. So the first condition for speed is to have a great many threads: tens of thousands, of
# which most wait at any time.
#
# The second condition follows from the last line of the table. In the time in which one number of float32 arrives from
# memory, the card could do 80 operations. Whoever uses a number only once or twice uses a fortieth of it.

# %%
print("1. An H100, from its data sheet, and this machine")
cores = os.cpu_count() or 1
print(f"   {'lists of instructions at a time':38}  {MULTIPROCESSORS * LANES // WARP:9,} warps   here {cores:,} cores")
print(f"   {'lanes that multiply and add':38}  {MULTIPROCESSORS * LANES:9,}")
print(f"   {'threads that it keeps, with registers':38}  {MULTIPROCESSORS * THREADS:9,}")
print(f"   {'operations a second, float32':38}  {PEAK / 1e12:9,.0f} x 10^12")
print(f"   {'bytes a second from its memory':38}  {BANDWIDTH / 1e12:9,.2f} x 10^12")
print(f"   {'operations while a number arrives':38}  {4 * PEAK / BANDWIDTH:9,.0f}")
assert 4 * PEAK / BANDWIDTH > 40

# %% [markdown]
# ## 2. Grid, blocks, threads, warps
#
# A **kernel** is a function that describes what *one* thread does. It is launched on a **grid** of **blocks**, each of
# as many **threads**, and every thread finds out where it is, and so what is its share. The product's simplest kernel
# (`ladder.naive`) asks `j, i = cuda.grid(2)` and computes c[i, j]. Here c has 28 × 44 numbers, and blocks have 16 × 16
# threads; so there are 2 × 3 blocks, and those at the edge reach beyond it. Their threads see `i < c.shape[0]` fail,
# and are done.
#
# A block is more than a number: its threads run on the same multiprocessor, share a piece of fast memory, and can wait
# for each other. Different blocks cannot; they may run in any order, on one multiprocessor or on 132. That is why the
# same program uses a small card and a large one.
#
# And 32 neighbouring threads of a block are a **warp**. That is no choice of ours, it is how the card is built: a warp
# has *one* list of instructions, and each instruction is done by its 32 threads at once. In a block of 16 × 16 a warp
# is two rows. Nearly all that makes a kernel fast or slow is about what the 32 do in the same moment.
#
# ![Which block, warp and thread computes which number](../docs/gpu_threads.svg)

# %%
rows, columns = 28, 44
a, b, c = floats(rows, 1), floats(1, columns), Watched(np.zeros((rows, columns), np.float32))
grid, block = (math.ceil(columns / 16), math.ceil(rows / 16)), (16, 16)
launch(ladder.naive, grid, block, a, b, c)
blocks, warps = np.full((32, 48), np.nan), np.full((32, 48), np.nan)
for thread, place, _ in c.accesses:
    blocks[divmod(place, columns)] = thread.blockIdx.y * grid[0] + thread.blockIdx.x
    warps[divmod(place, columns)] = thread.thread_id // WARP
idle = np.isnan(blocks).sum()
print(f"\n2. {grid[0]} x {grid[1]} blocks of 16 x 16 threads for {rows} x {columns} numbers: {idle} threads have none")
assert np.allclose(c.array, a @ b)
assert (c.counts(written=True) == 1).all()
assert idle == grid[0] * grid[1] * 256 - rows * columns
assert all(np.ptp(warps[i, :16]) == 0 and warps[i, 0] == i // 2 for i in range(16))

figure, axes = pictures(2, 3.6)
colours = ListedColormap([BLUE, ORANGE, GREEN, PINK, YELLOW, "#56B4E9"])
axes[0].imshow(blocks, cmap=colours, alpha=0.5 + 0.3 * (np.nan_to_num(warps) % 2))
for y, x in np.ndindex(grid[::-1]):
    axes[0].add_patch(Rectangle((16 * x - 0.5, 16 * y - 0.5), 16, 16, fill=False, color="black", linewidth=1))
    middle = (16 * x + min(16 * x + 16, columns) - 1) / 2, (16 * y + min(16 * y + 16, rows) - 1) / 2
    axes[0].text(*middle, f"block ({x}, {y})", ha="center", va="center", fontsize=9)
axes[0].add_patch(Rectangle((-0.5, -0.5), columns, rows, fill=False, color="black", linewidth=2.5))
axes[0].set_title(f"c, {rows} × {columns}: a thread for each number,\nand some beyond the edge", fontsize=10)
axes[1].imshow(warps[:16, :16], cmap=ListedColormap([BLUE, "#56B4E9"] * 4), alpha=0.6)
for thread in range(256):
    axes[1].text(thread % 16, thread // 16, thread, ha="center", va="center", fontsize=5)
for warp in range(8):
    axes[1].text(16, 2 * warp + 0.5, f"warp {warp}", va="center", fontsize=9)
axes[1].set_title("block (0, 0): 256 threads,\neight warps of 32", fontsize=10)
figure.savefig(figures / "gpu_threads.svg", metadata={"Date": None})

# %% [markdown]
# ## 3. What a warp reads at once
#
# Memory hands out pieces of 32 bytes, **sectors**, eight numbers each. When the 32 threads of a warp read, each its
# number, the sectors that hold them are fetched. If the threads' numbers are neighbours, four sectors do: 128 bytes,
# all of them wanted (the access is **coalesced**). If they are far apart, it takes up to 32 sectors, and seven eighths
# of what is fetched is thrown away.
#
# In `naive` neighbouring threads have neighbouring columns j. At a step k of its loop, a thread reads a[i, k] and
# b[k, j]. The picture shows what the first warp of a block reads at one k: of b 16 neighbours, for its two rows of
# threads want the same ones, and of a two numbers, one for each row. Now exchange i and j, a change of three letters:
# neighbouring threads have neighbouring rows, and their numbers of a lie a whole row apart. Every thread computes what
# it did before; what the *warp* reads is another matter.
#
# ![What one warp reads at one step: coalesced and not](../docs/gpu_coalescing.svg)


# %%
def exchanged(a, b, c):
    """`ladder.naive`, but neighbouring threads have neighbouring rows."""
    i, j = cuda.grid(2)
    if i < c.shape[0] and j < c.shape[1]:
        total = a.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[i, k] * b[k, j]
        c[i, j] = total


small = {}
print("\n3. What a warp fetches, in sectors of 32 bytes, for a product of 32 x 32 matrices")
print(
    f"   {'':10}  {'a read of a':>11}  {'a read of b':>11}  {'a write to c':>12}  {'fetched for what was wanted':>27}"
)
for kernel in (ladder.naive, exchanged):
    a, b, c = watched = [Watched(array) for array in (floats(32, 32), floats(32, 32), np.zeros((32, 32), np.float32))]
    launch(kernel, (2, 2), (16, 16), *watched)
    asked = a.requests(), b.requests(), c.requests(written=True)
    means = [np.mean([sectors(request) for request in requests]) for requests in asked]
    useful = [np.mean([len({place for _, place in request}) / 8 for request in requests]) for requests in asked]
    waste = (means[0] + means[1]) / (useful[0] + useful[1])
    small[kernel.__name__] = asked, means
    print(f"   {kernel.__name__:10}  {means[0]:11.0f}  {means[1]:11.0f}  {means[2]:12.0f}  {waste:25.1f} x")
    assert np.allclose(c.array, a.array @ b.array, atol=1e-4)
assert small["naive"][1] == [2, 2, 4]
assert small["exchanged"][1] == [16, 1, 16]

figure, axes = pictures(3, 2.7)
shown = (("naive", 1, "naive: b[k, j]"), ("naive", 0, "naive: a[i, k]"), ("exchanged", 0, "exchanged: a[i, k]"))
for ax, (name, which, title) in zip(axes, shown, strict=True):
    request = small[name][0][which][5]  # that of the first warp at k = 5
    for sector in {place // 8 for _, place in request}:
        ax.add_patch(Rectangle((sector % 4 * 8, sector // 4), 8, 1, color=YELLOW, alpha=0.6, linewidth=0))
    for place in {place for _, place in request}:
        ax.add_patch(Rectangle((place % 32, place // 32), 1, 1, color=BLUE, linewidth=0))
    for line in range(33):
        ax.axhline(line, color="0.88", linewidth=0.4)
        ax.axvline(line, color="0.88" if line % 8 else "0.6", linewidth=0.4)
    ax.set(xlim=(0, 32), ylim=(20, 0), aspect="equal")
    ax.set_title(f"{title}\n{len({place for _, place in request})} numbers, {sectors(request)} sectors", fontsize=10)
figure.supxlabel("blue: read by the first warp of a block at k = 5; yellow: fetched with them", fontsize=9)
figure.savefig(figures / "gpu_coalescing.svg", metadata={"Date": None})

# %% [markdown]
# ## 4. Shared memory, and waiting for each other
#
# In `naive` each number of a is read by all threads of its row: as often as c has columns. But the threads of a block
# work on the same rows and columns. So let them fetch each number once, together, and put it where all can read it:
# into **shared memory**, some 200 KB in each multiprocessor, nearly as fast as registers. That is `ladder.tiled`: a
# block copies a tile of a and a tile of b, multiplies them, and goes on to the next tiles. A number that was copied is
# used as often as a tile is wide. `ladder.blocked` has tiles of 64 × 64, and as 4,096 threads are too many for a block,
# each of its 256 threads computes 4 × 4 numbers, which it keeps in registers.
#
# The picture shows which numbers of a (left) and b (above) *one* block reads from memory, for the part of c that it
# computes (grey), and how often.
#
# ![What one block reads, and how often: naive, tiled, blocked](../docs/gpu_tiles.svg)

# %%
RUNGS = {
    "naive": (ladder.naive, tile, (tile, tile)),
    "tiled": (ladder.tiled, tile, (tile, tile)),
    "blocked": (ladder.blocked, ladder.SIDE, (256,)),
    "vectorised": (ladder.vectorised, ladder.SIDE, (256,)),
}
inputs, traces = (floats(size, depth), floats(depth, size)), {}
print(f"\n4. c = a b, of {size} x {depth} and {depth} x {size} numbers. How often each number of a is read, in all:")
for name, (kernel, side, block) in RUNGS.items():
    watched = [Watched(array) for array in (*inputs, np.zeros((size, size), np.float32))]
    tiles = launch(kernel, (size // side, size // side), block, *watched)
    counts, result = watched[0].counts(), watched[2].array
    traces[name] = watched[0], watched[1], tiles
    print(f"   {name:10}  {counts.min():3}")
    assert np.allclose(result, inputs[0] @ inputs[1], atol=1e-4)
    assert counts.min() == counts.max() == (size if name == "naive" else size // side)

figure, axes = pictures(3, 3.6)
for ax, name in zip(axes, ("naive", "tiled", "blocked"), strict=True):
    a, b, _ = traces[name]
    side = RUNGS[name][1]
    mine = [[place for thread, place, _ in part.accesses if not any(thread.blockIdx)] for part in (a, b)]
    left, above = (
        np.bincount(places, minlength=part.size).reshape(part.shape) for places, part in zip(mine, (a, b), strict=True)
    )
    drawn = np.full((depth + size + 2, depth + size + 2), np.nan)
    drawn[depth + 2 :, :depth], drawn[:depth, depth + 2 :] = left, above
    image = ax.imshow(np.where(drawn > 0, drawn, np.nan), norm=LogNorm(1, 32), cmap="viridis_r")
    ax.add_patch(Rectangle((depth + 1.5, depth + 1.5), side, side, color="0.7"))
    for x, y, width, height in ((-0.5, depth + 1.5, depth, size), (depth + 1.5, -0.5, size, depth)):
        ax.add_patch(Rectangle((x, y), width, height, fill=False, color="black", linewidth=0.8))
    ax.add_patch(Rectangle((depth + 1.5, depth + 1.5), size, size, fill=False, color="black", linewidth=0.8))
    reads = (left.sum() + above.sum()) / (side * side * depth)
    ax.set_title(f"{name}\n{reads:g} reads for a multiplication", fontsize=10)
figure.colorbar(image, ax=axes, label="reads by this block", ticks=[1, 4, 16], format="%d", shrink=0.7)
figure.savefig(figures / "gpu_tiles.svg", metadata={"Date": None})

# %% [markdown]
# The threads of a block run when their warps get a turn, in no order. So after copying they must wait until all have
# copied: `cuda.syncthreads()`, a **barrier**. Below, 64 threads put their number into shared memory, and each takes
# that of the thread opposite. Without the barrier some find that nobody has been there yet. On a card that may go well
# a thousand times, and on a busy day it does not; the simulator fills shared memory with nan, and whoever comes too
# early is seen. (In red below: nothing but nan.)
#
# ![Numbers turned around by 64 threads, with a barrier and without](../docs/gpu_barrier.svg)


# %%
def turned(x, y):
    """y is x, from the end to the beginning."""
    room = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    room[i] = x[i]
    cuda.syncthreads()
    y[i] = room[63 - i]


def turned_in_a_hurry(x, y):
    """The same, but nobody waits."""
    room = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    room[i] = x[i]
    y[i] = room[63 - i]


x = np.arange(64, dtype=np.float32)
answers = {"x": x, "turned": np.zeros_like(x), "without the barrier": np.zeros_like(x)}
launch(turned, 1, 64, x, answers["turned"])
launch(turned_in_a_hurry, 1, 64, x, answers["without the barrier"])
early = int(np.isnan(answers["without the barrier"]).sum())
print(f"   64 numbers turned around in shared memory; without the barrier {early} threads came too early")
assert np.array_equal(answers["turned"], x[::-1])
assert early > 0

figure, ax = plt.subplots(figsize=(9, 1.6), layout="constrained")
image = np.ma.masked_invalid(np.array(list(answers.values())))
ax.imshow(image, aspect="auto", cmap=plt.get_cmap("viridis").with_extremes(bad="#d53e4f"))
ax.set(xticks=range(0, 64, 8), xlabel="thread", yticks=range(3), yticklabels=answers)
ax.grid(False)
figure.savefig(figures / "gpu_barrier.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Why naive is slow
#
# Count the bytes that a kernel fetches, divide its operations by them, and its **intensity** says how fast it can be at
# most: the lower one of two roofs, bandwidth × intensity and the peak (lesson 23). Here all sectors are counted that
# the warps ask for. `naive` makes half an operation for each byte, and memory would stop it at 2.5 % of the peak. In
# truth it is better off, for two caches answer much of what it asks twice; but they have their limits, too. Larger
# tiles read less: the operations for each byte grow with the side of a tile.
#
# Then the next roof comes into sight. Shared memory has 32 **banks**, and each hands out one number of 4 bytes at a
# time. A warp that reads 32 numbers from 32 banks, or the same number for all, is served at once (one **wavefront**);
# where threads want different numbers of one bank, they wait for each other. A multiprocessor can do four
# multiplications of a warp while it serves one wavefront. `tiled` needs two wavefronts for *each* multiplication, and
# so stays below an eighth of the peak, however fast the memory. `blocked` keeps numbers in registers and needs a
# quarter of that; but it writes its tile of a by columns, into few banks, so that its threads wait. `vectorised` turns
# the tile on the way, with rows that are 4 numbers longer than needed, so that columns spread over the banks; and it
# reads four numbers with one instruction, for instructions are scarce as well. The engine's own products take tiles of
# 128 × 128, of which a thread has 8 × 8, and half as many wavefronts again. Only there both roofs are out of the way.
#
# So much for what cannot be exceeded. How fast is it? That needs a card: on an H100, a product in tiles of 128 like the
# engine's reached 39 to 43 TF/s for 4,096 × 4,096, 76 to 83 % of the 51 TF/s of NVIDIA's own library, cuBLAS, which
# itself reaches three quarters of the data sheet. Copying reached 2.2 of the 3.35 TB/s. The dashed lines are these two.
#
# ![Four kernels of one product below the roofs of an H100](../docs/gpu_roofline.svg)

# %%
multiplications = size * size * depth
print("\n5. For each multiplication and addition of a warp; the roofs that follow for an H100, in TF/s")
print(f"   {'':14}  {'requests':>8}  {'bytes':>6}  {'operations a byte':>17}  {'memory':>8}  ", end="")
print(f"{'wavefronts':>10}  {'shared memory':>13}")
roofs = {}


def note(name, requests, moved, fronts):
    """Print and keep a rung's roofs; all for a multiplication of each of the 32 threads of a warp."""
    intensity = 2 * WARP / moved
    by_memory = min(PEAK, BANDWIDTH * intensity)
    by_shared = min(PEAK, PEAK * WARP / LANES / fronts) if fronts else PEAK
    roofs[name] = intensity, by_memory, by_shared
    cells = f"{requests:8.3f}  {moved:6.2f}  {intensity:17.1f}  {by_memory / 1e12:8.1f}  {fronts:10.2f}"
    print(f"   {name:14}  {cells}  {f'{by_shared / 1e12:.1f}' if fronts else '-':>13}")


warp_products = multiplications / WARP
for name, (a, b, tiles) in traces.items():
    width = 4 if name == "vectorised" else 1
    asked = [request for part in (a, b) for request in part.requests(width=width)]
    fronts = 0
    for number, room in enumerate(tiles):  # of a and of b in turn
        put = width if number % 2 else 1  # a is turned on its way, number by number
        fronts += sum(wavefronts(request, width) for request in room.requests(width=width))
        fronts += sum(wavefronts(request, put) for request in room.requests(written=True, width=put))
    moved = 32 * sum(map(sectors, asked)) / warp_products
    note(name, len(asked) / warp_products, moved, fronts / warp_products)
    if name != "naive":
        assert math.isclose(moved, 256 / RUNGS[name][1])  # 2 * side numbers of 4 bytes for side * side / 32 products
large = products.LARGE
note(f"tiles of {large.side} *", 2 / 4 / large.side, 256 / large.side, 2 / large.own)
print("   * by formulas that fit the counts above, without what it takes to fill the tiles")
assert roofs["naive"][1] < roofs["tiled"][1] < roofs["blocked"][1] < PEAK == min(roofs[f"tiles of {large.side} *"][1:])
assert roofs["tiled"][2] < PEAK / 8
assert roofs["tiled"][2] < roofs["blocked"][2] < roofs["vectorised"][2] <= PEAK / 2

_, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
grid = np.geomspace(0.2, 120, 200)
ax.plot(grid, np.minimum(PEAK, BANDWIDTH * grid) / 1e12, color="black", label="data sheet: 3.35 TB/s, 67 TF/s")
reached = np.minimum(MEASURED["cuBLAS, 4,096 x 4,096"], MEASURED["copied, bytes read and written"] * grid) / 1e12
ax.plot(grid, reached, "--", color="black", linewidth=1, label="measured: a copy, cuBLAS")
for (name, (intensity, by_memory, by_shared)), colour in zip(
    roofs.items(), (GREY, BLUE, ORANGE, GREEN, PINK), strict=True
):
    ax.plot(intensity, by_memory / 1e12, "o", color=colour, markersize=7)
    if name != "naive":
        ax.plot([intensity] * 2, [by_memory / 1e12, by_shared / 1e12], ":", color=colour, linewidth=1)
        ax.plot(intensity, by_shared / 1e12, "s", color=colour, markersize=9, fillstyle="none")
    low = min(by_memory, by_shared) / 1e12
    offset = {"naive": (-8, 6), "blocked": (-8, -14), f"tiles of {large.side} *": (-4, 8)}.get(name, (8, -14))
    aligned = "left" if offset[0] > 0 or "*" in name else "right"
    ax.annotate(name.rstrip(" *"), (intensity, low), offset, textcoords="offset points", color=colour, ha=aligned)
ax.plot([], [], "o", color=GREY, label="the most that memory allows")
ax.plot([], [], "s", color=GREY, fillstyle="none", label="the most that shared memory allows")
ax.set(xscale="log", yscale="log", xlabel="operations for each byte from memory", ylabel="TF/s", ylim=(0.5, 150))
ax.set_title("One product below the roofs of an H100")
ax.legend(loc="lower right", fontsize=9)
ax.figure.supxlabel("markers: counted in the simulator", x=0.99, ha="right", fontsize=8)
ax.figure.savefig(figures / "gpu_roofline.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. A race
#
# `total[0] += x[i]` looks like one step and is three: read, add, write. A warp does each of them for all of its 32
# threads before it goes on to the next. So all read the same old total, each adds its own number, and all write: one
# of the 32 results stays, and 31 numbers are lost. The simulator's threads take turns in another way and would hide
# it; below a barrier between reading and writing makes them do what a warp does.
#
# An **atomic** operation reads, adds and writes undisturbed. It is right, but the 32 stand in a line, and as they
# arrive in any order, sums are rounded in another way each time. The engine avoids both.


# %%
def in_three_steps(x, total):
    old = total[0]
    cuda.syncthreads()  # a warp has read for all of its threads before it writes for any
    total[0] = old + x[cuda.threadIdx.x]


def atomically(x, total):
    cuda.atomic.add(total, 0, x[cuda.threadIdx.x])


totals = {}
for kernel in (in_three_steps, atomically):
    totals[kernel.__name__] = np.zeros(1, np.float32)
    launch(kernel, 1, WARP, np.ones(WARP, np.float32), totals[kernel.__name__])
print("\n6. 32 threads add 1 to a total:", ", ".join(f"{name} {total[0]:g}" for name, total in totals.items()))
assert totals["in_three_steps"] == 1
assert totals["atomically"] == 32

# %% [markdown]
# ## 7. A sum without waiting
#
# How do 32 threads add up their numbers, then? The threads of a warp may read each other's registers, by a **shuffle**:
# no memory, no barrier. First each thread adds what the thread has whose number differs by 16, then by 8, 4, 2 and 1.
# The picture shows how many of the 32 numbers are in what each thread holds. After five steps *all* have the whole sum,
# and it was added up in the same order everywhere, each time. One after the other it would take 31 steps.
#
# `reductions.sum_rows` makes sums of rows of any length in this way: a warp takes a row, each thread adds up every 32nd
# number (neighbours, so the reads are coalesced), and then come the five steps. Means, softmax and losses are made of
# this.
#
# ![Five steps in which 32 threads add up their numbers](../docs/gpu_sum.svg)


# %%
def butterfly(x, seen):
    """What each thread of a warp holds after each step of `warp_sum`."""
    lane = cuda.threadIdx.x
    own = x[lane]
    seen[0, lane] = own
    step = 1
    for bit in (16, 8, 4, 2, 1):
        own += cuda.shfl_xor_sync(ALL, own, bit)
        seen[step, lane] = own
        step += 1


seen = np.zeros((6, WARP), np.int64)
launch(butterfly, 1, WARP, np.ones(WARP, np.int64), seen)
row, whole = Watched(floats(1, 1000)), np.zeros((1, 1), np.float32)
threads = KERNELS["reductions.sum_rows"].launch(row, 1, whole)
launch(reductions.sum_rows, threads.grid, threads.block, row, np.float32(1), whole)
requests = row.requests()
print(f"\n7. The sum of 32 numbers in five steps; in each thread then: {sorted({*seen[-1].tolist()})}")
print(
    f"   a row of 1,000 numbers by `sum_rows`: {len(requests)} reads by a warp, {sum(map(sectors, requests))} sectors"
)
assert (seen == 2 ** np.arange(6)[:, None]).all()
assert math.isclose(whole[0, 0], row.array.astype(float).sum(), abs_tol=1e-3)
assert sum(map(sectors, requests)) == 125  # 4,000 bytes: nothing is fetched in vain

figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
ax.imshow(np.log2(seen), aspect="auto", cmap="Blues", vmax=7)
for step, lane in np.ndindex(seen.shape):
    ax.text(lane, step, seen[step, lane], ha="center", va="center", fontsize=8, color="black" if step < 4 else "white")
for step in range(6):
    ax.add_patch(Rectangle((-0.45, step - 0.42), 32 / 2**step - 0.1, 0.84, fill=False, color=ORANGE, linewidth=2))
names = ["at first", *(f"after ± {bit}" for bit in (16, 8, 4, 2, 1))]
ax.set(xlabel="thread of the warp", yticks=range(6), yticklabels=names, xticks=range(0, 32, 4))
ax.set_title("How many numbers are in a thread's sum; in the frames, what ends up in that of thread 0", fontsize=10)
ax.grid(False)
figure.savefig(figures / "gpu_sum.svg", metadata={"Date": None})

# %% [markdown]
# ## 8. When the threads of a warp part
#
# A warp has one list of instructions. If some of its threads take the `if` and others the `else`, it goes through both,
# and those that it does not concern wait. If a loop ends earlier in some, they wait for the last. That is
# **divergence**: right, but slow.
#
# Below each thread trains: it looks for the bottom of w² / 2 with a learning rate of its own, from w = 4 until w is
# below 0.01, and gradients above 1 are clipped to 1 (lesson 11). A small rate takes long. The simulator notes which
# line each thread executes, and the rule above puts the threads of a warp in step (`in_step` in
# `tutorials/simulated_gpu.py`). Each row of the picture is a thread, each column a line that a warp executes; white is
# waiting. On the left the rates are dealt to the threads like cards, and each warp has one that takes long. On the
# right they are sorted: the same work, the same results, and most warps are done early. So: put alike beside alike.
#
# ![The threads of warps, line by line, with learning rates shuffled and sorted](../docs/gpu_divergence.svg)


# %%
def descend(rates, steps):
    i = cuda.grid(1)
    w, count = 4.0, 0
    while w > 0.01:
        if w > 1:
            w -= rates[i]
        else:
            w -= rates[i] * w
        count += 1
    steps[i] = count


LINES = {"while": 3, "gradient clipped": 5, "not clipped": 7}  # by their distance from `def`
rates = np.geomspace(0.1, 1, runs)
orders = {"shuffled": random.permutation(rates), "sorted": rates}
threads, lengths = {}, {}
print(f"\n8. {runs} trainings, a thread each, in warps of 32")
for name, given in orders.items():
    steps = np.zeros(runs, np.int64)
    lines = lines_of(descend, 1, runs, given, steps)
    warps = [in_step(lines[first : first + WARP]) for first in range(0, runs, WARP)]
    lengths[name] = [len(warp) for warp in warps]
    picture = np.full((runs, max(lengths[name])), -1)
    for number, warp in enumerate(warps):
        picture[WARP * number : WARP * (number + 1), : len(warp)] = warp.T
    busy = sum((warp >= 0).sum() for warp in warps) / sum(warp.size for warp in warps)
    threads[name] = picture
    print(
        f"   {name:8}  {sum(lengths[name]):6,} lines by warps, in which {busy:.0%} of the threads take part;", end=" "
    )
    print(f"{steps.min()} to {steps.max()} steps")
    assert busy < 1
assert runs == WARP or sum(lengths["sorted"]) < 0.85 * sum(lengths["shuffled"])

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
kinds = dict(zip(LINES, (GREY, ORANGE, BLUE), strict=True))
for ax, (name, picture) in zip(axes, threads.items(), strict=True):
    shown = np.ones((*picture.shape, 3))
    shown[picture >= 0] = (0.82, 0.84, 0.87)  # the other lines
    for kind, line in LINES.items():
        shown[picture == line] = matplotlib.colors.to_rgb(kinds[kind])
    ax.imshow(shown, aspect="auto", interpolation="nearest")
    for edge in range(WARP, runs, WARP):
        ax.axhline(edge - 0.5, color="black", linewidth=0.8)
    ax.grid(False)
    ax.set(xlabel="lines, one after the other", title=f"rates {name}: {sum(lengths[name]):,} lines by warps")
axes[0].set(ylabel="threads", yticks=range(0, runs + 1, WARP))
for kind, colour in kinds.items():
    axes[1].plot([], [], "s", color=colour, label=kind)
axes[1].legend(loc="lower right")
figure.savefig(figures / "gpu_divergence.svg", metadata={"Date": None})

# %% [markdown]
# ## 9. A training step is a list of launches
#
# What does a card do in a training step? `fast.compile_step` records the step of a network as a list of instructions
# (lesson 23), and each of them is a kernel: a product, a bias with its activation, the loss, the same backwards, and
# the update of all parameters at once. On a card that is a list of **launches**, and a launch costs the CPU time: it
# packs the arguments and hands them to the driver. Measured on an H100, by numba-cuda: 11.5 µs for a kernel without
# arguments, 38 µs with four arrays, each of which is looked at. A row of 50 small launches took 1,053 µs; recorded as a
# **graph**, which the card is given whole, 52.6 µs.
#
# Below, the list of a network 64-w-w-10 with batches of w. Its times are an *estimate* for that card: the operations at
# the measured 39 TF/s or the bytes at the measured 2.2 TB/s, whichever takes longer, beside the launches at their
# measured prices. The last column is this machine's core, measured now. What you should see: up to a width of hundreds,
# the work on a card is nothing, and the launches are all. Small networks do not get faster there unless the launches
# go: by graphs, by kernels that do several things at once, or by the next section.
#
# ![What a training step takes on an H100 by estimate, over the width of its layers](../docs/gpu_step.svg)

# %%
print("\n9. Measured on an H100:")
for name, number in MEASURED.items():
    print(f"   {name:32}  {f'{1e6 * number:7,.1f} us' if number < 1 else f'{number / 1e12:7.1f} x 10^12 a second'}")
print("   Microseconds for a training step there, estimated from these, and on a core here, measured now:")
print(f"   {'width':>5}  {'launches':>8}  {'10^6 operations':>15}  {'work':>8}  {'launched singly':>15}", end="")
print(f"  {'as a graph':>10}  {'a core here':>11}")
one_by_one, in_graph = MEASURED["50 launches in a row"] / 50, MEASURED["the same 50 as a graph"] / 50
widths, columns = (16, 32, 64, 128, 256, 512), []
for width in widths:
    model = nn.MLP([64, width, width, 10], "tanh", engine=fast, seed=0)
    step = fast.compile_step(lambda x, y, model=model: nn.cross_entropy(model(x), y), nn.Adam(model.parameters()))
    instructions = step.measure(floats(width, 64), random.integers(10, size=width))
    update = 28 * sum(parameter.data.size for parameter in model.parameters())  # bytes: p, m and v twice, g once
    work = update / MEASURED["copied, bytes read and written"]
    for each in instructions:
        by_arithmetic = each.flops / MEASURED["tiles of 128, 4,096 x 4,096"]
        work += max(by_arithmetic, each.bytes / MEASURED["copied, bytes read and written"])
    launches, flops = len(instructions) + 1, sum(each.flops for each in instructions)
    here = sum(each.seconds for each in instructions)
    columns.append([1e6 * number for number in (work, launches * one_by_one, launches * in_graph, here)])
    cells = f"{columns[-1][0]:8.2f}  {columns[-1][1]:15.0f}  {columns[-1][2]:10.1f}  {columns[-1][3]:11.1f}"
    print(f"   {width:5,}  {launches:8}  {flops / 1e6:15,.2f}  {cells}")
columns = np.array(columns)
assert columns[0, 1] > 100 * columns[0, 0]
assert columns[-1, 2] < columns[-1, 0] < columns[-1, 3]

_, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
names = ("the work alone", "its launches, one by one", "its launches, as a graph", "a core of this machine (measured)")
for name, column, colour, marker in zip(names, columns.T, (GREEN, ORANGE, PINK, GREY), "os^D", strict=True):
    ax.plot(widths, column, marker=marker, color=colour, label=name, linewidth=2)
ax.set(xscale="log", yscale="log", xlabel="width of the layers, and batch", ylabel="microseconds a step")
ax.set_xticks(widths, [str(width) for width in widths])
ax.minorticks_off()
ax.set_title("A training step on an H100: an estimate from measured parts")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
ax.figure.savefig(figures / "gpu_step.svg", metadata={"Date": None})

# %% [markdown]
# ## 10. Lanes: a whole training in each thread
#
# Section 8 had the other way to use thousands of threads: not a network whose products are cut into pieces, but
# thousands of networks, a **lane** for each. One launch trains them all, step after step; no thread waits for another,
# and nothing is handed over. That is what sweeps and trainability maps (lesson 24) are made of: a kernel like
# `lanes.train` made 617 million training steps a second on the H100, of networks with 272 weights on 16 samples.
#
# One thing must be right: where the weights lie. A thread goes through the weights of its own network. If each network
# lies in one piece, as on a CPU, the 32 threads of a warp read 32 numbers far apart. So the weights lie the other way
# round: the first weights of all networks, then all second ones, and neighbouring threads read neighbours.


# %%
def by_weight(weights, norms):
    """Sums of squares; weights (weights, runs)."""
    run = cuda.grid(1)
    for weight in range(weights.shape[0]):
        norms[run] += weights[weight, run] ** 2


def by_run(weights, norms):
    """The same; weights (runs, weights)."""
    run = cuda.grid(1)
    for weight in range(weights.shape[1]):
        norms[run] += weights[run, weight] ** 2


weights = floats(272, runs)
taken = {}
for kernel, array in ((by_weight, weights), (by_run, np.ascontiguousarray(weights.T))):
    watched, norms = Watched(array), np.zeros(runs, np.float32)
    launch(kernel, 1, runs, watched, norms)
    taken[kernel.__name__] = np.mean([sectors(request) for request in watched.requests()])
    assert np.allclose(norms, (weights**2).sum(axis=0), rtol=1e-4)
print(f"\n10. {runs} networks of 272 weights: a warp that reads a weight of each fetches", end=" ")
print(f"{taken['by_weight']:.0f} sectors, or {taken['by_run']:.0f} if each lies in one piece")
assert taken == {"by_weight": 4, "by_run": 32}

# %% [markdown]
# ## 11. What to take home
#
# - Many threads, far more than lanes: a GPU hides waiting, it does not avoid it.
# - Neighbouring threads read neighbouring numbers.
# - Fetch once, use often: tiles in shared memory, and from there into registers. That is where the speed of products
#   comes from, and it is what a library has that a simple kernel has not.
# - Barriers where threads share; sums by warps; no `if` on which the threads of a warp disagree, where it is long.
# - Launches cost as much as millions of operations: few and large ones, graphs, or whole trainings in one kernel.
#
# The kernels of the engine are such kernels: read `fast/cuda/kernels/ladder.py`, then `products.py`, `reductions.py`
# and `lanes.py`. `fast.devices()` says whether there is a GPU on this machine.

# %%
print(f"\n11. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("threads", "coalescing", "tiles", "barrier", "roofline", "sum", "divergence", "step"):
    print(f"   {figures / f'gpu_{name}.svg'}")

# %% [markdown]
# **Try:** `--tile 8` and `--tile 32`: which of the two roofs of `tiled` moves, and why not the other? In section 3, a
# kernel whose neighbouring threads are *two* columns apart: how many sectors does a warp fetch? In section 4, leave out
# the second barrier of `ladder.tiled` (copy it here first): does the simulator notice? What would a card do? In section
# 8, the branch without an `if`: `w -= rates[i] * min(w, 1.0)`. How many lines do the warps save?
