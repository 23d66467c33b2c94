"""Images in: the sample, the official binary layout, folders; splits; archives and downloads."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dse.data import download
from dse.data.cifar import CIFAR, read_cifar, read_sample, write_cifar
from dse.data.datasets import Data, load_data, split_off
from dse.data.images import Images, as_input
from dse.errors import DataError, UnknownNameError
from dse.tasks import Task, load_task
from tests.helpers.images import make_folders

CIFAR10 = CIFAR["cifar10"]


def test_the_sample_is_real_and_balanced() -> None:
    sample_data = load_data(load_task("cifar10"), "sample")
    assert sample_data.classes[:3] == ("airplane", "automobile", "bird")
    assert [len(part) for part in (sample_data.train, sample_data.validation, sample_data.test)] == [5400, 600, 1000]
    for part, each in ((sample_data.train, 540), (sample_data.validation, 60), (sample_data.test, 100)):
        assert np.bincount(part.labels).tolist() == [each] * 10
    # CIFAR-10's published channel means are 0.491, 0.482, 0.447; a sample of 7,000 is close to them.
    mean = sample_data.train.images.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.491, 0.482, 0.447], atol=0.02)
    assert "sample" in sample_data.source


def test_validation_is_carved_from_training_and_always_the_same() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    kept, held = split_off(labels, 0.1)
    assert sorted([*kept, *held]) == list(range(100))
    assert np.bincount(labels[held]).tolist() == [5, 3, 2]
    again = split_off(labels, 0.1)
    assert np.array_equal(again[0], kept)
    assert np.array_equal(again[1], held)
    with pytest.raises(DataError, match="class number 0 has 1 training image"):
        split_off(np.array([0, 1, 1]), 0.5)
    with pytest.raises(DataError, match="class 'cat' has 1 training image"):
        split_off(np.array([0, 1, 1]), 0.5, ("cat", "dog"))


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """The sample in the official binary layout, made smaller."""
    classes, train, test = read_sample()
    write_cifar(tmp_path / CIFAR10.folder, CIFAR10, classes, train.first(100), test.first(30))
    return tmp_path


def test_binary_layout_round_trips(official: Path) -> None:
    classes, train, test = read_cifar(official / CIFAR10.folder, CIFAR10)
    names, all_train, all_test = read_sample()
    assert classes == names
    assert np.array_equal(test.images, all_test.images[:30])
    assert np.array_equal(test.labels, all_test.labels[:30])
    wanted = {
        (image.tobytes(), int(label)) for image, label in zip(all_train.images[:100], all_train.labels, strict=False)
    }
    assert {(image.tobytes(), int(label)) for image, label in zip(train.images, train.labels, strict=True)} == wanted


def test_the_official_record_is_label_then_planes(official: Path) -> None:
    raw = (official / CIFAR10.folder / "test_batch.bin").read_bytes()
    _, _, test = read_sample()
    assert raw[0] == test.labels[0]
    assert raw[1 : 1 + 1024] == test.images[0, :, :, 0].tobytes()
    assert raw[1 + 2048 : 1 + 3072] == test.images[0, :, :, 2].tobytes()


@pytest.mark.parametrize("inside", [True, False])
def test_data_names_a_folder_or_what_is_around_it(official: Path, inside: bool) -> None:
    data = load_data(load_task("cifar10"), str(official / CIFAR10.folder if inside else official))
    assert (len(data.train) + len(data.validation), len(data.test)) == (100, 30)
    assert "cifar-10-batches-bin" in data.source


def test_damaged_files_are_refused(official: Path) -> None:
    file = official / CIFAR10.folder / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_2.bin: came \d+ bytes, expected at most 10000 records of 3073"):
        load_data(load_task("cifar10"), str(official))
    file.write_bytes(b"\x63" * 3073)
    with pytest.raises(DataError, match="class number 99 but only 10 class names"):
        load_data(load_task("cifar10"), str(official))
    file.unlink()
    with pytest.raises(DataError, match=r"not the official binary layout: data_batch_2.bin missing"):
        load_data(load_task("cifar10"), str(official))


def test_cifar100_is_not_sampled() -> None:
    with pytest.raises(DataError, match="dse data get cifar100"):
        load_data(load_task("cifar100"))
    with pytest.raises(DataError, match="no bundled sample of cifar100"):
        load_data(load_task("cifar100"), "sample")


def test_a_folder_of_images_is_a_task(tmp_path: Path) -> None:
    folder = make_folders(tmp_path / "pets")
    task = load_task(str(folder))
    data = load_data(task, str(folder))
    assert task.task == "pets"
    assert data.classes == ("cat", "dog")
    assert data.image_shape == (40, 40, 3)
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 2, 6)
    small = load_data(task.model_copy(update={"image_size": 24}), str(folder))
    assert small.image_shape == (24, 24, 3)


def test_a_folder_may_have_validation_images(tmp_path: Path) -> None:
    folder = make_folders(tmp_path / "pets")
    task = load_task(str(folder))
    before = load_data(task, str(folder))
    for index, name in enumerate(("cat", "dog", "dog")):
        target = folder / "val" / name / f"v{index}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (index, 0, 0)).save(target)
    data = load_data(task, str(folder))
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 3, 6)
    assert {(int(i[0, 0, 0]), int(k)) for i, k in zip(data.validation.images, data.validation.labels, strict=True)} == {
        *((0, 0), (1, 1), (2, 1))
    }
    assert data.digest != before.digest


def test_names_that_no_list_can_hold_and_what_only_looks_like_an_image(tmp_path: Path) -> None:
    folder = make_folders(tmp_path / "pets")
    task = load_task(str(folder))
    bad = folder / "test" / "cat" / "a\nb.png"
    Image.new("RGB", (40, 40)).save(bad)
    with pytest.raises(DataError, match=r"came 'a\\nb.png', expected file names of printable letters"):
        load_data(task, str(folder))
    bad.unlink()
    Image.new("RGB", (40, 40)).save(folder / "test" / "cat" / "x.png", format="TIFF")
    with pytest.raises(DataError, match="x.png: not a readable image"):
        load_data(task, str(folder))


def test_test_images_of_a_folder_have_names_and_a_mixed_order(tmp_path: Path) -> None:
    folder = make_folders(tmp_path / "pets")
    data = load_data(load_task(str(folder)), str(folder))
    assert sorted(data.test_files) == [*(f"cat/{i}.png" for i in (1, 3, 5)), *(f"dog/{i}.png" for i in (0, 2, 4))]
    assert [name.startswith("dog/") for name in data.test_files] == [bool(label) for label in data.test.labels]
    assert list(data.test_files) != sorted(data.test_files)


def test_grey_is_that_of_pillow_and_sizes_are_those_asked_for(sample_data: Data) -> None:
    some = sample_data.test.first(20)
    grey = as_input(some, (32, 32, 1)).images
    wanted = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in some.images])
    assert np.array_equal(grey[..., 0], wanted)
    assert as_input(some, (48, 48, 1)).images.shape == (20, 48, 48, 1)
    assert as_input(some, (32, 32, 3)).images is some.images


def test_the_person_task_says_where_its_images_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSE_DATA", str(tmp_path))
    task = load_task("vww")
    with pytest.raises(DataError, match=r"no vww in .*dse data get vww --coco DIR"):
        load_data(task)
    folder = make_folders(tmp_path / "vww", (300, 300))
    assert load_data(task).image_shape == (224, 224, 3)
    assert load_data(task, str(folder)).digest == load_data(task).digest


def test_settings_of_tasks_that_came_later_leave_old_runs_alone() -> None:
    assert "largest_size" not in load_task("cifar10").to_dict()
    assert Task.model_validate(load_task("vww").to_dict()) == load_task("vww")


def test_large_images_are_resized_unless_the_task_says_otherwise(tmp_path: Path) -> None:
    folder = str(make_folders(tmp_path, (300, 200)))
    assert load_data(load_task(folder), folder).image_shape == (96, 96, 3)


def test_wrong_folders_say_what_is_expected(tmp_path: Path) -> None:
    task = Task(task="x", dataset="folder")
    with pytest.raises(DataError, match="task x: say with `data` where the images are"):
        load_data(task)
    with pytest.raises(DataError, match=r"expected train/<class>/\* and test/<class>/\*, found no train/"):
        load_data(task, str(tmp_path))
    make_folders(tmp_path)
    (tmp_path / "test" / "cow").mkdir()
    with pytest.raises(DataError, match="class 'cow' is not in train/"):
        load_data(task, str(tmp_path))
    (tmp_path / "test" / "cow").rmdir()
    (tmp_path / "train" / "cat" / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad.png: not a readable image"):
        load_data(task, str(tmp_path))
    (tmp_path / "train" / "cat" / "bad.png").unlink()
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    assert load_data(task, str(tmp_path)).classes == ("cat", "dog")
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no images"):
        load_data(task, str(tmp_path))


# -- dse data get


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DSE_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def archive(official: Path, tmp_path: Path) -> Path:
    path = tmp_path / CIFAR10.archive
    with tarfile.open(path, "w:gz") as tar:
        tar.add(official / CIFAR10.folder, CIFAR10.folder)
        extra = tarfile.TarInfo("../outside.txt")
        tar.addfile(extra)
    return path


def test_from_an_archive(archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="checksum"):  # it is not the published one
        download.get_data("cifar10", str(archive))
    assert not list(home.iterdir())
    known_md5(monkeypatch, archive.read_bytes())
    folder = download.get_data("cifar10", str(archive))
    assert folder == home / CIFAR10.folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(CIFAR10.files)
    assert [path.name for path in home.iterdir()] == [CIFAR10.folder]
    assert "cifar-10-batches-bin" in load_data(load_task("cifar10")).source


def test_from_a_folder(official: Path, home: Path) -> None:
    assert read_cifar(download.get_data("cifar10", str(official)), CIFAR10)[2].labels.shape == (30,)


def test_from_images_per_class(tmp_path: Path, home: Path) -> None:
    folder = download.get_data("cifar10", str(make_folders(tmp_path / "pets")))
    classes, train, test = read_cifar(folder, CIFAR10)
    assert classes == ("cat", "dog")
    assert (train.images.shape, len(test)) == ((12, 32, 32, 3), 6)
    assert load_data(load_task("cifar10")).source == "images in pets/, 32x32"  # not official, and it says so


def test_other_sources_are_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10'"):
        download.get_data("cifar1")
    with pytest.raises(DataError, match="expected cifar-10-binary.tar.gz, a folder"):
        download.get_data("cifar10", str(tmp_path))
    wrong = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(wrong, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("cifar-10-batches-py/data_batch_1"))
    with pytest.raises(DataError, match="the pickled version is not read"):
        download.get_data("cifar10", str(wrong))
    wrong.write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="not a readable archive"):
        download.get_data("cifar10", str(wrong))
    assert not (home / CIFAR10.folder).exists()


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves one file with ranges; the first answer breaks off after `cut` bytes."""

    content = b""
    cut: int | None = None
    ranges: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = self.content[start:]
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.cut is not None:
            body, type(self).cut = body[: self.cut], None
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    handler = type("Handler", (_Server,), {"content": archive.read_bytes(), "ranges": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setattr(download, "HOME", f"http://127.0.0.1:{running.server_port}/")
        yield handler
        running.shutdown()
        thread.join()


def known_md5(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    layout = dataclasses.replace(CIFAR10, md5=hashlib.md5(content, usedforsecurity=False).hexdigest())
    monkeypatch.setitem(CIFAR, "cifar10", layout)


def test_a_broken_download_goes_on_where_it_stopped(server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    known_md5(monkeypatch, server.content)
    server.cut = 70_000
    with pytest.raises(DataError, match="the same command goes on"):
        download.get_data("cifar10")
    part = home / f"{CIFAR10.archive}.part"
    have = part.stat().st_size
    assert 0 < have <= 70_000
    folder = download.get_data("cifar10")
    assert server.ranges == [None, f"bytes={have}-"]
    assert len(read_cifar(folder, CIFAR10)[2]) == 30
    assert download.get_data("cifar10") == folder  # nothing is fetched again
    assert len(server.ranges) == 2


def test_a_download_that_was_complete_but_not_named_is_finished(
    server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    known_md5(monkeypatch, server.content)
    home.mkdir()
    (home / f"{CIFAR10.archive}.part").write_bytes(server.content)
    assert len(read_cifar(download.get_data("cifar10"), CIFAR10)[2]) == 30
    assert server.ranges == [f"bytes={len(server.content)}-"]


def test_class_names_may_have_spaces_and_there_are_256_at_most(tmp_path: Path) -> None:
    images = Images(np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 1]))
    two = dataclasses.replace(CIFAR10, train=("data_batch_1.bin",))
    write_cifar(tmp_path, two, ("hot dog", "cat"), images, images)
    assert read_cifar(tmp_path, two)[0] == ("hot dog", "cat")
    with pytest.raises(DataError, match="300 classes; the binary layout has room for 256"):
        write_cifar(tmp_path, two, tuple(map(str, range(300))), images, images)


def test_a_wrong_checksum_is_refused(server, home: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=f"checksum .*, expected {CIFAR10.md5}"):
        download.get_data("cifar10")
    assert not list(home.glob("*.gz*"))


def test_images_first() -> None:
    images = Images(np.zeros((5, 2, 2, 3), np.uint8), np.arange(5))
    assert len(images.first(2)) == 2
    assert images.first(None) is images
