"""Trainings in steps against whole ones: `python -m benchmarks.steps TABLE --epochs 18 --seeds 0`.

The networks of `benchmarks.recipes` on CIFAR-10, trained as a search with `halving` trains those that come to the end
(a ninth, on to a third, on to all of it, each step with the recipe of its own length), or on parts of the images, or at
once. A row of TABLE is one network, trained so, with what it reached after each step.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.recipes import NETWORKS, network
from benchmarks.rows import append_rows, read_rows
from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import Data, load_data
from dse.network.training import Training
from dse.search.fidelity.names import FIDELITIES, Fidelity
from dse.search.fidelity.rungs import Rungs
from dse.search.record import Step
from dse.tasks import load_task

COLUMNS = ("network", "fidelity", "epochs", "seed", "int8", "float", "cpu_seconds")


def trained(name: str, fidelity: Fidelity, epochs: int, seed: int, data: Data) -> dict[str, Any]:
    """One row: the accuracies after its steps."""
    from dse.search.workers.trial import run_trial
    from dse.training.context import TrainingContext

    whole = Training(recipe="auto").with_settings({"epochs": epochs})
    rungs, began, weights, done = Rungs(fidelity, ["accuracy"], epochs=epochs), time.process_time(), b"", 0.0
    int8, floats = list[str](), list[str]()
    for share in rungs.shares:
        part = rungs.part(whole.epochs, done, Step(share))
        candidate = replace(network(name), training=rungs.training(whole, part))
        images = replace(data, train=data.train.first(round(len(data.train) * part.images)))
        result = run_trial(candidate, images, TrainingContext(seed, weights=weights), accuracy="int8")
        weights, done = result.weights, share
        int8.append(f"{result.accuracy_int8:.4f}")
        floats.append(f"{result.accuracy_float:.4f}")
    return {
        "network": name,
        "fidelity": fidelity,
        "epochs": epochs,
        "seed": seed,
        "int8": " ".join(int8),
        "float": " ".join(floats),
        "cpu_seconds": f"{time.process_time() - began:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--fidelities", nargs="+", choices=FIDELITIES, default=list(FIDELITIES))
    asked = parser.parse_args()
    quiet_tensorflow(1)
    data = load_data(load_task("cifar10"))
    for seed in asked.seeds:
        for name in asked.networks:
            for fidelity in asked.fidelities:
                cell = (name, fidelity, str(asked.epochs), str(seed))
                if cell not in {tuple(row[column] for column in COLUMNS[:4]) for row in read_rows(asked.table)}:
                    row = trained(name, fidelity, asked.epochs, seed, data)
                    append_rows(asked.table, COLUMNS, [row])
                    print(" ".join(map(str, row.values())), flush=True)


if __name__ == "__main__":
    main()
