"""A search without TensorFlow, and what measures its networks in int8 afterwards."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from dse.errors import RunError
from dse.export import finish
from dse.export.finish import finish_run, unfinished
from dse.search.loop import search
from dse.search.record import TrialRecord
from dse.search.run_folder import load_summary, model_folder
from dse.tasks import load_task
from dse.training.sources import WEIGHTS
from tests.helpers.hidden import ON_A_GPU_MACHINE
from tests.helpers.searches import TINY, Watcher, settings

pytestmark = [pytest.mark.keras, pytest.mark.tflm]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two trials of which only the float accuracy is known, as a search without a converter leaves them."""
    folder = tmp_path_factory.mktemp("finish") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dse.search.workers.trial.int8_accuracy", lambda *_: None)
        search(dataclasses.replace(settings(folder, trials=2), task=load_task("cifar10")), Watcher())
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def in_int8(run: Path) -> list[TrialRecord]:
    return [record for record in load_summary(run).records if "accuracy_int8" in record.values]


def test_accuracies_become_those_of_the_int8_files(run: Path) -> None:
    assert [record.number for record in unfinished(run)] == [0, 1]
    told: list[str] = []
    assert finish_run(run, note=told.append) == 2
    assert not unfinished(run)
    for record in in_int8(run):
        assert record.values["accuracy"] == record.values["accuracy_int8"]
        assert f"int8 {record.values['accuracy']:.2%}" in told[record.number]
    # Optuna's own tools see the same, and so do samplers when the search goes on.
    study = optuna.load_study(study_name="dse", storage=f"sqlite:///{run / 'study.db'}")
    assert [trial.values[0] for trial in study.trials] == [record.values["accuracy"] for record in in_int8(run)]
    assert ",".join(["accuracy_float", "accuracy", "accuracy_int8"]) in (run / "trials.csv").read_text()
    assert finish_run(run) == 0


def test_what_was_stopped_goes_on_where_it_was(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = finish._int8_accuracy
    measured: list[str] = []

    def stopped(run: Path, candidate, data):  # type: ignore[no-untyped-def]
        if measured:
            raise KeyboardInterrupt
        measured.append(candidate.id)
        return whole(run, candidate, data)

    monkeypatch.setattr(finish, "_int8_accuracy", stopped)
    with pytest.raises(KeyboardInterrupt):
        finish_run(run)
    assert len(in_int8(run)) == 1
    monkeypatch.setattr(finish, "_int8_accuracy", whole)
    assert finish_run(run) == 1
    assert len(in_int8(run)) == 2


def test_a_network_that_cannot_be_converted_has_failed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "_int8_accuracy", lambda run, candidate, data: "the TFLite converter refused the model")
    finish_run(run)
    summary = load_summary(run)
    assert [record.outcome for record in summary.records] == ["failed", "failed"]
    assert summary.records[0].reason == "the TFLite converter refused the model"
    assert not summary.front()


def test_weights_that_are_missing_are_missed(run: Path) -> None:
    (model_folder(run, unfinished(run)[0].id) / WEIGHTS).unlink()
    with pytest.raises(RunError, match="is missing: the weights"):
        finish_run(run)
    assert load_summary(run).count("complete") == 2


def test_a_finished_run_is_left_alone(finished_run: Path) -> None:
    before = (finished_run / "study.db").read_bytes()
    assert unfinished(finished_run) == []
    assert finish_run(finished_run) == 0
    assert (finished_run / "study.db").read_bytes() == before


@pytest.mark.slow
@pytest.mark.process
def test_a_search_without_tensorflow_is_finished_with_it(tmp_path: Path) -> None:
    """On the CPU build of JAX, as on a GPU: searched without TensorFlow, Ray and NNI, killed and resumed, then converted."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    hidden = [sys.executable, "-m", "tests.helpers.hidden", ON_A_GPU_MACHINE]
    command = [
        *hidden, "search", "--space", str(tmp_path / "tiny.yaml"), "--board", "nano33ble", "--task", "cifar10", "--data",
        "sample", "--epochs", "8", "--trials", "3", "--seed", "4",
        "--explorer", "optuna:nsga2", "--out",
    ]  # fmt: skip
    refused = subprocess.run([*command, str(tmp_path / "run")], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "dse: Ray is not installed here; --workers 0 trains in this process, without it"
    )
    command += [str(tmp_path / "run"), "--workers", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("trial 2: epoch 1/8"):
            process.kill()
            break
    process.wait()
    resumed = subprocess.run(command, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert "trained with jax" in resumed.stderr
    assert "taking up 1 trial(s) that were interrupted" in resumed.stderr
    assert f"'dse finish {tmp_path / 'run'}'" in resumed.stderr
    before = load_summary(tmp_path / "run")
    assert (before.count("complete"), len(in_int8(tmp_path / "run"))) == (3, 0)

    at_once = [*command[:-3], str(tmp_path / "whole"), "--workers", "0", "--at-once", "3"]
    whole = subprocess.run(at_once, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    both = ({r.id: r.values for r in load_summary(tmp_path / name).records if r.values} for name in ("run", "whole"))
    alone, together = both
    assert len(alone.keys() & together.keys()) > 1
    assert all(together[known] == alone[known] for known in alone.keys() & together.keys())

    said = [sys.executable, "-c", "from dse.cli import main; main()", "finish", str(tmp_path / "run"), "--no-export"]
    done = subprocess.run(said, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = in_int8(tmp_path / "run")
    assert [record.outcome for record in after].count("complete") == 3
    assert "repeated" in [record.outcome for record in after]
    assert not unfinished(tmp_path / "run")
    for record in after:
        assert record.values["accuracy_int8"] == pytest.approx(record.values["accuracy_float"], abs=0.04)

    student = str(model_folder(tmp_path / "run", after[0].id))
    longer = [*hidden, "train", student, "--epochs", "2", "--out", str(tmp_path / "longer")]
    single = subprocess.run(longer, capture_output=True, text=True)
    assert single.returncode == 0, single.stderr
    assert [record.outcome for record in unfinished(tmp_path / "longer")] == ["complete"]
