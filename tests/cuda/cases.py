"""A test for each kernel: small odd shapes that cross the edges of tiles, warps and blocks, and what should come out.

`CASES[name](dtype)` makes one. What is expected is computed by the CPU engine's own kernels, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fast
import micro
import nn
from fast import programs
from fast.cuda.kernels import lanes, perceptrons
from fast.cuda.kernels.products import PRODUCTS
from fast.cuda.kernels.reductions import COLUMNS, ROWS
from fast.cuda.package import SIMULATED
from fast.cuda.registry import KERNELS, Launch
from fast.kernels import (
    attention,
    convolution,
    elementwise,
    embedding,
    losses,
    normalization,
    products,
    randomness,
    recurrent,
    reductions,
    tape_one,
    trainability,
    updates,
)
from micro.functional.convolution import Windows
from micro.ops import OPS

#: The rows of a matrix: more warps than a block has, but fewer in the simulator, which has a thread for each lane.
LINES = 3 if SIMULATED else 11
#: How far results may be from what is expected, in proportion to its size.
TOLERANCES = {"float32": 4e-6, "float64": 1e-14}


@dataclass
class Case:
    """Arguments for a kernel, and what it should make of them.

    expected: for each argument that is written, by its place, what it should become. Before, it holds nan or -7.
    launch: on which threads; few, so that threads take several elements, or as the registry says.
    tolerance: how far from it a number may be, in proportion to it, or to the largest of all where that is below 1.
    conflicts: how often threads of a warp may ask one bank of shared memory for different words.
    room: the places of arguments that are written as well, and looked at by nobody.
    """

    arguments: tuple
    expected: dict[int, np.ndarray]
    tolerance: float
    launch: Launch
    conflicts: int = 0
    room: tuple[int, ...] = ()

    def error(self) -> float:
        """The largest difference from what is expected; nan and infinity have to be where they should be."""
        return max(_difference(self.arguments[place], wanted) for place, wanted in self.expected.items())


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
    with np.errstate(invalid="ignore"):
        away = np.abs(found - wanted) / np.maximum(np.abs(wanted), min(1, largest or 1))
    away[(found == wanted) | (np.isnan(found) & np.isnan(wanted))] = 0
    return float(np.nan_to_num(away, nan=np.inf).max(initial=0))


#: Name of a kernel to what makes its case for a type of numbers.
CASES: dict[str, Callable[[str], Case]] = {}


def case(
    name: str,
    launch: Launch | None = None,
    tolerance: float = 1.0,
    conflicts: dict[str, int] | None = None,
    room: tuple[int, ...] = (),
) -> Callable[[Callable], Callable]:
    """Say that a function (random, dtype) -> (arguments, expected) makes the case of a kernel.

    tolerance: a factor, where more rounding is to be expected.
    conflicts: for each type of numbers; none unless given. room: as in `Case`.
    """

    def note(make: Callable) -> Callable:
        def build(dtype: str) -> Case:
            random = np.random.default_rng(sum(map(ord, name)))
            arguments, expected = make(random, np.dtype(dtype).type)
            threads = launch or KERNELS[name].launch(*arguments)
            allowed = (conflicts or {}).get(dtype, 0)
            return Case(arguments, expected, TOLERANCES[dtype] * tolerance, threads, allowed, room)

        CASES[name] = build
        return make

    return note


def normal(random, dtype, *shape):
    """Standard normal numbers."""
    return random.standard_normal(shape).astype(dtype)


def empty(dtype, *shape):
    """Room for results; whatever is in it must not matter, so it is nan, or -7."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else -7, dtype)


def double(*arrays):
    """The same in float64."""
    return [array.astype(np.float64) for array in arrays]


# ----------------------------------------------------------------------------------------------------------------------
# Elementwise operations

#: Two blocks of a warp each, so that threads take two elements, and some of them one.
_FEW = Launch((2,), (32,))


def _elementwise(op, name, with_grad):
    """The case of a kernel of the table: numbers of the domain, with ties where that is a question."""

    @case(name, _FEW, tolerance=2)
    def _(random, dtype):
        arguments = [random.uniform(*interval, 101).astype(dtype) for interval in op.domain]
        if op.kink:
            arguments = [np.round(argument * 2) / dtype(2) for argument in arguments]
        y = np.empty(101)
        getattr(elementwise, op.name)(*double(*arguments), y)
        if not with_grad:
            return (*arguments, empty(dtype, 101)), {len(arguments): y}
        grad, slope = normal(random, dtype, 101), np.empty(101)
        getattr(elementwise, name.partition(".")[2])(*double(grad, *arguments), y, slope)
        return (grad, *arguments, y.astype(dtype), empty(dtype, 101)), {len(arguments) + 2: slope}


for _op in OPS.values():
    _elementwise(_op, f"elementwise.{_op.name}", with_grad=False)
    for _argument in _op.arguments:
        _elementwise(_op, f"elementwise.{_op.name}_grad_{_argument}", with_grad=True)


# ----------------------------------------------------------------------------------------------------------------------
# Reductions


@case("reductions.sum_rows")
def _(random, dtype):
    x, scale = normal(random, dtype, 3, 137), dtype(0.25)
    parts = [x[:, :46], x[:, 46:92], x[:, 92:]]
    sums = np.empty((3, 3, 1))
    for s, part in enumerate(parts):
        reductions.total(part.astype(float)[:, :, None], sums[s])
    return (x, scale, empty(dtype, 3, 3)), {2: 0.25 * sums[:, :, 0].T}


@case("reductions.sum_columns", Launch((2, 2, 1), (COLUMNS, ROWS)))
def _(random, dtype):
    """Of two matrices, by blocks that take both."""
    x, scale = normal(random, dtype, 2, 21, 37), dtype(0.5)
    sums = np.empty((2, 2, 37))
    for s, part in enumerate((x[:, :11], x[:, 11:])):
        reductions.total(part.astype(float), sums[:, s])
    return (x, scale, empty(dtype, 2, 2, 37)), {2: 0.5 * sums}


def _extremes(kind, infinity):
    """The cases of "max" or "min", along rows and columns; infinity: that of which nothing is further away."""
    extreme, place_of = getattr(np, kind), getattr(np, f"arg{kind}")

    @case(f"reductions.{kind}_rows")
    def _(random, dtype):
        x = normal(random, dtype, 5, 70).round(1)  # so that there are equal ones
        x[1, 3] = x[1, 40] = x[2, 66] = np.nan
        x[3] = infinity
        parts = x[:, :35], x[:, 35:]
        numbers = np.stack([extreme(part, 1) for part in parts], 1)
        places = np.stack([place_of(part, 1) for part in parts], 1) + [0, 35]
        return (x, empty(dtype, 5, 2), empty(np.int32, 5, 2)), {1: numbers, 2: places}

    @case(f"reductions.{kind}_columns", Launch((2,), (32,)))
    def _(random, dtype):
        x = normal(random, dtype, 2, 9, 41).round(1)
        x[1, 3, 5] = x[1, 6, 5] = x[0, 8, 40] = np.nan
        return (x, empty(dtype, 2, 41), empty(np.int32, 2, 41)), {1: extreme(x, 1), 2: place_of(x, 1)}


_extremes("max", -np.inf)
_extremes("min", np.inf)


def _rows(random, dtype):
    """A matrix of which a row holds a nan, and one is large."""
    x = normal(random, dtype, LINES, 71)
    x[2, 50] = np.nan
    x[1] += 1000
    return x


def _probabilities(name):
    """The cases of `softmax`, or of `log_softmax`, and of its gradient."""
    forward, backward = getattr(reductions, name), getattr(reductions, f"{name}_grad")

    @case(f"reductions.{name}")
    def _(random, dtype):
        x = _rows(random, dtype)
        y = np.empty(x.shape)
        forward(x.astype(float), y)
        return (x, empty(dtype, *x.shape)), {1: y}

    @case(f"reductions.{name}_grad")
    def _(random, dtype):
        grad, x = normal(random, dtype, LINES, 71), _rows(random, dtype)
        y, grad_x = np.empty(x.shape), np.empty(x.shape)
        forward(x.astype(float), y)
        backward(grad.astype(float), y.astype(dtype).astype(float), grad_x)
        return (grad, y.astype(dtype), empty(dtype, *y.shape)), {2: grad_x}


for _name in ("softmax", "log_softmax"):
    _probabilities(_name)


# ----------------------------------------------------------------------------------------------------------------------
# Products


def _product(name, side, turned_a, turned_b, by_four):
    """A product, or two, larger than a tile in every direction, of sizes that are multiples of 4 or not.

    The simulator, for which a tile is a million steps, is given one that is smaller than that.
    """

    @case(f"products.{name}", tolerance=4, conflicts={"float64": 20000})
    def _(random, dtype):
        extra = 4 if by_four else 3
        stacks, rows, columns, length = (
            1 + (not turned_a),
            (side if side == 64 else 0) + extra,
            side + 2 * extra,
            16 + extra,
        )
        if SIMULATED:
            stacks, rows, columns, length = 1, extra, 2 * extra, 3 * extra
        a, b = normal(random, dtype, stacks, rows, length), normal(random, dtype, stacks, length, columns)
        bias, c = normal(random, dtype, columns), np.empty((stacks, rows, columns))
        products.stacked(*double(a, b), c)
        first = np.ascontiguousarray(a.transpose(0, 2, 1)) if turned_a else a
        second = np.ascontiguousarray(b.transpose(0, 2, 1)) if turned_b else b
        return (first, second, bias, empty(dtype, stacks, rows, columns)), {3: c + bias.astype(float)}


for _name, (_, _tile, _by_four) in PRODUCTS.items():
    _product(_name, _tile.side, _name[8] == "t", _name[9] == "t", _by_four)


# ----------------------------------------------------------------------------------------------------------------------
# Losses

#: For kernels that write the sum of each block: two blocks of two warps; threads take an element or two.
_PARTS = Launch((2,), (64,))


def _of_blocks(total, *arrays):
    """total(*arrays), a sum over elements, for the elements of each block of `_PARTS`."""
    block = np.arange(arrays[0].size) // 64 % 2
    return np.array([total(*[array[block == b] for array in arrays]) for b in range(2)])


def _loss(name, arrays, settings=(), flaws=None):
    """The case of a loss over elements: arrays(random, dtype) gives prediction, target, weight and what else there is.

    settings: what the loss is told besides. flaws: how many elements are none that it takes, where it counts them.
    """

    @case(f"losses.{name}", _PARTS, tolerance=2)
    def _(random, dtype):
        given = arrays(random, dtype)
        count, grad = given[0].size, np.empty(given[0].size)

        def total(prediction, target, weight, *others, grad=None):
            grad = np.empty(prediction.size) if grad is None else grad
            return getattr(losses, name)(prediction, target, grad, weight, *others, *settings)[0] * grad.size / count

        total(*double(*given), grad=grad)
        counted = [] if flaws is None else [np.zeros(1, np.int32)]
        arguments = *given, dtype(1 / count), *map(dtype, settings), empty(dtype, count), empty(dtype, 2), *counted
        place = len(given) + 1 + len(settings)
        expected = {place: grad, place + 1: _of_blocks(total, *double(*given))}
        return arguments, expected | ({} if flaws is None else {place + 2: np.array([flaws])})


def _weights(random, dtype, count):
    return random.uniform(0.5, 2, count).astype(dtype)


def _numbers(random, dtype):
    prediction, target = normal(random, dtype, 151), normal(random, dtype, 151)
    target[7] = prediction[7]
    return prediction, target, _weights(random, dtype, 151)


def _signs(random, dtype):
    target = np.sign(normal(random, dtype, 151))
    target[[3, 80]] = dtype(0.5), dtype(2)
    return normal(random, dtype, 151), target, _weights(random, dtype, 151)


def _probabilities(random, dtype):
    prediction, target = random.uniform(0.01, 0.99, (2, 151)).astype(dtype)
    prediction[3] = 1e-44  # its logarithm is below -100
    target[[9, 80]] = -0.5, 1.5
    return prediction, target, _weights(random, dtype, 151)


def _logits(random, dtype):
    target = random.uniform(0, 1, 151).astype(dtype)
    target[3] = 2
    return normal(random, dtype, 151) * dtype(5), target, *random.uniform(0.5, 2, (2, 151)).astype(dtype)


_loss("mse_loss", _numbers)
_loss("l1_loss", _numbers)
_loss("huber_loss", _numbers, settings=(0.75,))
_loss("hinge_loss", _signs, flaws=2)
_loss("binary_cross_entropy", _probabilities, flaws=2)
_loss("binary_cross_entropy_with_logits", _logits, flaws=1)


@case("losses.label_mass", _PARTS)
def _(random, dtype):
    labels, class_weight = random.integers(0, 7, 151), _weights(random, dtype, 7)
    sums = _of_blocks(np.sum, class_weight.astype(float)[labels])
    labels[4], sums[0] = 7, sums[0] - class_weight[labels[4]]
    arguments = labels, class_weight, empty(dtype, 1, 7), empty(dtype, 2), np.zeros(1, np.int32)
    return arguments, {3: sums, 4: np.array([1])}


def _classes(random, dtype):
    """logits, labels, weight, class_weight."""
    logits, labels = normal(random, dtype, LINES, 37) * dtype(3), random.integers(0, 37, LINES)
    return logits, labels, _weights(random, dtype, LINES), _weights(random, dtype, 37)


def _row_by_row(loss, grad, logits, labels, weight, *settings):
    """The gradient of a loss over rows, in `grad`, and the share of each row in it, from its mean over that row alone.

    With weights of classes the mean divides by the weights of the labels: of all of them, or of the one.
    """
    class_weight = settings[0]
    loss(logits, labels, grad, weight, *settings)
    mass, own = class_weight[labels].sum(), class_weight[labels]
    rows = [slice(n, n + 1) for n in range(len(labels))]
    means = [loss(logits[n], labels[n], np.empty_like(logits[n]), weight[n], *settings)[0] for n in rows]
    return mass, np.array(means) * own / mass


@case("losses.nll_loss", tolerance=2)
def _(random, dtype):
    logits, labels, weight, class_weight = _classes(random, dtype)
    grad = np.empty(logits.shape)
    mass, shares = _row_by_row(losses.nll_loss, grad, *double(logits), labels, *double(weight, class_weight))
    written = np.array([mass], dtype), empty(dtype, *logits.shape), empty(dtype, labels.size)
    return (logits, labels, weight, class_weight, *written), {5: grad, 6: shares}


@case("losses.cross_entropy", tolerance=2)
def _(random, dtype):
    logits, labels, weight, class_weight = _classes(random, dtype)
    grad, smoothing = np.empty(logits.shape), 0.125
    settings = *double(weight, class_weight), smoothing
    mass, shares = _row_by_row(losses.cross_entropy, grad, *double(logits), labels, *settings)
    written = np.array([mass], dtype), empty(dtype, *logits.shape), empty(dtype, labels.size)
    return (logits, labels, weight, class_weight, dtype(smoothing), *written), {6: grad, 7: shares}


# ----------------------------------------------------------------------------------------------------------------------
# Updates


def _update(name, state, settings, derived=None):
    """The case of an optimizer: p, g, and `state` more arrays, none of them negative.

    settings: what the CPU's kernel is told. derived: what the GPU's is told, where that is something else.
    """

    @case(f"updates.{name}", _FEW)
    def _(random, dtype):
        arrays = [normal(random, dtype, 101), normal(random, dtype, 101)]
        arrays += [random.uniform(1, 2, 101).astype(dtype) for _ in range(state)]
        after = double(*arrays)
        getattr(updates, name)(*after, *settings)
        told = [int(x) if isinstance(x, bool) else dtype(x) for x in derived or settings]
        return (*arrays, *told), {0: after[0], **{place: after[place] for place in range(2, 2 + state)}}


_update("sgd", 0, (0.1, 0.01))
_update("momentum", 1, (0.1, 0.9, 0.5, 0.01, 0.9))
_update(
    "adam",
    2,
    (3, 0.1, 0.9, 0.999, 1e-8, 0.01, 0.99),
    (0.1 / (1 - 0.9**3), (1 - 0.999**3) ** 0.5, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-8, 0.01, 0.99),
)
_update("rmsprop", 3, (0.01, 0.99, 1e-8, 0.01, 0.9, True), (0.01, 0.99, 1 - 0.99, 1e-8, 0.01, 0.9, True))
_update("adagrad", 1, (0.01, 0.01, 1e-10))


@case("updates.squares", _PARTS, tolerance=4)
def _(random, dtype):
    g = normal(random, dtype, 151)
    return (g, empty(dtype, 2)), {1: _of_blocks(updates.squares, *double(g))}


@case("updates.clip_norm", _FEW)
def _(random, dtype):
    g = normal(random, dtype, 101)
    square = updates.squares(*double(g))
    return (g, np.array([square], dtype), dtype(2)), {0: g.astype(float) * 2 / (square**0.5 + 1e-6)}


# ----------------------------------------------------------------------------------------------------------------------
# Normalisation

#: 9 samples of 5 channels with 7 numbers each: 35 columns, more than a block has; samples in two parts.
_BATCH = 9, 5, 7
_EPS = 0.25  # large, so that it counts


def _columns(x):
    """(N, C, L) as the CPU's kernels take it, (N, C * L)."""
    return x.reshape(len(x), -1).astype(float)


def _sums_of_parts(x):
    """The sums over 5 and 4 samples of x (9, C, L)."""
    return np.stack([part.sum(0).ravel() for part in (x[:5], x[5:])])


def _moments(x):
    """The mean and the variance of each channel, by the CPU's kernel."""
    mean, variance, ones = np.empty(x.shape[1]), np.empty(x.shape[1]), np.ones(x.shape[1])
    normalization.batch_norm(_columns(x), ones, ones, _EPS, True, mean, variance, np.empty((9, 35)))
    return mean, variance


@case("normalization.batch_squares")
def _(random, dtype):
    x = normal(random, dtype, *_BATCH) + dtype(3)
    mean = x.astype(float).mean((0, 2)).astype(dtype)
    return (x, mean, empty(dtype, 2, 35)), {2: _sums_of_parts((x - mean[:, None]).astype(float) ** 2)}


@case("normalization.batch_norm", tolerance=2)
def _(random, dtype):
    x, (weight, bias) = normal(random, dtype, *_BATCH), normal(random, dtype, 2, 5)
    (mean, variance), y = _moments(x), np.empty((9, 35))
    normalization.batch_norm(_columns(x), *double(weight, bias), _EPS, False, mean, variance, y)
    moments = mean.astype(dtype), variance.astype(dtype)
    return (x, weight, bias, dtype(_EPS), *moments, empty(dtype, *_BATCH)), {6: y.reshape(_BATCH)}


@case("normalization.batch_norm_sums", tolerance=2)
def _(random, dtype):
    grad, x, mean = normal(random, dtype, *_BATCH), normal(random, dtype, *_BATCH), normal(random, dtype, 5)
    products = grad.astype(float) * (x.astype(float) - mean.astype(float)[:, None])
    written = empty(dtype, 2, 35), empty(dtype, 2, 35)
    return (grad, x, mean, *written), {3: _sums_of_parts(grad.astype(float)), 4: _sums_of_parts(products)}


@case("normalization.batch_norm_grad", tolerance=2)
def _(random, dtype):
    grad, x, weight = normal(random, dtype, *_BATCH), normal(random, dtype, *_BATCH), normal(random, dtype, 5)
    mean, variance = _moments(x)
    factor, grad_x, grad_weight, totals = 1 / np.sqrt(variance + _EPS), np.empty((9, 35)), np.empty(5), np.empty(5)
    arguments = _columns(grad), _columns(x), weight.astype(float), True, mean, factor
    normalization.batch_norm_grad(*arguments, grad_x, grad_weight, totals)
    sums = [array.astype(dtype) for array in (mean, factor, totals, grad_weight / factor)]
    return (grad, x, weight, *sums, dtype(1 / 63), empty(dtype, *_BATCH)), {8: grad_x.reshape(_BATCH)}


@case("normalization.inverse_roots", _FEW)
def _(random, dtype):
    variance = random.uniform(0, 2, 101).astype(dtype)
    return (variance, dtype(_EPS), empty(dtype, 101)), {2: 1 / np.sqrt(variance.astype(float) + _EPS)}


@case("normalization.move_towards", _FEW)
def _(random, dtype):
    new, running = normal(random, dtype, 101), normal(random, dtype, 101)
    after = 0.75 * running.astype(float) + 0.25 * (1.5 * new.astype(float))
    return (new, dtype(1.5), dtype(0.75), dtype(0.25), running), {4: after}


def _layer_norm(random, dtype, centred):
    """x (LINES, 71), weight, bias, mean and factor, and y, by the CPU's kernel."""
    x, (weight, bias) = normal(random, dtype, LINES, 71) + dtype(2), normal(random, dtype, 2, 71)
    mean, factor, y = np.empty(LINES), np.empty(LINES), np.empty((LINES, 71))
    normalization.layer_norm(*double(x, weight, bias), centred, _EPS, mean, factor, y)
    return x, weight, bias, mean, factor, y


@case("normalization.layer_norm", tolerance=2)
def _(random, dtype):
    x, weight, bias, mean, factor, y = _layer_norm(random, dtype, True)
    written = empty(dtype, LINES), empty(dtype, LINES), empty(dtype, LINES, 71)
    return (x, weight, bias, 1, dtype(_EPS), *written), {5: mean, 6: factor, 7: y}


def _layer_norm_grad(random, dtype, centred, parts):
    """What both kernels for the gradient take and should give; grad (LINES, 71), in that many parts of the rows."""
    x, weight, _, mean, factor, _ = _layer_norm(random, dtype, centred)
    grad, grad_x, sums = normal(random, dtype, LINES, 71), np.empty((LINES, 71)), np.zeros((parts, 2, 71))
    normalization.layer_norm_grad(*double(grad, x, weight), centred, mean, factor, grad_x, sums)
    return grad, x, weight, mean.astype(dtype), factor.astype(dtype), grad_x, sums


@case("normalization.layer_norm_grad", tolerance=2)
def _(random, dtype):
    grad, x, weight, mean, factor, grad_x, _ = _layer_norm_grad(random, dtype, True, 1)
    return (grad, x, weight, 1, mean, factor, empty(dtype, LINES, 71)), {6: grad_x}


@case("normalization.layer_norm_sums", tolerance=4)
def _(random, dtype):
    grad, x, _, mean, factor, _, sums = _layer_norm_grad(random, dtype, False, 1)
    written = empty(dtype, 1, 71), empty(dtype, 1, 71)
    return (grad, x, mean, factor, *written), {4: sums[:, 0], 5: sums[:, 1]}


# ----------------------------------------------------------------------------------------------------------------------
# Convolution

#: Windows along 13 rows and 9 columns, all different, and some of what they see outside.
_DOWN = Windows(length=13, positions=6, kernel=3, stride=2, padding=1, dilation=2)
_ACROSS = Windows(length=9, positions=8, kernel=2, stride=1, padding=0, dilation=1)
#: As the GPU's kernels are told.
_WINDOWS = [(w.positions, w.kernel, w.stride, w.padding, w.dilation) for w in (_DOWN, _ACROSS)]
#: Threads for 3 blocks along an image, of which there are more than blocks.
_IMAGES = Launch((2, 3), (32,))


@case("convolution.unfold", _IMAGES)
def _(random, dtype):
    """What the CPU's convolution makes of weights that are 1 for one place in the window, and 0 for all others."""
    x, y = normal(random, dtype, 2, 3, 13, 9), np.empty((2, 18, 6, 8))
    one_place = np.eye(18).reshape(1, 18, 18)
    convolution.conv2d(x.astype(float), one_place, np.zeros(18), _DOWN, _ACROSS, y)
    return (x, *_WINDOWS, empty(dtype, 2, 18, 48)), {3: y.reshape(2, 18, 48)}


@case("convolution.fold", _IMAGES)
def _(random, dtype):
    """What the same convolution passes back."""
    y, grad_x, one_place = normal(random, dtype, 2, 18, 48), np.empty((2, 3, 13, 9)), np.eye(18).reshape(1, 18, 18)
    grad = y.astype(float).reshape(2, 18, 6, 8)
    nothing = np.empty((1, 0, 18)), np.empty(0)
    convolution.conv2d_grad(grad, np.zeros((2, 3, 13, 9)), one_place, _DOWN, _ACROSS, grad_x, *nothing)
    return (y, *_WINDOWS, empty(dtype, 2, 3, 13, 9)), {3: grad_x}


@case("convolution.add_to_channels", _IMAGES)
def _(random, dtype):
    y, bias = normal(random, dtype, 2, 3, 101), normal(random, dtype, 3)
    return (y, bias), {0: y.astype(float) + bias.astype(float)[:, None]}


def _max_pool(random, dtype):
    """x with ties and nan, and the largest of each window and its place, by the CPU's kernel."""
    x = normal(random, dtype, 5, 13, 9).round(1)
    x[1, 4, 4] = np.nan
    y, places = np.empty((5, 6, 8)), np.empty((5, 6, 8), np.int32)
    convolution.max_pool(x.astype(float), _DOWN, _ACROSS, y, places)
    return x, y, places


@case("convolution.max_pool", _IMAGES)
def _(random, dtype):
    x, y, places = _max_pool(random, dtype)
    return (x, *_WINDOWS, empty(dtype, 5, 6, 8), empty(np.int32, 5, 6, 8)), {3: y, 4: places}


@case("convolution.max_pool_grad", _IMAGES)
def _(random, dtype):
    grad, places, grad_x = normal(random, dtype, 5, 6, 8), _max_pool(random, dtype)[2], np.zeros((5, 13 * 9))
    convolution.max_pool_grad(grad.reshape(5, -1).astype(float), places.reshape(5, -1), grad_x)
    return (grad, places, *_WINDOWS, empty(dtype, 5, 13, 9)), {4: grad_x.reshape(5, 13, 9)}


#: Where parts of 13 rows and 9 columns begin and end, and by what sums are divided.
_BOUNDS = np.array([[0, 3, 6, 9], [4, 7, 10, 13], [4, 4, 4, 5]]), np.array([[0, 3, 6], [3, 6, 9], [3, 3, 4]])


@case("convolution.avg_pool", _IMAGES)
def _(random, dtype):
    x, y = normal(random, dtype, 5, 13, 9), np.empty((5, 4, 3))
    convolution.avg_pool(x.astype(float), *_BOUNDS, y)
    return (x, *_BOUNDS, empty(dtype, 5, 4, 3)), {3: y}


@case("convolution.avg_pool_grad", _IMAGES)
def _(random, dtype):
    grad, grad_x = normal(random, dtype, 5, 4, 3), np.zeros((5, 13, 9))
    convolution.avg_pool_grad(grad.astype(float), *_BOUNDS, grad_x)
    return (grad, *_BOUNDS, empty(dtype, 5, 13, 9)), {3: grad_x}


# ----------------------------------------------------------------------------------------------------------------------
# Recurrent layers: 5 samples of 17 features

_CELL = 5, 17


def _gates(array):
    """(N, k H), as the GPU's kernels have it, to (k, N H), as the CPU's do."""
    return np.ascontiguousarray(array.astype(float).reshape(5, -1, 17).swapaxes(0, 1)).reshape(-1, 85)


def _by_sample(lines):
    """And back."""
    return lines.reshape(-1, 5, 17).swapaxes(0, 1).reshape(5, -1)


def _lstm(random, dtype):
    """The sums (N, 4 H), the cell before, and what the CPU keeps, (6, N H)."""
    sums, cell = normal(random, dtype, 5, 68), normal(random, dtype, *_CELL)
    row = np.concatenate([_gates(sums), np.empty((2, 85))])
    recurrent._lstm_step(row, cell.astype(float).ravel(), np.empty(85))
    return sums, cell, row


@case("recurrent.lstm_cell", _FEW)
def _(random, dtype):
    sums, cell, row = _lstm(random, dtype)
    written = empty(dtype, 5, 68), *[empty(dtype, *_CELL) for _ in range(3)]
    after, tanh_after = _by_sample(row[4]), _by_sample(row[5])
    return (sums, cell, *written), {2: _by_sample(row[:4]), 3: after, 4: tanh_after, 5: _by_sample(row[3]) * tanh_after}


@case("recurrent.lstm_cell_grad", _FEW)
def _(random, dtype):
    _, cell, row = _lstm(random, dtype)
    grad_hidden, grad_cell = normal(random, dtype, *_CELL), normal(random, dtype, *_CELL)
    before, grad_sums = grad_cell.astype(float).ravel(), np.empty((4, 85))
    recurrent._lstm_step_grad(row, cell.astype(float).ravel(), grad_hidden.astype(float).ravel(), before, grad_sums)
    kept = _by_sample(row[:4]).astype(dtype), cell, _by_sample(row[5]).astype(dtype)
    return (*kept, grad_hidden, grad_cell, empty(dtype, 5, 68)), {4: _by_sample(before), 5: _by_sample(grad_sums)}


def _gru(random, dtype):
    """The sums (N, 4 H), the state before, and what the CPU keeps, (5, N H)."""
    sums, hidden = normal(random, dtype, 5, 68), normal(random, dtype, *_CELL)
    row = np.concatenate([_gates(sums), np.empty((1, 85))])
    recurrent._gru_step(row, hidden.astype(float).ravel())
    return sums, hidden, row


@case("recurrent.gru_cell", _FEW)
def _(random, dtype):
    sums, hidden, row = _gru(random, dtype)
    return (sums, hidden, empty(dtype, 5, 68), empty(dtype, *_CELL)), {2: _by_sample(row[:4]), 3: _by_sample(row[4])}


@case("recurrent.gru_cell_grad", _FEW)
def _(random, dtype):
    _, hidden, row = _gru(random, dtype)
    grad_hidden, grad_sums = normal(random, dtype, *_CELL), np.empty((4, 85))
    before = grad_hidden.astype(float).ravel()
    recurrent._gru_step_grad(row, hidden.astype(float).ravel(), before, grad_sums)
    arguments = _by_sample(row[:4]).astype(dtype), hidden, grad_hidden, empty(dtype, 5, 68)
    return arguments, {2: _by_sample(before), 3: _by_sample(grad_sums)}


@case("recurrent.begin_step", _FEW)
def _(random, dtype):
    """Of the first two steps."""
    x, hidden, outputs = normal(random, dtype, 5, 3, 4), normal(random, dtype, 5, 1, 7), normal(random, dtype, 5, 4, 7)
    before = np.stack([hidden[:, 0], outputs[:, 0]])
    rows = np.concatenate([x[:, :2].swapaxes(0, 1), before, np.ones((2, 5, 1), dtype)], 2)
    return (x, hidden, outputs, 0, empty(dtype, 2, 5, 12)), {4: rows}


@case("recurrent.end_step", _FEW)
def _(random, dtype):
    rows, grad, grad_hidden = normal(random, dtype, 5, 12), normal(random, dtype, 5, 3, 7), normal(random, dtype, 5, 7)
    grad_x = normal(random, dtype, 5, 3, 4)
    after = grad_x.copy()
    after[:, 1] = rows[:, :4]
    hidden = rows[:, 4:11].astype(float) + grad[:, 0] + grad_hidden
    return (rows, grad, 1, 1, grad_x, grad_hidden), {4: after, 5: hidden}


@case("recurrent.get_step", _FEW)
def _(random, dtype):
    x = normal(random, dtype, 5, 3, 17)
    return (x, 2, empty(dtype, 5, 17)), {2: x[:, 2]}


@case("recurrent.put_step", _FEW)
def _(random, dtype):
    x, y = normal(random, dtype, 5, 17), normal(random, dtype, 5, 3, 17)
    after = y.copy()
    after[:, 1] = x
    return (x, 1, y), {2: after}


# ----------------------------------------------------------------------------------------------------------------------
# Embedding, attention, dropout


@case("embedding.embedding")
def _(random, dtype):
    indices, weight, y = random.integers(0, 7, LINES), normal(random, dtype, 7, 37), np.empty((LINES, 37))
    embedding.embedding(indices, weight.astype(float), y)
    indices[[0, 2]] = 7, -1
    y[[0, 2]] = np.nan
    return (indices, weight, empty(dtype, LINES, 37), np.zeros(1, np.int32)), {2: y, 3: np.array([2])}


@case("embedding.embedding_grad")
def _(random, dtype):
    grad, indices, grad_weight = normal(random, dtype, LINES, 37), random.integers(0, 4, LINES), np.empty((7, 37))
    embedding.embedding_grad(grad[1:].astype(float), indices[1:], grad_weight)
    indices[0] = 7  # which is no row
    return (grad, indices, np.zeros((7, 37), dtype)), {2: grad_weight}


@case("attention.attention_weights")
def _(random, dtype):
    """3 places of 5 lines over 41, with a mask for all of them that hides line 2, where causal goes up to the fifth."""
    scores, mask = normal(random, dtype, 3, 5, 41), normal(random, dtype, 1, 5, 41)
    mask[0, 2] = -np.inf
    weights, scale = np.empty((3, 5, 41)), dtype(0.5)
    query, key = np.ascontiguousarray(scores.astype(float)), np.broadcast_to(np.eye(41), (3, 41, 41)).copy()
    attention.attention(query, key, np.zeros((3, 41, 1)), mask.astype(float), True, 0.5, weights, np.empty((3, 5, 1)))
    return (scores, mask, 1, scale, empty(dtype, 3, 5, 41)), {4: weights}


@case("attention.attention_scores_grad")
def _(random, dtype):
    grad, weights = normal(random, dtype, 3, 5, 41), np.abs(normal(random, dtype, 3, 5, 41)) / dtype(41)
    expected = grad.astype(float)
    for b, line in np.ndindex(3, 5):
        attention._softmax_grad(expected[b, line], weights[b, line].astype(float), 0.5)
    return (grad, weights, dtype(0.5)), {0: expected}


def _drawn(name):
    @case(f"randomness.{name}", _FEW)
    def _(random, dtype):
        seed, y = np.uint64(2**63 + 5), np.empty(101)
        getattr(randomness, name)(seed, y)
        return (seed, empty(dtype, 101)), {1: y}


_drawn("uniform")
_drawn("normal")


@case("randomness.dropout", _FEW)
def _(random, dtype):
    x, y = normal(random, dtype, 101), np.empty(101)
    seed, limit = np.uint64(2**63 + 5), np.uint64(0.375 * 2**53)
    randomness.dropout(x.astype(float), seed, limit, 1.6, y)
    return (x, seed, limit, dtype(1.6), empty(dtype, 101)), {4: y}


# ----------------------------------------------------------------------------------------------------------------------
# Lines, and numbers that are moved


@case("lines.logsumexp")
def _(random, dtype):
    x = _rows(random, dtype)
    x[0] = -np.inf
    y = np.empty(LINES)
    reductions.logsumexp(x.astype(float), y)
    return (x, empty(dtype, LINES)), {1: y}


@case("lines.logsumexp_grad")
def _(random, dtype):
    grad, x, y = normal(random, dtype, LINES), normal(random, dtype, LINES, 71), normal(random, dtype, LINES)
    grad_x = np.empty(x.shape)
    reductions.logsumexp_grad(*double(grad, x, y), grad_x)
    return (grad, x, y, empty(dtype, *x.shape)), {3: grad_x}


@case("lines.prod", tolerance=4)
def _(random, dtype):
    x, y = random.uniform(0.8, 1.25, (LINES, 71)).astype(dtype), np.empty(LINES)
    reductions.prod(x.astype(float), y)
    return (x, empty(dtype, LINES)), {1: y}


@case("lines.prod_grad", _FEW, tolerance=4)
def _(random, dtype):
    """Of rows with one 0, with two, and without."""
    grad, x, grad_x = normal(random, dtype, 67), random.uniform(0.8, 1.25, (67, 9)).astype(dtype), np.empty((67, 9))
    x[1, 3] = x[2, 4] = x[2, 7] = 0
    reductions.prod_grad(*double(grad, x), grad_x)
    return (grad, x, empty(dtype, 67, 9)), {2: grad_x}


@case("lines.cumsum", _FEW)
def _(random, dtype):
    """Backwards; from an infinite number on all sums are infinite."""
    x, y = normal(random, dtype, 2, 9, 41), np.empty((2, 9, 41))
    x[1, 5, 3] = np.inf
    reductions.cumsum_grad(x.astype(float), y)
    return (x, 1, empty(dtype, 2, 9, 41)), {2: y}


@case("lines.pick_places", _FEW)
def _(random, dtype):
    some, chosen = random.integers(0, 999, (101, 5)).astype(np.int32), random.integers(0, 5, (101, 1)).astype(np.int32)
    return (some, chosen, empty(np.int32, 101, 1)), {2: np.take_along_axis(some, chosen, 1)}


@case("lines.extreme_grad", _FEW)
def _(random, dtype):
    grad, places = normal(random, dtype, 2, 9), random.integers(0, 5, (2, 9)).astype(np.int32)
    grad_x = np.where(places[:, None] == np.arange(5)[:, None], grad[:, None], 0)
    return (grad, places, empty(dtype, 2, 5, 9)), {2: grad_x}


@case("lines.ties", _PARTS)
def _(random, dtype):
    x = normal(random, dtype, 151).round()
    return (x, np.ones(1, dtype), empty(dtype, 2)), {2: _of_blocks(lambda x: (x == 1).sum(), x)}


@case("lines.share_ties", _FEW)
def _(random, dtype):
    x = normal(random, dtype, 101).round(1)
    x[[3, 70]] = np.nan
    arrays = normal(random, dtype, 1), x, np.full(1, np.nan, dtype), np.full(1, 2, dtype)
    return (*arrays, empty(dtype, 101)), {4: np.where(np.isnan(x), arrays[0].astype(float) / 2, 0)}


@case("losses.sizes", _PARTS, tolerance=4)
def _(random, dtype):
    p = normal(random, dtype, 151)
    return (p, empty(dtype, 2)), {1: _of_blocks(losses.sizes, *double(p))}


@case("losses.sizes_grad", _FEW)
def _(random, dtype):
    p, grad = normal(random, dtype, 101), normal(random, dtype, 1)
    p[7] = 0
    return (p, grad, empty(dtype, 101)), {2: np.sign(p) * grad.astype(float)}


@case("moving.copy", _FEW)
def _(random, dtype):
    x = normal(random, dtype, 101)
    return (x, empty(dtype, 101)), {1: x}


@case("moving.fill", _FEW)
def _(random, dtype):
    return (dtype(0.1), empty(dtype, 101)), {1: np.full(101, dtype(0.1))}


@case("moving.scale", _FEW)
def _(random, dtype):
    x, factor = normal(random, dtype, 101), normal(random, dtype, 1)
    return (x, factor, dtype(2), empty(dtype, 101)), {3: 2 * x.astype(float) * factor.astype(float)}


@case("moving.floats", _FEW)
def _(random, dtype):
    x = random.integers(-(2**20), 2**20, 101)
    return (x, empty(dtype, 101)), {1: x}


@case("moving.spread", _FEW)
def _(random, dtype):
    x = normal(random, dtype, 3, 7)
    return (x, dtype(3), empty(dtype, 3, 5, 7)), {2: np.repeat(x[:, None].astype(float) / 3, 5, axis=1)}


@case("moving.compare", _FEW)
def _(random, dtype):
    """The other relations are tried with instructions."""
    a, b = normal(random, dtype, 2, 101).round()
    a[[3, 70]] = np.nan
    return (a, b, 5, empty(dtype, 101)), {3: a >= b}


def _table(random):
    """101 different places below 150, of which two are -1."""
    places = random.permutation(150)[:101]
    places[[3, 70]] = -1
    return places


@case("moving.select", _FEW)
def _(random, dtype):
    places, x = _table(random), normal(random, dtype, 150)
    return (places, x, dtype(0.5), empty(dtype, 101)), {3: np.where(places < 0, 0.5, x[places])}


def _put(random, dtype, more):
    places, x, y = random.permutation(150)[:101], normal(random, dtype, 101), normal(random, dtype, 150)
    after = y.astype(float)
    after[places] = x + (after[places] if more else 0)
    return (places, x, y), {2: after}


@case("moving.put", _FEW)
def _(random, dtype):
    return _put(random, dtype, more=False)


@case("moving.put_more", _FEW)
def _(random, dtype):
    return _put(random, dtype, more=True)


@case("moving.put_sums", _FEW)
def _(random, dtype):
    places, x, sums = _table(random) % 20, normal(random, dtype, 101), np.zeros(20)
    places[[3, 70]] = -1
    np.add.at(sums, places[places >= 0], x[places >= 0].astype(float))
    return (places, x, np.zeros(20, dtype)), {2: sums}


def _batch(random, numbers):
    """Columns 2 to 6 of 4 rows, for the second of three batches, and the batches."""
    order = random.integers(0, len(numbers), (3, 6))
    return order, np.ascontiguousarray(numbers[order[1, :4], 2:7])


@case("moving.take_rows", _FEW)
def _(random, dtype):
    table = normal(random, dtype, 20, 9)
    order, rows = _batch(random, table)
    return (order, 1, table, 2, empty(dtype, 4, 5)), {4: rows}


@case("moving.take_whole", _FEW)
def _(random, dtype):
    table = random.integers(0, 2**40, (20, 9))
    order, rows = _batch(random, table)
    return (order, 1, table, 2, empty(np.int64, 4, 5)), {4: rows}


@case("updates.clip_value", _FEW)
def _(random, dtype):
    g = normal(random, dtype, 101)
    g[3] = np.nan
    return (g, dtype(0.5)), {0: np.clip(g, -0.5, 0.5)}


@case("updates.note", _FEW)
def _(random, dtype):
    loss, goal, losses = normal(random, dtype, 1), normal(random, dtype, 1), normal(random, dtype, 3)
    after = losses.astype(float)
    after[2] += 0.25 * loss[0]
    arguments = loss, goal, np.zeros(1, np.int32), dtype(0.25), 2, 1, losses, np.zeros(4, dtype)
    return arguments, {6: after, 7: np.array([0, goal[0], 0, 0])}


# ----------------------------------------------------------------------------------------------------------------------
# Tapes, and training in lanes

#: More than a warp.
_LANES = 41


def _program():
    """A program with every operation of the table, of three inputs, of which the second is above 0.

    Each operation has a parameter that it is multiplied by.
    """
    inputs = [micro.Value(number) for number in (0.25, 1.5, -0.75)]
    parameters = [micro.Value(1.0) for _ in OPS]
    total = micro.Value(0.5)
    for weight, op in zip(parameters, OPS.values(), strict=True):
        arguments = [inputs[1] if domain[0] > 0 else inputs[2 * place] for place, domain in enumerate(op.domain[:2])]
        total = total + weight * micro.Value._apply(op, *arguments, *[inputs[0]] * (len(op.domain) - len(arguments)))
    graph = fast.compile(total, inputs, parameters).graph
    table = programs.constants([graph])
    return programs.whole(graph, table), table


def _tape(random, dtype):
    """A program, values before and after it, and gradients after it; all rows with a number for each lane."""
    program, table = _program()
    before = np.full((program.rows, _LANES), np.nan)
    before[: program.leaves] = random.uniform(-2, 2, (program.leaves, _LANES)).astype(dtype)
    before[program.leaves - 2] = random.uniform(0.5, 2, _LANES).astype(dtype)
    before[program.leaves : program.leaves + len(table)] = table[:, None]
    after, gradients = before.copy(), np.full((program.grad_rows, _LANES), np.nan)
    gradients[: program.leaves] = 0
    gradients[program.grad_root] = 1
    begun = gradients.astype(dtype)
    for lane in range(_LANES):
        v, d = after[:, lane].copy(), gradients[:, lane].copy()
        tape_one.forward(program.code, program.pairs, v)
        tape_one.backward(program.code, program.pairs, program.fresh, program.leaves, v, d)
        after[:, lane], gradients[:, lane] = v, d
    return program, before.astype(dtype), after, begun, gradients


@case("tape.forward")
def _(random, dtype):
    program, before, after, _, _ = _tape(random, dtype)
    return (program.code, program.pairs, before), {2: after}


@case("tape.backward")
def _(random, dtype):
    program, _, after, begun, gradients = _tape(random, dtype)
    return (program.code, program.pairs, program.fresh, program.leaves, after.astype(dtype), begun), {5: gradients}


@case("lanes.train", room=(9, 10))
def _(random, dtype):
    """35 runs, or 3 in the simulator, of which the last diverges, on 17 samples, one more than a chunk.

    Gradients are those of 3 samples.
    """
    runs, steps, samples = 3 if SIMULATED else 35, 2, 17 if dtype is np.float32 else 5
    x, y = normal(random, dtype, samples, 16), normal(random, dtype, samples)
    weight0, weight1 = normal(random, dtype, 16, 16) / dtype(4), normal(random, dtype, 16)
    rates = random.uniform(0.1, 2, (runs, 2)).astype(dtype)
    rates[-1] = 1e30
    activation = trainability.TANH if dtype is np.float32 else trainability.RELU
    batches, sums = random.integers(0, samples, (steps, 3)), np.empty((runs, 3))  # the mean of the last is their sum
    arrays = x, np.ascontiguousarray(x.T), y, weight0, weight1, rates
    trainability.train(*double(*arrays), np.zeros(runs), batches, steps, activation, 1e6, 1, sums)
    weights = np.repeat(np.concatenate([weight0.ravel(), weight1])[:, None], runs, axis=1)
    hidden = double(x)[0] @ double(weight0)[0].T
    hidden = np.tanh(hidden) if activation == trainability.TANH else np.maximum(hidden, 0)
    first = np.mean((hidden @ weight1 / 16 - y) ** 2)
    settings = batches, 0, steps, steps - 1, activation, dtype(1e6)
    written = weights, empty(dtype, samples, runs), empty(dtype, 4, runs)
    expected = np.concatenate([sums.T, np.full((1, runs), first)])
    if dtype is np.float32:
        expected[3, -1] = np.inf  # where it is lost; float64 has room for two steps
    return (x, y, np.ascontiguousarray(rates.T), *settings, *written), {11: expected}


@case("perceptrons.train", tolerance=10)
def _(random, dtype):
    """9 runs, one more than a block has, or 3 in the simulator, on 7 samples, or on 3 of them in each step."""
    runs, steps = 3 if SIMULATED else 9, 2
    activation, name = (lanes.TANH, "tanh") if dtype is np.float32 else (lanes.RELU, "relu")
    x, y = normal(random, dtype, 7, 2), np.sign(normal(random, dtype, 7))
    rates = random.uniform(0.1, 1, runs).astype(dtype)
    weights = normal(random, dtype, runs, perceptrons.WEIGHTS) / dtype(2)
    batches = random.integers(0, 7, (steps, 3)) if dtype is np.float32 else np.empty((steps, 0), np.int64)
    chosen = batches if batches.size else np.tile(np.arange(7), (steps, 1))
    trained = [_perceptron(name, *double(x, y, row), rate, chosen) for row, rate in zip(weights, rates, strict=True)]
    after, losses = (np.stack(found) for found in zip(*trained, strict=True))
    return (x, y, rates, batches, steps, activation, weights, empty(dtype, steps, runs)), {6: after, 7: losses.T}


def _perceptron(activation, x, y, weights, rate, batches):
    """The weights of one run behind its steps, one array behind the other, and its losses."""
    model, first, state = nn.MLP([2, 16, 16, 1], activation, engine=fast, dtype="float64"), 0, {}
    for name, parameter in model.named_parameters():
        state[name] = weights[first : first + parameter.data.size].reshape(parameter.shape)
        first += parameter.data.size
    model.load_state_dict(state)
    optimizer, losses = nn.SGD(model.parameters(), lr=float(rate)), []
    for samples in batches:
        loss = nn.hinge_loss(model(fast.tensor(x[samples])), fast.tensor(y[samples, None]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.concatenate([parameter.data.ravel() for parameter in model.parameters()]), losses


# ----------------------------------------------------------------------------------------------------------------------
# The ladder


#: Of the tile that `blocked` writes by columns.
_CONFLICTS = {"blocked": 4000}


def _rung(name, rows, columns, length):
    @case(f"ladder.{name}", tolerance=4, conflicts={"float32": _CONFLICTS.get(name, 0), "float64": 20000})
    def _(random, dtype):
        a, b, c = normal(random, dtype, rows, length), normal(random, dtype, length, columns), np.empty((rows, columns))
        products.stacked(a[None].astype(float), b[None].astype(float), c[None])
        return (a, b, empty(dtype, rows, columns)), {2: c}


_rung("naive", 19, 37, 11)
_rung("tiled", 19, 37, 21)
_rung("blocked", 67, 70, 21)
_rung("vectorised", 67, 72, 20)
