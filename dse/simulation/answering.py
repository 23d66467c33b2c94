"""What stands in for workers and for the cost model when a table answers."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from dse.cost.report import CostReport
from dse.network.candidate import Candidate
from dse.search.costing import Known, sizes_of
from dse.search.gate import Gate
from dse.search.record import TrialResult
from dse.search.settings import Settings
from dse.search.study.distributions import recorded
from dse.search.study.trial_log import Draft
from dse.search.surrogate.encoding import Encoding
from dse.search.workers.events import Event, TrialDone
from dse.search.workers.jobs import Job
from dse.simulation.table import Table
from dse.space.conditions import Assignment


class TablePool:
    """A pool of one worker that knows the accuracy of a seed at once."""

    def __init__(self, table: Table, seed: int) -> None:
        self._table, self._seed = table, seed
        self._jobs: deque[Job] = deque()

    def free(self) -> int:
        return 1 - len(self._jobs)

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def wait(self, seconds: float) -> Sequence[Event]:
        if not self._jobs:
            return []
        job = self._jobs.popleft()
        row = self._table.rows[self._table.by_id[job.candidate.id]]
        accuracy = row.accuracies[self._seed % len(row.accuracies)]
        took = row.seconds or 0.0
        return [TrialDone(job.number, TrialResult(accuracy, None, {}, took, b"", "table"), took)]

    def startup(self) -> str:
        return ""

    def close(self) -> None:
        self._jobs.clear()


class TableGate(Gate):
    """Judges candidates by the costs that a table has."""

    def __init__(self, table: Table, settings: Settings) -> None:
        super().__init__(settings.budgets, settings.values_of)
        self._table = table

    def cost_of(self, candidate: Candidate) -> CostReport:
        row = self._table.by_id.get(candidate.id)
        return super().cost_of(candidate) if row is None else cast(CostReport, self._table.costs[row])


class TableCosting:
    """What is known of the rows of a table; there are no other networks."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._known: dict[frozenset[tuple[str, Any]], Known] = {}
        self.every = [row.assignment for row in table.rows]
        for row, cost in zip(table.rows, table.costs, strict=True):
            known = Known(settings.budgets.excess(cost), settings.values_of(cost), sizes_of(cost))
            self._known[frozenset(row.assignment.items())] = known

    def __call__(self, assignment: Assignment) -> Known | None:
        return self._known.get(frozenset(assignment.items()))

    rough = __call__


class Nearest:
    """Of drafts that a table does not have, the nearest network that it has, that fits and was not taken yet."""

    def __init__(self, table: Table, fits: np.ndarray) -> None:
        self._table, self._fits = table, fits
        encoding = Encoding(table.space.template.nodes)
        self._encoding, self._rows = encoding, encoding.rows(row.assignment for row in table.rows)
        self.begin()

    def begin(self) -> None:
        """Another search: nothing was taken."""
        self._taken = ~self._fits
        self.replaced = 0

    def __call__(self, draft: Draft) -> Draft:
        """The draft itself where the table has it, or where it is no network."""
        if draft.candidate is None:
            return draft
        index = self._table.by_id.get(draft.candidate.id)
        if index is None:
            self.replaced += 1
            (row,) = self._encoding.rows([draft.params])
            away = ((self._rows - row) ** 2).sum(axis=1)
            if self._taken.all():
                return draft
            index = int(np.where(self._taken, np.inf, away).argmin())
            found = self._table.rows[index]
            domains = {path: self._table.space.domains[path] for path in found.assignment}
            params = {path: recorded(domains[path], value) for path, value in found.assignment.items()}
            draft = dataclasses.replace(draft, params=params, domains=domains, candidate=found.candidate)
        self._taken[index] = True
        return draft
