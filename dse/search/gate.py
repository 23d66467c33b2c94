"""The cost gate: what does not fit is never trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dse.cost.metrics import figure
from dse.cost.report import CostReport, estimate
from dse.hardware.budget import Budget, Budgets
from dse.network.candidate import Candidate
from dse.screening.feasibility import Nearest
from dse.search.settings import Settings


@dataclass(frozen=True)
class Judgement:
    """What a candidate costs, and how that compares with the limits."""

    cost: CostReport
    values: dict[str, float]  # that its trial records
    violations: dict[str, float]  # by how much each limit is broken; negative for room
    reasons: list[str]  # why it does not fit; none when it does


class Gate:
    """Judges candidates by their cost alone."""

    def __init__(self, budgets: Budgets, values_of: Callable[[CostReport], dict[str, float]]) -> None:
        self.budgets, self._values_of = budgets, values_of

    def cost_of(self, candidate: Candidate) -> CostReport:
        """What the candidate costs."""
        return estimate(candidate.network)

    def judge(self, candidate: Candidate) -> Judgement:
        """What the candidate costs, and whether it fits."""
        cost = self.cost_of(candidate)
        return Judgement(cost, self._values_of(cost), self.budgets.violations(cost), self.budgets.exceeded_by(cost))

    def fits(self, candidate: Candidate) -> bool:
        """Whether the candidate fits."""
        return not self.budgets.exceeded_by(self.cost_of(candidate))


def nothing_fits(settings: Settings, nearest: Nearest) -> str:
    """What to say when no candidate fits: the binding limit, the nearest candidate, what it would need."""
    board = settings.budgets.nearest(nearest.cost)
    budget = settings.budgets.by_board[board]
    violations = budget.violations(nearest.cost)
    binding = max(violations, key=lambda name: violations[name])
    limit = budget.limits()[binding]
    needed = {name: figure(name, budget.value(nearest.cost, name)) for name in violations}
    of_board = {b.name: Budget.of_board(b).limits() for b in settings.boards}.get(board, {})
    where = f" of board {board}" if of_board.get(binding) == limit else ""
    lines = [
        f"nothing in {settings.space.name} fits: {binding} is the binding limit ({figure(binding, limit)}{where})",
        f"the nearest candidate found needs {needed[binding]} ({nearest.excess:+.1%}):",
        "  " + ", ".join(f"{name} {value}" for name, value in needed.items()),
        f"  most of its memory at {nearest.cost.peak_operator}, which keeps alive "
        + ", ".join(f"{name} ({size:,})" for name, size in nearest.cost.peak_tensors),
        f"  {nearest.candidate.to_json()}",
    ]
    return "\n".join(lines)
