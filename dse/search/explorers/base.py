"""What every explorer is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from dse.hardware.budget import Budgets
from dse.network.candidate import Candidate
from dse.search.costing import Costing, SpaceCosting
from dse.search.record import TrialRecord
from dse.search.study.distributions import recorded
from dse.search.study.trial_log import Draft, Proposal, TrialLog
from dse.search.summary import cost_values
from dse.search.surrogate.surrogate import Surrogate
from dse.space.conditions import Assignment, Recorded
from dse.space.space import Defaults, Space

FIRST = 8  # trials, from which on what they say of others is listened to
Fits = Callable[[Candidate], bool]
Settle = Callable[[Draft], Draft]


@dataclass
class Explorer:
    """Proposes trials of one kind."""

    name: str
    log: TrialLog
    space: Space
    defaults: Defaults
    seed: int
    fits: Fits
    best_of: int = 1  # drafts, of which the one that is expected to better the front most is proposed
    population: int = 16  # of a generation, for those that have some
    costing: Costing | None = None  # what is known before any training; by default what the cost model says
    settle: Settle = lambda draft: draft  # what is proposed in place of a draft

    def __post_init__(self) -> None:
        """What an explorer does when a search begins or goes on."""

    @cached_property
    def surrogate(self) -> Surrogate:
        """What the trials say of other networks."""
        costing = self.costing or SpaceCosting(self.space, self.defaults, Budgets.of_boards(()), cost_values)
        return Surrogate(self.space, costing, self.log.objectives, self.seed)

    def propose(self, records: list[TrialRecord] | None = None) -> Proposal | None:
        """A new trial in the log, after these; None when there is nothing left to propose."""
        records = self.log.records() if records is None else records
        drafts = [self.settle(draft) for draft in islice(self.drafts(records), self.best_of)]
        if not drafts:
            return None
        return self.log.append(self.name, drafts[0] if len(drafts) == 1 else self._best(drafts, records))

    def _best(self, drafts: Sequence[Draft], records: list[TrialRecord]) -> Draft:
        """Of the drafts that fit and are new, else of those that fit, the one with the largest expected gain."""
        known = {record.id for record in records}
        fitting = [draft for draft in drafts if draft.candidate and self.fits(draft.candidate)]
        pool = [draft for draft in fitting if draft.candidate and draft.candidate.id not in known] or fitting
        if not pool:
            return drafts[0]
        if self.surrogate.seen(records) < FIRST:
            return pool[0]
        pairs = [(draft, sketch) for draft in pool for sketch in self.surrogate.sketches([draft.params])]
        if not pairs:
            return pool[0]
        gains = self.surrogate.outlook(records).gains([sketch for _, sketch in pairs])
        return pairs[int(np.argmax(gains))][0]

    def drafts(self, records: list[TrialRecord]) -> Iterator[Draft]:
        """What it would propose after these trials, first choice first; none when all have been proposed."""
        for assignment in self.choices(records):
            yield self._draft_of(assignment)

    def choices(self, records: list[TrialRecord]) -> Iterator[Assignment]:
        """The same as values for what the space leaves open."""
        raise NotImplementedError

    def _draft_of(self, assignment: Assignment) -> Draft:
        chosen = self.space.choose(Recorded(assignment), self.defaults)
        domains = {path: self.space.domains[path] for path in chosen.assignment}
        params = {path: recorded(domains[path], value) for path, value in chosen.assignment.items()}
        return Draft(params, domains, chosen.candidate, str(chosen.problem or ""))
