"""`dse/training/augmentation.py` on a device: the changes that were drawn in NumPy, done to images that lie there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from dse.training.augmentation import GREY, half_of_cutout, padding


def augment(images: Any, changes: Mapping[str, Any]) -> Any:
    """uint8 images (count, height, width, channels), changed by those that are there of the fields of `Changes`."""
    height, width = images.shape[1:3]
    if "mirrored" in changes:
        images = jnp.where(changes["mirrored"][:, None, None, None], images[:, :, ::-1], images)
    if "moved" in changes:
        pad = padding(height)
        padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        size = (height, width, images.shape[3])
        images = jax.vmap(lambda one, by: jax.lax.dynamic_slice(one, (by[0] + pad, by[1] + pad, 0), size))(
            padded, changes["moved"]
        )
    if "cut" in changes:
        half = half_of_cutout(height)
        row, column = (changes["cut"][:, axis, None] for axis in (0, 1))
        rows, columns = jnp.arange(height)[None], jnp.arange(width)[None]
        inside_rows = (rows >= row - half) & (rows < row + half)
        inside_columns = (columns >= column - half) & (columns < column + half)
        images = jnp.where((inside_rows[:, :, None] & inside_columns[:, None, :])[..., None], GREY, images)
    return images
