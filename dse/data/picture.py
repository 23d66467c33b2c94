"""One image file as an array: upright, in eight bits, on white where it is transparent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dse.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif", ".ppm"}
MAY_BE_CLEAR = {".png", ".webp", ".gif"}
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM")  # whatever a file is called, nothing else is opened
MAX_PIXELS = 50_000_000
WHITE = (255, 255, 255, 255)


class Picture(NamedTuple):
    """An image as it was read."""

    pixels: np.ndarray  # uint8 (size, size, 3)
    is_clear: bool  # whether it has transparent pixels, as far as its header says


def read_image(path: Path, size: int) -> np.ndarray:
    """One image file as uint8 (size, size, 3), squashed where it is not square. Raises DataError."""
    return read_picture(path, size).pixels


def read_picture(path: Path, size: int) -> Picture:
    """The same, with what its header says. Raises DataError."""
    with _opened(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError(f"{path}: {image.width}x{image.height} is more than {MAX_PIXELS} pixels")
        is_clear = image.has_transparency_data
        colour = _in_colour(image)
        return Picture(np.asarray(colour if colour.size == (size, size) else colour.resize((size, size))), is_clear)


def side_of(path: Path) -> int:
    """The shorter side of an image, in pixels. Raises DataError."""
    with _opened(path) as image:
        return int(min(image.size))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file, while it is worked with. Raises DataError for what is none, also when that shows only later."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from None


def _in_colour(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    # As a camera was held, not as its sensor lies.
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        grey = np.asarray(upright).astype(np.int64) // 257
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, WHITE), clear).convert("RGB")
    return upright.convert("RGB")
