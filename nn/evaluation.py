"""How good a model's answers are: scikit-learn's metrics, after numbers have become classes where classes are meant."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from nn.data import Data, check_data
from nn.modules import Module, Sequential, Sigmoid
from nn.training import predict

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


def evaluate(
    model: Module,
    data: Data,
    metrics: Metric | Sequence[Metric] | Mapping[str, Metric],
    *,
    batch_size: int | None = None,
    threshold: float | None = None,
    decide: Callable[[np.ndarray], Any] | None = None,
) -> dict[str, Any]:
    """Metrics of what `model` answers for samples X (N, ...) with targets y: a float, or an array, for each by name.

    metrics: one or several of these, or functions (y_true, y_pred), such as `sklearn.metrics.cohen_kappa_score`, which
        stand under their own name or, in a dictionary, under the name given.

        - for classes: "accuracy"; "confusion_matrix" (C, C), a row for each true class, a column for each answer;
          "precision", "recall" and "f1" of the larger of two classes; for any number of classes "precision_macro",
          "recall_macro" and "f1_macro", the plain mean over the classes that occur, in y or as answers, and
          "precision_weighted", "recall_weighted" and "f1_weighted", where each counts as often as it occurs in y. A
          share of nothing, such as the precision of a class that is never the answer, is 0.
        - for numbers: "mae", "mse" and "r2"; r2 of a single sample is nan.

    batch_size: samples at a time; None, the default, takes all at once.
    threshold: see below. decide: a function that makes y_pred out of the model's answers (N, ...), in place of the
        rules below; `decide=np.ravel` hands plain scores to a function such as `sklearn.metrics.roc_auc_score`.

    How answers become classes:
        - scores (N, C) for labels y (N,) from 0 to C-1: the class with the largest score, of equal ones the first;
        - one score for each sample, (N,) or (N, 1), for targets that are all 0 or 1, or all -1 or +1: the larger class
          where the score is above `threshold`, which is 0, right for logits, unless given. It is 0.5, right for
          probabilities, where the model is a Sequential that ends in a Sigmoid; any other model that gives
          probabilities needs threshold=0.5.

    Metrics of numbers are always given the numbers, and functions the classes where one of these two cases holds, else
    the numbers. Where an answer is not a finite number, as after divergence, every metric is nan.

    Raises ValueError for a metric that does not go with answers and targets, or that is not known.
    """
    named = _by_name(metrics)
    x, y = check_data("data", data)
    answers = predict(model, x, batch_size)
    _check_length("the model", answers, len(y))
    if not np.isfinite(answers).all():
        return dict.fromkeys(named, math.nan)
    numbers = _without_column(y), _without_column(answers)
    classes = _classes(*numbers)
    if classes is None:
        y_true, y_pred = numbers
    else:
        y_true, y_pred = numbers[0].astype(int), classes[_places("evaluate", answers, model, threshold)]
    if decide is not None:
        y_pred = np.asarray(decide(answers))
        _check_length("decide", y_pred, len(y))
        classes = np.union1d(y_true if classes is None else classes, y_pred)
    found = {}
    for name, metric in named.items():
        if callable(metric):
            found[name] = _plain(name, metric(y_true, y_pred))
        elif metric in _OF_NUMBERS:
            found[name] = _of_numbers(metric, *numbers)
        else:
            found[name] = _of_classes(metric, y_true, y_pred, classes)
    return found


def predict_classes(
    model: Module,
    x: Any,
    batch_size: int | None = None,
    *,
    classes: Sequence[Any] | None = None,
    threshold: float | None = None,
) -> np.ndarray:
    """The class (N,) that `model` gives each of the samples x (N, ...), by the rules of `evaluate`.

    classes: what the classes are called, in the order of the scores (N, C), or the smaller and the larger one where
        there is one score for each sample: `(-1, 1)`, `["ham", "spam"]`. Their numbers from 0 unless given.
    threshold: see `evaluate`.
    """
    answers = predict(model, x, batch_size)
    places = _places("predict_classes", answers, model, threshold)
    count = max(2, _without_column(answers).size // len(answers))
    names = np.arange(count) if classes is None else np.asarray(classes)
    if names.shape != (count,):
        raise ValueError(f"predict_classes: classes={classes!r:.80}; the model tells {count} classes apart, name each")
    return names[places]


def _by_name(metrics: Any) -> dict[str, Metric]:
    """Each metric under its name."""
    if not isinstance(metrics, Mapping):
        several = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
        names = [metric if isinstance(metric, str) else getattr(metric, "__name__", None) for metric in several]
        if None in names or len(set(names)) < len(names):
            raise ValueError(f"evaluate: metrics={metrics!r:.200}; give a dictionary with a name of its own for each")
        metrics = dict(zip(names, several, strict=True))
    for metric in metrics.values():
        if not callable(metric) and (not isinstance(metric, str) or metric not in {**_OF_CLASSES, **_OF_NUMBERS}):
            known = ", ".join([*_OF_CLASSES, *_OF_NUMBERS])
            raise ValueError(f"evaluate: the metric {metric!r:.80} is unknown; give a function, or one of {known}")
    return dict(metrics)


def _check_length(whose: str, predictions: np.ndarray, samples: int) -> None:
    if predictions.ndim == 0 or len(predictions) != samples:
        raise ValueError(f"evaluate: {whose} gives shape {predictions.shape} for {samples} samples; each needs one row")


def _without_column(array: np.ndarray) -> np.ndarray:
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


def _places(name: str, answers: np.ndarray, model: Module, threshold: float | None) -> np.ndarray:
    """Which class each answer means: 0 for the first."""
    if threshold is not None and not isinstance(threshold, Real):
        raise TypeError(f"{name}: threshold={threshold!r:.80}; give a number, such as 0.5 for probabilities")
    scores = _without_column(answers)
    if scores.ndim == 2 and threshold is None:
        return scores.argmax(1)
    if scores.ndim == 1:
        return (scores > (_threshold(model) if threshold is None else threshold)).astype(int)
    wanted = "(N, C), or one for each sample" if threshold is None else "(N,) or (N, 1), to compare with a threshold"
    raise ValueError(f"{name}: the model answers with shape {answers.shape}; scores must have shape {wanted}")


def _threshold(model: Module) -> float:
    """Above which score the answer is the larger class: the middle of probabilities, or else of logits."""
    while isinstance(model, Sequential) and len(model):
        model = model[-1]
    return 0.5 if isinstance(model, Sigmoid) else 0.0


def _of_numbers(metric: str, y: np.ndarray, answers: np.ndarray) -> float:
    if y.shape != answers.shape:
        raise ValueError(f"evaluate: {metric} compares numbers, but answers have shape {answers.shape}, y {y.shape}")
    rows = len(y), -1
    return _measured(_OF_NUMBERS[metric], y.reshape(rows).astype(float), answers.reshape(rows).astype(float))


def _of_classes(metric: str, y_true: np.ndarray, y_pred: np.ndarray, classes: np.ndarray | None) -> Any:
    if classes is None:
        raise ValueError(
            f"evaluate: {metric} compares classes, but the answers, of shape {y_pred.shape}, and y, of shape "
            f"{y_true.shape} from {y_true.min()} to {y_true.max()}, are none: scores (N, C) go with labels (N,) from 0 "
            "to C-1, one score for each sample with targets of 0 and 1, or -1 and +1; for all else give decide="
        )
    function, average = _OF_CLASSES[metric]
    if average == "binary" and len(classes) > 2:
        raise ValueError(
            f"evaluate: {metric} is that of the larger of two classes, and there are {len(classes)}; "
            f"give {metric}_macro or {metric}_weighted"
        )
    settings: dict[str, Any] = {"average": average, "zero_division": 0.0} if average else {}
    if average == "binary":
        settings["pos_label"] = classes[-1]
    if metric == "confusion_matrix":
        settings["labels"] = classes
    return _measured(function, y_true, y_pred, **settings)


def _measured(function: str, y_true: np.ndarray, y_pred: np.ndarray, **settings: Any) -> Any:
    """The result of a function of `sklearn.metrics`, without its remarks on few samples or many classes."""
    from sklearn import metrics  # takes a second to import, and not everybody measures

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _plain(function, getattr(metrics, function)(y_true, y_pred, **settings))


def _plain(name: str, result: Any) -> Any:
    """A float, or an array of numbers."""
    array = np.asarray(result)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"evaluate: {name} gave {result!r:.80}, which is neither a number nor an array of numbers")
    return float(array) if array.ndim == 0 else array
