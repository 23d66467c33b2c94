"""A bundle: the folder of files that an exported candidate is, written and read back.

bundle/
  model_int8.tflite  what is flashed             candidate.json  the network and its training
  model_float.tflite the same in float           labels.txt      class names, in the order of the scores
  golden.npz         images and exact scores     report.json     every figure, and where it comes from
  firmware/          C++ files (`firmware`)      README.md       the report for people
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse._util.files import write_atomic
from dse._util.strict_yaml import path_text
from dse.cost.report import estimate_graph
from dse.cost.tflm.graph import OperatorGraph
from dse.errors import FileError, RunError, unread
from dse.export.firmware import Arena, Firmware, Golden, Quantized, arena_of, firmware_files, load_golden, save_golden
from dse.export.readme import readme
from dse.network.candidate import Candidate, load_candidate
from dse.tflite.interpreters import end_scales
from dse.tflite.reader import load_tflite, read_tflite

REPORT = "report.json"
FORMAT = 3
VERSIONS = ("dse", "tensorflow", "keras", "ai-edge-litert", "tflite-micro")
MAX_REPORT_BYTES = 16 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Data(_Strict):
    source: str
    sha256: str


class _Quantization(_Strict):
    method: str


class _Needed(_Strict):
    """What a report must have for its bundle to be run at all; figures that are missing differ."""

    classes: Annotated[list[str], Field(min_length=1)]
    test_images: Annotated[int, Field(ge=1)]
    data: _Data
    task: dict[str, Any]
    boards: list[dict[str, Any]]
    quantization: _Quantization
    versions: dict[str, str]


@dataclass(frozen=True)
class Models:
    """What a bundle's figures are computed from."""

    candidate: Candidate
    int8: bytes
    float32: bytes
    classes: tuple[str, ...]

    @cached_property
    def graph(self) -> OperatorGraph:
        """What stands in the int8 file."""
        return read_tflite(self.int8)

    @cached_property
    def arena(self) -> Arena:
        """The arena that the int8 file needs on the target."""
        return arena_of(self.graph, estimate_graph(self.graph, len(self.int8)))

    @cached_property
    def ends(self) -> tuple[Quantized, Quantized]:
        """How the int8 input and the int8 output stand for real values."""
        source, target = end_scales(self.int8)
        return Quantized(*source), Quantized(*target)


@dataclass(frozen=True)
class Bundle:
    """A bundle as it lies in a folder."""

    folder: Path
    models: Models
    golden: Golden
    report: dict[str, Any]


def write_bundle(folder: Path, models: Models, golden: Golden, report: dict[str, Any]) -> None:
    """Writes every file; the report last, and an older one is gone before, so that a folder with one is complete."""
    (folder / REPORT).unlink(missing_ok=True)
    write_atomic(folder / "model_int8.tflite", models.int8)
    write_atomic(folder / "model_float.tflite", models.float32)
    write_atomic(folder / "candidate.json", models.candidate.to_json() + "\n")
    save_golden(folder / "golden.npz", golden)
    for name, text in texts(models, golden, report).items():
        write_atomic(folder / name, text)
    write_atomic(folder / REPORT, json.dumps(report, indent=2) + "\n")


def texts(models: Models, golden: Golden, report: dict[str, Any]) -> dict[str, str]:
    """The files that follow from the others, by their place in the bundle."""
    firmware = Firmware(
        models.candidate.id, models.int8, models.graph, models.arena, *models.ends, models.classes, golden
    )
    files = {f"firmware/{name}": text for name, text in firmware_files(firmware).items()}
    return files | {"labels.txt": "\n".join(models.classes) + "\n", "README.md": readme(report)}


def read_bundle(folder: Path) -> Bundle:
    """The bundle in a folder. Raises RunError when there is none, FileError when a file of it cannot be read."""
    report = read_report(folder)
    int8, float32 = (load_tflite(folder / name)[0] for name in ("model_int8.tflite", "model_float.tflite"))
    models = Models(load_candidate(folder / "candidate.json"), int8, float32, tuple(report["classes"]))
    return Bundle(folder, models, load_golden(folder / "golden.npz"), report)


def list_bundles(path: Path) -> list[Path]:
    """The bundles at a path: itself, or those of a run or a folder of bundles. Raises RunError for none."""
    if (path / REPORT).is_file():
        return [path]
    found = sorted(report.parent for pattern in ("*", "bundles/*") for report in path.glob(f"{pattern}/{REPORT}"))
    if not found:
        raise _no_bundle(path)
    return found


def _no_bundle(path: Path) -> RunError:
    return RunError(f"{path}: no bundle; a bundle is a folder that dse export wrote, with a {REPORT}")


def read_report(folder: Path) -> dict[str, Any]:
    """The report of the bundle in a folder. Raises RunError when there is none, FileError when it cannot be read."""
    path = folder / REPORT
    try:
        with path.open(encoding="utf-8") as file:
            report = json.loads(file.read(MAX_REPORT_BYTES))
    except FileNotFoundError:
        raise _no_bundle(folder) from None
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(str(path), None, "", unread(error)) from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        came = report.get("format", 1) if isinstance(report, dict) else "none"
        raise FileError(str(path), None, "format", f"came {came}, expected {FORMAT}; export the trial again")
    try:
        _Needed.model_validate(report)
    except ValidationError as error:
        first = error.errors()[0]
        raise FileError(str(path), None, path_text(first["loc"]), first["msg"]) from None
    return report
