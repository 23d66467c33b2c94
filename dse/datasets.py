"""Images in, fixed splits out: training, validation (carved from training where there is none), test.

Three sources: CIFAR-10 and CIFAR-100 in their official binary layout (never the pickled one), the small real
CIFAR-10 sample that ships with dse, and any folder of images per class. The test images are for reporting only.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.errors import DataError
from dse.image_folder import read_folders
from dse.images import Images, ImageSet, as_input
from dse.tasks import Task

VALIDATION_SEED = 0  # fixed, so that runs with different seeds are scored on the same images
SAMPLE = Path(__file__).parent / "samples" / "cifar10"


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


@dataclass(frozen=True)
class Data:
    """The splits of one task, with where they came from and a checksum over all of them."""

    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    source: str
    digest: str
    free: bool = False  # may be passed on, as CIFAR's official images may; those of a folder are their owner's
    test_files: tuple[str, ...] = ()  # of each test image, where they come from a folder

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.train.images.shape
        return height, width, channels


def data_home() -> Path:
    """Where `dse data get` puts data sets: $DSE_DATA, else ~/.cache/dse."""
    return Path(os.environ.get("DSE_DATA") or Path.home() / ".cache" / "dse")


def load_data(task: Task, location: str | None = None) -> Data:
    """The splits of a task. Raises DataError.

    `location` is a folder, or `sample` for the bundled sample; None takes what `dse data get` left, and
    for CIFAR-10 the sample when there is nothing.
    """
    read = _cifar(task, location) if task.dataset in CIFAR else _folder(task, location)
    train, validation, test = read.train, read.validation, read.test
    if task.image_size:
        shape = (task.image_size, task.image_size, 3)
        train, test = as_input(train, shape), as_input(test, shape)
        validation = validation and as_input(validation, shape)
    digest = hashlib.sha256()
    for part in (train, test, validation):
        if part:
            digest.update(np.ascontiguousarray(part.images).data)
            digest.update(np.ascontiguousarray(part.labels).data)
    if validation is None:
        kept, held_out = split_off(train.labels, task.validation)
        validation = Images(train.images[held_out], train.labels[held_out])
        train = Images(train.images[kept], train.labels[kept])
    return Data(read.classes, train, validation, test, read.source, digest.hexdigest(), read.free, read.test_files)


def _folder(task: Task, location: str | None) -> ImageSet:
    if location is None and task.dataset == "vww":
        if not (data_home() / "vww").is_dir():
            raise DataError(
                f"task {task.task}: no vww in {data_home()}; make it with: dse data get vww --coco DIR, "
                "or name a folder of images with --data"
            )
        location = str(data_home() / "vww")
    if not location:
        raise DataError(f"task {task.task}: say with --data where the images are")
    return read_folders(Path(location), task.image_size, task.largest_size)


def split_off(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices that stay and indices that are held out: the same share of every class, always the same ones.

    Raises DataError when a class has too few images to give one and keep one.
    """
    rng = np.random.default_rng(VALIDATION_SEED)
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(len(members) * share))
        if count >= len(members):
            raise DataError(f"class number {label} has {len(members)} training image(s); at least 2 are needed")
        held.append(members[:count])
    # Both parts stay in mixed order, so that the first images of a part are a fair sample of it.
    held_out = rng.permutation(np.concatenate(held))
    kept = rng.permutation(np.setdiff1d(np.arange(len(labels)), held_out))
    return kept, held_out


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
    """The bundled sample of CIFAR-10: 2,000 training and 1,000 test images."""
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


def _cifar(task: Task, location: str | None) -> ImageSet:
    name = task.dataset
    layout = CIFAR[name]
    if location == "sample" and name != "cifar10":
        raise DataError(f"no bundled sample of {name}; get it with: dse data get {name}")
    if location not in (None, "sample"):
        folder = Path(str(location))
        inside = folder / layout.folder
        if inside.is_dir() or (folder / layout.test).is_file():
            return _official(name, inside if inside.is_dir() else folder)
        if (folder / "train").is_dir():
            return read_folders(folder, 32, 32)
        raise DataError(f"{folder}: neither {layout.folder} nor train/<class>/* and test/<class>/*")
    if location is None and (data_home() / layout.folder).is_dir():
        return _official(name, data_home() / layout.folder)
    if name == "cifar10":
        classes, train, test = read_sample()
        text = "bundled sample of CIFAR-10 (2,000 training and 1,000 test images)"
        return ImageSet(classes, train, None, test, text, free=True)
    raise DataError(f"no {name} in {data_home()}; get it with: dse data get {name}")


def _official(name: str, folder: Path) -> ImageSet:
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
        raise DataError(f"{len(classes)} classes; the binary layout has room for 256. Use the folder as --task instead")
    folder.mkdir(parents=True, exist_ok=True)

    def save(name: str, part: Images) -> None:
        labels = np.zeros((len(part), layout.label_bytes), np.uint8)
        labels[:, -1] = part.labels
        planes = part.images.transpose(0, 3, 1, 2).reshape(len(part), -1)
        np.concatenate([labels, planes], axis=1).tofile(folder / name)

    order = np.random.default_rng(VALIDATION_SEED).permutation(len(train))
    for name, part in zip(layout.train, np.array_split(order, len(layout.train)), strict=True):
        save(name, Images(train.images[part], train.labels[part]))
    save(layout.test, test)
    (folder / layout.names).write_text("\n".join(classes) + "\n", encoding="utf-8")
