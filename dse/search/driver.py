"""The turns of a search: propose, pass the cost gate, give to a worker, record how it ended.

Where the trials are kept and who trains them is not its concern: `loop.py` gives it a run's study and workers.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dse.cost.metrics import ACCURACY
from dse.errors import unread
from dse.network.candidate import Candidate
from dse.search.costing import Costing, SpaceCosting
from dse.search.duplicates import Duplicates
from dse.search.explorers.base import Settle
from dse.search.explorers.explorers import Explorers, make_explorer
from dse.search.fidelity.rungs import Rungs, repeat_due
from dse.search.gate import Gate, Judgement
from dse.search.observer import SearchObserver
from dse.search.record import Step, TrialRecord, TrialResult
from dse.search.settings import Settings
from dse.search.study.trial_log import TrialLog
from dse.search.summary import Summary, front_records
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
Load = Callable[[Candidate], bytes]


@dataclass(frozen=True)
class _Running:
    """A trial in training."""

    record: TrialRecord
    judgement: Judgement | None  # of its first step

    @property
    def is_first(self) -> bool:
        """Whether nothing is known of it yet."""
        return self.judgement is not None


class Driver:
    """Gives trials to workers until enough are trained. `keep` is told of every network that was trained, `load` has
    its weights when it is trained on, and `tick` is called all the time."""

    def __init__(
        self,
        settings: Settings,
        defaults: Defaults,
        observer: SearchObserver,
        log: TrialLog,
        keep: Keep,
        *,
        load: Load = lambda candidate: b"",
        gate: Gate | None = None,
        costing: Costing | None = None,
        rungs: Rungs | None = None,
        time_left: float | None = None,
        tick: Callable[[], None] = lambda: None,
        settle: Settle = lambda draft: draft,
    ) -> None:
        self.settings, self.observer, self.log = settings, observer, log
        self.keep, self.load, self.tick = keep, load, tick
        self.rungs = rungs or settings.rungs
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
        self.is_exhausted = False
        self.unproductive = 0  # proposals in a row that trained nothing
        self.said: set[str] = set()
        self.token = uuid.uuid4().hex[:8]
        left = [seconds for seconds in (settings.timeout, time_left) if seconds is not None]
        self.deadline = time.monotonic() + min(left) if left else None
        self.summary = Summary(list(settings.task.objectives), log.records())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return not self.waiting and self._all_begun() and self._due(closing=True) is None

    def run(self, pool: Pool) -> None:
        """Until enough trials are trained, or the time is over; closes the pool."""
        try:
            while self._fill(pool) or self.running:
                for event in pool.wait(0.5):
                    self.handle(event)
                self.tick()
            if text := pool.startup():
                self.observer.note(text)
        finally:
            pool.close()

    # -- proposing

    def _fill(self, pool: Pool) -> bool:
        """Gives every free worker a trial; False when no more are wanted or found, whether or not a worker is free."""
        while True:
            if not self.waiting:
                due = self._due(self._is_closing())
                if due is None and self._all_begun():
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
            elif due:
                record, step = due
                if record.more is None:
                    self.log.begin_more(record.number, step)
                self._train_on(pool, self.log.entries[record.number].record)
            elif self.unproductive >= UNPRODUCTIVE:
                self._exhausted(
                    f"the last {UNPRODUCTIVE} proposals were all known or too large: the space seems exhausted"
                )
            elif not self._propose(pool):
                self._exhausted("the explorers have nothing left to propose")

    def _all_begun(self) -> bool:
        """Whether no new network is to come any more."""
        first = sum(trial.is_first for trial in self.running.values())
        return self.is_exhausted or self.summary.trained + first >= self.settings.trials

    def _is_closing(self) -> bool:
        """Whether all networks that there will be have had their first step."""
        return self._all_begun() and not any(trial.is_first for trial in self.running.values())

    def _exhausted(self, text: str) -> None:
        self.is_exhausted = True
        self._say_once(text)

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

    def _due(self, closing: bool) -> tuple[TrialRecord, Step] | None:
        """What is to be trained on, or once more; first what a killed process was in the middle of."""
        records = self.log.records()
        for record in self.half_done():
            assert record.more is not None
            return record, record.more
        if due := self.rungs.due(records, closing):
            return due
        steps = [trial.record.more for trial in self.running.values()]
        if not closing or any(step and not step.seed for step in steps):
            return None  # the front may still change
        return repeat_due(front_records(records, self.summary.objectives), self.settings.repeats)

    def half_done(self) -> Iterator[TrialRecord]:
        """Trials in a step that nobody trains."""
        return (record for record in self.log.records() if record.more and record.number not in self.running)

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
            pool.submit(self._job(record, self.rungs.first, 0.0))

    def _train_on(self, pool: Pool, record: TrialRecord) -> None:
        """The next step of a trial that is complete so far."""
        assert record.more is not None
        self.running[record.number] = _Running(record, None)
        try:
            job = self._job(record, record.more, record.share)
        except OSError as error:
            self._stopped(record.number, f"its weights: {unread(error)}")
            return
        self.observer.goes_on(record)
        pool.submit(job)

    def _job(self, record: TrialRecord, step: Step, done: float) -> Job:
        candidate = record.candidate
        assert candidate is not None  # it is about to be trained
        part = self.rungs.part(candidate.training.epochs, done, step)
        weights = self.load(candidate) if done and not step.seed else b""
        candidate = replace(candidate, training=self.rungs.training(candidate.training, part))
        return Job(
            record.number,
            candidate.to_json(),
            self._checkpoint(record.number, step),
            record.id,
            step,
            images=part.images,
            epochs_before=part.epochs_before,
            weights=weights,
        )

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
                case TrialFailed(number, reason) if self.running[number].is_first:
                    self.log.tell_failed(number, reason)
                    self._forget(number)
                case TrialFailed(number, reason):
                    self._stopped(number, reason)
                case TrialDone(number, result):
                    self._complete(self.running[number], result)
                    self._forget(number)

    def _complete(self, trial: _Running, result: TrialResult) -> None:
        record, judgement, step = trial.record, trial.judgement, trial.record.more
        assert record.candidate is not None
        int8 = result.accuracy_int8
        values = {"accuracy_float": result.accuracy_float}
        values["accuracy"] = result.accuracy_float if int8 is None else int8
        if int8 is not None:
            values["accuracy_int8"] = int8
        if step is None or not step.seed:
            self.keep(record.candidate, result)
        facts = {
            "seconds": round(result.seconds, 2),
            "history": {name: [round(v, 4) for v in values] for name, values in result.history.items()},
            "arithmetic": result.arithmetic,
        }
        if judgement is None:
            # What was known of the shorter step alone must not stay beside the new accuracy.
            costs = {name: value for name, value in record.values.items() if not name.startswith(ACCURACY)}
            self.log.tell_more(record.number, costs | values, **facts)
        else:
            share = self.rungs.first.share
            facts |= {"share": share} if share < 1 else {}
            self.log.tell_complete(record.number, judgement.values | values, judgement.violations, **facts)

    def _stopped(self, number: int, reason: str) -> None:
        self.log.tell_stopped(number, reason)
        self.observer.note(f"trial {number} stays as it is: {reason}")
        self._forget(number)

    def _forget(self, number: int) -> None:
        """A trial has ended: so have those that waited for it."""
        trial = self.running.pop(number)
        shutil.rmtree(self._checkpoint(number, trial.record.more or self.rungs.first), ignore_errors=True)
        self._ended(number)
        if trial.judgement is None:
            return
        for duplicate in self.duplicates.ended(trial.record):
            self.log.tell_repeated(duplicate, self.summary.records[number], trial.judgement.violations)
            self._ended(duplicate)

    def _ended(self, number: int) -> None:
        self.summary.records = self.log.records()
        self.observer.ended(self.summary.records[number], self.summary)

    def _checkpoint(self, number: int, step: Step) -> Path:
        """The checkpoint of a step of a trial under this driver. A killed driver's is taken over by its name, so that a
        worker of its that still lives for a moment no longer finds where to write; what it left of other steps goes."""
        folder, of_step = self.settings.folder.resolve() / "checkpoints", _name(number, step)
        own = folder / f"{of_step}-{self.token}"
        for earlier in folder.glob(f"{number}[-.]*"):
            if not earlier.name.startswith(f"{of_step}-"):
                shutil.rmtree(earlier, ignore_errors=True)
            elif earlier != own and not own.exists():
                earlier.rename(own)
        return own


def _name(number: int, step: Step) -> str:
    """Of a step among the checkpoints; of a whole training just its trial."""
    if step == Step():
        return str(number)
    return f"{number}.{step.seed}" if step.seed else f"{number}.{round(100 * step.share)}%"
