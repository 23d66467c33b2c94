"""What lives in Ray's processes: the workers, and the mailbox in which they leave what the driver should hear.

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
from dse.search.workers.inline import perform
from dse.search.workers.jobs import Event, Job, Setting

LOOK_EVERY = 0.1  # seconds; in that time a process can take a few hundred MiB
LAST_WORD = 10.0  # seconds to leave a note for the driver before the end


@dataclass(frozen=True)
class Hello:
    """What a worker says when it is ready."""

    node: str
    pid: int
    threads: dict[str, str]  # as they are set, by what they are of
    held: int  # bytes of memory before any trial


@dataclass(frozen=True)
class Done:
    """What a worker says when a trial has ended."""

    event: Event
    held: int  # bytes of memory that it still has


class Mailbox:
    """Events of all workers, until the driver takes them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class _Worker:
    """Runs one job after another."""

    def __init__(self, setting: Setting, mailbox: Any, node: Any, request: int) -> None:
        mailbox.put.remote(Event("note", request, reason="placed"))
        quiet_tensorflow(setting.threads)
        for module in ("dse.search.workers.trial", "ai_edge_litert.interpreter"):  # now, not in the first trial's time
            importlib.import_module(module)

        self.setting, self.mailbox, self.node = setting, mailbox, node
        self.number: int | None = None
        self.limit = setting.worker_memory
        if self.limit is not None:
            threading.Thread(target=self._watch, args=(self.limit,), daemon=True).start()

    def ready(self) -> Hello:
        return Hello(self.node(), os.getpid(), thread_settings(), own_memory())

    def perform(self, job: Job) -> Done:
        self.number = job.number
        try:
            event = perform(job, self.setting, lambda event: self.mailbox.put.remote(event))
        finally:
            self.number = None
        if self.limit is not None:
            gc.collect()
            give_back()
        return Done(event, own_memory())

    def _watch(self, limit: int) -> None:
        """Ends this process when a trial takes more than its memory: a trial cannot be ended without it."""
        while True:
            threading.Event().wait(LOOK_EVERY)
            number, used = self.number, own_memory()
            if number is not None and used > limit:
                reason = (
                    f"out of memory: the worker used {bytes_text(used)}, limit {bytes_text(limit)} (--worker-memory)"
                )
                with suppress(Exception):  # without the note the driver takes it for any other death
                    self.mailbox.put.remote(Event("failed", number, reason=reason)).future().result(LAST_WORD)
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
