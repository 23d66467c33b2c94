"""Magnitude pruning: the smallest weights of every kernel are zero and stay so while others learn (Han et al. 2015).

A sparse kernel is stored, and computed with, as any other: the file, the arena and the time stay what they are, and
only a compressed file gets smaller.
"""

from __future__ import annotations

import zlib
from typing import Any

import keras
import numpy as np


class Masked(keras.constraints.Constraint):  # type: ignore[misc]
    """Keeps some weights at zero."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask.astype(np.float32)

    def __call__(self, weights: Any) -> Any:
        return weights * self.mask


def make_sparse(model: keras.Model, share: float) -> None:
    """Sets this share of every kernel of convolutions and dense layers to zero, for good: those nearest to it.

    Depthwise kernels are left alone: they are few weights, and each of them is a channel's own.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            mask = np.ones(kernel.size, np.float32)
            mask[np.argsort(np.abs(kernel).reshape(-1), kind="stable")[: round(share * kernel.size)]] = 0
            mask = mask.reshape(kernel.shape)
            layer.kernel.assign(kernel * mask)
            layer.kernel.constraint = Masked(mask)


def compressed_bytes(content: bytes) -> int:
    """What is left of a file when it is compressed (zlib, level 9), as for an update over the air."""
    return len(zlib.compress(content, 9))
