"""What a search is going to do and how long it takes, on a machine that is made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dse.errors import RunError
from dse.search.fidelity.rungs import Rungs
from dse.search.loop import search
from dse.search.planning.ledger import NAME, add_time, read_plan, time_left, time_text
from dse.search.planning.plan import Plan, Planner, Work
from dse.search.planning.speed import Measured, Speed, measure, sample
from dse.search.run_folder import read_run
from dse.search.workers.events import TrialDone, TrialEnded, TrialFailed
from dse.search.workers.jobs import Job
from dse.space.space import Defaults
from tests.helpers.fake_pool import FakePool, ends_well
from tests.helpers.searches import Watcher, settings

WORK = Work(Rungs("full", ["accuracy"]), 1000, 100, 0, 1, 2)
SPEED = Speed([Measured(1e6, 2.0, 0.001), Measured(1e8, 20.0, 0.1)])
MACS = [1e6, 1e6, 1e6]


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
    assert plan.text == "20 networks for 2 epochs, the best 7 of them up to 6, the best 3 of them up to 18, 2 more seeds of the front"  # fmt: skip


def test_an_export_takes_its_time_too() -> None:
    plan = planner(test=10_000).plan(8, 5)
    assert plan.on_front == 2
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
    speed, reason = measure(networks, FakePool(2, end), tmp_path, 100_000)
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
    assert summary.trained == plan["networks"] == 12  # all that there are
    assert any(text.startswith("time: about") for text in watcher.notes)
    assert [job.number for job in pool.submitted[:4]] == [-4, -3, -2, -1]  # the largest first
    assert {job.images for job in pool.submitted[4:]} == {1.0}
    epochs = {job.candidate.training.epochs for job in pool.submitted[4:]}
    assert epochs == {plan["epochs"]} == {read_run(tmp_path)["settings"]["epochs"] or 30}
    again, watcher = FakePool(1, quick), Watcher()
    search(asked, watcher, again)
    assert not again.submitted
    assert "took" in read_plan(tmp_path)
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
    body = {"planned": {"search": 600, "export": 60}, "took": {}}
    (tmp_path / NAME).write_text(json.dumps(body))
    for stage, seconds in (("search", 100), ("search", 200), ("export", 61.4)):
        add_time(tmp_path, stage, seconds)
    assert time_text(tmp_path) == "search 5 min (10 min planned), export 1 min 1 s (1 min planned)"
    assert time_left(tmp_path, 1000.0) == 1000 - 60 - 300
    assert time_left(tmp_path, None) is None
    (tmp_path / NAME).write_text("{")
    assert time_text(tmp_path) == ""


def test_a_plan_is_a_sentence() -> None:
    assert Plan(1, 1, 30, 0, 1, [(1, 1)]).text == "1 network for 1 epoch"
