"""How large the tensor arena has to be on the target, with a margin that says what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from dse.cost.report import CostReport
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.tflm.planner import aligned

# Bytes: the kernels of CMSIS-NN keep the handle of a scratch buffer and two to three numbers more in what they allocate
# for good (tensorflow/lite/micro/kernels/cmsis_nn, OpData of each).
MORE_PER_OPERATOR = 16


@dataclass(frozen=True)
class Arena:
    """Bytes of the arena on a 32-bit target: what TFLM takes with its reference kernels, and the margin."""

    head_bytes: int
    tail_bytes: int
    needed_bytes: int  # head and tail, or what starting takes where that is more; a multiple of 16
    margin_bytes: int
    plan: str
    how: str

    @property
    def num_bytes(self) -> int:
        """What to allocate."""
        return self.needed_bytes + self.margin_bytes


def arena_of(graph: OperatorGraph, cost: CostReport) -> Arena:
    """The arena of a file, from its graph and its cost."""
    scratch = max((cmsis_nn_scratch_bytes(operator, graph.tensors) for operator in graph.operators), default=0)
    return Arena(
        cost.arena_head_bytes,
        cost.arena_tail_bytes,
        cost.arena_bytes,
        aligned(scratch) + aligned(MORE_PER_OPERATOR * len(graph.operators)),
        {"offline": "planned by dse, the plan is in the file", "greedy": "planned by TensorFlow Lite Micro"}[cost.plan],
        "Found by TensorFlow Lite Micro's own rules for this file, with the sizes of its structs for 4-byte pointers.",
    )


def cmsis_nn_scratch_bytes(operator: Operator, tensors: tuple[Tensor, ...]) -> int:
    """The most bytes that a kernel of CMSIS-NN asks for while it runs, on a core with DSP (Cortex-M4, M7, M33).

    The planner adds it to what is alive during this operator, so a network's peak grows by the largest at most.
    From CMSIS-NN's arm_*_get_buffer_size functions for DSP: a convolution unrolls two windows in 16 bits, a depthwise
    convolution one of every channel, an average pooling sums channels in 32 bits.
    """
    if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        _, height, width, depth = tensors[operator.inputs[1]].shape
        return (2 if operator.kind == "CONV_2D" else 1) * height * width * depth * 2
    if operator.kind == "AVERAGE_POOL_2D":
        return 4 * tensors[operator.outputs[0]].shape[-1]
    return 0
