"""Images in, fixed splits out: training, validation (carved from training where there is none), test.

Three sources: CIFAR-10 and CIFAR-100 in their official binary layout (never the pickled one), the small real
CIFAR-10 sample that ships with dse, and any folder of images per class. The test images are for reporting only.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.data.cifar import CIFAR, read_official, read_sample
from dse.data.image_folder import read_folders
from dse.data.images import Images, ImageSet, as_input
from dse.errors import DataError
from dse.tasks import Task

VALIDATION_SEED = 0  # fixed, so that runs with different seeds are scored on the same images


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
    notes: tuple[str, ...] = ()  # what a person should know of the images

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
        kept, held_out = split_off(train.labels, task.validation, read.classes)
        validation = Images(train.images[held_out], train.labels[held_out])
        train = Images(train.images[kept], train.labels[kept])
    return Data(
        read.classes, train, validation, test, read.source, digest.hexdigest(), read.free, read.test_files, read.notes
    )


def _folder(task: Task, location: str | None) -> ImageSet:
    if location is None and task.dataset == "vww":
        if not (data_home() / "vww").is_dir():
            raise DataError(
                f"task {task.task}: no vww in {data_home()}; make it with: dse data get vww --coco DIR, "
                "or name a folder of images with `data`"
            )
        location = str(data_home() / "vww")
    if not location:
        raise DataError(f"task {task.task}: say with `data` where the images are")
    return read_folders(Path(location), task.image_size, task.largest_size)


def split_off(labels: np.ndarray, share: float, classes: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Indices that stay and indices that are held out: the same share of every class, always the same ones.

    Raises DataError when a class has too few images to give one and keep one.
    """
    rng = np.random.default_rng(VALIDATION_SEED)
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(len(members) * share))
        if count >= len(members):
            name = repr(classes[label]) if label < len(classes) else f"number {label}"
            raise DataError(
                f"class {name} has {len(members)} training image(s); expected at least 2, one of which is held out"
            )
        held.append(members[:count])
    # Both parts stay in mixed order, so that the first images of a part are a fair sample of it.
    held_out = rng.permutation(np.concatenate(held))
    kept = rng.permutation(np.setdiff1d(np.arange(len(labels)), held_out))
    return kept, held_out


def _cifar(task: Task, location: str | None) -> ImageSet:
    name = task.dataset
    layout = CIFAR[name]
    if location == "sample" and name != "cifar10":
        raise DataError(f"no bundled sample of {name}; get it with: dse data get {name}")
    if location not in (None, "sample"):
        folder = Path(str(location))
        inside = folder / layout.folder
        if inside.is_dir() or (folder / layout.test).is_file():
            return read_official(name, inside if inside.is_dir() else folder)
        if (folder / "train").is_dir():
            return read_folders(folder, 32, 32)
        raise DataError(f"{folder}: neither {layout.folder} nor train/<class>/* and test/<class>/*")
    if location is None and (data_home() / layout.folder).is_dir():
        return read_official(name, data_home() / layout.folder)
    if name == "cifar10":
        classes, train, test = read_sample()
        text = "bundled sample of CIFAR-10 (6,000 training and 1,000 test images)"
        return ImageSet(classes, train, None, test, text, free=True)
    raise DataError(f"no {name} in {data_home()}; get it with: dse data get {name}")
