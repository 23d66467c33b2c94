"""One search: propose, pass the cost gate, train, record; and go on where a killed run stopped.

The state of a run is its folder: `run.yaml` (the settings, written once) and `study.db` (every trial). The same
command finds both and goes on; a command that asks for something else in the same folder is refused.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import time
import uuid
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dse._util.files import locked, write_atomic
from dse.cost.report import CostReport, estimate
from dse.data.datasets import Data, load_data
from dse.errors import NothingFitsError, RunError
from dse.hardware.budget import Budget
from dse.screening.feasibility import Nearest, find_nearest
from dse.search.explorers.explorers import Explorers, make_explorer
from dse.search.frames import trials_frame
from dse.search.observer import SearchObserver
from dse.search.record import TrialRecord
from dse.search.run_folder import model_folder, settle
from dse.search.settings import Settings
from dse.search.study.database import Place
from dse.search.study.study import Study
from dse.search.summary import Summary, cost_values
from dse.search.workers.inline import InlinePool
from dse.search.workers.jobs import Event, Job, Pool, Setting
from dse.search.workers.ray_pool import RayPool
from dse.space.space import Defaults
from dse.training.sources import IMAGENET, WeightSource, read_sources, write_trained

PACKAGES = ("tensorflow", "keras", "optuna", "ray", "numpy", "ai-edge-litert", "tflite-micro")
TEST_FILES = "test-files.txt"  # in a run on a folder of images: those that bundles are scored on, in their order
UNPRODUCTIVE = 400  # proposals in a row that train nothing, after which the search says so and stops


def search(settings: Settings, observer: SearchObserver) -> Summary:
    """Runs or continues a search until `trials` are trained or the time is over. Raises RunError, DataError."""
    data = load_data(settings.task, settings.data)
    if settings.classes not in (None, len(data.classes)):
        raise RunError(
            f"the network knows {settings.classes} classes, and {data.source} has {len(data.classes)}; "
            "name the task that it was trained for with --task"
        )
    defaults = settings.training_defaults(data)
    if IMAGENET in settings.space.sources(defaults, ("teacher",)):
        raise RunError(f"{IMAGENET} is no teacher: its classes are others; expected a .keras file, or RUN/models/ID")
    sources = read_sources(settings.space.sources(defaults))
    nearest = find_nearest(settings.space, settings.budgets, defaults, settings.seed)
    if nearest.excess > 0:
        raise NothingFitsError(nothing_fits(settings, nearest))
    with locked(settings.folder):
        place = settle(settings.folder, _description(settings, data, sources), settings.data, settings.storage)
        if data.test_files:
            write_atomic(settings.folder / TEST_FILES, "\n".join(data.test_files) + "\n")
        return _Loop(settings, data, sources, defaults, observer, place).run(nearest)


class _Loop:
    def __init__(
        self,
        settings: Settings,
        data: Data,
        sources: dict[str, WeightSource],
        defaults: Defaults,
        observer: SearchObserver,
        place: Place,
    ) -> None:
        self.settings, self.data, self.sources, self.defaults = settings, data, sources, defaults
        self.observer = observer
        # With few trials a small generation, so that the explorer learns from the first ones.
        population = max(6, min(32, settings.trials // 4))
        self.study = Study(place, list(settings.task.objectives), population)
        self.explorers = Explorers(
            settings.explorers,
            lambda name: make_explorer(
                name, self.study, settings.space, defaults, settings.seed,
                lambda candidate: not settings.budgets.exceeded_by(estimate(candidate.network)), settings.screen,
            ),
        )  # fmt: skip
        self.costs: dict[int, CostReport] = {}
        self.twins: dict[int, list[int]] = {}  # trial in training -> later trials of the same candidate
        self.waiting: deque[TrialRecord] = deque(self.study.interrupted())
        self.running: dict[int, TrialRecord] = {}
        self.unproductive = 0
        self.said: set[str] = set()
        self.token = uuid.uuid4().hex[:8]
        self.deadline = None if settings.timeout is None else time.monotonic() + settings.timeout
        self.summary = Summary(list(settings.task.objectives), self.study.records())

    def run(self, nearest: Nearest) -> Summary:
        self.observer.began(self.settings, self.data, nearest, self.summary.trained)
        for text in self.settings.space.idle_settings(self.defaults):
            self.observer.note(text)
        kept = self.data.image_shape[0]
        if (largest := max(self.settings.space.resolutions(), default=0)) > kept:
            self.observer.note(
                f"the images are {kept}x{kept}: for a resolution above that, up to {largest}, they are enlarged"
            )
        if self.waiting:
            self.observer.note(f"taking up {len(self.waiting)} trial(s) that were interrupted")
        try:
            if self.summary.trained < self.settings.trials or self.waiting:
                self._train()
        finally:
            write_atomic(self.settings.folder / "trials.csv", trials_frame(self.study.records()).to_csv(index=False))
        return self.summary

    def _train(self) -> None:
        pool = self._pool()
        try:
            while self._fill(pool) or self.running:
                for event in pool.wait(0.5):
                    self._handle(event)
            if text := pool.startup():
                self.observer.note(text)
        finally:
            pool.close()

    def _pool(self) -> Pool:
        asked = self.settings
        limits = (asked.trial_timeout, asked.worker_memory)
        setting = Setting(self.data, asked.task.accuracy, asked.seed, asked.threads, *limits, self.sources)
        if asked.workers == 0:
            return InlinePool(setting, self._handle)
        return RayPool(setting, asked.workers, asked.ray_address)

    # -- proposing

    def _fill(self, pool: Pool) -> bool:
        """Gives every free worker a trial; False when no more are wanted or found, whether or not a worker is free."""
        while True:
            if not self.waiting and self.summary.trained + len(self.running) >= self.settings.trials:
                return False
            if self.deadline is not None and time.monotonic() > self.deadline:
                self._say_once("the time is over: no new trial starts")
                return False
            if not pool.free():
                return True
            if self.waiting:
                self._admit(pool, self.waiting.popleft())
            elif self.unproductive >= UNPRODUCTIVE:
                self._say_once(
                    f"the last {UNPRODUCTIVE} proposals were all known or too large: the space seems exhausted"
                )
                return False
            elif not self._propose(pool):
                self._say_once("the explorers have nothing left to propose")
                return False

    def _say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.observer.note(text)

    def _propose(self, pool: Pool) -> bool:
        """A new trial, which may be trained; False when there is none."""
        proposal = self.explorers.propose(self.study.records())
        if proposal is None:
            return False
        if proposal.candidate is None:
            self.study.tell_infeasible(proposal.number, {}, {}, f"no network: {proposal.problem}")
            self._ended(proposal.number)
            self.unproductive += 1
        else:
            self._admit(pool, self.study.records()[proposal.number])
        return True

    def _admit(self, pool: Pool, record: TrialRecord) -> None:
        """Trains the candidate of a trial, unless it is too large, or known, or is being trained already."""
        assert record.candidate is not None
        cost = estimate(record.candidate.network)
        violations = self.settings.budgets.violations(cost)
        self.unproductive += 1
        if reasons := self.settings.budgets.exceeded_by(cost):
            self.study.tell_infeasible(record.number, cost_values(cost), violations, "; ".join(reasons))
            self._ended(record.number)
        elif original := self.study.original(record.id):
            self.study.tell_repeated(record.number, original, violations)
            self._ended(record.number)
        elif twin := next((r for r in self.running.values() if r.id == record.id), None):
            self.twins.setdefault(twin.number, []).append(record.number)  # told when that one ends
            self.observer.proposed(record, None)
        else:
            self.unproductive = 0
            self.costs[record.number] = cost
            self.running[record.number] = record
            self.observer.proposed(record, cost)
            pool.submit(Job(record.number, record.candidate.to_json(), self._checkpoint(record.number)))

    # -- recording

    def _handle(self, event: Event) -> None:
        if event.kind == "note":
            self.observer.note(event.reason)
        if event.number not in self.running:
            return
        match event.kind:
            case "epoch":
                self.observer.epoch(event.number, event.epoch, event.epochs, event.metrics)
            case "said" | "retried":
                self.observer.note(f"trial {event.number}: {event.reason}")
            case "failed":
                self.study.tell_failed(event.number, event.reason)
                self._forget(event.number)
            case "done":
                self._complete(event)
                self._forget(event.number)

    def _complete(self, event: Event) -> None:
        result, record, cost = event.result, self.running[event.number], self.costs[event.number]
        assert result is not None
        assert record.candidate is not None
        int8 = result.accuracy_int8
        values = cost_values(cost) | {"accuracy_float": result.accuracy_float}
        values["accuracy"] = result.accuracy_float if int8 is None else int8
        if int8 is not None:
            values["accuracy_int8"] = int8
        write_trained(model_folder(self.settings.folder, record.candidate.id), record.candidate, result.weights)
        self.study.tell_complete(
            event.number,
            values,
            self.settings.budgets.violations(cost),
            seconds=round(result.seconds, 2),
            history={name: [round(v, 4) for v in values] for name, values in result.history.items()},
        )

    def _forget(self, number: int) -> None:
        del self.running[number]
        shutil.rmtree(self._checkpoint(number), ignore_errors=True)
        self._ended(number)
        violations = self.settings.budgets.violations(self.costs.pop(number))
        for twin in self.twins.pop(number, []):
            self.study.tell_repeated(twin, self.summary.records[number], violations)
            self._ended(twin)

    def _ended(self, number: int) -> None:
        self.summary.records = self.study.records()
        self.observer.ended(self.summary.records[number], self.summary)

    def _checkpoint(self, number: int) -> Path:
        """The checkpoint of a trial under this driver. A killed driver's is taken over by its name, so that a worker of
        its that still lives for a moment no longer finds where to write."""
        folder = self.settings.folder.resolve() / "checkpoints"
        own = folder / f"{number}-{self.token}"
        for earlier in folder.glob(f"{number}-*"):
            if earlier != own and not own.exists():
                earlier.rename(own)
        return own


def nothing_fits(settings: Settings, nearest: Nearest) -> str:
    """What to say when no candidate fits: the binding limit, the nearest candidate, what it would need."""
    board = settings.budgets.nearest(nearest.cost)
    budget = settings.budgets.by_board[board]
    violations = budget.violations(nearest.cost)
    binding = max(violations, key=lambda name: violations[name])
    limit = budget.limits()[binding]
    of_board = {b.name: Budget.of_board(b).limits() for b in settings.boards}.get(board, {})
    where = f" of board {board}" if of_board.get(binding) == limit else ""
    lines = [
        f"nothing in {settings.space.name} fits: {binding} is the binding limit ({limit:,}{where})",
        f"the nearest candidate found needs {getattr(nearest.cost, binding):,} ({nearest.excess:+.1%}):",
        "  " + ", ".join(f"{name} {getattr(nearest.cost, name):,}" for name in violations),
        f"  most of its memory at {nearest.cost.peak_operator}, which keeps alive "
        + ", ".join(f"{name} ({size:,})" for name, size in nearest.cost.peak_tensors),
        f"  {nearest.candidate.to_json()}",
    ]
    return "\n".join(lines)


def _explorers_text(shares: Mapping[str, float]) -> str:
    """The explorers as a person names them; one of them by its name only, as runs always did."""
    even = len(set(shares.values())) == 1
    return ", ".join(name if even else f"{name}={share:g}" for name, share in shares.items())


def _description(settings: Settings, data: Data, sources: Mapping[str, WeightSource]) -> dict[str, Any]:
    """Everything that a run is made of. Under `settings` stands what may not change when it goes on."""
    return {
        "settings": {
            "space": settings.space.name,
            "space_sha256": settings.space.digest,
            "task": settings.task.to_dict(),
            "boards": [board.name for board in settings.boards],
            "limits": settings.budgets.limits(),
            "explorer": _explorers_text(settings.explorers),
            "epochs": settings.epochs,
            "seed": settings.seed,
            "data_sha256": data.digest,
        }
        # Earlier runs do not have these.
        | ({"screen": settings.screen} if settings.screen > 1 else {})
        | ({"sources": {name: source.digest for name, source in sources.items()}} if sources else {}),
        "data": {
            "source": data.source,
            "classes": list(data.classes),
            "train_images": len(data.train),
            "validation_images": len(data.validation),
            "test_images": len(data.test),
        },
        "boards": [board.model_dump(mode="json", exclude_none=True) for board in settings.boards],
        "space_text": settings.space.document.text,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("dse", *PACKAGES)},
    }
