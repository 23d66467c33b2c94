"""Dominance and fronts. Points are rows of an array in which smaller is better; `signed` turns objectives so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dse.cost.metrics import DIRECTIONS


def non_dominated(points: np.ndarray) -> np.ndarray:
    """Which rows of an (n, d) array no other row beats; equal rows all stay.

    >>> non_dominated(np.array([[1, 3], [2, 2], [2, 4], [2, 2]])).tolist()
    [True, True, False, True]
    """
    # What beats a row comes before it in the order of the first column, then the second and so on: each row that is
    # left removes what it beats, and only as many passes are made as there are rows on the front.
    left = np.lexsort(points.T[::-1])
    place = 0
    while place < len(left):
        rows, row = points[left], points[left[place]]
        left = left[~((rows >= row).all(axis=1) & (rows > row).any(axis=1))]
        place += 1
    found = np.zeros(len(points), dtype=bool)
    found[left] = True
    return found


def signed(rows: Sequence[Mapping[str, float]], objectives: Sequence[str]) -> np.ndarray:
    """The objectives of every row as an (n, d) array in which smaller is better.

    >>> signed([{"accuracy": 0.5, "params": 10}], ["accuracy", "params"]).tolist()
    [[-0.5, 10.0]]
    """
    signs = [-1.0 if DIRECTIONS[name] == "maximize" else 1.0 for name in objectives]
    table = [[sign * float(row[name]) for sign, name in zip(signs, objectives, strict=True)] for row in rows]
    return np.array(table, dtype=float).reshape(len(rows), len(objectives))


def front_rows(rows: Sequence[Mapping[str, float]], objectives: Sequence[str]) -> list[int]:
    """Indices of the rows on the front, best accuracy (first objective) first."""
    if not rows:
        return []
    points = signed(rows, objectives)
    indices = np.flatnonzero(non_dominated(points))
    return [int(i) for i in indices[np.lexsort(points[indices].T[::-1])]]
