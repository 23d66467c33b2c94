"""How a worker runs one trial, and the pool of one worker in this process."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dse._util.quiet import quiet_tensorflow
from dse.errors import DseError, RunError
from dse.search.workers.events import EpochEnded, Event, TrialDone, TrialEnded, TrialFailed, TrialNote
from dse.search.workers.jobs import Job, WorkerSettings
from dse.training.context import Deadline, TrainingContext

if TYPE_CHECKING:
    from dse.data.images import Images


def perform(job: Job, settings: WorkerSettings, tell: Callable[[Event], object], *, alone: bool = True) -> TrialEnded:
    """Run a job; how it ended. A trial's own failure is an event: nothing is raised but interrupts.

    `tell` is called with what happens before. A trial that is over its time ends after a batch; what comes after the
    training is not limited here. `alone`: no other trial is under way in this process.
    """
    from dse.search.workers.trial import run_trial

    began, limit = time.monotonic(), settings.trial_timeout
    epochs_at = list[float]()

    def ended(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        epochs_at.append(time.monotonic() - began)
        tell(EpochEnded(job.number, epoch, epochs, metrics))

    try:
        candidate = job.candidate
        data = replace(
            settings.data,
            train=_part(settings.data.train, job.images),
            validation=_part(settings.data.validation, job.validation_images),
        )
        context = TrainingContext(
            settings.seed + job.step.seed,
            settings.sources,
            job.checkpoint,
            on_epoch=ended,
            on_note=lambda text: tell(TrialNote(job.number, text)),
            deadline=None
            if limit is None
            else Deadline(limit, job.epochs_before + candidate.training.all_epochs, began),
            arithmetic=settings.arithmetic,
            weights=job.weights,
            epochs_earlier=job.epochs_before,
        )
        result = run_trial(candidate, data, context, accuracy=settings.accuracy, alone=alone)
        return TrialDone(job.number, result, time.monotonic() - began, tuple(epochs_at))
    except DseError as error:
        reason = str(error)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {str(error)[:500]} ({Path(where.filename).name}:{where.lineno})"
    return TrialFailed(job.number, reason, time.monotonic() - began)


def _part(images: Images, share: float) -> Images:
    return images if share >= 1 else images.first(max(1, round(len(images) * share)))


def refuse_memory_limit(settings: WorkerSettings) -> None:
    """Raises RunError where a limit is asked for that only a process of its own can be held to."""
    if settings.worker_memory is not None:
        raise RunError("`worker_memory` needs a worker that can be ended: `workers` 1 or more")


class InlinePool:
    """One job at a time, in this process. `tell` is called with epochs as they end."""

    def __init__(self, settings: WorkerSettings, tell: Callable[[Event], object]) -> None:
        refuse_memory_limit(settings)
        self.settings, self.tell = settings, tell
        self.jobs: deque[Job] = deque()
        quiet_tensorflow(settings.threads)

    def free(self) -> int:
        return 1 - len(self.jobs)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, seconds: float) -> Sequence[Event]:
        return [perform(self.jobs.popleft(), self.settings, self.tell)] if self.jobs else []

    def startup(self) -> str:
        return ""

    def close(self) -> None:
        self.jobs.clear()
