"""The arena's tail: what TensorFlow Lite Micro allocates for good, exact to the byte for an int8 graph.

The allocator goes down from the end of the arena: every request moves down by its size and on to its alignment. So the
tail is a walk over the requests in the order of `MicroInterpreter::AllocateTensors`, with sizes that follow from the
layout of TFLM's structs in a build: the x86-64 one of the package, whose interpreter records its allocations and can
decompress weights, or a microcontroller's, which does neither, with the reference kernels or those of CMSIS-NN.

Not described: variable tensors, several subgraphs, 16-bit activations and 4-bit weights. File names are those of
tensorflow/tflite-micro, below tensorflow/lite/micro.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import Operator, OperatorGraph
from dse.cost.tflm.scratch import kept_bytes, scratch_bytes
from dse.errors import UnknownNameError

# Convolutions are prepared with their input, weights and output, and from there once more with the bias too
# (conv_common.cc, depthwise_conv_common.cc): seven tensors at a time, no other kernel has more.
TWICE_PREPARED = ("CONV_2D", "DEPTHWISE_CONV_2D")
TENSORS_OF_A_CONVOLUTION = 7
MAX_SCRATCH_PER_OPERATOR = 12  # room for requests that is kept while operators are prepared; micro_allocator.cc
ALIGNMENT = 16  # of every buffer that a kernel asks for; micro_arena_constants.h


# Members in order: ptr (also size_t and the pointer to the virtual functions), word (int, int32_t, float), short, byte
# (bool, int8_t), double, enum, or another struct; behind the bar stands what exists with USE_TFLM_COMPRESSION only,
# and behind the plus sign what newer sources have.
STRUCTS = {
    # arena_allocator/single_arena_buffer_allocator.h, recording_single_arena_buffer_allocator.h
    "SingleArenaBufferAllocator": "2*ptr 5*ptr ptr word",
    "RecordingSingleArenaBufferAllocator": "SingleArenaBufferAllocator 4*ptr",
    # memory_planner/greedy_memory_planner.h
    "GreedyMemoryPlanner": "ptr 2*word 4*ptr 2*word ptr byte",
    # micro_allocator.h, micro_allocator.cc, recording_micro_allocator.h (eight records of three numbers)
    "MicroAllocator": "ptr 4*ptr byte 3*ptr",
    "RecordingMicroAllocator": "MicroAllocator ptr 24*ptr",
    "MicroBuiltinDataAllocator": "2*ptr",
    "SubgraphAllocations": "2*ptr | ptr",
    "NodeAndRegistration": "TfLiteNode ptr",
    "ScratchBufferHandle": "ptr",
    # While memory is planned only: micro_allocation_info.h, micro_allocator.cc, greedy_memory_planner.h (a buffer's
    # requirements, its entry in the list of offsets, and three numbers)
    "AllocationInfo": "2*ptr 3*word byte",
    "ScratchBufferRequest": "ptr 2*word",
    "PlannedBuffer": "4*word 3*word 3*word",
    # c/common.h
    "TfLiteNode": "6*ptr word",
    "TfLiteEvalTensor": "2*ptr enum",
    "TfLiteQuantization": "word ptr",  # its enum is declared as int
    "TfLiteTensor": "TfLiteQuantization 2*word 3*ptr 2*enum byte",
    "TfLiteAffineQuantization": "2*ptr word",
    # builtin_op_data.h
    "TfLitePaddingValues": "4*word",
    "TfLiteConvParams": "enum 2*word enum 2*word enum",
    "TfLiteDepthwiseConvParams": "enum 3*word enum 2*word",
    # A pointer to per-channel data and its length, read off the library: newer than the sources of August 2026.
    "TfLiteFullyConnectedParams": "2*enum 2*byte enum + ptr word",
    "TfLiteTransposeConvParams": "enum 2*word 2*enum",
    "TfLitePoolParams": "enum 4*word enum TfLitePaddingValues",
    "TfLiteAddParams": "enum byte",  # that of SUB is the same
    "TfLiteMulParams": "enum",  # those of DIV, ARG_MAX, ARG_MIN and SHAPE are the same
    "TfLiteConcatenationParams": "word enum",
    "TfLiteReducerParams": "byte",
    "TfLiteResizeParams": "2*byte",
    "TfLiteReshapeParams": "8*word word",  # that of SQUEEZE is the same
    "TfLiteStridedSliceParams": "5*word byte",
    "TfLitePackParams": "2*word",  # that of UNPACK is the same
    "TfLiteSoftmaxParams": "word",  # those of LEAKY_RELU, SPLIT and SPLIT_V are the same
    # kernels/internal/types.h, with the padding at the end that each keeps inside another struct
    "QuantizationParams": "double word",
    "ConcatenationParams": "word 2*ptr 3*word",
    "ConvParams": "byte 4*short 4*short 9*word",
    "HardSwishParams": "3*short word short word",
    "LogisticParams": "4*word",
    "PadParams": "byte 5*word byte 5*word byte",
    "PreluParams": "7*word",
    "ReluParams": "byte 6*word",
    "SoftmaxParams": "double 7*word 5*ptr",
    "StridedSliceParams": "byte 5*word byte 5*word byte 5*word 5*short byte",
    # kernels/add.h, sub.h, mul.h, div.h, conv.h, fully_connected.h, pooling.h, reduce.h, leaky_relu.h, activations.h,
    # dequantize.h, quantize.h; concatenation.cc, pad_common.cc, transpose_conv.cc
    "OpDataAdd": "byte 14*word",
    "OpDataSub": "byte 12*word",
    "OpDataMul": "9*word",
    "OpDataDiv": "7*word",
    "OpDataConv": "TfLitePaddingValues 5*word 2*ptr 3*word | 2*word",
    "OpDataTransposeConv": "ConvParams 2*word 2*ptr | 2*word",
    "OpDataFullyConnected": "9*word 2*ptr byte | 2*word",
    "OpDataPooling": "TfLitePaddingValues 4*word",
    "OpDataReduce": "11*word",
    "OpDataConcatenation": "ConcatenationParams | 10*word",
    "OpDataPad": "PadParams word",
    "OpDataQuantize": "QuantizationParams 3*word",  # that of DEQUANTIZE is the same
    # kernels/cmsis_nn/conv.cc, depthwise_conv.cc, fully_connected.cc, pooling.cc, softmax.cc, transpose_conv.cc
    "CmsisNnConv": "OpDataConv word",
    "CmsisNnFullyConnected": "OpDataFullyConnected 2*word ptr 3*word",
    "CmsisNnPooling": "OpDataPooling word",
    "CmsisNnSoftmax": "SoftmaxParams 2*word",
    "CmsisNnTransposeConv": "ConvParams 3*word 2*ptr",
    "LeakyReluOpData": "6*word",
    "Relu6OpData": "2*word",
}

# By operator: what the parser keeps of its options (tflite_bridge, flatbuffer_conversions.cc), and what the kernel
# asks for in its Init. Empty: it asks for nothing.
KERNELS = {
    "ADD": ("TfLiteAddParams", "OpDataAdd"),
    "ARG_MAX": ("TfLiteMulParams", ""),
    "ARG_MIN": ("TfLiteMulParams", ""),
    "AVERAGE_POOL_2D": ("TfLitePoolParams", "OpDataPooling"),
    "CONCATENATION": ("TfLiteConcatenationParams", "OpDataConcatenation"),
    "CONV_2D": ("TfLiteConvParams", "OpDataConv"),
    "DEPTHWISE_CONV_2D": ("TfLiteDepthwiseConvParams", "OpDataConv"),
    "DEQUANTIZE": ("", "OpDataQuantize"),
    "DIV": ("TfLiteMulParams", "OpDataDiv"),
    "EXPAND_DIMS": ("", ""),
    "FULLY_CONNECTED": ("TfLiteFullyConnectedParams", "OpDataFullyConnected"),
    "HARD_SWISH": ("", "HardSwishParams"),
    "LEAKY_RELU": ("TfLiteSoftmaxParams", "LeakyReluOpData"),
    "LOGISTIC": ("", "LogisticParams"),
    "MAXIMUM": ("", ""),
    "MAX_POOL_2D": ("TfLitePoolParams", "OpDataPooling"),
    "MEAN": ("TfLiteReducerParams", "OpDataReduce"),
    "MINIMUM": ("", ""),
    "MUL": ("TfLiteMulParams", "OpDataMul"),
    "PACK": ("TfLitePackParams", ""),
    "PAD": ("", "OpDataPad"),
    "PADV2": ("", "OpDataPad"),
    "PRELU": ("", "PreluParams"),
    "QUANTIZE": ("", "OpDataQuantize"),
    "REDUCE_MAX": ("TfLiteReducerParams", "OpDataReduce"),
    "REDUCE_MIN": ("TfLiteReducerParams", "OpDataReduce"),
    "RELU": ("", "ReluParams"),
    "RELU6": ("", "Relu6OpData"),
    "RESHAPE": ("TfLiteReshapeParams", ""),
    "RESIZE_BILINEAR": ("TfLiteResizeParams", ""),
    "RESIZE_NEAREST_NEIGHBOR": ("TfLiteResizeParams", ""),
    "SHAPE": ("TfLiteMulParams", ""),
    "SLICE": ("", ""),
    "SOFTMAX": ("TfLiteSoftmaxParams", "SoftmaxParams"),
    "SPLIT": ("TfLiteSoftmaxParams", ""),
    "SPLIT_V": ("TfLiteSoftmaxParams", ""),
    "SQUEEZE": ("TfLiteReshapeParams", ""),
    "STRIDED_SLICE": ("TfLiteStridedSliceParams", "StridedSliceParams"),
    "SUB": ("TfLiteAddParams", "OpDataSub"),
    "SUM": ("TfLiteReducerParams", "OpDataReduce"),
    "TANH": ("", "LogisticParams"),
    "TRANSPOSE": ("", ""),
    "TRANSPOSE_CONV": ("TfLiteTransposeConvParams", "OpDataTransposeConv"),
    "UNPACK": ("TfLitePackParams", ""),
}
KNOWN_OPERATORS = frozenset(KERNELS)
# What kernels of CMSIS-NN ask for in their Init instead.
OF_CMSIS_NN = {
    "AVERAGE_POOL_2D": "CmsisNnPooling",
    "CONV_2D": "CmsisNnConv",
    "DEPTHWISE_CONV_2D": "CmsisNnConv",
    "FULLY_CONNECTED": "CmsisNnFullyConnected",
    "MAX_POOL_2D": "CmsisNnPooling",
    "SOFTMAX": "CmsisNnSoftmax",
    "TRANSPOSE_CONV": "CmsisNnTransposeConv",
}


@dataclass(frozen=True, slots=True)
class TailParts:
    """What the tail of a graph follows from; adds up over parts of a network."""

    num_tensors: int = 0  # constant or not
    kinds: tuple[str, ...] = ()  # of the operators, in order
    multiplier_bytes: int = 0  # a multiplier and a shift for every output channel; with MVE sums of weights too
    num_scratch: int = 0  # buffers that kernels ask for in the head; the tail has a handle of each
    prepare_bytes: int = 0  # at most while an operator is prepared: multipliers so far, and zero points of its tensors

    def __add__(self, other: TailParts) -> TailParts:
        return TailParts(
            self.num_tensors + other.num_tensors,
            self.kinds + other.kinds,
            self.multiplier_bytes + other.multiplier_bytes,
            self.num_scratch + other.num_scratch,
            max(self.prepare_bytes, self.multiplier_bytes + other.prepare_bytes),
        )


def tail_parts(graph: OperatorGraph, build: Build) -> TailParts:
    """The parts of a graph."""
    multipliers = prepare = 0
    for operator in graph.operators:
        multipliers += 2 * _up(4 * _num_multipliers(operator, graph), ALIGNMENT)
        if build.kernels == "cmsis-nn":
            multipliers += _up(kept_bytes(operator, graph.tensors, build.core), ALIGNMENT)
        used = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
        if operator.kind in TWICE_PREPARED:
            used += [index for index in (*operator.inputs[:2], *operator.outputs) if index >= 0]
        prepare = max(prepare, multipliers + sum(4 + 4 * graph.tensors[index].num_scales for index in used))
    return TailParts(
        len(graph.tensors),
        tuple(operator.kind for operator in graph.operators),
        multipliers,
        sum(len(scratch_bytes(operator, graph.tensors, build)) for operator in graph.operators),
        prepare,
    )


def tail_bytes(graph: OperatorGraph, build: Build) -> int:
    """Bytes of the tail in a build. Raises UnknownNameError for an operator that is not in KNOWN_OPERATORS.

    >>> from dse.cost.tflm.build import HOST, MICROCONTROLLER
    >>> graph = OperatorGraph((), (), (), ())
    >>> tail_bytes(graph, HOST), tail_bytes(graph, MICROCONTROLLER)
    (488, 132)
    """
    ends = [[graph.tensors[index].num_scales for index in indices] for indices in (graph.inputs, graph.outputs)]
    return tail_of(tail_parts(graph, build), build, *ends)


def tail_of(parts: TailParts, build: Build, inputs: Sequence[int], outputs: Sequence[int]) -> int:
    """Bytes of the tail of these parts in a build; `inputs` and `outputs` have the number of scales of each.

    The order of requests is that of micro_allocator.cc (Create, StartModelAllocation, FinishModelAllocation) and
    micro_interpreter.cc (AllocateTensors).
    """
    kernels = [_kernel(kind, build) for kind in parts.kinds]
    used = _walk(0, [layout(struct, build) for struct in _objects(build)])
    for struct, count in (("TfLiteEvalTensor", parts.num_tensors), ("NodeAndRegistration", len(kernels))):
        size, alignment = layout(struct, build)
        used = _up(used + count * size, alignment)
    used = _walk(used, [params for params, _ in kernels])
    used = _walk(used, [(data, ALIGNMENT) for _, data in kernels if data]) + parts.multiplier_bytes
    if parts.num_scratch:
        used = _up(used + parts.num_scratch * build.pointer_bytes, build.pointer_bytes)
    for scales in (inputs, outputs):
        used = _walk(used, _persistent_tensors(scales, build))
    return used


def starting_bytes(parts: TailParts, num_buffers: int, build: Build) -> int:
    """Bytes of the whole arena while TFLM starts: more than head and tail together where activations are small.

    While an operator is prepared, its tensors lie where the activations will be, with a zero point for every channel
    (micro_allocator.cc, AllocateTempTfLiteTensor); and while memory is planned, a note of every tensor and scratch
    buffer, and the planner's table of the `num_buffers` that it places (CommitStaticMemoryPlan). It may be some hundred
    bytes more than is taken: operators are counted with as many tensors as a convolution has.
    """

    def size(struct: str) -> int:
        return layout(struct, build)[0]

    tail = tail_of(parts, build, (), ())
    requests = size("ScratchBufferRequest") * (parts.num_scratch + MAX_SCRATCH_PER_OPERATOR)
    temporary = TENSORS_OF_A_CONVOLUTION * (size("TfLiteTensor") + size("TfLiteAffineQuantization"))
    preparing = tail - parts.multiplier_bytes + parts.prepare_bytes + temporary
    notes = size("AllocationInfo") * (parts.num_tensors + parts.num_scratch)
    planning = tail + notes + size("PlannedBuffer") * num_buffers
    return max(preparing, planning) + requests + 2 * ALIGNMENT


def _num_multipliers(operator: Operator, graph: OperatorGraph) -> int:
    # kernels/conv_common.cc, depthwise_conv_common.cc, transpose_conv.cc: one for each channel, even with one scale.
    # kernels/fully_connected_common.cc: only with a scale for each channel.
    if operator.kind in ("CONV_2D", "TRANSPOSE_CONV"):
        return graph.tensors[operator.inputs[1]].shape[0]
    if operator.kind == "DEPTHWISE_CONV_2D":
        return graph.tensors[operator.inputs[1]].shape[3]
    if operator.kind == "FULLY_CONNECTED":
        num_scales = graph.tensors[operator.inputs[1]].num_scales
        return num_scales if num_scales > 1 else 0
    return 0


@cache
def layout(struct: str, build: Build) -> tuple[int, int]:
    """Size and alignment of a struct, or of a kind of member, in bytes.

    >>> from dse.cost.tflm.build import HOST, MICROCONTROLLER
    >>> layout("TfLiteEvalTensor", HOST), layout("TfLiteEvalTensor", MICROCONTROLLER)
    ((24, 8), (12, 4))
    """
    basic = {"ptr": build.pointer_bytes, "word": 4, "short": 2, "byte": 1, "double": 8, "enum": build.enum_bytes}
    if struct in basic:
        return basic[struct], basic[struct]
    old, _, newer = STRUCTS[struct].partition("+")
    always, _, compressed = old.partition("|")
    members = always + (compressed if build.compression else "") + (newer if build.has_long_params else "")
    size, widest = 0, 1
    for text in members.split():
        count, _, member = text.rpartition("*")
        member_size, alignment = layout(member, build)
        size = _up(size, alignment) + int(count or 1) * member_size
        widest = max(widest, alignment)
    return _up(size, widest), widest


@cache
def _kernel(kind: str, build: Build) -> tuple[tuple[int, int], int]:
    """Size and alignment of an operator's parameters, and the bytes that its kernel keeps."""
    try:
        params, data = KERNELS[kind]
    except KeyError:
        raise UnknownNameError("TFLM operator", kind, KNOWN_OPERATORS) from None
    if build.kernels == "cmsis-nn":
        data = OF_CMSIS_NN.get(kind, data)
    return layout(params, build) if params else (0, 1), layout(data, build)[0] if data else 0


def _objects(build: Build) -> tuple[str, ...]:
    """What is there before the first tensor."""
    prefix = "Recording" if build.recording else ""
    return (
        prefix + "SingleArenaBufferAllocator",
        "GreedyMemoryPlanner",
        prefix + "MicroAllocator",
        "MicroBuiltinDataAllocator",
        "SubgraphAllocations",
    )


def _persistent_tensors(scales: Sequence[int], build: Build) -> Iterator[tuple[int, int]]:
    """Requests for the inputs or the outputs; their scales stay in the file, their zero points are copied."""
    if scales:
        yield len(scales) * build.pointer_bytes, ALIGNMENT
    for num_scales in scales:
        yield layout("TfLiteTensor", build)
        if num_scales:
            yield layout("TfLiteAffineQuantization", build)
            yield 4 + 4 * num_scales, 4


def _walk(used: int, requests: Iterable[tuple[int, int]]) -> int:
    """The tail after more requests, each a size and an alignment."""
    for size, alignment in requests:
        used = _up(used + size, alignment)
    return used


def _up(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
