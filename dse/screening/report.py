"""What a screening says of a space: how much of it fits a board, which limit binds, how its costs are spread."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.cost.metrics import BY_NAME, COSTS, RECORDED
from dse.hardware.budget import Budget, Budgets
from dse.network.candidate import Candidate
from dse.network.layers import Shape
from dse.screening.screening import Screened, candidate_of_row
from dse.space.space import Defaults, Space

PERCENTS = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class Fit:
    """How much of a space keeps to one budget; shares are of the candidates that are networks."""

    board: str
    budget: Budget
    fitting: int
    share: float
    breaks: dict[str, float]  # by limit: the share that breaks it
    binds: dict[str, float]  # by limit: the share in which it is the one broken most; with `share` they make 1
    most_macs: int | None  # of what fits; None where nothing does
    candidate: Candidate | None  # the one with most MACs

    @property
    def limits(self) -> dict[str, float]:
        """The limits of the budget, by the name of what they limit."""
        return self.budget.limits()


@dataclass(frozen=True)
class ScreenReport:
    """A screening in figures."""

    space: str
    inputs: tuple[Shape, Shape]  # the smallest and the largest image
    count: int
    impossible: int  # drawn candidates that describe no network
    seed: int
    spread: dict[str, list[float]]  # by cost, as `spread_name` has it: its percentiles PERCENTS
    fits: list[Fit]

    @property
    def images(self) -> str:
        """What images the networks take, as a part of a sentence."""
        return images_text(self.inputs)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        names = [f"p{percent}" for percent in PERCENTS]
        return {
            "space": self.space,
            "input": list(self.inputs[0]),
            "largest_input": list(self.inputs[1]),
            "count": self.count,
            "impossible": self.impossible,
            "seed": self.seed,
            "spread": {name: dict(zip(names, values, strict=True)) for name, values in self.spread.items()},
            "boards": {
                fit.board: {
                    "limits": fit.limits,
                    "fitting": fit.fitting,
                    "share": fit.share,
                    "breaks": fit.breaks,
                    "binds": fit.binds,
                    "most_macs": fit.most_macs,
                    "candidate": fit.candidate.to_dict() if fit.candidate else None,
                }
                for fit in self.fits
            },
        }


def report(space: Space, defaults: Defaults, screened: Screened, budgets: Budgets) -> ScreenReport:
    """The figures of a screening under the budgets of some boards. Some of its candidates must be networks."""
    possible = screened.possible
    spread = {
        spread_name(name, budget): [_number(name, v) for v in np.percentile(values[possible], PERCENTS)]
        for name, budget in shown(budgets.by_board.values())
        for values in [screened.column(name, budget)]
    }
    fits = [_fit(space, defaults, screened, name, budget) for name, budget in budgets.by_board.items()]
    return ScreenReport(
        space.name, space.inputs(defaults), len(possible), int(np.sum(~possible)), screened.seed, spread, fits
    )


def images_text(inputs: tuple[Shape, Shape]) -> str:
    """Images of all sizes between two.

    >>> images_text(((32, 32, 3), (32, 32, 3))), images_text(((48, 48, 1), (96, 96, 3)))
    ('32x32x3 images', '48x48x1 to 96x96x3 images')
    """
    return " to ".join(dict.fromkeys("x".join(map(str, shape)) for shape in inputs)) + " images"


def shown(budgets: Iterable[Budget], always: Container[str] = RECORDED) -> list[tuple[str, Budget | None]]:
    """The metrics that a screening shows: these, and those that a budget limits; by board those that depend on one."""
    budgets = list(budgets)
    found: list[tuple[str, Budget | None]] = []
    for metric in COSTS:
        limiting = [budget for budget in budgets if metric.name in budget.limits()]
        if metric.by_board:
            found += [(metric.name, budget) for budget in limiting]
        elif metric.name in always or limiting:
            found.append((metric.name, None))
    return found


def spread_name(name: str, budget: Budget | None) -> str:
    """What the spread of a metric is called: with the board where it depends on one.

    >>> spread_name("macs", None)
    'macs'
    """
    return f"{name} on {budget.board.name}" if budget and budget.board else name


def fitting_rows(screened: Screened, budget: Budget) -> np.ndarray:
    """Which rows are networks that keep to a budget, (count,)."""
    keeps = [screened.column(name, budget) <= limit for name, limit in budget.limits().items()]
    return np.asarray(np.logical_and.reduce([screened.possible, *keeps]))


def _number(name: str, value: float) -> float:
    return int(value) if BY_NAME[name].unit.whole else float(value)


def _fit(space: Space, defaults: Defaults, screened: Screened, board: str, budget: Budget) -> Fit:
    fitting, limits = fitting_rows(screened, budget), budget.limits()
    possible = int(np.sum(screened.possible))
    excess = np.array([screened.column(name, budget) / limit - 1 for name, limit in limits.items()])
    worst, left_out = excess.argmax(0), screened.possible & ~fitting
    row = int(np.where(fitting, screened.column("macs"), -1).argmax()) if fitting.any() else None
    return Fit(
        board,
        budget,
        int(np.sum(fitting)),
        float(np.sum(fitting) / possible),
        {name: float(np.sum((excess[i] > 0) & screened.possible) / possible) for i, name in enumerate(limits)},
        {name: float(np.sum((worst == i) & left_out) / possible) for i, name in enumerate(limits)},
        None if row is None else int(screened.column("macs")[row]),
        None if row is None else candidate_of_row(space, defaults, screened.seed, row),
    )
