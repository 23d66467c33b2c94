"""Prints what bundles of several runs have and score, as the Markdown of a page of results.

    python -m benchmarks.compression_scores --from DISTILLED-1 DISTILLED-2 ... > runs.csv
    python -m benchmarks.compression_scores runs.csv

A run is a folder METHOD-SEED with one bundle; the first of all methods is what the others are held against.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from dse.export.bundle import list_bundles, read_bundle
from dse.training.sparsity import compressed_bytes

COSTS = ("params", "macs", "arena_bytes", "file_bytes", "compressed_bytes")
COLUMNS = ("method", "seed", "id", *COSTS, "float", "int8", "low_95", "high_95")


def measured(runs: Iterable[Path]) -> list[dict[str, str]]:
    """A line for the bundle of every run: bytes, and shares of the test images."""
    lines = []
    for run in runs:
        method, _, seed = run.name.rpartition("-")
        (folder,) = list_bundles(run)
        bundle = read_bundle(folder)
        report, int8 = bundle.report, bundle.report.accuracy.tflm_int8
        costs = [report.predicted.params, report.predicted.macs, report.arena.needed_bytes]
        sizes = [len(bundle.models.int8), compressed_bytes(bundle.models.int8)]
        shares = [report.accuracy.float32.accuracy, int8.accuracy, int8.low_95, int8.high_95]
        values = [method, seed, report.candidate, *costs, *sizes, *(f"{share:.4f}" for share in shares)]
        lines.append(dict(zip(COLUMNS, map(str, values), strict=True)))
    return lines


def table(lines: list[dict[str, str]]) -> str:
    """A row for every method: means over its seeds, and for each seed how far it is from the first method."""
    methods = list(dict.fromkeys(line["method"] for line in lines))
    scores = {
        name: {line["seed"]: 100 * float(line["int8"]) for line in lines if line["method"] == name} for name in methods
    }
    rows = [
        "| | int8 on TFLM, by seed | mean | against the first, by seed | mean | parameters | MACs | arena | file | compressed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in methods:
        own, first = scores[name], scores[methods[0]]
        gains = [own[seed] - first[seed] for seed in own]
        mine = [line for line in lines if line["method"] == name]
        costs = [f"{sum(int(line[cost]) for line in mine) / len(mine):,.0f}" for cost in COSTS]
        against = (
            ["-", "-"]
            if name == methods[0]
            else [", ".join(f"{gain:+.1f}" for gain in gains), f"{sum(gains) / len(gains):+.1f}"]
        )
        by_seed = ", ".join(f"{score:.1f}" for score in own.values())
        cells = [name, by_seed, f"{sum(own.values()) / len(own):.1f} %", *against, *costs]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Prints the CSV file or the table."""
    first, *others = sys.argv[1:]
    if first == "--from":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured(map(Path, others)))
    else:
        with Path(first).open(newline="", encoding="utf-8") as file:
            print(table(list(csv.DictReader(file))))


if __name__ == "__main__":
    main()
