"""Which operators TFLM runs on which types: what a file must keep to beside having known operators.

Measured with the wheel of October 2026: a model of each operator and type was allocated and run, with the reference
kernels.
"""

from __future__ import annotations

from collections.abc import Iterator

from dse.cost.tflm.graph import TYPE_BYTES, Operator, OperatorGraph, Tensor

F, I8, I16, I32, I64, BOOL = "FLOAT32", "INT8", "INT16", "INT32", "INT64", "BOOL"
USUAL = (F, I8, I16)
ANY = (F, I8, I16, I32, I64, BOOL, "UINT8", "FLOAT16")
# By the type of the values that an operator works on: its first input, or the one that VALUES names.
TYPES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ADD", "MUL", "SUB", "PAD", "PADV2", "SPLIT", "SPLIT_V", "UNPACK"), (*USUAL, I32)),
    **dict.fromkeys(
        ("ARG_MAX", "ARG_MIN", "HARD_SWISH", "PRELU", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_BILINEAR", "ELU", "CUMSUM",
         "L2_NORMALIZATION", "LOG_SOFTMAX", "ADD_N", "GATHER", "GATHER_ND", "MIRROR_PAD", "SPACE_TO_DEPTH",
         "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
        (F, I8),
    ),
    **dict.fromkeys(
        ("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED", "LEAKY_RELU", "LOGISTIC",
         "MAX_POOL_2D", "MEAN", "RELU", "RELU6", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX", "SUM", "TANH", "TRANSPOSE",
         "ABS", "RSQRT", "SELECT_V2", "BATCH_MATMUL", "TRANSPOSE_CONV"),
        USUAL,
    ),
    **dict.fromkeys(
        ("SIN", "COS", "LOG", "SQRT", "SQUARE", "CEIL", "EXP", "FLOOR", "ROUND", "NEG", "FLOOR_DIV", "FLOOR_MOD"), (F,)
    ),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "PACK"), (*USUAL, I32, I64)),
    **dict.fromkeys(("RESHAPE", "SHAPE", "SQUEEZE", "BROADCAST_TO"), ANY),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), (*USUAL, I32, BOOL)),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "REDUCE_ALL"), (BOOL,)),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), (F, I8, I32, I64, BOOL)),
    **dict.fromkeys(("GREATER_EQUAL", "LESS", "LESS_EQUAL", "ZEROS_LIKE"), (F, I8, I32, I64)),
    "GREATER": (*USUAL, I32, I64),
    "CONCATENATION": (*USUAL, I32, I64, BOOL),
    "DEQUANTIZE": (I8, I16, "UINT8"),
    "DIV": (F, I8, I32),
    "QUANTIZE": (*USUAL, "UINT8", I32),
    "CAST": (*USUAL, I32, BOOL),
    "SQUARED_DIFFERENCE": (*USUAL, I32),
    "BROADCAST_ARGS": (I32,),
    "FILL": (F, I8, I32),
    "SVDF": (F, I8),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (F, I8, I16),
    **dict.fromkeys(("IF", "WHILE", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"), (*ANY, "RESOURCE")),
    "REVERSE_V2": (*USUAL, I32, I64, BOOL, "UINT8"),
}  # fmt: skip
VALUES = {"SPLIT": 1, "TRANSPOSE_CONV": 2, "SELECT_V2": 1, "FILL": 1}
# What QUANTIZE makes of which.
QUANTIZED_FROM = {I8: (*USUAL, "UINT8", I32), I16: (*USUAL, I32), I32: (I8, I16), "UINT8": (I8,)}
# Weights by the type of the values.
WEIGHTS = {F: (F,), I8: (I8,), I16: (I8,)}
WEIGHTED = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
MOST_INPUTS = {"CONCATENATION": 10}
MOST_AXES = {"STRIDED_SLICE": 4, "TRANSPOSE": 5}
ADVICE = {
    "hybrid": "dynamic-range quantization: convert with a representative data set",
    "uint8": "the scheme of TensorFlow 1: convert to int8",
    "float16": "weights in float16: convert to int8, or leave them in float32",
}


def refusals(graph: OperatorGraph) -> Iterator[str]:
    """Why TFLM does not run a graph, a sentence for each operator that it refuses; none where it does."""
    for place, one in enumerate(graph.subgraphs):
        where = f" of subgraph {place}" if place else ""
        for number, operator in enumerate(one.operators):
            if reason := _refusal(operator, one.tensors):
                yield f"{operator.kind} (operator {number}{where}) {reason}"


def _refusal(operator: Operator, tensors: tuple[Tensor, ...]) -> str:
    kind = operator.kind
    inputs = [tensors[index] for index in operator.inputs if index >= 0]
    place = VALUES.get(kind, 0)
    if kind not in TYPES or len(inputs) <= place or not operator.outputs:
        return ""
    values, output = inputs[place], tensors[operator.outputs[0]]
    if values.type == "UINT8" and values.type not in TYPES[kind]:
        return f"takes uint8, which TFLM has no kernel for ({ADVICE['uint8']})"
    if kind == "DEQUANTIZE" and values.type == "FLOAT16":
        return f"takes float16 ({ADVICE['float16']})"
    if values.type not in TYPES[kind]:
        return f"takes {_name(values)}, which TFLM has no kernel for; it has {_names(TYPES[kind])}"
    if kind in WEIGHTED:
        weights = inputs[WEIGHTED[kind]]
        if weights.type not in WEIGHTS[values.type]:
            why = f" ({ADVICE['hybrid']})" if values.type == F and weights.type == I8 else ""
            why = f" ({ADVICE['float16']})" if weights.type == "FLOAT16" else why
            why = f" ({ADVICE['uint8']})" if weights.type == "UINT8" else why
            return f"takes {_name(values)} with {_name(weights)} weights{why}"
    if kind == "QUANTIZE" and values.type not in QUANTIZED_FROM.get(output.type, ()):
        return f"makes {_name(output)} of {_name(values)}, which TFLM has no kernel for"
    if kind == "DEQUANTIZE" and output.type != F:
        return f"makes {_name(output)} of {_name(values)}, which TFLM has no kernel for"
    if len(inputs) > MOST_INPUTS.get(kind, len(inputs)):
        return f"takes {len(inputs)} inputs, and TFLM at most {MOST_INPUTS[kind]}"
    if len(values.shape) > MOST_AXES.get(kind, 8):
        return f"takes {len(values.shape)} axes, and TFLM at most {MOST_AXES[kind]}"
    return ""


def _name(tensor: Tensor) -> str:
    return tensor.type.lower()


def _names(types: tuple[str, ...]) -> str:
    return ", ".join(one.lower() for one in types)


def computed_in(graph: OperatorGraph) -> str:
    """The type in which most of the work is done, as TFLite names it: that of the values which weights meet, or of the
    inputs where there are none; of several the widest."""
    found = {
        graph.tensors[operator.inputs[VALUES.get(operator.kind, 0)]].type
        for operator in graph.operators
        if operator.kind in WEIGHTED or operator.kind == "BATCH_MATMUL"
    } or {graph.tensors[index].type for index in graph.inputs}
    return max(found, key=lambda name: (TYPE_BYTES[name], name))
