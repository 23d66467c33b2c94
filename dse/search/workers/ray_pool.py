"""`RayPool`: trials in long-lived Ray actors, on this machine or on a cluster.

Every worker has a seat. A seat is free when its worker is ready and has no trial: none is given to a worker that still
waits for a place on the cluster or imports TensorFlow. When a worker is lost the next one is asked for at once, and its
trial goes, from its checkpoint where the disk is shared, to whichever worker is free first.

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
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from dse._util.loopback import is_loopback
from dse._util.units import bytes_text
from dse.errors import RunError
from dse.search.workers._ray_internals import keep_quiet
from dse.search.workers.jobs import Event, Job, Setting, too_long
from dse.search.workers.ray_worker import Done, Hello, Mailbox, _Worker

MAX_ATTEMPTS = 3  # for a trial whose workers die, and for a worker that cannot start
GRACE = 5.0  # seconds after its time in which a trial may end by itself, before its worker is ended
PATIENCE = 30.0  # seconds until a worker that has not started is talked about
MAIL_TIMEOUT = 45.0  # seconds
LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
LOST_AFTER = 20.0  # seconds without an answer of Ray's head; at 60 Ray itself would abort the process


@dataclass
class _Task:
    """A job and what became of it so far."""

    job: Job
    lost_on: list[str] = field(default_factory=list)  # the nodes of the workers that it lost
    began: float = 0.0
    arrived: float = 0.0  # when its result came, which may be long before it is looked at
    epoch: int = 0
    verdict: str = ""  # why its worker is being ended


@dataclass
class _Seat:
    """A worker, or the wait for one."""

    actor: Any = None
    reference: Any = None  # of what is waited for: its hello, or the result of its task; None when it is free
    asked: float = 0.0
    number: int = 0  # of the request for it
    placed: bool = False  # it runs somewhere, and may still be importing
    hello: Hello | None = None  # None until it is ready
    task: _Task | None = None
    failures: int = 0  # to start, in a row


class RayPool:
    """One Ray actor per worker, on a local Ray or on the cluster at `address`."""

    def __init__(self, setting: Setting, num_workers: int, address: str | None = None) -> None:
        _set_switches(address)
        import ray  # reads the switches

        self.ray = ray
        cores = len(os.sched_getaffinity(0))
        # On a cluster this machine's cores say nothing; a worker asks for its threads as Ray's CPUs, by default one.
        self.threads = setting.threads or (1 if address else max(1, cores // num_workers))
        self._connect(address, max(num_workers * self.threads, cores))
        keep_quiet()
        context = ray.get_runtime_context()
        self.head = None if address and address.startswith("ray://") else context.gcs_address
        self.home = context.get_node_id() if self.head else None
        self.heard = time.monotonic()
        self.memory = setting.worker_memory
        self.timeout = setting.trial_timeout
        if self.memory and not address and self.memory > (has := int(ray.cluster_resources().get("memory", 0))):
            ray.shutdown()
            raise RunError(
                f"--worker-memory {bytes_text(self.memory)} is too much: Ray has {bytes_text(has)} for all workers here"
            )
        # Workers never need the test images.
        data = replace(setting.data, test=setting.data.test.first(0))
        self.setting = ray.put(replace(setting, data=data, threads=self.threads))
        # Beside the driver, so that no other node takes it away.
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
        self.mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()
        self.again: deque[_Task] = deque()  # lost their worker
        self.starts: list[float] = []  # seconds
        self.startups: list[float] = []  # seconds, of trials
        self.requests = itertools.count()
        self.waiting = 0  # workers that were said to wait
        self.seats = [_Seat() for _ in range(num_workers)]
        for seat in self.seats:
            self._start(seat)

    def _connect(self, address: str | None, num_cpus: int) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        try:
            if address:
                _knock(address)
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

    def _start(self, seat: _Seat) -> None:
        """Asks for a worker. Ray itself must not start one anew, but finds out for us whether one that cannot be
        reached is dead: a call is only given up when it is."""
        options: dict[str, Any] = {"num_cpus": self.threads, "max_restarts": 0, "max_task_retries": -1}
        if self.memory:
            options["memory"] = self.memory
        seat.number, seat.placed = next(self.requests), False
        actor = self.ray.remote(**options)(_Worker).remote(self.setting, self.mailbox, _node, seat.number)
        seat.actor, seat.reference, seat.asked = actor, actor.ready.remote(), time.monotonic()
        seat.hello = seat.task = None

    def _end(self, seat: _Seat) -> None:
        """Ends a worker whatever it does; Ray gives a stuck one some seconds, which are spared where we may."""
        self.ray.kill(seat.actor)
        if seat.hello and seat.hello.node == self.home:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(seat.hello.pid, signal.SIGKILL)

    def free(self) -> int:
        return max(0, sum(seat.reference is None for seat in self.seats) - len(self.again))

    def submit(self, job: Job) -> None:
        self._give(_Task(job))

    def _give(self, task: _Task) -> None:
        seat = next(seat for seat in self.seats if seat.reference is None)
        task.began, task.arrived = time.monotonic(), 0.0
        seat.task, seat.reference = task, seat.actor.perform.remote(task.job)
        seat.reference.future().add_done_callback(lambda _: setattr(task, "arrived", time.monotonic()))

    # -- what happens

    def wait(self, seconds: float) -> list[Event]:
        try:
            return self._wait(seconds)
        except (self.ray.exceptions.RayError, ConnectionError) as error:  # not a worker's: those are dealt with
            raise RunError(f"Ray was lost ({type(error).__name__}); the same command goes on") from None

    def _wait(self, seconds: float) -> list[Event]:
        waited = {seat.reference: seat for seat in self.seats if seat.reference is not None}
        ready, _ = self.ray.wait(list(waited), timeout=seconds)
        self._listen()
        events = self._mail()
        for reference in ready:
            seat = waited[reference]
            try:
                if seat.task is None:
                    self._started(seat, self.ray.get(reference))
                else:
                    events.append(self._done(seat, seat.task, self.ray.get(reference)))
            except self.ray.exceptions.RayError as error:
                events.append(self._lost(seat, seat.task, error) if seat.task else self._not_started(seat, error))
        self._end_late()
        while self.again and any(seat.reference is None for seat in self.seats):
            self._give(self.again.popleft())
        return events + self._talk()

    def _mail(self) -> list[Event]:
        mail: list[Event] = self.ray.get(self.mailbox.take.remote(), timeout=MAIL_TIMEOUT)
        tasks = {seat.task.job.number: seat.task for seat in self.seats if seat.task}
        for event in mail:
            if event.kind == "note":
                for seat in self.seats:
                    seat.placed |= seat.number == event.number
            elif task := tasks.get(event.number):
                if event.kind == "epoch":
                    task.epoch = event.epoch
                elif event.kind != "said":  # the last word of a worker that ends itself: told when it has ended
                    task.verdict = event.reason
        return [event for event in mail if event.kind in ("epoch", "said")]

    def _started(self, seat: _Seat, hello: Hello) -> None:
        seat.hello, seat.reference, seat.failures = hello, None, 0
        self.starts.append(time.monotonic() - seat.asked)
        if self.memory and hello.held >= self.memory:
            raise RunError(
                f"a worker takes {bytes_text(hello.held)} before any trial: "
                f"--worker-memory {bytes_text(self.memory)} is too little"
            )

    def _not_started(self, seat: _Seat, error: Exception) -> Event:
        seat.failures += 1
        reason = str(error).strip().splitlines()[-1].strip()
        if seat.failures < MAX_ATTEMPTS:
            self._start(seat)
            return _note(f"a worker could not start, and is asked for again: {reason}")
        self.seats.remove(seat)
        if not self.seats:
            raise RunError(f"no worker could start: {reason}")
        left = len(self.seats)
        return Event(
            "note", -1, reason=f"a worker could not start {MAX_ATTEMPTS} times: going on with {left}: {reason}"
        )

    def _done(self, seat: _Seat, task: _Task, done: Done) -> Event:
        self.startups.append(max(0.0, (task.arrived or time.monotonic()) - task.began - done.event.seconds))
        seat.reference = seat.task = None
        # What a worker keeps of its trials must not be the death of a later one.
        if self.memory and seat.hello and done.held > (seat.hello.held + self.memory) / 2:
            self._end(seat)
            self._start(seat)
        return done.event

    def _lost(self, seat: _Seat, task: _Task, error: Exception) -> Event:
        number, node = task.job.number, seat.hello.node if seat.hello else ""
        self.ray.kill(seat.actor)
        self._start(seat)
        if task.verdict:
            return Event("failed", number, reason=task.verdict)
        if isinstance(error, self.ray.exceptions.OutOfMemoryError):
            return Event("failed", number, reason="out of memory: the worker was ended by Ray's memory monitor")
        task.lost_on.append(node)
        # Asked each time for all of them: a node that shuts down may end its workers before it is known to be gone.
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        deaths = sum(node in alive for node in task.lost_on)
        if deaths >= MAX_ATTEMPTS:
            return Event("failed", number, reason=f"its worker died {deaths} times ({type(error).__name__})")
        self.again.append(task)
        if node not in alive:
            return Event("retried", number, reason="the node of its worker left the cluster; it is tried again")
        return Event("retried", number, reason=f"its worker died ({type(error).__name__}), attempt {deaths + 1}")

    def _end_late(self) -> None:
        """Ends the workers of trials that are over their time and did not end by themselves, as when one is stuck."""
        for seat in self.seats:
            task = seat.task
            if self.timeout and task and not task.verdict and time.monotonic() - task.began > self.timeout + GRACE:
                task.verdict = too_long(self.timeout, task.epoch, task.job)
                self._end(seat)

    def _talk(self) -> list[Event]:
        """A note when workers wait long for their place, and when they wait no more."""
        now = time.monotonic()
        waiting = sum(not seat.placed and now - seat.asked > PATIENCE for seat in self.seats)
        if waiting == self.waiting:
            return []
        self.waiting = waiting
        if not waiting:
            return [_note(f"all {len(self.seats)} workers have their place now")]
        free = self.ray.available_resources()
        needs = f"{self.threads} CPU" + (f" and {bytes_text(self.memory)} of memory" if self.memory else "")
        has = f"{free.get('CPU', 0):g} CPU and {bytes_text(free.get('memory', 0))} of memory"
        return [
            _note(
                f"{waiting} of {len(self.seats)} workers wait for a place: each needs {needs} "
                f"on one node, and all nodes together have {has} free"
            )
        ]

    def _listen(self) -> None:
        """Raises RunError when Ray's head is gone, before Ray aborts this process for it."""
        now = time.monotonic()
        if self.head is None or now - self.heard < LOST_AFTER / 4:
            return
        try:
            _knock(self.head)
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
        for seat in self.seats:
            self.ray.kill(seat.actor)
        self.ray.shutdown()


def _note(text: str) -> Event:
    return Event("note", -1, reason=text)


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


def _knock(address: str) -> None:
    """Raises OSError when nobody listens at host:port; Ray itself would try for minutes and then abort the process."""
    host, port = _host_and_port(address)
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
