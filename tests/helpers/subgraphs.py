"""Small TFLite files of several subgraphs, written without a converter."""

from __future__ import annotations

from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


class Op(NamedTuple):
    """An operator; `options` are those of its kind."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: Any = None


class Graph(NamedTuple):
    """A subgraph; a tensor is a shape and a type, and a value where it is constant."""

    tensors: list[tuple[Any, ...]]
    operators: list[Op]
    inputs: list[int]
    outputs: list[int]


def options(name: str, **values: Any) -> Any:
    """Options of an operator, such as `Add`."""
    found = getattr(schema, f"{name}OptionsT")()
    for key, value in values.items():
        setattr(found, key, value)
    return found


def file_of(*graphs: Graph) -> bytes:
    """The file of these subgraphs; the first is the main one."""
    model = schema.ModelT()
    model.version, model.buffers, model.description = 3, [schema.BufferT()], b""
    model.subgraphs = []
    kinds = sorted({operator.kind for graph in graphs for operator in graph.operators})
    model.operatorCodes = []
    for kind in kinds:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
    for graph in graphs:
        written = schema.SubGraphT()
        written.name, written.inputs, written.outputs = b"graph", graph.inputs, graph.outputs
        written.tensors = [_tensor(model, *tensor) for tensor in graph.tensors]
        written.operators = []
        for one in graph.operators:
            operator = schema.OperatorT()
            operator.opcodeIndex, operator.inputs, operator.outputs = kinds.index(one.kind), one.inputs, one.outputs
            if one.options is not None:
                operator.builtinOptions = one.options
                operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(one.options).__name__[:-1])
            written.operators.append(operator)
        model.subgraphs.append(written)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(model: Any, shape: tuple[int, ...], kind: str, value: np.ndarray | str | None = None) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = b"t", list(shape), getattr(schema.TensorType, kind)
    if kind in ("INT8", "INT16"):
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [0.05], [0]
    if isinstance(value, str):
        tensor.isVariable = True
    elif value is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    return tensor


VECTOR = ((1, 8), "FLOAT32")
ONE = ((), "FLOAT32", np.ones((), np.float32))
ADDS = Graph([VECTOR, ONE, VECTOR], [Op("ADD", [0, 1], [2], options("Add"))], [0], [2])
LONGER = Graph(  # with more alive at once
    [VECTOR, ONE, VECTOR, VECTOR, VECTOR],
    [
        Op("ADD", [0, 1], [2], options("Add")),
        Op("MUL", [2, 1], [3], options("Mul")),
        Op("SUB", [3, 2], [4], options("Sub")),
    ],
    [0],
    [4],
)
BRANCHING = Graph(
    [VECTOR, ((2,), "INT32", np.array([0, 1], np.int32)), ONE, ((), "FLOAT32"), ((), "BOOL"), VECTOR],
    [
        Op("SUM", [0, 1], [3], options("Reducer")),
        Op("GREATER", [3, 2], [4], options("Greater")),
        Op("IF", [4, 0], [5], options("If", thenSubgraphIndex=1, elseSubgraphIndex=2)),
    ],
    [0],
    [5],
)
SMALL = Graph(  # the condition of a loop
    [VECTOR, ((2,), "INT32", np.array([0, 1], np.int32)), ONE, ((), "FLOAT32"), ((), "BOOL")],
    [Op("SUM", [0, 1], [3], options("Reducer")), Op("LESS", [3, 2], [4], options("Less"))],
    [0],
    [4],
)
LOOPING = Graph(
    [VECTOR, VECTOR], [Op("WHILE", [0], [1], options("While", condSubgraphIndex=1, bodySubgraphIndex=2))], [0], [1]
)
STATE = ((1, 4, 1, 8), "INT8")
STREAMING = Graph(
    [((1, 1, 1, 8), "INT8"), ((), "RESOURCE"), STATE, ((1, 5, 1, 8), "INT8"), STATE]
    + [((4,), "INT32", np.array(numbers, np.int32)) for numbers in ([0, 1, 0, 0], [1, 5, 1, 8], [1, 1, 1, 1])],
    [
        Op("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1)),
        Op("VAR_HANDLE", [], [1], options("VarHandle", container=b"", sharedName=b"state")),
        Op("READ_VARIABLE", [1], [2], options("ReadVariable")),
        Op("CONCATENATION", [2, 0], [3], options("Concatenation", axis=1)),
        Op("STRIDED_SLICE", [3, 5, 6, 7], [4], options("StridedSlice")),
        Op("ASSIGN_VARIABLE", [1, 4], [], options("AssignVariable")),
    ],
    [0],
    [3],
)
FIRST_STATE = Graph(
    [((), "RESOURCE"), (*STATE, np.zeros((1, 4, 1, 8), np.int8))],
    [
        Op("VAR_HANDLE", [], [0], options("VarHandle", container=b"", sharedName=b"state")),
        Op("ASSIGN_VARIABLE", [0, 1], [], options("AssignVariable")),
    ],
    [],
    [],
)
FILES = {
    "if": file_of(BRANCHING, ADDS, LONGER),
    "while": file_of(LOOPING, SMALL, LONGER),
    "streaming": file_of(STREAMING, FIRST_STATE),
    "two signatures": file_of(ADDS, LONGER),
    "called twice": file_of(BRANCHING, LONGER, LONGER),
}
