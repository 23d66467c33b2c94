"""Trials whose candidate is being trained already: they wait, and take its values when it ends."""

from __future__ import annotations

from dse.search.record import TrialRecord


class Duplicates:
    """The candidates in training, and the later trials of the same ones."""

    def __init__(self) -> None:
        self._training: dict[str, int] = {}  # the trial in which a candidate is being trained, by the candidate's id
        self._waiting: dict[int, list[int]] = {}  # later trials of its candidate, by the trial in training

    def begins(self, record: TrialRecord) -> None:
        """The candidate of a trial goes to training."""
        self._training[record.id] = record.number

    def waits(self, record: TrialRecord) -> bool:
        """Whether the candidate of a trial is in training; if so, the trial waits for it to end."""
        if record.id not in self._training:
            return False
        self._waiting.setdefault(self._training[record.id], []).append(record.number)
        return True

    def ended(self, record: TrialRecord) -> list[int]:
        """The numbers of the trials that waited for this one, first come first."""
        del self._training[record.id]
        return self._waiting.pop(record.number, [])
