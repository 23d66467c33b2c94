"""How well classes were found: accuracy, confusion matrix, precision, recall, F1, each with its 95 % interval.

The figures are scikit-learn's. Their intervals: Wilson's for a share, and so for accuracy, precision, recall and the
rows of the confusion matrix; for F1 that of F* = TP / (TP + FP + FN), a share, of which F1 = 2 F* / (1 + F*) is a
function that only rises (Hand, Christen, Kirielle 2021); for means over classes the delta method on the confusion
matrix (Takahashi et al. 2022, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dse._util.intervals import Z95, wilson
from dse.export.report import ClassFigures, ClassRates, Interval, Rates, Score

MOST_CELLS = 20  # classes up to which the cells of the confusion matrix have intervals: there are their square


def accuracy(found: np.ndarray, labels: np.ndarray) -> Score:
    """Accuracy: the fraction of the classes found that are correct, with its 95 % interval (Wilson)."""
    correct = int(np.sum(found == labels))
    low, high = wilson(correct, len(labels))
    return Score(accuracy=correct / len(labels), low_95=low, high_95=high)


def confusion(found: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> ClassFigures:
    """Confusion matrix, a row per true class, and what follows from it (`class_figures`)."""
    from sklearn.metrics import confusion_matrix

    return class_figures(confusion_matrix(labels, found, labels=np.arange(len(classes))), classes)


def class_figures(matrix: np.ndarray, classes: Sequence[str]) -> ClassFigures:
    """A confusion matrix of counts, with precision, recall and F1 of each class and in the mean.

    A class that was never found has precision 0. A matrix of few classes has the intervals of its cells, as shares of
    their rows.
    """
    from sklearn.metrics import precision_recall_fscore_support

    numbers = np.arange(len(classes))
    true, said = (cells.ravel() for cells in np.meshgrid(numbers, numbers, indexing="ij"))
    figures = precision_recall_fscore_support(true, said, labels=numbers, sample_weight=matrix.ravel(), zero_division=0)
    precision, recall, f1 = (np.asarray(values).tolist() for values in figures[:3])
    return ClassFigures(
        confusion_matrix=tuple(map(tuple, matrix.tolist())),
        confusion_matrix_95=_cell_intervals(matrix) if len(classes) <= MOST_CELLS else None,
        per_class={
            name: ClassRates(
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                **_class_intervals(matrix, i),
                images=int(matrix[i].sum()),
            )
            for i, name in enumerate(classes)
        },
        mean=Rates(precision=_mean(precision), recall=_mean(recall), f1=_mean(f1), **mean_intervals(matrix)),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _cell_intervals(matrix: np.ndarray) -> tuple[tuple[Interval, ...], ...]:
    return tuple(tuple(wilson(int(cell), int(row.sum())) for cell in row) for row in matrix)


def _class_intervals(matrix: np.ndarray, index: int) -> dict[str, Interval]:
    right, true, said = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
    low, high = wilson(right, true + said - right)
    return {
        "precision_95": wilson(right, said),
        "recall_95": wilson(right, true),
        "f1_95": (2 * low / (1 + low), 2 * high / (1 + high)),
    }


def mean_intervals(matrix: np.ndarray) -> dict[str, Interval]:
    """Intervals of mean precision, recall and F1 for a confusion matrix (classes, classes) of counts."""
    total, classes = matrix.sum(), len(matrix)
    shares = matrix / total
    rows, columns, hits = shares.sum(1), shares.sum(0), np.diag(shares)
    eye = np.eye(classes)

    def over(values: np.ndarray, by: np.ndarray) -> np.ndarray:
        return np.asarray(np.divide(values, by, out=np.zeros_like(values), where=by > 0))

    recall, precision, f1 = over(hits, rows), over(hits, columns), over(2 * hits, rows + columns)
    # What a little more in a cell changes: of a row its recall, of a column its precision, of both its F1.
    weight = over(np.ones(classes), rows + columns)
    slopes = {
        "precision": (precision, (eye - precision[None, :]) * over(np.ones(classes), columns)[None, :]),
        "recall": (recall, (eye - recall[:, None]) * over(np.ones(classes), rows)[:, None]),
        "f1": (f1, 2 * eye * weight[:, None] - (f1 * weight)[:, None] - (f1 * weight)[None, :]),
    }
    found = {}
    for name, (values, slope) in slopes.items():
        # The mean slope, which the variance would be around, is 0: figures are the same for all counts doubled.
        variance = float((shares * (slope / classes) ** 2).sum()) / total
        mean, half = float(values.mean()), Z95 * math.sqrt(variance)
        # Where all are right, or none, nothing varies: as one share of all images.
        ends = (mean - half, mean + half) if half else wilson(round(mean * total), int(total))
        found[f"{name}_95"] = (max(0.0, ends[0]), min(1.0, ends[1]))
    return found
