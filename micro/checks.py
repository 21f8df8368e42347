"""What both engines check before they compute, and the words in which they refuse.

Each function names the operation and the argument at fault, shows the shapes or values, and says what to try.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any

Shape = tuple[int, ...]


def _is_number(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool)


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def broadcast_shape(name: str, *shapes: Shape) -> Shape:
    """The shape to which `shapes` stretch: aligned at the right, lengths of 1 grow to the other length."""
    ndim = max(map(len, shapes))
    aligned = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for lengths in zip(*aligned, strict=True):
        grown = {length for length in lengths if length != 1}
        if len(grown) > 1:
            raise ValueError(
                f"{name}: shapes {' and '.join(map(str, shapes))} do not fit together; seen from the right, "
                "each pair of lengths must be equal, or one of them 1"
            )
        result.append(grown.pop() if grown else 1)
    return tuple(result)


def same_shape(name: str, prediction: Any, target: Any) -> None:
    """A loss compares number with number. (Stretching (n,) against (n, 1) to (n, n) is a classic silent error.)"""
    one_engine(name, prediction, target)
    quantities(name, prediction)
    if prediction.shape != target.shape:
        hint = ""
        if prediction.shape == (*target.shape, 1):
            hint = "; give the target a second dimension: target.reshape(-1, 1)"
        raise ValueError(
            f"{name}: the prediction has shape {prediction.shape}, the target {target.shape}; they must be equal{hint}"
        )
    not_empty(name, prediction.shape)


def not_empty(name: str, shape: Shape) -> None:
    """A mean over nothing is not a number."""
    if 0 in shape:
        raise ValueError(f"{name}: shape {shape} holds no elements, so it has no mean; give at least one sample")


def linear_shapes(x: Any, weight: Any, bias: Any | None) -> None:
    """x (..., in), weight (out, in), bias (out,)."""
    one_engine("linear", weight, x, *([] if bias is None else [bias]))
    quantities("linear", weight)
    inputs, matrix = x.shape, weight.shape
    if len(matrix) != 2 or not inputs or inputs[-1] != matrix[1]:
        raise ValueError(
            f"linear: x has shape {inputs}, weight {matrix}; x must be (..., in) and weight (out, in) with the same in"
        )
    if 0 in matrix:
        raise ValueError(f"linear: weight has shape {matrix}; a layer needs at least one input and one output")
    if bias is not None and bias.shape != matrix[:1]:
        raise ValueError(f"linear: bias has shape {bias.shape}, weight {matrix}; the bias must be ({matrix[0]},)")


def matmul_shapes(a: Any, b: Any) -> Shape:
    """(..., n, k) and (..., k, m), of which a vector is (k,); the shape of their product."""
    one_engine("matmul", a, b)
    quantities("matmul", a, b)
    left, right = a.shape, b.shape
    if not left or not right or left[-1] != right[max(0, len(right) - 2)]:
        raise ValueError(
            f"matmul: shapes {left} and {right}; give (..., n, k) and (..., k, m) with the same k, or vectors (k,)"
        )
    stacks = broadcast_shape("matmul", left[:-2], right[:-2])
    return (*stacks, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))


def class_labels(name: str, scores: Any, labels: Any, numbers: Iterable[Any]) -> None:
    """Scores (N, C), labels (N,), each an integer from 0 to C-1; `numbers` are the labels to look at."""
    one_engine(name, scores, labels)
    quantities(name, scores)
    kind = "log_probabilities" if name == "nll_loss" else "logits"
    if len(scores.shape) != 2 or labels.shape != scores.shape[:1]:
        cure = ""
        if labels.shape == (*scores.shape[:1], 1):
            cure = "; take the column away: labels.reshape(-1)"
        elif labels.shape == scores.shape:
            cure = "; for rows with a 1 at the class give labels.argmax(1)"
        raise ValueError(
            f"{name}: {kind} have shape {scores.shape}, labels {labels.shape}; {kind} must be (N, C), labels (N,){cure}"
        )
    if labels.dtype != "int64":
        raise TypeError(
            f"{name}: labels have dtype {labels.dtype}; give integers, the number of each row's class, "
            "as from labels.to('int64')"
        )
    not_empty(name, scores.shape)
    classes = scores.shape[1]
    for row, label in enumerate(numbers):
        if not 0 <= label < classes:
            raise ValueError(
                f"{name}: label {label} in row {row} is not one of the {classes} classes "
                f"0 to {classes - 1}; give class numbers, and a column of {kind} for each class"
            )


def loss_weights(name: str, scores: Any, weight: Any | None, sample_weight: Any | None) -> None:
    """A weight for each class, a column of the scores, and one for each sample, a row; None where there are none."""
    if weight is None and sample_weight is None:
        return
    for argument, weights, needed in (
        ("weight", weight, scores.shape[1:2]),
        ("sample_weight", sample_weight, scores.shape[:1]),
    ):
        if weights is None:
            continue
        one_engine(name, scores, weights)
        if weights.shape != needed:
            each = "class" if argument == "weight" else "sample"
            raise ValueError(f"{name}: {argument} has shape {weights.shape}; give {needed}, one number for each {each}")


def positive_weights(name: str, prediction: Any, pos_weight: Any) -> None:
    """The weights of positive targets, which stretch to the prediction."""
    one_engine(name, prediction, pos_weight)
    try:
        stretched(pos_weight.shape, prediction.shape)
    except ValueError:
        raise ValueError(
            f"{name}: pos_weight has shape {pos_weight.shape}, the prediction {prediction.shape}; "
            "give one number, or one for each column"
        ) from None


def loss_arguments(name: str, predictions: Sequence[float], targets: Sequence[float]) -> None:
    """What the hinge loss and the binary cross-entropies take; nan passes, for divergence is reported elsewhere."""
    if name == "hinge_loss":
        _each(
            name, "target", targets, "is neither -1 nor +1; for labels of 0 and 1 use 2 * y - 1", lambda t: abs(t) == 1
        )
        return
    if name == "binary_cross_entropy":
        advice = "is not between 0 and 1; for raw scores use binary_cross_entropy_with_logits"
        _each(name, "prediction", predictions, advice, lambda p: not (p < 0 or p > 1))
    _each(name, "target", targets, "is not between 0 and 1", lambda t: not (t < 0 or t > 1))


def _each(name: str, argument: str, numbers: Sequence[float], problem: str, good: Callable[[float], bool]) -> None:
    for place, number in enumerate(numbers):
        if not good(number):
            raise ValueError(f"{name}: {argument} {number} at place {place} {problem}")


def dimension(name: str, dim: Any, shape: Shape) -> int:
    """`dim`, counted from the left; a negative one counts from the right."""
    if not _is_whole(dim):
        raise TypeError(f"{name}: dim={dim!r}; give one dimension, a whole number")
    dim = int(dim)
    if not -len(shape) <= dim < len(shape):
        raise IndexError(f"{name}: dim={dim}, but shape {shape} has {len(shape)} dimensions")
    return dim % len(shape)


def new_dimension(name: str, dim: Any, shape: Shape) -> int:
    """The place of a dimension that is to come into `shape`."""
    count = len(shape)
    if isinstance(dim, Integral) and not -count - 1 <= int(dim) <= count:
        raise IndexError(f"{name}: dim={dim} for shape {shape}; the new dimension can stand at {-count - 1} to {count}")
    return dimension(name, dim, (*shape, 1))


def dimensions(name: str, dim: Any, shape: Shape) -> tuple[int, ...]:
    """The dimensions that `dim` stands for, in order: one, several, or all where it is None."""
    if dim is None:
        return tuple(range(len(shape)))
    dims = tuple(dimension(name, d, shape) for d in (dim if isinstance(dim, tuple | list) else (dim,)))
    if len(set(dims)) < len(dims):
        raise ValueError(f"{name}: dim={dim!r} names a dimension of shape {shape} twice")
    return tuple(sorted(dims))


def kept(shape: Shape, dims: Sequence[int]) -> Shape:
    """`shape` after a reduction that keeps the dimensions `dims` with length 1."""
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def reduced(shape: Shape, dims: Sequence[int], keepdim: bool) -> Shape:
    """`shape` after a reduction over `dims`."""
    return kept(shape, dims) if keepdim else tuple(n for i, n in enumerate(shape) if i not in dims)


def permutation(shape: Shape, dims: Sequence[Any]) -> tuple[int, ...]:
    """All dimensions, each once, in any order."""
    dims = lengths("permute", dims)
    found = tuple(dimension("permute", dim, shape) for dim in dims)
    if sorted(found) != list(range(len(shape))):
        raise ValueError(f"permute: {dims} must name each of the {len(shape)} dimensions of shape {shape} once")
    return found


def lengths(name: str, numbers: Sequence[Any]) -> tuple[int, ...]:
    """Whole numbers, given one by one or as one tuple."""
    numbers = tuple(numbers[0] if len(numbers) == 1 and isinstance(numbers[0], tuple | list) else numbers)
    if not all(_is_whole(number) for number in numbers):
        raise TypeError(f"{name}: {numbers} must be made of whole numbers")
    return tuple(map(int, numbers))


def positive(name: str, argument: str, number: Any) -> int:
    """A whole number of at least 1."""
    if not _is_whole(number) or number < 1:
        raise ValueError(f"{name}: {argument}={number!r}; give a whole number of at least 1")
    return int(number)


def stretched(shape: Shape, new: Any, name: str = "broadcast_to") -> Shape:
    """`new`, a shape to which `shape` can be broadcast."""
    new = lengths(name, (tuple(new),))
    aligned = (1,) * (len(new) - len(shape)) + shape
    if len(shape) > len(new) or any(n < 0 or o not in (1, n) for o, n in zip(aligned, new, strict=True)):
        raise ValueError(
            f"{name}: shape {shape} does not stretch to {new}; seen from the right, each length must be the same, or 1"
        )
    return new


def repetitions(shape: Shape, sizes: Sequence[Any]) -> tuple[int, ...]:
    """How often to repeat each dimension."""
    sizes = lengths("repeat", sizes)
    if len(sizes) < len(shape) or any(size < 0 for size in sizes):
        raise ValueError(f"repeat: {sizes} for shape {shape}; give a number of 0 or more for each dimension")
    return sizes


def parts(size: Any, shape: Shape, dim: int) -> list[int]:
    """The lengths of the parts into which `split` cuts dimension `dim`."""
    length = shape[dim]
    if isinstance(size, Integral):
        size = positive("split", "split_size", size)
        return [size] * (length // size) + ([length % size] if length % size or not length else [])
    sizes = lengths("split", size)
    if sum(sizes) != length or any(size < 0 for size in sizes):
        raise ValueError(f"split: lengths {sizes} do not add up to {length}, the length of dimension {dim} of {shape}")
    return list(sizes)


def padding(shape: Shape, pad: Any) -> list[tuple[int, int]]:
    """For each dimension, how many elements to put before and behind."""
    pad = lengths("pad", tuple(pad))
    if len(pad) % 2 or len(pad) > 2 * len(shape) or any(number < 0 for number in pad):
        raise ValueError(
            f"pad: {pad} for shape {shape}; give pairs (before, after) of 0 or more, for the last dimension first"
        )
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return [(0, 0)] * (len(shape) - len(pairs)) + pairs


def gather_index(x: Any, dim: Any, index: Any) -> int:
    """An index of whole numbers with the dimensions of x, nowhere longer than x but along `dim`."""
    one_engine("gather", x, index)
    dim = dimension("gather", dim, x.shape)
    if index.dtype != "int64":
        raise TypeError(f"gather: the index has dtype {index.dtype}; give int64 numbers")
    others = [(a, b) for i, (a, b) in enumerate(zip(x.shape, index.shape, strict=False)) if i != dim]
    if len(x.shape) != len(index.shape) or any(b > a for a, b in others):
        raise ValueError(
            f"gather: x has shape {x.shape}, the index {index.shape}; they must have equally many dimensions, and the "
            f"index may be longer only along dim={dim}"
        )
    return dim


def inside(name: str, numbers: Iterable[int], length: int) -> None:
    """Places within a dimension of this length, negative ones counted from its end."""
    for number in numbers:
        if not -length <= number < length:
            raise IndexError(f"{name}: index {number} is outside a dimension of length {length}")


def index_part(part: Any) -> None:
    """What may stand between the brackets of x[...]."""
    integer = _is_whole(part)
    if not (integer or part is None or part is Ellipsis or isinstance(part, slice)):
        raise TypeError(
            f"index {part!r:.80} of type {type(part).__name__}; use integers, slices, None, ..., and lists or tensors "
            "of integers or of truth values"
        )


def mask_fits(mask: Shape, lengths: Shape) -> None:
    """A mask between the brackets says yes or no to every place of the dimensions that it stands for."""
    if mask != lengths:
        raise IndexError(f"x[...]: a mask of shape {mask} for dimensions of shape {lengths}; the two must be equal")


def vectors(name: str, *tensors: Any) -> None:
    """Each with one dimension."""
    one_engine(name, *tensors)
    if any(len(tensor.shape) != 1 for tensor in tensors):
        raise ValueError(f"{name}: shapes {' and '.join(str(t.shape) for t in tensors)}; vectors are needed")


def limits(low: Any, high: Any) -> None:
    """`clip` needs one of them."""
    if low is None and high is None:
        raise ValueError("clip: min and max are both None; give at least one")


def tensor_list(name: str, tensors: Any) -> list[Any]:
    """Some tensors of one engine."""
    found = list(tensors) if isinstance(tensors, tuple | list) else []
    if not found or not hasattr(found[0], "engine"):
        raise TypeError(f"{name}: {tensors!r:.80}; give a list of tensors")
    one_engine(name, *found)
    return found


def equal_shapes(name: str, tensors: Sequence[Any]) -> Shape:
    """The shape that all of them have."""
    shapes = [tensor.shape for tensor in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(f"{name}: shapes {', '.join(map(str, shapes))}; they must be equal (cat joins unequal ones)")
    return shapes[0]


def no_gradient_lost(target: bool, numbers: bool) -> None:
    """Numbers are written into a tensor: neither of the two may belong to a graph, which would not know of it."""
    if target or numbers:
        which = "the tensor requires" if target else "the assigned numbers require"
        raise ValueError(
            f"x[...] = numbers: {which} a gradient, which would be lost without a word; make a new tensor instead, "
            "with engine.where(mask, 0., x) or engine.stack([...]), or write within engine.no_grad() "
            "if no gradient is meant to pass"
        )


def cat_shapes(tensors: Sequence[Any], dim: Any) -> int:
    """Equal shapes, but for the length along `dim`."""
    shapes = [tensor.shape for tensor in tensors]
    dim = dimension("cat", dim, shapes[0])
    rests = {(*shape[:dim], -1, *shape[dim + 1 :]) for shape in shapes}
    if len(rests) > 1:
        raise ValueError(f"cat: shapes {', '.join(map(str, shapes))}; they may differ only along dim={dim}")
    return dim


def classes(labels: Any, count: Any) -> int:
    """How many classes there are, where labels are whole numbers from 0 to count - 1."""
    engine_of("one_hot", labels)
    if labels.dtype != "int64":
        raise TypeError(f"one_hot: the labels have dtype {labels.dtype}; give an int64 tensor: labels.to('int64')")
    numbers = labels.reshape(-1).tolist()
    if count == -1 and numbers:
        count = max(numbers) + 1
    count = positive("one_hot", "num_classes", count)
    for number in numbers:
        if not 0 <= number < count:
            raise ValueError(f"one_hot: label {number} is not one of the {count} classes 0 to {count - 1}")
    return count


def exponents(numbers: Iterable[int]) -> None:
    """A whole number to a negative power is a fraction."""
    for number in numbers:
        if number < 0:
            raise ValueError(f"pow: whole numbers to the power {number} are fractions; convert with .to('float32')")


def new_shape(old: Shape, new: Sequence[Any], name: str = "reshape") -> Shape:
    """`new`, lengths or a tuple of them, with a length of -1 filled in."""
    new = lengths(name, new)
    count, known = math.prod(old), math.prod(length for length in new if length != -1)
    if new.count(-1) == 1 and known and count % known == 0:
        new = tuple(count // known if length == -1 else length for length in new)
    if any(length < 0 for length in new) or math.prod(new) != count:
        raise ValueError(f"{name}: {count} elements of shape {old} do not fill the shape {new}")
    return new


def copy_shape(mine: Shape, other: Shape) -> None:
    """`copy_` neither stretches nor reshapes."""
    if mine != other:
        raise ValueError(f"copy_: the numbers have shape {other}, the tensor {mine}; they must be equal")


def scalar(name: str, shape: Shape) -> None:
    """What `item()` and `backward()` without a gradient need."""
    if math.prod(shape) != 1:
        advice = {
            "backward": "give it a gradient of that shape, or call it on a mean or a sum",
            "item": "use tolist() for all of them",
            "bool": "combine truth values with & | ~ instead of and, or, not, and ask for .any() or .all() of them",
        }[name]
        raise ValueError(f"{name}: the tensor has shape {shape}, not a single element; {advice}")


def gradient_shape(gradient: Shape, mine: Shape) -> None:
    """A gradient has a weight for each element."""
    if gradient != mine:
        raise ValueError(f"backward: the gradient has shape {gradient}, the tensor {mine}")


def matrix(name: str, shape: Shape) -> None:
    """Two dimensions."""
    if len(shape) != 2:
        raise ValueError(f"{name}: shape {shape}; a matrix, with two dimensions, is needed")


def element_type(dtype: Any) -> None:
    """One of the four types that elements can have."""
    if dtype not in ("float32", "float64", "int64", "bool"):
        raise ValueError(f"dtype={dtype!r} is unknown; use 'float32', 'float64', 'int64' or 'bool'")


def known_device(device: Any) -> str:
    """One of the devices."""
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device={device!r:.80} is unknown; use 'cpu', or 'cuda' for the first GPU")
    return device


def only_cpu(device: str) -> None:
    """Numbers of `micro` stay where Python is."""
    if device != "cpu":
        raise ValueError(f"micro computes in Python, on the CPU, and not on {device!r}; use the engine fast for that")


def no_operand(name: str, operand: Any, engine: str) -> TypeError:
    """The error for an expression with something that is no number."""
    return TypeError(
        f"{name}: an operand is a {type(operand).__name__}, {operand!r:.80}; "
        f"use a number, or {engine}.tensor(...) for a list or an array of numbers"
    )


def quantities(name: str, *tensors: Any) -> None:
    """All of them hold floating-point numbers."""
    for tensor in tensors:
        if tensor.dtype in ("int64", "bool"):
            raise TypeError(f"{name}: a tensor of {tensor.dtype} holds no quantities; convert it with .to('float32')")


def may_require_grad(dtype: str) -> None:
    """Only floating-point numbers can be moved a little."""
    if dtype in ("int64", "bool"):
        raise TypeError(f"tensor: {dtype} numbers cannot have a gradient; give dtype='float32'")


def no_integer(number: Any) -> ValueError:
    """The error for a number that int64 cannot hold."""
    return ValueError(f"tensor: {number} is not an integer; give dtype='float32'")


def engine_of(name: str, x: Any) -> Any:
    """The engine to which the tensor x belongs."""
    engine = getattr(x, "engine", None)
    if engine is None:
        kind = type(x).__name__
        raise TypeError(f"{name}: {x!r:.80} of type {kind} is no tensor; make it one with engine.tensor(...)")
    return engine


def one_engine(name: str, tensor: Any, *others: Any) -> None:
    """All arguments are tensors of the engine to which `tensor` belongs."""
    for other in others:
        engine = getattr(other, "engine", None)
        if isinstance(other, tuple):
            raise TypeError(
                f"{name}: an argument is a tuple; a recurrent layer gives the pair (outputs, state): put nn.LastStep() "
                "behind it, or take the outputs"
            )
        if engine is None:
            raise TypeError(
                f"{name}: an argument is a {type(other).__name__}, {other!r:.80}; "
                f"make it a tensor first, with {tensor.engine.__name__}.tensor(...)"
            )
        if engine is not tensor.engine:
            raise mixed_engines(name, (tensor, other))


def mixed_engines(name: str, arguments: Iterable[Any]) -> TypeError:
    """The error for an expression with operands of both engines."""
    kinds = " and ".join(f"{type(a).__module__.partition('.')[0]}.{type(a).__name__}" for a in arguments)
    return TypeError(
        f"{name}: {kinds} belong to different engines and cannot meet in one expression; "
        "carry the numbers over with tolist(), as in fast.tensor(array.tolist())"
    )


def truth_values(name: str, dtypes: Iterable[str]) -> None:
    """`& | ^` are for truth values and whole numbers."""
    for dtype in dtypes:
        if dtype not in ("bool", "int64"):
            power = "; for a power write x ** 2" if name == "^" else ""
            raise TypeError(f"{name}: a tensor of {dtype}; use truth values, as in (x > 0) {name} (x < 1){power}")


def some_elements(name: str, shape: Shape, dim: int | None) -> None:
    """Nothing has no largest element."""
    if 0 in (shape if dim is None else shape[dim : dim + 1 or None]):
        raise ValueError(f"{name}: shape {shape} holds no elements{'' if dim is None else f' along dim={dim}'}")


def assigned(name: str, new: Shape, shape: Shape) -> None:
    """Numbers that stretch to the shape in which they shall be written."""
    try:
        stretched(new, shape)
    except ValueError:
        raise ValueError(f"{name}: the numbers have shape {new}, the places {shape}; they do not fit") from None


def new_lengths(name: str, numbers: Sequence[Any]) -> Shape:
    """The shape of a new tensor."""
    shape = lengths(name, numbers)
    if any(length < 0 for length in shape):
        raise ValueError(f"{name}: shape {shape}; lengths must be 0 or more")
    return shape


def arange(start: Any, end: Any, step: Any) -> tuple[Any, Any, int, bool]:
    """The first number of a range, the step, how many there are, and whether they are whole."""
    start, end = (0, start) if end is None else (start, end)
    if not all(isinstance(number, Real) for number in (start, end, step)):
        raise TypeError(f"arange: start={start!r}, end={end!r}, step={step!r} must be numbers")
    if not (step and math.isfinite(start) and math.isfinite(end) and math.isfinite(step)):
        raise ValueError(f"arange: start={start}, end={end}, step={step}; give finite numbers and a step that is not 0")
    whole = all(isinstance(number, Integral) for number in (start, end, step))
    if whole:
        return int(start), int(step), len(range(int(start), int(end), int(step))), whole
    return start, step, max(0, math.ceil((end - start) / step)), whole


def interval(low: Any, high: Any, shape: Any) -> tuple[int, int, Shape]:
    """Whole numbers low < high, and a shape; without low, which is 0 then, the other two come one place earlier."""
    name = "randint"
    if shape is None:
        low, high, shape = 0, low, high
    if not isinstance(low, Integral) or not isinstance(high, Integral) or low >= high:
        raise ValueError(f"{name}: low={low!r}, high={high!r}; give whole numbers, high above low")
    return int(low), int(high), new_lengths(name, (shape,))


def seed(name: str, number: Any) -> int:
    """The seed of random numbers."""
    if not _is_whole(number) or number < 0:
        raise ValueError(f"{name}: seed={number!r}; give a whole number of 0 or more")
    return int(number) % 2**64


# ----------------------------------------------------------------------------------------------------------------------
# Settings that are numbers.


def probability(name: str, setting: str, number: Any) -> None:
    """A number from 0 to 1."""
    if not _is_number(number) or not 0 <= number <= 1:
        raise ValueError(f"{name}: {setting}={number!r}; give a number from 0 to 1")


def positive_number(name: str, setting: str, number: Any) -> None:
    """A number above 0."""
    if not _is_number(number) or not number > 0:
        raise ValueError(f"{name}: {setting}={number!r}; give a number above 0")


# ----------------------------------------------------------------------------------------------------------------------
# Normalisation.


def batch_norm_arguments(
    x: Any, running_mean: Any | None, running_var: Any | None, weight: Any | None, bias: Any | None, training: bool
) -> int:
    """x (N, C, ...), all else (C,) or None; returns how many numbers a channel has."""
    tensors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    one_engine("batch_norm", x, *given.values())
    quantities("batch_norm", x, *given.values())
    if len(x.shape) < 2:
        raise ValueError(f"batch_norm: x has shape {x.shape}; give (N, C), (N, C, L) or (N, C, H, W)")
    for name, tensor in given.items():
        if tensor.shape != x.shape[1:2]:
            raise ValueError(
                f"batch_norm: {name} has shape {tensor.shape}, x {x.shape}; it must be ({x.shape[1]},), "
                "a number for each channel"
            )
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: give running_mean and running_var, or neither")
    if running_mean is None and not training:
        raise ValueError("batch_norm: outside training, running_mean and running_var are needed")
    not_empty("batch_norm", x.shape)
    count = math.prod(x.shape) // x.shape[1]
    if training and count == 1:
        raise ValueError(
            f"batch_norm: x has shape {x.shape}, one value for each channel, which has no variance to learn from; "
            "choose a batch_size that leaves no batch of one sample, or call eval() first"
        )
    return count


def counted(momentum: float | None, num_batches_tracked: Any | None) -> None:
    """Who weighs all batches alike has to count them."""
    if momentum is None and num_batches_tracked is None:
        raise ValueError("batch_norm: momentum=None needs num_batches_tracked, such as tensor(0), to count batches in")


def normalized_shape(name: str, x: Any, wanted: Any, weight: Any | None, bias: Any | None) -> Shape:
    """The last dimensions of x, as a tuple; weight and bias, where there are any, have the same shape."""
    given = {key: tensor for key, tensor in {"weight": weight, "bias": bias}.items() if tensor is not None}
    one_engine(name, x, *given.values())
    quantities(name, x, *given.values())
    shape = normalized_lengths(name, wanted)
    if x.shape[max(0, len(x.shape) - len(shape)) :] != shape:
        raise ValueError(f"{name}: x has shape {x.shape}, normalized_shape is {shape}; it must be x's last dimensions")
    for key, tensor in given.items():
        if tensor.shape != shape:
            raise ValueError(f"{name}: {key} has shape {tensor.shape}, normalized_shape is {shape}; they must be equal")
    return shape


def normalized_lengths(name: str, normalized_shape: Any) -> Shape:
    """`normalized_shape`, a whole number or several, as a tuple."""
    shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    if not shape or not all(_is_whole(n) and n > 0 for n in shape):
        raise ValueError(
            f"{name}: normalized_shape={normalized_shape!r}; give the last lengths of x, such as 16 or (3, 4)"
        )
    return shape


# ----------------------------------------------------------------------------------------------------------------------
# Dropout and embedding.


def dropout_arguments(x: Any, p: Any, seed: Any) -> None:
    """A probability, and a whole number to start from."""
    quantities("dropout", x)
    probability("dropout", "p", p)
    if not _is_whole(seed):
        raise TypeError(f"dropout: seed={seed!r:.80}; give a whole number, another one for every mask")


def embedding_arguments(indices: Any, weight: Any) -> None:
    """Integer indices of any shape, and a matrix with a row for each."""
    one_engine("embedding", weight, indices)
    quantities("embedding", weight)
    if len(weight.shape) != 2:
        raise ValueError(f"embedding: weight has shape {weight.shape}; it must be (num_embeddings, embedding_dim)")
    if indices.dtype != "int64":
        raise TypeError(f"embedding: indices have dtype {indices.dtype}; give integers, the numbers of rows")


def row_numbers(name: str, indices: Iterable[int], shape: Shape, rows: int) -> None:
    """Each index, in reading order, is the number of a row."""
    for number, index in enumerate(indices):
        if not 0 <= index < rows:
            place = tuple(number // math.prod(shape[k + 1 :]) % length for k, length in enumerate(shape))
            raise IndexError(
                f"{name}: index {index} at place {place} is not one of the {rows} rows of the weight, 0 to {rows - 1}"
            )


# ----------------------------------------------------------------------------------------------------------------------
# Attention.


def attention_shapes(query: Any, key: Any, value: Any) -> Shape:
    """query (..., L, E), key (..., S, E), value (..., S, Ev); returns the shape of the scores, (..., L, S)."""
    name = "scaled_dot_product_attention"
    one_engine(name, query, key, value)
    quantities(name, query, key, value)
    q, k, v = query.shape, key.shape, value.shape
    if min(len(q), len(k), len(v)) < 2 or not (q[:-2] == k[:-2] == v[:-2] and q[-1] == k[-1] and k[-2] == v[-2]):
        raise ValueError(
            f"{name}: query has shape {q}, key {k}, value {v}; they must be (..., L, E), (..., S, E) and (..., S, Ev) "
            "with the same leading dimensions"
        )
    if 0 in (*q[-2:], *v[-2:]):
        raise ValueError(f"{name}: query has shape {q}, value {v}; give at least one position and one number")
    return (*q[:-1], k[-2])


def one_mask(attn_mask: Any, is_causal: bool) -> None:
    """Either mask, or none; and the one that is given needs no gradient."""
    name = "scaled_dot_product_attention"
    if not isinstance(is_causal, bool):
        raise TypeError(f"{name}: is_causal={is_causal!r:.80}; give True or False, and a mask as attn_mask")
    if attn_mask is not None and is_causal:
        raise ValueError(f"{name}: attn_mask and is_causal=True are given; give one of them, or both in attn_mask")
    if getattr(attn_mask, "requires_grad", False):
        raise ValueError(f"{name}: attn_mask requires a gradient, but none flows there; give attn_mask.detach()")


def mask_numbers(numbers: Iterable[Any]) -> bool:
    """Whether a mask says True and False (or 1 and 0, as integers), rather than numbers to add to the scores."""
    seen = set(numbers)
    if all(isinstance(number, Integral) for number in seen):
        if seen <= {0, 1}:
            return True
        wrong = next(number for number in seen if number not in (0, 1))
        advice = "give True or False, or floating-point numbers that are added to the scores"
        raise ValueError(f"scaled_dot_product_attention: attn_mask has the integer {wrong}; {advice}")
    for number in seen:
        if not isinstance(number, Real):
            raise TypeError(f"scaled_dot_product_attention: attn_mask has {number!r:.80}, which is not a number")
    return False


def mask_shape(mask: Shape, scores: Shape) -> None:
    """A mask stretches to the shape of the scores, not the other way round."""
    name = "scaled_dot_product_attention: attn_mask and scores"
    if broadcast_shape(name, mask, scores) != scores:
        raise ValueError(f"{name}: the mask has shape {mask}; it must stretch to {scores}, which is (..., L, S)")


# ----------------------------------------------------------------------------------------------------------------------
# Convolutions and pooling.


def convolution(name: str, x: Any, weight: Any, bias: Any | None, groups: Any) -> None:
    """x (N, C, L), weight (O, C / groups, kernel), bias (O,); for images two lengths; N may be missing."""
    one_engine(name, weight, x, *([] if bias is None else [bias]))
    quantities(name, x, weight, *([] if bias is None else [bias]))
    ndim, sizes, kernel = (3, "L", "kernel") if name == "conv1d" else (4, "H, W", "kernel_h, kernel_w")
    if len(weight.shape) != ndim or len(x.shape) not in (ndim - 1, ndim):
        raise ValueError(
            f"{name}: x has shape {x.shape}, weight {weight.shape}; x must be (N, C, {sizes}) or (C, {sizes}), "
            f"and weight (O, C / groups, {kernel}){_channels_hint(x.shape, weight.shape, ndim, groups)}"
        )
    if 0 in weight.shape:
        raise ValueError(f"{name}: weight has shape {weight.shape}; each of its lengths must be at least 1")
    if not _is_whole(groups) or groups < 1:
        raise ValueError(f"{name}: groups={groups!r}; give a whole number of at least 1")
    channels, (outputs, inner) = x.shape[1 - ndim], weight.shape[:2]
    if channels != inner * groups or outputs % groups:
        raise ValueError(
            f"{name}: x has {channels} channels (shape {x.shape}), weight has shape {weight.shape}, groups={groups}; "
            f"weight must be (O, C / groups, {kernel}), with C the channels of x and an O that groups divides"
            f"{_channels_hint(x.shape, weight.shape, ndim, groups)}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias has shape {bias.shape}, weight {weight.shape}; the bias must be ({outputs},)")


def _channels_hint(x: Shape, weight: Shape, ndim: int, groups: Any) -> str:
    """What to try where the channels stand last, or are missing."""
    if len(weight) != ndim or not isinstance(groups, Integral):
        return ""
    channels = weight[1] * groups
    if len(x) == ndim and x[-1] == channels:
        order = (0, ndim - 1, *range(1, ndim - 1))
        return f"; the channels seem to come last: give x.permute{order}"
    if len(x) == ndim - 1 and channels == 1:
        return "; if x is a batch without channels, give x.unsqueeze(1)"
    if len(x) == ndim - 2 and channels == 1:
        return "; if x is a single one without channels, give x.unsqueeze(0)"
    return ""


def image(name: str, x: Any) -> None:
    """x (N, C, H, W) or (C, H, W), with floating-point numbers."""
    if getattr(x, "engine", None) is None:
        raise TypeError(f"{name}: x is a {type(x).__name__}, {x!r:.80}; make it a tensor first")
    quantities(name, x)
    if len(x.shape) not in (3, 4) or 0 in x.shape[-2:]:
        raise ValueError(f"{name}: x has shape {x.shape}; images (N, C, H, W), or one of them (C, H, W), are needed")


def window_lengths(name: str, argument: str, value: Any, dims: int, least: int) -> Shape:
    """`value` for each of the dimensions: a whole number of at least `least` for all, or one for each."""
    many = isinstance(value, tuple | list)
    numbers = tuple(value) if many else (value,) * dims
    kind = "a whole number" if dims == 1 else "a whole number, or a pair of them"
    if len(numbers) != dims or not all(_is_whole(n) for n in numbers):
        named = ", or 'same' or 'valid'" if argument == "padding" and name.startswith("conv") else ""
        raise TypeError(f"{name}: {argument}={value!r:.80}; give {kind}{named}")
    if any(number < least for number in numbers):
        raise ValueError(f"{name}: {argument}={value!r}; give at least {least}")
    return tuple(map(int, numbers))


def named_padding(name: str, padding: str, strides: Shape) -> None:
    """`"same"` and `"valid"`; the first makes sense where windows move by 1."""
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: padding={padding!r} is unknown; use 'same', 'valid', or a number")
    if padding == "same" and any(stride != 1 for stride in strides):
        raise ValueError(
            f"{name}: padding='same' needs a stride of 1, not {strides}; give the padding as a number, "
            "half of the kernel's size"
        )


def windows_fit(name: str, sizes: Sequence[int], reaches: Sequence[int], paddings: Sequence[int]) -> None:
    """At least one window fits in along each dimension; a window has the length `reach` + 1."""
    if any(size < 1 or size + padding <= reach for size, reach, padding in zip(sizes, reaches, paddings, strict=True)):
        window = tuple(reach + 1 for reach in reaches)
        raise ValueError(
            f"{name}: a window of {window} does not fit into {tuple(sizes)} with {tuple(paddings)} of padding in all; "
            "use a smaller kernel, or more padding"
        )


def half_padding(name: str, paddings: Sequence[int], windows: Sequence[int]) -> None:
    """Pooling takes no window that lies in the padding alone."""
    if any(2 * padding > window for padding, window in zip(paddings, windows, strict=True)):
        raise ValueError(
            f"{name}: padding={tuple(paddings)} is more than half of the window, {tuple(windows)}; give less padding"
        )


def output_size(name: str, value: Any, shape: Shape) -> Shape:
    """`value` for the rows and the columns; None is the length that x has."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) == 2:
        pair = [length if size is None else size for size, length in zip(pair, shape, strict=True)]
    return window_lengths(name, "output_size", tuple(pair), 2, 1)


# ----------------------------------------------------------------------------------------------------------------------
# Recurrent layers.


def recurrent(
    name: str, gates: int, x: Any, states: Sequence[Any], weights: Sequence[Any], biases: Sequence[Any | None]
) -> None:
    """x (N, in) for a cell, (N, L, in) for a layer; states (N, H); weights (gates H, in), (gates H, H); two biases."""
    given = [bias for bias in biases if bias is not None]
    one_engine(name, weights[0], weights[1], x, *states, *given)
    quantities(name, x, *weights, *states, *given)
    step = name.endswith("_cell")
    samples, inputs = x.shape[:1], x.shape[-1:]
    features = weights[1].shape[-1:]
    rows = tuple(gates * length for length in features)
    expected = [samples + features] * len(states) + [rows + inputs, rows + features]
    if len(x.shape) != (2 if step else 3) or [tensor.shape for tensor in (*states, *weights)] != expected:
        times = f"{gates} " if gates > 1 else ""
        raise ValueError(
            f"{name}: x has shape {x.shape}, {_list_states(states)}, weight_ih {weights[0].shape}, weight_hh "
            f"{weights[1].shape}; x must be {'(N, in)' if step else '(N, L, in)'}, each state (N, H), weight_ih "
            f"({times}H, in) and weight_hh ({times}H, H)"
        )
    if 0 in x.shape[1:] + features:
        raise ValueError(
            f"{name}: x has shape {x.shape}, weight_hh {weights[1].shape}; at least one {'' if step else 'step, one '}"
            "input and one hidden feature are needed"
        )
    for argument, bias in zip(("bias_ih", "bias_hh"), biases, strict=True):
        if bias is not None and bias.shape != rows:
            raise ValueError(
                f"{name}: {argument} has shape {bias.shape}, weight_hh {weights[1].shape}; the bias must be {rows}"
            )


def _list_states(states: Sequence[Any]) -> str:
    return ", ".join(f"{argument} {state.shape}" for argument, state in zip(("hidden", "cell"), states, strict=False))


def nonlinearity(name: str, nonlinearity: Any) -> None:
    """One of the two that a plain recurrent layer can have."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity={nonlinearity!r} is unknown; use 'tanh' or 'relu'")


# ----------------------------------------------------------------------------------------------------------------------
# Trainability.


def two_layers(
    x: Any,
    y: Any,
    weight0: Any,
    weight1: Any,
    rates: Any,
    offsets: Any | None,
    batches: Any | None,
    steps: Any,
    activation: Any,
    activations: Sequence[str],
) -> None:
    """The arguments of `train_two_layers`; activations: those that there are."""
    name, quantity = "train_two_layers", [x, y, weight0, weight1, rates, *([] if offsets is None else [offsets])]
    one_engine(name, weight0, *quantity, *([] if batches is None else [batches]))
    quantities(name, *quantity)
    if len(x.shape) != 2 or len(weight0.shape) != 2 or 0 in x.shape + weight0.shape:
        raise ValueError(f"{name}: x has shape {x.shape}, weight0 {weight0.shape}; give (N, in) and (H, in), none 0")
    if not _is_whole(steps) or steps < 1:
        raise ValueError(f"{name}: steps={steps!r:.80}; give a whole number of at least 1")
    if activation not in activations:
        raise ValueError(f"{name}: activation={activation!r:.80} is unknown; use {', '.join(map(repr, activations))}")
    runs = rates.shape[:1]
    needed = {
        "y": (y, x.shape[:1], "(N,)"),
        "weight0": (weight0, weight0.shape[:1] + x.shape[1:], "(H, in)"),
        "weight1": (weight1, weight0.shape[:1], "(H,)"),
        "rates": (rates, (*runs, 2), "(R, 2)"),
        "offsets": (offsets, runs, "(R,)"),
    }
    for argument, (tensor, shape, letters) in needed.items():
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name}: {argument} has shape {tensor.shape}; it must be {letters}, here {shape}")
    if batches is not None:
        _batch_numbers(name, batches, steps, x.shape[0])


def _batch_numbers(name: str, batches: Any, steps: int, samples: int) -> None:
    """For each step the numbers of some samples, at least one."""
    if batches.dtype != "int64":
        raise TypeError(f"{name}: batches have dtype {batches.dtype}; give integers, the numbers of samples")
    if len(batches.shape) != 2 or batches.shape[0] != steps or batches.shape[1] == 0:
        raise ValueError(f"{name}: batches have shape {batches.shape}; it must be (steps, B), here ({steps}, B)")
    for row in batches.tolist():
        for number in row:
            if not 0 <= number < samples:
                raise IndexError(f"{name}: batches hold {number}, but the samples are 0 to {samples - 1}")
