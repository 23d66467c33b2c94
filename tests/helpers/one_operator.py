"""Tiny int8 TFLite files of one kind of operator, written without a converter: enough for TFLM to prepare them."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

IMAGE = (1, 4, 4, 8)
CHANNELS = 8
INT8, INT32, FLOAT32 = schema.TensorType.INT8, schema.TensorType.INT32, schema.TensorType.FLOAT32
INT16, BOOL = schema.TensorType.INT16, schema.TensorType.BOOL


class Writer:
    """Collects tensors and one operator."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.name = [], b"main"
        self.buffers = [schema.BufferT()]

    def tensor(self, shape: tuple[int, ...], kind: int = INT8, scales: tuple[float, ...] = (0.05,), **more: Any) -> int:
        """Index of a new tensor; `data` makes it a constant."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = b"t", list(shape), kind
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = list(scales)
            tensor.quantization.zeroPoint = [more.get("zero_point", 0)] * len(scales)
            tensor.quantization.quantizedDimension = more.get("axis", 0)
        if (data := more.get("data")) is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def numbers(self, *values: int, shape: tuple[int, ...] | None = None) -> int:
        """Index of a constant of int32: axes, a shape, paddings."""
        shape = (len(values),) if shape is None else shape
        return self.tensor(shape, INT32, scales=(), data=np.array(values, np.int32))

    def weights(self, shape: tuple[int, ...], scales: tuple[float, ...], axis: int = 0) -> int:
        """Index of an int8 kernel."""
        return self.tensor(shape, scales=scales, axis=axis, data=np.ones(shape, np.int8))

    def file(self, kind: str, inputs: list[int], outputs: list[int], options: Any) -> bytes:
        """The file of one operator; its inputs and outputs that are no constants are those of the graph."""
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, outputs
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        sources = [index for index in inputs if not self.graph.tensors[index].buffer]
        return self.graph_of(kind, [operator], sources, outputs)

    def graph_of(self, kind: str, operators: list[Any], inputs: list[int], outputs: list[int]) -> bytes:
        """The file of operators of one kind."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.graph.operators, self.graph.inputs, self.graph.outputs = operators, inputs, outputs
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs = 3, [code], [self.graph]
        model.buffers, model.description = self.buffers, b""
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _options(name: str, **values: Any) -> Any:
    options = getattr(schema, f"{name}OptionsT")()
    for key, value in values.items():
        setattr(options, key, value)
    return options


# One input, one output: operator → (shape of the output, options, constant inputs). Scales of the output are below.
UNARY: dict[str, tuple[tuple[int, ...], Any, list[tuple[int, ...]]]] = {
    "ARG_MAX": ((1, 4, 4), _options("ArgMax", outputType=INT32), [(3,)]),
    "ARG_MIN": ((1, 4, 4), _options("ArgMin", outputType=INT32), [(3,)]),
    "AVERAGE_POOL_2D": ((1, 2, 2, 8), _options("Pool2D", strideW=2, strideH=2, filterWidth=2, filterHeight=2), []),
    "DEQUANTIZE": (IMAGE, _options("Dequantize"), []),
    "EXPAND_DIMS": ((1, *IMAGE), _options("ExpandDims"), [(0,)]),
    "HARD_SWISH": (IMAGE, None, []),
    "LEAKY_RELU": (IMAGE, _options("LeakyRelu", alpha=0.1), []),
    "LOGISTIC": (IMAGE, None, []),
    "MAX_POOL_2D": ((1, 2, 2, 8), _options("Pool2D", strideW=2, strideH=2, filterWidth=2, filterHeight=2), []),
    "MEAN": ((1, 8), _options("Reducer"), [(1, 2)]),
    "PAD": ((1, 6, 6, 8), _options("Pad"), [(0, 0, 1, 1, 1, 1, 0, 0)]),
    "QUANTIZE": (IMAGE, _options("Quantize"), []),
    "REDUCE_MAX": ((1, 8), _options("Reducer"), [(1, 2)]),
    "REDUCE_MIN": ((1, 8), _options("Reducer"), [(1, 2)]),
    "RELU": (IMAGE, None, []),
    "RELU6": (IMAGE, None, []),
    "RESHAPE": ((1, 128), _options("Reshape", newShape=[1, 128]), [(1, 128)]),
    "RESIZE_BILINEAR": ((1, 8, 8, 8), _options("ResizeBilinear"), [(8, 8)]),
    "RESIZE_NEAREST_NEIGHBOR": ((1, 8, 8, 8), _options("ResizeNearestNeighbor"), [(8, 8)]),
    "SHAPE": ((4,), _options("Shape", outType=INT32), []),
    "SLICE": ((1, 2, 2, 8), _options("Slice"), [(0, 0, 0, 0), (1, 2, 2, 8)]),
    "SOFTMAX": (IMAGE, _options("Softmax", beta=1.0), []),
    "SQUEEZE": ((4, 4, 8), _options("Squeeze", squeezeDims=[0]), []),
    "STRIDED_SLICE": ((1, 2, 2, 8), _options("StridedSlice"), [(0, 0, 0, 0), (1, 2, 2, 8), (1, 1, 1, 1)]),
    "SUM": ((1, 8), _options("Reducer"), [(1, 2)]),
    "TANH": (IMAGE, None, []),
    "TRANSPOSE": ((1, 4, 8, 4), _options("Transpose"), [(0, 1, 3, 2)]),
}
BINARY = {
    "ADD": _options("Add"),
    "DIV": _options("Div"),
    "MAXIMUM": _options("MaximumMinimum"),
    "MINIMUM": _options("MaximumMinimum"),
    "MUL": _options("Mul"),
    "SUB": _options("Sub"),
}
NOT_INT8 = {"ARG_MAX": INT32, "ARG_MIN": INT32, "DEQUANTIZE": FLOAT32, "SHAPE": INT32}
PRESCRIBED_SCALES = {
    "LOGISTIC": (1 / 256, -128),
    "SOFTMAX": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "QUANTIZE": (0.1, 0),
}


def one_operator(kind: str) -> bytes:
    """A file of this operator; FULLY_CONNECTED has one scale, FULLY_CONNECTED/CHANNELS one for each output."""
    writer = Writer()
    if kind in UNARY:
        shape, options, constants = UNARY[kind]
        source = writer.tensor(IMAGE)
        more = [
            writer.numbers(*values, shape={"PAD": (4, 2), "EXPAND_DIMS": (), "ARG_MAX": (), "ARG_MIN": ()}.get(kind))
            for values in constants
        ]
        scale, zero_point = PRESCRIBED_SCALES.get(kind, (0.05, 0))
        scales = () if kind in NOT_INT8 else (scale,)
        output = writer.tensor(shape, NOT_INT8.get(kind, INT8), scales, zero_point=zero_point)
        return writer.file(kind, [source, *more], [output], options)
    if kind in BINARY:
        return writer.file(kind, [writer.tensor(IMAGE), writer.tensor(IMAGE)], [writer.tensor(IMAGE)], BINARY[kind])
    return OTHERS[kind](writer)


def called(content: bytes, kind: str) -> bytes:
    """The file of one operator with another kind in its place."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    [code] = model.operatorCodes
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def chain(length: int, channels: int) -> bytes:
    """A file of HARD_SWISH after HARD_SWISH, each on so many values."""
    writer = Writer()
    tensors = [writer.tensor((1, 1, 1, channels)) for _ in range(length + 1)]
    operators = []
    for source, output in itertools.pairwise(tensors):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [source], [output]
        operators.append(operator)
    return writer.graph_of("HARD_SWISH", operators, tensors[:1], tensors[-1:])


def pixel_convolution(channels: int) -> bytes:
    """A file of one 1x1 convolution of a single pixel to so many channels."""
    writer, scales = Writer(), (0.01,) * channels
    source, kernel = writer.tensor((1, 1, 1, 8)), writer.weights((channels, 1, 1, 8), scales)
    bias = writer.tensor((channels,), INT32, scales=(0.0005,) * channels, data=np.zeros(channels, np.int32))
    output = writer.tensor((1, 1, 1, channels))
    return writer.file("CONV_2D", [source, kernel, bias], [output], _options("Conv2D", strideW=1, strideH=1))


def _convolution(writer: Writer) -> bytes:
    source, scales = writer.tensor(IMAGE), (0.01,) * CHANNELS
    kernel = writer.weights((CHANNELS, 3, 3, 8), scales)
    bias = writer.tensor((CHANNELS,), INT32, scales=(0.0005,) * CHANNELS, data=np.zeros(CHANNELS, np.int32))
    options = _options("Conv2D", strideW=1, strideH=1)
    return writer.file("CONV_2D", [source, kernel, bias], [writer.tensor(IMAGE)], options)


def _depthwise(writer: Writer) -> bytes:
    source, scales = writer.tensor(IMAGE), (0.01,) * CHANNELS
    kernel = writer.weights((1, 3, 3, CHANNELS), scales, axis=3)
    bias = writer.tensor((CHANNELS,), INT32, scales=(0.0005,) * CHANNELS, data=np.zeros(CHANNELS, np.int32))
    options = _options("DepthwiseConv2D", strideW=1, strideH=1, depthMultiplier=1)
    return writer.file("DEPTHWISE_CONV_2D", [source, kernel, bias], [writer.tensor(IMAGE)], options)


def _fully_connected(writer: Writer, num_scales: int = 1) -> bytes:
    source, kernel = writer.tensor((1, 16)), writer.weights((CHANNELS, 16), (0.01,) * num_scales)
    return writer.file("FULLY_CONNECTED", [source, kernel], [writer.tensor((1, CHANNELS))], _options("FullyConnected"))


def _transposed_convolution(writer: Writer) -> bytes:
    shape, kernel = writer.numbers(1, 8, 8, CHANNELS), writer.weights((CHANNELS, 2, 2, 8), (0.01,) * CHANNELS)
    source, output = writer.tensor(IMAGE), writer.tensor((1, 8, 8, CHANNELS))
    return writer.file(
        "TRANSPOSE_CONV", [shape, kernel, source], [output], _options("TransposeConv", strideW=2, strideH=2)
    )


def _split(writer: Writer, kind: str) -> bytes:
    axis, source = writer.numbers(3, shape=()), writer.tensor(IMAGE)
    inputs = [axis, source] if kind == "SPLIT" else [source, writer.numbers(4, 4), axis]
    outputs = [writer.tensor((1, 4, 4, 4)), writer.tensor((1, 4, 4, 4))]
    return writer.file(kind, inputs, outputs, _options("Split" if kind == "SPLIT" else "SplitV", numSplits=2))


def _svdf(writer: Writer) -> bytes:
    """Eight filters with a memory of ten steps, which is a variable."""
    source, features = writer.tensor((1, 16)), writer.weights((8, 16), (0.01,))
    time = writer.tensor((8, 10), INT16, (0.001,), data=np.ones((8, 10), np.int16))
    bias = writer.tensor((8,), INT32, (0.00001,), data=np.zeros(8, np.int32))  # of the state times that of `time`
    state = writer.tensor((1, 80), INT16, (0.01,))
    writer.graph.tensors[state].isVariable = True
    output = writer.tensor((1, 8))
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [source, features, time, bias, state], [output]
    operator.builtinOptions = _options("SVDF", rank=1, fusedActivationFunction=1)
    operator.builtinOptionsType = schema.BuiltinOptions.SVDFOptions
    return writer.graph_of("SVDF", [operator], [source], [output])


def _lstm(writer: Writer, kind: int = INT8) -> bytes:
    """Three steps of six values into five, whose states are variables; no peepholes, projection or norm."""
    numbers = {INT8: (INT8, INT32, INT16), FLOAT32: (FLOAT32, FLOAT32, FLOAT32)}[kind]
    of_weights, of_biases, of_cell = numbers
    arrays = {INT8: np.int8, INT32: np.int32, FLOAT32: np.float32}

    def constant(shape: tuple[int, ...], of: int) -> int:
        return writer.tensor(shape, of, () if kind == FLOAT32 else (0.01,), data=np.ones(shape, arrays[of]))

    source = writer.tensor((1, 3, 6), kind, () if kind == FLOAT32 else (0.1,))
    kernels = [constant((5, 6), of_weights) for _ in range(4)] + [constant((5, 5), of_weights) for _ in range(4)]
    biases = [constant((5,), of_biases) for _ in range(4)]
    hidden = writer.tensor((1, 5), kind, () if kind == FLOAT32 else (1 / 128,))
    cell = writer.tensor((1, 5), of_cell, () if kind == FLOAT32 else (2.0**-11,))
    for state in (hidden, cell):
        writer.graph.tensors[state].isVariable = True
    output = writer.tensor((1, 3, 5), kind, () if kind == FLOAT32 else (1 / 128,))
    operator = schema.OperatorT()
    inputs = [source, *kernels, -1, -1, -1, *biases, -1, -1, hidden, cell, -1, -1, -1, -1]
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, [output]
    operator.builtinOptions = _options("UnidirectionalSequenceLSTM", fusedActivationFunction=4)  # tanh
    operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    return writer.graph_of("UNIDIRECTIONAL_SEQUENCE_LSTM", [operator], [source], [output])


# Operators on values alone: their number of inputs, and the types of input and output.
ELEMENTWISE = {
    **dict.fromkeys(
        ("CEIL", "COS", "EXP", "FLOOR", "LOG", "NEG", "ROUND", "SIN", "SQRT", "SQUARE"), (1, FLOAT32, FLOAT32)
    ),
    "ZEROS_LIKE": (1, INT8, INT8),
    "LOGICAL_NOT": (1, BOOL, BOOL),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR"), (2, BOOL, BOOL)),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD"), (2, FLOAT32, FLOAT32)),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), (2, INT8, BOOL)),
}


def _elementwise(writer: Writer, kind: str) -> bytes:
    count, source, output = ELEMENTWISE[kind]
    inputs = [writer.tensor(IMAGE, source, (0.05,) if source == INT8 else ()) for _ in range(count)]
    return writer.file(kind, inputs, [writer.tensor(IMAGE, output, (0.05,) if output == INT8 else ())], None)


def _plain(
    writer: Writer, kind: str, value_type: int, options: str = "", scale: tuple[float, int] = (0.05, 0)
) -> bytes:
    """One input and one output of a type."""
    scales = () if value_type == FLOAT32 else (0.05,)
    source = writer.tensor(IMAGE, value_type, scales)
    output = writer.tensor(IMAGE, value_type, scales and scale[:1], zero_point=scale[1])
    return writer.file(kind, [source], [output], _options(options) if options else None)


def _matrices(writer: Writer, value_type: int, **turned: bool) -> bytes:
    scales = () if value_type == FLOAT32 else (0.05,)
    first = writer.tensor((2, 6, 4) if turned.get("adjX") else (2, 4, 6), value_type, scales)
    second = writer.tensor((2, 5, 6) if turned.get("adjY") else (2, 6, 5), value_type, scales)
    output = writer.tensor((2, 4, 5), value_type, scales)
    return writer.file("BATCH_MATMUL", [first, second], [output], _options("BatchMatMul", **turned))


OTHERS = {
    "CONCATENATION": lambda w: w.file(
        "CONCATENATION",
        [w.tensor(IMAGE), w.tensor(IMAGE)],
        [w.tensor((1, 4, 4, 16))],
        _options("Concatenation", axis=3),
    ),
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "FULLY_CONNECTED/CHANNELS": lambda w: _fully_connected(w, CHANNELS),
    "PACK": lambda w: w.file(
        "PACK", [w.tensor(IMAGE), w.tensor(IMAGE)], [w.tensor((2, *IMAGE))], _options("Pack", valuesCount=2)
    ),
    "PADV2": lambda w: w.file(
        "PADV2",
        [w.tensor(IMAGE), w.numbers(0, 0, 1, 1, 1, 1, 0, 0, shape=(4, 2)), w.weights((1,), (0.05,))],
        [w.tensor((1, 6, 6, 8))],
        _options("PadV2"),
    ),
    "PRELU": lambda w: w.file("PRELU", [w.tensor(IMAGE), w.weights((1, 1, 8), (0.05,))], [w.tensor(IMAGE)], None),
    "SPLIT": lambda w: _split(w, "SPLIT"),
    "SPLIT_V": lambda w: _split(w, "SPLIT_V"),
    "TRANSPOSE_CONV": _transposed_convolution,
    **{kind: partial(_elementwise, kind=kind) for kind in ELEMENTWISE},
    "ABS": partial(_plain, kind="ABS", value_type=INT8),
    "RSQRT": partial(_plain, kind="RSQRT", value_type=INT8),
    "ELU": partial(_plain, kind="ELU", value_type=INT8),
    "CAST": lambda w: w.file("CAST", [w.tensor(IMAGE)], [w.tensor(IMAGE, FLOAT32, ())], _options("Cast")),
    "L2_NORMALIZATION": partial(_plain, kind="L2_NORMALIZATION", options="L2Norm", value_type=FLOAT32),
    "LOG_SOFTMAX": partial(_plain, kind="LOG_SOFTMAX", scale=(16 / 256, 127), value_type=INT8),
    "LOG_SOFTMAX/FLOAT32": partial(_plain, kind="LOG_SOFTMAX", value_type=FLOAT32),
    "SOFTMAX/INT16": partial(_plain, kind="SOFTMAX", options="Softmax", scale=(1 / 32768, 0), value_type=INT16),
    "CUMSUM": lambda w: w.file("CUMSUM", [w.tensor(IMAGE), w.numbers(3)], [w.tensor(IMAGE)], _options("Cumsum")),
    "ADD_N": lambda w: w.file("ADD_N", [w.tensor(IMAGE) for _ in range(3)], [w.tensor(IMAGE)], None),
    "ADD_N/FLOAT32": lambda w: w.file(
        "ADD_N", [w.tensor(IMAGE, FLOAT32, ()) for _ in range(3)], [w.tensor(IMAGE, FLOAT32, ())], None
    ),
    "SQUARED_DIFFERENCE": lambda w: w.file(
        "SQUARED_DIFFERENCE", [w.tensor(IMAGE), w.tensor(IMAGE)], [w.tensor(IMAGE)], None
    ),
    "SELECT_V2": lambda w: w.file(
        "SELECT_V2", [w.tensor(IMAGE, BOOL, ()), w.tensor(IMAGE), w.tensor(IMAGE)], [w.tensor(IMAGE)], None
    ),
    "GATHER": lambda w: w.file(
        "GATHER", [w.tensor(IMAGE), w.numbers(0, 2)], [w.tensor((1, 2, 4, 8))], _options("Gather", axis=1)
    ),
    "GATHER_ND": lambda w: w.file(
        "GATHER_ND", [w.tensor(IMAGE), w.numbers(0, 1, shape=(1, 2))], [w.tensor((1, 4, 8))], None
    ),
    "BROADCAST_TO": lambda w: w.file(
        "BROADCAST_TO", [w.tensor((1, 1, 1, 8)), w.numbers(*IMAGE)], [w.tensor(IMAGE)], None
    ),
    "BROADCAST_ARGS": lambda w: w.file(
        "BROADCAST_ARGS", [w.numbers(1, 8), w.tensor((2,), INT32, ())], [w.tensor((2,), INT32, ())], None
    ),
    "FILL": lambda w: w.file("FILL", [w.numbers(2, 2), w.tensor((), INT8)], [w.tensor((2, 2))], None),
    "MIRROR_PAD": lambda w: w.file(
        "MIRROR_PAD",
        [w.tensor(IMAGE), w.numbers(0, 0, 1, 1, 1, 1, 0, 0, shape=(4, 2))],
        [w.tensor((1, 6, 6, 8))],
        _options("MirrorPad"),
    ),
    "REVERSE_V2": lambda w: w.file("REVERSE_V2", [w.tensor(IMAGE), w.numbers(3)], [w.tensor(IMAGE)], None),
    "REDUCE_ALL": lambda w: w.file(
        "REDUCE_ALL", [w.tensor(IMAGE, BOOL, ()), w.numbers(1, 2)], [w.tensor((1, 8), BOOL, ())], _options("Reducer")
    ),
    "SPACE_TO_DEPTH": lambda w: w.file(
        "SPACE_TO_DEPTH", [w.tensor(IMAGE)], [w.tensor((1, 2, 2, 32))], _options("SpaceToDepth", blockSize=2)
    ),
    "DEPTH_TO_SPACE": lambda w: w.file(
        "DEPTH_TO_SPACE", [w.tensor(IMAGE)], [w.tensor((1, 8, 8, 2))], _options("DepthToSpace", blockSize=2)
    ),
    "SPACE_TO_BATCH_ND": lambda w: w.file(
        "SPACE_TO_BATCH_ND",
        [w.tensor(IMAGE), w.numbers(2, 2), w.numbers(0, 0, 0, 0, shape=(2, 2))],
        [w.tensor((4, 2, 2, 8))],
        None,
    ),
    "BATCH_TO_SPACE_ND": lambda w: w.file(
        "BATCH_TO_SPACE_ND",
        [w.tensor((4, 2, 2, 8)), w.numbers(2, 2), w.numbers(0, 0, 0, 0, shape=(2, 2))],
        [w.tensor((1, 4, 4, 8))],
        None,
    ),
    "BATCH_MATMUL": lambda w: _matrices(w, FLOAT32),
    "BATCH_MATMUL/INT8": lambda w: _matrices(w, INT8),
    "BATCH_MATMUL/TURNED": lambda w: _matrices(w, INT8, adjX=True, adjY=True),
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM/FLOAT": lambda w: _lstm(w, FLOAT32),
    "UNPACK": lambda w: w.file(
        "UNPACK", [w.tensor((2, 4))], [w.tensor((4,)), w.tensor((4,))], _options("Unpack", num=2)
    ),
}
ALL = sorted((*UNARY, *BINARY, *OTHERS))
