"""One search: propose, pass the cost gate, train, record; and go on where a killed run stopped.

The state of a run is its folder: `run.yaml` (the settings, written once) and `study.db` (every trial). The same
command finds both and goes on; a command that asks for something else in the same folder is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from dse._util.backend import choose_backend
from dse._util.files import locked, write_atomic
from dse.data.datasets import Data, load_data
from dse.errors import NothingFitsError, RunError
from dse.network.candidate import Candidate
from dse.screening.feasibility import find_nearest
from dse.search.description import describe, with_defaults_of_run
from dse.search.driver import Driver
from dse.search.frames import write_trials
from dse.search.gate import nothing_fits
from dse.search.observer import SearchObserver
from dse.search.planning.ledger import Clock, time_left
from dse.search.planning.planned import Asked
from dse.search.record import TrialResult
from dse.search.run_folder import model_folder, refuse_strange, settle
from dse.search.settings import Settings
from dse.search.study.database import OWN, Place
from dse.search.study.trial_log import TrialLog
from dse.search.summary import Summary
from dse.search.workers.events import Event
from dse.search.workers.inline import InlinePool
from dse.search.workers.jobs import Pool, WorkerSettings
from dse.search.workers.ray_pool import RayPool
from dse.search.workers.threads import ThreadPool
from dse.space.space import Defaults
from dse.training.sources import IMAGENET, WEIGHTS, WeightSource, read_sources, write_trained

TEST_FILES = "test-files.txt"  # in a run on a folder of images: those that bundles are scored on, in their order


def search(settings: Settings, observer: SearchObserver, pool: Pool | None = None) -> Summary:
    """Run or resume a search until `trials` are trained or the time is over; how it stands then.

    `pool` trains the trials in place of the workers that the settings ask for, and is closed when the last has ended;
    where there is nothing to train it is left alone. Raises RunError, DataError, NothingFitsError.
    """
    clock = Clock(settings.folder, "search")
    settings = with_defaults_of_run(settings)
    data = load_data(settings.task, settings.data)
    if settings.classes not in (None, len(data.classes)):
        raise RunError(
            f"the network knows {settings.classes} classes, and {data.source} has {len(data.classes)}; "
            "name the task that it was trained for with `task`"
        )
    defaults = settings.training_defaults(data)
    if IMAGENET in settings.space.sources(defaults, ("teacher",)):
        raise RunError(f"{IMAGENET} is no teacher: its classes are others; expected a .keras file, or RUN/models/ID")
    if settings.fidelity != "full" and (names := settings.space.sources(defaults, ("pretrained",))):
        raise RunError(
            f"a training that begins with other weights ({', '.join(sorted(names))}) cannot be cut into steps; "
            "expected `fidelity` full"
        )
    if settings.repeats and settings.task.accuracy == "int8" and (backend := choose_backend()) != "tensorflow":
        raise RunError(
            f"`repeats` is the mean of int8 files, which TensorFlow makes, and Keras computes with {backend} here; "
            "repeat the search with `repeats` on a machine with TensorFlow, which goes on from it"
        )
    sources = read_sources(settings.space.sources(defaults))
    nearest = find_nearest(settings.space, settings.budgets, defaults, settings.seed)
    if nearest.excess > 0:
        raise NothingFitsError(nothing_fits(settings, nearest))
    folder, events = settings.folder, _Events()
    workers = _Workers(pool, lambda: _workers(settings, data, sources, events))
    with locked(folder), closing(workers):
        is_new = not (folder / "run.yaml").exists()
        has_open_epochs = settings.budget and is_new  # a new run has those that its budget is enough for
        if has_open_epochs:
            refuse_strange(folder)
            if settings.storage:
                Place.named(settings.storage, OWN)  # before a minute goes into measuring
            settings = Asked(settings, data, observer, is_new).planned(workers.pool)
        place = settle(folder, describe(settings, data, sources), settings.data, settings.storage)
        log = TrialLog(place, list(settings.task.objectives))
        if not has_open_epochs:
            settings = Asked(settings, data, observer, is_new, bool(log.entries)).planned(workers.pool)
        clock.tick(0)
        defaults = settings.training_defaults(data)
        if data.test_files:
            write_atomic(folder / TEST_FILES, "\n".join(data.test_files) + "\n")
        driver = Driver(
            settings, defaults, observer, log, partial(_keep, folder), load=partial(_load, folder),
            time_left=time_left(folder, settings.budget), tick=clock.tick,
        )  # fmt: skip
        events.handle = driver.handle
        observer.began(settings, data, nearest, driver.summary)
        for text in (*_notes(settings, data, defaults), *_taken_up(driver)):
            observer.note(text)
        try:
            if not driver.is_over:
                driver.run(workers.give())
        finally:
            write_trials(folder, log.records())
            clock.tick(0)
        return driver.summary


class _Events:
    """Where the workers of this process tell of epochs: to the driver, once there is one."""

    handle: Callable[[Event], None] = staticmethod(lambda event: None)


class _Workers:
    """The workers, made when they are first needed, and closed until somebody else does."""

    def __init__(self, pool: Pool | None, make: Callable[[], Pool]) -> None:
        self._pool, self._make = pool, make
        self._is_mine = False

    def pool(self) -> Pool:
        self._is_mine = True
        self._pool = self._pool or self._make()
        return self._pool

    def give(self) -> Pool:
        """To somebody who closes them."""
        pool = self.pool()
        self._is_mine = False
        return pool

    def close(self) -> None:
        if self._pool and self._is_mine:
            self._pool.close()


def _notes(settings: Settings, data: Data, defaults: Defaults) -> Iterator[str]:
    """What a person should know before anything is trained."""
    yield from data.notes
    yield from settings.space.idle_settings(defaults)
    kept = data.image_shape[0]
    if (largest := max(settings.space.resolutions(), default=0)) > kept:
        yield f"the images are {kept}x{kept}: for a resolution above that, up to {largest}, they are enlarged"
    if settings.task.accuracy == "int8" and (backend := choose_backend()) != "tensorflow":
        yield f"trained with {backend}: accuracies are those in float until dse finish, on a machine with TensorFlow"


def _taken_up(driver: Driver) -> Iterator[str]:
    if interrupted := len(driver.waiting) + len(list(driver.half_done())):
        yield f"taking up {interrupted} trial(s) that were interrupted"


def _workers(asked: Settings, data: Data, sources: dict[str, WeightSource], events: _Events) -> Pool:
    limits = (asked.trial_timeout, asked.worker_memory)
    settings = WorkerSettings(data, asked.task.accuracy, asked.seed, asked.threads, *limits, sources, asked.arithmetic)
    if asked.at_once > 1:
        if asked.workers:
            raise RunError("`at_once` is for trials in this process, with `workers` 0")
        return ThreadPool(settings, asked.at_once)
    if asked.workers == 0:
        return InlinePool(settings, lambda event: events.handle(event))
    return RayPool(settings, asked.workers, asked.ray_address)


def _load(folder: Path, candidate: Candidate) -> bytes:
    return (model_folder(folder, candidate.id) / WEIGHTS).read_bytes()


def _keep(folder: Path, candidate: Candidate, result: TrialResult) -> None:
    write_trained(model_folder(folder, candidate.id), candidate, result.weights)
