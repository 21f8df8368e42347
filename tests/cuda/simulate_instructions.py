"""Instructions on a simulated GPU: `NUMBA_ENABLE_CUDASIM=1 python tests/cuda/simulate_instructions.py [PATTERN]`.

Small graphs are recorded, and their programs carried out there and on the CPU, instruction by instruction, on memories
that begin alike. A line for each graph; the exit status says whether all numbers agreed, and whether every instruction
was seen.
"""

import re
import sys
import time
import traceback

import numpy as np
import numpy_products

from fast import functional as f
from fast import threads
from fast.cuda import package, registry
from fast.cuda.instructions import INSTRUCTIONS
from fast.cuda.programs import GpuRecorder, Program, new_flaws
from fast.kernels import steps as kernels
from fast.recording import Place, Recorder, rounded
from fast.tensors import Tensor, taken_back

#: A warp is enough, and the simulator has a Python thread for each.
registry.THREADS = 32

#: How far numbers may be apart, relative to numbers above 1.
TOLERANCES = {"float64": 1e-12, "float32": 2e-5}
#: Arguments of instructions that are room for the engine's own use, in an order, or a type, of its own.
ROOM = {
    "sequence": (13,),
    "sequence_grad": (13, 15, 16),
    "batch_norm": (8,),
    "batch_norm_grad": (7,),
    "layer_norm": (7,),
    "layer_norm_grad": (6,),
}
#: Graphs that are tried in float32 too: the CPU keeps float64 for them.
WIDE = ("normalization",)


class SimulatedProgram(Program):
    """Products, of which each takes the simulator seconds, are left to NumPy; `simulate.py` tries their kernels."""

    def launch(self, name, *arguments):
        if not name.startswith("products."):
            super().launch(name, *arguments)
        else:
            self.start(_Product(name), registry.by_lane(1), arguments)


class _Product:
    def __init__(self, name):
        self.name = name

    def __getitem__(self, configuration):
        return self

    def __call__(self, *arguments):
        numpy_products.multiply(self.name, *arguments)


# ----------------------------------------------------------------------------------------------------------------------
# Graphs. Each is a function of parameters and inputs that gives a single number.

GRAPHS = {}


def graph(parameters, *inputs):
    """Say that a function makes a graph. parameters: their shapes; inputs: shapes, or arrays of whole numbers."""

    def note(make):
        GRAPHS[make.__name__] = parameters, inputs, make
        return make

    return note


def whole(shape, end):
    """Numbers from 0 to end - 1, each of them at least once where there are enough."""
    return np.random.default_rng(0).permutation(np.arange(np.prod(shape)) % end).reshape(shape)


@graph([(3, 5), (3,)], (4, 5), (4, 3))
def dense(p, x, y):
    return (
        f.mse_loss(f.linear(f.linear(x, *p).tanh(), (p[0] @ p[0].transpose(0, 1)).relu(), p[1]), y)
        + (p[1] * p[0][:, 0]).mean()
    )


@graph([(1, 2), (1,)], (512, 2), (512, 1))
def tall(p, x, y):
    return f.mse_loss(f.linear(x, *p), y)


@graph([(4, 1), (5,)], (4, 5))
def broadcast(p, x):
    above = x > p[0]
    some = ((x <= p[1]) & (x != 0)) | (x == p[1]) ^ (x >= 1) | ((x < 0) & (p[0] == p[0]))
    return ((x * p[0] + p[1]) * above + p[1] * some - p[0].exp() / (p[1] * p[1] + 1)).sum()


@graph([(2, 3, 4), (4, 2)], (2, 3, 4))
def shapes(p, x):
    a, b = p
    parts = [
        (a.permute(2, 0, 1) * x.permute(2, 0, 1)).sum(1).flip(0),
        f.pad(b, (1, 0, 0, 1), 0.5)[:-1],
        b.broadcast_to((3, 4, 2)).sum(0) * 2,
        f.gather(b, 0, Tensor(whole((4, 2), 4))),
        f.getitem(b, [3, 0, 0, 1]).reshape(4, 2),
    ]
    return (f.cat(parts, 1) ** 2).mean() + (f.cat([a[0], x[1]], 0) * 3).sum()


@graph([(2, 3, 4)], (2, 3, 4))
def reductions(p, x):
    a = p[0] * x
    return (
        (f.max(a, 1)[0] * 2).sum()
        + f.min(a, 2)[0].sum()
        + f.max(a) * f.min(a, 0)[0].mean()
        - f.min(p[0])
        + (f.cumsum(a, 1) ** 2).sum()
        + f.cumsum(a, 2).mean()
        + f.prod(a, 2).sum()
        + f.prod(a, (0, 1)).sum()
        + f.logsumexp(a, 1).sum()
        + f.logsumexp(a, 2).sum()
        + (f.softmax(a, 1) * x).sum()
        + (f.log_softmax(a, -1) * x).sum()
        + (f.mean(a, 1) ** 2).sum()
    )


@graph([(2, 2100)], (2, 2100))
def long_rows(p, x):
    """Of which each has its largest number twice, in two parts."""
    a = f.cat([p[0], p[0][:, :7]], 1)
    return (f.max(a, 1)[0] * x[:, 0]).sum() + (f.min(a, 1)[0] * x[:, 1]).sum() + f.sum(a, 1).tanh().sum()


@graph([(5, 3), (3,)], (5, 3), (5, 3), (5,), whole((5,), 3))
def losses(p, x, y, w, labels):
    a, weights = x * p[0] + p[1], (w * w, (x[0] * x[0]).detach())
    chance, signs = a.sigmoid(), (y > 0) * 2.0 - 1.0
    return (
        f.mse_loss(a, y)
        + f.l1_loss(a, y, sample_weight=weights[0])
        + f.huber_loss(a, y, delta=0.75)
        + f.hinge_loss(a, signs)
        + f.binary_cross_entropy(chance, (y > 0) * 1.0)
        + f.binary_cross_entropy_with_logits(a, (y > 0) * 1.0)
        + f.binary_cross_entropy_with_logits(a, (y > 0) * 1.0, pos_weight=Tensor(np.array([2.0, 1.0, 0.5])))
        + f.nll_loss(f.log_softmax(a, 1), labels)
        + f.cross_entropy(a, labels, weight=Tensor(np.array([1.0, 2.0, 3.0])), label_smoothing=0.1)
        + f.cross_entropy(a, labels, sample_weight=weights[0])
        + 0.1 * f.l1_penalty(p)
        + 0.2 * f.l2_penalty(p)
    )


@graph([(1, 3)], whole((4,), 5), (4, 3))
def whole_targets(p, labels, x):
    return f.mse_loss((x * p[0]).sum(1), labels)


@graph([(4, 2, 3, 2), (4,), (2, 2, 2, 1), (3, 2, 3)], (2, 2, 7, 6), (2, 2, 8))
def convolution(p, x, line):
    y = f.conv2d(x, p[0], p[1], stride=(2, 1), padding=(1, 0), dilation=(1, 2))
    pooled = f.max_pool2d(y, (2, 2), stride=1, padding=1)
    grouped = f.conv2d(pooled, p[2], groups=2)
    return (
        (f.avg_pool2d(grouped, 2, stride=1, padding=1) ** 2).mean()
        + f.adaptive_avg_pool2d(y, (3, 2)).sum()
        + f.conv1d(line, p[3], padding=1).mean()
    )


def statistics(numbers):
    return [Tensor(np.array(column)) for column in numbers]


_MEANS, _VARIANCES, _COUNT = *statistics([[0.5, -0.5, 0.1], [1.0, 2.0, 0.5]]), Tensor(np.array(3))


@graph([(3,), (3,), (2, 5)], (4, 3, 2), (5, 3), (4, 2, 5))
def normalization(p, x, flat, rows):
    trained = f.batch_norm(x, _MEANS, _VARIANCES, p[0], p[1], True, None, num_batches_tracked=_COUNT)
    return (
        (trained**2 * x).mean()
        + f.batch_norm(flat * p[0], _MEANS, _VARIANCES, p[1], training=True, momentum=0.25).tanh().sum()
        + (f.batch_norm(flat, _MEANS, _VARIANCES, p[0], p[1]) * flat).mean()
        + (f.layer_norm(rows * p[2], (2, 5), p[2], p[2]) ** 3).mean()
        + (f.rms_norm(rows * p[2], 5) * rows).mean()
    )


def _cell(kind, gates, *states):
    sizes = [(gates * 3, 2), (gates * 3, 3), (gates * 3,), (gates * 3,)]

    @graph([*sizes, *[(4, 3)] * len(states)], (4, 3, 2))
    def layer(p, x):
        found = getattr(f, kind)(x, *p[4:], *p[:4])
        parts = found if isinstance(found, tuple) else (found,)
        return sum([(part * part).mean() for part in parts[1:]], (parts[0] ** 3).sum()) + (parts[0] * 1.0)[:, -1].sum()

    GRAPHS[kind] = GRAPHS.pop("layer")


_cell("rnn", 1, "hidden")
_cell("gru", 3, "hidden")
_cell("lstm", 4, "hidden", "cell")


@graph([(3, 2), (3, 3), (3,), (3,), (4, 3)], (4, 2))
def relu_cell(p, x):
    return (f.rnn_cell(x, p[4], *p[:4], nonlinearity="relu") ** 2).sum()


@graph([(5, 4), (2, 3, 4), (2, 3, 3)], whole((2, 3), 4), (2, 3, 4))
def attention(p, words, x):
    looked_up = f.embedding(words, p[0])
    mask = np.array([[0, -np.inf, 1], [-np.inf] * 3, [0.5, 0, 0]])
    y = f.scaled_dot_product_attention(looked_up, p[1], p[2], mask, scale=0.7)
    later = f.scaled_dot_product_attention(x, looked_up * 1.0, p[1], is_causal=True)
    return (f.dropout(y, 0.4, seed=7) ** 2).mean() + f.dropout(later, 0.3, seed=2**63 + 5).sum()


# ----------------------------------------------------------------------------------------------------------------------
# Running them.


class OneByOne(Recorder):
    """The CPU's program with nothing joined to chains, so that numbers lie where they do on a GPU."""

    def _chained(self, instructions):
        for instruction in instructions:
            yield from super()._chained([instruction])

    def _keep_in_chains(self):
        """Nothing is."""


def record(kind, parameters, inputs, make, dtype):
    """The recorder of a graph, its places arranged, and the size of the memory."""
    inputs[0].requires_grad = inputs[0].data.dtype == dtype
    recorder = kind(parameters, inputs, np.dtype(dtype), {})
    with taken_back() as before:
        loss = make(parameters, *inputs)
        recorder.write(loss, loss)
        counting = {x: numbers for x, numbers in before.items() if numbers.dtype.kind == "i"}
        recorder.growth = {x: x.data - numbers for x, numbers in counting.items()}
    return recorder, recorder.arrange(rounded(2 * sum(p.data.size for p in parameters)))


def numbers_before(recorder, size, random):
    """A memory as it is before a step."""
    memory = random.standard_normal(size).astype(recorder.dtype)
    known = [(recorder._values[t], t.data) for t in [*recorder.parameters, *recorder.inputs] if t in recorder._values]
    known += [(place, array) for array, place in recorder.constants]
    known += [(place, tensor.data) for tensor, place in recorder.buffers.items()]
    known += [(recorder.results[2], np.ones(1))]
    for place, array in known:
        memory[place.start : place.start + place.size] = array.ravel()
    return memory


def whole_before(recorder):
    """Whole numbers as they are before a step."""
    integers = np.array(recorder.integers, np.int64)
    for tensor in recorder.inputs:
        if tensor in recorder._labels:
            start = recorder._labels[tensor]
            integers[start : start + tensor.data.size] = tensor.data.ravel()
    for number, place in recorder.seeds:
        integers[place] = np.uint64(number).astype(np.int64)
    for tensor, place in recorder.counts:
        integers[place] = tensor.item() + 1
    return integers


def compare(name, dtype):
    """Carry out a graph on both, and raise AssertionError where they differ; returns the names of the instructions."""
    shapes, given, make = GRAPHS[name]
    random = np.random.default_rng(1)
    numbers = [random.uniform(0.3, 1.2, shape) * random.choice([-1, 1], shape) for shape in shapes]
    parameters = [Tensor(array.astype(dtype), True) for array in numbers]
    inputs = [
        Tensor(one if isinstance(one, np.ndarray) else random.standard_normal(one).astype(dtype)) for one in given
    ]
    with threads.one_thread():
        cpu, size = record(OneByOne, parameters, inputs, make, dtype)
        memory, integers = numbers_before(cpu, size, random), whole_before(cpu)
    gpu, other_size = record(GpuRecorder, parameters, inputs, make, dtype)
    assert (size, len(cpu.instructions)) == (other_size, len(gpu.instructions))
    program = SimulatedProgram(gpu, package.cuda.to_device(memory), new_flaws())
    program.integers[:] = whole_before(gpu)
    program._whole.copy_to_device(program.integers)
    code, settings = cpu.code()
    alike = np.ones(size, bool)
    for k, instruction in enumerate(gpu.instructions):
        kernels.replay(code[k : k + 1], settings[k : k + 1], memory, integers)
        program.replay(k, k + 1)
        room = ROOM.get(instruction.kernel, ())
        for number, place in enumerate(instruction.arguments):
            if isinstance(place, Place):
                alike[place.start : place.start + place.size] = number not in room
        found, wanted = program.memory._ary[alike], memory[alike]
        away = np.abs(found - wanted) / np.maximum(1, np.abs(wanted))
        away[(found == wanted) | (np.isnan(found) & np.isnan(wanted))] = 0
        assert np.nan_to_num(away, nan=np.inf).max() <= TOLERANCES[dtype], (instruction, away.max())
    assert not program.flaws[0]
    assert not integers[kernels.REFUSED]
    return {instruction.kernel for instruction in gpu.instructions}


def main() -> int:
    wrong, seen = 0, set()
    for name, dtype in [*[(name, "float64") for name in GRAPHS], *[(name, "float32") for name in WIDE]]:
        if not re.search(sys.argv[1] if sys.argv[1:] else "", name):
            continue
        started, said = time.perf_counter(), ""
        try:
            seen |= compare(name, dtype)
        except Exception:
            said = traceback.format_exc()
        wrong += bool(said)
        print(f"{name}, {dtype}: {said or 'alike'} ({time.perf_counter() - started:.2f} s)", flush=True)
    missing = INSTRUCTIONS.keys() - seen
    if missing and not sys.argv[1:]:
        print(f"never carried out: {', '.join(sorted(missing))}")
    return wrong + (len(missing) if not sys.argv[1:] else 0)


if __name__ == "__main__":
    sys.exit(main())
