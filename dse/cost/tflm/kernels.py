"""What TFLM keeps in the tail of an arena for each operator, by its kernel.

File names are those of tensorflow/tflite-micro, below tensorflow/lite/micro. Every buffer that a kernel asks for is
rounded up to 16 bytes.
"""

from __future__ import annotations

from functools import cache

from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import Operator, Tensor
from dse.cost.tflm.scratch import CELL_STATE, Tensors, weight_sums
from dse.cost.tflm.structs import layout
from dse.errors import UnknownNameError

ALIGNMENT = 16  # of every buffer that a kernel asks for; micro_arena_constants.h
SOFTMAX_TABLE = 513  # values of each of the two tables of an int16 softmax; kernels/internal/common.h
QUANTIZED = ("INT8", "INT16")

# By operator: what the parser keeps of its options (tflite_bridge, flatbuffer_conversions.cc), and what the kernel
# asks for in its Init. Empty: it asks for nothing.
KERNELS = {
    "ABS": ("", "OpDataAbsRsqrt"),
    "ADD": ("TfLiteAddParams", "OpDataAdd"),
    "ADD_N": ("", ""),
    "ARG_MAX": ("TfLiteMulParams", ""),
    "ARG_MIN": ("TfLiteMulParams", ""),
    "ASSIGN_VARIABLE": ("", "OpDataAssign"),
    "AVERAGE_POOL_2D": ("TfLitePoolParams", "OpDataPooling"),
    "BATCH_MATMUL": ("TfLiteBatchMatMulParams", "OpDataBatchMatmul"),
    "BATCH_TO_SPACE_ND": ("", ""),
    "BROADCAST_ARGS": ("", ""),
    "BROADCAST_TO": ("", ""),
    "CALL_ONCE": ("TfLiteSoftmaxParams", "OpDataCallOnce"),
    "CAST": ("TfLiteCastParams", ""),
    "CEIL": ("", ""),
    "CONCATENATION": ("TfLiteConcatenationParams", "OpDataConcatenation"),
    "CONV_2D": ("TfLiteConvParams", "OpDataConv"),
    "COS": ("", ""),
    "CUMSUM": ("TfLiteCumsumParams", ""),
    "DEPTHWISE_CONV_2D": ("TfLiteDepthwiseConvParams", "OpDataConv"),
    "DEPTH_TO_SPACE": ("TfLiteSoftmaxParams", ""),
    "DEQUANTIZE": ("", "OpDataQuantize"),
    "DIV": ("TfLiteMulParams", "OpDataDiv"),
    "ELU": ("", "OpDataElu"),
    "EQUAL": ("", "ComparisonParams"),
    "EXP": ("", ""),
    "EXPAND_DIMS": ("", ""),
    "FILL": ("", ""),
    "FLOOR": ("", ""),
    "FLOOR_DIV": ("", ""),
    "FLOOR_MOD": ("", ""),
    "FULLY_CONNECTED": ("TfLiteFullyConnectedParams", "OpDataFullyConnected"),
    "GATHER": ("TfLiteGatherParams", ""),
    "GATHER_ND": ("", ""),
    "GREATER": ("", "ComparisonParams"),
    "GREATER_EQUAL": ("", "ComparisonParams"),
    "HARD_SWISH": ("", "HardSwishParams"),
    "IF": ("TfLiteGatherParams", "OpDataBranch"),
    "L2_NORMALIZATION": ("TfLiteMulParams", "L2NormalizationParams"),
    "LEAKY_RELU": ("TfLiteSoftmaxParams", "LeakyReluOpData"),
    "LESS": ("", "ComparisonParams"),
    "LESS_EQUAL": ("", "ComparisonParams"),
    "LOG": ("", ""),
    "LOGICAL_AND": ("", ""),
    "LOGICAL_NOT": ("", ""),
    "LOGICAL_OR": ("", ""),
    "LOGISTIC": ("", "LogisticParams"),
    "LOG_SOFTMAX": ("", ""),
    "MAXIMUM": ("", ""),
    "MAX_POOL_2D": ("TfLitePoolParams", "OpDataPooling"),
    "MEAN": ("TfLiteReducerParams", "OpDataReduce"),
    "MINIMUM": ("", ""),
    "MIRROR_PAD": ("TfLiteMulParams", "OpDataMirrorPad"),
    "MUL": ("TfLiteMulParams", "OpDataMul"),
    "NEG": ("", ""),
    "NOT_EQUAL": ("", "ComparisonParams"),
    "PACK": ("TfLitePackParams", ""),
    "PAD": ("", "OpDataPad"),
    "PADV2": ("", "OpDataPad"),
    "PRELU": ("", "PreluParams"),
    "QUANTIZE": ("", "OpDataQuantize"),
    "READ_VARIABLE": ("", ""),
    "REDUCE_ALL": ("TfLiteReducerParams", "OpDataReduce"),
    "REDUCE_MAX": ("TfLiteReducerParams", "OpDataReduce"),
    "REDUCE_MIN": ("TfLiteReducerParams", "OpDataReduce"),
    "RELU": ("", "ReluParams"),
    "RELU6": ("", "Relu6OpData"),
    "RESHAPE": ("TfLiteReshapeParams", ""),
    "RESIZE_BILINEAR": ("TfLiteResizeParams", ""),
    "RESIZE_NEAREST_NEIGHBOR": ("TfLiteResizeParams", ""),
    "REVERSE_V2": ("", ""),
    "ROUND": ("", ""),
    "RSQRT": ("", "OpDataAbsRsqrt"),
    "SELECT_V2": ("", "OpDataSelect"),
    "SHAPE": ("TfLiteMulParams", ""),
    "SIN": ("", ""),
    "SLICE": ("", ""),
    "SOFTMAX": ("TfLiteSoftmaxParams", "SoftmaxParams"),
    "SPACE_TO_BATCH_ND": ("", "SpaceToBatchParams"),
    "SPACE_TO_DEPTH": ("TfLiteSoftmaxParams", ""),
    "SPLIT": ("TfLiteSoftmaxParams", ""),
    "SPLIT_V": ("TfLiteSoftmaxParams", ""),
    "SQRT": ("", ""),
    "SQUARE": ("", ""),
    "SQUARED_DIFFERENCE": ("", "OpDataSquaredDifference"),
    "SQUEEZE": ("TfLiteReshapeParams", ""),
    "STRIDED_SLICE": ("TfLiteStridedSliceParams", "StridedSliceParams"),
    "SUB": ("TfLiteAddParams", "OpDataSub"),
    "SUM": ("TfLiteReducerParams", "OpDataReduce"),
    "SVDF": ("TfLiteSvdfParams", "OpDataSvdf"),
    "TANH": ("", "LogisticParams"),
    "TRANSPOSE": ("", ""),
    "TRANSPOSE_CONV": ("TfLiteTransposeConvParams", "OpDataTransposeConv"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("TfLiteUnidirectionalSequenceLSTMParams", "OpDataLSTM"),
    "UNPACK": ("TfLitePackParams", ""),
    "VAR_HANDLE": ("TfLiteVarHandleParams", "OpDataVarHandle"),
    "WHILE": ("TfLiteGatherParams", "OpDataBranch"),
    "ZEROS_LIKE": ("", ""),
}
KNOWN_OPERATORS = frozenset(KERNELS)
# Those of ESP-NN: the same struct and the number of a buffer (esp-tflite-micro, kernels/esp_nn).
OF_ESP_NN = {"CONV_2D": "CmsisNnConv", "DEPTHWISE_CONV_2D": "CmsisNnConv", "SOFTMAX": "EspNnSoftmax"}
# TFLM has them (micro_mutable_op_resolver.h), and they are not described here.
UNPRICED = frozenset(("DYNAMIC_UPDATE_SLICE", "EMBEDDING_LOOKUP", "L2_POOL_2D"))
# What kernels of CMSIS-NN ask for in their Init instead.
OF_CMSIS_NN = {
    "AVERAGE_POOL_2D": "CmsisNnPooling",
    "CONV_2D": "CmsisNnConv",
    "DEPTHWISE_CONV_2D": "CmsisNnConv",
    "FULLY_CONNECTED": "CmsisNnFullyConnected",
    "MAX_POOL_2D": "CmsisNnPooling",
    "SOFTMAX": "CmsisNnSoftmax",
    "TRANSPOSE_CONV": "CmsisNnTransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "CmsisNnLstm",
}


@cache
def kernel_of(kind: str, build: Build) -> tuple[tuple[int, int], int]:
    """Size and alignment of an operator's parameters, and the bytes that its kernel keeps."""
    try:
        params, data = KERNELS[kind]
    except KeyError:
        raise UnknownNameError("TFLM operator", kind, KNOWN_OPERATORS) from None
    if build.kernels == "cmsis-nn":
        data = OF_CMSIS_NN.get(kind, data)
    if build.kernels == "esp-nn":
        data = OF_ESP_NN.get(kind, data)
    return layout(params, build) if params else (0, 1), layout(data, build)[0] if data else 0


def kept(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """Bytes of each buffer that a kernel keeps beside its struct, when it is prepared."""
    match operator.kind:
        case "CONV_2D" | "DEPTHWISE_CONV_2D" | "TRANSPOSE_CONV" | "FULLY_CONNECTED":
            each = 4 * _num_multipliers(operator, tensors, build)
            sums = weight_sums(operator, tensors, build)
            return tuple(size for size in (each, each, sums) if size)
        case "SOFTMAX" if tensors[operator.inputs[0]].type == "INT16":
            return (2 * SOFTMAX_TABLE,) * 2  # kernels/softmax_common.cc
        case kind if kind in ONLY_INT8 and tensors[operator.outputs[0]].type == "INT8":
            return (layout(ONLY_INT8[kind], build)[0],)
        case kind if kind in SHAPING:
            return (_shape_bytes(tensors[operator.outputs[0]]),)
        case "BATCH_MATMUL":
            return _matrices(operator, tensors, build)
        case "UNIDIRECTIONAL_SEQUENCE_LSTM" if build.kernels == "cmsis-nn":
            # kernels/cmsis_nn/unidirectional_sequence_lstm.cc: of each gate the bias of its two products.
            state, source = tensors[operator.inputs[CELL_STATE]], tensors[operator.inputs[0]]
            each = state.shape[-1] * {"INT8": 4, "INT16": 8}.get(source.type, 0)
            return (each,) * 8 if each and state.type == "INT16" else ()
        case _:
            return ()


# What kernels keep for int8 alone: kernels/add_n.cc, cumsum.cc, log_softmax.cc.
ONLY_INT8 = {"ADD_N": "OpDataAddN", "CUMSUM": "OpDataCumsum", "LOG_SOFTMAX": "LogSoftmaxOpData"}
# Kernels that write the shape of their output anew, into a copy (CreateWritableTensorDimsWithCopy).
SHAPING = ("DEPTH_TO_SPACE", "GATHER", "GATHER_ND", "SPACE_TO_DEPTH")


def _num_multipliers(operator: Operator, tensors: Tensors, build: Build) -> int:
    # kernels/conv_common.cc, depthwise_conv_common.cc, transpose_conv.cc: one for each channel, even with one scale.
    # kernels/fully_connected_common.cc: only with a scale for each channel. CMSIS-NN's for int8 and int16 alone.
    weights = tensors[operator.inputs[1]]
    if build.kernels == "cmsis-nn" and weights.type != "INT8":
        return 0
    if operator.kind == "DEPTHWISE_CONV_2D":
        return weights.shape[3]
    if operator.kind == "FULLY_CONNECTED":
        return weights.num_scales if weights.num_scales > 1 else 0
    return weights.shape[0]


def _matrices(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """kernels/batch_matmul.cc: each operand that is not as it is multiplied is kept once more, turned; and the shape of
    the output."""
    is_quantized = tensors[operator.inputs[0]].type in QUANTIZED
    found = [layout("QuantizationOpDataBatchMatmul", build)[0]] if is_quantized else []
    for index, is_turned in zip(operator.inputs, (operator.turned[0], not operator.turned[1]), strict=False):
        if is_turned:
            tensor = tensors[index]
            found += [layout("TfLiteEvalTensor", build)[0], _shape_bytes(tensor), tensor.num_bytes]
    return (*found, _shape_bytes(tensors[operator.outputs[0]]))


def _shape_bytes(tensor: Tensor) -> int:
    """A TfLiteIntArray: their number, and the numbers."""
    return 4 + 4 * len(tensor.shape)
