"""CIFAR-10 and CIFAR-100 in their official binary layout (never the pickled one), and the sample of dse itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.data.images import Images, ImageSet
from dse.errors import DataError

SAMPLE = Path(__file__).parent / "samples" / "cifar10"
ORDER_SEED = 0


@dataclass(frozen=True)
class CifarLayout:
    """The files of one official binary archive."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int  # the last of them is the class
    records: int  # in each training file
    archive: str
    md5: str

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.names)


CIFAR = {
    "cifar10": CifarLayout(
        "cifar-10-batches-bin", tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin",
        "batches.meta.txt", 1, 10_000, "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530",
    ),
    "cifar100": CifarLayout(
        "cifar-100-binary", ("train.bin",), "test.bin",
        "fine_label_names.txt", 2, 50_000, "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8",
    ),
}  # fmt: skip
IMAGE_VALUES = 32 * 32 * 3
TEST_RECORDS = 10_000
ORIGIN = "origin.txt"  # beside images in the binary layout that are not the official ones: what they are


def read_cifar(folder: Path, layout: CifarLayout) -> tuple[tuple[str, ...], Images, Images]:
    """Class names, training and test images of the official binary layout. Raises DataError."""
    missing = [name for name in layout.files if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: not the official binary layout: {', '.join(missing)} missing")
    text = (folder / layout.names).read_text(encoding="utf-8", errors="replace")[:10_000]
    names = tuple(name.strip() for name in text.splitlines() if name.strip())
    train = [_records(folder / name, layout, layout.records, len(names)) for name in layout.train]
    images = Images(np.concatenate([t.images for t in train]), np.concatenate([t.labels for t in train]))
    return names, images, _records(folder / layout.test, layout, TEST_RECORDS, len(names))


def _records(path: Path, layout: CifarLayout, count: int, classes: int) -> Images:
    width = layout.label_bytes + IMAGE_VALUES
    size = path.stat().st_size
    if size % width or not 0 < size <= count * width:
        raise DataError(f"{path}: came {size} bytes, expected at most {count} records of {width} bytes")
    raw = np.fromfile(path, np.uint8).reshape(-1, width)
    labels = raw[:, layout.label_bytes - 1].astype(np.int64)
    if labels.max() >= classes:
        raise DataError(f"{path}: class number {labels.max()} but only {classes} class names")
    planes = raw[:, layout.label_bytes :].reshape(-1, 3, 32, 32)
    return Images(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def read_sample() -> tuple[tuple[str, ...], Images, Images]:
    """The bundled sample of CIFAR-10: 6,000 training and 1,000 test images."""
    from PIL import Image

    about = json.loads((SAMPLE / "labels.json").read_text(encoding="utf-8"))
    parts = []
    for split in ("train", "test"):
        labels = np.array(about[split], np.int64)
        with Image.open(SAMPLE / f"{split}.webp") as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        tiles = pixels.reshape(pixels.shape[0] // 32, 32, pixels.shape[1] // 32, 32, 3).transpose(0, 2, 1, 3, 4)
        parts.append(Images(np.ascontiguousarray(tiles.reshape(-1, 32, 32, 3)[: len(labels)]), labels))
    return tuple(about["classes"]), parts[0], parts[1]


def read_official(name: str, folder: Path) -> ImageSet:
    """CIFAR-10 or CIFAR-100 as it lies in a folder. Raises DataError."""
    classes, train, test = read_cifar(folder, CIFAR[name])
    source, free = _source(name, folder)
    return ImageSet(classes, train, None, test, source, free)


def _source(name: str, folder: Path) -> tuple[str, bool]:
    """What the images are, and whether they are the official ones."""
    origin = folder / ORIGIN
    if origin.is_file():
        return origin.read_text(encoding="utf-8")[:200].strip(), False
    return f"{name} in {folder.name}", True


def write_cifar(folder: Path, layout: CifarLayout, classes: tuple[str, ...], train: Images, test: Images) -> None:
    """Writes images in the official binary layout (a coarse label, where the layout has one, is 0).

    Raises DataError for more classes than a byte can number.
    """
    if len(classes) > 256:
        raise DataError(f"{len(classes)} classes; the binary layout has room for 256. Use the folder as `task` instead")
    folder.mkdir(parents=True, exist_ok=True)

    def save(name: str, part: Images) -> None:
        labels = np.zeros((len(part), layout.label_bytes), np.uint8)
        labels[:, -1] = part.labels
        planes = part.images.transpose(0, 3, 1, 2).reshape(len(part), -1)
        np.concatenate([labels, planes], axis=1).tofile(folder / name)

    order = np.random.default_rng(ORDER_SEED).permutation(len(train))
    for name, part in zip(layout.train, np.array_split(order, len(layout.train)), strict=True):
        save(name, Images(train.images[part], train.labels[part]))
    save(layout.test, test)
    (folder / layout.names).write_text("\n".join(classes) + "\n", encoding="utf-8")
