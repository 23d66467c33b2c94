"""Bytes of the `.tflite` file that dse exports, and of the float one that papers publish, from the network alone.

What a file holds for certain is counted: data of constants with the gaps that align them, 12 bytes for every scale and
zero point, 4 for every axis and every reference to a tensor. The tables around that are FlatBuffers' own affair; their
mean sizes below were fitted to 340 converted candidates of every family, activation, width and resolution
(tests/helpers/wide.yaml). There the largest error was 0.8 % of the file and the median 0.07 %.
"""

from __future__ import annotations

from collections.abc import Collection

from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.tflm.lowering import lower
from dse.network.layers import Network

ALIGNMENT = 16  # of the data of a buffer
LENGTH_BYTES = 4  # before the data of a vector
SCALE_BYTES = 4 + 8  # a scale, and its zero point as 64 bits

# In halves of a byte, so that no order of adding them up changes the sum.
FILE = 687.5
CONSTANT = 48.5
QUANTIZED = 5.0
OPERATOR_CODE = 28.5
OPERATOR = 80.5
FUSED = 4.0
PLAN = 69.0
OPTIONS = {
    "CONV_2D": 49.5, "DEPTHWISE_CONV_2D": 56.5, "MAX_POOL_2D": 22.0, "AVERAGE_POOL_2D": 22.0, "MEAN": 11.5,
    "HARD_SWISH": -9.5, "LOGISTIC": -2.0, "TRANSPOSE": -6.0, "RESHAPE": -6.5,
}  # fmt: skip

# A tensor of a float file, its share of operators included: tables of about 110 bytes, and the name that the converter
# gives it, of all layers that went into it; 170 to 300 bytes in the reference networks, the most after batch norm.
FLOAT_BYTES, FLOAT_TENSOR = 4, 200


def flash_bytes(graph: OperatorGraph) -> int:
    """Bytes of the file that holds this graph as dse writes it."""
    size = file_bytes({operator.kind for operator in graph.operators}, len(graph.tensors) if graph.offline else 0)
    size += sum(map(tensor_bytes, graph.tensors)) + sum(map(operator_bytes, graph.operators))
    return round(size)


def float_file_bytes(network: Network) -> int:
    """Bytes of the float file as the converter writes it, names included; within 2.1 % for the reference networks."""
    tensors = lower(network).tensors
    values = sum(tensor.num_elements for tensor in tensors if tensor.constant)
    return FLOAT_BYTES * values + FLOAT_TENSOR * len(tensors)


def file_bytes(kinds: Collection[str], planned_tensors: int = 0) -> float:
    """What stands in a file once: header, names of operators, and an offline plan of so many tensors."""
    plan = PLAN + _data(4 * (3 + planned_tensors)) if planned_tensors else 0.0
    return FILE + OPERATOR_CODE * len(kinds) + plan


def tensor_bytes(tensor: Tensor) -> float:
    """A tensor, with its data where it is constant; the table of an activation is counted with its operator."""
    size = 4.0 * len(tensor.shape)
    if tensor.num_scales:
        size += QUANTIZED + SCALE_BYTES * tensor.num_scales
    if tensor.constant:
        size += CONSTANT + _data(tensor.num_bytes)
    return size


def operator_bytes(operator: Operator) -> float:
    """An operator, with the table of what it writes."""
    references = 4 * (len(operator.inputs) + len(operator.outputs))
    return OPERATOR + OPTIONS.get(operator.kind, 0.0) + (FUSED if operator.fused else 0.0) + references


def _data(num_bytes: int) -> int:
    """A vector of bytes with what aligns it; the length stands before it, so the data ends at 16 k + 12."""
    return num_bytes + (LENGTH_BYTES - num_bytes) % ALIGNMENT
