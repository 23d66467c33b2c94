"""Arenas that TFLM took on an emulated Cortex-M, with its reference kernels and those of CMSIS-NN, to the byte.

Measured with the sources of tensorflow/tflite-micro at 90b983c2b3f1 and CMSIS-NN at 4ab83cc3cc98, arm-none-eabi-gcc 12.2
and QEMU: `measured_arenas.csv` has those of the bundles in `results/`; more are in the ground truth where it is at hand.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dse.cost.tflm.arena import arena_of
from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.tflm.scratch import scratch_bytes
from dse.hardware.boards import load_board
from dse.tflite.reader import load_tflite
from tests.helpers.paths import GROUND_TRUTH, PUBLISHED_MODELS, RESULTS

MEASURED = Path(__file__).with_name("measured_arenas.csv")
FILES = [*RESULTS.glob("*/bundles/*/model_int8.tflite"), *GROUND_TRUTH.glob("models/*.tflite")]


def rows() -> Iterator[dict[str, str]]:
    for path in (MEASURED, GROUND_TRUTH / "arena32.csv"):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                yield from csv.DictReader(file)


def build_of(row: dict[str, str]) -> Build:
    has_wide_enums = row.get("enum_bytes") == "4" or "-fno-short-enums" in row.get("build", "")
    core = "plain" if row["core"].startswith("cortex-m0plus") else "dsp"
    assert row["kernels"] in ("reference", "cmsis-nn")
    return Build(4, 4 if has_wide_enums else 1, kernels=row["kernels"], core=core, has_long_params=False)  # type: ignore[arg-type]


def test_every_measured_arena_is_computed_to_the_byte() -> None:
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in FILES}
    graphs = {digest: load_tflite(path)[1] for digest, path in files.items()}
    wrong, seen = [], set()
    for row in rows():
        arena = arena_of(graphs[row["sha256"]], build_of(row))
        measured = tuple(int(row[name]) for name in ("head", "tail", "minimal_arena"))
        if (arena.head_bytes, arena.tail_bytes, arena.num_bytes) != measured:
            wrong.append((row["model"], row["kernels"], row["core"], measured, arena))
        seen.add((row["kernels"], row["core"], build_of(row).enum_bytes))
    assert not wrong
    assert len(seen) >= 7


# Bytes that others read off `arena_used_bytes` on a board (avionicharshit-byte/mcufit-bench at 88f8d23).
ON_DEVICES = [("mlperf_resnet8", "esp32", 54_364), ("tflm_person_detect", "esp32", 82_300)]


@pytest.mark.parametrize(("model", "board", "used"), ON_DEVICES)
def test_arenas_that_others_measured_on_a_device(model: str, board: str, used: int) -> None:
    path = next((path for path in PUBLISHED_MODELS if path.stem == model), None)
    if path is None:
        pytest.skip(f"{model} is not at hand")
    arena = arena_of(load_tflite(path)[1], load_board(board).library())
    assert arena.head_bytes + arena.tail_bytes == used


def convolution(size: int, channels: int, kernels: int, window: int, stride: int, kind: str) -> OperatorGraph:
    out = -(-size // stride)
    shape = (1, window, window, kernels) if kind == "DEPTHWISE_CONV_2D" else (kernels, window, window, channels)
    tensors = (
        Tensor("INT8", (1, size, size, channels)),
        Tensor("INT8", shape, True, kernels),
        Tensor("INT8", (1, out, out, kernels)),
    )
    return OperatorGraph(tensors, (Operator(kind, (0, 1), (2,), "", (stride, stride)),), (0,), (2,))


@pytest.mark.parametrize(
    ("graph", "s3", "p4"),
    [
        # 1x1 of 12 channels on 4x4: an image of 16 x 16, filters of 16 x 24, 8 pixels turned; P4: sums, filters of 16
        (convolution(4, 12, 24, 1, 1, "CONV_2D"), 256 + 384 + 256 + 64, 4 * 24 + 16 * 24 + 64),
        (convolution(8, 16, 24, 1, 1, "CONV_2D"), 16 * 24 + 256 + 64, 16 * 24 + 256 + 32),
        # 3x3 on 8x8x3, padded by 1: a line of 9 values is short, a window of 27 becomes 32
        (convolution(8, 3, 16, 3, 1, "CONV_2D"), 64 + 16 + 16 * 32 + 16 + 32 + 64, 27 + 64 + 32),
        # 3x3 on 8x8x16: the image padded all round, filters twice, the image with a border of two
        (convolution(8, 16, 32, 3, 1, "CONV_2D"), 1600 + 4608 + 4608 + 1600 + 64 + 128, 144 + 128 + 32),
        (convolution(8, 16, 16, 3, 1, "DEPTHWISE_CONV_2D"), 144 + 1600 + 16, 0),
        (convolution(8, 8, 8, 3, 1, "DEPTHWISE_CONV_2D"), 2 * (72 + 512) + 32, 0),
        (convolution(8, 16, 16, 5, 1, "DEPTHWISE_CONV_2D"), 2 * (400 + 1024) + 32, 0),
        (convolution(64, 16, 16, 3, 1, "DEPTHWISE_CONV_2D"), 144 + 66 * 3 * 16 + 16, 0),
        (convolution(8, 12, 12, 3, 1, "DEPTHWISE_CONV_2D"), 288 + 2048 + 1024 + 192 + 16, 0),
        (convolution(8, 3, 12, 3, 1, "DEPTHWISE_CONV_2D"), 2 * (108 + 192) + 32, 0),
        (convolution(8, 24, 24, 3, 1, "DEPTHWISE_CONV_2D"), 288 + 12 * 12 * 32 + 2048 + 64, 0),
    ],
)
def test_buffers_of_esp_nn_by_hand(graph: OperatorGraph, s3: int, p4: int) -> None:
    found = [
        sum(scratch_bytes(graph.operators[0], graph.tensors, Build(4, kernels="esp-nn", core=core)))
        for core in ("s3", "p4", "plain")
    ]
    assert found == [s3, p4, 0]


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(RESULTS)], ids=lambda path: path.parent.name
)
def test_newer_sources_take_no_less(path: Path) -> None:
    _, graph = load_tflite(path)
    older, newer = (arena_of(graph, Build(4, 1, kernels="cmsis-nn", has_long_params=has)) for has in (False, True))
    assert 0 <= newer.num_bytes - older.num_bytes <= 16 * graph.counts().get("FULLY_CONNECTED", 0)
