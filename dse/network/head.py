"""What follows the stages of a network: pooling, classes, and what may stand before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dse.network.blocks import divisible
from dse.network.blocks.base import RatioOrOff
from dse.network.blocks.bneck import canonical_ratio, squeezed
from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation


class Head(BaseModel):
    """What follows the stages: an optional 1x1 convolution, global pooling, an optional second one, classes.

    With `classifier: conv` the classes are a 1x1 convolution before the pooling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # By key the convolutions whose output channels it counts, as in blocks.
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("conv",), "features": ("features",)}

    channels: Annotated[int, Field(ge=0, le=4096)] = 0  # 1x1 convolution before the pooling; 0 for none
    squeeze_excite: RatioOrOff = 0.0  # on that convolution
    squeeze_excite_bias: bool = True
    features: Annotated[int, Field(ge=0, le=8192)] = 0  # 1x1 convolution after the pooling; 0 for none
    activation: Activation = "relu"
    features_norm: Literal["batch_norm", "bias", "none"] = "batch_norm"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    classifier: Literal["dense", "conv"] = "dense"  # conv: a 1x1 convolution with ReLU before the pooling (SqueezeNet)
    pooling: Literal["average", "flatten"] = "average"  # flatten: every value of the map goes to the classes
    scaled: bool = True  # whether the width multiplier applies
    widen_only: Literal["none", "channels", "features"] = "none"  # what a width below 1 leaves as it is

    @model_validator(mode="after")
    def _one_ending(self) -> Self:
        if self.classifier == "conv" and self.features:
            raise ValueError(f"came features {self.features} with classifier 'conv', which ends in the pooling")
        if self.pooling == "flatten" and (self.features or self.classifier == "conv"):
            raise ValueError("came pooling 'flatten', expected it without features and with classifier 'dense'")
        return self

    def at_width(self, width: float, divisor: int) -> Self:
        """This head at a width multiplier."""
        factor = width if self.scaled else 1.0
        plain = {"scaled": True, "widen_only": "none"}
        if factor == 1.0:
            return self.model_copy(update=plain)
        sizes = {
            name: divisible(size * factor, divisor)
            for name in ("channels", "features")
            if (size := getattr(self, name)) and not (name == self.widen_only and factor < 1)
        }
        return self.model_copy(update={**sizes, **plain})

    def canonical(self) -> Self:
        """The same head with values without effect at their defaults."""
        values: dict[str, Any] = {"dropout": float(self.dropout)}
        values["squeeze_excite"] = canonical_ratio(self.channels, self.squeeze_excite)
        if not self.channels:
            values["squeeze_excite"] = 0.0
        if not self.channels or not self.squeeze_excite:
            values["squeeze_excite_bias"] = True
        if not self.features:
            values["features_norm"] = "batch_norm"
        if not self.channels and not self.features:
            values["activation"] = "relu"
        return self.model_copy(update=values)

    def lower(self, builder: NetworkBuilder, x: str, classes: int) -> str:
        """Writes the head; returns the logits. There is no softmax: the class is the largest logit."""
        if self.channels:
            x = builder.conv(x, "conv", self.channels, activation=self.activation)
            x = builder.squeeze_excite(x, squeezed(self.channels, self.squeeze_excite), self.squeeze_excite_bias)
        if self.classifier == "conv":
            x = builder.conv(builder.dropout(x, self.dropout), "classes", classes, activation="relu", batch_norm=False)
            return builder.global_avg_pool(x, "pool", keep_dims=False)
        if self.pooling == "flatten":
            return builder.dense(builder.dropout(builder.flatten(x, "flatten"), self.dropout), "classes", classes)
        x = builder.global_avg_pool(x, "pool", keep_dims=bool(self.features))
        if self.features:
            norm = self.features_norm
            x = builder.conv(
                x, "features", self.features, activation=self.activation, batch_norm=norm == "batch_norm",
                bias=norm == "bias",
            )  # fmt: skip
            x = builder.flatten(x, "flatten")
        return builder.dense(builder.dropout(x, self.dropout), "classes", classes)
