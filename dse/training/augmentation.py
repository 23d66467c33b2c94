"""What is done to training images before a network sees them. Drawn and done in NumPy; `device/augmentation.py` does
the same on a device, so that every Keras backend sees the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CROP_PADDING = 4  # pixels at 32x32 (He et al. 2016, section 4.2), in proportion at other sizes
CUTOUT_SHARE = 0.375  # of the height: 12 of 32 pixels, of DeVries and Taylor 2017 between their 8 and 16
GREY = 128


@dataclass(frozen=True)
class Changes:
    """What is done to each image of a batch, and None for what is done to none."""

    mirrored: np.ndarray | None = None  # (count,) bool: from left to right
    moved: np.ndarray | None = None  # (count, 2) int64: what is taken from so many rows and columns further
    cut: np.ndarray | None = None  # (count, 2) int64: row and column of the middle of a grey square


def draw(
    how: str, count: int, size: tuple[int, int], rng: np.random.Generator, mirrored: np.ndarray | None = None
) -> Changes:
    """The changes of `count` images of this height and width: mirrored (`flip`, `alternate`), moved by up to an eighth
    each way (`crop`) and with a grey square (`cutout`), by the parts of `how`.

    `mirrored` says which images are; without it each is with probability 1/2.
    """
    if how == "none":
        return Changes()
    parts = how.split("_")
    mirrored = np.asarray(rng.random(count) < 0.5) if mirrored is None else mirrored
    moved = cut = None
    if "crop" in parts:
        pad = padding(size[0])
        moved = np.stack([rng.integers(0, 2 * pad + 1, count) - pad for _ in "rc"], axis=1)
    if "cutout" in parts:
        cut = rng.integers(0, size, (count, 2))
    return Changes(mirrored, moved, cut)


def augment(images: np.ndarray, changes: Changes) -> np.ndarray:
    """Those images, changed; the same ones where nothing is."""
    if changes.mirrored is not None:
        images = flip(images, changes.mirrored)
    if changes.moved is not None:
        images = move(images, changes.moved)
    return images if changes.cut is None else cut_out(images, changes.cut)


def padding(height: int) -> int:
    """By how many pixels an image is moved at most."""
    return max(1, CROP_PADDING * height // 32)


def half_of_cutout(height: int) -> int:
    """Half the side of the grey square."""
    return round(height * CUTOUT_SHARE / 2)


def flip(images: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Those images from left to right that are to be."""
    flipped = images.copy()
    flipped[mirrored] = images[mirrored, :, ::-1]
    return flipped


def move(images: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Every image moved; what comes in from outside is black."""
    height, width = images.shape[1:3]
    result = np.zeros_like(images)
    # One image at a time is a few copies of rows; all at once is a gather of single pixels, five times as slow.
    for index, (row, column) in enumerate(moved.tolist()):
        result[index, max(0, -row) : height - max(0, row), max(0, -column) : width - max(0, column)] = images[
            index, max(0, row) : height + min(0, row), max(0, column) : width + min(0, column)
        ]
    return result


def cut_out(images: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Every image with a grey square, which may lie in part outside of it (DeVries and Taylor 2017)."""
    half = half_of_cutout(images.shape[1])
    result = images.copy()
    for index, (row, column) in enumerate(cut.tolist()):
        result[index, max(0, row - half) : row + half, max(0, column - half) : column + half] = GREY
    return result


def mirrored_in_turn(indices: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Which images are mirrored where each is so in every second epoch, its first at random (Jordan 2024)."""
    hashed = (indices.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((hashed >> np.uint64(63)).astype(np.int64) != epoch % 2)
