"""The reader of TFLite files reads what the published one reads, and survives what it would not."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from dse.cost.report import estimate_graph
from dse.cost.tflm.graph import OperatorGraph
from dse.errors import DseError, FileError
from dse.tflite.flatbuffer import Buffer, MalformedError
from dse.tflite.reader import FUSED_FIELD, MAX_TENSORS, load_tflite, read_tflite
from tests.helpers.paths import MODELS, PUBLISHED_MODELS

SMALL = MODELS / "colabnas_vww_k2c3.tflite"


@pytest.mark.parametrize("path", PUBLISHED_MODELS, ids=lambda path: path.stem)
def test_it_reads_what_the_published_reader_reads(path: Path) -> None:
    content, graph = load_tflite(path)
    model = schema.ModelT.InitFromPackedBuf(content)
    subgraph = model.subgraphs[0]
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    types = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    functions = {value: name for name, value in vars(schema.ActivationFunctionType).items() if name.isupper()}
    assert len(subgraph.tensors) == len(graph.tensors)
    for theirs, ours in zip(subgraph.tensors, graph.tensors, strict=True):
        assert types[theirs.type] == ours.type
        assert tuple(theirs.shape if theirs.shape is not None else ()) == ours.shape
        data = model.buffers[theirs.buffer].data
        assert (data is not None and len(data) > 0) == ours.constant
        scale = theirs.quantization.scale if theirs.quantization else None
        assert (0 if scale is None else len(scale)) == ours.num_scales
        assert theirs.name.decode()[:200] == ours.name
    for theirs, ours in zip(subgraph.operators, graph.operators, strict=True):
        code = model.operatorCodes[theirs.opcodeIndex]
        assert kinds[max(code.builtinCode, code.deprecatedBuiltinCode)] == ours.kind
        assert (tuple(theirs.inputs), tuple(theirs.outputs)) == (ours.inputs, ours.outputs)
        if ours.kind in FUSED_FIELD:
            assert functions[theirs.builtinOptions.fusedActivationFunction] == (ours.fused or "NONE")
    assert (tuple(subgraph.inputs), tuple(subgraph.outputs)) == (graph.inputs, graph.outputs)


def test_no_file_and_no_model() -> None:
    with pytest.raises(FileError, match=r"nowhere\.tflite: cannot be read: No such file"):
        load_tflite(Path("nowhere.tflite"))
    with pytest.raises(FileError, match=r"x\.tflite: not a TFLite model: .* expected b'TFL3'"):
        read_tflite(b"GIF89a this is a picture", "x.tflite")
    with pytest.raises(FileError, match="not a TFLite model"):
        read_tflite(b"")


def test_more_than_it_can_hold() -> None:
    """A vector that says it has four thousand million elements, and one that is within the file but absurd."""
    content = bytearray(struct.pack("<IH", 8, 0) + bytes(2) + struct.pack("<i", 4) + bytes(64))
    content[4:8] = struct.pack("<HH", 6, 8)  # the vtable: 6 bytes, a field at offset 4
    struct.pack_into("<HHH", content, 4, 6, 8, 4)
    struct.pack_into("<I", content, 12, 4)  # the field: a vector 4 bytes on
    struct.pack_into("<I", content, 16, 0xFFFFFFFF)
    struct.pack_into("<i", content, 8, 4)
    with pytest.raises(MalformedError):
        Buffer(bytes(content)).root().tables(0)

    def many(model: schema.ModelT) -> None:
        model.subgraphs[0].tensors *= 200

    with pytest.raises(FileError, match=f"tensors, expected at most {MAX_TENSORS:,}"):
        read_tflite(repacked(many))


def repacked(change: Callable[[schema.ModelT], None]) -> bytes:
    """The small model with something changed."""
    model = schema.ModelT.InitFromPackedBuf(SMALL.read_bytes())
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _no_inputs(model: schema.ModelT) -> None:
    code = [code.builtinCode for code in model.operatorCodes].index(schema.BuiltinOperator.CONV_2D)
    next(operator for operator in model.subgraphs[0].operators if operator.opcodeIndex == code).inputs = []


def _cycle(model: schema.ModelT) -> None:
    operators = model.subgraphs[0].operators
    operators[1].inputs = [operators[3].outputs[0], *operators[1].inputs[1:]]


def _written_twice(model: schema.ModelT) -> None:
    operators = model.subgraphs[0].operators
    operators[2].outputs = operators[1].outputs


def _negative_plan(model: schema.ModelT) -> None:
    entry, buffer = schema.MetadataT(), schema.BufferT()
    count = len(model.subgraphs[0].tensors)
    buffer.data = np.array([1, 0, count, *[-2] * count], "<i4").view(np.uint8)
    entry.name, entry.buffer = "OfflineMemoryAllocation", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [entry]


def _dynamic(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[0].shape = [-1, 50, 50, 3]


def _short_data(model: schema.ModelT) -> None:
    buffer = next(buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) > 8)
    buffer.data = buffer.data[:-1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_no_inputs, "CONV_2D takes (), expected a tensor and its weights"),
        (_cycle, "before it is written"),
        (_written_twice, "which is constant or written before"),
        (_negative_plan, "OfflineMemoryAllocation places a tensor at -2, expected -1 or more"),
        (_dynamic, "has shape (-1, 50, 50, 3), expected up to 8 axes of fixed sizes"),
        (_short_data, "bytes of data"),
    ],
)
def test_what_no_converter_writes(change: Callable[[schema.ModelT], None], problem: str) -> None:
    with pytest.raises(FileError, match=re.escape(problem)):
        read_tflite(repacked(change))


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def _noise(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content)))
    noise = rng.bytes(int(rng.integers(1, 64)))
    return content[:start] + noise + content[start + len(noise) :]


def _flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 20)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _huge(content: bytes, rng: np.random.Generator) -> bytes:
    """Large numbers where counts and offsets may stand."""
    changed = bytearray(content)
    values = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF, len(content), len(content) - 4, 1 << 20)
    for place in rng.integers(len(content) // 4 - 1, size=rng.integers(1, 8)):
        struct.pack_into("<I", changed, 4 * int(place), values[rng.integers(len(values))])
    return bytes(changed)


def _moved(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch of the file copied to another place, so that tables point into each other."""
    size = int(rng.integers(4, 256))
    source, target = (4 * int(place) for place in rng.integers((len(content) - size) // 4, size=2))
    return content[:target] + content[source : source + size] + content[target + size :]


MUTATIONS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (_cut, _noise, _flipped, _huge, _moved)
SECONDS = 10.0  # for one file of 8 KB that takes a millisecond when it is whole: a hang, not a slow machine


def survive(count: int, seed: int) -> dict[str, int]:
    """How many of so many mutated files were read, and how many refused; anything else is an error of the test."""
    content, rng = SMALL.read_bytes(), np.random.default_rng(seed)
    ended = {"read": 0, "refused": 0}
    for index in range(count):
        mutated = MUTATIONS[index % len(MUTATIONS)](content, rng)
        began = time.monotonic()
        try:
            graph = read_tflite(mutated, "mutated.tflite")
            assert isinstance(graph, OperatorGraph)
            estimate_graph(graph, len(mutated))
            ended["read"] += 1
        except DseError as error:
            assert str(error)
            ended["refused"] += 1
        assert time.monotonic() - began < SECONDS, f"mutation {index} of seed {seed} took too long"
    return ended


def test_mutated_files_are_read_or_refused() -> None:
    ended = survive(1_000, seed=0)
    assert min(ended.values()) > 100  # neither kind is rare, so both ways are tested


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_mutated_files_are_read_or_refused(seed: int) -> None:
    survive(5_000, seed)
