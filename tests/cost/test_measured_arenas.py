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
from dse.tflite.reader import load_tflite
from tests.helpers.paths import GROUND_TRUTH, RESULTS

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


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(RESULTS)], ids=lambda path: path.parent.name
)
def test_newer_sources_take_no_less(path: Path) -> None:
    _, graph = load_tflite(path)
    older, newer = (arena_of(graph, Build(4, 1, kernels="cmsis-nn", has_long_params=has)) for has in (False, True))
    assert 0 <= newer.num_bytes - older.num_bytes <= 16 * graph.counts().get("FULLY_CONNECTED", 0)
