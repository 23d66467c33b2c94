"""The file that is flashed: aligned, without what a microcontroller does not read, and still a file that LiteRT reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from dse.cost.report import estimate_graph
from dse.errors import FileError
from dse.tflite.interpreters import int8_input, run_litert
from dse.tflite.reader import read_tflite
from dse.tflite.writer import for_device
from tests.helpers.paths import MODELS, PUBLISHED_MODELS

RESNET = MODELS / "mlperf_resnet8.tflite"


@pytest.mark.parametrize("path", PUBLISHED_MODELS, ids=lambda path: path.stem)
def test_weights_are_aligned_as_the_schema_asks(path: Path) -> None:
    """A Cortex-M reads biases as words where they lie; the generated writer would put them anywhere."""
    content = for_device(path.read_bytes())
    model = schema.Model.GetRootAs(content)
    seen = 0
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0  # force_align in schema.fbs
            seen += 1
    assert seen > 5


def test_names_and_notes_are_left_out_and_what_computes_is_kept() -> None:
    before = schema.ModelT.InitFromPackedBuf(RESNET.read_bytes())
    after = schema.ModelT.InitFromPackedBuf(for_device(RESNET.read_bytes()))
    named = [tensor for tensor in after.subgraphs[0].tensors if tensor.name]
    assert len(named) == 2  # the input and the output
    assert len(after.buffers) == 1 + sum(t.constant for t in read_tflite(RESNET.read_bytes()).tensors)
    for old, new in zip(before.subgraphs[0].operators, after.subgraphs[0].operators, strict=True):
        assert old.opcodeIndex == new.opcodeIndex
        assert values(old.builtinOptions) == values(new.builtinOptions)
        for old_index, new_index in zip(old.inputs, new.inputs, strict=True):
            one, other = before.subgraphs[0].tensors[old_index], after.subgraphs[0].tensors[new_index]
            assert (one.type, list(one.shape)) == (other.type, list(other.shape))
            if one.quantization.scale is not None:
                assert np.array_equal(one.quantization.scale, other.quantization.scale)
                assert np.array_equal(one.quantization.zeroPoint, other.quantization.zeroPoint)
                assert one.quantization.quantizedDimension == other.quantization.quantizedDimension
            data, moved = before.buffers[one.buffer].data, after.buffers[other.buffer].data
            assert (data is None and moved is None) or np.array_equal(data, moved)


def values(options: object) -> dict[str, object]:
    """What an operator's options hold; SOFTMAX and ADD have some, RESHAPE an array, others nothing."""
    found = vars(options) if hasattr(options, "__dict__") else {}
    return {name: np.asarray(value).tolist() for name, value in found.items()}


def test_rewriting_twice_changes_nothing() -> None:
    for path in PUBLISHED_MODELS:
        once = for_device(path.read_bytes())
        assert for_device(once) == once


@pytest.mark.keras
@pytest.mark.tflm
def test_the_signature_still_names_input_and_output() -> None:
    from tests.helpers.conversion import convert
    from tests.helpers.networks import wide_candidates

    candidate = next(wide_candidates(1, seed=4))
    content = for_device(convert(candidate))
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    (source,) = runner.get_input_details().values()
    assert tuple(source["shape"]) == (1, *candidate.input_shape)
    images = np.zeros((1, *candidate.input_shape), np.uint8)
    (logits,) = runner(**{next(iter(runner.get_input_details())): int8_input(images)}).values()
    assert (
        np.abs(logits.reshape(-1).astype(int) - run_litert(content, images)[0]).max() <= 1
    )  # XNNPACK rounds otherwise


def test_a_plan_in_a_file_is_read_and_obeyed() -> None:
    """MLPerf's MobileNet has a plan after rewriting, if it is at hand; a plan that is too short is refused."""
    for path in PUBLISHED_MODELS:
        content = for_device(path.read_bytes())
        graph = read_tflite(content)
        assert bool(graph.offline) == (estimate_graph(graph, len(content)).plan == "offline")
        if graph.offline:
            assert len(graph.offline) == len(graph.tensors)
            model = schema.ModelT.InitFromPackedBuf(content)
            plan = next(entry for entry in model.metadata if entry.name == b"OfflineMemoryAllocation")
            model.buffers[plan.buffer].data = model.buffers[plan.buffer].data[:-4]
            import flatbuffers

            builder = flatbuffers.Builder()
            builder.Finish(model.Pack(builder), b"TFL3")
            with pytest.raises(FileError, match="OfflineMemoryAllocation has"):
                read_tflite(bytes(builder.Output()))
