"""A whole search on a table: the gate, the study, the explorers and the duplicates are those of every search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dse.cost.report import CostReport
from dse.data.datasets import Data
from dse.screening.feasibility import Nearest
from dse.search.driver import Driver
from dse.search.record import TrialRecord
from dse.search.settings import Settings
from dse.search.study.database import Place
from dse.search.study.trial_log import TrialLog
from dse.search.summary import Summary
from dse.simulation.answering import REPLACED, NearestRow, TableCosting, TableGate, TablePool
from dse.simulation.table import Table

IN_MEMORY = Place("sqlite://")


@dataclass(frozen=True)
class Simulated:
    """One search: which networks it trained, in their order, as rows of the table."""

    explorer: str
    seed: int
    rows: list[int]
    proposals: int  # infeasible and repeated ones included
    infeasible: int
    replaced: int  # proposals that the table did not have
    seconds: float  # that the search took


class Simulator:
    """Searches one table under one set of limits."""

    def __init__(self, table: Table, settings: Settings) -> None:
        """`settings` has all but explorers and seed."""
        self.table, self.settings = table, settings
        self._gate = TableGate(table, settings)
        self._costing = TableCosting(table, settings)
        self._nearest = NearestRow(table, self._costing.fits)

    def run(self, explorers: Mapping[str, float], seed: int) -> Simulated:
        """One search by these explorers, each by its share."""
        began, settings = time.monotonic(), replace(self.settings, explorers=explorers, seed=seed)
        log = TrialLog(IN_MEMORY, list(settings.task.objectives))
        driver = Driver(
            settings, self.table.defaults, _Nobody(), log, lambda candidate, result: None,
            gate=self._gate, costing=self._costing, settle=self._nearest.in_log(log),
        )  # fmt: skip
        driver.run(TablePool(self.table))
        records = log.records()
        return Simulated(
            ", ".join(settings.explorers),
            settings.seed,
            [self.table.by_id[record.id] for record in records if record.outcome == "complete"],
            len(records),
            sum(record.outcome == "infeasible" for record in records),
            sum(REPLACED in entry.attrs for entry in log.entries),
            time.monotonic() - began,
        )


class _Nobody:
    """Watches no search."""

    def began(self, settings: Settings, data: Data, nearest: Nearest, done: int) -> None:
        pass

    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None:
        pass

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        pass

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        pass

    def note(self, text: str) -> None:
        pass
