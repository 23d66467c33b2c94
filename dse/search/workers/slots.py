"""The slot of a Ray worker: what the driver knows of it, and which trial it has."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dse.search.workers.jobs import Job
from dse.search.workers.ray_worker import WorkerReady


class SlotState(Enum):
    """WAITING ──> IMPORTING ──> IDLE <──> TRAINING ──> ENDING; a lost worker is waited for anew from any of them."""

    WAITING = "for a place on a node"
    IMPORTING = "placed, and not ready yet"
    IDLE = "ready for a trial"
    TRAINING = "has a trial"
    ENDING = "its trial may not go on, and it ends with it"


@dataclass
class Task:
    """A job and what became of it so far."""

    job: Job
    lost_on: list[str] = field(default_factory=list)  # the nodes of the workers that it lost
    began: float = 0.0
    arrived: float = 0.0  # when its result came, which may be long before it is looked at
    epoch: int = 0  # the last that ended
    end_reason: str = ""  # why its worker is being ended


@dataclass
class WorkerSlot:
    """A worker, or the wait for one."""

    state: SlotState = SlotState.WAITING
    actor: Any = None
    pending: Any = None  # Ray's reference of what is waited for: that it is ready, or the result of its task
    asked: float = 0.0
    request: int = 0  # the number of the request for it
    ready: WorkerReady | None = None  # None until it is
    task: Task | None = None
    failures: int = 0  # to start, in a row

    def ask(self, actor: Any, pending: Any, request: int) -> None:
        """A worker has been asked for, the first or the next of this slot."""
        self.state, self.actor, self.pending, self.request = SlotState.WAITING, actor, pending, request
        self.asked, self.ready, self.task = time.monotonic(), None, None

    def placed(self, request: int) -> None:
        """The worker of a request runs somewhere; perhaps it is this slot's."""
        if request == self.request and self.state is SlotState.WAITING:
            self.state = SlotState.IMPORTING

    def started(self, ready: WorkerReady) -> None:
        """The worker can take a trial."""
        self.state, self.ready, self.pending, self.failures = SlotState.IDLE, ready, None, 0

    def give(self, task: Task, pending: Any) -> None:
        """The worker has been given a trial."""
        task.began, task.arrived = time.monotonic(), 0.0
        self.state, self.task, self.pending = SlotState.TRAINING, task, pending

    def last_epoch(self, epoch: int) -> None:
        """An epoch of its trial has ended."""
        if self.task:
            self.task.epoch = epoch

    def ending(self, reason: str) -> None:
        """The worker is being ended, or ends itself, for the reason with which its trial will fail."""
        if self.task:
            self.state, self.task.end_reason = SlotState.ENDING, reason

    def done(self) -> None:
        """Its trial has ended."""
        self.state, self.task, self.pending = SlotState.IDLE, None, None
