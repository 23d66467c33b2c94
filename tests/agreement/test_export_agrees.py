"""What is said on paper before training is what the converter writes and the real TFLM allocator takes after it.

The candidates are of tests/helpers/wide.yaml: every family, activation, padding, width and resolution. A few are tried each
time; `make test-slow` tries 320 and says how far the file sizes were off.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import keras
import numpy as np
import pytest

from dse.cost.flash import float_file_bytes
from dse.cost.report import estimate, estimate_graph
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.order import better_order
from dse.network.candidate import Candidate
from dse.quantization.convert import to_float_file
from dse.quantization.timing import with_plausible_weights
from dse.references.networks import load_reference
from dse.space.space import list_references, parse_space
from dse.tflite.interpreters import run_litert, run_tflm
from dse.tflite.reader import read_tflite
from dse.tflite.writer import for_device
from dse.training.model import build_model
from tests.helpers.conversion import (
    MEDIAN_FLASH_ERROR,
    check,
    convert,
)
from tests.helpers.networks import (
    has_mean_of_single_pixels,
    has_sum_of_single_pixels,
    only_candidate,
    wide_candidates,
)
from tests.helpers.paths import PUBLISHED_MODELS
from tests.helpers.tflm import allocations

pytestmark = [pytest.mark.keras, pytest.mark.tflm]

QUICK, SLOW = 10, 320
FLOAT_FILE_ERROR = 0.021
REFERENCES = [path.stem for path in list_references()]
SMALL_REFERENCES = ("cmv3", "mlperf_resnet8")


def test_prediction_and_file() -> None:
    """Some at random, and the first ones in which the converter does what it rarely does."""
    candidates = list(wide_candidates(QUICK))
    for rare in (has_sum_of_single_pixels, has_mean_of_single_pixels, _is_reordered):
        candidates.append(next(c for c in wide_candidates(400, seed=10) if rare(c)))
    # Maps of a single pixel and a single channel, where a sum is lowered like any other.
    text = "space: one\nstem: {block: conv, channels: 1, stride: 4}\nstages:\n"
    text += "  - {block: conv, channels: 1, stride: 4}\n  - {block: conv, channels: 1, stride: 4}\n  - {block: bneck, channels: 1, expansion: 2}\n"
    candidates.append(only_candidate(parse_space(text, "one.yaml")))
    check(candidates)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_prediction_and_file_of_many(capsys: pytest.CaptureFixture[str]) -> None:
    """0 bytes of error in head and tail on all of them; not those that the quick test tries."""
    errors = [abs(error) for error in check(list(wide_candidates(SLOW, seed=8)))]
    assert len(errors) >= 300
    assert statistics.median(errors) < MEDIAN_FLASH_ERROR
    with capsys.disabled():
        print(
            f"\n{len(errors)} candidates: 0 bytes of error in head and tail; file size off by at most {max(errors):.2%}, "
            f"median {statistics.median(errors):.3%}"
        )


@pytest.mark.parametrize(
    "name",
    [name if name in SMALL_REFERENCES else pytest.param(name, marks=pytest.mark.slow) for name in REFERENCES],
)
def test_float_file(name: str) -> None:
    keras.backend.clear_session()
    network = load_reference(name).candidate().network
    model = with_plausible_weights(build_model(network, for_conversion=True))
    assert float_file_bytes(network) == pytest.approx(len(to_float_file(model)), rel=FLOAT_FILE_ERROR)


def test_published_models() -> None:
    """Files that others made, head and tail to the byte."""
    contents = {path.stem: path.read_bytes() for path in PUBLISHED_MODELS}
    assert len(contents) >= 5
    predicted = {}
    for name, content in contents.items():
        report = estimate_graph(read_tflite(content, name), len(content))
        predicted[name] = (report.arena_head_bytes, report.arena_tail_bytes_host)
    assert predicted == allocations(contents)


@pytest.mark.parametrize("path", PUBLISHED_MODELS, ids=lambda path: path.stem)
def test_a_file_for_the_device_computes_the_same(path: Path) -> None:
    """Also the files of others: rewritten, they need no more memory, and give the same output bit for bit on TFLM."""
    content = path.read_bytes()
    rewritten = for_device(content)
    assert len(rewritten) < len(content)
    before, after = allocations({"before": content, "after": rewritten}).values()
    report = estimate_graph(read_tflite(rewritten), len(rewritten))
    assert after == (report.arena_head_bytes, report.arena_tail_bytes_host)
    assert after[0] <= before[0]
    assert (report.plan == "offline") == (after[0] < before[0])
    graph = read_tflite(content)
    source = graph.tensors[graph.inputs[0]]
    if source.type == "INT8":
        images = np.random.default_rng(0).integers(0, 256, (3, *source.shape[1:])).astype(np.uint8)
        assert np.array_equal(run_tflm(content, images).logits, run_tflm(rewritten, images).logits)


def test_what_is_rewritten_computes_the_same() -> None:
    """Candidates with a plan, with another order, and with neither: outputs on TFLM and on LiteRT are the same."""
    seen: dict[str, int] = {}
    for candidate in wide_candidates(400, seed=9):
        kind = estimate(candidate.network).plan + (" reordered" if _is_reordered(candidate) else "")
        if seen.setdefault(kind, 0) >= 2 or candidate.input_shape[0] > 48:
            continue
        seen[kind] += 1
        converted = convert(candidate)
        rewritten = for_device(converted)
        images = np.random.default_rng(0).integers(0, 256, (8, *candidate.input_shape)).astype(np.uint8)
        for run in (lambda content, images: run_tflm(content, images).logits, run_litert):
            assert np.array_equal(run(rewritten, images), run(converted, images)), candidate.to_json()
        if len(seen) == 4 and min(seen.values()) == 2:
            break
    assert set(seen) == {"greedy", "offline", "greedy reordered", "offline reordered"}


def _is_reordered(candidate: Candidate) -> bool:
    graph = lower(candidate.network)
    return better_order(graph) != list(range(len(graph.operators)))
