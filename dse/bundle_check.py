"""Runs a bundle again from its files alone and says what differs from what it reports."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import numpy as np
from pydantic import ValidationError

from dse.bundle import REPORT, Bundle, texts
from dse.cost import Board
from dse.datasets import Data
from dse.errors import FileError
from dse.measure import Note, measure_accuracy, measure_files, warning
from dse.pipeline import at_size
from dse.runtimes import run_tflm
from dse.tasks import Task

MOST_DIFFERENCES = 20


def bundle_task(bundle: Bundle) -> Task:
    """The task that a bundle's network was trained for. Raises FileError."""
    try:
        return Task.model_validate(bundle.report["task"])
    except (KeyError, ValidationError):
        raise FileError(str(bundle.folder / REPORT), None, "task", "not the description of a task") from None


def check_bundle(bundle: Bundle, data: Data | None, note: Note) -> list[str]:
    """What differs, one line each; empty when all is as reported. Without `data` accuracies are not run again.

    Raises ExportError when the model does not run at all.
    """
    report, models, golden = bundle.report, bundle.models, bundle.golden
    size = models.candidate.input_shape[0]
    if golden.inputs.shape[1:] != models.candidate.input_shape:
        return [f"golden.npz: images of {golden.inputs.shape[1:]}, the model takes {models.candidate.input_shape}"]
    images = golden.inputs.view(np.uint8) ^ 0x80  # int8 input is pixel - 128
    found = {"candidate": models.candidate.id, **measure_files(models, _boards(bundle), images)}
    note(f"running {len(images)} golden images on TensorFlow Lite Micro")
    problems = []
    if not np.array_equal(run_tflm(models.int8, images).logits, golden.outputs):
        problems.append("golden.npz: TensorFlow Lite Micro gives other scores")
    if data:
        test = at_size(data.test.first(report["test_images"]), size)
        found |= measure_accuracy(models, test, note)
        known = golden.indices >= 0
        if not np.array_equal(test.images[golden.indices[known]], images[known]):
            problems.append("golden.npz: the images are not those of the test set")
    found["warning"] = warning(report | found)
    for name, value in json.loads(json.dumps(found)).items():
        problems += _differences(name, report.get(name), value)
    try:
        files = texts(models, golden, report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        return [*problems, f"{REPORT}: README.md cannot be made of it: {missing}"][:MOST_DIFFERENCES]
    for name, text in files.items():
        path = bundle.folder / name
        if not path.is_file():
            problems.append(f"{name}: missing")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            problems.append(f"{name}: is not what the model and the report give")
    for name, version in report["versions"].items():
        if (now := importlib.metadata.version(name)) != version:
            note(f"made with {name} {version}, checked with {now}")
    return problems[:MOST_DIFFERENCES]


def _boards(bundle: Bundle) -> list[Board]:
    try:
        return [Board.model_validate(board) for board in bundle.report["boards"]]
    except (KeyError, TypeError, ValidationError):
        raise FileError(str(bundle.folder / REPORT), None, "boards", "not the descriptions of boards") from None


def _differences(where: str, reported: Any, found: Any) -> list[str]:
    """Every figure that is another now, by its dotted name."""
    if isinstance(reported, dict) and isinstance(found, dict):
        names = [*found, *(name for name in reported if name not in found)]
        return [line for name in names for line in _differences(f"{where}.{name}", reported.get(name), found.get(name))]
    if isinstance(reported, list) and isinstance(found, list) and len(reported) == len(found):
        pairs = enumerate(zip(reported, found, strict=True))
        return [line for index, (old, new) in pairs for line in _differences(f"{where}[{index}]", old, new)]
    return [] if reported == found else [f"{where}: reported {reported}, found {found}"]
