"""What training recipes and arithmetics give: `python -m benchmarks.recipes TABLE --epochs 8 --seeds 0 1 2`.

Every recipe trains the same networks on the same images of CIFAR-10 (`dse data get cifar10`; all 45,000, or fewer) and is
judged by the 5,000 validation images, in float and as the exported int8 file. A row of TABLE is one training; what
stands there is not trained again, so a table may grow over days.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import networks
from benchmarks.rows import append_rows, read_rows
from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import Data, load_data
from dse.network.candidate import Candidate, load_candidate
from dse.network.training import Training
from dse.tasks import load_task
from dse.training.names import ASKED, Arithmetic
from tests.helpers.paths import RUN

# Of the search in `results/cifar10-mixed-nano33ble`: what most of each is made of, and its multiply-accumulates.
SEARCHED = {
    "separable 2.3M": "b02a2bb50c64",
    "bneck 1.5M": "a95a9e8ebe54",
    "shuffle 0.8M": "abd6e3646bdd",
    "fire 2.0M": "2b84b36853e0",
    "dpd 2.0M": "21cd56fc95d8",
}
RESIDUAL = "residual 12.5M"
NETWORKS = (*SEARCHED, RESIDUAL)

BEFORE: dict[str, Any] = {"learning_rate": 3e-3, "schedule": "cosine", "augment": "flip_crop"}
SHORT: dict[str, Any] = {"learning_rate": 1e-2, "schedule": "linear", "warmup": 0.2, "augment": "flip"}
SGD: dict[str, Any] = SHORT | {"optimizer": "sgd", "learning_rate": 0.2, "batch_size": 128, "l2": 0.0}
OWN = "own"  # of a candidate of that search: what it was trained with
RECIPES: dict[str, dict[str, Any]] = {
    OWN: {},
    "before": BEFORE,
    "rate": BEFORE | {"learning_rate": 1e-2},
    "schedule": BEFORE | {"schedule": "linear", "warmup": 0.2},
    "rate and schedule": SHORT | {"augment": "flip_crop"},
    "no crop": BEFORE | {"augment": "flip"},
    "short": SHORT,
    "short, rate 5e-3": SHORT | {"learning_rate": 5e-3},
    "short, rate 2e-2": SHORT | {"learning_rate": 2e-2},
    "short, warm-up 0.1": SHORT | {"warmup": 0.1},
    "short, smoothing": SHORT | {"label_smoothing": 0.1},
    "short, decay": SHORT | {"l2": 0.0, "weight_decay": 0.02},
    "short, ema": SHORT | {"ema": 0.995},
    "short, cutout": SHORT | {"augment": "flip_cutout"},
    "short, alternate": SHORT | {"augment": "alternate"},
    "short, batch 128": SHORT | {"batch_size": 128},
    "short, batch 32": SHORT | {"batch_size": 32, "learning_rate": 7e-3},
    "sgd": SGD | {"weight_decay": 5e-4},
    "sgd, smoothing": SGD | {"weight_decay": 5e-4, "label_smoothing": 0.1},
    "crop and cutout": SHORT | {"augment": "flip_crop_cutout"},
    "crop, ema": SHORT | {"augment": "flip_crop", "ema": 0.995},
    "crop, smoothing": SHORT | {"augment": "flip_crop", "label_smoothing": 0.1},
    "crop, decay": SHORT | {"augment": "flip_crop", "l2": 0.0, "weight_decay": 0.02},
    "crop, batch 128": SHORT | {"augment": "flip_crop", "batch_size": 128},
    "crop, rate 5e-3": SHORT | {"augment": "flip_crop", "learning_rate": 5e-3},
    "crop, cosine": SHORT | {"augment": "flip_crop", "schedule": "cosine", "warmup": 0.0},
    "short, rate 2e-2, decay": SHORT | {"learning_rate": 2e-2, "l2": 0.0, "weight_decay": 0.02},
    "crop, rate 2e-2, decay": SHORT | {"augment": "flip_crop", "learning_rate": 2e-2, "l2": 0.0, "weight_decay": 0.02},
    "crop, rate 2e-2": SHORT | {"augment": "flip_crop", "learning_rate": 2e-2},
    "crop, sgd": SGD | {"augment": "flip_crop", "weight_decay": 5e-4},
}


class Cell(NamedTuple):
    """One training: what a row is found by."""

    network: str
    recipe: str
    arithmetic: Arithmetic
    images: int
    epochs: int
    seed: int


COLUMNS = (*Cell._fields, "float", "int8", "train_loss", "cpu_seconds", "seconds")


def network(name: str) -> Candidate:
    """One of the networks, or a candidate of that search by its id."""
    if name == RESIDUAL:
        return networks.network("ResNet8")
    return load_candidate(RUN / "models" / SEARCHED.get(name, name) / "candidate.json")


def trained(cell: Cell, data: Data) -> dict[str, Any]:
    """One row: a training, and what it came to."""
    from dse.search.workers.trial import run_trial
    from dse.training.context import TrainingContext

    candidate = network(cell.network)
    recipe = candidate.training.to_dict() if cell.recipe == OWN else RECIPES[cell.recipe]
    candidate = replace(candidate, training=Training(**recipe | {"epochs": cell.epochs}))
    data = replace(data, train=data.train.first(cell.images))
    began, cpu = time.monotonic(), time.process_time()
    result = run_trial(candidate, data, TrainingContext(cell.seed, arithmetic=cell.arithmetic), accuracy="int8")
    return cell._asdict() | {
        "float": f"{result.accuracy_float:.4f}",
        "int8": f"{result.accuracy_int8:.4f}",
        "train_loss": f"{result.history['loss'][-1]:.4f}",
        "cpu_seconds": f"{time.process_time() - cpu:.0f}",
        "seconds": f"{time.monotonic() - began:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--epochs", type=int, nargs="+", default=[8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="names, ids, or `searched` for all ids")
    parser.add_argument("--recipes", nargs="+", default=[one for one in RECIPES if one != OWN], choices=RECIPES)
    parser.add_argument("--arithmetic", nargs="+", default=["auto"], choices=ASKED)
    parser.add_argument("--images", type=int, help="so many of the images to train on")
    asked = parser.parse_args()
    quiet_tensorflow(1)
    from dse.training.arithmetic import arithmetic

    data = load_data(load_task("cifar10"))
    images = min(asked.images or len(data.train), len(data.train))
    names = (
        sorted(path.name for path in (RUN / "models").iterdir()) if asked.networks == ["searched"] else asked.networks
    )
    # All of an epoch's cells for a seed before the next seed: what is stopped early has whole rows to compare.
    for epochs, seed, name, recipe, how in product(
        asked.epochs, asked.seeds, names, asked.recipes, map(arithmetic, asked.arithmetic)
    ):
        cell = Cell(name, recipe, how, images, epochs, seed)
        if tuple(map(str, cell)) not in done(asked.table):
            row = trained(cell, data)
            append_rows(asked.table, COLUMNS, [row])
            print(" ".join(map(str, row.values())), flush=True)


def done(table: Path) -> set[tuple[str, ...]]:
    """The trainings that stand in a table."""
    return {tuple(row[column] for column in Cell._fields) for row in read_rows(table)}


if __name__ == "__main__":
    main()
