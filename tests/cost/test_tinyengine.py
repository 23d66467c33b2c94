"""Memory of an engine that works in place: small graphs by hand, real blocks, and what TinyEngine published."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from dse.cost.report import estimate
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import lifetimes, peak
from dse.cost.tinyengine import EngineMemory, engine_memory, engine_parts
from dse.network.candidate import Candidate
from dse.space.space import parse_space
from dse.tflite.reader import load_tflite
from tests.helpers.networks import only_candidate
from tests.helpers.paths import PUBLISHED_MODELS

Chain = list[tuple[str, tuple[int, int, int]]]


def plane(height: int, width: int, channels: int) -> Tensor:
    return Tensor("INT8", (1, height, width, channels))


def chain(source: tuple[int, int, int], operators: Chain, outputs: tuple[int, ...] = ()) -> OperatorGraph:
    """Operators one behind another: "conv" (1x1), "conv3", "depthwise" (3x3) or a kind without weights."""
    tensors, found = [plane(*source)], []
    last = 0
    for kind, shape in operators:
        tensors.append(plane(*shape))
        inputs: tuple[int, ...] = (last,)
        last = len(tensors) - 1
        side = 1 if kind == "conv" else 3
        source_channels = tensors[inputs[0]].shape[3]
        weights = (1, 3, 3, shape[2]) if kind == "depthwise" else (shape[2], side, side, source_channels)
        if kind in ("conv", "conv3", "depthwise"):
            tensors.append(Tensor("INT8", weights, constant=True))
            inputs += (len(tensors) - 1,)
        kind = {"conv": "CONV_2D", "conv3": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D"}.get(kind, kind)
        found.append(Operator(kind, inputs, (last,)))
    return OperatorGraph(tuple(tensors), tuple(found), (0,), (last, *outputs))


def activations(graph: OperatorGraph) -> tuple[int, int]:
    """In place and fused, without the buffers."""
    parts = engine_parts(graph)
    return parts.in_place, parts.fused


def test_a_depthwise_convolution_takes_its_input_and_one_padded_map() -> None:
    """8 channels of 6x6: 288 bytes, not 576, and a map of 8x8 pixels at 2 bytes each."""
    graph = chain((6, 6, 8), [("depthwise", (6, 6, 8))])
    assert engine_memory([engine_parts(graph)]) == EngineMemory(288 + 128, 288 + 128)
    # With stride 2 its 9 * 8 = 72 bytes lie where the 288 were; what follows has the rest: 72 + 9 * 32.
    graph = chain((6, 6, 8), [("depthwise", (3, 3, 8)), ("conv", (3, 3, 32))])
    assert activations(graph) == (72 + 288, 72 + 288)


def test_what_is_read_again_or_has_more_filters_is_not_overwritten() -> None:
    twice = chain((6, 6, 8), [("depthwise", (6, 6, 16))])  # two filters a channel
    assert activations(twice) == (288 + 576, 288 + 576)
    graph = chain((6, 6, 8), [("depthwise", (6, 6, 8))])
    tensors = (*graph.tensors, plane(6, 6, 8))
    add = Operator("ADD", (0, 1), (3,))
    shortcut = OperatorGraph(tensors, (*graph.operators, add), (0,), (3,))
    assert activations(shortcut) == (3 * 288, 3 * 288)  # a sum has an output of its own
    output = OperatorGraph(graph.tensors, graph.operators, (0,), (0, 1))
    assert activations(output) == (2 * 288, 2 * 288)


def test_activations_overwrite_and_reshapes_do_not_exist() -> None:
    graph = chain((6, 6, 8), [("HARD_SWISH", (6, 6, 8)), ("RESHAPE", (1, 36, 8)), ("LOGISTIC", (1, 36, 8))])
    assert activations(graph) == (288, 288)
    assert activations(chain((6, 6, 8), [("RESHAPE", (1, 36, 8))])) == (288, 288)
    assert activations(chain((6, 6, 8), [("AVERAGE_POOL_2D", (3, 3, 8))])) == (288 + 72, 288 + 72)


def test_padding_is_done_by_the_convolution_behind_it() -> None:
    """6x6x8 padded to 8x8x8: never written. Before a pooling, or in channels, it is: 288 + 512."""
    assert activations(chain((6, 6, 8), [("PAD", (8, 8, 8)), ("depthwise", (6, 6, 8))])) == (288, 288)
    parts = engine_parts(chain((6, 6, 8), [("PAD", (8, 8, 8)), ("depthwise", (6, 6, 8))]))
    assert parts.columns == 2 * 8 * 8  # padded once
    pooled = chain((6, 6, 8), [("PAD", (8, 8, 8)), ("MAX_POOL_2D", (4, 4, 8))])
    assert activations(pooled)[0] == 512 + 288
    wider = chain((6, 6, 8), [("PAD", (6, 6, 16)), ("conv", (6, 6, 4))])
    assert activations(wider)[0] == 288 + 576


def test_images_come_as_int8() -> None:
    """A float image that is quantized first: 3 * 36 = 108 bytes, not 432 besides."""
    graph = chain((6, 6, 3), [("QUANTIZE", (6, 6, 3)), ("conv", (6, 6, 4))])
    tensors = (Tensor("FLOAT32", (1, 6, 6, 3)), *graph.tensors[1:])
    assert activations(OperatorGraph(tensors, graph.operators, (0,), graph.outputs)) == (108 + 144, 108 + 144)


def test_the_buffers_by_hand() -> None:
    """Columns: two of 16 bits for 3 * 3 * 4 values, 144 bytes; kernels: 3 * 3 * 4 * 5 of 16 bits. A 1x1 one has none."""
    parts = engine_parts(chain((6, 6, 4), [("conv3", (6, 6, 5)), ("conv", (6, 6, 12))]))
    assert (parts.columns, parts.kernels) == (4 * 36, 2 * 180)
    dense = Operator("FULLY_CONNECTED", (0, 1), (2,))
    tensors = (Tensor("INT8", (1, 20)), Tensor("INT8", (10, 20), constant=True), Tensor("INT8", (1, 10)))
    parts = engine_parts(OperatorGraph(tensors, (dense,), (0,), (2,)))
    assert (parts.columns, parts.kernels, parts.in_place) == (80, 0, 20 + 12)  # tensors take multiples of 4


def test_a_bottleneck_as_one_operation() -> None:
    """6x6, 8 -> 48 -> 8: 288 + 288, and 36 bytes of each inner tensor; an activation between them overwrites."""
    parts: Chain = [("conv", (6, 6, 48)), ("depthwise", (6, 6, 48)), ("conv", (6, 6, 8))]
    assert activations(chain((6, 6, 8), parts)) == (288 + 1728, 2 * 288 + 2 * 36)
    swish = ("HARD_SWISH", (6, 6, 48))
    assert activations(chain((6, 6, 8), [parts[0], swish, parts[1], swish, parts[2]])) == (2016, 648)
    # With stride 2 the second inner channel and the output have a quarter of the pixels.
    smaller: Chain = [("conv", (6, 6, 48)), ("depthwise", (3, 3, 48)), ("conv", (3, 3, 8))]
    assert activations(chain((6, 6, 8), smaller)) == (2016, 288 + 72 + 36 + 9)


def test_no_bottleneck_where_it_does_not_help_or_somebody_reads_inside() -> None:
    """Narrow inside, 48 -> 8 -> 48: one by one 1728 + 288 is less than 1728 + 1728. Or an inner tensor is an output."""
    narrow: Chain = [("conv", (6, 6, 8)), ("depthwise", (6, 6, 8)), ("conv", (6, 6, 48))]
    assert activations(chain((6, 6, 48), narrow)) == (2016, 2016)
    parts: Chain = [("conv", (6, 6, 48)), ("depthwise", (6, 6, 48)), ("conv", (6, 6, 8))]
    assert activations(chain((6, 6, 8), parts, outputs=(3,))) == (288 + 1728, 288 + 1728)
    wide: Chain = [("conv3", (6, 6, 48)), *parts[1:]]
    assert activations(chain((6, 6, 8), wide)) == (2016, 2016)  # no 1x1 convolution


def test_a_bottleneck_may_begin_in_one_part_and_end_in_another() -> None:
    """The parts together are the whole, wherever it is cut; of two that overlap the first counts."""
    whole: Chain = [
        ("conv", (6, 6, 48)), ("HARD_SWISH", (6, 6, 48)), ("depthwise", (6, 6, 48)), ("conv", (6, 6, 8)),
        ("depthwise", (6, 6, 8)), ("conv", (6, 6, 40)), ("depthwise", (6, 6, 40)), ("conv", (6, 6, 4)),
    ]  # fmt: skip
    shapes = [(6, 6, 8), *(shape for _, shape in whole)]
    expected = engine_memory([engine_parts(chain(shapes[0], whole))])
    assert expected.fused_bytes < expected.inplace_bytes
    for first in range(1, len(whole)):
        for second in range(first, len(whole)):
            cuts = [0, first, *({second} - {first}), len(whole)]
            parts = [engine_parts(chain(shapes[start], whole[start:end])) for start, end in pairwise(cuts)]
            assert engine_memory(parts) == expected, cuts


def bneck(squeeze_excite: float, activation: str = "relu") -> Candidate:
    text = f"""
space: one
stem: {{block: conv, channels: 8, stride: 2}}
stages:
  - block: bneck
    channels: 8
    expansion: 6
    squeeze_excite: {squeeze_excite}
    activation: {activation}
head: {{channels: 0}}
"""
    return only_candidate(parse_space(text, "one.yaml"))


@pytest.mark.parametrize("activation", ["relu", "hswish"])
def test_a_bneck_of_a_candidate(activation: str) -> None:
    """32x32 images: 16x16 pixels behind the stem, 8 -> 48 -> 8 channels with a shortcut, M = 256 bytes a map.

    In place, at the projection: the input, which the shortcut keeps, the inner tensor, and the output. Fused: 8 M + 8 M
    and two maps, less than the sum behind it, 3 * 8 M. TFLM: the depthwise convolution's 8 M + 48 M + 48 M.
    """
    graph = lower(bneck(0.0, activation).network)
    assert activations(graph) == (64 * 256, 24 * 256)
    assert estimate(bneck(0.0, activation).network).arena_head_bytes == 104 * 256


def test_a_bneck_with_squeeze_excite_is_not_fused() -> None:
    """The mean reads all 48 channels, and the product of 48 M with the gate has an output of its own."""
    in_place, fused = activations(lower(bneck(0.25).network))
    assert in_place == fused == (8 + 48 + 48) * 256 + 48


def test_no_way_takes_more_than_the_one_before(random_candidates: list[Candidate]) -> None:
    """Without the buffers: fused at most in place, in place at most what is alive in TFLM."""
    for candidate in random_candidates[::4]:
        graph = lower(candidate.network)
        in_place, fused = activations(graph)
        assert fused <= in_place <= peak(lifetimes(graph)).num_bytes, candidate.to_json()


def test_a_report_has_both() -> None:
    data = json.loads(json.dumps(estimate(bneck(0.0).network).to_dict()))
    # Columns or map: 2 * 18 * 18 bytes of the padded map; kernels: 3 * 3 * 3 * 8 of the stem, 2 bytes each.
    assert data["inplace_bytes"] == 64 * 256 + 648 + 432
    assert data["fused_bytes"] == 24 * 256 + 648 + 432


@pytest.mark.parametrize("path", [p for p in PUBLISHED_MODELS if p.stem == "mcunet_vww1"], ids=lambda path: path.stem)
def test_what_tinyengine_published(path: Path) -> None:
    """92 KiB of RAM on an STM32H743 (mit-han-lab/tinyengine, README), against 220 KiB of TFLM's arena.

    40x40 pixels, 8 channels expanded to 48: 56 * 1600 bytes; the padded map of 42x42; 16 kernels of 3x3x3.
    """
    _, graph = load_tflite(path)
    memory = engine_memory([engine_parts(graph)])
    assert memory.inplace_bytes == 56 * 1600 + 2 * 42 * 42 + 2 * 16 * 27
    assert round(memory.inplace_bytes / 1024) == 92
