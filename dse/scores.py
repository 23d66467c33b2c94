"""How well classes were found: accuracy with its interval, confusion matrix, precision, recall, F1. By scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dse.statistics import wilson


def accuracy(found: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The share of the classes that are right, with its 95 % interval (Wilson)."""
    correct = int(np.sum(found == labels))
    low, high = wilson(correct, len(labels))
    return {"accuracy": correct / len(labels), "low_95": low, "high_95": high}


def confusion(found: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Confusion matrix (a row per true class), and precision, recall and F1 of each class and in the mean.

    A class that was never found has precision 0.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    numbers = np.arange(len(classes))
    figures = precision_recall_fscore_support(labels, found, labels=numbers, zero_division=0)
    precision, recall, f1, support = (np.asarray(values).tolist() for values in figures)
    means = {"precision": precision, "recall": recall, "f1": f1}
    return {
        "confusion_matrix": confusion_matrix(labels, found, labels=numbers).tolist(),
        "per_class": {
            name: {"precision": precision[i], "recall": recall[i], "f1": f1[i], "images": support[i]}
            for i, name in enumerate(classes)
        },
        "mean": {name: math.fsum(values) / len(values) for name, values in means.items()},
    }
