"""What a search is going to do and how long it takes, on a machine that is made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dse.errors import RunError
from dse.search.fidelity.rungs import Rungs
from dse.search.loop import search
from dse.search.planning.ledger import NAME, Clock, add_time, read_plan, time_left, time_text, write_plan
from dse.search.planning.plan import Plan, Planner, Work
from dse.search.planning.speed import Measured, Speed, measure, sample
from dse.search.run_folder import read_run
from dse.search.settings import Settings
from dse.search.workers.events import Event, TrialDone, TrialEnded, TrialFailed, WorkerNote
from dse.search.workers.jobs import Job
from dse.space.space import Defaults, parse_space
from tests.helpers.fake_pool import FakePool, ends_well
from tests.helpers.searches import TINY, Watcher, settings

WORK = Work(Rungs("full", ["accuracy"]), 1000, 100, 0, 1, 2)
SPEED = Speed([Measured(1e6, 2.0, 0.001), Measured(1e8, 20.0, 0.1)])
MACS = [1e6, 1e6, 1e6]
PLAN = Plan(9, 3, 600, 60, [(9, "for 3 epochs")])


def planner(speed: Speed = SPEED, **changes: object) -> Planner:
    return Planner(replace(WORK, **changes), speed, MACS)  # type: ignore[arg-type]


def test_between_two_networks_time_goes_by_the_logarithm() -> None:
    assert SPEED.image(1e7) == pytest.approx(0.01)
    assert SPEED.image(1e4) == pytest.approx(0.001)
    assert SPEED.start(1e9) == pytest.approx(20)


def test_the_work_is_shared_out() -> None:
    one, two = planner().plan(10, 5), planner(workers=2).plan(10, 5)
    assert one.search == pytest.approx(10 * (2 + 5 * 1000 * 0.001), rel=0.01)
    assert two.search == pytest.approx(one.search / 2 + 7 / 2, rel=0.01)
    assert one.export == 0
    assert one.text == "10 networks for 5 epochs"


def test_steps_take_what_they_train() -> None:
    rungs = Rungs("halving", ["accuracy"])
    plan = planner(rungs=rungs, repeats=2).plan(20, 18)
    epochs = 20 * 2 + 7 * 4 + 3 * 12
    assert plan.search == pytest.approx((20 + 7 + 3) * 2 + epochs * 1000 * 0.001 + 2 * 3 * (2 + 18), rel=0.01)
    assert plan.text == "20 networks for 2 epochs, the best 7 of them for 6 epochs, the best 3 of them for 18 epochs, 2 more seeds of the front"  # fmt: skip


def test_steps_on_parts_of_the_images_are_counted_in_images() -> None:
    plan = planner(rungs=Rungs("halving:data", ["accuracy"])).plan(9, 6)
    images = 9 * 6 * 1000 / 9 + 3 * 4 * 1000 / 3 + 4 * 1000
    assert plan.search == pytest.approx((9 + 3 + 1) * 2 + images * 0.001, rel=0.02)
    assert plan.text == "9 networks on 111 images, the best 3 of them on 333 images, the best 1 of them on 1,000 images"


def test_few_epochs_take_fewer_steps() -> None:
    plan = planner(rungs=Rungs("halving", ["accuracy"], epochs=4)).plan(9, 4)
    assert plan.search == pytest.approx((9 + 3) * 2 + (9 * 1 + 3 * 3) * 1000 * 0.001, rel=0.02)
    assert plan.text == "9 networks for 1 epoch, the best 3 of them for 4 epochs"


def test_an_export_takes_its_time_too() -> None:
    plan = planner(test=10_000).plan(8, 5)
    assert plan.export == pytest.approx(2 * 10_000 * 1e6 * (1 / 0.75e9 + 1 / 0.6e9), rel=0.01)
    assert "for the export" in plan.time_text


@pytest.mark.parametrize("seconds", [100, 300, 5_000])
def test_a_time_is_filled(seconds: int) -> None:
    plan = planner().within(seconds, 5)
    assert plan.epochs == 5 or plan.networks == 9
    assert 0.5 * seconds < plan.search <= 0.9 * seconds
    more = planner().plan(plan.networks + 1, plan.epochs)
    assert more.search > 0.9 * seconds


def test_a_short_time_means_fewer_epochs_and_a_shorter_one_nothing() -> None:
    assert planner().within(55, 5).epochs == 3
    with pytest.raises(RunError, match=r"`budget` 20 s is too little: 9 networks for 3 epochs take about 1 min here"):
        planner().within(20, 5)
    with pytest.raises(RunError, match=r"9 networks for 5 epochs"):
        planner().within(55, 5, least_epochs=5)
    assert planner().within(500, 5, networks=30) == planner().plan(30, 5)


def test_a_few_networks_are_timed(tmp_path: Path) -> None:
    """Two seconds of an epoch, of which the first takes five more, and three after the last."""

    def end(job: Job) -> TrialEnded:
        done = ends_well(job)
        assert isinstance(done, TrialDone)
        return replace(done, seconds=14.0, epochs=(7.0, 9.0, 11.0))

    networks = sample(settings(tmp_path), Defaults())
    speed, reason = measure(networks, FakePool(2, end), tmp_path, 100_000, lambda text: None)
    assert speed
    assert not reason
    assert [one.macs for one in speed.measured] == sorted(one.macs for one in speed.measured)
    assert {one.start for one in speed.measured} == {8.0}
    # The smaller a network the more images, for an epoch has its own seconds too.
    counts = [2 / one.image for one in speed.measured]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == pytest.approx(min(4096, 512 * networks[-1].macs / speed.measured[0].macs), rel=0.01)


def quick(job: Job) -> TrialEnded:
    """An epoch of 1 s for every trial, however many images."""
    done = ends_well(job)
    assert isinstance(done, TrialDone)
    epochs = job.candidate.training.epochs
    return replace(done, seconds=0.5 + epochs, epochs=tuple(1.0 + count for count in range(epochs)))


def test_a_search_keeps_to_its_budget_and_goes_on_by_the_same_plan(tmp_path: Path) -> None:
    asked = replace(settings(tmp_path, epochs=None), budget=3_000.0, trials_open=True)
    watcher, pool = Watcher(), FakePool(1, quick)
    summary = search(asked, watcher, pool)
    plan = read_plan(tmp_path)
    assert plan
    assert summary.trained == plan.networks == 12  # all that there are
    assert any(text.startswith("time: about") for text in watcher.notes)
    assert [job.number for job in pool.submitted[:4]] == [-4, -3, -2, -1]  # the largest first
    assert {job.images for job in pool.submitted[4:]} == {1.0}
    epochs = {job.candidate.training.epochs for job in pool.submitted[4:]}
    assert epochs == {plan.epochs} == {read_run(tmp_path)["settings"]["epochs"] or 30}
    again, watcher = FakePool(1, quick), Watcher()
    search(asked, watcher, again)
    assert not again.submitted
    assert "search" in plan.took
    # Without the budget the run goes on too, with the epochs that it was enough for.
    search(replace(asked, budget=None), Watcher(), again)
    assert not again.submitted
    assert not (tmp_path / "checkpoints" / "speed").exists()


def test_a_space_whose_networks_cannot_be_trained_has_no_plan(tmp_path: Path) -> None:
    pool = FakePool(1, lambda job: TrialFailed(job.number, "no luck"))
    with pytest.raises(RunError, match="`budget`: the first networks cannot be trained: no luck"):
        search(replace(settings(tmp_path), budget=600.0), Watcher(), pool)
    assert pool.closed
    assert not (tmp_path / "run.yaml").exists()


def test_a_short_search_is_not_measured(tmp_path: Path) -> None:
    pool = FakePool()
    search(settings(tmp_path), Watcher(), pool)
    assert min(job.number for job in pool.submitted) == 0
    assert not (tmp_path / NAME).exists()


def test_times_add_up(tmp_path: Path) -> None:
    add_time(tmp_path, "search", 5)  # without a plan nobody wants to know
    assert not (tmp_path / NAME).exists()
    write_plan(tmp_path, {}, PLAN, SPEED, {})
    for stage, seconds in (("search", 100), ("search", 200), ("export", 61.4)):
        add_time(tmp_path, stage, seconds)
    assert time_text(tmp_path) == "search 5 min (10 min planned), export 1 min 1 s (1 min planned)"
    assert time_left(tmp_path, 1000.0) == 1000 - 60 - 300
    assert time_left(tmp_path, None) is None
    (tmp_path / NAME).write_text("{")
    assert time_text(tmp_path) == ""


def test_a_clock_writes_down_what_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("dse.search.planning.ledger.time.monotonic", lambda: now)
    clock = Clock(tmp_path, "search")
    now += 50
    clock.tick(0)  # there is no plan yet, and measuring for it takes its time too
    write_plan(tmp_path, {}, PLAN, SPEED, {})
    for _ in range(3):
        now += 4
        clock.tick()
    assert time_left(tmp_path, 1000.0) == 1000 - 60 - 54
    now += 15
    clock.tick()
    assert time_left(tmp_path, 1000.0) == 1000 - 60 - 77


def long(folder: Path, **changes: object) -> Settings:
    """A search of which a person wants to know how long it takes; it may be as short as `quick` makes it."""
    return replace(settings(folder, epochs=10_000, trials=4), **changes)  # type: ignore[arg-type]


def test_a_long_search_is_measured_once_and_planned_anew_when_more_is_asked(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def dies(job: Job) -> TrialEnded:
        raise Killed

    with pytest.raises(Killed):  # while it is measured
        search(long(tmp_path), Watcher(), FakePool(1, dies))
    assert read_plan(tmp_path) is None
    assert not list(tmp_path.glob("checkpoints/*"))
    pool, watcher = FakePool(1, quick), Watcher()
    search(long(tmp_path), watcher, pool)
    assert min(job.number for job in pool.submitted) == -4
    assert all(job.checkpoint.is_absolute() for job in pool.submitted)
    plan = read_plan(tmp_path)
    assert plan
    assert plan.networks == 4
    assert any(text.startswith("plan: 4 networks for ") for text in watcher.notes)
    pool = FakePool(1, quick)
    search(long(tmp_path, trials=8), Watcher(), pool)
    assert min(job.number for job in pool.submitted) == 4
    more = read_plan(tmp_path)
    assert more
    assert more.networks == 8
    assert more.planned["search"] > plan.planned["search"]
    assert more.took["search"] >= plan.took["search"]


def test_the_plan_of_another_search_is_none(tmp_path: Path) -> None:
    asked = replace(settings(tmp_path, epochs=None), budget=3_000.0, trials_open=True)
    write_plan(tmp_path, {"budget": 3_000.0, "trials": None, "repeats": 0}, PLAN, SPEED, {"search": 2_000})
    pool = FakePool(1, quick)
    search(asked, Watcher(), pool)
    assert min(job.number for job in pool.submitted) == -4
    plan = read_plan(tmp_path)
    assert plan
    assert plan.took["search"] < 2_000


def test_open_epochs_stay_open(tmp_path: Path) -> None:
    text = TINY.replace("augment: none", "augment: none, epochs: {choice: [2, 3]}")
    asked = replace(settings(tmp_path, epochs=None), space=parse_space(text, "tiny.yaml"), budget=3_000.0)
    pool = FakePool(1, quick)
    search(asked, Watcher(), pool)
    assert {job.candidate.training.epochs for job in pool.submitted if job.number >= 0} == {2, 3}
    assert read_run(tmp_path)["settings"]["epochs"] is None


def test_a_database_that_cannot_be_opened_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    asked = replace(settings(tmp_path, epochs=None), budget=3_000.0, storage=f"sqlite:///{tmp_path}/none/study.db")
    pool = FakePool(1, quick)
    with pytest.raises(RunError, match="`storage`"):
        search(asked, Watcher(), pool)
    assert not pool.submitted


def test_no_time_is_no_budget(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="`budget` 0 leaves no time"):
        replace(settings(tmp_path), budget=0.0)


def test_what_workers_say_while_they_are_timed_is_passed_on(tmp_path: Path) -> None:
    class Talking(FakePool):
        def wait(self, seconds: float) -> list[Event]:
            return [WorkerNote("one is slow"), *super().wait(seconds)]

    heard: list[str] = []
    measure(sample(settings(tmp_path), Defaults())[:1], Talking(1, quick), tmp_path, 1000, heard.append)
    assert heard[0] == "one is slow"


def test_a_plan_is_a_sentence() -> None:
    assert Plan(1, 1, 30, 0, [(1, "for 1 epoch")]).text == "1 network for 1 epoch"
