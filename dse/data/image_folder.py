"""A folder of images per class: `train/<class>/*`, `test/<class>/*` and, where there is one, `val/<class>/*`.

What is there and not used is counted, and said.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median_low
from typing import TypeVar

import numpy as np

from dse.data.images import Images, ImageSet
from dse.data.picture import MAY_BE_CLEAR, SUFFIXES, read_picture, side_of
from dse.errors import DataError, did_you_mean

PARTS = ("train", "val", "test")
OTHER_NAMES = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}
HIDDEN = (".", "__MACOSX")  # of the system, of notebooks and archivers; no pictures of anybody's
MAX_IMAGES = 2_000_000
MAX_NAMED = 5  # files in a message
UNEVEN = 10  # images of the largest class for each of the smallest, from which on a word is said
ORDER_SEED = 0
T = TypeVar("T")


def read_folders(folder: Path, size: int | None, largest: int) -> ImageSet:
    """The images of a folder at `size`, else at the size of most of them, but at most `largest`. Raises DataError."""
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            others = [name for name, meant in _other_parts(folder) if meant == part]
            hint = f"; there is {others[0]}/: call it {part}/" if others else ""
            raise DataError(f"{folder}: expected train/<class>/* and test/<class>/*, found no {part}/{hint}")
    classes = tuple(sorted(_class_folders(folder / "train")))
    if len(classes) < 2:
        raise DataError(f"{folder / 'train'}: expected a folder per class and at least two, found {len(classes)}")
    for name in classes:
        if not name.isprintable():  # it goes into tables, firmware and terminals
            raise DataError(f"{folder / 'train'}: came {name!a}, expected a class name of printable letters")
    parts = [part for part in PARTS if (folder / part).is_dir()]
    for part in parts[1:]:
        if unknown := sorted(_class_folders(folder / part) - set(classes)):
            by_case = {name.lower(): name for name in classes}
            near = by_case.get(unknown[0].lower())
            hint = f", did you mean {near!r}?" if near else did_you_mean(unknown[0], classes).rstrip(";")
            raise DataError(f"{folder / part}: class {unknown[0]!r} is not in train/{hint}")
    files = {part: _image_files(folder / part, classes) for part in parts}
    every = [path for part in parts for path, _ in files[part]]
    sides = _each([path for path, _ in files["train"]] if size is None else [], side_of)
    if size is None:
        size = min(median_low(sides), largest)
    pixels, clear = _pixels(every, size)
    images, start = dict[str, Images](), 0
    for part in parts:
        labels = np.array([label for _, label in files[part]], np.int64)
        images[part] = Images(pixels[start : start + len(labels)], labels)
        start += len(labels)
    names = tuple(path.relative_to(folder / "test").as_posix() for path, _ in files["test"])
    notes = (*_unused(folder, parts, classes), *_of_images(images, classes, clear))
    source = f"images in {folder.name}/, {size}x{size}"
    return ImageSet(classes, images["train"], images.get("val"), images["test"], source, test_files=names, notes=notes)


def _pixels(paths: Sequence[Path], size: int) -> tuple[np.ndarray, int]:
    """All images, uint8 (count, size, size, 3), and how many have transparent pixels. Raises DataError."""
    pixels = np.empty((len(paths), size, size, 3), np.uint8)
    places = iter(pixels)

    def read(path: Path) -> bool:
        picture = read_picture(path, size)
        next(places)[:] = picture.pixels
        return picture.is_clear and path.suffix.lower() in MAY_BE_CLEAR

    return pixels, sum(_each(paths, read))


def _each(paths: Sequence[Path], read: Callable[[Path], T]) -> list[T]:
    """Something of every file. Raises DataError, which names all that cannot be read."""
    found, problems = [], []
    for path in paths:
        try:
            found.append(read(path))
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise DataError("; ".join(problems[:MAX_NAMED]) + more)
    return found


def _other_parts(folder: Path) -> list[tuple[str, str]]:
    """Folders that are called almost as one of PARTS, each with that name; none for a part that is there."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        lower = path.name.lower()
        meant = OTHER_NAMES.get(lower, lower)
        if path.is_dir() and meant in PARTS and not (folder / meant).is_dir():
            found.append((path.name, meant))
    return found


def _class_folders(folder: Path) -> set[str]:
    """Names of the folders inside; hidden ones are no classes."""
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(HIDDEN)}


def _is_image(path: Path) -> bool:
    """Whether a file is taken for an image, by its name.

    What cannot be read (a link to nothing, a folder called x.png) is one, so that it is named as unreadable. A pipe or
    a device is none: reading it would never end.
    """
    if path.suffix.lower() not in SUFFIXES or path.name.startswith(HIDDEN):
        return False
    return path.is_file() or path.is_dir() or not path.exists()


def _image_files(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob("*"))
        if _is_image(path)
    ]
    if not files:
        raise DataError(f"{folder}: no images ({', '.join(sorted(SUFFIXES))}){_too_deep(folder, 1)}")
    empty = sorted(set(classes) - {classes[label] for _, label in files})
    if empty and folder.name == "train":
        where = folder / empty[0]
        raise DataError(f"{where}: no images ({', '.join(sorted(SUFFIXES))}){_too_deep(where, 0)}")
    if len(files) > MAX_IMAGES:
        raise DataError(f"{folder}: more than {MAX_IMAGES} images")
    for path, _ in files:
        if not path.name.isprintable():  # test files are listed by their names
            raise DataError(f"{path.parent}: came {path.name!a}, expected file names of printable letters")
    return [files[index] for index in np.random.default_rng(ORDER_SEED).permutation(len(files))]


def _too_deep(folder: Path, depth: int) -> str:
    """A hint where images lie further down than `depth` folders."""
    for path in folder.glob("*/" * (depth + 1) + "**/*"):
        if path.is_file() and _is_image(path):
            return f"; there are some in {path.parent}, one folder too deep"
    return ""


def _unused(folder: Path, parts: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    """What lies there and is no image that is read."""
    below, others = Counter[str](), Counter[str]()
    for part in parts:
        for path in (folder / part).iterdir():
            if path.is_file() and not path.name.startswith(HIDDEN):
                others[f"beside the classes in {part}/"] += 1
        for name in classes:
            for path in (folder / part / name).glob("**/*"):
                hidden = any(one.startswith(HIDDEN) for one in path.relative_to(folder).parts)
                if hidden or not path.is_file():
                    continue
                if path.parent != folder / part / name:
                    below[part] += 1
                elif path.suffix.lower() not in SUFFIXES:
                    others[path.suffix.lower() or path.name] += 1
    counted = [f"{count} files in subfolders of the classes in {part}/" for part, count in below.items()]
    counted += [f"{count} {suffix}" for suffix, count in sorted(others.items())]
    if counted:
        yield f"not used: {', '.join(counted)}"
    for name, meant in _other_parts(folder):
        if meant == "val":
            yield f"not used: {name}/; images to choose by are in val/, where there is one"


def _of_images(images: dict[str, Images], classes: Sequence[str], clear: int) -> Iterator[str]:
    """What a person should know of the images themselves, `clear` of which have transparent pixels."""
    counts = np.bincount(images["train"].labels, minlength=len(classes))
    if counts.max() >= UNEVEN * counts.min():
        least, most = classes[int(counts.argmin())], classes[int(counts.argmax())]
        yield (
            f"class {least!r} has {counts.min()} training images and {most!r} {counts.max()}: "
            "'training: {class_weight: balanced}' in the space lets all classes count the same"
        )
    if missing := sorted(set(range(len(classes))) - set(images["test"].labels.tolist())):
        names = ", ".join(repr(classes[label]) for label in missing)
        yield f"no test images of {names}: accuracy is that of the other classes"
    known = {hashlib.sha256(image.tobytes()).digest() for image in images["train"].images}
    if twice := sum(hashlib.sha256(image.tobytes()).digest() in known for image in images["test"].images):
        yield f"{twice} of {len(images['test'])} test images are in train/ too: the accuracy will be too good"
    if clear:
        yield f"{clear} images have transparent pixels, which are laid on white"
