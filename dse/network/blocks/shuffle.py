"""shuffle: the unit of ShuffleNet (Zhang et al. 2017, figure 2).

Grouped 1x1 convolution, channel shuffle, depthwise, grouped 1x1 convolution. Where the shape stays the input is
added; where channels grow, the input (average-pooled at stride 2) is concatenated and the branch makes only
the channels that are missing. Where channels shrink there is no shortcut.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from dse.network.blocks.base import Block, Channels, Groups, Kernel, Ratio, RatioOrOff
from dse.network.blocks.bneck import canonical_ratio, squeezed
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Shape


class Shuffle(Block):
    """ShuffleNet unit; `bottleneck` is the share of the output channels inside it."""

    kind: ClassVar[str] = "shuffle"
    channels: Channels
    groups: Groups = 2
    bottleneck: Ratio = 0.25
    kernel: Kernel = 3
    shuffle: bool = True
    grouped_reduce: bool = True  # the first convolution too; not in ShuffleNet's first unit, which has few channels
    squeeze_excite: RatioOrOff = 0.0  # on what the unit computes
    activation: Activation = "relu"

    def inner_channels(self, in_channels: int) -> int | None:
        return self._inner_channels()

    def _inner_channels(self) -> int:
        return max(self.groups, round(self.channels * self.bottleneck / self.groups) * self.groups)

    def _shortcut(self, in_shape: Shape) -> Literal["add", "concat", "none"]:
        if self.keeps_shape(in_shape, self.channels):
            return "add"
        return "concat" if self.channels > in_shape[-1] else "none"

    def canonical(self, in_shape: Shape) -> Self:
        inner = self._inner_channels()
        # A shuffle of one group, or of groups of one channel, leaves every channel where it is.
        return self.replaced(
            bottleneck=inner / self.channels,
            shuffle=self.shuffle and self.groups not in (1, inner),
            grouped_reduce=self.grouped_reduce or self.groups == 1,
            squeeze_excite=canonical_ratio(self._made(in_shape), self.squeeze_excite),
        )

    def _made(self, in_shape: Shape) -> int:
        """Channels that the unit computes itself."""
        return self.channels - in_shape[-1] if self._shortcut(in_shape) == "concat" else self.channels

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        act = self.activation
        shortcut = self._shortcut(builder.shapes[x])
        made = self._made(builder.shapes[x])
        pooled = shortcut == "concat" and self.stride > 1
        side = builder.avg_pool(x, "pool", 3, self.stride) if pooled else x
        reduce_groups = self.groups if self.grouped_reduce else 1
        y = builder.conv(x, "reduce", self._inner_channels(), groups=reduce_groups, activation=act)
        y = builder.shuffle(y, self.groups) if self.shuffle else y
        y = builder.depthwise(y, "depthwise", self.kernel, self.stride)
        # An activation after a concatenation would stand alone, and TFLM computes a lone RELU6 wrongly: the
        # branch is activated before it, the pooled input has been already.
        y = builder.conv(y, "expand", made, groups=self.groups, activation="none" if shortcut == "add" else act)
        y = builder.squeeze_excite(y, squeezed(made, self.squeeze_excite))
        match shortcut:
            case "add":
                return builder.activate(builder.add(x, y), f"out_{act}", act)
            case "concat":
                return builder.concat([side, y])
            case _:
                return y
