"""The choices of a candidate as numbers, so that candidates which differ little lie near one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dse.space.conditions import Assignment, Node, Open
from dse.space.domains import Choice, Domain, FloatRange

MOST_VALUES = 12  # whose order means something, up to which each has a column of its own


@dataclass(frozen=True)
class _Columns:
    """The columns of one open value: one for each of its values, or one for its place between the ends, or both."""

    path: str
    domain: Domain
    start: int
    places: dict[object, int]  # the column of a value, behind `start`
    of_value: float  # what stands in it
    of_rank: float  # by how much the last column differs between the ends; 0 without such a column

    def write(self, value: object, row: np.ndarray) -> None:
        """Fill the columns of a row."""
        if self.places:
            row[self.start + self.places[value]] = self.of_value
        if self.of_rank:
            row[self.start + len(self.places)] = self.of_rank * (_rank(self.domain, value) - 0.5)


class Encoding:
    """The open values of a space as columns.

    The squared distance of two rows is the number of values in which they differ: one whose order means something
    counts by how far apart its values are, too, and all values of a family together count as one.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._columns: list[_Columns] = []
        width = 0
        for path, domain, weight in _weighted(nodes, 1.0):
            columns = _columns_of(path, domain, weight, width)
            self._columns.append(columns)
            width += len(columns.places) + (columns.of_rank > 0)
        self.width = width

    def rows(self, assignments: Iterable[Assignment]) -> np.ndarray:
        """A row for each assignment, (count, width)."""
        found = []
        for assignment in assignments:
            row = np.zeros(self.width)
            for columns in self._columns:
                if columns.path in assignment:
                    columns.write(assignment[columns.path], row)
            found.append(row)
        return np.array(found).reshape(len(found), self.width)


def _weighted(nodes: Iterable[Node], weight: float) -> Iterator[tuple[str, Domain, float]]:
    """Every open value with what it weighs, once."""
    for node in nodes:
        if isinstance(node, Open):
            yield node.path, node.domain, weight
            families = [_by_path(below) for below in node.below.values()]
            counts = Counter(path for family in families for path in family)
            # What stands beside the choice is the same value under each of them.
            beside = {path: inner for family in families for path, inner in family.items() if counts[path] > 1}
            yield from _weighted(beside.values(), weight)
            for family in families:
                own = [inner for path, inner in family.items() if path not in beside]
                yield from _weighted(own, weight / max(1, len(own)))


def _by_path(nodes: Iterable[Node]) -> dict[str, Open]:
    return {node.path: node for node in nodes if isinstance(node, Open)}


def _columns_of(path: str, domain: Domain, weight: float, start: int) -> _Columns:
    values = list(dict.fromkeys(domain.values()))
    if len(values) == 1:
        return _Columns(path, domain, start, {}, 0.0, 0.0)
    few = not isinstance(domain, FloatRange) and (len(values) <= MOST_VALUES or not _is_ordered(domain))
    places = {value: place for place, value in enumerate(values)} if few else {}
    if not _is_ordered(domain) or (len(values) == 2 and few):
        return _Columns(path, domain, start, places, math.sqrt(weight / 2), 0.0)
    shared = weight / 2 if places else weight
    return _Columns(path, domain, start, places, math.sqrt(shared / 2), math.sqrt(shared))


def _is_ordered(domain: Domain) -> bool:
    return not isinstance(domain, Choice) or all(
        isinstance(label, (int, float)) and not isinstance(label, bool) for label in domain.labels
    )


def _rank(domain: Domain, value: object) -> float:
    """Where a value stands between the ends of its domain, which differ, from 0 to 1."""
    assert isinstance(value, (int, float))
    if isinstance(domain, Choice):
        labels = sorted(dict.fromkeys(domain.labels))
        return labels.index(value) / (len(labels) - 1)
    if isinstance(domain, FloatRange) and domain.log:
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return (value - domain.low) / (domain.high - domain.low)
