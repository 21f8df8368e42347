"""How good a model is on data: its answers, measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nn.data import Data, check_data
from nn.metrics import Metric, by_name, measure, places, without_column
from nn.modules import Module
from nn.training import predict


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
    named = by_name("evaluate", metrics)
    x, y = check_data("data", data)
    return measure("evaluate", model, y, predict(model, x, batch_size), named, threshold, decide)


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
    chosen = places("predict_classes", answers, model, threshold)
    count = max(2, without_column(answers).size // len(answers))
    names = np.arange(count) if classes is None else np.asarray(classes)
    if names.shape != (count,):
        raise ValueError(f"predict_classes: classes={classes!r:.80}; the model tells {count} classes apart, name each")
    return names[chosen]
