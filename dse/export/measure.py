"""Every figure of a bundle that follows from its files: what was predicted beside what is measured, and how good it is.

Exporting and checking call the same function, so a check computes nothing else than what was reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np

from dse.cost.report import CostReport, estimate
from dse.data.images import Images
from dse.errors import ExportError
from dse.export.bundle import Models, Note
from dse.export.firmware import FirmwareArena, arena_of
from dse.export.report import (
    Accuracies,
    AddedNoise,
    ArenaFigures,
    BuildArena,
    Energy,
    FileFigures,
    FineTuned,
    ImageFigures,
    Latency,
    LiveTensor,
    Measured,
    OnBoard,
    PostTraining,
    Predicted,
    Scale,
    WorkFigures,
)
from dse.export.scores import accuracy, confusion
from dse.hardware.boards import Board
from dse.hardware.latency import LatencyRange
from dse.hardware.verdict import judge
from dse.quantization.noise import IMAGES, layer_noise, worst
from dse.tflite.deployable import check_deployable
from dse.tflite.interpreters import run_float, run_litert, run_tflm
from dse.tflite.reader import read_tflite

MOST_LOST = 0.01  # of accuracy, from float to int8: more is a warning


@dataclass(frozen=True)
class Classes:
    """The class that each form of the model found for every test image, (count,) each."""

    float32: np.ndarray
    litert: np.ndarray
    tflm: np.ndarray
    same_logits: float


def measure_files(models: Models, boards: Iterable[Board], probe: np.ndarray) -> FileFigures:
    """What needs no test images; `probe` are any uint8 images, (count, height, width, 3). Raises ExportError."""
    check_deployable(models.int8)
    _check_ends(models)
    tflm = run_tflm(models.int8, probe[:1], processes=1)
    cost = estimate(models.candidate.network)
    # What a board has to hold: the arena as computed, since only a board could show it with its 32-bit pointers.
    on_target = replace(cost, flash_bytes=len(models.int8))
    graph, boards = models.graph, list(boards)
    arena = arena_of(graph, boards)
    source, target = (Scale(**asdict(end)) for end in models.ends)
    return FileFigures(
        predicted=_predicted(cost),
        measured=Measured(
            arena_head_bytes=tflm.head_bytes,
            arena_tail_bytes_host=tflm.tail_bytes,
            flash_bytes=len(models.int8),
            operators=graph.counts(),
            plan="offline" if graph.offline else "greedy",
        ),
        arena=ArenaFigures(
            bytes=arena.num_bytes,
            needed_bytes=arena.needed_bytes,
            margin_bytes=arena.margin_bytes,
            how=arena.how,
            by_build={
                name: BuildArena(head_bytes=one.head_bytes, tail_bytes=one.tail_bytes, bytes=one.num_bytes)
                for name, one in arena.by_build.items()
            },
        ),
        input_shape=models.candidate.input_shape,
        feed="pixel - 128",
        input=source,
        output=target,
        fits={board.name: _on_board(on_target, board, arena) for board in boards},
    )


def measure_accuracy(models: Models, test: Images, note: Note) -> ImageFigures:
    """Accuracy of each file on the test images, figures by class, and the layers that add most noise in int8."""
    found = _classes(models, test.images, note)
    scores = Accuracies(
        float32=accuracy(found.float32, test.labels),
        litert_int8=accuracy(found.litert, test.labels),
        tflm_int8=accuracy(found.tflm, test.labels),
    )
    lost = scores.float32.accuracy - scores.tflm_int8.accuracy
    noise = layer_noise(models.candidate.network, models.int8, models.float32, test.images[:IMAGES])
    return ImageFigures(
        test_images=len(test),
        accuracy=scores,
        int8_loss=lost,
        int8_loses_too_much=lost > MOST_LOST,
        same_class_litert_and_tflm=float(np.mean(found.litert == found.tflm)),
        same_logits_litert_and_tflm=found.same_logits,
        **dict(confusion(found.tflm, test.labels, models.classes)),
        worst_layers=tuple(AddedNoise(**asdict(one)) for one in worst(noise)),
        output_snr_db=noise[-1].snr_db if noise else None,
    )


def warning(figures: ImageFigures, quantization: PostTraining | FineTuned) -> str:
    """What to say of a model that loses too much in int8; empty for one that does not."""
    if not figures.int8_loses_too_much:
        return ""
    layers = "; ".join(
        f"{one.layer} ({one.operator}) adds noise of {one.added:.2%} of the signal, {one.snr_db:.1f} dB are left"
        for one in figures.worst_layers
    )
    return (
        f"int8 loses {100 * figures.int8_loss:.1f} points to float"
        + (f"; the worst layers: {layers}" if layers else "")
        + ("" if isinstance(quantization, FineTuned) else "; dse export --qat fine-tunes it in int8")
    )


def is_collapsed(accuracy: Accuracies, num_classes: int) -> bool:
    """Whether int8 surely has less than half of what float has above chance: no network to give to anybody."""
    chance = 1 / num_classes
    exact, int8 = accuracy.float32, accuracy.tflm_int8
    learned = exact.low_95 > chance
    return learned and int8.high_95 < chance + (exact.accuracy - chance) / 2


def _classes(models: Models, images: np.ndarray, note: Note) -> Classes:
    note(f"running {len(images):,} test images in float on LiteRT")
    exact = run_float(models.float32, images)
    note(f"running {len(images):,} test images in int8 on LiteRT")
    litert = run_litert(models.int8, images, reference=True)
    note(f"running {len(images):,} test images in int8 on TensorFlow Lite Micro")
    tflm = run_tflm(models.int8, images).logits
    same = float(np.mean(np.all(litert == tflm, axis=1)))
    return Classes(exact.argmax(1), litert.argmax(1), tflm.argmax(1), same)


def _check_ends(models: Models) -> None:
    """Raises ExportError when a file takes other images, or gives other scores, than the candidate."""
    wanted = ((1, *models.candidate.input_shape), (1, models.candidate.classes))
    for name, content, kind in (("int8", models.int8, "INT8"), ("float", models.float32, "FLOAT32")):
        graph = read_tflite(content, f"model_{name}.tflite")
        ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
        if tuple(end.shape for end in ends) != wanted or {end.type for end in ends} != {kind}:
            came = ", ".join(f"{end.type} {end.shape}" for end in ends[:4])
            raise ExportError(f"model_{name}.tflite: came {came}, expected {kind} {wanted[0]} and {wanted[1]}")


def _predicted(cost: CostReport) -> Predicted:
    names = Predicted.model_fields.keys() - {"peak_tensors", "work"}
    return Predicted(
        **{name: getattr(cost, name) for name in names},
        peak_tensors=tuple(LiveTensor(operator=name, bytes=size) for name, size in cost.peak_tensors),
        work=WorkFigures(**asdict(cost.work)),
    )


def _on_board(cost: CostReport, board: Board, arena: FirmwareArena) -> OnBoard:
    verdict = judge(cost, board)
    latencies = tuple(map(_latency, verdict.latencies.values()))
    energy = verdict.energy
    return OnBoard(
        build=verdict.build.name,
        fits=verdict.fits,
        over_by=verdict.over_by,
        left=verdict.left,
        latency_ms=latencies[0] if latencies else None,
        latency_basis=verdict.basis,
        latencies_ms=latencies,
        energy_mj=Energy(low=energy.low_mj, high=energy.high_mj) if energy else None,
        arena_bytes=board.arena_bytes,
        model_bytes=board.model_bytes,
        fits_with_margin=arena.num_bytes <= board.arena_bytes and cost.flash_bytes <= board.model_bytes,
    )


def _latency(latency: LatencyRange) -> Latency:
    return Latency(low=latency.low_ms, high=latency.high_ms, runtime=latency.runtime)
