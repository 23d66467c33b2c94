"""A whole search on a table: the gate, the study, the explorers and the duplicates are those of every search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dse.cost.report import CostReport
from dse.data.datasets import Data
from dse.errors import DseError
from dse.screening.feasibility import Nearest
from dse.search.driver import Driver
from dse.search.fidelity.rungs import Rungs
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
    rows: list[int]  # those trained in full
    work: list[float]  # whole trainings that it took until each of them
    steps: int  # trainings, in full or in part
    proposals: int  # infeasible and repeated ones included
    infeasible: int
    replaced: int  # proposals that the table did not have
    seconds: float  # that the search took


class Simulator:
    """Searches one table under one set of limits."""

    def __init__(self, table: Table, settings: Settings) -> None:
        """`settings` has all but explorers and seed, and as trials the whole trainings that there is time for. Raises
        DseError where trainings are to be cut, and the table has none that were."""
        self.table = table
        self._gate = TableGate(table, settings)
        self._costing = TableCosting(table, settings)
        fidelity, objectives = settings.fidelity, settings.task.objectives
        self._shorter = table.shorter("data" if fidelity == "halving:data" else "epochs")
        self.rungs = Rungs(fidelity, objectives, (*self._shorter, 1.0))
        if fidelity != "full" and not self._shorter:
            raise DseError(
                f"`fidelity` {fidelity}: the table has no accuracies after a ninth or a third of the training for all "
                "networks, in columns such as accuracy@epochs=0.33 or accuracy@data=0.33"
            )
        # As many networks as can be begun and trained on in that time.
        self.settings = replace(settings, trials=max(1, round(settings.trials / self.rungs.work)))
        self._nearest = NearestRow(table, self._costing.fits)

    def run(self, explorers: Mapping[str, float], seed: int) -> Simulated:
        """One search by these explorers, each by its share."""
        began, settings = time.monotonic(), replace(self.settings, explorers=explorers, seed=seed)
        log = TrialLog(IN_MEMORY, list(settings.task.objectives))
        driver = Driver(
            settings, self.table.defaults, _Nobody(), log, lambda candidate, result: None,
            gate=self._gate, costing=self._costing, settle=self._nearest.in_log(log), rungs=self.rungs,
        )  # fmt: skip
        pool = TablePool(self.table, self._shorter)
        driver.run(pool)
        whole = [(row, work) for row, share, work in pool.steps if share == 1]
        records = log.records()
        return Simulated(
            ", ".join(settings.explorers),
            settings.seed,
            [row for row, _ in whole],
            [work for _, work in whole],
            len(pool.steps),
            len(records),
            sum(record.outcome == "infeasible" for record in records),
            sum(REPLACED in entry.attrs for entry in log.entries),
            time.monotonic() - began,
        )


class _Nobody:
    """Watches no search."""

    def began(self, settings: Settings, data: Data, nearest: Nearest, summary: Summary) -> None:
        pass

    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None:
        pass

    def goes_on(self, record: TrialRecord) -> None:
        pass

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        pass

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        pass

    def note(self, text: str) -> None:
        pass
