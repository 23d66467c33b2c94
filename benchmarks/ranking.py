"""How well a shorter training ranks networks: `python -m benchmarks.ranking FOLDER`.

Random networks of `mixed.yaml` that fit the Nano 33 BLE, spread evenly over the logarithm of their MACs, are trained on
CIFAR-10 by the short recipe: ten epochs on all images, ten on a third of them, and in steps, as `--fidelity halving`
does, one epoch and then up to three; some by a second seed. A row of FOLDER/table.csv is one network, as `dse simulate`
reads it (docs/tables.md); a row of FOLDER/trainings.csv is one training with its accuracy after each epoch. What stands there is not trained again. Several programs may share a folder, each with its --part of the networks.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import append_rows, read_rows
from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import Data, load_data
from dse.hardware.boards import load_board
from dse.hardware.budget import Budgets
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.search.costing import SpaceCosting
from dse.search.summary import cost_values
from dse.search.surrogate.surrogate import Surrogate
from dse.space.conditions import Assignment
from dse.space.space import Defaults, load_space
from dse.tasks import load_task

SPACE, BOARD = "mixed", "nano33ble"
EPOCHS = 10
SHARES = {"all": 1, "third": 3}
WHOLE, STEPS = (
    f"1-{EPOCHS}",
    ("1-1", "2-3"),
)  # the epochs of a training; those of a step begin with the weights before it
CELL = ("network", "images", "epochs", "seed")
COLUMNS = (*CELL, "arithmetic", "float", "int8", "val_accuracy", "cpu_seconds", "seconds")


# What the columns of the table are called beside those of whole trainings.
FIDELITIES = {
    ("all", WHOLE): "",
    ("third", WHOLE): "@data=0.33",
    ("all", STEPS[0]): "@epochs=0.11",
    ("all", STEPS[1]): "@epochs=0.33",
}


def networks(count: int) -> list[tuple[Assignment, Candidate]]:
    """Of five times as many random ones those whose MACs are nearest to even steps; smaller MACs first."""
    space = load_space(SPACE)
    budgets = Budgets.of_boards([load_board(BOARD)])
    costing = SpaceCosting(space, Defaults(), budgets, cost_values)
    surrogate = Surrogate(space, costing, ["accuracy", "macs"], seed=0)
    sketches = surrogate.fitting(np.random.default_rng(0), 5 * count)
    macs = surrogate.costs(sketches)[:, 0]
    chosen: list[int] = []
    for step in np.linspace(*np.quantile(macs, [0.02, 0.98]), count):
        away = np.abs(macs - step)
        away[chosen] = np.inf
        chosen.append(int(away.argmin()))
    recipe = Training(recipe="auto").with_settings({"recipe": "short", "epochs": EPOCHS})
    found = [(sketches[index].assignment, space.build(sketches[index].assignment)) for index in chosen]
    return [(assignment, replace(candidate, training=recipe)) for assignment, candidate in found]


def trained(candidate: Candidate, images: str, parts: Sequence[str], seed: int, data: Data) -> Iterator[dict[str, Any]]:
    """A row for each part of a training, and what it came to."""
    from dse.search.workers.trial import run_trial
    from dse.training.context import TrainingContext

    some, weights = replace(data, train=data.train.first(len(data.train) // SHARES[images])), b""
    for epochs in parts:
        first, last = map(int, epochs.split("-"))
        recipe = candidate.training.model_copy(update={"epochs": last - first + 1})
        began, cpu = time.monotonic(), time.process_time()
        context = TrainingContext(seed, weights=weights, epochs_earlier=first - 1)
        result = run_trial(replace(candidate, training=recipe), some, context, accuracy="int8")
        weights = result.weights
        yield {
            "network": candidate.id,
            "images": images,
            "epochs": epochs,
            "seed": seed,
            "arithmetic": result.arithmetic,
            "float": f"{result.accuracy_float:.4f}",
            "int8": f"{result.accuracy_int8:.4f}",
            "val_accuracy": " ".join(f"{value:.4f}" for value in result.history["val_accuracy"]),
            "cpu_seconds": f"{time.process_time() - cpu:.0f}",
            "seconds": f"{time.monotonic() - began:.0f}",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--twice", type=int, default=20, help="so many of them by a second seed")
    parser.add_argument("--part", default="0/1", help="K/N: every N-th network from the K-th on")
    parser.add_argument("--no-training", action="store_true", help="only write table.csv")
    asked = parser.parse_args()
    table = asked.folder / "trainings.csv"
    chosen = networks(asked.networks)
    first, step = map(int, asked.part.split("/"))
    if not asked.no_training:
        quiet_tensorflow(1)
        data = load_data(load_task("cifar10"))
        asked.folder.mkdir(parents=True, exist_ok=True)
        # In an order in which what is there early is spread over all sizes.
        order = np.random.default_rng(1).permutation(len(chosen))[first::step]
        twice = set(np.random.default_rng(2).permutation(len(chosen))[: asked.twice].tolist())
        kinds = (("all", (WHOLE,)), ("all", STEPS), ("third", (WHOLE,)))
        for seed, index, (images, parts) in itertools.product((0, 1), order, kinds):
            candidate = chosen[index][1]
            known = {tuple(row[column] for column in CELL) for row in read_rows(table)}
            if (seed == 0 or index in twice) and (candidate.id, images, parts[-1], str(seed)) not in known:
                rows = list(trained(candidate, images, parts, seed, data))
                append_rows(table, COLUMNS, rows)
                print("\n".join(" ".join(map(str, row.values())) for row in rows), flush=True)
    write(asked.folder / "table.csv", chosen, read_rows(table))


def write(path: Path, chosen: list[tuple[Assignment, Candidate]], trainings: list[dict[str, str]]) -> None:
    """The table, of those networks that were trained on all images."""
    columns = [f"accuracy_{seed}{fidelity}" for fidelity in FIDELITIES.values() for seed in (0, 1)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*load_space(SPACE).domains, *columns, "seconds"], lineterminator="\n")
        writer.writeheader()
        for assignment, candidate in chosen:
            mine = {
                tuple(row[column] for column in CELL[1:]): row for row in trainings if row["network"] == candidate.id
            }
            if whole := mine.get(("all", WHOLE, "0")):
                known = {
                    f"accuracy_{seed}{FIDELITIES[images, epochs]}": row["int8"]
                    for (images, epochs, seed), row in mine.items()
                }
                writer.writerow({**assignment, **known, "seconds": whole["cpu_seconds"]})


if __name__ == "__main__":
    main()
