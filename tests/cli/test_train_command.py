"""dse train: one network as a run of one trial."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli import cli, main
from dse.errors import DseError
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.search.run_folder import load_summary, model_folder, read_run
from dse.space.single import space_of, with_training
from dse.space.space import Defaults, load_space
from dse.training.model import build_model
from tests.helpers.networks import FAMILIES, family_space, only_candidate

pytestmark = pytest.mark.keras


def test_a_candidate_is_a_space_of_its_own(random_candidates: list[Candidate]) -> None:
    more = [only_candidate(family_space(family, text)) for family, text in FAMILIES.items()]
    grey = load_space("vww").build(
        {"resolution": 48, "color": "grey", "backbone": "cnn_3", "backbone.cnn_3.width": 0.25}
        | {"training.learning_rate": 0.002}
    )
    for candidate in [*random_candidates[::4], *more, grey]:
        again = only_candidate(space_of(candidate, "again"))
        assert again.id == candidate.id
    # A task's recipe is for candidates that are chosen in its space; one that is chosen keeps its own settings.
    recipe = Training(class_weight="balanced", residual_gamma=0.2, pretrained="x", teacher="y")
    again = space_of(grey, "again").build({}, Defaults(training=recipe))
    assert again.id == grey.id
    with pytest.raises(DseError, match="takes images of 32x48x3; expected square ones in colour or grey"):
        space_of(Candidate.make((32, 48, 3), 2, grey.blocks, grey.head, grey.training), "oblong")
    changed = only_candidate(space_of(grey, "again", epochs=3, pretrained="imagenet"))
    assert changed.architecture == grey.architecture
    assert (changed.training.epochs, changed.training.pretrained) == (3, "imagenet")


def test_other_settings_are_another_run(tmp_path: Path) -> None:
    """Of a reference network too: its file stays what it is, the run's space does not."""
    space = load_space("reference/mlperf_resnet8.yaml")
    slow, slower = (with_training(space, learning_rate=rate) for rate in (0.01, 0.001))
    assert len({space.digest, slow.digest, slower.digest}) == 3
    assert only_candidate(slow).training.learning_rate == 0.01
    assert only_candidate(slow).architecture == only_candidate(space).architecture


def train(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["train", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_student_of_a_trained_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = only_candidate(family_space("conv"))
    (tmp_path / "small.json").write_text(small.to_json())
    common = ["--data", "sample", "--epochs", "1"]
    monkeypatch.chdir(tmp_path)
    train("small.json", *common, "--no-export")
    alone = tmp_path / "results" / f"candidate-{small.id}-trained"
    first = load_summary(alone).records[0]
    assert first.candidate
    assert first.candidate.architecture == small.architecture
    teacher = str(model_folder(alone, first.id))
    taught = [teacher, *common, "--teacher", teacher, "--temperature", "2", "--out", str(tmp_path / "taught")]
    shown = train(*taught, "--test-images", "40")
    assert "int8 on TFLM" in shown
    record = load_summary(tmp_path / "taught").records[0]
    assert record.candidate
    assert record.candidate.training.temperature == 2
    assert record.id != first.id
    assert list(read_run(tmp_path / "taught")["settings"]["sources"]) == [str(Path(teacher).relative_to(tmp_path))]
    # The same command finds it trained; with another teacher under the same name it is another run.
    train(*taught, "--no-export")
    assert load_summary(tmp_path / "taught").count("complete") == 1
    (Path(teacher) / "model.weights.h5").write_bytes(
        (tmp_path / "taught/models" / record.id / "model.weights.h5").read_bytes()
    )
    result = CliRunner().invoke(cli, ["train", *taught, "--no-export"])
    assert "made with other settings: sources" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mixed"], "mixed: stem.channels, stem.stride"),
        (["mlperf_resnet8", "--teacher-weight", "0.5"], "--teacher-weight and --temperature go with a --teacher"),
        (
            ["mlperf_resnet8", "--teacher", "imagenet"],
            "imagenet is no teacher: its classes are others; expected a .keras",
        ),
        (["mlperf_resnet8", "--teacher", "nowhere"], "nowhere: cannot be read: No such file or directory"),
        (["nowhere.json"], "dse: nowhere.json: cannot be read: No such file or directory\n"),
        (["small.tflite"], "small.tflite: a model's file has no block grammar to train by; expected a candidate"),
        (["mlperf_resnet8", "--head-epochs", "3"], "--head-epochs goes with --pretrained"),
        (["."], ".: no candidate in there; expected a folder RUN/models/ID"),
    ],
)
def test_mistakes_are_one_message(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["dse", "train", *arguments, "--data", "sample", "--out", "run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_candidate_for_other_classes(tmp_path: Path) -> None:
    """Refused where nobody asked for a task, of which it may have been none; else it gets the classes of the task."""
    three = family_space("conv").sample(np.random.default_rng(0), Defaults(classes=3))[1]
    (tmp_path / "three.json").write_text(three.to_json())
    command = [str(tmp_path / "three.json"), "--data", "sample", "--epochs", "1", "--no-export"]
    refused = CliRunner().invoke(cli, ["train", *command, "--out", str(tmp_path / "refused")])
    assert "the network knows 3 classes" in str(refused.exception)
    assert not (tmp_path / "refused").exists()
    train(*command, "--task", "cifar10", "--out", str(tmp_path / "ten"))
    record = load_summary(tmp_path / "ten").records[0]
    assert record.candidate
    assert record.candidate.classes == 10


def test_what_it_begins_with_is_said_and_a_failure_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that do not fit fail the trial. With others in their place the same command trains it."""
    monkeypatch.chdir(tmp_path)
    small = only_candidate(family_space("conv"))
    Path("small.json").write_text(small.to_json())
    layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(77, 1), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential(layers).save("other.keras")
    command = ["train", "small.json", "--data", "sample", "--epochs", "1", "--no-export", "--board", "nano33ble"]
    command += ["--pretrained", "other.keras", "--head-epochs", "0", "--out", "run"]
    failed = CliRunner().invoke(cli, command)
    assert "none of its weights fit" in str(failed.exception)
    assert "nano33ble: fits: " in failed.output
    build_model(small.network, seed=3).save("other.keras")
    again = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert again.exit_code == 0
    assert re.search(r"weights of (\d+) of \1 layers are from other.keras", again.output)
    assert [record.outcome for record in load_summary(Path("run")).records] == ["complete"]
