"""A trained trial to a folder of files: int8 and float TFLite, and a report of what was predicted and measured.

The int8 file is checked before it is written, then run over the test images on LiteRT and on the real TFLM
interpreter; accuracies stand with their 95 % intervals.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.convert import CALIBRATION_IMAGES, calibration_set, for_conversion, load_weights, to_float_file, to_int8
from dse.cost import Board, CostReport, estimate
from dse.cost.verdict import judge
from dse.datasets import Data
from dse.errors import RunError
from dse.files import write_atomic
from dse.pipeline import at_size, predict
from dse.record import TrialRecord
from dse.run_folder import bundle_folder, model_folder
from dse.runtimes import run_litert, run_tflm
from dse.statistics import wilson
from dse.tflite_file import check_deployable
from dse.units import count_text, milliseconds_text

VERSIONS = ("dse", "tensorflow", "keras", "ai-edge-litert", "tflite-micro")


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
    note: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Writes the bundle of a complete trial. Raises RunError, ExportError."""
    candidate = record.candidate
    if candidate is None or record.outcome not in ("complete", "repeated"):
        raise RunError(f"trial {record.number} is {record.outcome}; only a complete trial can be exported")
    weights = model_folder(run, candidate.id) / "model.weights.h5"
    if not weights.is_file():
        raise RunError(f"{weights}: missing, so trial {record.number} cannot be exported")
    folder = folder or bundle_folder(run, candidate.id)
    note(f"trial {record.number} ({candidate.id}): converting")
    trained = load_weights(candidate, weights)
    fixed = for_conversion(candidate, trained)
    size = candidate.input_shape[0]
    int8 = to_int8(fixed, calibration_set(at_size(data.train.first(CALIBRATION_IMAGES), size)))
    file = check_deployable(int8)
    test = at_size(data.test.first(test_images), size)
    note(f"trial {record.number}: running {len(test):,} test images on LiteRT")
    litert = run_litert(int8, test.images, reference=True)
    note(f"trial {record.number}: running {len(test):,} test images on TensorFlow Lite Micro")
    tflm = run_tflm(int8, test.images)
    classes = {"float": predict(trained, test), "litert_int8": litert.argmax(1), "tflm_int8": tflm.logits.argmax(1)}
    cost = estimate(candidate.network)
    # What a board has to hold: measured but for the tail, which only a board could show with its 32-bit pointers.
    on_target = replace(cost, arena_head_bytes=tflm.head_bytes, flash_bytes=len(int8))
    report = {
        "candidate": candidate.id,
        "trial": record.number,
        "predicted": cost.to_dict(),
        "measured": {
            "arena_head_bytes": tflm.head_bytes,
            "arena_tail_bytes_host": tflm.tail_bytes,
            "flash_bytes": len(int8),
            "operators": file.counts(),
            "plan": "offline" if file.offline else "greedy",
        },
        "accuracy": {name: _accuracy(found, test.labels) for name, found in classes.items()},
        "same_class_litert_and_tflm": float(np.mean(classes["litert_int8"] == classes["tflm_int8"])),
        "same_logits_litert_and_tflm": float(np.mean(np.all(litert == tflm.logits, axis=1))),
        "validation": {name: value for name, value in record.values.items() if name.startswith("accuracy")},
        "test_images": len(test),
        "partial": len(test) < len(data.test),
        "input": {"shape": list(candidate.input_shape), "scale": 1 / 255, "zero_point": -128, "feed": "pixel - 128"},
        "classes": list(data.classes),
        "data": {"source": data.source, "sha256": data.digest},
        "fits": {board.name: _on_board(on_target, board) for board in boards},
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }
    write_atomic(folder / "model_int8.tflite", int8)
    write_atomic(folder / "model_float.tflite", to_float_file(fixed))
    write_atomic(folder / "candidate.json", candidate.to_json() + "\n")
    write_atomic(folder / "labels.txt", "\n".join(data.classes) + "\n")
    write_atomic(folder / "README.md", _readme(report))
    write_atomic(folder / "report.json", json.dumps(report, indent=2) + "\n")
    return Exported(folder, report)


def _on_board(cost: CostReport, board: Board) -> dict[str, Any]:
    verdict = judge(cost, board).to_dict()
    names = ("fits", "over_by", "left", "latency_ms", "latency_basis", "latencies_ms", "energy_mj")
    return {name: verdict[name] for name in names} | {
        "arena_bytes": board.arena_bytes,
        "model_bytes": board.model_bytes,
    }


def _accuracy(found: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    correct = int(np.sum(found == labels))
    low, high = wilson(correct, len(labels))
    return {"accuracy": correct / len(labels), "low_95": low, "high_95": high}


def _board_line(name: str, verdict: dict[str, Any]) -> str:
    over = [f"{what} by {size:,} bytes" for what, size in verdict["over_by"].items() if size]
    latencies = [
        f"{milliseconds_text(one['low'])} to {milliseconds_text(one['high'])} with {one['runtime']}"
        for one in verdict["latencies_ms"]
    ]
    took = f"; latency (modelled) {', '.join(latencies)}" if latencies else ""
    return f"- {name}: {'fits' if verdict['fits'] else 'does not fit: ' + ', '.join(over)}{took}"


def _readme(report: dict[str, Any]) -> str:
    predicted, measured, accuracy = report["predicted"], report["measured"], report["accuracy"]
    rows = "\n".join(
        f"| {title} | {predicted[key]:,} | {measured[key]:,} |"
        for title, key in (
            ("arena head (activations)", "arena_head_bytes"),
            ("arena tail on a 64-bit host", "arena_tail_bytes_host"),
            ("flash (the file)", "flash_bytes"),
        )
    )
    scores = "\n".join(
        "| {} | {accuracy:.2%} | {low_95:.2%} to {high_95:.2%} |".format(title, **accuracy[key])
        for title, key in (
            ("float", "float"),
            ("int8 on LiteRT", "litert_int8"),
            ("int8 on TensorFlow Lite Micro", "tflm_int8"),
        )
    )
    boards = "\n".join(_board_line(name, verdict) for name, verdict in report["fits"].items())
    tail, plan = predicted["arena_tail_bytes"], measured["plan"]
    return f"""# Candidate {report["candidate"]}

`model_int8.tflite` takes int8 images of {" x ".join(map(str, report["input"]["shape"]))}: feed `pixel - 128`.
It returns one int8 logit per class, in the order of `labels.txt`; the class is the largest.

{count_text(predicted["params"])} parameters, {count_text(predicted["macs"])} multiply-accumulates.

| bytes | predicted | measured |
|---|---|---|
{rows}

The head is TFLM's, with {"the offline plan in the file" if plan == "offline" else "its own greedy plan"}. On a 32-bit
microcontroller the tail is {tail:,} bytes, so the arena must have {predicted["arena_bytes"]:,}, with what TFLM needs to
start.

Accuracy on {report["test_images"]:,} test images ({report["data"]["source"]}):

| | accuracy | 95 % interval |
|---|---|---|
{scores}

{boards}

Everything is in `report.json`; the network is `candidate.json` (`dse cost candidate.json`).
"""
