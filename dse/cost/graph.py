"""The graph that stands in a TFLite file: tensors and operators, as plain data.

The paper lowering writes one before any weight exists; the reader of files reads one. Everything that is counted of
a deployed network (MACs, memory plan, flash, latency) is counted on it, so a candidate and a file are counted alike.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from dse.network import Shape

TYPE_BYTES = {
    "BOOL": 1, "INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "FLOAT16": 2, "INT32": 4, "UINT32": 4, "FLOAT32": 4,
    "INT64": 8, "UINT64": 8, "FLOAT64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `shape` has the batch in front, as the file has it."""

    type: str  # TFLite's name of it: INT8, INT32, ...
    shape: Shape
    constant: bool = False  # its bytes stand in the file, and take no arena
    num_scales: int = 1  # 0 when it is not quantized, 1 for one scale, else one for every channel
    name: str = ""

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


@dataclass(frozen=True)
class OperatorGraph:
    """Tensors in the order in which the file numbers them, operators in the order in which they run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def counts(self) -> dict[str, int]:
        """How often each kind of operator occurs, by name."""
        return dict(sorted(Counter(operator.kind for operator in self.operators).items()))
