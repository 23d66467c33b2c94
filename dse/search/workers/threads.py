"""Several trials at once in this process, a thread each: small networks that do not fill a GPU alone.

While one of them is compiled the device computes the others. Only JAX takes it: what Keras keeps of a model under
construction is each thread's own there, and nothing else of a process is changed by a training.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from dse._util.backend import choose_backend
from dse._util.quiet import quiet_tensorflow
from dse.errors import RunError
from dse.search.workers.events import Event, TrialDone, TrialFailed
from dse.search.workers.inline import perform, refuse_memory_limit
from dse.search.workers.jobs import Job, WorkerSettings

PATIENCE = 5.0  # seconds that threads have to end when the pool is closed


class _Closed(BaseException):
    """Ends a training whose pool is closed; its checkpoint stays."""


class ThreadPool:
    """`at_once` jobs at a time, in threads of this process. Raises RunError where Keras does not compute with JAX."""

    def __init__(self, settings: WorkerSettings, at_once: int) -> None:
        refuse_memory_limit(settings)
        if (backend := choose_backend()) != "jax":
            raise RunError(f"`at_once` is for trainings on JAX, and this is {backend}: `workers` trains in parallel")
        self.settings, self.at_once = settings, at_once
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.threads: dict[int, threading.Thread] = {}
        self.closing = threading.Event()
        quiet_tensorflow(settings.threads)

    def free(self) -> int:
        return self.at_once - len(self.threads)

    def submit(self, job: Job) -> None:
        thread = threading.Thread(target=self._run, args=(job,), name=f"trial {job.number}", daemon=True)
        self.threads[job.number] = thread
        thread.start()

    def wait(self, seconds: float) -> Sequence[Event]:
        found: list[Event] = []
        try:
            found.append(self.events.get(timeout=seconds))
            while True:
                found.append(self.events.get_nowait())
        except queue.Empty:
            pass
        for event in found:
            if isinstance(event, TrialDone | TrialFailed):
                self.threads.pop(event.number).join()
        return found

    def startup(self) -> str:
        return ""

    def close(self) -> None:
        self.closing.set()
        for thread in self.threads.values():
            thread.join(PATIENCE / self.at_once)
        self.threads.clear()

    def _run(self, job: Job) -> None:
        try:
            ended = perform(job, self.settings, self._tell, alone=False)
        except _Closed:
            return
        self.events.put(ended)

    def _tell(self, event: Event) -> None:
        if self.closing.is_set():
            raise _Closed
        self.events.put(event)
