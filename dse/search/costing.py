"""What is known of a network before it is trained: whether it fits, what it costs, how large it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

from dse.hardware.budget import Budgets, Cost
from dse.screening.quick import QuickCosts
from dse.screening.sections import SectionCost
from dse.space.conditions import Assignment, Value, assignments
from dse.space.space import Defaults, Space

REMEMBERED = 20_000  # networks
LISTED = 1500  # assignments of a space, up to which all are looked at for each proposal


@dataclass(frozen=True)
class Known:
    """Of one network."""

    excess: float  # of the limit that is broken most, relative to it; at most 0 when the network fits
    costs: Mapping[str, float]  # by the names of metrics, those among the objectives at least
    sizes: tuple[float, ...]  # see `sizes_of`


class Costing(Protocol):
    """Knows the networks of assignments."""

    @property
    def every(self) -> Sequence[Assignment] | None:
        """All assignments that there are; None where they are too many."""
        ...

    def __call__(self, assignment: Assignment) -> Known | None:
        """What is known of the network of an assignment; None where there is none."""
        ...

    def rough(self, assignment: Assignment) -> Known | None:
        """The same in a fraction of the time; memory may be a little more in truth."""
        ...


class SpaceCosting:
    """Costs the assignments of a space."""

    def __init__(
        self, space: Space, defaults: Defaults, budgets: Budgets, values: Callable[[Cost], Mapping[str, float]]
    ) -> None:
        self._quick = QuickCosts(space, defaults, budgets.libraries[0])
        self._budgets, self._values = budgets, values
        self._known = lru_cache(maxsize=REMEMBERED)(partial(self._by, self._quick.of))
        self._rough = lru_cache(maxsize=REMEMBERED)(partial(self._by, self._quick.roughly))
        self.every = list(assignments(space.template.nodes)) if space.size() <= LISTED else None

    def __call__(self, assignment: Assignment) -> Known | None:
        return self._known(tuple(assignment.items()))

    def rough(self, assignment: Assignment) -> Known | None:
        return self._rough(tuple(assignment.items()))

    def _by(
        self, cost_of: Callable[[Assignment], SectionCost | None], items: tuple[tuple[str, Value], ...]
    ) -> Known | None:
        found = cost_of(dict(items))
        if found is None:
            return None
        return Known(self._budgets.excess(found), self._values(found), sizes_of(found))


def sizes_of(cost: Any) -> tuple[float, ...]:
    """By which networks of like accuracy lie near one another: logarithms of MACs and parameters, operators."""
    return math.log(max(cost.macs, 1)), math.log(max(cost.params, 1)), float(cost.num_operators)
