"""Writes the bundled sample: make_sample.py FOLDER, where FOLDER holds cifar-10-batches-bin.

600 training and 100 test images of every class, drawn with seeds of their own, as lossless WebP sheets of 50 tiles a
row.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dse.data.cifar import CIFAR, SAMPLE, read_cifar


def main(folder: Path) -> None:
    layout = CIFAR["cifar10"]
    classes, train, test = read_cifar(folder / layout.folder, layout)
    labels: dict[str, list[int]] = {}
    for seed, (split, part, each) in enumerate((("train", train, 600), ("test", test, 100))):
        rng = np.random.default_rng(seed)
        chosen = np.concatenate([rng.permutation(np.flatnonzero(part.labels == c))[:each] for c in range(10)])
        chosen = rng.permutation(chosen)
        tiles = part.images[chosen].reshape(-1, 50, 32, 32, 3).transpose(0, 2, 1, 3, 4)
        sheet = Image.fromarray(tiles.reshape(-1, 50 * 32, 3))
        sheet.save(SAMPLE / f"{split}.webp", lossless=True, quality=100, method=6)
        labels[split] = part.labels[chosen].tolist()
    (SAMPLE / "labels.json").write_text(json.dumps({"classes": classes, **labels}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
