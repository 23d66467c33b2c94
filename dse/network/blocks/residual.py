"""residual: the basic block of ResNet (He et al. 2015, figure 2), as MLPerf Tiny's ResNet8 has it.

Two convolutions with batch norm, the first with an activation; the input is added before the last activation, through a
1x1 convolution with a bias and without batch norm where the shape changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dse.network.blocks.base import Block, Channels, Kernel
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation


class Residual(Block):
    """Basic residual block of two convolutions."""

    kind: ClassVar[str] = "residual"
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("conv_1", "conv_2")}
    channels: Channels
    kernel: Kernel = 3
    activation: Activation = "relu"

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        y = builder.conv(x, "conv_1", self.channels, self.kernel, self.stride, activation=self.activation)
        y = builder.conv(y, "conv_2", self.channels, self.kernel)
        if not self.keeps_shape(builder.shapes[x], self.channels):
            x = builder.conv(x, "bypass", self.channels, stride=self.stride, batch_norm=False)
        return builder.activate(builder.add(x, y), f"out_{self.activation}", self.activation)
