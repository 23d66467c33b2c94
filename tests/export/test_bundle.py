"""A bundle is whole, and a check of it finds every figure that is not as it was."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dse.cli import cli
from dse.data.datasets import Data
from dse.errors import ExportError, FileError, RunError
from dse.export.bundle import list_bundles, read_bundle
from dse.export.check import check_bundle
from dse.export.golden_images import chosen_images, generated_images
from dse.export.measure import is_collapsed, warning
from dse.export.report import (
    Accuracies,
    AddedNoise,
    ImageFigures,
    PostTraining,
    read_report,
)
from dse.export.runs import export_front, export_run
from dse.export.scores import accuracy
from dse.hardware.boards import Board
from dse.search.loop import search
from dse.search.record import Step
from dse.search.run_folder import bundle_folder, load_summary
from dse.search.study.database import Place
from dse.search.study.trial_log import TrialLog
from dse.tasks import load_task
from tests.helpers.searches import Watcher, settings

FIRMWARE = {
    *(
        "README.md",
        "classifier.cc",
        "classifier.h",
        "golden.cc",
        "golden.h",
        "main.cc",
        "model_data.cc",
        "model_data.h",
    ),
    *("model_settings.h", "op_resolver.h", "self_test.cc", "self_test.h"),
}
FILES = {
    *(
        "model_int8.tflite",
        "model_float.tflite",
        "candidate.json",
        "labels.txt",
        "golden.npz",
        "report.json",
        "README.md",
    ),
    *(f"firmware/{name}" for name in FIRMWARE),
}


def silent(text: str) -> None:
    pass


def differences(folder: Path, data: Data | None = None) -> list[str]:
    return check_bundle(read_bundle(folder), data, silent)


def changed_report(folder: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    report = json.loads((folder / "report.json").read_text())
    change(report)
    (folder / "report.json").write_text(json.dumps(report))


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / bundle.name))


@pytest.mark.smoke
def test_a_bundle_has_all_files_and_is_as_it_reports(bundle: Path, sample_data: Data) -> None:
    assert {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()} == FILES
    assert differences(bundle, sample_data) == []
    assert differences(bundle) == []


def test_the_figures_of_a_report_go_together(bundle: Path, sample_data: Data) -> None:
    report = read_bundle(bundle).report
    matrix = np.array(report.confusion_matrix)
    assert matrix.sum() == report.test_images == 100
    assert np.trace(matrix) / 100 == report.accuracy.tflm_int8.accuracy
    assert matrix.sum(axis=1).tolist() == np.bincount(sample_data.test.labels[:100], minlength=10).tolist()
    for index, figures in enumerate(report.per_class.values()):
        right, found = matrix[index, index], matrix[:, index].sum()
        assert figures.precision == pytest.approx(right / found if found else 0)
        assert figures.recall == pytest.approx(right / matrix[index].sum())
    assert report.predicted.arena_head_bytes == report.measured.arena_head_bytes
    assert report.predicted.operators == report.measured.operators
    arenas = [one.bytes for one in report.arena.by_build.values()]
    assert report.arena.bytes == max(arenas) + report.arena.margin_bytes
    assert min(arenas) <= report.predicted.arena_bytes <= report.arena.bytes
    assert report.seed == 0
    assert report.worst_layers[0].added >= report.worst_layers[1].added > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["measured"].update(arena_head_bytes=1), "measured.arena_head_bytes: reported 1, found "),
        (lambda r: r["predicted"].update(macs=7), "predicted.macs: reported 7, found "),
        (lambda r: r["fits"]["nano33ble"].update(fits=False), "fits.nano33ble.fits: reported False, found True"),
        (lambda r: r["arena"].update(bytes=16), "arena.bytes: reported 16, found "),
        (lambda r: r["output"].update(zero_point=99), "output.zero_point: reported 99, found "),
        (lambda r: r["accuracy"]["float"].update(accuracy=0.99), "accuracy.float.accuracy: reported 0.99, found 0."),
        (lambda r: r["confusion_matrix"][0].__setitem__(3, 99), "confusion_matrix[0][3]: reported 99, found "),
        (lambda r: r["worst_layers"].pop(), "worst_layers: reported "),
        (lambda r: r["golden"].update(count=99), "golden.count: reported 99, found 16"),
        (lambda r: r.update(classes=r["classes"][::-1]), "classes: reported ("),
        (lambda r: r["measured"].update(plan="\x1b[2J"), "measured.plan: reported '\\x1b[2J', found 'greedy'"),
        (lambda r: r.update(warning="none"), "warning: reported 'none', found "),
    ],
)  # fmt: skip
def test_a_figure_that_is_another_is_found(
    change: Callable[[dict], object],
    message: str,
    copy: Path,
    sample_data: Data,  # type: ignore[type-arg]
) -> None:
    changed_report(copy, change)
    problems = differences(copy, sample_data)
    assert any(problem.startswith(message) for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["mean"].pop("f1"), "mean.f1: Field required"),
        (lambda r: r.pop("mean"), "mean: Field required"),
        (lambda r: r.update(best_ever=1), "best_ever: Extra inputs are not permitted"),
        (lambda r: r.update({"\x1b[2J": 1}), "'\\x1b[2J': Extra inputs are not permitted"),
        (lambda r: r["input"].update(scale="\x1b[2J"), "input.scale: Input should be a valid number"),
        (lambda r: r.update(confusion_matrix=[]), "confusion_matrix: expected a row and a column for each of 10 classes"),
        (
            lambda r: r.update(confusion_matrix=[[0] * 10] * 10),
            "confusion_matrix: expected the counts of at least one image",
        ),
        (lambda r: r["per_class"].pop("cat"), "per_class: expected the names in classes"),
        (lambda r: r.pop("int8_loses_too_much"), "int8_loses_too_much: Field required"),
        (lambda r: r.update(worst_layers=5), "worst_layers: Input should be a valid array"),
        (lambda r: r.update(int8_loss=math.inf), "int8_loss: Input should be a finite number"),
        (
            lambda r: r.update(quantization={"method": "fine-tuned"}),
            "quantization.fine-tuned.calibration_images: Field required",
        ),
        (lambda r: r["boards"][0].pop("core"), "boards[0].core: Field required"),
        (lambda r: r["task"].update(dataset="mnist"), "task.dataset: Input should be "),
    ],
)  # fmt: skip
def test_a_damaged_report_is_one_message(change: Callable[[dict], object], message: str, copy: Path) -> None:  # type: ignore[type-arg]
    changed_report(copy, change)
    with pytest.raises(FileError) as error:
        read_bundle(copy)
    assert str(error.value).startswith(f"{copy / 'report.json'}: {message}")


def test_a_report_is_written_as_it_was_read(bundle: Path) -> None:
    text = (bundle / "report.json").read_text(encoding="utf-8")
    assert read_report(bundle).to_json() == text
    assert set(json.loads(text)["boards"][0]) == set(Board.model_fields)


def test_a_file_that_is_another_is_found(copy: Path, sample_data: Data) -> None:
    settings_file = copy / "firmware" / "model_settings.h"
    settings_file.write_text(settings_file.read_text().replace("kInputZeroPoint = -128", "kInputZeroPoint = 0"))
    (copy / "labels.txt").unlink()
    assert differences(copy) == [
        "firmware/model_settings.h: is not what the model and the report give",
        "labels.txt: missing",
    ]


def test_a_weight_that_is_another_is_found(copy: Path) -> None:
    model = copy / "model_int8.tflite"
    content = bytearray(model.read_bytes())
    bundle = read_bundle(copy)
    largest = max(re.finditer(rb"[^\0]{64,}", bytes(content)), key=lambda found: len(found[0]))  # of some convolution
    for index in range(largest.start() + 8, largest.end()):
        content[index] ^= 0x55
    model.write_bytes(content)
    assert read_bundle(copy).models.int8 != bundle.models.int8
    problems = differences(copy)
    assert "golden.npz: TensorFlow Lite Micro gives other scores" in problems
    assert "firmware/model_data.cc: is not what the model and the report give" in problems


def test_golden_images_of_another_test_set_are_found(copy: Path, sample_data: Data) -> None:
    from dse.export.firmware import Golden, save_golden

    golden = read_bundle(copy).golden
    save_golden(copy / "golden.npz", Golden(golden.inputs, golden.outputs, golden.indices[::-1], golden.source))
    assert "golden.npz: the images are not those of the test set" in differences(copy, sample_data)


def test_the_command_checks_a_bundle_and_a_run(copy: Path, bundle: Path) -> None:
    def check(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["export", *arguments])
        return done.exit_code, done.output + (str(done.exception) if done.exception else "")

    run = bundle.parent.parent
    assert list_bundles(run) == [bundle]
    code, text = check(str(run), "--check", "--data", "sample")
    assert (code, text.splitlines()[-1]) == (0, f"{bundle}: every figure is as reported")
    changed_report(copy, lambda report: report["arena"].update(bytes=16))
    code, text = check(str(copy), "--check", "--without-data")
    assert code != 0
    assert f"{copy}: differs (accuracies left out)\n  arena.bytes: reported 16, found " in text
    code, text = check(str(copy), "--check", "--front")
    assert code == 2
    assert "--check takes --data or --without-data, and no other option" in text


def test_what_is_no_bundle_is_one_message(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(RunError, match="no bundle; a bundle is a folder that dse export wrote"):
        list_bundles(tmp_path / "nothing")
    with pytest.raises(RunError, match="no bundle"):
        read_bundle(tmp_path)
    changed_report(copy, lambda report: report.update(format=1))
    with pytest.raises(FileError, match=r"report\.json: format: came 1, expected 3; export the trial again"):
        read_bundle(copy)
    changed_report(copy, lambda report: report.update(format=3, classes=[1, 2]))
    with pytest.raises(FileError, match=r"report\.json: classes\[0\]: .*string"):
        read_bundle(copy)
    (copy / "report.json").write_text("{")
    with pytest.raises(FileError, match=r"report\.json: cannot be read"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("golden.npz", b"PK\5\6" + bytes(18)),
        ("model_float.tflite", b""),
        ("model_float.tflite", None),  # the int8 one in its place
        ("candidate.json", b"{}"),
        ("report.json", b"[]"),
        ("report.json", b'{"format": 3}'),
    ],
)
def test_a_damaged_bundle_is_one_message(file: str, content: bytes | None, copy: Path) -> None:
    (copy / file).write_bytes((copy / "model_int8.tflite").read_bytes() if content is None else content)
    done = CliRunner().invoke(cli, ["export", str(copy), "--check", "--without-data"])
    assert isinstance(done.exception, ExportError)
    assert "differs (accuracies left out)" in done.output


def test_a_bundle_of_other_versions_is_checked(copy: Path) -> None:
    changed_report(copy, lambda report: report.update(versions={"": "1"}))
    assert differences(copy) == ["README.md: is not what the model and the report give"]


def test_a_figure_that_rounds_otherwise_is_the_same(copy: Path) -> None:
    def nudge(report: dict) -> None:  # type: ignore[type-arg]
        latency = report["fits"]["nano33ble"]["latencies_ms"][0]
        latency["high"] = math.nextafter(latency["high"], math.inf)

    changed_report(copy, nudge)
    assert differences(copy) == []


@pytest.mark.keras
@pytest.mark.tflm
@pytest.mark.parametrize("task_name", ["", "cifar10"])
def test_images_of_a_folder_stay_with_their_owner(task_name: str, tmp_path: Path) -> None:
    """The golden images of such a task are generated, also of one in the place of CIFAR-10's."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 20)):
        for name in ("cat", "dog"):
            folder = tmp_path / "animals" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(folder / f"{index}.png")
    run = tmp_path / "run"
    task = load_task(task_name or str(tmp_path / "animals")).model_copy(update={"accuracy": "float"})
    search(settings(run, task=task, data=str(tmp_path / "animals"), trials=1), Watcher())
    [exported] = export_run(run, trials=[0])
    golden = read_bundle(exported.folder).golden
    assert golden.indices.tolist() == [-1] * 16
    assert golden.source.startswith("Generated images")
    assert exported.report.classes == ("cat", "dog")


def test_golden_images_have_every_class() -> None:
    labels = np.array([2, 2, 2, 0, 1, 1, 0])
    assert chosen_images(labels, 4).tolist() == [3, 4, 0, 6]
    assert sorted(chosen_images(labels, 99).tolist()) == list(range(7))
    images = generated_images((33, 20, 3), 16)
    assert images.shape == (16, 33, 20, 3)
    assert len(np.unique(images[2:], axis=0)) == 14


def test_a_loss_of_more_than_a_point_is_a_warning() -> None:
    layer = AddedNoise(layer="b1_dpd_depthwise", operator="DEPTHWISE_CONV_2D", snr_db=3.0, added=0.125)
    lost = ImageFigures.model_construct(int8_loses_too_much=True, int8_loss=0.034, worst_layers=(layer,))
    as_trained = PostTraining(calibration_images=200)
    assert warning(lost, as_trained) == (
        "int8 loses 3.4 points to float; the worst layers: b1_dpd_depthwise (DEPTHWISE_CONV_2D) adds noise of 12.50% of the"
        " signal, 3.0 dB are left;"
        " dse export --qat fine-tunes it in int8"
    )
    assert warning(lost.model_copy(update={"int8_loses_too_much": False}), as_trained) == ""


def test_less_than_half_of_what_float_knows_is_a_collapse() -> None:
    def collapsed(exact: float, int8: float, images: int) -> bool:
        scores = {
            name: accuracy(np.arange(images) < round(share * images), np.ones(images, bool))
            for name, share in (("float", exact), ("litert_int8", int8), ("tflm_int8", int8))
        }
        return is_collapsed(Accuracies(**scores), 10)

    assert collapsed(0.7, 0.35, 1000)  # half of the way from 0.1 to 0.7 is 0.4
    assert not collapsed(0.7, 0.45, 1000)
    assert not collapsed(0.7, 0.35, 20)  # of so few images nobody can say
    assert not collapsed(0.11, 0.02, 100)  # float knows nothing either


def test_a_network_that_was_trained_on_is_exported_anew(
    copied_run: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    monkeypatch.setattr("dse.export.runs.export_run", lambda run, *, trials, **_: asked.append(trials))
    front = load_summary(copied_run).front()
    for record in front:
        shutil.copytree(bundle, bundle_folder(copied_run, record.id))
        changed = json.loads((bundle_folder(copied_run, record.id) / "report.json").read_text())
        changed["validation"] |= {name: record.values[name] for name in changed["validation"]}
        (bundle_folder(copied_run, record.id) / "report.json").write_text(json.dumps(changed))
    export_front(copied_run, test_images=100)
    log = TrialLog(Place.in_folder(copied_run), load_summary(copied_run).objectives)
    log.begin_more(front[0].number, Step(1.0))
    log.tell_more(front[0].number, front[0].values | {"accuracy_float": 0.99})
    export_front(copied_run, test_images=100)
    assert asked == [[], [front[0].number]]


def test_a_trial_that_is_not_there_is_told(bundle: Path) -> None:
    run = bundle.parent.parent
    count = len(load_summary(run).records)
    with pytest.raises(RunError, match=rf"run: no trial {count}; there are {count}, from 0"):
        export_run(run, trials=[0, count])
    assert export_run(run, trials=[]) == []
