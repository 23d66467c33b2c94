"""Plain blocks: convolution, depthwise convolution, depthwise-separable convolution, pooling, and none at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from dse.network.blocks.base import Block, Channels, Groups, Kernel, Multiplier
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Order, Padding, Shape


class Padded(Block):
    """A block whose window may lie on the map only (valid) or also over its edge (same)."""

    kernel: Kernel = 3
    padding: Padding = "same"

    def canonical(self, in_shape: Shape) -> Self:
        return self.replaced(padding="same") if self.kernel == 1 else self  # a window of one has no edge


class Conv(Padded):
    """Convolution, batch norm, activation; without batch norm there is always a bias."""

    kind: ClassVar[str] = "conv"
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("conv",)}
    channels: Channels
    groups: Groups = 1
    activation: Activation = "relu"
    batch_norm: bool = True
    bias: bool = False  # also beside batch norm, where it does nothing but count
    order: Order = "norm_first"

    def canonical(self, in_shape: Shape) -> Self:
        same = super().canonical(in_shape)
        if self.batch_norm and self.activation != "none":
            return same
        return same.replaced(bias=self.bias and self.batch_norm, order="norm_first")

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        return builder.conv(
            x, "conv", self.channels, self.kernel, self.stride, self.groups, self.padding, self.activation,
            self.batch_norm, self.bias or not self.batch_norm, self.order,
        )  # fmt: skip


class Depthwise(Padded):
    """Depthwise convolution, batch norm, activation."""

    kind: ClassVar[str] = "depthwise"
    width_fields: ClassVar[tuple[str, ...]] = ()
    multiplier: Multiplier = 1
    activation: Activation = "relu"
    batch_norm: bool = True

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        return builder.depthwise(
            x, "depthwise", self.kernel, self.stride, self.multiplier, self.padding, self.activation, self.batch_norm
        )


class Separable(Block):
    """Depthwise, then pointwise convolution, each with batch norm and activation (MobileNetV1)."""

    kind: ClassVar[str] = "separable"
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("pointwise",)}
    channels: Channels
    kernel: Kernel = 3
    activation: Activation = "relu"

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        y = builder.depthwise(x, "depthwise", self.kernel, self.stride, activation=self.activation)
        return builder.conv(y, "pointwise", self.channels, activation=self.activation)


class MaxPooling(Padded):
    """Max pooling."""

    kind: ClassVar[str] = "max_pool"
    width_fields: ClassVar[tuple[str, ...]] = ()
    kernel: Kernel = 2

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        return builder.max_pool(x, "pool", self.kernel, self.stride, self.padding)


class AvgPooling(MaxPooling):
    """Average pooling."""

    kind: ClassVar[str] = "avg_pool"

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        return builder.avg_pool(x, "pool", self.kernel, self.stride, self.padding)


class Skip(Block):
    """No block: the image as it is, where its shape stays; else a 1x1 convolution with batch norm, which changes it."""

    kind: ClassVar[str] = "skip"
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("conv",)}
    channels: Channels

    def does_nothing(self, in_shape: Shape) -> bool:
        return self.keeps_shape(in_shape, self.channels)

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        return builder.conv(x, "conv", self.channels, 1, self.stride)
