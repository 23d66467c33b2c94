"""What is said on paper before training is what the converter writes and the real TFLM allocator takes after it.

The candidates are of tests/wide.yaml: every family, activation, padding, width and resolution. A few are tried each
time; `make test-slow` tries 320 and says how far the file sizes were off.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from dse.build import build_model
from dse.candidate import Candidate
from dse.convert import as_converted, to_float_file
from dse.cost import estimate, estimate_graph
from dse.cost.flash import float_file_bytes
from dse.cost.graph import OperatorGraph, renumbered
from dse.cost.lowering import lower
from dse.cost.memory import aligned, lifetimes
from dse.cost.order import better_order
from dse.cost.tail import HOST, starting_bytes, tail_bytes, tail_parts
from dse.errors import NetworkError
from dse.network import GlobalAvgPool
from dse.references import load_reference
from dse.rewrite import for_device
from dse.runtimes import run_litert, run_tflm
from dse.space import list_references, load_space, parse_space
from dse.tflite_file import check_deployable, read_tflite
from tests.conftest import PUBLISHED_MODELS, only_candidate, with_plausible_weights
from tests.tflm import allocations, head_bytes

QUICK, SLOW = 10, 320
FLASH_ERROR, MEDIAN_FLASH_ERROR = 0.03, 0.01
FLOAT_FILE_ERROR = 0.021
REFERENCES = [path.stem for path in list_references()]
SMALL_REFERENCES = ("cmv3", "mlperf_resnet8")


def wide_candidates(count: int, seed: int = 7) -> Iterator[Candidate]:
    """Random candidates of everything that the grammar has."""
    space, rng = load_space(str(Path(__file__).parent.parent / "wide.yaml")), np.random.default_rng(seed)
    while count:
        try:
            yield space.sample(rng)[1]
        except NetworkError:
            continue
        count -= 1


def convert(candidate: Candidate) -> bytes:
    """The file as the converter writes it, with weights as training leaves them."""
    keras.backend.clear_session()
    model = with_plausible_weights(build_model(candidate.network, for_conversion=True))
    noise = np.random.default_rng(0).random((2, *candidate.input_shape)).astype(np.float32)
    ends = np.stack([np.zeros(candidate.input_shape, np.float32), np.ones(candidate.input_shape, np.float32)])
    return as_converted(model, np.concatenate([noise, ends]))


def described(graph: OperatorGraph) -> list[object]:
    """Every operator with its tensors: type, shape, constant or not, number of scales, and which tensor it is."""
    graph, _ = renumbered(graph)

    def tensor(index: int) -> tuple[object, ...]:
        one = graph.tensors[index]
        return index, one.type, one.shape, one.constant, one.num_scales

    return [(o.kind, o.fused, [tensor(i) for i in o.inputs], [tensor(i) for i in o.outputs]) for o in graph.operators]


def check(candidates: list[Candidate]) -> list[float]:
    """Compares everything that is said of these candidates with their files; returns the errors of the file sizes."""
    files, wrong = {}, []
    for candidate in candidates:
        converted = convert(candidate)
        if described(lower(candidate.network)) != described(read_tflite(converted)):
            wrong.append(f"{candidate.id}: other operators or tensors: {candidate.to_json()}")
        files[candidate.id] = for_device(converted)
        check_deployable(files[candidate.id])
    errors = []
    # An arena of exactly what is said to be enough has to do.
    arenas = {name: enough(read_tflite(content)) for name, content in files.items()}
    for candidate, (head, tail) in zip(candidates, allocations(files, arenas).values(), strict=True):
        predicted, num_bytes = estimate(candidate.network), len(files[candidate.id])
        from_file = estimate_graph(read_tflite(files[candidate.id]), num_bytes)
        if not predicted.arena_head_bytes == from_file.arena_head_bytes == head:
            wrong.append(f"{candidate.id}: head {predicted.arena_head_bytes}, TFLM takes {head}: {candidate.to_json()}")
        if not predicted.arena_tail_bytes_host == from_file.arena_tail_bytes_host == tail:
            wrong.append(f"{candidate.id}: tail {predicted.arena_tail_bytes_host}, TFLM takes {tail}")
        if predicted.arena_tail_bytes != from_file.arena_tail_bytes or predicted.plan != from_file.plan:
            wrong.append(f"{candidate.id}: the file has another tail or plan than the paper")
        if (predicted.macs, predicted.deployed_params) != (from_file.macs, from_file.deployed_params):
            wrong.append(f"{candidate.id}: the file has other MACs or parameters than the paper")
        errors.append(predicted.flash_bytes / num_bytes - 1)
        if abs(errors[-1]) > FLASH_ERROR:
            wrong.append(
                f"{candidate.id}: file of {num_bytes}, predicted {predicted.flash_bytes}: {candidate.to_json()}"
            )
    assert not wrong, "\n".join(wrong)
    return errors


def enough(graph: OperatorGraph) -> int:
    """Bytes of an arena on the host: head and tail, or what starting takes; a multiple of 16."""
    tensors = lifetimes(graph)
    starting = starting_bytes(tail_parts(graph), len(tensors), HOST)
    return aligned(max(head_bytes(graph) + tail_bytes(graph, HOST), starting))


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


def has_sum_of_single_pixels(candidate: Candidate) -> bool:
    """Its second summand becomes a vector."""
    graph = lower(candidate.network)
    return any(o.kind == "ADD" and len(graph.tensors[o.inputs[1]].shape) == 1 for o in graph.operators)


def has_mean_of_single_pixels(candidate: Candidate) -> bool:
    """It is left out."""
    shapes = {layer.name: layer.shape for layer in candidate.network}
    means = [layer for layer in candidate.network if isinstance(layer, GlobalAvgPool)]
    return any(len(mean.shape) == 3 and shapes[mean.inputs[0]][:2] == (1, 1) for mean in means)


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
