"""The structs of TFLM that stand in the tail of an arena, and how large a compiler makes them."""

from __future__ import annotations

from functools import cache

from dse.cost.tflm.build import Build

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
    "TfLiteMulParams": "enum",  # those of DIV, ARG_MAX, ARG_MIN, SHAPE, L2_NORMALIZATION and MIRROR_PAD are the same
    "TfLiteConcatenationParams": "word enum",
    "TfLiteReducerParams": "byte",
    "TfLiteCastParams": "2*enum",
    "TfLiteCumsumParams": "2*byte",
    "TfLiteGatherParams": "2*word",  # those of IF and WHILE are the same
    "TfLiteVarHandleParams": "2*ptr",
    "TfLiteSvdfParams": "word enum byte",
    "TfLiteUnidirectionalSequenceLSTMParams": "enum 2*word 3*byte",
    # micro_resource_variable.h
    "MicroResourceVariables": "ptr 2*word",
    "MicroResourceVariable": "4*ptr byte",
    "TfLiteBatchMatMulParams": "3*byte",
    "TfLiteResizeParams": "2*byte",
    "TfLiteReshapeParams": "8*word word",  # that of SQUEEZE is the same
    "TfLiteStridedSliceParams": "5*word byte",
    "TfLitePackParams": "2*word",  # that of UNPACK is the same
    "TfLiteSoftmaxParams": "word",  # those of LEAKY_RELU, SPLIT, SPLIT_V, DEPTH_TO_SPACE and CALL_ONCE are the same
    "SpaceToBatchParams": "word",
    "L2NormalizationParams": "word",
    # kernels/internal/types.h, with the padding at the end that each keeps inside another struct
    "QuantizationParams": "double word",
    "ArithmeticParams": "byte 10*word 2*word 2*word 2*double 2*short 5*word",
    "ComparisonParams": "7*word byte",
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
    "EspNnSoftmax": "SoftmaxParams word",
    "CmsisNnTransposeConv": "ConvParams 3*word 2*ptr",
    # elementwise.cc, mirror_pad.cc, batch_matmul.h, cumsum.cc, add_n.cc, elu.cc, log_softmax.cc, select.cc,
    # squared_difference.cc
    # if.cc and while.cc, call_once.cc, var_handle.cc, assign_variable.cc, svdf.h
    "OpDataBranch": "2*word",
    "OpDataCallOnce": "word byte",
    "OpDataVarHandle": "word",
    "OpDataAssign": "| word",
    "OpDataSvdf": "9*word",
    # lstm_shared.h, kernels/internal/types.h; cmsis_nn/unidirectional_sequence_lstm.cc, arm_nn_types.h of CMSIS-NN
    "FullyConnectedParams": "9*word 3*byte",
    "LstmSizeInfo": "byte 4*word",
    "CellStateInfo": "word short word",
    "OpDataLSTM": "LstmSizeInfo CellStateInfo enum 8*FullyConnectedParams 3*ArithmeticParams 4*word",
    "CmsisNnLstmGate": "2*word 2*ptr 2*word 3*ptr enum",
    "CmsisNnLstm": "OpDataLSTM 15*word 4*CmsisNnLstmGate",
    "OpDataAbsRsqrt": "4*word byte 2*enum",
    "OpDataMirrorPad": "5*word",
    "OpDataBatchMatmul": "3*ptr 3*byte",
    "QuantizationOpDataBatchMatmul": "7*word",
    "OpDataCumsum": "9*word",
    "OpDataAddN": "10*word",
    "OpDataElu": "256*byte",
    "LogSoftmaxOpData": "5*word 2*ptr",
    "OpDataSelect": "byte",
    "OpDataSquaredDifference": "byte ArithmeticParams",
    "LeakyReluOpData": "6*word",
    "Relu6OpData": "2*word",
}


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
        size = up(size, alignment) + int(count or 1) * member_size
        widest = max(widest, alignment)
    return up(size, widest), widest


def up(size: int, alignment: int) -> int:
    """A size rounded up.

    >>> up(17, 16)
    32
    """
    return -(-size // alignment) * alignment
