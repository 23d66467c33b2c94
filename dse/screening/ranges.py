"""What a space costs from end to end, by a few hundred random candidates: a first look, before `screening`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.cost.metrics import LIMITED_COSTS
from dse.errors import DseError
from dse.hardware.boards import Board
from dse.hardware.budget import Budgets
from dse.screening.report import images_text
from dse.screening.screening import Screening
from dse.space.space import Space

CANDIDATES = 500
COSTS = tuple(metric.name for metric in LIMITED_COSTS)


@dataclass(frozen=True)
class CostRange:
    """The spread of one cost."""

    smallest: int
    median: int
    largest: int


@dataclass(frozen=True)
class SpaceCost:
    """Costs of random networks of a space, and the fraction of them that fits each board."""

    space: str
    images: str
    networks: int
    ranges: dict[str, CostRange]  # by cost
    fits: dict[str, float]  # by board

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        spread = {name: vars(one) for name, one in self.ranges.items()}
        return {"space": self.space, **spread, "fits": self.fits}


def space_cost(space: Space, boards: Sequence[Board] = ()) -> SpaceCost:
    """The costs of CANDIDATES random candidates, with what runs on the first board. Raises DseError where none of them
    is a network."""
    budgets = Budgets.of_boards(boards)
    costs = [cost for cost in Screening(space, library=budgets.libraries[0]).costs(CANDIDATES) if cost]
    images = images_text(space.inputs())
    if not costs:
        raise DseError(f"none of {CANDIDATES} candidates of {space.name} is a network of {images}")
    spread = {name: np.percentile([getattr(cost, name) for cost in costs], [0, 50, 100]) for name in COSTS}
    return SpaceCost(
        space.name,
        images,
        len(costs),
        {name: CostRange(*map(int, values)) for name, values in spread.items()},
        {
            board.name: sum(budgets.by_board[board.name].excess(cost) <= 0 for cost in costs) / len(costs)
            for board in boards
        },
    )
