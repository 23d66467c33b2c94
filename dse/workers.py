"""Many pipelines at once: `InlinePool` in this process, `RayPool` in long-lived Ray actors.

A pool takes jobs and gives events. A Ray actor imports TensorFlow and holds the data once for all its trials.
A worker that dies costs one attempt of its trial: the trial is tried again, from its checkpoint where the
disk is shared, and fails after `MAX_ATTEMPTS`. The only file that imports Ray.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dse.errors import DseError, RunError
from dse.quiet import quiet_tensorflow

if TYPE_CHECKING:
    from dse.datasets import Data
    from dse.record import TrialResult

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """One trial to run."""

    number: int
    candidate_json: str
    checkpoint: Path


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial."""

    kind: Literal["epoch", "done", "failed", "retried"]
    number: int
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    result: TrialResult | None = None
    reason: str = ""


@dataclass(frozen=True)
class Setting:
    """What all jobs of a run share."""

    data: Data
    accuracy: str
    seed: int
    threads: int


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

    def close(self) -> None:
        """Ends all workers at once."""
        ...


def perform(job: Job, setting: Setting, report: Any) -> Event:
    """Runs a job to its last event. A trial's own failure is an event; nothing is raised but interrupts."""
    from dse.candidate import Candidate
    from dse.pipeline import run_trial

    try:
        result = run_trial(
            Candidate.from_json(job.candidate_json),
            setting.data,
            accuracy=setting.accuracy,
            seed=setting.seed,
            checkpoint=job.checkpoint,
            report=lambda epoch, metrics: report(Event("epoch", job.number, epoch, metrics)),
        )
        return Event("done", job.number, result=result)
    except DseError as error:
        return Event("failed", job.number, reason=str(error))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {str(error)[:500]} ({Path(where.filename).name}:{where.lineno})"
        return Event("failed", job.number, reason=reason)


class InlinePool:
    """One job at a time, in this process. `on_event` hears of epochs as they end."""

    def __init__(self, setting: Setting, on_event: Any) -> None:
        self.setting, self.on_event = setting, on_event
        self.jobs: deque[Job] = deque()
        quiet_tensorflow()

    def free(self) -> int:
        return 1 - len(self.jobs)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, seconds: float) -> list[Event]:
        return [perform(self.jobs.popleft(), self.setting, self.on_event)] if self.jobs else []

    def close(self) -> None:
        self.jobs.clear()


class RayPool:
    """One Ray actor per worker, on a local Ray or on the cluster at `address`."""

    def __init__(self, setting: Setting, num_workers: int, address: str | None = None) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self.ray = ray
        try:
            if address:
                _knock(address)
                ray.init(address=address, log_to_driver=False, logging_level="error")
            else:
                _only_loopback()
                ray.init(
                    address="local",  # whatever cluster this machine may be part of
                    num_cpus=max(num_workers, os.cpu_count() or 1),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="error",
                )
        except (OSError, RuntimeError, ValueError) as error:
            raise RunError(f"Ray cannot be reached{f' at {address}' if address else ''}: {error}") from None
        self.setting = ray.put(setting)
        self.mailbox = _remote(ray, _Mailbox, num_cpus=0).remote()
        self.idle = [self._start() for _ in range(num_workers)]
        self.busy: dict[Any, tuple[Any, Job, int]] = {}  # what will be the result -> worker, job, attempt

    def _start(self) -> Any:
        options = {"num_cpus": 1, "max_restarts": 0}
        return _remote(self.ray, _Worker, **options).remote(self.setting, self.mailbox)

    def free(self) -> int:
        return len(self.idle)

    def submit(self, job: Job) -> None:
        self._submit(job, 1)

    def _submit(self, job: Job, attempt: int) -> None:
        worker = self.idle.pop()
        self.busy[worker.perform.remote(job)] = (worker, job, attempt)

    def wait(self, seconds: float) -> list[Event]:
        ready, _ = self.ray.wait(list(self.busy), timeout=seconds) if self.busy else ([], [])
        try:
            events: list[Event] = self.ray.get(self.mailbox.take.remote())
        except self.ray.exceptions.RayError as error:
            raise RunError(f"Ray was lost ({type(error).__name__}); the same command goes on") from None
        for reference in ready:
            worker, job, attempt = self.busy.pop(reference)
            try:
                events.append(self.ray.get(reference))
                self.idle.append(worker)
            except self.ray.exceptions.RayError as error:
                self.ray.kill(worker)
                self.idle.append(self._start())
                events.append(self._lost(job, attempt, error))
        return events

    def _lost(self, job: Job, attempt: int, error: Exception) -> Event:
        if isinstance(error, self.ray.exceptions.OutOfMemoryError):
            return Event("failed", job.number, reason="out of memory: the worker was ended by Ray's memory monitor")
        if attempt >= MAX_ATTEMPTS:
            return Event("failed", job.number, reason=f"its worker died {attempt} times ({type(error).__name__})")
        self._submit(job, attempt + 1)
        return Event("retried", job.number, reason=f"its worker died ({type(error).__name__}), attempt {attempt + 1}")

    def close(self) -> None:
        for worker in [*self.idle, *(worker for worker, _, _ in self.busy.values())]:
            self.ray.kill(worker)
        self.ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError when nobody listens at host:port; Ray itself would try for minutes and then abort the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host in ("127.0.0.1", "localhost"):
        _only_loopback()
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _only_loopback() -> None:
    """Makes a local Ray listen on 127.0.0.1 only, as it does by default on macOS; on Linux it would listen on every
    interface, and `_node_ip_address` turns 127.0.0.1 back into a reachable address."""
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False


def _remote(ray: Any, kind: type, **options: Any) -> Any:
    return ray.remote(**options)(kind)


class _Mailbox:
    """Events of all workers, until the driver takes them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class _Worker:
    """Lives in a Ray process; runs one job after another."""

    def __init__(self, setting: Setting, mailbox: Any) -> None:
        quiet_tensorflow(setting.threads)
        self.setting, self.mailbox = setting, mailbox

    def perform(self, job: Job) -> Event:
        return perform(job, self.setting, lambda event: self.mailbox.put.remote(event))
