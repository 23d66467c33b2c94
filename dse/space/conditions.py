"""Which open values there are, and which of them matter under which choices: a tree that is walked in the order in
which values are given.

A node is an open value or a rule. Under a choice of families (or of whole networks) stand, for each of them, the nodes
that matter with it only. A rule stands where all of its values are known: values may be valid one by one, and yet not
go together. Sampling, enumerating and counting are functions over the tree; what the values mean is left to the
template.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dse.errors import NetworkError
from dse.space.domains import Domain, FloatRange

Value = str | int | float | bool
Assignment = Mapping[str, Value]
Chooser = Callable[[str, Domain], Any]  # gives the value of a path from its domain


@dataclass(frozen=True, slots=True)
class Open:
    """An open value; `below` has the nodes that matter with one of its labels only."""

    path: str
    domain: Domain
    below: Mapping[str, Sequence[Node]] = field(default_factory=dict)

    def after(self, value: Any) -> Sequence[Node]:
        """The nodes that matter with this value only."""
        return self.below.get(value, ()) if self.below else ()

    def of(self, values: Assignment) -> Any:
        """Its value among those of a walk."""
        return values[self.path]

    def possible(self) -> list[Any]:
        """The values that it may have; of a real range the two ends."""
        return list(self.domain.values())


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that the file gives."""

    value: Any

    def of(self, values: Assignment) -> Any:
        """The value, whatever is chosen."""
        return self.value

    def possible(self) -> list[Any]:
        """The only value."""
        return [self.value]


class Rule(Protocol):
    """What values above it in the tree must keep together."""

    def check(self, values: Assignment) -> None:
        """Raises NetworkError when they do not."""


Leaf = Fixed | Open
Node = Open | Rule


class Recorded:
    """The values of an assignment; `otherwise` gives those that it does not have.

    Without it a value that is missing raises NetworkError.
    """

    def __init__(self, assignment: Assignment, otherwise: Chooser | None = None) -> None:
        self._assignment, self._otherwise = assignment, otherwise

    def __call__(self, path: str, domain: Domain) -> Any:
        if path in self._assignment:
            return self._assignment[path]
        if self._otherwise:
            return self._otherwise(path, domain)
        raise NetworkError(path, f"no value given; known values: {', '.join(self._assignment) or 'none'}")


class Random:
    """Uniform draws."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, path: str, domain: Domain) -> Any:
        return domain.sample(self._rng)


def first(path: str, domain: Domain) -> Any:
    """The first value of a domain."""
    return next(iter(domain.values()))


@dataclass(frozen=True)
class Walk:
    """A way through a tree: what was chosen, the values that this stands for, and why it ended early, if it did."""

    chosen: dict[str, Any]
    values: dict[str, Any]
    problem: NetworkError | None = None


def walk(nodes: Sequence[Node], choose: Chooser) -> Walk:
    """A way through a tree, with a value from `choose` for every open value that matters.

    It ends where a value is missing or outside of its domain, and where values do not go together.
    """
    way = Walk({}, {})
    left = list(reversed(nodes))
    try:
        while left:
            node = left.pop()
            if not isinstance(node, Open):
                node.check(way.values)
                continue
            way.chosen[node.path] = choose(node.path, node.domain)
            try:
                value = way.values[node.path] = node.domain.option(way.chosen[node.path])
            except (ValueError, TypeError) as error:
                raise NetworkError(node.path, str(error)) from None
            left += reversed(node.after(value))
    except NetworkError as error:
        return Walk(way.chosen, way.values, error)
    return way


def assignments(nodes: Sequence[Node]) -> Iterator[dict[str, Any]]:
    """Every assignment whose values go together, the last value changing fastest; of a real range the two ends."""
    ways: list[tuple[tuple[Node, ...], dict[str, Any]]] = [(tuple(nodes), {})]
    while ways:
        left, values = ways.pop()
        while left and not isinstance(left[0], Open):
            try:
                left[0].check(values)
            except NetworkError:
                break
            left = left[1:]
        if not left:
            yield values
        elif isinstance(node := left[0], Open):
            ways += [
                ((*node.after(value), *left[1:]), values | {node.path: value}) for value in reversed(node.possible())
            ]


def active(nodes: Sequence[Node], assignment: Assignment) -> list[str]:
    """The paths of the open values that matter under an assignment, in the order in which they are given.

    Of a choice that the assignment does not have, nothing below matters.
    """
    paths = []
    left = list(reversed(nodes))
    while left:
        node = left.pop()
        if isinstance(node, Open):
            paths.append(node.path)
            left += reversed(node.after(assignment.get(node.path)))
    return paths


def every_open(nodes: Sequence[Node]) -> Iterator[Open]:
    """All open values, under whatever choice; one that stands beside a choice comes once for each of its options."""
    for node in nodes:
        if isinstance(node, Open):
            yield node
            for below in node.below.values():
                yield from every_open(below)


def has_conditions(nodes: Sequence[Node]) -> bool:
    """Whether there are values that matter under some choices only."""
    return sum(1 for _ in every_open(nodes)) > sum(isinstance(node, Open) for node in nodes)


def size(nodes: Sequence[Node]) -> float:
    """The number of assignments, whether their values go together or not; infinite with a real range."""
    return math.prod(_ways(node) for node in nodes if isinstance(node, Open))


def _ways(node: Open) -> float:
    if isinstance(node.domain, FloatRange):
        return math.inf
    return sum(size(node.after(value)) for value in node.domain.values())
