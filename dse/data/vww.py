"""Visual Wake Words out of COCO 2014 (Chowdhery et al. 2019): is there a person in the picture?

A picture counts as one of a person when it has a person box of at least 0.5 % of its area; every other picture as one
without. The paper says box; the authors' code (TensorFlow models, slim/datasets/build_visualwakewords_data_lib.py)
takes the area that COCO notes for the annotation, which is that of the mask and smaller: `by="mask"` does that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from dse._util.files import write_atomic
from dse._util.strict_yaml import path_text
from dse.data.picture import read_image
from dse.errors import DataError, unread

SMALLEST_SHARE = 0.005  # of the picture that a person must take
CLASSES = ("no_person", "person")
MAX_ANNOTATION_BYTES = 2 << 30
QUALITY = 95
SEED = 0
SETTINGS = "settings.json"  # in the finished set too: how it was made


class _Picture(BaseModel):
    id: int
    file_name: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]  # a plain name: nothing outside its folder
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    area: float


class _Category(BaseModel):
    id: int
    name: str


class _Instances(BaseModel):
    images: list[_Picture]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True)
class VwwSettings:
    """How the set is made."""

    size: int = 128
    by: Literal["box", "mask"] = "box"
    balance: bool = False  # as many pictures with a person as without, in both parts
    minival: tuple[int, ...] = ()  # numbers of the pictures to test on; without any, those of val2014


@dataclass(frozen=True)
class _Entry:
    """A picture on its way."""

    number: int
    source: Path
    person: bool


def build_vww(coco: Path, target: Path, settings: VwwSettings, progress: Callable[[int, int], None]) -> dict[str, int]:
    """Writes `target` with train/ and test/, a folder per class; the number of pictures by part and class.

    `coco` has annotations/instances_train2014.json and instances_val2014.json, train2014/ and val2014/. Pictures are
    squashed to a square once. Stopped, it goes on when it is called again. Raises DataError.
    """
    entries = {name: list(_entries(coco, name, settings)) for name in ("train2014", "val2014")}
    parts = {"train": entries["train2014"], "test": entries["val2014"]}
    if settings.minival:
        wanted = set(settings.minival)
        both = [*entries["train2014"], *entries["val2014"]]
        parts = {
            "train": [entry for entry in both if entry.number not in wanted],
            "test": [entry for entry in both if entry.number in wanted],
        }
        if len(parts["test"]) < len(wanted):
            raise DataError(f"{len(wanted) - len(parts['test'])} of the {len(wanted)} test pictures are not in {coco}")
    if settings.balance:
        parts = {part: _balanced(found) for part, found in parts.items()}
    counts = {
        f"{part}/{CLASSES[person]}": sum(entry.person == person for entry in found)
        for part, found in parts.items()
        for person in (True, False)
    }
    if empty := [name for name, count in counts.items() if not count]:
        raise DataError(f"{coco}: no pictures for {', '.join(empty)}")
    jobs = [(entry, part) for part, found in parts.items() for entry in found]
    if len({entry.source.stem for entry, _ in jobs}) < len(jobs):
        raise DataError(f"{coco}: two pictures of one name, but for what comes after the point")
    work = target.with_name(target.name + ".part")
    _settle(work, settings, jobs)
    with ThreadPoolExecutor() as pool:
        for done, _ in enumerate(pool.map(lambda job: _write(work, job[0], job[1], settings.size), jobs), 1):
            progress(done, len(jobs))
    work.rename(target)
    return counts


def read_numbers(path: Path) -> tuple[int, ...]:
    """The picture numbers in a file, one to a line. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {unread(error)}") from None
    for line in lines:
        if not re.fullmatch(r"\d{1,12}", line):
            raise DataError(f"{path}: came {line[:40]!r}, expected the number of a picture on each line")
    if not lines:
        raise DataError(f"{path}: it is empty, expected the number of a picture on each line")
    return tuple(dict.fromkeys(map(int, lines)))


def _entries(coco: Path, name: str, settings: VwwSettings) -> Iterator[_Entry]:
    found = _instances(coco / "annotations" / f"instances_{name}.json")
    persons = {category.id for category in found.categories if category.name == "person"}
    if not persons:
        raise DataError(f"{coco / 'annotations'}: instances_{name}.json has no category 'person'")
    area = {picture.id: picture.width * picture.height for picture in found.images}
    with_person = {
        one.image_id
        for one in found.annotations
        if one.category_id in persons
        and one.image_id in area
        and _area(one, settings.by) >= SMALLEST_SHARE * area[one.image_id]
    }
    for picture in found.images:
        yield _Entry(picture.id, coco / name / picture.file_name, picture.id in with_person)


def _area(annotation: _Annotation, by: str) -> float:
    return annotation.bbox[2] * annotation.bbox[3] if by == "box" else annotation.area


def _instances(path: Path) -> _Instances:
    try:
        if path.stat().st_size > MAX_ANNOTATION_BYTES:
            raise DataError(f"{path}: more than {MAX_ANNOTATION_BYTES:,} bytes")
        return _Instances.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: {unread(error)}; expected COCO 2014: annotations/instances_train2014.json and "
            "instances_val2014.json, train2014/ and val2014/"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: no annotations of COCO: {path_text(first['loc'])}: {first['msg']}") from None


def _balanced(entries: list[_Entry]) -> list[_Entry]:
    """As many of either kind: all of the rarer one, and as many of the other drawn at random, always the same."""
    kinds = [[entry for entry in entries if entry.person is person] for person in (True, False)]
    count = min(map(len, kinds))
    rng = np.random.default_rng(SEED)
    return [kind[index] for kind in kinds for index in sorted(rng.permutation(len(kind))[:count])]


def _settle(work: Path, settings: VwwSettings, jobs: list[tuple[_Entry, str]]) -> None:
    """Begins a folder, or goes on with one that was begun with the same settings and pictures. Raises DataError."""
    names = "\n".join(f"{part} {entry.person} {entry.source.name}" for entry, part in jobs)
    values = asdict(settings) | {"minival": bool(settings.minival)}
    text = json.dumps(values | {"pictures": hashlib.sha256(names.encode()).hexdigest()}, indent=2) + "\n"
    path = work / SETTINGS
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise DataError(f"{work} was begun with other settings or pictures; remove it, or repeat the first command")
    write_atomic(path, text)


def _write(work: Path, entry: _Entry, part: str, size: int) -> None:
    from PIL import Image

    path = work / part / CLASSES[entry.person] / entry.source.with_suffix(".jpg").name
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(read_image(entry.source, size))
    unfinished = path.with_suffix(".incoming")
    image.save(unfinished, "JPEG", quality=QUALITY)
    unfinished.rename(path)
