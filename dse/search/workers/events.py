"""What a pool of workers tells the search loop, one class for each kind of event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dse.search.record import TrialResult


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a trial has ended."""

    number: int  # of the trial
    epoch: int
    epochs: int  # as many as are to come, as far as is known, together with those that were
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrialNote:
    """Something that a person should know of a trial that runs."""

    number: int
    text: str


@dataclass(frozen=True)
class TrialRetried:
    """A trial lost its worker and is given to another."""

    number: int
    reason: str


@dataclass(frozen=True)
class TrialDone:
    """A trial was trained and evaluated."""

    number: int
    result: TrialResult
    seconds: float  # in the trial's own code
    epochs: tuple[float, ...] = ()  # when they ended, in those seconds


@dataclass(frozen=True)
class TrialFailed:
    """A trial could not be finished."""

    number: int
    reason: str
    seconds: float = 0.0  # in the trial's own code


@dataclass(frozen=True)
class WorkerNote:
    """Something that a person should know of the workers."""

    text: str


TrialEnded = TrialDone | TrialFailed
Event = EpochEnded | TrialNote | TrialRetried | TrialEnded | WorkerNote
