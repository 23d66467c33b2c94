"""The graph that stands in a TFLite file: tensors and operators, as plain data.

The paper lowering writes one before any weight exists; the reader of files reads one. Everything that is counted of
a deployed network (MACs, memory plan, flash, latency) is counted on it, so a candidate and a file are counted alike.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from dse.network.layers import Shape

TYPE_BYTES = {
    "BOOL": 1, "INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "FLOAT16": 2, "INT32": 4, "UINT32": 4, "FLOAT32": 4,
    "INT64": 8, "UINT64": 8, "FLOAT64": 8, "RESOURCE": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `shape` has the batch in front, as the file has it."""

    type: str  # TFLite's name of it: INT8, INT32, ...
    shape: Shape
    constant: bool = False  # its bytes stand in the file, and take no arena
    num_scales: int = 1  # 0 when it is not quantized, 1 for one scale, else one for every channel
    name: str = ""
    # Elsewhere than in the plan: a variable, which keeps its values between inferences, or a handle of one.
    kept: Literal["", "variable", "handle"] = ""

    @property
    def is_planned(self) -> bool:
        """Whether a place in the arena is found for it."""
        return not self.constant and not self.kept

    @property
    def num_elements(self) -> int:
        """Values in it; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes of its values."""
        return self.num_elements * TYPE_BYTES[self.type]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: TFLite's name of it, and the indices of its tensors; -1 stands for one that was left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fused: str = ""  # the activation that it applies to its output: RELU, RELU6 or nothing
    stride: tuple[int, int] = (1, 1)  # of a convolution or a pooling, down and across
    dilation: tuple[int, int] = (1, 1)  # of a convolution
    turned: tuple[bool, bool] = (False, False)  # of a product of matrices, whether each is transposed before
    calls: tuple[int, ...] = ()  # the subgraphs that it runs: of IF, WHILE and CALL_ONCE
    variable: str = ""  # what VAR_HANDLE names, and ASSIGN_VARIABLE and READ_VARIABLE work on


def padding_of(operator: Operator, source: Tensor, weights: Tensor, output: Tensor) -> tuple[int, int]:
    """Rows above and columns left of the image: half of what is missing of all windows, rounded down."""
    found = []
    for axis in (0, 1):
        size = (weights.shape[1 + axis] - 1) * operator.dilation[axis] + 1
        covered = (output.shape[1 + axis] - 1) * operator.stride[axis] + size
        found.append(max(0, covered - source.shape[1 + axis]) // 2)
    return found[0], found[1]


@dataclass(frozen=True)
class OperatorGraph:
    """Tensors in the order in which the file numbers them, operators in the order in which they run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    offline: tuple[int, ...] = ()  # where each tensor lies in the arena, -1 for one that TFLM places; empty for no plan
    others: tuple[OperatorGraph, ...] = ()  # the file's other subgraphs, which this one may call, numbered from 1

    @property
    def subgraphs(self) -> tuple[OperatorGraph, ...]:
        """All of the file; the first is this one."""
        return (self, *self.others)

    def counts(self) -> dict[str, int]:
        """How often each kind of operator occurs, by name."""
        kinds = Counter(operator.kind for graph in self.subgraphs for operator in graph.operators)
        return dict(sorted(kinds.items()))


def renumbered(graph: OperatorGraph, order: list[int] | None = None) -> tuple[OperatorGraph, list[int]]:
    """The same graph with its operators in `order`, and tensors numbered where they are first used.

    Also the old number of every tensor. Tensors that no operator uses are left out, but for inputs and outputs.
    """
    operators = [graph.operators[index] for index in order] if order is not None else list(graph.operators)
    numbers: dict[int, int] = {}
    for index in graph.inputs:
        numbers.setdefault(index, len(numbers))
    for operator in operators:
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0:
                numbers.setdefault(index, len(numbers))
    for index in graph.outputs:
        numbers.setdefault(index, len(numbers))
    new = {**numbers, -1: -1}
    moved = OperatorGraph(
        tuple(graph.tensors[index] for index in numbers),
        tuple(
            replace(o, inputs=tuple(new[i] for i in o.inputs), outputs=tuple(new[i] for i in o.outputs))
            for o in operators
        ),
        tuple(new[index] for index in graph.inputs),
        tuple(new[index] for index in graph.outputs),
        tuple(graph.offline[index] for index in numbers) if graph.offline else (),
    )
    return moved, list(numbers)
