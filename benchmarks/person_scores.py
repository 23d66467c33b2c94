"""Prints how bundles of a run on person pictures do with and without animals in the picture, as Markdown.

    python -m benchmarks.person_scores RUN FOLDER [MODEL.tflite ...]

FOLDER has the pictures, RUN/test-files.csv which of the test pictures show an animal. Further models are int8 files of
other people that take colour images.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from dse.data.datasets import load_data
from dse.data.images import as_input
from dse.export.bundle import list_bundles, read_bundle
from dse.export.scores import accuracy
from dse.tasks import load_task
from dse.tflite.interpreters import open_litert, run_litert


def row(name: str, found: np.ndarray, labels: np.ndarray, animal: np.ndarray) -> str:
    """Accuracy of all, of pictures with and without an animal, without a person, of persons with and without one."""
    whole = accuracy(found, labels)
    person = labels == 1
    parts = (animal, ~animal, ~person, person & animal, person & ~animal)
    shares = " | ".join(f"{np.mean((found == labels)[part]):.1%}" for part in parts)
    return f"| {name} | {whole.accuracy:.1%} ({whole.low_95:.1%} to {whole.high_95:.1%}) | {shares} |"


def main() -> None:
    """Prints the table."""
    run, folder, *models = map(Path, sys.argv[1:])
    data = load_data(load_task("vww"), str(folder))
    with (run / "test-files.csv").open(newline="", encoding="utf-8") as file:
        animals = {line["file"]: line["animal"] == "1" for line in csv.DictReader(file)}
    animal = np.array([animals[name] for name in data.test_files])
    print("| | all | with an animal | without | no person | person and animal | person alone |")
    print("|---|---|---|---|---|---|---|")
    for bundle in map(read_bundle, list_bundles(run)):
        images = as_input(data.test, bundle.models.candidate.input_shape).images
        found = run_litert(bundle.models.int8, images, reference=True).argmax(1)
        print(row(f"trial {bundle.report.trial}", found, data.test.labels, animal))
    for model in models:
        content = model.read_bytes()
        shape = open_litert(content).get_input_details()[0]["shape"][1:]
        images = as_input(data.test, tuple(int(size) for size in shape)).images
        print(row(model.stem, run_litert(content, images).argmax(1), data.test.labels, animal))
    print(row("an animal, so no person", (~animal).astype(np.int64), data.test.labels, animal))


if __name__ == "__main__":
    main()
