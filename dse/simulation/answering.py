"""What stands in for workers and for the cost model when a table answers."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from dse.cost.report import CostReport
from dse.network.candidate import Candidate
from dse.search.costing import Known, sizes_of
from dse.search.gate import Gate
from dse.search.record import TrialResult
from dse.search.settings import Settings
from dse.search.study.distributions import recorded
from dse.search.study.trial_log import Draft, TrialLog
from dse.search.surrogate.encoding import Encoding
from dse.search.workers.events import Event, TrialDone
from dse.search.workers.jobs import Job
from dse.simulation.table import Table
from dse.space.conditions import Assignment

REPLACED = "table:replaced"  # an attribute of trials whose draft the table did not have


class TablePool:
    """A pool of one worker that knows the accuracy of the first seed at once."""

    def __init__(self, table: Table, shorter: Mapping[float, str]) -> None:
        """`shorter` are those of a row after a part of the training."""
        self._table, self._shorter = table, shorter
        self._jobs: deque[Job] = deque()
        self._done: dict[int, float] = {}  # share of its training, by row
        self.steps: list[tuple[int, float, float]] = []  # row, share of its training, whole trainings until then

    def free(self) -> int:
        return 1 - len(self._jobs)

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def wait(self, seconds: float) -> Sequence[Event]:
        if not self._jobs:
            return []
        job = self._jobs.popleft()
        index, share = self._table.by_id[job.candidate_id], job.step.share
        row = self._table.rows[index]
        more = share - self._done.get(index, 0.0)
        self._done[index] = share
        self.steps.append((index, share, more + (self.steps[-1][2] if self.steps else 0.0)))
        accuracy = (row.accuracies if share == 1 else row.shorter[self._shorter[share]])[0]
        took = more * (row.seconds or 0.0)
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
        self.fits = np.zeros(len(table.rows), bool)
        for index, (row, cost) in enumerate(zip(table.rows, table.costs, strict=True)):
            known = Known(settings.budgets.excess(cost), settings.values_of(cost), sizes_of(cost))
            self._known[frozenset(row.assignment.items())] = known
            self.fits[index] = known.excess <= 0

    def __call__(self, assignment: Assignment) -> Known | None:
        return self._known.get(frozenset(assignment.items()))

    rough = __call__


class NearestRow:
    """Of drafts that a table does not have, the nearest network that it has, that fits and was not taken yet."""

    def __init__(self, table: Table, fits: np.ndarray) -> None:
        self._table, self._fits = table, fits
        self._encoding = Encoding(table.space.template.nodes)
        self._rows = self._encoding.rows([row.assignment for row in table.rows])

    def in_log(self, log: TrialLog) -> Callable[[Draft], Draft]:
        """What is taken for a draft in one search: a row by the values that the table has of it. A draft that is no
        network stays."""
        return partial(self._find, log)

    def _find(self, log: TrialLog, draft: Draft) -> Draft:
        if draft.candidate is None:
            return draft
        index, attrs = self._table.by_id.get(draft.candidate.id), draft.attrs
        if index is None:
            free = self._fits.copy()
            free[[self._table.by_id[record.id] for record in log.records() if record.id in self._table.by_id]] = False
            if not free.any():
                return draft
            (row,) = self._encoding.rows([draft.params])
            away = ((self._rows - row) ** 2).sum(axis=1)
            index, attrs = int(np.where(free, away, np.inf).argmin()), {**draft.attrs, REPLACED: True}
        found = self._table.rows[index]
        domains = {path: self._table.space.domains[path] for path in found.assignment}
        params = {path: recorded(domains[path], value) for path, value in found.assignment.items()}
        return dataclasses.replace(draft, params=params, domains=domains, candidate=found.candidate, attrs=attrs)
