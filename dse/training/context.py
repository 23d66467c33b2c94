"""What surrounds a training: its seed, where it may resume, who hears of it, and until when it may run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from dse._util.units import duration_text
from dse.errors import TrialError
from dse.training.names import Asked
from dse.training.sources import WeightSource

EpochReport = Callable[[int, int, dict[str, float]], object]  # the epoch that has ended, of how many, its metrics


@dataclass(frozen=True)
class Deadline:
    """The time that a training may take, counted from when this is made."""

    seconds: float
    epochs: int  # of the whole training, for the message
    began: float = field(default_factory=time.monotonic)

    def check(self, epochs_done: int) -> None:
        """Raise TrialError when the time is over."""
        if time.monotonic() - self.began > self.seconds:
            raise TrialError(out_of_time(self.seconds, epochs_done, self.epochs))


@dataclass(frozen=True)
class TrainingContext:
    """What surrounds a training and is no setting of it. All of it may be left out.

    A training in phases hands each of them its own view of this: see `phase`.
    """

    seed: int = 0  # of fresh weights, augmentation and the order of images
    sources: Mapping[str, WeightSource] = field(default_factory=dict)  # the trained networks that its settings name
    checkpoint: Path | None = None  # a folder: a training that was killed resumes there
    on_epoch: EpochReport | None = None
    on_note: Callable[[str], object] | None = None  # what a person should know of this training
    deadline: Deadline | None = None
    arithmetic: Asked = "auto"  # how it is computed
    weights: bytes = b""  # a file of weights that the training goes on from; fresh ones when empty
    # Of the same network in earlier steps: the order of the images and what is done to them go on from there.
    epochs_earlier: int = 0
    epochs_before: int = 0  # of earlier phases
    epochs_after: int = 0  # of later phases

    def phase(self, before: int = 0, after: int = 0, *, resumes: bool = True) -> Self:
        """The context of one phase, with so many epochs before and after it, and a checkpoint only if it resumes."""
        checkpoint = self.checkpoint if resumes else None
        return replace(self, epochs_before=before, epochs_after=after, checkpoint=checkpoint)

    def epoch_ended(self, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        """Tell that an epoch of this phase has ended, counted over all phases and steps."""
        if self.on_epoch:
            before = self.epochs_earlier + self.epochs_before
            self.on_epoch(before + epoch, before + epochs + self.epochs_after, metrics)

    def check_time(self, epochs_done: int) -> None:
        """Raise TrialError when the time is over; `epochs_done` are those of this phase."""
        if self.deadline:
            self.deadline.check(self.epochs_earlier + self.epochs_before + epochs_done)

    def note(self, text: str) -> None:
        """Tell what a person should know."""
        if self.on_note:
            self.on_note(text)


def out_of_time(seconds: float, epochs_done: int, epochs: int) -> str:
    """Why a trial was ended that took too long.

    >>> out_of_time(90.0, 3, 12)
    'took longer than the 1 min 30 s of a trial, 3 of 12 epochs done'
    """
    return f"took longer than the {duration_text(seconds)} of a trial, {epochs_done} of {epochs} epochs done"
