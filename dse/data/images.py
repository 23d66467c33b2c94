"""Labelled images as arrays, and what is done to them before a network sees them: size, colour, float."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.network.layers import Shape

LUMA = (19595, 38470, 7471)  # of red, green and blue in 65,536 parts: ITU-R BT.601, as Pillow's mode L has it


@dataclass(frozen=True)
class Images:
    """uint8 images (count, height, width, channels) and their class numbers (count,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Images:
        """The first `count` images, or all."""
        return self if count is None else Images(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class ImageSet:
    """What was read of one place. Parts are in mixed order, always the same: their first images are a fair sample."""

    classes: tuple[str, ...]
    train: Images
    validation: Images | None  # None: to be carved from training
    test: Images
    source: str
    free: bool = False  # may be passed on, as CIFAR's official images may; those of a folder are their owner's
    test_files: tuple[str, ...] = ()  # of each test image, below test/, where they come from a folder
    notes: tuple[str, ...] = ()  # what a person should know of them: what is not used, what is uneven


def to_float(images: np.ndarray) -> np.ndarray:
    """uint8 images as the float32 in [0, 1] that every model takes."""
    return images.astype(np.float32) / np.float32(255)


def as_input(images: Images, shape: Shape) -> Images:
    """The images as a network with this input takes them: (count, *shape), in grey where it has one channel."""
    sized = resize(images.images, shape[0])
    return Images(to_grey(sized) if shape[2] == 1 and sized.shape[3] == 3 else sized, images.labels)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Images at another resolution, (count, size, size, channels) uint8; the same images when they have it."""
    if images.shape[1] == size and images.shape[2] == size:
        return images
    from PIL import Image

    planes = images[..., 0] if images.shape[3] == 1 else images  # Pillow has grey images without a channel axis
    resized = np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image in planes])
    return resized.reshape(len(images), size, size, images.shape[3])


def to_grey(images: np.ndarray) -> np.ndarray:
    """Colour images as their brightness, (count, height, width, 1) uint8."""
    grey = np.empty((*images.shape[:3], 1), np.uint8)
    for index, image in enumerate(images):  # one at a time: the products are four bytes each
        grey[index, :, :, 0] = (image.astype(np.int32) @ np.array(LUMA, np.int32) + 0x8000) >> 16
    return grey
