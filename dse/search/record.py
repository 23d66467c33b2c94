"""What is known of one trial, and how it ended.

running ──> complete      trained, with all its values
        ├─> repeated      the same candidate as an earlier trial: its values were taken, nothing was trained
        ├─> infeasible    breaks a budget, or is no network: never trained; `reason` says by how much
        └─> failed        could not be finished; `reason` says why
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from dse.network.candidate import Candidate

Outcome = Literal["running", "complete", "repeated", "infeasible", "failed"]


@dataclass(frozen=True)
class Written:
    """A candidate as it stands in the database."""

    id: str
    text: str


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a run. `values` holds accuracies and costs by name."""

    number: int
    outcome: Outcome
    explorer: str
    candidate: Candidate | None
    values: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    params: dict[str, Any] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)  # by how much each limit is broken; negative for room
    history: dict[str, list[float]] = field(default_factory=dict)  # by epoch, since the last resume

    @property
    def id(self) -> str:
        """The candidate's id; empty when there is no candidate."""
        return self.held.id if self.held else ""

    @property
    def held(self) -> Candidate | Written | None:
        """The candidate, built or not."""
        return cast(Candidate | Written | None, self.__dict__["candidate"])


class _Candidate:
    """The field of a record that holds a candidate: one that is read from the database is built when it is asked for,
    which takes a millisecond or two, and a study may have ten thousand."""

    def __get__(self, record: TrialRecord | None, owner: type | None = None) -> Candidate | None:
        assert record is not None
        held = record.__dict__["candidate"]
        if isinstance(held, Written):
            held = record.__dict__["candidate"] = Candidate.from_json(held.text)
        return cast(Candidate | None, held)

    def __set__(self, record: TrialRecord, value: Candidate | Written | None) -> None:
        record.__dict__["candidate"] = value


TrialRecord.candidate = _Candidate()  # type: ignore[assignment]  # behind the field, for those who read it


@dataclass(frozen=True)
class TrialResult:
    """What training gives: validation accuracies (the int8 one None when not asked for), weights, time."""

    accuracy_float: float
    accuracy_int8: float | None
    history: dict[str, list[float]]  # loss, accuracy, val_loss, val_accuracy of the epochs since the last resume
    seconds: float
    weights: bytes
