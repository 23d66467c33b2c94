"""Buffers that a TFLM kernel asks for in the arena's head while it runs."""

from __future__ import annotations

from dse.cost.tflm.graph import Operator, Tensor

WORD = 4  # bytes of what all of them hold: int32
SUMMING = ("MEAN", "SUM")
REDUCING = (*SUMMING, "REDUCE_MAX", "REDUCE_MIN")


def scratch_bytes(operator: Operator, tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Bytes of each buffer, in the order in which the reference kernel asks; of most kernels none.

    Reductions ask for a sum per output value, an index per axis of the input, and the axes (kernels/reduce_common.cc
    below tensorflow/lite/micro); a transposed convolution asks for its output in 32 bits, or 64 where that has 16
    (kernels/transpose_conv.cc).
    The planner takes such a buffer as one more tensor, alive during its operator alone and numbered after all others.
    """
    if operator.kind == "TRANSPOSE_CONV":
        output = tensors[operator.outputs[0]]
        wide = {"INT8": WORD, "INT16": 2 * WORD}.get(output.type)
        return (wide * output.num_elements,) if wide else ()
    if operator.kind not in REDUCING:
        return ()
    source, axes = (tensors[index] for index in operator.inputs[:2])
    indices = (WORD * len(source.shape), WORD * axes.num_elements)
    if operator.kind in SUMMING and source.type in ("INT8", "INT16"):
        return (WORD * tensors[operator.outputs[0]].num_elements, *indices)
    return indices
