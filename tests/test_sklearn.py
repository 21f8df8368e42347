"""The estimators for scikit-learn: its own checks, and what people do with estimators."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import nn
from nn.sklearn import NetClassifier, NetRegressor

QUICK = {"hidden_layer_sizes": (16,), "epochs": 30, "lr": 0.01}
IRIS = load_iris(return_X_y=True)


@parametrize_with_checks([NetClassifier(**QUICK), NetRegressor(**QUICK)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_the_name_of_scikit_learn_is_not_taken():
    import sklearn

    assert nn.sklearn.NetClassifier is NetClassifier
    assert sklearn.__name__ == "sklearn"


def test_cross_validation_in_a_pipeline():
    model = make_pipeline(StandardScaler(), NetClassifier(**QUICK))
    assert cross_val_score(model, *IRIS, cv=3).mean() > 0.9
    assert cross_val_predict(model, *IRIS, cv=3, method="predict_proba").shape == (150, 3)


def test_grid_search_finds_the_better_of_two():
    X, y = make_moons(200, noise=0.1, random_state=0)
    grid = {"hidden_layer_sizes": [(), (16,)], "activation": ["relu"]}
    search = GridSearchCV(NetClassifier(**QUICK), grid, cv=3).fit(X, y)
    assert search.best_params_ == {"hidden_layer_sizes": (16,), "activation": "relu"}
    assert search.best_estimator_.score(X, y) > 0.95


def test_a_regressor_whose_targets_are_scaled():
    X, y = load_diabetes(return_X_y=True)
    scaled = make_pipeline(StandardScaler(), NetRegressor(**QUICK | {"epochs": 5}))
    model = TransformedTargetRegressor(scaled, transformer=StandardScaler())
    assert cross_val_score(model, X, y, cv=3).mean() > 0.4  # R2


def test_it_is_the_network_that_nn_fit_trains():
    X, y = IRIS
    model = NetClassifier(**QUICK).fit(X, y)
    twin = nn.MLP([4, 16, 3], engine=model.model_.parameters()[0].engine, seed=0, dtype="float64")
    twin.load_state_dict(model.model_.state_dict())
    logits = nn.predict(twin, X)
    np.testing.assert_array_equal(model.predict(X), logits.argmax(1))
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    assert len(model.loss_curve_) == 30
    assert model.loss_curve_ == model.history_.loss
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    assert model.score(X, y) == nn.evaluate(twin, IRIS, "accuracy")["accuracy"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_every_optimizer_and_its_settings_arrive(optimizer):
    model = NetRegressor(optimizer=optimizer, lr=0.02, weight_decay=0.3, epochs=1).fit([[0.0], [1.0]], [0.0, 1.0])
    assert type(model._optimizer).__name__.lower() == optimizer
    assert (model._optimizer.lr, model._optimizer.settings["weight_decay"]) == (0.02, 0.3)


def test_both_engines_give_the_same():
    X, y = make_moons(24, noise=0.1, random_state=0)
    few = {"hidden_layer_sizes": 4, "epochs": 2, "batch_size": 8, "lr": 0.01}
    slow, quick = [NetClassifier(**few, engine=engine).fit(X, y) for engine in ("micro", "fast")]
    np.testing.assert_allclose(slow.predict_proba(X), quick.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(slow.loss_curve_, quick.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])
@pytest.mark.parametrize("engine", ["micro", "fast"])
def test_pickles_answer_and_go_on_as_the_original(kind, engine):
    X, y = make_moons(24, noise=0.1, random_state=0)
    model = kind(hidden_layer_sizes=4, epochs=1, engine=engine).fit(X, y)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    model.partial_fit(X, y), twin.partial_fit(X, y)
    np.testing.assert_array_equal(twin._answers(X), model._answers(X))
    assert twin.loss_curve_ == model.loss_curve_


def test_labels_may_be_words():
    X, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = NetClassifier(**QUICK).fit(X, names)
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    assert set(model.predict(X)) <= set(names)
    np.testing.assert_array_equal(model.predict(X), model.classes_[NetClassifier(**QUICK).fit(X, y).predict(X)])


def test_random_state_fixes_the_fit():
    X, y = IRIS
    first, again, other, drawn = [
        NetClassifier(epochs=1, random_state=state).fit(X, y).predict_proba(X)
        for state in (0, 0, 1, np.random.RandomState(0))
    ]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, drawn)
    assert not np.array_equal(first, other)
    assert NetClassifier(epochs=1, random_state=None).fit(X, y).score(X, y) >= 0


def test_float32_stays_float32():
    X, y = IRIS
    assert NetClassifier(epochs=1).fit(X.astype("float32"), y).model_.parameters()[0].dtype == "float32"
    assert NetClassifier(epochs=1).fit(X, y).model_.parameters()[0].dtype == "float64"


def test_partial_fit_learns_in_portions():
    X, y = IRIS
    X = StandardScaler().fit_transform(X)
    model = NetClassifier(hidden_layer_sizes=16, lr=0.01)
    with pytest.raises(ValueError, match="the first call needs all labels"):
        model.partial_fit(X, y)
    model.partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    for _ in range(20):
        for part in range(3):
            model.partial_fit(X[part::3], y[part::3])
    assert model.score(X, y) > 0.9
    assert len(model.loss_curve_) == 61
    with pytest.raises(ValueError, match=r"\[7\] is not among the classes of the first call, \[0 1 2\]"):
        model.partial_fit(X[:2], [7, 0])
    with pytest.raises(ValueError, match="is not among"):
        model.partial_fit(X[:2], y[:2], classes=[0, 1, 2, 3])


def test_partial_fit_knows_the_classes_that_are_not_in_a_portion():
    X, y = IRIS
    model = NetClassifier(lr=0.01)
    for _ in range(20):
        model.partial_fit(X[y == 2], y[y == 2], classes=[0, 1, 2])
    assert set(model.predict(X[y == 2])) == {2}


def test_partial_fit_of_a_regressor():
    X = np.linspace(-1, 1, 64).reshape(-1, 1)
    y = np.sin(2 * X[:, 0])
    model = NetRegressor(lr=0.01, activation="tanh")
    for _ in range(60):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.fit(X, y).loss_curve_ == clone(model).fit(X, y).loss_curve_  # fit begins anew


def test_bad_arguments_are_named():
    X, y = IRIS
    for settings, error, words in [
        ({"optimizer": "adm"}, ValueError, "optimizer='adm' is unknown; known are sgd, adam"),
        ({"activation": "rel"}, ValueError, "activation='rel'"),
        ({"engine": nn}, TypeError, 'needs its name, such as "fast"'),
        ({"engine": "math"}, TypeError, "is not an engine"),
        ({"hidden_layer_sizes": (0,)}, ValueError, "out_features=0"),
        ({"epochs": 0}, ValueError, "epochs=0"),
        ({"lr": -1.0}, ValueError, "lr=-1.0"),
    ]:
        with pytest.raises(error, match=words):
            NetClassifier(**settings).fit(X, y)
    with pytest.raises(NotFittedError):
        NetRegressor().predict(X)
