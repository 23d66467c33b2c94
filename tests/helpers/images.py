"""Folders of generated images."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from dse.data.cifar import read_sample


def make_folders(folder: Path, size: tuple[int, int] = (40, 40)) -> Path:
    _, train, test = read_sample()
    for split, part, count in (("train", train, 12), ("test", test, 6)):
        for index in range(count):
            target = folder / split / ("cat" if index % 2 else "dog") / f"{index}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.images[index]).resize(size).save(target)
    return folder
