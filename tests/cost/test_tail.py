"""The tail: struct sizes worked out by hand, and the walk over them against TFLM's own allocator."""

from __future__ import annotations

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from dse.cost.report import estimate_graph
from dse.cost.tflm.arena import arena_of
from dse.cost.tflm.build import HOST, MICROCONTROLLER, Build
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.tflm.kernels import KNOWN_OPERATORS
from dse.cost.tflm.planner import aligned, lifetimes
from dse.cost.tflm.scratch import scratch_bytes
from dse.cost.tflm.structs import layout
from dse.cost.tflm.tail import starting_bytes, tail_bytes, tail_parts
from dse.data.datasets import Data
from dse.errors import FileError, UnknownNameError
from dse.tflite.reader import read_tflite
from tests.helpers import one_operator
from tests.helpers.networks import family_space, only_candidate
from tests.helpers.paths import PUBLISHED_MODELS
from tests.helpers.tflm import allocations, head_bytes, loads

GNU_ARM = Build(4, enum_bytes=1)  # arm-none-eabi-gcc as it comes

# What compilers say of structs declared as TFLM declares them: gcc for x86-64 with USE_TFLM_COMPRESSION,
# arm-none-eabi-gcc 12.2 for a Cortex-M4 with -fno-short-enums, and the same without it.
COMPILED = {
    "RecordingSingleArenaBufferAllocator": (104, 52, 52),
    "SingleArenaBufferAllocator": (72, 36, 36),
    "GreedyMemoryPlanner": (72, 44, 44),
    "RecordingMicroAllocator": (272, 136, 136),
    "MicroAllocator": (72, 36, 36),
    "MicroBuiltinDataAllocator": (16, 8, 8),
    "SubgraphAllocations": (24, 8, 8),
    "NodeAndRegistration": (64, 32, 32),
    "TfLiteEvalTensor": (24, 12, 12),
    "TfLiteTensor": (64, 40, 32),
    "TfLiteAffineQuantization": (24, 12, 12),
    "TfLiteConvParams": (28, 28, 28),
    "TfLiteDepthwiseConvParams": (28, 28, 28),
    "TfLiteFullyConnectedParams": (32, 24, 16),
    "TfLiteTransposeConvParams": (20, 20, 16),
    "TfLitePoolParams": (40, 40, 40),
    "TfLiteAddParams": (8, 8, 2),
    "TfLiteMulParams": (4, 4, 1),
    "TfLiteConcatenationParams": (8, 8, 8),
    "TfLiteReshapeParams": (36, 36, 36),
    "TfLiteStridedSliceParams": (24, 24, 24),
    "OpDataAdd": (60, 60, 60),
    "OpDataSub": (52, 52, 52),
    "OpDataConv": (80, 56, 56),
    "OpDataTransposeConv": (88, 72, 72),
    "OpDataFullyConnected": (72, 48, 48),
    "OpDataConcatenation": (80, 24, 24),
    "OpDataPad": (56, 56, 56),
    "OpDataQuantize": (32, 32, 32),
    "HardSwishParams": (20, 20, 20),
    "ReluParams": (28, 28, 28),
    "SoftmaxParams": (80, 56, 56),
    "StridedSliceParams": (84, 84, 84),
}


@pytest.mark.parametrize("struct", COMPILED)
def test_layout_is_the_compilers(struct: str) -> None:
    assert tuple(layout(struct, build)[0] for build in (HOST, MICROCONTROLLER, GNU_ARM)) == COMPILED[struct]


def convolution(num_channels: int) -> OperatorGraph:
    image = Tensor("INT8", (1, 4, 4, num_channels))
    kernel = Tensor("INT8", (num_channels, 3, 3, num_channels), constant=True, num_scales=num_channels)
    bias = Tensor("INT32", (num_channels,), constant=True, num_scales=num_channels)
    return OperatorGraph((image, kernel, bias, image), (Operator("CONV_2D", (0, 1, 2), (3,)),), (0,), (3,))


def test_one_convolution_by_hand() -> None:
    # Host: objects 104 + 72 + 272 + 16 + 24 = 488, four tensors of 24 → 584, a node of 64 → 648, parameters of 28 →
    # 676; data of 80 → 756, on to 768; two arrays of 8 x 4 → 832; then for input and for output alike: a pointer of 8,
    # on to a multiple of 16 (848, 960), a TfLiteTensor of 64, its quantization of 24, zero points of 4 + 4.
    assert tail_bytes(convolution(8), HOST) == 960 + 64 + 24 + 8 == 1056
    # Microcontroller: objects 36 + 44 + 36 + 8 + 8 = 132, → 180, a node of 32 → 212, → 240; data of 56 → 296, on to
    # 304; → 368; pointers of 4 (384, 448), then 40 + 12 + 8 each.
    assert tail_bytes(convolution(8), MICROCONTROLLER) == 448 + 40 + 12 + 8 == 508
    # An enum of one byte makes the two TfLiteTensors 8 bytes smaller; the first is swallowed: 384 + 32 + 12 + 8 = 436,
    # and the next pointer goes on to 448 all the same.
    assert tail_bytes(convolution(8), GNU_ARM) == 448 + 32 + 12 + 8 == 500


def test_arrays_of_the_channels_are_rounded_up_each() -> None:
    assert tail_bytes(convolution(9), MICROCONTROLLER) - tail_bytes(convolution(8), MICROCONTROLLER) == 2 * 16
    assert tail_bytes(convolution(12), MICROCONTROLLER) == tail_bytes(convolution(9), MICROCONTROLLER)


def test_an_operator_that_is_not_in_the_table_is_refused() -> None:
    graph = OperatorGraph((), (Operator("LSTM", (), ()),), (), ())
    with pytest.raises(UnknownNameError, match=r"^unknown TFLM operator 'LSTM'; known: ABS, CAST, "):
        tail_bytes(graph, HOST)


def test_scratch_buffers_of_a_mean() -> None:
    tensors = (Tensor("INT8", (1, 8, 8, 24)), Tensor("INT32", (2,), constant=True), Tensor("INT8", (1, 24)))
    graph = OperatorGraph(tensors, (Operator("MEAN", (0, 1), (2,)),), (0,), (2,))
    assert scratch_bytes(graph.operators[0], graph.tensors, HOST) == (24 * 4, 4 * 4, 2 * 4)
    maximum = Operator("REDUCE_MAX", (0, 1), (2,))
    assert scratch_bytes(maximum, graph.tensors, HOST) == (4 * 4, 2 * 4)
    assert scratch_bytes(Operator("ADD", (0, 0), (0,)), graph.tensors, HOST) == ()


def check(files: dict[str, bytes]) -> None:
    graphs = {name: read_tflite(content, name) for name, content in files.items()}
    assert {name: tail_bytes(graph, HOST) for name, graph in graphs.items()} == {
        name: tail for name, (_, tail) in allocations(files).items()
    }
    for graph in graphs.values():
        saved = tail_bytes(graph, MICROCONTROLLER) - tail_bytes(graph, GNU_ARM)
        assert 0 <= saved <= 8 * (len(graph.operators) + len(graph.inputs) + len(graph.outputs)) + 16


ONE_OPERATOR = {kind: one_operator.one_operator(kind) for kind in one_operator.ALL}


@pytest.mark.tflm
def test_every_known_operator_in_the_real_allocator() -> None:
    of_several = {"IF", "WHILE", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}  # test_subgraphs.py
    assert {kind.partition("/")[0] for kind in ONE_OPERATOR} == KNOWN_OPERATORS - of_several
    check(ONE_OPERATOR)


@pytest.mark.tflm
def test_every_known_operators_scratch_buffers_in_the_real_head() -> None:
    """With one operator everything is alive at once: the head is the sum of all that lies in it."""
    predicted = {}
    for kind, content in ONE_OPERATOR.items():
        graph = read_tflite(content)
        sizes = [tensor.num_bytes for tensor in graph.tensors if tensor.is_planned]
        predicted[kind] = sum(
            -(-size // 16) * 16 for size in (*sizes, *scratch_bytes(graph.operators[0], graph.tensors, HOST))
        )
    assert predicted == {kind: head for kind, (head, _) in allocations(ONE_OPERATOR).items()}


@pytest.mark.tflm
@pytest.mark.parametrize("channels", [8, 4_000])
def test_the_arena_that_starting_takes(channels: int) -> None:
    """With few bytes of activations the notes for planning take more than head and tail; with many they do not matter."""
    content = one_operator.chain(40, channels)
    graph = read_tflite(content)
    tensors = lifetimes(graph)
    head, tail = head_bytes(graph), tail_bytes(graph, HOST)
    starting = starting_bytes(tail_parts(graph, HOST), len(tensors), HOST)
    assert (starting > head + tail) == (channels == 8)
    needed = max(head + tail, starting)
    assert loads(content, needed)
    assert not loads(content, needed - 48)


@pytest.mark.tflm
@pytest.mark.parametrize("kind", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM/FLOAT", "SVDF"])
def test_an_arena_of_what_was_said_starts(kind: str) -> None:
    """An LSTM is prepared with sixteen tensors at a time."""
    content = one_operator.one_operator(kind)
    graph = read_tflite(content)
    assert loads(content, arena_of(graph, HOST).num_bytes)
    assert not loads(content, arena_of(graph, HOST).num_bytes - 1024)


def test_an_lstm_multiplies_in_every_step_and_wants_all_its_tensors() -> None:
    content = one_operator.one_operator("UNIDIRECTIONAL_SEQUENCE_LSTM")
    graph = read_tflite(content)
    assert estimate_graph(graph, 1).macs == 3 * 4 * (6 * 5 + 5 * 5)
    with_cmsis = Build(4, enum_bytes=1, kernels="cmsis-nn", core="dsp")
    assert scratch_bytes(graph.operators[0], graph.tensors, HOST) == (10,) * 4
    assert scratch_bytes(graph.operators[0], graph.tensors, with_cmsis) == (10,) * 3
    model = schema.ModelT.InitFromPackedBuf(content)
    model.subgraphs[0].operators[0].inputs = model.subgraphs[0].operators[0].inputs[:20]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(FileError, match=r"UNIDIRECTIONAL_SEQUENCE_LSTM takes .*expected 24 tensors"):
        read_tflite(bytes(builder.Output()))


@pytest.mark.tflm
def test_the_arena_that_preparing_takes() -> None:
    """A convolution of very many channels on a single pixel: zero points of its weights, twice, and of its bias."""
    content = one_operator.pixel_convolution(4_000)
    graph = read_tflite(content)
    head, tail = head_bytes(graph), tail_bytes(graph, HOST)
    starting = starting_bytes(tail_parts(graph, HOST), len(lifetimes(graph)), HOST)
    assert starting > head + tail
    assert 3 * 4 * 4_000 < starting - tail < 3 * 4 * 4_000 + 1_500
    needed = aligned(max(head + tail, starting))
    assert loads(content, needed)
    assert not loads(content, needed - 512)


@pytest.mark.tflm
def test_published_models_in_the_real_allocator() -> None:
    check({path.name: path.read_bytes() for path in PUBLISHED_MODELS})


@pytest.mark.keras
@pytest.mark.tflm
@pytest.mark.parametrize("family", [pytest.param("bneck", marks=pytest.mark.smoke), "shuffle", "fire"])
def test_converted_candidates_in_the_real_allocator(family: str, sample_data: Data) -> None:
    from dse.quantization.convert import calibration_set, to_int8
    from dse.quantization.timing import with_plausible_weights
    from dse.training.model import build_model

    network = only_candidate(family_space(family)).network
    model = with_plausible_weights(build_model(network, for_conversion=True))
    check({family: to_int8(model, calibration_set(sample_data.train)[-4:])})
