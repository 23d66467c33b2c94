"""sqnxt: the block of SqueezeNext (Gholami et al. 2018, figure 1).

Two 1x1 convolutions squeeze (to a half and a quarter of the input here, by default), 1x3 and 3x1 replace a 3x3, a
1x1 expands; a shortcut, through a 1x1 convolution where the shape changes, is added before the last activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Self

from dse.network.blocks.base import Block, Channels, Ratio
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Order, Shape


class Sqnxt(Block):
    """SqueezeNext block; `squeeze` is the first squeeze's share of the input channels, halved by the second."""

    kind: ClassVar[str] = "sqnxt"
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("expand",)}
    channels: Channels
    squeeze: Ratio = 0.5
    activation: Activation = "relu"
    bias: bool = False  # of the convolutions, where it does nothing but count: batch norm has one
    order: Order = "norm_first"
    residual: bool = True

    def canonical(self, in_shape: Shape) -> Self:
        order = self.order if self.activation != "none" else "norm_first"
        return self.replaced(squeeze=self._first(in_shape[-1]) / in_shape[-1], order=order)

    def inner_channels(self, in_channels: int) -> int | None:
        return self._first(in_channels)

    def _first(self, in_channels: int) -> int:
        return max(2, round(in_channels * self.squeeze))

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        act, conv = self.activation, partial(builder.conv, bias=self.bias, order=self.order)
        first = self._first(builder.channels(x))
        y = conv(x, "squeeze_1", first, stride=self.stride, activation=act)
        y = conv(y, "squeeze_2", max(1, first // 2), activation=act)
        y = conv(y, "conv_1x3", first, (1, 3), activation=act)
        y = conv(y, "conv_3x1", first, (3, 1), activation=act)
        if not self.residual:
            return conv(y, "expand", self.channels, activation=act)
        # With batch norm last, what is added has been activated too, as it has everywhere else in the block.
        added = act if self.order == "activation_first" else "none"
        y = conv(y, "expand", self.channels, activation=added)
        if not self.keeps_shape(builder.shapes[x], self.channels):
            x = conv(x, "shortcut", self.channels, stride=self.stride, activation=added)
        return builder.activate(builder.add(x, y), f"out_{act}", act)
