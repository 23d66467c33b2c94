"""What is known of one trial, and how it ended.

A trial is one network. It may be trained in several steps, in part at first and then on; and again by other seeds.

running ──> complete      trained, with all its values
        ├─> repeated      the same candidate as an earlier trial: its values were taken, nothing was trained
        ├─> infeasible    breaks a budget, or is no network: never trained; `reason` says by how much
        └─> failed        could not be finished; `reason` says why
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from dse.cost.metrics import ACCURACY
from dse.network.candidate import Candidate, id_of

Outcome = Literal["running", "complete", "repeated", "infeasible", "failed"]


@dataclass(frozen=True)
class Step:
    """One training of a trial's network: up to a share of its whole training, or all of it by another seed."""

    share: float = 1.0
    seed: int = 0  # added to that of the search

    @property
    def text(self) -> str:
        """What it does, in words.

        >>> Step(1 / 3).text, Step(1.0, 2).text
        ('trained on, to 1/3 of its training', 'trained anew, by seed +2')
        """
        if self.seed:
            return f"trained anew, by seed +{self.seed}"
        return f"trained on, to {share_text(self.share)}"


def share_text(share: float) -> str:
    """A share of a training in words.

    >>> share_text(1 / 9), share_text(1.0)
    ('1/9 of its training', 'the end')
    """
    return "the end" if share == 1 else f"{Fraction(share).limit_denominator(100)} of its training"


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
    history: dict[str, list[float]] = field(default_factory=dict)  # by epoch; of each step since its last resume
    share: float = 1.0  # of its whole training, that it has had
    # Share and accuracy of the steps before; of the last one too, where `dse finish` has put another in place of it.
    earlier: list[list[float]] = field(default_factory=list)
    seeds: list[float] = field(default_factory=list)  # accuracies, its own first; empty unless complete
    more: Step | None = None  # that it is in the middle of
    stopped: str = ""  # why it could not be trained on
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

    def reached(self, share: float) -> float | None:
        """The accuracy after that share of its training; None when it did not come so far."""
        if self.outcome != "complete" or self.share < share:
            return None
        told = next((accuracy for known, accuracy in self.earlier if known == share), None)
        if told is None and self.share == share:
            return self.seeds[0] if self.seeds else self.values["accuracy"]
        return told

    @property
    def first_share(self) -> float:
        """Of its training, after its first step."""
        return self.earlier[0][0] if self.earlier else self.share

    @property
    def first_values(self) -> dict[str, float]:
        """Its values after its first step: those are comparable between all trials."""
        if self.first_share == 1:
            return self.values
        costs = {name: value for name, value in self.values.items() if not name.startswith(ACCURACY)}
        return costs | {ACCURACY: self.reached(self.first_share) or 0.0}


@dataclass(frozen=True)
class TrialResult:
    """What training gives: validation accuracies (the int8 one None when not asked for), weights, time."""

    accuracy_float: float
    accuracy_int8: float | None
    history: dict[str, list[float]]  # loss, accuracy, val_loss, val_accuracy of the epochs since the last resume
    seconds: float
    weights: bytes
    arithmetic: str
