"""What a pool of workers is: it takes jobs and tells events. `inline.py` and `ray_pool.py` have one each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dse.errors import RunError
from dse.network.candidate import Candidate
from dse.search.record import Step
from dse.search.workers.events import Event
from dse.training.names import Asked
from dse.training.sources import WeightSource

if TYPE_CHECKING:
    from dse.data.datasets import Data


@dataclass(frozen=True)
class Job:
    """One trial to run."""

    number: int
    candidate_json: str  # with the settings of this training
    checkpoint: Path
    candidate_id: str = ""  # of the trial: the settings of a step make another
    step: Step = Step()
    images: float = 1.0  # share of the images that it is trained on
    validation_images: float = 1.0
    epochs_before: int = 0  # that the weights have had
    weights: bytes = b""  # that it begins with; fresh ones when empty

    @property
    def candidate(self) -> Candidate:
        """The candidate to train."""
        return Candidate.from_json(self.candidate_json)


@dataclass(frozen=True)
class WorkerSettings:
    """What all jobs of a run share. The limits end trials and leave what they compute alone."""

    data: Data
    accuracy: str
    seed: int
    threads: int | None = None  # for each worker; None is for the pool to choose
    trial_timeout: float | None = None  # seconds from when a worker takes a trial up
    worker_memory: int | None = None  # bytes
    sources: dict[str, WeightSource] = field(default_factory=dict)  # trained networks that trainings begin with
    arithmetic: Asked = "auto"

    def __post_init__(self) -> None:
        if self.trial_timeout is not None and self.trial_timeout <= 0:
            raise RunError("`trial_timeout` 0 leaves no time for any trial; expected a time such as 20m")


class Pool(Protocol):
    """What the search loop needs of its workers."""

    def free(self) -> int:
        """How many jobs can start now."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job."""
        ...

    def wait(self, seconds: float) -> Sequence[Event]:
        """What has happened; returns after `seconds` at the latest, sooner when a job ends."""
        ...

    def startup(self) -> str:
        """How long workers and trials took to start, as a sentence; empty when there is nothing to say."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...
