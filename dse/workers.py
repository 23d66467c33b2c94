"""Who runs the trials of a search: what a pool of workers is, how one runs a trial, and `InlinePool` in this process.

A pool takes jobs and gives events. `ray_pool.py` has the pool of many workers.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dse.candidate import Candidate
from dse.errors import DseError, RunError, TrialError
from dse.quiet import quiet_tensorflow
from dse.units import duration_text
from dse.weight_source import WeightSource

if TYPE_CHECKING:
    from dse.datasets import Data
    from dse.record import TrialResult


@dataclass(frozen=True)
class Job:
    """One trial to run."""

    number: int
    candidate_json: str
    checkpoint: Path


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial; a note is about the workers, and has no trial."""

    kind: Literal["epoch", "said", "done", "failed", "retried", "note"]
    number: int
    epoch: int = 0
    epochs: int = 0  # as many as are to come, as far as is known, together with those that were
    metrics: dict[str, float] = field(default_factory=dict)
    result: TrialResult | None = None
    reason: str = ""
    seconds: float = 0.0  # in the trial's own code, of its last event


@dataclass(frozen=True)
class Setting:
    """What all jobs of a run share. The limits end trials and leave what they compute alone."""

    data: Data
    accuracy: str
    seed: int
    threads: int | None = None  # for each worker; None is for the pool to choose
    trial_timeout: float | None = None  # seconds from when a worker takes a trial up
    worker_memory: int | None = None  # bytes
    sources: dict[str, WeightSource] = field(default_factory=dict)  # trained networks that trainings begin with

    def __post_init__(self) -> None:
        if self.trial_timeout is not None and self.trial_timeout <= 0:
            raise RunError("--trial-timeout 0 leaves no time for any trial; expected a time such as 20m")


class Pool(Protocol):
    """What the search loop needs of its workers."""

    def free(self) -> int:
        """How many jobs can start now."""
        ...

    def submit(self, job: Job) -> None:
        """Starts a job."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What has happened; returns after `seconds` at the latest, sooner when a job ends."""
        ...

    def startup(self) -> str:
        """How long workers and trials took to start, as a sentence; empty when there is nothing to say."""
        ...

    def close(self) -> None:
        """Ends all workers at once."""
        ...


def too_long(limit: float, epochs_done: int, job: Job) -> str:
    """The reason of a trial that was ended for its time."""
    epochs = Candidate.from_json(job.candidate_json).training.all_epochs
    return f"took longer than {duration_text(limit)} (--trial-timeout), {epochs_done} of {epochs} epochs done"


def perform(job: Job, setting: Setting, report: Any) -> Event:
    """Runs a job to its last event. A trial's own failure is an event; nothing is raised but interrupts.

    A trial that is over its time ends after a batch. What comes after the training is not looked at here.
    """
    from dse.pipeline import run_trial

    limit, began = setting.trial_timeout, time.monotonic()

    def seconds() -> float:
        return time.monotonic() - began

    def in_time(epochs_done: int) -> None:
        if limit is not None and seconds() > limit:
            raise TrialError(too_long(limit, epochs_done, job))

    try:
        result = run_trial(
            Candidate.from_json(job.candidate_json),
            setting.data,
            accuracy=setting.accuracy,
            seed=setting.seed,
            sources=setting.sources,
            checkpoint=job.checkpoint,
            report=lambda *epoch: report(Event("epoch", job.number, *epoch)),
            check=in_time,
            say=lambda text: report(Event("said", job.number, reason=text)),
        )
        return Event("done", job.number, result=result, seconds=seconds())
    except DseError as error:
        return Event("failed", job.number, reason=str(error), seconds=seconds())
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {str(error)[:500]} ({Path(where.filename).name}:{where.lineno})"
        return Event("failed", job.number, reason=reason, seconds=seconds())


class InlinePool:
    """One job at a time, in this process. `on_event` hears of epochs as they end."""

    def __init__(self, setting: Setting, on_event: Any) -> None:
        if setting.worker_memory is not None:
            raise RunError("--worker-memory needs a worker that can be ended: --workers 1 or more")
        self.setting, self.on_event = setting, on_event
        self.jobs: deque[Job] = deque()
        quiet_tensorflow(setting.threads)

    def free(self) -> int:
        return 1 - len(self.jobs)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, seconds: float) -> list[Event]:
        return [perform(self.jobs.popleft(), self.setting, self.on_event)] if self.jobs else []

    def startup(self) -> str:
        return ""

    def close(self) -> None:
        self.jobs.clear()
