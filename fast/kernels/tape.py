"""What is done with a tape: one sample, a batch with a sample in each lane, and trainings with a run in each lane.

`run` are the interpreters (see `fast/interpreters.py`). The numbers of a program (see `fast/programs.py`) lie in rows:
`v` its values, `d` its gradients. The first rows, the same ones in all programs of a tape, are the parameters, the
inputs, and what the samples of a batch share.
"""

import math

import numpy as np
from numba import njit, prange

from fast.intrinsics import LANES, call
from fast.kernels import updates

# Numba does not see that a function of another file has changed. These lines do change with it (`make generate`).
INTRINSICS = "17fbae5c3d37e27c"
UPDATES = "6c2b2636192db985"


@njit(cache=True, nogil=True, error_model="numpy")
def one(run, program, weight, v, d):
    """The value of the result and, in `d`, the gradients of the leaves, of which `v` holds the numbers.

    weight: the gradient of the result; 0 asks for no gradients.
    """
    call(run.forward, (program.code, program.pairs, v))
    if weight != 0:
        for row in range(program.leaves):
            d[row] = 0
        d[program.grad_root] = weight
        call(run.backward, (program.code, program.pairs, program.fresh, program.leaves, v, d))
    return v[program.root]


# ----------------------------------------------------------------------------------------------------------------------
# A sample in each lane.


@njit(cache=True, nogil=True, error_model="numpy")
def group(run, lanes, g, x, parameters, weight, memory, values, grad_x):
    """The samples of a group's share of the blocks: their values, and the gradients of what they share, in memory.sums.

    x (N, inputs): the samples; parameters: how many rows come before those of the inputs.
    weight: the gradient of each sample's value; 0 asks for no gradients.
    Lanes that are left over in the last block repeat the last sample, with a weight of 0.
    """
    v, d, sums = memory.v[g], memory.d[g], memory.sums[g]
    inputs, groups, blocks = x.shape[1], len(memory.v), (len(x) + LANES - 1) // LANES
    for row in range(lanes.leaves):
        for lane in range(LANES):
            v[row, lane], d[row, lane] = memory.one_v[row], 0
    for block in range(g * blocks // groups, (g + 1) * blocks // groups):
        start = block * LANES
        count = min(LANES, len(x) - start)
        for i in range(inputs):
            for lane in range(LANES):
                v[parameters + i, lane] = x[start + min(lane, count - 1), i]
        call(run.forward_lanes, (lanes.code, lanes.pairs, v))
        for lane in range(count):
            values[start + lane] = v[lanes.root, lane]
        if weight == 0:
            continue
        for lane in range(LANES):
            for i in range(inputs):
                d[parameters + i, lane] = 0
            before = d[lanes.grad_root, lane] if lanes.grad_root < lanes.leaves else 0
            d[lanes.grad_root, lane] = before + (weight if lane < count else 0)
        call(run.backward_lanes, (lanes.code, lanes.pairs, lanes.fresh, lanes.leaves, v, d))
        for lane in range(count):
            for i in range(inputs):
                grad_x[start + lane, i] = d[parameters + i, lane]
    for row in range(lanes.leaves):
        sums[row] = _add_lanes(d, row)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_lanes(d, row):
    """The sum of a row: half of it added to the other half, until one number is left.

    Three loops of a known length, which the compiler writes out; one loop around them takes ten times as long.
    """
    for lane in range(LANES // 2):
        d[row, lane] += d[row, lane + LANES // 2]
    for lane in range(LANES // 4):
        d[row, lane] += d[row, lane + LANES // 4]
    for lane in range(LANES // 8):
        d[row, lane] += d[row, lane + LANES // 8]
    return d[row, 0] + d[row, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def batch(run, once, lanes, x, weight, numbers, memory, values, grad_x, optimizer, state, losses):
    """All samples, once or for a training: their values (N,) and, in memory.one_d, the gradients of the parameters.

    once, lanes: the programs of what the samples share, and of the rest; numbers: the parameters.
    weight: the gradient of each sample's value; 0 asks for no gradients.
    losses: empty, or a place for the mean value before each update. A training ends at the first that is no finite
        number; how many updates there were is returned.

    Blocks of lanes are shared out among groups, as many as `memory` has room for. Gradients are summed lane by lane
    over the blocks of a group, then over the lanes, then over the groups.
    """
    for step in range(max(1, len(losses))):
        begin_batch(run, once, numbers, memory)
        for g in range(len(memory.v)):
            group(run, lanes, g, x, len(numbers), weight, memory, values, grad_x)
        if not end_batch(run, once, weight, numbers, memory, values, optimizer, state, losses, step):
            return step
    return len(losses)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def batch_parallel(run, once, lanes, x, weight, numbers, memory, values, grad_x, optimizer, state, losses):
    for step in range(max(1, len(losses))):
        begin_batch(run, once, numbers, memory)
        for g in prange(len(memory.v)):
            group(run, lanes, g, x, len(numbers), weight, memory, values, grad_x)
        if not end_batch(run, once, weight, numbers, memory, values, optimizer, state, losses, step):
            return step
    return len(losses)


@njit(cache=True, nogil=True, error_model="numpy")
def begin_batch(run, once, numbers, memory):
    """Compute what the samples share."""
    for row in range(len(numbers)):
        memory.one_v[row] = numbers[row]
    call(run.forward, (once.code, once.pairs, memory.one_v))


@njit(cache=True, nogil=True, error_model="numpy")
def end_batch(run, once, weight, numbers, memory, values, optimizer, state, losses, step):
    """Sum the gradients over the groups and, in a training, note the loss and update; False where that is the end."""
    if weight != 0:
        for row in range(once.leaves):
            total = memory.sums[0, row]
            for g in range(1, len(memory.sums)):
                total += memory.sums[g, row]
            memory.one_d[row] = total
        call(run.backward, (once.code, once.pairs, once.fresh, once.leaves, memory.one_v, memory.one_d))
    if len(losses) == 0:
        return True
    losses[step] = _mean(values)
    if not math.isfinite(losses[step]):
        return False
    grads, t = memory.one_d[: len(numbers)], optimizer.done + step + 1
    update(optimizer, numbers, grads, state[0], state[1], state[2], t, optimizer.lr)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


# ----------------------------------------------------------------------------------------------------------------------
# Optimizers.

SGD, MOMENTUM, ADAM, RMSPROP, ADAGRAD = range(5)


@njit(cache=True, nogil=True, error_model="numpy")
def update(optimizer, p, g, first, second, third, t, lr):
    """One update of the parameters p against their gradients g; t counts the updates from 1.

    optimizer: its kind and settings, see `fast/optimizers.py`; first, second, third: what it remembers of each.
    """
    s = optimizer.settings
    if optimizer.kind == SGD:
        updates.sgd(p, g, lr, s[0])
    elif optimizer.kind == MOMENTUM:
        keep, add = (0.0, 1.0) if t == 1 else (s[1], s[2])  # the first gradient is taken over as it is
        updates.momentum(p, g, first, lr, keep, add, s[0], s[3])
    elif optimizer.kind == ADAM:
        updates.adam(p, g, first, second, t, lr, s[1], s[2], s[3], s[0], 1.0 - lr * s[4])
    elif optimizer.kind == RMSPROP:
        updates.rmsprop(p, g, first, second, third, lr, s[1], s[2], s[0], s[3], s[4] != 0)
    else:
        updates.adagrad(p, g, first, lr / (1.0 + (t - 1) * s[1]), s[0], s[2])


# ----------------------------------------------------------------------------------------------------------------------
# A training in each lane.


@njit(cache=True, nogil=True, error_model="numpy")
def block_of_runs(run, programs, which, x, order, parameters, rates, optimizer, losses):
    """Train LANES runs beside each other, each with its own parameters (P, LANES) and learning rate (LANES).

    programs: the programs of all kinds of samples, one after the other; which (N,): the kind of each sample.
    x (N, inputs): what the samples give; order (steps, batch): the samples of each step, the same ones for all runs,
    with -1 behind the last where a batch is smaller.
    losses (steps, LANES): the mean loss of each step before its update. A run whose loss is no finite number stands
    still from there on, and its further losses are nan.
    """
    count, inputs = len(parameters), x.shape[1]
    v = np.zeros((programs.rows, LANES), parameters.dtype)
    d = np.zeros((programs.grad_rows, LANES), parameters.dtype)
    state = np.full((3, count, LANES), optimizer.start, parameters.dtype)
    for lane in range(LANES):
        for k in range(len(programs.constants)):
            v[programs.leaves + k, lane] = programs.constants[k]
        for row in range(count):
            v[row, lane] = parameters[row, lane]
    alive = np.ones(LANES, np.bool_)
    for step in range(len(order)):
        batch = (order[step] >= 0).sum()
        total = np.zeros(LANES)
        for row in range(count):
            for lane in range(LANES):
                d[row, lane] = 0
        for sample in order[step, :batch]:
            kind = which[sample]
            code = programs.code[programs.starts[kind] : programs.starts[kind + 1]]
            for i in range(inputs):
                for lane in range(LANES):
                    v[count + i, lane] = x[sample, i]
            call(run.forward_lanes, (code, programs.pairs, v))
            root, grad_root = programs.roots[kind], programs.grad_roots[kind]
            for lane in range(LANES):
                total[lane] += v[root, lane]
                for row in range(count, programs.leaves):
                    d[row, lane] = 0
                d[grad_root, lane] = 1 / batch
            call(run.backward_lanes, (code, programs.pairs, programs.fresh, programs.leaves, v, d))
        for lane in range(LANES):
            losses[step, lane] = total[lane] / batch if alive[lane] else math.nan
            alive[lane] = alive[lane] and math.isfinite(losses[step, lane])
            if alive[lane]:
                kept = state[:, :, lane]
                p, g, lr = v[:count, lane], d[:count, lane], rates[lane]
                update(optimizer, p, g, kept[0], kept[1], kept[2], step + 1, lr)
        if not alive.any():
            for later in range(step + 1, len(order)):
                for lane in range(LANES):
                    losses[later, lane] = math.nan
            break
    for row in range(count):
        for lane in range(LANES):
            parameters[row, lane] = v[row, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def runs(run, programs, which, x, order, parameters, rates, optimizer, losses):
    """`block_of_runs` for all blocks: parameters (blocks, P, LANES), rates (blocks, LANES), losses (blocks, steps,
    LANES).
    """
    for block in range(len(parameters)):
        block_of_runs(run, programs, which, x, order, parameters[block], rates[block], optimizer, losses[block])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def runs_parallel(run, programs, which, x, order, parameters, rates, optimizer, losses):
    for block in prange(len(parameters)):
        block_of_runs(run, programs, which, x, order, parameters[block], rates[block], optimizer, losses[block])
