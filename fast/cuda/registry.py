"""All kernels: what each takes, how many threads it wants, and what it may cost.

    registry.compiled("reductions.softmax", "float32")      the kernel, compiled when first asked for, ready to launch
    registry.KERNELS["reductions.softmax"].launch(x, y)     on which grid and block, for these arguments

What a kernel computes is in its docstring, and in that of the CPU's kernel of the same name in `fast/kernels`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from fast.cuda import package
from fast.cuda.arguments import signature
from fast.cuda.kernels import (
    attention,
    convolution,
    elementwise,
    embedding,
    ladder,
    lanes,
    lines,
    losses,
    moving,
    normalization,
    products,
    randomness,
    recurrent,
    reductions,
    tape,
    updates,
)
from fast.cuda.warps import WARP
from micro.ops import OPS

#: Threads of a block, where a kernel does not care.
THREADS = 256
#: Blocks that keep every GPU busy; from here on threads take several elements each.
MOST_BLOCKS = 2048


class Launch(NamedTuple):
    """On how many threads a kernel runs: blocks in a grid, threads in a block, along up to three dimensions.

    shared: bytes of shared memory beyond what the kernel itself reserves.
    """

    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int = 0


@dataclass(frozen=True)
class Kernel:
    """A row of the registry.

    function: the kernel; its annotations say what it takes.
    launch: given the arguments of the kernel, the threads that it runs on.
    registers: how many a thread takes at most, on any GPU, for float32; for float64 up to twice as many.
    threads, blocks: the threads of the largest block, and how many such blocks are to share a multiprocessor. The
        compiler keeps the number of registers low enough for them.
    dtypes: the types of numbers that it is for.
    doubles: why there is arithmetic of float64 even where the numbers are float32; nothing where there is none.
    spills: bytes of registers that may have to be put by in memory, on some GPU.
    """

    function: Callable[..., None]
    launch: Callable[..., Launch]
    registers: int = 80
    threads: int = THREADS
    blocks: int = 1
    dtypes: tuple[str, ...] = ("float32", "float64")
    doubles: str = ""
    spills: int = 0

    @property
    def name(self) -> str:
        """The module and the function: "reductions.softmax"."""
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"

    @property
    def meaning(self) -> str:
        """What it computes, and what makes it fast."""
        return inspect.getdoc(self.function) or ""

    @property
    def bounds(self) -> tuple[int, int]:
        """What the compiler is told of the launch: threads in a block, and blocks that share a multiprocessor."""
        return self.threads, self.blocks

    def signature(self, dtype: str) -> tuple[Any, ...]:
        """The types of its arguments, for numbers of a type."""
        return signature(self.function, package.types, dtype)


def by_lane(count: int) -> Launch:
    """A thread for each of `count` lanes, however many there are."""
    return Launch((max(1, -(-count // THREADS)),), (THREADS,))


def by_element(count: int) -> Launch:
    """A thread for each of `count` elements; where there are very many, a thread takes several."""
    return Launch((max(1, min(-(-count // THREADS), MOST_BLOCKS)),), (THREADS,))


def by_part(parts: Any) -> Launch:
    """A block for each of the sums in `parts`, which is as long as `by_element` would have blocks."""
    return Launch((parts.size,), (THREADS,))


def by_warp(count: int) -> Launch:
    """A warp for each of `count` rows."""
    return Launch((max(1, -(-count * WARP // THREADS)),), (THREADS,))


def by_column(columns: int, parts: int, stacks: int = 1) -> Launch:
    """8 threads for each column of `parts` parts of `stacks` matrices; of very many matrices they take several."""
    grid = -(-columns // reductions.COLUMNS), parts, min(stacks, MOST_BLOCKS)
    return Launch(grid, (reductions.COLUMNS, reductions.ROWS))


def by_image(images: int, size: int) -> Launch:
    """A thread for each of the `size` numbers of each image; where there are very many images, it takes several."""
    return Launch((max(1, -(-size // THREADS)), max(1, min(images, MOST_BLOCKS))), (THREADS,))


def _by_plane(y: Any) -> Launch:
    """A thread for each number of y (P, H, W)."""
    planes, height, width = y.shape
    return by_image(planes, height * width)


def _by_sample(x: Any) -> Launch:
    """For x (N, C, L): 8 threads for each column of 64 samples, or of more where there are very many."""
    samples, channels, length = x.shape
    return by_column(channels * length, max(1, min(-(-samples // (8 * reductions.ROWS)), MOST_BLOCKS)))


#: Why there is arithmetic of float64 in kernels for float32 that have a sin or cos in them.
_TURNS = "the turns of sin and cos are counted in float64 where there are more than 10,000"


def _elementwise() -> list[Kernel]:
    """The kernels of every row of the table of operations."""
    names = [name for op in OPS.values() for name in (op.name, *(f"{op.name}_grad_{x}" for x in op.arguments))]
    return [
        Kernel(
            getattr(elementwise, name),
            lambda *arguments: by_element(arguments[-1].size),
            doubles=_TURNS if name.startswith(("sin", "cos")) else "",
        )
        for name in names
    ]


def _products() -> list[Kernel]:
    """The products of matrices. Four numbers of float64 are two accesses, so fetching by four is for float32.

    A thread with 64 sums has hardly enough registers for all else. On a GPU or two, a few that are not needed within
    the loop are put by.
    """
    rows = []
    for kernel, tile, by_four in products.PRODUCTS.values():

        def launch(a: Any, b: Any, bias: Any, c: Any, side: int = tile.side) -> Launch:
            stacks, height, width = c.shape
            return Launch((-(-width // side), -(-height // side), stacks), (products.THREADS,))

        dtypes = ("float32",) if by_four else ("float32", "float64")
        registers, spills = (128, 16) if tile is products.LARGE else (96, 0)
        rows.append(Kernel(kernel, launch, registers, blocks=2, dtypes=dtypes, spills=spills))
    return rows


def _by_tile(side: int, block: tuple[int, ...]) -> Callable[..., Launch]:
    """A block for each tile of c."""

    def launch(a: Any, b: Any, c: Any) -> Launch:
        return Launch((-(-c.shape[1] // side), -(-c.shape[0] // side)), block)

    return launch


def _train(x: Any, y: Any, rates: Any, *others: Any) -> Launch:
    """A thread for each run, in small blocks, so that few wait for the slowest run of a block."""
    return Launch((-(-rates.shape[1] // 128),), (128,), (x.size + y.size) * x.itemsize)


_ROWS = [
    *_elementwise(),
    *_products(),
    Kernel(reductions.sum_rows, lambda x, scale, y: by_warp(y.size)),
    Kernel(reductions.sum_columns, lambda x, scale, y: by_column(y.shape[2], y.shape[1], len(x))),
    Kernel(reductions.max_rows, lambda x, y, places: by_warp(y.size)),
    Kernel(reductions.max_columns, lambda x, y, places: by_element(y.size)),
    Kernel(reductions.softmax, lambda x, y: by_warp(len(x))),
    Kernel(reductions.softmax_grad, lambda grad, y, grad_x: by_warp(len(y))),
    Kernel(reductions.log_softmax, lambda x, y: by_warp(len(x))),
    Kernel(reductions.log_softmax_grad, lambda grad, y, grad_x: by_warp(len(y))),
    Kernel(losses.mse_loss, lambda *arguments: by_part(arguments[-1])),
    Kernel(losses.l1_loss, lambda *arguments: by_part(arguments[-1])),
    Kernel(losses.huber_loss, lambda *arguments: by_part(arguments[-1])),
    Kernel(losses.hinge_loss, lambda *arguments: by_part(arguments[-2])),
    Kernel(losses.binary_cross_entropy, lambda *arguments: by_part(arguments[-2])),
    Kernel(losses.binary_cross_entropy_with_logits, lambda *arguments: by_part(arguments[-2])),
    Kernel(losses.label_mass, lambda *arguments: by_part(arguments[-2])),
    Kernel(losses.nll_loss, lambda *arguments: by_warp(arguments[-1].size)),
    Kernel(losses.cross_entropy, lambda *arguments: by_warp(arguments[-1].size)),
    Kernel(losses.sizes, lambda p, parts: by_part(parts)),
    Kernel(losses.sizes_grad, lambda p, grad, y: by_element(p.size)),
    Kernel(updates.sgd, lambda p, *others: by_element(p.size)),
    Kernel(updates.momentum, lambda p, *others: by_element(p.size)),
    Kernel(updates.adam, lambda p, *others: by_element(p.size)),
    Kernel(updates.rmsprop, lambda p, *others: by_element(p.size)),
    Kernel(updates.adagrad, lambda p, *others: by_element(p.size)),
    Kernel(updates.squares, lambda g, parts: by_part(parts)),
    Kernel(updates.clip_norm, lambda g, square, max_norm: by_element(g.size)),
    Kernel(updates.clip_value, lambda g, limit: by_element(g.size)),
    Kernel(updates.note, lambda *arguments: by_element(1)),
    Kernel(normalization.batch_squares, lambda x, mean, parts: by_column(parts.shape[1], len(parts))),
    Kernel(normalization.batch_norm, lambda x, *others: _by_sample(x)),
    Kernel(normalization.batch_norm_sums, lambda *arguments: by_column(*arguments[-1].shape[::-1])),
    Kernel(normalization.batch_norm_grad, lambda grad, *others: _by_sample(grad)),
    Kernel(normalization.inverse_roots, lambda variance, eps, factor: by_element(factor.size)),
    Kernel(normalization.move_towards, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(normalization.layer_norm, lambda x, *others: by_warp(len(x))),
    Kernel(normalization.layer_norm_grad, lambda grad, *others: by_warp(len(grad))),
    Kernel(normalization.layer_norm_sums, lambda *arguments: by_column(*arguments[-1].shape[::-1])),
    Kernel(convolution.unfold, lambda x, rows, columns, y: by_image(len(y) * y.shape[1], y.shape[2])),
    Kernel(convolution.fold, lambda y, rows, columns, x: by_image(len(x) * x.shape[1], x.shape[2] * x.shape[3])),
    Kernel(convolution.add_to_channels, lambda y, bias: by_image(len(y) * y.shape[1], y.shape[2])),
    Kernel(convolution.max_pool, lambda x, rows, columns, y, places: _by_plane(y)),
    Kernel(convolution.max_pool_grad, lambda *arguments: _by_plane(arguments[-1])),
    Kernel(convolution.avg_pool, lambda x, rows, columns, y: _by_plane(y), 96),
    Kernel(convolution.avg_pool_grad, lambda *arguments: _by_plane(arguments[-1])),
    Kernel(recurrent.lstm_cell, lambda sums, cell, *others: by_element(cell.size)),
    Kernel(recurrent.lstm_cell_grad, lambda gates, cell, *others: by_element(cell.size)),
    Kernel(recurrent.gru_cell, lambda sums, hidden, *others: by_element(hidden.size)),
    Kernel(recurrent.gru_cell_grad, lambda kept, hidden, *others: by_element(hidden.size)),
    Kernel(recurrent.begin_step, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(recurrent.end_step, lambda rows, *others: by_element(rows.size)),
    Kernel(recurrent.get_step, lambda x, t, y: by_element(y.size)),
    Kernel(recurrent.put_step, lambda x, t, y: by_element(x.size)),
    Kernel(embedding.embedding, lambda indices, *others: by_warp(indices.size)),
    Kernel(embedding.embedding_grad, lambda grad, indices, *others: by_warp(indices.size)),
    Kernel(attention.attention_weights, lambda scores, *others: by_warp(scores.shape[0] * scores.shape[1])),
    Kernel(attention.attention_scores_grad, lambda grad, *others: by_warp(grad.shape[0] * grad.shape[1])),
    Kernel(randomness.dropout, lambda x, *others: by_element(x.size)),
    Kernel(lines.logsumexp, lambda x, y: by_warp(len(x))),
    Kernel(lines.logsumexp_grad, lambda grad, x, y, grad_x: by_warp(len(x))),
    Kernel(lines.prod, lambda x, y: by_warp(len(x))),
    Kernel(lines.prod_grad, lambda grad, x, grad_x: by_element(len(x))),
    Kernel(lines.cumsum, lambda x, backwards, y: by_element(x.shape[0] * x.shape[2])),
    Kernel(lines.pick_places, lambda some, chosen, places: by_element(len(places))),
    Kernel(lines.extreme_grad, lambda grad, places, grad_x: by_element(grad_x.size)),
    Kernel(lines.ties, lambda x, y, parts: by_part(parts)),
    Kernel(lines.share_ties, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(moving.copy, lambda x, y: by_element(y.size)),
    Kernel(moving.fill, lambda number, y: by_element(y.size)),
    Kernel(moving.scale, lambda x, factor, times, y: by_element(y.size)),
    Kernel(moving.floats, lambda x, y: by_element(y.size)),
    Kernel(moving.spread, lambda x, count, y: by_element(y.size)),
    Kernel(moving.compare, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(moving.select, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(moving.put, lambda places, x, y: by_element(x.size)),
    Kernel(moving.put_more, lambda places, x, y: by_element(x.size)),
    Kernel(moving.put_sums, lambda places, x, y: by_element(x.size)),
    Kernel(moving.take_rows, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(moving.take_whole, lambda *arguments: by_element(arguments[-1].size)),
    Kernel(tape.forward, lambda code, pairs, v: by_lane(v.shape[1]), doubles=_TURNS),
    Kernel(tape.backward, lambda *arguments: by_lane(arguments[-1].shape[1]), doubles=_TURNS),
    Kernel(lanes.train, _train, 128, threads=128),
    Kernel(ladder.naive, _by_tile(ladder.TILE, (ladder.TILE, ladder.TILE))),
    Kernel(ladder.tiled, _by_tile(ladder.TILE, (ladder.TILE, ladder.TILE))),
    Kernel(ladder.blocked, _by_tile(ladder.SIDE, (256,)), 128),
    Kernel(ladder.vectorised, _by_tile(ladder.SIDE, (256,)), 128, dtypes=("float32",)),
]

#: The registry: name to kernel.
KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in _ROWS}


@cache
def compiled(name: str, dtype: str) -> Any:
    """A kernel for numbers of a type, "float32" or "float64", compiled for the GPU at hand.

    It is launched as `compiled(...)[launch.grid, launch.block, stream, launch.shared](*arguments)`.
    """
    kernel = KERNELS[name]
    compile_it = package.cuda.jit(kernel.signature(dtype), launch_bounds=kernel.bounds)
    return compile_it(kernel.function)
