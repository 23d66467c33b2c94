"""Trainings in steps: who is trained on, by what settings, and what stands in the record then. Nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cli.ending import end_of_run
from dse.errors import RunError
from dse.network.training import Training
from dse.search.fidelity.names import FIDELITIES, Fidelity
from dse.search.fidelity.rungs import Part, Rungs
from dse.search.frames import trials_frame
from dse.search.loop import search
from dse.search.record import TrialRecord, TrialResult
from dse.search.run_folder import load_summary, model_folder
from dse.search.settings import Settings
from dse.search.study.database import Place
from dse.search.study.trial_log import Draft, TrialLog
from dse.search.summary import Summary, front_records
from dse.search.workers.events import TrialDone, TrialEnded, TrialFailed
from dse.search.workers.jobs import Job
from dse.space.space import parse_space
from dse.tasks import load_task
from dse.training.sources import WEIGHTS
from tests.helpers.fake_pool import FakePool
from tests.helpers.searches import Watcher, settings

SPACE = """
space: steps
stem: {block: conv, channels: 8, stride: 4}
stages:
  - {block: conv, channels: {choice: [8, 12, 16, 20, 24, 28, 32, 36, 40]}, kernel: {choice: [1, 3]}, stride: 2}
"""


def asked(folder: Path, **changes: object) -> Settings:
    known = {"space": parse_space(SPACE, "steps.yaml"), "epochs": 18, "trials": 18, "explorers": {"grid": 1.0}}
    return settings(folder, **{**known, "fidelity": "halving", **changes})


def reached(job: Job) -> TrialEnded:
    """More by a longer training, and by another seed."""
    accuracy = 0.3 + 0.5 * job.step.share + 0.01 * job.step.seed
    weights = f"{job.number} to {job.step.share:.2f}".encode()
    return TrialDone(job.number, TrialResult(accuracy, None, {"loss": [0.5]}, 2.0, weights, "plain"), 2.0)


def searched(folder: Path, end: object = reached, workers: int = 1, **changes: object) -> tuple[FakePool, Summary]:
    pool = FakePool(workers, end)  # type: ignore[arg-type]
    return pool, search(asked(folder, **changes), Watcher(), pool)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_third_goes_on_and_of_those_a_third(workers: int, tmp_path: Path) -> None:
    pool, summary = searched(tmp_path, workers=workers)
    assert [job.epochs_before for job in pool.submitted if job.step.share == 1 / 9] == [0] * 18
    steps = [job.step.share for job in pool.submitted]
    assert {share: steps.count(share) for share in steps} == {1 / 9: 18, 1 / 3: 6, 1.0: 2}
    # As soon as it is known who is among the better third, and not when all have begun.
    assert steps.index(1 / 3) <= 3 + workers
    assert steps.index(1.0) <= 15
    epochs = {job.step.share: (job.candidate.training.epochs, job.epochs_before) for job in pool.submitted}
    assert epochs == {1 / 9: (2, 0), 1 / 3: (4, 2), 1.0: (12, 6)}
    whole = [record for record in summary.records if record.share == 1]
    assert [len(record.earlier) for record in whole] == [2, 2]
    assert summary.front() == sorted(whole, key=lambda one: one.values["macs"])[: len(summary.front())]
    for record in whole:
        assert record.earlier == [[1 / 9, pytest.approx(0.3 + 0.5 / 9)], [1 / 3, pytest.approx(0.3 + 0.5 / 3)]]
        assert (record.values["accuracy"], record.seconds, len(record.history["loss"])) == (0.8, 6.0, 3)
        assert record.first_values["accuracy"] == record.reached(1 / 9) == pytest.approx(0.3 + 0.5 / 9)
        assert (model_folder(tmp_path, record.id) / WEIGHTS).read_bytes() == f"{record.number} to 1.00".encode()


def test_each_step_goes_on_from_the_weights_of_the_last(tmp_path: Path) -> None:
    pool, _ = searched(tmp_path)
    for job in pool.submitted:
        before = {1 / 9: "", 1 / 3: f"{job.number} to 0.11", 1.0: f"{job.number} to 0.33"}[job.step.share]
        assert job.weights.decode() == before


def test_on_parts_of_the_images(tmp_path: Path) -> None:
    pool, _ = searched(tmp_path, fidelity="halving:data")
    parts = {job.step.share: (job.images, job.candidate.training.epochs) for job in pool.submitted}
    assert parts == {1 / 9: (1 / 9, 18), 1 / 3: (1 / 3, 12), 1.0: (1.0, 12)}


def test_what_cannot_be_trained_on_stays(tmp_path: Path) -> None:
    def breaks(job: Job) -> TrialEnded:
        return TrialFailed(job.number, "no luck") if job.step.share == 1 else reached(job)

    pool, summary = searched(tmp_path, breaks)
    stopped = [record for record in summary.records if record.stopped]
    assert [record.stopped for record in stopped] == ["no luck"] * len(stopped)
    # Others take its place, each once, and the front is of those that came furthest.
    tried = [job.number for job in pool.submitted if job.step.share == 1]
    assert sorted(tried) == sorted(record.number for record in stopped)
    assert len(set(tried)) == len(tried)
    assert {record.share for record in summary.front()} == {1 / 3}
    assert summary.trained == 18


def test_weights_that_are_gone_are_one_message(tmp_path: Path) -> None:
    watcher = Watcher()

    def forgetful(job: Job) -> TrialEnded:
        for path in tmp_path.glob(f"models/*/{WEIGHTS}"):
            path.unlink()
        return reached(job)

    summary = search(asked(tmp_path), watcher, FakePool(1, forgetful))
    assert summary.trained == 18
    assert any("stays as it is: its weights: cannot be read: No such file" in text for text in watcher.notes)


def test_the_front_is_trained_by_other_seeds(tmp_path: Path) -> None:
    pool, summary = searched(tmp_path, repeats=2)
    assert {job.epochs_before for job in pool.submitted[26:]} == {0}
    again = [(job.number, job.step.seed, job.candidate.training.epochs, job.weights) for job in pool.submitted][26:]
    assert again == [
        (record.number, seed, 18, b"") for seed in (1, 2) for record in sorted(summary.front(), key=lambda r: r.number)
    ]
    for record in summary.front():
        assert record.seeds == pytest.approx([0.8, 0.81, 0.82])
        assert record.values["accuracy"] == pytest.approx(0.81)
        # The weights that are exported are those of its own seed.
        assert (model_folder(tmp_path, record.id) / WEIGHTS).read_bytes() == f"{record.number} to 1.00".encode()


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_a_killed_search_trains_on_the_same(fidelity: Fidelity, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    done = 0

    def mortal(job: Job) -> TrialEnded:
        nonlocal done
        done += 1
        if done % 5 == 0:
            raise Killed
        return reached(job)

    whole, expected = searched(tmp_path / "whole", fidelity=fidelity, repeats=1, explorers={"bayes": 1.0})
    pools = []
    while True:
        pool = FakePool(1, mortal)
        pools.append(pool)
        try:
            found = search(
                asked(tmp_path / "killed", fidelity=fidelity, repeats=1, explorers={"bayes": 1.0}), Watcher(), pool
            )
            break
        except Killed:
            continue
    assert len(pools) > 3
    assert [record.params for record in found.records] == [record.params for record in expected.records]
    assert found.records == expected.records == load_summary(tmp_path / "killed").records
    steps = list(dict.fromkeys((job.number, job.step) for pool in pools for job in pool.submitted))
    assert steps == [(job.number, job.step) for job in whole.submitted]


def test_no_more_trials_are_no_more_steps(tmp_path: Path) -> None:
    searched(tmp_path)
    pool, _ = searched(tmp_path)
    assert not pool.submitted
    pool, _ = searched(tmp_path, trials=18, repeats=1)
    assert {job.step.seed for job in pool.submitted} == {1}


def test_a_step_has_the_recipe_of_its_own_length() -> None:
    training = Training(recipe="auto").with_settings({"epochs": 18, "batch_size": 32})
    assert training.recipe == "long"
    short = Rungs("halving", []).training(training, Part(4, 1.0, 2))
    assert (short.recipe, short.epochs, short.batch_size, short.augment) == ("short", 4, 32, "flip")
    assert Rungs("halving", []).training(training, Part(18, 1.0, 0)) == training


def test_a_step_keeps_what_was_said_though_a_recipe_says_the_same(tmp_path: Path) -> None:
    space = parse_space(SPACE + "training: {augment: {choice: [flip, flip_crop]}}\n", "steps.yaml")
    recipe = load_task("cifar10").training.model_copy(update={"recipe": "auto"})
    task = load_task("cifar10").model_copy(update={"accuracy": "float", "training": recipe})
    pool, _ = searched(tmp_path, space=space, trials=9, task=task)
    found = {(job.step.share < 1, job.candidate.training.recipe) for job in pool.submitted}
    assert (True, "short") in found
    for job in pool.submitted:
        record = next(one for one in load_summary(tmp_path).records if one.number == job.number)
        assert job.candidate.training.augment == record.params["training.augment"]


@pytest.mark.parametrize("epochs", range(1, 40))
def test_all_steps_together_are_the_training(epochs: int) -> None:
    rungs = Rungs("halving", ["accuracy"], epochs=epochs)
    parts = rungs.parts(epochs)
    assert sum(part.epochs for part in parts) == epochs
    assert min(part.epochs for part in parts) > 0
    assert len(parts) == min(3, 1 + (epochs > 1) + (epochs > 4))
    assert [part.epochs_before for part in parts] == [sum(p.epochs for p in parts[:n]) for n in range(len(parts))]


def test_the_shortest_training_decides_into_how_many_steps_all_are_cut(tmp_path: Path) -> None:
    space = parse_space(SPACE + "training: {epochs: {choice: [3, 30]}}\n", "steps.yaml")
    assert asked(tmp_path, space=space).rungs.shares == (1 / 3, 1.0)
    assert asked(tmp_path).rungs.shares == (1 / 9, 1 / 3, 1.0)


def test_a_repeated_network_has_what_samplers_know_of_the_other(tmp_path: Path) -> None:
    _, summary = searched(tmp_path)
    original = summary.front()[0]
    log = TrialLog(Place.in_folder(tmp_path), summary.objectives)
    candidate = original.candidate
    number = log.append("random", Draft({}, {}, candidate)).number
    log.tell_repeated(number, original, {})
    for again in (log, TrialLog(Place.in_folder(tmp_path), summary.objectives)):
        assert again.entries[number].objectives == again.entries[original.number].objectives
        assert again.records()[number].share == 1 / 9
        assert "accuracy_float" not in again.records()[number].values


def test_int8_that_is_known_later_changes_the_front_and_not_who_goes_on(tmp_path: Path) -> None:
    """`dse finish`, between two halves of a search on a machine without TensorFlow."""
    _, summary = searched(tmp_path, trials=9)
    log = TrialLog(Place.in_folder(tmp_path), summary.objectives)
    before = {record.number: [record.reached(share) for share in (1 / 9, 1 / 3, 1.0)] for record in log.records()}
    for record in log.records():
        log.amend(record.number, {"accuracy": 0.25, "accuracy_int8": 0.25})
    for again in (log, TrialLog(Place.in_folder(tmp_path), summary.objectives)):
        for record in again.records():
            assert record.values["accuracy"] == 0.25
            assert [record.reached(share) for share in (1 / 9, 1 / 3, 1.0)] == before[record.number]
            assert again.entries[record.number].objectives == [record.first_values[n] for n in summary.objectives]
    _, summary = searched(tmp_path, trials=18)
    assert {share: sum(r.share == share for r in summary.records) for share in (1 / 9, 1 / 3, 1.0)} == {
        1 / 9: 12, 1 / 3: 4, 1.0: 2,
    }  # fmt: skip


def test_samplers_know_first_steps_alone_after_a_restart_too(tmp_path: Path) -> None:
    _, summary = searched(tmp_path, explorers={"random": 1.0}, trials=9)
    log = TrialLog(Place.in_folder(tmp_path), summary.objectives)
    learned = {entry.record.share: (entry.objectives or [])[0] for entry in log.entries if entry.objectives}
    assert set(learned) == {1 / 9, 1 / 3, 1.0}
    assert list(learned.values()) == pytest.approx([0.3 + 0.5 / 9] * 3)
    # Everybody else reads what stands there now.
    study = optuna.load_study(study_name="dse", storage=f"sqlite:///{tmp_path}/study.db")
    assert max(trial.values[0] for trial in study.trials) == pytest.approx(0.8)


def test_what_a_person_sees_of_steps(tmp_path: Path) -> None:
    searched(tmp_path, repeats=1, trials=9)
    front = CliRunner().invoke(cli, ["front", str(tmp_path)])
    assert front.exit_code == 0
    assert "2: 80.00% to 81.00%" in front.output
    every = CliRunner().invoke(cli, ["front", str(tmp_path), "--all"]).output
    assert every.count("complete, 1/9 of its training") == 6
    assert every.count("complete, 1/3 of its training") == 2
    rows = json.loads(CliRunner().invoke(cli, ["front", str(tmp_path), "--all", "--json"]).output)
    assert {row["stopped"] for row in rows} == {""}
    assert sorted(row["share"] for row in rows)[-2:] == [1 / 3, 1.0]
    assert [row["seeds"] for row in rows if row["on_front"]] == [[0.8, pytest.approx(0.81)]]


def test_a_front_is_of_what_was_trained_furthest() -> None:
    def record(number: int, share: float, accuracy: float, macs: float) -> TrialRecord:
        values = {"accuracy": accuracy, "macs": macs}
        return TrialRecord(number, "complete", "random", None, values, share=share, seeds=[accuracy])

    records = [record(0, 1 / 9, 0.4, 1.0), record(1, 1 / 3, 0.6, 2.0), record(2, 1.0, 0.7, 3.0)]
    assert [one.number for one in front_records(records, ["accuracy", "macs"])] == [2]
    assert [one.number for one in front_records(records[:2], ["accuracy", "macs"])] == [1]


def test_a_front_of_networks_that_are_not_trained_in_full_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(job: Job) -> TrialEnded:
        return TrialFailed(job.number, "no luck") if job.step.share == 1 else reached(job)

    searched(tmp_path, breaks)
    end_of_run(tmp_path, exporting=False, test_images=None)
    output, error = capsys.readouterr()
    assert "1/3 of its training" in output
    assert "no network is trained in full yet: these are accuracies after 1/3 of its training" in error
    page = next(tmp_path.rglob("front.html")).read_text()
    assert "after 1/3 of its training" in page.replace("\\u002f", "/")
    table = trials_frame(load_summary(tmp_path).records)
    assert set(table["share"].dropna()) == {1 / 9, 1 / 3}


def test_more_seeds_take_int8_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dse.search.loop.choose_backend", lambda: "jax")
    with pytest.raises(RunError, match="`repeats` is the mean of int8 files, which TensorFlow makes"):
        search(asked(tmp_path, repeats=1, task=load_task("cifar10")), Watcher(), FakePool())
    assert not (tmp_path / "run.yaml").exists()


def test_trainings_from_other_weights_are_not_cut(tmp_path: Path) -> None:
    space = parse_space(SPACE + "training: {pretrained: {choice: ['', mine.keras]}}\n", "steps.yaml")
    with pytest.raises(RunError, match=r"begins with other weights \(mine.keras\) cannot be cut into steps"):
        search(asked(tmp_path, space=space), Watcher(), FakePool())
    assert not (tmp_path / "run.yaml").exists()


def test_no_step_goes_on_from_the_checkpoint_of_another(tmp_path: Path) -> None:
    """The driver was killed when a step was recorded, and before its checkpoint was removed."""

    class Killed(BaseException):
        pass

    def leaves(job: Job) -> TrialEnded:
        job.checkpoint.mkdir(parents=True)
        (job.checkpoint / "epoch").write_text(str(job.step.share))
        return reached(job)

    with pytest.MonkeyPatch.context() as patch:

        def killed(*arguments: object, **named: object) -> None:
            raise Killed

        patch.setattr("dse.search.driver.shutil.rmtree", killed)
        with pytest.raises(Killed):
            searched(tmp_path, leaves, trials=3)
    assert [path.read_text() for path in tmp_path.glob("checkpoints/*/epoch")] == [str(1 / 9)]

    def looks(job: Job) -> TrialEnded:
        assert not job.checkpoint.exists()
        return reached(job)

    _, summary = searched(tmp_path, looks, trials=3)
    assert [record.share for record in summary.front()] == [1.0]
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_network_that_fails_afterwards_leaves_a_run_that_opens(tmp_path: Path) -> None:
    """`dse finish` finds that one of those that were trained on cannot be converted."""
    _, summary = searched(tmp_path, trials=9)
    number = next(record.number for record in summary.records if record.earlier)
    TrialLog(Place.in_folder(tmp_path), summary.objectives).amend_failed(number, "no such operator")
    again = TrialLog(Place.in_folder(tmp_path), summary.objectives)
    record = again.records()[number]
    assert (record.outcome, record.more, record.earlier) == ("failed", None, [])
    _, summary = searched(tmp_path, trials=9)
    assert summary.count("failed") == 1
