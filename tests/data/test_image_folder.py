"""Folders as strangers bring them: what is read is right, what is not read is said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dse.data.image_folder import read_folders
from dse.data.picture import read_image
from dse.errors import DataError
from tests.helpers.images import make_folders

ORIENTATION = 0x0112


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return make_folders(tmp_path / "pets")


def _notes(folder: Path) -> str:
    return "\n".join(read_folders(folder, None, 96).notes)


def _refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_folders(folder, None, 96)
    return str(caught.value)


def test_an_ordinary_folder_needs_no_word(pets: Path) -> None:
    assert _notes(pets) == ""


def test_sixteen_bits_of_grey_become_eight(tmp_path: Path) -> None:
    deep = np.array([[0, 257], [32768, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", 2)[..., 0].tolist() == [[0, 1], [127, 255]]


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    held = Image.new("RGB", (8, 8))
    held.paste((255, 255, 255), (0, 0, 8, 4))  # bright above, as the sensor lies
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise: bright on the right
    held.save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png", 8)[0, [0, 7], 0].tolist() == [0, 255]


def test_transparent_pixels_lie_on_white_and_that_is_said(pets: Path) -> None:
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((10, 20, 30, 255), (0, 0, 20, 40))
    path = pets / "train" / "cat" / "clear.png"
    picture.save(path)
    assert read_image(path, 40)[0, [0, 39]].tolist() == [[10, 20, 30], [255, 255, 255]]
    picture.quantize(4).save(path)  # a palette with a transparent entry
    assert read_image(path, 40)[0, 39].tolist() == [255, 255, 255]
    assert _notes(pets) == "1 images have transparent pixels, which are laid on white"


def test_one_image_does_not_decide_the_size_of_all(pets: Path) -> None:
    Image.new("RGB", (12, 12)).save(pets / "train" / "cat" / "thumbnail.png")
    assert read_folders(pets, None, 96).train.images.shape[1:] == (40, 40, 3)
    assert read_folders(pets, None, 24).train.images.shape[1:] == (24, 24, 3)


def test_files_of_a_system_are_no_images(pets: Path) -> None:
    for name in ("._0.png", ".DS_Store"):
        (pets / "train" / "cat" / name).write_bytes(b"\0\5\x16\7")
    (pets / "train" / "__MACOSX").mkdir()
    shutil.copytree(pets / "train" / "cat", pets / "train" / ".ipynb_checkpoints")
    os.mkfifo(pets / "train" / "cat" / "pipe.png")  # would never end
    read = read_folders(pets, None, 96)
    assert read.classes == ("cat", "dog")
    assert len(read.train) == 12
    assert read.notes == ()


def test_all_that_cannot_be_read_is_named_at_once(pets: Path) -> None:
    cats = pets / "train" / "cat"
    (cats / "page.jpg").write_text("<html>")
    (cats / "empty.png").touch()
    (cats / "gone.png").symlink_to("nowhere.png")
    (cats / "folder.png").mkdir()
    message = _refusal(pets)
    for name in ("page.jpg", "empty.png", "gone.png", "folder.png"):
        assert f"{cats / name}: not a readable image" in message
    for index in range(9):
        (cats / f"more{index}.gif").touch()
    assert _refusal(pets).endswith("; and 8 more")


def test_what_is_not_used_is_counted(pets: Path) -> None:
    cats = pets / "train" / "cat"
    shutil.copytree(pets / "train" / "dog", cats / "more")
    for name in ("a.tif", "b.TIF", "notes.txt"):
        (cats / name).touch()
    shutil.copytree(pets / "test", pets / "Valid")
    (pets / "test" / "stray.png").touch()
    assert _notes(pets).splitlines() == [
        "not used: 6 files in subfolders of the classes in train/, 2 .tif, 1 .txt, 1 beside the classes in test/",
        "not used: Valid/; images to choose by are in val/, where there is one",
    ]


def test_photographs_of_old_browsers_are_read(pets: Path) -> None:
    Image.new("RGB", (40, 40)).save(pets / "train" / "cat" / "x.jfif", format="JPEG")
    assert len(read_folders(pets, None, 96).train) == 13


def test_uneven_classes_and_those_without_test_images_are_said(pets: Path) -> None:
    shutil.rmtree(pets / "test" / "dog")
    for index in range(60):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(pets / "train" / "cat" / f"n{index}.png")
    notes = _notes(pets)
    assert "class 'dog' has 6 training images and 'cat' 66" in notes
    assert "no test images of 'dog'" in notes


def test_test_images_that_were_trained_on_are_said(pets: Path) -> None:
    shutil.copy(pets / "train" / "cat" / "1.png", pets / "test" / "cat" / "again.png")
    assert _notes(pets) == "1 of 7 test images are in train/ too: the accuracy will be too good"


def test_names_that_are_nearly_right_are_hinted_at(pets: Path) -> None:
    (pets / "test" / "Cat").mkdir()
    assert "class 'Cat' is not in train/, did you mean 'cat'?" in _refusal(pets)
    (pets / "test" / "Cat").rmdir()
    (pets / "train").rename(pets / "training")
    assert "found no train/; there is training/: call it train/" in _refusal(pets)


def test_images_one_folder_too_deep_are_found(pets: Path) -> None:
    cats = pets / "train" / "cat"
    cats.rename(pets / "moved")
    cats.mkdir()
    assert _refusal(pets).startswith(f"{cats}: no images (")
    (pets / "moved").rename(cats / "batch")
    assert _refusal(pets).endswith(f"; there are some in {cats / 'batch'}, one folder too deep")
