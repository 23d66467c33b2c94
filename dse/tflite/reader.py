"""TFLite files: what stands in one, and the gate that every exported file passes. No TensorFlow.

Field numbers are those of TensorFlow's schema.fbs; a test compares every reading with the published generated reader,
whose tables of names are used here. Files come from anywhere: whatever is wrong with one is a FileError.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from dse._util.files import first_bytes
from dse.cost.tflm.graph import TYPE_BYTES, Operator, OperatorGraph, Tensor
from dse.cost.tflm.planner import ONLINE
from dse.cost.tflm.scratch import REDUCING
from dse.errors import FileError
from dse.tflite.flatbuffer import Buffer, MalformedError, Table

MAX_FILE_BYTES = 64 << 20
MAX_TENSORS = 4096
MAX_ELEMENTS = 1 << 40  # of one tensor
IDENTIFIER = b"TFL3"
OFFLINE_PLAN = "OfflineMemoryAllocation"  # tensorflow/lite/micro/micro_allocation_info.cc
PLAN_HEADER = 3  # version, subgraph, number of tensors

# What TFLM runs in int8 and dse's blocks can produce. A stand-alone RELU6 is not among them: TFLM runs it in int8
# without rescaling and returns wrong numbers silently.
# How many axes the second input has of those kinds whose cost depends on it: weights, or the axes of a reduction.
RANK_OF_SECOND = {
    "CONV_2D": (4,), "DEPTHWISE_CONV_2D": (4,), "TRANSPOSE_CONV": (4,), "FULLY_CONNECTED": (2,),
    **dict.fromkeys(REDUCING, (0, 1)),
}  # fmt: skip
# The field of each kind's options in which its fused activation stands.
FUSED_FIELD = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 0, "ADD": 0, "MUL": 0, "SUB": 0, "MAX_POOL_2D": 5,
    "AVERAGE_POOL_2D": 5, "CONCATENATION": 1,
}  # fmt: skip


# The fields of stride (down, across) and dilation.
STRIDE_FIELDS = dict.fromkeys(
    ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D"), (2, 1)
)
DILATION_FIELDS = {"CONV_2D": (5, 4), "DEPTHWISE_CONV_2D": (6, 5)}
CALLS = {"IF": 2, "WHILE": 2, "CALL_ONCE": 1}  # how many subgraphs each runs
WITHOUT_OUTPUT = ("ASSIGN_VARIABLE", "CALL_ONCE", "WHILE", "IF")
WITH_OPTIONS = {*FUSED_FIELD, *STRIDE_FIELDS, *CALLS, "BATCH_MATMUL", "VAR_HANDLE"}
LEAST_INPUTS = {
    "ASSIGN_VARIABLE": 2,
    "READ_VARIABLE": 1,
    "SVDF": 3,
    "BATCH_MATMUL": 2,
    "TRANSPOSE_CONV": 3,
}
# Of the inputs of an LSTM those that TFLM's kernel cannot do without: data, kernels, biases, states (lstm_shared.h).
NUM_LSTM, LSTM_INPUTS = 24, (*range(9), *range(12, 16), 18, 19)
MAX_SUBGRAPHS = 256
MAX_STEP = 1 << 16  # of a window, or between its values


ETHOS_U = "CUSTOM 'ethos-u'"
UNPRICED_TYPES = ("STRING", "COMPLEX64", "COMPLEX128", "INT4", "INT2", "UINT4", "VARIANT", "BFLOAT16")


class UnpricedError(Exception):
    """A file that is right, and holds what dse does not describe."""


@cache
def _names(enumeration: str) -> dict[int, str]:
    """The names of an enumeration of the schema, by value. BuiltinOperator, TensorType, ActivationFunctionType."""
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enumeration)).items() if name.isupper()}


def load_tflite(path: Path) -> tuple[bytes, OperatorGraph]:
    """The bytes of a file and the graph in it. Raises FileError."""
    content = first_bytes(path, MAX_FILE_BYTES + 1)
    return content, read_tflite(content, str(path))


def read_tflite(content: bytes, name: str = "model") -> OperatorGraph:
    """The graph in the bytes of a TFLite file. Raises FileError when they are none, or hold what is not known here."""
    if len(content) > MAX_FILE_BYTES:
        raise FileError(name, None, "", f"more than {MAX_FILE_BYTES:,} bytes, expected a model for a microcontroller")
    try:
        return _graph(Buffer(content).root())
    except UnpricedError as error:
        raise FileError(name, None, "", f"a TFLite model that dse cannot price: {error}") from None
    except MalformedError as error:
        why = str(error)
        if content[4:8] != IDENTIFIER:  # TFLM does without it
            why = f"bytes 4 to 8 are {content[4:8]!r}, expected {IDENTIFIER!r}"
        raise FileError(name, None, "", f"not a TFLite model: {why}") from None


def _graph(model: Table) -> OperatorGraph:
    tables = model.tables(2)
    if not 0 < len(tables) <= MAX_SUBGRAPHS:
        raise MalformedError(f"{len(tables)} subgraphs, expected 1 to {MAX_SUBGRAPHS}")
    buffers = model.tables(4)
    sizes = [buffer.length(0) for buffer in buffers]
    kinds = [_kind(code) for code in model.tables(1)]
    if ETHOS_U in kinds:
        raise UnpricedError("it was compiled for an Ethos-U: give the file that was there before Vela")
    if (count := sum(table.length(0, 4) for table in tables)) > MAX_TENSORS:
        raise MalformedError(f"{count:,} tensors, expected at most {MAX_TENSORS:,}")
    main, *others = (_subgraph(table, kinds, sizes, len(tables)) for table in tables)
    if not main.inputs or not main.outputs:
        raise MalformedError(f"{len(main.operators)} operators, {len(main.inputs)} inputs, {len(main.outputs)} outputs")
    _check_calls([main, *others], 0, ())
    return replace(main, offline=_offline_plan(model, buffers, count), others=tuple(others))


def _subgraph(table: Table, kinds: list[str], sizes: list[int], num_subgraphs: int) -> OperatorGraph:
    tensors = [_tensor(one, sizes) for one in table.tables(0)]
    operators = [_operator(one, kinds, len(tensors), num_subgraphs) for one in table.tables(3)]
    inputs, outputs = table.numbers(1, "i"), table.numbers(2, "i")
    if not all(0 <= index < len(tensors) for index in (*inputs, *outputs)):
        raise MalformedError(f"inputs {inputs[:4]} and outputs {outputs[:4]}, expected tensors below {len(tensors)}")
    names: dict[int, str] = {}  # of variables, by the tensors that are handles of them
    for number, operator in enumerate(operators):
        if operator.kind == "VAR_HANDLE":
            names[operator.outputs[0]] = operator.variable
            tensors[operator.outputs[0]] = replace(tensors[operator.outputs[0]], kept="handle")
        elif operator.kind in ("ASSIGN_VARIABLE", "READ_VARIABLE"):
            operators[number] = replace(operator, variable=names.get(operator.inputs[0], ""))
    _check_order(tensors, operators, inputs, outputs)
    return OperatorGraph(tuple(tensors), tuple(operators), inputs, outputs)


def _check_calls(graphs: list[OperatorGraph], number: int, path: tuple[int, ...]) -> None:
    """No subgraph calls itself, which would be without end."""
    if number in path or len(path) > MAX_SUBGRAPHS:
        raise MalformedError(f"subgraph {number} calls itself")
    for operator in graphs[number].operators:
        for called in operator.calls:
            _check_calls(graphs, called, (*path, number))


def _check_order(
    tensors: Sequence[Tensor], operators: Sequence[Operator], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    """Every tensor is written once, and before it is read."""
    written = {
        *inputs,
        *(index for index, tensor in enumerate(tensors) if tensor.constant or tensor.kept == "variable"),
    }
    for operator in operators:
        for index in operator.inputs:
            if index >= 0 and index not in written:
                raise MalformedError(f"{operator.kind} reads tensor {index} before it is written")
        for index in operator.outputs:
            if index in written:
                raise MalformedError(f"{operator.kind} writes tensor {index}, which is constant or written before")
            written.add(index)
        weights = operator.inputs[1] if len(operator.inputs) > 1 else -1
        if operator.kind in RANK_OF_SECOND:
            rank = RANK_OF_SECOND[operator.kind]
            if weights < 0 or operator.inputs[0] < 0 or len(tensors[weights].shape) not in rank:
                raise MalformedError(
                    f"{operator.kind} takes {operator.inputs[:4]}, expected a tensor and its weights or axes"
                )
        if (
            operator.kind in LEAST_INPUTS
            and len([one for one in operator.inputs if one >= 0]) < LEAST_INPUTS[operator.kind]
        ):
            raise MalformedError(f"{operator.kind} takes {operator.inputs[:4]}, expected {LEAST_INPUTS[operator.kind]}")
        if operator.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            taken = operator.inputs if len(operator.inputs) == NUM_LSTM else (-1,) * NUM_LSTM
            if any(taken[index] < 0 for index in LSTM_INPUTS) or not tensors[taken[19]].shape:
                raise MalformedError(f"{operator.kind} takes {operator.inputs}, expected {NUM_LSTM} tensors")
    if not set(outputs) <= written:
        raise MalformedError(f"output {min(set(outputs) - written)} is never written")


def _kind(code: Table) -> str:
    """The operator that an operator code stands for; the value moved to a wider field when it outgrew a byte."""
    value = max(code.number(0, "b"), code.number(3, "i"))
    kind = _names("BuiltinOperator").get(value)
    if kind is None:
        raise MalformedError(f"operator code {value} is none")
    return f"CUSTOM {code.text(1)[:40]!r}" if kind == "CUSTOM" else kind


def _tensor(table: Table, sizes: list[int]) -> Tensor:
    # It is shown on terminals: what could move the cursor or colour the text is not let through.
    name = "".join(letter if letter.isprintable() else "?" for letter in table.text(3)[:200])
    kind = _names("TensorType").get(table.number(1, "b"))
    shape = table.numbers(0, "i")
    buffer = table.number(2, "I")
    if kind in UNPRICED_TYPES:
        raise UnpricedError(f"tensor {name!r} has type {kind}, expected one of {', '.join(TYPE_BYTES)}")
    if kind not in TYPE_BYTES:
        raise MalformedError(f"tensor {name!r} has type {kind}, expected one of {', '.join(TYPE_BYTES)}")
    if min(shape, default=1) < 0 or len(shape) > 8 or math.prod(shape) > MAX_ELEMENTS:
        raise MalformedError(f"tensor {name!r} has shape {shape[:8]}, expected up to 8 axes of fixed sizes")
    if buffer >= len(sizes):
        raise MalformedError(f"tensor {name!r} has buffer {buffer} of {len(sizes)}")
    if table.table(6) or table.number(10, "I"):
        raise UnpricedError(f"tensor {name!r} is sparse or external")
    quantization = table.table(4)
    scales = quantization.length(2, 4) if quantization else 0
    is_variable = bool(table.number(5, "B")) and not sizes[buffer]
    tensor = Tensor(kind, shape, sizes[buffer] > 0, scales, name, "variable" if is_variable else "")
    if tensor.constant and tensor.num_bytes != sizes[buffer]:
        raise MalformedError(f"tensor {name!r} of shape {shape[:8]} has {sizes[buffer]:,} bytes of data")
    return tensor


def _operator(table: Table, kinds: list[str], num_tensors: int, num_subgraphs: int) -> Operator:
    code = table.number(0, "I")
    if code >= len(kinds):
        raise MalformedError(f"operator code {code} of {len(kinds)}")
    kind, inputs, outputs = kinds[code], table.numbers(1, "i"), table.numbers(2, "i")
    if not all(-1 <= index < num_tensors for index in inputs) or not all(0 <= index < num_tensors for index in outputs):
        raise MalformedError(f"{kind} takes {inputs[:4]} to {outputs[:4]}, expected tensors below {num_tensors}")
    if not outputs and kind not in WITHOUT_OUTPUT:
        raise MalformedError(f"{kind} has no output")
    options = table.table(4) if kind in WITH_OPTIONS else None
    fused = options.number(FUSED_FIELD[kind], "b") if options and kind in FUSED_FIELD else 0
    activation = _names("ActivationFunctionType").get(fused, "") if fused else ""
    stride = _steps(kind, options, STRIDE_FIELDS, 0)
    dilation = _steps(kind, options, DILATION_FIELDS, 1)
    turned = (False, False)
    if options and kind == "BATCH_MATMUL":
        turned = bool(options.number(0, "b")), bool(options.number(1, "b"))
    calls = tuple(options.number(field, "i") for field in range(CALLS.get(kind, 0))) if options else ()
    if not all(0 < called < num_subgraphs for called in calls):
        raise MalformedError(f"{kind} calls subgraphs {calls}, expected 1 to {num_subgraphs - 1}")
    variable = f"{options.text(0)}/{options.text(1)}" if options and kind == "VAR_HANDLE" else ""
    return Operator(kind, inputs, outputs, activation, stride, dilation, turned, calls, variable)


def _steps(kind: str, options: Table | None, fields: dict[str, tuple[int, int]], default: int) -> tuple[int, int]:
    """Two numbers of an operator's options."""
    if not options or kind not in fields:
        return (1, 1)
    down, across = (options.number(field, "i", default) for field in fields[kind])
    if not (0 < down <= MAX_STEP and 0 < across <= MAX_STEP):
        raise MalformedError(f"{kind} has steps of {down} and {across}, expected 1 or more")
    return down, across


def _offline_plan(model: Table, buffers: list[Table], num_tensors: int) -> tuple[int, ...]:
    for entry in model.tables(6):
        if entry.text(0) == OFFLINE_PLAN:
            index = entry.number(1, "I")
            data = buffers[index].data(0) if index < len(buffers) else b""
            if len(data) != 4 * (PLAN_HEADER + num_tensors):
                raise MalformedError(f"{OFFLINE_PLAN} has {len(data)} bytes for {num_tensors} tensors")
            offsets = struct.unpack(f"<{num_tensors}i", data[4 * PLAN_HEADER :])
            if min(offsets, default=0) < ONLINE:
                raise MalformedError(f"{OFFLINE_PLAN} places a tensor at {min(offsets)}, expected {ONLINE} or more")
            return offsets if max(offsets, default=ONLINE) > ONLINE else ()
    return ()
