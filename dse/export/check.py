"""Runs a bundle again from its files alone and says what differs from what it reports."""

from __future__ import annotations

import importlib.metadata
import math
from typing import Any

import numpy as np

from dse.data.datasets import Data
from dse.data.images import as_input
from dse.export.bundle import VERSIONS, Bundle, Note, texts
from dse.export.measure import measure_accuracy, measure_files, warning
from dse.export.report import GoldenOrigin
from dse.export.scores import class_figures
from dse.tflite.interpreters import run_tflm

MOST_DIFFERENCES = 20
MOST_LETTERS = 100  # of a value that is shown
SAME = 1e-9  # relative: latencies come of a linear system, whose last digits depend on the processor


def check_bundle(bundle: Bundle, data: Data | None, note: Note) -> list[str]:
    """What differs, one line each; empty when all is as reported. Without `data` accuracies are not run again.

    What only the search knew is taken as it stands. Raises ExportError when the model does not run at all.
    """
    report, models, golden = bundle.report, bundle.models, bundle.golden
    wanted = (models.candidate.input_shape, models.candidate.classes, models.candidate.classes)
    came = (golden.inputs.shape[1:], golden.outputs.shape[1], len(models.classes))
    if came != wanted:
        return [f"golden.npz and classes: came {came}, the model has {wanted}"]
    images = golden.inputs.view(np.uint8) ^ 0x80  # int8 input is pixel - 128
    files = measure_files(models, report.boards, images)  # refuses what TFLM cannot run, so before it is run
    note(f"running {len(images)} golden images on TensorFlow Lite Micro")
    problems = []
    if not np.array_equal(run_tflm(models.int8, images).logits, golden.outputs):
        problems.append("golden.npz: TensorFlow Lite Micro gives other scores")
    again = report.model_copy(
        update={
            "candidate": models.candidate.id,
            "golden": GoldenOrigin(count=len(images), source=golden.source),
            **dict(files),
        }
    )
    if data:
        test = as_input(data.test.first(report.test_images), models.candidate.input_shape)
        figures = {"partial": len(test) < len(data.test), **dict(measure_accuracy(models, test, note))}
        problems += _against_data(bundle, data, test.images, images)
    else:
        figures = dict(class_figures(np.array(report.confusion_matrix, np.int64), models.classes))
    again = again.model_copy(update=figures)
    again = again.model_copy(update={"warning": warning(again, report.quantization)})
    problems += _differences("", report.to_dict(), again.to_dict())
    problems += _other_files(bundle)
    for name in VERSIONS:
        made, now = report.versions.get(name), importlib.metadata.version(name)
        if made != now:
            note(f"made with {name} {_shown(made)}, checked with {now}")
    return problems[:MOST_DIFFERENCES]


def _other_files(bundle: Bundle) -> list[str]:
    """Which of the files that follow from the model and the report are not as they should be."""
    problems = []
    for name, text in texts(bundle.models, bundle.golden, bundle.report).items():
        path = bundle.folder / name
        if not path.is_file():
            problems.append(f"{name}: missing")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            problems.append(f"{name}: is not what the model and the report give")
    return problems


def _against_data(bundle: Bundle, data: Data, test: np.ndarray, images: np.ndarray) -> list[str]:
    """What is not as in the data set: class names, and golden images that are said to be of it."""
    problems = []
    if bundle.models.classes != data.classes:
        problems.append(f"classes: reported {_shown(bundle.models.classes)}, found {_shown(data.classes)}")
    known = bundle.golden.indices >= 0
    indices = bundle.golden.indices[known]
    if len(indices) and (indices.max() >= len(test) or not np.array_equal(test[indices], images[known])):
        problems.append("golden.npz: the images are not those of the test set")
    return problems


def _differences(where: str, reported: Any, found: Any) -> list[str]:
    """Every figure that is another now, by its dotted name."""
    if isinstance(reported, dict) and isinstance(found, dict):
        names = [*found, *(name for name in reported if name not in found)]
        return [
            line
            for name in names
            for line in _differences(f"{where}.{name}".removeprefix("."), reported.get(name), found.get(name))
        ]
    if isinstance(reported, list) and isinstance(found, list) and len(reported) == len(found):
        pairs = enumerate(zip(reported, found, strict=True))
        return [line for index, (old, new) in pairs for line in _differences(f"{where}[{index}]", old, new)]
    if type(reported) is float and type(found) is float and math.isclose(reported, found, rel_tol=SAME):
        return []
    return [] if reported == found else [f"{where}: reported {_shown(reported)}, found {_shown(found)}"]


def _shown(value: Any) -> str:
    """A value from a file as it may stand on a terminal."""
    text = ascii(value)
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + "..."
