"""bneck: the inverted residual of MobileNetV2 and V3 (Howard et al. 2019, figure 4).

Expand 1x1, depthwise, squeeze-excite on the expanded channels, linear projection, and a shortcut where the
shape stays. `expansion: 1` leaves the first convolution out, as in the papers; `expand_channels` always has one,
as in tables that list it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import model_validator

from dse.network.blocks.base import Block, Channels, Expansion, Kernel, RatioOrOff, expanded
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Shape


class Bneck(Block):
    """Inverted residual; `squeeze_excite` is the share of the expanded channels, 0 for none."""

    kind: ClassVar[str] = "bneck"
    width_fields: ClassVar[tuple[str, ...]] = ("channels", "expand_channels")
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"expand_channels": ("expand",), "channels": ("project",)}
    channels: Channels
    kernel: Kernel = 3
    expansion: Expansion | None = None
    expand_channels: Channels | None = None
    squeeze_excite: RatioOrOff = 0.0
    squeeze_excite_bias: bool = True
    activation: Activation = "relu"
    residual: bool = True

    @model_validator(mode="after")
    def _one_expansion(self) -> Self:
        if self.expansion is not None and self.expand_channels is not None:
            raise ValueError("came both 'expansion' and 'expand_channels', expected one of them")
        return self

    def inner_channels(self, in_channels: int) -> int | None:
        return self._expand_channels(in_channels)

    def _expand_channels(self, in_channels: int) -> int | None:
        """Channels of the first convolution; None for no convolution."""
        if self.expand_channels is not None or self.expansion in (None, 1.0):
            return self.expand_channels
        return expanded(in_channels, self.expansion)

    def canonical(self, in_shape: Shape) -> Self:
        return self.replaced(
            expansion=None,
            expand_channels=self._expand_channels(in_shape[-1]),
            residual=self.residual and self.keeps_shape(in_shape, self.channels),
            squeeze_excite=canonical_ratio(self._expand_channels(in_shape[-1]) or in_shape[-1], self.squeeze_excite),
            squeeze_excite_bias=self.squeeze_excite_bias or not self.squeeze_excite,
        )

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        expand_channels = self._expand_channels(builder.channels(x))
        y = x if expand_channels is None else builder.conv(x, "expand", expand_channels, activation=self.activation)
        y = builder.depthwise(y, "depthwise", self.kernel, self.stride, activation=self.activation)
        y = builder.squeeze_excite(y, squeezed(builder.channels(y), self.squeeze_excite), self.squeeze_excite_bias)
        y = builder.conv(y, "project", self.channels)
        return builder.add(x, y) if self.residual and self.keeps_shape(builder.shapes[x], self.channels) else y


def squeezed(channels: int, ratio: float) -> int:
    """Channels inside a squeeze-excite of `channels`; 0 for ratio 0.

    >>> squeezed(96, 0.25), squeezed(96, 0.0), squeezed(2, 0.25)
    (24, 0, 1)
    """
    return max(1, int(channels * ratio + 1e-9)) if ratio else 0


def canonical_ratio(channels: int, ratio: float) -> float:
    """The ratio that says how many channels there are inside, whatever ratio led to them.

    >>> canonical_ratio(16, 0.27), canonical_ratio(0, 0.25)
    (0.25, 0.0)
    """
    return squeezed(channels, ratio) / channels if channels else 0.0
