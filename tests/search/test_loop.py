"""The search loop: gate, record, resume, failures. In this process, with a space that trains in a second."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import datetime
from pathlib import Path

import optuna
import pytest

from dse._util.files import locked
from dse._util.quiet import quiet_tensorflow
from dse.cost.report import estimate
from dse.data.datasets import load_data
from dse.errors import NothingFitsError, RunError
from dse.export.bundle import read_bundle
from dse.export.check import check_bundle
from dse.export.runs import export_run
from dse.hardware.boards import load_board
from dse.hardware.budget import Budgets
from dse.screening.feasibility import find_nearest
from dse.search import driver
from dse.search.description import describe, with_defaults_of_run
from dse.search.explorers.explorers import make_explorer
from dse.search.loop import search
from dse.search.run_folder import load_summary, model_folder, read_run, run_boards
from dse.search.study import database
from dse.search.summary import on_board
from dse.search.workers.events import Event, TrialEnded
from dse.search.workers.jobs import Job
from dse.space.space import Defaults, parse_space
from dse.tasks import load_task
from tests.helpers.explorers import log_in
from tests.helpers.fake_pool import FakePool
from tests.helpers.images import make_folders
from tests.helpers.paths import RUN
from tests.helpers.searches import TINY, Watcher, settings


@pytest.mark.parametrize("explorer", [pytest.param("optuna:nsga2", marks=pytest.mark.keras), "nni:tpe", "random"])
def test_a_search_leaves_a_run(explorer: str, tmp_path: Path) -> None:
    watcher = Watcher()
    pool = None if explorer == "optuna:nsga2" else FakePool()  # what is trained does not depend on who proposes
    summary = search(settings(tmp_path / "run", explorers={explorer: 1.0}), watcher, pool)
    assert summary.count("complete") == 3
    assert summary.front()
    assert watcher.epochs
    for record in summary.records:
        if record.outcome == "complete":
            assert record.explorer == explorer
            assert 0 <= record.values["accuracy"] <= 1
            assert (model_folder(tmp_path / "run", record.id) / "model.weights.h5").is_file()
    description = read_run(tmp_path / "run")
    assert description["settings"]["seed"] == 0
    assert description["data"]["source"].startswith("bundled sample")
    assert "tensorflow" in description["versions"]
    assert (tmp_path / "run" / "trials.csv").read_text().startswith("trial,outcome,explorer,id")
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))


def optuna_reads(folder: Path) -> optuna.Study:
    """The study as Optuna's own tools find it."""
    return optuna.load_study(study_name="dse", storage=database.Place.in_folder(folder).url)


@pytest.mark.keras
def test_a_run_on_a_folder_writes_down_what_is_scored(tmp_path: Path) -> None:
    folder = make_folders(tmp_path / "pets")
    space = parse_space(TINY + "resolution: {choice: [24, 48]}\ncolor: {choice: [rgb, grey]}\n", "tiny.yaml")
    task = load_task("vww").model_copy(update={"accuracy": "int8"})
    watcher = Watcher()
    summary = search(settings(tmp_path / "run", space=space, task=task, data=str(folder), trials=3), watcher)
    assert summary.count("complete") == 3
    assert watcher.notes[0] == "the images are 40x40: for a resolution above that, up to 48, they are enlarged"
    scored = (tmp_path / "run" / "test-files.txt").read_text().splitlines()
    assert sorted(scored) == [*(f"cat/{i}.png" for i in (1, 3, 5)), *(f"dog/{i}.png" for i in (0, 2, 4))]
    shapes = {record.candidate.input_shape for record in summary.records if record.candidate}
    grey = next(r for r in summary.records if r.candidate and r.candidate.input_shape[2] == 1)
    assert len(shapes) > 1
    assert grey.params["color"] == "grey"
    quiet_tensorflow()
    [exported] = export_run(tmp_path / "run", trials=[grey.number], data=str(folder))
    assert exported.report.input_shape == grey.candidate.input_shape  # type: ignore[union-attr]
    assert check_bundle(read_bundle(exported.folder), load_data(task, str(folder)), print) == []


def test_optuna_reads_what_a_search_wrote(tmp_path: Path) -> None:
    """Its dashboard and load_study find every trial, with all that Optuna itself would have written."""
    task = load_task("cifar10").model_copy(update={"accuracy": "float"})
    summary = search(
        settings(
            tmp_path, budgets=Budgets.of_boards([], params=900), trials=2, task=task, explorers={"optuna:nsga2": 1.0}
        ),
        Watcher(),
        FakePool(),
    )
    study = optuna_reads(tmp_path)
    assert study.metric_names == list(task.objectives)
    assert len(study.trials) == len(summary.records)
    for trial, record in zip(study.trials, summary.records, strict=True):
        assert trial.number == record.number
        assert trial.params == record.params
        assert trial.distributions["stages[0].kernel"] == optuna.distributions.CategoricalDistribution([1, 3])
        assert trial.values == [record.values[name] for name in task.objectives]
        assert trial.constraints == record.violations == {"params": pytest.approx(record.values["params"] / 900 - 1)}
        assert trial.user_attrs["id"] == record.id
        assert trial.user_attrs["ending"]["outcome"] == record.outcome
        assert "NSGAIISampler:generation" in trial.system_attrs
        assert trial.datetime_start <= trial.datetime_complete <= datetime.now()
    assert {record.outcome for record in summary.records} >= {"complete", "infeasible"}


def test_no_candidate_is_trained_twice_and_the_same_command_goes_on(tmp_path: Path) -> None:
    search(settings(tmp_path), Watcher(), FakePool())
    first = load_summary(tmp_path)
    again = Watcher()
    search(settings(tmp_path), again, FakePool())
    assert (again.done, again.records, again.epochs) == (3, [], [])
    search(settings(tmp_path, trials=5), again, FakePool())
    final = load_summary(tmp_path)
    assert final.records[: len(first.records)] == first.records
    complete = [record.id for record in final.records if record.outcome == "complete"]
    assert len(complete) == len(set(complete)) == 5


def test_repeated_candidates_take_the_recorded_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space has 12 candidates: asked for 100, the search trains each once and says that it is exhausted."""
    monkeypatch.setattr(driver, "UNPRODUCTIVE", 60)
    watcher = Watcher()
    summary = search(settings(tmp_path, trials=100, explorers={"random": 1.0}, task=quick_task()), watcher, FakePool())
    complete = {record.id: record for record in summary.records if record.outcome == "complete"}
    assert len(complete) == summary.count("complete") == 12
    repeated = [record for record in summary.records if record.outcome == "repeated"]
    assert repeated
    for record in repeated:
        assert record.values == complete[record.id].values
    assert any("exhausted" in note for note in watcher.notes)


def quick_task():  # type: ignore[no-untyped-def]
    return load_task("cifar10").model_copy(update={"accuracy": "float", "objectives": ["accuracy", "params"]})


def test_infeasible_candidates_never_train(tmp_path: Path) -> None:
    """Three of the twelve candidates fit. The others are refused with the reason, and do not count as trials."""
    watcher = Watcher()
    limited = settings(tmp_path, budgets=Budgets.of_boards([], params=900), trials=3, explorers={"optuna:random": 1.0})
    pool = FakePool()
    search(limited, watcher, pool)
    infeasible = [record for record in watcher.records if record.outcome == "infeasible"]
    assert infeasible
    for record in infeasible:
        assert record.reason.startswith("params ")
        assert record.reason.endswith("> 900")
        assert record.values["accuracy"] == 0.0
        assert record.number not in {job.number for job in pool.submitted}
    fitting = [record.values["params"] for record in watcher.records if record.outcome == "complete"]
    assert sorted(fitting) == [634, 810, 898]


def test_a_search_for_two_boards_trains_what_fits_one_of_them(tmp_path: Path) -> None:
    """With 3,000 bytes of arena nothing fits; with that and the Nano's all do, and run.yaml knows both boards."""
    nano = load_board("nano33ble")
    figure = nano.sram_reserved_bytes.model_copy(update={"value": nano.sram_bytes.value - 3_000})
    small = nano.model_copy(update={"name": "small", "sram_reserved_bytes": figure})
    with pytest.raises(NothingFitsError, match="binding limit .3,000 of board small"):
        search(settings(tmp_path / "one", boards=(small,), budgets=Budgets.of_boards([small])), Watcher())
    both = {"boards": (small, nano), "budgets": Budgets.of_boards([small, nano])}
    summary = search(settings(tmp_path / "two", **both, trials=2), Watcher(), FakePool())
    assert summary.count("complete") == 2
    assert [board.name for board in run_boards(tmp_path / "two")] == ["small", "nano33ble"]
    assert on_board(summary.records, small) == []
    assert len(on_board(summary.records, nano)) == 2
    engine = small.model_copy(update={"name": "engine", "builds": ["tinyengine"]})
    costs = {record.number: estimate(record.candidate.network).inplace_bytes for record in summary.records}
    assert {r.number for r in on_board(summary.records, engine)} == {n for n, size in costs.items() if size <= 3_000}
    with_engine = on_board(summary.records, nano.model_copy(update={"builds": ["tinyengine"]}))
    assert {record.number: record.values["inplace_bytes"] for record in with_engine} == costs


def test_random_screens_before_it_proposes(tmp_path: Path) -> None:
    watcher = Watcher()
    search(
        settings(tmp_path, budgets=Budgets.of_boards([], params=900), explorers={"random": 1.0}), watcher, FakePool()
    )
    assert not [record for record in watcher.records if record.outcome == "infeasible"]


def test_nothing_fits_names_the_binding_limit(tmp_path: Path) -> None:
    with pytest.raises(NothingFitsError) as caught:
        search(settings(tmp_path, budgets=Budgets.of_boards([], params=10**9, macs=1000)), Watcher())
    text = str(caught.value)
    assert text.startswith("nothing in tiny fits: macs is the binding limit (1,000)")
    assert "the nearest candidate found needs 17," in text  # the stem alone takes 8*8*27*8 = 13,824
    assert '"block":"conv","channels":8' in text
    assert not (tmp_path / "study.db").exists()


def test_the_nearest_candidate_is_the_smallest() -> None:
    """By hand: 1x1 kernels and 8 channels everywhere need the least of both."""
    space = parse_space(TINY, "tiny.yaml")
    nearest = find_nearest(space, Budgets.of_boards([], macs=1), Defaults())
    assert [getattr(block, "channels", None) for block in nearest.candidate.blocks] == [8, 8, 8]
    assert nearest.candidate.blocks[1].kernel == 1  # type: ignore[attr-defined]
    assert nearest.share == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 2}, "epochs"),
        ({"explorers": {"random": 1.0}}, "explorer"),
        (
            {"budgets": Budgets.of_boards([load_board("nano33ble")], params=5000)},
            "limits.nano33ble.params: None, now 5000",
        ),
        (
            {"task": load_task("cifar10").model_copy(update={"accuracy": "float", "validation": 0.2})},
            "task.validation: 0.1, now 0.2",
        ),
        (
            {"space": parse_space(TINY.replace("[8, 16, 64]", "[8, 16]"), "t")},
            r"space, or .* \(space_sha256\): \w{12}, now",
        ),
    ],
)
def test_another_command_in_the_same_folder_is_refused(change: dict[str, object], what: str, tmp_path: Path) -> None:
    search(settings(tmp_path, trials=1), Watcher(), FakePool())
    with pytest.raises(RunError, match=f"was made with other settings: .*{what}.*choose another `out`"):
        search(settings(tmp_path, **change), Watcher())


def test_a_folder_is_for_one_search_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="another dse search is working"):
        search(settings(tmp_path), Watcher())


@pytest.mark.keras
def test_a_failed_trial_has_its_reason_and_the_run_goes_on(tmp_path: Path) -> None:
    text = TINY.replace("training: {", "training: {l2: 1.0, learning_rate: 10.0, optimizer: sgd, schedule: constant, ")
    wild = parse_space(text.replace("batch_size: 200", "batch_size: 20"), "wild.yaml")
    watcher = Watcher()
    summary = search(settings(tmp_path, space=wild, trials=2), watcher)
    failed = [record for record in summary.records if record.outcome == "failed"]
    assert len({record.id for record in failed}) == len(failed) == 2  # no candidate fails twice
    assert all("the loss became" in record.reason for record in failed)
    assert not summary.front()


@pytest.mark.keras
@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError(), "out of memory"), (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero")],
)
def test_any_error_of_a_trial_is_a_failed_trial(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise error

    import dse.training.recipe

    monkeypatch.setattr(dse.training.recipe, "train", broken)
    summary = search(settings(tmp_path, trials=1), Watcher())
    assert summary.count("failed") == 1
    assert reason in next(r.reason for r in summary.records if r.outcome == "failed")


def test_an_interrupted_trial_is_left(tmp_path: Path) -> None:
    """Ctrl-C in the first epoch: the trial stays open."""

    def interrupted(job: Job) -> TrialEnded:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(settings(tmp_path), Watcher(), FakePool(end=interrupted))
    assert load_summary(tmp_path).count("running") == 1


def test_an_interrupted_trial_is_taken_up_again(tmp_path: Path) -> None:
    """The same command finishes it under its own number."""
    test_an_interrupted_trial_is_left(tmp_path)
    watcher = Watcher()
    summary = search(settings(tmp_path), watcher, FakePool())
    assert watcher.notes == ["taking up 1 trial(s) that were interrupted"]
    assert summary.count("running") == 0
    assert summary.records[0].outcome == "complete"
    assert summary.count("complete") == 3


@pytest.mark.keras
def test_a_killed_drivers_checkpoint_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the first of two epochs: the same command trains the second only, from a folder with another name."""

    class Killed(Watcher):
        def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(settings(tmp_path, trials=1, epochs=2), Killed())
    (left,) = (tmp_path / "checkpoints").iterdir()
    watcher = Watcher()
    with monkeypatch.context() as patch:
        patch.setattr(driver.shutil, "rmtree", lambda *a, **k: None)
        search(settings(tmp_path, trials=1, epochs=2), watcher)
    assert watcher.epochs == [(0, 2)]
    (taken,) = (tmp_path / "checkpoints").iterdir()
    assert taken.name != left.name


def test_an_ending_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed within the transaction: nothing of the ending is there, and the trial is trained again."""
    insert = database._insert

    def killed(connection, table, rows) -> None:  # type: ignore[no-untyped-def]
        if table is database.VALUES:
            raise KeyboardInterrupt
        insert(connection, table, rows)

    with monkeypatch.context() as patch:
        patch.setattr(database, "_insert", killed)
        with pytest.raises(KeyboardInterrupt):
            search(settings(tmp_path, trials=1), Watcher(), FakePool())
    (left,) = load_summary(tmp_path).records
    assert (left.outcome, left.values, left.violations) == ("running", {}, {})
    assert left.candidate
    summary = search(settings(tmp_path, trials=1), Watcher(), FakePool())
    assert [record.outcome for record in summary.records] == ["complete"]


def test_a_proposal_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(database, "_attributes", killed)
        with pytest.raises(KeyboardInterrupt):
            search(settings(tmp_path, trials=1), Watcher(), FakePool())
    assert load_summary(tmp_path).records == []
    summary = search(settings(tmp_path, trials=1), Watcher(), FakePool())
    assert [(record.number, record.outcome) for record in summary.records] == [(0, "complete")]


def test_an_earlier_version_killed_between_record_and_tell(tmp_path: Path) -> None:
    """It wrote the record and then closed the trial: one with a record is closed, not trained again."""
    test_an_interrupted_trial_is_left(tmp_path)
    study, storage = optuna_reads(tmp_path), optuna.storages.RDBStorage(database.Place.in_folder(tmp_path).url)
    (open_,) = study.get_trials(deepcopy=False)
    trial_id = storage.get_trial_id_from_study_id_trial_number(1, open_.number)
    values = {"accuracy": 0.5, "params": 1.0, "macs": 2.0, "arena_bytes": 3.0}
    storage.set_trial_system_attr(trial_id, "constraints:arena_bytes", -0.5)
    storage.set_trial_user_attr(trial_id, "ending", {"outcome": "complete", "values": values})
    watcher = Watcher()
    pool = FakePool()
    summary = search(settings(tmp_path, trials=1), watcher, pool)
    assert [(record.outcome, record.values) for record in summary.records] == [("complete", values)]
    assert not pool.submitted
    (closed,) = optuna_reads(tmp_path).trials
    assert closed.values == [0.5, 1.0, 2.0, 3.0]
    assert closed.constraints == {"arena_bytes": -0.5}


def test_killed_while_proposing(tmp_path: Path) -> None:
    """A trial without a candidate, and one that was enqueued only: neither counts as trained or stays open."""
    search(settings(tmp_path, trials=1), Watcher(), FakePool())
    study = optuna_reads(tmp_path)
    study.ask()
    study.enqueue_trial({"stages[0].channels": 8})
    (tmp_path / "trials.csv").unlink()
    summary = search(settings(tmp_path, trials=2), Watcher(), FakePool())
    assert summary.count("running") == 0
    assert summary.count("complete") == 2
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 1 + len(summary.records)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "what?a %20 name"
    assert search(settings(folder, trials=1), Watcher(), FakePool()).count("complete") == 1
    assert load_summary(folder).count("complete") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


def test_a_damaged_run_yaml_is_one_message(tmp_path: Path) -> None:
    for text in ("settings: {}", "settings: {task: 5}", "[]", "{", ""):
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(RunError):
            load_summary(tmp_path)


def test_a_timeout_starts_nothing_new(tmp_path: Path) -> None:
    watcher = Watcher()
    summary = search(settings(tmp_path, trials=50, timeout=0.0), watcher, FakePool())
    assert summary.count("complete") == 0
    assert watcher.notes == ["the time is over: no new trial starts"]


@pytest.mark.keras
def test_a_trial_over_its_time_has_failed_and_another_limit_is_the_same_run(tmp_path: Path) -> None:
    limited = settings(tmp_path, trials=1, epochs=7, trial_timeout=0.001)
    search(limited, Watcher())
    (failed,) = [record for record in load_summary(tmp_path).records if record.outcome == "failed"]
    assert failed.reason == "took longer than the 0 s of a trial, 0 of 7 epochs done"
    summary = search(dataclasses.replace(limited, trials=2, trial_timeout=None, threads=1), Watcher())
    assert (summary.count("complete"), summary.count("failed")) == (1, 1)


def test_a_memory_limit_needs_a_worker_that_can_be_ended(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="`worker_memory` needs a worker"):
        search(settings(tmp_path, worker_memory=2**30), Watcher())
    with pytest.raises(RunError, match="`at_once` is for trials in this process, with `workers` 0"):
        search(settings(tmp_path, workers=2, at_once=2), Watcher())
    with pytest.raises(RunError, match="`at_once` is for trainings on JAX, and this is tensorflow"):
        search(settings(tmp_path, at_once=2), Watcher())


def test_no_time_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="`trial_timeout` 0 leaves no time"):
        search(settings(tmp_path, trial_timeout=0.0), Watcher())


def test_a_search_ends_though_a_worker_is_still_awaited(tmp_path: Path) -> None:
    """The only worker is lost with the last trial: nobody waits for the next, which may never come."""

    class Losing(FakePool):
        def free(self) -> int:
            return 0 if self.submitted else 1

        def wait(self, seconds: float) -> list[Event]:
            assert self.jobs, "the search waits for nothing"
            return super().wait(seconds)

    assert search(settings(tmp_path, trials=1), Watcher(), Losing()).count("complete") == 1


def test_infeasible_is_no_part_of_optunas_front(tmp_path: Path) -> None:
    log = log_in(tmp_path, ["accuracy", "params"])
    explorer = make_explorer("random", log, parse_space(TINY, "t"), Defaults(), 0, lambda candidate: True)
    good, bad = explorer.propose(), explorer.propose()
    log.tell_complete(good.number, {"accuracy": 0.5, "params": 100.0}, {"params": -0.1})
    log.tell_infeasible(bad.number, {"params": 1.0}, {"params": 0.3}, "params too many")
    assert [trial.number for trial in optuna_reads(tmp_path).best_trials] == [good.number]


def test_a_run_of_an_earlier_version_can_go_on(tmp_path: Path) -> None:
    """What the committed run says of its task is what is asked for now in its folder."""
    shutil.copy(RUN / "run.yaml", tmp_path)
    asked = with_defaults_of_run(dataclasses.replace(settings(tmp_path), task=load_task("cifar10")))
    described = describe(asked, load_data(asked.task, "sample"), {})
    assert described["settings"]["task"] == read_run(RUN)["settings"]["task"]
