"""Many trainings at once: a run in each lane of a tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fast import optimizers, programs, threads
from fast.interpreters import interpreters
from fast.intrinsics import LANES
from fast.kernels import planning
from fast.kernels import tape as kernels
from fast.tape import LARGE, Tape


class Programs(NamedTuple):
    """Several programs one after the other: that of kind k is code[starts[k] : starts[k + 1]].

    roots, grad_roots: the rows of their results; all else as in `fast.programs.Program`.
    """

    code: np.ndarray
    pairs: np.ndarray
    fresh: np.ndarray
    starts: np.ndarray
    roots: np.ndarray
    grad_roots: np.ndarray
    constants: np.ndarray
    leaves: int
    rows: int
    grad_rows: int


def train_runs(
    tapes: Sequence[Tape],
    kinds: np.ndarray,
    x: np.ndarray,
    order: np.ndarray,
    parameters: np.ndarray,
    learning_rates: np.ndarray,
    optimizer: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Train R runs beside each other on the same samples in the same order: their losses (R, steps) and parameters.

    tapes: the graph of the loss of one sample, for each kind of samples; of the same parameters and inputs.
    kinds (N,): which tape a sample has; x (N, inputs): its numbers.
    order (steps, batch): the samples of each step; where a batch is smaller, -1 fills its row.
    parameters (R, parameters), learning_rates (R,): what every run begins with.
    optimizer: one of `nn`, of which kind and settings count, its own learning rate aside.

    A loss is the mean over the samples of a step, before its update. A run whose loss is infinite or not a number
    stands still from then on, and its later losses are nan. No run knows of the others: alone it would be the same to
    the bit.

    It is the CPU that trains them: the tapes must be there.
    """
    if any(tape.device != "cpu" for tape in tapes):
        raise ValueError(
            "train_runs: the tapes are on a GPU, and lanes of trainings run on the CPU; give tape.to('cpu')"
        )
    dtype, runs = np.dtype(tapes[0].dtype), len(parameters)
    together = _together(tapes)
    padded = np.minimum(np.arange(-(-runs // LANES) * LANES), runs - 1).reshape(-1, LANES)
    numbers = np.ascontiguousarray(np.asarray(parameters, dtype)[padded].transpose(0, 2, 1))
    rates = np.asarray(learning_rates, np.float64)[padded]
    losses = np.empty((len(padded), len(order), LANES))
    settings = optimizers.encode(optimizer.update, optimizer.lr, optimizer.settings)
    work = (len(together.code) + len(together.pairs)) * order.size * runs
    threads.run(
        *((kernels.runs, kernels.runs_parallel), work, LARGE, interpreters(tapes[0].dtype)),
        *(together, np.asarray(kinds, np.int64), np.asarray(x, dtype), np.asarray(order, np.int64)),
        *(numbers, rates, settings, losses),
    )
    learned = numbers.transpose(0, 2, 1).reshape(-1, numbers.shape[1])
    return losses.transpose(0, 2, 1).reshape(-1, len(order))[:runs], learned[:runs]


def _together(tapes: Sequence[Tape]) -> Programs:
    """The whole programs of all tapes, with one table of constants."""
    table = programs.constants([tape.graph for tape in tapes])
    all_of_them = [programs.whole(tape.graph, table) for tape in tapes]
    codes, pairs, fresh = [], 0, 0
    for program in all_of_them:
        code = program.code.copy()
        chains = code[:, planning.OP] == planning.DOT
        code[chains, planning.SECOND] += pairs
        code[chains, planning.THIRD] += pairs
        code[:, planning.FRESH : planning.FRESH_END + 1] += fresh
        codes.append(code)
        pairs, fresh = pairs + len(program.pairs), fresh + len(program.fresh)
    return Programs(
        np.concatenate(codes),
        np.concatenate([program.pairs for program in all_of_them]),
        np.concatenate([program.fresh for program in all_of_them]),
        np.cumsum([0, *[len(code) for code in codes]]),
        np.array([program.root for program in all_of_them]),
        np.array([program.grad_root for program in all_of_them]),
        table.astype(tapes[0].dtype),
        all_of_them[0].leaves,
        max(program.rows for program in all_of_them),
        max(program.grad_rows for program in all_of_them),
    )
