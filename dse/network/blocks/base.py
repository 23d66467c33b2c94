"""What every block of the grammar has in common.

A block is a checked, frozen set of values. The same class reads a YAML stage and a candidate: `scaled`
applies the width multiplier, `canonical` writes every value out so that two spellings of one block become
equal, and `lower` writes the block's layers into a builder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from dse.network.builder import NetworkBuilder
from dse.network.layers import Activation, Shape

Channels = Annotated[int, Field(ge=1, le=4096)]
Kernel = Literal[1, 2, 3, 5, 7, 9, 11]
Stride = Literal[1, 2, 4]
Groups = Annotated[int, Field(ge=1, le=64)]
Multiplier = Annotated[int, Field(ge=1, le=16)]
Ratio = Annotated[float, Field(gt=0, le=1)]
RatioOrOff = Annotated[float, Field(ge=0, le=1)]
Expansion = Annotated[float, Field(gt=0, le=16)]
ACTIVATIONS: tuple[Activation, ...] = ("relu", "relu6", "hswish", "mish", "none")


def divisible(value: float, divisor: int = 8) -> int:
    """`value` rounded to a multiple of `divisor`, never below it, never losing over a tenth (TF-slim's rule).

    >>> [divisible(v) for v in (4.0, 20.0, 44.0, 11.2)]
    [8, 24, 48, 16]
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def expanded(in_channels: int, expansion: float) -> int:
    """Channels after an expansion by a factor; a fractional product is rounded to a multiple of 8.

    >>> expanded(16, 6.0), expanded(24, 3.67)
    (96, 88)
    """
    exact = in_channels * expansion
    return int(exact) if exact == int(exact) else divisible(exact)


class Block(BaseModel):
    """A block with its values; `kind` is its name in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[str]
    width_fields: ClassVar[tuple[str, ...]] = ("channels",)  # what the width multiplier scales
    # By key the convolutions whose output channels it counts: what pruning can make narrower.
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    stride: Stride = 1

    def scaled(self, width: float, divisor: int = 8, only: Collection[str] | None = None) -> Self:
        """This block at a width multiplier, or `only` some of its values; at 1.0 nothing is rounded."""
        if width == 1.0:
            return self
        values = {name: getattr(self, name) for name in self.width_fields if only is None or name in only}
        return self.replaced(**{name: divisible(v * width, divisor) for name, v in values.items() if v})

    def canonical(self, in_shape: Shape) -> Self:
        """The same block with every value written out and values without effect at their defaults."""
        return self

    def does_nothing(self, in_shape: Shape) -> bool:
        """Whether it has no layers behind such an input: a candidate is written without it."""
        return False

    def lower(self, builder: NetworkBuilder, x: str) -> str:
        """Writes the layers of this block; returns the output tensor. Raises NetworkError."""
        raise NotImplementedError

    def replaced(self, **values: Any) -> Self:
        """A copy with other values, not checked again: for values that dse computed itself."""
        return self.model_copy(update=values)

    def inner_channels(self, in_channels: int) -> int | None:
        """Channels inside the block where they differ from those around it: the column e of tables in papers."""
        return None

    def keeps_shape(self, in_shape: Shape, channels: int) -> bool:
        """Whether an identity shortcut fits around this block."""
        return self.stride == 1 and in_shape[-1] == channels
