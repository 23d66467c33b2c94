"""A trained trial to a bundle: converted, measured on the test images, and written with the C++ files that run it.

The int8 file is checked before it is written, then run over the test images on LiteRT and on the real TFLM
interpreter; accuracies stand with their 95 % intervals.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dse.data.datasets import Data
from dse.data.images import Images, as_input
from dse.errors import ExportError, RunError
from dse.export.bundle import VERSIONS, Exported, Models, Note, write_bundle
from dse.export.firmware import Golden
from dse.export.golden_images import NUM_GOLDEN, chosen_images, generated_images
from dse.export.measure import is_collapsed, measure_accuracy, measure_files, warning
from dse.export.report import (
    BeforeTuning,
    BundleReport,
    DataOrigin,
    FileFigures,
    FineTuned,
    GoldenOrigin,
    ImageFigures,
    PostTraining,
)
from dse.export.scores import accuracy
from dse.hardware.boards import Board
from dse.network.candidate import Candidate
from dse.network.training import QatSettings
from dse.quantization.convert import CALIBRATION_IMAGES, calibration_set, for_conversion, to_float_file, to_int8
from dse.quantization.qat import fine_tune, float_model_qat, to_int8_qat
from dse.search.record import TrialRecord
from dse.search.run_folder import bundle_folder, model_folder, read_run, run_task
from dse.tasks import Task
from dse.tflite.deployable import check_deployable
from dse.tflite.interpreters import int8_input, run_float, run_litert, run_tflm
from dse.training.context import TrainingContext
from dse.training.sources import WEIGHTS
from dse.training.weights import load_weights


def export(
    run: Path,
    record: TrialRecord,
    data: Data,
    boards: Sequence[Board],
    *,
    folder: Path | None = None,
    test_images: int | None = None,
    qat: QatSettings | None = None,
    note: Note = lambda text: None,
) -> Exported:
    """Write the bundle of a complete trial, fine-tuned in int8 where `qat` says so. Raises RunError, ExportError."""

    def say(text: str) -> None:
        note(f"trial {record.number}: {text}")

    candidate, weights = _trained(run, record)
    test = as_input(data.test.first(test_images), candidate.input_shape)
    say(f"converting {candidate.id}")
    quantization: PostTraining | FineTuned
    models, quantization = _converted(candidate, weights, data)
    if qat:
        models, quantization = _fine_tuned(models, weights, data, test, qat, _seed(run), say)
    measured = _measured(models, data, test, boards, say)
    report = _report(run, record, data, boards, quantization, measured)
    _refuse_collapse(report)
    if report.warning:
        say(f"warning: {report.warning}")
    folder = folder or bundle_folder(run, candidate.id)
    write_bundle(folder, models, measured.golden, report)
    return Exported(folder, report)


def _seed(run: Path) -> int:
    return int(read_run(run)["settings"]["seed"])


def _trained(run: Path, record: TrialRecord) -> tuple[Candidate, Path]:
    """The candidate of a trial and the file of its weights. Raises RunError where there are none."""
    candidate = record.candidate
    if candidate is None or record.outcome not in ("complete", "repeated"):
        raise RunError(f"trial {record.number} is {record.outcome}; only a complete trial can be exported")
    weights = model_folder(run, candidate.id) / WEIGHTS
    if not weights.is_file():
        raise RunError(f"{weights}: missing, so trial {record.number} cannot be exported")
    return candidate, weights


def _calibration(data: Data, candidate: Candidate) -> Images:
    return as_input(data.train.first(CALIBRATION_IMAGES), candidate.input_shape)


def _converted(candidate: Candidate, weights: Path, data: Data) -> tuple[Models, PostTraining]:
    """The files of a trained network as it is."""
    images = _calibration(data, candidate)
    fixed = for_conversion(candidate, load_weights(candidate, weights))
    models = Models(candidate, to_int8(fixed, calibration_set(images)), to_float_file(fixed), data.classes)
    return models, PostTraining(calibration_images=len(images))


def _fine_tuned(
    models: Models, weights: Path, data: Data, test: Images, qat: QatSettings, seed: int, say: Note
) -> tuple[Models, FineTuned]:
    """The files of a network that is fine-tuned in int8 first; `models` are those without. Raises ExportError."""
    candidate = models.candidate
    if candidate.training.sparsity:
        raise ExportError("its weights are sparse, and fine-tuning in int8 would fill the zeros: leave `qat` out")
    check_deployable(models.int8)
    say("running the test images before fine-tuning, in float and in int8")
    before = BeforeTuning(
        float32=accuracy(run_float(models.float32, test.images).argmax(1), test.labels),
        litert_int8=accuracy(run_litert(models.int8, test.images, reference=True).argmax(1), test.labels),
    )

    def epoch(number: int, epochs: int, metrics: dict[str, float]) -> None:
        say(f"fine-tuning, epoch {number}/{epochs}: training accuracy {metrics['accuracy']:.1%}")

    say("fine-tuning in int8")
    calibration = _calibration(data, candidate)
    tuned = fine_tune(
        candidate,
        load_weights(candidate, weights),
        as_input(data.train, candidate.input_shape),
        TrainingContext(seed, on_epoch=epoch),
        settings=qat,
        calibration=calibration_set(calibration),
    )
    files = to_int8_qat(candidate, tuned), to_float_file(float_model_qat(candidate, tuned))
    quantization = FineTuned(calibration_images=len(calibration), **asdict(qat), before=before)
    return Models(candidate, *files, data.classes), quantization


@dataclass(frozen=True)
class _Measured:
    files: FileFigures
    images: ImageFigures
    golden: Golden
    partial: bool


def _measured(models: Models, data: Data, test: Images, boards: Sequence[Board], say: Note) -> _Measured:
    """Every figure of the files, on some test images or all. Raises ExportError."""
    files = measure_files(models, boards, test.images)
    golden = _golden(models, test, data.free)
    return _Measured(files, measure_accuracy(models, test, say), golden, partial=len(test) < len(data.test))


def _report(
    run: Path,
    record: TrialRecord,
    data: Data,
    boards: Sequence[Board],
    quantization: PostTraining | FineTuned,
    measured: _Measured,
) -> BundleReport:
    return BundleReport(
        candidate=record.id,
        trial=record.number,
        seed=_seed(run),
        quantization=quantization,
        **dict(measured.files),
        **dict(measured.images),
        partial=measured.partial,
        validation={name: value for name, value in record.values.items() if name.startswith("accuracy")}
        | ({"share": record.share} if record.share < 1 else {}),
        classes=data.classes,
        data=DataOrigin(source=data.source, sha256=data.digest),
        task=Task.model_validate(run_task(run).to_dict()),
        boards=tuple(Board.model_validate(board.model_dump(mode="json")) for board in boards),  # with every default
        golden=GoldenOrigin(count=len(measured.golden.inputs), source=measured.golden.source),
        versions={name: importlib.metadata.version(name) for name in VERSIONS},
        warning=warning(measured.images, quantization),
    )


def _refuse_collapse(report: BundleReport) -> None:
    """Raises ExportError for a network of which int8 leaves too little."""
    if is_collapsed(report.accuracy, len(report.classes)):
        scores = report.accuracy
        raise ExportError(
            f"int8 collapses, from {scores.float32.accuracy:.1%} to {scores.tflm_int8.accuracy:.1%}, so it is not "
            f"written: {report.warning}"
        )


def _golden(models: Models, test: Images, free: bool) -> Golden:
    """Test images where they may be passed on, else generated ones, with what TFLM makes of them."""
    if free:
        indices = chosen_images(test.labels, NUM_GOLDEN)
        images, source = test.images[indices], "Test images, of every class in turn."
    else:
        images = generated_images(models.candidate.input_shape, NUM_GOLDEN)
        indices, source = np.full(len(images), -1), "Generated images: black, white, and coloured patches with noise."
    return Golden(int8_input(images), run_tflm(models.int8, images).logits, indices, source)
