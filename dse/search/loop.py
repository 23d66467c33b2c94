"""One search: propose, pass the cost gate, train, record; and go on where a killed run stopped.

The state of a run is its folder: `run.yaml` (the settings, written once) and `study.db` (every trial). The same
command finds both and goes on; a command that asks for something else in the same folder is refused.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from dse._util.backend import choose_backend
from dse._util.files import locked, write_atomic
from dse.data.datasets import Data, load_data
from dse.errors import NothingFitsError, RunError
from dse.network.candidate import Candidate
from dse.screening.feasibility import Nearest, find_nearest
from dse.search.description import describe, with_training_of_run
from dse.search.duplicates import Duplicates
from dse.search.explorers.explorers import Explorers, make_explorer
from dse.search.frames import write_trials
from dse.search.gate import Gate, Judgement, nothing_fits
from dse.search.observer import SearchObserver
from dse.search.record import TrialRecord, TrialResult
from dse.search.run_folder import model_folder, settle
from dse.search.settings import Settings
from dse.search.study.database import Place
from dse.search.study.trial_log import TrialLog
from dse.search.summary import Summary, cost_values
from dse.search.workers.events import (
    EpochEnded,
    Event,
    TrialDone,
    TrialFailed,
    TrialNote,
    TrialRetried,
    WorkerNote,
)  # fmt: skip
from dse.search.workers.inline import InlinePool
from dse.search.workers.jobs import Job, Pool, WorkerSettings
from dse.search.workers.ray_pool import RayPool
from dse.search.workers.threads import ThreadPool
from dse.space.space import Defaults
from dse.training.sources import IMAGENET, WeightSource, read_sources, write_trained

TEST_FILES = "test-files.txt"  # in a run on a folder of images: those that bundles are scored on, in their order
UNPRODUCTIVE = 400  # proposals in a row that train nothing, after which the search says so and stops


def search(settings: Settings, observer: SearchObserver, pool: Pool | None = None) -> Summary:
    """Run or resume a search until `trials` are trained or the time is over; how it stands then.

    `pool` trains the trials in place of the workers that the settings ask for, and is closed when the last has ended;
    where there is nothing to train it is left alone. Raises RunError, DataError, NothingFitsError.
    """
    settings = with_training_of_run(settings)
    data = load_data(settings.task, settings.data)
    if settings.classes not in (None, len(data.classes)):
        raise RunError(
            f"the network knows {settings.classes} classes, and {data.source} has {len(data.classes)}; "
            "name the task that it was trained for with `task`"
        )
    defaults = settings.training_defaults(data)
    if IMAGENET in settings.space.sources(defaults, ("teacher",)):
        raise RunError(f"{IMAGENET} is no teacher: its classes are others; expected a .keras file, or RUN/models/ID")
    sources = read_sources(settings.space.sources(defaults))
    nearest = find_nearest(settings.space, settings.budgets, defaults, settings.seed)
    if nearest.excess > 0:
        raise NothingFitsError(nothing_fits(settings, nearest))
    with locked(settings.folder):
        place = settle(settings.folder, describe(settings, data, sources), settings.data, settings.storage)
        if data.test_files:
            write_atomic(settings.folder / TEST_FILES, "\n".join(data.test_files) + "\n")
        return _Loop(settings, data, sources, defaults, observer, place).run(nearest, pool)


@dataclass(frozen=True)
class _Running:
    """A trial in training."""

    record: TrialRecord
    judgement: Judgement


class _Loop:
    def __init__(
        self,
        settings: Settings,
        data: Data,
        sources: dict[str, WeightSource],
        defaults: Defaults,
        observer: SearchObserver,
        place: Place,
    ) -> None:
        self.settings, self.data, self.sources, self.defaults = settings, data, sources, defaults
        self.observer = observer
        # With few trials a small generation, so that the explorer learns from the first ones.
        population = max(6, min(32, settings.trials // 4))
        self.log = TrialLog(place, list(settings.task.objectives))
        self.gate = Gate(settings.budgets)
        self.explorers = Explorers(
            settings.explorers,
            lambda name: make_explorer(
                name, self.log, settings.space, defaults, settings.seed, self.gate.fits, settings.screen, population
            ),
        )
        self.duplicates = Duplicates()
        self.waiting: deque[TrialRecord] = deque(self.log.interrupted())
        self.running: dict[int, _Running] = {}
        self.unproductive = 0  # proposals in a row that trained nothing
        self.said: set[str] = set()
        self.token = uuid.uuid4().hex[:8]
        self.deadline = None if settings.timeout is None else time.monotonic() + settings.timeout
        self.summary = Summary(list(settings.task.objectives), self.log.records())

    def run(self, nearest: Nearest, pool: Pool | None) -> Summary:
        self.observer.began(self.settings, self.data, nearest, self.summary.trained)
        for text in self.settings.space.idle_settings(self.defaults):
            self.observer.note(text)
        kept = self.data.image_shape[0]
        if (largest := max(self.settings.space.resolutions(), default=0)) > kept:
            self.observer.note(
                f"the images are {kept}x{kept}: for a resolution above that, up to {largest}, they are enlarged"
            )
        if self.settings.task.accuracy == "int8" and (backend := choose_backend()) != "tensorflow":
            self.observer.note(
                f"trained with {backend}: accuracies are those in float until dse finish, on a machine with TensorFlow"
            )
        if self.waiting:
            self.observer.note(f"taking up {len(self.waiting)} trial(s) that were interrupted")
        try:
            if self.summary.trained < self.settings.trials or self.waiting:
                self._train(pool or self._workers())
        finally:
            write_trials(self.settings.folder, self.log.records())
        return self.summary

    def _train(self, pool: Pool) -> None:
        try:
            while self._fill(pool) or self.running:
                for event in pool.wait(0.5):
                    self._handle(event)
            if text := pool.startup():
                self.observer.note(text)
        finally:
            pool.close()

    def _workers(self) -> Pool:
        asked = self.settings
        limits = (asked.trial_timeout, asked.worker_memory)
        settings = WorkerSettings(
            self.data, asked.task.accuracy, asked.seed, asked.threads, *limits, self.sources, asked.arithmetic
        )
        if asked.at_once > 1:
            if asked.workers:
                raise RunError("`at_once` is for trials in this process, with `workers` 0")
            return ThreadPool(settings, asked.at_once)
        if asked.workers == 0:
            return InlinePool(settings, self._handle)
        return RayPool(settings, asked.workers, asked.ray_address)

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
            self.log.tell_infeasible(record.number, self._values(judgement), judgement.violations, reason)
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

    def _handle(self, event: Event) -> None:
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
        values = self._values(judgement) | {"accuracy_float": result.accuracy_float}
        values["accuracy"] = result.accuracy_float if int8 is None else int8
        if int8 is not None:
            values["accuracy_int8"] = int8
        write_trained(model_folder(self.settings.folder, record.id), record.candidate, result.weights)
        self.log.tell_complete(
            record.number,
            values,
            judgement.violations,
            seconds=round(result.seconds, 2),
            history={name: [round(v, 4) for v in values] for name, values in result.history.items()},
            arithmetic=result.arithmetic,
        )

    def _values(self, judgement: Judgement) -> dict[str, float]:
        return cost_values(judgement.cost) | self.settings.values_on_boards(judgement.cost)

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
