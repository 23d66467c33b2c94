"""A folder of images per class: `train/<class>/*`, `test/<class>/*` and, where there is one, `val/<class>/*`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dse.data.images import Images, ImageSet
from dse.errors import DataError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm"}
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM")  # whatever a file is called, nothing else is opened
MAX_IMAGES = 2_000_000
MAX_PIXELS = 50_000_000
ORDER_SEED = 0


def read_folders(folder: Path, size: int | None, largest: int) -> ImageSet:
    """The images of a folder at `size`, else at that of the first of them, but at most `largest`. Raises DataError."""
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise DataError(f"{folder}: expected train/<class>/* and test/<class>/*, found no {part}/")
    classes = tuple(sorted(_class_folders(folder / "train")))
    if len(classes) < 2:
        raise DataError(f"{folder / 'train'}: expected a folder per class and at least two, found {len(classes)}")
    for name in classes:
        if not name.isprintable():  # it goes into tables, firmware and terminals
            raise DataError(f"{folder / 'train'}: came {name!a}, expected a class name of printable letters")
    parts = [part for part in ("train", "val", "test") if (folder / part).is_dir()]
    for part in parts[1:]:
        if unknown := sorted(_class_folders(folder / part) - set(classes)):
            raise DataError(f"{folder / part}: class {unknown[0]!r} is not in train/")
    files = {part: _image_files(folder / part, classes) for part in parts}
    if size is None:
        size = min(_image_size(files["train"][0][0]), largest)
    images = {part: _read_images(files[part], size) for part in parts}
    names = tuple(path.relative_to(folder / "test").as_posix() for path, _ in files["test"])
    source = f"images in {folder.name}/, {size}x{size}"
    return ImageSet(classes, images["train"], images.get("val"), images["test"], source, test_files=names)


def _class_folders(folder: Path) -> set[str]:
    """Names of the folders inside; hidden ones, such as a notebook's checkpoints, are no classes."""
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _image_files(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise DataError(f"{folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    empty = set(classes) - {classes[label] for _, label in files}
    if empty and folder.name == "train":
        raise DataError(f"{folder / min(empty)}: no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    if len(files) > MAX_IMAGES:
        raise DataError(f"{folder}: more than {MAX_IMAGES} images")
    for path, _ in files:
        if not path.name.isprintable():  # test files are listed by their names
            raise DataError(f"{path.parent}: came {path.name!a}, expected file names of printable letters")
    return [files[index] for index in np.random.default_rng(ORDER_SEED).permutation(len(files))]


def _image_size(path: Path) -> int:
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            return int(min(image.size))
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from None


def _read_images(files: list[tuple[Path, int]], size: int) -> Images:
    images = np.empty((len(files), size, size, 3), np.uint8)
    for index, (path, _) in enumerate(files):
        images[index] = read_image(path, size)
    return Images(images, np.array([label for _, label in files], np.int64))


def read_image(path: Path, size: int) -> np.ndarray:
    """One image file as uint8 (size, size, 3), squashed where it is not square. Raises DataError."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{path}: {image.width}x{image.height} is more than {MAX_PIXELS} pixels")
            colour = image.convert("RGB")
            return np.asarray(colour if colour.size == (size, size) else colour.resize((size, size)))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from None
