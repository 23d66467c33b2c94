"""Who runs the trials of a search: what a pool of workers is, how one runs a trial, and `InlinePool` in this process.

A pool takes jobs and gives events. `ray_pool.py` has the pool of many workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from dse._util.units import duration_text
from dse.errors import RunError
from dse.network.candidate import Candidate
from dse.training.sources import WeightSource

if TYPE_CHECKING:
    from dse.data.datasets import Data
    from dse.search.record import TrialResult


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
