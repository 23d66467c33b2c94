"""The gate that every exported file passes: what TFLM cannot run in int8 is refused. No TensorFlow."""

from __future__ import annotations

from dse.cost.tflm.graph import OperatorGraph
from dse.errors import ExportError
from dse.tflite.reader import read_tflite

TFLM_INT8 = frozenset(
    (
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "HARD_SWISH"),
        *("LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "RELU", "RESHAPE", "TRANSPOSE"),
    )
)


INTEGER_TYPES = frozenset(("INT8", "INT32", "INT64"))


MAX_AXES = 4


def check_deployable(content: bytes) -> OperatorGraph:
    """The graph, when TFLM can run it in int8 from end to end. Raises ExportError with everything that is wrong."""
    graph = read_tflite(content)
    problems = [
        f"operator {name} is not one that TFLM runs in int8" for name in graph.counts() if name not in TFLM_INT8
    ]
    for tensor in graph.tensors:
        if tensor.type not in INTEGER_TYPES:
            problems.append(f"tensor {tensor.name!r} is {tensor.type}, expected int8 throughout")
        if len(tensor.shape) > MAX_AXES:
            problems.append(f"tensor {tensor.name!r} has {len(tensor.shape)} axes, expected at most {MAX_AXES}")
    if problems:
        raise ExportError("not deployable: " + "; ".join(problems[:5]))
    return graph
