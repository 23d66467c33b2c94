"""The block families of the grammar, by name."""

from __future__ import annotations

from dse.network.blocks.base import ACTIVATIONS, Block, divisible
from dse.network.blocks.bneck import Bneck
from dse.network.blocks.dpd import Dpd
from dse.network.blocks.fire import Fire
from dse.network.blocks.plain import AvgPooling, Conv, Depthwise, MaxPooling, Separable, Skip
from dse.network.blocks.residual import Residual
from dse.network.blocks.shuffle import Shuffle
from dse.network.blocks.sqnxt import Sqnxt

BLOCKS: dict[str, type[Block]] = {
    block.kind: block
    for block in (Bneck, Dpd, Fire, Sqnxt, Shuffle, Residual, Conv, Depthwise, Separable, MaxPooling, AvgPooling, Skip)
}

__all__ = ["ACTIVATIONS", "BLOCKS", "Block", "divisible"]
