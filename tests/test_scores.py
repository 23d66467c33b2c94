"""Figures of a classifier, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dse.scores import accuracy, confusion


def test_confusion_by_hand() -> None:
    labels, found = np.array([0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2])
    figures = confusion(found, labels, ("a", "b", "c", "d"))
    assert figures["confusion_matrix"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0]]
    # b: one of two that were found is right, and the only one there is was found: F1 = 2 * 1/2 * 1 / (3/2)
    assert figures["per_class"]["b"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "images": 1}
    assert figures["per_class"]["c"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "images": 3}
    # nobody has ever seen a d
    assert figures["per_class"]["d"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}
    assert figures["mean"]["precision"] == pytest.approx((1 + 0.5 + 1 + 0) / 4)


def test_accuracy_has_its_interval() -> None:
    score = accuracy(np.array([1] * 80 + [0] * 20), np.ones(100, int))
    assert score["accuracy"] == 0.8
    # Wilson's interval for 80 of 100, as in every table
    assert (round(score["low_95"], 3), round(score["high_95"], 3)) == (0.711, 0.867)
