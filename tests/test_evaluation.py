"""`nn.evaluate` and `nn.predict_classes`, against scikit-learn called directly and cases worked out by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics

import nn


class Says(nn.Module):
    """A model that answers with what it is given, whatever its only parameter is."""

    def __init__(self, engine):
        super().__init__()
        self.zero = engine.tensor([0.0], "float64", requires_grad=True)

    def forward(self, x):
        return x + self.zero


@pytest.fixture
def says(engine):
    return Says(engine)


NAMES = ("precision", "recall", "f1")
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 60)
SCORES = RANDOM.normal(size=(60, 4)) + 2 * np.eye(4)[LABELS]


# ----------------------------------------------------------------------------------------------------------------------
# Worked out by hand.


def test_two_classes_by_hand(says):
    scores, y = [3.0, -1.0, 0.5, -2.0, 4.0, -0.1], [1, 1, 0, 0, 1, 0]  # answers 1 0 1 0 1 0
    found = nn.evaluate(says, (scores, y), ["accuracy", "precision", "recall", "f1", "confusion_matrix"])
    assert {name: found[name] for name in ("accuracy", *NAMES)} == pytest.approx(
        {"accuracy": 4 / 6, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    )
    assert found["confusion_matrix"].tolist() == [[2, 1], [1, 2]]
    assert [type(value) for value in found.values()] == [float] * 4 + [np.ndarray]


def test_numbers_by_hand(says):
    found = nn.evaluate(says, ([[1.0], [2.0], [3.0]], [[1.5], [2.0], [5.0]]), ["mae", "mse", "r2"])
    mean = 8.5 / 3
    total = sum((y - mean) ** 2 for y in (1.5, 2.0, 5.0))
    assert found == pytest.approx({"mae": 2.5 / 3, "mse": 4.25 / 3, "r2": 1 - 4.25 / total})


def test_accuracy_misleads_where_classes_are_unbalanced(says):
    y = np.array([1] + [0] * 19)
    found = nn.evaluate(says, (np.full(20, -1.0), y), ["accuracy", *NAMES, "recall_macro", "confusion_matrix"])
    matrix = found.pop("confusion_matrix")
    assert found == {"accuracy": 0.95, "precision": 0.0, "recall": 0.0, "f1": 0.0, "recall_macro": 0.5}
    assert matrix.tolist() == [[19, 0], [1, 0]]


# ----------------------------------------------------------------------------------------------------------------------
# Against scikit-learn.


def test_many_classes(says):
    answers = SCORES.argmax(1)
    expected = {
        "accuracy": metrics.accuracy_score(LABELS, answers),
        **{
            f"{name}_{average}": getattr(metrics, f"{name}_score")(LABELS, answers, average=average)
            for name in NAMES
            for average in ("macro", "weighted")
        },
    }
    found = nn.evaluate(says, (SCORES, LABELS), [*expected, "confusion_matrix"], batch_size=7)
    np.testing.assert_array_equal(found.pop("confusion_matrix"), metrics.confusion_matrix(LABELS, answers))
    assert found == pytest.approx(expected, rel=1e-12)
    assert len(set(expected.values())) > 4  # so that one cannot stand for another


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("low", [0, -1])
@pytest.mark.parametrize("kind", [int, float])
def test_one_score_for_two_classes(says, column, low, kind):
    y = np.where(LABELS > 1, 1, low)
    scores = SCORES[:, 0]
    answers = np.where(scores > 0, 1, low)
    x, targets = (scores[:, None], y[:, None]) if column else (scores, y)
    found = nn.evaluate(says, (x, targets.astype(kind)), ["accuracy", *NAMES, "confusion_matrix"])
    np.testing.assert_array_equal(found.pop("confusion_matrix"), metrics.confusion_matrix(y, answers))
    expected = {name: getattr(metrics, f"{name}_score")(y, answers) for name in ("accuracy", *NAMES)}
    assert found == pytest.approx(expected, rel=1e-12)


def test_two_scores_for_two_classes(says):
    y, scores = LABELS % 2, SCORES[:, :2]
    found = nn.evaluate(says, (scores, y), ["f1", "precision"])
    assert found["f1"] == pytest.approx(metrics.f1_score(y, scores.argmax(1)), rel=1e-12)
    assert found["precision"] == pytest.approx(metrics.precision_score(y, scores.argmax(1)), rel=1e-12)


def test_several_numbers_for_each_sample(says):
    y = SCORES + RANDOM.normal(size=SCORES.shape)
    expected = {
        "mae": metrics.mean_absolute_error(y, SCORES),
        "mse": metrics.mean_squared_error(y, SCORES),
        "r2": metrics.r2_score(y, SCORES),
    }
    assert nn.evaluate(says, (SCORES, y), list(expected)) == pytest.approx(expected, rel=1e-12)


def test_metrics_of_numbers_get_the_numbers_also_where_targets_are_classes(says):
    y = LABELS % 2
    found = nn.evaluate(says, (SCORES[:, 0], y), ["mse", "accuracy"])
    assert found["mse"] == pytest.approx(((SCORES[:, 0] - y) ** 2).mean(), rel=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# Functions, names, and what decides.


def test_functions_get_classes_or_numbers(says):
    seen = []

    def spy(y_true, y_pred):
        seen.append((y_true.tolist(), y_pred.tolist()))
        return len(y_true)

    assert nn.evaluate(says, ([[0.0, 2.0], [3.0, 1.0]], [1, 1]), spy) == {"spy": 2.0}
    nn.evaluate(says, ([2.0, -2.0], [-1.0, -1.0]), spy)
    nn.evaluate(says, ([2.0, -2.0], [0.5, 1.0]), spy)
    nn.evaluate(says, ([[2.0, -2.0]], [[0.0, 1.0]]), spy)
    assert seen == [([1, 1], [1, 0]), ([-1, -1], [1, -1]), ([0.5, 1.0], [2.0, -2.0]), ([[0.0, 1.0]], [[2.0, -2.0]])]


def test_names_of_ones_own(says):
    data = SCORES, LABELS
    found = nn.evaluate(says, data, {"kappa": metrics.cohen_kappa_score, "share": "accuracy"})
    assert found["kappa"] == pytest.approx(metrics.cohen_kappa_score(LABELS, SCORES.argmax(1)))
    assert found["share"] == nn.evaluate(says, data, "accuracy")["accuracy"]
    per_class = nn.evaluate(says, data, lambda y, p: metrics.f1_score(y, p, average=None))["<lambda>"]
    np.testing.assert_allclose(per_class, metrics.f1_score(LABELS, SCORES.argmax(1), average=None))


def test_decide_makes_the_predictions(says):
    y, scores = LABELS % 2, SCORES[:, :1]
    area = nn.evaluate(says, (scores, y), metrics.roc_auc_score, decide=np.ravel)
    assert area["roc_auc_score"] == pytest.approx(metrics.roc_auc_score(y, scores[:, 0]))
    one_hot = np.eye(4)[LABELS]
    found = nn.evaluate(says, (SCORES, LABELS + 10), ["accuracy", "f1_macro"], decide=lambda s: s.argmax(1) + 10)
    assert found == nn.evaluate(says, (SCORES, LABELS), ["accuracy", "f1_macro"])
    with pytest.raises(ValueError, match="accuracy compares classes"):
        nn.evaluate(says, (SCORES, one_hot), "accuracy")
    hesitant = nn.evaluate(says, ([0.1, 5.0], [1, 1]), "confusion_matrix", decide=lambda s: np.where(s > 1, 1, 2))
    assert hesitant["confusion_matrix"].tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    nothing = nn.evaluate(says, ([-3.0, -5.0], [0, 0]), "f1", decide=lambda s: (s > 0).astype(int))
    assert nothing == {"f1": 0.0}  # class 1 is the larger one, also where it does not occur


def test_the_threshold_of_logits_and_of_probabilities(engine, says):
    y, scores = [0, 0, 1, 1], [0.2, 0.4, 0.6, 0.8]
    assert nn.evaluate(says, (scores, y), "accuracy") == {"accuracy": 0.5}
    assert nn.evaluate(says, (scores, y), "accuracy", threshold=0.5) == {"accuracy": 1.0}
    assert nn.evaluate(says, (scores, y), "accuracy", threshold=0.7) == {"accuracy": 0.75}
    ends_in_sigmoid = nn.Sequential(nn.Tanh(), nn.Sequential(Says(engine), nn.Sigmoid()))
    assert nn.evaluate(ends_in_sigmoid, ([-2.0, -1.0, 1.0, 2.0], y), "accuracy") == {"accuracy": 1.0}
    begins_with_sigmoid = nn.Sequential(nn.Sigmoid(), Says(engine))
    assert nn.evaluate(begins_with_sigmoid, ([-2.0, -1.0, 1.0, 2.0], y), "accuracy") == {"accuracy": 0.5}


def test_classes_of_new_samples(says):
    np.testing.assert_array_equal(nn.predict_classes(says, SCORES, 9), SCORES.argmax(1))
    assert nn.predict_classes(says, [[0.0, 2.0], [3.0, 1.0]], classes=["ham", "spam"]).tolist() == ["spam", "ham"]
    assert nn.predict_classes(says, [[0.5], [-0.5], [0.0]]).tolist() == [1, 0, 0]
    assert nn.predict_classes(says, [0.5, -0.5], classes=(-1, 1)).tolist() == [1, -1]
    assert nn.predict_classes(says, [0.5, 0.9], threshold=0.7).tolist() == [0, 1]


# ----------------------------------------------------------------------------------------------------------------------
# Degenerate and bad input.


def test_degenerate_cases_give_numbers_and_no_warnings(says):
    every = ["accuracy", *NAMES, *[f"{name}_macro" for name in NAMES], *[f"{name}_weighted" for name in NAMES]]
    for scores, y in [([1.0], [1]), ([1.0], [0]), ([-1.0, -1.0], [0, 0]), ([-1.0], [-1]), ([[1.0, 0.0]], [1])]:
        found = nn.evaluate(says, (scores, y), [*every, "confusion_matrix", "accuracy"][:-1])
        assert found.pop("confusion_matrix").sum() == len(y)
        assert all(0 <= value <= 1 for value in found.values())
    assert math.isnan(nn.evaluate(says, ([1.0], [2.0]), "r2")["r2"])
    assert nn.evaluate(says, ([1.0, 2.0], [3.0, 3.0]), "r2") == {"r2": 0.0}  # targets without variance
    many = np.eye(40)
    assert nn.evaluate(says, (many, np.arange(40)), every[:1] + every[4:])["f1_macro"] == 1.0
    absent = nn.evaluate(says, ([[0.0, 1.0, 0.0]], [1]), "confusion_matrix")["confusion_matrix"]
    assert absent.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_model_that_has_diverged_has_no_score(says):
    says.zero.copy_([math.inf])
    found = nn.evaluate(says, (SCORES, LABELS), ["accuracy", "confusion_matrix", "mse"])
    assert all(math.isnan(value) for value in found.values())
    assert list(found) == ["accuracy", "confusion_matrix", "mse"]


def test_what_does_not_go_together_is_refused(says):
    three = SCORES[:, :3], LABELS % 3
    for data, metric, settings, words in [
        (three, "f1", {}, "there are 3; give f1_macro or f1_weighted"),
        (three, "accurate", {}, "'accurate' is unknown; give a function, or one of accuracy"),
        (three, [3], {}, "metrics="),
        (three, {"a": 3}, {}, "the metric 3 is unknown"),
        (three, ["accuracy", "accuracy"], {}, "a name of its own"),
        (three, "mse", {}, r"answers have shape \(60, 3\), y \(60,\)"),
        ((SCORES, LABELS + 1), "accuracy", {}, r"labels \(N,\) from 0 to C-1"),
        ((SCORES[:, 0], SCORES[:, 1]), "accuracy", {}, "accuracy compares classes"),
        ((SCORES[:, 0], LABELS), "accuracy", {}, "from 0 to 3"),
        (three, "accuracy", {"threshold": 0.5}, r"\(N,\) or \(N, 1\), to compare with a threshold"),
        (three, "accuracy", {"decide": lambda s: s[:3].argmax(1)}, r"decide gives shape \(3,\) for 60 samples"),
        (three, "accuracy", {"decide": np.sum}, r"decide gives shape \(\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            nn.evaluate(says, data, metric, **settings)
    with pytest.raises(TypeError, match="threshold='half'"):
        nn.evaluate(says, ([1.0], [1]), "accuracy", threshold="half")
    with pytest.raises(TypeError, match="report gave"):
        nn.evaluate(says, three, {"report": metrics.classification_report})
    with pytest.raises(ValueError, match="the model tells 4 classes apart"):
        nn.predict_classes(says, SCORES, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"scores must have shape \(N, C\)"):
        nn.predict_classes(says, np.zeros((2, 3, 4)))
    with pytest.raises(TypeError, match="is not a model"):
        nn.evaluate(nn.mse_loss, three, "accuracy")
