"""Brings CIFAR-10 and CIFAR-100 into the data folder: downloaded, or from an archive or folder at hand.

Only the official binary archives are read, never the pickled ones. A download goes on where it stopped; an archive
is checked against its published MD5, and only the files of the layout are taken out of it, each bounded.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from dse.data.cifar import CIFAR, ORIGIN, CifarLayout, read_cifar, write_cifar
from dse.data.datasets import data_home
from dse.data.image_folder import read_folders
from dse.data.images import Images
from dse.errors import DataError, UnknownNameError

# The authors' own page: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html
HOME = "https://www.cs.toronto.edu/~kriz/"
CHUNK = 1 << 16
LARGEST_FILE = 200_000_000


def get_data(name: str, source: str | None = None) -> Path:
    """The folder with the data set, brought there when it is not. Raises DataError, UnknownNameError."""
    if name not in CIFAR:
        raise UnknownNameError("data set", name, [*CIFAR, "vww"])
    layout = CIFAR[name]
    target = data_home() / layout.folder
    if source is None and target.is_dir():
        read_cifar(target, layout)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".incoming-") as temporary:
        incoming = Path(temporary) / layout.folder
        if source is None:
            _unpack(_download(layout), layout, incoming)
        elif Path(source).is_file():
            _unpack(Path(source), layout, incoming)
            check_md5(Path(source), layout)
        else:
            _convert(Path(source), layout, incoming)
        read_cifar(incoming, layout)
        if target.exists():
            shutil.rmtree(target)
        incoming.rename(target)
    return target


def _download(layout: CifarLayout) -> Path:
    """The archive in the data folder, checked. What came of an earlier try is kept and continued."""
    path = data_home() / layout.archive
    part = path.with_suffix(path.suffix + ".part")
    if not path.is_file():
        have = part.stat().st_size if part.is_file() else 0
        request = urllib.request.Request(HOME + layout.archive, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                goes_on = response.status == 206
                total = int(response.headers.get("Content-Length") or 0) + (have if goes_on else 0)
                _receive(response, part, have if goes_on else 0, total)
        except (urllib.error.URLError, OSError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:  # nothing is left to fetch
                part.rename(path)
                return _checked(path, layout)
            raise DataError(
                f"{HOME + layout.archive}: {error}; the same command goes on. "
                f"With the archive at hand: dse data get ... --from {layout.archive}"
            ) from None
        part.rename(path)
    return _checked(path, layout)


def _checked(path: Path, layout: CifarLayout) -> Path:
    """The archive, or no archive: a wrong one is removed, so that the next call fetches it anew."""
    try:
        check_md5(path, layout)
    except DataError:
        path.unlink()
        raise
    return path


def _receive(response, part: Path, have: int, total: int) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar,
        part.open("ab" if have else "wb") as file,
    ):
        task = bar.add_task("download", total=total or None, completed=have)
        while block := response.read(CHUNK):
            file.write(block)
            bar.advance(task, len(block))
    if total and part.stat().st_size < total:
        raise OSError(f"the connection ended after {part.stat().st_size:,} of {total:,} bytes")


def check_md5(path: Path, layout: CifarLayout) -> None:
    """Raises DataError unless the archive is the published one."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != layout.md5:
        raise DataError(f"{path}: checksum {digest.hexdigest()}, expected {layout.md5}; it is not {layout.archive}")


def _unpack(archive: Path, layout: CifarLayout, target: Path) -> None:
    target.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if name not in layout.files or not member.isfile():
                    continue
                if member.size > LARGEST_FILE:
                    raise DataError(f"{archive}: {name} is larger than {LARGEST_FILE:,} bytes")
                inside = tar.extractfile(member)
                assert inside is not None
                with inside, (target / name).open("wb") as file:
                    shutil.copyfileobj(inside, file)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"{archive}: not a readable archive: {(str(error).splitlines() or [''])[0].rstrip(':')}"
        ) from None
    missing = [name for name in layout.files if not (target / name).is_file()]
    if missing:
        raise DataError(
            f"{archive}: not {layout.archive}: {', '.join(missing)} missing (the pickled version is not read)"
        )


def _convert(source: Path, layout: CifarLayout, target: Path) -> None:
    """The official layout from a folder: a copy of it, or images per class."""
    inside = source / layout.folder
    official = inside if inside.is_dir() else source
    if (official / layout.test).is_file():
        target.mkdir(parents=True)
        for file in layout.files:
            if not (official / file).is_file():
                raise DataError(f"{official}: {file} missing")
            shutil.copyfile(official / file, target / file)
        return
    if not (source / "train").is_dir():
        raise DataError(
            f"{source}: expected {layout.archive}, a folder {layout.folder}, or train/<class>/* and test/<class>/*"
        )
    read = read_folders(source, 32, 32)
    train = read.train
    if read.validation:  # the layout has no place for it, and validation images are carved from training
        pairs = zip((train.images, train.labels), (read.validation.images, read.validation.labels), strict=True)
        train = Images(*(np.concatenate(pair) for pair in pairs))
    write_cifar(target, layout, read.classes, train, read.test)
    (target / ORIGIN).write_text(read.source + "\n", encoding="utf-8")
