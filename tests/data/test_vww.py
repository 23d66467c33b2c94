"""Visual Wake Words out of a small COCO, made of the bundled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dse.cli import cli
from dse.data import vww
from dse.data.cifar import read_sample
from dse.data.datasets import load_data
from dse.data.vww import VwwSettings, build_vww, read_numbers
from dse.errors import DataError
from dse.tasks import load_task

PERSON, DOG = 1, 18
SMALL = VwwSettings(size=24)
# By picture of 40x50 (2,000 pixels, so 10 are 0.5 %): category, box, area of the mask.
PICTURES: dict[int, list[tuple[int, list[float], float]]] = {
    1: [(PERSON, [0, 0, 5, 2], 9.0)],  # the box is just large enough, the mask is not
    2: [(PERSON, [0, 0, 3.3, 3], 9.9)],  # too small
    3: [(DOG, [0, 0, 40, 50], 1500.0)],
    4: [(PERSON, [0, 0, 1, 1], 1.0), (PERSON, [1, 1, 30, 30], 500.0)],
    5: [],
    6: [(DOG, [0, 0, 9, 9], 80.0), (PERSON, [2, 2, 20, 20], 300.0)],
}
TEST = {11: [(PERSON, [0, 0, 20, 20], 400.0)], 12: [], 13: [(DOG, [0, 0, 20, 20], 400.0)]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = read_sample()[1].images
    for name, pictures in (("train2014", PICTURES), ("val2014", TEST)):
        (tmp_path / "coco" / name).mkdir(parents=True)
        (tmp_path / "coco" / "annotations").mkdir(exist_ok=True)
        for number in pictures:
            picture = Image.fromarray(images[number]).resize((50, 40))
            picture.save(tmp_path / "coco" / name / f"COCO_{name}_{number:012}.jpg")
        write(tmp_path / "coco", name, document(name, pictures))
    return tmp_path / "coco"


def document(name: str, pictures: dict[int, list[tuple[int, list[float], float]]]) -> dict[str, Any]:
    return {
        "info": {"year": 2014},
        "images": [
            {"id": number, "file_name": f"COCO_{name}_{number:012}.jpg", "width": 50, "height": 40, "license": 1}
            for number in pictures
        ],
        "annotations": [
            {"id": 7, "image_id": number, "category_id": kind, "bbox": box, "area": area, "iscrowd": 0}
            for number, found in pictures.items()
            for kind, box, area in found
        ],
        "categories": [{"id": PERSON, "name": "person"}, {"id": DOG, "name": "dog"}],
    }


def write(folder: Path, name: str, content: Any) -> None:
    (folder / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))


def numbers(folder: Path) -> dict[str, list[int]]:
    """The numbers of the pictures in a finished set, by part and class."""
    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*/*/*.jpg")):
        found.setdefault(path.relative_to(folder).parent.as_posix(), []).append(int(path.stem[-12:]))
    return found


def build(folder: Path, target: Path, settings: VwwSettings = SMALL) -> dict[str, int]:
    return build_vww(folder, target, settings, lambda done, total: None)


def test_a_person_has_half_a_per_cent_of_the_picture(folder: Path, tmp_path: Path) -> None:
    counts = build(folder, tmp_path / "vww")
    wanted = {"train/person": [1, 4, 6], "train/no_person": [2, 3, 5], "test/person": [11], "test/no_person": [12, 13]}
    assert numbers(tmp_path / "vww") == wanted
    assert counts == {name: len(found) for name, found in wanted.items()}
    data = load_data(load_task("vww"), str(tmp_path / "vww"))
    assert data.classes == ("no_person", "person")
    assert data.image_shape == (24, 24, 3)
    whole = np.asarray(Image.open(folder / "val2014" / f"COCO_val2014_{11:012}.jpg").resize((24, 24)), float)
    kept = data.test.images[data.test_files.index(f"person/COCO_val2014_{11:012}.jpg")].astype(float)
    assert np.abs(kept - whole).mean() < 6  # squashed, and a JPEG again
    by_mask = VwwSettings(size=24, by="mask")
    build(folder, tmp_path / "mask", by_mask)
    assert numbers(tmp_path / "mask")["train/person"] == [4, 6]


def test_the_published_split_and_a_balanced_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("4\n12\n")
    build(folder, tmp_path / "minival", VwwSettings(size=24, minival=read_numbers(tmp_path / "ids.txt")))
    assert numbers(tmp_path / "minival") == {
        **{"train/person": [1, 6, 11], "train/no_person": [2, 3, 5, 13]},
        **{"test/person": [4], "test/no_person": [12]},
    }
    build(folder, tmp_path / "even", VwwSettings(size=24, balance=True))
    assert {name: len(found) for name, found in numbers(tmp_path / "even").items()} == {
        **{"train/person": 3, "train/no_person": 3},
        **{"test/person": 1, "test/no_person": 1},
    }
    with pytest.raises(DataError, match=r"1 of the 2 test pictures are not in"):
        build(folder, tmp_path / "more", VwwSettings(size=24, minival=(4, 99)))
    (tmp_path / "ids.txt").write_text("4\nfive\n")
    with pytest.raises(DataError, match=r"ids.txt: came 'five', expected the number of a picture on each line"):
        read_numbers(tmp_path / "ids.txt")
    (tmp_path / "ids.txt").write_text("")
    with pytest.raises(DataError, match="it is empty, expected the number of a picture on each line"):
        read_numbers(tmp_path / "ids.txt")


def test_it_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = vww.read_image

    def stops(path: Path, size: int) -> np.ndarray:
        if path.name.endswith("11.jpg"):
            raise KeyboardInterrupt
        return read(path, size)

    monkeypatch.setattr(vww, "read_image", stops)
    with pytest.raises(KeyboardInterrupt):
        build(folder, tmp_path / "vww")
    assert not (tmp_path / "vww").exists()
    with pytest.raises(DataError, match="was begun with other settings or pictures"):
        build(folder, tmp_path / "vww", VwwSettings(size=32))
    asked: list[str] = []
    monkeypatch.setattr(vww, "read_image", lambda path, size: asked.append(path.name) or read(path, size))
    build(folder, tmp_path / "vww")
    assert 1 <= len(asked) < 9
    assert sum(map(len, numbers(tmp_path / "vww").values())) == 9


def test_what_is_no_coco_is_one_message(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"instances_train2014.json: cannot be read: .*expected COCO 2014: annotations/"
    ):
        build(tmp_path, tmp_path / "vww")
    good = document("train2014", PICTURES)
    write(folder, "train2014", good | {"images": [{"id": "one"}]})
    with pytest.raises(DataError, match=r"no annotations of COCO: images\[0\].id: Input should be a valid integer"):
        build(folder, tmp_path / "vww")
    escaping = [{"id": 1, "file_name": "../secret.jpg", "width": 50, "height": 40}]
    write(folder, "train2014", good | {"images": escaping})
    with pytest.raises(DataError, match=r"images\[0\].file_name"):
        build(folder, tmp_path / "vww")
    write(folder, "train2014", good | {"categories": [{"id": 1, "name": "persona"}]})
    with pytest.raises(DataError, match="no category 'person'"):
        build(folder, tmp_path / "vww")


def test_the_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSE_DATA", str(tmp_path / "home"))
    command = ["data", "get", "vww", "--coco", str(folder), "--size", "24"]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert str(tmp_path / "home" / "vww") in done.output
    assert "train/person: 3" in done.output
    assert load_data(load_task("vww")).source.startswith("images in vww/, 24x24")
    assert "is there already; remove it" in str(CliRunner().invoke(cli, command).exception)
    for wrong in (["data", "get", "cifar10", "--size", "24"], ["data", "get", "vww", "--size", "600"]):
        assert CliRunner().invoke(cli, wrong).exit_code == 2
    monkeypatch.setenv("DSE_DATA", str(tmp_path / "empty"))
    assert "name its folder with --coco" in str(CliRunner().invoke(cli, ["data", "get", "vww"]).exception)
