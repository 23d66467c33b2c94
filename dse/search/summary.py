"""How a run stands: its trials counted, and its front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dse.cost.metrics import METRICS, RECORDED
from dse.cost.report import CostReport, estimate
from dse.hardware.board_metrics import is_known, upper_end
from dse.hardware.boards import Board
from dse.hardware.budget import Budget, Cost
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
    """The complete trials on the front of these objectives, best first; one that lacks a value is on none.

    They are of those that were trained in full, or as far as any was.
    """
    complete = [r for r in records if r.outcome == "complete" and all(name in r.values for name in objectives)]
    furthest = max((record.share for record in complete), default=1.0)
    complete = [record for record in complete if record.share == furthest]
    return [complete[index] for index in front_rows([record.values for record in complete], objectives)]


def on_board(records: list[TrialRecord], board: Board, **limits: float | None) -> list[TrialRecord]:
    """The complete trials that fit a board, with what they cost on it now; the search need not have known the board.

    `limits` are as for `Budget.of_board`. Latency and energy are among the values where the board has figures for them.
    """
    memory, found = board.build.memory, []
    known = [metric.name for metric in METRICS if metric.by_board and is_known(metric.name, board)]
    for record, cost in _keeping_to(Budget.of_board(board, **limits), records):
        cost = cost.on(board.library())
        values = record.values | cost_values(cost) | {memory: float(getattr(cost, memory))}
        values |= {name: upper_end(name, cost.work, board) for name in known}
        found.append(replace(record, values=values))
    return found


def within(records: list[TrialRecord], **limits: float | None) -> list[TrialRecord]:
    """The complete trials that keep to limits, which are as for `Budget`, on no board in particular."""
    return [record for record, _ in _keeping_to(Budget(**limits), records)]


def _keeping_to(budget: Budget, records: list[TrialRecord]) -> Iterator[tuple[TrialRecord, CostReport]]:
    for record in records:
        if record.outcome == "complete" and record.candidate:
            cost = estimate(record.candidate.network)
            if budget.excess(cost) <= 0:
                yield record, cost


def cost_values(cost: Cost) -> dict[str, float]:
    """The costs that every trial records."""
    return {name: float(getattr(cost, name)) for name in RECORDED}
