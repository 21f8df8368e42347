"""How good answers are: scikit-learn's metrics, after numbers have become classes where classes are meant.

name: the function that was called, for messages.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from nn.modules import Module, Sigmoid, last_layer

#: A metric by its name, or a function (y_true, y_pred), as all of `sklearn.metrics` are.
Metric = str | Callable[[Any, Any], Any]

_SCORES, _AVERAGES = ("precision", "recall", "f1"), ("macro", "weighted")
#: Metrics that compare classes: the function of `sklearn.metrics`, and the average over classes that it takes.
_OF_CLASSES: dict[str, tuple[str, str]] = {
    "accuracy": ("accuracy_score", ""),
    "confusion_matrix": ("confusion_matrix", ""),
    **{score: (f"{score}_score", "binary") for score in _SCORES},
    **{f"{score}_{average}": (f"{score}_score", average) for score in _SCORES for average in _AVERAGES},
}
#: Metrics that compare numbers.
_OF_NUMBERS = {"mae": "mean_absolute_error", "mse": "mean_squared_error", "r2": "r2_score"}
#: Those of which a large number is good; of the others that are numbers a small one is.
LARGE_IS_GOOD = (*[name for name in _OF_CLASSES if name != "confusion_matrix"], "r2")


def measure(
    name: str,
    model: Module,
    y: np.ndarray,
    answers: np.ndarray,
    metrics: Mapping[str, Metric],
    threshold: float | None = None,
    decide: Callable[[np.ndarray], Any] | None = None,
) -> dict[str, Any]:
    """Each of the metrics, of what `model` answered where y was right; see `nn.evaluate` for how."""
    check_length(name, "the model", answers, len(y))
    if not np.isfinite(answers).all():
        return dict.fromkeys(metrics, math.nan)
    numbers = without_column(y), without_column(answers)
    classes = _classes(*numbers)
    if classes is None:
        y_true, y_pred = numbers
    else:
        y_true, y_pred = numbers[0].astype(int), classes[places(name, answers, model, threshold)]
    if decide is not None:
        y_pred = np.asarray(decide(answers))
        check_length(name, "decide", y_pred, len(y))
        classes = np.union1d(y_true if classes is None else classes, y_pred)
    found = {}
    for word, metric in metrics.items():
        if callable(metric):
            found[word] = _plain(name, word, metric(y_true, y_pred))
        elif metric in _OF_NUMBERS:
            found[word] = _of_numbers(name, metric, *numbers)
        else:
            found[word] = _of_classes(name, metric, y_true, y_pred, classes)
    return found


def by_name(name: str, metrics: Any) -> dict[str, Metric]:
    """Each metric under its name."""
    if not isinstance(metrics, Mapping):
        several = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
        words = [metric if isinstance(metric, str) else getattr(metric, "__name__", None) for metric in several]
        if None in words or len(set(words)) < len(words):
            raise ValueError(f"{name}: metrics={metrics!r:.200}; give a dictionary with a name of its own for each")
        metrics = dict(zip(words, several, strict=True))
    for metric in metrics.values():
        if not callable(metric) and (not isinstance(metric, str) or metric not in {**_OF_CLASSES, **_OF_NUMBERS}):
            known = ", ".join([*_OF_CLASSES, *_OF_NUMBERS])
            raise ValueError(f"{name}: the metric {metric!r:.80} is unknown; give a function, or one of {known}")
    return dict(metrics)


def check_length(name: str, whose: str, predictions: np.ndarray, samples: int) -> None:
    if predictions.ndim == 0 or len(predictions) != samples:
        raise ValueError(f"{name}: {whose} gives shape {predictions.shape} for {samples} samples; each needs one row")


def without_column(array: np.ndarray) -> np.ndarray:
    """(N, 1) as (N,), all else as it is."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _classes(y: np.ndarray, answers: np.ndarray) -> np.ndarray | None:
    """The classes that answers and targets speak of, in the order of the scores; None where they are numbers."""
    if y.ndim != 1:
        return None
    found = set(np.unique(y).tolist())
    if answers.ndim == 2:
        possible = [range(answers.shape[1])]
    else:
        possible = [range(2), range(-1, 2, 2)] if answers.ndim == 1 else []
    return next((np.array(classes) for classes in possible if found <= set(classes)), None)


def places(name: str, answers: np.ndarray, model: Module, threshold: float | None) -> np.ndarray:
    """Which class each answer means: 0 for the first."""
    if threshold is not None and not isinstance(threshold, Real):
        raise TypeError(f"{name}: threshold={threshold!r:.80}; give a number, such as 0.5 for probabilities")
    scores = without_column(answers)
    if scores.ndim == 2 and threshold is None:
        return scores.argmax(1)
    if scores.ndim == 1:
        return (scores > (_threshold(model) if threshold is None else threshold)).astype(int)
    wanted = "(N, C), or one for each sample" if threshold is None else "(N,) or (N, 1), to compare with a threshold"
    raise ValueError(f"{name}: the model answers with shape {answers.shape}; scores must have shape {wanted}")


def _threshold(model: Module) -> float:
    """Above which score the answer is the larger class: the middle of probabilities, or else of logits."""
    return 0.5 if isinstance(last_layer(model), Sigmoid) else 0.0


def _of_numbers(name: str, metric: str, y: np.ndarray, answers: np.ndarray) -> float:
    if y.shape != answers.shape:
        raise ValueError(f"{name}: {metric} compares numbers, but answers have shape {answers.shape}, y {y.shape}")
    rows = len(y), -1
    return _measured(name, _OF_NUMBERS[metric], y.reshape(rows).astype(float), answers.reshape(rows).astype(float))


def _of_classes(name: str, metric: str, y_true: np.ndarray, y_pred: np.ndarray, classes: np.ndarray | None) -> Any:
    if classes is None:
        raise ValueError(
            f"{name}: {metric} compares classes, but the answers, of shape {y_pred.shape}, and y, of shape "
            f"{y_true.shape} from {y_true.min()} to {y_true.max()}, are none: scores (N, C) go with labels (N,) from 0 "
            "to C-1, one score for each sample with targets of 0 and 1, or -1 and +1; for all else give decide="
        )
    function, average = _OF_CLASSES[metric]
    if average == "binary" and len(classes) > 2:
        raise ValueError(
            f"{name}: {metric} is that of the larger of two classes, and there are {len(classes)}; "
            f"give {metric}_macro or {metric}_weighted"
        )
    settings: dict[str, Any] = {"average": average, "zero_division": 0.0} if average else {}
    if average == "binary":
        settings["pos_label"] = classes[-1]
    if metric == "confusion_matrix":
        settings["labels"] = classes
    return _measured(name, function, y_true, y_pred, **settings)


def _measured(name: str, function: str, y_true: np.ndarray, y_pred: np.ndarray, **settings: Any) -> Any:
    """The result of a function of `sklearn.metrics`, without its remarks on few samples or many classes."""
    from sklearn import metrics  # takes a second to import, and not everybody measures

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _plain(name, function, getattr(metrics, function)(y_true, y_pred, **settings))


def _plain(name: str, metric: str, result: Any) -> Any:
    """A float, or an array of numbers."""
    array = np.asarray(result)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: {metric} gave {result!r:.80}, which is neither a number nor an array of numbers")
    return float(array) if array.ndim == 0 else array
