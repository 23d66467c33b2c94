"""Figures of a classifier, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dse._util.intervals import wilson
from dse.export.report import ClassRates
from dse.export.scores import accuracy, confusion, mean_intervals


def test_confusion_by_hand() -> None:
    labels, found = np.array([0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2])
    figures = confusion(found, labels, ("a", "b", "c", "d"))
    assert figures.confusion_matrix == ((1, 0, 0, 0), (0, 1, 0, 0), (0, 1, 2, 0), (0, 0, 0, 0))
    # b: one of two that were found is right, and the only one there is was found: F1 = 2 * 1/2 * 1 / (3/2)
    assert points(figures.per_class["b"]) == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "images": 1,
    }
    assert points(figures.per_class["c"]) == {
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": 0.8,
        "images": 3,
    }
    # nobody has ever seen a d
    assert points(figures.per_class["d"]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}
    assert figures.per_class["d"].recall_95 == (0.0, 1.0)
    assert figures.mean.precision == pytest.approx((1 + 0.5 + 1 + 0) / 4)


def points(figures: ClassRates) -> dict[str, float]:
    """Figures without their intervals."""
    return {name: value for name, value in figures if not name.endswith("_95")}


def test_shares_have_wilsons_interval() -> None:
    labels, found = np.repeat([0, 1], 100), np.repeat([0, 1, 0, 1], [80, 20, 10, 90])
    figures = confusion(found, labels, ("no", "yes"))
    yes = figures.per_class["yes"]
    assert yes.recall_95 == wilson(90, 100)
    assert yes.precision_95 == wilson(90, 110)
    low, high = wilson(90, 90 + 20 + 10)  # right, wrongly yes, wrongly no
    assert yes.f1_95 == (2 * low / (1 + low), 2 * high / (1 + high))
    assert yes.f1_95[0] < yes.f1 < yes.f1_95[1]
    assert figures.confusion_matrix_95
    assert figures.confusion_matrix_95[0] == (wilson(80, 100), wilson(20, 100))


def test_means_over_classes_have_the_interval_that_resampling_gives() -> None:
    """The delta method beside what it is a shortcut for: the spread over many draws of as many images."""
    matrix = np.array([[400, 60, 40], [30, 250, 20], [25, 15, 160]])
    rng = np.random.default_rng(0)
    draws = rng.multinomial(matrix.sum(), matrix.ravel() / matrix.sum(), 20_000).reshape(-1, 3, 3)
    hits, rows, columns = np.einsum("nii->ni", draws), draws.sum(2), draws.sum(1)
    drawn = {"recall": hits / rows, "precision": hits / columns, "f1": 2 * hits / (rows + columns)}
    found = mean_intervals(matrix)
    for name, values in drawn.items():
        wanted = np.percentile(values.mean(1), [2.5, 97.5])
        np.testing.assert_allclose(found[f"{name}_95"], wanted, atol=0.0015)


def test_classes_that_nobody_found_have_no_slope() -> None:
    found = mean_intervals(np.array([[5, 0, 0], [0, 0, 0], [1, 0, 0]]))
    assert all(0 <= low <= high <= 1 for low, high in found.values())
    right = mean_intervals(np.array([[10, 0], [0, 20]]))
    assert right["f1_95"] == wilson(30, 30)  # not that it is sure to be 1


def test_intervals_are_within_0_and_1() -> None:
    assert all(wilson(0, n)[0] >= 0 and wilson(n, n)[1] <= 1 for n in range(1, 500))


def test_many_classes_have_no_interval_for_each_cell() -> None:
    figures = confusion(np.arange(30), np.arange(30), [str(i) for i in range(30)])
    assert figures.confusion_matrix_95 is None
    assert len(figures.per_class) == 30


def test_accuracy_has_its_interval() -> None:
    score = accuracy(np.array([1] * 80 + [0] * 20), np.ones(100, int))
    assert score.accuracy == 0.8
    # Wilson's interval for 80 of 100, as in every table
    assert (round(score.low_95, 3), round(score.high_95, 3)) == (0.711, 0.867)
