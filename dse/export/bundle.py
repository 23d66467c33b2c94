"""A bundle: the folder of files that an exported candidate is, written and read back.

bundle/
  model_int8.tflite  what is flashed             candidate.json  the network and its training
  model_float.tflite the same in float           labels.txt      class names, in the order of the scores
  golden.npz         images and exact scores     report.json     every figure, and where it comes from
  firmware/          C++ files (`firmware`)      README.md       the report for people
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dse._util.files import write_atomic
from dse.cost.tflm.graph import OperatorGraph
from dse.export.firmware import Firmware, Golden, Quantized, arena_of, firmware_files, load_golden, save_golden
from dse.export.readme import readme
from dse.export.report import REPORT, BundleReport, no_bundle, read_report
from dse.network.candidate import Candidate, load_candidate
from dse.tflite.interpreters import end_scales
from dse.tflite.reader import load_tflite, read_tflite

Note = Callable[[str], None]  # is told what happens next
VERSIONS = ("dse", "tensorflow", "keras", "ai-edge-litert", "tflite-micro")


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
    def ends(self) -> tuple[Quantized, Quantized]:
        """How the int8 input and the int8 output stand for real values."""
        source, target = end_scales(self.int8)
        return Quantized(*source), Quantized(*target)


@dataclass(frozen=True)
class Bundle:
    """A bundle as it is in its folder."""

    folder: Path
    models: Models
    golden: Golden
    report: BundleReport


@dataclass(frozen=True)
class Exported:
    """A bundle that was written, and its report."""

    folder: Path
    report: BundleReport


def write_bundle(folder: Path, models: Models, golden: Golden, report: BundleReport) -> None:
    """Writes every file; the report last, and an older one is gone before, so that a folder with one is complete."""
    (folder / REPORT).unlink(missing_ok=True)
    write_atomic(folder / "model_int8.tflite", models.int8)
    write_atomic(folder / "model_float.tflite", models.float32)
    write_atomic(folder / "candidate.json", models.candidate.to_json() + "\n")
    save_golden(folder / "golden.npz", golden)
    for name, text in texts(models, golden, report).items():
        write_atomic(folder / name, text)
    write_atomic(folder / REPORT, report.to_json())


def texts(models: Models, golden: Golden, report: BundleReport) -> dict[str, str]:
    """The files that follow from the others, by their place in the bundle."""
    firmware = Firmware(
        models.candidate.id,
        models.int8,
        models.graph,
        arena_of(models.graph, report.boards),
        *models.ends,
        models.classes,
        golden,
    )
    files = {f"firmware/{name}": text for name, text in firmware_files(firmware).items()}
    return files | {"labels.txt": "\n".join(models.classes) + "\n", "README.md": readme(report)}


def read_bundle(folder: Path) -> Bundle:
    """The bundle in a folder. Raises RunError when there is none, FileError when a file of it cannot be read."""
    report = read_report(folder)
    int8, float32 = (load_tflite(folder / name)[0] for name in ("model_int8.tflite", "model_float.tflite"))
    models = Models(load_candidate(folder / "candidate.json"), int8, float32, report.classes)
    return Bundle(folder, models, load_golden(folder / "golden.npz"), report)


def list_bundles(path: Path) -> list[Path]:
    """The bundles at a path: itself, or those of a run or a folder of bundles. Raises RunError for none."""
    if (path / REPORT).is_file():
        return [path]
    found = sorted(report.parent for pattern in ("*", "bundles/*") for report in path.glob(f"{pattern}/{REPORT}"))
    if not found:
        raise no_bundle(path)
    return found
