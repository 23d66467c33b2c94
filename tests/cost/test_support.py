"""What TFLM does not run is told, and what it runs is not refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner

from dse.cli import cli
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.tflm.kernels import KNOWN_OPERATORS
from dse.cost.tflm.support import ANY, TYPES, computed_in, refusals
from dse.tflite.reader import read_tflite
from tests.helpers import one_operator
from tests.helpers.paths import PUBLISHED_MODELS, RESULTS
from tests.helpers.tflm import runs


def test_every_operator_that_has_a_price_has_its_types() -> None:
    assert set(TYPES) == KNOWN_OPERATORS


@pytest.mark.parametrize("kind", one_operator.ALL)
def test_an_operator_on_a_type_of_its_own_is_not_refused(kind: str) -> None:
    assert not list(refusals(read_tflite(one_operator.one_operator(kind))))


def test_models_that_run_are_not_refused() -> None:
    files = [*PUBLISHED_MODELS, *RESULTS.glob("*/bundles/*/*.tflite")]
    assert len(files) > 20
    for path in files:
        assert not list(refusals(read_tflite(path.read_bytes(), str(path)))), path


def convolution(values: str, weights: str, bias: str = "INT32") -> OperatorGraph:
    image, kernel = Tensor(values, (1, 4, 4, 8)), Tensor(weights, (8, 3, 3, 8), constant=True)
    tensors = (image, kernel, Tensor(bias, (8,), constant=True), image)
    return OperatorGraph(tensors, (Operator("CONV_2D", (0, 1, 2), (3,)),), (0,), (3,))


@pytest.mark.parametrize(
    ("values", "weights", "reason"),
    [
        ("INT8", "INT8", ""),
        ("INT16", "INT8", ""),
        ("FLOAT32", "FLOAT32", ""),
        ("FLOAT32", "INT8", "takes float32 with int8 weights (dynamic-range quantization: convert with a repres"),
        ("FLOAT32", "FLOAT16", "takes float32 with float16 weights (weights in float16"),
        ("UINT8", "UINT8", "takes uint8, which TFLM has no kernel for (the scheme of TensorFlow 1"),
        ("INT8", "UINT8", "takes int8 with uint8 weights (the scheme of TensorFlow 1"),
        ("INT16", "INT16", "takes int16 with int16 weights"),
        ("INT64", "INT8", "takes int64, which TFLM has no kernel for; it has float32, int8, int16"),
    ],
)
def test_values_and_weights_go_together(values: str, weights: str, reason: str) -> None:
    graph = convolution(values, weights)
    found = list(refusals(graph))
    assert len(found) == bool(reason)
    assert not reason or found[0].startswith(f"CONV_2D (operator 0) {reason}")
    assert computed_in(graph) == values


def test_kernels_have_limits() -> None:
    part = Tensor("INT8", (1, 4))
    many = OperatorGraph((part,) * 12, (Operator("CONCATENATION", tuple(range(11)), (11,)),), (0,), (11,))
    assert list(refusals(many)) == ["CONCATENATION (operator 0) takes 11 inputs, and TFLM at most 10"]
    assert not list(refusals(dataclasses.replace(many, operators=(Operator("CONCATENATION", (0, 1), (11,)),))))


def as_type(content: bytes, kind: str) -> bytes:
    """The file of one operator with its values in another type."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    [operator] = graph.operators
    values = {index for index in (*operator.inputs, *operator.outputs) if not graph.tensors[index].buffer}
    main = graph.tensors[[index for index in operator.inputs if index in values][-1]].type
    for index in values:
        tensor = graph.tensors[index]
        if tensor.type == main:
            tensor.type = getattr(schema.TensorType, kind)
            tensor.quantization = None
            if kind in ("INT8", "INT16", "UINT8"):
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.scale, tensor.quantization.zeroPoint = [0.05], [0]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


# What the kernel does not look at, so that it "runs": a file of a converter has no such thing.
UNCHECKED = {"LOGICAL_AND", "LOGICAL_OR"}
# Those of which a constant would have to change its type too.
FIXED = {
    "TRANSPOSE_CONV",
    "FULLY_CONNECTED",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "PADV2",
    "PRELU",
    "QUANTIZE",
    "DEQUANTIZE",
    "BROADCAST_ARGS",
}


@pytest.mark.tflm
@pytest.mark.slow
def test_the_types_are_those_that_the_interpreter_runs() -> None:
    wrong = []
    for kind in sorted(set(one_operator.ALL) & KNOWN_OPERATORS - UNCHECKED - FIXED):
        files = {name: as_type(one_operator.one_operator(kind), name) for name in ANY}
        for name, has_run in runs(files).items():
            expected = not list(refusals(read_tflite(files[name])))
            if has_run and not expected:
                wrong.append(f"{kind} on {name} runs, and is refused")
            if expected and not has_run and name not in ("INT8", "INT16"):  # they may want scales of their own
                wrong.append(f"{kind} on {name} does not run, and is not refused")
    assert not wrong


def test_a_model_that_does_not_run_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "uint8.tflite"
    path.write_bytes(as_type(one_operator.one_operator("ADD"), "UINT8"))
    done = CliRunner().invoke(cli, ["cost", str(path), "--board", "nano33ble", "--json"])
    body = json.loads(done.output)
    assert (done.exit_code, body["fits"], body["latency_ms"]) == (0, False, None)
    assert body["refusals"] == ["ADD (operator 0) takes uint8, which TFLM has no kernel for (the scheme of TensorFlow 1: convert to int8)"]  # fmt: skip
    text = CliRunner().invoke(cli, ["cost", str(path), "--board", "nano33ble"]).output
    assert "nano33ble: does not run with build tflm-cmsis-nn: ADD (operator 0) takes uint8" in text
    assert "in place" not in text
    assert "TFLM does not run it: ADD" in CliRunner().invoke(cli, ["cost", str(path)]).output


def test_a_float_model_has_no_latency_of_int8(tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(as_type(one_operator.one_operator("ADD"), "FLOAT32"))
    body = json.loads(CliRunner().invoke(cli, ["cost", str(path), "--board", "nano33ble", "--json"]).output)
    assert (body["fits"], body["latency_ms"], body["energy_mj"]) == (True, None, None)
    assert body["latency_basis"] == "no latency: it computes in float32, and what was measured is int8"
    arguments = ["cost", str(path), "--board", "nano33ble", "--build", "tinyengine", "--json"]
    assert json.loads(CliRunner().invoke(cli, arguments).output)["refusals"] == [
        "TinyEngine computes in int8, and the model in float32"
    ]
