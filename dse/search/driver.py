"""The turns of a search: propose, pass the cost gate, give to a worker, record how it ended.

Where the trials are kept and who trains them is not its concern: `loop.py` gives it a run's study and workers.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dse.network.candidate import Candidate
from dse.search.costing import Costing, SpaceCosting
from dse.search.duplicates import Duplicates
from dse.search.explorers.base import Settle
from dse.search.explorers.explorers import Explorers, make_explorer
from dse.search.gate import Gate, Judgement
from dse.search.observer import SearchObserver
from dse.search.record import TrialRecord, TrialResult
from dse.search.settings import Settings
from dse.search.study.trial_log import TrialLog
from dse.search.summary import Summary
from dse.search.workers.events import (
    EpochEnded,
    Event,
    TrialDone,
    TrialFailed,
    TrialNote,
    TrialRetried,
    WorkerNote,
)  # fmt: skip
from dse.search.workers.jobs import Job, Pool
from dse.space.space import Defaults

UNPRODUCTIVE = 400  # proposals in a row that train nothing, after which the search says so and stops
Keep = Callable[[Candidate, TrialResult], None]


@dataclass(frozen=True)
class _Running:
    """A trial in training."""

    record: TrialRecord
    judgement: Judgement


class Driver:
    """Gives trials to workers until enough are trained. `keep` is told of every network that was trained."""

    def __init__(
        self,
        settings: Settings,
        defaults: Defaults,
        observer: SearchObserver,
        log: TrialLog,
        keep: Keep,
        *,
        gate: Gate | None = None,
        costing: Costing | None = None,
        settle: Settle = lambda draft: draft,
    ) -> None:
        self.settings, self.observer, self.log, self.keep = settings, observer, log, keep
        # With few trials a small generation, so that the explorer learns from the first ones.
        population = max(6, min(32, settings.trials // 4))
        self.gate = gate or Gate(settings.budgets, settings.values_of)
        known = costing or SpaceCosting(settings.space, defaults, settings.budgets, settings.values_of)
        self.explorers = Explorers(
            settings.explorers,
            lambda name: make_explorer(
                name, log, settings.space, defaults, settings.seed, self.gate.fits, settings.best_of, population,
                costing=known, settle=settle,
            ),
        )  # fmt: skip
        self.duplicates = Duplicates()
        self.waiting: deque[TrialRecord] = deque(log.interrupted())
        self.running: dict[int, _Running] = {}
        self.unproductive = 0  # proposals in a row that trained nothing
        self.said: set[str] = set()
        self.token = uuid.uuid4().hex[:8]
        self.deadline = None if settings.timeout is None else time.monotonic() + settings.timeout
        self.summary = Summary(list(settings.task.objectives), log.records())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return self.summary.trained >= self.settings.trials and not self.waiting

    def run(self, pool: Pool) -> None:
        """Until enough trials are trained, or the time is over; closes the pool."""
        try:
            while self._fill(pool) or self.running:
                for event in pool.wait(0.5):
                    self.handle(event)
            if text := pool.startup():
                self.observer.note(text)
        finally:
            pool.close()

    # -- proposing

    def _fill(self, pool: Pool) -> bool:
        """Gives every free worker a trial; False when no more are wanted or found, whether or not a worker is free."""
        while True:
            if not self.waiting and self.summary.trained + len(self.running) >= self.settings.trials:
                return False
            if self.deadline is not None and time.monotonic() > self.deadline:
                self._say_once("the time is over: no new trial starts")
                return False
            if not pool.free():
                return True
            if self.waiting:
                record = self.waiting.popleft()
                assert record.candidate is not None  # the log closes those that never had one
                self._admit(pool, record, record.candidate)
            elif self.unproductive >= UNPRODUCTIVE:
                self._say_once(
                    f"the last {UNPRODUCTIVE} proposals were all known or too large: the space seems exhausted"
                )
                return False
            elif not self._propose(pool):
                self._say_once("the explorers have nothing left to propose")
                return False

    def _say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.observer.note(text)

    def _propose(self, pool: Pool) -> bool:
        """A new trial, which may be trained; False when there is none."""
        proposal = self.explorers.propose(self.log.records())
        if proposal is None:
            return False
        if proposal.candidate is None:
            self.log.tell_infeasible(proposal.number, {}, {}, f"no network: {proposal.problem}")
            self._ended(proposal.number)
            self.unproductive += 1
        else:
            self._admit(pool, self.log.entries[proposal.number].record, proposal.candidate)
        return True

    def _admit(self, pool: Pool, record: TrialRecord, candidate: Candidate) -> None:
        """Train the candidate of a trial, unless it is too large, or known, or in training already."""
        judgement = self.gate.judge(candidate)
        self.unproductive += 1
        if judgement.reasons:
            reason = "; ".join(judgement.reasons)
            self.log.tell_infeasible(record.number, judgement.values, judgement.violations, reason)
            self._ended(record.number)
        elif original := self.log.original(record.id):
            self.log.tell_repeated(record.number, original, judgement.violations)
            self._ended(record.number)
        elif self.duplicates.waits(record):
            self.observer.proposed(record, None)
        else:
            self.unproductive = 0
            self.duplicates.begins(record)
            self.running[record.number] = _Running(record, judgement)
            self.observer.proposed(record, judgement.cost)
            pool.submit(Job(record.number, candidate.to_json(), self._checkpoint(record.number)))

    # -- recording

    def handle(self, event: Event) -> None:
        if isinstance(event, WorkerNote):
            self.observer.note(event.text)
        elif event.number in self.running:
            match event:
                case EpochEnded(number, epoch, epochs, metrics):
                    self.observer.epoch(number, epoch, epochs, metrics)
                case TrialNote(number, text) | TrialRetried(number, text):
                    self.observer.note(f"trial {number}: {text}")
                case TrialFailed(number, reason):
                    self.log.tell_failed(number, reason)
                    self._forget(number)
                case TrialDone(number, result):
                    self._complete(self.running[number], result)
                    self._forget(number)

    def _complete(self, trial: _Running, result: TrialResult) -> None:
        record, judgement = trial.record, trial.judgement
        assert record.candidate is not None
        int8 = result.accuracy_int8
        values = judgement.values | {"accuracy_float": result.accuracy_float}
        values["accuracy"] = result.accuracy_float if int8 is None else int8
        if int8 is not None:
            values["accuracy_int8"] = int8
        self.keep(record.candidate, result)
        self.log.tell_complete(
            record.number,
            values,
            judgement.violations,
            seconds=round(result.seconds, 2),
            history={name: [round(v, 4) for v in values] for name, values in result.history.items()},
            arithmetic=result.arithmetic,
        )

    def _forget(self, number: int) -> None:
        """A trial has ended: so have those that waited for it."""
        trial = self.running.pop(number)
        shutil.rmtree(self._checkpoint(number), ignore_errors=True)
        self._ended(number)
        for duplicate in self.duplicates.ended(trial.record):
            self.log.tell_repeated(duplicate, self.summary.records[number], trial.judgement.violations)
            self._ended(duplicate)

    def _ended(self, number: int) -> None:
        self.summary.records = self.log.records()
        self.observer.ended(self.summary.records[number], self.summary)

    def _checkpoint(self, number: int) -> Path:
        """The checkpoint of a trial under this driver. A killed driver's is taken over by its name, so that a worker of
        its that still lives for a moment no longer finds where to write."""
        folder = self.settings.folder.resolve() / "checkpoints"
        own = folder / f"{number}-{self.token}"
        for earlier in folder.glob(f"{number}-*"):
            if earlier != own and not own.exists():
                earlier.rename(own)
        return own
