"""An exported file brought into the form in which it is flashed.

Operators in the order that needs least memory, an offline memory plan where TFLM's own wastes some, and nothing that
a microcontroller does not read: no tensor names, no buffers without data, no notes of the converter. Weights,
quantization and options are untouched, so the outputs are the same, bit for bit.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dse.cost.tflm.arrange import arranged
from dse.errors import FileError
from dse.tflite.reader import IDENTIFIER, OFFLINE_PLAN, read_tflite

BUFFER_ALIGNMENT = 16  # what schema.fbs asks for; the generated writer leaves it out, and a kernel reads words there

INPUT_NAME, OUTPUT_NAME = "serving_default_input:0", "StatefulPartitionedCall_1:0"  # as a saved model has them


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer that is written with its alignment."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self.data is None:
            schema.BufferStart(builder)
            return int(schema.BufferEnd(builder))
        data = np.asarray(self.data, np.uint8)
        builder.StartVector(1, len(data), BUFFER_ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def with_signature(content: bytes) -> bytes:
    """The file with the signature and the names of input and output that a saved model gives it: `input` and
    `output_0` of `serving_default`. It is for a file of one input and one output."""
    model = schema.ModelT.InitFromPackedBuf(content)
    subgraph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    ((read,), (written,)) = subgraph.inputs, subgraph.outputs
    signature.inputs, signature.outputs = [_entry("input", read)], [_entry("output_0", written)]
    subgraph.tensors[read].name, subgraph.tensors[written].name = INPUT_NAME, OUTPUT_NAME
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _entry(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry


def for_device(content: bytes) -> bytes:
    """The file as it is flashed. Raises FileError when `content` is no TFLite file."""
    graph, order, numbers = arranged(read_tflite(content))
    model = schema.ModelT.InitFromPackedBuf(content)
    subgraph = model.subgraphs[0]
    new = {old: index for index, old in enumerate(numbers)} | {-1: -1}
    named = {*graph.inputs, *graph.outputs}

    buffers = [_AlignedBuffer()]  # the first is the empty one, which every activation has
    places: dict[int, int] = {}
    tensors = []
    for index, old in enumerate(numbers):
        tensor = subgraph.tensors[old]
        if graph.tensors[index].constant:
            if tensor.buffer not in places:
                places[tensor.buffer] = len(buffers)
                buffers.append(_buffer(model.buffers[tensor.buffer].data))
            tensor.buffer = places[tensor.buffer]
        else:
            tensor.buffer = 0
        tensor.name = tensor.name if index in named else None
        tensor.shapeSignature = None
        tensors.append(tensor)

    operators = [subgraph.operators[index] for index in order]
    for operator, arranged_operator in zip(operators, graph.operators, strict=True):
        operator.inputs, operator.outputs = list(arranged_operator.inputs), list(arranged_operator.outputs)

    subgraph.tensors, subgraph.operators = tensors, operators
    subgraph.inputs, subgraph.outputs = list(graph.inputs), list(graph.outputs)
    for signature in model.signatureDefs or []:
        for entry in (*(signature.inputs or []), *(signature.outputs or [])):
            if entry.tensorIndex not in new:
                raise FileError(
                    "model", None, "", f"its signature names tensor {entry.tensorIndex}, which nothing uses"
                )
            entry.tensorIndex = new[entry.tensorIndex]
    model.metadata, model.metadataBuffer = None, None
    if graph.offline:
        entry = schema.MetadataT()
        entry.name, entry.buffer = OFFLINE_PLAN, len(buffers)
        model.metadata = [entry]
        buffers.append(_buffer(np.array([1, 0, len(graph.offline), *graph.offline], "<i4").view(np.uint8)))
    model.buffers = buffers
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _buffer(data: Any) -> _AlignedBuffer:
    buffer = _AlignedBuffer()
    buffer.data = data
    return buffer
