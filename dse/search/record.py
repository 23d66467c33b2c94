"""What is known of one trial, and how it ended.

running ──> complete      trained, with all its values
        ├─> repeated      the same candidate as an earlier trial: its values were taken, nothing was trained
        ├─> infeasible    breaks a budget, or is no network: never trained; `reason` says by how much
        └─> failed        could not be finished; `reason` says why
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from dse.network.candidate import Candidate, id_of

Outcome = Literal["running", "complete", "repeated", "infeasible", "failed"]


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a run. `values` holds accuracies and costs by name."""

    number: int
    outcome: Outcome
    explorer: str
    candidate_json: str | None  # canonical; None for values that are no network
    values: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    params: dict[str, Any] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)  # by how much each limit is broken; negative for room
    history: dict[str, list[float]] = field(default_factory=dict)  # by epoch, since the last resume
    arithmetic: str = ""  # of its training (`dse/training/arithmetic.py`); empty when none was trained, or long ago

    @cached_property
    def id(self) -> str:
        """The candidate's id; empty when there is no candidate."""
        return "" if self.candidate_json is None else id_of(self.candidate_json)

    @cached_property
    def candidate(self) -> Candidate | None:
        """The candidate, built when it is first asked for: that takes a millisecond or two, and a study may have ten
        thousand."""
        return None if self.candidate_json is None else Candidate.from_json(self.candidate_json)


@dataclass(frozen=True)
class TrialResult:
    """What training gives: validation accuracies (the int8 one None when not asked for), weights, time."""

    accuracy_float: float
    accuracy_int8: float | None
    history: dict[str, list[float]]  # loss, accuracy, val_loss, val_accuracy of the epochs since the last resume
    seconds: float
    weights: bytes
    arithmetic: str
