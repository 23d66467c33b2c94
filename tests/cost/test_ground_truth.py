"""The table of published figures that comes with real models, where it is at hand (see `tests/helpers/paths.py`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from dse.cost.macs import macs_of
from dse.cost.report import estimate_graph
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.planner import greedy_offsets, head_of, lifetimes, peak
from dse.tflite.reader import load_tflite
from tests.helpers.paths import GROUND_TRUTH

pytestmark = pytest.mark.skipif(
    not (GROUND_TRUTH / "measurements.csv").is_file(),
    reason=f"no published figures in {GROUND_TRUTH}: name their folder in DSE_GROUNDTRUTH",
)


def rows(name: str) -> Iterator[dict[str, str]]:
    path = GROUND_TRUTH / name
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


MODELS = sorted((GROUND_TRUTH / "models").glob("*.tflite"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_operator_of_the_file(path) -> None:  # type: ignore[no-untyped-def]
    """Kind, shapes and MACs of each, in order."""
    _, graph = load_tflite(path)
    expected = [row for row in rows("layers.csv") if row["model"] == path.stem]
    assert len(expected) == len(graph.operators)
    for row, operator in zip(expected, graph.operators, strict=True):
        assert row["op"] == operator.kind
        assert row["out_shape"] == shape_text(graph, operator.outputs[0])
        assert int(row["macs"] or 0) == macs_of(operator, graph.tensors), row


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_figures_of_the_file(path) -> None:  # type: ignore[no-untyped-def]
    content, graph = load_tflite(path)
    report, tensors = estimate_graph(graph, len(content)), lifetimes(graph)
    measured = [row for row in rows("measurements.csv") if row["model"] == path.stem]
    assert measured
    for row in measured:
        assert int(row["d_file_bytes"]) == report.flash_bytes
        assert int(row["d_macs"]) == report.macs
        # The table counts a scalar's bytes, and no element for it.
        assert int(row["d_const_elems"]) == sum(t.num_elements for t in graph.tensors if t.constant and t.shape)
        assert int(row["d_const_bytes"]) == sum(t.num_bytes for t in graph.tensors if t.constant)
        assert int(row["d_ops"]) == len(graph.operators)
        assert int(row["d_greedy_arena_bytes"]) == head_of(tensors, greedy_offsets(tensors))
        assert int(row["tflm_head_bytes"]) == report.arena_head_bytes
        assert int(row["tflm_tail_bytes_64bit"]) == report.arena_tail_bytes_host
        # Theirs is without the rounding to 16 bytes and without scratch buffers.
        assert 0 <= peak(tensors).num_bytes - int(row["d_peak_live_bytes"]) < 16 * len(peak(tensors).tensors) + 256


def test_macs_that_others_published() -> None:
    """To the last digit that was printed: "227000" is 226,736."""
    published = {row["model"]: int(row["macs_published"]) for row in rows("measurements.csv") if row["macs_published"]}
    assert published
    for path in MODELS:
        if path.stem in published:
            content, graph = load_tflite(path)
            assert round(estimate_graph(graph, len(content)).macs, -3) == published[path.stem]


def shape_text(graph: OperatorGraph, index: int) -> str:
    return "x".join(map(str, graph.tensors[index].shape))
