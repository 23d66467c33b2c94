"""What is done to training images before a network sees them, in NumPy: every Keras backend sees the same images."""

from __future__ import annotations

import numpy as np

CROP_PADDING = 4  # pixels at 32x32 (He et al. 2016, section 4.2), in proportion at other sizes
CUTOUT_SHARE = 0.375  # of the height: 12 of 32 pixels, of DeVries and Taylor 2017 between their 8 and 16


def augment(images: np.ndarray, how: str, rng: np.random.Generator, mirrored: np.ndarray | None = None) -> np.ndarray:
    """Images mirrored (`flip`, `alternate`), moved by up to an eighth (`crop`) and with a grey square (`cutout`), by
    the parts of `how`. `mirrored` says which images are; without it each is with probability 1/2."""
    if how == "none":
        return images
    images = flip(images, np.asarray(rng.random(len(images)) < 0.5) if mirrored is None else mirrored)
    parts = how.split("_")
    if "crop" in parts:
        images = move(images, rng)
    return cut_out(images, rng) if "cutout" in parts else images


def flip(images: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Those images from left to right that are to be."""
    flipped = images.copy()
    flipped[mirrored] = images[mirrored, :, ::-1]
    return flipped


def move(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every image moved by up to an eighth each way; what comes in from outside is black."""
    count, height, width, _ = images.shape
    pad = max(1, CROP_PADDING * height // 32)
    rows, columns = rng.integers(0, 2 * pad + 1, count) - pad, rng.integers(0, 2 * pad + 1, count) - pad
    moved = np.zeros_like(images)
    # One image at a time is a few copies of rows; all at once is a gather of single pixels, five times as slow.
    for index, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        moved[index, max(0, -row) : height - max(0, row), max(0, -column) : width - max(0, column)] = images[
            index, max(0, row) : height + min(0, row), max(0, column) : width + min(0, column)
        ]
    return moved


def cut_out(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every image with a grey square somewhere, its middle anywhere in the image (DeVries and Taylor 2017)."""
    count, height, width, _ = images.shape
    half = round(height * CUTOUT_SHARE / 2)
    cut = images.copy()
    for index, (row, column) in enumerate(rng.integers(0, (height, width), (count, 2)).tolist()):
        cut[index, max(0, row - half) : row + half, max(0, column - half) : column + half] = 128
    return cut


def mirrored_in_turn(indices: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Which images are mirrored where each is so in every second epoch, its first at random (Jordan 2024)."""
    hashed = (indices.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((hashed >> np.uint64(63)).astype(np.int64) != epoch % 2)
