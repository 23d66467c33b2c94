"""dpd: depthwise with a channel multiplier, pointwise, depthwise (Compressed MobileNetV3, section 5).

Where bneck expands with a 1x1 convolution, dpd lets the first depthwise convolution widen the channels: its
multiplier is a whole number, so an expansion that the input channels do not divide is cut down to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from dse.network.blocks.base import Block, Channels, Kernel, Multiplier
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Shape


class Dpd(Block):
    """Depthwise, pointwise, depthwise, each with batch norm and activation; the stride is in the last one."""

    kind: ClassVar[str] = "dpd"
    width_fields: ClassVar[tuple[str, ...]] = ("channels", "expand_channels")
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("pointwise",)}
    channels: Channels
    kernel: Kernel = 3
    second_kernel: Kernel | None = None
    multiplier: Multiplier | None = None
    expand_channels: Channels | None = None
    activation: Activation = "mish"
    pointwise_norm: Literal["batch_norm", "bias", "none"] = "batch_norm"
    residual: bool = True

    @model_validator(mode="after")
    def _one_expansion(self) -> Self:
        if self.multiplier is not None and self.expand_channels is not None:
            raise ValueError("came both 'multiplier' and 'expand_channels', expected one of them")
        return self

    def inner_channels(self, in_channels: int) -> int | None:
        return in_channels * self._multiplier(in_channels)

    def _multiplier(self, in_channels: int) -> int:
        return self.multiplier or max(1, (self.expand_channels or in_channels) // in_channels)

    def canonical(self, in_shape: Shape) -> Self:
        return self.replaced(
            multiplier=self._multiplier(in_shape[-1]),
            expand_channels=None,
            second_kernel=self.second_kernel or self.kernel,
            residual=self.residual and self.keeps_shape(in_shape, self.channels),
        )

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        multiplier = self._multiplier(builder.channels(x))
        y = builder.depthwise(x, "widen", self.kernel, multiplier=multiplier, activation=self.activation)
        norm = self.pointwise_norm
        y = builder.conv(
            y, "pointwise", self.channels, activation=self.activation, batch_norm=norm == "batch_norm",
            bias=norm == "bias",
        )  # fmt: skip
        kernel = self.second_kernel or self.kernel
        y = builder.depthwise(y, "depthwise", kernel, self.stride, activation=self.activation)
        return builder.add(x, y) if self.residual and self.keeps_shape(builder.shapes[x], self.channels) else y
