"""How a run stands: its trials counted, and its front."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dse.cost.report import CostReport, estimate
from dse.hardware.boards import Board
from dse.hardware.budget import Budget, memory_of
from dse.search.pareto import front_rows
from dse.search.record import TrialRecord


@dataclass
class Summary:
    """How a run stands."""

    objectives: list[str]
    records: list[TrialRecord] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many trials ended so."""
        return sum(record.outcome == outcome for record in self.records)

    @property
    def trained(self) -> int:
        """Trials that count towards `Settings.trials`: those that were trained or failed at it."""
        return self.count("complete") + self.count("failed")

    def front(self) -> list[TrialRecord]:
        """Complete trials that no other beats, best accuracy first."""
        return front_records(self.records, self.objectives)


def front_records(records: list[TrialRecord], objectives: list[str]) -> list[TrialRecord]:
    """The complete trials on the front of these objectives, best first."""
    complete = [record for record in records if record.outcome == "complete"]
    return [complete[index] for index in front_rows([record.values for record in complete], objectives)]


def on_board(records: list[TrialRecord], board: Board) -> list[TrialRecord]:
    """The complete trials that fit a board, with what they cost now; the search need not have known the board."""
    budget, found = Budget.of_board(board), []
    for record in records:
        if record.outcome == "complete" and record.candidate:
            cost = estimate(record.candidate.network)
            if budget.excess(cost) <= 0:
                memory = memory_of(board.runtime)
                values = record.values | cost_values(cost) | {memory: float(getattr(cost, memory))}
                found.append(replace(record, values=values))
    return found


def cost_values(cost: CostReport) -> dict[str, float]:
    """The costs that a trial records."""
    names = ("params", "macs", "arena_bytes", "arena_head_bytes", "arena_tail_bytes", "flash_bytes")
    return {name: float(getattr(cost, name)) for name in names}
