"""The choices of a candidate as numbers, so that candidates which differ little lie near one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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
    _known: dict[object, tuple[list[int], list[float]]] = field(default_factory=dict)

    def entries(self, value: object) -> tuple[list[int], list[float]]:
        """In which columns something stands for a value, and what."""
        if (known := self._known.get(value)) is None:
            known = ([self.start + self.places[value]], [self.of_value]) if self.places else ([], [])
            if self.of_rank:
                known[0].append(self.start + len(self.places))
                known[1].append(self.of_rank * (_rank(self.domain, value) - 0.5))
            if self.places:  # there are few
                self._known[value] = known
        return known


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

    def rows(self, assignments: Sequence[Assignment]) -> np.ndarray:
        """A row for each assignment, (count, width)."""
        places, numbers, ends = list[int](), list[float](), [0]
        for assignment in assignments:
            for columns in self._columns:
                if columns.path in assignment:
                    where, what = columns.entries(assignment[columns.path])
                    places += where
                    numbers += what
            ends.append(len(places))
        rows = np.zeros((len(assignments), self.width))
        rows[np.repeat(np.arange(len(assignments)), np.diff(ends)), places] = numbers
        return rows


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
