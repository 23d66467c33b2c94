"""Random interleavings of proposals, endings, kills and resumes of a search, checked against a model of what must hold.

Nothing is trained: a fake pool ends trials in any order. A kill is an exception that nobody catches, at any point where
the loop asks, tells or writes; what the process held in memory is gone, and the same search is run again.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.storages import RDBStorage

from dse.cost.report import estimate
from dse.data.datasets import Data
from dse.data.images import Images
from dse.hardware.budget import Budgets
from dse.network.candidate import Candidate, id_of
from dse.screening.feasibility import find_nearest
from dse.search import driver, loop
from dse.search.fidelity.names import FIDELITIES, Fidelity
from dse.search.record import TrialRecord
from dse.search.run_folder import load_summary, model_folder
from dse.search.settings import Settings
from dse.search.study.database import Database
from dse.search.summary import Summary
from dse.search.workers.jobs import Job
from dse.space.space import Defaults
from tests.helpers.fake_pool import FakePool, accuracy_of
from tests.helpers.searches import Watcher, settings

LIMIT = 2500  # parameters: some of the twelve candidates of the space have more
EXPLORERS = ("random", "grid", "bayes", "optuna:nsga2", "optuna:random")
QUICK, CHUNKS = 4, 20  # the other 16 are run by make test-slow
PER_CHUNK = 50


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """Kills at the n-th of the points that it is asked at; never when n is None."""

    def __init__(self, after: int | None) -> None:
        self.left = after

    def point(self) -> None:
        """Something that a kill may come before."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class MortalPool(FakePool):
    """A fake pool whose driver may be killed whenever it turns to it."""

    def __init__(self, killer: Killer, chance: random.Random) -> None:
        super().__init__(chance.choice((1, 2, 3)), chance=chance)
        self.killer = killer

    def submit(self, job: Any) -> None:
        self.killer.point()
        super().submit(job)
        self.killer.point()

    def wait(self, seconds: float) -> Any:
        self.killer.point()
        return super().wait(seconds)


class MortalWatcher(Watcher):
    """An observer during whose calls the process may be killed."""

    def __init__(self, killer: Killer) -> None:
        super().__init__()
        self.killer = killer

    def proposed(self, record: Any, cost: Any) -> None:
        self.killer.point()

    def goes_on(self, record: TrialRecord) -> None:
        super().goes_on(record)
        self.killer.point()

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        super().ended(record, summary)
        self.killer.point()

    def note(self, text: str) -> None:
        super().note(text)
        self.killer.point()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that has begun and has no trial: to be copied. Images and the first look at the space are made once."""
    few = Images(np.zeros((4, 32, 32, 3), np.uint8), np.arange(4) % 2)
    data = Data(("a", "b"), few, few, few, "nothing", "0" * 64)
    known = find_nearest(asked().space, Budgets.of_boards([], params=LIMIT), Defaults())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "load_data", lambda task, location: data)
        patch.setattr(loop, "find_nearest", lambda *rest: replace(known, excess=0.0))
        patch.setattr(driver, "UNPRODUCTIVE", 25)
        # Optuna looks through all of its schema's history whenever it opens a database: most of the time of these tests.
        unchecked = partialmethod(RDBStorage.__init__, skip_compatibility_check=True)
        patch.setattr(RDBStorage, "__init__", unchecked)
        home = tmp_path_factory.mktemp("fresh")
        for name in EXPLORERS:
            folder = home / name.replace(":", "-")
            for fidelity in FIDELITIES:
                loop.search(wanted(folder / fidelity.replace(":", "-"), name, 0, fidelity), Watcher(), FakePool())
        yield home


@cache
def asked() -> Settings:
    return settings(Path(), budgets=Budgets.of_boards([], params=LIMIT))


def wanted(folder: Path, explorer: str, trials: int, fidelity: Fidelity, repeats: int = 0) -> Settings:
    explorers = {explorer: 1.0}
    return replace(asked(), folder=folder, explorers=explorers, trials=trials, fidelity=fidelity, repeats=repeats)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder that costs no disk: what is tested is the order of writes, not that they survive a power cut."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="dse-test-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def mortal(patch: pytest.MonkeyPatch, killer: Killer) -> None:
    """The database too may be the last that the process turned to: before a transaction, and right after it."""
    for name in ("add", "end", "rewrite"):
        write = getattr(Database, name)

        def around(self: Database, *arguments: Any, write: Any = write, **options: Any) -> Any:
            killer.point()
            written = write(self, *arguments, **options)
            killer.point()
            return written

        patch.setattr(Database, name, around)


def check(folder: Path, before: list[TrialRecord], submitted: list[Any], watcher: Watcher) -> list[TrialRecord]:
    """What must hold whenever a process has gone; the trials."""
    records = load_summary(folder).records
    assert [record.number for record in records] == list(range(len(records)))
    ended = [record for record in records if record.outcome != "running"]
    # What had ended stays as it was, and what was proposed stays proposed.
    assert len(records) >= len(before)
    for old, new in zip(before, records, strict=False):
        assert (new.id, new.params, new.explorer) == (old.id, old.params, old.explorer)
        assert old.outcome == "running" or new == old or is_later(new, old)
    # Nobody was told of an ending that is not written, or twice of one.
    for told in watcher.records:
        now = records[told.number]
        assert told == now or is_later(now, told)
    assert len({state(record) for record in watcher.records}) == len(watcher.records)
    # No candidate was trained in two trials, and none that had ended was given out.
    trained = [record.id for record in ended if record.outcome in ("complete", "failed")]
    assert len(set(trained)) == len(trained)
    was_trained = {record.id for record in before if record.outcome in ("complete", "failed")}
    ids = [id_of(job.candidate_json) for job in submitted if is_first(job)]
    assert len(set(ids)) == len(ids)
    assert len({(job.number, job.step) for job in submitted}) == len(submitted)
    assert not was_trained & set(ids)
    for job in submitted:
        assert records[job.number].id == id_of(job.candidate_json)
        assert parameters(records[job.number]) <= LIMIT
    for record in ended:
        match record.outcome:
            case "complete":
                assert record.values["accuracy"] == pytest.approx(accuracy_of(record.id))
                assert (model_folder(folder, record.id) / "model.weights.h5").read_bytes() == b"weights"
            case "infeasible":
                assert parameters(record) > LIMIT
                assert record.violations["params"] > 0
                assert record.id not in trained
            case "repeated":
                [original] = [r for r in ended if r.id == record.id and r.outcome in ("complete", "failed")]
                assert record.reason == f"the same candidate as trial {original.number}"
                assert record.values == pytest.approx(original.first_values)
    return records


def is_first(job: Job) -> bool:
    return job.step.seed == 0 and job.step.share in (1 / 9, 1.0) and not job.weights


def state(record: TrialRecord) -> tuple[int, str, float, int, str]:
    return record.number, record.outcome, record.share, len(record.seeds), record.stopped


def is_later(new: TrialRecord, old: TrialRecord) -> bool:
    """Whether a trial was trained on since, or began to be."""
    grown = new.share >= old.share and new.seeds[1 : len(old.seeds)] == old.seeds[1:]
    return old.outcome == new.outcome == "complete" and grown and new.seconds >= old.seconds


def parameters(record: TrialRecord) -> int:
    assert isinstance(record.candidate, Candidate)
    return estimate(record.candidate.network).params


def live_through(seed: int, fresh: Path, folder: Path) -> tuple[int, list[TrialRecord]]:
    """A search that is killed now and then and always run again; how often that was, and its trials."""
    chance = random.Random(seed)
    explorer, fidelity, repeats = chance.choice(EXPLORERS), chance.choice(FIDELITIES), chance.choice((0, 0, 1, 2))
    shutil.copytree(fresh / explorer.replace(":", "-") / fidelity.replace(":", "-"), folder)
    trials, records, kills = chance.randrange(2, 9), list[TrialRecord](), 0
    while True:
        killer = Killer(chance.randrange(40) if kills < 4 and chance.random() < 0.8 else None)
        pool, watcher = MortalPool(killer, chance), MortalWatcher(killer)
        try:
            with pytest.MonkeyPatch.context() as patch:
                mortal(patch, killer)
                loop.search(wanted(folder, explorer, trials, fidelity, repeats), watcher, pool)
        except Killed:
            kills += 1
            records = check(folder, records, pool.submitted, watcher)
            continue
        assert pool.closed or not pool.submitted
        records = check(folder, records, pool.submitted, watcher)
        break
    # At the end: as many as were asked for, or all that there are; nothing is left open, or lying about.
    assert not [record for record in records if record.outcome == "running"]
    done = sum(record.outcome in ("complete", "failed") for record in records)
    said = " ".join(watcher.notes)
    assert done == trials or "the space seems exhausted" in said or "nothing left to propose" in said
    assert done <= trials
    complete = [record for record in records if record.outcome == "complete"]
    assert not [record for record in complete if record.more]
    assert not complete or max(record.share for record in complete) == 1 or any(record.stopped for record in complete)
    for record in load_summary(folder).front():
        assert len(record.seeds) == 1 + repeats or record.stopped or record.share < 1
    checkpoints = folder / "checkpoints"
    assert not checkpoints.exists() or not list(checkpoints.iterdir())
    assert len((folder / "trials.csv").read_text().splitlines()) == 1 + len(records)
    return kills, records


@pytest.mark.parametrize(
    "chunk", [*range(QUICK), *(pytest.param(n, marks=pytest.mark.slow) for n in range(QUICK, CHUNKS))]
)
def test_nothing_is_lost_or_done_twice(chunk: int, fresh: Path, in_memory: Path) -> None:
    kills, outcomes = 0, set()
    for seed in range(chunk * PER_CHUNK, (chunk + 1) * PER_CHUNK):
        killed, records = live_through(seed, fresh, in_memory / str(seed))
        kills += killed
        outcomes |= {record.outcome for record in records}
        shutil.rmtree(in_memory / str(seed))
    assert kills > PER_CHUNK / 2
    assert outcomes == {"complete", "repeated", "infeasible", "failed"}
