"""Random values for a part of a space, drawn very often: what they lead to is made once and remembered.

What a space makes of its open values (a stage's blocks, say) costs a hundred times as much as drawing the values, and
in a hundred thousand candidates the same values come again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from dse.space.conditions import Assignment, Node, Open
from dse.space.domains import FloatRange

T = TypeVar("T")
DRAWN_AT_ONCE = 4096


class Uniform:
    """Random numbers in [0, 1), drawn many at a time: one by one they would cost more than all else."""

    def __init__(self, seed: int | tuple[int, ...]) -> None:
        self.reseed(seed)

    def reseed(self, seed: int | tuple[int, ...]) -> None:
        """Begins another sequence; `next` gives its next number."""
        self.rng = np.random.default_rng(seed)
        self.next = self._endless().__next__

    def _endless(self) -> Iterator[float]:
        while True:
            yield from self.rng.random(DRAWN_AT_ONCE).tolist()


class _Fork:
    """An open value with its domain written out; none for a real range."""

    __slots__ = ("below", "count", "domain", "path", "values")

    def __init__(self, node: Open) -> None:
        self.path, self.domain = node.path, node.domain
        self.values = () if isinstance(node.domain, FloatRange) else tuple(node.domain.values())
        self.count = len(self.values)
        self.below = [_forks(node.after(value)) for value in self.values] if node.below else None


def _forks(nodes: Iterable[Node]) -> list[_Fork]:
    return [_Fork(node) for node in nodes if isinstance(node, Open)]


class Memo(Generic[T]):
    """What `make` returns for random values of some nodes, made once for equal values.

    With a value of a real range, which hardly comes again, it is made every time.
    """

    def __init__(self, nodes: Sequence[Node], make: Callable[[Assignment], T], uniform: Uniform) -> None:
        self._forks, self._make, self._uniform = _forks(nodes), make, uniform
        self._made: dict[tuple[float, ...], T] = {}

    def draw(self) -> T:
        """One random result; every value of a domain is equally likely, as in `Space.sample`."""
        steps: list[float] = []
        lasting = self._pick(self._forks, steps)
        key = tuple(steps)
        if key in self._made:
            return self._made[key]
        values: dict[str, Any] = {}
        _read(self._forks, iter(steps), values)
        made = self._make(values)
        if lasting:
            self._made[key] = made
        return made

    def _pick(self, forks: list[_Fork], steps: list[float]) -> bool:
        """Adds the index of a random value of each fork and of those below it, or the value of a real range.

        False with a real range.
        """
        lasting = True
        for fork in forks:
            if fork.count:
                index = int(self._uniform.next() * fork.count)
                steps.append(index)
                if fork.below and not self._pick(fork.below[index], steps):
                    lasting = False
            else:
                steps.append(fork.domain.sample(self._uniform.rng))
                lasting = False
        return lasting


def _read(forks: list[_Fork], steps: Iterator[float], values: dict[str, Any]) -> None:
    for fork in forks:
        step = next(steps)
        values[fork.path] = fork.values[int(step)] if fork.count else step
        if fork.below:
            _read(fork.below[int(step)], steps, values)
