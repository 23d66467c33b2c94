"""The images of golden vectors: of the test set where those may be passed on, else generated."""

from __future__ import annotations

import numpy as np

from dse.network.layers import Shape

NUM_GOLDEN = 16
PATCHES = (2, 4, 8)  # to a side
NOISE = 24


def chosen_images(labels: np.ndarray, count: int) -> np.ndarray:
    """Numbers of `count` images, or all: the first of every class, then the second of every class, and so on."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.lexsort((np.arange(len(labels)), labels, rank))[:count]


def generated_images(shape: Shape, count: int) -> np.ndarray:
    """uint8 images (count, height, width, channels): black, white, then coloured patches of three sizes with noise."""
    height, width, channels = shape
    rng = np.random.default_rng(0)
    images = np.empty((count, *shape), np.uint8)
    images[0], images[1] = 0, 255
    for index in range(2, count):
        patches = PATCHES[index % len(PATCHES)]
        colours = rng.integers(0, 256, (patches, patches, channels))
        rows, columns = np.arange(height) * patches // height, np.arange(width) * patches // width
        noisy = colours[rows][:, columns] + rng.integers(-NOISE, NOISE + 1, shape)
        images[index] = np.clip(noisy, 0, 255)
    return images
