"""Random choices, drawn very often: every way through them is followed once and remembered.

What a space makes of its open values (a stage's blocks, say) costs a thousand times as much as drawing the values, and
in a hundred thousand candidates the same values come again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np

from dse.space.domains import Domain, FloatRange

T = TypeVar("T")
Chooser = Callable[[str, Domain], Any]
DRAWN_AT_ONCE = 4096


class Uniform:
    """Random numbers in [0, 1), drawn many at a time: one by one they would cost more than all else."""

    def __init__(self, seed: int | tuple[int, ...]) -> None:
        self.reseed(seed)

    def reseed(self, seed: int | tuple[int, ...]) -> None:
        """Begins another sequence."""
        self.rng = np.random.default_rng(seed)
        self._numbers = self._endless()

    def __call__(self) -> float:
        return next(self._numbers)

    def _endless(self) -> Iterator[float]:
        while True:
            yield from self.rng.random(DRAWN_AT_ONCE).tolist()


class _Fork:
    """A choice that has come up: its values, and what followed each of them."""

    __slots__ = ("count", "next", "values")

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values, self.count = values, len(values)
        self.next: list[Any] = [None] * len(values)


class _End(Generic[T]):
    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


class Choices(Generic[T]):
    """What `make` returns for random choices, each way through them made once.

    `make` must ask the same choices in the same order when it gets the same answers. A real range cannot be remembered:
    with one, `make` is called every time.
    """

    def __init__(self, make: Callable[[Chooser], T], uniform: Uniform) -> None:
        self._make, self._uniform = make, uniform
        self._root: _Fork | _End[T] | None = None
        self._countless = False

    def draw(self) -> T:
        """One random result; every value of a domain is equally likely, as in `Space.sample`."""
        taken: list[tuple[_Fork, int]] = []
        node = self._root
        while type(node) is _Fork:
            index = int(self._uniform() * node.count)
            taken.append((node, index))
            node = node.next[index]
        return node.value if type(node) is _End else self._grow(taken)

    def _grow(self, taken: list[tuple[_Fork, int]]) -> T:
        known = iter(taken)
        forks: list[tuple[_Fork, int]] = []

        def choose(path: str, domain: Domain) -> Any:
            if isinstance(domain, FloatRange):
                self._countless = True
                return domain.sample(self._uniform.rng)
            step = next(known, None)
            if step is None:
                fork = _Fork(tuple(domain.values()))
                step = (fork, int(self._uniform() * fork.count))
                forks.append(step)
            return step[0].values[step[1]]

        value = self._make(choose)
        if self._countless:
            self._root = None
            return value
        way = [*taken, *forks]
        for (fork, index), (next_fork, _) in pairwise(way):
            fork.next[index] = next_fork
        if way:
            fork, index = way[-1]
            fork.next[index] = _End(value)
        self._root = way[0][0] if way else _End(value)
        return value
