"""`RayPool`: trials in long-lived Ray actors, on this machine or on a cluster.

Every worker has a slot, whose states are those of `SlotState`. A trial is given to an idle worker only: not to one that
still waits for a place on the cluster or imports TensorFlow. When a worker is lost the next one is asked for at once,
and its trial goes, from its checkpoint where the disk is shared, to whichever worker is idle first.

What a loss costs depends on whose it was. A worker that died by itself costs its trial one of `MAX_ATTEMPTS`, since the
trial may be the reason. A node that left the cluster costs none, however often. A trial that broke a limit has failed.
The time of a trial counts anew when it is taken up again.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

from dse._util.backend import is_installed
from dse._util.loopback import is_loopback
from dse._util.units import bytes_text
from dse.errors import RunError
from dse.search.workers._ray_internals import keep_quiet
from dse.search.workers.events import EpochEnded, Event, TrialFailed, TrialNote, TrialRetried, WorkerNote
from dse.search.workers.jobs import Job, WorkerSettings
from dse.search.workers.ray_worker import EventQueue, JobEnded, RayWorker, WorkerPlaced, WorkerReady
from dse.search.workers.slots import SlotState, Task, WorkerSlot
from dse.training.context import out_of_time

MAX_ATTEMPTS = 3  # for a trial whose workers die, and for a worker that cannot start
GRACE = 5.0  # seconds after its time in which a trial may end by itself, before its worker is ended
PATIENCE = 30.0  # seconds until it is told that a worker has no place yet
QUEUE_TIMEOUT = 45.0  # seconds
LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
LOST_AFTER = 20.0  # seconds without an answer of Ray's head; at 60 Ray itself would abort the process


class RayPool:
    """One Ray actor per worker, on a local Ray or on the cluster at `address`."""

    def __init__(self, settings: WorkerSettings, num_workers: int, address: str | None = None) -> None:
        _set_switches(address)
        if not is_installed("ray"):
            raise RunError("Ray is not installed here; `workers` 0 trains in this process, without it")
        import ray  # reads the switches

        self.ray = ray
        cores = len(os.sched_getaffinity(0))
        # On a cluster this machine's cores say nothing; a worker asks for its threads as Ray's CPUs, by default one.
        self.threads = settings.threads or (1 if address else max(1, cores // num_workers))
        self._connect(address, max(num_workers * self.threads, cores))
        keep_quiet()
        context = ray.get_runtime_context()
        self.head = None if address and address.startswith("ray://") else context.gcs_address
        self.home = context.get_node_id() if self.head else None
        self.heard = time.monotonic()
        self.memory = settings.worker_memory
        self.timeout = settings.trial_timeout
        if self.memory and not address and self.memory > (has := int(ray.cluster_resources().get("memory", 0))):
            ray.shutdown()
            raise RunError(
                f"`worker_memory` {bytes_text(self.memory)} is too much: Ray has {bytes_text(has)} for all workers here"
            )
        # Workers never need the test images.
        data = replace(settings.data, test=settings.data.test.first(0))
        self.settings = ray.put(replace(settings, data=data, threads=self.threads))
        # Beside the driver, so that no other node takes it away.
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
        self.queue = ray.remote(num_cpus=0, scheduling_strategy=here)(EventQueue).remote()
        self.again: deque[Task] = deque()  # lost their worker
        self.starts: list[float] = []  # seconds
        self.startups: list[float] = []  # seconds, of trials
        self.requests = itertools.count()
        self.waiting = 0  # workers that were said to wait
        self.slots = [WorkerSlot() for _ in range(num_workers)]
        for slot in self.slots:
            self._start(slot)

    def _connect(self, address: str | None, num_cpus: int) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        try:
            if address:
                _probe(address)
                self.ray.init(address=address, **quiet)
            else:
                # "local": whatever cluster this machine may be part of
                self.ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise RunError(f"Ray cannot be reached{f' at {address}' if address else ''}: {error}") from None
        if not address:
            self._check_loopback()

    def _check_loopback(self) -> None:
        """End the local Ray and raise RunError when other machines can reach it: a switch may go unheard."""
        addresses = {str(node["NodeManagerAddress"]) for node in self.ray.nodes()}
        addresses.add(str(self.ray.get_runtime_context().gcs_address).rpartition(":")[0])
        if outside := sorted(address for address in addresses if not is_loopback(address)):
            self.ray.shutdown()
            raise RunError(
                f"cannot keep Ray on this machine: it listens on {', '.join(outside)}, expected a loopback address "
                f"(Ray reads {LOOPBACK_SWITCH}=0 when it is imported: was it imported before the search?)"
            )

    # -- workers

    def _start(self, slot: WorkerSlot) -> None:
        """Ask for a worker. Ray itself must not start one anew, but finds out for us whether one that cannot be
        reached is dead: a call is only given up when it is."""
        options: dict[str, Any] = {"num_cpus": self.threads, "max_restarts": 0, "max_task_retries": -1}
        if self.memory:
            options["memory"] = self.memory
        request = next(self.requests)
        actor = self.ray.remote(**options)(RayWorker).remote(self.settings, self.queue, _node, request)
        slot.ask(actor, actor.ready.remote(), request)

    def _end(self, slot: WorkerSlot) -> None:
        """End a worker whatever it does; Ray gives a stuck one some seconds, which are spared where we may."""
        self.ray.kill(slot.actor)
        if slot.ready and slot.ready.node == self.home:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(slot.ready.pid, signal.SIGKILL)

    def _idle(self) -> list[WorkerSlot]:
        return [slot for slot in self.slots if slot.state is SlotState.IDLE]

    def free(self) -> int:
        return max(0, len(self._idle()) - len(self.again))

    def submit(self, job: Job) -> None:
        self._give(Task(job))

    def _give(self, task: Task) -> None:
        slot = self._idle()[0]
        pending = slot.actor.perform.remote(task.job)
        slot.give(task, pending)
        pending.future().add_done_callback(lambda _: setattr(task, "arrived", time.monotonic()))

    # -- what happens

    def wait(self, seconds: float) -> list[Event]:
        try:
            return self._wait(seconds)
        except (self.ray.exceptions.RayError, ConnectionError) as error:  # not a worker's: those are dealt with
            raise RunError(f"Ray was lost ({type(error).__name__}); the same command goes on") from None

    def _wait(self, seconds: float) -> list[Event]:
        waited = {slot.pending: slot for slot in self.slots if slot.pending is not None}
        arrived, _ = self.ray.wait(list(waited), timeout=seconds)
        self._probe_head()
        events = self._take_events()
        for pending in arrived:
            slot = waited[pending]
            try:
                if slot.task is None:
                    self._started(slot, self.ray.get(pending))
                else:
                    events.append(self._done(slot, slot.task, self.ray.get(pending)))
            except self.ray.exceptions.RayError as error:
                events.append(self._lost(slot, slot.task, error) if slot.task else self._not_started(slot, error))
        self._end_late()
        while self.again and self._idle():
            self._give(self.again.popleft())
        return events + self._notes_of_waiting()

    def _take_events(self) -> list[Event]:
        """What workers have told since the last look, but how their trials ended: that comes with the result."""
        told: list[Event | WorkerPlaced] = self.ray.get(self.queue.take.remote(), timeout=QUEUE_TIMEOUT)
        slots = {slot.task.job.number: slot for slot in self.slots if slot.task}
        events: list[Event] = []
        for event in told:
            match event:
                case WorkerPlaced(request):
                    for slot in self.slots:
                        slot.placed(request)
                case EpochEnded(number, epoch):
                    if number in slots:
                        slots[number].last_epoch(epoch)
                    events.append(event)
                case TrialNote():
                    events.append(event)
                case TrialFailed(number, reason):  # the last word of a worker that ends itself: told when it has ended
                    if number in slots:
                        slots[number].ending(reason)
        return events

    def _started(self, slot: WorkerSlot, ready: WorkerReady) -> None:
        slot.started(ready)
        self.starts.append(time.monotonic() - slot.asked)
        if self.memory and ready.memory >= self.memory:
            raise RunError(
                f"a worker takes {bytes_text(ready.memory)} before any trial: "
                f"`worker_memory` {bytes_text(self.memory)} is too little"
            )

    def _not_started(self, slot: WorkerSlot, error: Exception) -> WorkerNote:
        slot.failures += 1
        reason = str(error).strip().splitlines()[-1].strip()
        if slot.failures < MAX_ATTEMPTS:
            self._start(slot)
            return WorkerNote(f"a worker could not start, and is asked for again: {reason}")
        self.slots.remove(slot)
        if not self.slots:
            raise RunError(f"no worker could start: {reason}")
        left = len(self.slots)
        return WorkerNote(f"a worker could not start {MAX_ATTEMPTS} times: going on with {left}: {reason}")

    def _done(self, slot: WorkerSlot, task: Task, ended: JobEnded) -> Event:
        self.startups.append(max(0.0, (task.arrived or time.monotonic()) - task.began - ended.event.seconds))
        slot.done()
        # What a worker keeps of its trials must not be the death of a later one.
        if self.memory and slot.ready and ended.memory > (slot.ready.memory + self.memory) / 2:
            self._end(slot)
            self._start(slot)
        return ended.event

    def _lost(self, slot: WorkerSlot, task: Task, error: Exception) -> Event:
        number, node = task.job.number, slot.ready.node if slot.ready else ""
        self.ray.kill(slot.actor)
        self._start(slot)
        if task.end_reason:
            return TrialFailed(number, task.end_reason)
        if isinstance(error, self.ray.exceptions.OutOfMemoryError):
            return TrialFailed(number, "out of memory: the worker was ended by Ray's memory monitor")
        task.lost_on.append(node)
        # Asked each time for all of them: a node that shuts down may end its workers before it is known to be gone.
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        deaths = sum(node in alive for node in task.lost_on)
        if deaths >= MAX_ATTEMPTS:
            return TrialFailed(number, f"its worker died {deaths} times ({type(error).__name__})")
        self.again.append(task)
        if node not in alive:
            return TrialRetried(number, "the node of its worker left the cluster; it is tried again")
        return TrialRetried(number, f"its worker died ({type(error).__name__}), attempt {deaths + 1}")

    def _end_late(self) -> None:
        """End the workers of trials that are over their time and did not end by themselves, as when one is stuck."""
        for slot in self.slots:
            task = slot.task
            if not (self.timeout and task and slot.state is SlotState.TRAINING):
                continue
            if time.monotonic() - task.began > self.timeout + GRACE:
                slot.ending(out_of_time(self.timeout, task.epoch, task.job.candidate.training.all_epochs))
                self._end(slot)

    def _notes_of_waiting(self) -> list[Event]:
        """A note when workers wait long for their place, and when they wait no more."""
        now = time.monotonic()
        waiting = sum(slot.state is SlotState.WAITING and now - slot.asked > PATIENCE for slot in self.slots)
        if waiting == self.waiting:
            return []
        self.waiting = waiting
        if not waiting:
            return [WorkerNote(f"all {len(self.slots)} workers have their place now")]
        free = self.ray.available_resources()
        needs = f"{self.threads} CPU" + (f" and {bytes_text(self.memory)} of memory" if self.memory else "")
        has = f"{free.get('CPU', 0):g} CPU and {bytes_text(free.get('memory', 0))} of memory"
        return [
            WorkerNote(
                f"{waiting} of {len(self.slots)} workers wait for a place: each needs {needs} "
                f"on one node, and all nodes together have {has} free"
            )
        ]

    def _probe_head(self) -> None:
        """Raise RunError when Ray's head is gone, before Ray aborts this process for it."""
        now = time.monotonic()
        if self.head is None or now - self.heard < LOST_AFTER / 4:
            return
        try:
            _probe(self.head)
            self.heard = now
        except OSError as error:
            if now - self.heard > LOST_AFTER:
                raise RunError(f"Ray was lost ({error}); the same command goes on") from None

    # -- the end

    def startup(self) -> str:
        if not self.startups:
            return ""
        return (
            f"workers: {len(self.starts)} started in {median(self.starts):.1f} s each (TensorFlow and the data once "
            f"per worker); {median(self.startups):.3f} s of start-up per trial"
        )

    def close(self) -> None:
        for slot in self.slots:
            self.ray.kill(slot.actor)
        self.ray.shutdown()


def _node() -> str:
    """The node of the process that calls it."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _set_switches(address: str | None) -> None:
    """Set the environment variables that Ray reads when it is imported, and hands down to its processes."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: beside any busy process a search would stand still
    if address is None or is_loopback(_host_and_port(address)[0]):
        # A Ray that knows no clusters listens on 127.0.0.1 only, as by default on macOS; on Linux it would listen on
        # every interface, and `_node_ip_address` turns 127.0.0.1 back into a reachable address.
        os.environ[LOOPBACK_SWITCH] = "0"


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host, port


def _probe(address: str) -> None:
    """Raise OSError when nobody listens at host:port; Ray itself would try for minutes and then abort the process."""
    host, port = _host_and_port(address)
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
