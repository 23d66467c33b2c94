"""report.json of a bundle: every figure, and where it comes from.

`BundleReport` is the file: written by `to_json`, checked by `read_report`, read by attribute. Its parts are grouped by
what they follow from, so that an export and a check fill in the same fields.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

from dse._util.strict_yaml import path_text
from dse.errors import FileError, RunError, unread
from dse.hardware.boards import Board
from dse.network.layers import Shape
from dse.tasks import Task

REPORT = "report.json"
FORMAT = 3  # `Origin.format`
MAX_REPORT_BYTES = 16 << 20

Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Interval = tuple[float, float]  # of 95 %


class Part(BaseModel):
    """A part of the report: its fields are the keys of the file, in the file's order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class Score(Part):
    """An accuracy with its 95 % interval."""

    accuracy: float
    low_95: float
    high_95: float


class BeforeTuning(Part):
    """Accuracies before fine-tuning in int8."""

    float32: Score = Field(alias="float")
    litert_int8: Score


class PostTraining(Part):
    """Quantization without any training."""

    method: Literal["post-training"] = "post-training"
    calibration_images: Count


class FineTuned(Part):
    """Quantization-aware fine-tuning."""

    method: Literal["fine-tuned"] = "fine-tuned"
    calibration_images: Count
    epochs: Count
    learning_rate: float
    batch_size: Count
    before: BeforeTuning


class LiveTensor(Part):
    """A tensor that is alive at the peak, by the operator that wrote it."""

    operator: str
    bytes: Count


class WorkFigures(Part):
    """The sums from which a latency is computed (`cost.work.Work`)."""

    conv_macs: Count
    depthwise_macs: Count
    fully_connected_macs: Count
    kernel_outputs: Count
    other_outputs: Count


class Predicted(Part):
    """The cost before any weight existed (`cost.report.CostReport`)."""

    params: Count
    trainable_params: Count
    deployed_params: Count
    macs: Count
    arena_head_bytes: Count
    arena_tail_bytes: Count
    arena_tail_bytes_host: Count
    arena_starting_bytes: Count
    flash_bytes: Count
    inplace_bytes: Count
    fused_bytes: Count
    peak_operator: str
    peak_tensors: tuple[LiveTensor, ...]
    plan: str
    operators: dict[str, Count]
    work: WorkFigures
    arena_bytes: Count


class Measured(Part):
    """The same figures of the int8 file, on the interpreter of TFLM on a 64-bit host."""

    arena_head_bytes: Count
    arena_tail_bytes_host: Count
    flash_bytes: Count
    operators: dict[str, Count]
    plan: str


class BuildArena(Part):
    """Bytes of the arena with one build profile."""

    head_bytes: Count
    tail_bytes: Count
    bytes: Count


class ArenaFigures(Part):
    """Bytes of the arena that firmware allocates: the largest over build profiles, and a margin."""

    bytes: Count
    needed_bytes: Count
    margin_bytes: Count
    how: str
    by_build: dict[str, BuildArena] = {}  # none in reports from before there were build profiles


class Scale(Part):
    """How an int8 value stands for a real one: scale * (value - zero_point)."""

    scale: float
    zero_point: int


class Latency(Part):
    """Milliseconds of one inference with a runtime."""

    low: float
    high: float
    runtime: str


class Energy(Part):
    """Millijoules of one inference."""

    low: float
    high: float


class OnBoard(Part):
    """Whether the file fits a board, how long it takes there, and what the board leaves for it in bytes."""

    build: str = ""  # the profile that is meant
    fits: bool
    over_by: dict[str, int]
    left: dict[str, int]
    latency_ms: Latency | None
    latency_basis: str
    latencies_ms: tuple[Latency, ...]
    energy_mj: Energy | None
    arena_bytes: int
    model_bytes: int
    fits_with_margin: bool


class Accuracies(Part):
    """The accuracy of the float file, and of the int8 file on both interpreters."""

    float32: Score = Field(alias="float")
    litert_int8: Score
    tflm_int8: Score


class Rates(Part):
    """Precision, recall and F1, each with its 95 % interval."""

    precision: float
    recall: float
    f1: float
    precision_95: Interval
    recall_95: Interval
    f1_95: Interval


class ClassRates(Rates):
    """Those of one class, and how many images it has."""

    images: Count


class AddedNoise(Part):
    """What one operator adds to the noise of int8 (`quantization.noise.LayerNoise`)."""

    layer: str
    operator: str
    snr_db: float
    added: float


class DataOrigin(Part):
    """The data set that the figures are of."""

    source: str
    sha256: str


class GoldenOrigin(Part):
    """The golden vectors: how many, and which images."""

    count: Count
    source: str


class Origin(Part):
    """The trial that was exported."""

    format: Literal[3] = 3
    candidate: str
    trial: Count
    seed: int
    quantization: Annotated[PostTraining | FineTuned, Field(discriminator="method")]


class FileFigures(Part):
    """What follows from the files and the boards, without test images."""

    predicted: Predicted
    measured: Measured
    arena: ArenaFigures
    input_shape: Shape
    feed: str
    input: Scale
    output: Scale
    fits: dict[str, OnBoard]


class AccuracyFigures(Part):
    """How many of the test images are classified correctly, and what int8 loses."""

    test_images: Annotated[int, Field(ge=1)]
    accuracy: Accuracies
    int8_loss: float
    int8_loses_too_much: bool
    same_class_litert_and_tflm: float
    same_logits_litert_and_tflm: float


class ClassFigures(Part):
    """The confusion matrix of int8 on TFLM, a row per true class, and what follows from it."""

    confusion_matrix: tuple[tuple[Count, ...], ...]
    confusion_matrix_95: tuple[tuple[Interval, ...], ...] | None = None  # not of many classes
    per_class: dict[str, ClassRates]
    mean: Rates


class NoiseFigures(Part):
    """The layers that lose most in int8, and the signal-to-noise ratio of the output."""

    worst_layers: tuple[AddedNoise, ...]
    output_snr_db: float | None


# Fields of bases stand in the file in the reverse of the order in which the bases are named.
class ImageFigures(NoiseFigures, ClassFigures, AccuracyFigures):
    """What needs the test images."""


class BundleReport(ImageFigures, FileFigures, Origin):
    """The whole report."""

    partial: bool  # scored on the first test images only
    validation: dict[str, float]
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    data: DataOrigin
    task: Task
    boards: tuple[Board, ...]
    golden: GoldenOrigin
    versions: dict[str, str]
    warning: str

    @model_validator(mode="after")
    def _one_figure_per_class(self) -> Self:
        sides = {len(self.classes)}
        if {len(self.confusion_matrix), *map(len, self.confusion_matrix)} != sides:
            raise ValueError(f"confusion_matrix: expected a row and a column for each of {len(self.classes)} classes")
        if not any(map(sum, self.confusion_matrix)):
            raise ValueError("confusion_matrix: expected the counts of at least one image")
        if set(self.per_class) != set(self.classes):
            raise ValueError("per_class: expected the names in classes")
        return self

    # As they were given: what tasks and boards have since come to say stays out of old reports.

    @field_serializer("task")
    def _task(self, task: Task) -> dict[str, Any]:
        return task.model_dump(mode="json", exclude_unset=True)

    @field_serializer("boards")
    def _boards(self, boards: tuple[Board, ...]) -> list[dict[str, Any]]:
        return [board.model_dump(mode="json", exclude_unset=True) for board in boards]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        values = self.model_dump(mode="json", by_alias=True)
        if self.confusion_matrix_95 is None:
            del values["confusion_matrix_95"]
        return values

    def to_json(self) -> str:
        """The text of report.json."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def read_report(folder: Path) -> BundleReport:
    """The report of the bundle in a folder. Raises RunError when there is none, FileError when it is wrong."""
    path = folder / REPORT
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_REPORT_BYTES)
        values = json.loads(text)
    except FileNotFoundError:
        raise no_bundle(folder) from None
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(str(path), None, "", unread(error)) from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        came = values.get("format", 1) if isinstance(values, dict) else "none"
        raise FileError(str(path), None, "format", f"came {came}, expected {FORMAT}; export the trial again")
    try:
        return BundleReport.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = tuple(part if str(part).isprintable() else ascii(part) for part in first["loc"])
        raise FileError(str(path), None, path_text(where), first["msg"].removeprefix("Value error, ")) from None


def no_bundle(path: Path) -> RunError:
    """The error for a path where no bundle is."""
    return RunError(f"{path}: no bundle; a bundle is a folder that dse export wrote, with a {REPORT}")
