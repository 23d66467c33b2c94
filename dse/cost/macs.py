"""Multiply-accumulates of one TFLite operator, counted on the shapes that stand in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.cost.tflm.graph import Operator, Tensor

# Kinds that multiply matrices and have no formula here. None may be taken for free, so they are refused by name.
UNCOUNTED = {
    "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "CONV_3D", "CONV_3D_TRANSPOSE", "LSTM",
    "RNN", "UNIDIRECTIONAL_SEQUENCE_RNN",
}  # fmt: skip

KERNEL_KINDS = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL", "SVDF"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
)
LSTM_KERNELS = range(1, 9)  # its inputs: of each gate a kernel for what comes, and one for its own last output


def kernel_tensors(operator: Operator, tensors: Sequence[Tensor]) -> list[int]:
    """The constant tensors that an operator multiplies with or adds: its kernel and its bias; none for other kinds."""
    if operator.kind not in KERNEL_KINDS:
        return []
    # The first input of a transposed convolution is the shape of its output.
    return [index for index in operator.inputs[1:] if index >= 0 and tensors[index].constant]


def macs_of(operator: Operator, tensors: Sequence[Tensor]) -> int:
    """Multiply-accumulates of one operator on one image; bias and activation are not counted.

    The weights are the second input, in TFLite's shapes: CONV_2D (out, height, width, in / groups), DEPTHWISE_CONV_2D
    (1, height, width, out), FULLY_CONNECTED (out, in), TRANSPOSE_CONV (out, height, width, in). Whether there is a bias
    does not matter. Every other kind has 0: sums of pools and means, and products of MUL, are not multiply-accumulates.
    Raises ValueError for a kind that multiplies matrices in a way that is not known here.

    >>> x, weights, y = (Tensor("INT8", shape) for shape in [(1, 32, 32, 3), (8, 3, 3, 3), (1, 16, 16, 8)])
    >>> macs_of(Operator("CONV_2D", inputs=(0, 1, -1), outputs=(2,)), [x, weights, y])
    55296
    """
    if operator.kind in UNCOUNTED:
        raise ValueError(f"the MACs of {operator.kind} are not known; known: {', '.join(KERNEL_KINDS)}")
    if operator.kind not in KERNEL_KINDS:
        return 0
    weights = tensors[operator.inputs[1]].shape
    if operator.kind == "TRANSPOSE_CONV":  # every input value goes into a window of every output channel
        return tensors[operator.inputs[2]].num_elements * math.prod(weights[:3])
    if operator.kind == "SVDF":  # a product with the input, and one with what was kept of earlier ones, for each filter
        return tensors[operator.inputs[1]].num_elements + tensors[operator.inputs[2]].num_elements
    if operator.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":  # the same for each step in time
        kernels = (
            tensors[operator.inputs[index]].num_elements for index in LSTM_KERNELS if operator.inputs[index] >= 0
        )
        return math.prod(tensors[operator.inputs[0]].shape[:-1]) * sum(kernels)
    if operator.kind == "BATCH_MATMUL":
        shared = tensors[operator.inputs[0]].shape[-2 if operator.turned[0] else -1]
        return tensors[operator.outputs[0]].num_elements * shared
    # What one output value is summed over.
    terms = math.prod(weights[1:3]) if operator.kind == "DEPTHWISE_CONV_2D" else math.prod(weights[1:])
    return tensors[operator.outputs[0]].num_elements * terms
