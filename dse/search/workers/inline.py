"""How a worker runs one trial, and the pool of one worker in this process."""

from __future__ import annotations

import time
import traceback
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse._util.quiet import quiet_tensorflow
from dse.errors import DseError, RunError, TrialError
from dse.network.candidate import Candidate

if TYPE_CHECKING:
    pass
from dse.search.workers.jobs import Event, Job, Setting, too_long


def perform(job: Job, setting: Setting, report: Any) -> Event:
    """Runs a job to its last event. A trial's own failure is an event; nothing is raised but interrupts.

    A trial that is over its time ends after a batch. What comes after the training is not looked at here.
    """
    from dse.search.workers.trial import run_trial

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
