"""What both engines check before they compute, and the words in which they refuse.

Each function names the operation and the argument at fault, shows the shapes or values, and says what to try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any

Shape = tuple[int, ...]


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
    quantities("linear", x, weight)
    inputs, matrix = x.shape, weight.shape
    if len(matrix) != 2 or not inputs or inputs[-1] != matrix[1]:
        raise ValueError(
            f"linear: x has shape {inputs}, weight {matrix}; x must be (..., in) and weight (out, in) with the same in"
        )
    if 0 in matrix:
        raise ValueError(f"linear: weight has shape {matrix}; a layer needs at least one input and one output")
    if bias is not None and bias.shape != matrix[:1]:
        raise ValueError(f"linear: bias has shape {bias.shape}, weight {matrix}; the bias must be ({matrix[0]},)")


def matmul_shapes(a: Any, b: Any) -> None:
    """Two matrices, (n, k) and (k, m)."""
    one_engine("matmul", a, b)
    quantities("matmul", a, b)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape}; two matrices (n, k) and (k, m) with the same k are needed"
        )


def class_labels(logits: Any, labels: Any, numbers: Iterable[Any]) -> None:
    """Logits (N, C), labels (N,), each an integer from 0 to C-1; `numbers` are the labels to look at."""
    one_engine("cross_entropy", logits, labels)
    quantities("cross_entropy", logits)
    if len(logits.shape) != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy: logits have shape {logits.shape}, labels {labels.shape}; "
            "logits must be (N, C), labels (N,)"
        )
    if labels.dtype != "int64":
        raise TypeError(
            f"cross_entropy: labels have dtype {labels.dtype}; give integers, the number of each row's class"
        )
    not_empty("cross_entropy", logits.shape)
    classes = logits.shape[1]
    for row, label in enumerate(numbers):
        if not 0 <= label < classes:
            raise ValueError(
                f"cross_entropy: label {label} in row {row} is not one of the {classes} classes "
                f"0 to {classes - 1}; give class numbers, one logit for each class"
            )


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


def dimension(name: str, dim: int, shape: Shape) -> int:
    """`dim`, counted from the left; a negative one counts from the right."""
    if not isinstance(dim, Integral) or isinstance(dim, bool):
        raise TypeError(f"{name}: dim={dim!r}; give one dimension, a whole number, or None for all")
    if not -len(shape) <= dim < len(shape):
        raise IndexError(f"{name}: dim={dim}, but shape {shape} has {len(shape)} dimensions")
    return int(dim) % len(shape)


def new_shape(old: Shape, new: Sequence[Any]) -> Shape:
    """`new`, lengths or a tuple of them, with a length of -1 filled in."""
    new = tuple(new[0] if len(new) == 1 and isinstance(new[0], tuple | list) else new)
    if not all(isinstance(length, Integral) for length in new):
        raise TypeError(f"reshape: the shape {new} must be made of whole numbers")
    count, known = _product(old), _product(length for length in new if length != -1)
    if new.count(-1) == 1 and known and count % known == 0:
        new = tuple(count // known if length == -1 else length for length in new)
    if any(length < 0 for length in new) or _product(new) != count:
        raise ValueError(f"reshape: {count} elements of shape {old} do not fill the shape {new}")
    return new


def copy_shape(mine: Shape, other: Shape) -> None:
    """`copy_` neither stretches nor reshapes."""
    if mine != other:
        raise ValueError(f"copy_: the numbers have shape {other}, the tensor {mine}; they must be equal")


def scalar(name: str, shape: Shape) -> None:
    """What `item()` and `backward()` without a gradient need."""
    if _product(shape) != 1:
        advice = {
            "backward": "give it a gradient of that shape, or call it on a mean or a sum",
            "item": "use tolist() for all of them",
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
    """One of the three types that elements can have."""
    if dtype not in ("float32", "float64", "int64"):
        raise ValueError(f"dtype={dtype!r} is unknown; use 'float32', 'float64' or 'int64'")


def no_operand(name: str, operand: Any, engine: str) -> TypeError:
    """The error for an expression with something that is no number."""
    return TypeError(
        f"{name}: an operand is a {type(operand).__name__}, {operand!r:.80}; "
        f"use a number, or {engine}.tensor(...) for a list or an array of numbers"
    )


def integers(name: str) -> TypeError:
    """The error for arithmetic with class labels."""
    return TypeError(f"{name}: tensors of int64 hold class labels, not quantities; convert them with .to('float32')")


def quantities(name: str, *tensors: Any) -> None:
    """All of them hold floating-point numbers."""
    for tensor in tensors:
        if tensor.dtype == "int64":
            raise integers(name)


def no_gradient() -> TypeError:
    """The error for a parameter of integers."""
    return TypeError("tensor: int64 numbers cannot have a gradient; give dtype='float32'")


def no_integer(number: Any) -> ValueError:
    """The error for a number that int64 cannot hold."""
    return ValueError(f"tensor: {number} is not an integer; give dtype='float32'")


def one_engine(name: str, tensor: Any, *others: Any) -> None:
    """All arguments are tensors of the engine to which `tensor` belongs."""
    for other in others:
        engine = getattr(other, "engine", None)
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


def _product(lengths: Iterable[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product
