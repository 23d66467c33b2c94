"""A pool that trains nothing: accuracies come from the candidates' ids, and what happens when from a random generator."""

from __future__ import annotations

import random
from collections.abc import Callable

from dse.network.candidate import id_of
from dse.search.record import TrialResult
from dse.search.workers.events import (
    EpochEnded,
    Event,
    TrialDone,
    TrialEnded,
    TrialFailed,
    TrialNote,
    TrialRetried,
    WorkerNote,
)  # fmt: skip
from dse.search.workers.jobs import Job

EPOCHS = 3


def accuracy_of(candidate_id: str) -> float:
    """An accuracy that belongs to a candidate."""
    return int(candidate_id[:4], 16) / 0xFFFF


def ends_well(job: Job) -> TrialEnded:
    """The trial is done, with the accuracy of its candidate."""
    result = TrialResult(accuracy_of(id_of(job.candidate_json)), None, {"loss": [1.0, 0.5]}, 1.0, b"weights", "plain")
    return TrialDone(job.number, result, 1.0)


class FakePool:
    """Some workers that are free at once. Without a generator every trial has one epoch and ends as
    soon as somebody waits for it."""

    def __init__(
        self, workers: int = 1, end: Callable[[Job], TrialEnded] = ends_well, chance: random.Random | None = None
    ) -> None:
        self.workers, self.end, self.chance = workers, end, chance
        self.jobs: list[Job] = []
        self.submitted: list[Job] = []
        self.epochs: dict[int, int] = {}
        self.closed = False

    def free(self) -> int:
        return self.workers - len(self.jobs)

    def submit(self, job: Job) -> None:
        assert not self.closed
        assert self.free() > 0, "a job for a pool that has no worker free"
        self.jobs.append(job)
        self.submitted.append(job)

    def wait(self, seconds: float) -> list[Event]:
        assert not self.closed
        if self.chance is None:
            jobs, self.jobs = self.jobs, []
            ended = [(EpochEnded(job.number, 1, 1, {"val_accuracy": 0.5}), self.end(job)) for job in jobs]
            return [event for both in ended for event in both]
        return [self._something(self.chance) for _ in range(self.chance.randrange(4))]

    def _something(self, chance: random.Random) -> Event:
        if not self.jobs or chance.random() < 0.1:
            return WorkerNote("a worker had to wait")
        job = chance.choice(self.jobs)
        match chance.randrange(6):
            case 0:
                return TrialNote(job.number, "weights of 2 of 3 layers are from another network")
            case 1:
                return TrialRetried(job.number, "its worker died, attempt 2")
            case 2 | 3 if self.epochs.get(job.number, 0) < EPOCHS:
                self.epochs[job.number] = epoch = self.epochs.get(job.number, 0) + 1
                return EpochEnded(job.number, epoch, EPOCHS, {"val_accuracy": 0.5})
        self.jobs.remove(job)
        return TrialFailed(job.number, "no luck") if chance.random() < 0.2 else self.end(job)

    def startup(self) -> str:
        return ""

    def close(self) -> None:
        self.closed = True
        self.jobs.clear()
