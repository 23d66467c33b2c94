"""Images in, fixed splits out: training, validation (carved from training), test.

Three sources: CIFAR-10 and CIFAR-100 in their official binary layout (never the pickled one), the small real
CIFAR-10 sample that ships with dse, and any folder with `train/<class>/*` and `test/<class>/*`. The test
images are for reporting only.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.errors import DataError
from dse.tasks import Task

VALIDATION_SEED = 0  # fixed, so that runs with different seeds are scored on the same images
SAMPLE = Path(__file__).parent / "samples" / "cifar10"
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm"}
LARGEST_DEFAULT_SIZE = 96  # folders of larger images are resized to this unless the task says otherwise
MAX_IMAGES = 2_000_000
MAX_PIXELS = 50_000_000


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
class Images:
    """uint8 images (count, height, width, 3) and their class numbers (count,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Images:
        """The first `count` images, or all."""
        return self if count is None else Images(self.images[:count], self.labels[:count])


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

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.train.images.shape
        return height, width, channels


def to_float(images: np.ndarray) -> np.ndarray:
    """uint8 images as the float32 in [0, 1] that every model takes."""
    return images.astype(np.float32) / np.float32(255)


def data_home() -> Path:
    """Where `dse data get` puts data sets: $DSE_DATA, else ~/.cache/dse."""
    return Path(os.environ.get("DSE_DATA") or Path.home() / ".cache" / "dse")


def load_data(task: Task, location: str | None = None) -> Data:
    """The splits of a task. Raises DataError.

    `location` is a folder, or `sample` for the bundled sample; None takes what `dse data get` left, and
    for CIFAR-10 the sample when there is nothing.
    """
    if task.dataset in CIFAR:
        classes, train, test, source, free = _cifar(task.dataset, location)
    else:
        if not location:
            raise DataError(f"task {task.task}: say with --data where the images are")
        classes, train, test, source = read_folders(Path(location), task.image_size)
        free = False
    if task.image_size and train.images.shape[1] != task.image_size:
        train, test = _resized(train, task.image_size), _resized(test, task.image_size)
    kept, held_out = split_off(train.labels, task.validation)
    digest = hashlib.sha256()
    for part in (train.images, train.labels, test.images, test.labels):
        digest.update(np.ascontiguousarray(part).data)
    return Data(
        classes,
        Images(train.images[kept], train.labels[kept]),
        Images(train.images[held_out], train.labels[held_out]),
        test,
        source,
        digest.hexdigest(),
        free,
    )


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


def _cifar(name: str, location: str | None) -> tuple[tuple[str, ...], Images, Images, str, bool]:
    layout = CIFAR[name]
    if location == "sample" and name != "cifar10":
        raise DataError(f"no bundled sample of {name}; get it with: dse data get {name}")
    if location == "sample":
        return *read_sample(), "bundled sample of CIFAR-10 (2,000 training and 1,000 test images)", True
    if location is not None:
        folder = Path(location)
        inside = folder / layout.folder
        if inside.is_dir() or (folder / layout.test).is_file():
            folder = inside if inside.is_dir() else folder
            return *read_cifar(folder, layout), *_source(name, folder)
        if (folder / "train").is_dir():
            return *read_folders(folder, 32), False
        raise DataError(f"{folder}: neither {layout.folder} nor train/<class>/* and test/<class>/*")
    folder = data_home() / layout.folder
    if folder.is_dir():
        return *read_cifar(folder, layout), *_source(name, folder)
    if name == "cifar10":
        return *read_sample(), "bundled sample of CIFAR-10 (2,000 training and 1,000 test images)", True
    raise DataError(f"no {name} in {data_home()}; get it with: dse data get {name}")


def _source(name: str, folder: Path) -> tuple[str, bool]:
    """What the images are, and whether they are the official ones."""
    origin = folder / ORIGIN
    if origin.is_file():
        return origin.read_text(encoding="utf-8")[:200].strip(), False
    return f"{name} in {folder.name}", True


def read_folders(folder: Path, size: int | None) -> tuple[tuple[str, ...], Images, Images, str]:
    """Images in train/<class>/* and test/<class>/*."""
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise DataError(f"{folder}: expected train/<class>/* and test/<class>/*, found no {part}/")
    classes = tuple(sorted(_class_folders(folder / "train")))
    if len(classes) < 2:
        raise DataError(f"{folder / 'train'}: expected a folder per class and at least two, found {len(classes)}")
    for name in classes:
        if not name.isprintable():  # it goes into tables, firmware and terminals
            raise DataError(f"{folder / 'train'}: came {name!a}, expected a class name of printable letters")
    unknown = sorted(_class_folders(folder / "test") - set(classes))
    if unknown:
        raise DataError(f"{folder / 'test'}: class {unknown[0]!r} is not in train/")
    files = {part: _image_files(folder / part, classes) for part in ("train", "test")}
    if size is None:
        size = min(_image_size(files["train"][0][0]), LARGEST_DEFAULT_SIZE)
    train, test = (_read_images(files[part], size) for part in ("train", "test"))
    return classes, train, test, f"images in {folder.name}/, {size}x{size}"


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
    return files


def _image_size(path: Path) -> int:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return int(min(image.size))
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from None


def _read_images(files: list[tuple[Path, int]], size: int) -> Images:
    from PIL import Image

    images = np.empty((len(files), size, size, 3), np.uint8)
    for index, (path, _) in enumerate(files):
        try:
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{path}: {image.width}x{image.height} is more than {MAX_PIXELS} pixels")
                images[index] = np.asarray(_square(image.convert("RGB"), size))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: not a readable image ({error})") from None
    return Images(images, np.array([label for _, label in files], np.int64))


def _square(image, size: int):  # type: ignore[no-untyped-def]
    return image if image.size == (size, size) else image.resize((size, size))


def _resized(images: Images, size: int) -> Images:
    return Images(resize(images.images, size), images.labels)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Images at another resolution, (count, size, size, 3) uint8; the same images when they have it."""
    if images.shape[1] == size and images.shape[2] == size:
        return images
    from PIL import Image

    return np.stack([np.asarray(_square(Image.fromarray(image), size)) for image in images])


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
