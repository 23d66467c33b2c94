"""fire: squeeze 1x1, then expand 1x1 and 3x3 side by side (SqueezeNet, Iandola et al. 2016, figure 1).

SqueezeNet shrinks the map with 3x3 max pooling between its modules; a stride of 2 here puts that pooling in
front. Bypass (figure 2): `simple` adds the input where the shape stays, `complex` also adds a 1x1 convolution of
the input where the channels change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from dse.network.blocks.base import Block, Channels, Ratio
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Shape


class Fire(Block):
    """Fire module; `channels` is what comes out of both expansions together."""

    kind: ClassVar[str] = "fire"
    width_fields: ClassVar[tuple[str, ...]] = ("channels", "squeeze_channels")
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "squeeze_channels": ("squeeze",),
        "channels": ("expand_1x1", "expand_3x3"),
    }
    channels: Channels
    squeeze_ratio: Ratio = 0.125
    squeeze_channels: Channels | None = None
    share_3x3: Ratio = 0.5
    bypass: Literal["none", "simple", "complex"] = "none"
    activation: Activation = "relu"
    batch_norm: bool = True

    def inner_channels(self, in_channels: int) -> int | None:
        return self._squeeze_channels()

    def _squeeze_channels(self) -> int:
        return self.squeeze_channels or max(1, round(self.channels * self.squeeze_ratio))

    def _channels_3x3(self) -> int:
        return max(1, round(self.channels * self.share_3x3))

    def _bypass(self, in_channels: int) -> Literal["none", "simple", "complex"]:
        if in_channels == self.channels:
            return "none" if self.bypass == "none" else "simple"
        return "complex" if self.bypass == "complex" else "none"

    def canonical(self, in_shape: Shape) -> Self:
        return self.replaced(
            squeeze_channels=self._squeeze_channels(),
            squeeze_ratio=0.125,
            share_3x3=self._channels_3x3() / self.channels,
            bypass=self._bypass(in_shape[-1]),
        )

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        act, norm = self.activation, self.batch_norm
        if self.stride > 1:
            x = builder.max_pool(x, "pool", 3, self.stride)
        squeeze = builder.conv(x, "squeeze", self._squeeze_channels(), activation=act, batch_norm=norm)
        wide = self._channels_3x3()
        parts = [builder.conv(squeeze, "expand_3x3", wide, 3, activation=act, batch_norm=norm)]
        if self.channels > wide:
            parts.insert(0, builder.conv(squeeze, "expand_1x1", self.channels - wide, activation=act, batch_norm=norm))
        y = builder.concat(parts) if len(parts) > 1 else parts[0]
        match self._bypass(builder.channels(x)):
            case "simple":
                return builder.add(x, y)
            case "complex":
                return builder.add(builder.conv(x, "bypass", self.channels, batch_norm=norm), y)
            case _:
                return y
