"""Plain blocks: convolution, depthwise convolution, depthwise-separable convolution, pooling."""

from __future__ import annotations

from typing import ClassVar

from dse.blocks.base import Block, Channels, Groups, Kernel, Multiplier
from dse.network import Activation, Graph, Padding


class Conv(Block):
    """Convolution, batch norm, activation."""

    kind: ClassVar[str] = "conv"
    channels: Channels
    kernel: Kernel = 3
    groups: Groups = 1
    padding: Padding = "same"
    activation: Activation = "relu"
    batch_norm: bool = True

    def lower(self, graph: Graph, x: str) -> str:
        return graph.conv(
            x, "conv", self.channels, self.kernel, self.stride, self.groups, self.padding, self.activation,
            self.batch_norm,
        )  # fmt: skip


class Depthwise(Block):
    """Depthwise convolution, batch norm, activation."""

    kind: ClassVar[str] = "depthwise"
    width_fields: ClassVar[tuple[str, ...]] = ()
    kernel: Kernel = 3
    multiplier: Multiplier = 1
    padding: Padding = "same"
    activation: Activation = "relu"
    batch_norm: bool = True

    def lower(self, graph: Graph, x: str) -> str:
        return graph.depthwise(
            x, "depthwise", self.kernel, self.stride, self.multiplier, self.padding, self.activation, self.batch_norm
        )


class Separable(Block):
    """Depthwise, then pointwise convolution, each with batch norm and activation (MobileNetV1)."""

    kind: ClassVar[str] = "separable"
    channels: Channels
    kernel: Kernel = 3
    activation: Activation = "relu"

    def lower(self, graph: Graph, x: str) -> str:
        y = graph.depthwise(x, "depthwise", self.kernel, self.stride, activation=self.activation)
        return graph.conv(y, "pointwise", self.channels, activation=self.activation)


class MaxPooling(Block):
    """Max pooling."""

    kind: ClassVar[str] = "max_pool"
    width_fields: ClassVar[tuple[str, ...]] = ()
    kernel: Kernel = 2
    padding: Padding = "same"

    def lower(self, graph: Graph, x: str) -> str:
        return graph.max_pool(x, "pool", self.kernel, self.stride, self.padding)


class AvgPooling(MaxPooling):
    """Average pooling."""

    kind: ClassVar[str] = "avg_pool"

    def lower(self, graph: Graph, x: str) -> str:
        return graph.avg_pool(x, "pool", self.kernel, self.stride, self.padding)
