"""What stands in a TFLite file: operators and tensor types; and the gate that every exported file passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from dse.errors import ExportError

# What TFLM runs in int8 and dse's blocks can produce. A stand-alone RELU6 is not among them: TFLM runs it in int8
# without rescaling and returns wrong numbers silently.
TFLM_INT8 = frozenset(
    (
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "HARD_SWISH"),
        *("LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "RELU", "RESHAPE", "TRANSPOSE"),
    )
)
INTEGER_TYPES = frozenset(("INT8", "INT32", "INT64"))
MAX_AXES = 4


@dataclass(frozen=True)
class TfliteFile:
    """Operators in order, and every tensor's type and shape."""

    operators: tuple[str, ...]
    tensors: tuple[tuple[str, str, tuple[int, ...]], ...]

    def counts(self) -> dict[str, int]:
        """How often each operator occurs."""
        return dict(sorted(Counter(self.operators).items()))


def read_tflite(content: bytes) -> TfliteFile:
    """The operators and tensors of a file that this process has just converted."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content)
    operator_names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    type_names = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    graph = model.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return TfliteFile(
        tuple(operator_names[codes[operator.opcodeIndex]] for operator in graph.operators),
        tuple(
            (tensor.name.decode(), type_names[tensor.type], tuple(int(n) for n in tensor.shape))
            if tensor.shape is not None
            else (tensor.name.decode(), type_names[tensor.type], ())
            for tensor in graph.tensors
        ),
    )


def check_deployable(content: bytes) -> TfliteFile:
    """The file, when TFLM can run it in int8 from end to end. Raises ExportError with everything that is wrong."""
    file = read_tflite(content)
    problems = [
        f"operator {name} is not one that TFLM runs in int8" for name in sorted(set(file.operators) - TFLM_INT8)
    ]
    for name, kind, shape in file.tensors:
        if kind not in INTEGER_TYPES:
            problems.append(f"tensor {name!r} is {kind}, expected int8 throughout")
        if len(shape) > MAX_AXES:
            problems.append(f"tensor {name!r} has {len(shape)} axes, expected at most {MAX_AXES}")
    if problems:
        raise ExportError("not deployable: " + "; ".join(problems[:5]))
    return file
