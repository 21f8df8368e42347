"""Estimators with scikit-learn's face: networks for pipelines, grid search and cross-validation.

    from nn.sklearn import NetClassifier
    model = make_pipeline(StandardScaler(), NetClassifier(hidden_layer_sizes=(32,), epochs=50))
    cross_val_score(model, X, y)

They pass scikit-learn's own `check_estimator`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted

from nn.data import generator
from nn.engine import check_engine
from nn.losses import cross_entropy, mse_loss
from nn.modules import MLP
from nn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from nn.training import fit, predict

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before scikit-learn 1.6 it was a method

    def validate_data(estimator: Any, *arrays: Any, **settings: Any) -> Any:
        """The arrays, checked; X sets or must match `n_features_in_`."""
        return estimator._validate_data(*arrays, **settings)


_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}


class _Net(BaseEstimator):
    """What the two estimators share: an `MLP`, its arguments, and its training."""

    model_: MLP
    n_features_in_: int
    loss_curve_: list[float]

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str = "relu",
        optimizer: str = "adam",
        lr: float = 1e-3,
        epochs: int = 100,
        batch_size: int | None = 32,
        weight_decay: float = 0.0,
        engine: str = "fast",
        random_state: Any = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.engine = engine
        self.random_state = random_state

    def _begin(self, x: np.ndarray, outputs: int) -> None:
        """A network for the samples x (N, features), in their type, that has learned nothing yet."""
        if self.optimizer not in _OPTIMIZERS:
            raise ValueError(f"optimizer={self.optimizer!r} is unknown; known are {', '.join(_OPTIMIZERS)}")
        # scikit-learn copies and pickles all arguments, which a module does not stand: so the engine comes by its name,
        # and nn, which knows no engine, imports the one that was asked for.
        if not isinstance(self.engine, str):
            raise TypeError(f'engine={self.engine!r:.80}; scikit-learn needs its name, such as "fast"')
        engine = check_engine(import_module(self.engine))
        self._random = generator(check_random_state(self.random_state).randint(2**31))
        sizes = [x.shape[1], *np.ravel(self.hidden_layer_sizes).tolist(), outputs]
        self.model_ = MLP(sizes, self.activation, engine=engine, seed=self._random, dtype=x.dtype.name)
        parameters = self.model_.parameters()
        self._optimizer = _OPTIMIZERS[self.optimizer](parameters, lr=self.lr, weight_decay=self.weight_decay)
        self.loss_curve_ = []

    def _train(self, x: np.ndarray, y: np.ndarray, loss: Callable[..., Any], epochs: int) -> None:
        seed = int(self._random.integers(2**31))
        self.history_ = fit(self.model_, (x, y), loss, self._optimizer, epochs, self.batch_size, seed=seed)
        self.loss_curve_ += self.history_.loss

    def _answers(self, x: Any) -> np.ndarray:
        """What the network answers for samples x (N, features), in float64."""
        check_is_fitted(self)
        return predict(self.model_, validate_data(self, x, reset=False, dtype=_TYPES)).astype(float)


#: The types that are computed in as they are; all else becomes the first of them.
_TYPES = [np.float64, np.float32]


class NetClassifier(ClassifierMixin, _Net):
    """An `nn.MLP` that tells classes apart, trained with the cross-entropy.

    hidden_layer_sizes: the widths between features and classes, (100,) unless given; () for none, 8 for (8,).
    activation: a name in `nn.ACTIVATIONS`, "relu" unless given.
    optimizer: "sgd", "adam" (unless given), "adamw", "rmsprop" or "adagrad"; lr: its learning rate, 1e-3 unless given;
        weight_decay: 0 unless given.
    epochs, batch_size: see `nn.fit`; 100 and 32 unless given.
    engine: the name of the engine's module, "fast" unless given, or "micro".
    random_state: of the initial weights and of the order of the samples; 0 unless given, so a fit can be repeated.

    Features should be scaled, as by `StandardScaler`. It computes in float32 where X is float32, else in float64
    (`micro` always in float64). Labels may be of any kind that scikit-learn takes.

    After `fit`: classes_, the labels in order; model_, the `nn.MLP`; loss_curve_, the mean loss of every epoch;
    history_, the `nn.History` of the last training; n_features_in_.
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any) -> NetClassifier:
        """Train a new network on samples X (N, features) with labels y (N,)."""
        X, y = validate_data(self, X, y, dtype=_TYPES)
        check_classification_targets(y)
        self.classes_ = unique_labels(y)
        self._begin(X, len(self.classes_))
        self._train(X, np.searchsorted(self.classes_, y), cross_entropy, self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> NetClassifier:
        """Train for one more epoch on these samples; `classes`, all labels there will be, is needed the first time."""
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ValueError("partial_fit: classes=None; the first call needs all labels that there will be")
        X, y = validate_data(self, X, y, reset=first, dtype=_TYPES)
        check_classification_targets(y)
        if first:
            self.classes_ = unique_labels(classes)
            self._begin(X, len(self.classes_))
        unknown = np.setdiff1d(y if classes is None else [*y, *classes], self.classes_)
        if len(unknown):
            raise ValueError(f"partial_fit: {unknown} is not among the classes of the first call, {self.classes_}")
        self._train(X, np.searchsorted(self.classes_, y), cross_entropy, 1)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class (N, C) for samples X (N, features), in the order of `classes_`."""
        return softmax(self._answers(X), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class (N,) for samples X (N, features)."""
        answers = self._answers(X)
        return self.classes_[answers.argmax(axis=1)]


class NetRegressor(RegressorMixin, _Net):
    """An `nn.MLP` that predicts a number, trained with the mean squared error.

    The targets, too, should be of the size of 1: wrap it in scikit-learn's `TransformedTargetRegressor` with a
    `StandardScaler`, which scales them and the predictions back. Arguments and attributes are those of
    `NetClassifier`, without `classes_`.
    """

    def fit(self, X: Any, y: Any) -> NetRegressor:
        """Train a new network on samples X (N, features) with targets y (N,)."""
        X, y = validate_data(self, X, y, dtype=_TYPES, y_numeric=True)
        self._begin(X, 1)
        self._train(X, y.reshape(-1, 1).astype(X.dtype), mse_loss, self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any) -> NetRegressor:
        """Train for one more epoch on these samples."""
        first = not hasattr(self, "model_")
        X, y = validate_data(self, X, y, reset=first, dtype=_TYPES, y_numeric=True)
        if first:
            self._begin(X, 1)
        self._train(X, y.reshape(-1, 1).astype(X.dtype), mse_loss, 1)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The predicted numbers (N,) for samples X (N, features)."""
        return self._answers(X)[:, 0]
