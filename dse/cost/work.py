"""What a network makes a processor do, in the few sums that its latency is computed from."""

from __future__ import annotations

from dataclasses import dataclass

from dse.cost.macs import macs_of
from dse.cost.tflm.graph import Operator, OperatorGraph

_MACS_FIELD = {
    "CONV_2D": "conv_macs",
    "DEPTHWISE_CONV_2D": "depthwise_macs",
    "FULLY_CONNECTED": "fully_connected_macs",
    "TRANSPOSE_CONV": "conv_macs",
    "BATCH_MATMUL": "fully_connected_macs",
    "SVDF": "fully_connected_macs",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "fully_connected_macs",
}


@dataclass(frozen=True, slots=True)
class Work:
    """Work on one image; adds up over operators, and over parts of a network.

    >>> Work(conv_macs=100, kernel_outputs=10) + Work(conv_macs=20, other_outputs=5)
    Work(conv_macs=120, depthwise_macs=0, fully_connected_macs=0, kernel_outputs=10, other_outputs=5)
    """

    conv_macs: int = 0  # CONV_2D, grouped or not, and TRANSPOSE_CONV
    depthwise_macs: int = 0
    fully_connected_macs: int = 0
    kernel_outputs: int = 0  # values that those write
    other_outputs: int = 0  # values that all other operators write: ADD, MUL, MEAN, HARD_SWISH, pools, RESHAPE, ...

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all kinds."""
        return self.conv_macs + self.depthwise_macs + self.fully_connected_macs

    def __add__(self, other: Work) -> Work:
        return Work(
            self.conv_macs + other.conv_macs,
            self.depthwise_macs + other.depthwise_macs,
            self.fully_connected_macs + other.fully_connected_macs,
            self.kernel_outputs + other.kernel_outputs,
            self.other_outputs + other.other_outputs,
        )


def operator_work(operator: Operator, graph: OperatorGraph) -> Work:
    """Work of one operator of a graph on one image. Raises ValueError for a kind without a known number of MACs."""
    macs = macs_of(operator, graph.tensors)
    written = sum(graph.tensors[output].num_elements for output in operator.outputs)
    if operator.kind not in _MACS_FIELD:
        return Work(other_outputs=written)
    return Work(**{_MACS_FIELD[operator.kind]: macs, "kernel_outputs": written})


def graph_work(graph: OperatorGraph) -> Work:
    """Work of a whole graph on one image."""
    return sum((operator_work(operator, graph) for operator in graph.operators), Work())
