"""Assignments at random, and such as differ from another in one value or two: what a search looks at next.

Whether their values go together is not asked here: very many are drawn, and their costs tell (`dse.screening.quick`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dse.space.conditions import Assignment, Node, Open, Value, every_open
from dse.space.domains import Domain, FloatRange

STEP = 0.2  # of a real range, the standard deviation of a change


class Neighbours:
    """Draws assignments of a tree of open values."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._by_path = {node.path: node for node in every_open(nodes)}

    def random(self, rng: np.random.Generator) -> dict[str, Value]:
        """Every value uniform, as in `Space.sample`."""
        found: dict[str, Value] = {}
        _draw(self._nodes, rng, found, {})
        return found

    def changed(self, assignment: Assignment, count: int, rng: np.random.Generator) -> dict[str, Value]:
        """The same but for `count` values; what belongs to a family that was not chosen before is drawn."""
        found = dict(assignment)
        paths = list(found)
        for index in rng.permutation(len(paths))[:count]:
            if paths[index] in found:  # else its family is gone
                self._change(self._by_path[paths[index]], found, rng)
        return found

    def _change(self, node: Open, found: dict[str, Value], rng: np.random.Generator) -> None:
        gone: dict[str, Value] = {}
        _forget(node.after(found[node.path]), found, gone)
        found[node.path] = _another(node.domain, found[node.path], rng)
        _draw(node.after(found[node.path]), rng, found, gone)


def _draw(nodes: Sequence[Node], rng: np.random.Generator, found: dict[str, Value], kept: Assignment) -> None:
    """Values for these, those kept that stand beside a choice and so below each of its options."""
    for node in nodes:
        if isinstance(node, Open):
            found[node.path] = kept[node.path] if node.path in kept else node.domain.sample(rng)
            _draw(node.after(found[node.path]), rng, found, kept)


def _forget(nodes: Sequence[Node], found: dict[str, Value], gone: dict[str, Value]) -> None:
    for node in nodes:
        if isinstance(node, Open) and node.path in found:
            gone[node.path] = found.pop(node.path)
            _forget(node.after(gone[node.path]), found, gone)


def _another(domain: Domain, value: Value, rng: np.random.Generator) -> Value:
    """Another value of a domain; of a real range one that is near."""
    if isinstance(domain, FloatRange):
        low, high, here = domain.low, domain.high, float(value)
        if domain.log:
            low, high, here = math.log(low), math.log(high), math.log(here)
        moved = here + STEP * (high - low) * rng.standard_normal()
        moved = math.exp(moved) if domain.log else moved
        return float(min(max(moved, domain.low), domain.high))
    others = [other for other in domain.values() if other != value or type(other) is not type(value)]
    found: Value = others[int(rng.integers(len(others)))] if others else value
    return found
