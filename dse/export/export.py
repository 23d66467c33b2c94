"""A trained trial to a bundle: converted, measured on the test images, and written with the C++ files that run it.

The int8 file is checked before it is written, then run over the test images on LiteRT and on the real TFLM
interpreter; accuracies stand with their 95 % intervals.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.data.datasets import Data
from dse.data.images import Images, as_input
from dse.errors import ExportError, RunError
from dse.export.bundle import FORMAT, VERSIONS, Models, write_bundle
from dse.export.firmware import Golden
from dse.export.golden_images import NUM_GOLDEN, chosen_images, generated_images
from dse.export.measure import is_collapsed, measure_accuracy, measure_files, warning
from dse.export.scores import accuracy
from dse.hardware.boards import Board
from dse.network.training import QatSettings
from dse.quantization.convert import CALIBRATION_IMAGES, calibration_set, for_conversion, to_float_file, to_int8
from dse.quantization.qat import fine_tune, float_model_qat, to_int8_qat
from dse.search.record import TrialRecord
from dse.search.run_folder import bundle_folder, model_folder, read_run, run_task
from dse.tflite.deployable import check_deployable
from dse.tflite.interpreters import int8_input, run_float, run_litert, run_tflm
from dse.training.context import TrainingContext
from dse.training.sources import WEIGHTS
from dse.training.weights import load_weights


@dataclass(frozen=True)
class Exported:
    """Where a bundle lies and what its report says."""

    folder: Path
    report: dict[str, Any]


def export(
    run: Path,
    record: TrialRecord,
    data: Data,
    boards: list[Board],
    *,
    folder: Path | None = None,
    test_images: int | None = None,
    qat: QatSettings | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Writes the bundle of a complete trial, fine-tuned in int8 where `qat` says so. Raises RunError, ExportError."""
    candidate = record.candidate
    if candidate is None or record.outcome not in ("complete", "repeated"):
        raise RunError(f"trial {record.number} is {record.outcome}; only a complete trial can be exported")
    weights = model_folder(run, candidate.id) / WEIGHTS
    if not weights.is_file():
        raise RunError(f"{weights}: missing, so trial {record.number} cannot be exported")

    def say(text: str) -> None:
        note(f"trial {record.number}: {text}")

    say(f"converting {candidate.id}")
    trained = load_weights(candidate, weights)
    shape = candidate.input_shape
    train, test = data.train.first(CALIBRATION_IMAGES), as_input(data.test.first(test_images), shape)
    calibration = calibration_set(as_input(train, shape))
    fixed = for_conversion(candidate, trained)
    int8, float32 = to_int8(fixed, calibration), to_float_file(fixed)
    quantization: dict[str, Any] = {"method": "post-training", "calibration_images": len(train)}
    seed = read_run(run)["settings"]["seed"]
    if qat:
        if candidate.training.sparsity:
            raise ExportError("its weights are sparse, and fine-tuning in int8 would fill the zeros: leave --qat out")
        check_deployable(int8)
        say("running the test images before fine-tuning, in float and in int8")
        before = {
            "float": accuracy(run_float(float32, test.images).argmax(1), test.labels),
            "litert_int8": accuracy(run_litert(int8, test.images, reference=True).argmax(1), test.labels),
        }

        def epoch(number: int, epochs: int, metrics: dict[str, float]) -> None:
            say(f"fine-tuning, epoch {number}/{epochs}: training accuracy {metrics['accuracy']:.1%}")

        say("fine-tuning in int8")
        images = as_input(data.train, shape)
        context = TrainingContext(seed, on_epoch=epoch)
        tuned = fine_tune(candidate, trained, images, context, settings=qat, calibration=calibration)
        int8, float32 = to_int8_qat(candidate, tuned), to_float_file(float_model_qat(candidate, tuned))
        quantization |= {"method": "fine-tuned", **asdict(qat), "before": before}
    models = Models(candidate, int8, float32, data.classes)
    figures = measure_files(models, boards, test.images)
    task = run_task(run)
    golden = _golden(models, test, data.free)
    report = {
        "format": FORMAT,
        "candidate": candidate.id,
        "trial": record.number,
        "seed": seed,
        "quantization": quantization,
        **figures,
        **measure_accuracy(models, test, say),
        "partial": len(test) < len(data.test),
        "validation": {name: value for name, value in record.values.items() if name.startswith("accuracy")},
        "classes": list(data.classes),
        "data": {"source": data.source, "sha256": data.digest},
        "task": task.to_dict(),
        "boards": [board.model_dump(mode="json") for board in boards],
        "golden": {"count": len(golden.inputs), "source": golden.source},
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }
    report["warning"] = warning(report)
    if is_collapsed(report):
        scores = [f"{report['accuracy'][name]['accuracy']:.1%}" for name in ("float", "tflm_int8")]
        raise ExportError(f"int8 collapses, from {scores[0]} to {scores[1]}, so it is not written: {report['warning']}")
    if report["warning"]:
        say(f"warning: {report['warning']}")
    folder = folder or bundle_folder(run, candidate.id)
    write_bundle(folder, models, golden, report)
    return Exported(folder, report)


def _golden(models: Models, test: Images, free: bool) -> Golden:
    """Test images where they may be passed on, else generated ones, with what TFLM makes of them."""
    if free:
        indices = chosen_images(test.labels, NUM_GOLDEN)
        images, source = test.images[indices], "Test images, of every class in turn."
    else:
        images = generated_images(models.candidate.input_shape, NUM_GOLDEN)
        indices, source = np.full(len(images), -1), "Generated images: black, white, and coloured patches with noise."
    return Golden(int8_input(images), run_tflm(models.int8, images).logits, indices, source)
