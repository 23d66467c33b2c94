"""Weights of the parent: `python -m benchmarks.inherit TABLE --children 10`.

A network of the search in `results/cifar10-mixed-nano33ble` is trained in full on CIFAR-10. Networks that differ from it
in one choice are trained in full too, and for a ninth and a third of the epochs, from fresh weights and from its own, as
far as layers have the same name and shape. What a short training is worth is how well it ranks the children as their
full trainings do. A row of TABLE is one training; `--print` shows the correlations.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks.rows import append_rows, read_rows
from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import Data, load_data
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.search.fidelity.rungs import SHARES, epochs_of
from dse.search.run_folder import load_summary
from dse.space.neighbours import Neighbours
from dse.space.space import Space, load_space
from dse.tasks import load_task
from dse.training.sources import WeightSource
from tests.helpers.paths import RUN

PARENT, EPOCHS = "a95a9e8ebe54", 9
COLUMNS = ("network", "change", "start", "epochs", "seed", "int8", "float", "taken", "cpu_seconds")


def family(space: Space, count: int) -> Iterator[tuple[str, Candidate]]:
    """The parent, and so many networks that differ from it in one choice, with what differs."""
    params = next(record.params for record in load_summary(RUN).records if record.id.startswith(PARENT))
    own = {path: value for path, value in params.items() if path in space.domains}
    parent = space.build(own)
    yield "", parent
    neighbours, rng, known = Neighbours(space.template.nodes), np.random.default_rng(0), {parent.id}
    while len(known) <= count:
        changed = neighbours.changed(own, 1, rng)
        chosen = space.choose(lambda path, domain, changed=changed: changed[path])
        if chosen.candidate and chosen.candidate.id not in known:
            known.add(chosen.candidate.id)
            paths = [path for path in {*own, *changed} if own.get(path) != changed.get(path)]
            yield " ".join(f"{path}={changed.get(path)}" for path in sorted(paths)), chosen.candidate


def trained(candidate: Candidate, epochs: int, seed: int, parent: WeightSource | None, data: Data) -> dict[str, Any]:
    """A training, from fresh weights or the parent's."""
    from dse.search.workers.trial import run_trial
    from dse.training.context import TrainingContext
    from dse.training.model import build_model
    from dse.training.transfer import start_from
    from dse.training.weights import weights_bytes

    began, weights, taken = time.process_time(), b"", ""
    if parent:
        model = build_model(candidate.network, seed=seed)
        layers = start_from(model, parent)
        weights, taken = weights_bytes(model), f"{len(layers.taken)}/{len(layers.taken) + len(layers.new)}"
    recipe = Training(recipe="auto").with_settings({"epochs": epochs})
    result = run_trial(
        replace(candidate, training=recipe), data, TrainingContext(seed, weights=weights), accuracy="int8"
    )
    known = {"int8": f"{result.accuracy_int8:.4f}", "float": f"{result.accuracy_float:.4f}", "taken": taken}
    return known | {"cpu_seconds": f"{time.process_time() - began:.0f}", "weights": result.weights}


def show(rows: list[dict[str, str]]) -> None:
    """Kendall of each kind of short training with the full one, over the children."""
    children = {row["network"] for row in rows if row["change"]}
    reached = {(row["network"], row["start"], row["epochs"]): float(row["int8"]) for row in rows}
    print("| start | epochs | Kendall | mean int8 |\n|---|---|---|---|")
    for start, share in ((start, share) for start in ("fresh", "parent") for share in SHARES):
        epochs = str(epochs_of(EPOCHS, share))
        pairs = [
            (reached[one, start, epochs], reached[one, "fresh", str(EPOCHS)])
            for one in children
            if {(one, start, epochs), (one, "fresh", str(EPOCHS))} <= reached.keys()
        ]
        if len(pairs) > 2:
            short, full = zip(*pairs, strict=True)
            print(f"| {start} | {epochs} | {kendalltau(short, full)[0]:.2f} | {100 * np.mean(short):.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--children", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--print", action="store_true", dest="printed")
    asked = parser.parse_args()
    if not asked.printed:
        quiet_tensorflow(1)
        data, space = load_data(load_task("cifar10")), load_space("mixed")
        networks = list(family(space, asked.children))
        weights = asked.table.with_suffix(".weights.h5")
        lengths = [epochs_of(EPOCHS, share) for share in reversed(SHARES)]
        cells = [(*one, "fresh", epochs) for epochs in lengths for one in networks]
        cells += [(*one, "parent", epochs) for epochs in lengths for one in networks[1:]]
        for change, candidate, start, epochs in cells:
            cell = (candidate.id, start, str(epochs), str(asked.seed))
            if cell in {
                tuple(row[name] for name in ("network", "start", "epochs", "seed")) for row in read_rows(asked.table)
            }:
                continue
            parent = WeightSource(PARENT, weights.read_bytes(), networks[0][1].to_json()) if start == "parent" else None
            found = trained(candidate, epochs, asked.seed, parent, data)
            if not change and epochs == EPOCHS:
                weights.write_bytes(found["weights"])
            row = {"network": candidate.id, "change": change, "start": start, "epochs": epochs, "seed": asked.seed}
            append_rows(asked.table, COLUMNS, [row | {name: found[name] for name in COLUMNS if name in found}])
    show(read_rows(asked.table))


if __name__ == "__main__":
    main()
