"""What lives in Ray's processes: the workers, and the queue of their events for the driver.

A worker imports TensorFlow, takes the images from the node's shared memory and says that it is ready; then it runs one
trial after another. It watches its own memory, because nobody else can on every node: Ray's `memory` is a figure for
the scheduler, Ray's monitor looks at the node as a whole, and RLIMIT_AS counts the address space, of which TensorFlow
takes far more than memory.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse._util.quiet import quiet_tensorflow, thread_settings
from dse._util.units import bytes_text
from dse.search.workers.events import Event, TrialEnded, TrialFailed
from dse.search.workers.inline import perform
from dse.search.workers.jobs import Job, WorkerSettings

LOOK_EVERY = 0.1  # seconds; in that time a process can take a few hundred MiB
LAST_WORD = 10.0  # seconds to tell the driver why, before the process ends itself


@dataclass(frozen=True)
class WorkerReady:
    """What a worker returns when it can take a trial."""

    node: str
    pid: int
    threads: dict[str, str]  # as they are set, by what they are of
    memory: int  # bytes, before any trial


@dataclass(frozen=True)
class JobEnded:
    """What a worker returns when a trial has ended."""

    event: TrialEnded
    memory: int  # bytes that it still has


@dataclass(frozen=True)
class WorkerPlaced:
    """A worker runs somewhere, and still has to import TensorFlow."""

    request: int  # the number of the request for it


class EventQueue:
    """Events of all workers, until the driver takes them."""

    def __init__(self) -> None:
        self.events: list[Event | WorkerPlaced] = []

    def put(self, event: Event | WorkerPlaced) -> None:
        self.events.append(event)

    def take(self) -> list[Event | WorkerPlaced]:
        events, self.events = self.events, []
        return events


class RayWorker:
    """Runs one job after another."""

    def __init__(self, settings: WorkerSettings, queue: Any, node: Any, request: int) -> None:
        queue.put.remote(WorkerPlaced(request))
        quiet_tensorflow(settings.threads)
        for module in ("dse.search.workers.trial", "ai_edge_litert.interpreter"):  # now, not in the first trial's time
            importlib.import_module(module)

        self.settings, self.queue, self.node = settings, queue, node
        self.number: int | None = None
        self.limit = settings.worker_memory
        if self.limit is not None:
            threading.Thread(target=self._watch, args=(self.limit,), daemon=True).start()

    def ready(self) -> WorkerReady:
        return WorkerReady(self.node(), os.getpid(), thread_settings(), own_memory())

    def perform(self, job: Job) -> JobEnded:
        self.number = job.number
        try:
            event = perform(job, self.settings, lambda event: self.queue.put.remote(event))
        finally:
            self.number = None
        if self.limit is not None:
            gc.collect()
            give_back()
        return JobEnded(event, own_memory())

    def _watch(self, limit: int) -> None:
        """Ends this process when a trial takes more than its memory: a trial cannot be ended without it."""
        while True:
            threading.Event().wait(LOOK_EVERY)
            number, used = self.number, own_memory()
            if number is not None and used > limit:
                reason = f"out of memory: the worker used {bytes_text(used)}, limit {bytes_text(limit)}"
                with suppress(Exception):  # without it the driver takes this for any other death
                    self.queue.put.remote(TrialFailed(number, reason)).future().result(LAST_WORD)
                os._exit(1)


def own_memory() -> int:
    """Bytes of memory of this process, without what it shares with others: the images are there once per node."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS:", "RssShmem:"))}
    return 1024 * (int(kilobytes.get("VmRSS", 0)) - int(kilobytes.get("RssShmem", 0)))


def give_back() -> None:
    """Gives free memory back to the system, where the C library can: else it would count against the next trial."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
