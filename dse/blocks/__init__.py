"""The block families of the grammar, by name."""

from __future__ import annotations

from dse.blocks.base import ACTIVATIONS, Block, divisible
from dse.blocks.bneck import Bneck
from dse.blocks.dpd import Dpd
from dse.blocks.fire import Fire
from dse.blocks.plain import AvgPooling, Conv, Depthwise, MaxPooling, Separable
from dse.blocks.residual import Residual
from dse.blocks.shuffle import Shuffle
from dse.blocks.sqnxt import Sqnxt

BLOCKS: dict[str, type[Block]] = {
    block.kind: block
    for block in (Bneck, Dpd, Fire, Sqnxt, Shuffle, Residual, Conv, Depthwise, Separable, MaxPooling, AvgPooling)
}

__all__ = ["ACTIVATIONS", "BLOCKS", "Block", "divisible"]
